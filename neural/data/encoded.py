"""A task from a data set on disk: images and sentences through frozen encoders, each on its own, kept in a cache."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural.data.task import Embeddings, Task
from neural.datasets import FewShotItems, ImageDataset, Items
from neural.datasets.class_texts import ClassTexts
from neural.encoders import Encoder
from neural.features.cache import features

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
        aligned: whether both encoders share one space (the two towers of one CLIP).
        progress: whether to show bars; None shows them in a terminal.

    Returns:
        Task with target "image", auxiliary "text" and the test set "test".

    Raises:
        ValueError: no validation or test files, a class without sentences, images that cannot be read.
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
    pools = {"train": train, "val": val, "test": dataset.test}
    files = [file for items in pools.values() for file in items.files]
    pictures = features(vision, files, cache=cache, progress=progress)
    ends = np.cumsum([len(items) for items in pools.values()])
    parts = dict(zip(pools, np.split(pictures, ends[:-1]), strict=True))
    encoded = {name: Embeddings(parts[name], items.labels, "image") for name, items in pools.items()}
    sentences, labels = texts.flat()
    words = Embeddings(features(text, sentences, cache=cache, progress=progress), labels, "text")
    return Task(
        dataset.name,
        dataset.classes,
        encoded["train"],
        encoded["val"],
        {"test": encoded["test"]},
        {"text": words},
        aligned=aligned,
        subsets=rows,
        about={
            "source": str(dataset.source),
            "counts": dict(dataset.counts),
            "encoders": {"image": vision.name, "text": text.name},
            "identities": {"image": dict(vision.identity), "text": dict(text.identity)},
            "sentences per class": [min(texts.coverage), max(texts.coverage)],
            "words per sentence": round(texts.words_per_text, 2),
            "classes with template sentences only": [
                name
                for name, source in zip(texts.classes, texts.sources, strict=True)
                if source == "template"
            ],
            "published subsets": sorted(
                str(part.source) for part in (subsets or {}).values() if part.source is not None
            ),
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
