"""Splits of one's own: class by class, by seed, whatever the order of the files and whichever other classes exist."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fisherkit.streams import streams
from neural.datasets.items import PARTS, Items

__all__ = ["FRACTIONS", "PART_NAMES", "part_of", "split_by_class", "with_all_parts"]

#: What users call the parts, in any case.
PART_NAMES = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip

FRACTIONS = (0.5, 0.2, 0.3)  # train, val, test: those of the field's own splits (Zhou et al. 2022)


def split_by_class(
    paths: Sequence[str],
    labels: Sequence[int],
    classes: Sequence[str],
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Deal the files of each class to train, val and test.

    Args:
        paths: n file names; they decide who is dealt what, their order does not.
        labels: n class numbers.
        classes: names of the classes, each of which draws from a stream of its own.
        seed: whole number >= 0.
        fractions: shares of train, val and test, not negative, train's positive, sum 1.

    Returns:
        Rows of train, val and test, each in ascending order. A class has at least one file in train; val and test get
        the nearest whole share of the class.

    Raises:
        ValueError: fractions that are no shares.

    Example:
        >>> [part.tolist() for part in split_by_class(["a", "b", "c", "d"], [0, 0, 0, 0], ["x"], 0, (0.5, 0.25, 0.25))]
        [[1, 2], [0], [3]]
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if shares.shape != (3,) or (shares < 0).any() or shares[0] <= 0 or abs(shares.sum() - 1) > 1e-9:
        raise ValueError(
            f"fractions: expected shares of train, val and test that sum to 1, train's positive, got {fractions}"
        )
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    by_class: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        by_class.setdefault(int(label), []).append(row)
    for label, rows in by_class.items():
        rng = streams(seed, [classes[label]])[classes[label]]
        rows.sort(key=lambda row: paths[row])
        dealt = [rows[i] for i in rng.permutation(len(rows))]
        val = round(len(rows) * shares[1])
        test = min(round(len(rows) * shares[2]), len(rows) - 1)
        val = min(val, len(rows) - 1 - test)
        parts[1].extend(dealt[:val])
        parts[2].extend(dealt[val : val + test])
        parts[0].extend(dealt[val + test :])
    train, val_rows, test_rows = (np.array(sorted(part), dtype=np.int64) for part in parts)
    return train, val_rows, test_rows


def part_of(name: str) -> str | None:
    """The part that a folder's or a column's word means: train, val or test; None where it means none."""
    return PART_NAMES.get(name.strip().lower())


def with_all_parts(
    given: Mapping[str, Items],
    classes: Sequence[str],
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> tuple[dict[str, Items], dict[str, object]]:
    """Deal the parts that are not given from train's files, keeping the proportions of `fractions`.

    Args:
        given: {"train": files, and perhaps "val", "test"}.
        classes: their names.
        seed: of the parts that are dealt.
        fractions: shares of train, val and test of a whole.

    Returns:
        {part: files} of all three, and what is to be said of it: which parts were dealt, and how.
    """
    parts = dict(given)
    wanted = [part for part in PARTS if part == "train" or part not in parts]
    if len(wanted) == 1:
        return parts, {"dealt": []}
    whole = parts["train"]
    shares = np.array([
        share if part in wanted else 0.0 for part, share in zip(PARTS, fractions, strict=True)
    ])
    train, val, test = (shares / shares.sum()).tolist()
    dealt = split_by_class(whole.paths, whole.labels.tolist(), classes, seed, (train, val, test))
    parts |= {part: whole.take(rows) for part, rows in zip(PARTS, dealt, strict=True) if part in wanted}
    return parts, {"dealt": wanted, "seed": seed, "fractions": list(fractions)}
