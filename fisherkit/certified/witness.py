"""Refutations: a vector v, from wherever, and a rigorous upper bound of v'(B - A)v below zero."""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fisherkit.certified.bounds import SCALING_LOSS, UNIT, as_upper, gamma
from fisherkit.certified.cholesky import scale_exponents
from fisherkit.certified.exact import exact_form
from fisherkit.certified.gap import Gap

__all__ = ["refute"]

Array = NDArray[np.float64]
Exponents = NDArray[np.int64]

_LARGEST_EXPONENT = 1 << 14  # beyond every exponent that occurs
_EXACT_DIM = 256  # an exact evaluation takes about d^2 microseconds


def refute(gap: Gap, direction: Array | None) -> tuple[Array, float] | None:
    """Look for v with v'(B - A)v < 0 for all matrices within the radius.

    Args:
        gap: B - A.
        direction: candidate from a failed factorisation, in coordinates rescaled by `scale_exponents`, or
            None.

    Returns:
        (v, upper bound of v'(B - A)v), None if no candidate works.
    """
    k = scale_exponents(gap.mid)
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(gap.mid, -(k[:, None] + k))
    tried = []
    for candidate in _candidates(scaled, direction):
        v, w, shift = _both(candidate, k)
        if not v.any():
            continue
        value = _float_bound(gap, scaled, v, w, shift)
        if value < 0:
            return v, value
        tried.append(v)
    if gap.dim <= _EXACT_DIM:
        for v in tried[::-1]:  # the eigenvector first
            exact = exact_form(gap.a, gap.b, v, gap.radius)
            for longer in (0, 1000):  # a value below the smallest float needs a longer vector
                value = _round_up(exact * 4**longer)
                if value < 0:
                    return np.ldexp(v, longer), value
    return None


def _candidates(scaled: Array, direction: Array | None) -> Iterator[Array]:
    """Directions of the rescaled coordinates, cheap ones first."""
    d = len(scaled)
    diagonal = scaled.diagonal()
    worst = int(diagonal.argmin())
    if diagonal[worst] < 0:
        yield np.eye(d)[worst]
    if direction is not None:
        yield direction
    if d > 1:
        sizes = np.abs(scaled)
        np.fill_diagonal(sizes, 0.0)
        i, j = (int(n) for n in np.unravel_index(int(sizes.argmax()), sizes.shape))
        if sizes[i, j] > 0:
            yield np.eye(d)[i] - np.sign(scaled[i, j]) * np.eye(d)[j]
        if sizes[i, j] < 1e150:
            with suppress(np.linalg.LinAlgError):
                yield np.linalg.eigh(scaled)[1][:, 0]


def _both(candidate: Array, k: Exponents) -> tuple[Array, Array, int]:
    """Vectors v as given and w rescaled, entries below 2, and shift: v = 2^-shift D w exactly, D = 2^-k."""
    shift = int(np.max(-k, initial=-_LARGEST_EXPONENT, where=candidate != 0))
    down = np.maximum(-k - shift, -_LARGEST_EXPONENT)
    with np.errstate(under="ignore"):
        v = np.ldexp(candidate, down + 1 - np.frexp(np.abs(candidate).max())[1])
    return v, np.ldexp(v, np.where(v == 0, 0, -down)), shift


def _float_bound(gap: Gap, scaled: Array, v: Array, w: Array, shift: int) -> float:
    """Upper bound of v'(B - A)v in floating point, rounding and radius included; infinity if it overflows."""
    d = len(v)
    y = np.abs(w)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        form = float(w @ (scaled @ w))
        size = as_upper(float(y @ (np.abs(scaled) @ y)), 2 * d + 2)
        slack = (gamma(2 * d + 4) + 2 * UNIT) * size + d * d * SCALING_LOSS * max(1.0, float(y.max())) ** 2
        middle = form + as_upper(slack, 8)
        middle = float(np.nextafter(middle, np.inf))
        if not middle < 0:
            return np.inf
        value = float(np.nextafter(np.ldexp(middle, -2 * shift), np.inf))
        if np.any(gap.radius):
            length = np.abs(v)
            around = gap.radius if isinstance(gap.radius, float) else gap.radius @ length
            total = around * length.sum() ** 2 if isinstance(around, float) else length @ around
            value += as_upper(float(total), 2 * d + 4) + d * d * 2.0**-1000
            value = float(np.nextafter(value, np.inf))
    return value if np.isfinite(value) else np.inf


def _round_up(exact: Fraction) -> float:
    """Smallest float at or above a fraction."""
    try:
        value = float(exact)
    except OverflowError:
        return -np.finfo(np.float64).max if exact < 0 else np.inf
    return value if value >= exact else float(np.nextafter(value, np.inf))
