"""The schematics: real specimens, legible type that overlaps nothing, numbers only from the few-shot study's file."""

import csv
import itertools
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from neural.worlds.glyph_classes import choose_classes
from neural.worlds.glyph_names import fine_texts
from neural.worlds.glyphs import draw_pool
from studies import schematics
from studies.lab import options
from studies.lab.page import MATH, SMALL, Page, class_name, picture, print_style, sentence, wrapped


def written_gains(path, arms=schematics.SHOWN_ARMS):
    """A summary of the few-shot study, cut down to what the figure reads, and two rows that it must not read."""
    interval = {"estimate": 1.5, "low": 0.5, "high": 2.5, "n": 4}
    rows = [
        {"shots": str(k), "arm": arm, "test": "test", "minus_control": interval}
        for k in (1, 4)
        for arm in arms
    ]
    other = {"shots": "1", "arm": "uml", "minus_control": interval | {"estimate": 99.0}}
    rows += [other | {"test": "stix"}, other | {"arm": "matched", "test": "test", "minus_control": None}]
    path.write_text(json.dumps({"accuracy": rows}))
    return path


@pytest.fixture(scope="module", params=["numbers", "none"])
def pages(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "few.json"
    gains = schematics.read_gains(written_gains(path) if request.param == "numbers" else path)
    with print_style():
        drawn = schematics.draw_pages(gains)
        yield drawn
        for page in drawn:
            plt.close(page.figure)


def boxes_of_texts(figure):
    """{text: its box in pixels} of all that is printed."""
    figure.canvas.draw()
    hidden = set()
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            outside = [not (axes.axison and low <= place <= high) for place in axis.get_majorticklocs()]
            hidden |= set(itertools.compress(axis.get_majorticklabels(), outside))
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and t not in hidden]
    return [(t, t.get_window_extent()) for t in texts]


def overlap(a, b):
    """Pixels that two boxes share, in the smaller direction."""
    return min(min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0))


def assert_legible(figure):
    texts = boxes_of_texts(figure)
    pictures = [image.get_window_extent() for axes in figure.axes for image in axes.images]
    assert len(texts) > 10
    for text, box in texts:
        least = MATH if "$" in text.get_text() else SMALL
        assert text.get_fontsize() >= least, text
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text  # noqa: PT018
        for other in pictures:
            assert overlap(box, other) <= 1, text
    for (first, a), (second, b) in itertools.combinations(texts, 2):
        assert overlap(a, b) <= 1, (first, second)


def test_type_is_legible_and_overlaps_nothing(pages):
    for page in pages:
        assert_legible(page.figure)


def test_overlapping_type_would_be_noticed():
    with print_style():
        page = Page("bad", 1.0)
        for i in range(11):
            page.write(0.3 * i, 0.9, "ab")
        assert_legible(page.figure)
        page.write(0.05, 0.9, "cd")
        with pytest.raises(AssertionError):
            assert_legible(page.figure)
        plt.close(page.figure)


def test_what_is_drawn_is_the_data_and_is_recorded(pages):
    rows = [row for page in pages for row in page.rows]
    for row in rows:
        character = row["class"][0]
        assert row["class"] == class_name(character)
        if row["what"] == "sentence":
            number = int(row["source"].split()[-1])
            assert row["text"] == fine_texts(character)[number]
        elif row["what"] == "picture":
            assert row["text"] == ""
            assert "draw_pool: pool 'train', seed 0, picture " in row["source"]
    images = [image.get_array() for page in pages for axes in page.figure.axes for image in axes.images]
    whole = [image for image in images if image.shape == (32, 32)]
    assert len(whole) == sum(row["what"] == "picture" for row in rows)
    assert np.array_equal(whole[0], draw_pool("é", "train", 5, seed=0).pictures[0])
    assert (
        len(images) - len(whole) == 16 + 6
    )  # the patches of Figure 4, and those that its network sees and predicts


def test_figure_2_shows_pairs_only_where_it_says_so(pages):
    rows = pd.DataFrame(pages[1].rows)
    classes = {key: part["class"].tolist() for key, part in rows.groupby(["panel", "what"])}
    assert classes["a", "picture"] == classes["a", "sentence"]
    assert set(classes["b", "picture"]) == set(classes["b", "sentence"])
    assert set(classes["c", "picture"]) != set(classes["c", "sentence"])


@pytest.mark.slow
def test_characters_are_classes_of_the_task():
    with print_style():
        drawn = schematics.draw_pages(None)
        for page in drawn:
            plt.close(page.figure)
    novel = choose_classes(300, seed=0).novel
    shown = {row["class"][0] for page in drawn for row in page.rows if row["what"] != "name"}
    assert shown <= set(novel)


def test_no_file_no_numbers_and_other_files_are_refused(tmp_path):
    assert schematics.read_gains(tmp_path / "none.json") is None
    gains = schematics.read_gains(written_gains(tmp_path / "few.json"))
    assert sorted(gains.shots.unique()) == [1, 4]
    assert set(gains.estimate) == {1.5}  # of the training law's test set alone
    with pytest.raises(
        ValueError, match=r"few\.json: not a summary of the few-shot study \(lacks uml_init\)"
    ):
        schematics.read_gains(written_gains(tmp_path / "few.json", arms=("uml", "init_permuted")))
    (tmp_path / "few.json").write_text("{}")
    with pytest.raises(ValueError, match=r"lacks KeyError\('accuracy'\)"):
        schematics.read_gains(tmp_path / "few.json")


def test_cards_refuse_what_does_not_fit():
    assert wrapped("", 1.0) == ""
    assert wrapped("e carrying acute", 0.7) == "e carrying\nacute"
    assert wrapped("unbreakable a", 0.1).split("\n") == ["unbreakable", "a"]
    with print_style():
        page = Page("small", 1.0)
        with pytest.raises(ValueError, match=r"'e carrying acute': needs 0\.\d+ inches, the card has 0\.12"):
            page.card(sentence("é", 2), "a", 0.1, 0.1, 0.7, 0.12)
        with pytest.raises(ValueError, match="'e carrying acute': a text has no pixels"):
            page.show(sentence("é", 2), "a", 0.1, 0.1, 0.5)
        assert page.rows == []
        plt.close(page.figure)


def test_specimens_say_what_they_are_and_where_from():
    assert picture("é", 3).pixels.shape == (32, 32)
    assert picture("é", 1).source == "neural.worlds.glyphs.draw_pool: pool 'train', seed 0, picture 1"
    assert sentence("é", 2).text == "e carrying acute"
    assert class_name("é") == "é latin small letter e with acute"


def test_script_writes_figures_rows_and_summary(tmp_path, monkeypatch, capsys):
    out = tmp_path / "quick"
    out.mkdir()
    written_gains(out / schematics.ACCURACIES)
    monkeypatch.setattr(options, "FIGURES", tmp_path)
    summary = schematics.main(["--quick"])
    for number in "124":
        assert (out / f"schematic_figure_{number}.png").stat().st_size > 50_000
    with (out / "schematics.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["figure", "panel", "what", "class", "text", "source"]
    assert len(rows) == sum(entry["count"] for entry in summary["drawn"])
    assert json.loads((out / "schematics.json").read_text()) == json.loads(json.dumps(summary))
    assert summary["accuracies"]["source"] == schematics.ACCURACIES
    assert summary["provenance"]["config"] == {"quick": True}
    assert f"accuracies in Figure 1: {schematics.ACCURACIES}" in capsys.readouterr().out
