"""From exact fractions to floats and logarithms that are rounded to a known side.

Logarithms and exponentials are those of `decimal`, which are correctly rounded; one unit in the last place of 50 digits
makes them bounds.
"""

from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import numpy as np

__all__ = ["float_above", "float_below", "log_bounds", "root_below", "significant"]

_DOWN, _UP, _NEAREST = (
    Context(prec=50, rounding=mode, Emax=MAX_EMAX, Emin=MIN_EMIN)
    for mode in (ROUND_FLOOR, ROUND_CEILING, ROUND_HALF_EVEN)
)


def float_below(x: Fraction | Decimal) -> float:
    """Largest float at or below a number.

    Args:
        x: any.

    Returns:
        Float; -infinity below all of them.

    Example:
        >>> float_below(Fraction(1, 10)) < Fraction(1, 10) < float_above(Fraction(1, 10))
        True
    """
    return -float_above(-x)


def float_above(x: Fraction | Decimal) -> float:
    """Smallest float at or above a number.

    Args:
        x: any.

    Returns:
        Float; infinity above all of them.
    """
    exact = Fraction(x)
    try:
        value = float(exact)
    except OverflowError:
        return -float(np.finfo(np.float64).max) if exact < 0 else float("inf")
    return value if value >= exact else float(np.nextafter(value, np.inf))


def log_bounds(x: Fraction) -> tuple[Decimal, Decimal]:
    """Two numbers that the natural logarithm lies between.

    Args:
        x: positive.

    Returns:
        Lower and upper bound, a relative 1e-48 apart.

    Example:
        >>> low, high = log_bounds(Fraction(2))
        >>> low < Decimal("0.69314718055994530941723212145817656807550013436025526") < high
        True
    """
    above, below = Decimal(x.numerator), Decimal(x.denominator)
    low, high = _DOWN.divide(above, below), _UP.divide(above, below)
    return _NEAREST.next_minus(_NEAREST.ln(low)), _NEAREST.next_plus(_NEAREST.ln(high))


def root_below(x: Fraction, shift: Fraction, degree: int) -> Fraction:
    """A lower bound of (x exp(-shift))^(1/degree).

    Args:
        x: positive.
        shift: any.
        degree: d >= 1.

    Returns:
        A number >= 0, within a relative 1e-40 for arguments of ordinary size.

    Example:
        >>> 0 < 2 - root_below(Fraction(8), Fraction(0), 3) < 1e-40
        True
    """
    below = _DOWN.subtract(log_bounds(x)[0], _UP.divide(Decimal(shift.numerator), Decimal(shift.denominator)))
    return max(Fraction(0), Fraction(_NEAREST.next_minus(_NEAREST.exp(_DOWN.divide(below, Decimal(degree))))))


def significant(x: Fraction, bits: int) -> Fraction:
    """The number rounded to so many bits, however large or small it is.

    Args:
        x: any.
        bits: of its significand.

    Returns:
        A dyadic rational near it.

    Example:
        >>> significant(Fraction(1, 3), 4)
        Fraction(11, 32)
    """
    if not x:
        return x
    shift = bits - (abs(x.numerator).bit_length() - x.denominator.bit_length())
    unit = Fraction(2) ** -shift
    return round(x / unit) * unit
