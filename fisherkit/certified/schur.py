"""Rigorous Schur complements of finished matrices: effective information with a radius.

Where rows or a root R are at hand, prefer them: compare full informations, or pass the factor of the growth.
A finished matrix needs its nuisance block to be provably positive definite.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.certified.bounds import as_upper, inflate
from fisherkit.certified.cholesky import diagonal_exponents, shifted_cholesky
from fisherkit.certified.enclosure import Enclosed
from fisherkit.certified.gap import Matrix, read_matrix
from fisherkit.checks import as_indices

__all__ = ["enclosed_schur_complement"]

Array = NDArray[np.float64]


def enclosed_schur_complement(matrix: Matrix, keep: slice | ArrayLike, *, name: str = "matrix") -> Enclosed:
    """Enclosure of M_kk - M_kn M_nn^{-1} M_nk: effective information about the kept parameters.

    For any Y, with Z = M_kn - Y M_nn,  S = [I -Y] M [I -Y]' - Z M_nn^{-1} Z'.  Y comes from a solver and
    need not be exact: its error enters squared, and a shifted Cholesky factorisation bounds M_nn from below.

    Args:
        matrix: (d, d) symmetric, array (taken as exact) or Enclosed, 1 / parameter units squared.
        keep: slice or indices of the k parameters asked about.
        name: how error messages call the matrix.

    Returns:
        (k, k) enclosure, in the units of the matrix.

    Raises:
        ValueError: the nuisance block is not provably positive definite, an index is out of range or
            repeated, or the matrix is not symmetric.

    Source:
        docs/certified.md, section 3.

    Example:
        >>> enclosed_schur_complement([[2.0, 1.0], [1.0, 1.0]], [0]).midpoint
        array([[1.]])
    """
    middle, radius, _ = read_matrix(matrix, 0.0, name)
    whole = Enclosed(middle, radius)
    d = len(middle)
    kept = as_indices(keep, d, "keep")
    nuisance = np.setdiff1d(np.arange(d), kept)
    order = np.concatenate([kept, nuisance])
    whole = Enclosed(middle[np.ix_(order, order)], whole.radius[np.ix_(order, order)])
    if not len(nuisance):
        return whole
    p = len(kept)
    inner = Enclosed(whole.midpoint[p:, p:], whole.radius[p:, p:])
    cross = Enclosed(whole.midpoint[:p, p:], whole.radius[:p, p:])
    half, smallest = _lower_bound(inner, name)
    scaled = inner.midpoint * half * half[:, None]
    y = (np.linalg.solve(scaled, (cross.midpoint * half).T).T) * half
    rest = cross - y @ inner
    # Row norms of Z D with D the diagonal of `half`; D M_nn D >= smallest.
    sizes = inflate((np.abs(rest.midpoint) + rest.radius) * half, 3)
    lengths = inflate(np.sqrt(np.square(sizes).sum(axis=1)), len(nuisance) + 4)
    left = np.concatenate([np.eye(p), -y], axis=1)
    product = (left @ whole @ left.T).symmetric()
    correction = inflate(np.multiply.outer(lengths, lengths) / smallest, 4)
    return Enclosed(product.midpoint, inflate(product.radius + correction, 2))


def _lower_bound(inner: Enclosed, name: str) -> tuple[Array, float]:
    """Powers of two D and a proved lower bound of the eigenvalues of D M_nn D."""
    diagonal = inner.midpoint.diagonal()
    if diagonal.min() > 0:
        half = np.ldexp(1.0, -diagonal_exponents(diagonal))
        with np.errstate(over="ignore", under="ignore"):
            scaled = inner.midpoint * half * half[:, None]
        if np.isfinite(scaled).all():
            smallest = float(np.linalg.eigvalsh(scaled)[0]) / 2
            if (
                smallest > 0
                and shifted_cholesky(
                    inner.midpoint, np.asarray(inner.radius), rounded=False, at_least=as_upper(smallest)
                ).proved
            ):
                return half, smallest
    raise ValueError(
        f"{name}: the nuisance block is not provably positive definite, so its inverse has no enclosure; "
        "compare full informations, or keep fewer parameters as nuisance"
    )
