"""Modality, LinearGaussian, Layout, Samples and the builders: what they accept, and what they say when they do not."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit.streams import streams

EYE = np.eye(2)


def test_layout_puts_shared_first_then_private_in_order():
    model = fk.LinearGaussian({
        "b": fk.Modality(EYE, np.ones((2, 3))),
        "a": fk.Modality(EYE, np.ones((2, 1))),
    })
    assert model.slices == {"shared": slice(0, 2), "b": slice(2, 5), "a": slice(5, 6)}
    assert model.n_params == 6
    theta = np.arange(6.0)
    blocks = model.layout.split(theta)
    assert {k: v.tolist() for k, v in blocks.items()} == {"shared": [0, 1], "b": [2, 3, 4], "a": [5]}
    np.testing.assert_array_equal(model.layout.pack(blocks), theta)


def test_subset_keeps_modalities_and_drops_private_blocks():
    model = fk.random_model(2, {"x": 1, "y": 2, "z": 3}, seed=0)
    small = model.subset(["z", "x"])
    assert small.names == ("x", "z")
    assert small.n_params == 6
    assert small["x"] is model["x"]


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        ({"noise_std": 2.0}, np.diag([4.0, 4.0])),
        ({"noise_var": [1.0, 9.0]}, np.diag([1.0, 9.0])),
        ({"noise_cov": [[2.0, 1.0], [1.0, 2.0]]}, np.array([[2.0, 1.0], [1.0, 2.0]])),
        ({}, np.eye(2)),
    ],
)
def test_whitening_and_colouring_are_inverse_square_roots(noise, expected):
    modality = fk.Modality(EYE, **noise)
    np.testing.assert_allclose(modality.noise_covariance, expected)
    w = modality.whiten(np.eye(2))
    np.testing.assert_allclose(w @ expected @ w.T, np.eye(2), atol=1e-12)
    c = modality.color(np.eye(2))
    np.testing.assert_allclose(c.T @ c, expected, atol=1e-12)


BAD_MODALITIES = [
    (
        lambda: fk.Modality([[np.nan, 1.0]]),
        r"shared design: NaN at index \(0, 0\) \(1 non-finite of 2 entries\)",
    ),
    (lambda: fk.Modality([[1.0], [np.inf]]), r"shared design: infinite value at index \(1, 0\)"),
    (lambda: fk.Modality([1.0, 2.0]), r"shared design: expected 2 or 3 dimensions, got 1"),
    (
        lambda: fk.Modality(EYE, np.ones((3, 1))),
        r"private design: 3 observed coordinates .* shared design has 2",
    ),
    (
        lambda: fk.Modality(np.ones((4, 2, 1)), np.ones((5, 2, 1))),
        r"private design: 5 samples, but the shared .* 4",
    ),
    (lambda: fk.Modality(np.ones((0, 2, 1))), r"zero samples; give at least one design block"),
    (lambda: fk.Modality(np.ones((0, 2))), r"zero observed coordinates"),
    (lambda: fk.Modality(EYE, noise_std=-1.0), r"noise_std: must be positive, got -1"),
    (lambda: fk.Modality(EYE, noise_std=0.0), r"noise_std: must be positive, got 0"),
    (
        lambda: fk.Modality(EYE, noise_std=1.0, noise_var=[1, 1]),
        r"give one of .* not noise_std and noise_var",
    ),
    (lambda: fk.Modality(EYE, noise_var=[1.0]), r"noise_var: expected length 2"),
    (lambda: fk.Modality(EYE, noise_var=[1.0, 0.0]), r"noise_var: entry 1 is 0; must be positive"),
    (
        lambda: fk.Modality(EYE, noise_cov=np.ones((2, 2))),
        r"noise_cov: not positive definite \(smallest eigenvalue",
    ),
    (
        lambda: fk.Modality(EYE, noise_cov=[[1.0, 2.0], [0.0, 1.0]]),
        r"noise_cov: not symmetric: entry \(0, 1\) is 2",
    ),
    (lambda: fk.Modality(EYE, noise_cov=np.eye(3)), r"noise_cov: expected shape \(2, 2\), got \(3, 3\)"),
    (lambda: fk.Modality([[1.0, 2.0], [3.0]]), r"shared design: not a rectangular array"),
]


@pytest.mark.parametrize(("build", "message"), BAD_MODALITIES, ids=[m[:40] for _, m in BAD_MODALITIES])
def test_bad_modalities_say_what_and_where(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_text_is_not_a_design():
    with pytest.raises(TypeError, match="shared design: expected real numbers, got dtype"):
        fk.Modality([["a", "b"]])


def test_nan_deep_in_a_large_design_is_located():
    block = np.ones((3000, 50, 10))
    block[2345, 6, 7] = np.nan
    with pytest.raises(ValueError, match=r"NaN at index \(2345, 6, 7\) \(1 non-finite of 1500000 entries\)"):
        fk.Modality(block)


def test_bad_models_are_refused():
    with pytest.raises(ValueError, match="non-empty"):
        fk.LinearGaussian({})
    with pytest.raises(ValueError, match='"shared" is reserved'):
        fk.LinearGaussian({"shared": fk.Modality(EYE)})
    with pytest.raises(ValueError, match=r"same number of columns .*'x': 2, 'y': 3"):
        fk.LinearGaussian({"x": fk.Modality(EYE), "y": fk.Modality(np.eye(3))})
    with pytest.raises(TypeError, match="x: expected a Modality, got ndarray"):
        fk.LinearGaussian({"x": EYE})
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'imgae'; did you mean 'image'"):
        fk.LinearGaussian({"image": fk.Modality(EYE)})["imgae"]


def test_more_parameters_than_memory_is_said_before_it_happens():
    wide = np.broadcast_to(1.0, (1, 400_000))
    with pytest.raises(MemoryError, match=r"information and covariance of 400000 parameters .* needs .* GiB"):
        fk.LinearGaussian({"x": fk.Modality(wide)})


def test_bad_samples_are_refused():
    model = fk.LinearGaussian({"x": fk.Modality(EYE), "y": fk.Modality(np.ones((3, 2, 2)))})
    cases = [
        ({"x": np.ones((4, 3))}, r"x: samples: expected shape \(..., samples, 2\), got \(4, 3\)"),
        ({"x": np.ones(2)}, r"x: samples: expected shape"),
        ({"x": np.ones((0, 2))}, "x: zero samples; leave the modality out"),
        ({"y": np.ones((4, 2))}, "y: 4 samples asked for, but there are only 3 per-sample designs"),
        ({"x": [[1.0, np.nan]]}, r"x: samples: NaN at index \(0, 1\)"),
        ({"x": np.ones((5, 4, 2)), "y": np.ones((6, 3, 2))}, "replicate axes differ"),
        ({}, "non-empty"),
    ]
    for data, message in cases:
        with pytest.raises(ValueError, match=message):
            fk.Samples(model, data)
    with pytest.raises(fk.UnknownNameError, match="unknown modality 'z'"):
        fk.Samples(model, {"z": np.ones((1, 2))})


def test_counts_are_checked():
    model = fk.LinearGaussian({"image": fk.Modality(EYE), "text": fk.Modality(EYE)})
    with pytest.raises(ValueError, match=r"image: sample count must be a whole number >= 0, got -1"):
        fk.information(model, {"image": -1})
    with pytest.raises(ValueError, match="text: sample count must be a whole number"):
        fk.information(model, {"text": 1.5})
    with pytest.raises(ValueError, match="all sample counts are zero"):
        fk.simulate(model, 0, seed=0)
    with pytest.raises(fk.UnknownNameError, match="did you mean 'text'"):
        fk.information(model, {"txt": 1})


def test_random_model_has_the_ranks_and_conditioning_asked_for():
    model = fk.random_model(
        4, {"x": 3, "y": 2}, seed=1, obs_dim=9, shared_rank={"x": 2, "y": 4}, private_rank=1, condition=1e3
    )
    assert np.linalg.matrix_rank(model["x"].shared) == 2
    assert np.linalg.matrix_rank(model["x"].private) == 1
    assert np.linalg.cond(model["y"].shared) == pytest.approx(1e3)
    with pytest.raises(ValueError, match=r"x: shared_rank must lie between 0 and 4, got 5"):
        fk.random_model(4, {"x": 3}, seed=1, shared_rank=5)


def test_random_per_sample_designs_keep_their_row_space():
    model = fk.random_model(4, {"x": 2}, seed=1, obs_dim=6, shared_rank=2, n_designs=10)
    assert model["x"].n_designs == 10
    assert np.linalg.matrix_rank(model["x"].shared.reshape(-1, 4)) == 2


def test_e14_model_is_attenuated_where_the_paper_says():
    full, weak = fk.e14_model(seed=3, attenuation=1.0), fk.e14_model(seed=3)
    np.testing.assert_allclose(weak["x"].shared, full["x"].shared * np.r_[1.0, np.full(9, 0.05)])
    np.testing.assert_array_equal(weak["y"].shared, full["y"].shared)
    assert weak["x"].noise_covariance[0, 0] == pytest.approx(0.09)
    assert {n: p.stop - p.start for n, p in weak.slices.items()} == {"shared": 10, "x": 5, "y": 5}


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 2])
def test_blind_spot_model_has_the_angle_asked_for(angle):
    model = fk.blind_spot_model(angle=angle, seed=0, shared_dim=6, seen=3)
    cosines = np.linalg.svd(model["x"].shared @ model["y"].shared.T, compute_uv=False)
    np.testing.assert_allclose(cosines, np.cos(angle), atol=1e-12)
    with pytest.raises(ValueError, match="angle: must lie in"):
        fk.blind_spot_model(angle=2.0, seed=0)
    with pytest.raises(ValueError, match="seen: must lie between 1 and"):
        fk.blind_spot_model(angle=1.0, seed=0, seen=3)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_singular_noise_is_refused_whatever_rounding_says(seed, m):
    """Cholesky factorisation accepts 80 of 200 random covariances of rank 3 of 4."""
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((m, m - 1)) * 10.0 ** rng.uniform(-3, 3, (m, 1))
    with pytest.raises(ValueError, match=r"noise_cov: not positive definite \(smallest eigenvalue"):
        fk.Modality(np.eye(m), noise_cov=half @ half.T)
    full = rng.standard_normal((m, m + 3)) * 10.0 ** rng.uniform(-3, 3, (m, 1))
    assert fk.Modality(np.eye(m), noise_cov=full @ full.T).noise_cov is not None


@pytest.mark.parametrize("size", [1e-160, 1e160])
@pytest.mark.parametrize(
    "noise",
    [
        lambda s: {"noise_std": s},
        lambda s: {"noise_var": [1.0, s**1.9]},
        lambda s: {"noise_cov": s**1.9 * np.eye(2)},
    ],
)
def test_noise_whose_square_leaves_float64_is_refused(noise, size):
    with pytest.raises(ValueError, match=r"noise_(std|var|cov): .* is out of range.*other units"):
        fk.Modality(EYE, **noise(size))


@pytest.mark.parametrize(("one", "other"), [("plumless", "buckeroo"), ("codding", "gnu"), ("é", "e")])
def test_names_do_not_share_streams(one, other):
    """The first two have one CRC-32."""
    rngs = streams(0, [one, other])
    assert rngs[one].standard_normal() != rngs[other].standard_normal()
    model = fk.LinearGaussian({one: fk.Modality(EYE), other: fk.Modality(EYE)})
    samples = fk.simulate(model, 3, seed=0, theta=[0.0, 0.0])
    assert (samples[one] != samples[other]).all()


def test_no_modality_shares_a_stream_with_the_parameters():
    for name in ("theta shared", "theta", "shared theta"):
        model = fk.LinearGaussian({name: fk.Modality(EYE)})
        samples = fk.simulate(model, 1, seed=0)
        assert (np.abs(samples[name][0] - 2 * samples.theta) > 1e-9).all()


def test_misspelt_options_are_not_ignored():
    builders = [
        lambda **o: fk.random_model(2, {"image": 1, "text": 1}, seed=0, **o),
        lambda **o: fk.blind_spot_model(angle=1.0, seed=0, **o),
    ]
    for option in ("noise_std", "obs_dim", "shared_rank", "private_rank"):
        with pytest.raises(
            fk.UnknownNameError, match=f"unknown modality in {option} 'imgae'; did you mean 'image'"
        ):
            builders[0](**{option: {"imgae": 3}})
    with pytest.raises(fk.UnknownNameError, match="unknown modality in noise_std 'z'; known: 'x', 'y'"):
        builders[1](noise_std={"z": 3})
    for n in (0, -1, 1.5):
        with pytest.raises(ValueError, match=r"n_designs .* must be a whole number >= 1, got"):
            builders[0](n_designs=n)
    for condition in (0.5, np.inf, np.nan):
        with pytest.raises(ValueError, match="condition: must be at least 1 and finite, got"):
            builders[0](condition=condition)


@pytest.mark.parametrize("count", [np.inf, -np.inf, np.nan, "3", None, True, 1 + 0j])
def test_counts_that_are_no_numbers_are_refused(count):
    model = fk.LinearGaussian({"x": fk.Modality(EYE)})
    with pytest.raises(ValueError, match="x: sample count must be a whole number >= 0, got"):
        fk.information(model, {"x": count})


def test_large_counts_work_up_to_64_bits():
    model = fk.LinearGaussian({"x": fk.Modality(EYE)})
    np.testing.assert_allclose(fk.information(model, 10**18), 1e18 * EYE)
    assert fk.fit(fk.simulate_statistics(model, 10**18, seed=0), noise="dof").counts == {"x": 10**18}
    for count in (1e19, 2**63, 10**400):
        with pytest.raises(ValueError, match=r"x: sample count must be below 2\*\*63, got"):
            fk.information(model, count)


def test_seeds_and_replicates_are_checked():
    model = fk.LinearGaussian({"x": fk.Modality(EYE)})
    with pytest.raises(ValueError, match="seed must be a whole number >= 0, got -1"):
        fk.simulate(model, 1, seed=-1)
    for draw in (fk.simulate, fk.simulate_statistics):
        for replicates in (0, -1, 1.5, "3", True):
            with pytest.raises(ValueError, match="replicates: must be at least 1 and whole"):
                draw(model, 1, seed=0, replicates=replicates)


def test_unknown_name_comes_back_whole_from_another_process():
    error = fk.UnknownNameError("imgae", ["image", "text"], "thing")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is fk.UnknownNameError
    assert str(copy) == str(error) == "unknown thing 'imgae'; did you mean 'image'? known: 'image', 'text'"


def test_e14_model_takes_a_noise_for_each_modality():
    both, each = (fk.e14_model(seed=3, noise_std=std) for std in (0.3, {"x": 0.3, "y": 0.6}))
    assert (each["x"].noise_std, each["y"].noise_std) == (0.3, 0.6)
    for name in "xy":
        np.testing.assert_array_equal(each[name].shared, both[name].shared)
    with pytest.raises(fk.UnknownNameError, match="unknown modality in noise_std 'z'"):
        fk.e14_model(seed=3, noise_std={"z": 1.0})
