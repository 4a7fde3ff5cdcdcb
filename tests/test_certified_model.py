"""Certificates from a model: order, estimability and allocation against slow arithmetic of Fractions, world by world."""

import itertools
from dataclasses import replace
from fractions import Fraction
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
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
from fisherkit.certified.model_enclosure import NoEnclosure, enclosed_effective
from fisherkit.certified.rounding import float_above, float_below, log_bounds, root_below, significant
from fisherkit.checks import UnknownNameError
from fisherkit.criteria import as_criterion, c_criterion
from fisherkit.loewner import Relation
from tests.model_strategies import counts_for, models
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


# ---------------------------------------------------------------------------------------------------------------------
# Hard cases


def test_confounding_to_the_last_bit_is_seen():
    c = np.array([[0.1, 0.7], [0.3, 0.9], [0.5, 0.2]])
    for entry, step in itertools.product(range(3), (-np.inf, np.inf)):
        s = c[:, :1].copy()
        exactly = fk.LinearGaussian({"x": fk.Modality(c, s.copy())})
        s[entry] = np.nextafter(s[entry], step)
        nearly = fk.LinearGaussian({"x": fk.Modality(c, s)})
        first = np.array([1.0, 0.0])
        assert certify_estimable(exactly, 1, first).verdicts == (False,)
        assert certify_estimable(nearly, 1, first).verdicts == (True,)
        for model in (exactly, nearly):
            assert certify_estimable(model, 1, first, exact=False).verdicts == (None,)
            assert certify_model(model, 0, 1, exact=False).status is Status.CERTIFIED_BY_FACTOR
        assert certify_model(exactly, 0, 1).status is Status.EXACT_BELOW
        assert certify_model(nearly, 0, 1).status is Status.EXACT_STRICTLY_BELOW
        spread = certify_estimable(nearly, 1, first, variances=True).variances[0]
        assert spread == variances(exact_total(nearly, {"x": 1}), [[ONE, ZERO, ZERO]])[0]
        assert spread > 10**30


@pytest.mark.parametrize("decades", [6, 12, 15])
def test_conditions_that_floats_cannot_decide_are_decided(decades):
    rng = np.random.default_rng(decades)
    u, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    v, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    design = u[:, :5] * np.logspace(0, -decades, 5) @ v.T
    model = fk.LinearGaussian({
        "x": fk.Modality(design[:, :3], design[:, 3:]),
        "y": fk.Modality(design[:, :3]),
    })
    quick = certify_estimable(model, {"x": 1}, np.eye(5), exact=False)
    assert set(quick.verdicts) <= {True, None}
    assert (None in quick.verdicts) == (decades > 8)  # the information has the square of the condition
    exact = certify_estimable(model, {"x": 1}, np.eye(5), variances=True)
    assert exact.variances == tuple(
        variances(exact_total(model, {"x": 1}), [[Fraction(i == j) for j in range(5)] for i in range(5)])
    )
    assert certify_model(model, "x", "y").is_below  # no private parameters to learn
    assert certify_model(model, "y", "x", exact=False).status in (Status.REFUTED, Status.UNDECIDED)


def test_a_standard_deviation_means_its_exact_square():
    # the float nearest to 0.1 * 0.1 is not the square of the float 0.1
    square = Fraction(0.1) ** 2
    assert Fraction(0.1 * 0.1) != square
    model = fk.LinearGaussian({
        "x": fk.Modality([[1.0]], noise_std=0.1),
        "y": fk.Modality([[1.0]], noise_var=[0.1 * 0.1]),
    })
    assert ExactModel.of(model).effective_information("x") == [[1 / square]]
    answer = certify_model(model, "x", "y")
    assert answer.relation is (
        Relation.STRICTLY_BELOW if Fraction(0.1 * 0.1) < square else Relation.STRICTLY_ABOVE
    )
    assert certify_model(model, "x", "y", exact=False).status is Status.UNDECIDED


