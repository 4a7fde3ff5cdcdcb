"""Does unpaired data of another modality make a self-supervised model better (Gupta et al. 2025, Table 1)?

    python studies/self_supervised.py                      glyphs: patches of pictures, and letters of names
    python studies/self_supervised.py --quick              fewer seeds and steps, a smaller transformer
    python studies/self_supervised.py --set labels=mark patch=4
    python studies/self_supervised.py --multibench mosi --data ROOT --preset paper --device cuda
    python studies/self_supervised.py --multibench mosei --data ROOT --label-rule nonzero --auxiliaries text audio
    python studies/self_supervised.py --target-features a.safetensors --aux-features b.safetensors --preset vision_text

Linear encoders into one causal transformer, linear decoders back, prediction of the next patch or token; then a linear
probe (scikit-learn's logistic regression) on mean embeddings of the target. Arms, as far as the data allow:

    untrained          random weights: what the probe does on its own
    unimodal           the paper's baseline
    unimodal_2b        with as many sequences per step as UML sees
    uml                all auxiliary sequences, counterparts of the target's among them, shuffled (as in the paper)
    uml_scrambled      the auxiliary's steps dealt anew over all sequences: same letters or vectors, no structure
    uml_unrelated      sequences of the same kind about something else (glyphs: names of pictographs)
    unimodal_half, uml_disjoint    half of the target, and an auxiliary without counterparts: strictly unpaired

All arms take equally many steps, search one grid, and share seeds; the learning rate, the width and the probe's C are
chosen by validation, test rows are looked at once. Writes .png, .csv (one row per cell), .md and .json; a killed run
goes on from finished cells and from the checkpoint of the training in flight.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.results.cells import Cells
from neural.results.contrasts import by_key, means, paired
from neural.results.figures import arm_style, draw_means, draw_published, figure_style, save_figure, zero_line
from neural.results.intervals import Interval
from neural.results.parallel import one_torch_thread
from neural.results.table import table
from neural.results.text import direction, gain_text, markdown_table
from neural.sequences.clips import MULTIBENCH, multibench_sequences
from neural.sequences.files import sequences_from_files
from neural.sequences.glyphs import GlyphSequenceSettings, glyph_sequences
from neural.sequences.task import SequenceTask
from neural.sequences.training import Curriculum, mixed_precision
from studies.lab.finding import Evidence, Finding, overall, points, records, word
from studies.lab.options import command_line, command_parser, own_suffix, run_study
from studies.lab.outputs import Report, write_report
from studies.lab.sequences import ARMS, CONTRASTS, PRESETS, Plan, Preset, arm_data, compute
from studies.lab.task_sources import parse_settings, settings_from
from studies.published.numbers import published
from studies.published.printed import gains_printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["main", "verdict"]

NAME = "self_supervised"


# ---------------------------------------------------------------- what is reported


def _rows(plan: Plan, cells: Cells) -> pd.DataFrame:
    """One row per finished cell."""
    kept = ("accuracy", "val_accuracy", "val_loss", "strength", "seconds")
    return table(
        {"arm": arm, "seed": seed}
        | {name: result[name] for name in kept}
        | result["setting"]
        | {f"final_loss_{name}": loss for name, loss in result["final_losses"].items()}
        for arm in plan.arms
        for seed, result in enumerate(plan.results(cells, arm))
    )


def _differences(plan: Plan, percent: pd.DataFrame) -> pd.DataFrame:
    """Paired differences in points, one row per contrast and repetition."""
    found = [paired(percent, c.arm, c.control).assign(contrast=key) for key, c in plan.contrasts.items()]
    return pd.concat(found) if found else pd.DataFrame(columns=["seed", "accuracy", "contrast"])


def _summary(plan: Plan, cells: Cells, percent: pd.DataFrame, differences: pd.DataFrame) -> dict[str, Any]:
    """Everything that is reported, as plain data; loss curves and diverged trainings are no columns of the table."""
    task, preset = plan.tasks[0], plan.preset
    accuracy = by_key(means(percent, ["arm"]), "arm")
    gains = by_key(means(differences, ["contrast"]), "contrast")
    results = {arm: plan.results(cells, arm) for arm in plan.arms}
    curves = {
        arm: np.array([result["curve"] for result in results[arm]], dtype=np.float64).mean(axis=0)
        for arm in plan.arms
        if ARMS[arm].trained
    }
    test = len(task.test)
    mean = float(np.mean([accuracy[arm].estimate for arm in plan.arms])) / 100
    printed = published(1)[lambda rows: rows["dataset"] == task.name]
    return {
        "task": task.name,
        "target": task.target,
        "auxiliaries": list(task.auxiliaries),
        "classes": list(task.classes),
        "about": dict(task.about),
        "rows": {part: len(data) for part, data in (task.parts | dict(task.auxiliaries)).items()},
        "largest_class": float(100 * np.bincount(task.test.labels).max() / test),  # type: ignore[arg-type]
        "standard_error_of_one_test": 100 * (mean * (1 - mean) / test) ** 0.5,
        "seeds": preset.seeds,
        "steps": plan.steps,
        "candidates_per_arm": len(preset.candidates),
        "arms": {arm: ARMS[arm].label for arm in plan.arms},
        "accuracy": {arm: accuracy[arm] for arm in plan.arms},
        "by_seed": {arm: part["accuracy"].to_numpy() for arm, part in percent.groupby("arm", sort=False)},
        "curves": {
            arm: [None if np.isnan(x) else x for x in curve.tolist()] for arm, curve in curves.items()
        },
        "diverged": {arm: sum(len(r["diverged"]) for r in found) for arm, found in results.items()},
        "contrasts": {
            key: {"arm": c.arm, "control": c.control, "question": c.question, "difference": gains[key]}
            for key, c in plan.contrasts.items()
        },
        "published": dict(zip(printed["method"], printed["value"], strict=True)),
        "setting": (
            f"{plan.steps / -(-len(task.train) // preset.batch):.3g} epochs, learning rates "
            f"{', '.join(map(str, preset.learning_rates))}, widths {', '.join(map(str, preset.widths))}, "
            f"{preset.seeds} seeds, {preset.ratio:g} auxiliary sequences per target sequence"
        ),
        "verdict": verdict({key: gains[key] for key in plan.contrasts}, task.name),
    }


def verdict(differences: Mapping[str, Interval], name: str) -> str:
    """One line: whether UML beats the unimodal model, and which of `CONTRASTS` that are controls the gain survives."""
    if "paper" not in differences:
        return f"{name}: UML and its baseline were not both trained, so there is no verdict"
    claimed = differences["paper"]
    lead = f"the paper's claim {direction(claimed, up='holds', down='fails', unclear='is not decided')}"
    controls = {CONTRASTS[key].survived: d for key, d in differences.items() if CONTRASTS[key].survived}
    if claimed.low > 0:
        survived = sum(d.low > 0 for d in controls.values())
        lead += f" and survives {survived} of {len(controls)} controls" if controls else ", without controls"
    parts = [
        f"{what} {direction(d, up='gains', down='loses')} {gain_text(d, 2)}" for what, d in controls.items()
    ]
    against = f"; UML against each control: {', '.join(parts)}" if parts else ""
    return f"{name}: {lead} (UML against unimodal {gain_text(claimed, 2)}){against}"


def _pair(summary: Mapping[str, Any], contrast: Mapping[str, Any], between: str) -> str:
    return f"{summary['arms'][contrast['arm']]}{between}{summary['arms'][contrast['control']]}"


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """Table 1: the verdict is that of equal rows per step; the paper's own comparison stands beside it."""
    shown = {key: _pair(summary, c, " minus ") for key, c in summary["contrasts"].items()}
    gains = {key: vars(c["difference"]) for key, c in summary["contrasts"].items()}
    ours = "; ".join(f"{shown[key]} {points(gain, 2)}" for key, gain in gains.items())
    evidence = tuple(
        Evidence(shown[key], gain["estimate"], gain["low"], gain["high"], word(gain))
        for key, gain in gains.items()
        if key == "rows"
    )
    words = [e.verdict for e in evidence]
    printed = gains_printed("Table", 1, summary)
    return {("Table", 1): Finding(ours, printed, overall(words), summary["verdict"], evidence)}


