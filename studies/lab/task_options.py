"""The command line of the studies on shared heads: which task, which size; and the task itself."""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from neural.datasets import SPECS
from neural.datasets.shifted_imagenet import SHIFTS
from neural.fewshot.presets import PRESETS, Preset, resized
from neural.results.parallel import one_torch_thread
from neural.tasks.files import from_files
from neural.tasks.task import Task
from studies.lab.options import check_device, command_parser, own_suffix
from studies.lab.task_sources import IMAGENET, SOURCES, encoded_task, make_task, parse_settings

__all__ = [
    "chosen_preset",
    "file_label",
    "fitted_preset",
    "label_of",
    "task_and_preset",
    "task_of",
    "task_parser",
]


def task_parser(doc: str | None, *, seeds: int) -> ArgumentParser:
    """Command line of a study on shared heads: options of all studies, and which task it trains on, of what size."""
    parser = command_parser(doc, seeds=seeds, device=True)
    parser.set_defaults(known_data=frozenset({*SOURCES, *SPECS}))
    add = parser.add_argument
    add("--preset", choices=[name for name in PRESETS if name != "quick"], default=None)
    add("--shots", nargs="+", metavar="K", help="rows per class; 'all' for the whole pool")
    add("--dataset", default="glyphs", metavar="NAME", help=f"{', '.join([*SOURCES, *SPECS])}, or a path")
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="settings of glyphs, concepts or digits",
    )
    add("--data-seed", type=int, default=0, help="seed of the data (default 0)")
    add("--auxiliaries", nargs="+", metavar="NAME", help="which auxiliary modalities, in order")
    add("--aligned", action="store_true", help="all embeddings live in one space (CLIP)")
    add("--normalise", action="store_true", help="scale every row to length one")
    disk = parser.add_argument_group("a data set on disk")
    disk.add_argument("--data", type=Path, default=Path("data"), metavar="ROOT", help="folder of data sets")
    disk.add_argument("--vision", metavar="ENCODER", help="short name, hub name, folder, or NAME=FOLDER")
    disk.add_argument("--text", metavar="ENCODER", help="likewise; the same CLIP twice is an aligned pair")
    disk.add_argument(
        "--texts", default="descriptions", help="descriptions, classname, vanilla or hand_crafted"
    )
    disk.add_argument("--descriptions", type=Path, metavar="FILE", help="JSON {class: [sentences]}")
    disk.add_argument(
        "--strict",
        action="store_true",
        help="--descriptions: no class without sentences, no key without a class",
    )
    disk.add_argument(
        "--shifted",
        nargs="*",
        metavar="NAME",
        help=f"shifted test sets of imagenet (default those below ROOT of {', '.join(SHIFTS)}); without a name none",
    )
    disk.add_argument("--dtype", default="float32", help="of the encoders: float32, float16, bfloat16")
    disk.add_argument("--encoder-batch", type=int, default=32, help="inputs at a time")
    files = parser.add_argument_group("your own embeddings")
    files.add_argument("--target-features", type=Path, metavar="FILE", help="what is classified")
    files.add_argument("--target-test", type=Path, metavar="FILE", help="test rows, where they lie apart")
    files.add_argument(
        "--aux-features",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="what may help; named by --auxiliaries",
    )
    return parser


def chosen_preset(options: Namespace) -> Preset:
    """The size that a command line asks for; a ValueError for --quick with --preset, or shots that are no number."""
    if options.quick and options.preset is not None:
        raise ValueError(f"--quick is a size of its own; leave out --preset {options.preset}, or --quick")
    try:
        shots = [None if k == "all" else int(k) for k in options.shots] if options.shots else None
    except ValueError:
        raise ValueError(f"--shots {' '.join(options.shots)}: give whole numbers, or 'all'") from None
    preset = PRESETS["quick" if options.quick else options.preset or "default"]
    return resized(preset, seeds=options.seeds, shots=shots)


