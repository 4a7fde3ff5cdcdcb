"""MultiBench's data sets as self-supervised tasks: affect clips (MOSI, MOSEI, UR-FUNNY, MUStARD) and MIMIC stays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError
from neural.datasets.mimic import TASK, load_mimic
from neural.datasets.multibench import AFFECT, Sequences, binary_labels, load_affect
from neural.sequences.data import SequenceSet, standardised
from neural.sequences.task import SequenceTask

__all__ = ["MULTIBENCH", "affect_sequences", "mimic_sequences", "multibench_sequences"]

MULTIBENCH = (*AFFECT, "mimic")


def multibench_sequences(
    key: str,
    root: Path,
    *,
    target: str | None = None,  # None is "vision" ("static" of MIMIC)
    auxiliaries: Sequence[str] | None = None,  # None is "text" ("series" of MIMIC)
    label_rule: str | None = None,  # see `binary_labels`; None is the data set's own
    mimic_task: int = TASK,  # see `load_mimic`
    scale: bool = True,  # standardise affect features by the training part; MIMIC's always are
) -> SequenceTask:
    """A data set of MultiBench; the target and auxiliary of the paper, unless others are named."""
    if key == "mimic":
        return mimic_sequences(root, target=target or "static", auxiliaries=auxiliaries, task=mimic_task)
    if key not in AFFECT:
        raise UnknownNameError(key, MULTIBENCH, "MultiBench data set")
    return affect_sequences(
        key, root, target=target or "vision", auxiliaries=auxiliaries, label_rule=label_rule, scale=scale
    )


def affect_sequences(
    key: str,
    root: Path,
    *,
    target: str = "vision",
    auxiliaries: Sequence[str] | None = None,
    label_rule: str | None = None,
    scale: bool = True,
) -> SequenceTask:
    """Clips of an affect data set, word by word; arguments as in `multibench_sequences`."""
    data = load_affect(key, root)
    rule = label_rule or AFFECT[key].labels
    helpers = tuple(auxiliaries or ("text",))
    known = data.parts["train"].arrays
    for name in (target, *helpers):
        if name not in known:
            raise UnknownNameError(name, known)
    parts = [_clips(data.parts[part], target, rule, part) for part in ("train", "valid", "test")]
    helping = {name: _clips(data.parts["train"], name, rule, "train") for name in helpers}
    if scale:
        parts = standardised(*parts)
        helping = {name: standardised(clips)[0] for name, clips in helping.items()}
    about = {"label rule": rule, "standardised": scale, **data.about}
    train, val, test = parts
    return SequenceTask(key, target, ("0", "1"), train, val, test, helping, about=about)


def mimic_sequences(
    root: Path, *, target: str = "static", auxiliaries: Sequence[str] | None = None, task: int = TASK
) -> SequenceTask:
    """Stays of MIMIC: five numbers as one step ("static"), or 24 hours of twelve numbers ("series")."""
    data = load_mimic(root, task=task)
    known = ("static", "series")
    helpers = tuple(auxiliaries or (name for name in known if name != target))
    for name in (target, *helpers):
        if name not in known:
            raise UnknownNameError(name, known)

    def stays(part: str, name: str) -> SequenceSet:
        held = data.parts[part]
        values = held.static[:, None, :] if name == "static" else held.series
        return _labelled(
            values, np.full(len(held), values.shape[1]), held.labels, f"{part} stay ", f"{name} ({part})"
        )

    return SequenceTask(
        "mimic",
        target,
        tuple(map(str, range(data.n_classes))),
        stays("train", target),
        stays("valid", target),
        stays("test", target),
        {name: stays("train", name) for name in helpers},
        about={"task": task},
    )


def _clips(part: Sequences, modality: str, rule: str, name: str) -> SequenceSet:
    labels, counted = binary_labels(part.labels, rule)
    clips = _labelled(part.arrays[modality], part.lengths, labels, f"{name} clip ", f"{modality} ({name})")
    return clips.take(counted)


def _labelled(
    values: NDArray[Any], lengths: NDArray[np.int64], labels: NDArray[np.int64], group: str, name: str
) -> SequenceSet:
    groups = [f"{group}{row}" for row in range(len(lengths))]
    return SequenceSet(values, lengths, labels=labels, groups=groups, name=name)
