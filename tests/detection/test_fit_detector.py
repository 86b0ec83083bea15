"""Training of a detector: killed or stopped at any step and continued, it is the same as in one go."""

import os
import signal

import keras
import numpy as np
import pytest

from bod_keras.data import ClipAugment, KeyFrameClips
from bod_keras.detection import ActionDetector, fit_detector, score_boxes
from bod_keras.encoders import FrameCNN, feature_map
from bod_keras.training import Progress, steps_taken
from bod_keras.training.fit_labeled import TrainingStoppedError
from bod_keras.training.schedules import warmup_cosine
from tests.detection.discs import disc_key_frames, write_discs
from tests.tiers import slow
from tests.tiny_models import assert_same_weights, numpy

SHAPE = (4, 16, 16, 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = write_discs(tmp_path_factory.mktemp("discs"), train=4, test=1, frames=4)
    settings = {"classes": 4, "frames": 4, "size": 16, "batch_size": 4, "workers": 0}
    augment = ClipAugment(16, crop_area=(0.5, 1.0))
    return KeyFrameClips(disc_key_frames(root, "train", every=2), augment=augment, **settings)


def make_detector(dropout=0.0):
    keras.utils.set_random_seed(0)
    features = feature_map(FrameCNN(SHAPE, widths=(4,)))
    return ActionDetector(features, 4, False, bins=3, dropout=dropout)


@pytest.mark.parametrize("optimizer", ["adamw", pytest.param("sgd", marks=slow)])
def test_a_run_that_was_killed_goes_on(optimizer, data, tmp_path, monkeypatch, capsys):
    # The decay is so strong that vectors which it shrank after the resumption would show.
    settings = {"epochs": 3, "learning_rate": 0.1, "warmup_epochs": 1, "weight_decay": 3.0}
    settings["optimizer"] = optimizer
    whole = fit_detector(make_detector(), data, tmp_path / "whole", **settings)

    def kill(progress, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Progress, "on_epoch_begin", kill)
        fit_detector(make_detector(), data, tmp_path / "killed", **settings)
    resumed = fit_detector(make_detector(), data, tmp_path / "killed", **settings)
    assert f"3 epochs, resumed at step {2 * data.steps_per_epoch}" in capsys.readouterr().out
    assert_same_weights(whole, resumed, rtol=1e-4, atol=1e-6)
    again = fit_detector(make_detector(), data, tmp_path / "killed", **settings)
    assert "trained already" in capsys.readouterr().out
    assert_same_weights(again, resumed)


def test_decay_shrinks_matrices_by_the_schedule_and_leaves_vectors(data, tmp_path):
    """Gradients are clipped to nothing, so that what moves the weights is the decay alone."""
    settings = {"optimizer": "sgd", "momentum": 0.0, "clipnorm": 1e-12, "weight_decay": 2.0}
    trained = fit_detector(make_detector(), data, tmp_path, epochs=2, learning_rate=0.1, **settings)
    steps = 2 * data.steps_per_epoch
    rates = [float(warmup_cosine(0.1, steps, 0)(step)) for step in range(steps)]
    left = np.prod([1 - 2.0 * rate for rate in rates])
    assert 0 < left < 0.8
    fresh = make_detector().trainable_variables
    assert {len(before.shape) > 1 for before in fresh} == {True, False}
    for before, after in zip(fresh, trained.trainable_variables, strict=True):
        share = left if len(before.shape) > 1 else 1.0
        np.testing.assert_allclose(numpy(after), share * numpy(before), rtol=1e-4, atol=1e-7)


def test_a_signal_saves_the_step_and_dropout_continues_there(data, tmp_path, monkeypatch):
    settings = {"epochs": 2, "learning_rate": 0.1}
    whole = fit_detector(make_detector(0.5), data, tmp_path / "whole", **settings)
    step = Progress.on_train_batch_end

    def stop(progress, batch, logs=None):
        step(progress, batch, logs)
        if progress.done == data.steps_per_epoch + 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(TrainingStoppedError) as stopped:
        patch.setattr(Progress, "on_train_batch_end", stop)
        fit_detector(make_detector(0.5), data, tmp_path / "stopped", **settings)
    # The signal may come one step late, as callbacks before this one have had their turn.
    assert stopped.value.step in (data.steps_per_epoch + 1, data.steps_per_epoch + 2)
    resumed = fit_detector(make_detector(0.5), data, tmp_path / "stopped", **settings)
    assert steps_taken(resumed) == 2 * data.steps_per_epoch
    assert_same_weights(whole, resumed, rtol=1e-4, atol=1e-6)
    files = [tmp_path / name / "history.csv" for name in ("whole", "stopped")]
    rows = [file.read_text().splitlines() for file in files]
    assert rows[0][0] == rows[1][0] and rows[0][-1].split(",")[:2] == rows[1][-1].split(",")[:2]


def test_scores_are_those_of_single_key_frames(data):
    detector = make_detector()
    scores = score_boxes(detector, data)
    assert list(scores) == list(range(len(data.records)))
    for inputs, index in data.evaluation():
        for row, i in enumerate(index):
            one = {key: x[row : row + 1] for key, x in inputs.items()}
            expected = numpy(detector.scores(detector(one, training=False)))[0]
            np.testing.assert_allclose(scores[i], expected, atol=1e-5)
            np.testing.assert_allclose(scores[i].sum(-1), 1, atol=1e-5)


def test_bad_arguments(data, tmp_path):
    with pytest.raises(ValueError, match="optimizer must be one of adamw, sgd. Received: 'lamb'"):
        fit_detector(make_detector(), data, tmp_path, epochs=1, optimizer="lamb")
    with pytest.raises(ValueError, match="Received: epochs=2, warmup_epochs=2"):
        fit_detector(make_detector(), data, tmp_path, epochs=2, warmup_epochs=2)
