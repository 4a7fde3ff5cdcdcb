"""Other libraries on the same problems: equal where the problem is well posed, and where they mislead, we do not.

The second half is a regression suite of confounded and rank-deficient cases. What is right there is settled by
exact fractions. (fimx, which starts from a finished matrix too, needs Python 3.12 and is not compared.)
"""

import warnings
from fractions import Fraction

import numpy as np
import pytest

import fisherkit as fk
from tests import reference

PEER = "a peer of the test extra that is not installed here"


@pytest.fixture
def fitk():
    return pytest.importorskip("fitk", reason=PEER)


@pytest.fixture
def sm():
    return pytest.importorskip("statsmodels.api", reason=PEER)


@pytest.fixture
def linear_regression():
    return pytest.importorskip("sklearn.linear_model", reason=PEER).LinearRegression


def integers(seed, *shape):
    return np.random.default_rng(seed).integers(-3, 4, shape)


def exact_schur(information, keep):
    """Effective information about the first `keep` parameters, eliminating the rest in fractions (zero pivots skipped)."""
    m = [[Fraction(int(x)) for x in row] for row in information]
    for p in range(keep, len(m)):
        if m[p][p] == 0:  # positive semidefinite: the whole row is zero then
            assert not any(m[p])
            continue
        pivot = list(m[p])
        for i in range(len(m)):
            factor = m[i][p] / pivot[p]
            m[i] = [x - factor * y for x, y in zip(m[i], pivot, strict=True)]
    return np.array([[float(x) for x in row[:keep]] for row in m[:keep]])


def stacked(samples):
    """Unwhitened design of all rows, observations, and block-diagonal noise covariance."""
    model, rows, covariances = samples.model, [], []
    for name, x in samples.data.items():
        for i in range(len(x)):
            rows.append(reference.sample_design(model, name, i))
            covariances.append(reference.noise_covariance(model[name]))
    m = sum(map(len, rows))
    covariance, start = np.zeros((m, m)), 0
    for block in covariances:
        part = slice(start, start + len(block))
        covariance[part, part] = block
        start = part.stop
    return np.concatenate(rows), np.concatenate([x.reshape(-1) for x in samples.data.values()]), covariance


def well_posed(noise, per_sample, seed):
    """Two modalities whose noise is a std, variances or a covariance; 3 shared, 2 and 1 private parameters."""
    rng = np.random.default_rng(seed)
    modalities = {}
    for name, private, scale in (("x", 2, 1.0), ("y", 1, 9.0)):
        lead = (8,) if per_sample else ()
        half = rng.standard_normal((6, 9))
        how = {
            "std": {"noise_std": np.sqrt(scale)},
            "variances": {"noise_var": scale * rng.uniform(0.5, 2.0, 6)},
            "covariance": {"noise_cov": scale * half @ half.T},
        }[noise]
        blocks = rng.standard_normal((*lead, 6, 3)), rng.standard_normal((*lead, 6, private))
        modalities[name] = fk.Modality(*blocks, **how)
    return fk.simulate(fk.LinearGaussian(modalities), {"x": 5, "y": 8}, seed=seed)


# --- equal where the problem is well posed


