"""Studies on shared heads with few rows per class: which cells they have, and a table with a row for each of them.

The few-shot study, robustness and the classifier analysis ask different questions of the same cells: what one of them
has trained the others only read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fisherkit.checks import UnknownNameError, as_whole
from neural.fewshot.cells import HeadCell
from neural.fewshot.presets import Preset, differences
from neural.heads.arms import ARMS, arm_names
from neural.heads.runs import HeadFit
from neural.heads.sweep import train_heads
from neural.results.cells import Cells
from neural.results.contrasts import paired
from neural.results.table import shots_label, table
from neural.results.text import gain_text
from neural.tasks.task import Task

__all__ = [
    "CELLS",
    "MEASURES",
    "Plan",
    "cell_rows",
    "chosen_heads",
    "closing_lines",
    "gains_over",
    "with_gain",
]

CELLS = "image_text_fewshot.jsonl"
#: What is measured of a chosen head beside its accuracy; a column of the table each.
MEASURES = ("margin", "silhouette", "davies_bouldin", "alignment_start", "alignment")


@dataclass(frozen=True)
class Plan:
    """Which cells a study has.

    Attributes:
        task: what is classified, with what help.
        preset: size of the study.
        arms: which arms; the matched control comes along wherever text is used.
        logit_scale: fixed factor of all logits.

    Raises:
        UnknownNameError: no such arm.
        ValueError: no auxiliary modality, fewer than two seeds, shots below one, logit scale not positive.
    """

    task: Task
    preset: Preset
    arms: tuple[str, ...] = field(default=())
    logit_scale: float = 1.0

    def __post_init__(self) -> None:
        there = arm_names(self.task)
        if not self.task.auxiliaries:
            raise ValueError(
                f"{self.task.name}: no auxiliary modality, so there is nothing to compare; name one (--aux-features)"
            )
        for arm in self.arms:
            if arm not in there:
                raise UnknownNameError(arm, there, "arm")
        chosen = self.arms or there
        # A gain is never shown beside a baseline that lacks the projection.
        needed = (
            {"unimodal", self.control}
            if any(ARMS[arm].auxiliary_loss or ARMS[arm].init for arm in chosen)
            else set()
        )
        object.__setattr__(self, "arms", tuple(arm for arm in there if arm in chosen or arm in needed))
        if self.preset.seeds < 2:
            raise ValueError(
                f"--seeds: intervals need at least 2 paired repetitions, got {self.preset.seeds}"
            )
        if not (np.isfinite(self.logit_scale) and self.logit_scale > 0):
            raise ValueError(f"--logit-scale: must be positive and finite, got {self.logit_scale:g}")
        for k in self.preset.shots:
            if k is not None:
                as_whole(k, "--shots", least=1)

    @property
    def control(self) -> str:
        """The arm that gains are measured against: as many parameters as UML."""
        return "unimodal" if self.task.aligned else "matched"

    @property
    def shots(self) -> list[str]:
        """Numbers of shots as tables call them."""
        return [shots_label(k) for k in self.preset.shots]

    @property
    def about(self) -> dict[str, Any]:
        """What every summary says of the study."""
        return {
            "task": self.task.name,
            "control": self.control,
            "arms": {arm: ARMS[arm].label for arm in self.arms},
            "shots": self.shots,
            "seeds": self.preset.seeds,
            "differs_from_paper": differences(self.preset),
        }

    def cell(self, arm: str, shots: int | None, seed: int) -> HeadCell:
        """One arm, one number of shots, one repetition."""
        return HeadCell(self.task, arm, shots, seed, self.preset, self.logit_scale)

    def cells(self) -> list[HeadCell]:
        """All cells, most expensive first."""
        shots = sorted(self.preset.shots, key=lambda k: -(k or 10**9))
        return [self.cell(arm, k, s) for k in shots for s in range(self.preset.seeds) for arm in self.arms]


def cell_rows(plan: Plan, cells: Cells) -> pd.DataFrame:
    """One row per finished cell.

    Args:
        plan: the study.
        cells: finished cells.

    Returns:
        Table; all but its last column, the number of trainings that diverged, is written as CSV.
    """
    rows = []
    for cell in reversed(plan.cells()):
        result = cells.get(cell.key)
        rows.append(
            {"arm": cell.arm, "shots": shots_label(cell.shots), "seed": cell.seed}
            | {f"accuracy_{test}": value for test, value in result["accuracy"].items()}
            | {name: result[name] for name in ("val_accuracy", "val_loss", *MEASURES, "best_step", "seconds")}
            | result["setting"]
            | {"diverged": result["diverged"]}
        )
    return table(rows)


def chosen_heads(plan: Plan, cells: Cells, shots: int | None, seed: int, device: str) -> dict[str, HeadFit]:
    """The chosen heads of one repetition, trained again: cells keep numbers, not weights.

    On the CPU they come out with the same digits.

    Args:
        plan: the study.
        cells: finished cells.
        shots: rows per class.
        seed: repetition.
        device: torch device.

    Returns:
        One per arm.
    """
    runs = []
    for arm in plan.arms:
        cell = plan.cell(arm, shots, seed)
        settings = [vars(setting) for setting in cell.settings]
        runs.append(cell.runs()[settings.index(cells.get(cell.key)["setting"])])
    return dict(zip(plan.arms, train_heads(runs, plan.preset.schedule, device=device), strict=True))


def gains_over(control: str, rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Differences in accuracy to a control, one per arm, place and repetition: itself a table.

    Args:
        control: arm; where the table lacks it, there is no difference.
        rows: table with a row per arm, place and repetition.
        by: columns that say which place a row is of.

    Returns:
        Table with the columns arm, `by`, seed and accuracy.
    """
    others = [arm for arm in dict.fromkeys(rows["arm"]) if arm != control and control in set(rows["arm"])]
    gains = [paired(rows, arm, control, by).assign(arm=arm) for arm in others]
    return pd.concat(gains, ignore_index=True) if gains else rows.head(0)


def with_gain(entry: Mapping[str, Any], value: str, digits: int) -> str:
    """A mean, and in brackets its difference to the control where it has one.

    Args:
        entry: of `neural.results.contrasts.entries`.
        value: name of the mean.
        digits: decimals.

    Returns:
        Text.
    """
    text = f"{entry[value].estimate:.{digits}f}"
    return f"{text} ({gain_text(entry['minus_control'], digits)})" if "minus_control" in entry else text


def closing_lines(summary: Mapping[str, Any]) -> list[str]:
    """How reports end: verdicts, choices at the edge of the grid, what differs from the paper.

    Args:
        summary: of a study.

    Returns:
        Lines of Markdown.
    """
    lines = []
    if summary["verdicts"]:
        lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if summary.get("edges"):
        lines += ["", f"Choices at the edge of the grid: {'; '.join(summary['edges'])}."]
    if summary["differs_from_paper"]:
        lines += ["", f"Differs from the paper's protocol: {'; '.join(summary['differs_from_paper'])}."]
    return lines
