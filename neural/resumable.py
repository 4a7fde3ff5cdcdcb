"""One training loop: killed and started again, it goes on to the same digits; it stops at a bad step."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from neural.store.checkpoints import Checkpoints

__all__ = ["PRECISIONS", "train_resumably"]

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def train_resumably(
    keep: Checkpoints,  # model, optimiser, scaler and orders of rows, all at their start, and their file
    steps: int,
    *,
    batch: Callable[[int], Mapping[str, int]],  # 0-based step to {data set: rows that it takes}
    # (0-based step, {data set: row numbers}) adds to the gradients and gives {curve: loss}, the same curves always
    gradient: Callable[[int, Mapping[str, Tensor]], Mapping[str, float]],
    rate: Callable[[int], float],  # 0-based step to its learning rate
    clip: float | None,  # greatest norm of the gradient; None clips nothing
    save_every: int,  # steps between checkpoints; there is one after the last step, too
    # steps done to {curve: value}; none at steps that are not measured
    measure: Callable[[int], Mapping[str, float]] | None = None,
    progress: Callable[[int], object] | None = None,  # called with the steps done since the last call
) -> tuple[int, dict[str, list[float]]]:
    """Go on from the last checkpoint, if any, to the last step: (step started from, {curve: all its values})."""
    done, restored = keep.restore()
    start = min(done, steps)
    curves = {name: values[:start].tolist() for name, values in restored.items()}
    if start and progress is not None:
        progress(start)
    for step in range(start, steps):
        rows = {name: keep.streams[name].take(count) for name, count in batch(step).items()}
        keep.optimiser.zero_grad()
        for name, loss in gradient(step, rows).items():
            curves.setdefault(name, []).append(loss)
        keep.scaler.unscale_(keep.optimiser)
        norm = nn.utils.clip_grad_norm_(keep.model.parameters(), math.inf if clip is None else clip)
        # a scaler skips such a step and goes on
        if not keep.scaler.is_enabled() and not torch.isfinite(norm):
            raise keep.diverged("the gradient is not finite", step, rows)
        for group in keep.optimiser.param_groups:
            group["lr"] = rate(step)
        keep.scaler.step(keep.optimiser)
        keep.scaler.update()
        for name, value in measure(step + 1).items() if measure is not None else ():
            curves.setdefault(name, []).append(value)
        if (step + 1) % save_every == 0 or step + 1 == steps:
            keep.save(step + 1, curves, rows)
        if progress is not None:
            progress(1)
    return start, curves
