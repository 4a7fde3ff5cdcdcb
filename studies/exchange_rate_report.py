"""What the exchange study reports: the surface, the gains over the control, rates of fitted surfaces, verdicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError
from fisherkit.exchange_fit import Interval as Rate
from fisherkit.exchange_fit import (
    LackOfFit,
    Plane,
    PowerLaw,
    bootstrap,
    describe,
    fit_plane,
    fit_power_law,
    lack_of_fit,
    words,
)
from neural.heads.arms import ARMS
from studies import harness
from studies.exchange_rate_plan import ARM, PERMUTED, Plan
from studies.harness import Interval, mean_interval, paired_difference
from studies.head_presets import differences
from studies.outputs import Report
from studies.published_numbers import published
from studies.report_tables import by_word, direction, gain_text, interval_columns, markdown_table

__all__ = ["Fit", "Surface", "aligned_against", "report_of"]

Values = NDArray[np.float64]
FITS: dict[str, Callable[..., Plane | PowerLaw]] = {
    "plane": fit_plane,
    "power law": lambda *rows, **options: fit_power_law(*rows, starts=2, **options),
}


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
    """Finished cells of one plan, and what is fitted to them.

    Args:
        plan: what was trained.
        cells: finished cells.
        replicates: of the bootstrap of a plane; a power law takes a fifth.
    """

    def __init__(self, plan: Plan, cells: harness.Cells, replicates: int = 1000) -> None:
        self.plan, self.cells = plan, cells
        self.fits = [self.fit(name, control, replicates) for name in FITS for control in (False, True)]

    def values(self, arm: str, shots: int, rows: int) -> Values:
        """(seeds,) test accuracy in percent, on the first test set."""
        test = next(iter(self.plan.task.tests))
        found = [
            self.cells.get(self.plan.cell(arm, shots, rows, seed).key)
            for seed in range(self.plan.preset.seeds)
        ]
        return 100 * np.array([result["accuracy"][test] for result in found])

    def gain(self, arm: str, shots: int, rows: int) -> Interval:
        """Paired difference to the control with as many images."""
        return paired_difference(self.values(arm, shots, rows), self.values(self.plan.control, shots, 0))

    def table(self, control: bool) -> tuple[Values, Values, Values, NDArray[np.int64]]:
        """Images and texts per class, accuracy, repetition: one entry per cell of the surface."""
        arms = {ARM} | ({self.plan.control} if control else set())
        entries = []
        for arm, shots, rows in self.plan.points():
            if arm in arms:
                counts = self.plan.images(shots), self.plan.texts(rows) if rows else 0.0
                entries += [(*counts, v, seed) for seed, v in enumerate(self.values(arm, shots, rows))]
        n_x, n_y, accuracy, seeds = np.array(entries, dtype=np.float64).T
        return n_x, n_y, accuracy, seeds.astype(np.int64)

    def fit(self, name: str, control: bool, replicates: int) -> Fit:
        """One surface with its interval (whole repetitions are drawn) and its test."""
        n_x, n_y, accuracy, seeds = self.table(control)
        count = replicates if name == "plane" else max(40, replicates // 5)
        rate = bootstrap(FITS[name], n_x, n_y, accuracy, seed=0, groups=seeds, replicates=count)
        surface = FITS[name](n_x, n_y, accuracy)
        return Fit(name, control, surface, rate, lack_of_fit(surface))

    def of(self, name: str, control: bool) -> Fit:
        """The fit of that name."""
        return next(fit for fit in self.fits if (fit.name, fit.control) == (name, control))


def aligned_against(aligned: Surface, unaligned: Surface) -> list[dict[str, Any]]:
    """The paper's claim: aligned encoders need fewer texts for an image, that is, one text is worth more images.

    Args:
        aligned: encoders of one space.
        unaligned: encoders of one modality each.

    Returns:
        For each fit, the difference of rates (aligned minus unaligned, images per text) with its 95% bootstrap interval,
        and the verdict.
    """
    found = []
    for mine, other in zip(aligned.fits, unaligned.fits, strict=True):
        rng = np.random.default_rng(0)  # draws are sorted; repetitions of the two tasks are independent
        size = min(len(mine.rate.draws), len(other.rate.draws))
        draws = [rng.permutation(fit.rate.draws)[:size] for fit in (mine, other)]
        finite = np.isfinite(draws[0]) & np.isfinite(draws[1])
        gaps = np.sort(draws[0][finite] - draws[1][finite])
        low, high = np.quantile(gaps, [0.025, 0.975]) if len(gaps) else (-np.inf, np.inf)
        gap = Interval(mine.rate.estimate - other.rate.estimate, float(low), float(high), len(gaps))
        word = direction(gap, up="holds", down="fails")
        found.append({
            "fit": mine.label,
            "difference_of_rates": gap,
            "texts_per_image": {
                "aligned": _finite(words(mine.rate.estimate, 1.0)),
                "unaligned": _finite(words(other.rate.estimate, 1.0)),
            },
            "claim": word,
        })
    return found


def report_of(surfaces: Sequence[Surface]) -> Report:
    """Tables, verdicts and rows of one task, or of a pair: unaligned first, then aligned.

    Args:
        surfaces: one or two.

    Returns:
        Report.
    """
    tasks = [_summary(surface) for surface in surfaces]
    summary: dict[str, Any] = {"surfaces": tasks}
    parts = [_markdown(surface, task) for surface, task in zip(surfaces, tasks, strict=True)]
    if len(surfaces) == 2:
        compared = aligned_against(surfaces[1], surfaces[0])
        summary["aligned_against_unaligned"] = compared
        summary["verdicts"] = [_claim(entry) for entry in compared]
        parts.append(
            "\n".join(["## Aligned against unaligned", "", *(f"- {v}" for v in summary["verdicts"])])
        )
    table = [row for task in tasks for row in _table_rows(task)]
    rows = [row for s in surfaces for row in _cell_rows(s)]
    return Report(summary, "\n\n".join(parts) + "\n", rows, table)


def _claim(entry: dict[str, Any]) -> str:
    texts = {name: _count(value) for name, value in entry["texts_per_image"].items()}
    return (
        f"aligned encoders need fewer texts per image: {entry['claim']} ({entry['fit']}): {texts['aligned']} aligned, "
        f"{texts['unaligned']} unaligned; images per text, aligned minus unaligned: "
        f"{gain_text(entry['difference_of_rates'], 3)}"
    )


def _kind(plan: Plan) -> str:
    return "aligned" if plan.task.aligned else "unaligned"


def _summary(surface: Surface) -> dict[str, Any]:
    plan = surface.plan
    accuracy = []
    for arm, shots, rows in plan.points():
        entry: dict[str, Any] = {"arm": arm, "shots": shots, "text_rows": rows}
        entry["accuracy"] = mean_interval(surface.values(arm, shots, rows))
        if arm != plan.control:
            entry["minus_control"] = surface.gain(arm, shots, rows)
        accuracy.append(entry)
    return {
        "task": plan.task.name,
        "encoders": _kind(plan),
        "classes": len(plan.task.classes),
        "about": dict(plan.task.about),
        "control": plan.control,
        "shots": list(plan.shots),
        "text_rows": list(plan.text_rows),
        "words_per_text": plan.words,
        "seeds": plan.preset.seeds,
        "candidates_per_arm": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": accuracy,
        "fits": [_fit_entry(fit, plan.words) for fit in surface.fits],
        "published_words_per_image": _published(plan),
        "verdicts": _verdicts(surface),
    }


def _fit_entry(fit: Fit, words_per_text: float | None) -> dict[str, Any]:
    rate = {"estimate": fit.rate.estimate, "low": fit.rate.low, "high": fit.rate.high}
    entry: dict[str, Any] = {
        "fit": fit.label,
        "images_per_text": {end: _finite(value) for end, value in rate.items()},
        "failed_replicates": fit.rate.failed,
        "r_squared": round(fit.surface.r_squared, 4),
        "aic": round(fit.surface.aic, 2),
        "lack_of_fit": {
            "F": _finite(fit.test.statistic),
            "p": fit.test.p_value,
            "misfit": fit.test.misfit,
            "noise": fit.test.noise,
            "verdict": fit.test.verdict,
        },
    }
    ordered = {"estimate": rate["estimate"], "low": rate["high"], "high": rate["low"]}
    for unit, size in (("texts", 1.0), ("words", words_per_text)):
        if size is not None:
            entry[f"{unit}_per_image"] = {end: _finite(words(v, size)) for end, v in ordered.items()}
    return entry


def _published(plan: Plan) -> float | None:
    """Words per image that the paper states for this data set and these encoders."""
    encoders = plan.task.about.get("encoders", {})
    try:
        rows = published(
            "figures", dataset=plan.task.name, vision=encoders.get("image"), text=encoders.get("text")
        )
    except UnknownNameError:
        return None
    return float(rows["value"].item()) if len(rows) == 1 else None


def _verdicts(surface: Surface) -> list[str]:
    plan, lines = surface.plan, []
    plane = surface.of("plane", False)
    for fit in (plane, surface.of("power law", False)):
        price = describe(fit.rate, 1.0, unit="texts")
        if plan.words is not None:
            price += f"; {describe(fit.rate, plan.words)}"
        lines.append(f"{fit.name}: {price}; {fit.test.verdict}")
    halves = _halves(surface)
    if halves:
        lines.append(f"plane over part of the images, texts per image: {'; '.join(halves)}")
    stated = _published(plan)
    if stated is not None:
        lines.append(f"the paper's plane, for these encoders: 1 image = {stated:.0f} words")
    least, most = plan.text_rows[0], plan.text_rows[-1]
    middle = plan.text_rows[len(plan.text_rows) // 2]
    steps = dict.fromkeys([(least, middle), (middle, most)])
    parts = []
    for a, b in steps:
        if a != b:
            mean_gain = np.mean(
                [surface.values(ARM, k, b) - surface.values(ARM, k, a) for k in plan.shots], axis=0
            )
            parts.append(f"from {a} to {b} {gain_text(mean_interval(mean_gain))}")
    lines.append(f"more texts per class, mean over shots, points: {'; '.join(parts)}")
    said = {}
    for k in plan.shots:
        word = direction(surface.gain(ARM, k, most), up="gains", down="loses")
        if surface.gain(PERMUTED, k, most).low > 0:
            word += ", but permuted labels gain,"
        said[str(k)] = word
    lines.append(
        f"UML (init) with {most} texts per class against {ARMS[plan.control].label}: {by_word(said)} shots"
    )
    return lines


def _halves(surface: Surface) -> list[str]:
    """The plane over few and over many images alone: the same price, if accuracies were a plane."""
    n_x, n_y, accuracy, _ = surface.table(False)
    counts, said = np.unique(n_x), []
    middle = len(counts) // 2
    for part in (counts[: middle + 1], counts[middle:]):
        if 2 <= len(part) < len(counts):
            rows = np.isin(n_x, part)
            price = words(float(fit_plane(n_x[rows], n_y[rows], accuracy[rows]).rate()), 1.0)
            said.append(f"{part[0]:g} to {part[-1]:g} images {_count(_finite(price))}")
    return said


def _markdown(surface: Surface, task: dict[str, Any]) -> str:
    plan = surface.plan
    header = ["images per class", f"{ARMS[plan.control].label}, no text"]
    header += [f"{t} {plan.auxiliary} rows" for t in plan.text_rows]
    header.append(f"{plan.text_rows[-1]}, permuted")
    found = {(e["arm"], e["shots"], e["text_rows"]): e for e in task["accuracy"]}
    rows = []
    for k in plan.shots:
        points = [(plan.control, k, 0), *((ARM, k, t) for t in plan.text_rows)]
        points.append((PERMUTED, k, plan.text_rows[-1]))
        rows.append([str(k), *(_cell_text(found[point]) for point in points)])
    lines = [
        f"## {task['task']}, {task['encoders']} encoders: {task['classes']} classes, {task['seeds']} paired repetitions",
        "",
        (
            "Test accuracy of UML (init) in percent; in brackets the paired difference to the fair control (same images, "
            f"no text) with its 95% interval. Each number is the best of {task['candidates_per_arm']} trainings by "
            "validation."
        ),
        "",
        markdown_table(header, rows),
        "",
    ]
    unit = "words" if plan.words is not None else "texts"
    head = ["fitted surface", f"{unit} per image [95%]", "images per text [95%]", "R²", "lack of fit"]
    lines.append(markdown_table(head, [_fit_row(fit, entry, unit) for fit, entry in _both(surface, task)]))
    if plan.words is not None:
        lines += ["", f"A text has {plan.words:.2f} words on average."]
    lines += ["", "### In one line each", "", *(f"- {line}" for line in task["verdicts"])]
    if task["differs_from_paper"]:
        lines += ["", f"Differs from the paper's protocol: {'; '.join(task['differs_from_paper'])}."]
    return "\n".join(lines)


def _both(surface: Surface, task: dict[str, Any]) -> list[tuple[Fit, dict[str, Any]]]:
    return list(zip(surface.fits, task["fits"], strict=True))


def _fit_row(fit: Fit, entry: dict[str, Any], unit: str) -> list[str]:
    price = {end: _count(value) for end, value in entry[f"{unit}_per_image"].items()}
    rate = fit.rate
    return [
        fit.label,
        f"{price['estimate']} [{price['low']}, {price['high']}]",
        f"{rate.estimate:.3g} [{rate.low:.3g}, {rate.high:.3g}]",
        f"{fit.surface.r_squared:.3f}",
        f"p = {fit.test.p_value:.2g}, misfit {fit.test.misfit:.2g} to noise {fit.test.noise:.2g}",
    ]


def _cell_text(entry: dict[str, Any]) -> str:
    text = f"{entry['accuracy'].estimate:.1f}"
    return f"{text} ({gain_text(entry['minus_control'])})" if "minus_control" in entry else text


def _table_rows(task: dict[str, Any]) -> list[dict[str, object]]:
    rows = []
    for entry in task["accuracy"]:
        row = {name: entry[name] for name in ("arm", "shots", "text_rows")}
        row |= interval_columns("accuracy", entry["accuracy"])
        row |= interval_columns("minus_control", entry["minus_control"]) if "minus_control" in entry else {}
        rows.append({"task": task["task"], "encoders": task["encoders"], **row})
    return rows


def _cell_rows(surface: Surface) -> list[dict[str, object]]:
    plan, rows = surface.plan, []
    for arm, shots, texts in plan.points():
        for seed in range(plan.preset.seeds):
            result = surface.cells.get(plan.cell(arm, shots, texts, seed).key)
            row: dict[str, object] = {"task": plan.task.name, "encoders": _kind(plan), "arm": arm}
            row |= {"shots": shots, "text_rows": texts, "seed": seed}
            row |= {f"accuracy_{test}": value for test, value in result["accuracy"].items()}
            rows.append(row | {"val_accuracy": result["val_accuracy"], "seconds": result["seconds"]})
    return rows


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return float(value) if np.isfinite(value) else None


def _count(value: float | None) -> str:
    return "∞" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
