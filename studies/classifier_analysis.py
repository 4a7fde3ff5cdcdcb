"""What does unpaired text change in a few-shot classifier? (Gupta et al. 2025, Figures 38-44).

    python studies/classifier_analysis.py                       glyphs
    python studies/classifier_analysis.py --quick               fewer shots, seeds and steps
    python studies/classifier_analysis.py --pairs "DIGIT ZERO" "LATIN SMALL LETTER O WITH STROKE"
    python studies/classifier_analysis.py --dataset concepts
    python studies/classifier_analysis.py --dataset oxford_flowers --data ROOT --vision clip-rn50 --text clip-rn50 --device cuda

The heads of image_text_fewshot.py in three respects, each beside the matched control:

    measures    functional margin (Figure 41), silhouette (42) and Davies-Bouldin index (43) on test rows, per arm and shots,
                from that study's own cells (what it has trained is only read)
    planes      test rows of two classes in the plane of the decision between them, before and after text (38-40); the
                chosen heads of one repetition are trained again for this
    heat-map    cosines of prototypes and class mean texts (44) with a permutation test of the diagonal. A diagonal shows
                that the head classifies text; heads trained on wrong texts have one, too, for the texts they were given

Pairs of classes are named by --pairs, or are those that the control confuses most on validation rows: choosing by its
errors on test rows would flatter every other arm there. The paper prints no numbers for these figures.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pandas as pd

from neural.fewshot.plan import CELLS, Plan, cell_rows, chosen_heads, closing_lines, with_gain
from neural.fewshot.presets import PRESETS
from neural.heads.arms import arm_names
from neural.heads.runs import HeadFit
from neural.results.contrasts import entries, long_form
from neural.results.figures import SHOTS_AXIS, draw_means, figure_style, save_figure
from neural.results.parallel import one_torch_thread
from neural.results.table import by_measure
from neural.results.text import by_word, direction, gain_text, markdown_table
from neural.tasks.task import Task
from studies.lab.classifier_planes import (
    confused_pairs,
    decision_plane,
    draw_diagonals,
    draw_plane,
    named_pairs,
    prototypes,
)
from studies.lab.finding import NOT_PRINTED, Finding, evidence_of, overall, records
from studies.lab.options import command_line, run_study
from studies.lab.outputs import Report, finished
from studies.lab.task_options import label_of, task_and_preset, task_parser

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["main"]

NAME = "classifier_analysis"
ARMS = ("unimodal", "matched", "uml", "uml_init", "init_permuted")
#: {measure: (figure of the paper, label, whether more is better)}
_MEASURES = {
    "margin": (41, "functional margin (units of the head's space)", True),
    "silhouette": (42, "silhouette score", True),
    "davies_bouldin": (43, "Davies-Bouldin index", False),
}
_PAIRS = 2
_SEED = 0  # the repetition that is drawn
_SURE = 0.001  # p-value below which a diagonal stands out


# ---------------------------------------------------------------- contrasts


def _rows(plan: Plan, cells: pd.DataFrame) -> pd.DataFrame:
    """One row per measure and cell; a measure is left out at shots where some head has too few test rows for it."""
    order: dict[str, Sequence[str]] = {"what": [*_MEASURES], "shots": plan.shots, "arm": plan.arms}
    rows = by_measure(cells[["arm", "shots", "seed", *_MEASURES]], _MEASURES, ["shots"])
    rows = rows[["what", "arm", "shots", "seed", "value"]]
    return rows.sort_values(
        [*order, "seed"],
        key=lambda column: column.map(order[column.name].index) if column.name in order else column,
    )


def _summarise(
    plan: Plan, rows: pd.DataFrame, heads: Mapping[str, HeadFit], pairs: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Measures with intervals, and of one repetition planes of class pairs and diagonals; verdicts."""
    control = plan.control
    chosen = list(pairs) or confused_pairs(heads[control], plan.task.val, _PAIRS)
    places: dict[str, Sequence[str]] = {"measure": [*_MEASURES], "shots": plan.shots, "arm": plan.arms}
    rows = rows.rename(columns={"what": "measure"})
    measures = entries(rows, places, {"minus_control": control, "minus_unimodal": "unimodal"}, value="value")
    per_seed = rows.groupby([*places])["value"].apply(list)
    for entry in measures:
        entry["per seed"] = per_seed[tuple(entry[name] for name in places)]
    summary = plan.about | {
        "classes": len(plan.task.classes),
        "drawn": {"shots": plan.shots[-1], "seed": _SEED},
        "pairs chosen by": "name" if pairs else "confusions of the control on validation rows",
        "measures": measures,
        "planes": [_plane(plan.task, heads, arm, pair) for pair in chosen for arm in (control, "uml_init")],
        "prototypes": prototypes(plan.task, heads, _SEED),
    }
    return summary | {"verdicts": _verdicts(summary)}


