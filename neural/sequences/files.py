"""A user's own token-level features as a task: safetensors files, in which nothing can be executed.

A file holds ``features``, (n, T, d) numbers or (n, T) whole numbers (tokens); which steps count, as ``mask`` (n, T) or
``lengths`` (n,), all of them where neither is there; and, where known, ``groups`` (n,) whole numbers, equal in two files
for counterparts. The target's file also holds ``labels`` (n,) and ``split`` (n,) with 0, 1, 2 for train, validation, test.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from fisherkit.files import write_atomic
from neural.datasets.array_files import read_safetensors
from neural.sequences.data import SequenceSet, pack, standardised
from neural.sequences.task import SequenceTask

__all__ = ["read_sequences", "sequences_from_files", "write_sequences"]


def write_sequences(path: Path, data: SequenceSet, split: NDArray[np.int64] | None = None) -> None:
    """Write sequences as `read_sequences` reads them; groups must be whole numbers in text form, split is 0, 1, 2."""
    arrays = {"features": data.values, "lengths": data.lengths}
    if data.labels is not None:
        arrays["labels"] = data.labels
    if data.groups is not None:
        try:
            arrays["groups"] = np.array([int(group) for group in data.groups], dtype=np.int64)
        except ValueError as error:
            raise ValueError(f"{data.name}: groups must be whole numbers in a file ({error})") from None
    if split is not None:
        arrays["split"] = np.asarray(split, dtype=np.int64)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    note = {} if data.vocabulary is None else {"vocabulary": json.dumps(data.vocabulary)}
    write_atomic(Path(path), save(tensors, metadata=note))


def read_sequences(path: Path, name: str) -> tuple[SequenceSet, NDArray[np.int64] | None]:
    """Sequences of a safetensors file (see the module's docstring), and the split where it has one."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: file not found")
    held = read_safetensors(path, noted=["vocabulary"])
    if "features" not in held:
        raise ValueError(f"{path}: no 'features'; it holds {', '.join(map(repr, held)) or 'nothing'}")
    features = held["features"]
    discrete = features.ndim == 2 and features.dtype.kind != "f"
    if features.ndim != 3 and not discrete:
        raise ValueError(
            f"{path}: features must be (n, T, d), or (n, T) whole numbers, got {features.dtype} of {features.shape}"
        )
    features = features.astype(np.int64 if discrete else np.float32, copy=False)
    n, steps = features.shape[:2]
    extras = {key: held[key] for key in ("lengths", "labels", "groups", "split") if key in held}
    for key, array in extras.items():
        if array.shape != (n,) or array.dtype.kind not in "iu":
            raise ValueError(
                f"{path}: {key} must be {n} whole numbers, got {array.dtype} of shape {array.shape}"
            )
    if "mask" in held and "lengths" in extras:
        raise ValueError(f"{path}: holds a mask and lengths; keep one of them")
    lengths = extras.get("lengths", np.full(n, steps))
    if "mask" in held:
        try:
            packed = pack(torch.from_numpy(features), torch.from_numpy(held["mask"].astype(bool)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        features, lengths = packed.values.numpy(), packed.lengths.numpy()
    vocabulary = int(held.get("vocabulary", max(2, int(features.max()) + 1))) if discrete else None
    groups = [str(group) for group in extras["groups"]] if "groups" in extras else None
    data = SequenceSet(features, lengths, vocabulary, extras.get("labels"), groups, f"{name} ({path.name})")
    return data, extras.get("split")


def sequences_from_files(
    target: Path, auxiliaries: Mapping[str, Path], *, target_name: str = "image", scale: bool = True
) -> SequenceTask:
    """A task from token-level features, such as DINOv2 patches and OpenLLaMA tokens.

    Args:
        target: file with labels and split.
        auxiliaries: {modality: file}; rows of validation and test, where a file has a split, are not read.
        target_name: name of the target modality.
        scale: whether continuous features are standardised by the training rows.

    Returns:
        SequenceTask; half against half can be compared only where all files have groups.

    Raises:
        ValueError: no labels, no split, a part without rows, and as `read_sequences`.
    """
    data, split = read_sequences(target, target_name)
    if data.labels is None or split is None:
        raise ValueError(
            f"{target}: the target's file needs 'labels' and 'split' (0 train, 1 validation, 2 test)"
        )
    parts: list[SequenceSet] = []
    for number, part in enumerate(("train", "validation", "test")):
        if not (split == number).any():
            raise ValueError(f"{target}: no row of the {part} part (split {number})")
        parts.append(data.take(split == number))
    helping = {}
    for name, path in auxiliaries.items():
        helper, its_split = read_sequences(path, name)
        helping[name] = helper if its_split is None else helper.take(its_split == 0)
    if scale:
        parts = standardised(*parts)
        helping = {name: standardised(helper)[0] for name, helper in helping.items()}
    classes = tuple(map(str, range(int(data.labels.max()) + 1)))
    files = {target_name: target.name, **{name: path.name for name, path in auxiliaries.items()}}
    about: dict[str, Any] = {"files": files, "standardised": scale}
    train, val, test = parts
    return SequenceTask(target.stem, target_name, classes, train, val, test, helping, about=about)
