"""Does each further unpaired modality help? Every modality as the target, every subset of the others as help (E.10).

    python studies/three_modalities.py                         glyphs: sentences, pictures, outlines of characters
    python studies/three_modalities.py --quick                 fewer seeds and steps
    python studies/three_modalities.py --dataset digits --speech FOLDER       pictures, descriptions, recordings
    python studies/three_modalities.py --dataset concepts --set n_classes=50  simulated: text and sound share latents
    python studies/three_modalities.py --dataset imagenet_esc_27 --audio-features esc-50/features.pt \
        --image-features images.npz --text-features names.npz [--aligned --normalise --logit-scale 100] --preset esc

The paper's claim (Tables 25, 26; Figures 6, 34 to 36): accuracy grows with each modality that is added. Frozen encoders
of one modality each, a shared linear head; with several auxiliaries each brings a batch of its own to every step, and the
head lives in the space of the first (text, then images). For every target and every subset of the others:

    matched             the target alone, with the projection that the subset needs: the fair control
    uml, uml_init       shared head; started from the class means of the first auxiliary
    init_permuted       UML (init) with wrong classes of all auxiliaries
    ..., X permuted     UML (init) with wrong classes of the last auxiliary only: what X is worth beside the others

Only the training pool of a modality ever helps; glyph sentences are dealt 4 / 2 / 2 of eight per class, digit
descriptions 6 / 2 / 2 of ten, recordings half, a quarter, a quarter. ImageNet-ESC follows the five folds and 25 runs of
Lin et al. (2023): five splits of the target times five draws of one row per class of what helps; intervals are over the
five splits, each the mean of its draws, since runs of one split share their test rows' noise. File layouts are in
`neural.datasets.esc_features`.

Two presets are of ImageNet-ESC. `esc` has the grid of Lin et al. (2023): learning rates 0.1 to 1e-4, weight decays 0, 0.01
and 1e-4, 4 rows of the target and 4 of what helps, all 12,800 steps; their features have length one and their logits are
multiplied by 100 (--normalise --logit-scale 100), and their heads with help start from class means, as uml_init does. The
paper's released code has the same rates and decays for sounds, batches of 8, and stops early. `paper` has the paper's Table 5
instead, without the two highest rates; its text names no other grid. Here, unlike there, several modalities that help
bring 4 rows each, not 4 together, and the target alone has 4 rows as well, not 8.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit.checks import UnknownNameError
from neural.data.glyph_outline_rows import glyph_modalities
from neural.data.glyphs import GlyphSettings
from neural.data.imagenet_esc import open_imagenet_esc
from neural.data.modalities import of_task
from neural.heads.runs import Schedule
from studies import harness
from studies.head_cells import compute
from studies.head_presets import PRESETS, Grid, Preset, resized
from studies.outputs import Report, write_head_report
from studies.task_sources import SOURCES, make_task, parse_settings, settings_from
from studies.text_sweep import GRID, SCHEDULE
from studies.three_modalities_figure import draw
from studies.three_modalities_plan import Plan, Source
from studies.three_modalities_report import Results, as_markdown, csv_rows, summarise, table_rows

__all__ = ["main"]

NAME = "three_modalities"
DATASETS = ("glyphs", "digits", "concepts", "imagenet_esc_19", "imagenet_esc_27")
SPACES = ("text", "image")  # where a shared head lives, if that modality helps
SEEDS, SHOTS = 5, (1, 4)
PUBLISHED_SHOTS = (1, 2, 4)  # of Tables 25 and 26
ESC = Preset(  # of Lin et al. (2023)
    seeds=SEEDS,
    shots=PUBLISHED_SHOTS,
    schedule=Schedule(iterations=12_800, warmup=50, eval_every=100, patience=None),
    grid=Grid((0.1, 0.01, 1e-3, 1e-4), (0.0, 0.01, 1e-4), (4,), (False,), (1.0,)),
)


def _source(options: argparse.Namespace, preset: Preset) -> Source:
    """Where the tasks come from."""
    settings, seed, cache = parse_settings(options.set), options.data_seed, options.runs / "cache"
    if options.dataset not in DATASETS:
        raise UnknownNameError(options.dataset, DATASETS, "data set")
    if options.dataset.startswith("imagenet_esc_"):
        return open_imagenet_esc(
            int(options.dataset[-2:]),
            images=options.image_features,
            sounds=options.audio_features,
            texts=options.text_features,
            indices=options.image_indices,
            shots=[k for k in preset.shots if k is not None],
            aligned=options.aligned,
            normalised=options.normalise,
        )
    if options.dataset == "glyphs":
        sizes = settings_from(GlyphSettings, settings, SOURCES["glyphs"].held, "glyphs")
        with harness.one_torch_thread(), harness.progress_bar(sizes.steps, " pretraining steps") as bar:
            return glyph_modalities(sizes, seed=seed, cache=cache, progress=bar.update)
    if options.dataset == "digits":
        settings = {"speech": options.speech} | settings
    else:
        settings = {"auxiliaries": ("text", "audio")} | settings
    task = make_task(options.dataset, settings, seed=seed, cache=cache)
    return of_task(task.normalised() if options.normalise else task, seed, order=SPACES)


def _parser() -> argparse.ArgumentParser:
    parser = harness.parser(__doc__, seeds=SEEDS, device=True)
    add = parser.add_argument
    add("--preset", choices=[*(name for name in PRESETS if name != "quick"), "esc"], default="default")
    add("--dataset", default="glyphs", metavar="NAME", help=", ".join(DATASETS))
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of glyphs, digits, concepts")
    add("--data-seed", type=int, default=0, help="seed of the data (default 0)")
    add("--targets", nargs="+", default=[], metavar="NAME", help="which modalities to classify")
    add("--shots", nargs="+", type=int, metavar="K", help="rows per class")
    add("--auxiliary-rows", type=int, metavar="K", help="rows per class of what helps (default all)")
    add("--normalise", action="store_true", help="scale every row to length one")
    add("--aligned", action="store_true", help="all features live in one space (CLIP and AudioCLIP)")
    add("--logit-scale", type=float, default=1.0, help="fixed factor of all logits")
    files = parser.add_argument_group("files")
    files.add_argument("--speech", type=Path, metavar="FOLDER", help="recordings of spoken digits")
    files.add_argument("--audio-features", type=Path, metavar="FILE", help="AudioCLIP's features of ESC-50")
    files.add_argument("--image-features", type=Path, metavar="FILE", help="of ImageNet's images, with paths")
    files.add_argument("--text-features", type=Path, metavar="FILE", help="one row per class, with names")
    files.add_argument("--image-indices", type=Path, metavar="FOLDER", help="ImageNet's few-shot files")
    return parser


def _preset(options: argparse.Namespace) -> Preset:
    name = "quick" if options.quick else options.preset
    shots = PUBLISHED_SHOTS if name in {"paper", "esc"} else SHOTS
    base = resized(ESC if name == "esc" else PRESETS[name], seeds=None, shots=shots)
    if name == "default":  # many conditions, so fewer and shorter trainings each
        base = replace(base, schedule=SCHEDULE, grid=GRID)
    few = 3 if options.quick else SEEDS
    return resized(base, seeds=options.seeds or few, shots=options.shots)


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
        source = _source(options, preset)
        plan = Plan(source, preset, tuple(options.targets), options.auxiliary_rows, options.logit_scale)
        cells = plan.cells()
    store = harness.Cells(options.runs / f"{NAME}.jsonl")
    print(f"{source.name}: {', '.join(source.modalities)}; {len(cells)} cells", flush=True)
    computed = compute(cells, store, options.device)
    summary = summarise(Results(plan, store))
    name = f"{NAME}_{source.name}"
    draw(summary, options.out / f"{name}.png")
    return write_head_report(
        Report(summary, as_markdown(summary), csv_rows(plan, store), table_rows(summary)),
        options,
        name,
        cells,
        store,
        config={"preset": preset, "targets": list(plan.targets), "logit_scale": plan.logit_scale},
        began=began,
        computed=computed,
    )


if __name__ == "__main__":
    main()
