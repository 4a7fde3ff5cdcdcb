"""Matrices with a rigorous entrywise radius, and the arithmetic that information matrices need.

Radii bound what floating point did, whatever BLAS did it (docs/certified.md, section 2); they are a priori,
so they cost no more than the operation itself.
"""

from dataclasses import dataclass
from typing import Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.certified.bounds import FLUSH, TINY, UNIT, gamma, inflate
from fisherkit.checks import as_array, as_matrix, as_number

__all__ = ["Enclosed", "as_float_matrix"]

Array = NDArray[np.float64]
Operand = Union["Enclosed", ArrayLike]

_LARGEST_INTEGER = 2**53  # beyond it not every integer is a double


@dataclass(frozen=True, eq=False, repr=False)
class Enclosed:
    """An unknown matrix T of which |T_ij - midpoint_ij| <= radius_ij is known.

    Sums, differences, products (`@`) and multiples by numbers of enclosed matrices enclose the exact results;
    plain arrays among the operands count as exact.

    Attributes:
        midpoint: (r, c).
        radius: (r, c), >= 0, in the same units; a number stands for all entries.

    Raises:
        ValueError: not finite, different shapes, or a negative radius.

    Example:
        >>> third = Enclosed([[1 / 3]], 1e-16)
        >>> third + third
        Enclosed((1, 1), radius at most 2.74e-16)
        >>> Enclosed.gram([[1.0, 2.0], [3.0, 4.0]]).midpoint
        array([[10., 14.],
               [14., 20.]])
    """

    midpoint: Array
    radius: Array

    def __init__(self, midpoint: ArrayLike, radius: ArrayLike = 0.0) -> None:
        middle = as_float_matrix(midpoint, "midpoint")
        around = as_array(radius, "radius", ndim=(0, 2)).astype(np.float64, copy=False)
        if around.ndim == 2:
            around = as_float_matrix(radius, "radius")
        if around.ndim == 2 and around.shape != middle.shape:
            raise ValueError(f"radius: expected shape {middle.shape}, got {around.shape}")
        if (around < 0).any():
            raise ValueError(f"radius: must be at least 0, got {around.min():.6g}")
        object.__setattr__(self, "midpoint", middle)
        object.__setattr__(self, "radius", np.broadcast_to(around, middle.shape))

    @classmethod
    def of(cls, value: Operand) -> "Enclosed":
        """The value itself if it is enclosed, else the array with radius zero.

        Args:
            value: (r, c) array, taken as exact, or Enclosed.

        Returns:
            Enclosed matrix.
        """
        return value if isinstance(value, Enclosed) else cls(value)

    @classmethod
    def gram(cls, root: Operand) -> "Enclosed":
        """R'R, the information of rows R in units of the noise, without a second product for the radius.

        |fl(R'R) - R'R| <= gamma_r |R'||R| + underflow for any order of summation, and (|R'||R|)_ij is at most
        the product of the lengths of columns i and j, which the diagonal of the result holds.

        Args:
            root: (r, d) array, taken as exact, or Enclosed.

        Returns:
            (d, d), exactly symmetric midpoint and radius.

        Source:
            Higham (2002), Accuracy and Stability of Numerical Algorithms, section 3.5; docs/certified.md,
            section 2.

        Example:
            >>> float(Enclosed.gram(np.ones((3, 1))).radius[0, 0].round(17))
            1e-15
        """
        r = cls.of(root)
        if r.radius.any():
            return (r.T @ r).symmetric()
        rows = len(r.midpoint)
        with np.errstate(over="ignore", invalid="ignore"):
            product = r.midpoint.T @ r.midpoint
        _require_no_overflow(product, "R'R")
        middle = product if np.array_equal(product, product.T) else np.tril(product) + np.tril(product, -1).T
        lost = 4 * rows * FLUSH
        squared = inflate(middle.diagonal() + lost, 1) * (1 + 2 * gamma(rows))
        length = inflate(np.sqrt(squared), 4)
        return cls(middle, inflate(gamma(rows) * (length[:, None] * length), 3) + lost)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.midpoint.shape[0], self.midpoint.shape[1]

    @property
    def T(self) -> "Enclosed":
        """Transpose."""
        return Enclosed(self.midpoint.T, self.radius.T)

    def symmetric(self) -> "Enclosed":
        """The same unknown matrix where it is known to be symmetric: of each pair the sharper entry.

        Returns:
            Enclosed matrix with exactly symmetric midpoint and radius.

        Raises:
            ValueError: not square.
        """
        if self.shape[0] != self.shape[1]:
            raise ValueError(f"midpoint: expected a square matrix, got shape {self.shape}")
        # Each entry takes the triangle whose radius is smaller; on a tie the lower one.
        lower = np.tril(np.ones(self.shape, dtype=bool))
        use = np.where(lower, self.radius <= self.radius.T, self.radius < self.radius.T)
        return Enclosed(np.where(use, self.midpoint, self.midpoint.T), np.minimum(self.radius, self.radius.T))

    def __neg__(self) -> "Enclosed":
        return Enclosed(-self.midpoint, self.radius)

    def __add__(self, other: Operand) -> "Enclosed":
        second = Enclosed.of(other)
        if second.shape != self.shape:
            raise ValueError(f"sum: shapes {self.shape} and {second.shape} differ")
        with np.errstate(over="ignore"):
            middle = self.midpoint + second.midpoint
        _require_no_overflow(middle, "sum")
        rounding = np.where(middle == 0, 0.0, UNIT * np.abs(middle) + TINY)
        around = self.radius + second.radius + rounding
        return Enclosed(middle, np.where(around == 0, 0.0, inflate(around, 3)))

    def __radd__(self, other: Operand) -> "Enclosed":
        return self + other

    def __sub__(self, other: Operand) -> "Enclosed":
        return self + -Enclosed.of(other)

    def __rsub__(self, other: Operand) -> "Enclosed":
        return -self + other

    def __mul__(self, factor: float) -> "Enclosed":
        c = as_number(factor, "factor")
        with np.errstate(over="ignore", under="ignore"):
            middle = c * self.midpoint
            around = abs(c) * self.radius
        _require_no_overflow(middle, "multiple")
        _require_no_overflow(around, "multiple")
        return Enclosed(middle, inflate(around + UNIT * np.abs(middle) + 2 * TINY, 3))

    def __rmul__(self, factor: float) -> "Enclosed":
        return self * factor

    def __matmul__(self, other: Operand) -> "Enclosed":
        second = Enclosed.of(other)
        a, b = np.abs(self.midpoint), np.abs(second.midpoint)
        inner = self.shape[1]
        if inner != second.shape[0]:
            raise ValueError(f"product: {self.shape} and {second.shape} do not match")
        with np.errstate(over="ignore", invalid="ignore"):
            middle = self.midpoint @ second.midpoint
            around = gamma(inner) * (a @ b)
            if second.radius.any():
                around = around + a @ second.radius
            if self.radius.any():
                around = around + self.radius @ (b + second.radius)
        _require_no_overflow(middle, "product")
        _require_no_overflow(around, "product")
        return Enclosed(middle, inflate(around, inner + 5) + 24 * inner * FLUSH)

    def __rmatmul__(self, other: Operand) -> "Enclosed":
        return Enclosed.of(other) @ self

    __array_ufunc__ = None  # array + Enclosed asks Enclosed, not NumPy

    def __repr__(self) -> str:
        return f"Enclosed({self.shape}, radius at most {self.radius.max(initial=0.0):.3g})"


def as_float_matrix(value: ArrayLike, name: str, *, dim: int | None = None) -> Array:
    """Finite float64 matrix that has exactly the values given.

    Args:
        value: matrix of floats, or of integers up to 2^53.
        name: how the message calls it.
        dim: wanted number of rows and columns, None for any shape.

    Returns:
        float64 array.

    Raises:
        ValueError: an entry that double precision cannot hold, wrong shape, or not finite.
    """
    matrix = as_matrix(value, name, rows=dim, cols=dim)
    given = matrix if hasattr(value, "detach") else np.asarray(value)  # a tensor's types are exact in float64
    if given.dtype == np.float64:
        return matrix
    if given.dtype.kind in "iu" and given.size:
        inexact = max(int(given.max()), -int(given.min())) > _LARGEST_INTEGER
    else:
        inexact = given.dtype.itemsize > 8 and bool((matrix != given).any())
    if inexact:
        raise ValueError(
            f"{name}: entries of dtype {given.dtype} that double precision cannot hold; convert to float64 "
            "and give the rounding as a radius"
        )
    return matrix


def _require_no_overflow(matrix: Array, what: str) -> None:
    if not np.isfinite(matrix).all():
        raise ValueError(f"{what}: overflows; measure the parameters or the noise in other units")
