"""Files of features for ImageNet-ESC: sounds by fold, images by path, one vector per class name."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fisherkit.streams import streams
from neural.datasets.array_files import read_npz, read_safetensors, read_torch
from neural.datasets.audio import Esc50, EscPair
from neural.datasets.items import Items, named_by
from neural.datasets.reading import DatasetError, listed, read_json

__all__ = ["FOLDS", "Images", "Sounds", "read_images", "read_names", "read_sounds"]

FOLDS = 5
_WNID = re.compile(r"n\d{8}")
_SOUND_KEYS = ("features", "labels", "labelnames", "paths")
Features = NDArray[np.float32]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sounds:
    """Features of ESC-50's clips.

    Attributes:
        clips: what is known of them, in the order of ESC-50's table within each fold.
        features: (n, d), one row per clip.
    """

    clips: Esc50
    features: Features

    @property
    def labels(self) -> Labels:
        """(n,) joint labels."""
        return np.asarray(self.clips.clips.labels)

    def pool(self, split: int) -> Mask:
        """(n,) mask of the clips that a split (0 to 4) trains and validates on, one fold; it tests on the others."""
        return np.asarray(self.clips.folds == split + 1)

    def subset(self, shots: int, split: int) -> tuple[Labels, Labels]:
        """Rows in the pool: the first k clips of each class to train on, the next k to validate (`Esc50.fold`)."""
        inside = np.flatnonzero(self.pool(split))
        row_of = {self.clips.clips.paths[i]: row for row, i in enumerate(inside)}
        train, val, _ = self.clips.fold(split + 1, shots)
        of_train, of_val = ([row_of[path] for path in part.paths] for part in (train, val))
        return np.array(of_train), np.array(of_val)


@dataclass(frozen=True, eq=False)
class Images:
    """Features of ImageNet's images of the chosen classes.

    Attributes:
        features: (n, d).
        labels: (n,) joint labels.
        names: n file names, without folders.
        test: (n,) whether an image is of ImageNet's validation part, which tests.
        wnids: C WordNet numbers, in the order of joint labels.
        indices: folder of published few-shot files of ImageNet, ``shot_K-seed_S.json``; None draws.
    """

    features: Features
    labels: Labels
    names: tuple[str, ...]
    test: Mask
    wnids: tuple[str, ...]
    indices: Path | None = None

    def pool(self, split: int) -> Mask:
        """(n,) mask of the images that shots are taken from: ImageNet's training part, whatever the split."""
        return ~self.test

    def subset(self, shots: int, split: int) -> tuple[Labels, Labels]:
        """Rows in the pool: the published subset of seed split + 1, or k drawn per class and min(k, 4) others."""
        if self.indices is not None:
            return self._published(self.indices / f"shot_{shots}-seed_{split + 1}.json")
        labels = self.labels[~self.test]
        stream = f"image subset of {shots} shots"
        rng = streams(split, [stream])[stream]
        train, val = [], []
        for label, wnid in enumerate(self.wnids):
            rows = rng.permutation(np.flatnonzero(labels == label))
            if len(rows) < shots + 1:
                raise ValueError(
                    f"{wnid}: {len(rows)} training images with features; {shots} shots need at least {shots + 1}, "
                    "one of them to validate on"
                )
            train.append(rows[:shots])
            val.append(rows[shots : shots + min(shots, 4)])
        return np.concatenate(train), np.concatenate(val)

    def _published(self, path: Path) -> tuple[Labels, Labels]:
        row_of = {self.names[i]: row for row, i in enumerate(np.flatnonzero(~self.test))}
        content: Any = read_json(path)
        found = []
        for part in ("train", "val"):
            try:
                listing = [str(entry["impath"]).split("/") for entry in content[part]["data"]]
            except (TypeError, KeyError):
                raise DatasetError(path, f"{part}: expected a list 'data' of objects with 'impath'") from None
            ours = [folders[-1] for folders in listing if set(self.wnids) & set(folders)]
            lacking = [name for name in ours if name not in row_of]
            if lacking or not ours:
                problem = f"no features of {listed(lacking)}" if lacking else "no image of the chosen classes"
                raise DatasetError(path, f"{part}: {problem}")
            found.append(np.array([row_of[name] for name in ours], dtype=np.int64))
        return found[0], found[1]