def _plane(task: Task, heads: Mapping[str, HeadFit], arm: str, pair: tuple[int, int]) -> dict[str, Any]:
    """Test rows of two classes as one head sees them."""
    plane = decision_plane(heads[arm].model, next(iter(task.tests.values())), *pair)
    return {
        "arm": arm,
        "classes": [str(task.classes[c]) for c in pair],
        "accuracy": 100 * plane.accuracy,
        "points": plane.points.round(5).tolist(),
        "first": plane.first.tolist(),
        "prototypes": plane.prototypes.round(5).tolist(),
    }


def _verdicts(summary: Mapping[str, Any]) -> list[str]:
    """The paper's claims one by one: holds above both baselines, fails below either."""
    lines = []
    control = summary["arms"][summary["control"]]
    for what, (number, label, more) in _MEASURES.items():
        up, down = ("holds", "fails") if more else ("fails", "holds")
        for arm in ("uml", "uml_init"):
            for name, baseline in (("minus_control", control), ("minus_unimodal", "the plain unimodal head")):
                words = {
                    e["shots"]: direction(e[name], up=up, down=down)
                    for e in _measured(summary, what, arm)
                    if name in e
                }
                if words:
                    better = f"{summary['arms'][arm]} better than {baseline}"
                    lines.append(f"Figure {number}, {label}: {better}: {by_word(words)} shots")
    for before, after in _before_and_after(summary):
        lines.append(
            f"Figures 38-40, {' and '.join(before['classes'])}: {before['accuracy']:.0f}% of {len(before['first'])} test rows "
            f"on their own side before text, {after['accuracy']:.0f}% after (one repetition)"
        )
    for e in summary["prototypes"]:
        word = "stands out" if e["p_value"] < _SURE else "does not stand out"
        lines.append(
            f"Figure 44, {summary['arms'][e['arm']]} by {e['texts']}: diagonal {word}: {e['difference']:+.3f} (by chance "
            f"{_by_chance(e)}, p = {e['p_value']:.4f}); largest in its row for {100 * e['top']:.0f}% of classes"
        )
    return lines


def _measured(summary: Mapping[str, Any], what: str, arm: str) -> list[Mapping[str, Any]]:
    """Entries of one measure and arm, by shots."""
    return [e for e in summary["measures"] if (e["measure"], e["arm"]) == (what, arm)]


