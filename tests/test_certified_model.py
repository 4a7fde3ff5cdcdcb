"""Certificates from a model: order, estimability and allocation against slow arithmetic of Fractions, world by world."""

import itertools
from fractions import Fraction
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.allocation import allocate, allocate_information
from fisherkit.certified import (
    AllocationCertificate,
    ExactModel,
    Status,
    certify_allocation,
    certify_estimable,
    certify_model,
)
from fisherkit.certified.duality import Shop
from fisherkit.certified.rounding import float_above, float_below, log_bounds, root_below, significant
from fisherkit.checks import UnknownNameError
from fisherkit.criteria import as_criterion, c_criterion
from fisherkit.loewner import Relation
from tests.reference import noise_covariance, offsets
from tests.strategies import seeds

NAMES = ("image", "text", "audio")
ZERO, ONE = Fraction(0), Fraction(1)


# ---------------------------------------------------------------------------------------------------------------------
# The oracle: Gauss-Jordan elimination in Fractions, written from the definitions.


def solve(matrix, right):
    """One solution of M x = b for every column b, None for a column without one."""
    n, q = len(matrix), len(right[0])
    rows = [list(row) + list(more) for row, more in zip(matrix, right, strict=True)]
    pivots, r = [], 0
    for c in range(n):
        p = next((i for i in range(r, n) if rows[i][c]), None)
        if p is None:
            continue
        rows[r], rows[p] = rows[p], rows[r]
        rows[r] = [x / rows[r][c] for x in rows[r]]
        for i in range(n):
            if i != r and rows[i][c]:
                rows[i] = [x - rows[i][c] * y for x, y in zip(rows[i], rows[r], strict=True)]
        pivots.append(c)
        r += 1
    answers = []
    for j in range(q):
        if any(rows[i][n + j] for i in range(r, n)):
            answers.append(None)
            continue
        x = [ZERO] * n
        for i, c in enumerate(pivots):
            x[c] = rows[i][n + j]
        answers.append(x)
    return answers


def is_psd(matrix):
    rows = [list(row) for row in matrix]
    while rows:
        head, *rest = rows
        if head[0] < 0 or (head[0] == 0 and any(head)):
            return False
        if head[0]:
            rest = [[x - row[0] * y / head[0] for x, y in zip(row, head, strict=True)] for row in rest]
        rows = [row[1:] for row in rest]
    return True


def rank(matrix):
    rows, r = [list(row) for row in matrix], 0
    for c in range(len(matrix)):
        p = next((i for i in range(r, len(rows)) if rows[i][c]), None)
        if p is None:
            continue
        rows[r], rows[p] = rows[p], rows[r]
        for i in range(r + 1, len(rows)):
            f = rows[i][c] / rows[r][c]
            rows[i] = [x - f * y for x, y in zip(rows[i], rows[r], strict=True)]
        r += 1
    return r


def relation(a, b):
    gap = minus(b, a)
    up, down, full = is_psd(gap), is_psd([[-x for x in row] for row in gap]), rank(gap) == len(gap)
    if up and down:
        return Relation.EQUAL
    if up:
        return Relation.STRICTLY_BELOW if full else Relation.BELOW
    if down:
        return Relation.STRICTLY_ABOVE if full else Relation.ABOVE
    return Relation.INCOMPARABLE


def minus(a, b):
    return [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]


