"""Does unpaired text make a few-shot picture classifier better, against fair controls? (Gupta et al. 2025, Table 2).

    python studies/image_text_fewshot.py                       glyphs: pictures of characters, and their names
    python studies/image_text_fewshot.py --quick               fewer shots, seeds and steps
    python studies/image_text_fewshot.py --preset paper --device cuda
    python studies/image_text_fewshot.py --dataset concepts --set rank=6 alignment=0.5
    python studies/image_text_fewshot.py --dataset digits --set speech=FOLDER --auxiliaries text speech
    python studies/image_text_fewshot.py --dataset oxford_pets --data ROOT --vision dinov2-s14 --text openllama-3b --device cuda
    python studies/image_text_fewshot.py --dataset FOLDER --descriptions FILE.json --vision dinov2-s14 --text minilm
    python studies/image_text_fewshot.py --target-features a.npz --aux-features b.npz [--aligned --normalise --logit-scale 100]

Frozen encoders of one modality each, a shared linear head on top (the paper's Algorithm 2), k training rows per class.
Arms, all by default:

    unimodal            the paper's baseline: a linear head on frozen features
    matched             the same with the projection that UML has (equal parameters): the fair control
    matched_2b          and with as many rows per step as UML sees
    uml, uml_init       shared head with text rows; started from text class means
    init_only           that start without text rows
    uml_permuted, init_permuted    every class gets another class's text: what is left is not semantics

Each arm trains equally many heads from one grid and reports the one that validates best (accuracy, then loss, then the
order of the grid); test rows are used once, with that head. Writes .png, .csv (one row per cell), _table.csv, .md
and .json; a killed run resumes.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd

from neural.fewshot.cells import compute
from neural.fewshot.plan import CELLS, MEASURES, Plan, cell_rows, closing_lines, gains_over, with_gain
from neural.fewshot.presets import PRESETS
from neural.heads.arms import ARMS
from neural.results.cells import Cells
from neural.results.contrasts import by_key, contrast, entries, long_form
from neural.results.figures import (
    arm_style,
    draw_means,
    draw_published,
    figure_style,
    place_style,
    save_figure,
)
from neural.results.intervals import Interval
from neural.results.table import by_measure, by_test, shots_label
from neural.results.text import by_word, gain_text, markdown_table
from studies.lab.finding import Finding, evidence_of, overall, pick, records
from studies.lab.options import command_parser, usage_errors
from studies.lab.outputs import Report, write_head_report
from studies.lab.task_options import add_task_options, label_of, task_and_preset
from studies.published.numbers import PRINTED_ENCODERS, reference
from studies.published.printed import gains_printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["as_markdown", "main", "summarise"]

NAME = "image_text_fewshot"
_LABELS = {
    "margin": "functional margin (eq. 8; in units of the head's space, which a projection may stretch)",
    "silhouette": "silhouette score",
    "davies_bouldin": "Davies-Bouldin index",
    "alignment_start": "gradient alignment before training",
    "alignment": "gradient alignment of the chosen head",
}
_TABLES = (2, 15, 16, 17, 18, 19, 22, 23)  # of the paper


# ---------------------------------------------------------------- contrasts


def summarise(plan: Plan, cells: pd.DataFrame) -> dict[str, Any]:
    """Accuracies, paired differences to the fair control, measures of the chosen heads, verdicts."""
    rows = by_test(cells)
    places: dict[str, Sequence[str]] = {"shots": plan.shots, "arm": plan.arms}
    measures = by_measure(cells, MEASURES, ["shots", "arm"])
    return plan.about | {
        "classes": len(plan.task.classes),
        "about": dict(plan.task.about),
        "tests": list(plan.task.tests),
        "candidates_per_arm": plan.preset.trainings,
        "accuracy": entries(rows, places | {"test": [*plan.task.tests]}, {"minus_control": plan.control}),
        "published": _published(plan),
        "looks": entries(measures, places | {"what": MEASURES}, value="value"),
        "verdicts": _verdicts(plan, rows),
        "edges": _at_the_edge(plan, cells),
    }


def _published(plan: Plan) -> list[dict[str, Any]]:
    """The paper's linear probes of the same data set and encoders, where it has them; never mixed with ours."""
    encoders = plan.task.encoders
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
        word = "gains" if sure else "loses" if behind else "is undecided"
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
            "last look": chosen["best_step"].gt(schedule.iterations - schedule.eval_every).sum(),
        }
        if chosen["diverged"].any():
            counts["(trainings that diverged)"] = chosen["diverged"].sum()
        lines.append(
            f"{ARMS[arm].label} {', '.join(f'{name} {n}' for name, n in counts.items())} of {len(chosen)}"
        )
    return lines


