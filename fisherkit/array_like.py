"""A decided matrix that works as an array does: NumPy's functions see its entries, sums and multiples stay decided."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

__all__ = ["MatrixLike"]

Array = NDArray[np.float64]


class MatrixLike(NDArrayOperatorsMixin):
    """What is needed of a square matrix to take part in arithmetic with arrays: `dim`, `matrix`, `plus` and `times`."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Dimension d."""

    @property
    @abstractmethod
    def matrix(self) -> Array:
        """(d, d), the entries."""

    @abstractmethod
    def plus(self, other: Self) -> Self:
        """Sum of two decided matrices."""

    @abstractmethod
    def times(self, factor: float) -> Self:
        """Multiple by a number >= 0."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: ANN401 - NumPy's protocol
        return np.array(self.matrix, dtype=dtype, copy=True if copy is None else copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        """Sums and multiples stay decided; everything else sees the matrix."""
        if method == "__call__" and not kwargs:
            decided = _combined(ufunc, inputs)
            if decided is not None:
                return decided
        arrays = (x.matrix if isinstance(x, MatrixLike) else x for x in inputs)
        return getattr(ufunc, method)(*arrays, **kwargs)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - whatever an array takes
        return self.matrix[index]

    def __len__(self) -> int:
        return self.dim

    @property
    def shape(self) -> tuple[int, int]:
        """(d, d), as an array would say."""
        return self.dim, self.dim

    @property
    def ndim(self) -> int:
        """2, as an array would say."""
        return 2

    def diagonal(self) -> Array:
        """Diagonal of the matrix.

        Returns:
            (d,).
        """
        return np.asarray(self.matrix.diagonal(), dtype=np.float64)


def _combined(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> "MatrixLike | None":
    """The operation as one on decided matrices; None where it is none of these."""
    if len(inputs) != 2:
        return None
    first, second = inputs
    if ufunc is np.add:
        if isinstance(first, MatrixLike) and isinstance(second, MatrixLike):
            return first.plus(second)
        matrix, other = (first, second) if isinstance(first, MatrixLike) else (second, first)
        return matrix if np.ndim(other) == 0 and other == 0 else None  # so that sum() works
    if ufunc is np.true_divide and isinstance(first, MatrixLike) and _is_factor(second) and second > 0:
        with np.errstate(over="ignore"):
            inverse = 1 / np.float64(second)
        return first.times(float(inverse)) if np.isfinite(inverse) else None
    if ufunc is np.multiply:
        matrix, factor = (first, second) if isinstance(first, MatrixLike) else (second, first)
        return matrix.times(float(factor)) if _is_factor(factor) else None
    return None


def _is_factor(value: object) -> bool:
    real = isinstance(value, (int, float, np.integer, np.floating)) or (
        isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "fiu"
    )
    return real and bool(0 <= value < np.inf)  # type: ignore[operator]
