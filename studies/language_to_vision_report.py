"""What the transfer study reports: accuracy against steps, paired differences to each control, verdicts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.transfer.initialisations import INITIALISATIONS
from studies import harness
from studies.harness import Interval, mean_interval, paired_difference
from studies.language_to_vision_plan import ARMS, MODES, Plan, arm_label
from studies.report_tables import markdown_table

__all__ = ["Results", "as_markdown", "csv_rows", "summarise", "verdict"]


class Results:
    """Finished cells as arrays over seeds; where an arm has several learning rates, the one that validates best."""

    def __init__(self, plan: Plan, cells: harness.Cells) -> None:
        self.plan, self._cells = plan, cells

    def chosen(self, arm: str, seed: int) -> tuple[float, dict[str, Any]]:
        """Learning rate of a repetition with the highest validation accuracy at the end, and what came of it."""
        tried = [(r, self._cells.get(self.plan.cell(arm, seed, r))) for r in self.plan.preset.learning_rates]
        return max(tried, key=lambda pair: pair[1]["val"][-1])

    def accuracy(self, arm: str) -> NDArray[np.float64]:
        """(seeds, looks) test accuracy in percent."""
        return 100 * np.array([self.chosen(arm, s)[1]["test"] for s in range(self.plan.preset.seeds)])


def summarise(results: Results) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        results: finished cells.

    Returns:
        For `as_markdown`, the figure and the JSON file. "end" is the accuracy after the last step, "mean" that over all
        looks, which rewards learning fast.
    """
    plan = results.plan
    accuracy = {arm: results.accuracy(arm) for arm in plan.arms}
    summary: dict[str, Any] = {
        "task": plan.task(0).name,
        "seeds": plan.preset.seeds,
        "looks": list(plan.preset.schedule.looks),
        "unfreeze_at": plan.preset.schedule.unfreeze_at,
        "arms": {arm: arm_label(arm) for arm in plan.arms},
        "curves": {arm: [mean_interval(column) for column in values.T] for arm, values in accuracy.items()},
        "end": {arm: mean_interval(values[:, -1]) for arm, values in accuracy.items()},
        "mean": {arm: mean_interval(values.mean(axis=1)) for arm, values in accuracy.items()},
        "learning_rates": {
            arm: [results.chosen(arm, s)[0] for s in range(plan.preset.seeds)] for arm in plan.arms
        },
        "differences": [],
    }
    for mode in MODES:
        claim = f"pretrained_{mode}"
        controls = ["scratch", *(arm for arm in plan.arms if ARMS[arm][1] == mode and arm != "scratch")]
        for control in controls if claim in plan.arms else []:
            if control != claim:
                mine, other = accuracy[claim], accuracy[control]
                summary["differences"].append({
                    "arm": claim,
                    "control": control,
                    "curve": [paired_difference(a, b) for a, b in zip(mine.T, other.T, strict=True)],
                    "end": paired_difference(mine[:, -1], other[:, -1]),
                    "mean": paired_difference(mine.mean(axis=1), other.mean(axis=1)),
                })
    summary["verdicts"] = [
        verdict(mode, {d["control"]: d["end"] for d in summary["differences"] if d["arm"] == claim})
        for mode in MODES
        if (claim := f"pretrained_{mode}") in plan.arms
    ]
    return summary


def verdict(mode: str, differences: dict[str, Interval]) -> str:
    """In one line: does the pretrained network beat scratch, and the controls that keep only its scale?

    Args:
        mode: one of `MODES`.
        differences: accuracy of the pretrained arm minus that of each control, in points, after the last step.

    Returns:
        The line.

    Example:
        >>> up, none = Interval(5, 4, 6, 8), Interval(0, -1, 1, 8)
        >>> verdict("frozen", {"scratch": up, "shuffled_frozen": none})
        'layers frozen: pretrained beats training from scratch (+5.0 [+4.0, +6.0] points), but is not told apart from shuffled (+0.0 [-1.0, +1.0]): the claim holds, but these controls do not show that it is more than the scale of the weights'
    """
    names = {"scratch": "training from scratch", f"scratch_{mode}": "random layers treated alike"}
    names |= {f"{how}_{mode}": how for how in ("shuffled", "gaussian")}
    parts: list[str] = []
    for control, gain in differences.items():
        word = "beats" if gain.low > 0 else "loses to" if gain.high < 0 else "is not told apart from"
        unit = " points" if not parts else ""
        parts.append(
            f"{word} {names[control]} ({gain.estimate:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]{unit})"
        )
    likenesses = [
        differences[f"{h}_{mode}"] for h in ("shuffled", "gaussian") if f"{h}_{mode}" in differences
    ]
    if differences["scratch"].high < 0:
        end = "the claim does not hold here"
    elif differences["scratch"].low <= 0:
        end = "the claim is undecided here"
    elif not likenesses:
        end = "the claim holds, without controls of scale"
    elif all(gain.low > 0 for gain in likenesses):
        end = "the claim holds, and by more than the scale of the weights"
    else:
        end = "the claim holds, but these controls do not show that it is more than the scale of the weights"
    joined = parts[0] + "".join(
        (", but " if part.split()[0] != parts[0].split()[0] else ", ") + part for part in parts[1:]
    )
    return f"{MODES[mode]}: pretrained {joined}: {end}"


def as_markdown(summary: dict[str, Any]) -> str:
    """Table and verdicts.

    Args:
        summary: from `summarise`.

    Returns:
        Markdown.
    """
    rows = []
    for arm, label in summary["arms"].items():
        claim = f"pretrained_{ARMS[arm][1]}"
        gap = [d["end"] for d in summary["differences"] if (d["arm"], d["control"]) == (claim, arm)]
        end, mean = summary["end"][arm], summary["mean"][arm]
        rows.append([
            label,
            f"{end.estimate:.1f} [{end.low:.1f}, {end.high:.1f}]",
            f"{mean.estimate:.1f}",
            f"{gap[0].estimate:+.1f} [{gap[0].low:+.1f}, {gap[0].high:+.1f}]" if gap else "",
        ])
    header = ["initialisation; training", "accuracy at the end", "mean over steps", "pretrained minus this"]
    lines = [
        f"## {summary['task']}: {summary['seeds']} paired repetitions, {summary['looks'][-1]:,} steps",
        "",
        (
            "Test accuracy in percent with its 95% interval, and the paired difference in points of the pretrained arm of "
            "the same mode."
        ),
        "",
        markdown_table(header, rows),
        "",
        *(f"- {line}" for line in summary["verdicts"]),
    ]
    return "\n".join(lines) + "\n"


def csv_rows(plan: Plan, cells: harness.Cells) -> list[dict[str, object]]:
    """One row per finished cell and look.

    Args:
        plan: the study.
        cells: finished cells.

    Returns:
        Rows for CSV.
    """
    rows: list[dict[str, object]] = []
    for cell in plan.cells():
        result = cells.get(cell)
        how, mode = ARMS[cell["arm"]]
        for step, val, test in zip(plan.preset.schedule.looks, result["val"], result["test"], strict=True):
            rows.append({
                "arm": cell["arm"],
                "initialisation": INITIALISATIONS[how],
                "mode": mode,
                "seed": cell["seed"],
                "learning_rate": cell["schedule"]["learning_rate"],
                "step": step,
                "val_accuracy": val,
                "test_accuracy": test,
                "seconds": result["seconds"],
            })
    return rows
