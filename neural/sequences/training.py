"""Train a shared transformer on unpaired sequences (paper, Algorithm 1).

A step takes a batch of each modality, adds up their weighted losses and updates all weights once. Batches of different
modalities come from independent streams: nothing pairs a picture with its text.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fisherkit.checks import UnknownNameError, as_whole
from neural.minibatches import RowStream, torch_generator
from neural.resumable import PRECISIONS, train_resumably
from neural.sequences.data import SequenceSet
from neural.sequences.model import SharedTransformer, predicted_steps
from neural.store.checkpoints import Checkpoints

__all__ = [
    "Curriculum",
    "History",
    "Precision",
    "TrainSettings",
    "mixed_precision",
    "train",
]

Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Curriculum:
    """Some modalities train alone before the others join.

    The paper says that X (the target) is first; its released code trains Y first. So both are said here.
    """

    first: tuple[str, ...]  # the modalities that start
    epochs: int  # for how many passes over the target's sequences

    def __post_init__(self) -> None:
        if not self.first:
            raise ValueError("curriculum: name at least one modality that is first")
        as_whole(self.epochs, "curriculum: epochs", least=1)


@dataclass(frozen=True)
class TrainSettings:
    """How to train."""

    steps: int  # optimiser steps, >= 1
    # {modality: sequences per step}; a batch ratio is the ratio of two of them
    batch_sizes: Mapping[str, int]
    # {modality: weight >= 0}; those left out weigh 1
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    learning_rate: float = 1e-3  # of Adam
    warmup: int = 0  # steps over which the learning rate rises linearly to its value, which then stays
    clip: float | None = 1.0  # greatest norm of the gradient; None clips nothing
    curriculum: Curriculum | None = None  # who trains alone at first; None is everybody from the start
    # "float32"; "bfloat16" or "float16" (with a gradient scaler) on a GPU; "auto" is bfloat16 on a GPU that has
    # it, float16 on another, float32 on a CPU
    precision: Precision = "auto"
    # sequences in memory at a time, for small cards; gradients are summed up to the batch's. None is the whole
    # batch
    micro_batch: int | None = None
    checkpoint_every: int = 500  # steps between two checkpoints, where a path is given

    def __post_init__(self) -> None:
        as_whole(self.steps, "steps", least=1)
        as_whole(self.warmup, "warmup", least=0)
        as_whole(self.checkpoint_every, "checkpoint_every", least=1)
        if self.micro_batch is not None:
            as_whole(self.micro_batch, "micro_batch", least=1)
        if not self.batch_sizes:
            raise ValueError("batch_sizes: at least one modality is needed")
        for name, size in self.batch_sizes.items():
            as_whole(size, f"{name}: batch size", least=1)
        for name, weight in self.loss_weights.items():
            if name not in self.batch_sizes:
                raise UnknownNameError(name, self.batch_sizes, "modality in loss_weights")
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"{name}: loss weight must be finite and >= 0, got {weight:g}")
        for name in self.curriculum.first if self.curriculum else ():
            if name not in self.batch_sizes:
                raise UnknownNameError(name, self.batch_sizes, "modality in curriculum")
        for what, value in (("learning_rate", self.learning_rate), ("clip", self.clip)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{what}: must be positive and finite, got {value:g}")
        if self.precision not in ("auto", *PRECISIONS):
            raise UnknownNameError(self.precision, ("auto", *PRECISIONS), "precision")

    def active(self, step: int, target_rows: int, target: str) -> list[str]:
        """Modalities that take part in a 0-based step; an epoch is a pass over the target's sequences."""
        if self.curriculum is not None:
            epoch = step // -(-target_rows // self.batch_sizes[target])
            if epoch < self.curriculum.epochs:
                return [name for name in self.batch_sizes if name in self.curriculum.first]
        return list(self.batch_sizes)


@dataclass(frozen=True, eq=False)
class History:
    """What a training went through."""

    # {modality: (steps,) float64}, mean over predicted steps; NaN where it had no turn
    losses: Mapping[str, NDArray[np.float64]]
    resumed_at: int  # step that this process started from


