"""Closed-form maximum likelihood against dense oracles, and its error bars against Monte Carlo."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

import fisherkit as fk
from fisherkit import noise_scale
from tests import reference
from tests.model_strategies import data_sets


@given(data_sets(max_condition=1e3))
def test_estimate_and_covariance_equal_the_dense_minimum_norm_solution(samples):
    estimate = fk.fit(samples)
    a, y = reference.dense_system(samples.model, samples.data)
    unit = np.linalg.norm(a, axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    # rank in unit columns; the minimum-norm solution in the original ones, on the range found there
    _, singular, vt = np.linalg.svd(a / unit)
    rank = int((singular > 1e-9 * max(singular.max(initial=0), 1e-300)).sum())
    assert estimate.precision.rank == rank
    null = np.linalg.qr((vt[rank:] / unit).T)[0]
    theta = np.linalg.lstsq(a / unit, y, rcond=1e-9)[0] / unit
    theta -= null @ (null.T @ theta)
    error = np.abs(a @ (estimate.theta - theta))
    assert error.max(initial=0) <= 1e-9 * np.linalg.norm(y)
    assert np.abs(null.T @ estimate.theta).max(initial=0) <= 1e-9 * (1 + np.abs(estimate.theta).max())
    # covariance on the range: A Cov A' is the projector onto range(A), up to the rounding of its entries in A
    condition = singular[0] / singular[rank - 1] if rank else 1.0
    u = np.linalg.svd(a / unit, full_matrices=False)[0][:, :rank]
    spread = estimate.region(a.T).shape
    np.testing.assert_allclose(spread, u @ u.T, atol=1e-7 + 1e-15 * condition**2)


@given(data_sets(max_condition=1e3))
def test_estimable_directions_are_the_range_and_others_have_infinite_variance(samples):
    estimate = fk.fit(samples)
    a, _ = reference.dense_system(samples.model, samples.data)
    assert estimate.estimable(a.T).all()
    assert np.isfinite(estimate.variance(a.T)).all()
    if estimate.null_basis.size:
        assert not estimate.estimable(estimate.null_basis).any()
        mixed = a.T[:, [0]] / max(np.linalg.norm(a[0]), 1e-300) + estimate.null_basis
        assert np.isinf(estimate.variance(mixed)).all()
    lost = ~estimate.estimable(np.eye(samples.model.n_params))
    assert np.isinf(estimate.covariance.diagonal()[lost]).all()
    assert np.isfinite(estimate.covariance[np.ix_(~lost, ~lost)]).all()


@given(data_sets(max_condition=1e2))
def test_the_estimate_maximises_the_likelihood(samples):
    theta = fk.fit(samples).theta
    gradient = reference.score(samples.model, samples.data, theta)
    information = reference.dense_information(samples.model, samples.counts)
    size = np.sqrt(information.diagonal()) * (1 + np.sqrt(theta @ information @ theta))
    assert (np.abs(gradient) <= 1e-7 * size + 1e-9).all()


@given(data_sets(max_condition=1e3), st.randoms(use_true_random=False))
def test_any_subset_equals_fitting_only_its_samples(samples, random):
    names = [n for n in samples.data if random.random() < 0.6] or list(samples.data)[:1]
    chosen = fk.fit(samples, modalities=names)
    alone = fk.fit(samples.subset(names))
    np.testing.assert_array_equal(chosen.theta, alone.theta)
    assert chosen.counts == {n: samples.counts[n] if n in names else 0 for n in samples.model.names}
    for name in set(samples.model.names) - set(names):
        assert np.all(chosen[name] == 0)
        block = samples.model.slices[name]
        assert np.isinf(chosen.covariance.diagonal()[block]).all()


def test_statistics_and_samples_give_the_same_estimate_and_subset():
    model = fk.random_model(2, {"x": 1, "y": 2}, seed=0, n_designs=5)
    samples = fk.simulate(model, 5, seed=1)
    stats_ = fk.accumulate(samples)
    np.testing.assert_array_equal(fk.fit(stats_).theta, fk.fit(samples).theta)
    np.testing.assert_array_equal(
        fk.fit(stats_, modalities="x").theta, fk.fit(samples, modalities=["x"]).theta
    )


def test_unweighted_least_squares_can_hurt_and_its_covariance_is_the_true_one():
    eye = np.eye(1)
    model = fk.LinearGaussian({"x": fk.Modality(eye), "y": fk.Modality(eye, noise_std=3.0)})
    draws = fk.simulate_statistics(model, 1, seed=0, theta=[0.7], replicates=40_000)
    for options, variance in (
        ({"modalities": ["x"]}, 1.0),
        ({}, 0.9),
        ({"weighting": "unweighted"}, 2.5),
    ):
        estimate = fk.fit(draws, **options)
        assert estimate.variance([1.0]).flat[0] == pytest.approx(variance)
        sample = estimate.theta[:, 0]
        # sample variance ~ sigma^2 chi2(n-1)/(n-1); z beyond 5: false alarm 6e-7 each
        assert abs(sample.var(ddof=1) / variance - 1) < 5 * np.sqrt(2 / 39_999)
        assert abs(sample.mean() - 0.7) < 5 * np.sqrt(variance / 40_000)


def test_unweighted_equals_ordinary_least_squares_on_the_stack():
    model = fk.random_model(
        3, {"x": 2, "y": 1}, seed=2, obs_dim=5, n_designs=7, noise_std={"x": 0.2, "y": 4.0}
    )
    samples = fk.simulate(model, 7, seed=3)
    plain = fk.LinearGaussian({n: fk.Modality(m.shared, m.private) for n, m in model.modalities.items()})
    a, y = reference.dense_system(plain, samples.data)
    estimate = fk.fit(samples, weighting="unweighted")
    np.testing.assert_allclose(estimate.theta, np.linalg.lstsq(a, y, rcond=None)[0], rtol=1e-8)
    noise = np.repeat([0.04, 16.0], [35, 35])
    pinv = np.linalg.pinv(a)
    np.testing.assert_allclose(estimate.covariance, pinv * noise @ pinv.T, rtol=1e-7)


def test_joint_likelihood_of_noise_and_parameters_is_maximal():
    model = fk.random_model(2, {"x": 1, "y": 1}, seed=4, obs_dim=4, noise_std=1.0)
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(4)
    true = {"x": 0.5, "y": 3.0}
    data = {
        n: model[n].design() @ theta[model.layout.columns(n)] + true[n] * rng.standard_normal((6, 4))
        for n in model.names
    }
    samples = fk.Samples(model, data)
    estimate = fk.fit(samples, noise="ml")

    def negative(p):
        loud = {
            n: fk.Modality(m.shared, m.private, noise_std=float(np.exp(p[4 + k])))
            for k, (n, m) in enumerate(model.modalities.items())
        }
        return -reference.log_likelihood(fk.LinearGaussian(loud), data, p[:4])

    best = optimize.minimize(negative, np.zeros(6), method="BFGS", options={"gtol": 1e-7}).x
    np.testing.assert_allclose(estimate.theta, best[:4], atol=1e-5)
    np.testing.assert_allclose(list(estimate.noise_scale.values()), np.exp(best[4:]), rtol=1e-5)


def test_dof_corrected_noise_is_unbiased_and_ml_is_not():
    model = fk.random_model(2, {"x": 3, "y": 1}, seed=5, obs_dim=6, noise_std={"x": 0.5, "y": 2.0})
    draws = fk.simulate_statistics(model, 2, seed=6, replicates=20_000)
    squared = fk.fit(draws, noise="dof").noise_scale["x"] ** 2
    # 12 observations, 5 parameters: variance of the unbiased estimate is 2 / 7; z beyond 5: false alarm 6e-7
    assert abs(squared.mean() - 1) < 5 * np.sqrt(2 / 7 / 20_000)
    # joint ML divides by 12 instead; its mean is near 7/12 (between 7/12 and 9/12)
    assert 0.5 < (fk.fit(draws, noise="ml").noise_scale["x"] ** 2).mean() < 0.76


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["known", "dof", "ml"]))
def test_intervals_cover(seed, noise):
    model = fk.random_model(2, {"x": 1, "y": 2}, seed=seed, obs_dim=4, noise_std={"x": 0.5, "y": 2.0})
    draws = fk.simulate_statistics(model, 300, seed=seed, replicates=4_000)
    theta = fk.simulate(model, 1, seed=seed).theta
    v = np.random.default_rng(seed).standard_normal(5)
    low, high = fk.fit(draws, noise=noise).interval(v, 0.95)
    covered = ((low < v @ theta) & (v @ theta < high)).sum()
    # binomial(4000, 0.95), bounds at 6 standard deviations; the estimated noise costs below 0.002 of coverage
    assert abs(covered - 3800) < 6 * np.sqrt(4000 * 0.05 * 0.95) + 8


def test_monte_carlo_covariance_is_the_predicted_one_and_bias_is_zero():
    model = fk.random_model(3, {"x": 2, "y": 1, "z": 2}, seed=7, obs_dim=4, private_rank=1, noise_std=0.4)
    draws = fk.simulate_statistics(model, {"x": 5, "y": 7, "z": 3}, seed=8, replicates=50_000)
    estimate = fk.fit(draws)
    theta = fk.simulate(model, 1, seed=8).theta
    basis = estimate.precision.range_basis
    error = (estimate.theta - theta) @ basis
    cov = estimate.region(basis).shape
    white = np.linalg.solve(np.linalg.cholesky(cov), error.T)
    n, r = error.shape
    # n r chi-squared degrees of freedom for the total; each mean is N(0, 1/n): false alarms below 1e-5 in all
    assert abs(np.square(white).sum() - n * r) < 5 * np.sqrt(2 * n * r)
    assert np.abs(white.mean(axis=1)).max() < 5.5 / np.sqrt(n)
    assert np.abs(white @ white.T / n - np.eye(r)).max() < 6 * np.sqrt(2 / n)


def test_data_level_and_statistic_level_simulation_have_one_law():
    model = fk.random_model(
        2, {"x": 1, "y": 1}, seed=9, obs_dim=3, n_designs=4, noise_std={"x": 0.3, "y": 2.0}
    )
    theta = np.array([1.0, -1.0, 2.0, 0.5])
    by_data = fk.fit(fk.simulate(model, 4, seed=10, theta=theta, replicates=3000), noise="dof")
    by_statistic = fk.fit(
        fk.simulate_statistics(model, 4, seed=11, theta=theta, replicates=3000), noise="dof"
    )
    columns = [(by_data.theta[:, i], by_statistic.theta[:, i]) for i in range(4)]
    columns += [(by_data.noise_scale[n], by_statistic.noise_scale[n]) for n in model.names]
    # six Kolmogorov-Smirnov tests at 1e-5 each: false alarm 6e-5
    assert min(stats.ks_2samp(a, b).pvalue for a, b in columns) > 1e-5


def test_seeds_reproduce_bit_for_bit_and_modalities_draw_from_their_own_streams():
    both = fk.random_model(2, {"x": 1, "y": 2}, seed=0)
    one = fk.simulate(both, {"x": 5, "y": 3}, seed=42)
    two = fk.simulate(both, {"x": 5, "y": 3}, seed=42)
    for name in both.names:
        np.testing.assert_array_equal(one[name], two[name])
    alone = fk.simulate(both.subset("x"), {"x": 5}, seed=42)
    np.testing.assert_array_equal(alone["x"], one["x"])
    np.testing.assert_array_equal(fk.simulate(both, {"x": 5, "y": 9}, seed=42)["x"], one["x"])
    assert (fk.simulate(both, {"x": 5, "y": 3}, seed=43)["x"] != one["x"]).all()
    a = fk.simulate_statistics(both, 9, seed=1, replicates=3).modalities["y"]
    b = fk.simulate_statistics(both, 9, seed=1, replicates=3).modalities["y"]
    np.testing.assert_array_equal(a.target, b.target)
    generator = np.random.default_rng(5)
    first, second = (fk.simulate(both, 2, seed=generator)["x"] for _ in range(2))
    assert (first != second).all()


def test_bad_requests_are_refused():
    model = fk.random_model(2, {"x": 1, "y": 1}, seed=0)
    samples = fk.simulate(model, 1, seed=0)
    with pytest.raises(ValueError, match="noise must be 'known', 'ml' or 'dof', got 'guess'"):
        fk.fit(samples, noise="guess")
    with pytest.raises(ValueError, match="weighting must be 'gls' or 'unweighted', got 'ols'"):
        fk.fit(samples, weighting="ols")
    with pytest.raises(
        ValueError, match="x: 3 observations cannot estimate a noise variance beside 3 parameters"
    ):
        fk.fit(samples, noise="dof")
    with pytest.raises(TypeError, match="expected Samples or Statistics, got dict"):
        fk.fit({"x": np.ones((1, 2))})
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'z'"):
        fk.fit(samples, modalities=["z"])
    with pytest.raises(fk.UnknownNameError, match="unknown modality with data 'y'"):
        fk.fit(fk.accumulate(samples.subset("x")), modalities=["y"])
    with pytest.raises(TypeError, match=r"seed must be a whole number.*there is no default"):
        fk.simulate(model, 1, seed=None)
    with pytest.raises(ValueError, match="replicates: must be at least 1"):
        fk.simulate(model, 1, seed=0, replicates=0)
    with pytest.raises(
        ValueError, match=r"theta: expected last axis 4 \(shared 2 \+ x 1 \+ y 1\), got shape \(3,\)"
    ):
        fk.simulate(model, 1, seed=0, theta=np.ones(3))
    with pytest.raises(MemoryError, match="simulate_statistics"):
        fk.simulate(model, 10**12, seed=0)
    with pytest.raises(ValueError, match="level: must lie in"):
        fk.fit(samples).interval(np.eye(4)[0], 95)
    with pytest.raises(
        ValueError, match=r"directions: expected length 4 \(all parameters\) or 2 \(shared ones\), got 3"
    ):
        fk.fit(samples).variance([1.0, 0.0, 0.0])
    exact = fk.Samples(model, {"x": np.zeros((3, 3))})
    with pytest.raises(ValueError, match="x: the samples fit exactly"):
        fk.fit(exact, noise="ml")
    var = fk.LinearGaussian({"x": fk.Modality(np.eye(2), noise_var=[1.0, 2.0])})
    with pytest.raises(ValueError, match="x: unweighted least squares needs the noise declared as noise_std"):
        fk.fit(fk.simulate(var, 3, seed=0), weighting="unweighted")


# --- where rounding is not small beside the noise ------------------------------------------------------------------


def exact_estimate(rows, target):
    """Least squares in fractions: solve the normal equations without rounding."""
    a = [[Fraction(float(x)) for x in row] for row in rows]
    y = [Fraction(float(x)) for x in target]
    p = len(a[0])
    m = [
        [sum(r[i] * r[j] for r in a) for j in range(p)] + [sum(r[i] * t for r, t in zip(a, y, strict=True))]
        for i in range(p)
    ]
    for c in range(p):
        for i in range(p):
            if i != c:
                factor = m[i][c] / m[c][c]
                m[i] = [x - factor * z for x, z in zip(m[i], m[c], strict=True)]
    return np.array([float(m[i][p] / m[i][i]) for i in range(p)])


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e10, 1e12])
def test_estimates_are_refined_until_rounding_is_small_beside_the_noise(condition):
    rng = np.random.default_rng(int(np.log10(condition)))
    u, v = (np.linalg.qr(rng.standard_normal(shape))[0] for shape in ((80, 3), (3, 3)))
    a = u * np.geomspace(1, 1 / condition, 3) @ v.T
    model = fk.LinearGaussian({"x": fk.Modality(a.reshape(40, 2, 3), noise_std=1e-13)})
    samples = fk.simulate(model, 40, seed=1, theta=[1.0, -2.0, 3.0])
    exact = exact_estimate(a, samples["x"].ravel())
    root = np.linalg.qr(a)[1]
    for estimate in (fk.fit(samples), fk.fit(fk.accumulate(samples, method="qr"))):
        # one standard error is 1e-13 here, of data of size 1: eps of them is 2e-3 standard errors, for 80 rows
        assert np.linalg.norm(root @ (estimate.theta - exact)) / 1e-13 < 0.05


@pytest.mark.parametrize("ratio", [1e3, 1e6, 1e9, 1e12])
def test_noise_levels_may_differ_by_any_factor(ratio):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 2, 3))
    model = fk.LinearGaussian({"x": fk.Modality(a), "y": fk.Modality(b, noise_std=1 / ratio)})
    samples = fk.simulate(model, 1, seed=1, theta=[1.0, 2.0, 3.0])
    x, y = samples["x"][0], samples["y"][0]
    rows, target = np.concatenate([a, b * ratio]), np.concatenate([x, y * ratio])
    root = np.linalg.qr(rows)[1]
    assert np.linalg.norm(root @ (fk.fit(samples).theta - exact_estimate(rows, target))) < 0.02
    plain = exact_estimate(np.concatenate([a, b]), np.concatenate([x, y]))
    np.testing.assert_allclose(fk.fit(samples, weighting="unweighted").theta, plain, rtol=1e-10)


def test_noise_that_rounding_exceeds_is_reported():
    model = fk.LinearGaussian({"x": fk.Modality(np.eye(2), noise_std=1e-15)})
    samples = fk.Samples(model, {"x": np.array([[1e3, 1.0], [1e3, 2.0], [1.1e3, 3.0]])})
    with pytest.warns(
        fk.ConditioningWarning, match=r"rounding moves the estimate by .* standard errors.*declare a noise"
    ):
        fk.fit(samples)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(0, 9), st.sampled_from(["dof", "ml"]))
def test_an_estimated_noise_may_be_declared_in_any_unit(seed, digits, noise):
    """Declaring 1 for every modality is usual where the noise is estimated anyway."""
    factor = 10.0**digits
    quiet = fk.random_model(2, {"x": 1, "y": 2}, seed=seed, obs_dim=5, noise_std={"x": 1.0, "y": 1 / factor})
    loud = fk.LinearGaussian({n: fk.Modality(m.shared, m.private) for n, m in quiet.modalities.items()})
    data = fk.simulate(quiet, 4, seed=seed, replicates=3).data
    one, other = (fk.fit(fk.Samples(m, data), noise=noise) for m in (quiet, loud))
    scale = one.std_error(np.eye(5))
    assert (np.abs(one.theta - other.theta) <= 1e-3 * scale).all()
    size = scale[..., :, None] * scale[..., None, :]
    np.testing.assert_allclose(other.covariance / size, one.covariance / size, atol=1e-6)
    np.testing.assert_allclose(other.noise_scale["y"] * factor, one.noise_scale["y"], rtol=1e-5)


# --- estimated noise -----------------------------------------------------------------------------------------------


def common_mean(data):
    return fk.Samples(
        fk.LinearGaussian({name: fk.Modality([[1.0]]) for name in data}),
        {name: np.reshape(x, (-1, 1)) for name, x in data.items()},
    )


def profile(data, mean):
    """Negative log-likelihood of a common mean, noise variances profiled out, up to a constant."""
    return sum(len(x) / 2 * np.log(np.square(np.subtract.outer(x, mean)).mean(axis=0)) for x in data.values())


def test_slow_replicates_do_not_fail_the_batch():
    model = fk.LinearGaussian({"x": fk.Modality([[1.0]]), "y": fk.Modality([[1.0]], noise_std=3.0)})
    draws = fk.simulate_statistics(model, 3, seed=0, replicates=20_000)
    estimate = fk.fit(draws, noise="ml")
    # at the maximum the noise variances are the mean squared residuals
    for name in model.names:
        root = draws.modalities[name].root()
        rest = root.target[:, 0] - estimate.theta[:, 0] * root.matrix[0, 0]
        np.testing.assert_allclose(estimate.noise_scale[name] ** 2, (root.rss + rest**2) / 3, rtol=1e-6)


def test_the_better_of_two_contradicting_modalities_is_believed():
    data = {"x": [-1.0, 1.0], "y": [9.0, 11.0]}
    mean = fk.fit(common_mean(data), noise="ml").theta
    assert profile(data, mean)[0] < profile(data, np.array([5.0]))[0] - 1.8
    assert min(abs(mean[0] - 0.10102), abs(mean[0] - 9.89898)) < 1e-4


@given(st.integers(0, 2**32 - 1), st.integers(2, 3))
def test_noise_and_parameters_maximise_a_likelihood_with_several_maxima(seed, k):
    rng = np.random.default_rng(seed)
    data = {
        name: rng.normal(rng.uniform(0, 10), rng.uniform(0.3, 3), rng.integers(2, 6)) for name in "xyz"[:k]
    }
    grid = np.linspace(-10, 20, 100_001)
    assert profile(data, fk.fit(common_mean(data), noise="ml").theta)[0] <= profile(data, grid).min() + 1e-8


def test_replicates_that_do_not_settle_are_reported_and_the_rest_returned(monkeypatch):
    monkeypatch.setattr(noise_scale, "_MAX_CYCLES", 2)
    model = fk.LinearGaussian({"x": fk.Modality([[1.0]]), "y": fk.Modality([[1.0]], noise_std=3.0)})
    draws = fk.simulate_statistics(model, 3, seed=0, replicates=50)
    with pytest.warns(
        fk.ConditioningWarning,
        match=r"noise='ml': the noise variances of \d+ of 50 replicates .*use noise='dof'",
    ):
        assert fk.fit(draws, noise="ml").theta.shape == (50, 1)


@pytest.mark.parametrize("repeated", [True, False])
@pytest.mark.parametrize(
    "how", [{"noise": "dof"}, {"noise": "ml"}, {"noise": "ml", "weighting": "unweighted"}]
)
def test_noise_of_noiseless_samples_is_not_invented(repeated, how):
    model = fk.random_model(2, {"x": 1}, seed=0, obs_dim=4, n_designs=None if repeated else 9)
    design = np.broadcast_to(model["x"].design(), (9, 4, 3))
    samples = fk.Samples(model, {"x": design @ [1.0, -2.0, 3.0]})
    with pytest.raises(
        ValueError, match="x: the samples fit exactly, so that their noise cannot be estimated"
    ):
        fk.fit(samples, **how)
    noisy = fk.Samples(model, {"x": samples["x"] + 1e-9 * np.random.default_rng(0).standard_normal((9, 4))})
    # 33 degrees of freedom: 6 standard deviations of the std are 0.74 of it
    assert 0.25e-9 < fk.fit(noisy, **how).noise_scale["x"] < 1.75e-9


def complaint(call):
    """What a call refuses, or else warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
        except ValueError as error:
            return str(error)
    return " ".join(str(warning.message) for warning in caught)


