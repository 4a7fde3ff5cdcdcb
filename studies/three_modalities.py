"""Does each further unpaired modality help? Every modality as the target, every subset of the others as help (E.10).

    python studies/three_modalities.py                         glyphs: sentences, pictures, outlines of characters
    python studies/three_modalities.py --quick                 fewer seeds and steps
    python studies/three_modalities.py --dataset digits --speech FOLDER       pictures, descriptions, recordings
    python studies/three_modalities.py --dataset concepts --set n_classes=50  simulated: text and sound share latents
    python studies/three_modalities.py --dataset imagenet_esc_27 --audio-features esc-50/features.pt \
        --image-features images.npz --text-features names.npz [--aligned --normalise --logit-scale 100] --preset esc

The paper's claim (Tables 25, 26; Figures 6, 34 to 36): accuracy grows with each modality that is added. Frozen encoders
of one modality each, a shared linear head; with several auxiliaries each brings a batch of its own to every step, and the
head lives in the space of the first (text, then images). For every target and every subset of the others:

    matched             the target alone, with the projection that the subset needs: the fair control
    uml, uml_init       shared head; started from the class means of the first auxiliary
    init_permuted       UML (init) with wrong classes of all auxiliaries
    ..., X permuted     UML (init) with wrong classes of the last auxiliary only: what X is worth beside the others

Only the training pool of a modality ever helps; glyph sentences are dealt 4 / 2 / 2 of eight per class, digit
descriptions 6 / 2 / 2 of ten, recordings half, a quarter, a quarter. ImageNet-ESC follows the five folds and 25 runs of
Lin et al. (2023): five splits of the target times five draws of one row per class of what helps; intervals are over the
five splits, each the mean of its draws, since runs of one split share their test rows' noise. File layouts are in
`neural.datasets.esc_features`.

Two presets are of ImageNet-ESC. `esc` has the grid of Lin et al. (2023): learning rates 0.1 to 1e-4, weight decays 0, 0.01
and 1e-4, 4 rows of the target and 4 of what helps, all 12,800 steps; their features have length one and their logits are
multiplied by 100 (--normalise --logit-scale 100), and their heads with help start from class means, as uml_init does. The
paper's released code has the same rates and decays for sounds, batches of 8, and stops early. `paper` has the paper's Table 5
instead, without the two highest rates; its text names no other grid. Here, unlike there, several modalities that help
bring 4 rows each, not 4 together, and the target alone has 4 rows as well, not 8.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit.checks import UnknownNameError, as_whole
from neural.data.glyph_outline_rows import glyph_modalities
from neural.data.glyphs import GlyphSettings
from neural.data.imagenet_esc import ImagenetEsc, open_imagenet_esc
from neural.data.modalities import Modalities, of_task
from neural.data.task import Embeddings, Task
from neural.heads.arms import ARMS, permuted_classes
from neural.heads.runs import Schedule
from studies import harness
from studies.gallery_published import three_modalities_printed
from studies.harness import Interval
from studies.head_cells import HeadCell, compute
from studies.head_presets import PRESETS, Grid, Preset, differences, resized
from studies.lab.figures import draw_means, draw_published, place_style
from studies.lab.finding import Finding, evidence_of, overall, records
from studies.lab.table import by_key, contrast, long_form, means, paired, shots_label, table
from studies.outputs import Report, write_head_report
from studies.published_numbers import published
from studies.report_tables import direction, gain_text, markdown_table
from studies.task_sources import SOURCES, make_task, parse_settings, settings_from
from studies.text_sweep import GRID, SCHEDULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Plan", "Training", "as_markdown", "by_split", "main", "summarise"]

NAME = "three_modalities"
DATASETS = ("glyphs", "digits", "concepts", "imagenet_esc_19", "imagenet_esc_27")
SPACES = ("text", "image")  # where a shared head lives, if that modality helps
SEEDS, SHOTS = 5, (1, 4)
PUBLISHED_SHOTS = (1, 2, 4)  # of Tables 25 and 26
ESC = Preset(  # of Lin et al. (2023)
    seeds=SEEDS,
    shots=PUBLISHED_SHOTS,
    schedule=Schedule(iterations=12_800, warmup=50, eval_every=100, patience=None),
    grid=Grid((0.1, 0.01, 1e-3, 1e-4), (0.0, 0.01, 1e-4), (4,), (False,), (1.0,)),
)
ARMS_OF_HELP = ("uml", "uml_init", "init_permuted")
SOUND = ("audio", "outline")  # outlines of characters stand in for sounds
IMAGE = ("image", "picture")
#: What the paper classifies in each of its figures and tables.
EXHIBITS = {
    ("Figure", 6): SOUND,
    ("Figure", 34): IMAGE,
    ("Figure", 35): IMAGE,
    ("Figure", 36): SOUND,
    ("Table", 25): SOUND,
    ("Table", 26): IMAGE,
}

# ---------------------------------------------------------------- the grid


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
            return f"{_together(self.auxiliaries)}: {name}{permuted}"
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


def _rows(plan: Plan, store: harness.Cells) -> pd.DataFrame:
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


# ---------------------------------------------------------------- contrasts


def by_split(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per target, shots, training and split: percent, the mean over draws, which share their target rows."""
    which = rows[["auxiliaries", "arm", "shuffled"]].itertuples(index=False)
    labels = [
        Training(tuple(names.split("+")) if names else (), arm, wrong).label for names, arm, wrong in which
    ]
    named = rows.assign(training=labels, accuracy=100 * rows["accuracy"])
    places = ["target", "shots", "training", "split"]
    return named.groupby(places, sort=False, as_index=False)["accuracy"].mean()


