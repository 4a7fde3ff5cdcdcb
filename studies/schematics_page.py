"""Pages of a schematic: real pictures and sentences in frames, boxes and arrows, and a record of what was drawn.

Lengths are inches from the lower left corner, and a page is as wide as a column of the paper, so that type has the size
that it is printed in. Pictures have square orange frames and solid paths, texts round blue frames and dashed paths;
what both share is grey.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from neural.data.glyph_names import fine_texts
from neural.data.glyph_pictures import Jitter
from neural.data.glyphs import DEFAULT, draw_pool
from studies import harness

__all__ = [
    "MATH",
    "SMALL",
    "WIDTH",
    "Page",
    "Specimen",
    "class_name",
    "picture",
    "print_style",
    "sentence",
    "wrapped",
]

WIDTH = 5.5  # inches, the text width of the paper
SMALL = 7.0  # points, the least size of type
MATH = 10.0  # points; indices are set at 0.7 of it
_POOL, _SEED = "train", 0
_COLOURS = {
    "picture": harness.line_style(1)["color"],
    "text": harness.line_style(2)["color"],
    "shared": "black",
}


@dataclass(frozen=True, eq=False)
class Specimen:
    """A picture or a text of the project's data, and where it comes from.

    Attributes:
        what: "picture", "sentence" or "name".
        character: the class that it shows or speaks of.
        source: function and arguments that give it.
        text: what a text says; empty for a picture.
        pixels: (32, 32) uint8, ink 255, for a picture.
    """

    what: str
    character: str
    source: str
    text: str = ""
    pixels: NDArray[np.uint8] | None = None

    @property
    def ink(self) -> NDArray[np.uint8]:
        """Pixels of a picture."""
        if self.pixels is None:
            raise ValueError(f"{self.text!r}: a text has no pixels")
        return self.pixels


def picture(character: str, index: int, jitter: Jitter = DEFAULT.jitter) -> Specimen:
    """A picture of the training pool of the task "glyphs".

    Args:
        character: the class.
        index: which of its pictures, from 0.
        jitter: law of the random changes; the self-supervised study has another.

    Returns:
        Specimen.

    Example:
        >>> picture("é", 1).source
        "neural.data.glyphs.draw_pool: pool 'train', seed 0, picture 1"
    """
    drawn = draw_pool([character], _POOL, index + 1, jitter=jitter, seed=_SEED).pictures[index]
    source = f"neural.data.glyphs.draw_pool: pool {_POOL!r}, seed {_SEED}, picture {index}"
    if jitter != DEFAULT.jitter:
        source += f", {jitter}"
    return Specimen("picture", character, source, pixels=drawn)


def sentence(character: str, number: int) -> Specimen:
    """A sentence of the task "glyphs".

    Args:
        character: the class.
        number: which of its sentences, from 0.

    Returns:
        Specimen.

    Example:
        >>> sentence("é", 2).text
        'e carrying acute'
    """
    source = f"neural.data.glyph_names.fine_texts: sentence {number}"
    return Specimen("sentence", character, source, text=fine_texts(character)[number])


def wrapped(text: str, width: float, size: float = SMALL) -> str:
    r"""Break a text into lines, between words.

    Args:
        text: the text.
        width: of a line, in inches.
        size: points.

    Returns:
        Text with line breaks; a word that is too long has a line of its own.

    Example:
        >>> wrapped("e carrying acute", 0.7)
        'e carrying\nacute'
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        fits = TextPath((0, 0), longer, size=size).get_extents().width <= 72 * width
        lines = [*lines[:-1], longer] if lines and fits else [*lines, word]
    return "\n".join(lines)


@contextmanager
def print_style() -> Iterator[None]:
    """The project's figure style, at 300 dots per inch, in a ``with`` block.

    Yields:
        Nothing.
    """
    with harness.figure_style(), plt.rc_context({"savefig.dpi": 300, "axes.linewidth": 0.6}):
        yield


