"""How sure a measured rate is, whether a surface describes the rows at all, and a rate said in words."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_fraction, as_number, as_seed, as_whole, check_function
from fisherkit.exchange_fit.parametric import Plane, PowerLaw
from fisherkit.exchange_fit.rows import Rows, Surface
from fisherkit.streams import Seed

__all__ = ["Interval", "LackOfFit", "bootstrap", "describe", "lack_of_fit", "words"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Interval:
    """A rate with its percentile interval.

    Attributes:
        estimate: rate of the fit to the rows themselves, samples of x per sample of y.
        low: lower end.
        high: upper end, +infinity where the rows do not rule out that x is worth nothing.
        level: nominal coverage.
        draws: (replicates - failed,) rates of the bootstrap fits, sorted.
        failed: replicates whose fit was impossible or whose rate was undefined; they are left out.
    """

    estimate: float
    low: float
    high: float
    level: float
    draws: Array
    failed: int

    def __repr__(self) -> str:
        lost = f", {self.failed} replicates failed" if self.failed else ""
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}] ({100 * self.level:.6g}%{lost})"


def bootstrap(
    fit_function: Callable[..., Surface],
    n_x: ArrayLike,
    n_y: ArrayLike,
    metric: ArrayLike,
    *,
    seed: Seed,
    better: str = "higher",
    at: tuple[float, float] | None = None,
    groups: ArrayLike | None = None,
    replicates: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of the exchange rate of a fitted surface (Davison & Hinkley 1997, ch. 5).

    Without groups, rows are drawn with replacement within each design point. With groups, whole groups are
    drawn: give the training seed of each row where one seed was used at all design points, so that what its
    cells have in common stays together. Deviations from the mean of a design point are enlarged by sqrt(m /
    (m - 1)), m rows of the point or m groups, since m of them spread less than the population does. Few
    groups still make it too short: with ten, a nominal 95% interval of a plane's rate covers about 91%.

    Args:
        fit_function: `fit_plane`, `fit_power_law`, `fit_monotone`, or anything called like them.
        n_x: (n,) samples of x.
        n_y: (n,) samples of y.
        metric: (n,) accuracy or error.
        seed: whole number, SeedSequence or Generator.
        better: "higher" or "lower".
        at: counts (n_x, n_y) where the rate is asked for; default the medians of the rows.
        groups: (n,) labels of clusters, e.g. seeds.
        replicates: number of bootstrap fits.
        level: nominal coverage in (0, 1).

    Returns:
        The interval.

    Raises:
        TypeError: groups that cannot be compared.
        ValueError: no design point is replicated and there are no groups, fewer than two groups, a bad
            option, or more than a tenth of the fits failed.

    Example:
        >>> from fisherkit.exchange_fit import fit_plane
        >>> rng = np.random.default_rng(0)
        >>> n_x, n_y = (np.repeat(a, 10) for a in ([1, 1, 4, 4], [0, 8, 0, 8]))
        >>> accuracy = 50 + 2 * n_x + 0.5 * n_y + 0.5 * rng.standard_normal(40)
        >>> bootstrap(fit_plane, n_x, n_y, accuracy, seed=1, replicates=200)
        0.2386 [0.2185, 0.2586] (95%)
    """
    level, replicates = as_fraction(level, "level"), as_whole(replicates, "replicates", least=0)
    check_function(fit_function, "fit_function")
    least = int(np.ceil(round(2 / (1 - level), 6))) - 1  # one draw beyond each end
    if replicates < max(10, least):
        raise ValueError(
            f"replicates: an interval of level {level:g} has its ends among the extreme draws and needs at least "
            f"{max(10, least)}, got {replicates}"
        )
    rows = Rows(n_x, n_y, metric, better)  # type: ignore[arg-type]
    where = np.array([np.median(rows.n_x), np.median(rows.n_y)] if at is None else as_array(at, "at", ndim=1))
    if where.shape != (2,) or (where < 0).any():
        raise ValueError(f"at: expected two counts (n_x, n_y) >= 0, got {at!r}")
    _, cell, size = rows.cells()
    means = rows.cell_means()[cell]
    off = rows.metric - means
    if groups is None:
        if size.max() == 1:
            raise ValueError(
                "bootstrap: no design point (n_x, n_y) has two rows, so nothing says how noisy they are; "
                "repeat cells with other seeds"
            )
        blocks = [np.flatnonzero(cell == c) for c in range(len(size))]
        enlarge = np.sqrt(size / np.maximum(size - 1, 1))[cell]
    else:
        labels = _as_labels(groups)
        if labels.shape != rows.metric.shape:
            raise ValueError(
                f"groups: expected one label for each of {len(means)} rows, got shape {labels.shape}"
            )
        blocks = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        if len(blocks) < 2:
            raise ValueError("groups: fewer than two groups; a single seed cannot tell how much seeds differ")
        enlarge = np.full(len(means), np.sqrt(len(blocks) / (len(blocks) - 1)))
    resampled = means + enlarge * off
    rng = as_seed(seed)
    draws, failed = [], 0
    for _ in range(replicates):
        if groups is None:
            chosen = np.concatenate([rng.choice(block, len(block)) for block in blocks])
        else:
            chosen = np.concatenate([blocks[i] for i in rng.integers(len(blocks), size=len(blocks))])
        try:
            surface = fit_function(rows.n_x[chosen], rows.n_y[chosen], resampled[chosen], better=better)
            rate = float(surface.rate(*where))
        except ValueError:  # e.g. the groups drawn leave the design points on a line
            rate = float("nan")
        failed += bool(np.isnan(rate))
        draws.append(rate)
    if failed > replicates / 10:
        raise ValueError(
            f"bootstrap: {failed} of {replicates} fits failed or had no rate; measure more cells or seeds"
        )
    kept = np.sort([rate for rate in draws if not np.isnan(rate)])
    tail = max(0, int((len(kept) + 1) * (1 - level) / 2) - 1)  # order statistics: infinities stay exact
    estimate = float(fit_function(rows.n_x, rows.n_y, rows.metric, better=better).rate(*where))
    return Interval(estimate, float(kept[tail]), float(kept[-1 - tail]), level, kept, failed)


