"""Theorem 2: what a second modality does to one direction v of the shared parameters."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.psd import PSD
from fisherkit.theorems.pair import Pair, range_coordinates
from fisherkit.theorems.results import (
    RESOLVED,
    Reading,
    Verdict,
    as_direction,
    check_reading,
    clear,
    relative_drop,
)
from fisherkit.tolerances import tolerance

__all__ = [
    "theorem_2_existence",
    "theorem_2_information",
    "theorem_2_inside",
    "theorem_2_outside",
    "theorem_2_restricted",
]

Array = NDArray[np.float64]


def theorem_2_information(
    m_x: ArrayLike, m_y: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds"
) -> Verdict:
    """If B_c,j v != 0 for some j, then v'(M_X + M_Y)v > v'M_X v (Gupta et al. 2025, Theorem 2, part 1).

    In matrices the hypothesis is v'M_Y v > 0. Holds as stated.

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        v: (d_c,) direction.
        reading: "as_stated" or "as_holds", the same here.

    Returns:
        Verdict with left v'(M_X + M_Y)v and right v'M_X v.

    Example:
        >>> theorem_2_information(np.eye(2), np.diag([0.0, 2.0]), [1.0, 1.0])
        Gupta et al. 2025, Theorem 2 (1), as holds: v'(M_X + M_Y)v > v'M_X v holds (4 vs 2; hypotheses met)
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    v = as_direction(v, pair.dim)
    floor, (seen, sure) = pair.form_noise, pair.sees(pair.y, v)
    if pair.decided:
        left, right = (float(np.square(m.root @ v).sum()) for m in (pair.xy, pair.x))
    else:
        left, right = float(v @ pair.m_xy @ v), float(v @ pair.m_x @ v)
    margin = (left - right) / (float(v**2 @ pair.m_xy.diagonal()) or 1.0)
    beside = pair.form_share(pair.y, v)
    resolved = sure and pair.sure and clear(floor, beside) and seen == (beside > floor)
    return Verdict(
        "Gupta et al. 2025, Theorem 2 (1)", "v'(M_X + M_Y)v > v'M_X v", reading,
        {"M_Y v ≠ 0": seen, RESOLVED: resolved}, margin > floor, left, right, margin, floor, v,
    )  # fmt: skip


def theorem_2_outside(
    m_x: ArrayLike, m_y: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds"
) -> Verdict:
    """For v outside range(M_X), the joint variance is finite and X's is not (Gupta et al. 2025, Theorem 2, case 1).

    As stated, B_c,j v != 0 for some j is enough: "0 < v'M_XY^+ v < infinity". But that number is a variance only for
    v in range(M_XY). As it holds, v must lie there.

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        v: (d_c,) direction.
        reading: "as_holds" adds the hypothesis v in range(M_XY).

    Returns:
        Verdict with left the joint variance of v'theta_c and right X's, +infinity outside the ranges.

    Example:
        >>> m_x, m_y = np.diag([1.0, 0.0, 0.0]), np.diag([0.0, 1.0, 0.0])
        >>> theorem_2_outside(m_x, m_y, [1.0, 1.0, 1.0], reading="as_stated").refuted
        True
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    v = as_direction(v, pair.dim)
    seen, sure = pair.sees(pair.y, v)
    in_x, in_xy = (pair.membership(m, v)[0] for m in (pair.x, pair.xy))
    hypotheses = {"M_Y v ≠ 0": seen, "v not in range(M_X)": not in_x}
    if reading == "as_holds":
        hypotheses["v in range(M_X + M_Y)"] = in_xy
    hypotheses[RESOLVED] = sure and pair.settled(v)
    note = ""
    if not in_xy:
        note = (
            f"v'M_XY^+ v = {float(v @ pair.xy.pinv @ v):.6g} is no variance: v'theta is not estimable jointly"
        )
    return _variances("Theorem 2 (2), case 1", "Var_XY < Var_X", reading, hypotheses, pair, v, note)


def theorem_2_inside(
    m_x: ArrayLike, m_y: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds"
) -> Verdict:
    """When the variance falls at v in range(M_X) (Gupta et al. 2025, Theorem 2, case 2).

    As stated: if B_c,j v != 0 for some j and C_v := P_S M_Y P_S M_X^+ v != 0 with S = range(M_X), then
    v'M_XY^+ v < v'M_X^+ v. False for the true variance (C_v is about the one in `theorem_2_restricted`). As it
    holds: for v in range(M_X) the variance falls *iff* M_Y M_XY^+ v != 0, equivalently iff no y solves
    M_X y = v, M_Y y = 0 (proof: docs/theory.md).

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        v: (d_c,) direction in range(M_X).
        reading: "as_stated" or "as_holds".

    Returns:
        Verdict with left the joint variance and right X's; the witness is M_Y M_XY^+ v.

    Example:
        >>> m_x, m_y = np.diag([1.0, 0.0]), np.ones((2, 2))
        >>> theorem_2_inside(m_x, m_y, [1.0, 0.0], reading="as_stated").refuted
        True
        >>> theorem_2_inside(m_x, m_y, [1.0, 0.0]).note
        'M_Y M_XY^+ v = 0: equality'
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    v = as_direction(v, pair.dim)
    inside, sure = pair.membership(pair.x, v)
    hypotheses: dict[str, bool] = {"v in range(M_X)": inside}
    solution = pair.xy.half_inverse @ (pair.xy.half_inverse.T @ v)
    witness = pair.y.root.T @ (pair.y.root @ solution) if pair.decided else pair.m_y @ solution
    if not inside:
        hypotheses[RESOLVED] = sure and pair.membership(pair.xy, v)[1] and pair.ranks_agree
        return _variances(
            "Theorem 2 (2), case 2", "Var_XY < Var_X", reading, hypotheses, pair, v, "", witness
        )
    seen, sure_seen = pair.sees(pair.y, v)
    v = pair.project(v)
    sure = sure and pair.settled(v)
    if reading == "as_stated":
        restricted, _, rounding, nothing = _restricted(pair, v)
        hypotheses["M_Y v ≠ 0"] = seen
        hypotheses["C_v: P_S M_Y P_S M_X^+ v ≠ 0"] = restricted > rounding
        hypotheses[RESOLVED] = sure and sure_seen and clear(rounding, restricted, nothing=nothing)
        return _variances(
            "Theorem 2 (2), case 2", "Var_XY < Var_X", reading, hypotheses, pair, v, "", witness
        )
    predicted = pair.predicted_drop(v)
    condition = predicted > pair.noise
    hypotheses[RESOLVED] = sure
    claim = "Var_XY ≤ Var_X, strict iff M_Y M_XY^+ v ≠ 0"
    note = f"M_Y M_XY^+ v {'≠ 0: strict' if condition else '= 0: equality'}"
    verdict = _variances("Theorem 2 (2), case 2", claim, reading, hypotheses, pair, v, note, witness)
    holds = verdict.margin >= -pair.noise and (verdict.margin > pair.noise) == condition
    return replace(verdict, holds=holds)


