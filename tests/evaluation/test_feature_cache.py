"""The cache of features: what is found again, what is not, what is damaged or killed half-way."""

import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from bod_keras.data import ClipDataset, Record, array_records, read_catalog, write_shards
from bod_keras.errors import UserError
from bod_keras.evaluation import feature_cache
from bod_keras.evaluation.feature_cache import FeatureCache
from bod_keras.evaluation.features import iterate_features
from bod_keras.evaluation.protocols.finetune import read_result
from bod_keras.evaluation.read_out import ReadOut
from tests.video_files import make_ramp_clip, save_video, write_broken


def make_encoder(factor=1.0):
    normal = keras.initializers.RandomNormal(seed=0)
    encoder = keras.Sequential(
        [
            keras.Input((4, 8, 8, 3), name="clips"),
            keras.layers.Reshape((4, 192), name="flat"),
            keras.layers.Dense(3, kernel_initializer=normal, name="features"),
        ],
        name="encoder",
    )
    encoder.set_weights([factor * w for w in encoder.get_weights()])
    return encoder


@pytest.fixture
def records(tmp_path):
    """Seven videos."""
    paths = [tmp_path / f"{i}.avi" for i in range(7)]
    return [
        Record(save_video(p, make_ramp_clip(6 + i, offset=20 * i))) for i, p in enumerate(paths)
    ]


class Reader:
    """Makes data sets and remembers which files they were to read."""

    def __init__(self, **settings):
        self.settings = {"frames": 4, "size": 8, "batch_size": 2, "workers": 0, **settings}
        self.asked = []

    def __call__(self, records):
        names = [Path(r.path).name for r in records]
        self.asked.append(names)
        settings = {**self.settings, "batch_size": min(self.settings["batch_size"], len(records))}
        data = ClipDataset(records, **settings)
        stream = data.evaluation_numpy

        def evaluation_numpy(views, crops=1, indices=None):
            self.asked.append(
                [names[i] for i in (range(len(names)) if indices is None else indices)]
            )
            return stream(views, crops, indices)

        data.evaluation_numpy = evaluation_numpy
        return data

    def read(self, cache, records, model=None, views=2, **kwargs):
        """Features, index, and the names of what was read again."""
        self.asked.clear()
        features, index, _ = cache.features(
            model or make_encoder(), self(records), views=views, **kwargs
        )
        return features, index, [name for names in self.asked[1:] for name in names]


def all_features(model, dataset):
    """Without a cache."""
    found = list(iterate_features(ReadOut(model), dataset))
    return {"pooled": np.concatenate([batch["pooled"] for batch, _ in found])}, None


def test_features_are_those_of_the_model_and_are_read_once(records, tmp_path, capsys):
    cache, reader = FeatureCache(tmp_path / "cache"), Reader()
    features, index, read = reader.read(cache, records)
    truth, _ = all_features(make_encoder(), reader(records).evaluation_numpy(2))
    np.testing.assert_array_equal(features["pooled"], truth["pooled"])
    assert features["pooled"].dtype == np.float32 and index.tolist() == list(range(7))
    assert len(read) == 7 and "features are extracted" in capsys.readouterr().out
    again, _, read = reader.read(FeatureCache(tmp_path / "cache"), records)
    assert read == [] and "features are from the cache" in capsys.readouterr().out
    np.testing.assert_array_equal(again["pooled"], features["pooled"])


def test_a_part_and_another_order_are_served_and_new_videos_are_added(records, tmp_path, capsys):
    cache, reader = FeatureCache(tmp_path / "cache"), Reader()
    some, _, _ = reader.read(cache, records[:5])
    capsys.readouterr()
    whole, _, read = reader.read(cache, records)
    assert read == ["5.avi", "6.avi"]
    assert "features of 5 are from the cache" in capsys.readouterr().out
    np.testing.assert_array_equal(whole["pooled"][:5], some["pooled"])
    turned, index, read = reader.read(cache, records[::-1])
    assert read == [] and index.tolist() == list(range(7))
    np.testing.assert_array_equal(turned["pooled"], whole["pooled"][::-1])