def _differences(
    splits: pd.DataFrame, target: str, treated: Training, control: Training
) -> dict[str, Interval]:
    """Paired differences between two trainings of one target, by shots."""
    mine = splits[splits["target"].eq(target)]
    found = contrast(mine, treated.label, control.label, ["shots"], "split", column="training")
    return by_key(found, "shots")


def _gains(plan: Plan, splits: pd.DataFrame) -> pd.DataFrame:
    """What help is worth in each split: accuracy minus that of the fair control; a table like `splits`."""
    gains = []
    for target in plan.targets:
        mine = splits[splits["target"].eq(target)]
        for training in plan.trainings(target):
            if training.helped:
                control = plan.control_of(training.auxiliaries)
                gain = paired(mine, training.label, control.label, ["shots"], "split", column="training")
                gains.append(gain.assign(target=target, training=training.label))
    return pd.concat(gains, ignore_index=True)


def _steps(plan: Plan, splits: pd.DataFrame, target: str) -> list[dict[str, Any]]:
    """What each further modality adds to those before it; the first to the fair control."""
    steps = []
    for arm in ("uml", "uml_init"):
        for before, after in plan.steps(target):
            other = Training(before, arm) if before else plan.control_of(after)
            for shots, difference in _differences(splits, target, Training(after, arm), other).items():
                step = {"target": target, "shots": shots, "arm": arm, "before": before, "after": after}
                steps.append(step | {"difference": difference})
    return steps


