"""All videos of a catalog checked in parallel, with a journal that survives a kill."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections import Counter
from collections.abc import Iterator

from tqdm import tqdm

from bod_keras.data.processes.process_map import check_timeout, process_map
from bod_keras.data.record import Catalog
from bod_keras.data.video.check import check_video, content_hash
from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import set_aside
from bod_keras.storage.regular_file import regular_file
from bod_keras.storage.remote import is_remote
from bod_keras.storage.stored_size import stored_size

KINDS = ("unreadable", "truncated", "too short", "variable rate", "gaps", "duplicate")


def verify(
    catalog: Catalog,
    *,
    full: bool = False,
    workers: int = 1,
    timeout: float = 60.0,
    min_frames: int = 16,
    journal: str | os.PathLike,
) -> dict:
    """Check every video of a catalog once.

    What was found of a file is written to the journal at once. A call with the same journal and
    the same `full` continues where an earlier one stopped; files that have changed since are checked
    again. The journal is for the caller to remove.

    Args:
        catalog: from `read_dataset`; or `Catalog(read_catalog(...))`.
        full: decode every frame, and look for variable frame rates; see `check_video`.
        workers: number of processes.
        timeout: seconds after which a file is given up, and one more for each MiB of it.
        min_frames: a video with fewer frames is "too short".
        journal: a file, made if it is missing.

    Returns:
        A dict: `counts` of annotated, present and missing videos and of those of each of `KINDS`
        (None if it was not looked for); `missing`, names; `problems`, path -> kind -> reason;
        `frames`, their sum; `rates`, frames a second -> number of files.

    Raises:
        UserError: if `workers`, `timeout` or `min_frames` is out of range, or a path is remote.
        RuntimeError: if processes cannot start; see `process_map`.

    Example:
        >>> import os
        >>> from bod_keras.data import Catalog
        >>> from bod_keras.data.verify import verify
        >>> import tempfile
        >>> from bod_keras.data import Record
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     journal = os.path.join(folder, "journal")
        ...     verify(Catalog([Record("gone.avi")]), journal=journal)["missing"]
        ['gone.avi']
    """
    check_timeout(timeout)
    if min_frames < 0:
        raise UserError(f"min_frames must not be negative. Received: {min_frames}")
    paths = dict.fromkeys(record.path for record in catalog.records)
    if away := [path for path in paths if is_remote(path)]:
        raise UserError(f"Only local files are verified. Received: {away[0]}. Copy them first.")
    states = {path: _state(path) for path in paths}
    missing = [*catalog.missing, *(path for path, state in states.items() if state is None)]
    states = {path: state for path, state in states.items() if state is not None}

    def patience(path: str) -> float:
        return timeout + stored_size(path) / 2**20

    results = _checked(states, full, workers, patience, os.fspath(journal))
    problems: dict[str, dict[str, str]] = {}
    for path in states:
        for kind, reason in _problems(results[path], min_frames):
            problems.setdefault(path, {})[kind] = reason
    for path, twin in _duplicates(states, workers, patience):
        problems.setdefault(path, {})["duplicate"] = f"same content as {twin}"
    kinds = Counter(kind for found in problems.values() for kind in found)
    counts = {"annotated": len(states) + len(missing), "present": len(states)}
    counts |= {"missing": len(missing), **{kind: kinds[kind] for kind in KINDS}}
    if not full:
        counts["variable rate"] = None
    return {
        "counts": counts,
        "missing": missing,
        "problems": {path: problems[path] for path in states if path in problems},
        "frames": sum(result["frames"] or 0 for result in results.values()),
        "rates": dict(Counter(f"{r['fps']:.5g}" for r in results.values() if r["fps"])),
    }


def _problems(result: dict, min_frames: int) -> Iterator[tuple[str, str]]:
    if result["state"] != "ok":
        yield result["state"], result["reason"]
    elif result["frames"] < min_frames:
        yield "too short", f"{result['frames']} frames"
    if result["variable_rate"]:
        yield "variable rate", f"{result['fps']:.5g} frames a second on average"
    if result.get("gaps"):
        yield "gaps", result["gaps"]


def _checked(states: dict, full: bool, workers: int, patience, journal: str) -> dict:
    results = _read_journal(journal, full)
    results = {p: r["result"] for p, r in results.items() if states.get(p) == r["state"]}
    if results:
        print(f"Continues: {len(results)} of {len(states)} files are checked already.", flush=True)
    rest = [path for path in states if path not in results]
    check = functools.partial(check_video, full=full)
    with (
        open(journal, "a", encoding="utf-8") as stream,
        tqdm(total=len(states), initial=len(results), unit="file") as progress,
        contextlib.closing(process_map(check, rest, workers, patience)) as checks,
    ):
        if not stream.tell():
            print(json.dumps({"full": full}), file=stream, flush=True)
        for path, result, failure in checks:
            results[path] = result or {
                **dict.fromkeys(("declared", "frames", "fps", "variable_rate", "gaps")),
                "state": "unreadable",
                "reason": failure,
            }
            line = {"path": path, "state": states[path], "result": results[path]}
            print(json.dumps(line), file=stream, flush=True)
            progress.update()
    return results


def _read_journal(journal: str, full: bool) -> dict[str, dict]:
    """Lines of a journal by path; a journal of the other kind of check is removed."""
    if not os.path.exists(journal):
        return {}
    lines = []
    with open(regular_file(journal), "rb") as stream:
        for line in stream:
            try:
                lines.append(json.loads(line))
            except (ValueError, RecursionError):  # cut off by a kill
                break
    if not lines or not isinstance(lines[0], dict) or set(lines[0]) != {"full"}:
        print(f"{journal} is no journal: it is now {set_aside(journal).name}.", flush=True)
        return {}
    if lines[0] != {"full": full}:
        os.unlink(journal)
        return {}
    lines = [lines[0], *filter(_is_entry, lines[1:])]  # others are checked again
    with open(journal, "w", encoding="utf-8") as stream:  # without a line that was cut off
        stream.writelines(json.dumps(line) + "\n" for line in lines)
    return {line["path"]: line for line in lines[1:]}


def _is_entry(line: object) -> bool:
    """Whether a line of a journal says what was found of a file."""
    if not isinstance(line, dict) or not isinstance(line.get("path"), str):
        return False
    result = line.get("result")
    if "state" not in line or not isinstance(result, dict):
        return False
    numbers = [result.get(name) for name in ("frames", "fps")]
    known = {"state", "reason", "frames", "fps", "variable_rate"} <= result.keys()
    return known and all(n is None or isinstance(n, (int, float)) for n in numbers)


def _state(path: str) -> list[int] | None:
    """Size and time of change; None if there is no such file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _duplicates(states: dict, workers: int, patience) -> Iterator[tuple[str, str]]:
    """Pairs of a file and an earlier one with the same content. Only equal sizes are compared."""
    sizes = {path: state[0] for path, state in states.items() if not os.path.isdir(path)}
    shared = {size for size, count in Counter(sizes.values()).items() if count > 1 and size}
    alike = [path for path, size in sizes.items() if size in shared]
    hashes = {}
    if alike:
        with tqdm(total=len(alike), unit="file", desc="equal sizes") as progress:
            for path, digest, _ in process_map(content_hash, alike, workers, patience):
                hashes[path] = digest
                progress.update()
    first: dict[str, str] = {}
    for path in alike:
        if hashes[path] is None:  # not readable, which is said already
            continue
        twin = first.setdefault(hashes[path], path)
        if twin != path:
            yield path, twin
