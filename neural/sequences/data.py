"""Sequences of one modality: continuous vectors or discrete tokens, of different lengths, padded at the end."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from fisherkit.checks import as_whole
from fisherkit.streams import Seed, streams

__all__ = ["Batch", "Modality", "SequenceSet", "pack", "scrambled", "standardised"]

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Modality:
    """What a network has to know about a modality."""

    dim: int  # features of a step, or, for discrete tokens, their number
    discrete: bool = False  # whether steps are tokens 0 .. dim - 1
    # whether every sequence has one step; then there is no next step, and the step itself is predicted
    single: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """Some sequences, as tensors, cut to the longest."""

    values: Tensor  # (B, T, d) float32 or (B, T) int64; steps start at 0, zeros follow the last
    lengths: Tensor  # (B,) int64 steps of each, on the same device

    @property
    def mask(self) -> Tensor:
        """(B, T) true at steps, false at padding."""
        return torch.arange(self.values.shape[1], device=self.lengths.device) < self.lengths[:, None]


def pack(values: Tensor, mask: Tensor) -> Batch:
    """Padded sequences (`mask` (B, T) true at steps) brought into form: steps first, in their order, then zeros."""
    if mask.dtype != torch.bool or mask.shape != values.shape[:2]:
        raise ValueError(
            f"mask: expected booleans of shape {tuple(values.shape[:2])}, got {mask.dtype} of {tuple(mask.shape)}"
        )
    lengths = mask.sum(dim=1)
    if not len(lengths) or int(lengths.min()) < 1:
        raise ValueError("mask: every sequence needs at least one step; leave empty ones out")
    steps = int(lengths.max())
    order = torch.argsort(~mask, dim=1, stable=True)[:, :steps]
    inside = torch.arange(steps, device=mask.device) < lengths[:, None]
    if values.ndim == 3:
        order, inside = order[:, :, None].expand(-1, -1, values.shape[2]), inside[:, :, None]
    # not a product: padding may hold NaN
    packed = torch.where(
        inside, values.gather(1, order), torch.zeros((), dtype=values.dtype, device=values.device)
    )
    return Batch(packed, lengths)


@dataclass(frozen=True, eq=False)
class SequenceSet:
    """Sequences of one modality, steps first, padding last; what the padding held is replaced by zeros."""

    values: NDArray[Any]  # (n, T, d) real numbers, or (n, T) tokens
    lengths: NDArray[Any]  # (n,) steps of each, 1 .. T
    vocabulary: int | None = None  # number of tokens of a discrete modality; None for a continuous one
    labels: NDArray[Any] | None = None  # (n,) class numbers >= 0, where there are any
    # n names of what each sequence is of; equal names in two modalities are counterparts
    groups: Sequence[str] | None = None
    name: str = "sequences"  # how messages call them

    def __post_init__(self) -> None:
        values, lengths = np.asarray(self.values), np.asarray(self.lengths)
        discrete = self.vocabulary is not None
        if values.ndim != (2 if discrete else 3) or not values.size:
            wanted = "(n, T) tokens" if discrete else "(n, T, d) features"
            raise ValueError(f"{self.name}: expected {wanted}, at least one, got shape {values.shape}")
        if values.dtype.kind not in ("iu" if discrete else "fiu"):
            kind = "whole numbers (tokens)" if discrete else "real numbers"
            raise TypeError(f"{self.name}: expected {kind}, got dtype {values.dtype}")
        n, steps = values.shape[:2]
        if lengths.dtype.kind not in "iu" or lengths.shape != (n,):
            raise ValueError(
                f"{self.name}: {n} sequences need as many whole lengths, got shape {lengths.shape}"
            )
        if lengths.min() < 1 or lengths.max() > steps:
            row = int(np.flatnonzero((lengths < 1) | (lengths > steps))[0])
            raise ValueError(f"{self.name}: length {lengths[row]} at row {row}; lengths go from 1 to {steps}")
        inside = np.arange(steps) < lengths[:, None]
        with np.errstate(over="ignore"):
            kept = np.where(inside if discrete else inside[:, :, None], values, 0).astype(
                np.int64 if discrete else np.float32
            )
        self._check_steps(kept)
        object.__setattr__(self, "values", kept)
        object.__setattr__(self, "lengths", lengths.astype(np.int64))
        if self.labels is not None:
            labels = np.asarray(self.labels)
            if labels.dtype.kind not in "iu":
                raise TypeError(f"{self.name}: labels must be whole numbers, got dtype {labels.dtype}")
            if labels.shape != (n,) or labels.min() < 0:
                raise ValueError(
                    f"{self.name}: {n} sequences need as many labels >= 0, got shape {labels.shape}"
                )
            object.__setattr__(self, "labels", labels.astype(np.int64))
        if self.groups is not None and len(self.groups) != n:
            raise ValueError(f"{self.name}: {n} sequences need as many groups, got {len(self.groups)}")

    def _check_steps(self, kept: NDArray[Any]) -> None:
        if self.vocabulary is None:
            bad = ~np.isfinite(kept).all(axis=2)
            what = "is not finite in single precision; impute or rescale it"
        else:
            as_whole(self.vocabulary, f"{self.name}: vocabulary", least=2)
            bad = (kept < 0) | (kept >= self.vocabulary)
            what = f"is not a token from 0 to {self.vocabulary - 1}"
        if bad.any():
            row, step = np.argwhere(bad)[0].tolist()
            raise ValueError(f"{self.name}: step {step} of row {row} {what} ({int(bad.sum())} such steps)")

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def modality(self) -> Modality:
        """What a network has to know."""
        dim = self.values.shape[2] if self.vocabulary is None else self.vocabulary
        return Modality(dim, self.vocabulary is not None, self.values.shape[1] == 1)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(n, T) true at steps, false at padding."""
        return np.arange(self.values.shape[1]) < self.lengths[:, None]

    def take(self, rows: ArrayLike) -> "SequenceSet":
        """Some of the sequences, by indices or mask; the longest of them decides T."""
        at = np.arange(len(self))[np.asarray(rows)]
        lengths = self.lengths[at]
        return replace(
            self,
            values=self.values[at, : lengths.max(initial=1)],
            lengths=lengths,
            labels=None if self.labels is None else self.labels[at],
            groups=None if self.groups is None else [self.groups[i] for i in at],
        )

    @cached_property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(self.values), torch.from_numpy(self.lengths)

    def batch(self, rows: Tensor, device: torch.device | str = "cpu") -> Batch:
        """Sequences by row number ((B,) int64 on the CPU), cut to the longest of them."""
        values, lengths = self._tensors
        chosen = lengths[rows]
        cut = values[rows, : int(chosen.max())]
        return Batch(cut.to(device, non_blocking=True), chosen.to(device, non_blocking=True))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of steps, lengths, labels and groups."""
        about = [self.values.shape, self.vocabulary, list(self.groups) if self.groups is not None else None]
        digest = hashlib.sha256(json.dumps(about).encode())
        for array in (self.values, self.lengths, self.labels):
            digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def standardised(train: SequenceSet, *others: SequenceSet) -> list[SequenceSet]:
    """Features scaled to mean 0, variance 1 over training steps; constant ones become 0, tokens stay as they are."""
    if train.vocabulary is not None:
        return [train, *others]
    steps = train.values[train.mask].astype(np.float64)
    mean, scale = steps.mean(axis=0), steps.std(axis=0)
    scale[scale <= 1e-12 * np.maximum(np.abs(mean), 1)] = 1
    return [replace(part, values=(part.values - mean) / scale) for part in (train, *others)]


def scrambled(data: SequenceSet, seed: Seed) -> SequenceSet:
    """All steps of all sequences dealt anew: frequencies and lengths stay; order, labels and groups are lost."""
    values, mask = data.values.copy(), data.mask
    steps = values[mask]
    values[mask] = steps[streams(seed, ["scrambled"])["scrambled"].permutation(len(steps))]
    return replace(data, values=values, labels=None, groups=None, name=f"{data.name}, scrambled")
