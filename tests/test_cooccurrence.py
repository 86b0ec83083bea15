"""The co-occurrence study: its clips, that every variant can be built and split, its tables and plots."""

import dataclasses
import json
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from keras import ops

from benchmarks.cooccurrence import report, run_case, scenes, studies
from benchmarks.cooccurrence.garments import garment_masks
from benchmarks.cooccurrence.physics import PhysicsScenes
from benchmarks.cooccurrence.real import DIRECTIONS, FILES, RealScenes
from benchmarks.cooccurrence.run_case import Case, training_videos
from benchmarks.cooccurrence.variants import (
    ENCODERS,
    VARIANTS,
    WIDTHS,
    build_encoder,
    build_model,
    description,
)
from tests import references
from tests.outputs import read_picture
from tests.tiers import first_of
from tests.video_files import save_video

needs_mujoco = pytest.mark.skipif(
    find_spec("mujoco") is None, reason="pip install -r requirements-physics.txt"
)
RESULT = {
    "probes": {
        "static": {"pooled": 0.9, "static": 0.8, "dynamic": 0.1},
        "dynamic": {"pooled": 0.1, "static": 0.2, "dynamic": 0.7},
    },
    "seconds_per_step": 0.1,
}


def make_results(cases):
    point = {
        "step": 0,
        "probes": RESULT["probes"],
        "monitors": {"static_gradient_norm": 1.0, "dynamic_gradient_norm": 2.0},
    }
    return [
        {**RESULT, "case": dataclasses.asdict(case), "curve": [point, {**point, "step": 5}]}
        for case in cases
    ]


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    made = scenes.load_scenes("static-easy", 1.0, 0, folder, videos=20, probe_videos=80)
    again = scenes.load_scenes("static-easy", 1.0, 0, folder, videos=20, probe_videos=80)
    assert all(np.array_equal(made[name], again[name]) for name in made)
    assert len(list(folder.iterdir())) == 3
    return made


def test_factors_are_tied_in_training_and_independent_in_the_probe(arrays):
    shape = (scenes.FRAMES, scenes.SIZE, scenes.SIZE, 3)
    assert arrays["train"].shape == (scenes.CLIPS, 20, *shape)
    assert arrays["probe_test"].shape == (1, 80, *shape)
    assert (arrays["train_dynamic"] == arrays["train_static"] % 8).all()
    pairs = set(zip(arrays["probe_test_static"], arrays["probe_test_dynamic"]))
    assert len(pairs) == 80


def test_garments_stand_instead_of_digits_and_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="fashion-mnist.npz.*fetch_fashion_mnist.py"):
        scenes.load_scenes("fashion", 1.0, 0, tmp_path, files=tmp_path)
    # Kind k is a square at row 2 k, of pictures for training on the left, for testing on the right.
    pictures = np.zeros((10, 3, 28, 28), np.uint8)
    for kind in range(10):
        pictures[kind, :2, 2 * kind : 2 * kind + 6, 4:10] = 255
        pictures[kind, 2:, 2 * kind : 2 * kind + 6, 18:24] = 255
    arrays = {str(kind): pictures[kind] for kind in range(10)}
    np.savez(tmp_path / "fashion-mnist.npz", **arrays)
    for images, left in (("train", True), ("test", False)):
        masks = garment_masks(tmp_path, images, 32)
        assert [len(kind) for kind in masks] == [2 if left else 1] * 10
        for kind, mask in enumerate(masks):
            rows, columns = np.nonzero(mask[0] > 0.5)
            assert (columns < 16).all() == left and abs(rows.mean() - (2 * kind + 3) * 32 / 28) < 1
    made = scenes.load_scenes("fashion", 1.0, 0, tmp_path, 20, 80, files=tmp_path)
    # What stands still at a sprite's place is as bright as a sprite; a disc may cover it.
    still = np.median(made["probe_test"][0], axis=1)
    for kind in range(10):
        row, column = (np.array([2 * kind + 3, 21]) * 32 / 28).astype(int)
        shown = still[made["probe_test_static"] == kind, row, column]
        assert np.median(np.ptp(shown, axis=-1)) <= 1 and shown.mean() > 100


