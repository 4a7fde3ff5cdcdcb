"""Kinds, amounts and encodings of text about one target, on disk or made, and what is trained on them."""

import argparse
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import HashingVectorizer

from fisherkit.checks import as_whole
from neural.fewshot.cells import HeadCell
from neural.fewshot.presets import Preset
from neural.heads.runs import HeadRun
from neural.results.cells import Cells
from neural.results.files import write_atomic
from neural.results.table import shots_label, table
from neural.tasks.task import Embeddings, Task
from neural.worlds.glyphs import GlyphTask
from studies.lab.task_options import task_of
from studies.lab.text_sweep import check_sizes, result_columns

__all__ = [
    "BASELINE",
    "ENCODER",
    "KIND",
    "NUMBER",
    "PERMUTED",
    "PLACE",
    "RATIO",
    "REFERENCE",
    "UML",
    "AblationCell",
    "Axes",
    "Plan",
    "Variant",
    "ablation_rows",
    "axes_of",
    "deal_sentences",
    "hashed_words",
]

KIND, NUMBER, ENCODER, RATIO = "kind of text", "texts per class", "text encoder", "batch ratio"
#: The batch ratio that the others are compared with.
REFERENCE = "r = 1"
UML = ("uml", "uml_init")
PERMUTED = {"uml": "uml_permuted", "uml_init": "init_permuted"}
#: The axis of the plain head without text, one for all.
BASELINE = "baseline"
#: What a row of the table is of, beside its seed.
PLACE = ("axis", "variant", "arm", "shots")
_ROWS = (1, 2, 4, 8)
_RATIOS = (0.25, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, eq=False)
class Variant:
    """One kind of text about the same target.

    Attributes:
        name: for tables.
        task: target and text.
        rows: texts per class, drawn anew in each repetition; None for all.
        ratio: text rows per target row of a step.
    """

    name: str
    task: Task
    rows: int | None = None
    ratio: float = 1.0

    @property
    def control(self) -> str:
        """The arm without text that has as many parameters as UML."""
        return "unimodal" if self.task.aligned else "matched"


Axes = dict[str, tuple[Variant, ...]]


@dataclass(frozen=True, eq=False)
class AblationCell(HeadCell):
    """A cell in which a step has another number of auxiliary than of target rows.

    Attributes:
        ratio: auxiliary rows per target row of a step, > 0; rounded to whole rows, at least one.
    """

    ratio: float = 1.0

    @property
    def key(self) -> dict[str, Any]:
        """A plain cell's key where the ratio is one."""
        return super().key if self.ratio == 1 else super().key | {"ratio": self.ratio}

    def runs(self) -> list[HeadRun]:
        """The trainings, one per setting, with batches of that ratio."""
        return [
            replace(
                run,
                batch_sizes={
                    name: size if name == run.target else max(1, round(self.ratio * size))
                    for name, size in run.batch_sizes.items()
                },
            )
            for run in super().runs()
        ]


