"""The factor world of E.14: covariances, information about loadings, linear codes, samples."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from fisherkit.checks import UnknownNameError
from fisherkit.factor import (
    FactorModality,
    FactorWorld,
    covariance_information_root,
    e14_world,
    linear_code_error,
    loading_information,
)
from tests.comparators import assert_allclose_report
from tests.strategies import orthogonal, random_psd, seeds

# ---------------------------------------------------------------- oracles, written from the definitions


def random_modality(rng, m, shared_dim, private_dim, noise_std=None):
    """Loadings of unit scale, attenuations between 0.3 and 1, noise between 0.3 and 1."""
    return FactorModality(
        rng.standard_normal((m, shared_dim)),
        rng.standard_normal((m, private_dim)),
        rng.uniform(0.3, 1.0, shared_dim),
        float(rng.uniform(0.3, 1.0)) if noise_std is None else noise_std,
    )


def random_world(rng, m, shared_dim, private_dims, names="xyz"):
    """A world of as many modalities as there are private dimensions."""
    return FactorWorld({
        name: random_modality(rng, m, shared_dim, d) for name, d in zip(names, private_dims, strict=False)
    })


@st.composite
def worlds(draw, max_obs=6, max_shared=3, max_private=2, modalities=2):
    """Worlds in which every modality observes more coordinates than it has latents."""
    rng = np.random.default_rng(draw(seeds))
    shared_dim = draw(st.integers(1, max_shared))
    private = [draw(st.integers(0, max_private)) for _ in range(modalities)]
    m = draw(st.integers(shared_dim + max(private) + 1, max_obs))
    return random_world(rng, m, shared_dim, private)


def definition_covariance(modality, attenuated=True):
    """Sum over latents and noise of the outer products of what one unit of each does to x."""
    factors = modality.attenuation if attenuated else np.ones_like(modality.attenuation)
    s = np.diag(np.full(len(modality.shared), modality.noise_std**2))
    for j, factor in enumerate(factors):
        s = s + np.outer(factor * modality.shared[:, j], factor * modality.shared[:, j])
    for column in modality.private.T:
        s = s + np.outer(column, column)
    return s


def worst_z(data, s):
    """Largest |z| of the empirical second moments; Var(x_i x_j) = s_ii s_jj + s_ij^2 if normal."""
    spread = np.sqrt((np.outer(s.diagonal(), s.diagonal()) + s**2) / len(data))
    return np.abs((data.T @ data / len(data) - s) / spread).max()


def dense_information(world, counts, about, ties):
    """All parameters of all modalities in one dense matrix, entries by the trace formula, nothing eliminated.

    Parameters: loadings of `about`, then for every other modality its shared loading (unless tied) and its
    private one. Returns the information of each modality about all of them.
    """
    start, total = {(about, "c"): 0}, world[about].shared.size
    start[about, "p"], total = total, total + world[about].private.size
    for name in world.names:
        if name != about:
            if name not in ties:
                start[name, "c"], total = total, total + world[name].shared.size
            start[name, "p"], total = total, total + world[name].private.size
    informations = {}
    for name in world.names:
        modality = world[name]
        d2 = np.diag(modality.attenuation**2)
        tied = name in ties
        base = world[about].shared @ ties[name] if tied else modality.shared
        s = base @ d2 @ base.T + modality.private @ modality.private.T
        inverse = np.linalg.inv(s + modality.noise_std**2 * np.eye(len(s)))
        slopes = np.zeros((total, len(s), len(s)))
        for kind, block in (("c", base), ("p", modality.private)):
            owner = about if tied and kind == "c" else name
            for r in range(len(s)):
                for c in range(block.shape[1]):
                    unit = np.zeros_like(block)
                    unit[r, c] = 1.0
                    if kind == "c":
                        half = (unit @ ties[name] if tied else unit) @ d2 @ base.T
                    else:
                        half = unit @ block.T
                    slopes[start[owner, kind] + r * block.shape[1] + c] += half + half.T
        informations[name] = (counts[name] / 2) * np.einsum(
            "ab,ibc,cd,jda->ij", inverse, slopes, inverse, slopes, optimize=True
        )
    return informations


def schur(information, kept):
    """Effective information about the first `kept` parameters, the others unknown."""
    a, b, c = information[:kept, :kept], information[:kept, kept:], information[kept:, kept:]
    return a - b @ np.linalg.pinv(c, rcond=1e-10, hermitian=True) @ b.T


def loading_covariance(m, width, noise_std):
    """The map from m * width loadings to the covariance of a sample."""

    def covariance(p):
        loading = p.reshape(m, width)
        return loading @ loading.T + noise_std**2 * np.eye(m)

    return covariance


def random_tie(rng, d):
    return orthogonal(rng, d) @ np.diag(rng.uniform(0.5, 1.5, d))


# ---------------------------------------------------------------- covariances


@given(worlds(), st.booleans())
def test_covariance_is_the_sum_over_latents_and_noise(world, attenuated):
    for name in world.names:
        assert_allclose_report(
            world[name].covariance(attenuated=attenuated),
            definition_covariance(world[name], attenuated),
            rtol=1e-12,
            atol=1e-13,
        )


@pytest.mark.parametrize("attenuated", [True, False])
def test_covariance_is_that_of_the_generating_equation(attenuated):
    """x = A_c D theta_c + A_x theta_x + eps, every latent and noise drawn here."""
    rng = np.random.default_rng(1)
    modality = random_modality(rng, 5, 3, 2)
    n = 40_000
    theta_c, theta_x, eps = (rng.standard_normal((n, k)) for k in (3, 2, 5))
    if attenuated:
        theta_c = theta_c * modality.attenuation
    x = theta_c @ modality.shared.T + theta_x @ modality.private.T + modality.noise_std * eps
    # 15 distinct entries, |z| > 5 has probability 5.7e-7 each: false alarm below 1e-5
    assert worst_z(x, modality.covariance(attenuated=attenuated)) < 5
    assert worst_z(x, modality.covariance(attenuated=not attenuated)) > 20, "the test can tell them apart"


@pytest.mark.parametrize("attenuated", [True, False])
@pytest.mark.parametrize("name", ["x", "y"])
def test_samples_have_the_covariance_of_their_modality(name, attenuated):
    world = random_world(np.random.default_rng(2), 5, 2, [1, 2])
    data = world.sample(name, 40_000, seed=3, attenuated=attenuated)
    s = definition_covariance(world[name], attenuated)
    # 15 entries, and 5 means with variance s_ii / n; |z| > 5 has probability 5.7e-7 each: false alarm 1.2e-5
    assert worst_z(data, s) < 5
    assert (np.abs(data.mean(axis=0)) / np.sqrt(s.diagonal() / len(data))).max() < 5


def test_samples_are_normal_and_independent_of_their_neighbours():
    world = random_world(np.random.default_rng(4), 4, 2, [1])
    data = world.sample("x", 20_000, seed=5)
    white = np.linalg.solve(np.linalg.cholesky(world["x"].covariance()), data.T).T
    # four Kolmogorov-Smirnov tests at 1e-6 each, and 16 z-scores of neighbouring rows: false alarm 1.4e-5
    assert min(stats.kstest(column, "norm").pvalue for column in white.T) > 1e-6
    assert np.abs(white[1:].T @ white[:-1] / np.sqrt(len(white) - 1)).max() < 5


# ---------------------------------------------------------------- information of a covariance


def test_information_is_the_covariance_of_the_score():
    """Scores of 40,000 samples by differences of scipy's log-density, their second moments entry by entry."""
    rng = np.random.default_rng(6)
    covariance = loading_covariance(3, 2, 0.7)
    p = rng.standard_normal(6)
    n, h = 40_000, 1e-4
    x = rng.multivariate_normal(np.zeros(3), covariance(p), size=n)

    def log_density(q):
        return stats.multivariate_normal(np.zeros(3), covariance(q)).logpdf(x)

    scores = np.array([(log_density(p + h * e) - log_density(p - h * e)) / (2 * h) for e in np.eye(6)])
    root = covariance_information_root(covariance, p)
    products = scores[:, None, :] * scores[None, :, :]
    z = (products.mean(axis=2) - root.T @ root) / (products.std(axis=2) / np.sqrt(n))
    # 21 distinct entries and 6 means; |z| > 5.5 has probability 4e-8 each where normal: false alarm below
    # 1e-5, heavier tails of products of scores included
    assert np.abs(z).max() < 5.5
    assert np.abs(scores.mean(axis=1) / (scores.std(axis=1) / np.sqrt(n))).max() < 5.5, (
        "scores have mean zero"
    )


