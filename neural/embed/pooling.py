"""One vector from the tokens of an input; padding has no part in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fisherkit.checks import UnknownNameError

__all__ = ["POOLINGS", "Hidden", "pool"]

POOLINGS = ("cls", "mean", "eot")


@dataclass(frozen=True, eq=False)
class Hidden:
    """What a network says about a batch."""

    tokens: Tensor  # (b, T, d) last hidden state
    mask: Tensor  # (b, T) bool, False for padding (on either side); at least one True per row
    prefix: int = 0  # leading tokens that stand for no part of the input (class token, registers)
    # {pooling: (b, d')} that the network defines itself, such as CLIP's projected embedding
    own: Mapping[str, Tensor] = field(default_factory=dict)


def pool(hidden: Hidden, how: str) -> Tensor:
    """(b, d) float32: "cls" first token, "eot" last, "mean" of those beyond the prefix, or the network's own."""
    if how in hidden.own:
        return hidden.own[how].float()
    rows = torch.arange(len(hidden.tokens), device=hidden.tokens.device)
    place = hidden.mask.to(torch.int64)
    if how == "cls":
        return hidden.tokens[rows, place.argmax(dim=1)].float()
    if how == "eot":
        numbered = place * torch.arange(1, place.shape[1] + 1, device=place.device)
        return hidden.tokens[rows, numbered.argmax(dim=1)].float()
    if how == "mean":
        weight = place[:, hidden.prefix :, None].float()
        kept = hidden.tokens[:, hidden.prefix :].float()
        # padding is replaced, not multiplied by zero: what stands there need not be finite
        return torch.where(weight > 0, kept, 0.0).sum(dim=1) / weight.sum(dim=1)
    raise UnknownNameError(how, [*POOLINGS, *hidden.own], "pooling")
