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
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.data.task import Task
from studies import harness
from studies.exchange_rate_figure import draw
from studies.exchange_rate_plan import Plan, words_per_text
from studies.exchange_rate_report import Surface, report_of
from studies.head_cells import compute
from studies.head_presets import Preset
from studies.outputs import write_head_report
from studies.task_options import add_task_options, chosen_preset, fitted_preset, label_of, task_of
from studies.task_sources import SOURCES
from studies.text_sweep import lighter

__all__ = ["main"]

NAME = "exchange_rate"
SEEDS = 6


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
    harness.check_device(options.device)
    preset = lighter(chosen_preset(options), options, seeds=SEEDS)
    plans = []
    for task in _tasks(options, preset):
        words = words_per_text(task) if options.words_per_text is None else options.words_per_text
        rows = options.text_rows or ((1, 4, 8) if options.quick else (1, 2, 4, 8))
        if options.text_rows is None and len(task.auxiliaries) == 1:
            (texts,) = task.auxiliaries.values()
            rows = [t for t in rows if t <= texts.counts(len(task.classes)).max()]
        plans.append(
            Plan(task, fitted_preset(options, preset, task), tuple(rows), words, options.logit_scale)
        )
    return plans


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study; see the module's docstring.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    parser = harness.parser(__doc__, seeds=SEEDS, device=True)
    add_task_options(parser)
    add = parser.add_argument
    add("--text-rows", type=int, nargs="+", metavar="T", help="texts per class (default 1 2 4 8)")
    add("--words-per-text", type=float, metavar="W", help="mean number of words of a text")
    add("--pair", nargs="?", const="", metavar="ENCODER", help="also with aligned encoders, and compare")
    add("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    options = parser.parse_args(arguments)
    with harness.usage_errors(parser):
        plans = _plans(options)
    cells = [cell for plan in plans for cell in plan.cells()]
    store = harness.Cells(options.runs / f"{NAME}.jsonl")
    print(f"{plans[0].task.name}: {len(cells)} cells of {cells[0].steps:,} run-steps at most", flush=True)
    computed = compute(cells, store, options.device)
    surfaces = [Surface(plan, store, 200 if options.quick else 1000) for plan in plans]
    name = f"{NAME}_{label_of(options, plans[0].task)}" + ("_pair" if options.pair is not None else "")
    report = report_of(surfaces)
    draw(surfaces, report.summary["surfaces"], options.out / f"{name}.png")
    return write_head_report(
        report,
        options,
        name,
        cells,
        store,
        config={"preset": cells[0].preset, "logit_scale": options.logit_scale},
        began=began,
        computed=computed,
    )


if __name__ == "__main__":
    main()
