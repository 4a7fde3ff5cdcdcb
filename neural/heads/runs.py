"""What a training of a shared head is made of, checked before anything is trained, and what comes out of it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fisherkit.checks import UnknownNameError, as_whole
from neural.heads.model import HeadLayout, SharedHead
from neural.minibatches import RowStream, torch_generator
from neural.tasks.task import Embeddings

__all__ = ["HeadFit", "HeadRun", "Schedule"]

WARMUP_START = 1e-5  # learning rate of the first step (the paper's Table 5)


@dataclass(frozen=True)
class Schedule:
    """How long to train and when to validate: AdamW, linear warm-up, cosine decay, early stopping (the paper's Table 5).

    The released code's warm-up starts at 1e-5 and then falls to a fiftieth of the learning rate before it rises; here
    it rises from 1e-5 (or from the learning rate itself, if that is lower) at every step.

    Example:
        >>> schedule = Schedule(iterations=1000, warmup=50)
        >>> [round(schedule.rate(t, 1e-3), 6) for t in (0, 25, 50, 525, 999)]
        [1e-05, 0.000505, 0.001, 0.0005, 0.0]
    """

    iterations: int = 12_800  # optimiser steps at most, >= 1
    warmup: int = 50  # steps until the learning rate is reached, >= 0
    # steps between two validations, >= 1; the untrained head is validated, too
    eval_every: int = 100
    patience: int | None = 10  # validations without improvement before a run stops, >= 1; None: never
    # "best" keeps the earliest weights with the highest validation accuracy, "last" those after the last step
    keep: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        if self.keep not in {"best", "last"}:
            raise UnknownNameError(self.keep, ["best", "last"], "schedule: keep:")
        if self.keep == "last" and self.patience is not None:
            raise ValueError("schedule: keep='last' goes on to the last step; set patience=None")
        least = {"iterations": 1, "warmup": 0, "eval_every": 1}
        for name, bound in least.items():
            as_whole(getattr(self, name), f"schedule: {name}", least=bound)
        if self.patience is not None:
            as_whole(self.patience, "schedule: patience (None for no early stop)", least=1)

    def rate(self, step: int, learning_rate: float) -> float:
        """Learning rate of a 0-based step, given the highest."""
        if step < self.warmup:
            start = min(WARMUP_START, learning_rate)
            return start + (learning_rate - start) * step / self.warmup
        span = max(self.iterations - self.warmup, 1)
        return 0.5 * learning_rate * (1 + float(np.cos(np.pi * (step - self.warmup) / span)))

    @property
    def looks(self) -> list[int]:
        """Evaluation steps: numbers of optimiser steps after which the head is validated."""
        return sorted({*range(0, self.iterations, self.eval_every), self.iterations})


@dataclass(frozen=True, eq=False)
class HeadRun:
    """One training of a shared head: rows, batches, seed, optimiser settings."""

    name: str  # how messages call it
    n_classes: int  # C
    # {modality: rows}; unpaired. Modalities that are not here are not trained on
    train: Mapping[str, Embeddings]
    val: Embeddings  # rows of the target, for early stopping and selection
    # {modality: rows per step}; may exceed the number of rows, which then come again
    batch_sizes: Mapping[str, int]
    # whole number >= 0 for initial weights and row order. Runs of one seed share the head's and the target's
    # initial weights and the order of the target's rows, whatever other modalities there are
    seed: int
    learning_rate: float = 1e-3  # of AdamW, > 0
    weight_decay: float = 0.0  # of AdamW, on every weight, >= 0
    head_dim: int | None = None  # h; None for the target's own dimension
    projected: tuple[str, ...] = ()  # modalities that are projected to h features
    # (C, h) array to start the head from, None for a random one
    initial_head: NDArray[np.float32] | None = None
    # {modality: weight >= 0}, one where left out
    loss_weights: Mapping[str, float] = field(default_factory=dict)
    learn_scales: bool = False  # a learned factor for each modality's logits
    logit_scale: float = 1.0  # fixed factor of all logits
    # {modality: network from that modality's rows to features}; copied, and trained with the head (freeze
    # parameters with ``requires_grad_(False)``). Modalities without one have frozen features as rows
    encoders: Mapping[str, nn.Module] = field(default_factory=dict)
    target: str = ""  # the modality that is validated; default the first of `train`

    def __post_init__(self) -> None:
        if not self.train:
            raise ValueError(f"run {self.name!r}: train: no modality given; pass {{'image': embeddings}}")
        if not self.target:
            object.__setattr__(self, "target", next(iter(self.train)))
        for modality in (self.target, *self.batch_sizes, *self.loss_weights, *self.encoders):
            if modality not in self.train:
                raise UnknownNameError(modality, self.train, f"modality in run {self.name!r}:")
        as_whole(self.seed, f"run {self.name!r}: seed", least=0)
        for modality in self.train:
            if modality not in self.batch_sizes:
                raise ValueError(f"run {self.name!r}: no batch size for {modality!r}; add it to batch_sizes")
            as_whole(self.batch_sizes[modality], f"run {self.name!r}: batch size of {modality!r}", least=1)
        numbers = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}
        numbers |= {f"loss weight of {name!r}": weight for name, weight in self.loss_weights.items()}
        for what, number in numbers.items():
            positive = what == "learning_rate"
            if not (np.isfinite(number) and number >= 0) or (positive and not number):
                wanted = "positive" if positive else "at least 0"
                raise ValueError(f"run {self.name!r}: {what} must be {wanted} and finite, got {number}")
        for what, rows in {**self.train, "validation rows": self.val}.items():
            if rows.labels.max() >= self.n_classes:
                raise ValueError(
                    f"run {self.name!r}: {what}: label {rows.labels.max()}, but there are {self.n_classes} classes"
                )
        if self.val.dim != self.train[self.target].dim:
            raise ValueError(
                f"run {self.name!r}: validation rows have {self.val.dim} features, {self.target!r} has "
                f"{self.train[self.target].dim}"
            )
        object.__setattr__(self, "projected", tuple(self.projected))
        object.__setattr__(self, "_layout", self._make_layout())

    def _make_layout(self) -> HeadLayout:
        order = [self.target, *(name for name in self.train if name != self.target)]
        dims = tuple((name, self._feature_dim(name)) for name in order)
        head_dim = dims[0][1] if self.head_dim is None else self.head_dim
        return HeadLayout(dims, self.n_classes, head_dim, self.projected, self.learn_scales, self.logit_scale)

    def _feature_dim(self, name: str) -> int:
        if name not in self.encoders:
            return self.train[name].dim
        encoder = self.encoders[name]
        was_training = encoder.training
        encoder.eval()
        with torch.no_grad():
            probe = encoder(torch.as_tensor(self.train[name].features[:1]))
        encoder.train(was_training)
        if probe.ndim != 2:
            raise ValueError(
                f"run {self.name!r}: encoder of {name!r} must give (n, d) features, got shape {tuple(probe.shape)}"
            )
        return int(probe.shape[1])

    @property
    def layout(self) -> HeadLayout:
        """Sizes of the head that this run trains."""
        layout: HeadLayout = self._layout  # type: ignore[attr-defined]
        return layout

    def initial_model(self) -> SharedHead:
        """The head before the first step, float32, on the CPU."""
        return SharedHead(self.layout, seed=self.seed, initial_head=self.initial_head)

    def initial_encoders(self) -> dict[str, nn.Module]:
        """{modality: a copy of its encoder as it is before the first step}."""
        return {name: copy.deepcopy(encoder) for name, encoder in self.encoders.items()}

    def row_stream(self, name: str) -> RowStream:
        """Order of a modality's rows, from the start."""
        return RowStream(len(self.train[name]), torch_generator(self.seed, f"rows of {name}"))


@dataclass(frozen=True, eq=False)
class HeadFit:
    """What a training of a shared head gave."""

    name: str  # the run's
    # (E,) evaluation steps, up to the end or the early stop
    looks: NDArray[np.int64]
    val_accuracy: NDArray[np.float64]  # (E,) fraction correct
    val_loss: NDArray[np.float64]  # (E,) mean cross-entropy, nats
    best_step: int  # the look whose weights were kept
    model: SharedHead  # the head at `best_step`, on the CPU
    encoders: Mapping[str, nn.Module] = field(default_factory=dict)  # the encoders at `best_step`, on the CPU
    # look at which the validation loss was not finite (the run stopped there), or None
    diverged_at: int | None = None

    @property
    def best(self) -> tuple[float, float]:
        """Validation accuracy and loss at `best_step`."""
        i = int(np.flatnonzero(self.looks == self.best_step)[0])
        return float(self.val_accuracy[i]), float(self.val_loss[i])

    @torch.no_grad()
    def logits(self, rows: Embeddings, name: str | None = None) -> Tensor:
        """Logits (n, C), on the CPU, of rows of the target or of modality `name`."""
        name = self.model.layout.dims[0][0] if name is None else name
        features = torch.as_tensor(rows.features)
        if name in self.encoders:
            features = self.encoders[name](features)
        return self.model({name: features})[name]

    def accuracy(self, rows: Embeddings, among: Sequence[int] | None = None) -> float:
        """Fraction of the target's rows classified correctly, among all classes or those numbered."""
        logits = self.logits(rows)
        if among is None:
            return float((logits.argmax(dim=1).numpy() == rows.labels).mean())
        classes, n = np.asarray(among), logits.shape[1]
        if not len(classes) or classes.min() < 0 or classes.max() >= n:
            raise ValueError(f"among: classes must be some of 0 to {n - 1}, got {list(among)}")
        return float((classes[logits[:, classes].argmax(dim=1).numpy()] == rows.labels).mean())