def divergence(s, t):
    """KL(N(0, s) || N(0, t)) = E log p_s - E log p_t."""
    ratio = np.linalg.solve(t, s)
    return 0.5 * (np.trace(ratio) - len(s) - np.log(np.linalg.det(ratio)))


def divergence_hessian(covariance, p, h):
    """Second differences of q -> KL(p || q) at q = p; at the minimum KL and its slope vanish."""
    s = covariance(p)
    hessian = np.empty((len(p), len(p)))
    for i, ei in enumerate(np.eye(len(p))):
        for j, ej in enumerate(np.eye(len(p))):
            values = [
                divergence(s, covariance(p + h * (a * ei + b * ej)))
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            hessian[i, j] = (values[0] - values[1] - values[2] + values[3]) / (4 * h * h)
    return hessian


@given(seeds, st.integers(1, 4), st.integers(1, 2))
@settings(max_examples=15)
def test_information_is_the_hessian_of_the_expected_log_likelihood(seed, m, width):
    rng = np.random.default_rng(seed)
    covariance = loading_covariance(m, width, 1.0)
    p = rng.standard_normal(m * width)
    root = covariance_information_root(covariance, p)
    # error h^2 of the differences (two Richardson steps leave h^4) and eps / h^2 of rounding
    fine, coarse = (divergence_hessian(covariance, p, h) for h in (2e-3, 4e-3))
    information = root.T @ root
    assert_allclose_report(
        information, (4 * fine - coarse) / 3, rtol=1e-6, atol=1e-6 * max(1.0, information.max())
    )


@given(seeds, st.integers(1, 5))
def test_information_of_log_variances_is_one_half(seed, m):
    """S = diag(exp p): not quadratic in p, so that the step has to be small; I = identity / 2 whatever p."""
    p = np.random.default_rng(seed).uniform(-3, 3, m)
    root = covariance_information_root(lambda q: np.diag(np.exp(q)), p, step=1e-5)
    assert_allclose_report(root.T @ root, np.eye(m) / 2, rtol=1e-8, atol=1e-12)
    rough = covariance_information_root(lambda q: np.diag(np.exp(q)), p, step=1.0)
    assert_allclose_report(rough.T @ rough, np.sinh(1.0) ** 2 * np.eye(m) / 2)


@given(seeds, st.integers(1, 5), st.integers(1, 3), st.integers(-3, 3))
def test_differences_of_quadratic_maps_are_exact_for_any_step(seed, m, width, digits):
    rng = np.random.default_rng(seed)
    p = rng.standard_normal(m * width)
    roots = [
        covariance_information_root(loading_covariance(m, width, 0.5), p, step=step)
        for step in (1.0, 10.0**digits)
    ]
    assert_allclose_report(roots[1], roots[0], rtol=1e-8, atol=1e-9 * np.abs(roots[0]).max())


@given(seeds, st.integers(1, 4))
def test_information_root_has_a_row_for_each_distinct_entry_and_zeros_for_what_does_not_matter(seed, m):
    rng = np.random.default_rng(seed)
    base = random_psd(rng, m, m)
    direction = rng.standard_normal((m, m))
    root = covariance_information_root(
        lambda p: base + p[1] * (direction + direction.T), [5.0, 0.0, -7.0], step=1e-3
    )
    assert root.shape == (m * (m + 1) // 2, 3)
    assert (root[:, [0, 2]] == 0.0).all()
    assert (root[:, 1] != 0.0).any()


@given(seeds, st.integers(1, 4), st.integers(1, 3))
def test_information_does_not_change_when_the_data_are_mixed(seed, m, width):
    """C x for an invertible C says the same about the parameters."""
    rng = np.random.default_rng(seed)
    mix = orthogonal(rng, m) @ np.diag(rng.uniform(0.3, 3.0, m)) @ orthogonal(rng, m)
    covariance = loading_covariance(m, width, 0.5)
    p = rng.standard_normal(m * width)
    plain = covariance_information_root(covariance, p)
    mixed = covariance_information_root(lambda q: mix @ covariance(q) @ mix.T, p)
    information = plain.T @ plain
    assert_allclose_report(mixed.T @ mixed, information, rtol=1e-8, atol=1e-9 * information.max())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: covariance_information_root(np.diag, [1.0, 0.0]),
            r"covariance at the parameters: not positive definite; .* give it some noise",
        ),
        (
            lambda: covariance_information_root(lambda p: np.diag(p) + np.eye(2, k=1), [1.0, 1.0]),
            r"covariance at the parameters: not symmetric: entry \(0, 1\) is 1 but \(1, 0\) is 0",
        ),
        (
            lambda: covariance_information_root(lambda p: np.ones((2, 3)), [1.0]),
            r"covariance at the parameters: expected a square matrix, got shape \(2, 3\)",
        ),
        (
            lambda: covariance_information_root(lambda p: np.full((1, 1), np.nan), [1.0]),
            r"covariance at the parameters: NaN at index \(0, 0\)",
        ),
        (lambda: covariance_information_root(np.diag, [1.0], step=0.0), r"step: must be positive, got 0\.0"),
        (
            lambda: covariance_information_root(np.diag, [1.0], step=-1.0),
            r"step: must be positive, got -1\.0",
        ),
        (
            lambda: covariance_information_root(np.diag, [1.0], step=np.nan),
            r"step: NaN at index \(\)",
        ),
        (lambda: covariance_information_root(np.diag, [[1.0]]), r"parameters: expected 1 dimensions, got 2"),
        (
            lambda: covariance_information_root(np.diag, [np.inf]),
            r"parameters: infinite value at index \(0,\)",
        ),
    ],
)
def test_information_root_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- information about loadings


