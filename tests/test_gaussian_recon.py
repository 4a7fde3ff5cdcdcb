"""The Gaussian reconstruction study: its arms, seeds and numbers, and that a killed run resumes to the same digits."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fisherkit.factor import linear_code_error
from neural.results.cells import cell_key
from neural.results.intervals import Interval
from studies import gaussian_recon
from studies.gaussian_recon import verdict
from studies.lab.finding import findings_of
from studies.lab.gaussian_cells import ARMS, Plan, exchange_rate, fisher_numbers, make_run, world

ROOT = Path(__file__).resolve().parent.parent
TINY = ["--quick", "--seeds", "2", "--steps", "100", "--batch", "16"]


# ---------------------------------------------------------------- plan


@given(batch=st.integers(1, 2500).map(lambda b: 2 * b), quick=st.booleans(), seed=st.integers(0, 3))
def test_arms_differ_in_what_their_names_say(batch, quick, seed):
    plan = Plan(quick=quick, batch=batch)
    cells = {arm: plan.cell(arm, seed) for arm in ARMS}
    total = {arm: sum(cell["counts"].values()) for arm, cell in cells.items()}
    rows = {arm: sum(cell["rows"].values()) for arm, cell in cells.items()}
    assert total == {"x": 10_000, "x half": 5_000, "x 2b": 10_000, "uml": 10_000, "uml 2b": 10_000}
    assert rows["x"] == rows["x half"] == rows["uml"] == batch
    assert rows["x 2b"] == rows["uml 2b"] == 2 * batch
    assert cells["uml"]["counts"]["x"] == cells["x half"]["counts"]["x"] == 5_000
    assert len({cell_key(cell) for cell in cells.values()}) == len(ARMS)


def test_every_cell_is_planned_once_and_can_be_trained():
    for plan in (Plan(quick=True), Plan(quick=False), Plan(quick=False, batch=512)):
        cells = plan.cells()
        assert len({cell_key(cell) for cell in cells}) == len(cells)
        assert all(1 <= cell["rows"][k] <= n for cell in cells for k, n in cell["counts"].items())
    assert min(plan.budgets) == 500
    assert max(plan.budgets) == 20_000
    needed = {
        cell_key(plan.cell("x", s, budget=n // k)) for s in range(8) for n in plan.budgets for k in (1, 2)
    }
    assert needed <= {cell_key(cell) for cell in plan.cells()}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"seeds": 1}, "--seeds: intervals need at least 2 paired repetitions, got 1"),
        ({"batch": 7}, "--batch: must be even and between 2 and 5000, half the budget; got 7"),
        ({"batch": 6000}, "--batch: must be even and between 2 and 5000, half the budget; got 6000"),
        ({"steps": 20}, "--steps: the curves start at step 50; give at least 100, got 20"),
    ],
)
def test_bad_options_are_refused(options, text, capsys):
    with pytest.raises(ValueError, match=text):
        Plan(quick=True, **options)
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    with pytest.raises(SystemExit, match="2"):
        gaussian_recon.main(["--quick", *flags])
    assert text in capsys.readouterr().err


def test_a_device_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        gaussian_recon.main(["--quick", "--device", "nosuch"])
    assert "device" in capsys.readouterr().err


# ---------------------------------------------------------------- data and seeds


def test_arms_of_one_seed_share_rows_weights_and_order():
    plan = Plan(quick=True)
    x, half, uml = (make_run(plan.cell(arm, 1)) for arm in ("x", "x half", "uml"))
    assert torch.equal(x.data["x"][:5000], half.data["x"])
    assert torch.equal(half.data["x"], uml.data["x"])
    assert x.seed == half.seed == uml.seed
    for kind in ("full", "attenuated"):
        assert torch.equal(x.validation[kind][1], uml.validation[kind][1])
    assert torch.equal(half.row_streams()["x"].take(300), uml.row_streams()["x"].take(300))
    other = make_run(plan.cell("x", 2))
    assert other.seed != x.seed
    assert not torch.equal(other.data["x"], x.data["x"])


def test_validation_has_the_training_loadings_and_is_not_attenuated():
    run = make_run(Plan(quick=True).cell("uml", 0))
    loadings = world(0, False)
    for kind, attenuated in (("full", False), ("attenuated", True)):
        rows = run.validation[kind][1].double().numpy()
        expected = loadings["x"].covariance(attenuated=attenuated)
        # mean square of 2,000 draws of N(0, S): relative spread sqrt(2 tr S^2) / (tr S sqrt(2000)); z of 5: 6e-7
        spread = np.sqrt(2 * np.square(expected).sum() / 2000)
        assert abs(np.square(rows).sum(axis=1).mean() - np.trace(expected)) < 5 * spread
    train = run.data["x"].double().numpy()
    assert np.square(train).sum(axis=1).mean() < 0.7 * np.trace(loadings["x"].covariance(attenuated=False))


def test_training_rows_are_unpaired_and_not_the_validation_rows():
    run = make_run(Plan(quick=True).cell("uml", 0))
    x, y = (run.data[name].double().numpy() for name in "xy")
    correlation = np.corrcoef(x.T, y.T)[:50, 50:]
    # 2,500 correlations of 5,000 independent pairs: |r| > 6 / sqrt(5000) has probability below 1e-5
    assert np.abs(correlation).max() < 6 / np.sqrt(len(x))
    assert not set(run.validation["attenuated"][1][:, 0].tolist()) & set(run.data["x"][:, 0].tolist())


# ---------------------------------------------------------------- numbers


@given(rate=st.floats(-0.9, 1.0), exponent=st.floats(0.3, 2.0), seed=st.integers(0, 2**31))
def test_exchange_rate_of_a_power_law_is_recovered(rate, exponent, seed):
    counts = [250, 500, 1000, 2000, 4000]
    level = np.exp(
        np.random.default_rng(seed).normal(0, 0.3, 4)
    )  # worlds differ in scale: the paired ratio does not
    x_only = level[:, None] * np.power(counts, -exponent)
    uml = level * (1000 + 1000 * rate) ** -exponent
    if 1000 + 1000 * rate >= 250:
        found, why = exchange_rate(1000, 1000, uml, counts, x_only)
        assert found == pytest.approx(rate, abs=1e-5)
        assert why.startswith("between ")
    else:
        assert exchange_rate(1000, 1000, uml, counts, x_only)[1].endswith("above the x-only curve")


def test_exchange_rate_is_not_defined_where_more_x_would_not_help():
    rng = np.random.default_rng(0)
    flat = 2 + 0.1 * rng.standard_normal((6, 3))
    middle = np.full(6, np.exp(np.log(flat).mean()))
    rate, why = exchange_rate(100, 100, middle, [100, 200, 400], flat)
    assert rate is None
    assert why.startswith("not defined")
    rate, why = exchange_rate(100, 100, np.full(6, 0.1), [100, 200, 400], flat)
    assert (rate, why) == (None, "not defined: UML's error is below the x-only curve")


def test_verdict_covers_every_mark_once():
    marks = [1, 2, 3]
    ratios = [Interval(1.5, 1.2, 1.9, 4), Interval(0.5, 0.4, 0.6, 4), Interval(1, 0.9, 1.1, 4)]
    assert verdict(marks, ratios) == "holds at steps 2; undecided at 3; reversed at 1"


def test_y_carries_no_information_about_the_loadings_of_x_unless_they_are_tied():
    numbers = fisher_numbers(world(0, False), 100)
    assert numbers["trace_y_separate"] == 0.0
    assert numbers["loadings"] == 750
    assert numbers["rank_x"] == 750 - 15 * 14 // 2  # loadings are known up to a rotation of 15 latents
    assert numbers["trace_y_tied"] > 0
    assert numbers["rank_both_tied"] > numbers["rank_x"]


# ---------------------------------------------------------------- the script


def run_tiny(folder, *more):
    return gaussian_recon.main([*TINY, "--out", str(folder), "--runs", str(folder / "runs"), *more])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return folder, run_tiny(folder)


def test_study_writes_figure_rows_and_summary(finished):
    folder, summary = finished
    assert (folder / "gaussian_recon.png").stat().st_size > 50_000
    with (folder / "gaussian_recon.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    plan = Plan(quick=True, seeds=2, steps=100, batch=16)
    assert len(rows) == len(plan.cells()) * len(plan.eval_steps)
    stored = json.loads((folder / "gaussian_recon.json").read_text())
    assert stored["provenance"]["config"]["seeds"] == 2
    assert stored["fisher"]["trace_y_separate"] == 0.0
    assert stored["published"] is None
    mse = [
        float(r["mse_x_full"]) for r in rows if r["seed"] == "0" and r["key"] == cell_key(plan.cell("x", 0))
    ]
    worlds = [world(s, False) for s in range(2)]
    codes = [linear_code_error(w["x"].covariance(attenuated=False), 10) for w in worlds]
    assert summary["floors"]["best"] == pytest.approx(np.sqrt(codes[0] * codes[1]))
    assert mse[-1] < mse[0]


def test_printed_ratio_is_the_geometric_mean_over_paired_seeds(finished):
    folder, summary = finished
    with (folder / "gaussian_recon.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    plan = Plan(quick=True, seeds=2, steps=100, batch=16)
    end = {r["key"]: float(r["mse_x_full"]) for r in rows if r["step"] == "100"}
    logs = [np.log(end[cell_key(plan.cell("uml", s))] / end[cell_key(plan.cell("x", s))]) for s in range(2)]
    assert summary["ratios"]["uml / x"][-1].estimate == pytest.approx(np.exp(np.mean(logs)), rel=1e-4)


def test_findings_rest_on_the_ratio_at_every_step_mark(finished):
    folder, summary = finished
    stored = json.loads((folder / "gaussian_recon.json").read_text())
    found = findings_of(stored["findings"])[("Figure", 37)]
    assert [entry.estimate for entry in found.evidence] == [r.estimate for r in summary["ratios"]["uml / x"]]
    words = [entry.verdict.replace("fails", "reversed") for entry in found.evidence]
    assert words == stored["verdict_words"]["uml / x"]
    assert found.holds == stored["verdicts"]["uml / x"]


def test_finished_study_is_not_trained_again(finished, tmp_path, capsys):
    folder, _ = finished
    summary = gaussian_recon.main([*TINY, "--out", str(tmp_path), "--runs", str(folder / "runs")])
    assert summary["provenance"]["cells_computed_now"] == 0
    assert "0 cells trained" in capsys.readouterr().out
    for name in ("gaussian_recon.csv", "gaussian_recon.png"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_killed_study_resumes_to_the_same_rows(finished, tmp_path):
    folder, summary = finished
    command = [sys.executable, str(ROOT / "studies" / "gaussian_recon.py"), *TINY]
    command += ["--out", str(tmp_path), "--runs", str(tmp_path / "runs")]
    environment = os.environ | {"MPLBACKEND": "Agg"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment
    )
    cells = tmp_path / "runs" / "gaussian_recon.jsonl"
    deadline = time.monotonic() + 120
    while not cells.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = len(cells.read_text().splitlines())
    resumed = run_tiny(tmp_path)
    assert 1 <= stored
    assert resumed["provenance"]["cells_computed_now"] == summary["provenance"]["cells_in_all"] - stored
    settings = {
        "key",
        "x_samples",
        "y_samples",
        "x_rows_per_step",
        "y_rows_per_step",
        "hidden_width",
        "seed",
        "step",
    }
    with (folder / "gaussian_recon.csv").open() as one, (tmp_path / "gaussian_recon.csv").open() as other:
        for expected, row in zip(csv.DictReader(one), csv.DictReader(other), strict=True):
            assert {k: v for k, v in row.items() if k in settings} == {
                k: v for k, v in expected.items() if k in settings
            }
            for name in ("mse_x_full", "mse_x_attenuated"):  # rounding at most: other threads, other groups
                assert float(row[name]) == pytest.approx(float(expected[name]), rel=1e-3)
