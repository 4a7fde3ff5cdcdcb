"""The surface about which nothing is assumed but that samples do not hurt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_number, as_pair
from fisherkit.exchange_fit.rows import Rows

__all__ = ["Monotone", "fit_monotone"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Monotone:
    """The best fit that never gets worse with more samples of x or y; bilinear between the measured counts.

    Outside the measured counts it is constant: nothing is extrapolated.

    Attributes:
        x: (a,) measured counts of x, rising.
        y: (b,) measured counts of y, rising.
        values: (a, b) fitted metric on that grid; cells that were not measured lie halfway between what the
            others allow.
        rows: what it was fitted to.
    """

    x: Array
    y: Array
    values: Array
    rows: Rows

    def _at(self, n_y: float) -> Array:
        """Fitted values over `x` at n_y, oriented so that higher is better."""
        return self.rows.sign * np.array([np.interp(n_y, self.y, line) for line in self.values])

    def predict(self, n_x: ArrayLike, n_y: ArrayLike) -> Array:
        """The fitted surface at these counts, which broadcast."""
        one = np.vectorize(lambda a, b: self.rows.sign * np.interp(a, self.x, self._at(b)), otypes=[float])
        return one(*as_pair(n_x, n_y))[()]

    def rate(self, n_x: ArrayLike, n_y: ArrayLike) -> Array:
        """Finite exchange with the neighbouring measured count of y, per sample of y.

        Args:
            n_x: counts of x.
            n_y: counts of y; the two broadcast.

        Returns:
            Extra x that replaces y down to the next smaller measured count (at the smallest: x saved by going
            to the next larger one). +infinity where no measured number of x makes up for it; nan where the
            fitted metric is the same everywhere, so that neither is worth anything.
        """

        def one(a: float, b: float) -> float:
            if self.rows.is_rounding(self.values - self.values.mean()):
                return float("nan")
            level = float(self.predict(a, b))
            below = self.y[self.y < b]
            if below.size:
                return max(0.0, float(self.isoline(level, below[-1])) - a) / (b - below[-1])
            above = self.y[self.y > b][0]
            return max(0.0, a - float(self.isoline(level, above))) / (above - b)

        return np.vectorize(one, otypes=[float])(*as_pair(n_x, n_y))[()]

    def isoline(self, level: float, n_y: ArrayLike) -> Array:
        """Least x that reaches the level, between the measured ones; +infinity where the largest does not."""
        target = self.rows.sign * as_number(level, "level")

        def one(b: float) -> float:
            line = self._at(b)
            reached = np.flatnonzero(line >= target - 1e-12 * np.abs(self.values).max())
            if not reached.size:
                return float("inf")
            i = int(reached[0])
            if not i:
                return float(self.x[0])
            part = (target - line[i - 1]) / (line[i] - line[i - 1])
            return float(self.x[i - 1] + min(part, 1.0) * (self.x[i] - self.x[i - 1]))

        return np.vectorize(one, otypes=[float])(as_array(n_y, "n_y"))[()]

    @property
    def r_squared(self) -> float:
        """Share of the variance of the rows that the surface explains."""
        return self.rows.r_squared(self.predict(self.rows.n_x, self.rows.n_y))


def fit_monotone(n_x: ArrayLike, n_y: ArrayLike, metric: ArrayLike, *, better: str = "higher") -> Monotone:
    """Isotonic regression in both counts (Barlow et al. 1972): least squares among all monotone surfaces.

    Solved exactly through its dual, a nonnegative least-squares problem with one multiplier per pair of
    neighbouring cells (an active-set method, so monotone data come back unchanged).

    Args:
        n_x: (n,) samples of x.
        n_y: (n,) samples of y.
        metric: (n,) accuracy or error.
        better: "higher" or "lower".

    Returns:
        The surface.

    Raises:
        ValueError: counts that do not vary apart.

    Example:
        >>> surface = fit_monotone([1, 2, 4, 1, 2, 4], [0, 0, 0, 8, 8, 8], [50, 61, 60, 54, 64, 66])
        >>> surface.predict([1, 4], 0), surface.isoline(54.0, [0, 8]).round(3), surface.rate(1, 8).round(4)
        (array([50. , 60.5]), array([1.381, 1.   ]), np.float64(0.0476))
    """
    from scipy.optimize import nnls

    rows = Rows(n_x, n_y, metric, better)  # type: ignore[arg-type]
    rows.require(3, "monotone surface")
    points, _, size = rows.cells()
    values = rows.sign * rows.cell_means()
    below = (points[:, None] <= points).all(axis=2) & ~np.eye(len(points), dtype=bool)
    lower, upper = np.nonzero(below & ~(below.astype(float) @ below > 0))  # no third cell in between
    if (values[upper] < values[lower]).any():
        half = np.sqrt(size)
        dual = np.zeros((len(points), len(lower)))
        dual[lower, np.arange(len(lower))] = -1.0
        dual[upper, np.arange(len(lower))] = 1.0
        spread = float(np.ptp(values))
        multipliers = nnls(
            dual / half[:, None], -half * (values - values.mean()) / spread, maxiter=100 * len(lower)
        )[0]
        values = values + spread * (dual @ multipliers) / size
        for i in np.argsort(points.sum(axis=1)):  # rounding: neighbours that should be equal
            values[i] = values[below[:, i]].max(initial=values[i])
    x, y = np.unique(points[:, 0]), np.unique(points[:, 1])
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)[:, :, None]  # (a, b, 1, 2)
    at_least = np.where((points <= grid).all(axis=3), values, values.min()).max(axis=2)
    at_most = np.where((points >= grid).all(axis=3), values, values.max()).min(axis=2)
    return Monotone(x, y, rows.sign * (at_least + at_most) / 2, rows)
