"""Pictures of information: confidence ellipses, Fisher blocks, the spectrum of a Loewner gap, isolines.

Each function draws on Axes that the caller made and returns them. matplotlib is imported by this module only;
`import fisherkit` does not load it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from fisherkit.checks import as_array, as_flag, as_fraction, as_instance, as_mapping, as_number, as_symmetric
from fisherkit.exchange import Isoline
from fisherkit.layout import Layout
from fisherkit.loewner import relative_gap, units
from fisherkit.psd import PSD
from fisherkit.tolerances import tolerance

__all__ = ["fisher_heatmap", "gap_spectrum", "information_ellipses", "isolines"]

Array = NDArray[np.float64]
#: One look per curve, told apart by line style and width as well as by colour (Okabe and Ito's palette).
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#0072B2", "linestyle": "--", "linewidth": 1.6},
    {"color": "#D55E00", "linestyle": "-.", "linewidth": 1.6},
    {"color": "#000000", "linestyle": "-", "linewidth": 2.2},
    {"color": "#009E73", "linestyle": ":", "linewidth": 2.0},
)


def information_ellipses(
    ax: Axes,
    informations: Mapping[str, ArrayLike],
    *,
    centre: ArrayLike = (0.0, 0.0),
    level: float = 0.95,
    extent: float | None = None,
) -> Axes:
    """Confidence region {theta: (theta - centre)' I (theta - centre) <= chi2} of each information matrix.

    Rank 2 gives an ellipse, rank 1 a strip that never closes (one direction is not estimable), rank 0 nothing.

    Args:
        ax: where to draw.
        informations: {label: (2, 2) effective information about two parameters, array or `PSD`}.
        centre: (2,) middle of the regions.
        level: coverage of the region, in (0, 1).
        extent: half-width of the axes in parameter units; default 1.3 times the largest ellipse.

    Returns:
        The axes.

    Raises:
        ValueError: an information matrix that is not (2, 2) positive semidefinite, a centre of another length, or
            level outside (0, 1).

    Example:
        >>> from matplotlib.figure import Figure
        >>> ax = Figure().add_subplot()
        >>> _ = information_ellipses(ax, {"x": np.diag([4.0, 0.0]), "x and y": np.diag([4.0, 1.0])})
        >>> [line.get_label() for line in ax.lines if not line.get_label().startswith("_")]
        ['x (strip: one direction not estimable)', 'x and y']
    """
    as_instance(ax, Axes, "ax")
    radius = np.sqrt(chi2.ppf(as_fraction(level, "level"), 2))
    middle = as_array(centre, "centre", ndim=1)
    if middle.shape != (2,):
        raise ValueError(f"centre: expected length 2 (the two parameters), got {len(middle)}")
    extent = None if extent is None else as_number(extent, "extent")
    if extent is not None and not extent > 0:
        raise ValueError(f"extent: must be positive, got {extent}")
    decided = {}
    for label, matrix in as_mapping(informations, "informations", "{label: (2, 2) information}").items():
        decided[label] = PSD.of(matrix, name=f"information {label!r}")
        if decided[label].dim != 2:
            d = decided[label].dim
            raise ValueError(f"information {label!r}: expected shape (2, 2), got ({d}, {d})")
    angle = np.linspace(0, 2 * np.pi, 361)
    circle = radius * np.stack([np.cos(angle), np.sin(angle)])
    curves = {n: p.half_inverse @ circle for n, p in decided.items() if p.rank == 2}
    strips = {n: radius / np.linalg.norm(p.root) for n, p in decided.items() if p.rank == 1}
    if extent is None:
        sizes = [np.abs(c).max() for c in curves.values()] + list(strips.values())
        extent = 1.3 * max(sizes, default=1.0)
    for k, (label, psd) in enumerate(decided.items()):
        look = LOOKS[k % len(LOOKS)]
        if psd.rank == 2:
            ax.plot(*(middle[:, None] + curves[label]), label=label, **look)
        elif psd.rank == 1:
            normal, along = psd.range_basis[:, 0], psd.null_basis[:, 0]
            for sign in (-1, 1):
                ends = np.array([-4 * extent, 4 * extent])
                line = middle[:, None] + sign * strips[label] * normal[:, None] + along[:, None] * ends
                name = f"{label} (strip: one direction not estimable)" if sign < 0 else "_"
                ax.plot(*line, label=name, **look)
        else:
            ax.plot([], [], label=f"{label} (no information)", **look)
    ax.plot(*middle, "+", color="black", markersize=8, label="_centre")
    ax.set(xlim=middle[0] + extent * np.array([-1, 1]), ylim=middle[1] + extent * np.array([-1, 1]))
    ax.set_aspect("equal")
    return ax


def fisher_heatmap(ax: Axes, information: ArrayLike, layout: Layout, *, colorbar: bool = True) -> Axes:
    """Heat-map of a Fisher information matrix with its blocks named.

    Darkness is the logarithm of the absolute value, white is exactly zero, and a minus sign marks negative entries
    (up to 24 parameters), so that the picture reads in greyscale too.

    Args:
        ax: where to draw.
        information: (d, d).
        layout: names and places of the blocks.
        colorbar: whether to add one.

    Returns:
        The axes.
    """
    as_instance(ax, Axes, "ax")
    as_instance(layout, Layout, "layout")
    colorbar = as_flag(colorbar, "colorbar")
    matrix = as_symmetric(information, "information", dim=layout.n_params)
    size = np.ma.masked_equal(np.abs(matrix), 0.0)
    top = float(np.abs(matrix).max(initial=0)) or 1.0
    norm = LogNorm(vmin=max(float(size.min()) if size.count() else 0.0, 1e-6 * top), vmax=top)
    image = ax.imshow(size, cmap="cividis_r", norm=norm, interpolation="nearest")
    if len(matrix) <= 24:
        for i, j in zip(*np.nonzero(matrix < 0), strict=True):
            dark = norm(abs(matrix[i, j])) > 0.5
            ax.text(j, i, "\N{MINUS SIGN}", ha="center", va="center", color="white" if dark else "black")
    ax.grid(visible=False)
    ticks, labels = [], []
    for name, part in layout.slices.items():
        if part.stop > part.start:
            ticks.append((part.start + part.stop - 1) / 2)
            labels.append(name)
            for line in (ax.axhline, ax.axvline):
                line(part.stop - 0.5, color="black", linewidth=0.8)
    ax.set_xticks(ticks, labels)
    ax.set_yticks(ticks, labels)
    if colorbar and ax.figure is not None:
        ax.figure.colorbar(image, ax=ax, shrink=0.8, label="|Fisher information| (1 / parameter units²)")
    return ax


def gap_spectrum(ax: Axes, below: ArrayLike, above: ArrayLike, *, label: str = "gap") -> Axes:
    """Eigenvalues of the gap `above - below` in the units of `fisherkit.compare`, with the band that counts as zero.

    All dots to the right of the band: strict Loewner order. Dots on both sides: not comparable.

    Args:
        ax: where to draw.
        below: (d, d) symmetric, array or `PSD`.
        above: (d, d) symmetric, array or `PSD`.
        label: name in the legend.

    Returns:
        The axes.
    """
    as_instance(ax, Axes, "ax")
    a = as_symmetric(below, "below")
    b = as_symmetric(above, "above", dim=len(a))
    if isinstance(below, PSD) and isinstance(above, PSD):
        eigenvalues, _, rounding = relative_gap(below, above)
        band, beside = max(tolerance(len(a)), rounding), "A + B"
    else:
        unit = units(a, b)
        eigenvalues = np.asarray(np.linalg.eigvalsh((b / unit - a / unit) / unit[:, None]), dtype=np.float64)
        band, beside = tolerance(len(a)), "|A| + |B|"
    ax.axhspan(-band, band, color="0.85", label=f"counts as zero (±{band:.1g})")
    ax.plot(np.arange(1, len(a) + 1), eigenvalues, "o", color="black", label=str(label))
    ax.set_yscale("symlog", linthresh=10 * band)
    ax.set(xlabel="eigenvalue number, ascending", ylabel=f"eigenvalue of the gap, in units of {beside}")
    ax.set_xticks(np.arange(1, len(a) + 1))
    return ax


def isolines(ax: Axes, lines: Mapping[str, Isoline], *, asymptotes: bool = True) -> Axes:
    """Level sets of a criterion over the counts of two modalities, y across and x up.

    A line that ends on an axis has that modality reach the level alone. Where it does not, a thin line marks the
    count that is needed however many samples there are of the other.

    Args:
        ax: where to draw.
        lines: {label: isoline}, all over the same two modalities.
        asymptotes: whether to mark needed counts.

    Returns:
        The axes.

    Raises:
        ValueError: isolines over different modalities.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from fisherkit import LinearGaussian, Modality
        >>> from fisherkit.exchange import isoline
        >>> model = LinearGaussian({"image": Modality([[1.0]]), "text": Modality([[1.0]], noise_std=3.0)})
        >>> ax = isolines(Figure().add_subplot(), {"variance 1/4": isoline(model, level=0.25)})
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('samples of text', 'samples of image')
    """
    as_instance(ax, Axes, "ax")
    for label, line in as_instance(lines, Mapping, "lines").items():
        as_instance(line, Isoline, f"lines: {label}")
    pairs = {line.axes for line in lines.values()}
    if len(pairs) != 1:
        raise ValueError(
            f"isolines: need one pair of modalities on the axes, got {sorted(pairs) or 'no isoline'}"
        )
    ((x, y),) = pairs
    for k, (label, line) in enumerate(lines.items()):
        look = LOOKS[k % len(LOOKS)]
        ax.plot(line.n_y, line.n_x, label=label, **look)
        for mark, need in ((ax.axhline, line.minimum[x]), (ax.axvline, line.minimum[y])):
            if asymptotes and need > 0:
                mark(need, color=look["color"], linewidth=0.5, alpha=0.6)
    ax.set(xlabel=f"samples of {y}", ylabel=f"samples of {x}")
    return ax
