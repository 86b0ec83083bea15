"""Run the notebooks of docs/notebooks from top to bottom; an error in a cell ends it.

    python tools/notebooks.py --backend=tensorflow            # those of this backend, as CI does
    python tools/notebooks.py --backend=torch --write         # and store what they printed
    python tools/notebooks.py docs/notebooks/your_videos.ipynb

A notebook names its backend in its metadata (`bod_keras.backend`). It runs in an empty folder, with `bod-keras`
on the path. What it writes to stderr, progress bars for the most part, is not stored.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/notebooks"
BACKENDS = ("tensorflow", "torch", "jax")
LARGEST = 400_000  # bytes of a stored notebook
_COMMAND = """#!{python}
import sys
sys.argv[0] = "bod-keras"
from bod_keras.commands.console.main import main
main()
"""


def run(notebook: nbformat.NotebookNode) -> None:
    """Run a notebook in an empty folder; its outputs are replaced."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count, cell.metadata = [], None, {}
    with tempfile.TemporaryDirectory() as folder:
        command = Path(folder, "bin", "bod-keras")
        command.parent.mkdir()
        command.write_text(_COMMAND.format(python=sys.executable))
        command.chmod(0o755)
        work = Path(folder, "work")
        work.mkdir()
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend_of(notebook),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", record_timing=False)
        client.execute(cwd=str(work), env=environment)
        hide(notebook, folder)


def hide(notebook: nbformat.NotebookNode, folder: str) -> None:
    """Leave out stderr, what progress bars overwrote, and where the notebook ran."""
    for cell in notebook.cells:
        kept = []
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                continue
            if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
            else:
                kept.append(output)
        for output in kept:
            if output.output_type == "stream":
                output.text = shown(output.text, folder)
        if "outputs" in cell:
            cell.outputs = kept


def shown(text: str, folder: str) -> str:
    """What is left of a text on a terminal in the end, without progress bars and the folder's name."""
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("\r\n", "\n")
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    lines = [line for line in lines if not re.search(r"\d+%\|.*\[", line)]
    text = re.sub(r"\n(\s*\n){2,}", "\n\n", "\n".join(lines)).lstrip("\n")
    return text.replace(f"{folder}/work/", "").replace(folder, "/tmp")


def backend_of(notebook: nbformat.NotebookNode) -> str:
    return notebook.metadata["bod_keras"]["backend"]


def read(path: Path) -> nbformat.NotebookNode:
    """Read a notebook, or say in one line why it cannot be run."""
    try:
        notebook = nbformat.read(path, as_version=4)
        backend_of(notebook)
    except OSError as error:
        sys.exit(f"notebooks: {path} cannot be read: {error.strerror}")
    except (KeyError, TypeError):  # of `backend_of`
        sys.exit(
            f"notebooks: {path} names no backend. Set metadata.bod_keras.backend to one of "
            f"{', '.join(BACKENDS)}."
        )
    except (ValueError, AttributeError, nbformat.ValidationError) as error:
        sys.exit(f"notebooks: {path} is no notebook: {str(error).splitlines()[0]}")
    return notebook


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="files; all if none is named")
    parser.add_argument("--backend", choices=BACKENDS, help="only those of this backend")
    parser.add_argument("--write", action="store_true", help="store their outputs")
    options = parser.parse_args(arguments)
    failed, ran = False, 0
    for path in options.notebooks or sorted(FOLDER.glob("*.ipynb")):
        notebook = read(path)
        if options.backend and backend_of(notebook) != options.backend:
            continue
        ran += 1
        start = time.perf_counter()
        try:
            run(notebook)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed = True
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        text = nbformat.writes(notebook) + "\n"
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {len(text):,} bytes", flush=True)
        if len(text) > LARGEST:
            failed = True
            print(f"{path.name}: its outputs must stay below {LARGEST:,} bytes", file=sys.stderr)
        elif options.write:
            path.write_text(text)
    if not ran:
        sys.exit(f"notebooks: no notebook of the backend {options.backend} was named.")
    sys.exit(failed)


if __name__ == "__main__":
    main()
