"""`VSimCLR`, plain and decoupled: its loss, logs, files, wrong use, and that it learns."""

import math

import keras
import numpy as np
import pytest

import bod_keras
from tests import references
from tests.tiny_models import (
    FRAMES,
    SIZE,
    make_clips,
    make_framework,
    make_model,
    make_moving_views,
    make_views,
    numpy,
    parts_by_hand,
    simple,
    train,
    weights_of,
)

BILEVEL = bod_keras.BiLevel(inner_learning_rate=0.1)


def evaluate(model, views):
    return model.evaluate(views, batch_size=len(views), verbose=0, return_dict=True)


def standardized(views):
    x = np.stack(views).astype("float64")
    return list((x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-5 * x.var((0, 1)).mean()))


def test_the_loss_of_the_recommended_form_by_hand():
    """L(s): a first view over the background of another video is both videos'; L(d): either view, and the last
    one in another look."""
    settings, views = bod_keras.Decoupling(), make_views(6)
    threshold, own = settings.swap_threshold, settings.static_mix
    swap = bod_keras.AppearanceSwap(threshold, seed=3)
    model = make_model(bod_keras.Decoupling(motion_view=swap))
    looks = bod_keras.AppearanceSwap(threshold, seed=3)(views[:, 1], training=True)
    mixed = bod_keras.BackgroundMix(threshold)(views[:, 0])
    frames = [numpy(model(x)) for x in (numpy(mixed), views[:, 1], numpy(looks))]
    parts = [parts_by_hand(model, z) for z in frames]
    first, last = standardized([parts[0][0], parts[1][0]])
    owners = [
        references.info_nce(first, x, settings.static_temperature).mean()
        for x in (last, last[[2, 0, 1, 3, 4, 5]])
    ]
    static = own * owners[0] + (1 - own) * owners[1]
    temperature = settings.dynamic_temperature
    dynamic = np.mean([references.info_nce(parts[i][1], parts[2][1], temperature) for i in (0, 1)])
    logs = evaluate(model, views)
    assert logs["static_loss"] == pytest.approx(static, rel=1e-3)
    assert logs["dynamic_loss"] == pytest.approx(dynamic, rel=1e-3)
    assert logs["loss"] == pytest.approx(static + dynamic, rel=1e-3)


def test_the_logged_prediction_error_is_that_of_the_two_views():
    model, views = make_model(simple(bilevel=BILEVEL)), make_views()
    z = numpy(model(make_clips(views)))
    error = references.koopman_prediction(*np.split(z, 2), "cross_clip", ridge=1e-2).mean()
    assert evaluate(model, views)["prediction_loss"] == pytest.approx(error, rel=1e-3)


def test_losses_are_logged_whole_where_each_replica_has_a_share(monkeypatch):
    model, views = make_model(simple(bilevel=BILEVEL, base_weight=0.5)), make_views()
    whole = evaluate(model, views)
    monkeypatch.setattr(f"{bod_keras.ContrastiveModel.__module__}.replicas.count", lambda: 1 / 3)
    thirds = evaluate(model, views)
    for part in ("static", "dynamic", "base", "prediction"):
        name = f"{part}_loss"
        assert thirds[name] == pytest.approx(whole[name] / 3, rel=1e-5)


def test_evaluation_changes_no_weight():
    model = make_model(True)
    before = weights_of(model)
    evaluate(model, make_views())
    for weight, old in zip(model.weights, before):
        if not weight.path.startswith("mean"):
            np.testing.assert_array_equal(numpy(weight), old, err_msg=weight.path)


