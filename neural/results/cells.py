"""Finished cells of a study: each is there in full or not at all, whatever kills the study, and whoever else writes."""

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from fisherkit.files import canonical, set_aside, write_atomic
from fisherkit.files import content_key as cell_key

__all__ = ["Cells", "CorruptCellsWarning", "cell_key", "seed_of"]


class _HasKey(Protocol):
    @property
    def key(self) -> dict[str, Any]:
        """Everything that decides a result."""


Keyed = TypeVar("Keyed", bound=_HasKey)


class CorruptCellsWarning(UserWarning):
    """A file of finished cells could not be read in full; it was moved aside, not deleted."""


class Cells:
    """Finished cells of a study in one JSON-lines file, complete or absent, never half a line.

    Every line carries the cell, its result and a checksum of both. If a line does not check, the whole file is moved
    to ``NAME.corrupt-1.jsonl`` (or the next free number), a `CorruptCellsWarning` names both files and the lines,
    and the lines that do check are kept.

    Args:
        path: the file; its folder is made when the first cell is added.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "study.jsonl"
        >>> Cells(path).add([({"seed": 1}, {"mse": 0.5})])
        >>> Cells(path).get({"seed": 1})
        {'mse': 0.5}
        >>> Cells(path).missing([{"seed": 1}, {"seed": 2}])
        [{'seed': 2}]
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lines: dict[str, str] = {}
        self._results: dict[str, dict[str, Any]] = {}
        self._seen: set[str] = set()  # lines that were read and check
        if self.path.exists():
            self._read()

    def __len__(self) -> int:
        return len(self._lines)

    def get(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """Result of a finished cell as it was added (tuples come back as lists); KeyError where it is not finished."""
        key = cell_key(cell)
        if key not in self._results:
            raise KeyError(f"cell not finished: {dict(cell)}; compute what `missing` returns first")
        return self._results[key]

    def missing(self, cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those cells that have no result yet, each once, in order."""
        todo = {cell_key(cell): cell for cell in cells}
        return [cell for key, cell in todo.items() if key not in self._results]

    def unfinished(self, cells: Iterable[Keyed]) -> list[Keyed]:
        """The same for objects whose `key` is such a dictionary; equal ones count once."""
        by_key = {cell_key(cell.key): cell for cell in cells}
        return [by_key[cell_key(key)] for key in self.missing(cell.key for cell in by_key.values())]

    def add(self, finished: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        """Store results; when this returns they are on disk. If it fails or is killed, all is as it was before.

        Args:
            finished: (cell, result) pairs; results are made of what JSON can hold.

        Raises:
            ValueError: a result holds a NaN or infinity; says which cell's.
        """
        lines, results = {}, {}
        for cell, result in finished:
            try:
                made = {"cell": dict(cell), "result": dict(result)}
                check, body = cell_key(made), canonical(made)
            except ValueError as error:
                raise ValueError(
                    f"result of cell {dict(cell)} cannot be stored: {error}; nothing was added. Keep values finite, or "
                    "store None"
                ) from None
            key = cell_key(cell)
            lines[key] = f'{{"check":"{check}","body":{body}}}'
            results[key] = json.loads(body)["result"]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(self.path.parent):
            if self.path.exists():  # another study may have added its own since
                self._read()
            lines, results = self._lines | lines, self._results | results
            write_atomic(self.path, "".join(f"{line}\n" for line in lines.values()).encode())
        self._lines, self._results = lines, results

    def _read(self) -> None:
        """Take in what the file holds; keep a damaged one aside and say so."""
        bad, content = [], self.path.read_bytes()
        for number, raw in enumerate(content.splitlines(), start=1):
            line = raw.decode(errors="replace")
            if line in self._seen:
                continue
            try:
                entry = json.loads(line)
                if cell_key(entry["body"]) != entry["check"]:
                    raise ValueError("checksum")
                key = cell_key(entry["body"]["cell"])
                self._lines[key], self._results[key] = line, entry["body"]["result"]
                self._seen.add(line)
            except (ValueError, KeyError, TypeError):
                bad.append(number)
        if bad:
            aside = set_aside(self.path, content)  # first: it may hold what cannot be had again
            write_atomic(self.path, "".join(f"{line}\n" for line in self._lines.values()).encode())
            warnings.warn(
                f"{self.path}: line(s) {', '.join(map(str, bad[:5]))} of the finished cells are damaged; the file was "
                f"moved to {aside}, {len(self._lines)} intact cells are kept and the others will be computed again",
                CorruptCellsWarning,
                stacklevel=3,
            )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """No other process is inside for the same folder, where the system has such locks."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system: two studies at once must not share --runs there
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def seed_of(*key: float) -> np.random.SeedSequence:
    """A seed for one point of a study that does not depend on which other points are computed.

    Args:
        *key: numbers >= 0 that say which point, told apart to a thousandth.

    Returns:
        The seed.

    Example:
        >>> seed_of(1, 0.25).entropy
        [1000, 250]
    """
    return np.random.SeedSequence([round(1000 * k) for k in key])
