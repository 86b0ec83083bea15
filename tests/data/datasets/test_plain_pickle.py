"""Pickle files: plain values of every protocol are read, everything else is one line."""

import collections
import os
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest

from bod_keras.data.datasets import read_pickle
from tests.data.datasets.python2_pickle import python2_pickle
from tests.tiers import slow


def read(folder, data):
    path = folder / "UCF101v2-GT.pkl"
    path.write_bytes(data)
    return read_pickle(path)


ARRAYS = (
    np.arange(6.0).reshape(2, 3),
    np.arange(24, dtype="uint8").reshape(2, 3, 4).T,
    np.array([[1, -2]], ">i4"),
    np.array([True, False]),
    np.zeros((0, 5), np.float32),
    np.array(3.5, np.float16),
)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_protocol_are_read(tmp_path, protocol):
    value = {
        "n": np.float32(2),
        "t": (1, "x", [None, True, False], -(2**70), 1.5e300, ()),
        "käse": {"b": b"\x00\xff", ("a", 1): []},
        "o": collections.OrderedDict(z=1),
        3: "l" * 300,
    }
    found = read(tmp_path, pickle.dumps(value, protocol=protocol))
    assert found == {**value, "o": {"z": 1}} and type(found["o"]) is dict


@pytest.mark.parametrize("protocol", [*range(6), "Python 2"])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_of_every_protocol_are_read(tmp_path, protocol, array):
    twice = {"a": array, "again": array}
    data = python2_pickle(twice) if protocol == "Python 2" else pickle.dumps(twice, protocol)
    found = read(tmp_path, data)
    for name in twice:
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].flags.owndata


def test_byte_strings_in_text_form(tmp_path):  # protocol 0 of Python 2
    assert read(tmp_path, rb"(lp0" + b"\n" + rb"S'a\xe9\n'" + b"\np1\na.") == ["a\xe9\n"]


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_file_cannot_run_code(tmp_path, protocol):
    target = tmp_path / "made"
    for call in ((os.mkdir, (str(target),)), (eval, (f"__import__('os').mkdir({str(target)!r})",))):
        with pytest.raises(ValueError, match=r"GT.pkl is not read: it asks for \w+\.(mkdir|eval)"):
            read(tmp_path, pickle.dumps({"labels": Evil(*call)}, protocol=protocol))
    assert not target.exists()


@pytest.mark.parametrize(
    "value",
    [
        Evil(getattr, (1, "real")),
        Evil(np.empty, (2**40,)),
        Evil(np.dtype, ("O",)),
        {1, 2},
        frozenset("ab"),
        complex(1, 2),
        np.array([[]], object),
        np.array([(1, 2.0)], [("a", int), ("b", float)]),
        np.array(["text"]),
        np.dtype("f8"),
        np.ndarray,
        os.mkdir,
        bytearray,
        Ellipsis,
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match="GT.pkl is not read: .*Expected a pickle file of NumPy"):
        read(tmp_path, pickle.dumps({"labels": [value]}, protocol=2))


def array_pickle(shape, dtype, state, data):
    """A pickle of an array as NumPy writes it, with whatever is to stand in it."""
    plain = [pickle.dumps(value, protocol=2)[2:-1] for value in (shape, dtype, state, data)]
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01"
        + plain[0]
        + b"cnumpy\ndtype\n"
        + plain[1]
        + b"K\x00K\x01\x87R"
        + plain[2]
        + b"b\x89"
        + plain[3]
        + b"tb."
    )


SIMPLE = (3, "<", None, None, None, -1, -1, 0)
RAW = "\x00" * 64


def test_the_hostile_arrays_differ_from_a_good_one_only_in_what_they_say(tmp_path):
    assert read(tmp_path, array_pickle((8,), "f8", SIMPLE, RAW)).tolist() == [0.0] * 8


