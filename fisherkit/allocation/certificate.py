"""Lower bounds that hold whatever a solver says: weak duality, evaluated by sorting.

Any matrix C with d rows, good or bad, proves a bound. With g_k = |R_k C|^2 and, over all affordable counts,

    cap = |base C|^2 + max sum_k n_k g_k    (a fractional knapsack: sort by g_k / cost_k and fill),

    c, A:  phi >= (sum of V * C)^2 / cap            since v' M^- v = max over h of (v'h)^2 / (h'Mh)
    E:     phi >= |C|^2 / cap                       since lambda_min(M) |C|^2 <= trace(C'MC)
    D:     phi >= log det CC' - d log(cap / d)      since det(YM)^(1/d) <= trace(YM) / d, Y = CC'.

At the optimal C the bound is the optimum (Kiefer and Wolfowitz 1960; Pukelsheim 2006, ch. 7). Without limits and
collected samples it is the familiar phi^2 / (budget max_k g_k / cost_k). Read backwards, with phi given, the same
inequalities bound the cost.

The g_k are upper bounds of what they are for the matrices and designs that were given (`fisherkit.allocation.evidence`),
and so is the criterion that counts are said to reach, `Inverse.upper_value`: gaps and losses hold in exact arithmetic.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.dyadic import Dyadic
from fisherkit.allocation.evidence import Design, Evidence
from fisherkit.allocation.problem import Problem
from fisherkit.certified.bounds import gamma
from fisherkit.tolerances import tolerance

__all__ = ["Dual", "Inverse", "cheapest", "fullest", "log_determinant", "relative_gap"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dual:
    """A matrix that proves bounds for a problem.

    Attributes:
        problem: the problem.
        matrix: (d, m), C.
        scores: (K,), at least g_k = |R_k C|^2.
        base: at least |base C|^2.
        strength: at most the logarithm of the numerator of the bound: phi (its logarithm for c, A, E) >= strength - (d)
            log cap.
    """

    problem: Problem
    matrix: Array
    scores: Array
    base: float
    strength: float

    @classmethod
    def of(cls, problem: Problem, matrix: Array, budget: float) -> "Dual":
        """Evaluate the scores.

        Args:
            problem: the problem.
            matrix: (d, m), C.
            budget: about what will be spent, budget units: scores are as accurate as that needs.

        Returns:
            The dual point.
        """
        free = problem.costs == 0
        worth = np.where(
            free, problem.high, np.minimum(budget / np.where(free, 1.0, problem.costs), problem.high)
        )
        scores, base = problem.evidence.scores(matrix, worth, problem.accuracy)
        with np.errstate(divide="ignore"):
            if problem.criterion.name == "D":
                logarithm, error = log_determinant(matrix, problem.accuracy)
                strength = logarithm - error
            elif problem.criterion.name == "E":
                strength = float(np.log(np.square(matrix).sum()))
            else:
                strength = 2 * float(
                    np.log(_least_product(problem.criterion.directions, matrix, problem.accuracy))
                )
        return cls(problem, matrix, scores, base, strength)

    def bound(self, budget: float, capacity: float | None = None) -> float:
        """Lower bound on the criterion of all affordable counts.

        Args:
            budget: budget units.
            capacity: largest sum_k n_k g_k if it is known from elsewhere, such as further constraints.

        Returns:
            The bound, less an allowance for rounding.
        """
        if capacity is None:
            p = self.problem
            rich = budget * (1 + gamma(len(p.costs) + 8))  # so that rounding leaves no money behind
            capacity = float(fullest(self.scores, p.costs, p.low, p.high, rich) @ self.scores)
            capacity *= 1 + gamma(len(p.costs) + 8)
        cap = self.base + capacity
        d = self.problem.dim
        slack = tolerance(d) + gamma(16) * (1 + abs(self.strength))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            if self.problem.criterion.name == "D":
                bound = self.strength - d * np.log(cap / d) - d * slack
            else:
                bound = np.exp(self.strength - np.log(cap)) * (1 - slack)
        return float(bound) if not np.isnan(bound) else -np.inf

    def needed(self, target: float, allowance: float | None = None) -> float:
        """Least sum_k n_k g_k of any counts that reach the target.

        Args:
            target: wanted value of the criterion.
            allowance: relative, for rounding; default the tolerance of `fisherkit.psd`.

        Returns:
            Lower bound, less an allowance for rounding; may be negative.
        """
        d = self.problem.dim
        slack = tolerance(d) + gamma(16) * (
            1 + abs(self.strength) + abs(target) * (self.problem.criterion.name == "D")
        )
        if self.problem.criterion.name == "D":
            cap = d * np.exp((self.strength - target) / d)
        else:
            cap = np.exp(self.strength) / target
        return float(cap * (1 - (slack if allowance is None else allowance)) - self.base * (1 + slack))

    def scaled_to(self, value: float, counts: Array) -> "Dual":
        """The same direction, scaled so that the scores are derivatives -d phi / d n_k at these counts.

        Args:
            value: criterion there.
            counts: (K,).

        Returns:
            Scaled copy.
        """
        name, shift = self.problem.criterion.name, 1
        if name == "D":
            total = self.base + float(self.scores @ counts)
            factor, shift = np.sqrt(self.problem.dim / total), self.problem.dim
        elif name == "E":
            factor = value / np.sqrt(np.square(self.matrix).sum())
        else:
            factor = value / abs(float(np.sum(self.problem.wanted * self.matrix)))
        strength = self.strength + 2 * shift * float(np.log(factor))
        return Dual(
            self.problem, factor * self.matrix, factor**2 * self.scores, factor**2 * self.base, strength
        )


def _least_product(wanted: Array | None, matrix: Array, accuracy: float) -> float:
    """At most |sum of V * C|, with V the identity where None."""
    products = matrix.diagonal() if wanted is None else wanted * matrix
    total = abs(float(products.sum()))
    around = gamma(products.size + 4) * float(np.abs(products).sum())
    if around <= accuracy * total or wanted is None:
        return max(0.0, total - around)
    pairs = zip(wanted.ravel().tolist(), matrix.ravel().tolist(), strict=True)
    return float(abs(sum((Fraction(v) * Fraction(c) for v, c in pairs), Fraction(0)))) * (1 - gamma(4))


@dataclass(frozen=True, eq=False)
class Inverse:
    """M^-1 at some counts, in exact arithmetic up to a relative error: (1 - lost) half half' <= M^-1 <= half half' / (1 - lost).

    With T'MT = P near the identity, M^-1 = T P^-1 T'. A direction that is within range(M) up to the tolerance of
    `fisherkit.psd` counts as within.

    Attributes:
        problem: the problem.
        whitening: (d, p), T.
        factor: (p, p) lower triangular L, P = L L'.
        least: at most the smallest eigenvalue of P.
        lost: at least by how much rounding may exceed it.
    """

    problem: Problem
    whitening: Array
    factor: Array
    least: float
    lost: float

    @classmethod
    def at(cls, problem: Problem, counts: Array, whitening: Array | None = None) -> "Inverse | None":
        """Evaluate P.

        Args:
            problem: the problem.
            counts: (K,) samples to buy.
            whitening: (d, p), T; by default from the decided information, with p its rank.

        Returns:
            The inverse, None where what is asked is not estimable, or nothing can be said.
        """
        if whitening is None:
            decided = problem.information(counts)
            if not np.isfinite(problem.criterion.value(decided)):
                return None
            whitening = decided.half_inverse
        if problem.criterion.name != "c" and whitening.shape[1] < problem.dim:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            near, radius = problem.evidence.gram(whitening, counts, problem.accuracy)
        if not np.isfinite(near).all() or not np.isfinite(radius):
            return None
        size = len(near)
        far = _size(near - np.eye(size)) * (1 + gamma(size * size + 8))
        least = (
            1 - far
            if far < 0.5
            else float(np.linalg.eigvalsh(near).min(initial=np.inf)) - gamma(8 * size) * (1 + far)
        )
        lost = (radius + gamma(8 * size) * (1 + far)) / max(least, 1e-300)
        if not lost < 0.5:
            return None
        factor = np.asarray(np.linalg.cholesky(near), dtype=np.float64)
        return cls(problem, whitening, factor, least, lost)

    @cached_property
    def half(self) -> Array:
        """(d, p), H with M^-1 = H H'."""
        return np.asarray(np.linalg.solve(self.factor, self.whitening.T).T, dtype=np.float64)

    def dual(self) -> Array:
        """(d, m) matrix that proves the bound at these counts if they are optimal."""
        name = self.problem.criterion.name
        if name == "D":
            return self.half
        if name == "E":
            return np.linalg.svd(self.half)[0][:, :1]
        return np.asarray(self.half @ (self.half.T @ self.problem.wanted))

    def upper_value(self) -> float:
        """At least the criterion, as a rule a few roundings above it."""
        p, size = self.problem, len(self.factor)
        if not size:
            return 0.0
        if p.criterion.name == "D":
            logarithm, error = log_determinant(self.whitening, p.accuracy)
            rest = 2 * np.log(self.factor.diagonal())
            error += gamma(8 * size) * float(np.abs(rest).sum() + size) - size * float(np.log1p(-self.lost))
            return logarithm - float(rest.sum()) + error if np.isfinite(logarithm) else np.inf
        slack = (1 + gamma(16 * max(size, p.dim) + p.wanted.size)) / (1 - self.lost)
        if p.criterion.name == "E":
            return float(np.linalg.norm(self.half, 2)) ** 2 * slack
        directions = p.criterion.directions
        if directions is None:  # A: nothing to multiply, nothing to round
            length = _size(self.half)
        else:
            seen = self.whitening.T @ directions
            around = gamma(p.dim + 4) * _size(np.abs(self.whitening.T) @ np.abs(directions))
            if around > p.accuracy * _size(seen):
                seen = (Dyadic.of(self.whitening).T @ Dyadic.of(directions)).floats()
                around = gamma(4) * _size(seen)
            length = _size(np.linalg.solve(self.factor, seen)) + around / float(np.sqrt(self.least))
        return length**2 * slack


