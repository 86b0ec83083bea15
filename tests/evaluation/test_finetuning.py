"""Training with labels: what trains, a step worked out by hand, resuming, choosing the epoch, misuse."""

import dataclasses
import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from bod_keras.data import Catalog, ClipDataset, array_records
from bod_keras.detection import ActionDetector
from bod_keras.encoders import FrameCNN, feature_map
from bod_keras.evaluation.finetuning import (
    Classifier,
    ClassProbabilities,
    TrainingRun,
    TrainingStoppedError,
)
from bod_keras.evaluation.protocols import (
    Split,
    Subject,
    change_protocol,
    read_protocol,
    run_protocol,
)
from bod_keras.evaluation.protocols.finetune import build_classifier
from bod_keras.training import steps_taken
from tests.tiny_models import numpy, weights_of

FOLDER = Path(__file__).parents[2] / "configs" / "protocols"
CLIPS = {"frames": 4, "size": 8, "views": 1, "batch_size": 2, "recipe": "crop"}


def make_encoder():
    keras.utils.set_random_seed(0)
    return FrameCNN((4, 8, 8, 3), widths=(4,))


def make_batch(videos=6):
    rng = np.random.default_rng(0)
    views = rng.random((videos, 1, 4, 8, 8, 3), "float32")
    return {"views": views, "position": np.arange(videos, dtype="int32")}, np.arange(videos) % 3


def make_split(name, videos=12):
    """Dark and bright videos, as factor "bright"; "odd" is their number's last bit."""
    rng = np.random.default_rng(len(name))
    bright = np.arange(videos) // (videos // 2)
    noise = rng.integers(0, 90, (videos, 6, 10, 10, 3))
    frames = (noise + 150 * bright[:, None, None, None, None]).astype("uint8")
    records = [
        dataclasses.replace(record, factors={"bright": int(bright[i]), "odd": i % 2})
        for i, record in enumerate(array_records(frames))
    ]

    def make(catalog, **changes):
        return ClipDataset(catalog.records, **{**CLIPS, **changes})

    return Split(Catalog(records), make, name)


def finetune(tmp_path, *changes, **videos):
    subject = Subject(
        make_encoder(), {}, make_split("train", **videos), make_split("test"), tmp_path
    )
    protocol = change_protocol(
        read_protocol("finetune", FOLDER),
        ["warmup_epochs=0.0", "epochs=4", "batch_size=2", *changes],
    )
    return run_protocol(subject, protocol)


@pytest.mark.parametrize(
    ("train", "batch_norm", "weights", "scale", "statistics"),
    [
        ("all", "train", True, True, True),
        ("all", "frozen", True, False, False),
        ("head", "adapt", False, False, True),
        ("head", "frozen", False, False, False),
    ],
)
def test_what_a_step_changes(train, batch_norm, weights, scale, statistics):
    model = Classifier(make_encoder(), 3, train, batch_norm)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    before = {v.path: numpy(v).copy() for v in model.variables}
    model.train_on_batch(*make_batch())
    changed = {v.path: bool((before[v.path] != np.array(v)).any()) for v in model.variables}
    kinds = {"kernel": weights, "gamma": scale, "beta": scale, "moving_mean": statistics}
    for kind, expected in kinds.items():
        paths = [v.path for v in model.encoder.variables if v.path.endswith(kind)]
        assert paths and all(changed[path] == expected for path in paths), kind
    assert changed[model.head.kernel.path]
    assert (int(model.steps_taken), int(model.first_position), int(model.next_position)) == (
        1,
        0,
        6,
    )


def test_a_step_of_the_classifier_is_softmax_regression_with_l2():
    """w - rate (features^T (softmax - onehot) / B + decay w), of normalized features, by NumPy."""
    model = Classifier(make_encoder(), 3, "head", "frozen", "l2", weight_decay=0.5)
    model.compile(keras.optimizers.SGD(0.2), run_eagerly=True)
    (inputs, labels), (kernel, bias) = make_batch(), weights_of(model.head)
    x = numpy(model.encoder(inputs["views"][:, 0])).mean(axis=1)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    scores = np.exp(x @ kernel + bias)
    wrong = (scores / scores.sum(axis=1, keepdims=True) - np.eye(3)[labels]) / len(x)
    model.train_on_batch(inputs, labels)
    after, after_bias = weights_of(model.head)
    np.testing.assert_allclose(after, kernel - 0.2 * (x.T @ wrong + 0.5 * kernel), atol=1e-6)
    np.testing.assert_allclose(after_bias, bias - 0.2 * wrong.sum(axis=0), atol=1e-6)


