"""Units do not matter: no estimable answer of a fit changes when parameters are measured in other units, however extreme."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fisherkit as fk
from tests.strategies import seeds

EPS = np.finfo(float).eps


def rescaled(model, units):
    """The same world with parameter i measured in units[i]."""
    modalities = {}
    for name, m in model.modalities.items():
        seen = units[model.layout.columns(name)]
        modalities[name] = fk.Modality(
            m.shared * seen[: model.shared_dim], m.private * seen[model.shared_dim :], noise_std=m.noise_std
        )
    return fk.LinearGaussian(modalities)


def sample_rows(model):
    """All rows of all designs placed in theta, as columns: estimable directions."""
    rows = []
    for name in model.names:
        design = model[name].design().reshape(-1, len(model.layout.columns(name)))
        rows.append(np.zeros((len(design), model.n_params)))
        rows[-1][:, model.layout.columns(name)] = design
    return np.concatenate(rows).T


@st.composite
def worlds(draw):
    """1 to 3 modalities, private columns that confound some directions or none, both design regimes."""
    rng = np.random.default_rng(draw(seeds))
    names = "xyz"[: draw(st.integers(1, 3))]
    confounded, per_sample = draw(st.booleans()), draw(st.booleans())
    modalities = {}
    for name in names:
        width, lead = int(rng.integers(0, 3)), (6,) if per_sample else ()
        shared = rng.standard_normal((*lead, 5, 3))
        private = rng.standard_normal((*lead, 5, width))
        if confounded and width:
            private[..., 0] = shared[..., 1]
        modalities[name] = fk.Modality(shared, private, noise_std=float(10 ** rng.uniform(-1, 1)))
    model = fk.LinearGaussian(modalities)
    data = fk.simulate(model, 6, seed=rng, replicates=draw(st.sampled_from([None, 3]))).data
    units = 2.0 ** rng.integers(-100, 101, model.n_params)
    generic = rng.standard_normal((model.n_params, 2))
    return (
        model,
        data,
        units,
        np.concatenate([generic, np.eye(model.n_params), sample_rows(model)[:, :3]], axis=1),
    )


@settings(max_examples=40)
@given(
    worlds(),
    st.sampled_from(["known", "dof", "ml"]),
    st.sampled_from(["gls", "unweighted"]),
    st.floats(0.5, 0.99),
)
def test_rescaling_parameters_changes_no_estimable_answer(world, noise, weighting, level):
    model, data, units, v = world
    one, other = (
        fk.fit(fk.Samples(m, data), noise=noise, weighting=weighting) for m in (model, rescaled(model, units))
    )
    w = v * units[:, None]
    inside = one.estimable(v)
    np.testing.assert_array_equal(other.estimable(w), inside)
    v, w = v[:, inside], w[:, inside]
    size = one.std_error(v)
    for ours, theirs in (
        (one.value(v), other.value(w)),
        *zip(one.interval(v, level), other.interval(w, level), strict=True),
    ):
        assert (np.abs(ours - theirs) <= 1e-9 * size).all()
    np.testing.assert_allclose(other.variance(w), one.variance(v), rtol=1e-10)
    np.testing.assert_allclose(other.degrees_of_freedom(w), one.degrees_of_freedom(v), rtol=1e-10)
    known = np.flatnonzero(one.estimable(np.eye(model.n_params)))
    scale = one.std_error(np.eye(model.n_params)[:, known])
    assert (np.abs(other.theta * units - one.theta)[..., known] <= 1e-9 * scale).all()
    np.testing.assert_array_equal(np.isfinite(one.covariance), np.isfinite(other.covariance))
    pair = np.ix_(known, known)
    gap = other.covariance[(..., *pair)] * np.outer(units, units)[pair] - one.covariance[(..., *pair)]
    assert (np.abs(gap) <= 1e-10 * scale[..., :, None] * scale[..., None, :]).all()
    if v.shape[1]:
        ours, theirs = one.region(v[:, -2:], level), other.region(w[:, -2:], level)
        assert ours.dim == theirs.dim
        np.testing.assert_allclose(theirs.quantile, ours.quantile, rtol=1e-10)
        gap = np.abs(theirs.shape - ours.shape)
        width = np.sqrt(np.einsum("...ii->...i", ours.shape))
        assert (gap <= 1e-9 * width[..., :, None] * width[..., None, :]).all()


def exact_answer(rows, target, weights, v):
    """(value, variance) of v'theta by weighted least squares in fractions; None where v is not estimable."""
    d = len(v)
    rows = [[Fraction(float(x)) for x in row] for row in rows]
    weights = [Fraction(float(w)) for w in weights]
    m = [
        [sum(w * r[i] * r[j] for w, r in zip(weights, rows, strict=True)) for j in range(d)] for i in range(d)
    ]
    m = [[*row, Fraction(float(x))] for row, x in zip(m, v, strict=True)]
    pivots, rank = [], 0
    for c in range(d):
        p = next((i for i in range(rank, d) if m[i][c]), None)
        if p is None:
            continue
        m[rank], m[p] = m[p], m[rank]
        m[rank] = [x / m[rank][c] for x in m[rank]]
        for i in range(d):
            if i != rank and m[i][c]:
                m[i] = [x - m[i][c] * y for x, y in zip(m[i], m[rank], strict=True)]
        pivots.append(c)
        rank += 1
    if any(m[i][d] for i in range(rank, d)):
        return None
    z = [Fraction(0)] * d
    for i, c in enumerate(pivots):
        z[c] = m[i][d]
    pull = (
        sum(w * r[i] * Fraction(float(t)) for w, r, t in zip(weights, rows, target, strict=True))
        for i in range(d)
    )
    return float(sum(x * y for x, y in zip(z, pull, strict=True))), float(
        sum(x * Fraction(float(y)) for x, y in zip(z, v, strict=True))
    )


