"""Probes of frozen features while a model trains."""

from __future__ import annotations

import time
from collections.abc import Mapping

import keras
import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from bod_keras.backend import keras_private
from bod_keras.errors import UserError
from bod_keras.evaluation.probes.knn import knn_accuracy
from bod_keras.evaluation.probes.linear_probe import linear_probe
from bod_keras.evaluation.read_out import PARTS, ReadOut
from bod_keras.feature_checks import check_features
from bod_keras.training.embedding_statistics import effective_rank
from bod_keras.training.predict_filled_up import predict_filled_up

Labels = ArrayLike | Mapping[str, ArrayLike]


class OnlineEvaluation(keras.callbacks.Callback):
    """Probe a framework's frozen features at the end of epochs, and tell what each part has learned.

    Of each part ("pooled", "static", "dynamic") it adds to the epoch's logs

    * ``linear_PART`` and ``knn_PART``: test accuracies of `linear_probe` and `knn_accuracy`; with several
      columns of labels ``linear_COLUMN_PART``;
    * ``rankme_PART``: the effective rank of the features of all videos, rows of length 1, not centered;

    and with `held_out` ``val_loss`` and, decoupled, ``val_static_loss`` and so on: the losses on videos that
    are not trained on. Nothing of the model changes, not even the state of its random numbers. An epoch that
    is not measured logs nothing, nor does one that a signal or another callback has cut short. A part whose
    features are not finite is named and left out. Put it before the callbacks that write logs.

    Args:
        train, test: each ``(clips, labels)``: clips (N, T, H, W, 3), uint8 or floats in [0, 1], and classes
            (N,), or a dict of such columns by name. ``labels`` of ``None``: only ranks.
        held_out: None, or views (N, V, T, H, W, 3) of videos that are not trained on, for the loss.
        every: epochs from one measurement to the next; the first epoch that is seen is always measured.
        most: share of the training time that measurements may take: epochs are left out until that much time
            has passed. What the first one took, which compiles, does not count. 1.0: none is left out.
        batch_size: clips, or views' videos, at a time.

    Raises:
        UserError: other shapes, labels of one split alone, `every` below 1 or `most` out of (0, 1].

    Example:
        >>> import bod_keras, numpy as np
        >>> rng = np.random.default_rng(0)
        >>> clips, labels = rng.integers(0, 255, (16, 4, 16, 16, 3), "uint8"), np.arange(16) % 2
        >>> model = bod_keras.VSimCLR(bod_keras.encoders.FrameCNN((4, 16, 16, 3), widths=(4, 8)), True)
        >>> model.compile("adam")
        >>> probes = bod_keras.evaluation.OnlineEvaluation((clips, labels), (clips, labels))
        >>> views = np.stack([clips, clips], axis=1)
        >>> history = model.fit(views, verbose=0, callbacks=[probes]).history  # doctest: +ELLIPSIS
        epoch 1: linear_pooled ...
        >>> [name for name in history if name.startswith("linear")]
        ['linear_pooled', 'linear_static', 'linear_dynamic']

    Reference:
        RankMe: Garrido et al., arXiv 2210.02885.
    """

    def __init__(
        self,
        train: tuple[ArrayLike, Labels | None],
        test: tuple[ArrayLike, Labels | None],
        held_out: ArrayLike | None = None,
        every: int = 1,
        most: float = 1.0,
        batch_size: int = 32,
    ):
        super().__init__()
        if every < 1:
            raise UserError(f"every must be at least 1 epoch. Received: {every}")
        if not 0 < most <= 1:
            raise UserError(f"most must be a share in (0, 1]. Received: {most}")
        self._clips = [
            _checked(clips, name) for (clips, _), name in ((train, "train"), (test, "test"))
        ]
        self._labels = [_columns(labels, x) for (_, labels), x in zip((train, test), self._clips)]
        if self._labels[0].keys() != self._labels[1].keys():
            raise UserError(
                "train and test must have the same columns of labels. Received: "
                f"{sorted(self._labels[0])} and {sorted(self._labels[1])}"
            )
        self._held_out = None if held_out is None else np.asarray(held_out)
        self.every, self.most, self.batch_size = every, most, batch_size
        self._last: float | None = None
        self._read_out: ReadOut | None = None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        if not hasattr(self.model, "embedder"):
            raise UserError(
                "OnlineEvaluation reads the parts of a ContrastiveModel (bod_keras.VSimCLR, ...). Received: "
                f"{type(self.model).__name__}"
            )
        if self._read_out is None:
            self._read_out = ReadOut(self.model)

    @property
    def columns(self) -> list[str]:
        """The names of what is logged, losses aside."""
        found = []
        for part in PARTS:
            names = [part if name == "label" else f"{name}_{part}" for name in self._labels[0]]
            found += [f"{measure}_{name}" for name in names for measure in ("linear", "knn")]
            found.append(f"rankme_{part}")
        return found

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.model.stop_training:  # whoever stops a process waits for it
            return
        before = time.perf_counter()
        if self._last is not None:
            too_much = self.most < 1 and self._last > self.most * (before - self._ended)
            if (epoch + 1) % self.every or too_much:
                return
        keras_private.fetch_state(self.model)
        found = self._measure()
        if logs is not None:
            logs.update(found)
        self._ended = time.perf_counter()
        took = self._ended - before
        self._last = 0.0 if self._last is None else took
        shown = [
            f"{name} {value:.3f}" for name, value in found.items() if name.startswith("linear")
        ]
        shown = shown or [f"{name} {value:.1f}" for name, value in found.items()]
        tqdm.write(f"epoch {epoch + 1}: {', '.join(shown)} ({took:.1f} s)")

    def _measure(self) -> dict[str, float]:
        features = [self._features(clips) for clips in self._clips]
        found = {}
        for part in features[0]:
            if not all(np.isfinite(one[part]).all() for one in features):
                tqdm.write(f"The {part} features are not finite, and are not probed.")
                continue
            x, y = (check_features(one[part], f"the {part} features") for one in features)
            for column, known in self._labels[0].items():
                asked = self._labels[1][column]
                name = part if column == "label" else f"{column}_{part}"
                found[f"linear_{name}"] = linear_probe(x, known, y, asked)
                found[f"knn_{name}"] = knn_accuracy(x, known, y, asked)
            found[f"rankme_{part}"] = effective_rank(np.concatenate([x, y]))
        return {**found, **self._losses()}

    def _features(self, clips: np.ndarray) -> dict[str, np.ndarray]:
        size = min(self.batch_size, len(clips))
        parts = [
            predict_filled_up(self._read_out, clips[i : i + size], size)
            for i in range(0, len(clips), size)
        ]
        return {name: np.concatenate([p[name] for p in parts]) for name in self._read_out.order}

    def _losses(self) -> dict[str, float]:
        if self._held_out is None:
            return {}
        with self.model.kept_draws():
            losses = self.model.evaluate(
                self._held_out, batch_size=self.batch_size, verbose=0, return_dict=True
            )
        return {f"val_{name}": value for name, value in losses.items() if name.endswith("loss")}


def _checked(clips: ArrayLike, name: str) -> np.ndarray:
    clips = np.asarray(clips)
    if clips.ndim not in (3, 5) or not len(clips):
        raise UserError(
            f"{name} must begin with clips (videos, time, height, width, 3) or features (videos, time, "
            f"channels). Received: {clips.shape}"
        )
    return clips


def _columns(labels: Labels | None, clips: np.ndarray) -> dict[str, np.ndarray]:
    if labels is None:
        return {}
    columns = labels if isinstance(labels, Mapping) else {"label": labels}
    columns = {name: np.asarray(values) for name, values in columns.items()}
    for name, values in columns.items():
        if values.shape != (len(clips),):
            raise UserError(
                f"labels must have one class a video, ({len(clips)},). Received: {name!r} of shape "
                f"{values.shape}"
            )
    return columns
