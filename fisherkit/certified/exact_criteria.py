"""Criteria of optimality as exact fractions, and as floats that are rounded to the safe side."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from fisherkit.certified.dual_points import inverse
from fisherkit.certified.image import ExactModel
from fisherkit.certified.rational import Symmetric
from fisherkit.certified.rounding import float_above, float_below, log_bounds

__all__ = ["exact_value", "shown"]

Table = list[list[Fraction]]


def exact_value(
    image: ExactModel, full: Symmetric, criterion: str, wanted: Table, target: Fraction | None
) -> Fraction | None:
    """The criterion as a fraction, from the information about all parameters.

    Args:
        image: the model.
        full: (d, d) information in units.
        criterion: "c", "A", "D" or "E", about the shared parameters.
        wanted: (d_c, q) directions, for c and A.
        target: for E: a number that the upper bound should not miss for nothing, or None.

    Returns:
        The value for c and A, of exp(phi) for D, an upper bound for E; None if it is infinite.
    """
    d, units = image.layout.n_params, image.shared_units
    shared = len(units)
    if criterion in ("c", "A"):
        border = [[x / u for x in row] for row, u in zip(wanted, units, strict=True)]
        border += [[Fraction(0)] * len(wanted[0])] * (d - shared)
        done = full.bordered(border).eliminated(d)
        if any(done.outside):
            return None
        return sum((-done.rest.entry(i, i) for i in range(done.rest.dim)), Fraction(0))
    pivots = [pivot for label, pivot in full.eliminated(d).pivots if label < shared]
    if len(pivots) < shared:
        return None
    if criterion == "D":
        return 1 / math.prod((p * u**2 for p, u in zip(pivots, units, strict=True)), start=Fraction(1))
    return _worst_variance(full, units, target)


def _worst_variance(full: Symmetric, units: Sequence[Fraction], target: Fraction | None) -> Fraction:
    """A number that is proved to be at least 1 / lambda_min, and is hardly more; the target where that will do."""
    shared = len(units)
    table = inverse(full.eliminated(full.dim - shared).rest)[0]
    scaled = [
        [x / (u * v) for x, v in zip(row, units, strict=True)] for row, u in zip(table, units, strict=True)
    ]
    largest = max(abs(x) for row in scaled for x in row)
    ratio = np.linalg.eigvalsh(np.array([[float(x / largest) for x in row] for row in scaled]))[-1]
    guess = largest * Fraction(float(ratio))
    for slack in range(44, -1000, -4):
        value = guess * (1 + Fraction(2) ** -slack)
        if _is_at_most(full, units, value):
            near = target is not None and value * (1 - Fraction(1, 2**30)) < target < value
            return target if near and target and _is_at_most(full, units, target) else value
    raise ArithmeticError("no upper bound of the largest variance was found")


def _is_at_most(full: Symmetric, units: Sequence[Fraction], value: Fraction) -> bool:
    """Whether 1 / lambda_min is at most a value: M - I / value is positive semidefinite."""
    small = [[Fraction(0)] * (i + 1) for i in range(full.dim)]
    for i, u in enumerate(units):
        small[i][i] = -1 / (value * u**2)
    try:
        (full + Symmetric.of(small)).eliminated(full.dim)
    except ArithmeticError:
        return False
    return True


def shown(criterion: str, exact: Fraction | None, *, up: bool) -> float:
    """The criterion as a float on the safe side.

    Args:
        criterion: its name.
        exact: from `exact_value`, or a bound of the same kind.
        up: whether the float must not be below.

    Returns:
        Float, infinite where there is no fraction.
    """
    if exact is None:
        return math.inf
    if criterion != "D":
        return float_above(exact) if up else float_below(exact)
    if not exact:
        return -math.inf
    low, high = log_bounds(exact)
    return float_above(high) if up else float_below(low)
