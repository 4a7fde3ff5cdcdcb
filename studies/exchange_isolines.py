"""What one sample is worth: isolines, exchange rates and the best way to spend a budget, predicted and measured.

    python studies/exchange_isolines.py            # half a minute on one core
    python studies/exchange_isolines.py --quick    # a tenth of the Monte-Carlo replicates

Lines are closed-form (`fisherkit.exchange`, `fisherkit.allocation`), dots are variances of simulated maximum-likelihood
fits with 95% intervals. Known loadings, fixed theta (Gupta et al. 2025, section 3.1). The paper reads its exchange rate
off a plane fitted to accuracies; panel (h) does that where the true rate is known.

Writes exchange_isolines.png, .csv (every point with its prediction) and .json.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fisherkit as fk
from fisherkit import exchange_fit, plots
from fisherkit.allocation import Allocation, allocate
from fisherkit.criteria import a_criterion, c_criterion
from fisherkit.exchange import ExchangeSurface, Isoline, exchange_rate, isoline
from fisherkit.levels import CountCriterion
from neural.results.cells import seed_of
from neural.results.figures import error_bars, figure_style, place_style, save_figure
from neural.results.intervals import Interval, plausible_coverage
from neural.results.table import write_table
from neural.results.text import text_table
from studies.lab import known_loadings
from studies.lab.options import command_parser, parsed, run_study
from studies.lab.outputs import write_summary

NAME = "exchange_isolines"
SURFACES: dict[str, Callable[..., Any]] = {
    "plane": exchange_fit.fit_plane,
    "power law": exchange_fit.fit_power_law,
    "monotone": exchange_fit.fit_monotone,
}
LEVELS = (1.0, 0.25)  # of the summed variance, in units of that of the middle point
MIDDLE = {"x": 16_000.0, "y": 1_600.0}  # many: Monte Carlo costs the same, and whole samples round off little
NOISE_RATIOS = tuple(np.geomspace(0.25, 8, 6).tolist())
ANGLES = (15.0, 30.0, 60.0, 90.0)  # degrees between what x sees and what y sees
OVERLAPS = (0.0, 30.0, 60.0, 80.0, 90.0)  # degrees between y's shared and private columns; 0 is confounded
COSTS = {"x": 1.0, "y": 20.0}  # budget units per sample
BUDGETS = tuple(np.geomspace(1_000, 1_000_000, 7).tolist())
PRICES = tuple(np.geomspace(1, 100, 41).tolist())
TRUE_RATE = 1 / 9  # of the fitted surfaces' world: the two modalities of the README, noises 1 and 3


# ---------------------------------------------------------------- the points


def level_rows(replicates: int) -> tuple[list[Isoline], list[dict[str, Any]]]:
    """Isolines of the summed variance of theta_c, and measured points on them: counts of x."""
    world, all_ten = known_loadings.known_loading_world(), np.eye(10)
    middle = isoline(world, "A", axes=("x", "y"), through=MIDDLE).level
    lines = [isoline(world, "A", axes=("x", "y"), level=factor * middle) for factor in LEVELS]
    surface = ExchangeSurface(world, "A", ("x", "y"))
    rows = []
    for line, factor in zip(lines, LEVELS, strict=True):
        for n_y in (0, *np.geomspace(0.05, 0.8, 4) * line.y_intercept):
            y = round(n_y)
            predicted = float(surface.isoline(line.level, y))
            place = ({"y": y}, predicted, line.level, all_ten, replicates, (1, factor, y))
            found = known_loadings.measured_count(world, *place)
            rows.append(_row("levels", factor, predicted, found) | {"n_y": y})
    return lines, rows


def noise_rows(replicates: int) -> list[dict[str, Any]]:
    """Exchange rate of y in x against y's noise: one weakly seen coordinate, and the sum over all."""
    rows = []
    for ratio in NOISE_RATIOS:
        world = known_loadings.known_loading_world(noise_y=0.3 * ratio)
        # y's share of the information stays the same
        counts = {"x": MIDDLE["x"], "y": MIDDLE["y"] * ratio**2}
        for label, directions in (("one coordinate", np.eye(10)[:, 1:2]), ("all coordinates", np.eye(10))):
            criterion = c_criterion(directions)
            predicted = exchange_rate(world, counts, of="y", in_="x", criterion=criterion)
            seed = (2, ratio, directions.shape[1])
            found = known_loadings.measured_rate(world, counts, directions, replicates, seed)
            rows.append(_row("noise", ratio, predicted, found) | {"asked": label})
    return rows


