"""`VSimCLR`, plain and decoupled: its loss, logs, read-out, files, errors, and that it learns."""

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from tests import references
from tests.tiny_models import (
    FRAMES,
    SIZE,
    assert_same_weights,
    make_clips,
    make_model,
    make_moving_views,
    make_views,
    train,
    weights_of,
)

BILEVEL = bod_keras.BiLevel(inner_learning_rate=0.1)
STATISTICS = ["static_eigenvalues", "no_static", "spectral_radius"]
VARIANTS = {
    "plain": ({"decoupled": False}, ["loss"]),
    "decoupled": ({}, ["loss", "static_loss", "dynamic_loss", *STATISTICS]),
    "base": (
        {"base_weight": 0.5},
        ["loss", "static_loss", "dynamic_loss", "base_loss", *STATISTICS],
    ),
    "bilevel": (
        {"bilevel": BILEVEL, "dynamic_temperature": 0.3},
        ["loss", "static_loss", "dynamic_loss", "prediction_loss", *STATISTICS],
    ),
}
EVERY_VARIANT = pytest.mark.parametrize(
    ("arguments", "names"), list(VARIANTS.values()), ids=list(VARIANTS)
)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def assert_same_outputs(one, other, clips):
    for x, y in zip(one.read_out(clips).values(), other.read_out(clips).values()):
        np.testing.assert_array_equal(numpy(x), numpy(y))


@EVERY_VARIANT
def test_it_trains_logs_by_name_and_survives_a_file(arguments, names, tmp_path):
    model = make_model(**arguments, optimizer=keras.optimizers.Adam(1e-2))
    before = weights_of(model)
    views = make_views(batch=8)
    history = train(model, views)  # two steps of four videos
    assert sorted(history) == sorted(names)
    assert all(np.isfinite(values).all() for values in history.values())
    trainable = {id(w) for w in model.trainable_weights}
    for weight, old in zip(model.weights, before):
        if id(weight) in trainable:
            assert np.abs(numpy(weight) - old).max() > 0, f"{weight.path} did not move"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is bod_keras.VSimCLR
    assert loaded.bilevel == model.bilevel
    assert (loaded.decoupling is None) == (model.decoupling is None)
    for name in ("static_weight", "dynamic_weight", "base_weight", "temperature"):
        assert getattr(loaded, name) == getattr(model, name)
    assert loaded.dynamic_temperature == model.dynamic_temperature
    assert loaded.projection_head.get_config() == model.projection_head.get_config()
    if model.decoupling is not None:
        assert loaded.decoupling.get_config() == model.decoupling.get_config()
    assert_same_weights(model, loaded)
    optimizers = [[numpy(v) for v in m.optimizer.variables] for m in (model, loaded)]
    for x, y in zip(*optimizers, strict=True):
        np.testing.assert_array_equal(x, y)
    assert_same_outputs(model, loaded, make_clips(views))


@EVERY_VARIANT
def test_the_loss_is_the_weighted_sum_of_its_parts(arguments, names):
    weights = {} if "decoupled" in arguments else {"static_weight": 0.7, "dynamic_weight": 0.2}
    model = make_model(**arguments, **weights)
    views = make_views()
    logs = model.evaluate(views, batch_size=4, verbose=0, return_dict=True)
    z = numpy(model(make_clips(views)))
    parts = {"base": z.mean(1)}
    if model.decoupling is not None:
        parts["static"], parts["dynamic"] = [numpy(part) for part in model.decoupling(z)]
    temperatures = {"dynamic": model.dynamic_temperature or 0.5}
    losses = {
        name: references.info_nce(*np.split(part, 2), temperatures.get(name, 0.5)).mean()
        for name, part in parts.items()
    }
    if model.decoupling is None:
        assert logs["loss"] == pytest.approx(losses["base"], rel=1e-4)
        return
    for name in ("static", "dynamic"):
        assert logs[f"{name}_loss"] == pytest.approx(losses[name], rel=1e-4)
    total = 0.7 * losses["static"] + 0.2 * losses["dynamic"] + model.base_weight * losses["base"]
    assert logs["loss"] == pytest.approx(total, rel=1e-4)
    if model.bilevel is not None:
        error = references.koopman_prediction(*np.split(z, 2), "cross_clip").mean()
        assert logs["prediction_loss"] == pytest.approx(error, rel=1e-3)


def test_evaluation_changes_no_weight():
    model = make_model(bilevel=BILEVEL)
    before = weights_of(model)
    model.evaluate(make_views(), batch_size=4, verbose=0)
    for weight, old in zip(model.weights, before):
        if not weight.path.startswith("mean"):
            np.testing.assert_array_equal(numpy(weight), old, err_msg=weight.path)


def test_a_plain_model_does_not_train_the_split_that_it_is_read_with():
    plain, decoupled = make_model(decoupled=False), make_model()
    assert plain.decoupling is None
    assert plain.read_out_split.trainable_variables == []
    assert len(decoupled.decoupling.trainable_variables) == 2
    assert len(decoupled.trainable_variables) == len(plain.trainable_variables) + 2
    bases = weights_of(plain.read_out_split)
    train(plain, make_views(), epochs=2)
    for weight, old in zip(plain.read_out_split.weights, bases, strict=True):
        np.testing.assert_array_equal(numpy(weight), old)


