"""The study's own claims: predictions against Monte Carlo, cells that do not depend on each other, written outputs."""

import json

import numpy as np
import pandas as pd
import pytest

import fisherkit as fk
from studies import information_gain
from studies.lab.known_loadings import known_loading_world


def test_measured_exchange_rate_is_the_fisher_prediction():
    rows = information_gain.exchange_rows(2_000)
    inside = ((rows.low <= rows.predicted) & (rows.predicted <= rows.high)).sum()
    # binomial(36, 0.95): fewer than 28 with probability 1e-4
    assert len(rows) == 36
    assert inside >= 28


def test_predicted_rate_is_the_number_of_x_samples_that_gives_the_same_variance():
    row = information_gain.exchange_rows(100).iloc[7]
    world = known_loading_world(row.attenuation, row.noise_y)
    v = np.eye(world.n_params)[int(row.direction)]
    n_y = max(1, round(information_gain.N_X * row.attenuation**2))
    joint = fk.cramer_rao(world, {"x": information_gain.N_X, "y": n_y}, v)
    more = information_gain.N_X + row.predicted * n_y
    assert fk.cramer_rao(world, {"x": 10**6}, v) * 10**6 / more == pytest.approx(joint, rel=1e-9)


def test_script_writes_figure_rows_and_summary(tmp_path, capsys):
    information_gain.main(["--quick", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "inside the 95% interval for exchange" in printed
    assert (tmp_path / "information_gain.png").stat().st_size > 10_000
    rows = pd.read_csv(tmp_path / "information_gain.csv")
    assert set(rows.panel) == {"variance", "exchange"}
    summary = json.loads((tmp_path / "information_gain.json").read_text())
    assert summary["inside_95_percent_interval"]["variance"][1] == 18
    assert summary["provenance"]["versions"]["fisherkit"]
