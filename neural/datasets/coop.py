"""The field's JSON files: splits in the CoOp layout, and few-shot index files made for them.

A split (``split_zhou_NAME.json``, Zhou et al. 2022) is ``{"train", "val", "test": [[path, label, class name], ...]}``.
An index file (``shot_K-seed_S.json``, Lin et al. 2023) is ``{"train", "val": {"data": [{"impath", "label", "classname"},
...], "indices": [position in the split, ...]}}``; its paths carry a prefix of another machine.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from fisherkit.files import write_atomic
from neural.datasets.items import PARTS, FewShotItems, ImageDataset, Items, missing_labels, named_by
from neural.datasets.reading import DatasetError, listed, plain_text, read_json, shown
from neural.datasets.spec import DatasetSpec

__all__ = ["read_coop", "read_few_shot", "read_split", "reroot", "write_split"]


def reroot(path: str, folders: Sequence[str], image_root: str = "") -> str:
    """A path as another machine wrote it, relative to the image root; what stays absolute, `Items` refuses."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    inner = PurePosixPath(image_root).parts
    for folder in folders:
        head = (folder, *inner)
        for start in range(len(parts) - len(head) - 1, -1, -1):
            if parts[start : start + len(head)] == head:
                return "/".join(parts[start + len(head) :])
    if inner and parts[: len(inner)] == inner and len(parts) > len(inner):
        parts = parts[len(inner) :]
    return str(PurePosixPath(*parts)) if parts else ""


def read_coop(spec: DatasetSpec, root: Path) -> ImageDataset:
    """A data set of the registry whose split is a CoOp JSON file; whether the images exist is not checked."""
    path = spec.locate_split(Path(root))
    folder = spec.image_folder(Path(root))
    return read_split(path, folder, name=spec.key, folders=spec.folders, image_root=spec.image_root)


def read_split(
    path: Path, root: Path, *, name: str | None = None, folders: Sequence[str] = (), image_root: str = ""
) -> ImageDataset:
    """Read a CoOp split; paths may carry a prefix, everything else must be right.

    Args:
        path: the JSON file.
        root: folder to which its image paths are relative.
        name: short name of the data set; None takes the file's.
        folders: names of the data set's folder, to strip from paths.
        image_root: name of the image folder below it, to strip from paths.

    Returns:
        ImageDataset; whether the images exist is not looked at.

    Raises:
        DatasetError: not in this format, gaps in the labels, two names for one label, a file listed twice or in two
            parts.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in PARTS):
        has = (
            f"an object with {listed(content)}"
            if isinstance(content, dict)
            else f"a {type(content).__name__}"
        )
        raise DatasetError(path, f"a split is an object with lists train, val and test, but this holds {has}")
    names: dict[int, str] = {}
    parts: dict[str, Items] = {}
    for part in PARTS:
        paths, labels = [], []
        for row, entry in enumerate(content[part]):
            where = f"{part}[{row}]"
            if not isinstance(entry, list) or len(entry) != 3:
                raise DatasetError(path, f"{where}: expected [path, label, class name], got {_brief(entry)}")
            label, called = _label(entry[1], path, where), plain_text(entry[2], path, f"{where}: class name")
            if names.setdefault(label, called) != called:
                raise DatasetError(
                    path, f"{where}: label {label} is called {called!r} here and {names[label]!r} before"
                )
            image = reroot(plain_text(entry[0], path, f"{where}: path"), folders, image_root)
            paths.append(image)
            labels.append(label)
        with named_by(path, f"{part}: "):
            parts[part] = Items(Path(root), tuple(paths), np.array(labels, dtype=np.int64))
    count, first = missing_labels(names)
    if count:
        raise DatasetError(
            path, f"labels have gaps: {listed(first, count)} of 0 to {max(names)} are not used"
        )
    classes = tuple(names[label] for label in range(len(names)))
    about = {"layout": "coop", "split": path.name}
    return ImageDataset(name or path.stem, classes, **parts, source=path, about=about)


def write_split(dataset: ImageDataset, path: Path) -> None:
    """Write a data set's split as a CoOp JSON file for others to use; all parts must have one root."""
    if len({items.root for items in dataset.parts.values() if len(items)}) > 1:
        raise ValueError(f"{dataset.name}: the parts lie below different folders; a split file has one root")
    content = {
        part: [
            [image, int(label), dataset.classes[label]]
            for image, label in zip(items.paths, items.labels, strict=True)
        ]
        for part, items in dataset.parts.items()
    }
    write_atomic(Path(path), json.dumps(content, indent=1).encode())


def read_few_shot(
    path: Path, dataset: ImageDataset, *, folders: Sequence[str] = (), image_root: str = ""
) -> FewShotItems:
    """A few-shot index file, in its order; each position, path, label and class name must be the split's."""
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise DatasetError(
            path, f"an index file is an object with train and val, not a {type(content).__name__}"
        )
    train, val = (_chosen(content, part, path, dataset, folders, image_root) for part in ("train", "val"))
    return FewShotItems(train, val, path)


def _chosen(
    content: Mapping[str, object],
    part: str,
    path: Path,
    dataset: ImageDataset,
    folders: Sequence[str],
    image_root: str,
) -> Items:
    """The rows of one part, each compared with the split."""
    listing = content.get(part)
    if not isinstance(listing, dict) or not all(
        isinstance(listing.get(k), list) for k in ("data", "indices")
    ):
        raise DatasetError(path, f"{part}: expected an object with the lists data and indices")
    data, indices = listing["data"], listing["indices"]
    if len(data) != len(indices):
        raise DatasetError(path, f"{part}: {len(data)} entries in data, but {len(indices)} indices")
    whole = dataset.parts[part]
    for row, (entry, index) in enumerate(zip(data, indices, strict=True)):
        where = f"{part}: data[{row}]"
        if not isinstance(entry, dict):
            raise DatasetError(path, f"{where}: expected an object with impath, label and classname")
        image = reroot(plain_text(entry.get("impath"), path, f"{where}: impath"), folders, image_root)
        label = _label(entry.get("label"), path, where)
        called = plain_text(entry.get("classname"), path, f"{where}: classname")
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(whole):
            raise DatasetError(
                path,
                f"{part}: indices[{row}] is {_brief(index)}, but the split's {part} has {len(whole)} files",
            )
        wanted = (whole.paths[index], int(whole.labels[index]), dataset.classes[whole.labels[index]])
        if (image, label, called) != wanted:
            raise DatasetError(
                path,
                f"{where} is {_brief([image, label, called])}, but position {index} of {part} in "
                f"{dataset.source.name} is {_brief(list(wanted))}; this index file was made for another split; use the one it belongs to",
            )
    if len(set(indices)) < len(indices):
        raise DatasetError(path, f"{part}: a file is chosen twice")
    return whole.take(indices)


def _label(value: object, path: Path, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise DatasetError(path, f"{where}: a label is a whole number from 0 upwards, got {_brief(value)}")
    return value


def _brief(value: object) -> str:
    """A value of a JSON file, short enough for a message."""
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return shown(text if len(text) <= 160 else text[:160] + "...")
