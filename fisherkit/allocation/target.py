"""Least cost of reaching a target precision: root-finding in the budget, both ends certified.

1 / phi (or det M^(1/d)) of the best design is concave in the budget, so that the tangent at a budget, which is what the
certificate of `fisherkit.allocation.certificate` read backwards is, meets the target at a lower bound of the least cost.
Newton's iteration approaches the least cost from below; a relative step beyond it is the answer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.certificate import Dual, cheapest
from fisherkit.allocation.engine import Solution, solve_budget
from fisherkit.allocation.errors import InfeasibleError, SolverError, looser
from fisherkit.allocation.problem import Problem
from fisherkit.checks import as_array

__all__ = [
    "TargetSolution",
    "check_target",
    "checked_ratio",
    "cost_bound",
    "reached_at_floor",
    "solve_target",
]

Array = NDArray[np.float64]

#: A budget so many times a guess is not worth trying.
_FAR = 1e6

#: Logarithm of a ratio of budgets near the end of the range of floats.
_RANGE = 600.0
_FLOATS = "floating-point numbers"


@dataclass(frozen=True, eq=False)
class TargetSolution:
    """Counts that reach a target.

    Attributes:
        solution: the counts with the certificate of their budget.
        cost: what they cost.
        cost_bound: certified lower bound on the cost of any counts that reach the target.
        gap: 1 - cost_bound / cost.
    """

    solution: Solution
    cost: float
    cost_bound: float
    gap: float


def check_target(problem: Problem, target: float) -> float:
    """A value that the criterion can take.

    Args:
        problem: the problem.
        target: as given.

    Returns:
        The target as a float.

    Raises:
        ValueError: not positive where the criterion is a variance.
    """
    target = float(as_array(target, "target", ndim=0))
    if problem.criterion.name != "D" and target <= 0:
        raise ValueError(
            f"target must be positive: criterion {problem.criterion.name!r} is a variance; got {target:.6g}"
        )
    return target


def cost_bound(dual: Dual, target: float) -> float:
    """Certified lower bound on the cost of counts that reach the target, +infinity if none do.

    Args:
        dual: any dual point.
        target: wanted value of the criterion.

    Returns:
        Budget units.
    """
    p = dual.problem
    sharp = cheapest(dual.scores, p.costs, p.low, p.high, dual.needed(target))
    loose = cheapest(dual.scores, p.costs, p.low, p.high, dual.needed(target, 1e-10))
    # where limits end just short of the target only rounding would be bought beyond them
    return loose if sharp > 1e3 * loose else sharp


def reached_at_floor(problem: Problem, target: float) -> bool:
    """Whether what must be bought, or is free, reaches the target already.

    Args:
        problem: the problem.
        target: wanted value of the criterion.

    Returns:
        The verdict.
    """
    return problem.value(np.where(problem.costs == 0, problem.high, problem.low)) <= target


def checked_ratio(
    problem: Problem, value: float, target: float, budget: float, most: float = _RANGE, of: str = _FLOATS
) -> float:
    """Logarithm of about how many times a budget reaches the target.

    Args:
        problem: the problem.
        value: criterion that the budget reaches.
        target: wanted value of the criterion.
        budget: budget units.
        most: largest size of the logarithm.
        of: what allows no more.

    Returns:
        The logarithm.

    Raises:
        InfeasibleError: it is too large or small to compute with.
    """
    of_d = problem.criterion.name == "D"
    ratio = (value - target) / problem.dim if of_d else float(np.log(value) - np.log(target))
    if abs(ratio) > most:
        raise InfeasibleError(_out_of_range(value, target, budget, of))
    return ratio


def solve_target(problem: Problem, target: float, tolerance: float) -> TargetSolution:
    """Cheapest counts that reach the target.

    Args:
        problem: the problem.
        target: wanted value of the criterion.
        tolerance: certified relative gap of the cost.

    Returns:
        The answer.

    Raises:
        InfeasibleError: limits keep every counts away from the target.
        SolverError: the gap was not reached.
    """
    p = problem
    floor = float(p.costs @ p.low)
    if reached_at_floor(p, target):
        start = solve_budget(p, floor, tolerance)
        return TargetSolution(start, floor, floor, 0.0)
    scale = float(p.costs.sum()) if p.costs.any() else 1.0
    best = solve_budget(p, floor + scale, tolerance)  # raises where nothing estimates what is asked
    ratio = checked_ratio(p, best.value, target, floor + scale)
    if not p.base.rank and not p.low.any() and np.isinf(p.high[p.costs > 0]).all() and (p.costs > 0).all():
        try:
            with np.errstate(over="raise", divide="raise", invalid="raise"):
                return _by_homogeneity(best, target, floor + scale, tolerance)
        except ArithmeticError:
            raise InfeasibleError(_out_of_range(best.value, target, floor + scale)) from None
    far = (
        _FAR * (floor + scale) * float(np.exp(np.clip(ratio, 0.0, 50.0)))
    )  # n times as precise costs about n times
    most, reach = _at_most(p, far)
    if np.isfinite(reach) and reach > target:
        raise InfeasibleError(_out_of_reach(p, target, most, reach))
    budget, lower, upper = floor + scale, floor, np.inf
    answer, nudge, stop = None, 0.3 * tolerance, 0.02 * tolerance
    for _ in range(60):
        reached = best.value <= target
        if reached and float(p.costs @ best.counts) < upper:
            answer, upper = best, float(p.costs @ best.counts)
        previous, lower = lower, max(lower, cost_bound(best.dual, target))
        if np.isinf(lower) or lower > far:
            raise InfeasibleError(_out_of_reach(p, target, most, reach))
        if answer is not None and 1 - lower / upper <= tolerance:
            return TargetSolution(answer, upper, lower, max(0.0, 1 - lower / upper))
        if lower <= floor + 1e-9 * (budget - floor):  # the bound says nothing yet: approach from above
            budget = floor + (budget - floor) * (0.1 if reached else 4.0)
        else:
            if lower <= previous * (1 + 1e-12):
                nudge, stop = (0.4 if reached else 2.0) * nudge, max(0.1 * stop, 1e-14)
            budget = lower + nudge * max(lower, 1e-300)
        best = solve_budget(p, budget, tolerance, stop=stop)
    gap = 1.0 if answer is None else 1 - lower / upper
    raise SolverError(
        f"target {target:.6g}: least cost only known to lie in [{lower:.9g}, {upper:.9g}], a relative gap of {gap:.2g} "
        f"above the tolerance {tolerance:.2g}; what is collected may already come close to the target; {looser(gap)}",
        gap,
    )


def _at_most(p: Problem, budget: float) -> tuple[Array, float]:
    """Upper limits, and counts beyond any sensible budget where there are none, with the criterion there."""
    plenty = budget / np.where(p.costs > 0, p.costs, 1.0)
    counts = np.where(np.isfinite(p.high), p.high, p.low + plenty)
    return counts, p.value(counts)


def _out_of_reach(p: Problem, target: float, most: Array, reach: float) -> str:
    limited = np.isfinite(p.high)
    limits = {name: high for name, high in p.named(p.high).items() if np.isfinite(high)}
    start = f"criterion {p.criterion.name!r} does not reach {target:.6g} at any sensible budget"
    more = p.value(np.where(limited, most, 10 * most))
    if not more >= reach - 1e-3 * abs(reach):
        return (
            f"{start}: counts that cost {float(p.costs @ most):.3g} reach {reach:.6g}; ask for more than that, or check "
            "its units"
        )
    full = float(p.costs[limited] @ p.high[limited])
    rest = "" if limited.all() else ", and however many of the others are bought"
    return (
        f"{start} within the upper limits {limits}: these bind, not the budget. Bought in full for {full:.6g}{rest}, they "
        f"reach {reach:.6g} only; ask for no less than that, or raise the limits"
    )


def _out_of_range(value: float, target: float, budget: float, of: str = _FLOATS) -> str:
    return (
        f"target {target:.6g} is so far from what a budget of {budget:.6g} reaches, {value:.6g}, that its cost is outside "
        f"the range of {of}; check its units (variances for A, E and c, minus a log-determinant for D)"
    )


def _by_homogeneity(solution: Solution, target: float, budget: float, tolerance: float) -> TargetSolution:
    """All counts scale together: phi(r n) = phi(n) / r, or phi(n) - d log r."""
    p = solution.dual.problem
    if p.criterion.name == "D":
        factor = float(np.exp((solution.value - target) / p.dim))
        least = float(np.exp((solution.bound - target) / p.dim))
    else:
        factor, least = solution.value / target, solution.bound / target
    factor *= 1 + 1e-15
    counts = solution.counts * factor
    cost = float(p.costs @ counts)
    gap = max(0.0, 1 - least * budget / cost)
    bound = target - p.dim * np.log(factor / least) if p.criterion.name == "D" else target * least / factor
    scaled = Solution(
        counts,
        target,
        solution.dual.scaled_to(target, counts),
        float(bound),
        gap,
        solution.reduced,
        solution.iterations,
        solution.status,
    )
    if gap > tolerance:
        raise SolverError(f"target {target:.6g}: certified relative gap {gap:.2g} above {tolerance:.2g}", gap)
    return TargetSolution(scaled, cost, least * budget, gap)
