"""The same problem as a semidefinite program through cvxpy: slower, open to further convex constraints, an oracle.

c, A:  minimise trace W  subject to  [[W, V'], [V, M(n)]] >= 0   (Schur complement: W >= V' M^- V)
D:     minimise -log det M(n)
E:     maximise t        subject to  M(n) - t I >= 0,

with costs @ n <= budget and limits; or the least cost that keeps the criterion below a target. Counts are scaled and
parameters rotated as for Newton's method. The certificate is computed afterwards from the counts and from the solver's
dual matrix, and the solver's status decides nothing but whether there is something to certify.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.certificate import Dual, relative_gap
from fisherkit.allocation.engine import Solution, affordable, upper_value
from fisherkit.allocation.errors import (
    InfeasibleError,
    NonConvexError,
    NotEstimableError,
    SolverError,
    looser,
)
from fisherkit.allocation.problem import Problem
from fisherkit.allocation.reduction import Reduced, reduce_problem
from fisherkit.allocation.target import (
    TargetSolution,
    checked_ratio,
    cost_bound,
    reached_at_floor,
    solve_target,
)

__all__ = ["solve_budget_convex", "solve_target_convex"]

Array = NDArray[np.float64]
Constraints = Callable[[dict[str, Any]], Sequence[Any]] | None
_ACCURACY = {
    "tol_gap_abs": 1e-12,
    "tol_gap_rel": 1e-12,
    "tol_feas": 1e-12,
}  # more than it reaches: the certificate judges

#: Logarithm of a ratio of budgets that it cannot bridge.
_RANGE = 40.0


@dataclass(frozen=True, eq=False)
class _Program:
    """Variables and constraints that budget and target questions share."""

    problem: Problem
    reduced: Reduced
    shares: Any  # cvxpy variable, counts in units of `unit`
    unit: Array
    objective: Any  # cvxpy expression: trace W (times scale), -log det, or t
    scale: float
    matrix_constraint: Any  # the linear matrix inequality, None for D
    constraints: list[Any]
    further: list[Any]

    @property
    def counts(self) -> Array:
        low, high = self.problem.low, self.problem.high
        return np.clip(self.unit * np.asarray(self.shares.value, dtype=np.float64), low, high)

    def duals(self, counts: Array) -> list[Dual]:
        """Matrices that may prove a bound: from the counts, and from the solver's multiplier."""
        basis, name = self.reduced.basis, self.problem.criterion.name
        dim = basis.shape[1]
        rows = self.problem.source.joined(counts, self.problem.base)[0] @ basis
        _, singular, vectors = np.linalg.svd(rows, full_matrices=False)
        inverse = (vectors.T / np.maximum(singular, 3e-7 * singular[0]) ** 2) @ vectors
        wanted, found = self.reduced.wanted, []
        if name == "D":
            found.append(np.linalg.cholesky(inverse))
        elif name != "E":
            found.append(inverse @ wanted)
        if self.matrix_constraint is not None and self.matrix_constraint.dual_value is not None:
            multiplier = np.asarray(self.matrix_constraint.dual_value)
            if name == "E":
                values, vectors = np.linalg.eigh((multiplier + multiplier.T) / 2)
                found.append(vectors * np.sqrt(np.maximum(values, 0.0)))
            else:
                found.append(multiplier[-dim:, :-dim])
        return [
            Dual.of(self.problem, basis @ matrix, float(self.problem.costs @ counts))
            for matrix in found
            if np.isfinite(matrix).all() and matrix.any()
        ]


