"""One autoregressive transformer shared by all modalities, with a linear encoder and decoder for each (paper, Figure 4a).

Padding plays no part anywhere. Sequences are packed (steps first) before they enter, so that under the causal mask no
step can see padding; the loss and the pooled embedding count steps only. The released code of the paper masks neither:
there, the embedding of a clip depends on the longest clip of its batch.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fisherkit.checks import UnknownNameError, as_whole
from neural.minibatches import torch_generator
from neural.sequences.data import Batch, Modality, SequenceSet, pack

__all__ = ["SharedTransformer", "TransformerSettings", "embeddings", "predicted_steps"]

Positions = Literal["none", "sinusoid", "learned"]


@dataclass(frozen=True)
class TransformerSettings:
    """Shape of the shared transformer.

    The defaults are those of section B.4.1 for MultiBench, with what its released code adds (post-norm layers of
    PyTorch's default size); `VISION_TEXT` has those for patches and tokens of pretrained encoders.
    """

    width: int = 40  # features between layers; divisible by `heads`. The paper searches 10, 40, 150, 300
    layers: int = 5  # transformer layers, >= 1
    heads: int = 5  # attention heads
    feedforward: int = 2048  # hidden units of each layer's network
    # share of units dropped after attention, inside and after the feed-forward network; [0, 1)
    dropout: float = 0.1
    # "none" (the causal mask alone tells order), "sinusoid" (fixed), or "learned" (one table for each modality)
    positions: Positions = "none"
    # normalise before attention and feed-forward (trains at more learning rates) instead of after
    norm_first: bool = False
    max_steps: int = 512  # size of the learned tables

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "feedforward", "max_steps"):
            as_whole(getattr(self, name), name, least=1)
        if self.width % self.heads:
            raise ValueError(
                f"width: {self.width} features cannot be shared by {self.heads} heads; take a multiple"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be in [0, 1), got {self.dropout:g}")
        if self.positions not in ("none", "sinusoid", "learned"):
            raise UnknownNameError(self.positions, ("none", "sinusoid", "learned"), "kind of positions")
        if self.positions == "sinusoid" and self.width % 2:
            raise ValueError(f"width: sinusoids come in pairs, so {self.width} features must be even")


VISION_TEXT = TransformerSettings(width=256, layers=4, heads=4)


class _Layer(nn.Module):
    """A transformer layer; dropout happens if and only if a generator is given."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        width = settings.width
        self.heads, self.dropout, self.norm_first = settings.heads, settings.dropout, settings.norm_first
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.widen = nn.Linear(width, settings.feedforward)
        self.narrow = nn.Linear(settings.feedforward, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if self.norm_first:
            x = x + self._attention(self.norm1(x), generator)
            return x + self._feedforward(self.norm2(x), generator)
        x = self.norm1(x + self._attention(x, generator))
        return self.norm2(x + self._feedforward(x, generator))

    def _attention(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        batch, steps, width = x.shape
        joint = self.queries_keys_values(x).view(batch, steps, 3, self.heads, width // self.heads)
        q, k, v = joint.permute(2, 0, 3, 1, 4)  # each (B, heads, T, width / heads)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return _dropped(self.attended(mixed.transpose(1, 2).reshape(x.shape)), self.dropout, generator)

    def _feedforward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        hidden = _dropped(F.relu(self.widen(x)), self.dropout, generator)
        return _dropped(self.narrow(hidden), self.dropout, generator)


def _dropped(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Inverted dropout from an explicit generator: the global one is shared by threads and would not repeat."""
    if generator is None or not share:
        return x
    kept = torch.rand(x.shape, device=x.device, generator=generator) >= share
    return x * kept / (1 - share)


class SharedTransformer(nn.Module):
    """Linear encoders into one causal transformer, and linear decoders back.

    Every parameter starts from a stream of its own, named after it: the trunk and the target's encoder and decoder
    start from the same numbers whatever other modalities there are.
    """

    def __init__(
        self, modalities: Mapping[str, Modality], settings: TransformerSettings, *, seed: int
    ) -> None:
        super().__init__()
        if not modalities:
            raise ValueError("modalities: at least one is needed")
        for name in modalities:
            if not name or "." in name:
                raise ValueError(f"modality {name!r}: a name must not be empty or contain a dot")
        self.modalities, self.settings = dict(modalities), settings
        width = settings.width
        with torch.device("meta"):  # no numbers are drawn here
            self.encoders = nn.ModuleDict({
                f"from_{name}": nn.Embedding(m.dim, width) if m.discrete else nn.Linear(m.dim, width)
                for name, m in modalities.items()
            })
            self.layers = nn.ModuleList(_Layer(settings) for _ in range(settings.layers))
            self.norm = nn.LayerNorm(width) if settings.norm_first else nn.Identity()
            self.decoders = nn.ModuleDict({
                f"to_{name}": nn.Linear(width, m.dim) for name, m in modalities.items()
            })
            self.positions = nn.ParameterDict({
                f"of_{name}": nn.Parameter(torch.empty(settings.max_steps, width))
                for name in (modalities if settings.positions == "learned" else ())
            })
        self.to_empty(device="cpu")
        self._initialise(seed)

    def _initialise(self, seed: int) -> None:
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                kind = name.rpartition(".")[0]
                if isinstance(self.get_submodule(kind), nn.LayerNorm):
                    parameter.fill_(1.0 if name.endswith("weight") else 0.0)
                elif name.endswith("bias"):
                    parameter.zero_()
                else:
                    spread = 0.02 if kind == "positions" else parameter.shape[1] ** -0.5
                    parameter.normal_(0, spread, generator=torch_generator(seed, f"initial {name}"))

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def outputs(self, name: str, batch: Batch, dropout: torch.Generator | None = None) -> Tensor:
        """(B, T, width) of packed sequences: step t depends on steps 0 .. t alone; padding's outputs mean nothing."""
        self._check(name, batch.values)
        x = self.encoders[f"from_{name}"](batch.values)
        steps = x.shape[1]
        if self.settings.positions == "learned":
            x = x + self.positions[f"of_{name}"][:steps]
        elif self.settings.positions == "sinusoid":
            x = x + _sinusoids(steps, self.settings.width, x.device)
        for layer in self.layers:
            x = layer(x, dropout)
        return self.norm(x)

    def embed(self, name: str, values: Tensor, mask: Tensor) -> Tensor:
        """Mean of the trunk's outputs over the steps of each sequence, (B, width) float32; padding may be anywhere."""
        return self._pooled(name, pack(values, mask))

    def _pooled(self, name: str, batch: Batch) -> Tensor:
        outputs = self.outputs(name, batch).float()
        summed = torch.where(batch.mask[:, :, None], outputs, 0.0).sum(dim=1)
        return summed / batch.lengths[:, None]

    def loss_sum(self, name: str, batch: Batch, dropout: torch.Generator | None = None) -> Tensor:
        """Squared error (mean over features) or nats of each next step (a single step's own), summed over steps."""
        outputs, wanted, counted = self.outputs(name, batch, dropout), batch.values, batch.mask
        modality = self.modalities[name]
        if not modality.single:
            outputs, wanted, counted = outputs[:, :-1], wanted[:, 1:], counted[:, 1:]
        # only steps that count are decoded: at padding there is nothing to predict
        guesses = self.decoders[f"to_{name}"](outputs[counted]).float()
        if modality.discrete:
            return F.cross_entropy(guesses, wanted[counted], reduction="sum")
        return (guesses - wanted[counted]).square().mean(dim=1).sum()

    def _check(self, name: str, values: Tensor) -> None:
        if name not in self.modalities:
            raise UnknownNameError(name, self.modalities)
        modality = self.modalities[name]
        if modality.discrete:
            fits = values.ndim == 2 and not values.is_floating_point()
        else:
            fits = values.ndim == 3 and values.shape[2] == modality.dim
        if not fits:
            wanted = "(B, T) tokens" if modality.discrete else f"(B, T, {modality.dim}) features"
            raise ValueError(f"{name}: expected {wanted}, got {values.dtype} of shape {tuple(values.shape)}")
        if self.settings.positions == "learned" and values.shape[1] > self.settings.max_steps:
            raise ValueError(
                f"{name}: {values.shape[1]} steps, but positions are learned for {self.settings.max_steps}; raise max_steps"
            )

    def describe(self) -> dict[str, object]:
        """Settings and modalities as plain data, for records and checkpoints."""
        return {
            "settings": asdict(self.settings),
            "modalities": {name: asdict(m) for name, m in self.modalities.items()},
        }


def predicted_steps(modality: Modality, lengths: NDArray[np.int64] | Tensor) -> int:
    """How many steps a batch has to predict: all but the first of each sequence, or all where there is only one."""
    return int(lengths.sum()) - (0 if modality.single else len(lengths))


@torch.no_grad()
def embeddings(
    model: SharedTransformer, name: str, data: SequenceSet, *, batch_size: int = 256
) -> NDArray[np.float32]:
    """Pooled embeddings (n, width) of a set of sequences; `batch_size` is for speed only."""
    parts = [
        model._pooled(name, data.batch(rows, model.device)).cpu()
        for rows in torch.arange(len(data)).split(batch_size)
    ]
    return torch.cat(parts).numpy()


def _sinusoids(steps: int, width: int, device: torch.device) -> Tensor:
    """(steps, width) sines and cosines (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    angles = torch.arange(steps, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).reshape(steps, width)
