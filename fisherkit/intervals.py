"""Intervals for v'theta that cover although the noise variances, and with them the weights, are estimated.

Let V_k be modality k's part of the estimated variance V = sum V_k of v'theta_hat, its noise variance estimated from its own
residuals with nu_k degrees of freedom (theta_hat is independent of them given the weights).

1. One modality: (v'theta_hat - v'theta) / sqrt(V) is Student's t with nu = n_obs - rank degrees of freedom, exactly.
2. Several: t with Satterthwaite's degrees of freedom (1946), 1 / f = sum_k (V_k / V)^2 / nu_k, after

       V* = V + 4 sum_k (y'P_k y - y'P_k P_k y) / nu_k,        (Kenward and Roger 1997, eq. 3-5)

   y and P_k being direction and modality k's information in coordinates where the total one is the identity. Half of the
   supplement is what estimated weights cost, half what V is too small by; for a common mean it is Meier's (1953)
   4 sum p_k (1 - p_k) / nu_k. Without weights (unweighted least squares) V* = V, and the interval is Welch's (1947). The
   coverage is right up to O(1 / nu^2) for any number of modalities, which is not good enough below about 10 degrees
   of freedom: 0.90 instead of 0.95 for two samples of each modality.
3. Two modalities, few degrees of freedom: for a half-width q(s_1^2, s_2^2) = sqrt(V*) t_f exp(h(log s_2^2 / s_1^2)) the
   coverage is a function of the true ratio of the noise variances alone,

       P(rho) = E P(t_{nu_1 + nu_2}^2 <= (nu_1 + nu_2) q^2 / (U(rho_hat, rho) (chi^2_1 + chi^2_2))),

   one integral over a beta variable, U the variance given the weights. The function h is the smoothest one (penalty on its
   second derivative) whose coverage is the level at every rho: Welch's programme (1947; Aspin 1948; Trickett, Welch and
   James 1956), solved numerically. No smooth q is right at every rho exactly (Linnik 1968), but a few thousandths are reached.

Example:
    >>> from fisherkit import LinearGaussian, Modality, Samples, fit
    >>> model = LinearGaussian({"x": Modality([[1.0]])})
    >>> low, high = fit(Samples(model, {"x": [[1.0], [3.0]]}), noise="dof").interval([1.0])     # 2 +- 12.7062
    >>> float(low.round(3)), float(high.round(3))
    (-10.706, 14.706)
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.spread import Spread

__all__ = ["half_width", "satterthwaite", "student_quantile"]

Array = NDArray[np.float64]

#: Degrees of freedom from which a quantile is the normal one.
_MANY = 1e9
#: Error of the coverage, relative to 1 - level, up to which the closed form is good enough.
_GOOD_ENOUGH = 0.02
#: Weight of the roughness of h against errors of the coverage (per unit of log rho).
_ROUGHNESS = 3e-4
#: Distance of the nodes in log rho, most nodes, and how far they reach beyond where both modalities matter.
_STEP, _MOST_NODES, _MARGIN = 0.25, 400, 8.0
#: Relative weight from which a modality matters; square of a coordinate that is rounding; largest |log rho| looked at.
_MATTERS, _ROUNDING, _WIDEST = 1e-3, 1e-24, 50.0
_BETA_NODES = 161
_MAX_STEPS = 20


def satterthwaite(parts: Array, degrees: Array) -> Array:
    """Degrees of freedom of a sum of independent estimated variances.

    Args:
        parts: (..., K, n) what each contributes.
        degrees: (K,) their degrees of freedom, > 0.

    Returns:
        (..., n), between the smallest of the degrees that take part and their sum; infinite for a variance of 0.

    Example:
        >>> satterthwaite(np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([3.0, 5.0])).round(3)
        array([3.  , 7.5])
    """
    variance = parts.sum(axis=-2)
    share = parts / np.where(variance > 0, variance, 1.0)[..., None, :]
    with np.errstate(divide="ignore"):
        return np.asarray(1 / (np.square(share) / degrees[:, None]).sum(axis=-2))


def student_quantile(degrees: Array, level: float) -> Array:
    """Two-sided quantile of Student's t; the normal one for infinite degrees of freedom.

    Args:
        degrees: any shape, > 0.
        level: in (0, 1).

    Returns:
        q with P(|t| <= q) = level, same shape.
    """
    from scipy import special

    p = (1 + level) / 2
    return np.where(degrees > _MANY, special.ndtri(p), special.stdtrit(np.minimum(degrees, _MANY), p))


def half_width(spread: Spread, degrees: Array, u: Array, level: float, *, adaptive: bool) -> Array:
    """Half the width of the confidence interval of each v'theta.

    Args:
        spread: weights, and noise variances estimated from each modality alone.
        degrees: (K,) degrees of freedom of these.
        u: (r, n) directions as W'v.
        level: coverage, in (0, 1).
        adaptive: whether the weights are the inverses of the estimated variances; fixed weights otherwise.

    Returns:
        (..., n), parameter units.
    """
    parts = spread.parts(u)
    f, inflated = satterthwaite(parts, degrees), parts.sum(axis=-2)
    if adaptive and len(degrees) > 1:
        inflated = inflated + 4 * (spread.bends(u) / degrees[:, None]).sum(axis=-2)
    q = np.sqrt(inflated) * student_quantile(f, level)
    if len(degrees) != 2:
        return q
    ratio = np.log(spread.scale[..., 1]) - np.log(spread.scale[..., 0])
    problem = spread.problem
    assert problem.shares is not None
    shares, squares = problem.shares, np.square(u)
    squares = np.where(squares > _ROUNDING * squares.max(axis=0, initial=0.0), squares, 0.0)
    if not adaptive:  # as two coordinates that one modality knows each
        squares = Spread(problem, spread.weights, np.ones(2)).parts(u)
        shares = np.eye(2)
    columns = [
        q[..., j] * np.exp(_Calibration(squares[:, j], shares, degrees, level).factor(ratio))
        for j in range(u.shape[1])
    ]
    return np.stack(columns, axis=-1) if columns else q


@dataclass(frozen=True, eq=False)
class _Calibration:
    """The function h for one direction and two modalities, in units where sigma_1 = 1 and sigma_2^2 = rho.

    Attributes:
        squares: (r,) squares of the direction's coordinates.
        shares: (2, r) what each modality gives to each coordinate, at noise variances of 1.
        degrees: (2,).
        level: coverage.
    """

    squares: Array
    shares: Array
    degrees: Array
    level: float

    def factor(self, log_ratio: Array) -> Array:
        """Logarithm of the factor on the closed-form half-width.

        Args:
            log_ratio: any shape, log of the estimated rho.

        Returns:
            Same shape.
        """
        if not self.nodes.size:
            return np.zeros(np.shape(log_ratio))
        return np.interp(log_ratio, self.nodes, self._solution)

    def _variances(self, log_ratio: Array) -> tuple[Array, Array, Array]:
        """sigma_1^2's and rho's coefficient in the variance given weights for this rho, and the closed-form width squared."""
        rho = np.exp(log_ratio)
        first, second, bend = np.zeros_like(rho), np.zeros_like(rho), np.zeros_like(rho)
        for square, a, b in zip(self.squares, *self.shares, strict=True):
            if square > 0:
                total = a + b / rho
                first += square * a / total**2
                second += square * b / (rho * total) ** 2
                bend += square * a * (b / rho) / total**3
        variance = first + rho * second
        f = satterthwaite(np.stack([first.ravel(), (rho * second).ravel()]), self.degrees).reshape(rho.shape)
        inflated = variance + 4 * bend * (1 / self.degrees).sum()
        return first, second, inflated * np.square(student_quantile(f, self.level))

    @cached_property
    def nodes(self) -> Array:
        """Values of log rho; none where one modality alone matters at each of them."""
        wide = np.linspace(-_WIDEST, _WIDEST, 401)
        first, second, _ = self._variances(wide)
        second = second * np.exp(wide)
        p = first / np.where(first + second > 0, first + second, 1.0)
        both = np.flatnonzero(p * (1 - p) > _MATTERS)
        for square, a, b in zip(self.squares, *self.shares, strict=True):
            if square > 0 and a > 0 and b > 0:
                pi = a / (a + b / np.exp(wide))
                held = square / (a + b / np.exp(wide)) > _MATTERS * (first + second)
                both = np.union1d(both, np.flatnonzero((pi * (1 - pi) > _MATTERS) & held))
        if not both.size:
            return np.zeros(0)
        low, high = wide[both[0]] - _MARGIN, wide[both[-1]] + _MARGIN
        return np.linspace(low, high, int(min(_MOST_NODES, np.ceil((high - low) / _STEP) + 1)))

    @cached_property
    def _solution(self) -> Array:
        """The function at the nodes: Gauss-Newton steps on coverage errors and roughness."""
        from scipy import special

        nodes, step, n = self.nodes, self.nodes[1] - self.nodes[0], len(self.nodes)
        nu, (a, b) = self.degrees.sum(), self.degrees / 2
        # chi^2_1 / (chi^2_1 + chi^2_2) is Beta(a, b), its logit here; the sum is independent of it
        wide = 6 * np.sqrt(1 / a + 1 / b)
        logit = np.log(a / b) + np.linspace(-max(17 / a, wide), max(17 / b, wide), _BETA_NODES)
        log_b, log_c = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
        weight = np.exp(a * log_b + b * log_c - (a * log_b + b * log_c).max())
        weight /= weight.sum()
        estimated = nodes[:, None] + (log_c - np.log(b)) - (log_b - np.log(a))
        first, second, squared = self._variances(estimated)
        # q^2 / U, at true variances 1 and rho, of the closed form; sigma_hat_1^2 = (chi^2_1 + chi^2_2) B / nu_1
        closed = (
            np.log(squared / (first + np.exp(nodes)[:, None] * second)) + log_b + np.log(nu / self.degrees[0])
        )
        position = np.clip((estimated - nodes[0]) / step, 0, n - 1 - 1e-9)
        left = position.astype(np.intp)
        right_share = position - left

        def cover(h: Array) -> tuple[Array, Array]:
            moved = closed / 2 + h[left] * (1 - right_share) + h[left + 1] * right_share
            t = np.exp(np.minimum(moved, 200.0))
            return (2 * special.stdtr(nu, t) - 1) @ weight, t

        h = np.zeros(n)
        covered, t = cover(h)
        if np.abs(covered - self.level).max() <= _GOOD_ENOUGH * (1 - self.level):
            return h
        rough = np.diff(np.eye(n), 2, axis=0) * np.sqrt(_ROUGHNESS * step) * 2 / step**2
        constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - np.log(nu * np.pi) / 2
        unit = np.sqrt(step) * 0.05 / (1 - self.level)
        index = np.arange(n)[:, None] * n + left
        for _ in range(_MAX_STEPS):
            slope = 2 * np.exp(np.log(t) + constant - (nu + 1) / 2 * np.log1p(t * t / nu)) * weight
            jacobian = np.bincount(index.ravel(), (slope * (1 - right_share)).ravel(), n * n)
            jacobian += np.bincount(index.ravel() + 1, (slope * right_share).ravel(), n * n + 1)[: n * n]
            system = np.concatenate([unit * jacobian.reshape(n, n), rough, 1e-6 * np.eye(n)])
            wanted = np.concatenate([unit * (self.level - covered), -rough @ h, np.zeros(n)])
            move = np.linalg.lstsq(system, wanted, rcond=None)[0]
            size = float(np.abs(move).max())
            h = h + move * min(1.0, 1.0 / size)
            covered, t = cover(h)
            if size < 1e-3:
                break
        return h
