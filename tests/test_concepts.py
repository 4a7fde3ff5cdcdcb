"""Simulated classes: literally the theory's process, unpaired, with knobs that mean what they say."""

import numpy as np
import pytest
from scipy.stats import chi2

from fisherkit.checks import UnknownNameError
from fisherkit.model import Modality
from neural.worlds.concepts import ConceptWorld, concepts

FALSE_ALARM = 1e-6

#: Low-dimensional and linear, so that every law below is known in closed form.
SMALL = {"dims": 12, "rank": 3, "private_dim": 2, "nuisance_dim": 2, "aligned": True}


def class_means(world, seed, n_classes, rows=4):
    task = concepts(
        world,
        seed=seed,
        n_classes=n_classes,
        train_per_class=rows,
        val_per_class=1,
        test_per_class=1,
        auxiliary_per_class=rows,
    )
    pools = {world.target: task.train, **task.auxiliaries}
    return {
        name: pool.features.reshape(n_classes, rows, -1).mean(1, dtype=np.float64)
        for name, pool in pools.items()
    }


def joint_covariance(world, seed, rows):
    """Covariance of (image, text) class means over classes, from the model alone: L L' + Sigma / n."""
    model = world.model(seed)
    d = {name: model[name].obs_dim for name in world.names}
    loading = np.zeros((sum(d.values()), model.n_params))
    cov, start = np.zeros((len(loading), len(loading))), 0
    for name in world.names:
        block = slice(start, start + d[name])
        loading[block, model.slices["shared"]] = model[name].shared
        loading[block, model.slices[name]] = model[name].private
        cov[block, block] = model[name].noise_covariance / rows
        start += d[name]
    return loading @ loading.T + cov


def distances(means, cov):
    """Sum of squared Mahalanobis norms: chi-squared with one degree of freedom per entry if `cov` is the law."""
    joined = np.concatenate(list(means.values()), axis=1)
    return float(np.sum(joined * np.linalg.solve(cov, joined.T).T)), joined.size


@pytest.mark.parametrize("alignment", [0.0, 0.6, 1.0])
def test_class_means_have_the_covariance_of_the_theory(alignment):
    # Exact chi-squared law, two-sided: false alarm 1e-6 per case. A wrong alignment must be told apart by it.
    world = ConceptWorld(alignment=alignment, informativeness=2.0, **SMALL)
    means = class_means(world, seed=5, n_classes=300)
    value, dof = distances(means, joint_covariance(world, 5, rows=4))
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], dof)
    assert low < value < high
    other = ConceptWorld(alignment=1.0 if alignment < 1 else 0.6, informativeness=2.0, **SMALL)
    wrong, _ = distances(means, joint_covariance(other, 5, rows=4))
    assert not low < wrong < high


@pytest.mark.parametrize("shifted", [False, True])
def test_rows_scatter_around_their_class_mean_with_the_models_noise(shifted):
    # Within-class differences of two rows have covariance 2 Sigma; chi-squared, two-sided, false alarm 1e-6 per case.
    world = ConceptWorld(**SMALL)
    task = concepts(world, seed=3, n_classes=200, train_per_class=1, val_per_class=1, test_per_class=2)
    rows = task.tests["shifted" if shifted else "test"].features.astype(np.float64)
    gap = rows[::2] - rows[1::2]
    bounds = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], gap.size)
    values = [
        np.sum(gap * np.linalg.solve(2 * world.model(3, shifted=kind)["image"].noise_covariance, gap.T).T)
        for kind in (shifted, not shifted)
    ]
    assert bounds[0] < values[0] < bounds[1]
    assert not bounds[0] < values[1] < bounds[1]


def gram_p_value(task, permutations, seed=0):
    """Permutation test of the two Gram matrices of class means: share of class orders that agree at least as well."""
    grams = []
    for pool in (task.train, task.auxiliaries["text"]):
        means = pool.class_means(len(task.classes)).astype(np.float64)
        means -= means.mean(0)
        grams.append(means @ means.T)
    off = ~np.eye(len(grams[0]), dtype=bool)
    rng = np.random.default_rng(seed)
    agree = np.corrcoef(grams[0][off], grams[1][off])[0, 1]
    at_least = 1
    for _ in range(permutations):
        order = rng.permutation(len(off))
        at_least += np.corrcoef(grams[0][off], grams[1][np.ix_(order, order)][off])[0, 1] >= agree
    return at_least / (permutations + 1)


def test_alignment_decides_whether_text_means_anything_for_the_picture():
    # At alignment 0 the p-values of three seeds are independent and (nearly) uniform: all below 0.02 with probability
    # 8e-6. At alignment 1 each must reach the least possible value, 1 in 500.
    unrelated = [gram_p_value(concepts(ConceptWorld(alignment=0.0), seed=s), 499) for s in range(3)]
    related = [gram_p_value(concepts(ConceptWorld(), seed=s), 499) for s in range(3)]
    assert max(unrelated) > 0.02
    assert max(related) == 1 / 500


