"""Does unpaired text still help when all labelled pictures are there? (Gupta et al. 2025, Tables 6-14, 20, 21, 28, 29).

    python studies/full_data.py                         glyphs: linear probe, fine-tuning, batch ratio, text encoder unfrozen
    python studies/full_data.py --quick                 the same, much smaller
    python studies/full_data.py --parts linear --dataset concepts
    python studies/full_data.py --parts linear --dataset oxford_pets --data ROOT --vision dinov2-s14 --text openllama-3b --device cuda
    python studies/full_data.py --parts finetune ratio --dataset oxford_pets --data ROOT --vision dinov2-s14 --text openllama-3b --device cuda
    python studies/full_data.py --parts finetune --ratios 0.25 0.5 2 4 --steps 2000 --seeds 8 --device cuda

Three parts, all on the whole training pool:

    linear      frozen encoders, a linear head (Tables 10-14, 21)
    finetune    the picture encoder is trained together with the head (Tables 6-9, 20); with the text encoder frozen, and
                with a trained layer behind it that starts as the identity (Table 29; the word encoder of the glyphs ends
                in a linear map, so this is its last layer unfrozen within its row space; for other text encoders it is
                a stand-in for an unfrozen one)
    ratio       fine-tuning with r text rows per picture in every step (Table 28). The paper alternates batches, r of text
                to one of pictures; here both losses are means in one step, so that r changes how many texts are seen, not
                how much they weigh

Of a data set on disk the pretrained encoder --vision is fine-tuned, in single precision, on images that are prepared once
and kept below --runs (150 kB each); arms choose a learning rate from 1e-5 and the paper's 5e-5, schedule as in the paper
but 2,000 steps at most. --preset paper takes the paper's numbers alone. Where memory is short, lower --batch-size.

The control is the matched unimodal arm; permuted labels show what text of the wrong classes does. All repetitions share
the pool: intervals tell initial weights and order of rows, not the choice of pictures. Published numbers stand beside
ours for the paper's data sets and encoders only.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.data.task import Task
from neural.encoders import encoder
from neural.heads.runs import Schedule
from studies import harness
from studies.full_data_cells import FineTuning, fine_tune, glyph_fine_tuning
from studies.full_data_figure import draw
from studies.full_data_plan import PARTS, FullDataPlan
from studies.full_data_report import as_markdown, csv_rows, summarise, table_rows
from studies.full_data_sources import (
    PAPER_BATCH,
    PAPER_RATE,
    image_files,
    image_fine_tuning,
    tuning_differences,
)
from studies.head_cells import compute
from studies.head_presets import PRESETS, differences, resized
from studies.outputs import Report, write_report
from studies.task_options import add_task_options, chosen_preset, label_of, task_of
from studies.task_sources import SOURCES

__all__ = ["main"]

NAME = "full_data"
SEEDS = 4  # of fine-tuning and the linear probe by default
STEPS, QUICK_STEPS = 300, 30  # of fine-tuning on glyphs
DISK_STEPS = 2000  # and on images on disk
RATES, DISK_RATES = (3e-3,), (1e-5, PAPER_RATE)
RATIOS, QUICK_RATIOS = (0.25, 4.0), (4.0,)


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
    _add_options(parser)
    options = parser.parse_args(arguments)
    with harness.usage_errors(parser):
        harness.check_device(options.device)
        plan = _plan(options)
    cells = harness.Cells(options.runs / f"{NAME}.jsonl")
    print(
        f"{plan.task.name}: {len(plan.head_cells())} linear probes, {len(plan.tuned_cells())} fine-tunings",
        flush=True,
    )
    computed = compute(plan.head_cells(), cells, options.device)
    computed += fine_tune(plan.tuned_cells(), cells, options.device)
    summary = summarise(plan, cells) | {"differs_from_paper": differences(plan.preset)}
    if plan.tuning is not None and _on_disk(options):
        summary["tuning_differs_from_paper"] = tuning_differences(plan.tuning, plan.preset.seeds)
    name = f"{NAME}_{label_of(options, plan.task)}"
    draw(summary, options.out / f"{name}.png")
    tuning = None if plan.tuning is None else plan.tuning.key
    return write_report(
        Report(summary, as_markdown(summary), csv_rows(plan, cells), table_rows(summary)),
        options,
        name,
        config={"preset": plan.preset, "parts": list(plan.parts), "fine-tuning": tuning},
        began=began,
        keys=[*(cell.key for cell in plan.head_cells()), *(cell.key for cell in plan.tuned_cells())],
        store=cells,
        computed=computed,
        task_fingerprint=plan.task.fingerprint,
    )


def _add_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=None, help="default all for glyphs, else linear")
    add("--steps", type=int, default=None, help=f"of a fine-tuning (default {STEPS}; {DISK_STEPS} on disk)")
    add(
        "--learning-rates",
        nargs="+",
        type=float,
        default=None,
        help="of fine-tuning (default 3e-3; 1e-5 5e-5)",
    )
    add("--batch-size", type=int, default=PAPER_BATCH, help="pictures per step of fine-tuning (default 64)")
    add("--ratios", nargs="+", type=float, default=None, help="text rows per picture (default 0.25 4, and 1)")


def _plan(options: Namespace) -> FullDataPlan:
    if options.shots:
        raise ValueError("--shots: this study trains on the whole pool; image_text_fewshot.py has few shots")
    preset = resized(chosen_preset(options), seeds=options.seeds, shots=[None])
    if options.seeds is None and options.preset is None and not options.quick:
        preset = replace(preset, seeds=SEEDS)
    glyphs = options.dataset == "glyphs" and options.target_features is None
    parts = tuple(options.parts or (PARTS if glyphs else ("linear",)))
    tuned = set(parts) != {"linear"}
    if tuned and options.normalise:
        raise ValueError("--normalise: has no meaning for pictures; leave it out, or choose --parts linear")
    task: Task = task_of(options, preset)
    tuning = _tuning(options, task) if tuned else None
    ratios = options.ratios or (QUICK_RATIOS if options.quick else RATIOS)
    return FullDataPlan(task, preset, parts, tuning, tuple(ratios))


def _on_disk(options: Namespace) -> bool:
    """Whether the task is made of images on disk."""
    return options.target_features is None and options.dataset not in SOURCES


def _tuning(options: Namespace, task: Task) -> FineTuning:
    schedule, cache = _schedule(options), options.runs / "cache"
    if _on_disk(options):
        rates = options.learning_rates or ((PAPER_RATE,) if options.preset == "paper" else DISK_RATES)
        images = image_files(options.dataset, options.data, seed=options.data_seed)
        vision = encoder(options.vision, modality="image", batch_size=options.encoder_batch)
        return image_fine_tuning(
            task, images, vision, schedule, rates, options.batch_size, cache=cache / "pixels"
        )
    with harness.one_torch_thread():
        return glyph_fine_tuning(
            task, schedule, options.learning_rates or RATES, options.batch_size, cache=cache
        )


def _schedule(options: Namespace) -> Schedule:
    """Of a fine-tuning."""
    paper, looks = PRESETS["paper"].schedule, 1 if options.quick else 3
    usual = STEPS
    if _on_disk(options):
        usual = paper.iterations if options.preset == "paper" else DISK_STEPS
    steps = options.steps if options.steps is not None else QUICK_STEPS if options.quick else usual
    warmup, between = max(steps // 10, 1), max(steps // looks, 1)
    if not _on_disk(options):
        return Schedule(steps, warmup, between, None)
    return Schedule(steps, min(paper.warmup, warmup), min(paper.eval_every, between), paper.patience)


if __name__ == "__main__":
    main()