@pytest.mark.parametrize("decoupled", [True, False])
def test_read_out_shapes_and_values(decoupled):
    head = bod_keras.ProjectionHead(8, 16)
    model = make_model(decoupled, projection_head=head)
    clips = make_clips(make_views(batch=3))
    parts = {name: numpy(part) for name, part in model.read_out(clips).items()}
    size = 9 if decoupled else 256
    assert {name: part.shape for name, part in parts.items()} == {
        "pooled": (6, 6),
        "static": (6, 16),
        "dynamic": (6, size),
    }
    assert all(part.dtype == np.float32 for part in parts.values())
    features = numpy(model.encoder(clips))
    np.testing.assert_allclose(parts["pooled"], features.mean(1), atol=1e-6)
    for name, part in zip(("static", "dynamic"), model.read_out_split(numpy(model(clips)))):
        np.testing.assert_array_equal(parts[name], numpy(part))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_it_trains_in_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    model = make_model(bilevel=BILEVEL)
    before = weights_of(model)
    history = train(model, make_views(batch=8))
    assert all(np.isfinite(values).all() for values in history.values())
    moved = [np.abs(numpy(w) - old).max() for w, old in zip(model.weights, before)]
    assert max(moved) > 0
    assert {p.dtype for p in map(numpy, model.read_out(make_clips(make_views())).values())} == {
        np.dtype("float32")
    }


def test_a_mixed_precision_model_survives_a_file(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = make_model()
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.encoder.get_layer("stage1_conv").compute_dtype == "bfloat16"
    assert loaded.projection_head.compute_dtype == "float32"
    assert_same_outputs(model, loaded, make_clips(make_views()))


def test_decoupled_training_lowers_both_losses():
    """With the bi-level step, compiled."""
    keras.utils.set_random_seed(1)
    views = make_moving_views(videos=6, frames=6, size=10)
    encoder = bod_keras.encoders.FrameCNN(views.shape[2:], widths=(8, 12))
    model = bod_keras.VSimCLR(
        encoder,
        bod_keras.KoopmanSplit(count=1, order=8, basis=6),
        BILEVEL,
        temperature=0.2,
        projection_head=bod_keras.ProjectionHead(24, 12),
    )
    model.compile(keras.optimizers.Adam(1e-2))
    history = train(model, views, epochs=25, batch_size=len(views))
    for name in ("static_loss", "dynamic_loss"):
        losses = history[name]
        assert np.mean(losses[-3:]) < 0.75 * np.mean(losses[:2]), (name, losses[0], losses[-1])
    assert all(0.5 < count < 4.5 for count in history["static_eigenvalues"])


def make_encoder():
    return bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4,))


def encoder_that_pools_time():
    clips = keras.Input((FRAMES, SIZE, SIZE, 3))
    return keras.Model(clips, keras.layers.GlobalAveragePooling3D()(clips))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: bod_keras.VSimCLR(keras.Sequential([keras.layers.Dense(2)])),
            "encoder must be a built Keras model with a known output shape",
        ),
        (lambda: bod_keras.VSimCLR("frame_cnn"), "encoder must be a built Keras model"),
        (
            lambda: bod_keras.VSimCLR(encoder_that_pools_time()),
            "must keep time and return frame features (batch, time, channels): pool over space only. "
            "Received an output of shape (None, 3)",
        ),
        (
            lambda: bod_keras.VSimCLR(make_encoder(), bilevel=bod_keras.BiLevel()),
            "bilevel belongs to a decoupled framework",
        ),
        (
            lambda: bod_keras.VSimCLR(make_encoder(), temperature=0.0),
            "temperature must be positive (0.1 is usual). Received: 0.0",
        ),
        (
            lambda: bod_keras.VSimCLR(make_encoder(), dynamic_temperature=-1.0),
            "temperature must be positive (0.1 is usual). Received: -1.0",
        ),
        (
            lambda: train(make_model(), make_views(views=1)),
            "compares at least 2 views of a video. Received: 1",
        ),
        (
            lambda: train(make_model(), make_views()[:, 0]),
            "must have shape (batch, views, time, height, width, channels). "
            f"Received: (4, {FRAMES}, {SIZE}, {SIZE}, 3)",
        ),
    ],
    ids=[
        "unbuilt",
        "no-model",
        "pools-time",
        "bilevel-alone",
        "temperature",
        "dynamic-temperature",
        "one-view",
        "rank",
    ],
)
def test_wrong_use_is_named(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value)


def test_a_framework_must_say_what_its_loss_is():
    from bod_keras.frameworks.base import ContrastiveModel

    with pytest.raises(NotImplementedError, match="ContrastiveModel must implement part_loss"):
        ContrastiveModel(make_encoder()).part_loss("base", [], None, False)


def test_a_plain_model_may_have_a_narrow_head():
    model = make_model(decoupled=False, projection_head=bod_keras.ProjectionHead(8, 5))
    assert model.read_out(make_clips(make_views()))["dynamic"].shape == (8, 25)
