"""An allocation proved: what it costs, what it reaches, and that nothing affordable is better, in rational arithmetic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from fisherkit.certified.dual_points import dual_points, solver_point
from fisherkit.certified.duality import Bound, Shop
from fisherkit.certified.exact_criteria import exact_value, shown
from fisherkit.certified.image import ExactModel, Model, World, designs_of, exact_image
from fisherkit.certified.order import AUTO_SECONDS
from fisherkit.certified.reading import as_fraction
from fisherkit.certified.rounding import float_above, float_below, log_bounds, root_below
from fisherkit.checks import as_counts, check_names
from fisherkit.model import LinearGaussian

if TYPE_CHECKING:
    from fisherkit.allocation.result import Allocation

__all__ = ["AllocationCertificate", "certify_allocation"]

Table = list[list[Fraction]]

#: Relative error of a value that an allocation may state without being contradicted: what `allocate` certifies itself.
_STATED = 1e-6
#: Real counts are rounded themselves, so that they may miss a budget or a target by this fraction; whole ones may exceed
#: a budget by what the rounding of costs and budget to floats explains, and must reach the target.
_REAL_COUNTS, _ROUNDED_COSTS = Fraction(1, 10**9), Fraction(1, 2**51)
#: What evaluating a loss in floats explains.
_ROUNDED_LOSS = Fraction(1, 10**10)
#: Proved gap beyond which the solver is asked for its own dual point.
_SHARP = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class AllocationCertificate:
    """What rational arithmetic proves about an allocation. Nothing in it rests on the solver or on floating point.

    Attributes:
        criterion: "c", "A", "D" or "E".
        counts: {modality: samples to buy} that it is about: the whole ones where the allocation has them.
        cost: what they cost, exactly.
        limit: the budget, or what the counts cost where a target was given.
        value: upper bound of the criterion at the counts: the exact value, rounded up; infinity where something
            asked for is not estimable.
        exact_value: the exact value for c and A, of exp(phi) = 1 / det M for D, an upper bound for E; None if infinite.
        bound: no counts within the limits that cost at most `limit` have a criterion below it; rounded down.
        exact_bound: the same as a fraction, for D of exp(phi); None if infinite.
        cost_bound: no counts that reach the target cost less; None where a budget was given, or where none reach it.
        gap: proved distance to the optimum, rounded up: 1 - bound / value (for D 1 - exp((bound - value) / d)), or with
            a target 1 - cost_bound / cost.
        contradictions: what the allocation says that is disproved; empty if all of it stands.
        averaged: modalities with per-sample designs, whose samples are taken to be the average one as in `allocate`.
    """

    criterion: str
    counts: Mapping[str, int | float]
    cost: Fraction
    limit: Fraction
    value: float
    exact_value: Fraction | None
    bound: float
    exact_bound: Fraction | None
    cost_bound: Fraction | None
    gap: float
    contradictions: tuple[str, ...]
    averaged: tuple[str, ...]

    @property
    def within_budget(self) -> bool:
        """Whether the counts cost at most the limit, to the last bit."""
        return self.cost <= self.limit

    @property
    def holds(self) -> bool:
        """Whether nothing that the allocation says is disproved."""
        return not self.contradictions

    def __repr__(self) -> str:
        chosen = ", ".join(f"{name} {n:.6g}" for name, n in self.counts.items() if n) or "nothing"
        least = (
            ""
            if self.cost_bound is None
            else f", no cost below {float_below(self.cost_bound):.6g} reaches it"
        )
        average = f"; {', '.join(self.averaged)} by its average design" if self.averaged else ""
        wrong = f"; DISPROVED: {'; '.join(self.contradictions)}" if self.contradictions else ""
        return (
            f"AllocationCertificate({self.criterion}, {chosen} at cost {float_above(self.cost):.6g}: value <= "
            f"{self.value:.6g}, no affordable counts below {self.bound:.6g}{least}, gap <= {self.gap:.1e}, exactly"
            f"{average}{wrong})"
        )


def certify_allocation(
    model: Model,
    allocation: "Allocation",
    costs: Mapping[str, Any] | Any,  # noqa: ANN401, one exact number for all
    *,
    limits: Mapping[str, tuple[Any, Any]] | None = None,
    collected: Mapping[str, int] | int | None = None,
    force: bool = False,
) -> AllocationCertificate:
    """Prove what an allocation costs and reaches, and a lower bound for everything affordable, exactly.

    The model, costs, limits and counts are taken as the rational numbers that they are. What is disproved of what the
    allocation says comes back as `contradictions`; it is no error.

    Args:
        model: the LinearGaussian that was allocated for, or exact numbers as for `ExactModel.of`.
        allocation: from `fisherkit.allocation.allocate`.
        costs: as given to `allocate`.
        limits: as given to `allocate`.
        collected: as given to `allocate`.
        force: also where it takes longer than about 10 s.

    Returns:
        The certificate.

    Raises:
        TypeError: not a model, or not an Allocation.
        ValueError: an allocation of other modalities, costs that are not those of the allocation, or a model that takes
            too long.

    Source:
        docs/certified.md, section 7.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> from fisherkit.allocation import allocate
        >>> model = LinearGaussian({"image": Modality([[1.0, 0.0], [0.0, 1.0]]), "text": Modality([[0.0, 1.0]])})
        >>> costs = {"image": 9.0, "text": 1.0}
        >>> certify_allocation(model, allocate(model, costs, budget=600.0), costs)
        AllocationCertificate(A, image 55, text 105 at cost 600: value <= 0.0244318, no affordable counts below ...
    """
    from fisherkit.allocation.result import Allocation

    if not isinstance(allocation, Allocation):
        raise TypeError(
            f"allocation: expected the result of fisherkit.allocation.allocate, got {type(allocation).__name__}"
        )
    world = model if isinstance(model, LinearGaussian) else ExactModel.of(model)
    designs = designs_of(world)
    names = tuple(designs)
    if set(allocation.counts) != set(names):
        raise ValueError(
            f"allocation: its modalities are {', '.join(map(repr, allocation.counts))}, those of the model "
            f"{', '.join(map(repr, names))}; pass the model that it was made for"
        )
    shop = _shop(names, costs, limits or {}, collected)
    real = {name: Fraction(allocation.counts[name]) for name in names}
    _require_same_costs(allocation, shop.cost(real))
    wanted = _wanted(allocation, world.layout.shared_dim)
    image = _image(world, designs, len(wanted[0]), force)
    whole = allocation.integer_counts
    counts = real if whole is None else {name: Fraction(whole[name]) for name in names}
    taken = {k: (n or 1, (counts[k] + shop.collected[k]) / (n or 1)) for k, n in designs.items()}
    criterion = allocation.criterion.name
    target = None if allocation.target is None else Fraction(allocation.target)
    proof = _Proof(
        criterion,
        len(wanted),
        exact_value(image, image.total(taken), criterion, wanted, target),
        shop,
        shop.cost(real) if allocation.budget is None else Fraction(allocation.budget),
        target,
        shop.cost(counts),
        whole is not None,
    )
    best = {name: n + shop.collected[name] for name, n in real.items()}
    for matrix in dual_points(image, allocation.criterion, wanted, best):
        proof.add(Bound.of(image, criterion, wanted, matrix, shop))
    if proof.gap() > _SHARP:
        found = solver_point(world, allocation.criterion, shop, float(proof.limit))
        if found is not None:
            proof.add(Bound.of(image, criterion, wanted, found, shop))
    return AllocationCertificate(
        criterion=criterion,
        counts={name: float(n) if whole is None else int(n) for name, n in counts.items()},
        cost=proof.cost,
        limit=proof.limit,
        value=shown(criterion, proof.exact, up=True),
        exact_value=proof.exact,
        bound=shown(criterion, proof.bound, up=False),
        exact_bound=proof.bound,
        cost_bound=proof.cost_bound,
        gap=proof.gap(),
        contradictions=tuple(_contradictions(allocation, proof, counts, shop)),
        averaged=tuple(name for name, n in designs.items() if n is not None),
    )


class _Proof:
    """The best bounds so far."""

    def __init__(
        self,
        criterion: str,
        dim: int,
        exact: Fraction | None,
        shop: Shop,
        limit: Fraction,
        target: Fraction | None,
        cost: Fraction,
        whole: bool,
    ) -> None:
        self.criterion, self.dim, self.exact = criterion, dim, exact
        self.shop, self.limit, self.target, self.cost = shop, limit, target, cost
        self.whole = whole
        self.affordable = shop.cost(shop.low) <= limit
        self.bound: Fraction | None = Fraction(0)
        self.cost_bound: Fraction | None = None if target is None else shop.cost(shop.low)

    def add(self, point: Bound) -> None:
        """What one more dual point proves."""
        least = point.least(self.shop, self.limit) if self.affordable else None
        if self.bound is not None:
            self.bound = None if least is None else max(self.bound, least)
        if self.target is not None and self.cost_bound is not None:
            cost = point.least_cost(self.shop, self.target)
            self.cost_bound = None if cost is None else max(self.cost_bound, cost)

    def gap(self) -> float:
        """Proved relative distance to the optimum."""
        if self.exact is None or self.bound is None:
            return 1.0
        if self.target is not None:
            if self.cost_bound is None or not self.reaches():
                return 1.0
            return float_above(max(Fraction(0), 1 - self.cost_bound / self.cost)) if self.cost else 0.0
        ratio = min(Fraction(1), self.bound / self.exact)
        if self.criterion == "D":
            return float_above(1 - root_below(ratio, Fraction(0), self.dim)) if ratio else 1.0
        return float_above(1 - ratio)

    def reaches(self) -> bool:
        """Whether the target is proved to be reached."""
        assert self.target is not None
        if self.exact is None:
            return False
        granted = Fraction(0) if self.whole else _REAL_COUNTS
        if self.criterion == "D":
            return Fraction(log_bounds(self.exact)[1]) <= self.target + granted
        return self.exact <= self.target * (1 + granted)


def _contradictions(
    allocation: "Allocation",
    proof: _Proof,
    counts: Mapping[str, Fraction],
    bounds_of: Shop,
) -> list[str]:
    """Sentences for what the allocation says and arithmetic disproves."""
    found, whole, exact = [], allocation.integer_counts is not None, proof.exact
    granted = _ROUNDED_COSTS if whole else _REAL_COUNTS
    if allocation.budget is not None and proof.cost > proof.limit * (1 + granted):
        found.append(
            f"the counts cost {float(proof.cost):.17g}, more than the budget {allocation.budget:.17g}"
        )
    for name, n in counts.items():
        high = bounds_of.high[name]
        if n < bounds_of.low[name] or (high is not None and n > high):
            found.append(f"{float(n):.6g} samples of {name!r} are outside its limits")
    stated = allocation.integer_value if whole else allocation.value
    if exact is None:
        found.append(f"the criterion is infinite at these counts, not {stated:.6g}")
        return found
    value = shown(proof.criterion, exact, up=True)
    assert stated is not None
    size = max(1.0, abs(value)) if proof.criterion == "D" else abs(value)
    if not abs(stated - value) <= _STATED * size:
        found.append(f"the criterion at these counts is {value:.9g}, not {stated:.9g}")
    if whole and proof.target is None and proof.criterion in ("c", "A"):
        loss, claimed = 1 - Fraction(allocation.bound) / exact, Fraction(allocation.integer_loss or 0.0)
        if loss > claimed + _ROUNDED_LOSS:
            found.append(f"the bound is {float(loss):.12g} away from these counts, not {float(claimed):.12g}")
    if proof.target is not None and not proof.reaches():
        found.append(
            f"the criterion at these counts is {value:.17g}, above the target {allocation.target:.17g}"
        )
    if proof.cost <= proof.limit and allocation.bound > value:
        found.append(
            f"the bound {allocation.bound:.17g} is above what these affordable counts reach, {value:.17g}"
        )
    if proof.target is not None and proof.cost_bound is None:
        found.append("no counts within the limits reach the target")
    return found


def _image(world: World, designs: Mapping[str, int | None], columns: int, force: bool) -> ExactModel:
    """The image of all designs, unless the proof would take too long."""
    most = math.inf if force else AUTO_SECONDS
    image, needed = exact_image(world, {k: (n or 1, Fraction(1)) for k, n in designs.items()}, most, columns)
    if image is None:
        raise ValueError(
            f"model: a proof in rational arithmetic would take about {needed:.0f} s (python-flint, the extra 'exact', "
            "makes it faster); force=True computes it all the same"
        )
    return image


def _shop(
    names: Sequence[str],
    costs: Any,  # noqa: ANN401, checked here
    limits: Mapping[str, Any],
    collected: Mapping[str, int] | int | None,
) -> Shop:
    check_names(costs, names, "costs")
    check_names(limits, names, "limits")
    prices = costs if isinstance(costs, Mapping) else dict.fromkeys(names, costs)
    price, low, high = {}, {}, {}
    for name in names:
        if name not in prices:
            raise ValueError(f"costs: none given for {name!r}; every modality needs one")
        price[name] = as_fraction(prices[name], f"{name}: cost")
        if price[name] < 0:
            raise ValueError(f"{name}: cost per sample must be >= 0, got {float(price[name]):.6g}")
        pair = limits.get(name, (None, None))
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"{name}: limits must be a pair (fewest, most), None for no limit; got {pair!r}")
        least, most = (None if x is None or x == math.inf else as_fraction(x, f"{name}: limit") for x in pair)
        low[name], high[name] = least or Fraction(0), most
        if price[name] == 0 and most is None:
            raise ValueError(f"{name}: samples cost nothing and have no upper limit")
        if low[name] < 0 or (most is not None and most < low[name]):
            raise ValueError(f"{name}: limits contradict each other, {pair!r}")
    return Shop(price, low, high, as_counts(collected or 0, names))


def _wanted(allocation: "Allocation", dim: int) -> Table:
    """Directions V of the criterion."""
    directions = allocation.criterion.directions
    if directions is None:
        return [[Fraction(i == j) for j in range(dim)] for i in range(dim)]
    if len(directions) != dim:
        raise ValueError(
            f"allocation: its directions have length {len(directions)}, but the model has {dim} shared parameters; pass "
            "the model that it was made for"
        )
    return [[Fraction(x) for x in row] for row in directions.tolist()]


def _require_same_costs(allocation: "Allocation", cost: Fraction) -> None:
    if abs(cost - Fraction(allocation.cost)) > _STATED * abs(Fraction(allocation.cost)):
        raise ValueError(
            f"costs: the allocation's counts cost {float(cost):.6g} at these, but it says {allocation.cost:.6g}; pass the "
            "costs that it was made with"
        )
