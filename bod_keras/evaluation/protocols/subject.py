"""What a protocol is run on: a trained model with its labeled videos."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bod_keras.data import Catalog, ClipDataset, Record
from bod_keras.data.record import some
from bod_keras.errors import UserError
from bod_keras.evaluation.feature_cache import FeatureCache


class Split:
    """Labeled videos to learn from, or to test on.

    Args:
        catalog: the `Catalog` of the videos.
        make_data: from a catalog to the `ClipDataset` of its clips, with the settings of the run and the
            protocol; keywords replace settings: `make_data(catalog, recipe="none", batch_size=8)`.
        name: "train" or "test", for messages.

    Attributes:
        catalog, name: as given.
        records: list of `Record`.
        class_names: names of the classes of "label", or an empty list.
        data: the `ClipDataset` with the settings of the run and the protocol.
    """

    def __init__(self, catalog: Catalog, make_data: Callable[..., ClipDataset], name: str):
        self.catalog, self.name = catalog, name
        self._make_data = make_data
        self.records: list[Record] = catalog.records
        self.class_names = catalog.class_names
        self.data = make_data(catalog)
        self._made = [self.data]
        self._unread: dict[str, str] = {}

    @functools.cached_property
    def labels(self) -> dict[str, list]:
        """From a column ("label", or a factor's name) to the classes, one a record.

        Raises:
            UserError: the videos have no labels.
        """
        records = self.records
        columns = {name: [r.factors[name] for r in records] for name in records[0].factors}
        bare = [record.path for record in records if record.label is None]
        if not bare:
            columns["label"] = [record.label for record in records]
        elif not columns and len(bare) < len(records):
            raise UserError(
                f"{len(bare)} of the {len(records)} {self.name} videos have no label: {some(bare)}. Give them "
                "one, or take them out of the list."
            )
        elif not columns and any(record.labels for record in records):
            raise UserError(
                f"The {self.name} videos have several labels each, but a probe is for one. Use a list with one "
                "label a video, or factor columns."
            )
        if not columns:
            raise UserError(
                "The probe's videos have no labels. Use one folder a class, a list 'path label', or a CSV "
                "file with a label (a number or the name of a class) or factor columns; or a protocol that "
                "needs none, such as diagnose and factors-real."
            )
        return columns

    @property
    def skipped(self) -> dict[str, str]:
        """Path -> reason of each file that could not be read so far."""
        return {k: v for data in self._made for k, v in data.skipped.items()} | self._unread

    def skip(self, unread: Mapping[str, str]) -> None:
        """Note files that could not be read otherwise than by `data` and `clips`: path -> reason."""
        self._unread |= unread

    def subset(self, rows: Sequence[int]) -> Split:
        """Make the split of some of the videos, by their positions."""
        return Split(self._some(rows), self._make_data, self.name)

    def clips(self, rows: Sequence[int] | None = None, **settings) -> ClipDataset:
        """Make the `ClipDataset` of these videos with other settings.

        Args:
            rows: positions of the videos to take; None for all.
            **settings: keyword arguments of `ClipDataset`, instead of those of the run.
        """
        some = self.catalog if rows is None else self._some(rows)
        self._made.append(self._make_data(some, **settings))
        return self._made[-1]

    def _some(self, rows: Sequence[int]) -> Catalog:
        return dataclasses.replace(self.catalog, records=[self.records[int(i)] for i in rows])


class Subject:
    """A trained model with the labeled videos on which a protocol is run.

    Args:
        model: a framework model, or an encoder; a protocol leaves its weights as they are.
        config: the config of the run that trained it.
        train, test: a `Split` each.
        folder: where the protocol may put files.
        seed: of everything that is random in a protocol.
        cache: a `FeatureCache`; None for one in the folder "features" beside `folder`.

    Attributes:
        encoder: `model.encoder`, or the model itself.
    """

    def __init__(
        self,
        model: keras.Model,
        config: Mapping,
        train: Split,
        test: Split,
        folder: str | Path,
        seed: int = 0,
        cache: FeatureCache | None = None,
    ):
        self.model, self.config = model, config
        self.encoder = getattr(model, "encoder", model)
        self.train, self.test = train, test
        self.folder, self.seed = Path(folder), seed
        self.cache = cache or FeatureCache(self.folder.parent / "features")

    @property
    def of_features(self) -> bool:
        """Whether the model takes frame features (batch, time, channels), and no clips."""
        return len(getattr(self.encoder, "input_shape", ())) == 3  # a subclassed model has none

    def features(
        self,
        split: Split,
        views: int = 1,
        crops: int = 1,
        frames: int | None = None,
        **read_out: Any,
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return features of a split's readable videos, frozen and averaged over views and crops.

        They are extracted once and then taken from the cache.

        Args:
            split: `self.train`, `self.test` or a part of them.
            views: clips of each video, evenly spaced.
            crops: crops of each clip, 1 or 3.
            frames: frames of a clip, if not those of the run.
            **read_out: `kind`, `time_steps` and `variants`, as of `FeatureCache.features`.

        Returns:
            A dict from part ("pooled", and of a framework "static" and "dynamic") to float32 (N, K), and the
            positions of these videos in `split.records`, int64 (N,).
        """
        usual = split.data
        frames = frames or usual.clips.frames
        # As many frames at once as a training step has.
        of_a_step = usual.batch_size * usual.clips.views * usual.clips.frames
        at_once = min(max(1, of_a_step // (views * crops * frames)), len(split.records))
        data = split.clips(batch_size=at_once, frames=frames)
        what = f"{len(split.records)} {split.name} videos"
        found = self.cache.features(self.model, data, views, crops, what=what, **read_out)
        features, index, unread = found
        split.skip(unread)
        return features, index

    def labeled(
        self, split: Split, views: int = 1, crops: int = 1, **read_out: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
        """As `features`, with the labels before the index: a dict from column to classes, array (N,)."""
        features, index = self.features(split, views, crops, **read_out)
        labels = {name: np.asarray(column)[index] for name, column in split.labels.items()}
        return features, labels, index
