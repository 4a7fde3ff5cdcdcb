"""The figure of the few-shot study: accuracies, gains over the fair control, shifted test sets, what heads look like."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studies import harness
from studies.harness import Interval
from studies.image_text_fewshot_report import LOOKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

# Curves of panels (a) and (b), always in the same style
_MAIN = ("unimodal", "matched", "uml", "uml_init", "init_only", "init_permuted", "uml_permuted")


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draw and save.

    Args:
        summary: from `studies.image_text_fewshot_report.summarise`.
        path: PNG.
    """
    import matplotlib.pyplot as plt

    with harness.figure_style():
        figure, grid = plt.subplots(2, 2, figsize=(10.5, 7.6))
        first = summary["tests"][0]
        _curves(grid[0, 0], summary, first, "accuracy")
        _published(grid[0, 0], summary)
        grid[0, 0].set(ylabel=f"accuracy on {first!r} (%)")
        grid[0, 0].set_title(f"(a) {summary['task']}, {summary['classes']} classes: test accuracy")
        grid[0, 0].legend(loc="best", ncols=1)
        _curves(grid[0, 1], summary, first, "minus_control")
        control = summary["arms"].get(summary["control"], summary["control"])
        grid[0, 1].axhline(0, color="0.3", lw=0.9)
        grid[0, 1].set(ylabel=f"difference to {control} (points)")
        grid[0, 1].set_title("(b) Paired differences to the fair control, 95% intervals")
        _shifted(grid[1, 0], summary)
        _looks(grid[1, 1], summary)
        harness.save_figure(figure, path)


def _curves(axes: "Axes", summary: dict[str, Any], test: str, what: str) -> None:
    arms = [arm for arm in _MAIN if arm in summary["arms"]]
    where = np.arange(len(summary["shots"]))
    for arm in arms:
        entries = [e for e in summary["accuracy"] if e["arm"] == arm and e["test"] == test and what in e]
        if entries:
            _line(axes, where, [e[what] for e in entries], _MAIN.index(arm), summary["arms"][arm], len(_MAIN))
    axes.set_xticks(where, summary["shots"])
    axes.set(xlabel="target training rows per class (shots)")


def _published(axes: "Axes", summary: dict[str, Any]) -> None:
    """The paper's numbers as hollow marks, in the shape of their arm."""
    for arm in dict.fromkeys(entry["arm"] for entry in summary["published"]):
        entries = [e for e in summary["published"] if e["arm"] == arm]
        where = [summary["shots"].index(e["shots"]) for e in entries]
        style = harness.line_style(_MAIN.index(arm)) | {"linestyle": "none", "markerfacecolor": "none"}
        label = f"paper: {summary['arms'].get(arm, arm)}"
        axes.plot(where, [e["accuracy"] for e in entries], markersize=9, label=label, **style)


def _shifted(axes: "Axes", summary: dict[str, Any]) -> None:
    """Gain of UML (init), and of its permuted control, on every test set."""
    where = np.arange(len(summary["tests"]))
    shots = [k for k in ("1", "4", "16", "all") if k in summary["shots"]] or summary["shots"][:3]
    lines = [(arm, k) for arm in ("uml_init", "init_permuted") if arm in summary["arms"] for k in shots]
    for i, (arm, k) in enumerate(lines[:7]):
        found = {e["test"]: e for e in summary["accuracy"] if e["arm"] == arm and e["shots"] == k}
        gains = [found[test]["minus_control"] for test in summary["tests"]]
        _line(axes, where, gains, i, f"{summary['arms'][arm]}, k = {k}", len(lines), joined=False)
    axes.axhline(0, color="0.3", lw=0.9)
    axes.set_xticks(where, summary["tests"])
    axes.set(xlabel="test set (the first of the training law, the others shifted)")
    axes.set(ylabel="difference to fair control (points)")
    axes.set_title("(c) Gains under distribution shift")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))  # room for the legend above the bars
    axes.legend(loc="upper right", ncols=2)


def _looks(axes: "Axes", summary: dict[str, Any]) -> None:
    """Silhouette score of the chosen heads' logits."""
    what = "silhouette"
    where = np.arange(len(summary["shots"]))
    for arm in [arm for arm in _MAIN if arm in summary["arms"]]:
        values = [e["value"] for e in summary["looks"] if e["what"] == what and e["arm"] == arm]
        if len(values) == len(where):  # not where some test set is too small for it
            _line(axes, where, values, _MAIN.index(arm), summary["arms"][arm], len(_MAIN))
    axes.set_xticks(where, summary["shots"])
    axes.set(xlabel="target training rows per class (shots)", ylabel=LOOKS[what])
    axes.set_title("(d) Separation of test rows by the head (logits of length one)")


def _line(
    axes: "Axes",
    where: np.ndarray,
    values: list[Interval],
    index: int,
    label: str,
    lines: int,
    *,
    joined: bool = True,
) -> None:
    middle = [v.estimate for v in values]
    bars = harness.error_bars(middle, [v.low for v in values], [v.high for v in values])
    style = harness.line_style(index) | ({} if joined else {"linestyle": "none"})
    beside = where + 0.045 * (index - (lines - 1) / 2)  # bars of different lines beside each other
    axes.errorbar(beside, middle, bars, label=label, capsize=2, elinewidth=0.8, **style)
