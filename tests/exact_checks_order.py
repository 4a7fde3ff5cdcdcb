"""Two informations compared, as the library and an exact world see them: order, ranges, theorems, certificates.

Same form as `tests.exact_checks`. The matrices are handed on as `shared_information` returned them.
"""

import numpy as np

import fisherkit as fk
from fisherkit import theorems as th
from fisherkit.certified import certify
from fisherkit.loewner import Relation
from tests.exact_checks import check
from tests.exact_criteria import INFINITE, close, projector
from tests.reference import (
    as_mpf,
    elimination,
    exact,
    exact_rank,
    number,
    pseudoinverse,
    quadratic_inverse,
    row_reduced,
)

RESOLVED = th.RESOLVED


def pairs(world):
    """[(label, library's M_X, M_Y, exact M_X, M_Y)]: two modalities, or one beside twice as much of it."""
    counts = {name: n or 1 for name, n in world.counts.items()}
    parts = fk.shared_information(world.model, counts)
    m = {name: world.parts[name].effective(n) for name, n in counts.items()}
    x = world.names[0]
    if len(world.names) == 1:
        return [(f"{x}, 2 {x}", parts[x], 2 * parts[x], m[x], number(2) * m[x])]
    y = world.names[1]
    out = [(f"{x}, {y}", parts[x], parts[y], m[x], m[y]), (f"{y}, {x}", parts[y], parts[x], m[y], m[x])]
    both = fk.effective_information(
        world.model, {**dict.fromkeys(world.names, 0), x: counts[x], y: counts[y]}
    )
    return [*out, (f"{x}, {x} + {y}", parts[x], both, m[x], m[x] + m[y])]


def _form(m, v):
    """v'Mv, exactly, for a float vector."""
    w = exact(v)
    return w @ m @ w


def _inside(m, v):
    return quadratic_inverse(m, exact(v)[:, None])[0] is not None


def _variance(m, v):
    value = quadratic_inverse(m, exact(v)[:, None])[0]
    return INFINITE if value is None else value


@check
def check_compare(world):
    """The Loewner relation by exact inertia, with its witnesses."""
    if world.kind == "noise":
        return []
    out = []
    for label, a, b, exact_a, exact_b in pairs(world):
        gap = exact_b - exact_a
        (positive, negative, zero), _ = elimination(gap)
        want, got = Relation.of_inertia(positive, negative, zero), fk.compare(a, b)
        if got.relation != want:
            out.append(f"compare {label}: got {got.relation.value!r}, exact {want.value!r}")
            continue
        for sign, witness in ((1, got.positive), (-1, got.negative)):
            if witness is not None and not sign * _form(gap, witness) > 0:
                out.append(f"compare {label}: the witness {witness} proves nothing")
    return out


@check
def check_ranges(world):
    """Inclusion of ranges and both ranks, with the blind spot."""
    if world.kind == "noise":
        return []
    out = []
    for label, a, b, exact_a, exact_b in pairs(world):
        ranks = exact_rank(exact_a), exact_rank(exact_b)
        included = exact_rank(np.concatenate([exact_a, exact_b], axis=1)) == ranks[1]
        got = fk.range_inclusion(a, b)
        if (got.included, got.rank_a, got.rank_b) != (included, *ranks):
            said = (got.included, got.rank_a, got.rank_b)
            out.append(f"range_inclusion {label}: got {said}, exact {(included, *ranks)}")
        elif not included:
            v = got.blind_spot  # a float vector: to rounding
            if not _form(exact_b, v) < number(1e-12) * _form(exact_a, v):
                out.append(f"range_inclusion {label}: {v} is no blind spot")
    return out


@check
def check_certified(world):
    """certify on the matrices as floats: whatever it claims about those floats is true."""
    if world.kind == "noise":
        return []
    out = []
    for label, a, b, _, _ in pairs(world)[:2]:
        a, b = (np.asarray(m, dtype=float) for m in (a, b))
        gap = exact((b + b.T) / 2) - exact((a + a.T) / 2)
        (positive, negative, zero), _ = elimination(gap)
        for how in (False, True):
            got = certify((a + a.T) / 2, (b + b.T) / 2, exact=how)
            claims = {
                "certified strict": not negative and not zero,
                "certified": not negative,
                "refuted": negative > 0,
            }
            said = got.status.value
            if not next((true for claim, true in claims.items() if said.startswith(claim)), True):
                out.append(f"certify {label}, exact={how}: {said}, inertia {positive, negative, zero}")
    return out


