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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.array_like import MatrixLike
from fisherkit.checks import as_array, as_matrix, as_number, as_symmetric
from fisherkit.ranges import Ranges
from fisherkit.tolerances import column_lengths, in_doubt, nonzero, tolerance

__all__ = ["PSD", "stacked", "total"]

Array = NDArray[np.float64]

#: Sizes of modalities this far apart are balanced before ranks are decided.
_FAR = 1e4


@dataclass(frozen=True, eq=False, repr=False)
class PSD(Ranges, MatrixLike):
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
        range_root: (rank, d), another matrix with the rows' span, better conditioned, None for the root itself: ranges do
            not depend on noise, however far apart the noises of two modalities are (`stacked`).

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
    range_root: Array | None = None

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

        Raises:
            ValueError: a scale of another length.
        """
        noise = None if noise is None else as_number(noise, "noise")
        r = as_matrix(root, "root")
        d = r.shape[1]
        lengths = column_lengths(r) if scale is None else as_array(scale, "scale", ndim=1)
        if lengths.shape != (d,):
            raise ValueError(f"scale: expected length {d}, got {len(lengths)}")
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
        return replace(self, root=size * self.root, half_inverse=self.half_inverse / size, scale=scale)

    @cached_property
    def matrix(self) -> Array:
        """(d, d), M with its rounding-level eigenvalues set to exactly zero."""
        return self.root.T @ self.root


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
    summed, _ = stacked(
        [size * m.root for size, m in parts],
        [size * m.lengths for size, m in parts],
        [m.rounding for _, m in parts],
    )
    if checked:
        each = (
            np.linalg.svd(size * m.root @ summed.half_inverse, compute_uv=False).min() for size, m in parts
        )
        sure = sure and min(each) ** 2 > summed.resolution
    return summed if sure else replace(summed, sure=False)


def stacked(
    roots: Sequence[Array], lengths: Sequence[Array] | None = None, rounding: Sequence[float] | None = None
) -> tuple[PSD, list[Array]]:
    """The information of several modalities from their roots, also where their noises are far apart.

    Where they are, the rank and the range are decided with all modalities equally large, since noise does not change
    them, and the inverse comes from an orthogonal factorisation with rows sorted and columns pivoted, which is stable
    row by row (Cox and Higham 1998), so that a weak modality keeps its digits beside a strong one.

    Args:
        roots: (r_k, d), at least one.
        lengths: (d,) scale of each root's columns, default their lengths.
        rounding: relative rounding of each root, default ``tolerance(d)``.

    Returns:
        The decided sum, and the rows of each root times its half inverse, (r_k, rank).
    """
    dim = roots[0].shape[1]
    sizes = np.stack([column_lengths(r) for r in roots] if lengths is None else lengths)
    noise = np.full(len(roots), tolerance(dim)) if rounding is None else np.asarray(rounding)
    scale = column_lengths(sizes)
    worst = float((column_lengths(noise[:, None] * sizes) / nonzero(scale)).max(initial=noise.min()))
    factor = _sizes_of_modalities(sizes)
    if factor.max() < _FAR * factor.min():
        whole = PSD.from_root(np.concatenate(roots), noise=worst, scale=scale)
        return whole, [r @ whole.half_inverse for r in roots]
    from scipy.linalg import qr, solve_triangular

    even = PSD.from_root(
        np.concatenate([r / f for r, f in zip(roots, factor, strict=True)]),
        noise=worst,
        scale=column_lengths(sizes / factor[:, None]),
    )
    rows = np.concatenate([r @ even.half_inverse for r in roots])
    order = np.argsort(-np.abs(rows).max(axis=1, initial=0.0), kind="stable")
    q, t, pivots = qr(rows[order], mode="economic", pivoting=True)
    local = np.empty_like(q)
    local[order] = q
    half = solve_triangular(t, even.half_inverse[:, pivots].T, trans="T").T
    seen = even.root.any(axis=0)
    whole = PSD(
        t @ even.root[pivots], half, np.where(seen, scale, 1.0), even.condition, worst, even.sure, even.root
    )
    return whole, np.split(local, np.cumsum([len(r) for r in roots])[:-1])


def _sizes_of_modalities(sizes: Array) -> Array:
    """How large each modality's root is beside the others, by the columns that several see, free of units; (K,)."""
    shared = (sizes > 0).sum(axis=0) > 1
    relative = sizes[:, shared] / nonzero(sizes[:, shared].max(axis=0, initial=0.0))
    logs = np.log(nonzero(relative))
    return np.exp(logs.sum(axis=1) / np.maximum(1, (relative > 0).sum(axis=1)))
