"""Checkpoints: atomic, the newest kept, damaged ones passed over; also on a full disk."""

import contextlib
import resource
import struct
import tempfile
import time
import zipfile
from unittest import mock

import keras
import numpy as np
import pytest

from bod_keras.errors import UserError
from bod_keras.training import (
    Checkpoint,
    load_checkpoint,
    load_model,
    save_model,
    saved_settings,
)
from tests.tiers import first_of


def make_model(seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.1), loss="mse", run_eagerly=True)
    return model


def fit(model, folder, epochs=5, **arguments):
    x, y = np.ones((4, 4), "float32"), np.zeros((4, 3), "float32")
    callback = Checkpoint(folder, **arguments)
    model.fit(x, y, batch_size=2, epochs=epochs, callbacks=[callback], verbose=0)
    return callback


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def kernel(model):
    return keras.ops.convert_to_numpy(model.layers[-1].kernel)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [({}, [8, 10]), ({"keep": 1}, [10]), ({"keep": 9}, [2, 4, 6, 8, 10]), ({"every": 2}, [4, 8])],
    ids=str,
)
def test_the_newest_are_kept_and_named_after_the_step(arguments, steps, tmp_path):
    fit(make_model(), tmp_path / "new" / "folder", **arguments)
    assert names(tmp_path / "new" / "folder") == [f"step-{step:08d}.keras" for step in steps]


@pytest.mark.parametrize(("every", "keep"), [(0, 1), (1, 0)])
def test_wrong_arguments_are_named(every, keep):
    with pytest.raises(ValueError, match=f"at least 1. Received: {every} and {keep}"):
        Checkpoint("folder", every, keep)


def test_the_newest_checkpoint_is_loaded_with_its_optimizer(tmp_path):
    model = make_model()
    fit(model, tmp_path)
    loaded, skipped = load_checkpoint(tmp_path)
    np.testing.assert_array_equal(kernel(loaded), kernel(model))
    assert int(loaded.optimizer.iterations) == 10
    assert skipped == []


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def empty(path):
    path.write_bytes(b"")


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def a_folder(path):
    path.unlink()
    path.mkdir()


def in_directory(place):
    """Damage of the zip's own directory, at its end, which zipfile meets with errors of many classes."""

    def damage(path):
        data = bytearray(path.read_bytes())
        entry = data.rindex(b"PK\x01\x02")
        if place == "method":
            data[entry + 10] ^= 64
        elif place == "name":
            data[entry + 46] ^= 1
        elif place == "zeros":
            data[-100:-60] = bytes(40)
        else:
            data[len(data) - 6] ^= 8  # where it begins
        path.write_bytes(bytes(data))

    damage.__name__ = place
    return damage


DAMAGES = [truncate, empty, flip_a_byte, a_folder]
DAMAGES += map(in_directory, ("method", "name", "zeros", "offset"))


@pytest.mark.parametrize("damage", first_of(DAMAGES, 3))
def test_a_damaged_checkpoint_is_passed_over_and_named(damage, tmp_path):
    fit(make_model(), tmp_path, keep=3)
    damage(tmp_path / "step-00000010.keras")
    (tmp_path / ".part-1-step-00000012.keras").write_bytes(b"a run that was killed while it saved")
    model, skipped = load_checkpoint(tmp_path)
    assert int(model.optimizer.iterations) == 8
    assert skipped == [tmp_path / "step-00000010.keras"]


@pytest.mark.parametrize("damage", [truncate, empty, a_folder])
def test_what_was_passed_over_is_set_aside_by_the_run_that_goes_on(damage, tmp_path):
    fit(make_model(), tmp_path, keep=3)
    damage(tmp_path / "step-00000010.keras")
    part = tmp_path / ".part-1-step-00000012.keras"
    part.write_bytes(b"a run that was killed while it saved")
    found = sorted(tmp_path.iterdir())[-1]
    damaged = found.read_bytes() if found.is_file() else None
    fit(load_checkpoint(tmp_path)[0], tmp_path, epochs=1, keep=1)
    assert names(tmp_path) == ["aside-step-00000010.keras", "step-00000010.keras"]
    assert load_checkpoint(tmp_path)[1] == []
    aside = tmp_path / "aside-step-00000010.keras"
    assert (aside.read_bytes() if aside.is_file() else None) == damaged


