"""Digits that must not be lost, against exact arithmetic: units and noises far apart, nearly singular designs."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.allocation import allocate, allocate_information
from fisherkit.criteria import a_criterion, c_criterion
from fisherkit.exchange import equivalent_count, exchange_rate, marginal_value
from fisherkit.levels import CountCriterion
from tests.exact_criteria import ExactCriterion
from tests.exact_worlds import exact_worlds
from tests.reference import as_fraction, exact, identity, number, quadratic_inverse, solve_all


def exact_fit(rows, data, std):
    """Exact least squares of floats: estimate (d,), and exact information."""
    a, noise = exact(rows), number(std) * number(std)
    information = a.T @ a / noise
    return solve_all(information, (a.T @ exact(data) / noise)[:, None])[:, 0], information


def in_standard_errors(estimate, solution, information, v):
    """(estimate of v'theta - exact one) / exact standard error, the sum v'theta itself taken exactly."""
    w = exact(v)
    gap = as_fraction(w @ exact(estimate.theta) - w @ solution)
    return float(gap) / float(as_fraction(quadratic_inverse(information, w[:, None])[0])) ** 0.5


@st.composite
def polynomials(draw):
    """(x, degree): points on [0, U] or [-U, U], U from 1e-6 to 1e6; condition below 1e3 in unit columns."""
    degree = draw(st.integers(1, 4))
    size = 10.0 ** draw(st.integers(-6, 6))
    start = draw(st.sampled_from([0.0, -1.0]))
    n = draw(st.integers(degree + 3, 16))
    return size * np.linspace(start, 1.0, n), degree


@settings(max_examples=150)
@given(polynomials(), st.integers(0, 2**32 - 1), st.sampled_from([0.125, 0.1, 1.0]))
def test_polynomials_in_any_unit_are_fitted_to_the_last_digits(points, seed, std):
    x, degree = points
    rows = x[:, None] ** np.arange(degree + 1)
    unit = rows / np.linalg.norm(rows, axis=0)
    assert np.linalg.cond(unit) < 1e3
    y = unit @ np.ones(degree + 1) + std * np.random.default_rng(seed).standard_normal(len(x))
    model = fk.LinearGaussian({"x": fk.Modality(rows[:, None, :], noise_std=std)})
    estimate = fk.fit(fk.Samples(model, {"x": y[:, None]}))
    solution, information = exact_fit(rows, y, std)
    middle = (float(x[0] + x[-1]) / 2 + 0.1) ** np.arange(degree + 1)
    asked = np.concatenate([np.eye(degree + 1), middle[:, None]], axis=1)
    exact_variances = [float(as_fraction(q)) for q in quadratic_inverse(information, exact(asked))]
    np.testing.assert_allclose(estimate.variance(asked), exact_variances, rtol=1e-9)
    np.testing.assert_allclose(fk.cramer_rao(model, len(x), asked), exact_variances, rtol=1e-9)
    np.testing.assert_allclose(np.diag(estimate.covariance), exact_variances[:-1], rtol=1e-9)
    for v in np.eye(degree + 1):
        assert abs(in_standard_errors(estimate, solution, information, v)) < 1e-9
    low, high = estimate.interval(middle)
    centre = as_fraction(exact(middle) @ solution)
    half = 1.959963984540054 * exact_variances[-1] ** 0.5
    assert abs(float(as_fraction(float(low)) - centre) + half) < 1e-6 * half
    assert abs(float(as_fraction(float(high)) - centre) - half) < 1e-6 * half


@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e6, 1e8, 1e9, 1e10])
def test_a_much_noisier_modality_takes_no_digits(ratio):
    # theta_1 + theta_2 is known from x alone to variance 1, whatever y adds about theta_1
    model = fk.LinearGaussian({
        "x": fk.Modality([[1.0, 1.0]]),
        "y": fk.Modality([[1.0, 0.0]], noise_std=ratio),
    })
    estimate = fk.fit(fk.simulate(model, 1, seed=0, theta=[1.0, 2.0]))
    assert abs(float(estimate.variance([1.0, 1.0])) - 1) < 1e-9
    assert abs(float(fk.cramer_rao(model, 1, [1.0, 1.0])) - 1) < 1e-9
    assert abs(float(estimate.variance([1.0, 0.0])) / ratio**2 - 1) < 1e-4
    low, high = estimate.interval([1.0, 1.0])
    assert abs((high - low) / (2 * 1.959963984540054) - 1) < 1e-9


@pytest.mark.parametrize("ratio", [1e3, 1e6, 1e9, 1e12])
def test_a_modality_that_tells_nothing_moves_nothing(ratio):
    # text has an offset of its own in its only coordinate: it says nothing about theta_c
    good = fk.Modality([[1.0, 0.25], [0.25, 1.0]], noise_std=1 / np.sqrt(ratio))
    text = fk.Modality([[0.5, 0.75]], [[1.0]], noise_std=np.sqrt(ratio))
    model = fk.LinearGaussian({"image": good, "text": text})
    data = fk.simulate(model, 10, seed=3, theta=[1.0, 2.0, 0.5])
    estimate = fk.fit(data)
    rows = np.tile(good.shared, (10, 1))
    solution, information = exact_fit(rows, data["image"].ravel(), good.noise_std)
    for i, v in enumerate(np.eye(2)):
        variance = float(as_fraction(quadratic_inverse(information, exact(v)[:, None])[0]))
        gap = float(as_fraction(float(estimate.shared[i])) - as_fraction(solution[i])) / variance**0.5
        # the last digit of a float estimate is this much of a standard error
        assert abs(gap) < 1e-8 + 4 * np.finfo(float).eps * abs(estimate.shared[i]) / variance**0.5


@pytest.mark.parametrize("exponent", range(10, 25, 2))
def test_a_value_of_nearly_singular_designs(exponent):
    eps = 2.0**-exponent
    model = fk.LinearGaussian({"x": fk.Modality([[1.0, 1.0], [1.0, 1.0 + eps]])})
    m = number(100) * exact([[1, 1], [1, 1 + eps]]).T @ exact([[1, 1], [1, 1 + eps]])
    truth = as_fraction(sum(quadratic_inverse(m, identity(2)), number(0)))
    plan = allocate(model, 1.0, budget=100.0)
    said = {
        "CountCriterion": CountCriterion(model, a_criterion()).value({"x": 100.0}),
        "cramer_rao": float(fk.cramer_rao(model, 100, np.eye(2)).sum()),
        "allocate": plan.value,
        "allocate, whole": plan.integer_value,
        "PSD": a_criterion().value(fk.PSD.of(fk.effective_information(model, 100))),
    }
    wrong = {name: value for name, value in said.items() if abs(Fraction(value) / truth - 1) > 1e-6}
    assert not wrong, f"exact {float(truth)!r}, got {wrong}"
    assert Fraction(plan.bound) <= truth
    assert Fraction(plan.integer_loss) >= 1 - Fraction(plan.bound) / truth - Fraction(1, 10**15)


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_loss_of_graded_informations_is_a_bound(seed):
    # informations of one rank each, many orders of magnitude apart, as matrices of integers times 2^k
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 4))
    given_, exactly = {}, {}
    for k in range(d + 1):
        root = rng.integers(-3, 4, (int(rng.integers(1, 3)), d)) * 2.0 ** rng.integers(-8, 9)
        given_[f"k{k}"], exactly[f"k{k}"] = root.T @ root, exact(root).T @ exact(root)
    given_["all"], exactly["all"] = np.eye(d) * 2.0**-12, identity(d) * number(2.0**-12)
    plan = allocate_information(given_, 1.0, budget=20.0)
    m = sum((number(n) * exactly[name] for name, n in plan.integer_counts.items()), 0 * identity(d))
    truth = ExactCriterion("A").phi(m)
    assert plan.bound <= truth
    assert plan.integer_loss >= 1 - plan.bound / truth - 1e-15
    assert abs(plan.integer_value / truth - 1) < 1e-6


@settings(max_examples=60)
@given(exact_worlds("plain"), st.integers(0, 2**32 - 1))
def test_units_of_parameters_change_no_estimable_answer(world, seed):
    # the same world twice, parameters measured in units 2^-100 to 2^100 of the first
    rng = np.random.default_rng(seed)
    exponents = rng.integers(-100, 101, world.n_params)
    d_c, modalities = world.shared_dim, {}
    for name, part in world.parts.items():
        place = world.slices[name]
        modalities[name] = fk.Modality(
            part.shared * 2.0 ** exponents[:d_c], part.private * 2.0 ** exponents[place], **part.noise
        )
    other = fk.LinearGaussian(modalities)
    unit = 2.0**exponents
    v, w = world.directions, world.directions * unit[:, None]
    same = {"rtol": 1e-9, "atol": 0.0}
    np.testing.assert_allclose(
        fk.cramer_rao(other, world.counts, w), fk.cramer_rao(world.model, world.counts, v), **same
    )
    theta = rng.integers(-3, 4, world.n_params).astype(float)
    here = fk.fit(fk.simulate(world.model, world.counts, seed=1, theta=theta))
    there = fk.fit(fk.simulate(other, world.counts, seed=1, theta=theta / unit))
    assert np.array_equal(here.estimable(v), there.estimable(w))
    np.testing.assert_allclose(there.variance(w), here.variance(v), **same)
    inside = here.estimable(v)
    np.testing.assert_allclose(
        there.value(w)[inside],
        here.value(v)[inside],
        rtol=1e-9,
        atol=1e-9 * here.std_error(v)[inside].max(initial=0),
    )
    asked = world.shared_directions[:, :1]
    for one, two in ((c_criterion(asked), c_criterion(asked * unit[:d_c, None])), ("D", "D")):
        first, second = (marginal_value(m, world.counts, c) for m, c in ((world.model, one), (other, two)))
        np.testing.assert_allclose(list(second.values()), list(first.values()), rtol=1e-8, atol=0.0)


@settings(max_examples=100)
@given(exact_worlds("plain"))
def test_a_modality_without_information_is_worth_exactly_nothing(world):
    # every shared direction that it sees is explained by private parameters of its own
    private = np.concatenate([np.eye(world.shared_dim)] * 2, axis=0)
    useless = fk.Modality(
        np.concatenate([np.eye(world.shared_dim) * 3.0] * 2, axis=0), private, noise_std=0.3
    )
    model = fk.LinearGaussian({**world.model.modalities, "useless": useless})
    counts = {**world.amounts, "useless": 7.0, world.names[0]: 3.0}
    m = world.effective({n: c for n, c in counts.items() if n != "useless"})
    for label, criterion, exactly in world.criteria:
        if not np.isfinite(float(exactly.phi(m))):
            continue
        assert marginal_value(model, counts, criterion)["useless"] == 0.0, label
        assert (
            equivalent_count(model, counts, of="useless", in_=world.names[0], criterion=criterion) == 0.0
        ), label
        if exactly.marginal(m, world.parts[world.names[0]].effective(1)):
            assert (
                exchange_rate(model, counts, of="useless", in_=world.names[0], criterion=criterion) == 0.0
            ), label
