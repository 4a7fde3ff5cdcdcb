"""Positive semidefinite matrices: the one tolerance policy, ranks, ranges, pseudoinverses, variances.

Information matrices are singular as a rule, not by accident, so "is this eigenvalue zero?" is asked
everywhere. It is answered here only. The policy: an entry M_ij is trusted to ``tolerance(d) * sqrt(s_i s_j)``
with one scale s_i per coordinate (the diagonal of M unless the caller knows better), so the verdict does not
change when a parameter is measured in other units. An eigenvalue of the matrix rescaled to unit diagonal that is
below the tolerance is a zero.

The scale is lost when a finished matrix is handed on: what a projection leaves of a column that it explains fully is
rounding of the column's *old* length, and looks like information beside its new one. So matrices travel as `PSD`
objects, which carry scale and rounding with them, and every function that takes a matrix takes a `PSD` as it is. Sums
and multiples of them are such objects again. A column of the root that is rounding beside its scale is exactly zero.

A coordinate that M does not see at all (its column of the root is exactly zero) has no scale, so no entry of a
direction there can be called small: any entry but an exact 0 puts the direction outside range(M). Directions computed
as M w, or from `PSD.root` or `PSD.range_basis`, have exact zeros there; set other computed ones to zero yourself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.array_like import MatrixLike
from fisherkit.checks import as_array, as_matrix, as_symmetric
from fisherkit.tolerances import RANGE_TOLERANCE, column_lengths, in_doubt, nonzero, tolerance

__all__ = ["PSD", "total"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class PSD(MatrixLike):
    """A positive semidefinite matrix M = root' root with its rank, range and pseudoinverse decided once.

    Build it with `PSD.of` (from the matrix) or `PSD.from_root` (from a square root, which resolves condition
    numbers up to 1e12 instead of 1e6, because forming M squares them). ``np.asarray(m)`` and ``m.matrix`` are the matrix,
    and arithmetic works as with arrays; the sum of two, a multiple ``2 * m`` and a fraction ``m / 2`` are again
    decided, with scales and rounding taken along.

    Attributes:
        root: (rank, d), full row rank, root' root = M.
        half_inverse: (d, rank), W with W W' a symmetric generalised inverse of M.
        scale: (d,), lengths of the root's columns that rounding is measured by, square roots of the coordinate scales
            s_i (1 where a coordinate carries nothing).
        condition: what the scale, or the largest singular value of the root in units of it if that is larger, is to the
            smallest nonzero one (1 if rank 0).
        rounding: relative size of singular values of the root that are rounding.
        sure: False where a singular value or a column, of the root or of what was projected out of it, lay so close to
            rounding that it may have been taken for what it is not, or where an addend is lost in a sum.

    Example:
        >>> m = PSD.of([[1.0, 0.0], [0.0, 0.0]])
        >>> m.rank, float(m.variance([1.0, 0.0])), float(m.variance([1.0, 1.0]))
        (1, 1.0, inf)
        >>> m + 3 * m, m[0, 0]
        (PSD(rank 1 of 2, [[4. 0.] [0. 0.]]), np.float64(1.0))
    """

    root: Array
    half_inverse: Array
    scale: Array
    condition: float
    rounding: float
    sure: bool = True

    @classmethod
    def of(cls, matrix: ArrayLike, *, scale: ArrayLike | None = None, name: str = "matrix") -> "PSD":
        """From the matrix itself; a `PSD` is passed through.

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
        if isinstance(matrix, PSD) and scale is None:
            return matrix
        m = as_symmetric(matrix, name)
        d = len(m)
        s = m.diagonal() if scale is None else as_array(scale, f"{name}: scale", ndim=1)
        if s.shape != (d,):
            raise ValueError(f"{name}: scale has shape {s.shape}, expected ({d},)")
        if (s < 0).any():
            raise ValueError(
                f"{name}: diagonal entry {int(s.argmin())} is {s.min():.6g}; not positive semidefinite"
            )
        unit = np.sqrt(nonzero(s))
        eigenvalues, vectors = np.linalg.eigh(m / np.outer(unit, unit))
        if d and eigenvalues[0] < -tolerance(d) * max(1.0, eigenvalues[-1]):
            witness = vectors[:, 0] / unit
            witness /= np.linalg.norm(witness)
            raise ValueError(
                f"{name}: not positive semidefinite: v'Mv = {witness @ m @ witness:.6g} < 0 for the unit vector "
                f"v = {np.array2string(witness, precision=3, threshold=8)}"
            )
        floor = tolerance(d) * max(1.0, eigenvalues[-1] if d else 1.0)
        keep = eigenvalues > floor
        return cls._assemble(
            np.sqrt(eigenvalues[keep]),
            vectors[:, keep],
            np.where(s > 0, unit, 0.0),
            floor**0.5,
            tolerance(d) ** 0.5,
        )

    @classmethod
    def from_root(
        cls, root: ArrayLike, *, noise: float | None = None, scale: ArrayLike | None = None
    ) -> "PSD":
        """From any R with R'R = M.

        Args:
            root: (r, d).
            noise: relative size of singular values that are rounding, default ``tolerance(d)``; a root that was
                itself computed from a matrix carries ``sqrt(tolerance(d))``.
            scale: (d,) length scales of the columns, default the column norms. Pass the lengths that the columns had
                before something was projected out of them.

        Returns:
            The decided matrix.
        """
        r = as_matrix(root, "root")
        d = r.shape[1]
        lengths = column_lengths(r) if scale is None else np.asarray(scale, dtype=np.float64)
        _, singular, vt = np.linalg.svd(r / nonzero(lengths), full_matrices=False)
        rounding = tolerance(d) if noise is None else noise
        floor = rounding * max(1.0, singular.max(initial=0.0))
        keep = singular > floor
        columns = np.linalg.norm(singular[:, None] * vt, axis=0)
        sure = not (in_doubt(singular, floor) or in_doubt(columns, floor))
        return cls._assemble(singular[keep], vt[keep].T, lengths, floor, rounding, sure)

    @classmethod
    def zero(cls, dim: int) -> "PSD":
        """The matrix that knows nothing.

        Args:
            dim: dimension d.

        Returns:
            Zero of rank 0.
        """
        return cls(np.zeros((0, dim)), np.zeros((dim, 0)), np.ones(dim), 1.0, tolerance(dim))

    @classmethod
    def _assemble(
        cls,
        singular: Array,
        vectors: Array,
        lengths: Array,
        floor: float,
        rounding: float,
        sure: bool = True,
    ) -> "PSD":
        """From singular values and vectors of the root in units of the lengths (0 where there is no column)."""
        # what is rounding beside its scale is nothing, and a coordinate that is not seen at all stays exactly zero
        seen = (lengths > 0) & (np.linalg.norm(vectors * singular, axis=1) > floor)
        vectors = np.where(seen[:, None], vectors, 0.0)
        unit = np.where(seen, lengths, 1.0)
        # rounding is relative to the scale, also where all that a projection has left is small beside it
        condition = float(max(1.0, singular.max()) / singular.min()) if singular.size else 1.0
        root = (singular[:, None] * vectors.T) * unit
        return cls(root, (vectors / singular) / unit[:, None], unit, condition, rounding, sure)

    def __repr__(self) -> str:
        entries = ""
        if self.dim <= 6:
            text = np.array2string(self.matrix, precision=4, suppress_small=True)
            entries = ", " + " ".join(text.split()).replace("[ ", "[")
        return f"PSD(rank {self.rank} of {self.dim}{entries})"

    @property
    def lengths(self) -> Array:
        """(d,), the scale where a coordinate is seen and 0 where it is not: what it adds to the scale of a sum."""
        return np.where(self.root.any(axis=0), self.scale, 0.0)

    @property
    def resolution(self) -> float:
        """Relative rounding of variances and ranges: linear in the condition for a root, its square for a matrix."""
        return max(tolerance(self.dim) * self.condition, (self.rounding * self.condition) ** 2)

    @cached_property
    def own_units(self) -> Array:
        """(d,), lengths of the root's columns as they are, 1 for a column of zeros."""
        return nonzero(column_lengths(self.root))

    def plus(self, other: "PSD") -> "PSD":
        """The sum M + N, from the roots; also ``m + n``.

        Args:
            other: N, of the same dimension.

        Returns:
            The decided sum.

        Raises:
            ValueError: different dimensions.
        """
        if self.dim != other.dim:
            raise ValueError(f"matrices of {self.dim} and of {other.dim} parameters cannot be added")
        return total(self.dim, [(1.0, self), (1.0, other)], checked=True)

    def times(self, factor: float) -> "PSD":
        """The multiple factor * M; also ``factor * m``.

        Args:
            factor: finite, >= 0.

        Returns:
            The decided multiple; zero for factor 0.

        Raises:
            ValueError: a negative or infinite factor.
        """
        if not 0 <= factor < np.inf:
            raise ValueError(f"factor: must be finite and >= 0, got {factor}")
        if factor == 0:
            return PSD.zero(self.dim)
        size = float(np.sqrt(factor))
        scale = np.where(self.root.any(axis=0), size * self.scale, 1.0)
        return PSD(
            size * self.root, self.half_inverse / size, scale, self.condition, self.rounding, self.sure
        )

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
        """(d, rank), orthonormal columns spanning range(M) in units of the diagonal."""
        return np.linalg.qr((self.root / self.own_units).T)[0]

    @cached_property
    def null_basis(self) -> Array:
        """(d, d - rank), orthonormal columns spanning the null space of M."""
        return np.linalg.qr(self.null_directions)[0]

    @cached_property
    def null_directions(self) -> Array:
        """(d, d - rank), unit vectors spanning the null space, found in units of `scale`; not orthogonal in general."""
        seen = self.root.any(axis=0)
        z = np.zeros((self.dim, self.dim - self.rank))
        inner = int(seen.sum()) - self.rank
        q = np.linalg.qr((self.root / self.scale)[:, seen].T, mode="complete")[0][:, self.rank :]
        # lower trapezoidal, the coordinates of the smallest units first: columns that stay apart in the given units. What is
        # rounding would be a move in a coordinate that is known, and a large one where its unit is small.
        order = np.argsort(self.scale[seen])
        t = np.linalg.qr(q[order].T, mode="r").T
        t[np.abs(t) <= 8 * self.resolution] = 0.0
        z[np.flatnonzero(seen)[order], :inner] = t / self.scale[seen][order, None]
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
        v = (v.T / self.own_units).T
        v = v / nonzero(np.abs(v).max(axis=0, initial=0.0))
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
        v = np.asarray(vectors, dtype=np.float64)
        return np.where(inside, np.square(self.half_inverse.T @ v).sum(axis=0), np.inf)