def summarise(plan: Plan, splits: pd.DataFrame) -> dict[str, Any]:
    """Everything that is reported, as plain data, from the table of `by_split`."""
    places = ("target", "shots", "training")
    accuracies = by_key(means(splits, places, "split"), *places)
    gained = by_key(means(_gains(plan, splits), places, "split"), *places)
    shots = [shots_label(k) for k in plan.preset.shots]
    accuracy, steps = [], []
    for target in plan.targets:
        for k in shots:
            for training in plan.trainings(target):
                place = (target, k, training.label)
                entry: dict[str, Any] = {
                    "target": target,
                    "shots": k,
                    "auxiliaries": list(training.auxiliaries),
                    "arm": training.arm,
                    "shuffled": training.shuffled,
                    "training": training.label,
                    "accuracy": accuracies[place],
                }
                accuracy.append(entry | ({"minus_control": gained[place]} if training.helped else {}))
        steps += sorted(_steps(plan, splits, target), key=lambda step: shots.index(step["shots"]))
    return {
        "source": plan.source.name,
        "classes": len(plan.source.classes),
        "about": dict(plan.source.about),
        "targets": list(plan.targets),
        "modalities": list(plan.source.modalities),
        "shots": shots,
        "splits": plan.preset.seeds,
        "runs_per_split": plan.source.runs_per_split,
        "auxiliary_rows": plan.auxiliary_rows,
        "control": plan.control,
        "candidates_per_training": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": accuracy,
        "steps": steps,
        "published": _published(plan),
        "verdicts": [_verdict(plan, splits, target, accuracy, steps) for target in plan.targets],
    }


def _verdict(
    plan: Plan,
    splits: pd.DataFrame,
    target: str,
    accuracy: list[dict[str, Any]],
    steps: list[dict[str, Any]],
) -> str:
    """Whether each further modality helps, in one line, with what the wrong labels do."""
    claims: dict[str, list[str]] = {}
    for k in map(shots_label, plan.preset.shots):
        mine = [
            step for step in steps if (step["target"], step["arm"], step["shots"]) == (target, "uml_init", k)
        ]
        words = [direction(step["difference"], up="gains", down="loses") for step in mine]
        claim = "fails" if "loses" in words else "holds" if set(words) == {"gains"} else "is undecided"
        lost = [
            f"{_together(step['after'])} below {_together(step['before'])}"
            for step, word in zip(mine, words, strict=True)
            if word == "loses"
        ]
        counts = f"{words.count('gains')} of {len(words)} steps gain"
        claims.setdefault(claim, []).append(f"{k} ({'; '.join([counts, *lost])})")
    parts = [f"{word} at {', '.join(where)} shots" for word, where in claims.items()]
    line = f"{target}: that more modalities help more (UML init) {'; '.join(parts)}"
    matters: dict[str, list[str]] = {}
    for subset in plan.subsets(target):
        if len(subset) > 1:
            right, wrong = (Training(subset, "uml_init", shuffled) for shuffled in (False, True))
            for k, by_labels in _differences(splits, target, right, wrong).items():
                meaning = direction(by_labels, up="matter", down="hurt", unclear="are undecided")
                matters.setdefault(f"{subset[-1]}'s labels {meaning}", []).append(k)
    if matters:
        line += ". Beside the others, " + ", ".join(
            f"{what} at {', '.join(where)}" for what, where in matters.items()
        )
    permuted = [
        f"{_together(e['auxiliaries'])} at {e['shots']}"
        for e in accuracy
        if (e["target"], e["arm"]) == (target, "init_permuted") and e["minus_control"].low > 0
    ]
    return f"{line}. Permuted labels gain {', '.join(permuted) if permuted else 'nowhere'}"


def _together(auxiliaries: Iterable[str]) -> str:
    """How tables and figures call a subset of modalities."""
    return " + ".join(auxiliaries) or "alone"


def _step_label(step: Mapping[str, Any]) -> str:
    """As in "UML: text + audio against text"."""
    return f"{ARMS[step['arm']].label}: {_together(step['after'])} against {_together(step['before'])}"


def _published(plan: Plan) -> list[dict[str, Any]]:
    """The paper's Tables 25 and 26, where the data are theirs; they name no encoders. Never mixed with ours."""
    found = []
    tables = {"audio": 25, "image": 26} if plan.source.name.startswith("imagenet_esc_") else {}
    for target in plan.targets:
        if target not in tables:
            continue
        rows = published(tables[target], dataset=plan.source.name, metric="accuracy")
        for method, shots, value in zip(rows["method"], rows["shots"], rows["value"], strict=True):
            helping = set(method.split("+")) - {target}
            ordered = [name for name in plan.source.modalities if name in helping]
            if len(ordered) == len(helping) and int(shots) in plan.preset.shots:
                entry = {"target": target, "shots": str(shots), "auxiliaries": ordered}
                found.append(entry | {"accuracy": float(value)})
    return found


