"""Evaluate trained encoders by named protocols: features, numbers with their provenance, tables and pictures.

python evaluate.py --model=runs/demo-plain-seed0 --model=runs/demo-bod-seed0 --protocol=factors
python evaluate.py --model=runs/videos-seed0 --protocol=linear --probe_train=train.csv --probe_test=test.csv
python evaluate.py --model=RUN --dataset=ucf101 --root=UCF-101 --annotations=ucfTrainTestlist \
  --split=1,2,3 --protocol=linear --protocol=retrieval

A protocol is a file of configs/protocols, whose docstring says every choice, or a file of yours;
docs/evaluation.md lists them. --model and --protocol may be given several times; runs of one name are averaged,
and so are several splits and seeds: mean and standard deviation.

Numbers and where they come from go to each run's report.json, tables and pictures to RUN/evaluation/PROTOCOL,
the joint table also to --output, if given. Features are extracted once and kept in RUN/features.
"""

import contextlib
import gc
import io
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import keras
from absl import app, flags

from bod_keras import evaluation, experiment
from bod_keras.data import find_dataset
from bod_keras.evaluation.feature_cache import FeatureCache
from bod_keras.evaluation.finetuning import TrainingStoppedError
from bod_keras.evaluation.low_shot import low_shot
from bod_keras.evaluation.protocols import (
    Split,
    Subject,
    change_protocol,
    combine,
    misuse,
    parts_of,
    read_protocol,
    result_tables,
    run_protocol,
)
from bod_keras.storage.clean_exit import clean_exit
from bod_keras.training import RunFolder

_FOLDER = Path(__file__).parent / "configs" / "protocols"

_MODELS = flags.DEFINE_multi_string(
    "model", [], "A run's folder, as train.py leaves it; repeatable."
)
_PROTOCOL = flags.DEFINE_multi_string(
    "protocol", ["factors"], "A protocol of configs/protocols, or the path of one; repeatable."
)
_SET = flags.DEFINE_multi_string(
    "set", [], "KEY=VALUE: another choice than the protocol's, which is then reported as modified."
)
_DATASET = flags.DEFINE_string("dataset", None, "A data set of docs/data.md, if not the run's own.")
_ROOT = flags.DEFINE_string("root", None, "Folder of its videos.")
_ANNOTATIONS = flags.DEFINE_string("annotations", None, "Folder of its annotation files.")
_SPLIT = flags.DEFINE_list("split", None, "Which of its official splits, such as 1, or 1,2,3.")
_TRAIN = flags.DEFINE_string(
    "probe_train", None, "Labelled videos to fit on, if not the run's own."
)
_TEST = flags.DEFINE_string("probe_test", None, "Labelled videos to test on, if not the run's own.")
_PER_CLASS = flags.DEFINE_integer("per_class", None, "Low-shot: learn from so many videos a class.")
_SHARE = flags.DEFINE_float("share", None, "Low-shot: learn from this share of each class.")
_SEEDS = flags.DEFINE_list("seeds", None, "Seeds, such as 0,1,2; by default the run's.")
_OVERLAP = flags.DEFINE_bool(
    "allow_overlap", False, "Go on if a test video is in the training list."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the joint table and plot.")
_TRACEBACK = flags.DEFINE_bool("traceback", False, "Show the Python traceback of an error.")


def main(argv):
    if argv[1:]:
        sys.exit(f"evaluate.py: unexpected arguments: {' '.join(argv[1:])}. Flags begin with --.")
    if not _MODELS.value:
        sys.exit(
            "evaluate.py: --model is missing, such as --model=runs/demo-bod-seed0. See --help."
        )
    failure, code = None, 1
    try:
        protocols = [
            change_protocol(read_protocol(name, _FOLDER), _SET.value) for name in _PROTOCOL.value
        ]
        for protocol in protocols:
            protocol.per_class = _PER_CLASS.value or protocol.per_class
            protocol.share = _SHARE.value or protocol.share
        runs = [_evaluate(RunFolder(folder), protocols) for folder in _MODELS.value]
        report(runs, protocols)
    except TrainingStoppedError as stopped:
        failure, code = str(stopped), 128 + stopped.number
    except (ArithmeticError, ImportError, RuntimeError, ValueError, OSError) as error:
        if _TRACEBACK.value:
            raise
        failure = f"evaluate.py: {error}"
    # The error is let go of first: a stream that it still held would abort the interpreter at exit.
    gc.collect()
    if failure is not None:
        print(failure, file=sys.stderr)
        sys.exit(code)


def _evaluate(folder, protocols):
    """Run the protocols on one run, and write the numbers into its report."""
    try:
        folder.pull(
            "report.json",
            "model.keras",
            "features/*",
            "evaluation/*/training-*",
            "evaluation/*/detector-*",
        )
        results = evaluate(folder, protocols)
    finally:
        if folder.path.exists():
            folder.push()
        folder.close()
    return results


def evaluate(folder, protocols):
    """For each protocol: name of the run, seconds per training step, and the results of splits and seeds."""
    saved = folder.path / "report.json"
    if not saved.exists() or not (folder.path / "model.keras").exists():
        raise ValueError(
            f"{folder} is not the folder of a finished run: it must hold report.json and model.keras. "
            "Let train.py finish it first."
        )
    record = json.loads(saved.read_text())
    config = record["config"]
    model = keras.models.load_model(folder.path / "model.keras")
    cache = FeatureCache(folder.path / "features")
    videos = Videos(config)
    cases = [(fold, seed) for fold in _folds(config) for seed in _seeds(config)]
    found = []
    for protocol in protocols:
        protocol = as_in_the_run(protocol, config)
        name, results = protocol_name(protocol), []
        for fold, seed in cases:
            place = folder.path / "evaluation" / name
            if len(cases) > 1:
                place /= f"split{fold}-seed{seed}" if fold else f"seed{seed}"
            about = f", split {fold}" if fold else ""
            print(f"{folder}: {name}, version {protocol.version}{about}, seed {seed}", flush=True)
            probed, splits, warnings = videos.splits(protocol, fold, seed, model)
            subject = Subject(model, probed, *splits, place, seed, cache)
            results.append(measure(subject, protocol, fold, warnings))
            for verdict in results[-1].get("verdicts", ()):
                print(f"  {verdict}", flush=True)
            _tell_skipped(splits)
        result = combine(results)
        evaluation.write_report(saved, **{f"evaluation_{name}": result})
        if protocol.kind == "factors":
            _plot([(config["name"], None, results)], folder.path / "factors.png")
        if result.get("files"):
            print(f"Tables and pictures: {folder}/evaluation/{name}", flush=True)
        found.append((config["name"], record["training"]["seconds_per_step"], results))
    return found


def measure(subject, protocol, fold, warnings):
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
        "videos": [_readable(split) for split in splits],
        "skipped": {k: v for split in splits for k, v in split.skipped.items()},
        "blocked": {k: v for split in splits for k, v in split.catalog.blocked.items()},
        "missing": [name for split in splits for name in split.catalog.missing],
        "warnings": warnings + measured.pop("warnings", []),
        **measured,
        "provenance": evaluation.provenance(protocol, subject, time.perf_counter() - started),
    }


