"""What the three-modality study trains: every target, every subset of the other modalities, the controls of each."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import pandas as pd

from fisherkit.checks import UnknownNameError, as_whole
from neural.fewshot.cells import HeadCell
from neural.fewshot.presets import Preset
from neural.heads.arms import ARMS, permuted_classes
from neural.results.cells import Cells
from neural.results.table import shots_label, table
from neural.tasks.imagenet_esc import ImagenetEsc
from neural.tasks.modalities import Modalities
from neural.tasks.task import Embeddings, Task

__all__ = ["Plan", "Training", "by_split", "rows_of", "together"]

ARMS_OF_HELP = ("uml", "uml_init", "init_permuted")


def together(auxiliaries: Iterable[str]) -> str:
    """How tables and figures call a subset of modalities."""
    return " + ".join(auxiliaries) or "alone"


@dataclass(frozen=True)
class Training:
    """How a target is trained.

    Attributes:
        auxiliaries: what helps; of controls, what would.
        arm: key of `neural.heads.arms.ARMS`.
        shuffled: whether the last auxiliary's classes, and no other's, are assigned to wrong ones.
    """

    auxiliaries: tuple[str, ...]
    arm: str
    shuffled: bool = False

    @property
    def helped(self) -> bool:
        """Whether other modalities take part."""
        return ARMS[self.arm].auxiliary_loss

    @property
    def label(self) -> str:
        """For tables, as in "text + audio: UML (init), audio permuted" and "alone: unimodal, matched, head as with text"."""
        name = ARMS[self.arm].label
        if self.helped:
            permuted = f", {self.auxiliaries[-1]} permuted" if self.shuffled else ""
            return f"{together(self.auxiliaries)}: {name}{permuted}"
        return f"alone: {name}" + (f", head as with {self.auxiliaries[0]}" if self.auxiliaries else "")


@dataclass(frozen=True)
class Plan:
    """Which cells the study has.

    Attributes:
        source: of tasks.
        preset: size; its seeds are splits of the target's rows.
        targets: which modalities are classified; empty for all that can be.
        auxiliary_rows: rows per class of every modality that helps, None for all.
        logit_scale: fixed factor of all logits.

    Raises:
        UnknownNameError: no such target.
        ValueError: fewer than two seeds, more shots than a class has rows, a logit scale that is not positive.
    """

    source: Modalities | ImagenetEsc
    preset: Preset
    targets: tuple[str, ...] = ()
    auxiliary_rows: int | None = None
    logit_scale: float = 1.0
    _tasks: dict[tuple[object, ...], Task] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for target in self.targets:
            if target not in self.source.targets:
                raise UnknownNameError(target, self.source.targets, "target")
        object.__setattr__(self, "targets", self.targets or self.source.targets)
        if self.preset.seeds < 2:
            raise ValueError(f"--seeds: intervals need at least 2 splits, got {self.preset.seeds}")
        if not (np.isfinite(self.logit_scale) and self.logit_scale > 0):
            raise ValueError(f"--logit-scale: must be positive and finite, got {self.logit_scale:g}")
        if self.auxiliary_rows is not None:
            as_whole(self.auxiliary_rows, "--auxiliary-rows", least=1)
        for target in self.targets:
            counts = self._task(target, (), self.repetitions[-1]).train.counts(len(self.source.classes))
            for k in self.preset.shots:
                if k is None and self.source.runs_per_split > 1:
                    raise ValueError("--shots all: the splits of this data set have numbers of shots")
                if k is not None and as_whole(k, "--shots", least=1) > counts.min():
                    raise ValueError(
                        f"--shots {k}: {target}: a class has only {counts.min()} rows to train on; ask for fewer, or "
                        "leave this target out with --targets"
                    )

    @property
    def repetitions(self) -> range:
        """Numbers of all repetitions."""
        return range(self.preset.seeds * self.source.runs_per_split)

    @property
    def control(self) -> str:
        """The arm that gains are measured against: as many parameters as UML."""
        return "unimodal" if self.source.aligned else "matched"

    def subsets(self, target: str) -> list[tuple[str, ...]]:
        """All non-empty subsets of the other modalities, the smallest first."""
        others = [name for name in self.source.modalities if name != target]
        return [subset for n in range(1, len(others) + 1) for subset in combinations(others, n)]

    def control_of(self, auxiliaries: tuple[str, ...]) -> Training:
        """The fair control of a subset: no help, a head of the same size (that of the first one's space)."""
        return Training(() if self.source.aligned else auxiliaries[:1], self.control)

    def trainings(self, target: str) -> list[Training]:
        """All ways in which a target is trained, each once, the controls first."""
        subsets = self.subsets(target)
        found = [Training((), "unimodal"), *(self.control_of(subset) for subset in subsets)]
        for subset in subsets:
            found += [Training(subset, arm) for arm in ARMS_OF_HELP]
            if len(subset) > 1:
                found.append(Training(subset, "uml_init", shuffled=True))
        return list(dict.fromkeys(found))

    def steps(self, target: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Every way to add one modality, as (subset without it, subset with it): to none, to one, ..."""
        return [
            (tuple(name for name in after if name != added), after)
            for after in self.subsets(target)
            for added in after
        ]

    def cell(self, target: str, training: Training, shots: int | None, repetition: int) -> HeadCell:
        """One training of one target, one number of shots, one repetition."""
        task = self._task(target, training.auxiliaries, repetition, training.shuffled)
        return HeadCell(
            task, training.arm, shots, repetition, self.preset, self.logit_scale, self.auxiliary_rows
        )

    def cells(self) -> list[HeadCell]:
        """All cells, those of many shots first."""
        shots = sorted(self.preset.shots, key=lambda k: -(k or 10**9))
        return [
            self.cell(target, training, k, r)
            for k in shots
            for r in self.repetitions
            for target in self.targets
            for training in self.trainings(target)
        ]

    def _task(
        self, target: str, auxiliaries: tuple[str, ...], repetition: int, shuffled: bool = False
    ) -> Task:
        """Each task once, since its fingerprint reads all rows."""
        varies = shuffled or self.source.runs_per_split > 1
        key = (target, auxiliaries, shuffled, repetition if varies else 0)
        if key not in self._tasks:
            task = self.source.task(target, auxiliaries, repetition)
            if shuffled:
                last = auxiliaries[-1]
                rows = task.auxiliaries[last]
                assigned = permuted_classes(len(task.classes), repetition)
                wrong = Embeddings(rows.features, assigned[rows.labels], rows.name)
                task = replace(task, auxiliaries={**task.auxiliaries, last: wrong})
            self._tasks[key] = task
        return self._tasks[key]


def rows_of(plan: Plan, store: Cells) -> pd.DataFrame:
    """The table of results: one row per finished cell."""
    rows = []
    for target in plan.targets:
        for shots in plan.preset.shots:
            for training in plan.trainings(target):
                for r in plan.repetitions:
                    result = store.get(plan.cell(target, training, shots, r).key)
                    split, drawn = divmod(r, plan.source.runs_per_split)
                    rows.append({
                        "target": target,
                        "auxiliaries": "+".join(training.auxiliaries),
                        "arm": training.arm,
                        "shuffled": training.shuffled,
                        "shots": shots_label(shots),
                        "split": split,
                        "auxiliary_draw": drawn,
                        "accuracy": result["accuracy"]["test"],
                        **{
                            name: result[name]
                            for name in ("val_accuracy", "val_loss", "best_step", "seconds")
                        },
                        **result["setting"],
                    })
    return table(rows)


def by_split(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per target, shots, training and split: percent, the mean over draws, which share their target rows."""
    which = rows[["auxiliaries", "arm", "shuffled"]].itertuples(index=False)
    labels = [
        Training(tuple(names.split("+")) if names else (), arm, wrong).label for names, arm, wrong in which
    ]
    named = rows.assign(training=labels, accuracy=100 * rows["accuracy"])
    places = ["target", "shots", "training", "split"]
    return named.groupby(places, sort=False, as_index=False)["accuracy"].mean()
