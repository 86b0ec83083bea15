"""`ReferenceCodeSplit` against a float64 NumPy version that was written from its description."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend.autodiff import value_and_grad
from bod_keras.koopman import ReferenceCodeSplit, linalg, reference_code

BACKEND = keras.backend.backend()
TIGHT = 1 if BACKEND != "jax" else 200  # JAX has float32 alone


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def fitted(clip):
    """K = Y' (X')^+ of normalized frames, by columns."""
    frames = clip / np.linalg.norm(clip, axis=1, keepdims=True)
    return frames[1:].T @ np.linalg.pinv(frames[:-1].T, rcond=1e-4)


def reference(clip, threshold=0.1, order=None):
    """Both parts of a clip (T, D); `order`: eigenvalues in the order that they are to be taken in."""
    values, vectors = np.linalg.eig(fitted(clip))
    live = np.abs(values) > 1e-5 * np.abs(values).max()
    places = np.concatenate([np.flatnonzero(live), np.flatnonzero(~live)])
    if order is not None:
        count = live.sum()
        gaps = np.abs(order[:count, None] - values[None, places[:count]])
        places[:count] = places[:count][gaps.argmin(axis=1)]
        assert len(set(places)) == len(places) and gaps.min(axis=1).max() < 1e-3
    values, vectors = values[places], vectors[:, places]
    q = np.linalg.qr(vectors)[0]
    static = np.abs(values - 1) <= threshold
    return [
        np.mean([(q @ np.diag(mask * values) @ q.conj().T).real @ z for z in clip], axis=0)
        for mask in (static, ~static)
    ]


def orders_of(clips):
    """Of each clip, the eigenvalues beside the null space as the layer orders them."""
    matrix = reference_code.fitted_operator(ops.convert_to_tensor(clips.astype("float32")))
    for found, clip in zip(numpy(matrix), clips):
        np.testing.assert_allclose(found, fitted(clip), atol=1e-5 * TIGHT)
    values, _ = reference_code.ordered_eigenpairs(*linalg.eigendecomposition(matrix))
    return [row[np.abs(row) > 1e-5 * np.abs(row).max()] for row in numpy(values)]


def rotation(rng, frames, width):
    angles = 0.7 * np.arange(frames)
    turning = np.stack([np.ones(frames), np.cos(angles), np.sin(angles)], axis=1)
    return 2.0 * turning @ np.linalg.qr(rng.normal(size=(width, 3)))[0].T


KINDS = {
    "noise": lambda rng, frames, width: rng.normal(size=(frames, width)),
    "walk": lambda rng, frames, width: rng.normal(size=(frames, width)).cumsum(axis=0),
    "still and noise": lambda rng, frames, width: (
        rng.normal(size=width) + 0.1 * rng.normal(size=(frames, width))
    ),
    "rotation": rotation,
    "two frames": lambda rng, frames, width: rng.normal(size=(2, width)),
}


def clips_of(kind, frames, width, count=4):
    """Rounded as float32 has them, so that both sides split the same numbers."""
    rng = np.random.default_rng(len(kind))
    made = [KINDS[kind](rng, frames, width) for _ in range(count)]
    return np.array(made, "float32").astype("float64")


@pytest.mark.parametrize("shape", [(6, 12), (9, 32), (12, 5)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_both_parts_are_those_of_the_published_code(kind, shape):
    clips = clips_of(kind, *shape)
    static, dynamic = map(numpy, ReferenceCodeSplit()(clips.astype("float32")))
    for clip, order, *parts in zip(clips, orders_of(clips), static, dynamic):
        for part, truth in zip(parts, reference(clip, order=order)):
            np.testing.assert_allclose(part, truth, atol=2e-5 * TIGHT * np.abs(clip).max())


@pytest.mark.skipif(BACKEND == "tensorflow", reason="its eigensolver is not LAPACK")
def test_the_order_is_that_of_lapack():
    """As far as two builds of LAPACK agree on one."""
    clips = clips_of("walk", 8, 32, count=12)
    _, dynamic = map(numpy, ReferenceCodeSplit()(clips.astype("float32")))
    truth = np.array([reference(clip)[1] for clip in clips])
    errors = np.linalg.norm(dynamic - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert np.mean(errors < 1e-3) > 0.5


def test_it_differs_from_the_papers_text():
    """Raw frames, all of them, and what makes the operator non-normal is lost."""
    clips = clips_of("walk", 8, 32)
    code = ReferenceCodeSplit()(clips.astype("float32"))
    text = bod_keras.KoopmanSplit(0.1, 1e-3, "mean", True)(clips.astype("float32"))
    one, other = numpy(code[1]), numpy(text[1])
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    assert (np.sum(one * other, axis=-1) < 0.99 * lengths).any()
    halved = ReferenceCodeSplit()(0.5 * clips.astype("float32"))
    np.testing.assert_allclose(numpy(halved[0]), 0.5 * numpy(code[0]), rtol=1e-3, atol=1e-4)


def test_a_clip_without_a_static_eigenvalue_has_no_static_part():
    split = ReferenceCodeSplit(threshold=1e-4)
    static, _ = split(clips_of("noise", 6, 12).astype("float32"))
    np.testing.assert_array_equal(numpy(static), 0.0)


@pytest.mark.parametrize("shape", [(5, 9), (9, 4)], ids=str)
@pytest.mark.parametrize("kind", ["noise", "still and noise"])
def test_gradients_equal_finite_differences(kind, shape):
    clips = clips_of(kind, *shape, count=3)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 3, shape[1])).astype("float32")
    split = ReferenceCodeSplit(threshold=0.3)

    def objective(x):
        return sum(ops.sum(ops.multiply(w, p)) for w, p in zip(weights, split(x[0]))), ()

    _, _, (gradient,) = value_and_grad(objective, [ops.convert_to_tensor(clips.astype("float32"))])
    gradient = numpy(gradient).astype("float64")
    orders = orders_of(clips)
    directions = [
        gradient / np.linalg.norm(gradient),
        rng.normal(size=clips.shape) / clips.size**0.5,
    ]
    for direction in directions:
        values = [
            sum(
                np.sum(w * part)
                for i, clip in enumerate(clips + step * direction)
                for w, part in zip(weights[:, i], reference(clip, 0.3, orders[i]))
            )
            for step in (1e-5, -1e-5)
        ]
        difference = (values[0] - values[1]) / 2e-5
        error = abs(np.sum(gradient * direction) - difference)
        assert error < 2e-3 * (1 if TIGHT == 1 else 10) * np.linalg.norm(gradient)


@pytest.mark.parametrize("frames", ["equal", "zero"])
def test_still_clips_have_finite_parts_and_gradients(frames):
    clips = np.broadcast_to(np.random.default_rng(0).normal(size=(3, 1, 6)), (3, 5, 6))
    clips = clips * (frames == "equal")
    split = ReferenceCodeSplit()
    value, parts, (gradient,) = value_and_grad(
        lambda x: (sum(ops.sum(ops.square(p)) for p in split(x[0])), split(x[0])),
        [ops.convert_to_tensor(clips.astype("float32"))],
    )
    assert np.isfinite(float(value)) and np.isfinite(numpy(gradient)).all()
    np.testing.assert_allclose(numpy(parts[0]), clips[:, 0], atol=1e-4)


def test_a_framework_trains_with_it_and_comes_back(tmp_path):
    encoder = bod_keras.encoders.FrameCNN((4, 8, 8, 3), widths=(4, 6))
    model = bod_keras.VSimCLR(
        encoder, "reference-code", projection_head=bod_keras.ProjectionHead(8, 6)
    )
    assert isinstance(model.split, ReferenceCodeSplit)
    model.compile("sgd")
    views = np.random.default_rng(0).random((4, 2, 4, 8, 8, 3), "float32")
    history = model.fit(views, batch_size=4, verbose=0).history
    assert np.isfinite([values[-1] for values in history.values()]).all()
    parts = model.embed(views[:, 0])
    model.save(tmp_path / "model.keras")
    again = bod_keras.load(tmp_path / "model.keras")
    assert again.decoupling == model.decoupling
    for name, value in again.embed(views[:, 0]).items():
        np.testing.assert_allclose(value, parts[name], atol=1e-6)


@pytest.mark.parametrize(("share", "counts"), [(0.7e-4, False), (1.5e-4, True)])
def test_singular_values_count_from_a_ten_thousandth_of_the_largest_on(share, counts):
    """Frames that sway by `share`: the singular values of the past are 2 and twice the share."""
    clip = np.zeros((5, 3))
    clip[:, 0], clip[:, 1] = 1.0, share * np.array([1, -1, 1, -1, 1])
    matrix = numpy(
        reference_code.fitted_operator(ops.convert_to_tensor(clip[None].astype("float32")))
    )[0]
    np.testing.assert_allclose(matrix, np.diag([1.0, -1.0 * counts, 0.0]), atol=1e-2)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="there the largest come first")
@pytest.mark.parametrize(("size", "is_null"), [(0.7e-5, True), (1.5e-5, False)])
def test_the_null_space_begins_at_a_hundred_thousandth_of_the_largest(size, is_null):
    values = ops.convert_to_tensor(np.array([[size, -0.5, 1.0]], "complex64"))
    vectors = ops.convert_to_tensor(np.eye(3, dtype="complex64")[None])
    found, columns = map(numpy, reference_code.ordered_eigenpairs(values, vectors))
    order = [1, 2, 0] if is_null else [0, 1, 2]
    np.testing.assert_allclose(found[0], np.array([size, -0.5, 1.0])[order])
    np.testing.assert_array_equal(columns[0], np.eye(3)[:, order])


def test_its_statistics_split_hard():
    assert ReferenceCodeSplit().projector_gradient is True
    assert ReferenceCodeSplit().get_config()["threshold"] == 0.1
