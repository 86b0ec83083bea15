import colorsys
import dataclasses

import numpy as np
import pytest

from bod_keras.data import RECIPES, ClipAugment, apply_color, augmentation, jitter_matrix

GRAY = np.array([0.299, 0.587, 0.114])
# Half a level for rounding, the rest for the weights, which OpenCV rounds to 1/1024.
TOLERANCE = 0.9


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def noise(rng, frames=5, height=40, width=56):
    return rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", sorted(RECIPES))
@pytest.mark.parametrize("view", [0, 1])
def test_every_frame_gets_the_same_draw(rng, name, view):
    still = np.repeat(noise(rng, frames=1), 6, axis=0)
    for _ in range(20):
        out = augmentation(name, 24)(still, rng, view)
        assert out.shape == (6, 24, 24, 3) and out.dtype == np.uint8
        assert (out == out[:1]).all()


def test_blur_does_not_bleed_between_frames(rng):
    clip = np.zeros((4, 16, 16, 3), np.uint8)
    clip[2] = 255
    out = ClipAugment(size=16, blur_probability=(1.0,), blur_sigma=(2.0, 2.0))(clip, rng)
    np.testing.assert_array_equal(out, clip)


def test_blur_is_gaussian_with_its_sigma(rng):
    clip = np.zeros((2, 41, 41, 3), np.uint8)
    clip[:, :, 20:] = 255
    out = ClipAugment(size=41, blur_probability=(1.0,), blur_sigma=(2.0, 2.0))(clip, rng)
    # A blurred edge has the slope 255 / (sigma sqrt(2 pi)) in its middle.
    slope = float(out[0, 20, 20, 0]) - float(out[0, 20, 19, 0])
    assert slope == pytest.approx(255 / (2 * np.sqrt(2 * np.pi)), rel=0.05)


