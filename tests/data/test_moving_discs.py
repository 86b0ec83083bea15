"""The built-in moving discs: boxes lie around what moves, to where the class says."""

import json

import numpy as np
import pytest

from bod_keras.data import read_dataset, read_frames, write_moving_discs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_moving_discs(tmp_path_factory.mktemp("discs") / "data", train=3, test=2, frames=6)


def test_boxes_move_as_their_class_says_and_hold_the_disc(folder):
    catalog = read_dataset("boxes", folder)
    assert [r.split for r in catalog.records] == ["train"] * 3 + ["test"] * 2
    assert catalog.class_names == ["right", "down", "left", "up"] and not catalog.flip_safe
    for record in catalog.records:
        clip = read_frames(record.path).astype(int)
        assert clip.shape == (6, 48, 64, 3)
        for track in (0, 1):
            boxes = [box for box in record.boxes if box.track == track]
            assert [box.frame for box in boxes] == list(range(6))
            corners = np.array([box.corners for box in boxes]) * [64, 48, 64, 48]
            assert (
                corners.min() >= 0 and (corners[:, 2] <= 64).all() and (corners[:, 3] <= 48).all()
            )
            step = np.diff(corners[:, :2], axis=0)
            way = [(1, 0), (0, 1), (-1, 0), (0, -1)][boxes[0].labels[0]]
            assert (np.argmax(np.abs(step), axis=1) == np.argmax(np.abs(way))).all()
            assert (step @ way > 1).all()
            for frame, (left, top, right, bottom) in enumerate(corners):
                x, y = int((left + right) / 2), int((top + bottom) / 2)
                assert clip[frame, y, x].min() > 150  # discs are brighter than every scene


def test_it_is_written_once_and_nothing_else_is_overwritten(folder, tmp_path):
    before = (folder / "boxes.json").stat().st_mtime_ns
    assert write_moving_discs(folder, train=3, test=2, frames=6) == folder
    assert (folder / "boxes.json").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="holds something else than the moving discs asked for"):
        write_moving_discs(folder, train=4, test=2, frames=6)
    with pytest.raises(ValueError, match="height must be even, from 32 on. Received: height=33"):
        write_moving_discs(tmp_path / "new", height=33)


def test_what_is_no_boxes_json(folder, tmp_path):
    content = json.loads((folder / "boxes.json").read_text())
    content["videos"]["train/train_00000.avi"]["tubes"][0]["label"] = 4
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"boxes.json, video .*labels must lie in 0 to 3.*Received: 4"
    ):
        read_dataset("boxes", folder, tmp_path)
    (tmp_path / "boxes.json").write_text("{}")
    with pytest.raises(ValueError, match="must have class_names, splits .*Received: KeyError"):
        read_dataset("boxes", folder, tmp_path)
