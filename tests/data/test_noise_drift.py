"""Videos whose digit and direction motion alone shows: no single frame knows them, differences of frames do."""

import numpy as np
import pytest

import bod_keras
from bod_keras.data import (
    digit_drift_arrays,
    read_catalog,
    read_frames,
    render_noise,
    write_digit_drift,
)
from bod_keras.evaluation import linear_probe
from tests.tiers import slow

WAYS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


def test_the_noise_drifts_inside_and_the_other_way_outside():
    shape = np.zeros((16, 16), bool)
    shape[4:12, 3:13] = True
    for direction, (x, y) in enumerate(WAYS):
        clip = render_noise(shape, direction, 4, np.random.default_rng(direction))
        assert clip.shape == (4, 16, 16, 3) and clip.dtype == np.uint8
        assert (clip[..., 0] == clip[..., 1]).all() and (clip[..., 0] == clip[..., 2]).all()
        now, then = clip[1, ..., 0], clip[0, ..., 0]
        with_it, against = np.roll(then, (y, x), (0, 1)), np.roll(then, (-y, -x), (0, 1))
        moved = np.roll(shape, (y, x), (0, 1)), np.roll(~shape, (-y, -x), (0, 1))
        assert (now == with_it)[shape & moved[0]].all()
        assert (now == against)[~shape & moved[1]].all()


@pytest.mark.parametrize(
    "shape, frames, told",
    [
        (np.zeros((8, 8)), 3, "boolean array.*float64"),
        (np.zeros((8, 8, 3), bool), 3, "boolean array.*8, 8, 3"),
        ([[True]], 3, "boolean array.*list"),
        (np.zeros((8, 8), bool), 0, "frames must be at least 1"),
    ],
)
def test_another_shape_is_refused(shape, frames, told):
    with pytest.raises(bod_keras.UserError, match=told):
        render_noise(shape, 0, frames, np.random.default_rng(0))


def test_every_frame_is_even_independent_noise():
    videos, static, _ = digit_drift_arrays(160, 0.0, frames=6, size=32, scene="noise")
    gray = videos[..., 0].astype(float)
    # Means and deviations of each pixel over videos, inside of digits as outside: 127.5 and 73.9.
    for frame in (0, 5):
        assert abs(gray[:, frame].mean(axis=0) - 127.5).max() < 5 * 73.9 / np.sqrt(160)
        assert abs(gray[:, frame].std(axis=0) - 73.9).max() < 5 * 33 / np.sqrt(160)
    centered = gray - 127.5
    for step in ((0, 1), (1, 0), (1, 1)):
        near = (centered * np.roll(centered, step, (2, 3)))[:, 5, 1:, 1:].mean() / 73.9**2
        assert abs(near) < 5 / np.sqrt(160 * 31 * 31)
    again, *_ = digit_drift_arrays(160, 0.0, frames=6, size=32, scene="noise")
    np.testing.assert_array_equal(videos, again)
    with pytest.raises(bod_keras.UserError, match="scene must be one of photos, noise"):
        digit_drift_arrays(2, scene="fog")


@slow
def test_a_probe_of_single_frames_is_at_chance_and_one_of_differences_is_not():
    splits = [
        digit_drift_arrays(960, 0.0, frames=6, size=32, seed=seed, images="train", scene="noise")
        for seed in (0, 1)
    ]

    def frame(videos):
        gray = videos[:, 3, ..., 0].astype(np.float32) / 255 - 0.5
        # What a linear probe of pixels misses: local brightness, contrast and edges.
        edges = [np.abs(gray - np.roll(gray, step, (1, 2))) for step in ((0, 1), (1, 0), (1, 1))]
        return np.concatenate([in_cells(x) for x in (gray, gray**2, *edges)], axis=1)

    def differences(videos):
        gray = videos[:, 2:4, ..., 0].astype(np.float32) / 255
        moved = [np.abs(gray[:, 1] - np.roll(gray[:, 0], (y, x), (1, 2))) for x, y in WAYS]
        # Where no direction fits is the outline: it tells the digit, whichever way its noise drifts.
        outline = np.min([in_cells(x, 2) for x in moved], axis=0)
        return np.concatenate([outline, *(in_cells(x) for x in moved)], axis=1)

    def in_cells(x, side=4):
        cells = x.reshape(len(x), 32 // side, side, 32 // side, side)
        return cells.mean(axis=(2, 4)).reshape(len(x), -1)

    for features, at_chance in ((frame, True), (differences, False)):
        (train, *known), (test, *asked) = splits
        for y, z, classes in zip(known, asked, (10, 8)):
            accuracy = linear_probe(features(train), y, features(test), z)
            if at_chance:
                spread = np.sqrt((1 / classes) * (1 - 1 / classes) / len(z))
                assert accuracy < 1 / classes + 4 * spread
            else:
                assert accuracy > 2 / classes


def test_files_hold_the_same_frames(tmp_path):
    settings = {"train": 2, "probe_train": 1, "probe_test": 1, "frames": 4}
    labels = write_digit_drift(tmp_path / "noise", **settings, scene="noise")
    videos, *_ = digit_drift_arrays(2, frames=4, scene="noise")
    for record, video in zip(read_catalog(labels, split="train"), videos, strict=True):
        np.testing.assert_array_equal(read_frames(record.path, np.arange(4)), video)
    with pytest.raises(bod_keras.UserError, match="scene"):
        write_digit_drift(tmp_path / "noise", **settings)


def test_the_demo_takes_it(monkeypatch):
    from bod_keras.configs import demo

    config = demo.get_config("bod,noise,smoke")
    assert config.built_in.scene == "noise" and config.name == "demo-bod-noise-smoke"
    assert demo.get_config("bod").built_in.scene == "photos"
