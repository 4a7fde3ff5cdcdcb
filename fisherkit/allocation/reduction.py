"""The same problem in good coordinates: only what is still to be decided, in shares of the money, near the identity.

Counts n_k = low_k + share_k money / cost_k turn the budget into sum_k share_k = 1. Parameters are rotated and rescaled
so that the information is the identity when the money is spread evenly, and restricted to what samples can
determine at all. Modalities with no information, no room or no cost are settled beforehand.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.errors import InfeasibleError, NotEstimableError, SolverError
from fisherkit.allocation.problem import Problem
from fisherkit.psd import PSD

__all__ = ["Reduced", "reduce_problem", "spread"]

Array = NDArray[np.float64]

#: Inverse of the smallest singular value, in unit columns, below which nobody needs to ask for the rank.
_WELL_CONDITIONED = 1e4

#: Ratio of pivots of a Cholesky factorisation that half of the digits resolve.
_RESOLVED = 1e-6


@dataclass(frozen=True, eq=False)
class Reduced:
    """Minimise phi(base' base + sum_k share_k A_k) over 0 <= share <= upper, sum share = 1.

    Attributes:
        problem: the original problem.
        settled: (K,) counts without the shares.
        free: (F,) which modalities have a share.
        per_share: (F,) samples bought by a share of 1.
        roots: (F, r, p), A_k = roots[k]' roots[k].
        base: (rows, p).
        upper: (F,) upper limits of the shares, may be infinite.
        start: (F,) shares at which the information is the identity.
        basis: (d, p) T with M~ = T' M T.
    """

    problem: Problem
    settled: Array
    free: NDArray[np.intp]
    per_share: Array
    roots: Array
    base: Array
    upper: Array
    start: Array
    basis: Array

    @cached_property
    def wanted(self) -> Array:
        """(p, q) directions that the criterion is about, in the new coordinates."""
        return self.basis.T @ self.problem.wanted

    @cached_property
    def flat(self) -> Array:
        """(F r, p), all root rows."""
        return self.roots.reshape(-1, self.basis.shape[1])

    @cached_property
    def bounded(self) -> NDArray[np.intp]:
        """Which shares have upper limits."""
        return np.flatnonzero(np.isfinite(self.upper))

    @cached_property
    def base_information(self) -> Array:
        """(p, p)."""
        return self.base.T @ self.base

    @cached_property
    def shift(self) -> float:
        """What D gains from the change of coordinates."""
        return 2 * float(np.linalg.slogdet(self.basis)[1])

    def counts(self, shares: Array) -> Array:
        """Samples to buy.

        Args:
            shares: (F,).

        Returns:
            (K,) counts within the limits.
        """
        counts = self.settled.copy()
        high = self.problem.high[self.free]
        more = np.where(shares >= self.upper, high - counts[self.free], shares * self.per_share)
        counts[self.free] = np.minimum(counts[self.free] + more, high)
        return counts

    def information(self, shares: Array) -> Array:
        """The information in the new coordinates.

        Args:
            shares: (F,).

        Returns:
            (p, p).
        """
        return (
            self.base_information
            + (shares[:, None, None] * self.roots).reshape(self.flat.shape).T @ self.flat
        )

    def value(self, shares: Array) -> float:
        """The criterion, +infinity where something asked for is not estimable.

        Args:
            shares: (F,).

        Returns:
            phi of the original problem.
        """
        m = self.information(shares)
        name, wanted = self.problem.criterion.name, self.wanted
        if name == "c":
            return float(PSD.of(m).variance(wanted).sum()) if len(m) else 0.0
        from scipy.linalg import lapack

        factor, failed = lapack.dpotrf(m, lower=1, clean=1)
        if failed:
            return float("inf")
        if name == "D":
            return self.shift - 2 * float(np.log(factor.diagonal()).sum())
        half = lapack.dtrtrs(factor, wanted, lower=1)[0]
        if name == "A":
            return float(np.square(half).sum())
        return float(np.linalg.norm(half, 2) ** 2)

    def dual(self, matrix: Array) -> Array:
        """A matrix that proves bounds, in original coordinates.

        Args:
            matrix: (p, m).

        Returns:
            (d, m).
        """
        return self.basis @ matrix

    def whitening(self, counts: Array) -> Array | None:
        """T with T'MT near the identity at these counts, without a look at what is zero.

        Args:
            counts: (K,), of which those that are not free as settled.

        Returns:
            (d, p), None where the information is singular in these coordinates.
        """
        from scipy.linalg import lapack

        shares = np.maximum(counts[self.free] - self.settled[self.free], 0.0)
        if len(shares):
            shares = shares / self.per_share
        factor, failed = lapack.dpotrf(self.information(shares), lower=1, clean=1)
        # what T'MT is will be computed: this one need not be accurate, but must not be all rounding
        if failed or not factor.size or factor.diagonal().min() < _RESOLVED * factor.diagonal().max():
            rows = self.problem.source.joined(counts, self.problem.base)[0] @ self.basis
            if len(rows) < rows.shape[1]:
                return None
            factor = np.asarray(np.linalg.qr(rows, mode="r")).T
            diagonal = np.abs(np.diagonal(factor))
            if not diagonal.min(initial=np.inf) > 1e-100 * diagonal.max(initial=0.0):
                return None
        return np.asarray(self.basis @ np.linalg.inv(factor).T, dtype=np.float64)


def reduce_problem(problem: Problem, budget: float, start: Array | None = None) -> Reduced:
    """Settle what is settled and change coordinates.

    Args:
        problem: the problem.
        budget: budget units, for everything.
        start: (K,) counts at which the information shall be the identity; default: money spread evenly.

    Returns:
        The reduced problem; with no share to decide (F = 0) if limits leave no choice.

    Raises:
        InfeasibleError: the lower limits alone cost more than the budget.
    """
    p = problem
    floor = float(p.costs @ p.low)
    money = budget - floor
    if money < -1e-12 * max(floor, budget):
        dear = ", ".join(f"{n!r} {c:.6g}" for n, c in zip(p.names, p.costs * p.low, strict=True) if c > 0)
        raise InfeasibleError(
            f"budget {budget:.6g} does not pay for the lower limits, which cost {floor:.6g} ({dear}); give a budget of "
            f"at least {floor:.6g}, or lower limits that it covers"
        )
    money = max(0.0, money)
    settled = np.where(p.costs == 0, p.high, p.low)
    informative = np.square(p.roots).sum(axis=(1, 2)) > 0
    open_ = informative & (p.costs > 0) & (p.high > p.low) & (money > 0)
    cost_of_all = np.where(open_, p.costs * (np.where(open_, p.high, 0.0) - p.low), 0.0)
    if cost_of_all.sum() <= money:  # everything there is can be had
        settled = np.where(open_, p.high, settled)
        open_[:] = False
    free = np.flatnonzero(open_)
    per_share = money / p.costs[free]
    upper = (p.high[free] - p.low[free]) / per_share if len(free) else np.zeros(0)
    upper = np.where(upper > 1, np.inf, upper)
    base, base_scale, base_noise = p.source.joined(settled, p.base)
    if start is not None and len(free):
        shares = np.clip((start[free] - settled[free]) / per_share, 0.0, upper)
        shares = 0.99 * shares + 0.01 * spread(upper)
    else:
        shares = spread(upper)
    roots = p.roots[free] * np.sqrt(per_share)[:, None, None]
    stacked = np.concatenate([base, (np.sqrt(shares)[:, None, None] * roots).reshape(-1, p.dim)])
    scale = np.hypot.reduce(
        [base_scale, *(np.sqrt(shares * per_share)[:, None] * p.source.scale[free])], axis=0
    )
    basis = _plain_coordinates(stacked, scale)
    if basis is None:
        first = _coordinates(p, PSD.from_root(base, noise=base_noise, scale=base_scale), free)
        basis = first @ _orthonormalising(stacked @ first)
    roots, base = roots @ basis, base @ basis
    if len(base) > basis.shape[1]:
        base = np.asarray(np.linalg.qr(base, mode="r"), dtype=np.float64)
    return Reduced(p, settled, free, per_share, roots, base, upper, shares, basis)


def spread(upper: Array) -> Array:
    """Shares that spread the money evenly, as far as upper limits allow; strictly inside them.

    Args:
        upper: (F,) upper limits, together more than 1.

    Returns:
        (F,) positive shares that sum to 1.

    Example:
        >>> spread(np.array([np.inf, np.inf])).tolist()
        [0.5, 0.5]
    """
    if not len(upper) or np.isinf(upper).all():
        return np.full(len(upper), 1.0 / max(1, len(upper)))
    if upper.sum() <= 2:  # the same fraction of every limit
        return upper / upper.sum()
    inverse, low, high = 2.0 / upper, 0.0, 1.0  # at most half of every limit: 1 / (1 / level + 2 / upper)
    while (high / (1 + high * inverse)).sum() < 1:
        low, high = high, 4 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if (middle / (1 + middle * inverse)).sum() < 1 else (low, middle)
    shares = high / (1 + high * inverse)
    return shares / shares.sum()


def _plain_coordinates(rows: Array, scale: Array) -> Array | None:
    """(d, d) T with T' rows' rows T = I, where that is beyond doubt well-conditioned in units of the scale; else None."""
    if len(rows) < len(scale) or not scale.all():
        return None
    triangle = np.linalg.qr(rows / scale, mode="r")
    if not np.diagonal(triangle).all():
        return None
    change = np.linalg.inv(triangle)
    # rows / scale has a largest singular value of at most sqrt(d)
    return change / scale[:, None] if np.linalg.norm(change) < _WELL_CONDITIONED else None


def _orthonormalising(rows: Array) -> Array:
    """(p, p) T with T' rows' rows T = I."""
    if not rows.shape[1]:
        return np.zeros((0, 0))
    try:
        return np.linalg.inv(np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64))
    except np.linalg.LinAlgError:
        raise SolverError(
            "information per budget unit differs so much between modalities that nothing can be computed; rescale "
            "parameters or drop modalities that hardly count"
        ) from None


def _coordinates(p: Problem, base: PSD, free: NDArray[np.intp]) -> Array:
    """(d, r) basis of what can be estimated, each modality weighted alike; raises if the criterion asks for more."""
    lengths = np.concatenate([p.source.scale[free], base.lengths[None]])
    largest = lengths.max(axis=0)
    sizes = np.square(lengths / np.where(largest > 0, largest, 1.0)).sum(axis=1)
    weights = np.zeros(len(p.names))
    weights[free] = 1 / np.where(sizes[:-1] > 0, sizes[:-1], 1.0)
    psd = p.source.total(weights, base / sizes[-1] if sizes[-1] > 0 else base)
    if p.criterion.directions is None:
        missing = p.dim - psd.rank
    else:
        missing = int((~psd.contains(p.criterion.directions)).sum())
    if not missing:
        return psd.half_inverse
    raise NotEstimableError(_explain(p, psd, free), psd.range_basis)


def _explain(p: Problem, psd: PSD, free: NDArray[np.intp]) -> str:
    """Which directions are out of reach, why, and what can be asked instead."""
    informative = np.square(p.roots).sum(axis=(1, 2)) > 0
    reasons = []
    for k, name in enumerate(p.names):
        if not informative[k]:
            reasons.append(f"{name!r} tells nothing about these parameters")
        elif k not in free and p.high[k] == 0:
            reasons.append(f"{name!r} is limited to 0 samples")
    if not len(free) and not reasons:
        reasons.append("budget and limits leave nothing to buy")
    why = f" ({'; '.join(reasons[:4])})" if reasons else ""
    if p.criterion.directions is None:
        blind = psd.null_basis[:, 0]
        shown = np.array2string(blind, precision=3, suppress_small=True, threshold=8)
        cause = f"{p.dim - psd.rank} of {p.dim} directions are seen by no affordable sample, such as {shown}"
    else:
        outside = np.flatnonzero(~np.atleast_1d(psd.contains(p.criterion.directions)))
        shown = ", ".join(map(str, outside[:6]))
        cause = (
            f"direction {shown} (column of the criterion) is not in the range of what affordable samples see"
        )
    ask = (
        "add a modality that sees them, or ask for c_criterion(error.estimable), the "
        f"{psd.rank} directions that can be estimated"
        if psd.rank
        else "add a modality that sees these parameters"
    )
    if p.criterion.directions is not None and psd.rank:
        ask = (
            "add a modality that sees it, or ask for its estimable part, c_criterion(Q @ Q.T @ v) with "
            "Q = error.estimable"
        )
    return f"criterion {p.criterion.name!r} is infinite for every affordable combination: {cause}{why}; {ask}"