def test_per_sample_designs_are_the_first_ones_and_names_mean_the_average():
    design = np.zeros((4, 1, 2))
    design[:2, 0, 0], design[2:, 0, 1] = 1.0, 1.0
    model = fk.LinearGaussian({"x": fk.Modality(design), "y": fk.Modality(np.eye(2))})
    assert certify_estimable(model, {"x": 2}, np.eye(2)).verdicts == (True, False)
    assert certify_estimable(model, {"x": 2}, np.eye(2)).methods == ("floating point", "unseen")
    assert certify_estimable(model, {"x": 3}, np.eye(2)).all_estimable
    assert ExactModel.of(model).effective_information("x") == [[Fraction(1, 2), 0], [0, Fraction(1, 2)]]
    assert certify_model(model, "x", "y").is_strictly_below
    assert certify_model(model, {"x": 3}, {"x": 4}).status is Status.EXACT_BELOW


@given(seeds)
def test_common_samples_cancel_and_growth_is_known_without_arithmetic(seed):
    model, rng = small_world(seed, per_sample=False)
    a = some_counts(model, rng)
    more = {name: n + int(rng.integers(0, 2)) for name, n in a.items()}
    for about in (None, "shared", model.names[0]):
        assert certify_model(model, a, more, about=about, exact=False).is_below
        assert certify_model(model, a, a, about=about).relation is Relation.EQUAL
    huge = {name: n * 10**12 for name, n in a.items()}
    assert certify_model(model, huge, {name: n + 1 for name, n in huge.items()}, exact=False).is_below


@given(seeds)
def test_python_integers_give_the_same_answers(seed):
    rational, exact = (
        import_module("fisherkit.certified.rational"),
        import_module("fisherkit.certified.exact"),
    )

    def without(name):
        if name == "flint":
            raise ImportError(name)
        return import_module(name)

    def answers():
        model, rng = small_world(seed)
        a, b = some_counts(model, rng), some_counts(model, rng)
        order = certify_model(model, a, b, exact=True)
        found = certify_estimable(model, a, np.eye(model.n_params), variances=True)
        return order.inertia, found.verdicts, found.variances, ExactModel.of(model).effective_information(a)

    first = answers()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rational, "import_module", without)
        patch.setattr(exact, "import_module", without)
        assert rational.integer_type() is int
        assert answers() == first


@settings(max_examples=150)
@given(models(max_condition=1e4), st.data())
def test_floating_point_encloses_the_exact_image(model, data):
    counts = data.draw(counts_for(model))
    about = data.draw(st.sampled_from([None, "shared", *model.names]))
    image = ExactModel.of(model)
    sizes = {name: (n, ONE) for name, n in counts.items()}
    if data.draw(st.booleans()):  # the average design
        name = model.names[0]
        n = model[name].n_designs or 1
        counts, sizes = name, {name: (n, Fraction(1, n))}
    try:
        found = enclosed_effective(model, sizes, about)
    except NoEnclosure:
        return
    exact = image.effective_information(counts, about)
    for row, middles, radii in zip(exact, found.midpoint.tolist(), found.radius.tolist(), strict=True):
        for x, middle, radius in zip(row, middles, radii, strict=True):
            assert abs(x - Fraction(middle)) <= Fraction(radius)


def test_floating_point_encloses_a_well_conditioned_model_closely():
    rng = np.random.default_rng(0)
    half = rng.standard_normal((8, 8))
    noises = [
        {"noise_std": 0.3},
        {"noise_var": rng.uniform(0.1, 1, 8)},
        {"noise_cov": half @ half.T + np.eye(8)},
    ]
    for noise, shape in itertools.product(noises, [(8,), (3, 8)]):
        c, s = rng.standard_normal((*shape, 4)), rng.standard_normal((*shape, 2))
        model = fk.LinearGaussian({"x": fk.Modality(c, s, **noise)})
        for about in (None, "shared", "x"):
            found = enclosed_effective(model, {"x": (3, ONE)}, about)
            assert found.radius.max() < 1e-11 * np.abs(found.midpoint).max()


# ---------------------------------------------------------------------------------------------------------------------
# Exact numbers


