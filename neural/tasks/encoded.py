"""A task from a data set on disk: images and sentences through frozen encoders, each on its own, kept in a cache."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural.datasets import FewShotItems, ImageDataset, Items
from neural.datasets.class_texts import ClassTexts
from neural.datasets.shifted_imagenet import ShiftedTest
from neural.embed import Encoder
from neural.embed.cache import features
from neural.tasks.task import Embeddings, Task

__all__ = ["encode_task"]

Rows = NDArray[np.int64]


def encode_task(
    dataset: ImageDataset,
    texts: ClassTexts,
    *,
    vision: Encoder,
    text: Encoder,
    cache: Path | str | None,
    subsets: Mapping[tuple[int, int], FewShotItems] | None = None,
    whole: bool = False,
    tests: Mapping[str, ShiftedTest] | None = None,
    aligned: bool = False,
    progress: bool | None = None,
) -> Task:
    """Encode what a study needs, and nothing twice.

    Args:
        dataset: images.
        texts: sentences about its classes; every class needs one.
        vision: encoder of images.
        text: encoder of sentences; it never sees an image, nor `vision` a sentence.
        cache: folder of features; None encodes anew.
        subsets: {(shots, seed): files} of the repetitions; None draws them later, and encodes all.
        whole: whether the whole training and validation parts are encoded even where `subsets` are given.
        tests: {name: files}, further test sets with the labels of `dataset`; where one has some of the classes only,
            predictions are among these.
        aligned: whether both encoders share one space (the two towers of one CLIP).
        progress: whether to show bars; None shows them in a terminal.

    Returns:
        Task with target "image", auxiliary "text", the test set "test" and those of `tests`.

    Raises:
        ValueError: no validation or test files, a class without sentences, images that cannot be read, a further test
            set with a class that the data set does not have or with the name of a part.
    """
    for name, items in (("validation", dataset.val), ("test", dataset.test)):
        if not len(items):
            raise ValueError(f"{dataset.name}: the {name} part has no file; a study needs one")
    if texts.empty:
        names = ", ".join(repr(texts.classes[label]) for label in texts.empty[:5])
        raise ValueError(
            f"{dataset.name}: {len(texts.empty)} classes have no sentence ({names}{', ...' if len(texts.empty) > 5 else ''}); "
            "add them to the file, or fall back on a template"
        )
    train, val = dataset.train, dataset.val
    rows: dict[tuple[int, int], tuple[Rows, Rows]] = {}
    if subsets:
        train, trains = _union({key: part.train for key, part in subsets.items()}, dataset.train, whole)
        val, vals = _union({key: part.val for key, part in subsets.items()}, dataset.val, whole)
        rows = {key: (trains[key], vals[key]) for key in subsets}
    shifts = dict(tests or {})
    taken = sorted(shifts.keys() & dataset.parts.keys())
    if taken:
        raise ValueError(f"{dataset.name}: tests: {taken[0]!r} is one of its own parts; choose another name")
    pools = {"train": train, "val": val, "test": dataset.test}
    pools |= {name: shift.items for name, shift in shifts.items()}
    labels = {name: items.labels for name, items in pools.items()}
    labels |= {name: shift.imagenet_labels for name, shift in shifts.items()}
    files = [file for items in pools.values() for file in items.files]
    pictures = features(vision, files, cache=cache, progress=progress)
    ends = np.cumsum([len(items) for items in pools.values()])
    parts = dict(zip(pools, np.split(pictures, ends[:-1]), strict=True))
    encoded = {name: Embeddings(parts[name], labels[name], "image") for name in pools}
    sentences, of_class = texts.flat()
    words = Embeddings(features(text, sentences, cache=cache, progress=progress), of_class, "text")
    encoders = {"image": vision.name, "text": text.name}
    words_per_text = round(texts.words_per_text, 2)
    sources = zip(texts.classes, texts.sources, strict=True)
    published = [part.source for part in (subsets or {}).values() if part.source is not None]
    return Task(
        dataset.name,
        dataset.classes,
        encoded["train"],
        encoded["val"],
        {name: encoded[name] for name in ("test", *shifts)},
        {"text": words},
        aligned=aligned,
        subsets=rows,
        among={
            name: shift.label_map.tolist()
            for name, shift in shifts.items()
            if len(shift.label_map) < len(dataset.classes)
        },
        encoders=encoders,
        words_per_text=words_per_text,
        about={
            "source": str(dataset.source),
            "further tests": {name: str(shift.items.root) for name, shift in shifts.items()},
            "counts": dataset.counts | {name: len(shift.items) for name, shift in shifts.items()},
            "encoders": encoders,
            "identities": {"image": dict(vision.identity), "text": dict(text.identity)},
            "sentences per class": [min(texts.coverage), max(texts.coverage)],
            "words per sentence": words_per_text,
            "classes with template sentences only": [
                name for name, source in sources if source == "template"
            ],
            "published subsets": sorted(map(str, published)),
        },
    )


def _union(
    subsets: Mapping[tuple[int, int], Items], part: Items, whole: bool
) -> tuple[Items, dict[tuple[int, int], Rows]]:
    """Files that any subset has (or all), in the order of the part, and each subset's rows among them."""
    wanted = {path for items in subsets.values() for path in items.paths}
    kept = [row for row, path in enumerate(part.paths) if whole or path in wanted]
    union = part.take(kept)
    place = {path: row for row, path in enumerate(union.paths)}
    rows = {
        key: np.array([place[path] for path in items.paths], dtype=np.int64) for key, items in subsets.items()
    }
    return union, rows
