"""The question, checked: what one sample of each modality tells, what it costs, how many there may be.

Everything is computed from square roots S_k = R_k' R_k of the information per sample, never from the matrices, whose
condition is the square of theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.allocation.evidence import Design, Evidence
from fisherkit.allocation.roots import Roots, information_roots
from fisherkit.checks import UnknownNameError, as_array, as_counts, as_instance, as_symmetric
from fisherkit.criteria import Criterion
from fisherkit.psd import PSD, total

__all__ = ["ACCURACY", "LARGEST", "Limits", "Problem", "as_costs", "as_problem"]

Array = NDArray[np.float64]
Limits = Mapping[str, tuple[float | None, float | None]]

#: Budgets and information beyond this, and costs beyond its square root or the reciprocal, leave float64 when they meet.
LARGEST = 1e300
#: Relative allowance for rounding above which bounds are computed in integers.
ACCURACY = 2e-8


@dataclass(frozen=True, eq=False)
class Problem:
    """Minimise phi(M_0 + sum_k n_k S_k) over low <= n <= high with costs @ n <= budget.

    Attributes:
        names: K modalities.
        criterion: phi.
        source: square roots of the S_k with their scales.
        costs: (K,) budget units per sample, >= 0.
        low: (K,) fewest samples to buy.
        high: (K,) most samples to buy, may be infinite.
        base: M_0, the information that is there already.
        evidence: what S_k and M_0 are exactly.
        accuracy: relative allowance for rounding above which bounds are computed in integers.
    """

    names: tuple[str, ...]
    criterion: Criterion
    source: Roots
    costs: Array
    low: Array
    high: Array
    base: PSD
    evidence: Evidence
    accuracy: float = ACCURACY

    @property
    def dim(self) -> int:
        """Number of parameters d."""
        return self.source.dim

    @property
    def roots(self) -> Array:
        """(K, r, d), S_k = roots[k]' roots[k]."""
        return self.source.each

    @property
    def wanted(self) -> Array:
        """(d, q) directions that the criterion is about; all coordinates for A, D and E."""
        directions = self.criterion.directions
        return np.eye(self.dim) if directions is None else directions

    def information(self, counts: Array) -> PSD:
        """M_0 + sum_k n_k S_k.

        Args:
            counts: (K,) samples to buy.

        Returns:
            The decided sum.
        """
        return self.source.total(counts, self.base)

    def value(self, counts: Array) -> float:
        """The criterion at these counts, under the tolerance policy of `fisherkit.psd`.

        Args:
            counts: (K,) samples to buy.

        Returns:
            phi, +infinity where something asked for is not estimable.
        """
        return self.criterion.value(self.information(counts))

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
    designs: Mapping[str, Design] | None = None,
    base_designs: Sequence[Design] = (),
    accuracy: float = ACCURACY,
) -> Problem:
    """Check everything but the budget.

    Args:
        informations: {modality: (d, d) information per sample, array or `PSD`}.
        costs: {modality: budget units per sample}, or one cost for all.
        criterion: what to minimise.
        limits: {modality: (fewest, most)} samples to buy; None on a side, or a name left out, for no limit.
        collected: {modality: samples that are there already}.
        base: (d, d) information that is there besides.
        designs: {modality: what its information was computed from}; None where it is what was given.
        base_designs: what the base was computed from; none where it is what was given.
        accuracy: relative allowance for rounding above which bounds are computed in integers.

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
    dim = roots.dim
    if criterion.directions is not None and len(criterion.directions) != dim:
        raise ValueError(
            f"criterion 'c': directions have length {len(criterion.directions)}, but there are {dim} parameters"
        )
    price = as_costs(costs, names)
    low, high = _as_limits(as_instance({} if limits is None else limits, Mapping, "limits"), names)
    free = (price == 0) & np.isinf(high)
    if free.any():
        name = names[int(free.argmax())]
        raise ValueError(
            f"{name}: samples cost nothing and have no upper limit, so there is no best number of them; give "
            f"limits={{{name!r}: (0, most)}} or a cost"
        )
    there = np.zeros(len(names))
    if collected is not None:
        there = np.array(list(as_counts(collected, names).values()), dtype=np.float64)
    known = roots.total(there) if there.any() else PSD.zero(dim)
    besides: list[Array | Design] = list(base_designs)
    if base is not None:
        given = base if isinstance(base, PSD) else as_symmetric(base, "base", dim=dim)
        if np.abs(np.asarray(given)).max(initial=0.0) > LARGEST:
            raise ValueError(
                f"base: entries above {LARGEST:g} leave float64; measure parameters in other units"
            )
        extra = PSD.of(given, name="base")
        if extra.dim != dim:
            raise ValueError(f"base: expected shape ({dim}, {dim}), got {extra.shape}")
        known = total(dim, [(1.0, known), (1.0, extra)])
        besides = besides or [_exactly(given)]
    sale: list[Array | Design]
    if designs is not None:
        sale = [designs[name] for name in names]
    elif roots.matrices is not None:
        sale = list(roots.matrices)
    else:
        sale = [_exactly(m) for m in informations.values()]
    evidence = Evidence.of(sale, there, besides, stack=roots.matrices)
    return Problem(names, criterion, roots, price, low, high, known, evidence, accuracy)


def _exactly(matrix: ArrayLike) -> Array | Design:
    """What was given: a matrix, or the root of a `PSD`."""
    return Design.of_root(matrix.root) if isinstance(matrix, PSD) else as_symmetric(matrix, "information")


def as_costs(costs: Mapping[str, float] | float, names: tuple[str, ...]) -> Array:
    """Prices by modality.

    Args:
        costs: {modality: budget units per sample}, or one cost for all.
        names: the modalities.

    Returns:
        (K,), finite and >= 0.

    Raises:
        UnknownNameError: a name that is no modality.
        ValueError: a modality without a cost, or a negative one.
    """
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
