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
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.embed import encoder
from neural.fewshot.cells import compute
from neural.fewshot.presets import PRESETS, differences, resized
from neural.heads.arms import ARMS
from neural.heads.runs import Schedule
from neural.results.cells import Cells
from neural.results.contrasts import by_key, contrast, long_form, means, paired
from neural.results.intervals import Interval
from neural.results.parallel import one_torch_thread
from neural.results.text import by_word, direction, gain_text, little_impact_record
from neural.tasks.task import Task
from studies.lab.finding import ONE_RATIO, Finding, evidence_of, little_impact_finding, overall, records
from studies.lab.fine_tuning import (
    PAPER_BATCH,
    PAPER_RATE,
    FineTuning,
    fine_tune,
    glyph_fine_tuning,
    image_files,
    image_fine_tuning,
    tuning_differences,
)
from studies.lab.full_data_grid import PARTS, TABLES, WITH_TEXT, FullDataPlan, Row, measured, rows_of
from studies.lab.full_data_report import as_markdown, draw
from studies.lab.options import command_line, run_study
from studies.lab.outputs import Report, write_report
from studies.lab.task_options import chosen_preset, label_of, task_of, task_parser
from studies.lab.task_sources import SOURCES
from studies.paper.exhibits import contents
from studies.published.numbers import PRINTED_ENCODERS, published
from studies.published.printed import gains_printed

__all__ = ["gains_of", "main", "summarise"]

NAME = "full_data"
SEEDS = 4  # of fine-tuning and the linear probe by default
STEPS, QUICK_STEPS = 300, 30  # of fine-tuning on glyphs
DISK_STEPS = 2000  # and on images on disk
RATES, DISK_RATES = (3e-3,), (1e-5, PAPER_RATE)
RATIOS, QUICK_RATIOS = (0.25, 4.0), (4.0,)
_ALIGNED = (20, 21)  # tables of CLIP
_METHODS = {"uml_unfrozen_text": ("uml", True), "uml_frozen_text": ("uml", False)}  # Table 29's names


def gains_of(values: pd.DataFrame, control: str) -> pd.DataFrame:
    """Differences to the control of each part, one row per repetition; a table like `values`."""
    ways = values[["part", "way", "arm", "r"]].drop_duplicates()
    gains = [
        paired(values[values["part"].eq(part)], way, control, column="way").assign(
            part=part, way=way, arm=arm, r=r
        )
        for part, way, arm, r in ways.itertuples(index=False)
        if way != control
    ]
    return pd.concat(gains, ignore_index=True)


def _difference(values: pd.DataFrame, row: Row, other: Row) -> Interval:
    """Paired difference between two ways to train in the same part."""
    mine = values[values["part"].eq(row.part)]
    return by_key(contrast(mine, row.label, other.label, ["part"], column="way"), "part")[row.part]


def summarise(plan: FullDataPlan, values: pd.DataFrame, gains: pd.DataFrame) -> dict[str, Any]:
    """Everything that is reported, as plain data, from the table of `measured` and that of `gains_of`."""
    accuracies = by_key(means(values, ["part", "way"]), "part", "way")
    gained = by_key(means(gains, ["part", "way"]), "part", "way")
    entries = []
    for row in plan.rows():
        place = (row.part, row.label)
        entry = vars(row) | {"label": row.label, "accuracy": accuracies[place]}
        entries.append(entry | ({"minus_control": gained[place]} if place in gained else {}))
    return {
        "task": plan.task.name,
        "classes": len(plan.task.classes),
        "training rows": len(plan.task.train),
        "about": dict(plan.task.about),
        "control": ARMS[plan.control].label,
        "parts": list(plan.parts),
        "seeds": plan.preset.seeds,
        "candidates": {
            "linear": plan.preset.trainings,
            "finetune": 0 if plan.tuning is None else len(plan.tuning.learning_rates),
        },
        "rows": entries,
        "published": _published(plan),
        "verdicts": _verdicts(plan, values),
    }


