"""Full fine-tuning, cell by cell: the encoder of pictures is trained together with the head, on all training pictures.

Of glyphs the small network that drew them up, of images on disk the pretrained encoder whose features a task holds.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fisherkit.checks import as_whole
from neural.datasets import SPECS, ImageDataset, load, open_dataset
from neural.embed import Encoder
from neural.fewshot.presets import PRESETS
from neural.heads.arms import ARMS, Setting, arm_runs, select
from neural.heads.runs import HeadFit, HeadRun, Schedule
from neural.heads.training import train_head
from neural.results.cells import Cells
from neural.results.parallel import in_parallel, progress_bar, usable_cores
from neural.tasks.pixels import PixelEncoder, keep_pixels
from neural.tasks.task import Embeddings, Numbered, Task
from neural.worlds.glyph_pictures import SIDE
from neural.worlds.glyphs import GlyphTask, LabelledPictures, glyph_encoder, glyph_pools

__all__ = [
    "PAPER_BATCH",
    "PAPER_RATE",
    "FineTuneCell",
    "FineTuning",
    "fine_tune",
    "glyph_fine_tuning",
    "identity_layer",
    "image_files",
    "image_fine_tuning",
    "tuning_differences",
]

PAPER_RATE, PAPER_BATCH = 5e-5, 64  # of full fine-tuning (the paper's Appendix B.4.2)


@dataclass(frozen=True, eq=False)
class FineTuning:
    """What all cells of fine-tuning share.

    Attributes:
        task: rows are what the encoder reads (flattened pictures in [0, 1], or numbers of pictures); auxiliary rows are
            features.
        encoder: pretrained network from these rows to features; every training starts from a copy.
        schedule: of each training.
        learning_rates: that every arm chooses from, by validation; one rate for encoder and head.
        batch_size: target rows per step.
        aligned: whether the encoder's features and the auxiliary rows live in one space, so that nothing is projected.
            (The task cannot say so: what the encoder reads lives in another.)
        source: what the encoder's features depend on beside its weights and rows.

    Raises:
        ValueError: learning rates that are not positive, a batch without rows.
    """

    task: Task
    encoder: nn.Module
    schedule: Schedule
    learning_rates: tuple[float, ...]
    batch_size: int
    aligned: bool = False
    source: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        as_whole(self.batch_size, "batch size", least=1)
        for rate in self.learning_rates:
            if not (np.isfinite(rate) and rate > 0):
                raise ValueError(f"learning rates: each must be positive and finite, got {rate}")

    @cached_property
    def key(self) -> dict[str, Any]:
        """What decides the results of all cells alike."""
        digest = hashlib.sha256()
        for name, weights in self.encoder.state_dict().items():
            digest.update(name.encode() + weights.numpy().tobytes())
        key: dict[str, Any] = {
            "kind": "fine-tuning",
            "version": 1,
            "task": self.task.fingerprint,
            "rows": self.task.few_shot(None, 0).fingerprint,
            "encoder": digest.hexdigest()[:16],
            "schedule": asdict(self.schedule),
            "learning_rates": list(self.learning_rates),
            "batch_size": self.batch_size,
        }
        further = {"aligned": self.aligned, "source": dict(self.source)}
        return key | {name: value for name, value in further.items() if value}


@dataclass(frozen=True, eq=False)
class FineTuneCell:
    """One arm in one repetition; repetitions differ in initial weights of head and projection, and in the order of rows.

    Attributes:
        shared: what all cells have in common.
        arm: key of `neural.heads.arms.ARMS`.
        seed: repetition.
        ratio: auxiliary rows per target row in each step, r of the paper's Table 28.
        unfrozen: whether the auxiliary encoder is trained, too (Table 29), see `identity_layer`.

    Raises:
        ValueError: a ratio that leaves no auxiliary row, or a ratio or unfrozen encoder in an arm without auxiliary rows.
    """

    shared: FineTuning
    arm: str
    seed: int
    ratio: float = 1.0
    unfrozen: bool = False

    def __post_init__(self) -> None:
        if (self.ratio != 1 or self.unfrozen) and not ARMS[self.arm].auxiliary_loss:
            raise ValueError(
                f"arm {self.arm!r} is not trained on auxiliary rows; it has no batch ratio and nothing to unfreeze"
            )
        if not (np.isfinite(self.ratio) and self.ratio > 0 and round(self.ratio * self.shared.batch_size)):
            raise ValueError(
                f"ratio: {self.ratio:g} of {self.shared.batch_size} target rows leaves no auxiliary row; raise one of them"
            )

    @property
    def key(self) -> dict[str, Any]:
        """What `Cells` keeps the result under."""
        own = {"arm": self.arm, "seed": self.seed, "ratio": self.ratio, "unfrozen": self.unfrozen}
        return self.shared.key | own

    @property
    def settings(self) -> list[Setting]:
        """One setting per learning rate."""
        rates = self.shared.learning_rates
        return [Setting(rate, 0.0, self.shared.batch_size, False) for rate in rates]

    @property
    def steps(self) -> int:
        """Optimiser steps, all trainings together."""
        return len(self.settings) * self.shared.schedule.iterations

    def runs(self) -> list[HeadRun]:
        """The trainings, one per setting: those of a linear probe, with an encoder before the head."""
        task = self.shared.task
        encoders: dict[str, nn.Module] = {task.target: self.shared.encoder}
        if self.unfrozen:
            encoders |= {name: identity_layer(rows.dim) for name, rows in task.auxiliaries.items()}
        fitted = []
        for run in arm_runs(self.arm, task, task.few_shot(None, self.seed), self.settings, seed=self.seed):
            batches = {
                name: size if name == task.target else round(self.ratio * size)
                for name, size in run.batch_sizes.items()
            }
            # Without a projection the head lives in the space of the encoder's features, not of its inputs.
            projected = () if self.shared.aligned else run.projected
            head_dim = run.head_dim if projected else None
            fitted.append(
                replace(run, batch_sizes=batches, encoders=encoders, projected=projected, head_dim=head_dim)
            )
        return fitted


def identity_layer(dim: int) -> nn.Linear:
    """A linear layer that changes nothing until it is trained.

    Behind a frozen encoder whose last layer is linear (the word encoder ends in an SVD) it is that last layer unfrozen,
    as far as its row space goes: a stand-in for an unfrozen text encoder.

    Args:
        dim: features.

    Returns:
        The layer, without bias.

    Example:
        >>> bool((identity_layer(3)(torch.ones(2, 3)) == 1).all())
        True
    """
    layer = nn.utils.skip_init(nn.Linear, dim, dim, bias=False)
    nn.init.eye_(layer.weight)
    return layer


def glyph_fine_tuning(
    task: Task, schedule: Schedule, learning_rates: Sequence[float], batch_size: int, *, cache: Path | None
) -> FineTuning:
    """Fine-tuning on the pictures behind the features of a glyphs task.

    Args:
        task: from `neural.worlds.glyphs.glyphs`; its auxiliary rows are used as they are.
        schedule: of each training.
        learning_rates: to choose from.
        batch_size: pictures per step.
        cache: folder that keeps the pretrained encoder.

    Returns:
        FineTuning, with the test set of the training law alone.

    Raises:
        ValueError: a task of another source, whose inputs are not known.
    """
    if not isinstance(task, GlyphTask):
        raise ValueError(  # noqa: TRY004 - a choice on the command line
            f"fine-tuning needs the pictures behind the features, and {task.name!r} gives features alone; choose "
            "--dataset glyphs or images on disk, or --parts linear"
        )
    settings, seed = task.settings, task.seed
    pools = glyph_pools(settings, seed=seed, cache=cache)
    first = next(iter(task.tests))
    pictures = replace(
        task,
        train=_rows(pools["train"]),
        val=_rows(pools["val"]),
        tests={first: _rows(pools[first])},
    )
    encoder = nn.Sequential(nn.Unflatten(1, (SIDE, SIDE)), glyph_encoder(settings, seed=seed, cache=cache))
    return FineTuning(pictures, encoder, schedule, tuple(learning_rates), batch_size)


def _rows(drawn: LabelledPictures) -> Embeddings:
    """Flattened pictures, ink 1."""
    return Embeddings(
        drawn.pictures.reshape(len(drawn.labels), -1).astype(np.float32) / 255, drawn.labels, "picture"
    )


def image_files(dataset: str, root: Path, *, seed: int) -> ImageDataset:
    """The files behind a task of `studies.lab.task_sources.encoded_task`; the seed deals the parts of a folder without."""
    return load(dataset, root) if dataset in SPECS else open_dataset(dataset, seed=seed)


def image_fine_tuning(
    task: Task,
    images: ImageDataset,
    vision: Encoder,
    schedule: Schedule,
    learning_rates: Sequence[float],
    batch_size: int,
    *,
    cache: Path,
) -> FineTuning:
    """Fine-tuning of the encoder of images behind a task's features; auxiliary rows stay the frozen features.

    Args:
        task: features of all images, and of sentences.
        images: the files; whole parts, as in the task.
        vision: the encoder that made the features.
        schedule: of each training.
        learning_rates: to choose from.
        batch_size: images per step.
        cache: folder that keeps the prepared images.

    Returns:
        FineTuning, with the test set of the training law alone; its rows are numbers of images.

    Raises:
        ValueError: an encoder without weights, an image that cannot be read.
    """
    parts = images.parts
    files = [file for items in parts.values() for file in items.files]
    pixels, numbers = keep_pixels(vision, files, cache=cache)
    ends = np.cumsum([len(items) for items in parts.values()])[:-1]
    rows = {
        name: Numbered(part, items.labels, "picture")
        for (name, items), part in zip(parts.items(), np.split(numbers, ends), strict=True)
    }
    pictures = replace(
        task,
        train=rows["train"],
        val=rows["val"],
        tests={next(iter(task.tests)): rows["test"]},
        aligned=False,
        subsets={},
        among={},
    )
    tower = PixelEncoder(vision, pixels)
    return FineTuning(
        pictures, tower, schedule, tuple(learning_rates), batch_size, task.aligned, tower.source
    )


def tuning_differences(tuning: FineTuning, seeds: int) -> list[str]:
    """What differs from the paper's full fine-tuning, one text per difference."""
    paper = PRESETS["paper"]
    there = asdict(paper.schedule)
    pairs: list[tuple[str, object, object]] = [("seeds", seeds, paper.seeds)]
    pairs += [
        (f"schedule: {name.replace('_', ' ')}", value, there[name])
        for name, value in asdict(tuning.schedule).items()
    ]
    pairs.append((
        "learning rates",
        ", ".join(f"{rate:g}" for rate in tuning.learning_rates),
        f"{PAPER_RATE:g}",
    ))
    pairs.append(("batch size", tuning.batch_size, PAPER_BATCH))
    texts = [f"{name} {ours} (paper {theirs})" for name, ours, theirs in pairs if ours != theirs]
    return [*texts, "text encoder unfrozen: a linear layer behind it is trained (paper the encoder itself)"]


