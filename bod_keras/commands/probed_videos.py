"""The labeled videos that a run is evaluated on, as evaluate.py's flags choose them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from ml_collections import ConfigDict

from bod_keras import experiment
from bod_keras.data import Catalog, ClipDataset, Record, find_dataset, pair_catalogs
from bod_keras.errors import UserError
from bod_keras.evaluation.probes.low_shot import low_shot
from bod_keras.evaluation.protocols import Split, misuse


@dataclasses.dataclass(frozen=True)
class Options:
    """The values of evaluate.py's flags of the same names, where their help is."""

    protocol: Sequence[str] = ("factors",)
    set: Sequence[str] = ()
    dataset: str | None = None
    root: str | None = None
    annotations: str | None = None
    split: Sequence[str] | None = None
    probe_train: str | None = None
    probe_test: str | None = None
    per_class: int | None = None
    share: float | None = None
    seeds: Sequence[str] | None = None
    allow_overlap: bool = False
    max_bad_share: float | None = None
    output: str | None = None


class Videos:
    """The labeled videos that a run is evaluated on, checked once for each official split."""

    def __init__(self, config: Mapping[str, Any], options: Options):
        self._config, self._options = config, options
        self._pretrained_on = _pretrained_on(config)
        self._found: dict[tuple, tuple[list[Catalog | None], list[str]]] = {}

    def splits(
        self, protocol: ConfigDict, fold: int | None, seed: int, model: keras.Model
    ) -> tuple[dict, tuple[Split | None, Split], list[str]]:
        """Return the config as the protocol needs it, the two `Split`s, and what has to be said of them."""
        unlabeled = protocol.get("unlabeled", False)  # one list of videos is enough, then
        low = {"per_class": protocol.per_class, "share": protocol.share}
        if unlabeled and any(low.values()):
            raise UserError(
                f"--per_class and --share choose among labeled videos, and {protocol.name} uses no labels. "
                "Leave them out."
            )
        config = probe_config(self._config, fold, protocol, self._options)
        clips = config["clips"]
        encoder = getattr(model, "encoder", model)
        misuse.check_clips(encoder, clips["frames"], clips["size"], protocol.name)
        place = (fold, protocol.get("built_in"), unlabeled)  # a protocol may bring its own videos
        if place not in self._found:
            self._found[place] = self._read(config, unlabeled)
        catalogs, warnings = self._found[place]

        def make_data(catalog: Catalog, **changes: Any) -> ClipDataset:
            if changes.get("flip", 0.0) is None and not catalog.flip_safe:
                changes["flip"] = 0.0  # a flip would change the label
            settings = {**config, "seed": seed, "clips": {**clips, **changes}}
            return experiment.probe_data(settings, catalog)

        train, test = (
            catalog and Split(catalog, make_data, name)
            for catalog, name in zip(catalogs, ("train", "test"))
        )
        if any(low.values()):
            column = "label" if "label" in train.labels else next(iter(train.labels))
            train = train.subset(low_shot(train.labels[column], **low, seed=seed))
        return config, (train, test), warnings

    def _read(self, config: dict, unlabeled: bool) -> tuple[list[Catalog | None], list[str]]:
        """The catalogs of train and test, and warnings, which are printed before hours of reading."""
        warnings = []
        if unlabeled:
            catalogs = [None, experiment.unlabeled_catalog(config)]
        else:
            catalogs = [experiment.probe_catalog(config, part) for part in ("train", "test")]
            known = len(catalogs[1].remarks)
            catalogs = list(pair_catalogs(*catalogs))
            warnings += [f"{remark}." for remark in catalogs[1].remarks[known:]]
            misuse.check_class_names(*(catalog.class_names for catalog in catalogs))
        records = [catalog.records if catalog else [] for catalog in catalogs]
        warnings += misuse.leaks(*records, self._pretrained_on, self._options.allow_overlap)
        for warning in warnings:
            print(f"WARNING: {warning}", flush=True)
        return catalogs, warnings


def probe_config(config: Mapping, fold: int | None, protocol: ConfigDict, options: Options) -> dict:
    """Return the run's config with the labeled videos of the flags, and the protocol's clips."""
    data, probe = dict(config["data"]), dict(config["probe"])
    for part, source in (("train", options.probe_train), ("test", options.probe_test)):
        probe[part] = source or probe[part]
    if options.dataset:
        root = options.root
        if not root:
            raise UserError(f"--root is missing: the folder of the videos of {options.dataset}.")
        data |= {"dataset": options.dataset, "root": root, "annotations": options.annotations}
        data |= {"source": "", "fold": 1, "blocklist": None}
        probe |= {"train": options.probe_train or "", "test": options.probe_test or ""}
    elif options.root or options.annotations:
        data["root"] = options.root or data["root"]
        data["annotations"] = options.annotations or data["annotations"]
    data["fold"] = fold or data["fold"]
    if protocol.get("built_in"):
        if options.dataset or options.probe_train or options.probe_test:
            raise UserError(
                f"The protocol {protocol.name} brings its own videos. Leave --dataset, --probe_train and "
                "--probe_test out, or choose another protocol."
            )
        data |= experiment.built_in_discs(config)
        probe |= {"train": "", "test": ""}
    clips = {key: protocol[key] for key in ("frames", "stride", "size") if protocol[key]}
    if options.max_bad_share is not None:
        clips["max_bad_share"] = options.max_bad_share
    return {**config, "data": data, "probe": probe, "clips": {**config["clips"], **clips}}


def folds(config: Mapping, options: Options) -> list[int | None]:
    """The official splits to evaluate on; None where there is no choice."""
    own = config["data"]["dataset"]
    if not options.split:
        return [config["data"]["fold"] if own and not options.dataset else None]
    dataset = options.dataset or own
    if not dataset or options.probe_train or options.probe_test:
        raise UserError(
            "--split chooses among the official splits of a data set, and these videos have none. Name the "
            "data set with --dataset, or give the lists with --probe_train and --probe_test."
        )
    return _integers("split", options.split, 1, find_dataset(dataset).folds)


def seeds(config: Mapping, options: Options) -> list[int]:
    """The seeds to evaluate with."""
    return _integers("seeds", options.seeds, 0, 2**32 - 1) if options.seeds else [config["seed"]]


def _integers(flag: str, texts: Sequence[str], low: int, high: float = math.inf) -> list[int]:
    with contextlib.suppress(ValueError):
        numbers = [int(text) for text in texts]
        if all(low <= number <= high for number in numbers):
            return list(dict.fromkeys(numbers))
    bounds = f"{low} to {high}" if high < math.inf else f"{low} or more"
    raise UserError(
        f"--{flag} must be numbers, {bounds}, with commas between. Received: {','.join(texts)}"
    )


def _pretrained_on(config: Mapping) -> list[Record] | None:
    """The records that the run was pre-trained on; None where they cannot be found."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return experiment.training_catalog(config).records
    except (OSError, ValueError):
        return None
