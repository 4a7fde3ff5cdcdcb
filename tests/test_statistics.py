"""Sufficient statistics: any chunking and merge order gives the same fit, in bounded memory, with digits certified."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.accumulation import CHUNK_ROWS, design_root, summarise
from fisherkit.statistics import GRAM_CONDITION, GramStatistics, RootStatistics
from tests.model_strategies import data_sets


def slice_of(samples, name, part):
    """Samples of one modality cut out together with their designs."""
    modality = samples.model[name]
    cut = {k: getattr(modality, k) for k in ("shared", "private", "noise_std", "noise_var", "noise_cov")}
    for block in ("shared", "private"):
        if cut[block].ndim == 3:
            cut[block] = cut[block][part]
    model = fk.LinearGaussian({**samples.model.modalities, name: fk.Modality(**cut)})
    return fk.Samples(model, {name: samples[name][part]})


@given(data_sets(), st.randoms(use_true_random=False), st.sampled_from(["auto", "gram", "qr"]))
def test_streaming_equals_one_shot_for_any_chunking_and_merge_order(samples, random, method):
    whole = fk.accumulate(samples, method=method)
    parts = []
    for name, x in samples.data.items():
        cuts = sorted({0, len(x), *(random.randint(0, len(x)) for _ in range(3))})
        parts += [slice_of(samples, name, slice(a, b)) for a, b in itertools.pairwise(cuts)]
    parts = [fk.accumulate(p, method=method) for p in parts]
    random.shuffle(parts)
    while len(parts) > 1:  # merge in a random tree, not from left to right
        a, b = parts.pop(random.randrange(len(parts))), parts.pop(random.randrange(len(parts)))
        parts.append(a + b)
    merged = parts[0]
    assert merged.counts == whole.counts == samples.counts
    for name in samples.data:
        one, other = whole.modalities[name].root(), merged.modalities[name].root()
        gram = one.matrix.T @ one.matrix
        size = np.sqrt(np.outer(gram.diagonal(), gram.diagonal()))
        assert (np.abs(gram - other.matrix.T @ other.matrix) <= 1e-11 * size + 1e-300).all()
        scale = one.rss + np.square(one.target).sum()
        (rank, rss), (other_rank, other_rss) = one.own_fit(), other.own_fit()
        # method="gram" on designs that it is not meant for
        lost = max(one.digits_lost, other.digits_lost) > GRAM_CONDITION
        if not lost or rank == other_rank:
            np.testing.assert_allclose(other_rss, rss, atol=(1e-5 if lost else 1e-10) * scale)
        cross, other_cross = one.target @ one.matrix, other.target @ other.matrix
        assert (np.abs(cross - other_cross) <= 1e-10 * np.sqrt(scale * gram.diagonal()) + 1e-300).all()


@given(data_sets(max_condition=1e3))
def test_gram_and_root_form_hold_the_same_likelihood(samples):
    fast, stable = (fk.accumulate(samples, method=m) for m in ("gram", "qr"))
    for name in samples.data:
        one, other = fast.modalities[name].root(), stable.modalities[name].root()
        gram = other.matrix.T @ other.matrix
        size = np.sqrt(np.outer(gram.diagonal(), gram.diagonal()))
        assert (np.abs(gram - one.matrix.T @ one.matrix) <= 1e-11 * size + 1e-300).all()
        scale = other.rss + np.square(other.target).sum()
        assert np.abs(one.own_fit()[1] - other.own_fit()[1]) <= 1e-9 * scale


def test_many_chunks_agree_with_one_block_and_float32_is_accepted():
    rng = np.random.default_rng(0)
    n, m = 3 * CHUNK_ROWS // 5 + 17, 5
    model = fk.LinearGaussian({"x": fk.Modality(rng.standard_normal((n, m, 2)), rng.standard_normal((m, 1)))})
    samples = fk.simulate(model, n, seed=1)
    a = model["x"].design().reshape(-1, 3)
    expected = np.linalg.lstsq(a, samples["x"].ravel(), rcond=None)[0]
    for method in ("gram", "qr"):
        np.testing.assert_allclose(fk.fit(fk.accumulate(samples, method=method)).theta, expected, rtol=1e-10)
    single = fk.Samples(model, {"x": samples["x"].astype(np.float32)})
    np.testing.assert_allclose(fk.fit(single).theta, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "noise", [{"noise_std": 0.5}, {"noise_var": np.arange(1.0, 8.0)}, {"noise_cov": np.eye(7) + 1}]
)
def test_repeated_design_over_many_chunks(noise):
    rng = np.random.default_rng(0)
    modality = fk.Modality(rng.standard_normal((7, 2)), rng.standard_normal((7, 1)), **noise)
    n = 20 * CHUNK_ROWS // 7 + 3
    x = rng.standard_normal((n, 7)) + 5
    white, a = modality.whiten(x.T).T, modality.whiten(modality.design())
    stacked_rss = np.square(white).sum() - n * white.mean(0) @ a @ np.linalg.solve(
        a.T @ a, a.T @ white.mean(0)
    )
    for method in ("gram", "qr"):
        root = summarise(modality, x, method=method).root()
        np.testing.assert_allclose(root.matrix.T @ root.matrix, n * a.T @ a, rtol=1e-12)
        np.testing.assert_allclose(root.target @ root.matrix, a.T @ white.sum(0), rtol=1e-10)
        np.testing.assert_allclose(root.rss, stacked_rss, rtol=1e-9)


@pytest.mark.parametrize("repeated", [True, False])
def test_replicates_equal_one_fit_each(repeated):
    model = fk.random_model(2, {"x": 1, "y": 2}, seed=0, obs_dim=4, n_designs=None if repeated else 9)
    samples = fk.simulate(model, 9, seed=1, replicates=5)
    batch = fk.fit(samples, noise="dof")
    for i in range(5):
        one = fk.fit(fk.Samples(model, {k: x[i] for k, x in samples.data.items()}), noise="dof")
        np.testing.assert_allclose(batch.theta[i], one.theta, rtol=1e-10)
        np.testing.assert_allclose(batch.covariance[i], one.covariance, rtol=1e-10)


def test_extra_memory_does_not_grow_with_the_number_of_samples(tmp_path):
    peaks = []
    for n in (20_000, 80_000):
        files = {}
        for key, width in (("c", 10), ("s", 5), ("x", 1)):
            files[key] = np.lib.format.open_memmap(
                tmp_path / f"{key}{n}.npy", mode="w+", dtype=np.float64, shape=(n, 50, width)
            )
            files[key][:] = np.random.default_rng(len(key)).standard_normal((n, 50, width))
        samples = fk.Samples(
            fk.LinearGaussian({"x": fk.Modality(files["c"], files["s"])}), {"x": files["x"][..., 0]}
        )
        tracemalloc.start()
        fk.fit(samples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 16e6
    assert peaks[1] < 1.1 * peaks[0] + 1e5


def test_ill_conditioned_designs_take_the_stable_path_and_keep_their_digits():
    rng = np.random.default_rng(0)
    theta = np.array([1.0, -2.0, 3.0])
    for condition in (1e2, 1e6, 1e8, 1e10):
        u = np.linalg.qr(rng.standard_normal((2000, 3)))[0]
        v = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        a = u * np.geomspace(1, 1 / condition, 3) @ v.T
        model = fk.LinearGaussian({"x": fk.Modality(a.reshape(200, 10, 3))})
        samples = fk.Samples(model, {"x": (a @ theta).reshape(200, 10)})
        estimate = fk.fit(samples)
        assert estimate.precision.rank == 3
        assert np.abs(estimate.theta - theta).max() < 1e-15 * condition * 100
        kind = GramStatistics if condition < 1e3 else RootStatistics
        # a noiseless system cancels in |x|^2 - |q|^2, which also asks for the stable path
        assert isinstance(fk.accumulate(fk.simulate(model, 200, seed=0)).modalities["x"], kind)


def test_statistics_that_lost_digits_warn_when_the_data_are_gone():
    a = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-7], [1.0, 1.0]])
    model = fk.LinearGaussian({"x": fk.Modality(np.stack([a, a]))})
    samples = fk.simulate(model, 2, seed=0)
    assert fk.fit(samples).precision.rank == 2
    with pytest.warns(
        fk.ConditioningWarning, match=r"x: .* decided from a Gram matrix.*method='auto' or 'qr'"
    ):
        fk.fit(fk.accumulate(samples, method="gram"))


def test_residuals_survive_cancellation():
    rng = np.random.default_rng(0)
    model = fk.LinearGaussian({"x": fk.Modality(rng.standard_normal((4, 2)), noise_std=1e-7)})
    samples = fk.simulate(model, 500, theta=[3.0, 4.0], seed=1)
    scale = fk.fit(samples, noise="dof").noise_scale["x"]
    # scale^2 ~ chi2(1998) / 1998: 6 standard deviations are 0.095 on the std; false alarm 2e-9
    assert abs(scale - 1) < 0.095


def test_merging_what_does_not_belong_together_is_refused():
    eye = np.eye(2)
    one = fk.accumulate(fk.simulate(fk.LinearGaussian({"x": fk.Modality(eye)}), 2, seed=0))
    two = fk.accumulate(fk.simulate(fk.LinearGaussian({"y": fk.Modality(eye)}), 2, seed=0))
    loud = fk.accumulate(fk.simulate(fk.LinearGaussian({"x": fk.Modality(eye, noise_std=2.0)}), 2, seed=0))
    with pytest.raises(
        ValueError, match="statistics of different models cannot be merged: parameters shared 2"
    ):
        one + two
    with pytest.raises(
        ValueError, match=r"x: statistics in units of noise std 1\.0 and 2\.0 cannot be merged"
    ):
        one + loud
    with pytest.raises(TypeError, match="unsupported operand"):
        one + 1
    assert sum([one, one]).counts == {"x": 4}
    with pytest.raises(ValueError, match="method must be 'auto', 'gram' or 'qr', got 'svd'"):
        fk.accumulate(fk.simulate(fk.LinearGaussian({"x": fk.Modality(eye)}), 2, seed=0), method="svd")


def test_overflow_and_nan_that_appear_after_the_check_are_named():
    big = fk.LinearGaussian({"x": fk.Modality(np.full((3, 2, 1), 1e200))})
    with pytest.raises(ValueError, match="x: squares of the data or of the designs overflow float64"):
        fk.fit(fk.Samples(big, {"x": np.ones((3, 2))}))
    model = fk.LinearGaussian({"x": fk.Modality(np.eye(2))})
    samples = fk.Samples(model, {"x": np.ones((3, 2))})
    samples["x"][1, 1] = np.nan
    with pytest.raises(ValueError, match=r"x: samples: NaN at index \(1, 1\)"):
        fk.fit(samples)


def test_design_root_squares_to_the_information():
    model = fk.random_model(3, {"x": 2}, seed=0, n_designs=8)
    root = design_root(model["x"], 8).matrix
    np.testing.assert_allclose(root.T @ root, fk.information(model, 8), rtol=1e-10, atol=1e-12)


# --- what must not be merged or passed over in silence -------------------------------------------------------------


def replicated(replicates, method, n_designs=4):
    model = fk.random_model(2, {"x": 1}, seed=0, obs_dim=3, n_designs=n_designs)
    return fk.accumulate(fk.simulate(model, 4, seed=0, replicates=replicates), method=method)


@pytest.mark.parametrize("methods", list(itertools.product(["gram", "qr"], repeat=2)))
@pytest.mark.parametrize("shapes", [(None, 3), (2, 3), (3, None)])
def test_chunks_of_different_replicates_are_not_merged(shapes, methods):
    one, other = (replicated(r, m) for r, m in zip(shapes, methods, strict=True))
    with pytest.raises(
        ValueError, match=r"statistics of .* and of .* cannot be merged: every chunk must hold the same"
    ):
        one + other
    assert (replicated(3, methods[0]) + replicated(3, methods[1])).counts == {"x": 8}


def test_replicates_agree_between_modalities_too():
    model = fk.random_model(2, {"x": 1, "y": 1}, seed=0)
    parts = [
        fk.accumulate(fk.simulate(model, {n: 2}, seed=0, replicates=r)) for n, r in (("x", 3), ("y", None))
    ]
    with pytest.raises(
        ValueError, match="y: statistics of 3 replicates and of a single data set cannot be merged"
    ):
        parts[0] + parts[1]


@pytest.mark.parametrize("kind", ["noise_var", "noise_cov"])
def test_statistics_in_units_of_different_noise_are_not_merged(kind):
    def statistics(factor):
        noise = factor * (np.arange(1.0, 4.0) if kind == "noise_var" else np.eye(3) + 1)
        model = fk.LinearGaussian({"x": fk.Modality(np.ones((3, 1)), **{kind: noise})})
        draw = fk.simulate_statistics if factor == 1 else lambda *a, **k: fk.accumulate(fk.simulate(*a, **k))
        return draw(model, 2, seed=0)

    assert (statistics(1) + statistics(1)).counts == {"x": 4}
    with pytest.raises(
        ValueError, match="x: statistics in units of different noise variances or covariances"
    ):
        statistics(1) + statistics(4)


def test_a_well_conditioned_gram_matrix_does_not_blur_another_modality():
    """Its root is as good as a stable one: directions that only y resolves keep their floor."""
    rng = np.random.default_rng(0)
    weak = rng.standard_normal((6, 1))
    near = np.concatenate([weak, weak + 1e-9 * rng.standard_normal((6, 1))], axis=1)
    model = fk.LinearGaussian({
        "x": fk.Modality(rng.standard_normal((50, 3, 2))),
        "y": fk.Modality(rng.standard_normal((6, 2)), near),
    })
    samples = fk.simulate(model, {"x": 50, "y": 4}, seed=0)
    assert isinstance(fk.accumulate(samples).modalities["x"], GramStatistics)
    assert fk.fit(samples).precision.rank == 4


@pytest.mark.parametrize("method", ["auto", "gram", "qr"])
@pytest.mark.parametrize("size", [1e-200, 1e-165, 1e-160, 1e-150, 1e150, 1e200])
def test_designs_whose_squares_leave_float64_are_refused(size, method):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20, 3, 2))
    a[..., 1] = a[..., 0] + 1e-8 * a[..., 1]
    for design in (size * a, size * a[0], a * [1.0, size]):
        samples = fk.Samples(fk.LinearGaussian({"x": fk.Modality(design)}), {"x": np.ones((20, 3))})
        with pytest.raises(ValueError, match=r"x: .*(leave|overflow) float64.*units"):
            fk.accumulate(samples, method=method)


@given(st.floats(-130, 130), st.booleans(), st.sampled_from(["auto", "qr"]))
def test_units_of_the_design_change_nothing_but_units(digits, repeated, method):
    """A power of two for all parameters scales the estimate exactly, far from 1 as well."""
    unit = 2.0 ** round(digits * np.log2(10))
    plain = fk.random_model(2, {"x": 1}, seed=0, n_designs=None if repeated else 6)
    scaled = fk.LinearGaussian({"x": fk.Modality(plain["x"].shared * unit, plain["x"].private * unit)})
    data = fk.simulate(plain, 6, seed=0).data
    one, other = (fk.fit(fk.accumulate(fk.Samples(m, data), method=method)) for m in (plain, scaled))
    np.testing.assert_allclose(other.theta * unit, one.theta, rtol=1e-9)
    np.testing.assert_allclose(other.covariance * unit**2, one.covariance, rtol=1e-9)


def test_masks_are_not_dropped():
    masked = np.ma.masked_array(np.ones((3, 2)), [[0, 0], [0, 1], [0, 0]])
    model = fk.LinearGaussian({"x": fk.Modality(np.eye(2))})
    with pytest.raises(TypeError, match="x: samples: 1 entries are masked"):
        fk.Samples(model, {"x": masked})
    with pytest.raises(TypeError, match="shared design: 1 entries are masked"):
        fk.Modality(masked)
    assert fk.Samples(model, {"x": np.ma.masked_array(np.ones((3, 2)))}).counts == {"x": 3}
    with pytest.raises(TypeError, match="samples: expected Samples"):
        fk.accumulate({})
