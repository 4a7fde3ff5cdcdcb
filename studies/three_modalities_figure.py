"""The figure of the three-modality study: for each target accuracy by what helps, and gains beside their controls."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studies import harness
from studies.harness import Interval
from studies.three_modalities_report import help_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw and save.

    Args:
        summary: from `studies.three_modalities_report.summarise`.
        path: PNG.
    """
    import matplotlib.pyplot as plt

    targets = summary["targets"]
    with harness.figure_style():
        figure, grid = plt.subplots(2, len(targets), figsize=(3.6 * len(targets), 7.2), squeeze=False)
        for i, target in enumerate(targets):
            entries = [e for e in summary["accuracy"] if e["target"] == target]
            _accuracy(grid[0, i], summary, target, entries)
            _gains(grid[1, i], summary, entries)
        grid[0, 0].set_ylabel("test accuracy (%)")
        grid[1, 0].set_ylabel("gain over the target alone (points)")
        harness.save_figure(figure, path)


def _accuracy(axes: "Axes", summary: dict[str, Any], target: str, entries: list[dict[str, Any]]) -> None:
    """The target alone and UML (init) with every subset; hollow marks are the paper's."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for e in entries:
        if e["arm"] == "uml_init" and not e["shuffled"]:
            curves.setdefault(f"+ {help_label(e['auxiliaries'])}", []).append(e)
        elif e["arm"] in ("unimodal", "matched"):
            name = "alone" + (f", head as with {e['auxiliaries'][0]}" if e["auxiliaries"] else ", unimodal")
            curves.setdefault(name, []).append(e)
    for i, (name, points) in enumerate(curves.items()):
        _line(axes, summary, [e["accuracy"] for e in points], i, len(curves), name)
    published = [e for e in summary["published"] if e["target"] == target]
    for name in dict.fromkeys(help_label(e["auxiliaries"]) for e in published):
        points = [e for e in published if help_label(e["auxiliaries"]) == name]
        ours = "alone, unimodal" if name == "alone" else f"+ {name}"
        style = harness.line_style(list(curves).index(ours)) | {
            "linestyle": "none",
            "markerfacecolor": "none",
        }
        where = [summary["shots"].index(e["shots"]) for e in points]
        axes.plot(where, [e["accuracy"] for e in points], markersize=9, label=f"paper: {name}", **style)
    axes.set_title(f"{target} as the target, {summary['classes']} classes")
    _finish(axes, summary)


def _gains(axes: "Axes", summary: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    """Paired differences to the fair control: right labels, last auxiliary's wrong, all wrong."""
    most = max(len(e["auxiliaries"]) for e in entries)
    curves: dict[str, list[dict[str, Any]]] = {}
    for e in entries:
        name = f"+ {help_label(e['auxiliaries'])}"
        if e["arm"] == "uml_init":
            name += f", {e['auxiliaries'][-1]} permuted" if e["shuffled"] else ""
            curves.setdefault(name, []).append(e)
        elif e["arm"] == "init_permuted" and len(e["auxiliaries"]) == most:
            curves.setdefault(f"{name}, all permuted", []).append(e)
    # the style of a subset is that of the panel above, where controls come first
    controls = len({e["training"] for e in entries if e["arm"] in ("unimodal", "matched")})
    for i, (name, points) in enumerate(curves.items()):
        _line(axes, summary, [e["minus_control"] for e in points], i, len(curves), name, first=controls)
    axes.axhline(0, color="0.3", lw=0.9)
    _finish(axes, summary)


def _line(
    axes: "Axes",
    summary: dict[str, Any],
    values: list[Interval],
    index: int,
    lines: int,
    label: str,
    *,
    first: int = 0,
) -> None:
    middle = [v.estimate for v in values]
    bars = harness.error_bars(middle, [v.low for v in values], [v.high for v in values])
    beside = np.arange(len(summary["shots"])) + 0.05 * (index - (lines - 1) / 2)
    style = harness.line_style(index + first)
    axes.errorbar(beside, middle, bars, label=label, capsize=2, elinewidth=0.8, **style)


def _finish(axes: "Axes", summary: dict[str, Any]) -> None:
    axes.set_xticks(np.arange(len(summary["shots"])), summary["shots"])
    axes.set(xlabel="target training rows per class (shots)")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.45 * (high - low))  # room for the legend
    axes.legend(loc="upper left")
