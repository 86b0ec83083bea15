"""A campaign of faults: damaged files and killed commands, and what comes of each.

    python benchmarks/faults.py                        # all kinds, several minutes
    python benchmarks/faults.py --only=video,list --times=20 --seed=7
    FAULTS_SECONDS=600 python benchmarks/faults.py     # on a busy machine

Every trial damages a file of the campaign's own (flipped bits, a cut, a hole, a repetition), makes a hostile
one, closes a folder to writing, or stops a command at a random moment, and looks at the result: "right",
"refused" (one line that names the file), or WRONG: other frames, records, arrays or weights than before, a
traceback, a crash, a hang, a run that does not continue. Exits with 1 if anything was wrong; each such trial is
named, and its seed repeats it.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import importlib.util
import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ |= {"BOD_KERAS_READER": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}  # files need no Keras

from bod_keras.data import (  # noqa: E402
    Record,
    ShardSettings,
    iterate_frames,
    open_store,
    read_blocklist,
    read_catalog,
    read_frames,
    read_source,
    readable_frames,
    write_blocklist,
    write_shards,
)
from bod_keras.data.datasets.named.plain_pickle import read_pickle  # noqa: E402
from bod_keras.data.processes.process_map import process_map  # noqa: E402
from bod_keras.errors import UserError  # noqa: E402
from tests.stamped_videos import write_video  # noqa: E402

VIDEOS = {
    "a.mp4": ("libx264", 2),
    "b.mkv": ("libx264", 0),
    "c.webm": ("libvpx-vp9", 0),
    "d.avi": ("mpeg4", 0),
    "e.ts": ("mpeg2video", 2),
    "f.mov": ("mjpeg", 0),
    "g.flv": ("flv", 0),
}
LETTERS = list("ab 1._-#%$&'\"\\[](){}@!;,:=+~^äß動画\t\n")
COMMANDS = ("shards", "verify")
PROTOCOLS = ("knn", "retrieval")
RUN = Path("runs", "a-seed0")
TYPES = ("F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "C64", "BF16", "F16", "F32", "I8", "BOOL", "X9")
SECONDS = float(os.environ.get("FAULTS_SECONDS", "60"))  # of a damaged file: then it hangs


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits, cut off, empty, leave out or repeat a part."""
    kind, found = rng.integers(6), bytearray(data)
    begin = int(rng.integers(len(data)))
    end = begin + int(rng.integers(1, 1 + max(1, len(data) // 8)))
    if kind <= 1:
        for at in rng.integers(len(data), size=1 + kind * 30):
            found[at] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        del found[begin:]
    elif kind == 3:
        found[begin:end] = bytes(len(found[begin:end]))
    elif kind == 4:
        del found[begin:end]
    else:
        found[begin:begin] = found[begin:end]
    return bytes(found)


def spoil(path: Path, rng: np.random.Generator) -> bool:
    """Damage a file; whether it changed."""
    before = path.read_bytes()
    after = damaged(before, rng)
    path.write_bytes(after)
    return after != before


def video(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A sound frame comes under the same number by a seek as by stepping; pixels may be damaged."""
    sound = base / "videos" / rng.choice(list(VIDEOS))
    path = Path(shutil.copy(sound, own))
    spoil(path, rng)
    numbers = {frame.tobytes(): n for n, frame in enumerate(iterate_frames(sound))}
    count, outcome = readable_frames(path), "right"
    steps = []
    try:
        steps.extend(numbers.get(frame.tobytes()) for frame in iterate_frames(path))
    except ValueError as error:
        outcome = one_line(error, path)
    if len(steps) > count:
        return f"WRONG: {len(steps)} frames of {count}"
    for number in rng.integers(count, size=6).tolist():
        try:
            found = numbers.get(read_frames(path, [number])[0].tobytes())
        except ValueError as error:
            outcome = one_line(error, path)
            continue
        stepped = steps[number] if number < len(steps) else None
        if None not in (found, stepped) and found != stepped:
            return f"WRONG: frame {number} is {found} by a seek, {stepped} by stepping"
    return outcome


def shard(base: Path, own: Path, rng: np.random.Generator) -> str:
    """What is read from damaged shards is what was written."""
    shutil.copytree(base / "shards", own / "shards")
    spoil(own / "shards" / rng.choice(sorted(os.listdir(own / "shards"))), rng)
    whole, store = open_store([]), open_store([])
    refused = 0
    for record, sound in zip(read_catalog(own / "shards"), read_catalog(base / "shards")):
        if record.label != sound.label:
            return f"WRONG: label {record.label} instead of {sound.label}"
        try:
            frames = store.frames(record.path, [0, 17, 59])
        except ValueError as error:
            one_line(error, record.path)
            refused += 1
            continue
        if not np.array_equal(frames, whole.frames(sound.path, [0, 17, 59])):
            return f"WRONG: other frames of {record.path}"
    return "refused" if refused else "right"


def listing(base: Path, own: Path, rng: np.random.Generator) -> str:
    """Every line that is left whole is a video; else it is said."""
    path = Path(shutil.copy(base / "lists" / rng.choice(sorted(os.listdir(base / "lists"))), own))
    text = path.read_bytes()
    spoil(path, rng)
    whole = set(text.splitlines()[1:]) & set(path.read_bytes().splitlines())
    catalog = read_source(path)
    if len({record.path for record in catalog.records}) < len(whole) and not catalog.remarks:
        return f"WRONG: {len(catalog.records)} videos of {len(whole)} lines, without a remark"
    return "right"


def pickled(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A damaged pickle gives plain values, or is refused."""
    path = Path(shutil.copy(base / "boxes.pkl", own))
    spoil(path, rng)
    waiting, size = [read_pickle(path)], 0
    while waiting:
        value = waiting.pop()
        size += 1
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += value
        elif isinstance(value, np.ndarray):
            if value.dtype.kind not in "biuf":
                return f"WRONG: an array of {value.dtype}"
            value.sum()
        elif not isinstance(value, (str, bytes, int, float, bool, np.generic, type(None))):
            return f"WRONG: a {type(value).__name__}"
    return "right"


def weights(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A damaged model or file of weights gives the weights that were saved, or is refused."""
    from bod_keras.training.checkpoint import load_model
    from bod_keras.weights.state_file import read_state

    name = rng.choice(["model.keras", "weights.safetensors"])
    read = read_state if name.endswith("safetensors") else load_weights(load_model)
    path = Path(shutil.copy(base / name, own))
    spoil(path, rng)
    found, sound = read(path), read(base / name)
    equal = found.keys() == sound.keys() and all(np.array_equal(found[k], sound[k]) for k in sound)
    if name == "model.keras" and not equal:
        return "WRONG: other weights"
    return "right"  # safetensors have no checksum


def load_weights(load_model):
    return lambda path: dict(enumerate(load_model(path).get_weights()))


def hostile(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A file of weights made to do harm is refused, or gives as many numbers as it has bytes at most."""
    from bod_keras.weights.state_file import read_state

    kinds = [odd_types, lying_header]
    if importlib.util.find_spec("torch"):
        kinds += [holds_itself, unfolds, expands, calls]
    path = kinds[rng.integers(len(kinds))](own, rng)
    found = read_state(path)
    if sum(array.size for array in found.values()) > 8 * path.stat().st_size:
        return "WRONG: more numbers than the file has bits"
    if (own / "trap").exists():
        return "WRONG: its code ran"
    return "right" if all(array.dtype.kind in "fiub" for array in found.values()) else "WRONG: type"


def odd_types(own: Path, rng: np.random.Generator) -> Path:
    return write_safetensors(own, str(rng.choice(TYPES)), [2, 4], [0, 8 * int(rng.integers(1, 9))])


def lying_header(own: Path, rng: np.random.Generator) -> Path:
    shape = [(-1, 0, 1, 3, 2**40, 2**62)[n] for n in rng.integers(6, size=2)]
    places = sorted((0, 4, 12, 2**40, 2**63)[n] for n in rng.integers(5, size=2))
    return write_safetensors(own, "F32", shape, places[:: 1 - 2 * int(rng.integers(2))])


def write_safetensors(own: Path, dtype: str, shape: list, places: list) -> Path:
    """A file by the specification of the format: length, header, data."""
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": places}}).encode()
    path = own / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(min(max(places), 999)))
    return path


def holds_itself(own: Path, rng: np.random.Generator) -> Path:
    import torch

    held = {"w": torch.ones(2)}
    inner = held
    for _ in range(rng.integers(3)):
        inner["next"] = inner = {"v": torch.ones(1)}
    inner["next"] = held
    return save_pth(own, held)


def unfolds(own: Path, rng: np.random.Generator) -> Path:
    held: dict = {}
    for _ in range(rng.integers(25, 200)):
        held = {"a": held, "b": held}
    return save_pth(own, held)


def expands(own: Path, rng: np.random.Generator) -> Path:
    import torch

    one = torch.ones(1, dtype=torch.float16 if rng.integers(2) else torch.float32)
    return save_pth(own, {str(n): one.expand(10 ** int(rng.integers(5, 13))) for n in range(9)})


def calls(own: Path, rng: np.random.Generator) -> Path:
    return save_pth(own, {"w": Call(own / "trap")})


class Call:
    """What runs code where it is unpickled."""

    def __init__(self, trap: Path):
        self.trap = str(trap)

    def __reduce__(self):
        return open, (self.trap, "w")


def save_pth(own: Path, held: object) -> Path:
    import torch

    torch.save(held, own / "a.pth")
    return own / "a.pth"


def model_of_run(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A damaged model of a run gives the weights that were saved, or is refused."""
    name = str(rng.choice(["model.keras", "encoder.keras"]))
    path = Path(shutil.copy(base / RUN / name, own))
    if rng.integers(2):
        path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])
    else:
        spoil(path, rng)
    found = weights_of(path)
    sound = np.load(base / f"{name}.npz")
    equal = all(np.array_equal(one, sound[str(n)]) for n, one in enumerate(found))
    return "right" if equal and len(found) == len(sound) else "WRONG: other weights"


def name(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A video of any name is found, read, packed, blocked."""
    folder = own / "in"
    folder.mkdir()
    stem = "".join(rng.choice(LETTERS, size=rng.integers(1, 12)))
    stem = stem.lstrip(".").strip() or "x"
    (folder / f"{stem}.mp4").write_bytes((base / "videos" / "a.mp4").read_bytes())
    (record,) = read_catalog(folder)
    if readable_frames(record.path) != 60:
        return "WRONG: other frames"
    write_blocklist(own / "list.tsv", {record.path: "a\nb"}, folder)
    if read_blocklist(own / "list.tsv", folder) != {os.path.abspath(record.path): "a b"}:
        return "WRONG: the blocklist has another name"
    write_shards([record], own / "shards", ShardSettings(short_side=24))
    (packed,) = read_catalog(own / "shards")
    return "right" if open_store([]).length(packed.path) == 60 else "WRONG: other shards"


def kill(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A command that is killed at random moments ends as one that is not."""
    command = str(rng.choice(COMMANDS))
    for _ in range(3):
        process = start(data_command(base, own, command))
        try:
            process.wait(rng.uniform(0.2, 4.0))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
    return ended(base, own, command)


def full_disk(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A command whose files may not grow says so in a line, and continues later."""
    command = str(rng.choice(COMMANDS))
    limit = int(rng.integers(1, 40_000))
    process = start(
        data_command(base, own, command),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    output = process.communicate(timeout=SECONDS)[0]
    if process.returncode and ("Traceback" in output or "python -m bod_keras.data" not in output):
        return f"WRONG: {output[-300:]!r}"
    found = ended(base, own, command)
    return "refused" if found == "right" and process.returncode else found


def weights_of(path: Path) -> list[np.ndarray]:
    import bod_keras.frameworks  # noqa: F401, whose classes a model names
    from bod_keras.weights.load_encoder import load

    return load(path).get_weights()


def read_only(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A command that may not write where it should says so in a line, and continues elsewhere."""
    command = str(rng.choice([*COMMANDS, "train", "run", "features"]))
    target = own / "closed"
    if command in ("run", "features"):
        shutil.copytree(base / RUN, own / RUN)
        target = own / RUN if command == "run" else own / RUN / "features"
    target.mkdir(exist_ok=True)
    below_a_file = command in (*COMMANDS, "train") and rng.integers(2)
    if below_a_file:
        target = target / "file"
        target.touch()
    if command in COMMANDS:
        arguments = data_command(base, target, command)
    else:
        arguments = train_command(base, target) if command == "train" else evaluate_command(own)
    with contextlib.nullcontext() if below_a_file else closed(target):
        process = start(arguments)
        output = process.communicate(timeout=4 * SECONDS)[0]
    if "Traceback" in output or (process.returncode and str(target.name) not in output):
        return f"WRONG: {output[-300:]!r}"
    if not process.returncode:
        done = command == "features" and evaluated(own) == evaluated(base)
        return "right" if done else "WRONG: it says nothing"
    if command in COMMANDS and (found := ended(base, own, command)) != "right":
        return found
    return "refused"


@contextlib.contextmanager
def closed(folder: Path):
    """While the block runs, nobody can write to a folder, not even the superuser."""
    ways = [(["chattr", "+i", folder], ["chattr", "-i", folder])]
    ways.append((["mount", "--bind", "-o", "ro", folder, folder], ["umount", folder]))
    if os.getuid():
        ways = [(["chmod", "a-w", folder], ["chmod", "u+w", folder])]
    quiet = {"stderr": subprocess.DEVNULL}
    back = next((undo for close, undo in ways if not subprocess.run(close, **quiet).returncode), 0)
    if not back:
        raise UserError(f"{folder} cannot be closed to writing on this system")
    try:
        yield
    finally:
        subprocess.run(back, check=True)


def evaluate(base: Path, own: Path, rng: np.random.Generator) -> str:
    """Evaluations that are killed, run two at a time, or find a damaged report lose no number."""
    shutil.copytree(base / RUN, own / RUN, ignore=shutil.ignore_patterns("features", "evaluation"))
    report = own / RUN / "report.json"
    shutil.copy(base / "trained.json", report)
    kind = rng.integers(3)
    if kind == 0:
        for _ in range(2):
            process = start(evaluate_command(own))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.3, 1.0) * float((base / "evaluate").read_text()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.communicate()
        both = [start(evaluate_command(own))]
    elif kind == 1:
        both = [start(evaluate_command(own, one)) for one in PROTOCOLS]
    else:
        while is_json(report):  # a setting that is another one, nobody can tell
            shutil.copy(base / "trained.json", report)
            spoil(report, rng)
        both = [start(evaluate_command(own))]
    before = report.read_bytes()
    outputs = [process.communicate(timeout=10 * SECONDS)[0] for process in both]
    if any("Traceback" in output for output in outputs):
        return f"WRONG: {outputs[0][-300:]!r}"
    if any(process.returncode for process in both):
        told = kind == 2 and "report.json" in outputs[0] and report.read_bytes() == before
        return "refused" if told else f"WRONG: does not continue: {outputs[0][-300:]!r}"
    return "right" if evaluated(own) == evaluated(base) else "WRONG: other numbers"


def is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return False
    return True


def evaluate_command(folder: Path, protocols: str = ",".join(PROTOCOLS)) -> list[str]:
    return [sys.executable, "evaluate.py", f"--model={folder / RUN}", f"--protocol={protocols}"]


def evaluated(folder: Path) -> dict:
    """The numbers of a run's evaluations, without times and places."""
    report = json.loads((folder / RUN / "report.json").read_text())
    found = {name: report[f"evaluation_{name}"] for name in PROTOCOLS}
    return {
        name: {key: one[key] for key in one.keys() - {"provenance", "files", "seconds"}}
        for name, one in found.items()
    }


def data_command(base: Path, own: Path, command: str) -> list[str]:
    source = [sys.executable, "-m", "bod_keras.data", command, f"--source={base / 'list.csv'}"]
    target = f"--output={own / 'out'}" if command == "shards" else f"--report={own / 'out.json'}"
    return [*source, "--workers=1", target, *(["--short-side=24"] if command == "shards" else [])]


def ended(base: Path, own: Path, command: str) -> str:
    process = start(data_command(base, own, command))
    output = process.communicate(timeout=4 * SECONDS)[0]
    if process.returncode:
        return f"WRONG: does not continue: {output[-300:]!r}"
    return "right" if result_of(own, command) == result_of(base, command) else "WRONG: differs"


def result_of(folder: Path, command: str) -> object:
    if command == "verify":
        found = json.loads((folder / "out.json").read_text())
        return [found[key] for key in ("counts", "problems", "frames", "rates")]
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


def train(base: Path, own: Path, rng: np.random.Generator) -> str:
    """A run that is killed at a random moment ends with the weights and history of one that is not."""
    process = start(train_command(base, own))
    try:
        process.wait(rng.uniform(0.3, 1.0) * float((base / "seconds").read_text()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
    process = start(train_command(base, own))
    output = process.communicate(timeout=20 * SECONDS)[0]
    if process.returncode:
        return f"WRONG: does not continue: {output[-300:]!r}"
    return "right" if trained(own) == trained(base) else "WRONG: other weights or history"


def train_command(base: Path, own: Path) -> list[str]:
    flags = {"output": own / "runs", "name": "a", "built_in.folder": base / "built-in", "epochs": 3}
    flags |= {"built_in.train": 64, "built_in.probe_train": 48, "built_in.probe_test": 24}
    flags |= {"clips.batch_size": 16, "monitors.every": 0}
    command = [sys.executable, "train.py", "--config=configs/demo.py:bod,smoke"]
    return [*command, *(f"--config.{key}={value}" for key, value in flags.items())]


def trained(folder: Path) -> tuple:
    run = folder / RUN
    rows = [line.split(",") for line in (run / "history.csv").read_text().splitlines()]
    at = rows[0].index("seconds")
    with zipfile.ZipFile(run / "model.keras") as archive:
        return archive.read("model.weights.h5"), [row[:at] + row[at + 1 :] for row in rows]


def start(command: list[str], **options) -> subprocess.Popen:
    environment = dict(os.environ)
    if {"train.py", "evaluate.py"} & set(command):
        del environment["BOD_KERAS_READER"]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        **options,
    )


# Trials of each kind, and the most seconds of one.
KINDS = {
    "video": (video, 250, SECONDS),
    "shard": (shard, 150, SECONDS),
    "list": (listing, 300, SECONDS),
    "pickle": (pickled, 500, SECONDS),
    "weights": (weights, 60, SECONDS),
    "name": (name, 40, SECONDS),
    "kill": (kill, 6, 10 * SECONDS),
    "disk": (full_disk, 6, 10 * SECONDS),
    "hostile": (hostile, 60, SECONDS),
    "model": (model_of_run, 30, 5 * SECONDS),
    "read-only": (read_only, 10, 20 * SECONDS),
    "train": (train, 2, 30 * SECONDS),
    "evaluate": (evaluate, 6, 30 * SECONDS),
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One fault, which its seed decides."""

    kind: str
    seed: int
    folder: str

    def __call__(self) -> str:
        base = Path(self.folder)
        with tempfile.TemporaryDirectory(dir=base) as own:
            rng = np.random.default_rng([self.seed, sum(self.kind.encode())])
            try:
                return KINDS[self.kind][0](base, Path(own), rng)
            except (UserError, ValueError) as error:
                return one_line(error, own)


def one_line(error: ValueError, path: object) -> str:
    """Of an error that a user may see: refused, if it is one of ours in one line."""
    ours = isinstance(error, UserError) or type(error).__name__ == "VideoError"
    if not ours or "\n" in str(error).replace(str(path), ""):
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    return "refused"


def run(trial: Trial) -> str:
    return trial()


def prepare(base: Path, kinds: list[str]) -> None:
    """Write what the trials damage, and what commands give that nobody stops."""
    (base / "videos").mkdir()
    (base / "lists").mkdir()
    for file, (codec, b_frames) in VIDEOS.items():
        write_video(base / "videos" / file, codec, b_frames=b_frames)
    paths = sorted((base / "videos").iterdir())
    records = [Record(str(path), label=number) for number, path in enumerate(paths)]
    write_shards(records, base / "shards", ShardSettings(short_side=32, chunk=8, shard_mb=0.05))
    for number in range(3):
        shutil.copytree(base / "videos", base / "many" / str(number))
    rows = [f"many/{n}/{path.name},{n}\n" for n in range(3) for path in paths]
    (base / "list.csv").write_text("path,label\n" + "".join(rows))
    many = [(f"folder {n % 5}/video {n}.mp4", f"class {n % 7}") for n in range(60)]
    for file, form in (("a.csv", "{},{}"), ("b.tsv", "{}\t{}"), ("c.csv", '"{}","{}"')):
        head = "path{}label\n".format("\t" if file == "b.tsv" else ",")
        lines = [form.format(*pair) for pair in many]
        (base / "lists" / file).write_text(head + "\n".join(lines) + "\n")
    plain = "".join(f"{path.replace(' ', '_')} {n % 7}\n" for n, (path, _) in enumerate(many))
    (base / "lists" / "d.txt").write_text(plain)
    (base / "lists" / "e.txt").write_text(plain, encoding="utf-16")
    tubes = [{"sf": 3, "ef": 9, "label": 1, "boxes": np.ones((6, 4), np.float32)}]
    found = {"labels": ["a", "b"], "gttubes": {"v": {0: tubes}}, "nframes": {"v": 40}}
    (base / "boxes.pkl").write_bytes(pickle.dumps(found))
    if "weights" in kinds:
        import keras

        from bod_keras.training.checkpoint import save_model
        from bod_keras.weights.state_file import write_state

        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
        save_model(model, base / "model.keras")
        write_state(base / "weights.safetensors", {"a": np.ones((8, 16), np.float32)})
    if {"kill", "disk", "read-only"} & set(kinds):
        for command in COMMANDS:
            start(data_command(base, base, command)).communicate()
    if {"train", "model", "read-only", "evaluate"} & set(kinds):
        (base / "seconds").write_text(str(timed(train_command(base, base))))
    if "model" in kinds:
        for name in ("model.keras", "encoder.keras"):
            arrays = {str(n): one for n, one in enumerate(weights_of(base / RUN / name))}
            np.savez(base / f"{name}.npz", **arrays)
    if {"read-only", "evaluate"} & set(kinds):
        shutil.copy(base / RUN / "report.json", base / "trained.json")
        (base / "evaluate").write_text(str(timed(evaluate_command(base))))


def timed(command: list[str]) -> float:
    """Seconds of a command that nobody stops."""
    begin, process = time.monotonic(), start(command)
    output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{command} failed:\n{output}")
    return time.monotonic() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, with commas between")
    parser.add_argument("--times", type=float, default=1.0, help="how many times as many trials")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    kinds = options.only.split(",")
    begin, wrong = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        prepare(Path(folder), kinds)
        trials = [
            Trial(kind, options.seed + number, folder)
            for kind in kinds
            for number in range(round(KINDS[kind][1] * options.times))
        ]
        counts = collections.defaultdict(collections.Counter)
        found = process_map(run, trials, options.workers, lambda trial: KINDS[trial.kind][2])
        for trial, outcome, failure in found:
            outcome = outcome or f"WRONG: {failure}"
            counts[trial.kind][outcome.partition(":")[0]] += 1
            if outcome.startswith("WRONG"):
                wrong.append(f"--only={trial.kind} --seed={trial.seed}: {outcome[7:]}")
    print("| faults of | tried | right | refused by one line | WRONG |\n|---|---|---|---|---|")
    for kind in kinds:
        one = counts[kind]
        row = (kind, one.total(), one["right"], one["refused"], one["WRONG"])
        print("| " + " | ".join(map(str, row)) + " |")
    print(f"{len(trials)} faults in {time.monotonic() - begin:.0f} s; {len(wrong)} wrong")
    for line in wrong[:30]:
        print(f"  {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    from benchmarks import faults  # so that worker processes find the functions by their module

    faults.main()