def test_exact_numbers_are_taken_as_they_are():
    world = {
        "x": ([["1/3", 0.5]], None, "1/9"),
        "y": ([[Fraction(1, 7), 2], [0, 1]], [[1], [np.int64(1)]], [[2, 1], [1, "3/2"]]),
        "z": ([[1, 1]],),
    }
    model = ExactModel.of(world)
    assert repr(model) == "ExactModel(3 parameters: shared 2 + x 0 + y 1 + z 0)"
    x = model.effective_information("x")
    assert x == [[1, Fraction(3, 2)], [Fraction(3, 2), Fraction(9, 4)]]
    precision = solve([[Fraction(2), ONE], [ONE, Fraction(3, 2)]], [[ONE, ZERO], [ZERO, ONE]])
    rows = [[Fraction(1, 7), Fraction(2), ONE], [ZERO, ONE, ONE]]
    full = [
        [
            sum((rows[p][i] * precision[p][q] * rows[q][j] for p in range(2) for q in range(2)), ZERO)
            for j in range(3)
        ]
        for i in range(3)
    ]
    assert model.effective_information({"y": 1}) == effective(full, [0, 1])
    assert model.effective_information({"y": 5}, "y") == [[5 * effective(full, [2])[0][0]]]
    assert model.effective_information({"y": 1}, None) == full
    answer = certify_estimable(world, {"x": 4}, [["2/3"], [1], [0]], variances=True)
    assert answer.variances == (Fraction(1, 9),)  # (2/3, 1) is twice the row
    assert repr(answer) == "Estimability(directions estimable 0 (proved: exact))"
    assert certify_model(world, "x", {"x": 1, "z": 1}).status is Status.EXACT_BELOW
    undecided = certify_estimable(world, {"x": 4}, [["2/3"], [1], [0]], exact=False)
    assert repr(undecided) == (
        "Estimability(directions undecided 0 (exact numbers need rational arithmetic; exact=True decides))"
    )


@given(seeds)
def test_a_model_and_its_own_fractions_are_the_same(seed):
    model, rng = small_world(seed, per_sample=False)
    same = {}
    for name in model.names:
        part = model[name]
        cov = solve(
            exact_precision(part),
            [[Fraction(i == j) for j in range(part.obs_dim)] for i in range(part.obs_dim)],
        )
        same[name] = (part.shared, part.private, [list(row) for row in zip(*cov, strict=True)])
    counts = some_counts(model, rng)
    for about in (None, "shared", model.names[-1]):
        assert ExactModel.of(same).effective_information(counts, about) == ExactModel.of(
            model
        ).effective_information(counts, about)


# ---------------------------------------------------------------------------------------------------------------------
# Allocation


def pair(eps=0.0):
    return fk.LinearGaussian({
        "image": fk.Modality(np.eye(2), noise_std=1.0),
        "text": fk.Modality([[eps, 1.0]], noise_std=1.0),
    })


COSTS = {"image": 9.0, "text": 1.0}


@pytest.mark.parametrize("kind", ["c", "A", "D", "E"])
@pytest.mark.parametrize("question", [{"budget": 600.0}, {"target": 0.05}])
def test_a_good_allocation_is_proved_sharply(kind, question):
    criterion = c_criterion([1.0, 2.0]) if kind == "c" else as_criterion(kind)
    if kind == "D" and "target" in question:
        question = {"target": -9.0}
    best = allocate(pair(0.25), COSTS, criterion=criterion, **question, integer=False)
    proof = certify_allocation(pair(0.25), best, COSTS)
    assert proof.holds, proof
    assert 0 <= proof.gap < 2e-6
    assert proof.bound <= proof.value
    assert abs(proof.value - best.value) < 1e-7 * max(1, abs(best.value))
    whole = allocate(pair(0.25), COSTS, criterion=criterion, **question)
    counted = certify_allocation(pair(0.25), whole, COSTS)
    assert counted.holds, counted
    assert counted.counts == whole.integer_counts
    assert counted.gap <= whole.integer_loss + 2e-6
    if "target" in question:
        assert counted.cost_bound <= counted.cost
        assert best.cost_bound == pytest.approx(float(proof.cost_bound), rel=2e-6)
        assert "reaches it" in repr(counted)
    else:
        assert counted.cost_bound is None
        assert counted.limit == 600


