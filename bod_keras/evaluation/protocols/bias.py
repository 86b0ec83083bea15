"""Static bias: what is left of a classifier when order, background, actor or appearance are changed."""

from __future__ import annotations

import collections
import csv
import os
from pathlib import PurePath
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from bod_keras.data.datasets.text import read_text
from bod_keras.data.record import some
from bod_keras.errors import UserError
from bod_keras.evaluation.bias.changed_clips import ChangedClips, still
from bod_keras.evaluation.bias.flow_noise import flow_noise
from bod_keras.evaluation.bias.foreground import Foreground
from bod_keras.evaluation.probes.classification import chance
from bod_keras.evaluation.probes.linear_probe import linear_scores
from bod_keras.evaluation.protocols._kinds import PARTS, kind
from bod_keras.evaluation.protocols.classify import classes_of
from bod_keras.evaluation.protocols.subject import Split, Subject
from bod_keras.evaluation.read_out import ReadOut
from bod_keras.evaluation.tables import write_csv
from bod_keras.evaluation.verdicts import bias_verdicts
from bod_keras.progress_bar import progress_bar
from bod_keras.training.predict_filled_up import predict_filled_up

_OF_GROUPS = ("ordered", "shuffled", "first_frame")
_UNTESTED = "no boxes and no masks: nothing was composed of actors and backgrounds"


