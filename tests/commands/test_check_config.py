"""Values without sense are refused by their key, before anything is written."""

import json
import math

import keras
import pytest

from bod_keras import experiment
from bod_keras.commands.check_config import check_config
from bod_keras.commands.console import train
from bod_keras.commands.evaluate import evaluate_runs
from bod_keras.commands.probed_videos import Options, seeds
from bod_keras.configs import base, demo, videos
from bod_keras.errors import UserError

BAD = [
    ("epochs", 0),
    ("epochs", -1),
    ("clips.frames", 1),
    ("clips.size", 0),
    ("clips.stride", 0),
    ("clips.batch_size", -4),
    ("clips.workers", -1),
    ("clips.workers", 10**9),
    ("clips.timeout", math.inf),
    ("clips.timeout", 0.0),
    ("clips.max_bad_share", 1.5),
    ("clips.flip", -0.1),
    ("clips.cache_mb", -1),
    ("head.width", 0),
    ("head.depth", 0),
    ("built_in.size", 0),
    ("built_in.rho", math.nan),
    ("optimizer.learning_rate", 0.0),
    ("optimizer.learning_rate", math.nan),
    ("optimizer.warmup_epochs", -1.0),
    ("optimizer.weight_decay", -1.0),
    ("optimizer.weight_decay", math.nan),
    ("optimizer.clipnorm", -1.0),
    ("optimizer.momentum", math.inf),
    ("framework.temperature", math.nan),
    ("framework.temperature", 0.0),
    ("framework.temperature", -1.0),
    ("optimizer.warmup_learning_rate", 1e9),
    ("probe.crops", 10),
    ("clips.augment", "gpu"),
    ("clips.recipe", "cvlr"),
    ("clips.device_size", 10**6),
    ("decoupling.ridge", math.inf),
    ("decoupling.ridge", -0.1),
    ("decoupling.dynamic_weight", -1.0),
    ("decoupling.base_weight", 1e300),
    ("decoupling.static_temperature", 0.0),
    ("decoupling.dynamic_temperature", -1.0),
    ("decoupling.dynamic_temperature", 1e300),
    ("decoupling.swap_threshold", 0.0),
    ("decoupling.swap_threshold", 2.0),
    ("decoupling.bilevel.inner_steps", 0),
    ("decoupling.bilevel.inner_learning_rate", 1e300),
    ("framework.temperature", 1e300),
    ("data.fold", 10**12),
    ("checkpoint.keep", 0),
    ("monitors.every", -1),
    ("seed", -1),
    *(
        (key, 10**9)
        for key in ("epochs", "clips.frames", "clips.size", "clips.views", "head.width")
    ),
    *(
        (key, 10**9)
        for key in ("clips.batch_size", "clips.timeout", "clips.cache_mb", "head.depth")
    ),
    *((f"built_in.{key}", 10**9) for key in ("train", "size", "frames", "probe_test")),
    *((key, 1e9) for key in ("optimizer.learning_rate", "optimizer.warmup_epochs")),
    ("decoupling.bilevel.inner_steps", 10**9),
    ("name", "../../escaped"),
    ("name", ".."),
    ("name", ""),
    ("name", "a/b"),
    ("name", "a\nb"),
    ("output", ""),
    ("precision", "float3"),
]


@pytest.mark.parametrize(("key", "value"), BAD, ids=str)
def test_a_value_without_sense_is_refused_by_its_key(key, value, tmp_path):
    config = videos.get_config("small")
    config.output = str(tmp_path / "runs")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError) as error:
        train.train(config.to_dict())
    assert f"config.{key} must be" in str(error.value).splitlines()[-1]
    assert not list(tmp_path.rglob("*.json")) and not (tmp_path.parent / "escaped-seed0").exists()


@pytest.mark.parametrize("key", ["clips.flip", "clips.device_size", "optimizer.reference_batch"])
def test_text_instead_of_a_number_is_refused_by_its_key(key):
    section, name = key.split(".")
    config = videos.get_config("small").to_dict()
    config[section][name] = "many"
    with pytest.raises(UserError, match=f"config.{key} must be a number. Received: 'many'"):
        train.train(config)


