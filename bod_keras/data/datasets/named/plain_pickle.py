"""Pickle files as plain values: a small reader that calls nothing and builds arrays from numbers only."""

from __future__ import annotations

import codecs
import io
import math
import os
import pickletools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from bod_keras.errors import UserError
from bod_keras.storage.regular_file import regular_file

_MARK = object()
_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248])")
# What stands for an array, a number or its type; numpy.core is NumPy 1, numpy._core NumPy 2.
_RECONSTRUCT = ("multiarray", "_reconstruct")
_SCALAR = ("multiarray", "scalar")
_FROMBUFFER = ("numeric", "_frombuffer")
_DEEPEST = 50
_SHARED = 64  # a value may be this many times as large as its file, through parts that it holds several times


class _RefusedError(Exception):
    """Why a file is not read."""


class _Name(NamedTuple):
    """A function or class that a file names; never looked up."""

    module: str
    name: str


class _Unbuilt:
    """An array or a type whose content follows."""

    def __init__(self, dtype: str | None = None):
        self.dtype = dtype
        self.keys: list[int] = []  # where the memo has it


def read_pickle(path: str | os.PathLike) -> Any:
    """Read a pickle file that holds NumPy arrays, numbers, strings and plain containers only.

    Python's own `pickle.load` runs any function that a file names, so a file from the web can do
    anything. Here nothing is called: lists, tuples, dicts, strings and numbers are built by this module, and
    arrays of numbers from bytes whose count must fit their shape. Strings that Python 2
    wrote are read as Latin-1.

    Args:
        path: the file.

    Returns:
        What it holds.

    Raises:
        UserError: if it asks for anything else, or is no whole pickle file.

    Example:
        >>> import pathlib, pickle, tempfile
        >>> import numpy as np
        >>> from bod_keras.data.datasets import read_pickle
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.pkl")
        ...     _ = path.write_bytes(pickle.dumps({"boxes": [np.arange(2)]}, protocol=2))
        ...     read_pickle(path)
        {'boxes': [array([0, 1])]}
    """
    with open(regular_file(path), "rb") as stream:
        data = stream.read()
    try:
        value = _Reader(data).read()
        _check_plain(value, len(data))
        return value
    except _RefusedError as refused:
        reason: object = refused
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        reason = f"it is damaged ({type(error).__name__}: {str(error)[:200]})"
    raise UserError(
        f"{os.fspath(path)} is not read: {reason}. Expected a pickle file of NumPy arrays, "
        "numbers, strings, lists, tuples and dicts."
    )


