"""Arrays that take long to compute, kept on disk under everything they depend on."""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fisherkit.files import set_aside, write_atomic

__all__ = ["ArrayCache", "CorruptCacheWarning", "content_key"]

Arrays = dict[str, NDArray[Any]]


class CorruptCacheWarning(UserWarning):
    """A cached file could not be read; it was kept aside and computed again."""


def content_key(what: Mapping[str, Any]) -> str:
    """Hash of everything that arrays depend on; the order of entries does not matter.

    Args:
        what: strings, numbers, booleans, None, lists and dictionaries of these.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> content_key({"seed": 1, "size": 32}) == content_key({"size": 32, "seed": 1})
        True
    """
    return hashlib.sha256(_canonical(what).encode()).hexdigest()[:16]


class ArrayCache:
    """One safetensors file per computation, complete or absent; with a checksum of what is in it.

    Two processes that compute the same thing write the same file one after the other; neither sees a part of it.

    Args:
        folder: where the files lie, made when the first is written; None keeps nothing.

    Example:
        >>> import tempfile
        >>> cache = ArrayCache(Path(tempfile.mkdtemp()))
        >>> first = cache.get("squares", {"n": 3}, lambda: {"x": np.arange(3) ** 2})
        >>> cache.get("squares", {"n": 3}, lambda: {})["x"]  # read, not computed
        array([0, 1, 4])
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def path(self, kind: str, what: Mapping[str, Any]) -> Path | None:
        """Where a computation's arrays are kept.

        Args:
            kind: short name, the first part of the file's.
            what: everything that the arrays depend on.

        Returns:
            The path, whether or not it exists; None where nothing is kept.
        """
        return None if self.folder is None else self.folder / f"{kind}-{content_key(what)}.safetensors"

    def get(self, kind: str, what: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
        """The arrays, from disk or computed now.

        A file that cannot be read, does not match its checksum, or was written for something else is kept aside, named
        in a `CorruptCacheWarning`, and computed again.

        Args:
            kind: short name, the first part of the file's.
            what: everything that the arrays depend on (version of the code that makes them included).
            make: computes them.

        Returns:
            {name: array}.
        """
        path = self.path(kind, what)
        if path is not None and path.exists():
            content = path.read_bytes()
            try:
                return _read(content, what)
            except (SafetensorError, ValueError, KeyError, TypeError) as error:
                aside = set_aside(path, content)
                warnings.warn(
                    f"{path}: this cached file is damaged ({error}); it was kept as {aside.name} and is computed again",
                    CorruptCacheWarning,
                    stacklevel=2,
                )
        arrays = {name: np.ascontiguousarray(array) for name, array in make().items()}
        if path is not None:
            note = {"what": _canonical(what), "check": _checksum(arrays)}
            write_atomic(path, save(arrays, metadata=note))
        return arrays


def _read(content: bytes, what: Mapping[str, Any]) -> Arrays:
    arrays = load(content)
    length = int.from_bytes(content[:8], "little")
    note = json.loads(content[8 : 8 + length])["__metadata__"]
    if note["what"] != _canonical(what):
        raise ValueError("written for something else")
    if note["check"] != _checksum(arrays):
        raise ValueError("checksum does not match")
    return arrays


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