@dataclass(frozen=True, eq=False, repr=False)
class LackOfFit:
    """Whether a surface's misfit of the design points is more than the noise within them.

    Attributes:
        statistic: F, mean square of the misfit over mean square of pure error.
        p_value: probability of a larger F if the surface were right.
        df_misfit: design points minus parameters.
        df_error: rows minus design points.
        misfit: root mean square distance of design-point means from the surface, units of the metric.
        noise: standard deviation of a row around its design point's mean, units of the metric.
        rejected: whether p_value is below the significance asked for.
        verdict: the same in a sentence.
    """

    statistic: float
    p_value: float
    df_misfit: int
    df_error: int
    misfit: float
    noise: float
    rejected: bool
    verdict: str

    def __repr__(self) -> str:
        test = f"F({self.df_misfit}, {self.df_error}) = {self.statistic:.3g}, p = {self.p_value:.3g}"
        return f"{test}: {self.verdict}"


def lack_of_fit(surface: Plane | PowerLaw, *, significance: float = 0.05) -> LackOfFit:
    """Classical lack-of-fit F test with replicated design points (Draper & Smith 1998, section 2.1).

    Exact for the plane with independent Gaussian noise; large-sample for the power law. Where one seed was
    used at all design points, what its rows have in common counts as noise, and the test is cautious.

    Args:
        surface: a fitted plane or power law.
        significance: probability of rejecting a surface that is right.

    Returns:
        The test with a verdict in words.

    Raises:
        TypeError: a surface without a fixed number of parameters.
        ValueError: no replicated design point, not more design points than parameters, or a bad significance.

    Example:
        >>> from fisherkit.exchange_fit import fit_plane
        >>> n_x, n_y = (np.repeat(a.ravel(), 2) for a in np.meshgrid([1, 4, 16], [0, 8, 64]))
        >>> accuracy = 90 - 50 / np.sqrt(1 + n_x + n_y / 8) + np.tile([-0.5, 0.5], 9)
        >>> test = lack_of_fit(fit_plane(n_x, n_y, accuracy))
        >>> print(test)
        F(6, 9) = 82.9, p = 2.3e-07: plane is a bad description: its typical misfit of 3.7 is 5.3 times the
        noise of 0.71; its rate is an average over a bend
    """
    from scipy.stats import f

    significance = as_fraction(significance, "significance")
    if not isinstance(surface, Plane | PowerLaw):
        raise TypeError(
            f"lack_of_fit: surface: needs a plane or a power law, got {type(surface).__name__}; a monotone surface "
            "has no fixed number of parameters"
        )
    rows, name = surface.rows, "plane" if isinstance(surface, Plane) else "power law"
    points, cell, size = rows.cells()
    df_error, df_misfit = len(rows.metric) - len(points), len(points) - surface.n_params
    if df_error < 1:
        raise ValueError(
            "lack_of_fit: no design point (n_x, n_y) has two rows, so noise cannot be told from misfit; "
            "repeat cells with other seeds"
        )
    if df_misfit < 1:
        raise ValueError(
            f"lack_of_fit: {len(points)} design points for the {surface.n_params} parameters of a {name}; "
            "measure more"
        )
    means = rows.cell_means()
    error = float(np.square(rows.metric - means[cell]).sum())
    gap = means - surface.predict(points[:, 0], points[:, 1])
    excess = float((size * np.square(gap)).sum())
    rounding = 1e-24 * float(np.square(rows.metric).sum())
    if excess <= rounding:
        statistic = 0.0
    else:
        statistic = excess / df_misfit / (error / df_error) if error > rounding else float("inf")
    p = float(f.sf(statistic, df_misfit, df_error))
    misfit, noise = float(np.sqrt(excess / len(rows.metric))), float(np.sqrt(error / df_error))
    times = f"{misfit / noise:.2g} times the noise of {noise:.2g}" if noise else "on rows without noise"
    if p < significance:
        cause = "an average over a bend" if name == "plane" else "a compromise"
        verdict = (
            f"{name} is a bad description: its typical misfit of {misfit:.2g} is {times}; its rate is {cause}"
        )
    else:
        verdict = (
            f"no lack of fit found: misfit of {misfit:.2g} is {times}, as expected of a {name} that is right"
        )
    return LackOfFit(statistic, p, df_misfit, df_error, misfit, noise, p < significance, verdict)


