"""Commands of the documents, word for word, on small videos: UCF101 in three, PyTorch's weights in and out."""

import importlib
import json
import re
import shlex

import numpy as np
import pytest

import bod_keras
from tests.tiers import slow
from tests.typed_commands import ROOT, run_here
from tests.video_files import make_ramp_clip, save_video

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


def commands_of(page, heading):
    text = (ROOT / "docs" / page).read_text()
    section = text.split(f"## {heading}")[1].split("\n## ")[0].replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^    (python .*)$", section, re.MULTILINE)]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, eagerly):
    """Runs a command in the test's folder, with the checkout's scripts and configs: what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(command):
        _, script, *arguments = [a.replace("=configs/", f"={ROOT}/configs/") for a in command]
        if script == "-m":
            importlib.import_module(f"{arguments[0]}.__main__").main(arguments[1:])
            return capsys.readouterr().out
        done = run_here(capsys, script, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


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


def test_ucf101_in_three_commands(ucf101, run):
    verify, train, evaluate = commands_of("known_data_sets.md", "From UCF101's zip files")
    train += [f"--config.{key}={value}" for key, value in SMALL.items()]
    printed = [run(command) for command in (verify, train, evaluate)]
    broken = "HandstandPushups/v_HandStandPushups_g07_c01.avi"
    assert (ucf101 / "broken.tsv").read_text().startswith(f"{broken}\ttruncated")
    assert re.search(
        r"annotated +14\npresent +14\nmissing +0\nunreadable +0\ntruncated +1", printed[0]
    )
    assert "Videos left out by broken.tsv: 1." in printed[1] and "9 videos" in printed[1]
    folder = ucf101 / "runs" / "vbyol_ucf101-bod-seed0"
    report = json.loads((folder / "report.json").read_text())
    assert list(report["training"]["blocked"]) == [f"UCF-101/{broken}"]
    assert report["training"]["skipped"] == {} and report["training"]["missing"] == []
    assert report["evaluation_linear"]["videos"] == [9, 4]
    assert re.search(r"vbyol_ucf101-bod +1 +label +0.500", printed[2])
    assert "9 train videos: features are extracted" in printed[2]


@slow
def test_torchvision_weights_in_and_out(tmp_path, run):
    """The whole R3D-18, from a file with torchvision's keys to one; where a rate is zero, weights come back."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for i in range(2):
        save_video(videos / f"{i}.avi", make_ramp_clip(8, offset=60 * i))
    published = bod_keras.encoders.R3D18(input_shape=(None, 16, 16, 3))
    bod_keras.weights.save_torch(published, tmp_path / "r3d_18.safetensors")
    state = bod_keras.weights.read_state(tmp_path / "r3d_18.safetensors")
    bod_keras.weights.write_state(
        tmp_path / "r3d_18.safetensors", state | {"fc.weight": np.zeros((400, 512), "float32")}
    )
    train, export = commands_of("howto_pytorch.md", "From torchvision's R3D-18")
    train = [a.replace("/path/to/videos", str(videos)) for a in train]
    unlike = ("encoder.name", "framework.predictor_hidden", "optimizer.warmup_epochs")
    small = {key: value for key, value in SMALL.items() if key not in unlike}
    # One step, so small that a weight hardly moves; no decay.
    small |= {"clips.batch_size": 2, "optimizer.name": "sgd", "optimizer.learning_rate": 1e-6}
    small |= {"optimizer.weight_decay": 0.0, "optimizer.warmup_epochs": 0.0}
    printed = run([*train, *(f"--config.{key}={value}" for key, value in small.items())])
    assert "Encoder weights: r3d_18.safetensors, 100 tensors of torchvision's names" in printed
    run(export)
    trained = bod_keras.weights.read_state(tmp_path / "pretrained.safetensors")
    assert trained.keys() == state.keys()
    moved = [key for key in state if not np.array_equal(trained[key], state[key])]
    assert "layer4.1.conv2.1.running_mean" in moved  # it has trained
    for key in state:
        if not key.endswith(("running_mean", "running_var")):
            np.testing.assert_allclose(trained[key], state[key], atol=1e-3)
