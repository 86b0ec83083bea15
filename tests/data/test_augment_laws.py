"""What both routes of augmentation must do, OpenCV's on the CPU and the layer's on the device."""

import keras
import numpy as np
import pytest

from bod_keras.data import RECIPES, ClipAugmenter, augmentation

SIZE = 16


def on_cpu(clips, recipe, size=SIZE, **overrides):
    """Augmented (B, V, T, size, size, 3) in levels of 0 to 255."""
    augment, rng = augmentation(recipe, size, **overrides), np.random.default_rng(0)
    return np.array([[augment(c, rng, v) for v, c in enumerate(views)] for views in clips], float)


def on_device(clips, recipe, size=SIZE, **overrides):
    layer = ClipAugmenter.from_recipe(recipe, size, seed=0, **overrides)
    return 255 * keras.ops.convert_to_numpy(layer(clips, training=True)).astype(float)


ROUTES = pytest.mark.parametrize("route", [on_cpu, on_device])


def repeated(clip, batch, views=2):
    """One clip (T, H, W, 3) as every view of every sample."""
    return np.ascontiguousarray(np.broadcast_to(clip, (batch, views, *clip.shape)))


def assert_uniform(values, low, high, bins=5):
    """Nothing is outside, but for what rounding to pixels and levels does, and every bin holds its share."""
    values, slack = np.ravel(values), 0.1 * (high - low)
    assert low - slack < values.min() and values.max() < high + slack
    counts, _ = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    expected = len(values) / bins
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected) + 0.02 * len(values)


def assert_share(hits, probability):
    hits = np.ravel(hits)
    deviation = np.sqrt(probability * (1 - probability) / len(hits))
    assert abs(np.mean(hits) - probability) < 5 * deviation + 1e-9


@ROUTES
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_frame_gets_the_same_draw_and_every_view_another_one(route, name):
    frame = np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), dtype=np.uint8)
    out = route(repeated(np.repeat(frame, 5, axis=0), 8), name)
    assert out.shape == (8, 2, 5, SIZE, SIZE, 3)
    np.testing.assert_allclose(out, out[:, :, :1].repeat(5, axis=2), atol=1e-3)
    views = out[:, :, 0].reshape(16, -1)
    same = sum(np.abs(a - b).max() < 1e-3 for i, a in enumerate(views) for b in views[:i])
    assert same == (0 if RECIPES[name] else 16 * 15 // 2)


def boxes(route, height, width, batch, **overrides):
    """Crops in pixels, read from frames that hold their own coordinates: (top, left, height, width)."""
    clip = np.zeros((1, height, width, 3), np.uint8)
    clip[..., 0], clip[..., 1] = np.arange(height)[:, None] * 4, np.arange(width) * 4
    out = route(repeated(clip, batch), "none", 8, **overrides)[:, :, 0].reshape(-1, 8, 8, 3) / 4
    rows, columns = out[:, :, 0, 0], out[:, 0, :, 1]
    found = []
    for lines in (rows, columns):
        step = (lines[:, -1] - lines[:, 0]) / 7
        found.append((lines.mean(axis=1) + 0.5 - 4 * np.abs(step), 8 * step))
    (top, tall), (left, wide) = found
    return top, left, tall, wide


@ROUTES
@pytest.mark.parametrize("height, width", [(60, 60), (40, 60)])
def test_crops_have_uniform_areas_and_places_and_log_uniform_aspects(route, height, width):
    law = {"crop_area": (0.2, 0.45), "crop_aspect": (0.75, 1.333)}  # all of which fit
    top, left, tall, wide = boxes(route, height, width, 1000, **law)
    assert_uniform(tall * wide / (height * width), 0.2, 0.45)
    assert_uniform(np.log(wide / tall), np.log(0.75), np.log(1.333))
    assert_uniform(top / (height - tall), 0, 1)
    assert_uniform(left / (width - wide), 0, 1)
    assert abs(np.corrcoef(tall * wide, wide / tall)[0, 1]) < 0.12


@ROUTES
def test_aspects_that_do_not_fit_are_drawn_from_those_that_do(route):
    _, _, tall, wide = boxes(route, 30, 60, 500, crop_area=(0.8, 0.8), crop_aspect=(0.5, 2.0))
    assert_uniform(np.log(wide / tall), np.log(1.6), np.log(2.0))
    assert tall.max() < 31 and wide.max() < 61


@ROUTES
def test_flips_as_often_as_asked_and_each_view_for_itself(route):
    clip = np.zeros((1, 8, 8, 3), np.uint8)
    clip[:, :, :4] = 255
    flipped = route(repeated(clip, 1000), "none", 8, flip=0.3)[:, :, 0, 0, 0, 0] < 128
    assert_share(flipped, 0.3)
    assert_share(flipped.all(axis=1), 0.09)


@ROUTES
def test_brightness_is_uniform_and_as_often_as_asked(route):
    law = {"jitter": (0.4, 0.0, 0.0, 0.0), "jitter_probability": 0.5}
    gray = np.full((1, 8, 8, 3), 100, np.uint8)
    levels = route(repeated(gray, 1500), "none", 8, **law)[:, :, 0, 0, 0, 0]
    changed = np.abs(levels - 100) > 1e-3
    assert_share(changed, 0.5 * 80 / 81 if route is on_cpu else 0.5)  # rounding brings some back
    assert_uniform(levels[changed] / 100, 0.6, 1.4)


@ROUTES
def test_contrast_saturation_and_hue_are_uniform(route):
    clip = np.zeros((1, 8, 8, 3), np.uint8)
    clip[:, :, :4], clip[:, :, 4:] = 100, 150
    jitter = {"jitter_probability": 1.0}
    out = route(repeated(clip, 1000), "none", 8, jitter=(0, 0.5, 0, 0), **jitter)[:, :, 0, 0, :, 0]
    assert_uniform((out[..., -1] - out[..., 0]) / 50, 0.5, 1.5)
    np.testing.assert_allclose(out.mean(axis=-1), 125, atol=1)
    clip[:] = (150, 100, 100)
    out = route(repeated(clip, 1000), "none", 8, jitter=(0, 0, 0.5, 0), **jitter)[:, :, 0, 0, 0]
    assert_uniform((out[..., 0] - out[..., 1]) / 50, 0.5, 1.5)
    out = route(repeated(clip, 1000), "none", 8, jitter=(0, 0, 0, 0.2), **jitter)[:, :, 0, 0, 0]
    r, g, b = np.moveaxis(out, -1, 0)
    assert_uniform(np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b) / (2 * np.pi), -0.2, 0.2)
    np.testing.assert_allclose(out.sum(axis=-1), 350, atol=3)


