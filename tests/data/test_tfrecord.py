import io

import pytest

from bod_keras.data.shards.tfrecord import (
    decode_example,
    encode_example,
    read_records,
    write_record,
)

MESSAGES = [b"", b"one", bytes(range(256)) * 300]


@pytest.fixture
def file(tmp_path):
    """A TFRecord file of `MESSAGES`, and where each record begins."""
    path, offsets = tmp_path / "a.tfrecord", [0]
    with open(path, "wb") as stream:
        for message in MESSAGES:
            offsets.append(offsets[-1] + write_record(stream, message))
    return path, offsets[:-1]


def test_records_are_read_in_any_order(file):
    path, offsets = file
    assert read_records(path, offsets[::-1]) == MESSAGES[::-1]
    assert read_records(path, []) == []


def test_tensorflow_reads_what_we_write_and_we_what_it_writes(file, tmp_path):
    tf = pytest.importorskip("tensorflow")
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(file[0]))] == MESSAGES
    theirs = tmp_path / "theirs.tfrecord"
    with tf.io.TFRecordWriter(str(theirs)) as writer:
        for message in MESSAGES:
            writer.write(message)
    assert theirs.read_bytes() == file[0].read_bytes()
    assert read_records(theirs, file[1]) == MESSAGES


def test_examples_are_those_of_tensorflow():
    tf = pytest.importorskip("tensorflow")
    ours = {"b": [b"\xff", b""], "a": [3, -1, 2**40], "f": [0.5, 1.25], "empty": []}
    theirs = tf.train.Example()
    theirs.features.feature["a"].int64_list.value.extend(ours["a"])
    theirs.features.feature["b"].bytes_list.value.extend(ours["b"])
    theirs.features.feature["f"].float_list.value.extend(ours["f"])
    assert tf.train.Example.FromString(encode_example(ours)) == theirs
    decoded = decode_example(theirs.SerializeToString())
    assert {name: list(values) for name, values in decoded.items()} == {
        name: values for name, values in ours.items() if values
    }


def test_equal_features_give_equal_bytes_in_any_order():
    one, other = {"a": [1], "b": [b"x"]}, {"b": [b"x"], "a": [1]}
    assert encode_example(one) == encode_example(other)


@pytest.mark.parametrize("place", range(0, 23))
def test_every_byte_is_under_a_checksum(file, place):
    path, offsets = file
    data = bytearray(path.read_bytes())
    place += offsets[2] if place < 12 else len(data) - 23
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="checksum .* does not match: the file is damaged"):
        read_records(path, offsets[2:])
    assert read_records(path, offsets[:2]) == MESSAGES[:2]


@pytest.mark.parametrize("missing", [1, 4, 5, 1000])
def test_a_file_that_is_cut_off(file, missing):
    path, offsets = file
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(ValueError, match="ends within the record at byte .* cut off"):
        read_records(path, offsets)


def test_a_stream_that_gives_less_than_asked_for(monkeypatch, file):
    path, offsets = file

    class Slow(io.FileIO):
        def read(self, size=-1):
            return super().read(min(size, 7))

    monkeypatch.setattr("builtins.open", lambda path, mode, buffering: Slow(path, "rb"))
    assert read_records(path, offsets[:2]) == MESSAGES[:2]


def test_the_checksum_is_that_of_the_standard():
    # CRC-32C of 32 zero bytes, RFC 3720 B.4: 8a9136aa; masked as TFRecord does.
    stream = io.BytesIO()
    write_record(stream, bytes(32))
    crc = int.from_bytes(stream.getvalue()[-4:], "little")
    turned = (crc - 0xA282EAD8) % 2**32
    assert (turned << 15 | turned >> 17) % 2**32 == 0x8A9136AA
