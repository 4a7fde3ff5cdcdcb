"""The door: what becomes of dtypes, memory orders and foreign containers, and what the caller can still change."""

import fractions
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import fisherkit as fk
from fisherkit import allocation, arrays, checks, criteria, exchange, exchange_fit
from fisherkit.chunked import accumulate_chunks, from_npy
from tests.model_strategies import counts_for, models

try:
    import torch
except ImportError:
    torch = None

EYE = np.eye(2)
needs_torch = pytest.mark.skipif(torch is None, reason="torch is not installed")


# one rule for all: exactly, or not at all


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["f2", "f4", "f8", ">f4", ">f8", "i1", "u2", "i4", "i8", "u8", "?"]),
)
def test_real_dtypes_come_in_exactly(seed, dtype):
    rng = np.random.default_rng(seed)
    given_ = np.abs(100 * rng.standard_normal((3, 4))).astype(dtype)
    for array in (given_, given_.T, given_[::2], np.asfortranarray(given_), given_.tolist()):
        read = checks.as_array(array, "a")
        assert read.dtype == np.float64
        assert read.dtype.isnative
        np.testing.assert_array_equal(read, np.asarray(array).astype("f8"))
    locked = given_.copy()
    locked.flags.writeable = False
    np.testing.assert_array_equal(checks.as_array(locked, "a"), given_.astype("f8"))


@given(st.integers(-(2**70), 2**70), st.integers(1, 2**10), st.sampled_from(["list", "int64", "object"]))
def test_integers_and_fractions_come_in_exactly_or_not_at_all(numerator, denominator, kind):
    """Oracle: rational arithmetic on the float that comes out."""
    value = fractions.Fraction(numerator, denominator if kind == "object" else 1)
    entry = value if kind == "object" else int(value)
    if kind == "int64" and not -(2**63) <= entry < 2**63:
        return
    array = np.array([[0, entry]], dtype=kind if kind != "list" else object)
    handed = array.tolist() if kind == "list" else array
    try:
        exact = fractions.Fraction(float(value)) == value
    except OverflowError:
        exact = False
    if exact:
        assert fractions.Fraction(checks.as_array(handed, "a")[0, 1]) == value
    else:
        with pytest.raises((ValueError, TypeError), match=r"at index \(0, 1\)"):
            checks.as_array(handed, "a")


REFUSED = [
    (lambda: [[2**53 + 1]], ValueError, r"a: entries of dtype int64 .* such as 9007199254740993 at index \(0, 0\)"),
    (lambda: [10**400], ValueError, r"a: entries of dtype int that double precision cannot hold, such as 1000.*\.\.\."),
    (lambda: [fractions.Fraction(1, 3)], TypeError, r"a: Fraction 1/3 at index \(0,\) is not a float64; .*fisherkit\.symbolic"),
    (lambda: Decimal("0.1"), TypeError, r"a: Decimal 0\.1 is not a float64"),
    (lambda: [[1.0, None]], TypeError, r"a: expected real numbers, got None at index \(0, 1\)"),
    (lambda: (x for x in [1.0]), TypeError, "a: expected real numbers, got generator"),
    (lambda: {"x": 1.0}, TypeError, "a: expected real numbers, got dict"),
    (lambda: "1", TypeError, "a: expected real numbers, got dtype <U1"),
    (lambda: np.array(["2020"], dtype="M8[D]"), TypeError, "a: expected real numbers, got dtype datetime64"),
    (lambda: [[1.0], [1.0, 2.0]], ValueError, "a: not a rectangular array"),
    (lambda: scipy.sparse.eye_array(2).tocsr(), TypeError, r"a: a sparse matrix \(csr_array\).* pass \.toarray\(\)"),
    (lambda: scipy.sparse.coo_matrix(EYE), TypeError, r"a: a sparse matrix \(coo_matrix\)"),
    (lambda: np.ma.masked_array(EYE, EYE == 0), TypeError, "a: 2 entries are masked"),
    (lambda: [np.ma.masked_array([1.0, 2.0], [0, 1]), [1.0, 2.0]], TypeError, "a: 1 entries are masked"),
    (lambda: [1.0, np.ma.masked], TypeError, "a: 1 entries are masked"),
    (lambda: np.longdouble("1e400"), ValueError, "a: infinite value"),
    (lambda: [1.0, np.nan], ValueError, r"a: NaN at index \(1,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=[m[:35] for _, _, m in REFUSED])
def test_what_is_refused_says_where_and_what_to_do(make, error, message):
    if "longdouble" in repr(make) and np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("longdouble is float64 here")
    with pytest.raises(error, match=message):
        checks.as_array(make(), "a")


def test_complex_numbers_are_not_told_to_drop_their_imaginary_part():
    for value in (1j * EYE, [1j], 1 + 0j, np.complex64(1)):
        with pytest.raises(TypeError, match="expected real numbers, got dtype complex") as caught:
            fk.Modality(value)
        assert "stack real and imaginary parts as two coordinates" in str(caught.value)
        assert not any(word in str(caught.value) for word in ("convert", "drop", "float first"))


def test_pandas_and_masked_arrays_without_a_mask_come_in():
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3, 4]})
    np.testing.assert_array_equal(fk.Modality(frame).shared, [[1.0, 3.0], [2.0, 4.0]])
    np.testing.assert_array_equal(checks.as_array(pd.Series([1, 2], dtype="Int64"), "a"), [1.0, 2.0])
    np.testing.assert_array_equal(checks.as_array(np.ma.masked_array([1.0, 2.0]), "a"), [1.0, 2.0])
    with pytest.raises(ValueError, match=r"a: NaN at index \(1,\)"):
        checks.as_array(pd.Series([1, None], dtype="Int64"), "a")


