"""Factors that videos have without labels: how clips are cut, and probes on real files with known answers."""

import keras
import numpy as np
import pytest

from bod_keras.configs.protocols.factors_real import get_config
from bod_keras.data import Catalog, ClipDataset, Record, read_catalog
from bod_keras.data.record_frames import video_lengths
from bod_keras.evaluation.feature_cache import FeatureCache
from bod_keras.evaluation.protocols import (
    Split,
    Subject,
    change_protocol,
    factors_real,
    run_protocol,
)
from bod_keras.evaluation.window_variants import window_variants
from tests.outputs import read_picture
from tests.video_files import save_video

VIDEOS, FRAMES = 8, 4


def test_clips_do_not_overlap_and_speeds_share_their_middle():
    length, variants = window_variants(5, clips=4, speeds=(1, 2, 4), shuffles=4, seed=1)
    assert length == 20
    clips = [variants[f"clip {i}"] for i in range(4)]
    assert sorted(np.concatenate(clips).tolist()) == list(range(20))
    assert [np.diff(variants[f"speed {s}"]).tolist() for s in (1, 2, 4)] == [
        [s] * 4 for s in (1, 2, 4)
    ]
    assert {variants[f"speed {s}"].sum() // 5 for s in (1, 2, 4)} == {9}
    center = variants["speed 1"].tolist()
    assert variants["reversed"].tolist() == center[::-1]
    orders = [tuple(variants[f"shuffled {i}"]) for i in range(4)]
    assert len({*orders, tuple(center), tuple(center[::-1])}) == 6
    assert all(sorted(order) == center for order in orders)
    again = window_variants(5, clips=4, speeds=(1, 2, 4), shuffles=4, seed=1)[1]
    assert all((variants[name] == again[name]).all() for name in variants)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clips": 1}, "Received: clips=1"),
        ({"shuffles": 5}, r"shuffles at most 4 for 3 frames"),
        ({"speeds": (1,)}, r"two or more, .* Received: \[1\]"),
        ({"speeds": (2, 4)}, "among them 1"),
    ],
)
def test_windows_that_cannot_be(changes, message):
    settings = {"frames": 3, "clips": 2, "speeds": (1, 2), "shuffles": 2, **changes}
    with pytest.raises(ValueError, match=message):
        window_variants(**settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Red says which video it is, green which frame; and a short one."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(VIDEOS + 1):
        clip = np.zeros((20 if number < VIDEOS else 12, 16, 16, 3), np.uint8)
        clip[..., 0] = 25 * number
        clip[..., 1] = 10 * np.arange(len(clip))[:, None, None] + 2
        save_video(folder / f"{number}.avi", clip)
    return folder


class ColorReader(keras.Model):
    """A static part that is the video; a dynamic part: the step between frames, or that steps differ."""

    def __init__(self):
        super().__init__()
        self.unused = self.add_weight(shape=(1,))
        self.built = True

    def embedder(self):
        return self.parts

    def parts(self, clips, training):
        levels = keras.ops.mean(clips, axis=(2, 3)) * 255.0
        steps = levels[:, 1:, 1] - levels[:, :-1, 1]
        spread = keras.ops.max(steps, axis=1) - keras.ops.min(steps, axis=1)
        uneven = keras.ops.cast(spread > 1.0, "float32")
        video = keras.ops.round(levels[:, 0, 0] / 25.0)
        return {
            "static": keras.ops.one_hot(video, VIDEOS),
            "dynamic": keras.ops.stack([steps[:, 0] * (1 - uneven), uneven], axis=1),
        }


def make(catalog, **changes):
    settings = {"frames": FRAMES, "size": 8, "batch_size": 4, "views": 1, "workers": 0}
    return ClipDataset(catalog.records, **{**settings, **changes})


def protocol(*changes):
    config = get_config()
    config.modified = {}
    return change_protocol(config, ["measures=('linear',)", *changes])


@pytest.fixture(scope="module")
def result(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    split = Split(Catalog(read_catalog(folder)), make, "test")
    subject = Subject(ColorReader(), {}, None, split, place / "evaluation" / "factors-real")
    return subject, run_protocol(subject, protocol())


def test_each_part_is_found_to_predict_what_it_holds(result):
    subject, found = result
    scores = found["factors"]
    assert list(scores) == ["file", "speed", "direction", "order"]
    assert scores["file"]["static"]["linear"] == 1.0
    assert scores["file"]["chance"] == pytest.approx(1 / VIDEOS)
    for factor, chance in (("speed", 1 / 3), ("direction", 0.5), ("order", 0.5)):
        assert scores[factor]["dynamic"]["linear"] == 1.0
        assert scores[factor]["static"]["linear"] == pytest.approx(scores[factor]["chance"])
        assert scores[factor]["chance"] == pytest.approx(chance)
    assert scores["file"]["dynamic"]["linear"] < 0.3
    assert found["verdicts"][0].startswith("static part: predicts file (1.000, chance 0.125)")
    read_picture(subject.folder / "factor_table.png")


def test_short_videos_are_left_out_and_counted(result):
    _, found = result
    assert (found["window"], found["used"], found["too_short"]) == (16, VIDEOS, 1)


def test_the_second_time_reads_no_video(result, monkeypatch, capsys):
    subject, found = result
    monkeypatch.setattr(ClipDataset, "evaluation_numpy", None)
    cache = FeatureCache(subject.cache.folder)
    again = Subject(subject.model, {}, None, subject.test, subject.folder, cache=cache)
    assert run_protocol(again, protocol()) == found
    assert "8 test videos: features are from the cache" in capsys.readouterr().out


def test_no_file_is_learned_from_and_tested(monkeypatch, folder, tmp_path):
    """Also where several records are parts of one file."""
    records = [
        Record(str(folder / f"{number}.avi"), span=span)
        for number in range(4)
        for span in ((0.0, 1.5), (0.1, 1.6))
    ]
    split = Split(Catalog(records), make, "test")
    subject = Subject(ColorReader(), {}, None, split, tmp_path / "evaluation" / "x")
    seen = {}

    def look(train, test, seed, measures):
        (factor,) = train[1]
        seen[factor] = [set(x["static"].argmax(axis=1)) for x, _ in (train, test)]
        return {factor: {}}

    monkeypatch.setattr(factors_real, "factor_probes", look)
    monkeypatch.setattr(factors_real, "tabulate", lambda *arguments: {})
    run_protocol(subject, protocol())
    assert seen.pop("file") == [{0, 1, 2, 3}, {0, 1, 2, 3}]
    for train, test in seen.values():
        assert len(train) == len(test) == 2 and not train & test


def test_videos_that_are_all_too_short(folder, tmp_path):
    split = Split(Catalog(read_catalog(folder)), lambda c: make(c, stride=2), "test")
    subject = Subject(ColorReader(), {}, None, split, tmp_path / "evaluation" / "x")
    with pytest.raises(
        ValueError, match="videos of 31 frames, .* 0 of the 9 .* at most 20.*clips=2"
    ):
        run_protocol(subject, protocol())


def test_lengths_of_videos(folder, tmp_path):
    (tmp_path / "broken.avi").write_bytes(b"no video")
    records = [
        Record(str(folder / "0.avi")),
        Record(str(folder / "8.avi")),
        Record(str(folder / "0.avi"), span=(0.5, 1.0)),
        Record(str(tmp_path / "broken.avi")),
        Record(str(tmp_path / "nowhere.avi")),
    ]
    assert video_lengths(records) == [20, 12, 6, None, None]
