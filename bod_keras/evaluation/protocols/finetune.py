"""An encoder, or a classifier on it, trained with labels on augmented clips, then tested."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ml_collections import ConfigDict

from bod_keras.data import ClipDataset
from bod_keras.errors import UserError, check_choice
from bod_keras.evaluation.finetuning import Classifier, ClassProbabilities, TrainingRun
from bod_keras.evaluation.finetuning.classifier import copy_of
from bod_keras.evaluation.probes.classification import (
    chance,
    classification_scores,
    write_classification,
)
from bod_keras.evaluation.probes.low_shot import low_shot
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.classify import classes_of
from bod_keras.evaluation.protocols.subject import Subject
from bod_keras.evaluation.provenance import content_hash, file_list_hash, model_hash
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.storage.lock import lock
from bod_keras.storage.regular_file import regular_file
from bod_keras.training import warmup_cosine, warmup_steps

CHECKPOINTS = ("validation", "last", "test")
OPTIMIZERS = {
    "sgd": keras.optimizers.SGD,
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}
SCHEDULES = ("cosine", "step")
_ON_TEST = (
    "{} chooses the epoch on the test videos, as it was published: the number is too high. "
    "--set=checkpoint=validation does not."
)


@kind("finetune", legend="classifier: trained with labels on augmented clips.")
def run_finetune(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Train a `Classifier` on the training videos, and test the epoch that the protocol chooses.

    All that is trained, and the probabilities of the test videos, stay in the folder training-HASH, where the
    hash is of the model, the videos, the protocol and the seed. A training that was stopped continues there,
    and one that is finished is read from there.

    Returns:
        `{"factors": {column: {"classifier": {"top1", "top5", "mean_class"}, "chance": share}}, "files": [...],
        "epoch", "epochs", "chosen_on", "chosen_accuracy", "seconds_per_step", "warnings"}`. "chosen_on" is
        "validation", "test" (then a warning says so) or None: the last epoch.

    Raises:
        BlockingIOError: another process trains in that folder.
        TrainingStoppedError: a signal has stopped it.
    """
    _check(protocol)
    column = _column(subject, protocol)
    train_y, test_y = (np.asarray(s.labels[column]) for s in (subject.train, subject.test))
    classes, names = classes_of(subject, column, train_y, test_y)
    train_y, test_y = (np.searchsorted(classes, y) for y in (train_y, test_y))
    folder = subject.folder / f"training-{training_key(subject, protocol, column)[:16]}"
    file = folder / "result.npz"
    with lock(str(folder), "Wait until it has ended, or stop it."):
        if file.exists():
            print(f"Trained before: read from {file}", flush=True)
        else:
            _train_and_test(subject, protocol, (train_y, test_y), len(classes), folder, file)
    probabilities, index, about = read_result(file)
    for split in (subject.train, subject.test):
        split.skip(about["skipped"][split.name])
    results = classification_scores(probabilities, test_y[index], names)
    files = write_classification(results, subject.folder / f"{column}-classifier")
    files += [folder / "history.csv"]
    measures = {key: results[key] for key in ("top1", "top5", "mean_class")}
    return {
        "factors": {column: {"classifier": measures, "chance": chance(test_y[index])}},
        "files": [str(f.relative_to(subject.folder)) for f in files],
        **about["training"],
        "warnings": [_ON_TEST.format(protocol.name)] if protocol.checkpoint == "test" else [],
    }


