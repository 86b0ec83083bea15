"""Nearest neighbors: queries are the test videos, the gallery the training videos."""

from __future__ import annotations

import csv

import numpy as np

from bod_keras.evaluation.contact_sheet import contact_sheet
from bod_keras.evaluation.neighbors import nearest_neighbors
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.classify import chance, classes_of, labeled_splits
from bod_keras.evaluation.retrieval import retrieval_recalls
from bod_keras.storage.atomic_file import atomic_file

_QUERIES, _NEIGHBORS = 8, 5  # of the contact sheet
_PIXELS = 112  # height and width of its frames


@kind("retrieval")
def run_retrieval(subject, protocol) -> dict:
    """R@k for every label column and part; the neighbors of each query as a table, some as a picture.

    Args:
        subject: a `Subject`.
        protocol: with `ks`, and `center`: whether each set is centered by its own mean first.

    Returns:
        `{"factors": {column: {part: {"R@1": share, ...}, "chance": share}}, "gallery": videos, "files":
        [...]}`. An R@k with k beyond the gallery is left out. The files are neighbours-PART.csv, the nearest
        training videos of every test video, and neighbours-PART-COLUMN.png.
    """
    (gallery, gallery_y, *read), (queries, queries_y, *tested) = labeled_splits(subject, protocol)
    factors: dict[str, dict] = {}
    for column, train_y in gallery_y.items():
        classes_of(subject, column, train_y, queries_y[column])
        factors[column] = {
            part: retrieval_recalls(
                gallery[part],
                train_y,
                queries[part],
                queries_y[column],
                protocol.ks,
                protocol.center,
            )
            for part in gallery
        }
        factors[column]["chance"] = chance(queries_y[column])
    files = []
    rows = len(next(iter(gallery.values())))
    for part in gallery:
        index, similarity = nearest_neighbors(
            gallery[part], queries[part], min(_NEIGHBORS, rows), protocol.center
        )
        files += _write(subject, part, read + tested, index, similarity)
    return {"factors": factors, "gallery": rows, "files": files}


def _write(subject, part: str, read, index: np.ndarray, similarity: np.ndarray) -> list[str]:
    """The table of a part, and a contact sheet of it for each label column; read: positions in the splits."""
    train = [subject.train.records[i] for i in read[0]]
    test = [subject.test.records[i] for i in read[1]]
    table = f"neighbours-{part}.csv"
    with (
        atomic_file(subject.folder / table) as file,
        open(file, "w", newline="", encoding="utf-8", errors="backslashreplace") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(["query", "rank", "neighbour", "similarity"])
        for row, query in enumerate(test):
            for rank, (i, cosine) in enumerate(zip(index[row], similarity[row]), start=1):
                writer.writerow([query.path, rank, train[i].path, f"{cosine:.6f}"])
    chosen = np.unique(np.linspace(0, len(test) - 1, min(_QUERIES, len(test))).astype(int))
    frames = _middle_frames(subject, read, chosen, index)
    files = [table]
    for column in subject.train.labels:
        names = subject.train.class_names if column == "label" else []
        labels = [
            np.asarray(s.labels[column])[i] for s, i in zip((subject.train, subject.test), read)
        ]

        def name(label, names=names):
            return names[label] if names else f"{label}"

        picture = f"neighbours-{part}-{column}.png"
        contact_sheet(
            frames,
            [[name(labels[1][q]), *(name(labels[0][i]) for i in index[q])] for q in chosen],
            [[bool(labels[0][i] == labels[1][q]) for i in index[q]] for q in chosen],
            subject.folder / picture,
        )
        files.append(picture)
    return files


def _middle_frames(subject, read, chosen, index) -> list[list[np.ndarray]]:
    """For each chosen query the middle frame of its center clip, and those of its neighbors."""
    wanted = {1: [read[1][q] for q in chosen], 0: np.unique(read[0][index[chosen]]).tolist()}
    frames: dict[tuple[int, int], np.ndarray] = {}
    for which, split in ((0, subject.train), (1, subject.test)):
        rows = [int(row) for row in wanted[which]]
        data = split.clips(rows, size=_PIXELS, batch_size=1, max_bad_share=1.0)
        for batch in data.evaluation_numpy():
            for position, views in zip(batch["index"], batch["views"]):
                frames[which, rows[position]] = views[0, views.shape[1] // 2]
    return [
        [frames[1, int(read[1][q])], *(frames[0, int(read[0][i])] for i in index[q])]
        for q in chosen
    ]
