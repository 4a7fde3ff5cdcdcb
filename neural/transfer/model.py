"""A vision transformer around given layers (the paper's B.4.4): patches, class token, positions, layers, two-layer head."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fisherkit.checks import as_whole
from neural.minibatches import torch_generator
from neural.transfer.stack import LanguageStack

__all__ = ["PatchSettings", "PatchTransformer", "cut_patches"]


@dataclass(frozen=True)
class PatchSettings:
    """Sizes of what surrounds the layers."""

    channels: int = 3  # of a picture
    side: int = 224  # pixels of its sides, a multiple of `patch`
    patch: int = 16  # pixels of a patch's sides
    dropout: float = 0.1  # share of entries of the embedded sequence set to zero in training, 0 <= p < 1

    def __post_init__(self) -> None:
        for name in ("channels", "side", "patch"):
            as_whole(getattr(self, name), name, least=1)
        if self.side % self.patch:
            raise ValueError(
                f"patch: {self.patch} pixels do not divide a picture of {self.side}; patches must not overlap or be cut"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be at least 0 and below 1, got {self.dropout}")

    @property
    def count(self) -> int:
        """Patches of a picture, N."""
        return (self.side // self.patch) ** 2


def cut_patches(pictures: Tensor, patch: int) -> Tensor:
    """Pictures (b, c, h, w) as sequences of their patches, (b, N, c p p): row by row, each channel by channel."""
    b, c, h, w = pictures.shape
    grid = pictures.reshape(b, c, h // patch, patch, w // patch, patch)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * patch * patch)


class PatchTransformer(nn.Module):
    """Pictures to class scores through the layers of a language model.

    What is new is drawn from streams that know nothing of the layers: networks of one seed and one width differ in
    their layers alone. The patch projection keeps the variance (Xavier), class token and positions have standard
    deviation 0.02 as in ViT, the head is He-normal with GELU between its layers, its last layer 0.02.
    """

    def __init__(self, stack: LanguageStack, n_classes: int, settings: PatchSettings, *, seed: int) -> None:
        super().__init__()
        n_classes = as_whole(n_classes, "n_classes", least=2)
        width, inputs = stack.width, settings.channels * settings.patch**2
        self.settings, self.stack = settings, stack
        self.embed = nn.utils.skip_init(nn.Linear, inputs, width)
        self.cls = nn.Parameter(torch.empty(width))
        self.positions = nn.Parameter(torch.empty(settings.count + 1, width))
        self.hidden = nn.utils.skip_init(nn.Linear, width, width)
        self.classify = nn.utils.skip_init(nn.Linear, width, n_classes)
        nn.init.xavier_normal_(self.embed.weight, generator=torch_generator(seed, "patch embedding"))
        nn.init.kaiming_normal_(
            self.hidden.weight, nonlinearity="relu", generator=torch_generator(seed, "head")
        )
        for name, weight in (
            ("class token", self.cls),
            ("positions", self.positions),
            ("classes", self.classify.weight),
        ):
            nn.init.normal_(weight, std=0.02, generator=torch_generator(seed, name))
        for layer in (self.embed, self.hidden, self.classify):
            nn.init.zeros_(layer.bias)

    def forward(self, pictures: Tensor, dropout: torch.Generator | None = None) -> Tensor:
        """Class scores (b, C) of pictures (b, c, side, side); dropout only with a source on their device."""
        settings = self.settings
        wanted = (settings.channels, settings.side, settings.side)
        if tuple(pictures.shape[1:]) != wanted:
            raise ValueError(
                f"pictures: expected shape (b, {', '.join(map(str, wanted))}), got {tuple(pictures.shape)}"
            )
        tokens = self.embed(cut_patches(pictures, settings.patch))
        first = self.cls.to(tokens.dtype).expand(len(tokens), 1, -1)
        sequence = torch.cat([first, tokens], dim=1) + self.positions  # (b, N + 1, d)
        if dropout is not None and settings.dropout:
            kept = torch.empty_like(sequence).bernoulli_(1 - settings.dropout, generator=dropout)
            sequence = sequence * kept / (1 - settings.dropout)
        return self.classify(F.gelu(self.hidden(self.stack(sequence)[:, 0])))
