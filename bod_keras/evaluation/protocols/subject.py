"""What a protocol is run on: a trained model with its labelled videos."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np

from bod_keras.data import Catalog, ClipDataset, Record
from bod_keras.evaluation.features import extract_features


class Split:
    """Labelled videos to learn from, or to test on.

    Args:
        catalog: the `Catalog` of the videos.
        make_data: from a catalogue to the `ClipDataset` of its clips, with the settings of the run;
            keywords replace settings: `make_data(catalog, recipe="none", batch_size=8)`.
        name: "train" or "test", for messages.

    Attributes:
        catalog, name: as given.
        records: list of `Record`.
        labels: from a column ("label", or a factor's name) to the classes, one a record.
        class_names: names of the classes of "label", or an empty list.
        data: the `ClipDataset` with the settings of the run.

    Raises:
        ValueError: if the videos have no labels.

    Example:

    >>> records = [Record("a.mp4", label=0), Record("b.mp4", label=1)]
    >>> make = lambda catalog, **settings: ClipDataset(catalog.records, batch_size=2, **settings)
    >>> Split(Catalog(records, ["run", "jump"]), make, "test").labels
    {'label': [0, 1]}
    """

    def __init__(self, catalog: Catalog, make_data: Callable[..., ClipDataset], name: str):
        self.catalog, self.name = catalog, name
        self._make_data = make_data
        self.records: list[Record] = catalog.records
        self.labels = _labels(catalog.records)
        self.class_names = catalog.class_names
        self.data = make_data(catalog)

    def clips(self, rows=None, **settings) -> ClipDataset:
        """Makes the `ClipDataset` of these records with other settings.

        Args:
            rows: positions of the records to take; None for all.
            **settings: keyword arguments of `ClipDataset`, instead of those of the run.
        """
        records = self.records if rows is None else [self.records[int(row)] for row in rows]
        return self._make_data(dataclasses.replace(self.catalog, records=records), **settings)


class Subject:
    """A trained model with the labelled videos on which a protocol is run.

    Args:
        model: a framework model, or an encoder; a protocol leaves its weights as they are.
        config: the config of the run that trained it.
        train, test: a `Split` each.
        folder: where the protocol may put files.
        seed: of everything that is random in a protocol.

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
    ):
        self.model, self.config = model, config
        self.encoder = getattr(model, "encoder", model)
        self.train, self.test = train, test
        self.folder, self.seed = Path(folder), seed

    def features(self, split: Split, views: int = 1, crops: int = 1):
        """Features of a split's readable videos, frozen and averaged over views and crops.

        Args:
            split: `self.train` or `self.test`.
            views: clips of each video, evenly spaced.
            crops: crops of each clip, 1 or 3.

        Returns:
            `(features, index)`: a dict from part ("pooled", and of a framework "static" and "dynamic") to
            float32 (N, K), and the positions of these videos in `split.records`, int64 (N,).
        """
        print(f"features of {len(split.data)} {split.name} videos ...", flush=True)
        with split.data.clear_errors():
            return extract_features(self.model, split.data.evaluation_numpy(views, crops))

    def labelled(self, split: Split, views: int = 1, crops: int = 1):
        """As `features`, with labels in place of the index: a dict from column to classes, array (N,)."""
        features, index = self.features(split, views, crops)
        labels = {name: np.asarray(column)[index] for name, column in split.labels.items()}
        return features, labels


def _labels(records: list[Record]) -> dict[str, list]:
    """Each label column of the records: "label" and the factors."""
    columns = {name: [r.factors[name] for r in records] for name in records[0].factors}
    if all(record.label is not None for record in records):
        columns["label"] = [record.label for record in records]
    if not columns:
        raise ValueError(
            "The probe's videos have no labels. Use one folder a class, a list 'path label', or a CSV "
            "file with a label or factor columns."
        )
    return columns
