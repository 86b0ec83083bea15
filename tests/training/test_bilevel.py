"""`bilevel_gradient` against closed forms, brute force and itself: three hypergradients, one rule."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend.autodiff import value_and_grad
from bod_keras.training.bilevel import BiLevel, bilevel_gradient

HYPERGRADIENTS = ("first_order", "finite_difference", "exact")


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


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

    def closed_form(self, settings, velocity=0.0):
        """U(w_n), w_n, v_n, h and the cotangent of x."""
        w, x, v = self.w, self.x, np.full_like(self.w, velocity)
        dw_dw, dw_dx = np.eye(len(w)), np.zeros_like(self.c)
        dv_dw, dv_dx = np.zeros_like(dw_dw), np.zeros_like(dw_dx)
        for rate in settings.rates():
            rate, momentum = float(rate), settings.inner_momentum
            v = momentum * v - rate * (self.q @ w - self.b + self.c @ x)
            dv_dw = momentum * dv_dw - rate * self.q @ dw_dw
            dv_dx = momentum * dv_dx - rate * (self.q @ dw_dx + self.c)
            w, dw_dw, dw_dx = w + v, dw_dw + dv_dw, dw_dx + dv_dx
        away = w - self.t
        value = (away.T @ self.s @ away / 2 + x.T @ self.e @ w + x.T @ x / 2).item()
        g, g_x = self.s @ away + self.e.T @ x, self.e @ w + x
        if settings.hypergradient == "first_order":
            return value, w, v, g, g_x
        # The lower level is quadratic, so that the finite difference has no error.
        return value, w, v, dw_dw.T @ g, g_x + dw_dx.T @ g

    def solve(self, settings, **arguments):
        return bilevel_gradient(
            self.upper, self.lower, self.weights, self.inputs, settings, **arguments
        )


SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.2, decay_steps=1, decay_rate=0.5)


@pytest.mark.parametrize("hypergradient", HYPERGRADIENTS)
@pytest.mark.parametrize(
    ("steps", "rate", "momentum"),
    [(0, 0.2, 0.0), (1, 0.2, 0.0), (1, 0.2, 0.6), (3, 0.2, 0.0), (3, 0.2, 0.6), (2, SCHEDULE, 0.6)],
    ids=lambda x: x if isinstance(x, (int, float)) else "schedule",
)
def test_a_quadratic_problem_has_a_closed_form(steps, rate, momentum, hypergradient):
    problem = Quadratic()
    settings = BiLevel(steps, rate, hypergradient=hypergradient, inner_momentum=momentum)
    velocities = [ops.full(w.shape, 0.3) for w in problem.weights]
    update = problem.solve(settings, velocities=velocities)
    truth = problem.closed_form(settings, velocity=0.3)
    assert float(update.value) == pytest.approx(truth[0], rel=1e-5)
    assert float(update.auxiliary["norm"]) == pytest.approx(np.sum(truth[1] ** 2), rel=1e-5)
    # A float32 difference over a step of 0.01 keeps four digits.
    tolerance = 1e-2 if hypergradient == "finite_difference" else 1e-4
    for computed, expected, atol in (
        (update.weights, truth[1], 1e-5),
        (update.velocities, truth[2], 1e-5),
        (update.gradients, truth[3], tolerance),
        (update.cotangents, truth[4], tolerance),
    ):
        np.testing.assert_allclose(flat(computed), expected.ravel(), rtol=1e-5, atol=atol)
    assert [t.shape for t in update.gradients] == [t.shape for t in problem.weights]


@pytest.mark.parametrize("hypergradient", HYPERGRADIENTS)
def test_the_loss_scale_multiplies_the_gradients_only(hypergradient):
    problem = Quadratic()
    settings = BiLevel(2, 0.2, hypergradient=hypergradient, inner_momentum=0.5)
    one, scaled = problem.solve(settings), problem.solve(settings, scale=1024.0)
    for name in ("value", "weights", "velocities"):
        for x, y in zip(
            keras.tree.flatten(getattr(one, name)), keras.tree.flatten(getattr(scaled, name))
        ):
            np.testing.assert_allclose(numpy(x), numpy(y), rtol=1e-6, atol=1e-6)
    for name in ("gradients", "cotangents"):
        difference = flat(getattr(scaled, name)) / 1024 - flat(getattr(one, name))
        assert np.abs(difference).max() < 2e-3


def test_first_order_is_not_exact():
    first, exact = [
        Quadratic().closed_form(BiLevel(1, 0.2, hypergradient=h))[3] for h in HYPERGRADIENTS[::2]
    ]
    assert np.abs(first - exact).max() > 0.1


def test_no_settings_mean_the_upper_level_alone():
    problem = Quadratic()
    results = [
        bilevel_gradient(problem.upper, problem.lower, problem.weights, problem.inputs, settings)
        for settings in (None, BiLevel(0), BiLevel(0, hypergradient="exact"))
    ]
    for result in results[1:]:
        for x, y in zip(keras.tree.flatten(tuple(result)), keras.tree.flatten(tuple(results[0]))):
            np.testing.assert_array_equal(numpy(x), numpy(y))


class SmallHead:
    """The real losses on a head of two layers and frame features of two views."""

    def __init__(self, seed=0, videos=5, frames=6, channels=7, width=5):
        rng = np.random.default_rng(seed)
        self.weights = [
            tensor(0.5 * rng.normal(size=(channels, 8))),
            tensor(0.5 * rng.normal(size=(8, width))),
        ]
        self.inputs = [tensor(rng.normal(size=(2 * videos, frames, channels)))]
        self.split = bod_keras.KoopmanSplit(threshold=0.4, order=4, dynamic="flat")
        self.contrast = bod_keras.InfoNCE(0.5)
        self.prediction = bod_keras.KoopmanPrediction()

    def embed(self, weights, inputs):
        return ops.matmul(ops.tanh(ops.matmul(inputs[0], weights[0])), weights[1])

    def upper(self, weights, inputs):
        parts = self.split(self.embed(weights, inputs))
        return sum(self.contrast(*ops.split(part, 2, axis=0)) for part in parts), {}

    def lower(self, weights, inputs):
        return self.prediction(*ops.split(self.embed(weights, inputs), 2, axis=0))


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize(
    ("steps", "rate", "momentum"),
    [(1, 0.03, 0.0), (1, 1.0, 0.0), (1, 1.0, 0.9), (3, 1.0, 0.0), (3, 1.0, 0.9)],
)
def test_finite_difference_agrees_with_exact_on_a_small_head(steps, rate, momentum):
    """At any rate and over any number of steps: every Hessian is taken where its step began."""
    head = SmallHead()
    velocities = [
        tensor(0.05 * np.random.default_rng(1).normal(size=w.shape)) for w in head.weights
    ]
    results = {}
    for hypergradient in HYPERGRADIENTS:
        settings = BiLevel(steps, rate, hypergradient=hypergradient, inner_momentum=momentum)
        update = bilevel_gradient(
            head.upper, head.lower, head.weights, head.inputs, settings, velocities
        )
        results[hypergradient] = flat(update.gradients), flat(update.cotangents)
    for first, difference, exact in zip(*[results[name] for name in HYPERGRADIENTS]):
        assert cosine(difference, exact) > 0.999
        # What the difference adds points the right way too, and is not nothing.
        assert np.linalg.norm(exact - first) > 0.02 * np.linalg.norm(exact)
        assert cosine(difference - first, exact - first) > 0.999


def test_the_lower_level_descends():
    head = SmallHead()
    settings = BiLevel(5, inner_learning_rate=0.5, hypergradient="first_order")
    moved = bilevel_gradient(head.upper, head.lower, head.weights, head.inputs, settings).weights
    before, after = [float(head.lower(w, head.inputs)) for w in (head.weights, moved)]
    assert after < 0.98 * before


@pytest.mark.parametrize("hypergradient", HYPERGRADIENTS)
def test_a_lower_step_that_is_not_finite_is_left_out(hypergradient):
    """The optimizer skips its own overflows under loss scaling; nothing else would protect these weights."""
    weights = [tensor([0.0, 4.0]), tensor([1.0])]

    def lower(w, inputs):
        return ops.sum(ops.sqrt(w[0])) + ops.sum(w[1] ** 2)  # an infinite slope at 0

    def upper(w, inputs):
        return ops.sum(w[0]) + 3 * ops.sum(w[1]), ()

    settings = BiLevel(1, 0.1, hypergradient=hypergradient)
    moved = bilevel_gradient(upper, lower, weights, [], settings).weights
    np.testing.assert_array_equal(flat(moved), flat(weights))


def test_exact_is_the_total_derivative_by_finite_differences():
    """Of U(w_2(w, x), x), re-running the lower level for every evaluation."""
    problem = Quadratic()
    settings = BiLevel(2, inner_learning_rate=0.2, hypergradient="exact")
    update = problem.solve(settings)
    rng = np.random.default_rng(1)
    dw, dx = rng.normal(size=problem.w.shape), rng.normal(size=problem.x.shape)
    values = []
    w, x = problem.w, problem.x
    for step in (1e-4, -1e-4):
        problem.w, problem.x = w + step * dw, x + step * dx
        values.append(problem.closed_form(settings)[0])
    slope = flat(update.gradients) @ dw.ravel() + flat(update.cotangents) @ dx.ravel()
    assert slope == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-4)


def test_value_and_grad_gives_zeros_for_unused_inputs():
    x, unused = tensor([1.0, 2.0]), tensor([3.0])
    value, auxiliary, gradients = value_and_grad(lambda v: (ops.sum(v[0] ** 2), 7), [x, unused])
    assert (float(value), auxiliary) == (5.0, 7)
    np.testing.assert_array_equal(numpy(gradients[0]), [2.0, 4.0])
    np.testing.assert_array_equal(numpy(gradients[1]), [0.0])


def test_settings_survive_serialisation():
    settings = BiLevel(2, 0.5, "all", "first_order", "held_out", 0.9)
    serialised = keras.saving.serialize_keras_object(settings)
    assert keras.saving.deserialize_keras_object(serialised) == settings
    scheduled = keras.saving.serialize_keras_object(BiLevel(3, SCHEDULE))
    rates = keras.saving.deserialize_keras_object(scheduled).rates(count=2)
    assert [float(rate) for rate in rates] == pytest.approx([0.05, 0.025, 0.0125])
    assert settings.get_config() == {
        "inner_steps": 2,
        "inner_learning_rate": 0.5,
        "scope": "all",
        "hypergradient": "first_order",
        "prediction": "held_out",
        "inner_momentum": 0.9,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_steps": -1}, "inner_steps must not be negative. Received: -1"),
        ({"inner_learning_rate": 0.0}, "or a LearningRateSchedule. Received: 0.0"),
        ({"inner_momentum": 1.0}, "inner_momentum must lie in [0, 1). Received: 1.0"),
        ({"scope": "tail"}, "scope must be one of 'head', 'all'. Received: 'tail'"),
        (
            {"hypergradient": "second"},
            "hypergradient must be one of 'first_order', 'finite_difference', 'exact'. "
            "Received: 'second'",
        ),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(ValueError) as error:
        BiLevel(**arguments)
    assert message in str(error.value)


def test_batch_normalisation_can_be_differentiated_twice():
    """Against the closed form: the variance v of x has d2v / dx_i dx_j = 2/n (delta_ij - 1/n)."""
    norm = bod_keras.training.BatchNorm(momentum=0.0, epsilon=0.0)
    norm.build((None, 1))

    def slope_of_first(values):
        _, _, (slopes,) = value_and_grad(
            lambda v: (ops.sum(norm._moments(v[0], None)[1]), ()), values, create_graph=True
        )
        return slopes[0, 0], ()

    _, _, (second,) = value_and_grad(slope_of_first, [tensor([[0.0], [1.0], [3.0]])])
    np.testing.assert_allclose(numpy(second)[:, 0], [4 / 9, -2 / 9, -2 / 9], rtol=1e-5)
