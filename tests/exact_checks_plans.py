"""What the library plans, compared with an exact world: allocation for a budget or a target, the next sample.

Same form as `tests.exact_checks`. Bounds are held to what they claim without any tolerance; a loss may be off by
the rounding of its last operation.
"""

import itertools
from fractions import Fraction

import mpmath
import numpy as np

from fisherkit.allocation import NotEstimableError, allocate, next_sample
from tests.exact_checks import RELATIVE, attempt, check
from tests.exact_checks_worth import chosen, floor_of
from tests.exact_criteria import DIGITS, close
from tests.reference import number

#: How many next samples are asked for at once; no fewer than there are modalities.
SEVERAL = 3
LAST_DIGIT = 4 * float(np.finfo(float).eps)


def _phi(world, exactly, *counts):
    """phi at the sum of these counts, taken as the floats they are."""
    total = {name: sum(Fraction(float(c.get(name, 0))) for c in counts) for name in world.names}
    return exactly.phi(world.effective({name: number(n) for name, n in total.items() if n}))


def distance(label, dim, value, bound):
    """1 - bound / value, or 1 - exp((bound - value) / d) for D, to 50 digits."""
    with mpmath.workdps(DIGITS):
        return -mpmath.expm1((bound - value) / dim) if label == "D" else 1 - bound / value


def affordable(world, exactly, budget, collected=None, limits=None):
    """Whether some whole counts within the budget determine what is asked (one of each of some is enough)."""
    names = [name for name in world.names if limits is None or limits[name][1] >= 1]
    subsets = itertools.chain.from_iterable(itertools.combinations(names, k) for k in range(len(names) + 1))
    return any(
        sum(Fraction(world.costs[n]) for n in subset) <= Fraction(budget)
        and not mpmath.isinf(_phi(world, exactly, dict.fromkeys(subset, 1), collected or {}))
        for subset in subsets
    )


def _case(world):
    """(budget, collected) by the number of the world; budgets from one sample to many."""
    rng = np.random.default_rng([world.seed, 5])
    budget = float(rng.choice([0.5, 1.0, 2.0, 5.0, 20.0, 100.0]) * sum(world.costs.values()))
    collected = {name: int(rng.integers(0, 4)) for name in world.names} if rng.random() < 0.3 else None
    return budget, collected


@check
def check_allocate(world):
    """For a budget: value, bound, whole samples; an error exactly where nothing affordable is estimable."""
    if world.kind in ("samples", "noise"):
        return []
    out, (budget, there) = [], _case(world)
    for label, criterion, exactly in chosen(world):
        what = f"allocate {label}, budget {budget}, collected {there}"
        real = not mpmath.isinf(_phi(world, exactly, dict.fromkeys(world.names, 1), there or {}))
        whole = affordable(world, exactly, budget, there)
        plan, error = attempt(
            lambda c=criterion, whole=whole: allocate(
                world.model, world.costs, budget=budget, criterion=c, collected=there, integer=whole
            ),
            NotEstimableError,
        )
        if (error is None) != real:
            out.append(f"{what}: got {error or plan!r}, estimable: {real}")
            continue
        if error is not None:
            continue
        if not whole:
            _, refused = attempt(
                lambda c=criterion: allocate(
                    world.model, world.costs, budget=budget, criterion=c, collected=there
                ),
                NotEstimableError,
            )
            if refused is None:
                out.append(f"{what}: whole samples, though no affordable ones are estimable")
        out += [f"{what}: {text}" for text in _wrong_plan(world, label, exactly, plan, there or {})]
    return out


def _cost(world, counts):
    return sum(Fraction(world.costs[name]) * Fraction(float(n)) for name, n in counts.items())


