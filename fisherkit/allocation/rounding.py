"""Whole samples: round down, spend the rest greedily, then exchange; few possibilities are all tried.

However they were found, they are judged against the certified bound, by an upper bound of what they reach. Changes of
the criterion by m more (or fewer) samples of modality k come from the r x r matrix I / m + R M^-1 R', for all modalities
at once; for E from eigenvalues.
"""

from fractions import Fraction
from math import ceil

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.certificate import Inverse
from fisherkit.allocation.errors import InfeasibleError, NotEstimableError, SolverError
from fisherkit.allocation.reduction import Reduced

__all__ = ["round_for_budget", "round_for_target"]

Array = NDArray[np.float64]

#: So little of the real-valued optimum is added while whole samples do not yet determine what is asked.
_TRACE = 1e-7
_PASSES, _SIZES = 4, 3

#: Modalities of which E evaluates one more sample exactly, and evaluations that exchanges may use.
_TRIED, _CALLS = 12, 600

#: So many combinations of whole counts (and entries of their information matrices) are tried one by one.
_FEW, _ENTRIES = 4000, 300_000

#: Costs of whole counts are sums of floats: so much, relatively, they may exceed the budget, but never by a sample.
_ROUNDING = 1e-12

#: Above that one sample more or less is lost in a float's rounding.
_MOST = 2.0**52

#: Relative excess over a target that is no more than its rounding.
_TIE = 1e-12

#: So many samples are added one by one to reach a target, then twice as many each time.
_SINGLES = 50


