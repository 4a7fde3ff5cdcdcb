"""Pools of several modalities about the same classes, any of which can be the target of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fisherkit.checks import UnknownNameError
from neural.tasks.files import stratified_split
from neural.tasks.task import Embeddings, Task

__all__ = ["POOLS", "Modalities", "deal", "of_task"]

#: What a modality needs to be a target: rows to draw shots from, rows to validate by, rows to test on.
POOLS = ("train", "val", "test")


@dataclass(frozen=True, eq=False)
class Modalities:
    """Labelled rows of several modalities, of no common samples; each with pools of its own.

    With all of `POOLS` a modality can be the target; with "train" alone it can only help. The order of modalities decides
    where a shared head lives: in the space of the first auxiliary. `about` says where the data come from, for the record.

    Example:
        >>> import numpy as np
        >>> rows = Embeddings(np.eye(4), [0, 1, 0, 1])
        >>> pools = dict.fromkeys(POOLS, rows)
        >>> world = Modalities("tiny", ("a", "b"), {"text": {"train": rows}, "image": pools, "sound": pools})
        >>> world.targets
        ('image', 'sound')
        >>> list(world.task("sound", ["image", "text"]).auxiliaries)
        ['image', 'text']
    """

    name: str
    classes: Sequence[str]
    pools: Mapping[str, Mapping[str, Embeddings]]
    aligned: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    #: Runs that share their target rows; the rows of auxiliaries are the same in all repetitions here.
    runs_per_split = 1

    def __post_init__(self) -> None:
        if len(self.pools) < 2:
            raise ValueError(f"{self.name}: at least two modalities are needed, got {len(self.pools)}")
        for modality, pools in self.pools.items():
            for pool in pools:
                if pool not in POOLS:
                    raise UnknownNameError(pool, POOLS, f"pool of {modality!r}:")
            if "train" not in pools:
                what = "it is what helps, or is learned from"
                raise ValueError(f"{self.name}: {modality}: no pool 'train'; {what}")

    @property
    def modalities(self) -> tuple[str, ...]:
        """All modalities."""
        return tuple(self.pools)

    @property
    def targets(self) -> tuple[str, ...]:
        """Modalities that have all `POOLS`."""
        return tuple(name for name, pools in self.pools.items() if len(pools) == len(POOLS))

    def task(self, target: str, auxiliaries: Sequence[str] = (), repetition: int = 0) -> Task:
        """One modality (with all `POOLS`) as the target, others' training pools to help; repetitions do not differ."""
        if target not in self.targets:
            raise UnknownNameError(target, self.targets, "target")
        for name in auxiliaries:
            if name not in self.pools:
                raise UnknownNameError(name, self.pools)
        own = self.pools[target]  # validation and test rows of the others are never used
        return Task(
            self.name,
            self.classes,
            own["train"],
            own["val"],
            {"test": own["test"]},
            {name: self.pools[name]["train"] for name in auxiliaries},
            target=target,
            aligned=self.aligned,
            about=self.about,
        )


def deal(rows: Embeddings, seed: int, *, val: float = 0.25, test: float = 0.25) -> dict[str, Embeddings]:
    """Pools from rows that have none: each class's rows, three at least, dealt at random, eight into 4, 2 and 2."""
    parts = stratified_split(rows.labels, seed, rows.name, val=val, test=test)
    return {pool: rows.take(parts[pool]) for pool in POOLS}


def of_task(task: Task, seed: int, *, order: Sequence[str] = ()) -> Modalities:
    """A task's modalities: the target keeps train, val and its first test; auxiliaries' rows are dealt into pools."""
    first_test = next(iter(task.tests.values()))
    pools = {task.target: {"train": task.train, "val": task.val, "test": first_test}}
    pools |= {name: deal(rows, seed) for name, rows in task.auxiliaries.items()}
    names = [name for name in order if name in pools]
    names += [name for name in pools if name not in names]
    return Modalities(
        task.name, task.classes, {name: pools[name] for name in names}, task.aligned, task.about
    )
