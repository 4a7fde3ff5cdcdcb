"""Optimal allocation: how many samples of each modality to buy.

Minimise phi(M_0 + sum_k n_k S_k) over counts n that a budget pays for, with S_k the effective information of one
sample of modality k about theta_c (its private parameters eliminated, `fisherkit.information.shared_information`) and M_0
that of the samples collected already. The problem is convex in real-valued counts (Pukelsheim 2006, Optimal Design of
Experiments); every answer carries a lower bound from the equivalence theorem (Kiefer and Wolfowitz 1960).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.allocation.certificate import relative_gap
from fisherkit.allocation.engine import TOLERANCE, Solution, solve_budget
from fisherkit.allocation.problem import ACCURACY, LARGEST, Limits, Problem, as_problem
from fisherkit.allocation.result import Allocation
from fisherkit.allocation.rounding import round_for_budget, round_for_target
from fisherkit.allocation.samples import per_sample, require_estimable, supply
from fisherkit.allocation.target import TargetSolution, check_target, solve_target
from fisherkit.checks import as_array, as_choice, as_flag, as_number
from fisherkit.criteria import Criterion, as_criterion
from fisherkit.model import LinearGaussian

__all__ = ["allocate", "allocate_information"]

Array = NDArray[np.float64]
Constraints = Callable[[dict[str, Any]], Sequence[Any]]


def allocate(
    model: LinearGaussian,
    costs: Mapping[str, float] | float,
    *,
    budget: float | None = None,
    target: float | None = None,
    criterion: str | Criterion = "A",
    limits: Limits | None = None,
    collected: Mapping[str, int] | int | None = None,
    method: Literal["newton", "convex"] = "newton",
    integer: bool = True,
    tolerance: float = TOLERANCE,
    constraints: Constraints | None = None,
) -> Allocation:
    """Counts that estimate theta_c best for a budget, or that reach a target most cheaply.

    With per-sample designs a sample to buy is an average one of those given, so that the information is n_k S_k for any
    count, and the answer says so (`Allocation.average_designs`). Collected samples are the first designs as they are,
    where there are so many. Whether the designs that come next determine what is asked is looked at in the end.

    Args:
        model: the world.
        costs: {modality: budget units per sample}, or one cost for all; >= 0.
        budget: budget units to spend. Give either this or `target`.
        target: value of the criterion to reach (parameter units squared for c, A, E) at least cost.
        criterion: "A", "D", "E", or `c_criterion(v)` with v over the shared parameters; about theta_c.
        limits: {modality: (fewest, most)} samples to buy, None for no limit.
        collected: {modality: samples that are there already}; they cost nothing any more and limits do not count them.
        method: "newton", fast; "convex", a semidefinite program through cvxpy, for further constraints and as a check.
        integer: also round to whole samples.
        tolerance: certified relative gap that is reached, or an error says it is not.
        constraints: for method "convex": a function from {modality: cvxpy expression of its count} to a list of
            convex cvxpy constraints. Whole samples are not available then.

    Returns:
        Counts, criterion, certificate and whole samples.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({
        ...     "image": Modality([[1.0, 0.0], [0.0, 1.0]], noise_std=1.0),
        ...     "text": Modality([[0.0, 1.0]], noise_std=1.0),
        ... })
        >>> best = allocate(model, {"image": 9.0, "text": 1.0}, budget=600.0)
        >>> {name: round(n, 3) for name, n in best.counts.items()}, round(best.value, 4), best.gap < 1e-6
        ({'image': 55.41, 'text': 101.313}, 0.0244, True)
        >>> best.integer_counts, best.integer_loss < 1e-3
        ({'image': 55, 'text': 105}, True)
    """
    wanted = as_criterion(criterion)
    world = supply(model, collected)
    question = _Question(budget, target, method, integer, tolerance, constraints)
    problem = as_problem(
        world.informations,
        costs,
        wanted,
        limits=limits,
        collected=world.collected,
        base=world.base,
        designs=world.designs,
        base_designs=world.base_designs,
        accuracy=question.accuracy,
    )
    answer = _answer(problem, question)
    for counts in (answer.counts, answer.integer_counts):
        if counts is not None:
            require_estimable(model, wanted, collected, counts)
    average = tuple(
        name
        for name in per_sample(model)
        if world.collected[name] or answer.counts[name] or (answer.integer_counts or {}).get(name)
    )
    return replace(answer, average_designs=average)


def allocate_information(
    informations: Mapping[str, ArrayLike],
    costs: Mapping[str, float] | float,
    *,
    budget: float | None = None,
    target: float | None = None,
    criterion: str | Criterion = "A",
    limits: Limits | None = None,
    collected: Mapping[str, int] | int | None = None,
    base: ArrayLike | None = None,
    method: Literal["newton", "convex"] = "newton",
    integer: bool = True,
    tolerance: float = TOLERANCE,
    constraints: Constraints | None = None,
) -> Allocation:
    """The same for given information per sample, whatever it comes from.

    Args:
        informations: {modality: (d, d) positive semidefinite information per sample}, 1 / parameter units squared: arrays, of
            which every entry is taken at its word, or `PSD` objects such as `fisherkit.shared_information` returns, whose
            roots are.
        costs: as in `allocate`.
        budget: as in `allocate`.
        target: as in `allocate`.
        criterion: as in `allocate`; directions have length d.
        limits: as in `allocate`.
        collected: as in `allocate`.
        base: (d, d) information that is there besides, such as a prior's.
        method: as in `allocate`.
        integer: as in `allocate`.
        tolerance: as in `allocate`.
        constraints: as in `allocate`.

    Returns:
        Counts, criterion, certificate and whole samples.

    Raises:
        ValueError: both or neither of budget and target, constraints with another method or with whole samples, or
            anything that is no number of its kind.
        InfeasibleError: budget, target, limits and constraints cannot be met together.
        NotEstimableError: nothing affordable makes the criterion finite.
        NonConvexError: a further constraint is not convex.
        SolverError: the certified gap was not reached.

    Example:
        >>> import numpy as np
        >>> from fisherkit.criteria import c_criterion
        >>> twice = {"x": np.diag([1.0, 0.0]), "y": np.diag([1.0, 1.0])}
        >>> allocate_information(twice, {"x": 1.0, "y": 3.0}, budget=12.0, criterion=c_criterion([1.0, 0.0]))
        Allocation(c, budget 12: x 12 -> 0.0833333 at cost 12, certified gap ...; whole: x 12 -> 0.0833333, loss <= ...)
    """
    question = _Question(budget, target, method, integer, tolerance, constraints)
    problem = as_problem(
        informations,
        costs,
        as_criterion(criterion),
        limits=limits,
        collected=collected,
        base=base,
        accuracy=question.accuracy,
    )
    return _answer(problem, question)


@dataclass(frozen=True, eq=False)
class _Question:
    """What is asked of a problem, checked."""

    budget: float | None
    target: float | None
    method: str
    integer: bool
    tolerance: float
    constraints: Constraints | None

    def __post_init__(self) -> None:
        if (self.budget is None) == (self.target is None):
            raise ValueError("give either budget (spend it best) or target (reach it most cheaply)")
        as_choice(self.method, ("newton", "convex"), "method")
        if not 1e-13 < as_number(self.tolerance, "tolerance", finite=False) < 1:
            raise ValueError(f"tolerance: a relative gap between 1e-13 and 1, got {self.tolerance!r}")
        as_flag(self.integer, "integer")
        if self.constraints is not None and not callable(self.constraints):
            raise TypeError(
                f"constraints: expected a function of the counts, got {type(self.constraints).__name__}"
            )
        if self.constraints is not None and self.method != "convex":
            raise ValueError(
                "further constraints need method='convex'; Newton's method knows budget and limits only"
            )
        if self.constraints is not None and self.integer:
            raise ValueError(
                "rounding to whole samples does not know further constraints; pass integer=False"
            )

    @property
    def accuracy(self) -> float:
        """Allowance for rounding that does not count beside the tolerance."""
        return min(ACCURACY, 0.02 * self.tolerance)


def _answer(problem: Problem, question: _Question) -> Allocation:
    budget, target, tolerance = question.budget, question.target, question.tolerance
    reached: Solution | TargetSolution
    if budget is not None:
        budget = float(as_array(budget, "budget", ndim=0))
        if budget < 0:
            raise ValueError(f"budget must be >= 0, got {budget:.6g}")
        if budget > LARGEST:
            raise ValueError(
                f"budget must be at most {LARGEST:g}, got {budget:.6g}; measure costs in other units"
            )
        if question.method == "convex":
            from fisherkit.allocation.convex import solve_budget_convex

            reached = solve_budget_convex(problem, budget, tolerance, question.constraints)
        else:
            reached = solve_budget(problem, budget, tolerance)
    else:
        assert target is not None
        target = check_target(problem, target)
        if question.method == "convex":
            from fisherkit.allocation.convex import solve_target_convex

            reached = solve_target_convex(problem, target, tolerance, question.constraints)
        else:
            reached = solve_target(problem, target, tolerance)
    return _report(problem, reached, budget, target, question.method, question.integer)


def _report(
    problem: Problem,
    reached: Solution | TargetSolution,
    budget: float | None,
    target: float | None,
    method: str,
    integer: bool,
) -> Allocation:
    solution = reached.solution if isinstance(reached, TargetSolution) else reached
    counts, p = solution.counts, problem
    cost = float(p.costs @ counts)
    whole, whole_value, whole_cost, loss = None, None, None, None
    if integer:
        if budget is not None:
            rounded, whole_value = round_for_budget(solution.reduced, counts, budget)
            loss = relative_gap(p.criterion.name, p.dim, whole_value, solution.bound)
        else:
            assert isinstance(reached, TargetSolution)
            assert target is not None
            rounded, whole_value = round_for_target(solution.reduced, counts, target)
        whole = {name: round(n) for name, n in zip(p.names, rounded, strict=True)}
        whole_cost = float(
            sum(Fraction(cost) * round(n) for cost, n in zip(p.costs.tolist(), rounded, strict=True))
        )
        if isinstance(reached, TargetSolution):
            paid = np.nextafter(whole_cost, np.inf)  # of the exact sum, the float may lie on either side
            loss = relative_gap("A", p.dim, float(paid), reached.cost_bound) if whole_cost > 0 else 0.0
    rates, multiplier = _rates(solution)
    return Allocation(
        counts=p.named(counts),
        value=solution.value,
        bound=solution.bound,
        cost=cost,
        cost_bound=reached.cost_bound if isinstance(reached, TargetSolution) else None,
        gap=reached.gap,
        integer_counts=whole,
        integer_value=whole_value,
        integer_cost=whole_cost,
        integer_loss=loss,
        active=tuple(name for name, n in zip(p.names, counts, strict=True) if n > 0),
        scores=p.named(rates),
        multiplier=multiplier,
        budget=budget,
        target=target,
        criterion=p.criterion,
        method=method,
        status=solution.status,
        iterations=solution.iterations,
    )


def _rates(solution: Solution) -> tuple[Array, float]:
    """Scores per budget unit and the largest one that is still for sale."""
    p = solution.dual.problem
    scores = solution.dual.scores
    rates = np.full(len(scores), np.inf)
    np.divide(scores, p.costs, out=rates, where=p.costs > 0)
    rates[(p.costs == 0) & (scores == 0)] = 0.0
    for_sale = (p.costs > 0) & (solution.counts < p.high)
    free = solution.reduced.free
    return rates, float(rates[for_sale].max(initial=0.0)) if len(free) else 0.0
