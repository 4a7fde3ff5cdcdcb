"""Tables and figure of the full-data study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neural.heads.arms import ARMS
from neural.results.figures import arm_style, draw_means, figure_style, room_above, save_figure, zero_line
from neural.results.text import gain_text, markdown_table
from studies.lab.full_data_grid import PARTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["as_markdown", "draw"]


def as_markdown(summary: Mapping[str, Any], tables: Mapping[str, str]) -> str:
    """One table per part, headed by the paper's tables that it stands for, and the verdicts."""
    lines = [
        (
            f"## {summary['task']}: all {summary['training rows']} training rows of {summary['classes']} classes, "
            f"{summary['seeds']} paired repetitions"
        ),
        "",
        (
            f"Test accuracy in percent with its 95% interval, and the paired difference to *{summary['control']}*. "
            "Repetitions share the training rows; they differ in initial weights and order."
        ),
    ]
    for part in summary["parts"]:
        rows = []
        for entry in (e for e in summary["rows"] if e["part"] == part):
            a = entry["accuracy"]
            gain = gain_text(entry["minus_control"], 2) if "minus_control" in entry else ""
            paper = [
                p["accuracy"]
                for p in summary["published"]
                if all(p[k] == entry[k] for k in ("part", "arm", "ratio", "unfrozen"))
            ]
            shown = f"{a.estimate:.2f} [{a.low:.2f}, {a.high:.2f}]"
            rows.append([entry["label"], shown, gain, f"{paper[0]:.2f}" if paper else ""])
        header = ["arm", "accuracy", "difference to the control", "paper"]
        if not any(row[-1] for row in rows):
            header, rows = header[:-1], [row[:-1] for row in rows]
        lines += ["", f"### {PARTS[part]} ({tables[part]})", "", markdown_table(header, rows)]
    lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if "linear" in summary["parts"] and summary.get("differs_from_paper"):
        text = "; ".join(summary["differs_from_paper"])
        lines += ["", f"The linear probe differs from the paper's protocol: {text}."]
    if summary.get("tuning_differs_from_paper"):
        text = "; ".join(summary["tuning_differs_from_paper"])
        lines += ["", f"Fine-tuning differs from the paper's protocol: {text}."]
    return "\n".join(lines) + "\n"


def draw(summary: Mapping[str, Any], values: pd.DataFrame, gains: pd.DataFrame, path: Path) -> None:
    """One column per part, accuracies above, differences to the control below."""
    import matplotlib.pyplot as plt

    parts, control = summary["parts"], summary["control"]
    with figure_style():
        figure, panels = plt.subplots(2, len(parts), figsize=(4.2 * len(parts), 6.4), squeeze=False)
        for (above, below), part in zip(panels.T, parts, strict=True):
            for axes, of_all in ((above, values), (below, gains)):
                mine = of_all[of_all["part"].eq(part)]
                if part == "ratio":
                    _draw_ratios(axes, mine)
                else:
                    _draw_ways(axes, mine, [e for e in summary["rows"] if e["part"] == part])
            _mark_published(above, summary, part)
            zero_line(below)
            above.set(ylabel="test accuracy (%)", title=PARTS[part])
            below.set(ylabel=f"difference to\n{control} (points)")
        save_figure(figure, path)


def _draw_ways(axes: "Axes", values: pd.DataFrame, entries: Sequence[Mapping[str, Any]]) -> None:
    """One point per way to train; hollow where the text encoder is trained, too."""
    shown = [e for e in entries if (values["way"] == e["label"]).any()]
    ways = [e["label"] for e in shown]
    for e in shown:
        hollow: dict[str, Any] = {"markerfacecolor": "none"} if e["unfrozen"] else {}
        draw_means(
            axes,
            values[values["way"].eq(e["label"])],
            "way",
            hue="way",
            labels={e["label"]: e["label"]},
            styles={e["label"]: arm_style(e["arm"])},
            order=ways,
            **hollow,
        )
    ticks = [way.replace(", ", ",\n") for way in ways]
    axes.set_xticks(range(len(ways)), ticks, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_xlabel("")


def _draw_ratios(axes: "Axes", values: pd.DataFrame) -> None:
    """A curve over the ratio for each arm; the control has no text, so it stands at one point."""
    ratios = sorted(set(values["r"]), key=float)
    draw_means(
        axes, values, "r", labels={arm: ARMS[arm].label for arm in dict.fromkeys(values["arm"])}, order=ratios
    )
    axes.set(xlabel="r, text rows per picture in a step")
    room_above(axes, 0.35)
    axes.legend(loc="upper left")


def _mark_published(axes: "Axes", summary: Mapping[str, Any], part: str) -> None:
    """The paper's numbers as stars beside ours."""
    entries = [e for e in summary["rows"] if e["part"] == part]
    marks = [
        (i, p["accuracy"])
        for i, e in enumerate(entries)
        for p in summary["published"]
        if p["part"] == part != "ratio" and (p["arm"], p["unfrozen"]) == (e["arm"], e["unfrozen"])
    ]
    if marks:
        where, accuracies = zip(*marks, strict=True)
        beside = np.array(where) + 0.2
        stars = axes.plot(beside, accuracies, "k*", markerfacecolor="none", markersize=9, label="paper")
        axes.legend(handles=stars, loc="best", frameon=True)