def read_result(file: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    """Return the probabilities of a trained classifier, the videos that they are of, and what is known of it.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with (
            open(regular_file(file), "rb") as stream,
            np.load(stream, allow_pickle=False) as stored,
        ):
            about = json.loads(str(stored["about"]))
            return stored["probabilities"], stored["index"], about
    except Exception as error:  # of a damaged file, zipfile raises what it happens to meet
        raise UserError(
            f"{file} is damaged ({type(error).__name__}: {error}). Restore it from a copy; or delete it, and "
            "the classifier is trained again."
        ) from None


def _train_and_test(subject, protocol, labels, classes, folder, file):
    train_y, test_y = labels
    rows, held_out = held_out_parts(protocol, train_y, subject.seed)
    data = subject.train.clips(
        rows,
        labels=train_y[rows],
        recipe=protocol.recipe,
        flip=protocol.flip,
        batch_size=protocol.batch_size,
        augment="cpu",
        views=1,
    )
    at_once = max(1, protocol.batch_size // (protocol.views * protocol.crops))
    test = subject.test.clips(batch_size=at_once)
    measure = None
    if protocol.checkpoint == "validation":
        validation = subject.train.clips(held_out, batch_size=protocol.batch_size)
        measure = _accuracy(validation, train_y[held_out])
    elif protocol.checkpoint == "test":
        measure = _accuracy(subject.test.clips(batch_size=protocol.batch_size), test_y)
    keras.utils.set_random_seed(subject.seed)  # of the classifier's first weights, and of dropout
    training = TrainingRun(folder, data, protocol.epochs, measure)
    model, epoch, accuracy = training.train(
        lambda: build_classifier(subject.encoder, classes, protocol, data.steps_per_epoch)
    )
    batches = test.evaluation_numpy(protocol.views, protocol.crops)
    probabilities, index = ClassProbabilities(model).of_videos(batches)
    about = {
        "skipped": {s.name: s.skipped for s in (subject.train, subject.test)},
        "training": {
            "epoch": epoch,
            "epochs": protocol.epochs,
            "chosen_on": None if measure is None else protocol.checkpoint,
            "chosen_accuracy": accuracy,
            "seconds_per_step": training.seconds_per_step,
        },
    }
    with atomic_file(file) as part, open(part, "wb") as stream:
        np.savez(stream, probabilities=probabilities, index=index, about=json.dumps(about))
    training.finish(model)


def build_classifier(
    encoder: keras.Model, classes: int, protocol: ConfigDict, steps_per_epoch: int
) -> Classifier:
    """Return the compiled `Classifier` of a protocol, on a copy of an encoder."""
    decoupled = protocol.optimizer == "adamw"
    keys = ("train", "batch_norm", "normalize", "dropout")
    decay = 0.0 if decoupled else protocol.weight_decay
    settings = {key: protocol[key] for key in keys}
    model = Classifier(copy_of(encoder), classes, weight_decay=decay, **settings)
    warmup = round(protocol.warmup_epochs * steps_per_epoch)
    if protocol.schedule == "step":
        # One at the end changes nothing, and without any there is no schedule.
        ends = protocol.steps or (protocol.epochs,)
        boundaries = [round(epoch * steps_per_epoch) for epoch in ends]
        rate = warmup_steps(protocol.learning_rate, boundaries, protocol.factor, warmup)
    else:
        rate = warmup_cosine(protocol.learning_rate, protocol.epochs * steps_per_epoch, warmup)
    more = {"momentum": protocol.momentum} if protocol.optimizer == "sgd" else {}
    more |= {"weight_decay": protocol.weight_decay} if decoupled else {}
    model.compile(OPTIMIZERS[protocol.optimizer](rate, **more))
    return model


def _accuracy(data: ClipDataset, labels: np.ndarray) -> Callable[[keras.Model], float]:
    """From a model to its top-1 accuracy, with one centered clip a video."""
    compiled: dict = {}

    def measure(model: keras.Model) -> float:
        if model not in compiled:
            compiled[model] = ClassProbabilities(model)
        probabilities, index = compiled[model].of_videos(data.evaluation_numpy())
        return np.mean(probabilities.argmax(axis=1) == labels[index])

    return measure


def held_out_parts(
    protocol: ConfigDict, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the videos that are trained on, and of those on which a choice is made."""
    rows = np.arange(len(labels))
    if protocol.checkpoint != "validation":
        return rows, rows[:0]
    classes, counts = np.unique(labels, return_counts=True)
    held_out = low_shot(labels, share=protocol.validation_share, seed=seed)
    left = np.setdiff1d(rows, held_out)
    if counts.min() < 2 or len(np.unique(labels[left])) < len(classes):
        raise UserError(
            f"The protocol {protocol.name} chooses on a part of each class of the training videos "
            f"(validation_share={protocol.validation_share}), but the smallest class has {counts.min()}. Give "
            "more videos a class, or leave the choice out: --set=checkpoint="
            f"{'test' if protocol.kind == 'attentive' else 'last'}."
        )
    return left, held_out


def _column(subject, protocol) -> str:
    known = list(subject.train.labels)
    column = protocol.label or ("label" if "label" in known else known[0])
    for split in (subject.train, subject.test):
        if column not in split.labels:
            raise UserError(
                f"The {split.name} videos have no label column {column!r}; they have "
                f"{', '.join(split.labels)}. Choose one with --set=label."
            )
    return column


def training_key(subject: Subject, protocol: ConfigDict, column: str) -> str:
    """Return a hash of everything that a result of training on a column depends on."""
    settings = protocol.to_dict()
    settings.pop("modified", None)
    splits = [
        {
            "files": file_list_hash(split.records),
            "order": [Path(record.path).name for record in split.records],
            "clips": [split.data.clips.frames, split.data.clips.stride, split.data.clips.size],
        }
        for split in (subject.train, subject.test)
    ]
    content = [settings, column, subject.seed, model_hash(subject.encoder), splits]
    return content_hash(content)


def _check(protocol):
    known = {"checkpoint": CHECKPOINTS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
    for key, values in known.items():
        check_choice(f"{key} of the protocol {protocol.name}", protocol[key], values)
    if not 0 <= protocol.warmup_epochs < protocol.epochs:
        raise UserError(
            f"warmup_epochs of the protocol {protocol.name} must lie in 0 to epochs. Received: "
            f"{protocol.warmup_epochs} of {protocol.epochs}"
        )
