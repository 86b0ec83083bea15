"""On JAX or PyTorch alone: training from arrays and from videos; only tf.data streams say what is missing."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="this is about the other backends"
)
WITHOUT_TENSORFLOW = """
import importlib.machinery, sys

class WithoutTensorFlow(importlib.machinery.PathFinder):
    "Finds what is installed, but for TensorFlow."
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "tensorflow" else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = WithoutTensorFlow
"""
PROGRAM = """
import keras, numpy as np, tempfile
import bod_keras

encoder = bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4, 8))
model = bod_keras.VSimCLR(encoder, decoupling=True)
model.compile(keras.optimizers.Adam(1e-3))
views = np.random.default_rng(0).random((16, 2, 4, 16, 16, 3), "float32")
losses = model.fit(views, batch_size=8, epochs=2, verbose=0).history["loss"]
path = tempfile.mkdtemp() + "/model.keras"
model.save(path)
same = keras.models.load_model(path)
np.testing.assert_array_equal(same.predict(views[:, 0], verbose=0), model.predict(views[:, 0], verbose=0))
from bod_keras.data import array_records, open_store, read_catalog, write_shards
folder = tempfile.mkdtemp()
write_shards(array_records(np.full((2, 40, 8, 8, 3), 7, "uint8")), folder)
records = read_catalog(folder)
assert (open_store(records).frames(records[1].path, [0, 39]) == 7).all()
print("trained", np.isfinite(losses).all())
from bod_keras.data import ClipDataset, write_digit_drift
labels = write_digit_drift(tempfile.mkdtemp(), train=8, probe_train=1, probe_test=1, size=16, frames=6)
data = ClipDataset(read_catalog(labels, split="train"), frames=4, size=16, batch_size=4)
history = model.fit(data.training_numpy(), steps_per_epoch=data.steps_per_epoch, verbose=0).history
(first, second) = data.evaluation_numpy()
if keras.backend.backend() == "torch":
    loader, again = data.torch_loader(steps=3), data.training_numpy(steps=3)
    for batch, (arrays,) in zip(loader, again, strict=True):
        np.testing.assert_array_equal(batch["views"].numpy(), arrays["views"])
print("streamed", np.isfinite(history["loss"]).all(), model.embed(second["views"][:, 0])["pooled"].shape[0])
data.training()
"""


RUN = """
from bod_keras.commands.console import train
from bod_keras.configs import demo

config = demo.get_config("plain,smoke")
config.output, config.built_in.folder, config.epochs = sys.argv[1], sys.argv[1] + "/data", 1
config.built_in.update({"train": 32, "probe_train": 1, "probe_test": 1})
config.clips.batch_size = 8
train.train(config.to_dict())
"""


def run(program, *arguments):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW + program, *arguments],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_training_works_and_a_tf_data_stream_says_what_is_missing():
    done = run(PROGRAM)
    assert done.stdout.split() == ["trained", "True", "streamed", "True", "4"], done.stderr
    assert "ClipDataset streams with tf.data and needs TensorFlow: pip install" in done.stderr


def test_train_works(tmp_path):
    done = run(RUN, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Without TensorFlow there are no TensorBoard logs" in done.stdout
    assert (tmp_path / "demo-plain-smoke-seed0" / "model.keras").stat().st_size > 1000
