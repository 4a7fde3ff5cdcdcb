"""Which runs reproduce the paper's figures and tables from real data sets: its own data sets, encoders and preset."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fisherkit.checks import UnknownNameError
from neural.datasets.descriptions import find_descriptions
from neural.datasets.doctor import examine
from neural.datasets.reading import MissingError
from neural.encoders import encoder
from neural.encoders.catalogue import listing
from neural.sequences.clips import MULTIBENCH
from studies.jobs import Job, check_numbers, select
from studies.published_numbers import PRINTED_ENCODERS, published
from studies.task_options import file_label
from studies.task_sources import shifts_below

__all__ = ["jobs_on_disk", "parse_encoders"]

_SECONDS = (60, 3600)  # nobody knows: it depends on the encoders and the device
_FULL = ("--preset", "paper")
_SHORT = {printed: name for name, printed in PRINTED_ENCODERS.items()}
_MAIN = ("dinov2-s14", "openllama-3b")
_CLIP = ("clip-rn50", "clip-rn50")
#: {part of full_data.py: tables it is needed for}
_PARTS = {
    "linear": {*range(10, 15), 21},
    "finetune": {2, *range(6, 10), 20, 29},
    "ratio": {28},
}
_RATIOS = ("0.25", "0.5", "2", "4")  # beside 1, as in Table 28
_PAIRS = {
    "oxford_pets": ("russian_blue", "abyssinian"),
    "dtd": ("knitted", "cobwebbed"),
    "oxford_flowers": ("ball moss", "passion flower"),
}
_ABLATION_ENCODERS = ("bert-large", "roberta-large", "gpt2-large")


@dataclass
class _Run:
    """One study on one data set with one pair of encoders, and what it makes."""

    script: str
    dataset: str
    encoders: tuple[str, ...]
    figures: set[int] = field(default_factory=set)
    tables: set[int] = field(default_factory=set)


def parse_encoders(texts: Sequence[str]) -> dict[str, str]:
    """Encoders as given on the command line.

    Args:
        texts: NAME=WHAT each.

    Returns:
        {name in the paper's tables: what a study's --vision or --text gets}; a folder with that encoder keeps its name.

    Raises:
        ValueError: no "=".
        UnknownNameError: no encoder of the paper.

    Example:
        >>> parse_encoders(["dinov2-s14=models/small"])
        {'dinov2-s14': 'models/small'}
    """
    known = sorted({name for run in _runs() for name in run.encoders} | set(_ABLATION_ENCODERS))
    chosen = {}
    for text in texts:
        name, sign, what = text.partition("=")
        if not sign or not what:
            raise ValueError(f"--encoders {text}: expected NAME=WHAT, as in --encoders dinov2-s14=FOLDER")
        if name not in known:
            raise UnknownNameError(name, known, "encoder of the paper")
        chosen[name] = _with_its_name(name, what)
    return chosen


def _with_its_name(name: str, what: str) -> str:
    """NAME=FOLDER where a folder holds that very encoder, so that the paper's numbers stand beside ours."""
    if Path(what).is_dir():
        try:
            encoder(name, folder=what)
        except (ValueError, OSError):  # another network in its place
            return what
        return f"{name}={what}"
    return what


def jobs_on_disk(
    root: Path,
    encoders: Sequence[str] = (),
    figures: Iterable[int] = (),
    tables: Iterable[int] = (),
    names: Iterable[str] = (),
) -> tuple[list[Job], list[str]]:
    """The runs that the data sets below a root suffice for, and what they do not.

    A data set counts if the doctor finds it complete and well-formed, of the published size or not.

    Args:
        root: data root.
        encoders: NAME=WHAT each, see `parse_encoders`; others are looked for by their short names.
        figures: numbers in the paper; with `tables`, none in all is everything.
        tables: likewise.
        names: runs by name.

    Returns:
        (runs, one line for every run that cannot be done, with the reason).

    Raises:
        ValueError: a figure or table that the paper does not have; nothing can be run.
    """
    figures, tables, names = set(figures), set(tables), set(names)
    # runs are looked for by number; a name alone may be any of theirs
    wanted = check_numbers(*((), ()) if names else (figures, tables))
    given = parse_encoders(encoders)
    report = examine(root)
    state = {checkup.key: checkup.state for checkup in report.checkups}
    jobs, lacking = [], []
    for run in _runs():
        run = replace(run, figures=run.figures & wanted[0], tables=run.tables & wanted[1])
        if not (run.figures or run.tables):
            continue
        job = _job(run, root, given)
        if run.dataset and state.get(run.dataset) not in {"ready", "different"}:
            lacking.append(f"{job.contents}, {run.dataset}: {state.get(run.dataset)} below {root}")
        elif reason := _missing_encoder(run, given):
            lacking.append(f"{job.contents}, {run.dataset}: {reason}")
        elif run.script == "robustness.py" and not shifts_below(root):
            lacking.append(f"{job.contents}, imagenet: no shifted ImageNet below {root}")
        elif run.script == "exchange_rate.py" and "--texts" in job.options:
            lacking.append(
                f"{job.contents}, {run.dataset}: an exchange rate needs several sentences about a class, a template gives "
                f"one; put descriptions below {root} (`python -m neural doctor --data {root}` says where)"
            )
        else:
            jobs.append(job)
    lacking += _beyond(wanted)
    if names:
        jobs = select(jobs, figures, tables, names)
    if not jobs:
        reasons = "\n  ".join(dict.fromkeys(lacking))
        raise ValueError(f"--data {root}: nothing of what is asked for can be run:\n  {reasons}")
    return jobs, lacking


