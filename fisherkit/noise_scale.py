"""Joint maximum likelihood of one noise scale per modality, for batches of replicates.

Alternating between the estimate and the mean squared residuals lowers the negative log-likelihood at every turn, but
slowly where modalities contradict each other, and into whichever minimum is nearest: beside unknown noise the
likelihood can have one maximum per modality ("this one is right, the others are noisy"). So the alternation is
extrapolated (SQUAREM: Varadhan and Roland 2008), and started once from all and once from each modality's own fit.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.weighted import ConditioningWarning, WeightedProblem

__all__ = ["likelihood_variances"]

Array = NDArray[np.float64]

#: Cycles of three alternations each; all but a few in 1e5 replicates need fewer than 30.
_MAX_CYCLES = 1000
#: Relative change of the variances at which they have settled, and the one above which it is said that they did not.
_SETTLED, _UNSETTLED = 1e-12, 1e-8
#: A start that comes this close to a known minimum (in logarithm) would end there.
_SAME = 1e-3
#: How much more the modality that a start believes in weighs.
_BELIEF = 1e6


def likelihood_variances(problem: WeightedProblem) -> Array:
    """Noise variances, in units of the declared ones, that maximise the likelihood together with theta.

    The best of K + 1 local maxima for K modalities; warns if some replicates did not settle.

    Args:
        problem: statistics of the modalities.

    Returns:
        (..., K).
    """
    declared = problem.own_variances()
    problem, unit = problem.in_units_of(declared)
    own = declared / unit
    lead, k = own.shape[:-1], own.shape[-1]
    likelihood = _Likelihood.of(problem, lead)
    start = np.log(own.reshape(-1, k))
    best, value, change = _descend(likelihood, start, None)
    for trusted in range(k if k > 1 else 0):
        tilted = start - np.log(_BELIEF) * (np.arange(k) == trusted)
        other, lower, moved = _descend(likelihood, tilted, best)
        better = lower < value - 1e-9 * (1 + np.abs(value))
        best = np.where(better[:, None], other, best)
        value, change = np.where(better, lower, value), np.where(better, moved, change)
    late = change > _UNSETTLED
    if late.any():
        where = (
            "" if not lead else f" of {late.sum()} of {late.size} replicates (the first is {late.argmax()})"
        )
        warnings.warn(
            f"noise='ml': the noise variances{where} still change by {change.max():.2g} relative after {_MAX_CYCLES} "
            "cycles; they lie near a flat maximum of the likelihood: use noise='dof', or collect more samples",
            ConditioningWarning,
            stacklevel=3,
        )
    return np.exp(best).reshape(own.shape) * unit


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """Residuals left by the fit at the declared noise; phi is the deviation from that fit.

    Attributes:
        problem: where they come from.
        rest: (B, r_k) targets minus fit, of each modality.
        rss: (B,) what no theta changes.
        pull: (B, K, r), local' rest.
    """

    problem: WeightedProblem
    rest: list[Array]
    rss: list[Array]
    pull: Array

    @classmethod
    def of(cls, problem: WeightedProblem, lead: tuple[int, ...]) -> "_Likelihood":
        ones = np.ones(len(problem.local))
        rest = problem.residuals(problem.solve(ones, ones)[0])
        rest = [np.broadcast_to(r, (*lead, r.shape[-1])).reshape(-1, r.shape[-1]) for r in rest]
        rss = [np.broadcast_to(root.rss, lead).reshape(-1) for root in problem.roots.values()]
        return cls(
            problem, rest, rss, np.stack([r @ a for r, a in zip(rest, problem.local, strict=True)], axis=1)
        )

    def only(self, index: NDArray[np.intp]) -> "_Likelihood":
        """Some of the replicates."""
        return _Likelihood(
            self.problem, [r[index] for r in self.rest], [r[index] for r in self.rss], self.pull[index]
        )

    def turn(self, log_scale: Array) -> tuple[Array, Array]:
        """One alternation, (B, K) -> (B, K), and twice the negative log-likelihood (B,) at the scales put in."""
        weights = np.exp(-log_scale)
        weights = weights / weights.max(axis=-1, keepdims=True)
        rhs = np.einsum("bk,bkr->br", weights, self.pull)
        phi = self.problem.gram_solve(weights, rhs[..., None])[..., 0]
        squares = [
            rss + np.square(rest - phi @ a.T).sum(axis=-1)
            for rss, rest, a in zip(self.rss, self.rest, self.problem.local, strict=True)
        ]
        n = np.array([root.n_obs for root in self.problem.roots.values()], dtype=np.float64)
        new = np.log(np.stack(squares, axis=-1) / n)
        return new, (n * (log_scale + np.exp(new - log_scale))).sum(axis=-1)


def _descend(likelihood: _Likelihood, start: Array, known: Array | None) -> tuple[Array, Array, Array]:
    """Local minimum, its value and the last relative change for each replicate; stops early beside a known one."""
    point, value, change = start.copy(), np.full(len(start), np.inf), np.full(len(start), np.inf)
    active = np.arange(len(start))
    here = likelihood
    for _ in range(_MAX_CYCLES):
        first, value[active] = here.turn(point[active])
        step = first - point[active]
        change[active] = np.abs(step).max(axis=-1, initial=0.0)
        going = change[active] > _SETTLED
        if known is not None:
            going &= np.abs(first - known[active]).max(axis=-1, initial=0.0) > _SAME
        if not going.all():
            point[active] = first
            active, first, step = active[going], first[going], step[going]
            if not len(active):
                break
            here = likelihood.only(active)
        second, level = here.turn(first)
        bend = (second - first) - step
        length = np.linalg.norm(step, axis=-1) / np.maximum(np.linalg.norm(bend, axis=-1), 1e-300)
        length = np.clip(length, 1.0, 1e6)[:, None]
        jump = np.clip(2 * length * step + length**2 * bend, -20.0, 20.0)
        landed, reached = here.turn(first - step + jump)
        point[active] = np.where((reached <= level)[:, None], landed, second)
    return point, value, change
