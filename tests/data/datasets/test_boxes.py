"""AVA and UCF101-24: boxes, ids and tables that cannot be understood."""

import json
import os

import numpy as np
import pytest

from bod_keras.data import Box
from bod_keras.data.datasets import (
    read_ava_predictions,
    read_dataset,
    ucf101_24_to_json,
)
from tests.data.datasets.python2_pickle import python2_pickle
from tests.data.datasets.trees import touch, write_files


@pytest.fixture
def ava(tmp_path):
    labels = write_files(
        tmp_path / "ava_v2.2",
        {
            "ava_train_v2.2.csv": "-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,80,1\n"
            "-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,9,1\n"
            "-5KQ66BBWC4,0902,0.226,0.032,0.366,0.497,12,0\n"
            "-5KQ66BBWC4,0903,0.226,0.032,0.366,0.497,12,0\n"
            "-5KQ66BBWC4,1798,0.226,0.032,0.366,0.497,,0\n"
            "053oq2xB3oU,0904,0.1,0.2,0.3,0.4,79,5\n",
            "ava_train_excluded_timestamps_v2.2.csv": "-5KQ66BBWC4,0903\n",
            "ava_test_v2.2.txt": "-5KQ66BBWC4\n",
            "ava_test_excluded_timestamps_v2.2.csv": "-5KQ66BBWC4,0902\n",
            "ava_action_list_v2.2.pbtxt": 'item {\n  name: "bend/bow (at the waist)"\n  id: 1\n}\n'
            'item {\n  name: "watch (a person)"\n  id: 80\n}\n',
            "ava_action_list_v2.2_for_activitynet_2019.pbtxt": 'item { name: "x" id: 3 }\n',
        },
    )
    return touch(tmp_path / "videos", "-5KQ66BBWC4.mkv"), labels


def test_ava(ava):
    root, labels = ava
    catalog = read_dataset("ava2.2", root, labels, "train")
    first, last = catalog.records  # second 903 is excluded, the second film is missing
    assert first.path == os.path.join(root, "-5KQ66BBWC4.mkv")
    assert first.span == (900.5, 903.5) and first.labels == (8, 11, 79)
    assert first.boxes == (
        Box((0.077, 0.151, 0.283, 0.811), (79, 8), time=902.0, track=1),
        Box((0.226, 0.032, 0.366, 0.497), (11,), time=902.0, track=0),
    )
    assert last.span == (1796.5, 1799.5) and last.labels == () and last.boxes[0].labels == ()
    assert catalog.missing == ["053oq2xB3oU"]
    assert len(catalog.class_names) == 80
    assert catalog.class_names[0] == "bend/bow (at the waist)"
    assert catalog.class_names[79] == "watch (a person)" and catalog.class_names[2] == "action 3"


def test_ava_in_cuts_of_15_minutes(ava):
    first, _ = read_dataset("ava2.2-15min", *ava, "train").records
    assert first.span == (0.5, 3.5) and first.boxes[0].time == 2.0


def test_ava_as_frames_of_the_cuts(ava, tmp_path):
    root = touch(tmp_path / "frames", "-5KQ66BBWC4/-5KQ66BBWC4_000001.jpg")
    first, last = read_dataset("ava2.2-15min", root, ava[1], "train").records
    assert first.path == os.path.join(root, "-5KQ66BBWC4")
    assert [box.frame for box in first.boxes] == [60, 60]  # (902 - 900) * 30
    assert last.boxes[0].frame == (1798 - 900) * 30


def test_ava_test_split_has_key_frames_without_boxes(ava):
    records = read_dataset("ava2.2", *ava, "test").records
    assert len(records) == 1798 - 902  # one of 897 is excluded
    assert records[0].span == (901.5, 904.5) and not records[0].boxes


