"""A few-shot comparison in one call: train what is not finished yet, and say what came out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from neural.fewshot.cells import compute
from neural.fewshot.plan import Plan, cell_rows
from neural.fewshot.report import as_markdown, draw, summarise
from neural.results.cells import Cells
from neural.results.contrasts import long_form

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What came out.

    Attributes:
        plan: what was compared.
        cells: one row per arm, number of shots and repetition: accuracies as fractions, chosen setting, measures of
            the chosen head, number of trainings that diverged.
        summary: means in percent and paired differences in points, with 95% intervals, and verdicts.
        computed: number of cells trained now; the others were finished.
    """

    plan: Plan
    cells: pd.DataFrame
    summary: Mapping[str, Any]
    computed: int

    @property
    def rows(self) -> pd.DataFrame:
        """The cells as they are written as CSV."""
        return self.cells.drop(columns="diverged")

    @property
    def table(self) -> list[dict[str, object]]:
        """Accuracies and differences in long form, one row per test set, number of shots and arm."""
        return long_form(self.summary["accuracy"], ["test", "shots", "arm"])

    @property
    def markdown(self) -> str:
        """Tables and verdicts."""
        return as_markdown(self.summary)

    def draw(self, path: Path) -> None:
        """Draw the figure as PNG."""
        draw(self.summary, self.cells, path)


def compare(
    plan: Plan, cells: Cells, *, device: str = "cpu", published: Sequence[Mapping[str, Any]] = ()
) -> Comparison:
    """Train what is not finished yet, and say what came out.

    Args:
        plan: task, size, arms.
        cells: finished ones; those trained now are added, each as it is finished.
        device: torch device.
        published: numbers to show beside ours, {"shots", "arm", "accuracy" in percent} each.

    Returns:
        Comparison.

    Example:
        >>> import tempfile
        >>> from neural.fewshot.presets import PRESETS, resized
        >>> from neural.worlds.concepts import concepts
        >>> tiny = resized(PRESETS["quick"], seeds=2, shots=[2])
        >>> plan = Plan(concepts(seed=0, n_classes=4, test_per_class=10), tiny, ("uml",))
        >>> found = compare(plan, Cells(Path(tempfile.mkdtemp()) / "cells.jsonl"))
        >>> plan.arms, found.computed, len(found.rows)
        (('unimodal', 'matched', 'uml'), 6, 6)
    """
    computed = compute(plan.cells(), cells, device)
    rows = cell_rows(plan, cells)
    return Comparison(plan, rows, summarise(plan, rows, published), computed)
