"""Images: opened, resized, cropped and standardised with Pillow and NumPy, the same on every machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fisherkit.checks import UnknownNameError
from neural.datasets.pictures import read_picture, to_rgb

__all__ = ["ImageTransform", "native_transform", "read_image"]

_STATISTICS = {  # per channel, of pixel values in [0, 1]
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


@dataclass(frozen=True)
class ImageTransform:
    """What happens to an image before a network sees it.

    Attributes:
        resize: pixels of the shorter side after resizing, or (height, width) regardless of the aspect.
        crop: (height, width) of the central part that is kept; None keeps all.
        mean: per channel, of values in [0, 1].
        std: per channel.
        resample: Pillow's name of the interpolation, e.g. "bicubic".
        flip: mirror left and right, for a second view.
    """

    resize: int | tuple[int, int] = 224
    crop: tuple[int, int] | None = (224, 224)
    mean: tuple[float, ...] = _STATISTICS["clip"][0]
    std: tuple[float, ...] = _STATISTICS["clip"][1]
    resample: str = "bicubic"
    flip: bool = False

    @staticmethod
    def named(statistics: str, size: int = 224) -> "ImageTransform":
        """Shorter side resized (bicubic), central square; statistics of "clip", "imagenet" (as in DINO) or "half"."""
        if statistics not in _STATISTICS:
            raise UnknownNameError(statistics, [*_STATISTICS, "native"], "preprocessing")
        mean, std = _STATISTICS[statistics]
        return ImageTransform(size, (size, size), mean, std)

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of what comes out; None where it depends on the image."""
        return self.crop or (self.resize if isinstance(self.resize, tuple) else None)

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """(3, height, width) float32 pixels for the network, from an image of any mode and size."""
        image = to_rgb(image)
        width, height = image.size
        if isinstance(self.resize, tuple):
            target = (self.resize[1], self.resize[0])
        elif width <= height:  # the longer side is cut down to whole pixels, as torchvision does
            target = (self.resize, int(self.resize * height / width))
        else:
            target = (int(self.resize * width / height), self.resize)
        if target != image.size:
            image = image.resize(target, Image.Resampling[self.resample.upper()])
        if self.crop is not None:
            top = round((image.height - self.crop[0]) / 2)
            left = round((image.width - self.crop[1]) / 2)
            # beyond the image Pillow fills with black
            image = image.crop((left, top, left + self.crop[1], top + self.crop[0]))
        if self.flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = np.asarray(image, dtype=np.float32) / 255
        pixels = (pixels - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def native_transform(settings: Mapping[str, Any], name: str) -> ImageTransform:
    """The transform that a checkpoint's own ``preprocessor_config.json`` asks for."""
    size = settings.get("size", 224)
    resize = _extent(size, name)
    crop = None
    if settings.get("do_center_crop", False):
        extent = _extent(settings.get("crop_size", 224), name)
        crop = extent if isinstance(extent, tuple) else (extent, extent)
    elif isinstance(size, int):  # old files: one number means a square unless a crop follows
        resize = (size, size)
    mean, std = _STATISTICS["half"]
    if not settings.get("do_normalize", True):
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return ImageTransform(
        resize,
        crop,
        tuple(settings.get("image_mean") or mean),
        tuple(settings.get("image_std") or std),
        Image.Resampling(settings.get("resample", 3)).name.lower(),
    )


def _extent(size: int | Mapping[str, int], name: str) -> int | tuple[int, int]:
    if isinstance(size, int):
        return size
    if isinstance(size, Mapping) and "shortest_edge" in size and "longest_edge" not in size:
        return int(size["shortest_edge"])
    if isinstance(size, Mapping) and {"height", "width"} <= set(size):
        return int(size["height"]), int(size["width"])
    raise ValueError(
        f"{name}: image size {size!r} of its preprocessor_config.json is not understood; "
        "pass preprocessing='clip' or an ImageTransform"
    )


def read_image(source: Path | Image.Image) -> Image.Image:
    """A picture in memory as it is; a file as `neural.datasets.pictures.read_picture` reads it."""
    return source if isinstance(source, Image.Image) else read_picture(source)
