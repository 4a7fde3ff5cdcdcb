"""Pickles of NumPy arrays from strangers, read without running anything that they say.

An ordinary unpickler calls whatever function a file names, and NumPy's own array reconstruction trusts sizes and flags
in it. Here the opcodes are looked at first (only those of plain data; no length beyond the file, no memo slot beyond
the opcodes so far); then every name stands for an inert object of this module, which takes down shape, type and bytes;
at last arrays are made of these, with the number of bytes checked. Nothing is allocated that the file does not hold.
"""

import math
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from neural.datasets.reading import DatasetError, MissingError, shown

__all__ = ["load_pickle"]

MAX_BYTES = 16 << 30
MAX_OPCODES = 5_000_000  # an object in memory is larger than the opcode that makes it
MAX_DEPTH = 50
OPCODES = frozenset({
    "PROTO", "FRAME", "STOP", "MARK", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET",
    "LONG_BINGET", "NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1",
    "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
    "EMPTY_LIST", "APPEND", "APPENDS", "LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD",
})  # fmt: skip
_DTYPE = re.compile(r"b1|[iu][1248]|f[248]|[SU]\d{1,6}|O[48]?")
_SCALARS = (str, bytes, bool, int, float, type(None))


def load_pickle(path: Path, *, max_bytes: int = MAX_BYTES) -> object:
    """Read a pickle of containers, text, numbers and NumPy arrays (read-only); anything else is refused."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise DatasetError(
                path,
                f"{size:,} bytes, more than the {max_bytes:,} allowed; pass max_bytes if it is what you expect",
            )
        with path.open("rb") as handle:
            _scan(_Bounded(handle, size), path)
            handle.seek(0)
            held = _Unpickler(_Bounded(handle, size), path).load()
        return _plain(held, path, {}, 0)
    except DatasetError:
        raise
    except FileNotFoundError:
        raise MissingError(path, "file not found") from None
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what a damaged pickle raises is not specified
        raise DatasetError(path, f"not a usable pickle ({type(error).__name__}: {error})") from error


class _Bounded:
    """A file that refuses to read more than it holds, before a buffer of that size is made."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        self._handle, self._left = handle, size

    def read(self, count: int = -1) -> bytes:
        if count > self._left or count < 0:
            raise ValueError(f"{count:,} bytes are announced, but {self._left:,} are left")
        self._left -= count
        return self._handle.read(count)

    def readline(self) -> bytes:
        line = self._handle.readline()
        self._left -= len(line)
        return line

    def tell(self) -> int:
        return self._handle.tell()


def _scan(source: _Bounded, path: Path) -> None:
    """Look at every opcode without executing any."""
    for count, (opcode, argument, position) in enumerate(pickletools.genops(source)):  # type: ignore[arg-type]
        if opcode.name not in OPCODES:
            raise DatasetError(
                path,
                f"opcode {opcode.name} at byte {position} is not needed for NumPy arrays in plain containers; refused",
            )
        if "PUT" in opcode.name and not 0 <= int(argument or 0) <= count:
            raise DatasetError(
                path, f"memo slot {argument} at byte {position} after {count} opcodes; refused"
            )
        if count >= MAX_OPCODES:
            raise DatasetError(path, f"more than {MAX_OPCODES:,} opcodes; refused")


