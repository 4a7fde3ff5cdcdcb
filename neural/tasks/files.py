"""A user's own cached embeddings as a task: .npz, .safetensors, and .pth files of tensors; nothing in them is executed."""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.streams import streams
from neural.datasets.array_files import as_array, read_npz, read_safetensors, read_torch
from neural.tasks.task import Embeddings, Task

__all__ = ["from_files", "stratified_split"]

PathLike = str | Path
Indices = NDArray[np.intp]

_PARTS = ("train", "val", "test")
_SUFFIXES = (".npz", ".safetensors", ".pth", ".pt")


def from_files(
    target: PathLike,
    auxiliaries: Mapping[str, PathLike],
    *,
    test: PathLike | Mapping[str, PathLike] | None = None,
    target_name: str = "image",
    aligned: bool | None = None,
    seed: int = 0,
) -> Task:
    """A task from files of labelled embeddings, one for the target and one for each auxiliary modality.

    The extension says how a file is read: `.npz`; `.safetensors`; `.pth` or `.pt`, a dictionary saved with
    `torch.save`, of which only tensors and plain containers are accepted. A set of rows is an (n, d) array `features`
    and an (n,) array `labels` of class numbers 0 to C - 1, stored as whole numbers: a floating-point label is refused
    even where it is whole, since it usually is a score or a regression target.

    The target file has one of three layouts:

    - `train_features`, `train_labels`, the same for `val` and `test`, and any further `NAME_features`, `NAME_labels` as
      another test set (.npz, .safetensors);
    - `features`, `labels` and, where they are split already, `split` with "train", "val", "test" (or 0, 1, 2) for each
      row; else each class is split 60 / 20 / 20 at random (all formats);
    - dictionaries `train` and `val`, each with `features` and `labels` (.pth; the test set comes from `test`).

    An auxiliary or a `test` file has `features` and `labels`; other keys are left alone. Class names, optional: `classes`,
    an array of strings in class order (.npz), the same as a JSON list in the metadata (.safetensors), or
    `lab2cname`, {class number: name} (.pth).

    Args:
        target: file of the modality to classify.
        auxiliaries: {modality: file}; the shared head lives in the first one's space.
        test: file of the test set "test", or {name: file} of several, in addition to those in the target file. A "test"
            is needed; a further set is taken as shifted.
        target_name: name of the target modality.
        aligned: whether all modalities live in one space, as the two towers of CLIP do; None means no, since files
            cannot tell.
        seed: whole number >= 0 for the random split, where there is one.

    Returns:
        Task; `about` names the files with their SHA-256 and says where the split is from.

    Raises:
        FileNotFoundError: no such file; names that come close are shown.
        TypeError: features that are not real numbers, labels that are not stored as whole numbers, or a .pth file that
            does not hold a dictionary.
        ValueError: unknown extension, damaged file, pickled objects, a key that is not there (with those that are), wrong shapes, NaN or infinity, negative labels, a
            class number without samples, dimensions that differ between splits, class names that differ between files.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> y = np.repeat([0, 1], 5)
        >>> np.savez(folder / "image.npz", features=np.eye(10), labels=y, classes=["cat", "dog"])
        >>> np.savez(folder / "text.npz", features=np.ones((10, 3)), labels=y)
        >>> task = from_files(folder / "image.npz", {"text": folder / "text.npz"})
        >>> task.classes, task.dims, len(task.train), task.about["split"]
        (('cat', 'dog'), {'image': 10, 'text': 3}, 6, '60/20/20 per class, seed 0')
    """
    if isinstance(test, Mapping):
        test_files = {name: Path(path) for name, path in test.items()}
    else:
        test_files = {} if test is None else {"test": Path(test)}
    files = {target_name: Path(target), **{name: Path(path) for name, path in auxiliaries.items()}}
    if len(files) <= len(auxiliaries):
        raise ValueError(
            f"{target_name!r} is the target and cannot be its own auxiliary; pass another target_name"
        )
    contents = {name: _read(path) for name, path in files.items()}
    pools, split = _target_pools(contents[target_name], files[target_name], target_name, seed)
    names = {files[name]: _class_names(contents[name], files[name]) for name in files}
    for name, path in test_files.items():
        if name in pools:
            raise ValueError(
                f"{files[target_name]}: already has rows called {name!r}; pass test={{'another name': {str(path)!r}}}"
            )
        content = _read(path)
        pools[name] = _rows(content, "", path, target_name)
        names[path] = _class_names(content, path)
    if "test" not in pools:
        raise ValueError(
            f"{files[target_name]}: there is no test set in this file; pass test=, the path of a file with 'features' and "
            "'labels'"
        )
    classes = _agreed_names(names)
    if classes is None:
        classes = _default_names(pools["train"].labels, files[target_name])
    return Task(
        name=files[target_name].stem,
        classes=classes,
        train=pools["train"],
        val=pools["val"],
        tests={"test": pools["test"]} | {name: pools[name] for name in pools if name not in _PARTS},
        auxiliaries={name: _rows(contents[name], "", files[name], name) for name in auxiliaries},
        target=target_name,
        aligned=bool(aligned),
        about={
            "source": "neural.tasks.files",
            "split": split,
            "files": {name: _fingerprint(path) for name, path in files.items()},
            "test files": {name: _fingerprint(path) for name, path in test_files.items()},
        },
    )


