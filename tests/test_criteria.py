"""Criteria against their textbook formulas, finite differences and exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.criteria import (
    Criterion,
    a_criterion,
    as_criterion,
    c_criterion,
    d_criterion,
    e_criterion,
)  # fmt: skip
from tests import reference
from tests.strategies import integer_instance, orthogonal, random_psd, seeds

EVERY = ("c", "A", "D", "E")


def dense_value(name, m, v):
    """phi of a well-conditioned matrix by inverse, determinant and eigenvalues."""
    inverse = np.linalg.inv(m)
    return {
        "c": np.trace(v.T @ inverse @ v),
        "A": np.trace(inverse),
        "D": -np.log(np.linalg.det(m)),
        "E": 1 / np.linalg.eigvalsh(m)[0],
    }[name]


def make(name, v):
    return c_criterion(v) if name == "c" else as_criterion(name)


def instance(seed, d, condition=100.0):
    rng = np.random.default_rng(seed)
    m = random_psd(rng, d, d, condition)
    s = random_psd(rng, d, int(rng.integers(1, d + 1)), 10.0)
    return rng, m, s, rng.standard_normal((d, int(rng.integers(1, 3))))


@given(seeds, st.integers(1, 6), st.sampled_from(EVERY))
def test_value_is_the_textbook_formula(seed, d, name):
    _, m, _, v = instance(seed, d)
    assert make(name, v).value(fk.PSD.of(m)) == pytest.approx(dense_value(name, m, v), rel=1e-9, abs=1e-9)


@given(seeds, st.integers(1, 6), st.sampled_from(EVERY))
def test_gradient_and_marginal_value_are_the_finite_difference(seed, d, name):
    _, m, s, v = instance(seed, d)
    criterion, psd = make(name, v), fk.PSD.of(m)
    values = np.linalg.eigvalsh(m)
    if name == "E" and d > 1 and values[1] < 1.05 * values[0]:
        return  # a kink nearby: the difference quotient is not the derivative
    h = 1e-5 * values[0]
    numeric = (dense_value(name, m - h * s, v) - dense_value(name, m + h * s, v)) / (2 * h)
    w = criterion.gradient(psd)
    assert np.linalg.eigvalsh(w)[0] > -1e-9 * np.trace(w)
    assert np.trace(w @ s) == pytest.approx(numeric, rel=1e-5, abs=1e-7 * np.trace(w) * np.trace(s))
    assert criterion.marginal_value(psd, fk.PSD.of(s).root) == pytest.approx(
        np.trace(w @ s), rel=1e-8, abs=1e-12 * np.trace(w) * np.trace(s)
    )
    assert criterion.smooth_at(psd)


@given(seeds)
def test_c_at_singular_information_against_exact_fractions(seed):
    m, s, v = integer_instance(np.random.default_rng(seed))
    psd, criterion = fk.PSD.of(m.astype(float)), c_criterion(v.astype(float))
    root = fk.PSD.of(s.astype(float)).root
    before = reference.exact_rank_and_variance(m, v)[1]
    worth = criterion.marginal_value(psd, root)
    if before is None:
        helped = reference.exact_rank_and_variance(m + s, v)[1] is not None
        assert worth == (np.inf if helped else 0.0)
        return
    n = 10**9  # phi(M + S / n) = n v'(n M + S)^- v, without any rounding
    after = n * reference.exact_rank_and_variance(n * m.astype(object) + s, v)[1]
    exact = float((Fraction(before) - after) * n)
    assert worth == pytest.approx(exact, rel=1e-5, abs=1e-12)
    assert (worth == 0) == (exact == 0)
    assert np.trace(criterion.gradient(psd) @ s) >= worth * (1 - 1e-9) - 1e-12  # documented: it overstates


def test_corollary_3s_counterexample_is_worth_exactly_nothing():
    m, s, v = np.diag([1.0, 0.0]), np.ones((2, 2)), [1.0, 0.0]
    criterion, psd = c_criterion(v), fk.PSD.of(m)
    assert criterion.marginal_value(psd, fk.PSD.of(s).root) == 0
    assert np.trace(criterion.gradient(psd) @ s) == pytest.approx(1)
    assert not criterion.smooth_at(psd)


def test_e_has_kinks_and_says_so():
    psd, e = fk.PSD.of(np.diag([1.0, 1.0, 5.0])), e_criterion()
    assert not e.smooth_at(psd)
    np.testing.assert_allclose(e.gradient(psd), np.diag([0.5, 0.5, 0.0]), atol=1e-12)
    assert e.marginal_value(psd, [[1.0, 0.0, 0.0]]) == 0  # improves one of two worst directions
    assert e.marginal_value(psd, np.diag([1.0, 2.0, 0.0])) == pytest.approx(1.0)
    assert e.smooth_at(fk.PSD.of(np.diag([1.0, 2.0])))


@given(seeds, st.integers(1, 5), st.sampled_from(EVERY), st.floats(0.01, 100))
def test_factor_to_reach_reaches(seed, d, name, ratio):
    _, m, _, v = instance(seed, d)
    criterion = make(name, v)
    level = dense_value(name, m, v) * ratio if name != "D" else dense_value(name, m, v) + np.log(ratio)
    r = criterion.factor_to_reach(fk.PSD.of(m), level)
    assert dense_value(name, r * m, v) == pytest.approx(level, rel=1e-9, abs=1e-9)


@given(seeds, st.integers(1, 5), st.sampled_from(EVERY))
def test_rotating_the_parameters_changes_nothing(seed, d, name):
    rng, m, s, v = instance(seed, d)
    q = orthogonal(rng, d)
    a, b = make(name, v), make(name, q.T @ v)
    first, second = fk.PSD.of(m), fk.PSD.of((q.T @ m @ q + (q.T @ m @ q).T) / 2)
    assert a.value(first) == pytest.approx(b.value(second), rel=1e-9, abs=1e-9)
    root = fk.PSD.of(s).root
    values = np.linalg.eigvalsh(m)
    if name != "E" or d == 1 or values[1] > 1.05 * values[0]:
        assert a.marginal_value(first, root) == pytest.approx(
            b.marginal_value(second, root @ q),
            rel=1e-6,
            abs=1e-12 * np.trace(a.gradient(first)) * np.trace(s),
        )


@given(seeds, st.integers(1, 5))
def test_d_values_do_not_depend_on_units(seed, d):
    rng, m, s, _ = instance(seed, d)
    unit = 10.0 ** rng.uniform(-6, 6, d)
    d_opt, root = d_criterion(), fk.PSD.of(s).root
    a = d_opt.marginal_value(fk.PSD.of(m), root)
    b = d_opt.marginal_value(fk.PSD.of(m * np.outer(unit, unit)), root * unit)
    assert a == pytest.approx(b, rel=1e-8)


@given(seeds, st.integers(2, 5), st.sampled_from(["A", "D", "E"]))
def test_what_is_not_estimable_is_infinite(seed, d, name):
    rng = np.random.default_rng(seed)
    m = random_psd(rng, d, d - 1)
    criterion, psd = as_criterion(name), fk.PSD.of(m)
    blind = psd.null_basis[:, 0]
    assert np.isinf(criterion.value(psd))
    assert not criterion.smooth_at(psd)
    assert np.isinf(criterion.factor_to_reach(psd, 1.0))
    assert criterion.marginal_value(psd, psd.root) == 0
    assert np.isinf(criterion.marginal_value(psd, blind[None]))
    assert np.isinf(c_criterion(blind).value(psd))
    with pytest.raises(ValueError, match=f"infinite at this information .rank {d - 1} of {d}."):
        criterion.gradient(psd)


def test_several_directions_add():
    psd = fk.PSD.of(np.diag([1.0, 4.0]))
    assert c_criterion(np.eye(2)).value(psd) == a_criterion().value(psd) == 1.25
    np.testing.assert_array_equal(c_criterion(np.eye(2)).gradient(psd), a_criterion().gradient(psd))


def test_names_and_text():
    assert [as_criterion(n).name for n in ("A", "D", "E")] == ["A", "D", "E"]
    a = a_criterion()
    assert as_criterion(a) is a
    assert repr(a) == "Criterion('A')"
    assert repr(c_criterion([1.0, 2.0])) == "Criterion('c', directions [[1. 2.]])"


def test_bad_requests_are_refused():
    psd = fk.PSD.of(np.eye(2))
    with pytest.raises(fk.UnknownNameError, match="unknown criterion 'Dopt'; known: 'c', 'A', 'D', 'E'"):
        as_criterion("Dopt")
    with pytest.raises(TypeError, match=r"expected 'A', 'D', 'E' or c_criterion\(v\), got list"):
        as_criterion([1.0, 0.0])
    with pytest.raises(ValueError, match=r"'c' needs directions: pass c_criterion\(v\)"):
        as_criterion("c")
    with pytest.raises(ValueError, match="criterion 'A' takes no directions"):
        Criterion("A", np.ones(2))
    with pytest.raises(ValueError, match="directions: column 1 is zero; nothing would be asked for"):
        c_criterion([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="directions: none; nothing would be asked for"):
        c_criterion(np.zeros((2, 0)))
    with pytest.raises(ValueError, match=r"directions: NaN at index \(0,\)"):
        c_criterion([np.nan, 1.0])
    for ask in ("value", "gradient", "smooth_at"):
        with pytest.raises(ValueError, match=r"directions: expected length 2 .*, got 3"):
            getattr(c_criterion(np.ones(3)), ask)(psd)
    with pytest.raises(
        ValueError, match=r"root of the contribution: expected shape \(any, 2\), got \(1, 3\)"
    ):
        a_criterion().marginal_value(psd, np.ones((1, 3)))
    with pytest.raises(ValueError, match="level: criterion 'A' takes finite positive values, got -1"):
        a_criterion().factor_to_reach(psd, -1.0)
    with pytest.raises(ValueError, match="level: criterion 'D' takes finite values, got nan"):
        d_criterion().factor_to_reach(psd, float("nan"))
