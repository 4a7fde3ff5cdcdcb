"""What the few-shot study reports: accuracies, paired differences to the fair control, verdicts, what heads look like."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.heads.arms import ARMS
from studies import harness
from studies.harness import Interval, mean_interval, paired_difference
from studies.head_presets import differences
from studies.image_text_fewshot_plan import Plan
from studies.published_numbers import PRINTED_ENCODERS, reference
from studies.report_tables import by_word, gain_text, interval_columns, markdown_table

__all__ = ["Results", "as_markdown", "csv_rows", "shots_label", "summarise", "table_rows"]

LOOKS = {
    "margin": "functional margin (eq. 8; in units of the head's space, which a projection may stretch)",
    "silhouette": "silhouette score",
    "davies_bouldin": "Davies-Bouldin index",
    "alignment_start": "gradient alignment before training",
    "alignment": "gradient alignment of the chosen head",
}


def shots_label(shots: int | None) -> str:
    """How tables and figures call a number of shots.

    Args:
        shots: k, or None for the whole training pool.

    Returns:
        Text.
    """
    return "all" if shots is None else str(shots)


class Results:
    """Finished cells as arrays over seeds."""

    def __init__(self, plan: Plan, cells: harness.Cells) -> None:
        self.plan, self._cells = plan, cells

    def result(self, arm: str, shots: int | None, seed: int) -> dict[str, Any]:
        """What is kept of one cell."""
        return self._cells.get(self.plan.cell(arm, shots, seed).key)

    def values(self, what: str, arm: str, shots: int | None) -> NDArray[np.float64]:
        """(seeds,) one number per repetition; accuracies (in percent) go by the test set's name."""
        results = [self.result(arm, shots, s) for s in range(self.plan.preset.seeds)]
        if what in self.plan.task.tests:
            return 100 * np.array([result["accuracy"][what] for result in results])
        return np.array([np.nan if result[what] is None else result[what] for result in results], dtype=float)

    def difference(self, what: str, arm: str, control: str, shots: int | None) -> Interval:
        """Paired difference between two arms over repetitions."""
        return paired_difference(self.values(what, arm, shots), self.values(what, control, shots))


def summarise(results: Results) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        results: finished cells.

    Returns:
        For `as_markdown`, the figure and the JSON file.
    """
    plan = results.plan
    control = plan.control
    accuracy, looks = [], []
    for shots in plan.preset.shots:
        for arm in plan.arms:
            for test in plan.task.tests:
                entry: dict[str, Any] = {"shots": shots_label(shots), "arm": arm, "test": test}
                entry["accuracy"] = mean_interval(results.values(test, arm, shots))
                if arm != control and control in plan.arms:
                    entry["minus_control"] = results.difference(test, arm, control, shots)
                accuracy.append(entry)
            for what in LOOKS:
                values = results.values(what, arm, shots)
                if np.isfinite(values).all():
                    looks.append({
                        "shots": shots_label(shots),
                        "arm": arm,
                        "what": what,
                        "value": mean_interval(values),
                    })
    return {
        "task": plan.task.name,
        "classes": len(plan.task.classes),
        "about": dict(plan.task.about),
        "control": control,
        "arms": {arm: ARMS[arm].label for arm in plan.arms},
        "shots": [shots_label(k) for k in plan.preset.shots],
        "tests": list(plan.task.tests),
        "seeds": plan.preset.seeds,
        "candidates_per_arm": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": accuracy,
        "published": _published(plan),
        "looks": looks,
        "verdicts": _verdicts(results),
        "edges": _at_the_edge(results),
    }


def _published(plan: Plan) -> list[dict[str, Any]]:
    """The paper's linear probes of the same data set and encoders, where it has them; never mixed with ours."""
    encoders = dict(plan.task.about.get("encoders", {}))
    vision, text = (
        PRINTED_ENCODERS.get(str(name), name) for name in (encoders.get("image"), encoders.get("text"))
    )
    found = []
    for shots in plan.preset.shots if vision is not None and text is not None else ():
        for arm in ("unimodal", "uml", "uml_init"):
            protocol = "full_linear_probe" if shots is None else "few_shot_linear_probe"
            value = reference(plan.task.name, shots, arm, vision=vision, text=text, protocol=protocol)
            if value is not None:
                found.append({"shots": shots_label(shots), "arm": arm, "accuracy": value})
    return found


def _verdicts(results: Results) -> list[str]:
    """One line for every test set and question: at which shots the answer is yes."""
    plan, control = results.plan, results.plan.control
    lines = []
    if "uml_init" in plan.arms:
        for test in plan.task.tests:
            lines.append(f"{test}: UML (init) {_against_baselines(results, test)}")
    first = next(iter(plan.task.tests))
    questions = [
        ("uml_init", "init_only", "what training on auxiliary rows adds to the start from class means"),
        ("uml", control, "what training on auxiliary rows adds without that start"),
        ("uml", "uml_permuted", "what of it is the right classes"),
    ]
    for arm, other, question in questions:
        if arm in plan.arms and other in plan.arms:
            gains = {k: results.difference(first, arm, other, k) for k in plan.preset.shots}
            texts = [f"{shots_label(k)}: {gain_text(g)}" for k, g in gains.items()]
            lines.append(
                f"{first}: {question} ({ARMS[arm].label} - {ARMS[other].label}, points by shots): {', '.join(texts)}"
            )
    return lines