def protocol_name(protocol):
    """What a result is filed under: the protocol, and everything that was changed on the command line."""
    words = [protocol.name, *([_DATASET.value] if _DATASET.value else [])]
    if _SPLIT.value:
        words.append(f"split{'+'.join(_SPLIT.value)}")
    words += [f"{protocol.per_class}-per-class"] if protocol.per_class else []
    words += [f"share{protocol.share:g}"] if protocol.share else []
    words += [f"{key}={now}" for key, (_, now) in sorted(protocol.modified.items())]
    return "-".join(words).replace("/", "_").replace(" ", "")


def probe_config(config, fold, protocol):
    """The run's config with the labelled videos of the flags, and the protocol's clips."""
    data, probe = dict(config["data"]), dict(config["probe"])
    for part, source in (("train", _TRAIN.value), ("test", _TEST.value)):
        probe[part] = source or probe[part]
    if _DATASET.value:
        root = _ROOT.value
        if not root:
            raise ValueError(f"--root is missing: the folder of the videos of {_DATASET.value}.")
        data |= {"dataset": _DATASET.value, "root": root, "annotations": _ANNOTATIONS.value}
        data |= {"source": "", "fold": 1, "blocklist": None}
        probe |= {"train": _TRAIN.value or "", "test": _TEST.value or ""}
    elif _ROOT.value or _ANNOTATIONS.value:
        data["root"] = _ROOT.value or data["root"]
        data["annotations"] = _ANNOTATIONS.value or data["annotations"]
    data["fold"] = fold or data["fold"]
    if protocol.get("built_in"):
        if _DATASET.value or _TRAIN.value or _TEST.value:
            raise ValueError(
                f"The protocol {protocol.name} brings its own videos. Leave --dataset, --probe_train and "
                "--probe_test out, or choose another protocol."
            )
        data |= experiment.built_in_discs(config)
        probe |= {"train": "", "test": ""}
    clips = {key: protocol[key] for key in ("frames", "stride", "size") if protocol[key]}
    return {**config, "data": data, "probe": probe, "clips": {**config["clips"], **clips}}


