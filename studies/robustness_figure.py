"""The figure of the robustness study: one column per number of shots, as the paper has one figure for each."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studies import harness

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# Arms of both rows, always in the same style
_MAIN = ("unimodal", "matched", "uml", "uml_init", "init_permuted")


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw and save.

    Args:
        summary: from `studies.robustness_report.summarise`.
        path: PNG.
    """
    import matplotlib.pyplot as plt

    shots = summary["shots"]
    with harness.figure_style():
        figure, grid = plt.subplots(
            2, len(shots), figsize=(1.2 + 2.5 * len(shots), 6.2), sharex=True, sharey="row", squeeze=False
        )
        for column, k in enumerate(shots):
            above, below = grid[:, column]
            _points(above, summary, k, "accuracy", without=("init_permuted",))
            _points(below, summary, k, "minus_control", without=("unimodal",))
            below.axhline(0, color="0.3", lw=0.9)
            above.set_title(f"k = {k}")
        control = summary["arms"][summary["control"]]
        grid[0, 0].set(ylabel="test accuracy (%)")
        grid[1, 0].set(ylabel=f"difference to {control}\n(points, 95% intervals)")
        named: dict[str, Any] = {}
        for axes in (grid[0, 0], grid[1, 0]):
            named |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(
            handles=list(named.values()),
            labels=list(named),
            loc="outside upper center",
            ncols=len(_MAIN),
            fontsize=8,
        )
        note = f"test set: {summary['source']} is of the training law, the others are shifted"
        if summary["among"]:
            note += f"\n{', '.join(summary['among'])}: among their own classes"
        figure.supxlabel(note, fontsize=9)
        harness.save_figure(figure, path)


def _points(
    axes: "Axes", summary: dict[str, Any], shots: str, what: str, *, without: tuple[str, ...]
) -> None:
    """One mark with its interval per test set and arm."""
    tests = [summary["source"], *summary["shifted"]]
    arms = [arm for arm in _MAIN if arm in summary["arms"] and arm not in without]
    found = {(e["test"], e["arm"]): e for e in summary["accuracy"] if e["shots"] == shots and what in e}
    arms = [arm for arm in arms if (tests[0], arm) in found]
    for i, arm in enumerate(arms):
        values = [found[test, arm][what] for test in tests]
        middle = [v.estimate for v in values]
        bars = harness.error_bars(middle, [v.low for v in values], [v.high for v in values])
        beside = np.arange(len(tests)) + 0.13 * (i - (len(arms) - 1) / 2)
        style = harness.line_style(_MAIN.index(arm)) | {"linestyle": "none"}
        axes.errorbar(beside, middle, bars, label=summary["arms"][arm], capsize=2, elinewidth=0.8, **style)
    axes.axvline(0.5, color="0.6", lw=0.8, ls=":")
    slanted: dict[str, Any] = {"rotation": 30, "ha": "right"} if max(map(len, tests)) > 10 else {}
    axes.set_xticks(np.arange(len(tests)), tests, **slanted)