def _markdown(summary: Mapping[str, Any]) -> str:
    """Tables of accuracies and differences."""
    helpers, paper = ", ".join(summary["auxiliaries"]) or "nothing", summary["published"]
    accuracies = [
        [
            summary["arms"][arm],
            f"{a.estimate:.2f}",
            f"{a.low:.2f} to {a.high:.2f}",
            f"{paper[arm]:.2f}" if arm in paper else "",
        ]
        for arm, a in summary["accuracy"].items()
    ]
    differences = [
        [c["question"], _pair(summary, c, " - "), gain_text(c["difference"], 2)]
        for c in summary["contrasts"].values()
    ]
    parts = [
        f"## {summary['task']}: {summary['target']} with the help of {helpers}",
        (
            f"Test accuracy (%) of a linear probe on {summary['target']} embeddings, {len(summary['classes'])} classes, "
            f"{summary['seeds']} paired repetitions, {summary['steps']:,} steps each, the best of "
            f"{summary['candidates_per_arm']} trainings by validation. Sequences: "
            f"{', '.join(f'{name} {count:,}' for name, count in summary['rows'].items())}; the largest class is "
            f"{summary['largest_class']:.1f}% of the test, the standard error of one test "
            f"{summary['standard_error_of_one_test']:.1f} points (rows taken as independent)."
        ),
        markdown_table(["arm", "accuracy", "95% interval", "paper, Table 1"], accuracies),
        markdown_table(["question", "difference of", "points, 95% interval"], differences),
    ]
    if paper:
        parts.append(
            f"Of this run: {summary['setting']}. Of the paper: 100 epochs, its grid of section B.4.1, 3 seeds."
        )
    if diverged := sum(summary["diverged"].values()):
        parts.append(f"{diverged} trainings diverged and were not eligible.")
    return "\n\n".join([*parts, summary["verdict"]]) + "\n"


