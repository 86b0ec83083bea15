"""The (T-1) x (T-1) mathematics against the D x D operator, NumPy and finite differences."""

import numpy as np
import pytest
from keras import ops

from bod_keras.backend.autodiff import value_and_grad
from bod_keras.koopman import linalg
from tests import references

METHODS = ("eig", "resolvent")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensor(array):
    return ops.convert_to_tensor(np.asarray(array, "float32"))


def random_clips(rng, batch=4, frames=6, width=9):
    return rng.normal(size=(batch, frames, width)).astype("float32")


def matrices_with(values, rng, spread=0.3):
    """Non-symmetric real matrices (B, n, n) with the given real eigenvalues (B, n)."""
    n = values.shape[-1]
    basis = np.eye(n) + spread * rng.normal(size=(len(values), n, n))
    return basis @ (values[..., None] * np.linalg.inv(basis))


def project(method, matrix, radius, order=64):
    if method == "eig":
        return linalg.eig_projector(matrix, radius)
    return linalg.resolvent_projector(matrix, radius, order)


def reference_projector(matrix, radius, order=None):
    """P of one float64 matrix from `numpy.linalg.eig`."""
    values, vectors = np.linalg.eig(matrix)
    weight = np.abs(values - 1) <= radius
    if order is not None:
        weight = 1 / (1 + ((values - 1) / radius) ** order)
    return np.real(vectors @ np.diag(weight) @ np.linalg.inv(vectors))


def separated_matrices(rng, count, n=5, radius=0.5, gap=0.25):
    """Random matrices with eigenvalues, complex pairs too, on both sides of the circle, none near it."""
    found = []
    while len(found) < count:
        matrix = np.eye(n) + 0.45 * rng.normal(size=(n, n))
        distance = np.abs(np.linalg.eigvals(matrix) - 1)
        inside = np.sum(distance < radius)
        if 0 < inside < n and np.all(np.abs(distance / radius - 1) > gap):
            found.append(matrix)
    return np.array(found)


# -- the reduced operator ------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [1e-3, 1e-1])
@pytest.mark.parametrize(
    "function",
    [lambda a: a, lambda a: a @ a, lambda a: a @ a @ a - 0.5 * a],
    ids=["A", "A^2", "A^3-A/2"],
)
def test_functions_of_the_operator_need_only_the_reduced_matrix(function, ridge):
    """g(A) = X^+ [g(M) M^-1] Y for g(0) = 0, on the package's own X^+ and M."""
    clips = random_clips(np.random.default_rng(1))
    past, future = linalg.transitions(clips)
    pseudo_inverse = numpy(linalg.pseudo_inverse(past, ridge))
    matrix = (numpy(future) @ pseudo_inverse).astype("float64")
    for i, clip in enumerate(clips):
        truth = function(references.koopman_operator(*references.transitions(clip), ridge))
        middle = function(matrix[i]) @ np.linalg.inv(matrix[i])
        result = pseudo_inverse[i] @ middle @ numpy(future)[i]
        np.testing.assert_allclose(result, truth, atol=2e-4)


def test_the_reduced_operator_has_the_non_zero_eigenvalues_of_the_operator():
    clips = random_clips(np.random.default_rng(2))
    past, future = linalg.transitions(clips)
    matrix = ops.matmul(future, linalg.pseudo_inverse(past, 1e-2))
    distances = numpy(linalg.distances_to_one(matrix))
    for clip, row in zip(clips, distances):
        operator = references.koopman_operator(*references.transitions(clip), 1e-2)
        np.testing.assert_allclose(row, references.distances(operator, 5), atol=1e-4)


