"""Numbers as they are: models of floats and models of exact numbers, read into fractions and short integers."""

import math
import numbers
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from fisherkit.certified.rational import Integers, Symmetric, integer_type
from fisherkit.layout import SHARED
from fisherkit.model import Modality

__all__ = [
    "Blocks",
    "as_fraction",
    "as_fractions",
    "integers_in",
    "precision_of",
    "read_exact",
    "read_modality",
    "repeated_like",
    "units_of",
]

Table = list[list[Fraction]]
#: Shared blocks, private blocks (one of either if repeated), and noise: (m,) variances or (m, m) covariance.
Blocks = tuple[list[Table], list[Table], list[Any]]


def as_fraction(value: object, name: str) -> Fraction:
    """The rational number that a value is, to the last bit.

    Args:
        value: int, float (a dyadic rational), Fraction, Decimal, NumPy number, sympy Rational, or a string such as
            "1/3" or "0.1".
        name: how the message calls it.

    Returns:
        Fraction.

    Raises:
        TypeError: not a rational number.
        ValueError: not finite, or text that is no number.

    Example:
        >>> as_fraction("1/3", "x"), as_fraction(0.5, "x")
        (Fraction(1, 3), Fraction(1, 2))
    """
    number: Any = value
    if isinstance(number, np.generic) and number.dtype.itemsize <= 8:
        number = number.item()
    if isinstance(number, numbers.Rational):
        return Fraction(int(number.numerator), int(number.denominator))
    if isinstance(number, float | str | Decimal) and not isinstance(number, np.longdouble):
        try:
            return Fraction(number)
        except (ValueError, OverflowError, ZeroDivisionError):
            raise ValueError(
                f'{name}: expected a finite number or a text such as "1/3", got {value!r}'
            ) from None
    raise TypeError(
        f"{name}: {value!r} ({type(value).__name__}) is not an exact rational number; pass an int, a float, a Fraction "
        'or a text such as "1/3"'
    )


def as_fractions(value: Any, name: str, ndim: int) -> list[Any]:  # noqa: ANN401, nested sequences
    """Nested lists of fractions.

    Args:
        value: nested sequences or an array, of what `as_fraction` takes.
        name: how messages call it.
        ndim: number of axes, 1 or 2.

    Returns:
        List, or list of lists of one length.

    Raises:
        TypeError: not so many axes, or long doubles.
        ValueError: rows of different lengths.
    """
    rows = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, np.ndarray) and value.dtype.itemsize > 8 and value.dtype.kind in "fc":
        raise TypeError(f"{name}: entries of dtype {value.dtype}; pass float64 or Fractions")
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        raise TypeError(f"{name}: expected {ndim} dimension{'s' * (ndim > 1)}, got {value!r:.60}")
    if ndim == 1:
        return [as_fraction(x, f"{name}: entry {i}") for i, x in enumerate(rows)]
    table = [as_fractions(row, f"{name}: row {i}", 1) for i, row in enumerate(rows)]
    if len({len(row) for row in table}) > 1:
        raise ValueError(f"{name}: rows of different lengths, {sorted({len(row) for row in table})}")
    return table


def read_modality(modality: Modality, name: str, first: int | None) -> Blocks:
    """Designs and noise of a modality of floats.

    Args:
        modality: the modality.
        name: how messages call it.
        first: how many per-sample designs to read, None for all.

    Returns:
        Its blocks; a standard deviation becomes the exact square of the float.
    """

    def blocks(design: Any) -> list[Table]:  # noqa: ANN401, an array
        tables = design.astype(np.float64)[None] if design.ndim == 2 else design[:first].astype(np.float64)
        return [[[Fraction(x) for x in row] for row in table] for table in tables.tolist()]

    if modality.noise_std is not None:
        noise: list[Any] = [Fraction(modality.noise_std) ** 2] * modality.obs_dim
    elif modality.noise_var is not None:
        noise = as_fractions(modality.noise_var, f"{name}: noise_var", 1)
    else:
        noise = as_fractions(modality.noise_cov, f"{name}: noise_cov", 2)
    return blocks(modality.shared), blocks(modality.private), noise


