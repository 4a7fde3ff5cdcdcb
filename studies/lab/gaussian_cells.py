"""Cells of the Gaussian reconstruction study: arms, budgets, widths, step marks; worlds, training, and what theory says."""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from fisherkit.factor import FactorWorld, e14_world, linear_code_error, loading_information
from fisherkit.psd import PSD
from neural.autoencoder.runs import Curve, Run
from neural.autoencoder.training import runs_per_tensor, train_batched
from neural.results.cells import Cells, cell_key
from neural.results.intervals import paired_ratio
from neural.results.parallel import in_parallel, progress_bar, usable_cores
from neural.results.table import table
from studies.lab.options import check_repetitions

__all__ = [
    "ARMS",
    "Plan",
    "by_arm",
    "compute",
    "fisher_numbers",
    "linear_code_errors",
    "make_run",
    "rows_of",
    "world",
]

ARMS = ("x", "x half", "x 2b", "uml", "uml 2b")
CODE_DIM, VALIDATION_ROWS = 10, 2000


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
        usual_seeds, usual_steps = (4, 2500) if quick else (8, 10_000)
        self.seeds = usual_seeds if seeds is None else seeds
        self.steps = usual_steps if steps is None else steps
        self.batch, self.budget, self.width = batch, 10_000, 128
        self.widths = (64, 128) if quick else (64, 128, 256)
        self.budgets = (1000, 10_000) if quick else (500, 1000, 2500, 5000, 10_000, 20_000)
        check_repetitions(self.seeds)
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

    def places(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(setting, arm, cell) of everything that is compared; arms of different settings may share a cell."""
        settings: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [("usual", {}, ARMS)]
        settings += [(f"width {width}", {"width": width}, ("x", "uml")) for width in self.widths]
        settings += [("loadings / sqrt(dim)", {"unit_rows": True}, ("x", "uml"))]
        settings += [("budgets", {"budget": n}, ("x", "x half", "uml")) for n in self.budgets]
        return [
            (setting, arm, self.cell(arm, seed, **changed))
            for setting, changed, arms in settings
            for arm in arms
            for seed in range(self.seeds)
        ]

    def cells(self) -> list[dict[str, Any]]:
        """All cells, setting by setting; equal ones are computed once."""
        return list({cell_key(cell): cell for _, _, cell in self.places()}.values())

    def comparisons(self) -> dict[str, tuple[str, str, str, str]]:
        """Every ratio that is reported: {label: (arm, control, error, setting)}."""
        full, others = "mse_x_full", [width for width in self.widths if width != self.width]
        return {
            "uml / x": ("uml", "x", full, "usual"),
            "uml 2b / x 2b": ("uml 2b", "x 2b", full, "usual"),
            "uml 2b / x": ("uml 2b", "x", full, "usual"),
            "uml / x half": ("uml", "x half", full, "usual"),
            "x half / x": ("x half", "x", full, "usual"),
            "uml / x, training law": ("uml", "x", "mse_x_attenuated", "usual"),
            "uml / x, loadings / sqrt(dim)": ("uml", "x", full, "loadings / sqrt(dim)"),
        } | {f"uml / x, width {width}": ("uml", "x", full, f"width {width}") for width in others}


# ---------------------------------------------------------------- training


def _seed(seed: int, what: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(what,))


@lru_cache(maxsize=4)
def world(seed: int, unit_rows: bool) -> FactorWorld:
    """Loadings of a repetition."""
    return e14_world(_seed(seed, 0), unit_rows=unit_rows)


@lru_cache(maxsize=64)
def _samples(seed: int, unit_rows: bool, name: str, n: int, kind: str) -> torch.Tensor:
    """Training rows ("train"), validation rows ("full") or validation rows of the training law ("attenuated")."""
    stream = _seed(seed, 1 if kind == "train" else 2)
    rows = world(seed, unit_rows).sample(name, n, seed=stream, attenuated=kind != "full")
    return torch.as_tensor(rows, dtype=torch.float32)


def make_run(cell: dict[str, Any]) -> Run:
    """The training run of a cell."""
    seed, scale = cell["seed"], cell["unit_rows"]
    return Run(
        name=f"{cell['counts']} of seed {seed}, width {cell['width']}",
        data={name: _samples(seed, scale, name, n, "train") for name, n in cell["counts"].items()},
        batch_sizes=cell["rows"],
        seed=int(_seed(seed, 3).generate_state(1)[0]),
        validation={
            kind: ("x", _samples(seed, scale, "x", VALIDATION_ROWS, kind)) for kind in ("full", "attenuated")
        },
        hidden_width=cell["width"],
        latent_dim=CODE_DIM,
    )


def compute(todo: Sequence[dict[str, Any]], cells: Cells, device: str) -> None:
    """Train what is missing, a wave of runs in one tensor at a time, storing each wave as it finishes."""
    if not todo:
        return
    total = sum(cell["eval_steps"][-1] for cell in todo)

    def train(wave: list[dict[str, Any]], progress: Callable[[int], object]) -> list[dict[str, Any]]:
        runs, marks = [make_run(cell) for cell in wave], wave[0]["eval_steps"]
        began = time.perf_counter()
        curves = train_batched(runs, steps=marks[-1], eval_steps=marks, device=device, progress=progress)
        return [_result(curve, (time.perf_counter() - began) / len(wave)) for curve in curves]

    workers = usable_cores() if device == "cpu" else 1
    with progress_bar(total, " run-steps") as bar:
        for wave, results in in_parallel(train, _waves(todo, device), workers, bar):
            cells.add(zip(wave, results, strict=True))


def _waves(todo: Sequence[dict[str, Any]], device: str) -> list[list[dict[str, Any]]]:
    """Cells that can share a tensor, in portions that suit the device, the longest first."""
    alike: dict[tuple[int, int, str], list[dict[str, Any]]] = {}
    for cell in todo:
        cost = cell["width"] * sum(cell["rows"].values())
        alike.setdefault((cost, cell["width"], str(cell["rows"])), []).append(cell)
    parts = []
    for key in sorted(alike, reverse=True):
        group = alike[key]
        count = -(-len(group) // runs_per_tensor(device))
        parts += [[group[i] for i in part] for part in np.array_split(np.arange(len(group)), count)]
    return parts


def _result(curve: Curve, seconds: float) -> dict[str, Any]:
    errors = {kind: values.tolist() for kind, values in curve.validation.items()}
    return errors | {"seconds": round(seconds, 2)}


# ---------------------------------------------------------------- the table


def rows_of(plan: Plan, cells: Cells) -> pd.DataFrame:
    """One row per cell and evaluated step, errors being mean squared errors in data units squared."""
    rows = []
    for cell in plan.cells():
        result = cells.get(cell)
        place = {
            "key": cell_key(cell),
            "x_samples": cell["counts"]["x"],
            "y_samples": cell["counts"].get("y", 0),
            "x_rows_per_step": cell["rows"]["x"],
            "y_rows_per_step": cell["rows"].get("y", 0),
            "hidden_width": cell["width"],
            "loadings_over_sqrt_dim": cell["unit_rows"],
            "seed": cell["seed"],
            "seconds": result["seconds"],
        }
        rows += [
            place | {"step": step, "mse_x_full": full, "mse_x_attenuated": attenuated}
            for step, full, attenuated in zip(
                cell["eval_steps"], result["full"], result["attenuated"], strict=True
            )
        ]
    return table(rows)


def by_arm(rows: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """The rows of every arm in every setting, with columns that name both."""
    places = [(setting, arm, cell_key(cell)) for setting, arm, cell in plan.places()]
    return pd.DataFrame(places, columns=["setting", "arm", "key"]).merge(rows, on="key")


# ---------------------------------------------------------------- theory, and what a sample is worth


def fisher_numbers(world: FactorWorld, n: int) -> dict[str, Any]:
    """Information about x's loadings in n samples of x and n of y, loadings separate or tied (B_c = A_c)."""
    separate = loading_information(world, n, about="x")
    tied = loading_information(world, n, about="x", ties={"y": np.eye(world.shared_dim)})
    both = PSD.from_root(np.vstack([tied["x"].root, tied["y"].root]))
    return {
        "samples_each": n,
        "loadings": separate["x"].dim,
        "trace_x": float(np.trace(separate["x"].matrix)),
        "rank_x": separate["x"].rank,
        "trace_y_separate": float(np.trace(separate["y"].matrix)),
        "trace_y_tied": float(np.trace(tied["y"].matrix)),
        "rank_both_tied": both.rank,
    }


def linear_code_errors(worlds: Sequence[FactorWorld]) -> dict[str, float]:
    """Errors on un-attenuated x of linear codes with unlimited data, geometric mean over worlds."""
    pairs = []
    for world in worlds:
        full, weak = world["x"].covariance(attenuated=False), world["x"].covariance()
        fitted = linear_code_error(full, CODE_DIM, fitted_to=weak)
        pairs.append((linear_code_error(full, CODE_DIM), fitted))
    best, attenuated = np.exp(np.log(pairs).mean(axis=0))
    return {"best": float(best), "fitted_to_attenuated": float(attenuated)}


def exchange_rate(
    n_x: int, n_y: int, uml: NDArray[np.float64], counts: Sequence[int], x_only: NDArray[np.float64]
) -> tuple[float | None, str]:
    """How many x samples one y sample replaced, read off the x-only error as a function of the sample count.

    The rate is (n_eq - n_x) / n_y, n_eq being the number of x samples at which x-only training has the error that
    UML reached. It exists only where x-only error falls significantly (paired 95% interval) across the bracketing
    counts; elsewhere more samples of x would not buy the improvement either, and the question has no answer.

    Args:
        n_x: x samples of the UML runs.
        n_y: y samples of the UML runs.
        uml: (seeds,) errors of the UML runs.
        counts: (c,) increasing sample counts of x-only training.
        x_only: (seeds, c) errors there, same seeds.

    Returns:
        (rate or None, reason or bracket).

    Example:
        >>> errors = np.array([[4.0, 2.0, 1.0], [4.1, 2.1, 1.0]])
        >>> exchange_rate(100, 100, np.array([2.0, 2.1]), [100, 200, 400], errors)[0]
        1.0
    """
    level, middle = np.log(uml).mean(), np.log(x_only).mean(axis=0)
    if not middle.min() <= level <= middle.max():
        where = "below" if level < middle.min() else "above"
        return None, f"not defined: UML's error is {where} the x-only curve"
    for i in range(len(counts) - 1):
        high, low = middle[i], middle[i + 1]
        if low <= level <= high and high > low:
            fall = paired_ratio(x_only[:, i + 1], x_only[:, i])
            if fall.high >= 1:
                return None, f"not defined: x-only curve is flat between {counts[i]:,} and {counts[i + 1]:,}"
            share = (high - level) / (high - low)
            n_eq = float(np.exp(np.log(counts[i]) + share * np.log(counts[i + 1] / counts[i])))
            return round((n_eq - n_x) / n_y, 6), f"between {counts[i]:,} and {counts[i + 1]:,}"
    return None, "not defined: x-only error does not fall through UML's error"
