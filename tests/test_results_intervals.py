"""Intervals over paired repetitions, against independent formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neural.results.intervals import (
    Interval,
    geometric_interval,
    mean_interval,
    paired_difference,
    paired_ratio,
)
from tests.comparators import assert_allclose_report
from tests.strategies import seeds


@given(seeds, st.integers(2, 40))
def test_mean_interval_is_students(seed, n):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n) * 10.0 ** rng.integers(-6, 6) + rng.integers(-3, 4)
    got = mean_interval(values)
    low, high = stats.t.interval(0.95, n - 1, loc=np.mean(values), scale=stats.sem(values))
    assert_allclose_report(
        [got.estimate, got.low, got.high], [np.mean(values), low, high], rtol=1e-9, atol=1e-12
    )
    assert got.n == n
    assert mean_interval(values.tolist()) == got


def test_mean_interval_covers_the_mean_as_often_as_it_says():
    # binomial(3000, 0.95) differs from 2850 by 54 or more with probability 1.1e-5; the normal quantile 1.96
    # in place of Student's covers 85.5% at n = 4, which is 285 fewer
    rng = np.random.default_rng(0)
    intervals = [mean_interval(values) for values in 2.0 + 3.0 * rng.standard_normal((3000, 4))]
    covered = sum(not interval.excludes(2.0) for interval in intervals)
    assert abs(covered - 2850) < 54


def test_interval_excludes_what_lies_outside_and_keeps_its_ends():
    interval = Interval(1.0, 0.5, 2.0, 3)
    answers = {0.49: True, 0.5: False, 1.0: False, 2.0: False, 2.01: True, -1.0: True}
    assert {value: interval.excludes(value) for value in answers} == answers
    assert interval.excludes(float("nan")), "nothing is claimed about what is not a number"
    assert str(Interval(0.123456, -1.0, 12345.6, 3)) == "0.1235 [-1, 1.235e+04]"


@given(seeds, st.integers(2, 20))
def test_paired_difference_is_the_interval_of_differences(seed, n):
    rng = np.random.default_rng(seed)
    treated, control = rng.standard_normal((2, n))
    got = paired_difference(treated, control)
    differences = np.array([t - c for t, c in zip(treated, control, strict=True)])
    low, high = stats.t.interval(0.95, n - 1, loc=differences.mean(), scale=stats.sem(differences))
    assert_allclose_report(
        [got.estimate, got.low, got.high], [differences.mean(), low, high], rtol=1e-9, atol=1e-12
    )
    swapped = paired_difference(control, treated)
    assert_allclose_report(
        [swapped.estimate, swapped.low, swapped.high], [-got.estimate, -got.high, -got.low], atol=1e-14
    )


@given(seeds, st.integers(2, 20))
def test_paired_ratio_does_not_depend_on_the_scale_of_each_repetition(seed, n):
    rng = np.random.default_rng(seed)
    treated, control = np.exp(rng.standard_normal((2, n)))
    scale = 10.0 ** rng.uniform(-6, 6, n)
    got = paired_ratio(treated, control)
    again = paired_ratio(scale * treated, scale * control)
    assert_allclose_report(
        [again.estimate, again.low, again.high], [got.estimate, got.low, got.high], rtol=1e-9
    )
    assert_allclose_report(got.estimate, np.prod(treated / control) ** (1 / n))
    inverse = paired_ratio(control, treated)
    assert_allclose_report(
        [inverse.estimate, inverse.low, inverse.high], [1 / got.estimate, 1 / got.high, 1 / got.low]
    )
    assert got.n == n


@given(seeds, st.integers(2, 20))
def test_geometric_interval_is_the_t_interval_of_logarithms_in_any_unit(seed, n):
    rng = np.random.default_rng(seed)
    logs = rng.standard_normal(n)
    unit = 10.0 ** rng.integers(-9, 10)
    got = geometric_interval(unit * np.exp(logs))
    low, high = stats.t.interval(0.95, n - 1, loc=logs.mean(), scale=stats.sem(logs))
    assert_allclose_report(
        [got.estimate, got.low, got.high], unit * np.exp([logs.mean(), low, high]), rtol=1e-8
    )
    assert got.n == n


def test_paired_ratio_is_the_t_interval_of_logarithms():
    got = paired_ratio([1.0, np.e, np.e**2], [1.0, 1.0, 1.0])
    low, high = stats.t.interval(0.95, 2, loc=1.0, scale=1 / np.sqrt(3))
    assert_allclose_report([got.estimate, got.low, got.high], np.exp([1.0, low, high]))


@given(seeds)
@settings(max_examples=30)
def test_pairing_is_narrower_where_repetitions_share_their_difficulty(seed):
    """Values share all but a hundredth of their variance: the paired interval is a tenth as wide as a rule.

    To fail takes a ratio of two sample variances on 29 degrees of freedom above 24, probability 1.2e-13 in
    each example.
    """
    rng = np.random.default_rng(seed)
    difficulty = 10.0 * rng.standard_normal(30)
    treated, control = difficulty + rng.standard_normal((2, 30))
    paired = paired_difference(treated, control)
    unpaired = stats.ttest_ind(treated, control, equal_var=False).confidence_interval(0.95)
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)
    ratio = paired_ratio(np.exp(treated), np.exp(control))
    assert np.log(ratio.high / ratio.low) < 0.5 * (unpaired.high - unpaired.low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([1.0]), r"at least two repetitions, got shape \(1,\); raise --seeds"),
        (lambda: mean_interval([]), r"at least two repetitions, got shape \(0,\)"),
        (lambda: mean_interval(1.0), r"at least two repetitions, got shape \(\)"),
        (lambda: mean_interval(np.ones((3, 2))), r"at least two repetitions, got shape \(3, 2\)"),
        (lambda: mean_interval([1.0, np.nan, 2.0]), r"repetition 1 is nan, not finite"),
        (lambda: mean_interval([1.0, 2.0, -np.inf]), r"repetition 2 is -inf, not finite"),
        (
            lambda: paired_difference([1.0, 2.0], [1.0, 2.0, 3.0]),
            r"paired values must match one to one, got shapes \(2,\) and \(3,\)",
        ),
        (
            lambda: paired_difference([1.0, 2.0], [1.0]),
            r"must match one to one, got shapes \(2,\) and \(1,\)",
        ),
        (
            lambda: paired_ratio([1.0, 2.0], [1.0]),
            r"must match one to one, got shapes \(2,\) and \(1,\)",
        ),
        (
            lambda: paired_ratio([1.0, 0.0], [1.0, 1.0]),
            r"treated: a ratio on the log scale needs positive values, got 0\.0",
        ),
        (
            lambda: paired_ratio([1.0, 2.0], [1.0, -3.0]),
            r"control: a ratio on the log scale needs positive values, got -3\.0",
        ),
        (
            lambda: paired_ratio([1.0, np.nan], [1.0, 1.0]),
            r"treated: a ratio .* positive values, got nan",
        ),
        (lambda: paired_ratio([1.0, np.inf], [1.0, 1.0]), r"treated: .* got inf"),
        (lambda: paired_ratio([1.0, 2.0], [1.0, np.inf]), r"control: .* got inf"),
        (
            lambda: geometric_interval([1.0, -2.0, 0.0]),
            r"an interval on the log scale needs positive values, got -2\.0",
        ),
        (lambda: geometric_interval([1.0, np.nan]), r"needs positive values, got nan"),
        (lambda: geometric_interval([1.0, np.inf]), r"repetition 1 is inf, not finite"),
        (lambda: geometric_interval([1.0]), r"at least two repetitions, got shape \(1,\)"),
        (lambda: paired_ratio([1.0], [1.0]), r"at least two repetitions, got shape \(1,\)"),
    ],
)
def test_intervals_say_what_is_wrong_with_the_repetitions(call, message):
    with pytest.raises(ValueError, match=message):
        call()
