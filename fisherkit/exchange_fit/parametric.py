"""Surfaces with a formula: the paper's plane, and a power law that saturates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_number, as_pair, as_whole
from fisherkit.exchange_fit.rows import Rows

__all__ = ["Plane", "PowerLaw", "fit_plane", "fit_power_law"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """metric = intercept + slope_x n_x + slope_y n_y, the paper's model: one rate everywhere.

    Attributes:
        intercept: metric without samples.
        slope_x: change of the metric per sample of x.
        slope_y: the same for y.
        rows: what it was fitted to.
    """

    intercept: float
    slope_x: float
    slope_y: float
    rows: Rows
    n_params = 3

    def predict(self, n_x: ArrayLike, n_y: ArrayLike) -> Array:
        """The plane at these counts, which broadcast."""
        x, y = as_pair(n_x, n_y)
        return (self.intercept + self.slope_x * x + self.slope_y * y)[()]

    def rate(self, n_x: ArrayLike = 0.0, n_y: ArrayLike = 0.0) -> Array:
        """slope_y / slope_x: negative where y hurts, +infinity where only y helps, nan where neither does."""
        x, y = self.rows.sign * self.slope_x, self.rows.sign * self.slope_y
        value = y / x if x > 0 else np.inf if y > 0 else np.nan
        return np.full(as_pair(n_x, n_y)[0].shape, value)[()]

    def isoline(self, level: float, n_y: ArrayLike) -> Array:
        """Samples of x that reach the level: 0 where none is needed, +infinity where x does not help."""
        short = self.rows.sign * (as_number(level, "level") - self.predict(0.0, n_y))
        slope = self.rows.sign * self.slope_x
        return np.where(short <= 0, 0.0, short / slope if slope > 0 else np.inf)[()]

    @property
    def r_squared(self) -> float:
        """Share of the variance of the rows that the plane explains."""
        return self.rows.r_squared(self.predict(self.rows.n_x, self.rows.n_y))

    @property
    def aic(self) -> float:
        """Akaike's criterion; compare it with that of `PowerLaw` on the same rows, lower is better."""
        return self.rows.aic(self.predict(self.rows.n_x, self.rows.n_y), self.n_params)


def fit_plane(n_x: ArrayLike, n_y: ArrayLike, metric: ArrayLike, *, better: str = "higher") -> Plane:
    """Least-squares plane (Gupta et al. 2025, E.4).

    Args:
        n_x: (n,) samples of x.
        n_y: (n,) samples of y.
        metric: (n,) accuracy or error.
        better: "higher" or "lower".

    Returns:
        The plane. Look at `lack_of_fit` before its rate: accuracy saturates, a plane does not. A slope that is
        rounding beside the metric is exactly 0.

    Example:
        >>> plane = fit_plane([1, 2, 1, 2], [0, 0, 8, 8], [50.0, 60.0, 54.0, 64.0])
        >>> plane.rate().round(6), plane.isoline(60.0, [0, 8]).round(6)
        (np.float64(0.05), array([2. , 1.6]))
    """
    rows = Rows(n_x, n_y, metric, better)  # type: ignore[arg-type]
    rows.require(Plane.n_params, "plane")
    design = np.c_[np.ones(len(rows.metric)), rows.n_x, rows.n_y]
    unit = np.abs(design).max(axis=0)
    intercept, *slopes = (float(v) for v in np.linalg.lstsq(design / unit, rows.metric, rcond=None)[0] / unit)
    for k, slope in enumerate(slopes, start=1):
        # the part of the counts that the other columns leave unexplained is what its slope rests on
        others = np.delete(design / unit, k, axis=1)
        own = design[:, k] - others @ np.linalg.lstsq(others, design[:, k], rcond=None)[0]
        if rows.is_rounding(slope * own):
            slopes[k - 1] = 0.0
    return Plane(intercept, slopes[0], slopes[1], rows)


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """metric = asymptote -/+ gain (n_x + exchange n_y + offset)^-power: one asymptote for x and y.

    Minus where higher is better, plus where lower is. A sample of y is worth `exchange` samples of x
    everywhere.

    Attributes:
        asymptote: metric with infinitely many samples.
        gain: >= 0, in units of the metric times samples of x to `power`.
        exchange: >= 0, samples of x per sample of y.
        offset: > 0, samples of x that the start is worth (chance, pretraining).
        power: > 0.
        rows: what it was fitted to.
    """

    asymptote: float
    gain: float
    exchange: float
    offset: float
    power: float
    rows: Rows
    n_params = 5

    def predict(self, n_x: ArrayLike, n_y: ArrayLike) -> Array:
        """The power law at these counts, which broadcast."""
        x, y = as_pair(n_x, n_y)
        samples = x + self.exchange * y + self.offset
        return (self.asymptote - self.rows.sign * self.gain * samples**-self.power)[()]

    def rate(self, n_x: ArrayLike = 0.0, n_y: ArrayLike = 0.0) -> Array:
        """The constant `exchange`; nan where samples of neither change the metric (gain 0)."""
        return np.full(as_pair(n_x, n_y)[0].shape, self.exchange if self.gain else np.nan)[()]

    def isoline(self, level: float, n_y: ArrayLike) -> Array:
        """Samples of x that reach the level: 0 where none is needed, +infinity at or beyond the asymptote."""
        gap = self.rows.sign * (self.asymptote - as_number(level, "level"))
        needed = (self.gain / gap) ** (1 / self.power) if gap > 0 else np.inf
        return np.maximum(needed - self.offset - self.exchange * as_array(n_y, "n_y"), 0.0)[()]

    @property
    def r_squared(self) -> float:
        """Share of the variance of the rows that the power law explains."""
        return self.rows.r_squared(self.predict(self.rows.n_x, self.rows.n_y))

    @property
    def aic(self) -> float:
        """Akaike's criterion; compare it with that of `Plane` on the same rows, lower is better."""
        return self.rows.aic(self.predict(self.rows.n_x, self.rows.n_y), self.n_params)


