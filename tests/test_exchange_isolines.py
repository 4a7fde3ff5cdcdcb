"""The exchange study: predictions against Monte Carlo, points that do not depend on each other, written outputs."""

import json

import numpy as np
import pandas as pd
import pytest

from fisherkit.criteria import a_criterion
from fisherkit.levels import CountCriterion
from studies import exchange_isolines as numbers


def inside(rows):
    return sum(row["low"] <= row["predicted"] <= row["high"] for row in rows)


def test_measured_points_lie_on_the_predicted_isolines_and_rates():
    lines, levels = numbers.level_rows(4_000)
    rows = [*levels, *numbers.noise_rows(4_000), *numbers.overlap_rows(4_000), *numbers.frontier_rows(1_000)]
    # binomial(55, 0.95): fewer than 44 with probability 2e-5
    assert len(rows) == 55
    assert inside(rows) >= 44
    assert all(row["certified_gap"] <= 1e-6 for row in rows if row["panel"] == "frontier")
    assert lines[0].level == pytest.approx(4 * lines[1].level)


def test_a_point_does_not_depend_on_which_others_are_computed(monkeypatch):
    rows = numbers.overlap_rows(100)
    monkeypatch.setattr(numbers, "OVERLAPS", (60.0,))
    assert numbers.overlap_rows(100) == [row for row in rows if row["setting"] == 60.0]


def test_confounded_modality_is_worth_nothing_and_the_law_is_sine_squared():
    for row in numbers.overlap_rows(50):
        assert row["predicted"] == pytest.approx(np.sin(np.deg2rad(row["setting"])) ** 2, abs=1e-12)
        assert row["plain_block"] == pytest.approx(1.0)


def test_rate_falls_with_the_noise_variance():
    predicted = {(row["asked"], row["setting"]): row["predicted"] for row in numbers.noise_rows(50)}
    for asked in ("one coordinate", "all coordinates"):
        scaled = [rate * ratio**2 for (label, ratio), rate in predicted.items() if label == asked]
        np.testing.assert_allclose(scaled, scaled[0], rtol=1e-9)


def test_each_modality_alone_never_reaches_an_angle_isoline():
    for angle, line in numbers.angle_isolines().items():
        assert np.isinf([line.x_intercept, line.y_intercept]).all()
        # closed form of two lines at an angle: 0.02 = (1/n_x + 1/n_y) / sin^2, so 50 / sin^2 of each are needed
        assert line.minimum["x"] == pytest.approx(50 / np.sin(np.deg2rad(angle)) ** 2, rel=1e-9)
        np.testing.assert_allclose(
            (1 / line.n_x + 1 / line.n_y) / np.sin(np.deg2rad(angle)) ** 2, 0.02, rtol=1e-9
        )


def test_no_way_of_spending_beats_the_optimum():
    for row in numbers.price_rows():
        assert min(row[arm] for arm in ("x only", "y only", "as many of each")) >= 1 - 1e-6
        assert 0 <= row["share_spent_on_y"] <= 1 + 1e-9
    shares, values, best = numbers.share_grid(12)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert values.min() >= 1 - 1e-6
    assert np.isinf(values[shares.max(axis=1) == 1]).sum() == 2  # text alone sees all three parameters
    best_value = CountCriterion(numbers.three_modalities(), a_criterion()).value(best.counts)
    assert best_value == pytest.approx(best.value, rel=1e-9)


def test_power_law_finds_the_true_rate_and_the_plane_is_told_that_it_is_bent():
    rates, tests = numbers.fitted_rates(60, seed=1)
    # one 95% interval; widened fourfold it misses with probability far below 1e-6
    spread = rates["power law"].high - rates["power law"].low
    assert abs(rates["power law"].estimate - numbers.TRUE_RATE) < 2 * spread
    assert tests["plane"].rejected
    assert tests["plane"].p_value < 1e-6
    assert tests["power law"].p_value > 1e-5  # false alarm 1e-5


def test_script_writes_figure_rows_and_summary(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(numbers, "BUDGETS", numbers.BUDGETS[:2])
    numbers.main(["--quick", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "Fisher prediction" in printed
    assert "1 x = " in printed
    assert (tmp_path / "exchange_isolines.png").stat().st_size > 50_000
    rows = pd.read_csv(tmp_path / "exchange_isolines.csv")
    assert set(rows.panel) == {"levels", "noise", "overlap", "frontier"}
    summary = json.loads((tmp_path / "exchange_isolines.json").read_text())
    assert summary["largest_certified_gap"] <= 1e-6
    assert summary["provenance"]["versions"]["fisherkit"]
