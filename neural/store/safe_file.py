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
    """Write {name: array or CPU tensor} whole; the header's ``note`` is part of the checksum, ``check``."""
    tensors = any(isinstance(array, Tensor) for array in arrays.values())
    dump = safetensors.torch.save if tensors else safetensors.numpy.save
    check = _checksum(arrays, header)
    write_atomic(path, dump(dict(arrays), metadata={**header, "check": check}))


def unpack(
    content: bytes, *, tensors: bool = False, form: str | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays (or tensors) and header of a file, checked; any of `DAMAGE` for damage or another `form`."""
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
    """What `read` makes of a file; None where it is absent or, which a warning says, damaged and kept aside."""
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