def as_markdown(summary: Mapping[str, Any]) -> str:
    """Tables of accuracies and of steps, for each target."""
    runs = summary["runs_per_split"]
    repeats = f"{summary['splits']} paired splits" + (f" of {runs} auxiliary draws each" if runs > 1 else "")
    lines = [
        f"## {summary['source']}: {summary['classes']} classes, {repeats}",
        "",
        (
            "Test accuracy in percent, mean over splits; in brackets the paired difference to the target alone with a head "
            "of the same size, with its 95% interval. Every entry is the best of "
            f"{summary['candidates_per_training']} trainings by validation."
        ),
    ]
    for target in summary["targets"]:
        ours, theirs, steps = (
            [e for e in summary[kind] if e["target"] == target] for kind in ("accuracy", "published", "steps")
        )
        cells = [(e["training"], e["shots"], _accuracy_text(e)) for e in ours]
        cells += [
            (f"*paper: {_together(e['auxiliaries'])}*", e["shots"], f"{e['accuracy']:.2f}") for e in theirs
        ]
        lines += [
            "",
            f"### {target} as the target",
            "",
            _wide(f"{target}, helped by", summary["shots"], cells),
        ]
        cells = [(_step_label(step), step["shots"], gain_text(step["difference"])) for step in steps]
        lines += ["", _wide("one more modality", summary["shots"], cells)]
    lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if summary["differs_from_paper"]:
        lines += ["", f"Differs from the paper's protocol: {'; '.join(summary['differs_from_paper'])}."]
    return "\n".join(lines) + "\n"


def _wide(title: str, shots: Sequence[str], cells: Iterable[tuple[str, str, str]]) -> str:
    """A Markdown table of (row, shots, text), one column per number of shots."""
    rows: dict[str, dict[str, str]] = {}
    for name, k, text in cells:
        rows.setdefault(name, {})[k] = text
    return markdown_table(
        [title, *map(_shots, shots)], [[name, *(row.get(k, "") for k in shots)] for name, row in rows.items()]
    )


def _shots(shots: str) -> str:
    return f"{shots} {'shot' if shots == '1' else 'shots'}"


def _accuracy_text(entry: Mapping[str, Any]) -> str:
    text = f"{entry['accuracy'].estimate:.1f}"
    return f"{text} ({gain_text(entry['minus_control'])})" if "minus_control" in entry else text


def _long_table(summary: Mapping[str, Any]) -> list[dict[str, object]]:
    """Accuracies with their gains, then what each step gains, for CSV."""
    found = [
        {"what": e["training"], "accuracy": e["accuracy"], "gain": e.get("minus_control")}
        | {name: e[name] for name in ("target", "shots")}
        for e in summary["accuracy"]
    ]
    found += [
        {"target": s["target"], "shots": s["shots"], "what": _step_label(s), "gain": s["difference"]}
        for s in summary["steps"]
    ]
    return long_form(found, ["target", "shots", "what"])


# ---------------------------------------------------------------- figure


def _draw(plan: Plan, splits: pd.DataFrame, summary: Mapping[str, Any], path: Path) -> None:
    """For each target accuracy by what helps, and below it gains over the target alone beside their controls."""
    import matplotlib.pyplot as plt

    gains = _gains(plan, splits)
    with harness.figure_style():
        columns = len(plan.targets)
        figure, panels = plt.subplots(2, columns, figsize=(3.9 * columns, 7.2), squeeze=False)
        for (above, below), target in zip(panels.T, plan.targets, strict=True):
            curves = _curves(plan, target)
            styles = {training.label: place_style(place) for place, training in enumerate(curves)}
            for axes, values, shown in (
                (above, splits, [t for t in curves if "permuted" not in t.label]),
                (below, gains, [t for t in curves if t.helped]),
            ):
                mine, labels = values[values["target"].eq(target)], {t.label: t.label for t in shown}
                draw_means(
                    axes, mine, "shots", hue="training", labels=labels, styles=styles, order=summary["shots"]
                )
                axes.set(xlabel="target training rows per class (shots)", ylabel="")
            _mark_published(above, summary, target, styles)
            above.set_title(f"{target} as the target, {summary['classes']} classes")
            below.axhline(0, color="0.3", lw=0.9)
            for axes in (above, below):
                low, high = axes.get_ylim()
                axes.set_ylim(low, high + 0.45 * (high - low))  # room for the legend
                axes.legend(loc="upper left")
        panels[0, 0].set_ylabel("test accuracy (%)")
        panels[1, 0].set_ylabel("gain over the target alone (points)")
        harness.save_figure(figure, path)


