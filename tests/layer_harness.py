"""One harness for every layer: what any Keras layer must be able to do, whatever it computes."""

import inspect
import json

import keras
import numpy as np

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


def check_layer(
    make_layer,
    *input_shapes,
    tmp_path,
    arguments=None,
    output_dtype=None,
    policies=POLICIES,
    batch=3,
):
    """Check build, symbolic and eager call, a training step, policies, config and file round trips.

    Args:
        make_layer: function without arguments that makes the layer (or the Functional model).
        input_shapes: shape of each input, without the batch.
        tmp_path: a folder for the saved file.
        arguments: the constructor arguments that `make_layer` passes; the config must hold exactly
            these values. None for a model that a function builds.
        output_dtype: of the outputs under every policy; None for the policy's compute dtype.
        policies: dtype policies to try; the round trips are those of float32.
        batch: rows of the inputs, and of the outputs.
    """
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-1, 1, (batch, *shape)).astype("float32") for shape in input_shapes]
    for policy in policies:
        keras.config.set_dtype_policy(policy)
        layer = make_layer()
        config = _as_json(layer)
        expected = output_dtype or layer.compute_dtype
        inputs = [keras.Input(shape) for shape in input_shapes]
        symbolic = _flat(layer(*inputs))
        eager = _flat(layer(*arrays))
        assert layer.built
        for spec, value in zip(symbolic, eager, strict=True):
            assert keras.backend.standardize_dtype(spec.dtype) == expected
            assert keras.backend.standardize_dtype(value.dtype) == expected
            assert len(spec.shape) == len(value.shape)
            assert all(s in (None, v) for s, v in zip(spec.shape, value.shape))
            assert np.all(np.isfinite(_numpy(value)))
        # Inside a Functional model; the Dense layers give every layer, also one without weights, a gradient.
        outputs = [
            keras.layers.Dense(2, dtype="float32")(keras.layers.Flatten()(y)) for y in symbolic
        ]
        model = keras.Model(inputs, outputs)
        # Compiled under the first policy only: tracing is what takes the time.
        eager_step = policy != policies[0]
        model.compile(
            keras.optimizers.SGD(1e-2), loss=["mse"] * len(outputs), run_eagerly=eager_step
        )
        targets = [np.ones((batch, 2), "float32")] * len(outputs)
        history = model.fit(_one(arrays), _one(targets), batch_size=batch, epochs=1, verbose=0)
        assert np.all(np.isfinite(history.history["loss"]))
        assert _as_json(layer) == config, "using a layer must not change its config"
        if policy == "float32":
            _check_config(layer, arguments)
            _check_file(keras.Model(inputs, symbolic), arrays, tmp_path / "layer.keras")


def _check_config(layer, arguments):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert _as_json(copy) == _as_json(layer)
    if arguments is not None:
        config = layer.get_config()
        assert {name: config[name] for name in arguments} == arguments
        parameters = inspect.signature(type(layer).__init__).parameters.values()
        own = {p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD} - {"self"}
        assert own <= set(config)
        # What is chosen by a name is an object in the config.
        plain = {name for name in own - set(arguments) if not isinstance(config[name], dict)}
        defaults = {p.name: p.default for p in parameters if p.name in plain}
        assert {name: config[name] for name in defaults} == defaults


def _check_file(model, arrays, path):
    before = [_numpy(y) for y in _flat(model(_one(arrays)))]
    model.save(path)
    loaded = keras.models.load_model(path)
    after = [_numpy(y) for y in _flat(loaded(_one(arrays)))]
    for x, y in zip(before, after, strict=True):
        np.testing.assert_array_equal(x, y)


def _as_json(layer):
    return json.dumps(keras.saving.serialize_keras_object(layer)["config"], sort_keys=True)


def _numpy(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def _flat(outputs):
    return keras.tree.flatten(outputs)


def _one(items):
    return items if len(items) > 1 else items[0]
