"""The figure of the self-supervised study: accuracies, paired differences, what training did to the target's loss."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studies import harness

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw and save.

    Args:
        summary: from `studies.self_supervised_report.summarise`.
        path: PNG.
    """
    import matplotlib.pyplot as plt

    with harness.figure_style():
        figure, axes = plt.subplots(1, 3, figsize=(13.5, 4.2), width_ratios=(1.15, 1, 1))
        _accuracies(axes[0], summary)
        _differences(axes[1], summary)
        _curves(axes[2], summary)
        figure.suptitle(
            f"{summary['task']}: {summary['target']} with unpaired {', '.join(summary['auxiliaries']) or 'nothing'}, "
            f"{summary['seeds']} paired repetitions, 95% intervals",
            fontsize=9.5,
        )
        harness.save_figure(figure, path)


def _accuracies(axes: "Axes", summary: dict[str, Any]) -> None:
    arms = list(summary["arms"])
    for i, arm in enumerate(arms):
        y = len(arms) - 1 - i
        interval, seeds = summary["accuracy"][arm], np.asarray(summary["by_seed"][arm])
        axes.plot(seeds, np.full(len(seeds), y + 0.22), "|", color="0.55", markersize=5)
        bars = harness.error_bars([interval.estimate], [interval.low], [interval.high])
        style = harness.line_style(i) | {"linestyle": "none"}
        axes.errorbar([interval.estimate], [y], xerr=bars, capsize=2.5, **style)
        if arm in summary["published"]:
            axes.plot(summary["published"][arm], y, "o", markersize=9, markerfacecolor="none", color="0.2")
    axes.set_yticks(range(len(arms)), [summary["arms"][arm] for arm in reversed(arms)])
    note = "; circles: paper" if summary["published"] else ""
    axes.set(xlabel=f"test accuracy of a linear probe (%); ticks: repetitions{note}")
    axes.set_title("(a) Accuracy")


def _differences(axes: "Axes", summary: dict[str, Any]) -> None:
    contrasts = list(summary["contrasts"].values())
    for i, c in enumerate(contrasts):
        y, d = len(contrasts) - 1 - i, c["difference"]
        bars = harness.error_bars([d.estimate], [d.low], [d.high])
        axes.errorbar([d.estimate], [y], xerr=bars, capsize=2.5, fmt="o", color="black")
    axes.axvline(0, color="0.3", lw=0.9)
    labels = [
        f"{c['question']}\n{summary['arms'][c['arm']]}\n− {summary['arms'][c['control']]}" for c in contrasts
    ]
    axes.set_yticks(range(len(contrasts)), labels[::-1], fontsize=6.8)
    axes.set_ylim(-0.6, len(contrasts) - 0.4)
    axes.set(xlabel="difference in points")
    axes.set_title("(b) Paired differences")


def _curves(axes: "Axes", summary: dict[str, Any]) -> None:
    arms = list(summary["arms"])
    for arm, curve in summary["curves"].items():
        points = (np.arange(len(curve)) + 0.5) * summary["steps"] / len(curve)
        style = harness.line_style(arms.index(arm))
        axes.plot(
            points,
            np.array(curve, dtype=float),
            label=summary["arms"][arm],
            markevery=max(1, len(curve) // 6),
            **style,
        )
    axes.set(xlabel="optimiser step", ylabel=f"next-step loss of {summary['target']} (training)")
    axes.set_title("(c) Loss of the target, chosen trainings")
    axes.legend(loc="best")
