"""Key frames -> batches of clips with their boxes, for an action detector."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from bod_keras.data.augment.augment import ClipAugment, augmentation
from bod_keras.data.datasets.key_frames import KeyFrame
from bod_keras.data.loading.check_bad_share import check_bad_share
from bod_keras.data.loading.key_frame_reader import KeyFrameReader
from bod_keras.data.loading.order import EpochOrder
from bod_keras.data.loading.reader import Task
from bod_keras.data.loading.sample_source import SampleSource
from bod_keras.errors import UserError

_VISIBLE = 0.5  # share of a box that a training clip must show for the box to count


class KeyFrameClips:
    """Streams of clips centered at key frames, with the boxes as they lie in the clip.

    Training is a pure function of the position, as of `ClipDataset`. Every batch has room for as many boxes a
    clip as the richest key frame has; rows that are left over are zero, and so is their mask. In training a
    box counts that has half of its area in the crop; it is cut off at the crop's edge. A broken video is
    skipped and named.

    Args:
        records: from `key_frames`.
        classes: number of classes.
        frames: frames of a clip.
        stride: distance of neighboring clip frames in the video.
        size: height and width of a clip in pixels.
        batch_size: clips of a batch.
        augment: of training clips; None for whole frames.
        seed: of order and augmentation.
        workers: processes that read; 0 does it in this process.
        timeout: seconds after which a worker that reads a clip is given up.
        max_bad_share: the stream stops with an error when more than this share of the files is broken.
        cache_mb: decoded videos are kept in memory up to this many MiB, by all workers together.

    Attributes:
        boxes: room for boxes in a clip.
        skipped: path -> reason of each video that could not be read so far.

    Raises:
        ValueError: if there is no key frame, or a label is no class.

    Example:
        >>> from bod_keras.data import Box, KeyFrame, KeyFrameClips
        >>> key_frame = KeyFrame("a.avi", (Box((0, 0, 1, 1), (2,)),), frame=9)
        >>> clips = KeyFrameClips([key_frame], classes=3, batch_size=1)
        >>> clips.targets(clips.records[0]).tolist(), clips.steps_per_epoch
        ([[0.0, 0.0, 1.0]], 1)
    """

    def __init__(
        self,
        records: Sequence[KeyFrame],
        *,
        classes: int,
        frames: int = 8,
        stride: int = 1,
        size: int = 112,
        batch_size: int = 8,
        augment: ClipAugment | None = None,
        seed: int = 0,
        workers: int = 2,
        timeout: float = 120.0,
        max_bad_share: float = 0.1,
        cache_mb: float = 0,
    ):
        self.records = list(records)
        labels = {label for record in self.records for box in record.boxes for label in box.labels}
        if labels and not 0 <= min(labels) <= max(labels) < classes:
            raise UserError(
                f"Labels must be 0 to {classes - 1}. Received: {min(labels)} to {max(labels)}"
            )
        self.classes, self.batch_size, self.max_bad_share = classes, batch_size, max_bad_share
        self.boxes = max([1, *(len(record.boxes) for record in self.records)])
        self.skipped: dict[str, str] = {}
        self._shape = (1, frames, size, size, 3)
        whole = augmentation("none", size)
        self._reader = KeyFrameReader(
            frames, stride, seed, augment or whole, whole, cache_mb / max(1, workers)
        )
        self._order = EpochOrder(len(self.records), batch_size, seed)
        self._source = SampleSource(self.records, self._reader, workers, timeout)
        self._window = batch_size + 4 * workers
        self._files = len({record.path for record in self.records})

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches that the key frames fill once."""
        return self._order.steps

    def targets(self, record: KeyFrame) -> np.ndarray:
        """Give the classes of a key frame's boxes: float32 `(len(boxes), classes)`, 1 where it is one."""
        targets = np.zeros((len(record.boxes), self.classes), np.float32)
        for row, box in enumerate(record.boxes):
            targets[row, list(box.labels)] = 1
        return targets

    def training(
        self, epoch: int = 0, steps: int | None = None
    ) -> Iterator[tuple[dict, np.ndarray, np.ndarray]]:
        """Stream augmented batches.

        Args:
            epoch: the first one; the stream continues with the following ones.
            steps: number of batches; None for an endless stream.

        Yields:
            `(inputs, targets, mask)` for Keras' `fit`: "clips" float32 `(B, T, H, W, 3)` in [0, 1] and "boxes"
            float32 `(B, N, 4)` as shares of the clip; float32 `(B, N, classes)`; float32 `(B, N)`, 1 of the
            boxes that count.

        Raises:
            ValueError: while iterating, if too many files are broken.
        """
        first = epoch * self.steps_per_epoch * self.batch_size

        def tasks():
            for number in range(first, np.iinfo(np.int32).max):
                now, index = self._order.locate(number)
                yield Task(number, index, now, 1)

        with contextlib.closing(self._batches(tasks())) as batches:
            for count, samples in enumerate(batches, start=1):
                yield self._arrays(samples)
                if count == steps:
                    return

    def evaluation(self) -> Iterator[tuple[dict, np.ndarray]]:
        """Stream every readable key frame once, in order, whole frames, without randomness.

        Yields:
            `(inputs, index)`: as in `training`, and int64 `(B,)`, which counts `records`.

        Raises:
            ValueError: while iterating, if too many files are broken.
        """
        tasks = (Task(index, index, None, 1) for index in range(len(self.records)))
        for samples in self._batches(tasks):
            inputs, _, _ = self._arrays(samples)
            yield inputs, np.array([task.index for task, _ in samples])

    def _batches(self, tasks: Iterator[Task]) -> Iterator[list[tuple[Task, np.ndarray]]]:
        batch = []
        with contextlib.closing(self._source.samples(tasks, self._shape, self._window)) as samples:
            for sample in samples:
                if sample.reason is not None:
                    self.skipped[self.records[sample.task.index].path] = sample.reason
                    check_bad_share(self.skipped, self._files, self.max_bad_share)
                    continue
                batch.append((sample.task, sample.clips[0].copy()))
                if len(batch) == self.batch_size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    def _arrays(self, samples: list) -> tuple[dict, np.ndarray, np.ndarray]:
        corners = np.zeros((len(samples), self.boxes, 4), np.float32)
        targets = np.zeros((len(samples), self.boxes, self.classes), np.float32)
        mask = np.zeros((len(samples), self.boxes), np.float32)
        for row, (task, _) in enumerate(samples):
            record = self.records[task.index]
            if not record.boxes:
                continue
            seen = self._reader.see(task, [box.corners for box in record.boxes])
            count = len(seen)
            cut = np.clip(seen, 0, 1)
            corners[row, :count], targets[row, :count] = cut, self.targets(record)
            mask[row, :count] = _areas(cut) >= _VISIBLE * _areas(seen)
        clips = np.stack([clip for _, clip in samples])
        inputs = {"clips": np.divide(clips, np.float32(255), dtype=np.float32), "boxes": corners}
        return inputs, targets, mask


def _areas(corners: np.ndarray) -> np.ndarray:
    return np.clip(corners[:, 2:] - corners[:, :2], 0, None).prod(axis=-1)
