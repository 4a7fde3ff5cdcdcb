"""AdamW for many runs in one tensor: runs of one learning rate and decay are neighbours and share a parameter group."""

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["SegmentedAdamW"]


class SegmentedAdamW:
    """``torch.optim.AdamW``'s fused kernel on slices of weights that hold one run per row.

    Each run has its (learning rate, weight decay) in `settings`; equal ones should be neighbours. `capturable` puts
    learning rates on the device as tensors, for a step that a CUDA graph will hold.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        grads: Mapping[str, Tensor],
        settings: Sequence[tuple[float, float]],
        *,
        capturable: bool = False,
    ) -> None:
        self.settings, self._capturable = list(settings), capturable
        self._build(weights, grads, {})

    @property
    def segments(self) -> list[tuple[float, float]]:
        """(learning rate, weight decay) of each parameter group."""
        return [pair for pair, _ in itertools.groupby(self.settings)]

    @property
    def rates(self) -> list[float | Tensor]:
        """Current learning rate of each parameter group."""
        return [group["lr"] for group in self._adam.param_groups]

    def set_rates(self, rates: Sequence[float]) -> None:
        """Learning rates of the coming step, one per segment."""
        for group, rate in zip(self._adam.param_groups, rates, strict=True):
            if self._capturable:
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def step(self) -> None:
        """Update the weights by the gradients."""
        self._adam.step()

    def keep(self, members: Tensor, weights: Mapping[str, Tensor], grads: Mapping[str, Tensor]) -> None:
        """Go on with the runs numbered in `members`, whose weights and gradients now lie elsewhere."""
        moments = {name: [part[members] for part in parts] for name, parts in self.moments().items()}
        self.settings = [self.settings[i] for i in members.tolist()]
        self._build(weights, grads, moments)

    def moments(self) -> dict[str, tuple[Tensor, Tensor]]:
        """{name: running means (R, ...) of gradients and of their squares}; empty before the first step."""
        gathered = {}
        for position, name in enumerate(self._names):
            states = [self._adam.state[group["params"][position]] for group in self._adam.param_groups]
            if all(states):
                gathered[name] = (
                    torch.cat([state["exp_avg"] for state in states]),
                    torch.cat([state["exp_avg_sq"] for state in states]),
                )
        return gathered

    def state_tensors(self) -> list[Tensor]:
        """All of the optimiser's own tensors, moments and step counts, in a fixed order."""
        states = (self._adam.state[p] for group in self._adam.param_groups for p in group["params"])
        return [state[key] for state in states for key in sorted(state)]

    def _build(
        self,
        weights: Mapping[str, Tensor],
        grads: Mapping[str, Tensor],
        moments: Mapping[str, Sequence[Tensor]],
    ) -> None:
        device = next(iter(weights.values())).device
        steps = self.state_tensors()[-1:] if moments else []  # "step" sorts last; all counts are equal
        self._names = list(weights)
        groups, states, start = [], [], 0
        for (rate, decay), members in itertools.groupby(self.settings):
            stop = start + len(list(members))
            params = []
            for name in self._names:
                part = weights[name][start:stop]
                part.grad = grads[name][start:stop]
                params.append(part)
                if moments:
                    mean, square = (moment[start:stop].clone() for moment in moments[name])
                    state = {"step": steps[0].clone(), "exp_avg": mean, "exp_avg_sq": square}
                    states.append((part, state))
            lr = torch.tensor(rate, device=device) if self._capturable else rate
            groups.append({"params": params, "lr": lr, "weight_decay": decay})
            start = stop
        self._adam = torch.optim.AdamW(groups, fused=True, capturable=self._capturable)
        for part, state in states:
            self._adam.state[part] = state
