"""Where a study's task comes from: a source of the project with settings by name, or images and sentences on disk."""

import ast
import inspect
import posixpath
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fisherkit.checks import UnknownNameError
from neural.datasets import (
    SPECS,
    DatasetError,
    ImageDataset,
    load,
    load_few_shot,
    load_texts,
    open_dataset,
    open_texts,
)
from neural.datasets.class_texts import ClassTexts, from_templates, template_set
from neural.datasets.imagenet import ClassNames
from neural.datasets.reading import listed
from neural.datasets.shifted_imagenet import SHIFTS, ShiftedTest, load_shifted
from neural.embed import encoder
from neural.results.parallel import progress_bar
from neural.tasks.encoded import encode_task
from neural.tasks.task import Task
from neural.worlds.concepts import ConceptWorld, concepts
from neural.worlds.digits import digits
from neural.worlds.glyphs import GlyphSettings, glyphs

__all__ = [
    "IMAGENET",
    "SOURCES",
    "encoded_task",
    "make_task",
    "parse_settings",
    "settings_from",
    "shifts_below",
]

IMAGENET = "imagenet"  # the data set that has shifted test sets


@dataclass(frozen=True)
class Source:
    """A function that makes tasks, and the dataclass that holds some of its settings.

    Attributes:
        function: makes the task.
        holder: dataclass of further settings, passed as the argument named `argument`.
        argument: its name.
        slow: whether the function takes a folder to keep things in, and reports progress.
    """

    function: Callable[..., Task]
    holder: type | None = None
    argument: str = ""
    slow: bool = False

    @property
    def held(self) -> list[str]:
        """Settings that go into the dataclass."""
        return [] if self.holder is None else [field.name for field in fields(self.holder)]

    @property
    def known(self) -> list[str]:
        """Every setting that a command line can give."""
        own = {"seed", "cache", "progress", self.argument}
        return [name for name in inspect.signature(self.function).parameters if name not in own] + self.held


