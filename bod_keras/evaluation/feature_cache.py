"""Features on disk, found again by the content of the model, the file and the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from bod_keras.data import ClipDataset
from bod_keras.data.loading.check_bad_share import check_bad_share
from bod_keras.data.video_identity import video_identity
from bod_keras.evaluation.features import iterate_features
from bod_keras.evaluation.provenance import content_hash, model_hash
from bod_keras.evaluation.read_out import ReadOut
from bod_keras.progress_bar import progress_bar
from bod_keras.storage.atomic_file import atomic_file
from bod_keras.storage.regular_file import regular_file
from bod_keras.version import __version__

_FORMAT = 1  # raise it when the same key would name other features
_VIDEOS_A_FILE = 512  # what a killed extraction loses at most


class FeatureCache:
    """Extracts features once: a video that the cache has is not read again.

    A row's key is the SHA-256 of the model (`model_hash`), what is read out of it, the clip's settings,
    views and crops, this package's version, the backend, and the video: its path, span, size and time of
    change; of an array its content. So one cache serves every fold and every part of a data set, another
    model or a changed file is never taken for the old one, and an extraction that was killed continues where
    it was. Which files could not be read is kept, too. To begin afresh delete the folder.

    Args:
        folder: where the files are; it may be shared by models and data sets.

    Attributes:
        damaged: files of the cache that could not be read and were removed, path -> reason.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.damaged: dict[str, str] = {}

    def features(
        self,
        model: keras.Model,
        data: ClipDataset,
        views: int = 1,
        crops: int = 1,
        kind: str = "parts",
        time_steps: int = 1,
        variants: Mapping[str, Sequence[int]] | None = None,
        what: str = "videos",
    ) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, str]]:
        """Return the features of every readable video, from the cache where it has them.

        Args:
            model: a framework model or an encoder.
            data: the videos and how they are read.
            views: clips of each video, evenly spaced.
            crops: crops of each clip, 1 or 3.
            kind, time_steps: as of `ReadOut`.
            variants: as of `iterate_features`.
            what: what the progress bar and the message call the videos.

        Returns:
            A dict from part to float32 (N, K); the positions of these videos in `data.records`, ascending,
            int64 (N,); and path -> reason of what could not be read.

        Raises:
            UserError: too many broken files, and as `ReadOut`.
        """
        settings = {
            "format": _FORMAT,
            "version": __version__,
            "backend": keras.backend.backend(),
            "model": model_hash(model),
            "read_out": [kind, time_steps],
            "clips": [data.clips.frames, data.clips.stride, data.clips.size, views, crops],
        }
        if variants:
            settings["variants"] = {name: list(map(int, rows)) for name, rows in variants.items()}
        folder = self.folder / content_hash(settings)[:16]
        rows, skipped = self.rows(folder)
        keys = [content_hash([settings, video_identity(record)]) for record in data.records]
        missing = [i for i, key in enumerate(keys) if key not in rows and key not in skipped]
        known = len(keys) - len(missing)
        of = f" of {known}" if known and missing else ""
        print(f"{what}: features{of} are {'from the cache' if known else 'extracted'}", flush=True)
        read_out = ReadOut(model, kind, time_steps)
        with progress_bar(len(missing), what) as bar, data.clear_errors():
            for start in range(0, len(missing), _VIDEOS_A_FILE):
                span = missing[start : start + _VIDEOS_A_FILE]
                new = {}
                stream = data.evaluation_numpy(views, crops, span)
                for features, index in iterate_features(read_out, stream, variants):
                    for row, i in enumerate(index.tolist()):
                        new[keys[i]] = {part: values[row] for part, values in features.items()}
                    bar.update(len(index))
                lost = [i for i in span if keys[i] not in new]
                failed = {keys[i]: data.skipped[data.records[i].path] for i in lost}
                bar.update(len(failed))
                _write(folder, new, failed)
                rows |= new
                skipped |= failed
        index = np.array([i for i, key in enumerate(keys) if key in rows], np.int64)
        paths = [record.path for record in data.records]
        unread = {path: skipped[key] for path, key in zip(paths, keys) if key in skipped}
        check_bad_share(unread, len(set(paths)), data.loading.max_bad_share)
        found = [rows[keys[i]] for i in index]
        return {part: np.stack([row[part] for row in found]) for part in found[0]}, index, unread

    def rows(self, folder: Path) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, str]]:
        """Rows and skipped videos of every whole file; a damaged one is named and removed."""
        rows, skipped = {}, {}
        for file in sorted(folder.glob("[!.]*.npz")):
            try:
                # NumPy leaves a damaged file open that it has opened itself.
                with (
                    open(regular_file(file), "rb") as stream,
                    np.load(stream, allow_pickle=False) as arrays,
                ):
                    keys = arrays["keys"].tolist()
                    parts = {name: arrays[f"part {name}"] for name in arrays["parts"].tolist()}
                    failed = dict(zip(arrays["skipped"].tolist(), arrays["reasons"].tolist()))
                found = {
                    key: {name: values[row] for name, values in parts.items()}
                    for row, key in enumerate(keys)
                }
            except Exception as error:  # of a damaged file, zipfile raises what it happens to meet
                self.damaged[str(file)] = str(error)
                print(f"{file} is damaged ({error}); its features are computed again.", flush=True)
                file.unlink()
                continue
            rows |= found
            skipped |= failed
        return rows, skipped


def _write(folder: Path, rows: Mapping[str, Mapping], skipped: Mapping[str, str]) -> None:
    """Write one file, named by what is in it."""
    parts = list(next(iter(rows.values()))) if rows else []
    arrays = {f"part {part}": np.stack([row[part] for row in rows.values()]) for part in parts}
    name = content_hash([*rows, *skipped])[:16]
    with atomic_file(folder / f"{name}.npz") as part, open(part, "wb") as file:
        np.savez(
            file,
            keys=np.array(list(rows), dtype="U64"),
            parts=np.array(parts, dtype=str),
            skipped=np.array(list(skipped), dtype="U64"),
            reasons=np.array(list(skipped.values()), dtype=str),
            **arrays,
        )
