"""Sizes of the studies that train shared heads: shots, repetitions, schedule, grid; what each differs in from the paper."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from neural.heads.arms import Setting, settings_grid
from neural.heads.runs import Schedule

__all__ = ["PRESETS", "Grid", "Preset", "differences", "resized"]


@dataclass(frozen=True)
class Grid:
    """Hyperparameters that every arm chooses from, by validation only."""

    learning_rates: tuple[float, ...]
    weight_decays: tuple[float, ...]
    batch_sizes: tuple[int, ...]
    learn_scales: tuple[bool, ...]
    loss_weights: tuple[float, ...]

    def settings(self, arm: str) -> list[Setting]:
        """The points of the grid, equally many for every arm.

        Args:
            arm: key of `neural.heads.arms.ARMS`.

        Returns:
            Settings, in a fixed order.
        """
        return settings_grid(arm, **asdict(self))


@dataclass(frozen=True)
class Preset:
    """A size of a study.

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

    @property
    def trainings(self) -> int:
        """Trainings of one cell."""
        return len(self.grid.settings("uml"))


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
        schedule=Schedule(iterations=1500, warmup=50, eval_every=100, patience=5),
        grid=Grid((3e-2, 1e-2, 3e-3, 1e-3, 3e-4), (0.0,), (16,), (False,), (0.5, 2.0)),
    ),
    # The paper's Table 5; it names no loss weights, these are from the released code.
    "paper": Preset(
        seeds=3,
        shots=(1, 2, 4, 8, 16),
        schedule=Schedule(iterations=12_800, warmup=50, eval_every=100, patience=10),
        grid=Grid((1e-3, 1e-4), (0.0, 0.01, 0.001), (8, 32), (False, True), (0.3, 0.5, 0.7, 1.0, 1.5)),
    ),
}


def resized(preset: Preset, *, seeds: int | None, shots: Sequence[int | None] | None) -> Preset:
    """A preset with other seeds or shots, where given.

    Args:
        preset: to start from.
        seeds: paired repetitions.
        shots: training rows per class.

    Returns:
        Preset.
    """
    changes: dict[str, Any] = {}
    if seeds is not None:
        changes["seeds"] = seeds
    if shots is not None:
        changes["shots"] = tuple(dict.fromkeys(shots))
    return replace(preset, **changes)


def differences(preset: Preset) -> list[str]:
    """What differs from the paper's protocol, in words.

    Args:
        preset: of the study.

    Returns:
        One text per difference; shots are not counted, since a table shows them.
    """
    ours, paper = preset, PRESETS["paper"]
    pairs: list[tuple[str, object, object]] = [("seeds", ours.seeds, paper.seeds)]
    for part in ("schedule", "grid"):
        here, there = asdict(getattr(ours, part)), asdict(getattr(paper, part))
        pairs += [(f"{part}: {name.replace('_', ' ')}", value, there[name]) for name, value in here.items()]
    return [f"{name} {_short(a)} (paper {_short(b)})" for name, a, b in pairs if a != b]


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{v:g}" if not isinstance(v, bool) else str(v) for v in value)
    return str(value)
