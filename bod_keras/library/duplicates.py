"""Videos that a library has twice, or nearly."""

from __future__ import annotations

import os

import numpy as np

from bod_keras.errors import UserError
from bod_keras.library.library_file import Library, read_library

_ROWS_AT_ONCE = 2048


def find_duplicates(
    library: str | os.PathLike | Library, threshold: float = 0.99
) -> list[list[tuple[int, float]]]:
    """Return groups of rows that are nearly the same, in every part.

    Two rows belong together if the cosine similarity of each part is at least the threshold, and so do rows
    that are chained by such pairs. Rows of one file, its windows, are not compared with each other. Every pair
    is looked at, N^2 / 2 of them.

    Args:
        library: a `Library`, or its file.
        threshold: in (0, 1].

    Returns:
        A list of groups of at least two rows, each `(row, similarity)`: the smallest similarity of a part to
        the group's first row, which is the row of the smallest number.

    Raises:
        UserError: the threshold is out of range.

    Example:
        >>> import bod_keras
        >>> bod_keras.library.find_duplicates("library", 0.9995)  # doctest: +SKIP
        [[(3, 1.0), (90, 0.9998)]]
    """
    if not 0 < threshold <= 1:
        raise UserError(f"threshold must lie in (0, 1]. Received: {threshold}")
    library = library if isinstance(library, Library) else read_library(library)
    units = [library.unit_vectors(part) for part in library.widths]
    # Rounding: a vector's product with itself may be a little less than 1.
    least = threshold - 1e-6
    file_of = np.unique(np.array(library.keys, dtype=object), return_inverse=True)[1]
    first = np.arange(len(library))

    def root(row):
        while first[row] != row:
            first[row] = first[first[row]]
            row = first[row]
        return row

    for start in range(0, len(library), _ROWS_AT_ONCE):
        for other in range(start, len(library), _ROWS_AT_ONCE):
            rows, columns = _pairs(units, start, other, least)
            new = (rows < columns) & (file_of[rows] != file_of[columns])
            for a, b in zip(rows[new].tolist(), columns[new].tolist()):
                low, high = sorted((root(a), root(b)))
                first[high] = low
    groups: dict[int, list[int]] = {}
    for row in range(len(library)):
        groups.setdefault(root(row), []).append(row)
    return [
        [(row, min(float(unit[row] @ unit[lead]) for unit in units)) for row in rows]
        for lead, rows in groups.items()
        if len(rows) > 1
    ]


def _pairs(units, start, other, least):
    """Rows of two blocks that are alike in every part."""
    block = units[0][start : start + _ROWS_AT_ONCE] @ units[0][other : other + _ROWS_AT_ONCE].T
    rows, columns = np.nonzero(block >= least)
    rows, columns = rows + start, columns + other
    for unit in units[1:]:
        alike = np.einsum("nk,nk->n", unit[rows], unit[columns]) >= least
        rows, columns = rows[alike], columns[alike]
    return rows, columns
