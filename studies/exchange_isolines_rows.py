"""The numbers of the exchange study: worlds, isolines, Monte-Carlo estimates, allocations, fitted surfaces."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fisherkit as fk
from fisherkit.allocation import Allocation, allocate
from fisherkit.criteria import a_criterion, c_criterion
from fisherkit.exchange import ExchangeSurface, Isoline, exchange_rate, isoline
from fisherkit.exchange_fit import Interval as FittedRate
from fisherkit.exchange_fit import (
    LackOfFit,
    Surface,
    bootstrap,
    fit_monotone,
    fit_plane,
    fit_power_law,
    lack_of_fit,
)
from fisherkit.levels import CountCriterion
from studies.harness import Interval, seed_of

__all__ = [
    "ANGLES",
    "COSTS",
    "TRUE_RATE",
    "angle_isolines",
    "fitted_rates",
    "frontier_rows",
    "level_rows",
    "noise_rows",
    "overlap_rows",
    "price_rows",
    "share_grid",
    "three_modalities",
]

Array = NDArray[np.float64]
LEVELS = (1.0, 0.25)  # of the summed variance, in units of that of the middle point
MIDDLE = {"x": 16_000.0, "y": 1_600.0}  # many: Monte Carlo costs the same, and whole samples round off little
NOISE_RATIOS = tuple(np.geomspace(0.25, 8, 6).tolist())
ANGLES = (15.0, 30.0, 60.0, 90.0)  # degrees between what x sees and what y sees
OVERLAPS = (0.0, 30.0, 60.0, 80.0, 90.0)  # degrees between y's shared and private columns; 0 is confounded
COSTS = {"x": 1.0, "y": 20.0}  # budget units per sample
BUDGETS = tuple(np.geomspace(1_000, 1_000_000, 7).tolist())
PRICES = tuple(np.geomspace(1, 100, 41).tolist())
TRUE_RATE = 1 / 9  # of the fitted surfaces' world: the two modalities of the README, noises 1 and 3


def e14_known(noise_y: float = 0.3, attenuation: float = 0.2) -> fk.LinearGaussian:
    """E.14's dimensions with known loadings: x sees one of ten shared coordinates in full, y all of them."""
    return fk.e14_model(seed=0, attenuation=attenuation, noise_std={"x": 0.3, "y": noise_y})


def overlap_world(degrees: float) -> fk.LinearGaussian:
    """X and y see two shared parameters alike; y's private columns lie at an angle to its shared ones."""
    phi = np.deg2rad(degrees)
    seen = np.eye(6)[:, :2]
    private = np.cos(phi) * seen + np.sin(phi) * np.eye(6)[:, 2:4]
    return fk.LinearGaussian({"x": fk.Modality(seen), "y": fk.Modality(seen, private)})


def three_modalities() -> fk.LinearGaussian:
    """Three modalities, each good at one of three shared parameters, weak or blind elsewhere."""
    strengths = {"image": (3.0, 0.6, 0.0), "text": (0.4, 2.0, 0.4), "audio": (0.0, 0.5, 1.5)}
    return fk.LinearGaussian({name: fk.Modality(np.diag(s)) for name, s in strengths.items()})


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
        variance, error = measured_variance(
            world, {**other, "x": n}, directions, replicates, seed_of(*seed, i)
        )
        logs.append(np.log(variance / level))
        errors.append(error)
    slope = (logs[1] - logs[0]) / np.log(counts[1] / counts[0])
    share = logs[0] / (logs[0] - logs[1])
    middle = np.log(counts[0]) + share * np.log(counts[1] / counts[0])
    half = 1.96 * np.hypot((1 - share) * errors[0], share * errors[1]) / abs(slope)
    estimate, low, high = np.exp([middle, middle - half, middle + half]).tolist()
    return Interval(estimate, low, high, replicates)