def test_the_text_of_a_certificate():
    best = allocate(pair(), COSTS, budget=600.0)
    proof = certify_allocation(pair(), best, COSTS)
    assert isinstance(proof, AllocationCertificate)
    assert repr(proof).startswith(
        "AllocationCertificate(A, image 55, text 105 at cost 600: value <= 0.0244318, no affordable counts below 0.0244"
    )
    assert "exactly" in repr(proof)
    assert proof.exact_value == Fraction(1, 55) + Fraction(1, 160)


def test_limits_free_samples_and_collected_ones():
    costs, limits = {"image": 9.0, "text": 0.0}, {"image": (3.0, 20.0), "text": (None, 7.0)}
    collected = {"text": 2, "image": 1}
    best = allocate(pair(0.5), costs, budget=100.0, limits=limits, collected=collected)
    proof = certify_allocation(pair(0.5), best, costs, limits=limits, collected=collected)
    assert proof.holds, proof
    assert proof.counts["text"] == 7
    assert proof.gap < 0.1  # whole samples
    with pytest.raises(ValueError, match=r"text: samples cost nothing and have no upper limit"):
        certify_allocation(pair(0.5), best, costs)


def test_decimal_costs_are_no_contradiction():
    model = fk.LinearGaussian({"x": fk.Modality([[1.0]])})
    best = allocate(model, 0.1, budget=0.3)
    assert best.integer_counts == {"x": 3} or best.integer_counts == {"x": 2}
    three = replace(best, integer_counts={"x": 3}, integer_value=1 / 3)
    floats = certify_allocation(model, three, 0.1)
    assert floats.holds
    assert not floats.within_budget  # three times the float 0.1 is more than the float 0.3
    assert floats.gap == 0.0
    four = certify_allocation(model, replace(three, integer_counts={"x": 4}, integer_value=0.25), "1/10")
    assert four.cost == Fraction(2, 5)
    assert not four.holds


def test_information_that_squares_the_condition_is_proved_or_disproved():
    for eps in (1e-3, 1e-5, 1e-6):
        model = fk.LinearGaussian({"x": fk.Modality([[1, 1.0], [1, 1 + eps]])})
        best = allocate(model, 1.0, budget=100.0)
        proof = certify_allocation(model, best, 1.0)
        off = Fraction(1 + eps) - 1
        assert proof.exact_value == (2 + 1 + (1 + off) ** 2) / (100 * off**2)
        assert proof.gap < 1e-100
        is_right = abs(best.integer_value / float(proof.exact_value) - 1) <= 1e-6
        is_bound = Fraction(best.bound) <= proof.exact_value
        loss = 1 - Fraction(best.bound) / proof.exact_value
        assert proof.holds == (is_right and is_bound and loss <= best.integer_loss + 1e-10)


def test_what_an_allocation_says_falsely_is_disproved():
    best = allocate(pair(), COSTS, budget=600.0)
    false = [
        (
            replace(best, integer_counts={"image": 56, "text": 105}),
            "the counts cost 609, more than the budget 600",
        ),
        (replace(best, integer_value=0.02), "the criterion at these counts is 0.024431"),
        (replace(best, integer_loss=0.0), "away from these counts, not 0"),
        (
            replace(best, bound=0.03),
            "the bound 0.029999999999999999 is above what these affordable counts reach",
        ),
        (
            replace(best, integer_counts={"image": 0, "text": 600}),
            "the criterion is infinite at these counts",
        ),
    ]
    for allocation, text in false:
        proof = certify_allocation(pair(), allocation, COSTS)
        assert not proof.holds
        assert any(text in sentence for sentence in proof.contradictions), proof.contradictions
        assert "DISPROVED" in repr(proof)
    proof = certify_allocation(pair(), best, COSTS, limits={"image": (0, 50)})
    assert "55 samples of 'image' are outside its limits" in proof.contradictions
    reached = allocate(pair(), COSTS, target=0.05)
    low = replace(reached, integer_counts={"image": 20, "text": 10})
    assert any("above the target" in text for text in certify_allocation(pair(), low, COSTS).contradictions)
    dear = certify_allocation(pair(), reached, COSTS, limits={"image": (0, 1)})
    assert dear.cost_bound > 10**6
    strict = certify_allocation(pair(), reached, COSTS, limits={"image": (0, 1), "text": (0, 5)})
    assert strict.gap == 1.0
    assert "no counts within the limits reach the target" in strict.contradictions