@pytest.mark.parametrize("per_sample", [True, False], ids=["per-sample", "repeated"])
@pytest.mark.parametrize("noise", ["std", "variances"])
def test_fit_is_statsmodels_weighted_least_squares(sm, noise, per_sample):
    samples = well_posed(noise, per_sample, seed=1)
    design, target, covariance = stacked(samples)
    peer = sm.WLS(target, design, weights=1 / covariance.diagonal()).fit(cov_type="fixed scale")
    ours = fk.fit(samples)
    np.testing.assert_allclose(ours.theta, peer.params, rtol=1e-11)
    np.testing.assert_allclose(ours.covariance, peer.cov_params(), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(ours.std_error(np.eye(6)), peer.bse, rtol=1e-11)
    np.testing.assert_allclose(np.stack(ours.interval(np.eye(6)), axis=1), peer.conf_int(), rtol=1e-10)


@pytest.mark.parametrize("per_sample", [True, False], ids=["per-sample", "repeated"])
@pytest.mark.parametrize("noise", ["std", "variances", "covariance"])
def test_fit_is_statsmodels_generalised_least_squares(sm, noise, per_sample):
    samples = well_posed(noise, per_sample, seed=2)
    design, target, covariance = stacked(samples)
    peer = sm.GLS(target, design, sigma=covariance).fit(cov_type="fixed scale")
    ours = fk.fit(samples)
    np.testing.assert_allclose(ours.theta, peer.params, rtol=1e-10)
    np.testing.assert_allclose(ours.covariance, peer.cov_params(), rtol=1e-10, atol=1e-13)


def test_one_modality_with_estimated_noise_is_statsmodels_ordinary_least_squares(sm):
    samples = well_posed("std", True, seed=3)
    design, target, _ = stacked(samples.subset(["x"]))
    seen = samples.model.layout.columns("x")
    peer = sm.OLS(target, design[:, seen]).fit()
    ours = fk.fit(samples, modalities=["x"], noise="dof")
    np.testing.assert_allclose(ours.theta[seen], peer.params, rtol=1e-11)
    np.testing.assert_allclose(ours.std_error(np.eye(6)[:, seen]), peer.bse, rtol=1e-11)
    np.testing.assert_allclose(ours.noise_scale["x"] ** 2, peer.scale, rtol=1e-11)


@pytest.mark.parametrize("noise", ["std", "variances"])
def test_fit_is_scikit_learn_linear_regression(linear_regression, noise):
    samples = well_posed(noise, True, seed=4)
    design, target, covariance = stacked(samples)
    peer = linear_regression(fit_intercept=False).fit(design, target, sample_weight=1 / covariance.diagonal())
    np.testing.assert_allclose(fk.fit(samples).theta, peer.coef_, rtol=1e-11)


def test_unweighted_is_ordinary_least_squares_of_the_stack(sm, linear_regression):
    samples = well_posed("std", True, seed=5)
    design, target, covariance = stacked(samples)
    ours = fk.fit(samples, weighting="unweighted")
    np.testing.assert_allclose(
        ours.theta, linear_regression(fit_intercept=False).fit(design, target).coef_, rtol=1e-10
    )
    # its true covariance is the sandwich, which neither peer reports for a known noise
    half = np.linalg.pinv(design)
    np.testing.assert_allclose(ours.covariance, half @ covariance @ half.T, rtol=1e-10, atol=1e-13)


# --- misleading answers to confounded and rank-deficient problems


def confounded(seed, rows=12, shared=4, private=2):
    """y sees theta_c through a full-rank block, but the first columns of it are its private block too."""
    c = integers(seed, rows, shared)
    assert np.linalg.matrix_rank(c) == shared
    return c, c[:, :private]


@pytest.mark.parametrize("seed", range(5))
def test_marginalising_a_confounded_block_keeps_only_what_is_left(fitk, seed):
    c, s = confounded(seed)
    joint = np.hstack([c, s])
    exact = exact_schur(joint.T @ joint, 4)
    modality = fk.Modality(c, s)
    ours = fk.shared_information(fk.LinearGaussian({"y": modality}))["y"]
    finished = fk.schur_complement(joint.T @ joint, slice(0, 4))
    for answer in (ours, finished):
        np.testing.assert_allclose(answer, exact, atol=1e-11 * np.abs(joint.T @ joint).max())
        assert np.linalg.matrix_rank(answer) == np.linalg.matrix_rank(exact) == 2
    # invert, cut, invert: with pseudoinverses all four directions seem to be known, with inverses it stops or is noise
    matrix = fitk.FisherMatrix(joint.T @ joint, names=list("abcdef"))
    peer = matrix.marginalize_over("e", "f", use_pinv=True).values
    assert np.linalg.matrix_rank(peer) == 4
    assert np.linalg.norm(peer - exact) > np.linalg.norm(exact)
    try:
        inverted = matrix.marginalize_over("e", "f").values
    except np.linalg.LinAlgError:
        return
    assert np.linalg.norm(inverted - exact) > 0.1 * np.linalg.norm(exact)


def test_fewer_observations_than_parameters(fitk):
    joint = integers(11, 4, 7)  # 4 observations of 4 shared and 3 private parameters
    exact = exact_schur(joint.T @ joint, 4)
    assert np.linalg.matrix_rank(exact) == 1
    ours = fk.shared_information(fk.LinearGaussian({"x": fk.Modality(joint[:, :4], joint[:, 4:])}))["x"]
    np.testing.assert_allclose(ours, exact, atol=1e-11 * np.abs(joint.T @ joint).max())
    assert np.linalg.matrix_rank(ours) == 1
    peer = fitk.FisherMatrix(joint.T @ joint, names=list("abcdefg")).marginalize_over(
        "e", "f", "g", use_pinv=True
    )
    assert np.linalg.matrix_rank(peer.values) == 4


def x_only_model(seed=21):
    """What x alone says: theta_y is in the model, and no sample sees it."""
    c, s, other = integers(seed, 12, 3), integers(seed + 1, 12, 2), integers(seed + 2, 12, 2)
    return fk.LinearGaussian({"x": fk.Modality(c, s), "y": fk.Modality(c, other)})


def test_information_of_one_modality_has_a_zero_block(fitk):
    model = x_only_model()
    i_x = fk.information(model, {"x": 1})
    exact = exact_schur(np.rint(i_x).astype(int), 3)
    np.testing.assert_allclose(fk.effective_information(model, {"x": 1}), exact, rtol=1e-11)
    np.testing.assert_allclose(fk.schur_complement(i_x, model.slices["shared"]), exact, rtol=1e-11)
    matrix = fitk.FisherMatrix(i_x, names=list("abcdefg"))
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        matrix.marginalize_over("d", "e", "f", "g")


def exact_std_error(design, v):
    variance = reference.exact_rank_and_variance(design.T @ design, v)[1]
    return np.inf if variance is None else np.sqrt(float(variance))


def test_unidentified_parameters_have_no_finite_standard_error(sm):
    model = x_only_model()
    samples = fk.simulate(model, {"x": 1}, seed=0)
    ours = fk.fit(samples)
    design, target, _ = stacked(samples)
    wanted = [exact_std_error(np.rint(design).astype(int), v) for v in np.eye(7, dtype=int)]
    np.testing.assert_allclose(ours.std_error(np.eye(7)), wanted, rtol=1e-11)
    assert np.isinf(wanted[5:]).all()
    assert not ours.estimable(np.eye(7))[5:].any()
    with pytest.warns(UserWarning, match="rank-deficient") as caught:
        peer = sm.OLS(target, design).fit()
    assert {w.category.__name__ for w in caught} == {"SingularMatrixWarning"}
    assert (peer.bse[5:] == 0).all()  # "known exactly"


def collinear(seed=31):
    """The third shared column is the sum of the first two: their sums are known, they themselves are not."""
    c, s = integers(seed, 14, 2), integers(seed + 1, 14, 2)
    return fk.LinearGaussian({"x": fk.Modality(np.column_stack([c, c.sum(axis=1)]), s)})


def test_collinear_columns_do_not_look_better_known_than_others(sm):
    model = collinear()
    samples = fk.simulate(model, 1, seed=0)
    design, target, _ = stacked(samples)
    directions = np.array([
        [1, 0, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [1, -1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 1, 0],
    ])
    ours = fk.fit(samples)
    wanted = [exact_std_error(np.rint(design).astype(int), v) for v in directions]
    np.testing.assert_allclose(ours.std_error(directions.T), wanted, rtol=1e-11)
    assert np.isfinite(wanted).tolist() == [True, True, True, False, True]
    gap = ours.null_basis[:, 0] / ours.null_basis[0, 0]
    np.testing.assert_allclose(gap, [1, 1, -1, 0, 0], atol=1e-12)
    with pytest.warns(UserWarning, match="rank-deficient"):
        peer = sm.OLS(target, design).fit()
    assert not ours.estimable(np.eye(5))[:3].any()
    assert peer.bse[2] < peer.bse[3:].min()  # the unknown one seems to be known best


def test_minimum_norm_solution_is_reported_as_such(linear_regression):
    samples = fk.simulate(collinear(), 3, seed=1)
    design, target, _ = stacked(samples)
    ours = fk.fit(samples)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the peer says nothing
        peer = linear_regression(fit_intercept=False).fit(design, target)
    np.testing.assert_allclose(ours.theta, peer.coef_, atol=1e-11)
    assert "1 directions not estimable" in repr(ours)
    assert np.isinf(ours.covariance.diagonal()[:3]).all()
    assert np.isfinite(ours.covariance[3:, 3:]).all()


def test_pseudoinverse_variance_of_what_cannot_be_estimated_is_not_a_variance():
    # theory: M_X = e1 e1', M_Y = e2 e2', v = e1 + e2 + e3; v'pinv(M)v = 2 looks like a finite joint variance
    model = fk.LinearGaussian({"x": fk.Modality([[1.0, 0.0, 0.0]]), "y": fk.Modality([[0.0, 1.0, 0.0]])})
    v = np.ones(3)
    assert np.isclose(v @ np.linalg.pinv(fk.information(model, 1)) @ v, 2)
    assert reference.exact_rank_and_variance(fk.information(model, 1).astype(int), v.astype(int)) == (2, None)
    assert np.isinf(fk.cramer_rao(model, 1, v))
