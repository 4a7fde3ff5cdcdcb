"""The folder of one encoder's features: shards, claims on those to come, and a manifest of what made them."""

import contextlib
import hashlib
import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import require_memory
from fisherkit.files import content_key, write_atomic
from neural.embed import Encoder
from neural.embed.claims import Claim
from neural.embed.shards import (
    MANIFEST,
    Shard,
    read_items,
    read_shard,
    shard_paths,
    write_shard,
)
from neural.store.safe_file import DAMAGE, read_whole

__all__ = ["FeatureStore", "wait"]

_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "Pillow", "scipy")


class FeatureStore:
    """What one encoder made of inputs, by their digests; any number of processes may fill it at the same time.

    Attributes:
        key: hash of everything that features depend on besides the input.
        folder: where the store lies, in the cache of all encoders.
    """

    def __init__(self, cache: Path, encoder: Encoder, *, tokens: bool = False) -> None:
        self.name = encoder.name
        self.tokens = tokens
        self._identity = json.loads(json.dumps({"encoder": encoder.identity, "tokens": tokens}))
        self._modality = encoder.modality
        self.key = content_key(self._identity)
        self.folder = Path(cache) / f"{encoder.modality}-{self.key}"
        self._known: dict[Path, tuple[int, int]] = {}
        self._where: dict[bytes, tuple[Path, int]] = {}

    def refresh(self, paths: Sequence[Path] | None = None) -> None:
        """Take note of shards (of the whole folder if None) that came, went or changed since the last time."""
        looked = set(self._known) if paths is None else set(paths) & self._known.keys()
        now: dict[Path, tuple[int, int]] = {}
        for path in shard_paths(self.folder) if paths is None else paths:
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                now[path] = found.st_size, found.st_mtime_ns
        self._forget({path for path in looked if now.get(path) != self._known[path]})
        for path, stamp in now.items():
            if path in self._known:
                continue
            try:
                items = read_items(path)
            except FileNotFoundError:
                continue
            except (OSError, *DAMAGE):
                self._read(path)  # says what is wrong with it
                continue
            self._known[path] = stamp
            for row, item in enumerate(map(bytes, items)):
                self._where.setdefault(item, (path, row))

    def missing(self, digests: Sequence[bytes]) -> list[int]:
        """Positions, ascending, of inputs that had no features at the last `refresh`."""
        return [i for i, digest in enumerate(digests) if digest not in self._where]

    def shard_path(self, digests: Sequence[bytes]) -> Path:
        """Where features of these inputs, in this order, are written; the same in all processes."""
        return self.folder / f"shard-{hashlib.sha256(b''.join(digests)).hexdigest()[:16]}.safetensors"

    @contextlib.contextmanager
    def claimed(self, path: Path) -> Iterator[Claim | None]:
        """Claim a shard for the time that it takes to make it; None where another process has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        claim = Claim.take(path.with_suffix(".claim"))
        try:
            yield claim
        finally:
            if claim is not None:
                claim.release()

    def add(self, path: Path, digests: Sequence[bytes], rows: Sequence[NDArray[np.float32]]) -> None:
        """Write features of inputs to a `shard_path`; what the shard held before stays in it."""
        self._write_manifest()
        content = dict(zip(digests, rows, strict=True))
        before = self._read(path)
        if before is not None:
            content |= dict(zip(map(bytes, before.items), before.rows(), strict=True))
        items = np.frombuffer(b"".join(content), np.uint8).reshape(len(content), -1)
        parts = list(content.values())
        if self.tokens:
            shard = Shard(items, np.concatenate(parts), np.array([len(part) for part in parts]))
        else:
            shard = Shard(items, np.stack(parts))
        write_shard(path, shard, self.key)

    def rows(self, digests: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """{digest: features}, as far as there are any; damaged shards are moved aside with a `CorruptCacheWarning`."""
        self.refresh()
        wanted: dict[Path, list[tuple[bytes, int]]] = {}
        for digest in set(digests) & self._where.keys():
            path, row = self._where[digest]
            wanted.setdefault(path, []).append((digest, row))
        size = sum(self._known[path][0] for path in wanted)
        require_memory(2 * size, f"{self.name}: reading the features of {len(digests)} inputs at a time")
        found: dict[bytes, NDArray[np.float32]] = {}
        for path, places in wanted.items():
            shard = self._read(path)
            if shard is not None:
                rows = shard.rows()
                found |= {digest: rows[row] for digest, row in places if row < len(rows)}
        return found

    def _forget(self, paths: set[Path]) -> None:
        if paths:
            self._known = {path: stamp for path, stamp in self._known.items() if path not in paths}
            self._where = {digest: place for digest, place in self._where.items() if place[0] not in paths}

    def _read(self, path: Path) -> Shard | None:
        """A shard; None, and forgotten, where it is damaged or gone."""
        damaged, remedy = f"this shard of {self.name} is damaged", " and is encoded again"
        shard = read_whole(path, lambda content: read_shard(content, self.key), damaged, remedy, move=True)
        if shard is None:
            self._forget({path})
        return shard

    def _write_manifest(self) -> None:
        def sound(content: bytes) -> bool:
            if json.loads(content)["identity"] != self._identity:
                raise ValueError("it describes another encoder")
            return True

        path = self.folder / MANIFEST
        if read_whole(path, sound, "this manifest is damaged", " and written again"):
            return
        note = {
            "format": 1,
            "name": self.name,
            "modality": self._modality,
            "key": self.key,
            "identity": self._identity,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "libraries": _libraries(),
        }
        write_atomic(path, json.dumps(note, indent=2).encode())


def _libraries() -> Mapping[str, Any]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def wait() -> None:
    """A moment for another process to get on with its work."""
    time.sleep(0.2)
