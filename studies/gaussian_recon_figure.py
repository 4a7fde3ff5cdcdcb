"""The figure of the Gaussian reconstruction study (beside Gupta et al. 2025, Figures 3 and 37)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from studies import harness
from studies.gaussian_recon_plan import ARMS
from studies.gaussian_recon_report import Results
from studies.harness import Interval, geometric_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]


def draw(summary: dict[str, Any], results: Results, path: Path) -> None:
    """Draw and write the figure.

    Args:
        summary: see `studies.gaussian_recon_report.summarise`.
        results: finished cells.
        path: target, PNG.
    """
    import matplotlib.pyplot as plt

    plan = results.plan
    with harness.figure_style():
        figure, axes = plt.subplots(2, 2, figsize=(9.2, 7.0))
        _draw_curves(axes[0, 0], summary, results)
        others = {f"width {w}": f"uml / x, width {w}" for w in plan.widths if w != plan.width}
        lines = {f"width {plan.width}": "uml / x"} | others
        lines |= {f"width {plan.width}, b + b rows (to x 2b)": "uml 2b / x 2b"}
        _draw_ratios(axes[0, 1], summary, lines)
        axes[0, 1].set_title("(b) Hidden width and step budget")
        _draw_budgets(axes[1, 0], summary, results)
        _draw_ratios(
            axes[1, 1],
            summary,
            {
                "un-attenuated x": "uml / x",
                "same, loadings / sqrt(dim)": "uml / x, loadings / sqrt(dim)",
                "attenuated x (training law)": "uml / x, training law",
                "un-attenuated, x half to x": "x half / x",
            },
        )
        axes[1, 1].set_title("(d) Scale of loadings, data of the training law, half of x alone")
        figure.suptitle(
            f"Unpaired y and the reconstruction of x: N = {plan.budget:,}, b = {plan.batch}, {plan.seeds} paired seeds, "
            "95% intervals.\n"
            f"Fisher information of y about x's loadings: {summary['fisher']['trace_y_separate']:.3g}",
            fontsize=9.5,
        )
        harness.save_figure(figure, path)


def _draw_curves(axes: "Axes", summary: dict[str, Any], results: Results) -> None:
    names = {
        "x": "x: N, b rows per step",
        "x half": "x: N/2, b",
        "x 2b": "x: N, 2b",
        "uml": "UML: N/2 + N/2, b/2 + b/2",
        "uml 2b": "UML: N/2 + N/2, b + b",
    }
    steps = np.array(results.plan.eval_steps)
    for i, arm in enumerate(ARMS):
        intervals = [geometric_interval(column) for column in results.curve(arm).T]
        _errorbars(axes, steps, intervals, i, markevery=(i, 5), errorevery=(i, 5), label=names[arm])
    for key, text in (
        ("fitted_to_attenuated", "linear code fitted to attenuated x"),
        ("best", "best linear code"),
    ):
        axes.axhline(summary["floors"][key], color="0.45", lw=0.8, ls=(0, (4, 3)))
        axes.annotate(text, (steps[0], summary["floors"][key]), va="bottom", fontsize=7, color="0.3")
    axes.set_ylim(0.85 * summary["floors"]["best"], None)
    axes.set(
        xscale="log", yscale="log", xlabel="optimiser steps", ylabel="MSE of un-attenuated x (data units²)"
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_title("(a) Training curves, validation")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 0.34))


def _draw_ratios(axes: "Axes", summary: dict[str, Any], lines: dict[str, str]) -> None:
    marks = np.array(summary["marks"], dtype=float)
    for i, (name, label) in enumerate(lines.items()):
        nudge = 1 + 0.025 * (i - (len(lines) - 1) / 2)  # bars of different lines beside each other
        _errorbars(axes, marks * nudge, summary["ratios"][label], i, label=name)
    lowest = min(value.low for label in lines.values() for value in summary["ratios"][label])
    axes.set_ylim(0.72 * lowest, None)  # room for the legend below the curves
    axes.axhline(1, color="0.3", lw=0.9)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="optimiser steps",
        ylabel="ratio of MSE (below 1: UML better)",
    )
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xticks(
        [500, 1000, 2000, 5000, 10_000][: sum(m <= marks[-1] for m in (500, 1000, 2000, 5000, 10_000))]
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.legend(loc="lower right")


def _draw_budgets(axes: "Axes", summary: dict[str, Any], results: Results) -> None:
    plan = results.plan
    counts = sorted({n for budget in plan.budgets for n in (budget, budget // 2)})
    lines = [("x", counts, "x only: N"), ("uml", list(plan.budgets), "UML: N/2 + N/2")]
    for j, mark in enumerate((plan.early, plan.steps)):
        for i, (arm, sizes, name) in enumerate(lines):
            values = [geometric_interval(results.at(mark, arm, budget=n)) for n in sizes]
            beside = np.array(sizes) * (1 + 0.03 * (i - 0.5))
            _errorbars(axes, beside, values, 2 * j + i, label=f"{name}, {mark:,} steps")
        for rate in (r for r in summary["exchange_rates"] if r["steps"] == mark and r["rate"] is not None):
            height = geometric_interval(results.at(mark, "uml", budget=rate["budget"])).estimate
            axes.annotate(
                f"{rate['rate']:.2f}",
                (rate["budget"], height),
                (7, 2),
                textcoords="offset points",
                fontsize=7,
            )
    axes.set(
        xscale="log", yscale="log", xlabel="samples in all, N", ylabel="MSE of un-attenuated x (data units²)"
    )
    ticks = [min(counts), *plan.budgets]
    axes.set_xticks(ticks, [f"{n:,}" for n in ticks], rotation=30)
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_title("(c) Sample budget; numbers: x samples that one y sample replaced")
    axes.legend(loc="best")


def _errorbars(
    axes: "Axes",
    where: NDArray[np.float64],
    intervals: Sequence[Interval],
    index: int,
    **options: Any,  # noqa: ANN401
) -> None:
    """A line through the estimates with their intervals, in the index-th style."""
    middle = [v.estimate for v in intervals]
    bars = harness.error_bars(middle, [v.low for v in intervals], [v.high for v in intervals])
    axes.errorbar(where, middle, bars, **harness.line_style(index), capsize=2, elinewidth=0.8, **options)
