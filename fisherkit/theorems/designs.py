"""From lists of per-sample design blocks, as the paper writes its datasets, to information matrices.

A dataset is a list of blocks (C_j, S_j), shared and private, with rows in units of the noise standard deviation.
A bare C_j means no private parameters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_list, as_matrix
from fisherkit.projection import project_out
from fisherkit.psd import PSD, total

__all__ = ["Designs", "effective", "has_full_column_rank", "shared_gram", "stack", "total_information"]

Array = NDArray[np.float64]
Designs = Sequence[tuple[ArrayLike, ArrayLike] | ArrayLike]


def stack(designs: Designs, name: str) -> tuple[list[Array], list[Array]]:
    """Check a dataset's blocks.

    Args:
        designs: list of (C_j, S_j) pairs (tuples) or bare C_j; C_j is (m_j, d_c), S_j is (m_j, d_k).
        name: how error messages call the dataset.

    Returns:
        (shared blocks, private blocks), lists of matrices with one width each.

    Raises:
        ValueError: no blocks, or blocks whose shapes do not fit.
    """
    designs = as_list(designs, name, "design blocks")
    if not designs:
        raise ValueError(f"{name}: no design blocks; give at least one sample")
    shared: list[Array] = []
    private: list[Array] = []
    for j, block in enumerate(designs):
        if isinstance(block, tuple) and len(block) != 2:
            raise ValueError(f"{name}[{j}]: expected a pair (C, S) or a bare C, got a tuple of {len(block)}")
        c, s = block if isinstance(block, tuple) else (block, None)
        shared.append(as_matrix(c, f"{name}[{j}] shared", cols=shared[0].shape[1] if j else None))
        rows = len(shared[-1])
        empty = np.zeros((rows, 0))
        width = private[0].shape[1] if j else None
        private.append(as_matrix(empty if s is None else s, f"{name}[{j}] private", rows=rows, cols=width))
    return shared, private


def shared_gram(designs: Designs, name: str = "designs") -> Array:
    """The paper's shared block, sum_j C_j'C_j, as if the private parameters were known.

    Args:
        designs: as in `stack`.
        name: how error messages call the dataset.

    Returns:
        (d_c, d_c).

    Example:
        >>> shared_gram([[[1.0, 0.0]], [[1.0, 1.0]]])
        array([[2., 1.],
               [1., 1.]])
    """
    c = np.concatenate(stack(designs, name)[0])
    return c.T @ c


def effective(designs: Designs, name: str = "designs") -> PSD:
    """Effective information about theta_c, private parameters unknown: the Schur complement.

    Args:
        designs: as in `stack`.
        name: how error messages call the dataset.

    Returns:
        (d_c, d_c) decided matrix.

    Example:
        >>> effective([(np.eye(2), np.eye(2))]).rank      # private parameters can explain everything
        0
    """
    shared, private = stack(designs, name)
    return project_out(np.concatenate(shared), np.concatenate(private))


def has_full_column_rank(block: ArrayLike) -> bool:
    """Whether the columns of one design block are linearly independent.

    Args:
        block: (m, d).

    Returns:
        The verdict of the tolerance policy.
    """
    matrix = as_matrix(block, "block")
    return PSD.from_root(matrix).rank == matrix.shape[1]


def total_information(parts: Sequence[PSD | Array], shared_dim: int) -> PSD | Array:
    """Place informations about (theta_c, theta_k) in one matrix over (theta_c, theta_1, theta_2, ...) and add.

    Args:
        parts: one (d_c + d_k, d_c + d_k) matrix per modality, array or `PSD`.
        shared_dim: d_c.

    Returns:
        (d, d), a `PSD` if one of the parts is, with d = d_c + sum of all d_k.
    """
    dim = shared_dim + sum(len(part) - shared_dim for part in parts)
    if any(isinstance(part, PSD) for part in parts):
        return total(dim, [(1.0, part) for part in _placed(parts, shared_dim, dim)], checked=True)
    summed, start = np.zeros((dim, dim)), shared_dim
    for part in parts:
        stop = start + len(part) - shared_dim
        place = np.r_[0:shared_dim, start:stop]
        summed[np.ix_(place, place)] += part
        start = stop
    return summed


def _placed(parts: Sequence[PSD | Array], shared_dim: int, dim: int) -> Iterator[PSD]:
    """Each part as a decided matrix over all parameters, unseen in those of others."""
    start = shared_dim
    for part in map(PSD.of, parts):
        stop = start + part.dim - shared_dim
        place = np.r_[0:shared_dim, start:stop]
        root, half, scale = np.zeros((part.rank, dim)), np.zeros((dim, part.rank)), np.ones(dim)
        root[:, place], half[place], scale[place] = part.root, part.half_inverse, part.scale
        yield replace(part, root=root, half_inverse=half, scale=scale)
        start = stop
