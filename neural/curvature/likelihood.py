"""What a network's outputs mean: the likelihood of a target given the outputs, and its Fisher information.

With outputs f (m numbers per sample) and parameters phi, the Fisher information of a sample is J' F_f J, J = df/dphi
and F_f the (m, m) information about f itself (Martens 2020, "New insights and perspectives on the natural gradient
method", section 9: for these likelihoods it is also the generalised Gauss-Newton matrix). Only a root of F_f is used,
L L' = F_f.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fisherkit.checks import as_array

__all__ = ["Categorical", "Gaussian", "Likelihood"]


class Likelihood(Protocol):
    """p(target | outputs) of one modality; outputs are (n, m)."""

    def root(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """L weights, per sample: (..., n, m) for outputs (n, m) and weights (..., n, m)."""

    def root_transposed(self, outputs: Tensor, tangents: Tensor) -> Tensor:
        """L' tangents, per sample: (..., n, m) for outputs (n, m) and tangents (..., n, m)."""

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Derivative (n, m) of log p(target | outputs) in the outputs (n, m)."""

    def draw_scores(self, outputs: Tensor, draws: int, generator: torch.Generator) -> Tensor:
        """(draws, n, m) scores at targets drawn from p(. | outputs): mean zero, covariance F_f."""


@dataclass(frozen=True)
class Gaussian:
    """Targets are outputs plus independent Gaussian noise of known variance: F_f = diag(1 / variance).

    The mean squared error of a regression or of a reconstruction is its log-likelihood up to constants.

    Attributes:
        variance: sigma^2 > 0, target units squared: one number, or (m,) one per output.

    Raises:
        ValueError: a variance that is not positive and finite.

    Example:
        >>> Gaussian(0.25).score(torch.tensor([[1.0]]), torch.tensor([[3.0]]))
        tensor([[8.]])
    """

    variance: ArrayLike = 1.0

    def __post_init__(self) -> None:
        variance = as_array(self.variance, "variance", ndim=(0, 1))
        if not (variance > 0).all():
            raise ValueError(f"variance: must be positive, got {variance.min():g}")

    def root(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """Weights / sigma; arguments as in `Likelihood`."""
        return weights / self._variance(outputs).sqrt()

    def root_transposed(self, outputs: Tensor, tangents: Tensor) -> Tensor:
        """Tangents / sigma; arguments as in `Likelihood`."""
        return tangents / self._variance(outputs).sqrt()

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(targets - outputs) / sigma^2, (n, m); targets may have any shape with n rows of m numbers."""
        if len(targets) != len(outputs) or targets.numel() != outputs.numel():
            raise ValueError(
                f"targets: expected shape {tuple(outputs.shape)} (one per output), got {tuple(targets.shape)}"
            )
        return (targets.reshape(outputs.shape).to(outputs) - outputs) / self._variance(outputs)

    def draw_scores(self, outputs: Tensor, draws: int, generator: torch.Generator) -> Tensor:
        """Noise / sigma^2; arguments as in `Likelihood`."""
        noise = torch.randn(draws, *outputs.shape, generator=generator, dtype=outputs.dtype)
        return self.root(outputs, noise.to(outputs.device))

    def _variance(self, outputs: Tensor) -> Tensor:
        variance = torch.as_tensor(self.variance, dtype=outputs.dtype, device=outputs.device)
        if variance.ndim and variance.shape != outputs.shape[1:]:
            raise ValueError(
                f"variance: {len(variance)} given for {outputs.shape[1]} outputs; give one number or one per output"
            )
        return variance


@dataclass(frozen=True)
class Categorical:
    """Targets are class numbers, outputs unnormalised log-probabilities: F_f = diag(p) - p p', p = softmax(f).

    F_f has rank m - 1. Its root is L = diag(sqrt p) - p sqrt(p)', exact and without subtraction of large numbers.

    Example:
        >>> Categorical().score(torch.zeros(1, 2), torch.tensor([1]))
        tensor([[-0.5000,  0.5000]])
    """

    def root(self, outputs: Tensor, weights: Tensor) -> Tensor:
        """Sqrt(p) u - p (sqrt(p)'u); arguments as in `Likelihood`."""
        p = torch.softmax(outputs, dim=-1)
        scaled = p.sqrt() * weights
        return scaled - p * scaled.sum(dim=-1, keepdim=True)

    def root_transposed(self, outputs: Tensor, tangents: Tensor) -> Tensor:
        """Sqrt(p) (t - p't); arguments as in `Likelihood`."""
        p = torch.softmax(outputs, dim=-1)
        return p.sqrt() * (tangents - (p * tangents).sum(dim=-1, keepdim=True))

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """One-hot target minus p, (n, m), for (n,) class numbers."""
        if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
            raise TypeError(f"targets: expected class numbers, got dtype {targets.dtype}")
        if targets.shape != outputs.shape[:1]:
            raise ValueError(
                f"targets: expected shape ({len(outputs)},), one class number per sample, got {tuple(targets.shape)}"
            )
        classes = outputs.shape[1]
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
            raise ValueError(
                f"targets: classes {int(targets.min())} to {int(targets.max())}, but there are {classes} outputs, "
                "0 first"
            )
        one_hot = torch.nn.functional.one_hot(targets.to(outputs.device, torch.int64), classes)
        return one_hot.to(outputs.dtype) - torch.softmax(outputs, dim=-1)

    def draw_scores(self, outputs: Tensor, draws: int, generator: torch.Generator) -> Tensor:
        """Scores at classes drawn from p; arguments as in `Likelihood`."""
        p = torch.softmax(outputs, dim=-1)
        drawn = torch.multinomial(p.cpu(), draws, replacement=True, generator=generator).T
        one_hot = torch.nn.functional.one_hot(drawn.to(outputs.device), outputs.shape[1])
        return one_hot.to(outputs.dtype) - p
