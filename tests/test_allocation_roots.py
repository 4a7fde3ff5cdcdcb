"""Allocation of ill-conditioned information: every claim against arithmetic with 60 digits on what was given."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit import criteria
from fisherkit.allocation import (
    InfeasibleError,
    NotEstimableError,
    SolverError,
    allocate,
    allocate_information,
    next_sample,
)
from fisherkit.allocation.certificate import log_determinant
from fisherkit.allocation.dyadic import Dyadic
from fisherkit.allocation.evidence import Design, Evidence
from tests.allocation_strategies import (
    CRITERIA,
    exact_criterion,
    exact_information,
    grid,
    make_criterion,
    smallest_eigenvalue,
)
from tests.strategies import orthogonal, seeds

kinds = st.sampled_from(CRITERIA)


@pytest.fixture(autouse=True)
def sixty_digits():
    with mp.workdps(60):
        yield


def graded(rng, rows, dim, condition):
    """(rows, dim) root of given condition (if it has dim rows) in random units."""
    size = min(rows, dim)
    core = orthogonal(rng, rows)[:, :size] * np.geomspace(1, 1 / condition, size)
    return core @ orthogonal(rng, dim)[:size] * 10 ** rng.uniform(-2, 2) * 10 ** rng.uniform(-3, 3, dim)


def as_given(rng, kind, dim, condition):
    """What is handed over, and the matrix that it is: an array, a `PSD`, or a `PSD` of an array."""
    rows = dim if rng.random() < 0.7 else int(rng.integers(1, dim + 1))
    if kind == "roots":
        given = fk.PSD.from_root(graded(rng, rows, dim, condition))
        root = mp.matrix(given.root.tolist()) if given.rank else mp.zeros(1, dim)
        return given, root.T * root
    root = graded(rng, rows, dim, condition**0.5)
    given = root.T @ root
    given = (given + given.T) / 2
    return given, mp.matrix(given.tolist())


def at(truth, counts, base):
    everything = base.copy()
    for name, n in counts.items():
        everything += mp.mpf(n) * truth[name]
    return everything


def distance(kind, dim, value, bound):
    """Relative distance to the bound, as `Allocation.gap` has it."""
    return -mp.expm1((bound - value) / dim) if kind == "D" else 1 - bound / value


def check(answer, criterion, truth, base, costs, rng, limits, *, resolved=1e-30):
    """All claims of an answer; where counts leave M singular the claim for "c" is about M as the policy decides it."""
    kind, dim = criterion.name, base.rows

    def exact(counts, least=-mp.inf):
        everything = at(truth, counts, base)
        if kind == "c" and smallest_eigenvalue(everything) < least:
            return None
        return exact_criterion(kind, criterion.directions, everything)

    real = exact(answer.counts, resolved)
    if real is not None:
        assert real <= answer.value
        assert answer.value - real <= 2e-6 * (dim if kind == "D" else real)
        if answer.target is None:
            assert answer.bound <= real
            assert distance(kind, dim, real, answer.bound) <= answer.gap
    whole = None if answer.integer_counts is None else exact(answer.integer_counts, resolved)
    if whole is not None:
        assert whole <= answer.integer_value
        if answer.target is None:
            assert distance(kind, dim, whole, answer.bound) <= answer.integer_loss
        else:
            assert whole <= answer.target + 2e-12 * abs(answer.target)
            paid = sum(mp.mpf(costs[n]) * k for n, k in answer.integer_counts.items())
            assert paid == 0 or 1 - answer.cost_bound / paid <= answer.integer_loss
    if answer.target is None:
        for counts in grid(costs, answer.budget * (1 - 1e-14), limits, 2, rng, count=10):
            assert answer.bound <= exact(counts)


@pytest.mark.parametrize("given_as", ["roots", "matrices"])
@given(seeds, kinds, st.integers(1, 4), st.integers(1, 4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_claims_hold_in_exact_arithmetic(given_as, seed, kind, dim, modalities, aim):
    rng = np.random.default_rng(seed)
    condition = 10 ** rng.uniform(0, 7 if given_as == "roots" else 10)
    pairs = {f"m{k}": as_given(rng, given_as, dim, condition) for k in range(modalities)}
    informations = {name: pair[0] for name, pair in pairs.items()}
    truth = {name: pair[1] for name, pair in pairs.items()}
    costs = {name: float(10 ** rng.uniform(-1, 1)) for name in pairs}
    criterion = make_criterion(kind, dim, rng)
    base, extra = mp.zeros(dim), None
    if rng.random() < 0.3:
        extra, base = as_given(rng, given_as, dim, condition)
    limits = {"m0": (float(rng.uniform(0, 1)), float(rng.uniform(2, 9)))} if rng.random() < 0.3 else {}
    budget = float(10 ** rng.uniform(1, 3))
    options = {"criterion": criterion, "base": extra, "limits": limits}
    resolved = 1e-30 if given_as == "roots" else 1e-12  # an array of rank r has rank r up to rounding only
    try:
        answer = allocate_information(informations, costs, budget=budget, **options)
        check(answer, criterion, truth, base, costs, rng, limits, resolved=resolved)
        if aim:
            target = answer.value + 0.3 if kind == "D" else 1.3 * answer.value
            answer = allocate_information(informations, costs, target=target, **options)
            check(answer, criterion, truth, base, costs, rng, limits, resolved=resolved)
    except (NotEstimableError, InfeasibleError):  # nothing is claimed then
        return
    except SolverError:
        assert given_as == "matrices"  # their condition is the square
        assert condition > 1e5


# ---------------------------------------------------------------------------------------------------------- models


def noise_of(rng, m):
    """Keyword arguments of a `Modality`: a std, variances or a covariance."""
    kind = rng.integers(3)
    if kind == 0:
        return {"noise_std": float(10 ** rng.uniform(-2, 2))}
    if kind == 1:
        return {"noise_var": 10 ** rng.uniform(-2, 2, m)}
    half = rng.standard_normal((m, m))
    return {"noise_cov": half @ half.T + 0.1 * np.eye(m)}


def random_modality(rng, dim, condition, samples):
    """Ill-conditioned shared columns, and private ones that explain much of them or are nearly dependent."""
    m = int(rng.integers(1, 5))
    private = int(rng.integers(0, 3))
    shape = (m,) if samples is None else (samples, m)
    shared = rng.standard_normal((*shape, dim)) @ (
        np.geomspace(1, 1 / condition, dim)[:, None] * orthogonal(rng, dim)
    )
    own = rng.standard_normal((*shape, private))
    if private and rng.random() < 0.5:
        own = own + shared[..., :1] * 10 ** rng.uniform(0, 4)
    return fk.Modality(shared, own, **noise_of(rng, m))


@given(seeds, kinds, st.integers(1, 3), st.integers(1, 3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_claims_about_models_hold_for_their_designs(seed, kind, dim, modalities, several):
    rng = np.random.default_rng(seed)
    condition = 10 ** rng.uniform(0, 5)
    samples = {
        f"m{k}": int(rng.integers(1, 4)) if several and rng.random() < 0.7 else None
        for k in range(modalities)
    }
    model = fk.LinearGaussian({name: random_modality(rng, dim, condition, n) for name, n in samples.items()})
    truth = {name: exact_information(model[name], n or 1) / (n or 1) for name, n in samples.items()}
    costs = {name: float(10 ** rng.uniform(-1, 1)) for name in samples}
    criterion = make_criterion(kind, dim, rng)
    collected = {name: int(rng.integers(0, 4)) for name in samples} if rng.random() < 0.4 else {}
    base = mp.zeros(dim)
    for name, n in collected.items():
        exact = samples[name] is None or n <= samples[name]
        base += exact_information(model[name], n) if exact and n else n * truth[name]
    try:
        answer = allocate(model, costs, budget=200.0, criterion=criterion, collected=collected)
    except NotEstimableError:
        return
    check(answer, criterion, truth, base, costs, rng, {})
    assert set(answer.average_designs) <= {name for name, n in samples.items() if n is not None}


@pytest.mark.parametrize("eps", [1e-4, 1e-5, 1e-6, 1e-7])
@pytest.mark.parametrize("method", ["newton", "convex"])
def test_conditions_are_not_squared(eps, method):
    """F4: trace of the inverse of 100 samples of nearly parallel rows."""
    model = fk.LinearGaussian({"x": fk.Modality([[1.0, 1.0], [1.0, 1.0 + eps]])})
    exact = exact_criterion("A", None, 100 * exact_information(model["x"], 1))
    if method == "convex":
        pytest.importorskip("cvxpy")
    spent = allocate(model, 1.0, budget=100.0, method=method)
    assert exact <= spent.value <= exact * (1 + 1e-6)
    assert exact <= spent.integer_value <= exact * (1 + 1e-6)
    assert spent.bound <= exact
    needed = allocate(model, 1.0, target=spent.value, method=method)
    assert needed.cost == pytest.approx(100.0, rel=2e-6)
    assert needed.cost_bound <= 100.0 * (1 + 1e-12)


def confounded():
    """A level that is confounded with each modality's own intercept, and a slope."""
    image = fk.Modality(np.c_[np.full(3, 0.7), [1.0, 2.0, 4.0]], np.ones((3, 1)))
    text = fk.Modality(np.c_[np.full(3, 0.3), [1.0, 0.0, 2.0]], np.ones((3, 1)), noise_std=3.0)
    return fk.LinearGaussian({"image": image, "text": text})


