"""Writing files: a reader, or a killed run, sees the old content or the new, never a part; damaged files are kept."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

__all__ = ["canonical", "content_key", "set_aside", "write_atomic"]


def write_atomic(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file so that readers see the old content or the new, never a part.

    Args:
        path: target; its folder is made if need be.
        content: bytes, or what writes them to a file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as handle:
            if callable(content):
                content(handle)
            else:
                handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def set_aside(path: Path, content: bytes) -> Path:
    """Keep a damaged file's content beside it, as ``NAME.corrupt-1.EXT`` or the next free number.

    Args:
        path: the damaged file, which stays where it is.
        content: what was read from it.

    Returns:
        Where the content is now.
    """
    path = Path(path)
    aside = next(
        candidate
        for n in range(1, 10**6)
        if not (candidate := path.with_suffix(f".corrupt-{n}{path.suffix}")).exists()
    )
    write_atomic(aside, content)
    return aside


def content_key(what: Mapping[str, Any]) -> str:
    """Hash of everything that a dictionary says; the order of its entries does not matter.

    Args:
        what: strings, numbers, booleans, None, lists and dictionaries of these.

    Returns:
        16 hexadecimal digits.

    Raises:
        TypeError: an entry that JSON cannot hold.
        ValueError: a NaN or infinity.

    Example:
        >>> content_key({"seed": 1, "size": 32}) == content_key({"size": 32, "seed": 1})
        True
    """
    return hashlib.sha256(canonical(what).encode()).hexdigest()[:16]


def canonical(value: object) -> str:
    """One text per value, the same before and after a round trip through JSON (which turns all keys into strings)."""
    plain = json.loads(json.dumps(value, allow_nan=False))
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))
