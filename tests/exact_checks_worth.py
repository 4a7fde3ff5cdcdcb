"""What samples are worth, as the library and an exact world see it: criteria, rates, exchanges, isolines.

Same form as `tests.exact_checks`.
"""

import mpmath
import numpy as np

import fisherkit as fk
from fisherkit.exchange import ExchangeSurface, equivalent_count, exchange_rate, isoline, marginal_value
from fisherkit.levels import CountCriterion
from tests.exact_checks import RELATIVE, attempt, check, tolerance_of
from tests.exact_criteria import INFINITE, close, same
from tests.reference import as_fraction, exact_rank, number


def floor_of(label):
    """D is a logarithm: an absolute error."""
    return RELATIVE if label == "D" else 0.0


def chosen(world, how_many=2):
    """Some of the criteria, by the number of the world, where trying all takes long."""
    criteria = world.criteria
    start = world.seed % len(criteria)
    return [criteria[(start + i) % len(criteria)] for i in range(min(how_many, len(criteria)))]


def finite_counts(world):
    """Counts to ask at: those collected and real ones; whole ones where samples have designs."""
    if world.kind == "samples":
        return [world.counts, {name: part.n_designs for name, part in world.parts.items()}]
    return [world.counts, world.amounts]


def is_zero(value):
    return value == 0.0 and not np.isnan(value)


def negligible(world, phi, rel):
    """Values of one sample that are rounding beside phi, where noises are far apart."""
    return rel * float(phi) if world.kind == "noise" and np.isfinite(float(phi)) else 0.0


@check
def check_criteria(world):
    """CountCriterion at real counts, and criteria of an information handed on as it was returned."""
    out, rel = [], tolerance_of(world)
    for counts in finite_counts(world):
        m = world.effective(counts)
        for label, criterion, exactly in world.criteria if counts is world.counts else chosen(world):
            want = exactly.phi(m)
            if world.kind != "samples":  # those: check_samples
                got = CountCriterion(world.model, criterion).value(counts)
                if not close(got, want, rel, floor_of(label)):
                    out.append(f"CountCriterion {label} at {counts}: got {got!r}, exact {float(want)!r}")
            if counts is world.counts:
                handed = fk.PSD.of(fk.effective_information(world.model, counts))
                got = criterion.value(handed)
                if world.kind != "noise" and not close(got, want, rel, floor_of(label)):
                    out.append(f"{label} of effective_information: got {got!r}, exact {float(want)!r}")
    return out


@check
def check_marginal_value(world):
    """One-sided derivatives, exactly 0 where a sample adds nothing."""
    if world.kind == "samples":
        return []
    out, rel = [], 10 * tolerance_of(world)
    for counts in finite_counts(world):
        m = world.effective(counts)
        for label, criterion, exactly in chosen(world):
            got = marginal_value(world.model, counts, criterion)
            for name in world.names:
                want = exactly.marginal(m, world.parts[name].effective(1))
                floor = negligible(world, exactly.phi(m), rel)
                zero = is_zero(got[name]) or (floor > 0 and got[name] <= floor)
                if not (zero if not want else close(got[name], want, rel, floor)):
                    out.append(
                        f"marginal_value {label} of {name} at {counts}: {got[name]!r}, exact {float(want)!r}"
                    )
    return out


@check
def check_exchange_rate(world):
    """Ratios of marginal values; an error exactly for 0 / 0 and infinity / infinity."""
    if world.kind == "samples":
        return []
    out, rel = [], 20 * tolerance_of(world)
    for counts in finite_counts(world):
        m = world.effective(counts)
        for label, criterion, exactly in chosen(world):
            worth = {n: exactly.marginal(m, world.parts[n].effective(1)) for n in world.names}
            for of, in_ in exchanges(world)[counts is world.counts :][:1]:
                want = ratio(worth[of], worth[in_])
                least = negligible(world, exactly.phi(m), rel)
                if min(worth[of], worth[in_]) < least:
                    continue
                got, error = attempt(
                    lambda of=of, in_=in_, c=criterion, n=counts: exchange_rate(
                        world.model, n, of=of, in_=in_, criterion=c
                    ),
                    ValueError,
                )
                if (error is None) != (want is not None):
                    out.append(
                        f"exchange_rate {label} of {of} in {in_} at {counts}: {error or got!r}, exact {want}"
                    )
                elif error is None and not (is_zero(got) if not want else close(got, want, rel)):
                    out.append(
                        f"exchange_rate {label} of {of} in {in_} at {counts}: {got!r}, exact {float(want)!r}"
                    )
    return out


