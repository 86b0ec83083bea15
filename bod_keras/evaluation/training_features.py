"""The features of a frozen backbone for every augmented view, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from bod_keras.backend.unit_range import unit_floats
from bod_keras.data import ClipDataset
from bod_keras.data.video_identity import video_identity
from bod_keras.endless import mark_endless
from bod_keras.errors import UserError
from bod_keras.evaluation.provenance import content_hash
from bod_keras.progress_bar import progress_bar
from bod_keras.storage.atomic_file import atomic_file, sweep_parts
from bod_keras.storage.lock import lock
from bod_keras.storage.remote import is_remote
from bod_keras.version import __version__

_LEAST = 1e-3  # deviation; batch normalization adds 1e-5 to the variance
_FORMAT = 1  # raise it when the same key would name other features


class TrainingFeatures:
    """Stream the features of a frozen backbone for the batches that a model is trained on.

    The first `copies` epochs of a `ClipDataset` are read, augmented, given the views that the model makes
    (`Decoupling`), and encoded, a file a batch. Later epochs are these batches again, in an order of their own.
    So a run of at most `copies` epochs sees the clips that it would see without, and a step of it costs the
    heads, the split and the losses alone.

    A folder within `folder` is named by what its features depend on: the weights and the config of the
    backbone, the views, the clips' settings, batch size and seed, the backend, and of each video its path,
    span, size and time of change. So models, data sets and seeds share one `folder`, and none takes features
    of another. A process that is killed loses the batch that it was at; the next one goes on there. To free the
    disk delete the folder.

    Args:
        model: a `ContrastiveModel` whose encoder has no weights to train, such as
            ``FrameEncoder(..., frozen=True)``.
        data: the training clips, in one process.
        folder: where the files are.
        copies: augmented copies of each video, at least 1: epochs until the same features come again.
        gigabytes: what they may take on disk. Copies that do not fit are left out, and this is said.

    Attributes:
        copies: how many there are.
        bytes: what they take.

    Raises:
        UserError: a backbone with weights to train; `copies` below 1; not one copy fits.
        OSError: the files cannot be written.

    Example:
        >>> import bod_keras, keras, numpy as np, tempfile
        >>> from bod_keras.data import ClipDataset, array_records
        >>> from bod_keras.evaluation import TrainingFeatures
        >>> images = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 5, 4)])
        >>> encoder = bod_keras.encoders.FrameEncoder(images, "unit", (4, 32, 32, 3), frozen=True)
        >>> model = bod_keras.VSimCLR(encoder, decoupling=True)
        >>> model.compile("adam")
        >>> videos = np.random.default_rng(0).integers(0, 255, (4, 8, 32, 32, 3), "uint8")
        >>> data = ClipDataset(array_records(videos), frames=4, size=32, batch_size=4)
        >>> features = TrainingFeatures(model, data, tempfile.mkdtemp(), copies=2)
        2 copies of 4 videos: features are extracted
        >>> history = model.fit(features.training_numpy(), steps_per_epoch=1, epochs=3, verbose=0)
    """

    def __init__(
        self,
        model: keras.Model,
        data: ClipDataset,
        folder: str | os.PathLike,
        copies: int = 8,
        gigabytes: float = 20.0,
    ):
        if not isinstance(copies, int) or copies < 1:
            raise UserError(f"copies must be an integer from 1. Received: {copies!r}")
        if not 0 < gigabytes < math.inf:
            raise UserError(f"gigabytes must be a positive number. Received: {gigabytes}")
        if is_remote(os.fspath(folder)):
            raise UserError(f"Features are kept in a local folder. Received: {folder}")
        if not isinstance(data, ClipDataset):
            raise UserError(f"data must be a ClipDataset. Received: a {type(data).__name__}.")
        encoder = getattr(model, "encoder", None)
        if encoder is None:
            raise UserError(
                "model must be a framework, such as VSimCLR(encoder). Received: a "
                f"{type(model).__name__} without `encoder`."
            )
        if encoder.trainable_variables:
            raise UserError(
                f"The encoder {encoder.name!r} has weights to train, so that its features change with every "
                "step. Freeze it: FrameEncoder(..., frozen=True), in a config arguments.frozen=True, or "
                "train without kept features."
            )
        self._data, self._steps = data, data.steps_per_epoch
        self.copies = copies
        key = {
            "format": _FORMAT,
            "version": __version__,
            "backend": keras.backend.backend(),
            "networks": _without_names(
                [
                    keras.saving.serialize_keras_object(layer)
                    for layer in (
                        encoder,
                        model.augmenter,
                        model.motion_view,
                        model.static_view,
                        model.mix,
                    )
                ]
            ),
            "weights": _digest(encoder),
            "clips": [*map(str, vars(data.clips).items())],
            "batches": [data.batch_size, data.seed],
            "videos": [video_identity(record) for record in data.records],
        }
        self.folder = Path(folder) / content_hash(key)[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock(str(self.folder), "Wait until it has ended, or stop it."):
            sweep_parts(self.folder)
            self._fill(model, gigabytes)
        self.bytes = sum(self._file(n).stat().st_size for n in range(self.copies * self._steps))

    @property
    def steps_per_epoch(self) -> int:
        """As of the data."""
        return self._steps

    def training_numpy(self, position: int = 0, steps: int | None = None) -> Iterator[tuple]:
        """Stream the batches as `fit` takes them.

        Args:
            position: where to begin, a multiple of the batch size; to resume, one more than the last
                ``batch["position"]``.
            steps: number of batches; None for an endless stream.

        Returns:
            Iterator of 1-tuples of ``{"features": float32 (B, V, T, C), "position": int32 (B,)}``; V counts the
            views that the model makes, too.
        """
        kept = self.copies * self._steps
        start = position // self._data.batch_size
        # Of plain values: TensorFlow keeps for ever what it reads from, and `data` has processes.
        batches = _batches(self.folder, kept, self._data.batch_size, self._data.seed, start, steps)
        return mark_endless(batches) if steps is None else batches

    def files(self, first: int, last: int) -> list[str]:
        """Name the files behind a range of positions, as `ClipDataset.files`."""
        size = self._data.batch_size
        kept = self.copies * self._steps
        steps = range(first // size, last // size + 1)
        numbers = {_number(step, kept, self._data.seed) for step in steps}
        found = []
        for number in sorted(numbers):
            for position in _read(self._file(number), "position").tolist():
                found += self._data.files(position, position)
        return found

    def _file(self, number: int) -> Path:
        return _file_of(self.folder, number)

    def _fill(self, model: keras.Model, gigabytes: float) -> None:
        """Encode what is missing; files after the first missing one are made again, and are the same."""
        total, done, position = self.copies * self._steps, 0, 0
        size = self._data.batch_size
        while done < total and (last := _last_position(self._file(done), size)) is not None:
            done, position = done + 1, last + 1
        if done:
            total = self._within(gigabytes, self._file(0).stat().st_size)
        known = "features are from the cache" if done >= total else "features are extracted"
        if 0 < done < total:
            known = f"{done} of {total} batches of features are from the cache, the others are extracted"
        print(f"{self.copies} copies of {len(self._data)} videos: {known}", flush=True)
        if done >= total:
            return
        encode = _AllViews(model)
        missing = total - done
        with (
            progress_bar(missing, "batches of features") as bar,
            model.kept_draws(),
            self._data.clear_errors(),
        ):
            for (batch,) in self._data.training_numpy(position, missing):
                model.set_draws(self._data.seed, done)
                features = np.asarray(encode.predict_on_batch(batch["views"]), "float32")
                if not np.isfinite(features).all():
                    names = self._data.files(*batch["position"][[0, -1]].tolist())
                    raise UserError(
                        f"The encoder gives features that are not finite: a clip of {names}."
                    )
                if not done and features.std(axis=(0, 1, 2)).max() < _LEAST:
                    raise UserError(
                        f"The encoder's features hardly differ: their deviation is {features.std():.1g}, and "
                        "the heads take that for rounding. Has it its trained weights, and its preprocessing?"
                    )
                if not done:
                    total = self._within(gigabytes, features.nbytes)
                with atomic_file(self._file(done)) as part, open(part, "wb") as file:
                    np.savez(file, features=features, position=batch["position"])
                done += 1
                bar.update()
                if done >= total:
                    break

    def _within(self, gigabytes: float, size: int) -> int:
        """Lower `copies` to what fits, and return the number of batches."""
        copy = size * self._steps
        fit = int(gigabytes * 2**30 // copy)
        if not fit:
            raise UserError(
                f"One copy of the features takes {copy / 2**30:.3g} GiB, more than the {gigabytes:g} that are "
                "allowed. Raise gigabytes (feature_cache.gigabytes), or take fewer videos, frames or regions."
            )
        if fit < self.copies:
            print(
                f"{fit} of {self.copies} copies fit into {gigabytes:g} GiB ({copy / 2**30:.3g} GiB each)."
            )
            self.copies = fit
        return self.copies * self._steps


class _AllViews(keras.Model):
    """All views of a batch, those that the model makes included, through its encoder."""

    def __init__(self, model: keras.Model):
        super().__init__(name="all_views")
        self.model = model

    def call(self, views: Any) -> Any:
        if self.model.augmenter is not None:
            views = self.model.augmenter(views, training=True)
        views = self.model.all_views(unit_floats(views))
        clips = ops.reshape(views, (-1, *views.shape[2:]))
        features = self.model.encoder(clips, training=False)
        return ops.reshape(features, (-1, views.shape[1], *features.shape[1:]))


def _batches(
    folder: Path, kept: int, size: int, seed: int, start: int, steps: int | None
) -> Iterator[tuple]:
    for step in itertools.count(start) if steps is None else range(start, start + steps):
        file = _file_of(folder, _number(step, kept, seed))
        features = _read(file, "features")
        if features.dtype != "float32" or features.ndim != 4 or len(features) != size:
            raise _damaged(file, f"it holds {features.dtype} {features.shape}")
        yield ({"features": features, "position": np.arange(size, dtype="int32") + step * size},)


def _number(step: int, kept: int, seed: int) -> int:
    """Which of the kept batches a step of the run sees: the first time in their order."""
    turn, place = divmod(step, kept)
    return int(np.random.default_rng([seed, turn]).permutation(kept)[place]) if turn else place


def _file_of(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.npz"


def _digest(encoder: keras.Model) -> str:
    digest = hashlib.sha256()
    for weight in encoder.weights:
        digest.update(np.ascontiguousarray(ops.convert_to_numpy(weight)))
    return digest.hexdigest()


def _without_names(config: Any) -> Any:
    """A config in which layers have numbers for names: Keras counts them up within a process."""
    names: dict[str, str] = {}

    def collect(value):
        if isinstance(value, dict):
            if isinstance(name := value.get("name"), str):
                names.setdefault(name, f"#{len(names)}")
            for one in value.values():
                collect(one)
        elif isinstance(value, list | tuple):
            for one in value:
                collect(one)

    def replaced(value):
        if isinstance(value, dict):
            return {key: replaced(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [replaced(one) for one in value]
        return names.get(value, value) if isinstance(value, str) else value

    collect(config)
    return replaced(config)


def _read(file: Path, name: str) -> np.ndarray:
    try:
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return arrays[name]
    except Exception as error:  # of a damaged file, zipfile raises what it happens to meet
        raise _damaged(file, error) from error


def _damaged(file: Path, reason: object) -> UserError:
    return UserError(
        f"{file} is damaged ({reason}). Delete it; the same command computes it again."
    )


def _last_position(file: Path, size: int) -> int | None:
    """The position of the last sample of a batch, None if its file is missing or damaged."""
    if not file.is_file():
        return None
    try:
        positions = _read(file, "position")
        if positions.shape != (size,) or positions.dtype.kind != "i" or positions[0] < 0:
            raise _damaged(file, f"its positions are {positions.dtype} {positions.shape}")
        return int(positions[-1])
    except UserError as error:
        print(f"{error}", flush=True)
        file.unlink()
        return None
