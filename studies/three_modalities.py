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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit.checks import UnknownNameError
from neural.fewshot.presets import PRESETS, Grid, Preset, differences, resized
from neural.heads.runs import Schedule
from neural.results.contrasts import by_key, contrast, means, paired
from neural.results.intervals import Interval
from neural.results.parallel import one_torch_thread, progress_bar
from neural.results.table import shots_label
from neural.results.text import direction, gain_text
from neural.tasks.imagenet_esc import ImagenetEsc, open_imagenet_esc
from neural.tasks.modalities import Modalities, of_task
from neural.worlds.glyph_outline_rows import glyph_modalities
from neural.worlds.glyphs import GlyphSettings
from studies.lab.finding import Finding, evidence_of, overall, records
from studies.lab.modality_grid import Plan, Training, by_split, rows_of, together
from studies.lab.options import command_line, command_parser, run_study
from studies.lab.outputs import Report, finished
from studies.lab.task_sources import SOURCES, make_task, parse_settings, settings_from
from studies.lab.text_sweep import GRID, SCHEDULE
from studies.lab.three_modalities_report import as_markdown, draw, long_table, shots_title, step_label
from studies.published.numbers import published
from studies.published.printed import three_modalities_printed

__all__ = ["gains_of", "main", "summarise"]

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
SOUND = ("audio", "outline")  # outlines of characters stand in for sounds
IMAGE = ("image", "picture")
#: What the paper classifies in each of its figures and tables.
EXHIBITS = {
    ("Figure", 6): SOUND,
    ("Figure", 34): IMAGE,
    ("Figure", 35): IMAGE,
    ("Figure", 36): SOUND,
    ("Table", 25): SOUND,
    ("Table", 26): IMAGE,
}


def _differences(
    splits: pd.DataFrame, target: str, treated: Training, control: Training
) -> dict[str, Interval]:
    """Paired differences between two trainings of one target, by shots."""
    mine = splits[splits["target"].eq(target)]
    found = contrast(mine, treated.label, control.label, ["shots"], "split", column="training")
    return by_key(found, "shots")


def gains_of(plan: Plan, splits: pd.DataFrame) -> pd.DataFrame:
    """What help is worth in each split: accuracy minus that of the fair control; a table like `splits`."""
    gains = []
    for target in plan.targets:
        mine = splits[splits["target"].eq(target)]
        for training in plan.trainings(target):
            if training.helped:
                control = plan.control_of(training.auxiliaries)
                gain = paired(mine, training.label, control.label, ["shots"], "split", column="training")
                gains.append(gain.assign(target=target, training=training.label))
    return pd.concat(gains, ignore_index=True)


def _steps(plan: Plan, splits: pd.DataFrame, target: str) -> list[dict[str, Any]]:
    """What each further modality adds to those before it; the first to the fair control."""
    steps = []
    for arm in ("uml", "uml_init"):
        for before, after in plan.steps(target):
            other = Training(before, arm) if before else plan.control_of(after)
            for shots, difference in _differences(splits, target, Training(after, arm), other).items():
                step = {"target": target, "shots": shots, "arm": arm, "before": before, "after": after}
                steps.append(step | {"difference": difference})
    return steps


def summarise(plan: Plan, splits: pd.DataFrame, gains: pd.DataFrame) -> dict[str, Any]:
    """Everything that is reported, as plain data, from the table of `by_split` and that of `gains_of`."""
    places = ("target", "shots", "training")
    accuracies = by_key(means(splits, places, "split"), *places)
    gained = by_key(means(gains, places, "split"), *places)
    shots = [shots_label(k) for k in plan.preset.shots]
    accuracy, steps = [], []
    for target in plan.targets:
        for k in shots:
            for training in plan.trainings(target):
                place = (target, k, training.label)
                entry = {"target": target, "shots": k, **vars(training), "training": training.label}
                entry["accuracy"] = accuracies[place]
                accuracy.append(entry | ({"minus_control": gained[place]} if training.helped else {}))
        steps += sorted(_steps(plan, splits, target), key=lambda step: shots.index(step["shots"]))
    return {
        "source": plan.source.name,
        "classes": len(plan.source.classes),
        "about": dict(plan.source.about),
        "targets": list(plan.targets),
        "modalities": list(plan.source.modalities),
        "shots": shots,
        "splits": plan.preset.seeds,
        "runs_per_split": plan.source.runs_per_split,
        "auxiliary_rows": plan.auxiliary_rows,
        "control": plan.control,
        "candidates_per_training": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": accuracy,
        "steps": steps,
        "published": _published(plan),
        "verdicts": [_verdict(plan, splits, target, accuracy, steps) for target in plan.targets],
    }