def test_probabilities_are_averaged_over_the_views():
    model = Classifier(make_encoder(), 3)
    rng = np.random.default_rng(0)
    model.head.kernel.assign(rng.normal(size=model.head.kernel.shape) * 9)
    views = rng.random((3, 5, 4, 8, 8, 3), "float32")
    batches = [{"views": views[:2], "index": [0, 1]}, {"views": views[2:], "index": [2]}]
    found, index = ClassProbabilities(model).of_videos(batches)
    truth = [numpy(keras.ops.softmax(model(video))).mean(axis=0) for video in views]
    np.testing.assert_allclose(found, truth, rtol=1e-4, atol=1e-6)
    assert index.tolist() == [0, 1, 2]


def test_a_stopped_training_resumes_and_equals_one_that_was_not(tmp_path):
    """Stopped by SIGTERM in the second epoch, one step after its first one was measured."""
    records = make_split("train", videos=8).records
    accuracies = {1: 0.5, 2: 0.75, 3: 0.75}

    def train(folder, stop_after=None):
        """The last weights, the seed of dropout among them, and what `TrainingRun` returned."""
        seen = {}

        def measure(model):
            epoch = steps_taken(model) // 4
            seen[epoch] = [numpy(v).copy() for v in (*model.variables, *model.optimizer.variables)]
            if epoch == stop_after:
                os.kill(os.getpid(), signal.SIGTERM)
            return accuracies[epoch]

        def build():
            keras.utils.set_random_seed(0)
            model = Classifier(make_encoder(), 2, dropout=0.5)
            # A decay that vectors must not see, after the resumption either.
            model.compile(keras.optimizers.AdamW(0.1, weight_decay=3.0))
            return model

        data = ClipDataset(records, labels=[r.factors["bright"] for r in records], **CLIPS)
        run = TrainingRun(tmp_path / folder, data, 3, measure)
        return seen, run.train(build)

    whole, (best, epoch, accuracy) = train("whole")
    with pytest.raises(TrainingStoppedError, match="Saved step 5"):
        train("stopped", stop_after=1)
    rest, (again, *chosen) = train("stopped")
    assert (epoch, accuracy) == (2, 0.75) and chosen == [2, 0.75]  # of equal epochs the first
    assert list(rest) == [2, 3]
    for one, other in zip(whole[3], rest[3], strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(whole[2], whole[3], strict=True))
    for one, other in zip(best.variables, again.variables, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))
    np.testing.assert_array_equal(numpy(best.head.kernel), whole[2][_place(best)])


def _place(model):
    return [v.path for v in model.variables].index(model.head.kernel.path)


def test_it_learns_the_first_factor_or_the_column_that_is_asked_for(tmp_path):
    flags = ("checkpoint=last", "learning_rate=0.1", "views=1", "crops=1", "dropout=0.0")
    learned = finetune(tmp_path, *flags)
    assert learned["factors"]["bright"]["classifier"]["top1"] == 1.0
    other = finetune(tmp_path, *flags, "label=odd", "epochs=1")
    assert list(other["factors"]) == ["odd"]
    assert other["factors"]["odd"]["classifier"]["top1"] < 1.0


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("finetune-ssv2", {0: 0.0, 19: 0.12, 1399: 0.12, 1400: 0.012, 1800: 0.0012}),
        ("linear-slowfast", {0: 0.0, 400: 0.25, 800: 0.5, 3400: 0.25, 6000: 0.0}),
        ("finetune-rspnet", {0: 0.1, 1500: 0.05, 3000: 0.0}),
        ("linear-coclr", {0: 0.1, 6000: 0.01, 8000: 0.001}),
        ("linear-tclr", {0: 0.01, 4999: 0.01}),
    ],
)
def test_the_published_learning_rates(name, rates):
    protocol = read_protocol(name, FOLDER)
    optimizer = build_classifier(make_encoder(), 3, protocol, steps_per_epoch=100).optimizer
    for step, rate in rates.items():
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(rate, rel=1e-4, abs=1e-7), step


