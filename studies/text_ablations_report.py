"""What the text ablations report: one table per axis against the fair control, verdicts, the paper's Tables 24 and 27."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError
from neural.heads.arms import ARMS
from studies import harness
from studies.harness import Interval, mean_interval, paired_difference
from studies.head_presets import differences
from studies.lab.table import shots_label
from studies.outputs import Report
from studies.published_numbers import published
from studies.report_tables import (
    by_word,
    direction,
    gain_text,
    interval_columns,
    little_impact,
    markdown_table,
)
from studies.text_ablations_plan import PERMUTED, UML, Plan, Variant
from studies.text_ablations_variants import ENCODER, KIND, NUMBER, RATIO

__all__ = ["Results", "report_of"]


class Results:
    """Finished cells as arrays over seeds."""

    def __init__(self, plan: Plan, cells: harness.Cells) -> None:
        self.plan, self.cells = plan, cells

    def values(self, variant: Variant, arm: str, shots: int | None) -> NDArray[np.float64]:
        """(seeds,) test accuracy in percent, on the first test set."""
        test = next(iter(self.plan.task.tests))
        found = [
            self.cells.get(self.plan.cell(variant, arm, shots, seed).key)
            for seed in range(self.plan.preset.seeds)
        ]
        return 100 * np.array([result["accuracy"][test] for result in found])

    def gain(self, variant: Variant, arm: str, shots: int | None) -> Interval:
        """Paired difference to the control of the same sizes, which has no text."""
        control = self.plan.control(variant)
        return paired_difference(self.values(variant, arm, shots), self.values(variant, control, shots))

    def between(self, a: Variant, b: Variant, arm: str, shots: int | None) -> Interval:
        """Paired difference of two kinds of text, a minus b."""
        return paired_difference(self.values(a, arm, shots), self.values(b, arm, shots))


def report_of(results: Results) -> Report:
    """Tables, verdicts and rows.

    Args:
        results: finished cells.

    Returns:
        Report.
    """
    plan = results.plan
    entries = []
    for axis, variant, arm in plan.points():
        for shots in plan.preset.shots:
            entry: dict[str, Any] = {
                "axis": axis,
                "variant": variant.name,
                "arm": arm,
                "shots": shots_label(shots),
            }
            entry["accuracy"] = mean_interval(results.values(variant, arm, shots))
            if arm not in {"unimodal", "matched"}:
                entry["minus_control"] = results.gain(variant, arm, shots)
            entries.append(entry)
    task = plan.task
    summary = {
        "task": task.name,
        "classes": len(task.classes),
        "about": dict(task.about),
        "control": plan.control(plan.variants[0]),
        "shots": [shots_label(k) for k in plan.preset.shots],
        "seeds": plan.preset.seeds,
        "axes": {axis: [variant.name for variant in variants] for axis, variants in plan.axes.items()},
        "candidates_per_arm": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": entries,
        "published": _published(plan),
        "verdicts": _verdicts(results),
    }
    return Report(summary, _markdown(summary), _cell_rows(results), _table(entries))


def _published(plan: Plan) -> list[dict[str, Any]]:
    """The paper's numbers for this data set and these encoders: unrelated text (Table 24), batch ratio (Table 27)."""
    encoders = plan.task.about.get("encoders", {})
    which = {"dataset": plan.task.name, "vision": encoders.get("image"), "text": encoders.get("text")}
    found = []
    for axis, table in ((KIND, 24), (RATIO, 27)):
        try:
            rows = published(table, **which)
        except UnknownNameError:
            continue
        for row in rows.to_dict("records"):
            label = row["label"] if table == 24 else f"{row['label']}, r = {row['ratio']:g}"
            entry = {"axis": axis, "table": table, "label": label, "shots": str(row["shots"])}
            found.append(entry | {"accuracy": float(row["value"])})
    return found


def _verdicts(results: Results) -> list[str]:
    lines = [f"{KIND}: {line}" for line in _kinds(results)]
    lines += [f"{NUMBER}: {line}" for line in _numbers(results)]
    if ENCODER in results.plan.axes:
        lines += [f"{ENCODER}: {line}" for line in _against_first(results, ENCODER)]
    return [*lines, f"{RATIO}: {_ratios(results)}"]


def _kinds(results: Results) -> list[str]:
    plan, lines = results.plan, []
    for variant in plan.axes[KIND]:
        for arm in UML:
            words = {}
            for k in plan.preset.shots:
                word = direction(results.gain(variant, arm, k), up="gains", down="loses")
                if results.gain(variant, PERMUTED[arm], k).low > 0:
                    word += ", but permuted labels gain,"
                words[shots_label(k)] = word
            control = ARMS[plan.control(variant)].label
            lines.append(f"{variant.name} text, {ARMS[arm].label} against {control}: {by_word(words)} shots")
    return lines + _against_first(results, KIND)


def _against_first(results: Results, axis: str) -> list[str]:
    """The gain of every other variant minus that of the axis's first, mean over shots."""
    first, *others = results.plan.axes[axis]
    lines = []
    for other in others:
        for arm in UML:
            gap = _mean_gap(results, other, first, arm)
            lines.append(
                f"{other.name} minus {first.name}, {ARMS[arm].label}, gains: {gain_text(gap)} points"
            )
    return lines


