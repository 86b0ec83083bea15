"""The machine-readable record of a run: what was measured, with what, and where."""

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from bod_keras.errors import UserError
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.storage.lock import lock
from bod_keras.storage.regular_file import regular_file
from bod_keras.version import __version__

_WAIT = 60.0  # seconds, for another process that writes to the same report
_OPENCV_NAMES = ("opencv-python-headless", "opencv-python", "opencv-contrib-python")


def write_report(path: str | os.PathLike, **sections) -> Path:
    """Write sections into a JSON report and keep the report's other sections.

    A section that the report has already is replaced as a whole. The new report is written beside
    the old one and then takes its place, so that an interrupted or failed write (a full disk)
    leaves the old report as it was. Processes that write to one report wait for each other.

    Args:
        path: the file; missing folders are made.
        **sections: name to value: numbers, strings, booleans, None, paths, NumPy scalars and
            arrays, and dicts, lists and tuples of these. NaN and infinity, which JSON lacks,
            become null.

    Returns:
        The path.

    Raises:
        ValueError: if the file exists and is not a JSON object.
        TypeError: if a value is of another kind; its place is named.
        OSError: if the file cannot be written.

    Example:
        >>> import json
        >>> from bod_keras.evaluation import write_report
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> path = write_report(f"{folder}/report.json", config={"seed": 0})
        >>> path = write_report(path, accuracy=0.5)
        >>> json.loads(path.read_text())
        {'config': {'seed': 0}, 'accuracy': 0.5}
    """
    path = Path(path)
    new = {name: _plain(value, name) for name, value in sections.items()}
    with lock(path, "Repeat the command.", wait=_WAIT):
        report = {**(read_report(path) if path.exists() else {}), **new}
        text = json.dumps(report, indent=2, allow_nan=False) + "\n"
        with atomic_file(path) as part:
            part.write_text(text, encoding="utf-8")
    return path


def read_report(path: str | os.PathLike) -> dict:
    """Return the sections of a report.

    Raises:
        FileNotFoundError: there is none.
        UserError: the file is damaged; the message names it.
    """
    try:
        report = json.loads(regular_file(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(
            f"{path} must hold JSON. Received: text that does not parse ({error}). Restore it from a copy, or "
            "move the file away."
        ) from error
    if type(report) is not dict:
        raise UserError(
            f"{path} must hold a JSON object. Received: a {type(report).__name__}. Restore it from a copy, or "
            "move the file away."
        )
    return report


def environment() -> dict:
    """Return the software, the machine and the code's revision, for a report.

    Returns:
        A dict with the versions of `bod_keras`, `python`, `keras`, `numpy`, `scikit_learn` and `opencv`
        (None if absent), the `backend` and `backend_version`, the `platform`, the `processor`, the
        `cpu_count` that this process may use, the `device` that Keras computes on by default, the names
        of the NVIDIA `gpus`, `git` (`{"revision": str, "dirty": bool}` of the
        repository that holds this package, or None where none does), and `time_utc`, ISO 8601.

    Example:
        >>> import keras
        >>> from bod_keras.evaluation import environment
        >>> environment()["keras"] == keras.__version__
        True
    """
    backend = keras.backend.backend()
    return {
        "bod_keras": __version__,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": backend,
        "backend_version": _version(backend),
        "numpy": np.__version__,
        "scikit_learn": _version("scikit-learn"),
        "opencv": next((v for v in map(_version, _OPENCV_NAMES) if v), None),
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_count": _usable_cpus(),
        "device": str(keras.ops.zeros(()).device),
        "gpus": _gpus(),
        "git": git_state(Path(__file__).resolve()),
        "time_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _plain(value, place: str):
    """Return `value` in JSON's own types; `place` names it in an error."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
    raise TypeError(
        f"{place} must be a number, a string, None, an array, or a dict or list of these. Received: "
        f"a {type(value).__name__}. Convert it first, tensors with keras.ops.convert_to_numpy."
    )


def _version(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the processor's model where Linux names it, else its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Return the names of the NVIDIA GPUs, none where their driver's tool is absent."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split("\n")[:-1]


def _usable_cpus() -> int | None:
    """Count the CPUs that this process may run on, fewer than the machine's in many containers."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def git_state(file: Path) -> dict | None:
    """Return revision and dirtiness of the repository that tracks `file`, or None.

    Being tracked matters: a copy in a virtual environment may lie within some repository's folder.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(file.parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", file.name)
        return {
            "revision": git("rev-parse", "HEAD"),
            "dirty": bool(git("status", "--porcelain")),
        }
    except (OSError, subprocess.SubprocessError):
        return None
