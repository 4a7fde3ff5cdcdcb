"""Which text helps: kind, number of texts, text encoder, batch ratio (Gupta et al. 2025, E.6-E.9, E.11).

    python studies/text_ablations.py                       glyphs: pictures of characters, and what Unicode says of them
    python studies/text_ablations.py --quick               fewer variants, seeds and steps
    python studies/text_ablations.py --dataset concepts    simulated classes
    python studies/text_ablations.py --dataset sun397 --data ROOT --vision dinov2-s14 --text openllama-3b \
        --text-encoders bert-large roberta-large gpt2-large --unrelated CARS.json --shots 1 2 4 8 16 --device cuda

Each axis varies one thing about the text of one and the same target:

    kind of text        fine descriptions, a template with the name, and text about something else (Figures 31 and 32,
                        Table 24); with permuted labels as well
    texts per class     1, 2, 4, ... all of them, drawn anew in each repetition (Figure 33)
    text encoder        other encoders of the same sentences (Figure 30)
    batch ratio         r text rows for each picture of a step (Table 27). The paper has r batches of text per batch of
                        images; here a step sees both, and the loss of a modality stays a mean, so r changes the noise
                        of text's gradient and how often a text is seen, not its weight

UML and UML (init), each against the fair control: as many parameters, the same images, no text. Published numbers
stand beside ours where data set and encoders are the paper's. Writes .png, .csv (one row per cell), _table.csv, .md and
.json; a killed run resumes.
"""

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit.checks import UnknownNameError
from neural.fewshot.plan import closing_lines, gains_over, with_gain
from neural.fewshot.presets import differences
from neural.heads.arms import ARMS
from neural.results.contrasts import by_key, contrast, long_form, means
from neural.results.figures import (
    SHOTS_AXIS,
    draw_means,
    figure_style,
    place_style,
    room_above,
    save_figure,
    zero_line,
)
from neural.results.intervals import Interval
from neural.results.table import shots_label
from neural.results.text import (
    by_word,
    gain_text,
    little_impact_record,
    markdown_table,
)
from neural.tasks.task import Task
from studies.lab.finding import (
    NOT_PRINTED,
    ONE_RATIO,
    Finding,
    evidence_of,
    little_impact_finding,
    overall,
    records,
    word,
)
from studies.lab.options import command_line, run_study
from studies.lab.outputs import Report, finished
from studies.lab.task_options import chosen_preset, fitted_preset, label_of, task_parser
from studies.lab.text_sweep import first_test, gain_words, lighter
from studies.lab.text_variants import (
    BASELINE,
    ENCODER,
    KIND,
    NUMBER,
    PERMUTED,
    PLACE,
    RATIO,
    REFERENCE,
    UML,
    Plan,
    ablation_rows,
    axes_of,
)
from studies.published.numbers import published
from studies.published.printed import gains_printed

__all__ = ["main", "report_of"]

NAME = "text_ablations"
SEEDS, SHOTS = 5, (1, 4, 16)

# (axis, variant, arm, shots): difference to the control
Gains = Mapping[tuple[str, str, str, str], Interval]
# {axis: {(variant, variant that it is compared with): {arm: difference of gains}}}
Steps = Mapping[str, Mapping[tuple[str, str], Mapping[str, Interval]]]


# ---------------------------------------------------------------- contrasts


def _gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Differences to the variant's own control, one per repetition: a narrower text narrows the control as well."""
    control = "the control"
    compared = rows[rows["axis"].ne(BASELINE)].replace({
        "arm": dict.fromkeys(("unimodal", "matched"), control)
    })
    by_axis = compared.groupby("axis", sort=False)
    return pd.concat(gains_over(control, part, ["axis", "variant", "shots"]) for _, part in by_axis)


