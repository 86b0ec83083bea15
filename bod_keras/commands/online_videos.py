"""The videos that a run is evaluated on while it trains."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from bod_keras import evaluation, experiment
from bod_keras.data import Catalog, pair_catalogs
from bod_keras.data.loading.order import video_numbers
from bod_keras.data.record import some
from bod_keras.errors import UserError

_MOST_BYTES = 2**28  # of the clips of a split, which stay in memory
_EACH = 8  # videos of a class; of many classes some are taken


def online_evaluation(
    config: Mapping[str, Any], catalog: Catalog
) -> tuple[list[evaluation.OnlineEvaluation], dict[str, float]]:
    """Return the callback that `config.evaluate` describes, none if nothing can be measured, and chance levels.

    The videos are those of `config.probe`, or the built-in data's; otherwise some of the training videos, of
    which a half is learned from and a half tested on (pre-training uses no labels). Their clips are read once.

    Args:
        config: of the run.
        catalog: the videos it is trained on.
    """
    settings, batch = config["evaluate"], config["clips"]["batch_size"]
    channels = config["data"].get("channels") or 0
    bytes_a_clip = config["clips"]["frames"] * (4 * channels or config["clips"]["size"] ** 2 * 3)
    count = min(settings["videos"], max(2, _MOST_BYTES // bytes_a_clip))
    probe = config["probe"]
    held_out = bool(probe["train"] and probe["test"]) or (
        config["data"]["source"] == "built-in" and not config["data"]["dataset"]
    )
    rng = np.random.default_rng(config["seed"])
    if held_out:
        catalogs = pair_catalogs(*(experiment.probe_catalog(config, p) for p in ("train", "test")))
        shared = set.intersection(*({r.label for r in one.records} for one in catalogs)) - {None}
        kept = _some_classes(shared, count, rng)
        rows = [_chosen(one, count, kept, rng) for one in catalogs]
    else:
        kept = _some_classes({r.label for r in catalog.records} - {None}, 2 * count, rng)
        both = _chosen(catalog, 2 * count, kept, rng)
        catalogs, rows = (catalog, catalog), (both[::2], both[1::2])
    if min(map(len, rows)) < 2:
        return [], {}
    try:
        splits = [_read(config, one, chosen) for one, chosen in zip(catalogs, rows)]
        views = _views(config, catalogs[1], rows[1]) if held_out else None
    except UserError as error:  # a look at the training does not stop it
        print(f"The online evaluation is left out: {error}", flush=True)
        return [], {}
    if min(len(clips) for clips, _ in splits) < 2:
        print("Too few videos can be read for the online evaluation, which is left out.")
        return [], {}
    # What is asked for must have been seen; a column of which little was (a count, an index) is no class.
    columns, asked = [], np.ones(len(splits[1][0]), bool)
    for column, known in splits[0][1].items():
        if column not in splits[1][1] or len(set(known)) < 2:
            continue
        seen = np.isin(splits[1][1][column], known)
        if column == "label" or 4 * seen.sum() >= 3 * len(seen):
            columns.append(column)
            asked &= seen
    if columns and asked.sum() < 2:
        columns, asked = [], np.ones(len(asked), bool)
    train = splits[0][0], {column: splits[0][1][column] for column in columns}
    test = splits[1][0][asked], {column: splits[1][1][column][asked] for column in columns}
    print(
        f"Online evaluation on {len(train[0])} + {len(test[0])} videos of "
        f"{'the probe' if held_out else 'the training list, which no label trains'}"
        f"{'' if columns else ', without labels'}.",
        flush=True,
    )
    callback = evaluation.OnlineEvaluation(
        train, test, views, settings["every"], settings["most"], batch
    )
    chance = {c: np.unique(y, return_counts=True)[1].max() / len(y) for c, y in test[1].items()}
    return [callback], chance


def _some_classes(classes: Set[int], count: int, rng: np.random.Generator) -> dict[int, int] | None:
    """Of many classes some, and how many videos of each make `count`; None: there is room for all."""
    if len(classes) * _EACH <= count:
        return None
    return dict.fromkeys(rng.permutation(sorted(classes))[: max(2, count // _EACH)].tolist(), _EACH)


def _chosen(
    catalog: Catalog, count: int, kept: Mapping[int, int] | None, rng: np.random.Generator
) -> np.ndarray:
    """Positions of at most `count` videos in a random order, of classes as `_some_classes` has them."""
    order = rng.permutation(len(catalog.records))
    if kept is None:
        return order[:count]
    left, rows = dict(kept), []
    for row in order:
        label = catalog.records[row].label
        if left.get(label, 0):
            left[label] -= 1
            rows.append(row)
    return np.array(rows[:count], int)


def _read(config, catalog, rows) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Clips (N, T, H, W, 3) of bytes, one of each video that can be read, and the columns of their labels."""
    records = [catalog.records[int(i)] for i in rows]
    # Training says whether too many are broken; of a few it would be chance. A larger batch would have to be
    # of different videos.
    clips = {**config["clips"], "max_bad_share": 1.0, "batch_size": 1}
    config = {**config, "clips": clips}
    data = experiment.probe_data(config, dataclasses.replace(catalog, records=records))
    clips, index = [], []
    for batch in data.evaluation_numpy():
        of_one = batch["views"][:, 0]
        clips.append(of_one if of_one.ndim == 3 else np.rint(255 * of_one).astype("uint8"))
        index += batch["index"].tolist()
    if data.skipped:
        print(
            f"{len(data.skipped)} videos of the online evaluation cannot be read: {some(list(data.skipped))}"
        )
    if not index:
        return np.zeros(0), {}
    found = [records[i] for i in index]
    columns = {name: np.array([r.factors[name] for r in found]) for name in found[0].factors}
    if all(record.label is not None for record in found):
        columns["label"] = np.array([record.label for record in found])
    return np.concatenate(clips), columns


def _views(config, catalog, rows) -> np.ndarray | None:
    """Views of held-out videos as those of training, in whole batches; None if they are too few for one."""
    size = config["clips"]["batch_size"]
    records = [catalog.records[int(i)] for i in rows]
    steps = len(set(video_numbers(records))) // size
    if not steps:
        return None
    some_of_them = dataclasses.replace(catalog, records=records)
    clips = {**config["clips"], "shard": (0, 1), "max_bad_share": 1.0}
    data = experiment.training_data({**config, "clips": clips}, some_of_them)
    item = 1 if data.clips.on_device else 4  # bytes of a number
    steps = max(1, min(steps, _MOST_BYTES // (item * size * math.prod(data.clips.training_shape))))
    with data.clear_errors():
        return np.concatenate([batch["views"] for (batch,) in data.training_numpy(steps=steps)])
