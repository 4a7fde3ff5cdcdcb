"""Exact verdicts: doubles are dyadic rationals, so a gap of floats is an integer matrix up to powers of two.

Signs of eigenvalues come from the characteristic polynomial (python-flint) or from fraction-free symmetric
elimination (Python integers); both cover singular and indefinite gaps. docs/certified.md, section 5.
"""

import math
from fractions import Fraction
from importlib import import_module
from itertools import pairwise
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.certified.cholesky import scale_exponents
from fisherkit.certified.gap import read_gap

__all__ = [
    "exact_form",
    "exact_inertia",
    "inertia_of_integers",
    "integer_gap",
    "integer_gram",
    "seconds_of_inertia",
]

Array = NDArray[np.float64]
Integers = list[list[int]]

_MANTISSA = 53
_ZERO_EXPONENT = 1 << 20  # larger than any exponent that occurs


def exact_inertia(matrix: ArrayLike) -> tuple[int, int, int]:
    """Signs of the eigenvalues of a symmetric matrix of floats, by rational arithmetic.

    Args:
        matrix: (d, d) symmetric to the last bit.

    Returns:
        Numbers of positive, negative and zero eigenvalues.

    Raises:
        ValueError: not square, not finite, or not symmetric to the last bit.

    Example:
        >>> exact_inertia([[1.0, 0.1], [0.1, 0.01]])    # the floats 0.1 and 0.01 are not 1/10 and 1/100
        (1, 1, 0)
        >>> exact_inertia([[1.0, 0.5], [0.5, 0.25]])
        (1, 0, 1)
    """
    gap = read_gap(None, matrix, 0.0, 0.0, ("0", "matrix"))
    if not gap.is_symmetric:
        raise ValueError("matrix: symmetric up to rounding only; an exact verdict needs M == M.T")
    return inertia_of_integers(integer_gap(None, gap.b))


