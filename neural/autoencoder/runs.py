"""What a training run is made of, checked before anything is trained, and what comes out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fisherkit.checks import UnknownNameError
from neural.autoencoder.model import Architecture, SharedAutoencoder
from neural.minibatches import RowStream, torch_generator

__all__ = ["Curve", "Run"]


@dataclass(frozen=True, eq=False)
class Run:
    """One training run: its data, its batches, its seed, what to validate on."""

    name: str  # how messages call it
    data: Mapping[str, Tensor]  # {modality: (n_k, m_k) float tensor}, the training rows; unpaired
    batch_sizes: Mapping[str, int]  # {modality: rows per step}, the same modalities, between 1 and n_k
    # whole number >= 0 for initial weights and row order. Equal seeds give equal trunks, equal x-parts and the
    # same order of x-rows whatever other modalities there are
    seed: int
    # {modality: loss weight >= 0}; a modality left out weighs 1
    weights: Mapping[str, float] = field(default_factory=dict)
    # {label: (modality, (n, m_k) rows)}
    validation: Mapping[str, tuple[str, Tensor]] = field(default_factory=dict)
    adapter_width: int = 128  # see `neural.autoencoder.model.Architecture`
    hidden_width: int = 128  # see there
    latent_dim: int = 10  # see there

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError(f"run {self.name!r}: data: no modality given; pass {{'x': rows}} at least")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"run {self.name!r}: seed must be a whole number >= 0, got {self.seed!r}")
        for modality, rows in self.data.items():
            _check_rows(rows, f"run {self.name!r}: data of {modality!r}")
        named = [*self.batch_sizes, *self.weights, *(modality for modality, _ in self.validation.values())]
        for modality in named:
            if modality not in self.data:
                raise UnknownNameError(modality, self.data, f"modality in run {self.name!r}:")
        for modality, rows in self.data.items():
            size = self.batch_sizes.get(modality)
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= len(rows):
                raise ValueError(
                    f"run {self.name!r}: batch size of {modality!r} must be between 1 and its {len(rows)} training "
                    f"rows, got {size}; change the batch size or the sample budget (or leave {modality!r} out)"
                )
        for modality, weight in self.weights.items():
            if not (np.isfinite(weight) and weight >= 0):
                raise ValueError(f"run {self.name!r}: loss weight of {modality!r} must be >= 0, got {weight}")
        for label, (modality, rows) in self.validation.items():
            what = f"run {self.name!r}: validation set {label!r}"
            _check_rows(rows, what)
            if rows.shape[1] != self.data[modality].shape[1]:
                raise ValueError(
                    f"{what}: {rows.shape[1]} columns, but {modality!r} has {self.data[modality].shape[1]}"
                )

    @property
    def architecture(self) -> Architecture:
        """Sizes of the network that this run trains."""
        dims = tuple((name, rows.shape[1]) for name, rows in self.data.items())
        return Architecture(dims, self.adapter_width, self.hidden_width, self.latent_dim)

    def initial_model(self, dtype: torch.dtype = torch.float32) -> SharedAutoencoder:
        """The network before the first step, on the CPU."""
        return SharedAutoencoder(self.architecture, seed=self.seed, dtype=dtype)

    def row_streams(self) -> dict[str, RowStream]:
        """{modality: order of its rows, from the start}."""
        return {
            name: RowStream(len(rows), torch_generator(self.seed, f"rows of {name}"))
            for name, rows in self.data.items()
        }


@dataclass(frozen=True, eq=False)
class Curve:
    """What a run did."""

    name: str  # the run's
    eval_steps: NDArray[np.int64]  # (E,) optimiser steps after which the network was validated
    validation: dict[str, NDArray[np.float64]]  # {label: (E,) mean squared error}, data units squared
    # {modality: (steps,) minibatch mean squared error before each step}
    losses: dict[str, NDArray[np.float64]]
    model: SharedAutoencoder  # the network after the last step, on the CPU


def _check_rows(rows: Tensor, what: str) -> None:
    if not isinstance(rows, Tensor) or not rows.is_floating_point():
        kind = rows.dtype if isinstance(rows, Tensor) else type(rows).__name__
        raise TypeError(
            f"{what}: expected a floating-point tensor, got {kind}; use torch.as_tensor(rows).float()"
        )
    if rows.ndim != 2 or not len(rows):
        raise ValueError(f"{what}: expected shape (n, m) with n >= 1, got {tuple(rows.shape)}")
    finite = torch.isfinite(rows)
    if not finite.all():
        row, column = (~finite).nonzero()[0].tolist()
        raise ValueError(f"{what}: not finite at row {row}, column {column}; remove or impute such rows")
