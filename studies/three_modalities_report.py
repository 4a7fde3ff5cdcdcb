"""What the three-modality study reports: accuracies, gains over the fair control, what each further modality adds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.heads.arms import ARMS
from studies import harness
from studies.harness import Interval, mean_interval, paired_difference
from studies.head_presets import differences
from studies.published_numbers import published
from studies.report_tables import direction, gain_text, interval_columns, markdown_table
from studies.three_modalities_plan import Plan, Training

__all__ = [
    "Results",
    "Step",
    "as_markdown",
    "csv_rows",
    "help_label",
    "step_label",
    "summarise",
    "table_rows",
    "training_label",
]


def help_label(auxiliaries: Iterable[str]) -> str:
    """How tables and figures call a subset of modalities.

    Args:
        auxiliaries: their names.

    Returns:
        Text.

    Example:
        >>> help_label(("text", "audio")), help_label(())
        ('text + audio', 'alone')
    """
    return " + ".join(auxiliaries) or "alone"


def training_label(training: Training) -> str:
    """How tables and figures call a training.

    Args:
        training: any of a plan.

    Returns:
        Text.

    Example:
        >>> training_label(Training(("text", "audio"), "uml_init", shuffled=True))
        'text + audio: UML (init), audio permuted'
        >>> training_label(Training(("text",), "matched"))
        'alone: unimodal, matched, head as with text'
    """
    arm = ARMS[training.arm]
    if arm.auxiliary_loss:
        more = f", {training.auxiliaries[-1]} permuted" if training.shuffled else ""
        return f"{help_label(training.auxiliaries)}: {arm.label}{more}"
    return f"alone: {arm.label}" + (
        f", head as with {training.auxiliaries[0]}" if training.auxiliaries else ""
    )


@dataclass(frozen=True)
class Step:
    """One more modality that helps.

    Attributes:
        before: the subset without it.
        after: the subset with it.
        difference: in accuracy, percentage points, paired.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    difference: Interval


def step_label(before: Iterable[str], after: Iterable[str]) -> str:
    """How tables call a step.

    Args:
        before: the smaller subset.
        after: the larger one.

    Returns:
        Text.

    Example:
        >>> step_label(("text",), ("text", "audio")), step_label((), ("text",))
        ('text + audio against text', 'text against alone')
    """
    return f"{help_label(after)} against {help_label(before)}"


class Results:
    """Finished cells as arrays over splits."""

    def __init__(self, plan: Plan, cells: harness.Cells) -> None:
        self.plan, self._cells = plan, cells

    def accuracy(self, target: str, training: Training, shots: int | None) -> NDArray[np.float64]:
        """(splits,) test accuracy in percent, the mean over repetitions that share a split."""
        plan = self.plan
        cells = [plan.cell(target, training, shots, r) for r in plan.repetitions]
        found = [self._cells.get(cell.key)["accuracy"]["test"] for cell in cells]
        return 100 * np.reshape(found, (plan.preset.seeds, plan.source.runs_per_split)).mean(axis=1)

    def difference(self, target: str, training: Training, other: Training, shots: int | None) -> Interval:
        """Paired difference between two trainings over splits."""
        return paired_difference(self.accuracy(target, training, shots), self.accuracy(target, other, shots))

    def gain(self, target: str, training: Training, shots: int | None) -> Interval:
        """Paired difference to the fair control of the training's subset."""
        control = self.plan.control_of(training.auxiliaries)
        return self.difference(target, training, control, shots)

    def steps(self, target: str, arm: str, shots: int | None) -> list[Step]:
        """Every way to add one modality: to none (against the fair control), to one, ..."""
        found = []
        for after in self.plan.subsets(target):
            whole = Training(after, arm)
            if len(after) == 1:
                found.append(Step((), after, self.gain(target, whole, shots)))
                continue
            for added in after:
                before = tuple(name for name in after if name != added)
                gain = self.difference(target, whole, Training(before, arm), shots)
                found.append(Step(before, after, gain))
        return found


