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

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.data.files import from_files
from neural.data.task import Task
from neural.datasets import SPECS
from neural.heads.arms import ARMS
from studies import harness
from studies.head_cells import compute
from studies.head_presets import PRESETS, Preset, differences, resized
from studies.image_text_fewshot_figure import draw
from studies.image_text_fewshot_plan import Plan
from studies.image_text_fewshot_report import Results, as_markdown, csv_rows, summarise, table_rows
from studies.task_sources import SOURCES, encoded_task, make_task, parse_settings

__all__ = ["main"]

NAME = "image_text_fewshot"


def _task(options: Any, preset: Preset) -> Task:  # noqa: ANN401
    if options.target_features is not None:
        auxiliaries = dict(zip(options.auxiliaries or ["text"], options.aux_features or [], strict=False))
        tests = {"test": options.target_test} if options.target_test else None
        task = from_files(
            options.target_features, auxiliaries, test=tests, aligned=options.aligned, seed=options.data_seed
        )
    elif options.dataset in SOURCES:
        settings = parse_settings(options.set)
        with harness.one_torch_thread():
            task = make_task(options.dataset, settings, seed=options.data_seed, cache=options.runs / "cache")
    else:
        task = encoded_task(
            options.dataset,
            root=options.data,
            vision=options.vision,
            text=options.text,
            texts=options.texts,
            descriptions=options.descriptions,
            shots=preset.shots,
            seeds=preset.seeds,
            seed=options.data_seed,
            cache=options.runs / "cache" / "features",
            aligned=options.aligned,
            device=options.device,
            dtype=options.dtype,
            batch_size=options.encoder_batch,
        )
    if options.auxiliaries and options.target_features is None:
        task = task.only(options.auxiliaries)
    return task.normalised() if options.normalise else task


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__, seeds=PRESETS["default"].seeds, device=True)
    add = parser.add_argument
    add("--preset", choices=[name for name in PRESETS if name != "quick"], default="default")
    add("--dataset", default="glyphs", metavar="NAME", help=f"{', '.join([*SOURCES, *SPECS])}, or a path")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of glyphs, concepts, digits")
    add("--data-seed", type=int, default=0, help="seed of the data (default 0)")
    add("--auxiliaries", nargs="+", metavar="NAME", help="which auxiliary modalities, in order")
    add("--shots", nargs="+", metavar="K", help="rows per class; 'all' for the whole pool")
    add("--arms", nargs="+", default=[], metavar="ARM", help=", ".join(ARMS))
    add("--aligned", action="store_true", help="all embeddings live in one space (CLIP)")
    add("--normalise", action="store_true", help="scale every row to length one")
    add("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    disk = parser.add_argument_group("a data set on disk")
    disk.add_argument("--data", type=Path, default=Path("data"), metavar="ROOT", help="folder of data sets")
    disk.add_argument("--vision", metavar="ENCODER", help="short name, hub name or folder")
    disk.add_argument("--text", metavar="ENCODER", help="likewise; the same CLIP twice is an aligned pair")
    disk.add_argument(
        "--texts", default="descriptions", help="descriptions, classname, vanilla or hand_crafted"
    )
    disk.add_argument("--descriptions", type=Path, metavar="FILE", help="JSON {class: [sentences]}")
    disk.add_argument("--dtype", default="float32", help="of the encoders: float32, float16, bfloat16")
    disk.add_argument("--encoder-batch", type=int, default=32, help="inputs at a time")
    files = parser.add_argument_group("your own embeddings")
    files.add_argument("--target-features", type=Path, metavar="FILE", help="what is classified")
    files.add_argument("--target-test", type=Path, metavar="FILE", help="test rows, where they lie apart")
    files.add_argument("--aux-features", type=Path, nargs="+", metavar="FILE", help="what may help")
    return parser


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the study; see the module's docstring.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The summary that is also written as JSON.
    """
    began = time.perf_counter()
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        torch.empty(0, device=options.device)
        shots = [None if k == "all" else int(k) for k in options.shots] if options.shots else None
        preset = resized(
            PRESETS["quick" if options.quick else options.preset], seeds=options.seeds, shots=shots
        )
        plan = Plan(_task(options, preset), preset, tuple(options.arms), options.logit_scale)
    except (ValueError, KeyError, OSError, TypeError, RuntimeError, AssertionError) as error:
        parser.error(str(error))
    cells = harness.Cells(options.runs / f"{NAME}.jsonl")
    print(_heading(plan), flush=True)
    computed = compute(plan.cells(), cells, options.device)
    summary = summarise(Results(plan, cells))
    text = as_markdown(summary)
    print(text)
    name = f"{NAME}_{plan.task.name}"
    draw(summary, options.out / f"{name}.png")
    harness.write_csv(options.out / f"{name}.csv", csv_rows(plan, cells))
    harness.write_csv(options.out / f"{name}_table.csv", table_rows(summary))
    harness.write_atomic(options.out / f"{name}.md", text.encode())
    seconds = time.perf_counter() - began
    summary["provenance"] = harness.provenance(
        config={"preset": preset, "arms": list(plan.arms), "logit_scale": plan.logit_scale},
        seconds=seconds,
        device=options.device,
    ) | {
        "task_fingerprint": plan.task.fingerprint,
        "cells_computed_now": computed,
        "training_seconds_in_all": round(sum(cells.get(cell.key)["seconds"] for cell in plan.cells()), 1),
    }
    harness.write_json(options.out / f"{name}.json", summary)
    print(
        f"wall time {seconds:.0f} s: {computed} cells computed, {len(plan.cells()) - computed} were finished"
    )
    print(f"figure {options.out / f'{name}.png'}")
    return summary


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
