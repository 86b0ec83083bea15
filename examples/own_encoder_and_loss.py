"""Your own encoder and your own contrastive loss, decoupled and trained by the bi-level update.

* The encoder is any built Keras model that keeps time: clips (B, T, H, W, 3) to frame features (B, T, C).
* The loss is any `keras.losses.Loss` of two views; here that of Wang and Isola (arXiv 2005.10242): views of one
  video lie close together (alignment), different videos spread over the sphere (uniformity).
* The framework is a subclass of `bod_keras.ContrastiveModel` that sets each part's loss and contrasts the part.

From the folder that holds `bod_keras`, or anywhere if it is installed, on any backend:

    python -m examples.own_encoder_and_loss
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

import bod_keras
from bod_keras.data import digit_drift_arrays

FRAMES, SIZE = 8, 32


@keras.saving.register_keras_serializable("examples")
class AlignmentUniformity(keras.losses.Loss):
    """|a - b|^2 + uniformity log mean exp(-2 |a - a_j|^2) over the other videos j; (B, D), (B, D) -> (B,)."""

    def __init__(self, uniformity=1.0, name="alignment_uniformity", **kwargs):
        super().__init__(name=name, **kwargs)
        self.uniformity = uniformity

    def call(self, view_a, view_b):
        a, b = ops.normalize(view_a, axis=-1), ops.normalize(view_b, axis=-1)
        alignment = ops.sum(ops.square(a - b), axis=-1)
        return alignment + 0.5 * self.uniformity * (_crowding(a) + _crowding(b))

    def get_config(self):
        return {**super().get_config(), "uniformity": self.uniformity}


def _crowding(x):
    squared_distance = 2.0 - 2.0 * ops.matmul(x, ops.transpose(x))
    others = 1.0 - ops.eye(x.shape[0])
    return ops.log(ops.sum(others * ops.exp(-2.0 * squared_distance), axis=-1) / (x.shape[0] - 1))


@keras.saving.register_keras_serializable("examples")
class VAlignmentUniformity(bod_keras.ContrastiveModel):
    """Plain or decoupled, as every framework of bod_keras."""

    uses_batch_statistics = True  # the videos of a batch are compared

    def __init__(self, encoder, decoupling=None, uniformity=1.0, **kwargs):
        super().__init__(encoder, decoupling, **kwargs)
        self.uniformity = uniformity
        self.set_losses(lambda part: AlignmentUniformity(uniformity))

    def part_loss(self, part, views, targets, training):  # part: "static", "dynamic" or "base"
        return self.contrast[part](*views[:2])

    def get_config(self):
        return {**super().get_config(), "uniformity": self.uniformity}


def make_encoder():
    """Sees motion in its 3-D convolutions, pools over space only."""
    return keras.Sequential(
        [
            keras.Input((FRAMES, SIZE, SIZE, 3)),
            layers.Conv3D(16, (1, 5, 5), strides=(1, 4, 4), padding="same", activation="relu"),
            layers.Conv3D(32, (3, 3, 3), strides=(1, 2, 2), padding="same", activation="relu"),
            layers.AveragePooling3D((1, SIZE // 8, SIZE // 8)),
            layers.Reshape((FRAMES, 32)),
        ],
        name="own_encoder",
    )


def make_views(count, images):
    """Two clips at random times of every video, (B, 2, T, H, W, 3) in [0, 1]."""
    videos, _, _ = digit_drift_arrays(count, frames=24, size=SIZE, images=images)
    starts = np.random.default_rng(0).integers(0, 24 - FRAMES + 1, (count, 2))
    clips = [[v[s : s + FRAMES] for s in pair] for v, pair in zip(videos, starts)]
    return np.array(clips, "float32") / 255


def main():
    keras.utils.set_random_seed(0)
    views, new_views = make_views(256, "train"), make_views(64, "test")

    model = VAlignmentUniformity(
        make_encoder(),
        decoupling=bod_keras.Decoupling(bilevel=bod_keras.BiLevel(inner_learning_rate=0.1)),
        projection_head=bod_keras.ProjectionHead(64, 32),
    )
    model.compile(keras.optimizers.AdamW(2e-3))
    before = model.evaluate(new_views, batch_size=64, verbose=0, return_dict=True)
    model.fit(views, batch_size=32, epochs=5, verbose=2)
    after = model.evaluate(new_views, batch_size=64, verbose=0, return_dict=True)
    for name in ("loss", "static_loss", "dynamic_loss"):
        print(f"{name} on new videos: {before[name]:.3f} before, {after[name]:.3f} after")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
    parts, again = model.embed(new_views[:, 0]), loaded.embed(new_views[:, 0])
    apart = max(np.abs(parts[name] - again[name]).max() for name in ("static", "dynamic"))
    print(f"saved and loaded: parts differ by at most {apart:.1e}")


if __name__ == "__main__":
    main()
