"""`KoopmanSplit`: the D x D reference, known answers with gradients, symmetries, broken input, files."""

import json
import warnings

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend.autodiff import value_and_grad
from bod_keras.koopman import OperatorReadOut, ReadOut, TimeMean, linalg
from tests import references
from tests.layer_harness import check_layer

READ_OUTS = ("mean", "operator")
SPEED = 0.9  # of the rotation, in radians per frame


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensor(array):
    return ops.convert_to_tensor(np.asarray(array, "float32"))


def make_split(clips, read_out="operator", **arguments):
    settings = {"threshold": 0.1, "ridge": 1e-2, "projector_gradient": True}
    read_out = OperatorReadOut(4) if read_out == "operator" else read_out
    layer = bod_keras.KoopmanSplit(read_out=read_out, **{**settings, **arguments})
    layer.build(np.shape(clips))
    return layer


def bases_of(layer):
    if isinstance(layer.read_out, TimeMean):
        return None
    bases = layer.read_out.past_basis, layer.read_out.future_basis
    return [numpy(w).astype("float64") for w in bases]


def operators_of(clips, ridge):
    return [references.koopman_operator(*references.transitions(clip), ridge) for clip in clips]


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
        references.split(clip, r, layer.ridge, order, bases_of(layer))
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


# -- the D x D route -----------------------------------------------------------------------------


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("hard", [True, False])
def test_both_projectors_equal_the_d_by_d_route(hard, read_out):
    clips = separated_clips(np.random.default_rng(1), 8, 0.4)
    layer = make_split(clips, read_out, threshold=0.4, projector_gradient=hard)
    parts = layer(clips.astype("float32"))
    for part, truth in zip(parts, reference(layer, clips, [0.4] * 8)):
        np.testing.assert_allclose(numpy(part), truth, atol=1e-4)
    if hard:
        check_gradient(layer, clips[:3], [0.4] * 3, tolerance=2e-3)


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("hard", [True, False])
def test_by_default_the_closest_eigenvalue_of_the_d_by_d_route_is_static(hard, read_out):
    rng = np.random.default_rng(4)
    clips, radii = [], []
    while len(clips) < 6:
        clip = rng.normal(size=8) + rng.normal(size=(6, 8))
        distance = references.distances(operators_of([clip], 1e-2)[0], 5)
        size = 1 + (abs(distance[1] - distance[0]) < 1e-9)  # its conjugate comes along
        if distance[size] > 1.6 * distance[size - 1]:
            clips.append(clip)
            radii.append(np.sqrt(distance[size] * distance[size - 1]))
    clips = np.array(clips)
    layer = make_split(clips, read_out, threshold=None, projector_gradient=hard)
    for part, truth in zip(layer(clips.astype("float32")), reference(layer, clips, radii)):
        np.testing.assert_allclose(numpy(part), truth, atol=1e-4)
    if hard:
        check_gradient(layer, clips, radii, tolerance=2e-3)


@pytest.mark.parametrize("ridge", [1e-6, 1e-2])
@pytest.mark.parametrize("read_out", READ_OUTS)
def test_more_frames_than_numbers_leave_no_rounding_noise(read_out, ridge):
    """T - 1 = 15 > D = 6: the n x n system is singular but for the ridge, which float32 cannot hold."""
    clips = np.random.default_rng(21).normal(size=6) + 0.5 * np.random.default_rng(22).normal(
        size=(5, 16, 6)
    )
    layer = make_split(clips, read_out, threshold=None, ridge=ridge)
    radii = []
    for operator in operators_of(clips, ridge):
        distance = references.distances(operator, 6)
        size = 1 + (abs(distance[1] - distance[0]) < 1e-6)
        radii.append(np.sqrt(distance[size] * distance[size - 1]))
    for part, truth in zip(layer(clips.astype("float32")), reference(layer, clips, radii)):
        np.testing.assert_allclose(numpy(part), truth, atol=2e-3)