@given(seeds)
def test_values_and_variances_are_the_rational_ones_in_any_unit(seed):
    """Small integers, private columns that explain shared ones, units 2^-100 to 2^100, noise 2^-10 to 2^10."""
    rng = np.random.default_rng(seed)
    units, modalities, rows, weights = 2.0 ** rng.integers(-100, 101, 5), {}, [], []
    for name, column in (("x", 3), ("y", 4)):
        noise, shared, private = (
            2.0 ** rng.integers(-10, 11),
            rng.integers(-2, 3, (4, 3)),
            rng.integers(-2, 3, (4, 1)),
        )
        if rng.random() < 0.5:
            private = shared[:, :1] + shared[:, 1:2]
        placed = np.zeros((4, 5))
        placed[:, :3], placed[:, [column]] = shared, private
        placed *= units
        modalities[name] = fk.Modality(placed[:, :3], placed[:, [column]], noise_std=noise)
        rows.append(placed)
        weights.append(np.full(4, noise**-2.0))
    rows, weights = np.concatenate(rows), np.concatenate(weights)
    target = rng.integers(-8, 9, 8).astype(float)
    model = fk.LinearGaussian(modalities)
    estimate = fk.fit(fk.Samples(model, {"x": target[None, :4], "y": target[None, 4:]}))
    size = target * np.sqrt(weights)
    directions = [rng.integers(-2, 3, 5) * units for _ in range(3)] + [
        rows[int(rng.integers(8))],
        *np.diag(units),
    ]
    for v in directions:
        exact = exact_answer(rows, target, weights, v)
        assert bool(estimate.estimable(v)) == (exact is not None)
        if exact is None:
            assert np.isnan(estimate.value(v))
            assert estimate.variance(v) == np.inf
            assert estimate.interval(v) == (-np.inf, np.inf)
            continue
        # directions are resolved to eps times the condition or, for the weaker modality, times the ratio of noises, and
        # the data miss the model by far more than its noise
        rounding = 64 * EPS * max(estimate.condition, np.sqrt(weights.max() / weights.min()))
        assert estimate.variance(v) == pytest.approx(exact[1], rel=max(1e-12, rounding))
        assert abs(estimate.value(v) - exact[0]) <= rounding * np.linalg.norm(size) * np.sqrt(exact[1])


def test_a_cubic_in_large_units():
    x = np.linspace(0, 1e6, 12)
    power = np.array([1.0, 1e6, 1e12, 1e18])
    design = np.stack([np.ones(12), x, x**2, x**3], axis=1)
    y = design @ [1.0, 2e-6, -1e-12, 0.5e-18] + 0.1 * np.random.default_rng(0).standard_normal(12)
    estimate = fk.fit(
        fk.Samples(
            fk.LinearGaussian({"x": fk.Modality(design[:, None, :], noise_std=0.1)}), {"x": y[:, None]}
        )
    )
    unit = design / power
    exact = np.linalg.lstsq(unit, y, rcond=None)[0] / power
    covariance = 0.01 * np.linalg.inv(unit.T @ unit) / np.outer(power, power)
    size = np.sqrt(covariance.diagonal())
    assert (np.abs(estimate.theta - exact) <= 1e-9 * size).all()
    np.testing.assert_allclose(estimate.variance(np.eye(4)), covariance.diagonal(), rtol=1e-11)
    assert (np.abs(estimate.covariance - covariance) <= 1e-11 * np.outer(size, size)).all()