class _Rounding:
    """Whole counts under construction; the criterion is evaluated near the identity."""

    def __init__(self, reduced: Reduced, counts: Array, budget: float = np.inf) -> None:
        problem = reduced.problem
        self.problem = problem
        self.roots = problem.roots @ reduced.basis  # (K, r, p)
        self.flat = self.roots.reshape(-1, reduced.basis.shape[1])
        self.base = problem.base.root @ reduced.basis
        self.wanted = reduced.wanted
        self.eye = np.eye(self.roots.shape[1])
        self.low, self.high = np.ceil(problem.low), np.floor(problem.high)
        if (self.low > self.high).any():
            name = problem.names[int((self.low > self.high).argmax())]
            raise InfeasibleError(
                f"{name}: no whole number lies between its limits; widen them or pass integer=False"
            )
        useful = np.square(problem.roots).sum(axis=(1, 2)) > 0
        priced = problem.costs > 0
        self.useful = useful & priced
        asked = np.where(priced, np.maximum(np.minimum(counts, self.high), self.low), 0.0)
        if (asked > _MOST).any():
            k = int(asked.argmax())
            raise InfeasibleError(
                f"{problem.names[k]}: {asked[k]:.3g} samples; whole counts above 2^52 = {_MOST:.3g} cannot be represented "
                "one by one; pass integer=False, or ask for less (a smaller budget or a larger target)"
            )
        self.high = np.where(priced, np.minimum(self.high, _MOST), self.high)
        self.budget, slack = budget, 0.0
        if priced.any() and np.isfinite(budget):  # well below the price of one sample
            least = float(problem.costs[priced].min())
            slack = min(
                _ROUNDING * budget,
                0.1 * least,
                max(1e-3 * least, 8 * float(np.finfo(np.float64).eps) * budget),
            )
        self.limit = budget + slack
        self.trace = _TRACE * (
            reduced.information(reduced.start) if len(reduced.free) else np.eye(len(self.base.T))
        )
        self.counts = np.clip(np.floor(counts + 1e-9), self.low, self.high)
        self.counts[problem.costs == 0] = self.high[problem.costs == 0]

    def information(self) -> Array:
        weighted = (self.counts[:, None, None] * self.roots).reshape(self.flat.shape)
        return weighted.T @ self.flat + self.base.T @ self.base + self.trace

    def changes(self, m: Array) -> Array:
        """Criterion after m_k more samples of k alone (fewer where negative), less the criterion now; (K,)."""
        information = self.information()
        out = np.full(len(m), np.inf)
        asked = np.flatnonzero(m != 0)
        if not len(asked):
            return out
        if self.problem.criterion.name == "E":
            return self._eigenvalue_changes(information, m, asked)
        inverse = np.linalg.inv(information)
        blocks = self.roots[asked]
        inner = self.eye / m[asked, None, None] + np.matmul(blocks @ inverse, blocks.transpose(0, 2, 1))
        if self.problem.criterion.name == "D":
            sign, logarithm = np.linalg.slogdet(inner * m[asked, None, None])
            out[asked] = np.where(sign > 0, -logarithm, np.inf)
            return out
        seen = blocks @ (inverse @ self.wanted)
        drop = np.einsum("krq,krq->k", seen, np.linalg.solve(inner, seen))
        out[asked] = np.where(np.isfinite(drop), -drop, np.inf)
        return out

    def _eigenvalue_changes(self, information: Array, m: Array, asked: NDArray[np.intp]) -> Array:
        """As `changes`, for E; of many modalities only those that look into the worst directions are tried."""
        half = np.linalg.solve(information, self.wanted)
        variances, vectors = np.linalg.eigh(self.wanted.T @ half)
        if len(asked) > _TRIED:
            worst = half @ (vectors * (variances / variances[-1]) ** 4)
            slope = m[asked] * np.square(self.roots[asked] @ worst).sum(axis=(1, 2))
            asked = asked[np.argsort(-slope)[:_TRIED]]
        blocks, out = self.roots[asked], np.full(len(m), np.inf)
        after = information + m[asked, None, None] * np.matmul(blocks.transpose(0, 2, 1), blocks)
        out[asked] = self.surrogate(after) - variances[-1]
        return out

    def surrogate(self, informations: Array) -> Array:
        """The criterion, up to a constant, of positive definite matrices (N, p, p); (N,)."""
        if self.problem.criterion.name == "D":
            return -np.linalg.slogdet(informations)[1]
        covariances = self.wanted.T @ np.linalg.inv(informations) @ self.wanted
        if self.problem.criterion.name == "E":
            return np.linalg.eigvalsh(covariances)[:, -1].astype(np.float64)
        return np.trace(covariances, axis1=1, axis2=2)

    @property
    def cost(self) -> float:
        return float(self.problem.costs @ self.counts)

    def value(self) -> float:
        return self.problem.value(self.counts)

    def upper(self) -> float:
        """What the counts reach at most; raises where rounding leaves nothing to say."""
        inverse = Inverse.at(self.problem, self.counts)
        value = np.inf if inverse is None else inverse.upper_value()
        if not np.isfinite(value):
            raise SolverError(
                f"whole samples reach about {self.value():.6g}, but the information is so ill-conditioned that no bound on "
                "it can be proved; pass integer=False, or rescale parameters"
            )
        return value

    def affordable(self, room: float) -> Array:
        """How many samples of each modality that much money would buy, within its limits, (K,)."""
        prices = np.where(self.useful, self.problem.costs, 1.0)
        lots = np.floor(np.minimum(room / prices, self.high - self.counts))
        return np.where(self.useful, np.maximum(lots, 0.0), 0.0)

    def fill(self) -> None:
        """Spend what is left where it lowers the criterion most per budget unit, in shrinking lots."""
        prices = np.where(self.useful, self.problem.costs, 1.0)
        room = self.limit - self.cost
        while True:
            lots = self.affordable(room)
            if not (lots >= 1).any():
                return
            lots = np.where(lots >= 1, np.maximum(1.0, np.floor(lots / 4)), 0.0)
            change = self.changes(lots)
            rate = np.where(lots > 0, change / np.where(lots > 0, lots * prices, 1.0), np.inf)
            k = int(rate.argmin())
            if not change[k] < 0:
                return
            self.counts[k] += lots[k]
            room -= lots[k] * prices[k]

    def give_back(self) -> None:
        """Whole lower limits are dearer than the real ones: save where it hurts least, in shrinking lots."""
        prices = np.where(self.useful, self.problem.costs, 1.0)
        over = self.cost - self.limit
        while over > 0:
            can = self.useful & (self.counts > self.low)
            if not can.any():
                return
            lots = np.maximum(1.0, np.floor(over / prices / 4))
            lots = np.where(can, np.minimum(lots, self.counts - self.low), 0.0)
            loss = self.changes(-lots)
            k = int(np.where(can, loss / np.where(can, lots * prices, 1.0), np.inf).argmin())
            k = k if can[k] else int(can.argmax())
            self.counts[k] -= lots[k]
            over -= lots[k] * prices[k]

    def settle(self) -> None:
        """Where samples are cheaper than the rounding of the cost: count exactly, and return the cheapest ones."""
        costs = self.problem.costs
        if not self.useful.any() or self.budget < costs[self.useful].min() / _ROUNDING:
            return
        bought = zip(costs.tolist(), self.counts.tolist(), strict=True)
        over = sum((Fraction(c) * Fraction(n) for c, n in bought), Fraction(0)) - Fraction(self.limit)
        for k in np.argsort(np.where(self.useful, costs, np.inf)):
            if over <= 0 or not self.useful[k]:
                return
            price = Fraction(float(costs[k]))
            back = min(ceil(over / price), int(self.counts[k] - self.low[k]))
            self.counts[k] -= back
            over -= back * price

    def exchange(self) -> None:
        """Give samples of one modality back and spend their price on another, as long as that helps."""
        prices = np.where(self.useful, self.problem.costs, np.inf)
        calls = 0
        for _ in range(_PASSES):
            moved = False
            for i in np.flatnonzero(self.useful & (self.counts > self.low)):
                room = self.limit - self.cost
                most = self.counts[i] - self.low[i]
                # one sample back, or as many as pay for one of another modality
                needed = np.ceil((prices - room) / prices[i])
                sizes = np.unique(needed[(needed > 1) & (needed <= most)])[:_SIZES]
                for back in [1.0, *sizes]:
                    calls += 2
                    if calls > _CALLS:
                        return
                    lost = self.changes(np.where(np.arange(len(prices)) == i, -back, 0.0))[i]
                    self.counts[i] -= back
                    lots = self.affordable(self.limit - self.cost)
                    lots[i] = 0.0
                    change = self.changes(lots)
                    j = int(change.argmin())
                    if np.isfinite(lost) and lost + change[j] < -1e-10 * abs(lost):
                        self.counts[j] += lots[j]
                        moved = True
                        self.fill()
                        break
                    self.counts[i] += back
            if not moved:
                return

    def at_least_one(self, counts: Array) -> None:
        """Start again with a whole sample of everything in the real-valued answer, at the expense of the most bought."""
        once = np.minimum(np.maximum(self.low, 1.0), self.high)
        least = np.where(self.useful & (counts > 0), once, self.low)
        self.counts = np.where(
            self.useful, np.maximum(least, np.clip(np.floor(counts), self.low, self.high)), self.counts
        )
        prices = np.where(self.useful, self.problem.costs, 1.0)
        for k in np.argsort(-(self.counts - least) * prices):
            over = self.cost - self.limit
            if over > 0 and self.useful[k]:
                self.counts[k] -= min(np.ceil(over / prices[k]), self.counts[k] - least[k])

    def try_all(self) -> None:
        """Replace the counts by the best of all whole counts, if these are few."""
        chosen = np.flatnonzero(self.useful)
        if not len(chosen):
            return
        prices = self.problem.costs[chosen]
        room = self.limit - float(self.problem.costs @ np.where(self.useful, self.low, self.counts))
        most = np.minimum(np.floor(room / prices), self.high[chosen] - self.low[chosen])
        order = np.argsort(-most)  # the last digits of the best counts follow from the others
        chosen, prices, most = chosen[order], prices[order], most[order]
        if np.log1p(most[1:]).sum() > np.log(min(_FEW, _ENTRIES / max(1, self.base.shape[1] ** 2))):
            return
        number = int(np.prod(most[1:] + 1))
        others = np.indices([int(m) + 1 for m in most[1:]], dtype=np.float64).reshape(len(most) - 1, number).T
        left = room - others @ prices[1:]
        others, left = others[left >= 0], left[left >= 0]
        first = np.minimum(np.floor(left / prices[0]), most[0])
        every = np.tile(np.where(self.useful, self.low, self.counts), (len(others), 1))
        every[:, chosen] += np.concatenate([first[:, None], others], axis=1)
        each = np.matmul(self.roots.transpose(0, 2, 1), self.roots).reshape(len(self.roots), -1)
        fixed = self.base.T @ self.base + self.trace
        informations = (every @ each).reshape(-1, *fixed.shape) + fixed
        best, value = self.counts, self.value()
        for k in np.argsort(self.surrogate(informations))[:3]:
            self.counts = every[k]
            other = self.value()
            if other < value:
                best, value = every[k], other
        self.counts = best