def solve_budget_convex(
    problem: Problem, budget: float, tolerance: float, constraints: Constraints
) -> Solution:
    """Best counts for a budget.

    Args:
        problem: the problem.
        budget: budget units.
        tolerance: relative gap to certify.
        constraints: further convex constraints, None for none.

    Returns:
        The answer.

    Raises:
        InfeasibleError: nothing satisfies all constraints.
        SolverError: the solver failed, or its answer certifies a larger gap.
    """
    import cvxpy as cp

    program = _program(problem, budget, constraints)
    paid = problem.costs @ cp.multiply(program.unit, program.shares)
    size = max(budget, 1e-300)
    sense = cp.Maximize if problem.criterion.name == "E" else cp.Minimize
    money = [paid / size <= budget / size]
    status = _solve_estimable(
        program,
        cp.Problem(sense(program.objective), [*program.constraints, *program.further, *money]),
        "budget, limits and further constraints",
        money,
    )
    counts = program.counts
    if not program.further:
        counts = _within(problem, counts, budget)
    value = upper_value(program.reduced, counts)
    bounds = [
        (point.bound(budget, _capacity(program, point, budget)), point) for point in program.duals(counts)
    ]
    bound, dual = max(bounds, key=lambda pair: pair[0], default=(-np.inf, None))
    gap = relative_gap(problem.criterion.name, problem.dim, value, bound)
    if dual is None or not gap <= tolerance:
        _check_estimable(program, money)
        raise SolverError(_too_loose(status, gap, tolerance), gap)
    return Solution(counts, value, dual.scaled_to(value, counts), bound, gap, program.reduced, 0, status)


def _within(problem: Problem, counts: Array, budget: float) -> Array:
    """The same counts, less what the solver's accuracy lets them exceed the budget by."""
    least = float(problem.costs @ problem.low)
    cost = float(problem.costs @ counts)
    if cost > budget:
        share = max(0.0, budget - least) / (cost - least) if cost > least else 0.0
        counts = np.where(problem.costs > 0, problem.low + (counts - problem.low) * share, counts)
    return affordable(problem, counts, budget)


def solve_target_convex(
    problem: Problem, target: float, tolerance: float, constraints: Constraints
) -> TargetSolution:
    """Cheapest counts that reach a target.

    Args:
        problem: the problem.
        target: wanted value of the criterion.
        tolerance: relative gap of the cost to certify.
        constraints: further convex constraints, None for none.

    Returns:
        The answer.

    Raises:
        InfeasibleError: nothing satisfies all constraints.
        SolverError: the solver failed, or its answer certifies a larger gap.
    """
    import cvxpy as cp

    name, dim = problem.criterion.name, problem.dim
    if constraints is None and reached_at_floor(problem, target):
        return solve_target(problem, target, tolerance)  # nothing to optimise
    scale = float(problem.costs @ problem.low) + float(problem.costs.sum())
    program = _program(problem, scale, constraints)
    start = problem.value(program.reduced.counts(program.reduced.start))
    if np.isfinite(start):  # a budget of about the right size, so that the program is well scaled
        ratio = checked_ratio(problem, start, target, scale, _RANGE, "the convex solver")
        scale *= float(np.clip(np.exp(ratio), 1e-6, 1e6))
        program = _program(problem, scale, constraints)
    cost_of = problem.costs @ cp.multiply(program.unit, program.shares) / scale
    enough = [program.shares <= problem.low / program.unit + 1.0]  # of every modality, to look at
    for margin in (
        1e-4 * tolerance,
        1e-2 * tolerance,
        0.1 * tolerance,
    ):  # the answer must reach the target itself
        if name == "E":
            goal = program.objective / program.scale * target >= 1 + margin
        elif name == "D":
            goal = program.objective + program.scale <= target - dim * margin
        else:
            goal = program.objective * program.scale / target <= 1 - margin
        status = _solve_estimable(
            program,
            cp.Problem(cp.Minimize(cost_of), [*program.constraints, *program.further, goal]),
            f"target {target:.6g}, limits and further constraints",
            enough,
        )
        counts = program.counts
        value, cost = upper_value(program.reduced, counts), float(problem.costs @ counts)
        if value <= target:
            break
    else:
        raise SolverError(f"solver status {status!r}, but the target {target:.6g} is missed: {value:.12g}")
    lower, dual = -np.inf, None
    for point in program.duals(counts):
        least = (
            cost_bound(point, target) if not program.further else _least_cost(program, point, target, scale)
        )
        if least > lower:
            lower, dual = least, point
    gap = max(0.0, 1 - lower / cost) if cost > 0 else 0.0
    if dual is None or not gap <= tolerance:
        _check_estimable(program, enough)
        raise SolverError(_too_loose(status, gap, tolerance), gap)
    scaled = dual.scaled_to(value, counts)
    bound = scaled.bound(cost, _capacity(program, scaled, cost))
    solution = Solution(counts, value, scaled, bound, gap, program.reduced, 0, status)
    return TargetSolution(solution, cost, lower, gap)


