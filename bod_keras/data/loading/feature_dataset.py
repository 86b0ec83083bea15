"""Streams of windows of frame features, as `ClipDataset` gives clips."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from bod_keras.data.datasets.feature_files import FeatureRecord, load_features
from bod_keras.data.loading.clip_spec import ClipSpec, Loading
from bod_keras.data.loading.clips import clip_span, even_views, sample_rng, sample_views
from bod_keras.data.loading.pipeline import ClipDataset
from bod_keras.data.loading.reader import Task
from bod_keras.data.record import Record
from bod_keras.data.video.video_file import VideoError
from bod_keras.errors import UserError

_MOST_OPEN = 64  # files: a mapped one holds a descriptor, of which a process may have 1024


@dataclasses.dataclass(frozen=True)
class FeatureSpec(ClipSpec):
    """A `ClipSpec` of features: windows of `frames` time steps, `channels` numbers each; no pixels."""

    channels: int = 1

    @property
    def training_shape(self) -> tuple[int, ...]:
        return (self.views, self.frames, self.channels)

    def evaluation_shape(self, views: int, crops: int) -> tuple[int, ...]:
        if crops != 1:
            raise UserError(f"Features have no crops. Received: crops={crops}. Use crops=1.")
        return (super().evaluation_shape(views, crops)[0], self.frames, self.channels)


class FeatureDataset(ClipDataset):
    """Streams of frame features for training and evaluation: a `ClipDataset` of windows (T, C), not of clips.

    The views of a training sample are windows of a video's features, drawn as clips are drawn from a video;
    what a file holds is not augmented. A file that cannot be read, or a window with NaN, is skipped and named
    in `skipped`.

    Args:
        records: from `read_features`.
        channels: C of the features.
        frames: time steps of a window, at least 2.
        stride: distance of neighboring steps.
        views: windows of a training sample.
        batch_size: samples of a batch.
        labels, shard, seed: as of `ClipDataset`.
        max_bad_share: as of `Loading`.

    Raises:
        UserError: an argument is out of range; records without a file of such features.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> from bod_keras.data import FeatureDataset, read_features
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(pathlib.Path(folder, "a.npy"), np.zeros((4, 16, 8), "float32"))
        ...     data = FeatureDataset(read_features(folder).records, 8, frames=4, batch_size=2)
        ...     next(data.training_numpy(steps=1))[0]["views"].shape
        (2, 2, 4, 8)
    """

    dtype = np.float32

    def __init__(
        self,
        records: Sequence[Record],
        channels: int,
        *,
        frames: int = 16,
        stride: int = 1,
        views: int = 2,
        batch_size: int = 16,
        labels: Sequence[int] | None = None,
        shard: tuple[int, int] = (0, 1),
        seed: int = 0,
        max_bad_share: float = 0.1,
    ):
        self._files_of = {record.path: record for record in records}
        if not all(isinstance(record, FeatureRecord) for record in records):
            raise UserError("records must come from read_features. Received: records of videos.")
        widths = {record.channels for record in records if record.steps}
        if widths - {channels} and channels not in widths:
            raise UserError(
                f"The features have {', '.join(map(str, sorted(widths)))} channels. Received: {channels}. Set "
                "config.data.channels to their number."
            )
        super().__init__(
            records,
            FeatureSpec(frames, stride, views, channels=channels),
            Loading(workers=0, max_bad_share=max_bad_share),
            batch_size=batch_size,
            labels=labels,
            shard=shard,
            seed=seed,
        )

    def _training_tasks(self, position):
        self.check_windows()
        return super()._training_tasks(position)

    def check_windows(self) -> None:
        """Raise a `UserError` if no features are long enough for views that differ, as training needs them."""
        span = clip_span(self.clips.frames, self.clips.stride)
        longest = max(record.steps for record in self.records)
        if longest <= span and self.clips.views > 1:
            raise UserError(
                f"A window spans {span} time steps, and the longest features have {longest}, so that all views "
                "of a video would be the same. Lower clips.frames or clips.stride, or store more steps."
            )

    def _refuse_broken(self, batch_size):
        pass  # skipped and named as they are read

    def _make_reader(self, arrays):
        return _FeatureReader(self.clips, self.seed, self._files_of)


class _FeatureReader:
    """As `ClipReader`, of features."""

    dtype = np.float32

    def __init__(self, clips: FeatureSpec, seed: int, records: dict[str, FeatureRecord]):
        self.clips, self.seed, self._records = clips, seed, records
        self._array = functools.lru_cache(_MOST_OPEN)(load_features)

    def read(self, record: Record, task: Task, out: np.ndarray) -> bool:
        known, clips = self._records[record.path], self.clips
        try:
            array = self._array(known.file)
            video = array if known.row is None else array[known.row]
        except Exception as error:  # of a damaged file, zipfile raises what it happens to meet
            raise VideoError(record.path, f"it cannot be read: {error}") from None
        length, channels = video.shape[-2:]
        if video.ndim != 2 or channels != clips.channels:
            raise VideoError(record.path, f"it has {channels} channels, not {clips.channels}")
        if task.epoch is None:
            rows = even_views(length, clips.frames, clips.stride, task.views)
        else:
            rng = sample_rng(self.seed, task.epoch, task.index)
            rows = sample_views(length, clips.frames, clips.stride, task.views, rng)
        with np.errstate(over="ignore"):  # a float64 beyond float32 is named below
            out[:] = video[rows.ravel()].reshape(out.shape)
        if not np.isfinite(out).all():
            raise VideoError(record.path, "its features are not finite in float32")
        return length < clip_span(clips.frames, clips.stride)