def as_markdown(summary: Mapping[str, Any]) -> str:
    """Tables of accuracies with differences, and of measures of the heads."""
    control = summary["arms"].get(summary["control"], summary["control"])
    shots, arms = summary["shots"], summary["arms"]
    titles = [f"{k} {'shot' if k == '1' else 'shots'}" for k in shots]
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
            places = [pick(summary["accuracy"], test=test, arm=arm, shots=k) for k in shots]
            rows.append([label, *(with_gain(place, "accuracy", 1) for place in places)])
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


# ---------------------------------------------------------------- figure


def _figure(summary: Mapping[str, Any], cells: pd.DataFrame, path: Path) -> None:
    """Accuracies, gains over the fair control, shifted test sets, separation by the heads."""
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


# ---------------------------------------------------------------- findings


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """UML (init) against the matched control; the difference to the plain baseline is the paper's contrast."""
    if "uml_init" not in summary["arms"]:
        return {}
    return {("Table", number): _finding(summary, number) for number in _TABLES}


def _finding(summary: Mapping[str, Any], number: int) -> Finding:
    """Of one table, on the test set of the training law."""
    test, printed = summary["tests"][0], gains_printed("Table", number, summary)
    shots = [k for k in summary["shots"] if number != 2 or k in {"1", "2", "4"}]
    if not shots:
        return Finding("1, 2, 4 shots: not measured in this run", printed, "no claim", "not measured")
    mine = [pick(summary["accuracy"], test=test, arm="uml_init", shots=k) for k in shots]
    gains = [entry["minus_control"] for entry in mine]
    minus = f"UML (init) minus {summary['arms'][summary['control']]}"
    at = f"{', '.join(shots)} {'shot' if shots == ['1'] else 'shots'}"
    ours = f"{minus}, {at}: {'; '.join(map(gain_text, gains))}"
    if summary["control"] != "unimodal":
        base = [pick(summary["accuracy"], test=test, arm="unimodal", shots=k) for k in shots]
        plain = [a["accuracy"].estimate - b["accuracy"].estimate for a, b in zip(mine, base, strict=True)]
        ours += f". Minus the plain baseline, as in the paper, without intervals: {', '.join(f'{p:+.1f}' for p in plain)}"
    evidence = tuple(evidence_of(f"{minus}, k = {k}", gain) for k, gain in zip(shots, gains, strict=True))
    words = {k: comparison.verdict for k, comparison in zip(shots, evidence, strict=True)}
    verdict, text = overall(list(words.values())), f"{by_word(words)} shots"
    if number == 2:  # its other half is full fine-tuning
        verdict = "in part" if verdict == "holds" else verdict
        text = f"few-shot half: {text}; full fine-tuning: see Table 8"
    return Finding(ours, printed, verdict, text, evidence)


# ---------------------------------------------------------------- command


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study; see the module's docstring.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    parser = command_parser(__doc__, seeds=PRESETS["default"].seeds, device=True)
    add_task_options(parser)
    parser.add_argument("--arms", nargs="+", default=[], metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    options = parser.parse_args(arguments)
    with usage_errors(parser):
        task, preset = task_and_preset(options)
        plan = Plan(task, preset, tuple(options.arms), options.logit_scale)
    cells = Cells(options.runs / CELLS)
    print(_heading(plan), flush=True)
    computed = compute(plan.cells(), cells, options.device)
    rows = cell_rows(plan, cells)
    summary = summarise(plan, rows)
    summary["findings"] = records(_findings(summary))
    name = f"{NAME}_{label_of(options, task)}" + ("_some-arms" if options.arms else "")
    _figure(summary, rows, options.out / f"{name}.png")
    table = long_form(summary["accuracy"], ["test", "shots", "arm"])
    return write_head_report(
        Report(summary, as_markdown(summary), rows.drop(columns="diverged"), table),
        options,
        name,
        plan.cells(),
        cells,
        config={"preset": plan.preset, "arms": list(plan.arms), "logit_scale": plan.logit_scale},
        began=began,
        computed=computed,
    )


def _heading(plan: Plan) -> str:
    task = plan.task
    rows = ", ".join(f"{name}: {len(part)} rows of {part.dim}" for name, part in task.auxiliaries.items())
    return (
        f"{task.name}: {len(task.classes)} classes; {task.target}: {task.train.dim} features; {rows}\n"
        f"differs from the paper's protocol: {'; '.join(plan.about['differs_from_paper']) or 'nothing'}\n"
        f"{len(plan.cells())} cells of {plan.cells()[0].steps:,} run-steps at most"
    )


if __name__ == "__main__":
    main()
