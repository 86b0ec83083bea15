"""Folders of videos: classes, what has none, and what would move labels silently."""

import os
import subprocess
import sys
import tempfile

import pytest

from bod_keras import UserError
from bod_keras.data import Record, class_names, read_catalog, read_source
from tests.data.datasets.trees import touch
from tests.tiers import slow
from tests.video_files import make_ramp_clip, save_video


def test_flat_folder_has_no_labels(tmp_path):
    touch(tmp_path, "b.MP4", "a.avi", "notes.txt", ".hidden.mp4", "deep/c.webm")
    catalog = read_source(tmp_path)
    names = [os.path.relpath(record.path, tmp_path) for record in catalog.records]
    assert names == ["a.avi", "b.MP4", os.path.join("deep", "c.webm")]
    assert {record.label for record in catalog.records} == {None}
    assert class_names(tmp_path) == []
    assert catalog.summary() == (
        "3 videos, no labels; 2 outside of the class folders (a.avi, b.MP4)"
    )


def test_folder_per_class(tmp_path):
    touch(tmp_path, "run/x.mp4", "jump [1]/g01/y.mp4", "run/-z %d.mp4", "empty/readme.md")
    catalog = read_source(tmp_path)
    assert [record.label for record in catalog.records] == [0, 1, 1]
    assert catalog.class_names == class_names(tmp_path) == ["jump [1]", "run"]
    assert all(os.path.exists(record.path) for record in catalog.records)
    assert catalog.summary() == "3 videos, 3 labels, 2 classes; no video in empty"


def test_links_are_followed_but_not_for_ever(tmp_path):
    touch(tmp_path, "store/a/x.mp4", "set/readme.txt")
    (tmp_path / "set" / "a").symlink_to(tmp_path / "store" / "a")
    (tmp_path / "set" / "loop").symlink_to(tmp_path / "set")
    assert len(read_catalog(tmp_path / "set")) == 1


def test_folders_of_images_beside_video_files_are_not_dropped_in_silence(tmp_path):
    touch(tmp_path, "run/x.mp4", "jump/y/00001.jpg", "jump/y/00002.jpg")
    with pytest.warns(UserWarning, match="1 folders of images ignored beside video files .jump/y"):
        assert len(read_catalog(tmp_path)) == 1


@pytest.mark.parametrize("target", ["nowhere", "b"])  # a lost mount; a link to itself
def test_a_class_that_is_a_link_to_nothing_is_told(tmp_path, target):
    touch(tmp_path, "a/x.mp4", "c/y.mp4")
    (tmp_path / "b").symlink_to(tmp_path / target)
    with pytest.raises(ValueError, match="/b is a link that leads nowhere"):
        read_catalog(tmp_path)


_AS_NOBODY = """
import os, sys
os.environ["BOD_KERAS_READER"] = "1"  # imports no Keras
from bod_keras.data.datasets.folders import VideoFiles, read_folder
os.setgid(65534), os.setuid(65534)
for read in (read_folder, VideoFiles):
    try:
        print(read(sys.argv[1]))
    except ValueError as error:
        print("told:", error)
"""


@pytest.mark.parametrize("closed", ["b", *(pytest.param(p, marks=slow) for p in ("b/deeper", "."))])
def test_a_folder_that_cannot_be_read_moves_no_label(closed):
    if os.getuid():
        pytest.skip("only root can become nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as root:  # pytest's folders are closed to others
        touch(root, "a/x.mp4", "b/deeper/y.mp4", "c/z.mp4")
        os.chmod(root, 0o755)
        os.chmod(os.path.join(root, closed), 0o700)
        command = [sys.executable, "-c", _AS_NOBODY, root]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.stdout.count("told: The folder") == 2, ran.stdout + ran.stderr
    assert ran.stdout.count("cannot be read: Permission denied") == 2


def test_no_video_in_the_folder(tmp_path):
    touch(tmp_path, "readme.txt")
    with pytest.raises(ValueError, match="no video in the folder .*Known extensions: .*mp4"):
        read_catalog(tmp_path)
    touch(tmp_path, "a.avi")
    with pytest.raises(ValueError, match="no split 'val'. It has no splits"):
        read_catalog(tmp_path, split="val")


@pytest.mark.parametrize(
    "name, codec", [("a.mp4", "mp4v"), ("b [1].AVI", "FFV1"), ("käse.webm", "VP80")]
)
def test_one_video_is_a_source(tmp_path, name, codec):
    path = save_video(tmp_path / name, make_ramp_clip(20), codec)
    catalog = read_source(path)
    assert catalog.records == [Record(path)] and catalog.summary() == "1 video, no labels"
    with pytest.raises(UserError, match="has no split 'train'"):
        read_source(path, split="train")
    with pytest.raises(FileNotFoundError):
        read_source(tmp_path / "nowhere.mp4")


def test_files_that_may_be_videos_and_are_not_read_are_named(tmp_path):
    touch(
        tmp_path,
        "run/a.MXF",
        "run/b.vob",
        "run/c.mp4.part",
        "jump/d.qt",
        "jump/e.gif",
        "jump/f.tiff",
    )
    touch(tmp_path, "readme.md", "run/cover.jpg", "jump/d.srt", "jump/Makefile")
    catalog = read_source(tmp_path)
    names = [os.path.basename(record.path) for record in catalog.records]
    assert names == ["d.qt", "a.MXF", "b.vob"]
    said = "3 files of other extensions ignored (jump/e.gif, jump/f.tiff, run/c.mp4.part)"
    assert catalog.remarks == [said]
