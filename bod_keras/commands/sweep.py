"""A sweep: one run for each combination of values, side by side in a table at the end."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from ml_collections import ConfigDict

from bod_keras import experiment, training
from bod_keras.commands.check_config import check_config
from bod_keras.commands.pretrain import pretrain
from bod_keras.compare import compare_folders
from bod_keras.configs import base
from bod_keras.errors import UserError, nearest
from bod_keras.flatten import flatten
from bod_keras.training import NotFiniteError

_COMMA = re.compile(r",(?![^(\[{]*[)\]}])")  # one within brackets belongs to a value
_WORDS = {"true": True, "false": False, "none": None}


def sweep(
    config: ConfigDict,
    sweeps: Sequence[str],
    distribution: training.Distribution,
    init_from: str = "",
) -> int | None:
    """Train the runs of a sweep one after another, and print them side by side.

    A run that is finished is passed over, one that was stopped goes on. A run that another process trains is
    left to it, so that several processes with one command share the work. A loss that is not finite ends its
    run only.

    Args:
        config: what all runs share.
        sweeps: ``"key=value,value,..."`` each, of the config's keys; several give the product.
        distribution: over which devices each run is spread, in this process alone.
        init_from: as of `pretrain`.

    Returns:
        The signal that stopped it early, or None.

    Raises:
        UserError: a wrong key or value, or runs that ended with a loss that is not finite.
    """
    if distribution.processes > 1:
        raise UserError(
            "--sweep trains each run in one process. Received: a distribution over "
            f"{distribution.processes}. Give each combination a command of its own."
        )
    runs = sweep_runs(config, sweeps)
    for run in runs.values():  # before the first one begins
        check_config(run)
        experiment.check_settings(run)
    failed, elsewhere, folders = {}, [], []
    for number, (values, run) in enumerate(runs.items(), start=1):
        folder = experiment.run_folder(run)
        print(f"\nRun {number} of {len(runs)}: {values} in {folder}", flush=True)
        folder.close()
        folders.append(str(folder))
        keras.utils.clear_session()  # each begins as in a process of its own
        try:
            received = pretrain(run, distribution, init_from)
        except NotFiniteError as error:
            failed[values] = error
            print(error, flush=True)
        except BlockingIOError as error:
            elsewhere.append(values)
            print(f"Left to the process that has it: {error}", flush=True)
        else:
            if received is not None:
                return received
    print(f"\n{compare_folders(folders)}")
    if elsewhere:
        print(f"\nOther processes train {len(elsewhere)} of {len(runs)}: {'; '.join(elsewhere)}.")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(runs)} runs ended with a loss that is not finite (see above): "
            f"{'; '.join(failed)}. The others are complete."
        )
    return None


def sweep_runs(config: ConfigDict, sweeps: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the config of each run of a sweep, by its values as text.

    The name of a run is the config's and eight digits of a hash of its values. The seed does not count, which
    the name of the folder has anyway: runs that differ in it alone are averaged by ``evaluate``.

    Args:
        config, sweeps: as of `sweep`.

    Raises:
        UserError: a wrong key or value.

    Example:
        >>> from bod_keras.commands.sweep import sweep_runs
        >>> from bod_keras.configs import demo
        >>> runs = sweep_runs(demo.get_config(), ["decoupling.ridge=0.03,0.1", "seed=0,1"])
        >>> list(runs)[1], runs["decoupling.ridge=0.03, seed=1"]["name"]
        ('decoupling.ridge=0.03, seed=1', 'demo-bod-20bc71da')
    """
    axes: dict[str, list[Any]] = {}
    for text in sweeps:
        key, equals, values = text.partition("=")
        key = key.strip().removeprefix("config.")
        if not equals or not values.strip():
            raise UserError(
                f"--sweep takes KEY=VALUE,VALUE, such as decoupling.ridge=0.03,0.1. Received: {text!r}"
            )
        if key in axes or key in ("name", "output"):
            why = "names of runs are given by the sweep" if key not in axes else "it is there twice"
            raise UserError(f"--sweep={text} is one too many: {why}. Leave it out.")
        axes[key] = _values(config, key, values)
    found = {}
    for values in itertools.product(*axes.values()):
        chosen = dict(zip(axes, values))
        run = ConfigDict(config).copy_and_resolve_references()
        run.update_from_flattened_dict(chosen)
        run.name = "-".join(filter(None, [config.name, _hash(chosen)]))
        found[", ".join(f"{key}={value}" for key, value in chosen.items())] = run.to_dict()
    return found


def _values(config: ConfigDict, key: str, text: str) -> list[Any]:
    """The values of a key, with its type."""
    known = flatten(config.to_dict())
    if key not in known:
        last = key.rpartition(".")[2]  # often only its section is wrong
        near = next((k for k in known if k.rpartition(".")[2] == last), nearest(key, known))
        hint = f" Did you mean {near}?" if near else ""
        raise UserError(f"--sweep: there is no key {key}.{hint} train --help lists every key.")
    values, usual = [], flatten(base.shared().to_dict())
    for word in map(str.strip, _COMMA.split(text)):
        trial = ConfigDict(config).copy_and_resolve_references()
        try:
            value = _parsed(word)
            if isinstance(value, bool) and type(known[key]) in (int, float):
                raise TypeError("It is no number")
            trial.update_from_flattened_dict({key: value})
        except (TypeError, ValueError) as error:
            raise UserError(
                f"--sweep={key}={text}: {word!r} is of another type than the key. {error}."
            ) from None
        value = flatten(trial.to_dict())[key]
        if value is None and known[key] is not None and usual.get(key, "") is not None:
            raise UserError(f"--sweep={key}={text}: the key must have a value. Leave {word!r} out.")
        values.append(value)
    if len(set(map(repr, values))) < len(values):
        raise UserError(f"--sweep={key}={text} names a value twice. Leave one of them out.")
    return values


def _parsed(word: str) -> Any:
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    try:
        return ast.literal_eval(word)
    except (SyntaxError, ValueError):
        return word


def _hash(values: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in values.items() if key != "seed"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8] if kept else ""
