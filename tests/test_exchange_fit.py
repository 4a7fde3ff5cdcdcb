"""Fitted surfaces: planted rates, projections, coverage of intervals, size and power of the F test."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kstest

import fisherkit as fk
from fisherkit.exchange import ExchangeSurface
from fisherkit.exchange_fit import (
    Interval,
    Rows,
    bootstrap,
    describe,
    fit_monotone,
    fit_plane,
    fit_power_law,
    lack_of_fit,
    words,
)  # fmt: skip
from tests.strategies import seeds

FITS = (fit_plane, fit_power_law, fit_monotone)


def grid(x, y, repeat=1):
    n_x, n_y = np.meshgrid(x, y)
    return np.repeat(n_x.ravel(), repeat), np.repeat(n_y.ravel(), repeat)


SHOTS = grid([1, 2, 4, 8, 16], [0, 2, 8, 32])


@given(seeds, st.sampled_from(["higher", "lower"]))
def test_plane_is_least_squares(seed, better):
    rng = np.random.default_rng(seed)
    n_x, n_y = rng.integers(0, 20, (2, 12))
    metric = rng.standard_normal(12)
    n_x[:3], n_y[:3] = [0, 1, 0], [0, 0, 1]
    plane = fit_plane(n_x, n_y, metric, better=better)
    residual = metric - plane.predict(n_x, n_y)
    np.testing.assert_allclose(
        [residual.sum(), residual @ n_x, residual @ n_y], 0, atol=1e-9
    )  # normal equations
    total = np.square(metric - metric.mean()).sum()
    assert plane.r_squared == pytest.approx(1 - residual @ residual / total)
    assert plane.aic == pytest.approx(12 * np.log(residual @ residual / 12) + 8)


@given(seeds, st.floats(0.01, 5))
def test_plane_rate_and_isoline(seed, rate):
    rng = np.random.default_rng(seed)
    slope = rng.uniform(0.1, 3)
    n_x, n_y = SHOTS
    accuracy = 50 + slope * (n_x + rate * n_y)
    plane = fit_plane(n_x, n_y, accuracy)
    turned = fit_plane(n_y, n_x, accuracy)
    error = fit_plane(n_x, n_y, 100 - accuracy, better="lower")
    assert float(plane.rate()) == pytest.approx(rate, rel=1e-9)
    assert plane.rate() * turned.rate() == pytest.approx(1)
    assert float(error.rate(3, [1, 2])[1]) == pytest.approx(rate, rel=1e-9)
    level, y = 50 + slope * 200, np.array([0, 10, 1e6])
    np.testing.assert_allclose(plane.isoline(level, y), np.maximum(200 - rate * y, 0), rtol=1e-9)
    np.testing.assert_allclose(error.isoline(100 - level, y), plane.isoline(level, y), rtol=1e-9)


def test_signs_of_a_plane():
    n_x, n_y = SHOTS
    hurting = fit_plane(n_x, n_y, 50.0 + n_x - 0.1 * n_y)
    assert hurting.rate() == pytest.approx(-0.1)
    only_text = fit_plane(n_x, n_y, 50.0 - n_x + 0.1 * n_y)
    assert only_text.rate() == np.inf
    np.testing.assert_array_equal(only_text.isoline(52.0, [0, 100]), [np.inf, 0])
    assert np.isnan(fit_plane(n_x, n_y, 50.0 - n_x - 0.1 * n_y).rate())


@settings(max_examples=25)
@given(
    st.floats(-2, 1),
    st.floats(0.2, 2),
    st.floats(0.3, 10),
    st.booleans(),
    st.sampled_from(["higher", "lower"]),
)
def test_power_law_recovers_the_planted_exchange(log_rate, power, offset, swap_units, better):
    rate, unit = 10**log_rate, 100.0 if swap_units else 1.0
    n_x, n_y = grid(np.array([0, 1, 2, 4, 8, 16]) * unit, [0, 2, 8, 32])
    sign = 1 if better == "higher" else -1
    metric = 70 - sign * 40 * ((n_x + rate * unit * n_y) / unit + offset) ** -power
    law = fit_power_law(n_x, n_y, metric, better=better)
    assert law.r_squared > 1 - 1e-6
    assert float(law.rate(3, 4)) == pytest.approx(rate * unit, rel=1e-2)
    level, y = float(law.predict(10 * unit, 5.0)), 5.0
    assert float(law.isoline(level, y)) == pytest.approx(10 * unit, rel=1e-9)
    assert law.isoline(law.asymptote, y) == np.inf
    assert law.isoline(float(law.predict(0, 1)), y) == 0


def test_power_law_beats_the_plane_where_accuracy_saturates_and_not_on_a_plane():
    rng = np.random.default_rng(3)
    n_x, n_y = (np.repeat(a, 4) for a in SHOTS)
    noise = 0.5 * rng.standard_normal(len(n_x))
    bent = 90 - 60 * (n_x + 0.2 * n_y + 1.0) ** -0.8 + noise
    law = fit_power_law(n_x, n_y, bent)
    assert law.aic < fit_plane(n_x, n_y, bent).aic - 20
    assert law.exchange == pytest.approx(0.2, rel=0.25)  # the spread over seeds is 0.014
    flat = 50 + n_x + 0.2 * n_y + noise
    assert fit_plane(n_x, n_y, flat).aic < fit_power_law(n_x, n_y, flat).aic
    useless = 90 - 60 * (n_x + 1.0) ** -0.8
    assert fit_power_law(n_x, n_y, useless).exchange == pytest.approx(0, abs=1e-4)
    constant = fit_power_law(n_x, n_y, np.full(len(n_x), 3.0))
    assert np.isnan(constant.rate())
    assert np.isnan(constant.r_squared)
    assert constant.aic == -np.inf


@given(seeds, st.sampled_from(["higher", "lower"]), st.booleans())
def test_monotone_fit_is_the_projection_on_monotone_surfaces(seed, better, full):
    rng = np.random.default_rng(seed)
    n_x, n_y = SHOTS if full else rng.integers(0, 6, (2, 15))
    if not full:
        n_x[:3], n_y[:3] = [0, 1, 0], [0, 0, 1]
    sign = 1 if better == "higher" else -1
    metric = sign * (n_x + 0.3 * n_y) + rng.standard_normal(len(n_x)) * rng.choice([0.1, 5.0, 100.0])
    surface = fit_monotone(n_x, n_y, metric, better=better)
    assert (np.diff(sign * surface.values, axis=0) >= 0).all()
    assert (np.diff(sign * surface.values, axis=1) >= 0).all()
    fitted = surface.predict(n_x, n_y)
    residual = metric - fitted
    # the projection on a convex cone: residual orthogonal to the fit, and against every monotone surface
    scale = np.abs(metric).max() ** 2 * len(metric)
    assert abs(residual @ fitted) < 1e-9 * scale
    assert abs(residual.sum()) < 1e-9 * scale
    for _ in range(20):
        a, b = rng.integers(0, 33, 2)
        step = sign * (((n_x >= a) & (n_y >= b)) | (n_x + n_y > rng.integers(40)))  # an upper set
        assert residual @ step < 1e-9 * scale


@given(seeds, st.sampled_from(["higher", "lower"]))
def test_monotone_fit_returns_monotone_data_unchanged(seed, better):
    rng = np.random.default_rng(seed)
    n_x, n_y = (np.repeat(a, 2) for a in SHOTS)
    sign = 1 if better == "higher" else -1
    metric = sign * (rng.uniform(0, 2) * np.sqrt(n_x) + rng.uniform(0, 2) * np.log1p(n_y))
    surface = fit_monotone(n_x, n_y, metric, better=better)
    np.testing.assert_array_equal(surface.predict(n_x, n_y), metric)
    assert surface.r_squared == 1


def test_monotone_rate_is_a_finite_exchange():
    n_x, n_y = grid([0, 10, 20, 30], [0, 5, 10])
    surface = fit_monotone(n_x, n_y, 1.0 * n_x + 2.0 * n_y)  # one y for two x, exactly
    np.testing.assert_allclose(surface.rate([0, 5, 10, 20], [5, 5, 10, 0]), 2)
    assert surface.rate(30, 10) == np.inf  # no measured x makes up for it
    np.testing.assert_allclose(surface.isoline(30.0, [0, 2.5, 5]), [30, 25, 20])
    assert surface.isoline(-5.0, 0) == 0
    assert surface.isoline(31.0, 0) == np.inf
    useless = fit_monotone(n_x, n_y, np.minimum(n_x, 10.0))
    np.testing.assert_array_equal(useless.rate([5, 30], 10), [0, 0])
    assert surface.predict(1000, 1000) == 50  # constant beyond what was measured
    assert np.isnan(fit_monotone(n_x, n_y, np.full(len(n_x), 3.0)).rate(5, 5))
    with pytest.raises(ValueError, match="n_x: NaN"):
        surface.rate(np.nan, 5)


def test_theory_and_fits_answer_alike():
    model = fk.LinearGaussian({"image": fk.Modality([[1.0]]), "text": fk.Modality([[1.0]], noise_std=2.0)})
    theory = ExchangeSurface(model)  # variance 1 / (n_x + n_y / 4): a power law
    n_x, n_y = grid([1, 2, 4, 8, 16], [0, 4, 16])
    variance = theory.predict(n_x, n_y)
    law = fit_power_law(n_x, n_y, variance, better="lower")
    np.testing.assert_allclose(law.predict(n_x, n_y), variance, rtol=1e-4)
    for surface, tolerance in ((theory, 1e-12), (law, 1e-3)):
        assert float(surface.rate(3, 4)) == pytest.approx(0.25, rel=tolerance)
        assert float(surface.isoline(0.2, 4)) == pytest.approx(4, rel=tolerance)
    dense = fit_monotone(
        *(axes := grid(np.arange(1, 17), np.arange(0, 17, 4))), theory.predict(*axes), better="lower"
    )
    assert float(dense.rate(3, 4)) == pytest.approx(1 / 4)
    assert float(dense.isoline(0.2, 4)) == pytest.approx(4)


def coverage(trials, fit, truth, noise, clustered):
    hits, x, y = 0, [1, 2, 4], [0, 8]
    for trial in range(trials):
        rng = np.random.default_rng([trial, clustered])
        n_x, n_y = grid(x, y, repeat=10)
        seed = np.tile(np.arange(10), 6)
        error = noise * rng.standard_normal(60)
        if clustered:  # the effect of text differs from seed to seed: independent rows would be far too sure
            error += 0.1 * rng.standard_normal(10)[seed] * n_y
        metric = 50 + 2.0 * (n_x + truth * n_y) + error
        interval = bootstrap(
            fit, n_x, n_y, metric, seed=trial, replicates=120, groups=seed if clustered else None
        )
        hits += interval.low <= truth <= interval.high
    return hits


@pytest.mark.parametrize("clustered", [False, True])
def test_bootstrap_intervals_cover(clustered):
    hits = coverage(100, fit_plane, 0.25, 1.0, clustered)
    # nominal 95 %; over 400 trials 94 % of independent rows and 91 % of ten seeds: false alarm 2e-4 at 91 %
    assert hits >= 80
    assert binom.cdf(79, 100, 0.91) < 2e-4
    assert hits < 100  # false alarm 6e-3 at 95 %, on fixed seeds


def test_ignoring_that_seeds_are_shared_is_too_sure():
    rng = np.random.default_rng(0)
    n_x, n_y = grid([1, 2, 4, 8, 16], [0, 8], repeat=10)
    seed = np.tile(np.arange(10), 10)
    metric = 50 + 2 * n_x + (0.5 + 0.2 * rng.standard_normal(10)[seed]) * n_y + 0.3 * rng.standard_normal(100)
    alone, paired = (
        bootstrap(fit_plane, n_x, n_y, metric, seed=1, replicates=300, groups=g) for g in (None, seed)
    )
    assert paired.high - paired.low > 1.3 * (alone.high - alone.low)
    assert alone.estimate == paired.estimate == fit_plane(n_x, n_y, metric).rate()


@pytest.mark.parametrize("fit", [fit_plane, partial(fit_power_law, starts=1), fit_monotone])
def test_bootstrap_works_with_every_fit_and_is_reproducible(fit):
    rng = np.random.default_rng(0)
    n_x, n_y = (np.repeat(a, 3) for a in SHOTS)
    metric = 90 - 60 * (n_x + 0.2 * n_y + 1.0) ** -0.8 + 0.3 * rng.standard_normal(len(n_x))
    first, again, other = (
        bootstrap(fit, n_x, n_y, metric, seed=s, replicates=40, at=(4, 8)) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, other.draws)
    assert first.low <= first.high
    assert len(first.draws) + first.failed == 40
    assert (np.diff(first.draws) >= 0).all()


def test_lack_of_fit_has_the_right_size_on_planes():
    n_x, n_y = grid([1, 2, 4], [0, 8, 16], repeat=3)
    rng = np.random.default_rng(7)
    tests = [
        lack_of_fit(fit_plane(n_x, n_y, 50 + 2 * n_x + 0.3 * n_y + rng.standard_normal(27)))
        for _ in range(400)
    ]
    assert kstest([t.p_value for t in tests], "uniform").pvalue > 1e-4  # false alarm 1e-4
    rejected = sum(t.rejected for t in tests)
    assert rejected <= 41  # P(Binomial(400, 0.05) > 41) = 1e-5
    assert binom.sf(41, 400, 0.05) < 2e-5
    assert (tests[0].df_misfit, tests[0].df_error) == (6, 18)


def test_lack_of_fit_rejects_a_bent_surface_and_accepts_the_law_that_made_it():
    rng = np.random.default_rng(1)
    n_x, n_y = (np.repeat(a, 5) for a in SHOTS)
    metric = 90 - 60 * (n_x + 0.2 * n_y + 1.0) ** -0.8 + rng.standard_normal(len(n_x))
    plane, law = (lack_of_fit(fit(n_x, n_y, metric)) for fit in (fit_plane, fit_power_law))
    assert plane.p_value < 1e-6
    assert plane.verdict.startswith("plane is a bad description: its typical misfit of ")
    assert plane.verdict.endswith("its rate is an average over a bend")
    assert not law.rejected
    assert "no lack of fit found" in repr(law)
    assert law.noise == pytest.approx(1, abs=0.3)  # 80 degrees of freedom: 4 standard errors


def test_lack_of_fit_by_the_textbook():
    # replicates 1, 3 / 2, 4 / 9, 11 / 4, 6 on four points: pure error 8 on 4 degrees of freedom
    n_x, n_y = np.repeat([[0, 1, 1, 0], [0, 0, 1, 1]], 2, axis=1)
    test = lack_of_fit(fit_plane(n_x, n_y, [1, 3, 2, 4, 9, 11, 4, 6]))
    # means 2, 3, 10, 5: the interaction contrast is 2 - 3 + 10 - 5 = 4, its sum of squares 2 * 4^2 / 4 = 8
    assert test.statistic == pytest.approx((8 / 1) / (8 / 4))
    assert (test.df_misfit, test.df_error, test.rejected) == (1, 4, False)
    exact = lack_of_fit(fit_plane(n_x, n_y, np.repeat([2.0, 3.0, 10.0, 5.0], 2)))
    assert exact.statistic == np.inf
    assert exact.rejected
    assert "on rows without noise" in exact.verdict
    assert lack_of_fit(fit_plane(n_x, n_y, 1.0 * n_x + n_y)).statistic == 0


def test_words():
    assert words(0.1, 22.8) == pytest.approx(228)
    assert words(0.0, 10) == words(-1.0, 10) == np.inf
    assert words(np.inf, 10) == 0
    assert np.isnan(words(np.nan, 10))
    assert describe(0.01, 10.34) == "1 image = 1034 words"
    assert describe(4.0, 10) == "1 image = 2.5 words"
    assert describe(0.0, 10) == "1 image = inf words"
    interval = Interval(0.05, 0.0, 0.1, 0.9, np.zeros(3), 2)
    assert describe(interval, 1, x="clip", unit="sentences") == "1 clip = 20 sentences [10, inf]"
    assert repr(interval) == "0.05 [0, 0.1] (90%, 2 replicates failed)"


@pytest.mark.parametrize("fit", FITS)
def test_bad_rows_are_refused(fit):
    n_x, n_y = SHOTS
    metric = 1.0 * n_x + n_y
    with pytest.raises(
        ValueError, match=r"rows: n_x, n_y and metric need the same positive length, got .*'metric': 2"
    ):
        fit(n_x, n_y, [1.0, 2.0])
    with pytest.raises(ValueError, match="n_y: count -1 in row 0; must be >= 0"):
        fit(n_x, n_y - 1, metric)
    with pytest.raises(ValueError, match=r"metric: NaN at index \(2,\)"):
        fit(n_x, n_y, np.where(np.arange(20) == 2, np.nan, metric))
    with pytest.raises(fk.UnknownNameError, match="unknown value of better 'high'; did you mean 'higher'"):
        fit(n_x, n_y, metric, better="high")
    with pytest.raises(
        ValueError, match=r"lie on one line of .n_x, n_y., so the effects cannot be told apart"
    ):
        fit(n_x, 2 * n_x, metric)
    with pytest.raises(ValueError, match=r"rows for . parameters; measure more cells"):
        fit(n_x[:3], n_y[:3], metric[:3])


def test_bad_requests_are_refused():
    n_x, n_y = SHOTS
    metric = 1.0 * n_x + n_y
    with pytest.raises(
        ValueError, match=r"no design point .* has two rows, so nothing says how noisy they are"
    ):
        bootstrap(fit_plane, n_x, n_y, metric, seed=0)
    with pytest.raises(ValueError, match="groups: fewer than two groups"):
        bootstrap(fit_plane, n_x, n_y, metric, seed=0, groups=np.zeros(20))
    with pytest.raises(ValueError, match=r"groups: expected one label for each of 20 rows, got shape \(3,\)"):
        bootstrap(fit_plane, n_x, n_y, metric, seed=0, groups=[1, 2, 3])
    with pytest.raises(
        ValueError, match=r"replicates: an interval of level 0.95 .* needs at least 39, got 2"
    ):
        bootstrap(fit_plane, n_x, n_y, metric, seed=0, replicates=2)
    with pytest.raises(ValueError, match=r"level: must lie in \(0, 1\), got 1"):
        bootstrap(fit_plane, n_x, n_y, metric, seed=0, level=1)
    with pytest.raises(TypeError, match="seed must be a whole number"):
        bootstrap(fit_plane, n_x, n_y, metric, seed=None, groups=n_x)
    with pytest.raises(ValueError, match=r"bootstrap: .* of 50 fits failed or had no rate"):
        bootstrap(
            fit_plane, n_x, n_y, metric, seed=0, groups=n_y + 100 * (n_x > 1), replicates=50, better="lower"
        )
    with pytest.raises(ValueError, match=r"lack_of_fit: no design point .* has two rows"):
        lack_of_fit(fit_plane(n_x, n_y, metric))
    with pytest.raises(TypeError, match="needs a plane or a power law, got Monotone"):
        lack_of_fit(fit_monotone(n_x, n_y, metric))
    with pytest.raises(ValueError, match=r"significance: must lie in \(0, 1\), got 5"):
        lack_of_fit(fit_plane(n_x, n_y, metric), significance=5)
    few = np.repeat([[0, 1, 0], [0, 0, 1]], 2, axis=1)
    with pytest.raises(ValueError, match="3 design points for the 3 parameters of a plane; measure more"):
        lack_of_fit(fit_plane(*few, np.arange(6)))
    with pytest.raises(ValueError, match="starts: must lie between 1 and 6, got 0"):
        fit_power_law(n_x, n_y, metric, starts=0)
    with pytest.raises(ValueError, match="words_per_text: must be positive, got 0"):
        words(1.0, 0)
    assert Rows([1, 1], [2, 2], [3, 5]).cell_means() == [4]


def test_bootstrap_refuses_intervals_wider_than_its_draws_and_counts_that_are_none():
    n_x, n_y = (np.repeat(a, 3) for a in grid([1, 2, 4], [0, 4, 8]))
    metric = n_x + 0.5 * n_y + 0.1 * np.random.default_rng(0).standard_normal(len(n_x))
    with pytest.raises(
        ValueError, match=r"replicates: an interval of level 0\.95 .* needs at least 39, got 20"
    ):
        bootstrap(fit_plane, n_x, n_y, metric, seed=0, replicates=20)
    with pytest.raises(ValueError, match=r"level 0\.9999 .* needs at least 19999, got 1000"):
        bootstrap(fit_plane, n_x, n_y, metric, seed=0, level=0.9999)
    for at in ((1.0, np.nan), (1.0,), (-1.0, 2.0)):
        with pytest.raises(ValueError, match="at: "):
            bootstrap(fit_plane, n_x, n_y, metric, seed=0, at=at, replicates=40)
    assert repr(bootstrap(fit_plane, n_x, n_y, metric, seed=0, level=0.99, replicates=199)).endswith("(99%)")
