"""history.csv: a row an epoch, whatever stopped the run; damaged files are set aside, not lost."""

import csv
import signal

import keras
import numpy as np
import pytest

from bod_keras.training import HistoryFile, StopOnSignal, fit_rest, steps_taken
from tests.training.test_callbacks import SendSignal


class Counting(keras.Model):
    """Its loss at step k is k, so that the mean over an epoch is known."""

    def __init__(self):
        super().__init__()
        self.steps_taken = self.add_weight(
            shape=(), dtype="int32", trainable=False, initializer="zeros"
        )
        self.next_position = self.add_weight(
            shape=(), dtype="int32", trainable=False, initializer="zeros"
        )
        self.mean = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.mean]

    def train_step(self, data):
        self.steps_taken.assign_add(1)
        self.mean.update_state(keras.ops.cast(self.steps_taken, "float32"))
        return {"loss": self.mean.result()}


def make():
    model = Counting()
    model.built = True
    model.compile("sgd", run_eagerly=True)
    return model


def stream(position):
    while True:
        yield (np.zeros((1, 1), "float32"),)


def rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="a train_step of JAX has another signature"
)


@pytest.mark.parametrize("stops", [[1], [0], [2, 0], [1, 3, 0]], ids=str)
def test_an_epoch_that_was_stopped_within_is_one_row(stops, tmp_path):
    """Also several times in one epoch, and on its last step."""
    path, model = tmp_path / "history.csv", make()
    for at in stops:
        stop = StopOnSignal()
        with_signal = [SendSignal(signal.SIGTERM, at), stop, HistoryFile(path)]
        fit_rest(model, stream, steps=4, epochs=3, callbacks=with_signal)
        assert stop.received == signal.SIGTERM
    fit_rest(model, stream, steps=4, epochs=3, callbacks=[HistoryFile(path)])
    assert steps_taken(model) == 12
    found = rows(path)
    assert [row["epoch"] for row in found] == ["1", "2", "3"]
    assert [row["step"] for row in found] == ["4", "8", "12"]
    assert [float(row["loss"]) for row in found] == [2.5, 6.5, 10.5]


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda data: data[: len(data) * 3 // 4], 1),
        (lambda data: data[:-4], 1),
        (lambda data: b"a,b\n1,2\n", 0),
        (lambda data: b"", 0),
        (lambda data: bytes(range(256)), 0),
        (lambda data: data + b"\0\0\n", 2),
        (lambda data: data.replace(b"8,", b"x,", 1), 1),
        (lambda data: data + b"3,12,1.0\r\n", 2),
    ],
)
def test_of_a_damaged_file_the_rows_that_can_be_read_are_kept(damage, kept, tmp_path, capsys):
    path, model = tmp_path / "history.csv", make()
    fit_rest(model, stream, steps=4, epochs=2, callbacks=[HistoryFile(path)])
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    fit_rest(model, stream, steps=4, epochs=3, callbacks=[HistoryFile(path)])
    assert len(rows(path)) == kept + 1 and rows(path)[-1]["step"] == "12"
    if damaged:
        assert (tmp_path / "aside-history.csv").read_bytes() == damaged
        assert f"{path} is damaged" in capsys.readouterr().out


def test_a_folder_in_its_place_is_set_aside(tmp_path):
    path = tmp_path / "history.csv"
    path.mkdir()
    fit_rest(make(), stream, steps=2, epochs=1, callbacks=[HistoryFile(path)])
    assert len(rows(path)) == 1 and (tmp_path / "aside-history.csv").is_dir()


def test_a_history_that_is_gone_has_no_summary(tmp_path):
    assert HistoryFile.summary(tmp_path / "history.csv") == {}
