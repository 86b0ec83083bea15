"""A Functional Keras model that says what is shown and how it moves, by way of a Koopman split.

Clips go through a per-frame network; `KoopmanSplit` separates what stays (the static part, which names the
digit) from what changes (the dynamic part, which names the direction of the drifting disc). Everything else is
ordinary Keras: compile, fit, evaluate, save, load. From the folder that holds `bod_keras`, or anywhere if it is
installed, on any backend:

    python -m examples.functional_app
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import layers

import bod_keras
from bod_keras.data import digit_drift_arrays

FRAMES, SIZE = 8, 32
CLASSES = {"appearance": 10, "motion": 8}


def make_data(count, images):
    """Clips (B, T, H, W, 3) in [0, 1] and their labels; digit and direction are independent (rho=0)."""
    videos, digit, direction = digit_drift_arrays(
        count, rho=0.0, frames=FRAMES, size=SIZE, images=images
    )
    return videos.astype("float32") / 255, {"appearance": digit, "motion": direction}


def make_model():
    clips = keras.Input((FRAMES, SIZE, SIZE, 3), name="clips")
    frames = bod_keras.encoders.FrameCNN(clips.shape[1:], widths=(8, 16, 32))(clips)
    frames = layers.Dense(32, name="embedding")(frames)
    static, dynamic = bod_keras.KoopmanSplit(name="split")(frames)
    outputs = {}
    for name, part in (("appearance", static), ("motion", dynamic)):
        # Frames have norm 1 inside the split, so that the parts are small numbers.
        part = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(part)
        outputs[name] = layers.Dense(CLASSES[name], name=name)(part)
    return keras.Model(clips, outputs, name="what_and_how")


def main():
    keras.utils.set_random_seed(0)
    clips, labels = make_data(640, "train")
    new_clips, new_labels = make_data(160, "test")

    model = make_model()
    model.compile(
        keras.optimizers.Adam(3e-3, clipnorm=1.0),
        loss={
            name: keras.losses.SparseCategoricalCrossentropy(from_logits=True) for name in CLASSES
        },
        metrics={name: ["accuracy"] for name in CLASSES},
    )
    model.fit(clips, labels, batch_size=32, epochs=6, verbose=2)

    scores = model.evaluate(new_clips, new_labels, batch_size=80, verbose=0, return_dict=True)
    for name, classes in CLASSES.items():
        accuracy = scores[f"{name}_accuracy"]
        print(f"{name}: accuracy {accuracy:.3f} on new clips, chance {1 / classes:.3f}")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path)
    one, other = model.predict(new_clips, verbose=0), loaded.predict(new_clips, verbose=0)
    apart = max(np.abs(one[name] - other[name]).max() for name in CLASSES)
    print(f"saved and loaded: predictions differ by at most {apart:.1e}")


if __name__ == "__main__":
    main()
