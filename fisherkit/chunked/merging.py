"""Merge statistics pairwise in a tree whose shape depends on their number only, never on when they arrive.

Addition of floating-point numbers is not associative, so the order of merging is fixed here once: neighbours are
merged, then neighbouring pairs, and so on, a last odd one being carried up. One machine and a cluster that summarise
the same partitions merge in the same tree and return the same bits.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from fisherkit.accumulation import single_threaded
from fisherkit.statistics import ModalityStatistics

__all__ = ["MergeTree", "merge_all"]


@dataclass
class MergeTree:
    """Merge a stream in the fixed tree while holding no more than log2(parts) statistics.

    Example:
        >>> import numpy as np
        >>> from fisherkit.statistics import GramStatistics
        >>> tree = MergeTree()
        >>> for value in (1.0, 2.0, 3.0):
        ...     tree.push(GramStatistics(1, 1, np.eye(1), np.array([value]), np.array(value**2)))
        >>> tree.total().n_samples, tree.total().cross
        (3, array([6.]))
    """

    _levels: list[ModalityStatistics | None] = field(default_factory=list)

    def push(self, part: ModalityStatistics) -> None:
        """Add the next part.

        Args:
            part: statistics of one modality.
        """
        carry: ModalityStatistics | None = part
        with single_threaded():
            for level, waiting in enumerate(self._levels):
                if waiting is None:
                    self._levels[level], carry = carry, None
                    break
                carry, self._levels[level] = waiting + carry, None  # type: ignore[operator]
        if carry is not None:
            self._levels.append(carry)

    def total(self) -> ModalityStatistics:
        """Everything pushed so far.

        Returns:
            Merged statistics.

        Raises:
            ValueError: nothing was pushed.
        """
        total: ModalityStatistics | None = None
        with single_threaded():
            for waiting in self._levels:  # later samples wait on lower levels
                if waiting is not None:
                    total = waiting if total is None else waiting + total
        if total is None:
            raise ValueError("nothing to merge: no statistics were given")
        return total


def merge_all(parts: Iterable[ModalityStatistics]) -> ModalityStatistics:
    """Merge parts in the fixed tree.

    Groups whose size is one power of two can be merged first, and their totals after: the result has the same bits.

    Args:
        parts: statistics of one modality, in order.

    Returns:
        Merged statistics.
    """
    tree = MergeTree()
    for part in parts:
        tree.push(part)
    return tree.total()