def _steps(axes: Mapping[str, Sequence[str]], gained: pd.DataFrame) -> Steps:
    """Gains of two variants against each other, mean over shots: one more text, or another kind than the first."""
    over_shots = gained.groupby(["axis", "variant", "arm", "seed"], as_index=False)["accuracy"].mean()
    found: dict[str, dict[tuple[str, str], dict[str, Interval]]] = {}
    for axis in (a for a in (KIND, NUMBER, ENCODER) if a in axes):
        first, *others = axes[axis]
        pairs = zip(others, axes[axis] if axis == NUMBER else itertools.repeat(first), strict=False)
        mine = over_shots[over_shots["axis"].eq(axis)]
        found[axis] = {
            pair: by_key(contrast(mine, *pair, ["arm"], column="variant"), "arm") for pair in pairs
        }
    return found


def _ratio_gaps(axes: Mapping[str, Sequence[str]], rows: pd.DataFrame) -> dict[str, Interval]:
    """{variant, arm, shots: difference to the accuracy at r = 1}."""
    gaps: dict[str, Interval] = {}
    for other in (v for v in axes[RATIO] if v != REFERENCE):
        for arm in UML:
            mine = rows[rows["axis"].eq(RATIO) & rows["arm"].eq(arm)]
            found = by_key(contrast(mine, other, REFERENCE, ["shots"], column="variant"), "shots")
            gaps |= {f"{other}, {ARMS[arm].label}, {k} shots": found[k] for k in mine["shots"].unique()}
    return gaps


# ---------------------------------------------------------------- report


def report_of(plan: Plan, cells: pd.DataFrame) -> Report:
    """Tables, verdicts and findings, from the finished cells as a table."""
    task, shots = plan.task, [shots_label(k) for k in plan.preset.shots]
    axes = {axis: [variant.name for variant in variants] for axis, variants in plan.axes.items()}
    rows = first_test(cells, task)
    gained = _gains(rows)
    gains = by_key(means(gained, PLACE), *PLACE)
    accuracies = by_key(means(rows, PLACE), *PLACE)
    entries: list[dict[str, Any]] = [
        dict(zip(PLACE, place, strict=True)) | {"accuracy": accuracies[place]}
        for place in rows[[*PLACE]].drop_duplicates().itertuples(index=False, name=None)
    ]
    for entry in entries:
        place = tuple(entry[name] for name in PLACE)
        entry |= {"minus_control": gains[place]} if place in gains else {}
    steps, gaps = _steps(axes, gained), _ratio_gaps(axes, rows)
    summary = {
        "task": task.name,
        "classes": len(task.classes),
        "about": dict(task.about),
        "control": plan.variants[0].control,
        "shots": shots,
        "seeds": plan.preset.seeds,
        "axes": axes,
        "candidates_per_arm": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": entries,
        "published": _published(task),
        "verdicts": [
            *_kinds(plan, shots, gains),
            *(f"{axis}: {line}" for axis in steps for line in _step_lines(axis, steps)),
            f"{RATIO}: {little_impact_record(gaps).sentence if gaps else ONE_RATIO}",
        ],
        "findings": records(_findings(task.name, axes, shots, gains, steps, gaps)),
    }
    return Report(summary, _markdown(summary), cells, long_form(entries, PLACE))


def _published(task: Task) -> list[dict[str, Any]]:
    """The paper's numbers for this data set and these encoders: unrelated text (Table 24), batch ratio (Table 27)."""
    which = {"dataset": task.name, "vision": task.encoders.get("image"), "text": task.encoders.get("text")}
    found = []
    for axis, number in ((KIND, 24), (RATIO, 27)):
        try:
            rows = published(number, **which)
        except UnknownNameError:
            continue
        for row in rows.to_dict("records"):
            label = row["label"] if number == 24 else f"{row['label']}, r = {row['ratio']:g}"
            entry = {"axis": axis, "table": number, "label": label, "shots": str(row["shots"])}
            found.append(entry | {"accuracy": float(row["value"])})
    return found


def _kinds(plan: Plan, shots: Sequence[str], gains: Gains) -> list[str]:
    """What each kind of text gains."""
    lines = []
    for variant, arm in itertools.product(plan.axes[KIND], UML):
        mine, permuted = ({k: gains[KIND, variant.name, a, k] for k in shots} for a in (arm, PERMUTED[arm]))
        what = f"{variant.name} text, {ARMS[arm].label} against {ARMS[variant.control].label}"
        lines.append(f"{KIND}: {what}: {gain_words(mine, permuted)} shots")
    return lines


