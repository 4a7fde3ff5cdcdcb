"""The question after the paper's Theorem 2: "I can afford N more samples: of which modality?"."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fisherkit.allocation.errors import NotEstimableError
from fisherkit.allocation.planning import allocate_information
from fisherkit.allocation.problem import Problem, as_problem
from fisherkit.allocation.result import NextSample
from fisherkit.checks import as_number
from fisherkit.criteria import Criterion, as_criterion
from fisherkit.information import shared_information
from fisherkit.model import LinearGaussian
from fisherkit.psd import PSD

__all__ = ["next_sample"]

Array = NDArray[np.float64]


def next_sample(
    model: LinearGaussian,
    counts: Mapping[str, int] | int,
    costs: Mapping[str, float] | float | None = None,
    *,
    criterion: str | Criterion = "A",
    n: int = 1,
) -> NextSample:
    """Of which modality the next n samples should be, given those collected already.

    One sample (or one per cost) is chosen by trying every modality, exactly. Several are an allocation of n samples that
    cost one each, with whole counts and the certified bound on what rounding loses.

    Args:
        model: the world; for per-sample designs one sample means an average one.
        counts: {modality: samples collected so far}.
        costs: {modality: budget units per sample}, or one cost for all: the next sample is then the one with the largest gain per budget
            unit. Only for n = 1; with a budget for several samples ask `allocate` with ``collected=counts``.
        criterion: "A", "D", "E", or `c_criterion(v)` with v over the shared parameters; about theta_c.
        n: how many samples.

    Returns:
        The best samples, the criterion now and after, and what one sample of each modality is worth. Where nothing
        lowers the criterion (beyond rounding), no samples: `best` is empty, and `after` the criterion now.

    Raises:
        ValueError: n is no whole number >= 1, costs with n > 1, or a cost that is not positive.
        NotEstimableError: the criterion is infinite now and stays so with n more samples.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"image": Modality(np.eye(2)), "text": Modality([[0.0, 1.0]], noise_std=0.5)})
        >>> next_sample(model, {"image": 10, "text": 0})
        NextSample(add 1 text: A 0.2 -> 0.171429)
        >>> next_sample(model, {"image": 10, "text": 0}, n=10)
        NextSample(add 7 image, 3 text: A 0.2 -> 0.0933063)
    """
    if isinstance(n, (bool, np.timedelta64)) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n: expected a whole number of samples >= 1, got {n!r}")
    if costs is not None and n > 1:
        raise ValueError(
            "costs with n > 1: ask allocate(..., budget=..., collected=counts), which spends money"
        )
    wanted = as_criterion(criterion)
    informations = shared_information(model)
    if costs is not None and not isinstance(costs, Mapping):
        costs = dict.fromkeys(informations, costs)
    for name, cost in ({} if costs is None else costs).items():
        if not as_number(cost, f"{name}: cost", finite=False) > 0:
            raise ValueError(f"{name}: a gain per cost needs a positive cost, got {cost!r}")
    problem = as_problem(informations, 1.0 if costs is None else costs, wanted, collected=counts)
    nothing = np.zeros(len(problem.names))
    now = problem.value(nothing)
    after = np.array([_after(problem, k) for k in range(len(problem.names))])
    with np.errstate(invalid="ignore"):
        gain = np.where(np.isinf(after), 0.0, now - after)
    per_cost = gain / problem.costs
    if n == 1:
        if not np.isfinite(after).any():
            raise NotEstimableError(_no_single(problem))
        # where the criterion is infinite now every finite one is an infinite gain: the lowest (per cost: cheapest) wins
        order = per_cost if np.isfinite(now) else _preference(problem, after, costs is not None)
        k = int(order.argmax())
        best, reached, loss = {problem.names[k]: 1}, float(after[k]), 0.0
    else:
        plan = allocate_information(informations, 1.0, budget=float(n), criterion=wanted, collected=counts)
        assert plan.integer_counts is not None
        assert plan.integer_value is not None
        assert plan.integer_loss is not None
        best = {name: count for name, count in plan.integer_counts.items() if count}
        reached, loss = plan.integer_value, plan.integer_loss
    if np.isfinite(now) and now - reached <= 1e-12 * (1.0 if wanted.name == "D" else now):
        best, reached, loss = {}, now, 0.0 if n == 1 else loss
    return NextSample(
        best=best,
        value=now,
        after=reached,
        gain=problem.named(gain),
        per_cost=problem.named(per_cost),
        loss=loss,
        criterion=wanted,
    )


def _after(problem: Problem, k: int) -> float:
    """The criterion with one more sample of modality k."""
    counts = np.zeros(len(problem.names))
    counts[k] = 1.0
    return problem.value(counts)


def _preference(problem: Problem, after: Array, priced: bool) -> Array:
    finite = np.isfinite(after)
    if priced:
        return np.where(finite, -problem.costs, -np.inf)
    return np.where(finite, -after, -np.inf)


def _no_single(problem: Problem) -> str:
    rank = PSD.of(problem.information(np.zeros(len(problem.names)))).rank
    return (
        f"criterion {problem.criterion.name!r} is infinite now ({rank} of {problem.dim} directions are determined) and no "
        "single further sample makes it finite; ask for more at once, next_sample(..., n=...), or for a direction that "
        "one sample determines"
    )
