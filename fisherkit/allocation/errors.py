"""What can go wrong with an allocation; each message names the cause and the nearest question that has an answer."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["InfeasibleError", "NonConvexError", "NotEstimableError", "SolverError", "looser"]


class InfeasibleError(ValueError):
    """No counts satisfy budget, limits, target and further constraints together."""


class NotEstimableError(ValueError):
    """Nothing that can be bought makes everything estimable that the criterion asks for.

    Args:
        message: cause and nearest feasible question.
        estimable: (d, r) orthonormal columns, the directions that affordable samples do determine; a
            `c_criterion` of them, or of a projection on them, has an answer. None where it is about whole numbers.
    """

    def __init__(self, message: str, estimable: NDArray[np.float64] | None = None) -> None:
        self.estimable = estimable
        super().__init__(message)


class SolverError(RuntimeError):
    """The numerical method stopped before its answer could be certified.

    Args:
        message: what stopped it.
        gap: relative gap that is certified, None if there is no answer at all.
    """

    def __init__(self, message: str, gap: float | None = None) -> None:
        self.gap = gap
        super().__init__(message)


class NonConvexError(ValueError):
    """A further constraint is not convex, or no constraint at all."""


def looser(gap: float) -> str:
    """What a tolerance can do about a gap.

    Args:
        gap: relative gap that is certified.

    Returns:
        Advice; a tolerance below 1 that accepts the answer, if there is one worth accepting.

    Example:
        >>> looser(1e-3), looser(0.7)
        ('pass tolerance=0.002', 'pass tolerance=0.85')
        >>> looser(1.0)
        'no certificate was reached, so that no tolerance helps'
    """
    if not gap < 0.9:
        return "no certificate was reached, so that no tolerance helps"
    return f"pass tolerance={2 * gap:.1g}" if gap < 0.45 else f"pass tolerance={(1 + gap) / 2:.2g}"