def test_ava_2_1_has_another_form_of_action_list(ava, tmp_path):
    root, _ = ava
    labels = write_files(
        tmp_path / "ava_v2.1",
        {
            "ava_val_v2.1.csv": "-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,80,1\n",
            "ava_val_excluded_timestamps_v2.1.csv": "",
            "ava_action_list_v2.1_for_activitynet_2018.pbtxt.txt": "label {\n"
            '  name: "crouch/kneel"\n  label_id: 3\n  label_type: PERSON_MOVEMENT\n}\n',
        },
    )
    catalog = read_dataset("ava2.1", root, labels, "val")
    assert catalog.class_names[2] == "crouch/kneel" and catalog.records[0].labels == (79,)


ROW = "-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811"


@pytest.mark.parametrize("action", ["", "-1"])
def test_ava_rows_without_an_action_are_boxes_without_labels(ava, action):
    root, labels = ava
    write_files(labels, {"ava_train_v2.2.csv": f"{ROW},{action},3\n{ROW},{action},4\n"})
    (record,) = read_dataset("ava2.2", root, labels, "train").records
    assert record.labels == () and [box.labels for box in record.boxes] == [(), ()]


@pytest.mark.parametrize(
    "row, expected",
    [
        ("video,second,x1,y1,x2,y2,action,person", "without a header. Received: 'video,second"),
        (f"{ROW},95,3", "actions must lie in 1 to 80.*Received: '95'"),
        (f"{ROW},0,3", "actions must lie in 1 to 80.*Received: '0'"),
        (f"{ROW},-2,3", "actions must lie in 1 to 80.*Received: '-2'"),
        (f"{ROW},run,3", "actions must lie in 1 to 80.*Received: 'run'"),
        (f"{ROW},12,0.9954", "eighth cell must be the number of the person. Received: '0.9954'"),
        (f"{ROW},12", "expected 'video,second,x1"),
        (ROW.replace("0902", "inf") + ",12,3", "expected 'video,second,x1"),
        (ROW.replace("0.077", "nan") + ",12,3", "expected 'video,second,x1"),
        (ROW.replace("0902", "902.5") + ",12,3", "expected 'video,second,x1"),
        (ROW.replace("0.283", "283") + ",12,3", "shares of width and height.*Divide pixels"),
    ],
)
def test_ava_rows_that_cannot_be_understood(ava, row, expected):
    root, labels = ava
    write_files(labels, {"ava_train_v2.2.csv": f"{ROW},12,3\n{row}\n"})
    with pytest.raises(ValueError, match=f"ava_train_v2.2.csv, line 2: .*{expected}"):
        read_dataset("ava2.2", root, labels, "train")


@pytest.mark.parametrize(
    "name, text, expected",
    [
        (
            "ava_train_excluded_timestamps_v2.2.csv",
            "a,0902\nb\n",
            "line 2: expected 'VIDEO,SECOND'",
        ),
        ("ava_train_excluded_timestamps_v2.2.csv", "a,x\n", "line 1: .*Received: 'x'"),
        ("ava_action_list_v2.2.pbtxt", 'item { name: "x" id: 81 }', "Received the ids: 81"),
        ("ava_action_list_v2.2.pbtxt", 'item { name: "x" id: 0 }', "Received the ids: 0"),
        ("ava_action_list_v2.2.pbtxt", "nothing", "Received the ids: none"),
        ("ava_train_excluded_timestamps_v2.2.csv", "a,902.5\n", "line 1: expected 'VIDEO,SECOND'"),
        (
            "ava_action_list_v2.2.pbtxt",
            'item { name: "x" id: 3 }\nitem { name: "y" id: 3 }',
            "each once. Received the ids: 3, 3",
        ),
        (
            "ava_action_list_v2.2.pbtxt",
            "item { name: \"x\" id: 3 }\nitem { name: 'y' id: 4 }",
            "name in double quotes.*Received the ids: 3",
        ),
    ],
)
def test_other_files_of_ava_that_cannot_be_understood(ava, name, text, expected):
    root, labels = ava
    write_files(labels, {name: text})
    with pytest.raises(ValueError, match=f"{name}.*{expected}"):
        read_dataset("ava2.2", root, labels, "train")


