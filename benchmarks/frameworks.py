"""Every framework, plain and decoupled, on the built-in data: what its features know, and what it costs.

    python benchmarks/frameworks.py                  # 16 runs of some 2 minutes on 2 CPU cores
    python benchmarks/frameworks.py --seeds=3
    python benchmarks/frameworks.py --frameworks=vmoco,vbyol --smoke

The runs are those of ``configs/demo.py:KIND,FRAMEWORK``, by train.py and evaluate.py; finished ones are not run
again, and a stopped one resumes.

How to read it: "static" is the digit (chance 0.100), "dynamic" the direction of motion (chance 0.125), read by
a linear probe from frozen features of videos in which the two are independent: from the time mean of the
encoder's features (pooled), or from the part that should know it. A plain run has no parts of its own: they are
read through an untrained split. "rank" is the effective rank, at the end of training, of the embeddings that
the loss compares, of 64 videos: near 1 they have collapsed. "time" is that of a decoupled step over that of a
plain one: both models take turns on one batch, median of the rounds' ratios.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks import step  # noqa: E402
from bod_keras.evaluation import format_table, summarize  # noqa: E402
from bod_keras.frameworks import FRAMEWORKS  # noqa: E402

KINDS = ("plain", "bod")
# Heading to where it is in a run's report.
COLUMNS = {
    "static pooled": "evaluation_linear.factors.static.pooled.linear",
    "static part": "evaluation_linear.factors.static.static.linear",
    "dynamic pooled": "evaluation_linear.factors.dynamic.pooled.linear",
    "dynamic part": "evaluation_linear.factors.dynamic.dynamic.linear",
    "rank base": "history.base_effective_rank.last",
    "rank static": "history.static_effective_rank.last",
    "rank dynamic": "history.dynamic_effective_rank.last",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--frameworks", default=",".join(FRAMEWORKS), help="which ones (all)")
    add("--seeds", type=int, default=1, help="how many seeds, from 0")
    add("--smoke", action="store_true", help="tiny runs: does it work?")
    add("--output", default="runs", help="folder of the runs")
    add("--rounds", type=int, default=15, help="rounds of the timing; the first seed is timed")
    add("--data", default="data/built-in", help="folder of the built-in videos")
    options = parser.parse_args()
    names = options.frameworks.split(",")
    unknown = sorted(set(names) - set(FRAMEWORKS))
    if unknown:
        sys.exit(
            f"--frameworks must be among {', '.join(FRAMEWORKS)}. Received: {', '.join(unknown)}"
        )
    measured = []
    for name in names:
        for kind in KINDS:
            for seed in range(options.seeds):
                report = run(options, name, kind, seed)
                row = {heading: look_up(report, path) for heading, path in COLUMNS.items()}
                measured.append({"name": f"{name} {kind}", **row})
    rows = summarize(measured)
    for row in rows:
        name, kind = row["name"].split()
        row["time"] = time_ratio(options, name) if kind == "bod" else 1.0
    columns = {"name": "framework", "runs": "seeds"}
    columns |= {h: h for h in (*COLUMNS, "time") if any(row.get(h) is not None for row in rows)}
    print(f"\n{format_table(rows, columns)}")


def folder_of(options, name, kind, seed):
    suffix = "-smoke" if options.smoke else ""
    return Path(options.output) / f"demo-{name}-{kind}{suffix}-seed{seed}"


def time_ratio(options, name):
    """Seconds of a decoupled step over those of a plain one, from the trained models."""
    paths = {kind: folder_of(options, name, kind, seed=0) / "model.keras" for kind in KINDS}
    models = {kind: keras.models.load_model(path) for kind, path in paths.items()}
    config = json.loads((folder_of(options, name, "plain", seed=0) / "report.json").read_text())[
        "config"
    ]
    clips = step.make_batch(models["plain"], config["clips"]["batch_size"])
    _, times = step.measure(models, clips, options.rounds)
    return float(np.median(times["bod"] / times["plain"]))


def run(options, name, kind, seed):
    """Train and evaluate one run unless that is done; its report."""
    arguments = ",".join([kind, name, *(["smoke"] if options.smoke else [])])
    folder = folder_of(options, name, kind, seed)
    command(
        "train.py",
        f"--config=configs/demo.py:{arguments}",
        f"--config.seed={seed}",
        f"--config.output={options.output}",
        f"--config.built_in.folder={options.data}",
    )
    report = json.loads((folder / "report.json").read_text())
    if "evaluation_linear" not in report:
        command("evaluate.py", "--protocol=linear", f"--model={folder}")
        report = json.loads((folder / "report.json").read_text())
    return report


def command(script, *arguments):
    done = subprocess.run([sys.executable, str(ROOT / script), *arguments])
    if done.returncode:
        sys.exit(f"{script} {' '.join(arguments)} failed with status {done.returncode}.")


def look_up(report, path):
    for key in path.split("."):
        report = report.get(key) if report else None
    return report


if __name__ == "__main__":
    main()
