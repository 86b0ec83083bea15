"""Appearance and motion that co-occur: what does a video model learn, plain and decoupled?

    python -m benchmarks.cooccurrence                            # the claim, 3 seeds: 4 min a core and run
    python -m benchmarks.cooccurrence --study=grid --seeds=1     # every variant
    python -m benchmarks.cooccurrence --study=gradients --seeds=1
    python -m benchmarks.cooccurrence --smoke                    # a few steps: does it run?

Every run's result is a file in --output; what is there is not run again, so a stopped study continues. The
table is printed and written as STUDY.txt, the runs as STUDY.csv, a plot as STUDY.png, some clips as
STUDY_clips.png.

How to read it: a digit stands still (static, 10 classes), a disc drifts (dynamic, 8 directions); in training
the direction is tied to the digit with probability rho, in the probe's videos both are independent. "static"
and "dynamic" are the accuracies of a linear probe from the part that tells most ("pooled" features, "static
part", "dynamic part"; a plain model's parts come from an untrained split), min is the smaller of the two, mean
± sample standard deviation over seeds. "excess" is how far the part of the other factor is above chance,
"swap" how often static part of A and dynamic part of B find the clip that has both, "modularity" and the next
two are DCI's. "supervised" is the
ceiling: the same encoder, with labels, on independent factors.
"""

import csv
import dataclasses
import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from absl import app, flags  # noqa: E402
from tqdm import tqdm  # noqa: E402

_STUDY = flags.DEFINE_string(
    "study",
    "claim",
    "claim, encoders, frameworks, rho, grid, gradients, fashion, physics, real, characters or sprites.",
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "How many seeds, from 0.", lower_bound=1)
_JOBS = flags.DEFINE_integer("jobs", 2, "Runs side by side, one thread each.", lower_bound=1)
_VARIANTS = flags.DEFINE_list("variants", [], "Only these variants of the study.")
_REGIMES = flags.DEFINE_list("regimes", [], "Only these regimes of the study.")
_FRAMEWORKS = flags.DEFINE_list("frameworks", [], "Only these frameworks of the study.")
_ENCODERS = flags.DEFINE_list("encoders", [], "Only these encoders of the study.")
_STEPS = flags.DEFINE_integer("steps", 800, "Training steps of each run.", lower_bound=1)
_BATCH = flags.DEFINE_integer(
    "batch", 64, "Videos a step, two clips each.", lower_bound=2, upper_bound=1024
)
_PROBE_VIDEOS = flags.DEFINE_integer(
    "probe_videos",
    None,
    "Labeled videos that a probe is fitted to, and as many for its test, instead of 4480.",
    lower_bound=80,
)
_OUTPUT = flags.DEFINE_string("output", "runs/cooccurrence", "Folder of the results.")
_CACHE = flags.DEFINE_string(
    "cache", "data/cooccurrence", "Folder of the clips, 0.6 GB a data set."
)
_FILES = flags.DEFINE_string(
    "files",
    "data/real",
    "Folder of what was fetched for --study=real (tools/fetch_real_videos.py) or fashion "
    "(tools/fetch_fashion_mnist.py), of the .glb files of --study=characters or the sheets of --study=sprites.",
)
_SMOKE = flags.DEFINE_bool("smoke", False, "Four steps of each run: does it work?")


def main(_):
    # After the flags, so that --help does not wait for TensorFlow.
    from benchmarks.cooccurrence import report
    from benchmarks.cooccurrence.studies import STUDIES

    if _STUDY.value not in STUDIES:
        sys.exit(f"--study must be one of {', '.join(STUDIES)}. Received: {_STUDY.value}")
    cases = STUDIES[_STUDY.value](_SEEDS.value)
    for flag in (_VARIANTS, _REGIMES, _FRAMEWORKS, _ENCODERS):
        cases = chosen(cases, flag.name.removesuffix("s"), flag.value)
    cases = [dataclasses.replace(case, steps=_STEPS.value, batch=_BATCH.value) for case in cases]
    if _PROBE_VIDEOS.value:
        cases = [dataclasses.replace(case, probe_videos=_PROBE_VIDEOS.value) for case in cases]
    if _SMOKE.value:
        cases = [dataclasses.replace(case, steps=4, curve=min(case.curve, 2)) for case in cases]
    folder = Path(_OUTPUT.value)
    results = run_all(list(dict.fromkeys(cases)), folder)
    write_csv(results, folder / f"{_STUDY.value}.csv")
    table = report.table(results)
    (folder / f"{_STUDY.value}.txt").write_text(table + "\n")
    print(f"\n{table}\n")
    report.plot(_STUDY.value, results, folder / f"{_STUDY.value}.png")
    show_clips(cases, folder / f"{_STUDY.value}_clips.png")
    print(f"Plot: {folder / _STUDY.value}.png; some clips: {folder / _STUDY.value}_clips.png")