@needs_mujoco
def test_rendered_bodies_have_their_factors(tmp_path):
    made, again = (
        scenes.load_scenes("mujoco", 1.0, 0, tmp_path / name, videos=20, probe_videos=80)
        for name in ("one", "two")
    )
    assert all(np.array_equal(made[name], again[name]) for name in made)
    assert made["train"].shape[1:] == (20, scenes.FRAMES, scenes.SIZE, scenes.SIZE, 3)
    assert (made["train_dynamic"] == made["train_static"] % 8).all()
    assert len(set(zip(made["probe_test_static"], made["probe_test_dynamic"]))) == 80
    moving = np.abs(np.diff(made["probe_test"][0].astype(int), axis=1)).max(axis=(1, 2, 3, 4))
    assert (moving > 5).all()


@needs_mujoco
def test_friction_stops_and_a_bounce_gains_no_energy():
    with PhysicsScenes(2, 8) as physics:
        model, data = physics.model, physics.data
        physics.start("friction", np.random.default_rng(0))
        physics.mujoco.mj_step(model, data, nstep=600)
        assert abs(data.qvel[1]) < 0.05
        physics.start("bounce", np.random.default_rng(0))
        before = data.qvel[2] ** 2 / 2 + 6.0 * data.qpos[2]
        physics.mujoco.mj_step(model, data, nstep=600)
        assert data.qvel[2] ** 2 / 2 + 6.0 * data.qpos[2] < before


