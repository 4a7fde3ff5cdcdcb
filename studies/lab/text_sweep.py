"""What the studies that sweep over text share: a size that affords many conditions."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from neural.fewshot.presets import Grid, Preset, resized
from neural.heads.runs import Schedule
from neural.results.intervals import Interval
from neural.results.table import by_test
from neural.results.text import by_word, direction
from neural.tasks.task import Task
from studies.lab.options import check_repetitions

__all__ = ["GRID", "SCHEDULE", "check_sizes", "first_test", "gain_words", "lighter", "result_columns"]

#: Four trainings per cell, where the few-shot study has more: a surface or an ablation has many more cells.
SCHEDULE = Schedule(iterations=1000, warmup=50, eval_every=100, patience=5)
GRID = Grid((3e-3, 1e-3), (0.0,), (16,), (False,), (0.5, 2.0))


def lighter(
    preset: Preset, options: Namespace, *, seeds: int, shots: Sequence[int | None] | None = None
) -> Preset:
    """The default preset with fewer and shorter trainings, for a sweep; others, and what is asked for, stay as they are."""
    if options.quick or options.preset not in {None, "default"}:
        return preset
    preset = replace(preset, schedule=SCHEDULE, grid=GRID)
    return resized(
        preset,
        seeds=seeds if options.seeds is None else None,
        shots=shots if options.shots is None else None,
    )


def result_columns(result: Mapping[str, Any]) -> dict[str, object]:
    """A finished cell's entries in the table of a sweep."""
    accuracies = {f"accuracy_{test}": value for test, value in result["accuracy"].items()}
    return accuracies | {"val_accuracy": result["val_accuracy"], "seconds": result["seconds"]}


def first_test(cells: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Accuracy in percent on the first test set, the one that is reported."""
    rows = by_test(cells)
    return rows[rows["test"].eq(next(iter(task.tests)))]


def check_sizes(preset: Preset, sizes: Mapping[str, float | None]) -> None:
    """Refuse fewer than two repetitions, and sizes (by their option) that are not positive and finite."""
    check_repetitions(preset.seeds)
    for option, value in sizes.items():
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(f"{option}: must be positive and finite, got {value:g}")


def gain_words(gains: Mapping[str, Interval], permuted: Mapping[str, Interval]) -> str:
    """Whether text gains at each number of shots; not believed where permuted labels gain as well."""
    words = {k: direction(gain, up="gains", down="loses") for k, gain in gains.items()}
    return by_word({
        k: f"{word}, but permuted labels gain," if permuted[k].low > 0 else word for k, word in words.items()
    })
