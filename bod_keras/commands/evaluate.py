"""Runs evaluated by protocols: from the folder of a run to numbers in its report, tables and pictures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from ml_collections import ConfigDict

from bod_keras import evaluation
from bod_keras.commands.probed_videos import Options, Videos, folds, seeds
from bod_keras.commands.tracking import track_evaluations
from bod_keras.errors import UserError
from bod_keras.evaluation.feature_cache import FeatureCache
from bod_keras.evaluation.protocols import (
    KINDS,
    Split,
    Subject,
    change_protocol,
    combine,
    parts_of,
    read_protocol,
    result_tables,
    run_protocol,
)
from bod_keras.storage.atomic_file import check_target, sweep_parts
from bod_keras.storage.lock import lock
from bod_keras.storage.remote_error import without_secrets
from bod_keras.training import RunFolder, load_model

_PULLED = (
    *("report.json", "model.keras", "features/*"),
    *("evaluation/*/training-*", "evaluation/*/detector-*"),
)

_SECTIONS = ("data", "clips", "probe")  # of a config, without which nothing can be evaluated
_Found = tuple[str, list[dict]]  # name of a run, and the results of splits and seeds


def evaluate_runs(folders: Sequence[str], options: Options, protocols_folder: str | Path) -> None:
    """Run protocols on runs, write the numbers into their reports, and print a table a protocol.

    Args:
        folders: of finished runs, as train.py leaves them.
        options: the flags.
        protocols_folder: where protocols are found by name.

    Raises:
        UserError: a wrong option, protocol, run or list of videos.
        TrainingStoppedError: a signal has stopped fine-tuning.
    """
    if options.per_class is not None and options.per_class < 1:
        raise UserError(f"--per_class must be at least 1. Received: {options.per_class}")
    if options.share is not None and not 0 < options.share <= 1:
        raise UserError(f"--share must lie above 0, and at most at 1. Received: {options.share}")
    if options.output:
        _check_output(options.output)
    protocols = [
        change_protocol(read_protocol(name, protocols_folder), options.set)
        for names in options.protocol
        for name in names.split(",")
    ]
    for protocol in protocols:
        protocol.per_class = options.per_class or protocol.per_class
        protocol.share = options.share or protocol.share
    runs = [_evaluate(RunFolder(folder), protocols, options) for folder in folders]
    _report(runs, protocols, options)


def _evaluate(folder: RunFolder, protocols: list[ConfigDict], options: Options) -> list[_Found]:
    """Run the protocols on one run, and write the numbers into its report."""
    try:
        folder.pull(*_PULLED)
        return _results(folder, protocols, options)
    finally:
        if folder.path.exists():
            folder.push()
        folder.close()


def _results(folder: RunFolder, protocols: list[ConfigDict], options: Options) -> list[_Found]:
    """For each protocol: name of the run, and the results of splits and seeds."""
    saved = folder.path / "report.json"
    if not saved.exists() or not (folder.path / "model.keras").exists():
        raise UserError(
            f"{folder} is not the folder of a finished run: it must hold report.json and model.keras. "
            "Let train.py finish it first."
        )
    config = evaluation.read_report(saved).get("config")
    parts = config if isinstance(config, dict) else {}
    if not all(isinstance(parts.get(name), dict) for name in _SECTIONS) or "seed" not in parts:
        raise UserError(
            f"{folder}/report.json holds no whole config: it is damaged, or of a run whose folder was deleted "
            "while it went on. Restore it from a copy."
        )
    sweep_parts(folder.path)
    model = load_model(folder.path / "model.keras")
    cache = FeatureCache(folder.path / "features")
    videos = Videos(config, options)
    cases = [(fold, seed) for fold in folds(config, options) for seed in seeds(config, options)]
    found, names = [], []
    for protocol in protocols:
        protocol = as_in_the_run(protocol, config)
        name, results = protocol_name(protocol, options), []
        for fold, seed in cases:
            place = folder.path / "evaluation" / name
            if len(cases) > 1:
                place /= f"split{fold}-seed{seed}" if fold else f"seed{seed}"
            about = f", split {fold}" if fold else ""
            print(f"{folder}: {name}, version {protocol.version}{about}, seed {seed}", flush=True)
            probed, splits, warnings = videos.splits(protocol, fold, seed, model)
            subject = Subject(model, probed, *splits, place, seed, cache)
            results.append(_measure(subject, protocol, fold, warnings))
            for verdict in results[-1].get("verdicts", ()):
                print(f"  {verdict}", flush=True)
            tell_skipped(splits)
        result = combine(results)
        _write(folder, **{f"evaluation_{name}": result})
        if protocol.kind == "factors":
            _plot([(config["name"], results)], folder.path / "factors.png")
        if result.get("files"):
            print(f"Tables and pictures: {folder}/evaluation/{name}", flush=True)
        found.append((config["name"], results))
        names.append(name)
    track_evaluations(folder.path, str(folder), evaluation.read_report(saved), names)
    return found


def _write(folder: RunFolder, **sections: Any) -> None:
    """Into the report as it is stored now: another evaluation may have written to it meanwhile."""
    # Of a local file `write_report` has a lock of its own.
    waits = lock(f"{folder}/report.json", "Repeat the command.", wait=60.0)
    with waits if folder.is_remote else contextlib.nullcontext():
        folder.pull("report.json")
        evaluation.write_report(folder.path / "report.json", **sections)
        folder.push()


def _measure(subject: Subject, protocol: ConfigDict, fold: int | None, warnings: list) -> dict:
    """The result of one protocol on one split with one seed."""
    keras.utils.set_random_seed(subject.seed)
    started = time.perf_counter()
    measured = run_protocol(subject, protocol)
    splits = [split for split in (subject.train, subject.test) if split is not None]
    return {
        "protocol": protocol.name,
        "version": protocol.version,
        "modified": protocol.modified.to_dict(),
        "fold": fold,
        "seed": subject.seed,
        "views": protocol.views,
        "crops": protocol.crops,
        "videos": [
            sum(record.path not in split.skipped for record in split.records) for split in splits
        ],
        "skipped": {k: v for split in splits for k, v in split.skipped.items()},
        "blocked": {k: v for split in splits for k, v in split.catalog.blocked.items()},
        "missing": [name for split in splits for name in split.catalog.missing],
        "warnings": warnings + measured.pop("warnings", []),
        **measured,
        "provenance": evaluation.provenance(protocol, subject, time.perf_counter() - started),
    }


def protocol_name(protocol: ConfigDict, options: Options) -> str:
    """Return what a result is filed under: the protocol, and all that was changed on the command line."""
    words = [protocol.name, *([options.dataset] if options.dataset else [])]
    if options.split:
        words.append(f"split{'+'.join(options.split)}")
    words += [f"{protocol.per_class}-per-class"] if protocol.per_class else []
    words += [f"share{protocol.share:g}"] if protocol.share else []
    words += [f"{key}={now}" for key, (_, now) in sorted(protocol.modified.items())]
    return "-".join(words).replace("/", "_").replace(" ", "")


def _check_output(name: str) -> None:
    """Raise now what would be raised when all is computed: it is a file, or nothing can be written there."""
    output = RunFolder(name)
    try:
        check_target(output.path / "table.txt")
    finally:
        output.close()


def _report(runs: list[list[_Found]], protocols: list[ConfigDict], options: Options) -> None:
    """Print one table a protocol, and save them if asked to."""
    output = RunFolder(options.output) if options.output else None
    texts = []
    for position, protocol in enumerate(protocols):
        found = [run[position] for run in runs]
        table = result_tables(found, protocol.kind)
        title = (
            f"{protocol_name(protocol, options)}, version {protocol.version}: {len(runs)} run(s)"
        )
        print(f"\n{title}\n{table}")
        said = [w for _, results in found for result in results for w in result["warnings"]]
        for warning in dict.fromkeys(said):
            print(f"WARNING: {warning}")
        texts.append(table)
        if output is not None and protocol.kind == "factors":
            _plot(found, output.path / "factors.png")
    if output is not None:
        (output.path / "table.txt").write_text("\n\n".join(texts) + "\n")
        output.push()
        output.close()


def as_in_the_run(protocol: ConfigDict, config: Mapping[str, Any]) -> ConfigDict:
    """Return our protocols on frozen features, with the views and crops that the run's config asks for."""
    if not KINDS[protocol.kind].as_in_the_run or protocol.name != protocol.kind:
        return protocol
    wanted = {key: config["probe"].get(key, 1) for key in ("views", "crops")}
    changes = [f"{k}={v}" for k, v in wanted.items() if v != 1 and k not in protocol.modified]
    return change_protocol(protocol, changes)


def tell_skipped(splits: Sequence[Split | None]) -> None:
    for split in splits:
        if split is not None and split.skipped:
            total = len(split.records)
            print(
                f"{len(split.skipped)} of {total} {split.name} videos were skipped (all in report.json):"
            )
            for path, reason in list(split.skipped.items())[:5]:
                print(f"  {without_secrets(path)}: {reason}", flush=True)


def _plot(runs: Sequence[_Found], png: Path) -> None:
    """The picture of the accuracies by the first measure, a group of bars a run."""
    rows = [{"name": name, "factors": r["factors"]} for name, results in runs for r in results]
    table, chance = {}, {}
    for row in evaluation.summarize(rows):
        for factor, scores in rows[0]["factors"].items():
            chance[factor] = scores["chance"]
            table.setdefault(row["name"], {})[factor] = {
                part: row[f"factors.{factor}.{part}.{next(iter(scores[part]))}"]
                for part in parts_of(scores)
            }
    evaluation.plot_factors(table, chance, png)