def test_ava_predictions_from_a_table_and_a_pickle_file(tmp_path):
    table = tmp_path / "ava_val_predicted_boxes.csv"
    table.write_text("-5KQ66BBWC4,0902,0.1,0.2,0.3,0.8,,0.75\n")
    proposals = tmp_path / "ava_dense_proposals_val.FAIR.recall_93.9.pkl"
    rows = np.array([[0.1, 0.2, 0.3, 0.8, 0.75]])
    proposals.write_bytes(python2_pickle({"-5KQ66BBWC4,0902": rows}))
    expected = {("-5KQ66BBWC4", 902): (Box((0.1, 0.2, 0.3, 0.8), time=902.0, score=0.75),)}
    assert read_ava_predictions(table) == read_ava_predictions(proposals) == expected
    table.write_text("-5KQ66BBWC4,0902,0.1,0.2,0.3,0.8,12,1\n")
    with pytest.raises(ValueError, match="line 1: a predicted box has no action. Received: '12'"):
        read_ava_predictions(table)


@pytest.mark.parametrize("score", ["", "high", "nan"])
def test_ava_predictions_need_a_score(tmp_path, score):
    (tmp_path / "boxes.csv").write_text(f"{ROW},,0.5\n{ROW},,{score}\n")
    with pytest.raises(
        ValueError, match=f"boxes.csv, line 2: expected a score. Received: '{score}'"
    ):
        read_ava_predictions(tmp_path / "boxes.csv")


@pytest.mark.parametrize(
    "content, expected",
    [
        ([1], "must hold a dict. Received: list"),
        ({"video": np.zeros((1, 5))}, "expected keys such as 'VIDEO,0902'. Received: 'video'"),
        ({"v,0902": [1]}, "'v,0902': expected an array of rows x1 y1 x2 y2 score"),
        ({"v,0902": np.zeros((1, 4))}, "'v,0902': expected an array of rows"),
        ({"v,0902": np.full((1, 5), np.nan)}, "'v,0902': boxes and scores must be finite"),
        ({"v,0902": np.full((1, 5), 300.0)}, "'v,0902': boxes must be shares"),
        ({"v,0902": np.ones((1, 5), bool)}, "'v,0902': boxes and scores must be finite"),
    ],
)
def test_proposals_that_cannot_be_understood(tmp_path, content, expected):
    (tmp_path / "boxes.pkl").write_bytes(python2_pickle(content))
    with pytest.raises(ValueError, match=f"boxes.pkl.*{expected}"):
        read_ava_predictions(tmp_path / "boxes.pkl")


NAME = "HorseRiding/v_HorseRiding_g05_c02"
OTHER = "Basketball/v_Basketball_g01_c01"
CLASSES = ["Basketball", "HorseRiding"]


def tubes_file():
    """What UCF101v2-GT.pkl holds, for two videos: frames from 1, boxes in pixels."""
    tube = np.array([[1, 32, 24, 160, 240], [2, 64, 24, 160, 120]], np.float32)
    return {
        "labels": CLASSES,
        "gttubes": {NAME: {1: [tube, tube[1:]]}, OTHER: {0: [tube[:1]]}},
        "nframes": {NAME: 90, OTHER: 60},
        "train_videos": [[NAME]],
        "test_videos": [[OTHER]],
        "resolution": {NAME: (240, 320), OTHER: (240, 320)},
    }


def check_horse(catalog):
    (record,) = catalog.records
    assert record.path.endswith(NAME) and record.label == catalog.class_names.index("HorseRiding")
    first, second, *_ = record.boxes
    assert first == Box((0.1, 0.1, 0.5, 1.0), (record.label,), frame=0, track=0)
    assert second.frame == 1 and second.corners == (0.2, 0.1, 0.5, 0.5)


@pytest.fixture
def frames(tmp_path):
    return touch(tmp_path / "rgb-images", f"{NAME}/00001.jpg", f"{OTHER}/00001.jpg")