def summarise(results: Results) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        results: finished cells.

    Returns:
        For `as_markdown`, the figure and the JSON file.
    """
    plan = results.plan
    accuracy, steps = [], []
    for target in plan.targets:
        for shots in plan.preset.shots:
            for training in plan.trainings(target):
                entry: dict[str, Any] = {
                    "target": target,
                    "shots": _shots(shots),
                    "auxiliaries": list(training.auxiliaries),
                    "arm": training.arm,
                    "shuffled": training.shuffled,
                    "training": training_label(training),
                    "accuracy": mean_interval(results.accuracy(target, training, shots)),
                }
                if ARMS[training.arm].auxiliary_loss:
                    entry["minus_control"] = results.gain(target, training, shots)
                accuracy.append(entry)
            steps += [
                {"target": target, "shots": _shots(shots), "arm": arm, **vars(step)}
                for arm in ("uml", "uml_init")
                for step in results.steps(target, arm, shots)
            ]
    return {
        "source": plan.source.name,
        "classes": len(plan.source.classes),
        "about": dict(plan.source.about),
        "targets": list(plan.targets),
        "modalities": list(plan.source.modalities),
        "shots": [_shots(k) for k in plan.preset.shots],
        "splits": plan.preset.seeds,
        "runs_per_split": plan.source.runs_per_split,
        "auxiliary_rows": plan.auxiliary_rows,
        "control": plan.control,
        "candidates_per_training": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": accuracy,
        "steps": steps,
        "published": _published(plan),
        "verdicts": [_verdict(results, target) for target in plan.targets],
    }


def _shots(shots: int | None) -> str:
    return "all" if shots is None else str(shots)


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
                found.append({
                    "target": target,
                    "shots": str(shots),
                    "auxiliaries": ordered,
                    "accuracy": float(value),
                })
    return found


def _verdict(results: Results, target: str) -> str:
    """Whether each further modality helps, in one line, with what the wrong labels do."""
    plan = results.plan
    claims: dict[str, list[str]] = {}
    permuted: list[str] = []
    matters: dict[str, list[str]] = {}
    for shots in plan.preset.shots:
        k = _shots(shots)
        steps = results.steps(target, "uml_init", shots)
        words = [direction(step.difference, up="gains", down="loses") for step in steps]
        claim = "fails" if "loses" in words else "holds" if set(words) == {"gains"} else "is undecided"
        lost = [
            f"{help_label(step.after)} below {help_label(step.before)}"
            for step, word in zip(steps, words, strict=True)
            if word == "loses"
        ]
        counts = f"{words.count('gains')} of {len(words)} steps gain"
        claims.setdefault(claim, []).append(f"{k} ({'; '.join([counts, *lost])})")
        for subset in plan.subsets(target):
            if results.gain(target, Training(subset, "init_permuted"), shots).low > 0:
                permuted.append(f"{help_label(subset)} at {k}")
            if len(subset) > 1:
                right, wrong = (Training(subset, "uml_init", shuffled) for shuffled in (False, True))
                by_labels = results.difference(target, right, wrong, shots)
                meaning = direction(by_labels, up="matter", down="hurt", unclear="are undecided")
                matters.setdefault(f"{subset[-1]}'s labels {meaning}", []).append(k)
    parts = [f"{word} at {', '.join(where)} shots" for word, where in claims.items()]
    line = f"{target}: that more modalities help more (UML init) {'; '.join(parts)}"
    if matters:
        line += ". Beside the others, " + ", ".join(
            f"{what} at {', '.join(where)}" for what, where in matters.items()
        )
    return f"{line}. Permuted labels gain {', '.join(permuted) if permuted else 'nowhere'}"


def as_markdown(summary: dict[str, Any]) -> str:
    """Tables of accuracies and of steps, for each target.

    Args:
        summary: from `summarise`.

    Returns:
        Markdown.
    """
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
    header = [f"{k} {'shot' if k == '1' else 'shots'}" for k in summary["shots"]]
    for target in summary["targets"]:
        lines += ["", f"### {target} as the target", ""]
        entries = [e for e in summary["accuracy"] if e["target"] == target]
        rows = [
            [name, *(_accuracy(e) for e in entries if e["training"] == name)]
            for name in dict.fromkeys(e["training"] for e in entries)
        ]
        lines.append(
            markdown_table([f"{target}, helped by", *header], [*rows, *_published_rows(summary, target)])
        )
        steps = [s for s in summary["steps"] if s["target"] == target]
        names = dict.fromkeys((s["arm"], step_label(s["before"], s["after"])) for s in steps)
        rows = [
            [
                f"{ARMS[arm].label}: {name}",
                *(
                    gain_text(s["difference"])
                    for s in steps
                    if s["arm"] == arm and step_label(s["before"], s["after"]) == name
                ),
            ]
            for arm, name in names
        ]
        lines += ["", markdown_table(["one more modality", *header], rows)]
    lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if summary["differs_from_paper"]:
        lines += ["", f"Differs from the paper's protocol: {'; '.join(summary['differs_from_paper'])}."]
    return "\n".join(lines) + "\n"


def _published_rows(summary: dict[str, Any], target: str) -> list[list[str]]:
    entries = [e for e in summary["published"] if e["target"] == target]
    rows = []
    for name in dict.fromkeys(help_label(e["auxiliaries"]) for e in entries):
        values = {e["shots"]: e["accuracy"] for e in entries if help_label(e["auxiliaries"]) == name}
        rows.append([
            f"*paper: {name}*",
            *(f"{values[k]:.2f}" if k in values else "" for k in summary["shots"]),
        ])
    return rows


def _accuracy(entry: dict[str, Any]) -> str:
    text = f"{entry['accuracy'].estimate:.1f}"
    return f"{text} ({gain_text(entry['minus_control'])})" if "minus_control" in entry else text


def table_rows(summary: dict[str, Any]) -> list[dict[str, object]]:
    """The tables in long form, for CSV.

    Args:
        summary: from `summarise`.

    Returns:
        One row per target, training and shots, then one per step.
    """
    rows: list[dict[str, object]] = []
    for e in summary["accuracy"]:
        row = {"target": e["target"], "shots": e["shots"], "what": e["training"]}
        row |= interval_columns("accuracy", e["accuracy"])
        rows.append(row | (interval_columns("gain", e["minus_control"]) if "minus_control" in e else {}))
    for s in summary["steps"]:
        what = f"{ARMS[s['arm']].label}: {step_label(s['before'], s['after'])}"
        rows.append({
            "target": s["target"],
            "shots": s["shots"],
            "what": what,
            **interval_columns("gain", s["difference"]),
        })
    return rows


def csv_rows(plan: Plan, cells: harness.Cells) -> list[dict[str, object]]:
    """One row per finished cell.

    Args:
        plan: the study.
        cells: finished cells.

    Returns:
        Rows for CSV.
    """
    rows = []
    for target in plan.targets:
        for shots in plan.preset.shots:
            for training in plan.trainings(target):
                for r in plan.repetitions:
                    result = cells.get(plan.cell(target, training, shots, r).key)
                    split, drawn = divmod(r, plan.source.runs_per_split)
                    rows.append({
                        "target": target,
                        "auxiliaries": "+".join(training.auxiliaries),
                        "arm": training.arm,
                        "shuffled": training.shuffled,
                        "shots": _shots(shots),
                        "split": split,
                        "auxiliary_draw": drawn,
                        "accuracy": result["accuracy"]["test"],
                        **{
                            name: result[name]
                            for name in ("val_accuracy", "val_loss", "best_step", "seconds")
                        },
                        **result["setting"],
                    })
    return rows
