"""Any folder of images with one subfolder per class, split already or not."""

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural.datasets.folders import IMAGE_SUFFIXES, UNREAD_SUFFIXES, list_files, list_folders
from neural.datasets.items import ImageDataset, Items
from neural.datasets.reading import DatasetError, listed
from neural.datasets.splitting import FRACTIONS, part_of, with_all_parts

__all__ = ["class_files", "read_folder"]


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
    where the folder holds classes; of train's files, keeping the proportions of `fractions`, where only some of train,
    val and test are there. Parts may be called as in `neural.datasets.splitting.PART_NAMES`, in any case; a folder of such
    a name with pictures in it, as "train" beside "bus" and "car", is a class.

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
        DatasetError: no classes, a class without images, val or test with other classes than train, parts among
            classes, parts without train, a name that is not UTF-8, links in a circle.

    Warns:
        UserWarning: pictures of kinds that are not read, such as .heic, are left out.
    """
    folder = Path(folder)
    found = list_folders(folder)
    given = _part_folders(folder, [sub for sub in found if sub not in skip])
    if not given:
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
    items, dealt = with_all_parts(items, classes, seed, fractions)
    about = {"layout": "folders"} | dealt
    left_out = list_files(folder, UNREAD_SUFFIXES)
    if left_out:
        kinds = sorted({Path(file).suffix.lower() for file in left_out})
        warnings.warn(
            f"{folder}: {len(left_out)} pictures are left out, as {', '.join(kinds)} files are not read here: "
            f"{listed(left_out)}; convert them, e.g. to .png",
            stacklevel=2,
        )
        about["left out"] = left_out
    return ImageDataset(name or folder.resolve().name, tuple(names), **items, source=folder, about=about)


def _part_folders(folder: Path, found: Collection[str]) -> dict[str, str]:
    """{part: its folder}; nothing where the folders are classes."""
    named = {sub: part for sub in found if (part := part_of(sub)) is not None}
    parts = {sub: part for sub, part in named.items() if list_folders(folder / sub)}
    if not parts:  # pictures in them: classes with such names, unless there is nothing but parts
        if len(named) > 1 and len(named) == len(found):
            raise DatasetError(
                folder,
                f"{listed(named)} are called like parts, but hold no class folders; expected e.g. {next(iter(named))}/CLASS",
            )
        return {}
    others = [sub for sub in found if sub not in parts]
    if others:
        raise DatasetError(
            folder,
            f"{listed(parts)} look like parts with class folders in them, but {listed(others)} beside them is none; "
            "move it elsewhere, or rename the parts if they are classes",
        )
    if len(set(parts.values())) < len(parts):
        raise DatasetError(folder, f"two folders are the same part: {listed(parts)}; merge them")
    if "train" not in parts.values():
        raise DatasetError(
            folder, f"{listed(parts)} are there, but no train to learn from; rename one of them, or add it"
        )
    return {part: sub for sub, part in parts.items()}


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
