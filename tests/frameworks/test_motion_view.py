"""A framework with a `motion_view`: which part sees which view, in training, targets, monitors and files."""

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras.training import Monitors
from tests.tiers import slow_unless
from tests.tiny_models import (
    TINY,
    assert_same_state,
    in_training,
    make_clips,
    make_framework,
    make_moving_views,
    numpy,
    simple,
    train,
)

SWAP = bod_keras.BackgroundSwap(0.1)


def with_motion_view(name="vsimclr", **settings):
    return make_framework(name, simple(motion_view=bod_keras.BackgroundSwap(0.1), **settings))


def test_the_dynamic_part_sees_all_views_and_the_motion_view():
    views = make_moving_views(5)
    model = with_motion_view(base_weight=1.0)
    clips = make_clips(np.concatenate([views, numpy(SWAP(views[:, -1]))[:, None]], axis=1))
    np.testing.assert_array_equal(make_clips(numpy(model.all_views(views))), clips)

    def seen():
        return model.split_views(model(clips, training=True), model.split, 3)[0]

    def embeddings():
        return model.split(model(clips, training=True))

    seen, (static, dynamic) = in_training(model, seen), in_training(model, embeddings)
    assert {part: len(embeddings) for part, embeddings in seen.items()} == {
        "static": 2,
        "dynamic": 3,
        "base": 2,
    }
    np.testing.assert_array_equal(np.concatenate(seen["static"]), static[:10])
    np.testing.assert_array_equal(np.concatenate(seen["dynamic"]), dynamic)
    assert np.abs(dynamic[5:10] - dynamic[10:]).max() > 1e-3  # it is another view


@pytest.mark.parametrize("name", ["vsimclr", "vmoco"])  # without targets and with
def test_the_dynamic_loss_is_the_mean_over_the_views_against_the_motion_view(name):
    model = with_motion_view(name)
    views, targets = (
        [rng.normal(size=(6, 9)) for _ in range(3)]
        for rng in (np.random.default_rng(0), np.random.default_rng(1))
    )
    seen = []
    model.part_loss = lambda part, v, t, training: seen.append((v, t)) or float(v[0][0, 0])
    loss = model.contrasted_loss("dynamic", views, targets if name == "vmoco" else None, True)
    assert loss == pytest.approx((views[0][0, 0] + views[1][0, 0]) / 2)
    for i, (v, t) in enumerate(seen):
        assert v[0] is views[i] and v[1] is views[2]
        assert t is None if name == "vsimclr" else (t[0] is targets[i] and t[1] is targets[2])
    seen.clear()
    model.contrasted_loss("static", views[:2], None, True)
    assert len(seen) == 1 and len(seen[0][0]) == 2


@pytest.mark.parametrize("name", [pytest.param(n, marks=slow_unless(n == "vsimclr")) for n in TINY])
def test_every_framework_trains_with_it_and_comes_back_from_a_file(name, tmp_path):
    views = make_moving_views(4)
    model = with_motion_view(name, bilevel=bod_keras.BiLevel(inner_learning_rate=0.1))
    history = train(model, views, epochs=2)
    assert all(np.isfinite(history["loss"]))
    without = train(make_framework(name, simple(bilevel=model.bilevel)), views, epochs=2)
    assert history["dynamic_loss"] != without["dynamic_loss"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.motion_view.threshold == 0.1
    assert_same_state(loaded, model)
    train(loaded, views), train(model, views)
    assert_same_state(loaded, model)


def test_evaluation_and_monitors_have_it_too():
    views = make_moving_views(6)
    model = with_motion_view()
    logs = model.evaluate(views, batch_size=6, verbose=0, return_dict=True)
    assert np.isfinite(logs["dynamic_loss"])
    history = train(model, views, batch_size=6, callbacks=[Monitors(views)])
    assert np.isfinite(history["dynamic_gradient_norm"]).all()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_it_trains_in_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    views = make_moving_views(4)
    model = with_motion_view(standardize=True)
    clips = numpy(keras.ops.cast(model.all_views(views), "float32"))
    np.testing.assert_array_equal(clips[:, :2], views)  # rounded by the encoder only
    assert np.isfinite(train(model, views)["loss"]).all()
