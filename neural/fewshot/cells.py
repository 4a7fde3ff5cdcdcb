"""Cells of the studies that train shared heads: one arm, one number of shots, one repetition; trained, chosen, tested once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neural.fewshot.presets import Preset
from neural.heads.analysis import class_separation, functional_margins, gradient_alignment
from neural.heads.arms import ARMS, Setting, arm_runs, select
from neural.heads.model import SharedHead
from neural.heads.runs import HeadFit, HeadRun
from neural.heads.sweep import heads_per_tensor, train_heads
from neural.results.cells import Cells
from neural.results.parallel import in_parallel, progress_bar, usable_cores
from neural.tasks.task import Task

__all__ = ["HeadCell", "compute", "of_its_classes"]


@dataclass(frozen=True, eq=False)
class HeadCell:
    """Everything that decides one result: the best of an arm's grid in one repetition.

    Attributes:
        task: what is classified, with what help.
        arm: key of `neural.heads.arms.ARMS`.
        shots: training rows per class, None for the whole pool.
        seed: repetition.
        preset: schedule and grid (its shots and seeds do not matter).
        logit_scale: fixed factor of all logits.
        auxiliary_rows: rows per class of every auxiliary modality, drawn anew in each repetition; None for all.
    """

    task: Task
    arm: str
    shots: int | None
    seed: int
    preset: Preset
    logit_scale: float = 1.0
    auxiliary_rows: int | None = None

    @property
    def key(self) -> dict[str, Any]:
        """What `Cells` keeps the result under."""
        key = {
            "version": 2,
            "task": self.task.fingerprint,
            "rows": self.task.few_shot(self.shots, self.seed).fingerprint,
            "arm": self.arm,
            "shots": self.shots,
            "seed": self.seed,
            "grid": {name: list(values) for name, values in asdict(self.preset.grid).items()},
            "schedule": asdict(self.preset.schedule),
            "logit_scale": self.logit_scale,
        }
        return key if self.auxiliary_rows is None else key | {"auxiliary_rows": self.auxiliary_rows}

    @property
    def settings(self) -> list[Setting]:
        """The arm's grid."""
        return self.preset.grid.settings(self.arm)

    @property
    def steps(self) -> int:
        """Optimiser steps, all trainings together."""
        return self.preset.trainings * self.preset.schedule.iterations

    def runs(self) -> list[HeadRun]:
        """The trainings.

        Returns:
            One per setting.
        """
        task = self.task
        if self.auxiliary_rows is not None:
            seed, n = np.random.SeedSequence([self.seed, self.auxiliary_rows, 77]), len(task.classes)
            some = {
                name: rows.per_class(self.auxiliary_rows, n, seed) for name, rows in task.auxiliaries.items()
            }
            task = replace(task, auxiliaries=some)
        few_shot = task.few_shot(self.shots, self.seed)
        return arm_runs(self.arm, task, few_shot, self.settings, seed=self.seed, logit_scale=self.logit_scale)


def compute(cells: Sequence[HeadCell], store: Cells, device: str) -> int:
    """Train what the store lacks; every portion is stored as it finishes.

    Args:
        cells: of one study; equal ones are computed once.
        store: finished cells.
        device: "cpu" (all cores, one thread each), "cuda", ...

    Returns:
        Number of cells computed now.
    """
    todo = store.unfinished(cells)
    if not todo:
        return 0

    def work(portion: list[HeadCell], progress: Callable[[int], object]) -> list[dict[str, Any]]:
        began = time.perf_counter()
        runs = [cell.runs() for cell in portion]
        flat = [run for part in runs for run in part]
        fits = iter(train_heads(flat, portion[0].preset.schedule, device=device, progress=progress))
        results = [
            _result(cell, part, [next(fits) for _ in part]) for cell, part in zip(portion, runs, strict=True)
        ]
        seconds = round((time.perf_counter() - began) / len(portion), 2)
        return [result | {"seconds": seconds} for result in results]

    on_cpu = torch.device(device).type == "cpu"
    with progress_bar(sum(cell.steps for cell in todo), " run-steps") as bar:
        workers = usable_cores() if on_cpu else 1
        for portion, results in in_parallel(work, _portions(todo, device), workers, bar):
            store.add(zip((cell.key for cell in portion), results, strict=True))
    return len(todo)


