"""The conic method for E, and for c where the optimal information is singular: largest t with M >= t N.

E: 1 / phi = largest t with M >= t I.  c with one direction: largest t with M >= t v v'.  Several directions are one,
stacked, under the information I x M. A primal-dual interior point method for this semidefinite program (direction of
Helmberg, Rendl, Vanderbei, Wolkowicz 1996; Kojima, Shindoh, Hara 1997; Monteiro 1997, with a predictor and a
corrector) carries the dual matrix Y as a variable of its own, so it needs neither derivatives of phi nor a regular M.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.certificate import fullest
from fisherkit.allocation.newton import Iterate, first_prices, largest_step, marginal
from fisherkit.allocation.reduction import Reduced

__all__ = ["STACKED_LIMIT", "maximise_smallest"]

Array = NDArray[np.float64]

#: Largest dimension (directions times parameters) for which several directions are stacked.
STACKED_LIMIT = 400


@dataclass(eq=False)
class _State:
    shares: Array
    level: float  # t
    primal: Array  # Z = M - t N
    dual: Array  # Y
    slack: Array
    price: Array
    multiplier: float


@dataclass(frozen=True, eq=False)
class _Cone:
    """max t: base + sum share_k A_k - t N >= 0, everything by square roots, N of spectral norm 1."""

    roots: Array  # (F, r, p)
    flat: Array
    base: Array
    target: Array  # (m, p), N = target' target
    upper: Array
    bounded: NDArray[np.intp]

    def primal(self, shares: Array, level: float) -> Array:
        """Z."""
        weighted = (shares[:, None, None] * self.roots).reshape(self.flat.shape)
        return weighted.T @ self.flat + self.base.T @ self.base - level * (self.target.T @ self.target)

    def scores(self, root: Array) -> tuple[Array, float, float]:
        """<A_k, CC'>, <N, CC'> and <base' base, CC'> for C = root."""
        count, rank, _ = self.roots.shape
        each = np.square(self.flat @ root).sum(axis=1).reshape(count, rank).sum(axis=1)
        return each, float(np.square(self.target @ root).sum()), float(np.square(self.base @ root).sum())


def maximise_smallest(reduced: Reduced, stop: float, *, limit: int = 60) -> Iterate:
    """Run until the certified relative gap is at most `stop`, or progress ends.

    Args:
        reduced: a problem with criterion E, c or A and at least one share.
        stop: relative gap.
        limit: most iterations.

    Returns:
        Best shares with the criterion that they certainly reach, and the best dual matrix.
    """
    stacked = 1 if reduced.problem.criterion.name == "E" else reduced.wanted.shape[1]
    cone, size = _cone_of(reduced, stacked)
    state = _start(cone, reduced.start)
    best_level, best_shares, best_bound, best_root = 0.0, state.shares, np.inf, np.eye(cone.flat.shape[1])
    gap, stalled, steps = 1.0, 0, 0
    while steps < limit:
        steps += 1
        factors = _cholesky(state.primal), _cholesky(state.dual)
        if factors[0] is None or factors[1] is None:
            break
        if state.level > best_level:
            best_level, best_shares = state.level, state.shares
        each, weight, there = cone.scores(factors[1])
        capacity = float(fullest(each, np.ones(len(each)), np.zeros(len(each)), cone.upper, 1.0) @ each)
        if (there + capacity) / weight < best_bound:
            best_bound, best_root = (there + capacity) / weight, factors[1]
        previous, gap = gap, max(0.0, 1 - best_level / best_bound)
        stalled = stalled + 1 if gap > 0.8 * previous else 0
        if gap <= stop or stalled >= 8:
            break
        if not _advance(cone, state, factors[0], factors[1], each, weight):
            break
    matrix = best_root
    if reduced.problem.criterion.name != "E":  # one direction suffices: Y v v' Y / v'Yv <= Y
        direction = best_root @ (best_root.T @ cone.target[0])
        matrix = direction.reshape(stacked, -1).T
    value = 1.0 / (best_level / size**2) if best_level > 0 else float("inf")
    return Iterate(best_shares, matrix, value, gap, steps)


def _cone_of(reduced: Reduced, stacked: int) -> tuple[_Cone, float]:
    """The cone program and the norm by which its target was divided."""
    wanted = reduced.wanted
    target = wanted.T if reduced.problem.criterion.name == "E" else wanted.T.reshape(1, -1)
    size = float(np.linalg.norm(target, 2))
    roots: Array = reduced.roots
    base: Array = reduced.base
    if stacked > 1:
        eye = np.eye(stacked)
        roots = np.array([np.kron(eye, root) for root in roots], dtype=np.float64)
        base = np.kron(eye, base).astype(np.float64)
    bounded = np.flatnonzero(np.isfinite(reduced.upper))
    flat = roots.reshape(-1, roots.shape[2])
    return _Cone(roots, flat, base, target / size, reduced.upper, bounded), size


def _start(cone: _Cone, shares: Array) -> _State:
    """M is the identity there and N has norm 1: t = 1/2 is strictly feasible, and Y = Z^-1 / <N, Z^-1> central."""
    primal = cone.primal(shares, 0.5)
    inverse = np.linalg.inv(primal)
    inverse = (inverse + inverse.T) / 2
    mean = 1 / float(np.sum((cone.target.T @ cone.target) * inverse))
    dual = mean * inverse
    each = (cone.flat @ dual * cone.flat).sum(axis=1).reshape(cone.roots.shape[:2]).sum(axis=1)
    multiplier = 1.1 * marginal(each, cone.upper)
    slack = np.concatenate([shares, cone.upper[cone.bounded] - shares[cone.bounded]])
    price = first_prices(slack, multiplier, multiplier - each, cone.bounded)
    return _State(shares, 0.5, primal, dual, slack, price, multiplier)


def _advance(cone: _Cone, state: _State, lz: Array, ly: Array, each: Array, weight: float) -> bool:
    """One predictor-corrector step; False if the linear system cannot be solved."""
    from scipy.linalg import lapack, solve_triangular

    count, rank, dim = cone.roots.shape
    bounded, slack, price = cone.bounded, state.slack, state.price
    half = solve_triangular(lz, cone.flat.T, lower=True, check_finite=False).T  # R Lz^-T
    blocks = np.ascontiguousarray(half).reshape(count, rank, dim)
    half_target = solve_triangular(lz, cone.target.T, lower=True, check_finite=False).T
    products = np.empty((count + 1, dim * dim))
    seen = (cone.flat @ ly).reshape(count, rank, dim)
    products[:count] = np.matmul(blocks.transpose(0, 2, 1), seen).reshape(count, -1)
    products[count] = -(half_target.T @ (cone.target @ ly)).reshape(-1)
    system = products @ products.T
    ratio = price / slack
    diagonal = system.reshape(-1)[:: count + 2]
    diagonal[:count] += ratio[:count]
    diagonal[bounded] += ratio[count:]
    unit = 1 / np.sqrt(diagonal)
    system *= unit[:, None] * unit
    for ridge in (0.0, 1e-15, 1e-14, 1e-13, 1e-12):
        factor, failed = lapack.dpotrf(system + ridge * np.eye(count + 1) if ridge else system, lower=1)
        if not failed:
            break
    else:
        return False
    inverse = solve_triangular(lz, np.eye(dim), lower=True, check_finite=False)
    inverse = inverse.T @ inverse
    pull = np.append(
        np.square(blocks).sum(axis=(1, 2)), -np.square(half_target).sum()
    )  # <A_k, Z^-1>, -<N, Z^-1>
    ones = np.append(np.ones(count), 0.0)
    pairs = dim + len(slack)
    mean = (float((state.primal * state.dual).sum()) + float(slack @ price)) / pairs

    def direction(goal: float, goal_pairs: Array, correction: Array | None) -> tuple[Array, ...]:
        toward = goal_pairs / slack - price
        right = goal * pull
        if correction is not None:
            right -= np.append(
                (cone.flat @ correction * cone.flat).sum(axis=1).reshape(count, rank).sum(axis=1),
                -float((cone.target @ correction * cone.target).sum()),
            )
        right[:count] += toward[:count] + price[:count] - state.multiplier
        right[bounded] -= toward[count:] + price[count:]
        right[count] += 1.0
        both = (
            unit[:, None] * lapack.dpotrs(factor, unit[:, None] * np.stack([right, ones], axis=1), lower=1)[0]
        )
        d_multiplier = float(both[:count, 0].sum() / both[:count, 1].sum())
        move = both[:, 0] - d_multiplier * both[:, 1]
        d_shares, d_level = move[:count], float(move[count])
        d_primal = cone.primal(d_shares, d_level) - cone.base.T @ cone.base
        twist = inverse @ (d_primal @ state.dual)
        d_dual = goal * inverse - state.dual - (twist + twist.T) / 2
        if correction is not None:
            d_dual -= correction
        d_slack = np.concatenate([d_shares, -d_shares[bounded]])
        d_price = toward - ratio * d_slack
        return d_shares, np.array(d_level), d_primal, d_dual, d_slack, d_price, np.array(d_multiplier)

    def lengths(move: tuple[Array, ...]) -> tuple[float, float]:
        return (
            min(largest_step(slack, move[4], 0.98), _largest_cone_step(lz, move[2], 0.98)),
            min(largest_step(price, move[5], 0.98), _largest_cone_step(ly, move[3], 0.98)),
        )

    move = direction(0.0, np.zeros(len(slack)), None)
    ahead, behind = lengths(move)
    after = float(((state.primal + ahead * move[2]) * (state.dual + behind * move[3])).sum())
    after += float((slack + ahead * move[4]) @ (price + behind * move[5]))
    centring = float(np.clip((after / pairs / mean) ** 3, 1e-6, 1.0))
    second = inverse @ (move[2] @ move[3])
    goal = centring * mean
    move = direction(goal, goal - move[4] * move[5], (second + second.T) / 2)
    ahead, behind = lengths(move)
    if min(ahead, behind) < 0.1:
        move = direction(0.5 * mean, np.full(len(slack), 0.5 * mean), None)
        ahead, behind = lengths(move)
    shares = state.shares + ahead * move[0]
    shares = shares / shares.sum() if (shares < cone.upper * shares.sum()).all() else shares
    state.shares, state.level = shares, state.level + ahead * float(move[1])
    state.slack = np.concatenate([shares, cone.upper[bounded] - shares[bounded]])
    state.price, state.multiplier = price + behind * move[5], state.multiplier + behind * float(move[6])
    state.primal = cone.primal(shares, state.level)
    dual = state.dual + behind * move[3]
    state.dual = (dual + dual.T) / 2
    return True


def _cholesky(matrix: Array) -> Array | None:
    from scipy.linalg import lapack

    factor, failed = lapack.dpotrf(matrix, lower=1, clean=1)
    return None if failed else factor


def _largest_cone_step(factor: Array, change: Array, fraction: float) -> float:
    """Largest step in [0, 1] that keeps L L' + step change well inside the cone."""
    from scipy.linalg import solve_triangular

    inner = solve_triangular(factor, change, lower=True, check_finite=False)
    inner = solve_triangular(factor, inner.T, lower=True, check_finite=False)
    lowest = float(np.linalg.eigvalsh((inner + inner.T) / 2)[0])
    return 1.0 if lowest >= -fraction else -fraction / lowest