def _program(problem: Problem, budget: float, constraints: Constraints) -> _Program:
    import cvxpy as cp

    reduced = reduce_problem(problem, budget)  # raises where nothing affordable is estimable
    size = max(budget, 1e-300)
    unit = np.where(problem.costs > 0, size / np.where(problem.costs > 0, problem.costs, 1.0), problem.high)
    unit = np.where(np.isfinite(unit) & (unit > 0), unit, 1.0)
    shares = cp.Variable(len(problem.names), name="shares")
    roots = (problem.roots * np.sqrt(unit)[:, None, None]) @ reduced.basis
    dim = reduced.basis.shape[1]
    stacked = np.matmul(roots.transpose(0, 2, 1), roots).reshape(len(unit), -1)
    base = problem.base.root @ reduced.basis
    m = cp.reshape(stacked.T @ shares, (dim, dim), order="C") + base.T @ base
    m = (m + m.T) / 2
    limits = [shares >= problem.low / unit]
    finite = np.flatnonzero(np.isfinite(problem.high))
    if len(finite):
        limits.append(shares[finite] <= problem.high[finite] / unit[finite])
    inequality, scale = None, 1.0
    if problem.criterion.name == "D":
        objective, scale = -cp.log_det(m), reduced.shift
    elif problem.criterion.name == "E":
        norm = reduced.basis.T @ reduced.basis
        scale = float(np.linalg.norm(norm, 2))
        objective = cp.Variable(name="t")
        inequality = m - objective * (norm / scale) >> 0
    else:
        wanted = reduced.wanted
        scale = float(np.square(wanted).sum())
        w = cp.Variable((wanted.shape[1], wanted.shape[1]), symmetric=True, name="W")
        inequality = cp.bmat([[w, wanted.T / np.sqrt(scale)], [wanted / np.sqrt(scale), m]]) >> 0
        objective = cp.trace(w)
    every = [*limits, inequality] if inequality is not None else limits
    counts = {name: unit[k] * shares[k] for k, name in enumerate(problem.names)}
    return _Program(
        problem, reduced, shares, unit, objective, scale, inequality, every, _further(constraints, counts)
    )


def _further(constraints: Constraints, counts: dict[str, Any]) -> list[Any]:
    """The caller's constraints, each checked for convexity under the name it prints."""
    import cvxpy as cp

    if constraints is None:
        return []
    given = constraints(counts)
    if not isinstance(given, list | tuple):
        raise NonConvexError(
            f"constraints must return a list of cvxpy constraints, got {type(given).__name__}"
        )
    for number, constraint in enumerate(given):
        if not isinstance(constraint, cp.constraints.constraint.Constraint):
            raise NonConvexError(
                f"further constraint {number} is a {type(constraint).__name__}, not a cvxpy constraint; write it as "
                "counts['name'] <= bound"
            )
        if cp.Problem(cp.Minimize(0), [constraint]).is_mixed_integer():
            raise NonConvexError(
                f"further constraint {number} has a variable of whole numbers, which is not convex: {constraint}; use a real "
                "variable, or compare the cases one by one"
            )
        if not constraint.is_dcp():
            raise NonConvexError(
                f"further constraint {number} is not convex under cvxpy's rules: {constraint}; the certificate needs "
                "convexity. State it as convex expression <= concave expression, or split the cases and compare them"
            )
    return list(given)


