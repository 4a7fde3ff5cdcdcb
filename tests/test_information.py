"""Information blocks against finite differences and score covariances; the properties the theory rests on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.information import sample_information
from tests import reference
from tests.model_strategies import counts_for, data_sets, models


def relative_gap(a, b):
    """Largest entry of a - b in units of the square roots of the diagonals."""
    size = np.sqrt(np.outer(a.diagonal(), a.diagonal()))
    return np.abs(a - b).max(where=size > 0, initial=0) if not size.any() else (
        (np.abs(a - b) / np.where(size > 0, size, 1.0)).max()
    )  # fmt: skip


def assert_psd(matrix, scale):
    unit = np.sqrt(np.where(scale > 0, scale, 1.0))
    assert np.linalg.eigvalsh(matrix / np.outer(unit, unit)).min(initial=0) > -1e-9


@given(st.data())
def test_information_equals_the_sum_over_samples_from_the_definition(data):
    model = data.draw(models())
    counts = data.draw(counts_for(model))
    assert relative_gap(reference.dense_information(model, counts), fk.information(model, counts)) < 1e-11


@given(data_sets(max_condition=1e2))
def test_information_is_minus_the_hessian_of_the_log_likelihood(samples):
    theta = np.zeros(samples.model.n_params)
    information = fk.information(samples.model, samples.counts)
    # steps of one standard error, so that differences are of order one
    step = 1 / np.sqrt(np.where(information.diagonal() > 0, information.diagonal(), 1.0))

    def function(p):
        return reference.log_likelihood(samples.model, samples.data, p * step)

    value = abs(function(theta)) + 1
    numeric = -reference.hessian(function, theta, step=1.0)
    np.testing.assert_allclose(numeric, information * np.outer(step, step), atol=1e-12 * value + 1e-9)


def test_information_is_the_covariance_of_the_score():
    model = fk.random_model(
        2, {"x": 1, "y": 2}, seed=3, obs_dim=3, n_designs=3, noise_std={"x": 0.5, "y": 2.0}
    )
    draws = fk.simulate(model, {"x": 3, "y": 2}, seed=4, replicates=4000)
    scores = np.array([
        reference.score(model, {n: x[i] for n, x in draws.data.items()}, draws.theta) for i in range(4000)
    ])
    white = np.linalg.solve(np.linalg.cholesky(fk.information(model, {"x": 3, "y": 2})), scores.T)
    # entries of the sample covariance have sd sqrt(2/n) at most; 5.5 of them over 15 entries: false alarm 6e-7
    assert np.abs(white @ white.T / 4000 - np.eye(5)).max() < 5.5 * np.sqrt(2 / 4000)
    assert np.abs(white.mean(axis=1)).max() < 5.5 / np.sqrt(4000)


@given(st.data())
def test_effective_information_is_the_least_curvature_over_the_nuisance(data):
    model = data.draw(models(max_condition=1e2))
    counts = data.draw(counts_for(model))
    total = reference.dense_information(model, counts)
    for about in model.slices:
        keep = list(range(model.slices[about].start, model.slices[about].stop))
        effective = fk.effective_information(model, counts, about)
        for v in np.eye(len(keep)):
            top = total[keep, keep] @ v
            expected = reference.effective_by_minimisation(total, keep, v)
            assert abs(v @ effective @ v - expected) <= 1e-6 * top + 1e-300


@given(st.data())
def test_effective_information_adds_over_modalities(data):
    model = data.draw(models())
    counts = data.draw(counts_for(model))
    parts = fk.shared_information(model, counts)
    total = fk.effective_information(model, counts)
    np.testing.assert_allclose(sum(map(np.asarray, parts.values())), total, atol=1e-12 * np.abs(total).max())
    for name in model.names:
        alone = fk.effective_information(model.subset(name), {name: counts[name]})
        np.testing.assert_array_equal(alone, parts[name])


@given(st.data())
def test_schur_complement_of_the_finished_matrix_agrees(data):
    model = data.draw(models(max_condition=1e2))
    counts = data.draw(counts_for(model))
    whole = fk.information(model, counts)
    schur = fk.schur_complement(whole, model.slices["shared"])
    top = whole.diagonal()[: model.shared_dim]
    gap = np.abs(schur - fk.effective_information(model, counts))
    assert (gap <= 1e-6 * np.sqrt(np.outer(top, top)) + 1e-300).all()


@given(st.data())
def test_order_of_modalities_does_not_matter(data):
    model = data.draw(models())
    counts = data.draw(counts_for(model))
    shuffled = fk.LinearGaussian(dict(reversed(model.modalities.items())))
    a, b = (fk.effective_information(m, counts) for m in (model, shuffled))
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(a).max(initial=0))
    for name in model.names:
        a, b = (fk.information(m, counts) for m in (model, shuffled))
        i, j = model.layout.columns(name), shuffled.layout.columns(name)
        np.testing.assert_allclose(a[np.ix_(i, i)], b[np.ix_(j, j)], rtol=1e-12)


@given(st.data())
def test_more_samples_never_lower_the_information_under_any_criterion(data):
    model = data.draw(models(max_condition=1e2))
    counts = data.draw(counts_for(model))
    grown = {n: data.draw(st.integers(c, 6)) for n, c in counts.items()}
    small, large = (fk.effective_information(model, c) for c in (counts, grown))
    assert_psd(large - small, small.diagonal() + large.diagonal())
    v = np.eye(model.n_params)
    before, after = (fk.cramer_rao(model, c, v) for c in (counts, grown))
    assert (after <= before * (1 + 1e-9)).all()
    assert (
        np.linalg.slogdet(np.eye(len(large)) + large)[1]
        >= np.linalg.slogdet(np.eye(len(small)) + small)[1] - 1e-9
    )


@given(st.data())
def test_other_modalities_also_help_private_blocks(data):
    model = data.draw(models(max_condition=1e2))
    counts = data.draw(counts_for(model, minimum=1))
    name = model.names[0]
    alone = fk.effective_information(model, {name: counts[name]}, name)
    joint = fk.effective_information(model, counts, name)
    block = model.slices[name]
    assert_psd(joint - alone, fk.information(model, counts).diagonal()[block])


@given(st.data())
def test_orthogonal_change_of_observation_basis_changes_nothing(data):
    model = data.draw(models(max_condition=1e3))
    counts = data.draw(counts_for(model))
    rotated = {}
    for name, modality in model.modalities.items():
        m = modality.obs_dim
        q = np.linalg.qr(np.random.default_rng(m).standard_normal((m, m)))[0]
        rotated[name] = fk.Modality(
            q @ modality.shared, q @ modality.private, noise_cov=q @ modality.noise_covariance @ q.T
        )
    a, b = (fk.information(m, counts) for m in (model, fk.LinearGaussian(rotated)))
    assert relative_gap(a, b) < 1e-10
    a, b = (fk.effective_information(m, counts) for m in (model, fk.LinearGaussian(rotated)))
    top = fk.information(model, counts).diagonal()[: model.shared_dim]
    assert (np.abs(a - b) <= 1e-6 * np.sqrt(np.outer(top, top)) + 1e-300).all()


@given(st.data())
def test_orthogonal_change_of_shared_parameters_rotates_the_information(data):
    model = data.draw(models(max_condition=1e2))
    counts = data.draw(counts_for(model))
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((model.shared_dim,) * 2))[0]
    turned = fk.LinearGaussian({
        n: fk.Modality(m.shared @ q, m.private, noise_cov=m.noise_covariance)
        for n, m in model.modalities.items()
    })
    a, b = fk.effective_information(model, counts), fk.effective_information(turned, counts)
    top = np.abs(fk.information(model, counts)[: model.shared_dim, : model.shared_dim]).max()
    assert np.abs(q.T @ a @ q - b).max() <= 1e-9 * top + 1e-300


@given(st.data())
def test_counts_scale_information_of_repeated_designs(data):
    model = data.draw(models(repeated=True))
    counts = data.draw(counts_for(model))
    double = {n: 2 * c for n, c in counts.items()}
    a, b = fk.effective_information(model, counts), fk.effective_information(model, double)
    np.testing.assert_allclose(b, 2 * a, rtol=1e-10, atol=1e-12 * np.abs(a).max(initial=0))
    per_sample = fk.shared_information(model)
    summed = sum(counts[n] * s for n, s in per_sample.items())
    np.testing.assert_allclose(summed, a, rtol=1e-9, atol=1e-12 * np.abs(a).max(initial=0))


@given(st.data())
def test_a_modality_without_shared_information_adds_exactly_nothing(data):
    model = data.draw(models(max_modalities=3))
    counts = data.draw(counts_for(model))
    dim = model.shared_dim
    blind = fk.Modality(np.zeros((3, dim)), np.random.default_rng(0).standard_normal((3, 2)))
    confounded = fk.Modality(np.eye(dim), np.eye(dim))
    for extra in (blind, confounded):
        larger = fk.LinearGaussian({**model.modalities, "extra": extra})
        assert (fk.shared_information(larger, {**counts, "extra": 50})["extra"] == 0).all()
        np.testing.assert_array_equal(
            fk.effective_information(larger, {**counts, "extra": 50}), fk.effective_information(model, counts)
        )


@given(st.data())
def test_cramer_rao_is_the_covariance_of_the_fit(data):
    samples = data.draw(data_sets(max_condition=1e2))
    v = np.eye(samples.model.n_params)
    bound = fk.cramer_rao(samples.model, samples.counts, v)
    np.testing.assert_allclose(bound, fk.fit(samples).variance(v), rtol=1e-6)


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_cramer_rao_against_exact_fractions(d, seed):
    rng = np.random.default_rng(seed)
    a = rng.integers(-2, 3, (rng.integers(1, d + 1), d))
    v = a.T @ rng.integers(-2, 3, len(a)) if rng.random() < 0.5 else rng.integers(-2, 3, d)
    rank, exact = reference.exact_rank_and_variance(a.T @ a, v)
    model = fk.LinearGaussian({"x": fk.Modality(a.astype(float))})
    bound = fk.cramer_rao(model, {"x": 1}, v.astype(float))
    if exact is None:
        assert np.isinf(bound)
    else:
        np.testing.assert_allclose(bound, float(exact), rtol=1e-9, atol=1e-12)
    assert fk.PSD.of((a.T @ a).astype(float)).rank == rank


def test_direction_information_is_the_inverse_bound():
    model = fk.random_model(2, {"x": 1, "y": 1}, seed=0, obs_dim=3)
    v = np.array([1.0, 2.0, 0.0, -1.0])
    value = fk.effective_information(model, 3, v)
    assert value == pytest.approx(1 / fk.cramer_rao(model, 3, v))
    assert fk.effective_information(model, {"x": 3}, np.eye(4)[3]) == 0


def test_the_papers_switches_drop_noise_and_nuisance():
    c, s = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[1.0], [1.0]])
    model = fk.LinearGaussian({"x": fk.Modality(c, s, noise_std=0.5), "y": fk.Modality(c, noise_std=2.0)})
    np.testing.assert_allclose(fk.information(model, 1, unit_noise=True)[:2, :2], 2 * c.T @ c)
    paper = fk.shared_information(model, 1, unit_noise=True, fisher_orthogonal=True)
    np.testing.assert_allclose(paper["x"], c.T @ c, atol=1e-12)
    honest = fk.shared_information(model, 1)
    np.testing.assert_allclose(honest["x"], 4 * c.T @ (np.eye(2) - s @ s.T / 2) @ c, atol=1e-12)
    np.testing.assert_allclose(fk.effective_information(model, 1, "x", fisher_orthogonal=True), [[8.0]])
    np.testing.assert_allclose(honest["y"], c.T @ c / 4)


def test_schur_complement_of_singular_information_has_the_right_rank():
    rng = np.random.default_rng(0)
    a = np.c_[rng.standard_normal((4, 4)), rng.standard_normal((4, 3))]
    information = a.T @ a
    schur = fk.schur_complement(information, slice(0, 4))
    assert np.linalg.matrix_rank(schur) == 1
    wrong = np.linalg.pinv(np.linalg.pinv(information)[:4, :4])
    assert np.linalg.matrix_rank(wrong) == 4


def test_bad_requests_are_refused():
    model = fk.random_model(2, {"image": 1, "text": 1}, seed=0)
    with pytest.raises(fk.UnknownNameError, match="unknown parameter block 'imge'; did you mean 'image'"):
        fk.effective_information(model, 1, "imge")
    with pytest.raises(ValueError, match=r"directions: expected length 4 .* or 2 \(shared ones\), got 3"):
        fk.cramer_rao(model, 1, np.ones(3))
    with pytest.raises(ValueError, match="information: not positive semidefinite: v'Mv = -"):
        fk.schur_complement([[1.0, 2.0], [2.0, 1.0]], [0])
    with pytest.raises(ValueError, match="information: diagonal entry 1 is -1; not positive semidefinite"):
        fk.schur_complement([[1.0, 0.0], [0.0, -1.0]], [0])
    with pytest.raises(ValueError, match="information: expected a square matrix"):
        fk.schur_complement(np.ones((2, 3)), [0])
    with pytest.raises(ValueError, match="matrix: scale has shape"):
        fk.PSD.of(np.eye(2), scale=np.ones(3))
    single = fk.random_model(2, {"x": 1}, seed=0, n_designs=3)
    with pytest.raises(ValueError, match="x: 4 samples asked for, but there are only 3"):
        fk.information(single, {"x": 4})


# --- what nobody sees ----------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3))
def test_no_unit_makes_an_unseen_parameter_known(seed, seen, unseen):
    """Exactly: a nonzero entry where the information is zero makes the variance infinite, in any units."""
    rng = np.random.default_rng(seed)
    place = rng.permutation(seen + unseen)
    units = 10.0 ** rng.uniform(-20, 20, seen + unseen)
    root = np.zeros((seen, seen + unseen))
    root[:, place[:seen]] = rng.standard_normal((seen, seen))
    root = root / units
    for m in (fk.PSD.from_root(root), fk.PSD.of(root.T @ root)):
        estimable = root.T @ rng.standard_normal((seen, 3))
        assert m.contains(estimable).all()
        assert np.isfinite(m.variance(estimable)).all()
        lost = estimable.copy()
        lost[place[seen:]] = 10.0 ** rng.uniform(-40, 40, (unseen, 3))
        assert (m.outside(lost) == 1).all()
        assert np.isinf(m.variance(lost)).all()
        assert m.outside(np.zeros(seen + unseen)) == 0


def test_directions_may_have_any_length():
    m = fk.PSD.of(np.diag([4.0, 1.0, 0.0]))
    for length in (1e-300, 1e-160, 1e160):
        assert m.contains([length, length, 0.0])
        assert not m.contains([length, length, length])


@pytest.mark.parametrize("weak", [fk.Modality([[1e-8, 0.0]]), fk.Modality([[1.0, 0.0]], noise_std=1e8)])
def test_a_weak_modality_does_not_see_what_it_does_not_see(weak):
    model = fk.LinearGaussian({"x": weak, "y": fk.Modality([[0.0, 1.0]])})
    assert np.isinf(fk.cramer_rao(model, {"x": 1}, [1.0, 1.0]))
    assert fk.effective_information(model, {"x": 1}, [1.0, 1.0]) == 0
    estimate = fk.fit(fk.simulate(model, {"x": 1}, seed=0))
    assert not estimate.estimable([1.0, 1.0])
    assert np.isinf(estimate.variance([1.0, 1.0]))
    np.testing.assert_allclose(fk.cramer_rao(model, 1, [1.0, 1.0]), 1e16 + 1)


# --- switches, single samples, finished matrices -------------------------------------------------------------------


@given(st.data())
def test_information_is_the_sum_over_single_samples(data):
    model = data.draw(models())
    counts = data.draw(counts_for(model))
    for unit_noise in (False, True):
        total = fk.information_by_modality(model, counts, unit_noise=unit_noise)
        average = fk.information_by_modality(model, unit_noise=unit_noise)
        for name, n in counts.items():
            single = [sample_information(model, name, i, unit_noise=unit_noise) for i in range(n)]
            assert relative_gap(total[name], sum(single, np.zeros_like(total[name]))) < 1e-11
            number = model[name].n_designs or 1
            everything = [sample_information(model, name, i, unit_noise=unit_noise) for i in range(number)]
            assert relative_gap(average[name], sum(everything) / number) < 1e-11


@given(st.data())
def test_orthogonal_blocks_have_variances_that_add(data):
    model = data.draw(models(max_condition=1e2))
    counts = data.draw(counts_for(model))
    whole = fk.information(model, counts)
    blocks = np.zeros_like(whole)
    for part in model.slices.values():
        blocks[part, part] = whole[part, part]
    v = np.concatenate(
        [blocks @ np.random.default_rng(0).standard_normal((len(whole), 2)), np.eye(len(whole))], axis=1
    )
    wanted = fk.PSD.of(blocks).variance(v)
    found = fk.cramer_rao(model, counts, v, fisher_orthogonal=True)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    for direction, variance in zip(v.T, found, strict=True):
        if direction.any():
            one = fk.effective_information(model, counts, direction, fisher_orthogonal=True)
            np.testing.assert_allclose(one, 1 / variance, rtol=1e-12)


def test_indices_of_a_schur_complement_are_those_of_numpy_or_refused():
    m = [[2.0, 1.0], [1.0, 1.0]]
    for keep in (-1, 1, [1], [-1], slice(1, 2), [False, True]):
        np.testing.assert_allclose(fk.schur_complement(m, keep), [[0.5]])
    np.testing.assert_allclose(fk.schur_complement(m, [1, 0]), [[1.0, 1.0], [1.0, 2.0]])
    for keep, message in (
        ([], "keep: no index given; ask about at least one of 2 parameters"),
        ([5], r"keep: index 5 is out of range for 2 parameters \(0 to 1\)"),
        (-3, "keep: index -3 is out of range"),
        ([0, -2], r"keep: an index appears twice in \[0, 0\]"),
        ([True], "keep: a mask must have length 2, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            fk.schur_complement(m, keep)
    with pytest.raises(TypeError, match="keep: expected whole-number indices"):
        fk.schur_complement(m, [0.5])


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1e-150, 1e160, 1e200])
def test_information_that_float64_cannot_hold_is_refused_by_name(size):
    for design in (np.full((2, 1), size), np.full((3, 2, 1), size)):
        model = fk.LinearGaussian({"image": fk.Modality(design)})
        with pytest.raises(ValueError, match=r"^image: .*(leave|overflow) float64.*units"):
            fk.information(model, 3)


def test_bad_samples_of_a_design_are_refused():
    model = fk.random_model(2, {"x": 1}, seed=0, n_designs=3)
    with pytest.raises(
        ValueError, match="x: sample 3 asked for, but there are 3 per-sample designs, 0 first"
    ):
        sample_information(model, "x", 3)
    with pytest.raises(ValueError, match="x: sample must be a whole number >= 0, got -1"):
        sample_information(model, "x", -1)
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'y'"):
        sample_information(model, "y")