@dataclass(frozen=True)
class Plan:
    """Which cells the study has.

    Attributes:
        axes: {axis: variants}; every axis has the reference among its variants.
        preset: shots, repetitions, schedule, grid.
        logit_scale: fixed factor of all logits.

    Raises:
        ValueError: fewer than two seeds, shots below one, a logit scale or a ratio that is not positive.
    """

    axes: Axes
    preset: Preset
    logit_scale: float = 1.0

    def __post_init__(self) -> None:
        check_sizes(self.preset, {"--logit-scale": self.logit_scale})
        for k in self.preset.shots:
            if k is not None:
                as_whole(k, "--shots", least=1)
        for variant in self.variants:
            check_sizes(self.preset, {"--ratios": variant.ratio})

    @property
    def variants(self) -> list[Variant]:
        """All variants of all axes."""
        return [variant for axis in self.axes.values() for variant in axis]

    @property
    def task(self) -> Task:
        """The first variant's, whose target all share."""
        return self.variants[0].task

    def cell(self, variant: Variant, arm: str, shots: int | None, seed: int) -> HeadCell:
        """One arm with one kind of text; without text, variants of one dimension share a cell."""
        if arm in {"unimodal", "matched"}:
            same = (variant.task.dims, variant.task.aligned)
            alike = next(
                v for v in self.variants if arm == "unimodal" or (v.task.dims, v.task.aligned) == same
            )
            return HeadCell(alike.task, arm, shots, seed, self.preset, self.logit_scale)
        rows, ratio = variant.rows, variant.ratio
        return AblationCell(variant.task, arm, shots, seed, self.preset, self.logit_scale, rows, ratio)

    def points(self) -> list[tuple[str, Variant, str]]:
        """(axis, variant, arm), controls included; permuted labels where kinds of text are compared."""
        points = [
            (axis, variant, arm)
            for axis, variants in self.axes.items()
            for variant in variants
            for arm in (variant.control, *UML, *(PERMUTED.values() if axis == KIND else ()))
        ]
        return [*points, (BASELINE, self.variants[0], "unimodal")]

    def cells(self) -> list[HeadCell]:
        """All cells, each once by its key when computed."""
        return [
            self.cell(variant, arm, shots, seed)
            for seed in range(self.preset.seeds)
            for shots in self.preset.shots
            for _, variant, arm in self.points()
        ]


def ablation_rows(plan: Plan, store: Cells) -> pd.DataFrame:
    """The table: a row per axis, variant, arm, number of shots and repetition."""
    rows = []
    for axis, variant, arm in plan.points():
        for shots, seed in itertools.product(plan.preset.shots, range(plan.preset.seeds)):
            place = (axis, variant.name, arm, shots_label(shots))
            result = store.get(plan.cell(variant, arm, shots, seed).key)
            rows.append(dict(zip(PLACE, place, strict=True)) | {"seed": seed} | result_columns(result))
    return table(rows)


def hashed_words(sentences: Sequence[str], dim: int) -> np.ndarray:
    """Features without any learning: signed counts of words, hashed into a few places.

    Args:
        sentences: any.
        dim: number of features.

    Returns:
        (n, dim) float32, of mean squared norm `dim` as the word encoder's.

    Example:
        >>> rows = hashed_words(["a plain e", "e plain a"], 32)
        >>> rows.shape, bool((rows[0] == rows[1]).all())
        ((2, 32), True)
    """
    counts = HashingVectorizer(n_features=dim, norm=None, token_pattern=r"\S+").transform(sentences)
    rows = np.asarray(counts.todense(), dtype=np.float64)
    return (rows * np.sqrt(dim / np.mean(np.sum(rows**2, axis=1)))).astype(np.float32)


def axes_of(options: argparse.Namespace, preset: Preset) -> Axes:
    """The variants that a data set allows.

    Args:
        options: of the study's parser.
        preset: shots and repetitions.

    Returns:
        {axis: variants}. Every task has texts per class and batch ratio; kinds and encoders are known for glyphs,
        concepts and data sets on disk.

    Raises:
        ValueError: not one auxiliary modality, a number of texts that no class has.
    """
    task = task_of(options, preset)
    if len(task.auxiliaries) != 1:
        raise ValueError(
            f"--auxiliaries: {task.name!r} has {', '.join(task.auxiliaries) or 'none'}; name the one to vary"
        )
    kinds, encoders = _kinds_and_encoders(options, preset, task)
    axes: Axes = {KIND: kinds, NUMBER: _numbers(options, task)}
    if len(encoders) > 1:
        axes[ENCODER] = encoders
    ratios = options.ratios or (_RATIOS if not options.quick else (0.25, 1.0, 4.0))
    axes[RATIO] = tuple(Variant(f"r = {r:g}", task, None, float(r)) for r in sorted({*ratios, 1.0}))
    return axes


