"""`bilevel_gradient` against a closed form, and against the derivative through the lower level."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend.autodiff import value_and_grad
from bod_keras.data import ClipDataset, array_records
from bod_keras.training.bilevel import BiLevel, bilevel_gradient
from tests.tiny_models import SIZE, make_model, make_views, numpy
from tests.unrolled import hypergradient


def tensor(array):
    return ops.convert_to_tensor(np.asarray(array, "float32"))


def column(tensors):
    return ops.concatenate([ops.reshape(t, (-1, 1)) for t in tensors], axis=0)


def flat(tensors):
    return np.concatenate([numpy(t).ravel() for t in tensors]).astype("float64")


class Quadratic:
    """J = w'Qw/2 - b'w + w'Cx and U = (w - t)'S(w - t)/2 + x'Ew + x'x/2, with w in two parts."""

    def __init__(self, size=5, inputs=3, seed=0):
        rng = np.random.default_rng(seed)
        self.q, self.s = [m @ m.T / size + np.eye(size) for m in rng.normal(size=(2, size, size))]
        self.c, self.e = rng.normal(size=(size, inputs)), rng.normal(size=(inputs, size))
        self.b, self.t, self.w = rng.normal(size=(3, size, 1))
        self.x = rng.normal(size=(inputs, 1))
        # A vector and a matrix: the weights are a list of tensors of any shape.
        self.weights = [tensor(self.w[:1, 0]), tensor(self.w[1:].reshape(2, 2))]
        self.inputs = [tensor(self.x)]

    def upper(self, weights, inputs):
        w, (x,) = column(weights), inputs
        away = w - tensor(self.t)
        value = ops.sum(away * ops.matmul(tensor(self.s), away)) / 2
        value = value + ops.sum(x * ops.matmul(tensor(self.e), w)) + ops.sum(x * x) / 2
        return value, {"norm": ops.sum(w * w)}

    def lower(self, weights, inputs):
        w, (x,) = column(weights), inputs
        bend = ops.sum(w * ops.matmul(tensor(self.q), w)) / 2
        return bend - ops.sum(tensor(self.b) * w) + ops.sum(w * ops.matmul(tensor(self.c), x))

    def closed_form(self, settings):
        """U(w_n), w_n, h and the cotangent of x. J is quadratic: its finite difference has no error."""
        w, x = self.w, self.x
        dw_dw, dw_dx = np.eye(len(w)), np.zeros_like(self.c)
        for _ in range(settings.inner_steps if settings else 0):
            rate = settings.inner_learning_rate
            w = w - rate * (self.q @ w - self.b + self.c @ x)
            dw_dw = dw_dw - rate * self.q @ dw_dw
            dw_dx = dw_dx - rate * (self.q @ dw_dx + self.c)
        away = w - self.t
        value = (away.T @ self.s @ away / 2 + x.T @ self.e @ w + x.T @ x / 2).item()
        g, g_x = self.s @ away + self.e.T @ x, self.e @ w + x
        return value, w, dw_dw.T @ g, g_x + dw_dx.T @ g

    def solve(self, settings, **arguments):
        return bilevel_gradient(
            self.upper, self.lower, self.weights, self.inputs, settings, **arguments
        )


@pytest.mark.parametrize("settings", [None, BiLevel(1, 0.2), BiLevel(2, 0.2), BiLevel(3, 0.2)])
def test_a_quadratic_problem_has_a_closed_form(settings):
    problem = Quadratic()
    update = problem.solve(settings)
    value, weights, gradients, cotangents = problem.closed_form(settings)
    assert float(update.value) == pytest.approx(value, rel=1e-5)
    assert float(update.auxiliary["norm"]) == pytest.approx(np.sum(weights**2), rel=1e-5)
    # A float32 difference over a step of 0.01 keeps four digits.
    for computed, expected, atol in (
        (update.weights, weights, 1e-5),
        (update.gradients, gradients, 1e-2),
        (update.cotangents, cotangents, 1e-2),
    ):
        np.testing.assert_allclose(flat(computed), expected.ravel(), rtol=1e-5, atol=atol)
    assert [t.shape for t in update.gradients] == [t.shape for t in problem.weights]


def test_the_loss_scale_multiplies_the_gradients_only():
    problem, settings = Quadratic(), BiLevel(2, 0.2)
    one, scaled = problem.solve(settings), problem.solve(settings, scale=1024.0)
    assert float(one.value) == pytest.approx(float(scaled.value), rel=1e-6)
    np.testing.assert_allclose(flat(one.weights), flat(scaled.weights), rtol=1e-6, atol=1e-6)
    for name in ("gradients", "cotangents"):
        difference = flat(getattr(scaled, name)) / 1024 - flat(getattr(one, name))
        assert np.abs(difference).max() < 2e-3


class SmallHead:
    """The real losses on a head of two layers and frame features of two views."""

    def __init__(self, seed=0, videos=5, frames=6, channels=7, width=5):
        rng = np.random.default_rng(seed)
        self.weights = [
            tensor(0.5 * rng.normal(size=(channels, 8))),
            tensor(0.5 * rng.normal(size=(8, width))),
        ]
        self.inputs = [tensor(rng.normal(size=(2 * videos, frames, channels)))]
        self.split = bod_keras.KoopmanSplit(threshold=0.4)
        self.contrast = bod_keras.InfoNCE(0.5)
        self.prediction = bod_keras.KoopmanPrediction()

    def embed(self, weights, inputs):
        return ops.matmul(ops.tanh(ops.matmul(inputs[0], weights[0])), weights[1])

    def upper(self, weights, inputs):
        parts = self.split(self.embed(weights, inputs))
        return sum(self.contrast(*ops.split(part, 2, axis=0)) for part in parts)

    def lower(self, weights, inputs):
        return self.prediction(*ops.split(self.embed(weights, inputs), 2, axis=0))

    def solve(self, settings):
        def upper(weights, inputs):
            return self.upper(weights, inputs), ()

        return bilevel_gradient(upper, self.lower, self.weights, self.inputs, settings)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize(("steps", "rate"), [(1, 0.03), (1, 1.0), (2, 1.0)])
def test_the_finite_difference_agrees_with_the_derivative_through_the_lower_level(steps, rate):
    """At any rate and over several steps: every Hessian is taken where its step began. Also of the features."""
    head = SmallHead()
    update = head.solve(BiLevel(steps, rate))
    moved, first, exact = hypergradient(
        head.upper, head.lower, head.weights, head.inputs, steps, rate
    )
    np.testing.assert_allclose(flat(update.weights), flat(moved), atol=1e-6)
    for found, part in ((update.gradients, slice(2)), (update.cotangents, slice(2, None))):
        found, slope, truth = flat(found), flat(first[part]), flat(exact[part])
        assert cosine(found, truth) > 0.999
        # What the difference adds points the right way too, and is not nothing.
        assert np.linalg.norm(truth - slope) > 0.01 * np.linalg.norm(truth)
        assert cosine(found - slope, truth - slope) > 0.999


def test_the_lower_level_descends():
    head = SmallHead()
    moved = head.solve(BiLevel(5, 0.5)).weights
    before, after = [float(head.lower(w, head.inputs)) for w in (head.weights, moved)]
    assert after < 0.98 * before


def test_a_lower_step_that_is_not_finite_is_left_out():
    """The optimizer skips its own overflows under loss scaling; nothing else would protect these weights."""
    weights = [tensor([0.0, 4.0]), tensor([1.0])]

    def lower(w, inputs):
        return ops.sum(ops.sqrt(w[0])) + ops.sum(w[1] ** 2)  # an infinite slope at 0

    def upper(w, inputs):
        return ops.sum(w[0]) + 3 * ops.sum(w[1]), ()

    moved = bilevel_gradient(upper, lower, weights, [], BiLevel(1, 0.1)).weights
    np.testing.assert_array_equal(flat(moved), flat(weights))


def test_value_and_grad_gives_zeros_for_unused_inputs():
    x, unused = tensor([1.0, 2.0]), tensor([3.0])
    value, auxiliary, gradients = value_and_grad(lambda v: (ops.sum(v[0] ** 2), 7), [x, unused])
    assert (float(value), auxiliary) == (5.0, 7)
    np.testing.assert_array_equal(numpy(gradients[0]), [2.0, 4.0])
    np.testing.assert_array_equal(numpy(gradients[1]), [0.0])


def test_settings_survive_serialization():
    settings = BiLevel(2, 0.5, "all", "in_sample")
    serialized = keras.saving.serialize_keras_object(settings)
    assert keras.saving.deserialize_keras_object(serialized) == settings
    assert settings.get_config() == {
        "inner_steps": 2,
        "inner_learning_rate": 0.5,
        "scope": "all",
        "prediction": "in_sample",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_steps": 0}, "bilevel=None leaves the lower level out. Received: 0"),
        ({"inner_learning_rate": 0.0}, "inner_learning_rate must be positive. Received: 0.0"),
        ({"scope": "al"}, "scope must be one of head, all. Received: 'al'. Did you mean all?"),
        ({"prediction": "in_samples"}, "Did you mean in_sample?"),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(bod_keras.UserError) as error:
        BiLevel(**arguments)
    assert message in str(error.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_clips_that_are_not_finite_are_refused(value):
    views = make_views()
    views[0, 0, 0, 0, 0, 0] = value
    with pytest.raises(bod_keras.UserError, match="must be finite. Received: NaN or infinity"):
        make_model(eager=True).fit(views, verbose=0)


def test_a_model_without_an_optimizer_says_so():
    model = bod_keras.VSimCLR(make_model().encoder)
    with pytest.raises(bod_keras.UserError, match="fit: the model has no optimizer yet. Compile"):
        model.fit(make_views(), verbose=0)


def test_a_fit_without_clips_or_with_labels_says_so():
    model = make_model(eager=True)
    with pytest.raises(bod_keras.UserError, match="fit: no clips. Pass views"):
        model.fit(verbose=0)
    for arguments, named in (((np.zeros(4),), {}), ((), {"y": np.zeros(4)})):
        with pytest.raises(bod_keras.UserError, match="learns without labels"):
            model.fit(make_views(), *arguments, verbose=0, **named)


def test_an_endless_stream_of_arrays_needs_to_be_told_where_to_stop():
    records = array_records(np.zeros((4, 8, SIZE, SIZE, 3), np.uint8))
    data = ClipDataset(records, frames=4, size=SIZE, batch_size=2)
    with pytest.raises(bod_keras.UserError, match="the data set is endless. Pass steps_per_epoch"):
        make_model(eager=True).fit(data.training_numpy(), verbose=0)
    assert len(list(data.training_numpy(steps=3))) == 3
