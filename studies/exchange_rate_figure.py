"""The figure of the exchange study: measured surface with isolines, its curves, words per image by fit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural.heads.arms import ARMS
from studies import harness
from studies.exchange_rate_plan import ARM, PERMUTED
from studies.exchange_rate_report import Surface

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# isolines of the plane and of the power law
_LINES: dict[str, dict[str, Any]] = {
    "plane": {"color": "0.45", "linestyle": "--", "linewidth": 1.1},
    "power law": {"color": "0", "linestyle": "-", "linewidth": 1.1},
}


def draw(surfaces: Sequence[Surface], summaries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw and save: one row of panels per surface.

    Args:
        surfaces: one, or unaligned and aligned.
        summaries: of `studies.exchange_rate_report.report_of`, in the same order.
        path: PNG.
    """
    import matplotlib.pyplot as plt

    with harness.figure_style():
        figure, grid = plt.subplots(len(surfaces), 3, figsize=(13.5, 4.2 * len(surfaces)), squeeze=False)
        letters = iter("abcdef")
        for row, surface, summary in zip(grid, surfaces, summaries, strict=True):
            what = f"{summary['task']}, {summary['encoders']} encoders"
            _isolines(row[0], surface)
            row[0].set_title(f"({next(letters)}) {what}: accuracy (%) and isolines")
            _curves(row[1], surface, summary)
            row[1].set_title(f"({next(letters)}) UML (init) and the control, 95% intervals")
            _prices(row[2], summary)
            row[2].set_title(f"({next(letters)}) What an image is worth, 95% intervals")
        harness.save_figure(figure, path)


def _isolines(axes: "Axes", surface: Surface) -> None:
    from matplotlib.lines import Line2D

    plan = surface.plan
    images = np.array([plan.images(k) for k in plan.shots])
    texts = np.array([plan.texts(t) for t in plan.text_rows])
    means = np.array([[surface.values(ARM, k, t).mean() for t in plan.text_rows] for k in plan.shots])
    levels = np.linspace(means.min(), means.max(), 6)[1:-1]
    if np.ptp(means) > 0:
        axes.contourf(texts, images, means, levels=12, cmap="Greys_r", alpha=0.35, vmin=means.min() - 20)
    for x, line in zip(images, means, strict=True):
        for y, value in zip(texts, line, strict=True):
            axes.plot(y, x, ".", color="black", markersize=3)
            axes.annotate(f"{value:.1f}", (y, x), (3, 3), textcoords="offset points", fontsize=7)
    fine = np.geomspace(texts.min(), texts.max(), 200)
    handles = []
    for name, style in _LINES.items():
        fitted = surface.of(name, False).surface
        for level in levels:
            line = np.asarray(fitted.isoline(float(level), fine), dtype=np.float64)
            shown = np.where((line > 0.5 * images.min()) & np.isfinite(line), line, np.nan)
            axes.plot(fine, shown, **style)
        handles.append(Line2D([], [], label=f"isolines of the {name}", **style))
    axes.set(xscale="log", yscale="log", ylim=(0.8 * images.min(), 2 * images.max()))
    axes.set(xlim=(0.9 * texts.min(), 1.25 * texts.max()))
    axes.set_xticks(texts, [f"{t:.3g}" for t in texts], minor=False)
    axes.set_yticks(images, [f"{k:.3g}" for k in images], minor=False)
    axes.minorticks_off()
    axes.set(xlabel=f"{plan.auxiliary} rows per class", ylabel=f"{plan.task.target} rows per class")
    title = f"levels: {', '.join(f'{level:.1f}' for level in levels)} %"
    axes.legend(handles=handles, loc="upper left", ncols=2, title=title, title_fontsize=7.5)


def _curves(axes: "Axes", surface: Surface, summary: dict[str, Any]) -> None:
    plan = surface.plan
    where = np.arange(len(plan.shots))
    found = {(e["arm"], e["shots"], e["text_rows"]): e["accuracy"] for e in summary["accuracy"]}
    lines = [(plan.control, 0, f"{ARMS[plan.control].label}, no text")]
    lines += [(ARM, t, f"UML (init), {t} per class") for t in plan.text_rows]
    lines.append((PERMUTED, plan.text_rows[-1], f"permuted, {plan.text_rows[-1]} per class"))
    for i, (arm, rows, label) in enumerate(lines):
        values = [found[arm, k, rows] for k in plan.shots]
        middle = [v.estimate for v in values]
        bars = harness.error_bars(middle, [v.low for v in values], [v.high for v in values])
        beside = where + 0.045 * (i - (len(lines) - 1) / 2)
        axes.errorbar(beside, middle, bars, label=label, capsize=2, elinewidth=0.8, **harness.line_style(i))
    axes.set_xticks(where, [str(k) for k in plan.shots])
    test = next(iter(plan.task.tests))
    axes.set(xlabel=f"{plan.task.target} rows per class", ylabel=f"accuracy on {test!r} (%)")
    axes.legend(loc="best")


def _prices(axes: "Axes", summary: dict[str, Any]) -> None:
    unit = "words" if summary["words_per_text"] is not None else "texts"
    labels, shown = [], []
    for i, entry in enumerate(summary["fits"]):
        price = entry[f"{unit}_per_image"]
        rejected = entry["lack_of_fit"]["p"] < 0.05
        labels.append(
            entry["fit"].replace(", without the control", "").replace(", with the", ",\nwith")
            + ("\n(lack of fit)" if rejected else "")
        )
        if price["estimate"] is None or price["estimate"] <= 0:
            axes.annotate("∞", (i, 0.5), xycoords=("data", "axes fraction"), ha="center", fontsize=14)
            continue
        low, high = (price[end] or price["estimate"] for end in ("low", "high"))
        bars = harness.error_bars([price["estimate"]], [low], [high])
        style = harness.line_style(i) | {"linestyle": "none"}
        axes.errorbar([i], [price["estimate"]], bars, capsize=4, **style)
        if price["high"] is None:  # no upper end: texts may be worth nothing
            axes.annotate("", (i, 0.98), (i, 0.85), xycoords=("data", "axes fraction"),
                          textcoords=("data", "axes fraction"), arrowprops={"arrowstyle": "->"})  # fmt: skip
        shown += [price["estimate"], low, high]
    stated = summary["published_words_per_image"]
    if stated is not None and unit == "words":
        axes.axhline(stated, color="0.3", linestyle=":", label=f"paper's plane: {stated:.0f} words")
        axes.legend(loc="best")
        shown.append(stated)
    if shown:
        axes.set(yscale="log", ylim=(min(v for v in shown if v > 0) / 2, 2 * max(shown)))
    axes.set_xticks(range(len(labels)), labels)
    axes.set(xlim=(-0.6, len(labels) - 0.4), ylabel=f"{unit} per image (arrow: no upper end)")
