"""Pages of a schematic: real pictures and sentences in frames, boxes and arrows, and a record of what was drawn.

Lengths are inches from the lower left corner, and a page is as wide as a column of the paper, so that type has the size
that it is printed in. Pictures have square green frames and solid paths, texts round brown frames and dashed paths (the
other colours belong to arms, see `neural.results.figures`); what both share is grey.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from neural.results.figures import figure_style, place_style
from neural.worlds.glyph_names import fine_texts
from neural.worlds.glyph_pictures import Jitter
from neural.worlds.glyphs import DEFAULT, draw_pool

__all__ = ["MATH", "SMALL", "Page", "Specimen", "class_name", "picture", "print_style", "sentence", "wrapped"]

WIDTH = 5.5  # inches, the text width of the paper
SMALL = 7.0  # points, the least size of type
MATH = 10.0  # points; indices are set at 0.7 of it
_POOL, _SEED = "train", 0
_COLOURS = {"picture": place_style(4)["color"], "text": place_style(8)["color"], "shared": "black"}


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
    """The index-th picture of a character in the training pool of the task "glyphs", from 0."""
    drawn = draw_pool([character], _POOL, index + 1, jitter=jitter, seed=_SEED).pictures[index]
    source = f"neural.worlds.glyphs.draw_pool: pool {_POOL!r}, seed {_SEED}, picture {index}"
    if jitter != DEFAULT.jitter:
        source += f", {jitter}"
    return Specimen("picture", character, source, pixels=drawn)


def sentence(character: str, number: int) -> Specimen:
    """The number-th sentence of the task "glyphs" about a character, from 0."""
    source = f"neural.worlds.glyph_names.fine_texts: sentence {number}"
    return Specimen("sentence", character, source, text=fine_texts(character)[number])


def class_name(character: str) -> str:
    """How a class is called: the character and its name."""
    return f"{character} {unicodedata.name(character).lower()}"


def wrapped(text: str, width: float, size: float = SMALL) -> str:
    """Lines of some inches in type of some points, broken between words; too long a word has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        fits = TextPath((0, 0), longer, size=size).get_extents().width <= 72 * width
        lines = [*lines[:-1], longer] if lines and fits else [*lines, word]
    return "\n".join(lines)


@contextmanager
def print_style() -> Iterator[None]:
    """The project's figure style, at 300 dots per inch, in a ``with`` block."""
    with figure_style(), plt.rc_context({"savefig.dpi": 300, "axes.linewidth": 0.6}):
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

    def write(self, x: float, y: float, text: str, **look: Any) -> None:  # noqa: ANN401
        """Type, its top left corner at a point unless said otherwise."""
        usual: dict[str, Any] = {"size": MATH if "$" in text else SMALL, "va": "top", "linespacing": 1.15}
        self.ax.text(x, y, text, **(usual | look))

    def centred(self, x: float, y: float, text: str) -> None:
        """Type with its centre at a point, above boxes."""
        self.write(x, y, text, ha="center", va="center", zorder=4)

    def heading(self, x: float, y: float, text: str) -> None:
        """A title in bold type."""
        self.write(x, y, text, size=8, weight="bold")

    def frame(self, x: float, y: float, width: float, height: float, **look: Any) -> None:  # noqa: ANN401
        """A rounded box behind everything."""
        usual: dict[str, Any] = {"facecolor": "0.96", "edgecolor": "none", "zorder": 0, "linewidth": 0.8}
        corners = "round,pad=0,rounding_size=0.05"
        self.ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=corners, **(usual | look)))

    def square(self, x: float, y: float, side: float, **look: Any) -> None:  # noqa: ANN401
        """A frame with sharp corners."""
        self.ax.add_patch(Rectangle((x, y), side, side, **look))

    def show(self, specimen: Specimen, panel: str, x: float, y: float, side: float) -> None:
        """A picture in its frame."""
        self.pixels(specimen.ink, x, y, side)
        self._record(specimen, panel)

    def pixels(self, pixels: NDArray[np.uint8], x: float, y: float, side: float) -> None:
        """Pixels in the frame of a picture; ink is black."""
        place = (x, x + side, y, y + side)
        look: dict[str, Any] = {"cmap": "gray_r", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
        self.ax.imshow(pixels, extent=place, aspect="auto", zorder=2, **look)
        self.square(x, y, side, fill=False, edgecolor=_COLOURS["picture"], linewidth=0.9, zorder=3)

    def card(self, specimen: Specimen, panel: str, x: float, y: float, width: float, height: float) -> None:
        """A text in its frame; a ValueError says that it does not fit."""
        lines = wrapped(specimen.text, width - 0.1)
        needed = 1.2 * SMALL / 72 * (1 + lines.count("\n"))
        if needed > height:
            raise ValueError(f"{specimen.text!r}: needs {needed:.2f} inches, the card has {height:g}")
        self.frame(x, y, width, height, facecolor="white", edgecolor=_COLOURS["text"], zorder=2)
        self.write(x + 0.05, y + height / 2, lines, va="center", zorder=4)
        self._record(specimen, panel)

    def letters(self, tokens: Sequence[str], x: float, y: float, side: float) -> None:
        """Tokens of a text, one small frame each."""
        for i, token in enumerate(tokens):
            self.square(x + i * side, y, side, facecolor="white", edgecolor=_COLOURS["text"], linewidth=0.6)
            self.write(x + (i + 0.5) * side, y + side / 2, token, ha="center", va="center_baseline")

    def box(
        self, x: float, y: float, width: float, height: float, text: str = "", kind: str = "shared"
    ) -> None:
        """A part of a network."""
        edge = _COLOURS[kind]
        fill = "0.84" if kind == "shared" else tuple(1 - 0.16 * (1 - part) for part in to_rgb(edge))
        line = "--" if kind == "text" else "-"
        self.frame(x, y, width, height, facecolor=fill, edgecolor=edge, linestyle=line, zorder=2)
        self.centred(x + width / 2, y + height / 2, text)

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], kind: str = "shared", style: str = "-|>"
    ) -> None:
        """A path of data."""
        look: dict[str, Any] = {"color": _COLOURS[kind], "linestyle": "--" if kind == "text" else "-"}
        ends: dict[str, Any] = {"arrowstyle": style, "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0}
        self.ax.add_patch(FancyArrowPatch(start, end, linewidth=1.0, zorder=1, **look, **ends))

    def mark(self, x: float, y: float, number: int) -> None:
        """The sign of a class."""
        self.ax.plot([x], [y], place_style(number)["marker"], color="black", markersize=4.5, zorder=4)

    def _record(self, specimen: Specimen, panel: str) -> None:
        """Note what is drawn."""
        about = {"figure": self.name, "panel": panel, "what": specimen.what}
        about |= {"class": class_name(specimen.character), "text": specimen.text, "source": specimen.source}
        self.rows.append(about)
