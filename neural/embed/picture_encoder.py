"""A small ConvNet for 32 x 32 grey pictures: 192 features, pretrained by classifying pictures of other classes."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from fisherkit.checks import as_whole
from neural.minibatches import torch_generator

__all__ = ["FEATURES", "PictureEncoder", "encode", "pretrain"]

FEATURES = 192
WIDTHS = (32, 64, 128, 192)  # channels, computed on grids of 16, 16, 8 and 4 pixels a side
_KERNELS, _STRIDES, _POOLS = (5, 3, 3, 3), (2, 1, 1, 1), (1, 2, 2, 1)

LEARNING_RATE, WEIGHT_DECAY = 4e-3, 0.05  # AdamW
_WARM_UP = 0.1  # share of the steps

Batch = tuple[Tensor, Tensor]


class PictureEncoder(nn.Module):
    """Four convolutions with ReLU and local maxima, then a linear map of the last grid of 4 x 4.

    Places matter (accents above and below): averaging over the last grid instead of mapping it cost a one-shot probe
    on unseen characters eight points of accuracy. There are no batch statistics: the network is the same function in
    training and evaluation and can be fine-tuned in batches of any size. `pretrain` uses batch normalisation on the
    way and folds it into the weights at the end.

    Args:
        seed: of the weights (He-normal; biases zero), each layer's from a stream of its own. The global random state
            is neither read nor changed.

    Example:
        >>> encoder = PictureEncoder()
        >>> encoder(torch.zeros(5, 32, 32)).shape, encoder(torch.zeros(5, 1, 32, 32)).shape
        (torch.Size([5, 192]), torch.Size([5, 192]))
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        layers = zip((1, *WIDTHS[:-1]), WIDTHS, _KERNELS, _STRIDES, strict=True)
        self.convolutions = nn.ModuleList(
            nn.utils.skip_init(nn.Conv2d, inputs, outputs, kernel, stride, kernel // 2)
            for inputs, outputs, kernel, stride in layers
        )
        self.project = nn.utils.skip_init(nn.Linear, WIDTHS[-1] * 16, FEATURES)
        _initialise(self, seed)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, d) features of pictures (n, 32, 32) or (n, 1, 32, 32), ink 1, paper 0."""
        return self.project(self.last_grid(pictures, [nn.Identity()] * len(WIDTHS)))

    def layers(self) -> list[nn.Conv2d]:
        """The convolutions, in order."""
        return [layer for layer in self.convolutions if isinstance(layer, nn.Conv2d)]

    def last_grid(self, pictures: Tensor, norms: Sequence[nn.Module]) -> Tensor:
        """Flattened output of the convolutions, each followed by its normalisation and ReLU."""
        if pictures.ndim == 3:
            pictures = pictures[:, None]
        if pictures.shape[1:] != (1, 32, 32):
            raise ValueError(
                f"pictures: expected shape (n, 32, 32) or (n, 1, 32, 32), got {tuple(pictures.shape)}"
            )
        grid = pictures
        for convolution, norm, pool in zip(self.convolutions, norms, _POOLS, strict=True):
            grid = F.max_pool2d(F.relu(norm(convolution(grid))), pool)
        return grid.flatten(1)


class _Pretraining(nn.Module):
    """The encoder with a batch normalisation after each layer, and a linear classifier."""

    def __init__(self, encoder: PictureEncoder, n_classes: int, seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.norms = nn.ModuleList(nn.BatchNorm2d(layer.out_channels) for layer in encoder.layers())
        # without a learned scale: the features end with mean 0 and variance 1
        self.last_norm = nn.BatchNorm1d(encoder.project.out_features).requires_grad_(False)
        self.classify = nn.utils.skip_init(nn.Linear, encoder.project.out_features, n_classes)
        _initialise(self.classify, seed)

    def forward(self, pictures: Tensor) -> Tensor:
        grid = self.encoder.last_grid(pictures, list(self.norms))
        return self.classify(self.last_norm(self.encoder.project(grid)))

    def folded(self) -> PictureEncoder:
        """The encoder alone, with the normalisations (as in evaluation) folded into its weights."""
        self.eval()
        encoder = self.encoder
        norms = [norm for norm in self.norms if isinstance(norm, nn.BatchNorm2d)]
        encoder.convolutions = nn.ModuleList(
            fuse_conv_bn_eval(layer, norm) for layer, norm in zip(encoder.layers(), norms, strict=True)
        )
        encoder.project = fuse_linear_bn_eval(encoder.project, self.last_norm)
        return encoder


def pretrain(
    draw: Callable[[], Batch],  # the next batch: pictures (b, 32, 32) and labels (b,), b >= 2
    n_classes: int,
    *,
    steps: int,
    seed: int,
    progress: Callable[[int], object] | None = None,
) -> PictureEncoder:
    """An encoder trained to tell classes apart: cross-entropy, AdamW, linear warm-up, then cosine decay to zero."""
    # on one thread equal arguments give equal weights
    steps = as_whole(steps, "steps", least=1)
    network = _Pretraining(PictureEncoder(seed), n_classes, seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    warm_up = max(1, round(_WARM_UP * steps))

    def rate(step: int) -> float:
        rising = (step + 1) / warm_up
        return min(rising, 0.5 + 0.5 * math.cos(math.pi * max(0, step - warm_up) / max(1, steps - warm_up)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    network.train()
    for step in range(steps):
        pictures, labels = draw()
        loss = F.cross_entropy(network(pictures), labels)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"pretraining: the loss is {loss.item()} at step {step}; check the pictures"
            )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if progress is not None:
            progress(1)
    return network.folded()


def _initialise(network: nn.Module, seed: int) -> None:
    """He-normal weights and zero biases, each layer's from a stream of its own."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            generator = torch_generator(seed, name)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def encode(encoder: nn.Module, pictures: NDArray[np.uint8], batch: int = 512) -> NDArray[np.float32]:
    """(n, d) float32 features of (n, 32, 32) uint8 pictures, ink 255, `batch` at a time."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(pictures), batch):
            part = torch.from_numpy(pictures[start : start + batch]).to(torch.float32) / 255
            parts.append(encoder(part).numpy())
    return np.concatenate(parts)
