"""The gallery: a row for each figure and table, made from files that are there, with numbers that the rows support."""

import re
import shutil

import pandas as pd
import pytest

from neural.results.intervals import paired_difference
from neural.results.text import gain_text
from studies.lab.finding import VERDICTS
from studies.lab.options import FIGURES as FOLDER
from studies.lab.options import ROOT
from studies.paper.exhibits import EXHIBITS, FIGURES, TABLES
from studies.paper.gallery import (
    as_index,
    as_markdown,
    explanations,
    findings,
    heading,
    refresh,
    results,
    write_gallery,
)
from studies.paper.jobs import JOBS
from studies.published.numbers import FOLDER as PUBLISHED

PAGE = FOLDER / "README.md"
BY_NAME = {job.name: job for job in JOBS}


@pytest.fixture(scope="module")
def shown():
    return {result.job.name: result for result in results(FOLDER)}


# ---------------------------------------------------------------- complete


def test_the_list_of_exhibits_covers_the_paper_and_agrees_with_the_runs():
    assert list(EXHIBITS) == [("Figure", n) for n in FIGURES] + [("Table", n) for n in TABLES]
    for exhibit in EXHIBITS.values():
        assert BY_NAME[exhibit.job].script == f"{exhibit.study}.py"
        assert exhibit.title
        assert not exhibit.published or (PUBLISHED / exhibit.published).exists()
        assert exhibit.claim or exhibit.study in {"schematics", "data_sheets"}
    assert all(job.differs.endswith(".") for job in JOBS)


def test_every_table_and_every_figure_with_a_number_names_its_published_source():
    assert all(EXHIBITS["Table", n].published == f"table_{n:02d}.csv" for n in TABLES)
    printed = set(pd.read_csv(PUBLISHED / "figures.csv")["figure"])
    assert {n for n in FIGURES if EXHIBITS["Figure", n].published} == printed


def test_every_row_has_its_script_picture_and_csv(shown):
    assert list(shown) == [job.name for job in JOBS]
    for result in shown.values():
        assert (ROOT / "studies" / result.job.script).exists()
        assert result.pictures
        assert result.tables
        for name in (*result.pictures, *result.tables):
            assert (FOLDER / name).stat().st_size > 100, name
    rows = [(row.exhibit.kind, row.exhibit.number) for result in shown.values() for row in result.rows]
    assert sorted(rows) == sorted(EXHIBITS)
    assert {row.finding.verdict for e in shown.values() for row in e.rows} <= set(VERDICTS)


def test_the_page_has_one_row_for_each_figure_and_table():
    text = PAGE.read_text(encoding="utf-8")
    for kind, number in EXHIBITS:
        assert len(re.findall(rf"^\| \*\*{kind} {number}\*\*", text, flags=re.MULTILINE)) == 1, (kind, number)
    for job in JOBS:
        assert f"## {heading(job)}\n" in text


def test_the_page_agrees_with_the_files_beside_it(tmp_path, shown):
    text = PAGE.read_text(encoding="utf-8")
    for result in shown.values():
        assert as_markdown(result) in text, result.job.name
    assert as_index(list(shown.values())) in text


def test_links_of_the_index_lead_to_headings(shown):
    anchors = set(re.findall(r"\]\(#([^)]+)\)", as_index(list(shown.values()))))
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
    assert len(anchors) == len(JOBS)
    assert anchors <= made


def test_full_runs_only(shown):
    """What is stored was not made by --quick."""
    for result in shown.values():
        assert "--quick" not in result.command, result.command
        assert result.job.command == result.command


# ---------------------------------------------------------------- numbers come from the rows


def paired(rows, column, treated, control, scale=100.0):
    """Mean difference of two conditions over seeds, from the rows of the CSV file."""

    def values(which):
        chosen = rows
        for name, value in which.items():
            chosen = chosen[chosen[name].isna() if value is None else chosen[name].eq(value)]
        chosen = chosen.sort_values("seed")
        assert chosen["seed"].is_unique, which
        assert len(chosen) > 1, which
        return scale * chosen[column].to_numpy()

    return paired_difference(values(treated), values(control))


