"""What a few-shot comparison says: contrasts, tables, verdicts, figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from neural.fewshot.plan import MEASURES, Plan, closing_lines, gains_over, with_gain
from neural.heads.arms import ARMS
from neural.results.contrasts import by_key, contrast, entries
from neural.results.figures import (
    arm_style,
    draw_means,
    draw_published,
    figure_style,
    place_style,
    save_figure,
)
from neural.results.intervals import Interval
from neural.results.table import by_measure, by_test
from neural.results.text import by_word, gain_text, markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["as_markdown", "draw", "summarise"]

_LABELS = {
    "margin": "functional margin (eq. 8; in units of the head's space, which a projection may stretch)",
    "silhouette": "silhouette score",
    "davies_bouldin": "Davies-Bouldin index",
    "alignment_start": "gradient alignment before training",
    "alignment": "gradient alignment of the chosen head",
}


def summarise(plan: Plan, cells: pd.DataFrame, published: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Accuracies, paired differences to the fair control, measures of the chosen heads, verdicts.

    Args:
        plan: the comparison.
        cells: from `neural.fewshot.plan.cell_rows`.
        published: numbers to show beside ours, {"shots", "arm", "accuracy" in percent} each.

    Returns:
        For `as_markdown` and `draw`; accuracies are in percent, differences in points, both with 95% intervals.
    """
    rows = by_test(cells)
    places: dict[str, Sequence[str]] = {"shots": plan.shots, "arm": plan.arms}
    measures = by_measure(cells, MEASURES, ["shots", "arm"])
    return plan.about | {
        "classes": len(plan.task.classes),
        "about": dict(plan.task.about),
        "tests": list(plan.task.tests),
        "candidates_per_arm": plan.preset.trainings,
        "accuracy": entries(rows, places | {"test": [*plan.task.tests]}, {"minus_control": plan.control}),
        "published": list(published),
        "looks": entries(measures, places | {"what": MEASURES}, value="value"),
        "verdicts": _verdicts(plan, rows),
        "edges": _at_the_edge(plan, cells),
    }


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
            texts = [f"{k}: {gain_text(gains[k])}" for k in plan.shots]
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
    for k in plan.shots:
        sure, behind = all(g[k].low > 0 for g in against), any(g[k].high < 0 for g in against)
        word = "loses" if behind else "is undecided"
        word = "gains" if sure else word
        if k in permuted and permuted[k].low > 0:
            word += ", and so do permuted labels," if sure else ", but permuted labels gain,"
        words[k] = word
    names = " and ".join(ARMS[baseline].label for baseline in baselines)
    return f"against {names}: {by_word(words)} shots"


def _at_the_edge(plan: Plan, cells: pd.DataFrame) -> list[str]:
    """How often an arm chose the end of an axis of the grid, or its last evaluation: a wider grid might do better."""
    rates, schedule = plan.preset.grid.learning_rates, plan.preset.schedule
    lines = []
    for arm in plan.arms:
        chosen = cells[cells["arm"].eq(arm)]
        counts = {
            "lowest learning rate": chosen["learning_rate"].eq(min(rates)).sum(),
            "highest learning rate": chosen["learning_rate"].eq(max(rates)).sum(),
            "last evaluation": chosen["best_step"].gt(schedule.iterations - schedule.eval_every).sum(),
        }
        if chosen["diverged"].any():
            counts["(trainings that diverged)"] = chosen["diverged"].sum()
        lines.append(
            f"{ARMS[arm].label} {', '.join(f'{name} {n}' for name, n in counts.items())} of {len(chosen)}"
        )
    return lines


def as_markdown(summary: Mapping[str, Any]) -> str:
    """Tables of accuracies with differences, and of measures of the heads.

    Args:
        summary: from `summarise`.

    Returns:
        Markdown.
    """
    control = summary["arms"].get(summary["control"], summary["control"])
    shots, arms = summary["shots"], summary["arms"]
    titles = [f"{k} {'shot' if k == '1' else 'shots'}" for k in shots]
    found = {(e["test"], e["arm"], e["shots"]): e for e in summary["accuracy"]}
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
        rows = []
        for arm, label in arms.items():
            rows.append([label, *(with_gain(found[test, arm, k], "accuracy", 1) for k in shots)])
        rows += _published_rows(summary) if test == summary["tests"][0] else []
        lines += ["", f"### {test}", "", markdown_table(["arm", *titles], rows)]
    lines += ["", "### What the chosen heads look like (test rows)", ""]
    rows = []
    for what, label in _LABELS.items():
        for arm, name in arms.items():
            values = {
                e["shots"]: str(e["value"]) for e in summary["looks"] if (e["what"], e["arm"]) == (what, arm)
            }
            if values:
                rows.append([label, name, *(values.get(k, "") for k in shots)])
    lines += [markdown_table(["measure", "arm", *titles], rows), *closing_lines(summary)]
    return "\n".join(lines) + "\n"