def level_rows(replicates: int) -> tuple[list[Isoline], list[dict[str, Any]]]:
    """Isolines of the summed variance of theta_c, and measured points on them.

    Args:
        replicates: Monte-Carlo replicates per variance.

    Returns:
        Isolines, and rows with predicted and measured counts of x.
    """
    world = e14_known()
    middle = isoline(world, "A", axes=("x", "y"), through=MIDDLE).level
    lines = [isoline(world, "A", axes=("x", "y"), level=factor * middle) for factor in LEVELS]
    surface = ExchangeSurface(world, "A", ("x", "y"))
    rows = []
    for line, factor in zip(lines, LEVELS, strict=True):
        for n_y in (0, *np.geomspace(0.05, 0.8, 4) * line.y_intercept):
            y = round(n_y)
            predicted = float(surface.isoline(line.level, y))
            found = measured_count(
                world, {"y": y}, predicted, line.level, np.eye(10), replicates, (1, factor, y)
            )
            rows.append(_row("levels", factor, predicted, found) | {"n_y": y})
    return lines, rows


def noise_rows(replicates: int) -> list[dict[str, Any]]:
    """Exchange rate of y in x against y's noise: one weakly seen coordinate, and the sum over all."""
    rows = []
    for ratio in NOISE_RATIOS:
        world = e14_known(noise_y=0.3 * ratio)
        counts = {
            "x": MIDDLE["x"],
            "y": MIDDLE["y"] * ratio**2,
        }  # y's share of the information stays the same
        for label, directions in (("one coordinate", np.eye(10)[:, 1:2]), ("all coordinates", np.eye(10))):
            criterion = c_criterion(directions)
            predicted = exchange_rate(world, counts, of="y", in_="x", criterion=criterion)
            found = measured_rate(world, counts, directions, replicates, (2, ratio, directions.shape[1]))
            rows.append(_row("noise", ratio, predicted, found) | {"asked": label})
    return rows


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


def angle_isolines() -> dict[float, Isoline]:
    """Isolines of the summed variance in a plane of which x sees one line and y another, by the angle between them."""
    return {
        angle: isoline(_two_lines(angle), "A", axes=("x", "y"), level=0.02, span=1000.0) for angle in ANGLES
    }


def _two_lines(degrees: float) -> fk.LinearGaussian:
    return fk.blind_spot_model(angle=np.deg2rad(degrees), seed=1, shared_dim=2, seen=1)


def overlap_rows(replicates: int) -> list[dict[str, Any]]:
    """Exchange rate against the angle between y's shared and private columns: effective, plain and measured."""
    rows, counts = [], {"x": 200.0, "y": 200.0}
    for degrees in OVERLAPS:
        world = overlap_world(degrees)
        known = fk.LinearGaussian({"x": world["x"], "y": fk.Modality(world["y"].shared)})
        predicted = exchange_rate(world, counts, of="y", in_="x", criterion="A")
        plain = exchange_rate(known, counts, of="y", in_="x", criterion="A")
        found = measured_rate(world, counts, np.eye(2), replicates, (3, degrees))
        rows.append(_row("overlap", degrees, predicted, found) | {"plain_block": plain})
    return rows


def arms(costs: Mapping[str, float], budget: float, best: Allocation) -> dict[str, dict[str, float]]:
    """Counts that each way of spending a budget buys."""
    both = budget / sum(costs.values())
    return {
        "x only": {"x": budget / costs["x"], "y": 0.0},
        "y only": {"x": 0.0, "y": budget / costs["y"]},
        "as many of each": {"x": both, "y": both},
        "optimum": dict(best.counts),
    }


