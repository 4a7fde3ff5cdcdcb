"""Two symmetric matrices M, N that the lemmas put in order, and the gap N - M between them, decided once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_symmetric
from fisherkit.loewner import Comparison, compare
from fisherkit.projection import entry_rounding, own_rounding
from fisherkit.psd import PSD
from fisherkit.theorems.pair import range_coordinates
from fisherkit.theorems.results import clear, drowned, evenness
from fisherkit.tolerances import DOUBT, tolerance

__all__ = ["Ordered"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ordered:
    """M and N of Lemmas 1 to 3, decided where they are semidefinite, and the gap N - M between them.

    Attributes:
        m: (d, d) M.
        n: (d, d) N.
        first: M, decided; a zero where an array is not positive definite and had to be.
        second: N, likewise.
        order: M against N in the Loewner order.
        definite: whether both are as definite as they have to be.
        decided: whether both were given as a `PSD`; the gap then comes from the roots.
    """

    m: Array
    n: Array
    first: PSD
    second: PSD
    order: Comparison
    definite: bool
    decided: bool

    @classmethod
    def of(cls, m: ArrayLike, n: ArrayLike) -> tuple["Ordered", dict[str, bool]]:
        """From symmetric matrices that should be positive definite.

        Args:
            m: (d, d) symmetric, array or `PSD`.
            n: the same.

        Returns:
            The two, and the hypotheses that each is positive definite.
        """
        first = as_symmetric(m, "M")
        second = as_symmetric(n, "N", dim=len(first))
        hypotheses = {
            "M positive definite": _is_definite(m, first),
            "N positive definite": _is_definite(n, second),
        }
        if all(hypotheses.values()):
            return cls._put(m, n, PSD.of(m), PSD.of(n), True), hypotheses
        zero = PSD.zero(len(first))
        known = [value if isinstance(value, PSD) else zero for value in (m, n)]
        return cls._put(m, n, known[0], known[1], False), hypotheses

    @classmethod
    def semidefinite(cls, m: ArrayLike, n: ArrayLike) -> "Ordered":
        """From positive semidefinite matrices.

        Args:
            m: (d, d) symmetric positive semidefinite, array or `PSD`.
            n: the same.

        Returns:
            The two.
        """
        as_symmetric(n, "N", dim=len(as_symmetric(m, "M")))
        return cls._put(m, n, PSD.of(m, name="M"), PSD.of(n, name="N"), True)

    @classmethod
    def _put(cls, m: ArrayLike, n: ArrayLike, first: PSD, second: PSD, definite: bool) -> "Ordered":
        decided = isinstance(m, PSD) and isinstance(n, PSD)
        arrays = as_symmetric(m, "M"), as_symmetric(n, "N")
        order = compare(first, second) if decided else compare(*arrays)
        return cls(*arrays, first, second, order, definite, decided)

    @property
    def dim(self) -> int:
        """Dimension d."""
        return len(self.m)

    @property
    def noise(self) -> float:
        """Relative rounding of what is computed from the inverses of the two."""
        return own_rounding(self.first) + own_rounding(self.second)

    @property
    def product_noise(self) -> float:
        """Relative rounding of what passes through both inverses; 0 for arrays, where `noise` is a square already."""
        product = own_rounding(self.first) * own_rounding(self.second)
        return product / tolerance(self.dim) if self.decided else 0.0

    @property
    def entry_noise(self) -> float:
        """Relative rounding of v'(N - M)v in units of sum_i N_ii v_i^2."""
        return max(tolerance(self.dim), self.dim * entry_rounding(self.second) if self.decided else 0.0)

    @property
    def order_is_clear(self) -> bool:
        """Whether the order of M and N, and their ranks, are beyond doubt."""
        if not self.decided:
            return clear(self.order.tolerance, min(self.order.scaled_min, 0.0))
        # M <= N needs range(M) inside range(N), which fails in the first order where the gap does in the second
        outside = float(self.second.outside(self.first.root.T).max(initial=0.0))
        inside = not self.order.is_below or outside <= tolerance(self.dim)
        return self.sure and inside and self.clear(self.order.tolerance, self.order.scaled_min)

    @property
    def sure(self) -> bool:
        """Whether both came to their ranks beyond doubt."""
        return self.first.sure and self.second.sure

    def clear(self, noise: float, *values: ArrayLike) -> bool:
        """`results.clear`, strict about what is smaller than the noise where both came decided.

        Args:
            noise: relative rounding of the values.
            *values: numbers or arrays of order one.

        Returns:
            Whether each is zero or not beyond doubt.
        """
        # the two are all that is known of their gap: only what is zero to the last digits can be called so
        return clear(noise, *values, nothing=tolerance(self.dim) / 8 if self.decided else None)

    def resolved(self, noise: float, *values: ArrayLike) -> bool:
        """Whether the values are clear of rounding, and M has not drowned in N = M + (N - M).

        Args:
            noise: relative rounding of the values.
            *values: numbers or arrays of order one.

        Returns:
            The verdict.
        """
        if not self.decided:
            return not drowned(self.m, self.n) and clear(noise, *values)
        sizes = np.linalg.norm(self.first.root, axis=0)
        lost = bool(((sizes > 0) & (sizes < self.second.rounding * self.second.scale)).any())
        return self.sure and not lost and self.clear(noise, *values)

    def relative_gap(self, beside: PSD) -> Array:
        """The gap W'(N - M)W beside one of the two.

        Args:
            beside: `first` or `second`, W its half inverse.

        Returns:
            (rank, rank).
        """
        w = beside.half_inverse
        if not self.decided:
            return w.T @ (self.n - self.m) @ w
        halves = [part.root @ w for part in (self.second, self.first)]
        return halves[0].T @ halves[0] - halves[1].T @ halves[1]

    def gap_times(self, y: Array) -> Array:
        """The gap applied to a vector.

        Args:
            y: (d,).

        Returns:
            (d,), (N - M) y.
        """
        if not self.decided:
            return (self.n - self.m) @ y
        return self.second.root.T @ (self.second.root @ y) - self.first.root.T @ (self.first.root @ y)

    def growth(self, v: Array) -> tuple[float, bool]:
        """Quadratic form v'(N - M)v in units of sum_i N_ii v_i^2.

        Args:
            v: (d,) direction.

        Returns:
            Number in [-1, 1], rounded to `entry_noise`, and whether it is zero or not beyond doubt.
        """
        sizes, noise = v**2 * self.n.diagonal(), self.entry_noise
        grows = float(v @ self.gap_times(v)) / (float(sizes.sum()) or 1.0)
        if not self.decided:
            return grows, True
        # a zero says nothing about components of v that are rounding beside others; and v'Dv = 0 for a semidefinite
        # D = N - M only where Dv = 0, which shows in the first order: with N = R'R and u = Rv, where I u = W'MW u
        u, half = self.second.root @ v, self.first.root @ self.second.half_inverse
        image = float(np.linalg.norm(u - half.T @ (half @ u)))
        zero = evenness(sizes) > DOUBT * noise and image <= tolerance(self.dim) * float(np.sqrt(sizes.sum()))
        return grows, (abs(grows) > noise or zero) and self.clear(noise, grows)

    def reversed_strictly(self) -> tuple[bool, bool]:
        """Whether N^+ < M^+ on the whole space, from the roots, and whether that is beyond doubt.

        Returns:
            (strictly below, resolved).
        """
        if self.first.rank < self.dim:  # M^+ is singular, and N^+ is not negative
            return False, self.sure
        half = self.first.root @ self.second.inverse_root
        gap = np.linalg.eigvalsh(np.eye(self.dim) - half @ half.T)
        # the pseudoinverse of a singular N is found in a basis that mixes the units given, and rounds by their ratio
        mixing = 1.0 if self.second.rank == self.dim else range_coordinates(self.second)[1]
        noise = self.noise * mixing**2
        return bool((gap > noise).all()), self.resolved(noise, gap)

    def share_of_growth(self, v: Array) -> float:
        """Quotient v'(N - M)v / v'Nv for definite N.

        Args:
            v: (d,) direction.

        Returns:
            Number below 1.
        """
        return float(v @ self.gap_times(v) / (v @ self.n @ v))


def _is_definite(given: ArrayLike, m: Array) -> bool:
    """Positive definite by both rules: no eigenvalue is rounding, absolutely or beside the largest."""
    if isinstance(given, PSD):
        return given.rank == given.dim
    return compare(np.zeros_like(m), m).is_strictly_below and PSD.of(m).rank == len(m)
