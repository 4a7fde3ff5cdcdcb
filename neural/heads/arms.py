"""The arms of a comparison: what is trained with which text, and the controls that every claim needs.

The released code compares UML, which has a projection and sees twice the rows per step, with a baseline that has
neither, and chooses among more settings for UML. Here the fair controls stand beside it, and every arm chooses among
equally many trained heads.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fisherkit.checks import UnknownNameError
from neural.heads.model import class_mean_head
from neural.heads.runs import HeadFit, HeadRun
from neural.tasks.task import Embeddings, FewShot, Task

__all__ = ["ARMS", "Arm", "Setting", "arm_names", "arm_runs", "permuted_classes", "select", "settings_grid"]


@dataclass(frozen=True)
class Arm:
    """One way to train the target's classifier."""

    label: str  # short name for tables
    # whether the target goes through a projection into the auxiliary space (where spaces differ)
    projected: bool
    auxiliary_loss: bool = False  # whether auxiliary rows are trained on
    init: bool = False  # whether the head starts from auxiliary class means
    permuted: bool = False  # whether auxiliary classes are assigned to the wrong target classes
    target_rows: int = 1  # target rows per step, in units of the batch size
    about: str = ""  # what the arm tells


ARMS: Mapping[str, Arm] = {
    "unimodal": Arm("unimodal", False, about="the paper's baseline: a linear head on frozen features"),
    "matched": Arm("unimodal, matched", True, about="the same with UML's projection: equal parameters"),
    "matched_2b": Arm(
        "unimodal, matched, 2b rows", True, target_rows=2, about="and with as many rows per step as UML"
    ),
    "uml": Arm("UML", True, auxiliary_loss=True, about="shared head, b target and b auxiliary rows per step"),
    "uml_init": Arm("UML (init)", True, True, True, about="and the head starts from auxiliary class means"),
    "init_only": Arm("init only", True, False, True, about="that start, but no auxiliary loss"),
    "uml_permuted": Arm("UML, permuted", True, True, False, True, about="UML with wrong auxiliary classes"),
    "init_permuted": Arm(
        "UML (init), permuted", True, True, True, True, about="UML (init) with wrong auxiliary classes"
    ),
}


@dataclass(frozen=True)
class Setting:
    """One point of the grid of hyperparameters."""

    learning_rate: float  # of AdamW
    weight_decay: float  # of AdamW
    batch_size: int  # b, rows per modality and step
    learn_scales: bool  # learned factor of each modality's logits
    loss_weight: float = 1.0  # of every auxiliary modality
    # which initial weights and order of rows. Arms without an auxiliary loss have no loss weight to choose;
    # they choose among as many draws instead, so that every arm takes the best of equally many heads
    draw: int = 0


def settings_grid(
    arm: str,
    *,
    learning_rates: Sequence[float],
    weight_decays: Sequence[float],
    batch_sizes: Sequence[int],
    learn_scales: Sequence[bool],
    loss_weights: Sequence[float],
) -> list[Setting]:
    """All combinations for an arm, in a fixed order, equally many for every arm (see `Setting.draw`)."""
    weighted = _arm(arm).auxiliary_loss
    return [
        Setting(lr, wd, b, scales, weight if weighted else 1.0, 0 if weighted else draw)
        for lr in learning_rates
        for wd in weight_decays
        for b in batch_sizes
        for scales in learn_scales
        for draw, weight in enumerate(loss_weights)
    ]


def arm_names(task: Task) -> tuple[str, ...]:
    """Arms that differ for a task: in an aligned one nothing is projected, and the baseline is matched already."""
    return tuple(name for name in ARMS if not (task.aligned and name == "matched"))


def permuted_classes(n_classes: int, seed: int) -> np.ndarray:
    """(C,) the class that the rows of class c are assigned to, never c: the next in a random cyclic order."""
    around = np.random.default_rng([seed, n_classes]).permutation(n_classes)
    assigned = np.empty(n_classes, dtype=np.int64)
    assigned[around] = np.roll(around, 1)
    return assigned


def arm_runs(
    arm: str,
    task: Task,
    few_shot: FewShot,
    settings: Sequence[Setting],
    *,
    seed: int,
    logit_scale: float = 1.0,
) -> list[HeadRun]:
    """One training per setting, of one arm in one repetition; arms of one seed share initial weights and row order."""
    chosen, classes = _arm(arm), len(task.classes)
    uses_auxiliaries = chosen.auxiliary_loss or chosen.init
    if uses_auxiliaries and not task.auxiliaries:
        raise ValueError(f"arm {arm!r} needs an auxiliary modality, and task {task.name!r} has none")
    auxiliaries = dict(task.auxiliaries)
    if chosen.permuted:
        assigned = permuted_classes(classes, seed)
        auxiliaries = {
            name: Embeddings(rows.features, assigned[rows.labels], rows.name)
            for name, rows in auxiliaries.items()
        }
    first = next(iter(auxiliaries), None)
    projected: tuple[str, ...] = ()
    head_dim = few_shot.train.dim
    if chosen.projected and first is not None and not task.aligned:
        head_dim = auxiliaries[first].dim
        others = [name for name in auxiliaries if name != first] if chosen.auxiliary_loss else []
        projected = (task.target, *others)
    train = {task.target: few_shot.train} | (auxiliaries if chosen.auxiliary_loss else {})
    start = class_mean_head(auxiliaries[first], classes) if chosen.init and first is not None else None
    return [
        HeadRun(
            name=f"{arm}, {len(few_shot.train)} rows, seed {seed}, {setting}",
            n_classes=classes,
            train=train,
            val=few_shot.val,
            batch_sizes={
                name: setting.batch_size * (chosen.target_rows if name == task.target else 1)
                for name in train
            },
            seed=int(np.random.SeedSequence([seed, setting.draw]).generate_state(1)[0]),
            learning_rate=setting.learning_rate,
            weight_decay=setting.weight_decay,
            head_dim=head_dim,
            projected=projected,
            initial_head=start,
            loss_weights={name: setting.loss_weight for name in train if name != task.target},
            learn_scales=setting.learn_scales,
            logit_scale=logit_scale,
            target=task.target,
        )
        for setting in settings
    ]


def select(fits: Sequence[HeadFit]) -> int:
    """Which of an arm's trainings is reported: highest validation accuracy, then lowest validation loss, then first."""
    return min(range(len(fits)), key=lambda i: (-fits[i].best[0], fits[i].best[1], i))


def _arm(name: str) -> Arm:
    if name not in ARMS:
        raise UnknownNameError(name, ARMS, "arm")
    return ARMS[name]
