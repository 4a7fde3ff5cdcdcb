"""Inputs by their content: a digest per sentence or file, so that renamed and repeated inputs are encoded once."""

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load, save

from fisherkit.files import write_atomic
from neural.embed.shards import DIGEST_BYTES

__all__ = ["digests_of"]

Digests = NDArray[np.uint8]
_SETTLED = 2 * 10**9  # ns; a file that changed less than this before it was read may change again unnoticed


def digests_of(inputs: Sequence[Any], modality: str, name: str, *, memo: Path | None = None) -> Digests:
    """(n, 16) uint8, one per input; the folder `memo` remembers files by size and time of change."""
    if isinstance(inputs, (str, Path)):
        raise TypeError(
            f"{name}: inputs must be a sequence, got the single {type(inputs).__name__} {str(inputs)!r}"
        )
    if modality == "text":
        for i, text in enumerate(inputs):
            if not isinstance(text, str):
                raise TypeError(
                    f"{name}: encodes text, but input {i} is {text!r} of type {type(text).__name__}; pass strings"
                )
        return _stack([_digest(b"text", text.encode("utf-8", "surrogatepass")) for text in inputs])
    accepted = (str, Path, Image.Image) if modality == "image" else (str, Path)
    for i, source in enumerate(inputs):
        if not isinstance(source, accepted):
            raise TypeError(
                f"{name}: encodes {modality}, but input {i} is of type {type(source).__name__}; pass paths"
            )
    in_memory = {i: _image(source) for i, source in enumerate(inputs) if isinstance(source, Image.Image)}
    files = [os.fspath(source) for source in inputs if not isinstance(source, Image.Image)]
    if not in_memory:
        return _files(files, modality, name, memo)
    out = np.empty((len(inputs), DIGEST_BYTES), np.uint8)
    on_disk = [i for i in range(len(inputs)) if i not in in_memory]
    out[list(in_memory)] = _stack(list(in_memory.values()))
    out[on_disk] = _files(files, modality, name, memo)
    return out


def _files(paths: list[str], modality: str, name: str, memo: Path | None) -> Digests:
    stats = np.empty((len(paths), 2), np.int64)
    for i, path in enumerate(paths):
        try:
            found = os.stat(path)
        except (OSError, ValueError) as error:
            raise FileNotFoundError(
                f"{name}: encodes {modality} files, and input {i} ({path[:200]!r}) is none ({error}); "
                "check the path, or use a text encoder for sentences"
            ) from error
        stats[i] = found.st_size, found.st_mtime_ns
    listed = _digest(b"paths", chr(0).join(paths).encode("utf-8", "surrogateescape")).hex()
    where = memo and memo / f"{listed}.safetensors"
    out = np.zeros((len(paths), DIGEST_BYTES), np.uint8)
    fresh = np.zeros(len(paths), bool)
    if where and where.exists():
        try:
            known = load(where.read_bytes())
            fresh = (known["stats"] == stats).all(axis=1)
            out[fresh] = known["digests"][fresh]
        except (OSError, SafetensorError, KeyError, ValueError):
            fresh[:] = False  # worth nothing but time
    todo = np.flatnonzero(~fresh)
    now = time.time_ns()
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for row, digest in zip(todo, pool.map(_file, [paths[i] for i in todo]), strict=True):
            out[row] = np.frombuffer(digest, np.uint8)
    if where and len(todo):
        stats[stats[:, 1] > now - _SETTLED] = -1
        write_atomic(where, save({"stats": stats, "digests": out}))
    return out


def _file(path: str) -> bytes:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").digest()[:DIGEST_BYTES]


def _image(image: Image.Image) -> bytes:
    return _digest(f"{image.mode} {image.size}".encode(), image.tobytes(), repr(image.getpalette()).encode())


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()[:DIGEST_BYTES]


def _stack(digests: list[bytes]) -> Digests:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
