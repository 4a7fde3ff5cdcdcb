"""Joint confidence regions of several v'theta: ellipsoids with chi-square or F quantiles."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array
from fisherkit.intervals import satterthwaite, student_quantile
from fisherkit.spread import Spread

__all__ = ["Region", "ellipsoid"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Region:
    """The ellipsoid {x : (x - centre)' shape^+ (x - centre) <= quantile, x - centre in range(shape)}.

    Attributes:
        centre: (..., n) estimates of the v'theta.
        shape: (..., n, n), their covariance, inflated where weights were estimated; singular for dependent directions.
        quantile: (...) of chi-square with `dim` degrees of freedom, or `dim` times that of F.
        dim: number of independent directions.
        level: coverage.

    Example:
        >>> from fisherkit import LinearGaussian, Modality, Samples, fit
        >>> estimate = fit(Samples(LinearGaussian({"x": Modality(np.eye(2))}), {"x": [[1.0, 2.0]]}))
        >>> region = estimate.region(np.eye(2))
        >>> round(float(region.quantile), 3), bool(region.contains([2.0, 3.0])), bool(region.contains([4.0, 2.0]))
        (5.991, True, False)
    """

    centre: Array
    shape: Array
    quantile: Array
    dim: int
    level: float
    _to_axes: Array  # (n, dim): coordinates y = x @ to_axes along independent axes
    _from_axes: Array  # (dim, n): back
    _axes_shape: Array  # (..., dim, dim)
    _unit: Array  # (n,) standard errors at the declared noise

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether the region holds each point; of dependent directions, points off their plane are outside.

        Args:
            points: (n,) or (..., n), broadcast against the replicates.

        Returns:
            Boolean (...).

        Raises:
            ValueError: points of another length.
        """
        x = as_array(points, "points").astype(np.float64, copy=False)
        if x.ndim == 0 or x.shape[-1] != len(self._unit):
            raise ValueError(
                f"points: expected last axis {len(self._unit)}, one entry per direction, got shape {x.shape}"
            )
        gap = x - self.centre
        y = gap @ self._to_axes
        distance = (y * np.linalg.solve(self._axes_shape, y[..., None])[..., 0]).sum(axis=-1)
        unit = np.where(self._unit > 0, self._unit, 1.0)
        off = np.abs((gap - y @ self._from_axes) / unit).max(axis=-1, initial=0.0)
        size = (np.abs(x) / unit).max(axis=-1, initial=0.0) + (np.abs(self.centre) / unit).max(
            axis=-1, initial=0.0
        )
        return np.asarray((distance <= self.quantile) & (off <= 1e-6 + 1e-9 * size))


def ellipsoid(
    centre: Array,
    spread: Spread,
    u: Array,
    level: float,
    *,
    estimated: Callable[[Array], Array] | None,
    resolution: float,
) -> Region:
    """Region of several v'theta.

    For estimated noise each axis is as long as the interval of its direction says, in units of an F quantile at the
    harmonic mean of the axes' degrees of freedom: exact for one modality, and the interval itself for one direction.
    The axes are those along which two modalities are independent.

    Args:
        centre: (..., n) estimates.
        spread: weights and noise variances.
        u: (r, n) directions as W'v.
        level: coverage, in (0, 1).
        estimated: for estimated noise, half-widths (..., n) of the intervals of given directions (r, n).
        resolution: relative size from which directions are independent.

    Returns:
        The region.
    """
    from scipy import special

    lengths = np.linalg.norm(u, axis=0)
    unit = np.where(lengths > 0, lengths, 1.0)
    left, singular, right = np.linalg.svd(u / unit, full_matrices=False)
    rank = int((singular > max(1e-12, resolution) * max(1.0, singular.max(initial=0.0))).sum())
    axes, singular, right = left[:, :rank], singular[:rank, None], right[:rank]
    if estimated is not None and rank > 1:
        alone = Spread(
            spread.problem, spread.weights, spread.scale * (np.arange(spread.scale.shape[-1]) == 0)
        )
        turn = np.linalg.eigh(alone.covariance(axes).reshape(-1, rank, rank).mean(axis=0))[1]
        axes, singular_right, back = axes @ turn, (right / singular).T @ turn, turn.T @ (singular * right)
    else:
        singular_right, back = (right / singular).T, singular * right
    shape, dim = spread.covariance(axes), float(max(rank, 1))
    if estimated is None:
        quantile = np.asarray(special.chdtri(dim, 1 - level))
    else:
        parts = spread.parts(axes)
        degrees = satterthwaite(parts, spread.problem.degrees)
        longer = estimated(axes) / (student_quantile(degrees, level) * np.sqrt(parts.sum(axis=-2)))
        shape = longer[..., :, None] * shape * longer[..., None, :]
        quantile = dim * special.fdtri(dim, dim / (1 / degrees).sum(axis=-1), level)
    from_axes = back * unit
    return Region(
        centre,
        from_axes.T @ shape @ from_axes,
        quantile if rank else np.zeros(()),
        rank,
        level,
        singular_right / unit[:, None],
        from_axes,
        shape,
        lengths,
    )
