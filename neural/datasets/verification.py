"""Opening every image of a data set, to find the broken ones before an encoder meets them."""

import warnings
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from neural.datasets.pictures import to_rgb
from neural.datasets.reading import shown

__all__ = ["BrokenImage", "verify_images"]


@dataclass(frozen=True)
class BrokenImage:
    """A file that is no usable image, and what opening it said."""

    path: Path
    problem: str

    def __str__(self) -> str:
        return f"{shown(str(self.path))}: {self.problem}"


def verify_images(files: Iterable[Path], *, workers: int = 1) -> list[BrokenImage]:
    """The images that cannot be decoded completely and rightly, or exceed Pillow's limit for decompression bombs."""
    paths = [Path(file) for file in files]
    if workers <= 1:
        problems = [_problem(path) for path in paths]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            problems = list(pool.map(_problem, paths, chunksize=256))
    return [
        BrokenImage(path, problem)
        for path, problem in zip(paths, problems, strict=True)
        if problem is not None
    ]


def _problem(path: Path) -> str | None:
    """What is wrong with an image; None if it can be decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata does not keep an image from being used
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                to_rgb(image)
    except FileNotFoundError:
        return "file not found"
    except Exception as error:  # noqa: BLE001  decoders raise whatever their format's parser raises
        return str(error) or type(error).__name__
    return None