def exchanges(world):
    """Two neighbouring modalities both ways, by the number of the world; none where there is one."""
    k = world.seed // 2 % len(world.names)
    of, in_ = world.names[k], world.names[(k + 1) % len(world.names)]
    return [(of, in_), (in_, of)] if of != in_ else []


def ratio(worth, price):
    """The exchange rate, None where it is undefined."""
    if not (worth or price) or (mpmath.isinf(worth) and mpmath.isinf(price)):
        return None
    if mpmath.isinf(worth) or not price:
        return INFINITE
    return worth / price if not mpmath.isinf(price) else mpmath.mpf(0)


def wrong_amount(what, got, exactly, base, step, level, delta=RELATIVE):
    """Whether `got` is the least r with phi(base + r step) <= level: plugged in from both sides."""
    want = exactly.amount(base, step, level)
    if want is not None:
        right = is_zero(got) if want == 0 else np.isinf(got) and got > 0
        return [] if right else [f"{what}: got {got!r}, exact {want}"]
    limit = exactly.limit(base, step)
    if not mpmath.isinf(limit) and abs(level - limit) < 1e-6 * limit:
        return []  # about to be out of reach: no float can tell
    if np.isfinite(got) and got > 0 and exactly.meets_at(base, step, got, level, delta):
        return []
    return [f"{what}: got {got!r}, but that is not where the criterion crosses {float(level)!r}"]


@check
def check_equivalent_count(world):
    """The finite exchange, exactly 0 for a useless modality and infinite where no number will do."""
    if world.kind in ("samples", "noise") or len(world.names) < 2:
        return []
    out, counts = [], {name: n or 1.0 for name, n in world.amounts.items()}
    m = world.effective(counts)
    for label, criterion, exactly in chosen(world):
        level = exactly.phi(m)
        for of, in_ in exchanges(world):
            for gone in (None, counts[of] / 2)[world.seed % 2 :][:1]:
                got, error = attempt(
                    lambda of=of, in_=in_, c=criterion, gone=gone: equivalent_count(
                        world.model, counts, of=of, in_=in_, criterion=c, replaced=gone
                    ),
                    ValueError,
                )
                what = f"equivalent_count {label} of {of} in {in_} at {counts}, replaced {gone}"
                if (error is None) == bool(mpmath.isinf(level)):
                    out.append(f"{what}: got {error or got!r}, exact criterion {float(level)!r}")
                elif error is None:
                    left = {**counts, of: counts[of] - (counts[of] if gone is None else gone)}
                    step = world.parts[in_].effective(1)
                    out += wrong_amount(what, got, exactly, world.effective(left), step, level)
    return out


@check
def check_isoline(world):
    """Points on the level, intercepts, what is needed in any case, and rates along it."""
    if world.kind in ("samples", "noise") or len(world.names) < 2:
        return []
    out, (x, y) = [], world.names[:2]
    base = {name: world.amounts[name] for name in world.names[2:]}
    s_x, s_y = (world.parts[name].effective(1) for name in (x, y))
    there = world.effective(base)
    for label, criterion, exactly in chosen(world):
        through = {x: world.amounts[x] or 1.0, y: world.amounts[y] or 2.0}
        level = exactly.phi(world.effective({**base, **through}))
        line, error = attempt(
            lambda c=criterion, t=through: isoline(
                world.model, c, axes=(x, y), through=t, collected=base, n_points=3
            ),
            ValueError,
        )
        what = f"isoline {label} of {x}, {y} through {through} beside {base}"
        drawn = not mpmath.isinf(level) and not (
            exactly.phi(there) <= level or same(exactly.phi(there), level)
        )
        if (error is None) != drawn:
            out.append(
                f"{what}: {error or line!r}, exact level {float(level)!r}, now {float(exactly.phi(there))!r}"
            )
        if error is not None or not drawn:
            continue
        for a, b, rate in zip(line.n_x, line.n_y, line.rate, strict=True):
            m = there + number(a) * s_x + number(b) * s_y
            if not close(exactly.phi(m), level, RELATIVE, floor_of(label)):
                out.append(f"{what}: point ({a}, {b}) has {float(exactly.phi(m))!r}, level {float(level)!r}")
            elif label == "E":
                continue  # a float off a kink is on one side of it
            elif not _right_rate(rate, ratio(exactly.marginal(m, s_y), exactly.marginal(m, s_x))):
                out.append(f"{what}: rate {rate!r} at ({a}, {b})")
        for got, step in ((line.x_intercept, s_x), (line.y_intercept, s_y)):
            out += wrong_amount(f"{what}: intercept", got, exactly, there, step, level)
        for name, step, other in ((x, s_x, s_y), (y, s_y, s_x)):
            out += _wrong_minimum(
                f"{what}: minimum {name}", line.minimum[name], exactly, there, step, other, level
            )
    return out