def fine_tune(cells: Sequence[FineTuneCell], store: Cells, device: str) -> int:
    """Train what the store lacks, one training on each core, stored as it finishes; returns how many were computed now."""
    todo = store.unfinished(cells)

    def work(cell: FineTuneCell, progress: Callable[[int], object]) -> Mapping[str, Any]:
        began, fits = time.perf_counter(), []
        for run in cell.runs():
            fits.append(_train(run, cell.shared.schedule, device))
            progress(cell.shared.schedule.iterations)
        best = select(fits)
        val_accuracy, val_loss = fits[best].best
        for encoder in fits[best].encoders.values():
            if isinstance(encoder, PixelEncoder):  # reads numbers from anywhere
                encoder.to(device)
        tests = cell.shared.task.tests
        return {
            "accuracy": {name: fits[best].accuracy(rows) for name, rows in tests.items()},
            "val_accuracy": val_accuracy,
            "val_loss": val_loss if np.isfinite(val_loss) else None,
            "setting": vars(cell.settings[best]),
            "best_step": fits[best].best_step,
            "candidates": [round(fit.best[0], 6) for fit in fits],
            "seconds": round(time.perf_counter() - began, 2),
        }

    workers = usable_cores() if torch.device(device).type == "cpu" else 1
    if todo:
        with progress_bar(sum(cell.steps for cell in todo), " run-steps") as bar:
            for cell, result in in_parallel(work, todo, workers, bar):
                store.add([(cell.key, result)])
    return len(todo)


def _train(run: HeadRun, schedule: Schedule, device: str) -> HeadFit:
    try:
        return train_head(run, schedule, device=device)
    except torch.cuda.OutOfMemoryError as error:
        error.add_note(f"--batch-size: choose one below {run.batch_sizes[run.target]}")
        raise
