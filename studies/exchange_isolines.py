"""What one sample is worth: isolines, exchange rates and the best way to spend a budget, predicted and measured.

    python studies/exchange_isolines.py            # half a minute on one core
    python studies/exchange_isolines.py --quick    # a tenth of the Monte-Carlo replicates

Lines are closed-form (`fisherkit.exchange`, `fisherkit.allocation`), dots are variances of simulated maximum-likelihood
fits with 95% intervals. Known loadings, fixed theta (Gupta et al. 2025, section 3.1). The paper reads its exchange rate
off a plane fitted to accuracies; panel (h) does that where the true rate is known.

Writes exchange_isolines.png, .csv (every point with its prediction) and .json.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit import plots
from fisherkit.exchange import Isoline
from fisherkit.exchange_fit import Interval as FittedRate
from fisherkit.exchange_fit import LackOfFit, describe
from studies import exchange_isolines_rows as numbers
from studies import harness

NAME = "exchange_isolines"


def draw_levels(ax: Axes, lines: Sequence[Isoline], rows: pd.DataFrame) -> None:
    """Isolines of the summed variance with measured points on them."""
    plots.isolines(ax, {f"summed variance {line.level:.2g}": line for line in lines})
    bars = harness.error_bars(rows.measured, rows.low, rows.high)
    ax.errorbar(rows.n_y, rows.measured, bars, fmt="o", color="black", capsize=2, label="measured")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_title("(a) Isolines: same precision of theta_c", loc="left")
    ax.legend()


def draw_noise(ax: Axes, rows: pd.DataFrame) -> None:
    """Exchange rate against the noise ratio."""
    for i, (label, part) in enumerate(rows.groupby("asked", sort=False)):
        style = harness.line_style(i)
        ax.plot(part.setting, part.predicted, **(style | {"marker": ""}), label=f"{label}, predicted")
        bars = harness.error_bars(part.measured, part.low, part.high)
        beside = part.setting * (1 + 0.06 * (i - 0.5))
        ax.errorbar(
            beside,
            part.measured,
            bars,
            fmt=style["marker"],
            color=style["color"],
            capsize=2,
            label="measured",
        )
    ax.axhline(1.0, color="black", linestyle=":", linewidth=0.8)
    ax.set(
        xscale="log", yscale="log", xlabel="noise of y / noise of x (standard deviations)", ylim=(0.15, 3000)
    )
    ax.set_xticks([0.25, 0.5, 1, 2, 4, 8], ["1/4", "1/2", "1", "2", "4", "8"])
    ax.xaxis.set_minor_formatter("")
    ax.set_ylabel("x samples that one y sample replaces")
    ax.set_title("(b) The rate falls with y's noise variance", loc="left")
    ax.legend()


def draw_angles(ax: Axes, lines: Mapping[float, Isoline]) -> None:
    """Isolines that start nowhere on the axes: each modality sees one direction of a plane."""
    labels = {a: f"{a:g}°: needs {line.minimum['x']:.0f} of each, rate 0 to ∞" for a, line in lines.items()}
    plots.isolines(ax, {labels[angle]: line for angle, line in lines.items()})
    ax.set(xscale="log", yscale="log", xlim=(30, 3e4), ylim=(30, 3e4))
    ax.set_title("(c) Angle between what x and y see", loc="left")
    ax.legend(title="at 0° nothing suffices", title_fontsize=7.5, frameon=True, framealpha=0.9)


def draw_overlap(ax: Axes, rows: pd.DataFrame) -> None:
    """Private nuisance: what the plain block promises and the effective information keeps."""
    fine = np.linspace(0, 90, 91)
    ax.plot(rows.setting, rows.plain_block, linestyle="--", color="0.4", label="plain blocks (paper)")
    ax.plot(fine, np.sin(np.deg2rad(fine)) ** 2, color="black", label="effective information")
    bars = harness.error_bars(rows.measured, rows.low, rows.high)
    ax.errorbar(rows.setting, rows.measured, bars, fmt="o", color="black", capsize=2, label="measured")
    ax.set(xlabel="angle of y's shared to its private columns (degrees)")
    ax.set_ylabel("x samples that one y sample replaces")
    ax.set_title("(d) y's private parameters cost", loc="left")
    ax.legend(loc="lower right")


def draw_frontier(ax: Axes, rows: pd.DataFrame) -> None:
    """Precision against budget, relative to the optimum's so that the differences can be read."""
    best = rows[rows.arm == "optimum"].set_index("setting").predicted
    for i, (arm, part) in enumerate(rows.groupby("arm", sort=False)):
        style, scale = harness.line_style(i), best.loc[part.setting].to_numpy()
        ax.plot(part.setting, part.predicted / scale, **(style | {"marker": ""}), label=arm)
        bars = harness.error_bars(part.measured, part.low, part.high) / scale
        ax.errorbar(
            part.setting * (1 + 0.08 * (i - 1.5)), part.measured / scale, bars, fmt=style["marker"],
            color=style["color"], capsize=2,
        )  # fmt: skip
    price = numbers.COSTS["y"] / numbers.COSTS["x"]
    ax.set(
        xscale="log", xlabel="budget (prices of an x sample)", ylabel="summed variance / that of the optimum"
    )
    ax.set_title(f"(e) Spending a budget, y costs {price:g} x", loc="left")
    ax.legend()


