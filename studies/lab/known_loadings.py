"""Worlds with known loadings, and Monte-Carlo estimates beside what Fisher information predicts there.

A point is a row with its `panel`, `predicted` and `measured` with the latter's 95% interval `low`, `high`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

import fisherkit as fk
from neural.results.cells import seed_of
from neural.results.figures import error_bars, place_style
from neural.results.intervals import Interval

__all__ = [
    "coverage",
    "coverage_text",
    "draw_curves",
    "draw_measured",
    "known_loading_world",
    "measured_count",
    "measured_rate",
    "measured_variance",
]

Array = NDArray[np.float64]


def known_loading_world(attenuation: float = 0.2, noise_y: float = 0.3) -> fk.LinearGaussian:
    """E.14's dimensions with known loadings: x sees one of ten shared coordinates in full, y all of them."""
    return fk.e14_model(seed=0, attenuation=attenuation, noise_std={"x": 0.3, "y": noise_y})


def measured_variance(
    world: fk.LinearGaussian,
    counts: Mapping[str, int],
    directions: Array,
    replicates: int,
    seed: np.random.SeedSequence,
) -> tuple[float, float]:
    """Summed Monte-Carlo variance of fits along the directions, and the standard error of its logarithm."""
    fits = fk.fit(fk.simulate_statistics(world, counts, seed=seed, replicates=replicates))
    spread = np.atleast_2d(np.cov(fits.shared @ directions, rowvar=False))
    total = float(np.trace(spread))
    return total, float(np.sqrt(2 * np.square(spread).sum() / (replicates - 1)) / total)


def measured_count(
    world: fk.LinearGaussian,
    other: Mapping[str, int],
    guess: float,
    level: float,
    directions: Array,
    replicates: int,
    seed: tuple[float, ...],
) -> Interval:
    """Samples of x at which the Monte-Carlo variance reaches the level, by interpolating between two counts."""
    counts = [max(1, round(guess * factor)) for factor in (0.9, 1.1)]
    logs, errors = [], []
    for i, n in enumerate(counts):
        at = {**other, "x": n}
        variance, error = measured_variance(world, at, directions, replicates, seed_of(*seed, i))
        logs.append(np.log(variance / level))
        errors.append(error)
    slope = (logs[1] - logs[0]) / np.log(counts[1] / counts[0])
    share = logs[0] / (logs[0] - logs[1])
    middle = np.log(counts[0]) + share * np.log(counts[1] / counts[0])
    half = 1.96 * np.hypot((1 - share) * errors[0], share * errors[1]) / abs(slope)
    estimate, low, high = np.exp([middle, middle - half, middle + half]).tolist()
    return Interval(estimate, low, high, replicates)


def measured_rate(
    world: fk.LinearGaussian,
    counts: Mapping[str, float],
    directions: Array,
    replicates: int,
    seed: tuple[float, ...],
) -> Interval:
    """Ratio of the marginal values of y and x from Monte-Carlo variances a quarter above and below the counts."""
    slopes, errors = {}, {}
    for k, name in enumerate(("x", "y")):
        logs, squares = [], 0.0
        for i, factor in enumerate((0.8, 1.25)):
            at = {n: round(c * (factor if n == name else 1.0)) for n, c in counts.items()}
            variance, error = measured_variance(world, at, directions, replicates, seed_of(*seed, k, i))
            logs.append(np.log(variance))
            squares += error**2
        # d log V / d log n over the bracket, turned into a marginal value by V / n, which cancels V in the ratio
        width = np.log(1.25 / 0.8) * counts[name]
        slopes[name], errors[name] = (logs[0] - logs[1]) / width, np.sqrt(squares) / width
    ratio = slopes["y"] / slopes["x"]
    half = 1.96 * np.hypot(errors["y"], ratio * errors["x"]) / slopes["x"]
    return Interval(ratio, ratio - half, ratio + half, replicates)


def coverage(points: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Panel by panel, how many intervals contain the prediction, and of how many."""
    inside = (points["low"] <= points["predicted"]) & (points["predicted"] <= points["high"])
    return {
        panel: (int(part.sum()), len(part)) for panel, part in inside.groupby(points["panel"], sort=False)
    }


def coverage_text(counts: Mapping[str, tuple[int, int]], *, good: bool) -> str:
    """Whether the predictions hold, and the counts behind that."""
    tally = ", ".join(f"{panel} {inside} of {total}" for panel, (inside, total) in counts.items())
    return f"Fisher prediction {'holds' if good else 'FAILS'}: inside the 95% interval for {tally}."


def draw_measured(
    ax: Axes, where: ArrayLike, points: pd.DataFrame, style: Mapping[str, Any], label: str | None = None
) -> None:
    """Measured values with their intervals."""
    bars = error_bars(points["measured"], points["low"], points["high"])
    look = {"fmt": style["marker"], "color": style["color"], "capsize": 2, "label": label}
    ax.errorbar(where, points["measured"], bars, **look)


def draw_curves(
    ax: Axes,
    points: pd.DataFrame,
    x: str,
    hue: str,
    *,
    beside: float = 0.0,
    predicted: str = "",
    measured: str | None = None,
) -> None:
    """Predictions as lines and measured values on them, a curve per entry of `hue`, set apart by a share `beside` of x."""
    curves = list(points.groupby(hue, sort=False))
    for i, (entry, part) in enumerate(curves):
        style = place_style(i)
        ax.plot(part[x], part["predicted"], **(style | {"marker": ""}), label=f"{entry}{predicted}")
        where = part[x] * (1 + beside * (i - (len(curves) - 1) / 2))
        draw_measured(ax, where, part, style, measured)