@needs_torch
def test_tensors_come_in_exactly_and_gradients_do_not():
    exact = {
        torch.bfloat16: [1.0, -2.5], torch.float16: [0.5, 3.0], torch.float32: [0.1, 2.0], torch.int64: [1, 2**53],
        torch.uint8: [0, 255], torch.bool: [True, False],
    }  # fmt: skip
    for dtype, values in exact.items():
        tensor = torch.tensor(values, dtype=dtype)
        np.testing.assert_array_equal(checks.as_array(tensor, "a"), tensor.double().numpy())
    with pytest.raises(TypeError, match=r"shared design: a tensor that requires grad.* pass \.detach\(\)"):
        fk.Modality(torch.eye(2, requires_grad=True))
    with pytest.raises(TypeError, match=r"a: list cannot be read as an array of numbers .*detach"):
        checks.as_array([torch.ones(2, requires_grad=True)] * 2, "a")
    with pytest.raises(TypeError, match="a: expected real numbers, got dtype complex"):
        checks.as_array(torch.zeros(2, dtype=torch.complex64), "a")
    with pytest.raises(TypeError, match=r"a: Tensor cannot be read .*to_dense"):
        checks.as_array(torch.eye(2).to_sparse(), "a")
    with pytest.raises(ValueError, match="a: entries of dtype int64 that double precision cannot hold"):
        checks.as_array(torch.tensor([2**53 + 1]), "a")


def test_torch_is_not_imported_by_the_door():
    assert "torch" not in vars(arrays)


# everything is computed in float64


def _single(model, dtype):
    """The model from float32 numbers, handed over as `dtype`."""
    modalities = {}
    for name, m in model.modalities.items():
        noise = {"noise_std": m.noise_std, "noise_var": m.noise_var, "noise_cov": m.noise_cov}
        noise = {k: np.asarray(v, dtype=np.float32).astype(dtype) for k, v in noise.items() if v is not None}
        blocks = (b.astype(np.float32).astype(dtype) for b in (m.shared, m.private))
        modalities[name] = fk.Modality(*blocks, **noise)
    return fk.LinearGaussian(modalities)


def _answers(model, data, counts):
    """Public answers about a world and data; an error counts by its text."""
    names, directions = model.names, np.eye(model.n_params)
    samples = fk.Samples(model, data)
    questions = {
        "bounds": lambda: fk.cramer_rao(model, counts, directions),
        "paper's bounds": lambda: fk.cramer_rao(model, counts, directions, unit_noise=True),
        "information": lambda: fk.information(model, counts),
        "by modality": lambda: list(fk.information_by_modality(model).values()),
        "one sample": lambda: fk.sample_information(model, names[0]),
        "shared": lambda: [np.asarray(getattr(m, "matrix", m)) for m in fk.shared_information(model).values()],
        "theta": lambda: fk.fit(samples).theta,
        "covariance": lambda: fk.fit(samples).covariance,
        "qr": lambda: fk.fit(fk.accumulate(samples, method="qr")).theta,
        "gram": lambda: fk.fit(fk.accumulate(samples, method="gram")).theta,
        "dof": lambda: fk.fit(samples, noise="dof").std_error(directions),
        "simulated": lambda: list(fk.simulate(model, counts, seed=1).data.values()),
        "statistics": lambda: [s.target for s in fk.simulate_statistics(model, counts, seed=1).modalities.values()],
        "rates": lambda: exchange.marginal_value(model, counts, "A"),
        "direction": lambda: exchange.marginal_value(model, counts, criteria.c_criterion(np.eye(model.shared_dim)[0])),
        "bought": lambda: allocation.allocate(model, 1.0, budget=10.0, criterion="D", integer=False).value,
        "design": lambda: [model[n].design() for n in names],
        "white": lambda: [model[n].whiten(model[n].shared) for n in names],
    }  # fmt: skip
    answers = {}
    for name, ask in questions.items():
        try:
            answers[name] = ask()
        except (ValueError, RuntimeError, fk.ConditioningWarning) as error:
            answers[name] = f"{type(error).__name__}: {error}"
    return answers


