"""MIMIC-III as MultiBench hands it out (``im.pk``): five numbers per stay, and twelve per hour of its first day."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural.datasets.array_trees import Tree, read_tree
from neural.datasets.multibench import find_file
from neural.datasets.reading import DatasetError, listed

__all__ = ["MIMIC_FETCH", "MimicData", "Stays", "load_mimic", "mimic_data"]

MIMIC_FILE = "im.pk"
MIMIC_FETCH = (
    "im.pk: restricted; with a MIMIC-III licence of PhysioNet, from the authors of MultiBench by e-mail "
    "(https://github.com/pliang279/MultiBench), into multibench/"
)
TASK = 7  # Gupta et al. 2025 use MultiBench's task 7
SPLIT_SEED = 10  # of Python's own generator, as MultiBench shuffles


@dataclass(frozen=True, eq=False)
class Stays:
    """n stays of one part: (n, 5) static numbers, (n, 24, 12) per hour, (n,) classes."""

    static: NDArray[np.float32]
    series: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class MimicData:
    """MIMIC for one task: -1 for mortality (6 classes), 0 to 19 for a group of ICD-9 codes (2 classes)."""

    task: int
    n_classes: int
    parts: Mapping[str, Stays]


def load_mimic(root: Path, *, task: int = TASK) -> MimicData:
    """Read ``multibench/im.pk`` or its npz conversion; `task` is -1 for mortality, or 0 to 19."""
    path = find_file(MIMIC_FILE, Path(root))
    return mimic_data(read_tree(path), path, task=task)


def mimic_data(tree: Tree, path: Path, *, task: int = TASK) -> MimicData:
    """Split as MultiBench does (80, 10 and 10 percent), and scale by the training part alone."""
    wanted = {"ep_tdata": 3, "adm_features_all": 2, "adm_labels_all": 2, "y_icd9": 2}
    lacking = [name for name in wanted if not isinstance(tree.get(name), np.ndarray)]
    if lacking:
        raise DatasetError(path, f"no array {listed(lacking)}; it holds {listed(map(repr, tree), len(tree))}")
    arrays = {name: np.asarray(tree[name]) for name in wanted}
    shapes = {name: array.shape for name, array in arrays.items()}
    n = len(arrays["ep_tdata"])
    if (
        any(array.ndim != wanted[name] or array.dtype.kind not in "fiub" for name, array in arrays.items())
        or {len(array) for array in arrays.values()} != {n}
        or shapes["adm_labels_all"][1] < 6
    ):
        raise DatasetError(path, f"arrays do not fit: {shapes}; expected one row per stay in each")
    if n < 10:
        raise DatasetError(path, f"only {n} stays; a tenth of them is the validation part")
    groups = shapes["y_icd9"][1]
    if isinstance(task, bool) or not -1 <= task < groups:
        raise ValueError(
            f"task {task!r}: expected -1 (mortality) or 0 to {groups - 1} (a group of ICD-9 codes)"
        )
    order = list(range(n))
    random.Random(SPLIT_SEED).shuffle(order)
    tenth = n // 10
    rows = {"train": order[2 * tenth :], "valid": order[:tenth], "test": order[tenth : 2 * tenth]}
    if task < 0:
        flags = arrays["adm_labels_all"][:, 1:6] == 1
        labels = np.where(flags.any(axis=1), flags.argmax(axis=1) + 1, 0)
    else:
        labels = (arrays["y_icd9"][:, task] == 1).astype(np.int64)
    # MultiBench scales by all stays before it splits, so that validation and test leak into training
    static = _standardised(arrays["adm_features_all"], rows["train"], axes=(0,))
    series = _standardised(arrays["ep_tdata"], rows["train"], axes=(0, 1))
    return MimicData(
        task,
        6 if task < 0 else 2,
        {part: Stays(static[at], series[at], labels[at].astype(np.int64)) for part, at in rows.items()},
    )


def _standardised(array: NDArray, train: list[int], axes: tuple[int, ...]) -> NDArray[np.float32]:
    """Mean 0 and variance 1 of each feature over the training stays (and their hours)."""
    # as in MultiBench, values that are not finite become 0 first
    values = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    mean, scale = values[train].mean(axis=axes), values[train].std(axis=axes)
    scale = np.where(scale > 1e-12 * np.maximum(np.abs(mean), 1), scale, 1)
    return ((values - mean) / scale).astype(np.float32)
