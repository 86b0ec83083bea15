"""Misuse of an evaluation: what is refused, what is said aloud, and what passes."""

import os
import shutil

import pytest

from bod_keras.data import Record, read_source
from bod_keras.encoders import FrameCNN
from bod_keras.evaluation.protocols import misuse
from tests.video_files import make_ramp_clip, save_video


@pytest.fixture
def files(tmp_path):
    """Six videos of different content."""
    paths = [tmp_path / f"{i}.avi" for i in range(6)]
    return [save_video(path, make_ramp_clip(8 + i, offset=30 * i)) for i, path in enumerate(paths)]


def records(paths):
    return [Record(path, label=i % 2) for i, path in enumerate(paths)]


def test_a_test_video_in_the_training_list_is_refused(files):
    train, test = records(files[:4]), records(files[3:])
    with pytest.raises(ValueError, match=r"1 of the 3 test videos .*3\.avi.*--allow_overlap"):
        misuse.leaks(train, test, [])
    (warning,) = misuse.leaks(train, test, [], allow=True)
    assert warning.startswith("1 of the 3 test videos are in the training list, too")
    assert misuse.leaks(records(files[:3]), test, []) == []


def test_a_link_and_another_spelling_are_the_same_video(files, tmp_path):
    link = tmp_path / "link.avi"
    link.symlink_to(files[0])
    odd = os.path.join(tmp_path, "x", "..", "0.avi")
    for path in (str(link), odd):
        assert misuse.shared_videos(records(files[:1]), [Record(path)]) == [path]


def test_spans_of_one_file_are_the_same_only_where_they_overlap(files):
    train = [Record(files[0], span=(0.0, 2.0)), Record(files[1])]
    apart, overlapping = Record(files[0], span=(2.0, 4.0)), Record(files[0], span=(1.5, 4.0))
    assert misuse.shared_videos(train, [apart]) == []
    assert misuse.shared_videos(train, [apart, overlapping]) == [files[0]]
    assert misuse.shared_videos(train, [Record(files[1], span=(0.0, 0.1))]) == [files[1]]


def test_a_copy_under_another_name_is_said(files, tmp_path):
    copy = str(shutil.copy(files[0], tmp_path / "renamed.avi"))
    (warning,) = misuse.leaks(records(files[:2]), records([files[2], copy]), [])
    assert "1 test videos are copies" in warning and f"renamed.avi is {files[0]}" in warning


def test_what_pre_training_has_seen_is_said(files):
    train, test = records(files[:3]), records(files[3:])
    (warning,) = misuse.leaks(train, test, records(files[2:5]))
    assert "Pre-training has seen 2 of the 3 test videos, without their labels" in warning
    assert files[3] in warning and files[4] in warning
    (warning,) = misuse.leaks(train, test, None)
    assert "it is not known whether it has seen test videos" in warning


def test_classes_that_differ_between_splits(tmp_path):
    """Folders a class: without a check, label 1 would be jump here and swim there."""
    for part, classes in (("train", ("jump", "run")), ("test", ("run", "swim"))):
        for number, name in enumerate(classes):
            (tmp_path / part / name).mkdir(parents=True)
            save_video(tmp_path / part / name / "a.avi", make_ramp_clip(6, offset=9 * number))
    names = [read_source(tmp_path / part).class_names for part in ("train", "test")]
    assert names == [["jump", "run"], ["run", "swim"]]
    with pytest.raises(ValueError, match="'jump' in train only, 'swim' in test only .*2 classes"):
        misuse.check_class_names(*names)
    with pytest.raises(ValueError, match="differ: their order"):
        misuse.check_class_names(["run", "jump"], ["jump", "run"])
    misuse.check_class_names(["jump", "run", "swim"], ["jump", "run"])
    misuse.check_class_names([], ["jump"])  # a list has no names


def test_a_model_for_other_clips_is_refused():
    encoder = FrameCNN((8, 32, 32, 3), widths=(4,))
    misuse.check_clips(encoder, 8, 32, "linear")
    with pytest.raises(ValueError, match="asks for clips of 16 frames .*made for 8 frames .*=8;"):
        misuse.check_clips(encoder, 16, 32, "retrieval-tclr")
    with pytest.raises(ValueError, match="112 x 112 pixels.*and 32 x 32.*--set=size=32"):
        misuse.check_clips(encoder, 8, 112, "retrieval-tclr")
    misuse.check_clips(FrameCNN((None, 32, 32, 3), widths=(4,)), 16, 32, "linear")
