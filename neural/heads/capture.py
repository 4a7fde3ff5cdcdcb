"""One optimiser step captured as a CUDA graph and replayed: nothing is launched, or waited for, by the host in between."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["CapturedStep", "restore"]


class CapturedStep:
    """A step whose inputs are rows of buffers, chosen by a (1,) int64 counter that lives on the device.

    The step must use the same memory at every call and must not wait for the device. The trial steps before the capture
    leave no trace in `state`: what a step changes (weights, moments, counts).
    """

    def __init__(
        self, step: Callable[[Tensor], None], state: Callable[[], Sequence[Tensor]], device: torch.device
    ) -> None:
        self._device = torch.device(
            "cuda", torch.cuda.current_device() if device.index is None else device.index
        )
        self._position = torch.zeros(1, dtype=torch.int64, device=self._device)
        before = [tensor.clone() for tensor in state()]
        with torch.cuda.device(self._device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    step(self._position)
            torch.cuda.current_stream().wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=side):
                step(self._position)
                self._position.add_(1)
        restore(before, state())

    def run(self, steps: int) -> None:
        """Do the steps at positions 0, 1, ... of the block; returns before they are done."""
        with torch.cuda.device(self._device):
            self._position.zero_()
            for _ in range(steps):
                self._graph.replay()


def restore(before: Sequence[Tensor], state: Sequence[Tensor]) -> None:
    """Undo trial steps: what was there (first in `state`) goes back to its values, what is new since begins at zero."""
    for i, tensor in enumerate(state):
        if i < len(before):
            tensor.copy_(before[i])
        else:
            tensor.zero_()