def _published_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for arm in dict.fromkeys(entry["arm"] for entry in summary["published"]):
        values = {e["shots"]: f"{e['accuracy']:.2f}" for e in summary["published"] if e["arm"] == arm}
        rows.append([f"*paper: {ARMS[arm].label}*", *(values.get(k, "") for k in summary["shots"])])
    return rows


def draw(summary: Mapping[str, Any], cells: pd.DataFrame, path: Path) -> None:
    """Draw accuracies, gains over the fair control, shifted test sets, separation by the heads.

    Args:
        summary: from `summarise`.
        cells: from `neural.fewshot.plan.cell_rows`.
        path: target, PNG.
    """
    import matplotlib.pyplot as plt

    first, control, shots = summary["tests"][0], summary["control"], summary["shots"]
    labels = {arm: label for arm, label in summary["arms"].items() if arm != "matched_2b"}
    rows = by_test(cells)
    gains = gains_over(control, rows, ["test", "shots"])
    with figure_style():
        figure, grid = plt.subplots(2, 2, figsize=(10.5, 7.6))
        curves, differences, separation = grid[0, 0], grid[0, 1], grid[1, 1]
        draw_means(curves, rows[rows["test"].eq(first)], "shots", labels=labels, order=shots)
        _draw_published(curves, summary)
        curves.set(ylabel=f"accuracy on {first!r} (%)")
        curves.set_title(f"(a) {summary['task']}, {summary['classes']} classes: test accuracy")
        figure.legend(*curves.get_legend_handles_labels(), loc="outside upper center", ncols=5)
        draw_means(differences, gains[gains["test"].eq(first)], "shots", labels=labels, order=shots)
        differences.axhline(0, color="0.3", lw=0.9)
        differences.set(ylabel=f"difference to {summary['arms'].get(control, control)} (points)")
        differences.set_title("(b) Paired differences to the fair control, 95% intervals")
        _draw_shifted(grid[1, 0], summary, gains)
        measured = by_measure(cells, ["silhouette"], ["arm"])  # not where some test set is too small for it
        draw_means(separation, measured, "shots", y="value", labels=labels, order=shots)
        separation.set(ylabel=_LABELS["silhouette"])
        separation.set_title("(d) Separation of test rows by the head (logits of length one)")
        for axes in (curves, differences, separation):
            axes.set(xlabel="target training rows per class (shots)")
        save_figure(figure, path)


def _draw_published(axes: "Axes", summary: Mapping[str, Any]) -> None:
    """The paper's numbers as hollow marks, in the shape of their arm."""
    for arm in dict.fromkeys(entry["arm"] for entry in summary["published"]):
        printed = [e for e in summary["published"] if e["arm"] == arm]
        where = [summary["shots"].index(e["shots"]) for e in printed]
        label = f"paper: {summary['arms'].get(arm, arm)}"
        draw_published(axes, where, [e["accuracy"] for e in printed], arm_style(arm), label)


def _draw_shifted(axes: "Axes", summary: Mapping[str, Any], gains: pd.DataFrame) -> None:
    """Gain of UML (init), and of its permuted control, on every test set: colours are arms, markers shots."""
    shots = [k for k in ("1", "4", "16", "all") if k in summary["shots"]] or summary["shots"][:3]
    labels, styles = {}, {}
    for arm in ("uml_init", "init_permuted"):
        for i, k in enumerate(shots):
            labels[f"{arm}, {k}"] = f"{summary['arms'].get(arm)}, k = {k}"
            styles[f"{arm}, {k}"] = arm_style(arm) | {"marker": place_style(i)["marker"]}
    gains = gains[gains["test"].isin(summary["tests"])]
    gains = gains.assign(line=gains["arm"] + ", " + gains["shots"])
    draw_means(
        axes, gains, "test", hue="line", labels=labels, styles=styles, order=summary["tests"], joined=False
    )
    axes.axhline(0, color="0.3", lw=0.9)
    axes.set(xlabel="test set (the first of the training law, the others shifted)")
    axes.set(ylabel="difference to fair control (points)")
    axes.set_title("(c) Gains under distribution shift")
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))  # room for the legend above the bars
    axes.legend(loc="upper right", ncols=2)