def test_ucf101_24_from_tubes_and_from_json(tmp_path, frames):
    source = tmp_path / "gt" / "UCF101v2-GT.pkl"
    write_files(tmp_path, {"gt/UCF101v2-GT.pkl": python2_pickle(tubes_file())})
    catalog = read_dataset("ucf101-24", frames, source.parent, "train")
    check_horse(catalog)
    assert catalog.class_names == CLASSES and catalog.records[0].boxes[2].track == 1
    both = read_dataset("ucf101-24", frames, source.parent)
    assert [(r.split, r.label) for r in both.records] == [("train", 1), ("test", 0)]
    (tmp_path / "json").mkdir()
    ucf101_24_to_json(source, tmp_path / "json" / "ucf101_24.json")
    again = read_dataset("ucf101-24", frames, tmp_path / "json")
    assert again == both
    assert json.loads((tmp_path / "json" / "ucf101_24.json").read_text())["class_names"] == CLASSES


def test_ucf101_24_from_pyannot(tmp_path, frames):
    # Bytes, in which 200 + 100 is 44.
    boxes = np.array([[32, 24, 128, 216], [64, 24, 96, 96], [200, 0, 100, 9]], np.uint8)
    tube = {"label": 9, "sf": 0, "ef": 3, "boxes": boxes}
    content = {
        NAME: {"annotations": [tube], "numf": 90, "label": 9},
        OTHER: {"annotations": [], "numf": 60, "label": 0},
    }
    source = write_files(tmp_path / "splitfiles", {"pyannot.pkl": python2_pickle(content)})
    with pytest.raises(FileNotFoundError, match="put testlist01.txt beside it"):
        read_dataset("ucf101-24", frames, source)
    write_files(source, {"testlist01.txt": f"{OTHER}\n"})
    catalog = read_dataset("ucf101-24", frames, source, "train")
    check_horse(catalog)
    assert len(catalog.class_names) == 24
    assert catalog.records[0].boxes[2].corners == (200 / 320, 0, 300 / 320, 9 / 240)


def test_ucf101_24_that_is_something_else(tmp_path, frames):
    write_files(tmp_path, {"pyannot.pkl": python2_pickle({"a": {"numf": 1}})})
    with pytest.raises(ValueError, match=r"neither UCF101v2-GT.pkl .*nor pyannot.pkl: KeyError"):
        read_dataset("ucf101-24", frames, tmp_path)


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"gttubes": {NAME: {7: [np.ones((1, 5))]}}}, "labels must lie in 0 to 1.*Received: 7"),
        ({"gttubes": {NAME: {-1: [np.ones((1, 5))]}}}, "labels must lie in 0 to 1.*Received: -1"),
        ({"gttubes": {NAME: {0: [np.full((1, 5), np.inf)]}}}, "not finite"),
        ({"gttubes": {NAME: {0: [np.zeros((1, 5))]}}}, "frames must be integers from 0"),
        ({"gttubes": {NAME: {0: ["text"]}}}, "nor pyannot.pkl"),
        ({"gttubes": {NAME: {0: [np.array([[1.5, 9, 9, 20, 20]])]}}}, "has a frame 1.5"),
        ({"gttubes": {NAME: {0: [np.array([[1, 0.1, 0.2, 0.5, 1.0]])]}}}, "in pixels, not shares"),
        ({"resolution": {NAME: (0, 320)}}, "size"),
        ({"train_videos": [["Other/x"]]}, "KeyError 'Other/x'"),
        ({"train_videos": []}, "IndexError"),
        ({"labels": ["Basketball"]}, "labels must lie in 0 to 0|its folder must be one of"),
        ({"labels": 3}, "nor pyannot.pkl"),
    ],
)
def test_ucf101_24_that_contradicts_itself(tmp_path, frames, change, expected):
    content = tubes_file()
    for key, value in change.items():
        if isinstance(value, dict):
            content[key].update(value)
        else:
            content[key] = value
    write_files(tmp_path, {"gt/UCF101v2-GT.pkl": python2_pickle(content)})
    with pytest.raises(ValueError, match=f"UCF101v2-GT.pkl.*({expected})"):
        read_dataset("ucf101-24", frames, tmp_path / "gt", "train")