def test_the_input_is_left_alone_and_the_result_is_a_function_of_the_seed(rng):
    clip = noise(rng)
    before = clip.copy()
    first, again = (augmentation("cvrl", 24)(clip, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(clip, before)


def test_flips_as_often_as_asked(rng):
    clip = np.zeros((1, 8, 8, 3), np.uint8)
    clip[:, :, :4] = 255
    augment = ClipAugment(size=8, flip=0.3)
    flips = sum(augment(clip, rng)[0, 0, 0, 0] == 0 for _ in range(2000))
    assert abs(flips - 600) < 4 * np.sqrt(2000 * 0.3 * 0.7)


@pytest.mark.parametrize("height, width", [(60, 60), (60, 90)])
def test_crop_area_is_uniform_and_position_covers_the_frame(rng, height, width):
    # The frame holds its own coordinates; corners of the crop are read from the result.
    augment = ClipAugment(size=8, crop_area=(0.2, 0.8), crop_aspect=(0.5, 2.0))
    boxes = np.array([augment.draw_box(height, width, rng) for _ in range(4000)])
    top, left, crop_height, crop_width = boxes.T
    assert (top >= 0).all() and (top + crop_height <= height).all()
    assert (left >= 0).all() and (left + crop_width <= width).all()
    share = crop_height * crop_width / (height * width)
    counts, _ = np.histogram(share, bins=6, range=(0.2, 0.8))
    assert np.abs(counts - 4000 / 6).max() < 5 * np.sqrt(4000 / 6)
    aspect = crop_width / crop_height
    assert aspect.min() > 0.45 and aspect.max() < 2.2
    assert top.min() == left.min() == 0 and (top + crop_height).max() == height


def test_the_crop_is_what_is_seen():
    rows = np.arange(64, dtype=np.uint8)
    clip = np.zeros((1, 64, 64, 3), np.uint8)
    clip[..., 0], clip[..., 1] = rows[:, None] * 4, rows[None, :] * 4
    augment = ClipAugment(size=16, crop_area=(0.3, 0.3), crop_aspect=(1.0, 1.0))
    rng = np.random.default_rng(3)
    top, left, height, _ = augment.draw_box(64, 64, np.random.default_rng(3))
    out = augment(clip, rng)[0].astype(float) / 4
    step = height / 16
    np.testing.assert_allclose(out[:, 0, 0], top + step * (np.arange(16) + 0.5) - 0.5, atol=0.6)
    np.testing.assert_allclose(out[0, :, 1], left + step * (np.arange(16) + 0.5) - 0.5, atol=0.6)


def test_extreme_frames_can_be_cropped(rng):
    for height, width in [(2, 200), (200, 2), (1, 1)]:
        clip = np.zeros((2, height, width, 3), np.uint8)
        assert augmentation("cvrl", 8)(clip, rng).shape == (2, 8, 8, 3)


def test_no_strength_is_the_identity(rng):
    clip = noise(rng)
    np.testing.assert_array_equal(apply_color(clip, jitter_matrix()), clip)
    augment = augmentation("cvrl", 40, crop_area=None, flip=0.0, jitter=(0, 0, 0, 0))
    augment = dataclasses.replace(augment, gray_probability=0.0, blur_probability=(0.0,))
    np.testing.assert_array_equal(augment(clip, rng), clip[:, :, 8:48])


def test_gray_is_exact(rng):
    clip = noise(rng)
    out = ClipAugment(size=40, gray_probability=1.0)(clip, rng).astype(float)
    assert (out[..., 0] == out[..., 1]).all() and (out[..., 1] == out[..., 2]).all()
    np.testing.assert_allclose(out[..., 0], clip[:, :, 8:48] @ GRAY, atol=TOLERANCE)


def test_contrast_is_about_the_mean_gray_of_the_clip(rng):
    clip = rng.integers(90, 160, (3, 8, 8, 3), dtype=np.uint8)
    mean = float((clip @ GRAY).mean())
    out = apply_color(clip, jitter_matrix(contrast=0.5, mean_gray=mean))
    np.testing.assert_allclose(out, mean + 0.5 * (clip - mean), atol=TOLERANCE)
    bright = apply_color(clip, jitter_matrix(brightness=1.2, contrast=0.5, mean_gray=mean))
    np.testing.assert_allclose(bright, 1.2 * (mean + 0.5 * (clip - mean)), atol=TOLERANCE)


def test_saturation_moves_towards_gray(rng):
    clip = rng.integers(60, 200, (2, 8, 8, 3), dtype=np.uint8)
    out = apply_color(clip, jitter_matrix(saturation=0.25))
    np.testing.assert_allclose(out, 0.25 * clip + 0.75 * (clip @ GRAY)[..., None], atol=TOLERANCE)


@pytest.mark.parametrize("turn", [-0.2, 0.1, 0.5])
def test_hue_turns_like_hsv(rng, turn):
    colors = rng.uniform(0.35, 0.65, (300, 3))  # far from 0 and 1, so that nothing is clipped
    matrix = jitter_matrix(hue=turn)
    turned = colors @ matrix[:, :3].T + matrix[:, 3]
    for before, after in zip(colors, turned):
        difference = colorsys.rgb_to_hsv(*after)[0] - colorsys.rgb_to_hsv(*before)[0] - turn
        assert abs((difference + 0.5) % 1 - 0.5) < 2.5 / 360
    np.testing.assert_allclose(turned.sum(1), colors.sum(1))


def test_jitter_law(rng):
    clip = np.full((1, 8, 8, 3), 100, np.uint8)
    augment = ClipAugment(size=8, jitter=(0.4, 0.0, 0.0, 0.0), jitter_probability=0.5)
    levels = np.array([augment(clip, rng)[0, 0, 0, 0] for _ in range(2000)]).astype(float)
    changed = levels[levels != 100]
    assert 0.42 < len(changed) / 2000 < 0.56
    assert changed.min() >= 60 and changed.max() <= 140
    assert changed.std() == pytest.approx(80 / np.sqrt(12), rel=0.06)


def test_solarisation_only_in_its_view(rng):
    clip = np.full((1, 8, 8, 3), 200, np.uint8)
    augment = ClipAugment(size=8, solarize_probability=(0.0, 1.0))
    assert augment(clip, rng, view=0).max() == 200
    assert augment(clip, rng, view=1).max() == augment(clip, rng, view=2).max() == 55


def test_published_numbers():
    cvrl, rho = augmentation("cvrl", 224), augmentation("rho", 224)
    assert (cvrl.crop_area, cvrl.crop_aspect, cvrl.flip) == ((0.3, 1.0), (0.5, 2.0), 0.5)
    assert (cvrl.jitter, cvrl.jitter_probability) == ((0.8, 0.8, 0.8, 0.2), 0.8)
    assert (cvrl.blur_probability, cvrl.solarize_probability) == ((1.0, 0.1), (0.0, 0.2))
    assert (rho.crop_area, rho.crop_aspect, rho.flip) == ((0.2, 0.766), (0.75, 1.333), 0.5)
    assert (rho.jitter, rho.jitter_probability) == ((0.6, 0.6, 0.6, 0.15), 0.8)
    assert (rho.blur_probability, rho.solarize_probability) == ((0.5, 0.5), (0.0,))
    for recipe in (cvrl, rho):
        assert recipe.gray_probability == 0.2 and recipe.blur_sigma == (0.1, 2.0)
    motion = augmentation("motion", 224)
    assert motion.flip == motion.gray_probability == max(motion.blur_probability) == 0.0


def test_recipe_none_is_deterministic(rng):
    clip = noise(rng)
    augment = augmentation("none", 20)
    np.testing.assert_array_equal(augment(clip, rng), augment(clip, np.random.default_rng(9), 1))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"size": 0}, "size=0"),
        ({"size": 8, "crop_area": (0.5, 0.2)}, r"crop_area must be .*\(0.5, 0.2\)"),
        ({"size": 8, "crop_area": (0.5, 1.5)}, "cannot exceed 1"),
        ({"size": 8, "jitter": (0.1, 0.1)}, "jitter must be 4 strengths"),
        ({"size": 8, "flip": 1.5}, "flip must be a probability .*1.5"),
        ({"size": 8, "blur_probability": (0.5, -1)}, "blur_probability must be .*-1"),
        ({"size": 8, "solarize_probability": ()}, "one probability per view"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClipAugment(**arguments)


def test_wrong_names_and_clips(rng):
    with pytest.raises(
        ValueError, match="recipe must be one of .*Received: 'rhoo'. Did you mean rho"
    ):
        augmentation("rhoo", 8)
    with pytest.raises(
        ValueError, match="argument of ClipAugment must be one of .*'flips'. Did you mean flip"
    ):
        augmentation("rho", 8, flips=0.0)
    with pytest.raises(ValueError, match=r"Received: float64 \(2, 8, 8, 3\)"):
        augmentation("rho", 8)(np.zeros((2, 8, 8, 3)), rng)
