"""The data sheets: sizes as the tasks have them, printed values digit for digit, what is found on disk, legible output."""

import json
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from neural.fewshot.presets import PRESETS
from neural.heads.runs import Schedule
from neural.worlds import glyphs as glyph_source
from neural.worlds.glyph_classes import GlyphClasses
from neural.worlds.glyph_names import fine_texts
from neural.worlds.glyphs import GlyphSettings, glyphs
from studies import data_sheets
from studies.lab.page import print_style
from studies.published.numbers import published
from tests.dataset_builders import build, build_digits
from tests.test_schematics import assert_legible

TINY = GlyphSettings(n_classes=3, steps=2, batch=4, train=4, val=3, test=2, corpus=600, text_features=8)


@pytest.fixture(scope="module")
def sizes():
    """Table 3 without a data root."""
    return pd.DataFrame(data_sheets.size_rows({}), dtype=object)


def test_sizes_from_settings_are_those_of_the_task(monkeypatch):
    classes = GlyphClasses(tuple("êßЖ"), tuple("abcd"), 7, {})
    monkeypatch.setattr(glyph_source, "choose_classes", lambda *_, **__: classes)
    task = glyphs("fine", TINY, seed=0)
    assert data_sheets.glyph_sizes(TINY) == data_sheets.task_sizes(task)
    assert data_sheets.glyph_sizes(TINY)["auxiliary"] == "24 text"
    assert data_sheets.glyph_sizes(replace(TINY, val=5))["val"] == 15


def test_printed_sizes_stand_beside_the_tasks(sizes):
    rows, entries = sizes, sizes.set_index(["row", "column"])
    assert entries.loc[("OxfordPets", "train"), "published"] == 2944
    assert entries.loc[("ImageNet", "train"), "published"] == "1.28M"
    assert entries.loc[("ImageNet", "val"), "published"] == "N/A"
    assert entries.loc[("digits", "train"), "ours"] == 1079
    assert not rows.differs.any()
    assert "on disk" not in set(rows.column)
    printed = rows[rows.published.notna()]
    assert len(printed) == 4 * len(published(3))
    assert printed.ours.isna().all()  # nothing is on disk


def test_what_is_found_on_disk_is_compared(tmp_path, monkeypatch):
    build(tmp_path, "dtd")
    build(tmp_path, "oxford_pets")
    build(tmp_path, "imagenet")
    build_digits(tmp_path)
    found = data_sheets.find_data_sets(tmp_path)
    rows = pd.DataFrame(data_sheets.size_rows(found), dtype=object)
    entries = rows.set_index(["row", "column"])
    assert entries.loc[("DTD", "train"), "ours"] == 10
    assert entries.loc[("DTD", "train"), "differs"]
    assert entries.loc[("DTD", "on disk"), "ours"] == "different"
    assert entries.loc[("ImageNet", "train"), "ours"] == 32
    assert not entries.loc[("ImageNet", "train"), "differs"]  # 1.28M is no exact number
    assert entries.loc[("ImageNet", "test"), "differs"]
    assert entries.loc[("UCF101", "on disk"), "ours"] == "missing"
    assert entries.loc[("digits", "auxiliary"), "ours"] == "100 text, 40 speech"
    assert "10 (2,820 printed)" in data_sheets.as_markdown(rows)
    sized_alike = published(3).assign(classes=3, train=15, val=12, test=9)
    monkeypatch.setattr(
        data_sheets, "published", lambda table: sized_alike if table == 3 else published(table)
    )
    entries = pd.DataFrame(data_sheets.size_rows(found), dtype=object).set_index(["row", "column"])
    assert entries.loc[("OxfordPets", "on disk"), "ours"] == "different, counts as printed"


def test_folders_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"^--data .*nowhere: no such folder; give the one that holds"):
        data_sheets.main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path)])


def test_every_sentence_of_a_class_and_every_printed_one():
    rows = data_sheets.sentence_rows()
    ours = [row for row in rows if row["ours"]]
    assert [row["ours"] for row in ours if row["row"].startswith("ß")] == fine_texts("ß")
    assert [row["published"] for row in rows if row["published"]] == published(4).example.tolist()
    assert len(rows) == len(ours) + len(published(4))


def test_the_paper_preset_is_table_5(monkeypatch):
    rows = pd.DataFrame(data_sheets.grid_rows())
    assert not rows.differs.any()
    assert set(published(5).hyperparameter) < set(rows.row)
    preset = PRESETS["paper"]
    wrong = replace(preset, schedule=replace(preset.schedule, iterations=12_801))
    monkeypatch.setitem(PRESETS, "paper", wrong)
    assert [row["row"] for row in data_sheets.grid_rows() if row["differs"]] == ["Max iterations"]


def test_schedule_is_what_the_grid_says_in_words():
    schedule, rate = Schedule(iterations=1050, warmup=50), 1e-3
    words = data_sheets.grid_of(replace(PRESETS["paper"], schedule=schedule))
    assert (words["Warmup type"], words["LR scheduler"]) == ("linear", "cosine")
    assert schedule.rate(0, rate) == float(words["Warmup min LR"])
    assert schedule.rate(25, rate) == pytest.approx((schedule.rate(0, rate) + rate) / 2)
    assert schedule.rate(550, rate) == pytest.approx(rate / 2)  # cosine: half of it half-way


def test_figure_is_legible(sizes):
    with print_style():
        page = data_sheets.draw(sizes)
        assert_legible(page.figure)
        plt.close(page.figure)
    assert len(page.rows) == 4 * len(data_sheets.CHARACTERS)


def test_script_writes_figure_rows_table_and_summary(tmp_path, capsys):
    summary = data_sheets.main(["--quick", "--out", str(tmp_path)])
    assert (tmp_path / "data_sheets.png").stat().st_size > 100_000
    rows = pd.read_csv(tmp_path / "data_sheets.csv", keep_default_na=False)
    assert list(rows.columns) == ["table", "row", "column", "ours", "published"]
    assert summary["entries"] == {
        f"Table {number}": int((rows.table == number).sum()) for number in (3, 4, 5)
    }
    text = (tmp_path / "data_sheets.md").read_text()
    assert "| Learning rate | {0.001, 1e-4} |" in text
    assert len(re.findall(r"^## Table", text, re.MULTILINE)) == 3
    assert json.loads((tmp_path / "data_sheets.json").read_text()) == summary
    assert summary["differences"] == []
    assert "differ from the printed ones (no --data given): none" in capsys.readouterr().out
