"""`RematModel`: the numbers of the plain model; segments are computed again for the gradient only."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from bod_keras.encoders import R3D18, FrameCNN, RematModel
from tests.tiny_models import gradients_of, numpy


def make_clips(size=16):
    return np.random.default_rng(0).random((2, 3, size, size, 3), "float32")


def frame_cnn():
    return FrameCNN((3, 16, 16, 3), widths=(3, 4, 5))


def with_dropout():
    """Random numbers inside a segment that is computed again."""
    cnn = frame_cnn()
    x = layers.Dense(4)(layers.Dropout(0.5, seed=1)(cnn.output))
    return keras.Model(cnn.input, layers.Dense(3)(layers.Dropout(0.5, seed=2)(x)))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("build", [frame_cnn, with_dropout])
def test_results_gradients_and_state_are_those_of_the_plain_model(build, policy):
    keras.config.set_dtype_policy(policy)
    plain = build()
    remat = RematModel(plain.inputs, plain.outputs)
    assert [w.path for w in remat.weights] == [w.path for w in plain.weights]
    clips = make_clips()
    before = [numpy(v).copy() for v in plain.variables]
    results = []
    for model in (plain, remat):
        for variable, value in zip(plain.variables, before):
            variable.assign(value)

        def loss(model=model):
            return ops.sum(ops.sin(3 * model(clips, training=True)))

        # What a step sees, with its variables replaced by tensors; then a call, which changes statistics.
        gradients = gradients_of(model, loss)
        output = numpy(model(clips, training=True))
        results.append([*gradients, output, *map(numpy, plain.variables)])
    assert min(np.abs(g).max() for g in gradients) > 0
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@keras.saving.register_keras_serializable("tests")
class Counting(layers.Layer):
    """Counts how often it is computed."""

    calls = 0

    def call(self, x):
        Counting.calls += 1
        return x + 0.0

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="a trace holds the second computation")
def test_all_but_the_last_segment_is_computed_again():
    clips = keras.Input((3, 4, 4, 3))
    x = layers.Dense(2)(Counting()(clips))
    x = layers.Dense(2)(layers.Activation("tanh")(x))
    model = RematModel(clips, Counting()(x))
    values = make_clips(4)
    Counting.calls = 0
    model(values, training=False)
    assert Counting.calls == 2
    Counting.calls = 0
    gradients_of(model, lambda: ops.sum(model(values, training=True)))
    assert Counting.calls == 3


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="reads JAX's trace")
def test_a_trace_on_jax_has_a_checkpoint_for_each_segment():
    import jax

    plain = frame_cnn()
    model = RematModel(plain.inputs, plain.outputs)
    state = [v.value for v in model.non_trainable_variables]

    def loss(weights):
        return ops.sum(model.stateless_call(weights, state, make_clips(), training=True)[0])

    trace = jax.make_jaxpr(loss)([v.value for v in model.trainable_variables])
    checkpoints = [step for step in trace.jaxpr.eqns if "prevent_cse" in step.params]
    assert len(checkpoints) == 2  # of three convolutions


def test_a_residual_network_is_cut_after_each_block(monkeypatch):
    """After its activation, so that no segment ends with a negative number."""
    ends = []

    def remat(segment):
        def run(*tensors):
            output, state = segment(*tensors)
            ends.append(numpy(output))
            return output, state

        return run

    monkeypatch.setattr(keras, "remat", remat)
    model = R3D18((3, 16, 16, 3), width=2, remat=True)
    model(np.random.default_rng(0).random((2, 3, 16, 16, 3), "float32"), training=True)
    # The stem and seven blocks; the last block with the mean is not computed again.
    assert [end.shape[-1] for end in ends] == [2, 2, 2, 4, 4, 8, 8, 16]
    assert all(end.min() >= 0 and end.max() > 0 for end in ends)


def test_it_comes_back_from_a_file(tmp_path):
    model = FrameCNN((3, 16, 16, 3), widths=(3, 4), remat=True)
    model(make_clips(), training=True)
    model.save(tmp_path / "encoder.keras")
    again = keras.models.load_model(tmp_path / "encoder.keras")
    assert isinstance(again, RematModel)
    np.testing.assert_array_equal(numpy(again(make_clips())), numpy(model(make_clips())))
    plain = keras.Model(again.inputs, again.outputs)
    np.testing.assert_array_equal(numpy(plain(make_clips())), numpy(model(make_clips())))


def test_several_inputs_are_refused():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    with pytest.raises(
        ValueError, match="RematModel needs one input. Received: .* Use keras.Model"
    ):
        RematModel(inputs, layers.Add()(inputs))


def test_remat_must_be_a_bool():
    with pytest.raises(ValueError, match="remat must be True .* or False. Received: 'yes'"):
        FrameCNN((3, 16, 16, 3), remat="yes")
