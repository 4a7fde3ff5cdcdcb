"""Square roots of the information per sample, each with the scale and the rounding that tell zero from nearly zero."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_symmetric
from fisherkit.psd import PSD
from fisherkit.tolerances import tolerance

__all__ = ["Roots", "information_roots"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Roots:
    """S_k = each[k]' each[k], with what `fisherkit.psd.PSD` carries.

    Attributes:
        each: (K, r, d), zero rows where a rank is below r.
        scale: (K, d) lengths that columns are measured by, 0 where nothing is seen.
        rounding: (K,) relative rounding of the roots.
        matrices: (K, d, d), the matrices where they were given as such, symmetric; None if any was a `PSD`.
    """

    each: Array
    scale: Array
    rounding: Array
    matrices: Array | None = None

    @property
    def dim(self) -> int:
        """Number of parameters d."""
        return self.each.shape[2]

    def joined(self, weights: Array, base: PSD | None = None) -> tuple[Array, Array, float]:
        """Root of M_0 + sum_k weight_k S_k, as `fisherkit.psd.total` has it, but not decided.

        Args:
            weights: (K,) factors >= 0.
            base: M_0.

        Returns:
            (rows, d) root, (d,) scale of its columns and relative rounding, for `PSD.from_root`.
        """
        if base is None:
            base = PSD.zero(self.dim)
        used = np.flatnonzero(weights > 0)
        if not len(used):
            return base.root, base.lengths, base.rounding
        sizes = np.sqrt(weights[used])
        lengths, noise = sizes[:, None] * self.scale[used], self.rounding[used]
        rows = (sizes[:, None, None] * self.each[used]).reshape(-1, self.dim)
        if base.rank:
            lengths, noise = np.concatenate([lengths, base.lengths[None]]), np.append(noise, base.rounding)
            rows = np.concatenate([rows, base.root])
        scale = np.hypot.reduce(lengths, axis=0)
        share = np.hypot.reduce(noise[:, None] * lengths, axis=0)
        worst = float((share / np.where(scale > 0, scale, 1.0)).max(initial=0.0))
        return rows, scale, max(worst, tolerance(self.dim))

    def total(self, weights: Array, base: PSD | None = None) -> PSD:
        """M_0 + sum_k weight_k S_k.

        Args:
            weights: (K,) factors >= 0.
            base: M_0.

        Returns:
            The decided sum.
        """
        rows, scale, noise = self.joined(weights, base)
        return PSD.from_root(rows, noise=noise, scale=scale) if len(rows) else PSD.zero(self.dim)


def information_roots(informations: Mapping[str, ArrayLike]) -> Roots:
    """Square roots of positive semidefinite matrices, with the ranks that the tolerance policy sees.

    A `PSD` brings its own. Of matrices, a pivoted Cholesky factorisation of each, rescaled to unit diagonal, stops where
    the rest is rounding; a matrix for which that fails goes through `PSD.of`, which decides it or says what is wrong.

    Args:
        informations: {modality: (d, d) matrix or `PSD`}, all of one size.

    Returns:
        The roots, with r the largest rank (at least 1).

    Raises:
        ValueError: sizes differ, or a matrix is not symmetric, finite and positive semidefinite.

    Example:
        >>> roots = information_roots({"x": [[4.0, 2.0], [2.0, 1.0]], "y": np.zeros((2, 2))})
        >>> roots.each.tolist(), roots.scale.tolist()
        ([[[2.0, 1.0]], [[0.0, 0.0]]], [[2.0, 1.0], [0.0, 0.0]])
    """
    if not any(isinstance(m, PSD) for m in informations.values()):
        return _of_matrices(informations)
    every = {name: PSD.of(m, name=f"{name}: information") for name, m in informations.items()}
    _check_sizes({name: m.dim for name, m in every.items()})
    rank = max(1, *(m.rank for m in every.values()))
    each = np.stack([np.pad(m.root, ((0, rank - m.rank), (0, 0))) for m in every.values()])
    scale = np.stack([m.lengths for m in every.values()])
    return Roots(each, scale, np.array([m.rounding for m in every.values()]))


def _of_matrices(informations: Mapping[str, ArrayLike]) -> Roots:
    from scipy.linalg import lapack

    stack = _stacked(informations)
    dim = stack.shape[1]
    diagonal = np.einsum("kii->ki", stack)
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = stack / (unit[:, :, None] * unit[:, None, :])
    limit = tolerance(dim)
    roots, ranks, triangle = np.zeros_like(stack), [1], np.tri(dim).T
    for k in range(len(stack)):
        factor, pivots, rank, _ = lapack.dpstrf(scaled[k], tol=limit, lower=0)
        roots[k][:rank, pivots - 1] = factor[:rank] * triangle[:rank]
        ranks.append(int(rank))
    roots = roots[:, : max(ranks)]
    rest = np.abs(scaled - np.matmul(roots.transpose(0, 2, 1), roots)).max(axis=(1, 2), initial=0.0)
    roots = roots * unit[:, None, :]
    for k in map(int, np.flatnonzero(~(rest <= 2 * limit))):
        name = list(informations)[k]
        decided = PSD.of(stack[k], name=f"{name}: information").root
        if len(decided) > roots.shape[1]:
            roots = np.pad(roots, ((0, 0), (0, len(decided) - roots.shape[1]), (0, 0)))
        roots[k] = 0.0
        roots[k, : len(decided)] = decided
    scale = np.where(diagonal > 0, unit, 0.0)
    return Roots(roots, scale, np.full(len(stack), limit**0.5), stack)


def _stacked(informations: Mapping[str, ArrayLike]) -> Array:
    """All matrices, (K, d, d); the common case is checked at once, the others one by one for their messages."""
    try:
        stack = np.array(list(informations.values()), dtype=np.float64)
        if stack.ndim == 3 and stack.shape[1] == stack.shape[2] > 0:
            mirrored = stack.transpose(0, 2, 1)
            if (stack == mirrored).all() and np.isfinite(np.abs(stack).max()):
                return stack
            size = np.abs(stack).max(axis=(1, 2))
            if (np.abs(stack - mirrored).max(axis=(1, 2)) <= 1e-8 * size).all() and np.isfinite(size).all():
                return (stack + mirrored) / 2
    except (TypeError, ValueError):
        pass
    checked = {name: as_symmetric(m, f"{name}: information") for name, m in informations.items()}
    _check_sizes({name: len(m) for name, m in checked.items()})
    return np.stack(list(checked.values()))


def _check_sizes(sizes: dict[str, int]) -> None:
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"informations: matrices of different sizes {sizes}; all are about the same parameters"
        )
    if 0 in sizes.values():
        raise ValueError("informations: no parameters (d = 0)")