@pytest.mark.parametrize("read_out", READ_OUTS)
def test_without_its_gradient_the_projector_is_a_constant(read_out):
    clips = separated_clips(np.random.default_rng(17), 3, 0.4)
    layer = make_split(clips, read_out, projector_gradient=False, threshold=0.4)
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
            if read_out == "operator":
                u, v = bases_of(layer)
                part = (u.T @ moving @ v).ravel()
            else:
                part = (past @ moving).mean(0)
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


# -- known answers -------------------------------------------------------------------------------

# Four frames determine the operator; of eight, a rank of three is left, which needs a ridge.
ROTATIONS = pytest.mark.parametrize(
    ("frames", "ridge", "tolerance"), [(4, 1e-6, 2e-4), (8, 1e-3, 5e-3)]
)


@ROTATIONS
@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("hard", [True, False])
def test_a_constant_is_static_and_a_rotation_dynamic(hard, read_out, frames, ridge, tolerance):
    clip, constant, plane = rotating_clip(frames)
    layer = make_split(clip[None], read_out, ridge=ridge, projector_gradient=hard)
    split = layer.split(tensor(clip[None]))
    eigenvalues = np.linalg.eigvals(numpy(split.matrix)[0].astype("float64"))
    eigenvalues = eigenvalues[np.abs(eigenvalues) > 0.5]
    expected = np.array([np.exp(-1j * SPEED), np.exp(1j * SPEED), 1])
    key = np.angle(eigenvalues).argsort()
    np.testing.assert_allclose(eigenvalues[key], expected[[0, 2, 1]], atol=tolerance)
    np.testing.assert_allclose(numpy(split.static)[0], constant, atol=tolerance)
    if read_out == "operator":
        u, v = bases_of(layer)
        truth = (u.T @ rotation_operator(plane, SPEED) @ v).ravel()
    else:
        truth = (clip[1:] - constant).mean(0)
    np.testing.assert_allclose(numpy(split.dynamic)[0], truth, atol=tolerance)
    if hard:
        check_gradient(layer, clip[None], [0.1])


@ROTATIONS
def test_the_operator_read_out_knows_neither_phase_nor_scale_but_the_direction(
    frames, ridge, tolerance
):
    clips = [rotating_clip(frames, phase=phase)[0] for phase in (0.4, 1.7, 3.0)]
    clips += [25.0 * clips[0], 0.04 * clips[1], clips[0][::-1]]
    clips = np.array(clips)
    layer = make_split(clips, ridge=ridge)
    static, dynamic = [numpy(part) for part in layer(clips.astype("float32"))]
    for row in dynamic[1:5]:
        np.testing.assert_allclose(row, dynamic[0], atol=tolerance)
    u, v = bases_of(layer)
    plane = rotating_clip(frames)[2]
    backwards = (u.T @ rotation_operator(plane, -SPEED) @ v).ravel()
    np.testing.assert_allclose(dynamic[5], backwards, atol=tolerance)
    assert np.abs(dynamic[5] - dynamic[0]).max() > 0.1
    np.testing.assert_allclose(static[5], static[0], atol=tolerance)


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("threshold", [None, 0.1])
def test_equal_frames_are_static(hard, read_out, threshold):
    frames, ridge = 6, 1e-2
    frame = references.normalize(np.random.default_rng(5).normal(size=8))
    clip = np.tile(frame, (1, frames, 1)).astype("float32")
    layer = make_split(clip, read_out, ridge=ridge, threshold=threshold, projector_gradient=hard)

    def objective(x):
        static, moving = layer(x[0])
        return ops.sum(static) + ops.sum(moving), (static, moving)

    _, (static, moving), (gradient,) = value_and_grad(objective, [tensor(clip)])
    shrunk = frame * (frames - 1) / (frames - 1 + ridge)
    np.testing.assert_allclose(numpy(static)[0], shrunk, atol=1e-4)
    np.testing.assert_allclose(numpy(moving), 0.0, atol=1e-4)
    assert np.isfinite(numpy(gradient)).all()


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("hard", [True, False])
def test_two_frames_are_enough(hard, read_out):
    clips = np.random.default_rng(6).normal(size=(3, 2, 6))
    layer = make_split(clips, read_out, projector_gradient=hard)
    # One eigenvalue only: it is its own closest one, so all of the operator is static.
    static, moving = [numpy(part) for part in layer(clips.astype("float32"))]
    for clip, s in zip(clips, static):
        operator = operators_of([clip], 1e-2)[0]
        np.testing.assert_allclose(s, references.normalize(clip)[0] @ operator, atol=5e-3)
    np.testing.assert_allclose(moving, 0.0, atol=5e-3)