@kind("bias", legend=PARTS, by_part=True)
def run_bias(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Fit a linear probe to ordinary training clips, and test it on clips that were changed.

    Stills and appearance-free clips have a probe each, of training clips that were changed in the same way:
    what they tell is asked, not whether a probe of other clips understands them.

    Args:
        subject: a `Subject` with labels; boxes in its test videos, or `protocol.masks`, add conditions.
        protocol: configs/protocols/bias.py.

    Returns:
        `{"factors": {condition: {part: {"top1": share}, "chance": share}}, "replaced": share of the pixels that
        another background replaced, "tested": clips of each condition, "verdicts": [...], "warnings": [...],
        "files": ["predictions.csv"]}`.
    """
    (column, train_y), (_, test_y) = (
        _labels(split, protocol.label) for split in (subject.train, subject.test)
    )
    classes, names = classes_of(subject, column, train_y, test_y)
    at_once = subject.test.data.batch_size
    rows, warnings = _rows(subject.test, protocol.subset)
    data = subject.test.clips(batch_size=min(at_once, len(rows)))
    foreground = None
    if protocol.masks or any(b.frame is not None for r in subject.test.records for b in r.boxes):
        foreground = Foreground(data, protocol.masks)
    else:
        warnings.append(_UNTESTED)
    change = ChangedClips(
        foreground,
        protocol.photos,
        protocol.appearance_free,
        protocol.swap_threshold,
        subject.seed,
    )
    read_out = ReadOut(subject.model)
    features: dict = collections.defaultdict(lambda: collections.defaultdict(list))
    videos: dict[str, list[int]] = collections.defaultdict(list)
    scenes: list[int] = []
    # In a random order: an action is put before the background of a class that was seen.
    order = np.random.default_rng(subject.seed).permutation(rows)
    with progress_bar(len(rows), "changed clips") as bar, data.clear_errors():
        for batch in data.evaluation_numpy(indices=order.tolist()):
            index = batch["index"].tolist()
            made = change.of(batch["views"][:, 0], index, test_y[index].tolist())
            for name, (clips, kept, *backgrounds) in made.items():
                found = predict_filled_up(read_out, clips, data.batch_size)
                for part in read_out.order:
                    features[part][name].append(found[part])
                videos[name] += [index[row] for row in kept]
                scenes += backgrounds[0] if backgrounds else []
            bar.update(len(index))
    if foreground and foreground.missing:
        path, reason = next(iter(foreground.missing.items()))
        warnings.append(
            f"{len(foreground.missing)} of {len(rows)} videos have no mask and are left out where the actor "
            f"must be known, such as {path}: {reason}"
        )
    probes = _training_features(subject, protocol, read_out)
    answers = {
        part: _answers(
            {name: (of[part], train_y[index]) for name, (of, index) in probes.items()},
            of,
            classes,
            subject.seed,
        )
        for part, of in features.items()
    }
    groups = _groups(protocol, test_y, names, classes)
    factors = _table(answers, videos, np.array(scenes), test_y, groups)
    replaced = float(np.mean(change.replaced))
    _write(subject, answers, videos, test_y, names, classes)
    return {
        "factors": factors,
        "replaced": replaced,
        "tested": {name: len(of) for name, of in videos.items()},
        "verdicts": bias_verdicts(factors, replaced),
        "warnings": warnings,
        "files": ["predictions.csv"],
    }


def _labels(split: Split, column: str | None) -> tuple[str, np.ndarray]:
    """A column and its classes; of videos with boxes, the one class of all their boxes."""
    records = split.records
    if all(r.label is None and len(r.labels) == 1 and not r.factors for r in records):
        return "label", np.array([record.labels[0] for record in records])
    known = split.labels
    column = column or ("label" if "label" in known else next(iter(known)))
    if column not in known:
        raise UserError(
            f"The {split.name} videos have no label column {column!r}; they have {', '.join(known)}. Choose "
            "one with --set=label."
        )
    return column, np.asarray(known[column])


def _answers(probes, features, classes, seed) -> dict[str, np.ndarray]:
    """Predicted classes of every condition of one part.

    Args:
        probes: features and classes to learn from, of "ordered" and of conditions with a probe of their own.
        features: from a condition to its batches of features.
    """
    joined = {name: np.concatenate(of) for name, of in features.items()}
    found = {}
    for own, (x, y) in probes.items():
        names = [name for name in joined if (name if name in probes else "ordered") == own]
        scores = linear_scores(x, y, np.concatenate([joined[n] for n in names]), classes, seed)
        ends = np.cumsum([len(joined[name]) for name in names])[:-1]
        found |= dict(zip(names, np.split(classes[scores.argmax(axis=1)], ends)))
    return {name: found[name] for name in joined}


def _training_features(subject, protocol, read_out) -> dict[str, tuple[dict, list[int]]]:
    """Of ordinary training clips, of stills and of noise: the features of each part, and of which videos."""
    train_x, index = subject.features(subject.train)
    found = {"ordered": (train_x, index)}
    data = subject.train.clips(batch_size=subject.train.data.batch_size)
    rng = np.random.default_rng(subject.seed)
    makers = {"first_frame": lambda clips: still(clips, 0)}
    if protocol.appearance_free:
        makers["appearance_free"] = lambda clips: np.stack([flow_noise(c, rng) for c in clips])
    made: dict = {name: collections.defaultdict(list) for name in makers}
    seen: list[int] = []
    with progress_bar(len(data.records), "stills and noise") as bar, data.clear_errors():
        for batch in data.evaluation_numpy():
            for name, make in makers.items():
                clips = make(batch["views"][:, 0])
                for part, values in predict_filled_up(read_out, clips, data.batch_size).items():
                    made[name][part].append(values)
            seen += batch["index"].tolist()
            bar.update(len(batch["index"]))
    for name, parts in made.items():
        found[name] = {part: np.concatenate(values) for part, values in parts.items()}, seen
    return found


def _rows(split: Split, subset: str) -> tuple[np.ndarray, list[str]]:
    """Positions of the videos that a list names by path, file or name without its ending, and warnings."""
    if not subset:
        return np.arange(len(split.records)), []
    rows = list(csv.reader(read_text(subset).splitlines()))
    wanted = dict.fromkeys(row[0].strip() for row in rows if row and row[0].strip())
    names = [
        {record.path, os.path.basename(record.path), PurePath(record.path).stem}
        for record in split.records
    ]
    found = [i for i, of in enumerate(names) if of & wanted.keys()]
    if not found:
        raise UserError(
            f"None of the {len(split.records)} test videos is in {subset}. Its first column must be "
            "paths, names of files, or names without their ending."
        )
    known = set().union(*names)
    vain = [
        name for i, name in enumerate(wanted) if name not in known and i
    ]  # the first: a heading
    said = f"{len(vain)} names of {subset} are of no test video: {some(vain)}"
    return np.array(found), [said] if vain else []


def _groups(protocol, labels, names, classes) -> dict[str, np.ndarray]:
    """Name -> which videos, for each list of classes of the protocol."""
    found = {}
    for sort in ("temporal", "static"):
        wanted = [str(one) for one in protocol[f"{sort}_classes"]]
        unknown = [one for one in wanted if one not in names]
        if unknown:
            raise UserError(
                f"{sort}_classes must be names of classes: {', '.join(names[:20])}. Received: {unknown[0]!r}"
            )
        if wanted:
            numbers = [classes[names.index(one)] for one in wanted]
            found[f"{sort} classes"] = np.isin(labels, numbers)
    return found


def _table(answers, videos, scenes, labels, groups) -> dict[str, dict]:
    """A row for every condition, and those that are worked out from several."""
    right = {
        part: {name: of == labels[videos[name]] for name, of in found.items()}
        for part, found in answers.items()
    }

    def row(values, wanted):
        return {**{p: {"top1": float(v)} for p, v in values.items()}, "chance": chance(wanted)}

    rows = {
        name: row({p: of[name].mean() for p, of in right.items()}, labels[of_condition])
        for name, of_condition in videos.items()
    }
    for group, inside in groups.items():
        for name in _OF_GROUPS:
            chosen = inside[videos[name]]
            if chosen.any():
                values = {p: of[name][chosen].mean() for p, of in right.items()}
                rows[f"{name}, {group}"] = row(values, labels[videos[name]][chosen])
    derived: dict[str, dict] = {}
    if "action_swap" in videos:
        taken = {p: of["action_swap"] == scenes for p, of in answers.items()}
        derived["action_swap: background's class"] = {p: of.mean() for p, of in taken.items()}
    for sort in ("stripes", "photos"):
        scuba, scufo = f"scuba_{sort}", f"scufo_{sort}"
        if scuba in videos:
            derived[f"{scuba} right, {scufo} wrong"] = {
                p: (of[scuba] & ~of[scufo]).mean() for p, of in right.items()
            }
    swapped = "action_swap" if "action_swap" in videos else "background"
    both = np.isin(videos["ordered"], videos[swapped])  # not every video has an actor
    derived[f"harmonic mean of ordered, {swapped}"] = {
        p: _harmonic(of["ordered"][both].mean(), of[swapped].mean()) for p, of in right.items()
    }
    for name, values in derived.items():
        rows[name] = {p: {"top1": float(v)} for p, v in values.items()}
    return rows


def _harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0


def _write(subject, answers, videos, labels, names, classes) -> None:
    """predictions.csv: a row for each video and condition."""
    text = dict(zip(classes.tolist(), names))
    rows = [["video", "condition", "class", *answers]]
    for name, index in videos.items():
        for row, i in enumerate(index):
            said = [text[int(of[name][row])] for of in answers.values()]
            rows.append([subject.test.records[i].path, name, text[int(labels[i])], *said])
    write_csv(subject.folder / "predictions.csv", rows)
