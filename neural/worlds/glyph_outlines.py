"""The outline of a character as the path of a pen: a sequence of points, read from the font."""

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from numpy.typing import NDArray

from fisherkit.checks import as_whole
from neural.worlds.glyph_pictures import characters_in, draw_masters, face_path

__all__ = ["outline"]


def outline(character: str, face: str, points: int = 64) -> NDArray[np.float32]:
    """Points along the contours of a glyph, equally far apart, with the pen's state.

    The pen goes round each contour in the font's order and is lifted between contours, which is not counted as
    length. The first point of a contour has pen 0 (the pen moved there in the air), all others pen 1.

    Args:
        character: one character that the face has, with ink.
        face: one of `neural.worlds.glyph_pictures.FACES`.
        points: length of the sequence, >= 8.

    Returns:
        (points, 3) float32: x and y in ems (from the character's origin, y upwards), and the pen, 0 or 1.

    Raises:
        ValueError: the face lacks the character, it has no ink, or more contours than points.

    Example:
        >>> outline("I", "DejaVuSans", points=8)[:, 2]
        array([0., 1., 1., 1., 1., 1., 1., 1.], dtype=float32)
        >>> int((outline("Ö", "DejaVuSans")[:, 2] == 0).sum())  # two dots, outside and inside of the ring
        4
    """
    points = as_whole(points, "points", least=8)
    if len(character) != 1 or character not in characters_in([face]):
        raise ValueError(f"{face} has no glyph for {character!r}; an outline is of one character of the face")
    if not draw_masters([character], face).any():
        raise ValueError(f"{face}: {character!r} has no ink, so it has no outline")
    path = TextPath((0, 0), character, size=1, prop=FontProperties(fname=str(face_path(face))), usetex=False)
    polygons = [np.asarray(polygon, dtype=float) for polygon in path.to_polygons(closed_only=False)]
    contours = [polygon for polygon in polygons if len(polygon) > 1]
    lengths = [np.linalg.norm(np.diff(polygon, axis=0), axis=1) for polygon in contours]
    if len(contours) > points:
        raise ValueError(
            f"{face}: {character!r} has {len(contours)} contours; ask for at least as many points, not {points}"
        )
    shares = _shares(np.array([length.sum() for length in lengths]), points)
    parts = []
    for polygon, length, share in zip(contours, lengths, shares, strict=True):
        along = np.concatenate([[0.0], np.cumsum(length)])
        stops = np.linspace(0, along[-1], share, endpoint=False)  # the end is the beginning again
        pen = (np.arange(share) > 0).astype(float)
        parts.append(
            np.stack([np.interp(stops, along, polygon[:, 0]), np.interp(stops, along, polygon[:, 1]), pen], 1)
        )
    return np.concatenate(parts).astype(np.float32)


def _shares(lengths: NDArray, points: int) -> NDArray[np.int64]:
    """Points of each contour: one each, the rest in proportion to length (largest remainders)."""
    exact = (points - len(lengths)) * lengths / lengths.sum()
    shares = np.floor(exact).astype(np.int64)
    order = np.argsort(shares - exact, kind="stable")
    shares[order[: points - len(lengths) - shares.sum()]] += 1
    return shares + 1
