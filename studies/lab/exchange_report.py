"""What the exchange study reports: the surface, gains over the control, rates of the fitted surfaces, verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fisherkit.checks import UnknownNameError
from fisherkit.exchange_fit import describe, fit_plane, words
from neural.fewshot.plan import closing_lines, with_gain
from neural.fewshot.presets import differences
from neural.heads.arms import ARMS
from neural.results.contrasts import by_key, long_form, means
from neural.results.intervals import Interval
from neural.results.text import gain_text, markdown_table
from neural.tasks.task import Task
from studies.lab.outputs import Report
from studies.lab.text_surface import ARM, FITS, PERMUTED, POINT, Fit, Surface, aligned_against, finite
from studies.lab.text_sweep import gain_words
from studies.published.numbers import published

__all__ = ["count_text", "report_of"]


def report_of(surfaces: Sequence[Surface]) -> Report:
    """Tables, verdicts and rows of one task, or of a pair: unaligned first, then aligned."""
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
    named = [
        {"task": task["task"], "encoders": task["encoders"]} | e for task in tasks for e in task["accuracy"]
    ]
    lines = long_form(named, ["task", "encoders", "arm", "shots", "text_rows"])
    cells = pd.concat([surface.cells for surface in surfaces])
    return Report(summary, "\n\n".join(parts) + "\n", cells, lines)


def _claim(entry: dict[str, Any]) -> str:
    texts = {name: count_text(value) for name, value in entry["texts_per_image"].items()}
    return (
        f"aligned encoders need fewer texts per image: {entry['claim']} ({entry['fit']}): {texts['aligned']} aligned, "
        f"{texts['unaligned']} unaligned; images per text, aligned minus unaligned: "
        f"{gain_text(entry['difference_of_rates'], 3)}"
    )


def _summary(surface: Surface) -> dict[str, Any]:
    plan, gains = surface.plan, surface.gains()
    accuracy = by_key(means(surface.rows, POINT), *POINT)
    entries = []
    for point in plan.points():
        entry = dict(zip(POINT, point, strict=True)) | {"accuracy": accuracy[point]}
        entries.append(entry | ({"minus_control": gains[point]} if point in gains else {}))
    return {
        "task": plan.task.name,
        "encoders": plan.encoders,
        "classes": len(plan.task.classes),
        "about": dict(plan.task.about),
        "control": plan.control,
        "shots": list(plan.shots),
        "text_rows": list(plan.text_rows),
        "words_per_text": plan.words,
        "seeds": plan.preset.seeds,
        "candidates_per_arm": plan.preset.trainings,
        "differs_from_paper": differences(plan.preset),
        "accuracy": entries,
        "fits": [_fit_entry(fit, plan.words) for fit in surface.fits.values()],
        "published_words_per_image": _published(plan.task),
        "verdicts": _verdicts(surface, gains),
    }


def _fit_entry(fit: Fit, words_per_text: float | None) -> dict[str, Any]:
    rate = {"estimate": fit.rate.estimate, "low": fit.rate.low, "high": fit.rate.high}
    entry: dict[str, Any] = {
        "fit": fit.label,
        "images_per_text": {end: finite(value) for end, value in rate.items()},
        "failed_replicates": fit.rate.failed,
        "r_squared": round(fit.surface.r_squared, 4),
        "aic": round(fit.surface.aic, 2),
        "lack_of_fit": {
            "F": finite(fit.test.statistic),
            "p": fit.test.p_value,
            "misfit": fit.test.misfit,
            "noise": fit.test.noise,
            "verdict": fit.test.verdict,
        },
    }
    ordered = {"estimate": rate["estimate"], "low": rate["high"], "high": rate["low"]}
    for unit, size in (("texts", 1.0), ("words", words_per_text)):
        if size is not None:
            entry[f"{unit}_per_image"] = {end: finite(words(v, size)) for end, v in ordered.items()}
    return entry


def _published(task: Task) -> float | None:
    """Words per image that the paper states for this data set and these encoders."""
    image, text = (task.encoders.get(name) for name in ("image", "text"))
    try:
        rows = published("figures", dataset=task.name, vision=image, text=text)
    except UnknownNameError:
        return None
    return float(rows["value"].item()) if len(rows) == 1 else None


def _verdicts(surface: Surface, gains: Mapping[tuple[str, int, int], Interval]) -> list[str]:
    plan, lines = surface.plan, []
    for fit in (surface.fits[name, False] for name in FITS):
        price = describe(fit.rate, 1.0, unit="texts")
        if plan.words is not None:
            price += f"; {describe(fit.rate, plan.words)}"
        lines.append(f"{fit.name}: {price}; {fit.test.verdict}")
    halves = _halves(surface)
    if halves:
        lines.append(f"plane over part of the images, texts per image: {'; '.join(halves)}")
    stated = _published(plan.task)
    if stated is not None:
        lines.append(f"the paper's plane, for these encoders: 1 image = {stated:.0f} words")
    least, most = plan.text_rows[0], plan.text_rows[-1]
    middle = plan.text_rows[len(plan.text_rows) // 2]
    parts = [
        f"from {a} to {b} {gain_text(surface.more_texts(a, b))}"
        for a, b in ((least, middle), (middle, most))
        if a != b
    ]
    lines.append(f"more texts per class, mean over shots, points: {'; '.join(parts)}")
    mine, permuted = ({str(k): gains[arm, k, most] for k in plan.shots} for arm in (ARM, PERMUTED))
    lines.append(
        f"UML (init) with {most} texts per class against {ARMS[plan.control].label}: {gain_words(mine, permuted)} shots"
    )
    return lines


def _halves(surface: Surface) -> list[str]:
    """The plane over few and over many images alone: the same price, if accuracies were a plane."""
    points, said = surface.points(control=False), []
    counts = np.unique(points["images"])
    middle = len(counts) // 2
    for part in (counts[: middle + 1], counts[middle:]):
        if 2 <= len(part) < len(counts):
            mine = points[points["images"].isin(part)]
            plane = fit_plane(*(mine[column].to_numpy() for column in ("images", "texts", "accuracy")))
            price = words(float(plane.rate()), 1.0)
            said.append(f"{part[0]:g} to {part[-1]:g} images {count_text(finite(price))}")
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
        rows.append([str(k), *(with_gain(found[point], "accuracy", 1) for point in points)])
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
    lines.append(
        markdown_table(
            head,
            [
                _fit_row(fit, entry, unit)
                for fit, entry in zip(surface.fits.values(), task["fits"], strict=True)
            ],
        )
    )
    if plan.words is not None:
        lines += ["", f"A text has {plan.words:.2f} words on average."]
    return "\n".join([*lines, *closing_lines(task)])


def _fit_row(fit: Fit, entry: dict[str, Any], unit: str) -> list[str]:
    price = {end: count_text(value) for end, value in entry[f"{unit}_per_image"].items()}
    rate = fit.rate
    return [
        fit.label,
        f"{price['estimate']} [{price['low']}, {price['high']}]",
        f"{rate.estimate:.3g} [{rate.low:.3g}, {rate.high:.3g}]",
        f"{fit.surface.r_squared:.3f}",
        f"p = {fit.test.p_value:.2g}, misfit {fit.test.misfit:.2g} to noise {fit.test.noise:.2g}",
    ]


def count_text(value: float | None, without: str = "∞") -> str:
    """Three digits, and no exponent."""
    if value is None:
        return without
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
