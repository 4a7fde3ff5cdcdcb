"""The measured rows (n_x, n_y, metric) and the questions every fitted surface answers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import UnknownNameError, as_frozen
from fisherkit.tolerances import RANGE_TOLERANCE, tolerance

__all__ = ["Rows", "Surface"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Measured rows.

    Attributes:
        n_x: (n,) samples of x, e.g. image shots.
        n_y: (n,) samples of y, e.g. text shots.
        metric: (n,) what was measured.
        better: "higher" (accuracy) or "lower" (error).

    Raises:
        ValueError: arrays of different length or none, or negative counts.
        UnknownNameError: `better` is something else.
    """

    n_x: Array
    n_y: Array
    metric: Array
    better: str = "higher"

    def __post_init__(self) -> None:
        for name in ("n_x", "n_y", "metric"):
            value = as_frozen(getattr(self, name), name, ndim=1)
            if name != "metric" and (value < 0).any():
                raise ValueError(
                    f"{name}: count {value.min():.6g} in row {int(value.argmin())}; must be >= 0"
                )
            object.__setattr__(self, name, value)
        sizes = {name: len(getattr(self, name)) for name in ("n_x", "n_y", "metric")}
        if len(set(sizes.values())) > 1 or not len(self.metric):
            raise ValueError(f"rows: n_x, n_y and metric need the same positive length, got {sizes}")
        if not isinstance(self.better, str) or self.better not in ("higher", "lower"):
            raise UnknownNameError(self.better, ("higher", "lower"), "value of better")

    @property
    def sign(self) -> float:
        """+1 where higher is better, else -1."""
        return 1.0 if self.better == "higher" else -1.0

    def cells(self) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
        """Distinct design points (c, 2), the cell of each row (n,), and rows per cell (c,)."""
        points, cell, size = np.unique(
            np.c_[self.n_x, self.n_y], axis=0, return_inverse=True, return_counts=True
        )
        return points, cell.ravel(), size

    def cell_means(self) -> Array:
        """Mean metric of each design point, (c,), in the order of `cells`."""
        _, cell, size = self.cells()
        return np.bincount(cell, self.metric) / size

    def require(self, n_params: int, model: str) -> None:
        """Raise unless there are more rows than parameters, and both counts vary apart."""
        if len(self.metric) <= n_params:
            raise ValueError(
                f"{model}: {len(self.metric)} rows for {n_params} parameters; measure more cells"
            )
        points = np.c_[self.n_x, self.n_y]
        centred = (points - points.mean(axis=0)) / np.maximum(points.max(axis=0), 1e-300)
        spread = np.linalg.svd(centred, compute_uv=False)
        if spread[-1] <= RANGE_TOLERANCE * spread[0]:
            raise ValueError(
                f"{model}: the design points lie on one line of (n_x, n_y), so the effects cannot be told "
                "apart; measure some cells with n_y changed at the same n_x"
            )

    def is_rounding(self, response: Array) -> bool:
        """Whether a response of the metric to samples is rounding beside the metric, so that there is none.

        Args:
            response: (n,) change of the fitted metric over the rows, or any vector of its length.

        Returns:
            Whether its length is at most the tolerance of three coefficients times the length of the metric.
        """
        return bool(np.linalg.norm(response) <= tolerance(3) * np.linalg.norm(self.metric))

    def r_squared(self, predicted: Array) -> float:
        """1 - residual / total sum of squares."""
        total = np.square(self.metric - self.metric.mean()).sum()
        return float(1 - np.square(self.metric - predicted).sum() / total) if total else float("nan")

    def aic(self, predicted: Array, n_params: int) -> float:
        """Akaike's criterion for Gaussian noise of unknown variance, n log(RSS / n) + 2 (k + 1)."""
        n, rss = len(self.metric), float(np.square(self.metric - predicted).sum())
        return n * float(np.log(rss / n)) + 2 * (n_params + 1) if rss else -float("inf")


class Surface(Protocol):
    """What the fitted surfaces and the theory's `ExchangeSurface` have in common."""

    def predict(self, n_x: ArrayLike, n_y: ArrayLike) -> Array:
        """The metric at these counts, which broadcast."""

    def rate(self, n_x: ArrayLike, n_y: ArrayLike) -> Array:
        """Samples of x that one sample of y replaces at these counts."""

    def isoline(self, level: float, n_y: ArrayLike) -> Array:
        """Samples of x that reach the level beside n_y of y: 0 if none is needed, +infinity if none does."""
