"""Corollaries 1 to 3: the contraction factor, blind directions, eigenvectors of M_X."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.projection import entry_rounding, own_rounding
from fisherkit.psd import PSD
from fisherkit.theorems.pair import Pair, range_coordinates
from fisherkit.theorems.results import (
    CLEAR,
    RESOLVED,
    Reading,
    Verdict,
    as_direction,
    check_reading,
    evenness,
    relative_drop,
)
from fisherkit.tolerances import DOUBT, tolerance

__all__ = ["corollary_1", "corollary_2", "corollary_3"]

Array = NDArray[np.float64]

#: Relative rounding of lambda v_i up to which M v = lambda v means something.
_EIGEN_DIGITS = 1e-6


def corollary_1(m_x: ArrayLike, m_y: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """At a common eigenvector v the variance contracts by a / (a + b) (Gupta et al. 2025, Corollary 1).

    With a = v'M_X v > 0 and b = v'M_Y v > 0. Holds as stated.

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        v: (d_c,) common eigenvector of M_X and M_Y.
        reading: "as_stated" or "as_holds", the same here.

    Returns:
        Verdict with left the ratio of variances and right a / (a + b); the margin is 1 - ratio.

    Example:
        >>> verdict = corollary_1(np.diag([1.0, 5.0]), np.diag([3.0, 1.0]), [2.0, 0.0])
        >>> verdict.left, verdict.right, verdict.holds
        (0.25, 0.25, True)
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    v = as_direction(v, pair.dim)
    a, b = (_form(pair, m, v) for m in (pair.x, pair.y))
    eigen_x, eigen_y = _is_eigenvector(pair, pair.x, v), _is_eigenvector(pair, pair.y, v)
    (sees_x, sure_x), (sees_y, sure_y) = pair.sees(pair.x, v), pair.sees(pair.y, v)
    hypotheses = {
        "v eigenvector of M_X": eigen_x[0],
        "v eigenvector of M_Y": eigen_y[0],
        "v'M_X v > 0": sees_x,
        "v'M_Y v > 0": sees_y,
    }
    noise = pair.noise
    factor = a / (a + b) if a + b > 0 else np.nan
    alone, joint = float(pair.x.variance(v)), float(pair.xy.variance(v))
    drop = relative_drop(alone, joint)
    gap = abs((1 - drop) - factor)
    resolved = eigen_x[1] and eigen_y[1] and sure_x and sure_y and pair.settled(v)
    if all(hypotheses.values()):
        estimable = all(pair.membership(m, v) == (True, True) for m in (pair.x, pair.xy))
        resolved = resolved and estimable and 1 - factor > CLEAR * noise
    elif pair.decided and sees_x and drop > noise:  # two ratios that agree to rounding need not be equal
        resolved = resolved and not gap < CLEAR * noise
    hypotheses[RESOLVED] = resolved
    holds = gap <= noise and drop > noise
    return Verdict(
        "Gupta et al. 2025, Corollary 1", "Var_XY / Var_X = a / (a + b) < 1", reading, hypotheses, bool(holds),
        1 - drop, factor, drop, noise, v,
    )  # fmt: skip