def _portions(todo: Sequence[HeadCell], device: str) -> list[list[HeadCell]]:
    """Cells of one schedule that are trained together: one on a CPU, as many as fill a GPU there."""
    if torch.device(device).type == "cpu":
        return [[cell] for cell in todo]
    alike: dict[tuple[str, bool], list[HeadCell]] = {}  # what shares a layout can share a tensor
    for cell in todo:
        arm = ARMS[cell.arm]
        family = str((cell.preset.schedule, arm.projected, arm.auxiliary_loss, arm.target_rows))
        alike.setdefault((family, cell.task.aligned), []).append(cell)
    portions = []
    for group in alike.values():
        size = max(1, heads_per_tensor(device) // group[0].preset.trainings)
        portions += [group[i : i + size] for i in range(0, len(group), size)]
    return portions


def _result(cell: HeadCell, runs: list[HeadRun], fits: list[HeadFit]) -> dict[str, Any]:
    """What is kept of a cell: its best training by validation, and that one's test."""
    task, settings = cell.task, cell.settings
    best = select(fits)
    fit, run = fits[best], runs[best]
    val_accuracy, val_loss = fit.best
    first = next(iter(task.tests.values()))
    logits = fit.logits(first).numpy()
    lengths = np.linalg.norm(logits, axis=1, keepdims=True)
    return {
        "accuracy": _accuracies(task, fit),
        "val_accuracy": val_accuracy,
        "val_loss": val_loss if np.isfinite(val_loss) else None,
        "margin": float(functional_margins(fit.model, first).mean()),
        **_separation(logits / np.where(lengths > 0, lengths, 1), first.labels),
        "alignment_start": _alignment(run, run.initial_model()),
        "alignment": _alignment(run, fit.model),
        "setting": vars(settings[best]),
        "best_step": fit.best_step,
        "candidates": [round(candidate.best[0], 6) for candidate in fits],
        "diverged": sum(candidate.diverged_at is not None for candidate in fits),
    }


def of_its_classes(source: str, test: str) -> str:
    """Under what name the accuracy on the training law is kept that compares with that of a test set of some classes.

    Args:
        source: the test set of the training law.
        test: the test set of some classes (`Task.among`).

    Returns:
        Name; the accuracy is that on the rows of `source` of these classes, predicted among them.
    """
    return f"{source}_of_{test}"


def _accuracies(task: Task, fit: HeadFit) -> dict[str, float]:
    """Of every test set; for one of some classes also of the training law's rows of these classes, where it has any."""
    found = {name: fit.accuracy(rows, task.among.get(name)) for name, rows in task.tests.items()}
    source, rows = next(iter(task.tests.items()))
    for name, classes in task.among.items():
        here = np.isin(rows.labels, classes)
        if name != source and here.any():
            found[of_its_classes(source, name)] = fit.accuracy(rows.take(here), classes)
    return found


def _separation(points: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, float | None]:
    """None where they are not defined: a single class, or no class with two rows."""
    if not 2 <= len(np.unique(labels)) < len(labels):
        return {"silhouette": None, "davies_bouldin": None}
    return {**class_separation(points, labels)}


def _alignment(run: HeadRun, model: SharedHead) -> float | None:
    """Mean gradient alignment of the target with each auxiliary modality, on the rows (and labels) trained on."""
    if len(run.train) < 2:
        return None
    pairs = gradient_alignment(model, run.train)
    return float(np.mean([cosine for pair, cosine in pairs.items() if pair.startswith(f"{run.target}, ")]))