def _verdicts(plan: FullDataPlan, values: pd.DataFrame) -> list[str]:
    """One line per claim of the paper."""
    lines = []
    for part, name in (("linear", "linear probe"), ("finetune", "fine-tuning")):
        if part in plan.parts:
            for arm in WITH_TEXT:
                for control in dict.fromkeys((plan.control, "unimodal")):
                    claim = f"{name}: {ARMS[arm].label} above {ARMS[control].label}"
                    lines.append(_line(claim, _difference(values, Row(part, arm), Row(part, control))))
            claim = f"{name}: {ARMS['uml_init'].label} above its permuted labels"
            right, permuted = Row(part, "uml_init"), Row(part, "init_permuted")
            lines.append(_line(claim, _difference(values, right, permuted)))
    if "finetune" in plan.parts:
        unfrozen, control_row = Row("finetune", "uml", unfrozen=True), Row("finetune", plan.control)
        lines.append(_frozen_above_unfrozen(values))
        claim = "fine-tuning: UML with unfrozen text encoder above the control"
        lines.append(_line(claim, _difference(values, unfrozen, control_row)))
    if "ratio" in plan.parts:
        gaps = _ratio_gaps(values)
        impact = little_impact_record(gaps).sentence if gaps else ONE_RATIO
        lines.append(f"batch ratio: {impact}")
    return lines


def _line(claim: str, gain: Interval) -> str:
    return f"{claim}: {direction(gain, up='holds', down='fails')} ({gain_text(gain)} points)"


def _frozen_above_unfrozen(values: pd.DataFrame) -> str:
    frozen, unfrozen = (Row("finetune", "uml", unfrozen=trained) for trained in (False, True))
    claim = "fine-tuning: UML with frozen text encoder above unfrozen"
    return _line(claim, _difference(values, frozen, unfrozen))


def _ratio_gaps(values: pd.DataFrame) -> dict[str, Interval]:
    """What each ratio of text rows per picture changes, against one of each."""
    ways = values[["part", "arm", "ratio"]].drop_duplicates().itertuples(index=False)
    rows = [Row(*way) for way in ways if way.part == "ratio" and way.ratio != 1]
    return {row.label: _difference(values, row, Row("ratio", row.arm)) for row in rows}


def _published(plan: FullDataPlan) -> list[dict[str, Any]]:
    """The paper's numbers for this data set: of the same encoders where ours have names, in all parts of this study."""
    encoders = plan.task.encoders
    vision, text = (
        PRINTED_ENCODERS.get(name, name) for name in (str(encoders.get("image")), str(encoders.get("text")))
    )
    found = []
    for part in plan.parts:
        tables = pd.concat([published(number) for number in TABLES[part]])
        of_data = tables[tables["dataset"].eq(plan.task.name) & tables["metric"].eq("accuracy")]
        same_text = of_data["method"].eq("unimodal") | of_data["text"].eq(text)
        for line in of_data[of_data["vision"].eq(vision) & same_text].to_dict("records"):
            arm, unfrozen = _METHODS.get(line["method"], (line["method"], False))
            found.append({
                "part": part,
                "arm": arm,
                "unfrozen": unfrozen,
                "label": line["label"],
                "ratio": float(line.get("ratio") or 1.0),
                "accuracy": float(line["value"]),
            })
    return found


# ---------------------------------------------------------------- findings


def _findings(summary: Mapping[str, Any], values: pd.DataFrame) -> dict[tuple[str, int], Finding]:
    """All labelled rows: linear probes, fine-tuning, batch ratio, text encoder unfrozen. Each row against the control."""
    aligned = summary["control"] == "unimodal"
    tables = [(2, "finetune"), *((number, part) for part in PARTS for number in TABLES[part])]
    return {
        ("Table", number): _finding(summary, values, part, number)
        for number, part in sorted(tables)
        if number in _ALIGNED or not aligned
    }


