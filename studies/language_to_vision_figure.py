"""The figure of the transfer study, beside Gupta et al. 2025, Figure 7: accuracy against steps, and paired differences."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studies import harness
from studies.harness import Interval
from studies.language_to_vision_plan import ARMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_LABELS = {
    "pretrained": "pretrained on text",
    "scratch": "random, treated alike",
    "shuffled": "pretrained, entries shuffled",
    "gaussian": "Gaussian of the same scale",
}
_ORDER = list(_LABELS)


def draw(summary: dict[str, Any], path: Path, title: str) -> None:
    """Draw and save.

    Args:
        summary: from `studies.language_to_vision_report.summarise`.
        path: PNG.
        title: what was trained on what.
    """
    import matplotlib.pyplot as plt

    modes = [mode for mode in ("unfrozen", "frozen") if f"pretrained_{mode}" in summary["arms"]]
    titles = {
        "unfrozen": f"layers unfrozen after {summary['unfreeze_at']:,} steps",
        "frozen": "layers frozen",
    }
    with harness.figure_style():
        figure, grid = plt.subplots(
            2, len(modes), figsize=(4.9 * len(modes), 7.2), squeeze=False, sharey="row"
        )
        for column, mode in enumerate(modes):
            _curves(grid[0, column], summary, mode)
            grid[0, column].set_title(f"({'ab'[column]}) {titles[mode]}")
            _differences(grid[1, column], summary, mode)
            grid[1, column].set_title(f"({'cd'[column]}) pretrained minus control, {titles[mode]}")
        grid[0, 0].set_ylabel("test accuracy (%)")
        grid[1, 0].set_ylabel("paired difference (points)")
        figure.suptitle(f"{title}; {summary['seeds']} paired repetitions, 95% intervals", fontsize=9.5)
        harness.save_figure(figure, path)


def _curves(axes: "Axes", summary: dict[str, Any], mode: str) -> None:
    arms = [arm for arm in summary["arms"] if ARMS[arm][1] == mode]
    lines = [(arm, _ORDER.index(ARMS[arm][0]), _LABELS[ARMS[arm][0]]) for arm in arms]
    for arm, index, label in [*lines, ("scratch", 4, "from scratch: all trained from step 0")]:
        _line(axes, summary["looks"], summary["curves"][arm], index, label)
    if mode == "unfrozen":
        axes.axvline(summary["unfreeze_at"], color="0.5", lw=0.8, ls=":")
    axes.set_xlabel("optimiser steps")
    axes.legend(loc="best")


def _differences(axes: "Axes", summary: dict[str, Any], mode: str) -> None:
    for entry in (d for d in summary["differences"] if d["arm"] == f"pretrained_{mode}"):
        how, trained = ARMS[entry["control"]]
        index, label = (4, "from scratch") if trained == "full" else (_ORDER.index(how), _LABELS[how])
        _line(axes, summary["looks"], entry["curve"], index, f"to {label}")
    if mode == "unfrozen":
        axes.axvline(summary["unfreeze_at"], color="0.5", lw=0.8, ls=":")
    axes.axhline(0, color="0.3", lw=0.9)
    axes.set_xlabel("optimiser steps")
    axes.legend(loc="best")


def _line(axes: "Axes", steps: list[int], values: list[Interval], index: int, label: str) -> None:
    middle = [v.estimate for v in values]
    bars = harness.error_bars(middle, [v.low for v in values], [v.high for v in values])
    beside = np.array(steps) + 0.006 * steps[-1] * (index - 2)  # bars of different lines beside each other
    axes.errorbar(beside, middle, bars, label=label, capsize=2, elinewidth=0.8, **harness.line_style(index))
