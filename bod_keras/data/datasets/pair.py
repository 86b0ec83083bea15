"""A list to learn from and one to be tested on: the same label must mean the same in both."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from bod_keras.data.record import Catalog, Record, some


def pair_catalogs(train: Catalog, test: Catalog) -> tuple[Catalog, Catalog]:
    """Give test the class numbers of train, and leave out the columns that cannot be tested.

    Where both name their classes, and train has all those of test, test is numbered as train is: a class that
    does not occur in test moves no label. A factor is left out where train has fewer than two values of it, or
    test has one that train has not (the number of frames, an index), as long as another column remains.

    Args:
        train: what is learned from, with labels.
        test: what is tested on.

    Returns:
        Both catalogs; what was left out is in the `remarks` of test.

    Example:
        >>> from bod_keras.data import Catalog, Record, pair_catalogs
        >>> train = Catalog([Record("a.mp4", 0), Record("b.mp4", 1)], ["jump", "run"])
        >>> test = Catalog([Record("c.mp4", 0)], ["run"])
        >>> pair_catalogs(train, test)[1].records[0].label
        1
    """
    test = _renumbered(test, train.class_names)
    of_train, of_test = _values(train.records), _values(test.records)
    good, bad = [], []
    for name in dict.fromkeys([*of_train, *of_test]):
        known, asked = of_train.get(name, set()), of_test.get(name, set())
        (good if len(known) > 1 and asked and asked <= known else bad).append(name)
    labeled = all(r.label is not None for one in (train, test) for r in one.records)
    if not bad or not (good or labeled):
        return train, test
    remark = (
        f"{'column' if len(bad) == 1 else 'columns'} {some(bad, 8)} left out: train must have two values, and "
        "all that test has"
    )
    test = dataclasses.replace(_kept(test, good), remarks=[*test.remarks, remark])
    return _kept(train, good), test


def _renumbered(test: Catalog, names: list[str]) -> Catalog:
    if not names or test.class_names == names or not set(test.class_names) <= set(names):
        return test
    if not test.class_names or len(set(names)) < len(names):
        return test
    new = [names.index(name) for name in test.class_names]
    records = [
        dataclasses.replace(
            record,
            label=None if record.label is None else new[record.label],
            labels=tuple(new[label] for label in record.labels),
        )
        for record in test.records
    ]
    return dataclasses.replace(test, records=records, class_names=list(names))


def _values(records: list[Record]) -> dict[str, set[int]]:
    """The values of every factor that all records have."""
    names = set.intersection(*(set(record.factors) for record in records)) if records else set()
    return {name: {record.factors[name] for record in records} for name in sorted(names)}


def _kept(catalog: Catalog, factors: Collection[str]) -> Catalog:
    records = [
        dataclasses.replace(
            record, factors={k: v for k, v in record.factors.items() if k in factors}
        )
        if record.factors
        else record
        for record in catalog.records
    ]
    return dataclasses.replace(catalog, records=records)
