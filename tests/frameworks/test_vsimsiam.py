"""`VSimSiam`: its stop-gradient."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.tiny_models import (
    gradients_of,
    in_training,
    make_clips,
    make_framework,
    make_views,
    numpy,
    train,
)


def regression(prediction, target):
    """Mean of 2 - 2 cos, with a gradient in both."""
    p = prediction / ops.norm(prediction, axis=-1, keepdims=True)
    z = target / ops.norm(target, axis=-1, keepdims=True)
    return ops.mean(2.0 - 2.0 * ops.sum(p * z, axis=-1))


@pytest.mark.parametrize("decoupling", [None, "simple"])
def test_a_step_is_that_with_the_predicted_view_as_a_constant(decoupling):
    model = make_framework("vsimsiam", decoupling, optimizer=keras.optimizers.SGD(0.1))
    clips = make_clips(make_views())

    def parts():
        frames = model(clips, training=True)
        if decoupling:
            static, dynamic = model.split(frames)
            return {"static": ops.split(static, 2), "dynamic": ops.split(dynamic, 2)}
        return {"base": ops.split(ops.mean(frames, axis=1), 2)}

    constants = in_training(model, parts)

    def loss_onto(targets):
        total = 0.0
        for part, views in parts().items():
            onto = views if targets is None else targets[part]
            predicted = [model.predictors[part](view, training=True) for view in views]
            total += 0.5 * (regression(predicted[0], onto[1]) + regression(predicted[1], onto[0]))
        return total

    stopped = gradients_of(model, lambda: loss_onto(constants))
    unstopped = gradients_of(model, lambda: loss_onto(None))
    before = [numpy(w).copy() for w in model.trainable_variables]
    train(model, make_views())
    farthest = 0.0
    for weight, old, gradient, other in zip(
        model.trainable_variables, before, stopped, unstopped, strict=True
    ):
        step = (old - numpy(weight)) / 0.1
        np.testing.assert_allclose(step, gradient, atol=2e-5, err_msg=weight.path)
        farthest = max(farthest, np.abs(step - other).max())
    assert farthest > 1e-2