# ---------------------------------------------------------------- figure


def _draw(summary: Mapping[str, Any], percent: pd.DataFrame, differences: pd.DataFrame, path: Path) -> None:
    """Accuracies, paired differences, and what training did to the target's loss."""
    import matplotlib.pyplot as plt

    with figure_style():
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13.5, 4.2), width_ratios=(1.15, 1, 1))
        _draw_accuracies(left, summary, percent)
        _draw_differences(middle, summary, differences)
        _draw_curves(right, summary)
        figure.suptitle(
            f"{summary['task']}: {summary['target']} with unpaired {', '.join(summary['auxiliaries']) or 'nothing'}, "
            f"{summary['seeds']} paired repetitions, 95% intervals",
            fontsize=9.5,
        )
        save_figure(figure, path)


def _draw_accuracies(axes: "Axes", summary: Mapping[str, Any], percent: pd.DataFrame) -> None:
    """A row per arm, with the paper's number and a tick for every repetition above the mean."""
    labels = summary["arms"]
    for place, (arm, label) in enumerate(labels.items()):
        rows = percent[percent["arm"] == arm].assign(label=label)
        draw_means(axes, rows, "accuracy", y="label", labels=labels, order=[*labels.values()], orient="y")
        axes.plot(rows["accuracy"], np.full(len(rows), place - 0.22), "|", color="0.55", markersize=5)
        if arm in summary["published"]:
            draw_published(axes, [summary["published"][arm]], [place], arm_style(arm), "paper")
    note = "; hollow: paper" if summary["published"] else ""
    axes.set(title="(a) Accuracy", ylabel="")
    axes.set_xlabel(f"test accuracy of a linear probe (%); ticks: repetitions{note}")


def _draw_differences(axes: "Axes", summary: Mapping[str, Any], differences: pd.DataFrame) -> None:
    """A row per question."""
    contrasts = summary["contrasts"].items()
    questions = {key: "\n".join([c["question"], _pair(summary, c, "\n− ")]) for key, c in contrasts}
    draw_means(
        axes,
        differences.assign(question=differences["contrast"].map(questions), all="difference"),
        "accuracy",
        y="question",
        hue="all",
        labels={"difference": "difference"},
        styles={"difference": {"color": "black", "marker": "o", "linestyle": "none"}},
        order=list(questions.values()),
        orient="y",
    )
    zero_line(axes, upright=True)
    axes.tick_params(axis="y", labelsize=6.8)
    axes.set(title="(b) Paired differences", xlabel="difference in points", ylabel="")


