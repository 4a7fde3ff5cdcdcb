"""Coverage of intervals and regions with estimated noise, by Monte Carlo with stated false-alarm probabilities."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

import fisherkit as fk
from fisherkit.intervals import satterthwaite
from tests import reference
from tests.strategies import seeds

ESTIMATED = ["dof", "ml"]


def common_mean(ratio=1.0, names="xy"):
    noise = {"x": 1.0, "y": ratio, "z": 3.0}
    return fk.LinearGaussian({name: fk.Modality([[1.0]], noise_std=noise[name]) for name in names})


def coverage(model, counts, v, replicates, seed=0, **how):
    """Share of replicates whose interval holds the truth, 0."""
    drawn = fk.simulate_statistics(
        model, counts, seed=seed, theta=np.zeros(model.n_params), replicates=replicates
    )
    low, high = fk.fit(drawn, **how).interval(v)
    return ((low < 0) & (high > 0)).mean(axis=0)


def false_alarm(least, most, truth, replicates):
    """Probability that a share of binomial(replicates, truth) leaves [least, most]."""
    law = stats.binom(replicates, truth)
    return law.cdf(np.ceil(least * replicates) - 1) + law.sf(np.floor(most * replicates))


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("noise", ESTIMATED)
def test_one_modality_covers(n, noise):
    # t is exact: each of six cases leaves 0.94..0.96 with probability below 2e-10
    assert false_alarm(0.94, 0.96, 0.95, 20_000) < 2e-10
    covered = coverage(common_mean(names="x"), n, [1.0], 20_000, seed=n, noise=noise)
    assert 0.94 <= covered <= 0.96


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.0, 3.0, 10.0, 100.0])
@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("noise", ESTIMATED)
def test_two_modalities_cover(n, noise, ratio):
    # of 24 cases, the one that is furthest off truly covers 0.940: it leaves 0.93..0.97 with probability below 1e-8
    assert false_alarm(0.93, 0.97, 0.940, 20_000) < 1e-8
    assert 0.93 <= coverage(common_mean(ratio), n, [1.0], 20_000, seed=n, noise=noise) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.1, 0.3, 1.0, 3.0, 10.0])
def test_two_samples_of_one_and_twenty_of_the_other_cover(ratio):
    counts = {"x": 2, "y": 20}
    assert 0.93 <= coverage(common_mean(ratio), counts, [1.0], 20_000, noise="dof") <= 0.97
    # weights of maximum likelihood are better than those that one degree of freedom gives: never too short
    assert 0.93 <= coverage(common_mean(ratio), counts, [1.0], 20_000, noise="ml")


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1.0, 10.0])
@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize(
    "how", [{"noise": n, "weighting": w} for n in ESTIMATED for w in ("gls", "unweighted")]
)
def test_vector_parameters_with_private_columns_cover(n, ratio, how):
    model = fk.random_model(
        2, {"x": 1, "y": 2}, seed=3, obs_dim={"x": 3, "y": 4}, noise_std={"x": 1.0, "y": ratio}
    )
    v = np.concatenate([np.eye(5), np.random.default_rng(0).standard_normal((5, 1))], axis=1)
    covered = coverage(model, n, v, 20_000, **how)
    # true coverages measured are 0.945 to 0.955: 96 numbers leave 0.93..0.97 with probability below 1e-15 in all
    assert ((covered >= 0.93) & (covered <= 0.97)).all()
    drawn = fk.simulate_statistics(model, n, seed=1, theta=np.zeros(5), replicates=20_000)
    held = fk.fit(drawn, **how).region(np.eye(5)).contains(np.zeros(5)).mean()
    assert 0.93 <= held <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("noise", ESTIMATED)
def test_three_modalities_nearly_cover(n, noise):
    # Kenward-Roger, without the calibration that two modalities have: 0.914 to 0.923 at n = 5, 0.947 at n = 20
    # (0.85 at n = 2); 4.5 and 4.2 standard deviations above the bounds: false alarm 4e-5 in all
    assert (
        {5: 0.905, 20: 0.94}[n] <= coverage(common_mean(names="xyz"), n, [1.0], 20_000, noise=noise) <= 0.96
    )


def test_intervals_cover_in_a_few_replicates():
    # binomial(4000, 0.95) leaves 0.93..0.97 with probability 2e-8, (4000, 0.94) leaves it with 0.005; none is that far off
    for noise in ESTIMATED:
        for names, n in (("x", 2), ("xy", 2), ("xy", 20)):
            assert 0.93 <= coverage(common_mean(names=names), n, [1.0], 4_000, seed=n, noise=noise) <= 0.97
    assert false_alarm(0.93, 0.97, 0.95, 4_000) < 3e-8


# --- exact cases


@given(seeds, st.floats(0.05, 0.999))
def test_one_modality_has_students_interval_and_fishers_region(seed, level):
    model = fk.random_model(2, {"x": 1}, seed=seed, obs_dim=3, n_designs=4)
    samples = fk.simulate(model, 4, seed=seed)
    a, y = reference.dense_system(model, samples.data)
    v = np.random.default_rng(seed).standard_normal((3, 2))
    theta, rss = np.linalg.lstsq(a, y, rcond=None)[:2]
    covariance = np.linalg.inv(a.T @ a) * rss[0] / 9
    half = stats.t.ppf((1 + level) / 2, 9) * np.sqrt((v * (covariance @ v)).sum(axis=0))
    for noise in ESTIMATED:
        estimate = fk.fit(samples, noise=noise)
        low, high = estimate.interval(v, level)
        np.testing.assert_allclose(low, v.T @ theta - half, rtol=1e-8, atol=1e-8 * half.max())
        np.testing.assert_allclose(high, v.T @ theta + half, rtol=1e-8, atol=1e-8 * half.max())
        np.testing.assert_allclose(estimate.degrees_of_freedom(v), 9)
        region = estimate.region(v, level)
        np.testing.assert_allclose(region.quantile, 2 * stats.f.ppf(level, 2, 9), rtol=1e-9)
        np.testing.assert_allclose(region.shape, v.T @ covariance @ v, rtol=1e-7, atol=1e-9 * half.max() ** 2)


def test_known_noise_has_normal_intervals_and_chi_square_regions():
    model = fk.random_model(2, {"x": 1, "y": 2}, seed=0, obs_dim=4)
    estimate = fk.fit(fk.simulate(model, 3, seed=0))
    low, high = estimate.interval(np.eye(5), 0.9)
    np.testing.assert_allclose(high - low, 2 * stats.norm.ppf(0.95) * estimate.std_error(np.eye(5)))
    assert (estimate.degrees_of_freedom(np.eye(5)) == np.inf).all()
    region = estimate.region(np.eye(5)[:, :3], 0.9)
    np.testing.assert_allclose(region.shape, estimate.covariance[:3, :3], rtol=1e-9, atol=1e-12)
    assert region.quantile == pytest.approx(stats.chi2.ppf(0.9, 3))


@pytest.mark.parametrize("weighting", ["gls", "unweighted"])
def test_a_region_of_one_direction_is_its_interval(weighting):
    drawn = fk.simulate_statistics(common_mean(3.0), 3, seed=0, theta=[0.0], replicates=50)
    estimate = fk.fit(drawn, noise="dof", weighting=weighting)
    low, high = estimate.interval([1.0])
    region = estimate.region([1.0])
    half = np.sqrt(region.shape[..., 0, 0] * region.quantile)
    np.testing.assert_allclose(half, (high - low) / 2, rtol=1e-9)
    inside = (low + high) / 2 + 0.999 * half
    assert region.contains(inside[:, None]).all()
    assert not region.contains((inside + 0.002 * half)[:, None]).any()


def test_a_region_of_dependent_directions_lies_in_their_plane():
    model = fk.random_model(2, {"x": 1, "y": 2}, seed=0, obs_dim=4)
    estimate = fk.fit(fk.simulate(model, 3, seed=0), noise="dof")
    v = np.eye(5)[:, :2]
    dependent = np.column_stack([v, v @ [1.0, 2.0], np.zeros(5)])
    two, four = estimate.region(v), estimate.region(dependent)
    assert (two.dim, four.dim) == (2, 2)
    mapping = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 2.0, 0.0]])
    np.testing.assert_allclose(four.shape, mapping.T @ two.shape @ mapping, rtol=0.2)  # axes differ a little
    assert four.contains(four.centre)
    assert not four.contains(four.centre + 1e-3 * np.eye(4)[2])
    assert not four.contains(four.centre + 1e-3 * np.eye(4)[3])
    rng = np.random.default_rng(0)
    points = two.centre + rng.standard_normal((500, 2)) @ np.linalg.cholesky(two.shape).T * np.sqrt(
        two.quantile / 2
    )
    agree = two.contains(points) == four.contains(points @ mapping)
    assert agree.mean() > 0.9
    assert 0.1 < two.contains(points).mean() < 0.9


def test_a_useless_second_modality_leaves_students_interval():
    model = fk.LinearGaussian({
        "x": fk.Modality([[1.0], [0.5]]),
        "y": fk.Modality(np.ones((3, 1)), np.ones((3, 1))),
    })
    drawn = fk.simulate_statistics(model, 4, seed=0, theta=[0.0, 0.0], replicates=20)
    joint, alone = (fk.fit(drawn, noise="dof", modalities=m).interval([1.0]) for m in (None, "x"))
    np.testing.assert_allclose(joint, alone, rtol=1e-9)


def test_satterthwaites_degrees_lie_between_the_smallest_and_the_sum():
    rng = np.random.default_rng(0)
    parts, degrees = rng.exponential(size=(100, 3, 1)), np.array([1.0, 4.0, 9.0])
    f = satterthwaite(parts, degrees)
    assert ((f >= 1) & (f <= 14)).all()
    assert satterthwaite(np.array([[1.0], [4.0], [9.0]]), degrees)[0] == pytest.approx(14.0)


@pytest.mark.parametrize("degrees", [(1, 1), (1, 19), (3, 8)])
@pytest.mark.parametrize("log_ratio", [-6.0, -1.0, 0.0, 2.0, 6.0])
def test_calibrated_coverage_by_another_quadrature(degrees, log_ratio):
    """Common mean of two: the normal probability given both chi-squares, summed over a grid of their quantiles."""
    n = np.array(degrees) + 1
    model, sigma = common_mean(), np.exp(log_ratio / 2)
    u = (np.arange(240) + 0.5) / 240
    u = special.betainc(2, 2, u), 6 * u * (1 - u)  # finer towards both ends
    first, second = (stats.chi2.ppf(u[0], d) / d for d in degrees)
    s1, s2 = (x.ravel() for x in np.meshgrid(first, sigma**2 * second, indexing="ij"))
    weight = np.outer(u[1], u[1]).ravel() / np.outer(u[1], u[1]).sum()
    drawn = fk.simulate_statistics(model, dict(zip("xy", n.tolist(), strict=True)), seed=0)
    parts = {}
    for name, s, d in zip("xy", (s1, s2), degrees, strict=True):
        lead, part = np.zeros(s.size), drawn.modalities[name]
        parts[name] = replace(part, target=lead[:, None], rss=s * d, rss_error=lead)
    low, high = fk.fit(fk.Statistics(model.layout, parts, {"x": 1.0, "y": 1.0}), noise="dof").interval([1.0])
    w1, w2 = n[0] / s1, n[1] / s2
    deviation = np.sqrt(w1**2 / n[0] + w2**2 * sigma**2 / n[1]) / (w1 + w2)
    covered = (2 * special.ndtr((high - low) / 2 / deviation) - 1) @ weight
    assert 0.944 <= covered <= 0.956


def test_bad_requests_are_refused():
    model = fk.LinearGaussian({"x": fk.Modality([[1.0, 1.0]])})
    estimate = fk.fit(fk.simulate(model, 4, seed=0), noise="dof")
    with pytest.raises(
        ValueError, match=r"directions: number 1 is not estimable, so that the region has no end"
    ):
        estimate.region([[1.0, 1.0], [1.0, 0.0]])
    assert np.isnan(estimate.value([1.0, 0.0]))
    assert estimate.interval([1.0, 0.0]) == (-np.inf, np.inf)
    region = estimate.region([1.0, 1.0])
    with pytest.raises(
        ValueError, match=r"points: expected last axis 1, one entry per direction, got shape \(2,\)"
    ):
        region.contains([1.0, 2.0])
    with pytest.raises(ValueError, match="level: must lie in"):
        estimate.region([1.0, 1.0], 1.0)
