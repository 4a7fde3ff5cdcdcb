"""Encoders: what they promise, and the one that runs a pretrained network."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from neural.embed.families import Family
from neural.embed.pooling import Hidden, pool
from neural.embed.readers import Reader
from neural.embed.weights import Checkpoint

__all__ = ["Encoder", "FunctionEncoder", "PretrainedEncoder", "Tokens", "encode", "encode_tokens"]

Floats = NDArray[np.float32]
Encoded = Iterator[tuple[NDArray[np.intp], Sequence[Floats] | Floats]]


class Tokens(NamedTuple):
    """Token-level features."""

    features: Floats  # (n, T, d), zero where there is padding, which is at the end
    mask: NDArray[np.bool_]  # (n, T), False for padding


class Encoder(Protocol):
    """Turns inputs of one modality into vectors; the vector of an input does not depend on the rest of its batch."""

    @property
    def name(self) -> str:
        """How people call it."""

    @property
    def modality(self) -> str:
        """One of "image", "text" and "audio"."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that features depend on besides the input, for `neural.store.array_cache.content_key`."""

    def batches(self, inputs: Sequence[Any], *, tokens: bool = False) -> Encoded:
        """(positions, one array (d,) or, with `tokens`, (T, d) per position), every position once, in any order."""


@dataclass(frozen=True)
class FunctionEncoder:
    """An encoder made of a plain function: a list of paths ("image", "audio") or strings ("text") to (n, d) numbers.

    The version is to be changed whenever the function's results change; a call gets at most `batch_size` inputs.
    """

    name: str
    modality: str
    version: str
    function: Callable[[list[Any]], ArrayLike]
    batch_size: int = 256

    @property
    def identity(self) -> Mapping[str, Any]:
        """Name and version."""
        return {"function": self.name, "version": self.version, "modality": self.modality}

    def batches(self, inputs: Sequence[Any], *, tokens: bool = False) -> Encoded:
        """(positions, rows), batch by batch; a function has no token-level features."""
        if tokens:
            raise ValueError(f"{self.name}: a function has no token-level features; use a pretrained network")
        for start in range(0, len(inputs), self.batch_size):
            part = list(inputs[start : start + self.batch_size])
            rows = np.asarray(self.function(part), dtype=np.float32)
            if rows.ndim != 2 or len(rows) != len(part):
                raise ValueError(
                    f"{self.name}: the function must return shape ({len(part)}, d) for {len(part)} inputs, got {rows.shape}"
                )
            yield np.arange(start, start + len(part)), rows


