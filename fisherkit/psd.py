"""Positive semidefinite matrices: the one tolerance policy, ranks, ranges, pseudoinverses, variances.

Information matrices are singular as a rule, not by accident, so "is this eigenvalue zero?" is asked
everywhere. It is answered here only. The policy: an entry M_ij is trusted to ``tolerance(d) * sqrt(s_i s_j)``
with one scale s_i per coordinate (the diagonal of M unless the caller knows better), so the verdict does not
change when a parameter is measured in other units. An eigenvalue of the matrix rescaled to unit diagonal that is
below the tolerance is a zero.

A coordinate that M does not see at all (its column of the root is exactly zero) has no scale, so no entry of a
direction there can be called small: any entry but an exact 0 puts the direction outside range(M). Directions computed
as M w, or from `PSD.root` or `PSD.range_basis`, have exact zeros there; set other computed ones to zero yourself.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_matrix, as_number, as_symmetric

__all__ = ["PSD", "RANGE_TOLERANCE", "project_out", "tolerance"]

Array = NDArray[np.float64]

#: A direction counts as inside a subspace if less than this fraction of its length lies outside.
RANGE_TOLERANCE = 1e-7


def tolerance(dim: int) -> float:
    """Relative size below which an eigenvalue of a (dim, dim) matrix is rounding, not information.

    Args:
        dim: dimension of the matrix.

    Returns:
        64 max(dim, 4) eps, about 2.8e-13 for dim = 20.
    """
    return 64 * max(dim, 4) * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class PSD:
    """A positive semidefinite matrix M = root' root with its rank, range and pseudoinverse decided once.

    Build it with `PSD.of` (from the matrix) or `PSD.from_root` (from a square root, which resolves condition
    numbers up to 1e12 instead of 1e6, because forming M squares them).

    Attributes:
        root: (rank, d), full row rank, root' root = M.
        half_inverse: (d, rank), W with W W' a symmetric generalised inverse of M.
        scale: (d,), square roots of the coordinate scales s_i (1 where a coordinate carries nothing).
        condition: ratio of largest to smallest nonzero singular value of the unit-diagonal root (1 if rank 0).

    Example:
        >>> m = PSD.of([[1.0, 0.0], [0.0, 0.0]])
        >>> m.rank, float(m.variance([1.0, 0.0])), float(m.variance([1.0, 1.0]))
        (1, 1.0, inf)
    """

    root: Array
    half_inverse: Array
    scale: Array
    condition: float

    @classmethod
    def of(cls, matrix: ArrayLike, *, scale: ArrayLike | None = None, name: str = "matrix") -> "PSD":
        """From the matrix itself.

        Args:
            matrix: (d, d) symmetric positive semidefinite.
            scale: (d,) entry scales s_i >= 0 of the policy; default the diagonal. Pass the scales of the
                matrices that were subtracted if M is a difference, such as a Schur complement.
            name: how error messages call the matrix.

        Returns:
            The decided matrix.

        Raises:
            ValueError: not square, not finite, not symmetric, or with an eigenvalue negative beyond rounding.
        """
        m = as_symmetric(matrix, name)
        d = len(m)
        s = m.diagonal() if scale is None else as_array(scale, f"{name}: scale", ndim=1)
        if s.shape != (d,):
            raise ValueError(f"{name}: scale has shape {s.shape}, expected ({d},)")
        if (s < 0).any():
            raise ValueError(
                f"{name}: diagonal entry {int(s.argmin())} is {s.min():.6g}; not positive semidefinite"
            )
        unit = np.sqrt(_nonzero(s))
        eigenvalues, vectors = np.linalg.eigh(m / np.outer(unit, unit))
        if d and eigenvalues[0] < -tolerance(d) * max(1.0, eigenvalues[-1]):
            witness = vectors[:, 0] / unit
            witness /= np.linalg.norm(witness)
            raise ValueError(
                f"{name}: not positive semidefinite: v'Mv = {witness @ m @ witness:.6g} < 0 for the unit vector "
                f"v = {np.array2string(witness, precision=3, threshold=8)}"
            )
        keep = eigenvalues > tolerance(d) * max(1.0, eigenvalues[-1] if d else 1.0)
        return cls._assemble(np.sqrt(eigenvalues[keep]), vectors[:, keep], unit, s > 0)

    @classmethod
    def from_root(
        cls, root: ArrayLike, *, noise: float | None = None, scale: ArrayLike | None = None
    ) -> "PSD":
        """From any R with R'R = M.

        Args:
            root: (r, d).
            noise: relative size of singular values that are rounding, default ``tolerance(d)``; a root that was
                itself computed from a matrix carries ``sqrt(tolerance(d))``.
            scale: (d,) length scales of the columns, default the column norms.

        Returns:
            The decided matrix.

        Raises:
            ValueError: a scale of another length.
        """
        noise = None if noise is None else as_number(noise, "noise")
        r = as_matrix(root, "root")
        d = r.shape[1]
        scale = None if scale is None else as_array(scale, "scale", ndim=1)
        if scale is not None and scale.shape != (d,):
            raise ValueError(f"scale: expected length {d}, got {len(scale)}")
        norms = _lengths(r) if scale is None else np.asarray(scale, dtype=np.float64)
        unit = _nonzero(norms)
        _, singular, vt = np.linalg.svd(r / unit, full_matrices=False)
        floor = (tolerance(d) if noise is None else noise) * max(1.0, singular.max(initial=0.0))
        keep = singular > floor
        return cls._assemble(singular[keep], vt[keep].T, unit, norms > 0)

    @classmethod
    def _assemble(cls, singular: Array, vectors: Array, unit: Array, seen: NDArray[np.bool_]) -> "PSD":
        vectors = np.where(
            seen[:, None], vectors, 0.0
        )  # a coordinate that is not seen at all stays exactly zero
        condition = float(singular.max() / singular.min()) if singular.size else 1.0
        root = (singular[:, None] * vectors.T) * unit
        return cls(root, (vectors / singular) / unit[:, None], unit, condition)

    @property
    def dim(self) -> int:
        """Dimension d of the matrix."""
        return self.root.shape[1]

    @property
    def rank(self) -> int:
        """Number of directions that carry information."""
        return self.root.shape[0]

    @cached_property
    def matrix(self) -> Array:
        """(d, d), M with its rounding-level eigenvalues set to exactly zero."""
        return self.root.T @ self.root

    @cached_property
    def range_basis(self) -> Array:
        """(d, rank), orthonormal columns spanning range(M)."""
        basis = np.linalg.qr(self.root.T)[0]
        seen = np.linalg.norm(self.root, axis=0) > 0
        return np.where(seen[:, None], basis, 0.0)

    @cached_property
    def _unit_range(self) -> Array:
        """(d, rank), orthonormal columns spanning range(M) in the units of `scale`."""
        return np.linalg.qr((self.root / self.scale).T)[0]

    @cached_property
    def null_basis(self) -> Array:
        """(d, d - rank), orthonormal columns spanning the null space of M."""
        return np.linalg.qr(self.root.T, mode="complete")[0][:, self.rank :]

    @cached_property
    def inverse_root(self) -> Array:
        """(d, rank), V with V V' = M^+, the Moore-Penrose pseudoinverse."""
        q = self.range_basis
        return q @ (q.T @ self.half_inverse)

    @cached_property
    def pinv(self) -> Array:
        """(d, d), Moore-Penrose pseudoinverse. A covariance only on range(M): see `variance`."""
        return self.inverse_root @ self.inverse_root.T

    def outside(self, vectors: ArrayLike) -> Array:
        """Fraction of each vector that lies outside range(M), measured in the units of `scale`.

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
        v = v / _nonzero(np.abs(v).max(axis=0, initial=0.0))
        v = (v.T / self.scale).T
        v = v / _nonzero(np.abs(v).max(axis=0, initial=0.0))
        q = self._unit_range
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


def _nonzero(size: Array) -> Array:
    """Divisors: the sizes, with 1 in place of 0."""
    return np.where(size > 0, size, 1.0)


def _lengths(columns: Array) -> Array:
    """Euclidean lengths of columns, also where their squares would leave the range of float64."""
    largest = np.abs(columns).max(axis=0, initial=0.0)
    return largest * np.linalg.norm(columns / _nonzero(largest), axis=0)


def project_out(kept: Array, nuisance: Array, *, noise: float | None = None) -> PSD:
    """Information of a stacked root [kept nuisance] about the kept parameters, nuisance unknown.

    kept' (I - P) kept with P the projector onto range(nuisance): the Schur complement of the nuisance block,
    also where that block is singular, without ever subtracting two matrices.

    Args:
        kept: (r, p) columns of the root that belong to the parameters asked about.
        nuisance: (r, q) columns of the nuisance parameters.
        noise: as in `PSD.from_root`.

    Returns:
        (p, p) effective information.

    Example:
        >>> root = np.array([[1.0, 1.0], [0.0, 2.0]])     # information [[1, 1], [1, 5]]
        >>> project_out(root[:, :1], root[:, 1:]).matrix   # 1 - 1 * 1 / 5
        array([[0.8]])
    """
    lengths = _lengths(kept)
    if nuisance.shape[1]:
        u, singular, _ = np.linalg.svd(nuisance / _nonzero(_lengths(nuisance)), full_matrices=False)
        floor = (tolerance(sum((kept.shape[1], nuisance.shape[1]))) if noise is None else noise) * max(
            1.0, singular.max(initial=0.0)
        )
        u = u[:, singular > floor]
        kept = kept - u @ (u.T @ kept)
        kept = kept - u @ (u.T @ kept)  # twice is enough: the second pass removes what rounding left
    return PSD.from_root(kept, noise=noise, scale=lengths)
