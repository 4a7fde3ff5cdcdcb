"""The gallery: a row for each figure and table, made from files that are there, with numbers that the rows support."""

import re
import shutil

import pandas as pd
import pytest

from studies.gallery import as_index, as_markdown, exhibits, heading, refresh, write_gallery
from studies.gallery_findings import findings
from studies.gallery_titles import DIFFERS, TITLES
from studies.harness import FIGURES as FOLDER
from studies.harness import ROOT, paired_difference
from studies.jobs import FIGURES, JOBS, TABLES
from studies.lab.finding import VERDICTS
from studies.report_tables import gain_text

PAGE = FOLDER / "README.md"
BY_NAME = {job.name: job for job in JOBS}


@pytest.fixture(scope="module")
def shown():
    return {exhibit.job.name: exhibit for exhibit in exhibits(FOLDER)}


# ---------------------------------------------------------------- complete


def test_titles_and_differences_cover_the_paper():
    assert set(TITLES) == {("Figure", n) for n in FIGURES} | {("Table", n) for n in TABLES}
    assert set(DIFFERS) == set(BY_NAME)


def test_every_row_has_its_script_picture_and_csv(shown):
    assert list(shown) == [job.name for job in JOBS]
    for exhibit in shown.values():
        assert (ROOT / "studies" / exhibit.job.script).exists()
        assert exhibit.pictures
        assert exhibit.tables
        for name in (*exhibit.pictures, *exhibit.tables):
            assert (FOLDER / name).stat().st_size > 100, name
    rows = [(row.kind, row.number) for exhibit in shown.values() for row in exhibit.rows]
    assert sorted(rows) == sorted(TITLES)
    assert {row.finding.verdict for e in shown.values() for row in e.rows} <= set(VERDICTS)


def test_the_page_has_one_row_for_each_figure_and_table():
    text = PAGE.read_text(encoding="utf-8")
    for kind, number in TITLES:
        assert len(re.findall(rf"^\| \*\*{kind} {number}\*\*", text, flags=re.MULTILINE)) == 1, (kind, number)
    for job in JOBS:
        assert f"## {heading(job)}\n" in text


def test_the_page_agrees_with_the_files_beside_it(tmp_path, shown):
    text = PAGE.read_text(encoding="utf-8")
    for exhibit in shown.values():
        assert as_markdown(exhibit) in text, exhibit.job.name
    assert as_index(list(shown.values())) in text


def test_links_of_the_index_lead_to_headings(shown):
    anchors = set(re.findall(r"\]\(#([^)]+)\)", as_index(list(shown.values()))))
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
    assert len(anchors) == len(JOBS)
    assert anchors <= made


def test_full_runs_only(shown):
    """What is stored was not made by --quick."""
    for exhibit in shown.values():
        assert "--quick" not in exhibit.command, exhibit.command
        assert exhibit.job.command == exhibit.command


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
            k = {10: 1, 11: 2, 12: 4, 13: 8, 5: 16}.get(row.number, 1) if row.kind == "Figure" else 1
            for test in tests:
                gain = paired(
                    rows, f"accuracy_{test}", {"arm": "uml_init", "shots": k}, {"arm": "matched", "shots": k}
                )
                assert gain_text(gain) in row.finding.ours, (row.kind, row.number, test)


def test_aligned_few_shot_rows_follow_from_their_csv(shown):
    name = "image_text_fewshot_concepts_aligned-True"
    rows = pd.read_csv(FOLDER / f"{name}.csv")
    for k in (1, 16):
        gain = paired(rows, "accuracy_test", {"arm": "uml_init", "shots": k}, {"arm": "unimodal", "shots": k})
        assert all(gain_text(gain) in row.finding.ours for row in shown[name].rows)


def test_full_data_rows_follow_from_their_csv(shown):
    rows = pd.read_csv(FOLDER / "full_data_glyphs.csv")
    found = {(row.kind, row.number): row.finding.ours for row in shown["full_data_glyphs"].rows}
    for part, number in (("linear", 12), ("finetune", 8)):
        for arm in ("uml", "uml_init"):
            treated = {"part": part, "arm": arm, "unfrozen": False}
            gain = paired(rows, "accuracy_test", treated, {"part": part, "arm": "matched"})
            assert gain_text(gain, 2) in found["Table", number]


