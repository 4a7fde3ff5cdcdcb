"""Which rows come next: every run and modality walks through its own endless sequence of shuffles."""

import torch
from torch import Tensor

from fisherkit.streams import Seed, streams

__all__ = ["RowStream", "torch_generator"]


def torch_generator(seed: Seed, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """Generator of a named stream; different names give independent ones, the global state is not touched."""
    return torch.Generator(device).manual_seed(int(streams(seed, [name])[name].integers(0, 2**63 - 1)))


class RowStream:
    """Row numbers 0..n-1 in random order, reshuffled at the end of every pass; no row is dropped.

    What comes out does not depend on how many numbers are taken at a time.

    Example:
        >>> stream = RowStream(3, torch_generator(0, "rows of x"))
        >>> sorted(stream.take(3).tolist()), sorted(stream.take(3).tolist())
        ([0, 1, 2], [0, 1, 2])
    """

    def __init__(self, n: int, generator: torch.Generator) -> None:
        if n < 1:
            raise ValueError(f"n: a stream needs at least one row, got {n}")
        self.n, self.taken = n, 0
        self._generator = generator
        self._rest = torch.empty(0, dtype=torch.int64)

    def take(self, count: int) -> Tensor:
        """The next `count` row numbers, int64."""
        parts, have = [self._rest], len(self._rest)
        while have < count:
            parts.append(torch.randperm(self.n, generator=self._generator))
            have += self.n
        joined = torch.cat(parts)
        self._rest = joined[count:]
        self.taken += count
        return joined[:count]

    def skip(self, count: int) -> None:
        """Walk past row numbers, one pass at a time."""
        for done in range(0, count, self.n):
            self.take(min(self.n, count - done))
