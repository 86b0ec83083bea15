"""The protocols of action detection: moving discs end to end, AVA and UCF101-24 in small, truths by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from bod_keras.data import ClipDataset, read_dataset
from bod_keras.encoders import FrameCNN
from bod_keras.evaluation.protocols import (
    Split,
    Subject,
    change_protocol,
    read_protocol,
    run_protocol,
)
from tests.data.datasets.trees import write_files
from tests.detection.discs import make_conv, write_discs
from tests.tiers import slow
from tests.tiny_models import weights_of
from tests.video_files import make_ramp_clip, save_video

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"
QUICK = ("batch_size=4", "epochs=1", "warmup_epochs=0.0", "bins=3")


def subject_of(model, folder, name, root, annotations=None, **clips):
    def make_data(catalog, **changes):
        return ClipDataset(catalog.records, workers=0, batch_size=1, **{**clips, **changes})

    splits = [
        Split(read_dataset(name, root, annotations, split), make_data, which)
        for split, which in (("train", "train"), ("val" if "ava" in name else "test", "test"))
    ]
    config = {"data": {"dataset": name, "root": root, "annotations": annotations}}
    return Subject(model, config, *splits, folder)


def rows_of(file):
    with open(file, newline="") as stream:
        return list(csv.reader(stream))


@slow
def test_a_detector_learns_where_discs_move_to(tmp_path):
    root = write_discs(tmp_path, train=48, test=12)
    encoder = make_conv()
    before = weights_of(encoder)
    subject = subject_of(encoder, tmp_path / "out", "boxes", str(root), frames=6, size=32)
    protocol = change_protocol(
        read_protocol("detect-moving-discs", FOLDER), ["every_test=2", "epochs=4"]
    )
    result = run_protocol(subject, protocol)
    assert result["frame_map@0.5"] >= 0.9 and result["video_map@0.5"] >= 0.9
    assert 0 < result["video_map@0.5:0.95"] <= result["video_map@0.2"] <= 1
    assert result["key_frames"] == [48 * 8, 12 * 8] and result["boxes"] == 12 * 8 * 2
    for weight, old in zip(weights_of(encoder), before):
        np.testing.assert_array_equal(weight, old)  # a copy was trained
    table = rows_of(tmp_path / "out" / "per_class.csv")
    assert table[0] == ["class", "boxes", "frame_ap@0.5", "video_ap@0.5"]
    assert [row[0] for row in table[1:]] == ["right", "down", "left", "up"]
    measured = [float(row[2]) for row in table[1:] if row[2]]
    assert np.mean(measured) == pytest.approx(result["frame_map@0.5"], abs=1e-4)


@pytest.fixture(scope="module")
def ava(tmp_path_factory):
    """Two films of 6 s that start at second 900, and their annotations."""
    folder = tmp_path_factory.mktemp("ava")
    (folder / "videos").mkdir()
    for n, name in enumerate(("film-train", "film-val")):
        save_video(folder / "videos" / f"{name}.avi", make_ramp_clip(60, offset=9 * n), fps=10.0)
    box, other = "0.1,0.1,0.5,0.9", "0.5,0.2,0.9,0.9"
    actions = "".join(f'item {{\n  name: "action {n}"\n  id: {n}\n}}\n' for n in range(1, 81))
    return str(folder / "videos"), write_files(
        folder / "lists",
        {
            "ava_train_v2.2.csv": f"film-train,0902,{box},1,0\nfilm-train,0902,{box},79,0\n"
            f"film-train,0903,{other},12,1\nfilm-train,0904,{box},2,0\n",
            "ava_val_v2.2.csv": f"film-val,0902,{box},79,0\nfilm-val,0902,{other},12,1\n"
            f"film-val,0903,{box},2,0\nfilm-val,0904,{box},79,0\n",
            "ava_train_excluded_timestamps_v2.2.csv": "",
            "ava_val_excluded_timestamps_v2.2.csv": "film-val,0904\n",
            "ava_action_list_v2.2.pbtxt": actions,
        },
    )


AVA_CLIPS = ("frames=2", "size=16", "stride=2")


def ava_subject(ava, folder):
    model = FrameCNN((2, 16, 16, 3), widths=(4,))
    return subject_of(model, folder, "ava2.2-15min", *ava, frames=2, size=16, stride=2)


def test_ava_counts_as_its_evaluation_server(ava, tmp_path):
    """60 classes, the excluded second left out, a detection where nobody is annotated is false."""
    persons = write_files(
        tmp_path,
        {
            "boxes.csv": "film-val,0902,0.1,0.1,0.5,0.9,,0.95\nfilm-val,0902,0.5,0.2,0.9,0.9,,0.5\n"
            "film-val,0904,0.1,0.1,0.5,0.9,,0.99\nfilm-val,0905,0.1,0.1,0.5,0.9,,0.92\n"
        },
    )
    protocol = read_protocol("detect-ava", FOLDER)
    assert len(protocol.evaluated) == 60 and protocol.limit == 50
    protocol = change_protocol(protocol, [*AVA_CLIPS, *QUICK, f"persons={persons}/boxes.csv"])
    result = run_protocol(ava_subject(ava, tmp_path / "out"), protocol)
    # Tested: 902 with one box of two, 903 without, 905; id 2 is none of the 60, ids 12 and 79 are.
    assert result["key_frames"] == [3, 3] and result["boxes"] == 2 and result["classes"] == 2
    table = {row[0]: row[1:] for row in rows_of(tmp_path / "out" / "per_class.csv")[1:]}
    assert len(table) == 60 and "action 2" not in table
    assert table["action 12"] == ["1", "0.0000"]  # its box has too low a score
    detections = rows_of(tmp_path / "out" / "detections.csv")
    assert {(row[0], row[1]) for row in detections} == {("film-val", "0902"), ("film-val", "0905")}
    scores = {row[1]: float(row[-1]) for row in detections if row[6] == "79"}
    expected = 1.0 if scores["0902"] > scores["0905"] else 0.5
    assert float(table["action 79"][1]) == expected
    assert result["frame_map@0.5"] == pytest.approx(expected / 2)


def test_the_second_time_only_scores_and_another_choice_trains_anew(ava, tmp_path, capsys):
    protocol = change_protocol(read_protocol("detect-ava", FOLDER), [*AVA_CLIPS, *QUICK])
    subject = ava_subject(ava, tmp_path / "out")
    first = run_protocol(subject, protocol)
    assert first["key_frames"] == [3, 2] and first["boxes"] == 3 and first["classes"] == 2
    assert "trained already" not in capsys.readouterr().out
    assert run_protocol(subject, protocol) == first
    assert "trained already" in capsys.readouterr().out
    limited = run_protocol(subject, change_protocol(protocol, ["limit=1"]))
    assert "trained already" in capsys.readouterr().out
    assert limited["frame_map@0.5"] < 1.0
    run_protocol(subject, change_protocol(protocol, ["learning_rate=0.01"]))
    assert "trained already" not in capsys.readouterr().out


def test_a_protocol_of_another_data_set(ucf, tmp_path):
    with pytest.raises(ValueError, match="evaluates class 79, .* these videos have 2 classes"):
        ucf_results(ucf, tmp_path, "evaluated=(0, 79)")


@pytest.fixture(scope="module")
def ucf(tmp_path_factory):
    """Two videos and one that is broken, with the tubes of UCF101-24 as JSON."""
    folder = tmp_path_factory.mktemp("ucf")
    content = {"class_names": ["Basketball", "Biking"], "splits": {"train": [], "test": []}}
    content["videos"] = {}
    for n, split in enumerate(("train", "test")):
        name = f"{content['class_names'][n]}/v_{split}_g01_c01"
        (folder / "videos" / content["class_names"][n]).mkdir(parents=True)
        save_video(folder / "videos" / f"{name}.avi", make_ramp_clip(8, offset=30 * n))
        boxes = [[2 + t, 3, 14 + t, 21] for t in range(6)]
        tubes = [{"label": n, "frames": list(range(1, 7)), "boxes": boxes}]
        content["splits"][split] = [name]
        content["videos"][name] = {"size": [24, 32], "tubes": tubes}
    broken = "Biking/v_test_g02_c01"
    (folder / "videos" / f"{broken}.avi").write_bytes(b"no video")
    content["splits"]["test"].append(broken)
    content["videos"][broken] = content["videos"][name]
    write_files(folder, {"gt/ucf101_24.json": json.dumps(content)})
    return str(folder / "videos"), str(folder / "gt")


def ucf_results(ucf, folder, *changes):
    model = FrameCNN((2, 16, 16, 3), widths=(4,))
    protocol = read_protocol("detect-ucf101-24", FOLDER)
    protocol = change_protocol(protocol, ["frames=2", "size=16", *QUICK, *changes])
    clips = {"frames": 2, "size": 16, "stride": 2, "max_bad_share": 0.5}
    subject = subject_of(model, folder, "ucf101-24", *ucf, **clips)
    return run_protocol(subject, protocol), subject


def test_ucf101_24_on_every_frame(ucf, tmp_path):
    """One class in the test: every box that can be read is right, so all is 1."""
    result, subject = ucf_results(ucf, tmp_path)
    assert result["key_frames"] == [1, 12] and result["boxes"] == 6 and result["classes"] == 1
    ((path, reason),) = subject.test.skipped.items()
    assert path.endswith("v_test_g02_c01.avi") and reason.startswith("no video stream")
    for name in ("frame_map@0.5", "video_map@0.2", "video_map@0.5", "video_map@0.5:0.95"):
        assert result[name] == 1.0
    assert rows_of(tmp_path / "detections.csv")[0][:2] == ["Biking/v_test_g01_c01", "0001"]


def test_ucf101_24_from_given_boxes(ucf, tmp_path):
    """Right boxes in three frames of six: half of the frames, and half of the tube."""
    rows = [
        f"v_test_g01_c01,{t},{(1 + t) / 32},0.125,{(13 + t) / 32},0.875,,0.9" for t in (1, 2, 3)
    ]
    persons = write_files(tmp_path, {"boxes.csv": "\n".join([*rows, "else,1,0,0,1,1,,1.0"])})
    result, _ = ucf_results(ucf, tmp_path / "out", f"persons={persons}/boxes.csv")
    assert result["frame_map@0.5"] == 0.5 and result["boxes"] == 3
    assert result["video_map@0.2"] == 1.0 and result["video_map@0.75"] == 0.0
    write_files(tmp_path, {"boxes.csv": "else,1,0,0,1,1,,1.0"})
    with pytest.raises(
        ValueError, match=r"Not one of the 1 videos .*Biking/v_test_.* Received: \['else'"
    ):
        ucf_results(ucf, tmp_path / "out", f"persons={persons}/boxes.csv")