def read_sounds(path: Path, pairs: Sequence[EscPair]) -> Sounds:
    """Read a file of AudioCLIP features in the layout of the released extraction (Lin et al. 2023).

    Args:
        path: .pt file, a dictionary {fold - 1: {"features": (n, d), "labels": (n,) ESC-50's class numbers, "labelnames":
            n names, "paths": n paths}} for the five folds, clips in the order of ESC-50's table. Only tensors and plain
            containers are accepted; nothing in the file is executed.
        pairs: the classes wanted, from `neural.datasets.audio.imagenet_esc`.

    Returns:
        Sounds of these classes.

    Raises:
        MissingError: no such file.
        DatasetError: a file of another layout, or without these classes.
    """
    content = read_torch(path)
    if not isinstance(content, Mapping):
        raise DatasetError(path, f"expected a dictionary, found {type(content).__name__}")
    if sorted(content, key=str) != list(range(FOLDS)):
        raise DatasetError(path, f"expected the keys 0 to 4, one per fold; found {listed(content)}")
    names: dict[int, str] = {}
    features, labels, paths = [], [], []
    for fold in range(FOLDS):
        part, where = content[fold], f"fold {fold + 1}"
        lacking = [key for key in _SOUND_KEYS if not (isinstance(part, Mapping) and key in part)]
        if lacking:
            raise DatasetError(path, f"{where}: no {listed(lacking)}")
        rows = torch.as_tensor(part["features"]).float().numpy()
        numbers = torch.as_tensor(part["labels"]).numpy()
        sizes = {"labels": len(numbers), "labelnames": len(part["labelnames"]), "paths": len(part["paths"])}
        if rows.ndim != 2 or numbers.dtype.kind not in "iu" or set(sizes.values()) != {len(rows)}:
            raise DatasetError(
                path,
                f"{where}: expected (n, d) features and n whole labels, names and paths; got features {rows.shape}, "
                + ", ".join(f"{count} {key}" for key, count in sizes.items()),
            )
        for number, name in zip(numbers.tolist(), part["labelnames"], strict=True):
            called = str(name).replace(" ", "_")
            if names.setdefault(number, called) != called:
                raise DatasetError(
                    path, f"{where}: label {number} is {called!r} here, {names[number]!r} before"
                )
        features.append(rows)
        labels.append(numbers.astype(np.int64))
        paths += [posixpath.basename(str(name).replace("\\", "/")) for name in part["paths"]]
    if len({rows.shape[1] for rows in features}) > 1:
        raise DatasetError(path, f"folds differ in width: {[rows.shape[1] for rows in features]} features")
    with named_by(path):
        clips = Items(path.parent, tuple(paths), np.concatenate(labels))
        folds = np.repeat(np.arange(1, FOLDS + 1), [len(rows) for rows in features])
        classes = tuple(names.get(number, "") for number in range(max(names, default=-1) + 1))
        chosen = Esc50(clips, classes, folds, ("",) * len(paths)).select(tuple(pairs))
    row_of = {name: row for row, name in enumerate(paths)}
    return Sounds(chosen, np.concatenate(features)[[row_of[name] for name in chosen.clips.paths]])


def read_images(path: Path, pairs: Sequence[EscPair], indices: Path | None = None) -> Images:
    """Read features of images, stored with their paths.

    Args:
        path: .npz with `features` (n, d) and `paths` (n strings), or .safetensors with the tensor `features` and a
            JSON list `paths` in its metadata. A path has its class's WordNet number as a folder, and the folder "val" if
            the image is of ImageNet's validation part: ``train/n01514668/x.JPEG``, ``val/n01514668/y.JPEG``. Images of
            other classes are left out.
        pairs: the classes wanted.
        indices: folder of published few-shot files, see `Images`.

    Returns:
        Images.

    Raises:
        MissingError: no such file.
        DatasetError: another layout, a path without a class, a class without images in one of the parts.
    """
    features, paths = _load_listed(path, "paths")
    joint = {pair.wnid: label for label, pair in enumerate(pairs)}
    rows, labels, names, test = [], [], [], []
    for row, name in enumerate(paths):
        *folders, file = name.replace("\\", "/").split("/")
        wnid = next((folder for folder in reversed(folders) if _WNID.fullmatch(folder)), None)
        if wnid is None:
            raise DatasetError(path, f"paths[{row}]: {name!r} has no folder named by a WordNet number")
        if wnid in joint:
            rows.append(row)
            labels.append(joint[wnid])
            names.append(file)
            test.append("val" in folders)
    of_label, of_test = np.array(labels, dtype=np.int64), np.array(test, dtype=bool)
    for part, chosen in (("train", ~of_test), ("val", of_test)):
        there = set(of_label[chosen].tolist())
        lacking = [wnid for wnid, label in joint.items() if label not in there]
        if lacking:
            raise DatasetError(path, f"{len(lacking)} classes have no image below {part}/: {listed(lacking)}")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DatasetError(path, f"images that appear twice: {listed(twice)}")
    return Images(features[rows], of_label, tuple(names), of_test, tuple(joint), indices)


def read_names(path: Path, pairs: Sequence[EscPair]) -> Features:
    """Read one text vector per class.

    Args:
        path: .npz with `features` (n, d) and `classes` (n strings), or .safetensors with the tensor and a JSON list
            `classes` in its metadata. Classes go by WordNet number, ImageNet's name or ESC-50's category.
        pairs: the classes wanted.

    Returns:
        (C, d), in the order of joint labels.

    Raises:
        MissingError: no such file.
        DatasetError: another layout, a class without a vector.
    """
    features, classes = _load_listed(path, "classes")
    row_of = {_plain(name): row for row, name in enumerate(classes)}
    rows = []
    for pair in pairs:
        known = [name for name in (pair.wnid, pair.name, pair.category) if _plain(name) in row_of]
        if not known:
            raise DatasetError(
                path, f"no vector of {pair.name!r} ({pair.wnid}); classes there: {listed(classes)}"
            )
        rows.append(row_of[_plain(known[0])])
    return features[rows]


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_")


def _load_listed(path: Path, key: str) -> tuple[Features, list[str]]:
    """(n, d) features, and n strings under a key."""
    if path.suffix == ".npz":
        held = read_npz(path, {"features", key}.__contains__)
    elif path.suffix == ".safetensors":
        held = read_safetensors(path, {"features"}.__contains__, [key])
    else:
        raise DatasetError(path, "features are read from .npz or .safetensors files")
    if not {"features", key} <= held.keys():
        raise DatasetError(path, f"expected 'features' and {key!r}; one of them is not there")
    features, names = held["features"], held[key]
    names = names.tolist() if isinstance(names, np.ndarray) else names
    if features.ndim != 2 or not isinstance(names, list) or len(names) != len(features):
        count = len(names) if isinstance(names, list) else "no list of"
        raise DatasetError(
            path, f"expected (n, d) features and n {key}; got features {features.shape} and {count} {key}"
        )
    return np.asarray(features, dtype=np.float32), [str(name) for name in names]