@pytest.mark.parametrize(
    "change",
    [
        {"model": 2.0},
        {"views": 3},
        {"crops": 3},
        {"kind": "pooled"},
        {"reader": {"stride": 2}},
        {"content": True},
        {"span": True},
    ],
)
def test_what_matters_is_in_the_key(records, tmp_path, change):
    cache = FeatureCache(tmp_path / "cache")
    Reader().read(cache, records)
    changed = list(records)
    expected = len(records)
    if "content" in change:
        save_video(records[3].path, make_ramp_clip(9, offset=100))
        os.utime(records[3].path, ns=(1, 1))
        expected = 1
    if "span" in change:
        changed[3] = Record(records[3].path, span=(0.0, 0.5))
        expected = 1
    reader = Reader(**change.get("reader", {}))
    model = make_encoder(change.get("model", 1.0))
    rest = {key: change[key] for key in ("views", "crops", "kind") if key in change}
    assert len(reader.read(cache, changed, model, **rest)[2]) == expected


def test_a_copied_model_finds_its_features(records, tmp_path):
    """The key is content, not the name or the place of the model."""
    cache, reader = FeatureCache(tmp_path / "cache"), Reader()
    model = make_encoder()
    reader.read(cache, records, model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert reader.read(cache, records, loaded)[2] == []


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_named_and_computed_again(records, tmp_path, capsys, damage):
    cache, reader = FeatureCache(tmp_path / "cache"), Reader()
    whole, _, _ = reader.read(cache, records)
    (file,) = (tmp_path / "cache").rglob("*.npz")
    data = bytearray(file.read_bytes())
    at = data.find(whole["pooled"].tobytes())
    assert at > 0
    data[at + 5] ^= 0xFF
    damaged = {"cut": data[: len(data) // 2], "flip": data, "empty": b"", "other": b"text" * 99}
    file.write_bytes(damaged[damage])
    again, _, read = reader.read(cache, records)
    assert len(read) == 7 and f"{file} is damaged" in capsys.readouterr().out
    assert list(cache.damaged) == [str(file)]
    np.testing.assert_array_equal(again["pooled"], whole["pooled"])
    assert reader.read(FeatureCache(tmp_path / "cache"), records)[2] == []


def test_damage_in_the_directory_of_a_file_is_damage(records, tmp_path, capsys):
    """Any byte of what zipfile reads first may be wrong: each is told, or harmless."""
    cache, reader = FeatureCache(tmp_path / "cache"), Reader()
    whole, _, _ = reader.read(cache, records)
    (file,) = (tmp_path / "cache").rglob("*.npz")
    data = file.read_bytes()
    begin, rng = data.index(b"PK\x01\x02"), np.random.default_rng(0)
    for at in rng.choice(np.arange(begin, len(data)), 60, replace=False).tolist():
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(broken)
        found, _ = FeatureCache(tmp_path / "cache").rows(file.parent)
        for row in found.values():
            assert any(np.array_equal(row["pooled"], one) for one in whole["pooled"])


@pytest.mark.parametrize("damage", ["cut", "directory", "empty", "text", "other"])
def test_a_damaged_result_of_fine_tuning_is_named(tmp_path, damage):
    file = tmp_path / "result.npz"
    np.savez(file, probabilities=np.ones((2, 3)), index=np.arange(2), about='{"a": 1}')
    assert read_result(file)[2] == {"a": 1}
    data = bytearray(file.read_bytes())
    flipped = data.copy()
    flipped[data.index(b"PK\x01\x02") + 8] ^= 1  # it says that the file is encrypted
    np.savez(tmp_path / "other.npz", index=np.arange(2))
    other = (tmp_path / "other.npz").read_bytes()
    damaged = {"cut": data[:-40], "directory": flipped, "empty": b"", "text": b"no", "other": other}
    file.write_bytes(damaged[damage])
    with pytest.raises(UserError, match="result.npz is damaged .* trained again"):
        read_result(file)


def test_what_was_done_before_a_kill_is_kept(records, tmp_path, monkeypatch):
    """The encoder dies in the third batch; the spans before it are served."""
    monkeypatch.setattr(feature_cache, "_VIDEOS_A_FILE", 2)
    cache, reader = FeatureCache(tmp_path / "cache"), Reader()
    real, batches = feature_cache.iterate_features, []

    def dies(*arguments):
        for batch in real(*arguments):
            batches.append(batch)
            if len(batches) == 3:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(feature_cache, "iterate_features", dies)
    with pytest.raises(KeyboardInterrupt):
        reader.read(cache, records)
    monkeypatch.setattr(feature_cache, "iterate_features", real)
    features, _, read = reader.read(cache, records)
    assert read == [f"{i}.avi" for i in range(4, 7)]
    truth, _ = all_features(make_encoder(), reader(records).evaluation_numpy(2))
    np.testing.assert_allclose(features["pooled"], truth["pooled"], rtol=1e-5)


def test_spans_of_videos_go_to_files_of_their_own(records, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "_VIDEOS_A_FILE", 3)
    cache, reader = FeatureCache(tmp_path / "cache"), Reader()
    features, _, _ = reader.read(cache, records)
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 3
    truth, _ = all_features(make_encoder(), reader(records).evaluation_numpy(2))
    np.testing.assert_array_equal(features["pooled"], truth["pooled"])


def test_broken_videos_are_remembered_with_their_reasons(records, tmp_path):
    (tmp_path / "broken").mkdir()
    broken = write_broken(tmp_path / "broken")
    mixed = [records[0], Record(broken["cut.avi"][0]), *records[1:], Record(broken["zero.mp4"][0])]
    cache, reader = FeatureCache(tmp_path / "cache"), Reader(max_bad_share=0.5)
    for again in (False, True):
        reader.asked.clear()
        features, index, skipped = cache.features(make_encoder(), reader(mixed))
        assert index.tolist() == [0, 2, 3, 4, 5, 6, 7] and len(features["pooled"]) == 7
        assert {Path(p).name: r.split()[0] for p, r in skipped.items()}.keys() == {
            "cut.avi",
            "zero.mp4",
        }
        assert "truncated" in skipped[broken["cut.avi"][0]]
        assert len(reader.asked) == (1 if again else 2)  # to make the data, and to read them
    with pytest.raises(ValueError, match=r"2 of 9 .*max_bad_share=0.1.*cut.avi: .*truncated"):
        cache.features(make_encoder(), Reader(max_bad_share=0.1)(mixed))


def test_arrays_are_known_by_their_content(tmp_path):
    videos = np.random.default_rng(0).integers(0, 255, (3, 6, 8, 8, 3), dtype=np.uint8)
    cache, reader = FeatureCache(tmp_path), Reader()
    reader.read(cache, array_records(videos))
    videos[1] = 0
    assert reader.read(cache, array_records(videos, name="renamed"))[2] == ["renamed#1"]


def test_frames_and_shards_are_known_by_their_files(records, tmp_path):
    shards = tmp_path / "shards"
    write_shards(records, shards, workers=0)
    cache, reader = FeatureCache(tmp_path / "cache"), Reader()
    found = read_catalog(shards)
    reader.read(cache, found)
    assert reader.read(cache, found)[2] == []
    moved = tmp_path / "elsewhere"
    shutil.move(shards, moved)
    assert len(reader.read(cache, read_catalog(moved))[2]) == 7


def test_a_broken_video_is_one_of_all_and_not_of_those_still_to_read(records, tmp_path):
    """Nine of ten are in the cache; the tenth, which is broken, is a tenth of the videos."""
    cache, reader = FeatureCache(tmp_path / "cache"), Reader(max_bad_share=0.1)
    more = [Record(save_video(tmp_path / f"{i}.avi", make_ramp_clip(6 + i))) for i in (7, 8)]
    reader.read(cache, [*records, *more])
    (tmp_path / "broken").mkdir()
    broken = write_broken(tmp_path / "broken")["cut.avi"][0]
    _, index, skipped = cache.features(
        make_encoder(), reader([Record(broken), *records, *more]), views=2
    )
    assert list(skipped) == [broken] and index.tolist() == list(range(1, 10))
