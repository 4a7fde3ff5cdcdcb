"""Dictionaries of arrays on disk: read from a pickle (restricted) or an npz file, converted from one to the other."""

import argparse
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fisherkit.files import write_atomic
from neural.datasets.array_files import read_npz
from neural.datasets.reading import DatasetError, listed
from neural.datasets.restricted_pickle import MAX_BYTES, load_pickle

__all__ = ["add_command", "convert", "read_tree"]

Tree = dict[str, object]
MAX_TEXT_BYTES = 1 << 28


def read_tree(path: Path, *, max_bytes: int = MAX_BYTES) -> Tree:
    """A nested dictionary of arrays: .npz as `convert` writes it (slashes make levels), or a restricted pickle."""
    path = Path(path)
    if path.suffix == ".npz":
        return _tree(read_npz(path, max_bytes=max_bytes), path)
    held = load_pickle(path, max_bytes=max_bytes)
    if not isinstance(held, dict):
        raise DatasetError(path, f"expected a dictionary of arrays, got a {type(held).__name__}")
    return {str(key): value for key, value in held.items()}


def convert(source: Path, target: Path | None = None) -> Path:
    """Write the arrays of a pickle as npz, which cannot hold code, beside it; slashes join the names of levels."""
    source = Path(source)
    target = source.with_suffix(".npz") if target is None else Path(target)
    if target.suffix != ".npz":
        raise ValueError(f"{target}: the name must end in .npz")
    tree = read_tree(source)

    def write(handle: IO[bytes]) -> None:
        with zipfile.ZipFile(handle, "w") as archive:
            for name, array in _leaves(tree, source, ""):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    write_atomic(target, write)
    return target


def _tree(arrays: Mapping[str, object], path: Path) -> Tree:
    """Arrays in levels, by the slashes of their names."""
    tree: Tree = {}
    for member, array in arrays.items():
        *levels, name = member.split("/")
        at = tree
        for level in levels:
            below = at.setdefault(level, {})
            if not isinstance(below, dict):
                raise DatasetError(path, f"{member}: {level} is an array and a level")
            at = below
        at[name] = array
    return tree


def _leaves(held: Mapping[str, object], path: Path, prefix: str) -> Iterator[tuple[str, NDArray]]:
    for key, value in held.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, path, f"{name}/")
            continue
        array = np.asarray(value, dtype=object) if isinstance(value, (list, tuple)) else np.asarray(value)
        yield name, _without_objects(array, path, name)


def _without_objects(array: NDArray, path: Path, name: str) -> NDArray:
    """An array of objects as one of text or numbers, unless text of one long entry would be repeated for all."""
    if array.dtype.kind != "O":
        return array
    flat = array.ravel().tolist()
    kinds = {type(entry) for entry in flat}
    if kinds <= {int, float, bool}:
        return np.array(flat, dtype=np.float64).reshape(array.shape)
    if not kinds <= {str, bytes, int, float, bool}:
        found = listed(sorted(kind.__name__ for kind in kinds))
        raise DatasetError(path, f"{name}: cannot be kept in an npz file (it holds {found})")
    texts = [entry.decode("latin1") if isinstance(entry, bytes) else str(entry) for entry in flat]
    if 4 * len(texts) * max(map(len, texts)) > MAX_TEXT_BYTES:
        raise DatasetError(path, f"{name}: text too long to be kept in an array of fixed width")
    return np.array(texts).reshape(array.shape)


def add_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``convert`` to the command line."""
    parser = subparsers.add_parser(
        "convert", help="MultiBench pickles to npz, without running what is in them", allow_abbrev=False
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="PICKLE")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    for source in options.files:
        print(f"{source} -> {convert(source)}")
    return 0