def _solve(program: Any, what: str) -> str:  # noqa: ANN401 - a cvxpy problem; cvxpy is not imported up here
    """Run the solver; its status if there is an answer to certify, else an error."""
    import cvxpy as cp

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # inaccurate answers are judged by their certificate, below
            program.solve(solver=cp.CLARABEL, **_ACCURACY)
    except cp.SolverError as error:
        raise SolverError(
            f"the convex solver failed ({error}); try method='newton', or rescale costs and parameters"
        ) from error
    status = str(program.status)
    if status in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE):
        return status
    if status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        raise InfeasibleError(
            f"{what} cannot be met together (solver status {status!r}); drop or widen one of them: without further "
            "constraints, method='newton' says which limit is in the way"
        )
    raise SolverError(
        f"the convex solver ended with status {status!r} and no answer; try method='newton', or rescale costs and "
        "parameters"
    )


def _solve_estimable(program: _Program, question: Any, what: str, money: list[Any]) -> str:  # noqa: ANN401 - as `_solve`
    """As `_solve`; where that fails, ask first whether further constraints forbid what is needed."""
    try:
        return _solve(question, what)
    except (InfeasibleError, SolverError):
        _check_estimable(program, money)
        raise


def _check_estimable(program: _Program, money: list[Any]) -> None:
    """Raise if even the average of each modality's largest counts, which sees all that can be seen, sees too little."""
    import cvxpy as cp

    if not program.further:
        return
    p, every = program.problem, [*_limits_only(program), *program.further, *money]
    most, found = np.zeros(len(p.names)), []
    for k in range(len(most)):
        try:
            _solve(cp.Problem(cp.Maximize(program.shares[k]), every), "limits and further constraints")
        except (InfeasibleError, SolverError):
            return  # nothing at all is allowed, or nothing is known: the first error stands
        shares = np.asarray(program.shares.value, dtype=np.float64)
        most[k] = shares[k]
        found.append(np.where(shares > 1e-9, shares, 0.0))
    if np.isfinite(p.value(np.mean(found, axis=0) * program.unit)):
        return
    none = ", ".join(repr(name) for name, share in zip(p.names, most, strict=True) if share <= 1e-9)
    raise NotEstimableError(
        f"criterion {p.criterion.name!r} is infinite for all counts that the further constraints allow"
        + (f" (they allow no samples of {none})" if none else "")
        + "; widen them, or ask for fewer directions, c_criterion(...)"
    )


def _capacity(program: _Program, point: Dual, budget: float) -> float | None:
    """Largest scores @ n under the further constraints; None where the knapsack answers that exactly."""
    import cvxpy as cp

    if not program.further:
        return None
    p = program.problem
    size = max(float(np.abs(point.scores * program.unit).max()), 1e-300)
    worth = (point.scores * program.unit / size) @ program.shares
    paid = p.costs @ cp.multiply(program.unit, program.shares) / max(budget, 1e-300)
    linear = cp.Problem(cp.Maximize(worth), [*_limits_only(program), *program.further, paid <= 1])
    before = program.shares.value
    _solve(linear, "budget, limits and further constraints")
    program.shares.value = before
    return float(linear.value) * size * (1 + 1e-9)


def _least_cost(program: _Program, point: Dual, target: float, scale: float) -> float:
    """Smallest cost with scores @ n at least what the target needs, under the further constraints."""
    import cvxpy as cp

    needed = point.needed(target)
    size = max(float(np.abs(point.scores * program.unit).max()), 1e-300)
    worth = (point.scores * program.unit / size) @ program.shares
    cost = program.problem.costs @ cp.multiply(program.unit, program.shares) / scale
    linear = cp.Problem(cp.Minimize(cost), [*_limits_only(program), *program.further, worth >= needed / size])
    before = program.shares.value
    _solve(linear, "target, limits and further constraints")
    program.shares.value = before
    return float(linear.value) * scale * (1 - 1e-9)


def _limits_only(program: _Program) -> list[Any]:
    return [c for c in program.constraints if c is not program.matrix_constraint]


def _too_loose(status: str, gap: float, tolerance: float) -> str:
    return (
        f"the convex solver's answer (status {status!r}) certifies a relative gap of {gap:.2g} only, above the tolerance "
        f"{tolerance:.2g}; {looser(gap)}, or use method='newton' where there are no further constraints"
    )
