"""Which settings of a run may be changed when it is continued, and what they change in the loaded model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from bod_keras import experiment
from bod_keras.configs import base
from bod_keras.data import Record
from bod_keras.errors import UserError
from bod_keras.flatten import flatten
from bod_keras.storage.remote_error import without_secrets

# Where things are and how they are read: no result depends on it. A name that ends in a dot is a whole section.
_FREE = (
    *(
        "name",
        "output",
        "epochs",
        "probe.",
        "monitors.",
        "evaluate.",
        "checkpoint.",
        "built_in.folder",
        "feature_cache.folder",
        "callbacks",
        "tracker",
    ),
    *("data.source", "data.root", "data.annotations", "data.blocklist"),
    *("clips.workers", "clips.timeout", "clips.cache_mb", "clips.service", "clips.max_bad_share"),
)
# What the rest of a run can be done otherwise with: the steps already taken stay as they are.
_FROM_NOW_ON = (
    *("learning_rate", "final_learning_rate", "warmup_epochs", "warmup_learning_rate"),
    *("clipnorm", "chunks"),
)


def changed_settings(
    before: Mapping[str, Any], now: Mapping[str, Any], folder: object
) -> dict[str, tuple[Any, Any]]:
    """Return the settings with which a run is continued otherwise than it was begun.

    Args:
        before: the config of the run so far, as its report has it.
        now: the config to continue it with.
        folder: the run's folder, for the error.

    Returns:
        Name to the value before and now.

    Raises:
        UserError: a setting differs that the steps already taken depend on; it names all of these.
    """
    differing = _differing(before, now)
    lines = refused_settings(before, now)
    if lines:
        text = "\n".join(f"  {line}" for line in lines)
        raise UserError(
            f"{folder} belongs to a run with other settings, on which its results depend:\n{text}\n"
            "Give the values that are there to continue it, or choose another --config.name for a new run, "
            f"which can begin with its weights: --init_from={folder}."
        )
    return differing


def refused_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting that differs and on which the steps already taken depend."""
    differing = _differing(before, now)
    return [
        f"{key}: {shown(old)} there, {shown(new)} now"
        for key, (old, new) in differing.items()
        if not _may_change(key)
    ]


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    plain = (json.loads(json.dumps(config)) for config in (base.shared().to_dict(), before, now))
    defaults, old, new = map(flatten, plain)
    # A key that there was not yet when the run began stood for what is its default today.
    old = {**{key: value for key, value in defaults.items() if key in new}, **old}
    return {
        key: (old.get(key), new.get(key))
        for key in sorted(old | new)
        if old.get(key) != new.get(key)
    }


def shown(value: Any) -> str:
    """Return a setting as text for messages: of a web address without its query, which may hold a signature."""
    return without_secrets(str(value))


def _may_change(key: str) -> bool:
    free = any(key == name or (name.endswith(".") and key.startswith(name)) for name in _FREE)
    return free or key in {f"optimizer.{name}" for name in _FROM_NOW_ON}


def apply_settings(model: keras.Model, config: Mapping[str, Any], steps_per_epoch: int) -> None:
    """Give a model that `load_checkpoint` returned the settings that may be changed for the rest of its run."""
    wanted = experiment.build_optimizer(config, steps_per_epoch)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    optimizer.learning_rate = keras.saving.deserialize_keras_object(
        wanted.get_config()["learning_rate"]
    )
    optimizer.clipnorm = wanted.clipnorm
    for name, epochs in getattr(model, "in_epochs", {}).items():
        if epochs is None and getattr(model, name, None) is not None:  # over the whole run
            setattr(model, name, config["epochs"] * steps_per_epoch)
    model.compile(model.optimizer, chunks=config["optimizer"]["chunks"])


def list_of_videos(records: Sequence[Record]) -> dict[str, Any]:
    """Return what the order of a run's data depends on: how many videos, and a hash of their names in order.

    Names are relative to the folder that all videos share, so that a folder that was moved has the same hash.
    Web addresses are without their query, so that they have the same when they are signed anew.

    Example:
        >>> from bod_keras.commands.run_settings import list_of_videos
        >>> from bod_keras.data import Record
        >>> here, there = [Record("a/1.avi"), Record("a/2.avi")], [Record("b/1.avi"), Record("b/2.avi")]
        >>> list_of_videos(here) == list_of_videos(there)
        True
    """
    paths = [without_secrets(record.path) for record in records]
    folders = [path[: path.rfind("/") + 1] for path in paths]
    first, last = min(folders), max(folders)
    same = next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), len(first))
    shared = first[: first.rfind("/", 0, same) + 1]
    names = [[path[len(shared) :], record.span] for path, record in zip(paths, records)]
    return {
        "count": len(names),
        "sha256": hashlib.sha256(json.dumps(names).encode()).hexdigest(),
    }


def check_same_videos(
    before: Mapping[str, Any] | None, now: Mapping[str, Any], folder: object
) -> None:
    """Refuse to continue a run on other videos than it began with.

    Args:
        before: `list_of_videos` of the run so far; None for a run of an earlier version.
        now: `list_of_videos` of the videos to continue with.
        folder: the run's folder, for the error.
    """
    if before is not None and dict(before) != dict(now):
        counts = f"{before.get('count')} then, {now['count']} now"
        if before.get("count") == now["count"]:
            counts = f"{counts}, with other names or in another order"
        raise UserError(
            f"{folder} was trained on other videos: {counts}. Restore the list or folder of videos, or choose "
            f"another --config.name for a new run, which can begin with its weights: --init_from={folder}."
        )
