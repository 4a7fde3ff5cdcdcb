"""What the self-supervised study reports: probe accuracies, paired differences, and whether the paper's claim holds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from studies import harness
from studies.harness import Interval, mean_interval, paired_difference
from studies.published_numbers import published
from studies.self_supervised_plan import ARMS, Plan

__all__ = ["Results", "as_markdown", "csv_rows", "summarise", "verdict"]


class Results:
    """Finished cells as arrays over seeds."""

    def __init__(self, plan: Plan, cells: harness.Cells) -> None:
        self.plan, self._cells = plan, cells

    def results(self, arm: str) -> list[dict[str, Any]]:
        """What was kept of an arm, seed by seed."""
        return [self._cells.get(self.plan.cell(arm, s)) for s in range(self.plan.preset.seeds)]

    def accuracy(self, arm: str) -> NDArray[np.float64]:
        """(seeds,) test accuracy of the probe, in percent."""
        return 100 * np.array([result["accuracy"] for result in self.results(arm)])

    def curve(self, arm: str) -> NDArray[np.float64]:
        """(seeds, points) training loss of the target, averaged over stretches of equal length; empty if untrained."""
        return np.array([result["curve"] for result in self.results(arm)], dtype=np.float64)


def summarise(results: Results) -> dict[str, Any]:
    """Everything that is reported, as plain data.

    Args:
        results: finished cells.

    Returns:
        For `as_markdown`, the figure and the JSON file.
    """
    plan = results.plan
    task = plan.tasks[0]
    contrasts: dict[str, dict[str, Any]] = {
        key: {
            "arm": c.arm,
            "control": c.control,
            "question": c.question,
            "difference": paired_difference(results.accuracy(c.arm), results.accuracy(c.control)),
        }
        for key, c in plan.contrasts.items()
    }
    rows = len(task.test)
    mean = float(np.mean([results.accuracy(arm).mean() for arm in plan.arms])) / 100
    return {
        "task": task.name,
        "target": task.target,
        "auxiliaries": list(task.auxiliaries),
        "classes": list(task.classes),
        "about": dict(task.about),
        "rows": {part: len(data) for part, data in task.parts.items()}
        | {name: len(data) for name, data in task.auxiliaries.items()},
        "largest_class": float(100 * np.bincount(task.test.labels).max() / rows),  # type: ignore[arg-type]
        "standard_error_of_one_test": 100 * (mean * (1 - mean) / rows) ** 0.5,
        "seeds": plan.preset.seeds,
        "steps": plan.steps,
        "candidates_per_arm": len(plan.preset.candidates),
        "arms": {arm: ARMS[arm].label for arm in plan.arms},
        "accuracy": {arm: mean_interval(results.accuracy(arm)) for arm in plan.arms},
        "by_seed": {arm: results.accuracy(arm) for arm in plan.arms},
        "curves": {
            arm: [None if np.isnan(x) else float(x) for x in results.curve(arm).mean(axis=0)]
            for arm in plan.arms
            if ARMS[arm].trained
        },
        "diverged": {arm: sum(len(r["diverged"]) for r in results.results(arm)) for arm in plan.arms},
        "contrasts": contrasts,
        "published": _published(task.name),
        "setting": (
            f"{plan.steps / -(-len(task.train) // plan.preset.batch):.3g} epochs, learning rates "
            f"{', '.join(map(str, plan.preset.learning_rates))}, widths {', '.join(map(str, plan.preset.widths))}, "
            f"{plan.preset.seeds} seeds, {plan.preset.ratio:g} auxiliary sequences per target sequence"
        ),
        "verdict": verdict({key: c["difference"] for key, c in contrasts.items()}, task.name),
    }


def _published(name: str) -> dict[str, float]:
    """Table 1 of the paper for this data set; empty where it has none."""
    table = published(1)
    rows = table[table["dataset"] == name]
    return {str(row.method): float(row.value) for row in rows.itertuples()}


def verdict(differences: dict[str, Interval], name: str) -> str:
    """One line: whether UML beats the unimodal model, and which controls the gain survives.

    Args:
        differences: {key of `CONTRASTS`: paired difference in points}.
        name: of the data set.

    Returns:
        The line.
    """
    if "paper" not in differences:
        return f"{name}: UML and its baseline were not both trained, so there is no verdict"
    main = differences["paper"]
    lead = {
        1: "the paper's claim holds",
        0: "the paper's claim is not decided",
        -1: "the paper's claim fails",
    }[_sign(main)]
    words = {
        "rows": "equal rows per step",
        "scrambled": "a scrambled auxiliary",
        "unrelated": "an unrelated auxiliary",
        "disjoint": "disjoint halves",
    }
    verbs = {1: "gains", 0: "is undecided", -1: "loses"}
    parts = [f"{words[key]} {verbs[_sign(d)]} {_points(d)}" for key, d in differences.items() if key in words]
    controls = [_sign(d) for key, d in differences.items() if key in words]
    if _sign(main) == 1:
        survived = sum(sign == 1 for sign in controls)
        lead += f" and survives {survived} of {len(controls)} controls" if controls else ", without controls"
    against = f"; UML against each control: {', '.join(parts)}" if parts else ""
    return f"{name}: {lead} (UML against unimodal {_points(main)}){against}"


def _sign(difference: Interval) -> int:
    return 1 if difference.low > 0 else -1 if difference.high < 0 else 0


def _points(difference: Interval) -> str:
    return f"{difference.estimate:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"


def as_markdown(summary: dict[str, Any]) -> str:
    """Tables of accuracies and differences.

    Args:
        summary: from `summarise`.

    Returns:
        Markdown.
    """
    rows = summary["rows"]
    lines = [
        f"## {summary['task']}: {summary['target']} with the help of {', '.join(summary['auxiliaries']) or 'nothing'}",
        "",
        (
            f"Test accuracy (%) of a linear probe on {summary['target']} embeddings, {len(summary['classes'])} classes, "
            f"{summary['seeds']} paired repetitions, {summary['steps']:,} steps each, the best of "
            f"{summary['candidates_per_arm']} trainings by validation. Sequences: "
            f"{', '.join(f'{name} {count:,}' for name, count in rows.items())}; the largest class is "
            f"{summary['largest_class']:.1f}% of the test, the standard error of one test "
            f"{summary['standard_error_of_one_test']:.1f} points (rows taken as independent)."
        ),
        "",
        "| arm | accuracy | 95% interval | paper, Table 1 |",
        "| --- | --- | --- | --- |",
    ]
    for arm, label in summary["arms"].items():
        interval, paper = summary["accuracy"][arm], summary["published"].get(arm)
        lines.append(
            f"| {label} | {interval.estimate:.2f} | {interval.low:.2f} to {interval.high:.2f} | "
            f"{'' if paper is None else f'{paper:.2f}'} |"
        )
    lines += ["", "| question | difference of | points, 95% interval |", "| --- | --- | --- |"]
    for c in summary["contrasts"].values():
        pair = f"{summary['arms'][c['arm']]} - {summary['arms'][c['control']]}"
        lines.append(f"| {c['question']} | {pair} | {_points(c['difference'])} |")
    if summary["published"]:
        lines += [
            "",
            f"Of this run: {summary['setting']}. Of the paper: 100 epochs, its grid of section B.4.1, 3 seeds.",
        ]
    if diverged := sum(summary["diverged"].values()):
        lines += ["", f"{diverged} trainings diverged and were not eligible."]
    return "\n".join([*lines, "", summary["verdict"]]) + "\n"


def csv_rows(plan: Plan, results: Results) -> list[dict[str, object]]:
    """One row per finished cell.

    Args:
        plan: the study.
        results: finished cells.

    Returns:
        Rows for CSV.
    """
    rows: list[dict[str, object]] = []
    for arm in plan.arms:
        for seed, result in enumerate(results.results(arm)):
            kept = {
                key: result[key] for key in ("accuracy", "val_accuracy", "val_loss", "strength", "seconds")
            }
            losses = {f"final_loss_{name}": value for name, value in result["final_losses"].items()}
            rows.append({"arm": arm, "seed": seed, **kept, **result["setting"], **losses})
    return rows
