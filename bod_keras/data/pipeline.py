"""Records -> tf.data streams of augmented clips: deterministic, resumable, broken files skipped."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Sequence

import numpy as np

from bod_keras.data.augment import augmentation
from bod_keras.data.clips import clip_span, even_views, sample_rng, sample_views
from bod_keras.data.record import Record
from bod_keras.data.store import VideoStore
from bod_keras.data.video import VideoError

try:
    import tensorflow as tf
except ImportError as error:
    raise ImportError(
        "bod_keras.data.ClipDataset streams with tf.data and needs TensorFlow: "
        "pip install tensorflow. The rest of bod_keras.data works without it."
    ) from error


class ClipDataset:
    """Streams of clips from video files, for training and for evaluation.

    Training is a pure function of an integer position g: with E = `steps_per_epoch * batch_size`,
    the epoch is `g // E`, the record is entry `g mod E` of that epoch's seeded permutation, and
    frames and augmentation are drawn from `sample_rng(seed, epoch, record index)`. So a stream that
    starts at position p continues any other one exactly, however many workers there are. E leaves
    out the last `len(records) mod batch_size` records of each permutation, others each time, so
    that no batch holds a video twice (a positive pair would count as negatives).

    A broken file is skipped and named in `skipped`; its positions drop out of the stream, and
    batches then span more positions (and may straddle epochs).

    Args:
        records: what to read; from `read_catalog`.
        frames: frames of a clip, at least 2.
        stride: distance of neighbouring clip frames in the video.
        views: clips of a training sample.
        size: height and width of the clips in pixels.
        batch_size: samples of a batch.
        recipe: name of the training augmentation, a key of `RECIPES`.
        min_gap: least distance of the starts of the views in frames (`sample_views`).
        seed: of order, frames and augmentation, >= 0.
        cache_mb: decoded videos are kept in memory up to this many MiB.
        workers: files that are read in parallel.
        max_bad_share: the stream stops with an error when more than this share of the files is
            broken, and always when all are.

    Attributes:
        failure: why a stream stopped because of broken files, or None.

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> dataset = ClipDataset([Record("a.mp4"), Record("b.mp4")], frames=8, batch_size=2)
    >>> len(dataset), dataset.steps_per_epoch
    (2, 1)
    """

    def __init__(
        self,
        records: Sequence[Record],
        *,
        frames: int = 16,
        stride: int = 1,
        views: int = 2,
        size: int = 112,
        batch_size: int = 8,
        recipe: str = "cvrl",
        min_gap: int = 0,
        seed: int = 0,
        cache_mb: float = 0,
        workers: int = 2,
        max_bad_share: float = 0.1,
    ):
        _check_counts(len(records), frames, batch_size)
        lowest = {"stride": (stride, 1), "views": (views, 1), "min_gap": (min_gap, 0)}
        lowest |= {"seed": (seed, 0), "workers": (workers, 1)}
        for name, (value, least) in lowest.items():
            if value < least:
                raise ValueError(f"{name} must be at least {least}. Received: {name}={value}")
        if not 0 <= max_bad_share <= 1:
            raise ValueError(
                f"max_bad_share must lie in [0, 1]. Received: max_bad_share={max_bad_share}"
            )
        self.records = list(records)
        self.frames, self.stride, self.views, self.size = frames, stride, views, size
        self.batch_size, self.min_gap, self.seed = batch_size, min_gap, seed
        self.workers, self.max_bad_share = workers, max_bad_share
        self._augment = augmentation(recipe, size)
        self._centre = augmentation("none", size)
        self._store = VideoStore(cache_mb)
        self.failure: str | None = None
        self._looped: set[str] = set()
        self._lock = threading.Lock()
        # Two epochs: a batch in flight may straddle them.
        self._order = functools.lru_cache(maxsize=2)(self._draw_order)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches that the records fill once."""
        return len(self.records) // self.batch_size

    @property
    def skipped(self) -> dict[str, str]:
        """Path -> reason for each file that could not be read so far."""
        return self._store.skipped

    @property
    def looped(self) -> set[str]:
        """Paths of the videos met so far that are shorter than a clip and were looped."""
        with self._lock:
            return set(self._looped)

    @contextlib.contextmanager
    def clear_errors(self):
        """While a stream is read: raise `failure` as a plain error, not in tf.data's wrapping.

        Raises:
            ValueError: if a stream stopped because of broken files.

        Example:

        >>> dataset = ClipDataset([Record("a.mp4"), Record("b.mp4")], batch_size=2)
        >>> with dataset.clear_errors():
        ...     stream = dataset.training()
        """
        try:
            yield
        except Exception:
            if self.failure is not None:
                # A new error: one that is kept would keep the stream alive by its traceback.
                raise ValueError(self.failure) from None
            raise

    def training(self, position: int = 0, steps: int | None = None) -> tf.data.Dataset:
        """Stream augmented training batches.

        Args:
            position: global position of the first sample; to resume, one more than the last
                position of the last batch that was used.
            steps: number of batches; None for an endless stream.

        Returns:
            `tf.data.Dataset` of `{"views": float32 (batch, views, frames, size, size, 3) in [0, 1],
            "position": int32 (batch,)}`.

        Raises:
            ValueError: if `position` is negative.
            tf.errors.InvalidArgumentError: while iterating, if too many files are broken.
        """
        if position < 0:
            raise ValueError(f"position must be at least 0. Received: position={position}")
        numbers = tf.data.Dataset.range(position, np.iinfo(np.int32).max)
        stream = self._samples(numbers, self._training_sample, "position", self.views)
        stream = _to_float(stream.batch(self.batch_size, drop_remainder=True))
        if steps is not None:
            stream = stream.take(steps).apply(tf.data.experimental.assert_cardinality(steps))
        return stream.prefetch(2)

    def evaluation(self, views: int = 1) -> tf.data.Dataset:
        """Stream every readable record once, in order, without randomness.

        Clips are evenly spaced (`even_views`), the centred square is cut out and resized. The last
        batch may be smaller.

        Args:
            views: clips of each video.

        Returns:
            `tf.data.Dataset` of `{"views": float32 (b, views, frames, size, size, 3) in [0, 1],
            "index": int32 (b,)}`, where `index` counts `records`.

        Raises:
            ValueError: if `views` is below 1.
            tf.errors.InvalidArgumentError: while iterating, if too many files are broken.
        """
        if views < 1:
            raise ValueError(f"views must be at least 1. Received: views={views}")
        sample = functools.partial(self._evaluation_sample, views=views)
        stream = self._samples(tf.data.Dataset.range(len(self)), sample, "index", views)
        return _to_float(stream.batch(self.batch_size)).prefetch(2)

    def files(self, first: int, last: int) -> list[str]:
        """Name the files behind a range of training positions.

        Args:
            first: first position.
            last: last position, included.

        Returns:
            One path per position, broken files included.

        Example:

        >>> dataset = ClipDataset([Record("a.mp4"), Record("b.mp4")], batch_size=2)
        >>> sorted(dataset.files(0, 1))
        ['a.mp4', 'b.mp4']
        """
        return [self.records[self._locate(g)[1]].path for g in range(first, last + 1)]

    def _draw_order(self, epoch: int) -> np.ndarray:
        # Four words, so that it is no `sample_rng` of this epoch.
        return np.random.default_rng([self.seed, epoch, 0, 1]).permutation(len(self.records))

    def _locate(self, position: int) -> tuple[int, int]:
        """Position -> (epoch, record index)."""
        epoch, offset = divmod(position, self.steps_per_epoch * self.batch_size)
        return epoch, int(self._order(epoch)[offset])

    def _samples(
        self, numbers: tf.data.Dataset, sample: Callable, key: str, views: int
    ) -> tf.data.Dataset:
        """Numbers -> readable samples as uint8; floats come after batching, they are cheaper."""
        shape = (views, self.frames, self.size, self.size, 3)

        def guarded(number: np.int64) -> tuple[np.ndarray, np.bool_, bytes]:
            try:
                return sample(int(number)), np.True_, b""
            except VideoError:
                complaint = self._complaint()
                self.failure = complaint or self.failure
                return np.zeros(shape, np.uint8), np.False_, complaint.encode()

        def load(number: tf.Tensor) -> tuple[dict, tf.Tensor]:
            clips, readable, complaint = tf.numpy_function(
                guarded, [number], [tf.uint8, tf.bool, tf.string]
            )
            # An exception out of numpy_function would reach the user inside of three tracebacks.
            fine = tf.debugging.Assert(tf.equal(complaint, ""), [complaint])
            with tf.control_dependencies([fine]):
                clips = tf.ensure_shape(clips, shape)
            readable.set_shape(())
            return {"views": clips, key: tf.cast(number, tf.int32)}, readable

        stream = numbers.map(load, num_parallel_calls=self.workers, deterministic=True)
        return stream.filter(lambda _, readable: readable).map(lambda row, _: row)

    def _training_sample(self, position: int) -> np.ndarray:
        epoch, index = self._locate(position)
        path = self.records[index].path
        length = self._measure(path)
        rng = sample_rng(self.seed, epoch, index)
        clips = sample_views(length, self.frames, self.stride, self.views, rng, self.min_gap)
        decoded = self._decode(path, clips)
        return np.stack([self._augment(clip, rng, view) for view, clip in enumerate(decoded)])

    def _evaluation_sample(self, index: int, views: int) -> np.ndarray:
        path = self.records[index].path
        clips = even_views(self._measure(path), self.frames, self.stride, views)
        rng = sample_rng(self.seed, 0, index)  # Recipe "none" draws, but nothing depends on it.
        return np.stack([self._centre(clip, rng) for clip in self._decode(path, clips)])

    def _decode(self, path: str, clips: np.ndarray) -> np.ndarray:
        """Read all views in one pass: one opening, one seek. (views, frames, height, width, 3)."""
        flat = self._store.frames(path, clips.ravel())
        return flat.reshape(*clips.shape, *flat.shape[1:])

    def _measure(self, path: str) -> int:
        length = self._store.length(path)
        if length < clip_span(self.frames, self.stride):
            with self._lock:
                self._looped.add(path)
        return length

    def _complaint(self) -> str:
        """What to stop with if too many files are broken, else an empty string."""
        skipped = self._store.skipped
        total = len({record.path for record in self.records})
        if len(skipped) < total and len(skipped) <= self.max_bad_share * total:
            return ""
        named = "; ".join(f"{path}: {reason}" for path, reason in list(skipped.items())[:5])
        more = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        # One line, because TensorFlow escapes line breaks in messages.
        return (
            f"{len(skipped)} of {total} video files cannot be read "
            f"(max_bad_share={self.max_bad_share}): {named}{more}. "
            "Repair or remove them, or allow more with max_bad_share."
        )


def _to_float(stream: tf.data.Dataset) -> tf.data.Dataset:
    def convert(row: dict) -> dict:
        return {**row, "views": tf.cast(row["views"], tf.float32) / 255.0}

    return stream.map(convert)


def _check_counts(records: int, frames: int, batch_size: int) -> None:
    if records < 1:
        raise ValueError("records must hold at least one video. Received: an empty list")
    if frames < 2:
        raise ValueError(
            f"frames must be at least 2, because one frame has no motion. Received: frames={frames}"
        )
    if not 1 <= batch_size <= records:
        raise ValueError(
            "batch_size must be between 1 and the number of videos. "
            f"Received: batch_size={batch_size}, {records} videos"
        )
