"""Nearest neighbors: queries are the test videos, the gallery the training videos."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from bod_keras.evaluation.pictures.contact_sheet import contact_sheet
from bod_keras.evaluation.pictures.moving_sheet import moving_sheet
from bod_keras.evaluation.probes.classification import chance
from bod_keras.evaluation.probes.neighbors import nearest_neighbors
from bod_keras.evaluation.probes.retrieval import retrieval_recalls
from bod_keras.evaluation.protocols._kinds import kind
from bod_keras.evaluation.protocols.classify import classes_of, labeled_splits
from bod_keras.evaluation.protocols.subject import Split, Subject
from bod_keras.evaluation.tables import write_csv

_QUERIES, _NEIGHBORS = 8, 5  # of the contact sheet
_PIXELS = 112  # height and width of its frames
_LONGEST_NAME = 21


@kind("retrieval")
def run_retrieval(subject: Subject, protocol: ConfigDict) -> dict[str, Any]:
    """R@k for every label column and part; the neighbors of each query as a table, some as a picture.

    Args:
        subject: a `Subject`.
        protocol: with `ks`, and `center`: whether each set is centered by its own mean first.

    Returns:
        `{"factors": {column: {part: {"R@1": share, ...}, "chance": share}}, "gallery": videos, "files":
        [...]}`. An R@k with k beyond the gallery is left out. The files are neighbors-PART.csv, the nearest
        training videos of every test video, and of clips neighbors-PART-COLUMN.png, of the dynamic part also
        an animated neighbors-dynamic-COLUMN.gif, with similarities and names.
    """
    (gallery, gallery_y, read), (queries, queries_y, tested) = labeled_splits(subject, protocol)
    factors: dict[str, dict] = {}
    for column, train_y in gallery_y.items():
        wanted = queries_y[column]
        classes_of(subject, column, train_y, wanted)
        settings = {"ks": protocol.ks, "center": protocol.center}
        factors[column] = {
            part: retrieval_recalls(gallery[part], train_y, queries[part], wanted, **settings)
            for part in gallery
        }
        factors[column]["chance"] = chance(wanted)
    train = [subject.train.records[i].path for i in read]
    test = [subject.test.records[i].path for i in tested]
    chosen = np.unique(np.linspace(0, len(test) - 1, min(_QUERIES, len(test))).astype(int))
    files = []
    for part in gallery:
        nearest = min(_NEIGHBORS, len(train))
        found = nearest_neighbors(gallery[part], queries[part], nearest, protocol.center)
        index, similarity = found
        files.append(f"neighbors-{part}.csv")
        rows = [
            [query, rank, train[i], f"{cosine:.6f}"]
            for query, *of_query in zip(test, index, similarity)
            for rank, (i, cosine) in enumerate(zip(*of_query), start=1)
        ]
        header = ["query", "rank", "neighbor", "similarity"]
        write_csv(subject.folder / files[-1], [header, *rows])
        if subject.of_features:
            continue  # features have no pictures
        shown = _center_clips(subject.train, np.unique(read[index[chosen]]))
        own = _center_clips(subject.test, tested[chosen])
        clips = [[own[tested[q]], *(shown[read[i]] for i in index[q])] for q in chosen]
        frames = [[clip[len(clip) // 2] for clip in row] for row in clips]
        for column, train_y in gallery_y.items():
            names = subject.train.class_names if column == "label" else []
            known, wanted = (
                [names[y] if names else f"{y}" for y in labels]
                for labels in (train_y, queries_y[column])
            )
            files.append(f"neighbors-{part}-{column}.png")
            captions = [[_line(wanted[q]), *(_line(known[i]) for i in index[q])] for q in chosen]
            right = [[known[i] == wanted[q] for i in index[q]] for q in chosen]
            contact_sheet(frames, captions, right, subject.folder / files[-1])
            if part == "dynamic":
                files.append(f"neighbors-{part}-{column}.gif")
                described = [
                    [
                        f"{_line(wanted[q])}\n{_name(test[q])}",
                        *(
                            f"{cosine:.2f}: {_line(known[i])}\n{_name(train[i])}"
                            for i, cosine in zip(index[q], similarity[q])
                        ),
                    ]
                    for q in chosen
                ]
                moving_sheet(clips, described, right, subject.folder / files[-1])
    return {"factors": factors, "gallery": len(train), "files": files}


def _line(text: str) -> str:
    """A text without line breaks, which would start another line of a caption."""
    return " ".join(text.split())


def _name(path: str) -> str:
    """A file's name in so many characters: its start and, as names of one series differ there, its end."""
    name = _line(PurePath(path).name.encode(errors="backslashreplace").decode())
    half = (_LONGEST_NAME - 1) // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def _center_clips(split: Split, rows: np.ndarray) -> dict[int, np.ndarray]:
    """From the position of some videos that can be read to their center clip (T, H, W, 3)."""
    data = split.clips(rows, size=_PIXELS, batch_size=1, max_bad_share=1.0)
    return {
        rows[i]: clips[0]
        for batch in data.evaluation_numpy()
        for i, clips in zip(batch["index"], batch["views"])
    }