class Videos:
    """The labelled videos that a run is evaluated on, checked once for each official split."""

    def __init__(self, config):
        self._config = config
        self._pretrained_on = _pretrained_on(config)
        self._found = {}  # (fold, built-in data, unlabelled) -> catalogues of train and test, warnings

    def splits(self, protocol, fold, seed, model):
        """The config as the protocol wants it, the two `Split`s, and what has to be said of them."""
        config = probe_config(self._config, fold, protocol)
        clips = config["clips"]
        encoder = getattr(model, "encoder", model)
        misuse.check_clips(encoder, clips["frames"], clips["size"], protocol.name)
        unlabelled = protocol.get("unlabelled", False)  # one list of videos is enough, then
        place = (fold, protocol.get("built_in"), unlabelled)  # a protocol may bring its own videos
        if place not in self._found:
            if unlabelled:
                catalogs = [None, experiment.unlabelled_catalog(config)]
            else:
                catalogs = [experiment.probe_catalog(config, part) for part in ("train", "test")]
                misuse.check_class_names(*(catalog.class_names for catalog in catalogs))
            records = [catalog.records if catalog else [] for catalog in catalogs]
            warnings = misuse.leaks(*records, self._pretrained_on, _OVERLAP.value)
            for warning in warnings:  # now, before hours of reading, and again with the table
                print(f"WARNING: {warning}", flush=True)
            self._found[place] = catalogs, warnings
        catalogs, warnings = self._found[place]

        def make_data(catalog, **changes):
            if changes.get("flip", 0.0) is None and not catalog.flip_safe:
                changes["flip"] = 0.0  # a flip would change the label
            settings = {**config, "seed": seed, "clips": {**clips, **changes}}
            return experiment.probe_data(settings, catalog)

        train, test = (
            None if catalog is None else Split(catalog, make_data, name)
            for catalog, name in zip(catalogs, ("train", "test"))
        )
        if unlabelled and (protocol.per_class or protocol.share):
            raise ValueError(
                f"--per_class and --share choose among labelled videos, and {protocol.name} uses no labels. "
                "Leave them out."
            )
        if protocol.per_class or protocol.share:
            column = "label" if "label" in train.labels else next(iter(train.labels))
            rows = low_shot(train.labels[column], protocol.per_class, protocol.share, seed)
            train = train.subset(rows)
        return config, (train, test), warnings


def report(runs, protocols):
    """Print one table a protocol, and save them if asked to."""
    output = RunFolder(_OUTPUT.value) if _OUTPUT.value else None
    texts = []
    for position, protocol in enumerate(protocols):
        found = [run[position] for run in runs]
        table = result_tables(found, protocol.kind)
        title = f"{protocol_name(protocol)}, version {protocol.version}: {len(runs)} run(s)"
        print(f"\n{title}\n{table}")
        said = [w for _, _, results in found for result in results for w in result["warnings"]]
        for warning in dict.fromkeys(said):
            print(f"WARNING: {warning}")
        texts.append(table)
        if output is not None and protocol.kind == "factors":
            _plot(found, output.path / "factors.png")
    if output is not None:
        output.path.mkdir(parents=True, exist_ok=True)
        (output.path / "table.txt").write_text("\n\n".join(texts) + "\n")
        output.push()
        output.close()


def as_in_the_run(protocol, config):
    """Our protocols on frozen features, with the views and crops that the run's config asks for."""
    if protocol.name not in ("linear", "knn", "factors"):
        return protocol
    wanted = {key: config["probe"].get(key, 1) for key in ("views", "crops")}
    changes = [f"{k}={v}" for k, v in wanted.items() if v != 1 and k not in protocol.modified]
    return change_protocol(protocol, changes)


def _pretrained_on(config):
    """The records that the run was pre-trained on; None where they cannot be found."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return experiment.training_catalog(config).records
    except (OSError, ValueError):
        return None


def _folds(config):
    """The official splits to evaluate on; None where there is no choice."""
    if not _SPLIT.value:
        return [
            config["data"]["fold"] if config["data"]["dataset"] and not _DATASET.value else None
        ]
    dataset = _DATASET.value or config["data"]["dataset"]
    if not dataset or _TRAIN.value or _TEST.value:
        raise ValueError(
            "--split chooses among the official splits of a data set, and these videos have none. Name the "
            "data set with --dataset, or give the lists with --probe_train and --probe_test."
        )
    return _integers("split", _SPLIT.value, 1, find_dataset(dataset).folds)


def _seeds(config):
    return _integers("seeds", _SEEDS.value, 0) if _SEEDS.value else [config["seed"]]


def _integers(flag, texts, low, high=None):
    try:
        numbers = [int(text) for text in texts]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < low or (high is not None and max(numbers) > high):
        bounds = f"{low} to {high}" if high is not None else f"{low} or more"
        raise ValueError(
            f"--{flag} must be numbers, {bounds}, with commas between. Received: {','.join(texts)}"
        )
    return list(dict.fromkeys(numbers))


def _readable(split):
    skipped = split.skipped
    return sum(record.path not in skipped for record in split.records)


def _tell_skipped(splits):
    for split in splits:
        if split is not None and split.skipped:
            total = len(split.records)
            print(
                f"{len(split.skipped)} of {total} {split.name} videos were skipped (all in report.json):"
            )
            for path, reason in list(split.skipped.items())[:5]:
                print(f"  {path}: {reason}", flush=True)


def _plot(runs, png):
    """The picture of the accuracies by the first measure, a group of bars a run."""
    rows = [{"name": name, "factors": r["factors"]} for name, _, results in runs for r in results]
    table, chance = {}, {}
    for row in evaluation.summarise(rows):
        for factor, scores in rows[0]["factors"].items():
            chance[factor] = scores["chance"]
            table.setdefault(row["name"], {})[factor] = {
                part: row[f"factors.{factor}.{part}.{next(iter(scores[part]))}"]
                for part in parts_of(scores)
            }
    evaluation.plot_factors(table, chance, png)


if __name__ == "__main__":
    with clean_exit():
        app.run(main)