def test_decoupling_of_one_head_adds_no_trained_weight():
    plain, decoupled = make_model(None), make_model(bod_keras.Decoupling(heads=1))
    assert plain.decoupling is None and plain.split is None and plain.bilevel is None
    assert len(decoupled.trainable_variables) == len(plain.trainable_variables)
    plain.embed(make_views()[:, 0])
    assert len(plain.weights) == len(
        make_model(None).weights
    )  # what it is read with is no part of it


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_it_trains_in_mixed_precision_and_comes_back_from_a_file(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = make_model(True)
    before = weights_of(model)
    history = train(model, make_moving_views(8))
    assert all(np.isfinite(values).all() for values in history.values())
    assert max(np.abs(numpy(w) - old).max() for w, old in zip(model.weights, before)) > 0
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = bod_keras.load(tmp_path / "model.keras")
    assert loaded.encoder.get_layer("stage1_conv").compute_dtype == policy.removeprefix("mixed_")
    assert loaded.projection_head.compute_dtype == "float32"
    clips = make_views()[:, 0]
    for name, part in model.embed(clips).items():
        assert part.dtype == np.float32
        np.testing.assert_array_equal(part, loaded.embed(clips)[name])


def test_decoupled_training_lowers_both_losses():
    """In the recommended form but for a temperature that shows it, compiled."""
    keras.utils.set_random_seed(1)
    views = make_moving_views(videos=6, frames=6, size=10)
    encoder = bod_keras.encoders.FrameCNN(views.shape[2:], widths=(8, 12))
    head = bod_keras.ProjectionHead(24, 12)
    decoupling = bod_keras.Decoupling(static_temperature=0.2)
    model = bod_keras.VSimCLR(encoder, decoupling, projection_head=head)
    model.compile(keras.optimizers.Adam(1e-2))
    history = train(model, views, epochs=40, batch_size=len(views))
    for name in ("static_loss", "dynamic_loss"):
        losses = history[name]
        assert np.mean(losses[-3:]) < 0.75 * np.mean(losses[:2]), (name, losses[0], losses[-1])
    assert all(0.5 < count < 4.5 for count in history["static_eigenvalues"])


def make_encoder():
    return bod_keras.encoders.FrameCNN((FRAMES, SIZE, SIZE, 3), widths=(4,))


def encoder_that_pools_time():
    clips = keras.Input((FRAMES, SIZE, SIZE, 3))
    return keras.Model(clips, keras.layers.GlobalAveragePooling3D()(clips))


WRONG_USE = {
    "unbuilt": (
        lambda: bod_keras.VSimCLR(keras.Sequential([keras.layers.Dense(2)])),
        "encoder must be a built Keras model with a known output shape",
    ),
    "no-model": (lambda: bod_keras.VSimCLR("frame_cnn"), "encoder must be a built Keras model"),
    "pools-time": (
        lambda: bod_keras.VSimCLR(encoder_that_pools_time()),
        "must keep time and return frame features (batch, time, channels): pool over space only. "
        "Received an output of shape (None, 3)",
    ),
    "name": (
        lambda: bod_keras.VSimCLR(make_encoder(), decoupling="papers"),
        "decoupling must be one of recommended, paper, reference-code. Received: 'papers'. Did you mean paper?",
    ),
    "split": (
        lambda: bod_keras.VSimCLR(make_encoder(), decoupling=bod_keras.KoopmanSplit()),
        'decoupling must be None, True, "paper", "reference-code" or a bod_keras.Decoupling(...). '
        "Received: <KoopmanSplit",
    ),
    "read-out": (
        lambda: bod_keras.VSimCLR(make_encoder(), bod_keras.Decoupling(read_out="operators")),
        "read_out must be one of operator, mean. Received: 'operators'. Did you mean operator?",
    ),
    "view": (
        lambda: bod_keras.Decoupling(motion_view="background"),
        "motion_view must be one of appearance_swap, background_swap. Received: 'background'. Did you mean",
    ),
    "weight": (
        lambda: bod_keras.Decoupling(base_weight=-0.5),
        "base_weight must not be negative. Received: -0.5",
    ),
    "temperature": (
        lambda: bod_keras.VSimCLR(make_encoder(), temperature=0.0),
        "temperature must be positive (0.1 is usual). Received: 0.0",
    ),
    "dynamic-temperature": (
        lambda: make_model(simple(dynamic_temperature=-1.0)),
        "temperature must be positive (0.1 is usual). Received: -1.0",
    ),
    "one-view": (
        lambda: train(make_model(), make_views(views=1)),
        "compares at least 2 views of a video. Received: 1",
    ),
    "rank": (
        lambda: train(make_model(), make_views()[:, 0]),
        "must have shape (batch, views, time, height, width, channels). "
        f"Received: (4, {FRAMES}, {SIZE}, {SIZE}, 3)",
    ),
    "0.1": (
        lambda: bod_keras.VSimCLR.from_config({**make_model().get_config(), "bilevel": None}),
        "This model was saved by bod_keras 0.1, whose settings were others.",
    ),
    "loss": (
        lambda: make_model().compile("sgd", loss="mse"),
        "compile(loss=...): VSimCLR has its own loss",
    ),
    "metrics": (
        lambda: make_model().compile("sgd", metrics=["mse"]),
        "compile(metrics=...): VSimCLR has its own loss",
    ),
}


@pytest.mark.parametrize("case", WRONG_USE)
def test_wrong_use_is_named(case):
    make, message = WRONG_USE[case]
    with pytest.raises(bod_keras.UserError) as error:
        make()
    assert message in str(error.value)


def test_a_framework_must_say_what_its_loss_is():
    with pytest.raises(NotImplementedError, match="ContrastiveModel must implement part_loss"):
        bod_keras.ContrastiveModel(make_encoder()).part_loss("base", [], None, False)


def test_chance_is_the_loss_of_embeddings_that_are_alike():
    same = keras.ops.ones((6, 8))
    plain = make_framework("vsimclr", None)
    loss = float(plain.part_loss("base", [same, same], None, False))
    assert plain.chance_losses(6) == {"loss": pytest.approx(loss, rel=1e-5)}
    moco = make_framework("vmoco", None, queue_size=16)
    keys = keras.ops.ones((10, moco.parts["base"]))
    moco.queues["base"].enqueue(keys)
    loss = float(moco.part_loss("base", [keys, keys], [keys, keys], False))
    assert moco.chance_losses(6) == {"loss": pytest.approx(loss, rel=1e-5)}
    assert loss == pytest.approx(math.log(11), rel=1e-5)  # 10 keys of 16 are there
    assert make_framework("vbyol", None).chance_losses(6) == {}
    assert plain.loss_weights == {}
    weighted = make_framework("vsimclr", bod_keras.Decoupling(dynamic_weight=2.0))
    assert weighted.loss_weights == {"static": 1.0, "dynamic": 2.0}
