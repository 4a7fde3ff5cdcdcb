"""Lemmas 1 to 4: order reversal for inverses, and the information matrix as a Gram matrix."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_list, as_matrix
from fisherkit.loewner import compare
from fisherkit.theorems.ordered import Ordered
from fisherkit.theorems.results import (
    RESOLVED,
    Reading,
    Verdict,
    as_direction,
    check_reading,
    clear,
    relative_drop,
)
from fisherkit.tolerances import RANGE_TOLERANCE, tolerance

__all__ = ["lemma_1", "lemma_2", "lemma_3", "lemma_3_existence", "lemma_4", "lemma_4_scores"]

Array = NDArray[np.float64]


def lemma_1(m: ArrayLike, n: ArrayLike, *, strict: bool = True, reading: Reading = "as_holds") -> Verdict:
    """If M and N are positive definite and M < N, then N^{-1} < M^{-1}; the same with <= (Gupta et al. 2025, Lemma 1).

    Holds as stated: both readings are the same. The two gaps are measured in congruent coordinates, relative to N
    and relative to M^{-1}, where they have the same eigenvalues.

    Args:
        m: (d, d) symmetric.
        n: (d, d) symmetric.
        strict: the strict form; False for <=.
        reading: "as_stated" or "as_holds".

    Returns:
        Verdict with left N^{-1} and right M^{-1}.

    Example:
        >>> lemma_1(np.eye(1), 2 * np.eye(1))
        Gupta et al. 2025, Lemma 1, as holds: N^{-1} ≺ M^{-1} holds ([[0.5]] vs [[1.]]; hypotheses met)
    """
    check_reading(reading)
    given, hypotheses = Ordered.of(m, n)
    symbol = "≺" if strict else "⪯"
    if not given.definite:
        before = given.order
        hypotheses[f"M {symbol} N"] = before.is_strictly_below if strict else before.is_below
        hypotheses[RESOLVED] = given.order_is_clear
        nothing = np.full_like(given.m, np.nan)
        return Verdict(
            "Gupta et al. 2025, Lemma 1", f"N^{{-1}} {symbol} M^{{-1}}", reading, hypotheses, False,
            nothing, nothing, -np.inf, 0.0, note="an inverse does not exist",
        )  # fmt: skip
    first, second, noise = given.first, given.second, given.noise
    gap = np.linalg.eigvalsh(given.relative_gap(second))
    half = (
        first.root @ second.half_inverse
    )  # eigenvalues of I - R N^{-1} R': the gap of inverses relative to M^{-1}
    reversed_gap, vectors = np.linalg.eigh(np.eye(first.rank) - half @ half.T)
    floor = noise if strict else -noise
    hypotheses[f"M {symbol} N"] = bool(gap[0] > floor)
    hypotheses[RESOLVED] = given.resolved(noise, gap)
    witness = first.root.T @ vectors[:, 0]
    return Verdict(
        "Gupta et al. 2025, Lemma 1", f"N^{{-1}} {symbol} M^{{-1}}", reading, hypotheses,
        bool(reversed_gap[0] > floor), second.pinv, first.pinv, float(reversed_gap[0]), noise,
        witness / np.linalg.norm(witness),
    )  # fmt: skip


def lemma_2(m: ArrayLike, n: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """If M, N are positive semidefinite with one kernel K and M < N, then N^+ < M^+ (Gupta et al. 2025, Lemma 2).

    As stated, "<" is the order on the whole space (Definition 3). Two matrices with a common nontrivial kernel are
    never so ordered, so the hypotheses are met only where K = {0} and the lemma says no more than Lemma 1. As it
    holds, both "<" mean strict *on the orthogonal complement S of K*.

    Equal kernels cannot be dropped: for M <= N, the reversal N^+ <= M^+ holds iff the kernels are equal
    (docs/theory.md).

    Args:
        m: (d, d) symmetric positive semidefinite.
        n: the same.
        reading: "as_stated" compares on the whole space, "as_holds" on S.

    Returns:
        Verdict with left N^+ and right M^+.

    Example:
        >>> lemma_2(np.diag([1.0, 0.0]), np.diag([2.0, 0.0])).holds
        True
        >>> lemma_2(np.diag([1.0, 0.0]), np.diag([2.0, 0.0]), reading="as_stated").applies
        False
    """
    check_reading(reading)
    given = Ordered.semidefinite(m, n)
    first, second, noise = given.first, given.second, given.noise
    outside = second.outside(
        first.root.T
    )  # rows of the root are exact in every unit, an orthonormal basis is not
    same = first.rank == second.rank and bool((outside <= RANGE_TOLERANCE).all())
    sure = given.clear(RANGE_TOLERANCE, outside) or not given.decided
    hypotheses = {"ker M = ker N": same}
    if reading == "as_stated" or not same:
        gap = given.order
        back = compare(second.pinv, first.pinv, rounding=noise)
        hypotheses["M ≺ N on the whole space"] = gap.is_strictly_below
        hypotheses[RESOLVED] = sure and given.resolved(noise, gap.scaled_min, back.scaled_min)
        holds, margin, witness = back.is_strictly_below, back.scaled_min, back.positive
        if given.decided:
            holds, reversal_sure = given.reversed_strictly()
            hypotheses[RESOLVED] = reversal_sure and sure and given.order_is_clear
        note = f"the common kernel has dimension {first.dim - first.rank}: no strict order" if same else ""
        note = note if first.rank < first.dim else ""
    else:
        relative = np.linalg.eigvalsh(given.relative_gap(second))
        half = first.root @ second.half_inverse
        drops = np.linalg.eigvalsh(np.eye(first.rank) - half @ half.T)
        hypotheses["M ≺ N on S"] = bool((relative > noise).all())
        hypotheses[RESOLVED] = sure and given.resolved(noise, relative)
        holds, margin = bool((drops > noise).all()), float(drops.min(initial=1.0))
        witness, note = (first.range_basis[:, 0] if first.rank else None), ""
    return Verdict(
        "Gupta et al. 2025, Lemma 2", "N^+ ≺ M^+" + (" on S" if reading == "as_holds" else ""), reading,
        hypotheses, holds, second.pinv, first.pinv, margin, noise, witness, note,
    )  # fmt: skip


def lemma_3(m: ArrayLike, n: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """v'N^{-1}v <= v'M^{-1}v, strictly iff (N - M) M^{-1} v != 0 (Gupta et al. 2025, Lemma 3, part 1).

    For positive definite M <= N. The paper also assumes v'Mv < v'Nv, which part 1 does not need; "as_holds" leaves
    it out. The condition is decided by the sum of squares y'Dy + (Dy)'M^{-1}(Dy) with D = N - M, y = N^{-1}v, which
    vanishes iff it fails; the two variances are computed apart from it.

    Args:
        m: (d, d) symmetric positive definite.
        n: the same.
        v: (d,) direction.
        reading: "as_stated" also asks for v'Mv < v'Nv.

    Returns:
        Verdict with left v'N^{-1}v, right v'M^{-1}v and witness (N - M) M^{-1} v.

    Example:
        >>> lemma_3(np.eye(2), np.diag([1.0, 2.0]), [1.0, 0.0]).note
        '(N - M) M^{-1} v = 0: equality'
    """
    check_reading(reading)
    given, hypotheses = Ordered.of(m, n)
    v = as_direction(v, given.dim)
    statement, claim = (
        "Gupta et al. 2025, Lemma 3 (1)",
        "v'N^{-1}v ≤ v'M^{-1}v, strict iff (N - M) M^{-1} v ≠ 0",
    )
    hypotheses["M ⪯ N"] = given.order.is_below
    growth, grows = given.growth(v)
    if reading == "as_stated":
        hypotheses["v'Mv < v'Nv"] = growth > given.entry_noise
    grows = grows or reading == "as_holds"
    if not given.definite:
        hypotheses[RESOLVED] = grows and given.order_is_clear
        return Verdict(statement, claim, reading, hypotheses, False, np.nan, np.nan, -np.inf, 0.0)
    first, second, noise = given.first, given.second, given.noise
    left, right = float(second.variance(v)), float(first.variance(v))
    drop = relative_drop(right, left)
    y = second.half_inverse @ (second.half_inverse.T @ v)
    z = given.gap_times(y)
    moved = float(np.square(first.half_inverse.T @ z).sum() / right)
    predicted = float(y @ z / right) + moved
    condition = predicted > noise
    # a sum of squares and of a difference that is none without it: with roots given, the squares tell
    settled = not given.decided or abs(predicted) > noise or moved <= tolerance(given.dim) ** 2
    grows = grows and clear(given.product_noise)  # z comes from N^{-1} and goes into M^{-1}
    hypotheses[RESOLVED] = grows and settled and given.resolved(noise, predicted) and given.order_is_clear
    return Verdict(
        statement, claim, reading, hypotheses, drop >= -noise and (drop > noise) == condition, left, right,
        drop, noise, given.gap_times(first.pinv @ v), f"(N - M) M^{{-1}} v {'≠ 0: strict' if condition else '= 0: equality'}",
    )  # fmt: skip


def lemma_3_existence(m: ArrayLike, n: ArrayLike, v: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """If v'Mv < v'Nv for some v, then u'N^{-1}u < u'M^{-1}u for some u (Gupta et al. 2025, Lemma 3, part 2).

    For positive definite M <= N; holds as stated. The witness is u = M w with w the top eigenvector of
    (N - M) w = lambda M w, where the variance falls by the largest possible fraction, lambda / (1 + lambda).

    Args:
        m: (d, d) symmetric positive definite.
        n: the same.
        v: (d,) direction in which information grows.
        reading: "as_stated" or "as_holds", the same here.

    Returns:
        Verdict with left u'N^{-1}u, right u'M^{-1}u and witness u, a unit vector.

    Example:
        >>> lemma_3_existence(np.eye(2), np.diag([1.0, 4.0]), [1.0, 1.0]).margin
        0.75
    """
    check_reading(reading)
    given, hypotheses = Ordered.of(m, n)
    v = as_direction(v, given.dim)
    statement, claim = "Gupta et al. 2025, Lemma 3 (2)", "u'N^{-1}u < u'M^{-1}u for some u"
    hypotheses["M ⪯ N"] = given.order.is_below
    growth, grows = given.growth(v)
    if not given.definite:
        hypotheses["v'Mv < v'Nv"] = growth > given.entry_noise
        hypotheses[RESOLVED] = given.order_is_clear and grows
        return Verdict(statement, claim, reading, hypotheses, False, np.nan, np.nan, -np.inf, 0.0)
    first, second, noise = given.first, given.second, given.noise
    growth = given.share_of_growth(v)
    hypotheses["v'Mv < v'Nv"] = growth > noise
    values, vectors = np.linalg.eigh(given.relative_gap(first))
    u = first.root.T @ vectors[:, -1]
    u /= np.linalg.norm(u)
    left, right = float(second.variance(u)), float(first.variance(u))
    drop = relative_drop(right, left)
    sure = grows and given.order_is_clear and (not given.decided or given.clear(noise, drop, values))
    hypotheses[RESOLVED] = sure and given.resolved(noise, growth)
    return Verdict(statement, claim, reading, hypotheses, drop > noise, left, right, drop, noise, u)


def lemma_4(blocks: Sequence[ArrayLike], *, reading: Reading = "as_holds") -> Verdict:
    """The information of whitened design blocks, sum_j B_j'B_j, is positive semidefinite (Gupta et al. 2025, Lemma 4).

    Args:
        blocks: design blocks (m_j, d) in units of the noise (divide each row by the noise standard deviation).
        reading: "as_stated" or "as_holds", the same here.

    Returns:
        Verdict with left the smallest eigenvalue of the sum and right 0; the witness is its eigenvector.

    Raises:
        ValueError: no block, or blocks of different width.

    Example:
        >>> lemma_4([[[1.0, 1.0]], [[0.0, 2.0]]]).holds
        True
    """
    blocks = as_list(blocks, "blocks", "design blocks")
    if not blocks:
        raise ValueError("blocks: give at least one design block")
    first = as_matrix(blocks[0], "blocks[0]")
    rows = [as_matrix(block, f"blocks[{j}]", cols=first.shape[1]) for j, block in enumerate(blocks)]
    return _gram_is_psd(np.concatenate(rows), 1.0, reading)


def lemma_4_scores(scores: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """The mean of s s' over score samples s is positive semidefinite, since v'Iv = mean (v's)^2 (Lemma 4).

    True of every sample, not only in expectation (Gupta et al. 2025, Lemma 4).

    Args:
        scores: (n, d) draws of the score, n >= 1.
        reading: "as_stated" or "as_holds", the same here.

    Returns:
        Verdict with left the smallest eigenvalue of the Monte-Carlo information and right 0.

    Raises:
        ValueError: not a matrix with at least one row.
    """
    draws = as_array(scores, "scores", ndim=2).astype(np.float64, copy=False)
    if not len(draws):
        raise ValueError("scores: no draws; give an (n, d) array with n >= 1")
    return _gram_is_psd(draws, 1.0 / len(draws), reading)


def _gram_is_psd(rows: Array, weight: float, reading: Reading) -> Verdict:
    check_reading(reading)
    d = rows.shape[1]
    total = np.zeros((d, d))
    for row in rows:  # summed sample by sample, as the definition has it, so that symmetry is no accident
        total += weight * np.outer(row, row)
    order = compare(np.zeros((d, d)), total, rounding=tolerance(d) * max(1.0, len(rows) / 64))
    values, vectors = np.linalg.eigh(total)
    witness = vectors[:, 0] if d else None
    square = 0.0 if witness is None else weight * float(np.square(rows @ witness).sum())
    return Verdict(
        "Gupta et al. 2025, Lemma 4", "v'Iv ≥ 0 for all v", reading, {}, order.is_below,
        float(values.min(initial=np.inf)) if d else 0.0, 0.0, order.scaled_min, order.tolerance, witness,
        f"v'Iv = {square:.3g} as a mean of squares at the witness",
    )  # fmt: skip
