"""What a projection leaves: information about some columns of a root once others are unknown too."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fisherkit.psd import PSD
from fisherkit.tolerances import column_lengths, in_doubt, nonzero, tolerance

__all__ = ["entry_rounding", "own_ratio", "own_rounding", "project_out"]

Array = NDArray[np.float64]


def project_out(
    kept: Array, nuisance: Array, *, noise: float | None = None, scale: Array | None = None
) -> PSD:
    """Information of a stacked root [kept nuisance] about the kept parameters, nuisance unknown.

    kept' (I - P) kept with P the projector onto range(nuisance): the Schur complement of the nuisance block, also where
    that block is singular, without ever subtracting two matrices.

    Args:
        kept: (r, p) columns of the root that belong to the parameters asked about.
        nuisance: (r, q) columns of the nuisance parameters.
        noise: as in `PSD.from_root`.
        scale: (p + q,) length scales of the kept, then of the nuisance columns, default their lengths.

    Returns:
        (p, p) effective information, which remembers the lengths that the columns had.

    Example:
        >>> root = np.array([[1.0, 1.0], [0.0, 2.0]])     # information [[1, 1], [1, 5]]
        >>> project_out(root[:, :1], root[:, 1:])          # 1 - 1 * 1 / 5
        PSD(rank 1 of 1, [[0.8]])
    """
    scale = column_lengths(np.concatenate([kept, nuisance], axis=1)) if scale is None else scale
    lengths, others = np.split(scale, [kept.shape[1]])
    sure = True
    if nuisance.shape[1]:
        u, singular, _ = np.linalg.svd(nuisance / nonzero(others), full_matrices=False)
        floor = (tolerance(kept.shape[1] + nuisance.shape[1]) if noise is None else noise) * max(
            1.0, singular.max(initial=0.0)
        )
        sure = not in_doubt(singular, floor)
        there = singular > floor
        u, coefficients = u[:, there], (u.T @ kept)[there] / singular[there, None]
        kept = kept - u @ (u.T @ kept)
        kept = kept - u @ (u.T @ kept)  # twice is enough: the second pass removes what rounding left
        # what is left of a column is rounded like the terms that were subtracted from it: many times the column itself
        # where nuisance columns are nearly dependent
        lengths = column_lengths(np.concatenate([lengths[None], coefficients]))
    found = PSD.from_root(kept, noise=noise, scale=lengths)
    return found if sure else replace(found, sure=False)


def own_ratio(m: PSD) -> float:
    """How much larger than itself the scale of a column is at most: what its own relative rounding grows by.

    Args:
        m: decided matrix.

    Returns:
        A number >= 1, far above 1 where a projection has left little.
    """
    seen = m.root.any(axis=0)
    return float((m.scale / m.own_units)[seen].max(initial=1.0))


def entry_rounding(m: PSD) -> float:
    """Relative rounding of entries M_ij beside sqrt(M_ii M_jj).

    Args:
        m: decided matrix.

    Returns:
        Relative size.
    """
    return max(tolerance(m.dim) * own_ratio(m), (m.rounding * own_ratio(m)) ** 2)


def own_rounding(m: PSD) -> float:
    """Relative rounding of ranges in units of the diagonal, and a bound of the rounding of variances.

    `PSD.resolution` is relative to the scale. Beside its own length, a column that projection has left little of is known
    to fewer digits.

    Args:
        m: decided matrix.

    Returns:
        Relative size.
    """
    singular = np.linalg.svd(m.root / m.own_units, compute_uv=False)
    growth = own_ratio(m) * float(singular[0] / singular[-1]) if singular.size else 1.0
    return max(tolerance(m.dim) * growth, (m.rounding * growth) ** 2)