def theorem_2_restricted(
    m_x: ArrayLike, m_y: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds"
) -> Verdict:
    """For v in S = range(M_X): v'(P_S M_XY P_S)^+ v <= v'M_X^+ v, strictly iff C_v (Theorem 2, case 2, restricted).

    This is what the paper's proof shows, Lemma 3 on S (Gupta et al. 2025, Theorem 2). The restricted quantity is the variance when theta_c is
    *known* to lie in S. It equals the true joint variance if P_S M_Y P_S-perp = 0 (the paper's footnote), is never
    above it, and unlike it depends on the units of the parameters, because S does.

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        v: (d_c,) direction in range(M_X).
        reading: "as_stated" or "as_holds", the same here.

    Returns:
        Verdict with left the restricted quantity and right X's variance (both NaN for v outside range(M_X)).

    Example:
        >>> verdict = theorem_2_restricted(np.diag([1.0, 0.0]), np.ones((2, 2)), [1.0, 0.0])
        >>> round(verdict.left, 6), round(verdict.right, 6)     # the true joint variance is 1
        (0.5, 1.0)
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    v = as_direction(v, pair.dim)
    inside, sure = pair.membership(pair.x, v)
    statement, claim = (
        "Gupta et al. 2025, Theorem 2 (2), restricted",
        "v'(P_S M_XY P_S)^+ v ≤ v'M_X^+ v, strict iff C_v",
    )
    if not inside:
        hypotheses = {"v in range(M_X)": False, RESOLVED: sure}
        return Verdict(statement, claim, reading, hypotheses, False, np.nan, np.nan, -np.inf, pair.noise)
    v = pair.project(v)
    predicted, left, noise, nothing = _restricted(pair, v)
    right = float(pair.x.variance(v))
    drop = relative_drop(right, left)
    condition = predicted > noise
    resolved = sure and pair.ranks_agree and clear(noise, predicted, nothing=nothing)
    return Verdict(
        statement, claim, reading, {"v in range(M_X)": True, RESOLVED: resolved},
        drop >= -noise and (drop > noise) == condition, left, right, drop, noise, v,
        f"C_v is {'met: strict' if condition else 'not met: equality'}",
    )  # fmt: skip


def theorem_2_existence(
    m_x: ArrayLike, m_y: ArrayLike, v: ArrayLike | None = None, *, reading: Reading = "as_holds"
) -> Verdict:
    """Some u in range(M_X) gains: u'M_XY^+ u < u'M_X^+ u (Gupta et al. 2025, Theorem 2, last claim).

    As stated, "always guaranteed" once B_c,j v != 0 for some v in range(M_X). False for the true variance. As it
    holds: such a u exists *iff* range(M_X) and range(M_Y) intersect in more than 0, that is iff
    rank M_X + rank M_Y > rank M_XY (docs/theory.md).

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        v: (d_c,) direction in range(M_X), needed for "as_stated" only.
        reading: "as_stated" or "as_holds".

    Returns:
        Verdict with left and right the two variances at the witness u in range(M_X), the direction of the largest
        relative reduction.

    Raises:
        ValueError: "as_stated" without v.

    Example:
        >>> theorem_2_existence(np.diag([1.0, 0.0]), np.ones((2, 2)), [1.0, 0.0], reading="as_stated").refuted
        True
        >>> theorem_2_existence(np.diag([1.0, 1.0, 0.0]), np.diag([0.0, 3.0, 1.0])).margin
        0.75
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    statement, noise = "Gupta et al. 2025, Theorem 2 (2), existence", pair.noise
    half = pair.x.root @ pair.xy.half_inverse
    drops, vectors = np.linalg.eigh(np.eye(pair.x.rank) - half @ half.T)
    margin = float(drops[-1]) if pair.x.rank else 0.0
    left = right = np.nan
    u = None
    if pair.x.rank:
        u = pair.x.root.T @ vectors[:, -1]
        u /= np.linalg.norm(u)
        left, right = float(pair.xy.variance(u)), float(pair.x.variance(u))
    strict = margin > noise
    if reading == "as_stated":
        if v is None:
            raise ValueError(
                "v: the printed statement starts from a direction v in range(M_X) with B_c,j v != 0"
            )
        v = as_direction(v, pair.dim)
        seen, sure_seen = pair.sees(pair.y, v)
        inside, sure = pair.membership(pair.x, v)
        hypotheses = {"v in range(M_X)": inside, "M_Y v ≠ 0": seen}
        hypotheses[RESOLVED] = sure and sure_seen and pair.ranks_agree
        claim = "u'M_XY^+ u < u'M_X^+ u for some u in range(M_X)"
        return Verdict(statement, claim, reading, hypotheses, strict, left, right, margin, noise, u)
    common = pair.x.rank + pair.y.rank - pair.xy.rank
    hypotheses = {RESOLVED: pair.ranks_agree}
    claim = "some u in range(M_X) gains iff range(M_X) ∩ range(M_Y) ≠ {0}"
    note = f"dim of range(M_X) ∩ range(M_Y) is {common}"
    return Verdict(
        statement, claim, reading, hypotheses, strict == (common > 0), left, right, margin, noise, u, note
    )