def _curves(plan: Plan, target: str) -> list[Training]:
    """What is drawn: the controls, UML (init) with every subset, and all of what helps with wrong classes."""
    drawn = ("unimodal", "matched", "uml_init")
    largest = Training(plan.subsets(target)[-1], "init_permuted")
    return [t for t in plan.trainings(target) if t.arm in drawn or t == largest]


def _mark_published(
    axes: "Axes", summary: Mapping[str, Any], target: str, styles: Mapping[str, Mapping[str, Any]]
) -> None:
    """The paper's numbers, as hollow marks of our curve with the same help."""
    points: dict[tuple[str, ...], dict[int, float]] = {}
    for e in summary["published"]:
        if e["target"] == target:
            where = summary["shots"].index(e["shots"])
            points.setdefault(tuple(e["auxiliaries"]), {})[where] = e["accuracy"]
    for names, values in points.items():
        ours = Training(names, "uml_init" if names else "unimodal")
        label = f"paper: {_together(names)}"
        draw_published(axes, [*values], [*values.values()], styles[ours.label], label)


# ---------------------------------------------------------------- findings


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """Does each further modality help? That fails where one step of UML (init) loses against what came before it."""
    found = {}
    lines = dict(zip(summary["targets"], summary["verdicts"], strict=True))
    for (kind, number), names in EXHIBITS.items():
        target = next((target for target in summary["targets"] if target in names), None)
        if target is None:
            continue
        shown, words, evidence = [], [], []
        for k in summary["shots"]:
            place = (target, "uml_init", k)
            gains = [
                f"with {_together(e['auxiliaries'])} {gain_text(e['minus_control'])}"
                for e in summary["accuracy"]
                if (e["target"], e["arm"], e["shots"]) == place and not e["shuffled"]
            ]
            shown.append(f"{_shots(k)}: {'; '.join(gains)}")
            steps = [
                evidence_of(f"{target}, {_step_label(s)}, {_shots(k)}", s["difference"])
                for s in summary["steps"]
                if (s["target"], s["arm"], s["shots"]) == place
            ]
            came_to = {step.verdict for step in steps}
            words.append("fails" if "fails" in came_to else "holds" if came_to == {"holds"} else "undecided")
            evidence += steps
        line = lines[target]
        if number in {35, 36} and summary["control"] != "unimodal":
            line += "; the stand-in's encoders are not aligned, as CLIP's are"
        ours = f"{target}, UML (init) minus alone. {'. '.join(shown)}"
        printed = three_modalities_printed(kind, number)
        found[kind, number] = Finding(ours, printed, overall(words), line, tuple(evidence))
    return found


# ---------------------------------------------------------------- command line


