"""Newton's method for c, A and D: a primal-dual interior point method on the shares of the money.

Minimises the logarithm of the criterion (c and A; convex because 1 / phi is concave), or phi / d (D), over
0 <= share <= upper, sum share = 1, by Newton steps on the perturbed optimality conditions with Mehrotra's
predictor and corrector. Derivatives come from one Cholesky factor L of M = L L' and the products

    F_k = L^-1 A_k M^-1 V   (D: L^-1 A_k L^-T),      second derivatives = 2 <F_k, F_l>   (D: <F_k, F_l>).

The gap is the certified one at every step, so stopping needs no other test.
"""

from dataclasses import dataclass
from math import expm1, isfinite, log, sqrt

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.certificate import fullest
from fisherkit.allocation.errors import SolverError
from fisherkit.allocation.reduction import Reduced

__all__ = ["Iterate", "first_prices", "largest_step", "minimise"]

Array = NDArray[np.float64]

#: From so many shares on, a multiplicative step beforehand saves more than it costs.
_MANY = 20

#: So many steps an answer within the gap gets to prove itself.
_GOOD = 6

#: Least room below an upper limit, as a fraction of it.
_ROOM = 1e-18


@dataclass(frozen=True, eq=False)
class Iterate:
    """Where a method stopped.

    Attributes:
        shares: (F,) best shares.
        matrix: (p, m) matrix that proves the best bound, in reduced coordinates.
        value: criterion of the original problem at the shares if the method knows it, else nan.
        gap: relative gap between the two.
        iterations: steps taken.
    """

    shares: Array
    matrix: Array
    value: float
    gap: float
    iterations: int


@dataclass(frozen=True, eq=False)
class _Point:
    shares: Array
    objective: float
    gradient: Array
    hessian: Array
    factor: Array  # L, lower triangular, M = L L'
    half: Array  # L^-1 V; the identity for D
    bound: float  # certified lower bound on the objective

    def matrix(self) -> Array:
        """L^-T half: what proves the bound."""
        from scipy.linalg import lapack

        found: Array = lapack.dtrtrs(self.factor, self.half, lower=1, trans=1)[0]
        return found


def minimise(reduced: Reduced, stop: float, *, limit: int = 60) -> Iterate:
    """Run until the certified relative gap is at most `stop`, or progress ends.

    Args:
        reduced: the problem, with at least one share.
        stop: relative gap.
        limit: most iterations.

    Returns:
        Best shares and best dual matrix seen.

    Raises:
        SolverError: information or directions leave float64.
    """
    upper = reduced.upper
    bounded = reduced.bounded
    shares = reduced.start
    point = _evaluate(reduced, shares)
    if point is None:
        raise SolverError(
            "information or directions at this budget leave float64; measure costs or parameters in other units"
        )
    if len(shares) > _MANY and not len(bounded):
        shares, point = _ahead(reduced, point)
    multiplier = 1.1 * marginal(-point.gradient, upper)
    # complementary pairs: shares with z, then upper - shares with y
    slack = np.concatenate([shares, upper[bounded] - shares[bounded]])
    price = first_prices(slack, multiplier, multiplier + point.gradient, bounded)
    best_primal, best_dual, stalled, steps, good = point, point, 0, 0, 0
    best_gap = _gap(best_primal, best_dual)
    residual = _dual_residual(point, price, multiplier, bounded)
    unit = np.minimum(upper, 1.0)  # slopes along tiny shares are huge, and matter little
    for steps in range(1, limit + 1):
        # the answer shall also prove itself, by the gradient at its own counts
        good += best_gap <= stop
        if (good and _gap(best_primal, best_primal) <= 10 * stop) or stalled >= 6 or good > _GOOD:
            steps -= 1
            break
        with np.errstate(
            divide="ignore", invalid="ignore", over="ignore"
        ):  # beyond the range of floats: stop
            step = _step(point, residual, slack, price, bounded)
        if step is None or not isfinite(step[-1] + step[-2]):
            break
        d_shares, d_slack, d_price, d_multiplier, length = step
        moved, before = None, float(slack @ price) / len(slack)
        scaled = unit * residual
        size = sqrt(np.vdot(scaled, scaled))
        for attempt in range(25):
            trial = _inside(shares + length * d_shares, upper)
            new_slack = slack + length * d_slack
            new_price = price + length * d_price
            mean = float(new_slack @ new_price) / len(slack)
            central = new_slack * new_price >= np.minimum(1e-3 * mean, 0.01 * slack * price)
            if attempt > 8 or np.logical_and.reduce(central):
                moved = _evaluate(reduced, trial)
                if moved is not None:
                    after = _dual_residual(moved, new_price, multiplier + length * d_multiplier, bounded)
                    allowed = max(2 * size, 10 * sqrt(len(shares)) * mean)
                    scaled = unit * after
                    if np.vdot(scaled, scaled) <= allowed**2 or attempt > 20:
                        break
                    moved = None
            length *= 0.7
        if moved is None:
            break
        shares, price, multiplier = trial, new_price, multiplier + length * d_multiplier
        slack = shares
        if len(bounded):  # a full share leaves a rounding error of room, not nothing
            room = np.maximum(upper[bounded] - shares[bounded], _ROOM * upper[bounded])
            slack = np.concatenate([shares, room])
        point, residual = moved, after
        if point.objective < best_primal.objective:
            best_primal = point
        if point.bound > best_dual.bound:
            best_dual = point
        gap = _gap(best_primal, best_dual)
        stalled = stalled + 1 if gap > 0.8 * best_gap and mean > 0.5 * before else 0
        best_gap = min(gap, best_gap)
    return Iterate(best_primal.shares, best_dual.matrix(), float("nan"), best_gap, steps)


