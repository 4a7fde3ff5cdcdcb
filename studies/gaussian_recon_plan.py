"""The cells of the Gaussian reconstruction study: arms, budgets, widths, step marks."""

import itertools
from typing import Any

import numpy as np

from studies import harness

__all__ = ["ARMS", "CODE_DIM", "Plan"]

CODE_DIM = 10
ARMS = ("x", "x half", "x 2b", "uml", "uml 2b")


class Plan:
    """Which cells a study of this size has, and when they are validated.

    Args:
        quick: the small version.
        seeds: paired repetitions, >= 2.
        steps: optimiser steps.
        batch: b, rows per step; even. A cell with fewer rows of a modality than it would take per step takes all.

    Raises:
        ValueError: fewer than two seeds, odd or too large batch, too few steps.

    Example:
        >>> plan = Plan(quick=True)
        >>> plan.cell("uml 2b", seed=0)["counts"], plan.cell("uml 2b", seed=0)["rows"]
        ({'x': 5000, 'y': 5000}, {'x': 128, 'y': 128})
    """

    def __init__(
        self, *, quick: bool, seeds: int | None = None, steps: int | None = None, batch: int = 128
    ) -> None:
        self.seeds = seeds if seeds is not None else 4 if quick else 8
        self.steps = steps if steps is not None else 2500 if quick else 10_000
        self.batch, self.budget, self.width = batch, 10_000, 128
        self.widths = (64, 128) if quick else (64, 128, 256)
        self.budgets = (1000, 10_000) if quick else (500, 1000, 2500, 5000, 10_000, 20_000)
        if self.seeds < 2:
            raise ValueError(f"--seeds: intervals need at least 2 paired repetitions, got {self.seeds}")
        if batch % 2 or not 2 <= batch <= self.budget // 2:
            raise ValueError(
                f"--batch: must be even and between 2 and {self.budget // 2}, half the budget; got {batch}"
            )
        if self.steps < 100:
            raise ValueError(f"--steps: the curves start at step 50; give at least 100, got {self.steps}")
        fixed = (500, 1000, 1500, 2000, 2500, 3000, 5000, 7000, 10_000)
        self.marks = sorted({*(m for m in fixed if m < self.steps), self.steps})
        self.early = min(1500, self.steps)  # where the second look at budgets is taken
        curve = np.geomspace(50, self.steps, 22).round().astype(int).tolist()
        self.eval_steps = sorted({*curve, *self.marks})

    def cell(
        self,
        arm: str,
        seed: int,
        *,
        budget: int | None = None,
        width: int | None = None,
        unit_rows: bool = False,
    ) -> dict[str, Any]:
        """Everything that decides one run's result."""
        n, b = self.budget if budget is None else budget, self.batch
        n_x = n if arm in {"x", "x 2b"} else n // 2
        rows = {"x": b, "x half": b, "x 2b": 2 * b, "uml": b // 2, "uml 2b": b}[arm]
        counts = {"x": n_x} | ({"y": n // 2} if arm.startswith("uml") else {})
        return {
            "version": 1,
            "counts": counts,
            "rows": {name: min(rows, count) for name, count in counts.items()},
            "width": self.width if width is None else width,
            "unit_rows": unit_rows,
            "eval_steps": self.eval_steps,
            "seed": seed,
        }

    def cells(self) -> list[dict[str, Any]]:
        """All cells, panel by panel; equal ones (an arm that two panels share) are computed once."""
        repeats = range(self.seeds)
        cells = [self.cell(arm, s) for arm in ARMS for s in repeats]
        pair = ("x", "uml")
        cells += [self.cell(a, s, width=w) for w in self.widths for a in pair for s in repeats]
        cells += [self.cell(a, s, unit_rows=True) for a in pair for s in repeats]
        sizes = itertools.product(self.budgets, ("x", "x half", "uml"))
        cells += [self.cell(a, s, budget=n) for n, a in sizes for s in repeats]
        return list({harness.cell_key(cell): cell for cell in cells}.values())
