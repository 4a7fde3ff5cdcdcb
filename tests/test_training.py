"""Training: row streams, the batched engine against the plain loop, runs that do not disturb each other."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fisherkit.factor import linear_code_error
from neural.autoencoder.runs import Run
from neural.autoencoder.training import train_batched, train_reference
from neural.minibatches import RowStream, torch_generator
from tests.comparators import assert_allclose_report

SMALL = {"adapter_width": 6, "hidden_width": 5, "latent_dim": 2}


def rows_of(n, dim, seed=0):
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))


def make_run(seed=0, counts=None, sizes=None, **options):
    counts = {"x": 40, "y": 30} if counts is None else counts
    dims = {"x": 5, "y": 4, "z": 3}
    data = {name: rows_of(n, dims[name], seed=10 + i) for i, (name, n) in enumerate(counts.items())}
    sizes = dict.fromkeys(counts, 8) if sizes is None else sizes
    held_out = {"far": ("x", rows_of(20, 5, seed=99))}
    return Run(f"run {seed}", data, sizes, seed=seed, validation=held_out, **(SMALL | options))


def assert_same_curve(one, other, **tolerance):
    assert one.eval_steps.tolist() == other.eval_steps.tolist()
    for what in ("losses", "validation"):
        for name, values in getattr(one, what).items():
            assert_allclose_report(getattr(other, what)[name], values, what=f"{what} of {name}", **tolerance)
    for key, value in one.model.named_parameters():
        assert_allclose_report(other.model.get_parameter(key).detach(), value.detach(), what=key, **tolerance)


# ---------------------------------------------------------------- rows


@given(n=st.integers(1, 20), seed=st.integers(0, 2**31), portions=st.lists(st.integers(0, 25), max_size=8))
def test_row_stream_is_a_sequence_of_shuffles_however_it_is_read(n, seed, portions):
    total = sum(portions)
    at_once = RowStream(n, torch_generator(seed, "rows")).take(total)
    stream = RowStream(n, torch_generator(seed, "rows"))
    in_portions = torch.cat([torch.empty(0, dtype=torch.int64), *(stream.take(p) for p in portions)])
    assert torch.equal(at_once, in_portions)
    for start in range(0, total - n + 1, n):
        assert sorted(at_once[start : start + n].tolist()) == list(range(n))


def test_row_order_does_not_depend_on_other_modalities():
    both, alone = make_run().row_streams(), make_run(counts={"x": 40}).row_streams()
    assert torch.equal(both["x"].take(100), alone["x"].take(100))
    equally_long = make_run(counts={"x": 40, "y": 40}).row_streams()
    x, y = (equally_long[name].take(400) for name in "xy")
    assert (x == y).float().mean() < 0.15  # 1/40 expected; unpaired, false alarm below 1e-20


def test_a_stream_needs_rows():
    with pytest.raises(ValueError, match="n: a stream needs at least one row, got 0"):
        RowStream(0, torch_generator(0, "rows"))


# ---------------------------------------------------------------- batched against plain


def mixed_runs():
    """Different budgets, batch sizes, weights, widths, one to three modalities; two runs share their rows."""
    shared = make_run(seed=1)
    return [
        make_run(seed=0),
        shared,
        Run("twin", shared.data, shared.batch_sizes, seed=2, validation=shared.validation, **SMALL),
        make_run(seed=3, counts={"x": 40}),
        make_run(seed=4, counts={"x": 9, "y": 50, "z": 8}, weights={"y": 0.3, "z": 0.0}),
        make_run(seed=5, sizes={"x": 4, "y": 11}),
        make_run(seed=6, hidden_width=9),
    ]


def test_batched_curves_are_those_of_the_plain_loop(device):
    how = {"steps": 130, "eval_steps": [0, 1, 60, 130], "dtype": torch.float64}
    runs = mixed_runs()
    for run, curve in zip(runs, train_batched(runs, device=device, **how), strict=True):
        assert curve.name == run.name
        assert_same_curve(train_reference(run, **how), curve, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("chunk", [1, 2, 16])
def test_a_run_does_not_depend_on_its_company(device, chunk):
    runs = [make_run(seed=s) for s in range(5)]
    how = {"steps": 120, "eval_steps": [50, 120], "device": device}
    together = train_batched(runs, **how)
    parts = train_batched(runs[::-1], chunk=chunk, **how)[::-1]
    for one, other in zip(together, parts, strict=True):
        # a few float32 roundings, grown over 120 steps
        assert_same_curve(one, other, rtol=1e-4, atol=1e-5)


def test_a_weightless_modality_changes_nothing():
    how = {"steps": 80, "eval_steps": [80], "dtype": torch.float64}
    alone, joined = train_batched(
        [make_run(seed=7, counts={"x": 40}), make_run(seed=7, weights={"y": 0.0})], **how
    )
    assert_allclose_report(joined.losses["x"], alone.losses["x"], rtol=1e-9)
    assert_allclose_report(joined.validation["far"], alone.validation["far"], rtol=1e-9)


def test_the_other_modality_reaches_x_through_the_trunk():
    alone, joined = train_batched([make_run(seed=7, counts={"x": 40}), make_run(seed=7)], steps=30)
    assert joined.losses["x"][0] == pytest.approx(alone.losses["x"][0], rel=1e-6)  # same start, same rows
    assert abs(joined.losses["x"][-1] / alone.losses["x"][-1] - 1) > 1e-4


def test_training_reaches_the_best_linear_code():
    root = np.random.default_rng(0).standard_normal((6, 2))
    covariance = root @ root.T + 0.04 * np.eye(6)
    rng = np.random.default_rng(1)
    rows = torch.as_tensor(rng.multivariate_normal(np.zeros(6), covariance, 3000)).float()
    held_out = {"same law": ("x", rows[2000:])}
    run = Run("x", {"x": rows[:2000]}, {"x": 64}, seed=0, validation=held_out, latent_dim=2, hidden_width=32)
    (curve,) = train_batched([run], steps=1500, eval_steps=[0, 1500])
    start, end = curve.validation["same law"]
    best = linear_code_error(covariance, 2)
    assert start > 10 * best
    assert 0.9 * best < end < 1.5 * best


def test_progress_counts_every_step_of_every_run():
    done = []
    train_batched(
        [make_run(seed=s) for s in range(3)], steps=150, eval_steps=[20], chunk=2, progress=done.append
    )
    assert sum(done) == 3 * 150


def test_global_random_state_is_left_alone():
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    train_batched([make_run()], steps=2)
    train_reference(make_run(), steps=2)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("train", [train_reference, lambda run, **how: train_batched([run], **how)])
def test_divergence_names_run_and_step(train):
    run = make_run(seed=3, counts={"x": 40})
    wild = Run("wild", {"x": 1e25 * run.data["x"]}, {"x": 8}, seed=0, **SMALL)
    with pytest.raises(FloatingPointError, match=r"run 'wild': loss of 'x' is not finite at step 0; lower"):
        train(wild, steps=3)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"batch_sizes": {"x": 41}}, ValueError, "must be between 1 and its 40 training rows, got 41"),
        ({"batch_sizes": {"x": 0}}, ValueError, "must be between 1 and its 40 training rows, got 0"),
        ({"batch_sizes": {}}, ValueError, "batch size of 'x' must be between 1 and its 40.*got None"),
        ({"batch_sizes": {"x": 8, "xx": 8}}, KeyError, "run 'r': 'xx'; did you mean 'x'"),
        ({"weights": {"y": 1.0}}, KeyError, "unknown modality in run 'r': 'y'"),
        ({"weights": {"x": -1.0}}, ValueError, "loss weight of 'x' must be >= 0, got -1.0"),
        ({"weights": {"x": float("nan")}}, ValueError, "loss weight of 'x' must be >= 0, got nan"),
        ({"data": {"x": np.zeros((40, 5))}}, TypeError, "data of 'x': expected a floating-point tensor, got nd"),
        ({"data": {"x": torch.zeros(40, 5, dtype=torch.int64)}}, TypeError, "floating-point tensor, got torch.int64"),
        ({"data": {"x": torch.zeros(0, 5)}}, ValueError, r"expected shape \(n, m\) with n >= 1, got \(0, 5\)"),
        ({"data": {}}, ValueError, "run 'r': data: no modality given; pass"),
        ({"seed": -1}, ValueError, "run 'r': seed must be a whole number >= 0, got -1"),
        ({"hidden_width": 0}, ValueError, "hidden_width: must be a whole number >= 1, got 0"),
        (
            {"data": {"x": torch.tensor([[0.0, 1.0], [2.0, float("nan")]] * 20)}},
            ValueError,
            "data of 'x': not finite at row 1, column 1; remove or impute",
        ),
        ({"validation": {"v": ("x", torch.zeros(3, 4))}}, ValueError, "set 'v': 4 columns, but 'x' has 5"),
        ({"validation": {"v": ("y", torch.zeros(3, 5))}}, KeyError, "unknown modality in run 'r': 'y'"),
    ],
)  # fmt: skip
def test_bad_runs_are_refused(change, error, text):
    given_ = {"name": "r", "data": {"x": rows_of(40, 5)}, "batch_sizes": {"x": 8}, "seed": 0} | change
    with pytest.raises(error, match=text):
        Run(**given_).architecture  # noqa: B018


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"steps": 0}, "steps: must be a whole number >= 1, got 0"),
        ({"steps": 10, "eval_steps": [11]}, r"eval_steps: must lie in 0..10 \(steps\), got 11..11"),
        ({"steps": 10, "chunk": 0}, "chunk: must be at least 1, got 0"),
    ],
)
def test_bad_options_are_refused(how, text):
    with pytest.raises(ValueError, match=text):
        train_batched([make_run()], **how)
