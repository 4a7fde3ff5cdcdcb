"""A classification task in which other modalities help: labelled embeddings, unpaired, and few-shot subsets of them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fisherkit.checks import UnknownNameError, as_whole
from neural.labelled_rows import Embeddings, Labels, Numbered

__all__ = ["Embeddings", "FewShot", "Labels", "Numbered", "Task"]


@dataclass(frozen=True, eq=False)
class FewShot:
    """What one repetition trains on, k rows per class of the target, and selects by, min(k, 4) rows per class."""

    train: Embeddings
    val: Embeddings

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all rows and labels."""
        return _hash({"train": self.train, "val": self.val})


@dataclass(frozen=True, eq=False)
class Task:
    """Classify rows of a target modality; other modalities' labelled rows, of no common samples, may help.

    Attributes:
        name: of the data.
        classes: names of the C classes; labels are positions in it.
        train: pool of target rows from which shots are drawn.
        val: pool from which validation rows are drawn; disjoint from `train`.
        tests: {name: rows}; the first one is of the training law, others are shifted.
        auxiliaries: {modality: rows}; the first one's space is where the shared head lives.
        target: name of the target modality.
        aligned: whether all modalities live in one space (as CLIP's do), so that no projection is needed.
        subsets: {(shots, seed): (rows of `train`, rows of `val`)}, few-shot subsets that are fixed (published ones,
            say); others are drawn.
        about: where the data come from, in words for the record; no result depends on it.
        among: {test: numbers of the classes that its predictions are among}, for test sets that have some of the classes
            only; each in ascending order. Test sets that are not named are predicted among all classes.
        encoders: {modality: name of the frozen encoder that its rows come from}, where they have names.
        words_per_text: mean number of words of the auxiliary texts; None where they are not sentences, or not known.

    Raises:
        UnknownNameError: `among` names a test set that is not there.
        ValueError: an auxiliary modality named like the target, label beyond the classes, class without samples,
            dimensions that do not match, `among` with fewer than two classes, with one that is not there or is named
            twice, or without the class of a row.

    Example:
        >>> rows = Embeddings(np.eye(4), [0, 1, 0, 1], "image")
        >>> task = Task("tiny", ("a", "b"), rows, rows, {"test": rows}, {"text": Embeddings(np.eye(2), [0, 1])})
        >>> len(task.few_shot(1, seed=0).train), task.dims
        (2, {'image': 4, 'text': 2})
    """

    name: str
    classes: Sequence[str]
    train: Embeddings
    val: Embeddings
    tests: Mapping[str, Embeddings]
    auxiliaries: Mapping[str, Embeddings] = field(default_factory=dict)
    target: str = "image"
    aligned: bool = False
    subsets: Mapping[tuple[int, int], tuple[Labels, Labels]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    among: Mapping[str, Sequence[int]] = field(default_factory=dict)
    encoders: Mapping[str, str] = field(default_factory=dict)
    words_per_text: float | None = None

    def __post_init__(self) -> None:
        n = len(self.classes)
        if n < 2:
            raise ValueError(f"{self.name}: a task needs at least two classes, got {n}")
        if not self.tests:
            raise ValueError(f"{self.name}: no test set given; pass {{'test': embeddings}}")
        if self.target in self.auxiliaries:
            raise ValueError(
                f"{self.name}: {self.target!r} is the target and cannot be its own auxiliary; rename one"
            )
        pools = self._pools()
        for what, rows in pools.items():
            if rows.labels.max() >= n:
                row = int(rows.labels.argmax())
                raise ValueError(
                    f"{self.name}: {what}: label {rows.labels[row]} at row {row}, but there are {n} classes (0 to {n - 1})"
                )
        for what in (f"{self.target} (train)", *self.auxiliaries):
            empty = np.flatnonzero(pools[what].counts(n) == 0)
            if len(empty):
                names = ", ".join(repr(self.classes[i]) for i in empty[:5])
                raise ValueError(
                    f"{self.name}: {what}: {len(empty)} of {n} classes have no sample ({names}{', ...' if len(empty) > 5 else ''}); "
                    "add samples or leave these classes out"
                )
        for key, part in self.subsets.items():
            for numbers, pool in zip(part, (self.train, self.val), strict=True):
                if len(numbers) == 0 or numbers.min() < 0 or numbers.max() >= len(pool):
                    raise ValueError(
                        f"{self.name}: subset {key} (shots, seed): row numbers must lie in 0 to {len(pool) - 1}"
                    )
        for what, rows in pools.items():
            dim = self.train.dim
            if (what not in self.auxiliaries or self.aligned) and rows.dim != dim:
                raise ValueError(
                    f"{self.name}: {what}: {rows.dim} features, but {self.target} (train) has {dim}"
                )
        object.__setattr__(self, "among", self._checked_among())

    def _checked_among(self) -> dict[str, tuple[int, ...]]:
        """Classes in ascending order, test sets in their own."""
        n, checked = len(self.classes), {}
        for test, given in self.among.items():
            if test not in self.tests:
                raise UnknownNameError(test, self.tests, f"test set in among of {self.name!r}:")
            where, labels = f"{self.name}: among: {test}", self.tests[test].labels
            classes = sorted(as_whole(number, f"{where}: class", least=0) for number in given)
            if len(classes) < 2:
                raise ValueError(f"{where}: at least two classes are needed, got {len(classes)}")
            if classes[-1] >= n:
                raise ValueError(f"{where}: class {classes[-1]}, but there are {n} classes (0 to {n - 1})")
            if len(set(classes)) < len(classes):
                raise ValueError(f"{where}: a class is named twice")
            outside = ~np.isin(labels, classes)
            if outside.any():
                row = int(outside.argmax())
                raise ValueError(
                    f"{where}: label {labels[row]} at row {row} is not among these {len(classes)} classes; add it, or "
                    "leave the row out"
                )
            checked[test] = tuple(classes)
        return {test: checked[test] for test in self.tests if test in checked}

    def _pools(self) -> dict[str, Embeddings]:
        """All rows, by the name that messages use."""
        return {
            f"{self.target} (train)": self.train,
            f"{self.target} (validation)": self.val,
            **{f"{self.target} ({test})": rows for test, rows in self.tests.items()},
            **self.auxiliaries,
        }

    @property
    def dims(self) -> dict[str, int]:
        """{modality: number of features}, the target first."""
        return {self.target: self.train.dim} | {name: rows.dim for name, rows in self.auxiliaries.items()}

    def few_shot(self, shots: int | None, seed: int) -> FewShot:
        """The training and validation rows of one repetition; different shots and seeds draw independently.

        A subset that the task fixes is taken as it is. As in the paper's protocol, drawn subsets of different sizes are not
        nested, and validation has min(shots, 4) rows per class from a pool of its own.

        Args:
            shots: k training rows per class, or None for the whole pools.
            seed: whole number >= 0.

        Returns:
            FewShot; the same object at every call.

        Raises:
            ValueError: no class has so many rows.
        """
        if shots is None:
            return self._whole
        shots = as_whole(shots, "shots", least=1)
        if (shots, seed) not in self._drawn:
            self._drawn[shots, seed] = self._draw(shots, seed)
        return self._drawn[shots, seed]

    @cached_property
    def _whole(self) -> FewShot:
        return FewShot(self.train, self.val)

    @cached_property
    def _drawn(self) -> dict[tuple[int, int], FewShot]:
        return {}  # one object per subset: runs that share it share its memory

    def _draw(self, shots: int, seed: int) -> FewShot:
        if (shots, seed) in self.subsets:
            train_rows, val_rows = self.subsets[shots, seed]
            return FewShot(self.train.take(train_rows), self.val.take(val_rows))
        most = int(self.train.counts(len(self.classes)).max())
        if shots > most:
            raise ValueError(
                f"{self.name}: {shots} shots, but no class has more than {most} {self.target} rows to draw from; "
                "ask for fewer, or for 'all'"
            )
        drawn = np.random.SeedSequence([seed, shots])
        train, val = (np.random.default_rng(child) for child in drawn.spawn(2))
        n = len(self.classes)
        return FewShot(self.train.per_class(shots, n, train), self.val.per_class(min(shots, 4), n, val))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of names, tests and auxiliary rows: all that a result depends on beside its `FewShot`'s own rows."""
        named = [self.name, list(self.classes), self.target, self.aligned]
        if self.among:  # else as it has always been: stored results are found by it
            named.append(self.among)
        return _hash({**self.tests, **{f"auxiliary {k}": v for k, v in self.auxiliaries.items()}}, named)

    def normalised(self) -> "Task":
        """The same task with every row of every modality scaled to length one."""
        return replace(
            self,
            train=self.train.normalised(),
            val=self.val.normalised(),
            tests={name: rows.normalised() for name, rows in self.tests.items()},
            auxiliaries={name: rows.normalised() for name, rows in self.auxiliaries.items()},
        )

    def only(self, auxiliaries: Sequence[str]) -> "Task":
        """The same task with some of the auxiliary modalities, in the order wanted."""
        for name in auxiliaries:
            if name not in self.auxiliaries:
                raise UnknownNameError(name, self.auxiliaries)
        return replace(self, auxiliaries={name: self.auxiliaries[name] for name in auxiliaries})


def _hash(parts: Mapping[str, Embeddings], named: Sequence[Any] = ()) -> str:
    digest = hashlib.sha256(json.dumps(list(named)).encode())
    for name, rows in parts.items():
        features = rows.features
        if isinstance(rows, Numbered) and features.max() < 2**24:
            features = features.astype(np.float32)  # exact, and stored results are found by it
        digest.update(f"{name} {features.shape}".encode())
        digest.update(features.tobytes())
        digest.update(rows.labels.tobytes())
    return digest.hexdigest()[:16]
