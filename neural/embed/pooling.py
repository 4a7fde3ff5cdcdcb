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
    """What a network says about a batch.

    Attributes:
        tokens: (b, T, d) last hidden state.
        mask: (b, T) bool, False where a token is padding; at least one True per row. Either side may be padded.
        prefix: number of leading tokens that stand for no part of the input (class token, registers); the mean leaves
            them out.
        own: {pooling: (b, d')}, poolings that the network defines itself, such as CLIP's projected embedding.
    """

    tokens: Tensor
    mask: Tensor
    prefix: int = 0
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
        return hidden.tokens[
            rows, (place * torch.arange(1, place.shape[1] + 1, device=place.device)).argmax(1)
        ].float()
    if how == "mean":
        weight = place[:, hidden.prefix :, None].float()
        kept = hidden.tokens[:, hidden.prefix :].float()
        # padding is replaced, not multiplied by zero: what stands there need not be finite
        return torch.where(weight > 0, kept, 0.0).sum(dim=1) / weight.sum(dim=1)
    raise UnknownNameError(how, [*POOLINGS, *hidden.own], "pooling")
