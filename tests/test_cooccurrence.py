"""The co-occurrence study: its clips, that every variant can be built and split, its tables and plots."""

import dataclasses
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from keras import ops

from benchmarks.cooccurrence import report, scenes, studies
from benchmarks.cooccurrence.physics import PhysicsScenes
from benchmarks.cooccurrence.real import DIRECTIONS, FILES, RealScenes
from benchmarks.cooccurrence.run_case import Case
from benchmarks.cooccurrence.variants import ENCODERS, PAPER, VARIANTS, build_model, description
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
    assert len(list(folder.iterdir())) == 1
    return made


def test_factors_are_tied_in_training_and_independent_in_the_probe(arrays):
    shape = (scenes.FRAMES, scenes.SIZE, scenes.SIZE, 3)
    assert arrays["train"].shape == (scenes.CLIPS, 20, *shape)
    assert arrays["probe_test"].shape == (1, 80, *shape)
    assert (arrays["train_dynamic"] == arrays["train_static"] % 8).all()
    pairs = set(zip(arrays["probe_test_static"], arrays["probe_test_dynamic"]))
    assert len(pairs) == 80


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
            grey = clip.mean(axis=-1)
            # What is seen moves against the camera; rows count downwards.
            (x, y), _ = cv2.phaseCorrelate(
                grey[0], grey[1], cv2.createHanningWindow(grey[0].shape, 6)
            )
            angle = 2 * np.pi * direction / DIRECTIONS
            assert (-x * np.cos(angle) + y * np.sin(angle)) / np.hypot(x, y) > 0.9


def test_real_videos_have_their_factors_and_a_missing_one_is_named(real_videos, tmp_path):
    with pytest.raises(FileNotFoundError, match="vtest.avi.*fetch_real_videos.py"):
        scenes.load_scenes("real", 1.0, 0, tmp_path, real_videos=tmp_path)
    made = scenes.load_scenes("real", 1.0, 0, tmp_path, 20, 80, real_videos=real_videos)
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
    assert (model.decoupling is None) == variant.startswith("plain")
    shape = (3, scenes.FRAMES, model.projection_head.width)
    frames = np.random.default_rng(0).normal(size=shape).astype("float32")
    for part in model.read_out_split(frames, training=True):  # the batch operator learns first
        part = ops.convert_to_numpy(part)
        assert np.isfinite(part).all() and np.abs(part).max() > 1e-6


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoders_keep_every_frame(encoder):
    model = build_model("plain", "VSimCLR", encoder, steps=10)
    assert model.encoder.output_shape == (None, scenes.FRAMES, 128)


def test_variants_count_by_their_arguments():
    assert description("default") == description("base weight 0")
    different = ["plain", "default", "paper", "ridge 0.1", "one basis"]
    assert len({str(description(name)) for name in different}) == len(different)
    assert PAPER.koopman["dynamic"] == "mean"


@pytest.mark.parametrize("study", studies.STUDIES)
def test_every_study_has_a_table_and_a_plot(study, tmp_path):
    cases = studies.STUDIES[study](2)
    assert cases and all(isinstance(case, Case) for case in cases)
    results = make_results(cases)
    lines = report.table(results).splitlines()
    assert len(lines) == 2 + len({dataclasses.replace(case, seed=0) for case in cases})
    assert "0.700 ± 0.000" in lines[-1]  # the smaller of the two factors' best parts
    report.plot(study, results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_clips_are_shown(arrays, tmp_path):
    report.show_clips(
        {"one": arrays["train"][0, :2], "two": arrays["train"][1, :3]}, tmp_path / "clips.png"
    )
    assert (tmp_path / "clips.png").stat().st_size > 5000
