"""Exact search in a library: by what is shown, by how it moves, or by both."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from bod_keras.backend.with_keras import with_keras
from bod_keras.data.record import Record
from bod_keras.errors import UserError
from bod_keras.library.library_file import Library, read_library
from bod_keras.library.video_key import video_key
from bod_keras.storage import remote

BY = {"appearance": "static", "motion": "dynamic", "pooled": "pooled"}


@dataclasses.dataclass(frozen=True)
class Match:
    """A row of a library that was found.

    Args:
        row: its number in the library.
        path: the video.
        start, end: seconds of the video.
        label: its label, or None.
        score: by which matches are ordered.
        similarities: cosine similarity to the query by "appearance", "motion" or "pooled".
    """

    row: int
    path: str
    start: float
    end: float
    label: str | None
    score: float
    similarities: dict[str, float]


def search(
    library: str | os.PathLike | Library,
    query: str | os.PathLike | None = None,
    *,
    by: str = "both",
    top: int = 20,
    appearance: str | os.PathLike | None = None,
    motion: str | os.PathLike | None = None,
    at: float | None = None,
    itself: bool = False,
    run: str | os.PathLike | None = None,
) -> list[Match]:
    """Return the rows of a library that are most like a video, exactly, the most similar first.

    By one part the score is the cosine similarity c. By both parts, whose cosines spread differently, each is
    standardized over the library first, `z = (c - mean) / std`:

        score = (1 - w) z_appearance + w z_motion

    A query whose file the library has, unchanged, is taken from it; the model is not needed then. No row of the
    query's own file is returned (the same path once links are followed); a copy under another name is.

    Args:
        library: a `Library`, or its file.
        query: a video.
        by: "motion", "appearance", "pooled", "both", or "both:w" with the weight w of motion, in [0, 1].
        top: number of rows, at most.
        appearance, motion: in place of `query` two videos: what looks like the first, moves like the second.
        at: second at which the query's window begins. Without it: of a file in the library its middle row, else
            the centered clip.
        itself: return rows of the query's own file, too.
        run: folder of the run, if it is no longer where the library was made.

    Returns:
        A list of `Match`.

    Raises:
        FileNotFoundError: there is no such library or query.
        UserError: the query cannot be read, or `by` is unknown.

    Example:
        >>> import bod_keras
        >>> found = bod_keras.search("library", "jump.mp4", by="motion", top=3)  # doctest: +SKIP
        >>> found[0].path, round(found[0].score, 2)  # doctest: +SKIP
        ('/videos/jump-2.mp4', 0.97)
    """
    library = library if isinstance(library, Library) else read_library(library)
    if top < 1:
        raise UserError(f"top must be at least 1. Received: {top}")
    weights = _weights(by)
    queries = {"appearance": appearance or query, "motion": motion or query, "pooled": query}
    if (appearance is None) != (motion is None) or (query is None) == (appearance is None):
        raise UserError("Give one query, or both appearance and motion instead of it.")
    if appearance is not None and set(weights) != {"appearance", "motion"}:
        raise UserError(f"A search by two videos is by both or both:WEIGHT. Received: by={by!r}")
    find = _Query(library, at, run)
    left_out = np.zeros(len(library), bool)
    scores, found = np.zeros(len(library)), {}
    for kind, weight in weights.items():
        path = os.fspath(queries[kind])
        vector = find.vector(path, BY[kind])
        cosine = found[kind] = library.unit_vectors(BY[kind]) @ vector
        scores += cosine if len(weights) == 1 else weight * _standardized(cosine)
        if not itself:
            left_out |= find.rows_of(path)
    rows = np.flatnonzero(~left_out)
    if len(rows) > top:
        rows = rows[np.argpartition(-scores[rows], top - 1)[:top]]
    rows = rows[np.lexsort((rows, -scores[rows]))]
    return [
        Match(
            row,
            library.paths[row],
            float(library.starts[row]),
            float(library.ends[row]),
            library.labels[row],
            float(scores[row]),
            {kind: float(cosine[row]) for kind, cosine in found.items()},
        )
        for row in rows.tolist()
    ]


class _Query:
    """Vectors of query videos: from the library where it has them, else by its run."""

    def __init__(self, library: Library, at: float | None, run: str | os.PathLike | None):
        self.library, self.at, self.run = library, at, run
        self._rows: dict[str, np.ndarray] = {}
        self._embedded: dict[str, dict[str, np.ndarray]] = {}
        self._trained = None

    def rows_of(self, path: str) -> np.ndarray:
        """Which rows are of a file, bool (N,)."""
        if path not in self._rows:
            name = os.path.basename(path)
            rows = np.zeros(len(self.library), bool)
            if remote.is_remote(path):
                rows[:] = [there == path for there in self.library.paths]
            else:
                real = os.path.realpath(path)
                near = (i for i, p in enumerate(self.library.paths) if os.path.basename(p) == name)
                real_name = os.path.basename(real)
                if real_name != name:
                    near = range(len(rows))
                for i in near:
                    rows[i] = os.path.realpath(self.library.paths[i]) == real
            self._rows[path] = rows
        return self._rows[path]

    def vector(self, path: str, part: str) -> np.ndarray:
        """One part of a video, of length 1."""
        row = self._row(path)
        if row is not None:
            return self.library.unit_vectors(part)[row]
        if path not in self._embedded:
            self._embedded[path] = self._embed(path)
        vector = self._embedded[path][part]
        length = np.linalg.norm(vector)
        return vector / (length if length > 0 else 1.0)

    def _row(self, path: str) -> int | None:
        """The row of a file that is unchanged, or gone; or None."""
        rows = np.flatnonzero(self.rows_of(path))
        if not len(rows):
            return None
        there = self.library.paths[rows[0]]
        state = video_key(Record(there)).partition("-")[2]
        gone = not remote.is_remote(there) and not os.path.lexists(there)
        if not gone and {self.library.keys[row].partition("-")[2] for row in rows} != {state}:
            return None
        if self.at is None:
            return int(rows[len(rows) // 2])
        starts, ends = self.library.starts[rows], self.library.ends[rows]
        within = (starts <= self.at) & (self.at < ends)
        if len(rows) == 1 or not within.any():  # another clip than the library's
            return None
        return int(rows[within][np.argmax(starts[within])])

    def _embed(self, path: str) -> dict[str, np.ndarray]:
        if not remote.is_remote(path) and not os.path.exists(path):
            raise FileNotFoundError(f"There is no video {path!r} to search for.")
        with_keras()
        from bod_keras.library.embedding import embed_one
        from bod_keras.library.trained_run import TrainedRun

        info = self.library.info
        if self._trained is None:
            folder = self.run or info["run"]
            if self.run is None and not remote.is_remote(folder) and not os.path.isdir(folder):
                raise FileNotFoundError(
                    f"The query is not in the library, and its run is no longer at {folder}. Name its folder "
                    "with --run."
                )
            self._trained = TrainedRun(folder)
            if self._trained.hash != info["model"]:
                raise UserError(
                    f"{folder} is not the run by which {self.library.path} was embedded: its model differs. "
                    "Embed the videos again, or name the right run with --run."
                )
        return embed_one(self._trained, path, self.at, info.get("every"))


def _weights(by: str) -> dict[str, float]:
    name, colon, text = by.partition(":")
    if name in BY and not colon:
        return {name: 1.0}
    try:
        weight = float(text) if colon else 0.5
    except ValueError:
        weight = np.nan
    if name != "both" or not 0 <= weight <= 1:
        raise UserError(
            "by must be motion, appearance, pooled, both, or both:WEIGHT with the weight of motion in [0, 1]. "
            f"Received: {by!r}"
        )
    return {"appearance": 1 - weight, "motion": weight}


def _standardized(values: np.ndarray) -> np.ndarray:
    spread = values.std()
    return (values - values.mean()) / (spread if spread > 0 else 1.0)
