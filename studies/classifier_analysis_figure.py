"""The figure of the classifier analysis: planes of class pairs, separation measures, prototypes beside texts."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural.heads.arms import ARMS
from studies import harness
from studies.classifier_analysis_report import MEASURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_MAIN = ("unimodal", "matched", "uml", "uml_init", "init_permuted")


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw and save.

    Args:
        summary: from `studies.classifier_analysis_report.summarise`.
        path: PNG.
    """
    import matplotlib.pyplot as plt

    with harness.figure_style():
        figure = plt.figure(figsize=(12.5, 10.2))
        rows = figure.add_gridspec(3, 1, height_ratios=[1, 1, 1.05])
        planes, measures, prototypes = (rows[i, 0] for i in range(3))
        grid = planes.subgridspec(1, max(2, len(summary["planes"])))
        for i, plane in enumerate(summary["planes"]):
            _plane(figure.add_subplot(grid[i]), plane, summary)
        grid = measures.subgridspec(1, len(MEASURES))
        for i, what in enumerate(MEASURES):
            _measure(figure.add_subplot(grid[i]), summary, what)
        _prototypes(figure, prototypes, summary)
        harness.save_figure(figure, path)


def _plane(axes: "Axes", plane: dict[str, Any], summary: dict[str, Any]) -> None:
    """Test rows of two classes; the boundary is the vertical line, and the half-planes are shaded by class."""
    points, first = np.array(plane["points"]), np.array(plane["first"])
    for k, (mine, name) in enumerate(zip((first, ~first), plane["classes"], strict=True)):
        style = harness.line_style(k + 1) | {"linestyle": "none"}
        axes.plot(*points[mine].T, label=name.capitalize()[:38], alpha=0.85, **style)
    reach = 1.15 * np.abs(points[:, 0]).max()
    axes.axvspan(0, reach, color="0.88", zorder=0, lw=0)
    axes.axvline(0, color="k", lw=1)
    axes.set_xlim(-reach, reach)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
    axes.set(xlabel="signed distance to the boundary", ylabel="along the class means")
    when = "before text" if plane["arm"] == summary["control"] else "after text"
    axes.set_title(f"{when}: {ARMS[plane['arm']].label}\n{plane['accuracy']:.0f}% on their own side")
    axes.legend(
        loc="upper center", fontsize=6.5, handletextpad=0.2, frameon=True, framealpha=1, edgecolor="none"
    )


def _measure(axes: "Axes", summary: dict[str, Any], what: str) -> None:
    for arm in (arm for arm in _MAIN if arm in summary["arms"]):
        entries = [e for e in summary["measures"] if (e["measure"], e["arm"]) == (what, arm)]
        values = [e["value"] for e in entries]
        if not values:
            continue
        middle = [v.estimate for v in values]
        bars = harness.error_bars(middle, [v.low for v in values], [v.high for v in values])
        index = _MAIN.index(arm)
        where = np.array([summary["shots"].index(e["shots"]) for e in entries]) + 0.05 * (index - 2)
        axes.errorbar(
            where,
            middle,
            bars,
            label=summary["arms"][arm],
            capsize=2,
            elinewidth=0.8,
            **harness.line_style(index),
        )
    label, more = MEASURES[what]
    axes.set_xticks(np.arange(len(summary["shots"])), summary["shots"])
    axes.set(xlabel="target training rows per class (shots)", ylabel=label)
    axes.set_title(f"{label.split(' (')[0]}: {'higher' if more else 'lower'} is better")
    if what == "margin":
        axes.legend(loc="best")


def _prototypes(figure: "Figure", part: Any, summary: dict[str, Any]) -> None:  # noqa: ANN401
    """Heat-maps of the control, of UML (init) and of wrong texts, and all diagonals with what chance gives."""
    arms = (summary["control"], "uml_init", "init_permuted")
    shown = [e for e in summary["prototypes"] if e["arm"] in arms and e["texts"] == "the right texts"]
    grid = part.subgridspec(1, len(shown) + 1)
    limit = max(float(np.abs(e["drawn"]).max()) for e in shown)
    for i, entry in enumerate(shown):
        axes = figure.add_subplot(grid[i])
        image = axes.imshow(entry["drawn"], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.grid(visible=False)
        some = (
            ""
            if len(entry["drawn"]) == summary["classes"]
            else f" ({len(entry['drawn'])} of {summary['classes']})"
        )
        axes.set(xlabel=f"class mean text{some}", ylabel="prototype")
        axes.set_title(ARMS[entry["arm"]].label)
        if i + 1 == len(shown):
            figure.colorbar(image, ax=axes, shrink=0.75, label="cosine")
    axes = figure.add_subplot(grid[len(shown)])
    for i, entry in enumerate(summary["prototypes"]):
        middle = (entry["null_low"] + entry["null_high"]) / 2
        bars = harness.error_bars([middle], [entry["null_low"]], [entry["null_high"]])
        axes.errorbar(
            [middle], [i], xerr=bars, color="0.5", capsize=4, lw=3, label=None if i else "by chance, 95%"
        )
        style = harness.line_style(_MAIN.index(entry["arm"])) | {"linestyle": "none"}
        axes.plot([entry["difference"]], [i], markersize=7, **style)
    labels = [
        ARMS[e["arm"]].label + ("" if not ARMS[e["arm"]].permuted else f",\n{e['texts']}")
        for e in summary["prototypes"]
    ]
    axes.set_yticks(np.arange(len(labels)), labels)
    axes.invert_yaxis()
    axes.axvline(0, color="0.3", lw=0.9)
    axes.set(xlabel="mean cosine, diagonal minus rest")
    axes.set_title("Diagonal and chance")
    axes.margins(x=0.12, y=0.12)
    axes.legend(loc="upper right")
