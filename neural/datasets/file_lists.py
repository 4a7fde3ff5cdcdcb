"""Lists of files that users write themselves: CSV or JSON, with path, label and, where wanted, part."""

import csv
import io
from pathlib import Path

import numpy as np

from neural.datasets.coop import reroot
from neural.datasets.items import PARTS, ImageDataset, Items, missing_labels, named_by
from neural.datasets.reading import DatasetError, listed, plain_text, read_json, read_text, shown
from neural.datasets.splitting import FRACTIONS, PART_NAMES, part_of, with_all_parts

__all__ = ["read_list"]

COLUMNS = ("path", "label", "split", "classname")


def read_list(
    path: Path,
    root: Path | None = None,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
    name: str | None = None,
) -> ImageDataset:
    """Read ``path,label[,split][,classname]`` from a .csv (with these headings) or .json file (list of objects).

    Labels that are all whole numbers are class numbers, named by ``classname`` or else by the number; other labels are
    class names, numbered in sorted order. Parts that no row is of are dealt from train's by seed, all three without
    ``split``.

    Args:
        path: the list.
        root: folder to which its paths are relative; None takes the list's own.
        seed: of the parts, where they are dealt.
        fractions: shares of train, val and test, where they are dealt.
        name: short name; None takes the file's.

    Returns:
        ImageDataset; whether the images exist is not looked at.

    Raises:
        DatasetError: not in this format, unknown parts, gaps in the labels, two names for one label, a file twice.
    """
    path = Path(path)
    root = path.parent if root is None else Path(root)
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    if not rows:
        raise DatasetError(path, "no files are listed")
    split = ["split" in row for row in rows]
    if any(split) and not all(split):
        raise DatasetError(
            path, f"row {split.index(False) + 1} has no split, but others have; give all or none"
        )
    labels, classes = _numbered(rows, path)
    paths = [reroot(row["path"], ()) for row in rows]
    if all(split):
        parts = [part_of(row["split"]) for row in rows]
        if None in parts:
            at = parts.index(None)
            raise DatasetError(
                path, f"row {at + 1}: unknown split {rows[at]['split']!r}; known: {', '.join(PART_NAMES)}"
            )
        if "train" not in parts:
            raise DatasetError(
                path, f"no row is of train; its parts are {listed(sorted(set(filter(None, parts))))}"
            )
    else:
        parts = ["train"] * len(rows)
    chosen = {part: [i for i, of in enumerate(parts) if of == part] for part in PARTS if part in parts}
    with named_by(path):
        given = {
            part: Items(root, tuple(paths[i] for i in at), np.array([labels[i] for i in at], dtype=np.int64))
            for part, at in chosen.items()
        }
        items, dealt = with_all_parts(given, classes, seed, fractions)
        return ImageDataset(
            name or path.stem, tuple(classes), **items, source=path, about={"layout": "list"} | dealt
        )


def _numbered(rows: list[dict[str, str]], path: Path) -> tuple[list[int], list[str]]:
    """Class numbers of the rows, and the names of the classes."""
    if not all(row["label"].isascii() and row["label"].isdigit() and len(row["label"]) < 10 for row in rows):
        classes = sorted({row["label"] for row in rows})
        number = {called: label for label, called in enumerate(classes)}
        return [number[row["label"]] for row in rows], classes
    labels = [int(row["label"]) for row in rows]
    names: dict[int, str] = {}
    for at, (label, row) in enumerate(zip(labels, rows, strict=True), start=1):
        called = row.get("classname", str(label))
        if names.setdefault(label, called) != called:
            raise DatasetError(
                path, f"row {at}: label {label} is called {called!r} here and {names[label]!r} before"
            )
    count, first = missing_labels(names)
    if count:
        raise DatasetError(
            path, f"labels have gaps: {listed(first, count)} of 0 to {max(names)} are not used"
        )
    return labels, [names[label] for label in range(len(names))]


def _csv_rows(path: Path) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        heads = [head.strip().lower() for head in reader.fieldnames or []]
        reader.fieldnames = heads
        lacking = [column for column in COLUMNS[:2] if column not in heads]
        if lacking:
            raise DatasetError(
                path,
                f"no column {' and '.join(lacking)}; the first line must name the columns, e.g. path,label,split",
            )
        return [_row(row, path, f"row {at}") for at, row in enumerate(reader, start=1)]
    except csv.Error as error:
        raise DatasetError(path, f"not valid CSV (line {reader.line_num}): {error}") from None


def _json_rows(path: Path) -> list[dict[str, str]]:
    content = read_json(path)
    if not isinstance(content, list):
        raise DatasetError(
            path, "expected a list of objects with path and label (a CoOp split is read by read_split)"
        )
    return [_row(row, path, f"row {at}") for at, row in enumerate(content, start=1)]


def _row(row: object, path: Path, where: str) -> dict[str, str]:
    """Text of the known columns; empty optional ones are left out."""
    if not isinstance(row, dict):
        raise DatasetError(path, f"{where}: expected an object with path and label, got {type(row).__name__}")
    texts: dict[str, str] = {}
    for column in COLUMNS:
        value = row.get(column)
        if column == "label" and type(value) is int and abs(value) < 2**31:
            value = str(value)
        if value is None or value == "":
            if column in COLUMNS[:2]:
                raise DatasetError(path, f"{where}: no {column}")
            continue
        texts[column] = plain_text(value, path, f"{where}: {shown(column)}").strip()
    return texts
