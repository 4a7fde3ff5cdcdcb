"""What the classifier analysis reports: separation measures with intervals, planes of class pairs, diagonal dominance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fisherkit.checks import UnknownNameError
from neural.data.task import Embeddings, Task
from neural.heads.arms import ARMS, permuted_classes
from neural.heads.runs import HeadFit
from neural.heads.sweep import train_heads
from studies.classifier_planes import (
    confused_pairs,
    decision_plane,
    diagonal_dominance,
    prototype_text_cosines,
)
from studies.harness import Cells
from studies.lab.heads import Plan
from studies.lab.table import by_measure, entries, long_form, shots_label
from studies.report_tables import by_word, direction, gain_text, markdown_table

__all__ = ["MEASURES", "Heads", "as_markdown", "csv_rows", "named_pairs", "summarise", "table_rows"]

# {measure: (label, whether more is better)}
MEASURES = {
    "margin": ("functional margin (units of the head's space)", True),
    "silhouette": ("silhouette score", True),
    "davies_bouldin": ("Davies-Bouldin index", False),
}
_FIGURES = {"margin": 41, "silhouette": 42, "davies_bouldin": 43}
_PAIRS = 2
_DRAWN = 40  # classes in a drawn heat-map; numbers are of all


class Heads:
    """The chosen heads of one repetition, trained again: cells keep numbers, not weights.

    On the CPU they come out with the same digits.

    Args:
        plan: the study.
        cells: finished cells.
        shots: rows per class.
        seed: repetition.
        device: torch device.
    """

    def __init__(self, plan: Plan, cells: Cells, shots: int | None, *, seed: int, device: str) -> None:
        self.shots, self.seed = shots, seed
        runs = []
        for arm in plan.arms:
            cell = plan.cell(arm, shots, seed)
            chosen = cells.get(cell.key)["setting"]
            place = [vars(setting) for setting in cell.settings].index(chosen)
            runs.append(cell.runs()[place])
        fits = train_heads(runs, plan.preset.schedule, device=device)
        self.fits: dict[str, HeadFit] = dict(zip(plan.arms, fits, strict=True))


def named_pairs(task: Task, names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of classes from a command line.

    Args:
        task: whose classes they are.
        names: two or four of them; none leaves the choice to the study.

    Returns:
        Pairs of labels.

    Raises:
        UnknownNameError: no such class.
        ValueError: another number of names, or a class with itself.
    """
    classes = [str(name) for name in task.classes]
    if len(names) not in {0, 2, 4}:
        raise ValueError(f"--pairs: give two or four names of classes, got {len(names)}")
    for name in names:
        if name not in classes:
            raise UnknownNameError(name, classes, "class")
    labels = [classes.index(name) for name in names]
    pairs = list(zip(labels[::2], labels[1::2], strict=True))
    for a, b in pairs:
        if a == b:
            raise ValueError(f"--pairs: {classes[a]!r} cannot be told from itself; name two classes")
    return pairs