def _against_baselines(results: Results, test: str) -> str:
    """It gains where it beats the matched control and the plain baseline, and loses where it falls behind either."""
    plan = results.plan
    words: dict[str, str] = {}
    for shots in plan.preset.shots:
        gains = [
            results.difference(test, "uml_init", c, shots) for c in dict.fromkeys((plan.control, "unimodal"))
        ]
        sure, behind = all(g.low > 0 for g in gains), any(g.high < 0 for g in gains)
        word = "gains" if sure else "loses" if behind else "is undecided"
        permuted = "init_permuted" in plan.arms
        if permuted and results.difference(test, "init_permuted", plan.control, shots).low > 0:
            word += ", and so do permuted labels," if sure else ", but permuted labels gain,"
        words[shots_label(shots)] = word
    baselines = " and ".join(dict.fromkeys((ARMS[plan.control].label, ARMS["unimodal"].label)))
    return f"against {baselines}: {by_word(words)} shots"


def _at_the_edge(results: Results) -> list[str]:
    """How often an arm chose the end of an axis of the grid, or its last steps: there a wider grid might do better."""
    plan = results.plan
    grid, schedule = plan.preset.grid, plan.preset.schedule
    lines = []
    for arm in plan.arms:
        chosen = [results.result(arm, k, s) for k in plan.preset.shots for s in range(plan.preset.seeds)]
        rates = [result["setting"]["learning_rate"] for result in chosen]
        ends = {
            "lowest learning rate": min(grid.learning_rates),
            "highest learning rate": max(grid.learning_rates),
        }
        counts = {name: sum(rate == end for rate in rates) for name, end in ends.items()}
        counts["last look"] = sum(
            result["best_step"] > schedule.iterations - schedule.eval_every for result in chosen
        )
        diverged = sum(result["diverged"] for result in chosen)
        if diverged:
            counts["(trainings that diverged)"] = diverged
        lines.append(
            f"{ARMS[arm].label} {', '.join(f'{name} {n}' for name, n in counts.items())} of {len(chosen)}"
        )
    return lines


def as_markdown(summary: dict[str, Any]) -> str:
    """Tables of accuracies with differences, and of what the heads look like.

    Args:
        summary: from `summarise`.

    Returns:
        Markdown.
    """
    control = summary["arms"].get(summary["control"], summary["control"])
    lines = [
        f"## {summary['task']}: {summary['classes']} classes, {summary['seeds']} paired repetitions",
        "",
        (
            "Test accuracy in percent, mean over repetitions; in brackets the paired difference to "
            f"*{control}* with its 95% interval. Every arm reports the best of "
            f"{summary['candidates_per_arm']} trainings by validation."
        ),
    ]
    for test in summary["tests"]:
        lines += ["", f"### {test}", ""]
        rows = []
        for arm, label in summary["arms"].items():
            cells = []
            for shots in summary["shots"]:
                entry = _entry(summary, shots, arm, test)
                text = f"{entry['accuracy'].estimate:.1f}"
                if "minus_control" in entry:
                    gain = entry["minus_control"]
                    text += f" ({gain_text(gain)})"
                cells.append(text)
            rows.append([label, *cells])
        rows += _published_rows(summary) if test == summary["tests"][0] else []
        lines.append(markdown_table(["arm", *_titles(summary)], rows))
    lines += ["", "### What the chosen heads look like (test rows)", ""]
    rows = []
    for what, label in LOOKS.items():
        for arm, name in summary["arms"].items():
            found = {
                e["shots"]: e["value"] for e in summary["looks"] if e["what"] == what and e["arm"] == arm
            }
            if found:
                texts = [f"{found[k]:}" if k in found else "" for k in summary["shots"]]
                rows.append([label, name, *texts])
    lines.append(markdown_table(["measure", "arm", *_titles(summary)], rows))
    if summary["verdicts"]:
        lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if summary["edges"]:
        lines += ["", f"Choices at the edge of the grid: {'; '.join(summary['edges'])}."]
    if summary["differs_from_paper"]:
        lines += ["", f"Differs from the paper's protocol: {'; '.join(summary['differs_from_paper'])}."]
    return "\n".join(lines) + "\n"


def _published_rows(summary: dict[str, Any]) -> list[list[str]]:
    rows = []
    for arm in dict.fromkeys(entry["arm"] for entry in summary["published"]):
        values = {e["shots"]: f"{e['accuracy']:.2f}" for e in summary["published"] if e["arm"] == arm}
        rows.append([f"*paper: {ARMS[arm].label}*", *(values.get(k, "") for k in summary["shots"])])
    return rows


def _titles(summary: dict[str, Any]) -> list[str]:
    return [f"{k} {'shot' if k == '1' else 'shots'}" for k in summary["shots"]]


def _entry(summary: dict[str, Any], shots: str, arm: str, test: str) -> dict[str, Any]:
    return next(e for e in summary["accuracy"] if (e["shots"], e["arm"], e["test"]) == (shots, arm, test))


def table_rows(summary: dict[str, Any]) -> list[dict[str, object]]:
    """The accuracy table in long form, for CSV.

    Args:
        summary: from `summarise`.

    Returns:
        One row per test set, shots and arm.
    """
    rows = []
    for e in summary["accuracy"]:
        row = {
            "test": e["test"],
            "shots": e["shots"],
            "arm": e["arm"],
            **interval_columns("accuracy", e["accuracy"]),
        }
        rows.append(
            row | (interval_columns("minus_control", e["minus_control"]) if "minus_control" in e else {})
        )
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
    for cell in reversed(plan.cells()):
        result = cells.get(cell.key)
        rows.append(
            {"arm": cell.arm, "shots": shots_label(cell.shots), "seed": cell.seed}
            | {f"accuracy_{test}": value for test, value in result["accuracy"].items()}
            | {name: result[name] for name in ("val_accuracy", "val_loss", *LOOKS, "best_step", "seconds")}
            | result["setting"]
        )
    return rows