def _step_lines(axis: str, steps: Steps, arms: Sequence[str] = UML) -> list[str]:
    """Sentences about the steps of one axis."""
    if axis != NUMBER:
        return [
            f"{a} minus {b}, {ARMS[arm].label}, gains: {gain_text(gaps[arm])} points"
            for (a, b), gaps in steps[axis].items()
            for arm in arms
        ]
    lines = []
    for arm in arms if steps[axis] else ():
        texts = [f"from {b} to {a} {gain_text(gaps[arm])}" for (a, b), gaps in steps[axis].items()]
        lines.append(f"{ARMS[arm].label}, points, mean over shots: {'; '.join(texts)}")
    return lines


def _markdown(summary: dict[str, Any]) -> str:
    lines = [
        f"## {summary['task']}: {summary['classes']} classes, {summary['seeds']} paired repetitions",
        "",
        (
            "Test accuracy in percent, mean over repetitions; in brackets the paired difference to the fair control "
            f"(*{ARMS[summary['control']].label}*, as many parameters, no text) with its 95% interval. Every arm reports the "
            f"best of {summary['candidates_per_arm']} trainings by validation."
        ),
    ]
    titles = [f"{k} {'shot' if k == '1' else 'shots'}" for k in summary["shots"]]
    for axis, variants in summary["axes"].items():
        rows, said = [], set()
        base = [e for e in summary["accuracy"] if e["axis"] == BASELINE]
        rows.append(["no text", "unimodal", *(f"{e['accuracy'].estimate:.1f}" for e in base)])
        for variant in variants:
            mine = [e for e in summary["accuracy"] if (e["axis"], e["variant"]) == (axis, variant)]
            for arm in dict.fromkeys(e["arm"] for e in mine):
                cells = [with_gain(e, "accuracy", 1) for e in mine if e["arm"] == arm]
                name = variant if "minus_control" in next(e for e in mine if e["arm"] == arm) else "no text"
                if (name, arm, *cells) not in said and arm != "unimodal":  # variants share a control
                    said.add((name, arm, *cells))
                    rows.append([name, ARMS[arm].label, *cells])
        for label in dict.fromkeys(e["label"] for e in summary["published"] if e["axis"] == axis):
            values = {e["shots"]: f"{e['accuracy']:.2f}" for e in summary["published"] if e["label"] == label}
            rows.append(["*paper*", f"*{label}*", *(values.get(k, "") for k in summary["shots"])])
        lines += ["", f"### {axis}", "", markdown_table([axis, "arm", *titles], rows)]
    return "\n".join([*lines, *closing_lines(summary)]) + "\n"


# ---------------------------------------------------------------- figure and findings


def _draw(summary: dict[str, Any], gained: pd.DataFrame, path: Path) -> None:
    """Rows UML and UML (init), one column per axis: gains over the control by number of shots."""
    import matplotlib.pyplot as plt

    axes = summary["axes"]
    with figure_style():
        figure, grid = plt.subplots(2, len(axes), figsize=(4 * len(axes), 7.2), sharey="row", squeeze=False)
        letters = iter("abcdefgh")
        for arm, row in zip(UML, grid, strict=True):
            for (axis, variants), panel in zip(axes.items(), row, strict=True):
                draw_means(
                    panel,
                    gained[gained["axis"].eq(axis) & gained["arm"].eq(arm)],
                    "shots",
                    hue="variant",
                    labels={name: name for name in variants},
                    styles={name: place_style(i) for i, name in enumerate(variants)},
                    order=summary["shots"],
                )
                zero_line(panel)
                panel.set(xlabel=SHOTS_AXIS, ylabel="")
                panel.set_title(f"({next(letters)}) {ARMS[arm].label}: {axis}")
            row[0].set(ylabel="difference to the fair control (points), 95% intervals")
            room_above(row[0], 0.45)
            for panel in row:
                panel.legend(loc="upper right")
        save_figure(figure, path)


_EXHIBITS = {
    ("Figure", 30): (ENCODER, "uml"),
    ("Figure", 31): (KIND, "uml"),
    ("Figure", 32): (KIND, "uml_init"),
    ("Figure", 33): (NUMBER, "uml_init"),
    ("Table", 24): (KIND, "uml_init"),
    ("Table", 27): (RATIO, "uml"),
}