def _verdict(
    plan: Plan,
    splits: pd.DataFrame,
    target: str,
    accuracy: list[dict[str, Any]],
    steps: list[dict[str, Any]],
) -> str:
    """Whether each further modality helps, in one line, with what the wrong labels do."""
    claims: dict[str, list[str]] = {}
    for k in map(shots_label, plan.preset.shots):
        mine = [
            step for step in steps if (step["target"], step["arm"], step["shots"]) == (target, "uml_init", k)
        ]
        words = [direction(step["difference"], up="gains", down="loses") for step in mine]
        claim = "holds" if set(words) == {"gains"} else "is undecided"
        if "loses" in words:
            claim = "fails"
        lost = [
            f"{together(step['after'])} below {together(step['before'])}"
            for step, word in zip(mine, words, strict=True)
            if word == "loses"
        ]
        counts = f"{words.count('gains')} of {len(words)} steps gain"
        claims.setdefault(claim, []).append(f"{k} ({'; '.join([counts, *lost])})")
    parts = [f"{word} at {', '.join(where)} shots" for word, where in claims.items()]
    line = f"{target}: that more modalities help more (UML init) {'; '.join(parts)}"
    matters: dict[str, list[str]] = {}
    for subset in plan.subsets(target):
        if len(subset) > 1:
            right, wrong = (Training(subset, "uml_init", shuffled) for shuffled in (False, True))
            for k, by_labels in _differences(splits, target, right, wrong).items():
                meaning = direction(by_labels, up="matter", down="hurt", unclear="are undecided")
                matters.setdefault(f"{subset[-1]}'s labels {meaning}", []).append(k)
    if matters:
        line += ". Beside the others, " + ", ".join(
            f"{what} at {', '.join(where)}" for what, where in matters.items()
        )
    permuted = [
        f"{together(e['auxiliaries'])} at {e['shots']}"
        for e in accuracy
        if (e["target"], e["arm"]) == (target, "init_permuted") and e["minus_control"].low > 0
    ]
    return f"{line}. Permuted labels gain {', '.join(permuted) if permuted else 'nowhere'}"


def _published(plan: Plan) -> list[dict[str, Any]]:
    """The paper's Tables 25 and 26, where the data are theirs; they name no encoders. Never mixed with ours."""
    found = []
    tables = {"audio": 25, "image": 26} if plan.source.name.startswith("imagenet_esc_") else {}
    for target in plan.targets:
        if target not in tables:
            continue
        rows = published(tables[target], dataset=plan.source.name, metric="accuracy")
        for method, shots, value in zip(rows["method"], rows["shots"], rows["value"], strict=True):
            helping = set(method.split("+")) - {target}
            ordered = [name for name in plan.source.modalities if name in helping]
            if len(ordered) == len(helping) and int(shots) in plan.preset.shots:
                entry = {"target": target, "shots": str(shots), "auxiliaries": ordered}
                found.append(entry | {"accuracy": float(value)})
    return found


# ---------------------------------------------------------------- findings


def _findings(summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """Does each further modality help? That fails where one step of UML (init) loses against what came before it."""
    found = {}
    lines = dict(zip(summary["targets"], summary["verdicts"], strict=True))
    for (kind, number), names in EXHIBITS.items():
        target = next((target for target in summary["targets"] if target in names), None)
        if target is None:
            continue
        shown, words, evidence = [], [], []
        for k in summary["shots"]:
            place = (target, "uml_init", k)
            gains = [
                f"with {together(e['auxiliaries'])} {gain_text(e['minus_control'])}"
                for e in summary["accuracy"]
                if (e["target"], e["arm"], e["shots"]) == place and not e["shuffled"]
            ]
            shown.append(f"{shots_title(k)}: {'; '.join(gains)}")
            steps = [
                evidence_of(f"{target}, {step_label(s)}, {shots_title(k)}", s["difference"])
                for s in summary["steps"]
                if (s["target"], s["arm"], s["shots"]) == place
            ]
            came_to = {step.verdict for step in steps}
            word = "holds" if came_to == {"holds"} else "undecided"
            words.append("fails" if "fails" in came_to else word)
            evidence += steps
        line = lines[target]
        if number in {35, 36} and summary["control"] != "unimodal":
            line += "; the stand-in's encoders are not aligned, as CLIP's are"
        ours = f"{target}, UML (init) minus alone. {'. '.join(shown)}"
        printed = three_modalities_printed(kind, number)
        found[kind, number] = Finding(ours, printed, overall(words), line, tuple(evidence))
    return found


# ---------------------------------------------------------------- command line


def _source(options: argparse.Namespace, preset: Preset) -> Modalities | ImagenetEsc:
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
        with one_torch_thread(), progress_bar(sizes.steps, " pretraining steps") as bar:
            return glyph_modalities(sizes, seed=seed, cache=cache, progress=bar.update)
    if options.dataset == "digits":
        settings = {"speech": options.speech} | settings
    else:
        settings = {"auxiliaries": ("text", "audio")} | settings
    task = make_task(options.dataset, settings, seed=seed, cache=cache)
    return of_task(task.normalised() if options.normalise else task, seed, order=SPACES)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__, seeds=SEEDS, device=True)
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
    """Run the study, see the module's docstring; returns the summary that is also written as JSON."""
    with command_line(_parser(), arguments) as options:
        preset = _preset(options)
        source = _source(options, preset)
        plan = Plan(source, preset, tuple(options.targets), options.auxiliary_rows, options.logit_scale)
        cells = plan.cells()
    print(f"{source.name}: {', '.join(source.modalities)}; {len(cells)} cells", flush=True)
    run = finished(cells, options, f"{NAME}.jsonl")
    rows = rows_of(plan, run.store)
    splits = by_split(rows)
    gains = gains_of(plan, splits)
    summary = summarise(plan, splits, gains)
    summary["findings"] = records(_findings(summary))
    name = f"{NAME}_{source.name}"
    draw(plan, splits, gains, summary, options.out / f"{name}.png")
    config = {"preset": preset, "targets": list(plan.targets), "logit_scale": plan.logit_scale}
    return run.write(Report(summary, as_markdown(summary), rows, long_table(summary)), name, config)


if __name__ == "__main__":
    run_study(main)
