"""One shifted Cholesky factorisation as a proof of positive definiteness (Rump 2006).

The matrix is rescaled by powers of two to a diagonal in [1/2, 2), which is exact; then a shift above
everything that can go wrong is subtracted from the diagonal. If the factorisation still completes, the matrix
is positive definite (docs/certified.md, Theorem 3).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.certified.bounds import SCALING_LOSS, UNIT, as_upper, cholesky_weights, gamma

__all__ = ["Attempt", "diagonal_exponents", "scale_exponents", "shifted_cholesky"]

Array = NDArray[np.float64]
Exponents = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Attempt:
    """Outcome of one shifted factorisation.

    Attributes:
        proved: whether every matrix within the radius is positive definite.
        shift: what was subtracted from the rescaled diagonal.
        bound: what the proof has to allow for.
        direction: (d,) in rescaled coordinates, where the quadratic form is small or negative; None if proved
            or if the diagonal itself is too small.
    """

    proved: bool
    shift: float
    bound: float
    direction: Array | None = None


def diagonal_exponents(diagonal: Array) -> Exponents:
    """Exponents k with diagonal_j / 4^k_j in [1/2, 2).

    Args:
        diagonal: (d,), positive.

    Returns:
        (d,) whole numbers.

    Example:
        >>> diagonal_exponents(np.array([1.0, 1.9, 2.0, 1e-12]))
        array([  0,   0,   1, -20])
    """
    return np.frexp(diagonal)[1].astype(np.int64) >> 1


def scale_exponents(matrix: Array) -> Exponents:
    """Exponents k that bring a symmetric matrix M_ij / 2^(k_i + k_j) near 1, also where it is not definite.

    Args:
        matrix: (d, d) symmetric.

    Returns:
        (d,): from the diagonal where it is positive, else from the largest entry of the row, 0 for a zero
        row.
    """
    diagonal = matrix.diagonal()
    size = np.where(diagonal > 0, diagonal, np.abs(matrix).max(axis=1, initial=0.0))
    return diagonal_exponents(np.where(size > 0, size, 1.0))


def shifted_cholesky(
    matrix: Array,
    radius: float | Array,
    *,
    overwrite: bool = False,
    rounded: bool = True,
    at_least: float = 0.0,
    check_factor: bool = False,
) -> Attempt:
    """Try to prove that every symmetric T with |T - matrix| <= radius (+ u |matrix|) is positive definite.

    Args:
        matrix: (d, d) exactly symmetric, finite, d >= 1.
        radius: entrywise, number or (d, d).
        overwrite: whether the matrix may be destroyed.
        rounded: whether the entries are rounded themselves, by one operation (a difference): adds u |matrix|.
        at_least: prove T >= at_least times the identity in rescaled coordinates instead.
        check_factor: measure the residual of the factor by a matrix product and use nothing about LAPACK but
            that product; two to three times the time.

    Returns:
        Whether it is proved, with the numbers.

    Source:
        docs/certified.md, Theorem 3; Rump (2006), BIT 46:433-452.
    """
    diagonal = matrix.diagonal()
    if not diagonal.min() > 0:
        return Attempt(False, 0.0, 0.0)
    d = len(matrix)
    half = np.ldexp(1.0, -diagonal_exponents(diagonal))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = np.multiply(matrix, half, out=matrix if overwrite and matrix.flags.writeable else None)
        scaled *= half[:, None]
        around = _scaled_radius(radius, half)
        diagonal = scaled.diagonal().copy()
        trace, largest = float(diagonal.sum()), float(diagonal.max())
        common = UNIT * (trace if rounded else 0.0) + 2 * UNIT * largest + around + d * d * SCALING_LOSS
        bound = as_upper(float(cholesky_weights(d) @ diagonal) + common + at_least, d + 12)
        shift = 1.5 * bound if check_factor else bound
        shifted = diagonal - shift
        if not shifted.min() > 0:  # also where the radius overflows
            return Attempt(False, shift, bound)
        scaled.flat[:: d + 1] = shifted
        factor, failed = _factor(scaled, keep=check_factor)
        if failed:
            return Attempt(False, shift, bound, _pivot_direction(factor, failed - 1))
        pivots = factor.diagonal()
        if not (np.isfinite(pivots.sum()) and pivots.min() > 0):  # a NaN slips through some factorisations
            return Attempt(False, shift, bound)
        if check_factor:
            bound = as_upper(_residual(scaled, factor) + common + at_least, 8)
    return Attempt(shift >= bound, shift, bound)


def _scaled_radius(radius: float | Array, half: Array) -> float:
    """Largest row sum of the rescaled radius: at least the spectral norm of any symmetric error within it."""
    if isinstance(radius, float):
        if radius == 0:
            return 0.0
        rows = radius * half * half.sum()
    else:
        rows = (radius @ half) * half
    return as_upper(float(rows.max()), len(half) + 4) + len(half) * SCALING_LOSS


def _factor(matrix: Array, *, keep: bool) -> tuple[Array, int]:
    """Lower Cholesky factor in Fortran order and the pivot that failed (from 1; 0 if none)."""
    from scipy.linalg.lapack import dpotrf

    # A symmetric matrix in C order is its own transpose in Fortran order: no copy.
    factor, info = dpotrf(matrix.T, lower=1, clean=int(keep), overwrite_a=int(not keep))
    return factor, int(info)


def _pivot_direction(factor: Array, k: int) -> Array | None:
    """Candidate (-C^{-1} c, 1, 0, ...) from k good pivots: its quadratic form is the failed pivot."""
    from scipy.linalg import solve_triangular

    column = factor[:k, k]  # the triangle that LAPACK left alone
    v = np.zeros(len(factor))
    v[k] = 1.0
    if k:
        inner = solve_triangular(factor[:k, :k], column, lower=True, check_finite=False)
        v[:k] = -solve_triangular(factor[:k, :k], inner, lower=True, trans="T", check_finite=False)
    return v if np.isfinite(v).all() else None


def _residual(shifted: Array, factor: Array) -> float:
    """Upper bound of the norm of C - R'R for any R at all (its transpose is given), from one product."""
    d = len(shifted)
    rest = float(np.linalg.norm(shifted - factor @ factor.T)) * (1 + 2 * UNIT)
    return as_upper(rest + gamma(d) * float(np.square(factor).sum()), d * d + 8) + d * d * SCALING_LOSS
