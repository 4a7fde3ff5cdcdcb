"""What the text ablations train: one target, many kinds, amounts, encodings and batch ratios of text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fisherkit.checks import as_whole
from neural.data.task import Task
from neural.heads.runs import HeadRun
from studies.head_cells import HeadCell
from studies.head_presets import Preset

__all__ = ["PERMUTED", "UML", "AblationCell", "Plan", "Variant"]

UML = ("uml", "uml_init")
PERMUTED = {"uml": "uml_permuted", "uml_init": "init_permuted"}


@dataclass(frozen=True, eq=False)
class AblationCell(HeadCell):
    """A cell in which a step has another number of auxiliary than of target rows.

    Attributes:
        ratio: auxiliary rows per target row of a step, > 0; rounded to whole rows, at least one.
    """

    ratio: float = 1.0

    @property
    def key(self) -> dict[str, Any]:
        """A plain cell's key where the ratio is one."""
        return super().key if self.ratio == 1 else super().key | {"ratio": self.ratio}

    def runs(self) -> list[HeadRun]:
        """The trainings, with batches of that ratio.

        Returns:
            One per setting.
        """
        return [
            replace(
                run,
                batch_sizes={
                    name: size if name == run.target else max(1, round(self.ratio * size))
                    for name, size in run.batch_sizes.items()
                },
            )
            for run in super().runs()
        ]


@dataclass(frozen=True, eq=False)
class Variant:
    """One kind of text about the same target.

    Attributes:
        name: for tables.
        task: target and text.
        rows: texts per class, drawn anew in each repetition; None for all.
        ratio: text rows per target row of a step.
    """

    name: str
    task: Task
    rows: int | None = None
    ratio: float = 1.0


@dataclass(frozen=True)
class Plan:
    """Which cells the study has.

    Attributes:
        axes: {axis: variants}; the first axis is the kind of text, and every axis has the reference among its variants.
        preset: shots, repetitions, schedule, grid.
        logit_scale: fixed factor of all logits.

    Raises:
        ValueError: fewer than two seeds, shots below one, a logit scale or a ratio that is not positive.
    """

    axes: Mapping[str, tuple[Variant, ...]]
    preset: Preset
    logit_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.preset.seeds < 2:
            raise ValueError(
                f"--seeds: intervals need at least 2 paired repetitions, got {self.preset.seeds}"
            )
        for k in self.preset.shots:
            if k is not None:
                as_whole(k, "--shots", least=1)
        if not 0 < self.logit_scale < float("inf"):
            raise ValueError(f"--logit-scale: must be positive and finite, got {self.logit_scale:g}")
        for variant in self.variants:
            if not 0 < variant.ratio < float("inf"):
                raise ValueError(f"--ratios: must be positive and finite, got {variant.ratio:g}")

    @property
    def variants(self) -> list[Variant]:
        """All variants of all axes."""
        return [variant for axis in self.axes.values() for variant in axis]

    @property
    def task(self) -> Task:
        """The first variant's, whose target all share."""
        return self.variants[0].task

    def control(self, variant: Variant) -> str:
        """The arm without text that has as many parameters as UML."""
        return "unimodal" if variant.task.aligned else "matched"

    def permuted(self, axis: str) -> bool:
        """Whether an axis has arms with permuted labels: the kinds of text."""
        return axis == next(iter(self.axes))

    def cell(self, variant: Variant, arm: str, shots: int | None, seed: int) -> HeadCell:
        """One arm with one kind of text, one number of shots, one repetition.

        An arm without text depends on the text's dimension only: variants of one dimension share its cell.

        Args:
            variant: kind of text.
            arm: key of `neural.heads.arms.ARMS`.
            shots: target rows per class, None for all.
            seed: repetition.

        Returns:
            Cell.
        """
        if arm in {"unimodal", "matched"}:
            alike = next(
                v
                for v in self.variants
                if arm == "unimodal"
                or (v.task.dims == variant.task.dims and v.task.aligned == variant.task.aligned)
            )
            return HeadCell(alike.task, arm, shots, seed, self.preset, self.logit_scale)
        rows, ratio = variant.rows, variant.ratio
        return AblationCell(variant.task, arm, shots, seed, self.preset, self.logit_scale, rows, ratio)

    def points(self) -> list[tuple[str, Variant, str]]:
        """(axis, variant, arm), controls included."""
        return [
            (axis, variant, arm)
            for axis, variants in self.axes.items()
            for variant in variants
            for arm in (
                self.control(variant),
                *UML,
                *(PERMUTED.values() if self.permuted(axis) else ()),
            )
        ] + [("baseline", self.variants[0], "unimodal")]

    def cells(self) -> list[HeadCell]:
        """All cells, each once by its key when computed."""
        return [
            self.cell(variant, arm, shots, seed)
            for seed in range(self.preset.seeds)
            for shots in self.preset.shots
            for _, variant, arm in self.points()
        ]
