"""What the robustness study reports: gains under each shift, and whether they exceed those on the source law."""

from typing import Any

import pandas as pd

from neural.heads.arms import ARMS
from studies.head_cells import of_its_classes
from studies.image_text_fewshot_plan import Plan
from studies.lab.table import by_key, by_test, contrast, entries, paired, shots_label
from studies.report_tables import by_word, direction, gain_text, markdown_table

__all__ = ["as_markdown", "summarise"]


def summarise(plan: Plan, cells: pd.DataFrame) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        plan: the study; the first test set is of the training law, the others are shifted.
        cells: from `studies.image_text_fewshot_report.cell_rows`.

    Returns:
        For `as_markdown`, the figure and the JSON file. Accuracies and differences are in percent and points.
    """
    source, *shifted = plan.task.tests
    rows, shots = by_test(cells), [shots_label(k) for k in plan.preset.shots]
    found = entries(
        rows,
        {"test": [*plan.task.tests], "shots": shots, "arm": plan.arms},
        {"minus_control": plan.control, "minus_unimodal": "unimodal"},
    )
    for arm in (arm for arm in plan.arms if arm != plan.control):
        gains = paired(rows, arm, plan.control, ["test", "shots"])
        for test in shifted:  # on the source law among the same classes
            home = of_its_classes(source, test) if test in plan.task.among else source
            extra = by_key(contrast(gains, test, home, ["shots"], column="test"), "shots")
            for entry in (e for e in found if (e["test"], e["arm"]) == (test, arm)):
                entry["extra"] = extra[entry["shots"]]
    return {
        "task": plan.task.name,
        "about": dict(plan.task.about),
        "control": plan.control,
        "arms": {arm: ARMS[arm].label for arm in plan.arms},
        "shots": shots,
        "source": source,
        "shifted": shifted,
        "among": {test: len(classes) for test, classes in plan.task.among.items()},
        "seeds": plan.preset.seeds,
        "candidates_per_arm": plan.preset.trainings,
        "accuracy": found,
        "verdicts": _verdicts(
            found, shifted, [ARMS[arm].label for arm in dict.fromkeys((plan.control, "unimodal"))]
        ),
    }


def _verdicts(found: list[dict[str, Any]], shifted: list[str], baselines: list[str]) -> list[str]:
    """Two lines for every shift: the paper's claim under the fair control, and robustness proper."""
    lines, names = [], " and than ".join(baselines)
    for test in shifted:
        mine = {e["shots"]: e for e in found if e["test"] == test and e["arm"] == "uml_init"}
        permuted = {e["shots"]: e for e in found if e["test"] == test and e["arm"] == "init_permuted"}
        words = {}
        for shots, entry in mine.items():
            word = _against_baselines(entry)
            if shots in permuted and permuted[shots]["minus_control"].low > 0:
                word += " (permuted labels gain, too)"
            words[shots] = word
        lines.append(f"{test}: UML (init) more accurate than {names}: {by_word(words)} shots")
        words = {k: direction(e["extra"], up="holds", down="fails") for k, e in mine.items()}
        lines.append(f"{test}: it gains more there than on the source law: {by_word(words)} shots")
    return lines


def _against_baselines(entry: dict[str, Any]) -> str:
    """The claim holds above both the control and the plain baseline, and fails below either."""
    gains = [entry[name] for name in ("minus_control", "minus_unimodal") if name in entry]
    if all(gain.low > 0 for gain in gains):
        return "holds"
    return "fails" if any(gain.high < 0 for gain in gains) else "is undecided"


def as_markdown(summary: dict[str, Any]) -> str:
    """One table for every test set, one of extra gains, verdicts.

    Args:
        summary: from `summarise`.

    Returns:
        Markdown.
    """
    control, shots = summary["arms"][summary["control"]], summary["shots"]
    titles = [f"k = {k}" for k in shots]
    found = {(e["test"], e["arm"], e["shots"]): e for e in summary["accuracy"]}
    lines = [
        f"## Robustness on {summary['task']}: {summary['seeds']} paired repetitions",
        "",
        (
            "Test accuracy in percent of heads trained and chosen on the source law; in brackets the paired difference to "
            f"*{control}* with its 95% interval. Every arm reports the best of {summary['candidates_per_arm']} trainings by "
            "validation."
        ),
    ]
    for test in [summary["source"], *summary["shifted"]]:
        rows = []
        for arm, label in summary["arms"].items():
            cells = [found[test, arm, k] for k in shots]
            rows.append([
                label,
                *(
                    f"{e['accuracy'].estimate:.1f}"
                    + (f" ({gain_text(e['minus_control'])})" if "minus_control" in e else "")
                    for e in cells
                ),
            ])
        name = f"{test} (source law" if test == summary["source"] else f"{test} (shifted"
        name += f"; among its {summary['among'][test]} classes)" if test in summary["among"] else ")"
        lines += ["", f"### {name}", "", markdown_table(["arm", *titles], rows)]
    lines += ["", "### Gain under the shift minus gain on the source law, UML (init), points", ""]
    if summary["among"]:
        few = ", ".join(summary["among"])
        lines += [f"Of {few} both gains are on rows of the same classes, predicted among these.", ""]
    rows = [
        [test, *(gain_text(found[test, "uml_init", k]["extra"]) for k in shots)]
        for test in summary["shifted"]
    ]
    lines.append(markdown_table(["shift", *titles], rows))
    lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if summary.get("differs_from_paper"):
        lines += ["", f"Differs from the paper's protocol: {'; '.join(summary['differs_from_paper'])}."]
    return "\n".join(lines) + "\n"
