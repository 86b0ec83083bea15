"""Records -> streams of augmented clips: deterministic, resumable, broken files skipped."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bod_keras.data.augment.augment import augmentation
from bod_keras.data.loading.check_bad_share import check_bad_share
from bod_keras.data.loading.clip_spec import ClipSpec, Loading, with_settings
from bod_keras.data.loading.input_service import InputService
from bod_keras.data.loading.order import EpochOrder, video_numbers
from bod_keras.data.loading.reader import ClipReader, Task
from bod_keras.data.loading.sample_source import Sample, SampleSource
from bod_keras.data.processes.process_map import process_map
from bod_keras.data.record import Record
from bod_keras.data.shards.shard_store import SHARD_KEY
from bod_keras.data.video.array_store import ArrayRecord
from bod_keras.data.video.check import check_video
from bod_keras.endless import mark_endless
from bod_keras.errors import UserError
from bod_keras.storage.remote import is_remote

if TYPE_CHECKING:
    import tensorflow as tf
    import torch

    from bod_keras.views.clip_augmenter import ClipAugmenter


_LARGEST_BATCH = 2**38  # bytes, 256 GiB
_CHECKED = 16  # files that are opened where there are too few of them
# Epochs without a whole batch after which there will be none.
_PATIENCE = 10


class ClipDataset:
    """Streams of clips from videos, for training and for evaluation.

    Training is a pure function of an integer position: it gives the epoch and the record
    (`EpochOrder`), and frames and augmentation are drawn from `sample_rng(seed, epoch, record)`. So
    a stream that starts at position p continues any other one exactly, however many workers there
    are. No batch holds a video twice, because its clips would count as negatives of each other: not where
    records name it twice (the same path, and spans that overlap: `video_numbers`), and not where a batch
    straddles two epochs. A sample whose video the batch holds already drops out of the stream.

    Several hosts: each makes the data set with the same records, `seed` and `batch_size`, and its own
    `shard`. Then `batch_size` is a host's, the global batch is `batch_size * count`, an epoch has
    `steps_per_epoch` steps on every host, and no two hosts read a record in the same epoch. Positions
    are those of the global stream; each host has a block of every global batch.

    A broken file is skipped and named in `skipped`; its positions drop out of the stream, and
    batches then span more positions (and may straddle epochs; of several hosts, each keeps only its own part of
    a batch free of repetitions then). A file that has vanished, may not be
    read, or makes the decoder hang or crash counts as broken. Storage that does not answer stops the
    stream.

    Args:
        records: What to read, from `read_catalog`.
        clips: Which clips, and how they are augmented. Defaults to `ClipSpec()`.
        loading: How clips are loaded. Defaults to `Loading()`.
        batch_size: Samples of a batch.
        labels: A class a record, integers, for training with labels: every batch then has them, too.
        shard: Index of this host and number of hosts.
        seed: Of order, frames and augmentation, >= 0.
        **settings: Single fields of `clips` and `loading`, by name: `frames=8, workers=0`.

    Attributes:
        failure: Why a stream stopped because of broken files or their storage, or None.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> from bod_keras.data import ClipDataset, Record
        >>> dataset = ClipDataset([Record("a.mp4"), Record("b.mp4")], frames=8, batch_size=2)
        >>> len(dataset), dataset.steps_per_epoch, dataset.clips.frames
        (2, 1, 8)
    """

    dtype = np.uint8  # of what is read

    def __init__(
        self,
        records: Sequence[Record],
        clips: ClipSpec | None = None,
        loading: Loading | None = None,
        *,
        batch_size: int = 16,
        labels: Sequence[int] | None = None,
        shard: tuple[int, int] = (0, 1),
        seed: int = 0,
        **settings: Any,
    ):
        if hasattr(records, "records"):
            raise UserError(
                "records must be a list of Record. Received: a Catalog; pass its .records"
            )
        for wanted, given in ((ClipSpec, clips), (Loading, loading)):
            if not isinstance(given, (wanted, type(None))):
                raise UserError(f"Expected a {wanted.__name__} or None. Received: {given!r}")
        self.records = list(records)
        if not self.records:
            raise UserError("records must hold at least one video. Received: an empty list")
        for record in self.records:
            if not hasattr(record, "path"):
                raise UserError(
                    "records must be one list of Record, as read_catalog gives it. "
                    f"Received: a list with {type(record).__name__} in it"
                )
        if seed < 0:
            raise UserError(f"seed must be at least 0. Received: seed={seed}")
        self.clips, self.loading = with_settings(clips, loading, settings)
        self.batch_size, self.seed = batch_size, seed
        if (needed := batch_size * math.prod(self.clips.training_shape)) > _LARGEST_BATCH:
            raise UserError(
                f"A batch of {batch_size} samples {self.clips.training_shape} needs "
                f"{needed / 2**30:,.0f} GiB as bytes. Lower batch_size, views, frames or size."
            )
        self._labels = None if labels is None else np.asarray(labels, np.int32)
        if labels is not None and self._labels.shape != (len(self.records),):
            raise UserError(
                f"labels must hold one class for each of the {len(self.records)} records. "
                f"Received: shape {self._labels.shape}"
            )
        # Arrays would have to be copied into every worker.
        arrays = [record for record in self.records if isinstance(record, ArrayRecord)]
        self._workers = 0 if arrays else self.loading.workers
        numbers = video_numbers(self.records)
        if not arrays and len(set(numbers)) < batch_size * shard[1]:
            self._refuse_broken(batch_size)
        self._order = EpochOrder(len(self.records), batch_size, seed, shard, numbers)
        self.failure: str | None = None
        self._skipped: dict[str, str] = {}
        self._looped: set[str] = set()
        self._files = len({record.path for record in self.records})
        reader, timeout = self._make_reader(arrays), self.loading.timeout
        self._source = SampleSource(self.records, reader, self._workers, timeout)
        self._training_source = self._source
        if self.loading.service:
            if arrays:
                raise UserError(
                    "service reads files. Received: videos in memory (array_records), which servers do not have"
                )
            addresses = self.loading.service.split(",")
            self._training_source = InputService(
                addresses, self.records, self._order, reader, timeout
            )

    def _refuse_broken(self, batch_size: int) -> None:
        """Of fewer videos than a batch holds, name those that cannot be read: a larger list will not help."""
        paths = dict.fromkeys(r.path for r in self.records if not is_remote(r.path))
        paths = [path for path in paths if SHARD_KEY not in path][:_CHECKED]
        checks = process_map(check_video, paths, 1, lambda path: self.loading.timeout)
        broken = {}
        for path, result, failure in checks:
            if failure or result["state"] != "ok":
                broken[path] = failure or result["reason"]
        if broken:
            named = "; ".join(f"{path}: {reason}" for path, reason in broken.items())
            raise UserError(
                f"{len(broken)} of {len(self.records)} videos cannot be read: {named}. Besides, a batch holds "
                f"{batch_size} different videos: mend or add some, or lower batch_size."
            )

    def _make_reader(self, arrays: list[ArrayRecord]) -> ClipReader:
        clips = self.clips
        square = functools.partial(augmentation, "none")
        train_size = clips.training_shape[-2]
        return ClipReader(
            clips.frames,
            clips.stride,
            self.seed,
            augment=square(train_size) if clips.on_device else augmentation(**clips.augmentation),
            center=square(clips.size),
            cache_mb=self.loading.cache_mb / max(1, self._workers),
            arrays=arrays,
        )

    def __len__(self) -> int:
        return len(self.records)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches, of all hosts together, that the records fill once."""
        return self._order.steps

    @property
    def skipped(self) -> dict[str, str]:
        """Path -> reason for each file that could not be read so far."""
        return dict(self._skipped)

    @property
    def looped(self) -> set[str]:
        """Paths of the videos met so far that are shorter than a clip and were looped."""
        return set(self._looped)

    @contextlib.contextmanager
    def clear_errors(self):
        """While a stream is read: raise `failure` as a plain error, not in tf.data's wrapping.

        Raises:
            ValueError: if a stream stopped because of broken files.

        Example:
            >>> from bod_keras.data import ClipDataset, Record
            >>> dataset = ClipDataset([Record("a.mp4"), Record("b.mp4")], batch_size=2)
            >>> with dataset.clear_errors():
            ...     stream = dataset.training()
        """
        try:
            yield
        except Exception:
            if self.failure is not None:
                # A new error: one that is kept would keep the stream alive by its traceback.
                raise UserError(self.failure) from None
            raise

    def augmenter(self) -> ClipAugmenter | None:
        """Make the layer that augments the clips of `augment="device"`.

        Returns:
            A `ClipAugmenter` of this data set's recipe, size and seed; None of `augment="cpu"`.

        Example:
            >>> from bod_keras.data import ClipDataset, Record
            >>> dataset = ClipDataset([Record("a.mp4"), Record("b.mp4")], batch_size=2, augment="device")
            >>> dataset.augmenter().size
            112
        """
        if not self.clips.on_device:
            return None
        from bod_keras.views.clip_augmenter import ClipAugmenter

        return ClipAugmenter.from_recipe(**self.clips.augmentation, seed=self.seed)

    def training(self, position: int = 0, steps: int | None = None) -> tf.data.Dataset:
        """Stream augmented training batches with tf.data.

        Args:
            position: global position at which the stream of all hosts begins; to resume, one more than
                the last position of the last global batch that was used.
            steps: number of batches; None for an endless stream.

        Returns:
            `tf.data.Dataset` of `{"views": float32 (batch, views, frames, size, size, 3) in [0, 1],
            "position": int32 (batch,)}`; of `augment="device"` uint8, in `device_size`. With `labels`
            also `"label": int32 (batch,)`.

        Raises:
            ValueError: if `position` is negative.
            ImportError: without TensorFlow.
            tf.errors.InvalidArgumentError: while iterating, if too many files are broken.
        """
        _check_position(position)
        make = functools.partial(self._training_batches, position, steps)
        stream = self._stream(make, "position", self.batch_size, self.clips.training_shape)
        if steps is not None:
            stream = stream.apply(_tensorflow().data.experimental.assert_cardinality(steps))
        return stream.prefetch(2)

    def training_numpy(
        self, position: int = 0, steps: int | None = None
    ) -> Iterator[tuple[dict[str, np.ndarray]]]:
        """Stream the batches of `training` as NumPy arrays, without TensorFlow.

        Args:
            position: as in `training`.
            steps: as in `training`.

        Returns:
            Iterator of 1-tuples of the dicts of `training`, as Keras' `fit` takes it:
            `model.fit(dataset.training_numpy(), steps_per_epoch=dataset.steps_per_epoch)`.

        Raises:
            ValueError: if `position` is negative; while iterating, if too many files are broken.
        """
        _check_position(position)
        batches = self._float_batches(position, steps)
        return mark_endless(batches) if steps is None else batches

    def torch_loader(
        self, position: int = 0, steps: int | None = None, pin_memory: bool = False
    ) -> torch.utils.data.DataLoader:
        """Stream the batches of `training` as tensors of a PyTorch DataLoader, without TensorFlow.

        It is read by the `workers` of this data set, in its order, whatever they are; a pass over it begins
        at `position`, and ends them when it is left. Keras' `fit` takes it on the PyTorch backend.

        Args:
            position: as in `training`; to resume, one more than the last ``batch["position"]``.
            steps: as in `training`.
            pin_memory: whether tensors lie in page-locked memory, from which they go to a GPU sooner.

        Returns:
            `torch.utils.data.DataLoader` of the dicts of `training`.

        Raises:
            ValueError: if `position` is negative; while iterating, if too many files are broken.
            ImportError: without PyTorch.

        Example:
            >>> import numpy as np
            >>> from bod_keras.data import ClipDataset, array_records
            >>> records = array_records(np.zeros((4, 8, 16, 16, 3), "uint8"))
            >>> dataset = ClipDataset(records, frames=4, size=16, batch_size=2)
            >>> for batch in dataset.torch_loader(steps=2):  # doctest: +SKIP
            ...     loss = network(batch["views"].to("cuda"))
        """
        _check_position(position)
        from bod_keras.data.loading.torch_loader import torch_loader

        make = functools.partial(self._float_batches, position, steps)
        return torch_loader(make, steps is None, pin_memory)

    def evaluation(self, views: int = 1, crops: int = 1) -> tf.data.Dataset:
        """Stream every readable record once, in order, without randomness, with tf.data.

        Clips are evenly spaced (`even_views`). The centered square is cut out, or three along the
        longer side (`three_crops`), and resized: 10 views of 3 crops are the usual test protocol. The
        last batch may be smaller. All hosts get all records.

        Args:
            views: clips of each video.
            crops: crops of each clip, 1 or 3.

        Returns:
            `tf.data.Dataset` of `{"views": float32 (b, views * crops, frames, size, size, 3) in
            [0, 1], "index": int32 (b,)}`, where `index` counts `records`.

        Raises:
            ValueError: if `views` is below 1, or `crops` neither 1 nor 3.
            ImportError: without TensorFlow.
            tf.errors.InvalidArgumentError: while iterating, if too many files are broken.
        """
        shape = self.clips.evaluation_shape(views, crops)
        make = functools.partial(self._evaluation_batches, views, crops)
        return self._stream(make, "index", None, shape).prefetch(2)

    def evaluation_numpy(
        self, views: int = 1, crops: int = 1, indices: Sequence[int] | None = None
    ) -> Iterator[dict[str, np.ndarray]]:
        """Stream the batches of `evaluation` as NumPy arrays, without TensorFlow.

        Args:
            views: as in `evaluation`.
            crops: as in `evaluation`.
            indices: which of `records` to read; None for all.

        Returns:
            Iterator of the dicts of `evaluation`.

        Raises:
            ValueError: as `evaluation`; while iterating, if too many files are broken.
        """
        self.clips.evaluation_shape(views, crops)
        batches = self._evaluation_batches(views, crops, indices)
        return ({**batch, "views": self._to_float(batch["views"])} for batch in batches)

    def files(self, first: int, last: int) -> list[str]:
        """Name the files behind a range of training positions.

        Args:
            first: first position.
            last: last position, included.

        Returns:
            One path per position, broken files included.

        Example:
            >>> from bod_keras.data import ClipDataset, Record
            >>> from bod_keras.data import ClipDataset, Record
            >>> dataset = ClipDataset([Record("a.mp4"), Record("b.mp4")], batch_size=2)
            >>> sorted(dataset.files(0, 1))
            ['a.mp4', 'b.mp4']
        """
        return [self.records[self._order.locate(g)[1]].path for g in range(first, last + 1)]

    def _training_batches(self, position: int, steps: int | None) -> Iterator[dict]:
        tasks = self._training_tasks(position)
        batches = self._batches(tasks, "position", self.clips.training_shape)
        # Not islice: it would leave the workers to the garbage collector.
        with contextlib.closing(batches):
            for count, batch in enumerate(batches, start=1):
                yield batch
                if count == steps:
                    return

    def _float_batches(
        self, position: int, steps: int | None
    ) -> Iterator[tuple[dict[str, np.ndarray]]]:
        convert = (lambda views: views) if self.clips.on_device else self._to_float
        with contextlib.closing(self._training_batches(position, steps)) as batches:
            for batch in batches:
                yield ({**batch, "views": convert(batch["views"])},)

    def _training_tasks(self, position: int) -> Iterator[Task]:
        for sample in itertools.count():
            number = position + self._order.position(sample)
            if number > np.iinfo(np.int32).max:
                return
            epoch, index = self._order.locate(number)
            yield Task(number, index, epoch, self.clips.views)

    def _evaluation_batches(
        self, views: int, crops: int, indices: Sequence[int] | None = None
    ) -> Iterator[dict]:
        chosen = range(len(self)) if indices is None else indices
        tasks = (Task(index, index, None, views, crops) for index in chosen)
        yield from self._batches(tasks, "index", self.clips.evaluation_shape(views, crops))

    def _batches(self, tasks: Iterator[Task], key: str, shape: tuple[int, ...]) -> Iterator[dict]:
        """Readable samples in batches, uint8; a last batch that is not full only if the tasks end."""
        views, tasks_read = np.empty((self.batch_size, *shape), self.dtype), []
        window = self.batch_size + 4 * self._workers
        source = self._training_source if key == "position" else self._source
        training, since = key == "position", 0
        with contextlib.closing(source.samples(tasks, shape, window)) as samples:
            for sample in self._while_storage_answers(samples):
                since += 1
                if training and since > _PATIENCE * len(self):
                    self.failure = (
                        f"A batch holds {self.batch_size} different videos, and fewer can be read: "
                        f"{len(self._skipped)} of {self._files} files cannot. Lower batch_size, or mend them."
                    )
                    raise UserError(self.failure)
                path = self.records[sample.task.index].path
                if sample.looped:
                    self._looped.add(path)
                if sample.reason is not None:
                    self._skip(path, sample.reason)
                    continue
                if training and self._shown(sample.task) in map(self._shown, tasks_read):
                    continue
                views[len(tasks_read)] = sample.clips
                tasks_read.append(sample.task)
                if len(tasks_read) == self.batch_size:
                    yield self._batch(views, key, tasks_read)
                    views, tasks_read, since = np.empty_like(views), [], 0
        if tasks_read:
            yield self._batch(views[: len(tasks_read)], key, tasks_read)

    def _shown(self, task: Task) -> int:
        return self._order.videos[task.index]

    def _batch(self, views: np.ndarray, key: str, tasks: Sequence[Task]) -> dict:
        batch = {"views": views, key: np.array([task.number for task in tasks], np.int32)}
        if self._labels is not None:
            batch["label"] = self._labels[[task.index for task in tasks]]
        return batch

    def _while_storage_answers(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        try:
            yield from samples
        except OSError as error:
            self.failure = str(error)
            raise UserError(self.failure) from None

    def _skip(self, path: str, reason: str) -> None:
        """Note a broken file, and stop if there are too many."""
        self._skipped[path] = reason
        try:
            check_bad_share(self._skipped, self._files, self.loading.max_bad_share)
        except ValueError as error:
            self.failure = str(error)
            raise

    def _to_float(self, views: np.ndarray) -> np.ndarray:
        return (
            views if self.dtype != np.uint8 else np.divide(views, np.float32(255), dtype=np.float32)
        )

    def _stream(
        self, make: Callable[[], Iterator[dict]], key: str, rows: int | None, shape: tuple[int, ...]
    ) -> tf.data.Dataset:
        """tf.data around an iterator of NumPy batches; floats are made from bytes in its threads."""
        tf = _tensorflow()
        views = tf.TensorSpec((rows, *shape), self.dtype)
        names = [key] if self._labels is None else [key, "label"]
        signature = {"views": views, **{name: tf.TensorSpec((rows,), tf.int32) for name in names}}
        # TensorFlow keeps what `from_generator` got for ever, and with it this object and its processes.
        makers = [make]
        stream = tf.data.Dataset.from_generator(lambda: makers[0](), output_signature=signature)
        weakref.finalize(stream, makers.clear)
        options = tf.data.Options()
        # There is nothing to tune, and the thread that does it can sleep through the end, for a minute.
        options.autotune.enabled = False
        stream = stream.with_options(options)
        if self.dtype != np.uint8 or (key == "position" and self.clips.on_device):
            return stream
        return stream.map(lambda b: {**b, "views": tf.cast(b["views"], tf.float32) / 255.0})


def _tensorflow():
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "bod_keras.data.ClipDataset streams with tf.data and needs TensorFlow: "
            "pip install tensorflow. training_numpy(), torch_loader() and evaluation_numpy() work without it."
        ) from error
    return tf


def _check_position(position: int) -> None:
    if position < 0:
        raise UserError(f"position must be at least 0. Received: position={position}")