def test_another_modality_leaves_the_rows_of_the_others_as_they_were():
    alone = concepts(ConceptWorld(), seed=1, n_classes=6)
    both = concepts(
        ConceptWorld(auxiliaries=("text", "sound"), alignment={"sound": 0.3}),
        seed=1,
        n_classes=6,
        auxiliary_per_class={"sound": 3},
    )
    pairs = [(alone.train, both.train), (alone.val, both.val)]
    pairs += [(alone.tests[name], both.tests[name]) for name in ("test", "shifted")]
    pairs += [(alone.auxiliaries["text"], both.auxiliaries["text"])]
    for before, after in pairs:
        np.testing.assert_array_equal(before.features, after.features)
    assert both.dims == {"image": 96, "text": 64, "sound": 64}
    assert both.auxiliaries["sound"].counts(6).tolist() == [3] * 6


def test_numbers_of_rows_and_classes_do_not_change_the_rows_before():
    small = concepts(ConceptWorld(), seed=1, n_classes=4, train_per_class=3, auxiliary_per_class=2)
    large = concepts(ConceptWorld(), seed=1, n_classes=6, train_per_class=3, auxiliary_per_class=9)
    # To rounding only: the view multiplies matrices of another height.
    np.testing.assert_allclose(small.train.features, large.train.features[: 4 * 3], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        small.auxiliaries["text"].features.reshape(4, 2, -1),
        large.auxiliaries["text"].features.reshape(6, 9, -1)[:4, :2],
        rtol=1e-5,
        atol=1e-6,
    )


def test_rows_of_two_modalities_belong_to_no_common_samples():
    # Within a class, the i-th picture and the i-th text deviate independently. The statistic (largest |correlation| of
    # deviations over 6 x 6 projections) must not stand out among 999 shufflings of the text rows within their class;
    # false alarm 1e-3. Rows that share their noise do stand out.
    world = ConceptWorld(dims=6, rank=2, private_dim=0, nuisance_dim=1, informativeness=1.0, aligned=True)
    task = concepts(world, seed=11, n_classes=20, train_per_class=20, auxiliary_per_class=20)

    def deviations(pool):
        rows = pool.features.astype(np.float64).reshape(20, 20, -1)
        return rows - rows.mean(1, keepdims=True)

    def p_value(a, b, shuffles):
        rng = np.random.default_rng(0)

        def statistic(text):
            return np.abs(np.corrcoef(a.reshape(400, -1), text.reshape(400, -1), rowvar=False)[:6, 6:]).max()

        seen = statistic(b)
        return np.mean([statistic(rng.permuted(b, axis=1)) >= seen for _ in range(shuffles)])

    a, b = deviations(task.train), deviations(task.auxiliaries["text"])
    assert p_value(a, b, 999) > 0.0
    assert p_value(a, 0.5 * a + b, 999) == 0.0


def test_the_order_of_rows_and_the_names_of_seeds_carry_nothing():
    task = concepts(ConceptWorld(), seed=1, n_classes=5)
    order = np.random.default_rng(0).permutation(len(task.auxiliaries["text"]))
    shuffled = task.auxiliaries["text"].take(order)
    np.testing.assert_allclose(
        shuffled.class_means(5), task.auxiliaries["text"].class_means(5), rtol=1e-4, atol=1e-5
    )
    again, other = (
        concepts(ConceptWorld(), seed=1, n_classes=5),
        concepts(ConceptWorld(), seed=2, n_classes=5),
    )
    np.testing.assert_array_equal(again.train.features, task.train.features)
    assert not np.array_equal(other.train.features, task.train.features)


def test_pools_share_no_row():
    task = concepts(ConceptWorld(), seed=0, n_classes=3)
    rows = np.concatenate([
        task.train.features,
        task.val.features,
        *(t.features for t in task.tests.values()),
    ])
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("rows", [1, 32, 10**9])
@pytest.mark.parametrize("alignment", [0.0, 0.5, 0.9])
def test_information_of_an_auxiliary_is_what_the_docstring_says(alignment, rows):
    # Oracle: joint precision of (theta_c, private) from n rows, plus the private latents' unit precision; Schur
    # complement. The formula in the docstring comes from the law of the mean instead.
    model = ConceptWorld(alignment=alignment, dims=20, rank=3).model(0)
    text = model["text"]
    design = text.design()
    precision = rows * design.T @ np.linalg.solve(text.noise_covariance, design)
    precision[3:, 3:] += np.eye(text.private_dim)
    schur = precision[:3, :3] - precision[:3, 3:] @ np.linalg.solve(precision[3:, 3:], precision[3:, :3])
    scatter = text.noise_covariance / rows + text.private @ text.private.T
    formula = text.shared.T @ np.linalg.solve(scatter, text.shared)
    np.testing.assert_allclose(schur, formula, rtol=1e-5, atol=1e-6)
    limit = alignment**2 / (1 - alignment**2)
    assert np.linalg.eigvalsh(formula).max() <= limit * (1 + 1e-6)
    if rows > 32:
        plain = ConceptWorld(alignment=alignment, dims=20, rank=3, private_dim=0).model(0)["text"]
        scatter = plain.noise_covariance / rows + plain.private @ plain.private.T
        reached = np.linalg.eigvalsh(plain.shared.T @ np.linalg.solve(scatter, plain.shared))
        np.testing.assert_allclose(reached, limit, rtol=1e-4)