def test_per_sample_designs_are_named_in_an_allocation():
    design = np.eye(2)[:, None, :]
    model = fk.LinearGaussian({"x": fk.Modality(design), "y": fk.Modality(np.eye(2), noise_std=3.0)})
    informations = fk.shared_information(model)
    best = allocate_information({k: np.asarray(s) for k, s in informations.items()}, 1.0, budget=10.0)
    proof = certify_allocation(model, best, 1.0)
    assert proof.averaged == ("x",)
    assert "x by its average design" in repr(proof)
    assert proof.exact_value == Fraction(4, 10)


@given(seeds)
def test_knapsacks_agree_with_linear_programming(seed):
    from scipy.optimize import linprog

    rng = np.random.default_rng(seed)
    names = [f"m{k}" for k in range(int(rng.integers(1, 5)))]
    costs = {n: Fraction(int(rng.integers(0, 4))) for n in names}
    low = {n: Fraction(int(rng.integers(0, 3)), 2) for n in names}
    high = {
        n: low[n] + int(rng.integers(0, 5)) if costs[n] == 0 or rng.random() < 0.5 else None for n in names
    }
    scores = {n: Fraction(int(rng.integers(0, 5))) for n in names}
    shop = Shop(costs, low, high, dict.fromkeys(names, 0))
    budget = shop.cost(low) + Fraction(int(rng.integers(0, 9)))
    g, c = (np.array([float(x[n]) for n in names]) for x in (scores, costs))
    bounds = [(float(low[n]), None if high[n] is None else float(high[n])) for n in names]
    best = linprog(-g, A_ub=[c], b_ub=[float(budget)], bounds=bounds)
    assert float(shop.most(scores, budget)) == pytest.approx(-best.fun, abs=1e-7)
    wanted = Fraction(int(rng.integers(0, 30)))
    cheapest = linprog(c, A_ub=[-g], b_ub=[-float(wanted)], bounds=bounds)
    answer = shop.least(scores, wanted)
    assert (answer is None) == (not cheapest.success)
    if answer is not None:
        assert float(answer) == pytest.approx(cheapest.fun, abs=1e-7)


@given(st.fractions(min_value=Fraction(1, 10**9), max_value=10**9), st.integers(1, 9))
def test_roundings_keep_their_side(x, degree):
    assert float_below(x) <= x <= float_above(x)
    assert float_above(x) - float_below(x) <= 2 * np.spacing(float(x))
    assert float_below(-x) <= -x <= float_above(-x)
    low, high = log_bounds(x)
    assert low < high
    assert float(high - low) <= 1e-45 * max(1.0, abs(float(low)))
    assert float(low) == pytest.approx(np.log(float(x)), abs=1e-12)
    root = root_below(x, ZERO, degree)
    assert root**degree < x
    assert root**degree > x * (1 - Fraction(1, 10**35))
    assert abs(significant(x, 60) - x) <= x / 2**58


def test_floats_beyond_the_range_keep_their_side():
    huge = Fraction(10) ** 400
    assert float_above(huge) == np.inf
    assert float_below(huge) == np.finfo(float).max
    assert float_above(1 / huge) == 5e-324
    assert float_below(1 / huge) == 0


# ---------------------------------------------------------------------------------------------------------------------
# Refusals and messages