def test_few_shot_and_robustness_rows_follow_from_their_csv(shown):
    for name, tests in (
        ("image_text_fewshot_glyphs", ["test"]),
        ("robustness_glyphs", ["stix", "bold", "noise", "blur"]),
    ):
        rows = pd.read_csv(FOLDER / f"{name}.csv")
        for row in shown[name].rows:
            k = (
                {10: 1, 11: 2, 12: 4, 13: 8, 5: 16}.get(row.exhibit.number, 1)
                if row.exhibit.kind == "Figure"
                else 1
            )
            for test in tests:
                gain = paired(
                    rows, f"accuracy_{test}", {"arm": "uml_init", "shots": k}, {"arm": "matched", "shots": k}
                )
                assert gain_text(gain) in row.finding.ours, (row.exhibit.kind, row.exhibit.number, test)


def test_aligned_few_shot_rows_follow_from_their_csv(shown):
    name = "image_text_fewshot_concepts_aligned-True"
    rows = pd.read_csv(FOLDER / f"{name}.csv")
    for k in (1, 16):
        gain = paired(rows, "accuracy_test", {"arm": "uml_init", "shots": k}, {"arm": "unimodal", "shots": k})
        assert all(gain_text(gain) in row.finding.ours for row in shown[name].rows)


def test_full_data_rows_follow_from_their_csv(shown):
    rows = pd.read_csv(FOLDER / "full_data_glyphs.csv")
    found = {
        (row.exhibit.kind, row.exhibit.number): row.finding.ours for row in shown["full_data_glyphs"].rows
    }
    for part, number in (("linear", 12), ("finetune", 8)):
        for arm in ("uml", "uml_init"):
            treated = {"part": part, "arm": arm, "unfrozen": False}
            gain = paired(rows, "accuracy_test", treated, {"part": part, "arm": "matched"})
            assert gain_text(gain, 2) in found["Table", number]


def test_ablation_rows_follow_from_their_csv(shown):
    rows = pd.read_csv(FOLDER / "text_ablations_glyphs.csv")
    found = {
        (row.exhibit.kind, row.exhibit.number): row.finding.ours
        for row in shown["text_ablations_glyphs"].rows
    }
    axis = {"axis": "kind of text", "variant": "unrelated", "shots": 1}
    gain = paired(rows, "accuracy_test", axis | {"arm": "uml_init"}, axis | {"arm": "matched"})
    assert f"unrelated: {gain_text(gain)}" in found["Table", 24]
    axis = {"axis": "batch ratio", "variant": "r = 4", "shots": 1}
    gain = paired(rows, "accuracy_test", axis | {"arm": "uml"}, axis | {"arm": "matched"})
    assert f"r = 4: {gain_text(gain)}" in found["Table", 27]


def test_self_supervised_row_follows_from_its_csv(shown):
    rows = pd.read_csv(FOLDER / "self_supervised_glyphs.csv")
    (row,) = shown["self_supervised_glyphs"].rows
    for arm, control in (("uml", "unimodal"), ("uml", "unimodal_2b")):
        gain = paired(rows, "accuracy", {"arm": arm}, {"arm": control})
        assert gain_text(gain, 2) in row.finding.ours


def test_transfer_row_follows_from_its_csv(shown):
    rows = pd.read_csv(FOLDER / "language_to_vision_glyphs.csv")
    (row,) = shown["language_to_vision_glyphs"].rows
    last = rows[rows["step"] == rows["step"].max()]
    best = last.loc[last.groupby(["arm", "seed"])["val_accuracy"].idxmax()]
    gain = paired(best, "test_accuracy", {"arm": "pretrained_frozen"}, {"arm": "scratch"})
    assert gain_text(gain) in row.finding.ours


def test_classifier_rows_follow_from_their_csv(shown):
    rows = pd.read_csv(FOLDER / "classifier_analysis_glyphs.csv")
    found = {row.exhibit.number: row.finding.ours for row in shown["classifier_analysis_glyphs"].rows}
    for what, number in (("margin", 41), ("silhouette", 42), ("davies_bouldin", 43)):
        chosen = {"what": what, "shots": 1}
        gain = paired(rows, "value", chosen | {"arm": "uml_init"}, chosen | {"arm": "matched"}, scale=1.0)
        assert f"{gain_text(gain, 3)} at 1" in found[number]


