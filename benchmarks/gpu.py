"""What a training step costs on one GPU, on every backend that is installed, beside plain PyTorch: one command.

    python benchmarks/gpu.py                                    # at most 8 minutes; writes gpu.json
    python benchmarks/gpu.py --table=gpu.json                   # the tables again, without measuring
    python benchmarks/gpu.py --backends=torch --networks=R3D18 --minutes=3
    python benchmarks/gpu.py --device=cpu --tiny                # does it run? a minute on 2 cores, one backend

Nothing is downloaded. It needs Keras with JAX or PyTorch, and what `import bod_keras` needs (OpenCV, scipy,
scikit-learn, Matplotlib, safetensors, tqdm, filelock); PyTorch for the rival; PyAV, protobuf and google-crc32c
for the loader alone. What fails for lack of a package or of memory is named, and the rest continues.

Each row is kept in ``--output`` as soon as it is measured, and not measured again: where the time was too
short, the same command continues. What was not reached is named. The order is that of importance: R3D-18 in
bfloat16, then the loader, resuming and correctness, the other networks, float32, and last the lower level on
all weights.

What is measured, of v-SimCLR with a head of 512 and 128, on clips of noise that stay on the device:

* forward: the encoder's inference, of the clips of plain v-SimCLR, two a video;
* plain, recommended (``decoupling=True``), all (the same with ``BiLevel(scope="all")``): whole steps (forward,
  backward, AdamW, statistics) as `fit` compiles them. R3D-18 keeps every frame; where it is decoupled its
  convolutions repeat the edges;
* PyTorch, PyTorch compiled: the plain step of the same network, head and loss in PyTorch alone
  (`benchmarks/torch_step.py`), eager and by torch.compile: the rival.

How to read it: "ms" is the median of blocks of steps, and the device is waited for between blocks only (JAX and
TensorFlow hand over the loss of each step, too). "clips/s" counts the clips of the data, two a video, so that
rows compare. "GiB" is the peak of the device's memory, on JAX that of the process so far; on a CPU the resident
memory beyond that of the start. "first s" is the first step, which compiles, and "again" how often something
was compiled after the second. "split" is the time of the Koopman split alone, forward and backward, over that
of the step. "TFLOP/s" are multiply-adds of the encoder, twice, three times that with a backward pass, of all
clips that it encodes; "peak" is their share of the card's (PEAKS: dense bfloat16, and TF32 in rows of float32;
of another card, of the matrix product measured here). "x plain" is the step over the plain one of the same
backend, "of rival" the rival's compiled plain step over this row's (1 and more is as fast).

A loss and an update by SGD are compared with those on the CPU, by PyTorch where it is installed, without TF32.
A run is killed after a checkpoint and resumed; its weights are compared with those of a run that was not. The
loader reads shards of JPEG frames for the recommended bfloat16 step of R3D-18; "waits" is the share of the time
in which the step waits for it.
"""

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.markdown import markdown  # noqa: E402

# builder and arguments: in bod_keras.encoders; twin and its arguments: in tests/torch_networks.
Network = namedtuple("Network", "builder arguments twin twin_arguments clip")
NETWORKS = {
    "R3D18": Network("R3D18", {}, "r3d.r3d_18", {"time_strides": [1, 1, 1]}, (16, 112, 112, 3)),
    "SlowOnlyR50": Network("SlowOnlyR50", {}, "slow_only.PyTorchVideoSlow", {}, (8, 224, 224, 3)),
    "VideoViT": Network(
        "VideoViT", {"temporal_stride": 2}, "vit.FusedVideoMAE", {}, (16, 224, 224, 3)
    ),
}
TINY = {"width": 24, "depth": 1, "heads": 2}
TINY_NETWORKS = {
    "VideoViT": NETWORKS["VideoViT"]._replace(
        arguments={"temporal_stride": 2, **TINY}, twin_arguments=TINY, clip=(8, 32, 32, 3)
    )
}
BACKENDS = ("torch", "jax", "tensorflow")
PRECISIONS = ("bfloat16", "float32")
STEPS = ("forward", "plain", "recommended")
CHECKS = ("loader", "resume", "check")
RIVALS = ("PyTorch", "PyTorch compiled")
# Dense TFLOP/s of tensor cores, by the makers' data sheets: bfloat16, TF32. The longest name that fits counts.
PEAKS = {
    "B200": (2250, 1125),
    "H200": (989, 494),
    "H100": (989, 494),
    "H100 PCIe": (756, 378),
    "A100": (312, 156),
    "L40S": (362, 183),
    "L4": (121, 60),
    "A10": (125, 62),
    "RTX 4090": (165, 82),
    "RTX 3090": (71, 36),
}
_LONGEST = 150  # seconds of one process: what hangs takes no more from the others


