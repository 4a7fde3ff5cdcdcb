"""Picture files of any kind as eight-bit RGB: depth scaled, transparency laid on white, turned upright; or refused by name."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

__all__ = ["read_picture", "to_rgb"]

_TRANSPARENT = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags
_SIXTEEN_BITS = frozenset({"PNG", "PPM", "JPEG2000"})  # formats whose mode "I" has 16 bits


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture as a person sees it, in eight-bit RGB.

    Grey levels of more than eight bits are scaled by the depth of the file, transparent parts show white, an orientation
    tag is obeyed, CMYK and palettes become colours, and of an animation or a file of several pages the first picture is
    taken. (The released code of the paper ignores orientation tags and clips deep grey levels to white.)

    Args:
        image: of any mode.

    Returns:
        Picture of mode RGB; the same object where nothing is to be done.

    Raises:
        ValueError: brightness without a known range: whole numbers of 32 bits, or floats outside [0, 1].

    Example:
        >>> clear = Image.new("RGBA", (1, 1), (0, 0, 0, 0))
        >>> to_rgb(clear).getpixel((0, 0))
        (255, 255, 255)
        >>> deep = Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.uint16))
        >>> [to_rgb(deep).getpixel((x, 0))[0] for x in range(3)]
        [0, 128, 255]
    """
    bits = _depth(image) if image.mode.startswith("I") else 8
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if bits > 8:
        levels = np.asarray(image).astype(np.float64) / (2**bits - 1)
        image = Image.fromarray(np.rint(255 * levels.clip(0, 1)).astype(np.uint8))
    elif image.mode == "F":
        image = Image.fromarray(_from_floats(image))
    elif image.mode in _TRANSPARENT or "transparency" in image.info:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _depth(image: Image.Image) -> int:
    """Bits of a grey level, 9 to 16."""
    tags = getattr(image, "tag_v2", {})
    bits = int(tags.get(_BITS_PER_SAMPLE, (16,))[0])
    if (image.mode == "I" and image.format not in _SIXTEEN_BITS) or bits > 16:
        raise ValueError(
            "its grey levels are whole numbers of 32 bits, which say neither what is black nor what is white; save it with "
            "8 or 16 bits"
        )
    if tags.get(_PHOTOMETRIC) == 0:
        raise ValueError("its largest grey level means black; save it so that 0 means black")
    return bits


def _from_floats(image: Image.Image) -> NDArray[np.uint8]:
    """Brightness in [0, 1]."""
    levels = np.asarray(image)
    if not (np.isfinite(levels).all() and levels.min() >= 0 and levels.max() <= 1):
        raise ValueError(
            f"its grey levels are floats from {levels.min():g} to {levels.max():g}, and only 0 (black) to 1 (white) has a "
            "known meaning; scale them, or save it with 8 or 16 bits"
        )
    return np.rint(255 * levels).astype(np.uint8)


def read_picture(path: Path) -> Image.Image:
    """Open a file, decode all of it, and make it eight-bit RGB.

    Args:
        path: a picture of any format that Pillow reads.

    Returns:
        Picture, see `to_rgb`.

    Raises:
        ValueError: no picture, a damaged one, or one that cannot be read rightly; names the file.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return to_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path}: this image cannot be opened ({error}); fetch it again, or leave it out of the list"
        ) from error
