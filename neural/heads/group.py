"""Runs of one shape on one device: weights in one tensor, one optimiser, one validation for all."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from neural.heads.batched import BatchedHead
from neural.heads.capture import CapturedStep
from neural.heads.model import SharedHead
from neural.heads.optimiser import SegmentedAdamW
from neural.heads.runs import HeadFit, HeadRun, Schedule
from neural.minibatches import RowStream

__all__ = ["HeadGroup"]

_LOOK_ENTRIES = 1 << 24  # at most so many logits at a time in a validation


class HeadGroup:
    """Heads of equal layout and batch sizes; equal learning rates and decays should be neighbours."""

    def __init__(self, runs: Sequence[HeadRun], device: torch.device) -> None:
        self.device = device
        self.runs = list(runs)
        self.names = [name for name, _ in runs[0].layout.dims]
        weights = torch.tensor([[run.loss_weights.get(name, 1.0) for name in self.names] for run in runs])
        models = [run.initial_model() for run in runs]
        self.heads = BatchedHead(models, runs[0].batch_sizes, weights, device=device)
        self.batches = {name: _Batches(name, self.runs, device) for name in self.names}
        self.histories = [_History(run) for run in self.runs]
        self.inside = list(range(len(runs)))  # which run is in which row of the tensors
        self._best = {name: weight.clone() for name, weight in self.heads.weights.items()}
        self._held_out: dict[int, tuple[Tensor, Tensor]] = {}
        for run in self.runs:
            if id(run.val) not in self._held_out:
                rows = torch.as_tensor(run.val.features, device=device)
                self._held_out[id(run.val)] = rows, torch.as_tensor(run.val.labels, device=device)

    def train(self, schedule: Schedule, *, graph: bool, progress: Callable[[int], object]) -> list[HeadFit]:
        """Train until the end, or until all have stopped; one fit per run."""
        self.optimiser = SegmentedAdamW(
            self.heads.weights,
            self.heads.grads,
            [(run.learning_rate, run.weight_decay) for run in self.runs],
            capturable=graph,
        )
        marks = schedule.looks
        if marks[0] != 0:
            raise ValueError(f"the first look must come before the first step, not after {marks[0]}")
        block = max(b - a for a, b in itertools.pairwise(marks))
        self._buffers(block)
        captured: CapturedStep | None = None
        for start, stop in zip(marks, [*marks[1:], marks[-1]], strict=True):
            before = self._running()
            self._look(start, schedule)
            running = self._running()
            over = set(before) - set(running)
            progress(len(over) * (schedule.iterations - start))
            if start == stop or not running:
                break
            if self._worth_shrinking(running):
                captured = None  # its memory goes before the smaller tensors are made
                self._shrink(running)
                self._buffers(block)
            self._load(schedule, start, stop)
            if graph:
                captured = captured or CapturedStep(self._step_at, self._state, self.device)
                captured.run(stop - start)
            else:
                for position in range(stop - start):
                    self.optimiser.set_rates(self._block_rates[position])
                    self._step({name: order[position] for name, order in self._order.items()})
            progress(len(running) * (stop - start))
        best = [{name: rows[r] for name, rows in self._best.items()} for r in range(len(self.runs))]
        return [
            history.fit(self.heads.model(weights))
            for history, weights in zip(self.histories, best, strict=True)
        ]

    def _running(self) -> list[int]:
        return [run for run in self.inside if not self.histories[run].over]

    # ------------------------------------------------------------ steps

    def _step(self, numbers: dict[str, Tensor]) -> None:
        for name, chosen in numbers.items():
            self.batches[name].gather(chosen, self.heads.rows[name], self.heads.labels[name])
        self.heads.gradient()
        self.optimiser.step()

    def _step_at(self, position: Tensor) -> None:
        """The step at a position of the block that only the device knows."""
        for rate, block in zip(self.optimiser.rates, self._rates, strict=True):
            rate.copy_(block.index_select(0, position).squeeze(0))  # type: ignore[union-attr]
        self._step({name: order.index_select(0, position).squeeze(0) for name, order in self._order.items()})

    def _state(self) -> list[Tensor]:
        return [*self.heads.weights.values(), *self.optimiser.state_tensors()]

    def _buffers(self, length: int) -> None:
        """Row numbers and learning rates of a block of steps, in memory that a captured step can rely on."""
        count = len(self.inside)
        self._order = {
            name: torch.zeros(
                length, count * self.heads.batch_sizes[name], dtype=torch.int64, device=self.device
            )
            for name in self.names
        }
        self._rates = torch.zeros(len(self.optimiser.segments), length, device=self.device)
        self._block_rates: list[list[float]] = []

    def _load(self, schedule: Schedule, start: int, stop: int) -> None:
        for name, order in self._order.items():
            order[: stop - start] = self.batches[name].next(stop - start, self.inside)
        peaks = [rate for rate, _ in self.optimiser.segments]
        self._block_rates = [[schedule.rate(t, peak) for peak in peaks] for t in range(start, stop)]
        self._rates[:, : stop - start] = torch.tensor(self._block_rates).T

    # ------------------------------------------------------------ validation

    @torch.no_grad()
    def _look(self, step: int, schedule: Schedule) -> None:
        """Validate all runs inside; remember the weights of those that improved."""
        improved = []
        for key, (rows, labels) in self._held_out.items():
            members = [r for r, run in enumerate(self.inside) if id(self.runs[run].val) == key]
            at_once = max(1, _LOOK_ENTRIES // (len(rows) * self.heads.layout.n_classes))
            for first in range(0, len(members), at_once):
                part = members[first : first + at_once]
                logits = self.heads.logits(self.names[0], rows, torch.tensor(part, device=self.device))
                right = (logits.argmax(dim=2) == labels).double().mean(dim=1)
                expected = labels.expand(len(part), -1)
                losses = nn.functional.cross_entropy(logits.mT, expected, reduction="none").mean(dim=1)
                for r, accuracy, loss in zip(part, right.tolist(), losses.tolist(), strict=True):
                    if self.histories[self.inside[r]].add(step, accuracy, loss, schedule):
                        improved.append(r)
        here = torch.tensor(improved, dtype=torch.int64, device=self.device)
        there = torch.tensor([self.inside[r] for r in improved], dtype=torch.int64, device=self.device)
        for name, best in self._best.items():
            best[there] = self.heads.weights[name][here]

    def _worth_shrinking(self, running: Sequence[int]) -> bool:
        """At once on a CPU; by halves where a graph must be captured anew."""
        enough = len(self.inside) - 1 if self.device.type == "cpu" else len(self.inside) // 2
        return len(running) <= enough

    def _shrink(self, running: Sequence[int]) -> None:
        """Drop the rows of runs that are over."""
        kept = [r for r, run in enumerate(self.inside) if run in set(running)]
        members = torch.tensor(kept, device=self.device)
        self.inside = [self.inside[r] for r in kept]
        self.heads.keep(members)
        self.optimiser.keep(members, self.heads.weights, self.heads.grads)


class _Batches:
    """Rows of one modality for all runs: one pool, one stream per order of rows; runs that share one share it here."""

    def __init__(self, name: str, runs: Sequence[HeadRun], device: torch.device) -> None:
        self.device, self.size = device, runs[0].batch_sizes[name]
        place: dict[int, int] = {}
        features, labels, length = [], [], 0
        self._streams: dict[tuple[int, int], RowStream] = {}
        self._stream_of: list[tuple[int, int]] = []
        self._first: list[int] = []
        for run in runs:
            rows = run.train[name]
            if id(rows) not in place:
                place[id(rows)] = length
                features.append(torch.as_tensor(rows.features))
                labels.append(torch.as_tensor(rows.labels))
                length += len(rows)
            key = (run.seed, len(rows))
            self._streams.setdefault(key, run.row_stream(name))
            self._stream_of.append(key)
            self._first.append(place[id(rows)])
        self._features = torch.cat(features).to(device)
        self._labels = torch.cat(labels).to(device)

    def next(self, steps: int, inside: Sequence[int]) -> Tensor:
        """(steps, R * b) row numbers in the pool for the coming steps of the runs inside."""
        needed = list(dict.fromkeys(self._stream_of[run] for run in inside))
        taken = torch.stack([self._streams[key].take(steps * self.size) for key in needed]).to(self.device)
        which = torch.tensor([needed.index(self._stream_of[run]) for run in inside], device=self.device)
        first = torch.tensor([self._first[run] for run in inside], device=self.device)
        numbers = taken[which].view(len(inside), steps, self.size) + first[:, None, None]
        return numbers.transpose(0, 1).reshape(steps, -1)

    def gather(self, numbers: Tensor, rows: Tensor, labels: Tensor) -> None:
        torch.index_select(self._features, 0, numbers, out=rows.view(len(numbers), -1))
        labels.copy_(self._labels.index_select(0, numbers).view_as(labels))


class _History:
    """Validations of one run so far."""

    def __init__(self, run: HeadRun) -> None:
        self.run, self.over = run, False
        self.steps: list[int] = []
        self.accuracies: list[float] = []
        self.losses: list[float] = []
        self.best_step, self._best_accuracy, self._waited = 0, -1.0, 0

    def add(self, step: int, accuracy: float, loss: float, schedule: Schedule) -> bool:
        """Whether this look's weights are to be kept."""
        if self.over:
            return False
        self.steps.append(step)
        self.accuracies.append(accuracy)
        self.losses.append(loss)
        if not np.isfinite(loss):
            self.over = True
            return False
        better = accuracy > self._best_accuracy or schedule.keep == "last"
        self._waited = 0 if better else self._waited + 1
        if better:
            self.best_step, self._best_accuracy = step, accuracy
        self.over = schedule.patience is not None and self._waited >= schedule.patience
        return better

    def fit(self, model: SharedHead) -> HeadFit:
        return HeadFit(
            self.run.name,
            np.array(self.steps, dtype=np.int64),
            np.array(self.accuracies),
            np.array(self.losses),
            self.best_step,
            model,
            diverged_at=None if np.isfinite(self.losses[-1]) else self.steps[-1],
        )