class _Reader:
    """The stack machine of pickle files, without what runs code."""

    def __init__(self, data: bytes):
        self.stream = io.BytesIO(data)
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        while True:
            code = self.stream.read(1)
            operation = pickletools.code2op.get(code.decode("latin1"))
            if operation is None:
                raise _RefusedError("it ends too early" if not code else "it is no pickle file")
            name = operation.name
            if name == "STOP":
                (value,) = self.stack
                return value
            if name == "STRING":  # pickletools takes ASCII only
                argument = _unquoted(self.stream.readline())
            else:
                argument = operation.arg.reader(self.stream) if operation.arg else None
            self._run(name, argument)

    def _run(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _IGNORED:
            return
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            key = len(self.memo) if name == "MEMOIZE" else argument
            self.memo[key] = stack[-1]
            if isinstance(stack[-1], _Unbuilt):
                stack[-1].keys.append(key)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "APPEND":
            value = stack.pop()
            _checked(stack[-1], list).append(value)
        elif name == "APPENDS":
            values = self._marked()
            _checked(stack[-1], list).extend(values)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _checked(stack[-1], dict).update(_pairs([key, value]))
        elif name == "SETITEMS":
            values = self._marked()
            _checked(stack[-1], dict).update(_pairs(values))
        elif name in _CONTAINERS:
            stack.append(_CONTAINERS[name](self._marked()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(self._top(count))]
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            self._marked()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "GLOBAL":
            stack.append(_Name(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack[-2:] = [_Name(*(_checked(text, str) for text in self._top(2)))]
        elif name == "REDUCE":
            function, arguments = self._top(2)
            stack[-2:] = [_reduced(function, _checked(arguments, tuple))]
        elif name == "BUILD":
            self._build(*self._top(2))
        else:
            raise _RefusedError(f"it asks for {name}")

    def _top(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("too few values")
        return self.stack[-count:]

    def _marked(self) -> list[Any]:
        """Take what stands above the last mark."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError("no mark")
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def _build(self, target: Any, state: Any) -> None:
        if not isinstance(target, _Unbuilt):
            raise _RefusedError("it sets the state of an object")
        built = _dtype(target.dtype, state) if target.dtype else _array_of_state(state)
        self.stack[-2:] = [built]
        for key in target.keys:
            self.memo[key] = built


def _reduced(function: Any, arguments: tuple) -> Any:
    """The value of a call that stands for a plain value; all others are refused."""
    if not isinstance(function, _Name):
        raise _RefusedError("it calls what is no function")
    library, _, module = function.module.rpartition(".")
    known = (module, function.name) if library in ("numpy.core", "numpy._core") else function
    if known == _RECONSTRUCT and arguments[0] == _Name("numpy", "ndarray"):
        return _Unbuilt()
    if known == ("numpy", "dtype"):
        return _Unbuilt(_checked(arguments[0], str))
    if known == _SCALAR:
        dtype, data = arguments
        return _array(dtype, (), data).item()
    if known == _FROMBUFFER:
        data, dtype, shape, order = arguments
        return _array(dtype, shape, data, order)
    if known == ("_codecs", "encode") and arguments[1:] == ("latin1",):
        return _bytes(arguments[0])
    if known in (("collections", "OrderedDict"), ("__builtin__", "bytes")) and not arguments:
        return {} if function.name == "OrderedDict" else b""
    if known == ("collections", "OrderedDict") and len(arguments) == 1:
        return _pairs([part for pair in _checked(arguments[0], list) for part in pair])
    raise _RefusedError(f"it asks for {function.module}.{function.name}")


def _dtype(name: str, state: Any) -> np.dtype:
    """The type of numbers: (version, byte order, subtype, names, fields, ...)."""
    order, *of_structures = _checked(state, tuple)[1:5]
    if not _DTYPE.fullmatch(name) or order not in tuple("<>=|") or any(of_structures):
        raise _RefusedError(f"it holds an array of {name[:40]!r}, not of numbers")
    return np.dtype(name) if order == "|" else np.dtype(name).newbyteorder(order)


def _array_of_state(state: Any) -> np.ndarray:
    _, shape, dtype, fortran, data = _checked(state, tuple)
    return _array(dtype, shape, data, "F" if fortran else "C")


def _array(dtype: Any, shape: Any, data: Any, order: str = "C") -> np.ndarray:
    dtype, data = _checked(dtype, np.dtype), _bytes(data)
    shape = tuple(_checked(size, int) for size in _checked(shape, tuple))
    if order not in ("C", "F") or len(shape) > 8 or any(size < 0 for size in shape):
        raise _RefusedError(f"it holds an array of shape {shape[:8]}")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise _RefusedError(
            f"it holds an array of shape {shape[:8]} and type {dtype} in {len(data)} bytes"
        )
    return np.frombuffer(data, dtype).reshape(shape, order=order).copy()


def _bytes(data: Any) -> bytes:
    if isinstance(data, str):  # as Python 2 wrote them
        return data.encode("latin1")
    return bytes(_checked(data, (bytes, bytearray)))


def _unquoted(line: bytes) -> str:
    line = line.rstrip(b"\n")
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise ValueError("a string without quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin1")


def _checked(value: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind) or isinstance(value, (bool, _Name)):
        raise TypeError(f"a {type(value).__name__} instead of another value")
    return value


def _pairs(values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise IndexError("a key without a value")
    for key in values[::2]:
        # A deep tuple would be hashed by recursion, which overflows the stack of the process.
        for part in key if isinstance(key, tuple) else [key]:
            if isinstance(part, _Name) or not isinstance(
                part, (str, bytes, int, float, type(None))
            ):
                raise _RefusedError(f"it holds a key of the type {type(part).__name__}")
    return dict(zip(values[::2], values[1::2]))


def _check_plain(value: Any, size: int) -> None:
    """Refuse what is no plain value, is deep or holds itself, or unfolds to far more than its file holds."""
    weights: dict[int, int] = {}
    entered: set[int] = set()
    waiting = [(value, False)]
    while waiting:
        thing, done = waiting.pop()
        if len(entered) > _DEEPEST:
            raise _RefusedError(f"it is nested in more than {_DEEPEST} levels")
        if isinstance(thing, (list, tuple, dict)) and not isinstance(thing, _Name):
            parts = [*thing.keys(), *thing.values()] if isinstance(thing, dict) else thing
            if done:
                entered.discard(id(thing))
                weights[id(thing)] = 1 + sum(
                    weights.get(id(part), 1 + getattr(part, "size", 0)) for part in parts
                )
                if weights[id(thing)] > _SHARED * size:
                    raise _RefusedError("it unfolds to far more than the file holds")
            elif id(thing) in entered:
                raise _RefusedError("it holds itself")
            elif id(thing) not in weights:
                entered.add(id(thing))
                waiting.append((thing, True))
                waiting += [(part, False) for part in parts]
        elif not isinstance(thing, (np.ndarray, str, bytes, bytearray, int, float, type(None))):
            what = f"{thing.module}.{thing.name}" if isinstance(thing, _Name) else "unbuilt values"
            raise _RefusedError(f"it asks for {what}")


_IGNORED = ("PROTO", "FRAME")
_VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {"LIST": list, "TUPLE": tuple, "DICT": _pairs}