def _right_rate(got, want):
    return np.isnan(got) if want is None else is_zero(got) if not want else close(got, want, 1e-4)


def _wrong_minimum(what, got, exactly, base, step, other, level):
    """Least r such that phi(base + r step + infinitely much of the other) comes arbitrarily near the level."""
    limit = exactly.limit(base, other)
    if limit <= level or same(limit, level) or (exactly.name == "D" and any(other.ravel())):
        return [] if is_zero(got) else [f"{what}: got {got!r}, exact 0"]
    if not (np.isfinite(got) and got > 0):
        return [f"{what}: got {got!r}, exact limit without it {float(limit)!r}"]
    low, high = (
        exactly.limit(base + number(as_fraction(float(got)) * as_fraction(1 + s * RELATIVE)) * step, other)
        for s in (-1, 1)
    )
    return (
        []
        if low > level > high or same(high, level)
        else [f"{what}: got {got!r}, does not cross {float(level)!r}"]
    )


@check
def check_surface(world):
    """ExchangeSurface: the criterion, the rate and the isoline through its methods."""
    if world.kind in ("samples", "noise") or len(world.names) < 2:
        return []
    out, (x, y) = [], world.names[:2]
    s_x, s_y = (world.parts[name].effective(1) for name in (x, y))
    for label, criterion, exactly in chosen(world, 1):
        surface = ExchangeSurface(world.model, criterion, (x, y))
        for a, b in ((1.0, 2.0), (3.0, 0.0)):
            m = number(a) * s_x + number(b) * s_y
            got, want = float(surface.predict(a, b)), exactly.phi(m)
            if not close(got, want, RELATIVE, floor_of(label)):
                out.append(f"surface {label} at ({a}, {b}): got {got!r}, exact {float(want)!r}")
            got, want = float(surface.rate(a, b)), ratio(exactly.marginal(m, s_y), exactly.marginal(m, s_x))
            if not _right_rate(got, want):
                out.append(f"surface {label}: rate {got!r} at ({a}, {b}), exact {want}")
        level = exactly.phi(s_x + s_y)
        if not mpmath.isinf(level):
            # the level is a float here: asked a little above it, so that equality decides nothing
            asked = float(level) + (1e-3 if label == "D" else 1e-3 * float(level))
            got = float(surface.isoline(asked, 0.5))
            out += wrong_amount(
                f"surface {label}: isoline", got, exactly, number(0.5) * s_y, s_x, mpmath.mpf(asked)
            )
    return out


@check
def check_useless(world):
    """A modality that adds nothing is worth exactly nothing."""
    if world.kind in ("samples", "noise") or len(world.names) < 2:
        return []
    out, counts = [], {name: n or 1.0 for name, n in world.amounts.items()}
    m = world.effective(counts)
    for of, in_ in exchanges(world):
        without = world.effective({**counts, of: 0.0})
        for label, criterion, exactly in world.criteria:
            if mpmath.isinf(exactly.phi(without)) or not same(exactly.phi(m), exactly.phi(without)):
                continue
            if label == "E" and exact_rank(world.parts[of].effective(1)):
                continue  # E: a worst direction of its own may hide what it adds
            if not is_zero(got := equivalent_count(world.model, counts, of=of, in_=in_, criterion=criterion)):
                out.append(f"equivalent_count {label} of useless {of} in {in_} at {counts}: {got!r}")
            if not is_zero(got := marginal_value(world.model, counts, criterion)[of]):
                out.append(f"marginal_value {label} of useless {of} at {counts}: {got!r}")
            if exactly.marginal(m, world.parts[in_].effective(1)):
                got = exchange_rate(world.model, counts, of=of, in_=in_, criterion=criterion)
                if not is_zero(got):
                    out.append(f"exchange_rate {label} of useless {of} in {in_} at {counts}: {got!r}")
    return out


@check
def check_samples(world):
    """Per-sample designs: never a finite number where the first n samples do not determine what is asked."""
    if world.kind != "samples":
        return []
    out, counts = [], world.counts
    m = world.effective(counts)
    for label, criterion, exactly in world.criteria:
        if not mpmath.isinf(exactly.phi(m)):
            continue
        got = CountCriterion(world.model, criterion).value(counts)
        if np.isfinite(got):
            out.append(f"CountCriterion {label} at {counts}: got {got!r}, the first samples give infinity")
    return out
