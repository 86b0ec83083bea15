"""Action detection: an encoder with a detection head, fine-tuned on given person boxes."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from ml_collections import ConfigDict

from bod_keras.data import ClipAugment, KeyFrameClips, read_ava_predictions
from bod_keras.data.datasets.key_frames import KeyFrame, key_frames
from bod_keras.data.datasets.named.ava import read_ava_excluded
from bod_keras.detection import (
    ActionDetector,
    fit_detector,
    frame_average_precision,
    mean_average_precision,
    score_boxes,
    video_average_precision,
    video_map,
)
from bod_keras.detection.detections import (
    annotated_boxes,
    annotated_tubes,
    linked_tubes,
    scored_boxes,
    write_detections,
)
from bod_keras.detection.frame_map import best_of_each_frame
from bod_keras.detection.person_boxes import moment_of, predicted_key_frames
from bod_keras.encoders import feature_map
from bod_keras.errors import UserError
from bod_keras.evaluation.finetuning.classifier import copy_of
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.subject import Subject
from bod_keras.evaluation.provenance import content_hash, model_hash
from bod_keras.evaluation.tables import write_csv
from bod_keras.progress_bar import progress_bar
from bod_keras.version import __version__

_GAP = 5  # frames that a tube may miss, at least
_CUT = 900  # second at which the usual cuts of AVA's films start
# What training does not depend on.
_OF_THE_TEST = ("evaluated", "persons", "least_person_score", "every_test", "limit", "tubes")


@kind("detect")
def run_detect(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """Fine-tune a detector on the boxes of train, and measure it on those of test.

    Args:
        subject: a `Subject` whose videos have boxes; its encoder is copied, not changed.
        protocol: see `detection` in configs/protocols/common.py.

    Returns:
        `{"frame_map@0.5": share, "classes": classes that could be measured, "key_frames": [train, test],
        "boxes": tested boxes, "files": [...]}`, and with `protocol.tubes` the entries of `video_map`.
    """
    classes = len(subject.train.class_names)
    if protocol.evaluated and max(protocol.evaluated) >= classes:
        raise UserError(
            f"The protocol {protocol.name} evaluates class {max(protocol.evaluated)}, counted from 0, but "
            f"these videos have {classes} classes. It is for another data set; --set=evaluated=() takes all."
        )
    train = key_frames(subject.train.records, protocol.every_train)
    truth, test, start = _test_key_frames(subject, protocol)
    print(
        f"{len(train)} key frames to learn from, {len(test)} to test on, {classes} classes",
        flush=True,
    )
    detector = _train(subject, protocol, train)
    asked = _clips(subject, protocol, test)
    with progress_bar(len(test), "scores", "key frame") as bar:
        scores = score_boxes(detector, asked, bar.update)
        bar.update(len(test) - bar.n)  # those that could not be read
    subject.test.skip(asked.skipped)
    # What could not be read is named, not counted as missed.
    unread = {_frame(one) for one in test} - {_frame(test[i]) for i in scores}
    evaluated = list(protocol.evaluated) or list(range(classes))
    annotated, detections = annotated_boxes(truth), scored_boxes(test, scores)
    columns = {
        "frame_ap@0.5": frame_average_precision(
            annotated, detections, evaluated, excluded=unread, limit=protocol.limit
        )
    }
    found = {"frame_map@0.5": mean_average_precision(columns["frame_ap@0.5"])}
    if protocol.tubes:
        broken = {path for path, _ in unread}
        tubes = annotated_tubes([r for r in subject.test.records if r.path not in broken])
        linked = linked_tubes(test, scores, max(_GAP, 2 * protocol.every_test))
        linked = [tube for tube in linked if tube.video not in broken]
        found |= video_map(tubes, linked, evaluated)
        columns["video_ap@0.5"] = video_average_precision(tubes, linked, evaluated, (0.5,))[0.5]
    counts = np.bincount(annotated.labels, minlength=classes)
    rows = [
        [
            subject.train.class_names[label],
            counts[label],
            *("" if np.isnan(c[label]) else f"{c[label]:.4f}" for c in columns.values()),
        ]
        for label in evaluated
    ]
    write_csv(subject.folder / "per_class.csv", [["class", "boxes", *columns], *rows])
    counted = best_of_each_frame(detections, evaluated, protocol.limit)
    folders = all(one.time is None for one in test[:1])
    write_detections(counted, subject.folder / "detections.csv", start, folders)
    return {
        **found,
        "classes": sum(not np.isnan(value) for value in columns["frame_ap@0.5"].values()),
        "boxes": sum(len(one) for one in scores.values()),
        "files": ["per_class.csv", "detections.csv"],
        "key_frames": [len(train), len(test)],
    }


def _train(subject: Subject, protocol: ConfigDict, train: list[KeyFrame]) -> ActionDetector:
    """The detector on a copy of the encoder, fine-tuned, or as it was trained before."""
    detector = ActionDetector(
        copy_of(feature_map(subject.encoder)),
        len(subject.train.class_names),
        protocol.multi_label,
        protocol.bins,
        protocol.time_pool,
        protocol.bin_pool,
        protocol.dropout,
    )
    augment = ClipAugment(
        subject.train.data.clips.size,
        tuple(protocol.crop_area),
        tuple(protocol.crop_aspect),
        flip=protocol.flip if subject.train.catalog.flip_safe else 0.0,
        jitter=tuple(protocol.jitter),
        jitter_probability=protocol.jitter_probability,
    )
    clips = _clips(subject, protocol, train, augment)
    keys = ("epochs", "optimizer", "learning_rate", "warmup_epochs", "weight_decay")
    folder = subject.folder / f"detector-{_key(subject, protocol, train)}"
    detector = fit_detector(detector, clips, folder, **{key: protocol[key] for key in keys})
    subject.train.skip(clips.skipped)
    return detector


def _test_key_frames(subject, protocol) -> tuple[list[KeyFrame], list[KeyFrame], int]:
    """Annotated key frames, those that are tested with the boxes that are given, and where files start."""
    data = subject.config.get("data", {})
    name = data.get("dataset") or ""
    start = _CUT if name.endswith("-15min") else 0
    records = subject.test.records
    if not protocol.persons:
        truth = key_frames(records, protocol.every_test)
        return truth, truth, start
    excluded = set()
    if name.startswith("ava"):
        version = name.removeprefix("ava").partition("-")[0]
        folder = data.get("annotations") or data["root"]
        excluded = read_ava_excluded(folder, subject.test.records[0].split, version)
    truth = key_frames(records)
    found = predicted_key_frames(
        truth,
        read_ava_predictions(protocol.persons),
        least_score=protocol.least_person_score,
        start=start,
        excluded=excluded,
    )
    videos: dict[str, list] = {}
    for one in found:
        videos.setdefault(one.path, []).append(one)
    chosen = [one for frames in videos.values() for one in frames[:: protocol.every_test]]
    moments = {_frame(one) for one in chosen}
    return [one for one in truth if _frame(one) in moments], chosen, start


def _clips(
    subject: Subject,
    protocol: ConfigDict,
    frames: list[KeyFrame],
    augment: ClipAugment | None = None,
) -> KeyFrameClips:
    """Clips at key frames, read as the run reads its videos."""
    clips, loading = subject.train.data.clips, subject.train.data.loading
    return KeyFrameClips(
        frames,
        augment=augment,
        classes=len(subject.train.class_names),
        batch_size=min(protocol.batch_size, len(frames)),
        seed=subject.seed,
        **{key: getattr(clips, key) for key in ("frames", "stride", "size")},
        **{
            key: getattr(loading, key)
            for key in ("workers", "timeout", "max_bad_share", "cache_mb")
        },
    )


def _frame(one: KeyFrame) -> tuple[str, int]:
    return one.path, moment_of(one)


def _key(subject, protocol, train) -> str:
    """A name for what training depends on, so that no other detector is taken for this one."""
    choices = {k: v for k, v in protocol.to_dict().items() if k not in (*_OF_THE_TEST, "modified")}
    content = [
        __version__,
        keras.backend.backend(),
        model_hash(subject.encoder),
        subject.seed,
        {key: getattr(subject.train.data.clips, key) for key in ("frames", "stride", "size")},
        choices,
        [dataclasses.astuple(one) for one in train],
    ]
    return content_hash(content)[:16]