def fit_power_law(
    n_x: ArrayLike, n_y: ArrayLike, metric: ArrayLike, *, better: str = "higher", starts: int = 6
) -> PowerLaw:
    """Least-squares power law; asymptote and gain are eliminated (variable projection: Golub & Pereyra 1973).

    Bounds: power in [0.02, 8], offset between 1e-6 and 1e3 times the largest n_x, exchange between 0 and 1e4
    times max n_x / max n_y. An offset at its upper bound says that the rows do not bend: then the plane will
    do.

    Args:
        n_x: (n,) samples of x.
        n_y: (n,) samples of y.
        metric: (n,) accuracy or error.
        better: "higher" or "lower".
        starts: number of starting points, 1 to 6; fewer are faster in a `bootstrap`.

    Returns:
        The best fit over all starts. A gain that is rounding beside the metric is exactly 0.

    Raises:
        ValueError: too few rows, or counts that do not vary apart.

    Example:
        >>> n_x, n_y = (a.ravel() for a in np.meshgrid([1, 2, 4, 8, 16], [0, 4, 16, 64]))
        >>> law = fit_power_law(n_x, n_y, 90 - 60 * (n_x + 0.1 * n_y + 1.0) ** -0.7)
        >>> round(law.exchange, 4), round(law.asymptote, 2)
        (0.1, 90.0)
    """
    from scipy.optimize import least_squares

    rows = Rows(n_x, n_y, metric, better)  # type: ignore[arg-type]
    rows.require(PowerLaw.n_params, "power law")
    starts = as_whole(starts, "starts", least=1, most=6)
    top_x, top_y = rows.n_x.max(), rows.n_y.max()
    x, y = rows.n_x / top_x, rows.n_y / top_y
    size = float(np.ptp(rows.metric)) or 1.0
    target = rows.sign * (rows.metric - rows.metric.mean()) / size

    def solve(p: Array) -> tuple[Array, float, float]:
        power, offset = np.exp(p[1:])
        decay = (x + p[0] * y + offset) ** -power
        centred = decay - decay.mean()
        slope = max(0.0, -float(centred @ target) / max(float(centred @ centred), 1e-300))
        return -slope * centred - target, slope, float(decay.mean())

    low, high = np.array([0.0, np.log(0.02), np.log(1e-6)]), np.array([1e4, np.log(8.0), np.log(1e3)])
    guesses = [
        (0.3, 0.7, 0.1),
        (0.02, 0.7, 0.1),
        (5.0, 0.7, 0.1),
        (0.3, 0.2, 0.01),
        (0.3, 2.0, 1.0),
        (1.0, 1.0, 10.0),
    ]
    fits = [
        least_squares(
            lambda p: solve(p)[0], [e, np.log(p), np.log(o)], bounds=(low, high),
            x_scale=[max(e, 0.1), 1.0, 1.0], xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=300,
        )
        for e, p, o in guesses[:starts]
    ]  # fmt: skip
    best = min(fits, key=lambda f: f.cost).x
    _, slope, mean_decay = solve(best)
    power, offset = (float(v) for v in np.exp(best[1:]))
    asymptote = float(rows.metric.mean()) + rows.sign * size * slope * mean_decay
    decay = (x + best[0] * y + offset) ** -power
    gain = (
        0.0 if rows.is_rounding(size * slope * (decay - mean_decay)) else size * slope * float(top_x) ** power
    )
    return PowerLaw(asymptote, gain, float(best[0] * top_x / top_y), offset * float(top_x), power, rows)
