"""Labelled files and the data sets made of them: immutable, and checked before anything reads a pixel."""

import contextlib
import itertools
import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_whole
from neural.datasets.reading import DatasetError, MissingError, listed
from neural.labelled_rows import draw_per_class

__all__ = ["PARTS", "FewShotItems", "ImageDataset", "Items", "draw_per_class", "missing_labels", "named_by"]

Labels = NDArray[np.int64]
PARTS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Items:
    """Files below one folder, each with a class number.

    Attributes:
        root: the folder.
        paths: n paths relative to it, with forward slashes; each at most once.
        labels: (n,) int64 class numbers, >= 0; read-only.

    Raises:
        DatasetError: a path that leaves the folder or appears twice, as many labels as paths not given, a label that
            is no class number.

    Example:
        >>> pets = Items(Path("pets"), ("a/1.jpg", "b/1.jpg", "b/2.jpg"), [0, 1, 1])
        >>> len(pets), pets.counts(3).tolist(), pets.take([2]).paths
        (3, [1, 2, 0], ('b/2.jpg',))
    """

    root: Path
    paths: tuple[str, ...]
    labels: Labels

    def __post_init__(self) -> None:
        root, paths = Path(self.root), tuple(self.paths)
        labels = np.array(self.labels) if len(paths) else np.zeros(0, dtype=np.int64)
        if labels.dtype.kind not in "iu" or labels.shape != (len(paths),):
            raise DatasetError(
                root,
                f"{len(paths)} paths need as many whole-number labels, got {labels.dtype} of shape {labels.shape}",
            )
        if len(labels) and (labels.min() < 0 or labels.max() >= 2**31):
            wrong = int(np.flatnonzero((labels < 0) | (labels >= 2**31))[0])
            raise DatasetError(root, f"label {labels[wrong]} of {paths[wrong]}: labels run from 0 upwards")
        bad = [path for path in paths if not _inside(path)]
        if bad:
            raise DatasetError(
                root, f"{len(bad)} paths do not lie below this folder in normal form: {listed(bad)}"
            )
        twice = _repeated(paths)
        if twice:
            raise DatasetError(root, f"{len(twice)} files are listed twice: {listed(twice)}")
        labels = labels.astype(np.int64)
        labels.flags.writeable = False
        object.__setattr__(self, "root", root)
        object.__setattr__(self, "paths", paths)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> list[Path]:
        """Full path of every file, in order."""
        return [self.root / path for path in self.paths]

    def counts(self, n_classes: int) -> Labels:
        """(C,) number of files per class."""
        return np.bincount(self.labels, minlength=n_classes)[:n_classes].astype(np.int64)

    def take(self, rows: ArrayLike) -> "Items":
        """The files of these indices, in the order given, or of a mask."""
        chosen = np.asarray(rows)
        if chosen.dtype.kind == "b":
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        return Items(self.root, tuple(self.paths[i] for i in chosen), self.labels[chosen])

    def missing(self) -> list[str]:
        """Relative paths of files not on disk, broken links included; each folder is listed once, for speed."""
        by_folder: dict[str, list[str]] = {}
        for path in self.paths:
            by_folder.setdefault(posixpath.dirname(path), []).append(path)
        present = {folder: _files_in(self.root / folder) for folder in by_folder}
        return [
            path for path in self.paths if posixpath.basename(path) not in present[posixpath.dirname(path)]
        ]


