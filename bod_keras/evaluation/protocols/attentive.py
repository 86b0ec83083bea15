"""Attentive probes on a frozen model: a grid of them at once, on the frames' features and on both parts."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ml_collections import ConfigDict

from bod_keras.errors import UserError, check_choice
from bod_keras.evaluation.finetuning import AttentiveClassifier, TrainingRun, token_model
from bod_keras.evaluation.finetuning.classifier import copy_of
from bod_keras.evaluation.probes.classification import (
    chance,
    classification_scores,
    write_classification,
)
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.classify import classes_of
from bod_keras.evaluation.protocols.finetune import held_out_parts, read_result, training_key
from bod_keras.evaluation.protocols.subject import Subject
from bod_keras.evaluation.provenance import content_hash, model_hash
from bod_keras.evaluation.tables import write_csv
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.storage.lock import lock
from bod_keras.training import warmup_cosine
from bod_keras.training.grid_adamw import GridAdamW

_ON_TEST = (
    "{} chooses the best of {} probes on the test videos, as it is published: the number is too high. "
    "--set=checkpoint=validation does not."
)


@kind(
    "attentive",
    legend="frames: the encoder's features of every frame, static and dynamic: the two parts, a token a clip.",
)
def run_attentive(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Train an `AttentiveClassifier` for every label column, and test the best probe of each part.

    A training stays in the folder training-HASH, as of `run_finetune`, and continues there.

    Args:
        subject: a `Subject`.
        protocol: a file such as configs/protocols/attentive.py.

    Returns:
        `{"factors": {column: {part: {"top1", "top5", "mean_class", "learning_rate", "weight_decay"}, ...,
        "chance": share}}, "files": [...], "warnings": [...]}`.

    Raises:
        BlockingIOError: another process trains in that folder.
        TrainingStoppedError: a signal has stopped it.
    """
    _check(protocol)
    known = sorted(set(subject.train.labels) & set(subject.test.labels))
    columns = [protocol.label] if protocol.label else known
    if not columns or columns[0] not in known:
        raise UserError(
            f"train and test have no label column {protocol.label or ''!r} in common; those that both have: "
            f"{', '.join(known) or 'none'}. Choose one with --set=label."
        )
    factors, files = {}, []
    for column in columns:
        factors[column], written = _column(subject, protocol, column)
        files += written
    number = len(protocol.rates) * len(protocol.decays)
    on_test = protocol.checkpoint == "test"
    return {
        "factors": factors,
        "files": [str(f.relative_to(subject.folder)) for f in files],
        "warnings": [_ON_TEST.format(protocol.name, number)] if on_test else [],
    }


def _check(protocol: ConfigDict) -> None:
    """Raise what would be raised after a training, and what later errors would not name."""
    name = protocol.name
    check_choice(f"checkpoint of the protocol {name}", protocol.checkpoint, ("validation", "test"))
    for key in ("rates", "decays"):
        if not protocol[key]:
            raise UserError(
                f"{key} of the protocol {name} must hold a number or more. Received: (). One is "
                f'--set="{key}=(0.001,)".'
            )
    if protocol.crops not in (1, 3):
        raise UserError(f"crops of the protocol {name} must be 1 or 3. Received: {protocol.crops}")
    if protocol.epochs < 1:
        raise UserError(
            f"epochs of the protocol {name} must be at least 1. Received: {protocol.epochs}"
        )


def _column(subject: Subject, protocol: ConfigDict, column: str) -> tuple[dict, list[Path]]:
    """The measures of every part, and the files that were written."""
    labels = [np.asarray(split.labels[column]) for split in (subject.train, subject.test)]
    classes, names = classes_of(subject, column, *labels)
    labels = [np.searchsorted(classes, y) for y in labels]
    key = content_hash([training_key(subject, protocol, column), model_hash(subject.model)])
    folder = subject.folder / f"training-{key[:16]}"
    file = folder / "result.npz"
    with lock(str(folder), "Wait until it has ended, or stop it."):
        if file.exists():
            print(f"Trained before: read from {file}", flush=True)
        else:
            _train_and_test(subject, protocol, labels, len(classes), folder, file)
    probabilities, index, about = read_result(file)
    for split in (subject.train, subject.test):
        split.skip(about["skipped"][split.name])
    wanted = labels[1][index]
    found: dict[str, Any] = {}
    files = [folder / "history.csv", folder / "grid.csv"]
    for part, scores in zip(about["parts"], probabilities):
        results = classification_scores(scores, wanted, names)
        files += write_classification(results, subject.folder / f"{column}-{part}")
        measures = {key: results[key] for key in ("top1", "top5", "mean_class")}
        found[part] = {**measures, **about["chosen"][part]}
    return {**found, "chance": chance(wanted)}, files


def _train_and_test(subject, protocol, labels, classes, folder, file):
    train_y, test_y = labels
    rows, held_out = held_out_parts(protocol, train_y, subject.seed)
    settings = {key: protocol[key] for key in ("segments", "blocks", "heads", "most_width")}
    grid = list(itertools.product(protocol.rates, protocol.decays))
    rates, decays = zip(*grid)
    data = subject.train.clips(
        rows,
        labels=train_y[rows],
        recipe=protocol.recipe,
        flip=protocol.flip,
        batch_size=min(protocol.batch_size, len(rows)),
        augment="cpu",
        views=protocol.segments,
    )

    def build() -> AttentiveClassifier:
        tokens = token_model(subject.model, data.clips.frames)
        model = AttentiveClassifier(copy_of(tokens), classes, rates, decays, **settings)
        schedule = warmup_cosine(1.0, protocol.epochs * data.steps_per_epoch)
        model.compile(GridAdamW(schedule, rates, decays))
        return model

    keras.utils.set_random_seed(subject.seed)  # of the probes' first weights
    training = TrainingRun(folder, data, protocol.epochs)
    model, _, _ = training.train(build)

    def probabilities(split, chosen=None):
        at_once = max(1, protocol.batch_size // (protocol.segments * protocol.crops))
        clips = split.clips(chosen, batch_size=at_once)
        return model.probabilities(clips.evaluation_numpy(protocol.segments, protocol.crops))

    tested, index = probabilities(subject.test)
    if protocol.checkpoint == "test":
        accuracies = _accuracies(tested, test_y[index])
    else:
        chosen_on, positions = probabilities(subject.train, held_out)
        accuracies = _accuracies(chosen_on, train_y[held_out][positions])
    best = accuracies.argmax(axis=1)  # of equal ones the first: the highest rate
    write_csv(
        folder / "grid.csv",
        [
            ["learning_rate", "weight_decay", *model.parts],
            *([*pair, *(f"{a:.4f}" for a in of)] for pair, of in zip(grid, accuracies.T)),
        ],
    )
    about = {
        "skipped": {s.name: s.skipped for s in (subject.train, subject.test)},
        "parts": model.parts,
        "chosen": {
            part: {"learning_rate": rates[g], "weight_decay": decays[g]}
            for part, g in zip(model.parts, best)
        },
    }
    probabilities_of_best = np.stack([of[g] for of, g in zip(tested, best)])
    with atomic_file(file) as part, open(part, "wb") as stream:
        np.savez(stream, probabilities=probabilities_of_best, index=index, about=json.dumps(about))
    training.finish(model)


def _accuracies(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Top-1 of every part and probe, (P, G)."""
    return np.mean(probabilities.argmax(axis=-1) == labels, axis=-1)
