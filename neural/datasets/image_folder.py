"""Any folder of images with one subfolder per class, split already or not."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural.datasets.folders import IMAGE_SUFFIXES, list_files, list_folders
from neural.datasets.items import PARTS, ImageDataset, Items
from neural.datasets.reading import DatasetError, listed
from neural.datasets.splitting import FRACTIONS, split_by_class

__all__ = ["class_files", "read_folder"]

PART_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def read_folder(
    folder: Path,
    *,
    seed: int = 0,
    fractions: tuple[float, float, float] = FRACTIONS,
    name: str | None = None,
    display_names: Mapping[str, str] | None = None,
    skip: Collection[str] = (),
    suffixes: Collection[str] = IMAGE_SUFFIXES,
) -> ImageDataset:
    """Read ``FOLDER/<class>/*.jpg``, or ``FOLDER/{train,val,test}/<class>/*.jpg``.

    Classes are numbered in sorted order of their folders' names. Parts without a folder are dealt by seed: all three
    where the folder holds classes; of train's files, keeping the proportions of `fractions`, where only some of
    ``train``, ``val`` (or ``valid``, ``validation``) and ``test`` are there.

    Args:
        folder: where the classes, or train, val and test, lie.
        seed: of the parts that are dealt.
        fractions: shares of train, val and test.
        name: short name; None takes the folder's.
        display_names: {folder name: class name} where they differ.
        skip: class folders to leave out.
        suffixes: endings that count as images.

    Returns:
        ImageDataset.

    Raises:
        DatasetError: no classes, a class without images, val or test with other classes than train, a name that is
            not UTF-8, links in a circle.
    """
    folder = Path(folder)
    found = list_folders(folder)
    given = {part: sub for sub in found if (part := PART_FOLDERS.get(sub)) is not None}
    split_already = "train" in given and len(given) == len(found)
    if not split_already:
        classes = [sub for sub in found if sub not in skip]
        base, parts = folder, {"train": class_files(folder, classes, suffixes)}
    else:
        base = folder / given["train"]
        classes = [sub for sub in list_folders(base) if sub not in skip]
        parts = {
            part: class_files(folder / sub, classes, suffixes, only=part == "train", skip=skip)
            for part, sub in given.items()
        }
    if not classes:
        raise DatasetError(base, "no class folders; expected one subfolder of images per class")
    names = [(display_names or {}).get(sub, sub) for sub in classes]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DatasetError(base, f"two class folders have one display name: {listed(twice)}")
    items = {part: Items(folder / given.get(part, ""), *files) for part, files in parts.items()}
    about: dict[str, object] = {"layout": "folders", "dealt": []}
    wanted = [part for part in PARTS if part == "train" or part not in items]
    if len(wanted) > 1:
        whole = items["train"]
        given_shares = zip(PARTS, fractions, strict=True)
        shares = np.array([share if part in wanted else 0.0 for part, share in given_shares])
        train, val, test = (shares / shares.sum()).tolist()
        dealt = split_by_class(whole.paths, whole.labels.tolist(), classes, seed, (train, val, test))
        items |= {p: whole.take(rows) for p, rows in zip(PARTS, dealt, strict=True) if p in wanted}
        about |= {"dealt": wanted, "seed": seed, "fractions": list(fractions)}
    return ImageDataset(name or folder.resolve().name, tuple(names), **items, source=folder, about=about)


def class_files(
    folder: Path,
    classes: Collection[str],
    suffixes: Collection[str] = IMAGE_SUFFIXES,
    *,
    only: bool = True,
    skip: Collection[str] = (),
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Relative paths of the files in class folders, and as labels the positions of the classes."""
    folder = Path(folder)
    there = list_folders(folder)
    strange = [sub for sub in there if sub not in classes and sub not in skip]
    if strange and not only:
        raise DatasetError(
            folder, f"{len(strange)} folders are not among the classes of train: {listed(strange)}"
        )
    paths: list[str] = []
    labels: list[int] = []
    empty: list[str] = []
    for label, sub in enumerate(classes):
        files = list_files(folder / sub, suffixes) if sub in there else []
        if not files:
            empty.append(sub)
        paths.extend(f"{sub}/{file}" for file in files)
        labels.extend([label] * len(files))
    if empty and only:
        raise DatasetError(
            folder,
            f"{len(empty)} of {len(classes)} class folders hold no image (no file ending in "
            f"{', '.join(sorted(suffixes))}): {listed(empty)}",
        )
    return tuple(paths), np.array(labels, dtype=np.int64)
