"""Labelled rows of one modality: features, or numbers that a network looks up; and draws of a few per class."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_whole
from fisherkit.streams import Seed, streams

__all__ = ["Embeddings", "Numbered", "draw_per_class"]

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Labelled rows of one modality.

    Attributes:
        features: (n, d) float32, finite.
        labels: (n,) int64 class numbers, >= 0.
        name: how messages call them.

    Raises:
        TypeError: features that are not real numbers, labels that are not whole numbers.
        ValueError: wrong shapes, not finite, no rows, negative labels.

    Example:
        >>> Embeddings([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 1, 1], "text").class_means(2)
        array([[1. , 0. ],
               [0.5, 1. ]], dtype=float32)
    """

    features: NDArray[Any]
    labels: NDArray[Any]
    name: str = "embeddings"

    def __post_init__(self) -> None:
        features = self._checked_features()
        labels = np.asarray(self.labels)
        if labels.dtype.kind == "u" and labels.size and labels.max() >= 2**63:
            raise ValueError(f"{self.name}: label {labels.max()} does not fit 64 bits")
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{self.name}: labels must be whole numbers, got dtype {labels.dtype}")
        if labels.shape != features.shape[:1]:
            raise ValueError(
                f"{self.name}: {len(features)} rows of features need as many labels, got shape {labels.shape}"
            )
        if not features.size:
            raise ValueError(f"{self.name}: no features (shape {features.shape}); at least one row is needed")
        if labels.min() < 0:
            raise ValueError(f"{self.name}: label {labels.min()} at row {labels.argmin()}; labels start at 0")
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "labels", labels.astype(np.int64))

    def _checked_features(self) -> NDArray[Any]:
        features = as_array(self.features, f"{self.name}: features", ndim=2, single=True)
        with np.errstate(over="ignore"):
            single = np.ascontiguousarray(features, dtype=np.float32)
        if not np.isfinite(single).all():
            raise ValueError(
                f"{self.name}: a feature is too large for single precision; rescale the features"
            )
        return single

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def dim(self) -> int:
        """Number of features, d."""
        return self.features.shape[1]

    def take(self, rows: ArrayLike) -> "Embeddings":
        """Some of the rows, by indices or mask."""
        chosen = np.asarray(rows)
        return replace(self, features=self.features[chosen], labels=self.labels[chosen])

    def normalised(self) -> "Embeddings":
        """Every row scaled to length one; rows of zeros stay zero."""
        lengths = np.linalg.norm(self.features, axis=1, keepdims=True)
        return Embeddings(self.features / np.where(lengths > 0, lengths, 1), self.labels, self.name)

    def counts(self, n_classes: int) -> Labels:
        """(C,) rows per class; labels beyond C are an error of the task, not of this call."""
        return np.bincount(self.labels, minlength=n_classes)[:n_classes]

    def class_means(self, n_classes: int) -> Floats:
        """(C, d) means of each class's rows; zero for a class without any."""
        sums = np.zeros((n_classes, self.dim))
        np.add.at(sums, self.labels, self.features)
        return (sums / np.maximum(self.counts(n_classes), 1)[:, None]).astype(np.float32)

    def per_class(self, count: int, n_classes: int, seed: Seed) -> "Embeddings":
        """A few rows of each class, as `draw_per_class` gives them, sorted by class."""
        return self.take(draw_per_class(self.labels, count, n_classes, seed, self.name))


@dataclass(frozen=True, eq=False)
class Numbered(Embeddings):
    """Labelled rows that are known by number alone; a network looks them up (`neural.tasks.pixels.PixelEncoder`).

    Features are whole numbers >= 0, (n,) or (n, 1), kept as (n, 1) int64.

    Example:
        >>> Numbered([7, 8, 9], [0, 1, 1], "picture").take([0, 2]).features.ravel()
        array([7, 9])
    """

    def _checked_features(self) -> NDArray[np.int64]:
        numbers = np.asarray(self.features)
        if numbers.dtype.kind not in "iu":
            raise TypeError(f"{self.name}: row numbers must be whole numbers, got dtype {numbers.dtype}")
        if numbers.shape not in {(numbers.size,), (numbers.size, 1)}:
            raise ValueError(f"{self.name}: row numbers must have shape (n,) or (n, 1), got {numbers.shape}")
        if numbers.size and (numbers.min() < 0 or numbers.max() >= 2**63):
            raise ValueError(f"{self.name}: row numbers must be >= 0 and fit 64 bits")
        return numbers.reshape(-1, 1).astype(np.int64)

    def normalised(self) -> "Numbered":
        """Refused: numbers have no length to scale."""
        raise TypeError(f"{self.name}: these are numbers of rows, not features; they cannot be normalised")


def draw_per_class(labels: ArrayLike, count: int, n_classes: int, seed: Seed, name: str = "rows") -> Labels:
    """Row numbers, by class, of a few per class drawn without replacement, all of a class that has no more."""
    count = as_whole(count, f"{name}: rows per class", least=1)
    labels = np.asarray(labels)
    if not labels.size:
        return np.zeros(0, dtype=np.int64)
    order = streams(seed, [name])[name].permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.bincount(labels, minlength=n_classes)[:n_classes]
    rank = np.arange(len(by_class)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return by_class[rank < count]
