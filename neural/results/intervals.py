"""Estimates with 95% intervals, from independent or paired repetitions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

__all__ = [
    "Interval",
    "geometric_interval",
    "mean_interval",
    "paired_difference",
    "paired_ratio",
    "plausible_coverage",
]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% confidence interval.

    Attributes:
        estimate: mean, or geometric mean for ratios.
        low: lower end.
        high: upper end.
        n: number of repetitions behind it.
    """

    estimate: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def excludes(self, value: float) -> bool:
        """Whether a value (0 for a difference, 1 for a ratio) lies outside the interval."""
        return not self.low <= value <= self.high


def mean_interval(values: ArrayLike) -> Interval:
    """Mean over independent repetitions with its 95% Student t interval.

    Args:
        values: (n,), n >= 2, finite.

    Returns:
        Interval.

    Raises:
        ValueError: fewer than two values, or one that is not finite.

    Example:
        >>> print(mean_interval([1.0, 2.0, 3.0]))
        2 [-0.4841, 4.484]
    """
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 1 or len(v) < 2:
        raise ValueError(f"an interval needs at least two repetitions, got shape {v.shape}; raise --seeds")
    if not np.isfinite(v).all():
        raise ValueError(
            f"repetition {int(np.argmin(np.isfinite(v)))} is {v[~np.isfinite(v)][0]}, not finite"
        )
    mean, half = v.mean(), stats.t.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v))
    return Interval(float(mean), float(mean - half), float(mean + half), len(v))


def geometric_interval(values: ArrayLike) -> Interval:
    """Geometric mean over independent repetitions, 95% Student t interval taken on the log scale.

    Args:
        values: (n,), n >= 2, positive.

    Returns:
        Interval, in the units of the values; its lower end is positive.

    Raises:
        ValueError: values that are not positive, or fewer than two.

    Example:
        >>> print(geometric_interval([1.0, 10.0, 100.0]))
        10 [0.0328, 3049]
    """
    if not (np.asarray(values) > 0).all():
        raise ValueError(f"an interval on the log scale needs positive values, got {np.min(values)}")
    logs = mean_interval(np.log(values))
    estimate, low, high = np.exp([logs.estimate, logs.low, logs.high]).tolist()
    return Interval(estimate, low, high, logs.n)


def paired_difference(treated: ArrayLike, control: ArrayLike) -> Interval:
    """Mean of treated - control, (n,) each, over repetitions that share their seeds, with 95% t interval."""
    return mean_interval(_paired(treated, control, np.subtract))


def paired_ratio(treated: ArrayLike, control: ArrayLike) -> Interval:
    """Geometric mean of treated / control over paired repetitions, 95% t interval taken on the log scale.

    Args:
        treated: (n,), positive.
        control: (n,), positive, same repetitions in the same order.

    Returns:
        Interval, dimensionless.

    Raises:
        ValueError: different lengths, or values that are not positive.

    Example:
        >>> print(paired_ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]))
        0.5 [0.5, 0.5]
    """
    for what, values in (("treated", treated), ("control", control)):
        v = np.asarray(values, dtype=np.float64)
        if not ((v > 0) & np.isfinite(v)).all():
            wrong = v[~((v > 0) & np.isfinite(v))][0]
            raise ValueError(f"{what}: a ratio on the log scale needs positive values, got {wrong}")
    return geometric_interval(_paired(treated, control, np.divide))


def plausible_coverage(inside: int, total: int) -> bool:
    """Whether so few true values inside 95% intervals can be chance: a smaller count has probability below 0.1%.

    Args:
        inside: independent intervals that contain what they should.
        total: all of them.

    Returns:
        False if fewer are inside than the 0.1% quantile of the binomial law.

    Example:
        >>> plausible_coverage(52, 55), plausible_coverage(40, 55)
        (True, False)
    """
    return bool(inside >= stats.binom.ppf(0.001, total, 0.95))


def _paired(treated: ArrayLike, control: ArrayLike, combine: np.ufunc) -> ArrayLike:
    a, b = np.asarray(treated, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired values must match one to one, got shapes {a.shape} and {b.shape}")
    paired: ArrayLike = combine(a, b)
    return paired