HOSTILE = {
    "objects without objects": array_pickle((4,), "O8", (3, "|", None, None, None, -1, -1, 63), []),
    "objects of raw bytes": array_pickle((8,), "O8", SIMPLE, RAW),
    "a field of objects": array_pickle(
        (8,), "V8", (3, "|", None, ("o",), {"o": ("O8", 0)}, 8, 1, 27), RAW
    ),
    "a field beyond": array_pickle(
        (8,), "V8", (3, "|", None, ("a",), {"a": ("f8", 2**20)}, 8, 1, 0), RAW
    ),
    "a sub-type": array_pickle((8,), "V8", (3, "|", ("f8", (2**40,)), None, None, 8, 1, 0), RAW),
    "more than there is": array_pickle((2**40,), "f8", SIMPLE, RAW),
    "a shape that overflows": array_pickle((2**62, 4), "f8", SIMPLE, ""),
    "less than nothing": array_pickle((-8,), "f8", SIMPLE, RAW),
    "many axes": array_pickle((1,) * 64, "f8", SIMPLE, RAW[:8]),
    "no numbers in the shape": array_pickle(("8",), "f8", SIMPLE, RAW),
    "an empty type": array_pickle((8,), "", SIMPLE, RAW),
    "terabytes of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**42) + b"x.",
    "terabytes of text": b"\x80\x04\x8d" + struct.pack("<Q", 2**42) + b"x.",
    "2 GB of bytes": b"\x80\x03B" + struct.pack("<I", 2**31 - 1) + b"x.",
    "a negative length": b"T" + struct.pack("<i", -5) + b"x.",
    "a long number": b"I" + b"9" * 100_000 + b"\n.",
    "a number of terabytes": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
    "deep lists": b"]" * 200_000 + b"a" * 199_999 + b".",
    "a deep key": b"}" + b")" + b"\x85" * 200_000 + b"Ns.",
    "itself": b"]q\x00h\x00a.",
    "itself in a tuple": b"]q\x00h\x00\x85a.",
    "a billion laughs": b"]q\x00"
    + b"".join(b"0]q" + bytes([i]) + (b"h" + bytes([i - 1]) + b"a") * 9 for i in range(1, 40))
    + b".",
    "a large array many times": array_pickle((8_000,), "f8", SIMPLE, "\x00" * 64_000)[:-1]
    + b"q\x050]"
    + b"h\x05a" * 9_000
    + b".",
    "an empty stack": b"0.",
    "no mark": b"e.",
    "an unknown memo": b"h\x07.",
    "an odd dict": b"(Nd.",
    "two values": b"NN.",
    "an unhashable key": b"}]Ns.",
    "a half-built array": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nttR.",
    "a buffer outside": b"\x80\x05\x97.",
    "a persistent id": b"Pabc\n.",
    "an extension": b"\x82\x01.",
    "an instance": b"(icollections\nOrderedDict\n.",
    "an object": b"(cos\nsystem\no.",
    "nothing": b"",
    "no pickle": b"no pickle",
    "a cut": pickle.dumps([1, 2])[:-2],
}

_READ = """
import resource, sys
from bod_keras.data.datasets import read_pickle
import numpy as np
resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
for name in sys.argv[1:]:
    try:
        value = read_pickle(name)
        print("read", name, flush=True)
    except ValueError as error:
        assert name in str(error) and len(str(error)) < 1000, str(error)[:2000]
        print("refused", name, flush=True)
"""


@slow
def test_hostile_files_are_refused_in_one_process(tmp_path):
    for name, data in HOSTILE.items():
        (tmp_path / name).write_bytes(data)
    names = [str(tmp_path / name) for name in HOSTILE]
    ran = subprocess.run(
        [sys.executable, "-c", _READ, *names], capture_output=True, text=True, timeout=300
    )
    assert ran.stdout.splitlines() == [f"refused {name}" for name in names], ran.stderr[-2000:]
    assert ran.returncode == 0


def test_flipped_bits_and_cuts_are_values_or_one_line(tmp_path):
    rng = np.random.default_rng(0)
    content = {"labels": ["a"], "gttubes": {"a/x": {0: [np.ones((2, 5), np.float32)]}}}
    for data in (pickle.dumps(content, 2), pickle.dumps(content, 5), python2_pickle(content)):
        for _ in range(300):
            damaged = bytearray(data[: rng.integers(1, len(data) + 1)])
            damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
            try:
                read(tmp_path, bytes(damaged))
            except ValueError as error:
                assert "GT.pkl is not read" in str(error)