def test_normalized_frames_have_unit_length_and_zeros_a_finite_gradient():
    frames = np.array([[3.0, 4.0], [0.0, 0.0]], "float32")
    np.testing.assert_allclose(
        numpy(linalg.normalize_frames(tensor(frames))), [[0.6, 0.8], [0, 0]], atol=1e-6
    )
    _, _, (gradient,) = value_and_grad(
        lambda x: (ops.sum(linalg.normalize_frames(x[0])), ()), [tensor(frames)]
    )
    assert np.all(np.isfinite(numpy(gradient)))


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e-7, 1.0, 1e7, 1e25])
def test_normalization_does_not_depend_on_the_scale(scale):
    """Neither the value nor, times the scale, the gradient."""
    frames = np.random.default_rng(0).normal(size=(3, 5))
    weights = tensor(np.random.default_rng(1).normal(size=(3, 5)))
    _, result, (gradient,) = value_and_grad(
        lambda x: (ops.sum(weights * linalg.normalize_frames(x[0])), linalg.normalize_frames(x[0])),
        [tensor(scale * frames)],
    )
    lengths = np.linalg.norm(frames, axis=1, keepdims=True)
    unit = frames / lengths
    np.testing.assert_allclose(numpy(result), unit, atol=1e-6)
    along = np.sum(numpy(weights) * unit, axis=1, keepdims=True)
    truth = (numpy(weights) - along * unit) / lengths
    np.testing.assert_allclose(numpy(gradient).astype("float64") * scale, truth, atol=1e-5)


# -- scalars of a spectrum -----------------------------------------------------------------------


def test_spectral_radius_of_non_symmetric_matrices():
    matrices = np.random.default_rng(3).normal(size=(20, 7, 7))
    truth = np.abs(np.linalg.eigvals(matrices)).max(-1)
    ratio = numpy(linalg.spectral_radius(tensor(matrices))) / truth
    assert ratio.min() > 0.999 and ratio.max() < 1.05


def test_spectral_radius_is_gelfands_formula():
    matrices = np.random.default_rng(3).normal(size=(5, 4, 4))
    for squarings in (2, 3, 7):
        power = 2**squarings
        powers = np.linalg.matrix_power(matrices, power)
        truth = np.linalg.norm(powers, axis=(1, 2)) ** (1 / power)
        found = numpy(linalg.spectral_radius(tensor(matrices), squarings))
        np.testing.assert_allclose(found, truth, rtol=1e-4)


@pytest.mark.parametrize("scale", [1e-15, 1e-6, 1.0, 1e6, 1e15])
def test_spectral_radius_neither_overflows_nor_vanishes(scale):
    values = np.array([[1.0, -0.5, 0.25]])
    matrix = tensor(scale * matrices_with(values, np.random.default_rng(0)))
    np.testing.assert_allclose(numpy(linalg.spectral_radius(matrix)), [scale], rtol=2e-2)


def test_nearest_distance_of_non_symmetric_matrices():
    matrices = np.random.default_rng(4).normal(size=(20, 7, 7))
    truth = np.abs(np.linalg.eigvals(matrices) - 1).min(-1)
    ratio = numpy(linalg.nearest_distance(tensor(matrices))) / truth
    assert ratio.max() < 1.001 and ratio.min() > 0.95


@pytest.mark.parametrize("nearest", [0.0, 1e-3, 0.1, 0.7])
def test_nearest_distance_of_a_known_spectrum(nearest):
    values = np.array([[1.0 - nearest, 0.2, -0.6]])
    matrix = tensor(matrices_with(values, np.random.default_rng(5)))
    np.testing.assert_allclose(
        numpy(linalg.nearest_distance(matrix)), [nearest], rtol=0.03, atol=1e-4
    )


def test_frames_have_a_direction_down_to_1e_30():
    frames = tensor([[1.5e-30, 0.0], [0.7e-30, 0.0]])
    np.testing.assert_allclose(numpy(linalg.normalize_frames(frames)), [[1, 0], [0, 0]])


def test_a_zero_frame_stays_zero_and_gets_no_gradient():
    frames = tensor([[0.0, 0.0], [3.0, 4.0]])
    value, _, (gradient,) = value_and_grad(
        lambda x: (ops.sum(linalg.normalize_frames(x[0])), ()), [frames]
    )
    assert float(value) == pytest.approx(1.4, rel=1e-6)
    np.testing.assert_allclose(numpy(gradient), [[0, 0], [0.032, -0.024]], atol=1e-7)