@dataclass(frozen=True)
class PretrainedEncoder:
    """A pretrained network of transformers; its weights are loaded when the first input comes.

    Vectors get unit length if `normalize`; `dtype` is that of weights and activations, pooling is in single precision.
    With device "cuda" under torchrun or accelerate each process takes the GPU of its local rank. `batch_size` changes
    features by rounding at most.
    """

    name: str
    checkpoint: Checkpoint
    family: Family
    reader: Reader
    pooling: str
    normalize: bool = False
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    batch_size: int = 32

    @property
    def modality(self) -> str:
        """One of "image", "text" and "audio"."""
        return self.family.modality

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Exact files, preparation, pooling and precision."""
        return {
            "files": dict(self.checkpoint.fingerprint),
            "family": self.checkpoint.config.model_type,
            "modality": self.modality,
            "input": dict(self.reader.settings),
            "pooling": self.pooling,
            "normalize": self.normalize,
            "dtype": str(self.dtype).removeprefix("torch."),
            "format": 1,
        }

    @cached_property
    def network(self) -> nn.Module:
        """The network on its device, in evaluation mode, without gradients.

        Raises:
            ValueError: a device that is not there.
        """
        device = self.device
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(
                f"{self.name}: device {device!r}: PyTorch sees no CUDA device here; use device='cpu'"
            )
        if device == "cuda" and "LOCAL_RANK" in os.environ:
            device = f"cuda:{os.environ['LOCAL_RANK']}"
        return self.checkpoint.network(self.dtype, self.family.options).to(device).requires_grad_(False)

    def batches(self, inputs: Sequence[Any], *, tokens: bool = False) -> Encoded:
        """(positions, arrays), batch by batch; token-level features are never normalised."""
        network = self.network
        place = next(network.parameters()).device
        for rows, batch in self.reader.batches(inputs, self.batch_size):
            # dropout and batch statistics would make features depend on chance and on the rest of the batch
            if any(module.training for module in network.modules()):
                raise RuntimeError(
                    f"{self.name}: the network is in training mode; call network.eval() before encoding"
                )
            batch = {
                name: value.to(place, self.dtype if value.is_floating_point() else None)
                for name, value in batch.items()
            }
            try:
                with torch.inference_mode():
                    hidden = self.family.forward(network, batch)
                    result = self._tokens(hidden) if tokens else self._pooled(hidden)
            except torch.cuda.OutOfMemoryError as error:
                error.add_note(f"{self.name}: use a batch_size below {self.batch_size}, or dtype='float16'")
                raise
            for row, part in zip(rows.tolist(), result, strict=True):
                self._require_finite(part, inputs[row])
            yield rows, result

    def _tokens(self, hidden: Hidden) -> list[Floats]:
        states, masks = hidden.tokens.float().cpu().numpy(), hidden.mask.cpu().numpy()
        return [part[mask] for part, mask in zip(states, masks, strict=True)]

    def _pooled(self, hidden: Hidden) -> Floats:
        pooled = pool(hidden, self.pooling)
        if self.normalize:
            pooled = nn.functional.normalize(pooled, dim=-1)
        return pooled.cpu().numpy()

    def _require_finite(self, features: Floats, source: object) -> None:
        if not np.isfinite(features).all():
            raise ValueError(
                f"{self.name}: features of {str(source)[:100]!r} are not finite; {self.identity['dtype']} may be too narrow "
                "for this network: use dtype='float32' or 'bfloat16'"
            )


def encode(encoder: Encoder, inputs: Sequence[Any]) -> Floats:
    """Features of a few inputs, without a cache.

    Args:
        encoder: any encoder.
        inputs: paths (image, audio) or sentences (text), at least one.

    Returns:
        (n, d), in the order of the inputs.

    Raises:
        ValueError: no inputs.
    """
    parts = list(encoder.batches(inputs))
    if not parts:
        raise ValueError(f"{encoder.name}: nothing to encode; give at least one input")
    rows = np.concatenate([rows for rows, _ in parts])
    out = np.empty((len(inputs), len(parts[0][1][0])), dtype=np.float32)
    out[rows] = np.concatenate([features for _, features in parts])
    return out


def encode_tokens(encoder: Encoder, inputs: Sequence[Any]) -> Tokens:
    """Token-level features of a few inputs, without a cache.

    Args:
        encoder: a pretrained encoder.
        inputs: paths or sentences, at least one.

    Returns:
        Tokens, in the order of the inputs, padded at the end to the longest.

    Raises:
        ValueError: no inputs.
    """
    ragged: list[Floats] = [np.empty((0, 0), np.float32)] * len(inputs)
    for rows, features in encoder.batches(inputs, tokens=True):
        for row, part in zip(rows, features, strict=True):
            ragged[row] = part
    if not ragged:
        raise ValueError(f"{encoder.name}: nothing to encode; give at least one input")
    return padded(ragged)


def padded(ragged: Sequence[Floats]) -> Tokens:
    """Token-level features (T_i, d) of different lengths, at least one, in one array."""
    lengths = np.array([len(part) for part in ragged])
    features = np.zeros((len(ragged), lengths.max(), ragged[0].shape[1]), dtype=np.float32)
    for row, part in zip(features, ragged, strict=True):
        row[: len(part)] = part
    return Tokens(features, np.arange(lengths.max()) < lengths[:, None])
