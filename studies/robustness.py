"""Does unpaired text make a few-shot classifier more robust to shifted test sets? (Gupta et al. 2025, Figures 5, 10-13).

    python studies/robustness.py                        glyphs: an unseen font, unseen weights, noise, blur
    python studies/robustness.py --quick                fewer shots, seeds and steps
    python studies/robustness.py --dataset concepts     a shifted law of the simulated world
    python studies/robustness.py --dataset digits --set speech=FOLDER

Heads are trained and chosen on the source law alone, k rows per class, and tested on shifted test sets that play no part
in either. Two questions, at every k and for every shift:

    accuracy    is UML (init) more accurate under the shift than the matched control?        (the paper's claim)
    extra       does it gain more under the shift than it gains on the source law?           (what "robust" adds to it)

The second one tells a classifier that is better everywhere from one that suffers less from the shift: it is the paired
difference of the two gains. The cells are those of image_text_fewshot.py, in the same file: what one study has trained
the other only reads. The paper prints no numbers for these figures, so no reference marks are drawn.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit.checks import UnknownNameError
from neural.data.task import Task
from neural.heads.arms import arm_names
from studies import harness
from studies.head_cells import compute
from studies.head_presets import PRESETS, Preset, differences
from studies.image_text_fewshot import NAME as CELLS
from studies.image_text_fewshot_plan import Plan
from studies.image_text_fewshot_report import Results, csv_rows
from studies.robustness_figure import draw
from studies.robustness_report import as_markdown, summarise, table_rows
from studies.task_options import add_task_options, label_of, task_and_preset

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
    try:
        task, preset = task_and_preset(options)
        plan = _plan(task, preset)
    except (ValueError, UnknownNameError, OSError) as error:
        parser.error(str(error))
    cells = harness.Cells(options.runs / f"{CELLS}.jsonl")
    print(f"{task.name}: tests {', '.join(task.tests)}; {len(plan.cells())} cells", flush=True)
    computed = compute(plan.cells(), cells, options.device)
    summary = summarise(Results(plan, cells)) | {"differs_from_paper": differences(preset)}
    text = as_markdown(summary)
    print(text)
    name = f"{NAME}_{label_of(options, task)}"
    draw(summary, options.out / f"{name}.png")
    harness.write_csv(options.out / f"{name}.csv", csv_rows(plan, cells))
    harness.write_csv(options.out / f"{name}_table.csv", table_rows(summary))
    harness.write_atomic(options.out / f"{name}.md", text.encode())
    seconds = time.perf_counter() - began
    summary["provenance"] = harness.provenance(
        config={"preset": preset, "arms": list(plan.arms)}, seconds=seconds, device=options.device
    ) | {"task_fingerprint": task.fingerprint, "cells_computed_now": computed}
    harness.write_json(options.out / f"{name}.json", summary)
    print(f"wall time {seconds:.0f} s: {computed} of {len(plan.cells())} cells computed now")
    print(f"figure {options.out / f'{name}.png'}")
    return summary


def _plan(task: Task, preset: Preset) -> Plan:
    if len(task.tests) < 2:
        raise ValueError(
            f"{task.name}: it has one test set ({', '.join(task.tests)}), of the training law; robustness needs a shifted "
            "one as well, as glyphs, concepts and digits have"
        )
    there = arm_names(task)
    return Plan(task, preset, tuple(arm for arm in ARMS if arm in there))


if __name__ == "__main__":
    main()
