"""Does unpaired text make a few-shot classifier more robust to shifted test sets? (Gupta et al. 2025, Figures 5, 10-13).

    python studies/robustness.py                        glyphs: an unseen font, unseen weights, noise, blur
    python studies/robustness.py --quick                fewer shots, seeds and steps
    python studies/robustness.py --dataset concepts     a shifted law of the simulated world
    python studies/robustness.py --dataset digits --set speech=FOLDER
    python studies/robustness.py --dataset imagenet --data ROOT --vision dinov2-s14 --text openllama-3b --preset paper \
        --device cuda [--shifted imagenetv2 imagenet_sketch imagenet_a imagenet_r]

Heads are trained and chosen on the source law alone, k rows per class, and tested on shifted test sets that play no part
in either. Two questions, at every k and for every shift:

    accuracy    is UML (init) more accurate under the shift than the matched control?        (the paper's claim)
    extra       does it gain more under the shift than it gains on the source law?           (what "robust" adds to it)

The second one tells a classifier that is better everywhere from one that suffers less from the shift: it is the paired
difference of the two gains. The cells are those of image_text_fewshot.py, in the same file: what one study has trained
the other only reads. The paper prints no numbers for these figures, so no reference marks are drawn.

On ImageNet the shifts are V2, Sketch, A and R, as many of them as lie below ROOT. A and R have 200 of the 1,000 classes:
there predictions are among these, as published, and `extra` compares with the source law's rows of the same classes,
predicted among them, too.
"""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd

from neural.datasets import SPECS
from neural.fewshot.cells import of_its_classes
from neural.fewshot.plan import CELLS, Plan, cell_rows, closing_lines, gains_over, with_gain
from neural.fewshot.presets import PRESETS, Preset
from neural.heads.arms import arm_names
from neural.results.contrasts import by_key, contrast, entries, long_form
from neural.results.figures import draw_means, figure_style, save_figure, zero_line
from neural.results.table import by_test
from neural.results.text import by_word, direction, gain_text, markdown_table
from neural.tasks.task import Task
from studies.lab.finding import NOT_PRINTED, Finding, evidence_of, overall, pick, records
from studies.lab.options import command_line, run_study
from studies.lab.outputs import Report, finished
from studies.lab.task_options import label_of, task_and_preset, task_parser
from studies.lab.task_sources import IMAGENET, shifts_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["as_markdown", "main", "summarise"]

NAME = "robustness"
ARMS = ("unimodal", "matched", "uml", "uml_init", "init_permuted")
#: {figure of the paper: shots}
_SHOTS = {5: "16", 10: "1", 11: "2", 12: "4", 13: "8"}


# ---------------------------------------------------------------- grid


def _plan(task: Task, preset: Preset) -> Plan:
    """All arms, on a task with a shifted test set."""
    if len(task.tests) < 2:
        raise ValueError(_needs_shift(task.name, ", ".join(task.tests)))
    source, rows = next(iter(task.tests.items()))
    for test, classes in task.among.items():
        if not np.isin(rows.labels, classes).any():
            raise ValueError(f"{task.name}: {source} has no row of the classes of {test} to compare with")
    there = arm_names(task)
    return Plan(task, preset, tuple(arm for arm in ARMS if arm in there))


def _refuse_without_shift(options: Namespace) -> None:
    """Before a data set is encoded for nothing."""
    if options.target_features is None and options.dataset in SPECS:
        named = options.shifted if options.dataset == IMAGENET else []
        if not (shifts_below(options.data) if named is None else named):
            raise ValueError(_needs_shift(options.dataset, "test"))


def _needs_shift(name: str, tests: str) -> str:
    return (
        f"{name}: it has one test set ({tests}), of the training law; robustness needs a shifted one as well, as glyphs, "
        "concepts and digits have, and imagenet where V2, Sketch, A or R lie below the data root (`python -m neural "
        "doctor` says where)"
    )


# ---------------------------------------------------------------- contrasts