def chosen(cases, name, values):
    """The cases whose field `name` is among the values, all if there are none."""
    known = list(dict.fromkeys(getattr(case, name) for case in cases))
    unknown = [value for value in values if value not in known]
    if unknown:
        sys.exit(f"{_STUDY.value} has no {name} {', '.join(unknown)}. It has: {', '.join(known)}.")
    return [case for case in cases if not values or getattr(case, name) in values]


def run_all(cases, folder):
    """The results of all cases, of which the missing ones are run."""
    (folder / "results").mkdir(parents=True, exist_ok=True)
    missing = [case for case in cases if not file_of(case, folder).exists()]
    failures = []
    with ThreadPoolExecutor(_JOBS.value) as pool:
        running = {pool.submit(run_one, case, folder): case for case in missing}
        for done in tqdm(
            as_completed(running), total=len(running), desc="runs", disable=not running
        ):
            if done.exception():
                failures.append(f"{running[done]}:\n{done.exception()}")
    if failures:
        sys.exit(f"{len(failures)} of {len(missing)} runs failed. The first:\n{failures[0]}")
    return [
        {**json.loads(file_of(case, folder).read_text()), "case": dataclasses.asdict(case)}
        for case in cases
    ]


def run_one(case, folder):
    command = [sys.executable, "-m", "benchmarks.cooccurrence.run_case"]
    command += [json.dumps(dataclasses.asdict(case)), _CACHE.value, _FILES.value]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    part = file_of(case, folder).with_suffix(".part")
    part.write_text(done.stdout.splitlines()[-1])
    part.rename(file_of(case, folder))


def file_of(case, folder):
    """Where a result is. A variant counts by its arguments: two of equal arguments share a run."""
    from benchmarks.cooccurrence.variants import description

    settings = {**dataclasses.asdict(case), "variant": description(case.variant, case.framework)}
    key = json.dumps(settings, sort_keys=True)
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return folder / "results" / f"{digest}.json"


def show_clips(cases, png):
    """Four training clips of each regime, as they were augmented, and what the default's views make of them."""
    from keras.ops import convert_to_numpy

    from benchmarks.cooccurrence import report
    from benchmarks.cooccurrence.scenes import load_scenes
    from bod_keras import AppearanceSwap, BackgroundMix

    mixed, motion = BackgroundMix(), AppearanceSwap(seed=0)
    first = {}
    for case in cases:
        first.setdefault(case.regime, case)
    scenes = {
        regime: load_scenes(
            regime,
            case.rho,
            case.seed,
            Path(_CACHE.value),
            probe_videos=case.probe_videos,
            files=_FILES.value,
        )
        for regime, case in first.items()
    }
    rows = {}
    for regime, arrays in scenes.items():
        clips = arrays["train"][0, :8].astype("float32") / 255
        rows |= {
            regime: clips[:4],
            f"{regime}: over the background of the one before": mixed(clips)[:4],
            f"{regime}: motion view": motion(clips, training=True)[:4],
        }
    report.show_clips({title: convert_to_numpy(x) for title, x in rows.items()}, png)


def write_csv(results, path):
    """A row a run."""
    rows = []
    for result in results:
        row = dict(result["case"], seconds_per_step=result.get("seconds_per_step"))
        for factor, parts in (result["probes"] | result.get("factors", {})).items():
            row |= {f"{factor} from {part}": value for part, value in parts.items()}
        rows.append(row)
    with open(path, "w", newline="") as file:
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):  # absl would end with code 1
        app.usage(shorthelp=True, writeto_stdout=True, exitcode=0)
    app.run(main)