def total(dim: int, terms: Iterable[tuple[float, PSD]], *, checked: bool = False) -> PSD:
    """Sum of n_k M_k from the roots; scales add as squares, and so does the rounding that each brings.

    Args:
        dim: dimension d.
        terms: pairs (n_k, M_k) with n_k >= 0; what has n_k = 0 or rank 0 leaves no trace.
        checked: also see whether some of an addend is lost in the sum, which is then not `sure`.

    Returns:
        The decided sum.

    Example:
        >>> total(1, [(3.0, PSD.of([[2.0]])), (4.0, PSD.of([[0.5]]))])
        PSD(rank 1 of 1, [[8.]])
    """
    added = [(n, m) for n, m in terms if n > 0]
    there, sure = [(n, m) for n, m in added if m.rank], all(m.sure for _, m in added)
    if len(there) < 2:
        alone = there[0][1].times(there[0][0]) if there else PSD.zero(dim)
        return alone if sure else replace(alone, sure=False)
    parts = [(float(np.sqrt(n)), m) for n, m in there]
    lengths = np.stack([size * m.lengths for size, m in parts])
    noise = np.array([m.rounding for _, m in parts])
    scale = column_lengths(lengths)
    worst = float((column_lengths(noise[:, None] * lengths) / nonzero(scale)).max())
    summed = PSD.from_root(np.concatenate([size * m.root for size, m in parts]), noise=worst, scale=scale)
    if checked:
        each = (
            np.linalg.svd(size * m.root @ summed.half_inverse, compute_uv=False).min() for size, m in parts
        )
        sure = sure and min(each) ** 2 > summed.resolution
    return summed if sure else replace(summed, sure=False)
