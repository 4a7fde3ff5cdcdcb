"""Two informations M_X, M_Y and their sum, decided once: roots, ranks, shares, and how far rounding reaches.

Y's *shares* are the eigenvalues of M_XY^{+1/2} M_Y M_XY^{+1/2} on range(M_XY). They do not depend on units: 0 is a
direction only X informs, 1 one only Y informs, and anything between is informed by both. Their number strictly
between 0 and 1 is the dimension of range(M_X) ∩ range(M_Y).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_symmetric
from fisherkit.loewner import Comparison, compare
from fisherkit.psd import PSD, RANGE_TOLERANCE, tolerance
from fisherkit.theorems.results import clear, drowned

__all__ = ["Pair"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """M_X, M_Y and M_XY = M_X + M_Y with everything the statements ask of them.

    Attributes:
        x: M_X.
        y: M_Y.
        xy: M_XY, summed from the given matrices, or from the roots where these were given.
        m_x: (d, d) as given.
        m_y: (d, d) as given.
        order: M_X against M_Y in the Loewner order.

    Example:
        >>> pair = Pair.of(np.diag([1.0, 2.0, 0.0]), np.diag([0.0, 2.0, 3.0]))
        >>> pair.shares
        array([0. , 0.5, 1. ])
    """

    x: PSD
    y: PSD
    xy: PSD
    m_x: Array
    m_y: Array
    order: Comparison

    @classmethod
    def of(cls, m_x: ArrayLike, m_y: ArrayLike) -> "Pair":
        """Check and decide.

        Args:
            m_x: (d, d) symmetric positive semidefinite, array or `PSD`.
            m_y: the same, in the same units.

        Returns:
            The pair.
        """
        first = as_symmetric(m_x, "M_X")
        second = as_symmetric(m_y, "M_Y", dim=len(first))
        x, y = PSD.of(m_x, name="M_X"), PSD.of(m_y, name="M_Y")
        if isinstance(m_x, PSD) or isinstance(m_y, PSD):
            return cls(x, y, x.plus(y), first, second, compare(m_x, m_y))
        return cls(x, y, PSD.of(first + second, name="M_X + M_Y"), first, second, compare(first, second))

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.x.dim

    @property
    def noise(self) -> float:
        """Relative rounding of variances and shares."""
        return self.x.resolution + self.xy.resolution

    @property
    def form_noise(self) -> float:
        """Relative rounding of quadratic forms v'Mv, in units of sum_i s_i v_i^2."""
        return self.dim * tolerance(self.dim)

    @cached_property
    def shares(self) -> Array:
        """(rank M_XY,) Y's shares, ascending, in [0, 1]."""
        half = self.y.root @ self.xy.half_inverse
        return np.clip(np.linalg.eigvalsh(half.T @ half), 0.0, 1.0)

    @cached_property
    def drops(self) -> Array:
        """(rank M_X,) relative variance reductions over range(M_X), ascending, from X's own root."""
        half = self.x.root @ self.xy.half_inverse
        return np.asarray(np.linalg.eigvalsh(np.eye(self.x.rank) - half @ half.T), dtype=np.float64)

    @property
    def ranks_agree(self) -> bool:
        """Whether ranks of M_X and M_Y on their own and within the sum are the same: no information drowned.

        Neither may that of any one coordinate: ranks can survive it, variances do not.
        """
        shares, noise = self.shares, self.noise
        return (
            not drowned(self.m_x, self.m_y)
            and clear(noise, shares, 1 - shares)
            and int((1 - shares > noise).sum()) == self.x.rank
            and int((shares > noise).sum()) == self.y.rank
        )

    def membership(self, psd: PSD, v: Array) -> tuple[bool, bool]:
        """Whether v lies in the range of one of the matrices, and whether that is beyond doubt.

        Args:
            psd: `x`, `y` or `xy`.
            v: (d,) direction.

        Returns:
            (inside, resolved).
        """
        outside = float(psd.outside(v))
        sure = psd.resolution <= RANGE_TOLERANCE
        return outside <= RANGE_TOLERANCE, sure and clear(RANGE_TOLERANCE, outside)

    def project(self, v: Array) -> Array:
        """The vector of range(M_X) that a direction inside it stands for, free of rounding off the range.

        Args:
            v: (d,) direction in range(M_X).

        Returns:
            M_X M_X^- v.
        """
        return self.x.root.T @ (self.x.half_inverse.T @ v)

    def predicted_drop(self, v: Array) -> float:
        """Relative variance reduction at v in range(M_X), as a sum of squares that vanishes iff M_Y M_XY^+ v = 0.

        With y = M_XY^- v and z = M_Y y:  v'M_X^+ v - v'M_XY^+ v = y'M_Y y + z'M_X^+ z.

        Args:
            v: (d,) direction in range(M_X).

        Returns:
            The reduction divided by v'M_X^+ v.
        """
        y = self.xy.half_inverse @ (self.xy.half_inverse.T @ v)
        z = self.y.root.T @ (self.y.root @ y)
        total = np.square(self.y.root @ y).sum() + np.square(self.x.half_inverse.T @ z).sum()
        return float(total / np.square(self.x.half_inverse.T @ v).sum())