def frontier_rows(replicates: int) -> list[dict[str, Any]]:
    """Summed variance of theta_c against the budget, for four ways of spending it; measured with whole samples."""
    world, rows = e14_known(), []
    phi = CountCriterion(world, a_criterion())
    for i, budget in enumerate(BUDGETS):
        best = allocate(world, COSTS, budget=budget)
        for k, (arm, counts) in enumerate(arms(COSTS, budget, best).items()):
            whole = best.integer_counts if arm == "optimum" else {n: int(c) for n, c in counts.items()}
            assert whole is not None
            found, error = measured_variance(world, whole, np.eye(10), replicates, seed_of(4, i, k))
            rows.append(
                _row("frontier", budget, phi.value(whole), Interval(found, found * np.exp(-1.96 * error), found * np.exp(1.96 * error), replicates))
                | {"arm": arm, "certified_gap": best.gap, **{f"n_{n}": c for n, c in whole.items()}}
            )  # fmt: skip
    return rows


def price_rows() -> list[dict[str, Any]]:
    """Variance relative to the optimum against the price of y in x: what a wrong choice costs."""
    world, rows = e14_known(), []
    phi = CountCriterion(world, a_criterion())
    for price in PRICES:
        costs = {"x": 1.0, "y": price}
        best = allocate(world, costs, budget=1e5, integer=False)
        row = {arm: phi.value(counts) / best.value for arm, counts in arms(costs, 1e5, best).items()}
        rows.append({"price": price, **row, "share_spent_on_y": best.counts["y"] * price / 1e5})
    return rows


def share_grid(steps: int = 30) -> tuple[Array, Array, Allocation]:
    """Summed variance over all ways to split a budget between three modalities of equal cost, relative to the best.

    Args:
        steps: intervals per edge of the triangle.

    Returns:
        (n, 3) shares of the budget, (n,) variance relative to the optimum, and the optimum.
    """
    world = three_modalities()
    best = allocate(world, 1.0, budget=1.0, integer=False)
    phi = CountCriterion(world, a_criterion())
    shares = np.array([
        (i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)
    ]) / steps  # fmt: skip
    values = [phi.value(dict(zip(world.names, share, strict=True))) for share in shares]
    return shares, np.array(values) / best.value, best


def fitted_rates(replicates: int, seed: int = 0) -> tuple[dict[str, FittedRate], LackOfFit, LackOfFit]:
    """Rates from measured errors of a world whose rate is known, by three surfaces, with bootstrap intervals.

    Rows are root mean squared errors of 100 joint fits, eight at each of 20 pairs of counts.

    Args:
        replicates: bootstrap replicates.
        seed: of data and bootstrap.

    Returns:
        Rate by surface, and the lack-of-fit tests of the plane and of the power law.
    """
    world = fk.LinearGaussian({"x": fk.Modality(np.eye(1)), "y": fk.Modality(np.eye(1), noise_std=3.0)})
    n_x, n_y, errors = [], [], []
    for i, x in enumerate((8, 16, 32, 64, 128)):
        for j, y in enumerate((0, 72, 288, 1152)):
            for r in range(8):
                drawn = fk.simulate_statistics(
                    world, {"x": x, "y": y}, seed=seed_of(5, seed, i, j, r), theta=[0.0], replicates=100
                )
                n_x.append(x)
                n_y.append(y)
                errors.append(float(np.sqrt(np.square(fk.fit(drawn).theta).mean())))
    rates = {}
    fits: dict[str, Callable[..., Surface]] = {
        "plane": fit_plane,
        "power law": fit_power_law,
        "monotone": fit_monotone,
    }
    for name, fitted in fits.items():
        count = replicates if name != "monotone" else max(40, replicates // 10)
        rates[name] = bootstrap(
            fitted, n_x, n_y, errors, seed=seed, better="lower", at=(32, 288), replicates=count
        )
    tests = [lack_of_fit(f(n_x, n_y, errors, better="lower")) for f in (fit_plane, fit_power_law)]
    return rates, tests[0], tests[1]


def _row(panel: str, setting: float, predicted: float, found: Interval) -> dict[str, Any]:
    return {
        "panel": panel,
        "setting": setting,
        "predicted": predicted,
        "measured": float(found.estimate),
        "low": float(found.low),
        "high": float(found.high),
    }