def _ahead(reduced: Reduced, point: _Point) -> tuple[Array, _Point]:
    """A first step towards the better half: shares in proportion to the roots of the slopes, if that helps."""
    better = point.shares * np.sqrt(-point.gradient)
    better = 0.9 * better / better.sum() + 0.1 * point.shares
    closer = _evaluate(reduced, better)
    if closer is None or closer.objective > point.objective:
        return point.shares, point
    return better, closer


def marginal(slopes: Array, upper: Array) -> float:
    """The slope at which the money runs out when the steepest shares are filled up first.

    Args:
        slopes: (F,) of the information per share, >= 0.
        upper: (F,) upper limits of the shares.

    Returns:
        The largest slope where there are no limits; never far below what a share brings on average.

    Example:
        >>> marginal(np.array([9.0, 2.0, 3.0]), np.array([0.1, np.inf, 0.5]))
        2.0
    """
    order = np.argsort(-slopes)
    last = int(np.searchsorted(np.cumsum(upper[order]), 1.0))
    average = float(np.minimum(upper, 1.0) @ slopes) / len(slopes)
    return max(float(slopes[order[min(last, len(order) - 1)]]), 1e-3 * average)


def first_prices(slack: Array, multiplier: float, reduced_costs: Array, bounded: NDArray[np.intp]) -> Array:
    """Prices of the complementary pairs to start from: dual feasible, and central also for tiny upper limits.

    Args:
        slack: (F + bounded,) shares, then room below the upper limits.
        multiplier: of the budget, positive.
        reduced_costs: (F,) multiplier less slope; negative only where there is an upper limit.
        bounded: which shares have upper limits.

    Returns:
        (F + bounded,) positive prices.
    """
    size = len(reduced_costs)
    lower = np.maximum(reduced_costs, 1e-3 * multiplier)
    mean = float(np.sort(slack[:size] * lower)[size // 2])
    if len(bounded):
        mean = min(mean, 0.1 * multiplier * float(np.sort(slack[size:])[len(bounded) // 2]))
    upper = np.maximum(0.1 * multiplier, mean / slack[size:]) + np.maximum(0.0, -reduced_costs[bounded])
    lower[bounded] = np.maximum(
        np.maximum(reduced_costs[bounded] + upper, lower[bounded]), mean / slack[bounded]
    )
    return np.concatenate([lower, upper])


def largest_step(x: Array, dx: Array, fraction: float = 0.995) -> float:
    """Largest step in [0, 1] that keeps x + step dx at least (1 - fraction) x.

    Args:
        x: positive numbers.
        dx: their direction.
        fraction: how far to the boundary.

    Returns:
        Step length.
    """
    steepest = float(np.minimum.reduce(dx / x))
    return 1.0 if steepest >= -fraction else -fraction / steepest


def _inside(shares: Array, upper: Array) -> Array:
    """The same shares with their sum exactly 1 again (up to rounding), strictly inside the limits."""
    scaled = shares / np.add.reduce(shares)
    return scaled if np.logical_and.reduce(scaled < upper) else shares


def _evaluate(reduced: Reduced, shares: Array) -> _Point | None:
    """Objective, derivatives and dual matrix; None where the information is not positive definite."""
    from scipy.linalg import lapack

    factor, failed = lapack.dpotrf(reduced.information(shares), lower=1, clean=1)
    if failed:
        return None
    count, rank, dim = reduced.roots.shape
    whitened = lapack.dtrtrs(factor, reduced.flat.T, lower=1)[0].T  # R L^-T
    blocks = whitened.reshape(count, rank, dim)
    if reduced.problem.criterion.name == "D":
        gradient = np.einsum("kri,kri->k", blocks, blocks)
        products = np.matmul(blocks.transpose(0, 2, 1), blocks).reshape(count, -1)
        objective = -2 * float(np.add.reduce(np.log(factor.diagonal()))) / dim
        hessian = products @ products.T
        hessian /= dim
        half, total = np.eye(dim), float(dim)
    else:
        half = lapack.dtrtrs(factor, reduced.wanted, lower=1)[0]  # L^-1 V
        seen = (whitened @ half).reshape(count, rank, -1)  # R M^-1 V
        gradient = np.einsum("krq,krq->k", seen, seen)
        products = np.matmul(blocks.transpose(0, 2, 1), seen).reshape(count, -1)
        total = float(np.vdot(half, half))
        objective = log(total)
        hessian = products @ products.T
        hessian *= 2 / total
        slope = gradient / total
        hessian -= slope[:, None] * slope
    best = float(np.maximum.reduce(gradient))
    if not isfinite(objective + best):
        return None
    if reduced.bounded.size:
        nothing = np.zeros(count)
        best = float(fullest(gradient, nothing + 1, nothing, reduced.upper, 1.0) @ gradient)
    cap = (
        total - float(gradient @ shares) + best
    )  # what the base contributes, and the most that can be bought
    bound = objective + log(min(1.0, total / max(cap, 1e-300)))
    return _Point(shares, objective, gradient / -total, hessian, factor, half, bound)


def _gap(primal: _Point, dual: _Point) -> float:
    return max(0.0, -expm1(dual.bound - primal.objective))


def _dual_residual(point: _Point, price: Array, multiplier: float, bounded: NDArray[np.intp]) -> Array:
    size = len(point.shares)
    residual = point.gradient - price[:size] + multiplier
    if len(bounded):
        residual[bounded] += price[size:]
    return residual


def _step(
    point: _Point, residual: Array, slack: Array, price: Array, bounded: NDArray[np.intp]
) -> tuple[Array, Array, Array, float, float] | None:
    """Direction for shares, slacks, prices and the multiplier, and the step length; None if the system is singular."""
    from scipy.linalg import lapack

    size = len(point.shares)
    mean = float(slack @ price) / len(slack)
    ratio = price / slack
    system = point.hessian.copy()
    diagonal = system.reshape(-1)[:: size + 1]
    diagonal += ratio[:size]
    diagonal[bounded] += ratio[size:]
    unit = 1 / np.sqrt(diagonal)
    system *= unit[:, None] * unit
    for ridge in (0.0, 1e-14, 1e-12, 1e-10):
        factor, failed = lapack.dpotrf(system + ridge * np.eye(size) if ridge else system, lower=1)
        if not failed:
            break
    else:
        return None
    alone = unit * lapack.dpotrs(factor, unit, lower=1)[0]  # what the budget's multiplier moves
    weight = float(np.add.reduce(alone))

    def direction(goal: Array | float) -> tuple[Array, Array, Array, float, float]:
        pull = goal / slack - price  # complementarity, solved for the prices
        right = pull[:size] - residual
        if len(bounded):
            right[bounded] -= pull[size:]
        right *= unit
        d_shares = unit * lapack.dpotrs(factor, right, lower=1)[0]
        d_multiplier = float(np.add.reduce(d_shares)) / weight
        d_shares -= d_multiplier * alone
        d_slack = np.concatenate([d_shares, -d_shares[bounded]]) if len(bounded) else d_shares
        d_price = pull - ratio * d_slack
        length = min(largest_step(slack, d_slack), largest_step(price, d_price))
        return d_shares, d_slack, d_price, d_multiplier, length

    _, d_slack, d_price, _, length = direction(0.0)
    reached = float((slack + length * d_slack) @ (price + length * d_price)) / len(slack)
    centring = max((reached / mean) ** 3, 1e-8)
    step = direction(centring * mean - np.minimum(np.maximum(d_slack * d_price, -mean), mean))
    if step[-1] < 0.2:
        centred = direction(max(centring, 0.3) * mean)
        step = centred if centred[-1] > step[-1] else step
    return step