def main():
    args = parse_arguments()
    if args.child:
        from benchmarks import gpu_measures

        gpu_measures.measure(json.loads(args.child), args.folder)
        return
    if args.table:
        print_tables(json.loads(args.table.read_text()))
        return
    record = Record(args)
    wanted = jobs(args)
    end = time.monotonic() + 60 * args.minutes
    with tempfile.TemporaryDirectory() as folder:
        for job in wanted:
            left = end - time.monotonic()
            if record.missing(job) and left > 5:
                run(job, record, folder, left if args.tiny else min(left, _LONGEST))
    print_tables(record.content)
    not_reached = [name for job in wanted for name in record.missing(job)]
    not_reached = [name for name in not_reached if name not in record.content["failed"]]
    if not_reached:
        print(f"\nNot reached in {args.minutes:g} minutes; the same command continues with them:")
        print("  " + "\n  ".join(not_reached))
    if not record.content["rows"]:
        sys.exit("Nothing could be measured.")


def parse_arguments():
    def names(text):
        return text.split(",")

    parser = argparse.ArgumentParser(description="A training step on one GPU, beside PyTorch.")
    add = parser.add_argument
    found = [name for name in BACKENDS if importlib.util.find_spec(name)]
    add("--minutes", type=float, default=8, help="time in all (default: %(default)s)")
    add("--backends", type=names, help=f"some of {','.join(BACKENDS)}")
    add("--networks", type=names, help=f"some of {','.join(NETWORKS)}")
    add("--precisions", type=names, help=f"some of {','.join(PRECISIONS)}")
    add("--batch", type=int, help="videos of a step (default: 16; 4 on a CPU)")
    add("--device", choices=("gpu", "cpu"), default="gpu")
    add("--tiny", action="store_true", help="one small network, few steps")
    add("--output", type=Path, default=Path("gpu.json"), help="what is kept (default: %(default)s)")
    add("--table", type=Path, metavar="FILE.json", help="print what is kept in a file, and end")
    add("--child", help=argparse.SUPPRESS)  # what a process of ours measures
    add("--folder", type=Path, help=argparse.SUPPRESS)  # where processes of ours leave files
    args = parser.parse_args()
    args.backends = args.backends or (found[:1] if args.tiny else found)
    args.precisions = args.precisions or (["float32"] if args.tiny else list(PRECISIONS))
    args.networks = args.networks or list(TINY_NETWORKS if args.tiny else NETWORKS)
    args.batch = args.batch or (16 if args.device == "gpu" else 4)
    for option, chosen, known in (
        ("--backends", args.backends, found),
        ("--networks", args.networks, TINY_NETWORKS if args.tiny else NETWORKS),
        ("--precisions", args.precisions, PRECISIONS),
    ):
        if not chosen or not set(chosen) <= set(known):
            parser.error(
                f"{option}: expected some of {','.join(known)}; received {','.join(chosen)}"
            )
    if args.batch < 2 or not args.minutes > 0:
        parser.error("--batch must be at least 2, and --minutes positive")
    return args


# -- what is to be measured ----------------------------------------------------------------------------------


def jobs(args):
    """Processes in the order of importance: dicts, with the names of the rows that each gives."""
    found = []

    def add(kind, backend, names, **options):
        common = {"tiny": args.tiny, "batch": args.batch, "device": args.device}
        found.append({"kind": kind, "backend": backend, "names": names, **common, **options})

    rival = importlib.util.find_spec("torch") is not None
    first = "torch" if "torch" in args.backends else args.backends[0]
    add("card", first, ["card", "work"], networks=args.networks)

    def steps(networks, precision, what):
        for network in networks:
            for backend in args.backends:
                names = [f"{network} {precision} {backend} {name}" for name in what]
                options = {"network": network, "precision": precision}
                add("steps", backend, names, what=what, **options)
            if rival and "plain" in what:
                names = [f"{network} {precision} {name} plain" for name in RIVALS]
                add("rival", "torch", names, **options)

    most, *rest = args.precisions
    what = [*STEPS, "all"] if args.tiny else list(STEPS)
    steps(args.networks[:1], most, what)
    for backend in args.backends:
        names = [f"{check} {backend}" for check in CHECKS]
        add("checks", backend, names, reference="torch" if rival else backend)
    steps(args.networks[1:], most, what)
    for precision in rest:
        steps(args.networks, precision, what)
    if not args.tiny:
        for precision in args.precisions:
            steps(args.networks, precision, ["all"])
    return found


class Record:
    """Rows by name, kept in a file; one that failed is named, and measured again by the next command."""

    def __init__(self, args):
        self.file = args.output
        settings = {"device": args.device, "tiny": args.tiny, "batch": args.batch}
        self.content = {"settings": settings, "rows": {}, "failed": {}}
        if self.file.exists():
            kept = json.loads(self.file.read_text())
            if kept.get("settings") != settings:
                sys.exit(
                    f"{self.file} holds rows of other settings ({kept.get('settings')}). Choose another "
                    f"--output for {settings}."
                )
            self.content["rows"] = kept["rows"]

    def missing(self, job):
        return [name for name in job["names"] if name not in self.content["rows"]]

    def add(self, kind, name, value):
        self.content[kind][name] = value
        print(f"{name}: {json.dumps(value)}", file=sys.stderr, flush=True)
        # A stop while it is written leaves the old one.
        part = self.file.with_name(self.file.name + ".part")
        part.write_text(json.dumps(self.content, indent=1))
        os.replace(part, self.file)


