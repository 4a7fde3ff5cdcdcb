"""What lies below a data root: what is complete, missing or malformed, against the published sizes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from fisherkit.checks import UnknownNameError
from neural.datasets.audio import ESC_FETCH, read_digits, read_esc50
from neural.datasets.coop import read_few_shot
from neural.datasets.descriptions import find_descriptions, load_descriptions
from neural.datasets.items import PARTS, ImageDataset, Items
from neural.datasets.mimic import MIMIC_FETCH, MIMIC_FILE, load_mimic
from neural.datasets.multibench import AFFECT, find_file, load_affect
from neural.datasets.paper_results import Result, reproducible
from neural.datasets.reading import DatasetError, MissingError, listed
from neural.datasets.registry import SPECS
from neural.datasets.shifted_imagenet import SHIFTS, load_shifted
from neural.datasets.spec import DatasetSpec
from neural.datasets.verification import verify_images

__all__ = ["STATES", "Checkup", "Report", "examine", "known_keys"]

STATES = ("ready", "different", "incomplete", "malformed", "missing")
DIGITS_FETCH = "https://github.com/Jakobovski/free-spoken-digit-dataset: recordings/, into fsdd/"


@dataclass(frozen=True)
class Checkup:
    """One data set, as found.

    Attributes:
        key: short name.
        title: as the paper prints it.
        state: "ready" (complete, of the published size where one is known), "different" (complete and well-formed, but
            of another size), "incomplete" (a part of it is missing), "malformed" (wrong content), "missing" (nothing).
        sizes: {"classes", "train", ...: number found}.
        published: the same, as published; None where not published.
        problems: what is wrong, each with its path and, of many files, the first ten.
        notes: what else was found: few-shot index files, descriptions.
        fetch: what to download, from where, to where.
    """

    key: str
    title: str
    state: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    published: Mapping[str, int | None] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    fetch: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The data sets below a data root, each with its checkup."""

    root: Path
    checkups: tuple[Checkup, ...]

    @property
    def ready(self) -> tuple[str, ...]:
        """Keys of the data sets that are ready."""
        return tuple(checkup.key for checkup in self.checkups if checkup.state == "ready")

    @property
    def results(self) -> dict[str, tuple[Result, ...]]:
        """Tables and figures of the paper that the ready data sets suffice for; see `reproducible`."""
        return reproducible(self.ready)

    def as_dict(self) -> dict[str, object]:
        """The report as plain values, for JSON: {"root", "data sets": [...], "results": {...}}."""
        results = {how: [result.label for result in found] for how, found in self.results.items()}
        return {
            "root": str(self.root),
            "data sets": [asdict(checkup) for checkup in self.checkups],
            "results": results,
        }


