"""The benchmarks run and the methods they compare agree, at tiny sizes. No test here looks at a time."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from studies.lab.memory import extra_peak

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Import a script by name, as `python benchmarks/...` would find its neighbours."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield import_module
    for name in set(sys.modules) - before:
        if (BENCHMARKS / f"{name}.py").exists():
            del sys.modules[name]


def test_least_squares_methods_agree(benchmark):
    module = benchmark("least_squares")
    methods = module._methods(module.make_samples(60))
    answers = {name: method() for name, method in methods.items()}
    estimates = {name: a[0] if isinstance(a, tuple) else a for name, a in answers.items()}
    assert {"fisherkit", "numpy lstsq", "numpy normal equations"} <= set(estimates)
    for name, estimate in estimates.items():
        np.testing.assert_allclose(estimate, estimates["fisherkit"], rtol=1e-9, err_msg=name)
    if "statsmodels WLS" in answers:
        np.testing.assert_allclose(answers["statsmodels WLS"][1], answers["fisherkit"][1], rtol=1e-10)


def test_samples_beyond_the_pattern_repeat_it(benchmark):
    samples = benchmark("least_squares").make_samples(50, pattern=10)
    x, design = samples["x"], samples.model["x"].shared
    assert x.shape == (25, 50)
    np.testing.assert_array_equal(x[20:], x[:5])
    np.testing.assert_array_equal(design[10:20], design[:10])


def test_memory_is_measured_in_a_process_of_its_own(benchmark):
    result = benchmark("least_squares").memory_in_subprocess("fisherkit", 200, rounds=1)
    assert result["rounds"] == 1
    assert not result["extra_mb"] > 16


@pytest.mark.skipif(sys.platform != "linux", reason="resets the high-water mark of the process in /proc")
def test_extra_peak_sees_an_allocation():
    assert extra_peak(lambda: np.ones(8_000_000).sum()) == pytest.approx(64, abs=8)
    assert extra_peak(lambda: None) < 8


def test_tiled_design_gives_the_same_estimate(benchmark):
    module = benchmark("repeated_design")
    samples = module.make_samples(40)
    design, target = module.tile(samples)
    assert design.shape == (40 * 50, 20)
    np.testing.assert_allclose(
        module.fk.fit(samples).theta, np.linalg.lstsq(design, target, rcond=None)[0], rtol=1e-9
    )


def test_monte_carlo_replicates_have_the_right_distribution(benchmark, capsys):
    module = benchmark("monte_carlo")
    samples = module.make_samples(20)
    module.check_distribution(samples.model, 10, samples.theta, 2_000)
    assert "2,000 estimates" in capsys.readouterr().out
    spread = np.sqrt(module.fk.fit(samples).covariance.diagonal())
    for name, loop in module.data_loops(samples, samples.theta).items():
        drawn = loop(4)
        assert drawn.shape == (4, 20), name
        assert (np.abs(drawn - samples.theta) < 6 * spread).all(), name  # false alarm below 1e-6


def test_wrong_distributions_are_noticed(benchmark, monkeypatch):
    module = benchmark("monte_carlo")
    samples = module.make_samples(20)
    information = module.fk.information
    monkeypatch.setattr(module.fk, "information", lambda model, n: 2 * information(model, n))
    with pytest.raises(AssertionError, match="not distributed"):
        module.check_distribution(samples.model, 10, samples.theta, 500)


def test_ours_keeps_the_digits_that_normal_equations_lose(benchmark):
    row = benchmark("accuracy").errors(1e8)
    assert row["condition"] == pytest.approx(1e8, rel=1e-3)
    assert row["rank"] == 20
    assert row["path"] == row["noisy path"] == "root"
    assert row["fisherkit"] < 1e-8
    assert row["normal equations"] > 1e-4


def test_well_conditioned_noisy_data_take_the_fast_path(benchmark):
    assert benchmark("accuracy").errors(1e2)["noisy path"] == "gram"


def test_disagreeing_answers_are_not_timed(benchmark):
    timing = benchmark("timing")
    with pytest.raises(AssertionError, match=r"estimates: a and b differ by 0\.5"):
        timing.require_equal({"a": np.ones(2) * 2, "b": np.array([2.0, 1.0])}, 1e-10, "estimates")


def test_tables_and_goals_read_well(benchmark, capsys):
    timing = benchmark("timing")
    order = []
    methods = {"ours": lambda: order.append("a"), "theirs": lambda: order.append("b")}
    timings = timing.interleave(methods, 2)
    assert order == ["a", "b"] * 3
    timing.report("a title", timings, notes={"theirs": "scaled"})
    out = capsys.readouterr().out
    assert "a title" in out
    assert "scaled" in out
    assert "MISSED" in str(timing.Goal("times faster", 8.0, 10))
    assert "reached" in str(timing.Goal("memory", 8.0, 10, at_most=True, unit=" MB"))
    assert [timing.seconds(t) for t in (2.0, 0.0125, 3e-6)] == ["2 s", "12.5 ms", "3 us"]


def test_run_prints_machine_versions_and_table(benchmark, capsys):
    missed = benchmark("run").main(("accuracy",), quick=True)
    out = capsys.readouterr().out
    assert missed == 0
    assert "machine: " in out
    assert f"numpy {np.__version__}" in out
    assert "path taken" in out
    assert "goals are not judged" in out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["least_squares", "repeated_design", "monte_carlo"])
def test_benchmark_runs_at_small_size(benchmark, capsys, name):
    benchmark(name).main(quick=True)
    assert "ratio" in capsys.readouterr().out
