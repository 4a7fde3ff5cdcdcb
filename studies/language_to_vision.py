"""Do the weights of a language model help a picture classifier, as in Gupta et al. 2025, Figure 7 and section B.4.4?

    python studies/language_to_vision.py                       a small BERT, characters' descriptions, characters' pictures
    python studies/language_to_vision.py --quick               fewer classes, steps and seeds
    python studies/language_to_vision.py --preset paper --language bert-large --images FOLDER --device cuda
    python studies/language_to_vision.py --language openai-community/gpt2 --images LIST.csv --accumulate 8 --device cuda

Patch embeddings, class token, positions and a two-layer head are new; the layers between them come from a language
model, with full attention. Arms: layers frozen, or unfrozen after some steps (2,000 in the paper, --unfreeze-at), with

    pretrained          the language model's weights
    scratch             the usual random start
    shuffled            the same weights, the entries of every tensor permuted: statistics kept, structure gone
    gaussian            every tensor drawn from a normal law of its own mean and standard deviation

and "scratch": random start, all trained from step 0. (The paper does not say whether "from scratch" in its frozen panel
is frozen itself; both are here, verdicts go by the one that is trained.) All arms of a repetition share pictures, order
of rows, dropout, start of patch embedding and head, steps and learning rates; the rate is chosen by validation.

Only what beats shuffled and Gaussian layers too owes it to what was learned from text; what beats scratch alone may owe
it to well-scaled weights. Without --language a small BERT is pretrained here by masked language modelling (minutes,
once; it is kept in the cache); there every repetition has classes and pictures of its own, but one and the same BERT.

Writes .png, .csv (one row per cell and step mark) and .json; a killed run resumes, within a training too.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.checkpoints import DivergedError
from neural.datasets import open_dataset
from neural.transfer.initialisations import initialise
from neural.transfer.masked_language import BertSettings, small_bert
from neural.transfer.model import PatchTransformer
from neural.transfer.pictures import PictureSet, PictureTask, file_task, glyph_task
from neural.transfer.stack import LanguageStack, find_language, load_stack
from neural.transfer.training import Schedule, train
from studies import harness
from studies.language_to_vision_figure import draw
from studies.language_to_vision_plan import ARMS, PRESETS, Plan, Preset
from studies.language_to_vision_report import Results, as_markdown, csv_rows, summarise
from studies.outputs import Report, write_report

__all__ = ["compute", "main", "run_cell"]

NAME = "language_to_vision"
QUICK_BERT_STEPS = 600


def run_cell(
    cell: dict[str, Any],
    pretrained: LanguageStack,
    task: PictureTask,
    *,
    device: str = "cpu",
    folder: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Train one network.

    Args:
        cell: from `Plan.cell`.
        pretrained: layers of the language model, which stay as they are.
        task: pictures.
        device: torch device.
        folder: where the training's checkpoint is kept while it runs; None keeps none.
        progress: called with the number of steps done since the last call.

    Returns:
        Accuracies at the step marks, losses, seconds.
    """
    began = time.perf_counter()
    seed, schedule = cell["seed"], Schedule(**cell["schedule"])
    stack = initialise(pretrained, ARMS[cell["arm"]][0], seed)
    model = PatchTransformer(stack, task.n_classes, task.settings, seed=seed).to(device)
    labels = torch.tensor(task.train.labels)

    def loss(rows: Tensor, noise: torch.Generator) -> Tensor:
        logits = model(task.train.take(rows).to(device), dropout=noise)
        return F.cross_entropy(logits.float(), labels[rows].to(device))

    def look() -> dict[str, float]:
        return {"val": _accuracy(model, task.val, device), "test": _accuracy(model, task.test, device)}

    kept = None if folder is None else folder / f"{NAME}-{harness.cell_key(cell)}.unfinished"
    log = train(
        model,
        loss,
        len(task.train),
        schedule,
        seed=seed,
        frozen=model.stack,
        look=look,
        device=device,
        checkpoint=kept,
        what=cell,
        progress=progress,
    )
    every = schedule.look_every
    means = [
        sum(part) / len(part) for i in range(0, schedule.steps, every) if (part := log.losses[i : i + every])
    ]
    return {**log.looks, "loss": means, "seconds": round(time.perf_counter() - began, 2)}


def _accuracy(model: PatchTransformer, pictures: PictureSet, device: str, size: int = 256) -> float:
    right = 0
    for rows in torch.arange(len(pictures)).split(size):
        told = model(pictures.take(rows).to(device)).argmax(dim=1).cpu()
        right += int((told == torch.tensor(pictures.labels[rows.numpy()])).sum())
    return right / len(pictures)


def compute(
    plan: Plan,
    todo: Sequence[dict[str, Any]],
    pretrained: LanguageStack,
    cells: harness.Cells,
    device: str,
    folder: Path,
) -> None:
    """Train what is missing, storing every cell as it finishes; its checkpoint is then deleted."""

    def work(cell: dict[str, Any], progress: Callable[[int], object]) -> dict[str, Any]:
        task = plan.task(cell["seed"])
        return run_cell(cell, pretrained, task, device=device, folder=folder, progress=progress)

    workers = harness.usable_cores() if torch.device(device).type == "cpu" else 1
    with harness.progress_bar(len(todo) * plan.preset.schedule.steps, " steps") as bar:
        for cell, result in harness.in_parallel(work, todo, workers, bar):
            cells.add([(cell, result)])
            (folder / f"{NAME}-{harness.cell_key(cell)}.unfinished").unlink(missing_ok=True)


