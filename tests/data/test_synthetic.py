import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bod_keras.data import (
    digit_drift_arrays,
    read_catalog,
    read_frames,
    render_clip,
    sample_factors,
    write_digit_drift,
)
from tests.tiers import slow

SMALL = {"train": 12, "probe_train": 5, "probe_test": 4, "size": 16, "frames": 6}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache") / "digits"
    calls = []
    labels = write_digit_drift(folder, **SMALL, progress=lambda *done: calls.append(done))
    return labels, calls


@pytest.mark.parametrize("direction", range(8))
def test_motion_law(direction):
    """The center of the digit moves by speed * (cos, sin), also by fractions and over the edge."""
    size, speed = 32, 1.7
    dot = np.ones((2, 2))
    black, white = np.zeros((size, size, 3)), (1.0, 1.0, 1.0)
    clip = render_clip(dot, black, direction, speed, (29.3, 3.6), white, frames=20)
    weight = clip[..., 0].astype(float)
    circle = np.exp(2j * np.pi * (np.arange(size) + 0.5) / size)
    for axis, start, trig in ((1, 29.3, np.cos), (2, 3.6, np.sin)):
        phase = np.angle((weight.sum(axis) * circle).sum(1)) * size / (2 * np.pi)
        expected = start + 1 + np.arange(20) * speed * trig(np.pi / 4 * direction)
        error = (phase - expected + size / 2) % size - size / 2
        assert np.abs(error).max() < 0.05


def test_a_digit_keeps_its_mass_and_the_background_stays():
    digit = np.random.default_rng(0).random((5, 5))
    background = np.full((16, 16, 3), 0.25)
    clip = render_clip(digit, background, 3, 1.3, (4.2, 9.9), (1.0, 1.0, 1.0), frames=9)
    mass = clip.astype(float).sum((1, 2, 3))
    assert np.ptp(mass) < 0.005 * mass[0]
    assert np.median(clip) == 64


def test_position_in_one_frame_says_nothing_about_the_direction():
    """Start is uniform, so the mean frame of every direction is the mean frame of all."""
    videos, _, dynamic = digit_drift_arrays(800, rho=0.0, size=16, frames=4)
    last = videos[:, -1].astype(float).mean(-1)
    last -= np.median(last, axis=(1, 2), keepdims=True)
    spread = last.std(0).mean() / np.sqrt(100)
    for direction in range(8):
        difference = last[dynamic == direction].mean(0) - last.mean(0)
        assert np.sqrt((difference**2).mean()) < 1.5 * spread


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.95, 1.0])
def test_co_occurrence_law(rho):
    n = 8000
    static, dynamic = sample_factors(n, rho, np.random.default_rng(0))
    expected = rho + (1 - rho) / 8
    share = (dynamic == static % 8).mean()
    assert abs(share - expected) <= 3 * np.sqrt(expected * (1 - expected) / n) + 1e-12
    assert np.bincount(static, minlength=10).tolist() == [800] * 10
    if rho == 0.0:
        assert (np.bincount(static * 8 + dynamic, minlength=80) == 100).all()


def test_same_seed_same_bytes_other_seed_other_bytes():
    first, again = (digit_drift_arrays(6, seed=3, frames=4)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (digit_drift_arrays(6, seed=4, frames=4)[0] != first).any()
    assert (digit_drift_arrays(6, seed=3, frames=4, images="test")[0] != first).any()


def test_every_video_has_a_background_of_its_own():
    videos, _, _ = digit_drift_arrays(40, frames=24)
    still = np.median(videos, axis=1).reshape(40, -1).astype(float)
    still -= still.mean(1, keepdims=True)
    still /= np.linalg.norm(still, axis=1, keepdims=True)
    assert (still @ still.T - np.eye(40)).max() < 0.95


def test_digits_are_visible():
    videos, _, _ = digit_drift_arrays(60, frames=24)
    change = np.abs(videos.astype(int) - np.median(videos, axis=1, keepdims=True)).max((1, 2, 3, 4))
    assert change.min() > 60


def test_files_hold_exactly_the_rendered_frames(written):
    labels, calls = written
    records = read_catalog(labels, split="train")
    videos, static, dynamic = digit_drift_arrays(12, size=16, frames=6)
    for record, clip, kind, direction in zip(records, videos, static, dynamic):
        np.testing.assert_array_equal(read_frames(record.path), clip)
        assert record.factors == {"digit": kind, "direction": direction}
    assert calls[-1] == (21, 21) and len(calls) == 21
    assert len(read_catalog(labels, split="probe_train")) == 5
    assert len(read_catalog(labels, split="probe_test")) == 4


def test_a_complete_folder_is_reused(written):
    labels, _ = written
    before = labels.stat().st_mtime_ns
    assert write_digit_drift(labels.parent, **SMALL) == labels
    assert labels.stat().st_mtime_ns == before
    assert [path.name for path in labels.parent.parent.iterdir()] == ["digits"]


def test_other_arguments_are_named(written):
    labels, _ = written
    with pytest.raises(ValueError, match=r"rho \(there: 0.95, asked for: 0.5\)"):
        write_digit_drift(labels.parent, **SMALL, rho=0.5)


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="no data set of write_digit_drift"):
        write_digit_drift(tmp_path, **SMALL)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_digit_drift(tmp_path / "digits", **SMALL, progress=stop)
    assert list(tmp_path.iterdir()) == []


@slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("room", [0, 3000])
def test_a_full_disk_is_an_error_and_leaves_nothing_behind(tmp_path, room):
    script = (
        "import resource, sys; from bod_keras.data import write_digit_drift\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
        f"write_digit_drift({str(tmp_path / 'digits')!r}, train=1, probe_train=1, probe_test=1)"
    )
    root = Path(__file__).parents[2]  # `python -c` imports from where it starts
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert done.returncode == 1
    assert "OSError: Cannot write" in done.stderr and "disk full" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_lists_every_argument(written):
    manifest = json.loads((written[0].parent / "manifest.json").read_text())
    assert manifest == {"rho": 0.95, **SMALL, "seed": 0, "version": 1}


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: digit_drift_arrays(2, frames=1), "one frame has no motion. Received: frames=1"),
        (lambda: digit_drift_arrays(2, size=4), "Received: size=4"),
        (lambda: digit_drift_arrays(2, rho=1.5), "Received: rho=1.5"),
        (lambda: digit_drift_arrays(2, images="val"), "images must be one of .*'val'"),
        (lambda: digit_drift_arrays(-1), "Received: n=-1"),
        (lambda: write_digit_drift("unused", train=0), "Received: train=0"),
        (lambda: write_digit_drift("unused", size=33), "even.*Received: size=33"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
