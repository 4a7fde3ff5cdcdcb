"""The semidefinite program against Newton's method, the big information matrix and further constraints."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings

import fisherkit as fk
from fisherkit import criteria
from fisherkit.allocation import (
    InfeasibleError,
    NonConvexError,
    NotEstimableError,
    SolverError,
    allocate,
    allocate_information,
)
from tests.allocation_strategies import CRITERIA, make_criterion, questions
from tests.model_strategies import models
from tests.strategies import random_psd

cp = pytest.importorskip("cvxpy")


def difference(kind, one, other):
    return one - other if kind == "D" else one / other - 1


@pytest.mark.parametrize("kind", CRITERIA)
@given(question=questions(max_modalities=4, max_dim=3))
@settings(max_examples=8)
def test_both_methods_agree(kind, question):
    informations, costs, budget, limits, collected, rng = question
    dim = len(informations["m0"])
    options = {
        "budget": budget,
        "criterion": make_criterion(kind, dim, rng),
        "limits": limits,
        "collected": collected,
        "integer": False,
    }
    fast = allocate_information(informations, costs, **options)
    slow = allocate_information(informations, costs, method="convex", tolerance=1e-5, **options)
    assert slow.gap <= 1e-5
    assert slow.cost <= budget
    assert abs(difference(kind, slow.value, fast.value)) < 2e-5 * dim
    assert difference(kind, slow.bound, fast.value) <= 1e-10
    assert difference(kind, fast.bound, slow.value) <= 1e-10
    assert slow.method == "convex"
    assert slow.status in ("optimal", "optimal_inaccurate")


@pytest.mark.parametrize("kind", CRITERIA)
def test_both_methods_agree_on_targets_and_whole_samples(kind):
    rng = np.random.default_rng(11)
    informations = {f"m{k}": random_psd(rng, 3, 2, 5.0) for k in range(4)}
    costs = {name: float(c) for name, c in zip(informations, [1.0, 2.0, 0.5, 3.0], strict=True)}
    options = {"criterion": make_criterion(kind, 3, rng), "limits": {"m0": (1, 4), "m2": (0, 8)}}
    goal = allocate_information(informations, costs, budget=40.0, **options)
    fast = allocate_information(informations, costs, target=goal.value, **options)
    slow = allocate_information(informations, costs, target=goal.value, method="convex", **options)
    assert fast.cost == pytest.approx(slow.cost, rel=3e-6)
    assert difference(kind, slow.value, goal.value) <= 0
    assert slow.gap <= 1e-6
    spent = allocate_information(informations, costs, budget=40.0, method="convex", **options)
    assert spent.integer_counts == goal.integer_counts


@given(models(max_modalities=3, max_condition=10.0, repeated=True))
@settings(max_examples=10)
def test_private_parameters_may_stay_in_the_matrix_inequality(model):
    """Allocation by effective information equals the program over all parameters, asked about the shared ones."""
    rng = np.random.default_rng(0)
    full = fk.information_by_modality(model, 1)
    shared = np.eye(model.n_params)[:, : model.shared_dim]
    v = shared @ rng.standard_normal(model.shared_dim)
    assume(np.isfinite(fk.cramer_rao(model, 1, v)))
    costs = {name: 1.0 + k for k, name in enumerate(model.names)}
    small = allocate(
        model, costs, budget=10.0, criterion=criteria.c_criterion(v[: model.shared_dim]), integer=False
    )
    for method in ("newton", "convex"):
        big = allocate_information(
            full,
            costs,
            budget=10.0,
            criterion=criteria.c_criterion(v),
            integer=False,
            method=method,
            tolerance=1e-5,
        )
        assert big.value == pytest.approx(small.value, rel=2e-5)


def test_further_constraints_are_kept_and_certified():
    rng = np.random.default_rng(4)
    informations = {name: random_psd(rng, 3, 3, 5.0) for name in ("image", "text", "audio")}
    costs = {"image": 5.0, "text": 1.0, "audio": 2.0}

    def balanced(n):
        return [n["text"] <= 2 * n["image"], cp.square(n["audio"]) <= 1.0]

    free = allocate_information(informations, costs, budget=60.0, integer=False)
    bound = allocate_information(
        informations, costs, budget=60.0, method="convex", constraints=balanced, integer=False
    )
    assert bound.counts["text"] <= 2 * bound.counts["image"] + 1e-6
    assert bound.counts["audio"] <= 1 + 1e-6
    assert bound.value > free.value
    assert bound.gap <= 1e-6
    # brute force: audio at its limit or below, text at its limit or below
    best = np.inf
    for audio in np.linspace(0, 1, 21):
        for ratio in np.linspace(0, 2, 81):
            image = (60 - 2 * audio) / (5 + ratio)
            counts = {"image": image, "text": ratio * image, "audio": audio}
            matrix = sum(counts[name] * m for name, m in informations.items())
            best = min(best, float(np.trace(np.linalg.inv(matrix))))
    assert bound.bound <= best <= bound.value * (1 + 1e-3)
    cheap = allocate_information(
        informations, costs, target=bound.value, method="convex", constraints=balanced, integer=False
    )
    assert cheap.cost == pytest.approx(60.0, rel=1e-5)
    assert cheap.cost_bound <= 60.0 * (1 + 1e-7)


PAIR = {"x": np.diag([1.0, 0.0]), "y": np.diag([0.0, 1.0])}


def ask(constraints=None, **options):
    options = {"budget": 4.0, "method": "convex", "integer": False} | options
    return allocate_information(PAIR, 1.0, constraints=constraints, **options)


@pytest.mark.parametrize(
    ("error", "text", "constraints"),
    [
        (NonConvexError, r"further constraint 1 is not convex under cvxpy's rules: .*<=", lambda n: [n["x"] <= 3, cp.sqrt(n["x"]) <= 1]),
        (NonConvexError, "further constraint 0 is a bool, not a cvxpy constraint", lambda n: [True]),
        (NonConvexError, "further constraint 0 has a variable of whole numbers", lambda n: [n["x"] == cp.Variable(integer=True)]),
        (NonConvexError, "further constraint 0 has a variable of whole numbers", lambda n: [n["x"] <= cp.Variable(boolean=True)]),
        (NonConvexError, "must return a list of cvxpy constraints, got int", lambda n: 3),
        (InfeasibleError, "budget, limits and further constraints cannot be met together", lambda n: [n["x"] >= 9]),
    ],
)  # fmt: skip
def test_constraints_that_make_no_sense(error, text, constraints):
    with pytest.raises(error, match=text):
        ask(constraints)


def test_targets_out_of_reach_of_further_constraints():
    with pytest.raises(InfeasibleError, match=r"target 0\.5, limits and further constraints cannot be met"):
        ask(lambda n: [n["x"] <= 1], budget=None, target=0.5)


def test_solver_failures_are_never_ignored(monkeypatch):
    def fails(self, *args, **options):
        raise cp.SolverError("numerical trouble")

    with monkeypatch.context() as patch:
        patch.setattr(cp.Problem, "solve", fails)
        with pytest.raises(
            SolverError, match=r"convex solver failed \(numerical trouble\); try method='newton'"
        ):
            ask()
    with monkeypatch.context() as patch:
        patch.setattr(cp.Problem, "solve", lambda self, *args, **options: None)
        patch.setattr(cp.Problem, "status", property(lambda self: "unbounded"))
        with pytest.raises(SolverError, match="ended with status 'unbounded' and no answer"):
            ask()


def test_inaccurate_answers_are_judged_by_their_certificate(monkeypatch):
    honest = cp.Problem.solve

    def rough(self, *args, **options):
        return honest(self, solver=options["solver"], tol_gap_abs=1e-2, tol_gap_rel=1e-2, tol_feas=1e-2)

    monkeypatch.setattr(cp.Problem, "solve", rough)
    monkeypatch.setattr(cp.Problem, "status", property(lambda self: "optimal_inaccurate"))
    rng = np.random.default_rng(1)
    informations = {f"m{k}": random_psd(rng, 3, 2, 20.0) for k in range(4)}
    options = {"budget": 5.0, "method": "convex", "integer": False}
    with pytest.raises(
        SolverError, match=r"status 'optimal_inaccurate'. certifies a relative gap of .* only, above"
    ) as caught:
        allocate_information(informations, 1.0, **options)  # fmt: skip
    accepted = allocate_information(informations, 1.0, tolerance=min(0.99, 2 * caught.value.gap), **options)
    assert accepted.status == "optimal_inaccurate"
    assert accepted.gap == pytest.approx(caught.value.gap)


def test_questions_without_an_answer_are_the_same_for_both_methods():
    with pytest.raises(NotEstimableError, match="criterion 'A' is infinite for every affordable combination"):
        ask(limits={"x": (0, 0)})
    settled = ask(budget=None, target=10.0, collected=3)
    assert settled.cost == 0


def test_the_benchmarks_rivals_agree(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    before = set(sys.modules)
    module = import_module("allocation")
    try:
        roots, costs = module.make_problem(4, 3, 2)
        best, gap = module.certified_gap(
            roots, costs, np.array(list(module.ours(roots, costs).counts.values()))
        )
        assert gap <= 1e-6
        for name, method in module.rivals(4, 3).items():
            value, its_gap = module.certified_gap(roots, costs, method(roots, costs))
            assert value == pytest.approx(best, rel=1e-3), name
            assert 0 <= its_gap < 1e-2, name
        monkeypatch.setattr(module, "sum_of_norms", lambda roots, costs: np.ones(3) / costs.sum() / 2)
        with pytest.raises(AssertionError, match=r"sum of norms .* reaches"):
            module.compare(4, 3, 2, rounds=1)
    finally:
        for name in {"allocation", "timing"} & (set(sys.modules) - before):
            del sys.modules[name]


@pytest.mark.parametrize("kind", ["c", "A", "D", "E"])
@pytest.mark.parametrize("question", [{"budget": 50.0}, {"budget": None, "target": 0.1}])
def test_further_constraints_that_leave_too_little_to_estimate(kind, question):
    criterion = criteria.c_criterion([1.0, 1.0]) if kind == "c" else kind
    with pytest.raises(
        NotEstimableError,
        match=r"infinite for all counts that the further constraints allow \(they allow no samples of 'x'\); widen them",
    ):
        ask(lambda n: [n["x"] <= 0], criterion=criterion, **question)


@pytest.mark.parametrize(
    "question",
    [
        {"target": 1e300},
        {"target": 1e-300},
        {"target": -1e300, "criterion": "D"},
        {"target": 1e300, "criterion": "D"},
    ],
)
def test_targets_out_of_the_range_of_numbers(question):
    with pytest.raises(
        InfeasibleError, match=r"target .* is so far from .* outside the range of the convex solver"
    ):
        ask(budget=None, **question)
