"""Every published recipe: its arguments, and two steps of its smoke form by train.py's own code."""

import csv
import importlib
import math
from pathlib import Path

import keras
import numpy as np
import pytest

import bod_keras
from bod_keras import experiment
from bod_keras.commands.console import train
from tests.tiers import slow

FOLDER = Path(__file__).parents[1] / "configs"
RECIPES = sorted(p.stem for p in FOLDER.glob("v*_*.py"))
pytestmark = pytest.mark.xdist_group("configs")  # one process: they share the built-in videos


def get_config(recipe, arguments):
    return importlib.import_module(f"bod_keras.configs.{recipe}").get_config(arguments)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("configs")


@slow
@pytest.mark.parametrize("recipe", ["vsimclr_k400", "vmoco_ucf101", "vbyol_k400", "vswav_ucf101"])
def test_the_smoke_form_trains_two_steps(recipe, workspace, eagerly):
    """One of each framework, decoupled once: all are built below, and decoupling has tests of its own."""
    kind = "bod" if recipe == "vsimclr_k400" else "plain"
    config = get_config(recipe, f"{kind},smoke")
    config.output, config.built_in.folder = str(workspace), str(workspace / "data")
    if kind == "plain":
        config.monitors.every = 0  # which tests of their own have with these frameworks
    assert train.train(config.to_dict()) is None
    folder = workspace / f"{recipe}-{kind}-smoke-seed0"
    with open(folder / "history.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["step"] == "2" and all(math.isfinite(float(value)) for value in row.values())
    assert ("dynamic_loss" in row) == (kind == "bod")
    model = keras.models.load_model(folder / "model.keras")
    assert type(model).__name__.lower() == recipe.split("_")[0]


@slow
def test_a_run_augments_on_the_device(workspace, eagerly):
    config = get_config("vsimclr_ucf101", "plain,smoke")
    config.output, config.built_in.folder = str(workspace), str(workspace / "data")
    config.name, config.clips.augment = "device", "device"
    assert train.train(config.to_dict()) is None
    model = keras.models.load_model(workspace / "device-seed0" / "model.keras")
    assert model.augmenter.size == 32 and model.augmenter.get_config()["flip"] == 0.5


@pytest.mark.parametrize("recipe", RECIPES)
def test_arguments_change_what_they_say_and_nothing_else(recipe):
    plain, decoupled = get_config(recipe, "plain"), get_config(recipe, "bod")
    assert not plain.decoupled and decoupled.decoupled
    for config in (plain, decoupled):
        assert config.framework.name == recipe.split("_")[0] and config.clips.views == 2
    for section in ("clips", "encoder", "head", "optimizer"):
        assert plain[section] == decoupled[section]
    four = get_config(recipe, "plain,rho4")
    assert four.clips.views == 4 and four.name != plain.name
    with pytest.raises(ValueError, match="rho2, rho3, rho4; smoke. Received: 'plain,rho5'"):
        get_config(recipe, "plain,rho5")


@pytest.mark.parametrize(
    ("recipe", "arguments", "peak"),
    [
        ("vsimclr_k400", "plain", 0.6),  # for 64 clips
        ("vsimclr_k400", "plain,rho4", 1.2),
        ("vbyol_k400", "plain,rho4", 1.2),
        ("vmoco_k400", "plain,rho4", 0.1),
    ],
)
def test_kinetics_learning_rates_are_published_ones_and_grow_with_the_batch(
    recipe, arguments, peak
):
    config = get_config(recipe, arguments)
    for factor in (1, 8):
        config.clips.batch_size = 64 * factor
        rate = experiment.build_optimizer(config.to_dict(), steps_per_epoch=10)._learning_rate
        assert float(rate(0)) == pytest.approx(1e-3)
        assert float(rate(350)) == pytest.approx(peak * factor)  # 35 epochs of warm-up
        assert float(rate(2000)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_form_is_built_with_what_trains_it(recipe):
    for kind in ("plain", "bod"):
        config = get_config(recipe, f"{kind},smoke").to_dict()
        experiment.check_settings(config)
        model = experiment.build_model(config, steps_per_epoch=2)
        model.compile(experiment.build_optimizer(config, steps_per_epoch=2))
        assert type(model).__name__.lower() == recipe.split("_")[0]
        assert (model.decoupling is not None) == (kind == "bod")
        width = 32 if kind == "bod" else 16  # two heads
        assert model(np.zeros((2, *model.encoder.input_shape[1:]))).shape == (2, 4, width)


@pytest.mark.parametrize("recipe", RECIPES)
def test_paper_is_the_published_form(recipe):
    config = get_config(recipe, "paper,smoke")
    assert config.name == f"{recipe}-paper-smoke"
    model = experiment.build_model(config.to_dict(), steps_per_epoch=2)
    assert model.decoupling == bod_keras.Decoupling.named("paper")
    assert model.motion_view is None and model.static_view is None


@pytest.mark.parametrize("recipe", ["vsimclr_k400", "vsimclr_ucf101"])
def test_the_static_part_of_temporal_kernels_meets_shuffled_frames(recipe):
    """With the encoder of either data set; the smoke form's sees frame by frame."""
    config = get_config(recipe, "bod")
    config.encoder.arguments.width, config.clips.frames, config.clips.size = 4, 8, 32
    model = experiment.build_model(config.to_dict(), steps_per_epoch=2)
    assert isinstance(model.static_view, bod_keras.FrameShuffle)
    config.decoupled = False
    assert experiment.build_model(config.to_dict(), steps_per_epoch=2).static_view is None
    smoke = experiment.build_model(get_config(recipe, "bod,smoke").to_dict(), steps_per_epoch=2)
    assert smoke.static_view is None


@pytest.mark.parametrize("kind", ["plain", "bod", "paper", "reference-code"])
def test_kernels_over_time_see_no_zeros_when_decoupled(kind):
    config = get_config("vsimclr_ucf101", kind)
    config.encoder.arguments.width, config.clips.frames, config.clips.size = 2, 4, 32
    encoder = experiment.build_model(config.to_dict(), steps_per_epoch=2).encoder
    repeated = {x.repeat_edges for x in encoder.layers if getattr(x, "kernel_size", (1,))[0] > 1}
    assert repeated == {kind == "bod"}


def test_epochs_of_a_recipe_become_steps():
    config = get_config("vswav_ucf101", "bod,smoke")
    config.framework.update({"freeze_epochs": 1.5, "queue_epochs": 2.0})
    model = experiment.build_model(config.to_dict(), steps_per_epoch=10)
    assert (model.freeze_steps, model.queue_steps) == (15, 20)
    config = get_config("vbyol_ucf101", "bod,smoke")
    assert experiment.build_model(config.to_dict(), steps_per_epoch=10).momentum_steps == 10
    config.framework.anneal_momentum = False
    assert experiment.build_model(config.to_dict(), steps_per_epoch=10).momentum_steps is None


def test_own_videos_take_any_framework():
    for name, framework in bod_keras.FRAMEWORKS.items():
        config = get_config("videos", f"small,{name}")
        assert config.name == f"videos-{name}" and config.encoder.name == "frame_cnn"
        experiment.check_settings(config.to_dict())
        assert isinstance(experiment.build_model(config.to_dict(), 2), framework)
    assert get_config("videos", "").framework.name == "vsimclr"
    for words in ("large", "small,large", "vmoco,vbyol"):
        with pytest.raises(ValueError, match="takes small, and one of "):
            get_config("videos", words)


@pytest.mark.parametrize("name", ["vmoco", "vbyol", "vlejepa", "vsimsiam"])
def test_a_framework_with_the_settings_of_another_is_refused(name):
    config = get_config("videos", "small")
    config.framework.name = name
    with pytest.raises(
        ValueError, match=f"of another framework than {name}: temperature. .*:{name}"
    ):
        experiment.check_settings(config.to_dict())
