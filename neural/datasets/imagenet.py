"""ImageNet: a list of class names, folders named by WordNet number, and a validation part that has to be made."""

import re
from dataclasses import dataclass
from pathlib import Path

from neural.datasets.coop import read_split
from neural.datasets.folders import list_folders
from neural.datasets.image_folder import class_files
from neural.datasets.items import ImageDataset, Items
from neural.datasets.reading import DatasetError, MissingError, listed, read_lines
from neural.datasets.spec import DatasetSpec
from neural.datasets.splitting import split_by_class

__all__ = ["ClassNames", "read_classnames", "read_imagenet"]

VAL_FRACTION = 0.2  # of the training images, as in the split of Lin et al. (2023)
CARVE_SEED = 0


@dataclass(frozen=True)
class ClassNames:
    """ImageNet's classes in label order: WordNet numbers, ascending, and names, of which two may be the same."""

    wnids: tuple[str, ...]
    names: tuple[str, ...]


def read_classnames(path: Path) -> ClassNames:
    """Read ``classnames.txt``: per line a WordNet number, a space, a display name; numbers must ascend."""
    pairs = []
    for line in read_lines(path):
        wnid, _, called = line.partition(" ")
        if not re.fullmatch(r"n\d{8}", wnid) or not called.strip():
            raise DatasetError(
                path, f"{line[:80]!r}: expected a WordNet number, a space and a name (n01440764 tench)"
            )
        pairs.append((wnid, called.strip()))
    wnids = [wnid for wnid, _ in pairs]
    at = next((i for i in range(1, len(wnids)) if wnids[i] <= wnids[i - 1]), None)
    if at is not None:
        raise DatasetError(
            path,
            f"line {at + 1}: {wnids[at]} after {wnids[at - 1]}; labels are ranks, so numbers must ascend",
        )
    if len(pairs) < 2:
        raise DatasetError(path, f"only {len(pairs)} classes")
    return ClassNames(tuple(wnids), tuple(called for _, called in pairs))


def read_imagenet(spec: DatasetSpec, root: Path) -> ImageDataset:
    """Train and validation from ``split_ImageNet.json``, or, where it is absent, from ``images/train``."""
    folder = spec.locate(Path(root))
    images = spec.image_folder(Path(root))
    split = next((place for place in spec.split_places(Path(root)) if place.is_file()), None)
    if split is not None:
        return read_split(split, images, name=spec.key, folders=spec.folders, image_root=spec.image_root)
    known = read_classnames(folder / "classnames.txt")
    whole = _part(images, "train", known)
    # the 50,000 images of images/val are the test part in either case, and never selected on
    train, val, _ = split_by_class(
        whole.paths, whole.labels.tolist(), known.wnids, CARVE_SEED, (1 - VAL_FRACTION, VAL_FRACTION, 0.0)
    )
    about = {"layout": "imagenet", "dealt": ["val"], "seed": CARVE_SEED, "val_fraction": VAL_FRACTION}
    return ImageDataset(
        spec.key, known.names, whole.take(train), whole.take(val), _part(images, "val", known), folder, about
    )


def _part(images: Path, part: str, known: ClassNames) -> Items:
    there = list_folders(images / part)
    lacking = sorted(set(known.wnids) - set(there))
    if lacking:
        hint = " (validation images must be sorted into folders named by WordNet number)"
        problem = (
            f"{len(lacking)} of {len(known.wnids)} class folders are missing{hint if part == 'val' else ''}"
        )
        raise MissingError(images / part, f"{problem}: {listed(lacking)}")
    strange = sorted(set(there) - set(known.wnids))
    if strange:
        raise DatasetError(
            images / part, f"{len(strange)} folders are not in classnames.txt: {listed(strange)}"
        )
    paths, labels = class_files(images / part, known.wnids)
    return Items(images, tuple(f"{part}/{path}" for path in paths), labels)