def summarise(plan: Plan, cells: pd.DataFrame) -> dict[str, Any]:
    """Accuracies and gains on every test set, the first of the training law, in percent and points; verdicts."""
    source, *shifted = plan.task.tests
    rows = by_test(cells)
    found = entries(
        rows,
        {"test": [*plan.task.tests], "shots": plan.shots, "arm": plan.arms},
        {"minus_control": plan.control, "minus_unimodal": "unimodal"},
    )
    gains = gains_over(plan.control, rows, ["test", "shots"])
    for test in shifted:  # on the source law among the same classes
        home = of_its_classes(source, test) if test in plan.task.among else source
        extra = by_key(contrast(gains, test, home, ["arm", "shots"], column="test"), "arm", "shots")
        for entry in found:
            if entry["test"] == test and entry["arm"] != plan.control:
                entry["extra"] = extra[entry["arm"], entry["shots"]]
    return plan.about | {
        "about": dict(plan.task.about),
        "source": source,
        "shifted": shifted,
        "among": {test: len(classes) for test, classes in plan.task.among.items()},
        "candidates_per_arm": plan.preset.trainings,
        "accuracy": found,
        "verdicts": _verdicts(plan, found, shifted),
    }


def _verdicts(plan: Plan, found: Sequence[Mapping[str, Any]], shifted: Sequence[str]) -> list[str]:
    """Two lines for every shift: the paper's claim under the fair control, and robustness proper."""
    labels = plan.about["arms"]
    names = " and than ".join(labels[arm] for arm in dict.fromkeys((plan.control, "unimodal")))
    lines = []
    for test in shifted:
        accurate, robust = {}, {}
        for shots in plan.shots:
            entry = pick(found, test=test, arm="uml_init", shots=shots)
            permuted = pick(found, test=test, arm="init_permuted", shots=shots)
            accurate[shots] = _against_baselines(entry)
            if permuted["minus_control"].low > 0:
                accurate[shots] += " (permuted labels gain, too)"
            robust[shots] = direction(entry["extra"], up="holds", down="fails")
        lines.append(f"{test}: UML (init) more accurate than {names}: {by_word(accurate)} shots")
        lines.append(f"{test}: it gains more there than on the source law: {by_word(robust)} shots")
    return lines


def _against_baselines(entry: Mapping[str, Any]) -> str:
    """The claim holds above both the control and the plain baseline, and fails below either."""
    gains = [entry[name] for name in ("minus_control", "minus_unimodal") if name in entry]
    if all(gain.low > 0 for gain in gains):
        return "holds"
    return "fails" if any(gain.high < 0 for gain in gains) else "is undecided"


def as_markdown(summary: Mapping[str, Any]) -> str:
    """One table for every test set, one of extra gains, verdicts."""
    control, shots, among = summary["arms"][summary["control"]], summary["shots"], summary["among"]
    titles = [f"k = {k}" for k in shots]
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
            places = [pick(summary["accuracy"], test=test, arm=arm, shots=k) for k in shots]
            rows.append([label, *(with_gain(place, "accuracy", 1) for place in places)])
        law = "source law" if test == summary["source"] else "shifted"
        law += f"; among its {among[test]} classes" if test in among else ""
        lines += ["", f"### {test} ({law})", "", markdown_table(["arm", *titles], rows)]
    lines += ["", "### Gain under the shift minus gain on the source law, UML (init), points", ""]
    if among:
        lines += [f"Of {', '.join(among)} both gains are on rows of the same classes, predicted among these."]
        lines += [""]
    rows = []
    for test in summary["shifted"]:
        places = [pick(summary["accuracy"], test=test, arm="uml_init", shots=k) for k in shots]
        rows.append([test, *(gain_text(place["extra"]) for place in places)])
    lines += [markdown_table(["shift", *titles], rows), *closing_lines(summary)]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- figure


