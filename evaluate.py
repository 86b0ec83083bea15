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
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import keras
from absl import app, flags

from bod_keras import evaluation, experiment
from bod_keras.clean_exit import clean_exit
from bod_keras.evaluation.protocols import Split, Subject, read_protocol, run_protocol
from bod_keras.training import RunFolder

# Measures of a protocol that its table shows.
_PROTOCOLS = {"linear": ("linear",), "knn": ("knn",), "factors": ("linear", "knn")}
_FOLDER = Path(__file__).parent / "configs" / "protocols"

_MODELS = flags.DEFINE_multi_string(
    "model", [], "A run's folder, as train.py leaves it; repeatable."
)
_PROTOCOL = flags.DEFINE_multi_string(
    "protocol", ["factors"], "A protocol of configs/protocols, or the path of one; repeatable."
)
_SET = flags.DEFINE_multi_string(
    "set", [], "key=value: another choice than the protocol's, which is then reported as modified."
)
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
        protocols = [read_protocol(name, _FOLDER, _SET.value) for name in _PROTOCOL.value]
        runs = [_evaluate(RunFolder(folder), protocols) for folder in _MODELS.value]
        output = RunFolder(_OUTPUT.value) if _OUTPUT.value else None
        for position, protocol in enumerate(protocols):
            report([run[position] for run in runs], protocol.kind, output)
        if output is not None:
            output.push()
            output.close()
    except (ValueError, OSError) as error:
        if _TRACEBACK.value:
            raise
        failure = f"evaluate.py: {error}"
    # The error is let go of first: a stream that it still held would abort the interpreter at exit.
    gc.collect()
    if failure is not None:
        sys.exit(failure)


def _evaluate(folder, protocols):
    """Measure one run and write the numbers into its report."""
    try:
        folder.pull("report.json", "model.keras")
        results = evaluate(folder, protocols)
        folder.push()
    finally:
        folder.close()
    return results


def evaluate(folder, protocols):
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

    def make_data(catalog, **changes):
        return experiment.probe_data({**config, "clips": {**config["clips"], **changes}}, catalog)

    splits = [
        Split(experiment.probe_catalog(config, part), make_data, part) for part in ("train", "test")
    ]
    results = []
    for protocol in protocols:
        subject = Subject(
            model, config, *splits, folder.path / "evaluation" / protocol.name, config["seed"]
        )
        print(f"{folder}: {protocol.name}", flush=True)
        result = {
            "protocol": protocol.name,
            "version": protocol.version,
            "modified": protocol.modified.to_dict(),
            "views": protocol.views,
            "crops": protocol.crops,
            "videos": [len(split.records) - len(split.data.skipped) for split in splits],
            "skipped": {k: v for split in splits for k, v in split.data.skipped.items()},
            "blocked": {k: v for split in splits for k, v in split.catalog.blocked.items()},
            "missing": [name for split in splits for name in split.catalog.missing],
            **run_protocol(subject, protocol),
            "environment": evaluation.environment(),
        }
        result["videos"] = [len(split.records) - len(split.data.skipped) for split in splits]
        evaluation.write_report(saved, **{f"evaluation_{protocol.name}": result})
        if protocol.kind == "factors":
            _plot([{"name": config["name"], **result}], folder.path / "factors.png")
        results.append(
            {
                "name": config["name"],
                "seconds_per_step": record["training"]["seconds_per_step"],
                **result,
            }
        )
    return results


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


if __name__ == "__main__":
    with clean_exit():
        app.run(main)
