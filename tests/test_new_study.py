"""The page on writing a study: its program runs as printed, is short, and says what its rows say."""

import json
import re
import runpy
from pathlib import Path

import pandas as pd
from scipy import stats

PAGE = Path(__file__).resolve().parent.parent / "docs" / "new_study.md"


def test_the_page_builds_a_study_in_under_sixty_lines(tmp_path):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(program.splitlines()) < 60
    script = tmp_path / "studies" / "right_text.py"
    script.parent.mkdir()
    script.write_text(program)
    main = runpy.run_path(str(script))["main"]
    places = ["--out", str(tmp_path), "--runs", str(tmp_path / "runs")]
    summary = main(["--quick", "--seeds", "2", *places])
    rows = pd.read_csv(tmp_path / "right_text.csv", dtype={"shots": str})
    assert set(rows["arm"]) == {"unimodal", "matched", "uml", "uml_permuted"}
    assert set(rows["shots"]) == {"1", "4"}
    kept = json.loads((tmp_path / "right_text.json").read_text())["gains"]
    for arm in ("uml", "uml_permuted"):
        for shots in ("1", "4"):
            some = rows[rows["shots"] == shots].sort_values("seed")
            a, b = (100 * some[some["arm"] == name]["accuracy_test"].to_numpy() for name in (arm, "matched"))
            low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
            gain = kept[arm][shots]
            assert abs(gain["estimate"] - (a - b).mean()) < 1e-9
            assert abs(gain["low"] - low) + abs(gain["high"] - high) < 1e-6
    assert (tmp_path / "right_text.png").stat().st_size > 10_000
    assert "UML, permuted" in (tmp_path / "right_text.md").read_text()
    again = main(["--quick", "--seeds", "2", *places])
    assert again["provenance"]["cells_computed_now"] == 0
    assert again["gains"] == summary["gains"]
