"""What the pictures show is what was computed: curves lie on the confidence region, strips on its edges."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import chi2

import fisherkit as fk
from fisherkit import plots


def test_ellipse_lies_on_the_confidence_region():
    information = np.array([[4.0, 1.0], [1.0, 2.0]])
    ax = plots.information_ellipses(
        Figure().add_subplot(), {"joint": information}, centre=(1.0, -2.0), level=0.9
    )
    points = np.array(ax.lines[0].get_data()) - np.array([[1.0], [-2.0]])
    np.testing.assert_allclose(np.einsum("in,ij,jn->n", points, information, points), chi2.ppf(0.9, 2))


def test_singular_information_is_drawn_as_a_strip_and_none_as_nothing():
    v = np.array([3.0, 4.0])
    ax = plots.information_ellipses(
        Figure().add_subplot(), {"x": np.outer(v, v), "nothing": np.zeros((2, 2))}, level=0.95
    )
    for line in ax.lines[:2]:
        np.testing.assert_allclose(np.square(v @ np.array(line.get_data())), chi2.ppf(0.95, 2))
    labels = [line.get_label() for line in ax.lines]
    assert "nothing (no information)" in labels


def test_heatmap_shows_the_blocks_by_name():
    model = fk.random_model(2, {"image": 3, "text": 1}, seed=0)
    figure = Figure()
    ax = plots.fisher_heatmap(figure.add_subplot(), fk.information(model, 5), model.layout)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["shared", "image", "text"]
    shown = ax.images[0].get_array()
    information = fk.information(model, 5)
    np.testing.assert_array_equal(shown.filled(0.0), np.abs(information))
    assert shown.mask[model.slices["image"], model.slices["text"]].all()
    assert len(ax.texts) == (information < 0).sum()
    assert figure.axes[-1].get_ylabel().startswith("|Fisher information|")


def test_gap_spectrum_signs_tell_the_order():
    ax = plots.gap_spectrum(Figure().add_subplot(), np.diag([1.0, 1.0]), np.diag([2.0, 0.5]))
    low, high = ax.lines[0].get_ydata()
    assert low < 0 < high


def test_bad_input_is_refused():
    ax = Figure().add_subplot()
    with pytest.raises(ValueError, match=r"information 'x': expected shape \(2, 2\), got \(3, 3\)"):
        plots.information_ellipses(ax, {"x": np.eye(3)})
    with pytest.raises(ValueError, match="information 'x': not positive semidefinite"):
        plots.information_ellipses(ax, {"x": [[1.0, 2.0], [2.0, 1.0]]})
    with pytest.raises(ValueError, match="level: must lie in"):
        plots.information_ellipses(ax, {"x": np.eye(2)}, level=95)