@given(st.data())
def test_a_float32_world_is_the_world_of_the_same_numbers(data):
    drawn = data.draw(models(max_condition=1e3))
    counts = data.draw(counts_for(drawn, minimum=1))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    x = {n: rng.standard_normal((counts[n], drawn[n].obs_dim)).astype(np.float32) for n in drawn.names}
    worlds = []
    for dtype in (np.float32, np.float64):
        try:
            worlds.append(_single(drawn, dtype))
        except ValueError as error:  # noise that float32 rounds to a singular one
            worlds.append(str(error))
    if isinstance(worlds[0], str):
        assert worlds[0] == worlds[1]
        return
    single, double = (
        _answers(world, {n: a.astype(dtype) for n, a in x.items()}, counts)
        for world, dtype in zip(worlds, (np.float32, np.float64), strict=True)
    )
    for name, answer in double.items():
        np.testing.assert_equal(single[name], answer, err_msg=name)
        for array in single[name] if isinstance(single[name], list) else [single[name]]:
            assert not isinstance(array, np.ndarray) or array.dtype == np.float64, name


def test_float32_designs_with_a_confounded_direction():
    """Rank 2 and variances of 6e10 before, where the projected rank is 1 and nothing is estimable."""
    shared = np.array([[1, 2], [4, 5], [7, 8], [2, 1], [1, 1]], dtype=np.float32)
    private = np.array([[3], [6], [9], [0], [1]], dtype=np.float32)
    model = fk.LinearGaussian({"x": fk.Modality(shared, private, noise_std=0.3)})
    assert (fk.cramer_rao(model, 5, np.eye(3)) == np.inf).all()
    assert model["x"].shared.dtype == np.float64
    per_sample = np.stack([np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [2, 1, 0]], dtype=np.float32)] * 5)
    model = fk.LinearGaussian({"x": fk.Modality(per_sample, noise_var=np.array([1, 2, 3, 4], np.float32))})
    assert model["x"].shared.dtype == np.float32  # stored as it came
    variance = fk.cramer_rao(model, 5, np.array([[1.0, 2, 3], [1, 0, 0]]).T)
    np.testing.assert_allclose(variance, [5 / 42, np.inf], rtol=1e-10)


# what the caller does later


def test_what_the_caller_does_to_the_arrays_later_changes_nothing():
    shared, private = np.eye(3), np.ones((3, 1))
    blocks = np.random.default_rng(0).standard_normal((4, 3, 3))
    var, cov, theta = np.array([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 3.0]), np.zeros(3)
    model = fk.LinearGaussian({
        "a": fk.Modality(shared, private, noise_var=var),
        "b": fk.Modality(blocks, noise_cov=cov),
    })
    before = fk.cramer_rao(model, 3, np.eye(4))
    samples = fk.Samples(model, {"a": np.ones((2, 3))}, np.zeros(4))
    for array in (shared, private, blocks, var, cov, theta):
        array[...] = np.nan
    np.testing.assert_array_equal(fk.cramer_rao(model, 3, np.eye(4)), before)
    assert (samples.theta == 0).all()
    for kept in (
        model["a"].shared,
        model["a"].noise_var,
        model["b"].shared,
        model["b"].noise_cov,
        samples.theta,
    ):
        with pytest.raises(ValueError, match="read-only"):
            kept[0] = 1.0


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_read_only_arrays_are_kept_without_a_copy(tmp_path, dtype):
    blocks = np.random.default_rng(0).standard_normal((50, 3, 2)).astype(dtype)
    np.save(tmp_path / "c.npy", blocks)
    mapped = np.load(tmp_path / "c.npy", mmap_mode="r")
    modality = fk.Modality(mapped)
    assert np.shares_memory(modality.shared, mapped)
    again = fk.Modality(modality.shared, modality.private)
    assert np.shares_memory(again.shared, mapped)
    assert not np.shares_memory(fk.Modality(blocks).shared, blocks)
    x = blocks[:, :, 0].astype(np.float64)
    assert fk.Samples(fk.LinearGaussian({"x": modality}), {"x": x})["x"] is x  # observations are not copied


