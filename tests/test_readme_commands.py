"""The README's three commands for UCF101, word for word, on small videos in the official layout."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.video_files import make_ramp_clip, save_video

ROOT = Path(__file__).parent.parent
# What makes the run small; the commands themselves stay as they are.
SMALL = {
    "encoder.name": "frame_cnn",
    "clips.frames": 4,
    "clips.size": 16,
    "clips.batch_size": 4,
    "clips.workers": 1,
    "head.hidden": 16,
    "head.width": 16,
    "framework.predictor_hidden": 8,
    "epochs": 1,
    "monitors.every": 0,
    "optimizer.warmup_epochs": 0.5,
}


def readme_commands():
    text = (ROOT / "README.md").read_text()
    section = text.split("## From UCF101's zip files")[1].split("\n## ")[0].replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^    (python .*)$", section, re.MULTILINE)]


@pytest.fixture
def ucf101(tmp_path):
    """Two classes, dark and bright: 5 videos each for training, of which one is cut off, 2 for testing."""
    lists = {"trainlist01.txt": [], "testlist01.txt": []}
    for label, name in enumerate(("ApplyEyeMakeup", "HandstandPushups")):
        folder = tmp_path / "UCF-101" / name
        folder.mkdir(parents=True)
        for group in range(1, 8):
            file = f"v_{name.replace('stand', 'Stand')}_g{group:02d}_c01.avi"
            save_video(folder / file, make_ramp_clip(20, offset=120 * label + group))
            line = f"{name}/v_{name}_g{group:02d}_c01.avi"
            lists["testlist01.txt" if group < 3 else "trainlist01.txt"].append(
                line if group < 3 else f"{line} {label + 1}"
            )
    broken = tmp_path / "UCF-101/HandstandPushups/v_HandStandPushups_g07_c01.avi"
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8)
    save_video(broken, noise)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    (tmp_path / "ucfTrainTestlist").mkdir()
    for name, lines in lists.items():
        (tmp_path / "ucfTrainTestlist" / name).write_bytes("\r\n".join([*lines, ""]).encode())
    (tmp_path / "ucfTrainTestlist" / "classInd.txt").write_bytes(
        b"1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n"
    )
    return tmp_path


def test_ucf101_in_three_commands(ucf101):
    verify, train, evaluate = readme_commands()
    train += [f"--config.{key}={value}" for key, value in SMALL.items()]
    printed = []
    for command in (verify, train, evaluate):
        script = [str(ROOT / a) if a.endswith(".py") else a for a in command[1:]]
        script = [a.replace("=configs/", f"={ROOT}/configs/") for a in script]
        done = subprocess.run(
            [sys.executable, *script],
            cwd=ucf101,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    broken = "HandstandPushups/v_HandStandPushups_g07_c01.avi"
    assert (ucf101 / "broken.tsv").read_text().startswith(f"{broken}\ttruncated")
    assert re.search(
        r"annotated +14\npresent +14\nmissing +0\nunreadable +0\ntruncated +1", printed[0]
    )
    assert "Videos left out by broken.tsv: 1." in printed[1] and "9 videos" in printed[1]
    run = ucf101 / "runs" / "vbyol_ucf101-bod-seed0"
    report = json.loads((run / "report.json").read_text())
    assert list(report["training"]["blocked"]) == [f"UCF-101/{broken}"]
    assert report["training"]["skipped"] == {} and report["training"]["missing"] == []
    assert report["evaluation_linear"]["videos"] == [9, 4]
    assert re.search(r"vbyol_ucf101-bod +1 +label +0.500", printed[2])
