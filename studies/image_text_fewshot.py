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
order of the grid); test rows are used once, with that head. Writes .png, .csv (one row per cell), _table.csv, .md
and .json; a killed run resumes.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from neural.fewshot.comparison import compare
from neural.fewshot.plan import CELLS, Plan
from neural.fewshot.presets import PRESETS
from neural.heads.arms import ARMS
from neural.results.cells import Cells
from neural.results.table import shots_label
from neural.results.text import by_word, gain_text
from studies.lab.finding import Finding, evidence_of, overall, pick, records
from studies.lab.options import command_line, run_study
from studies.lab.outputs import HeadRun, Report
from studies.lab.task_options import label_of, task_and_preset, task_parser
from studies.published.numbers import PRINTED_ENCODERS, reference
from studies.published.printed import gains_printed

__all__ = ["main"]

NAME = "image_text_fewshot"
_TABLES = (2, 15, 16, 17, 18, 19, 22, 23)  # of the paper


# ---------------------------------------------------------------- beside the paper's numbers


def _published(plan: Plan) -> list[dict[str, Any]]:
    """The paper's linear probes of the same data set and encoders, where it has them; never mixed with ours."""
    encoders = plan.task.encoders
    vision, text = (
        PRINTED_ENCODERS.get(str(name), name) for name in (encoders.get("image"), encoders.get("text"))
    )
    found = []
    for shots in plan.preset.shots if vision is not None and text is not None else ():
        for arm in ("unimodal", "uml", "uml_init"):
            protocol = "full_linear_probe" if shots is None else "few_shot_linear_probe"
            value = reference(plan.task.name, shots, arm, vision=vision, text=text, protocol=protocol)
            if value is not None:
                found.append({"shots": shots_label(shots), "arm": arm, "accuracy": value})
    return found


# ---------------------------------------------------------------- findings


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """UML (init) against the matched control; the difference to the plain baseline is the paper's contrast."""
    if "uml_init" not in summary["arms"]:
        return {}
    return {("Table", number): _finding(summary, number) for number in _TABLES}


def _finding(summary: Mapping[str, Any], number: int) -> Finding:
    """Of one table, on the test set of the training law."""
    test, printed = summary["tests"][0], gains_printed("Table", number, summary)
    shots = [k for k in summary["shots"] if number != 2 or k in {"1", "2", "4"}]
    if not shots:
        return Finding("1, 2, 4 shots: not measured in this run", printed, "no claim", "not measured")
    mine = [pick(summary["accuracy"], test=test, arm="uml_init", shots=k) for k in shots]
    gains = [entry["minus_control"] for entry in mine]
    minus = f"UML (init) minus {summary['arms'][summary['control']]}"
    at = f"{', '.join(shots)} {'shot' if shots == ['1'] else 'shots'}"
    ours = f"{minus}, {at}: {'; '.join(map(gain_text, gains))}"
    if summary["control"] != "unimodal":
        base = [pick(summary["accuracy"], test=test, arm="unimodal", shots=k) for k in shots]
        plain = [a["accuracy"].estimate - b["accuracy"].estimate for a, b in zip(mine, base, strict=True)]
        ours += f". Minus the plain baseline, as in the paper, without intervals: {', '.join(f'{p:+.1f}' for p in plain)}"
    evidence = tuple(evidence_of(f"{minus}, k = {k}", gain) for k, gain in zip(shots, gains, strict=True))
    words = {k: comparison.verdict for k, comparison in zip(shots, evidence, strict=True)}
    verdict, text = overall(list(words.values())), f"{by_word(words)} shots"
    if number == 2:  # its other half is full fine-tuning
        verdict = "in part" if verdict == "holds" else verdict
        text = f"few-shot half: {text}; full fine-tuning: see Table 8"
    return Finding(ours, printed, verdict, text, evidence)


# ---------------------------------------------------------------- command


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study; see the module's docstring.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    parser = task_parser(__doc__, seeds=PRESETS["default"].seeds)
    parser.add_argument("--arms", nargs="+", default=[], metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    with command_line(parser, arguments) as options:
        task, preset = task_and_preset(options)
        plan = Plan(task, preset, tuple(options.arms), options.logit_scale)
    print(_heading(plan), flush=True)
    store = Cells(options.runs / CELLS)
    found = compare(plan, store, device=options.device, published=_published(plan))
    summary = dict(found.summary) | {"findings": records(_findings(found.summary))}
    name = f"{NAME}_{label_of(options, task)}" + ("_some-arms" if options.arms else "")
    found.draw(options.out / f"{name}.png")
    run = HeadRun(options, plan.cells(), store, found.computed)
    config = {"preset": plan.preset, "arms": list(plan.arms), "logit_scale": plan.logit_scale}
    return run.write(Report(summary, found.markdown, found.rows, found.table), name, config)


def _heading(plan: Plan) -> str:
    task = plan.task
    rows = ", ".join(f"{name}: {len(part)} rows of {part.dim}" for name, part in task.auxiliaries.items())
    return (
        f"{task.name}: {len(task.classes)} classes; {task.target}: {task.train.dim} features; {rows}\n"
        f"differs from the paper's protocol: {'; '.join(plan.about['differs_from_paper']) or 'nothing'}\n"
        f"{len(plan.cells())} cells of {plan.cells()[0].steps:,} run-steps at most"
    )


if __name__ == "__main__":
    run_study(main)
