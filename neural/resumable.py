"""One training loop: killed and started again, it goes on to the same digits; it stops at a bad step."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from neural.store.checkpoints import Checkpoints

__all__ = ["PRECISIONS", "train_resumably"]

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


def train_resumably(
    keep: Checkpoints,
    steps: int,
    *,
    batch: Callable[[int], Mapping[str, int]],
    gradient: Callable[[int, Mapping[str, Tensor]], Mapping[str, float]],
    rate: Callable[[int], float],
    clip: float | None,
    save_every: int,
    measure: Callable[[int], Mapping[str, float]] | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[int, dict[str, list[float]]]:
    """Go on from the last checkpoint, if there is one, to the last step.

    Args:
        keep: model, optimiser, scaler of the gradients and orders of rows, all at their start, and their file.
        steps: optimiser steps.
        batch: 0-based step to {data set: rows that it takes}.
        gradient: (0-based step, {data set: row numbers}) adds to the gradients and gives {curve: loss}, for the same
            curves in every step.
        rate: 0-based step to its learning rate.
        clip: greatest norm of the gradient; None clips nothing.
        save_every: steps between checkpoints; there is one after the last step, too.
        measure: steps done to {curve: value}; none at steps that are not measured.
        progress: called with the number of steps done since the last call.

    Returns:
        The step that this process started from, and {curve: all its values}.

    Raises:
        DivergedError: a gradient, or a weight at a checkpoint, is not finite.
        ValueError: a checkpoint of another training.

    Example:
        >>> from neural.minibatches import RowStream, torch_generator
        >>> line, x = nn.Linear(1, 1), torch.linspace(-1, 1, 20)[:, None]
        >>> adam, rows = torch.optim.Adam(line.parameters()), RowStream(20, torch_generator(0, "rows"))
        >>> keep = Checkpoints(None, {}, line, adam, torch.amp.GradScaler(enabled=False), {"x": rows})
        >>> def gradient(step, rows):
        ...     error = (line(x[rows["x"]]) - 3 * x[rows["x"]]).square().mean()
        ...     error.backward()
        ...     return {"loss": error.item()}
        >>> start, curves = train_resumably(
        ...     keep, 200, batch=lambda step: {"x": 10}, gradient=gradient, rate=lambda step: 0.1, clip=1, save_every=50
        ... )
        >>> start, len(curves["loss"]), curves["loss"][-1] < 1e-2
        (0, 200, True)
    """
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
        if not keep.scaler.is_enabled() and not torch.isfinite(
            norm
        ):  # a scaler skips such a step and goes on
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
