"""The figure of the full-data study: one column per part, accuracies above, differences to the control below."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studies import harness

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_TITLES = {
    "linear": "Linear probe, frozen encoders",
    "finetune": "Fine-tuning of encoder and head",
    "ratio": "Fine-tuning, r text rows per picture",
}
_ORDER = ("unimodal", "matched", "uml", "uml_init", "init_permuted")


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw and save.

    Args:
        summary: from `studies.full_data_report.summarise`.
        path: PNG.
    """
    import matplotlib.pyplot as plt

    parts = summary["parts"]
    with harness.figure_style():
        figure, grid = plt.subplots(2, len(parts), figsize=(4.2 * len(parts), 6.4), squeeze=False)
        for (above, below), part in zip(grid.T, parts, strict=True):
            entries = [e for e in summary["rows"] if e["part"] == part]
            for axes, what in ((above, "accuracy"), (below, "minus_control")):
                shown = [e for e in entries if what in e]
                if part == "ratio":
                    _curves(axes, shown, what)
                else:
                    _points(axes, shown, what)
                    _published(axes, summary, shown if what == "accuracy" else [], part)
            below.axhline(0, color="0.3", lw=0.9)
            above.set(ylabel="test accuracy (%)")
            below.set(ylabel=f"difference to {summary['control']} (points)")
            above.set_title(_TITLES[part])
        harness.save_figure(figure, path)


def _points(axes: "Axes", entries: list[dict[str, Any]], what: str) -> None:
    for i, entry in enumerate(entries):
        value = entry[what]
        style = harness.line_style(_ORDER.index(entry["arm"])) | {"linestyle": "none"}
        if entry["unfrozen"]:
            style["markerfacecolor"] = "none"
        bars = harness.error_bars([value.estimate], [value.low], [value.high])
        axes.errorbar([i], [value.estimate], bars, capsize=3, elinewidth=0.9, markersize=6, **style)
    labels = [e["label"].replace(", ", ",\n") for e in entries]
    axes.set_xticks(np.arange(len(entries)), labels, rotation=40, ha="right", rotation_mode="anchor")


def _published(axes: "Axes", summary: dict[str, Any], entries: list[dict[str, Any]], part: str) -> None:
    """The paper's numbers as stars beside ours."""
    marks = [
        (i, p["accuracy"])
        for i, e in enumerate(entries)
        for p in summary["published"]
        if p["part"] == part and (p["arm"], p["unfrozen"]) == (e["arm"], e["unfrozen"])
    ]
    if marks:
        where, values = zip(*marks, strict=True)
        axes.plot(np.array(where) + 0.2, values, "k*", markerfacecolor="none", markersize=9, label="paper")
        axes.legend(loc="best")


def _curves(axes: "Axes", entries: list[dict[str, Any]], what: str) -> None:
    for arm in dict.fromkeys(e["arm"] for e in entries):
        chosen = [e for e in entries if e["arm"] == arm]
        middle = [e[what].estimate for e in chosen]
        bars = harness.error_bars(middle, [e[what].low for e in chosen], [e[what].high for e in chosen])
        index = _ORDER.index(arm)
        style = harness.line_style(index)
        where = [e["ratio"] * (1 + 0.04 * (index - 2)) for e in chosen]
        axes.errorbar(where, middle, bars, label=chosen[0]["label"].split(", r =")[0], capsize=3, **style)
    ratios = sorted({e["ratio"] for e in entries})
    axes.set_xscale("log")
    axes.set_xticks(ratios, [f"{r:g}" for r in ratios])
    axes.minorticks_off()
    axes.set(xlabel="r, text rows per picture in a step")
    axes.legend(loc="best")
