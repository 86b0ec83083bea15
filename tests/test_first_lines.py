"""The README's first code block runs as it stands, but for the run that it loads."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bod_keras
from tests.tiers import slow

README = Path(__file__).parents[1] / "README.md"


def test_the_first_block_of_the_readme_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL).group(1)
    encoder = bod_keras.encoders.FrameCNN(input_shape=(10, 32, 32, 3), widths=(4, 8))
    bod_keras.VSimCLR(encoder, decoupling=True).save(tmp_path / "model.keras")
    code = code.replace("runs/demo-bod-seed0", tmp_path.as_posix())
    assert tmp_path.as_posix() in code
    clips = np.random.default_rng(0).random((3, 10, 32, 32, 3), "float32")
    made = {}

    class VMoCo(bod_keras.VMoCo):
        def __init__(self, encoder, decoupling=None):
            super().__init__(encoder, decoupling, queue_size=8)
            made[str(decoupling)[:10]] = self.decoupling

    names = {"clips": clips}
    exec(code.replace("bod_keras.VMoCo(", "VMoCo("), {"VMoCo": VMoCo, **names}, names)
    recommended = bod_keras.Decoupling(static_view=None)
    assert made["None"] is None and made["True"] == recommended
    assert made["paper"] == bod_keras.Decoupling.named("paper")
    assert made["Decoupling"].ridge == 0.3 and made["Decoupling"].motion_view is None
    assert {name: part.shape for name, part in names["parts"].items()} == {
        "pooled": (3, 8),
        "static": (3, bod_keras.ProjectionHead().width),
        "dynamic": (3, 576),
    }
    assert all(np.isfinite(part).all() for part in names["parts"].values())


def test_a_model_of_version_01_names_the_version_that_reads_it():
    with pytest.raises(bod_keras.UserError, match="bod_keras==0.1.0"):
        bod_keras.VSimCLR.from_config({"encoder": None, "decoupling": None, "bilevel": None})


@slow
def test_data_is_there_after_the_first_line():
    code = "import bod_keras; print(bod_keras.data.read_frames.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "read_frames", done.stderr