def _findings(
    task: str,
    axes: Mapping[str, Sequence[str]],
    shots: Sequence[str],
    gains: Gains,
    steps: Steps,
    gaps: Mapping[str, Interval],
) -> dict[tuple[str, int], Finding]:
    """One axis each: gains of its variants over the control, at the fewest and the most shots."""
    found = {}
    for (kind, number), (axis, arm) in _EXHIBITS.items():
        printed = gains_printed(kind, number, {"task": task}) if kind == "Table" else f"curves, {NOT_PRINTED}"
        variants = list(axes.get(axis, ()))
        if kind == "Figure":  # unrelated text is Table 24's
            variants = [v for v in variants if v != "unrelated"]
        elif number == 24:
            variants = [variants[0], "unrelated"] if "unrelated" in variants else []
        if not variants:
            what = "unrelated text" if number == 24 else axis
            found[kind, number] = Finding(
                f"{what}: not measured in this run", printed, "no claim", "not measured"
            )
            continue
        label, mine = ARMS[arm].label, {v: {k: gains[axis, v, arm, k] for k in shots} for v in variants}
        ends = list(dict.fromkeys((shots[0], shots[-1])))
        shown = "; ".join(f"{v}: {', '.join(gain_text(mine[v][k]) for k in ends)}" for v in variants)
        ours = f"{label} minus the matched control at {' and '.join(ends)} shots: {shown}"
        words = {v: {k: word(vars(gain)) for k, gain in mine[v].items()} for v in variants}
        evidence = tuple(
            evidence_of(f"{v}: {label} minus the control, {k} shots", mine[v][k])
            for v, k in itertools.product(variants, shots)
        )
        if axis == RATIO:
            found[kind, number] = little_impact_finding(ours, printed, gaps, "{}, minus r = 1")
        elif number == 24:
            related, unrelated = words[variants[0]], words["unrelated"]
            verdict = "fails" if "holds" in unrelated.values() else overall([*related.values()])
            text = f"related text gains: {by_word(related)} shots; unrelated text gains: {by_word(unrelated)} shots"
            found[kind, number] = Finding(ours, printed, verdict, text, evidence)
        else:
            text = "; ".join(f"gain with {v}: {by_word(words[v])} shots" for v in variants)
            verdict = overall([one.verdict for one in evidence])
            text = ". ".join([text, *_step_lines(axis, steps, [arm])])
            found[kind, number] = Finding(ours, printed, verdict, text, evidence)
    return found


def _plan(options: argparse.Namespace) -> Plan:
    preset = lighter(chosen_preset(options), options, seeds=SEEDS, shots=SHOTS)
    axes = axes_of(options, preset)
    task = next(iter(axes.values()))[0].task
    return Plan(axes, fitted_preset(options, preset, task), options.logit_scale)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    parser = task_parser(__doc__, seeds=SEEDS)
    add = parser.add_argument
    add("--text-rows", type=int, nargs="+", metavar="T", help="texts per class (default 1 2 4 8, and all)")
    add("--ratios", type=float, nargs="+", metavar="R", help="text rows per image of a step")
    add("--text-encoders", nargs="+", default=[], metavar="ENCODER", help="of the same sentences, on disk")
    add("--unrelated", type=Path, metavar="FILE", help="JSON {class: [sentences]} about something else")
    add("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    with command_line(parser, arguments) as options:
        plan = _plan(options)
    cells = plan.cells()
    print(f"{plan.task.name}: {len(cells)} cells of {cells[0].steps:,} run-steps at most", flush=True)
    run = finished(cells, options, f"{NAME}.jsonl")
    rows = ablation_rows(plan, run.store)
    report = report_of(plan, rows)
    name = f"{NAME}_{label_of(options, plan.task)}"
    _draw(report.summary, _gains(first_test(rows, plan.task)), options.out / f"{name}.png")
    return run.write(report, name, {"preset": cells[0].preset, "logit_scale": options.logit_scale})


if __name__ == "__main__":
    run_study(main)
