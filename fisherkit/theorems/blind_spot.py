"""Theorem 3: when the other modality's data beat more of the same."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_list, as_whole
from fisherkit.loewner import range_inclusion
from fisherkit.projection import own_rounding
from fisherkit.theorems.designs import shared_gram
from fisherkit.theorems.pair import Pair
from fisherkit.theorems.results import RESOLVED, Reading, Verdict, check_reading, clear

__all__ = ["theorem_3", "theorem_3_designs"]

Array = NDArray[np.float64]


def theorem_3(i_x: ArrayLike, i_y: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """If range(I_Y) is not inside range(I_X), some v has v'I_Y v > v'I_X v (Gupta et al. 2025, Theorem 3).

    As stated: sufficient, and the witness is the blind spot, the projection of range(I_Y) on the orthogonal
    complement of range(I_X), where v'I_X v = 0. Not necessary (I_X = I, I_Y = 2I). As it holds: such a v exists
    *iff* lambda_max(I_Y - I_X) > 0; the witness is the top eigenvector of the rescaled gap. The other side of the
    equivalence is computed from Y's largest share of the sum, which must exceed 1/2.

    Args:
        i_x: (d_c, d_c) information of m samples of X about theta_c.
        i_y: the same of m samples of Y.
        reading: "as_stated" or "as_holds".

    Returns:
        Verdict with left v'I_Y v and right v'I_X v at the witness; for "as_holds" the margin is lambda_max of the
        rescaled gap.

    Example:
        >>> theorem_3(np.diag([9.0, 0.0]), np.diag([0.0, 1.0]), reading="as_stated").witness
        array([0., 1.])
        >>> verdict = theorem_3(np.eye(2), 2 * np.eye(2), reading="as_stated")
        >>> verdict.applies, verdict.holds      # not necessary
        (False, True)
    """
    check_reading(reading)
    pair = Pair.of(i_x, i_y)
    order = pair.order
    statement = "Gupta et al. 2025, Theorem 3"
    if reading == "as_stated":
        inclusion = range_inclusion(pair.y, pair.x)
        hypotheses = {"range(I_Y) ⊄ range(I_X)": not inclusion.included}
        nothing = pair.nothing(own_rounding(pair.x) + own_rounding(pair.y))
        hypotheses[RESOLVED] = (
            clear(inclusion.tolerance, inclusion.outside, nothing=nothing)
            and pair.ranks_agree
            and (not inclusion.included or pair.clear(order.tolerance, order.scaled_max))
        )
        witness = order.positive if inclusion.included else inclusion.blind_spot
        left, right = _forms(pair, witness)
        margin = (left - right) / (left + right) if left + right > 0 else 0.0
        holds = witness is not None and margin > order.tolerance
        note = "" if inclusion.included else "the witness is a blind spot of X: v'I_X v = 0"
        return Verdict(
            statement, "v'I_Y v > v'I_X v for some v", reading, hypotheses, holds, left, right, margin,
            order.tolerance, witness, note,
        )  # fmt: skip
    largest = float(pair.shares.max(initial=0.0))
    exists = largest - 0.5 > pair.noise
    positive = order.positive is not None
    beyond_doubt = pair.clear(pair.noise, largest - 0.5) and pair.clear(order.tolerance, order.scaled_max)
    hypotheses = {RESOLVED: beyond_doubt and pair.ranks_agree}
    left, right = _forms(pair, order.positive)
    claim = "v'I_Y v > v'I_X v for some v iff lambda_max(I_Y - I_X) > 0"
    return Verdict(
        statement, claim, reading, hypotheses, positive == exists and (not positive or left > right), left, right,
        order.scaled_max, order.tolerance, order.positive, f"Y's largest share of the sum is {largest:.4g}",
    )  # fmt: skip


def theorem_3_designs(
    x: Sequence[ArrayLike], y: Sequence[ArrayLike], m: int, *, reading: Reading = "as_holds"
) -> Verdict:
    """Theorem 3 for the first m design blocks of each modality, as the paper writes it (Gupta et al. 2025, Theorem 3).

    Args:
        x: blocks A_c,i, (m_i, d_c), rows in noise units.
        y: blocks B_c,j.
        m: number of samples of each, at least 1.
        reading: "as_stated" or "as_holds".

    Returns:
        Verdict of `theorem_3`.

    Raises:
        ValueError: fewer than m blocks, or m < 1.

    Example:
        >>> theorem_3_designs([[[1.0, 0.0]]] * 5, [[[0.0, 1.0]]] * 5, 3).holds
        True
    """
    x, y, m = as_list(x, "x", "blocks"), as_list(y, "y", "blocks"), as_whole(m, "m: samples", least=0)
    for name, blocks in (("x", x), ("y", y)):
        if not 1 <= m <= len(blocks):
            raise ValueError(f"m: must lie between 1 and {len(blocks)} (blocks of {name}), got {m}")
    return theorem_3(shared_gram(list(x[:m]), "x"), shared_gram(list(y[:m]), "y"), reading=reading)


def _forms(pair: Pair, witness: Array | None) -> tuple[float, float]:
    """v'I_Y v and v'I_X v from the decided roots, so that a blind spot counts exactly as such."""
    if witness is None:
        return 0.0, 0.0
    return float(np.square(pair.y.root @ witness).sum()), float(np.square(pair.x.root @ witness).sum())