@dataclass(frozen=True)
class _Found:
    """What reading a data set showed, before it is compared with what is published."""

    sizes: Mapping[str, int]
    published: Mapping[str, int | None]
    items: tuple[Items, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    malformed: tuple[str, ...] = ()


def known_keys() -> tuple[str, ...]:
    """Keys of all data sets that can be examined: the registry's, shifted ImageNet, MultiBench, sounds."""
    return (*SPECS, *SHIFTS, *AFFECT, "mimic", "esc50", "spoken_digits")


def examine(
    root: str | Path, *, only: Collection[str] | None = None, verify: bool = False, workers: int = 1
) -> Report:
    """Look at every data set below a root, or `only` at some; `verify` opens every image and MultiBench file."""
    root = Path(root)
    if not root.is_dir():
        raise MissingError(root, "no such folder; pass the folder that holds the data sets' folders")
    for key in only or ():
        if key not in known_keys():
            raise UnknownNameError(key, known_keys(), "data set")
    chosen = known_keys() if only is None else tuple(dict.fromkeys(only))
    return Report(root, tuple(_checkup(key, root, verify, workers) for key in chosen))


def _checkup(key: str, root: Path, verify: bool, workers: int) -> Checkup:
    title, fetch, places, look = _plan(key, root, verify)
    astray = [place for place in places if place.is_symlink() and not place.exists()]
    if astray:
        problem = f"symbolic links that lead nowhere or in a circle: {listed(astray)}"
        return Checkup(key, title, "malformed", problems=(problem,))
    try:
        found = look()
    except MissingError as error:
        state = "incomplete" if any(place.exists() for place in places) else "missing"
        return Checkup(key, title, state, problems=(str(error),), fetch=fetch)
    except (DatasetError, OSError) as error:
        return Checkup(key, title, "malformed", problems=(str(error),))
    malformed = list(found.malformed)
    if verify:
        missing = {str(items.root / path) for items in found.items for path in items.missing()}
        files = [file for items in found.items for file in items.files if str(file) not in missing]
        broken = verify_images(files, workers=workers)
        if broken:
            malformed.append(f"{len(broken):,} of {len(files):,} images cannot be decoded: {listed(broken)}")
    different = [
        f"{name}: {found.sizes[name]:,} found, {wanted:,} published"
        for name, wanted in found.published.items()
        if wanted is not None and found.sizes.get(name) not in (wanted, None)
    ]
    state = "ready"
    if malformed:
        state = "malformed"
    elif found.missing:
        state = "incomplete"
    elif different:
        state = "different"
    problems = (*malformed, *found.missing, *different)
    needed = fetch if state == "incomplete" else ()
    return Checkup(key, title, state, found.sizes, found.published, problems, found.notes, needed)


def _plan(
    key: str, root: Path, verify: bool
) -> tuple[str, tuple[str, ...], tuple[Path, ...], Callable[[], _Found]]:
    """Title, what to fetch, where something of the data set would lie, and how to look at it."""
    if key in SPECS:
        spec = SPECS[key]
        places = (spec.locate(root), *spec.split_places(root))
        has_split = any(place.is_file() for place in places[1:])
        fetch = tuple(
            what for what in spec.fetch if not (has_split and what.startswith(str(spec.split_file)))
        )
        return spec.title, fetch, places, lambda: _image_dataset(spec, root)
    if key in SHIFTS:
        shift = SHIFTS[key]
        fetch = (shift.fetch, f"classnames.txt: a copy of imagenet/classnames.txt, into {shift.folder}/")
        return shift.title, fetch, (root / shift.folder,), lambda: _shifted(key, root)
    if key in AFFECT:
        source = AFFECT[key]
        return source.title, (source.fetch,), (), lambda: _multibench(key, root, verify)
    if key == "mimic":
        return "MIMIC", (MIMIC_FETCH,), (), lambda: _multibench(key, root, verify)
    if key == "esc50":
        places = (root / "esc-50", root / "ESC-50-master", root / "ESC-50")
        return "ESC-50", (ESC_FETCH,), places, lambda: _esc50(root)
    return "Free Spoken Digits", (DIGITS_FETCH,), (root / "fsdd",), lambda: _digits(root)


def _image_dataset(spec: DatasetSpec, root: Path) -> _Found:
    dataset = spec.read(spec, root)
    published = {"classes": spec.n_classes, **dict(zip(PARTS, spec.published, strict=True))}
    notes, malformed = _companions(spec, root, dataset)
    strange = sorted(set(dataset.classes) & (set(spec.display_names) - set(spec.display_names.values())))
    if strange:
        malformed.append(
            f"{dataset.source}: classes are called like folders, not by their names: {listed(strange)}"
        )
    missing = dataset.missing()
    total = sum(dataset.counts.values())
    lacking = f"{dataset.train.root}: {len(missing):,} of {total:,} images are missing: {listed(missing)}"
    return _Found(
        {"classes": len(dataset.classes), **dataset.counts},
        published,
        tuple(dataset.parts.values()),
        tuple(notes),
        (lacking,) if missing else (),
        tuple(malformed),
    )


def _companions(spec: DatasetSpec, root: Path, dataset: ImageDataset) -> tuple[list[str], list[str]]:
    """Notes and problems about few-shot index files and descriptions."""
    notes, problems = [], []
    files = sorted((root / "indices" / spec.key).glob("shot_*-seed_*.json"))
    good = 0
    for path in files:
        try:
            read_few_shot(path, dataset, folders=spec.folders, image_root=spec.image_root)
            good += 1
        except DatasetError as error:
            problems.append(str(error))
    notes.append(
        f"few-shot index files: {good} good" if files else "few-shot index files: none (subsets are drawn)"
    )
    try:
        texts = load_descriptions(spec.key, root, dataset.classes, fallback=())
    except MissingError:
        notes.append("descriptions: none (templates only)")
    except DatasetError as error:
        problems.append(str(error))
    else:
        covered = len(texts.classes) - len(texts.empty)
        notes.append(
            f"descriptions: {covered} of {len(texts.classes)} classes, {sum(texts.coverage):,} sentences"
        )
        if texts.empty:
            names = [f"{label} {texts.classes[label]!r}" for label in texts.empty]
            problems.append(f"{find_descriptions(spec.key, root)}: no sentence about {listed(names)}")
    return notes, problems


def _shifted(key: str, root: Path) -> _Found:
    shift, test = SHIFTS[key], load_shifted(key, root)
    sizes = {"classes": len(test.classes), "test": len(test.items)}
    return _Found(sizes, {"classes": shift.n_classes, "test": shift.n_images}, (test.items,))


def _multibench(key: str, root: Path, verify: bool) -> _Found:
    path = find_file(MIMIC_FILE if key == "mimic" else AFFECT[key].file, root)
    if not verify:
        return _Found({}, {}, notes=(f"{path.name}, {path.stat().st_size:,} bytes; not opened",))
    if key == "mimic":
        return _Found({part: len(stays) for part, stays in load_mimic(root).parts.items()}, {})
    data = load_affect(key, root)
    sizes = {part: len(clips) for part, clips in data.parts.items()}
    dropped = sum(data.about["dropped"].values())
    return _Found(sizes, {}, notes=(f"{path.name}; {dropped} clips without text are dropped",))


def _esc50(root: Path) -> _Found:
    sounds = read_esc50(root, require_files=False)
    missing = sounds.clips.missing()
    lacking = (
        f"{sounds.clips.root}: {len(missing):,} of {len(sounds.clips):,} clips are missing: {listed(missing)}"
    )
    n_folds = len(np.unique(sounds.folds))
    sizes = {"classes": len(sounds.classes), "clips": len(sounds.clips), "folds": n_folds}
    return _Found(sizes, {"classes": 50, "clips": 2000, "folds": 5}, missing=(lacking,) if missing else ())


def _digits(root: Path) -> _Found:
    folders = [root / "fsdd" / "recordings", root / "free-spoken-digit-dataset" / "recordings"]
    folder = next((f for f in folders if f.is_dir()), folders[0])
    digits = read_digits(folder)
    sizes = {"classes": len(np.unique(digits.clips.labels)), "clips": len(digits.clips)}
    return _Found(sizes, {"classes": 10, "clips": 3000})
