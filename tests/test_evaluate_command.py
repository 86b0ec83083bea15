"""evaluate.py as it is typed: splits, cache, low-shot, changed choices, misuse; on UCF101 in small."""

import csv
import json
import shutil
import subprocess
import sys
import time

import pytest

from bod_keras import experiment, training
from bod_keras.configs import base
from bod_keras.evaluation import write_report
from tests import typed_commands
from tests.evaluation.ucf101_tree import write_ucf101
from tests.outputs import check_output
from tests.tiers import slow
from tests.typed_commands import ROOT

pytestmark = pytest.mark.xdist_group("evaluate")  # one process: they share a run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run, as train.py leaves it, with what the tests need of it."""
    folder = tmp_path_factory.mktemp("run")
    root, annotations = write_ucf101(folder)
    config = base.get_config()
    config.name, config.output, config.decoupled = "tiny", str(folder), False
    config.data.update({"dataset": "ucf101", "root": root, "annotations": annotations})
    config.clips.update({"frames": 4, "size": 8, "batch_size": 4, "workers": 0})
    config.encoder.update({"name": "frame_cnn", "arguments": {"widths": (4, 6)}})
    config.head.update({"hidden": 8, "width": 4})
    model = experiment.build_model(config.to_dict(), steps_per_epoch=1)
    path = folder / "tiny-seed0"
    write_report(path / "report.json", config=config.to_dict(), training={"seconds_per_step": 0.1})
    training.save_model(model, path / "model.keras")
    return path


@pytest.fixture
def evaluate(capsys, monkeypatch):
    """Evaluates a run: exit code, output and errors."""

    def evaluate(run, *flags):
        monkeypatch.chdir(run.parent)
        done = typed_commands.run_here(capsys, "evaluate.py", f"--model={run}", *flags)
        return done.returncode, done.stdout, done.stderr

    return evaluate


def report(run, section):
    return json.loads((run / "report.json").read_text())[f"evaluation_{section}"]


def test_splits_are_averaged_and_the_second_time_comes_from_the_cache(evaluate, run):
    flags = ("--protocol=linear", "--protocol=knn", "--split=1,2", "--set=views=2")
    flags += ("--set=parts=('static',)",)
    code, first, errors = evaluate(run, *flags)
    assert code == 0, errors
    # All 18 videos are in the first split; the other one and the other protocol need no further ones.
    assert first.count("features are extracted") == 2
    assert "WARNING: Pre-training has seen 6 of the 6 test videos" in first.split("\n\n")[-1]
    name = "linear-split1+2-parts=('static',)-views=2"
    linear = report(run, name)
    assert [one["fold"] for one in linear["each"]] == [1, 2]
    scores = [one["factors"]["label"]["static"]["linear"] for one in linear["each"]]
    assert linear["factors"]["label"]["static"]["linear"] == pytest.approx(sum(scores) / 2)
    assert linear["modified"] == {"parts": [[], ["static"]], "views": [1, 2]}
    for one in linear["each"]:
        assert one["provenance"]["data"]["fold"] == one["fold"]
        for file in one["files"]:
            place = run / "evaluation" / name / f"split{one['fold']}-seed0" / file
            check_output(place)
    code, second, errors = evaluate(run, *flags)
    assert code == 0, errors
    assert "extracted" not in second and "12 train videos: features are from the cache" in second
    for one, other in zip(linear["each"], report(run, name)["each"], strict=True):
        assert one["factors"] == other["factors"]
    assert first.split("\n\n")[1:] == second.split("\n\n")[1:]  # the tables


def test_a_model_for_other_clips_gets_one_clear_message(evaluate, run):
    before = (run / "report.json").read_bytes()
    code, _, errors = evaluate(run, "--protocol=retrieval-tclr")
    assert code == 1 and errors.startswith(
        "evaluate.py: The protocol retrieval-tclr asks for clips of 16 frames and 112 x 112 pixels, "
        "but this model was made for 4 frames and 8 x 8"
    )
    assert (run / "report.json").read_bytes() == before


def test_a_test_video_in_the_training_list_stops_it(evaluate, run, tmp_path):
    root = run.parent / "UCF-101"
    for part, groups in (("train", (1, 2, 3)), ("test", (3, 4))):
        names = ("ApplyEyeMakeup", "Archery")
        lines = [
            f"{root}/{name}/v_{name}_g{group:02d}_c01.avi {label}"
            for label, name in enumerate(names)
            for group in groups
        ]
        (tmp_path / f"{part}.txt").write_text("\n".join(lines))
    flags = [f"--probe_{part}={tmp_path / part}.txt" for part in ("train", "test")]
    code, _, errors = evaluate(run, "--protocol=knn", *flags)
    assert code == 1 and "2 of the 4 test videos are in the training list" in errors
    assert "--allow_overlap" in errors


def test_low_shot_of_another_data_set_for_a_run_whose_videos_are_gone(evaluate, run, tmp_path):
    """As after a run was copied to another machine."""
    copy = tmp_path / "copied-seed0"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("features", "evaluation"))
    saved = json.loads((copy / "report.json").read_text())
    saved["config"]["data"]["root"] = "/nowhere"
    (copy / "report.json").write_text(json.dumps(saved))
    flags = ["--dataset=ucf101", f"--root={run.parent}/UCF-101", "--split=2", "--seeds=0,1"]
    flags += [f"--annotations={run.parent}/lists", "--per_class=1", "--protocol=knn"]
    code, output, errors = evaluate(copy, *flags)
    assert code == 0, errors
    assert "it is not known whether it has seen test videos" in output and "±" in output
    result = report(copy, "knn-ucf101-split2-1-per-class")
    assert [(one["seed"], one["videos"]) for one in result["each"]] == [(0, [3, 6]), (1, [3, 6])]
    hashes = {one["provenance"]["data"]["train"]["files_sha256"] for one in result["each"]}
    assert len(hashes) == 2  # other videos were drawn


