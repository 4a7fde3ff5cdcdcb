"""Does unpaired data of another modality make a self-supervised model better (Gupta et al. 2025, Table 1)?

    python studies/self_supervised.py                      glyphs: patches of pictures, and letters of names
    python studies/self_supervised.py --quick              fewer seeds and steps, a smaller transformer
    python studies/self_supervised.py --set labels=mark patch=4
    python studies/self_supervised.py --multibench mosi --data ROOT --preset paper --device cuda
    python studies/self_supervised.py --multibench mosei --data ROOT --label-rule nonzero --auxiliaries text audio
    python studies/self_supervised.py --target-features a.safetensors --aux-features b.safetensors --preset vision_text

Linear encoders into one causal transformer, linear decoders back, prediction of the next patch or token; then a linear
probe (scikit-learn's logistic regression) on mean embeddings of the target. Arms, as far as the data allow:

    untrained          random weights: what the probe does on its own
    unimodal           the paper's baseline
    unimodal_2b        with as many sequences per step as UML sees
    uml                all auxiliary sequences, counterparts of the target's among them, shuffled (as in the paper)
    uml_scrambled      the auxiliary's steps dealt anew over all sequences: same letters or vectors, no structure
    uml_unrelated      sequences of the same kind about something else (glyphs: names of pictographs)
    unimodal_half, uml_disjoint    half of the target, and an auxiliary without counterparts: strictly unpaired

All arms take equally many steps, search one grid, and share seeds; the learning rate, the width and the probe's C are
chosen by validation, test rows are looked at once. Writes .png, .csv (one row per cell), .md and .json; a killed run
goes on from finished cells and from the checkpoint of the training in flight.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.checkpoints import DivergedError
from neural.sequences.clips import MULTIBENCH, multibench_sequences
from neural.sequences.files import sequences_from_files
from neural.sequences.glyphs import GlyphSequenceSettings, glyph_sequences
from neural.sequences.model import SharedTransformer, embeddings
from neural.sequences.probe import Probe, fit_probe
from neural.sequences.task import SequenceTask
from neural.sequences.training import Curriculum, History, mixed_precision, train
from studies import harness
from studies.outputs import Report, write_report
from studies.self_supervised_figure import draw
from studies.self_supervised_plan import ARMS, PRESETS, Candidate, Plan, Preset, arm_data
from studies.self_supervised_report import Results, as_markdown, csv_rows, summarise
from studies.task_sources import parse_settings, settings_from

__all__ = ["compute", "main"]

NAME = "self_supervised"
_POINTS = 25  # of a stored loss curve


def compute(
    plan: Plan, todo: Sequence[dict[str, Any]], cells: harness.Cells, device: str, checkpoints: Path
) -> None:
    """Train what is missing, storing every cell as it finishes; checkpoints of finished trainings are deleted."""
    if not todo:
        return

    def work(cell: dict[str, Any], progress: Callable[[int], object]) -> dict[str, Any]:
        return _result(plan, cell, device, checkpoints, progress)

    workers = harness.usable_cores() if torch.device(device).type == "cpu" else 1
    total = sum(plan.cell_steps(cell["arm"]) for cell in todo)
    # the probe's linear algebra as well: threads of two workers on the same cores wait for each other
    with threadpool_limits(1), harness.progress_bar(total, " steps") as bar:
        for cell, result in harness.in_parallel(work, todo, workers, bar):
            cells.add([(cell, result)])
            for path in checkpoints.glob(f"{harness.cell_key(cell)}-*.safetensors"):
                if path.name not in result["kept"] and ".corrupt-" not in path.name:
                    path.unlink()


def _result(
    plan: Plan, cell: dict[str, Any], device: str, checkpoints: Path, progress: Callable[[int], object]
) -> dict[str, Any]:
    """The best candidate of a cell by validation, and its test."""
    began = time.perf_counter()
    arm, seed = cell["arm"], cell["seed"]
    task = plan.tasks[seed]
    data = arm_data(arm, task, seed)
    best: tuple[Probe, SharedTransformer, History, Candidate] | None = None
    scores: list[float | None] = []
    diverged, kept = [], []
    for number, candidate in enumerate(plan.preset.candidates):
        modalities = {name: part.modality for name, part in data.items()}
        model = SharedTransformer(modalities, plan.preset.model_settings(candidate), seed=seed).to(device)
        path = checkpoints / f"{harness.cell_key(cell)}-{number}.safetensors"
        history = History({}, 0)
        if ARMS[arm].trained:
            settings = plan.train_settings(arm, candidate)
            try:
                history = train(
                    model, data, settings, target=task.target, seed=seed, checkpoint=path, progress=progress
                )
            except DivergedError as error:
                scores.append(None)
                diverged.append(str(error))
                kept.append(path.name)  # the last good checkpoint, which the message names
                continue
        try:
            probe = _probe(model, task)
        except ValueError as error:  # embeddings that are not finite, of random weights, too
            scores.append(None)
            diverged.append(str(error))
            continue
        scores.append(probe.val_accuracy)
        if best is None or (probe.val_accuracy, -probe.val_loss) > (best[0].val_accuracy, -best[0].val_loss):
            best = probe, model, history, candidate
    if best is None:
        raise FloatingPointError(f"{arm}, seed {seed}: every training diverged; the last: {diverged[-1]}")
    probe, model, history, candidate = best
    assert task.test.labels is not None
    return {
        "accuracy": probe.accuracy(embeddings(model, task.target, task.test), task.test.labels),
        "val_accuracy": probe.val_accuracy,
        "val_loss": probe.val_loss if math.isfinite(probe.val_loss) else None,
        "strength": probe.strength,
        "setting": vars(candidate),
        "candidates": scores,
        "diverged": diverged,
        "kept": kept,
        "curve": _blocks(history.losses.get(task.target)),
        "final_losses": {name: _blocks(v[-20:], 1)[0] for name, v in history.losses.items()},
        "seconds": round(time.perf_counter() - began, 2),
    }


def _probe(model: SharedTransformer, task: SequenceTask) -> Probe:
    train_rows, val_rows = (embeddings(model, task.target, part) for part in (task.train, task.val))
    assert task.train.labels is not None
    assert task.val.labels is not None
    return fit_probe(train_rows, task.train.labels, val_rows, task.val.labels)


def _blocks(losses: Any, points: int = _POINTS) -> list[float | None]:  # noqa: ANN401
    """Means over stretches of steps; None where the modality had no turn."""
    if losses is None:
        return []
    parts = np.array_split(losses, min(points, len(losses)))
    return [None if np.isnan(part).all() else float(np.nanmean(part)) for part in parts]


def _tasks(options: Any, seeds: int) -> list[SequenceTask]:  # noqa: ANN401
    """One task for each repetition."""
    if options.target_features is not None:
        files = options.aux_features or []
        names = options.auxiliaries or ["text"][: len(files)]
        if len(names) != len(files):
            raise ValueError(
                f"--auxiliaries: {len(files)} files of auxiliaries need as many names, got {names}"
            )
        task = sequences_from_files(
            options.target_features, dict(zip(names, files, strict=True)), scale=not options.raw
        )
        return [task] * seeds
    if options.multibench is not None:
        task = multibench_sequences(
            options.multibench,
            options.data,
            target=options.target,
            auxiliaries=options.auxiliaries,
            label_rule=options.label_rule,
            mimic_task=options.mimic_task,
            scale=not options.raw,
        )
        return [task] * seeds
    given = parse_settings(options.set)
    known = [field.name for field in fields(GlyphSequenceSettings) if field.name != "jitter"]
    settings = settings_from(GlyphSequenceSettings, given, known, "glyphs")
    with harness.one_torch_thread():
        return [
            glyph_sequences(settings, seed=options.data_seed + seed, cache=options.runs / "cache")
            for seed in range(seeds)
        ]


def _preset(options: Any) -> Preset:  # noqa: ANN401
    """The preset with what the command line changes."""
    preset = PRESETS["quick" if options.quick else options.preset]
    changes = {
        name: value
        for name in ("seeds", "steps", "batch", "ratio", "loss_weight", "precision", "micro_batch")
        if (value := getattr(options, name)) is not None
    }
    if options.learning_rates:
        changes["learning_rates"] = tuple(options.learning_rates)
    if options.widths:
        changes["widths"] = tuple(options.widths)
    shape = {
        name: value
        for name in ("layers", "heads", "positions")
        if (value := getattr(options, name)) is not None
    }
    if options.first_epochs:
        if not options.first:
            raise ValueError("--first-epochs: name who is first with --first")
        changes["curriculum"] = Curriculum(tuple(options.first), options.first_epochs)
    return replace(
        preset, **changes, model=replace(preset.model, width=(options.widths or preset.widths)[0], **shape)
    )


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__, seeds=PRESETS["default"].seeds, device=True)
    add = parser.add_argument
    add("--preset", choices=[name for name in PRESETS if name != "quick"], default="default")
    add("--arms", nargs="+", default=[], metavar="ARM", help=", ".join(ARMS))
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the glyphs")
    add("--data-seed", type=int, default=0, help="first seed of the glyphs' split (default 0)")
    size = parser.add_argument_group("training")
    size.add_argument("--steps", type=int, help="optimiser steps of every arm")
    size.add_argument("--batch", type=int, help="target sequences per step")
    size.add_argument("--ratio", type=float, help="auxiliary sequences per target sequence")
    size.add_argument("--loss-weight", type=float, help="of each auxiliary")
    size.add_argument(
        "--first", nargs="+", metavar="NAME", help="curriculum: these modalities train alone first"
    )
    size.add_argument("--first-epochs", type=int, default=0, help="for so many passes over the target")
    size.add_argument("--learning-rates", type=float, nargs="+", help="grid")
    size.add_argument("--widths", type=int, nargs="+", help="grid")
    size.add_argument("--layers", type=int)
    size.add_argument("--heads", type=int)
    size.add_argument("--positions", choices=["none", "sinusoid", "learned"])
    size.add_argument("--precision", choices=["auto", "float32", "bfloat16", "float16"])
    size.add_argument("--micro-batch", type=int, help="sequences in memory at a time")
    disk = parser.add_argument_group("data on disk")
    disk.add_argument("--multibench", metavar="NAME", help=", ".join(MULTIBENCH))
    disk.add_argument("--data", type=Path, default=Path("data"), metavar="ROOT", help="folder of data sets")
    disk.add_argument("--label-rule", help="nonnegative, positive, nonzero or one")
    disk.add_argument(
        "--mimic-task", type=int, default=7, help="-1 for mortality, 0 to 19 for a group of codes"
    )
    disk.add_argument("--target", metavar="NAME", help="modality of MultiBench to learn about")
    disk.add_argument("--auxiliaries", nargs="+", metavar="NAME", help="which may help")
    disk.add_argument("--raw", action="store_true", help="do not standardise features")
    disk.add_argument("--target-features", type=Path, metavar="FILE", help="token-level features with labels")
    disk.add_argument("--aux-features", type=Path, nargs="+", metavar="FILE", help="of the auxiliaries")
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
    with harness.usage_errors(parser):
        harness.check_device(options.device)
        preset = _preset(options)
        mixed_precision(preset.precision, torch.device(options.device))
        plan = Plan(_tasks(options, preset.seeds), preset, tuple(options.arms))
    cells = harness.Cells(options.runs / f"{NAME}.jsonl")
    todo = cells.missing(plan.cells())
    task = plan.tasks[0]
    rows = ", ".join(
        f"{name} {len(data):,} of {data.modality}" for name, data in arm_data("uml", task, 0).items()
    )
    print(f"{task.name}: {rows}; {len(plan.cells())} cells, {len(todo)} to compute", flush=True)
    compute(plan, todo, cells, options.device, options.runs / NAME)
    results = Results(plan, cells)
    summary = summarise(results)
    name = f"{NAME}_{plan.name}"
    draw(summary, options.out / f"{name}.png")
    return write_report(
        Report(summary, as_markdown(summary), csv_rows(plan, results)),
        options,
        name,
        config={"preset": preset, "arms": list(plan.arms)},
        began=began,
        keys=plan.cells(),
        store=cells,
        computed=len(todo),
        task_fingerprints=[task.fingerprint for task in plan.tasks],
    )


if __name__ == "__main__":
    main()