class Page:
    """A blank page, to be used under `print_style`. Places are (x, y) of a lower left corner, sizes width and height.

    A kind is "picture", "text" or "shared", and decides colour and line; a panel goes into the record.

    Args:
        name: of the figure, for the record.
        height: inches.

    Attributes:
        figure: the matplotlib figure.
        rows: one row per specimen drawn: figure, panel, what, class, text, source.
    """

    def __init__(self, name: str, height: float) -> None:
        self.name, self.height = name, height
        self.figure = plt.figure(figsize=(WIDTH, height), layout="none")
        self.ax = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, WIDTH), ylim=(0, height))
        self.ax.axis("off")
        self.rows: list[dict[str, str]] = []

    def plot(self, left: float, bottom: float, width: float, height: float) -> plt.Axes:
        """Axes for data."""
        sides = (left / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(sides)
        axes.tick_params(labelsize=SMALL)
        return axes

    def write(self, x: float, y: float, text: str, **look: Any) -> Text:  # noqa: ANN401
        """Type, its top left corner at a point unless said otherwise."""
        size = MATH if "$" in text else SMALL
        usual: dict[str, Any] = {"size": size, "va": "top", "linespacing": 1.15}
        return self.ax.text(x, y, text, **(usual | look))

    def heading(self, x: float, y: float, text: str) -> None:
        """A title in bold type."""
        self.write(x, y, text, size=8, weight="bold")

    def frame(self, x: float, y: float, width: float, height: float, **look: Any) -> Patch:  # noqa: ANN401
        """A rounded box behind everything."""
        usual: dict[str, Any] = {"facecolor": "0.96", "edgecolor": "none", "zorder": 0, "linewidth": 0.8}
        shape = FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.05", **(usual | look)
        )
        return self.ax.add_patch(shape)

    def show(self, specimen: Specimen, panel: str, x: float, y: float, side: float) -> None:
        """A picture in its frame."""
        self.pixels(specimen.ink, x, y, side)
        self.record(specimen, panel)

    def pixels(self, pixels: NDArray[np.uint8], x: float, y: float, side: float) -> None:
        """Pixels in the frame of a picture; ink is black."""
        self.ax.imshow(
            pixels, cmap="gray_r", vmin=0, vmax=255, extent=(x, x + side, y, y + side), aspect="auto",
            interpolation="nearest", zorder=2,
        )  # fmt: skip
        self.ax.add_patch(
            Rectangle((x, y), side, side, fill=False, edgecolor=_COLOURS["picture"], linewidth=0.9, zorder=3)
        )

    def card(self, specimen: Specimen, panel: str, x: float, y: float, width: float, height: float) -> None:
        """A text in its frame; a ValueError says that it does not fit."""
        lines = wrapped(specimen.text, width - 0.1)
        needed = 1.2 * SMALL / 72 * (1 + lines.count("\n"))
        if needed > height:
            raise ValueError(f"{specimen.text!r}: needs {needed:.2f} inches, the card has {height:g}")
        self.frame(x, y, width, height, facecolor="white", edgecolor=_COLOURS["text"], zorder=2)
        self.write(x + 0.05, y + height / 2, lines, va="center", zorder=4)
        self.record(specimen, panel)

    def letters(self, tokens: Sequence[str], x: float, y: float, side: float) -> None:
        """Tokens of a text, one small frame each."""
        for i, token in enumerate(tokens):
            self.ax.add_patch(
                Rectangle(
                    (x + i * side, y),
                    side,
                    side,
                    facecolor="white",
                    edgecolor=_COLOURS["text"],
                    linewidth=0.6,
                )
            )
            self.write(x + (i + 0.5) * side, y + side / 2, token, ha="center", va="center_baseline")

    def box(
        self, x: float, y: float, width: float, height: float, text: str = "", kind: str = "shared"
    ) -> None:
        """A part of a network."""
        edge = _COLOURS[kind]
        fill = "0.84" if kind == "shared" else tuple(1 - 0.16 * (1 - part) for part in to_rgb(edge))
        line = "--" if kind == "text" else "-"
        self.frame(x, y, width, height, facecolor=fill, edgecolor=edge, linestyle=line, zorder=2)
        self.write(x + width / 2, y + height / 2, text, ha="center", va="center", zorder=4)

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], kind: str = "shared", style: str = "-|>"
    ) -> None:
        """A path of data."""
        shape = FancyArrowPatch(
            start, end, arrowstyle=style, mutation_scale=7, shrinkA=0, shrinkB=0, color=_COLOURS[kind], linewidth=1.0,
            linestyle="--" if kind == "text" else "-", zorder=1,
        )  # fmt: skip
        self.ax.add_patch(shape)

    def mark(self, x: float, y: float, number: int) -> None:
        """The sign of a class."""
        marker = harness.line_style(number)["marker"]
        self.ax.plot([x], [y], marker, color="black", markersize=4.5, zorder=4)

    def record(self, specimen: Specimen, panel: str) -> None:
        """Note what is drawn."""
        self.rows.append({
            "figure": self.name, "panel": panel, "what": specimen.what, "class": class_name(specimen.character),
            "text": specimen.text, "source": specimen.source,
        })  # fmt: skip


def class_name(character: str) -> str:
    """How a class is called: the character and its name.

    Args:
        character: a named one.

    Returns:
        Text.

    Example:
        >>> class_name("é")
        'é latin small letter e with acute'
    """
    return f"{character} {unicodedata.name(character).lower()}"
