"""`KoopmanSplit`: the D x D reference, known answers with gradients, symmetries, broken input, files."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend.autodiff import value_and_grad
from bod_keras.koopman import linalg
from tests import references
from tests.layer_harness import check_layer

METHODS = ("eig", "resolvent")
READ_OUTS = ("mean", "flat", "operator")
SPEED = 0.9  # of the rotation, in radians per frame


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensor(array):
    return ops.convert_to_tensor(np.asarray(array, "float32"))


def make_split(clips, **arguments):
    settings = {"threshold": 0.1, "basis": 4, "projector_gradient": True}
    layer = bod_keras.KoopmanSplit(**{**settings, **arguments})
    layer.build(np.shape(clips))
    return layer


def bases_of(layer):
    if layer.dynamic != "operator":
        return None
    return [numpy(w).astype("float64") for w in (layer.past_basis, layer.future_basis)]


def operators_of(clips, ridge, normalize=True):
    return [
        references.koopman_operator(*references.transitions(clip, normalize), ridge)
        for clip in clips
    ]


def separated_clips(rng, count, threshold, frames=6, width=8, ridge=1e-2, gap=0.25):
    """Noisy clips around a constant frame, no eigenvalue within `gap` of the circle, some inside it."""
    found = []
    while len(found) < count:
        clip = rng.normal(size=width) + 0.8 * rng.normal(size=(frames, width))
        distance = references.distances(operators_of([clip], ridge)[0], frames - 1)
        if distance[0] < threshold and np.all(np.abs(distance / threshold - 1) > gap):
            found.append(clip)
    return np.array(found)


def reference(layer, clips, radius, order=None):
    """static (B, D) and dynamic (B, K) by the D x D route."""
    parts = [
        references.split(
            clip, layer.dynamic, r, layer.ridge, layer.normalize, order, bases_of(layer)
        )
        for clip, r in zip(clips, radius)
    ]
    return [np.array(part) for part in zip(*parts)]


def check_gradient(layer, clips, radius, order=None, tolerance=1e-2):
    """Directional derivatives of a random function of both parts against differences in float64.

    `radius` is held fixed, as it is in the layer.
    """
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=part.shape) for part in reference(layer, clips, radius, order)]

    def objective(x):
        parts = layer(x[0])
        return sum(ops.sum(tensor(w) * p) for w, p in zip(weights, parts)), ()

    _, _, (gradient,) = value_and_grad(objective, [tensor(clips)])
    gradient = numpy(gradient).astype("float64")
    # Along the gradient, where an error of its size or sign shows, and along random directions.
    directions = [gradient / np.linalg.norm(gradient)]
    directions += [rng.normal(size=clips.shape) / np.sqrt(clips.size) for _ in range(3)]
    for direction in directions:
        values = [
            sum(
                np.sum(w * p)
                for w, p in zip(weights, reference(layer, clips + step * direction, radius, order))
            )
            for step in (1e-5, -1e-5)
        ]
        difference = (values[0] - values[1]) / 2e-5
        error = abs(np.sum(gradient * direction) - difference)
        assert error < tolerance * np.linalg.norm(gradient), (error, difference)


def orthonormal(width, columns, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(width, columns)))[0]


def rotating_clip(frames, width=7, speed=SPEED, phase=0.4, seed=0):
    """A constant plus a planar rotation, unit norm: the clip (T, D), the constant, and the plane (D, 2)."""
    directions = orthonormal(width, 3, seed)
    constant, plane = 0.8 * directions[:, 0], directions[:, 1:]
    angles = phase + speed * np.arange(frames)
    motion = 0.6 * np.stack([np.cos(angles), np.sin(angles)], axis=-1) @ plane.T
    return constant + motion, constant, plane


def rotation_operator(plane, speed):
    """The rotation of row vectors in a plane, as a D x D operator: frame_(t+1) = frame_t A."""
    turn = np.array([[np.cos(speed), np.sin(speed)], [-np.sin(speed), np.cos(speed)]])
    return plane @ turn @ plane.T


def decaying_clip(frames, width=5):
    directions = orthonormal(width, 2).T
    modes = np.array([0.9, 0.5])
    return (modes ** np.arange(frames)[:, None]) @ directions, directions


# -- the D x D route -----------------------------------------------------------------------------


@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("normalize", [True, False])
def test_both_methods_equal_the_d_by_d_route(method, dynamic, normalize):
    threshold = 0.4
    clips = separated_clips(np.random.default_rng(1), 8, threshold)
    if not normalize:
        clips = 3.0 * references.normalise(clips)
    layer = make_split(
        clips, threshold=threshold, method=method, dynamic=dynamic, normalize=normalize
    )
    parts = layer(clips.astype("float32"))
    for part, truth in zip(parts, reference(layer, clips, [threshold] * 8)):
        np.testing.assert_allclose(numpy(part), truth, atol=1e-4)
    check_gradient(layer, clips[:3], [threshold] * 3, tolerance=2e-3)


@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("order", [2, 8])
def test_soft_filters_weigh_eigenvalues_as_the_d_by_d_route(order, dynamic):
    clips = np.random.default_rng(2).normal(size=(4, 6, 8))
    layer = make_split(clips, threshold=0.5, method="resolvent", order=order, dynamic=dynamic)
    split = layer.split(tensor(clips))
    radius = numpy(linalg.threshold_radius(split.nearest, 0.5))
    for part, truth in zip(split[:2], reference(layer, clips, radius, order)):
        np.testing.assert_allclose(numpy(part), truth, atol=1e-4)
    check_gradient(layer, clips, radius, order, tolerance=2e-3)


def test_methods_agree_in_values_and_gradients():
    clips = separated_clips(np.random.default_rng(3), 6, 0.4)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(6, k)) for k in (8, 16)]
    results = []
    for method in METHODS:
        layer = make_split(clips, threshold=0.4, method=method)
        layer.past_basis.assign(orthonormal(8, 4, 1))
        layer.future_basis.assign(orthonormal(8, 4, 2))

        def objective(x, layer=layer):
            parts = layer(x[0])
            return sum(ops.sum(tensor(w) * p) for w, p in zip(weights, parts)), parts

        _, parts, gradients = value_and_grad(objective, [tensor(clips)])
        results.append([numpy(x) for x in (*parts, *gradients)])
    for x, y in zip(*results):
        assert np.linalg.norm(x - y) < 1e-4 * np.linalg.norm(x)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_count_takes_the_closest_eigenvalues_of_the_d_by_d_route(method, count):
    rng = np.random.default_rng(4)
    clips, radii = [], []
    while len(clips) < 6:
        clip = rng.normal(size=8) + rng.normal(size=(6, 8))
        distance = references.distances(operators_of([clip], 1e-2)[0], 5)
        # The pair of the count-th eigenvalue belongs to the group; beyond it there must be a gap.
        size = count + (abs(distance[count] - distance[count - 1]) < 1e-9)
        if distance[size] > 1.6 * distance[size - 1]:
            clips.append(clip)
            radii.append(np.sqrt(distance[size] * distance[size - 1]))
    clips = np.array(clips)
    layer = make_split(clips, count=count, method=method)
    for part, truth in zip(layer(clips.astype("float32")), reference(layer, clips, radii)):
        np.testing.assert_allclose(numpy(part), truth, atol=1e-4)
    check_gradient(layer, clips, radii, tolerance=2e-3)


def test_the_closest_eigenvalue_is_static_unless_told_otherwise():
    clips = np.random.default_rng(16).normal(size=(6, 6, 8))
    chosen = [make_split(clips, threshold=None, count=count) for count in (None, 1)]
    threshold = make_split(clips, threshold=2.0)
    one, same, other = [
        numpy(layer.split(tensor(clips)).projector) for layer in (*chosen, threshold)
    ]
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


# -- the projector as a constant -----------------------------------------------------------------


@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("method", METHODS)
def test_without_its_gradient_the_projector_is_a_constant(method, dynamic):
    clips = separated_clips(np.random.default_rng(17), 3, 0.4)
    arguments = {"threshold": 0.4, "method": method, "dynamic": dynamic}
    layer = make_split(clips, projector_gradient=False, **arguments)
    projectors = numpy(layer.split(tensor(clips)).projector).astype("float64")
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=part.shape) for part in layer(tensor(clips))]

    def truth(clips):
        """The parts by the definition, of D x D operators whose P stays as it is."""
        total = 0.0
        for i, (clip, projector) in enumerate(zip(clips, projectors)):
            past, future = references.transitions(clip)
            n = len(past)
            level = layer.ridge * np.trace(past @ past.T) / n
            inverse = past.T @ np.linalg.inv(past @ past.T + level * np.eye(n))
            static = inverse @ projector @ future
            moving = inverse @ (np.eye(n) - projector) @ future
            if dynamic == "operator":
                u, v = bases_of(layer)
                part = (u.T @ moving @ v).ravel()
            else:
                part = (past @ moving).mean(0) if dynamic == "mean" else (past @ moving).ravel()
            total += np.sum(weights[0][i] * (past @ static).mean(0)) + np.sum(weights[1][i] * part)
        return total

    def objective(x):
        return sum(ops.sum(tensor(w) * p) for w, p in zip(weights, layer(x[0]))), ()

    _, _, (gradient,) = value_and_grad(objective, [tensor(clips)])
    for _ in range(4):
        direction = rng.normal(size=clips.shape) / np.sqrt(clips.size)
        difference = (truth(clips + 1e-5 * direction) - truth(clips - 1e-5 * direction)) / 2e-5
        error = abs(np.sum(numpy(gradient) * direction) - difference)
        assert error < 2e-3 * np.linalg.norm(numpy(gradient))


def test_close_eigenvalues_on_both_sides_of_the_circle_blow_up_only_the_projectors_gradient():
    """Decays 0.9 and 0.9 - gap along two directions at a small angle, 0.9 static and the other dynamic."""
    directions = np.array([[1.0, 0.0, 0.0], [0.9, 0.435, 0.0]])

    def norms(gap):
        modes = np.array([0.9, 0.9 - gap])
        clip = ((modes ** np.arange(4)[:, None]) @ directions)[None]
        arguments = {"count": 1, "method": "eig", "normalize": False, "ridge": 1e-9, "basis": 2}
        found = []
        for differentiated in (False, True):
            layer = make_split(clip, projector_gradient=differentiated, **arguments)
            _, _, (gradient,) = value_and_grad(
                lambda x, layer=layer: (ops.sum(layer(x[0])[0]), ()), [tensor(clip)]
            )
            found.append(np.linalg.norm(numpy(gradient)))
        return found

    constant_wide, full_wide = norms(0.4)
    constant_close, full_close = norms(0.1)
    assert full_close / full_wide > 3 * constant_close / constant_wide


# -- known answers -------------------------------------------------------------------------------

# Four frames determine the operator; of eight, a rank of three is left, which needs a ridge.
ROTATIONS = pytest.mark.parametrize(
    ("frames", "ridge", "tolerance"), [(4, 1e-6, 2e-4), (8, 1e-3, 5e-3)]
)


@ROTATIONS
@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_constant_is_static_and_a_rotation_dynamic(method, dynamic, frames, ridge, tolerance):
    clip, constant, plane = rotating_clip(frames)
    layer = make_split(clip[None], method=method, dynamic=dynamic, ridge=ridge)
    split = layer.split(tensor(clip[None]))
    eigenvalues = np.linalg.eigvals(numpy(split.matrix)[0].astype("float64"))
    eigenvalues = eigenvalues[np.abs(eigenvalues) > 0.5]
    expected = np.array([np.exp(-1j * SPEED), np.exp(1j * SPEED), 1])
    key = np.angle(eigenvalues).argsort()
    np.testing.assert_allclose(eigenvalues[key], expected[[0, 2, 1]], atol=tolerance)
    np.testing.assert_allclose(numpy(split.static)[0], constant, atol=tolerance)
    motion = clip[1:] - constant
    if dynamic == "operator":
        u, v = bases_of(layer)
        truth = (u.T @ rotation_operator(plane, SPEED) @ v).ravel()
    else:
        truth = motion.mean(0) if dynamic == "mean" else motion.ravel()
    np.testing.assert_allclose(numpy(split.dynamic)[0], truth, atol=tolerance)
    check_gradient(layer, clip[None], [0.1])


@ROTATIONS
@pytest.mark.parametrize("method", METHODS)
def test_the_operator_read_out_knows_neither_phase_nor_scale_but_the_direction(
    method, frames, ridge, tolerance
):
    clips = [rotating_clip(frames, phase=phase)[0] for phase in (0.4, 1.7, 3.0)]
    clips += [25.0 * clips[0], 0.04 * clips[1], clips[0][::-1]]
    clips = np.array(clips)
    layer = make_split(clips, method=method, ridge=ridge)
    static, dynamic = [numpy(part) for part in layer(clips.astype("float32"))]
    for row in dynamic[1:5]:
        np.testing.assert_allclose(row, dynamic[0], atol=tolerance)
    u, v = bases_of(layer)
    plane = rotating_clip(frames)[2]
    backwards = (u.T @ rotation_operator(plane, -SPEED) @ v).ravel()
    np.testing.assert_allclose(dynamic[5], backwards, atol=tolerance)
    assert np.abs(dynamic[5] - dynamic[0]).max() > 0.1
    np.testing.assert_allclose(static[5], static[0], atol=tolerance)


@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("threshold", "radius", "no_static"), [(0.15, 0.15, 0.0), (0.05, 0.125, 1.0)]
)
def test_decaying_modes(method, dynamic, threshold, radius, no_static):
    """0.9^t is static at 0.15; at 0.05 nothing is, and the fallback takes 0.9 all the same."""
    clip, (slow, fast) = decaying_clip(3)
    layer = make_split(
        clip[None],
        threshold=threshold,
        method=method,
        dynamic=dynamic,
        normalize=False,
        ridge=1e-6,
    )
    split = layer.split(tensor(clip[None]))
    statistics = {name: float(value) for name, value in layer.statistics(split).items()}
    # The resolvent's filter is 0.998, not 1, at the eigenvalue that the fallback chose.
    assert statistics["static_eigenvalues"] == pytest.approx(1.0, abs=5e-3)
    assert statistics["no_static"] == no_static
    assert statistics["spectral_radius"] == pytest.approx(0.9, rel=0.02)
    np.testing.assert_allclose(numpy(split.nearest), [0.1], rtol=0.02)
    np.testing.assert_allclose(numpy(split.static)[0], (0.9 + 0.81) / 2 * slow, atol=5e-3)
    if dynamic == "operator":
        u, v = bases_of(layer)
        truth = 0.5 * np.outer(u.T @ fast, fast @ v).ravel()
    else:
        frames = np.array([0.5, 0.25])[:, None] * fast
        truth = frames.mean(0) if dynamic == "mean" else frames.ravel()
    np.testing.assert_allclose(numpy(split.dynamic)[0], truth, atol=5e-3)
    # So near to the circle the filter's slope matters, and with it the last percent of the radius.
    used = numpy(linalg.threshold_radius(split.nearest, threshold))
    np.testing.assert_allclose(used, [radius], rtol=0.02)
    check_gradient(layer, clip[None], used, order=64 if method == "resolvent" else None)


@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [None, 1])
def test_equal_frames_are_static(method, dynamic, count):
    frames, ridge = 6, 1e-2
    frame = references.normalise(np.random.default_rng(5).normal(size=8))
    clip = np.tile(frame, (1, frames, 1)).astype("float32")
    layer = make_split(clip, method=method, dynamic=dynamic, ridge=ridge, count=count)

    def objective(x):
        static, moving = layer(x[0])
        return ops.sum(static) + ops.sum(moving), (static, moving)

    _, (static, moving), (gradient,) = value_and_grad(objective, [tensor(clip)])
    shrunk = frame * (frames - 1) / (frames - 1 + ridge)
    np.testing.assert_allclose(numpy(static)[0], shrunk, atol=1e-4)
    np.testing.assert_allclose(numpy(moving), 0.0, atol=1e-4)
    assert np.isfinite(numpy(gradient)).all()


@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("method", METHODS)
def test_two_frames_are_enough(method, dynamic):
    clips = np.random.default_rng(6).normal(size=(3, 2, 6))
    layer = make_split(clips, method=method, dynamic=dynamic)
    # One eigenvalue only: it is its own closest one, so all of the operator is static.
    static, moving = [numpy(part) for part in layer(clips.astype("float32"))]
    for clip, s in zip(clips, static):
        operator = operators_of([clip], 1e-2)[0]
        np.testing.assert_allclose(s, references.normalise(clip)[0] @ operator, atol=5e-3)
    np.testing.assert_allclose(moving, 0.0, atol=5e-3)


# -- symmetries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("normalize", [True, False])
def test_scaling_leaves_the_split_alone(method, dynamic, normalize):
    clips = separated_clips(np.random.default_rng(7), 4, 0.4).astype("float32")
    layer = make_split(clips, threshold=0.4, method=method, dynamic=dynamic, normalize=normalize)
    before = layer.split(tensor(clips))
    for scale in (1e-3, 1e3):
        after = layer.split(tensor(scale * clips))
        np.testing.assert_allclose(numpy(after.projector), numpy(before.projector), atol=2e-4)
        factor = 1.0 if normalize else scale
        np.testing.assert_allclose(numpy(after.static) / factor, numpy(before.static), atol=2e-4)
        factor = 1.0 if normalize or dynamic == "operator" else scale
        np.testing.assert_allclose(numpy(after.dynamic) / factor, numpy(before.dynamic), atol=2e-4)


@pytest.mark.parametrize("dynamic", READ_OUTS)
@pytest.mark.parametrize("method", METHODS)
def test_a_change_of_basis_turns_both_parts_with_it(method, dynamic):
    clips = separated_clips(np.random.default_rng(8), 4, 0.4).astype("float32")
    turn = orthonormal(8, 8, seed=3).astype("float32")
    layer = make_split(clips, threshold=0.4, method=method, dynamic=dynamic)
    static, moving = [numpy(part) for part in layer(clips)]
    if dynamic == "operator":
        for basis in (layer.past_basis, layer.future_basis):
            basis.assign(turn.T @ numpy(basis))
    turned_static, turned_moving = [numpy(part) for part in layer(clips @ turn)]
    np.testing.assert_allclose(turned_static, static @ turn, atol=1e-4)
    if dynamic != "operator":
        moving = (moving.reshape(4, -1, 8) @ turn).reshape(4, -1)
    np.testing.assert_allclose(turned_moving, moving, atol=1e-4)


# -- count ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "static"), [(1, 1), (2, 3), (3, 3), (7, 3)])
@pytest.mark.parametrize("method", METHODS)
def test_count_keeps_a_conjugate_pair_together(method, count, static):
    clip = rotating_clip(4)[0][None].astype("float32")
    layer = make_split(clip, count=count, method=method, ridge=1e-6)
    split = layer.split(tensor(clip))
    assert np.trace(numpy(split.projector)[0]) == pytest.approx(static, abs=2e-3)


def test_statistics_are_means_over_clips():
    clips = np.stack([rotating_clip(4)[0], 0.7 * np.random.default_rng(9).normal(size=(4, 7))])
    layer = make_split(clips, threshold=0.05, method="eig", ridge=1e-6)
    split = layer.split(tensor(clips))
    operators = operators_of(clips, 1e-6)
    nearest = [references.distances(a, 3)[0] for a in operators]
    assert nearest[0] < 1e-4 and nearest[1] > 0.06
    statistics = {name: float(value) for name, value in layer.statistics(split).items()}
    counts = [
        np.sum(references.distances(a, 3) <= references.threshold_radius(a, 3, 0.05))
        for a in operators
    ]
    radii = [np.abs(np.linalg.eigvals(a)).max() for a in operators]
    assert statistics["static_eigenvalues"] == pytest.approx(np.mean(counts), abs=1e-3)
    assert statistics["no_static"] == 0.5
    assert statistics["spectral_radius"] == pytest.approx(np.mean(radii), rel=0.03)


# -- one operator for all clips ------------------------------------------------------------------


def transitions_of(clips):
    pairs = [references.transitions(clip) for clip in clips]
    return [np.concatenate(rows) for rows in zip(*pairs)]


def moments_of(clips):
    past, future = transitions_of(clips)
    return past.T @ past / len(past), past.T @ future / len(past)


@pytest.mark.parametrize("steps", [1, 3])
def test_moving_averages_of_the_batch_operator_have_a_closed_form(steps):
    batches = np.random.default_rng(10).normal(size=(steps, 4, 5, 6))
    layer = make_split(batches[0], operator="batch", dynamic="mean", momentum=0.8)
    for batch in batches:
        layer(batch.astype("float32"), training=True)
    weights = [0.2 * 0.8 ** (steps - 1 - i) for i in range(steps)]
    moments = zip(*[moments_of(batch) for batch in batches])
    for average, values in zip((layer.past_moment, layer.cross_moment), moments):
        truth = sum(w * value for w, value in zip(weights, values))
        np.testing.assert_allclose(numpy(average), truth, atol=1e-5)


@pytest.mark.parametrize("dynamic", ["mean", "flat"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [True, False])
def test_batch_operator_equals_the_d_by_d_route(method, dynamic, training):
    """In training it is that of the batch; a single new clip is split by the moving averages."""
    rng = np.random.default_rng(11)
    clips = rng.normal(size=5) + 0.7 * rng.normal(size=(6, 5, 5))
    layer = make_split(clips, operator="batch", dynamic=dynamic, method=method, count=1)
    layer(clips.astype("float32"), training=True)
    if not training:
        layer(clips[::-1].astype("float32"), training=True)  # the same moments once more
        clips = clips[:1]
    split = layer.split(tensor(clips), training=training)
    moments = [numpy(w).astype("float64") for w in (layer.past_moment, layer.cross_moment)]
    operator = references.batch_operator(*moments, ridge=1e-2)
    distance = references.distances(operator, 5)
    assert distance[1] > 1.6 * distance[0], "the data must leave a gap"
    radius = np.sqrt(distance[0] * distance[1])
    static = references.static_operator(operator, radius)
    np.testing.assert_allclose(numpy(split.matrix)[0], operator, atol=1e-4)
    for i, clip in enumerate(clips):
        past, _ = references.transitions(clip)
        truth = references.read_out(past, static, operator, dynamic)
        np.testing.assert_allclose(numpy(split.static)[i], truth[0], atol=1e-4)
        np.testing.assert_allclose(numpy(split.dynamic)[i], truth[1], atol=1e-4)


def test_a_saved_batch_operator_splits_a_new_clip_in_the_same_way(tmp_path):
    rng = np.random.default_rng(12)
    inputs = keras.Input((5, 6))
    model = keras.Model(inputs, bod_keras.KoopmanSplit(operator="batch", dynamic="flat")(inputs))
    for _ in range(3):
        model(rng.normal(size=(4, 5, 6)).astype("float32"), training=True)
    model.save(tmp_path / "split.keras")
    loaded = keras.models.load_model(tmp_path / "split.keras")
    clip = rng.normal(size=(1, 5, 6)).astype("float32")
    for x, y in zip(model(clip), loaded(clip)):
        assert np.abs(numpy(x)).max() > 1e-3
        np.testing.assert_array_equal(numpy(x), numpy(y))


def test_inference_leaves_the_moving_averages_alone():
    clips = np.random.default_rng(13).normal(size=(4, 5, 6)).astype("float32")
    layer = make_split(clips, operator="batch", dynamic="mean")
    layer(clips, training=True)
    before = numpy(layer.past_moment).copy()
    layer(2.0 + clips, training=False)
    np.testing.assert_array_equal(numpy(layer.past_moment), before)
    assert layer.trainable_variables == []


def test_static_parts_of_a_batch_operator_span_no_more_than_its_static_eigenvalues():
    clips = np.random.default_rng(14).normal(size=(6, 5, 8)).astype("float32")
    layer = make_split(clips, operator="batch", dynamic="mean", method="eig", threshold=None)
    split = layer.split(clips, training=True)
    static = round(float(layer.statistics(split)["static_eigenvalues"]))
    sizes = np.linalg.svd(numpy(split.static), compute_uv=False)
    assert static < 3 and (sizes > 1e-5 * sizes[0]).sum() == static


# -- broken input --------------------------------------------------------------------------------

CONFIGURATIONS = [
    {"dynamic": dynamic, "method": method, "count": count}
    for dynamic in READ_OUTS
    for method, count in (("eig", None), ("resolvent", None), ("resolvent", 1))
] + [{"dynamic": "mean", "operator": "batch"}, {"dynamic": "flat", "operator": "batch", "count": 1}]


def label(configuration):
    return "-".join(str(value) for value in configuration.values())


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=label)
def test_a_clip_of_zeros_has_finite_parts_and_gradients(configuration):
    clips = np.random.default_rng(14).normal(size=(3, 5, 6)).astype("float32")
    clips[1] = 0.0
    layer = make_split(clips, **configuration)

    def objective(x):
        parts = layer(x[0], training=True)
        return sum(ops.sum(part) for part in parts), parts

    _, parts, (gradient,) = value_and_grad(objective, [tensor(clips)])
    for part in parts:
        assert np.isfinite(numpy(part)).all()
        np.testing.assert_allclose(numpy(part)[1], 0.0, atol=1e-5)
    assert np.isfinite(numpy(gradient)).all()


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=label)
@pytest.mark.parametrize("frame", [0, 2, 4])
def test_a_broken_frame_reaches_the_outputs_without_an_error(configuration, frame):
    clips = np.random.default_rng(15).normal(size=(4, 5, 6)).astype("float32")
    clips[1, frame, 2], clips[2, frame, 3] = np.nan, np.inf
    layer = make_split(clips, **configuration)
    for part in layer(clips, training=True):
        finite = np.isfinite(numpy(part)).all(axis=-1).tolist()
        if layer.operator == "clip":
            assert finite == [True, False, False, True]
        else:  # one operator for all
            assert finite == [False] * 4


@pytest.mark.parametrize("dynamic", READ_OUTS)
def test_halves_are_split_each_by_itself(dynamic):
    clips = np.random.default_rng(16).normal(size=(3, 5, 12)).astype("float32")
    layer = make_split(clips, dynamic=dynamic, halves=True)
    single = make_split(clips[..., :6], dynamic=dynamic)
    for own, other in zip(single.weights, layer.weights, strict=True):
        own.assign(other)
    parts, first, second = (
        layer.split(clips),
        single.split(clips[..., :6]),
        single.split(clips[..., 6:]),
    )
    expected = second._replace(static=first.static)
    for name, value in expected._asdict().items():
        np.testing.assert_array_equal(numpy(getattr(parts, name)), numpy(value), err_msg=name)


# -- the layer as a layer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"threshold": 0.3, "method": "eig", "basis": 3},
        {"count": 2, "method": "resolvent", "order": 16, "dynamic": "flat", "ridge": 0.1},
        {"dynamic": "mean", "normalize": False, "projector_gradient": True},
        {"operator": "batch", "dynamic": "flat", "momentum": 0.5, "order": 16},
        {"operator": "batch", "dynamic": "mean", "method": "eig"},
        {"halves": True, "basis": 3},
    ],
    ids=label,
)
def test_it_is_a_keras_layer(arguments, tmp_path):
    check_layer(
        lambda: bod_keras.KoopmanSplit(**arguments),
        (5, 14),
        arguments=arguments,
        output_dtype="float32",
        tmp_path=tmp_path,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "svd"}, "method must be one of 'auto', 'eig', 'resolvent'. Received: 'svd'"),
        ({"operator": "video"}, "operator must be one of 'clip', 'batch'. Received: 'video'"),
        (
            {"dynamic": "max"},
            "dynamic must be one of 'operator', 'mean', 'flat'. Received: 'max'",
        ),
        ({"operator": "batch"}, 'dynamic="operator" needs one operator a clip'),
        ({"threshold": 0.0}, "threshold must be positive (0.1 is usual). Received: 0.0"),
        ({"threshold": float("nan")}, "threshold must be positive (0.1 is usual). Received: nan"),
        ({"count": 0}, "count must be a positive integer or None. Received: 0"),
        ({"count": 1.5}, "count must be a positive integer or None. Received: 1.5"),
        ({"count": 2.0}, "count must be a positive integer or None. Received: 2.0"),
        ({"momentum": 1.0}, "momentum must lie in [0, 1). Received: 1.0"),
        ({"order": 15}, "order must be an even integer >= 2. Received: 15"),
        ({"order": 0}, "order must be an even integer >= 2. Received: 0"),
        ({"ridge": -0.5}, "ridge must not be negative. Received: -0.5"),
        (
            {"operator": "batch", "dynamic": "mean", "halves": True},
            "halves=True needs one operator a clip",
        ),
        ({"basis": 0}, "basis must be at least 1. Received: 0"),
    ],
    ids=lambda value: label(value) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError) as error:
        bod_keras.KoopmanSplit(**arguments)
    assert message in str(error.value)


@pytest.mark.parametrize("symbolic", [True, False])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 16), "needs a fixed number of at least 2 frames"),
        ((16,), "expects frame embeddings of shape (batch, time, width)"),
        ((4, 4, 16), "expects frame embeddings of shape (batch, time, width)"),
    ],
)
def test_wrong_shapes_are_named(shape, message, symbolic):
    x = keras.Input(shape) if symbolic else np.zeros((2, *shape), "float32")
    with pytest.raises(ValueError) as error:
        bod_keras.KoopmanSplit()(x)
    assert message in str(error.value)
    assert f"Received: ({None if symbolic else 2}, {', '.join(map(str, shape))}" in str(error.value)


def test_an_open_number_of_frames_is_refused():
    with pytest.raises(ValueError, match=r"fixed number.*Received: \(None, None, 16\)"):
        bod_keras.KoopmanSplit()(keras.Input((None, 16)))


def test_a_basis_wider_than_the_embedding_is_refused():
    with pytest.raises(ValueError, match="must not exceed the embedding width 8. Received: 12"):
        bod_keras.KoopmanSplit(basis=12)(keras.Input((4, 8)))


@pytest.mark.parametrize(("width", "columns"), [(8, 8), (40, 24)])
def test_the_usual_basis_has_24_columns_or_the_width(width, columns):
    assert bod_keras.KoopmanSplit()(keras.Input((4, width)))[1].shape == (None, columns**2)


def test_an_odd_width_has_no_halves():
    with pytest.raises(ValueError, match=r"needs an even width. Received: \(None, 4, 9\)"):
        bod_keras.KoopmanSplit(halves=True)(keras.Input((4, 9)))