@given(worlds(modalities=3), seeds)
def test_separate_loadings_of_other_modalities_tell_exactly_nothing(world, seed):
    """y's law does not depend on x's loadings: 0.0 in every entry, not a small number."""
    counts = dict(zip("xyz", np.random.default_rng(seed).integers(1, 10**6, 3).tolist(), strict=True))
    for about in world.names:
        told = loading_information(world, counts, about=about)
        assert list(told) == ["x", "y", "z"]
        for name, information in told.items():
            size = world[about].shared.size + world[about].private.size
            assert information.matrix.shape == (size, size)
            if name == about:
                assert information.matrix.trace() > 0
            else:
                assert (information.matrix == 0.0).all()
                assert information.rank == 0


@given(worlds(), seeds, st.integers(1, 10**6), st.integers(1, 10**6))
@settings(max_examples=25)
def test_tied_loadings_tell_something_and_only_about_the_shared_ones(world, seed, n_x, n_y):
    tie = random_tie(np.random.default_rng(seed), world.shared_dim)
    told = loading_information(world, {"x": n_x, "y": n_y}, about="x", ties={"y": tie})
    shared = world["x"].shared.size
    assert told["y"].rank > 0
    assert told["y"].matrix[:shared, :shared].trace() > 0
    assert (told["y"].matrix[shared:] == 0.0).all()
    assert (told["y"].matrix[:, shared:] == 0.0).all()
    separate = loading_information(world, {"x": n_x, "y": n_y}, about="x")
    assert_allclose_report(told["x"].matrix, separate["x"].matrix)


@given(worlds(max_obs=5, max_shared=2, max_private=2, modalities=3), seeds, st.sampled_from(["", "y", "yz"]))
@settings(max_examples=25)
def test_loading_information_is_the_schur_complement_of_the_dense_information(world, seed, tied):
    """Each modality's own, and their sum: other modalities' unknowns are disjoint, so information adds up."""
    rng = np.random.default_rng(seed)
    ties = {name: random_tie(rng, world.shared_dim) for name in tied}
    counts = dict(zip("xyz", rng.integers(1, 50, 3).tolist(), strict=True))
    told = loading_information(world, counts, about="x", ties=ties)
    dense = dense_information(world, counts, "x", ties)
    kept = world["x"].shared.size + world["x"].private.size
    expected = {name: schur(dense[name], kept) for name in dense}
    size = max(np.abs(matrix).max() for matrix in expected.values())
    for name in "xyz":
        assert_allclose_report(told[name].matrix, expected[name], rtol=1e-7, atol=1e-8 * size, what=name)
    joint = schur(sum(dense.values()), kept)
    assert_allclose_report(
        sum(told[name].matrix for name in "xyz"), joint, rtol=1e-7, atol=1e-8 * size, what="joint"
    )