def _figure(summary: Mapping[str, Any], cells: pd.DataFrame, path: Path) -> None:
    """One column per number of shots, as the paper has one figure for each; accuracies above differences."""
    import matplotlib.pyplot as plt

    shots, control = summary["shots"], summary["control"]
    rows = by_test(cells)
    gains = gains_over(control, rows, ["test", "shots"])
    with figure_style():
        figure, grid = plt.subplots(
            2, len(shots), figsize=(1.2 + 2.5 * len(shots), 6.2), sharex=True, sharey="row", squeeze=False
        )
        for column, k in enumerate(shots):
            above, below = grid[:, column]
            _points(above, rows[rows["shots"].eq(k)], summary, without="init_permuted")
            _points(below, gains[gains["shots"].eq(k)], summary, without="unimodal")
            zero_line(below)
            above.set_title(f"k = {k}")
        grid[0, 0].set(ylabel="test accuracy (%)")
        grid[1, 0].set(ylabel=f"difference to {summary['arms'][control]}\n(points, 95% intervals)")
        named: dict[str, Any] = {}
        for axes in (grid[0, 0], grid[1, 0]):
            named |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(
            handles=list(named.values()),
            labels=list(named),
            loc="outside upper center",
            ncols=len(ARMS),
            fontsize=8,
        )
        note = f"test set: {summary['source']} is of the training law, the others are shifted"
        if summary["among"]:
            note += f"\n{', '.join(summary['among'])}: among their own classes"
        figure.supxlabel(note, fontsize=9)
        save_figure(figure, path)


def _points(axes: "Axes", rows: pd.DataFrame, summary: Mapping[str, Any], *, without: str) -> None:
    """One mark with its interval per test set and arm."""
    tests = [summary["source"], *summary["shifted"]]
    labels = {arm: label for arm, label in summary["arms"].items() if arm != without}
    draw_means(axes, rows[rows["test"].isin(tests)], "test", labels=labels, order=tests, joined=False)
    axes.set(xlabel="", ylabel="")
    axes.axvline(0.5, color="0.6", lw=0.8, ls=":")
    if max(map(len, tests)) > 10:
        for label in axes.get_xticklabels():
            label.set(rotation=30, ha="right")


# ---------------------------------------------------------------- findings


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """Figures 5 and 10 to 13: more accurate under each shift than the matched control, at one number of shots each."""
    return {("Figure", number): _finding(summary, shots) for number, shots in _SHOTS.items()}


def _finding(summary: Mapping[str, Any], shots: str) -> Finding:
    """Whether UML (init) gains by more than on the source law stands beside the claim."""
    printed = f"bars, {NOT_PRINTED}"
    if shots not in summary["shots"]:
        return Finding(f"{shots} shots: not measured in this run", printed, "no claim", "not measured")
    places = [
        pick(summary["accuracy"], test=test, arm="uml_init", shots=shots) for test in summary["shifted"]
    ]
    minus = f"UML (init) minus {summary['arms'][summary['control']]}"
    gains = {place["test"]: place["minus_control"] for place in places}
    evidence = tuple(evidence_of(f"{minus}, {test}, k = {shots}", gain) for test, gain in gains.items())
    words = [comparison.verdict for comparison in evidence]
    accurate = by_word(dict(zip(gains, words, strict=True))).replace(" at ", " on ")
    more = sum(place["extra"].low > 0 for place in places)
    return Finding(
        f"{minus}: {'; '.join(f'{test} {gain_text(gain)}' for test, gain in gains.items())}",
        printed,
        overall(words),
        f"more accurate: {accurate}; by more than on the source law: holds in {more} of {len(places)} shifts",
        evidence,
    )


# ---------------------------------------------------------------- command


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    parser = task_parser(__doc__, seeds=PRESETS["default"].seeds)
    with command_line(parser, arguments) as options:
        _refuse_without_shift(options)
        task, preset = task_and_preset(options)
        plan = _plan(task, preset)
    print(f"{task.name}: tests {', '.join(task.tests)}; {len(plan.cells())} cells", flush=True)
    cells = finished(plan.cells(), options, CELLS)
    rows = cell_rows(plan, cells.store)
    summary = summarise(plan, rows)
    summary["findings"] = records(_findings(summary))
    name = f"{NAME}_{label_of(options, task)}"
    _figure(summary, rows, options.out / f"{name}.png")
    table = long_form(summary["accuracy"], ["test", "shots", "arm"])
    report = Report(summary, as_markdown(summary), rows.drop(columns="diverged"), table)
    return cells.write(report, name, {"preset": preset, "arms": list(plan.arms)})


if __name__ == "__main__":
    run_study(main)
