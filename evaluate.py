"""Evaluate trained encoders: --model may be given several times; runs of one name are averaged over seeds.

python evaluate.py --model=runs/demo-plain-seed0 --model=runs/demo-bod-seed0 --protocol=factors
python evaluate.py --model=runs/videos-seed0 --protocol=linear --probe_train=train.csv --probe_test=test.csv

Protocols, all on frozen features of the run's own clip length and size, centre crops, no test-time choice:
  linear   logistic regression on standardised features, its penalty chosen on a part of the training videos
  knn      weighted vote of the 20 nearest training videos by cosine similarity, temperature 0.07
  factors  both, and a plot, for every label or factor of the videos and every part: the pooled features, the
           static part and the dynamic part

The numbers go to each run's report.json; the table and factors.png also to --output, if given.
"""

import gc
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import keras
from absl import app, flags

from bod_keras import evaluation, experiment
from bod_keras.clean_exit import clean_exit
from bod_keras.training import RunFolder

_PROTOCOLS = {"linear": ("linear",), "knn": ("knn",), "factors": ("linear", "knn")}

_MODELS = flags.DEFINE_multi_string(
    "model", [], "A run's folder, as train.py leaves it; repeatable."
)
_PROTOCOL = flags.DEFINE_enum("protocol", "factors", list(_PROTOCOLS), "What to measure.")
_TRAIN = flags.DEFINE_string(
    "probe_train", None, "Labelled videos to fit on, if not the run's own."
)
_TEST = flags.DEFINE_string("probe_test", None, "Labelled videos to test on, if not the run's own.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder for the joint table and plot.")
_TRACEBACK = flags.DEFINE_bool("traceback", False, "Show the Python traceback of an error.")


def main(argv):
    if argv[1:]:
        sys.exit(f"evaluate.py: unexpected arguments: {' '.join(argv[1:])}. Flags begin with --.")
    if not _MODELS.value:
        sys.exit(
            "evaluate.py: --model is missing, such as --model=runs/demo-bod-seed0. See --help."
        )
    failure = None
    try:
        runs = [_evaluate(RunFolder(folder), _PROTOCOL.value) for folder in _MODELS.value]
        report(runs, _PROTOCOL.value, RunFolder(_OUTPUT.value) if _OUTPUT.value else None)
    except (ValueError, OSError) as error:
        if _TRACEBACK.value:
            raise
        failure = f"evaluate.py: {error}"
    # The error is let go of first: a stream that it still held would abort the interpreter at exit.
    gc.collect()
    if failure is not None:
        sys.exit(failure)


def _evaluate(folder, protocol):
    """Measure one run and write the numbers into its report."""
    try:
        folder.pull("report.json", "model.keras")
        result = evaluate(folder, protocol)
        folder.push()
    finally:
        folder.close()
    return result


def evaluate(folder, protocol):
    saved = folder.path / "report.json"
    if not saved.exists() or not (folder.path / "model.keras").exists():
        raise ValueError(
            f"{folder} is not the folder of a finished run: it must hold report.json and model.keras. "
            "Let train.py finish it first."
        )
    record = json.loads(saved.read_text())
    config = record["config"]
    for part, source in (("train", _TRAIN.value), ("test", _TEST.value)):
        config["probe"][part] = source or config["probe"][part]
    model = keras.models.load_model(folder.path / "model.keras")
    splits, skipped, blocked, missing = [], {}, {}, []
    for part in ("train", "test"):
        catalog = experiment.probe_catalog(config, part)
        data = experiment.probe_data(config, catalog)
        print(f"{folder}: features of {len(data)} {part} videos ...", flush=True)
        with data.clear_errors():
            stream = data.evaluation_numpy(
                config["probe"]["views"], config["probe"].get("crops", 1)
            )
            features, index = evaluation.extract_features(model, stream)
        splits.append((features, _labels([data.records[i] for i in index])))
        skipped |= data.skipped
        blocked |= catalog.blocked
        missing += catalog.missing
    results = {
        "protocol": protocol,
        "views": config["probe"]["views"],
        "crops": config["probe"].get("crops", 1),
        "videos": [len(labels[next(iter(labels))]) for _, labels in splits],
        "skipped": skipped,
        "blocked": blocked,
        "missing": missing,
        "factors": evaluation.factor_probes(*splits),
        "environment": evaluation.environment(),
    }
    evaluation.write_report(saved, **{f"evaluation_{protocol}": results})
    if protocol == "factors":
        _plot([{"name": config["name"], **results}], folder.path / "factors.png")
    return {
        "name": config["name"],
        "seconds_per_step": record["training"]["seconds_per_step"],
        **results,
    }


def report(runs, protocol, output):
    """Print the table of all runs, one row a run name and factor; save it if asked to."""
    summary = evaluation.summarise(
        [{k: run[k] for k in ("name", "seconds_per_step", "factors")} for run in runs]
    )
    parts = list(
        dict.fromkeys(p for run in runs for f in run["factors"].values() for p in _parts(f))
    )
    columns = {"name": "run", "runs": "seeds", "factor": "factor", "chance": "chance"}
    columns |= {f"{p} {m}": f"{m}: {p}" for m in _PROTOCOLS[protocol] for p in parts}
    columns["seconds_per_step"] = "s/step"
    rows = []
    for factor in runs[0]["factors"]:
        for row in summary:
            entry = {"name": row["name"], "runs": row["runs"], "factor": factor}
            entry["chance"] = row[f"factors.{factor}.chance"][0]
            entry["seconds_per_step"] = row.get("seconds_per_step")  # none in a run of a few steps
            for part in parts:
                for measure in _PROTOCOLS[protocol]:
                    entry[f"{part} {measure}"] = row.get(f"factors.{factor}.{part}.{measure}")
            rows.append(entry)
    table = evaluation.format_table(rows, columns)
    print(
        "\nAccuracy on the test videos. linear: linear probe, knn: nearest neighbours. pooled: time mean of\n"
        "the encoder's features, static and dynamic: the two parts. s/step: seconds per training step.\n"
        f"{table}"
    )
    if output is not None:
        output.path.mkdir(parents=True, exist_ok=True)
        (output.path / "table.txt").write_text(table + "\n")
        if protocol == "factors":
            _plot(runs, output.path / "factors.png")
        output.push()
        output.close()


def _plot(runs, png):
    table, chance = {}, {}
    for row in evaluation.summarise([{"name": r["name"], "factors": r["factors"]} for r in runs]):
        for factor, scores in runs[0]["factors"].items():
            chance[factor] = scores["chance"]
            table.setdefault(row["name"], {})[factor] = {
                part: row[f"factors.{factor}.{part}.linear"] for part in _parts(scores)
            }
    evaluation.plot_factors(table, chance, png)


def _parts(scores):
    return [part for part in scores if part not in ("best", "chance")]


def _labels(records):
    """Each label column of the records: "label" and the factors."""
    columns = {name: [r.factors[name] for r in records] for name in records[0].factors}
    if all(record.label is not None for record in records):
        columns["label"] = [record.label for record in records]
    if not columns:
        raise ValueError(
            "The probe's videos have no labels. Use one folder a class, a list 'path label', or a CSV "
            "file with a label or factor columns."
        )
    return columns


if __name__ == "__main__":
    with clean_exit():
        app.run(main)