@given(worlds(max_obs=7))
@settings(max_examples=40)
def test_own_information_lacks_the_rotations_of_the_latents_and_nothing_else(world):
    for about in world.names:
        m, d = world[about].loading().shape
        information = loading_information(world, 10, about=about)[about]
        assert information.rank == m * d - d * (d - 1) // 2


@given(worlds(max_obs=7), seeds)
def test_turning_the_latents_is_not_told_apart(world, seed):
    """L -> L Q leaves L L' as it is: the tangent L W, W antisymmetric, carries no information."""
    modality = world["x"]
    d_c = world.shared_dim
    d = modality.loading().shape[1]
    w = np.random.default_rng(seed).standard_normal((d, d))
    tangent = modality.loading() @ (w - w.T)
    move = np.concatenate([(tangent[:, :d_c] / modality.attenuation).ravel(), tangent[:, d_c:].ravel()])
    matrix = loading_information(world, 10, about="x")["x"].matrix
    assert_allclose_report(
        matrix @ move, np.zeros(len(move)), atol=1e-9 * np.abs(matrix).max() * (1 + np.abs(move).max())
    )


@given(worlds(), st.integers(1, 10**9), st.integers(2, 1000))
@settings(max_examples=25)
def test_information_is_proportional_to_each_modalitys_count(world, n, factor):
    tie = {"y": np.eye(world.shared_dim)}
    one = loading_information(world, {"x": n, "y": 7}, about="x", ties=tie)
    more = loading_information(world, {"x": factor * n, "y": 7 * factor}, about="x", ties=tie)
    mixed = loading_information(world, {"x": n, "y": 7 * factor}, about="x", ties=tie)
    for name in "xy":
        scale = factor * np.abs(one[name].matrix).max()
        assert_allclose_report(more[name].matrix, factor * one[name].matrix, atol=1e-11 * scale)
    assert_allclose_report(mixed["x"].matrix, one["x"].matrix)
    assert_allclose_report(mixed["y"].matrix, more["y"].matrix)


def test_counts_may_be_one_number_for_all_and_modalities_left_out_count_zero():
    world = random_world(np.random.default_rng(8), 4, 1, [1, 1])
    tie = {"y": [[2.0]]}
    both = loading_information(world, 5, about="x", ties=tie)
    alone = loading_information(world, {"x": 5}, about="x", ties=tie)
    each = loading_information(world, {"x": 5, "y": 5}, about="x", ties=tie)
    for name in "xy":
        assert_allclose_report(both[name].matrix, each[name].matrix)
    assert_allclose_report(alone["x"].matrix, both["x"].matrix)
    assert (alone["y"].matrix == 0.0).all()
    assert both["y"].rank > 0


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1e3, 1e6])
def test_ranks_do_not_depend_on_the_units_of_the_data(unit):
    """Data in other units: loadings and noise scale together, information about loadings by 1 / unit^2."""
    for seed in range(3):
        world = e14_world(seed, obs_dim=6, shared_dim=2, private_dim=1, full_fraction=0.5)
        scaled = FactorWorld({
            name: FactorModality(
                unit * part.shared, unit * part.private, part.attenuation, unit * part.noise_std
            )
            for name, part in world.modalities.items()
        })
        ties = {"y": np.eye(2)}
        before = loading_information(world, 100, about="x", ties=ties)
        after = loading_information(scaled, 100, about="x", ties=ties)
        for name in "xy":
            assert after[name].rank == before[name].rank
            scale = np.abs(before[name].matrix).max()
            assert_allclose_report(unit**2 * after[name].matrix, before[name].matrix, atol=1e-9 * scale)


def test_a_free_private_covariance_hides_the_tie():
    """If y's private loading is square and unknown, every covariance nearby is explained by it alone."""
    rng = np.random.default_rng(9)
    hidden = random_world(rng, 3, 1, [1, 3])
    told = loading_information(hidden, 100, about="x", ties={"y": [[1.0]]})["y"]
    assert told.rank == 0
    visible = random_world(rng, 3, 1, [1, 1])
    assert loading_information(visible, 100, about="x", ties={"y": [[1.0]]})["y"].rank > 0


@given(worlds(max_shared=3), seeds)
@settings(max_examples=25)
def test_a_tie_shows_only_the_directions_that_it_maps_on(world, seed):
    """B_c = A_c T with T of rank one: y tells nothing of columns of A_c that T sends to zero."""
    rng = np.random.default_rng(seed)
    d = world.shared_dim
    chosen = int(rng.integers(d))
    tie = np.zeros((d, d))
    tie[chosen] = rng.uniform(0.5, 1.5, d)
    matrix = loading_information(world, 10, about="x", ties={"y": tie})["y"].matrix
    column = np.tile(np.arange(d), len(world["x"].shared))
    unseen = np.flatnonzero(column != chosen)
    assert (matrix[unseen] == 0.0).all()
    assert matrix.trace() > 0