# -- clips whose operators have no basis of eigenvectors --------------------------------------------


def still(count, frames, width):
    """Slide shows: all frames of a clip are equal."""
    frame = np.random.default_rng(23).normal(size=(count, 1, width))
    return np.repeat(frame, frames, axis=1)


def half_frozen(count, frames, width):
    clips = np.random.default_rng(24).normal(size=(count, frames, width))
    clips[:, frames // 2 :] = clips[:, frames // 2 : frames // 2 + 1]
    return clips


def looped(count, frames, width):
    clips = np.random.default_rng(25).normal(size=(count, 3, width))
    return clips[:, np.arange(frames) % 3]


def orthonormal_frames(count, frames, width):
    """M is a shift: one eigenvalue, 0, and one eigenvector."""
    clips = np.random.default_rng(26).normal(size=(count, width, width))
    return np.linalg.qr(clips)[0][:, :frames]


@pytest.mark.parametrize("make", [still, half_frozen, looped, orthonormal_frames])
@pytest.mark.parametrize("threshold", [None, 0.1])
@pytest.mark.parametrize("ridge", [1e-6, 1e-2])
def test_the_hard_projector_survives_any_clip(make, threshold, ridge):
    clips = make(300, 10, 16).astype("float32")
    layer = make_split(clips, threshold=threshold, ridge=ridge)

    def objective(x):
        parts = layer(x[0])
        return sum(ops.sum(part) for part in parts), parts

    _, parts, (gradient,) = value_and_grad(objective, [tensor(clips)])
    for x in (*parts, gradient):
        assert np.isfinite(numpy(x)).all()


# -- symmetries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("read_out", READ_OUTS)
def test_scaling_leaves_the_split_alone(read_out):
    clips = separated_clips(np.random.default_rng(7), 4, 0.4).astype("float32")
    layer = make_split(clips, read_out, threshold=0.4)
    before = layer.split(tensor(clips))
    for scale in (1e-3, 1e3):
        after = layer.split(tensor(scale * clips))
        for one, other in zip(before, after):
            np.testing.assert_allclose(numpy(other), numpy(one), atol=2e-4)


@pytest.mark.parametrize("read_out", READ_OUTS)
def test_a_change_of_basis_turns_both_parts_with_it(read_out):
    clips = separated_clips(np.random.default_rng(8), 4, 0.4).astype("float32")
    turn = orthonormal(8, 8, seed=3).astype("float32")
    layer = make_split(clips, read_out, threshold=0.4)
    static, moving = [numpy(part) for part in layer(clips)]
    if read_out == "operator":
        for basis in (layer.read_out.past_basis, layer.read_out.future_basis):
            basis.assign(turn.T @ numpy(basis))
    else:
        moving = moving @ turn
    turned_static, turned_moving = [numpy(part) for part in layer(clips @ turn)]
    np.testing.assert_allclose(turned_static, static @ turn, atol=1e-4)
    np.testing.assert_allclose(turned_moving, moving, atol=1e-4)


# -- statistics ----------------------------------------------------------------------------------


def test_statistics_are_means_over_clips():
    clips = np.stack([rotating_clip(4)[0], 0.7 * np.random.default_rng(9).normal(size=(4, 7))])
    layer = make_split(clips, threshold=0.05, ridge=1e-6)
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


@pytest.mark.parametrize("noise", [0.0, 1e-6, 1e-5])
@pytest.mark.parametrize(("frames", "width"), [(8, 32), (17, 64), (33, 16), (64, 32)])
def test_a_low_rank_clip_has_the_spectral_radius_of_its_motion(frames, width, noise):
    """Three dimensions of all: a Gram matrix in float32 has noise of the size of this ridge."""
    rng = np.random.default_rng(frames)
    clips = np.stack([rotating_clip(frames, width, seed=seed)[0] for seed in range(4)])
    clips = clips + noise * rng.normal(size=clips.shape)
    layer = make_split(clips, "mean", ridge=1e-5)
    statistics = layer.statistics(layer.split(tensor(clips)))
    assert float(statistics["spectral_radius"]) == pytest.approx(1.0, abs=0.02)
    assert float(statistics["static_eigenvalues"]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.0])