def run(job, record, folder, limit):
    """The processes of a job, one after the other; rows are recorded as they come."""
    end = time.monotonic() + limit
    reference = {"part": "reference", "device": "cpu", "backend": job.get("reference")}
    job = {**job, "wanted": record.missing(job)}
    for part in (reference, {"part": "killed"}, {}) if job["kind"] == "checks" else ({},):
        reason = run_process({**job, **part}, record, folder, end - time.monotonic())
        if reason:
            for name in record.missing(job):
                record.add("failed", name, reason)
            return


def run_process(job, record, folder, limit):
    """Why a process gave less than it should have, or None."""
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        f"--child={json.dumps(job)}",
        f"--folder={folder}",
    ]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            env=environment(job),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # a compiler's workers end with it
        )
        ran_out = threading.Event()
        timer = threading.Timer(limit, lambda: (ran_out.set(), _end(process)))
        timer.start()
        try:
            for line in process.stdout:
                if line.startswith("ROW "):
                    name, value = json.loads(line[4:])
                    if "error" in value:
                        record.add("failed", name, value["error"])
                    else:
                        record.add("rows", name, value)
        finally:
            timer.cancel()
            timer.join()
            _end(process)
            code = process.wait()
            process.stdout.close()
        if ran_out.is_set():
            return f"stopped after {limit:.0f} s"
        if code and not (job.get("part") == "killed" and code == -signal.SIGKILL):
            errors.seek(0)
            lines = errors.read().strip().splitlines() or [f"ended with status {code}"]
            return lines[-1][:300]
    return None


def _end(process):
    """End a process of ours and what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def environment(job):
    settings = {
        "KERAS_BACKEND": job["backend"],
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
    if job["device"] == "cpu":
        settings |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    if job["tiny"]:
        settings["OMP_NUM_THREADS"] = (
            "1"  # threads that wait for each other are slow on a busy machine
        )
    return {**os.environ, **settings}


# -- tables --------------------------------------------------------------------------------------------------


def print_tables(content):
    rows, failed = content["rows"], content["failed"]
    card = rows.get("card", {"name": "an unknown device", "versions": ""})
    print(
        f"\n{card['name']}; {content['settings']['batch']} videos a step, two clips each; {card['versions']}"
    )
    for precision in PRECISIONS:
        if f"matmul {precision}" in card:
            print(f"matrix product, {precision}: {card[f'matmul {precision}']:.4g} TFLOP/s")
    steps = sorted((name for name in rows if len(name.split()) > 2), key=_order)
    if steps:
        print("\n" + markdown([step_cells(name, rows) for name in steps]))
    others = [name for name in rows if len(name.split()) == 2]
    if others:
        print("\n" + markdown([other_cells(name, rows[name]) for name in others]))
    if failed:
        print("\nFailed:")
    for name, reason in failed.items():
        print(f"  {name}: {reason}")


def _order(name):
    network, precision, *rest = name.split()
    return list(NETWORKS).index(network), PRECISIONS.index(precision), " ".join(rest[:-1])


def step_cells(name, rows):
    network, precision, *side, what = name.split()
    side = " ".join(side)
    cells = {"network": network, "precision": precision, "by": side, "step": what}
    columns = (
        "ms",
        "clips/s",
        "GiB",
        "first s",
        "again",
        "split",
        "TFLOP/s",
        "peak",
        "x plain",
        "of rival",
    )
    cells |= dict.fromkeys(columns, "")
    row = rows[name]
    ms = row["ms"]
    cells |= {
        "ms": f"{ms:.4g}",
        "clips/s": f"{row['clips'] / ms * 1e3:.4g}",
        "GiB": f"{row['gib']:.3g}",
    }
    cells["first s"] = f"{row['first_s']:.3g}"
    if row.get("again") is not None:
        cells["again"] = str(row["again"])
    if "split_ms" in row:
        cells["split"] = f"{row['split_ms'] / ms:.1%}"
    work = rows.get("work", {}).get(network)
    if work:
        tflops = work * row["encoded"] / (ms / 1e3) / 1e12
        cells["TFLOP/s"] = f"{tflops:.3g}"
        if top := peak(rows.get("card", {}), precision):
            cells["peak"] = f"{tflops / top:.1%}"
    plain = rows.get(f"{network} {precision} {side} plain")
    if plain and what not in ("forward", "plain"):
        cells["x plain"] = f"{ms / plain['ms']:.2f}"
    rival = rows.get(f"{network} {precision} {RIVALS[1]} plain")
    if rival and what == "plain":
        cells["of rival"] = f"{rival['ms'] / ms:.2f}"
    return cells


def other_cells(name, found):
    return {"what": name, "found": "; ".join(f"{k} {_short(v)}" for k, v in found.items())}


def _short(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def peak(card, precision):
    """TFLOP/s of the card: of the table, else measured, or None."""
    known = [name for name in PEAKS if name in card.get("name", "")]
    if known:
        return PEAKS[max(known, key=len)][PRECISIONS.index(precision)]
    return card.get(f"matmul {precision}")


if __name__ == "__main__":
    main()
