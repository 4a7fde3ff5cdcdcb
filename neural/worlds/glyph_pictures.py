"""Pictures of characters, drawn from the font files that matplotlib ships, with jitter.

A character is drawn once per face, large and sharp (its master); a picture is a master after a small random change of
size, position and rotation, brought down to 32 x 32 pixels, with slight noise. Characters stand on a common baseline,
so that size and height tell "o" from "O" and a comma from an apostrophe; those too large for the canvas are shrunk.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, features
from torch import Tensor
from torch.nn import functional as F

from fisherkit.checks import UnknownNameError

__all__ = [
    "BOLD",
    "FACES",
    "MASTER_SIDE",
    "PLAIN",
    "SIDE",
    "STIX",
    "Jitter",
    "blurred",
    "characters_in",
    "draw_masters",
    "drawing_versions",
    "face_path",
    "jittered",
]

PLAIN = (
    "DejaVuSans",
    "DejaVuSans-Oblique",
    "DejaVuSansMono",
    "DejaVuSansMono-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
)
BOLD = (
    "DejaVuSans-Bold",
    "DejaVuSans-BoldOblique",
    "DejaVuSansMono-Bold",
    "DejaVuSansMono-BoldOblique",
    "DejaVuSerif-Bold",
    "DejaVuSerif-BoldItalic",
)
STIX = ("STIXGeneral", "STIXGeneralItalic", "STIXGeneralBol", "STIXGeneralBolIta")
FACES = PLAIN + BOLD + STIX

SIDE = 32  # pixels of a picture
MASTER_SIDE = 2 * SIDE
_EM = 48  # pixels of an em in a master: capitals are 35 high, 17 in a picture
_LARGEST = 50  # pixels of the longer side of a master's ink; what is larger is shrunk
_LINE = 0.36  # ems from the baseline up to the middle of the canvas, half-way between descenders and accents
_VERSION = 1  # raise when the same arguments would give other pictures

Pictures = NDArray[np.uint8]


def face_path(face: str) -> Path:
    """Font file of a face, in matplotlib's data folder."""
    if face not in FACES:
        raise UnknownNameError(face, FACES, "face")
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: this font is part of matplotlib but is not there; "
            "install matplotlib's own package (some distributions leave its fonts out)"
        )
    return path


@cache
def _coverage(face: str) -> frozenset[int]:
    return frozenset(FT2Font(str(face_path(face))).get_charmap())


def characters_in(faces: Iterable[str]) -> list[str]:
    """Characters, by code point, that every one of the faces has, also those without ink (spaces)."""
    return [chr(code) for code in sorted(frozenset.intersection(*(_coverage(face) for face in faces)))]


def drawing_versions(faces: Sequence[str] = FACES) -> dict[str, str | int]:
    """What masters depend on, for a cache's key: hash of the fonts, versions of FreeType and this code."""
    return {
        "fonts": _fonts_digest(tuple(faces)),
        "freetype": str(features.version("freetype2")),
        "drawing": _VERSION,
    }


@cache
def _fonts_digest(faces: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for face in faces:
        digest.update(hashlib.sha256(face_path(face).read_bytes()).digest())
    return digest.hexdigest()[:16]


def draw_masters(characters: Sequence[str], face: str) -> Pictures:
    """(n, 64, 64) uint8, ink 255: each character large, centred, on the common baseline; ink never touches the edge."""
    covered = _coverage(face)
    for character in characters:
        if len(character) != 1:
            raise ValueError(f"{character!r}: a picture shows one character, got {len(character)}")
        if ord(character) not in covered:
            raise ValueError(
                f"{face} has no glyph for {character!r} (U+{ord(character):04X}); "
                "leave it out or take another face"
            )
    fonts: dict[int, ImageFont.FreeTypeFont] = {}
    masters = np.zeros((len(characters), MASTER_SIDE, MASTER_SIDE), dtype=np.uint8)
    for master, character in zip(masters, characters, strict=True):
        master[:] = np.asarray(_draw_master(character, face, fonts))
    return masters


def _draw_master(character: str, face: str, fonts: dict[int, ImageFont.FreeTypeFont]) -> Image.Image:
    """One master; `fonts` keeps opened sizes of the face."""
    canvas = Image.new("L", (MASTER_SIDE, MASTER_SIDE))
    middle, em = 2 * _EM, _EM
    while True:
        if em not in fonts:
            # the basic layout draws a character by itself: no shaping, no dependence on optional libraries
            fonts[em] = ImageFont.truetype(face_path(face), em, layout_engine=ImageFont.Layout.BASIC)
        drawn = Image.new("L", (2 * middle, 2 * middle))
        ImageDraw.Draw(drawn).text((middle, middle), character, fill=255, font=fonts[em], anchor="ls")
        box = drawn.getbbox()
        if box is None:  # a space
            return canvas
        left, top, right, bottom = box
        longest = max(right - left, bottom - top)
        if longest <= _LARGEST:
            break
        em = min(em - 1, int(em * _LARGEST / longest))
    room = (MASTER_SIDE - _LARGEST) // 2
    above = round(MASTER_SIDE / 2 + _LINE * _EM) + top - middle
    y = min(max(above, room), MASTER_SIDE - room - (bottom - top))
    canvas.paste(drawn.crop(box), ((MASTER_SIDE - (right - left)) // 2, y))
    return canvas


@dataclass(frozen=True)
class Jitter:
    """Law of the random changes of a picture; all uniform but the noise.

    The defaults are legible to the eye, yet one picture of a class is far from telling all about it. With about half
    of each (size 0.88 to 1.08, shift 1.5, rotation 8, noise 0.04) one picture per class suffices for most within the
    family of faces that the encoder knows. Size is a factor; up to 1 with the default shift, ink stays inside the canvas.
    Shift is in pixels of the picture in each direction, rotation in degrees to either side, noise a standard deviation
    where ink is 1.
    """

    smallest: float = 0.55
    largest: float = 1.0
    shift: float = 3.0
    rotation: float = 15.0
    noise: float = 0.2

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """(count, 4): size, shift right and down (pixels), angle (degrees); the first of many are those of few."""
        low = np.array([self.smallest, -self.shift, -self.shift, -self.rotation])
        high = np.array([self.largest, self.shift, self.shift, self.rotation])
        return (low + (high - low) * rng.random((count, 4))).astype(np.float32)


def jittered(masters: Pictures, moves: NDArray[np.float32], noise: NDArray[np.float32]) -> Tensor:
    """(n, 32, 32) float32 in [0, 1]: masters moved as by `Jitter.draw`, averaged to half the size, noise added."""
    large = torch.from_numpy(masters)[:, None].to(torch.float32) / 255
    size, right, down, degrees = torch.from_numpy(moves).T
    angle = torch.deg2rad(degrees)
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    half = SIDE / 2  # grid coordinates run from -1 to 1
    x, y = right / half, down / half
    # where a pixel of the picture comes from in the master: the inverse of the move
    source = torch.stack([cos, -sin, -cos * x + sin * y, sin, cos, -sin * x - cos * y], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(source, list(large.shape), align_corners=False)
    moved = F.grid_sample(large, grid, align_corners=False)
    return (F.avg_pool2d(moved, 2)[:, 0] + torch.from_numpy(noise)).clamp_(0, 1)


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (n, h, w) pictures, sigma in pixels."""
    reach = int(np.ceil(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=pictures.dtype)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    rows = F.conv2d(pictures[:, None], weights[None, None, None], padding=(0, reach))
    return F.conv2d(rows, weights[None, None, :, None], padding=(reach, 0))[:, 0]