def _draw_curves(axes: "Axes", summary: Mapping[str, Any]) -> None:
    """Means over repetitions of stretches of steps."""
    for arm, curve in summary["curves"].items():
        steps = (np.arange(len(curve)) + 0.5) * summary["steps"] / len(curve)
        every = max(1, len(curve) // 6)
        losses = np.array(curve, dtype=float)
        axes.plot(steps, losses, label=summary["arms"][arm], markevery=every, **arm_style(arm))
    axes.set(xlabel="optimiser step", ylabel=f"next-step loss of {summary['target']} (training)")
    axes.set_title("(c) Loss of the target, chosen trainings")
    axes.legend(loc="best")


# ---------------------------------------------------------------- command line


def _tasks(options: argparse.Namespace, seeds: int) -> list[SequenceTask]:
    """One task for each repetition; files are the same in all."""
    if options.target_features is not None:
        files = options.aux_features or []
        names = options.auxiliaries or ["text"][: len(files)]
        if len(names) != len(files):
            raise ValueError(
                f"--auxiliaries: {len(files)} files of auxiliaries need as many names, got {names}"
            )
        helping = dict(zip(names, files, strict=True))
        return [sequences_from_files(options.target_features, helping, scale=not options.raw)] * seeds
    if options.multibench is not None:
        chosen = {n: getattr(options, n) for n in ("target", "auxiliaries", "label_rule", "mimic_task")}
        return [
            multibench_sequences(options.multibench, options.data, **chosen, scale=not options.raw)
        ] * seeds
    given = parse_settings(options.set)
    known = [field.name for field in fields(GlyphSequenceSettings) if field.name != "jitter"]
    settings = settings_from(GlyphSequenceSettings, given, known, "glyphs")
    cache, first = options.runs / "cache", options.data_seed
    with one_torch_thread():
        return [glyph_sequences(settings, seed=first + seed, cache=cache) for seed in range(seeds)]


def _preset(options: argparse.Namespace) -> Preset:
    """The preset with what the command line changes."""

    def given(*names: str) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(options, name)) is not None}

    preset = PRESETS["quick" if options.quick else options.preset]
    changes = given("seeds", "steps", "batch", "ratio", "loss_weight", "precision", "micro_batch")
    changes |= {name: tuple(values) for name, values in given("learning_rates", "widths").items()}
    if options.first_epochs:
        if not options.first:
            raise ValueError("--first-epochs: name who is first with --first")
        changes["curriculum"] = Curriculum(tuple(options.first), options.first_epochs)
    preset = replace(preset, **changes)
    shape = {"width": preset.widths[0]} | given("layers", "heads", "positions")
    return replace(preset, model=replace(preset.model, **shape))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__, seeds=PRESETS["default"].seeds, device=True)
    add = parser.add_argument
    add("--preset", choices=[name for name in PRESETS if name != "quick"], default="default")
    add("--arms", nargs="+", default=[], metavar="ARM", help=", ".join(ARMS))
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the glyphs")
    add("--data-seed", type=int, default=0, help="first seed of the glyphs' split (default 0)")
    size = parser.add_argument_group("training")
    size.add_argument("--steps", type=int, help="optimiser steps of every arm")
    size.add_argument("--batch", type=int, help="target sequences per step")
    size.add_argument("--ratio", type=float, help="auxiliary sequences per target sequence")
    size.add_argument("--loss-weight", type=float, help="of each auxiliary")
    size.add_argument(
        "--first", nargs="+", metavar="NAME", help="curriculum: these modalities train alone first"
    )
    size.add_argument("--first-epochs", type=int, default=0, help="for so many passes over the target")
    size.add_argument("--learning-rates", type=float, nargs="+", help="grid")
    size.add_argument("--widths", type=int, nargs="+", help="grid")
    size.add_argument("--layers", type=int)
    size.add_argument("--heads", type=int)
    size.add_argument("--positions", choices=["none", "sinusoid", "learned"])
    size.add_argument("--precision", choices=["auto", "float32", "bfloat16", "float16"])
    size.add_argument("--micro-batch", type=int, help="sequences in memory at a time")
    disk = parser.add_argument_group("data on disk")
    disk.add_argument("--multibench", metavar="NAME", help=", ".join(MULTIBENCH))
    disk.add_argument("--data", type=Path, default=Path("data"), metavar="ROOT", help="folder of data sets")
    disk.add_argument("--label-rule", help="nonnegative, positive, nonzero or one")
    disk.add_argument(
        "--mimic-task", type=int, default=7, help="-1 for mortality, 0 to 19 for a group of codes"
    )
    disk.add_argument("--target", metavar="NAME", help="modality of MultiBench to learn about")
    disk.add_argument("--auxiliaries", nargs="+", metavar="NAME", help="which may help")
    disk.add_argument("--raw", action="store_true", help="do not standardise features")
    disk.add_argument("--target-features", type=Path, metavar="FILE", help="token-level features with labels")
    disk.add_argument("--aux-features", type=Path, nargs="+", metavar="FILE", help="of the auxiliaries")
    return parser


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    with command_line(_parser(), arguments) as options:
        preset = _preset(options)
        mixed_precision(preset.precision, torch.device(options.device))
        plan = Plan(_tasks(options, preset.seeds), preset, tuple(options.arms))
    cells = Cells(options.runs / f"{NAME}.jsonl")
    todo = cells.missing(plan.cells())
    task = plan.tasks[0]
    learned = ", ".join(
        f"{k} {len(data):,} of {data.modality}" for k, data in arm_data("uml", task, 0).items()
    )
    print(f"{task.name}: {learned}; {len(plan.cells())} cells, {len(todo)} to compute", flush=True)
    compute(plan, todo, cells, options.device, options.runs / NAME)
    rows = _rows(plan, cells)
    percent = rows.assign(accuracy=100 * rows["accuracy"])
    differences = _differences(plan, percent)
    summary = _summary(plan, cells, percent, differences)
    name = f"{NAME}_{task.name}{own_suffix(options)}"
    _draw(summary, percent, differences, options.out / f"{name}.png")
    return write_report(
        Report(summary | {"findings": records(_findings(summary))}, _markdown(summary), rows),
        options,
        name,
        config={"preset": preset, "arms": list(plan.arms)},
        keys=plan.cells(),
        store=cells,
        computed=len(todo),
        task_fingerprints=[task.fingerprint for task in plan.tasks],
    )


if __name__ == "__main__":
    run_study(main)