def read_exact(name: object, value: Any) -> Blocks:  # noqa: ANN401, checked here
    """Designs and noise given as exact numbers.

    Args:
        name: of the modality.
        value: (C, S, variance), S and variance optional.

    Returns:
        Its blocks.

    Raises:
        TypeError: no such tuple, or an entry that is no rational number.
        ValueError: shapes that do not fit.
    """
    if not isinstance(name, str) or name == SHARED:
        raise TypeError(f'modality names must be strings other than "shared", got {name!r}')
    if isinstance(value, Modality):
        raise TypeError(f"{name}: a Modality; pass LinearGaussian({{...}}) for a model of floats")
    if not isinstance(value, tuple | list) or not 1 <= len(value) <= 3:
        raise TypeError(f"{name}: expected (C, S, variance), S and variance optional, got {value!r:.60}")
    shared = value[0]
    private = value[1] if len(value) > 1 else None
    variance: Any = value[2] if len(value) > 2 else 1
    c = as_fractions(shared, f"{name}: shared design", 2)
    if not c:
        raise ValueError(f"{name}: zero observed coordinates (m = 0)")
    s = [[] for _ in c] if private is None else as_fractions(private, f"{name}: private design", 2)
    m = len(c)
    if len(s) != m:
        raise ValueError(f"{name}: private design has {len(s)} rows, but the shared design has {m}")
    given = variance.tolist() if hasattr(variance, "tolist") else variance
    if isinstance(given, str) or not isinstance(given, Sequence):
        noise: list[Any] = [as_fraction(given, f"{name}: variance")] * m
    elif given and isinstance(given[0], Sequence) and not isinstance(given[0], str):
        noise = as_fractions(given, f"{name}: variance", 2)
    else:
        noise = as_fractions(given, f"{name}: variance", 1)
    if len(noise) != m or (isinstance(noise[0], list) and len(noise[0]) != m):
        raise ValueError(f"{name}: variance: expected a number, ({m},) or ({m}, {m})")
    return [c], [s], noise


def repeated_like(blocks: list[Table], others: list[Table]) -> list[Table]:
    """A repeated block once for each per-sample block beside it.

    Args:
        blocks: one or more.
        others: one or more.

    Returns:
        As many blocks as the longer of the two has.
    """
    return blocks * len(others) if len(blocks) == 1 else blocks


def units_of(rows: Iterable[Sequence[Fraction]]) -> list[Fraction]:
    """For each column the largest number that all entries are whole multiples of, 1 for a column of zeros.

    Args:
        rows: at least one.

    Returns:
        One positive fraction for each column.
    """
    units = []
    for column in zip(*rows, strict=True):
        below = math.lcm(*(x.denominator for x in column))
        above = math.gcd(*(x.numerator * (below // x.denominator) for x in column))
        units.append(Fraction(above or 1, below))
    return units


def integers_in(rows: Table, units: Sequence[Fraction]) -> Integers:
    """Rows in units.

    Args:
        rows: fractions.
        units: from `units_of`.

    Returns:
        Integers.
    """
    make = integer_type()
    return [[make((x / u).numerator) for x, u in zip(row, units, strict=True)] for row in rows]


def precision_of(noise: list[Any], name: str) -> tuple[list[Any], Fraction]:
    """Inverse covariance as integers, and what to multiply them by.

    Args:
        noise: (m,) variances or (m, m) covariance.
        name: how messages call the modality.

    Returns:
        (m,) or (m, m) integers and a positive fraction.

    Raises:
        ValueError: not positive (definite), or not exactly symmetric.
    """
    make = integer_type()
    if not isinstance(noise[0], list):
        if min(noise) <= 0:
            raise ValueError(f"{name}: noise variances must be positive, got {float(min(noise)):.6g}")
        common = math.lcm(*(v.numerator for v in noise))
        weights = [common // v.numerator * v.denominator for v in noise]
        shared = math.gcd(*weights)
        return [make(w // shared) for w in weights], Fraction(shared, common)
    m = len(noise)
    if any(noise[i][j] != noise[j][i] for i in range(m) for j in range(i)):
        raise ValueError(f"{name}: noise covariance is not exactly symmetric")
    try:
        done = (
            Symmetric
            .of(noise)
            .bordered([[Fraction(i == j) for j in range(m)] for i in range(m)])
            .eliminated(m)
        )
    except ArithmeticError:
        done = None
    if done is None or len(done.pivots) < m:
        raise ValueError(
            f"{name}: noise covariance is not positive definite in exact arithmetic; add measurement noise to it"
        )
    rest = done.rest  # minus the inverse
    full = [[-rest.lower[max(i, j)][min(i, j)] for j in range(m)] for i in range(m)]
    return full, rest.scale