def test_e14_world_tells_nothing_of_x_from_y_and_all_but_rotations_from_x():
    told = loading_information(e14_world(0), 5000, about="x")
    assert told["x"].rank == 50 * 15 - 15 * 14 // 2
    assert told["y"].rank == 0
    assert (told["y"].matrix == 0.0).all()


TWO = random_world(np.random.default_rng(10), 4, 2, [1, 1])
UNLIKE = FactorWorld({
    "x": random_modality(np.random.default_rng(11), 4, 2, 1),
    "y": random_modality(np.random.default_rng(12), 5, 2, 1),
})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: loading_information(TWO, 5, about="w"),
            UnknownNameError,
            r"unknown modality 'w'; known: 'x', 'y'",
        ),
        (
            lambda: loading_information(TWO, 5, about="x", ties={"z": np.eye(2)}),
            UnknownNameError,
            r"unknown modality 'z'; known: 'x', 'y'",
        ),
        (
            lambda: loading_information(TWO, {"x": 5, "yy": 5}, about="x"),
            UnknownNameError,
            r"unknown modality 'yy'; did you mean 'y'\?",
        ),
        (
            lambda: loading_information(TWO, 5, about="x", ties={"x": np.eye(2)}),
            ValueError,
            r"ties: 'x' cannot be tied to itself; tie the other modalities",
        ),
        (
            lambda: loading_information(UNLIKE, 5, about="x", ties={"y": np.eye(2)}),
            ValueError,
            r"ties: 'y' observes 5 coordinates and 'x' 4; B_c = A_c T needs equally many",
        ),
        (
            lambda: loading_information(TWO, 5, about="x", ties={"y": np.eye(3)}),
            ValueError,
            r"ties\['y'\]: expected shape \(2, 2\), got \(3, 3\)",
        ),
        (
            lambda: loading_information(TWO, 5, about="x", ties={"y": [[1.0, np.nan], [0.0, 1.0]]}),
            ValueError,
            r"ties\['y'\]: NaN at index \(0, 1\)",
        ),
        (
            lambda: loading_information(TWO, {"x": -1}, about="x"),
            ValueError,
            r"x: sample count must be a whole number >= 0, got -1",
        ),
        (
            lambda: loading_information(TWO, 2.5, about="x"),
            ValueError,
            r"x: sample count must be a whole number >= 0, got 2\.5",
        ),
    ],
)
def test_loading_information_says_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_modalities_of_different_dimension_are_fine_while_separate():
    told = loading_information(UNLIKE, 5, about="x")
    assert told["x"].dim == told["y"].dim == 12
    assert (told["y"].matrix == 0.0).all()


# ---------------------------------------------------------------- linear codes


