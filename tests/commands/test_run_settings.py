"""Which settings may change when a run is continued, and that a loaded model gets them."""

import keras
import pytest

from bod_keras import experiment
from bod_keras.commands.pretrain import tell_changes
from bod_keras.commands.run_settings import (
    apply_settings,
    changed_settings,
    check_same_videos,
    list_of_videos,
    refused_settings,
)
from bod_keras.configs import demo
from bod_keras.data import Record
from bod_keras.errors import UserError

STEPS = 10


def config_with(**changes):
    config = demo.get_config("bod,smoke,vmoco")
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return config.to_dict()


@pytest.mark.parametrize(
    "key, value",
    [
        ("output", "elsewhere"),
        ("name", "renamed"),
        ("epochs", 40),
        ("data.source", "moved/videos"),
        ("data.root", "moved"),
        ("built_in.folder", "moved"),
        ("probe.views", 3),
        ("monitors.every", 0),
        ("tracker", "mlflow"),
        ("checkpoint.keep", 5),
        ("clips.workers", 0),
        ("clips.timeout", 5.0),
        ("clips.cache_mb", 1),
        ("clips.max_bad_share", 0.5),
        ("optimizer.clipnorm", 1.0),
        ("optimizer.learning_rate", 1e-4),
        ("optimizer.chunks", 2),
    ],
)
def test_what_changes_no_step_that_was_taken_may_change(key, value):
    before = config_with()
    now = config_with(**{key: value})
    ((name, values),) = changed_settings(before, now, "runs/demo").items()
    assert name == key and values[1] == value


@pytest.mark.parametrize(
    "key, value",
    [
        ("seed", 1),
        ("precision", "mixed_bfloat16"),
        ("clips.batch_size", 16),
        ("clips.recipe", "none"),
        ("framework.temperature", 0.3),
        ("decoupling.ridge", 0.3),
        ("encoder.weights", "weights.pth"),
        ("built_in.rho", 0.5),
        ("optimizer.weight_decay", 0.3),
        ("optimizer.accumulate", 2),
    ],
)
def test_what_changes_them_is_refused_by_name(key, value):
    before = config_with()
    now = config_with(**{key: value, "epochs": 50})
    with pytest.raises(UserError) as error:
        changed_settings(before, now, "runs/demo")
    message = str(error.value)
    assert f"  {key}: " in message and f", {value} now" in message
    assert "--init_from=runs/demo" in message and "epochs:" not in message


def test_a_loaded_model_gets_what_may_change(tmp_path):
    before = config_with(epochs=2, decoupled=False)
    model = experiment.build_model(before, STEPS)
    model.compile(experiment.build_optimizer(before, STEPS))
    model.optimizer.iterations.assign(20)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)
    assert loaded.momentum_steps == 20

    now = config_with(
        epochs=4,
        decoupled=False,
        optimizer__clipnorm=0.5,
        optimizer__chunks=2,
        optimizer__learning_rate=0.4,
    )
    apply_settings(loaded, now, STEPS)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(
        0.2
    )  # half of a cosine over 40 steps
    assert int(loaded.optimizer.iterations) == 20
    assert loaded.optimizer.clipnorm == 0.5
    assert loaded.chunks == 2
    assert loaded.momentum_steps == 40
    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    assert float(again.optimizer.learning_rate) == pytest.approx(0.2)


def test_videos_are_known_by_their_names_below_the_folder_that_they_share():
    def listed(*paths):
        return list_of_videos([Record(path) for path in paths])

    here = listed("/a/run/1.avi", "/a/walk/2.avi")
    check_same_videos(here, listed("s3://bucket/x/run/1.avi", "s3://bucket/x/walk/2.avi"), "runs/a")
    check_same_videos(None, here, "runs/of-an-earlier-version")
    for other, message in [
        (listed("/a/walk/2.avi", "/a/run/1.avi"), "2 then, 2 now, with other names or in another"),
        (listed("/a/run/1.avi", "/a/walk/3.avi"), "2 then, 2 now, with other names"),
        (listed("/a/run/1.avi"), "2 then, 1 now"),
    ]:
        with pytest.raises(UserError, match=message):
            check_same_videos(here, other, "runs/a")


def test_parts_of_one_file_are_different_videos():
    whole, part = [Record("a.mp4")], [Record("a.mp4", span=(0.0, 2.0))]
    assert list_of_videos(whole) != list_of_videos(part)


def test_an_address_that_is_signed_anew_names_the_same_videos():
    def signed(key):
        return [Record(f"https://host/v/{i}%20a.mp4?Signature={key}{i}") for i in range(3)]

    assert list_of_videos(signed("a")) == list_of_videos(signed("b"))
    assert list_of_videos(signed("a")) != list_of_videos(signed("a")[1:])


@pytest.mark.parametrize("key", ["data.source", "probe.train", "seed"])
def test_no_message_shows_a_signature(key, capsys):
    before = {key: "https://me:secret@host/list.csv?X-Signature=secret"}
    now = {key: "https://host/list.csv?X-Signature=secret2"}
    lines = refused_settings(before, now)
    assert bool(lines) == (key == "seed") and "secret" not in "".join(lines)
    try:
        tell_changes(changed_settings(before, now, "runs/a"))
    except UserError as error:
        assert "secret" not in str(error)
    assert "secret" not in capsys.readouterr().out


def test_a_key_that_an_earlier_version_had_not_is_no_change():
    before, now = config_with(), config_with()
    for section, key in (("feature_cache", "copies"), ("data", "channels"), ("built_in", "scene")):
        del before[section][key]
    assert changed_settings(before, now, "runs/demo") == {}
    now["built_in"]["scene"] = "noise"
    assert refused_settings(before, now) == ["built_in.scene: photos there, noise now"]
