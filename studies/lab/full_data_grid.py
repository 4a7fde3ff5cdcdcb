"""What the full-data study trains: linear probes and fine-tunings, in the rows that its tables have."""

from dataclasses import dataclass

import pandas as pd

from neural.fewshot.cells import HeadCell
from neural.fewshot.presets import Preset
from neural.heads.arms import ARMS, arm_names
from neural.results.cells import Cells
from neural.results.table import by_test, table
from neural.tasks.task import Task
from studies.lab.fine_tuning import FineTuneCell, FineTuning
from studies.lab.options import check_repetitions

__all__ = ["PARTS", "TABLES", "WITH_TEXT", "FullDataPlan", "Row", "measured", "rows_of"]

PARTS = {
    "linear": "Linear probe, frozen encoders",
    "finetune": "Fine-tuning of encoder and head",
    "ratio": "Fine-tuning, text rows per picture",
}
_ARMS = ("unimodal", "matched", "uml", "uml_init", "init_permuted")
WITH_TEXT = ("uml", "uml_init")
#: The paper's tables of each part.
TABLES = {"linear": (*range(10, 15), 21), "finetune": (*range(6, 10), 20, 29), "ratio": (28,)}


@dataclass(frozen=True)
class Row:
    """One row of a table: one way to train.

    Attributes:
        part: of `PARTS`.
        arm: key of `neural.heads.arms.ARMS`.
        ratio: text rows per picture.
        unfrozen: whether the text encoder's last layer is trained.
    """

    part: str
    arm: str
    ratio: float = 1.0
    unfrozen: bool = False

    @property
    def label(self) -> str:
        """For tables; no two rows of a part have the same."""
        arm = ARMS[self.arm]
        ratio = f", r = {self.ratio:g}" if self.part == "ratio" and arm.auxiliary_loss else ""
        return f"{arm.label}{ratio}" + (", text encoder unfrozen" if self.unfrozen else "")


@dataclass(frozen=True)
class FullDataPlan:
    """Which cells the study has.

    Attributes:
        task: features; what the linear probes are trained on.
        preset: repetitions of all parts, schedule and grid of the linear probes.
        parts: some of `PARTS`.
        tuning: what fine-tunings share; None where only linear probes are asked for.
        ratios: text rows per picture, beside 1.

    Raises:
        ValueError: no auxiliary modality, fewer than two seeds, batch ratios in an aligned task.
    """

    task: Task
    preset: Preset
    parts: tuple[str, ...]
    tuning: FineTuning | None
    ratios: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.task.auxiliaries:
            raise ValueError(f"{self.task.name}: no auxiliary modality, so there is nothing to compare")
        check_repetitions(self.preset.seeds)
        self.tuned_cells()  # a ratio out of range shall be refused before anything is trained

    @property
    def control(self) -> str:
        """The arm that gains are measured against."""
        return "unimodal" if self.task.aligned else "matched"

    def rows(self) -> list[Row]:
        """All rows, part by part."""
        there = [arm for arm in _ARMS if arm in arm_names(self.task)]
        rows = []
        if "linear" in self.parts:
            rows += [Row("linear", arm) for arm in there]
        if "finetune" in self.parts:
            rows += [Row("finetune", arm) for arm in there] + [Row("finetune", "uml", unfrozen=True)]
        if "ratio" in self.parts:
            ratios = sorted({1.0, *self.ratios})
            rows += [Row("ratio", self.control)]
            rows += [Row("ratio", arm, ratio) for arm in WITH_TEXT for ratio in ratios]
        return rows

    def cell(self, row: Row, seed: int) -> HeadCell | FineTuneCell:
        """One repetition of a row; a ValueError for a fine-tuning in a plan without one."""
        if row.part == "linear":
            return HeadCell(self.task, row.arm, None, seed, self.preset)
        if self.tuning is None:
            raise ValueError(f"part {row.part!r} needs a fine-tuning")
        return FineTuneCell(self.tuning, row.arm, seed, row.ratio, row.unfrozen)

    def head_cells(self) -> list[HeadCell]:
        """The linear probes."""
        return [cell for cell in self._cells() if isinstance(cell, HeadCell)]

    def tuned_cells(self) -> list[FineTuneCell]:
        """The fine-tunings; those that two parts share stand once."""
        tuned = [cell for cell in self._cells() if isinstance(cell, FineTuneCell)]
        return list({(c.arm, c.seed, c.ratio, c.unfrozen): c for c in tuned}.values())

    def _cells(self) -> list[HeadCell | FineTuneCell]:
        return [self.cell(row, s) for s in range(self.preset.seeds) for row in self.rows()]


def rows_of(plan: FullDataPlan, store: Cells) -> pd.DataFrame:
    """The table of results: one row per way to train and repetition."""
    rows = []
    for row in plan.rows():
        for seed in range(plan.preset.seeds):
            result = store.get(plan.cell(row, seed).key)
            rows.append(
                {**vars(row), "seed": seed}
                | {f"accuracy_{test}": value for test, value in result["accuracy"].items()}
                | {name: result[name] for name in ("val_accuracy", "val_loss", "best_step", "seconds")}
                | result["setting"]
            )
    return table(rows)


def measured(rows: pd.DataFrame, test: str) -> pd.DataFrame:
    """Accuracies in percent on one test set, and which way of training (`Row.label`) they are of."""
    ways = [Row(*way).label for way in rows[["part", "arm", "ratio", "unfrozen"]].itertuples(index=False)]
    values = by_test(rows.assign(way=ways, r=[f"{ratio:g}" for ratio in rows["ratio"]]))
    return values[values["test"].eq(test)]