def test_a_broken_video_is_skipped_counted_and_named(evaluate, run, tmp_path):
    copy = tmp_path / "UCF-101"
    shutil.copytree(run.parent / "UCF-101", copy)
    broken = copy / "Archery" / "v_Archery_g05_c01.avi"
    broken.write_bytes(b"no video")
    flags = ["--dataset=ucf101", f"--root={copy}", f"--annotations={run.parent}/lists"]
    code, output, errors = evaluate(run, *flags, "--protocol=knn")
    assert code == 0, errors
    assert "1 of 12 train videos were skipped (all in report.json):\n" in output
    assert f"  {broken}: no video stream" in output
    result = report(run, "knn-ucf101")
    assert list(result["skipped"]) == [str(broken)] and result["videos"] == [11, 6]


@slow
def test_a_killed_training_goes_on_and_an_epoch_chosen_on_test_is_said_to_be(evaluate, run):
    flags = ["--protocol=finetune", "--set=epochs=10", "--set=warmup_epochs=0.0", "--set=views=1"]
    flags += ["--set=crops=1", "--set=batch_size=4", "--set=checkpoint='test'"]
    command = [sys.executable, ROOT / "evaluate.py", f"--model={run}", *flags]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while not list(run.glob("evaluation/finetune-*/training-*/checkpoints/step-*.keras")):
            assert process.poll() is None
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    (folder,) = run.glob("evaluation/finetune-*/training-*")
    assert not (folder / "result.npz").exists()
    code, output, errors = evaluate(run, *flags)
    assert code == 0, errors
    assert "12 labeled videos, 3 steps an epoch, 10 epochs, resumed at step " in output
    assert "WARNING: finetune chooses the epoch on the test videos" in output.split("\n\n")[-1]
    result = report(run, folder.parent.name)
    assert result["chosen_on"] == "test" and result["epochs"] == 10
    with open(folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(3, 31, 3))
    assert result["chosen_accuracy"] == max(float(row["val_accuracy"]) for row in rows)
    assert result["provenance"]["protocol"]["settings"]["recipe"] == "crop"
    assert (folder.parent / "label-classifier" / "confusion.png").exists()


def test_a_protocol_that_brings_its_own_videos(evaluate, run):
    quick = ("epochs=1", "warmup_epochs=0.0", "every_train=16", "every_test=8", "bins=2")
    flags = ["--protocol=detect-moving-discs", *(f"--set={choice}" for choice in quick)]
    code, output, errors = evaluate(run, *flags)
    assert code == 0, errors
    assert "160 key frames to learn from, 128 to test on, 4 classes" in output
    (name,) = (n for n in json.loads((run / "report.json").read_text()) if "discs" in n)
    result = report(run, name.removeprefix("evaluation_"))
    assert 0 < result["frame_map@0.5"] <= 1 and f"{result['frame_map@0.5']:.3f}" in output
    assert result["provenance"]["data"]["source"] == "boxes" and result["videos"] == [160, 64]
    folder = run / "evaluation" / name.removeprefix("evaluation_")
    for file in result["files"]:
        check_output(folder / file)


def test_a_folder_without_labels(evaluate, run, tmp_path):
    """What the parts know and are like; the run is plain, and its page says so."""
    for number, file in enumerate(sorted((run.parent / "UCF-101").rglob("*.avi"))[:6]):
        shutil.copy(file, tmp_path / f"{number}.avi")
    flags = [f"--probe_test={tmp_path}", "--protocol=mine.py", "--protocol=diagnose"]
    (run.parent / "mine.py").write_text(
        "from bod_keras.configs.protocols import factors_real\n"
        "def get_config():\n"
        "    config = factors_real.get_config()\n"
        "    config.update({'name': 'mine', 'clips': 2, 'speeds': (1, 2)})\n"
        "    return config\n"
    )
    code, output, errors = evaluate(run, *flags, "--set=most_videos=5")
    assert code == 0, errors
    assert "5 test videos: features are extracted" in output
    assert "  static part: " in output and "must not change when frames are shuffled" in output
    found = report(run, "mine-most_videos=5")
    assert list(found["factors"]) == ["file", "speed", "direction", "order"]
    assert found["videos"] == [6] and found["provenance"]["data"]["train"] is None
    page = run / "evaluation" / "diagnose-most_videos=5" / "diagnose.html"
    assert "untrained split" in page.read_text(encoding="utf-8")
    assert report(run, "diagnose-most_videos=5")["used"] == 5
    assert "WARNING: This is a plain run" in output


def test_help_lists_protocols_and_their_keys_without_keras():
    command = [sys.executable, "-X", "importtime", ROOT / "evaluate.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ml_collections" in imported and not {"keras", "tensorflow", "numpy"} & imported
    lines = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert {"linear-tclr", "--model:", "--set=learning_rate=0.01", "--set=time_pool=mean"} <= set(
        lines
    )


def test_a_fault_of_the_program_keeps_its_traceback(evaluate, run, monkeypatch):
    def broken(*arguments):
        raise ValueError("a fault")

    monkeypatch.setattr("bod_keras.commands.evaluate.result_tables", broken)
    with pytest.raises(ValueError, match="a fault"):
        evaluate(run, "--protocol=knn")
