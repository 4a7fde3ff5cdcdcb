"""The one tolerance: how large rounding is beside what it is measured by, and what is near it."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["DOUBT", "RANGE_TOLERANCE", "column_lengths", "in_doubt", "nonzero", "tolerance"]

Array = NDArray[np.float64]

#: The tolerance is generous: what is smaller than it by this factor is rounding, as far as floats can tell. Of columns of
#: small integers that were explained exactly, 99.5% are below; true values of a few units in the last place are, too.
DOUBT = 128.0

#: A direction counts as inside a subspace if less than this fraction of its length lies outside.
RANGE_TOLERANCE = 1e-7


def tolerance(dim: int) -> float:
    """Relative size below which an eigenvalue of a (dim, dim) matrix is rounding, not information.

    Args:
        dim: dimension of the matrix.

    Returns:
        64 max(dim, 4) eps, about 2.8e-13 for dim = 20.
    """
    return 64 * max(dim, 4) * float(np.finfo(np.float64).eps)


def nonzero(size: Array) -> Array:
    """Divisors: the sizes, with 1 in place of 0.

    Args:
        size: numbers >= 0.

    Returns:
        Positive numbers.
    """
    return np.where(size > 0, size, 1.0)


def in_doubt(sizes: Array, floor: float) -> bool:
    """Whether one of the sizes is near the floor: above what rounding leaves as a rule, below what clearly is none.

    Args:
        sizes: numbers >= 0.
        floor: below it a size counts as zero.

    Returns:
        The verdict.
    """
    return bool(((sizes > floor / DOUBT) & (sizes < 8 * floor)).any())


def column_lengths(columns: Array) -> Array:
    """Euclidean lengths of columns, also where their squares would leave the range of float64.

    Args:
        columns: (r, d).

    Returns:
        (d,).
    """
    largest = np.abs(columns).max(axis=0, initial=0.0)
    return largest * np.linalg.norm(columns / nonzero(largest), axis=0)