def test_adamw_decays_no_vectors():
    protocol = change_protocol(
        read_protocol("finetune", FOLDER), ["optimizer=adamw", "weight_decay=0.1"]
    )
    model = build_classifier(make_encoder(), 3, protocol, steps_per_epoch=1)
    variables = model.trainable_variables
    for variable in variables:
        variable.assign(np.ones(variable.shape))
    for _ in range(3):  # the first steps of the warm-up are tiny
        model.optimizer.apply([keras.ops.zeros(v.shape) for v in variables], variables)
    decays = {v.path.split("/")[-1]: numpy(v).max() < 1 for v in variables}
    assert decays["kernel"] and not (decays["bias"] or decays["gamma"] or decays["beta"])
    assert model.optimizer.weight_decay == 0.1 and model.get_config()["weight_decay"] == 0.0


def test_a_classifier_that_was_not_compiled_is_saved_without(tmp_path):
    model = Classifier(make_encoder(), 3, "head", "adapt", "l2+batch_norm", 0.5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert not again.compiled
    one, other = ({**m.get_config(), "encoder": None} for m in (model, again))
    assert one == other
    assert [v.trainable for v in again.variables] == [v.trainable for v in model.variables]
    for one, other in zip(weights_of(model), weights_of(again), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("made", ["classifier", "detector"])
def test_a_step_that_loss_scaling_leaves_out_is_counted(made):
    """Or a training in half precision would repeat it when it resumes."""
    inputs, labels = make_batch(2)
    inputs["views"][0, 0, 0] = np.inf  # as an overflow
    weight = None
    if made == "classifier":
        model = Classifier(make_encoder(), 3)
    else:
        model = ActionDetector(feature_map(make_encoder()), 3, multi_label=False, bins=2)
        boxes = np.tile(np.array([0, 0, 1, 1], "float32"), (2, 1, 1))
        inputs = {"clips": inputs["views"][:, 0], "boxes": boxes, "position": inputs["position"]}
        labels, weight = np.eye(3, dtype="float32")[[[0], [1]]], np.ones((2, 1), "float32")
    before = weights_of(model.layers[0])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), run_eagerly=True)
    model.train_on_batch(inputs, labels, sample_weight=weight)
    for one, other in zip(before, weights_of(model.layers[0]), strict=True):
        if one.ndim > 1:
            np.testing.assert_array_equal(one, other)
    assert steps_taken(model) == 1 and int(model.next_position) == 2


def test_the_loss_is_scaled_where_the_encoder_computes_in_float16():
    keras.config.set_dtype_policy("mixed_float16")
    encoder = make_encoder()
    keras.config.set_dtype_policy("float32")  # as in evaluate.py
    protocol = read_protocol("finetune", FOLDER)
    optimizer = build_classifier(encoder, 3, protocol, steps_per_epoch=1).optimizer
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("checkpoint=best", "checkpoint of .* must be one of validation, last, test.*'best'"),
        ("optimizer=lion", "optimizer of .* must be one of sgd, adam, adamw.*'lion'"),
        ("warmup_epochs=4.0", "must lie in 0 to epochs. Received: 4.0 of 4"),
        ("label=speed", "train videos have no label column 'speed'; they have bright, odd"),
        ("train=encoder", "train must be one of all, head. Received: 'encoder'"),
        ("batch_norm=off", "batch_norm must be one of train, adapt, frozen. Received: 'off'"),
        ("normalize=l1", "normalize must be one of none, l2, l2.batch_norm. Received: 'l1'"),
    ],
)
def test_a_choice_that_does_not_exist(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        finetune(tmp_path, change)


def test_one_video_a_class_leaves_none_to_choose_the_epoch_on(tmp_path):
    with pytest.raises(ValueError, match="smallest class has 1. Give more .*checkpoint=last"):
        finetune(tmp_path, videos=2)
