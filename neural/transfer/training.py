"""Train one network: AdamW with gradient accumulation, mixed precision and a part that stays frozen."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fisherkit.checks import UnknownNameError, as_whole
from neural.minibatches import RowStream, torch_generator
from neural.resumable import PRECISIONS, train_resumably
from neural.store.checkpoints import Checkpoints

__all__ = ["Log", "Schedule", "train"]


@dataclass(frozen=True)
class Schedule:
    """How a network is trained: AdamW, linear warm-up, cosine decay to zero, gradients cut to a norm.

    Example:
        >>> schedule = Schedule(steps=100, warmup=10, learning_rate=1.0)
        >>> schedule.rate(0), schedule.rate(9), round(schedule.rate(55), 2)
        (0.1, 1.0, 0.5)
    """

    steps: int  # optimiser steps
    batch: int = 64  # rows per step
    learning_rate: float = 1e-3  # highest
    weight_decay: float = 0.05  # of matrices; vectors (biases, normalisations) have none
    warmup: int = 100  # steps of the rise
    clip: float = 1.0  # greatest norm of the gradient
    # parts into which a batch is cut, one after the other through the network, for small devices; the step is
    # the same, the dropout masks are not
    accumulate: int = 1
    # of the network's products: "float32", "bfloat16", or "float16" with scaled losses; weights and optimiser
    # stay in single precision
    precision: str = "float32"
    # number of steps after which the frozen part is trained too; None keeps it frozen
    unfreeze_at: int | None = None
    look_every: int = 100  # steps between evaluations; the last step is always one
    save_every: int = 500  # steps between checkpoints

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "look_every", "save_every"):
            as_whole(getattr(self, name), name, least=1)
        as_whole(self.warmup, "warmup", least=0)
        if self.unfreeze_at is not None:
            as_whole(self.unfreeze_at, "unfreeze_at", least=0)
        if self.batch % self.accumulate:
            raise ValueError(
                f"accumulate: {self.accumulate} does not divide a batch of {self.batch}; parts must be equal, since "
                "their mean losses are averaged"
            )
        for name in ("learning_rate", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: must be positive and finite, got {value}")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay: must be at least 0 and finite, got {self.weight_decay}")
        if self.precision not in PRECISIONS:
            raise UnknownNameError(self.precision, PRECISIONS, "precision")

    def rate(self, step: int) -> float:
        """Learning rate of a 0-based step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.5 + 0.5 * math.cos(math.pi * done))

    @property
    def looks(self) -> tuple[int, ...]:
        """Evaluation steps: numbers of optimiser steps after which the network is measured."""
        return (*range(self.look_every, self.steps, self.look_every), self.steps)


@dataclass
class Log:
    """What a training did."""

    steps: int  # steps done
    losses: list[float]  # mean loss of every batch, before its step
    looks: dict[str, list[float]]  # {quantity: values at `Schedule.looks`}


def train(
    model: nn.Module,  # on `device`; its parameters are its only state
    # (row numbers, random stream on the device) to the mean loss of these rows
    loss: Callable[[Tensor, torch.Generator], Tensor],
    n_rows: int,  # every pass goes through all in a new order
    schedule: Schedule,
    *,
    seed: int,  # of the order of rows and of the noise
    frozen: nn.Module | None = None,  # not trained before ``schedule.unfreeze_at`` steps
    # measures the network, in evaluation mode and without gradients
    look: Callable[[], dict[str, float]] | None = None,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,  # written every ``schedule.save_every`` steps and at the end
    # whatever else the result depends on, so that a checkpoint of something else is not taken up
    what: dict[str, Any] | None = None,
    progress: Callable[[int], object] | None = None,  # called with the steps done since the last call
) -> Log:
    """Train a network in place; killed and started again, it ends, on one thread of a CPU, with the same digits."""
    device = torch.device(device)
    half = PRECISIONS[schedule.precision]
    if half is torch.float16 and device.type == "cpu":
        raise ValueError("precision 'float16' needs a GPU; take 'bfloat16' or 'float32' on a CPU")
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": schedule.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate)
    scaler = torch.amp.GradScaler(device.type, enabled=half is torch.float16)
    rows = RowStream(n_rows, torch_generator(seed, "rows"))
    noise = torch_generator(seed, "noise", device)
    own = {"schedule": asdict(schedule), "seed": seed, "rows": n_rows, "device": device.type}
    keep = Checkpoints(checkpoint, own | (what or {}), model, optimiser, scaler, {"data": rows}, noise)

    def gradient(step: int, batch: Mapping[str, Tensor]) -> dict[str, float]:
        if frozen is not None:
            frozen.requires_grad_(schedule.unfreeze_at is not None and step >= schedule.unfreeze_at)
        total = torch.zeros((), device=device)
        for part in batch["data"].chunk(schedule.accumulate):
            with torch.autocast(device.type, half, enabled=half is not None):
                mean = loss(part, noise) / schedule.accumulate
            total += mean.detach()
            scaler.scale(mean).backward()
        value = float(total)
        if not math.isfinite(value):
            raise keep.diverged(f"the loss is {value}", step, batch)
        return {"losses": value}

    def measure(done: int) -> dict[str, float]:
        if look is None or done not in schedule.looks:
            return {}
        model.eval()
        with torch.no_grad(), torch.autocast(device.type, half, enabled=half is not None):
            measured = look()
        model.train()
        return {f"look {name}": value for name, value in measured.items()}

    model.train()
    _, curves = train_resumably(
        keep,
        schedule.steps,
        batch=lambda step: {"data": schedule.batch},
        gradient=gradient,
        rate=schedule.rate,
        clip=schedule.clip,
        save_every=schedule.save_every,
        measure=measure,
        progress=progress,
    )
    model.eval()
    losses = curves.pop("losses")
    return Log(len(losses), losses, {name.removeprefix("look "): values for name, values in curves.items()})
