"""`KeepBest`: which epoch is kept, also over a resumed run, and when it stops."""

import types

import pytest

import bod_keras
from bod_keras.training import HistoryFile, KeepBest
from tests.tiny_models import make_model, make_views, simple


def stand_in(steps):
    """What `KeepBest` asks of a model."""
    optimizer = types.SimpleNamespace(iterations=steps)
    return types.SimpleNamespace(steps_taken=steps, optimizer=optimizer, stop_training=False)


def play(tmp_path, values, monitor="linear_static", patience=0, rows=()):
    """The epochs that were saved, from 1, and whether it stopped, of a run that logs these values."""
    history = tmp_path / "history.csv"
    if rows:
        lines = [f"{i},{i},1.0,{value}" for i, value in enumerate(rows, 1)]
        history.write_text("\n".join([f"epoch,step,seconds,{monitor}", *lines]) + "\n")
    saved = []
    best = KeepBest(
        tmp_path / "best.keras", monitor, history, lambda m, path: saved.append(path), patience
    )
    model = stand_in(len(rows))
    best.set_model(model)
    best.on_train_begin()
    epochs = []
    for epoch, value in enumerate(values, start=len(rows)):
        logs = {"loss": 1.0} if value is None else {"loss": 1.0, monitor: value}
        before = len(saved)
        best.on_epoch_end(epoch, logs)
        if len(saved) > before:
            assert saved[-1] == tmp_path / "best.keras"
            epochs.append(epoch + 1)
        if model.stop_training:
            break
    return epochs, model.stop_training, best.best


def test_only_a_better_epoch_is_saved(tmp_path):
    assert play(tmp_path, [0.3, 0.2, None, 0.3, 0.5]) == ([1, 5], False, (5, 0.5))


def test_of_a_loss_lower_is_better(tmp_path):
    assert play(tmp_path, [3.0, 4.0, 2.0], "val_loss") == ([1, 3], False, (3, 2.0))


def test_a_resumed_run_knows_what_was_best(tmp_path):
    found = play(tmp_path, [0.6, 0.8], rows=[0.1, 0.7, float("nan"), 0.6])
    assert found == ([6], False, (6, 0.8))


@pytest.mark.parametrize(("rows", "kept"), [((), [1]), ((0.9, 0.5), [])])
def test_it_stops_when_nothing_was_better_for_long(tmp_path, capsys, rows, kept):
    """Epochs without a measurement do not count; those before a resume do."""
    values = [0.7, 0.6, None, 0.7, 0.9] if not rows else [None, 0.4, 0.95]
    epochs, stopped, best = play(tmp_path, values, patience=2, rows=rows)
    assert (epochs, stopped) == (kept, True)
    assert f"best after epoch {best[0]}" in capsys.readouterr().out


def test_a_number_that_is_not_logged_is_named(tmp_path):
    with pytest.raises(bod_keras.UserError, match="Did you mean linear_static"):
        best = KeepBest(tmp_path / "best.keras", "linear_statik", tmp_path / "h.csv", None)
        best.set_model(stand_in(0))
        best.on_train_begin()
        best.on_epoch_end(0, {"loss": 1.0, "linear_static": 0.5})


def test_an_epoch_that_is_cut_short_need_not_log_it(tmp_path):
    saved = []
    best = KeepBest(
        tmp_path / "b.keras", "val_loss", tmp_path / "h.csv", lambda *a: saved.append(a)
    )
    model = stand_in(0)
    best.set_model(model)
    best.on_train_begin()
    model.stop_training = True
    best.on_epoch_end(0, {"loss": 1.0})
    model.stop_training = False
    best.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
    assert len(saved) == 1 and best.best == (1, 2.0)


def test_what_is_kept_is_the_model_of_its_epoch(tmp_path):
    """By a real fit: of a loss that rises after the first epoch."""
    model, path = make_model(simple()), tmp_path / "best.keras"
    best = KeepBest(path, "loss", tmp_path / "history.csv", bod_keras.training.save_model)
    history = HistoryFile(tmp_path / "history.csv")
    losses = []
    for _ in range(3):
        losses += model.fit(make_views(), verbose=0, callbacks=[best, history]).history["loss"]
    kept = bod_keras.training.load_model(path)
    assert bod_keras.training.steps_taken(kept) == 1 + losses.index(min(losses))
