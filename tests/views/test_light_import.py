"""`import bod_keras` needs nothing that only reading videos, plots or probes need, nor do the evaluations."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bod_keras.data

CODE = """
import sys
sys.modules.update({name: None for name in ("cv2", "matplotlib", "sklearn")})
import bod_keras, bod_keras.data
augmenter = bod_keras.ClipAugmenter.from_recipe("cvrl", 8)
print([name for name in sys.modules if name.startswith("bod_keras.data.")])
del sys.modules["cv2"]
import bod_keras.evaluation, bod_keras.evaluation.protocols
"""


def test_the_package_imports_without_opencv_matplotlib_scikit_learn_and_its_loaders():
    """Keras imports the first three itself if they are there, so they are taken away."""
    found = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    # Protobuf among others is what more would import.
    assert found.stdout == "['bod_keras.data.record', 'bod_keras.data.open_store']\n"


@pytest.mark.parametrize("name", bod_keras.data.__all__)
def test_every_public_name_of_data_is_there(name):
    assert getattr(bod_keras.data, name) is not None
    assert name in dir(bod_keras.data)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'ClipDatasets'"):
        bod_keras.data.ClipDatasets  # noqa: B018
