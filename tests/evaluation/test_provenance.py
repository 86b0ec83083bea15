"""Provenance: what changes a hash and what does not, and what is written down."""

import json
from types import SimpleNamespace

import keras
import ml_collections
import numpy as np
import pytest

import bod_keras
from bod_keras.data import ClipDataset, Record, array_records
from bod_keras.evaluation import file_list_hash, model_hash, provenance, write_report

RECORDS = [
    Record("/data/run/a.avi", label=0, factors={"motion": 1}),
    Record("/data/run/b.avi", label=0, span=(0.0, 2.0)),
    Record("/data/jump/c.avi", label=1),
]


def small_model(**settings):
    encoder = bod_keras.encoders.FrameCNN(input_shape=(4, 16, 16, 3), widths=(4, 8))
    return bod_keras.VSimCLR(encoder, bod_keras.Decoupling(**settings))


def test_a_file_list_is_known_wherever_it_lies_and_in_any_order():
    moved = [
        Record(f"s3://bucket/{r.path[6:]}", r.label, r.factors, span=r.span) for r in RECORDS[::-1]
    ]
    assert file_list_hash(moved) == file_list_hash(RECORDS)
    assert len(file_list_hash(RECORDS)) == 64


@pytest.mark.parametrize(
    "changed",
    [
        RECORDS[:2],
        [Record("/data/run/a.avi", label=1, factors={"motion": 1}), *RECORDS[1:]],
        [Record("/data/run/a.avi", label=0, factors={"motion": 2}), *RECORDS[1:]],
        [RECORDS[0], Record("/data/run/b.avi", label=0), RECORDS[2]],
        [Record("/data/jump/a.avi", label=0, factors={"motion": 1}), *RECORDS[1:]],
        RECORDS + RECORDS[:1],
    ],
)
def test_another_file_list_has_another_hash(changed):
    assert file_list_hash(changed) != file_list_hash(RECORDS)


def test_file_list_hash_of_nothing():
    with pytest.raises(ValueError, match="at least one video. Received: an empty list"):
        file_list_hash([])


def test_a_model_keeps_its_hash_when_it_is_saved_and_trained_models_differ(tmp_path):
    model = small_model()
    model.compile("adam")
    before = model_hash(model)
    model.save(tmp_path / "model.keras")
    assert model_hash(keras.models.load_model(tmp_path / "model.keras")) == before
    weights = model.encoder.get_weights()
    weights[-1] += 1e-3
    model.encoder.set_weights(weights)
    assert model_hash(model) != before


def test_a_setting_without_variables_is_part_of_the_hash():
    one, other = small_model(ridge=0.1), small_model(ridge=0.2)
    other.set_weights(one.get_weights())
    assert model_hash(one) != model_hash(other)


def test_a_model_without_a_config_is_known_by_its_variables():
    class Own(keras.Model):
        def __init__(self, fn):
            super().__init__()
            self.fn, self.dense = fn, keras.layers.Dense(2)

        def call(self, x):
            return self.fn(self.dense(x))

    model = Own(lambda x: x)
    with pytest.raises(ValueError, match="must have variables. Received: 'own' with none"):
        model_hash(model)
    model(np.zeros((1, 3), "float32"))
    assert model_hash(model) == model_hash(model)


def test_everything_is_written_down(tmp_path):
    records = array_records(np.zeros((4, 8, 16, 16, 3), np.uint8), labels=[0, 0, 1, 1])
    data = ClipDataset(records, frames=4, stride=2, size=16, batch_size=2)
    split = SimpleNamespace(records=records, data=data)
    model = small_model()
    config = {"data": {"dataset": "ucf101", "source": "", "fold": 2}}
    subject = SimpleNamespace(model=model, config=config, train=split, test=split, seed=3)
    protocol = ml_collections.ConfigDict(
        {"name": "linear", "version": 2, "views": 10, "crops": 3, "modified": {"views": [1, 10]}}
    )
    found = provenance(protocol, subject, seconds=1.5)
    assert found["protocol"] == {
        "name": "linear",
        "version": 2,
        "modified": {"views": [1, 10]},
        "settings": {"views": 10, "crops": 3},
    }
    part = found["data"]["test"]
    assert (found["data"]["source"], found["data"]["fold"]) == ("ucf101", 2)
    assert part["videos"] == 4 and part["files_sha256"] == file_list_hash(records)
    assert part["clips"] == {"frames": 4, "stride": 2, "size": 16}
    assert found["model"] == {"sha256": model_hash(model), "parameters": model.count_params()}
    assert (found["seed"], found["seconds"]) == (3, 1.5)
    path = write_report(tmp_path / "report.json", provenance=found)
    assert json.loads(path.read_text())["provenance"]["environment"]["git"] is not None


def test_a_protocol_without_a_version_is_refused():
    with pytest.raises(ValueError, match=r"Received: \['name', 'views'\] without version"):
        provenance({"name": "linear", "views": 1}, None, 0.0)