def test_an_older_folder_in_the_place_of_a_checkpoint_stops_nothing(tmp_path):
    fit(make_model(), tmp_path, keep=3)
    a_folder(tmp_path / "step-00000006.keras")
    fit(load_checkpoint(tmp_path)[0], tmp_path, epochs=2, keep=2)
    assert names(tmp_path) == [
        "aside-step-00000006.keras",
        *(f"step-{s:08d}.keras" for s in (12, 14)),
    ]


def test_a_checkpoint_of_other_settings_is_passed_over(tmp_path):
    model, told = make_model(), []
    fit(model, tmp_path, keep=3, settings={"width": 16})
    save_model(model, tmp_path / "step-00000012.keras", {"width": 8})
    check = lambda there: None if there == {"width": 16} else f"it has {there}"  # noqa: E731
    loaded, skipped = load_checkpoint(tmp_path, check, told.append)
    assert int(loaded.optimizer.iterations) == 10
    assert skipped == [tmp_path / "step-00000012.keras"]
    assert told == [f"{skipped[0]} was passed over: it has {{'width': 8}}"]
    assert saved_settings(tmp_path / "step-00000010.keras") == {"width": 16}
    save_model(model, tmp_path / "model.keras")
    assert saved_settings(tmp_path / "model.keras") is None


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d is not a_folder])
def test_a_damaged_model_is_one_clear_message(damage, tmp_path):
    save_model(make_model(), tmp_path / "model.keras")
    damage(tmp_path / "model.keras")
    with pytest.raises(UserError, match="model.keras is no complete .keras file"):
        load_model(tmp_path / "model.keras")


@keras.saving.register_keras_serializable("tests")
class Renamed(keras.layers.Layer):
    def call(self, x):
        return x


def test_a_model_of_unknown_classes_is_one_clear_message(tmp_path):
    save_model(keras.Sequential([keras.Input((4,)), Renamed()]), tmp_path / "model.keras")
    del keras.saving.get_custom_objects()["tests>Renamed"]
    try:
        with mock.patch.object(Renamed, "__module__", "no.such.module"):
            save_model(keras.Sequential([keras.Input((4,)), Renamed()]), tmp_path / "model.keras")
        with pytest.raises(
            UserError, match="model.keras cannot be loaded: .*registered and imported"
        ):
            load_model(tmp_path / "model.keras")
    finally:
        keras.saving.get_custom_objects()["tests>Renamed"] = Renamed


@pytest.mark.parametrize("year", [1970, 1979, 2120])
def test_a_clock_that_zip_does_not_know_stops_no_checkpoint(year, tmp_path, monkeypatch):
    now = time.localtime()
    monkeypatch.setattr(zipfile.time, "localtime", lambda *_: time.struct_time((year, *now[1:])))
    # Where memory is short Keras writes the weights to a file first, whose time it takes over.
    monkeypatch.setattr("keras.src.saving.saving_lib.is_memory_sufficient", lambda model: False)
    save_model(make_model(), tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras").count_params() == 15
    with pytest.raises((ValueError, struct.error), match="timestamps|format"):
        zipfile.ZipFile(tmp_path / "a.zip", "w").write(tmp_path / "model.keras")


def test_without_a_complete_checkpoint_there_is_no_model(tmp_path):
    assert load_checkpoint(tmp_path) == (None, [])
    assert load_checkpoint(tmp_path / "missing") == (None, [])
    (tmp_path / "step-00000002.keras").write_bytes(b"")
    assert load_checkpoint(tmp_path) == (None, [tmp_path / "step-00000002.keras"])


def test_saving_makes_the_folder_and_replaces_the_old_file(tmp_path):
    path = tmp_path / "a" / "b" / "model.keras"
    save_model(make_model(seed=0), path)
    model = make_model(seed=1)
    save_model(model, str(path))
    assert names(path.parent) == ["model.keras"]
    np.testing.assert_array_equal(kernel(keras.models.load_model(path)), kernel(model))


@contextlib.contextmanager
def full_disk(size):
    """A limit on the size of files stands for the full disk: every write beyond it fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_an_error_that_leaves_the_old_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # Keras leaves a folder there
    path = tmp_path / "folder" / "model.keras"
    old, new = (keras.Sequential([keras.Input((300,)), keras.layers.Dense(300)]) for _ in range(2))
    save_model(old, path)
    with pytest.raises(OSError, match=f"Could not save {path}.*resumes from the last checkpoint"):
        with full_disk(20_000):
            save_model(new, path)
    assert names(path.parent) == ["model.keras"]
    np.testing.assert_array_equal(kernel(keras.models.load_model(path)), kernel(old))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="Could not save .*file/model.keras"):
        save_model(make_model(), tmp_path / "file" / "model.keras")
