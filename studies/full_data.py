"""Does unpaired text still help when all labelled pictures are there? (Gupta et al. 2025, Tables 6-14, 20, 21, 28, 29).

    python studies/full_data.py                         glyphs: linear probe, fine-tuning, batch ratio, text encoder unfrozen
    python studies/full_data.py --quick                 the same, much smaller
    python studies/full_data.py --parts linear --dataset concepts
    python studies/full_data.py --parts linear --dataset oxford_pets --data ROOT --vision dinov2-s14 --text openllama-3b --device cuda
    python studies/full_data.py --parts finetune --ratios 0.25 0.5 2 4 --steps 2000 --seeds 8 --device cuda

Three parts, all on the whole training pool:

    linear      frozen encoders, a linear head (Tables 10-14, 21)
    finetune    the picture encoder is trained together with the head (Tables 6-9, 20); with the text encoder frozen, and
                with a trained layer behind it that starts as the identity (Table 29; the word encoder ends in a linear map,
                so this is its last layer unfrozen within its row space)
    ratio       fine-tuning with r text rows per picture in every step (Table 28). The paper alternates batches, r of text
                to one of pictures; here both losses are means in one step, so that r changes how many texts are seen, not
                how much they weigh

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

from fisherkit.checks import UnknownNameError
from neural.data.task import Task
from neural.heads.runs import Schedule
from studies import harness
from studies.full_data_cells import fine_tune, glyph_fine_tuning
from studies.full_data_figure import draw
from studies.full_data_plan import PARTS, FullDataPlan
from studies.full_data_report import as_markdown, csv_rows, summarise, table_rows
from studies.head_cells import compute
from studies.head_presets import differences, resized
from studies.task_options import add_task_options, chosen_preset, label_of, task_of

__all__ = ["main"]

NAME = "full_data"
SEEDS = 4  # of fine-tuning and the linear probe by default
STEPS, QUICK_STEPS = 300, 30  # of fine-tuning
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
    try:
        harness.check_device(options.device)
        plan = _plan(options)
    except (ValueError, UnknownNameError, OSError) as error:
        parser.error(str(error))
    cells = harness.Cells(options.runs / f"{NAME}.jsonl")
    print(
        f"{plan.task.name}: {len(plan.head_cells())} linear probes, {len(plan.tuned_cells())} fine-tunings",
        flush=True,
    )
    computed = compute(plan.head_cells(), cells, options.device)
    computed += fine_tune(plan.tuned_cells(), cells, options.device)
    summary = summarise(plan, cells) | {"differs_from_paper": differences(plan.preset)}
    text = as_markdown(summary)
    print(text)
    name = f"{NAME}_{label_of(options, plan.task)}"
    draw(summary, options.out / f"{name}.png")
    harness.write_csv(options.out / f"{name}.csv", csv_rows(plan, cells))
    harness.write_csv(options.out / f"{name}_table.csv", table_rows(summary))
    harness.write_atomic(options.out / f"{name}.md", text.encode())
    seconds = time.perf_counter() - began
    tuning = None if plan.tuning is None else plan.tuning.key
    summary["provenance"] = harness.provenance(
        config={"preset": plan.preset, "parts": list(plan.parts), "fine-tuning": tuning},
        seconds=seconds,
        device=options.device,
    ) | {"task_fingerprint": plan.task.fingerprint, "cells_computed_now": computed}
    harness.write_json(options.out / f"{name}.json", summary)
    print(f"wall time {seconds:.0f} s: {computed} cells computed now")
    print(f"figure {options.out / f'{name}.png'}")
    return summary


def _add_options(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--parts", nargs="+", choices=PARTS, default=None, help="default all for glyphs, else linear")
    add("--steps", type=int, default=None, help=f"of a fine-tuning (default {STEPS})")
    add("--learning-rates", nargs="+", type=float, default=[3e-3], help="of fine-tuning (default 3e-3)")
    add("--batch-size", type=int, default=64, help="pictures per step of fine-tuning (default 64)")
    add("--ratios", nargs="+", type=float, default=None, help="text rows per picture (default 0.25 4, and 1)")


def _plan(options: Namespace) -> FullDataPlan:
    if options.shots:
        raise ValueError("--shots: this study trains on the whole pool; image_text_fewshot.py has few shots")
    preset = resized(chosen_preset(options), seeds=options.seeds, shots=[None])
    if options.seeds is None and options.preset is None and not options.quick:
        preset = replace(preset, seeds=SEEDS)
    task: Task = task_of(options, preset)
    parts = tuple(options.parts or (PARTS if task.name == "glyphs" else ("linear",)))
    tuning = None
    if set(parts) != {"linear"}:
        if options.normalise:
            raise ValueError(
                "--normalise: has no meaning for pictures; leave it out, or choose --parts linear"
            )
        steps = options.steps if options.steps is not None else QUICK_STEPS if options.quick else STEPS
        looks = 1 if options.quick else 3
        schedule = Schedule(steps, max(steps // 10, 1), max(steps // looks, 1), None)
        with harness.one_torch_thread():
            tuning = glyph_fine_tuning(
                task, schedule, options.learning_rates, options.batch_size, cache=options.runs / "cache"
            )
    ratios = options.ratios or (QUICK_RATIOS if options.quick else RATIOS)
    return FullDataPlan(task, preset, parts, tuning, tuple(ratios))


if __name__ == "__main__":
    main()
