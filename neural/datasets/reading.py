"""Reading small files that others wrote: bounded, strict, and with one kind of error that names the file."""

import itertools
import json
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = [
    "DatasetError",
    "MissingError",
    "listed",
    "plain_text",
    "read_bytes",
    "read_json",
    "read_lines",
    "shown",
]

MAX_BYTES = 1 << 30  # the largest list in use, ImageNet's split, has about 0.2 GB


class DatasetError(ValueError):
    """A file or folder of a data set is missing, malformed, or contradicts another one.

    Args:
        path: which file or folder.
        problem: what is wrong, and what to do.

    Example:
        >>> raise DatasetError("data/split.json", "not JSON (line 3)")
        Traceback (most recent call last):
        ...
        neural.datasets.reading.DatasetError: data/split.json: not JSON (line 3)
    """

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        self.path = Path(path)
        self.problem = problem
        super().__init__(f"{shown(os.fspath(path))}: {problem}")

    def __reduce__(self) -> tuple[type["DatasetError"], tuple[str, str]]:
        return type(self), (str(self.path), self.problem)  # comes back whole from another process


class MissingError(DatasetError):
    """A file or folder of a data set is not there."""


def shown(name: str) -> str:
    """A name that any terminal prints: what is not valid Unicode or would move the cursor is escaped."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def listed(names: Iterable[object], total: int | None = None) -> str:
    """The first ten of `total` names (None counts them), for a message: ``"a, b and 7 more"``."""
    if total is None:
        names = list(names)
        total = len(names)
    text = ", ".join(shown(str(name)) for name in itertools.islice(names, 10))
    return text if total <= 10 else f"{text} and {total - 10:,} more"


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Content of a regular file; a larger one than `max_bytes` is refused before it is read."""
    path = Path(path)
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= max_bytes:
            return path.read_bytes()
    except FileNotFoundError:
        raise MissingError(path, "file not found") from None
    except (OSError, ValueError) as error:
        raise DatasetError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if stat.S_ISREG(found.st_mode):
        raise DatasetError(
            path, f"{found.st_size:,} bytes, more than the {max_bytes:,} that are read from such a file"
        )
    kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
    raise DatasetError(path, f"expected a file, but this is {kind}")


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Content of a UTF-8 file, without a byte-order mark; an error names line and byte."""
    content = read_bytes(path, max_bytes=max_bytes)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            path,
            f"not UTF-8: byte 0x{content[error.start]:02x} in line {line} (offset {error.start}); "
            "convert it, e.g. with iconv -f latin1 -t utf-8",
        ) from None


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 text file, stripped, without blank ones."""
    lines = (line.strip() for line in read_text(path).splitlines())
    return [plain_text(line, path, "a line") for line in lines if line]


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> object:
    """Content of a JSON file, strictly: no repeated keys, no NaN, no endless nesting."""
    text = read_text(path, max_bytes=max_bytes)
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise DatasetError(path, "not JSON that can be used: nested too deeply") from None
    except ValueError as error:
        raise DatasetError(path, f"not valid JSON: {error}") from None


def plain_text(value: object, path: Path, where: str) -> str:
    """A string that can be a name or a path: not empty, no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        raise DatasetError(path, f"{where}: expected text, got {type(value).__name__}")
    if not value.strip():
        raise DatasetError(path, f"{where}: empty text")
    if "\0" in value or (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)):
        raise DatasetError(path, f"{where}: {shown(value[:60])} holds characters that are not text")
    return value


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {shown(twice)!r} appears twice in one object")
    return made


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