@pytest.mark.parametrize("config", [base, demo, videos])
def test_every_default_makes_sense(config):
    check_config(config.get_config().to_dict())


class Counter(keras.callbacks.Callback):
    """A callback of a user's own."""

    epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        type(self).epochs += 1


class WithArguments(keras.callbacks.Callback):
    def __init__(self, needed):
        super().__init__()


def test_callbacks_of_ones_own_are_passed_to_fit(tmp_path):
    config = demo.get_config("plain,smoke")
    places = {"output": str(tmp_path), "built_in.folder": str(tmp_path / "data")}
    small = {"built_in.train": 16, "clips.batch_size": 8, "clips.workers": 0, "epochs": 2}
    config.update_from_flattened_dict({**places, **small, "monitors.every": 0, "evaluate.every": 0})
    config.callbacks = (f"{__name__}:Counter",)
    before = Counter.epochs
    train.train(config.to_dict())
    assert Counter.epochs == before + 2


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("Counter", "module:Class"),
        ("no.such.module:Counter", "cannot be imported"),
        (f"{__name__}:Missing", "cannot be imported"),
        ("builtins:int", "subclasses of keras.callbacks.Callback"),
        (f"{__name__}:BAD", "subclasses of keras.callbacks.Callback"),
        (f"{__name__}:WithArguments", "made without arguments"),
    ],
)
def test_a_wrong_callback_is_told_before_anything_is_written(address, reason, tmp_path):
    config = demo.get_config("plain,smoke")
    config.output, config.callbacks = str(tmp_path / "runs"), (address,)
    with pytest.raises(UserError, match=reason):
        train.train(config.to_dict())
    assert not list(tmp_path.iterdir())


def test_of_an_older_config_there_are_no_callbacks():
    assert experiment.own_callbacks({}) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"per_class": 0}, "--per_class must be at least 1. Received: 0"),
        ({"per_class": -3}, "--per_class must be at least 1. Received: -3"),
        ({"share": 0.0}, "--share must lie above 0, and at most at 1. Received: 0.0"),
        ({"share": math.nan}, "--share must lie above 0.*nan"),
        ({"share": 1.5}, "--share must lie above 0.*1.5"),
    ],
)
def test_flags_of_an_evaluation_without_sense_are_refused(flags, said):
    with pytest.raises(UserError, match=said):
        evaluate_runs([], Options(**flags), "configs/protocols")


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"name": "a" * 300}, "config.name must have names up to 200 bytes, not 300"),
        ({"name": "\ud800"}, "config.name must be text"),
        ({"output": "runs/" + "é" * 120}, "config.output must have names up to 200 bytes, not 240"),
        ({"output": "a\0b"}, "config.output must be a folder"),
        ({"output": " "}, "config.output must be a folder"),
    ],
    ids=str,
)
def test_names_that_no_folder_can_have_are_refused(settings, said):
    with pytest.raises(UserError, match=said):
        check_config({"name": "run", "output": "runs", **settings})


@pytest.mark.parametrize("output", ["there", "https://host/runs"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(output, tmp_path):
    (tmp_path / "there").write_text("a file")
    place = output if "://" in output else str(tmp_path / "there")
    with pytest.raises((OSError, UserError), match="File exists|http can only be read"):
        evaluate_runs([str(tmp_path / "no run")], Options(output=place), "configs/protocols")
    assert (tmp_path / "there").read_text() == "a file"


@pytest.mark.parametrize("text", ["-1", "1.5", "99999999999", "one"])
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(UserError, match="--seeds must be numbers, 0 to 4294967295"):
        seeds({"seed": 0}, Options(seeds=["0", text]))


@pytest.mark.parametrize(
    "report",
    [{}, {"config": {}}, {"config": {"seed": 0}}, {"config": {"seed": 0, "data": 3, "clips": {}}}],
)
def test_a_report_without_a_whole_config_is_named(report, tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "model.keras").touch()
    with pytest.raises(UserError, match="report.json holds no whole config"):
        evaluate_runs([str(tmp_path)], Options(), "configs/protocols")
