"""Callbacks that end a run: on a loss that is no number, and on a signal; and the progress bar."""

import math
import os
import signal
import time

import keras
import numpy as np
import pytest

from bod_keras.training import HistoryFile, NotFiniteError, Progress, StopOnNonFinite, StopOnSignal
from tests.tiers import first_of
from tests.tiny_models import make_model, make_views, train


def names_of(first, last):
    return [f"clip{i}.mp4" for i in range(first, last + 1)]


@pytest.mark.parametrize("decoupling", ["simple", None])
def test_a_broken_input_stops_training_and_its_files_are_named(decoupling):
    views = make_views(batch=12)
    views[5, 0, 1, 2, 3, 0] = np.nan
    model = make_model(decoupling)
    data = {"views": views, "position": np.arange(20, 32)}
    with pytest.raises(NotFiniteError) as error:
        train(model, data, callbacks=[StopOnNonFinite(names_of)])
    message = str(error.value)
    assert message.startswith("Not finite at step 2: ")
    assert "loss" in message.split(".")[0]
    assert "The batch held positions 24 to 27:\n  clip24.mp4\n" in message
    assert "clip27.mp4\n" in message and "clip28.mp4" not in message
    assert int(model.optimizer.iterations) == 2


def test_without_files_the_step_is_named():
    callback = StopOnNonFinite()
    callback.set_model(make_model(None))
    with pytest.raises(NotFiniteError, match=r"Not finite at step 0: loss, b_loss\. Look at"):
        callback.on_train_batch_end(0, {"loss": math.nan, "fine": 1.0, "b_loss": math.inf})


def test_a_part_of_the_loss_is_enough():
    callback = StopOnNonFinite()
    callback.set_model(make_model(None))
    with pytest.raises(NotFiniteError, match="prediction_loss"):
        callback.on_train_batch_end(0, {"loss": 2.0, "prediction_loss": math.nan})


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("value", first_of([math.nan, math.inf, -math.inf]))
def test_statistics_that_are_spoilt_stop_training_at_their_step(value, eager):
    """In training, batch normalization does not see its moving variance, so that the loss stays finite."""
    model = make_model(None, eager=eager)
    (variance,) = [v for v in model.encoder.variables if "moving_variance" in v.path][:1]

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 1 and keras.backend.backend() != "jax":
                variance.assign(np.full(variance.shape, value))

    if keras.backend.backend() == "jax":  # which takes the variables at the start of an epoch
        variance.assign(np.full(variance.shape, value))
    with pytest.raises(NotFiniteError, match=r"Not finite at step \d: loss.*moving_variance"):
        train(model, make_views(batch=12), callbacks=[Spoil(), StopOnNonFinite()])
    jax = keras.backend.backend() == "jax"
    assert int(model.optimizer.iterations) == (1 if jax else 2)


@pytest.mark.parametrize("logs", [None, {}, {"loss": 2.0}, {"loss": 2.0, "statistic": math.nan}])
def test_a_finite_loss_goes_on(logs):
    StopOnNonFinite().on_train_batch_end(0, logs)


class SendSignal(keras.callbacks.Callback):
    """Send this process a signal at the beginning of a step, and note when steps and epochs end."""

    def __init__(self, number, at):
        super().__init__()
        self.number, self.at = number, at
        self.steps, self.handlers = [], []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == self.at:
            os.kill(os.getpid(), self.number)

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(batch)
        self.handlers.append(signal.getsignal(self.number))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_running_step(number, capsys):
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    stop, send = StopOnSignal(), SendSignal(number, at=1)
    model = make_model(None)
    train(model, make_views(batch=16), epochs=3, callbacks=[send, stop])
    assert send.steps == [0, 1]
    assert int(model.optimizer.iterations) == 2
    assert stop.received == number
    assert f"{signal.Signals(number).name}: stopping after this step" in capsys.readouterr().out
    # A second signal would have acted as usual: only the first step ran under the callback's handler.
    assert send.handlers[0] not in before
    assert send.handlers[1] in before
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_without_a_signal_nothing_happens_and_handlers_are_restored():
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    stop = StopOnSignal()
    model = make_model(None)
    train(model, make_views(batch=8), epochs=2, callbacks=[stop])
    assert stop.received is None
    assert int(model.optimizer.iterations) == 4
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before


def test_progress_counts_the_steps_of_the_whole_run(capsys):
    progress = Progress(total=7, done=3)
    assert math.isnan(progress.seconds_per_step)
    train(make_model(None), make_views(batch=16), callbacks=[progress])
    assert progress.done == 7
    assert progress.seconds_per_step > 0
    assert "7/7" in capsys.readouterr().err


@pytest.mark.parametrize("seconds, told", [(2.5, True), (0.0, False)])
def test_a_long_first_step_is_told_of_where_it_compiles(seconds, told, capsys):
    progress = Progress(total=2)
    progress.on_train_begin()
    for batch in range(2):
        progress.on_train_batch_begin(batch)
        time.sleep(seconds if batch == 0 else 0)
        assert ("Compiling the first step" in capsys.readouterr().err) == (
            told and batch == 0 and keras.backend.backend() != "torch"
        )
        progress.on_train_batch_end(batch, {"loss": 1.0})
    progress.on_train_end()


def test_columns_that_come_and_go_are_nan_and_left_out_of_the_summary(tmp_path):
    """A continued run may measure other things, such as with another monitors.every."""
    history = HistoryFile(tmp_path / "history.csv")
    model = make_model(None)
    history.set_model(model)
    history.on_train_begin()
    for epoch, logs in enumerate(
        [{"loss": 3.0, "rank": 5.0}, {"loss": 2.0}, {"loss": 1.0, "energy": 7.0}]
    ):
        model.steps_taken.assign(epoch + 1)
        history.on_epoch_end(epoch, logs)
    summary = HistoryFile.summary(tmp_path / "history.csv")
    assert summary["loss"] == {"first": 3.0, "last": 1.0, "smallest": 1.0, "largest": 3.0}
    assert summary["rank"]["last"] == 5.0 and summary["energy"]["first"] == 7.0
