"""What the exchange study trains: UML (init) over image shots x texts per class, and its controls."""

from dataclasses import dataclass

import numpy as np

from fisherkit.checks import as_whole
from neural.data.glyph_names import labelled_texts
from neural.data.task import Task
from studies.head_cells import HeadCell
from studies.head_presets import Preset

__all__ = ["Plan", "words_per_text"]

ARM, PERMUTED = "uml_init", "init_permuted"


def words_per_text(task: Task) -> float | None:
    """Mean number of words of the task's texts.

    Args:
        task: glyphs, or one encoded from sentences.

    Returns:
        Words, separated by space; None where the auxiliary rows are not sentences, or the sentences not known.

    Example:
        >>> from neural.data.concepts import concepts
        >>> words_per_text(concepts(seed=0, n_classes=4)) is None
        True
    """
    if "words per sentence" in task.about:
        return float(task.about["words per sentence"])
    if task.name == "glyphs":
        about = task.about
        sentences, _ = labelled_texts(list(about["novel"]), about["texts"], about["seed"])
        return float(np.mean([len(sentence.split()) for sentence in sentences]))
    return None


@dataclass(frozen=True)
class Plan:
    """Which cells the surface of one task has.

    Attributes:
        task: with one auxiliary modality.
        preset: shots (the image axis), repetitions, schedule, grid.
        text_rows: the text axis: rows per class that are drawn anew in each repetition.
        words: per text, None where a text has none.
        logit_scale: fixed factor of all logits.

    Raises:
        ValueError: not one auxiliary modality, fewer than two counts on an axis or fewer than seven pairs, counts that
            the task does not have, fewer than two seeds, words per text or a logit scale that are not positive.
    """

    task: Task
    preset: Preset
    text_rows: tuple[int, ...] = (1, 2, 4, 8)
    words: float | None = None
    logit_scale: float = 1.0

    def __post_init__(self) -> None:
        if len(self.task.auxiliaries) != 1:
            raise ValueError(
                f"--auxiliaries: {self.task.name!r} has {', '.join(self.task.auxiliaries) or 'none'}, and an exchange "
                "rate is between two modalities; name one"
            )
        if None in self.preset.shots:
            raise ValueError("--shots all: an exchange rate counts rows per class; give whole numbers")
        for k in self.preset.shots:
            as_whole(k, "--shots", least=1)
        rows = tuple(sorted({as_whole(t, "--text-rows", least=1) for t in self.text_rows}))
        object.__setattr__(self, "text_rows", rows)
        n = len(self.task.classes)
        for option, counts, pool, what in (
            ("--shots", self.preset.shots, self.task.train, self.task.target),
            ("--text-rows", rows, self.task.auxiliaries[self.auxiliary], self.auxiliary),
        ):
            most = int(pool.counts(n).max())
            if max(k for k in counts if k is not None) > most:
                raise ValueError(
                    f"{option} {max(k for k in counts if k is not None)}: no class has more than {most} {what} rows"
                )
            if len(set(counts)) < 2:
                raise ValueError(f"{option}: a slope needs at least two different counts, got {len(counts)}")
        if len(self.preset.shots) * len(rows) < 6:
            raise ValueError(
                f"--shots, --text-rows: {len(self.preset.shots)} x {len(rows)} pairs of counts are too few for the five "
                "parameters of the power law; give at least six pairs"
            )
        if self.preset.seeds < 2:
            raise ValueError(
                f"--seeds: intervals need at least 2 paired repetitions, got {self.preset.seeds}"
            )
        for option, value in (("--logit-scale", self.logit_scale), ("--words-per-text", self.words)):
            if value is not None and not (np.isfinite(value) and value > 0):
                raise ValueError(f"{option}: must be positive and finite, got {value:g}")

    @property
    def auxiliary(self) -> str:
        """Name of the auxiliary modality."""
        return next(iter(self.task.auxiliaries))

    @property
    def control(self) -> str:
        """The arm without text that has as many parameters as UML (init)."""
        return "unimodal" if self.task.aligned else "matched"

    @property
    def shots(self) -> tuple[int, ...]:
        """The image axis."""
        return tuple(k for k in self.preset.shots if k is not None)

    def images(self, shots: int) -> float:
        """Mean number of target rows per class at a nominal number of shots (small classes have fewer)."""
        return len(self.task.few_shot(shots, 0).train) / len(self.task.classes)

    def texts(self, rows: int) -> float:
        """Mean number of auxiliary rows per class at a nominal number."""
        counts = self.task.auxiliaries[self.auxiliary].counts(len(self.task.classes))
        return float(np.minimum(counts, rows).mean())

    def cell(self, arm: str, shots: int, rows: int, seed: int) -> HeadCell:
        """One point of the surface in one repetition; the control has no text, whatever `rows` says."""
        texts = None if arm == self.control else rows
        return HeadCell(self.task, arm, shots, seed, self.preset, self.logit_scale, texts)

    def points(self) -> list[tuple[str, int, int]]:
        """(arm, shots, text rows): the surface, its control without text, and permuted labels with the most text."""
        most = self.text_rows[-1]
        return [
            *((self.control, k, 0) for k in self.shots),
            *((ARM, k, t) for k in self.shots for t in self.text_rows),
            *((PERMUTED, k, most) for k in self.shots),
        ]

    def cells(self) -> list[HeadCell]:
        """All cells."""
        return [self.cell(*point, seed) for seed in range(self.preset.seeds) for point in self.points()]