class _Named:
    """What a name of the file stands for: can be called, and has no state that the file could set."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *arguments: object) -> object:
        return self._make(*arguments)

    def __setstate__(self, state: object) -> None:
        raise ValueError("a function's state is set")


class _DType:
    """A dtype as the file describes it; only simple ones."""

    __slots__ = ("_order", "_spec")

    def __init__(self, spec: object, *_: object) -> None:
        if not isinstance(spec, str) or not _DTYPE.fullmatch(spec):
            raise ValueError(f"dtype {spec!r:.40} is not a plain number, text or object type")
        self._spec, self._order = spec, "|"

    def __setstate__(self, state: tuple) -> None:
        _, order, subarray, names, fields = state[:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in (subarray, names, fields)):
            raise ValueError("a structured dtype")
        self._order = order

    @property
    def is_object(self) -> bool:
        return self._spec[0] == "O"

    def resolve(self) -> np.dtype:
        return np.dtype(self._order.replace("|", "=") + self._spec)


class _Array:
    """Shape, dtype and content of an array as the file describes them."""

    __slots__ = ("_axes", "_content", "_dtype", "_order", "_shape")

    def __init__(self, *state: object) -> None:
        self._shape, self._dtype, self._order, self._content, self._axes = state or (None,) * 5

    def __setstate__(self, state: tuple) -> None:
        shape, dtype, fortran, content = state[-4:]
        self._shape, self._dtype, self._content, self._axes = shape, dtype, content, None
        self._order = "F" if fortran else "C"

    def resolve(self, path: Path) -> NDArray:
        shape, dtype, content = self._shape, self._dtype, self._content
        if not isinstance(dtype, _DType) or not isinstance(shape, tuple):
            raise DatasetError(path, "holds an array without dtype or shape")
        if not all(type(n) is int and 0 <= n < 2**40 for n in shape) or self._order not in ("C", "F", "K"):
            raise DatasetError(path, f"holds an array of shape {str(shape)[:80]}; refused")
        size = math.prod(shape)
        made: NDArray
        if dtype.is_object:
            if not isinstance(content, list) or len(content) != size:
                raise DatasetError(path, f"an array of {size:,} objects does not hold as many")
            entries = [_decoded(entry, path) for entry in content]
            made = np.empty(size, dtype=object)
            made[:] = entries
        else:
            raw = content.encode("latin1") if isinstance(content, str) else content
            kind = dtype.resolve()
            if not isinstance(raw, (bytes, bytearray)) or len(raw) != size * kind.itemsize:
                held = len(raw) if isinstance(raw, (bytes, bytearray)) else type(raw).__name__
                raise DatasetError(
                    path,
                    f"an array of shape {shape} and dtype {kind} needs {size * kind.itemsize:,} bytes, got {held}",
                )
            made = np.empty(0, kind)
            if size:
                made = np.frombuffer(raw, dtype=np.uint8 if kind.kind == "b" else kind)
            if kind.kind == "b":
                made = made != 0
            if kind.kind == "U" and size and made.view(kind.byteorder + "u4").max(initial=0) > 0x10FFFF:
                raise DatasetError(path, "an array of text holds what is not text")
        made = made.reshape(shape, order="F") if self._order == "F" else made.reshape(shape)
        if self._order == "K" and isinstance(self._axes, (tuple, list)):
            made = made.transpose(self._axes)
        made.flags.writeable = False
        return made


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _from_buffer(content: object, dtype: object, shape: object, order: object, axes: object = None) -> _Array:
    return _Array(shape, dtype, order, content, axes)


def _scalar(dtype: object, content: object) -> _Array:
    return _Array((), dtype, "C", content, None)


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"encoding {encoding!r:.40}")
    return text.encode("latin1")


def _not_callable(*_: object) -> object:
    raise ValueError("numpy.ndarray is called")


def _empty(make: Callable[[], object]) -> Callable[..., object]:
    def made(*arguments: object) -> object:
        if arguments:
            raise ValueError(f"a {make.__name__} in a form that plain data do not need")
        return make()

    return made


_NAMES: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy", "ndarray"): _not_callable,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): _empty(dict),
    ("__builtin__", "bytes"): _empty(bytes),  # how protocols 0 to 2 write b""
}
for _core in ("numpy.core", "numpy._core"):
    _NAMES |= {
        (f"{_core}.multiarray", "_reconstruct"): _reconstruct,
        (f"{_core}.multiarray", "scalar"): _scalar,
        (f"{_core}.numeric", "_frombuffer"): _from_buffer,
    }


class _Unpickler(pickle.Unpickler):
    """Resolves the names above to inert objects, and no other name."""

    def __init__(self, source: _Bounded, path: Path) -> None:
        super().__init__(source, encoding="latin1")  # text of Python 2, as NumPy's documentation advises
        self._path = path

    def find_class(self, module: str, name: str) -> _Named:
        if (module, name) not in _NAMES:
            raise DatasetError(
                self._path,
                f"refused: it would use {shown(f'{module}.{name}'[:100])}, and only NumPy arrays in plain containers "
                "are read; nothing of it was run",
            )
        return _Named(_NAMES[module, name])


def _decoded(entry: object, path: Path) -> object:
    """An entry of an object array: a plain value, or refused."""
    if isinstance(entry, _Array):
        made = entry.resolve(path)
        entry = made.item() if made.ndim == 0 else made
    if not isinstance(entry, _SCALARS):
        raise DatasetError(
            path, f"an array of objects holds a {type(entry).__name__}; only text and numbers are read"
        )
    return entry


def _plain(held: object, path: Path, done: dict[int, object], depth: int) -> object:
    """What was read, with real arrays; shared parts stay shared, circles are refused."""
    if isinstance(held, _SCALARS):
        return held
    if id(held) in done:
        if done[id(held)] is None:
            raise DatasetError(path, "contains itself; refused")
        return done[id(held)]
    if depth > MAX_DEPTH:
        raise DatasetError(path, f"nested deeper than {MAX_DEPTH} levels; refused")
    done[id(held)] = None
    made: object
    if isinstance(held, _Array):
        array = held.resolve(path)
        made = array.item() if array.ndim == 0 else array
    elif isinstance(held, dict):
        wrong = next((key for key in held if not isinstance(key, (str, int, bytes))), None)
        if wrong is not None:
            raise DatasetError(path, f"a dictionary has a key of type {type(wrong).__name__}; refused")
        made = {
            key.decode("latin1") if isinstance(key, bytes) else key: _plain(value, path, done, depth + 1)
            for key, value in held.items()
        }
    elif isinstance(held, (list, tuple)):
        made = type(held)(_plain(value, path, done, depth + 1) for value in held)
    elif isinstance(held, bytearray):
        made = bytes(held)
    else:
        raise DatasetError(path, f"holds a bare {type(held).__name__.strip('_')}, which is no data; refused")
    done[id(held)] = made
    return made
