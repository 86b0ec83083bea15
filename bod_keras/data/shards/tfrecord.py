"""TFRecord files of tf.train.Example messages, without TensorFlow."""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from bod_keras.errors import UserError
from bod_keras.storage.regular_file import regular_file
from bod_keras.storage.remote import is_remote
from bod_keras.storage.remote_file import RemoteFile

# A record: length and its checksum, the message, its checksum; all little-endian.
_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<I")
_REMOTE_BLOCK = 2**19  # bytes: what tensorflow-io asks for at a time


def write_record(stream: BinaryIO, message: bytes) -> int:
    """Append one record to a TFRecord file.

    Args:
        stream: a binary stream, open for writing.
        message: what the record holds.

    Returns:
        Number of bytes written.

    Example:
        >>> from bod_keras.data.shards.tfrecord import write_record
        >>> import io
        >>> write_record(io.BytesIO(), b"message")  # 8 + 4 bytes before it, 4 after
        23

        Source: https://www.tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details".
    """
    length = struct.pack("<Q", len(message))
    record = b"".join(
        [length, _TAIL.pack(_checksum(length)), message, _TAIL.pack(_checksum(message))]
    )
    stream.write(record)
    return len(record)


def read_records(path: str | os.PathLike, offsets: Sequence[int]) -> list[bytes]:
    """Read single records of a TFRecord file, wherever they are in it.

    Args:
        path: the file.
        offsets: where the records begin, in bytes.

    Returns:
        The message of each record.

    Raises:
        OSError: if the file cannot be opened or read; `RemoteError` if it is remote.
        ValueError: if a checksum does not match, or the file ends before the record does.

    Example:
        >>> from bod_keras.data.shards.tfrecord import read_records, write_record
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     first = write_record(file, b"one")
        ...     _ = write_record(file, b"two")
        ...     file.flush()
        ...     read_records(file.name, [first, 0])
        [b'two', b'one']
    """
    if is_remote(path):
        stream = RemoteFile(os.fspath(path), block=_REMOTE_BLOCK)
        try:
            return [_read_record(stream, offset) for offset in offsets]
        except ValueError as error:  # to read on at the end of the file
            raise (stream.error or error) from None
    # Opened anew each time: that costs microseconds, and no handle stays behind.
    with open(regular_file(path), "rb", buffering=0) as stream:
        return [_read_record(stream, offset) for offset in offsets]


def encode_example(
    features: Mapping[str, Sequence[bytes] | Sequence[int] | Sequence[float]],
) -> bytes:
    """Encode a tf.train.Example; equal features give equal bytes.

    Args:
        features: name -> list of bytes, of integers, or of floats; an empty one is left out.

    Returns:
        The bytes of the message.

    Example:
        >>> from bod_keras.data.shards.tfrecord import decode_example, encode_example
        >>> example = encode_example({"label": [3], "image": [b"jpeg"]})
        >>> list(decode_example(example)["label"])
        [3]
    """
    message = _example_class()()
    for name, values in features.items():
        if not values:
            continue
        kind = {bytes: "bytes_list", int: "int64_list", float: "float_list"}[type(values[0])]
        getattr(message.features.feature[name], kind).value.extend(values)
    return message.SerializeToString(deterministic=True)


def decode_example(data: bytes) -> dict[str, Sequence]:
    """Decode a tf.train.Example.

    Args:
        data: the bytes of the message.

    Returns:
        Name -> values.

    Raises:
        ValueError: if it is no such message.

    Example:
        >>> from bod_keras.data.shards.tfrecord import decode_example, encode_example
        >>> decode_example(encode_example({"image": [b"first", b"second"]}))["image"][1]
        b'second'
    """
    try:
        features = _example_class().FromString(data).features.feature
    except DecodeError:
        raise UserError("the record is no tf.train.Example") from None
    kinds = {name: feature.WhichOneof("kind") for name, feature in features.items()}
    return {name: getattr(features[name], kind).value for name, kind in kinds.items() if kind}


def _read_record(stream: BinaryIO, offset: int) -> bytes:
    stream.seek(offset)
    head = _read_whole(stream, _HEAD.size, offset)
    length, checksum = _HEAD.unpack(head)
    if checksum != _checksum(head[:8]):
        raise UserError(f"the checksum at byte {offset} does not match: the file is damaged")
    message = _read_whole(stream, length, offset)
    if _TAIL.unpack(_read_whole(stream, _TAIL.size, offset)) != (_checksum(message),):
        raise UserError(
            f"the checksum of the record at byte {offset} does not match: the file is damaged"
        )
    return message


def _read_whole(stream: BinaryIO, size: int, offset: int) -> bytes:
    """Read on until all is there: one read of an unbuffered file may give less."""
    data = stream.read(size)
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            raise UserError(f"the file ends within the record at byte {offset}: it is cut off")
        data += more
    return data


def _checksum(data: bytes) -> int:
    """CRC-32C, rotated and shifted, as TFRecord files hold it."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@functools.lru_cache(maxsize=1)
def _example_class() -> type:
    """The message class of tf.train.Example, in a pool apart from TensorFlow's own."""
    file = descriptor_pb2.FileDescriptorProto(name="example", package="bod", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto

    def add(message, name, number, kind, label=field.LABEL_OPTIONAL, **more):
        if isinstance(kind, str):
            more |= {"type_name": f".bod.{kind}"}
            kind = field.TYPE_MESSAGE
        return message.field.add(name=name, number=number, type=kind, label=label, **more)

    lists = {"Bytes": field.TYPE_BYTES, "Float": field.TYPE_FLOAT, "Int64": field.TYPE_INT64}
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, kind) in enumerate(lists.items(), start=1):
        values = file.message_type.add(name=f"{name}List")
        add(values, "value", 1, kind, field.LABEL_REPEATED)
        add(feature, f"{name.lower()}_list", number, f"{name}List", oneof_index=0)
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add(entry, "key", 1, field.TYPE_STRING)
    add(entry, "value", 2, "Feature")
    add(features, "feature", 1, "Features.FeatureEntry", field.LABEL_REPEATED)
    add(file.message_type.add(name="Example"), "features", 1, "Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("bod.Example"))