def _language(
    options: argparse.Namespace, cache: Path
) -> tuple[LanguageStack, dict[str, Any], dict[str, Any]]:
    """Layers, what identifies them, and what to record of them."""
    if options.language is not None:
        checkpoint = find_language(options.language, local_files_only=options.offline)
        stack = load_stack(checkpoint)
        return stack, dict(checkpoint.fingerprint), {"name": options.language, **checkpoint.fingerprint}
    steps = options.bert_steps or (QUICK_BERT_STEPS if options.quick else BertSettings().steps)
    settings = BertSettings(steps=steps)
    with harness.one_torch_thread(), harness.progress_bar(settings.steps, " steps of pretraining") as bar:
        stack, about = small_bert(settings, seed=options.data_seed, cache=cache, progress=bar.update)
    return (
        stack,
        {"small BERT": about["fingerprint"]},
        {"name": "small BERT", **about, "settings": asdict(settings)},
    )


def _pictures(options: argparse.Namespace, preset: Preset, cache: Path) -> Callable[[int], PictureTask]:
    """Repetition to pictures; characters are drawn anew for each, files are the same."""
    if options.images is None:
        patch = options.patch or preset.patch
        return lru_cache(maxsize=None)(
            lambda seed: glyph_task(preset.glyphs, patch=patch, seed=options.data_seed + seed, cache=cache)
        )
    dataset = open_dataset(options.images, seed=options.data_seed)
    task = file_task(dataset, side=options.side, patch=options.patch or 16, look_at=preset.look_at)
    return lambda seed: task


def _preset(options: argparse.Namespace) -> Preset:
    """The chosen preset with what the command line changes."""
    preset = PRESETS["quick" if options.quick else options.preset]
    names = ("steps", "batch", "unfreeze_at", "accumulate", "precision", "look_every", "save_every")
    changes = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    preset = replace(preset, schedule=replace(preset.schedule, **changes))
    if options.seeds is not None:
        preset = replace(preset, seeds=options.seeds)
    if options.learning_rates is not None:
        preset = replace(preset, learning_rates=tuple(options.learning_rates))
    return preset


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__, seeds=PRESETS["default"].seeds, device=True)
    add = parser.add_argument
    add("--preset", choices=[name for name in PRESETS if name != "quick"], default="default")
    add("--language", metavar="MODEL", help="bert-large, hub name, or folder of save_pretrained")
    add("--offline", action="store_true", help="use the local hub cache and no network")
    add("--images", metavar="PATH", help="folder of class folders, or a list (.csv, .json)")
    add("--side", type=int, default=224, help="pixels of an image's sides (default 224)")
    add("--patch", type=int, help="pixels of a patch's sides (default 16; characters 8)")
    add("--arms", nargs="+", default=[], metavar="ARM", help=", ".join(ARMS))
    add("--data-seed", type=int, default=0, help="seed of BERT, classes, pictures, splits (default 0)")
    add("--bert-steps", type=int, help=f"pretraining of the small BERT (default {BertSettings().steps:,})")
    trained = parser.add_argument_group("training; the preset's unless given")
    trained.add_argument("--steps", type=int, help="optimiser steps")
    trained.add_argument("--unfreeze-at", type=int, help="steps before the layers are trained too")
    trained.add_argument("--batch", type=int, help="pictures per step")
    trained.add_argument("--accumulate", type=int, help="parts of a batch, one after the other")
    trained.add_argument("--precision", help="float32, bfloat16 or float16")
    trained.add_argument(
        "--learning-rates", type=float, nargs="+", help="each arm takes the best by validation"
    )
    trained.add_argument("--look-every", type=int, help="steps between measurements")
    trained.add_argument("--save-every", type=int, help="steps between checkpoints")
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
    cache = options.runs / "cache"
    with harness.usage_errors(parser):
        harness.check_device(options.device)
        preset = _preset(options)
        pictures = _pictures(options, preset, cache)
        stack, key, about = _language(options, cache)
        plan = Plan(key, pictures, preset, tuple(options.arms))
        todo_all = plan.cells()
    prepared = time.perf_counter() - began
    cells = harness.Cells(options.runs / f"{NAME}.jsonl")
    todo = cells.missing(todo_all)
    task = plan.task(0)
    name = f"{NAME}_{task.name}"
    print(
        f"{about['name']} ({stack.kind}, {stack.depth} layers, width {stack.width}) on {task.name}: {task.n_classes} "
        f"classes, {len(task.train):,} pictures of {task.settings.count} patches to learn from; "
        f"{len(todo_all)} trainings of {preset.schedule.steps:,} steps, {len(todo)} to do",
        flush=True,
    )
    try:
        compute(plan, todo, stack, cells, options.device, options.runs / NAME)
    except DivergedError as error:
        parser.exit(1, f"{NAME}: {error}\n")
    summary = summarise(Results(plan, cells))
    draw(summary, options.out / f"{name}.png", f"{about['name']} to {task.name}, {task.n_classes} classes")
    return write_report(
        Report(summary, as_markdown(summary), csv_rows(plan, cells)),
        options,
        name,
        config={"preset": preset, "arms": list(plan.arms), "language": about, "pictures": task.about},
        began=began,
        keys=todo_all,
        store=cells,
        computed=len(todo),
        seconds_of_preparation=round(prepared, 1),
    )


if __name__ == "__main__":
    main()
