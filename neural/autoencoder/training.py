"""Train shared autoencoders: one run written plainly, and many runs at once.

`train_reference` is the loop a reader expects, with ``torch.optim.Adam``. `train_batched` gives every run the same
initial weights, the same rows in the same order and the same update, with all runs of one architecture in one
tensor; what it returns agrees with the reference up to rounding, and does not depend on which runs are beside which.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural.autoencoder.batched import BatchedAutoencoder, append_ones
from neural.autoencoder.model import SharedAutoencoder, mean_squared_errors, uml_objective
from neural.autoencoder.runs import Curve, Run

__all__ = ["runs_per_tensor", "train_batched", "train_reference"]

LEARNING_RATE = 1e-3  # Adam; the paper does not state it, its released code uses this value
_BLOCK = 100  # steps between two checks of the losses, the only time that the host waits for the device


def train_reference(
    run: Run,
    *,
    steps: int,
    eval_steps: Sequence[int] = (),
    learning_rate: float = LEARNING_RATE,
    dtype: torch.dtype = torch.float32,
    fused: bool | None = None,
) -> Curve:
    """One run, one step after another, on the CPU: the definition of what training means here."""
    marks = _check_steps(steps, eval_steps)
    model = run.initial_model(dtype)
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=fused)
    data = {name: rows.to("cpu", dtype) for name, rows in run.data.items()}
    held_out = {label: (name, rows.to("cpu", dtype)) for label, (name, rows) in run.validation.items()}
    streams = run.row_streams()
    losses: dict[str, list[float]] = {name: [] for name in data}
    validation: dict[str, list[float]] = {label: [] for label in held_out}
    for step in range(steps + 1):
        if step in marks:
            with torch.no_grad():
                for label, (name, rows) in held_out.items():
                    batch = {name: rows}
                    validation[label].append(mean_squared_errors(model(batch), batch)[name].item())
        if step == steps:
            break
        batch = {name: rows[streams[name].take(run.batch_sizes[name])] for name, rows in data.items()}
        errors = mean_squared_errors(model(batch), batch)
        objective = uml_objective(errors, run.weights)
        optimiser.zero_grad()
        objective.backward()
        optimiser.step()
        for name, error in errors.items():
            losses[name].append(error.item())
            if not np.isfinite(losses[name][-1]):
                raise FloatingPointError(_diverged(run.name, step, name, learning_rate))
    return _curve(run, marks, validation, losses, model)


def train_batched(
    runs: Sequence[Run],
    *,
    steps: int,
    eval_steps: Sequence[int] = (),
    learning_rate: float = LEARNING_RATE,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    chunk: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[Curve]:
    """All runs, side by side where architecture and batch sizes are equal; the same curves as `train_reference`.

    Args:
        runs: what to train; any mixture of architectures, budgets, batch sizes and weights.
        steps: optimiser steps of every run, >= 1.
        eval_steps: after which steps to validate; 0 is the untrained network.
        learning_rate: of Adam.
        dtype: floating-point type.
        device: "cpu", "cuda", ...
        chunk: at most this many runs in one tensor, default `runs_per_tensor`; speed only, the result does not depend
            on it.
        progress: called with a number of run-steps (runs times optimiser steps) whenever so many are done.

    Returns:
        One curve per run, in the order of `runs`.

    Raises:
        FloatingPointError: a loss is not finite; names run and step.
        ValueError: steps, eval_steps or chunk out of range.

    Example:
        >>> rows = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> runs = [Run(f"seed {s}", {"x": rows}, {"x": 20}, seed=s, latent_dim=2) for s in range(3)]
        >>> curves = train_batched(runs, steps=200)
        >>> [bool(c.losses["x"][-1] < c.losses["x"][0]) for c in curves]
        [True, True, True]
    """
    marks = _check_steps(steps, eval_steps)
    chunk = runs_per_tensor(device) if chunk is None else chunk
    if chunk < 1:
        raise ValueError(f"chunk: must be at least 1, got {chunk}")
    curves: dict[int, Curve] = {}
    for members in _groups(runs, chunk):
        group = _Group([runs[i] for i in members], dtype, torch.device(device))
        done = group.train(steps, marks, learning_rate, progress)
        curves |= dict(zip(members, done, strict=True))
    return [curves[i] for i in range(len(runs))]


def runs_per_tensor(device: torch.device | str) -> int:
    """How many runs to train side by side."""
    # on a CPU more than 8 to 16 leave the cache; an accelerator is busy only with many, and each takes about 3 MB
    return 16 if torch.device(device).type == "cpu" else 512


class _Group:
    """Runs of one architecture and one set of batch sizes, on one device."""

    def __init__(self, runs: Sequence[Run], dtype: torch.dtype, device: torch.device) -> None:
        self.wanted = len(runs)
        if self.wanted == 1:
            # a batch of one takes other kernels: padded, its digits are those that it has among others
            runs = [runs[0], runs[0]]
        self.runs, self.device = runs, device
        self.sizes = dict(runs[0].batch_sizes)
        self.net = BatchedAutoencoder([run.initial_model(dtype) for run in runs], device=device)
        self.streams = [run.row_streams() for run in runs]
        self.weights = {
            name: torch.tensor([run.weights.get(name, 1.0) for run in runs], dtype=dtype, device=device)[
                :, None, None
            ]
            for name in self.sizes
        }
        # One pool of rows per modality; runs that share a tensor share its rows there.
        self.pool: dict[str, Tensor] = {}
        self.first: dict[str, list[int]] = {}
        for name in self.sizes:
            place: dict[int, int] = {}
            parts: list[Tensor] = []
            length = 0
            for run in runs:
                rows = run.data[name]
                if id(rows) not in place:
                    place[id(rows)] = length
                    parts.append(append_ones(rows.to(device, dtype)))
                    length += len(rows)
            self.pool[name] = torch.cat(parts)
            self.first[name] = [place[id(run.data[name])] for run in runs]
        self.held_out = {
            label: (name, torch.stack([run.validation[label][1] for run in runs]).to(device, dtype))
            for label, (name, _) in runs[0].validation.items()
        }

    def train(
        self,
        steps: int,
        marks: Sequence[int],
        learning_rate: float,
        progress: Callable[[int], object] | None,
    ) -> list[Curve]:
        net, rows = self.net, self.net.buffers(self.sizes).rows
        optimiser = torch.optim.Adam([net.flat], lr=learning_rate, fused=True)
        losses: dict[str, list[Tensor]] = {name: [] for name in self.sizes}
        validation: dict[str, list[Tensor]] = {label: [] for label in self.held_out}
        for start, stop in _blocks(steps, marks):
            if start in marks:
                self._validate(validation)
            order = self._next_rows(stop - start)
            record = {name: self.weights[name].new_empty(stop - start, len(net)) for name in self.sizes}
            for step in range(stop - start):
                for name, numbers in order.items():
                    torch.index_select(self.pool[name], 0, numbers[step], out=rows[name])
                for name, error in net.loss_and_gradient(self.sizes, self.weights).items():
                    record[name][step] = error
                optimiser.step()
            for name, part in record.items():
                losses[name].append(part.cpu())
                self._check_finite(losses[name][-1], start, name, learning_rate)
            if progress is not None:
                progress((stop - start) * self.wanted)
        if steps in marks:
            self._validate(validation)
        trace = {name: torch.cat(parts).numpy() for name, parts in losses.items()}
        held = {label: torch.stack(parts).cpu().numpy() for label, parts in validation.items() if parts}
        return [
            _curve(
                run,
                marks,
                {label: held[label][:, r] if label in held else [] for label in self.held_out},
                {name: part[:, r] for name, part in trace.items()},
                net.model(r),
            )
            for r, run in enumerate(self.runs[: self.wanted])
        ]

    def _next_rows(self, steps: int) -> dict[str, Tensor]:
        """{modality: (steps, R * b) row numbers in the pool} for the coming steps."""
        order = {}
        for name, size in self.sizes.items():
            numbers = [
                first + streams[name].take(steps * size).view(steps, size)
                for first, streams in zip(self.first[name], self.streams, strict=True)
            ]
            order[name] = torch.cat(numbers, dim=1).to(self.device)
        return order

    def _validate(self, into: dict[str, list[Tensor]]) -> None:
        for label, (name, rows) in self.held_out.items():
            into[label].append((self.net.reconstruct(name, rows) - rows).square().mean(dim=(1, 2)))

    def _check_finite(self, losses: Tensor, start: int, name: str, learning_rate: float) -> None:
        bad = (~torch.isfinite(losses)).nonzero()
        if len(bad):
            step, run = bad[0].tolist()
            raise FloatingPointError(_diverged(self.runs[run].name, start + step, name, learning_rate))


def _groups(runs: Sequence[Run], chunk: int) -> Iterator[list[int]]:
    """Indices of runs that can share a tensor, in parts of nearly equal size of at most `chunk`."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for i, run in enumerate(runs):
        held_out = tuple((label, name, len(rows)) for label, (name, rows) in run.validation.items())
        key = (run.architecture, tuple(sorted(run.batch_sizes.items())), held_out)
        alike.setdefault(key, []).append(i)
    for members in alike.values():
        for part in np.array_split(members, -(-len(members) // chunk)):
            yield part.tolist()


def _blocks(steps: int, marks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Consecutive (start, stop) that break at every mark and are at most `_BLOCK` long."""
    cuts = sorted({0, *range(_BLOCK, steps, _BLOCK), *(m for m in marks if 0 < m < steps), steps})
    yield from itertools.pairwise(cuts)


def _check_steps(steps: int, eval_steps: Sequence[int]) -> list[int]:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps: must be a whole number >= 1, got {steps!r}")
    marks = sorted({int(step) for step in eval_steps})
    if marks and not 0 <= marks[0] <= marks[-1] <= steps:
        raise ValueError(f"eval_steps: must lie in 0..{steps} (steps), got {marks[0]}..{marks[-1]}")
    return marks


def _diverged(run: str, step: int, name: str, learning_rate: float) -> str:
    return (
        f"run {run!r}: loss of {name!r} is not finite at step {step}; lower the learning rate (now "
        f"{learning_rate:g}), or rescale the data of {name!r} to unit variance"
    )


def _curve(
    run: Run,
    marks: Sequence[int],
    validation: Mapping[str, Any],
    losses: Mapping[str, Any],
    model: SharedAutoencoder,
) -> Curve:
    as_float = {label: np.asarray(values, dtype=np.float64) for label, values in validation.items()}
    trace = {name: np.asarray(values, dtype=np.float64) for name, values in losses.items()}
    return Curve(run.name, np.asarray(marks, dtype=np.int64), as_float, trace, model)