def test_three_modalities_rows_follow_from_their_csv(shown):
    rows = pd.read_csv(FOLDER / "three_modalities_glyphs.csv").rename(columns={"split": "seed"})
    found = {
        (row.exhibit.kind, row.exhibit.number): row.finding.ours
        for row in shown["three_modalities_glyphs"].rows
    }
    for target, table in (("outline", 25), ("image", 26)):
        helped = {"target": target, "auxiliaries": "text", "shuffled": False, "shots": 1}
        gain = paired(rows, "accuracy", helped | {"arm": "uml_init"}, helped | {"arm": "matched"})
        assert f"with text {gain_text(gain)}" in found["Table", table]


# ---------------------------------------------------------------- verdicts


def interval(estimate, low, high):
    return {"estimate": estimate, "low": low, "high": high, "n": 5}


def test_a_file_without_findings_is_not_judged():
    found = findings(BY_NAME["full_data_glyphs"], {"rows": []})
    assert {finding.verdict for finding in found.values()} == {"no claim"}


# ---------------------------------------------------------------- pages


@pytest.fixture
def folder(tmp_path):
    for path in FOLDER.glob("exchange_isolines*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_refresh_changes_only_what_is_between_markers(folder):
    page = folder / "README.md"
    page.write_text("before\n<!-- gallery: exchange_isolines -->\nold\n<!-- end -->\nafter\n")
    assert refresh(page) == ["exchange_isolines"]
    text = page.read_text()
    assert text.startswith("before\n<!-- gallery: exchange_isolines -->\n![")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    refresh(page)
    assert page.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "<!-- gallery: exchange_isolines -->\nx\n",
        "<!-- gallery: exchange_isolines -->\n<!-- gallery: index -->\n<!-- end -->\n",
    ],
)
def test_markers_without_end_are_refused_and_nothing_is_lost(folder, text):
    page = folder / "README.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="gallery: exchange_isolines --> has no <!-- end -->"):
        refresh(page)
    assert page.read_text() == text


def test_runs_without_results_keep_their_text_and_markers_in_sentences_are_no_markers(folder):
    page = folder / "README.md"
    text = "see <!-- gallery: exchange_isolines --> below\n<!-- gallery: gaussian_recon -->\nkept\n<!-- end -->\n"
    page.write_text(text)
    assert refresh(page) == []
    assert page.read_text() == text


def test_every_row_of_every_table_has_all_its_cells(shown):
    for result in shown.values():
        table = [line for line in as_markdown(result).splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} <= {5}, result.job.name


def test_what_a_page_says_in_its_own_words_is_found_by_run(folder):
    page = folder / "README.md"
    page.write_text(
        "intro\n<!-- gallery: index -->\nmade\n<!-- end -->\nafter the index\n## A\n<!-- gallery: a -->\nmade\n<!-- end -->\n\n"
        "- one\n- two\n## B\n<!-- gallery: b -->\nmade\n<!-- end -->\n## No run\nwords\n"
    )
    assert explanations(page) == {"a": "- one\n- two"}
    assert explanations(folder / "none.md") == {}


def test_a_folder_without_a_page_gets_one(folder):
    page = write_gallery(folder, JOBS)
    assert page.name == "gallery.md"
    assert "## exchange_isolines: beyond the paper" in page.read_text()


@pytest.mark.parametrize("text", ['{"findings": [{"exhibit": "Table 1"}]}', "{}", '{"provenance": {}}', "[]"])
def test_a_summary_of_another_shape_is_named(folder, text):
    (folder / "self_supervised_glyphs.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"self_supervised_glyphs.json: not the summary of self_supervised.py"
    ):
        results(folder)


def test_intervals_are_finite(shown):
    for result in shown.values():
        for row in result.rows:
            assert row.finding.ours
            assert not re.search(r"\b(nan|inf)\b", row.finding.ours), row
