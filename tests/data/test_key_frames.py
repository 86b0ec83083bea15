"""Clips around key frames: which frames, which part of them, and where the boxes lie in it."""

import numpy as np
import pytest

from bod_keras.data import (
    Box,
    ClipAugment,
    KeyFrame,
    KeyFrameClips,
    Record,
    VideoError,
    key_frames,
    open_store,
)
from bod_keras.data.record_frames import frame_at
from tests.video_files import make_ramp_clip, save_video

SIZE = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def ramp(folder):
    """20 plain frames of levels 4 t, 10 a second."""
    return save_video(folder / "ramp.avi", make_ramp_clip(20), fps=10.0)


@pytest.fixture(scope="module")
def spot(folder):
    """A white rectangle on black, yellow at its left side, and its box."""
    clip = np.zeros((6, 48, 96, 3), np.uint8)
    clip[:, 12:36, 24:60] = 255
    clip[:, 12:36, 24:36, 2] = 0
    return save_video(folder / "spot.avi", clip), Box((0.25, 0.25, 0.625, 0.75), (1,), frame=3)


def make_clips(records, **settings):
    settings = {"classes": 3, "frames": 4, "size": SIZE, "batch_size": 1, "workers": 0, **settings}
    return KeyFrameClips(records, **settings)


def first_levels(path, stride=1, **moment):
    data = make_clips([KeyFrame(path, (), **moment)], frames=5, stride=stride)
    ((inputs, _),) = data.evaluation()
    return np.rint(inputs["clips"][0, :, 0, 0, 0] * 255 / 4).astype(int).tolist()


def test_a_clip_is_centered_at_its_key_frame_and_the_ends_are_repeated(ramp):
    assert first_levels(ramp, frame=10) == [8, 9, 10, 11, 12]
    assert first_levels(ramp, stride=3, time=1.0) == [4, 7, 10, 13, 16]
    assert first_levels(ramp, stride=2, frame=1) == [0, 0, 1, 3, 5]
    assert first_levels(ramp, stride=2, frame=19) == [15, 17, 19, 19, 19]


def test_the_last_frame_is_shown_as_long_as_the_others(ramp):
    store = open_store([Record(ramp)])
    assert [frame_at(store, ramp, seconds) for seconds in (1.84, 1.86, 1.999)] == [18, 19, 19]
    with pytest.raises(VideoError, match="it ends at 2.00 s, its annotation asks for 2 s"):
        frame_at(store, ramp, 2.0)


def test_key_frames_of_records():
    boxes = [Box((0, 0, 1, 1), frame=n, track=t) for n in (4, 5, 6, 9) for t in (0, 1)]
    found = key_frames([Record("a", boxes=tuple(boxes)), Record("b")], every=2)
    assert [(one.path, one.frame, len(one.boxes)) for one in found] == [("a", 4, 2), ("a", 6, 2)]
    (one,) = key_frames([Record("a", boxes=(Box((0, 0, 1, 1), (3,), time=902.0),))])
    assert (one.frame, one.time) == (None, 902.0)
    with pytest.raises(ValueError, match="None of the 1 videos has a box"):
        key_frames([Record("b")])


def test_boxes_stay_on_what_they_frame_through_crop_and_flip(spot):
    path, box = spot
    augment = ClipAugment(SIZE, crop_area=(0.5, 1.0), crop_aspect=(0.75, 1.33), flip=0.5)
    data = make_clips([KeyFrame(path, (box,), frame=3)], augment=augment, seed=1)
    stream, flipped, masks = data.training(), set(), []
    rows = (np.arange(SIZE) + 0.5) / SIZE
    for _ in range(24):
        inputs, targets, mask = next(stream)
        masks.append(mask[0, 0])
        left, top, right, bottom = inputs["boxes"][0, 0]
        inside = (rows[:, None] > top) & (rows[:, None] < bottom) & (rows > left) & (rows < right)
        white = inputs["clips"][0, 2, :, :, 0] > 0.5
        # A row of pixels at each side, which the whole pixels of the crop may cost
        assert (white != inside).sum() <= 2 * (white.any(0).sum() + white.any(1).sum())
        assert white.sum() > 0 and targets[0, 0].tolist() == [0, 1, 0]
        blue = inputs["clips"][0, 2, :, :, 2] > 0.5
        flipped.add(bool(np.nonzero(blue)[1].mean() < np.nonzero(white)[1].mean()))
    stream.close()
    assert all(masks) and flipped == {False, True}


