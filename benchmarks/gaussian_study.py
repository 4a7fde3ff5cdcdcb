"""The Gaussian study's trainings: all seeds in one tensor, against one run after another.

    python benchmarks/gaussian_study.py [--quick]

Every shape of network and batch that `studies/gaussian_recon.py` trains is timed on its own seeds; the totals weigh
a shape by how many of the study's cells have it. One after another means the plain loop a user would write, with
`torch.optim.Adam` as PyTorch configures it by default, and with its fused kernel.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
from timing import ROUNDS, Goal, Timing, arguments, interleave, pin_threads, report, require_equal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

FUSED, PLAIN, BATCHED = "one after another, fused Adam", "one after another", "all seeds in one tensor"


def compare_shape(cells: list[dict], steps: int, rounds: int) -> dict[str, Timing]:
    """Time the three ways on one shape, after comparing their curves.

    Args:
        cells: cells of the study that differ in their seeds only.
        steps: optimiser steps.
        rounds: how often each way runs.

    Returns:
        {way: Timing}, seconds for all cells.
    """
    from neural.autoencoder.training import train_batched, train_reference
    from studies.lab.gaussian_cells import make_run

    runs = [make_run(cell) for cell in cells]
    marks = [steps // 2, steps]
    methods = {
        BATCHED: lambda: train_batched(runs, steps=steps, eval_steps=marks),
        PLAIN: lambda: [train_reference(run, steps=steps, eval_steps=marks) for run in runs],
        FUSED: lambda: [train_reference(run, steps=steps, eval_steps=marks, fused=True) for run in runs],
    }
    curves = {name: np.array([c.validation["full"] for c in method()]) for name, method in methods.items()}
    require_equal(curves, 1e-4, f"validation curves in single precision after {steps} steps")
    return interleave(methods, rounds, warm=False)


def main(*, quick: bool = False) -> list[Goal]:
    """Compare, time, print.

    Args:
        quick: two seeds of each shape and few steps.

    Returns:
        Goals with the numbers measured.
    """
    import torch

    from studies.lab.gaussian_cells import Plan

    torch.set_num_threads(1)
    plan = Plan(quick=quick, seeds=2 if quick else None)
    steps, rounds = (10, 3) if quick else (300, ROUNDS)
    counts = Counter(shape(cell) for cell in plan.cells())
    total = dict.fromkeys((BATCHED, PLAIN, FUSED), 0.0)
    for key, count in counts.items():
        alike = {cell["seed"]: cell for cell in plan.cells() if shape(cell) == key}
        timings = compare_shape(list(alike.values()), steps, rounds)
        report(f"{key}: {len(alike)} seeds, {steps} steps ({count} of the study's cells)", timings)
        for name, timing in timings.items():
            total[name] += count * timing.median / (len(alike) * steps)
    per_step = ", ".join(f"{name} {1e6 * t / sum(counts.values()):.0f} us" for name, t in total.items())
    print(f"\nmean time of one step of one run over the study's {sum(counts.values())} cells: {per_step}")
    goals = [
        Goal("the study's cells, times faster than one after another", total[PLAIN] / total[BATCHED], 3),
        Goal("the same against Adam's fused kernel", total[FUSED] / total[BATCHED], 3),
    ]
    return [] if quick else goals


def shape(cell: dict) -> str:
    """What two cells have in common if they can be trained in one tensor.

    Args:
        cell: of the study.

    Returns:
        Text such as ``width 128, rows x 64, y 64``.
    """
    rows = ", ".join(f"{name} {count}" for name, count in cell["rows"].items())
    return f"width {cell['width']}, rows {rows}"


if __name__ == "__main__":
    options = arguments(__doc__).parse_args()
    pin_threads()
    print(*main(quick=options.quick), sep="\n")
