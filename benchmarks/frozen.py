"""What kept features of a frozen image model bring: seconds a step beside computing them in each, and what
heads on them know of the built-in videos.

    python benchmarks/frozen.py             both tables, about ten minutes on 2 cores
    python benchmarks/frozen.py --smoke     the same, tiny: does it run?
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
from keras import layers

import bod_keras
from bod_keras.data import ClipDataset, array_records, digit_drift_arrays
from bod_keras.evaluation import TrainingFeatures, format_table, linear_probe

FRAMES, SIZE = 10, 32


def image_model(stages=(16, 32, 64)):
    """Strided convolutions of single frames, 32 x 32 to a map of 4 x 4."""
    x = images = keras.Input((SIZE, SIZE, 3))
    for width in stages:
        x = layers.Conv2D(width, 5, 2, padding="same", use_bias=False)(x)
        x = layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))
    return keras.Model(images, x)


def train_backbone(videos, digits, epochs):
    """The image model, and the same trained with the digits of single frames as labels."""
    frames = videos[:, ::6].reshape(-1, SIZE, SIZE, 3).astype("float32") / 255
    labels = np.repeat(digits, videos[:, ::6].shape[1])
    found = {}
    for name, count in (("untrained", 0), ("supervised", epochs)):
        keras.utils.set_random_seed(0)
        images = image_model()
        pooled = layers.GlobalAveragePooling2D()(images.output)
        classifier = keras.Model(images.input, layers.Dense(10, activation="softmax")(pooled))
        classifier.compile(
            "adam" if count else keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy"
        )
        # Of the untrained one only the moving statistics move, without which its features would vanish.
        classifier.fit(frames, labels, 64, epochs=count or 1, verbose=0)
        found[name] = images
    return found


def seconds_a_step(model, batches, steps):
    """The mean of some steps after the first, which compiles."""
    next_batch = iter(batches)
    model.train_on_batch(next(next_batch)[0])
    before = time.perf_counter()
    for _ in range(steps):
        model.train_on_batch(next(next_batch)[0])
    return (time.perf_counter() - before) / steps


def make_model(images, preprocessing, frames, size, regions=1):
    encoder = bod_keras.encoders.FrameEncoder(
        images, preprocessing, (frames, size, size, 3), frozen=True, regions=regions
    )
    model = bod_keras.VSimCLR(encoder, decoupling=True, temperature=0.5)
    model.compile(keras.optimizers.AdamW(2e-3))
    return model


def time_steps(smoke):
    """A row a network of keras.applications, of random weights: what it computes takes the same time."""
    rows, frames, size = [], 8, 32 if smoke else 112
    rng = np.random.default_rng(0)
    videos = array_records(rng.integers(0, 256, (16, 16, size, size, 3), "uint8"))
    for name, preprocessing in (("MobileNetV2", "tf"), ("ResNet50", "caffe"))[: 1 if smoke else 2]:
        images = getattr(keras.applications, name)(
            input_shape=(size, size, 3), include_top=False, weights=None
        )
        model = make_model(images, preprocessing, frames, size)
        data = ClipDataset(videos, frames=frames, size=size, batch_size=8)
        without = seconds_a_step(model, data.training_numpy(), 2)
        features = rng.normal(size=(8, 3, *model.encoder.output_shape[1:])).astype("float32")
        model = make_model(images, preprocessing, frames, size)
        kept = seconds_a_step(model, iter([({"features": features},)] * 50), 3 if smoke else 40)
        rows.append(
            {
                "backbone": name,
                "s/step": f"{without:.2f}",
                "s/step, kept": f"{kept:.4f}",
                "ratio": f"{without / kept:.0f}",
            }
        )
    return rows


def probe_heads(smoke):
    """A row a backbone, number of regions, factor: linear probes of pooled features and of both parts."""
    count, epochs = (32, 1) if smoke else (1024, 28)
    train, *_ = digit_drift_arrays(count, 0.95)
    known, *of_known = digit_drift_arrays(80 if smoke else 560, 0.0, seed=1)
    asked, *of_asked = digit_drift_arrays(80 if smoke else 560, 0.0, images="test")
    rows = []
    for name, images in train_backbone(known, of_known[0], 1 if smoke else 20).items():
        for regions in (1, 4):
            keras.utils.set_random_seed(0)
            model = make_model(images, "unit", FRAMES, SIZE, regions)
            data = ClipDataset(
                array_records(train),
                frames=FRAMES,
                size=SIZE,
                batch_size=16 if smoke else 64,
                recipe="motion",
            )
            with tempfile.TemporaryDirectory() as folder:
                before = time.perf_counter()
                features = TrainingFeatures(model, data, folder, copies=1 if smoke else 8)
                filled = time.perf_counter() - before
                model.fit(
                    features.training_numpy(),
                    steps_per_epoch=features.steps_per_epoch,
                    epochs=epochs,
                    verbose=0,
                )
            took = time.perf_counter() - before - filled
            parts = [model.embed(x[:, 7 : 7 + FRAMES]) for x in (known, asked)]
            for factor, y, z in zip(("digit", "direction"), of_known, of_asked):
                rows.append(
                    {
                        "backbone": name,
                        "regions": f"{regions} x {regions}",
                        "features, s": f"{filled:.0f}",
                        f"{epochs} epochs, s": f"{took:.0f}",
                        "factor": factor,
                        **{
                            p: f"{linear_probe(parts[0][p], y, parts[1][p], z):.3f}"
                            for p in parts[0]
                        },
                    }
                )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--smoke", action="store_true", help="tiny: does it run?")
    smoke = parser.parse_args().smoke
    for table in (time_steps, probe_heads):
        rows = table(smoke)
        print(format_table(rows, list(rows[0])), flush=True)


if __name__ == "__main__":
    main()