@pytest.mark.parametrize("kind", ["A", "D", "E"])
@pytest.mark.parametrize(
    "question", [{"budget": 10.0}, {"target": 1.0}, {"budget": 10.0, "method": "convex"}]
)
def test_what_private_parameters_explain_is_never_information(kind, question):
    with pytest.raises(
        NotEstimableError, match="infinite for every affordable combination: 1 of 2 directions"
    ) as caught:
        allocate(confounded(), 1.0, criterion=kind, **question)
    np.testing.assert_allclose(np.abs(caught.value.estimable), [[0.0], [1.0]])
    slope = criteria.c_criterion([0.0, 1.0])
    best = allocate(confounded(), 1.0, budget=10.0, criterion=slope)
    assert best.integer_counts == {"image": 10, "text": 0}
    assert best.value == pytest.approx(3 / 140, rel=1e-12)
    assert allocate(confounded(), 1.0, target=0.02, criterion=slope).cost == pytest.approx(75 / 7, rel=1e-9)
    with pytest.raises(NotEstimableError, match=r"infinite now \(1 of 2 directions"):
        next_sample(confounded(), 3, criterion=kind)


@given(seeds, st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_small_integers_with_private_columns(seed, dim):
    """Exactly singular as a rule: a criterion is finite if and only if rational arithmetic says so."""
    rng = np.random.default_rng(seed)
    modalities = {}
    for name in ("x", "y"):
        m = int(rng.integers(1, 4))
        own = rng.integers(-2, 3, (m, int(rng.integers(0, 3)))).astype(float)
        modalities[name] = fk.Modality(
            rng.integers(-2, 3, (m, dim)).astype(float), own, noise_std=float(rng.integers(1, 4))
        )
    model = fk.LinearGaussian(modalities)
    exact = 3 * exact_information(model["x"], 1) + 4 * exact_information(model["y"], 1)
    regular = exact_criterion("A", None, exact) < mp.inf
    for kind in ("A", "D"):
        options = {"criterion": kind, "limits": {"x": (3, 3), "y": (4, 4)}}
        if regular:
            answer = allocate(model, 1.0, budget=7.0, **options)
            value = exact_criterion(kind, None, exact)
            assert value <= answer.value
            assert answer.value == pytest.approx(float(value), rel=1e-11, abs=1e-11)
        else:
            with pytest.raises(NotEstimableError):
                allocate(model, 1.0, budget=7.0, **options)


# ------------------------------------------------------------------------------------------- samples that exist


def first_see_one_direction():
    """20 designs, of which the first ten see theta_1 only."""
    design = np.zeros((20, 1, 2))
    design[:10, 0, 0] = 1.0
    design[10:, 0, 1] = 1.0
    return fk.LinearGaussian({"x": fk.Modality(design), "y": fk.Modality(np.eye(2), noise_std=10.0)})


def test_the_next_sample_is_the_next_design():
    model = first_see_one_direction()
    answer = next_sample(model, {"x": 10, "y": 0})
    assert answer.value == np.inf
    assert answer.best == {"x": 1}
    assert answer.after == pytest.approx(0.1 + 1.0)
    assert answer.gain == {"x": np.inf, "y": np.inf}
    assert answer.average_designs == ()
    assert next_sample(model, {"x": 9, "y": 0}).best == {"y": 1}  # the tenth x tells nothing new
    used_up = next_sample(model, {"x": 20, "y": 0})
    assert used_up.value == pytest.approx(0.2)
    assert used_up.average_designs == ("x",)
    assert used_up.after == pytest.approx(0.2 * 20 / 21)
    assert repr(used_up).endswith("; average designs of x)")


@given(seeds)
@settings(max_examples=30)
def test_next_sample_is_exact_where_designs_and_private_parameters_differ_by_sample(seed):
    rng = np.random.default_rng(seed)
    model = fk.LinearGaussian({
        name: fk.Modality(
            rng.integers(-2, 3, (5, 2, 2)).astype(float), rng.integers(-2, 3, (5, 2, 2)).astype(float)
        )
        for name in ("x", "y")
    })
    counts = {name: int(rng.integers(0, 5)) for name in model.names}
    v = rng.integers(-2, 3, 2).astype(float)
    if not v.any():
        return
    expected = {
        name: float(fk.cramer_rao(model, counts | {name: counts[name] + 1}, v)) for name in model.names
    }
    try:
        answer = next_sample(model, counts, criterion=criteria.c_criterion(v))
    except NotEstimableError:
        assert np.isinf(list(expected.values())).all()
        return
    now = float(fk.cramer_rao(model, counts, v))
    assert answer.value == pytest.approx(now)
    assert answer.after == pytest.approx(min(now, *expected.values()))


def test_average_designs_never_make_an_infinite_criterion_finite():
    model = fk.LinearGaussian({"x": fk.Modality(np.ones((2, 1, 1)), np.array([[[1.0]], [[-1.0]]]))})
    with pytest.raises(
        NotEstimableError,
        match=r"infinite at the samples that would be taken: average designs determine .* first 1 of 2 designs of 'x' do not; "
        r"2 samples of 'x' would \(limits=\{'x': \(2, None\)\}\)",
    ):
        allocate(model, 1.0, budget=1.0)
    both = allocate(model, 1.0, budget=2.0)
    assert both.value == pytest.approx(0.5)
    assert both.average_designs == ("x",)
    assert repr(both).endswith("; average designs of x)")
    assert (
        allocate(model, 1.0, budget=1.0, collected=1).value > 0
    )  # the first is there, the second makes it finite
    world = first_see_one_direction()
    with pytest.raises(NotEstimableError, match=r"11 samples of 'x' would \(limits=\{'x': \(11, None\)\}\)"):
        allocate(world, {"x": 1.0, "y": 1e4}, budget=5.0)
    with pytest.raises(NotEstimableError, match=r"11 samples of 'x' would \(limits=\{'x': \(7, None\)\}\)"):
        allocate(world, {"x": 1.0, "y": 1e4}, budget=5.0, collected={"x": 4})
    with pytest.raises(NotEstimableError, match="first 4 of 20"):
        next_sample(world.subset(["x"]), 0, n=4)
    assert allocate(world, {"x": 1.0, "y": 1e4}, budget=11.0).average_designs == ("x",)


def test_collected_samples_are_the_first_designs():
    model = first_see_one_direction()
    answer = allocate(model, 1.0, budget=3.0, collected={"x": 10}, limits={"x": (0, 0)})
    assert answer.value == pytest.approx(1 / (10 + 3 / 100) + 100 / 3)
    assert answer.average_designs == ()
    many = allocate(model, 1.0, budget=3.0, collected={"x": 40}, limits={"x": (0, 0)})
    assert many.value == pytest.approx(2 / (20 + 3 / 100))
    assert many.average_designs == ("x",)


def test_designs_that_only_help_together():
    """One x and one y see theta_1; the second x sees theta_2, the second y theta_3."""
    see = {"x": np.eye(3)[[0, 1]], "y": np.eye(3)[[0, 2]]}
    model = fk.LinearGaussian({name: fk.Modality(rows[:, None, :]) for name, rows in see.items()})
    with pytest.raises(
        NotEstimableError, match=r"first 1 of 2 designs of 'x' and .* all their designs together would"
    ):
        allocate(model, 1.0, budget=2.0)


@pytest.mark.parametrize("costs", [2.0, 2, {"x": 2.0, "y": 2.0}])
def test_one_cost_for_all(costs):
    model = fk.LinearGaussian({"x": fk.Modality(np.eye(2)), "y": fk.Modality([[0.0, 1.0]], noise_std=2.0)})
    answer = next_sample(model, 1, costs)
    assert answer.best == {"x": 1}
    assert answer.per_cost == pytest.approx({n: g / 2 for n, g in answer.gain.items()})


@pytest.mark.parametrize("costs", [0.0, {"x": 1.0, "y": 0.0}])
def test_costs_that_make_no_gain_per_cost(costs):
    model = fk.LinearGaussian({"x": fk.Modality(np.eye(2)), "y": fk.Modality([[0.0, 1.0]])})
    with pytest.raises(ValueError, match=r"[xy]: a gain per cost needs a positive cost, got 0"):
        next_sample(model, 1, costs)


def test_a_budget_for_a_part_of_a_sample():
    model = fk.LinearGaussian({"x": fk.Modality(np.eye(2)), "y": fk.Modality([[0.0, 1.0]], noise_std=2.0)})
    with pytest.raises(NotEstimableError, match="a budget of 1 pays for them rounded up"):
        allocate(model, 1.0, budget=1e-12)


# ------------------------------------------------------------------------------------------------- the arithmetic


@given(seeds, st.integers(1, 4), st.integers(1, 4), st.integers(0, 300))
def test_dyadic_products_are_exact(seed, rows, columns, spread):
    rng = np.random.default_rng(seed)
    a, b = (
        np.ldexp(rng.standard_normal((rows, columns)), rng.integers(-spread, spread + 1, (rows, columns)))
        for _ in range(2)
    )
    found = Dyadic.of(a) @ Dyadic.of(b).T + Dyadic.of(a) @ Dyadic.of(a).T
    for i in range(rows):
        for j in range(rows):
            exact = sum(
                Fraction(x) * (Fraction(y) + Fraction(z))
                for x, y, z in zip(a[i].tolist(), b[j].tolist(), a[j].tolist(), strict=True)
            )
            assert Fraction(int(found.integers[i, j])) * Fraction(2) ** found.exponent == exact
            assert found.floats()[i, j] == pytest.approx(float(exact), rel=2**-51, abs=0)


@given(seeds, st.integers(1, 3), st.booleans())
@settings(max_examples=40, deadline=None)
def test_scores_and_grams_enclose_the_truth(seed, dim, exact):
    """Private parameters, all kinds of noise, conditions that floats do not resolve; with integers they are sharp."""
    rng = np.random.default_rng(seed)
    modality = random_modality(rng, dim, 10 ** rng.uniform(0, 6), None)
    design = Design.of_modality(modality)
    truth = exact_information(modality, 1)
    x = rng.standard_normal((dim, 2)) * 10 ** rng.uniform(-3, 3)
    columns = mp.matrix(x.tolist())
    seen = columns.T * truth * columns
    most, _ = design.score(x, exact=exact)
    assert most >= seen[0, 0] + seen[1, 1]
    near, lost = design.gram(x, exact=exact)
    rest = seen - mp.matrix(near.tolist()) + lost * mp.eye(2)
    assert min(mp.eigsy((rest + rest.T) / 2, eigvals_only=True)) >= 0
    evidence = Evidence.of([design], np.array([2.0]))
    scores, there = evidence.scores(x, np.ones(1), 1e-12)
    assert scores[0] >= seen[0, 0] + seen[1, 1]
    assert there >= 2 * (seen[0, 0] + seen[1, 1])


@given(seeds, st.integers(1, 4), st.integers(0, 2))
def test_log_determinants_enclose_the_truth(seed, dim, more):
    rng = np.random.default_rng(seed)
    matrix = graded(rng, dim, dim, 10 ** rng.uniform(0, 12))
    matrix = np.concatenate([matrix, 0.1 * matrix[:, :more]], axis=1)
    exact = mp.log(mp.det(mp.matrix(matrix.tolist()) * mp.matrix(matrix.tolist()).T))
    found, error = log_determinant(matrix, 1e-10)
    assert found == -np.inf or abs(found - exact) <= error
    assert log_determinant(matrix[:, : dim - 1], 1e-10)[0] == -np.inf
