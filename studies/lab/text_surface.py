"""UML (init) over images x texts per class: the cells, their table, and the surfaces that are fitted to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fisherkit.checks import as_whole
from fisherkit.exchange_fit import Interval as Rate
from fisherkit.exchange_fit import (
    LackOfFit,
    Plane,
    PowerLaw,
    bootstrap,
    fit_plane,
    fit_power_law,
    lack_of_fit,
    words,
)
from neural.fewshot.cells import HeadCell
from neural.fewshot.presets import Preset
from neural.results.cells import Cells
from neural.results.contrasts import by_key, contrast
from neural.results.intervals import Interval
from neural.results.table import table
from neural.results.text import direction
from neural.tasks.task import Task
from studies.lab.text_sweep import check_sizes, first_test, result_columns

__all__ = [
    "ARM",
    "FITS",
    "PERMUTED",
    "POINT",
    "Fit",
    "Plan",
    "Surface",
    "aligned_against",
    "finite",
    "surface_rows",
]

ARM, PERMUTED = "uml_init", "init_permuted"
POINT = ("arm", "shots", "text_rows")
FITS: dict[str, Callable[..., Plane | PowerLaw]] = {
    "plane": fit_plane,
    "power law": lambda *rows, **options: fit_power_law(*rows, starts=2, **options),
}


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
        check_sizes(self.preset, {"--logit-scale": self.logit_scale, "--words-per-text": self.words})

    @property
    def auxiliary(self) -> str:
        """Name of the auxiliary modality."""
        return next(iter(self.task.auxiliaries))

    @property
    def control(self) -> str:
        """The arm without text that has as many parameters as UML (init)."""
        return "unimodal" if self.task.aligned else "matched"

    @property
    def encoders(self) -> str:
        """Whether both modalities' encoders share a space."""
        return "aligned" if self.task.aligned else "unaligned"

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


def surface_rows(plan: Plan, store: Cells) -> pd.DataFrame:
    """The table: a row per arm, images and texts per class, and repetition."""
    rows = []
    for point in plan.points():
        for seed in range(plan.preset.seeds):
            row: dict[str, object] = {"task": plan.task.name, "encoders": plan.encoders}
            row |= dict(zip(POINT, point, strict=True)) | {"seed": seed}
            rows.append(row | result_columns(store.get(plan.cell(*point, seed).key)))
    return table(rows)


@dataclass(frozen=True)
class Fit:
    """A surface fitted to accuracies, and how far to believe it.

    Attributes:
        name: "plane" (the paper's) or "power law".
        control: whether the control's rows, without text, are among the rows.
        surface: the fit.
        rate: images per text, with a bootstrap interval over repetitions.
        test: lack of fit.
    """

    name: str
    control: bool
    surface: Plane | PowerLaw
    rate: Rate
    test: LackOfFit

    @property
    def label(self) -> str:
        """For tables."""
        return f"{self.name}, {'with' if self.control else 'without'} the control"


class Surface:
    """The finished cells of one plan, and what is fitted to them.

    Args:
        plan: what was trained.
        cells: as a table.
        replicates: of the bootstrap of a plane; a power law takes a fifth.
    """

    def __init__(self, plan: Plan, cells: pd.DataFrame, replicates: int = 1000) -> None:
        self.plan, self.cells, self.rows = plan, cells, first_test(cells, plan.task)
        self.fits = {
            (name, control): self._fit(name, control, replicates)
            for name in FITS
            for control in (False, True)
        }

    def points(self, control: bool) -> pd.DataFrame:
        """The rows that a fit sees, with images and texts per class as counted."""
        rows = self.rows[self.rows["arm"].isin({ARM, self.plan.control} if control else {ARM})]
        texts = {t: self.plan.texts(t) for t in self.plan.text_rows} | {0: 0.0}
        return rows.assign(
            images=rows["shots"].map({k: self.plan.images(k) for k in self.plan.shots}),
            texts=rows["text_rows"].map(texts),
        )

    def _fit(self, name: str, control: bool, replicates: int) -> Fit:
        """One surface with its interval (whole repetitions are drawn) and its test."""
        points = self.points(control)
        given = [points[column].to_numpy() for column in ("images", "texts", "accuracy")]
        count = replicates if name == "plane" else max(40, replicates // 5)
        rate = bootstrap(FITS[name], *given, seed=0, groups=points["seed"].to_numpy(), replicates=count)
        surface = FITS[name](*given)
        return Fit(name, control, surface, rate, lack_of_fit(surface))

    def gains(self) -> dict[tuple[str, int, int], Interval]:
        """{(arm, shots, text rows): difference to the control with as many images}."""
        plain = self.rows[self.rows["arm"].eq(self.plan.control)]
        found: dict[tuple[str, int, int], Interval] = {}
        for arm, texts in dict.fromkeys(
            (arm, t) for arm, _, t in self.plan.points() if arm != self.plan.control
        ):
            mine = self.rows[self.rows["arm"].eq(arm) & self.rows["text_rows"].eq(texts)]
            gains = contrast(pd.concat([mine, plain]), arm, self.plan.control, ["shots"])
            found |= {(arm, shots, texts): gain for shots, gain in by_key(gains, "shots").items()}
        return found

    def more_texts(self, fewer: int, more: int) -> Interval:
        """What more texts per class add to UML (init), mean over shots."""
        mine = self.rows[self.rows["arm"].eq(ARM)]
        over_shots = mine.groupby(["arm", "text_rows", "seed"], as_index=False)["accuracy"].mean()
        over_shots = over_shots.astype({"text_rows": str})
        return by_key(contrast(over_shots, str(more), str(fewer), ["arm"], column="text_rows"), "arm")[ARM]


def aligned_against(aligned: Surface, unaligned: Surface) -> list[dict[str, Any]]:
    """Per fit, images per text, aligned minus unaligned, with 95% bootstrap interval: do aligned encoders need fewer?"""
    found = []
    for mine, other in zip(aligned.fits.values(), unaligned.fits.values(), strict=True):
        rng = np.random.default_rng(0)  # draws are sorted; repetitions of the two tasks are independent
        size = min(len(mine.rate.draws), len(other.rate.draws))
        draws = [rng.permutation(fit.rate.draws)[:size] for fit in (mine, other)]
        defined = np.isfinite(draws[0]) & np.isfinite(draws[1])
        gaps = np.sort(draws[0][defined] - draws[1][defined])
        low, high = np.quantile(gaps, [0.025, 0.975]) if len(gaps) else (-np.inf, np.inf)
        gap = Interval(mine.rate.estimate - other.rate.estimate, float(low), float(high), len(gaps))
        word = direction(gap, up="holds", down="fails")
        found.append({
            "fit": mine.label,
            "difference_of_rates": gap,
            "texts_per_image": {
                "aligned": finite(words(mine.rate.estimate, 1.0)),
                "unaligned": finite(words(other.rate.estimate, 1.0)),
            },
            "claim": word,
        })
    return found


def finite(value: float) -> float | None:
    """A number for JSON, which has no infinity."""
    return float(value) if np.isfinite(value) else None