def angle_isolines() -> dict[float, Isoline]:
    """Isolines of the summed variance in a plane of which x sees one line and y another, by the angle between them."""
    lines = {}
    for angle in ANGLES:
        world = fk.blind_spot_model(angle=np.deg2rad(angle), seed=1, shared_dim=2, seen=1)
        lines[angle] = isoline(world, "A", axes=("x", "y"), level=0.02, span=1000.0)
    return lines


def overlap_rows(replicates: int) -> list[dict[str, Any]]:
    """Exchange rate against the angle between y's shared and private columns: effective, plain and measured."""
    rows, counts, seen = [], {"x": 200.0, "y": 200.0}, np.eye(6)[:, :2]
    for degrees in OVERLAPS:
        phi = np.deg2rad(degrees)
        private = np.cos(phi) * seen + np.sin(phi) * np.eye(6)[:, 2:4]
        world = fk.LinearGaussian({"x": fk.Modality(seen), "y": fk.Modality(seen, private)})
        known = fk.LinearGaussian({"x": fk.Modality(seen), "y": fk.Modality(seen)})
        predicted = exchange_rate(world, counts, of="y", in_="x", criterion="A")
        plain = exchange_rate(known, counts, of="y", in_="x", criterion="A")
        found = known_loadings.measured_rate(world, counts, np.eye(2), replicates, (3, degrees))
        rows.append(_row("overlap", degrees, predicted, found) | {"plain_block": plain})
    return rows


def _arms(costs: Mapping[str, float], budget: float, best: Allocation) -> dict[str, dict[str, float]]:
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
    world, rows = known_loadings.known_loading_world(), []
    phi = CountCriterion(world, a_criterion())
    for i, budget in enumerate(BUDGETS):
        best = allocate(world, COSTS, budget=budget)
        for k, (arm, counts) in enumerate(_arms(COSTS, budget, best).items()):
            whole = best.integer_counts if arm == "optimum" else {n: int(c) for n, c in counts.items()}
            assert whole is not None
            seed = seed_of(4, i, k)
            found, error = known_loadings.measured_variance(world, whole, np.eye(10), replicates, seed)
            ends = found * np.exp(-1.96 * error), found * np.exp(1.96 * error)
            row = _row("frontier", budget, phi.value(whole), Interval(found, *ends, replicates))
            bought = {f"n_{n}": c for n, c in whole.items()}
            rows.append(row | {"arm": arm, "certified_gap": best.gap} | bought)
    return rows


def price_rows() -> list[dict[str, Any]]:
    """Variance relative to the optimum against the price of y in x: what a wrong choice costs."""
    world, rows = known_loadings.known_loading_world(), []
    phi = CountCriterion(world, a_criterion())
    for price in PRICES:
        costs = {"x": 1.0, "y": price}
        best = allocate(world, costs, budget=1e5, integer=False)
        row = {arm: phi.value(counts) / best.value for arm, counts in _arms(costs, 1e5, best).items()}
        rows.append({"price": price, **row, "share_spent_on_y": best.counts["y"] * price / 1e5})
    return rows


def three_modalities() -> fk.LinearGaussian:
    """Three modalities, each good at one of three shared parameters, weak or blind elsewhere."""
    strengths = {"image": (3.0, 0.6, 0.0), "text": (0.4, 2.0, 0.4), "audio": (0.0, 0.5, 1.5)}
    return fk.LinearGaussian({name: fk.Modality(np.diag(s)) for name, s in strengths.items()})