def draw_prices(ax: Axes, rows: pd.DataFrame) -> None:
    """What a wrong choice costs, at every price."""
    for i, arm in enumerate(("x only", "y only", "as many of each", "optimum")):
        ax.plot(rows.price, rows[arm], **(harness.line_style(i) | {"marker": ""}), label=arm)
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


def draw_shares(ax: Axes, shares: NDArray[np.float64], values: NDArray[np.float64], best: Any) -> None:  # noqa: ANN401
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


def draw_fits(ax: Axes, rates: Mapping[str, FittedRate], plane: LackOfFit, law: LackOfFit) -> None:
    """Rates read off fitted surfaces against the true one."""
    for i, rate in enumerate(rates.values()):
        style = harness.line_style(i)
        ax.errorbar(
            [i], [rate.estimate], [[rate.estimate - rate.low], [rate.high - rate.estimate]], fmt=style["marker"],
            color=style["color"], capsize=4,
        )  # fmt: skip
    ax.axhline(numbers.TRUE_RATE, color="black", linestyle="--", linewidth=0.9, label="true rate 1/9")
    ax.set_xticks(
        range(len(rates)),
        [f"plane\nlack of fit p = {plane.p_value:.1g}", f"power law\np = {law.p_value:.2g}", "monotone"],
    )
    ax.set(xlim=(-0.5, len(rates) - 0.5), ylabel="x samples per y sample, 95% bootstrap interval")
    ax.set_title("(h) Rates read off measured errors", loc="left")
    ax.legend()


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Compute, draw, write, and say whether predictions and measurements agree.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    options = harness.parser(__doc__).parse_args(arguments)
    replicates = 10_000 if options.quick else 100_000
    lines, levels = numbers.level_rows(replicates)
    rows = [
        *levels, *numbers.noise_rows(replicates), *numbers.overlap_rows(replicates),
        *numbers.frontier_rows(replicates),
    ]  # fmt: skip
    table, prices = pd.DataFrame(rows), pd.DataFrame(numbers.price_rows())
    rates, plane, law = numbers.fitted_rates(100 if options.quick else 500)
    with harness.figure_style():
        figure, axes = plt.subplots(2, 4, figsize=(16.5, 7.6))
        draw_levels(axes[0, 0], lines, table[table.panel == "levels"])
        draw_noise(axes[0, 1], table[table.panel == "noise"])
        draw_angles(axes[0, 2], numbers.angle_isolines())
        draw_overlap(axes[0, 3], table[table.panel == "overlap"])
        draw_frontier(axes[1, 0], table[table.panel == "frontier"])
        draw_prices(axes[1, 1], prices)
        draw_shares(axes[1, 2], *numbers.share_grid())
        draw_fits(axes[1, 3], rates, plane, law)
        harness.save_figure(figure, options.out / f"{NAME}.png")
    inside = (table.low <= table.predicted) & (table.predicted <= table.high)
    counts = {panel: (int(part.sum()), len(part)) for panel, part in inside.groupby(table.panel, sort=False)}
    harness.write_csv(
        options.out / f"{NAME}.csv", table.astype(object).where(table.notna(), None).to_dict("records")
    )
    seconds = time.perf_counter() - began
    summary = {
        "inside_95_percent_interval": counts,
        "replicates": replicates,
        "largest_certified_gap": float(table.certified_gap.max()),
        "fitted_rates": {n: {"estimate": r.estimate, "low": r.low, "high": r.high} for n, r in rates.items()},
        "true_rate": numbers.TRUE_RATE,
        "lack_of_fit_p": {"plane": plane.p_value, "power law": law.p_value},
        "provenance": harness.provenance(config={"quick": options.quick}, seconds=seconds),
    }
    harness.write_json(options.out / f"{NAME}.json", summary)
    print(report(summary, rates, plane))
    print(f"wall time {seconds:.1f} s")
    print(f"figure {options.out / NAME}.png")
    return summary


def report(summary: dict[str, Any], rates: Mapping[str, FittedRate], plane: LackOfFit) -> str:
    """Printed summary.

    Args:
        summary: see `main`.
        rates: by surface.
        plane: lack-of-fit test of the plane.

    Returns:
        Several lines.
    """
    counts = summary["inside_95_percent_interval"]
    tally = ", ".join(f"{panel} {inside} of {total}" for panel, (inside, total) in counts.items())
    inside, total = (sum(column) for column in zip(*counts.values(), strict=True))
    good = harness.plausible_coverage(inside, total)
    lines = [
        harness.table(
            ["surface fitted to measured errors", "x samples per y sample [95%]", "in words (true: 9)"],
            [(name, str(rate), describe(rate, 1.0, x="x", unit="y samples")) for name, rate in rates.items()],
        ),
        f"plane: {plane.verdict}",
        f"Fisher prediction {'holds' if good else 'FAILS'}: inside the 95% interval for {tally}.",
        f"optimal allocations: certified relative gap at most {summary['largest_certified_gap']:.0e}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