@ROUTES
def test_no_jitter_strength_below_zero(route):
    clip = np.full((1, 8, 8, 3), 100, np.uint8)
    law = {"jitter": (1.5, 0.0, 0.0, 0.0), "jitter_probability": 1.0}
    levels = route(repeated(clip, 1000), "none", 8, **law)[:, :, 0, 0, 0, 0]
    assert_uniform(levels / 100, 0.0, 2.5)


@ROUTES
def test_gray_blur_and_solarisation_come_as_often_as_asked_in_each_view(route):
    clip = np.zeros((1, 9, 9, 3), np.uint8)
    clip[:, :, 4:] = (200, 40, 40)
    out = route(repeated(clip, 1000), "none", 9, gray_probability=0.2)[:, :, 0, 4, 8]
    assert_share(np.ptp(out, axis=-1) < 1, 0.2)
    law = {"blur_probability": (0.7, 0.1), "blur_sigma": (1.0, 1.0)}
    out = route(repeated(clip, 1000), "none", 9, **law)[:, :, 0, 4, 3, 0]
    assert_share(out[:, 0] > 5, 0.7)
    assert_share(out[:, 1] > 5, 0.1)
    law = {"solarize_probability": (0.0, 0.2)}
    out = route(repeated(clip, 1000), "none", 9, **law)[:, :, 0, 4, 8]
    solarized = np.abs(out - (55, 40, 40)).max(axis=-1) < 1
    assert not solarized[:, 0].any()
    assert_share(solarized[:, 1], 0.2)
    assert (np.abs(out[~solarized] - (200, 40, 40)) < 1).all()


@ROUTES
def test_sigmas_of_the_blur_are_uniform(route):
    clip = np.zeros((1, 41, 41, 3), np.uint8)
    clip[:, :, 20:] = 255
    law = {"blur_probability": (1.0,), "blur_sigma": (1.0, 3.0)}
    out = route(repeated(clip, 500), "none", 41, **law)[:, :, 0, 20, :, 0]
    slope = out[..., 20] - out[..., 19]  # of the edge's middle: 255 / (sigma sqrt(2 pi))
    assert_uniform(255 / (slope * np.sqrt(2 * np.pi)), 1.0, 3.0)


@ROUTES
def test_no_view_beyond_the_listed_ones_is_forgotten(route):
    clip = np.full((1, 8, 8, 3), 200, np.uint8)
    out = route(repeated(clip, 4, views=4), "none", 8, solarize_probability=(0.0, 1.0))
    np.testing.assert_allclose(out[:, :, 0, 0, 0, 0], [[200, 55, 55, 55]] * 4, atol=1e-3)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_layer_has_the_published_numbers_of_the_cpu_route(name):
    config = ClipAugmenter.from_recipe(name, 112).get_config()
    expected = vars(augmentation(name, 112))
    assert {key: config[key] for key in expected} == expected


@pytest.mark.parametrize("size", [8, 24, 40, 64])
def test_both_routes_resize_alike(size):
    clip = np.random.default_rng(0).integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)
    cpu, device = (route(repeated(clip, 1), "none", size) for route in (on_cpu, on_device))
    np.testing.assert_allclose(cpu, device, atol=1)


@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_both_routes_blur_alike(sigma):
    clip = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)
    law = {"blur_probability": (1.0,), "blur_sigma": (sigma, sigma)}
    cpu, device = (route(repeated(clip, 1), "none", 24, **law) for route in (on_cpu, on_device))
    np.testing.assert_allclose(cpu, device, atol=1.5)