def integer_gap(a: Array | None, b: Array) -> Integers:
    """Lower triangle of D (B - A) D times a power of two, in integers, D a diagonal of powers of two.

    The congruence D keeps the inertia and takes the units of badly scaled parameters out of the integers.

    Args:
        a: (d, d) floats, None for zero.
        b: (d, d) floats.

    Returns:
        Row i has i + 1 integers.
    """
    k = scale_exponents(b if a is None else b - a)
    rows, columns = np.tril_indices(len(b))
    scale = k[rows] + k[columns]
    parts = [_mantissas(b[rows, columns], scale)]
    if a is not None:
        parts.append(_mantissas(-a[rows, columns], scale))
    lowest = min(int(e.min(initial=_ZERO_EXPONENT)) for _, e in parts)
    entries = [0] * len(rows)
    for mantissas, exponents in parts:
        shifts = np.where(mantissas == 0, 0, exponents - lowest)
        for n, (m, e) in enumerate(zip(mantissas.tolist(), shifts.tolist(), strict=True)):
            if m:
                entries[n] += m << e
    return [entries[i * (i + 1) // 2 : (i + 1) * (i + 2) // 2] for i in range(len(b))]


def integer_gram(root: Array) -> Integers:
    """Lower triangle of D R'R D times a power of two, in integers, D a diagonal of powers of two.

    Args:
        root: (r, d) floats.

    Returns:
        Row i has i + 1 integers.
    """
    columns = []
    for column in root.T:
        mantissas, exponents = _mantissas(column, np.zeros(len(column), dtype=np.int64))
        shifts = np.where(mantissas == 0, 0, exponents - exponents.min(initial=_ZERO_EXPONENT))
        columns.append([m << e for m, e in zip(mantissas.tolist(), shifts.tolist(), strict=True)])
    return [
        [sum(x * y for x, y in zip(p, q, strict=True) if x and y) for q in columns[: i + 1]]
        for i, p in enumerate(columns)
    ]


def inertia_of_integers(lower: Integers) -> tuple[int, int, int]:
    """Inertia of a symmetric integer matrix.

    Args:
        lower: lower triangle; row i has i + 1 integers.

    Returns:
        Numbers of positive, negative and zero eigenvalues.
    """
    if not lower:
        return 0, 0, 0
    flint = _flint()
    return _by_elimination(lower) if flint is None else _by_polynomial(flint, lower)


def seconds_of_inertia(lower: Integers) -> float:
    """Rough time that the inertia takes on an ordinary processor.

    Args:
        lower: as in `inertia_of_integers`.

    Returns:
        Seconds; right within a factor of about 3 beyond d = 20.
    """
    d = len(lower)
    bits = max((entry.bit_length() for row in lower for entry in row), default=0) + math.log2(max(d, 1)) / 2
    if _flint() is not None:
        return 1.5e-9 * d**4 * (bits / 60)
    return 3.0 * (d / 100) ** 3 * (d * bits / 7000) ** 1.4 + 1e-6 * d**3 / 6


def exact_form(a: Array | None, b: Array, v: Array, radius: float | Array = 0.0) -> Fraction:
    """Largest value of v'(B - A)v over all matrices within the radius, exactly.

    Args:
        a: (d, d) floats, None for zero.
        b: (d, d) floats.
        v: (d,) floats.
        radius: entrywise radius of the gap.

    Returns:
        v'(b - a)v + |v|' radius |v|.
    """
    used = np.flatnonzero(v)
    w = [Fraction(x) for x in v[used].tolist()]
    scale = math.lcm(*(x.denominator for x in w)) if w else 1
    z = [x.numerator * (scale // x.denominator) for x in w]
    lengths = list(map(abs, z))
    block = np.ix_(used, used)
    total = _integer_form(b[block], z)
    if a is not None:
        total -= _integer_form(a[block], z)
    if isinstance(radius, float):
        total += Fraction(radius) * sum(lengths) ** 2
    else:
        total += _integer_form(radius[block], lengths)
    return total / scale**2


def _integer_form(matrix: Array, z: list[int]) -> Fraction:
    """Quadratic form z'Mz for integers z and floats M."""
    if not z:
        return Fraction(0)
    mantissas, exponents = _mantissas(matrix, np.zeros(matrix.shape, dtype=np.int64))
    lowest = int(exponents.min())
    if lowest == _ZERO_EXPONENT:
        return Fraction(0)
    shifts = np.where(mantissas == 0, 0, exponents - lowest)
    total = 0
    for row, up, factor in zip(mantissas.tolist(), shifts.tolist(), z, strict=True):
        total += factor * sum((m << e) * x for m, e, x in zip(row, up, z, strict=True))
    return total * Fraction(2) ** lowest


def _mantissas(values: Array, scale: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Odd integers m and exponents e with values = m 2^(e + scale); m = 0 has a huge e."""
    fraction, exponent = np.frexp(values)
    m = np.ldexp(fraction, _MANTISSA).astype(np.int64)
    low = m & -m  # the lowest bit
    trailing = np.frexp(low.astype(np.float64))[1].astype(np.int64) - 1
    trailing = np.where(m == 0, 0, trailing)
    e = exponent.astype(np.int64) - _MANTISSA + trailing - scale
    return m >> trailing, np.where(m == 0, _ZERO_EXPONENT, e)


def _flint() -> ModuleType | None:
    """python-flint (the extra `exact`), None where it is not installed."""
    try:
        return import_module("flint")
    except ImportError:
        return None


def _by_polynomial(flint: ModuleType, lower: Integers) -> tuple[int, int, int]:
    """Descartes' rule, exact where all roots are real: sign changes are positive eigenvalues."""
    d = len(lower)
    full = [[row[j] if j < len(row) else lower[j][i] for j in range(d)] for i, row in enumerate(lower)]
    coefficients = flint.fmpz_mat(full).charpoly().coeffs()  # det(x I - M), from x^0 upwards
    signs = [(c > 0) - (c < 0) for c in coefficients]
    zero = next(i for i, s in enumerate(signs) if s)
    nonzero = [s for s in signs if s]
    positive = sum(x != y for x, y in pairwise(nonzero))
    return positive, d - positive - zero, zero


def _by_elimination(lower: Integers) -> tuple[int, int, int]:
    """Bareiss' elimination, symmetric: pivot k over pivot k - 1 has the sign of an eigenvalue."""
    # Every entry that remains after k steps is a minor of order k + 1 of the matrix (after congruence):
    # divisions by the pivot before leave no remainder, and integers stay as short as determinants are.
    work = [list(row) for row in lower]
    signs = [0, 0, 0]
    before = 1
    while work:
        n = len(work)
        pivot = next((i for i in range(n - 1, -1, -1) if work[i][i]), None)
        if pivot is None:
            pair = next(((i, j) for i in range(n) for j in range(i) if work[i][j]), None)
            if pair is None:
                signs[2] += n
                break
            pivot = pair[0]
            work = _add_row(work, *pair)
        if pivot != n - 1:
            work = _move_last(work, pivot)
        last = work.pop()
        p = last.pop()
        signs[0 if (p > 0) == (before > 0) else 1] += 1
        for i, row in enumerate(work):
            head = last[i]
            if head:
                work[i] = [(p * x - head * y) // before for x, y in zip(row, last, strict=False)]
            else:
                work[i] = [p * x // before for x in row]
        before = p
    return signs[0], signs[1], signs[2]


def _entry(lower: Integers, i: int, j: int) -> int:
    return lower[i][j] if j <= i else lower[j][i]


def _add_row(lower: Integers, i: int, j: int) -> Integers:
    """Congruence: add row and column j to row and column i; entry (i, i), 0 before, becomes 2 M_ij."""
    n = len(lower)
    row = [_entry(lower, i, k) + _entry(lower, j, k) for k in range(n)]
    row[i] += _entry(lower, i, j) + lower[j][j]
    return [
        [row[j2] if i2 == i else row[i2] if j2 == i else lower[i2][j2] for j2 in range(i2 + 1)]
        for i2 in range(n)
    ]


def _move_last(lower: Integers, pivot: int) -> Integers:
    """The same matrix with coordinate `pivot` last."""
    order = [k for k in range(len(lower)) if k != pivot] + [pivot]
    return [[_entry(lower, i, j) for j in order[: n + 1]] for n, i in enumerate(order)]