def test_what_takes_too_long_is_refused_with_an_estimate(monkeypatch):
    model, best = pair(), allocate(pair(), COSTS, budget=600.0)
    for module in ("model_order", "estimable", "allocation_proof"):
        monkeypatch.setattr(f"fisherkit.certified.{module}.AUTO_SECONDS", 0.0)
    answer = certify_model(model, "text", {"text": 2})
    assert answer.status is Status.CERTIFIED_BY_FACTOR
    swapped = certify_model(model, {"text": 2}, {"text": 1, "image": 0})
    assert swapped.status in (Status.UNDECIDED, Status.REFUTED)
    undecided = certify_model(model, "image", {"image": 1, "text": 1}, about=None)
    assert undecided.is_below
    equal = fk.LinearGaussian({"x": fk.Modality([[1.0]]), "y": fk.Modality([[1.0]])})
    assert "exact=True would decide in about 0 s" in repr(certify_model(equal, "x", "y"))
    assert certify_model(equal, "x", "y", exact=True).relation is Relation.EQUAL
    one_sided = certify_estimable(model, {"text": 1}, np.array([[0.0], [1.0]]))
    assert one_sided.verdicts == (True,)
    confounded = fk.LinearGaussian({"x": fk.Modality(np.ones((2, 2)))})
    assert "exact=True would decide" in certify_estimable(confounded, 1, [1.0, 1.0]).reason
    with pytest.raises(ValueError, match=r"exact ones would take about 0 s; exact=True computes them"):
        certify_estimable(model, 1, [1.0, 1.0], variances=True)
    with pytest.raises(
        ValueError, match=r"model: a proof in rational arithmetic would take about 0 s.*force=True"
    ):
        certify_allocation(model, best, COSTS)
    assert certify_allocation(model, best, COSTS, force=True).holds


def test_large_models_are_refused_before_anything_is_computed():
    rng = np.random.default_rng(0)
    model = fk.LinearGaussian({"x": fk.Modality(rng.standard_normal((10_000, 20, 15)), noise_std=0.3)})
    answer = certify_model(model, {"x": 9_999}, {"x": 10_000})
    assert answer.is_below
    assert certify_estimable(model, 10_000, np.eye(15)).all_estimable  # floating point proves it
    with pytest.raises(ValueError, match=r"exact ones would take about \d+ s"):
        certify_estimable(model, 10_000, np.eye(15), variances=True)


