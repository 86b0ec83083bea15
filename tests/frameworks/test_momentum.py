"""`MomentumModel` by v-MoCo and v-BYOL: averages, statistics, gradients, files, waiting for a queue."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras.backend import autodiff
from bod_keras.frameworks import FRAMEWORKS
from tests.tiny_models import (
    assert_same_state,
    gradients_of,
    in_training,
    make_clips,
    make_framework,
    make_views,
    numpy,
    simple,
    train,
)

MOMENTUM_MODELS = pytest.mark.parametrize("name", ["vmoco", "vbyol"])


def networks_of(model):
    """Each trained network and its copy."""
    pairs = [
        (model.encoder, model.momentum_encoder),
        (model.projection_head, model.momentum_head),
    ]
    if model.split is not None:
        pairs.append((model.split, model.momentum_split))
    return pairs


def parameters_of(model):
    """Arrays of each trained parameter that is averaged, and of its copy, paired by name."""
    online, averages = [], []
    for network, copy in networks_of(model):
        assert [w.path.split("/")[1:] for w in network.weights] == [
            w.path.split("/")[1:] for w in copy.weights
        ]
        for weight, average in zip(network.weights, copy.weights):
            if not weight.trainable:
                continue
            online.append(numpy(weight).copy())
            averages.append(numpy(average).copy())
    return online, averages


def momentum_truth(step, momentum, steps):
    if steps is None:
        return momentum
    return 1 - (1 - momentum) * (1 + np.cos(np.pi * min(step, steps) / steps)) / 2


@pytest.mark.parametrize(("name", "steps"), [("vmoco", None), ("vbyol", 3)])
def test_the_copies_are_the_closed_form_average_also_after_a_file(name, steps, tmp_path):
    """Five steps, saved after the second; a schedule of 3 steps ends before that."""
    model = make_framework(name, momentum=0.6, momentum_steps=steps)
    assert float(model.momentum_at(0)) == pytest.approx(0.6)
    start, averages = parameters_of(model)
    for x, y in zip(start, averages, strict=True):
        np.testing.assert_array_equal(x, y)
    recorded = []
    for step in range(5):
        if step == 2:
            model.save(tmp_path / "model.keras")
            resumed = keras.models.load_model(tmp_path / "model.keras")
            train(model, make_views(seed=step))
            train(resumed, make_views(seed=step))
            assert_same_state(model, resumed)
            model = resumed
        else:
            train(model, make_views(seed=step))
        recorded.append(parameters_of(model)[0])

    momenta = [momentum_truth(k, 0.6, steps) for k in range(5)]
    assert (momenta[-1] == 1.0) == (steps == 3)
    online, averages = parameters_of(model)
    farthest = 0.0
    for i, average in enumerate(averages):
        truth = np.prod(momenta) * start[i].astype(np.float64)
        for k in range(5):
            truth += (1 - momenta[k]) * np.prod(momenta[k + 1 :]) * recorded[k][i]
        np.testing.assert_allclose(average, truth, atol=2e-6)
        farthest = max(farthest, np.abs(average - online[i]).max())
    assert farthest > 1e-2  # so the average is another thing than the weights


@MOMENTUM_MODELS
def test_batch_statistics_are_those_of_the_copies_own_batches(name):
    model = make_framework(name, momentum=0.5)
    norm = model.momentum_encoder.get_layer("stage1_norm")
    before_norm = keras.Model(model.momentum_encoder.input, norm.input)
    head_norm = model.momentum_head.norm[0]
    truths = [(np.zeros(4), np.ones(4)), (np.zeros(24), np.ones(24))]
    for step in range(3):
        clips = make_clips(make_views(seed=step))

        def inputs(clips=clips):
            features = model.momentum_encoder(clips, training=True)
            return before_norm(clips, training=True), model.momentum_head.expand[0](features)

        # By the copies as the last step left them.
        for i, x in enumerate(in_training(model, inputs)):
            rows = x.reshape(-1, x.shape[-1]).astype(np.float64)
            mean, variance = truths[i]
            truths[i] = (0.9 * mean + 0.1 * rows.mean(0), 0.9 * variance + 0.1 * rows.var(0))
        train(model, make_views(seed=step))
    for layer, (mean, variance) in zip((norm, head_norm), truths):
        np.testing.assert_allclose(numpy(layer.moving_mean), mean, atol=1e-5)
        np.testing.assert_allclose(numpy(layer.moving_variance), variance, atol=1e-5)
    online = model.encoder.get_layer("stage1_norm"), model.projection_head.norm[0]
    for layer, copy in zip(online, (norm, head_norm)):  # neither theirs nor an average of theirs
        assert np.abs(numpy(layer.moving_variance) - numpy(copy.moving_variance)).max() > 1e-4


@MOMENTUM_MODELS
def test_the_copies_are_not_trained(name):
    model = make_framework(name, optimizer=keras.optimizers.Adam(1e-2))
    trained = {id(w) for w in model.trainable_variables}
    copies = [w for _, copy in networks_of(model) for w in copy.weights]
    assert len(copies) == len({id(w) for w in copies})
    assert not trained & {id(w) for w in copies}
    assert not {id(w) for w, _ in networks_of(model) for w in w.weights} & {id(w) for w in copies}
    # Adam: two moments a trained weight, and its counters.
    shapes = sorted(tuple(w.shape) for w in model.trainable_variables)
    moments = sorted(tuple(v.shape) for v in model.optimizer.variables if v.shape)
    assert [shape for shape in moments if shape] == sorted(shapes + shapes)


@pytest.mark.parametrize("decoupling", [None, "simple"])
@MOMENTUM_MODELS
def test_a_step_is_that_with_targets_as_constants(name, decoupling):
    model = make_framework(name, decoupling, optimizer=keras.optimizers.SGD(0.1), momentum=0.5)
    train(model, make_views())  # fills v-MoCo's queue, and moves the copies away
    clips = make_clips(make_views(seed=1))
    targets = in_training(model, lambda: model.targets(clips, 2, training=True))

    def loss():
        features = model.encoder(clips, training=True)
        return model.upper_loss(features, targets, 2, training=True)[0]

    gradients = gradients_of(model, loss)
    before = [numpy(w).copy() for w in model.trainable_variables]
    train(model, make_views(seed=1))
    for weight, old, gradient in zip(model.trainable_variables, before, gradients, strict=True):
        step = (old - numpy(weight)) / 0.1
        np.testing.assert_allclose(step, gradient, atol=2e-5, err_msg=weight.path)
    assert max(np.abs(g).max() for g in gradients) > 1e-2


@MOMENTUM_MODELS
def test_the_loss_has_no_gradient_in_the_targets(name):
    """Even if the step differentiated them."""
    model = make_framework(name, decoupling=None)
    train(model, make_views())
    rng = np.random.default_rng(0)
    views, targets = rng.normal(size=(2, 2, 4, 6)).astype("float32")

    def loss(values):
        views, targets = ops.unstack(values[0]), ops.unstack(values[1])
        return model.part_loss("base", views, targets, training=False), ()

    values = [ops.convert_to_tensor(x) for x in (views, targets)]
    _, _, (of_views, of_targets) = autodiff.value_and_grad(loss, values)
    np.testing.assert_array_equal(numpy(of_targets), 0.0)
    assert np.abs(numpy(of_views)).max() > 1e-3


@MOMENTUM_MODELS
def test_the_copies_start_from_a_pre_trained_encoder(name):
    encoder = make_framework("vsimclr", seed=7).encoder
    for weight in encoder.weights:  # also its statistics
        weight.assign(weight + 0.25)
    head = bod_keras.ProjectionHead(8, 6)
    model = FRAMEWORKS[name](encoder, simple(), projection_head=head)
    for network, copy in networks_of(model):
        for weight, own in zip(network.weights, copy.weights, strict=True):
            assert own is not weight
            np.testing.assert_array_equal(numpy(own), numpy(weight))
    mean = model.momentum_encoder.get_layer("stage1_norm").moving_mean
    np.testing.assert_array_equal(numpy(mean), 0.25)


def optimizer_of(kind):
    if kind == "sgd":
        return keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01)
    return keras.optimizers.AdamW(1e-2, weight_decay=0.01)


@pytest.mark.parametrize(("kind", "waits"), [("sgd", True), ("adamw", True), ("sgd", False)])
def test_nothing_is_trained_until_the_queue_is_full(kind, waits):
    """Eight keys a step into 20 places: the fourth step is the first to find it full."""
    bilevel = bod_keras.BiLevel(inner_learning_rate=0.1)
    model = make_framework(
        "vmoco",
        decoupling=simple(bilevel=bilevel) if kind == "adamw" else None,
        optimizer=optimizer_of(kind),
        queue_size=20,
        wait_for_queue=waits,
    )
    watched = model.trainable_variables + model.optimizer.variables

    def values():
        return [numpy(v).copy() for v in watched]

    start = values()
    statistics = numpy(model.encoder.get_layer("stage1_norm").moving_mean).copy()
    for step in range(3):
        train(model, make_views(seed=step))
        same = [np.array_equal(x, y) for x, y in zip(start, values())]
        assert all(same) == waits, step
    assert all(int(queue.filled) == 20 for queue in model.queues.values())
    assert int(model.steps_taken) == 3
    assert int(model.optimizer.iterations) == (0 if waits else 3)
    moved = numpy(model.encoder.get_layer("stage1_norm").moving_mean)
    assert np.abs(moved - statistics).max() > 1e-3  # it did run
    if waits:
        for online, average in zip(*parameters_of(model)):
            np.testing.assert_allclose(average, online, atol=1e-6)
    train(model, make_views(seed=3))
    assert int(model.optimizer.iterations) == (1 if waits else 4)
    moved = {v.path: np.abs(numpy(v) - old).max() > 0 for v, old in zip(watched, start)}
    # A bias in front of a batch normalization has no gradient, a rate is constant.
    idle = [path for path, has in moved.items() if not has]
    assert all("bias" in path or "learning_rate" in path for path in idle), idle
    assert len(idle) < 6


def test_a_model_that_waited_takes_the_same_first_step_as_one_that_did_not():
    """With the same queue, statistics and copies: waiting leaves nothing behind."""
    waited = make_framework("vmoco", optimizer=optimizer_of("adamw"), wait_for_queue=True)
    for step in range(3):
        train(waited, make_views(seed=step))
    fresh = make_framework("vmoco", optimizer=optimizer_of("adamw"), wait_for_queue=False)
    for own, other in zip(fresh.weights, waited.weights, strict=True):
        own.assign(other.value)
    for model in (waited, fresh):
        train(model, make_views(seed=3))
    assert int(fresh.optimizer.iterations) == 1
    assert_same_state(waited, fresh)


@keras.saving.register_keras_serializable("tests")
class Scaled(bod_keras.OperatorReadOut):
    """A read-out with a weight of its own."""

    def build(self, input_shape):
        super().build(input_shape)
        self.factor = self.add_weight(name="factor", shape=(), initializer="ones")

    def call(self, operator):
        return self.factor * super().call(operator) + self.factor


def test_weights_of_a_read_out_are_averaged_too():
    model = make_framework("vbyol", simple(read_out=Scaled(3)), momentum=0.5, momentum_steps=None)
    train(model, make_views())
    trained = float(numpy(model.split.read_out.factor))
    assert trained != 1.0
    average = float(numpy(model.momentum_split.read_out.factor))
    assert average == pytest.approx(0.5 + 0.5 * trained)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.1}, "momentum must lie in \\[0, 1\\]. Received: 1.1"),
        ({"momentum": -0.1}, "momentum must lie in \\[0, 1\\]. Received: -0.1"),
        ({"momentum_steps": 0}, "momentum_steps must be at least 1. Received: 0"),
    ],
)
def test_wrong_settings_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_framework("vbyol", **arguments)
