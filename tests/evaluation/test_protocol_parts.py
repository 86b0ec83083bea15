"""What protocols share: read-outs in stretches, changes on the command line, and misuse that is found."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import bod_keras
from bod_keras.data import Record
from bod_keras.evaluation.protocols import change_protocol, misuse, read_protocol
from bod_keras.evaluation.read_out import ReadOut
from tests.video_files import make_ramp_clip, save_video

SHAPE = (4, 8, 8, 3)
PROTOCOLS = Path(__file__).parents[2] / "configs" / "protocols"


@pytest.fixture
def records(tmp_path):
    for i in range(5):
        save_video(tmp_path / f"{i}.avi", make_ramp_clip(8, offset=40 * i))
    return [Record(str(tmp_path / f"{i}.avi"), label=i % 2) for i in range(5)]


def test_time_steps_are_kept():
    """`time_steps` features of one clip: the means of as many stretches of it."""
    encoder = bod_keras.encoders.FrameCNN(SHAPE, widths=(4,))
    clips = np.random.default_rng(0).random((2, *SHAPE), "float32")
    (values,) = ReadOut(encoder, "pooled", time_steps=2).predict_on_batch(clips).values()
    frames = encoder.predict(clips, verbose=0)
    halves = np.concatenate([frames[:, :2].mean(axis=1), frames[:, 2:].mean(axis=1)], axis=1)
    np.testing.assert_allclose(values, halves, atol=1e-6)


def test_test_videos_that_were_seen(records, tmp_path):
    train, test = records[:3], records[3:]
    assert misuse.leaks(train, test, train) == []
    with pytest.raises(ValueError, match="1 of the 3 test videos are in the training list, too"):
        misuse.leaks(train, [*test, train[0]], train)
    (said,) = misuse.leaks(train, [*test, train[0]], train, allow=True)[:1]
    assert "says nothing of new videos" in said
    (said,) = misuse.leaks(train, test, records)
    assert said.startswith("Pre-training has seen 2 of the 2 test videos, without their labels")
    (said,) = misuse.leaks(train, test, None)
    assert "it is not known whether it has seen test videos" in said
    shutil.copy(train[0].path, tmp_path / "copy.avi")
    (said,) = misuse.leaks(train, [*test, Record(str(tmp_path / "copy.avi"))], train)
    assert said.startswith("1 test videos are copies of training videos under another name")


def test_a_change_is_remembered_and_a_wrong_one_refused():
    protocol = change_protocol(read_protocol("knn", PROTOCOLS), ["k=5", "temperature=0.07"])
    assert protocol.k == 5 and protocol.modified.to_dict() == {"k": [20, 5]}
    assert change_protocol(protocol, ["k=20"]).modified.to_dict() == {}
    for change, message in (
        ("kk=5", "The protocol knn has no 'kk'; .*Did you mean k?"),
        ("k=many", "k of the protocol knn is 5; --set=k=many gives a value of another type"),
        ("k", "--set takes KEY=VALUE, such as --set=k=5. Received: 'k'"),
    ):
        with pytest.raises(ValueError, match=message):
            change_protocol(protocol, [change])
    with pytest.raises(ValueError, match="Received: retrival. Did you mean retrieval?"):
        read_protocol("retrival", PROTOCOLS)


def test_stretches_of_one_file_are_told_apart():
    first, second, both = (Record("a.mp4", span=s) for s in ((0.0, 2.0), (2.0, 4.0), (1.0, 3.0)))
    assert misuse.shared_videos([first], [second]) == []
    assert misuse.shared_videos([first], [both]) == ["a.mp4"]


def test_another_number_of_frames_and_other_classes():
    encoder = bod_keras.encoders.FrameCNN(SHAPE, widths=(4,))
    misuse.check_clips(encoder, 4, 8, "linear")
    with pytest.raises(ValueError, match="asks for clips of 16 frames .*--set=frames=4"):
        misuse.check_clips(encoder, 16, 8, "linear")
    with pytest.raises(ValueError, match="'run' in train only, 'walk' in test only"):
        misuse.check_class_names(["jump", "run"], ["jump", "walk"])
    with pytest.raises(ValueError, match="differ: their order"):
        misuse.check_class_names(["jump", "run"], ["run", "jump"])
