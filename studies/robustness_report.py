"""What the robustness study reports: gains under each shift, and whether they exceed those on the source law."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural.heads.arms import ARMS
from studies.harness import mean_interval, paired_difference
from studies.head_cells import of_its_classes
from studies.image_text_fewshot_report import Results, shots_label
from studies.report_tables import by_word, direction, gain_text, interval_columns, markdown_table

__all__ = ["as_markdown", "summarise", "table_rows"]


def summarise(results: Results) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        results: finished cells of a task whose first test set is of the training law, the others shifted.

    Returns:
        For `as_markdown`, the figure and the JSON file. Accuracies and differences are in percent and points.
    """
    plan = results.plan
    source, *shifted = plan.task.tests
    entries = []
    for test in plan.task.tests:
        for shots in plan.preset.shots:
            for arm in plan.arms:
                accuracy = results.values(test, arm, shots)
                entry: dict[str, Any] = {"test": test, "shots": shots_label(shots), "arm": arm}
                entry["accuracy"] = mean_interval(accuracy)
                if arm != plan.control:
                    gain = accuracy - results.values(test, plan.control, shots)
                    entry["minus_control"] = mean_interval(gain)
                if arm not in (plan.control, "unimodal"):
                    entry["minus_unimodal"] = paired_difference(
                        accuracy, results.values(test, "unimodal", shots)
                    )
                if arm != plan.control and test != source:
                    mine, control = (_on_source(results, test, name, shots) for name in (arm, plan.control))
                    entry["extra"] = paired_difference(gain, mine - control)
                entries.append(entry)
    return {
        "task": plan.task.name,
        "about": dict(plan.task.about),
        "control": plan.control,
        "arms": {arm: ARMS[arm].label for arm in plan.arms},
        "shots": [shots_label(k) for k in plan.preset.shots],
        "source": source,
        "shifted": shifted,
        "among": {test: len(classes) for test, classes in plan.task.among.items()},
        "seeds": plan.preset.seeds,
        "candidates_per_arm": plan.preset.trainings,
        "accuracy": entries,
        "verdicts": _verdicts(
            entries, shifted, [ARMS[arm].label for arm in dict.fromkeys((plan.control, "unimodal"))]
        ),
    }


def _on_source(results: Results, test: str, arm: str, shots: int | None) -> NDArray[np.float64]:
    """(seeds,) accuracy on the source law that compares with that on a test set: among the same classes, in percent."""
    task, seeds = results.plan.task, range(results.plan.preset.seeds)
    source = next(iter(task.tests))
    if test not in task.among:
        return results.values(source, arm, shots)
    name = of_its_classes(source, test)
    return 100 * np.array([results.result(arm, shots, s)["accuracy"][name] for s in seeds])


def _verdicts(entries: list[dict[str, Any]], shifted: list[str], baselines: list[str]) -> list[str]:
    """Two lines for every shift: the paper's claim under the fair control, and robustness proper."""
    lines, names = [], " and than ".join(baselines)
    for test in shifted:
        mine = {e["shots"]: e for e in entries if e["test"] == test and e["arm"] == "uml_init"}
        permuted = {e["shots"]: e for e in entries if e["test"] == test and e["arm"] == "init_permuted"}
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


def table_rows(summary: dict[str, Any]) -> list[dict[str, object]]:
    """The tables in long form, for CSV.

    Args:
        summary: from `summarise`.

    Returns:
        One row per test set, shots and arm.
    """
    rows = []
    for e in summary["accuracy"]:
        row: dict[str, object] = {name: e[name] for name in ("test", "shots", "arm")}
        for what in ("accuracy", "minus_control", "minus_unimodal", "extra"):
            row |= interval_columns(what, e[what]) if what in e else {}
        rows.append(row)
    return rows
