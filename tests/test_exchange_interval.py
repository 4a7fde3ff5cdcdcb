"""Intervals of exchange rates with estimated noise: the F distribution where it is exact, coverage, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, f

import fisherkit as fk
from fisherkit.criteria import c_criterion
from fisherkit.exchange import exchange_rate
from fisherkit.exchange_interval import exchange_rate_interval
from tests.strategies import seeds


def scalar(noise=3.0):
    return fk.LinearGaussian({"image": fk.Modality([[1.0]]), "text": fk.Modality([[1.0]], noise_std=noise)})


@settings(max_examples=15)
@given(seeds, st.integers(2, 30), st.integers(2, 30), st.sampled_from([0.5, 0.8, 0.95]))
def test_scalar_worlds_have_the_interval_of_a_ratio_of_variances(seed, n_image, n_text, level):
    data = fk.simulate(scalar(), {"image": n_image, "text": n_text}, seed=seed)
    found = exchange_rate_interval(scalar(), data, 5, of="text", in_="image", level=level)
    variance = {name: float(np.var(data[name], ddof=1)) for name in ("image", "text")}
    rate = variance["image"] / variance["text"]
    low, high = f.ppf([(1 - level) / 2, (1 + level) / 2], n_text - 1, n_image - 1)
    np.testing.assert_allclose(
        [found.rate, found.low, found.high], [rate, rate * low, rate * high], rtol=1e-9
    )
    assert found.degrees_of_freedom == {"image": n_image - 1, "text": n_text - 1}


@settings(max_examples=10)
@given(seeds)
def test_the_declared_scale_of_the_noise_does_not_matter(seed):
    one = fk.random_model(2, {"image": 1, "text": 1}, seed=seed, noise_std={"image": 1.0, "text": 2.0})
    other = fk.LinearGaussian({
        name: fk.Modality(m.shared, m.private, noise_std=100.0 * m.noise_std)
        for name, m in one.modalities.items()
    })
    data = fk.simulate(one, 9, seed=seed)
    again = fk.Samples(other, data.data)
    a, b = (
        exchange_rate_interval(m, x, {"image": 4, "text": 6}, of="text", in_="image")
        for m, x in ((one, data), (other, again))
    )
    np.testing.assert_allclose([a.rate, a.low, a.high], [b.rate, b.low, b.high], rtol=1e-6)
    assert a.low <= a.rate <= a.high


def test_the_rate_is_that_of_the_model_with_the_estimated_noise():
    model = fk.random_model(2, {"image": 1, "text": 1, "audio": 0}, seed=3)
    data = fk.simulate(model, 40, seed=1)
    counts = {"image": 3, "text": 8, "audio": 2}
    found = exchange_rate_interval(model, data, counts, of="text", in_="image", criterion="D")
    estimated = fk.LinearGaussian({
        name: fk.Modality(m.shared, m.private, noise_std=found.noise_scale[name])
        for name, m in model.modalities.items()
    })
    assert found.rate == pytest.approx(
        exchange_rate(estimated, counts, of="text", in_="image", criterion="D")
    )
    assert found.low < found.rate < found.high
    pair = exchange_rate_interval(model, data, {**counts, "audio": 0}, of="text", in_="image", criterion="D")
    assert set(pair.degrees_of_freedom) == {"image", "text"}  # audio has no part in it


def coverage(criterion, replicates):
    """Share of 80% intervals that hold the true rate, of a world where the rate depends on counts and criterion."""
    model = fk.LinearGaussian({
        "image": fk.Modality([[1.0, 0.2], [0.0, 1.0]], [[1.0], [0.5]], noise_std=1.0),
        "text": fk.Modality([[0.3, 1.0], [0.5, 0.1], [1.0, 1.0]], [[1.0], [1.0], [0.0]], noise_std=2.0),
    })
    asked = {"counts": {"image": 5, "text": 4}, "of": "text", "in_": "image", "criterion": criterion}
    truth = exchange_rate(model, **asked)
    inside = 0
    for seed in range(replicates):
        data = fk.simulate(model, {"image": 4, "text": 3}, seed=seed)
        found = exchange_rate_interval(model, data, **asked, level=0.8)
        inside += found.low <= truth <= found.high
    return inside


@pytest.mark.parametrize("replicates", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_intervals_cover(replicates):
    low, high = binom.ppf([5e-7, 1 - 5e-7], replicates, 0.8)  # false alarm 1e-6
    assert low <= coverage("D", replicates) <= high  # monotone in the noise ratio: exact
    # from 4.5 down to 0.3 and up again to 4.1 as the noise of the text grows from 0.3 to 9: more than the level
    assert low <= coverage(c_criterion([1.0, -1.0]), replicates)


def test_what_has_no_interval_is_refused():
    model, data = scalar(), fk.simulate(scalar(), 3, seed=0)
    with pytest.raises(ValueError, match=r"level: must lie in \(0, 1\), got 1"):
        exchange_rate_interval(model, data, 5, of="text", in_="image", level=1)
    with pytest.raises(TypeError, match="data: expected Samples or Statistics, got dict"):
        exchange_rate_interval(model, {}, 5, of="text", in_="image")
    with pytest.raises(ValueError, match="text: no data to estimate its noise from"):
        exchange_rate_interval(model, data.subset("image"), 5, of="text", in_="image")
    few = fk.simulate(model, {"image": 3, "text": 1}, seed=0)
    with pytest.raises(
        ValueError, match="text: 1 observations cannot estimate a noise variance beside 1 par"
    ):
        exchange_rate_interval(model, few, 5, of="text", in_="image")
    exact = fk.Samples(model, {"image": np.zeros((3, 1)), "text": data["text"]})
    with pytest.raises(ValueError, match="image: the samples fit exactly"):
        exchange_rate_interval(model, exact, 5, of="text", in_="image")
    with pytest.raises(ValueError, match="data: 7 replicates; give one data set"):
        exchange_rate_interval(model, fk.simulate(model, 3, seed=0, replicates=7), 5, of="text", in_="image")
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'txt'"):
        exchange_rate_interval(model, data, 5, of="txt", in_="image")
