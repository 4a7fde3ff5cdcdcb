"""What the full-data study reports: accuracies, paired differences to the matched control, published numbers beside them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural.heads.arms import ARMS
from studies import harness
from studies.full_data_plan import FullDataPlan, Row
from studies.harness import mean_interval, paired_difference
from studies.published_numbers import PRINTED_ENCODERS, published
from studies.report_tables import direction, gain_text, interval_columns, little_impact, markdown_table

__all__ = ["as_markdown", "csv_rows", "summarise", "table_rows"]

TITLES = {
    "linear": "Linear probe, frozen encoders (Tables 10-14, 21)",
    "finetune": "Fine-tuning of encoder and head (Tables 6-9, 20, 29)",
    "ratio": "Fine-tuning, text rows per picture (Table 28)",
}
_TABLES = {"linear": (*range(10, 15), 21), "finetune": (*range(6, 10), 20, 29), "ratio": (28,)}
_METHODS = {"uml_unfrozen_text": ("uml", True), "uml_frozen_text": ("uml", False)}  # Table 29's names


def summarise(plan: FullDataPlan, cells: harness.Cells) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        plan: the study.
        cells: finished cells.

    Returns:
        For `as_markdown`, the figure and the JSON file. Accuracies and differences are in percent and points, on the test
        set of the training law.
    """
    rows, values = plan.rows(), {row: _accuracies(plan, cells, row) for row in plan.rows()}
    entries = []
    for row in rows:
        entry: dict[str, Any] = {
            "part": row.part,
            "arm": row.arm,
            "ratio": row.ratio,
            "unfrozen": row.unfrozen,
            "label": row.label if row.arm != plan.control else ARMS[row.arm].label,
            "accuracy": mean_interval(values[row]),
        }
        if row.arm != plan.control:
            entry["minus_control"] = paired_difference(values[row], values[Row(row.part, plan.control)])
        entries.append(entry)
    return {
        "task": plan.task.name,
        "classes": len(plan.task.classes),
        "training rows": len(plan.task.train),
        "about": dict(plan.task.about),
        "control": ARMS[plan.control].label,
        "parts": list(plan.parts),
        "seeds": plan.preset.seeds,
        "candidates": {
            "linear": plan.preset.trainings,
            "finetune": 0 if plan.tuning is None else len(plan.tuning.learning_rates),
        },
        "rows": entries,
        "published": _published(plan),
        "verdicts": _verdicts(plan, values),
    }


def _accuracies(plan: FullDataPlan, cells: harness.Cells, row: Row) -> NDArray[np.float64]:
    """(seeds,) percent."""
    first = next(iter(plan.task.tests))
    results = [cells.get(plan.cell(row, s).key) for s in range(plan.preset.seeds)]
    return 100 * np.array([result["accuracy"][first] for result in results])


def _published(plan: FullDataPlan) -> list[dict[str, Any]]:
    """The paper's numbers for this data set: of the same encoders where ours have names, in all parts of this study."""
    encoders = dict(plan.task.about.get("encoders", {}))
    found = []
    for part in plan.parts:
        tables = pd.concat([published(number) for number in _TABLES[part]])
        of_data = tables[tables["dataset"].eq(plan.task.name) & tables["metric"].eq("accuracy")]
        same_text = of_data["method"].eq("unimodal") | of_data["text"].eq(_published_name(encoders, "text"))
        chosen = of_data[of_data["vision"].eq(_published_name(encoders, "image")) & same_text]
        for line in chosen.to_dict("records"):
            arm, unfrozen = _METHODS.get(line["method"], (line["method"], False))
            found.append({"part": part, "arm": arm, "unfrozen": unfrozen, "label": line["label"]})
            found[-1] |= {"ratio": float(line.get("ratio") or 1.0), "accuracy": float(line["value"])}
    return found


def _published_name(encoders: Mapping[str, str], modality: str) -> str:
    """The paper's name of an encoder."""
    name = str(encoders.get(modality))
    return PRINTED_ENCODERS.get(name, name)