@dataclass(frozen=True, eq=False)
class FewShotItems:
    """What one repetition trains on and selects by.

    Attributes:
        train: k files per class.
        val: min(k, 4) files per class.
        source: the index file they are listed in; None where they were drawn.
    """

    train: Items
    val: Items
    source: Path | None = None


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images of C classes in three parts that share no file.

    Attributes:
        name: short name.
        classes: names of the C classes; labels are positions in it. Two classes may have one name (ImageNet has
            two "missile").
        train: files to learn from; every class has at least one.
        val: files to select by; may be empty.
        test: files to report on; may be empty.
        source: the file or folder that says so, named in messages.
        about: where the data come from, for the record.

    Raises:
        DatasetError: fewer than two classes, a label beyond them, a class without training files, a file in two parts.
    """

    name: str
    classes: tuple[str, ...]
    train: Items
    val: Items
    test: Items
    source: Path
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        n = len(self.classes)
        if n < 2:
            raise DatasetError(self.source, f"{self.name}: a data set needs at least two classes, got {n}")
        for part, items in self.parts.items():
            if len(items) and items.labels.max() >= n:
                row = int(items.labels.argmax())
                raise DatasetError(
                    self.source,
                    f"{part}: label {items.labels[row]} of {items.paths[row]}, but there are {n} classes (0 to {n - 1})",
                )
        gaps = np.flatnonzero(self.train.counts(n) == 0)
        if len(gaps):
            names = [f"{i} {self.classes[i]!r}" for i in gaps]
            raise DatasetError(
                self.source, f"train: {len(gaps)} of {n} classes have no file: {listed(names)}"
            )
        shared = _repeated(path for items in self.parts.values() for path in _absolute(items))
        if shared:
            raise DatasetError(
                self.source, f"{len(shared)} files are in more than one part: {listed(shared)}"
            )

    @property
    def parts(self) -> dict[str, Items]:
        """{"train", "val", "test": files}."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def counts(self) -> dict[str, int]:
        """{"train", "val", "test": number of files}."""
        return {part: len(items) for part, items in self.parts.items()}

    def missing(self) -> list[str]:
        """Files that are not on disk, as paths relative to each part's root, train first."""
        return [path for items in self.parts.values() for path in items.missing()]

    def require_files(self) -> "ImageDataset":
        """The data set itself, once every file was found on disk; else a `MissingError` names the first ten."""
        missing = self.missing()
        if missing:
            total = sum(self.counts.values())
            raise MissingError(
                self.train.root,
                f"{len(missing):,} of {total:,} files of {self.name} are missing: {listed(missing)}",
            )
        return self

    def few_shot(self, shots: int, seed: int) -> FewShotItems:
        """Draw k training files per class, and min(k, 4) for validation from the validation part.

        As in the field's protocol, subsets of different sizes are not nested; a class with fewer files gives all.

        Args:
            shots: k, >= 1.
            seed: whole number >= 0.

        Returns:
            FewShotItems, sorted by class.
        """
        shots = as_whole(shots, "shots", least=1)
        drawn = np.random.SeedSequence([as_whole(seed, "seed", least=0), shots])
        train, val = (np.random.default_rng(child) for child in drawn.spawn(2))
        n = len(self.classes)
        return FewShotItems(
            self.train.take(draw_per_class(self.train.labels, shots, n, train)),
            self.val.take(draw_per_class(self.val.labels, min(shots, 4), n, val)),
        )


@contextlib.contextmanager
def named_by(source: Path, where: str = "") -> Iterator[None]:
    """Errors of the `Items` made inside name the list that their paths are from."""
    try:
        yield
    except DatasetError as error:
        raise DatasetError(source, where + error.problem) from None


def missing_labels(labels: Iterable[int]) -> tuple[int, list[int]]:
    """How many class numbers from 0 to the largest are not used, and the first ten; labels may be huge."""
    used = set(labels)
    count = max(used, default=-1) + 1 - len(used)
    unused = (label for label in itertools.count() if label not in used)
    return count, list(itertools.islice(unused, min(count, 10)))


def _inside(path: str) -> bool:
    if "\\" in path or "\0" in path or posixpath.normpath(path) != path:
        return False
    return not path.startswith("/") and path.split("/", 1)[0] not in ("", ".", "..")


def _repeated(paths: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [path for path in paths if path in seen or seen.add(path)]  # type: ignore[func-returns-value]


def _absolute(items: Items) -> Iterator[str]:
    root = os.path.abspath(items.root)
    return (f"{root}/{path}" for path in items.paths)


def _files_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if _is_file(entry)}
    except (OSError, ValueError):
        return set()


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link in a circle
        return False
