"""What the few-shot study trains: presets, arms, shots, the grid, and the cells."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from fisherkit.checks import UnknownNameError, as_whole
from neural.data.task import Task
from neural.heads.arms import ARMS, Setting, arm_names, settings_grid
from neural.heads.runs import Schedule

__all__ = ["PRESETS", "Grid", "Plan", "Preset", "resized"]


@dataclass(frozen=True)
class Grid:
    """Hyperparameters that every arm chooses from, by validation only."""

    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    learn_scales: tuple[bool, ...]
    loss_weights: tuple[float, ...]

    def settings(self, arm: str) -> list[Setting]:
        """Equally many for every arm."""
        return settings_grid(arm, **asdict(self))


@dataclass(frozen=True)
class Preset:
    """A size of the study.

    Attributes:
        seeds: paired repetitions.
        shots: training rows per class; None is the whole pool.
        schedule: of each training.
        grid: hyperparameters.
    """

    seeds: int
    shots: tuple[int | None, ...]
    schedule: Schedule
    grid: Grid


PRESETS = {
    "quick": Preset(
        seeds=3,
        shots=(1, 4),
        schedule=Schedule(iterations=400, warmup=20, eval_every=50, patience=4),
        grid=Grid((1e-2, 1e-3), (0.0,), (16,), (False,), (1.0,)),
    ),
    "default": Preset(
        seeds=8,
        shots=(1, 2, 4, 8, 16),
        schedule=Schedule(iterations=1000, warmup=50, eval_every=100, patience=5),
        grid=Grid((1e-2, 3e-3, 1e-3), (0.0,), (16,), (False,), (0.3, 1.0, 3.0)),
    ),
    # The paper's Table 5; it names no loss weights, these are the union of those in the released code.
    "paper": Preset(
        seeds=3,
        shots=(1, 2, 4, 8, 16),
        schedule=Schedule(iterations=12_800, warmup=50, eval_every=100, patience=10),
        grid=Grid((1e-3, 1e-4), (0.0, 0.01, 0.001), (8, 32), (False, True), (0.3, 0.5, 0.7, 1.0, 1.5)),
    ),
}


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
        ValueError: fewer than two seeds, shots below one, logit scale not positive.
    """

    task: Task
    preset: Preset
    arms: tuple[str, ...] = field(default=())
    logit_scale: float = 1.0

    def __post_init__(self) -> None:
        there = arm_names(self.task)
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

    def cell(self, arm: str, shots: int | None, seed: int) -> dict[str, Any]:
        """Everything that decides one result: the best of an arm's grid in one repetition."""
        return {
            "version": 1,
            "task": self.task.fingerprint,
            "arm": arm,
            "shots": shots,
            "seed": seed,
            "grid": {name: list(values) for name, values in asdict(self.preset.grid).items()},
            "schedule": asdict(self.preset.schedule),
            "logit_scale": self.logit_scale,
        }

    def cells(self) -> list[dict[str, Any]]:
        """All cells, the dearest first."""
        shots = sorted(self.preset.shots, key=lambda k: -(k or 10**9))
        return [self.cell(arm, k, s) for k in shots for s in range(self.preset.seeds) for arm in self.arms]

    @property
    def steps_per_cell(self) -> int:
        """Optimiser steps of a cell, all of its trainings together."""
        return len(self.preset.grid.settings("uml")) * self.preset.schedule.iterations

    def differences(self) -> list[str]:
        """What differs from the paper's protocol, in words."""
        ours, paper = self.preset, PRESETS["paper"]
        lines = []
        pairs: list[tuple[str, object, object]] = [
            ("seeds", ours.seeds, paper.seeds),
            *(
                (f"schedule: {name}", value, getattr(paper.schedule, name))
                for name, value in asdict(ours.schedule).items()
            ),
            *(
                (f"grid: {name.replace('_', ' ')}", value, getattr(paper.grid, name))
                for name, value in asdict(ours.grid).items()
            ),
        ]
        for name, here, there in pairs:
            if here != there:
                lines.append(f"{name} {_short(here)} (paper {_short(there)})")
        return lines


def _short(value: object) -> str:
    return (
        ", ".join(f"{v:g}" if not isinstance(v, bool) else str(v) for v in value)
        if isinstance(value, tuple)
        else str(value)
    )


def resized(preset: Preset, *, seeds: int | None, shots: Sequence[int | None] | None) -> Preset:
    """A preset with other seeds or shots, where given."""
    changes: dict[str, Any] = {}
    if seeds is not None:
        changes["seeds"] = seeds
    if shots is not None:
        changes["shots"] = tuple(shots)
    return replace(preset, **changes)
