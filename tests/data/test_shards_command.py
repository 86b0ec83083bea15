"""python -m bod_keras.data shards: as a user runs it, and as it is killed."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from bod_keras.data import class_names, open_store, read_catalog, read_manifest, read_source
from bod_keras.data.commands.shards import main
from tests.tiers import slow

REPOSITORY = Path(__file__).parents[2]


def content(folder):
    """Name -> bytes of every file in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_for(condition, process):
    """Wait until something has happened, and give it; fail if the process ends before."""
    while not (found := condition()):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    return found


def is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def classes(tmp_path_factory, ramp_clip, write_video):
    """A folder per class."""
    root = tmp_path_factory.mktemp("classes")
    for name in ("run/a.avi", "run/b.avi", "walk/c.avi"):
        (root / name).parent.mkdir(exist_ok=True)
        write_video(root / name, ramp_clip(20))
    return root


def test_a_folder_per_class(classes, tmp_path, capfd):
    output = tmp_path / "shards"
    arguments = [f"--source={classes}", f"--output={output}", "--short-side=16", "--workers=0"]
    main([*arguments, "--quality=80", "--chunk=16"])
    said = capfd.readouterr()
    assert re.search(r"3 videos, 60 frames, 1 shards, \d+\.\d MiB in .*shards\n", said.out)
    assert "3/3" in said.err and "video/s" in said.err
    assert read_manifest(output)["settings"] == {
        **{"short_side": 16, "quality": 80, "chunk": 16, "shard_mb": 128, "fps": None}
    }
    packed, source = read_catalog(output), read_catalog(classes)
    assert [record.label for record in packed] == [record.label for record in source] == [0, 0, 1]
    assert class_names(output) == class_names(classes) == ["run", "walk"]
    assert packed[2].path == f"{output}/shard-00000.tfrecord#walk/c.avi"


def test_folders_of_frames_beside_videos(classes, tmp_path, ramp_clip):
    root = tmp_path / "in"
    (root / "frames" / "a").mkdir(parents=True)
    (root / "a.avi").symlink_to(classes / "run" / "a.avi")
    for t, frame in enumerate(ramp_clip(12)):
        cv2.imwrite(str(root / "frames" / "a" / f"img_{t + 1:05d}.jpg"), frame)
    for kind, lengths in (("auto", [20]), ("frames", [12])):
        output = tmp_path / kind
        main([f"--source={root}", f"--output={output}", f"--from={kind}", "--fps=8", "--workers=0"])
        store = open_store([])
        assert [store.length(record.path) for record in read_catalog(output)] == lengths
    assert read_manifest(tmp_path / "frames")["videos"][0]["fps"] == 8.0
    with pytest.raises(SystemExit, match="no folder of numbered images in"):
        main([f"--source={classes}", f"--output={tmp_path / 'x'}", "--from=frames"])


def test_an_official_data_set(tmp_path, ramp_clip, write_video):
    """Class names, splits, and that a flip would change the label, go with the shards."""
    videos, output = tmp_path / "videos", tmp_path / "shards"
    videos.mkdir()
    for number in (1, 2):
        write_video(videos / f"{number}.webm", ramp_clip(20), "VP80")
    (tmp_path / "train.json").write_text('[{"id": "1", "template": "Moving [something] left"}]')
    (tmp_path / "validation.json").write_text('[{"id": "2", "template": "Moving [something] up"}]')
    (tmp_path / "labels.json").write_text(
        '{"Moving something left": "0", "Moving something up": "1"}'
    )
    main(["--dataset=ssv2", f"--root={videos}", f"--annotations={tmp_path}", f"--output={output}",
          "--workers=0"])  # fmt: skip
    catalog = read_source(output, split="val")
    assert not catalog.flip_safe
    assert catalog.class_names == ["Moving something left", "Moving something up"]
    assert [record.label for record in catalog.records] == [1]


def test_skipped_videos_are_named_at_the_end(classes, broken, tmp_path, capfd):
    path, reason = broken["cut.avi"]
    listing = tmp_path / "list.txt"
    listing.write_text(f"{classes}/run/a.avi 0\n{path} 1\n")
    main([f"--source={listing}", f"--output={tmp_path / 's'}", "--workers=0"])
    said = capfd.readouterr().out
    assert "1 videos, 20 frames" in said and "skipped, all are named in" in said
    assert re.search(re.escape(path) + f": {reason}", said)
    listing.write_text(f"{path} 1\n")
    with pytest.raises(SystemExit, match="not one video could be read"):
        main([f"--source={listing}", f"--output={tmp_path / 't'}", "--workers=0"])


def test_a_name_that_is_no_text(classes, tmp_path, capfd):
    (tmp_path / "in").mkdir()
    for name in ("\udcff.avi", "a.avi"):
        (tmp_path / "in" / name).symlink_to(classes / "run" / "a.avi")
    main([f"--source={tmp_path / 'in'}", f"--output={tmp_path / 's'}", "--workers=0"])
    assert "2 videos, 40 frames" in capfd.readouterr().out
    videos = read_manifest(tmp_path / "s")["videos"]
    assert all(os.path.exists(video["source"]) for video in videos)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--output=x"], "give one of --dataset and --source"),
        (["--source=x", "--dataset=ucf101", "--output=x"], "give one of --dataset and --source"),
        (["--dataset=ucf101", "--output=x"], "--root is missing"),
        (["--source=x"], "required: --output"),
        (["--source=x", "--fold=2", "--output=x"], "--fold is of a --dataset"),
        (["--source=x", "--annotations=y", "--output=x"], "--annotations is of a --dataset"),
    ],
)
def test_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


def test_errors_are_one_line(classes, tmp_path):
    with pytest.raises(SystemExit, match="^python -m bod_keras.data shards: There is no folder"):
        main(["--source=nowhere", f"--output={tmp_path}"])
    with pytest.raises(SystemExit, match="shards: quality must be at most 100"):
        main([f"--source={classes}", f"--output={tmp_path}", "--quality=200"])
    with pytest.raises(SystemExit, match="shards: fps must be a finite number. Received: fps=inf"):
        main([f"--source={classes}", f"--output={tmp_path}", "--fps=inf"])


@slow
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, write_video):
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for number in range(8):
        clip = rng.integers(0, 255, (80, 96, 128, 3), dtype=np.uint8)
        write_video(tmp_path / "in" / f"{number}.avi", clip, "MJPG")
    settings = ["--short-side=96", "--chunk=4", "--shard-mb=2", f"--source={tmp_path / 'in'}"]
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    run = subprocess.Popen(
        [sys.executable, "-m", "bod_keras.data", "shards", *settings, f"--output={cut}",
         "--workers=2"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        # A shard is whole, and a video is being written: neither all nor nothing.
        wait_for((cut / "unfinished" / "shard-00000.json").exists, run)
        wait_for(lambda: list((cut / "unfinished").glob(".part-*")), run)
    finally:
        run.kill()
        run.wait()
    deadline = time.monotonic() + 30
    while not is_gone(run.pid):  # the worker processes end by themselves
        assert time.monotonic() < deadline, "a worker outlived the run"
        time.sleep(0.01)
    assert run.returncode == -signal.SIGKILL
    assert not (cut / "manifest.json").exists()
    first = cut / "shard-00000.tfrecord"
    kept = first.stat().st_ino
    for output in (cut, whole):
        main([*settings, f"--output={output}", "--workers=0"])
    assert first.stat().st_ino == kept
    assert content(cut) == content(whole)
    assert len(content(whole)) > 3 and read_manifest(whole)["totals"]["videos"] == 8