@pytest.fixture(scope="module")
def real_videos(tmp_path_factory):
    """A photo that stands still, of which the second half is darker."""
    folder = tmp_path_factory.mktemp("real")
    coarse = np.random.default_rng(0).integers(128, 255, (16, 20, 3), dtype=np.uint8)
    photo = cv2.resize(coarse, (200, 160), interpolation=cv2.INTER_CUBIC)
    video = np.stack([photo] * 20 + [photo // 4] * 20)
    for name in FILES:
        save_video(folder / name, video, "MJPG")
    return folder


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_a_camera_pans_over_one_half_of_a_real_video(real_videos, direction):
    with RealScenes(real_videos, frames=4, size=32) as made:
        for images, bright in (("train", True), ("test", False)):
            clip = made.video(3, direction, images, np.random.default_rng(direction))()
            assert (clip.mean() > 100) == bright
            gray = clip.mean(axis=-1)
            # What is seen moves against the camera; rows count downwards.
            (x, y), _ = cv2.phaseCorrelate(
                gray[0], gray[1], cv2.createHanningWindow(gray[0].shape, 6)
            )
            angle = 2 * np.pi * direction / DIRECTIONS
            assert (-x * np.cos(angle) + y * np.sin(angle)) / np.hypot(x, y) > 0.9


def test_real_videos_have_their_factors_and_a_missing_one_is_named(real_videos, tmp_path):
    with pytest.raises(FileNotFoundError, match="vtest.avi.*fetch_real_videos.py"):
        scenes.load_scenes("real", 1.0, 0, tmp_path, files=tmp_path)
    made = scenes.load_scenes("real", 1.0, 0, tmp_path, 20, 80, files=real_videos)
    assert made["train"].shape[1:] == (20, scenes.FRAMES, scenes.SIZE, scenes.SIZE, 3)
    assert (made["train_dynamic"] == made["train_static"] % 8).all()
    assert len(set(zip(made["probe_test_static"], made["probe_test_dynamic"]))) == 80


def test_clips_of_a_video_differ_in_time_and_share_the_digit(arrays):
    moving = np.abs(np.diff(arrays["probe_train"][0].astype(int), axis=1)).max(axis=(1, 2, 3, 4))
    assert (moving > 50).all()
    assert np.abs(arrays["train"][0].astype(int) - arrays["train"][1]).mean() > 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_splits(variant):
    model = build_model(variant, "VSimCLR", "per-frame", steps=10)
    assert (model.split is None) == variant.startswith("plain")
    frames = make_frames(3, scenes.FRAMES, model.parts.get("static", model.parts.get("base")))
    for part in model.reading_split()(frames):
        part = ops.convert_to_numpy(part)
        assert np.isfinite(part).all() and np.abs(part).max() > 1e-6


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoders_keep_every_frame_and_mix_them_by_their_kernels(encoder):
    model = build_encoder(encoder)
    regions = 4 if encoder.endswith("regions") else 1
    assert model.output_shape == (None, scenes.FRAMES, regions * WIDTHS[-1])
    clips = np.random.default_rng(0).random((1, *model.input_shape[1:]), "float32")
    other = clips.copy()
    other[0, 5] = 1 - other[0, 5]
    change = ops.convert_to_numpy(ops.abs(model(clips) - model(other)))[0].max(axis=-1)
    reach = sum(extent // 2 for extent in ENCODERS[encoder])
    np.testing.assert_array_equal(
        np.flatnonzero(change > 1e-6), np.arange(5 - reach, min(6 + reach, scenes.FRAMES))
    )


def test_variants_count_by_their_arguments():
    """Rows of equal arguments share a run, and no two variants have equal ones."""
    assert len({json.dumps(description(name)) for name in [*VARIANTS, "supervised"]}) == (
        len(VARIANTS) + 1
    )
    assert description("default", "VMoCo") != description("default")


def make_frames(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def split_of(variant):
    return build_model(variant, "VSimCLR", "per-frame", steps=10).split


def test_the_mean_residual_operator_is_that_of_the_centered_frames():
    frames = make_frames(2, scenes.FRAMES, 32)
    split = split_of("mean-residual operator")
    static, dynamic = map(ops.convert_to_numpy, split(frames))
    np.testing.assert_allclose(static, frames.mean(axis=1), atol=1e-6)
    centered = frames - frames.mean(axis=1, keepdims=True)
    whole = ops.convert_to_numpy(split_of("whole operator")(centered)[1])
    np.testing.assert_allclose(dynamic, whole, atol=1e-5)


def test_the_whole_operator_keeps_what_is_static():
    frames = make_frames(2, scenes.FRAMES, 32)
    whole, usual = split_of("whole operator"), split_of("default")
    mine, theirs = whole.split(frames), usual.split(frames)
    np.testing.assert_allclose(mine.static, theirs.static, atol=1e-6)
    u, v = (ops.convert_to_numpy(x) for x in whole.read_out.weights)
    for clip, read in zip(frames, ops.convert_to_numpy(mine.dynamic)):
        past, future = references.transitions(clip)
        # Its ridge is relative to the mean squared norm of a frame, which is 1.
        inverse = past.T @ np.linalg.inv(past @ past.T + whole.ridge * np.eye(len(past)))
        expected = (u.T @ inverse @ future @ v).ravel()
        np.testing.assert_allclose(read, expected, atol=1e-4)
    assert np.abs(ops.convert_to_numpy(mine.dynamic - theirs.dynamic)).max() > 1e-3


def test_the_random_projector_is_of_rank_one_and_the_same_for_all():
    projectors = ops.convert_to_numpy(
        split_of("random projector").split(make_frames(2, scenes.FRAMES, 32)).projector
    )
    np.testing.assert_array_equal(projectors[0], projectors[1])
    np.testing.assert_allclose(projectors[0] @ projectors[0], projectors[0], atol=1e-6)
    assert np.trace(projectors[0]) == pytest.approx(1, abs=1e-6)


def test_a_smoke_case_is_trained_and_probed(arrays, monkeypatch, eagerly):
    monkeypatch.setattr(run_case, "load_scenes", lambda *args, **kwargs: arrays)
    for variant in ("default", "supervised"):
        case = Case(variant, "static-easy", rho=1.0, steps=1, batch=4, probe_videos=80)
        probes = run_case.run(case, None, None)["probes"]
        assert set(probes) == {"static", "dynamic"}
        assert all(0 <= x <= 1 for parts in probes.values() for x in parts.values())


def test_a_batch_has_this_many_videos_and_an_epoch_each_video_once(arrays):
    batches = list(training_videos(arrays, Case("plain", "static-easy", steps=8, batch=5)))
    assert {len(videos) for videos in batches} == {5}
    epochs = np.concatenate(batches).reshape(2, 20)
    assert (np.sort(epochs) == np.arange(20)).all() and (epochs[0] != epochs[1]).any()


@pytest.mark.parametrize("study", first_of(studies.STUDIES, 2))
def test_every_study_has_a_table_and_a_plot(study, tmp_path):
    cases = studies.STUDIES[study](2)
    assert cases and all(isinstance(case, Case) for case in cases)
    results = make_results(cases)
    lines = report.table(results).splitlines()
    assert len(lines) == 2 + len({dataclasses.replace(case, seed=0) for case in cases})
    assert "0.700 ± 0.000" in lines[-1]  # the smaller of the two factors' best parts
    report.plot(study, results, tmp_path / "plot.png")
    read_picture(tmp_path / "plot.png")


def test_clips_are_shown(arrays, tmp_path):
    report.show_clips(
        {"one": arrays["train"][0, :2], "two": arrays["train"][1, :3]}, tmp_path / "clips.png"
    )
    read_picture(tmp_path / "clips.png")
