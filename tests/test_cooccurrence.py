"""The co-occurrence study: its clips, that every variant can be built and split, its tables and plots."""

import dataclasses
import itertools
from importlib.util import find_spec

import cv2
import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from benchmarks.cooccurrence import controls, models, report, scenes, studies
from benchmarks.cooccurrence.garments import garment_masks
from benchmarks.cooccurrence.physics import PhysicsScenes
from benchmarks.cooccurrence.real import DIRECTIONS, FILES, RealScenes
from benchmarks.cooccurrence.run_case import Case, _videos
from benchmarks.cooccurrence.variants import (
    EARLY,
    ENCODERS,
    PAPER,
    VARIANTS,
    WIDTHS,
    build_model,
    description,
)
from bod_keras.backend.autodiff import value_and_grad
from tests import references
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


def test_garments_stand_in_the_place_of_digits_and_a_missing_file_is_named(tmp_path):
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
            grey = clip.mean(axis=-1)
            # What is seen moves against the camera; rows count downwards.
            (x, y), _ = cv2.phaseCorrelate(
                grey[0], grey[1], cv2.createHanningWindow(grey[0].shape, 6)
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
    assert (model.decoupling is None) == variant.startswith("plain")
    shape = (3, scenes.FRAMES, model.projection_head.width)
    frames = np.random.default_rng(0).normal(size=shape).astype("float32")
    for part in model.read_out_split(frames, training=True):  # the batch operator learns first
        part = ops.convert_to_numpy(part)
        assert np.isfinite(part).all() and np.abs(part).max() > 1e-6


@pytest.mark.parametrize("encoder", ENCODERS)
def test_encoders_keep_every_frame(encoder):
    model = build_model("plain", "VSimCLR", encoder, steps=10)
    early = WIDTHS[EARLY[encoder] - 1] if encoder in EARLY else 0
    assert model.encoder.output_shape == (None, scenes.FRAMES, early + 128)


def test_only_the_last_stage_of_a_late_encoder_sees_other_frames():
    """Split early, the static half of a frame's embedding depends on that frame alone; the other does not."""
    model = build_model("default", "VSimCLR", "late 3-D split early", steps=10)
    shape = (1, scenes.FRAMES, scenes.SIZE, scenes.SIZE, 3)
    clips = np.random.default_rng(0).random(shape, "float32")
    other = clips.copy()
    other[0, 3] = 1 - other[0, 3]
    change = ops.convert_to_numpy(ops.abs(model(clips) - model(other)))[0]
    static, dynamic = (half.max(axis=1) > 1e-6 for half in np.split(change, 2, axis=1))
    np.testing.assert_array_equal(np.flatnonzero(static), [3])
    np.testing.assert_array_equal(np.flatnonzero(dynamic), [2, 3, 4])


def test_variants_count_by_their_arguments():
    assert description("default") == description("base weight 0")
    different = ["plain", "default", "paper", "ridge 0.3", "one basis", "supervised"]
    assert len({str(description(name)) for name in different}) == len(different)
    assert description("default", "VMoCo") != description("default")
    assert PAPER.koopman["dynamic"] == "mean"
    # Models of one class by their arguments, models of equal arguments by their class.
    names = [
        "reversed negative",
        "shuffled negative",
        "dynamic: modes",
        "dynamic: modes standardised",
    ]
    assert len({str(description(name)) for name in names}) == len(names)


def make_frames(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_the_cayley_form_is_that_of_every_dynamic_eigenvalue():
    layer, frames = controls.CayleySplit(method="eig", ridge=1e-6, basis=3), make_frames(4, 8, 16)
    _, dynamic = layer(frames)
    past_basis, future_basis = (ops.convert_to_numpy(w) for w in layer.weights)
    for clip, mine in zip(frames, ops.convert_to_numpy(dynamic)):
        past, future = references.transitions(clip)
        span = np.linalg.qr(past.T)[0]
        operator = references.koopman_operator(past, future, 0)
        values, vectors = np.linalg.eig(span.T @ operator @ span)
        distance = abs(values - 1)
        cayley = np.where(distance > distance.min() * (1 + 1e-9), (values - 1) / (values + 1), 0)
        form = span @ vectors @ np.diag(cayley) @ np.linalg.inv(vectors) @ span.T
        expected = (past_basis.T @ form.real @ future_basis).ravel()
        np.testing.assert_allclose(mine, expected, atol=1e-3 * np.abs(expected).max())


def test_the_operator_of_two_steps_is_that_of_one_twice():
    layer, frames = controls.TwoStepSplit(method="eig", ridge=1e-6, basis=3), make_frames(4, 8, 16)
    layer.build(frames.shape)
    split = layer.split(frames)
    past_basis, future_basis = (ops.convert_to_numpy(w) for w in layer.weights)
    for clip, projector, mine in zip(
        frames, map(ops.convert_to_numpy, split.projector), ops.convert_to_numpy(split.dynamic)
    ):
        past, future = references.transitions(clip)
        operator = references.koopman_operator(past, future, 0)
        dynamic = np.linalg.pinv(past) @ (np.eye(7) - projector) @ future
        expected = [past_basis.T @ x @ future_basis for x in (dynamic, dynamic @ operator)]
        expected = np.concatenate([x.ravel() for x in expected])
        np.testing.assert_allclose(mine, expected, atol=1e-3 * np.abs(expected).max())


def test_modes_are_moments_of_the_dynamic_eigenvalues():
    frames = make_frames(4, 8, 16)
    split = controls.ModeSplit(method="eig").split(frames)
    matrices, dynamic = map(ops.convert_to_numpy, (split.matrix, split.dynamic))
    for clip, matrix, mine in zip(frames, matrices, dynamic):
        values, vectors = np.linalg.eig(matrix)
        distance = abs(values - 1)
        values = np.where(distance > distance.min() * (1 + 1e-5), values, 0)
        inverse, (_, future) = np.linalg.inv(vectors), references.transitions(clip)
        moving = vectors @ np.diag(values != 0) @ inverse @ future
        sums, moments = [], []
        for k in range(1, 8):
            sums.append((values**k).sum().real / 7)
            advanced = vectors @ np.diag(values**k) @ inverse @ moving
            moments.append(np.sum(moving * advanced).real / np.sum(moving**2).real)
        np.testing.assert_allclose(mine, sums + moments, atol=1e-4)


def test_moments_weigh_modes_by_their_energy():
    """A constant and two rotations in planes of their own, one three times as large as the other."""
    time, speeds, radii = np.arange(8), np.array([0.5, 1.4]), np.array([3.0, 1.0])
    waves = [f(w * time) * r for w, r in zip(speeds, radii) for f in (np.cos, np.sin)]
    clip = np.stack([np.full(8, 2.0), *waves], axis=-1)
    clip = clip @ np.linalg.qr(make_frames(8, 8))[0][:5]
    layer = controls.ModeSplit(normalize=False, ridge=1e-6)
    _, dynamic = layer(clip[None].astype("float32"))
    turned = np.cos(speeds * np.arange(1, 8)[:, None])
    expected = [2 * turned.sum(axis=1) / 7, turned @ radii**2 / (radii**2).sum()]
    np.testing.assert_allclose(dynamic[0], np.concatenate(expected), atol=2e-3)


@pytest.mark.parametrize(
    "split", [controls.CayleySplit, controls.ModeSplit, controls.RandomBasis, controls.TwoStepSplit]
)
def test_controls_have_finite_gradients_and_are_saved(split, tmp_path):
    layer = split(halves=True)
    steady, moving = make_frames(1, 1, 16), make_frames(1, 1, 16, seed=1)
    clips = [make_frames(1, 8, 16), np.repeat(steady, 8, axis=1)]
    clips += [steady + moving * (-1.0) ** np.arange(8)[:, None]]  # the eigenvalue -1
    frames = np.concatenate(clips).astype("float32")
    inputs = keras.Input((8, 16))
    model = keras.Model(inputs, layer(inputs))
    assert [x.shape[1:] for x in model(frames)] == [x.shape[1:] for x in model.outputs]

    def loss(values):
        return sum(ops.sum(ops.square(part)) for part in layer(values[0])), None

    value, _, (gradient,) = value_and_grad(loss, [ops.convert_to_tensor(frames)])
    assert np.isfinite(value) and np.isfinite(gradient).all() and np.abs(gradient).max() > 1e-3
    model.save(tmp_path / "model.keras")
    for mine, loaded in zip(
        model(frames), keras.saving.load_model(tmp_path / "model.keras")(frames)
    ):
        np.testing.assert_array_equal(mine, loaded)


def test_random_bases_are_orthogonal_and_stay():
    split = build_model("random basis", "VSimCLR", "per-frame", steps=10).decoupling
    bases = [ops.convert_to_numpy(basis) for basis in (split.past_basis, split.future_basis)]
    assert not split.trainable_variables and np.abs(bases[0] - bases[1]).max() > 0.1
    for basis in bases:
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-5)


def test_a_hard_negative_is_one_candidate_more():
    a, b, wrong_a, wrong_b = make_frames(4, 5, 3)
    loss = models.HardNegativeInfoNCE(0.5, reduction=None)
    mine = loss(np.concatenate([a, wrong_a], axis=1), np.concatenate([b, wrong_b], axis=1))
    expected = []
    for i in range(5):
        terms = []
        for own, other, wrong in ((a, b, wrong_a), (b, a, wrong_b)):
            candidates = [*other, *np.delete(own, i, axis=0), wrong[i]]
            scores = np.exp(
                [references.normalise(own[i]) @ references.normalise(c) / 0.5 for c in candidates]
            )
            terms.append(-np.log(scores[i] / scores.sum()))
        expected.append(np.mean(terms))
    np.testing.assert_allclose(mine, expected, rtol=1e-5)


def test_a_reversed_negative_punishes_what_ignores_the_order():
    plain, model = (
        build_model(name, "VSimCLR", "per-frame", steps=10)
        for name in ("default", "reversed negative")
    )
    directed = make_frames(6, scenes.FRAMES, 64)
    raised = {}
    for name, clips in (("directed", directed), ("palindrome", directed + directed[:, ::-1])):
        frames = np.concatenate([clips] * 3)  # the same views, so that s(a, b) = 1
        losses = [
            m.part_loss(
                "dynamic",
                m.split_views(frames, model.decoupling, 3, True)[0]["dynamic"],
                None,
                True,
            )
            for m in (plain, model)
        ]
        before, after = map(float, losses)
        raised[name] = after - before
    # Copy and clip are equal: a candidate as near as the positive.
    assert raised["palindrome"] == pytest.approx(np.logaddexp(before, 0) - before, abs=1e-3)
    assert 0 < raised["directed"] < raised["palindrome"] / 2


def make_intervened(**how):
    encoder = bod_keras.encoders.FrameCNN((8, 16, 16, 3), (4,))
    return models.IntervenedSimCLR(
        encoder,
        bod_keras.KoopmanSplit(halves=True),
        projection_head=bod_keras.ProjectionHead(hidden=8, width=16),
        motion_view=bod_keras.BackgroundSwap(),
        **how,
    )


def test_interventions_touch_their_part_alone():
    frames = make_frames(12, 8, 16)
    plain, shuffled, foreign = (
        make_intervened(**how) for how in ({}, {"shuffled_positive": True}, {"foreign_frame": True})
    )
    seen = [m.split_views(frames, plain.decoupling, 3, True)[0] for m in (plain, shuffled, foreign)]
    for part, view, changed in (
        ("static", 0, [False, False]),
        ("static", 1, [True, False]),
        ("dynamic", 0, [False, True]),
        ("dynamic", 1, [False, True]),
    ):
        first, *others = (ops.convert_to_numpy(x[part][view]) for x in seen)
        assert [np.abs(x - first).max() > 1e-3 for x in others] == changed
    with pytest.raises(ValueError, match="negative must be.*sideways"):
        make_intervened(negative="sideways")


def reference_hsic(x, y):
    """Over every four different rows: the definition that the estimate is unbiased for."""
    k, m = x @ x.T, y @ y.T
    terms = [
        k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
        for i, j, q, r in itertools.permutations(range(len(x)), 4)
    ]
    return np.mean(terms)


def test_the_leak_is_centred_kernel_alignment():
    x, y = make_frames(7, 3), make_frames(7, 5, seed=1)
    y[:, 0] += 2 * x[:, 1]
    expected = reference_hsic(x, y) / np.sqrt(reference_hsic(x, x) * reference_hsic(y, y))
    assert float(models.unbiased_cka(x, y)) == pytest.approx(expected, abs=1e-4)
    assert float(models.unbiased_cka(x, 3 * x + 1)) == pytest.approx(1, abs=1e-4)
    independent = [
        float(models.unbiased_cka(make_frames(32, 8, seed=i), make_frames(32, 64, seed=100 + i)))
        for i in range(20)
    ]
    assert abs(np.mean(independent)) < 0.03


def test_a_leak_is_penalised_and_the_model_is_saved(tmp_path):
    model = build_model("leak weight 3", "VSimCLR", "per-frame", steps=10)
    model.compile("sgd", run_eagerly=True)
    shape = (8, 2, scenes.FRAMES, scenes.SIZE, scenes.SIZE, 3)
    views = np.random.default_rng(0).random(shape, "float32")
    logs = model.train_on_batch(views, return_dict=True)
    parts = logs["static_loss"] + 0.5 * logs["dynamic_loss"]
    assert logs["loss"] == pytest.approx(parts + 3 * logs["leak_loss"], rel=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    losses = [m.test_on_batch(views, return_dict=True)["loss"] for m in (model, loaded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_interventions_are_drawn_for_each_clip_and_from_the_seed():
    order = np.tile(np.arange(8.0), (64, 1))[..., None]
    once, again = (make_intervened(seed=1) for _ in range(2))
    drawn = [ops.convert_to_numpy(m._shuffled(order)) for m in (once, again, once)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (np.sort(drawn[0], axis=1) == order).all()
    assert (drawn[0] != drawn[2]).any() and len(np.unique(drawn[0], axis=0)) > 60
    clips = np.arange(64.0)[:, None, None] + np.zeros((64, 8, 1))
    foreign = ops.convert_to_numpy(once._foreign(clips))
    assert foreign.shape == (64, 1, 1)
    assert set(foreign.ravel()) == set(range(64)) and (foreign[:, 0] != clips[:, 0]).mean() > 0.9


def test_an_intervened_model_learns_and_goes_on_after_loading(tmp_path):
    model = make_intervened(negative="shuffled", shuffled_positive=True, foreign_frame=True)
    model.compile("sgd", run_eagerly=True)
    views = np.random.default_rng(0).random((4, 2, 8, 16, 16, 3), "float32")
    before = [ops.convert_to_numpy(w) for w in model.trainable_variables]
    model.train_on_batch(views)
    after = [ops.convert_to_numpy(w) for w in model.trainable_variables]
    assert all(np.isfinite(w).all() for w in after)
    assert any((one != other).any() for one, other in zip(before, after))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    losses = [m.test_on_batch(views, return_dict=True)["loss"] for m in (model, loaded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_batch_has_so_many_videos_and_an_epoch_each_video_once(arrays):
    batches = list(_videos(arrays, Case("plain", "static-easy", steps=8, batch=5)))
    assert {len(videos) for videos in batches} == {5}
    epochs = np.concatenate(batches).reshape(2, 20)
    assert (np.sort(epochs) == np.arange(20)).all() and (epochs[0] != epochs[1]).any()


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
