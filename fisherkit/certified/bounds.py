"""Rounding bounds: the constants of docs/certified.md, section 1, each rounded upwards.

Assumed: IEEE 754 double precision, round to nearest, gradual underflow in NumPy's elementwise operations
(checked by `require_ieee`). BLAS and LAPACK may sum in any order, use fused multiply-add, multiply by
reciprocals of diagonal entries, and flush subnormal numbers to zero; products like Strassen's are excluded.
"""

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FLUSH",
    "SCALING_LOSS",
    "TINY",
    "UNIT",
    "as_upper",
    "cholesky_weights",
    "gamma",
    "inflate",
    "require_ieee",
]

Array = NDArray[np.float64]
Number = TypeVar("Number", float, Array)

#: Unit roundoff u of double precision: |fl(x) - x| <= u |fl(x)|.
UNIT = 2.0**-53
#: Smallest positive number: what one elementwise operation may lose by underflow.
TINY = 2.0**-1074
#: Smallest normal number: what one operation inside BLAS may lose if subnormal numbers are flushed to zero.
FLUSH = 2.0**-1022
#: What one entry may lose by underflow when its row and column are scaled by powers of two of at most 2^537.
SCALING_LOSS = 2.0**-480


def gamma(n: int) -> float:
    """Upper bound of gamma_n = n u / (1 - n u): n roundings change a product by at most this relative amount.

    Args:
        n: number of roundings, below 2^50.

    Returns:
        gamma_n, rounded upwards.

    Source:
        Higham (2002), Accuracy and Stability of Numerical Algorithms, Lemma 3.1.

    Example:
        >>> 4 < gamma(4) / UNIT < 4.1
        True
    """
    return as_upper(n * UNIT / (1 - n * UNIT), 4)


def as_upper(value: float, roundings: int = 0) -> float:
    """Upper bound of a non-negative number that was computed with few roundings.

    Args:
        value: computed from non-negative numbers by additions, multiplications, divisions and square roots.
        roundings: on the longest path of that computation.

    Returns:
        Float at least as large as the exact value.
    """
    return float(inflate(float(value), roundings))


def inflate(value: Number, roundings: int) -> Number:
    """Upper bound of non-negative numbers that were computed in floating point, entrywise.

    With at most n roundings on every path from inputs to result, exact <= computed (1 + 2 n u) up to
    underflow.

    Args:
        value: computed from non-negative numbers by additions, multiplications, divisions and square roots.
        roundings: n, below 2^48.

    Returns:
        Same shape, at least as large as the exact values.

    Example:
        >>> inflate(0.1 + 0.2, 1) > 0.3
        True
    """
    return value * (1.0 + 2 * (roundings + 4) * UNIT) + (roundings + 4) * TINY


@lru_cache(maxsize=32)
def cholesky_weights(dim: int) -> Array:
    """Weights phi_j: a Cholesky factorisation that completes has |R'R - C| of norm at most sum_j phi_j C_jj.

    phi_j = gamma / (1 - gamma) with gamma = gamma_{2 (j + 2)}, j = 1, ..., d, twice the order of Rump (2006),
    so that any order of summation and reciprocals of pivots are covered; underflow comes on top.

    Args:
        dim: dimension d.

    Returns:
        (d,), rounded upwards, read-only.

    Source:
        docs/certified.md, Theorem 2; Rump (2006), BIT 46:433-452.

    Example:
        >>> cholesky_weights(2) / UNIT
        array([6., 8.])
    """
    order = np.arange(3, dim + 3, dtype=np.float64)
    g = 2 * order * UNIT / (1 - 2 * order * UNIT)
    weights = inflate(g / (1 - g), 8)
    weights.flags.writeable = False
    return weights


def require_ieee() -> None:
    """Raise unless this thread rounds to nearest and keeps subnormal numbers, which the proofs assume.

    Raises:
        FloatingPointError: rounding mode changed, or subnormal numbers are flushed to zero (some libraries
            switch this on for the whole thread when they are loaded).
    """
    one, half_ulp, small = 1.0, UNIT, FLUSH
    if not (one + half_ulp == 1.0 and one - half_ulp / 2 == 1.0 and -one - half_ulp == -1.0):
        raise FloatingPointError("certified order: this thread does not round to nearest; a proof needs that")
    if small * 0.5 == 0.0 or TINY * one == 0.0:
        raise FloatingPointError(
            "certified order: subnormal numbers are flushed to zero in this thread (a library compiled with "
            "-ffast-math does that when it is loaded); a proof needs gradual underflow"
        )