def _finding(summary: Mapping[str, Any], values: pd.DataFrame, part: str, number: int) -> Finding:
    printed = gains_printed("Table", number, summary, few_shot=False)
    rows = [e for e in summary["rows"] if e["part"] == part and e["arm"] in WITH_TEXT]
    rows = [e for e in rows if (e["arm"] == "uml" if number == 29 else not e["unfrozen"])]
    missing = {"finetune": "fine-tuning", "linear": "linear probes", "ratio": "batch ratio"}[part]
    if rows and number in _ALIGNED and summary["control"] != "unimodal":
        missing, rows = f"{missing} of aligned encoders", []
    if not rows:
        return Finding(f"{missing}: not measured in this run", printed, "no claim", "not measured")
    control = summary["control"]
    gains = {e["label"]: e["minus_control"] for e in rows}
    ours = f"minus {control}: " + "; ".join(f"{name} {gain_text(gain, 2)}" for name, gain in gains.items())
    if part == "ratio":
        return little_impact_finding(ours, printed, _ratio_gaps(values), "{} within a point of r = 1")
    evidence = {name: evidence_of(f"{name} minus {control}", gain) for name, gain in gains.items()}
    words = {name: known.verdict for name, known in evidence.items()}
    text = f"above the control: {by_word(words).replace(' at ', ' on ')}"
    if number == 29:
        text += f". {_frozen_above_unfrozen(values)}"
    return Finding(ours, printed, overall(list(words.values())), text, tuple(evidence.values()))


# ---------------------------------------------------------------- command line


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
    with one_torch_thread():
        return glyph_fine_tuning(
            task, schedule, options.learning_rates or RATES, options.batch_size, cache=cache
        )


def _schedule(options: Namespace) -> Schedule:
    """Of a fine-tuning."""
    paper, evaluations = PRESETS["paper"].schedule, 1 if options.quick else 3
    if options.steps is not None:
        steps = options.steps
    elif options.quick:
        steps = QUICK_STEPS
    elif not _on_disk(options):
        steps = STEPS
    else:
        steps = paper.iterations if options.preset == "paper" else DISK_STEPS
    warmup, between = max(steps // 10, 1), max(steps // evaluations, 1)
    if not _on_disk(options):
        return Schedule(steps, warmup, between, None)
    return Schedule(steps, min(paper.warmup, warmup), min(paper.eval_every, between), paper.patience)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    parser = task_parser(__doc__, seeds=SEEDS)
    _add_options(parser)
    with command_line(parser, arguments) as options:
        plan = _plan(options)
    heads, tuned = plan.head_cells(), plan.tuned_cells()
    store = Cells(options.runs / f"{NAME}.jsonl")
    print(f"{plan.task.name}: {len(heads)} linear probes, {len(tuned)} fine-tunings", flush=True)
    computed = compute(heads, store, options.device)
    computed += fine_tune(tuned, store, options.device)
    rows = rows_of(plan, store)
    values = measured(rows, next(iter(plan.task.tests)))
    gains = gains_of(values, ARMS[plan.control].label)
    summary = summarise(plan, values, gains) | {"differs_from_paper": differences(plan.preset)}
    if plan.tuning is not None and _on_disk(options):
        summary["tuning_differs_from_paper"] = tuning_differences(plan.tuning, plan.preset.seeds)
    summary["findings"] = records(_findings(summary, values))
    name = f"{NAME}_{label_of(options, plan.task)}"
    draw(summary, values, gains, options.out / f"{name}.png")
    tuning = None if plan.tuning is None else plan.tuning.key
    return write_report(
        Report(
            summary,
            as_markdown(summary, {part: contents((), TABLES[part]) for part in PARTS}),
            rows,
            long_form(summary["rows"], ["part", "arm", "ratio", "unfrozen"]),
        ),
        options,
        name,
        config={"preset": plan.preset, "parts": list(plan.parts), "fine-tuning": tuning},
        keys=[*(cell.key for cell in heads), *(cell.key for cell in tuned)],
        store=store,
        computed=computed,
        task_fingerprint=plan.task.fingerprint,
    )


if __name__ == "__main__":
    run_study(main)
