"""Image data sets of Hugging Face's `datasets`, written out as folders: what reads files then needs to know no other form."""

import importlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from fisherkit.checks import UnknownNameError
from neural.datasets.image_folder import read_folder
from neural.datasets.items import ImageDataset
from neural.datasets.pictures import to_rgb
from neural.datasets.reading import DatasetError, listed, shown
from neural.datasets.splitting import PART_NAMES, part_of

__all__ = ["export_images", "from_hub"]


def from_hub(
    name: str,
    folder: Path,
    *,
    image: str = "image",
    label: str = "label",
    revision: str | None = None,
    seed: int = 0,
) -> ImageDataset:
    """Export a data set of the hub, or one saved on disk by `datasets`, and read the export.

    Needs the package `datasets`; where `folder` exists already it is only read, and nothing is needed.

    Args:
        name: hub name, or folder of a saved data set.
        folder: where the images go, as ``PART/CLASS/NUMBER.png``.
        image: column of images.
        label: column of class numbers.
        revision: of the hub's data set; None takes the newest.
        seed: deals parts that the data set does not have.

    Returns:
        ImageDataset.

    Raises:
        ImportError: `datasets` is not installed.
    """
    folder = Path(folder)
    if not folder.is_dir():
        try:
            datasets = importlib.import_module("datasets")
        except ImportError as error:
            raise ImportError(
                "reading data sets of the Hugging Face hub needs the package datasets (pip install datasets); "
                "or export them as folders, one per class, and use read_folder"
            ) from error
        held: Any = (
            datasets.load_from_disk(name)
            if Path(name).is_dir()
            else datasets.load_dataset(name, revision=revision)
        )
        export_images(held, folder, image=image, label=label)
    return read_folder(folder, seed=seed)


def export_images(
    parts: Mapping[str, Iterable[Mapping[str, Any]]],
    folder: Path,
    *,
    image: str = "image",
    label: str = "label",
    classes: list[str] | None = None,
) -> None:
    """Write images as PNG files, losslessly; the folder appears once it is complete.

    Args:
        parts: {part: rows}; a row has a Pillow image and a class number. A `DatasetDict` is one.
        folder: must not exist yet.
        image: name of the image in a row.
        label: name of the class number.
        classes: class names; None takes them from the columns' description (`features[label].names`).

    Raises:
        DatasetError: the folder exists, a part has an unknown name, a row lacks the image or label, or classes have
            names that make no folders.
        UnknownNameError: a label column without class names.
    """
    folder = Path(folder)
    if folder.exists():
        raise DatasetError(folder, "exists already; choose another folder, or read this one")
    unknown = [part for part in parts if part_of(part) is None]
    if unknown or "train" not in parts:
        raise DatasetError(
            folder,
            f"parts are {listed(parts)}; expected train and perhaps {listed(set(PART_NAMES) - {'train'})}",
        )
    if classes is None:
        features = getattr(parts["train"], "features", {})
        if label not in features or not hasattr(features[label], "names"):
            raise UnknownNameError(label, features, "column with class names")
        classes = list(features[label].names)
    bad = [name for name in classes if not name or name.startswith(".") or "/" in name or "\0" in name]
    if bad or len(set(classes)) < len(classes):
        raise DatasetError(folder, f"class names that make no folders of their own: {listed(bad or classes)}")
    made = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        for part, rows in parts.items():
            for number, row in enumerate(rows):
                picture, at = row.get(image), row.get(label)
                if not (isinstance(picture, Image.Image) and isinstance(at, int) and 0 <= at < len(classes)):
                    raise DatasetError(
                        folder,
                        f"row {number} of {shown(part)}: no image in {image!r}, or no class number in {label!r}",
                    )
                place = made / str(part_of(part)) / classes[at]
                place.mkdir(parents=True, exist_ok=True)
                plain = picture if picture.mode in ("RGB", "L", "RGBA") else to_rgb(picture)
                plain.save(place / f"{number:07d}.png")
        os.replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
