"""How a study reports: paired estimates with 95% intervals, text tables, one figure style."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from studies.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Interval",
    "error_bars",
    "figure_style",
    "geometric_interval",
    "line_style",
    "mean_interval",
    "paired_difference",
    "paired_ratio",
    "plausible_coverage",
    "save_figure",
    "table",
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
        """Whether a value lies outside the interval.

        Args:
            value: e.g. 0 for a difference, 1 for a ratio.

        Returns:
            True if it does.
        """
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
    """Mean of treated - control over repetitions that share their seeds, with 95% t interval.

    Args:
        treated: (n,).
        control: (n,), same repetitions in the same order.

    Returns:
        Interval, in the units of the values.

    Raises:
        ValueError: different lengths.
    """
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


def error_bars(estimate: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.float64]:
    """Intervals as matplotlib's ``errorbar`` takes them.

    Args:
        estimate: (n,).
        low: (n,) lower ends.
        high: (n,) upper ends.

    Returns:
        (2, n) distances from the estimates.

    Example:
        >>> error_bars([2.0], [1.5], [3.0]).tolist()
        [[0.5], [1.0]]
    """
    return np.abs(np.array([low, high], dtype=np.float64) - np.asarray(estimate, dtype=np.float64))


def _paired(treated: ArrayLike, control: ArrayLike, combine: np.ufunc) -> ArrayLike:
    a, b = np.asarray(treated, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired values must match one to one, got shapes {a.shape} and {b.shape}")
    paired: ArrayLike = combine(a, b)
    return paired


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Text table with aligned columns.

    Args:
        header: column titles.
        rows: cells; anything printable.

    Returns:
        Lines joined by newlines.

    Example:
        >>> print(table(["arm", "mse"], [["x", 0.5], ["x + y", 0.25]]))
        arm    mse
        -----  ----
        x      0.5
        x + y  0.25
    """
    lines = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )


# Okabe-Ito colours; in greyscale markers and dashes tell the curves apart.
_COLOURS = ("#000000", "#D55E00", "#0072B2", "#CC79A7", "#009E73", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))


def line_style(index: int) -> dict[str, Any]:
    """Colour, marker and dash pattern of the index-th curve, distinct in greyscale up to seven.

    Args:
        index: 0-based.

    Returns:
        Keyword arguments of ``Axes.plot``.
    """
    i = index % len(_COLOURS)
    return {"color": _COLOURS[i], "marker": _MARKERS[i], "linestyle": _DASHES[i]}


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the fonts, sizes and lines of every figure of the project, in a ``with`` block.

    Yields:
        Nothing; matplotlib's settings are restored on leaving.
    """
    import matplotlib

    settings: Any = {
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.labelsize": 9,
        "legend.fontsize": 7.5,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "lines.linewidth": 1.3,
        "lines.markersize": 4,
        "legend.frameon": False,
        "figure.dpi": 150,
        "savefig.dpi": 200,
        "figure.constrained_layout.use": True,
    }
    with matplotlib.rc_context(settings):
        yield


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, atomically, and close it.

    Args:
        figure: matplotlib figure.
        path: target, ending in .png.
    """
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomic(path, buffer.getvalue())
    plt.close(figure)
