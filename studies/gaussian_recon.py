"""Does unpaired y help a shared autoencoder reconstruct x? (Gupta et al. 2025, Figures 3 and 37, appendix E.14).

    python studies/gaussian_recon.py --quick              4 seeds, 2,500 steps, under 90 seconds on 2 cores
    python studies/gaussian_recon.py                      8 seeds, 10,000 steps; prints its wall time
    python studies/gaussian_recon.py --batch 512          the released code's batch size, about three times as long
    python studies/gaussian_recon.py --device cuda --seeds 32

Training data are attenuated (x sees 1 of 10 shared latents in full), validation data are not; every seed draws new
loadings, samples, initial weights and row order, each from a stream of its own, the same for all arms. Arms, at
a sample budget N and b rows per step:

    x          N of x, b rows            the paper's baseline
    x half     N/2 of x, b rows          tells "y helps" from "half of x hurts"
    x 2b       N of x, 2b rows           control for the arm below it
    uml        N/2 of x + N/2 of y, b/2 + b/2 rows    equal samples per step
    uml 2b     N/2 of x + N/2 of y, b + b rows        the released code's protocol: twice the samples per step

The paper prints no number for Figure 37, so there is none to compare with. What to expect: y's samples carry no
Fisher information about x's loadings (computed below), so a gain can only come from optimisation, shared capacity,
or the difference between training and validation data.

Writes gaussian_recon.png, .csv (one row per cell and step mark) and .json; a killed run resumes.
"""

import sys
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit.factor import FactorWorld, e14_world
from neural.runs import Curve, Run
from neural.training import runs_per_tensor, train_batched
from studies import harness
from studies.gaussian_recon_figure import draw
from studies.gaussian_recon_plan import CODE_DIM, Plan
from studies.gaussian_recon_report import Results, as_text, csv_rows, summarise

__all__ = ["compute", "main", "make_run", "world"]

NAME = "gaussian_recon"
VALIDATION_ROWS = 2000


def _seed(seed: int, what: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(what,))


@lru_cache(maxsize=4)
def world(seed: int, unit_rows: bool) -> FactorWorld:
    """Loadings of a repetition."""
    return e14_world(_seed(seed, 0), unit_rows=unit_rows)


@lru_cache(maxsize=64)
def _rows(seed: int, unit_rows: bool, name: str, n: int, kind: str) -> torch.Tensor:
    """Training rows ("train"), validation rows ("full") or validation rows of the training law ("attenuated")."""
    stream = _seed(seed, 1 if kind == "train" else 2)
    rows = world(seed, unit_rows).sample(name, n, seed=stream, attenuated=kind != "full")
    return torch.as_tensor(rows, dtype=torch.float32)


def make_run(cell: dict[str, Any]) -> Run:
    """The training run of a cell."""
    seed, scale = cell["seed"], cell["unit_rows"]
    return Run(
        name=f"{cell['counts']} of seed {seed}, width {cell['width']}",
        data={name: _rows(seed, scale, name, n, "train") for name, n in cell["counts"].items()},
        batch_sizes=cell["rows"],
        seed=int(_seed(seed, 3).generate_state(1)[0]),
        validation={
            kind: ("x", _rows(seed, scale, "x", VALIDATION_ROWS, kind)) for kind in ("full", "attenuated")
        },
        hidden_width=cell["width"],
        latent_dim=CODE_DIM,
    )


def compute(todo: Sequence[dict[str, Any]], cells: harness.Cells, device: str) -> None:
    """Train what is missing, a wave of runs in one tensor at a time, storing each wave as it finishes."""
    if not todo:
        return
    total = sum(cell["eval_steps"][-1] for cell in todo)

    def train(wave: list[dict[str, Any]], progress: Callable[[int], object]) -> list[dict[str, Any]]:
        runs, marks = [make_run(cell) for cell in wave], wave[0]["eval_steps"]
        began = time.perf_counter()
        curves = train_batched(runs, steps=marks[-1], eval_steps=marks, device=device, progress=progress)
        return [_result(curve, (time.perf_counter() - began) / len(wave)) for curve in curves]

    workers = harness.usable_cores() if device == "cpu" else 1
    with harness.progress_bar(total, " run-steps") as bar:
        for wave, results in harness.in_parallel(train, waves(todo, device), workers, bar):
            cells.add(zip(wave, results, strict=True))


def waves(todo: Sequence[dict[str, Any]], device: str) -> list[list[dict[str, Any]]]:
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
    return {kind: values.tolist() for kind, values in curve.validation.items()} | {
        "seconds": round(seconds, 2)
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study; see the module's docstring.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    parser = harness.parser(__doc__, seeds=8, device=True)
    parser.add_argument("--steps", type=int, default=None, help="optimiser steps (default 10,000)")
    parser.add_argument("--batch", type=int, default=128, help="b, rows per step (default 128)")
    options = parser.parse_args(arguments)
    try:
        plan = Plan(quick=options.quick, seeds=options.seeds, steps=options.steps, batch=options.batch)
        torch.empty(0, device=options.device)
    except (
        ValueError,
        RuntimeError,
        AssertionError,
    ) as error:  # torch has all three for a device that is not there
        parser.error(str(error).splitlines()[0])
    cells = harness.Cells(options.runs / f"{NAME}.jsonl")
    todo = cells.missing(plan.cells())
    compute(todo, cells, options.device)
    results = Results(plan, cells)
    summary = summarise(results, [world(seed, False) for seed in range(plan.seeds)])
    print(as_text(summary))
    figure = options.out / f"{NAME}.png"
    draw(summary, results, figure)
    harness.write_csv(options.out / f"{NAME}.csv", csv_rows(plan, cells))
    seconds = time.perf_counter() - began
    summary["provenance"] = harness.provenance(config=vars(plan), seconds=seconds, device=options.device) | {
        "cells_computed_now": len(todo),
        "cells_in_all": len(plan.cells()),
        "training_seconds_in_all": round(sum(cells.get(cell)["seconds"] for cell in plan.cells()), 1),
    }
    harness.write_json(options.out / f"{NAME}.json", summary)
    print(
        f"wall time {seconds:.0f} s: {len(todo)} cells trained, {len(plan.cells()) - len(todo)} were finished"
    )
    print(f"figure {figure}")
    return summary


if __name__ == "__main__":
    main()