def _runs() -> Iterator[_Run]:
    """Everything in the paper that has a data set of its own, in the order in which it is run."""
    yield _Run("data_sheets.py", "", (), tables={3})
    probes: dict[tuple[str, str, str], _Run] = {}
    whole: dict[tuple[str, str, str], _Run] = {}
    for number in range(6, 24):
        rows = published(number)
        for row in rows[rows["dataset"].ne("average")].itertuples():
            encoders = tuple(_SHORT.get(name, name) for name in (row.vision, row.text))
            few = row.protocol == "few_shot_linear_probe"
            script, found = ("image_text_fewshot.py", probes) if few else ("full_data.py", whole)
            run = found.setdefault((row.dataset, *encoders), _Run(script, row.dataset, encoders))
            run.tables.add(number)
            if number in {8, 17}:
                run.tables.add(2)
    for dataset in ("stanford_cars", "sun397"):
        whole[dataset, *_MAIN].tables.add(29)
    whole["sun397", *_MAIN].tables.add(28)
    yield from probes.values()
    yield from whole.values()
    yield _Run("robustness.py", "imagenet", _MAIN, figures={5, 10, 11, 12, 13})
    for row in published("figures").itertuples():
        yield _Run("exchange_rate.py", row.dataset, (row.vision, row.text), figures={int(row.figure)})
    yield _Run("text_ablations.py", "sun397", _MAIN, figures={30, 31, 32, 33}, tables={24, 27})
    for figure, dataset in ((38, "oxford_pets"), (39, "dtd"), (40, "oxford_flowers")):
        yield _Run("classifier_analysis.py", dataset, _CLIP, figures={figure})
    yield _Run("classifier_analysis.py", "sun397", _MAIN, figures={41, 42, 43, 44})
    for dataset in MULTIBENCH:
        yield _Run("self_supervised.py", dataset, (), tables={1})
    yield _Run("language_to_vision.py", "imagenet", ("bert-large",), figures={7})


def _beyond(wanted: tuple[set[int], set[int]]) -> list[str]:
    """What no data root decides."""
    lines = []
    if wanted[0] & {6, 34, 35, 36} or wanted[1] & {25, 26}:
        lines.append(
            "Figures 6, 34-36; Tables 25, 26: three_modalities.py reads features of ImageNet-ESC from files, see its --help"
        )
    if 1 in wanted[1]:
        lines.append(
            "Table 1, pets, UCF101 and DTD: self_supervised.py reads token-level features from files, see its --help"
        )
    if wanted[0] & {1, 2, 3, 4, 37} or wanted[1] & {4, 5}:
        lines.append("Figures 1-4, 37; Tables 4, 5: made from no data set; leave out --data")
    return lines


def _missing_encoder(run: _Run, given: Mapping[str, str]) -> str | None:
    for name in run.encoders:
        if name not in given:
            try:
                listing(name)
            except ValueError as error:
                return f"{error}; or let another encoder take its place: --encoders {name}=WHAT"
    return None


def _job(run: _Run, root: Path, given: Mapping[str, str]) -> Job:
    """The command line of a run."""
    stem = run.script.removesuffix(".py")
    names = [given.get(name, name) for name in run.encoders]
    full: tuple[str, ...] = _FULL
    if run.script == "data_sheets.py":
        return Job(stem, run.script, ("--data", str(root)), tables=(3,), seconds=(10, 10))
    if run.script == "self_supervised.py":
        options = ["--multibench", run.dataset, "--data", str(root)]
        name = f"{stem}_{run.dataset}"
    elif run.script == "language_to_vision.py":
        options = ["--images", str(root / "imagenet" / "images" / "train"), "--language", *names]
        name = f"{stem}_train"
    else:
        options = ["--dataset", run.dataset, "--data", str(root), "--vision", names[0], "--text", names[1]]
        name = f"{stem}_{file_label(run.dataset, *names)}"
        try:
            find_descriptions(run.dataset, root)
        except MissingError:
            options += ["--texts", "hand_crafted"]
        if run.script == "full_data.py":
            parts = [part for part, numbers in _PARTS.items() if run.tables & numbers]
            options += ["--parts", *parts, *(["--ratios", *_RATIOS] if "ratio" in parts else [])]
        if run.script == "classifier_analysis.py" and run.dataset in _PAIRS:
            options += ["--pairs", *_PAIRS[run.dataset]]
        if run.script == "text_ablations.py":
            options += ["--text-encoders", *(given.get(other, other) for other in _ABLATION_ENCODERS)]
            options += _unrelated(root)
    cells = "image_text_fewshot" if stem in {"robustness", "classifier_analysis"} else stem
    figures, tables = (tuple(sorted(numbers)) for numbers in (run.figures, run.tables))
    return Job(name, run.script, tuple(options), full, (), figures, tables, _SECONDS, cells)


def _unrelated(root: Path) -> list[str]:
    """Table 24: what is said about cars."""
    try:
        return ["--unrelated", str(find_descriptions("stanford_cars", root))]
    except MissingError:
        return []
