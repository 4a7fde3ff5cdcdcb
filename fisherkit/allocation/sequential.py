"""The question after the paper's Theorem 2: "I can afford N more samples: of which modality?"."""

from collections.abc import Mapping

import numpy as np

from fisherkit.allocation.errors import NotEstimableError
from fisherkit.allocation.planning import allocate
from fisherkit.allocation.problem import as_costs
from fisherkit.allocation.result import NextSample
from fisherkit.allocation.samples import first_samples, per_sample
from fisherkit.checks import as_counts, as_instance
from fisherkit.criteria import Criterion, as_criterion
from fisherkit.model import LinearGaussian
from fisherkit.psd import PSD, total

__all__ = ["next_sample"]


def next_sample(
    model: LinearGaussian,
    counts: Mapping[str, int] | int,
    costs: Mapping[str, float] | float | None = None,
    *,
    criterion: str | Criterion = "A",
    n: int = 1,
) -> NextSample:
    """Of which modality the next n samples should be, given those collected already.

    One sample (or one per cost) is chosen by trying every modality, exactly: of per-sample designs the next one, private
    parameters estimated from all samples together. Several are an allocation of n samples that cost one each, with whole
    counts and the certified bound on what rounding loses.

    Args:
        model: the world; where per-sample designs are used up, or several samples asked for at once, average ones stand
            for further samples, and the answer says so (`NextSample.average_designs`).
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
    as_instance(model, LinearGaussian, "model")
    names, there = model.names, as_counts(counts, model.names)
    prices = as_costs(1.0 if costs is None else costs, names)
    if not (prices > 0).all():
        name = names[int(prices.argmin())]
        raise ValueError(f"{name}: a gain per cost needs a positive cost, got {prices.min():.6g}")
    parts = first_samples(model, there)
    known = _together(model, parts)
    now = wanted.value(known)
    more = first_samples(model, {name: count + 1 for name, count in there.items()})
    after = np.array([wanted.value(_together(model, parts | {name: more[name]})) for name in names])
    with np.errstate(invalid="ignore"):
        gain = np.where(np.isinf(after), 0.0, now - after)
    per_cost = gain / prices
    designs = per_sample(model)
    if n == 1:
        if not np.isfinite(after).any():
            raise NotEstimableError(_no_single(wanted, known))
        # where the criterion is infinite now every finite one is an infinite gain: the lowest (per cost: cheapest) wins
        order = (
            per_cost
            if np.isfinite(now)
            else np.where(np.isfinite(after), -(after if costs is None else prices), -np.inf)
        )
        k = int(order.argmax())
        best, reached, loss = {names[k]: 1}, float(after[k]), 0.0
        average = tuple(name for name, count in designs.items() if there[name] >= count)
    else:
        plan = allocate(model, 1.0, budget=float(n), criterion=wanted, collected=there)
        assert plan.integer_counts is not None
        assert plan.integer_loss is not None
        best = {name: count for name, count in plan.integer_counts.items() if count}
        taken = {name: there[name] + plan.integer_counts[name] for name in names}
        reached, loss = wanted.value(_together(model, first_samples(model, taken))), plan.integer_loss
        average = tuple(designs)
    if np.isfinite(now) and now - reached <= 1e-12 * (1.0 if wanted.name == "D" else now):
        best, reached, loss = {}, now, 0.0 if n == 1 else loss
    return NextSample(
        best=best,
        value=now,
        after=reached,
        gain=dict(zip(names, gain.tolist(), strict=True)),
        per_cost=dict(zip(names, per_cost.tolist(), strict=True)),
        loss=loss,
        criterion=wanted,
        average_designs=average,
    )


def _together(model: LinearGaussian, parts: Mapping[str, PSD]) -> PSD:
    return total(model.shared_dim, [(1.0, part) for part in parts.values()])


def _no_single(criterion: Criterion, known: PSD) -> str:
    return (
        f"criterion {criterion.name!r} is infinite now ({known.rank} of {known.dim} directions are determined) and no single "
        "further sample makes it finite; ask for more at once, next_sample(..., n=...), or for a direction that one sample "
        "determines"
    )
