"""Which runs reproduce the paper's figures and tables from real data sets: its own data sets, encoders and preset."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fisherkit.checks import UnknownNameError
from neural.datasets.descriptions import find_descriptions
from neural.datasets.doctor import examine
from neural.datasets.reading import MissingError
from neural.embed import encoder
from neural.embed.catalogue import listing
from studies.lab.task_options import file_label
from studies.lab.task_sources import shifts_below
from studies.paper.exhibits import EXHIBITS, Exhibit, check_numbers
from studies.paper.jobs import JOBS, Job, jobs_for
from studies.published.numbers import PRINTED_ENCODERS, published

__all__ = ["jobs_on_disk", "parse_encoders"]

_SECONDS = (60, 3600)  # nobody knows: it depends on the encoders and the device
_FULL = ("--preset", "paper")
_SHORT = {printed: name for name, printed in PRINTED_ENCODERS.items()}
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
        jobs = jobs_for(figures, tables, names, jobs)
    if not jobs:
        reasons = "\n  ".join(dict.fromkeys(lacking))
        raise ValueError(f"--data {root}: nothing of what is asked for can be run:\n  {reasons}")
    return jobs, lacking


def _runs() -> list[_Run]:
    """Everything in the paper that has a data set of its own, in the order in which it is run."""
    runs: dict[tuple[str, ...], _Run] = {}
    for exhibit in EXHIBITS.values():
        for study, dataset, encoders in _made_on(exhibit):
            run = runs.setdefault((study, dataset, *encoders), _Run(f"{study}.py", dataset, encoders))
            (run.figures if exhibit.kind == "Figure" else run.tables).add(exhibit.number)
    order = list(dict.fromkeys(job.script for job in JOBS))
    return sorted(runs.values(), key=lambda run: order.index(run.script))


def _made_on(exhibit: Exhibit) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(study, data set, encoders) that make a figure or table, as far as a folder of data sets suffices for it."""
    if exhibit.name == "Table 3":  # counts all that is there
        yield exhibit.study, "", ()
    elif exhibit.datasets:
        for dataset in exhibit.datasets:
            yield exhibit.study, dataset, exhibit.encoders
    elif exhibit.published and exhibit.study not in {"data_sheets", "three_modalities"}:
        rows = (
            published("figures", figure=exhibit.number)
            if exhibit.kind == "Figure"
            else published(exhibit.number)
        )
        for row in rows[rows["dataset"].ne("average")].itertuples():
            # the upper half of Table 2 is fine-tuning, all else in a table is made by one study
            whole = getattr(row, "protocol", None) == "full_finetuning"
            study = "full_data" if whole else exhibit.study
            yield study, row.dataset, tuple(_SHORT.get(name, name) for name in (row.vision, row.text))


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
            needed = {_part(number) for number in run.tables}
            parts = [part for part in ("linear", "finetune", "ratio") if part in needed]
            options += ["--parts", *parts, *(["--ratios", *_RATIOS] if "ratio" in parts else [])]
        if run.script == "classifier_analysis.py" and run.dataset in _PAIRS:
            options += ["--pairs", *_PAIRS[run.dataset]]
        if run.script == "text_ablations.py":
            options += ["--text-encoders", *(given.get(other, other) for other in _ABLATION_ENCODERS)]
            options += _unrelated(root)
    cells = "image_text_fewshot" if stem in {"robustness", "classifier_analysis"} else stem
    figures, tables = (tuple(sorted(numbers)) for numbers in (run.figures, run.tables))
    return Job(name, run.script, tuple(options), full, (), figures, tables, _SECONDS, cells)


def _part(number: int) -> str:
    """Which part of full_data.py makes a table."""
    rows = published(number)
    if "ratio" in rows:
        return "ratio"
    return "finetune" if rows["protocol"].eq("full_finetuning").any() else "linear"


def _unrelated(root: Path) -> list[str]:
    """Table 24: what is said about cars."""
    try:
        return ["--unrelated", str(find_descriptions("stanford_cars", root))]
    except MissingError:
        return []
