"""The recommended setting has one source: class, configs, demo and study hold the same object."""

import dataclasses
import importlib
from pathlib import Path

import pytest

import bod_keras
from benchmarks.cooccurrence.variants import VARIANTS, build_model
from bod_keras.experiment import decoupling_of

FOLDER = Path(__file__).parents[1] / "configs"
# These have one form only, the recommended one.
ONE_FORM = ("base", "features", "frozen", "videos")
CONFIGS = sorted(path.stem for path in FOLDER.glob("*.py") if "def get_config" in path.read_text())


def config_of(name, kind):
    module = importlib.import_module(f"bod_keras.configs.{name}")
    return module.get_config() if name in ONE_FORM else module.get_config(kind)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_has_the_recommended_decoupling(name):
    without_pixels = {"motion_view": None, "static_mix": 0.0} if name == "features" else {}
    recommended = bod_keras.Decoupling(**without_pixels)
    assert decoupling_of(config_of(name, "bod").to_dict()) == recommended


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in ONE_FORM])
def test_every_config_has_the_published_and_the_plain_form(name):
    paper = decoupling_of(config_of(name, "paper").to_dict())
    assert paper == bod_keras.Decoupling.named("paper")
    assert decoupling_of(config_of(name, "plain").to_dict()) is None


def test_the_study_compares_the_named_forms():
    assert VARIANTS["default"].decoupling == bod_keras.Decoupling()
    assert VARIANTS["paper"].decoupling == bod_keras.Decoupling.named("paper")
    assert VARIANTS["default"].split is None and not VARIANTS["default"].framework


def test_configs_sample_and_load_as_the_data_set_does():
    data = bod_keras.data.ClipDataset([bod_keras.data.Record(str(i)) for i in range(16)])
    own = {"batch_size": data.batch_size, "shard": (0, 1)}
    fields = {**dataclasses.asdict(data.clips), **dataclasses.asdict(data.loading), **own}
    assert config_of("base", "bod").clips.to_dict() == fields


def test_demo_and_study_have_the_head_of_the_package():
    head = bod_keras.ProjectionHead()
    study = build_model("default", "VSimCLR", "per-frame", steps=10).projection_head.static
    demo = bod_keras.ProjectionHead(**config_of("demo", "bod").head)
    for other in (study, demo):
        assert (other.hidden, other.width, other.depth) == (head.hidden, head.width, head.depth)