def stratified_split(
    labels: ArrayLike, seed: int, where: str, *, val: float = 0.2, test: float = 0.2
) -> dict[str, Indices]:
    """{"train", "val", "test": ascending rows}, class by class by rounded fractions, one row of each at least."""
    numbers = np.asarray(labels)
    parts: dict[str, list[Indices]] = {part: [] for part in _PARTS}
    for c in np.unique(numbers):
        rows = np.flatnonzero(numbers == c)
        if len(rows) < 3:
            raise ValueError(
                f"{where}: class {c} has {len(rows)} row(s), and a split into train, val and test needs 3; "
                "add rows, or store the split"
            )
        n_val = min(max(1, round(val * len(rows))), len(rows) - 2)
        n_test = min(max(1, round(test * len(rows))), len(rows) - 1 - n_val)
        stream = f"split of class {c}"
        rows = streams(seed, [stream])[stream].permutation(rows)
        parts["val"].append(rows[:n_val])
        parts["test"].append(rows[n_val : n_val + n_test])
        parts["train"].append(rows[n_val + n_test :])
    return {part: np.sort(np.concatenate(rows)) for part, rows in parts.items()}


def _target_pools(
    content: Mapping[str, Any], path: Path, name: str, seed: int
) -> tuple[dict[str, Embeddings], str]:
    """{train, val, and those test sets that the file has: rows}, and where the split is from."""
    if isinstance(content.get("train"), Mapping):
        parts = [part for part in _PARTS if isinstance(content.get(part), Mapping)]
        if "val" not in parts:
            raise ValueError(f"{path}: 'train' is a dictionary but 'val' is not there; {_found(content)}")
        pools = {part: _rows(content[part], "", path, name, part) for part in parts}
        return pools, "in the file"
    if "train_features" in content:
        if "features" in content:
            raise ValueError(f"{path}: has both 'features' and 'train_features'; keep one of the two layouts")
        extra = [key.removesuffix("_features") for key in content if key.endswith("_features")]
        parts = [*_PARTS[:2], *(part for part in extra if part not in _PARTS[:2])]
        return {part: _rows(content, f"{part}_", path, name, part) for part in parts}, "in the file"
    if "features" not in content:
        raise ValueError(
            f"{path}: neither 'train_features' nor 'features' is there (nor, in a .pth, dictionaries 'train' and 'val'); "
            f"{_found(content)}"
        )
    rows = _rows(content, "", path, name)
    if "split" in content:
        which, split = _stored_split(as_array(content["split"]), len(rows), path), "in the file"
    else:
        which, split = stratified_split(rows.labels, seed, str(path)), f"60/20/20 per class, seed {seed}"
    return {part: rows.take(chosen) for part, chosen in which.items()}, split


def _stored_split(split: NDArray[Any], n: int, path: Path) -> dict[str, Indices]:
    if split.shape != (n,):
        raise ValueError(f"{path}: 'split' has shape {split.shape}, but there are {n} rows")
    known: Sequence[Any] = range(3) if split.dtype.kind in "iu" else _PARTS
    found = sorted(set(split.tolist()), key=str)
    strange = [value for value in found if value not in known]
    if strange:
        raise ValueError(
            f"{path}: 'split' holds {strange[0]!r}; allowed are 'train', 'val', 'test', or 0, 1, 2 in this order"
        )
    for value, part in zip(known, _PARTS, strict=True):
        if value not in found:
            raise ValueError(f"{path}: 'split' marks no row as {part}")
    return {part: np.flatnonzero(split == value) for value, part in zip(known, _PARTS, strict=True)}


