"""On JAX or PyTorch alone: everything but the tf.data loader, which says what is missing."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow", reason="this is about the other backends"
)
PROGRAM = """
import importlib.machinery, sys

class WithoutTensorFlow(importlib.machinery.PathFinder):
    "Finds what is installed, but for TensorFlow."
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "tensorflow" else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = WithoutTensorFlow
import keras, numpy as np, tempfile
import bod_keras

encoder = bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4, 8))
model = bod_keras.VSimCLR(encoder, bod_keras.KoopmanSplit(), bod_keras.BiLevel())
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
from bod_keras.data import ClipDataset
"""


def test_training_from_arrays_works_and_the_loader_says_what_is_missing():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.split() == ["trained", "True"], done.stderr
    assert "ClipDataset streams with tf.data and needs TensorFlow: pip install" in done.stderr
