"""FGVC Aircraft: the one data set of the field whose split is given by text lists, not by a JSON file."""

from pathlib import Path

import numpy as np

from neural.datasets.items import PARTS, ImageDataset, Items, named_by
from neural.datasets.reading import DatasetError, listed, read_lines
from neural.datasets.spec import DatasetSpec

__all__ = ["read_aircraft"]


def read_aircraft(spec: DatasetSpec, root: Path) -> ImageDataset:
    """Read ``variants.txt`` (class order) and ``images_variant_{train,val,test}.txt`` (image id, space, variant)."""
    folder = spec.locate(Path(root))
    variants = read_lines(folder / "variants.txt")
    if len(set(variants)) < len(variants):
        twice = sorted({v for v in variants if variants.count(v) > 1})
        raise DatasetError(folder / "variants.txt", f"variants are listed twice: {listed(twice)}")
    number = {variant: label for label, variant in enumerate(variants)}
    parts = {}
    for part in PARTS:
        path = folder / f"images_variant_{part}.txt"
        paths, labels = [], []
        for line in read_lines(path):
            image, _, variant = line.partition(" ")
            if variant.strip() not in number:
                raise DatasetError(
                    path,
                    f"{line!r}: expected an image id, a space and a variant of variants.txt (which may hold spaces)",
                )
            paths.append(f"{image}.jpg")
            labels.append(number[variant.strip()])
        with named_by(path):
            parts[part] = Items(spec.image_folder(Path(root)), tuple(paths), np.array(labels, dtype=np.int64))
    return ImageDataset(spec.key, tuple(variants), **parts, source=folder, about={"layout": "fgvc_aircraft"})