def plus(a, b, weight=ONE):
    return [[x + weight * y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]


def zeros(d):
    return [[ZERO] * d for _ in range(d)]


def exact_precision(modality):
    m = modality.shared.shape[-2]
    if modality.noise_std is not None:
        variance = Fraction(modality.noise_std) * Fraction(modality.noise_std)
        return [[1 / variance if i == j else ZERO for j in range(m)] for i in range(m)]
    cov = [[Fraction(x) for x in row] for row in noise_covariance(modality).tolist()]
    return solve(cov, [[Fraction(i == j) for j in range(m)] for i in range(m)])


def exact_information(model, name, n):
    """Information of the first n samples of one modality about all parameters, sample by sample."""
    start, d = offsets(model)
    modality, precision, total = model.modalities[name], exact_precision(model.modalities[name]), zeros(d)
    for i in range(n if modality.shared.ndim == 3 or modality.private.ndim == 3 else min(n, 1)):
        c = modality.shared[i] if modality.shared.ndim == 3 else modality.shared
        s = modality.private[i] if modality.private.ndim == 3 else modality.private
        rows = []
        for shared, private in zip(c.tolist(), s.tolist(), strict=True):
            row = [Fraction(x) for x in shared] + [ZERO] * (d - len(shared))
            row[start[name] : start[name] + len(private)] = [Fraction(x) for x in private]
            rows.append(row)
        for p, q in itertools.product(range(len(rows)), repeat=2):
            if precision[p][q]:
                total = [
                    [t + x * precision[p][q] * y for t, y in zip(line, rows[q], strict=True)]
                    for line, x in zip(total, rows[p], strict=True)
                ]
    repeated = modality.shared.ndim == modality.private.ndim == 2
    return [[n * x for x in row] for row in total] if repeated and n > 1 else total


def exact_total(model, counts):
    total = zeros(offsets(model)[1])
    for name, n in counts.items():
        total = plus(total, exact_information(model, name, n))
    return total


def effective(information, keep):
    drop = [i for i in range(len(information)) if i not in keep]
    inner = [[information[i][j] for j in drop] for i in drop]
    cross = [[information[i][j] for j in keep] for i in drop]
    kept = [[information[i][j] for j in keep] for i in keep]
    if not drop:
        return kept
    columns = solve(inner, cross)
    return [
        [
            kept[a][b] - sum((cross[i][a] * columns[b][i] for i in range(len(drop))), ZERO)
            for b in range(len(keep))
        ]
        for a in range(len(keep))
    ]


def block(model, about):
    start, d = offsets(model)
    if about is None:
        return list(range(d))
    if about == "shared":
        return list(range(next(iter(model.modalities.values())).shared.shape[-1]))
    return list(range(start[about], start[about] + model.modalities[about].private.shape[-1]))


def variances(information, columns):
    """v' M^- v for every direction, None outside the range."""
    answers = solve(information, [list(row) for row in zip(*columns, strict=True)])
    return [
        None if x is None else sum((a * b for a, b in zip(v, x, strict=True)), ZERO)
        for v, x in zip(columns, answers, strict=True)
    ]


def determinant(matrix):
    rows, total = [list(row) for row in matrix], ONE
    for c in range(len(rows)):
        p = next((i for i in range(c, len(rows)) if rows[i][c]), None)
        if p is None:
            return ZERO
        if p != c:
            rows[c], rows[p], total = rows[p], rows[c], -total
        total *= rows[c][c]
        for i in range(c + 1, len(rows)):
            f = rows[i][c] / rows[c][c]
            rows[i] = [x - f * y for x, y in zip(rows[i], rows[c], strict=True)]
    return total


# ---------------------------------------------------------------------------------------------------------------------
# Worlds


def small_world(seed, *, per_sample=True):
    """Small integers whose private columns explain some shared ones; noise ratios to 1e10, units of powers of two."""
    rng = np.random.default_rng(seed)
    d_c = int(rng.integers(1, 4))
    names = NAMES[: int(rng.integers(2, 4))]
    units = 2.0 ** rng.integers(-40, 41, d_c) if rng.random() < 0.4 else np.ones(d_c)
    modalities = {}
    for name in names:
        m, d_k = int(rng.integers(1, 4)), int(rng.integers(0, 3))
        n = 3 if per_sample and rng.random() < 0.25 else None
        shape = (m,) if n is None else (n, m)
        c = rng.integers(-2, 3, (*shape, d_c)).astype(float)
        s = rng.integers(-2, 3, (*shape, d_k)).astype(float)
        if d_k and rng.random() < 0.6:  # a private column that is a combination of shared ones
            s[..., 0] = (c * rng.integers(-1, 2, d_c)).sum(axis=-1)
        if d_k > 1 and rng.random() < 0.3:
            s[..., 1] = s[..., 0]
        if d_k and rng.random() < 0.3:
            s *= 2.0 ** rng.integers(-40, 41)
        kind = rng.choice(["one", "std", "var", "cov"], p=[0.3, 0.4, 0.15, 0.15])
        noise = {}
        if kind == "std":
            noise = {"noise_std": float(10 ** rng.uniform(-5, 5))}
        elif kind == "var":
            noise = {"noise_var": rng.integers(1, 4, m) / 7.0}
        elif kind == "cov":
            half = rng.integers(-1, 2, (m, m))
            noise = {"noise_cov": (half @ half.T + np.eye(m)) / 3.0}
        modalities[name] = fk.Modality(c * units, s, **noise)
    return fk.LinearGaussian(modalities), rng


def some_counts(model, rng, most=3):
    return {name: int(rng.integers(0, most + 1)) for name in model.names}


def check_order(seed):
    model, rng = small_world(seed)
    a, b = some_counts(model, rng), some_counts(model, rng)
    if rng.random() < 0.5:
        b = {name: min(3, a[name] + int(rng.integers(0, 2))) for name in a}
    about = [None, "shared", model.names[0]][int(rng.integers(3))]
    keep = block(model, about)
    wanted = relation(*(effective(exact_total(model, n), keep) for n in (a, b)))
    answers = {mode: certify_model(model, a, b, about=about, exact=mode) for mode in (True, "auto", False)}
    assert answers[True].status.is_exact
    assert answers[True].relation is wanted
    for answer in answers.values():
        below = wanted in (Relation.BELOW, Relation.STRICTLY_BELOW, Relation.EQUAL)
        if answer.status is not Status.UNDECIDED:
            assert answer.is_below == below
            assert answer.is_not_below != below
        if answer.is_strictly_below and keep:
            assert wanted is Relation.STRICTLY_BELOW
        if answer.relation is not None:
            assert answer.relation is wanted
    assert answers["auto"].status is not Status.UNDECIDED
    return answers[False].status


def check_estimable(seed):
    model, rng = small_world(seed)
    counts = some_counts(model, rng)
    d, shared = model.n_params, model.shared_dim
    scale = np.abs(np.concatenate([m.shared.reshape(-1, shared) for m in model.modalities.values()])).max(
        axis=0
    )
    columns = [np.eye(d)[i] for i in range(d)]
    for _ in range(3):  # directions that samples see, in the units of the parameters
        v = np.zeros(d)
        v[:shared] = rng.integers(-2, 3, shared) * np.where(
            scale > 0, 2.0 ** np.round(np.log2(scale + 1e-300)), 1
        )
        columns.append(v)
    name = model.names[int(rng.integers(len(model.names)))]
    row = np.zeros(d)
    first = (
        model[name]
        .design(1 if not model[name].repeated else None)
        .reshape(-1, shared + model[name].private_dim)
    )
    row[model.layout.columns(name)] = first[0]
    columns.append(row)
    expected = variances(exact_total(model, counts), [[Fraction(x) for x in v] for v in columns])
    answer = certify_estimable(model, counts, np.array(columns).T, variances=True)
    assert answer.verdicts == tuple(v is not None for v in expected)
    assert answer.variances == tuple(expected)
    claims = 0
    for mode in ("auto", False):
        quick = certify_estimable(model, counts, np.array(columns).T, exact=mode)
        for verdict, method, v in zip(quick.verdicts, quick.methods, expected, strict=True):
            assert verdict is None or verdict == (v is not None)
            assert (verdict is None) == (method == "")
            claims += mode is False and verdict is not None
        assert mode is False or None not in quick.verdicts
    return claims


def averages(model):
    """S_k by the definition: effective information of all designs over their number."""
    keep = block(model, "shared")
    answer = {}
    for name in model.names:
        n = model[name].n_designs or 1
        whole = effective(exact_information(model, name, n), keep)
        answer[name] = [[x / n for x in row] for row in whole]
    return answer


def check_allocation(seed):
    """Against every affordable vector of whole counts. Returns whether the allocation stands, None where there is none."""
    model, rng = small_world(seed)
    d = model.shared_dim
    kind = ["c", "A", "D", "E"][int(rng.integers(4))]
    v = rng.integers(-2, 3, (d, 1)).astype(float)
    v[0, 0] = v[0, 0] or 1.0
    criterion = c_criterion(v) if kind == "c" else as_criterion(kind)
    costs = {name: float(rng.integers(1, 4)) / 2 for name in model.names}
    budget = float(rng.integers(2, 7))
    limits = {model.names[0]: (0.0, float(rng.integers(1, 4)))} if rng.random() < 0.4 else None
    collected = {model.names[-1]: int(rng.integers(0, 3))} if rng.random() < 0.4 else {}
    try:
        best = allocate(
            model,
            costs,
            budget=budget,
            criterion=criterion,
            limits=limits,
            collected=collected,
            tolerance=0.1,
        )
    except (ValueError, RuntimeError):  # nothing estimable, or no certificate
        return None
    proof = certify_allocation(model, best, costs, limits=limits, collected=collected)
    informations = averages(model)

    def value(counts):
        total = zeros(d)
        for name in model.names:
            total = plus(total, informations[name], Fraction(counts[name] + collected.get(name, 0)))
        if kind == "D":
            return 1 / determinant(total) if determinant(total) else None
        if kind == "E":
            return total if determinant(total) else None
        columns = [[Fraction(x) for x in v[:, 0]]] if kind == "c" else np.eye(d, dtype=int).tolist()
        found = variances(total, [[Fraction(x) for x in column] for column in columns])
        return None if None in found else sum(found, ZERO)

    def at_least(counts, level):
        reached = value(counts)
        if reached is None or level == 0:
            return True
        if kind == "E":  # 1 / lambda_min >= level iff M - I / level is not positive definite
            less = minus(reached, [[Fraction(i == j) / level for j in range(d)] for i in range(d)])
            return not (is_psd(less) and determinant(less))
        return reached >= level

    reached = value(proof.counts)
    assert proof.cost == sum((Fraction(costs[k]) * n for k, n in proof.counts.items()), ZERO)
    assert (proof.exact_value is None) == (reached is None) == (proof.value == np.inf)
    if reached is not None and kind == "E":
        tiny = [[Fraction(i == j) / proof.exact_value for j in range(d)] for i in range(d)]
        assert is_psd(minus(reached, tiny))
        assert at_least(proof.counts, proof.exact_value * (1 - Fraction(1, 10**6)))
    elif reached is not None:
        assert proof.exact_value == reached
    most = [int(min(budget / costs[name], (limits or {}).get(name, (0, np.inf))[1])) for name in model.names]
    for n in itertools.product(*(range(x + 1) for x in most)):
        counts = dict(zip(model.names, n, strict=True))
        if sum(costs[name] * counts[name] for name in counts) > budget:
            continue
        if proof.exact_bound is None:
            assert value(counts) is None
        else:
            assert at_least(counts, proof.exact_bound)
    if reached is None:
        assert not proof.holds
        assert any("infinite" in text for text in proof.contradictions)
    return proof.holds


def run(check, number, start=0):
    return [check(seed) for seed in range(start, start + number)]


def test_order_of_300_worlds_is_right():
    answers = run(check_order, 300)
    assert len(set(answers)) > 3  # floating point alone decides some and leaves others


def test_estimability_of_300_worlds_is_right():
    assert sum(run(check_estimable, 300)) > 300


def test_allocations_of_300_worlds_are_proved_or_disproved():
    answers = run(check_allocation, 300)
    assert answers.count(True) > 100


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_order, check_estimable, check_allocation])
def test_two_thousand_worlds_are_right(check):
    run(check, 2000, start=10_000)
