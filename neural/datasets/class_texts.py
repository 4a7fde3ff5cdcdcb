"""Sentences about classes: one list per class, from a file or from templates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError
from neural.datasets.reading import listed

__all__ = ["TEMPLATE_SETS", "VANILLA", "ClassTexts", "from_templates", "template_set"]

VANILLA = "a photo of a {}."
TEMPLATE_SETS = ("classname", "vanilla", "hand_crafted")


@dataclass(frozen=True)
class ClassTexts:
    """What is said about each class.

    Attributes:
        classes: names of the C classes; labels are positions in it.
        texts: sentences of each class.
        sources: where each class's sentences come from: a key of the file, or "template".
        unused: keys of the file that belong to no class.

    Raises:
        ValueError: not one entry per class.

    Example:
        >>> texts = from_templates(["cat", "dog"], ["a photo of a {}.", "a {}."])
        >>> texts.flat()[0], texts.flat()[1].tolist()
        (('a photo of a cat.', 'a cat.', 'a photo of a dog.', 'a dog.'), [0, 0, 1, 1])
    """

    classes: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    sources: tuple[str, ...]
    unused: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.classes) == len(self.texts) == len(self.sources):
            raise ValueError(
                f"{len(self.classes)} classes need as many lists and sources, got {len(self.texts)} and {len(self.sources)}"
            )

    @property
    def coverage(self) -> tuple[int, ...]:
        """Number of sentences of each class."""
        return tuple(map(len, self.texts))

    @property
    def coverage_text(self) -> str:
        """How many sentences classes have, which are filled from templates or empty, and which keys name no class."""
        fewest, most = (min(self.coverage), max(self.coverage)) if self.classes else (0, 0)
        parts = [
            f"{fewest} to {most} sentences per class" if fewest < most else f"{most} sentences per class"
        ]
        filled = [
            name for name, source in zip(self.classes, self.sources, strict=True) if source == "template"
        ]
        for names, what in (
            (filled if len(filled) < len(self.classes) else [], "classes have template sentences"),
            ([self.classes[label] for label in self.empty], "classes have none"),
            (list(self.unused), "keys name no class"),
        ):
            if names:
                parts.append(f"{len(names)} {what}: {listed(map(repr, names), len(names))}")
        return "; ".join(parts)

    @property
    def empty(self) -> tuple[int, ...]:
        """Labels of the classes about which nothing is said."""
        return tuple(label for label, texts in enumerate(self.texts) if not texts)

    @property
    def words_per_text(self) -> float:
        """Mean number of words (separated by space) of a sentence; NaN without sentences."""
        lengths = [len(text.split()) for texts in self.texts for text in texts]
        return sum(lengths) / len(lengths) if lengths else float("nan")

    def flat(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """All n sentences in label order, ready to be encoded, and their (n,) labels."""
        labels = np.repeat(np.arange(len(self.classes)), self.coverage)
        return tuple(text for texts in self.texts for text in texts), labels.astype(np.int64)

    def unique(self) -> "ClassTexts":
        """The same without sentences that a class has twice; the first of equal ones stays."""
        return replace(self, texts=tuple(tuple(dict.fromkeys(texts)) for texts in self.texts))


def from_templates(classes: Sequence[str], templates: Sequence[str]) -> ClassTexts:
    """Every template (a sentence with one {}) filled with every class name, underscores as spaces."""
    if not templates:
        raise ValueError("no template given; pass at least one, e.g. 'a photo of a {}.'")
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong:
        raise ValueError(f"template {wrong[0]!r} must hold {{}} exactly once, where the class name goes")
    return ClassTexts(
        tuple(classes),
        tuple(tuple(t.replace("{}", name.replace("_", " ")) for t in templates) for name in classes),
        ("template",) * len(classes),
    )


def template_set(name: str, hand_crafted: Sequence[str] = (VANILLA,)) -> tuple[str, ...]:
    """Templates by the name of their set; `hand_crafted` are the data set's own, `DatasetSpec.templates`."""
    if name not in TEMPLATE_SETS:
        raise UnknownNameError(name, TEMPLATE_SETS, "template set")
    return {"classname": ("{}",), "vanilla": (VANILLA,), "hand_crafted": tuple(hand_crafted)}[name]