def summarise(
    plan: Plan, cells: pd.DataFrame, heads: Heads, pairs: Sequence[tuple[int, int]] = ()
) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        plan: the study.
        cells: from `studies.image_text_fewshot_report.cell_rows`.
        heads: of one repetition.
        pairs: classes to draw planes of; none takes those that the control confuses most on validation rows.

    Returns:
        For `as_markdown`, the figure and the JSON file.
    """
    control, shots = plan.control, [shots_label(k) for k in plan.preset.shots]
    rows = by_measure(cells, MEASURES, ["shots"], column="measure")  # left out where there are few test rows
    places: dict[str, Sequence[str]] = {"measure": [*MEASURES], "shots": shots, "arm": plan.arms}
    against = {"minus_control": control, "minus_unimodal": "unimodal"}
    measures = entries(rows, places, against, value="value")
    per_seed = rows.sort_values("seed").groupby([*places])["value"].apply(list)
    for entry in measures:
        entry["per seed"] = per_seed[tuple(entry[name] for name in places)]
    chosen = list(pairs) or confused_pairs(heads.fits[control], plan.task.val, _PAIRS)
    summary = {
        "task": plan.task.name,
        "classes": len(plan.task.classes),
        "control": control,
        "arms": {arm: ARMS[arm].label for arm in plan.arms},
        "shots": shots,
        "seeds": plan.preset.seeds,
        "drawn": {"shots": shots_label(heads.shots), "seed": heads.seed},
        "pairs chosen by": "name" if pairs else "confusions of the control on validation rows",
        "measures": measures,
        "planes": [_plane(plan, heads, arm, pair) for pair in chosen for arm in (control, "uml_init")],
        "prototypes": _prototypes(plan, heads),
    }
    return summary | {"verdicts": _verdicts(summary)}


def _plane(plan: Plan, heads: Heads, arm: str, pair: tuple[int, int]) -> dict[str, Any]:
    task = plan.task
    rows = next(iter(task.tests.values()))
    plane = decision_plane(heads.fits[arm].model, rows, *pair)
    return {
        "arm": arm,
        "classes": [str(task.classes[c]) for c in pair],
        "accuracy": 100 * plane.accuracy,
        "points": plane.points.round(5).tolist(),
        "first": plane.first.tolist(),
        "prototypes": plane.prototypes.round(5).tolist(),
    }


def _prototypes(plan: Plan, heads: Heads) -> list[dict[str, Any]]:
    """Cosines with class mean texts and their diagonals, of every head that lives in the texts' space."""
    name, texts = next(iter(plan.task.auxiliaries.items()))
    assigned = permuted_classes(len(plan.task.classes), heads.seed)
    found = []
    for arm, fit in heads.fits.items():
        if not (plan.task.aligned or ARMS[arm].projected):
            continue
        given = [("the right texts", texts)]
        if ARMS[arm].permuted:
            seen = Embeddings(texts.features, assigned[texts.labels], name)
            given.append(("the texts it was given", seen))
        for which, rows in given:
            cosines = prototype_text_cosines(fit.model, rows)
            some = np.unique(np.linspace(0, len(cosines) - 1, _DRAWN).round().astype(int))
            found.append({
                "arm": arm,
                "texts": which,
                **vars(diagonal_dominance(cosines)),
                "drawn": cosines[np.ix_(some, some)].round(4).tolist(),
            })
    return found


def _verdicts(summary: dict[str, Any]) -> list[str]:
    """The paper's claims one by one: holds above both baselines, fails below either."""
    lines = []
    control = summary["arms"][summary["control"]]
    for what, (label, more) in MEASURES.items():
        for arm in ("uml", "uml_init"):
            for name, baseline in (("minus_control", control), ("minus_unimodal", "the plain unimodal head")):
                entries = [
                    e for e in summary["measures"] if (e["measure"], e["arm"]) == (what, arm) and name in e
                ]
                up, down = ("holds", "fails") if more else ("fails", "holds")
                words = {e["shots"]: direction(e[name], up=up, down=down) for e in entries}
                if words:
                    lines.append(
                        f"Figure {_FIGURES[what]}, {label}: {ARMS[arm].label} better than {baseline}: {by_word(words)} shots"
                    )
    for before, after in zip(summary["planes"][::2], summary["planes"][1::2], strict=True):
        lines.append(
            f"Figures 38-40, {' and '.join(before['classes'])}: {before['accuracy']:.0f}% of {len(before['first'])} test rows "
            f"on their own side before text, {after['accuracy']:.0f}% after (one repetition)"
        )
    for e in summary["prototypes"]:
        word = "stands out" if e["p_value"] < 0.001 else "does not stand out"
        lines.append(
            f"Figure 44, {ARMS[e['arm']].label} by {e['texts']}: diagonal {word}: {e['difference']:+.3f} (by chance "
            f"{e['null_low']:+.3f} to {e['null_high']:+.3f}, p = {e['p_value']:.4f}); largest in its row for "
            f"{100 * e['top']:.0f}% of classes"
        )
    return lines


