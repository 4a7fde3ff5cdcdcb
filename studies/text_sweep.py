"""What the studies that sweep over text share: a size that affords many conditions."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

from neural.heads.runs import Schedule
from studies.head_presets import Grid, Preset, resized

__all__ = ["GRID", "SCHEDULE", "lighter"]

#: Four trainings per cell, where the few-shot study has more: a surface or an ablation has many more cells.
SCHEDULE = Schedule(iterations=1000, warmup=50, eval_every=100, patience=5)
GRID = Grid((3e-3, 1e-3), (0.0,), (16,), (False,), (0.5, 2.0))


def lighter(
    preset: Preset, options: Namespace, *, seeds: int, shots: Sequence[int | None] | None = None
) -> Preset:
    """The size of a sweep: the default preset with fewer and shorter trainings; others stay as they are.

    Args:
        preset: that the command line asks for.
        options: with `quick`, `preset`, `seeds` and `shots`.
        seeds: of the sweep, unless the command line says.
        shots: likewise.

    Returns:
        Preset.
    """
    if options.quick or options.preset not in {None, "default"}:
        return preset
    preset = replace(preset, schedule=SCHEDULE, grid=GRID)
    return resized(
        preset,
        seeds=seeds if options.seeds is None else None,
        shots=shots if options.shots is None else None,
    )