def _restricted(pair: Pair, v: Array) -> tuple[float, float, float, float | None]:
    """Theorem 2 on S = range(M_X): the relative drop, v'(P_S M_XY P_S)^+ v, relative rounding, and what is no drop."""
    # The drop is y'M_Y y + z'M_X^+ z over v'M_X^+ v, all on S, with y = (P_S M_XY P_S)^+ v, z = P_S M_Y y; it vanishes
    # iff C_v fails. Everything is computed from roots: a basis of S mixes units, and projected matrices would round.
    q, mixing = range_coordinates(pair.x)
    root_x, root_y, w = pair.x.root @ q, pair.y.root @ q, q.T @ v
    x, xy = PSD.from_root(root_x), PSD.from_root(np.concatenate([root_x, root_y]))
    half = xy.half_inverse
    y = half @ (half.T @ w)
    z = root_y.T @ (root_y @ y)
    drop = np.square(root_y @ y).sum() + np.square(x.half_inverse.T @ z).sum()
    noise = tolerance(pair.dim) * (x.condition**2 + xy.condition**2) * mixing**2 + pair.noise
    # the drop is a sum of squares: with roots given, it vanishes far below the rounding of a difference
    nothing = tolerance(pair.dim) ** 2 if pair.decided else None
    drop /= np.square(x.half_inverse.T @ w).sum()
    return float(drop), float(np.square(half.T @ w).sum()), noise, nothing


def _variances(
    statement: str,
    claim: str,
    reading: Reading,
    hypotheses: dict[str, bool],
    pair: Pair,
    v: Array,
    note: str,
    witness: Array | None = None,
) -> Verdict:
    """Verdict on "the joint variance is strictly smaller at v", variances +infinity outside the ranges."""
    left, right = float(pair.xy.variance(v)), float(pair.x.variance(v))
    drop = relative_drop(right, left)
    return Verdict(
        f"Gupta et al. 2025, {statement}", claim, reading, hypotheses, drop > pair.noise, left, right, drop,
        pair.noise, v if witness is None else witness, note,
    )  # fmt: skip