def _gains(results: Results, variant: Variant, arm: str, shots: int | None) -> NDArray[np.float64]:
    """Over the variant's own control: a narrower text space narrows the control's head as well."""
    return results.values(variant, arm, shots) - results.values(variant, results.plan.control(variant), shots)


def _mean_gap(results: Results, a: Variant, b: Variant, arm: str) -> Interval:
    """Difference of two variants' gains over their controls, mean over shots."""
    shots = results.plan.preset.shots
    gaps = [_gains(results, a, arm, k) - _gains(results, b, arm, k) for k in shots]
    return mean_interval(np.mean(gaps, axis=0))


def _numbers(results: Results) -> list[str]:
    variants = results.plan.axes[NUMBER]
    lines = []
    for arm in UML:
        steps = [
            f"from {a.name} to {b.name} {gain_text(_mean_gap(results, b, a, arm))}"
            for a, b in itertools.pairwise(variants)
        ]
        if steps:
            lines.append(f"{ARMS[arm].label}, points, mean over shots: {'; '.join(steps)}")
    return lines


def _ratios(results: Results) -> str:
    """The paper's claim that the ratio has little impact, as equivalence within `STABLE` points."""
    plan = results.plan
    reference = next(v for v in plan.axes[RATIO] if v.ratio == 1)
    gaps = {
        f"{v.name}, {ARMS[arm].label}, {shots_label(k)} shots": results.between(v, reference, arm, k)
        for v in plan.axes[RATIO]
        if v is not reference
        for arm in UML
        for k in plan.preset.shots
    }
    return little_impact(gaps) if gaps else "only r = 1 was measured"


def _markdown(summary: dict[str, Any]) -> str:
    lines = [
        f"## {summary['task']}: {summary['classes']} classes, {summary['seeds']} paired repetitions",
        "",
        (
            "Test accuracy in percent, mean over repetitions; in brackets the paired difference to the fair control "
            f"(*{ARMS[summary['control']].label}*, as many parameters, no text) with its 95% interval. Every arm reports the "
            f"best of {summary['candidates_per_arm']} trainings by validation."
        ),
    ]
    titles = [f"{k} {'shot' if k == '1' else 'shots'}" for k in summary["shots"]]
    for axis, variants in summary["axes"].items():
        rows, said = [], set()
        base = [e for e in summary["accuracy"] if e["axis"] == "baseline"]
        rows.append(["no text", "unimodal", *(f"{e['accuracy'].estimate:.1f}" for e in base)])
        for variant in variants:
            mine = [e for e in summary["accuracy"] if (e["axis"], e["variant"]) == (axis, variant)]
            for arm in dict.fromkeys(e["arm"] for e in mine):
                cells = [_cell_text(e) for e in mine if e["arm"] == arm]
                name = variant if "minus_control" in next(e for e in mine if e["arm"] == arm) else "no text"
                if (name, arm, *cells) not in said and arm != "unimodal":  # variants share a control
                    said.add((name, arm, *cells))
                    rows.append([name, ARMS[arm].label, *cells])
        for label in dict.fromkeys(e["label"] for e in summary["published"] if e["axis"] == axis):
            values = {e["shots"]: f"{e['accuracy']:.2f}" for e in summary["published"] if e["label"] == label}
            rows.append(["*paper*", f"*{label}*", *(values.get(k, "") for k in summary["shots"])])
        lines += ["", f"### {axis}", "", markdown_table([axis, "arm", *titles], rows)]
    lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if summary["differs_from_paper"]:
        lines += ["", f"Differs from the paper's protocol: {'; '.join(summary['differs_from_paper'])}."]
    return "\n".join(lines) + "\n"


def _cell_text(entry: dict[str, Any]) -> str:
    text = f"{entry['accuracy'].estimate:.1f}"
    return f"{text} ({gain_text(entry['minus_control'])})" if "minus_control" in entry else text


def _table(entries: list[dict[str, Any]]) -> list[dict[str, object]]:
    return [
        {name: e[name] for name in ("axis", "variant", "arm", "shots")}
        | interval_columns("accuracy", e["accuracy"])
        | (interval_columns("minus_control", e["minus_control"]) if "minus_control" in e else {})
        for e in entries
    ]


def _cell_rows(results: Results) -> list[dict[str, object]]:
    plan, rows = results.plan, []
    for axis, variant, arm in plan.points():
        for shots in plan.preset.shots:
            for seed in range(plan.preset.seeds):
                result = results.cells.get(plan.cell(variant, arm, shots, seed).key)
                row: dict[str, object] = {"axis": axis, "variant": variant.name, "arm": arm}
                row |= {"shots": shots_label(shots), "seed": seed}
                row |= {f"accuracy_{test}": value for test, value in result["accuracy"].items()}
                rows.append(row | {"val_accuracy": result["val_accuracy"], "seconds": result["seconds"]})
    return rows