def _before_and_after(summary: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Planes of the control and of UML (init), a pair for each pair of classes."""
    return list(zip(summary["planes"][::2], summary["planes"][1::2], strict=True))


def _by_chance(diagonal: Mapping[str, Any]) -> str:
    return f"{diagonal['null_low']:+.3f} to {diagonal['null_high']:+.3f}"


def _markdown(summary: Mapping[str, Any]) -> str:
    """Tables of the measures and of the diagonals, and the verdicts."""
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
    for what, (number, label, more) in _MEASURES.items():
        rows = [
            [name, *(with_gain(e, "value", 3) for e in _measured(summary, what, arm))]
            for arm, name in summary["arms"].items()
        ]
        titles = [f"k = {e['shots']}" for e in _measured(summary, what, summary["control"])]
        better = "higher" if more else "lower"
        lines += ["", f"### {label}, {better} is better (Figure {number})", ""]
        lines.append(markdown_table(["arm", *titles], rows))
    drawn = summary["drawn"]
    diagonals = [
        [
            summary["arms"][e["arm"]],
            e["texts"],
            f"{e['difference']:+.3f}",
            _by_chance(e),
            f"{e['p_value']:.4f}",
            f"{100 * e['top']:.1f}%",
        ]
        for e in summary["prototypes"]
    ]
    header = ["arm", "texts", "diagonal minus rest", "by chance (95%)", "p", "largest in its row"]
    lines += [
        "",
        f"### Prototypes and class mean texts, {drawn['shots']} shots, repetition {drawn['seed']} (Figure 44)",
        "",
        markdown_table(header, diagonals),
        "",
        f"Pairs chosen by {summary['pairs chosen by']}.",
        *closing_lines(summary),
    ]
    return "\n".join(lines) + "\n"


def _table(summary: Mapping[str, Any]) -> list[dict[str, object]]:
    """The tables in long form: one row per measure, shots and arm, then one per diagonal."""
    rows = long_form(summary["measures"], ["measure", "shots", "arm"])
    for e in summary["prototypes"]:
        shown = {name: e[name] for name in ("arm", "texts", "null_low", "null_high", "p_value", "top")}
        rows.append(
            {"measure": "diagonal", "shots": summary["drawn"]["shots"], "value": e["difference"]} | shown
        )
    return rows


def _drawn_points(summary: Mapping[str, Any]) -> pd.DataFrame:
    """One row per point of a plane."""
    planes = [
        pd.DataFrame(plane["points"], columns=["value", "along"]).assign(
            what="plane",
            arm=plane["arm"],
            **summary["drawn"],
            **{"class": np.where(plane["first"], *plane["classes"])},
        )
        for plane in summary["planes"]
    ]
    return pd.concat(planes, ignore_index=True)


# ---------------------------------------------------------------- figure


def _figure(summary: Mapping[str, Any], rows: pd.DataFrame, path: Path) -> None:
    """Planes of class pairs, separation measures, prototypes beside texts."""
    import matplotlib.pyplot as plt

    with figure_style():
        figure = plt.figure(figsize=(12.5, 10.2))
        parts = figure.add_gridspec(3, 1, height_ratios=[1, 1, 1.05])
        planes, measures, heat_maps = (parts[i, 0] for i in range(3))
        grid = planes.subgridspec(1, max(2, len(summary["planes"])))
        for i, plane in enumerate(summary["planes"]):
            when = "before text" if plane["arm"] == summary["control"] else "after text"
            draw_plane(figure.add_subplot(grid[i]), plane, when)
        grid = measures.subgridspec(1, len(_MEASURES))
        for i, what in enumerate(_MEASURES):
            _draw_measure(figure.add_subplot(grid[i]), rows[rows["what"].eq(what)], summary, what)
        _draw_prototypes(figure, heat_maps, summary)
        save_figure(figure, path)


def _draw_measure(axes: "Axes", rows: pd.DataFrame, summary: Mapping[str, Any], what: str) -> None:
    """One measure over shots, a curve per arm."""
    _, label, more = _MEASURES[what]
    draw_means(axes, rows, "shots", y="value", labels=summary["arms"], order=summary["shots"])
    axes.set(xlabel=SHOTS_AXIS, ylabel=label)
    axes.set_title(f"{label.split(' (')[0]}: {'higher' if more else 'lower'} is better")
    if what == "margin":
        axes.legend(loc="best")


def _draw_prototypes(figure: "Figure", part: Any, summary: Mapping[str, Any]) -> None:  # noqa: ANN401
    """Heat-maps of the control, of UML (init) and of wrong texts; beside them all diagonals with what chance gives."""
    arms = (summary["control"], "uml_init", "init_permuted")
    shown = [e for e in summary["prototypes"] if e["arm"] in arms and e["texts"] == "the right texts"]
    grid = part.subgridspec(1, len(shown) + 1)
    limit = max(float(np.abs(e["drawn"]).max()) for e in shown)
    for i, entry in enumerate(shown):
        axes = figure.add_subplot(grid[i])
        image = axes.imshow(entry["drawn"], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.grid(visible=False)
        drawn, there = len(entry["drawn"]), summary["classes"]
        some = "" if drawn == there else f" ({drawn} of {there})"
        axes.set(xlabel=f"class mean text{some}", ylabel="prototype")
        axes.set_title(summary["arms"][entry["arm"]])
        if i + 1 == len(shown):
            figure.colorbar(image, ax=axes, shrink=0.75, label="cosine")
    draw_diagonals(figure.add_subplot(grid[len(shown)]), summary["prototypes"])


# ---------------------------------------------------------------- findings


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """Planes (38 to 40), measures against the matched control (41 to 43), the heat-map (44)."""
    found = {("Figure", number): _of_planes(summary) for number in (38, 39, 40)}
    found |= {("Figure", number): _of_measure(summary, what) for what, (number, _, _) in _MEASURES.items()}
    return found | {("Figure", 44): _of_heat_map(summary)}


def _of_planes(summary: Mapping[str, Any]) -> Finding:
    """An illustration: there is no claim to test."""
    shown = [
        f"{' / '.join(before['classes'])}: {before['accuracy']:.0f}% of {len(before['first'])} test rows on their side before "
        f"text, {after['accuracy']:.0f}% after"
        for before, after in _before_and_after(summary)
    ]
    text = "one repetition of a few rows: an illustration, not a test"
    if summary["control"] != "unimodal":
        text += "; the stand-in's encoders are not aligned, as CLIP's are"
    return Finding("; ".join(shown), f"picture, {NOT_PRINTED}", "no claim", text)


def _of_measure(summary: Mapping[str, Any], what: str) -> Finding:
    """UML (init) against the matched control by shots; the plain baseline stands beside it."""
    _, _, more = _MEASURES[what]
    up, down = ("holds", "fails") if more else ("fails", "holds")
    minus = f"UML (init) minus {summary['arms'][summary['control']]}"
    measured = _measured(summary, what, "uml_init")
    evidence = tuple(
        replace(
            evidence_of(f"{minus}, {what}, k = {e['shots']}", e["minus_control"], unit=what),
            verdict=direction(e["minus_control"], up=up, down=down, unclear="undecided"),
        )
        for e in measured
    )
    words = {e["shots"]: comparison.verdict for e, comparison in zip(measured, evidence, strict=True)}
    plain = [direction(e["minus_unimodal"], up=up, down=down) for e in measured if "minus_unimodal" in e]
    text = f"{'higher' if more else 'lower'} is better: {by_word(words)} shots"
    if plain:
        text += f"; against the plain baseline holds in {plain.count('holds')} of {len(plain)}"
    shown = "; ".join(f"{gain_text(e['minus_control'], 3)} at {e['shots']}" for e in measured)
    return Finding(f"{minus}: {shown}", f"bars, {NOT_PRINTED}", overall(list(words.values())), text, evidence)


def _of_heat_map(summary: Mapping[str, Any]) -> Finding:
    """The diagonal must stand out, and more than that of heads which were given other classes' texts."""
    right = next(e for e in summary["prototypes"] if e["arm"] == "uml_init")
    permuted = [e for e in summary["prototypes"] if e["texts"] == "the texts it was given"]
    p_value = f"p = {right['p_value']:.4f}"
    ours = f"diagonal minus rest {right['difference']:+.3f} (by chance {_by_chance(right)}, {p_value})"
    verdict, text = "undecided", "no diagonal"
    if right["p_value"] < _SURE:
        verdict, text = "holds", "the diagonal stands out"
    if permuted and permuted[0]["p_value"] < _SURE:
        verdict = "in part" if verdict == "holds" else verdict
        text += f"; so does that of heads with permuted texts and the texts they were given ({permuted[0]['difference']:+.3f})"
    return Finding(ours, f"heat-map, {NOT_PRINTED}", verdict, text)


# ---------------------------------------------------------------- command


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    parser = task_parser(__doc__, seeds=PRESETS["default"].seeds)
    parser.add_argument(
        "--pairs", nargs="+", default=[], metavar="CLASS", help="two or four names of classes"
    )
    with command_line(parser, arguments) as options:
        task, preset = task_and_preset(options)
        there = arm_names(task)
        plan = Plan(task, preset, tuple(arm for arm in ARMS if arm in there))
        pairs = named_pairs(task, options.pairs)
    print(f"{task.name}: {len(plan.cells())} cells", flush=True)
    cells = finished(plan.cells(), options, CELLS)
    rows = _rows(plan, cell_rows(plan, cells.store))
    with one_torch_thread():
        heads = chosen_heads(plan, cells.store, preset.shots[-1], _SEED, options.device)
        summary = _summarise(plan, rows, heads, pairs)
    summary["findings"] = records(_findings(summary))
    name = f"{NAME}_{label_of(options, task)}"
    _figure(summary, rows, options.out / f"{name}.png")
    all_rows = pd.concat([rows, _drawn_points(summary)], ignore_index=True)
    report = Report(summary, _markdown(summary), all_rows, _table(summary))
    return cells.write(report, name, {"preset": preset, "arms": list(plan.arms)})


if __name__ == "__main__":
    run_study(main)