def _source(options: argparse.Namespace, preset: Preset) -> Modalities | ImagenetEsc:
    """Where the tasks come from."""
    settings, seed, cache = parse_settings(options.set), options.data_seed, options.runs / "cache"
    if options.dataset not in DATASETS:
        raise UnknownNameError(options.dataset, DATASETS, "data set")
    if options.dataset.startswith("imagenet_esc_"):
        return open_imagenet_esc(
            int(options.dataset[-2:]),
            images=options.image_features,
            sounds=options.audio_features,
            texts=options.text_features,
            indices=options.image_indices,
            shots=[k for k in preset.shots if k is not None],
            aligned=options.aligned,
            normalised=options.normalise,
        )
    if options.dataset == "glyphs":
        sizes = settings_from(GlyphSettings, settings, SOURCES["glyphs"].held, "glyphs")
        with harness.one_torch_thread(), harness.progress_bar(sizes.steps, " pretraining steps") as bar:
            return glyph_modalities(sizes, seed=seed, cache=cache, progress=bar.update)
    if options.dataset == "digits":
        settings = {"speech": options.speech} | settings
    else:
        settings = {"auxiliaries": ("text", "audio")} | settings
    task = make_task(options.dataset, settings, seed=seed, cache=cache)
    return of_task(task.normalised() if options.normalise else task, seed, order=SPACES)


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__, seeds=SEEDS, device=True)
    add = parser.add_argument
    add("--preset", choices=[*(name for name in PRESETS if name != "quick"), "esc"], default="default")
    add("--dataset", default="glyphs", metavar="NAME", help=", ".join(DATASETS))
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of glyphs, digits, concepts")
    add("--data-seed", type=int, default=0, help="seed of the data (default 0)")
    add("--targets", nargs="+", default=[], metavar="NAME", help="which modalities to classify")
    add("--shots", nargs="+", type=int, metavar="K", help="rows per class")
    add("--auxiliary-rows", type=int, metavar="K", help="rows per class of what helps (default all)")
    add("--normalise", action="store_true", help="scale every row to length one")
    add("--aligned", action="store_true", help="all features live in one space (CLIP and AudioCLIP)")
    add("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    files = parser.add_argument_group("files")
    files.add_argument("--speech", type=Path, metavar="FOLDER", help="recordings of spoken digits")
    files.add_argument("--audio-features", type=Path, metavar="FILE", help="AudioCLIP's features of ESC-50")
    files.add_argument("--image-features", type=Path, metavar="FILE", help="of ImageNet's images, with paths")
    files.add_argument("--text-features", type=Path, metavar="FILE", help="one row per class, with names")
    files.add_argument("--image-indices", type=Path, metavar="FOLDER", help="ImageNet's few-shot files")
    return parser


def _preset(options: argparse.Namespace) -> Preset:
    name = "quick" if options.quick else options.preset
    shots = PUBLISHED_SHOTS if name in {"paper", "esc"} else SHOTS
    base = resized(ESC if name == "esc" else PRESETS[name], seeds=None, shots=shots)
    if name == "default":  # many conditions, so fewer and shorter trainings each
        base = replace(base, schedule=SCHEDULE, grid=GRID)
    few = 3 if options.quick else SEEDS
    return resized(base, seeds=options.seeds or few, shots=options.shots)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study; see the module's docstring.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    parser = _parser()
    options = parser.parse_args(arguments)
    with harness.usage_errors(parser):
        harness.check_device(options.device)
        preset = _preset(options)
        source = _source(options, preset)
        plan = Plan(source, preset, tuple(options.targets), options.auxiliary_rows, options.logit_scale)
        cells = plan.cells()
    store = harness.Cells(options.runs / f"{NAME}.jsonl")
    print(f"{source.name}: {', '.join(source.modalities)}; {len(cells)} cells", flush=True)
    computed = compute(cells, store, options.device)
    rows = _rows(plan, store)
    splits = by_split(rows)
    summary = summarise(plan, splits)
    summary["findings"] = records(_findings(summary))
    name = f"{NAME}_{source.name}"
    _draw(plan, splits, summary, options.out / f"{name}.png")
    return write_head_report(
        Report(summary, as_markdown(summary), rows, _long_table(summary)),
        options,
        name,
        cells,
        store,
        config={"preset": preset, "targets": list(plan.targets), "logit_scale": plan.logit_scale},
        began=began,
        computed=computed,
    )


if __name__ == "__main__":
    main()