def test_a_ridge_that_the_arithmetic_cannot_hold_is_told(share):
    with pytest.warns(UserWarning, match="hides a ridge below .* Received: ridge="):
        bod_keras.KoopmanSplit(ridge=share * linalg.LEAST_RIDGE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bod_keras.KoopmanSplit(ridge=linalg.LEAST_RIDGE)


@pytest.mark.parametrize("threshold", [None, 0.1])
def test_statistics_are_of_the_operator_that_the_static_part_comes_from(threshold):
    clips = np.stack([rotating_clip(8, seed=seed)[0] for seed in range(4)])
    layer = make_split(clips, threshold=threshold, ridge=1e-3, projector_gradient=False)
    statistics = layer.statistics(layer.split(tensor(clips)))
    assert float(statistics["no_static"]) == 0.0
    assert float(statistics["static_eigenvalues"]) == pytest.approx(1.0, abs=1e-2)


# -- broken input --------------------------------------------------------------------------------

CONFIGURATIONS = [
    {"read_out": read_out, "projector_gradient": hard, "threshold": threshold}
    for read_out in READ_OUTS
    for hard, threshold in ((True, 0.1), (False, 0.1), (False, None))
]


def label(configuration):
    return "-".join(str(value) for value in configuration.values())


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=label)
def test_a_clip_of_zeros_has_finite_parts_and_gradients(configuration):
    clips = np.random.default_rng(14).normal(size=(3, 5, 6)).astype("float32")
    clips[1] = 0.0
    layer = make_split(clips, **configuration)

    def objective(x):
        parts = layer(x[0])
        return sum(ops.sum(part) for part in parts), parts

    _, parts, (gradient,) = value_and_grad(objective, [tensor(clips)])
    for part in parts:
        assert np.isfinite(numpy(part)).all()
        np.testing.assert_allclose(numpy(part)[1], 0.0, atol=1e-5)
    assert np.isfinite(numpy(gradient)).all()


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=label)
@pytest.mark.parametrize("frame", [0, 4])
def test_a_broken_frame_reaches_the_outputs_of_its_clip_without_an_error(configuration, frame):
    clips = np.random.default_rng(15).normal(size=(4, 5, 6)).astype("float32")
    clips[1, frame, 2], clips[2, frame, 3] = np.nan, np.inf
    for part in make_split(clips, **configuration)(clips):
        finite = np.isfinite(numpy(part)).all(axis=-1).tolist()
        assert finite == [True, False, False, True]


# -- the layer as a layer ------------------------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class Energy(ReadOut):
    """A custom read-out."""

    def __init__(self, power=2, **kwargs):
        super().__init__(**kwargs)
        self.power = power

    def call(self, operator):
        return ops.mean(operator.future**self.power, axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "power": self.power}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"threshold": 0.3, "projector_gradient": True},
        {"read_out": "mean", "ridge": 0.3},
    ],
    ids=label,
)
def test_it_is_a_keras_layer(arguments, tmp_path):
    expected = {k: v for k, v in arguments.items() if k != "read_out"}
    check_layer(
        lambda: bod_keras.KoopmanSplit(**arguments),
        (5, 14),
        arguments=expected,
        output_dtype="float32",
        tmp_path=tmp_path,
    )


