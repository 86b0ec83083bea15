"""CONTRIBUTING's lists are true: one of each kind from outside of the package works by its address."""

import sys
import types

import keras
import numpy as np
import pytest
from keras import ops

import bod_keras
from bod_keras import experiment
from bod_keras.configs import base
from bod_keras.data import DATASETS, DataSet, Record, read_dataset
from bod_keras.encoders import ENCODERS
from bod_keras.frameworks import FRAMEWORKS
from bod_keras.koopman import READ_OUTS
from bod_keras.registry import Registry


class Spread(bod_keras.koopman.ReadOut):
    def call(self, operator):
        return ops.std(operator.future, axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])


class VMean(bod_keras.ContrastiveModel):
    def __init__(self, encoder, decoupling=None, projection_head=None, augmenter=None, **kwargs):
        super().__init__(encoder, decoupling, projection_head, augmenter, **kwargs)
        self.set_losses(lambda part: bod_keras.InfoNCE(0.5))

    def part_loss(self, part, views, targets, training):
        return self.contrast[part](*views[:2])


def build_encoder(input_shape):
    clips = keras.Input(input_shape)
    return keras.Model(clips, ops.mean(clips, axis=(2, 3)))


def read_mine(files, annotations, splits, fold):
    records = [Record(f"{split}{n}", label=n, split=split) for split in splits for n in (0, 1)]
    return files.catalog(records, ["run", "jump"])


MINE = DataSet(read_mine, splits=("train", "val"), evaluation="val")


@pytest.fixture
def address(monkeypatch):
    module = types.ModuleType("a_users_module")
    module.Spread, module.VMean, module.build_encoder = Spread, VMean, build_encoder
    module.MINE, module.read_mine = MINE, read_mine
    monkeypatch.setitem(sys.modules, "a_users_module", module)
    return "a_users_module"


def test_train_builds_and_trains_a_users_own(address, eagerly):
    config = base.get_config()
    config.clips.update({"frames": 6, "size": 8})
    config.framework.name = f"{address}:VMean"
    config.encoder.name = f"{address}:build_encoder"
    config.decoupling.read_out = f"{address}:Spread"
    config.head.update({"hidden": 8, "width": 4})
    model = experiment.build_model(config.to_dict(), steps_per_epoch=2)
    assert type(model) is VMean and isinstance(model.split.read_out, Spread)
    model.compile(keras.optimizers.SGD(0.1))
    views = np.random.default_rng(0).random((8, 2, 6, 8, 8, 3), "float32")
    history = model.fit(views, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all() and "dynamic_loss" in history
    assert model.embed(views[:, 0])["dynamic"].shape == (8, 4)


def test_a_data_set_of_a_users_own_is_trained_and_tested_on(address, tmp_path):
    for name in ("train0.mp4", "train1.webm", "val0.mp4", "val1.avi"):
        (tmp_path / name).write_bytes(b"x")
    config = base.get_config()
    config.data.update({"dataset": f"{address}:MINE", "root": str(tmp_path)})
    train = experiment.training_catalog(config.to_dict())
    assert [record.label for record in train.records] == [0, 1]
    test = experiment.probe_catalog(config.to_dict(), "test")
    assert [record.split for record in test.records] == ["val", "val"]
    assert test.class_names == ["run", "jump"]
    with pytest.raises(bod_keras.UserError, match="DataSet. Received: function. Wrap the function"):
        read_dataset(f"{address}:read_mine", tmp_path)


def test_a_data_set_of_a_users_own_has_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(DATASETS, "_found", dict(DATASETS.items()))
    DATASETS.register("mine")(MINE)
    (tmp_path / "val1.mp4").write_bytes(b"x")
    assert read_dataset("mine", tmp_path, split="val").missing == ["val0"]


@pytest.mark.parametrize(
    "registry, name",
    [
        (FRAMEWORKS, "vmoco"),
        (ENCODERS, "r3d18"),
        (READ_OUTS, "operator"),
        (DATASETS, "diving48"),
    ],
)
def test_a_name_that_is_wrong_is_told_the_nearest(registry, name):
    with pytest.raises(bod_keras.UserError, match=f"Received: '{name}s'. Did you mean {name}"):
        registry[f"{name}s"]
    assert name in registry and name in list(registry)


@pytest.mark.parametrize("address", ["no_such_module:Thing", "keras:NoSuchThing", ":"])
def test_an_address_that_is_wrong_is_told(address):
    with pytest.raises(bod_keras.UserError, match="module:Name"):
        FRAMEWORKS[address]


def test_a_name_is_registered_once():
    registry = Registry("thing", "bod_keras.koopman")
    registry.register("a")(Spread)
    with pytest.raises(bod_keras.UserError, match="already"):
        registry.register("a")(VMean)


@keras.saving.register_keras_serializable("tests")
class VHidden(VMean):
    """A framework whose argument is kept under another name."""

    def __init__(self, encoder, decoupling=None, sharpness=1.0, **kwargs):
        super().__init__(encoder, decoupling, **kwargs)
        self._sharpness = sharpness


@keras.saving.register_keras_serializable("tests")
class VChild(VHidden):
    """It inherits the argument, and adds one that it keeps."""

    def __init__(self, encoder, decoupling=None, weight=2.0, **kwargs):
        super().__init__(encoder, decoupling, **kwargs)
        self.weight = weight


@keras.saving.register_keras_serializable("tests")
class VTold(VHidden):
    """It says itself what the argument is."""

    def __init__(self, encoder, decoupling=None, sharpness=1.0, **kwargs):
        super().__init__(encoder, decoupling, sharpness=sharpness, **kwargs)

    def get_config(self):
        return {**super().get_config(), "sharpness": self._sharpness}


def test_an_argument_that_would_not_be_saved_is_told(tmp_path):
    for kind in (VHidden, VChild):
        model = kind(build_encoder((4, 8, 8, 3)), sharpness=3.0)
        with pytest.raises(bod_keras.UserError, match=r"argument 'sharpness' .*self.sharpness ="):
            model.save(tmp_path / "model.keras")
    model = VTold(build_encoder((4, 8, 8, 3)), sharpness=3.0)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras")._sharpness == 3.0