def corollary_2(m_x: ArrayLike, m_y: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """If v'M_X v = 0 < v'M_Y v, X's variance is infinite, the joint one finite (Gupta et al. 2025, Corollary 2).

    As it holds, v must also lie in range(M_XY): v'M_Y v > 0 only says that Y *responds* to a move of theta along v,
    not that v'theta can be told from what else it responds to.

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        v: (d_c,) direction.
        reading: "as_holds" adds the hypothesis v in range(M_XY).

    Returns:
        Verdict with left the joint variance and right X's.

    Example:
        >>> m_x, m_y = np.diag([1.0, 0.0, 0.0]), np.diag([0.0, 1.0, 0.0])
        >>> corollary_2(m_x, m_y, [0.0, 1.0, 1.0], reading="as_stated").refuted
        True
        >>> corollary_2(m_x, m_y, [0.0, 1.0, 0.0])
        Gupta et al. 2025, Corollary 2, as holds: Var_XY < Var_X = ∞ holds (1 vs inf; hypotheses met)
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    v = as_direction(v, pair.dim)
    (sees_x, sure_x), (sees_y, sure_y) = pair.sees(pair.x, v), pair.sees(pair.y, v)
    in_xy, in_x = (pair.membership(m, v)[0] for m in (pair.xy, pair.x))
    hypotheses = {"v'M_X v = 0": not sees_x, "v'M_Y v > 0": sees_y}
    if reading == "as_holds":
        hypotheses["v in range(M_X + M_Y)"] = in_xy
    hypotheses[RESOLVED] = sure_x and sure_y and pair.settled(v) and (sees_x or not in_x)
    left, right = float(pair.xy.variance(v)), float(pair.x.variance(v))
    return Verdict(
        "Gupta et al. 2025, Corollary 2", "Var_XY < Var_X = ∞", reading, hypotheses,
        np.isinf(right) and np.isfinite(left), left, right, relative_drop(right, left), pair.noise, v,
        "" if in_xy else "v'theta is not estimable jointly",
    )  # fmt: skip


def corollary_3(m_x: ArrayLike, m_y: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """For an eigenvector v of M_X, M_X v = lambda v, lambda > 0: v'M_Y v > 0 makes the variance fall (Corollary 3).

    As stated, without more: false for the true variance. As it holds, M_Y is block-diagonal with respect to
    S = range(M_X), P_S M_Y P_S-perp = 0, the assumption of the paper's footnote 1. The drop is then at least
    delta / (1 + c), with delta = v'M_Y v / v'M_X v and c the largest eigenvalue of M_X^{-1} M_Y on S. X's variance
    is ||v||^2 / lambda in both readings (Gupta et al. 2025, Corollary 3).

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        v: (d_c,) eigenvector of M_X.
        reading: "as_holds" adds the hypothesis P_S M_Y P_S-perp = 0.

    Returns:
        Verdict with left the joint variance and right X's.

    Example:
        >>> corollary_3(np.diag([1.0, 0.0]), np.ones((2, 2)), [1.0, 0.0], reading="as_stated")
        Gupta et al. 2025, Corollary 3, as stated: Var_XY < Var_X = ||v||^2 / lambda REFUTED (1 vs 1; hypotheses met)
        >>> round(corollary_3(np.diag([1.0, 0.0]), np.diag([1.0, 1.0]), [1.0, 0.0]).margin, 6)
        0.5
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    v = as_direction(v, pair.dim)
    noise = pair.noise
    a, b = (_form(pair, m, v) for m in (pair.x, pair.y))
    inside = pair.membership(pair.x, v)[0]
    eigen, sure_eigen = _is_eigenvector(pair, pair.x, v)
    (sees_x, sure_x), (sees_y, sure_y) = pair.sees(pair.x, v), pair.sees(pair.y, v)
    hypotheses = {"v eigenvector of M_X": eigen, "its eigenvalue > 0": sees_x, "v'M_Y v > 0": sees_y}
    resolved = sure_eigen and sure_x and sure_y and pair.settled(v)
    if reading == "as_holds":
        hypotheses["P_S M_Y P_S-perp = 0"], clean = _is_block_diagonal(pair, v)
        both = pair.y.rank and pair.x.rank
        largest = float(np.linalg.norm(pair.y.root @ pair.x.half_inverse, 2)) ** 2 if both else 0.0
        resolved = resolved and (clean or not (sees_y or pair.decided))
        if all(hypotheses.values()):
            resolved = (
                resolved and inside and b / a / (1 + largest) > CLEAR * noise
            )  # a lower bound of the drop
    left, right = float(pair.xy.variance(v)), float(pair.x.variance(v))
    drop = relative_drop(right, left)
    square = float(v @ v)
    formula = square * (square / a) if 0 < a < np.inf else np.inf  # ||v||^2 / lambda
    off, digits = abs(right / formula - 1) if np.isfinite(right) else np.inf, max(noise, tolerance(pair.dim))
    consistent = off <= digits
    if pair.decided and not eigen:  # the two agree in a second-order difference only
        resolved = resolved and off > CLEAR * digits
    hypotheses[RESOLVED] = bool(resolved)
    return Verdict(
        "Gupta et al. 2025, Corollary 3", "Var_XY < Var_X = ||v||^2 / lambda", reading, hypotheses,
        consistent and drop > noise, left, right, drop, noise, v,
    )  # fmt: skip


def _is_block_diagonal(pair: Pair, v: Array) -> tuple[bool, bool]:
    """Whether P_S M_Y P_S-perp = 0 with S = range(M_X), and whether that is beyond doubt for the variance at v."""
    if not pair.y.rank or pair.x.rank == pair.dim:  # nothing, or nothing beside it, to be correlated with
        return True, pair.x.sure and pair.y.sure
    # An entry s'M_Y n is trusted to the tolerance times |D s| |D n| with D^2 = diag(M_Y): judged beside M_Y's largest
    # entry it would look like zero where Y knows little of one block, and that little may all be correlation.
    d = np.sqrt(pair.m_y.diagonal())
    s, mixing = range_coordinates(pair.x)
    n = pair.x.null_basis
    seen_s, seen_n = (np.linalg.norm(d[:, None] * basis, axis=0) for basis in (s, n))
    size = np.outer(seen_s, seen_n)
    cross = np.divide(s.T @ pair.m_y @ n, size, out=np.zeros_like(size), where=size > 0)
    digits = (own_rounding(pair.x) + own_rounding(pair.y)) * mixing
    floor = np.full_like(size, digits)
    if (
        pair.x.rank < pair.x.root.any(axis=0).sum()
    ):  # vectors that are no coordinate axes are rounded themselves
        fraction = np.minimum(*np.broadcast_arrays(seen_s[:, None], seen_n)) / (d.max() or 1.0)
        floor += np.divide(own_rounding(pair.x) * mixing, fraction, out=np.zeros_like(size), where=size > 0)
    along = np.linalg.norm(pair.y.root @ v)
    hidden = digits * pair.y.condition * np.linalg.norm(d * v) / along if along > 0 else np.inf
    known = all(pair.clear(float(f), c) for f, c in zip(floor.ravel(), cross.ravel(), strict=True))
    return bool((np.abs(cross) <= floor).all()), known and bool(hidden < 1 / CLEAR)


def _form(pair: Pair, psd: PSD, v: Array) -> float:
    """Quadratic form v'Mv of one of the matrices."""
    given = pair.m_x if psd is pair.x else pair.m_y
    return float(np.square(psd.root @ v).sum() if pair.decided else v @ given @ v)


def _is_eigenvector(pair: Pair, psd: PSD, v: Array) -> tuple[bool, bool]:
    """Whether M v is parallel to v up to rounding, and whether that is beyond doubt."""
    # Entry i of M v is trusted to the tolerance times sum_j sqrt(M_ii M_jj) |v_j|, so that a large entry of M elsewhere
    # hides nothing. Relative to an eigenvalue far below such sums, though, agreement says nothing.
    m = pair.m_x if psd is pair.x else pair.m_y
    image = psd.root.T @ (psd.root @ v) if pair.decided else m @ v
    eigenvalue = float(v @ image / (v @ v)) if pair.sees(psd, v)[0] else 0.0
    d = np.sqrt(m.diagonal())
    expected = eigenvalue * v
    size = d * float(d @ np.abs(v)) + np.abs(expected)
    residual = np.divide(np.abs(image - expected), size, out=np.zeros_like(size), where=size > 0)
    floor = entry_rounding(psd)
    parallel, sure = bool((residual <= floor).all()), psd.sure and pair.clear(floor, residual)
    if parallel and eigenvalue * float(v @ v) > len(m) * floor * float(
        v**2 @ m.diagonal()
    ):  # not an eigenvalue of 0
        moved = v != 0
        sure = sure and bool((floor * size[moved] < _EIGEN_DIGITS * np.abs(expected[moved])).all())
    if (
        parallel and pair.decided
    ):  # agreement says nothing about terms m_ij v_j that are rounding beside others
        terms = np.where(np.abs(m) > floor * np.outer(d, d), np.abs(m * v), 0.0)
        sure = sure and all(evenness(row) > DOUBT * floor for row in terms)
    return parallel, sure