GOOD = {"x": ([[1]], None, 1)}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: certify_model(3, 1, 1), TypeError, r"model: expected a LinearGaussian, or .*got int"),
        (lambda: certify_model(pair(), None, 1), TypeError, r"counts_a: expected \{modality: .*got NoneType"),
        (lambda: certify_model(pair(), 1, [1]), TypeError, r"counts_b: expected .*got list"),
        (lambda: certify_model(pair(), "imgae", 1), UnknownNameError, r"'imgae'; did you mean 'image'"),
        (lambda: certify_model(pair(), {"txt": 1}, 1), UnknownNameError, r"'txt'; did you mean 'text'"),
        (lambda: certify_model(pair(), {"text": -1}, 1), ValueError, r"text: sample count must be .*got -1"),
        (
            lambda: certify_model(pair(), 1, 2, about="shard"),
            UnknownNameError,
            r"unknown parameter block 'shard'",
        ),
        (
            lambda: certify_model(pair(), 1, 2, exact="maybe"),
            ValueError,
            r"exact: expected True, False or \"auto\"",
        ),
        (
            lambda: certify_model(fk.LinearGaussian({"x": fk.Modality(np.ones((2, 1, 1)))}), 3, 1),
            ValueError,
            r"x: 3 samples asked for, but there are only 2 per-sample designs",
        ),
        (lambda: certify_estimable(pair(), 1, [1.0]), ValueError, r"directions: expected length 2 .*got 1"),
        (
            lambda: certify_estimable(pair(), 1, [1.0, np.nan]),
            ValueError,
            r"directions: entry 1: expected a finite",
        ),
        (lambda: certify_estimable(pair(), 1, [1, "a"]), ValueError, r"directions: entry 1: .*got 'a'"),
        (
            lambda: certify_estimable(pair(), 1, [1, 1j]),
            TypeError,
            r"directions: entry 1: 1j \(complex\) is not",
        ),
        (lambda: certify_estimable(pair(), 1, 1.0), TypeError, r"directions: expected 1 dimension, got 1.0"),
        (
            lambda: certify_estimable(pair(), 1, [1, 0], exact=False, variances=True),
            ValueError,
            r"variances: exact variances need rational arithmetic",
        ),
        (lambda: ExactModel.of({}), TypeError, r"model: expected a LinearGaussian"),
        (lambda: ExactModel.of({"x": 3}), TypeError, r"x: expected \(C, S, variance\)"),
        (
            lambda: ExactModel.of({"x": fk.Modality([[1.0]])}),
            TypeError,
            r"x: a Modality; pass LinearGaussian",
        ),
        (lambda: ExactModel.of({"shared": ([[1]],)}), TypeError, r"other than \"shared\""),
        (lambda: ExactModel.of({"x": ([],)}), ValueError, r"x: zero observed coordinates"),
        (
            lambda: ExactModel.of({"x": ([[1], [1, 2]],)}),
            ValueError,
            r"x: shared design: rows of different lengths",
        ),
        (
            lambda: ExactModel.of({"x": ([[1]], [[1], [2]])}),
            ValueError,
            r"x: private design has 2 rows, .* has 1",
        ),
        (lambda: ExactModel.of({"x": ([[1]], None, [1, 2])}), ValueError, r"x: variance: expected a number"),
        (lambda: ExactModel.of({"x": ([[1]], None, 0)}), ValueError, r"x: noise variances must be positive"),
        (
            lambda: ExactModel.of({"x": ([[1], [1]], None, [[1, 1], [1, 1]])}),
            ValueError,
            r"x: noise covariance is not positive definite in exact arithmetic",
        ),
        (
            lambda: ExactModel.of({"x": ([[1], [1]], None, [[1, 1], [0, 1]])}),
            ValueError,
            r"x: noise covariance is not exactly symmetric",
        ),
        (lambda: ExactModel.of({"x": ([[1]],), "y": ([[1, 2]],)}), ValueError, r"same number of columns"),
        (
            lambda: ExactModel.of({"x": (np.ones((1, 1), dtype=np.longdouble),)}),
            TypeError,
            r"x: shared design: .*longdouble|float128",
        ),
        (lambda: ExactModel.of(GOOD).effective_information("y"), UnknownNameError, r"unknown modality 'y'"),
        (
            lambda: certify_allocation(pair(), 3, 1.0),
            TypeError,
            r"allocation: expected the result of .*got int",
        ),
    ],
)
def test_messages_name_the_argument_and_the_remedy(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_messages_about_an_allocation_that_does_not_fit():
    best = allocate(pair(), COSTS, budget=600.0)
    with pytest.raises(
        ValueError, match=r"costs: the allocation's counts cost .* but it says 600; pass the costs"
    ):
        certify_allocation(pair(), best, {"image": 1.0, "text": 1.0})
    with pytest.raises(ValueError, match=r"costs: none given for 'text'"):
        certify_allocation(pair(), best, {"image": 9.0})
    with pytest.raises(UnknownNameError, match=r"'txt'; did you mean 'text'"):
        certify_allocation(pair(), best, {"image": 9.0, "txt": 1.0})
    with pytest.raises(ValueError, match=r"image: limits must be a pair"):
        certify_allocation(pair(), best, COSTS, limits={"image": 3})
    with pytest.raises(ValueError, match=r"image: limits contradict each other"):
        certify_allocation(pair(), best, COSTS, limits={"image": (3, 2)})
    with pytest.raises(ValueError, match=r"image: cost per sample must be >= 0"):
        certify_allocation(pair(), best, {"image": -1, "text": 1})
    with pytest.raises(
        ValueError, match=r"allocation: its modalities are 'image', 'text', those of the model 'x'"
    ):
        certify_allocation(fk.LinearGaussian({"x": fk.Modality(np.eye(2))}), best, COSTS)
    other = allocate(pair(), COSTS, budget=600.0, criterion=c_criterion([1.0, 1.0]))
    wide = fk.LinearGaussian({"image": fk.Modality(np.eye(3)), "text": fk.Modality(np.eye(3))})
    with pytest.raises(
        ValueError, match=r"its directions have length 2, but the model has 3 shared parameters"
    ):
        certify_allocation(wide, other, COSTS)