def test_the_threshold_is_the_radius_unless_no_eigenvalue_lies_within_it():
    radius = linalg.threshold_radius(tensor([0.02, 0.1, 0.5]), 0.1)
    np.testing.assert_allclose(numpy(radius), [0.1, 0.1, 0.625], rtol=1e-6)


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ([0.1, 0.4, 0.6, 0.9], np.sqrt(0.1 * 0.4)),
        ([0.4, 0.4 * (1 + 1e-6), 0.9], np.sqrt(0.4 * 0.9)),  # a conjugate pair
        ([0.0, 0.5], np.sqrt(1e-3 * 0.5)),
    ],
)
def test_closest_radius_is_the_geometric_mean_across_the_gap_and_spares_pairs(distances, expected):
    np.testing.assert_allclose(
        numpy(linalg.closest_radius(tensor([distances]))), [expected], rtol=1e-4
    )


def test_closest_radius_of_a_single_eigenvalue_takes_it():
    """The circle goes through the mean of its distance and a far one."""
    for distances in ([0.9], [0.9, 0.9]):
        radius = numpy(linalg.closest_radius(tensor([distances])))
        np.testing.assert_allclose(radius, [np.sqrt(0.9 * (4 * 0.9 + 1))], rtol=1e-5)


def test_eigenvalues_at_nearly_equal_distances_are_a_pair():
    """Up to a thousandth of the distance, and a millionth near 0."""
    for distances, together in (
        ([0.4, 0.4003, 0.9], True),
        ([0.4, 0.4012, 0.9], False),
        ([0.0, 0.8e-6, 0.5], True),
        ([0.0, 3e-6, 0.5], False),
    ):
        first, second, third = np.maximum(distances, 1e-3)
        truth = np.sqrt(second * third) if together else np.sqrt(first * second)
        radius = numpy(linalg.closest_radius(tensor([distances])))
        np.testing.assert_allclose(radius, [truth], rtol=1e-4)


@pytest.mark.parametrize(("frames", "width"), [(6, 9), (15, 4), (5, 5)])
@pytest.mark.parametrize("ridge", [1e-6, 1e-1])
def test_pseudo_inverse_takes_the_smaller_system(frames, width, ridge):
    past = np.random.default_rng(9).normal(size=(3, frames, width))
    result = numpy(linalg.pseudo_inverse(tensor(past), ridge))
    for x, inverse in zip(past, result):
        level = ridge * np.sum(x**2) / frames
        truth = np.linalg.solve(x.T @ x + level * np.eye(width), x.T)
        np.testing.assert_allclose(inverse, truth, atol=2e-4 * np.abs(truth).max())


@pytest.mark.parametrize("frames", [3, 5])
def test_transitions_of_decaying_modes_keep_their_eigenvalues(frames):
    """0.9^t and 0.5^t along two directions, not normalized."""
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 2)))[0].T
    clip = (np.array([0.9, 0.5]) ** np.arange(frames)[:, None]) @ directions
    past, future = tensor(clip[None, :-1]), tensor(clip[None, 1:])
    matrix = numpy(ops.matmul(future, linalg.pseudo_inverse(past, 1e-7)))[0].astype("float64")
    values = np.sort(np.linalg.eigvals(matrix).real)[-2:]
    np.testing.assert_allclose(values, [0.5, 0.9], atol=5e-3)


# -- projectors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [2, 4, 6, 16, 64])
@pytest.mark.parametrize("radius", [0.1, 0.6])
def test_the_resolvent_is_exactly_a_butterworth_filter(order, radius):
    values = np.array([1.0, 0.95, 1.08, 0.6, 0.3, 0.0, -0.5, 1.7])
    matrix = tensor(np.diag(values)[None])
    result = numpy(linalg.resolvent_projector(matrix, tensor([radius]), order))[0]
    expected = np.diag(1 / (1 + ((values - 1) / radius) ** order))
    np.testing.assert_allclose(result, expected, atol=2e-6)