def round_for_budget(reduced: Reduced, counts: Array, budget: float) -> tuple[Array, float]:
    """Whole counts within budget and limits.

    Args:
        reduced: the problem as it was solved.
        counts: (K,) its real-valued answer.
        budget: budget units.

    Returns:
        (K,) whole counts, and an upper bound on their criterion.

    Raises:
        InfeasibleError: whole lower limits cost more than the budget, no whole number lies within limits, or there are
            too many samples to count.
        NotEstimableError: whole samples within the budget do not determine what is asked.
        SolverError: information so ill-conditioned that nothing can be proved of what they reach.
    """
    state = _Rounding(reduced, counts, budget)
    least = float(reduced.problem.costs @ state.low)
    if least > state.limit:
        raise InfeasibleError(
            f"budget {budget:.6g} does not pay for the lower limits in whole samples, which cost {least:.6g}; give at "
            "least that, or pass integer=False"
        )
    state.give_back()
    state.fill()
    state.exchange()
    state.try_all()
    state.settle()
    value = state.value()
    if not np.isfinite(value):
        state.at_least_one(counts)
        if state.cost <= state.limit:
            state.fill()
            state.settle()
            value = state.value()
    if not np.isfinite(value):
        state.counts = np.clip(np.ceil(counts * (1 - 1e-9)), state.low, state.high)
        raise NotEstimableError(
            f"no whole numbers of samples were found within budget {budget:.6g} that determine what criterion "
            f"{reduced.problem.criterion.name!r} asks for; real-valued counts do (pass integer=False), and a budget of "
            f"{state.cost:.6g} pays for them rounded up"
        )
    return state.counts, state.upper()


