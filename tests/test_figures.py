"""How figures are drawn and kept: styles that differ, settings that come back, files that are whole."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from neural.results.figures import figure_style, place_style, save_figure
from tests.study_helpers import failing_replace


def pixels(**style):
    """What a reader sees of a curve in black."""
    figure, axes = plt.subplots(figsize=(2, 1), dpi=100)
    axes.plot([0, 1, 2], [0, 1, 0], **style | {"color": "black"})
    figure.canvas.draw()
    picture = bytes(figure.canvas.buffer_rgba())
    plt.close(figure)
    return picture


def test_first_ten_line_styles_differ_in_marker_and_in_dash():
    styles = [place_style(i) for i in range(10)]
    assert len({pixels(**style | {"marker": ""}) for style in styles}) == 10
    assert len({pixels(**style | {"linestyle": ""}) for style in styles}) == 10
    assert len({style["color"] for style in styles}) == 10
    assert place_style(10) == styles[0], "then they repeat"


def test_figure_style_holds_inside_and_restores_every_setting():
    before = dict(mpl.rcParams)
    with mpl.rc_context({"font.size": 23.0}):
        with figure_style():
            assert mpl.rcParams["font.size"] != 23.0
            assert not mpl.rcParams["axes.spines.top"]
            assert mpl.rcParams["figure.constrained_layout.use"]
        assert mpl.rcParams["font.size"] == 23.0
    assert dict(mpl.rcParams) == before

    def fails():
        with figure_style():
            raise RuntimeError("while drawing")

    with pytest.raises(RuntimeError, match="while drawing"):
        fails()
    assert dict(mpl.rcParams) == before


def simple_figure():
    figure, axes = plt.subplots(figsize=(2, 1), dpi=100)
    axes.plot([0, 1], [1, 0], **place_style(1))
    return figure


def test_save_figure_writes_png_closes_the_figure_and_says_nothing_of_the_software(tmp_path):
    path = tmp_path / "made" / "figure.png"
    figure = simple_figure()
    others = [n for n in plt.get_fignums() if n != figure.number]
    with figure_style():
        save_figure(figure, path)
    assert plt.get_fignums() == others
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert b"Matplotlib" not in path.read_bytes()
    picture = plt.imread(path)
    assert picture.shape[:2] == (200, 400), "2 x 1 inches at 200 dots"
    assert picture.std() > 0
    assert list(path.parent.iterdir()) == [path]


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in ("one.png", "two.png"):
        save_figure(simple_figure(), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_save_figure_keeps_the_old_picture_when_drawing_fails(tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = simple_figure()
    monkeypatch.setattr(figure, "savefig", lambda *_, **__: failing_replace(None, None))
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, path)
    plt.close(figure)
    assert path.read_bytes() == b"old"
