"""A finished run too small to know anything, and videos for it."""

import json

import numpy as np

import bod_keras
from tests.video_files import save_video

FRAMES, STRIDE, SIZE = 4, 2, 16


def write_run(folder, seed=0):
    """What `embed` needs of the folder of a finished run."""
    import keras

    keras.utils.set_random_seed(seed)
    folder.mkdir(parents=True)
    encoder = bod_keras.encoders.FrameCNN(input_shape=(FRAMES, SIZE, SIZE, 3), widths=(4, 8))
    bod_keras.VSimCLR(encoder, decoupling=True).save(folder / "model.keras")
    clips = {"frames": FRAMES, "stride": STRIDE, "size": SIZE, "batch_size": 4, "views": 2}
    (folder / "report.json").write_text(json.dumps({"config": {"clips": clips}}))
    return folder


def write_video(path, number, frames=20):
    """Noise that is another one for each number."""
    rng = np.random.default_rng(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_video(
        path, np.repeat(rng.integers(0, 256, (frames, 4, 4, 3), np.uint8), 8, 1).repeat(8, 2)
    )
    return path
