import keras
import numpy as np
import pytest

from bod_keras.data import ClipAugment, ClipAugmenter
from tests.layer_harness import check_layer
from tests.tiers import slow

ARGUMENTS = {
    "size": 8,
    "crop_area": (0.3, 1.0),
    "flip": 0.5,
    "jitter": (0.8, 0.8, 0.8, 0.2),
    "jitter_probability": 0.8,
    "gray_probability": 0.2,
    "blur_probability": (1.0, 0.1),
    "solarize_probability": (0.0, 0.2),
    "seed": 3,
}


def clips_of(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(2, 3, 12, 16, 3), (3, 12, 16, 3)])
def test_it_is_a_layer(tmp_path, shape):
    check_layer(lambda: ClipAugmenter(**ARGUMENTS), shape, tmp_path=tmp_path, arguments=ARGUMENTS)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=slow)])
def test_draws_are_fixed_by_the_seed_also_in_a_compiled_step(jit_compile):
    """The step's loss is a function of the augmented clips."""
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("PyTorch's compiler is not used here")
    clips = clips_of((4, 2, 3, 12, 16, 3))
    losses = []
    for seed in (0, 0, 1):
        inputs = keras.Input((2, 3, 12, 16, 3), dtype="uint8")
        dense = keras.layers.Dense(1, kernel_initializer="ones")
        outputs = dense(
            keras.layers.Flatten()(ClipAugmenter(**{**ARGUMENTS, "seed": seed})(inputs))
        )
        model = keras.Model(inputs, outputs)
        model.compile(keras.optimizers.SGD(0.0), loss="mse", jit_compile=jit_compile)
        fit = model.fit(clips, np.zeros((4, 1), "float32"), epochs=3, verbose=0, shuffle=False)
        losses.append(fit.history["loss"])
    assert losses[0] == losses[1] != losses[2]
    assert len(set(losses[0])) == 3  # another draw every step


def test_without_training_it_is_the_centered_square():
    clips = clips_of((2, 2, 3, 12, 16, 3))
    layer, center = ClipAugmenter(**ARGUMENTS), ClipAugment(size=8)
    out = 255 * keras.ops.convert_to_numpy(layer(clips))
    rng = np.random.default_rng(0)
    expected = np.array([[center(clip, rng) for clip in views] for views in clips])
    np.testing.assert_allclose(out, expected, atol=1)


def test_bytes_and_floats_are_the_same():
    clips = clips_of((2, 3, 12, 16, 3))
    first, other = (
        keras.ops.convert_to_numpy(ClipAugmenter(**ARGUMENTS)(x, training=True))
        for x in (clips, clips.astype("float32") / 255)
    )
    np.testing.assert_allclose(first, other, atol=1e-5)
    assert 0 <= first.min() and first.max() <= 1


def test_no_clip_sees_another():
    """Every clip is plain, so that after color, too, its frames are plain: nothing of others came in."""
    levels = clips_of((4, 2, 1, 1, 1, 3), seed=1)
    clips = np.ascontiguousarray(np.broadcast_to(levels, (4, 2, 3, 12, 16, 3)))
    out = keras.ops.convert_to_numpy(ClipAugmenter(**ARGUMENTS)(clips, training=True))
    assert np.ptp(out, axis=(2, 3, 4)).max() < 1e-5
    assert np.ptp(out, axis=(0, 1)).max() > 0.1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ClipAugmenter(0), "size=0"),
        (lambda: ClipAugmenter(8, flip=1.5), "flip must be a probability .*1.5"),
        (lambda: ClipAugmenter.from_recipe("rhoo", 8), "recipe must be one of"),
        (lambda: ClipAugmenter(8)(np.zeros((4, 8, 8, 3))), r"Received: \(4, 8, 8, 3\)"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
