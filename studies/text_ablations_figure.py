"""The figure of the text ablations: for each axis, gains over the fair control by number of shots."""

from pathlib import Path
from typing import Any

import numpy as np

from neural.heads.arms import ARMS
from studies import harness
from studies.text_ablations_plan import UML

__all__ = ["draw"]


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw and save: rows UML and UML (init), one column per axis.

    Args:
        summary: of `studies.text_ablations_report.report_of`.
        path: PNG.
    """
    import matplotlib.pyplot as plt

    axes_names = list(summary["axes"])
    where = np.arange(len(summary["shots"]))
    with harness.figure_style():
        figure, grid = plt.subplots(
            2, len(axes_names), figsize=(4 * len(axes_names), 7.2), sharey="row", squeeze=False
        )
        letters = iter("abcdefgh")
        for arm, row in zip(UML, grid, strict=True):
            for axis, axes in zip(axes_names, row, strict=True):
                variants = summary["axes"][axis]
                for i, variant in enumerate(variants):
                    gains = [
                        e["minus_control"]
                        for e in summary["accuracy"]
                        if (e["axis"], e["variant"], e["arm"]) == (axis, variant, arm)
                    ]
                    middle = [g.estimate for g in gains]
                    bars = harness.error_bars(middle, [g.low for g in gains], [g.high for g in gains])
                    beside = where + 0.07 * (i - (len(variants) - 1) / 2)
                    style = harness.line_style(i)
                    axes.errorbar(beside, middle, bars, label=variant, capsize=2, elinewidth=0.8, **style)
                axes.axhline(0, color="0.3", lw=0.9)
                axes.set_xticks(where, summary["shots"])
                axes.set(xlabel="target training rows per class (shots)")
                axes.set_title(f"({next(letters)}) {ARMS[arm].label}: {axis}")
            row[0].set(ylabel="difference to the fair control (points), 95% intervals")
            low, high = row[0].get_ylim()
            row[0].set_ylim(low, high + 0.45 * (high - low))  # room for the legends
            for axes in row:
                axes.legend(loc="upper right")
        harness.save_figure(figure, path)
