"""A Functional Keras app trained by the decoupled contrastive loss, without a framework.

Two clips of a video go through one network and one `KoopmanSplit`; `DecoupledLoss` contrasts their static parts
and their dynamic parts. From the folder that holds `bod_keras`, on any backend:

    python -m examples.decoupled_loss
"""

import keras

import bod_keras
from examples.own_encoder_and_loss import FRAMES, SIZE, make_views


class Contrast(keras.layers.Layer):
    """Add a loss of the parts of two views to the model; pass on the first view's parts."""

    def __init__(self, loss, **kwargs):
        super().__init__(**kwargs)
        self.loss = loss

    def call(self, one, other):
        self.add_loss(self.loss(one, other))
        return one


def main():
    keras.utils.set_random_seed(0)
    clips = keras.Input((FRAMES, SIZE, SIZE, 3))
    frames = bod_keras.encoders.FrameCNN(clips.shape[1:], widths=(8, 16, 32))(clips)
    network = keras.Model(clips, bod_keras.KoopmanSplit()(keras.layers.Dense(32)(frames)))

    loss = bod_keras.DecoupledLoss(static=bod_keras.InfoNCE(0.2), dynamic=bod_keras.InfoNCE(0.1))
    views = [keras.Input(clips.shape[1:]) for _ in range(2)]
    model = keras.Model(views, Contrast(loss)(*map(network, views)))
    model.compile(keras.optimizers.AdamW(2e-3))

    new = list(make_views(64, "test").swapaxes(0, 1))
    before = model.evaluate(new, batch_size=64, verbose=0)
    model.fit(list(make_views(256, "train").swapaxes(0, 1)), batch_size=32, epochs=5, verbose=2)
    after = model.evaluate(new, batch_size=64, verbose=0)
    print(f"loss on new videos: {before:.3f} before, {after:.3f} after")
    static, dynamic = network.predict(new[0], verbose=0)
    print(f"static parts {static.shape}, dynamic parts {dynamic.shape}")


if __name__ == "__main__":
    main()
