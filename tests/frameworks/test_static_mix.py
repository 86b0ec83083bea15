"""A framework with `static_mix`: views over the background of another video, compared with both videos."""

import numpy as np
import pytest

import bod_keras
from tests.tiers import slow_unless
from tests.tiny_models import (
    TINY,
    make_framework,
    make_moving_views,
    numpy,
    simple,
    train,
)


def mixed(name="vsimclr", share=0.3, **settings):
    return make_framework(name, simple(static_mix=share, swap_threshold=0.1, **settings))


def soft_info_nce(a, b, belongs, temperature):
    """Mean cross entropy of clips a against b and of b against a; belongs[i, k]: how much a_i is of video k."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    every, losses = np.concatenate([a, b]), []
    wanted = [
        np.concatenate([0 * belongs, belongs], 1),
        np.concatenate([belongs.T, 0 * belongs], 1),
    ]
    for i, target in enumerate(np.concatenate(wanted)):
        others = np.arange(len(every)) != i
        logits = every[others] @ every[i] / temperature
        losses.append(target[others] @ (np.log(np.exp(logits).sum()) - logits))
    return np.mean(losses)


@pytest.mark.parametrize("motion_view", [None, bod_keras.BackgroundSwap(0.1)])
@pytest.mark.parametrize("count", [2, 3])
def test_all_views_but_the_last_are_mixed(motion_view, count):
    views = make_moving_views(4)[:, [0, 1, 0][:count]]
    made = numpy(mixed(motion_view=motion_view).all_views(views))
    mix = bod_keras.BackgroundMix(0.1)
    expected = [numpy(mix(views[:, i])) for i in range(count - 1)] + [views[:, -1]]
    if motion_view is not None:
        expected.append(numpy(motion_view(views[:, -1])))
    np.testing.assert_array_equal(made, np.stack(expected, axis=1))
    assert np.abs(made[:, 0] - views[:, 0]).max() > 0.05


def test_a_static_view_shuffles_what_is_mixed():
    views = make_moving_views(4)
    model = mixed(static_view=bod_keras.FrameShuffle(seed=1))
    swapped = numpy(bod_keras.BackgroundMix(0.1)(views[:, 0]))
    expected = numpy(bod_keras.FrameShuffle(seed=1)(swapped, training=True))
    np.testing.assert_array_equal(numpy(model.all_views(views))[:, 0], expected)


@pytest.mark.parametrize("part", ["static", "base"])
def test_a_mixed_clip_belongs_to_both_videos(part):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7, 7)).astype("float32")
    model = mixed(base_weight=1.0)
    belongs = np.eye(7)
    for row, other in ((0, 2), (1, 0), (2, 1)):  # the first half, each with the one before
        belongs[row, [row, other]] = 0.3, 0.7
    expected = soft_info_nce(a, b, belongs, model.temperature)
    loss = model.contrasted_loss(part, [a, b], None, training=True)
    np.testing.assert_allclose(numpy(loss), expected, rtol=1e-5)
    dynamic = model.contrasted_loss("dynamic", [a, b], None, training=True)
    whole = soft_info_nce(a, b, np.eye(7), model.temperature)
    np.testing.assert_allclose(numpy(dynamic), whole, rtol=1e-5)


def test_targets_are_of_the_same_videos():
    views, targets = np.random.default_rng(0).normal(size=(2, 3, 4, 7)).astype("float32")
    model, seen = mixed("vmoco"), []
    model.part_loss = lambda part, v, t, training: seen.append((v, t)) or 0.0
    model.contrasted_loss("static", list(views), list(targets), True)
    for given, i in ((views, 0), (targets, 1)):
        np.testing.assert_array_equal(np.stack([numpy(x) for x in seen[0][i]]), given)
        np.testing.assert_array_equal(np.stack([numpy(x) for x in seen[1][i][:2]]), given[:2])
        np.testing.assert_array_equal(numpy(seen[1][i][2]), given[2][[1, 0, 2, 3]])


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=slow_unless(n in ("vsimclr", "vmoco"))) for n in TINY]
)
def test_every_framework_trains_with_it(name):
    views = make_moving_views(4)
    history = train(mixed(name), views, epochs=2)
    assert np.isfinite(history["loss"]).all()
    without = train(make_framework(name, simple()), views, epochs=2)
    assert history["static_loss"] != without["static_loss"]


def test_a_share_out_of_range_is_refused():
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"static_mix must lie in \[0, 1\)"):
            bod_keras.Decoupling(static_mix=share)
