"""The memory study at small size: ways agree, streaming stays flat, outputs are written."""

import csv
import json
import sys

import numpy as np
import pytest

from studies import streaming_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="resets the high-water mark in /proc")


def test_ways_agree_and_only_streaming_stays_flat(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(streaming_memory, "M", 40)
    paths = streaming_memory.write_files(tmp_path, 2_500)
    for way in ("streamed", "loaded"):
        np.testing.assert_allclose(
            streaming_memory.fit(way, paths), streaming_memory.fit("lstsq", paths), rtol=1e-10
        )
    monkeypatch.undo()
    summary = streaming_memory.main(["--quick", "--out", str(tmp_path)])
    assert "streaming fit: at most" in capsys.readouterr().out
    with (tmp_path / "streaming_memory.csv").open() as handle:
        found = list(csv.DictReader(handle))
    extra = {(r["way"], int(r["samples"])): float(r["extra_mb"]) for r in found}
    # files grow from 5 to 53 MB
    assert extra["streamed", 30_000] < extra["streamed", 3_000] + 12
    assert extra["streamed", 30_000] < 20
    assert extra["lstsq", 30_000] > 80
    assert extra["lstsq", 30_000] > 4 * extra["lstsq", 3_000]
    assert (tmp_path / "streaming_memory.png").stat().st_size > 10_000
    stored = json.loads((tmp_path / "streaming_memory.json").read_text())
    assert stored["extra_mb_at_the_largest_size"] == pytest.approx(summary["extra_mb_at_the_largest_size"])


def test_files_repeat_a_pattern(tmp_path):
    observations, shared, private = (np.load(p) for p in streaming_memory.write_files(tmp_path, 1_500))
    assert shared.shape == (1_500, streaming_memory.M, streaming_memory.SHARED)
    for block in (observations, shared, private):
        np.testing.assert_array_equal(block[1_000:], block[:500])