def _verdicts(plan: FullDataPlan, values: dict[Row, NDArray[np.float64]]) -> list[str]:
    """One line per claim of the paper."""
    lines = []

    def compare(claim: str, row: Row, other: Row) -> None:
        gain = paired_difference(values[row], values[other])
        word = direction(gain, up="holds", down="fails")
        lines.append(f"{claim}: {word} ({gain_text(gain)} points)")

    for part, name in (("linear", "linear probe"), ("finetune", "fine-tuning")):
        if part in plan.parts:
            for arm in ("uml", "uml_init"):
                for control in dict.fromkeys((plan.control, "unimodal")):
                    claim = f"{name}: {ARMS[arm].label} above {ARMS[control].label}"
                    compare(claim, Row(part, arm), Row(part, control))
            claim = f"{name}: {ARMS['uml_init'].label} above its permuted labels"
            compare(claim, Row(part, "uml_init"), Row(part, "init_permuted"))
    if "finetune" in plan.parts:
        frozen, unfrozen = Row("finetune", "uml"), Row("finetune", "uml", unfrozen=True)
        compare("fine-tuning: UML with frozen text encoder above unfrozen", frozen, unfrozen)
        compare(
            "fine-tuning: UML with unfrozen text encoder above the control",
            unfrozen,
            Row("finetune", plan.control),
        )
    if "ratio" in plan.parts:
        gaps = {
            row.label: paired_difference(values[row], values[Row("ratio", row.arm)])
            for row in values
            if row.part == "ratio" and row.ratio != 1
        }
        lines.append(f"batch ratio: {little_impact(gaps) if gaps else 'only r = 1 was measured'}")
    return lines


def as_markdown(summary: dict[str, Any]) -> str:
    """One table per part, and the verdicts.

    Args:
        summary: from `summarise`.

    Returns:
        Markdown.
    """
    lines = [
        (
            f"## {summary['task']}: all {summary['training rows']} training rows of {summary['classes']} classes, "
            f"{summary['seeds']} paired repetitions"
        ),
        "",
        (
            f"Test accuracy in percent with its 95% interval, and the paired difference to *{summary['control']}*. "
            "Repetitions share the training rows; they differ in initial weights and order."
        ),
    ]
    for part in summary["parts"]:
        rows = []
        for entry in (e for e in summary["rows"] if e["part"] == part):
            a = entry["accuracy"]
            gain = gain_text(entry["minus_control"], 2) if "minus_control" in entry else ""
            paper = [
                p["accuracy"]
                for p in summary["published"]
                if all(p[k] == entry[k] for k in ("part", "arm", "ratio", "unfrozen"))
            ]
            shown = f"{a.estimate:.2f} [{a.low:.2f}, {a.high:.2f}]"
            rows.append([entry["label"], shown, gain, f"{paper[0]:.2f}" if paper else ""])
        header = ["arm", "accuracy", "difference to the control", "paper"]
        if not any(row[-1] for row in rows):
            header, rows = header[:-1], [row[:-1] for row in rows]
        lines += ["", f"### {TITLES[part]}", "", markdown_table(header, rows)]
    lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if "linear" in summary["parts"] and summary.get("differs_from_paper"):
        text = "; ".join(summary["differs_from_paper"])
        lines += ["", f"The linear probe differs from the paper's protocol: {text}."]
    if summary.get("tuning_differs_from_paper"):
        text = "; ".join(summary["tuning_differs_from_paper"])
        lines += ["", f"Fine-tuning differs from the paper's protocol: {text}."]
    return "\n".join(lines) + "\n"


def table_rows(summary: dict[str, Any]) -> list[dict[str, object]]:
    """The tables in long form, for CSV.

    Args:
        summary: from `summarise`.

    Returns:
        One row per part and way to train.
    """
    rows = []
    for e in summary["rows"]:
        row: dict[str, object] = {name: e[name] for name in ("part", "arm", "ratio", "unfrozen")}
        for what in ("accuracy", "minus_control"):
            row |= interval_columns(what, e[what]) if what in e else {}
        rows.append(row)
    return rows


def csv_rows(plan: FullDataPlan, cells: harness.Cells) -> list[dict[str, object]]:
    """One row per repetition of every way to train.

    Args:
        plan: the study.
        cells: finished cells.

    Returns:
        Rows for CSV.
    """
    rows = []
    for row in plan.rows():
        for seed in range(plan.preset.seeds):
            result = cells.get(plan.cell(row, seed).key)
            rows.append(
                {**vars(row), "seed": seed}
                | {f"accuracy_{test}": value for test, value in result["accuracy"].items()}
                | {name: result[name] for name in ("val_accuracy", "val_loss", "best_step", "seconds")}
                | result["setting"]
            )
    return rows