@pytest.mark.parametrize("method", METHODS)
def test_projectors_equal_the_eigendecomposition_in_float64(method):
    matrices = separated_matrices(np.random.default_rng(6), 12)
    result = numpy(project(method, tensor(matrices), tensor(np.full(12, 0.5))))
    for matrix, projector in zip(matrices, result):
        truth = reference_projector(matrix, 0.5)
        np.testing.assert_allclose(
            projector, truth, atol=1e-4 * np.linalg.cond(np.linalg.eig(matrix)[1])
        )
        np.testing.assert_allclose(np.trace(projector), np.trace(truth), atol=1e-3)


@pytest.mark.parametrize(("method", "order"), [("eig", None), ("resolvent", 64), ("resolvent", 4)])
def test_projector_gradients_equal_finite_differences(method, order):
    """Directional derivatives of a random linear function of P; the difference is taken in float64."""
    rng = np.random.default_rng(7)
    matrices = separated_matrices(rng, 8)
    weight = rng.normal(size=matrices.shape)
    radius = tensor(np.full(len(matrices), 0.5))
    _, _, (gradient,) = value_and_grad(
        lambda m: (
            ops.sum(tensor(weight) * project(method, m[0], radius, order)),
            (),
        ),
        [tensor(matrices)],
    )
    gradient = numpy(gradient)
    for i, matrix in enumerate(matrices):
        for _ in range(3):
            direction = rng.normal(size=matrix.shape)
            step = 1e-6 * direction
            up = np.sum(weight[i] * reference_projector(matrix + step, 0.5, order))
            down = np.sum(weight[i] * reference_projector(matrix - step, 0.5, order))
            scale = np.linalg.norm(gradient[i]) * np.linalg.norm(direction)
            assert abs(np.sum(gradient[i] * direction) - (up - down) / 2e-6) < 2e-3 * scale


def test_eig_and_resolvent_agree_in_values_and_gradients():
    rng = np.random.default_rng(8)
    matrices = separated_matrices(rng, 12)
    weight = rng.normal(size=matrices.shape)
    radius = tensor(np.full(len(matrices), 0.5))
    results = {}
    for method in METHODS:

        def objective(m, method=method):
            projector = project(method, m[0], radius)
            return ops.sum(tensor(weight) * projector), projector

        _, projector, (gradient,) = value_and_grad(objective, [tensor(matrices)])
        results[method] = numpy(projector), numpy(gradient)
    for eig, resolvent in zip(results["eig"], results["resolvent"]):
        for x, y in zip(eig, resolvent):
            assert np.linalg.norm(x - y) < 1e-4 * np.linalg.norm(x) + 1e-5


# -- broken input --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("frames", "width"), [(3, 5), (5, 3)])
@pytest.mark.parametrize("ridge", [1e-6, 1e-1])
def test_a_broken_clip_keeps_its_fault_and_leaves_the_others_alone(ridge, frames, width, value):
    past = np.random.default_rng(0).normal(size=(2, frames, width))
    alone = numpy(linalg.pseudo_inverse(tensor(past[:1]), ridge))
    past[1, 0, 0] = value
    result = numpy(linalg.pseudo_inverse(tensor(past), ridge))
    np.testing.assert_allclose(result[:1], alone, rtol=1e-4, atol=1e-6)
    assert not np.isfinite(result[1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_kernels_survive_a_matrix_that_is_not_finite(method):
    matrices = tensor([np.diag([1.0, 0.2, 0.1]), np.full((3, 3), np.nan)])
    for scalar in (linalg.nearest_distance, linalg.spectral_radius):
        assert np.isfinite(numpy(scalar(matrices))).all()
    projector = numpy(project(method, matrices, tensor([0.5, 0.5])))
    np.testing.assert_allclose(projector[0], np.diag([1.0, 0.0, 0.0]), atol=1e-5)
    assert np.isfinite(projector).all()
