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
from fisherkit.projection import entry_rounding, own_ratio, own_rounding
from fisherkit.psd import PSD
from fisherkit.theorems.results import clear, drowned, evenness
from fisherkit.tolerances import DOUBT, RANGE_TOLERANCE, tolerance

__all__ = ["Pair", "range_coordinates"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """M_X, M_Y and M_XY = M_X + M_Y with everything the statements ask of them.

    Given matrices are trusted to the tolerance of `fisherkit.psd`: what is smaller is zero. A model's own objects are
    trusted to their last digit, so that what is smaller than the tolerance but not rounding beyond doubt leaves a
    statement unresolved.

    Attributes:
        x: M_X.
        y: M_Y.
        xy: M_XY, summed from the given matrices, or from the roots where these were given.
        m_x: (d, d) as given.
        m_y: (d, d) as given.
        m_xy: (d, d) their sum.
        order: M_X against M_Y in the Loewner order.
        decided: whether M_X or M_Y was given as a `PSD`.

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
    m_xy: Array
    order: Comparison
    decided: bool

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
            xy = x.plus(y)
            return cls(x, y, xy, first, second, xy.matrix, compare(x, y), True)
        joint = first + second
        return cls(x, y, PSD.of(joint, name="M_X + M_Y"), first, second, joint, compare(first, second), False)

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.x.dim

    @cached_property
    def noise(self) -> float:
        """Relative rounding of variances and shares."""
        return own_rounding(self.x) + own_rounding(self.xy)

    @cached_property
    def form_noise(self) -> float:
        """Relative rounding of quadratic forms v'Mv, in units of sum_i M_ii v_i^2."""
        return self.dim * max(tolerance(self.dim), entry_rounding(self.xy) if self.decided else 0.0)

    @cached_property
    def shares(self) -> Array:
        """(rank M_XY,) Y's shares, ascending, in [0, 1]."""
        half = self.y.root @ self.xy.half_inverse
        return np.clip(np.linalg.eigvalsh(half.T @ half), 0.0, 1.0)

    @cached_property
    def ranks_agree(self) -> bool:
        """Whether ranks of M_X and M_Y on their own and within the sum are the same: no information drowned.

        Neither may that of any one coordinate: ranks can survive it, variances do not.
        """
        return (
            not self.drowned
            and self.clear(self.noise, self.shares, 1 - self.shares)
            and int((1 - self.shares > self.noise).sum()) == self.x.rank
            and self.y_agrees
        )

    @property
    def y_agrees(self) -> bool:
        """Whether M_Y informs as many directions beside M_X as it does on its own, beyond doubt."""
        found = int((self.shares > self.noise).sum())
        return self.sure and self.clear(self.noise, self.shares) and found == self.y.rank

    @property
    def sure(self) -> bool:
        """Whether all three matrices came to their ranks beyond doubt."""
        return self.x.sure and self.y.sure and self.xy.sure

    @property
    def drowned(self) -> bool:
        """Whether a coordinate of one matrix loses all its digits in the sum with the other."""
        if not self.decided:
            return drowned(self.m_x, self.m_y)
        sizes = np.stack([np.linalg.norm(m.root, axis=0) for m in (self.x, self.y)])
        return bool(((sizes > 0) & (sizes < self.xy.rounding * self.xy.scale)).any())

    def clear(self, noise: float, *values: ArrayLike) -> bool:
        """`results.clear`, strict about what is smaller than the noise where matrices came decided.

        Args:
            noise: relative rounding of the values.
            *values: numbers or arrays of order one.

        Returns:
            Whether each is zero or not beyond doubt.
        """
        return clear(noise, *values, nothing=self.nothing(noise))

    def nothing(self, noise: float) -> float | None:
        """What is zero beyond doubt: less than the noise if matrices came decided, None (the noise itself) if not.

        Args:
            noise: relative rounding.

        Returns:
            As `results.clear` takes it.
        """
        # a bound of the rounding grows with the condition; what is larger than the tolerance may all the same be true
        return min(noise / DOUBT, tolerance(self.dim)) if self.decided else None

    def sees(self, psd: PSD, v: Array) -> tuple[bool, bool]:
        """Whether M v != 0 for one of the matrices, and whether that is beyond doubt.

        Args:
            psd: `x` or `y`.
            v: (d,) direction.

        Returns:
            (M v != 0, resolved), judged beside the matrix' own diagonal.
        """
        # |root v|^2 is a sum of squares, which vanishes far below the rounding of v'Mv itself
        floor = self.dim * (psd.rounding * own_ratio(psd)) ** 2
        sizes = np.abs(psd.own_units * v) * psd.root.any(axis=0)
        seen = float(np.square(psd.root @ v).sum() / (np.square(sizes).sum() or 1.0))
        if not self.decided:
            return seen > floor, clear(floor, seen)
        # a zero says nothing about components of v that are rounding beside others
        known = seen > floor or evenness(sizes) > DOUBT * floor**0.5
        return seen > floor, known and psd.sure and clear(floor, seen, nothing=floor / DOUBT**2)

    def form_share(self, psd: PSD, v: Array) -> float:
        """Quadratic form v'Mv of one of the matrices, relative to the size that v'M_XY v could have with its diagonal.

        Args:
            psd: `x`, `y` or `xy`.
            v: (d,) direction.

        Returns:
            Number >= 0, rounded to `form_noise`.
        """
        return float(np.square(psd.root @ v).sum() / (v**2 @ self.m_xy.diagonal() or 1.0))

    def membership(self, psd: PSD, v: Array) -> tuple[bool, bool]:
        """Whether v lies in the range of one of the matrices, and whether that is beyond doubt.

        Args:
            psd: `x`, `y` or `xy`.
            v: (d,) direction.

        Returns:
            (inside, resolved).
        """
        outside, rounding = float(psd.outside(v)), own_rounding(psd)
        inside, sure = outside <= RANGE_TOLERANCE, rounding <= RANGE_TOLERANCE
        if not self.decided:
            return inside, sure and clear(RANGE_TOLERANCE, outside)
        # neither does a v inside, if some of its components are rounding beside others
        seen = psd.root.any(axis=0)
        even = evenness(np.abs(v / psd.own_units) * seen) > DOUBT * rounding
        known = even or not inside or psd.rank == int(seen.sum())
        # a v inside leaves a few eps, the least rounding of a matrix divided by `DOUBT` two
        known = known and psd.sure and clear(RANGE_TOLERANCE, outside, nothing=self.nothing(8 * rounding))
        return inside, sure and known

    def settled(self, v: Array) -> bool:
        """Whether both variances at v, and whether they differ, are beyond doubt.

        Args:
            v: (d,) direction.

        Returns:
            Whether ranges, ranks and the relative variance reduction are resolved.
        """
        (inside, sure), (joint, sure_joint) = (self.membership(m, v) for m in (self.x, self.xy))
        if not (sure and sure_joint and self.ranks_agree and (joint or not inside)):
            return False
        return not inside or self.drop_is_clear(self.predicted_drop(self.project(v)))

    def drop_is_clear(self, drop: float) -> bool:
        """Whether a relative reduction that is a sum of squares is zero, or large enough to be seen as a difference.

        Args:
            drop: from `predicted_drop`.

        Returns:
            The verdict.
        """
        # squares of linear quantities vanish far below the rounding of a difference, if roots were given
        return clear(self.noise, drop, nothing=tolerance(self.dim) ** 2 if self.decided else None)

    def project(self, v: Array) -> Array:
        """The vector of range(M_X) that a direction inside it stands for, free of rounding off the range.

        Args:
            v: (d,) direction in range(M_X).

        Returns:
            M_X M_X^- v.
        """
        return self.x.root.T @ (self.x.half_inverse.T @ v)

    def common(self, v: Array) -> float:
        """Fraction of the joint variance at v that comes from directions which both matrices inform.

        Args:
            v: (d,) direction.

        Returns:
            Sum of squares in [0, 1]; 0 for a v that no information is about.
        """
        half = self.y.root @ self.xy.half_inverse
        shares, vectors = np.linalg.eigh(half.T @ half)
        parts = np.square(vectors.T @ (self.xy.half_inverse.T @ v))
        both = (shares > self.noise) & (1 - shares > self.noise)
        return float(parts[both].sum() / (parts.sum() or 1.0))

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


def range_coordinates(psd: PSD) -> tuple[Array, float]:
    """Basis of range(M) in the units given.

    Args:
        psd: M.

    Returns:
        Orthonormal basis, (d, rank), and the ratio of the units that its columns mix, which its rounding grows by.
    """
    seen = psd.root.any(axis=0)
    if psd.rank == seen.sum():  # all that is seen: the coordinates themselves, and nothing is mixed
        return np.eye(psd.dim)[:, seen], 1.0
    unit = np.linalg.norm(psd.root, axis=0)[seen]
    return psd.range_basis, float(unit.max() / unit.min())
