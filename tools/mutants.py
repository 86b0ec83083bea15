"""Change the package in one small place at a time, and see whether its tests notice: `make mutants`.

    python tools/mutants.py [--rooms koopman,losses] [--write docs/mutants.md]

A mutant has one sign, operator, comparison, condition or number changed, or one statement dropped. It is
caught if a test fails, cannot run, or hangs. What no test can see is listed with its reason in
equivalent_mutants.tsv. Cosmic-ray starts a process that imports the backend anew for each mutant, seven seconds
with TensorFlow, and mutmut forks one that has run the tests, where the backends' threads make its children
hang, and leaves decorated functions out; so here each mutant is a fork of a process that has imported the
backends, and not yet this package.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import contextlib
import csv
import gc
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.tsv")
SEED = "0"
# What no mutant changes is imported once. PyTorch runs small eager computations fastest.
ENGINE = {"KERAS_BACKEND": "torch", "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
PRELOADED = """keras torch tensorflow numpy scipy.linalg cv2 av matplotlib.pyplot sklearn.linear_model
    sklearn.neural_network sklearn.preprocessing pytest xdist.plugin hypothesis.strategies tqdm
    ml_collections absl.flags absl.app filelock google_crc32c""".split()

# Room -> its modules, each with its tests, the quickest first, and options of pytest.
EVERY = "frameworks/test_every_framework.py"
KOOPMAN = "koopman/test_koopman_split.py koopman/test_koopman_properties.py"
LOSSES = "losses/test_loss_properties.py"
BOXES = (
    "detection/test_frame_map.py detection/test_video_map.py detection/test_detection_properties.py"
)
SCORES = "evaluation/test_metric_properties.py"
VIDEOS = (
    "data/test_video_index.py data/test_video.py data/test_data_properties.py "
    "data/test_video_kinds.py -k'video or any_file'"
)
ROOMS: dict[str, dict[str, str]] = {
    "koopman": {
        "koopman/linalg.py": f"koopman/test_linalg.py {KOOPMAN} koopman/test_reference_code.py",
        "koopman/closest_projector.py": "koopman/test_closest_projector.py "
        f"koopman/test_linalg.py {KOOPMAN}",
        "koopman/layer.py": f"{KOOPMAN} koopman/test_reference_code.py",
        "koopman/read_outs.py": KOOPMAN,
        "koopman/reference_code.py": "koopman/test_reference_code.py",
    },
    "losses": {
        "losses/_checks.py": "losses",
        "losses/barlow_twins.py": f"losses/test_barlow_twins.py {LOSSES}",
        "losses/cosine_regression.py": f"losses/test_cosine_regression.py {LOSSES}",
        "losses/decoupled.py": "losses/test_decoupled.py",
        "losses/info_nce.py": f"losses/test_info_nce.py {LOSSES}",
        "losses/koopman_prediction.py": f"losses/test_koopman_prediction.py {LOSSES}",
        "losses/lejepa.py": f"losses/test_lejepa.py {LOSSES}",
        "losses/queue_info_nce.py": f"losses/test_queue_info_nce.py {LOSSES}",
        "losses/sinkhorn.py": f"losses/test_sinkhorn.py {LOSSES}",
        "losses/swapped_prediction.py": f"losses/test_swapped_prediction.py {LOSSES}",
        "losses/vicreg.py": f"losses/test_vicreg.py {LOSSES}",
    },
    "training": {
        "training/bilevel.py": "training/test_bilevel.py",
        "training/chunks.py": "training/test_chunks.py",
        "training/step.py": "training/test_bilevel.py training/test_chunks.py training/test_model.py",
    },
    "frameworks": {
        "frameworks/_pairs.py": "frameworks/test_vsimclr.py frameworks/test_base.py",
        "frameworks/base.py": "frameworks/test_base.py frameworks/test_vsimclr.py frameworks/test_embed.py "
        "frameworks/test_static_view.py frameworks/test_motion_view.py frameworks/test_static_mix.py "
        f"{EVERY} -k'test_base or vsimclr or embed or static_ or motion_view'",
        "frameworks/key_queue.py": "frameworks/test_key_queue.py",
        "frameworks/momentum.py": f"frameworks/test_momentum.py {EVERY} -k'momentum or defaults'",
        "frameworks/part_heads.py": "frameworks/test_projection_head.py frameworks/test_vsimclr.py",
        "frameworks/projection_head.py": "frameworks/test_projection_head.py",
        "frameworks/prototypes.py": "frameworks/test_prototypes.py",
        "frameworks/vbarlow_twins.py": "training/test_wrong_data.py "
        f"{EVERY} -k'vbarlow_twins or defaults'",
        "frameworks/vbyol.py": f"{EVERY} -k'vbyol or defaults'",
        "frameworks/vlejepa.py": f"{EVERY} -k'vlejepa or defaults'",
        "frameworks/vmoco.py": f"frameworks/test_key_queue.py {EVERY} -k'vmoco or queue or defaults'",
        "frameworks/vsimclr.py": f"frameworks/test_vsimclr.py {EVERY} -k'vsimclr or defaults'",
        "frameworks/vsimsiam.py": f"frameworks/test_vsimsiam.py {EVERY} -k'vsimsiam or defaults'",
        "frameworks/vswav.py": f"frameworks/test_vswav.py {EVERY} -k'vswav or defaults'",
        "frameworks/vvicreg.py": f"{EVERY} -k'vvicreg or defaults'",
    },
    "detection": {
        "detection/average_precision.py": BOXES,
        "detection/box_iou.py": BOXES,
        "detection/frame_map.py": f"{BOXES} detection/test_ava_server.py",
        "detection/tubes.py": BOXES,
        "detection/video_map.py": BOXES,
    },
    "evaluation": {
        "evaluation/probes/held_out.py": "evaluation/test_probes.py",
        "evaluation/probes/knn.py": f"evaluation/test_probes.py {SCORES} "
        "evaluation/test_scores.py -k'knn or errors or any'",
        "evaluation/probes/linear_probe.py": "evaluation/test_probes.py evaluation/test_scores.py "
        "-k'linear or probes or errors'",
        "evaluation/probes/low_shot.py": f"evaluation/test_classification.py {SCORES} -k'low_shot or share'",
        "evaluation/probes/mlp_probe.py": "evaluation/test_probes.py",
        "evaluation/probes/neighbors.py": f"evaluation/test_retrieval.py {SCORES}",
        "evaluation/probes/retrieval.py": f"evaluation/test_retrieval.py {SCORES}",
    },
    "data": {
        "data/loading/clips.py": "data/test_clips.py data/test_data_properties.py -k'clips or any_clip'",
        "data/loading/order.py": "data/test_order.py data/test_data_properties.py "
        "-k'order or hosts or parted or overlap'",
        "data/record_frames.py": "data/test_key_frames.py data/test_video_kinds.py "
        "-k'key_frames or span or second'",
        "data/video/video_file.py": VIDEOS,
        "data/video/video_index.py": VIDEOS,
    },
}


class Mutant(NamedTuple):
    """A change of one module, whose whole text is then `text`; `line` is that of the change, before it."""

    room: str
    module: str
    number: int
    line: str
    change: str
    text: str

    @property
    def key(self) -> str:
        return "\t".join((self.module, self.line, self.change))

    @property
    def place(self) -> str:
        change = self.change if len(self.change) < 100 else self.change[:97] + "..."
        return f"{self.module}:{self.number}: {change}"


# -- making mutants ----------------------------------------------------------------------------------------

SWAPS = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
    **{ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq},
    **{
        ast.NotEq: ast.Eq,
        ast.Is: ast.IsNot,
        ast.IsNot: ast.Is,
        ast.In: ast.NotIn,
        ast.NotIn: ast.In,
    },
}
# Texts, types, caches and registrations.
LEFT_OUT = (ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Global)
ANNOTATIONS = ("annotation", "returns", "decorator_list", "type_params")


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def is_warning(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("warnings.")


def changed(node: ast.AST) -> ast.AST | None:
    """The node with its operator or number changed; None where there is nothing to change."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in SWAPS:
        if isinstance(node, ast.BinOp) and (is_text(node.left) or is_text(node.right)):
            return None
        return type(node)(**{**vars(node), "op": SWAPS[type(node.op)]()})
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        return ast.Compare(node.left, [SWAPS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        if isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, int):
            return ast.Constant(1 - node.operand.value)  # -1 -> 0, another axis
        return node.operand
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        return ast.Constant(not node.value)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        whole = isinstance(node.value, int)
        return ast.Constant(node.value + 1 if whole else node.value * 2 or 1.0)
    return None


def can_be_dropped(node: ast.AST) -> bool:
    """A statement without which the rest still runs: a call, a raise, or an assignment to what exists."""
    if isinstance(node, ast.Assign):
        target = node.targets[0]
        if isinstance(target, ast.Name):
            names = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
            return target.id in names
        return isinstance(target, ast.Subscript)
    called = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    return called or isinstance(node, (ast.AugAssign, ast.Raise, ast.Continue, ast.Break))


def mutants_of(room: str, module: str) -> list[Mutant]:
    """Every mutant of a module."""
    text = (ROOT / "bod_keras" / module).read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(number: int, column: int) -> int:
        return starts[number - 1] + len(lines[number - 1].encode()[:column].decode())

    found = []

    def add(node: ast.AST, new: str, label: str = "") -> None:
        start, end = (
            place(node.lineno, node.col_offset),
            place(node.end_lineno, node.end_col_offset),
        )
        old = " ".join(text[start:end].split())
        change = label or f"{old} -> {new}"
        line = lines[node.lineno - 1].strip()
        whole = text[:start] + new + text[end:]
        found.append(Mutant(room, module, node.lineno, line, change, whole))

    def visit(node: ast.AST) -> None:
        if isinstance(node, LEFT_OUT) or is_warning(node):
            return
        new = changed(node)
        if new is not None:
            code = ast.unparse(ast.fix_missing_locations(new))
            add(node, code if isinstance(node, (ast.AugAssign, ast.Constant)) else f"({code})")
        if can_be_dropped(node):
            add(node, "pass", f"dropped: {ast.unparse(node).splitlines()[0]}")
        if isinstance(node, (ast.If, ast.IfExp, ast.While)) and not isinstance(
            node.test, (ast.Compare, ast.BoolOp, ast.UnaryOp)
        ):
            add(node.test, f"(not {ast.unparse(node.test)})")
        if isinstance(node, ast.Raise):
            return
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            return
        for field, value in ast.iter_fields(node):
            if field not in ANNOTATIONS:
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        visit(child)

    visit(ast.parse(text))
    return found


def sampled(count: int, rooms: list[str]) -> list[Mutant]:
    """A share of each room by the hash of each mutant, so that other code does not change which."""

    def rank(mutant: Mutant) -> str:
        return hashlib.sha256((SEED + mutant.key).encode()).hexdigest()

    every = {room: [m for name in ROOMS[room] for m in mutants_of(room, name)] for room in ROOMS}
    total = sum(map(len, every.values()))
    chosen = []
    for room in rooms:
        unique = list({m.key: m for m in every[room]}.values())
        share = max(1, round(count * len(every[room]) / total))
        kept = sorted(unique, key=rank)[:share]
        chosen += sorted(kept, key=lambda m: (list(ROOMS[room]).index(m.module), m.number))
    return chosen


# -- judging them ------------------------------------------------------------------------------------------


def copy_tree(folder: Path) -> None:
    """What git knows or would take, as it is in the working tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def start_tests(folder: Path, tests: str, log: Path) -> int:
    """Run tests of a copy in a fork; its process number."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.path[:] = [
            str(folder),
            *(p for p in sys.path if Path(p or ".").resolve() != ROOT / "tools"),
        ]
        import pytest

        paths = [f"tests/{test}" if test[0] != "-" else test for test in shlex.split(tests)]
        off = ("cacheprovider", "unraisableexception", "threadexception")
        options = ["-x", "-q", "-Wignore", "--tb=line", *(f"-pno:{plugin}" for plugin in off)]
        code = int(pytest.main([*options, f"--basetemp={folder}.tmp", *paths]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def finished(process: int, limit: float, started: float) -> tuple[str, float] | None:
    """The verdict of a run of tests and its processor time; None while it runs.

    The limit is of processor time. On the clock it is tenfold, so that other work on the machine hangs nothing.
    """
    done, status, usage = os.wait4(process, os.WNOHANG)
    if not done:
        try:
            spent = sum(map(int, Path(f"/proc/{process}/stat").read_text().split()[13:15]))
        except FileNotFoundError:
            spent = 0
        if spent / os.sysconf("SC_CLK_TCK") < limit > (time.monotonic() - started) / 10:
            return None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    if not done:
        os.waitpid(process, 0)
        return "hangs", limit
    seconds = usage.ru_utime + usage.ru_stime
    if not os.WIFEXITED(status):
        return "crashes", seconds
    return {0: "passes", 1: "fails"}.get(os.WEXITSTATUS(status), "cannot run"), seconds


def digest(*paths: Path) -> str:
    files = sorted(f for path in paths for f in ([path] if path.is_file() else path.rglob("*.py")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


class Judge:
    """Judges mutants in copies of the tree, several at a time.

    Args:
        folder: for the copies.
        jobs: how many at a time.
    """

    def __init__(self, folder: Path, jobs: int):
        self.copies = [folder / f"copy{i}" for i in range(jobs)]
        copy_tree(self.copies[0])
        compileall.compile_dir(self.copies[0] / "bod_keras", quiet=1)
        for other in self.copies[1:]:
            shutil.copytree(self.copies[0], other)
        self.count = 0

    def measure(self, tests: str) -> float:
        """Run tests on the unchanged package, which they have to pass; the processor time in seconds."""
        copy, started = self.copies[0], time.monotonic()
        process = start_tests(copy, tests, copy.with_suffix(".log"))
        while (result := finished(process, 900, started)) is None:
            time.sleep(0.05)
        verdict, seconds = result
        if verdict != "passes":
            said = copy.with_suffix(".log").read_text()[-3000:]
            sys.exit(f"The unchanged package {verdict}: {tests}\n{said}")
        return seconds

    def judge(
        self, mutants: list[Mutant], tests: str, limit: float
    ) -> Iterator[tuple[Mutant, str, float, str]]:
        """Yield each mutant with its verdict, seconds, and the test that failed."""
        waiting, free = list(reversed(mutants)), list(self.copies)
        running: dict[int, tuple] = {}
        while waiting or running:
            while waiting and free:
                mutant, copy = waiting.pop(), free.pop()
                path = copy / "bod_keras" / mutant.module
                before = path.read_bytes(), path.stat().st_mtime_ns
                path.write_text(mutant.text, encoding="utf-8")
                self.count += 1
                os.utime(path, (self.count, self.count))  # nothing compiled has this time
                process = start_tests(copy, tests, copy.with_suffix(".log"))
                running[process] = mutant, copy, path, before, time.monotonic()
            for process, (mutant, copy, path, (text, at), started) in list(running.items()):
                result = finished(process, limit, started)
                if result is not None:
                    del running[process]
                    path.write_bytes(text)
                    os.utime(path, ns=(at, at))
                    shutil.rmtree(f"{copy}.tmp", ignore_errors=True)
                    free.append(copy)
                    found = re.search(
                        r"^(?:FAILED|ERROR) (\S+)", copy.with_suffix(".log").read_text(), re.M
                    )
                    yield mutant, *result, found[1] if found else ""
            time.sleep(0.02)


# -- the table ---------------------------------------------------------------------------------------------


def equivalents() -> dict[str, str]:
    """From the key of a mutant that no test can see to the reason."""
    if not EQUIVALENT.exists():
        return {}
    with open(EQUIVALENT, encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {"\t".join(row[:3]): row[3] for row in rows if len(row) == 4}


def table(mutants: list[Mutant], verdicts: dict[str, str]) -> str:
    """Markdown: a row a room, then every survivor."""
    reasons = equivalents()
    rows, survivors, sums = [], [], [0, 0, 0]
    for room in dict.fromkeys(m.room for m in mutants):
        mine = [m for m in mutants if m.room == room]
        left = [m for m in mine if verdicts[m.key] == "passes"]
        equal = [m for m in left if m.key in reasons]
        counts = len(mine), len(mine) - len(left), len(equal)
        sums = [a + b for a, b in zip(sums, counts)]
        rows.append((room, *counts))
        survivors += [m for m in left if m.key not in reasons]
    lines = [
        "| room | mutants | caught | equivalent | caught of the others |",
        "|---|---|---|---|---|",
    ]
    for room, total, caught, equal in [*rows, ("all", *sums)]:
        share = caught / max(total - equal, 1)
        lines.append(f"| {room} | {total} | {caught} | {equal} | {share:.1%} |")
    lines += ["", f"Survivors: {len(survivors)}", ""]
    lines += [f"* `{m.place}`" for m in survivors]
    return "\n".join(lines) + "\n"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutants", type=int, default=500, help="how many, over all rooms")
    parser.add_argument("--rooms", default=",".join(ROOMS), help="which, with commas between")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time")
    parser.add_argument(
        "--results",
        type=Path,
        default=ROOT / "runs/mutants.jsonl",
        help="results so far; the same file continues",
    )
    parser.add_argument("--write", type=Path, help="write the table into this Markdown file")
    parser.add_argument("--list", action="store_true", help="show the mutants and judge none")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    rooms = options.rooms.split(",")
    modules = {name: tests for room in rooms for name, tests in ROOMS[room].items()}
    mutants = sampled(options.mutants, rooms)
    if options.list:
        print(*(m.place for m in mutants), f"{len(mutants)} mutants", sep="\n")
        return

    # A verdict holds as long as the module is the same, and that a mutant passes as long as its tests are.
    def state(tests: str, module: str | None) -> str:
        files = [ROOT / "bod_keras" / module] if module else []
        names = shlex.split(tests)
        return digest(*files, *(ROOT / "tests" / name for name in names if name[0] != "-"))

    known = options.results.read_text().splitlines() if options.results.exists() else []
    records = {record["key"]: record for record in map(json.loads, known)}
    verdicts, left = {}, {}
    for mutant in mutants:
        tests = modules[mutant.module]
        record = records.get(mutant.key, {"verdict": None})
        passes = record["verdict"] == "passes"
        if record["verdict"] and record["state"] == state(tests if passes else "", mutant.module):
            verdicts[mutant.key] = record["verdict"]
        else:
            left.setdefault(tests, []).append(mutant)
    print(f"{len(mutants)} mutants, {len(verdicts)} of them judged before", flush=True)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if left:
        os.environ.update(ENGINE)
        for name in PRELOADED:
            __import__(name)
        gc.freeze()  # or each fork would look through all that was imported
        folder = tempfile.TemporaryDirectory(prefix="mutants-")
        with folder, open(options.results, "a", encoding="utf-8") as file:

            def note(key: str, verdict: str, state: str, **more) -> None:
                record = {"key": key, "verdict": verdict, "state": state, **more}
                print(json.dumps(record), file=file, flush=True)

            judge = Judge(Path(folder.name), options.jobs)
            for tests, group in left.items():
                now = state(tests, None)
                record = records.get(tests)
                if record is None or record["state"] != now:
                    record = {"seconds": judge.measure(tests)}
                    note(tests, "unchanged", now, **record)
                print(
                    f"{len(group)}, {record['seconds']:.1f} s without a mutant: {tests}", flush=True
                )
                for mutant, verdict, seconds, by in judge.judge(
                    group, tests, 10 + 5 * record["seconds"]
                ):
                    verdicts[mutant.key] = verdict
                    passes = verdict == "passes"
                    note(mutant.key, verdict, state(tests if passes else "", mutant.module), by=by)
                    print(f"{seconds:6.1f} s {verdict:10} {mutant.place}", flush=True)
    result = table(mutants, verdicts)
    if left_out := [room for room in ROOMS if room not in rooms]:
        result = f"{result.rstrip()}\n\nNot judged this time: {', '.join(left_out)}.\n"
    print(result)
    if options.write:
        heading = __doc__.strip().split("\n\n")[2]
        options.write.write_text(f"# Mutants\n\n{heading}\n\n{result}", encoding="utf-8")


if __name__ == "__main__":
    main()
