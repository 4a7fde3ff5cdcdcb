"""Does unpaired text make a few-shot picture classifier better, against fair controls? (Gupta et al. 2025, Table 2).

    python studies/image_text_fewshot.py                       glyphs: pictures of characters, and their names
    python studies/image_text_fewshot.py --quick               fewer shots, seeds and steps
    python studies/image_text_fewshot.py --preset paper --device cuda
    python studies/image_text_fewshot.py --dataset concepts --set rank=6 alignment=0.5
    python studies/image_text_fewshot.py --dataset digits --set speech=FOLDER --auxiliaries text speech
    python studies/image_text_fewshot.py --dataset oxford_pets --data ROOT --vision dinov2-s14 --text openllama-3b --device cuda
    python studies/image_text_fewshot.py --dataset FOLDER --descriptions FILE.json --vision dinov2-s14 --text minilm
    python studies/image_text_fewshot.py --target-features a.npz --aux-features b.npz [--aligned --normalise --logit-scale 100]

Frozen encoders of one modality each, a shared linear head on top (the paper's Algorithm 2), k training rows per class.
Arms, all by default:

    unimodal            the paper's baseline: a linear head on frozen features
    matched             the same with the projection that UML has (equal parameters): the fair control
    matched_2b          and with as many rows per step as UML sees
    uml, uml_init       shared head with text rows; started from text class means
    init_only           that start without text rows
    uml_permuted, init_permuted    every class gets another class's text: what is left is not semantics

Each arm trains equally many heads from one grid and reports the one that validates best (accuracy, then loss, then the
order of the grid); test rows are looked at once, with that head. Writes .png, .csv (one row per cell), _table.csv, .md
and .json; a killed run resumes.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.heads.arms import ARMS
from studies import harness
from studies.head_cells import compute
from studies.head_presets import PRESETS, differences
from studies.image_text_fewshot_figure import draw
from studies.image_text_fewshot_report import as_markdown, cell_rows, summarise
from studies.lab.heads import Plan
from studies.lab.table import long_form
from studies.outputs import Report, write_head_report
from studies.task_options import add_task_options, label_of, task_and_preset

__all__ = ["main"]

NAME = "image_text_fewshot"


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
    parser.add_argument("--arms", nargs="+", default=[], metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    options = parser.parse_args(arguments)
    with harness.usage_errors(parser):
        task, preset = task_and_preset(options)
        plan = Plan(task, preset, tuple(options.arms), options.logit_scale)
    cells = harness.Cells(options.runs / f"{NAME}.jsonl")
    print(_heading(plan), flush=True)
    computed = compute(plan.cells(), cells, options.device)
    rows = cell_rows(plan, cells)
    summary = summarise(plan, rows)
    name = f"{NAME}_{label_of(options, task)}" + ("_some-arms" if options.arms else "")
    draw(summary, options.out / f"{name}.png")
    table = long_form(summary["accuracy"], ["test", "shots", "arm"])
    return write_head_report(
        Report(summary, as_markdown(summary), rows.drop(columns="diverged"), table),
        options,
        name,
        plan.cells(),
        cells,
        config={"preset": plan.preset, "arms": list(plan.arms), "logit_scale": plan.logit_scale},
        began=began,
        computed=computed,
    )


def _heading(plan: Plan) -> str:
    task = plan.task
    rows = ", ".join(f"{name}: {len(part)} rows of {part.dim}" for name, part in task.auxiliaries.items())
    return (
        f"{task.name}: {len(task.classes)} classes; {task.target}: {task.train.dim} features; {rows}\n"
        f"differs from the paper's protocol: {'; '.join(differences(plan.preset)) or 'nothing'}\n"
        f"{len(plan.cells())} cells of {plan.cells()[0].steps:,} run-steps at most"
    )


if __name__ == "__main__":
    main()