def test_residuals_that_cancelled_are_reported():
    x = 1e9 + np.random.default_rng(0).standard_normal((500, 3))
    repeated = fk.LinearGaussian({"x": fk.Modality(np.ones((3, 1)))})
    per_sample = fk.LinearGaussian({"x": fk.Modality(np.ones((500, 3, 1)))})
    for model in (repeated, per_sample):
        samples = fk.Samples(model, {"x": x})
        # 1,499 degrees of freedom: 6 standard deviations of the std are 0.11
        assert abs(fk.fit(samples, noise="dof").noise_scale["x"] - 1) < 0.11
        lost = fk.accumulate(samples, method="gram")
        np.testing.assert_allclose(fk.fit(lost).theta, fk.fit(samples).theta, rtol=1e-12)
        said = complaint(lambda lost=lost: fk.fit(lost, noise="dof"))
        assert said.startswith("x: the residual sum of squares")
        assert "accumulate the samples with method='auto' or 'qr'" in said


def test_unweighted_weights_are_relative():
    quiet, loud = (
        fk.LinearGaussian({
            n: fk.Modality(np.eye(2), noise_std=s * unit) for n, s in (("x", 1.0), ("y", 3.0))
        })
        for unit in (1.0, 1e80)
    )
    data = fk.simulate(quiet, 3, seed=0).data
    one = fk.fit(fk.Samples(quiet, data), weighting="unweighted")
    other = fk.fit(fk.Samples(loud, {n: 1e80 * x for n, x in data.items()}), weighting="unweighted")
    np.testing.assert_allclose(other.theta, 1e80 * one.theta)
    np.testing.assert_allclose(other.covariance, 1e160 * one.covariance)
