"""What the few-shot study trains: arms, shots, repetitions."""

from dataclasses import dataclass, field

import numpy as np

from fisherkit.checks import UnknownNameError, as_whole
from neural.data.task import Task
from neural.heads.arms import ARMS, arm_names
from studies.head_cells import HeadCell
from studies.head_presets import Preset

__all__ = ["Plan"]


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

    def cell(self, arm: str, shots: int | None, seed: int) -> HeadCell:
        """One arm, one number of shots, one repetition."""
        return HeadCell(self.task, arm, shots, seed, self.preset, self.logit_scale)

    def cells(self) -> list[HeadCell]:
        """All cells, the dearest first."""
        shots = sorted(self.preset.shots, key=lambda k: -(k or 10**9))
        return [self.cell(arm, k, s) for k in shots for s in range(self.preset.seeds) for arm in self.arms]
