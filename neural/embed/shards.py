"""Shards: safetensors files of a few hundred inputs' features, each written whole, with a checksum of its content."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from neural.store.safe_file import unpack, write_arrays

__all__ = [
    "DIGEST_BYTES",
    "MANIFEST",
    "Shard",
    "read_items",
    "read_shard",
    "shard_paths",
    "write_shard",
]

DIGEST_BYTES = 16
MANIFEST = "manifest.json"  # beside the shards: what made them
_NAME = re.compile(r"shard-[0-9a-f]{16}\.safetensors")


@dataclass(frozen=True, eq=False)
class Shard:
    """Features of some inputs."""

    items: NDArray[np.uint8]  # (n, 16) digests of the inputs
    features: NDArray[np.float32]  # (n, d), or (sum of lengths, d) token by token
    lengths: NDArray[np.int64] | None = None  # (n,) tokens of each input; None for one vector per input

    def rows(self) -> list[NDArray[np.float32]]:
        """Features input by input: n arrays, (d,) or (tokens, d)."""
        if self.lengths is None:
            return list(self.features)
        return np.split(self.features, np.cumsum(self.lengths)[:-1])


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a folder, if any, by name; parts of unfinished writes and files set aside are none."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def write_shard(path: Path, shard: Shard, key: str) -> None:
    """Write a shard under the key of its encoder; readers see all of it or nothing."""
    arrays: dict[str, NDArray[Any]] = {"items": shard.items, "features": shard.features}
    if shard.lengths is not None:
        arrays["lengths"] = shard.lengths
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_arrays(path, arrays, {"key": key})


def read_items(path: Path) -> NDArray[np.uint8]:
    """(n, 16) digests of whose features a shard holds, without reading these; else `DAMAGE` or OSError."""
    with safe_open(path, framework="np") as file:
        return _checked(file.get_tensor("items"))


def read_shard(content: bytes, key: str) -> Shard:
    """A shard, checked against its checksum and its encoder's key; damage raises any of `DAMAGE`."""
    arrays, note = unpack(content)
    shard = Shard(_checked(arrays["items"]), arrays["features"], arrays.get("lengths"))
    if note["key"] != key:
        raise ValueError(f"made for {note['key']}")
    rows = len(shard.features) if shard.lengths is None else len(shard.lengths)
    if len(shard.items) != rows:
        raise ValueError(f"{len(shard.items)} inputs, but features of {rows}")
    return shard


def _checked(items: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if items.dtype != np.uint8 or items.ndim != 2 or items.shape[1] != DIGEST_BYTES:
        raise ValueError(f"items have shape {items.shape} and type {items.dtype}")
    return items
