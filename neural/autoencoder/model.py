"""The shared autoencoder of the paper's Gaussian experiment: one network, written to be read (Gupta et al. 2025, E.14).

Every modality enters through a linear adapter of its own, passes the same encoder into a narrow code and the same
decoder out of it, and leaves through a linear head of its own. `neural.autoencoder.batched` computes the same
function for many such networks at once and is tested against this one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fisherkit.checks import UnknownNameError
from fisherkit.streams import Seed, streams

__all__ = ["Architecture", "SharedAutoencoder", "mean_squared_errors", "uml_objective"]


@dataclass(frozen=True)
class Architecture:
    """Sizes of a shared autoencoder; two runs can be trained side by side exactly if these are equal."""

    # ((modality, observed dimension m_k), ...), in the order in which parameters are laid out
    dims: tuple[tuple[str, int], ...]
    adapter_width: int = 128  # width of the common space that adapters map into and heads read from
    hidden_width: int = 128  # width of the ReLU layer in encoder and decoder; the paper does not state it
    latent_dim: int = 10  # width of the code

    def __post_init__(self) -> None:
        if not self.dims:
            raise ValueError("dims: no modality given; an autoencoder needs at least one, e.g. (('x', 50),)")
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"dims: repeated modality in {self.names}; names must be distinct")
        dotted = [name for name in self.names if "." in name]
        if dotted:
            raise ValueError(
                f"dims: modality name {dotted[0]!r} holds a dot, which separates parameter names"
            )
        sizes = {f"dims[{name!r}]": dim for name, dim in self.dims} | {
            "adapter_width": self.adapter_width,
            "hidden_width": self.hidden_width,
            "latent_dim": self.latent_dim,
        }
        for what, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"{what}: must be a whole number >= 1, got {size!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names, in parameter order."""
        return tuple(name for name, _ in self.dims)

    def check_names(self, names: Iterable[str]) -> None:
        """Raise `UnknownNameError` unless every name is a modality of this architecture."""
        for name in names:
            if name not in self.names:
                raise UnknownNameError(name, self.names)

    def layer_sizes(self) -> dict[str, tuple[int, int]]:
        """{layer: (outputs, inputs)} in the batched form's order: trunk, then adapter and head of each modality."""
        a, h, z = self.adapter_width, self.hidden_width, self.latent_dim
        sizes = {"encoder.0": (h, a), "encoder.2": (z, h), "decoder.0": (h, z), "decoder.2": (a, h)}
        for name, dim in self.dims:
            sizes |= {f"adapters.from_{name}": (a, dim), f"heads.to_{name}": (dim, a)}
        return sizes


class SharedAutoencoder(nn.Module):
    """Adapters, shared encoder, shared decoder, heads; a batch is ``{modality: (b, m_k) tensor}``.

        code = W2 relu(W1 adapter_k(x)),   reconstruction = head_k(V2 relu(V1 code))   (biases everywhere)

    The paper says "two linear layers with ReLU" of the encoder and "two linear layers" of the decoder; here the
    decoder has its ReLU between its two layers as well (a purely linear decoder would make its second layer and the
    head redundant). Adapters and heads have no nonlinearity, as in the paper.

    Each part is drawn from a stream of its own, keyed by seed and part (PyTorch's default uniform law, bound
    1/sqrt(inputs)): with equal seeds an x-only network starts from the very x-adapter, trunk and x-head of the
    network that also has a y. The global random state is neither read nor changed.

    Example:
        >>> net = SharedAutoencoder(Architecture((("x", 4), ("y", 3)), latent_dim=2), seed=0)
        >>> {name: tuple(rows.shape) for name, rows in net({"y": torch.zeros(5, 3)}).items()}
        {'y': (5, 3)}
        >>> alone = SharedAutoencoder(Architecture((("x", 4),), latent_dim=2), seed=0)
        >>> bool((alone.encoder[0].weight == net.encoder[0].weight).all())
        True
    """

    def __init__(self, architecture: Architecture, *, seed: Seed, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.architecture = architecture
        sizes = architecture.layer_sizes()

        def linear(layer: str) -> nn.Linear:
            outputs, inputs = sizes[layer]
            return nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=dtype)

        self.encoder = nn.Sequential(linear("encoder.0"), nn.ReLU(), linear("encoder.2"))
        self.decoder = nn.Sequential(linear("decoder.0"), nn.ReLU(), linear("decoder.2"))
        self.adapters = nn.ModuleDict({f"from_{k}": linear(f"adapters.from_{k}") for k in architecture.names})
        self.heads = nn.ModuleDict({f"to_{k}": linear(f"heads.to_{k}") for k in architecture.names})
        rngs = streams(seed, sizes)
        with torch.no_grad():
            for layer, rng in rngs.items():
                bound = sizes[layer][1] ** -0.5
                module = self.get_submodule(layer)
                for parameter in module.parameters():  # weight (outputs, inputs), then bias (outputs,)
                    parameter.copy_(torch.from_numpy(rng.uniform(-bound, bound, size=parameter.shape)))

    def encode(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Codes {modality: (b_k, latent_dim)} of rows {modality: (b_k, m_k)} of any of the modalities."""
        self.architecture.check_names(batch)
        dims = dict(self.architecture.dims)
        for name, rows in batch.items():
            if rows.ndim != 2 or rows.shape[1] != dims[name]:
                raise ValueError(f"{name}: expected rows of shape (b, {dims[name]}), got {tuple(rows.shape)}")
        return {name: self.encoder(self.adapters[f"from_{name}"](rows)) for name, rows in batch.items()}

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Reconstructions {modality: (b_k, m_k)} of rows of any of the modalities, in the same form."""
        return {name: self.heads[f"to_{name}"](self.decoder(z)) for name, z in self.encode(batch).items()}


def mean_squared_errors(
    reconstructions: Mapping[str, Tensor], batch: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """{modality: mean squared error over rows and coordinates}, scalars in data units squared."""
    return {name: (reconstructions[name] - rows).square().mean() for name, rows in batch.items()}


def uml_objective(errors: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Weighted sum of the modalities' mean squared errors (the paper's section 4); one left out weighs 1."""
    for name in weights:
        if name not in errors:
            raise UnknownNameError(name, errors)
    return torch.stack([weights.get(name, 1.0) * error for name, error in errors.items()]).sum()
