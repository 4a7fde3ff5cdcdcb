"""Joint least squares is maximum likelihood only for equal noise; otherwise it can be worse than X alone.

The paper writes the joint estimator as unweighted least squares and calls it maximum likelihood. With unequal noise
the likelihood weights each modality by its inverse noise variance.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_list, as_number
from fisherkit.theorems.pair import Pair
from fisherkit.theorems.results import (
    RESOLVED,
    Reading,
    Verdict,
    as_direction,
    check_reading,
    clear,
    relative_drop,
)

__all__ = ["JointVariances", "joint_fit_never_hurts", "joint_variances", "least_squares_is_mle"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointVariances:
    """Variance of three unbiased estimators of v'theta, +infinity where v'theta is not estimable.

    Attributes:
        alone: maximum likelihood from X alone.
        unweighted: least squares on both datasets, every residual counted alike.
        weighted: maximum likelihood from both, residuals weighted by inverse noise variance.
    """

    alone: float
    unweighted: float
    weighted: float


def joint_variances(
    gram_x: ArrayLike, gram_y: ArrayLike, noise_var: tuple[float, float], v: ArrayLike
) -> JointVariances:
    """Variance at v of X alone, of unweighted and of weighted joint least squares.

    With G = G_X + G_Y, unweighted: v' G^+ (s_x^2 G_X + s_y^2 G_Y) G^+ v (the sandwich covariance);
    weighted: v' (G_X / s_x^2 + G_Y / s_y^2)^+ v.

    Args:
        gram_x: (d, d) sum of A'A over X's samples, noise left out, array or `PSD`.
        gram_y: (d, d) the same of Y.
        noise_var: (s_x^2, s_y^2), noise variances of X and Y.
        v: (d,) direction.

    Returns:
        The three variances.

    Raises:
        ValueError: not two noise variances, or one that is not positive and finite.

    Example:
        >>> three = joint_variances([[4.0]], [[4.0]], (4.0, 36.0), [1.0])
        >>> three.alone, round(three.unweighted, 6), round(three.weighted, 6)
        (1.0, 2.5, 0.9)
    """
    _, three, _, _, _ = _compute(gram_x, gram_y, noise_var, v)
    return three


def least_squares_is_mle(
    gram_x: ArrayLike,
    gram_y: ArrayLike,
    noise_var: tuple[float, float],
    v: ArrayLike,
    *,
    reading: Reading = "as_holds",
) -> Verdict:
    """Joint least squares has the variance of joint maximum likelihood (Gupta et al. 2025, section C.2).

    As stated, always; as it holds, for equal noise variances.

    Args:
        gram_x: (d, d) sum of A'A over X's samples, noise left out, array or `PSD`.
        gram_y: (d, d) the same of Y.
        noise_var: (s_x^2, s_y^2).
        v: (d,) direction.
        reading: "as_holds" adds the hypothesis of equal noise.

    Returns:
        Verdict with left the unweighted and right the weighted variance.

    Example:
        >>> least_squares_is_mle([[1.0]], [[1.0]], (1.0, 9.0), [1.0], reading="as_stated").refuted
        True
    """
    check_reading(reading)
    noise, three, resolved, equal, apart = _compute(gram_x, gram_y, noise_var, v)
    excess = relative_drop(three.unweighted, three.weighted)
    hypotheses = {"equal noise variances": equal} if reading == "as_holds" else {}
    known = equal or apart or abs(excess) > noise
    hypotheses[RESOLVED] = resolved and known and clear(noise, excess)
    return Verdict(
        "Gupta et al. 2025, C.2 (least squares = MLE)", "Var(unweighted) = Var(weighted)", reading, hypotheses,
        abs(excess) <= noise, three.unweighted, three.weighted, -excess, noise, as_direction(v, len(np.asarray(v))),
        f"X alone: {three.alone:.6g}",
    )  # fmt: skip


def joint_fit_never_hurts(
    gram_x: ArrayLike,
    gram_y: ArrayLike,
    noise_var: tuple[float, float],
    v: ArrayLike,
    *,
    reading: Reading = "as_holds",
) -> Verdict:
    """The joint fit has a variance no larger than X alone (what Theorems 1 and 2 say of the paper's estimator).

    As stated of the paper's unweighted least squares: false once Y's noise exceeds X's far enough; for proportional
    designs, G_Y = r G_X, once s_y^2 > (2 + r) s_x^2. As it holds: of weighted least squares (Gupta et al. 2025, C.2;
    docs/theory.md).

    Args:
        gram_x: (d, d) sum of A'A over X's samples, noise left out, array or `PSD`.
        gram_y: (d, d) the same of Y.
        noise_var: (s_x^2, s_y^2).
        v: (d,) direction.
        reading: "as_stated" is about unweighted, "as_holds" about weighted joint least squares.

    Returns:
        Verdict with left the joint variance and right X's alone.

    Example:
        >>> joint_fit_never_hurts([[1.0]], [[1.0]], (1.0, 9.0), [1.0], reading="as_stated").refuted
        True
        >>> joint_fit_never_hurts([[1.0]], [[1.0]], (1.0, 9.0), [1.0]).holds
        True
    """
    check_reading(reading)
    noise, three, resolved, _, apart = _compute(gram_x, gram_y, noise_var, v)
    left = three.unweighted if reading == "as_stated" else three.weighted
    drop = relative_drop(three.alone, left)
    scale = abs(drop) if np.isfinite(drop) else 1.0
    known = reading == "as_holds" or apart or scale > noise
    return Verdict(
        "Gupta et al. 2025, C.2 (joint fit)", "Var_XY ≤ Var_X", reading,
        {RESOLVED: resolved and known and clear(noise, min(scale, 1.0))}, drop >= -noise, left, three.alone, drop, noise,
        as_direction(v, len(np.asarray(v))),
    )  # fmt: skip


def _compute(
    gram_x: ArrayLike, gram_y: ArrayLike, noise_var: tuple[float, float], v: ArrayLike
) -> tuple[float, JointVariances, bool, bool, bool]:
    """Relative rounding, the variances, whether ranges are beyond doubt, noises equal, and X and Y apart at v."""
    listed = as_list(noise_var, "noise_var", "two numbers")
    pair = [as_number(s, "noise_var", finite=False) for s in listed]
    if len(pair) != 2:
        raise ValueError(f"noise_var: expected the pair (s_x^2, s_y^2), got {len(pair)} values")
    for name, value in zip(("s_x^2", "s_y^2"), pair, strict=True):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"noise_var: {name} must be positive and finite, got {value}")
    s_x, s_y = pair
    plain = Pair.of(gram_x, gram_y)
    v = as_direction(v, plain.dim)
    if plain.decided:
        white = Pair.of(plain.x / s_x, plain.y / s_y)
    else:
        white = Pair.of(plain.m_x / s_x, plain.m_y / s_y)
    alone, weighted = float(white.x.variance(v)), float(white.xy.variance(v))
    half = plain.xy.half_inverse
    y = half @ (half.T @ v)  # the least-squares weights are A y, B y
    sandwich = s_x * np.square(plain.x.root @ y).sum() + s_y * np.square(plain.y.root @ y).sum()
    unweighted = float(sandwich) if plain.xy.contains(v) else np.inf
    checks = [white.membership(psd, v) for psd in (white.x, white.xy)] + [plain.membership(plain.xy, v)]
    resolved = plain.ranks_agree and white.ranks_agree and all(sure for _, sure in checks)
    # weights matter in what both inform only: a difference of roots that is rounding is none if there is nothing such
    common = plain.common(v) if plain.decided and plain.xy.contains(v) else 0.0
    apart = plain.drop_is_clear(common) and common <= plain.noise
    three = JointVariances(alone, unweighted, weighted)
    return plain.noise + white.noise, three, resolved, s_x == s_y, apart
