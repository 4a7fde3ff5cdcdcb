"""Writing results as CSV and JSON, atomically."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np

from fisherkit.files import write_atomic

__all__ = ["write_atomic", "write_csv", "write_json"]


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically; dataclasses as dictionaries, arrays as lists."""
    write_atomic(path, (json.dumps(value, indent=1, default=_plain, allow_nan=False) + "\n").encode())


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows as CSV, atomically; the header is the union of their entries, in order of appearance."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode())


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"JSON cannot hold a {type(value).__name__}")
