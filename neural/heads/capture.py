"""One optimiser step captured as a CUDA graph and replayed: nothing is launched, or waited for, by the host in between."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["CapturedStep"]


class CapturedStep:
    """A step whose inputs are rows of buffers, chosen by a counter that lives on the device.

    Args:
        step: does one step, given a (1,) int64 tensor on the device: the position in the block.
        state: tensors that a step changes (weights, moments, counts); the trial steps before the capture leave no trace
            in them.

    The step must use the same memory at every call and must not wait for the device.
    """

    def __init__(self, step: Callable[[Tensor], None], state: Callable[[], Sequence[Tensor]]) -> None:
        device = torch.device("cuda", torch.cuda.current_device())
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        before = [tensor.clone() for tensor in state()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step(self._position)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            step(self._position)
            self._position.add_(1)
        # Tensors that the optimiser made in the trial steps begin at zero; the others go back to what they were.
        for i, tensor in enumerate(state()):
            if i < len(before):
                tensor.copy_(before[i])
            else:
                tensor.zero_()

    def run(self, steps: int) -> None:
        """Do the steps at positions 0, 1, ... of the block; returns before they are done.

        Args:
            steps: how many.
        """
        self._position.zero_()
        for _ in range(steps):
            self._graph.replay()
