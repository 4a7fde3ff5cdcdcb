"""Theorem 1: a second modality that informs every shared direction shrinks the whole covariance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.loewner import compare
from fisherkit.projection import project_out
from fisherkit.psd import PSD
from fisherkit.theorems.designs import Designs, has_full_column_rank, stack
from fisherkit.theorems.pair import Pair
from fisherkit.theorems.results import RESOLVED, Reading, Verdict, check_reading, clear
from fisherkit.tolerances import tolerance

__all__ = ["theorem_1_information", "theorem_1_private", "theorem_1_variance"]

Array = NDArray[np.float64]


def theorem_1_information(m_x: ArrayLike, m_y: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """If M_Y is positive definite, then M_X + M_Y > M_X (Gupta et al. 2025, Theorem 1, information).

    The paper asks for one B_c,j of full rank; its proof uses full *column* rank, which makes M_Y = sum B_c,j' B_c,j
    positive definite. Holds as stated.

    Args:
        m_x: (d_c, d_c) information of X about theta_c, private parameters known or Fisher-orthogonal.
        m_y: the same of Y.
        reading: "as_stated" or "as_holds", the same here.

    Returns:
        Verdict with left M_X + M_Y and right M_X.

    Example:
        >>> theorem_1_information(np.diag([1.0, 0.0]), np.eye(2)).holds
        True
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    if pair.decided:
        order, both = compare(pair.x, pair.xy), pair.x.plus(pair.xy)
        half = pair.y.root @ both.half_inverse
        added = np.linalg.eigvalsh(half.T @ half) if both.rank == pair.dim else np.zeros(1)
    else:
        order = compare(pair.m_x, pair.m_xy)
        size = np.sqrt(pair.m_xy.diagonal() + pair.m_x.diagonal())
        size = np.where(size > 0, size, 1.0)
        added = np.linalg.eigvalsh(pair.m_y / np.outer(size, size))
    smallest, definite = float(added.min(initial=1.0)), pair.y.rank == pair.dim
    hypotheses = {
        "M_Y positive definite": definite,
        # definite on its own, and beside M_X too
        RESOLVED: pair.sure
        and pair.clear(order.tolerance, smallest)
        and definite == (smallest > order.tolerance),
    }
    return Verdict(
        "Gupta et al. 2025, Theorem 1 (information)", "M_X + M_Y ≻ M_X", reading, hypotheses,
        order.is_strictly_below, pair.m_xy, pair.m_x, order.scaled_min, order.tolerance, order.positive,
    )  # fmt: skip


def theorem_1_variance(m_x: ArrayLike, m_y: ArrayLike, *, reading: Reading = "as_holds") -> Verdict:
    """If M_Y is positive definite, the joint covariance is strictly smaller (Gupta et al. 2025, Theorem 1, variance).

    As stated, singular M_X included: "interpret covariances via the Moore-Penrose pseudoinverse", so that
    (M_X + M_Y)^{-1} < M_X^+ is claimed. That fails for every singular M_X: outside range(M_X) the pseudoinverse
    reports variance 0 where it is infinite. As it holds: the joint variance is finite in every direction, and
    smaller than X's in every direction, X's being +infinity outside range(M_X).

    Args:
        m_x: (d_c, d_c) information of X about theta_c.
        m_y: the same of Y.
        reading: "as_stated" orders pseudoinverses, "as_holds" extended variances.

    Returns:
        Verdict with left (M_X + M_Y)^+ and right M_X^+. For "as_holds" the margin is the smallest relative
        reduction over all directions of range(M_X), attained at the witness; for "as_stated" the witness is a
        direction in which the pseudoinverses are in the wrong order.

    Example:
        >>> theorem_1_variance(np.diag([1.0, 0.0]), np.eye(2), reading="as_stated").refuted
        True
        >>> theorem_1_variance(np.diag([1.0, 0.0]), np.eye(2)).holds
        True
    """
    check_reading(reading)
    pair = Pair.of(m_x, m_y)
    noise = pair.noise
    hypotheses = {"M_Y positive definite": pair.y.rank == pair.dim, RESOLVED: pair.y_agrees}
    statement = "Gupta et al. 2025, Theorem 1 (variance)"
    half = pair.x.root @ pair.xy.half_inverse
    drops, vectors = np.linalg.eigh(np.eye(pair.x.rank) - half @ half.T)
    hypotheses[RESOLVED] = pair.y_agrees and pair.clear(noise, drops)
    if reading == "as_stated":
        order = compare(pair.xy.pinv, pair.x.pinv, rounding=noise)
        below = order.is_strictly_below
        if (
            pair.decided
        ):  # a strict order of pseudoinverses needs a definite M_X, and then it is one of variances
            below = pair.x.rank == pair.dim and bool((drops > noise).all())
        else:
            hypotheses[RESOLVED] = pair.y_agrees and clear(noise, order.scaled_min)
        note = "" if pair.x.rank == pair.dim else "M_X is singular: its pseudoinverse is not a covariance"
        return Verdict(
            statement, "(M_X + M_Y)^+ ≺ M_X^+", reading, hypotheses, below, pair.xy.pinv,
            pair.x.pinv, order.scaled_min, noise, order.negative, note,
        )  # fmt: skip
    witness = pair.x.root.T @ vectors[:, 0] if pair.x.rank else None
    holds = pair.xy.rank == pair.dim and bool((drops > noise).all())
    return Verdict(
        statement, "v'(M_X + M_Y)^+ v < v'M_X^+ v for all v ≠ 0, +∞ outside range(M_X)", reading, hypotheses,
        holds, pair.xy.pinv, pair.x.pinv, float(drops.min(initial=1.0)), noise,
        None if witness is None else witness / np.linalg.norm(witness),
    )  # fmt: skip