@given(seeds, st.integers(1, 7), st.integers(1, 30))
def test_linear_code_error_is_the_error_of_principal_components_of_the_data(seed, m, n):
    """Reconstruct data from their k leading right singular vectors, sample by sample, at every width k."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((n, m)) @ rng.standard_normal((m, m))
    vectors = np.linalg.svd(data, full_matrices=True)[2]
    for k in range(m + 1):
        rebuilt = data @ vectors[:k].T @ vectors[:k]
        assert_allclose_report(
            linear_code_error(data.T @ data / n, k),
            np.mean((data - rebuilt) ** 2),
            rtol=1e-8,
            atol=1e-13 * np.mean(data**2),
        )


@given(seeds, st.integers(1, 6))
def test_code_fitted_to_other_data_is_judged_on_these(seed, m):
    """Components of the training rows, mean squared error on validation rows of another law."""
    rng = np.random.default_rng(seed)
    train, valid = (rng.standard_normal((40, m)) @ rng.standard_normal((m, m)) for _ in range(2))
    _, singular, vectors = np.linalg.svd(train)
    assume(m == 1 or np.min(singular[:-1] / singular[1:]) > 1.001)  # else the leading components are a toss
    for k in range(m + 1):
        rebuilt = valid @ vectors[:k].T @ vectors[:k]
        got = linear_code_error(valid.T @ valid / 40, k, fitted_to=train.T @ train / 40)
        assert_allclose_report(got, np.mean((valid - rebuilt) ** 2), rtol=1e-8, atol=1e-9 * np.mean(valid**2))
        assert got >= linear_code_error(valid.T @ valid / 40, k) - 1e-12 * np.mean(valid**2)


def test_linear_code_error_is_met_by_components_of_a_large_sample_of_the_world():
    """Training: attenuated rows of E.14; error: un-attenuated rows, which the components never saw."""
    world = e14_world(3, obs_dim=12, shared_dim=4, private_dim=2, full_fraction=0.25, attenuation=0.3)
    train = world.sample("x", 40_000, seed=4)
    valid = world.sample("x", 40_000, seed=5, attenuated=False)
    vectors = np.linalg.svd(train, full_matrices=False)[2][:3]
    errors = np.mean((valid - valid @ vectors.T @ vectors) ** 2, axis=1)
    expected = linear_code_error(
        world["x"].covariance(attenuated=False), 3, fitted_to=world["x"].covariance()
    )
    # components of 40,000 rows differ from the exact ones by some n^-1/2, 1%; |z| > 5 has probability 5.7e-7
    assert abs(errors.mean() - expected) < 5 * errors.std() / np.sqrt(len(errors)) + 0.01 * expected
    assert linear_code_error(world["x"].covariance(attenuated=False), 3) < 0.9 * expected


@given(seeds, st.integers(1, 8), st.integers(1, 8))
def test_linear_code_error_is_the_average_of_discarded_eigenvalues(seed, m, rank):
    """Eigenvalues planted, zeros and equal ones among them; falls with the width, to zero at full width."""
    rng = np.random.default_rng(seed)
    values = np.sort(rng.integers(1, 5, m).astype(float))[::-1]
    values[rank:] = 0.0
    frame = orthogonal(rng, m)
    s = frame @ np.diag(values) @ frame.T
    errors = [linear_code_error(s, k) for k in range(m + 1)]
    assert_allclose_report(errors, [values[k:].sum() / m for k in range(m + 1)], atol=1e-12)
    assert (np.diff(errors) <= 1e-12).all()
    assert_allclose_report(errors[0], np.trace(s) / m)
    assert abs(errors[-1]) < 1e-12


@given(seeds, st.integers(1, 6))
def test_no_other_projection_does_better(seed, m):
    rng = np.random.default_rng(seed)
    s = random_psd(rng, m, m, condition=100.0)
    for k in range(m + 1):
        best = linear_code_error(s, k)
        for _ in range(10):
            frame = orthogonal(rng, m)[:, :k]
            other = np.trace(s - frame @ frame.T @ s) / m
            assert best <= other + 1e-12
        assert_allclose_report(linear_code_error(s, k, fitted_to=3.0 * s), best, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear_code_error(np.eye(3), 4), r"code_dim: must lie between 0 and 3, got 4"),
        (lambda: linear_code_error(np.eye(3), -1), r"code_dim must be a whole number >= 0, got -1"),
        (
            lambda: linear_code_error(np.ones((2, 3)), 1),
            r"covariance: expected a square matrix, got shape \(2, 3\)",
        ),
        (
            lambda: linear_code_error([[1, 2], [0, 1]], 1),
            r"covariance: not symmetric: entry \(0, 1\) is 2 but \(1, 0\) is 0",
        ),
        (
            lambda: linear_code_error(np.eye(2), 1, fitted_to=np.eye(3)),
            r"fitted_to: expected shape \(2, 2\), got \(3, 3\)",
        ),
        (
            lambda: linear_code_error(np.eye(2), 1, fitted_to=[[1, 2], [0, 1]]),
            r"fitted_to: not symmetric: entry \(0, 1\) is 2",
        ),
        (lambda: linear_code_error([[np.nan]], 0), r"covariance: NaN at index \(0, 0\)"),
    ],
)
def test_linear_code_error_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- samples


@given(worlds(max_obs=8), seeds, st.integers(1, 40))
def test_attenuation_changes_samples_only_along_the_attenuated_shared_columns(world, seed, n):
    """Same seed, same latents and noise: the difference is A_c (I - D) theta_c, nothing else."""
    modality = world["x"]
    factors = modality.attenuation.copy()
    factors[0] = 1.0
    modality = FactorModality(modality.shared, modality.private, factors, modality.noise_std)
    world = FactorWorld({"x": modality})
    plain = world.sample("x", n, seed=seed, attenuated=False)
    gap = plain - world.sample("x", n, seed=seed)
    columns = (modality.shared * (1 - factors))[:, 1:]
    theta = np.linalg.lstsq(columns, gap.T, rcond=None)[0]
    assert_allclose_report(columns @ theta, gap.T, atol=1e-10 * np.abs(plain).max())
    assert np.linalg.matrix_rank(gap, tol=1e-10 * np.abs(plain).max()) == min(n, columns.shape[1])


def test_latents_read_off_the_attenuated_difference_are_standard_normal():
    world = random_world(np.random.default_rng(13), 5, 3, [1])
    modality = world["x"]
    gap = world.sample("x", 5000, seed=1, attenuated=False) - world.sample("x", 5000, seed=1)
    theta = np.linalg.lstsq(modality.shared * (1 - modality.attenuation), gap.T, rcond=None)[0]
    # three Kolmogorov-Smirnov tests at 1e-6 each
    assert min(stats.kstest(row, "norm").pvalue for row in theta) > 1e-6


@given(worlds(), seeds, st.integers(1, 20))
def test_a_modality_without_attenuation_has_one_kind_of_samples(world, seed, n):
    part = world["y"]
    world = FactorWorld({"y": FactorModality(part.shared, part.private, np.ones(world.shared_dim), 0.3)})
    training = world.sample("y", n, seed=seed)
    assert np.array_equal(training, world.sample("y", n, seed=seed, attenuated=False))


@given(worlds(max_obs=8), seeds, st.integers(1, 30), st.integers(1, 30), st.booleans())
def test_first_rows_of_a_larger_sample_are_the_smaller_one(world, seed, n, more, attenuated):
    """Up to the rounding of matrix products, which sum in another order when there are more rows."""
    small, large = (world.sample("x", k, seed=seed, attenuated=attenuated) for k in (n, n + more))
    assert large.shape == (n + more, world["x"].shared.shape[0])
    assert_allclose_report(large[:n], small, atol=1e-13 * np.abs(large).max(), rtol=0.0)


@given(worlds(), seeds)
def test_samples_repeat_with_their_seed_and_change_with_it(world, seed):
    first = world.sample("x", 3, seed=seed)
    assert np.array_equal(first, world.sample("x", 3, seed=seed))
    assert np.array_equal(first, world.sample("x", 3, seed=np.random.SeedSequence(seed)))
    assert not np.array_equal(first, world.sample("x", 3, seed=seed + 1))
    generator = np.random.default_rng(seed)
    assert np.array_equal(first, world.sample("x", 3, seed=generator))
    assert not np.array_equal(first, world.sample("x", 3, seed=generator)), "a generator moves on"


def cross_z(one, other):
    """Largest |z| of the n^(1/2) x cross-moments of two whitened samples, standard normal if independent."""
    return np.abs(one.T @ other / np.sqrt(len(one))).max()


def whitened(world, name, data, attenuated=True):
    return np.linalg.solve(np.linalg.cholesky(world[name].covariance(attenuated=attenuated)), data.T).T


@pytest.mark.parametrize("attenuated", [True, False])
def test_samples_of_two_modalities_share_neither_latents_nor_noise(attenuated):
    """The same loadings, noise and seed: a shared stream of either kind would show as a correlation."""
    part = random_modality(np.random.default_rng(14), 5, 2, 1, noise_std=1.0)
    world = FactorWorld({"x": part, "y": part})
    x, y = (
        whitened(world, name, world.sample(name, 20_000, seed=7, attenuated=attenuated), attenuated)
        for name in "xy"
    )
    # 25 cross-moments; |z| > 5 has probability 5.7e-7 each: false alarm below 2e-5
    assert cross_z(x, y) < 5
    assert cross_z(x, x) > 100, "what a shared stream would give"


def test_latents_and_noise_of_one_modality_have_streams_of_their_own():
    """A square loading and hardly any noise give the latents; the rest of a noisier sample is its noise."""
    shared = orthogonal(np.random.default_rng(15), 4)
    clean, noisy = (
        FactorWorld({"x": FactorModality(shared, np.zeros((4, 0)), np.ones(4), noise)})
        for noise in (1e-9, 1.0)
    )
    n = 20_000
    latents = clean.sample("x", n, seed=8) @ shared
    noise = noisy.sample("x", n, seed=8) - latents @ shared.T
    # 16 cross-moments, 32 of their own; |z| > 5 has probability 5.7e-7 each: false alarm below 3e-5
    assert cross_z(latents, noise) < 5
    assert worst_z(latents, np.eye(4)) < 5
    assert worst_z(noise, np.eye(4)) < 5


def test_samples_of_a_modality_do_not_depend_on_which_others_there_are():
    world = random_world(np.random.default_rng(16), 4, 2, [1, 2])
    alone = FactorWorld({"y": world["y"]})
    assert np.array_equal(alone.sample("y", 5, seed=1), world.sample("y", 5, seed=1))


# ---------------------------------------------------------------- the paper's world


def test_e14_world_is_as_the_paper_says():
    world = e14_world(0)
    assert world.names == ("x", "y")
    assert world.shared_dim == 10
    for name in world.names:
        assert world[name].shared.shape == (50, 10)
        assert world[name].private.shape == (50, 5)
        assert world[name].noise_std ** 2 == pytest.approx(0.09, rel=1e-12), "a variance of 0.09"
    assert world["x"].attenuation.tolist() == [1.0] + [0.05] * 9, "1 of 10 shared latents in full"
    assert world["y"].attenuation.tolist() == [1.0] * 10
    residual = world.sample("y", 4000, seed=1)
    basis = np.linalg.qr(world["y"].loading())[0]
    residual -= residual @ basis @ basis.T
    # 35 free coordinates of 4,000 samples: chi-squared with 140,000 degrees of freedom, relative standard
    # deviation 0.0038; 2.5% off has probability below 1e-10
    assert (residual**2).sum() / (4000 * 35) == pytest.approx(0.09, rel=0.025)


@pytest.mark.parametrize(
    ("fraction", "full"), [(0.0, 0), (0.1, 1), (0.3, 3), (0.34, 3), (0.36, 4), (1.0, 10)]
)
def test_full_fraction_is_the_share_of_latents_seen_in_full(fraction, full):
    world = e14_world(0, full_fraction=fraction, attenuation=0.2)
    assert world["x"].attenuation.tolist() == [1.0] * full + [0.2] * (10 - full)
    assert world["y"].attenuation.tolist() == [1.0] * 10


def test_loadings_are_standard_normal_and_those_of_x_and_y_unrelated():
    world = e14_world(1, obs_dim=400)
    blocks = [world[name].loading(attenuated=False) for name in "xy"]
    # Kolmogorov-Smirnov at 1e-6 for each; 225 cross-moments of 400 rows, |z| > 5.5 for 6e-8 each: false alarm
    # 1.6e-5
    assert min(stats.kstest(block.ravel(), "norm").pvalue for block in blocks) > 1e-6
    assert cross_z(*blocks) < 5.5


def test_validation_data_have_the_loadings_of_the_training_data():
    """The same projections, un-attenuated: y's samples, x's private part and noise stay, A_c loses its D."""
    world = e14_world(2)
    x = world["x"]
    assert np.array_equal(x.loading(attenuated=False), np.hstack([x.shared, x.private]))
    assert np.array_equal(x.loading(), np.hstack([x.shared * x.attenuation, x.private]))
    gap = world.sample("x", 200, seed=1, attenuated=False) - world.sample("x", 200, seed=1)
    weak = x.shared[:, 1:]
    assert_allclose_report(weak @ np.linalg.lstsq(weak, gap.T, rcond=None)[0], gap.T, rtol=0.0, atol=1e-10)
    assert np.linalg.matrix_rank(gap, tol=1e-10) == 9
    assert np.array_equal(world.sample("y", 20, seed=1), world.sample("y", 20, seed=1, attenuated=False)), (
        "y sees everything always"
    )


def test_one_seed_gives_the_same_loadings_whatever_the_attenuation_and_noise():
    world = e14_world(5)
    other = e14_world(5, attenuation=0.7, full_fraction=0.5, noise_std=2.0)
    for name in world.names:
        assert np.array_equal(world[name].shared, other[name].shared)
        assert np.array_equal(world[name].private, other[name].private)
    assert not np.array_equal(e14_world(6)["x"].shared, world["x"].shared)
    assert not np.array_equal(world["x"].shared, world["y"].shared)


@given(seeds, st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=25)
def test_unit_rows_divide_each_block_by_the_root_of_its_width(seed, shared_dim, private_dim):
    sizes = {"obs_dim": 7, "shared_dim": shared_dim, "private_dim": private_dim}
    plain, unit = (e14_world(seed, unit_rows=flag, **sizes) for flag in (False, True))
    for name in "xy":
        assert_allclose_report(unit[name].shared * np.sqrt(shared_dim), plain[name].shared)
        assert_allclose_report(unit[name].private * np.sqrt(private_dim), plain[name].private)
        assert unit[name].noise_std == plain[name].noise_std
        assert np.array_equal(unit[name].attenuation, plain[name].attenuation)


def test_unit_rows_give_each_block_variance_one_per_coordinate():
    world = e14_world(7, obs_dim=4000, unit_rows=True)
    for name in "xy":
        for block, width in ((world[name].shared, 10), (world[name].private, 5)):
            assert block.shape == (4000, width)
            # mean of 4,000 chi-squared(width) / width: standard deviation (2 / width / 4000)^(1/2), at most
            # 0.01; one of four means beyond five of them: false alarm 2.3e-6
            spread = np.sqrt(2 / width / 4000)
            assert abs((block**2).sum(axis=1).mean() - 1.0) < 5 * spread


def test_a_world_without_private_latents_is_a_world():
    world = e14_world(0, obs_dim=4, shared_dim=2, private_dim=0, full_fraction=0.5, unit_rows=True)
    assert world["x"].private.shape == (4, 0)
    assert world.sample("x", 3, seed=0).shape == (3, 4)
    assert loading_information(world, 1, about="x")["x"].rank == 8 - 1


# ---------------------------------------------------------------- what is refused

EYE = np.eye(3, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: FactorModality(EYE, EYE, np.ones(3), 1.0),
            ValueError,
            r"attenuation: expected 2 factors >= 0, one per shared latent, got \[1\. 1\. 1\.\]",
        ),
        (
            lambda: FactorModality(EYE, EYE, [1.0, -0.1], 1.0),
            ValueError,
            r"attenuation: expected 2 factors >= 0, .*-0\.1",
        ),
        (
            lambda: FactorModality(EYE, EYE, [1.0, np.nan], 1.0),
            ValueError,
            r"attenuation: NaN at index \(1,\)",
        ),
        (
            lambda: FactorModality(EYE, EYE, 1.0, 1.0),
            ValueError,
            r"attenuation: expected 1 dimensions, got 0",
        ),
        (
            lambda: FactorModality(EYE, np.eye(2), np.ones(2), 1.0),
            ValueError,
            r"private loading: expected shape \(3, any\), got \(2, 2\)",
        ),
        (
            lambda: FactorModality(np.ones(3), EYE, np.ones(1), 1.0),
            ValueError,
            r"shared loading: expected 2 dimensions, got 1",
        ),
        (
            lambda: FactorModality([[np.inf]], [[1.0]], [1.0], 1.0),
            ValueError,
            r"shared loading: infinite value at index \(0, 0\)",
        ),
        (
            lambda: FactorModality([["a"]], [[1.0]], [1.0], 1.0),
            TypeError,
            r"shared loading: expected real numbers",
        ),
        *(
            (
                lambda noise=noise: FactorModality(EYE, EYE, np.ones(2), noise),
                ValueError,
                rf"noise_std: must be positive and finite, got {noise}",
            )
            for noise in (0.0, -1.0, np.nan, np.inf)
        ),
        (lambda: FactorWorld({}), ValueError, r"modalities: a world needs at least one"),
        (
            lambda: FactorWorld({"x": TWO["x"], "z": random_modality(np.random.default_rng(0), 4, 3, 1)}),
            ValueError,
            r"shared loadings differ in width: \{'x': 2, 'z': 3\}; all load on the same theta_c",
        ),
        (lambda: TWO["why"], UnknownNameError, r"unknown modality 'why'; .*known: 'x', 'y'"),
        (lambda: TWO.sample("z", 3, seed=0), UnknownNameError, r"unknown modality 'z'; known: 'x', 'y'"),
        (lambda: TWO.sample("x", 0, seed=0), ValueError, r"x: number of samples must be at least 1, got 0"),
        (
            lambda: TWO.sample("x", -2, seed=0),
            ValueError,
            r"x: sample count must be a whole number >= 0, got -2",
        ),
        (
            lambda: TWO.sample("x", 1.5, seed=0),
            ValueError,
            r"x: sample count must be a whole number >= 0, got 1\.5",
        ),
        (lambda: TWO.sample("x", 3, seed=None), TypeError, r"seed must be a whole number, .* got NoneType"),
        (lambda: e14_world(None), TypeError, r"seed must be a whole number"),
        (
            lambda: e14_world(0, noise_std=0.0),
            ValueError,
            r"noise_std: must be positive and finite, got 0\.0",
        ),
        (lambda: e14_world(0, attenuation=-1.0), ValueError, r"attenuation: expected 10 factors >= 0"),
    ],
)
def test_worlds_say_what_is_wrong(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_world_keeps_its_modalities_when_the_dictionary_changes():
    parts = {"x": TWO["x"]}
    world = FactorWorld(parts)
    parts["y"] = TWO["y"]
    assert world.names == ("x",)
