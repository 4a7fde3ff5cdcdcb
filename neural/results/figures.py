"""Figures: one style, one colour and marker per arm in every figure of the project, drawn by seaborn on the tidy table.

Colours are Okabe and Ito's; in greyscale markers and dashes tell the curves apart.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import UnknownNameError
from fisherkit.files import write_atomic
from neural.results.intervals import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "SHOTS_AXIS",
    "arm_style",
    "draw_means",
    "draw_published",
    "error_bars",
    "figure_style",
    "place_style",
    "room_above",
    "save_figure",
    "zero_line",
]

#: How figures call an axis of shots.
SHOTS_AXIS = "target training rows per class (shots)"
_COLOURS = (
    "#000000",
    "#D55E00",
    "#0072B2",
    "#CC79A7",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
    "#8C564B",
    "#332288",
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", "*", ">")
_DASHES: tuple[Any, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1, 1, 1, 1, 1)),
    (0, (8, 2)),
    (0, (1, 1)),
    (0, (3, 3)),
    (0, (6, 2, 2, 2)),
    (0, (2, 4)),
)
#: Arms by the role they play: what has one role looks alike in all studies.
_ROLES = (
    ("unimodal", "x", "scratch"),
    ("matched",),
    ("uml", "pretrained"),
    ("uml_init",),
    ("init_only",),
    ("init_permuted", "uml_unrelated", "gaussian"),
    ("uml_permuted", "uml_scrambled", "shuffled"),
    ("matched_2b", "unimodal_2b", "x 2b"),
    ("unimodal_half", "x half", "untrained"),
    ("uml_disjoint", "uml 2b"),
)
_PLACE = {arm: i for i, arms in enumerate(_ROLES) for arm in arms}


def arm_style(arm: str) -> dict[str, Any]:
    """Colour, marker and dash pattern of an arm, the same in every figure.

    Args:
        arm: its name; "_frozen" and "_unfrozen" make no difference.

    Returns:
        Keyword arguments of ``Axes.plot``.

    Raises:
        UnknownNameError: no arm of the project.

    Example:
        >>> arm_style("uml")["marker"], arm_style("x")["marker"]
        ('^', 'o')
    """
    plain = arm.removesuffix("_frozen").removesuffix("_unfrozen")
    if plain not in _PLACE:
        raise UnknownNameError(arm, _PLACE, "arm")
    return place_style(_PLACE[plain])


def place_style(place: int) -> dict[str, Any]:
    """Colour, marker and dash pattern of the place-th of curves that are no arms, distinct up to ten."""
    i = place % len(_COLOURS)
    return {"color": _COLOURS[i], "marker": _MARKERS[i], "linestyle": _DASHES[i]}


def draw_means(
    axes: "Axes",
    rows: pd.DataFrame,
    x: str,
    *,
    y: str = "accuracy",
    hue: str = "arm",
    labels: Mapping[str, str],
    styles: Mapping[str, Mapping[str, Any]] | None = None,
    order: Sequence[str] | None = None,
    joined: bool = True,
    **options: Any,  # noqa: ANN401
) -> None:
    """Means over repetitions with the 95% intervals of `neural.results.contrasts.means`, a curve for each entry of `hue`.

    Args:
        axes: to draw on.
        rows: table with a row per repetition; differences come from `neural.results.contrasts.paired`.
        x: column of the horizontal axis, in categories.
        y: column that is averaged.
        hue: column that tells curves apart.
        labels: {entry of `hue`: text for the legend}, in order; entries that the table lacks are left out.
        styles: {entry: style}; by default `arm_style`.
        order: categories of `x`, by default in order of appearance.
        joined: whether lines join the points.
        **options: for seaborn.pointplot.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> axes = plt.figure().add_subplot()
        >>> rows = pd.DataFrame({"arm": "uml", "shots": ["1", "1"], "accuracy": [50.0, 52.0]})
        >>> draw_means(axes, rows, "shots", labels={"matched": "unimodal, matched", "uml": "UML"})
        >>> axes.get_legend_handles_labels()[1]
        ['UML']
        >>> plt.close()
    """
    import seaborn as sns

    there = [entry for entry in labels if (rows[hue] == entry).any()]
    if not there:
        return
    chosen = [dict(styles[entry]) if styles else arm_style(entry) for entry in there]
    names = [labels[entry] for entry in there]
    apart = 0.045 * (len(there) - 1) if joined else min(0.13 * (len(there) - 1), 0.7)
    shown = rows[rows[hue].isin(there)].assign(**{hue: rows[hue].map(labels)})
    sns.pointplot(
        shown,
        x=x,
        y=y,
        hue=hue,
        order=order,
        hue_order=names,
        palette=[style["color"] for style in chosen],
        markers=[style["marker"] for style in chosen],
        linestyles=[style["linestyle"] if joined else "none" for style in chosen],
        errorbar=_ends,
        dodge=apart or False,
        capsize=0.06,
        err_kws={"linewidth": 0.8},
        markersize=4,
        linewidth=1.3,
        ax=axes,
        **options,
    )
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()  # the study says where it goes


def zero_line(axes: "Axes", *, upright: bool = False) -> None:
    """Mark where a difference is zero, across the axes or upright."""
    (axes.axvline if upright else axes.axhline)(0, color="0.3", lw=0.9)


def room_above(axes: "Axes", share: float) -> None:
    """Make room for a legend above what is drawn, a share of the axes' height."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + share * (high - low))


def draw_published(
    axes: "Axes", where: ArrayLike, values: ArrayLike, style: Mapping[str, Any], label: str
) -> None:
    """Numbers that the paper prints at (n,) places, as hollow marks in the shape of their arm."""
    hollow = dict(style) | {"linestyle": "none", "markerfacecolor": "none"}
    axes.plot(where, values, markersize=9, label=label, **hollow)


def _ends(values: "pd.Series[float]") -> tuple[float, float]:
    """The 95% interval of one point; none where there is one repetition."""
    if len(values) < 2:
        return np.nan, np.nan
    interval = mean_interval(values.to_numpy())
    return interval.low, interval.high


def error_bars(estimate: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.float64]:
    """Intervals as matplotlib's ``errorbar`` takes them.

    Args:
        estimate: (n,).
        low: (n,) lower ends.
        high: (n,) upper ends.

    Returns:
        (2, n) distances from the estimates.

    Example:
        >>> error_bars([2.0], [1.5], [3.0]).tolist()
        [[0.5], [1.0]]
    """
    return np.abs(np.array([low, high], dtype=np.float64) - np.asarray(estimate, dtype=np.float64))


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the fonts, sizes and lines of every figure of the project, in a ``with`` block."""
    import matplotlib

    settings: Any = {
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.labelsize": 9,
        "legend.fontsize": 7.5,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "lines.linewidth": 1.3,
        "lines.markersize": 4,
        "legend.frameon": False,
        "figure.dpi": 150,
        "savefig.dpi": 200,
        "figure.constrained_layout.use": True,
    }
    with matplotlib.rc_context(settings):
        yield


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG, atomically, and close it."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_atomic(path, buffer.getvalue())
    plt.close(figure)
