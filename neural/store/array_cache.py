"""Arrays that take long to compute, kept on disk under everything they depend on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.files import canonical, content_key
from neural.store.safe_file import CorruptCacheWarning, read_whole, unpack, write_arrays

__all__ = ["ArrayCache", "CorruptCacheWarning", "content_key"]

Arrays = dict[str, NDArray[Any]]


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
        """Where a computation's arrays are kept, or would be; None where nothing is kept."""
        return None if self.folder is None else self.folder / f"{kind}-{content_key(what)}.safetensors"

    def get(self, kind: str, what: Mapping[str, Any], make: Callable[[], Arrays]) -> Arrays:
        """The arrays, from disk or computed now; a damaged or foreign file is kept aside, which a warning says."""
        path = self.path(kind, what)

        def read(content: bytes) -> Arrays:
            arrays, header = unpack(content)
            if header["what"] != canonical(what):
                raise ValueError("written for something else")
            return arrays

        if path is not None:
            kept = read_whole(path, read, "this cached file is damaged", " and is computed again")
            if kept is not None:
                return kept
        arrays = {name: np.ascontiguousarray(array) for name, array in make().items()}
        if path is not None:
            write_arrays(path, arrays, {"what": canonical(what)})
        return arrays
