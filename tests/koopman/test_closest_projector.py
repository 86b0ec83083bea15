"""The split by products and one inverse against eigenvalues in float64: values, gradients, ties, faults."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend.autodiff import value_and_grad
from bod_keras.decoupling import RIDGE
from bod_keras.koopman import linalg
from bod_keras.koopman.closest_projector import closest_projector

EXACT = keras.backend.backend() != "jax"  # float64
CLIPS = 500


def tensor(array):
    return ops.convert_to_tensor(np.asarray(array, "float32"))


def project(matrices):
    projectors, nearest = map(ops.convert_to_numpy, closest_projector(tensor(matrices)))
    assert projectors.dtype == nearest.dtype == "float32"
    return projectors.astype("float64"), nearest


def largest(matrices):
    return np.abs(matrices).max((-1, -2))


# -- four kinds of clips -------------------------------------------------------------------------


def turning(noise):
    """A constant frame and two rotations, each in a plane of its own."""

    def clips(frames, width):
        rng = np.random.default_rng(frames * width)
        time = np.arange(frames)[None, :, None]
        result = rng.normal(size=(CLIPS, 1, width)) / np.sqrt(width) * np.ones((1, frames, 1))
        for _ in range(2):
            angle = rng.uniform(0, 6.3, (CLIPS, 1, 1)) + rng.uniform(0.2, 2.5, (CLIPS, 1, 1)) * time
            plane = np.linalg.qr(rng.normal(size=(CLIPS, width, 2)))[0].swapaxes(-1, -2)
            result = result + 0.5 * np.concatenate([np.cos(angle), np.sin(angle)], -1) @ plane
        return result + noise * rng.normal(size=result.shape)

    return clips


def white_noise(frames, width):
    return np.random.default_rng(frames * width).normal(size=(CLIPS, frames, width))


def equal_frames(frames, width):
    frame = np.random.default_rng(frames * width).normal(size=(CLIPS, 1, width))
    return np.repeat(frame, frames, axis=1)


KINDS = {
    "turning": turning(0.03),
    "turning, noisy": turning(0.3),
    "white noise": white_noise,
    "equal frames": equal_frames,
}


def reduced_operators(clips):
    past, future = linalg.transitions(tensor(clips))
    return ops.convert_to_numpy(ops.matmul(future, linalg.pseudo_inverse(past, RIDGE)))


def truth(matrix):
    """P of the closest eigenvalue or pair; its distance; by how much the next one is farther, relative."""
    values, vectors = np.linalg.eig(matrix.astype("float64"))
    distance = np.abs(values - 1)
    order = np.argsort(distance)
    values, vectors, distance = values[order], vectors[:, order], distance[order]
    count = 1 + (abs(values[0].imag) > 0)
    # By both sets of eigenvectors of the group alone: the others may have no basis, as those of equal frames.
    left_values, left = np.linalg.eig(matrix.astype("float64").T)
    left = left[:, np.argsort(np.abs(left_values - 1))[:count]].T
    right = vectors[:, :count]
    projector = np.real(right @ np.linalg.inv(left @ right) @ left)
    return projector, distance[0], distance[count] / distance[0] - 1


@pytest.mark.parametrize("width", [32, 128])
@pytest.mark.parametrize("frames", [8, 12, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_the_split_is_that_by_eigenvalues(kind, frames, width):
    matrices = reduced_operators(KINDS[kind](frames, width))
    projectors, nearest = project(matrices)
    assert np.mean(largest(projectors @ projectors - projectors) <= 1e-3) >= 0.99
    truths, distances, gaps = map(np.array, zip(*map(truth, matrices)))
    np.testing.assert_allclose(nearest, distances, rtol=2e-3, atol=2e-5)
    clear = gaps > 0.2
    assert clear.mean() > 0.9
    scale = 1 + largest(truths)
    assert np.max((largest(projectors - truths) / scale)[clear]) < (2e-5 if EXACT else 2e-3)


def test_gradients_are_those_of_the_hard_split():
    """P by eigenvalues in float64, held: it says what is static, and is a constant."""
    rng = np.random.default_rng(3)
    clips = rng.normal(size=(40, 1, 16)) + rng.normal(size=(40, 8, 16))
    truths, _, gaps = map(np.array, zip(*map(truth, reduced_operators(clips))))
    clips, truths = clips[gaps > 0.2], truths[gaps > 0.2]
    assert len(clips) > 30

    class Hard(bod_keras.KoopmanSplit):
        def static_projector(self, matrix):
            return tensor(truths), None

    gradients = []
    for kind in (bod_keras.KoopmanSplit, Hard):
        layer = kind()
        layer.build(clips.shape)
        weights = [
            tensor(np.random.default_rng(0).normal(size=part.shape)) for part in layer(clips)
        ]

        def objective(x, layer=layer, weights=weights):
            return sum(ops.sum(w * p) for w, p in zip(weights, layer(x[0]))), ()

        gradients.append(ops.convert_to_numpy(value_and_grad(objective, [tensor(clips)])[2][0]))
    found, expected = gradients
    assert largest(found - expected).max() < 1e-3 * largest(expected).max()
    assert np.all(largest(found - expected) < 2e-2 * largest(expected))


# -- known spectra -------------------------------------------------------------------------------


def matrices_of(blocks, count=20, spread=0.3, seed=0):
    """Non-symmetric matrices (count, n, n) of a block-diagonal one in bases of their own, and the bases."""
    n = sum(len(block) for block in blocks)
    diagonal = np.zeros((n, n))
    start = 0
    for block in blocks:
        diagonal[start : start + len(block), start : start + len(block)] = block
        start += len(block)
    bases = np.eye(n) + spread * np.random.default_rng(seed).normal(size=(count, n, n))
    return bases @ diagonal @ np.linalg.inv(bases), bases


def pair(distance, angle):
    """A conjugate pair of eigenvalues at this distance of 1."""
    real, imaginary = 1 - distance * np.cos(angle), distance * np.sin(angle)
    return np.array([[real, imaginary], [-imaginary, real]])


def check(blocks, static, tolerance=5e-3):
    """That the first `static` numbers of the basis are the static ones."""
    matrices, bases = matrices_of(blocks)
    keep = np.diag((np.arange(bases.shape[-1]) < static).astype("float64"))
    projectors, _ = project(matrices)
    np.testing.assert_allclose(projectors, bases @ keep @ np.linalg.inv(bases), atol=tolerance)


ONE = np.ones((1, 1))


@pytest.mark.parametrize("distance", [0.0, 1e-4, 0.02, 0.5])
def test_one_real_eigenvalue(distance):
    check([(1 - distance) * ONE, 0.3 * ONE, pair(0.8, 1.5), -0.5 * ONE], 1)
    check([(1 + distance) * ONE, 0.3 * ONE, pair(0.8, 1.5), -0.5 * ONE], 1)


@pytest.mark.parametrize("angle", [*np.linspace(0.1, 3.1, 7), *(np.pi / np.array([2, 3, 4]))])
def test_a_conjugate_pair_comes_together(angle):
    check([pair(0.3, angle), 0.5 * ONE, pair(0.8, 1.5)], 2)
    check([pair(0.3, angle), 0.62 * ONE, -0.5 * ONE], 2)


def test_equal_distances_are_static_together():
    check([0.7 * ONE, 1.3 * ONE, 0.2 * ONE], 2)
    check([0.7 * np.eye(4), 0.2 * ONE], 4)


@pytest.mark.skipif(not EXACT, reason="in float32 such distances are one")
def test_two_distances_that_nearly_agree_still_give_a_projector():
    """0.08 % apart, the farther one weighs 1e-3 in the power: 3 P^2 - 2 P^3 takes that to 1e-5."""
    rng = np.random.default_rng(0)
    distance = rng.uniform(0.1, 0.3, (50, 1))
    away = np.concatenate([distance, 1.0008 * distance, rng.uniform(0.4, 1.0, (50, 3))], 1)
    basis = np.linalg.qr(rng.normal(size=(50, 5, 5)))[0]
    matrices = (basis * (1 - away)[:, None]) @ basis.swapaxes(-1, -2)
    found = closest_projector(ops.convert_to_tensor(matrices))[0]
    projectors = ops.convert_to_numpy(found).astype("float64")
    assert largest(projectors @ projectors - projectors).max() < 1e-4
    np.testing.assert_allclose(np.trace(projectors, axis1=-2, axis2=-1), 2, atol=1e-3)


def test_the_null_space_can_be_closest():
    """Frames that change their sign: -1, and 0 as often as is left."""
    frame = np.random.default_rng(0).normal(size=(1, 16))
    clip = frame * ((-1.0) ** np.arange(9))[:, None]
    projectors, nearest = project(reduced_operators(clip[None]))
    past = (clip / np.linalg.norm(clip, axis=-1, keepdims=True))[:-1]
    np.testing.assert_allclose(projectors[0], np.eye(8) - past @ past.T / 8, atol=1e-4)
    np.testing.assert_allclose(nearest, [1.0], rtol=1e-3)


@pytest.mark.parametrize(
    "matrix", [np.zeros((5, 5)), np.eye(5), np.eye(5, k=1), 3 * np.eye(5, k=-1)]
)
def test_what_has_one_eigenvalue_is_all_static(matrix):
    """A matrix of zeros, the identity, and shifts: the operators of orthonormal frames."""
    projectors, _ = project(matrix[None])
    np.testing.assert_allclose(projectors[0], np.eye(5), atol=1e-3)


@pytest.mark.parametrize("other", ["real", "pair"])
def test_where_distances_cross_nothing_jumps_out_of_the_groups(other):
    """From 2 % nearer to 2 % farther: a projector but for the last thousandth, and finite there."""
    gaps = np.linspace(-0.02, 0.02, 401)
    first = pair(0.4, 0.7) if other == "pair" else 1.4 * ONE
    matrices = np.concatenate(
        [matrices_of([(1 - 0.4 * (1 + gap)) * ONE, first, 0.1 * ONE], 1)[0] for gap in gaps]
    )
    projectors, _ = project(matrices)
    assert largest(projectors).max() < 5
    rank = np.trace(projectors, axis1=-2, axis2=-1)
    clear = np.abs(gaps) > 2e-3
    error = largest(projectors @ projectors - projectors)
    assert error[clear].max() < 1e-3
    size = len(first)
    np.testing.assert_allclose(rank[gaps < -2e-3], 1, atol=1e-3)
    np.testing.assert_allclose(rank[gaps > 2e-3], size, atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_matrix_that_is_not_finite_leaves_the_others_alone(value):
    good = matrices_of([0.9 * ONE, 0.2 * ONE, 0.1 * ONE], 1)[0]
    broken = good.copy()
    broken[0, 1, 2] = value
    projectors, nearest = project(np.concatenate([good, broken, np.full((1, 3, 3), value)]))
    np.testing.assert_allclose(projectors[:1], project(good)[0], atol=1e-6)
    assert np.isfinite(projectors).all() and np.isfinite(nearest).all()


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1e6, 1e18])
def test_any_scale_stays_finite(scale):
    matrices = scale * np.random.default_rng(0).normal(size=(50, 7, 7))
    projectors, nearest = project(matrices)
    assert np.isfinite(projectors).all() and np.isfinite(nearest).all()
