"""One budget, one answer with its certificate: choose the method, tidy the answer, prove it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.certificate import Dual, Inverse, relative_gap
from fisherkit.allocation.conic import STACKED_LIMIT, maximise_smallest
from fisherkit.allocation.errors import SolverError, looser
from fisherkit.allocation.newton import minimise
from fisherkit.allocation.problem import Problem
from fisherkit.allocation.reduction import Reduced, reduce_problem

__all__ = ["TOLERANCE", "Solution", "affordable", "certified", "inverse_at", "solve_budget", "upper_value"]

Array = NDArray[np.float64]

#: Certified relative gap that every answer reaches unless the caller asks for another.
TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Solution:
    """An answer for one budget.

    Attributes:
        counts: (K,) samples to buy.
        value: upper bound on the criterion there, as a rule a few roundings above it.
        dual: the matrix that proves the bound, scaled to derivatives.
        bound: certified lower bound on the criterion of all affordable counts.
        gap: relative distance of value and bound.
        reduced: the problem that was solved.
        iterations: steps of all methods.
        status: how it ended.
    """

    counts: Array
    value: float
    dual: Dual
    bound: float
    gap: float
    reduced: Reduced
    iterations: int
    status: str


def solve_budget(
    problem: Problem, budget: float, tolerance: float = TOLERANCE, *, stop: float | None = None
) -> Solution:
    """Best counts for a budget by Newton's method (c, A, D) or the conic method (E, and c where Newton's stops early).

    Args:
        problem: the problem.
        budget: budget units.
        tolerance: certified relative gap to reach.
        stop: relative gap at which the methods stop trying, default a fiftieth of the tolerance.

    Returns:
        The answer.
    """
    reduced = reduce_problem(problem, budget)
    if not len(reduced.free):
        return certified(
            reduced, budget, np.zeros(0), [_only(reduced)], tolerance, 0, "settled by the limits"
        )
    stop = 0.02 * tolerance if stop is None else stop
    name = problem.criterion.name
    shares, duals, iterations = reduced.start, [], 0
    gap = 1.0
    if name != "E":
        run = minimise(reduced, stop)
        shares, gap, iterations = run.shares, run.gap, run.iterations
        duals.append(reduced.dual(run.matrix))
        if (
            gap > 0.2 * tolerance and name != "c"
        ):  # ill-conditioned: once more in coordinates made for this answer
            again = reduce_problem(problem, budget, reduced.counts(shares))
            run = minimise(again, stop)
            iterations += run.iterations
            duals.append(again.dual(run.matrix))
            if run.gap < gap:
                reduced, shares, gap = again, run.shares, run.gap
    fits = name == "E" or (name != "D" and reduced.wanted.size <= STACKED_LIMIT)
    if gap > 0.2 * tolerance and fits:
        run = maximise_smallest(reduced, stop)
        iterations += run.iterations
        duals.append(reduced.dual(run.matrix))
        if run.value < reduced.value(shares) or name == "E":
            shares = run.shares
    return certified(reduced, budget, shares, duals, tolerance, iterations, "optimal")


def certified(
    reduced: Reduced,
    budget: float,
    shares: Array,
    duals: list[Array],
    tolerance: float,
    iterations: int,
    status: str,
) -> Solution:
    """Tidy shares, evaluate both sides of the gap and refuse what is not certified.

    Args:
        reduced: the problem.
        budget: budget units.
        shares: (F,).
        duals: matrices, in original coordinates, of which the best is kept.
        tolerance: relative gap to reach.
        iterations: for the report.
        status: for the report.

    Returns:
        The answer.

    Raises:
        SolverError: the gap was not reached.
    """
    problem = reduced.problem
    points = [Dual.of(problem, matrix, budget) for matrix in duals]
    bounds = [point.bound(budget) for point in points]
    dual, bound = max(zip(points, bounds, strict=True), key=lambda pair: pair[1])
    kind, dim = problem.criterion.name, problem.dim
    value, counts, inverse = np.inf, reduced.counts(shares), None
    for candidate in chain(_tidied(reduced, shares, dual), [shares]):
        # what looks like nothing may be all that is seen of a direction, so each of them is evaluated
        amounts = affordable(problem, reduced.counts(candidate), budget)
        found = inverse_at(reduced, amounts)
        reached = np.inf if found is None else found.upper_value()
        if reached < value or inverse is None:
            value, counts, inverse = reached, amounts, found
        if relative_gap(kind, dim, reached, bound) <= 0.1 * tolerance:
            break
    gap = relative_gap(kind, dim, value, bound)
    if gap > 0.2 * tolerance and inverse is not None:  # the method knows roots only, the evidence more
        closer = Dual.of(problem, inverse.dual(), budget)
        if closer.bound(budget) > bound:
            dual, bound = closer, closer.bound(budget)
            gap = relative_gap(kind, dim, value, bound)
    if not gap <= tolerance:
        raise SolverError(
            f"criterion {kind!r}: the method stopped at a certified relative gap of {gap:.2g}, above the tolerance "
            f"{tolerance:.2g}; information or costs of very different size are the usual reason. Rescale parameters or "
            f"drop modalities that hardly count; otherwise: {looser(gap)}",
            gap,
        )
    return Solution(counts, value, dual.scaled_to(value, counts), bound, gap, reduced, iterations, status)


def inverse_at(reduced: Reduced, counts: Array) -> Inverse | None:
    """What the counts reach.

    Args:
        reduced: the problem in good coordinates for counts of this kind.
        counts: (K,).

    Returns:
        The inverse of the information, None where nothing can be said.
    """
    found = Inverse.at(reduced.problem, counts, reduced.whitening(counts))
    return Inverse.at(reduced.problem, counts) if found is None else found


def upper_value(reduced: Reduced, counts: Array) -> float:
    """At least the criterion at these counts.

    Args:
        reduced: as in `inverse_at`.
        counts: (K,).

    Returns:
        Bound in exact arithmetic, +infinity where there is none.
    """
    inverse = inverse_at(reduced, counts)
    return np.inf if inverse is None else inverse.upper_value()


def _only(reduced: Reduced) -> Array:
    """The dual matrix at the settled counts."""
    if reduced.problem.criterion.name == "E":
        return np.linalg.svd(reduced.problem.information(reduced.settled).half_inverse)[0][:, :1]
    of_d = reduced.problem.criterion.name == "D"
    return reduced.dual(
        np.eye(reduced.basis.shape[1]) if of_d else reduced.wanted
    )  # the information is the identity


def _tidied(reduced: Reduced, shares: Array, dual: Dual) -> Iterator[Array]:
    """Shares with what is only nearly nothing set to nothing, boldest first."""
    upper = reduced.upper
    rate = dual.scores[reduced.free] / reduced.problem.costs[reduced.free]
    idle = rate < (1 - 1e-4) * rate.max(initial=0.0)
    for threshold in (1e-6, 1e-7, 1e-8, 1e-10):
        small = (shares < threshold) & (idle if threshold > 5e-8 else True)
        full = shares > upper * (1 - threshold)
        tidy = np.where(small, 0.0, np.where(full, upper, shares))
        inner = ~small & ~full
        rest = 1 - tidy[full].sum()
        total = tidy[inner].sum()
        if not total > 0 or rest < 0:
            continue
        tidy[inner] *= rest / total
        if (tidy <= upper).all():
            yield tidy


def affordable(problem: Problem, counts: Array, budget: float) -> Array:
    """The same counts, less the rounding by which they may exceed the budget.

    Args:
        problem: the problem.
        counts: (K,) at least the lower limits.
        budget: budget units, at least what the lower limits cost.

    Returns:
        (K,) counts whose cost is at most the budget, however it is summed: by BLAS, one after the other, or exactly.
    """
    spare = counts - problem.low
    for _ in range(4):
        paid = (problem.costs * counts).tolist()
        over = max(float(problem.costs @ counts), sum(paid), math.fsum(paid)) - budget
        if over <= 0:
            break
        cost = float(problem.costs @ spare)
        if cost <= 0:
            break
        spare = spare * max(0.0, 1 - 2 * over / cost - 1e-16)
        counts = np.where(problem.costs > 0, problem.low + spare, counts)
    return counts
