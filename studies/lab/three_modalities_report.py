"""Tables and figure of the three-modality study."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from neural.fewshot.plan import with_gain
from neural.heads.arms import ARMS
from neural.results.contrasts import long_form
from neural.results.figures import (
    SHOTS_AXIS,
    draw_means,
    draw_published,
    figure_style,
    place_style,
    room_above,
    save_figure,
    zero_line,
)
from neural.results.text import gain_text, markdown_table
from studies.lab.modality_grid import Plan, Training, together

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["as_markdown", "draw", "long_table", "shots_title", "step_label"]


def step_label(step: Mapping[str, Any]) -> str:
    """As in "UML: text + audio against text"."""
    return f"{ARMS[step['arm']].label}: {together(step['after'])} against {together(step['before'])}"


def as_markdown(summary: Mapping[str, Any]) -> str:
    """Tables of accuracies and of steps, for each target."""
    runs = summary["runs_per_split"]
    repeats = f"{summary['splits']} paired splits" + (f" of {runs} auxiliary draws each" if runs > 1 else "")
    lines = [
        f"## {summary['source']}: {summary['classes']} classes, {repeats}",
        "",
        (
            "Test accuracy in percent, mean over splits; in brackets the paired difference to the target alone with a head "
            "of the same size, with its 95% interval. Every entry is the best of "
            f"{summary['candidates_per_training']} trainings by validation."
        ),
    ]
    for target in summary["targets"]:
        ours, theirs, steps = (
            [e for e in summary[kind] if e["target"] == target] for kind in ("accuracy", "published", "steps")
        )
        cells = [(e["training"], e["shots"], with_gain(e, "accuracy", 1)) for e in ours]
        cells += [
            (f"*paper: {together(e['auxiliaries'])}*", e["shots"], f"{e['accuracy']:.2f}") for e in theirs
        ]
        lines += [
            "",
            f"### {target} as the target",
            "",
            _wide(f"{target}, helped by", summary["shots"], cells),
        ]
        cells = [(step_label(step), step["shots"], gain_text(step["difference"])) for step in steps]
        lines += ["", _wide("one more modality", summary["shots"], cells)]
    lines += ["", "### In one line each", "", *(f"- {line}" for line in summary["verdicts"])]
    if summary["differs_from_paper"]:
        lines += ["", f"Differs from the paper's protocol: {'; '.join(summary['differs_from_paper'])}."]
    return "\n".join(lines) + "\n"


def _wide(title: str, shots: Sequence[str], cells: Iterable[tuple[str, str, str]]) -> str:
    """A Markdown table of (row, shots, text), one column per number of shots."""
    rows: dict[str, dict[str, str]] = {}
    for name, k, text in cells:
        rows.setdefault(name, {})[k] = text
    return markdown_table(
        [title, *map(shots_title, shots)],
        [[name, *(row.get(k, "") for k in shots)] for name, row in rows.items()],
    )


def shots_title(shots: str) -> str:
    """As in "1 shot" and "4 shots"."""
    return f"{shots} {'shot' if shots == '1' else 'shots'}"


def long_table(summary: Mapping[str, Any]) -> list[dict[str, object]]:
    """Accuracies with their gains, then what each step gains, for CSV."""
    found = [
        {"what": e["training"], "accuracy": e["accuracy"], "gain": e.get("minus_control")}
        | {name: e[name] for name in ("target", "shots")}
        for e in summary["accuracy"]
    ]
    found += [
        {"target": s["target"], "shots": s["shots"], "what": step_label(s), "gain": s["difference"]}
        for s in summary["steps"]
    ]
    return long_form(found, ["target", "shots", "what"])


def draw(
    plan: Plan, splits: pd.DataFrame, gains: pd.DataFrame, summary: Mapping[str, Any], path: Path
) -> None:
    """For each target accuracy by what helps, and below it gains over the target alone beside their controls."""
    import matplotlib.pyplot as plt

    with figure_style():
        columns = len(plan.targets)
        figure, panels = plt.subplots(2, columns, figsize=(3.9 * columns, 7.2), squeeze=False)
        for (above, below), target in zip(panels.T, plan.targets, strict=True):
            curves = _curves(plan, target)
            styles = {training.label: place_style(place) for place, training in enumerate(curves)}
            for axes, values, shown in (
                (above, splits, [t for t in curves if "permuted" not in t.label]),
                (below, gains, [t for t in curves if t.helped]),
            ):
                mine, labels = values[values["target"].eq(target)], {t.label: t.label for t in shown}
                draw_means(
                    axes, mine, "shots", hue="training", labels=labels, styles=styles, order=summary["shots"]
                )
                axes.set(xlabel=SHOTS_AXIS, ylabel="")
            _mark_published(above, summary, target, styles)
            above.set_title(f"{target} as the target, {summary['classes']} classes")
            zero_line(below)
            for axes in (above, below):
                room_above(axes, 0.45)
                axes.legend(loc="upper left")
        panels[0, 0].set_ylabel("test accuracy (%)")
        panels[1, 0].set_ylabel("gain over the target alone (points)")
        save_figure(figure, path)


def _curves(plan: Plan, target: str) -> list[Training]:
    """What is drawn: the controls, UML (init) with every subset, and all of what helps with wrong classes."""
    drawn = ("unimodal", "matched", "uml_init")
    largest = Training(plan.subsets(target)[-1], "init_permuted")
    return [t for t in plan.trainings(target) if t.arm in drawn or t == largest]


def _mark_published(
    axes: "Axes", summary: Mapping[str, Any], target: str, styles: Mapping[str, Mapping[str, Any]]
) -> None:
    """The paper's numbers, as hollow marks of our curve with the same help."""
    points: dict[tuple[str, ...], dict[int, float]] = {}
    for e in summary["published"]:
        if e["target"] == target:
            where = summary["shots"].index(e["shots"])
            points.setdefault(tuple(e["auxiliaries"]), {})[where] = e["accuracy"]
    for names, values in points.items():
        ours = Training(names, "uml_init" if names else "unimodal")
        label = f"paper: {together(names)}"
        draw_published(axes, [*values], [*values.values()], styles[ours.label], label)