SOURCES: Mapping[str, Source] = {
    "glyphs": Source(glyphs, GlyphSettings, "settings", slow=True),
    "concepts": Source(concepts, ConceptWorld, "world"),
    "digits": Source(digits),
}


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Settings of a source as given on a command line.

    Args:
        texts: NAME=VALUE each; values are Python literals, or text.

    Returns:
        {name: value}.

    Raises:
        ValueError: no "=".

    Example:
        >>> parse_settings(["rank=4", "texts=coarse", "alignment={'text': 0.5}"])
        {'rank': 4, 'texts': 'coarse', 'alignment': {'text': 0.5}}
    """
    settings = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ValueError(f"--set {text}: expected NAME=VALUE, as in --set rank=4")
        try:
            settings[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[name] = value
    return settings


def settings_from(
    holder: Callable[..., Any], given: Mapping[str, Any], known: Collection[str], source: str
) -> Any:  # noqa: ANN401
    """A dataclass of settings with what ``--set`` changes.

    Args:
        holder: the dataclass; every field has a default.
        given: {field: value}.
        known: fields that can be set.
        source: of the data, for messages.

    Returns:
        An instance.

    Raises:
        UnknownNameError: no such field.
        ValueError: no number where one is meant, or a field that is no single value.
    """
    defaults = holder()
    for name, value in given.items():
        if name not in known:
            raise UnknownNameError(name, known, f"setting of {source!r}:")
        usual = getattr(defaults, name)
        if is_dataclass(usual):
            raise ValueError(f"--set {name}=...: this one can be set in Python only")
        numeric = isinstance(usual, (int, float)), isinstance(value, (int, float, dict))
        if numeric == (True, False):
            raise ValueError(f"--set {name}={value}: expected a number (default {usual})")
    try:
        return holder(**given)
    except TypeError as error:  # 1.5 where a whole number is meant
        raise ValueError(f"--set: {error}") from None


def make_task(source: str, settings: Mapping[str, Any], *, seed: int, cache: Path | None) -> Task:
    """The task of a source.

    Args:
        source: key of `SOURCES`.
        settings: keyword arguments of the source, and fields of its dataclass (see their docstrings).
        seed: of the data.
        cache: folder for what takes long to compute.

    Returns:
        Task.

    Raises:
        UnknownNameError: no such source, or the source has no such setting.
        ValueError: a setting that is no number where one is meant.

    Example:
        >>> make_task("concepts", {"n_classes": 5, "rank": 2}, seed=0, cache=None).dims
        {'image': 96, 'text': 64}
    """
    if source not in SOURCES:
        raise UnknownNameError(source, SOURCES, "data set")
    chosen = SOURCES[source]
    for name in settings:
        if name not in chosen.known:
            raise UnknownNameError(name, chosen.known, f"setting of {source!r}:")
    options = {name: value for name, value in settings.items() if name not in chosen.held}
    if chosen.holder is not None:
        held = {name: value for name, value in settings.items() if name in chosen.held}
        options[chosen.argument] = settings_from(chosen.holder, held, chosen.held, source)
    if not chosen.slow:
        return chosen.function(seed=seed, **options)
    with ExitStack() as stack:
        bars: list[Any] = []

        def progress(steps: int) -> None:
            if not bars:  # nothing to show where all is cached
                total = options[chosen.argument].steps
                bars.append(stack.enter_context(progress_bar(total, " pretraining steps")))
            bars[0].update(steps)

        return chosen.function(seed=seed, cache=cache, progress=progress, **options)


def encoded_task(
    dataset: str,
    *,
    root: Path,
    vision: str | None,
    text: str | None,
    texts: str = "descriptions",
    descriptions: Path | None = None,
    shots: Sequence[int | None],
    seeds: int,
    seed: int,
    cache: Path,
    shifted: Sequence[str] | None = None,
    aligned: bool = False,
    strict: bool = False,
    **options: Any,  # noqa: ANN401
) -> Task:
    """Locate, check and encode a data set: one of the paper's by key, or one's own by path.

    Of a data set by key, the published few-shot subsets are taken where their index files are below the root (study seed
    0 is the published seed 1; others are drawn); only the files that the study needs are encoded.

    Args:
        dataset: key (`neural.datasets.SPECS`), or path of a folder with one subfolder per class or of a list.
        root: data root.
        vision: encoder of images, see `neural.embed.encoder`.
        text: encoder of sentences; with the name of a CLIP in both places the spaces are aligned.
        texts: "descriptions" (sentences from a file) or a set of templates.
        descriptions: JSON file {class: [sentences]}; None takes the data set's own below the root.
        shots: of the study; None is the whole training part.
        seeds: repetitions of the study.
        seed: deals the parts of a folder that has none.
        cache: folder of features.
        shifted: keys of `neural.datasets.shifted_imagenet.SHIFTS`, test sets that ImageNet gets in addition; None for those
            that are below the root. No other data set has any.
        aligned: whether both encoders share one space.
        strict: whether classes without sentences in the file of `descriptions`, and keys that name none, are errors.
        **options: device, dtype and batch_size of both encoders.

    Returns:
        Task.

    Raises:
        UnknownNameError: neither a key nor a path; no such shifted test set.
        ValueError: no encoder named, descriptions asked for that nobody gave, a data set that is missing or malformed.
    """
    if dataset in SPECS:
        images = load(dataset, root)
        sentences = (
            load_texts(dataset, root, images.classes, texts)
            if descriptions is None
            else open_texts(descriptions, images.classes, strict=strict)
        )
    elif Path(dataset).exists():
        images = open_dataset(dataset, seed=seed)
        if descriptions is not None:
            sentences = open_texts(descriptions, images.classes, strict=strict)
        elif texts == "descriptions":
            raise ValueError(
                f"{dataset}: give sentences about its classes with --descriptions FILE.json, or choose templates with "
                "--texts vanilla"
            )
        else:
            sentences = from_templates(images.classes, template_set(texts))
    else:
        raise UnknownNameError(dataset, [*SOURCES, *SPECS], "data set (and no such path):")
    for option, name in (("--vision", vision), ("--text", text)):
        if name is None:
            raise ValueError(f"{option}: name an encoder for {dataset!r} (see `neural.embed.table`)")
    print(_summary(images, sentences), flush=True)
    tests = _shifted_tests(images, root, shifted) if dataset == IMAGENET else {}
    subsets = None
    if dataset in SPECS:
        subsets = {
            (k, s): load_few_shot(dataset, root, k, s + 1, dataset=images)
            for k in shots
            if k is not None
            for s in range(seeds)
        }
    one_clip = vision == text  # the two towers of one network
    return encode_task(
        images,
        sentences,
        vision=encoder(str(vision), modality="image", **options),
        text=encoder(str(text), modality="text", **options),
        cache=cache,
        subsets=subsets,
        whole=None in shots,
        tests=tests,
        aligned=aligned or one_clip,
    )


def _summary(images: ImageDataset, sentences: ClassTexts) -> str:
    """What training will see: images by part and class, and what is said about the classes."""
    lines = [f"{images.name}: {len(images.classes)} classes"]
    for part, items in images.parts.items():
        counts = np.bincount(items.labels, minlength=len(images.classes))
        lines.append(f"  {part}: {len(items)} images, {counts.min()} to {counts.max()} per class")
        lacking = [images.classes[label] for label in np.flatnonzero(counts == 0)]
        if lacking:
            lines[-1] += f"; none of {listed(map(repr, lacking), len(lacking))}"
    return "\n".join([*lines, f"  text: {sentences.coverage_text}"])


def shifts_below(root: Path) -> list[str]:
    """Keys of `neural.datasets.shifted_imagenet.SHIFTS` whose folder of images exists below a data root."""
    return [key for key, shift in SHIFTS.items() if (Path(root) / shift.folder / shift.images).is_dir()]


def _shifted_tests(images: ImageDataset, root: Path, keys: Sequence[str] | None) -> dict[str, ShiftedTest]:
    """The test sets that were named, or those that are there."""
    if keys is None:
        keys = shifts_below(root)
        lacking = [key for key in SHIFTS if key not in keys]
        print(f"shifted test sets below {root}: {', '.join(keys) or 'none'}", end="")
        print(f" (not {', '.join(lacking)})" if keys and lacking else "", flush=True)
    classes, tests = _class_list(images) if keys else None, {}
    for key in keys:
        try:
            tests[key] = load_shifted(key, root, classnames=classes)
        except DatasetError as error:
            hint = f"{error.problem}; or name the shifted test sets to take: --shifted"
            raise type(error)(error.path, hint) from None
    return tests


def _class_list(images: ImageDataset) -> ClassNames | None:
    """ImageNet's classes by the folders of its training images, so that shifted test sets have its very labels."""
    _, first = np.unique(images.train.labels, return_index=True)
    wnids = [posixpath.basename(posixpath.dirname(images.train.paths[row])) for row in first]
    if not all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids):
        return None  # then classnames.txt has to tell
    if sorted(set(wnids)) != wnids:
        raise DatasetError(
            images.source,
            "labels are not the ranks of WordNet numbers, as shifted test sets have them; leave these out: --shifted "
            "without a name",
        )
    return ClassNames(tuple(wnids), images.classes)