def round_for_target(reduced: Reduced, counts: Array, target: float) -> tuple[Array, float]:
    """Whole counts within the limits that reach the target: round up, then give back what is not needed, dearest first.

    Args:
        reduced: the problem as it was solved.
        counts: (K,) its real-valued answer.
        target: wanted value of the criterion.

    Returns:
        (K,) whole counts, and an upper bound on their criterion.

    Raises:
        InfeasibleError: whole numbers within the limits do not reach the target, or there are too many samples to count.
        SolverError: information so ill-conditioned that it cannot be proved that they do.
    """
    goal, upper = target, np.inf
    for _ in range(4):
        state = _Rounding(reduced, counts)
        _reach(state, counts, goal)
        upper = state.upper()
        over = upper - target
        size = 1.0 if reduced.problem.criterion.name == "D" else target
        if over <= _TIE * size:
            return state.counts, upper
        goal -= 2 * over  # rounding hid that they fall short of the target
    raise SolverError(
        f"target {target:.6g}: whole samples are proved to reach {upper:.6g} only, since the information is "
        "ill-conditioned; pass integer=False, or ask for a slightly looser target"
    )


def _reach(state: _Rounding, counts: Array, target: float) -> None:
    """Round up, add what is missing, then give back what is not needed."""
    costs = state.problem.costs
    state.counts = np.clip(np.ceil(counts - 1e-9), state.low, state.high)
    value = state.value()
    tries = 0
    while not value <= target:
        size = 2.0 ** max(0, tries - _SINGLES)
        lots = np.where(state.useful, np.minimum(size, state.high - state.counts), 0.0)
        change = state.changes(lots)
        rate = np.where(lots > 0, change / np.where(lots > 0, lots * costs, 1.0), np.inf)
        k = int(rate.argmin())
        if not rate[k] < 0:
            raise InfeasibleError(
                f"whole numbers of samples within the limits do not reach the target {target:.6g}, only {value:.6g}; "
                "raise the limits or pass integer=False"
            )
        state.counts[k] += lots[k]
        value, tries = state.value(), tries + 1
    for k in np.argsort(-costs, kind="stable"):
        if costs[k] > 0:
            value = _fewest(state, k, target, value)


def _fewest(state: _Rounding, k: int, target: float, value: float) -> float:
    """Give back as many samples of modality k as the target allows, in steps that double, then halve; the criterion."""
    step, growing, start = 1.0, True, state.counts[k]
    while step >= 1:
        fewer = start - step
        reached = np.inf
        if fewer >= state.low[k]:
            state.counts[k] = fewer
            reached = state.value()
        if reached <= target:
            start, value = fewer, reached
        else:
            growing = False
        step = 2 * step if growing else np.floor(step / 2)
    state.counts[k] = start
    return value