def _rows(content: Mapping[str, Any], prefix: str, path: Path, name: str, part: str = "") -> Embeddings:
    """One set of labelled rows; messages name the file, the rows only their modality (it keys their draws)."""
    for key in (f"{prefix}features", f"{prefix}labels"):
        if key not in content:
            inside = f" in {part!r}" if part and not prefix else ""
            raise ValueError(f"{path}: no {key!r}{inside}; {_found(content)}")
    where = f"{path}: {part}" if part else str(path)
    features = as_array(content[f"{prefix}features"])
    labels = as_array(content[f"{prefix}labels"])
    if labels.dtype.kind == "f":
        raise TypeError(
            f"{where}: labels are stored as {labels.dtype}; store class numbers as whole numbers (int64), "
            "labels.astype('int64') if that is what they are"
        )
    checked = Embeddings(features, labels, where)
    return Embeddings(checked.features, checked.labels, name)


def _class_names(content: Mapping[str, Any], path: Path) -> tuple[str, ...] | None:
    by_number = content.get("lab2cname")
    if isinstance(by_number, Mapping):
        if sorted(by_number, key=str) != sorted(range(len(by_number)), key=str):
            raise ValueError(
                f"{path}: 'lab2cname' must have the keys 0 to {len(by_number) - 1}, one per class; got {list(by_number)[:5]}"
            )
        return tuple(str(by_number[c]) for c in range(len(by_number)))
    if content.get("classes") is None:
        return None
    names = content["classes"]
    listed = names.tolist() if isinstance(names, np.ndarray) else names
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise ValueError(
            f"{path}: 'classes' must be a list of strings, one name per class; got {names!r:.80}"
        )
    return tuple(listed)


def _agreed_names(names: Mapping[Path, tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """The class names of the files that have them, which must be the same in all."""
    known = [(path, classes) for path, classes in names.items() if classes is not None]
    for path, classes in known[1:]:
        first_path, first = known[0]
        if len(classes) != len(first):
            raise ValueError(f"{path}: names {len(classes)} classes, but {first_path} names {len(first)}")
        differ = [c for c in range(len(first)) if first[c] != classes[c]]
        if differ:
            shown = "; ".join(f"class {c} is {classes[c]!r}, there {first[c]!r}" for c in differ[:3])
            order = " (the same names in another order)" if sorted(first) == sorted(classes) else ""
            raise ValueError(
                f"{path}: {len(differ)} of {len(first)} class names differ from those in {first_path}{order}: {shown}; "
                "labels must mean the same in all files"
            )
    return known[0][1] if known else None


def _default_names(labels: NDArray[np.int64], path: Path) -> tuple[str, ...]:
    present = np.unique(labels)
    if present[-1] >= len(present):
        gap = int(np.flatnonzero(present != np.arange(len(present)))[0])
        raise ValueError(
            f"{path}: train: labels go up to {present[-1]}, but no row has label {gap}; number the classes from 0 "
            "without gaps, or store their names"
        )
    return tuple(f"class {c}" for c in range(len(present)))


def _read(path: Path) -> dict[str, Any]:
    """What is in a file, by key."""
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"{path}: unknown extension {path.suffix!r}; readable are {', '.join(_SUFFIXES)}")
    if not path.is_file():
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path}: no such file; the folder {path.parent} does not exist")
        near = difflib.get_close_matches(path.name, [other.name for other in path.parent.iterdir()], n=3)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise FileNotFoundError(f"{path}: no such file{hint}")
    if path.suffix == ".npz":
        return read_npz(path, _is_wanted)
    if path.suffix == ".safetensors":
        return read_safetensors(path, _is_wanted, ["classes"])
    content = read_torch(path)
    if not isinstance(content, Mapping):
        raise TypeError(f"{path}: expected a dictionary, got {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def _is_wanted(key: str) -> bool:
    """Whether a key is part of a layout; others stay unread, whatever they hold."""
    return key in ("features", "labels", "split", "classes") or key.endswith(("_features", "_labels"))


def _found(content: Mapping[str, Any]) -> str:
    return f"keys found: {', '.join(map(repr, content)) or 'none'}"


def _fingerprint(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return {"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