def test_a_noisy_modality_with_its_own_offset_moves_nothing():
    good = fk.Modality([[1.0, 0.3], [0.2, 1.0]], noise_std=1e-6)
    model = fk.LinearGaussian({"image": good, "text": fk.Modality([[0.5, 0.7]], [[1.0]], noise_std=1e6)})
    data = fk.simulate(model, 10, seed=3, theta=[1.0, 2.0, 0.5])
    exact = np.linalg.solve(good.shared, data["image"].mean(axis=0))
    joint, alone = fk.fit(data), fk.fit(data, modalities=["image"])
    size = joint.std_error(np.eye(2))
    assert (np.abs(joint.shared - exact) <= 1e-8 * size).all()
    np.testing.assert_allclose(joint.variance(np.eye(2)), alone.variance(np.eye(2)), rtol=1e-11)


@pytest.mark.parametrize("ratio", [1.0, 1e4, 1e8, 1e9, 1e10, 1e12])
def test_a_sum_that_one_modality_knows_whatever_the_other_ones_noise(ratio):
    model = fk.LinearGaussian({
        "x": fk.Modality([[1.0, 1.0]]),
        "y": fk.Modality([[1.0, 0.0]], noise_std=ratio),
    })
    data = fk.simulate(model, 1, seed=0, theta=[1.0, 2.0])
    estimate = fk.fit(data)
    # directions are resolved to eps times the ratio, variances to its square
    assert estimate.variance([1.0, 1.0]) == pytest.approx(1.0, rel=1e-12 + (8 * EPS * ratio) ** 2)
    assert abs(estimate.value([1.0, 1.0]) - data["x"][0, 0]) <= 1e-12 + 8 * EPS * ratio
    low, high = estimate.interval([1.0, 1.0])
    assert high - low == pytest.approx(2 * 1.959963984540054, rel=1e-6)


@pytest.mark.parametrize("noise", ["dof", "ml"])
@pytest.mark.parametrize("digits", [0, 4, 8])
def test_estimated_noise_that_differs_by_any_factor_gives_no_empty_interval(noise, digits):
    model = fk.LinearGaussian({
        "x": fk.Modality([[1.0, 1.0]]),
        "y": fk.Modality([[1.0, 0.0]], noise_std=10.0**digits),
    })
    plain = fk.LinearGaussian({"x": fk.Modality([[1.0, 1.0]]), "y": fk.Modality([[1.0, 0.0]])})
    data = fk.simulate(model, 6, seed=0, theta=[1.0, 2.0], replicates=50).data
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate = fk.fit(fk.Samples(plain, data), noise=noise)
    x = data["x"][..., 0]
    np.testing.assert_allclose(estimate.value([1.0, 1.0]), x.mean(axis=1), atol=1e-6)
    spread = x.var(axis=1, ddof=1 if noise == "dof" else 0) / 6
    np.testing.assert_allclose(estimate.variance([1.0, 1.0]), spread, rtol=1e-6)
    low, high = estimate.interval([1.0, 1.0])
    # only x matters: Student's t with 5 degrees of freedom
    np.testing.assert_allclose(high - low, 2 * 2.5705818366 * x.std(axis=1, ddof=1) / np.sqrt(6), rtol=1e-5)


def test_directions_over_the_shared_parameters_are_padded():
    model = fk.random_model(2, {"x": 1, "y": 2}, seed=0, obs_dim=5)
    estimate = fk.fit(fk.simulate(model, 3, seed=0, replicates=4), noise="dof")
    short, long = np.array([1.0, -2.0]), np.array([1.0, -2.0, 0.0, 0.0, 0.0])
    for ask in (estimate.estimable, estimate.value, estimate.variance, estimate.std_error, estimate.interval,
                estimate.degrees_of_freedom, lambda v: fk.cramer_rao(model, 3, v)):  # fmt: skip
        np.testing.assert_array_equal(ask(short), ask(long))
        np.testing.assert_array_equal(
            ask(np.stack([short, short], axis=1)), ask(np.stack([long, long], axis=1))
        )
    np.testing.assert_array_equal(estimate.region(np.eye(2)).shape, estimate.region(np.eye(5)[:, :2]).shape)
    message = r"directions: expected length 5 \(all parameters\) or 2 \(shared ones\), got 3"
    for ask in (estimate.estimable, estimate.value, estimate.variance, estimate.std_error, estimate.interval,
                estimate.degrees_of_freedom, estimate.region, lambda v: fk.cramer_rao(model, 3, v)):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            ask(np.ones(3))
