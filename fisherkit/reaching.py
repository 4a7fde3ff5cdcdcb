"""How much information reaches a level of a criterion: closed forms and roots of monotone sums."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fisherkit.criteria import Criterion
from fisherkit.pencil import Pencil
from fisherkit.psd import PSD
from fisherkit.tolerances import tolerance

__all__ = ["amount_to_reach", "given", "reach_along", "reached"]

Array = NDArray[np.float64]
_ROOM = 1e-9  # a level this close to the limit of infinitely many samples is out of reach


def amount_to_reach(criterion: Criterion, base: PSD, step: PSD, level: float) -> float:
    """The least r >= 0 with phi(base + r step) <= level.

    Closed form where base is nothing (phi is homogeneous), else the root of a monotone sum over the directions that
    diagonalise both (`fisherkit.pencil`).

    Args:
        criterion: phi.
        base: (d, d) information that is there.
        step: (d, d) information that is multiplied.
        level: wanted value of phi.

    Returns:
        r, +infinity where no r will do.

    Example:
        >>> from fisherkit.criteria import a_criterion
        >>> round(amount_to_reach(a_criterion(), PSD.of([[1.0]]), PSD.of([[4.0]]), 0.2), 9)  # 1 + 4 r = 5
        1.0
    """
    if not base.rank:
        return criterion.factor_to_reach(step, level)
    if reached(criterion, base, level):
        return 0.0
    if not step.rank:
        return math.inf
    return reach_along(criterion, Pencil.of(base, step), (1.0, 0.0), (0.0, 1.0), level)


def reached(criterion: Criterion, information: PSD, level: float) -> bool:
    """Whether phi is at most the level, up to its own rounding.

    Args:
        criterion: phi.
        information: where.
        level: wanted value of phi.

    Returns:
        The verdict.
    """
    slack = max(tolerance(information.dim), information.resolution)
    return criterion.factor_to_reach(information, level) <= 1 + min(slack, _ROOM)


def reach_along(
    criterion: Criterion,
    pencil: Pencil,
    start: tuple[float, float],
    ray: tuple[float, float],
    level: float,
) -> float:
    """The least r >= 0 with phi((x + r a) A + (y + r b) B) <= level, where phi is above the level at r = 0.

    Args:
        criterion: phi.
        pencil: A and B.
        start: (x, y).
        ray: (a, b), >= 0.
        level: wanted value of phi.

    Returns:
        r, +infinity where no r will do.
    """
    if not criterion.finite_at(pencil.both):
        return math.inf
    there, more = (x * pencil.first + y * pencil.second for x, y in (start, ray))
    moves = more > 0
    if criterion.name == "D":
        if not moves.any():
            return math.inf
        # -log det M = -2 log |det T^+| - sum log m
        goal = -(level + 2 * float(np.linalg.slogdet(pencil.dual)[1]))
        if (there[~moves] == 0).any():
            return math.inf
        return _root(
            lambda r: float(np.log(there + r * more).sum()) - goal, _first_guess(there, more, moves), None
        )
    if criterion.name == "E":

        def phi(m: Array, columns: NDArray[np.bool_]) -> float:
            if not columns.any():
                return 0.0
            half = pencil.frame[:, columns] / np.sqrt(m[columns])
            # the largest eigenvalue only, which a product does not blur
            gram = half @ half.T if half.shape[0] <= half.shape[1] else half.T @ half
            return float(np.linalg.eigvalsh(gram)[-1])

    else:
        wanted = np.eye(len(pencil.frame)) if criterion.directions is None else criterion.directions
        weights = np.square(pencil.frame.T @ wanted).sum(axis=1)

        def phi(m: Array, columns: NDArray[np.bool_]) -> float:
            return float((weights[columns] / m[columns]).sum())

    with np.errstate(divide="ignore", over="ignore"):
        limit = phi(there, ~moves)  # with infinitely many
        if not limit < level * (1 - _ROOM):
            return _plateau(phi, there, more, limit, level) if criterion.name == "E" else math.inf
        enough = phi(more, moves) / (level - limit)
        if not there.any() or not 0 < enough < math.inf:  # homogeneous, nothing is missing, or beyond floats
            return max(0.0, enough)
        every = np.ones(len(more), dtype=np.bool_)
        return _root(lambda r: level / phi(there + r * more, every) - 1, enough, enough)


def _plateau(
    phi: Callable[[Array, NDArray[np.bool_]], float], there: Array, more: Array, limit: float, level: float
) -> float:
    """Where E comes down to what no number of samples changes, if it does: the worst direction is not seen by them."""
    if limit > level * (1 + _ROOM):
        return math.inf
    moves, every = more > 0, np.ones(len(more), dtype=np.bool_)
    enough = 1e6 * phi(more, moves) / level
    goal = level * (1 + 0.1 * _ROOM)
    if phi(there + enough * more, every) > goal:
        return math.inf  # comes as near as one likes, and never there
    return _root(lambda r: goal / phi(there + r * more, every) - 1, enough, enough)


def _first_guess(there: Array, more: Array, moves: NDArray[np.bool_]) -> float:
    ratio = there[moves] / more[moves]
    return float(np.median(ratio[ratio > 0])) if (ratio > 0).any() else float(1 / more[moves].max())


def _root(gap: Callable[[float], float], high: float, bound: float | None) -> float:
    """Root of an increasing function on r > 0, with an upper bound of it where one is known."""
    from scipy.optimize import brentq

    low = 0.0
    with np.errstate(divide="ignore"):
        while gap(high) < 0:  # by rounding only, where there is a bound
            low, high = high, high * (4.0 if bound is None else 1 + 1e-9)
        if bound is None:
            while gap(high / 4) > 0 and high > 1e-280:
                high = high / 4
            low = max(low, high / 4)
        floor = -1.0 if bound is not None else gap(low) if low else -1e300
        return float(
            brentq(lambda r: gap(r) if r else floor, low, high, xtol=1e-300, rtol=1e-14, maxiter=500)
        )


def given(criterion: Criterion, known: PSD, parts: list[PSD]) -> tuple[Criterion | None, list[PSD]]:
    """What is left to ask once all that `known` sees is known exactly: criterion and information on its null space.

    Args:
        criterion: phi.
        known: information of which there are infinitely many samples.
        parts: further information.

    Returns:
        Criterion, None if nothing is left to ask, and the parts in coordinates of the null space.
    """
    # A is a sum over directions, which may be asked in any basis; E needs an orthonormal one
    basis = known.null_basis if criterion.name == "E" else known.null_directions
    on_basis = [
        PSD.from_root(part.root @ basis, noise=part.rounding, scale=part.lengths @ np.abs(basis))
        for part in parts
    ]
    if not basis.shape[1]:
        return None, on_basis
    if criterion.name == "E":
        return criterion, on_basis
    wanted = np.eye(known.dim) if criterion.directions is None else criterion.directions
    wanted = wanted[:, ~known.contains(wanted)]
    asked, rounding = basis.T @ wanted, 8 * known.resolution * (np.abs(basis).T @ np.abs(wanted))
    asked = np.where(np.abs(asked) > rounding, asked, 0.0)  # an entry where nothing is seen cannot be small
    return Criterion("c", asked) if asked.any() else None, on_basis
