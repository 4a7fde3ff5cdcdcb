"""What the pictures show is what was computed: curves lie on the confidence region, strips on its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.stats import chi2

import fisherkit as fk
from fisherkit import plots
from fisherkit.exchange import isoline


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


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_gap_spectrum_shows_the_verdict_of_the_comparison(seed, d):
    """Zero diagonals and indefinite matrices included: as many dots beyond the band as eigenvalues that count."""
    rng = np.random.default_rng(seed)
    units = 10.0 ** rng.uniform(-6, 6, d)
    pair = []
    for _ in range(2):
        m = rng.integers(-2, 3, (d, d)).astype(float)
        m = m + m.T
        np.fill_diagonal(m, m.diagonal() * rng.integers(0, 2))
        pair.append(m * np.outer(units, units))
    ax = plots.gap_spectrum(Figure().add_subplot(), *pair)
    dots = ax.lines[0].get_ydata()
    order = fk.compare(*pair)
    np.testing.assert_allclose(dots[[0, -1]], [order.scaled_min, order.scaled_max], rtol=1e-9, atol=1e-14)
    signs = [int((dots > order.tolerance).sum()), int((dots < -order.tolerance).sum())]
    assert fk.Relation.of_inertia(*signs, d - sum(signs)) is order.relation


def test_centre_is_checked():
    ax = Figure().add_subplot()
    with pytest.raises(ValueError, match="centre: expected length 2"):
        plots.information_ellipses(ax, {"x": np.eye(2)}, centre=(0.0, 0.0, 0.0))
    with pytest.raises(ValueError, match="centre: NaN at index"):
        plots.information_ellipses(ax, {"x": np.eye(2)}, centre=(0.0, np.nan))


def test_isolines_end_on_the_axes_or_at_their_asymptotes():
    seen = fk.LinearGaussian({"x": fk.Modality(np.eye(2)), "y": fk.Modality(np.eye(2), noise_std=2.0)})
    half = fk.LinearGaussian({"x": fk.Modality(np.eye(2)), "y": fk.Modality(np.eye(2)[:1])})
    ax = Figure().add_subplot()
    lines = {
        "both": isoline(seen, level=0.1, axes=("x", "y")),
        "half": isoline(half, level=0.1, axes=("x", "y")),
    }
    plots.isolines(ax, lines)
    (both, half_line) = (line for line in ax.lines if line.get_label() in lines)
    np.testing.assert_allclose(both.get_xydata()[[0, -1]], [[0, 20], [80, 0]], atol=1e-9)
    marks = [line.get_ydata()[0] for line in ax.lines if line.get_label() not in lines]
    np.testing.assert_allclose(
        marks, [10.0]
    )  # y never sees the second parameter: 1 / 0.1 samples of x at least
    assert half_line.get_ydata().min() > 10
    with pytest.raises(ValueError, match="lines: need one pair of modalities"):
        plots.isolines(ax, {**lines, "turned": isoline(seen, level=0.1, axes=("y", "x"))})
    with pytest.raises(ValueError, match="no isoline"):
        plots.isolines(ax, {})


def test_pictures_keep_what_objects_know_of_rounding():
    """A level that each modality's own intercept explains fully: a strip and no ellipse, equal and no gap."""
    world = fk.LinearGaussian({
        "x": fk.Modality(np.c_[np.full(5, 0.7), [1.0, 2, 4, 5, 7]], np.ones((5, 1))),
        "y": fk.Modality(np.c_[np.full(5, 0.3), [1.0, 0, 2, 3, 5]], np.ones((5, 1))),
    })
    parts = fk.shared_information(world)
    ax = plots.information_ellipses(Figure().add_subplot(), parts)
    labels = [line.get_label() for line in ax.lines if not line.get_label().startswith("_")]
    assert labels == [f"{name} (strip: one direction not estimable)" for name in parts]
    ax = plots.gap_spectrum(Figure().add_subplot(), parts["x"], parts["y"])
    values = ax.lines[0].get_ydata()
    assert (values != 0).sum() == 1
    assert "A + B" in ax.get_ylabel()
