"""Theorems 1-3 in pictures, and the exchange rate where the theory's mechanism is real.

    python studies/information_gain.py                 # figure, rows and summary in seconds on 2 cores
    python studies/information_gain.py --quick         # a quarter of the Monte-Carlo replicates

Loadings are known and theta is fixed (Gupta et al. 2025, section 3.1), so samples of y truly carry information about
what x measures. Every line is a Fisher information, every dot a closed-form maximum-likelihood fit to simulated
samples. `studies/gaussian_recon.py` has the experiment of section E.14, where y carries none.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fisherkit as fk
from fisherkit import plots
from neural.results.cells import seed_of
from neural.results.figures import error_bars, figure_style, place_style, save_figure
from neural.results.intervals import Interval, plausible_coverage
from neural.results.table import write_table
from neural.results.text import text_table
from studies.lab.known_loadings import coverage, coverage_text, draw_curves, known_loading_world
from studies.lab.options import command_parser, parsed, run_study
from studies.lab.outputs import write_summary

NAME = "information_gain"
ARMS = {"x only": ("x",), "x + y": ("x", "y"), "x + y + z": ("x", "y", "z")}  # N samples in all, split evenly
TOTALS = [30, 300, 3_000, 30_000, 300_000, 3_000_000]
ATTENUATIONS, NOISES, DIRECTIONS = (0.05, 0.2, 0.5, 1.0), (0.15, 0.3, 0.6), (0, 1, 5)
N_X = 1_000  # samples of x beside which the exchange rate is measured


# ---------------------------------------------------------------- the points


def variance_rows(replicates: int) -> pd.DataFrame:
    """Monte-Carlo against predicted variance of one weakly seen shared coordinate, with 1, 2 and 3 modalities."""
    world = known_loading_world(0.2, 0.3)
    third = fk.random_model(10, {"z": 5}, seed=9, obs_dim=50, condition=3.0, noise_std=0.1)["z"]
    world = fk.LinearGaussian({**world.modalities, "z": third})
    v = np.eye(world.n_params)[1]
    rows = []
    for k, (arm, names) in enumerate(ARMS.items()):
        for total in TOTALS:
            counts = {name: total // len(names) for name in names}
            variance = _variance(world, counts, v, replicates, (1, k, total))
            low, high = variance * (replicates - 1) / stats.chi2.ppf([0.975, 0.025], replicates - 1)
            predicted = float(fk.cramer_rao(world, counts, v))
            rows.append({"panel": "variance", "arm": arm, "samples": total, "predicted": predicted,
                         "measured": variance, "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def exchange_rows(replicates: int) -> pd.DataFrame:
    """How many samples of x one sample of y replaces: measured by Monte Carlo, predicted by Fisher information.

    Beside N_X samples of x, n_y samples of y cut the variance along v from V_x to V_xy. Since V_x falls as 1 / n,
    x alone would need N_X V_x / V_xy samples for that: the rate is (V_x / V_xy - 1) N_X / n_y. The interval comes
    from the F distribution of the ratio of two independent Monte-Carlo variances.

    Args:
        replicates: Monte-Carlo replicates per variance.

    Returns:
        One row per attenuation, noise of y and shared coordinate.
    """
    rows = []
    for attenuation in ATTENUATIONS:
        for noise in NOISES:
            world = known_loading_world(attenuation, noise)
            counts = {"x": N_X, "y": max(1, round(N_X * attenuation**2))}
            for j in DIRECTIONS:
                v = np.eye(world.n_params)[j]
                spread = []
                for arm, used in enumerate(({"x": N_X}, counts)):
                    key = (2, attenuation, noise, j, arm)
                    spread.append(_variance(world, used, v, replicates, key))
                ratio = spread[0] / spread[1]
                quantiles = stats.f.ppf([0.5, 0.975, 0.025], replicates - 1, replicates - 1)
                truth = fk.cramer_rao(world, {"x": N_X}, v) / fk.cramer_rao(world, counts, v)
                measured, low, high = ((ratio / quantiles) - 1) * N_X / counts["y"]
                rows.append({"panel": "exchange", "attenuation": attenuation, "noise_y": noise, "direction": j,
                             "predicted": float(truth - 1) * N_X / counts["y"], "measured": measured, "low": low,
                             "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def _variance(
    world: fk.LinearGaussian,
    counts: dict[str, int],
    v: NDArray[np.float64],
    replicates: int,
    key: tuple[float, ...],
) -> float:
    """Monte-Carlo variance of fits along v."""
    drawn = fk.simulate_statistics(world, counts, seed=seed_of(*key), replicates=replicates)
    return float((fk.fit(drawn).theta @ v).var(ddof=1))


# ---------------------------------------------------------------- figure


def _draw_theorems(left: Axes, right: Axes, replicates: int) -> None:
    """Both modalities informative: the joint ellipse lies inside both; or each sees one direction, together the plane."""
    informative = fk.random_model(
        2, {"x": 1, "y": 1}, seed=4, obs_dim=3, condition=3.0, noise_std={"x": 1.0, "y": 1.5}
    )
    _draw_regions(left, informative, {"x": 20, "y": 20}, replicates, extent=3.2)
    left.set_title("(a) Theorem 1: the joint region shrinks", loc="left")
    blind = fk.blind_spot_model(angle=np.pi / 3, seed=2, shared_dim=2, seen=1)
    _draw_regions(right, blind, {"x": 20, "y": 20}, replicates, extent=1.6)
    right.set_title("(b) Theorems 2, 3: blind spots filled", loc="left")


def _draw_regions(
    ax: Axes, world: fk.LinearGaussian, counts: dict[str, int], replicates: int, extent: float
) -> None:
    """95% regions of x alone, y alone and both about two shared parameters, with joint fits as dots."""
    theta = np.zeros(world.n_params)
    fits = fk.fit(fk.simulate_statistics(world, counts, theta=theta, seed=3, replicates=min(replicates, 500)))
    joint = fk.effective_information(world, counts)
    inside = np.einsum("ni,ij,nj->n", fits.shared, joint, fits.shared) <= stats.chi2.ppf(0.95, 2)
    label = f"joint fits ({inside.mean():.0%} of {len(inside)} inside)"
    ax.plot(*fits.shared.T, ".", color="0.6", markersize=2, label=label)
    parts = fk.shared_information(world, counts)
    plots.information_ellipses(
        ax, {"x alone": parts["x"], "y alone": parts["y"], "x and y": joint}, extent=extent
    )
    ax.set(xlabel="error of the first shared parameter (its units)", ylabel="error of the second")
    ax.legend(loc="lower right", frameon=True)


def _draw_variance(ax: Axes, rows: pd.DataFrame) -> None:
    """Predicted variance as lines, Monte Carlo with 95% intervals as dots."""
    draw_curves(ax, rows, "samples", "arm", predicted=": Cramér-Rao bound")
    ax.set(xscale="log", yscale="log")
    ax.set(xlabel="samples in all, split evenly", ylabel="variance of a weakly seen coordinate (its units²)")
    ax.set_title("(c) Predicted (lines), measured (dots)", loc="left")
    ax.legend()


def _draw_exchange(ax: Axes, rows: pd.DataFrame) -> None:
    """Measured against predicted exchange rate, with 95% intervals."""
    for i, (attenuation, part) in enumerate(rows.groupby("attenuation")):
        shown = part[part.measured > 0]
        bars = error_bars(shown.measured, np.maximum(shown.low, 1e-3), shown.high)
        look = place_style(i) | {
            "linestyle": "none",
            "capsize": 2,
            "label": f"x attenuated to {attenuation:g}",
        }
        ax.errorbar(shown.predicted, shown.measured, bars, **look)
    ends = [rows.predicted.min() / 2, rows.predicted.max() * 2]
    ax.loglog(ends, ends, color="black", linewidth=0.8, label="measured = predicted")
    ax.axhline(1.0, color="black", linestyle=":", linewidth=0.8)
    ax.set(xlabel="exchange rate predicted by Fisher information", ylim=(ends[0] / 2, ends[1]))
    ax.set_ylabel("measured: samples of x\nthat one sample of y replaces")
    ax.set_title("(d) Exchange rate with known loadings", loc="left")
    ax.legend()


def _draw_blocks(ax: Axes) -> None:
    """Fisher information of three modalities: privates are coupled through the shared block only."""
    world = fk.random_model(
        3, {"x": 2, "y": 2, "z": 1}, seed=5, condition=3.0, noise_std={"x": 1, "y": 2, "z": 0.5}
    )
    plots.fisher_heatmap(ax, fk.information(world, 100), world.layout)
    ax.set_title("(e) Fisher blocks of three modalities", loc="left")


def _draw_gaps(ax: Axes) -> None:
    """Spectrum of what y adds: everywhere, somewhere, or nothing although its shared design has full rank."""
    eye = np.eye(4)
    x = fk.Modality(np.diag([1.0, 1.0, 0.1, 0.0]))
    aux = {"full rank": fk.Modality(eye), "half": fk.Modality(eye[:2]), "confounded": fk.Modality(eye, eye)}
    for (name, y), marker in zip(aux.items(), ("o", "s", "x"), strict=True):
        world = fk.LinearGaussian({"x": x, "y": y})
        alone, both = (fk.effective_information(world, c) for c in ({"x": 1}, {"x": 1, "y": 1}))
        plots.gap_spectrum(ax, alone, both, label=f"y {name}")
        ax.lines[-1].set(marker=marker, markerfacecolor="none", markersize=7)
    ax.set_title("(f) What y adds: eigenvalues of the gap", loc="left")
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))  # the zero band is drawn once per series
    ax.legend(unique.values(), unique.keys())


# ---------------------------------------------------------------- the command


def _report(exchange: pd.DataFrame, counts: dict[str, tuple[int, int]]) -> str:
    """Table of exchange rates for the paper's attenuation and noise, and the verdict from the counts."""
    shown = exchange[(exchange.attenuation == 0.05) & (exchange.noise_y == 0.3)]
    header = ["shared coordinate", "predicted rate", "measured rate [95% interval]"]
    rates = []
    for row in shown.itertuples():
        name = "seen in full" if row.direction == 0 else f"attenuated, no. {row.direction + 1}"
        measured = Interval(row.measured, row.low, row.high, 0)
        rates.append((name, f"{row.predicted:.4g}", measured))
    good = all(plausible_coverage(inside, total) for inside, total in counts.values())
    return f"""{text_table(header, rates)}
(samples of x that one sample of y replaces; E.14's dimensions, attenuation 0.05, noise std 0.3)
With known loadings the {coverage_text(counts, good=good)}"""


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Compute, draw, write, and say in one line whether the predictions hold; returns the summary that is also written as JSON."""
    options = parsed(command_parser(__doc__), arguments)
    replicates = 5_000 if options.quick else 20_000
    variance, exchange = variance_rows(replicates), exchange_rows(replicates)
    with figure_style():
        figure, axes = plt.subplots(2, 3, figsize=(12, 7.5))
        _draw_theorems(axes[0, 0], axes[0, 1], replicates)
        _draw_variance(axes[0, 2], variance)
        _draw_exchange(axes[1, 0], exchange)
        _draw_blocks(axes[1, 1])
        _draw_gaps(axes[1, 2])
        save_figure(figure, options.out / f"{NAME}.png")
    rows = pd.concat([variance, exchange], ignore_index=True)
    counts = coverage(rows.sort_values("panel"))
    write_table(options.out / f"{NAME}.csv", rows)
    summary = {"inside_95_percent_interval": counts, "replicates": replicates}
    print(_report(exchange, counts))
    config = {"quick": options.quick, "replicates": replicates}
    return write_summary(summary, options, NAME, config)


if __name__ == "__main__":
    run_study(main)