def test_a_box_counts_of_which_half_is_in_the_crop(spot):
    path, _ = spot
    box = Box((0.5, 0.5, 0.9, 0.9), (2,), frame=3)
    augment = ClipAugment(SIZE, crop_area=(0.3, 0.3))
    data = make_clips([KeyFrame(path, (box,), frame=3)], augment=augment)
    stream = data.training()
    seen = set()
    for _ in range(20):
        inputs, _, mask = next(stream)
        width, height = inputs["boxes"][0, 0, 2:] - inputs["boxes"][0, 0, :2]
        share = max(width, 0) * max(height, 0) * 0.3 / 0.16
        assert mask[0, 0] == (share >= 0.5)
        seen.add(mask[0, 0])
    stream.close()
    assert seen == {0.0, 1.0}


def test_a_batch_has_room_for_all_boxes(spot, ramp):
    path, box = spot
    records = [KeyFrame(path, (box, box), frame=0), KeyFrame(ramp, (), frame=3)]
    data = make_clips([*records, KeyFrame(path, (box,), frame=5)], batch_size=2)
    (first, index), (last, more) = data.evaluation()
    assert first["boxes"].shape == (2, 2, 4) and index.tolist() == [0, 1] and more.tolist() == [2]
    np.testing.assert_allclose(first["boxes"][0], [box.corners] * 2)
    assert not first["boxes"][1].any() and not last["boxes"][0, 1].any()


def test_the_stream_goes_on_where_another_one_began_an_epoch_and_workers_change_nothing(spot, ramp):
    path, box = spot
    records = [KeyFrame(path, (box,), frame=n) for n in range(4)] + [
        KeyFrame(ramp, (box,), time=0.5)
    ]
    augment = ClipAugment(SIZE, crop_area=(0.5, 1.0), jitter=(0.2,) * 4, jitter_probability=0.5)
    data = make_clips(records, augment=augment, batch_size=2)
    others = make_clips(records, augment=augment, batch_size=2, workers=1)
    whole, late, worker = data.training(), data.training(epoch=1), others.training()
    batches = [next(whole) for _ in range(4)]
    for batch, other in [*zip(batches[2:], late), *zip(batches[:2], worker)]:
        for one, same in zip((*batch[0].values(), *batch[1:]), (*other[0].values(), *other[1:])):
            np.testing.assert_array_equal(one, same)
    for stream in (whole, late, worker):
        stream.close()


def test_broken_videos_and_key_frames_behind_the_end_are_skipped_and_named(spot, ramp, folder):
    path, box = spot
    records = [KeyFrame(str(folder / "no.avi"), (box,), frame=0), KeyFrame(path, (box,), frame=1)]
    records += [KeyFrame(ramp, (box,), frame=20)]
    data = make_clips(records, max_bad_share=0.7)
    assert [index.tolist() for _, index in data.evaluation()] == [[1]]
    assert data.skipped[str(folder / "no.avi")] == "there is no such file"
    assert "it has 20 frames, its annotation asks for number 20" in data.skipped[ramp]
    with pytest.raises(ValueError, match="1 of 3 video files cannot be read .max_bad_share=0.1"):
        list(make_clips(records).evaluation())


def test_labels_are_classes():
    record = KeyFrame("a.avi", (Box((0, 0, 1, 1), (3,), frame=0),), frame=0)
    with pytest.raises(ValueError, match="Labels must be 0 to 2. Received: 3 to 3"):
        make_clips([record])