def as_markdown(summary: dict[str, Any]) -> str:
    """Tables of the measures and of the diagonals, and the verdicts.

    Args:
        summary: from `summarise`.

    Returns:
        Markdown.
    """
    lines = [
        f"## Classifiers of {summary['task']}: {summary['classes']} classes, {summary['seeds']} paired repetitions",
        "",
        (
            "Measures on test rows, mean over repetitions; in brackets the paired difference to "
            f"*{summary['arms'][summary['control']]}* with its 95% interval. Silhouette and Davies-Bouldin index are of "
            "logits scaled to length one. A margin is a length in the space that the head lives in, which a trained "
            "projection can stretch: compare it within a space."
        ),
    ]
    for what, (label, more) in MEASURES.items():
        rows = []
        for arm, name in summary["arms"].items():
            entries = [e for e in summary["measures"] if (e["measure"], e["arm"]) == (what, arm)]
            rows.append([
                name,
                *(
                    f"{e['value'].estimate:.3f}"
                    + (f" ({gain_text(e['minus_control'], 3)})" if "minus_control" in e else "")
                    for e in entries
                ),
            ])
        shots = dict.fromkeys(e["shots"] for e in summary["measures"] if e["measure"] == what)
        titles = [f"k = {k}" for k in shots]
        better = "higher" if more else "lower"
        lines += ["", f"### {label}, {better} is better (Figure {_FIGURES[what]})", ""]
        lines.append(markdown_table(["arm", *titles], rows))
    drawn = summary["drawn"]
    lines += [
        "",
        f"### Prototypes and class mean texts, {drawn['shots']} shots, repetition {drawn['seed']} (Figure 44)",
        "",
        markdown_table(
            ["arm", "texts", "diagonal minus rest", "by chance (95%)", "p", "largest in its row"],
            [
                [
                    ARMS[e["arm"]].label,
                    e["texts"],
                    f"{e['difference']:+.3f}",
                    f"{e['null_low']:+.3f} to {e['null_high']:+.3f}",
                    f"{e['p_value']:.4f}",
                    f"{100 * e['top']:.1f}%",
                ]
                for e in summary["prototypes"]
            ],
        ),
        "",
        f"Pairs chosen by {summary['pairs chosen by']}.",
    ]
    lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if summary.get("differs_from_paper"):
        lines += ["", f"Differs from the paper's protocol: {'; '.join(summary['differs_from_paper'])}."]
    return "\n".join(lines) + "\n"


def table_rows(summary: dict[str, Any]) -> list[dict[str, object]]:
    """The tables in long form, for CSV.

    Args:
        summary: from `summarise`.

    Returns:
        One row per measure, shots and arm, then one per diagonal.
    """
    rows = long_form(summary["measures"], ["measure", "shots", "arm"])
    for e in summary["prototypes"]:
        shown = {name: e[name] for name in ("arm", "texts", "null_low", "null_high", "p_value", "top")}
        rows.append(
            {"measure": "diagonal", "shots": summary["drawn"]["shots"], "value": e["difference"]} | shown
        )
    return rows


def csv_rows(summary: dict[str, Any]) -> list[dict[str, object]]:
    """One row per measure and cell, then one per drawn point of a plane.

    Args:
        summary: from `summarise`.

    Returns:
        Rows for CSV.
    """
    rows: list[dict[str, object]] = [
        {"what": e["measure"], "arm": e["arm"], "shots": e["shots"], "seed": seed, "value": value}
        for e in summary["measures"]
        for seed, value in enumerate(e["per seed"])
    ]
    for plane in summary["planes"]:
        for point, first in zip(plane["points"], plane["first"], strict=True):
            name = plane["classes"][0 if first else 1]
            rows.append({
                "what": "plane",
                "arm": plane["arm"],
                **summary["drawn"],
                "class": name,
                "value": point[0],
                "along": point[1],
            })
    return rows
