"""Test sets that shift away from ImageNet: V2, Sketch, A and R; the last two have 200 of its classes."""

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import UnknownNameError
from neural.datasets.folders import list_folders
from neural.datasets.image_folder import class_files
from neural.datasets.imagenet import ClassNames, read_classnames
from neural.datasets.items import Items
from neural.datasets.reading import DatasetError, MissingError, listed

__all__ = ["SHIFTS", "Shift", "ShiftedTest", "load_shifted"]


@dataclass(frozen=True)
class Shift:
    """Where a shifted test set lies; numbered: class folders are called 0 to 999, not by WordNet number."""

    key: str
    title: str
    folder: str
    images: str
    n_classes: int
    n_images: int
    numbered: bool
    fetch: str


_V2 = "imagenetv2-matched-frequency"
SHIFTS = MappingProxyType({
    shift.key: shift
    for shift in (
        Shift(
            "imagenetv2", "ImageNet-V2", "imagenetv2", f"{_V2}-format-val", 1000, 10_000, True,
            f"https://s3-us-west-2.amazonaws.com/imagenetv2public/{_V2}.tar.gz, unpacked in imagenetv2/",
        ),
        Shift(
            "imagenet_sketch", "ImageNet-Sketch", "imagenet-sketch", "images", 1000, 50_889, False,
            "https://github.com/HaohanWang/ImageNet-Sketch: its class folders into imagenet-sketch/images/",
        ),
        Shift(
            "imagenet_a", "ImageNet-A", "imagenet-adversarial", "imagenet-a", 200, 7_500, False,
            "https://github.com/hendrycks/natural-adv-examples: imagenet-a.tar, unpacked in imagenet-adversarial/",
        ),
        Shift(
            "imagenet_r", "ImageNet-R", "imagenet-rendition", "imagenet-r", 200, 30_000, False,
            "https://github.com/hendrycks/imagenet-r: imagenet-r.tar, unpacked in imagenet-rendition/",
        ),
    )
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class ShiftedTest:
    """Files to test an ImageNet classifier on.

    Attributes:
        name: short name.
        items: files; labels are positions in `label_map`.
        label_map: (C,) ImageNet labels of the classes that the set has, ascending.
        classes: their names.
    """

    name: str
    items: Items
    label_map: NDArray[np.int64]
    classes: tuple[str, ...]

    @property
    def imagenet_labels(self) -> NDArray[np.int64]:
        """(n,) labels in ImageNet's own numbering."""
        return self.label_map[self.items.labels]

    def restrict(self, scores: ArrayLike) -> NDArray:
        """(..., K) scores of ImageNet's classes to (..., C) of this set's, among which the prediction is."""
        scores = np.asarray(scores)
        if scores.ndim < 1 or scores.shape[-1] <= self.label_map.max():
            raise ValueError(
                f"{self.name}: scores of shape {scores.shape} lack ImageNet class {self.label_map.max()}; "
                "pass the scores of all classes"
            )
        return scores[..., self.label_map]


def load_shifted(key: str, root: Path, *, classnames: ClassNames | None = None) -> ShiftedTest:
    """Read a shifted ImageNet test set; ``classnames.txt`` is its own or, where it has none, ImageNet's."""
    if key not in SHIFTS:
        raise UnknownNameError(key, SHIFTS, "shifted test set")
    shift = SHIFTS[key]
    base = Path(root) / shift.folder
    if classnames is None:
        own = base / "classnames.txt"
        classnames = read_classnames(own if own.is_file() else Path(root) / "imagenet" / "classnames.txt")
    images = base / shift.images
    there = set(list_folders(images))
    total = len(classnames.wnids)
    folders = [str(label) for label in range(total)] if shift.numbered else list(classnames.wnids)
    strange = sorted(there - set(folders))
    if strange:
        raise DatasetError(images, f"{len(strange)} folders are not classes of ImageNet: {listed(strange)}")
    if not there:
        raise MissingError(images, "no class folders")
    if shift.n_classes == 1000:
        lacking = [sub for sub in folders if sub not in there]
        if lacking:
            raise MissingError(
                images, f"{len(lacking)} of {total} class folders are missing: {listed(lacking)}"
            )
    label_map = np.array([label for label, sub in enumerate(folders) if sub in there], dtype=np.int64)
    label_map.flags.writeable = False
    paths, labels = class_files(images, [folders[label] for label in label_map])
    return ShiftedTest(
        key,
        Items(images, paths, labels),
        label_map,
        tuple(classnames.names[label] for label in label_map),
    )
