"""Do the weights of a language model help a picture classifier, as in Gupta et al. 2025, Figure 7 and section B.4.4?

    python studies/language_to_vision.py                       a small BERT, characters' descriptions, characters' pictures
    python studies/language_to_vision.py --quick               fewer classes, steps and seeds
    python studies/language_to_vision.py --preset paper --language bert-large --images FOLDER --device cuda
    python studies/language_to_vision.py --language openai-community/gpt2 --images LIST.csv --accumulate 8 --device cuda

Patch embeddings, class token, positions and a two-layer head are new; the layers between them come from a language
model, with full attention. Arms: layers frozen, or unfrozen after some steps (2,000 in the paper, --unfreeze-at), with

    pretrained          the language model's weights
    scratch             the usual random start
    shuffled            the same weights, the entries of every tensor permuted: statistics kept, structure gone
    gaussian            every tensor drawn from a normal law of its own mean and standard deviation

and "scratch": random start, all trained from step 0. (The paper does not say whether "from scratch" in its frozen panel
is frozen itself; both are here, verdicts go by the one that is trained.) All arms of a repetition share pictures, order
of rows, dropout, start of patch embedding and head, steps and learning rates; the rate is chosen by validation.

Only what beats shuffled and Gaussian layers too owes it to what was learned from text; what beats scratch alone may owe
it to well-scaled weights. Without --language a small BERT is pretrained here by masked language modelling (minutes,
once; it is kept in the cache); there every repetition has classes and pictures of its own, but one and the same BERT.

Writes .png, .csv (one row per cell and step mark) and .json; a killed run resumes, within a training too.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.datasets import open_dataset
from neural.results.cells import Cells
from neural.results.contrasts import by_key, contrast, means, paired
from neural.results.figures import arm_style, draw_means, figure_style, save_figure, zero_line
from neural.results.intervals import Interval
from neural.results.parallel import one_torch_thread, progress_bar
from neural.results.table import table
from neural.results.text import direction, gain_text, markdown_table
from neural.store.checkpoints import DivergedError
from neural.transfer.initialisations import INITIALISATIONS
from neural.transfer.masked_language import BertSettings, small_bert
from neural.transfer.pictures import PictureTask, file_task, glyph_task
from neural.transfer.stack import LanguageStack, find_language, load_stack
from studies.lab.finding import NOT_PRINTED, Evidence, Finding, overall, points, records, word
from studies.lab.options import command_line, command_parser, run_study
from studies.lab.outputs import Report, write_report
from studies.lab.transfer import ARMS, MODES, PRESETS, Plan, Preset, arm_label, compute

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["main", "verdict"]

NAME = "language_to_vision"
QUICK_BERT_STEPS = 600


# ---------------------------------------------------------------- what is reported


def _rows(plan: Plan, cells: Cells) -> pd.DataFrame:
    """One row per finished cell and evaluation step."""
    looks = plan.preset.schedule.looks
    return table(
        {
            "arm": cell["arm"],
            "initialisation": INITIALISATIONS[ARMS[cell["arm"]][0]],
            "mode": ARMS[cell["arm"]][1],
            "seed": cell["seed"],
            "learning_rate": cell["schedule"]["learning_rate"],
            "step": step,
            "val_accuracy": val,
            "test_accuracy": test,
            "seconds": result["seconds"],
        }
        for cell in plan.cells()
        for result in [cells.get(cell)]
        for step, val, test in zip(looks, result["val"], result["test"], strict=True)
    )


def _chosen(rows: pd.DataFrame) -> pd.DataFrame:
    """Of every repetition of an arm the learning rate that validates best at the end; accuracy in percent."""
    rows = rows.drop_duplicates(["arm", "seed", "learning_rate", "step"])
    last = rows[rows["step"] == rows["step"].max()]
    best = last.loc[last.groupby(["arm", "seed"])["val_accuracy"].idxmax(), ["arm", "seed", "learning_rate"]]
    return rows.merge(best).assign(accuracy=lambda chosen: 100 * chosen["test_accuracy"])


def _controls(arms: Sequence[str]) -> dict[str, list[str]]:
    """{pretrained arm: what it is held against}, training from scratch first."""
    claims = [arm for arm in arms if ARMS[arm][0] == "pretrained"]
    alike = {c: [arm for arm in arms if ARMS[arm][1] == ARMS[c][1] and arm != c] for c in claims}
    return {claim: ["scratch", *others] for claim, others in alike.items()}


def _summary(plan: Plan, chosen: pd.DataFrame) -> dict[str, Any]:
    """Everything that is reported: "end" is after the last step, "mean" that over all steps, which rewards learning fast."""
    looks, arms = plan.preset.schedule.looks, plan.arms
    end = looks[-1]
    average = chosen.groupby(["arm", "seed"], as_index=False).agg(
        step=("step", "max"), accuracy=("accuracy", lambda values: values.to_numpy().mean())
    )
    curves = by_key(means(chosen, ["arm", "step"]), "arm", "step")
    averages = by_key(means(average, ["arm"]), "arm")
    rates = chosen[chosen["step"] == end].sort_values("seed").groupby("arm")["learning_rate"].agg(list)
    differences, verdicts = [], []
    for claim, controls in _controls(arms).items():
        gains = {c: by_key(contrast(chosen, claim, c, ["step"]), "step") for c in controls}
        for control, gain in gains.items():
            over_all = by_key(contrast(average, claim, control, ["step"]), "step")
            differences.append({
                "arm": claim,
                "control": control,
                "curve": [gain[step] for step in looks],
                "end": gain[end],
                "mean": over_all[end],
            })
        verdicts.append(verdict(ARMS[claim][1], {control: gain[end] for control, gain in gains.items()}))
    return {
        "task": plan.task(0).name,
        "seeds": plan.preset.seeds,
        "looks": list(looks),
        "unfreeze_at": plan.preset.schedule.unfreeze_at,
        "arms": {arm: arm_label(arm) for arm in arms},
        "curves": {arm: [curves[arm, step] for step in looks] for arm in arms},
        "end": {arm: curves[arm, end] for arm in arms},
        "mean": {arm: averages[arm] for arm in arms},
        "learning_rates": {arm: rates[arm] for arm in arms},
        "differences": differences,
        "verdicts": verdicts,
    }


def verdict(mode: str, differences: Mapping[str, Interval]) -> str:
    """In one line: does the pretrained network beat scratch, and the controls that keep only its scale?

    Args:
        mode: one of `MODES`.
        differences: accuracy of the pretrained arm minus that of each control, in points, after the last step.

    Returns:
        The line.

    Example:
        >>> up, none = Interval(5, 4, 6, 8), Interval(0, -1, 1, 8)
        >>> verdict("frozen", {"scratch": up, "shuffled_frozen": none})
        'layers frozen: pretrained beats training from scratch (+5.0 [+4.0, +6.0] points), but shows no detectable difference from shuffled (+0.0 [-1.0, +1.0]): the claim holds, but these controls do not show that it is more than the scale of the weights'
    """
    scratch = differences["scratch"]
    names = {"scratch": "training from scratch", f"scratch_{mode}": "random layers treated alike"}
    told, first = "", ""
    for control, gain in differences.items():
        verb = direction(gain, up="beats", down="loses to", unclear="shows no detectable difference from")
        if told:
            told += ", " if verb == first else ", but "
        name = names.get(control, ARMS[control][0])
        told += f"{verb} {name} ({gain_text(gain)}{'' if told else ' points'})"
        first = first or verb
    likenesses = [differences[c] for c in differences if ARMS[c][0] in {"shuffled", "gaussian"}]
    if scratch.high < 0:
        end = "the claim does not hold here"
    elif scratch.low <= 0:
        end = "the claim is undecided here"
    elif not likenesses:
        end = "the claim holds, without controls of scale"
    elif all(gain.low > 0 for gain in likenesses):
        end = "the claim holds, and by more than the scale of the weights"
    else:
        end = "the claim holds, but these controls do not show that it is more than the scale of the weights"
    return f"{MODES[mode]}: pretrained {told}: {end}"


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """Figure 7 holds where pretrained layers beat all others: random, shuffled, and Gaussian ones of their scale."""
    gains = {
        f"{_plain(d['arm'])} minus {_plain(d['control'])}": vars(d["end"]) for d in summary["differences"]
    }
    ours = "; ".join(f"{what} {points(gain)}" for what, gain in gains.items())
    evidence = tuple(
        Evidence(what, gain["estimate"], gain["low"], gain["high"], word(gain))
        for what, gain in gains.items()
    )
    came_to, said = overall([e.verdict for e in evidence]), ". ".join(summary["verdicts"])
    return {("Figure", 7): Finding(ours, f"curves, {NOT_PRINTED}", came_to, said, evidence)}


def _plain(arm: str) -> str:
    how, mode = ARMS[arm]
    return how if mode == "full" else f"{how} ({mode})"


def _markdown(summary: Mapping[str, Any]) -> str:
    """Table and verdicts."""
    gains = {(d["arm"], d["control"]): d["end"] for d in summary["differences"]}
    rows = []
    for arm, label in summary["arms"].items():
        gain = gains.get((f"pretrained_{ARMS[arm][1]}", arm))
        end, mean = summary["end"][arm], summary["mean"][arm]
        rows.append([
            label,
            f"{end.estimate:.1f} [{end.low:.1f}, {end.high:.1f}]",
            f"{mean.estimate:.1f}",
            gain_text(gain) if gain else "",
        ])
    header = ["initialisation; training", "accuracy at the end", "mean over steps", "pretrained minus this"]
    parts = [
        f"## {summary['task']}: {summary['seeds']} paired repetitions, {summary['looks'][-1]:,} steps",
        (
            "Test accuracy in percent with its 95% interval, and the paired difference in points of the pretrained arm of "
            "the same mode."
        ),
        markdown_table(header, rows),
        "\n".join(f"- {line}" for line in summary["verdicts"]),
    ]
    return "\n\n".join(parts) + "\n"


# ---------------------------------------------------------------- figure

_LABELS = {
    "pretrained": "pretrained on text",
    "scratch": "random, treated alike",
    "shuffled": "pretrained, entries shuffled",
    "gaussian": "Gaussian of the same scale",
}


def _draw(summary: Mapping[str, Any], chosen: pd.DataFrame, path: Path, title: str) -> None:
    """Accuracy against steps, and paired differences, a column for each way of training the layers."""
    import matplotlib.pyplot as plt

    claims = dict(reversed(_controls(list(summary["arms"])).items()))  # unfrozen first, as in the paper
    unfreeze_at = summary["unfreeze_at"]
    with figure_style():
        figure, grid = plt.subplots(
            2, len(claims), figsize=(4.9 * len(claims), 7.2), squeeze=False, sharey="row"
        )
        for column, (claim, controls) in enumerate(claims.items()):
            top, bottom = grid[:, column]
            labels = {arm: _LABELS[ARMS[arm][0]] for arm in (claim, *controls[1:])}
            _draw_steps(top, chosen, labels | {"scratch": "from scratch: all trained from step 0"})
            gaps = pd.concat([paired(chosen, claim, c, ["step"]).assign(arm=c) for c in controls])
            _draw_steps(bottom, gaps, {c: f"to {labels.get(c, 'from scratch')}" for c in controls})
            zero_line(bottom)
            bottom.margins(y=0.25)  # for the legend
            how = "layers frozen"
            if ARMS[claim][1] == "unfrozen":
                how = f"layers unfrozen after {unfreeze_at:,} steps"
                for axes in (top, bottom):
                    axes.axvline(unfreeze_at, color="0.5", lw=0.8, ls=":")
            top.set_title(f"({'ab'[column]}) {how}")
            bottom.set_title(f"({'cd'[column]}) pretrained minus control, {how}")
        grid[0, 0].set_ylabel("test accuracy (%)")
        grid[1, 0].set_ylabel("paired difference (points)")
        figure.suptitle(f"{title}; {summary['seeds']} paired repetitions, 95% intervals", fontsize=9.5)
        save_figure(figure, path)


def _draw_steps(axes: "Axes", rows: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """Curves over steps; random layers treated alike look like the matched control that they are."""
    styles = {arm: arm_style("matched" if arm.startswith("scratch_") else arm) for arm in labels}
    draw_means(axes, rows, "step", labels=labels, styles=styles, native_scale=True)
    axes.set(xlabel="optimiser steps", ylabel="")
    axes.legend(loc="best")


# ---------------------------------------------------------------- command line


def _language(
    options: argparse.Namespace, cache: Path
) -> tuple[LanguageStack, dict[str, Any], dict[str, Any]]:
    """Layers, what identifies them, and what to record of them."""
    if options.language is not None:
        checkpoint = find_language(options.language, local_files_only=options.offline)
        stack = load_stack(checkpoint)
        return stack, dict(checkpoint.fingerprint), {"name": options.language, **checkpoint.fingerprint}
    steps = options.bert_steps or (QUICK_BERT_STEPS if options.quick else BertSettings().steps)
    settings = BertSettings(steps=steps)
    with one_torch_thread(), progress_bar(settings.steps, " steps of pretraining") as bar:
        stack, about = small_bert(settings, seed=options.data_seed, cache=cache, progress=bar.update)
    told = {"name": "small BERT", **about, "settings": asdict(settings)}
    return stack, {"small BERT": about["fingerprint"]}, told


def _pictures(options: argparse.Namespace, preset: Preset, cache: Path) -> Callable[[int], PictureTask]:
    """Repetition to pictures; characters are drawn anew for each, files are the same."""
    if options.images is None:
        patch = options.patch or preset.patch
        return lru_cache(maxsize=None)(
            lambda seed: glyph_task(preset.glyphs, patch=patch, seed=options.data_seed + seed, cache=cache)
        )
    dataset = open_dataset(options.images, seed=options.data_seed)
    task = file_task(dataset, side=options.side, patch=options.patch or 16, look_at=preset.look_at)
    return lambda seed: task


def _preset(options: argparse.Namespace) -> Preset:
    """The chosen preset with what the command line changes."""
    preset = PRESETS["quick" if options.quick else options.preset]
    names = ("steps", "batch", "unfreeze_at", "accumulate", "precision", "look_every", "save_every")
    changes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return replace(
        preset,
        schedule=replace(preset.schedule, **changes),
        seeds=preset.seeds if options.seeds is None else options.seeds,
        learning_rates=tuple(options.learning_rates or preset.learning_rates),
    )


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__, seeds=PRESETS["default"].seeds, device=True)
    add = parser.add_argument
    add("--preset", choices=[name for name in PRESETS if name != "quick"], default="default")
    add("--language", metavar="MODEL", help="bert-large, hub name, or folder of save_pretrained")
    add("--offline", action="store_true", help="use the local hub cache and no network")
    add("--images", metavar="PATH", help="folder of class folders, or a list (.csv, .json)")
    add("--side", type=int, default=224, help="pixels of an image's sides (default 224)")
    add("--patch", type=int, help="pixels of a patch's sides (default 16; characters 8)")
    add("--arms", nargs="+", default=[], metavar="ARM", help=", ".join(ARMS))
    add("--data-seed", type=int, default=0, help="seed of BERT, classes, pictures, splits (default 0)")
    add("--bert-steps", type=int, help=f"pretraining of the small BERT (default {BertSettings().steps:,})")
    trained = parser.add_argument_group("training; the preset's unless given")
    trained.add_argument("--steps", type=int, help="optimiser steps")
    trained.add_argument("--unfreeze-at", type=int, help="steps before the layers are trained too")
    trained.add_argument("--batch", type=int, help="pictures per step")
    trained.add_argument("--accumulate", type=int, help="parts of a batch, one after the other")
    trained.add_argument("--precision", help="float32, bfloat16 or float16")
    trained.add_argument(
        "--learning-rates", type=float, nargs="+", help="each arm takes the best by validation"
    )
    trained.add_argument("--look-every", type=int, help="steps between measurements")
    trained.add_argument("--save-every", type=int, help="steps between checkpoints")
    return parser


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    parser = _parser()
    with command_line(parser, arguments) as options:
        cache = options.runs / "cache"
        preset = _preset(options)
        pictures = _pictures(options, preset, cache)
        stack, key, about = _language(options, cache)
        plan = Plan(key, pictures, preset, tuple(options.arms))
        todo_all = plan.cells()
    prepared = time.perf_counter() - options.began
    cells = Cells(options.runs / f"{NAME}.jsonl")
    todo = cells.missing(todo_all)
    task = plan.task(0)
    name = f"{NAME}_{task.name}"
    print(
        f"{about['name']} ({stack.kind}, {stack.depth} layers, width {stack.width}) on {task.name}: {task.n_classes} "
        f"classes, {len(task.train):,} pictures of {task.settings.count} patches to learn from; "
        f"{len(todo_all)} trainings of {preset.schedule.steps:,} steps, {len(todo)} to do",
        flush=True,
    )
    try:
        compute(plan, todo, stack, cells, options.device, options.runs / NAME)
    except DivergedError as error:
        parser.exit(1, f"{NAME}: {error}\n")
    rows = _rows(plan, cells)
    chosen = _chosen(rows)
    summary = _summary(plan, chosen)
    _draw(
        summary,
        chosen,
        options.out / f"{name}.png",
        f"{about['name']} to {task.name}, {task.n_classes} classes",
    )
    return write_report(
        Report(summary | {"findings": records(_findings(summary))}, _markdown(summary), rows),
        options,
        name,
        config={"preset": preset, "arms": list(plan.arms), "language": about, "pictures": task.about},
        keys=todo_all,
        store=cells,
        computed=len(todo),
        seconds_of_preparation=round(prepared, 1),
    )


if __name__ == "__main__":
    run_study(main)