def words(rate: float, words_per_text: float) -> float:
    """How many words one image is worth: words_per_text / rate (Gupta et al. 2025, Figures 8 and 9).

    Args:
        rate: images per text.
        words_per_text: mean number of words of a text, > 0.

    Returns:
        Words per image; +infinity where texts are worth nothing or less, 0 where only they are worth
        something.

    Raises:
        ValueError: words_per_text not positive and finite.

    Example:
        >>> words(0.05, 11.4)
        228.0
    """
    count, rate = as_number(words_per_text, "words_per_text"), as_number(rate, "rate", finite=False)
    if count <= 0:
        raise ValueError(f"words_per_text: must be positive, got {count:.6g}")
    if np.isnan(rate):
        return float("nan")
    return count / float(rate) if rate > 0 else float("inf")


def describe(
    rate: "float | Interval", words_per_text: float, *, x: str = "image", unit: str = "words"
) -> str:
    """The rate as the paper says it, with its interval where there is one.

    Args:
        rate: images per text, or a bootstrap interval of it.
        words_per_text: mean number of words of a text; 1 to count texts.
        x: what is priced.
        unit: in what.

    Returns:
        One line.

    Example:
        >>> describe(0.05, 11.4)
        '1 image = 228 words'
        >>> describe(Interval(0.05, 0.038, 0.0633, 0.95, np.zeros(0), 0), 11.4)
        '1 image = 228 words [180, 300]'
    """
    centre = rate.estimate if isinstance(rate, Interval) else rate
    text = f"1 {x} = {_number(words(centre, words_per_text))} {unit}"
    if isinstance(rate, Interval):
        low, high = (_number(words(end, words_per_text)) for end in (rate.high, rate.low))
        text += f" [{low}, {high}]"
    return text


def _as_labels(groups: ArrayLike) -> NDArray:
    """Labels of clusters that can be compared."""
    try:
        labels = np.asarray(groups)
        np.unique(labels)
    except Exception as error:
        raise TypeError(f"groups: expected one label of one kind for each row ({error})") from error
    return labels


def _number(value: float) -> str:
    return f"{value:.0f}" if not np.isfinite(value) or value >= 100 else f"{value:.3g}"