def share_grid(steps: int = 30) -> tuple[NDArray[np.float64], NDArray[np.float64], Allocation]:
    """Shares (n, 3) of a budget for three modalities of equal cost, (n,) variances over the optimum's, the optimum."""
    world = three_modalities()
    best = allocate(world, 1.0, budget=1.0, integer=False)
    phi = CountCriterion(world, a_criterion())
    corner = [(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    shares = np.array(corner) / steps
    values = [phi.value(dict(zip(world.names, share, strict=True))) for share in shares]
    return shares, np.array(values) / best.value, best


def fitted_rates(
    replicates: int, seed: int = 0
) -> tuple[dict[str, exchange_fit.Interval], dict[str, exchange_fit.LackOfFit]]:
    """Rates with bootstrap intervals, and lack-of-fit tests, by surface, from errors of a world whose rate is known."""
    world = fk.LinearGaussian({"x": fk.Modality(np.eye(1)), "y": fk.Modality(np.eye(1), noise_std=3.0)})
    rows = []  # root mean squared errors of 100 joint fits, eight at each of 20 pairs of counts
    for i, x in enumerate((8, 16, 32, 64, 128)):
        for j, y in enumerate((0, 72, 288, 1152)):
            for r in range(8):
                at, key = {"x": x, "y": y}, seed_of(5, seed, i, j, r)
                drawn = fk.simulate_statistics(world, at, seed=key, theta=[0.0], replicates=100)
                rows.append((x, y, float(np.sqrt(np.square(fk.fit(drawn).theta).mean()))))
    data = tuple(zip(*rows, strict=True))
    rates, tests = {}, {}
    for name, fitted in SURFACES.items():
        count = replicates if name != "monotone" else max(40, replicates // 10)
        rates[name] = exchange_fit.bootstrap(
            fitted, *data, seed=seed, better="lower", at=(32, 288), replicates=count
        )
        if name != "monotone":
            tests[name] = exchange_fit.lack_of_fit(fitted(*data, better="lower"))
    return rates, tests


def _row(panel: str, setting: float, predicted: float, found: Interval) -> dict[str, Any]:
    measured = {"measured": float(found.estimate), "low": float(found.low), "high": float(found.high)}
    return {"panel": panel, "setting": setting, "predicted": predicted} | measured


# ---------------------------------------------------------------- figure


def _draw_levels(ax: Axes, lines: Sequence[Isoline], rows: pd.DataFrame) -> None:
    """Isolines of the summed variance with measured points on them."""
    plots.isolines(ax, {f"summed variance {line.level:.2g}": line for line in lines})
    known_loadings.draw_measured(ax, rows.n_y, rows, place_style(0), "measured")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_title("(a) Isolines: same precision of theta_c", loc="left")
    ax.legend()


def _draw_noise(ax: Axes, rows: pd.DataFrame) -> None:
    """Exchange rate against the noise ratio."""
    names = {"predicted": ", predicted", "measured": "measured"}
    known_loadings.draw_curves(ax, rows, "setting", "asked", beside=0.06, **names)
    ax.axhline(1.0, color="black", linestyle=":", linewidth=0.8)
    ax.set(
        xscale="log", yscale="log", xlabel="noise of y / noise of x (standard deviations)", ylim=(0.15, 3000)
    )
    ax.set_xticks([0.25, 0.5, 1, 2, 4, 8], ["1/4", "1/2", "1", "2", "4", "8"])
    ax.xaxis.set_minor_formatter("")
    ax.set_ylabel("x samples that one y sample replaces")
    ax.set_title("(b) The rate falls with y's noise variance", loc="left")
    ax.legend()


def _draw_angles(ax: Axes, lines: Mapping[float, Isoline]) -> None:
    """Isolines that start nowhere on the axes: each modality sees one direction of a plane."""
    labels = {a: f"{a:g}°: needs {line.minimum['x']:.0f} of each, rate 0 to ∞" for a, line in lines.items()}
    plots.isolines(ax, {labels[angle]: line for angle, line in lines.items()})
    ax.set(xscale="log", yscale="log", xlim=(30, 3e4), ylim=(30, 3e4))
    ax.set_title("(c) Angle between what x and y see", loc="left")
    ax.legend(title="at 0° nothing suffices", title_fontsize=7.5, frameon=True, framealpha=0.9)


def _draw_overlap(ax: Axes, rows: pd.DataFrame) -> None:
    """Private nuisance: what the plain block promises and the effective information keeps."""
    fine = np.linspace(0, 90, 91)
    ax.plot(rows.setting, rows.plain_block, linestyle="--", color="0.4", label="plain blocks (paper)")
    ax.plot(fine, np.sin(np.deg2rad(fine)) ** 2, color="black", label="effective information")
    known_loadings.draw_measured(ax, rows.setting, rows, place_style(0), "measured")
    ax.set(xlabel="angle of y's shared to its private columns (degrees)")
    ax.set_ylabel("x samples that one y sample replaces")
    ax.set_title("(d) y's private parameters cost", loc="left")
    ax.legend(loc="lower right")


def _draw_frontier(ax: Axes, rows: pd.DataFrame) -> None:
    """Precision against budget, relative to the optimum's so that the differences can be read."""
    best = rows.setting.map(rows[rows.arm == "optimum"].set_index("setting").predicted)
    relative = {name: rows[name] / best for name in ("predicted", "measured", "low", "high")}
    known_loadings.draw_curves(ax, rows.assign(**relative), "setting", "arm", beside=0.08)
    price = COSTS["y"] / COSTS["x"]
    ax.set(
        xscale="log", xlabel="budget (prices of an x sample)", ylabel="summed variance / that of the optimum"
    )
    ax.set_title(f"(e) Spending a budget, y costs {price:g} x", loc="left")
    ax.legend()


def _draw_prices(ax: Axes, rows: pd.DataFrame) -> None:
    """What a wrong choice costs, at every price."""
    for i, arm in enumerate(("x only", "y only", "as many of each", "optimum")):
        ax.plot(rows.price, rows[arm], **(place_style(i) | {"marker": ""}), label=arm)
    mixed = rows[(rows.share_spent_on_y > 1e-6) & (rows.share_spent_on_y < 1 - 1e-6)].price
    ax.axvspan(mixed.min(), mixed.max(), color="0.9", zorder=0, label="optimum buys both")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="price of y / price of x",
        ylabel="summed variance / that of the optimum",
    )
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_title("(f) Which samples to buy, by price", loc="left")
    ax.legend()


def _draw_shares(ax: Axes, shares: NDArray[np.float64], values: NDArray[np.float64], best: Any) -> None:  # noqa: ANN401
    """Three modalities as a triangle: every split of the budget, how far it is from the best."""
    names = tuple(best.counts)
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    finite = np.isfinite(values)
    points = shares[finite] @ corners
    levels = [1.0, 1.05, 1.2, 1.5, 2, 3, 5, 10]
    clipped = np.minimum(values[finite], levels[-1])
    drawn = ax.tricontour(
        points[:, 0], points[:, 1], clipped, levels=levels[1:], colors="black", linewidths=0.9
    )
    ax.tricontourf(points[:, 0], points[:, 1], clipped, levels=levels, cmap="Greys", alpha=0.75)
    ax.clabel(drawn, fmt="%g", fontsize=7)
    ax.plot(*np.vstack([corners, corners[:1]]).T, color="black", linewidth=1.0)
    total = sum(best.counts.values())
    ax.plot(*(np.array([best.counts[n] / total for n in names]) @ corners), "*", color="black", markersize=11)
    for name, (x, y), place in zip(names, corners, ("top", "top", "bottom"), strict=True):
        ax.annotate(f"{name} only", (x, y), (0, 4 if place == "bottom" else -4), textcoords="offset points",
                    ha="center", va=place, fontsize=8)  # fmt: skip
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_title("(g) Three modalities: variance / optimum (★)", loc="left")


def _draw_fits(
    ax: Axes, rates: Mapping[str, exchange_fit.Interval], tests: Mapping[str, exchange_fit.LackOfFit]
) -> None:
    """Rates read off fitted surfaces against the true one."""
    for i, rate in enumerate(rates.values()):
        bars = error_bars([rate.estimate], [rate.low], [rate.high])
        ax.errorbar([i], [rate.estimate], bars, **(place_style(i) | {"linestyle": "none", "capsize": 4}))
    ax.axhline(TRUE_RATE, color="black", linestyle="--", linewidth=0.9, label="true rate 1/9")
    p = {name: test.p_value for name, test in tests.items()}
    names = [f"plane\nlack of fit p = {p['plane']:.1g}", f"power law\np = {p['power law']:.2g}", "monotone"]
    ax.set_xticks(range(len(rates)), names)
    ax.set(xlim=(-0.5, len(rates) - 0.5), ylabel="x samples per y sample, 95% bootstrap interval")
    ax.set_title("(h) Rates read off measured errors", loc="left")
    ax.legend()


# ---------------------------------------------------------------- the command


def _report(
    summary: Mapping[str, Any], rates: Mapping[str, exchange_fit.Interval], plane: exchange_fit.LackOfFit
) -> str:
    """The printed summary."""
    counts = summary["inside_95_percent_interval"]
    inside, total = (sum(column) for column in zip(*counts.values(), strict=True))
    words = [
        (name, rate, exchange_fit.describe(rate, 1.0, x="x", unit="y samples"))
        for name, rate in rates.items()
    ]
    header = ["surface fitted to measured errors", "x samples per y sample [95%]", "in words (true: 9)"]
    lines = [
        text_table(header, words),
        f"plane: {plane.verdict}",
        known_loadings.coverage_text(counts, good=plausible_coverage(inside, total)),
        f"optimal allocations: certified relative gap at most {summary['largest_certified_gap']:.0e}",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Compute, draw, write, and say whether predictions and measurements agree; returns the summary that is also written as JSON."""
    options = parsed(command_parser(__doc__), arguments)
    replicates = 10_000 if options.quick else 100_000
    lines, levels = level_rows(replicates)
    others = (noise_rows, overlap_rows, frontier_rows)
    rows = pd.DataFrame([*levels, *(row for make in others for row in make(replicates))])
    rates, tests = fitted_rates(100 if options.quick else 500)
    by_panel = dict(iter(rows.groupby("panel")))
    with figure_style():
        figure, axes = plt.subplots(2, 4, figsize=(16.5, 7.6))
        _draw_levels(axes[0, 0], lines, by_panel["levels"])
        _draw_noise(axes[0, 1], by_panel["noise"])
        _draw_angles(axes[0, 2], angle_isolines())
        _draw_overlap(axes[0, 3], by_panel["overlap"])
        _draw_frontier(axes[1, 0], by_panel["frontier"])
        _draw_prices(axes[1, 1], pd.DataFrame(price_rows()))
        _draw_shares(axes[1, 2], *share_grid())
        _draw_fits(axes[1, 3], rates, tests)
        save_figure(figure, options.out / f"{NAME}.png")
    write_table(options.out / f"{NAME}.csv", rows)
    summary = {
        "inside_95_percent_interval": known_loadings.coverage(rows),
        "replicates": replicates,
        "largest_certified_gap": float(rows.certified_gap.max()),
        "fitted_rates": {n: {"estimate": r.estimate, "low": r.low, "high": r.high} for n, r in rates.items()},
        "true_rate": TRUE_RATE,
        "lack_of_fit_p": {name: test.p_value for name, test in tests.items()},
    }
    print(_report(summary, rates, tests["plane"]))
    return write_summary(summary, options, NAME, {"quick": options.quick})


if __name__ == "__main__":
    run_study(main)
