"""What the transfer study trains: sizes, arms, cells; and how one network is trained.

`studies/language_to_vision.py` reports them.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fisherkit.checks import UnknownNameError
from neural.results.cells import Cells, cell_key
from neural.results.parallel import in_parallel, progress_bar, usable_cores
from neural.transfer.initialisations import INITIALISATIONS, initialise
from neural.transfer.model import PatchTransformer
from neural.transfer.pictures import PictureSet, PictureTask
from neural.transfer.stack import LanguageStack
from neural.transfer.training import Schedule, train
from neural.worlds.glyph_pictures import Jitter
from neural.worlds.glyphs import GlyphSettings
from studies.lab.options import check_repetitions

__all__ = ["ARMS", "MODES", "PRESETS", "Plan", "Preset", "arm_label", "compute", "run_cell"]

MODES = {"frozen": "layers frozen", "unfrozen": "layers unfrozen later", "full": "all trained from step 0"}

# (initialisation, mode) by name; the first of each mode is the claim, the others are what it is held against
ARMS: dict[str, tuple[str, str]] = {
    "pretrained_frozen": ("pretrained", "frozen"),
    "scratch_frozen": ("scratch", "frozen"),
    "shuffled_frozen": ("shuffled", "frozen"),
    "gaussian_frozen": ("gaussian", "frozen"),
    "pretrained_unfrozen": ("pretrained", "unfrozen"),
    "scratch_unfrozen": ("scratch", "unfrozen"),
    "shuffled_unfrozen": ("shuffled", "unfrozen"),
    "gaussian_unfrozen": ("gaussian", "unfrozen"),
    "scratch": ("scratch", "full"),
}


def arm_label(arm: str) -> str:
    """How figures and tables call an arm."""
    how, mode = ARMS[arm]
    return f"{INITIALISATIONS[how]}; {MODES[mode]}"


@dataclass(frozen=True)
class Preset:
    """A size of the study.

    Attributes:
        seeds: paired repetitions.
        schedule: of every training; `unfreeze_at` is that of the unfrozen arms.
        learning_rates: every arm trains with each of these and reports the one that validates best.
        glyphs: classes and pictures of the embedded data.
        patch: pixels of a patch's sides, embedded data.
        look_at: files per class at most in validation and test, of image folders.
    """

    seeds: int
    schedule: Schedule
    learning_rates: tuple[float, ...]
    glyphs: GlyphSettings = field(default_factory=GlyphSettings)
    patch: int = 8
    look_at: int | None = 50


# About half the jitter of the few-shot benchmark, and fresh pictures enough: with 40 strongly jittered ones per class
# the networks learned them by heart (training loss 0.4, test accuracy 20% of 30 classes), whatever they started from.
_JITTER = Jitter(smallest=0.85, largest=1.0, shift=1.5, rotation=8.0, noise=0.05)

PRESETS = {
    "quick": Preset(
        seeds=3,
        schedule=Schedule(steps=100, batch=32, warmup=10, unfreeze_at=30, look_every=10, save_every=50),
        learning_rates=(1e-3,),
        glyphs=GlyphSettings(n_classes=20, train=200, val=8, test=20, jitter=_JITTER),
    ),
    "default": Preset(
        seeds=5,
        schedule=Schedule(steps=400, batch=32, warmup=20, unfreeze_at=100, look_every=40, save_every=200),
        learning_rates=(1e-3, 3e-3, 1e-2),
        glyphs=GlyphSettings(n_classes=50, train=200, val=8, test=20, jitter=_JITTER),
    ),
    # B.4.4 gives patches, dropout and the 2,000 steps; batch, rates and length of training are not stated.
    "paper": Preset(
        seeds=3,
        schedule=Schedule(
            steps=20_000,
            batch=256,
            warmup=1000,
            unfreeze_at=2000,
            look_every=1000,
            save_every=1000,
            precision="bfloat16",
        ),
        learning_rates=(1e-4,),
        patch=4,
    ),
}


@dataclass(frozen=True)
class Plan:
    """Which cells a study has.

    Attributes:
        language: fingerprint of the language model's files, or of the small BERT.
        task: repetition to the pictures; one repetition's are the same for all arms.
        preset: size.
        arms: which; none takes all. The pretrained arm of a mode comes along with its controls, and
            "scratch" always.

    Raises:
        UnknownNameError: no such arm.
        ValueError: fewer than two seeds, no learning rate.
    """

    language: dict[str, Any]
    task: Callable[[int], PictureTask]
    preset: Preset
    arms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for arm in self.arms:
            if arm not in ARMS:
                raise UnknownNameError(arm, ARMS, "arm")
        modes = {ARMS[arm][1] for arm in self.arms or ARMS}
        along = {"scratch", *(f"pretrained_{'unfrozen' if m == 'full' else m}" for m in modes)}
        chosen = set(self.arms or ARMS) | along
        object.__setattr__(self, "arms", tuple(arm for arm in ARMS if arm in chosen))
        check_repetitions(self.preset.seeds)
        if not self.preset.learning_rates:
            raise ValueError("--learning-rates: give at least one")

    def schedule(self, arm: str, learning_rate: float) -> Schedule:
        """How an arm is trained."""
        when = {"frozen": None, "unfrozen": self.preset.schedule.unfreeze_at, "full": 0}[ARMS[arm][1]]
        return replace(self.preset.schedule, learning_rate=learning_rate, unfreeze_at=when)

    def cell(self, arm: str, seed: int, learning_rate: float) -> dict[str, Any]:
        """Everything that decides one training."""
        return {
            "version": 1,
            "arm": arm,
            "seed": seed,
            "language": self.language,
            "task": self.task(seed).fingerprint,
            "schedule": asdict(self.schedule(arm, learning_rate)),
        }

    def cells(self) -> list[dict[str, Any]]:
        """All cells, repetition by repetition."""
        rates = self.preset.learning_rates
        return [self.cell(a, s, r) for s in range(self.preset.seeds) for r in rates for a in self.arms]


def _unfinished(folder: Path, cell: dict[str, Any]) -> Path:
    """Where the checkpoint of a training in flight lies."""
    return folder / f"language_to_vision-{cell_key(cell)}.unfinished"


def run_cell(
    cell: dict[str, Any],
    pretrained: LanguageStack,
    task: PictureTask,
    device: str,
    folder: Path,
    progress: Callable[[int], object],
) -> dict[str, Any]:
    """Train one network: accuracies after the evaluation steps, losses, seconds."""
    began = time.perf_counter()
    seed, schedule = cell["seed"], Schedule(**cell["schedule"])
    stack = initialise(pretrained, ARMS[cell["arm"]][0], seed)
    model = PatchTransformer(stack, task.n_classes, task.settings, seed=seed).to(device)
    labels = torch.tensor(task.train.labels)

    def loss(rows: Tensor, noise: torch.Generator) -> Tensor:
        logits = model(task.train.take(rows).to(device), dropout=noise)
        return F.cross_entropy(logits.float(), labels[rows].to(device))

    def look() -> dict[str, float]:
        return {"val": _accuracy(model, task.val, device), "test": _accuracy(model, task.test, device)}

    log = train(
        model,
        loss,
        len(task.train),
        schedule,
        seed=seed,
        frozen=model.stack,
        look=look,
        device=device,
        checkpoint=_unfinished(folder, cell),
        what=cell,
        progress=progress,
    )
    every = schedule.look_every
    parts = [log.losses[start : start + every] for start in range(0, schedule.steps, every)]
    return {
        **log.looks,
        "loss": [sum(part) / len(part) for part in parts if part],
        "seconds": round(time.perf_counter() - began, 2),
    }


def _accuracy(model: PatchTransformer, pictures: PictureSet, device: str, size: int = 256) -> float:
    """Share of pictures that are classified correctly."""
    right = 0
    for rows in torch.arange(len(pictures)).split(size):
        told = model(pictures.take(rows).to(device)).argmax(dim=1).cpu()
        right += int((told == torch.tensor(pictures.labels[rows.numpy()])).sum())
    return right / len(pictures)


def compute(
    plan: Plan,
    todo: Sequence[dict[str, Any]],
    pretrained: LanguageStack,
    cells: Cells,
    device: str,
    folder: Path,
) -> None:
    """Train what is missing, storing every cell as it finishes; its checkpoint is then deleted."""

    def work(cell: dict[str, Any], progress: Callable[[int], object]) -> dict[str, Any]:
        return run_cell(cell, pretrained, plan.task(cell["seed"]), device, folder, progress)

    workers = usable_cores() if torch.device(device).type == "cpu" else 1
    with progress_bar(len(todo) * plan.preset.schedule.steps, " steps") as bar:
        for cell, result in in_parallel(work, todo, workers, bar):
            cells.add([(cell, result)])
            _unfinished(folder, cell).unlink(missing_ok=True)
