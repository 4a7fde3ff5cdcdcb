"""What is trained on sequences without labels: sizes, arms, contrasts, and cells; a cell is the best training of a grid.

`studies/self_supervised.py` reports them.
"""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fisherkit.checks import UnknownNameError, as_whole
from neural.results.cells import Cells, cell_key
from neural.results.parallel import in_parallel, progress_bar, usable_cores
from neural.sequences.data import SequenceSet, scrambled
from neural.sequences.model import SharedTransformer, TransformerSettings, embeddings
from neural.sequences.probe import Probe, fit_probe
from neural.sequences.task import SequenceTask, disjoint_halves
from neural.sequences.training import Curriculum, History, Precision, TrainSettings, train
from neural.store.checkpoints import DivergedError
from studies.lab.options import check_repetitions

__all__ = [
    "ARMS",
    "CONTRASTS",
    "PRESETS",
    "Arm",
    "Candidate",
    "Contrast",
    "Plan",
    "Preset",
    "arm_data",
    "arm_names",
    "compute",
]

_POINTS = 25  # of a stored loss curve


@dataclass(frozen=True)
class Candidate:
    """A point of the grid that every arm searches: width of the transformer, learning rate of Adam."""

    width: int
    learning_rate: float


@dataclass(frozen=True)
class Preset:
    """A size of the study.

    Attributes:
        seeds: paired repetitions.
        steps: optimiser steps of every arm; None counts `epochs`.
        epochs: passes over the target's whole training part, where steps are not given.
        batch: target sequences per step.
        learning_rates: of the grid.
        widths: of the grid.
        model: shape of the transformer; its width is replaced by the grid's.
        ratio: sequences of each auxiliary per target sequence.
        loss_weight: of each auxiliary.
        warmup: see `neural.sequences.training.TrainSettings`, as are the following.
        curriculum: who is first; of arms with an auxiliary.
        precision: mixed or not.
        micro_batch: sequences in memory at a time.
    """

    seeds: int
    steps: int | None
    epochs: int
    batch: int
    learning_rates: tuple[float, ...]
    widths: tuple[int, ...]
    model: TransformerSettings
    ratio: float = 1.0
    loss_weight: float = 1.0
    warmup: int = 0
    curriculum: Curriculum | None = None
    precision: Precision = "auto"
    micro_batch: int | None = None

    @property
    def candidates(self) -> list[Candidate]:
        """The grid, the same for every arm."""
        return [Candidate(w, r) for w, r in itertools.product(self.widths, self.learning_rates)]

    def model_settings(self, candidate: Candidate) -> TransformerSettings:
        """Shape of one candidate's transformer."""
        return replace(self.model, width=candidate.width)