def test_ablation_rows_follow_from_their_csv(shown):
    rows = pd.read_csv(FOLDER / "text_ablations_glyphs.csv")
    found = {(row.kind, row.number): row.finding.ours for row in shown["text_ablations_glyphs"].rows}
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
    found = {row.number: row.finding.ours for row in shown["classifier_analysis_glyphs"].rows}
    for what, number in (("margin", 41), ("silhouette", 42), ("davies_bouldin", 43)):
        chosen = {"what": what, "shots": 1}
        gain = paired(rows, "value", chosen | {"arm": "uml_init"}, chosen | {"arm": "matched"}, scale=1.0)
        assert f"{gain_text(gain, 3)} at 1" in found[number]


def test_three_modalities_rows_follow_from_their_csv(shown):
    rows = pd.read_csv(FOLDER / "three_modalities_glyphs.csv").rename(columns={"split": "seed"})
    found = {(row.kind, row.number): row.finding.ours for row in shown["three_modalities_glyphs"].rows}
    for target, table in (("outline", 25), ("image", 26)):
        helped = {"target": target, "auxiliaries": "text", "shuffled": False, "shots": 1}
        gain = paired(rows, "accuracy", helped | {"arm": "uml_init"}, helped | {"arm": "matched"})
        assert f"with text {gain_text(gain)}" in found["Table", table]


# ---------------------------------------------------------------- verdicts


def interval(estimate, low, high):
    return {"estimate": estimate, "low": low, "high": high, "n": 5}


def fit(name, p, low, words=None):
    rate = (
        {"estimate": None, "low": None, "high": None}
        if words is None
        else {"estimate": words, "low": words / 2, "high": None}
    )
    return {
        "fit": name,
        "images_per_text": interval(0.1, low, 0.2),
        "texts_per_image": rate,
        "lack_of_fit": {"p": p, "verdict": "so"},
    }


@pytest.mark.parametrize(
    ("p", "low", "verdict"), [(0.5, 0.05, "holds"), (1e-9, 0.05, "in part"), (0.5, -0.05, "undecided")]
)
def test_verdicts_of_exchange_rates(p, low, verdict):
    names = ("plane, without the control", "plane, with the control", "power law, without the control")
    summary = {"surfaces": [{"fits": [fit(name, p, low, 1234.5) for name in names]}]}
    found = findings(BY_NAME["exchange_rate_glyphs"], summary)["Figure", 9]
    assert found.verdict == verdict
    assert "1 image = 1,234 texts [617, no limit]" in found.ours
    pair = summary | {"aligned_against_unaligned": [{"claim": "fails"}, {"claim": "is undecided"}]}
    assert findings(BY_NAME["exchange_rate_concepts_pair"], pair)["Figure", 8].verdict == "fails in part"


def test_exchange_rates_that_are_not_there_are_said():
    names = ("plane, without the control", "plane, with the control", "power law, without the control")
    summary = {"surfaces": [{"fits": [fit(name, 0.5, -0.1) for name in names]}]}
    assert (
        "text has no measurable worth" in findings(BY_NAME["exchange_rate_glyphs"], summary)["Figure", 9].ours
    )


def test_what_a_run_left_out_is_not_judged():
    summary = {"task": "glyphs", "control": "unimodal, matched", "verdicts": []}
    summary["rows"] = [
        {
            "part": "linear",
            "arm": "uml",
            "unfrozen": False,
            "label": "UML",
            "minus_control": interval(1, 0.5, 2),
        }
    ]
    found = findings(BY_NAME["full_data_glyphs"], summary)
    assert found["Table", 12].verdict == "holds"
    assert {found["Table", n].verdict for n in (8, 20, 28, 29)} == {"no claim"}


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
    for exhibit in shown.values():
        table = [line for line in as_markdown(exhibit).splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} <= {5}, exhibit.job.name


def test_a_folder_without_a_page_gets_one(folder):
    page = write_gallery(folder, JOBS)
    assert page.name == "gallery.md"
    assert "## exchange_isolines: beyond the paper" in page.read_text()


def test_a_summary_of_another_shape_is_named(folder):
    (folder / "self_supervised_glyphs.json").write_text('{"contrasts": 3}')
    with pytest.raises(
        ValueError, match=r"self_supervised_glyphs.json: not the summary of self_supervised.py"
    ):
        exhibits(folder)


def test_intervals_are_finite(shown):
    for exhibit in shown.values():
        for row in exhibit.rows:
            assert row.finding.ours
            assert not re.search(r"\b(nan|inf)\b", row.finding.ours), row
