"""Our own files of arrays: safetensors with a checksum in the header, written whole, checked when read."""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.numpy
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, uint8

from fisherkit.files import set_aside, write_atomic

__all__ = ["DAMAGE", "CorruptCacheWarning", "read_whole", "unpack", "write_arrays"]

#: What a damaged file makes its reader raise.
DAMAGE = (SafetensorError, ValueError, KeyError, TypeError)
Held = TypeVar("Held")


class CorruptCacheWarning(UserWarning):
    """A cached file could not be read; it was kept aside and computed again."""


def write_arrays(path: Path, arrays: Mapping[str, Any], header: Mapping[str, str]) -> None:
    """Write a file; readers see the one before or all of this one.

    Args:
        path: target; its folder is made if need be.
        arrays: {name: contiguous NumPy array}, or tensors on the CPU.
        header: what else goes into it; the entry ``note`` is part of the checksum, ``check``.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.safetensors"
        >>> write_arrays(path, {"x": np.arange(3)}, {"of": "numbers"})
        >>> unpack(path.read_bytes())
        ({'x': array([0, 1, 2])}, {'of': 'numbers', 'check': '...'})
        >>> unpack(path.read_bytes()[:-1] + b"?")
        Traceback (most recent call last):
        ...
        ValueError: checksum does not match
    """
    tensors = any(isinstance(array, Tensor) for array in arrays.values())
    dump = safetensors.torch.save if tensors else safetensors.numpy.save
    check = _checksum(arrays, header)
    write_atomic(path, dump(dict(arrays), metadata={**header, "check": check}))


def unpack(
    content: bytes, *, tensors: bool = False, form: str | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """What a file holds, checked.

    Args:
        content: bytes of the file.
        tensors: whether arrays come as tensors.
        form: what the header's entry ``format`` must be; None takes any.

    Returns:
        {name: array}, and the header.

    Raises:
        ValueError: another format, or a checksum that does not match; bytes that are no such file raise any of `DAMAGE`.
    """
    arrays = (safetensors.torch.load if tensors else safetensors.numpy.load)(content)
    start = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, str] = json.loads(content[8:start]).get("__metadata__", {})
    if form is not None and header.get("format") != form:
        raise ValueError(f"its format is not {form!r}")
    # shards of features were once checked by their bytes after the header alone
    if header["check"] not in (_checksum(arrays, header), hashlib.sha256(content[start:]).hexdigest()):
        raise ValueError("checksum does not match")
    return arrays, header


def _checksum(arrays: Mapping[str, Any], header: Mapping[str, str]) -> str:
    digest = hashlib.sha256(header.get("note", "").encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}".encode())
        plain = array.flatten().view(uint8).numpy() if isinstance(array, Tensor) else array
        digest.update(np.ascontiguousarray(plain).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def read_whole(
    path: Path, read: Callable[[bytes], Held], damaged: str, remedy: str, *, move: bool = False
) -> Held | None:
    """What a file holds; a damaged one is kept as ``NAME.corrupt-1.EXT``, which a `CorruptCacheWarning` says.

    Args:
        path: the file.
        read: its content to what it holds; raises one of `DAMAGE` where it is damaged.
        damaged: what the warning says of the file.
        remedy: what it says after the new name.
        move: whether a damaged file goes from where it was; else it stays until it is written again.

    Returns:
        What `read` returns; None where there is no such file, or a damaged one.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return read(content)
    except DAMAGE as error:
        aside = set_aside(path, content)
        if move:
            path.unlink(missing_ok=True)
        warnings.warn(
            f"{path}: {damaged} ({error}); it was kept as {aside.name}{remedy}",
            CorruptCacheWarning,
            stacklevel=3,
        )
        return None