def directions_for(world, m_x, m_y):
    """Directions about theta_c: those of the world, and what the pair sees of them."""
    v = world.shared_directions
    return [v[:, (world.seed + i) % v.shape[1]] for i in range(1 + world.seed % 2)]


@check
def check_theorems(world):
    """Hypotheses and conclusions about M_X, M_Y and v, where the verdict calls itself resolved."""
    if world.kind not in ("plain", "samples"):
        return []
    out = []
    for label, x, y, m_x, m_y in pairs(world)[:1]:
        for verdict, facts in _verdicts(world, x, y, m_x, m_y):
            if not verdict.hypotheses.get(RESOLVED, True):
                continue
            what = f"{verdict.statement}, {verdict.reading}, {label}"
            for name, want in facts.items():
                got, side = _said(verdict, name), name in ("left", "right")
                if not (close(got, want, 1e-6) if side else got == want):
                    out.append(f"{what}: {name}: got {got!r}, exact {float(want) if side else want!r}")
    return out


def unresolved(world):
    """(statements asked, statements that floating point left open): not wrong, but no answer."""
    asked = left = 0
    for _, x, y, m_x, m_y in pairs(world)[:1]:
        for verdict, _ in _verdicts(world, x, y, m_x, m_y):
            asked, left = asked + 1, left + (not verdict.hypotheses.get(RESOLVED, True))
    return asked, left


def _said(verdict, name):
    if name in ("holds", "left", "right", "note"):
        return getattr(verdict, name)
    if name == "witness exists":
        return verdict.witness is not None
    if name == "strict":
        return "≠ 0" in verdict.note
    return verdict.hypotheses.get(name, "absent")


