"""What the layers start from: pretrained weights, their shuffled or Gaussian likeness, or the usual random ones.

The two likenesses tell what pretraining knows from how large its weights are: they keep the scale of every tensor and
lose everything else.
"""

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from fisherkit.checks import UnknownNameError
from neural.minibatches import torch_generator
from neural.transfer.stack import LanguageStack

__all__ = ["INITIALISATIONS", "initialise", "randomise"]

Redraw = Callable[[Tensor, torch.Generator], Tensor]


def _shuffled(values: Tensor, generator: torch.Generator) -> Tensor:
    return values.flatten()[torch.randperm(values.numel(), generator=generator)].view_as(values)


def _gaussian(values: Tensor, generator: torch.Generator) -> Tensor:
    drawn = torch.randn(values.shape, generator=generator)
    return values.mean() + values.std(correction=0) * drawn


_LIKENESSES: dict[str, Redraw] = {"shuffled": _shuffled, "gaussian": _gaussian}
INITIALISATIONS = {
    "pretrained": "pretrained",
    # the type's own random start: normal with the configuration's ``initializer_range``, biases zero, normalisations
    # one and zero; GPT-2's projections into the residual stream divided by the root of twice the depth
    "scratch": "from scratch",
    # the entries of every tensor permuted within it; matrices, biases and normalisations each by themselves, GPT-2's
    # joint query-key-value matrix as the three that it is
    "shuffled": "pretrained, shuffled",
    # every such tensor drawn anew from a normal law with its own mean and standard deviation
    "gaussian": "Gaussian of its scale",
}


def initialise(pretrained: LanguageStack, how: str, seed: int) -> LanguageStack:
    """A copy of the layers that starts from other weights, each tensor's drawn from a stream of its own."""
    if how not in INITIALISATIONS:
        raise UnknownNameError(how, INITIALISATIONS, "initialisation")
    stack = copy.deepcopy(pretrained)
    if how == "scratch":
        randomise(stack, stack.config.initializer_range, seed)
        if stack.kind == "gpt2":
            with torch.no_grad():
                for name, weight in stack.named_parameters():
                    if name.endswith("c_proj.weight"):
                        weight.div_((2 * stack.depth) ** 0.5)
    elif how != "pretrained":
        with torch.no_grad():
            for name, values in _tensors(stack):
                values.copy_(_LIKENESSES[how](values, torch_generator(seed, f"{how} {name}")))
    return stack


@torch.no_grad()
def randomise(network: nn.Module, std: float, seed: int) -> None:
    """Draw all weights anew, in place: normal with mean zero; biases zero, normalisations one and zero."""
    norms = {id(p) for m in network.modules() if isinstance(m, nn.LayerNorm) for p in m.parameters()}
    for name, values in network.named_parameters():
        if id(values) in norms:
            values.fill_(1.0 if name.endswith("weight") else 0.0)
        elif values.ndim > 1:
            values.copy_(std * torch.randn(values.shape, generator=torch_generator(seed, f"scratch {name}")))
        else:
            values.zero_()


def _tensors(stack: LanguageStack) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that is one thing; writing to it changes the network."""
    for name, values in stack.named_parameters():
        if "c_attn" in name:  # of GPT-2: query, key and value side by side
            for part, third in zip("qkv", values.chunk(3, dim=-1), strict=True):
                yield f"{name} {part}", third
        else:
            yield name, values