def test_aligned_modalities_share_their_loadings_and_space():
    world = ConceptWorld(aligned=True, informativeness=2.0)
    model = world.model(0)
    np.testing.assert_allclose(model["text"].shared, 2 * model["image"].shared)
    task = concepts(world, seed=0, n_classes=3)
    assert task.aligned
    assert task.dims == {"image": 96, "text": 96}
    assert not concepts(ConceptWorld(), seed=0, n_classes=3).aligned


def test_nonlinear_views_take_no_linear_space_into_another():
    # Without noise and nuisance, 96 features of 14 latents have rank 14; behind the view they have full rank.
    quiet = {"noise": 1e-6, "nuisance": 0.0}
    seen = concepts(ConceptWorld(**quiet), seed=0, n_classes=128).train.features
    plain = concepts(ConceptWorld(aligned=True, **quiet), seed=0, n_classes=128).train.features
    assert np.linalg.matrix_rank(plain, tol=1e-2) == 14
    assert np.linalg.matrix_rank(seen, tol=1e-2) == 96


def test_the_model_has_unit_class_means_and_the_asked_scatter():
    model = ConceptWorld(noise=0.5, nuisance=2.0, nuisance_dim=6).model(0)
    image = model["image"]
    assert isinstance(image, Modality)
    assert np.sum(image.shared**2) / image.obs_dim == pytest.approx(1.0)
    values = np.linalg.eigvalsh(image.noise_covariance)
    np.testing.assert_allclose(values[:-6], 0.25)
    np.testing.assert_allclose(values[-6:], 0.25 + 4.0 * 96 / 6)


@pytest.mark.parametrize(
    ("knobs", "error", "text"),
    [
        ({"rank": 0}, ValueError, "rank must be a whole number >= 1, got 0"),
        (
            {"alignment": 1.5},
            ValueError,
            "text: alignment must be a finite number, at least 0 and at most 1, got 1.5",
        ),
        ({"alignment": np.nan}, ValueError, "text: alignment must be a finite number"),
        (
            {"informativeness": -1.0},
            ValueError,
            "text: informativeness must be a finite number, at least 0, got -1",
        ),
        ({"noise": 0.0}, ValueError, "image: noise must be a finite number, above 0, got 0.0"),
        ({"noise": {"text": "loud"}}, ValueError, "text: noise must be a finite number, above 0, got 'loud'"),
        ({"nuisance": -0.1}, ValueError, "image: nuisance must be a finite number, at least 0"),
        ({"nuisance_dim": 0}, ValueError, "image: nuisance_dim must be a whole number >= 1"),
        ({"private_dim": -1}, ValueError, "image: private_dim must be a whole number >= 0"),
        ({"dims": {"text": 0}}, ValueError, "text: dims must be a whole number >= 1"),
        (
            {"dims": {"image": 8, "text": 9}, "aligned": True},
            ValueError,
            "aligned modalities live in one space",
        ),
        (
            {"alignment": {"txt": 1.0}},
            UnknownNameError,
            "unknown modality in alignment 'txt'; did you mean 'text'",
        ),
        ({"alignment": {"image": 1.0}}, UnknownNameError, "unknown modality in alignment 'image'"),
        ({"noise": {"sound": 1.0}}, UnknownNameError, "unknown modality in noise 'sound'"),
        ({"auxiliaries": "text"}, TypeError, "auxiliaries: expected several names, got the string 'text'"),
        ({"auxiliaries": ("text", "text")}, ValueError, "modality names must differ"),
        ({"auxiliaries": ("image",)}, ValueError, "modality names must differ"),
    ],
)
def test_knobs_out_of_range_are_named(knobs, error, text):
    with pytest.raises(error, match=text):
        concepts(ConceptWorld(**knobs), seed=0, n_classes=2)


@pytest.mark.parametrize(
    ("counts", "error", "text"),
    [
        ({"n_classes": 1}, ValueError, "n_classes must be a whole number >= 2, got 1"),
        ({"train_per_class": 0}, ValueError, "train_per_class must be a whole number >= 1"),
        ({"val_per_class": 0.5}, ValueError, "val_per_class must be a whole number >= 1"),
        ({"test_per_class": 0}, ValueError, "test_per_class must be a whole number >= 1"),
        ({"auxiliary_per_class": 0}, ValueError, "text: rows per class must be a whole number >= 1"),
        (
            {"auxiliary_per_class": {"image": 1}},
            UnknownNameError,
            "unknown modality in auxiliary_per_class 'image'",
        ),
    ],
)
def test_counts_out_of_range_are_named(counts, error, text):
    with pytest.raises(error, match=text):
        concepts(seed=0, **counts)


def test_a_world_without_auxiliaries_is_a_plain_task():
    task = concepts(ConceptWorld(auxiliaries=()), seed=0, n_classes=3)
    assert task.dims == {"image": 96}
    with pytest.raises(UnknownNameError, match="unknown modality 'text'"):
        ConceptWorld(auxiliaries=()).dim("text")