def _wrong_plan(world, label, exactly, plan, there):
    """Value, cost and certificate of a plan for a budget."""
    cost, budget = _cost(world, plan.counts), Fraction(plan.budget)
    value = _phi(world, exactly, plan.counts, there)
    if not close(plan.value, value, RELATIVE, floor_of(label)):
        yield f"value {plan.value!r}, exact {float(value)!r} at {dict(plan.counts)}"
    if cost > budget * (1 + Fraction(1, 10**12)):
        yield f"costs {float(cost)!r}"
    # the bound holds for all affordable counts: those returned (less the rounding of their sum), and corners
    share = min(Fraction(1), budget / cost) if cost else Fraction(1)
    inside = {name: share * Fraction(float(n)) for name, n in plan.counts.items()}
    total = {name: number(n + there.get(name, 0)) for name, n in inside.items() if n + there.get(name, 0)}
    tried = [exactly.phi(world.effective(total))]
    for split in itertools.product((0, 1, 3), repeat=len(world.names)):
        price = sum(s * Fraction(world.costs[name]) for s, name in zip(split, world.names, strict=True))
        if price:
            money = {
                name: number(s * budget / price + there.get(name, 0))
                for s, name in zip(split, world.names, strict=True)
            }
            tried.append(exactly.phi(world.effective({name: n for name, n in money.items() if n})))
    if not plan.bound <= min(tried):
        yield f"bound {plan.bound!r}, but affordable counts reach {float(min(tried))!r}"
    if label != "D" and not plan.gap <= 1e-3:
        yield f"certified gap only {plan.gap!r}"
    if plan.integer_counts is None:
        return
    rounded = _phi(world, exactly, plan.integer_counts, there)
    if not close(plan.integer_value, rounded, RELATIVE, floor_of(label)):
        yield f"integer_value {plan.integer_value!r}, exact {float(rounded)!r} at {dict(plan.integer_counts)}"
        return
    if _cost(world, plan.integer_counts) > budget * (1 + Fraction(1, 10**12)):
        yield f"whole counts cost {float(_cost(world, plan.integer_counts))!r}"
    true = distance(label, world.shared_dim, rounded, mpmath.mpf(plan.bound))
    if not plan.integer_loss >= true - LAST_DIGIT:
        more = float(true - plan.integer_loss)
        yield f"integer_loss {plan.integer_loss!r}, true distance to the bound larger by {more:.2g}"


@check
def check_allocate_target(world):
    """For a target: it is reached, and what reaches it costs no less than the bound on the cost."""
    if world.kind in ("samples", "noise"):
        return []
    out = []
    for label, criterion, exactly in chosen(world, 1):
        counts = {name: n or 1.0 for name, n in world.amounts.items()}
        value = _phi(world, exactly, counts)
        what = f"allocate {label} for what {counts} reach"
        if mpmath.isinf(value):
            _, error = attempt(
                lambda c=criterion: allocate(world.model, world.costs, target=1.0, criterion=c),
                NotEstimableError,
            )
            if error is None:
                out.append(f"{what}: an answer, though nothing is estimable")
            continue
        target = float(np.nextafter(float(value), np.inf))  # a float that these counts reach
        plan = allocate(world.model, world.costs, target=target, criterion=criterion)
        slack = 1e-9 * (1.0 if label == "D" else target)
        for name, found in (("counts", plan.counts), ("integer_counts", plan.integer_counts)):
            reached = _phi(world, exactly, found)
            if not reached <= target + slack:
                out.append(f"{what}: {name} {dict(found)} reach {float(reached)!r}, target {target!r}")
        if not Fraction(plan.cost_bound) <= _cost(world, counts):
            out.append(
                f"{what}: cost_bound {plan.cost_bound!r}, but they cost {float(_cost(world, counts))!r}"
            )
        true = distance("A", 1, mpmath.mpf(plan.integer_cost), mpmath.mpf(plan.cost_bound))
        if not plan.integer_loss >= true - LAST_DIGIT:
            out.append(f"{what}: integer_loss {plan.integer_loss!r} of cost {plan.integer_cost!r}")
    return out


