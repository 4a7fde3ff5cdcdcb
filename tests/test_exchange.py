"""Marginal values, exchange rates and isolines against dense formulas, finite differences and Monte Carlo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f as f_distribution

import fisherkit as fk
from fisherkit.criteria import a_criterion, as_criterion, c_criterion
from fisherkit.exchange import (
    ExchangeSurface,
    equivalent_count,
    exchange_rate,
    isoline,
    marginal_value,
)  # fmt: skip
from fisherkit.levels import CountCriterion, as_amounts
from fisherkit.reaching import amount_to_reach
from tests import reference
from tests.model_strategies import models
from tests.strategies import orthogonal, seeds

NAMES = ("image", "text", "audio")


def dense_shared(model):
    """{modality: S_k} by definition: whiten, regress the shared columns on the private ones, average."""
    parts = {}
    for name, modality in model.modalities.items():
        n = modality.shared.shape[0] if modality.shared.ndim == 3 else 1
        rows = np.concatenate([
            np.linalg.solve(
                np.linalg.cholesky(reference.noise_covariance(modality)),
                reference.sample_design(model, name, i),
            )
            for i in range(n)
        ])
        c, s = rows[:, : model.shared_dim], rows[:, model.shared_dim :]
        left = c - s @ np.linalg.lstsq(s, c, rcond=1e-9)[0] if s.shape[1] else c
        parts[name] = left.T @ left / n
    return parts


def dense_phi(model, counts, name, v):
    """phi by eigenvalues; infinite where the dense information does not reach the direction."""
    m = sum(counts.get(k, 0) * s for k, s in dense_shared(model).items())
    values, vectors = np.linalg.eigh(m)
    seen = values > 1e-12 * max(values.max(), 1e-300)
    if name == "c":
        parts = vectors.T @ v
        if (np.abs(parts[~seen]) > 1e-6 * np.linalg.norm(v)).any():
            return np.inf
        return float((np.square(parts[seen]).sum(axis=1) / values[seen]).sum())
    if not seen.all():
        return np.inf
    return {"A": (1 / values).sum(), "D": -np.log(values).sum(), "E": 1 / values[0]}[name]


@st.composite
def worlds(draw, modalities=None, full_rank=False):
    """A model of moderate condition with two or three modalities, its criterion's name, and directions v.

    Shared ranks are drawn, so that modalities alone, or all together, may leave directions unestimable; where
    they do so together, the criterion is c with v in the joint range.
    """
    seed = draw(seeds)
    names = NAMES[: modalities or draw(st.integers(2, 3))]
    d = draw(st.integers(1, 4))
    private = {n: draw(st.integers(0, 2)) for n in names}
    rank = {n: d if full_rank else draw(st.integers(0, d)) for n in names}
    rng = np.random.default_rng(seed)
    model = fk.random_model(
        d,
        private,
        seed=seed,
        obs_dim={n: d + private[n] + 1 for n in names},
        shared_rank=rank,
        condition=3.0,
        noise_std={n: float(10 ** rng.uniform(-0.5, 0.5)) for n in names},
        n_designs=draw(st.sampled_from([None, 3])),
    )
    total = sum(dense_shared(model).values())
    values = np.linalg.eigvalsh(total)
    name = draw(st.sampled_from(["c", "A", "D", "E"]))
    v = rng.standard_normal((d, int(rng.integers(1, 3))))
    if values[0] < 1e-6 * max(values[-1], 1e-300):
        name, v = "c", total @ v
        if not np.abs(v).max() > 0:
            v = np.eye(d)[:, :1]
    return model, name, v


def make(name, v):
    return c_criterion(v) if name == "c" else as_criterion(name)


def real_counts(draw, names, low=0.5):
    return {n: draw(st.floats(low, 50)) for n in names}


@given(st.data(), worlds())
def test_marginal_values_are_finite_differences_of_the_dense_criterion(data, world):
    model, name, v = world
    counts = real_counts(data.draw, model.names)
    values = marginal_value(model, counts, make(name, v))
    if np.isinf(dense_phi(model, counts, name, v)):
        assert set(values.values()) == {0.0}  # nothing sees v
        return
    if name == "E":
        low = np.linalg.eigvalsh(sum(counts[k] * s for k, s in dense_shared(model).items()))[:2]
        if len(low) == 2 and low[1] < 1.01 * low[0]:
            return  # a kink nearby
    for k in model.names:
        h = 1e-4 * counts[k]
        up, down = ({**counts, k: counts[k] + e} for e in (h, -h))
        numeric = (dense_phi(model, down, name, v) - dense_phi(model, up, name, v)) / (2 * h)
        size = abs(dense_phi(model, counts, name, v)) + 1
        assert values[k] == pytest.approx(numeric, rel=1e-4, abs=1e-8 * size / h)


@given(st.data(), worlds(), st.floats(0.1, 10))
def test_values_scale_with_counts(data, world, factor):
    model, name, v = world
    counts = real_counts(data.draw, model.names)
    power = 1 if name == "D" else 2
    a, b = (
        marginal_value(model, c, make(name, v)) for c in (counts, {k: factor * n for k, n in counts.items()})
    )
    for k in model.names:  # c, A, E are homogeneous of degree -1, D logarithmic
        assert b[k] * factor**power == pytest.approx(a[k], rel=1e-6, abs=1e-10 * sum(a.values()))


@given(st.data(), worlds())
def test_values_of_all_samples_together(data, world):
    model, name, v = world
    counts = real_counts(data.draw, model.names)
    values, phi = marginal_value(model, counts, make(name, v)), dense_phi(model, counts, name, v)
    if np.isfinite(phi) and make(name, v).smooth_at(CountCriterion(model, make(name, v)).total(counts)):
        # Euler: sum n_k (-d phi / d n_k) is phi for degree -1, d for D
        expected = model.shared_dim if name == "D" else phi
        assert sum(counts[k] * values[k] for k in counts) == pytest.approx(expected, rel=1e-6)


@given(st.data(), worlds())
def test_rates_are_reciprocal_and_multiply(data, world):
    model, name, v = world
    counts = real_counts(data.draw, model.names)
    values = marginal_value(model, counts, make(name, v))

    def rate(of, in_):
        return exchange_rate(model, counts, of=of, in_=in_, criterion=make(name, v))

    for a in model.names:
        for b in model.names:
            if values[a] and values[b]:
                assert rate(a, b) * rate(b, a) == pytest.approx(1, rel=1e-12)
                for c in model.names:
                    if values[c]:
                        assert rate(a, b) * rate(b, c) == pytest.approx(rate(a, c), rel=1e-12)
            elif values[a]:
                assert (rate(a, b), rate(b, a)) == (np.inf, 0)


@given(st.data(), worlds())
def test_order_of_modalities_does_not_matter(data, world):
    model, name, v = world
    counts = real_counts(data.draw, model.names)
    turned = fk.LinearGaussian(dict(reversed(model.modalities.items())))
    a, b = (marginal_value(m, counts, make(name, v)) for m in (model, turned))
    total = sum(a.values())
    assert all(a[k] == pytest.approx(b[k], rel=1e-8, abs=1e-10 * total) for k in a)


@given(st.data(), worlds())
def test_orthogonal_change_of_shared_parameters_changes_nothing(data, world):
    model, name, v = world
    counts = real_counts(data.draw, model.names)
    q = orthogonal(np.random.default_rng(data.draw(seeds)), model.shared_dim)
    turned = fk.LinearGaussian({
        k: fk.Modality(m.shared @ q, m.private, noise_std=m.noise_std) for k, m in model.modalities.items()
    })
    total = sum(counts[k] * s for k, s in dense_shared(model).items())
    low = np.linalg.eigvalsh(total)[:2]
    if name == "E" and len(low) == 2 and low[1] < 1.01 * low[0]:
        return
    a = marginal_value(model, counts, make(name, v))
    b = marginal_value(turned, counts, make(name, q.T @ v))
    assert all(a[k] == pytest.approx(b[k], rel=1e-6, abs=1e-9 * sum(a.values())) for k in a)


@given(st.data(), worlds(full_rank=True))
def test_d_rates_do_not_depend_on_units(data, world):
    model, _, _ = world
    counts = real_counts(data.draw, model.names)
    unit = 10.0 ** np.random.default_rng(data.draw(seeds)).uniform(-4, 4, model.shared_dim)
    scaled = fk.LinearGaussian({
        k: fk.Modality(m.shared * unit, m.private, noise_std=m.noise_std) for k, m in model.modalities.items()
    })
    a, b = (marginal_value(m, counts, "D") for m in (model, scaled))
    assert all(a[k] == pytest.approx(b[k], rel=1e-7) for k in a)


@given(st.data())
def test_a_useless_modality_is_worth_exactly_nothing(data):
    model = data.draw(models(max_modalities=3))
    d = model.shared_dim
    blind = fk.Modality(np.zeros((3, d)), np.random.default_rng(0).standard_normal((3, 2)))
    confounded = fk.Modality(np.eye(d), np.eye(d))
    counts = real_counts(data.draw, model.names)
    criterion = data.draw(st.sampled_from(["A", "D", "E", c_criterion(np.ones(d))]))
    base = marginal_value(model, counts, criterion)
    for extra in (blind, confounded):
        larger = fk.LinearGaussian({**model.modalities, "extra": extra})
        values = marginal_value(larger, {**counts, "extra": 50}, criterion)
        assert values.pop("extra") == 0
        assert values == base
        useful = next((k for k in model.names if 0 < base[k] < np.inf), None)
        if useful:
            many = {**counts, "extra": 50}
            assert exchange_rate(larger, many, of="extra", in_=useful, criterion=criterion) == 0
            assert exchange_rate(larger, many, of=useful, in_="extra", criterion=criterion) == np.inf
            assert equivalent_count(larger, many, of="extra", in_=useful, criterion=criterion) == 0
            assert equivalent_count(larger, many, of=useful, in_="extra", criterion=criterion) == np.inf


@given(st.data(), worlds(), st.booleans())
@settings(max_examples=100)
def test_isoline_points_have_the_level(data, world, with_third):
    model, name, v = world
    criterion = make(name, v)
    collected = {} if not with_third else {model.names[-1]: data.draw(st.floats(0.5, 5))}
    through = {"image": data.draw(st.floats(1, 50)), "text": data.draw(st.floats(1, 50))}

    def phi(n_x, n_y):
        counts = dict(collected)
        for k, n in (("image", n_x), ("text", n_y)):
            counts[k] = counts.get(k, 0) + n
        return dense_phi(model, counts, name, v)

    level = phi(through["image"], through["text"])
    if np.isinf(level) or phi(0, 0) <= level + 1e-6 * abs(level):
        with pytest.raises(ValueError, match=r"not estimable|reached without any sample"):
            isoline(model, criterion, through=through, collected=collected)
        return
    line = isoline(model, criterion, through=through, collected=collected, n_points=9)
    assert line.level == pytest.approx(level, rel=1e-8, abs=1e-8)
    for x, y in zip(line.n_x, line.n_y, strict=True):
        assert phi(x, y) == pytest.approx(level, rel=1e-6, abs=1e-6)
    assert (np.diff(line.n_x) <= 1e-9 * line.n_x[:-1]).all()
    assert (np.diff(line.n_y) >= -1e-9 * line.n_y[1:]).all()
    for intercept, alone in (
        (line.x_intercept, lambda n: phi(n, 0)),
        (line.y_intercept, lambda n: phi(0, n)),
    ):
        if np.isfinite(intercept):
            assert alone(intercept) == pytest.approx(level, rel=1e-6, abs=1e-6)
        else:
            far = alone(1e7)  # 2e5 times what the two need together
            assert far > level
    for axis, points in (("image", line.n_x), ("text", line.n_y)):
        assert (points >= line.minimum[axis] * (1 - 1e-9)).all()
    if np.isfinite(line.y_intercept):
        assert line.minimum["image"] == 0


@given(st.data(), worlds(modalities=2))
def test_minimum_is_the_asymptote(data, world):
    model, name, v = world
    through = {"image": data.draw(st.floats(1, 50)), "text": data.draw(st.floats(1, 50))}
    level = dense_phi(model, through, name, v)
    if np.isinf(level) or name == "D":
        return
    line = isoline(model, make(name, v), through=through, n_points=3)
    need = line.minimum["text"]
    if need:
        # with very many images the level is missed just below the asymptote and reached just above
        many = {"image": 1e3 * (through["image"] + line.n_x.max())}
        assert dense_phi(model, {**many, "text": need * (1 - 1e-2)}, name, v) > level
        assert dense_phi(model, {**many, "text": need * (1 + 1e-2)}, name, v) < level


@given(st.data(), worlds(modalities=2))
def test_rate_is_the_slope_of_the_isoline(data, world):
    model, name, v = world
    counts = {"image": data.draw(st.floats(1, 50)), "text": data.draw(st.floats(1, 50))}
    surface = ExchangeSurface(model, make(name, v))
    level, rate = surface.predict(*counts.values()), surface.rate(*counts.values())
    if not 1e-6 < rate < 1e6 or not make(name, v).smooth_at(
        CountCriterion(model, make(name, v)).total(counts)
    ):
        return
    if name == "E":
        low = np.linalg.eigvalsh(sum(counts[k] * s for k, s in dense_shared(model).items()))[:2]
        if len(low) == 2 and low[1] < 1.05 * low[0]:
            return
    h = 1e-4 * min(counts["text"], counts["image"] / rate)
    x = surface.isoline(level, counts["text"] + h * np.array([-1, 0, 1]))
    assert x[1] == pytest.approx(counts["image"], rel=1e-7)
    assert (x[0] - x[2]) / (2 * h) == pytest.approx(rate, rel=1e-4)


@given(st.data(), worlds())
def test_equivalent_count_gives_the_same_criterion(data, world):
    model, name, v = world
    counts = real_counts(data.draw, model.names)
    criterion = make(name, v)
    phi = dense_phi(model, counts, name, v)
    if np.isinf(phi):
        with pytest.raises(ValueError, match="no modality of this model helps"):
            equivalent_count(model, counts, of="text", in_="image", criterion=criterion)
        return
    r = equivalent_count(model, counts, of="text", in_="image", criterion=criterion)
    without = {**counts, "text": 0}
    if np.isfinite(r):
        assert dense_phi(model, {**without, "image": counts["image"] + r}, name, v) == pytest.approx(
            phi, rel=1e-6, abs=1e-6
        )
    else:
        assert dense_phi(model, {**without, "image": 1e8}, name, v) > phi
    part = equivalent_count(
        model, counts, of="text", in_="image", criterion=criterion, replaced=counts["text"] / 2
    )
    assert part <= r * (1 + 1e-9)


def test_small_replacements_cost_the_marginal_rate():
    model = fk.random_model(3, {"image": 1, "text": 2}, seed=5, noise_std={"image": 1.0, "text": 2.0})
    counts = {"image": 40, "text": 60}
    for criterion in ("A", "D", "E", c_criterion([1.0, 2.0, -1.0])):
        rate = exchange_rate(model, counts, of="text", in_="image", criterion=criterion)
        r = equivalent_count(model, counts, of="text", in_="image", criterion=criterion, replaced=1e-3)
        assert r / 1e-3 == pytest.approx(rate, rel=1e-3)


def test_paper_like_world_in_numbers():
    model = fk.LinearGaussian({
        "image": fk.Modality([[1.0, 0.0]]),  # sees the first parameter only
        "text": fk.Modality(np.eye(2), noise_std=2.0),
    })
    line = isoline(model, "A", level=1.0, n_points=33)  # 1/(x + y/4) + 4/y = 1
    np.testing.assert_allclose(1 / (line.n_x + line.n_y / 4) + 4 / line.n_y, 1, rtol=1e-12)
    assert (line.x_intercept, line.minimum["image"]) == (np.inf, 0)
    np.testing.assert_allclose([line.y_intercept, line.minimum["text"]], [8, 4], rtol=1e-12)
    total = line.n_x + line.n_y / 4
    np.testing.assert_allclose(line.rate, (1 / (4 * total**2) + 4 / line.n_y**2) * total**2, rtol=1e-9)
    assert exchange_rate(model, {"image": 9}, of="text", in_="image") == np.inf
    assert marginal_value(model, {"image": 9}) == {"image": 0.0, "text": np.inf}
    assert isoline(model, c_criterion([1.0, 0.0]), level=1.0).rate == pytest.approx(0.25)
    blind = isoline(model, c_criterion([0.0, 1.0]), level=1.0)
    assert (blind.rate == np.inf).all()
    np.testing.assert_allclose(blind.n_y, 4)


def test_d_isoline_has_no_asymptote_but_infinite_intercepts():
    model = fk.LinearGaussian({"image": fk.Modality([[1.0, 0.0]]), "text": fk.Modality([[0.0, 1.0]])})
    line = isoline(model, "D", level=-np.log(100.0))  # n_x n_y = 100
    np.testing.assert_allclose(line.n_x * line.n_y, 100)
    np.testing.assert_allclose(line.rate, line.n_x / line.n_y)
    assert (line.x_intercept, line.y_intercept) == (np.inf, np.inf)
    assert dict(line.minimum) == {"image": 0, "text": 0}


def test_kinks_of_e_are_marked():
    model = fk.LinearGaussian({"image": fk.Modality([[1.0, 0.0]]), "text": fk.Modality([[0.0, 1.0]])})
    line = isoline(model, "E", level=0.1, n_points=3)  # the corner (10, 10) and its two arms
    np.testing.assert_allclose(np.minimum(line.n_x, line.n_y), 10)
    assert line.smooth.tolist() == [True, False, True]
    np.testing.assert_array_equal(line.rate, [np.inf, np.nan, 0])
    with pytest.raises(ValueError, match=r"undefined \(0 / 0\) .* the worst direction is not unique"):
        exchange_rate(model, 10, of="text", in_="image", criterion="E")


def test_already_collected_samples_move_the_axes():
    model = fk.random_model(2, {"image": 0, "text": 1}, seed=2, noise_std={"image": 1.0, "text": 3.0})
    whole = isoline(model, "A", level=0.05)
    rest = isoline(model, "A", level=0.05, collected={"image": 5, "text": 7})
    assert whole.x_intercept > rest.x_intercept
    assert whole.y_intercept > rest.y_intercept
    surface = ExchangeSurface(model, collected={"image": 5, "text": 7})
    np.testing.assert_allclose(surface.predict(rest.n_x, rest.n_y), 0.05, rtol=1e-9)
    np.testing.assert_allclose(surface.isoline(0.05, rest.n_y), rest.n_x, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(surface.rate(rest.n_x, rest.n_y), rest.rate)
    with pytest.raises(ValueError, match=r"level 0\.05: reached without any sample of image or text"):
        isoline(model, "A", level=0.05, collected={"image": 2000})


def test_out_of_reach_levels_are_named():
    model = fk.LinearGaussian({
        "image": fk.Modality([[1.0, 0.0]]),
        "text": fk.Modality([[2.0, 0.0]]),
        "audio": fk.Modality([[0.0, 1.0]]),
    })
    with pytest.raises(
        ValueError, match=r"level 0\.1: out of reach with any number of samples of image and text"
    ):
        isoline(model, "A", level=0.1, collected={"audio": 5})  # audio alone leaves 1/5
    assert isoline(model, "A", level=0.3, collected={"audio": 5}).x_intercept == pytest.approx(10)
    with pytest.raises(ValueError, match="out of reach"):
        isoline(model, "D", level=0.1)
    with pytest.raises(ValueError, match="not estimable; add samples of another modality"):
        isoline(model, "A", through={"image": 10})
    assert equivalent_count(model, {"image": 1, "text": 1, "audio": 1}, of="audio", in_="text") == np.inf


def test_per_sample_designs_enter_with_their_average():
    blocks = np.random.default_rng(0).standard_normal((5, 2, 3))
    model = fk.LinearGaussian({"image": fk.Modality(blocks), "text": fk.Modality(np.eye(3))})
    all_five = fk.effective_information(model, {"image": 5, "text": 2})
    value = ExchangeSurface(model).predict(5, 2)
    assert value == pytest.approx(np.trace(np.linalg.inv(all_five)))


def test_monte_carlo_agrees_with_the_equivalent_count():
    model = fk.random_model(3, {"image": 1, "text": 2}, seed=11, noise_std={"image": 1.0, "text": 2.0})
    v = np.array([1.0, -1.0, 0.5])
    counts = {"image": 200, "text": 900}
    r = round(equivalent_count(model, counts, of="text", in_="image", criterion=c_criterion(v)))
    assert r > 50
    replicates = 20_000

    def variance(sizes, seed):
        draws = fk.simulate_statistics(model, sizes, seed=seed, replicates=replicates, theta=np.zeros(6))
        return np.mean(np.square(fk.fit(draws).shared @ v))  # around the planted 0

    ratio = variance(counts, 1) / variance({"image": 200 + r}, 2)
    # ratio of two independent chi-squares: F(20000, 20000); rounding r to a whole sample shifts it by < 0.2 %
    low, high = f_distribution.ppf([5e-7, 1 - 5e-7], replicates, replicates)
    assert low * 0.998 < ratio < high * 1.002  # false alarm 1e-6
    assert high < 1.08
    without = variance({"image": 200}, 3) / variance(counts, 1)
    assert without > 1.2  # the text does matter here


def test_amounts_and_reach_by_themselves():
    assert as_amounts(2, ["a", "b"]) == {"a": 2.0, "b": 2.0}
    nothing, unit = fk.PSD.zero(1), fk.PSD.of([[1.0]])
    assert amount_to_reach(a_criterion(), nothing, nothing, 1.0) == np.inf
    assert amount_to_reach(a_criterion(), unit, nothing, 2.0) == 0
    assert amount_to_reach(a_criterion(), unit, nothing, 0.5) == np.inf
    assert amount_to_reach(a_criterion(), unit, 1e-16 * unit, 1e-6) == pytest.approx(999_999e16, rel=1e-9)


def test_bad_requests_are_refused():
    model = fk.random_model(2, {"image": 1, "text": 1}, seed=0)
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'txt'; did you mean 'text'"):
        exchange_rate(model, 5, of="txt", in_="image")
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'imge'"):
        marginal_value(model, {"imge": 5})
    with pytest.raises(fk.UnknownNameError, match="unknown criterion 'G'"):
        marginal_value(model, 5, "G")
    with pytest.raises(ValueError, match="image: count must be >= 0, got -1"):
        marginal_value(model, {"image": -1})
    with pytest.raises(ValueError, match="image: count: infinite value"):
        marginal_value(model, {"image": np.inf})
    with pytest.raises(ValueError, match=r"directions: expected length 2 .*, got 3"):
        marginal_value(model, 5, c_criterion(np.ones(3)))
    with pytest.raises(ValueError, match="what is asked is not estimable yet, and a first sample of either"):
        exchange_rate(model, 0, of="text", in_="image")
    with pytest.raises(ValueError, match="of and in_ are both 'text'"):
        equivalent_count(model, 5, of="text", in_="text")
    with pytest.raises(ValueError, match="replaced: must lie between 0 and the 5 samples of text, got 6"):
        equivalent_count(model, 5, of="text", in_="image", replaced=6)
    with pytest.raises(ValueError, match="axes: expected two different modality names, got"):
        isoline(model, level=1.0, axes=("image", "image"))
    with pytest.raises(ValueError, match="isoline: give one of level"):
        isoline(model)
    with pytest.raises(ValueError, match="isoline: give one of level"):
        isoline(model, level=1.0, through={"image": 1})
    with pytest.raises(ValueError, match="n_points must be a whole number >= 2, got 1"):
        isoline(model, level=1.0, n_points=1)
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'audio'"):
        isoline(model, level=1.0, axes=("image", "audio"))
    with pytest.raises(ValueError, match="level: criterion 'A' takes finite positive values"):
        isoline(model, level=-1.0)
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'sound'"):
        ExchangeSurface(model, axes=("image", "sound")).predict(1, 1)


def test_undefined_rates_say_why():
    model = fk.LinearGaussian({
        "image": fk.Modality([[1.0, 0.0]]),
        "text": fk.Modality([[2.0, 0.0]]),
        "audio": fk.Modality([[0.0, 1.0]]),
    })
    with pytest.raises(ValueError, match="nor with more samples of either alone; add others first"):
        exchange_rate(model, {"image": 3}, of="text", in_="image")
    with pytest.raises(ValueError, match="neither adds anything to what is asked"):
        exchange_rate(model, 3, of="text", in_="image", criterion=c_criterion([0.0, 1.0]))
    surface = ExchangeSurface(model, c_criterion([0.0, 1.0]), axes=("text", "audio"))
    np.testing.assert_array_equal(surface.rate([1, 0], [1, 0]), [np.inf, np.inf])
    assert np.isnan(ExchangeSurface(model, "A").rate(1, 1))


def test_a_surface_needs_two_modalities():
    model = fk.LinearGaussian({"image": fk.Modality(np.eye(1)), "text": fk.Modality(np.eye(1))})
    with pytest.raises(
        ValueError, match=r"axes: expected two different modality names, got \('image', 'image'\)"
    ):
        ExchangeSurface(model, axes=("image", "image")).predict([1, 5], 9)