def train(
    model: SharedTransformer,  # on the device to train on
    data: Mapping[str, SequenceSet],  # the modalities of `settings.batch_sizes`
    settings: TrainSettings,
    *,
    target: str,  # whose passes are epochs
    seed: int,  # of the order of rows and of dropout
    # more `steps`, another `micro_batch` or `checkpoint_every` go on from it as well
    checkpoint: Path | None = None,
    progress: Callable[[int], object] | None = None,  # called with the steps done since the last call
) -> History:
    """Train in place; killed and started again, it goes on and ends, on a CPU, with the same digits."""
    for name in settings.batch_sizes:
        if name not in data:
            raise UnknownNameError(name, data)
    if target not in settings.batch_sizes:
        raise UnknownNameError(target, settings.batch_sizes)
    for name in settings.batch_sizes:
        if predicted_steps(model.modalities[name], data[name].lengths) == 0:
            raise ValueError(f"{name}: no sequence has a second step, so there is nothing to predict")
    device = model.device
    amp = mixed_precision(settings.precision, device)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    scaler = torch.amp.GradScaler(device.type, enabled=amp is torch.float16)
    streams = {
        name: RowStream(len(data[name]), torch_generator(seed, f"rows of {name}"))
        for name in settings.batch_sizes
    }
    keep = Checkpoints(
        checkpoint, _identity(model, data, settings, target, seed, amp), model, optimiser, scaler, streams
    )

    def batch(step: int) -> dict[str, int]:
        return {name: settings.batch_sizes[name] for name in settings.active(step, len(data[target]), target)}

    def gradient(step: int, rows: Mapping[str, Tensor]) -> dict[str, float]:
        losses = dict.fromkeys(settings.batch_sizes, math.nan)
        dropout = _dropout_generator(model, seed, step)
        for name, numbers in rows.items():
            losses[name] = _backward(model, name, data[name], numbers, settings, scaler, amp, dropout)
            if not math.isfinite(losses[name]):
                raise keep.diverged(f"the loss of {name!r} is {losses[name]}", step, rows)
        return losses

    start, curves = train_resumably(
        keep,
        settings.steps,
        batch=batch,
        gradient=gradient,
        rate=lambda step: settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup)),
        clip=settings.clip,
        save_every=settings.checkpoint_every,
        progress=progress,
    )
    return History({name: np.array(values) for name, values in curves.items()}, start)


def _backward(
    model: SharedTransformer,
    name: str,
    data: SequenceSet,
    rows: Tensor,
    settings: TrainSettings,
    scaler: torch.amp.GradScaler,
    amp: torch.dtype | None,
    dropout: torch.Generator | None,
) -> float:
    """Add the gradient of a modality's weighted mean loss, computed in parts of at most `micro_batch` sequences."""
    count = max(1, predicted_steps(model.modalities[name], data.lengths[rows.numpy()]))
    weight = settings.loss_weights.get(name, 1.0)
    total = torch.zeros((), device=model.device)
    for part in rows.split(settings.micro_batch or len(rows)):
        batch = data.batch(part, model.device)
        with torch.autocast(model.device.type, amp, enabled=amp is not None):
            mean = model.loss_sum(name, batch, dropout) / count  # the count of the whole batch
        scaler.scale(weight * mean).backward()
        total += mean.detach()
    return total.item()


def mixed_precision(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Type of mixed precision on a device; None for plain float32."""
    if device.type == "cpu":
        if precision not in ("auto", "float32"):
            raise ValueError(f"precision: {precision} is for GPUs; on a CPU take float32 or auto")
        return None
    if precision == "auto":
        has_bfloat16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if has_bfloat16 else torch.float16
    return PRECISIONS[precision]


def _dropout_generator(model: SharedTransformer, seed: int, step: int) -> torch.Generator | None:
    """Seeded by seed and step: a resumed run drops the same units, and threads do not share it."""
    if not model.settings.dropout:
        return None
    mixed = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return torch.Generator(model.device).manual_seed(int(mixed >> 1))


def _identity(
    model: SharedTransformer,
    data: Mapping[str, SequenceSet],
    settings: TrainSettings,
    target: str,
    seed: int,
    amp: torch.dtype | None,
) -> dict[str, Any]:
    """Everything that decides the weights after a step."""
    how = asdict(settings)
    for free in ("steps", "micro_batch", "checkpoint_every", "precision"):
        del how[free]
    return {
        "model": model.describe(),
        "settings": how,
        "precision": str(amp),
        "data": {name: data[name].fingerprint for name in settings.batch_sizes},
        "target": target,
        "seed": seed,
    }
