"""A self-supervised task: sequences of a target modality, labels for the probe, sequences of others that may help."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fisherkit.checks import UnknownNameError
from fisherkit.streams import Seed, streams
from neural.sequences.data import SequenceSet

__all__ = ["SequenceTask", "disjoint_halves"]


@dataclass(frozen=True, eq=False)
class SequenceTask:
    """What is learned without labels, and what a linear probe is asked afterwards."""

    name: str  # of the data
    target: str  # name of the target modality
    classes: Sequence[str]  # names of the classes that labels number
    train: SequenceSet  # target sequences to learn from and to fit the probe on
    val: SequenceSet  # target sequences that settings are chosen by
    test: SequenceSet  # target sequences evaluated once
    # {modality: sequences} to learn from; labels are not used
    auxiliaries: Mapping[str, SequenceSet] = field(default_factory=dict)
    # {modality: sequences} of the same kind as an auxiliary's, about something else; may be empty
    unrelated: Mapping[str, SequenceSet] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)  # where the data come from, for the record

    def __post_init__(self) -> None:
        if self.target in self.auxiliaries:
            raise ValueError(f"{self.name}: {self.target!r} is the target and cannot be its own auxiliary")
        n = len(self.classes)
        for part, data in self.parts.items():
            if data.labels is None:
                raise ValueError(f"{self.name}: {part}: the probe needs labels")
            if data.labels.max() >= n:
                raise ValueError(f"{self.name}: {part}: label {data.labels.max()}, but there are {n} classes")
            if data.modality.dim != self.train.modality.dim or data.vocabulary != self.train.vocabulary:
                raise ValueError(f"{self.name}: {part}: {data.modality}, but train has {self.train.modality}")
        assert self.train.labels is not None
        if len(np.unique(self.train.labels)) < 2:
            raise ValueError(f"{self.name}: a probe needs at least two classes in the training part")
        for name, data in self.unrelated.items():
            if name not in self.auxiliaries:
                raise UnknownNameError(name, self.auxiliaries)
            if data.modality != self.auxiliaries[name].modality:
                raise ValueError(
                    f"{self.name}: unrelated {name}: {data.modality}, but {self.auxiliaries[name].modality} expected"
                )

    @property
    def parts(self) -> dict[str, SequenceSet]:
        """{"train", "val", "test": target sequences}."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def has_groups(self) -> bool:
        """Whether it is known which sequences are counterparts, so that halves can be made disjoint."""
        return self.train.groups is not None and all(a.groups is not None for a in self.auxiliaries.values())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all sequences and names."""
        held = [self.name, self.target, list(self.classes)]
        for what in (self.parts, self.auxiliaries, self.unrelated):
            held.append([f"{name} {data.fingerprint}" for name, data in what.items()])
        return hashlib.sha256(json.dumps(held).encode()).hexdigest()[:16]


def disjoint_halves(task: SequenceTask, seed: Seed) -> tuple[SequenceSet, dict[str, SequenceSet]]:
    """Half of what the target shows, and of each auxiliary what is not in that half: nothing has a counterpart."""
    if not task.has_groups:
        raise ValueError(
            f"{task.name}: which sequences are counterparts is not known; give groups to every modality"
        )
    groups = list(task.train.groups or ())
    names = np.array(sorted(set(groups)))
    order = streams(seed, ["halves"])["halves"].permutation(len(names))
    half = set(names[order[: (len(names) + 1) // 2]].tolist())
    target = task.train.take(np.array([group in half for group in groups]))
    rest = {}
    for name, data in task.auxiliaries.items():
        kept = np.array([group not in half for group in data.groups or ()])
        if not kept.any():
            raise ValueError(f"{task.name}: {name}: every sequence belongs to the target's half")
        rest[name] = data.take(kept)
    return target, rest