def _numbers(options: argparse.Namespace, task: Task) -> tuple[Variant, ...]:
    (texts,) = task.auxiliaries.values()
    most = int(texts.counts(len(task.classes)).max())
    given = options.text_rows or [n for n in (_ROWS if not options.quick else _ROWS[::3]) if n < most]
    if max(given, default=0) > most or min(given, default=1) < 1:
        raise ValueError(f"--text-rows: classes have 1 to {most} texts, got {', '.join(map(str, given))}")
    fewer = tuple(Variant(f"{n} per class", task, n) for n in sorted({*given}) if n < most)
    return (*fewer, Variant(f"{most} per class (all)", task))


def _kinds_and_encoders(
    options: argparse.Namespace, preset: Preset, task: Task
) -> tuple[tuple[Variant, ...], tuple[Variant, ...]]:
    def made(**changes: object) -> Task:
        return task_of(argparse.Namespace(**(vars(options) | changes)), preset)

    def other(setting: str) -> Task:
        return made(set=[*options.set, setting])

    if options.target_features is not None or options.dataset == "digits":
        return (Variant("as given", task),), ()
    if isinstance(task, GlyphTask):
        order = dict.fromkeys([task.texts, "fine", "coarse", "unrelated"])
        kinds = tuple(Variant(n, task if n == task.texts else other(f"texts={n}")) for n in order)
        return kinds, _glyph_encoders(task, other)
    if options.dataset == "concepts":
        kinds = (
            Variant("related", task),
            Variant("half related", other("alignment=0.5")),
            Variant("unrelated", other("alignment=0.0")),
        )
        encoders = [Variant("as given", task), Variant("weaker signal", other("informativeness=1.0"))]
        if not task.aligned:
            (dim,) = (rows.dim for rows in task.auxiliaries.values())
            encoders.append(Variant("half the features", other(f"dims={{'text': {max(2, dim // 2)}}}")))
        return kinds, tuple(encoders)
    kinds = (Variant("as given", task),)
    if options.texts != "vanilla":
        kinds += (Variant("vanilla template", made(texts="vanilla", descriptions=None)),)
    if options.unrelated is not None:
        path = deal_sentences(options.unrelated, task.classes, options.runs / "cache")
        kinds += (Variant("unrelated", made(texts="descriptions", descriptions=path)),)
    names = dict.fromkeys(name for name in options.text_encoders if name != options.text)
    return kinds, (Variant(str(options.text), task), *(Variant(name, made(text=name)) for name in names))


def _glyph_encoders(task: GlyphTask, other: Callable[[str], Task]) -> tuple[Variant, ...]:
    dim, (sentences, labels) = task.dims["text"], task.sentences()
    hashed = Embeddings(hashed_words(sentences, dim), np.array(labels), "text")
    return (
        Variant(f"pieces of words, {dim} features", task),
        *(
            Variant(f"pieces of words, {d} features", other(f"text_features={d}"))
            for d in (64, 16)
            if d < dim
        ),
        Variant(f"hashed words, {dim} features", replace(task, auxiliaries={"text": hashed})),
    )


def deal_sentences(source: Path, classes: Sequence[str], folder: Path) -> Path:
    """Give every class the sentences of another data set's class, so that they say nothing about it.

    Args:
        source: JSON {class: [sentences]} about something else; with fewer classes its lists are dealt out again.
        classes: that get them.
        folder: where the new file is written.

    Returns:
        JSON {class: [sentences]}.

    Raises:
        ValueError: the file holds something else.
    """
    content = json.loads(source.read_text(encoding="utf-8"))
    lists = [v for v in content.values() if v] if isinstance(content, dict) else []
    if not lists or not all(isinstance(v, list) and all(isinstance(t, str) for t in v) for v in lists):
        raise ValueError(f"{source}: expected JSON {{class: [sentences]}}")
    dealt = {name: lists[i % len(lists)] for i, name in enumerate(classes)}
    text = json.dumps(dealt, indent=1)
    path = folder / f"unrelated-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    write_atomic(path, text.encode())
    return path