def test_chunks_are_not_copied_to_be_summarised(tmp_path, monkeypatch):
    """A model made for a chunk lives no longer than the chunk does."""
    made = []
    check = fk.Modality.__post_init__

    def spy(self):
        check(self)
        made.append(self.shared)

    monkeypatch.setattr(fk.Modality, "__post_init__", spy)
    design = np.random.default_rng(0).standard_normal((20, 1, 2))
    accumulate_chunks(fk.Layout(2, {"x": 0}), [{"x": (design[:, 0, 0], design)}])
    assert any(np.shares_memory(block, design) for block in made)
    assert design.flags.writeable  # the caller's own array is left as it was
    np.save(tmp_path / "x.npy", design[:, 0, 0])
    np.save(tmp_path / "c.npy", design)
    files = from_npy({"x": (tmp_path / "x.npy", tmp_path / "c.npy")})
    assert accumulate_chunks(fk.Layout(2, {"x": 0}), files).counts == {"x": 20}


# conveniences


def test_theta_is_planted_by_its_blocks():
    model = fk.random_model(2, {"image": 1, "text": 0}, seed=0)
    blocks = {"shared": [1.0, 2.0], "image": [3.0]}
    for draw in (fk.simulate, fk.simulate_statistics):
        assert fk.fit(draw(model, 4, seed=1, theta=blocks)).theta.tolist() == (
            fk.fit(draw(model, 4, seed=1, theta=[1.0, 2.0, 3.0])).theta.tolist()
        )
        with pytest.raises(
            fk.UnknownNameError, match="unknown parameter block 'imgae'; did you mean 'image'"
        ):
            draw(model, 4, seed=1, theta={**blocks, "imgae": [1.0]})
        with pytest.raises(ValueError, match="theta block 'image': expected length 1, got 0"):
            draw(model, 4, seed=1, theta={"shared": [1.0, 2.0]})
    samples = fk.simulate(model, 4, seed=1, theta=blocks)
    assert samples.theta.tolist() == [1.0, 2.0, 3.0]
    assert fk.Samples(model, samples.data, blocks).theta.tolist() == [1.0, 2.0, 3.0]


def test_a_vector_of_standard_deviations_is_a_vector_of_variances_squared():
    std = np.array([0.5, 2.0])
    modality = fk.Modality(EYE, noise_std=std)
    assert modality.noise_std is None
    np.testing.assert_array_equal(modality.noise_var, std**2)
    model, same = (fk.LinearGaussian({"x": m}) for m in (modality, fk.Modality(EYE, noise_var=std**2)))
    np.testing.assert_array_equal(fk.cramer_rao(model, 3, EYE), fk.cramer_rao(same, 3, EYE))
    assert model["x"].noise_key == same["x"].noise_key
    with pytest.raises(ValueError, match=r"noise_std: expected length 2 \(observed coordinates\), got 3"):
        fk.Modality(EYE, noise_std=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="noise_std: entry 1 is -1; must be positive"):
        fk.Modality(EYE, noise_std=[1.0, -1.0])
    with pytest.raises(ValueError, match="noise_std: 1e-160 is out of range"):
        fk.Modality(EYE, noise_std=[1.0, 1e-160])


@pytest.mark.parametrize("level", [1.0, 0.1, 77.3, 1e-12, -3e9])
@pytest.mark.parametrize(
    "fit", [exchange_fit.fit_plane, exchange_fit.fit_power_law, exchange_fit.fit_monotone]
)
def test_a_metric_that_samples_do_not_move_has_no_rate(fit, level):
    n_x, n_y = np.repeat([1, 2, 4, 8, 16], 5), np.tile([0, 1, 4, 16, 64], 5)
    rounding = level * (1 + 1e-16 * np.random.default_rng(0).integers(-3, 4, 25))
    for metric in (np.full(25, level), rounding):
        assert np.isnan(fit(n_x, n_y, metric).rate(1, 1))


@given(st.integers(0, 2**32 - 1), st.floats(-9, 9), st.floats(-3, 3), st.floats(-6, 0))
def test_a_slope_is_not_lost_as_rounding(seed, units, offset, ratio):
    """A plane with slopes far above rounding keeps both, in whatever units and with counts nearly on a line."""
    rng = np.random.default_rng(seed)
    n_x = rng.uniform(1, 100, 12)
    n_y = 3 * n_x + 10.0**ratio * rng.uniform(1, 100, 12)
    slope_x, slope_y = 10.0 ** rng.uniform(-3, 0, 2)
    plane = exchange_fit.fit_plane(n_x, n_y, 10.0**units * (10.0**offset + slope_x * n_x + slope_y * n_y))
    if 10.0**ratio > 1e-4:
        np.testing.assert_allclose(plane.rate(), slope_y / slope_x, rtol=1e-3)
    assert plane.slope_x != 0 or plane.slope_y != 0
