"""How many words is an image worth? Accuracy over images x texts per class (Gupta et al. 2025, Figures 8, 9, 14-29).

    python studies/exchange_rate.py                                 glyphs, eight sentences about each character
    python studies/exchange_rate.py --quick                         fewer counts, seeds and steps
    python studies/exchange_rate.py --dataset concepts --pair       unaligned against aligned encoders, simulated
    python studies/exchange_rate.py --dataset oxford_pets --data ROOT --vision dinov2-s14 --text openllama-3b --device cuda
        the same on a data set of the paper; with --pair clip-vit-b16 also with both towers of a CLIP
    python studies/exchange_rate.py --target-features a.npz --aux-features b.npz --words-per-text 11

UML (init) is trained with k images and t texts per class, all pairs of k and t; the texts of a repetition are drawn
anew. Beside it the fair control: the same head, the same images, no text (t = 0); and permuted labels. Then

    plane        accuracy = a + b k + c t, as in the paper: 1 image = b / c texts, everywhere
    power law    accuracy = a - g (k + r t + o)^-p: it saturates, as accuracies do; 1 image = 1 / r texts

are fitted to UML (init) alone (the paper's way), and with the control's rows at t = 0. Words are texts times the mean
number of words of a text. Intervals: bootstrap over repetitions. Whether a plane describes the accuracies at all is
tested (lack of fit): where it does not, its words per image is an average over a bend, and depends on which counts were
measured. --pair asks the paper's second claim: aligned encoders need fewer words per image.

Writes .png, .csv (one row per cell), _table.csv, .md and .json; a killed run resumes.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.fewshot.presets import Preset
from neural.heads.arms import ARMS
from neural.results.figures import draw_means, error_bars, figure_style, place_style, save_figure
from neural.tasks.task import Task
from studies.lab.exchange_report import count_text, report_of
from studies.lab.finding import Evidence, Finding, overall, records
from studies.lab.options import command_line, run_study
from studies.lab.outputs import finished
from studies.lab.task_options import chosen_preset, fitted_preset, label_of, task_of, task_parser
from studies.lab.task_sources import SOURCES
from studies.lab.text_surface import ARM, FITS, PERMUTED, Plan, Surface, surface_rows
from studies.lab.text_sweep import lighter
from studies.published.numbers import published
from studies.published.printed import words_printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["main"]

NAME = "exchange_rate"
SEEDS = 6
_ENDS = ("estimate", "low", "high")


# ---------------------------------------------------------------- figure


# isolines of the plane and of the power law
_LINES: dict[str, dict[str, Any]] = {
    "plane": {"color": "0.45", "linestyle": "--", "linewidth": 1.1},
    "power law": {"color": "0", "linestyle": "-", "linewidth": 1.1},
}


def _draw(surfaces: Sequence[Surface], summaries: Sequence[dict[str, Any]], path: Path) -> None:
    """One row of panels per surface: one, or unaligned and aligned."""
    import matplotlib.pyplot as plt

    with figure_style():
        figure, grid = plt.subplots(len(surfaces), 3, figsize=(13.5, 4.2 * len(surfaces)), squeeze=False)
        letters = iter("abcdef")
        for row, surface, summary in zip(grid, surfaces, summaries, strict=True):
            what = f"{summary['task']}, {summary['encoders']} encoders"
            _isolines(row[0], surface)
            row[0].set_title(f"({next(letters)}) {what}: accuracy (%) and isolines")
            _curves(row[1], surface)
            row[1].set_title(f"({next(letters)}) UML (init) and the control, 95% intervals")
            _prices(row[2], summary)
            row[2].set_title(f"({next(letters)}) What an image is worth, 95% intervals")
        save_figure(figure, path)


def _isolines(axes: "Axes", surface: Surface) -> None:
    from matplotlib.lines import Line2D

    plan = surface.plan
    images = np.array([plan.images(k) for k in plan.shots])
    texts = np.array([plan.texts(t) for t in plan.text_rows])
    mine = surface.rows[surface.rows["arm"].eq(ARM)]
    shown = mine.pivot_table(index="shots", columns="text_rows", values="accuracy")
    heights = shown.loc[[*plan.shots], [*plan.text_rows]].to_numpy()
    levels = np.linspace(heights.min(), heights.max(), 6)[1:-1]
    if np.ptp(heights) > 0:
        axes.contourf(texts, images, heights, levels=12, cmap="Greys_r", alpha=0.35, vmin=heights.min() - 20)
    for x, line in zip(images, heights, strict=True):
        for y, value in zip(texts, line, strict=True):
            axes.plot(y, x, ".", color="black", markersize=3)
            axes.annotate(f"{value:.1f}", (y, x), (3, 3), textcoords="offset points", fontsize=7)
    fine = np.geomspace(texts.min(), texts.max(), 200)
    handles = []
    for name, style in _LINES.items():
        fitted = surface.fits[name, False].surface
        for level in levels:
            line = np.asarray(fitted.isoline(float(level), fine), dtype=np.float64)
            within = (line > 0.5 * images.min()) & (line < 1.15 * images.max())  # above is the legend
            shown = np.where(within, line, np.nan)
            axes.plot(fine, shown, **style)
        handles.append(Line2D([], [], label=f"isolines of the {name}", **style))
    axes.set(xscale="log", yscale="log", ylim=(0.8 * images.min(), 2 * images.max()))
    axes.set(xlim=(0.9 * texts.min(), 1.25 * texts.max()))
    axes.set_xticks(texts, [f"{t:.3g}" for t in texts], minor=False)
    axes.set_yticks(images, [f"{k:.3g}" for k in images], minor=False)
    axes.minorticks_off()
    axes.set(xlabel=f"{plan.auxiliary} rows per class", ylabel=f"{plan.task.target} rows per class")
    title = f"levels: {', '.join(f'{level:.1f}' for level in levels)} %"
    axes.legend(handles=handles, loc="upper left", ncols=2, title=title, title_fontsize=7.5)


def _curves(axes: "Axes", surface: Surface) -> None:
    plan, most = surface.plan, surface.plan.text_rows[-1]
    labels = {f"{plan.control} 0": f"{ARMS[plan.control].label}, no text"}
    labels |= {f"{ARM} {t}": f"UML (init), {t} per class" for t in plan.text_rows}
    labels[f"{PERMUTED} {most}"] = f"permuted, {most} per class"
    rows = surface.rows.astype({"shots": str, "text_rows": str})
    draw_means(
        axes,
        rows.assign(curve=rows["arm"] + " " + rows["text_rows"]),
        "shots",
        hue="curve",
        labels=labels,
        styles={curve: place_style(i) for i, curve in enumerate(labels)},
        order=[str(k) for k in plan.shots],
    )
    test = next(iter(plan.task.tests))
    axes.set(xlabel=f"{plan.task.target} rows per class", ylabel=f"accuracy on {test!r} (%)")
    axes.legend(loc="best")


def _prices(axes: "Axes", summary: dict[str, Any]) -> None:
    unit = "words" if summary["words_per_text"] is not None else "texts"
    labels, shown = [], []
    for i, entry in enumerate(summary["fits"]):
        price = entry[f"{unit}_per_image"]
        rejected = entry["lack_of_fit"]["p"] < 0.05
        labels.append(
            entry["fit"].replace(", without the control", "").replace(", with the", ",\nwith")
            + ("\n(lack of fit)" if rejected else "")
        )
        if price["estimate"] is None or price["estimate"] <= 0:
            axes.annotate("∞", (i, 0.5), xycoords=("data", "axes fraction"), ha="center", fontsize=14)
            continue
        low, high = (price[end] or price["estimate"] for end in ("low", "high"))
        bars = error_bars([price["estimate"]], [low], [high])
        style = place_style(i) | {"linestyle": "none"}
        axes.errorbar([i], [price["estimate"]], bars, capsize=4, **style)
        if price["high"] is None:  # no upper end: texts may be worth nothing
            axes.annotate("", (i, 0.98), (i, 0.85), xycoords=("data", "axes fraction"),
                          textcoords=("data", "axes fraction"), arrowprops={"arrowstyle": "->"})  # fmt: skip
        shown += [price["estimate"], low, high]
    stated = summary["published_words_per_image"]
    if stated is not None and unit == "words":
        axes.axhline(stated, color="0.3", linestyle=":", label=f"paper's plane: {stated:.0f} words")
        axes.legend(loc="best")
        shown.append(stated)
    if shown:
        axes.set(yscale="log", ylim=(min(v for v in shown if v > 0) / 2, 2 * max(shown)))
    axes.set_xticks(range(len(labels)), labels)
    axes.set(xlim=(-0.6, len(labels) - 0.4), ylabel=f"{unit} per image (arrow: no upper end)")


# ---------------------------------------------------------------- findings


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """Aligned encoders: do they need fewer texts per image? Others: is a rate there, and does a plane describe it?"""
    surface = summary["surfaces"][-1]  # of a pair, the aligned one
    fits = {fit["fit"]: fit for fit in surface["fits"]}
    plane, power = (fits[f"{name}, without the control"] for name in FITS)
    ours = f"plane: {_rate_text(plane)}; power law: {_rate_text(power)}; with the control's rows, plane: "
    ours += _rate_text(fits["plane, with the control"])
    evidence, misfit = [], plane["lack_of_fit"]
    if "aligned_against_unaligned" in summary:
        claim = "aligned encoders need fewer texts per image"
        for entry in summary["aligned_against_unaligned"]:
            gap, word = entry["difference_of_rates"], entry["claim"].removeprefix("is ")
            what = f"{entry['fit']}, aligned minus unaligned"
            evidence.append(Evidence(what, gap.estimate, gap.low, gap.high, word, "images per text"))
        verdicts = [one.verdict for one in evidence]
        verdict = overall(verdicts)
    else:
        claim, verdicts = "text is worth something", []
        for fit in (plane, power):
            estimate, low, high = ends = [fit["images_per_text"][end] for end in _ENDS]
            verdicts.append("holds" if low is not None and low > 0 else "undecided")
            if None not in ends:  # an open end is no number
                evidence.append(Evidence(fit["fit"], estimate, low, high, verdicts[-1], "images per text"))
        verdict = "undecided" if "undecided" in verdicts else "holds"
        if verdict == "holds" and misfit["p"] < 0.01:  # the law that gives the rate does not fit
            verdict = "in part"
    text = f"{claim}: holds in {verdicts.count('holds')} of {len(verdicts)} fits. {misfit['verdict']}"
    return {
        ("Figure", number): Finding(ours, words_printed(number), verdict, text, tuple(evidence))
        for number in _figures(surface)
    }


def _figures(surface: Mapping[str, Any]) -> list[int]:
    """Figures of the paper about this data set; of another, those with encoders that are aligned, or not, as ours."""
    printed = published("figures")
    own = printed["dataset"].eq(surface["task"])
    alike = printed["vision"].eq(printed["text"]).eq(surface["encoders"] == "aligned")
    return [int(number) for number in printed[own if own.any() else alike]["figure"]]


def _rate_text(fit: Mapping[str, Any]) -> str:
    unit = "words" if "words_per_image" in fit else "texts"
    estimate, low, high = (fit[f"{unit}_per_image"][end] for end in _ENDS)
    if estimate is None:
        return "text has no measurable worth"
    return f"1 image = {count_text(estimate)} {unit} [{count_text(low, 'no limit')}, {count_text(high, 'no limit')}]"


# ---------------------------------------------------------------- command


def _changed(options: argparse.Namespace, **changes: object) -> argparse.Namespace:
    return argparse.Namespace(**(vars(options) | changes))


def _tasks(options: argparse.Namespace, preset: Preset) -> list[Task]:
    """The task, or a pair that differs in whether the encoders share a space: unaligned first."""
    if options.pair is None:
        return [task_of(options, preset)]
    if options.target_features is not None or (options.dataset in SOURCES and options.dataset != "concepts"):
        raise ValueError(
            "--pair: concepts have an aligned counterpart, and so does a data set on disk with --pair ENCODER (a CLIP); "
            "for your own embeddings run the study twice"
        )
    if options.dataset == "concepts":
        given = [text for text in options.set if not text.startswith("aligned=")]
        if not any(text.startswith("dims=") for text in given):
            given.append("dims=96")  # the spaces of a pair are equally large
        return [
            task_of(_changed(options, set=[*given, f"aligned={value}"]), preset) for value in (False, True)
        ]
    if not options.pair:
        raise ValueError("--pair: name the encoder of both modalities, e.g. --pair clip-vit-b16")
    clip = _changed(options, vision=options.pair, text=options.pair)
    return [task_of(options, preset), task_of(clip, preset)]


def _plans(options: argparse.Namespace) -> list[Plan]:
    preset = lighter(chosen_preset(options), options, seeds=SEEDS)
    plans = []
    for task in _tasks(options, preset):
        words = task.words_per_text if options.words_per_text is None else options.words_per_text
        rows = options.text_rows or ((1, 4, 8) if options.quick else (1, 2, 4, 8))
        if options.text_rows is None and len(task.auxiliaries) == 1:
            (texts,) = task.auxiliaries.values()
            rows = [t for t in rows if t <= texts.counts(len(task.classes)).max()]
        plans.append(
            Plan(task, fitted_preset(options, preset, task), tuple(rows), words, options.logit_scale)
        )
    return plans


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    parser = task_parser(__doc__, seeds=SEEDS)
    add = parser.add_argument
    add("--text-rows", type=int, nargs="+", metavar="T", help="texts per class (default 1 2 4 8)")
    add("--words-per-text", type=float, metavar="W", help="mean number of words of a text")
    add("--pair", nargs="?", const="", metavar="ENCODER", help="also with aligned encoders, and compare")
    add("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    with command_line(parser, arguments) as options:
        plans = _plans(options)
    cells = [cell for plan in plans for cell in plan.cells()]
    print(f"{plans[0].task.name}: {len(cells)} cells of {cells[0].steps:,} run-steps at most", flush=True)
    run = finished(cells, options, f"{NAME}.jsonl")
    replicates = 200 if options.quick else 1000
    surfaces = [Surface(plan, surface_rows(plan, run.store), replicates) for plan in plans]
    name = f"{NAME}_{label_of(options, plans[0].task)}" + ("_pair" if options.pair is not None else "")
    report = report_of(surfaces)
    _draw(surfaces, report.summary["surfaces"], options.out / f"{name}.png")
    report.summary["findings"] = records(_findings(report.summary))
    return run.write(report, name, {"preset": cells[0].preset, "logit_scale": options.logit_scale})


if __name__ == "__main__":
    run_study(main)
