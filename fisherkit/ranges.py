"""Range, null space and variances of a decided matrix M = root' root: what follows from its root and half inverse."""

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array
from fisherkit.tolerances import RANGE_TOLERANCE, column_lengths, nonzero

__all__ = ["Ranges"]

Array = NDArray[np.float64]


class Ranges:
    """Part of `fisherkit.psd.PSD`, which has the attributes and says what they are."""

    root: Array
    half_inverse: Array
    scale: Array
    range_root: Array | None

    @property
    def dim(self) -> int:
        """Dimension d of the matrix."""
        return self.root.shape[1]

    @property
    def rank(self) -> int:
        """Number of directions that carry information."""
        return self.root.shape[0]

    @property
    def resolution(self) -> float:
        """Relative rounding of variances and ranges."""
        raise NotImplementedError

    @cached_property
    def own_units(self) -> Array:
        """(d,), lengths of the root's columns as they are, 1 for a column of zeros."""
        return nonzero(column_lengths(self.root))

    @cached_property
    def range_basis(self) -> Array:
        """(d, rank), orthonormal columns spanning range(M)."""
        basis = np.linalg.qr(self.root.T)[0]
        seen = np.linalg.norm(self.root, axis=0) > 0
        return np.where(seen[:, None], basis, 0.0)

    @property
    def _spanning(self) -> Array:
        """(rank, d), rows that span range(M)."""
        return self.root if self.range_root is None else self.range_root

    @cached_property
    def _unit_range(self) -> tuple[Array, Array]:
        """(d, rank), orthonormal columns spanning range(M) in units (d,) of the diagonal."""
        root = self._spanning
        units = nonzero(column_lengths(root))
        return np.linalg.qr((root / units).T)[0], units

    @cached_property
    def null_basis(self) -> Array:
        """(d, d - rank), orthonormal columns spanning the null space of M."""
        return np.linalg.qr(self.null_directions)[0]

    @cached_property
    def null_directions(self) -> Array:
        """(d, d - rank), unit vectors spanning the null space, found in units of `scale`; not orthogonal in general."""
        root, seen = self._spanning, self.root.any(axis=0)
        units = nonzero(column_lengths(root)) if self.range_root is not None else self.scale
        z = np.zeros((self.dim, self.dim - self.rank))
        inner = int(seen.sum()) - self.rank
        q: Array = np.linalg.qr((root / units)[:, seen].T, mode="complete")[0][:, self.rank :]
        # lower trapezoidal, the coordinates of the smallest units first: columns that stay apart in the given units. What is
        # rounding would be a move in a coordinate that is known, and a large one where its unit is small.
        order = np.argsort(units[seen])
        t = np.asarray(np.linalg.qr(q[order].T, mode="r")).T
        t[np.abs(t) <= 8 * self.resolution] = 0.0
        z[np.flatnonzero(seen)[order], :inner] = t / units[seen][order, None]
        z[np.flatnonzero(~seen), np.arange(inner, z.shape[1])] = 1.0
        return z / nonzero(column_lengths(z))

    def minimum_norm(self, theta: ArrayLike) -> Array:
        """Move along the null space to the shortest vector; no v'theta with v in range(M) changes.

        Args:
            theta: (..., d).

        Returns:
            (..., d).
        """
        given = np.asarray(theta, dtype=np.float64)
        if self.rank == self.dim:
            return given
        z, flat = self.null_directions, given.reshape(-1, self.dim)
        along = np.linalg.lstsq(z, flat.T, rcond=None)[0]
        return np.where(self.root.any(axis=0), flat - (z @ along).T, 0.0).reshape(given.shape)

    @cached_property
    def inverse_root(self) -> Array:
        """(d, rank), V with V V' = M^+, the Moore-Penrose pseudoinverse."""
        return self.minimum_norm(self.half_inverse.T).T

    @cached_property
    def principal_axes(self) -> tuple[Array, Array]:
        """(d, rank) orthonormal directions and (rank,) standard errors along them, largest first: W = axes diag(se) Q'."""
        vectors, singular, _ = np.linalg.svd(self.half_inverse, full_matrices=False)
        return vectors, singular

    @cached_property
    def pinv(self) -> Array:
        """(d, d), Moore-Penrose pseudoinverse. A covariance only on range(M): see `variance`."""
        return self.inverse_root @ self.inverse_root.T

    def outside(self, vectors: ArrayLike) -> Array:
        """Fraction of each vector that lies outside range(M), each coordinate measured in units of sqrt(M_ii).

        Args:
            vectors: (d,) or (d, n) directions.

        Returns:
            Scalar array or (n,), in [0, 1]; 0 for the zero vector, 1 for a vector with a nonzero entry, however
            small, where M sees nothing (there is no unit that would make it small).

        Raises:
            ValueError: not of length d, or not finite.
        """
        v = as_array(vectors, "direction", ndim=(1, 2)).astype(np.float64, copy=False)
        if v.shape[0] != self.dim:
            raise ValueError(f"direction: expected length {self.dim}, got {v.shape[0]}")
        blind = np.any(v[~self.root.any(axis=0)], axis=0)
        # divided by their largest entry first: directions of any length are welcome
        v = v / nonzero(np.abs(v).max(axis=0, initial=0.0))
        q, units = self._unit_range
        v = (v.T / units).T
        v = v / nonzero(np.abs(v).max(axis=0, initial=0.0))
        length = np.linalg.norm(v, axis=0)
        gap = np.linalg.norm(v - q @ (q.T @ v), axis=0)
        fraction = np.divide(gap, length, out=np.zeros_like(gap), where=length > 0)
        return np.where(blind, 1.0, np.minimum(fraction, 1.0))

    def contains(self, vectors: ArrayLike) -> NDArray[np.bool_]:
        """Whether each direction lies in range(M), i.e. whether v'theta is estimable under information M.

        Args:
            vectors: (d,) or (d, n) directions.

        Returns:
            Boolean scalar array or (n,).
        """
        return self.outside(vectors) <= RANGE_TOLERANCE

    def variance(self, vectors: ArrayLike) -> Array:
        """Quadratic form v' M^+ v where v is in range(M), +infinity where it is not: the Cramer-Rao bound of v'theta.

        Args:
            vectors: (d,) or (d, n) directions.

        Returns:
            Scalar array or (n,), in parameter units squared.
        """
        inside = self.contains(vectors)
        v = as_array(vectors, "direction")
        return np.where(inside, np.square(self.half_inverse.T @ v).sum(axis=0), np.inf)