@pytest.mark.parametrize("read_out", [OperatorReadOut(3), Energy(4)])
def test_a_read_out_is_saved_with_its_settings(read_out, tmp_path):
    frames = keras.Input((5, 6))
    model = keras.Model(frames, bod_keras.KoopmanSplit(read_out=read_out)(frames))
    model.save(tmp_path / "split.keras")
    loaded = keras.models.load_model(tmp_path / "split.keras")
    clips = np.random.default_rng(12).normal(size=(2, 5, 6)).astype("float32")
    for x, y in zip(model(clips), loaded(clips)):
        np.testing.assert_array_equal(numpy(x), numpy(y))


def test_a_layer_of_version_01_names_the_version_that_reads_it():
    with pytest.raises(bod_keras.UserError, match="bod_keras==0.1.0"):
        bod_keras.KoopmanSplit.from_config({"name": "split", "dynamic": "operator", "count": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"read_out": "mena"}, "Received: 'mena'. Did you mean mean?"),
        ({"read_out": 3}, "or a bod_keras.koopman.ReadOut. Received: 3"),
        ({"threshold": 0.0}, "threshold must be positive (0.1 is usual). Received: 0.0"),
        ({"threshold": float("nan")}, "threshold must be positive (0.1 is usual). Received: nan"),
        ({"ridge": -0.5}, "ridge must not be negative. Received: -0.5"),
        ({"ridge": float("nan")}, "ridge must not be negative. Received: nan"),
    ],
    ids=lambda value: label(value) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(bod_keras.UserError) as error:
        bod_keras.KoopmanSplit(**arguments)
    assert message in str(error.value)


def test_a_read_out_without_columns_is_refused():
    with pytest.raises(bod_keras.UserError, match="columns must be at least 1. Received: 0"):
        OperatorReadOut(0)


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


@pytest.mark.parametrize(("width", "columns"), [(8, 8), (40, 24)])
def test_the_read_out_has_24_columns_or_the_width(width, columns):
    assert bod_keras.KoopmanSplit()(keras.Input((4, width)))[1].shape == (None, columns**2)


def test_the_config_that_it_comes_back_from_stays_as_it_was():
    config = bod_keras.KoopmanSplit(0.3).get_config()
    before = json.dumps(config)
    bod_keras.KoopmanSplit.from_config(config)
    assert json.dumps(config) == before


def test_nothing_in_a_split_is_trained():
    split = bod_keras.KoopmanSplit()
    split.build((None, 4, 8))
    assert split.trainable_variables == [] and len(split.weights) == 2


@pytest.mark.parametrize(("share", "warns"), [(0.7, True), (1.5, False)])
def test_a_ridge_that_rounding_hides_is_told(share, warns):
    least = 1e-5 if keras.backend.backend() == "jax" else 1e-11
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        bod_keras.KoopmanSplit(ridge=share * least)
    assert bool(told) == warns


@pytest.mark.parametrize("threshold", [None, 0.1])
@pytest.mark.parametrize("hard", [True, False])
def test_on_tensorflow_alone_the_derivative_of_the_projector_cannot_be_compiled(hard, threshold):
    split = bod_keras.KoopmanSplit(threshold=threshold, projector_gradient=hard)
    assert split.supports_jit == (not (hard and keras.backend.backend() == "tensorflow"))


def test_the_whole_result_may_be_the_first_that_is_asked_for():
    clips = np.random.default_rng(0).normal(size=(2, 6, 5)).astype("float32")
    layer = bod_keras.KoopmanSplit()
    split = layer.split(clips)
    for part, again in zip((split.static, split.dynamic), layer(clips), strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (part, again)))