def _size(x: NDArray[np.floating]) -> float:
    """Frobenius norm."""
    return float(np.sqrt(np.vdot(x, x)))


def fullest(scores: Array, costs: Array, low: Array, high: Array, budget: float) -> Array:
    """Counts that maximise scores @ n over low <= n <= high, costs @ n <= budget.

    Args:
        scores: (K,) worth per sample, >= 0.
        costs: (K,) budget units per sample, >= 0; a free one must have a finite upper limit.
        low: (K,).
        high: (K,).
        budget: at least costs @ low.

    Returns:
        (K,) counts.

    Example:
        >>> fullest(np.array([3.0, 2.0]), np.array([2.0, 1.0]), np.zeros(2), np.array([np.inf, 4.0]), 6.0).tolist()
        [1.0, 4.0]
    """
    counts = low.astype(np.float64)
    room = budget - float(costs @ low)
    free = costs == 0
    counts[free] = high[free]
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(free, -1.0, scores / costs)
    if np.isinf(high).all() and not free.all():  # the best one takes all
        best = int(rate.argmax())
        counts[best] += max(0.0, room) / costs[best]
        return counts
    for k in np.argsort(-rate, kind="stable"):
        if free[k] or room <= 0:
            continue
        more = min(high[k] - low[k], room / costs[k])
        counts[k] += more
        room -= more * costs[k]
    return counts


