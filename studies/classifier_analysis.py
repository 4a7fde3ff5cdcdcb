"""What does unpaired text change in a few-shot classifier? (Gupta et al. 2025, Figures 38-44).

    python studies/classifier_analysis.py                       glyphs
    python studies/classifier_analysis.py --quick               fewer shots, seeds and steps
    python studies/classifier_analysis.py --pairs "DIGIT ZERO" "LATIN SMALL LETTER O WITH STROKE"
    python studies/classifier_analysis.py --dataset concepts
    python studies/classifier_analysis.py --dataset oxford_flowers --data ROOT --vision clip-rn50 --text clip-rn50 --device cuda

Three looks at the heads of image_text_fewshot.py, each beside the matched control:

    measures    functional margin (Figure 41), silhouette (42) and Davies-Bouldin index (43) on test rows, per arm and shots,
                from that study's own cells (what it has trained is only read)
    planes      test rows of two classes in the plane of the decision between them, before and after text (38-40); the
                chosen heads of one repetition are trained again for this
    heat-map    cosines of prototypes and class mean texts (44) with a permutation test of the diagonal. A diagonal shows
                that the head classifies text; heads trained on wrong texts have one, too, for the texts they were given

Pairs of classes are named by --pairs, or are those that the control confuses most on validation rows: choosing by its
errors on test rows would flatter every other arm there. The paper prints no numbers for these figures.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.heads.arms import arm_names
from studies import harness
from studies.classifier_analysis_figure import draw
from studies.classifier_analysis_report import (
    Heads,
    as_markdown,
    csv_rows,
    named_pairs,
    summarise,
    table_rows,
)
from studies.head_cells import compute
from studies.head_presets import PRESETS, differences
from studies.image_text_fewshot import NAME as CELLS
from studies.image_text_fewshot_report import cell_rows
from studies.lab.heads import Plan
from studies.outputs import Report, write_head_report
from studies.task_options import add_task_options, label_of, task_and_preset

__all__ = ["main"]

NAME = "classifier_analysis"
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
    parser.add_argument(
        "--pairs", nargs="+", default=[], metavar="CLASS", help="two or four names of classes"
    )
    options = parser.parse_args(arguments)
    with harness.usage_errors(parser):
        task, preset = task_and_preset(options)
        there = arm_names(task)
        plan = Plan(task, preset, tuple(arm for arm in ARMS if arm in there))
        pairs = named_pairs(task, options.pairs)
    cells = harness.Cells(options.runs / f"{CELLS}.jsonl")
    print(f"{task.name}: {len(plan.cells())} cells", flush=True)
    computed = compute(plan.cells(), cells, options.device)
    with harness.one_torch_thread():
        heads = Heads(plan, cells, preset.shots[-1], seed=0, device=options.device)
        summary = summarise(plan, cell_rows(plan, cells), heads, pairs) | {
            "differs_from_paper": differences(preset)
        }
    name = f"{NAME}_{label_of(options, task)}"
    draw(summary, options.out / f"{name}.png")
    return write_head_report(
        Report(summary, as_markdown(summary), csv_rows(summary), table_rows(summary)),
        options,
        name,
        plan.cells(),
        cells,
        config={"preset": preset, "arms": list(plan.arms)},
        began=began,
        computed=computed,
    )


if __name__ == "__main__":
    main()
