"""Samples from input workers on other machines, by the tf.data service."""

from __future__ import annotations

import functools
import hashlib
import itertools
import queue
import re
import socket
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from bod_keras.data.loading.order import EpochOrder
from bod_keras.data.loading.reader import ClipReader, Task
from bod_keras.data.loading.sample_source import Sample
from bod_keras.data.loading.specification import Specification
from bod_keras.data.record import Record
from bod_keras.data.video.video_file import VideoError
from bod_keras.errors import UserError

# The name by which a graph calls the Python function that a server registers first of all.
TOKEN = "pyfunc_0"
_LOAD = -1  # instead of a position: take the specification
_CONNECT_SECONDS = 10.0
# In a server, by the hash of what was sent.
_KEPT: dict[bytes, Specification] = {}


class InputService:
    """The training samples of a `ClipDataset`, read and augmented by servers.

    Of n servers the k-th reads every n-th position, from the k-th on, and the samples are put in order again:
    the stream is that of local workers, bit for bit, and no record is read twice. What a server runs is a
    tf.data graph that calls Python's reader there, so every server must see the same files by the same paths.

    What to read travels as JSON (`Specification`), and a server unpickles nothing. But whoever can reach its
    port can have it run any TensorFlow graph, as with every tf.data service: keep it in a trusted network.

    Args:
        addresses: of the servers, such as ``["grpc://host:5050"]``.
        records: the videos.
        order: which of them is read at which position.
        reader: what reads it.
        timeout: seconds after which the stream gives up when no sample comes.

    Raises:
        ValueError: an address without grpc://.

    Example:
        >>> from bod_keras.data import Record, augmentation
        >>> from bod_keras.data.loading.input_service import InputService
        >>> from bod_keras.data.loading.order import EpochOrder
        >>> from bod_keras.data.loading.reader import ClipReader
        >>> augment = augmentation("none", 16)
        >>> reader = ClipReader(8, 1, 0, augment, augment)
        >>> address = "grpc://localhost:5050"
        >>> InputService([address], [Record("a.mp4")], EpochOrder(1, 1), reader, 60).addresses
        ['grpc://localhost:5050']
    """

    def __init__(
        self,
        addresses: Sequence[str],
        records: Sequence[Record],
        order: EpochOrder,
        reader: ClipReader,
        timeout: float,
    ):
        self.addresses = list(addresses)
        wrong = [address for address in self.addresses if not _is_address(address)]
        if wrong:
            raise UserError(
                "service must name servers as grpc://HOST:PORT, with commas between. "
                f"Received: {', '.join(wrong)}"
            )
        self._records, self._order, self._reader = records, order, reader
        self._timeout = timeout
        self._running: dict[threading.Thread, threading.Event] = {}
        weakref.finalize(
            self, _stop, self._running
        )  # at exit, too: a stream under way would hang it

    def samples(
        self, tasks: Iterable[Task], shape: tuple[int, ...], window: int = 1
    ) -> Iterator[Sample]:
        """Read the samples of a host from one on, as `SampleSource.samples`.

        Raises:
            OSError: if a server does not answer, or the storage of the files.
            RuntimeError: if the tasks are not those of `EpochOrder.position`, one after the other.
        """
        for address in self.addresses:
            _connect(address)
        tasks = iter(tasks)
        first = next(tasks)
        stream = self._stream(first.number, first.views, shape)
        arrived: queue.Queue = queue.Queue(window)
        stop = threading.Event()
        thread = threading.Thread(target=_fetch, args=(stream, arrived, stop), daemon=True)
        thread.start()
        self._running[thread] = stop
        try:
            begin = first.number - self._order.position(0)
            for sample, task in enumerate(itertools.chain([first], tasks)):
                number = begin + self._order.position(sample)
                if task.number != number:
                    raise RuntimeError(
                        "InputService reads the positions of one host in order. "
                        f"Received: {task.number} instead of {number}"
                    )
                try:
                    clips, looped, reason, failure = arrived.get(timeout=self._timeout)
                except queue.Empty:
                    raise OSError(
                        f"no sample from the input workers {', '.join(self.addresses)} for "
                        f"{self._timeout:g} s. Look at what they printed, and start them again"
                    ) from None
                if failure:
                    raise OSError(failure.decode())
                reason = reason.decode() or None
                yield Sample(task, None if reason else clips, reason, bool(looped))
        finally:
            del self._running[thread]
            _stop({thread: stop})

    def _stream(self, first: int, views: int, shape: tuple[int, ...]):
        """The samples from a position on, from all servers, in order."""
        import tensorflow as tf

        spec = Specification(self._records, self._order, self._reader, views, shape).to_json()
        end, count = np.iinfo(np.int32).max, len(self.addresses)
        size, hosts = self._order.batch_size, self._order.shard[1]  # as `EpochOrder.position`
        options = tf.data.Options()  # the graph calls Python, which its server has
        options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
        types = [tf.uint8, tf.bool, tf.string, tf.string]
        streams = []
        for place, address in enumerate(self.addresses):

            def read(key, number):
                clips, *rest = tf.raw_ops.PyFunc(input=[key, number], token=TOKEN, Tout=types)
                rest = [tf.ensure_shape(value, ()) for value in rest]
                return tf.ensure_shape(clips, shape), *rest

            def read_all(spec, place=place):
                load = [spec, tf.constant(_LOAD, tf.int64)]
                key = tf.raw_ops.PyFunc(input=load, token=TOKEN, Tout=types)[2]
                samples = tf.data.Dataset.range(place, end, count)
                numbers = samples.map(lambda n: first + n // size * size * hosts + n % size)
                return numbers.map(functools.partial(read, key)).prefetch(4)

            stream = tf.data.Dataset.from_tensors(spec).flat_map(read_all).with_options(options)
            service = tf.data.experimental.service.distribute(
                processing_mode=tf.data.experimental.service.ShardingPolicy.OFF,
                service=address,
                compression=None,
            )
            streams.append(stream.apply(service))
        turns = tf.data.Dataset.range(count).repeat()
        return tf.data.Dataset.choose_from_datasets(streams, turns)


def answer(key: bytes, number: int) -> tuple[np.ndarray, bool, bytes, bytes]:
    """What a server does for a graph: take a specification, or read the sample of a position by it.

    Args:
        key: the JSON of a `Specification`; or what was given for it.
        number: -1 to take a specification; or a position.

    Returns:
        The clips (nothing where they cannot be read), whether the video was looped, why it cannot be read, and
        what else went wrong. Of a specification: its key instead of the reason.

    Raises:
        UserError: what came is no specification of this version.
    """
    if number == _LOAD:
        name = hashlib.sha256(key).hexdigest().encode()
        _KEPT[name] = Specification.from_json(key)
        return np.zeros(0, np.uint8), False, name, b""
    spec = _KEPT[key]
    clips = np.zeros(spec.shape, np.uint8)
    epoch, index = spec.order.locate(int(number))
    try:
        task = Task(int(number), index, epoch, spec.views)
        looped = spec.reader.read(spec.records[index], task, clips)
    except VideoError as error:
        return clips, False, error.reason.encode(), b""
    except OSError as error:  # of the storage, not of the file
        return clips, False, b"", str(error).encode()
    return clips, looped, b"", b""


def _is_address(address: str) -> bool:
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    known = port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 2**16
    return address.startswith("grpc://") and known and bool(host) and host.isprintable()


def _connect(address: str) -> None:
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise OSError(
            f"no input worker answers at {address} ({error}). Start one there: "
            f"python -m bod_keras.data serve --port={port}"
        ) from None


def _stop(running: dict[threading.Thread, threading.Event]) -> None:
    for thread, stop in running.items():
        stop.set()
        thread.join(timeout=5.0)


def _fetch(stream, arrived: queue.Queue, stop: threading.Event) -> None:
    """Put the stream's samples into the queue until told to stop; an error goes there as one."""
    import tensorflow as tf

    try:
        for sample in stream.as_numpy_iterator():
            while not stop.is_set():
                try:
                    arrived.put(sample, timeout=0.2)
                    break
                except queue.Full:
                    continue
            if stop.is_set():
                return
    except tf.errors.OpError as error:
        own = re.search(
            r"UserError: (.+)", error.message
        )  # of a server: its last line, and a traceback
        told = f"the input workers failed: {own[1] if own else error.message}"
        if not stop.is_set():
            arrived.put((None, False, b"", told.encode()))
