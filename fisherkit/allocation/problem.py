"""The question, checked: what one sample of each modality tells, what it costs, how many there may be.

Everything is computed from square roots S_k = R_k' R_k of the information per sample, padded with zero rows to one
array of shape (K, r, d).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import UnknownNameError, as_array, as_counts, as_instance, as_symmetric
from fisherkit.criteria import Criterion
from fisherkit.psd import PSD, tolerance

__all__ = ["Limits", "Problem", "as_problem", "information_roots"]

Array = NDArray[np.float64]
Limits = Mapping[str, tuple[float | None, float | None]]

#: Budgets and information beyond this, and costs beyond its square root or the reciprocal, leave float64 when they meet.
LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class Problem:
    """Minimise phi(M_0 + sum_k n_k S_k) over low <= n <= high with costs @ n <= budget.

    Attributes:
        names: K modalities.
        criterion: phi.
        roots: (K, r, d), S_k = roots[k]' roots[k].
        costs: (K,) budget units per sample, >= 0.
        low: (K,) fewest samples to buy.
        high: (K,) most samples to buy, may be infinite.
        base: (rows, d) square root of M_0, the information that is there already.
    """

    names: tuple[str, ...]
    criterion: Criterion
    roots: Array
    costs: Array
    low: Array
    high: Array
    base: Array

    @property
    def dim(self) -> int:
        """Number of parameters d."""
        return self.roots.shape[2]

    @property
    def wanted(self) -> Array:
        """(d, q) directions that the criterion is about; all coordinates for A, D and E."""
        directions = self.criterion.directions
        return np.eye(self.dim) if directions is None else directions

    def information(self, counts: Array) -> Array:
        """M_0 + sum_k n_k S_k.

        Args:
            counts: (K,) samples to buy.

        Returns:
            (d, d) symmetric.
        """
        rows = (np.sqrt(counts)[:, None, None] * self.roots).reshape(-1, self.dim)
        return rows.T @ rows + self.base.T @ self.base

    def value(self, counts: Array) -> float:
        """The criterion at these counts, under the tolerance policy of `fisherkit.psd`.

        Args:
            counts: (K,) samples to buy.

        Returns:
            phi, +infinity where something asked for is not estimable.
        """
        return self.criterion.value(PSD.of(self.information(counts)))

    def named(self, values: Array) -> dict[str, float]:
        """One number per modality, by name.

        Args:
            values: (K,).

        Returns:
            {modality: number}.
        """
        return dict(zip(self.names, values.tolist(), strict=True))


def as_problem(
    informations: Mapping[str, ArrayLike],
    costs: Mapping[str, float] | float,
    criterion: Criterion,
    *,
    limits: Limits | None = None,
    collected: Mapping[str, int] | int | None = None,
    base: ArrayLike | None = None,
) -> Problem:
    """Check everything but the budget.

    Args:
        informations: {modality: (d, d) information per sample}.
        costs: {modality: budget units per sample}, or one cost for all.
        criterion: what to minimise.
        limits: {modality: (fewest, most)} samples to buy; None on a side, or a name left out, for no limit.
        collected: {modality: samples that are there already}.
        base: (d, d) information that is there besides.

    Returns:
        The problem.

    Raises:
        ValueError: no modality, a negative cost, contradictory limits, free samples without limit, or directions of
            another length than d.
        UnknownNameError: a name that is no modality.
    """
    if not isinstance(informations, Mapping) or not informations:
        raise ValueError("informations: expected a non-empty {modality: (d, d) matrix} mapping")
    names = tuple(informations)
    roots = information_roots(informations)
    dim = roots.shape[2]
    if criterion.directions is not None and len(criterion.directions) != dim:
        raise ValueError(
            f"criterion 'c': directions have length {len(criterion.directions)}, but there are {dim} parameters"
        )
    price = _as_costs(costs, names)
    low, high = _as_limits(as_instance({} if limits is None else limits, Mapping, "limits"), names)
    free = (price == 0) & np.isinf(high)
    if free.any():
        name = names[int(free.argmax())]
        raise ValueError(
            f"{name}: samples cost nothing and have no upper limit, so there is no best number of them; give "
            f"limits={{{name!r}: (0, most)}} or a cost"
        )
    rows = np.zeros((0, dim))
    if collected is not None:
        there = np.array(list(as_counts(collected, names).values()), dtype=np.float64)
        rows = (np.sqrt(there)[:, None, None] * roots)[there > 0].reshape(-1, dim)
    if base is not None:
        if np.abs(as_symmetric(base, "base", dim=dim)).max(initial=0.0) > LARGEST:
            raise ValueError(
                f"base: entries above {LARGEST:g} leave float64; measure parameters in other units"
            )
        rows = np.concatenate([rows, PSD.of(as_symmetric(base, "base", dim=dim), name="base").root])
    return Problem(names, criterion, roots, price, low, high, _compressed(rows))


def information_roots(informations: Mapping[str, ArrayLike]) -> Array:
    """Square roots of positive semidefinite matrices, with the ranks that the tolerance policy sees.

    A pivoted Cholesky factorisation of each matrix, rescaled to unit diagonal, stops where the rest is rounding; a
    matrix for which that fails goes through `PSD.of`, which decides it or says what is wrong.

    Args:
        informations: {modality: (d, d)}, all of one size.

    Returns:
        (K, r, d) with r the largest rank (at least 1), zero rows where a rank is smaller.

    Raises:
        ValueError: sizes differ, or a matrix is not symmetric, finite and positive semidefinite.

    Example:
        >>> root = information_roots({"x": [[4.0, 2.0], [2.0, 1.0]], "y": np.zeros((2, 2))})
        >>> root.tolist()
        [[[2.0, 1.0]], [[0.0, 0.0]]]
    """
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
    return roots


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
    sizes = {name: len(m) for name, m in checked.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(
            f"informations: matrices of different sizes {sizes}; all are about the same parameters"
        )
    if 0 in sizes.values():
        raise ValueError("informations: no parameters (d = 0)")
    return np.stack(list(checked.values()))


def _as_costs(costs: Mapping[str, float] | float, names: tuple[str, ...]) -> Array:
    if not isinstance(costs, Mapping):
        costs = dict.fromkeys(names, costs)
    unknown = costs.keys() - set(names)
    if unknown:
        raise UnknownNameError(min(unknown, key=str), names)
    missing = [name for name in names if name not in costs]
    if missing:
        raise ValueError(f"costs: none given for {', '.join(map(repr, missing))}; every modality needs one")
    if all(type(cost) is float for cost in costs.values()):
        checked = np.array([costs[name] for name in names])
    else:
        checked = np.full(len(names), np.nan)
    if not np.isfinite(checked).all():
        checked = np.array([float(as_array(costs[name], f"{name}: cost", ndim=0)) for name in names])
    if (checked < 0).any():
        worst = int(checked.argmin())
        raise ValueError(f"{names[worst]}: cost per sample must be >= 0, got {checked[worst]:.6g}")
    wrong = (checked > 0) & ((checked < LARGEST**-0.5) | (checked > LARGEST**0.5))
    if wrong.any():
        worst = int(wrong.argmax())
        raise ValueError(
            f"{names[worst]}: cost {checked[worst]:.3g} leaves float64 with others; use other units"
        )
    return checked


def _as_limits(limits: Limits, names: tuple[str, ...]) -> tuple[Array, Array]:
    for name in limits:
        if name not in names:
            raise UnknownNameError(name, names)
    low, high = np.zeros(len(names)), np.full(len(names), np.inf)
    for k, name in enumerate(names):
        if name not in limits:
            continue
        pair = limits[name]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"{name}: limits must be a pair (fewest, most), None for no limit; got {pair!r}")
        if pair[0] is not None:
            low[k] = float(as_array(pair[0], f"{name}: lower limit", ndim=0))
        if pair[1] is not None and not (isinstance(pair[1], float) and pair[1] == np.inf):
            high[k] = float(as_array(pair[1], f"{name}: upper limit", ndim=0))
        if low[k] < 0:
            raise ValueError(f"{name}: lower limit must be >= 0, got {low[k]:.6g}")
        if low[k] > high[k]:
            raise ValueError(
                f"{name}: limits contradict each other, fewest {low[k]:.6g} > most {high[k]:.6g}; limits count the "
                "samples to buy, collected ones come on top"
            )
    return low, high


def _compressed(rows: Array) -> Array:
    """At most d rows with the same cross product."""
    if len(rows) <= rows.shape[1]:
        return rows
    return np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)