def _verdicts(world, x, y, m_x, m_y):
    """(verdict, {what it says: exact truth})."""
    joint = m_x + m_y
    ranks = [exact_rank(m) for m in (m_x, m_y, joint)]
    common, (above, _, _) = ranks[0] + ranks[1] - ranks[2], elimination(m_y - m_x)[0]
    definite, included = ranks[1] == len(m_y), exact_rank(np.concatenate([m_y, m_x], axis=1)) == ranks[0]
    pinv_x, pinv_joint, onto = pseudoinverse(m_x), pseudoinverse(joint), projector(m_x)
    yield th.theorem_1_information(x, y), {"M_Y positive definite": definite, "holds": definite}
    rows = row_reduced(m_x)[1]
    drop = (m_x - m_x @ pinv_joint @ m_x)[np.ix_(rows, rows)]
    falls = elimination(drop)[0][0] == len(rows)
    yield (
        th.theorem_1_variance(x, y),
        {"M_Y positive definite": definite, "holds": falls and ranks[2] == len(joint)},
    )
    strictly = elimination(pinv_x - pinv_joint)[0][0] == len(m_x)
    yield th.theorem_1_variance(x, y, reading="as_stated"), {"holds": strictly}
    yield th.theorem_3(x, y), {"holds": True, "witness exists": above > 0}
    yield (
        th.theorem_3(x, y, reading="as_stated"),
        {"range(I_Y) ⊄ range(I_X)": not included, "holds": above > 0},
    )
    yield (
        th.theorem_2_existence(x, y),
        {"holds": True, "note": f"dim of range(M_X) ∩ range(M_Y) is {common}"},
    )
    for v in directions_for(world, m_x, m_y):
        w = exact(v)
        inside, joined = _inside(m_x, v), _inside(joint, v)
        alone, both = _variance(m_x, v), _variance(joint, v)
        seen, by_x, by_y = any(m_y @ w), w @ m_x @ w, w @ m_y @ w
        less = both is not INFINITE and (alone is INFINITE or both < alone)
        sides = {"left": as_side(both), "right": as_side(alone)}
        yield th.theorem_2_information(x, y, v), {"M_Y v ≠ 0": seen, "holds": seen}
        outside = {"M_Y v ≠ 0": seen, "v not in range(M_X)": not inside, "holds": less, **sides}
        yield th.theorem_2_outside(x, y, v), {**outside, "v in range(M_X + M_Y)": joined}
        yield th.theorem_2_outside(x, y, v, reading="as_stated"), outside
        facts = {"v in range(M_X)": inside, "holds": True if inside else less, **sides}
        yield th.theorem_2_inside(x, y, v), {**facts, "strict": less} if inside else facts
        if inside:
            condition = any(onto @ m_y @ onto @ pinv_x @ w)
            stated = {"M_Y v ≠ 0": seen, "C_v: P_S M_Y P_S M_X^+ v ≠ 0": condition, "holds": less, **sides}
            yield th.theorem_2_inside(x, y, v, reading="as_stated"), {"v in range(M_X)": True, **stated}
            restricted = quadratic_inverse(onto @ joint @ onto, w[:, None])[0]
            yield (
                th.theorem_2_restricted(x, y, v),
                {"holds": True, "left": as_side(restricted), "right": as_side(alone)},
            )
        yield (
            th.theorem_2_existence(x, y, v, reading="as_stated"),
            {"v in range(M_X)": inside, "M_Y v ≠ 0": seen, "holds": common > 0},
        )
        blind = {"v'M_X v = 0": not by_x, "v'M_Y v > 0": by_y > 0, "holds": not inside and joined, **sides}
        yield th.corollary_2(x, y, v), {**blind, "v in range(M_X + M_Y)": joined}
        yield th.corollary_2(x, y, v, reading="as_stated"), blind
        eigen_x, eigen_y = (_is_eigenvector(m, w) for m in (m_x, m_y))
        facts = {"v eigenvector of M_X": eigen_x, "v'M_Y v > 0": by_y > 0}
        yield th.corollary_1(x, y, v), {**facts, "v eigenvector of M_Y": eigen_y, "v'M_X v > 0": by_x > 0}
        if eigen_x and by_x > 0:
            facts |= {"its eigenvalue > 0": True, "holds": less, **sides}
            yield th.corollary_3(x, y, v, reading="as_stated"), facts
            apart = onto @ m_y - onto @ m_y @ onto
            yield th.corollary_3(x, y, v), {**facts, "P_S M_Y P_S-perp = 0": not any(apart.ravel())}
            if eigen_y and by_y > 0:
                factor = as_mpf(by_x / (by_x + by_y))
                yield th.corollary_1(x, y, v), {"holds": True, "left": factor, "right": factor}


def as_side(value):
    return value if value is INFINITE else as_mpf(value)


def _is_eigenvector(m, w):
    image = m @ w
    return not any(image * (w @ w) - (w @ image) * w)


@check
def check_theorem_1_private(world):
    """Theorem 1 from design blocks with private parameters, noise of one."""
    if world.kind not in ("plain", "samples", "units"):
        return []
    designs = {}
    for name, part in world.parts.items():
        shared, private = (np.atleast_3d(b) if b.ndim == 3 else b[None] for b in (part.shared, part.private))
        designs[name] = list(zip(shared, private, strict=True))
    x, y = world.names[0], world.names[-1]
    d_c, out = world.shared_dim, []
    blocks = exact(np.concatenate([np.concatenate(b, axis=1) for b in designs[y]]))
    whole, alone = exact_rank(blocks), exact_rank(blocks[:, d_c:]) if blocks.shape[1] > d_c else 0
    some = any(exact_rank(exact(c)) == d_c for c, _ in designs[y])
    for reading, hypothesis, want in (
        ("as_holds", "rank [B_c B_y] = d_c + rank B_y", whole == d_c + alone),
        ("as_stated", "some B_c,j has full column rank", some),
    ):
        got = th.theorem_1_private(designs[x], designs[y], reading=reading)
        if not got.hypotheses[RESOLVED]:
            continue
        facts = {hypothesis: want, "holds": whole == d_c + alone}
        for name, truth in facts.items():
            if _said(got, name) != truth:
                out.append(
                    f"theorem_1_private {reading} {x}, {y}: {name}: got {_said(got, name)}, exact {truth}"
                )
    return out