_SMALL = TransformerSettings(
    width=64, layers=3, heads=4, feedforward=128, dropout=0.0, positions="learned", norm_first=True
)
PRESETS = {
    "quick": Preset(
        seeds=3, steps=150, epochs=1, batch=32, learning_rates=(2e-3,), widths=(32,), warmup=30,
        model=replace(_SMALL, width=32, layers=2, feedforward=64),
    ),
    "default": Preset(
        seeds=6, steps=800, epochs=1, batch=32, learning_rates=(1e-3, 3e-3), widths=(64,), warmup=50, model=_SMALL
    ),
    # Section B.4.1, MultiBench; batch size, feed-forward size and dropout are those of the released code.
    "paper": Preset(
        seeds=3, steps=None, epochs=100, batch=32, learning_rates=(1e-2, 1e-3, 1e-4), widths=(10, 40, 150, 300),
        model=TransformerSettings(),
    ),
    # Section B.4.1, standard vision-text benchmarks; it gives no further numbers.
    "vision_text": Preset(
        seeds=3, steps=None, epochs=100, batch=64, learning_rates=(1e-3, 1e-4), widths=(256,), warmup=100,
        model=TransformerSettings(width=256, layers=4, heads=4, feedforward=1024, positions="learned", norm_first=True),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """What a training sees.

    Attributes:
        label: in tables and figures.
        auxiliary: "none", "whole" (all of it), "scrambled" (its steps dealt anew over all sequences), "unrelated" (of
            the same kind, about something else) or "disjoint" (without counterparts of what the target shows).
        half: whether the target shows only half of its sequences.
        equal_rows: whether a step has as many sequences as UML's.
        trained: whether there is any training.
    """

    label: str
    auxiliary: str = "none"
    half: bool = False
    equal_rows: bool = False
    trained: bool = True


ARMS = {
    "untrained": Arm("untrained (random weights)", trained=False),
    "unimodal": Arm("unimodal"),
    "unimodal_2b": Arm("unimodal, rows per step as UML", equal_rows=True),
    "uml": Arm("UML", "whole"),
    "uml_scrambled": Arm("UML, auxiliary scrambled", "scrambled"),
    "uml_unrelated": Arm("UML, unrelated auxiliary", "unrelated"),
    "unimodal_half": Arm("unimodal, half of the target", half=True),
    "uml_disjoint": Arm("UML, disjoint halves", "disjoint", half=True),
}


class Contrast(NamedTuple):
    """A paired difference between two arms, the question that it answers, and the control that it is of the claim."""

    arm: str
    control: str
    question: str
    survived: str = ""


CONTRASTS = {
    "paper": Contrast("uml", "unimodal", "the paper's comparison"),
    "rows": Contrast("uml", "unimodal_2b", "equal rows per step", "equal rows per step"),
    "scrambled": Contrast(
        "uml", "uml_scrambled", "order and context of the auxiliary's steps", "a scrambled auxiliary"
    ),
    "unrelated": Contrast("uml", "uml_unrelated", "what the auxiliary is about", "an unrelated auxiliary"),
    "disjoint": Contrast("uml_disjoint", "unimodal_half", "strictly unpaired", "disjoint halves"),
    "learning": Contrast("unimodal", "untrained", "self-supervision itself"),
}


def arm_names(task: SequenceTask) -> list[str]:
    """Arms that a task allows: halves need groups, an unrelated auxiliary must be there for every modality."""
    there = []
    for name, arm in ARMS.items():
        needs_groups = arm.half and not task.has_groups
        lacks = arm.auxiliary == "unrelated" and set(task.unrelated) != set(task.auxiliaries)
        if not (needs_groups or lacks or (arm.auxiliary != "none" and not task.auxiliaries)):
            there.append(name)
    return there


def arm_data(arm: str, task: SequenceTask, seed: int) -> dict[str, SequenceSet]:
    """What an arm learns from, {modality: sequences}, the target first; halves and scrambling are drawn by the seed."""
    kind = ARMS[arm]
    target, helping = task.train, dict(task.auxiliaries)
    if kind.half:
        target, helping = disjoint_halves(task, seed)
    if kind.auxiliary == "none":
        helping = {}
    elif kind.auxiliary == "scrambled":
        helping = {name: scrambled(data, seed) for name, data in helping.items()}
    elif kind.auxiliary == "unrelated":
        helping = dict(task.unrelated)
    return {task.target: target} | helping


@dataclass(frozen=True)
class Plan:
    """Which cells a study has.

    Attributes:
        tasks: one for each seed; the same one where the data set is fixed.
        preset: size of the study.
        arms: which arms, all that the data allow where none is named; controls of the chosen ones come along.

    Raises:
        UnknownNameError: an arm that does not exist or that the data do not allow, a curriculum of another modality.
        ValueError: fewer than two seeds, numbers out of range.
    """

    tasks: Sequence[SequenceTask]
    preset: Preset
    arms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_repetitions(self.preset.seeds)
        if len(self.tasks) != self.preset.seeds:
            raise ValueError(f"{self.preset.seeds} seeds need as many tasks, got {len(self.tasks)}")
        if not self.preset.ratio > 0:
            raise ValueError(f"--ratio: must be positive, got {self.preset.ratio:g}")
        if not self.preset.candidates:
            raise ValueError("the grid is empty; give at least one width and one learning rate")
        there = arm_names(self.tasks[0])
        for arm in self.arms:
            if arm not in there:
                raise UnknownNameError(arm, there, "arm")
        chosen = set(self.arms or there)
        # A gain is never shown without what it is measured against.
        chosen |= {c.control for c in CONTRASTS.values() if c.arm in chosen and c.control in there}
        object.__setattr__(self, "arms", tuple(arm for arm in there if arm in chosen))
        for arm in self.arms:  # complain now, not after an hour
            self.train_settings(arm, self.preset.candidates[0])
        for candidate in self.preset.candidates:
            self.preset.model_settings(candidate)

    @property
    def steps(self) -> int:
        """Optimiser steps of every training."""
        if self.preset.steps is not None:
            return self.preset.steps
        return self.preset.epochs * -(-len(self.tasks[0].train) // self.preset.batch)

    @property
    def contrasts(self) -> dict[str, Contrast]:
        """Those whose arms are there."""
        return {key: c for key, c in CONTRASTS.items() if {c.arm, c.control} <= set(self.arms)}

    def train_settings(self, arm: str, candidate: Candidate) -> TrainSettings:
        """How one candidate of an arm is trained."""
        preset, task = self.preset, self.tasks[0]
        helpers = max(1, round(preset.batch * preset.ratio))
        helped = ARMS[arm].auxiliary != "none"
        batch = {task.target: as_whole(preset.batch, "--batch", least=1)}
        if helped:
            batch |= dict.fromkeys(task.auxiliaries, helpers)
        elif ARMS[arm].equal_rows:
            batch[task.target] += helpers * len(task.auxiliaries)
        return TrainSettings(
            as_whole(self.steps, "--steps", least=1),
            batch,
            dict.fromkeys(task.auxiliaries, preset.loss_weight) if helped else {},
            candidate.learning_rate,
            warmup=preset.warmup,
            curriculum=preset.curriculum if helped else None,
            precision=preset.precision,
            micro_batch=preset.micro_batch,
        )

    def cell(self, arm: str, seed: int) -> dict[str, Any]:
        """Everything that decides one result: the best of an arm's grid in one repetition."""
        size = asdict(self.preset) | {"steps": self.steps}
        del size["seeds"], size["epochs"], size["micro_batch"]
        return {"version": 1, "task": self.tasks[seed].fingerprint, "arm": arm, "seed": seed} | size

    def cells(self) -> list[dict[str, Any]]:
        """All cells, the most expensive arms first."""
        order = sorted(self.arms, key=lambda arm: (ARMS[arm].auxiliary == "none", not ARMS[arm].trained))
        return [self.cell(arm, s) for s in range(self.preset.seeds) for arm in order]

    def cell_steps(self, arm: str) -> int:
        """Optimiser steps of a cell."""
        return self.steps * len(self.preset.candidates) if ARMS[arm].trained else 0

    def results(self, cells: Cells, arm: str) -> list[dict[str, Any]]:
        """What was kept of an arm, seed by seed."""
        return [cells.get(self.cell(arm, s)) for s in range(self.preset.seeds)]


def compute(plan: Plan, todo: Sequence[dict[str, Any]], cells: Cells, device: str, checkpoints: Path) -> None:
    """Train what is missing, storing every cell as it finishes; checkpoints of finished trainings are deleted."""
    if not todo:
        return

    def work(cell: dict[str, Any], progress: Callable[[int], object]) -> dict[str, Any]:
        return _result(plan, cell, device, checkpoints, progress)

    workers = usable_cores() if torch.device(device).type == "cpu" else 1
    total = sum(plan.cell_steps(cell["arm"]) for cell in todo)
    # the probe's linear algebra as well: threads of two workers on the same cores wait for each other
    with threadpool_limits(1), progress_bar(total, " steps") as bar:
        for cell, result in in_parallel(work, todo, workers, bar):
            cells.add([(cell, result)])
            for path in checkpoints.glob(f"{cell_key(cell)}-*.safetensors"):
                if path.name not in result["kept"] and ".corrupt-" not in path.name:
                    path.unlink()


def _result(
    plan: Plan, cell: dict[str, Any], device: str, checkpoints: Path, progress: Callable[[int], object]
) -> dict[str, Any]:
    """The best candidate of a cell by validation, and its test."""
    began = time.perf_counter()
    arm, seed = cell["arm"], cell["seed"]
    task = plan.tasks[seed]
    data = arm_data(arm, task, seed)
    modalities = {name: part.modality for name, part in data.items()}
    best: tuple[Probe, SharedTransformer, History, Candidate] | None = None
    scores: list[float | None] = []
    diverged, kept = [], []
    for number, candidate in enumerate(plan.preset.candidates):
        model = SharedTransformer(modalities, plan.preset.model_settings(candidate), seed=seed).to(device)
        path = checkpoints / f"{cell_key(cell)}-{number}.safetensors"
        history = History({}, 0)
        if ARMS[arm].trained:
            settings = plan.train_settings(arm, candidate)
            try:
                history = train(
                    model, data, settings, target=task.target, seed=seed, checkpoint=path, progress=progress
                )
            except DivergedError as error:
                scores.append(None)
                diverged.append(str(error))
                kept.append(path.name)  # the last good checkpoint, which the message names
                continue
        try:
            probe = _probe(model, task)
        except ValueError as error:  # embeddings that are not finite, of random weights, too
            scores.append(None)
            diverged.append(str(error))
            continue
        scores.append(probe.val_accuracy)
        if best is None or (probe.val_accuracy, -probe.val_loss) > (best[0].val_accuracy, -best[0].val_loss):
            best = probe, model, history, candidate
    if best is None:
        raise FloatingPointError(f"{arm}, seed {seed}: every training diverged; the last: {diverged[-1]}")
    probe, model, history, candidate = best
    assert task.test.labels is not None
    return {
        "accuracy": probe.accuracy(embeddings(model, task.target, task.test), task.test.labels),
        "val_accuracy": probe.val_accuracy,
        "val_loss": probe.val_loss if math.isfinite(probe.val_loss) else None,
        "strength": probe.strength,
        "setting": vars(candidate),
        "candidates": scores,
        "diverged": diverged,
        "kept": kept,
        "curve": _blocks(history.losses.get(task.target)),
        "final_losses": {name: _blocks(v[-20:], 1)[0] for name, v in history.losses.items()},
        "seconds": round(time.perf_counter() - began, 2),
    }


def _probe(model: SharedTransformer, task: SequenceTask) -> Probe:
    """A linear probe on mean embeddings of the target."""
    train_rows, val_rows = (embeddings(model, task.target, part) for part in (task.train, task.val))
    assert task.train.labels is not None
    assert task.val.labels is not None
    return fit_probe(train_rows, task.train.labels, val_rows, task.val.labels)


def _blocks(losses: NDArray[np.float64] | None, points: int = _POINTS) -> list[float | None]:
    """Means over stretches of steps; None where the modality had no turn."""
    if losses is None:
        return []
    parts = np.array_split(losses, min(points, len(losses)))
    return [None if np.isnan(part).all() else float(np.nanmean(part)) for part in parts]
