"""Where the matrices C of weak duality come from. Nothing here has to be right: any C proves a bound, a good one a sharp one.

The information is rounded to 256 bits before it is inverted, so that condition numbers of floats do not matter.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction

import numpy as np

from fisherkit.certified.duality import Shop
from fisherkit.certified.image import ExactModel, World
from fisherkit.certified.rational import Symmetric
from fisherkit.certified.rounding import significant
from fisherkit.criteria import Criterion
from fisherkit.model import LinearGaussian

__all__ = ["dual_points", "inverse", "solver_point"]

Table = list[list[Fraction]]

_BITS = 256


def dual_points(
    image: ExactModel, criterion: Criterion, wanted: Table, weights: Mapping[str, Fraction]
) -> Iterator[Table]:
    """Matrices that are optimal, or nearly, if the weights are.

    Args:
        image: the model.
        criterion: phi.
        wanted: (d, q) directions V.
        weights: {modality: samples altogether}.

    Yields:
        (d, m) matrices in parameter units: M^-1 V for c and A, a root of M^-1 for D, the worst direction for E; where
        M is singular those of nearby weights, too.
    """
    spread = sum(weights.values(), Fraction(0)) / max(1, len(weights)) or Fraction(1)
    for share in (0, 10, 20, 30):
        mixed = {name: w + spread / 2**share for name, w in weights.items()} if share else dict(weights)
        total = Symmetric.zero(image.layout.shared_dim)
        for name, w in mixed.items():
            if w:
                total += image.average(name).times(w)
        units = image.shared_units
        back, regular = inverse(total)
        parameter = [
            [significant(x / (u * v), _BITS) for x, v in zip(row, units, strict=True)]
            for row, u in zip(back, units, strict=True)
        ]
        if criterion.name == "D":
            yield _root(parameter)
        elif criterion.name == "E":
            yield from _worst(parameter)
        else:
            yield [[significant(_dot(row, v), _BITS) for v in zip(*wanted, strict=True)] for row in parameter]
        if regular:
            return


def solver_point(world: World, criterion: Criterion, shop: Shop, budget: float) -> Table | None:
    """The matrix of the allocation's own certificate, found again by its solver.

    Args:
        world: the model.
        criterion: phi.
        shop: what can be bought.
        budget: budget units.

    Returns:
        (d, m), None where the solver finds none or the model is not one of floats.
    """
    if not isinstance(world, LinearGaussian):
        return None
    from fisherkit.allocation.engine import TOLERANCE, solve_budget
    from fisherkit.allocation.errors import SolverError
    from fisherkit.allocation.problem import as_problem
    from fisherkit.information import shared_information

    matrix = None
    try:
        problem = as_problem(
            shared_information(world),
            {name: float(cost) for name, cost in shop.costs.items()},
            criterion,
            limits={name: (float(low), _as_float(shop.high[name])) for name, low in shop.low.items()},
            collected=shop.collected,
        )
        for tolerance in (TOLERANCE, 0.5):  # what it certifies itself does not matter
            with suppress(SolverError):
                matrix = solve_budget(problem, budget, tolerance).dual.matrix
                break
    except (ValueError, RuntimeError, ArithmeticError):  # also LinAlgError: it has no answer, then
        return None
    if matrix is None or not np.isfinite(matrix).all():
        return None
    return [[Fraction(x) for x in row] for row in matrix.tolist()]


def _as_float(limit: Fraction | None) -> float | None:
    return None if limit is None else float(limit)


def inverse(matrix: Symmetric) -> tuple[Table, bool]:
    """Inverse of a positive semidefinite matrix, rounded to about 256 bits with a ridge of 2^-128 where singular.

    Args:
        matrix: (d, d).

    Returns:
        (d, d), and whether no ridge was needed.
    """
    d = matrix.dim
    sizes = [matrix.entry(i, i) for i in range(d)]
    half = [(x.numerator.bit_length() - x.denominator.bit_length()) // 2 if x else 0 for x in sizes]
    entries = [
        [int(matrix.entry(i, j) * Fraction(2) ** (_BITS - half[i] - half[j])) for j in range(i + 1)]
        for i in range(d)
    ]
    identity = [[Fraction(i == j) for j in range(d)] for i in range(d)]
    for ridge in (0, 1):
        lower = [[Fraction(x) for x in row] for row in entries]
        for i in range(d):
            lower[i][i] += ridge * 2 ** (_BITS // 2)
        try:
            done = Symmetric.of(lower).bordered(identity).eliminated(d)
        except ArithmeticError:
            continue
        if len(done.pivots) == d and (ridge or _least_pivot(done.pivots) > 2 ** (_BITS // 2)):
            table = [
                [-done.rest.entry(i, j) * Fraction(2) ** (_BITS - half[i] - half[j]) for j in range(d)]
                for i in range(d)
            ]
            return [[significant(x, _BITS) for x in row] for row in table], not ridge
    return identity, True


def _least_pivot(pivots: list[tuple[int, Fraction]]) -> Fraction:
    return min((p for _, p in pivots), default=Fraction(1))


def _root(inverse_table: Table) -> Table:
    """C with C C' about the matrix: Cholesky's factorisation in rounded fractions."""
    d = len(inverse_table)
    c = [[Fraction(0)] * d for _ in range(d)]
    for j in range(d):
        rest = inverse_table[j][j] - _dot(c[j][:j], c[j][:j])
        if rest <= 0:
            c[j][j] = Fraction(1)
            continue
        c[j][j] = _square_root(rest)
        for i in range(j + 1, d):
            c[i][j] = significant((inverse_table[i][j] - _dot(c[i][:j], c[j][:j])) / c[j][j], _BITS)
    return c


def _square_root(x: Fraction) -> Fraction:
    shift = _BITS - (x.numerator.bit_length() - x.denominator.bit_length()) // 2
    return Fraction(math.isqrt(int(x * Fraction(4) ** shift)) or 1) / Fraction(2) ** shift


def _worst(inverse_table: Table) -> Iterator[Table]:
    largest = max((abs(x) for row in inverse_table for x in row), default=Fraction(1)) or Fraction(1)
    vectors = np.linalg.eigh(np.array([[float(x / largest) for x in row] for row in inverse_table]))[1]
    yield [[Fraction(float(x))] for x in vectors[:, -1]]


def _dot(a: "list[Fraction] | tuple[Fraction, ...]", b: "list[Fraction] | tuple[Fraction, ...]") -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))
