"""Pictures by row number, from memory or from files; and the classification tasks made of them."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neural.datasets.items import ImageDataset, draw_per_class
from neural.datasets.reading import DatasetError
from neural.embed.images import ImageTransform, read_image
from neural.store.array_cache import content_key
from neural.transfer.model import PatchSettings
from neural.worlds.glyph_pictures import SIDE, Pictures
from neural.worlds.glyphs import GlyphSettings, glyph_pools

__all__ = ["ArrayPictures", "FilePictures", "PictureSet", "PictureTask", "file_task", "glyph_task"]


class PictureSet(Protocol):
    """Labelled pictures."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) class numbers."""

    def __len__(self) -> int: ...

    def take(self, rows: Tensor) -> Tensor:
        """Some of them as the network reads them, (b, c, side, side) float32."""


@dataclass(frozen=True, eq=False)
class ArrayPictures:
    """Grey pictures in memory, brought to mean 0 and standard deviation 1 by two numbers of the training set."""

    pictures: Pictures  # (n, side, side) uint8
    labels: NDArray[np.int64]  # (n,) int64
    mean: float  # of all pixels of the training set, 0 to 255
    std: float  # likewise, > 0

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor) -> Tensor:
        """(b, 1, side, side) float32 pictures of the given row numbers."""
        chosen = torch.from_numpy(self.pictures[rows.numpy()]).to(torch.float32)
        return ((chosen - self.mean) / self.std)[:, None]


class FilePictures:
    """Image files, opened when they are asked for, by `workers` threads (None: up to eight)."""

    def __init__(
        self,
        files: Sequence[Path],
        labels: NDArray[np.int64],
        transform: ImageTransform,
        workers: int | None = None,
    ) -> None:
        self.files, self.labels, self.transform = list(files), labels, transform
        self._pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1))

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: Tensor) -> Tensor:
        """(b, 3, side, side) float32 pictures of the given row numbers; a file that cannot be decoded is named."""
        pixels = self._pool.map(lambda row: self.transform(read_image(self.files[row])), rows.tolist())
        return torch.from_numpy(np.stack(list(pixels)))


@dataclass(frozen=True, eq=False)
class PictureTask:
    """Pictures of C classes to learn from, to select by, and to report on."""

    name: str  # short
    n_classes: int  # C
    train: PictureSet  # to learn from
    val: PictureSet  # to select by
    test: PictureSet  # to report on
    settings: PatchSettings  # sizes of pictures and patches
    fingerprint: str  # hash of everything that the pictures depend on
    about: dict[str, Any]  # where they come from, for the record


def glyph_task(
    settings: GlyphSettings, *, patch: int = 8, seed: int = 0, cache: Path | None = None
) -> PictureTask:
    """Printed characters, 32 x 32 grey pixels; drawn, not downloaded. `cache` keeps the search for look-alikes."""
    pools = glyph_pools(settings, seed=seed, cache=cache)
    pixels = pools["train"].pictures
    mean, std = float(pixels.mean()), float(pixels.std())
    train, val, test = (
        ArrayPictures(pools[part].pictures, pools[part].labels, mean, std)
        for part in ("train", "val", "test")
    )
    about = {"source": "glyphs", "settings": asdict(settings), "seed": seed}
    return PictureTask(
        "glyphs",
        settings.n_classes,
        train,
        val,
        test,
        PatchSettings(1, SIDE, patch),
        content_key({**about, "train": _digest(pixels), "patch": patch}),
        about,
    )


def file_task(
    dataset: ImageDataset,
    *,
    side: int = 224,
    patch: int = 16,
    look_at: int | None = None,  # pictures per class at most in validation and test; None takes all
    workers: int | None = None,
) -> PictureTask:
    """Image files, resized and cropped in the middle; ImageNet's statistics; no augmentation."""
    transform = ImageTransform.named("imagenet", side)
    n_classes = len(dataset.classes)
    parts = dict(dataset.parts)
    for part, items in parts.items():
        if not len(items):
            raise DatasetError(
                dataset.source, f"{part}: no files; training, selection and test need some each"
            )
        if look_at is not None and part != "train":
            parts[part] = items.take(draw_per_class(items.labels, look_at, n_classes, seed=0))
    sets = {
        part: FilePictures(items.files, items.labels, transform, workers) for part, items in parts.items()
    }
    about = {"source": str(dataset.source), "counts": {part: len(items) for part, items in parts.items()}}
    listed = {part: [list(items.paths), items.labels.tolist()] for part, items in parts.items()}
    return PictureTask(
        dataset.name,
        n_classes,
        sets["train"],
        sets["val"],
        sets["test"],
        PatchSettings(3, side, patch),
        content_key({"files": listed, "side": side, "patch": patch}),
        about,
    )


def _digest(pixels: Pictures) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]
