"""Arrays in files that others wrote: .npz, .safetensors and what torch.save wrote; nothing in them is executed."""

import contextlib
import json
import math
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from neural.datasets.reading import DatasetError, MissingError

__all__ = ["as_array", "read_npz", "read_safetensors", "read_torch"]

#: What readers were seen to raise, or may raise, on bytes that are no such file.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_RISK = "only unpickling could read, and a pickle can run any code"
_PIECE = 1 << 24  # bytes read at a time


def _every(name: str) -> bool:
    return True


def read_npz(
    path: Path, wanted: Callable[[str], bool] = _every, *, max_bytes: int | None = None
) -> dict[str, Any]:
    """Arrays of an npz file; none may announce more than it holds.

    Args:
        path: the file.
        wanted: which names are read; others stay unread, whatever they hold.
        max_bytes: refused where it would unpack to more.

    Returns:
        {name: array; None where it is not wanted}.

    Raises:
        MissingError: no such file.
        DatasetError: damaged, too large, or with objects.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.npz"
        >>> np.savez(path, x=np.arange(3), y=np.ones(2))
        >>> read_npz(path, lambda name: name == "x")
        {'x': array([0, 1, 2]), 'y': None}
    """
    with _readable(path, "; not a usable npz file"), zipfile.ZipFile(path) as archive:
        total = sum(member.file_size for member in archive.infolist())
        if max_bytes is not None and total > max_bytes:
            raise DatasetError(path, f"unpacks to {total:,} bytes, more than the {max_bytes:,} allowed")
        held: dict[str, Any] = {}
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            held[name] = None
            if wanted(name):
                with archive.open(member) as handle:
                    held[name] = _npy(handle, member.file_size, path, name)
        return held


def _npy(handle: IO[bytes], size: int, path: Path, name: str) -> NDArray[Any]:
    """One member; its header must not announce more than its bytes hold."""
    major, minor = np.lib.format.read_magic(handle)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if (major, minor) not in read_header:
        raise ValueError(f"{name}: npy format {major}.{minor}")
    shape, fortran, dtype = read_header[major, minor](handle)
    if dtype.hasobject:
        raise DatasetError(
            path,
            f"holds an object array, {name!r}, which {_RISK}; store numbers, and names with np.array(names, dtype=str)",
        )
    count = math.prod(shape)
    if dtype.kind not in "biufcSU" or count * dtype.itemsize > size:
        raise ValueError(f"{name}: shape {shape} of {dtype} does not fit its {size:,} bytes")
    made = np.empty(count, dtype)
    raw = made.view(np.uint8).data
    for start in range(0, len(raw), _PIECE):
        piece = raw[start : start + _PIECE]
        if handle.readinto(piece) < len(piece):  # type: ignore[attr-defined]
            raise ValueError(f"{name}: truncated")
    return made.reshape(shape, order="F" if fortran else "C")


def read_safetensors(
    path: Path, wanted: Callable[[str], bool] = _every, noted: Sequence[str] = ()
) -> dict[str, Any]:
    """Arrays of a safetensors file, None where not wanted, and as JSON the entries `noted` of its metadata."""
    with _readable(path, "; not a safetensors file"), safe_open(path, framework="pt") as file:
        held = {key: as_array(file.get_tensor(key)) if wanted(key) else None for key in list(file.keys())}
        note = file.metadata() or {}
        for key in set(noted) & note.keys():
            try:
                held[key] = json.loads(note[key])
            except json.JSONDecodeError as error:
                raise DatasetError(path, f"{key!r} in the metadata is not JSON ({error})") from None
        return held


def read_torch(path: Path) -> Any:  # noqa: ANN401 -- whatever was saved
    """What torch.save wrote, on the CPU; tensors and plain containers only, or a `DatasetError`."""
    import torch  # here, so that lists and .npz files are read without it

    with _readable(path), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            problem = _damaged("it is not a file written by torch.save")
            if "global" in str(error).lower():
                problem = (
                    f"holds objects, so it is not a file of tensors and plain containers; objects {_RISK}; "
                    "save tensors, lists and dictionaries only"
                )
            raise DatasetError(path, problem) from None


@contextlib.contextmanager
def _readable(path: Path, kind: str = "") -> Iterator[None]:
    """Errors of reading become a `DatasetError` that names the file."""
    try:
        yield
    except DatasetError:
        raise
    except FileNotFoundError:
        raise MissingError(path, "file not found") from None
    except _DAMAGE as error:
        detail = str(error).partition("\n")[0] or type(error).__name__
        raise DatasetError(path, _damaged(f"{detail}{kind}")) from None


def _damaged(reason: str) -> str:
    return f"cannot be read ({reason}); the file is damaged or cut short, write it again"


def as_array(value: object) -> NDArray[Any]:
    """A tensor or what `numpy.asarray` takes; tensors of other floating-point types than float64 become float32."""
    import torch

    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    tensor = value.detach().cpu()
    if tensor.is_floating_point() and tensor.dtype != torch.float64:
        tensor = tensor.float()
    return tensor.numpy()
