"""Which text helps: kind, number of texts, text encoder, batch ratio (Gupta et al. 2025, E.6-E.9, E.11).

    python studies/text_ablations.py                       glyphs: pictures of characters, and what Unicode says of them
    python studies/text_ablations.py --quick               fewer variants, seeds and steps
    python studies/text_ablations.py --dataset concepts    simulated classes
    python studies/text_ablations.py --dataset sun397 --data ROOT --vision dinov2-s14 --text openllama-3b \
        --text-encoders bert-large roberta-large gpt2-large --unrelated CARS.json --shots 1 2 4 8 16 --device cuda

Each axis varies one thing about the text of one and the same target:

    kind of text        fine descriptions, a template with the name, and text about something else (Figures 31 and 32,
                        Table 24); with permuted labels as well
    texts per class     1, 2, 4, ... all of them, drawn anew in each repetition (Figure 33)
    text encoder        other encoders of the same sentences (Figure 30)
    batch ratio         r text rows for each picture of a step (Table 27). The paper has r batches of text per batch of
                        images; here a step sees both, and the loss of a modality stays a mean, so r changes the noise
                        of text's gradient and how often a text is seen, not its weight

UML and UML (init), each against the fair control: as many parameters, the same images, no text. Published numbers
stand beside ours where data set and encoders are the paper's. Writes .png, .csv (one row per cell), _table.csv, .md and
.json; a killed run resumes.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from studies import harness
from studies.head_cells import compute
from studies.outputs import write_head_report
from studies.task_options import add_task_options, chosen_preset, fitted_preset, label_of
from studies.text_ablations_figure import draw
from studies.text_ablations_plan import Plan
from studies.text_ablations_report import Results, report_of
from studies.text_ablations_variants import axes_of
from studies.text_sweep import lighter

__all__ = ["main"]

NAME = "text_ablations"
SEEDS, SHOTS = 5, (1, 4, 16)


def _plan(options: argparse.Namespace) -> Plan:
    harness.check_device(options.device)
    preset = lighter(chosen_preset(options), options, seeds=SEEDS, shots=SHOTS)
    axes = axes_of(options, preset)
    task = next(iter(axes.values()))[0].task
    return Plan(axes, fitted_preset(options, preset, task), options.logit_scale)


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
    add("--text-rows", type=int, nargs="+", metavar="T", help="texts per class (default 1 2 4 8, and all)")
    add("--ratios", type=float, nargs="+", metavar="R", help="text rows per image of a step")
    add("--text-encoders", nargs="+", default=[], metavar="ENCODER", help="of the same sentences, on disk")
    add("--unrelated", type=Path, metavar="FILE", help="JSON {class: [sentences]} about something else")
    add("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    options = parser.parse_args(arguments)
    with harness.usage_errors(parser):
        plan = _plan(options)
    cells = plan.cells()
    store = harness.Cells(options.runs / f"{NAME}.jsonl")
    print(f"{plan.task.name}: {len(cells)} cells of {cells[0].steps:,} run-steps at most", flush=True)
    computed = compute(cells, store, options.device)
    report = report_of(Results(plan, store))
    name = f"{NAME}_{label_of(options, plan.task)}"
    draw(report.summary, options.out / f"{name}.png")
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
