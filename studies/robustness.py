"""Does unpaired text make a few-shot classifier more robust to shifted test sets? (Gupta et al. 2025, Figures 5, 10-13).

    python studies/robustness.py                        glyphs: an unseen font, unseen weights, noise, blur
    python studies/robustness.py --quick                fewer shots, seeds and steps
    python studies/robustness.py --dataset concepts     a shifted law of the simulated world
    python studies/robustness.py --dataset digits --set speech=FOLDER
    python studies/robustness.py --dataset imagenet --data ROOT --vision dinov2-s14 --text openllama-3b --preset paper \
        --device cuda [--shifted imagenetv2 imagenet_sketch imagenet_a imagenet_r]

Heads are trained and chosen on the source law alone, k rows per class, and tested on shifted test sets that play no part
in either. Two questions, at every k and for every shift:

    accuracy    is UML (init) more accurate under the shift than the matched control?        (the paper's claim)
    extra       does it gain more under the shift than it gains on the source law?           (what "robust" adds to it)

The second one tells a classifier that is better everywhere from one that suffers less from the shift: it is the paired
difference of the two gains. The cells are those of image_text_fewshot.py, in the same file: what one study has trained
the other only reads. The paper prints no numbers for these figures, so no reference marks are drawn.

On ImageNet the shifts are V2, Sketch, A and R, as many of them as lie below ROOT. A and R have 200 of the 1,000 classes:
there predictions are among these, as published, and `extra` compares with the source law's rows of the same classes,
predicted among them, too.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from neural.data.task import Task
from neural.datasets import SPECS
from neural.heads.arms import arm_names
from studies import harness
from studies.head_cells import compute
from studies.head_presets import PRESETS, Preset, differences
from studies.image_text_fewshot import NAME as CELLS
from studies.image_text_fewshot_plan import Plan
from studies.image_text_fewshot_report import cell_rows
from studies.lab.table import long_form
from studies.outputs import Report, write_head_report
from studies.robustness_figure import draw
from studies.robustness_report import as_markdown, summarise
from studies.task_options import add_task_options, label_of, task_and_preset
from studies.task_sources import IMAGENET, shifts_below

__all__ = ["main"]

NAME = "robustness"
ARMS = ("unimodal", "matched", "uml", "uml_init", "init_permuted")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study; see the module's docstring.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    parser = harness.parser(__doc__, seeds=PRESETS["default"].seeds, device=True)
    add_task_options(parser)
    options = parser.parse_args(arguments)
    with harness.usage_errors(parser):
        _refuse_without_shift(options)
        task, preset = task_and_preset(options)
        plan = _plan(task, preset)
    cells = harness.Cells(options.runs / f"{CELLS}.jsonl")
    print(f"{task.name}: tests {', '.join(task.tests)}; {len(plan.cells())} cells", flush=True)
    computed = compute(plan.cells(), cells, options.device)
    rows = cell_rows(plan, cells)
    summary = summarise(plan, rows) | {"differs_from_paper": differences(preset)}
    name = f"{NAME}_{label_of(options, task)}"
    draw(summary, options.out / f"{name}.png")
    table = long_form(summary["accuracy"], ["test", "shots", "arm"])
    return write_head_report(
        Report(summary, as_markdown(summary), rows.drop(columns="diverged"), table),
        options,
        name,
        plan.cells(),
        cells,
        config={"preset": preset, "arms": list(plan.arms)},
        began=began,
        computed=computed,
    )


def _refuse_without_shift(options: Namespace) -> None:
    """Before a data set is encoded for nothing."""
    if options.target_features is None and options.dataset in SPECS:
        named = options.shifted if options.dataset == IMAGENET else []
        if not (shifts_below(options.data) if named is None else named):
            raise ValueError(_needs_shift(options.dataset, "test"))


def _needs_shift(name: str, tests: str) -> str:
    return (
        f"{name}: it has one test set ({tests}), of the training law; robustness needs a shifted one as well, as glyphs, "
        "concepts and digits have, and imagenet where V2, Sketch, A or R lie below the data root (`python -m neural "
        "doctor` says where)"
    )


def _plan(task: Task, preset: Preset) -> Plan:
    if len(task.tests) < 2:
        raise ValueError(_needs_shift(task.name, ", ".join(task.tests)))
    source, rows = next(iter(task.tests.items()))
    for test, classes in task.among.items():
        if not np.isin(rows.labels, classes).any():
            raise ValueError(f"{task.name}: {source} has no row of the classes of {test} to compare with")
    there = arm_names(task)
    return Plan(task, preset, tuple(arm for arm in ARMS if arm in there))


if __name__ == "__main__":
    main()
