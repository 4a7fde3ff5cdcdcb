"""What the full-data study trains: linear probes and fine-tunings, in groups of rows that a table has."""

from dataclasses import dataclass

from neural.data.task import Task
from neural.heads.arms import ARMS, arm_names
from studies.full_data_cells import FineTuneCell, FineTuning
from studies.head_cells import HeadCell
from studies.head_presets import Preset

__all__ = ["PARTS", "FullDataPlan", "Row"]

PARTS = ("linear", "finetune", "ratio")
_ARMS = ("unimodal", "matched", "uml", "uml_init", "init_permuted")
_WITH_TEXT = ("uml", "uml_init")


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
        """For tables."""
        label = ARMS[self.arm].label
        if self.part == "ratio":
            label += f", r = {self.ratio:g}"
        return label + (", text encoder unfrozen" if self.unfrozen else "")


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
        if self.preset.seeds < 2:
            raise ValueError(
                f"--seeds: intervals need at least 2 paired repetitions, got {self.preset.seeds}"
            )
        self.tuned_cells()  # a ratio out of range shall be refused before anything is trained

    @property
    def control(self) -> str:
        """The arm that gains are measured against."""
        return "unimodal" if self.task.aligned else "matched"

    def rows(self) -> list[Row]:
        """All rows, part by part; the control comes first among equals.

        Returns:
            Rows.
        """
        there = [arm for arm in _ARMS if arm in arm_names(self.task)]
        rows = []
        if "linear" in self.parts:
            rows += [Row("linear", arm) for arm in there]
        if "finetune" in self.parts:
            rows += [Row("finetune", arm) for arm in there] + [Row("finetune", "uml", unfrozen=True)]
        if "ratio" in self.parts:
            ratios = sorted({1.0, *self.ratios})
            rows += [Row("ratio", self.control)]
            rows += [Row("ratio", arm, ratio) for arm in _WITH_TEXT for ratio in ratios]
        return rows

    def cell(self, row: Row, seed: int) -> HeadCell | FineTuneCell:
        """One repetition of a row.

        Args:
            row: of `rows`.
            seed: repetition.

        Returns:
            Cell.

        Raises:
            ValueError: a fine-tuning in a plan without one.
        """
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