def task_of(options: Namespace, preset: Preset) -> Task:
    """The task that a command line asks for; made, read or encoded.

    Args:
        options: of a parser with `task_parser`.
        preset: shots and repetitions, which say what of a data set on disk is encoded.

    Returns:
        Task.

    Raises:
        UnknownNameError: no such data set, setting, encoder or modality.
        ValueError: options that contradict each other, or that nothing would read.
        OSError: a file that is not there.
    """
    own = options.target_features is not None
    on_disk = not own and options.dataset not in SOURCES
    _refuse_idle(options, own=own, on_disk=on_disk)
    if own:
        task = _own_files(options)
    elif on_disk:
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
            shifted=options.shifted,
            aligned=options.aligned,
            strict=options.strict,
            device=options.device,
            dtype=options.dtype,
            batch_size=options.encoder_batch,
        )
    else:
        settings = parse_settings(options.set)
        with one_torch_thread():
            task = make_task(options.dataset, settings, seed=options.data_seed, cache=options.runs / "cache")
    if options.auxiliaries and not own:
        task = task.only(options.auxiliaries)
    return task.normalised() if options.normalise else task


def fitted_preset(options: Namespace, preset: Preset, task: Task) -> Preset:
    """The preset without default shots that the pool is too small for; a ValueError where they were asked for."""
    if options.shots:
        for k in preset.shots:
            task.few_shot(k, 0)
        return preset
    most = int(task.train.counts(len(task.classes)).max())
    there = [k for k in preset.shots if k is None or k <= most]
    if len(there) < len(preset.shots):
        print(f"no class has more than {most} training rows; shots: {', '.join(map(str, there)) or 'all'}")
    return resized(preset, seeds=None, shots=there or [None])


def task_and_preset(options: Namespace) -> tuple[Task, Preset]:
    """What a study trains on, and its size with shots that there are rows for, after a look at the device."""
    check_device(options.device)
    preset = chosen_preset(options)
    task = task_of(options, preset)
    return task, fitted_preset(options, preset, task)


def label_of(options: Namespace, task: Task) -> str:
    """How files of a study on this task are called: its name, and what makes it another than the default one."""
    parts = [task.name, options.vision, options.text, *(options.auxiliaries or []), *sorted(options.set)]
    if options.shifted is not None:
        parts += options.shifted or ["no-shift"]
    parts += [flag for flag in ("aligned", "normalise") if getattr(options, flag)]
    own = own_suffix(options)
    if not own:  # else part of the hash
        usual = {"data_seed": 0, "logit_scale": 1.0}
        given = {name: getattr(options, name, value) for name, value in usual.items()}
        parts += [f"{name}={value:g}" for name, value in given.items() if value != usual[name]]
    return file_label(*parts) + own


def file_label(*parts: object) -> str:
    """Names and settings as part of a file's name.

    Args:
        *parts: anything printable; what is empty is left out.

    Returns:
        Letters, digits, points and dashes, joined by underscores.

    Example:
        >>> file_label("concepts", None, "models/small", "rank=6")
        'concepts_models-small_rank-6'
    """
    return "_".join(re.sub(r"[^A-Za-z0-9.-]+", "-", str(part)).strip("-") for part in parts if part)


def _refuse_idle(options: Namespace, *, own: bool, on_disk: bool) -> None:
    """Nobody shall believe that an option was heeded that nothing reads."""
    encoders = bool(options.vision or options.text or options.descriptions)
    files = bool(options.aux_features or options.target_test)
    idle: Sequence[tuple[str, bool]] = [
        ("--aux-features, --target-test: need --target-features", not own and files),
        ("--strict: is about --descriptions FILE", options.strict and not options.descriptions),
        ("--set: settings are of glyphs, concepts and digits", (own or on_disk) and bool(options.set)),
        (
            f"--shifted: test sets of --dataset {IMAGENET}",
            options.shifted is not None and (own or options.dataset != IMAGENET),
        ),
        ("--vision, --text, --descriptions: need a data set on disk (--dataset)", not on_disk and encoders),
        (
            f"--aligned: {options.dataset} says itself whether it is aligned (concepts: --set aligned=True)",
            not own and not on_disk and options.aligned,
        ),
    ]
    for message, wrong in idle:
        if wrong:
            raise ValueError(message)


def _own_files(options: Namespace) -> Task:
    names = list(options.auxiliaries or [])
    if not names and len(options.aux_features) <= 1:
        names = ["text"] * len(options.aux_features)
    if len(names) != len(options.aux_features) or len(set(names)) != len(names):
        raise ValueError(
            f"--aux-features: {len(options.aux_features)} files need as many different names, got --auxiliaries "
            f"{' '.join(names) or '(none)'}"
        )
    auxiliaries = dict(zip(names, options.aux_features, strict=True))
    tests = {"test": options.target_test} if options.target_test else None
    return from_files(
        options.target_features, auxiliaries, test=tests, aligned=options.aligned, seed=options.data_seed
    )