def cheapest(scores: Array, costs: Array, low: Array, high: Array, needed: float) -> float:
    """Least cost of counts with scores @ n >= needed and low <= n <= high.

    Args:
        scores: (K,) worth per sample, >= 0.
        costs: (K,) budget units per sample, >= 0.
        low: (K,).
        high: (K,).
        needed: wanted worth.

    Returns:
        Cost, +infinity if no counts are worth that much.
    """
    cost = float(costs @ low)
    free = costs == 0
    short = needed - float(scores @ np.where(free, high, low))
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(free, -1.0, scores / costs)
    for k in np.argsort(-rate, kind="stable"):
        if short <= 0:
            break
        if free[k] or scores[k] <= 0:
            continue
        more = min(high[k] - low[k], short / scores[k])
        cost += more * costs[k]
        short -= more * scores[k]
    return cost if short <= 0 or needed <= 0 else (np.inf if short > 1e-12 * abs(needed) else cost)


def relative_gap(criterion_name: str, dim: int, value: float, bound: float) -> float:
    """Distance to the optimum as a fraction: what share of the information, at most, an optimal design saves.

    Args:
        criterion_name: "c", "A", "D" or "E".
        dim: number of parameters.
        value: criterion reached.
        bound: certified lower bound.

    Returns:
        1 - bound / value for c, A, E; 1 - exp((bound - value) / d) for D (the D-efficiency's complement); >= 0.
    """
    if not np.isfinite(value) or not np.isfinite(bound):
        return 1.0
    if criterion_name == "D":
        gap = -float(np.expm1((bound - value) / dim))
    else:
        gap = 1.0 - bound / value
    return min(1.0, gap + float(np.finfo(np.float64).eps)) if gap > 0 else 0.0  # rounded upwards


def log_determinant(matrix: Array, accuracy: float) -> tuple[float, float]:
    """Logarithm of det(C C'), and how far off it may be.

    Args:
        matrix: (d, m), C.
        accuracy: radius above which integers are used.

    Returns:
        The logarithm, -infinity where nothing is known, and a bound on its error.
    """
    d = len(matrix)
    if matrix.shape[1] < d:
        return -np.inf, 0.0
    lengths = np.sqrt(np.square(matrix).sum(axis=1))
    triangle = np.linalg.qr(matrix.T / np.where(lengths > 0, lengths, 1.0), mode="r")
    if not np.diagonal(triangle).all():
        return -np.inf, 0.0
    inverse = np.triu(np.linalg.inv(triangle)) / lengths[:, None]
    near, radius = Evidence.of([Design.of_root(matrix.T)], np.zeros(1)).gram(
        inverse, np.ones(1), accuracy / d
    )
    logarithm, error = _log_near_identity(near, radius)
    diagonal = np.log(np.abs(np.diagonal(inverse)))
    error += gamma(2 * d + 8) * float(np.abs(diagonal).sum() + d)
    return logarithm - 2 * float(diagonal.sum()), 2 * error


def _log_near_identity(near: Array, radius: float) -> tuple[float, float]:
    """Logarithm of the determinant of a matrix near the identity that is known up to a radius."""
    eigenvalues = np.linalg.eigvalsh(near)
    lost = radius + gamma(8 * len(near)) * float(eigenvalues[-1])
    least = float(eigenvalues[0]) - lost
    if not least > 0.1:
        return -np.inf, 0.0
    return float(np.log(eigenvalues).sum()), lost * len(near) / least
