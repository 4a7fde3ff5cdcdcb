"""What the few-shot study reports: accuracies, paired differences to the fair control, verdicts, what heads look like."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from neural.heads.arms import ARMS
from studies import harness
from studies.harness import Interval
from studies.head_presets import differences
from studies.lab.heads import Plan
from studies.lab.table import by_key, by_measure, by_test, contrast, entries, shots_label, table
from studies.published_numbers import PRINTED_ENCODERS, reference
from studies.report_tables import by_word, gain_text, markdown_table

__all__ = ["as_markdown", "cell_rows", "summarise"]

LOOKS = {
    "margin": "functional margin (eq. 8; in units of the head's space, which a projection may stretch)",
    "silhouette": "silhouette score",
    "davies_bouldin": "Davies-Bouldin index",
    "alignment_start": "gradient alignment before training",
    "alignment": "gradient alignment of the chosen head",
}


def summarise(plan: Plan, cells: pd.DataFrame) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        plan: the study.
        cells: from `cell_rows`.

    Returns:
        For `as_markdown`, the figure and the JSON file.
    """
    rows = by_test(cells)
    shots = [shots_label(k) for k in plan.preset.shots]
    places: dict[str, Sequence[str]] = {"shots": shots, "arm": plan.arms}
    looks = by_measure(cells, LOOKS, ["shots", "arm"])
    return {
        "task": plan.task.name,
        "classes": len(plan.task.classes),
        "about": dict(plan.task.about),
        "control": plan.control,
        "arms": {arm: ARMS[arm].label for arm in plan.arms},
        "shots": shots,
        "tests": list(plan.task.tests),
        "seeds": plan.preset.seeds,
        "candidates_per_arm": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": entries(rows, places | {"test": [*plan.task.tests]}, {"minus_control": plan.control}),
        "published": _published(plan),
        "looks": entries(looks, places | {"what": [*LOOKS]}, value="value"),
        "verdicts": _verdicts(plan, rows),
        "edges": _at_the_edge(plan, cells),
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


def _gains(rows: pd.DataFrame, test: str, arm: str, other: str) -> dict[str, Interval]:
    """{shots: paired difference} on one test set."""
    return by_key(contrast(rows[rows["test"].eq(test)], arm, other, ["shots"]), "shots")


def _verdicts(plan: Plan, rows: pd.DataFrame) -> list[str]:
    """One line for every test set and question: at which shots the answer is yes."""
    lines = []
    if "uml_init" in plan.arms:
        for test in plan.task.tests:
            lines.append(f"{test}: UML (init) {_against_baselines(plan, rows, test)}")
    first = next(iter(plan.task.tests))
    questions = [
        ("uml_init", "init_only", "what training on auxiliary rows adds to the start from class means"),
        ("uml", plan.control, "what training on auxiliary rows adds without that start"),
        ("uml", "uml_permuted", "what of it is the right classes"),
    ]
    for arm, other, question in questions:
        if arm in plan.arms and other in plan.arms:
            gains = _gains(rows, first, arm, other)
            texts = [f"{k}: {gain_text(gains[k])}" for k in map(shots_label, plan.preset.shots)]
            lines.append(
                f"{first}: {question} ({ARMS[arm].label} - {ARMS[other].label}, points by shots): {', '.join(texts)}"
            )
    return lines


def _against_baselines(plan: Plan, rows: pd.DataFrame, test: str) -> str:
    """It gains where it beats the matched control and the plain baseline, and loses where it falls behind either."""
    baselines = dict.fromkeys((plan.control, "unimodal"))
    against = [_gains(rows, test, "uml_init", baseline) for baseline in baselines]
    permuted = _gains(rows, test, "init_permuted", plan.control) if "init_permuted" in plan.arms else {}
    words: dict[str, str] = {}
    for k in map(shots_label, plan.preset.shots):
        sure, behind = all(g[k].low > 0 for g in against), any(g[k].high < 0 for g in against)
        word = "gains" if sure else "loses" if behind else "is undecided"
        if k in permuted and permuted[k].low > 0:
            word += ", and so do permuted labels," if sure else ", but permuted labels gain,"
        words[k] = word
    names = " and ".join(ARMS[baseline].label for baseline in baselines)
    return f"against {names}: {by_word(words)} shots"


def _at_the_edge(plan: Plan, cells: pd.DataFrame) -> list[str]:
    """How often an arm chose the end of an axis of the grid, or its last steps: there a wider grid might do better."""
    rates, schedule = plan.preset.grid.learning_rates, plan.preset.schedule
    lines = []
    for arm in plan.arms:
        chosen = cells[cells["arm"].eq(arm)]
        counts = {
            f"{name} learning rate": chosen["learning_rate"].eq(end).sum()
            for name, end in (("lowest", min(rates)), ("highest", max(rates)))
        }
        counts["last look"] = chosen["best_step"].gt(schedule.iterations - schedule.eval_every).sum()
        if chosen["diverged"].any():
            counts["(trainings that diverged)"] = chosen["diverged"].sum()
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


def cell_rows(plan: Plan, cells: harness.Cells) -> pd.DataFrame:
    """One row per finished cell.

    Args:
        plan: the study.
        cells: finished cells.

    Returns:
        Table; all but its last column, the number of trainings that diverged, is written as CSV.
    """
    rows = []
    for cell in reversed(plan.cells()):
        result = cells.get(cell.key)
        rows.append(
            {"arm": cell.arm, "shots": shots_label(cell.shots), "seed": cell.seed}
            | {f"accuracy_{test}": value for test, value in result["accuracy"].items()}
            | {name: result[name] for name in ("val_accuracy", "val_loss", *LOOKS, "best_step", "seconds")}
            | result["setting"]
            | {"diverged": result["diverged"]}
        )
    return table(rows)