def theorem_1_private(x: Designs, y: Designs, *, reading: Reading = "as_holds") -> Verdict:
    """Theorem 1 with unknown private parameters: effective informations about theta_c are ordered strictly.

    As stated, one B_c,j of full column rank is enough (under Fisher-orthogonality, which the paper assumes "for
    clarity of exposition"). As it holds, without that assumption: iff the columns of the stacked B_c are independent
    *beyond* the range of the stacked B_y, rank [B_c B_y] = d_c + rank B_y, which is when Y's effective information
    is positive definite. The joint side eliminates (theta_x, theta_y) from the stacked designs of both modalities; it is
    not computed as a sum (Gupta et al. 2025, Theorem 1; docs/theory.md).

    Args:
        x: X's design blocks, (A_c,i, A_x,i) pairs or bare A_c,i, rows in noise units.
        y: Y's, (B_c,j, B_y,j).
        reading: "as_stated" or "as_holds".

    Returns:
        Verdict with left the joint effective information and right X's.

    Raises:
        ValueError: x and y with different numbers of shared parameters.

    Example:
        >>> theorem_1_private([np.eye(2)], [(np.eye(2), np.eye(2))], reading="as_stated").refuted
        True
        >>> theorem_1_private([np.eye(2)], [(np.eye(2), [[1.0], [1.0]])]).applies
        False
    """
    check_reading(reading)
    (a_c, a_x), (b_c, b_y) = stack(x, "x"), stack(y, "y")
    d_c = a_c[0].shape[1]
    if b_c[0].shape[1] != d_c:
        raise ValueError(f"y: {b_c[0].shape[1]} shared parameters (columns of C), but x has {d_c}")
    shared, private = [np.concatenate(a_c), np.concatenate(b_c)], [np.concatenate(a_x), np.concatenate(b_y)]
    nuisance = np.zeros((sum(map(len, private)), private[0].shape[1] + private[1].shape[1]))
    nuisance[: len(private[0]), : private[0].shape[1]] = private[0]
    nuisance[len(private[0]) :, private[0].shape[1] :] = private[1]
    stacked = np.concatenate(shared)
    decided = joint, alone, own = (
        project_out(stacked, nuisance),
        project_out(shared[0], private[0]),
        project_out(shared[1], private[1]),
    )
    scale = joint.diagonal() + alone.diagonal()
    plain = np.divide(np.square(stacked).sum(axis=0), scale, out=np.ones(d_c), where=scale > 0)
    condition = max(PSD.from_root(s).condition for s in (nuisance, *private))
    order = compare(
        alone.matrix,
        joint.matrix,
        rounding=tolerance(d_c + nuisance.shape[1]) * condition * max(1.0, plain.max()),
    )
    whole, alien = (
        PSD.from_root(root) for root in (np.concatenate([shared[1], private[1]], axis=1), private[1])
    )
    independent = whole.rank == d_c + alien.rank
    if reading == "as_stated":
        hypotheses = {"some B_c,j has full column rank": any(map(has_full_column_rank, b_c))}
    else:
        hypotheses = {"rank [B_c B_y] = d_c + rank B_y": independent}
    beside = own.root / np.sqrt(np.where(scale > 0, scale, 1.0))
    strength = float(np.linalg.svd(beside, compute_uv=False)[-1]) ** 2 if own.rank == d_c else 0.0
    hypotheses[RESOLVED] = (
        all(m.sure for m in (*decided, whole, alien))
        and clear(order.tolerance, strength)
        and independent == (strength > order.tolerance)
    )
    return Verdict(
        "Gupta et al. 2025, Theorem 1 (private parameters)", "I_eff(X, Y) ≻ I_eff(X)", reading, hypotheses,
        order.is_strictly_below, joint.matrix, alone.matrix, order.scaled_min, order.tolerance, order.positive,
    )  # fmt: skip