@check
def check_next_sample(world):
    """One sample by trying all, several by a plan; an error exactly where none helps."""
    if world.kind in ("samples", "noise"):
        return []
    out, counts = [], world.counts
    for label, criterion, exactly in chosen(world):
        now = _phi(world, exactly, counts)
        after = {name: _phi(world, exactly, counts, {name: 1}) for name in world.names}
        what, floor = f"next_sample {label} after {counts}", floor_of(label)
        got, error = attempt(
            lambda c=criterion: next_sample(world.model, counts, criterion=c), NotEstimableError
        )
        best = min(after.values())
        if (error is None) == bool(mpmath.isinf(best)):
            out.append(f"{what}: got {error or got!r}, exact best {float(best)!r}")
            continue
        if error is None:
            out += [f"{what}: {text}" for text in _wrong_next(got, now, after, best, floor)]
        got, error = attempt(
            lambda c=criterion: next_sample(world.model, counts, criterion=c, n=SEVERAL), NotEstimableError
        )
        subsets = (dict.fromkeys(world.names, 1),) if len(world.names) <= SEVERAL else ()
        possible = any(not mpmath.isinf(_phi(world, exactly, counts, s)) for s in subsets)
        if (error is None) != possible:
            out.append(f"{what}, n={SEVERAL}: got {error or got!r}, estimable: {possible}")
        elif error is None:
            reached = _phi(world, exactly, counts, got.best)
            if sum(got.best.values()) > SEVERAL or not close(got.after, reached, RELATIVE, floor):
                out.append(
                    f"{what}, n={SEVERAL}: {dict(got.best)} -> {got.after!r}, exact {float(reached)!r}"
                )
    return out


def _wrong_next(got, now, after, best, floor):
    if not close(got.value, now, RELATIVE, floor):
        yield f"value {got.value!r}, exact {float(now)!r}"
    if not close(got.after, best, RELATIVE, floor):
        yield f"after {got.after!r}, exact best {float(best)!r}"
    for name in got.best:
        if not close(got.after, after[name], RELATIVE, floor):
            yield f"best {name}, which gives {float(after[name])!r}"
    if not got.best and not mpmath.isinf(now) and now - best > 1e-6 * max(abs(now), 1):
        yield f"nothing to add, but {float(best)!r} can be had"
    for name, gain in got.gain.items():
        if mpmath.isinf(after[name]):
            want = mpmath.mpf(0)
        elif mpmath.isinf(now):
            want = mpmath.inf
        else:
            want = now - after[name]
        size = 0.0 if mpmath.isinf(now) else 1e-9 * abs(float(now))
        if not close(gain, want, RELATIVE, max(size, 1e-9 if floor else 0.0)):
            yield f"gain of {name} {gain!r}, exact {float(want)!r}"


@check
def check_plans_of_samples(world):
    """Per-sample designs: no plan whose first samples leave what is asked undetermined."""
    if world.kind != "samples":
        return []
    out, (budget, _) = [], _case(world)
    limits = {name: (0, part.n_designs) for name, part in world.parts.items()}
    most = {name: part.n_designs for name, part in world.parts.items()}
    for label, criterion, exactly in chosen(world):
        what = f"allocate {label}, budget {budget}"
        try:
            plan = allocate(world.model, world.costs, budget=budget, criterion=criterion, limits=limits)
        except NotEstimableError:
            plan = None
        if plan is not None:
            exact_value = exactly.phi(world.effective(plan.integer_counts))
            if np.isfinite(plan.integer_value) and mpmath.isinf(exact_value):
                out.append(
                    f"{what}: whole counts {dict(plan.integer_counts)} -> {plan.integer_value!r}, exact inf"
                )
        now = exactly.phi(world.effective(world.counts))
        if all(world.counts[name] < most[name] for name in world.names):
            try:
                got = next_sample(world.model, world.counts, criterion=criterion)
            except NotEstimableError:
                continue
            then = {name: world.counts[name] + got.best.get(name, 0) for name in world.names}
            for said, true in ((got.value, now), (got.after, exactly.phi(world.effective(then)))):
                if np.isfinite(said) and mpmath.isinf(true):
                    out.append(f"next_sample {label} after {world.counts}: {got!r}: {said!r}, exact inf")
    return out
