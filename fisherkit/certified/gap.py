"""The two sides of a comparison as one gap B - A with its radius; no bit is lost unnoticed."""

import math
import numbers
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.certified.bounds import UNIT, inflate
from fisherkit.certified.enclosure import Enclosed, as_float_matrix
from fisherkit.checks import as_number, as_symmetric

__all__ = ["Gap", "Matrix", "Radius", "read_gap", "read_matrix"]

Array = NDArray[np.float64]
Matrix: TypeAlias = ArrayLike | Enclosed
Radius: TypeAlias = ArrayLike


@dataclass(frozen=True, eq=False)
class Gap:
    """B - A, known up to a radius.

    Attributes:
        a: (d, d) midpoint of A, None for zero.
        b: (d, d) midpoint of B.
        mid: (d, d) fl(b - a), a fresh array that may be overwritten where `a` is given.
        radius: entrywise radius of A and B together (without the rounding of the difference); 0.0 if none.
        is_symmetric: whether the inputs were symmetric to the last bit.
    """

    a: Array | None
    b: Array
    mid: Array
    radius: float | Array
    is_symmetric: bool

    @property
    def dim(self) -> int:
        """Dimension d."""
        return len(self.b)

    @property
    def is_exact(self) -> bool:
        """Whether the inputs are the matrices meant: no radius, symmetric to the last bit."""
        return self.is_symmetric and not np.any(self.radius)


def read_matrix(
    value: Matrix, radius: Radius, name: str, *, dim: int | None = None, finite: bool = True
) -> tuple[Array, float | Array, bool]:
    """A symmetric matrix with its entrywise radius.

    Args:
        value: (d, d) array or `Enclosed`; a matrix that is symmetric up to rounding only stands for every
            symmetric matrix between its two triangles.
        radius: >= 0, number or (d, d), on top of the radius of an `Enclosed`.
        name: how messages call it.
        dim: wanted dimension, None for any.
        finite: whether to look for infinities now; a Cholesky factorisation that completes has found none.

    Returns:
        Midpoint (exactly symmetric), radius, and whether the value was exactly symmetric.

    Raises:
        ValueError: not square, wrong size, not finite, clearly asymmetric, or a negative radius.
    """
    total = _read_radius(radius, f"radius_{name.lower()}")
    if isinstance(value, Enclosed):
        total = _add(total, value.radius)
        value = value.midpoint
    if finite or not (type(value) is np.ndarray and value.dtype == np.float64 and value.ndim == 2):
        matrix = as_float_matrix(value, name, dim=dim)
    elif dim is not None and value.shape != (dim, dim):
        raise ValueError(f"{name}: expected shape ({dim}, {dim}), got {value.shape}")
    else:
        matrix = value
    d = len(matrix)
    if matrix.shape != (d, d):
        raise ValueError(f"{name}: expected a square matrix, got shape {matrix.shape}")
    if isinstance(total, np.ndarray) and total.shape != (d, d):
        raise ValueError(f"radius_{name.lower()}: expected shape ({d}, {d}), got {total.shape}")
    if np.array_equal(matrix, matrix.T):
        return matrix, total, True
    middle = as_symmetric(matrix, name)
    return middle, _add(total, inflate(np.abs(matrix - matrix.T), 1)), False


def read_gap(
    a: Matrix | None,
    b: Matrix,
    radius_a: Radius,
    radius_b: Radius,
    names: tuple[str, str],
    *,
    finite: bool = True,
) -> Gap:
    """B - A with everything that is known about its error.

    Args:
        a: (d, d), None for zero.
        b: (d, d).
        radius_a: entrywise radius of A.
        radius_b: entrywise radius of B.
        names: how messages call the two.
        finite: whether to look for infinities now, see `read_matrix`.

    Returns:
        The gap.

    Raises:
        ValueError: anything wrong with A, B or a radius, or a difference that overflows.
    """
    if a is None:
        second, radius, symmetric = read_matrix(b, radius_b, names[1], finite=finite)
        return Gap(None, second, second, radius, symmetric)
    first, radius_first, symmetric_first = read_matrix(a, radius_a, names[0], finite=finite)
    second, radius, symmetric = read_matrix(b, radius_b, names[1], dim=len(first), finite=finite)
    with np.errstate(over="ignore", invalid="ignore"):
        difference = second - first
    if finite and not np.isfinite(difference).all():
        raise ValueError(f"{names[1]} - {names[0]}: overflows; divide both matrices by 2 first")
    return Gap(first, second, difference, _add(radius_first, radius), symmetric and symmetric_first)


def _read_radius(radius: Radius, name: str) -> float | Array:
    if isinstance(radius, numbers.Real):
        value = as_number(radius, name, finite=False)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}: a radius must be finite and at least 0, got {radius}")
        return value if value == radius else float(np.nextafter(value, math.inf))
    matrix = as_float_matrix(radius, name)
    if (matrix < 0).any():
        i, j = (int(k) for k in np.unravel_index(int(matrix.argmin()), matrix.shape))
        raise ValueError(f"{name}: a radius must be at least 0, entry ({i}, {j}) is {matrix[i, j]:.6g}")
    return matrix


def _add(first: float | Array, second: float | Array) -> float | Array:
    """Sum of two radii, rounded upwards; a zero adds nothing."""
    if isinstance(first, float) and first == 0:
        return second
    if isinstance(second, float) and second == 0:
        return first
    return (np.asarray(first) + second) * (1 + 4 * UNIT)
