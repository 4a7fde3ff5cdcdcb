"""What each figure and table of the paper came to here: read from a study's summary, beside the printed numbers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from studies.finding import NOT_PRINTED, Finding, overall, pick, points, word
from studies.gallery_published import gains_printed, three_modalities_printed, words_printed
from studies.jobs import Job
from studies.report_tables import by_word

__all__ = ["findings"]


def findings(job: Job, summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """The figures and tables that a run stands for.

    Args:
        job: the run.
        summary: what it wrote as JSON.

    Returns:
        {("Figure" or "Table", number): finding}, in the paper's order.
    """
    found = {}
    for kind, numbers in (("Figure", job.figures), ("Table", job.tables)):
        for number in numbers:
            found[kind, number] = _READERS[job.script](summary, kind, number)
    return found


def _shots(shots: Sequence[str]) -> str:
    return f"{', '.join(shots)} {'shot' if list(shots) == ['1'] else 'shots'}"


def _claim(lines: Sequence[str], *starts: str) -> list[str]:
    """Verdict lines that begin so, without it."""
    return [line.removeprefix(start).strip() for start in starts for line in lines if line.startswith(start)]


def _not_measured(what: str, printed: str) -> Finding:
    return Finding(f"{what}: not measured in this run", printed, "no claim", "not measured")


def _drawn(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del summary, number
    what = (
        "drawn by code from the project's own data"
        if kind == "Figure"
        else "counted on the embedded data, see the picture"
    )
    return Finding(
        what, "schematic" if kind == "Figure" else "beside ours in the CSV", "no claim", "no claim to test"
    )


def _gaussian(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del kind, number
    marks, ratios = summary["marks"], summary["ratios"]
    shown = []
    for name, label in (("uml / x", "UML / x"), ("uml 2b / x 2b", "both with twice the rows")):
        best = min(range(len(marks)), key=lambda i: ratios[name][i]["estimate"])
        parts = [
            f"{ratios[name][i]['estimate']:.2f} [{ratios[name][i]['low']:.2f}, {ratios[name][i]['high']:.2f}] at {marks[i]:,} steps"
            for i in dict.fromkeys((best, len(marks) - 1))
        ]
        shown.append(f"error ratio {label}: {', '.join(parts)}")
    words = [
        "holds" if r["high"] < 1 else "fails" if r["low"] > 1 else "undecided" for r in ratios["uml / x"]
    ]
    return Finding("; ".join(shown), NOT_PRINTED, overall(words), summary["verdicts"]["uml / x"])


def _few_shot(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    test = summary["tests"][0]
    shots = [k for k in summary["shots"] if number != 2 or k in {"1", "2", "4"}]
    entries = {k: pick(summary["accuracy"], test=test, arm="uml_init", shots=k) for k in shots}
    gain = {k: e["minus_control"] for k, e in entries.items()}
    against = summary["arms"][summary["control"]]
    plain = [
        e["accuracy"]["estimate"]
        - pick(summary["accuracy"], test=test, arm="unimodal", shots=k)["accuracy"]["estimate"]
        for k, e in entries.items()
    ]
    ours = f"UML (init) minus {against}, {_shots(shots)}: {'; '.join(map(points, gain.values()))}"
    if summary["control"] != "unimodal":
        ours += f". Minus the plain baseline, as the paper does: {', '.join(f'{p:+.1f}' for p in plain)}"
    if number == 2:
        ours += ". Full fine-tuning: see Table 8"
    words = {k: word(g) for k, g in gain.items()}
    return Finding(
        ours, gains_printed(kind, number, summary), overall(list(words.values())), f"{by_word(words)} shots"
    )


def _robustness(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del kind
    k = {5: "16", 10: "1", 11: "2", 12: "4", 13: "8"}[number]
    if k not in summary["shots"]:
        return _not_measured(f"{k} shots", "bars, " + NOT_PRINTED)
    entries = {t: pick(summary["accuracy"], test=t, arm="uml_init", shots=k) for t in summary["shifted"]}
    ours = f"UML (init) minus {summary['arms'][summary['control']]}: " + "; ".join(
        f"{test} {points(e['minus_control'])}" for test, e in entries.items()
    )
    words = {test: word(e["minus_control"]) for test, e in entries.items()}
    more = sum(word(e["extra"]) == "holds" for e in entries.values())
    text = f"more accurate: {_by_case(words)}; gains more than on the source law: {more} of {len(entries)} shifts"
    return Finding(ours, "bars, " + NOT_PRINTED, overall(list(words.values())), text)


def _by_case(words: Mapping[str, str]) -> str:
    return by_word(words).replace(" at ", " on ")


def _exchange(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del kind
    surface = summary["surfaces"][-1]  # of a pair, the aligned one
    parts = []
    for fit in surface["fits"]:
        if not fit["fit"].endswith("without the control"):
            continue
        words = fit.get("words_per_image")
        rate = words or fit.get("texts_per_image")
        if rate is None:
            parts.append(f"{fit['fit'].split(',')[0]}: text has no measurable worth")
            continue
        unit = "words" if words else "texts"
        parts.append(
            f"{fit['fit'].split(',')[0]}: 1 image = {_rate(rate['estimate'])} {unit} "
            f"[{_rate(rate['low'])}, {_rate(rate['high'])}]"
        )
    plane = next(fit for fit in surface["fits"] if fit["fit"] == "plane, without the control")
    fits = plane["lack_of_fit"]["verdict"]
    verdict, claims = (
        "fails" if plane["lack_of_fit"]["p"] < 0.01 else "holds",
        summary.get("aligned_against_unaligned"),
    )
    text = f"one rate everywhere {verdict}: {fits}"
    if claims:
        words_ = [claim["claim"] for claim in claims]
        text += f". Aligned encoders need fewer texts per image: {_count(words_, 'holds')} fits"
        verdict = "in part" if verdict == "fails" and "holds" in words_ else verdict
    return Finding("; ".join(parts), words_printed(number), verdict, text)


def _rate(value: float | None) -> str:
    """Three digits, and no exponent; None is an open end."""
    return "no limit" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _count(words: Sequence[str], word: str) -> str:
    return f"{word} in {sum(w == word for w in words)} of {len(words)}"


_MEASURES = {41: ("margin", True), 42: ("silhouette", True), 43: ("davies_bouldin", False)}


def _classifier(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del kind
    if number in _MEASURES:
        measure, more = _MEASURES[number]
        entries = [e for e in summary["measures"] if (e["measure"], e["arm"]) == (measure, "uml_init")]
        sign = 1 if more else -1
        words = {e["shots"]: word(e["minus_control"], sign) for e in entries}
        plain = [word(e["minus_unimodal"], sign) for e in entries if "minus_unimodal" in e]
        ours = f"UML (init) minus {summary['arms'][summary['control']]}: " + "; ".join(
            f"{points(e['minus_control'], 3)} at {e['shots']}" for e in entries
        )
        text = f"{by_word(words)} shots; against the plain baseline {_count(plain, 'holds')}"
        return Finding(ours, "bars, " + NOT_PRINTED, overall(list(words.values())), text)
    if number == 44:
        right = next(e for e in summary["prototypes"] if e["arm"] == "uml_init")
        wrong = [e for e in summary["prototypes"] if e["texts"] == "the texts it was given"]
        ours = f"diagonal minus rest {right['difference']:+.3f} (by chance {right['null_low']:+.3f} to {right['null_high']:+.3f}, p = {right['p_value']:.4f})"
        text = "the diagonal stands out" if right["p_value"] < 0.001 else "no diagonal"
        if wrong:
            text += f"; heads with permuted texts match those just as well ({wrong[0]['difference']:+.3f})"
        return Finding(
            ours, "heat-map, " + NOT_PRINTED, "holds" if right["p_value"] < 0.001 else "undecided", text
        )
    planes = summary["planes"]
    shown = [
        f"{' / '.join(before['classes'])}: {before['accuracy']:.0f}% of {len(before['first'])} test rows on their side before text, {after['accuracy']:.0f}% after"
        for before, after in zip(planes[::2], planes[1::2], strict=True)
    ]
    return Finding(
        "; ".join(shown),
        "picture, " + NOT_PRINTED,
        "undecided",
        "one repetition of a few rows: an illustration, not a test",
    )


def _texts(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    axes = {
        ("Figure", 30): "text encoder",
        ("Figure", 31): "kind of text",
        ("Figure", 32): "kind of text",
        ("Figure", 33): "texts per class",
        ("Table", 24): "kind of text",
        ("Table", 27): "batch ratio",
    }
    axis = axes[kind, number]
    arm = (
        "uml"
        if (kind, number) in {("Figure", 30), ("Figure", 31), ("Table", 24), ("Table", 27)}
        else "uml_init"
    )
    if axis not in summary["axes"]:
        return _not_measured(axis, "curves, " + NOT_PRINTED)
    variants = list(summary["axes"][axis])
    if (kind, number) == ("Table", 24):
        if "unrelated" not in variants:
            return _not_measured("unrelated text", gains_printed(kind, number, summary))
        variants = [variants[0], "unrelated"]
    shots = [summary["shots"][0], summary["shots"][-1]]
    parts, words = [], {}
    for variant in variants:
        gains = [
            pick(summary["accuracy"], axis=axis, variant=variant, arm=arm, shots=k)["minus_control"]
            for k in shots
        ]
        parts.append(f"{variant} {'; '.join(map(points, gains))}")
        words[variant] = word(gains[0])
    label = "UML" if arm == "uml" else "UML (init)"
    ours = f"{label} minus the matched control, {' and '.join(shots)} shots: {' | '.join(parts)}"
    if axis == "batch ratio":
        (line,) = _claim(summary["verdicts"], "batch ratio: ")
        verdict = "holds" if ") holds" in line else "fails" if ") fails" in line else "undecided"
        return Finding(ours, gains_printed(kind, number, summary), verdict, line)
    if (kind, number) == ("Table", 24):
        related, unrelated = (words[v] for v in variants)
        verdict = (
            "holds"
            if related == "holds" and unrelated != "holds"
            else "fails"
            if unrelated == "holds"
            else "undecided"
        )
        return Finding(
            ours,
            gains_printed(kind, number, summary),
            verdict,
            f"{shots[0]} shot: gain of related text {related}, of unrelated text {unrelated}",
        )
    lines = [
        line
        for line in _claim(summary["verdicts"], f"{axis}: ")
        if f"{label}, " in line or line.startswith(label)
    ]
    return Finding(
        ours,
        "curves, " + NOT_PRINTED,
        overall(list(words.values())),
        f"gains at {shots[0]} shot: {_by_case(words)}. {'. '.join(lines[-2:])}",
    )


def _whole(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    part = "ratio" if number == 28 else "linear" if number in {*range(10, 15), 21} else "finetune"
    rows = [e for e in summary["rows"] if e["part"] == part and "minus_control" in e]
    if number == 29:
        rows = [e for e in rows if e["arm"] == "uml"]
    elif part == "ratio":
        rows = [e for e in rows if e["arm"] in {"uml", "uml_init"}]
    else:
        rows = [e for e in rows if e["arm"] in {"uml", "uml_init"} and not e["unfrozen"]]
    ours = f"minus {summary['control']}: " + "; ".join(
        f"{e['label']} {points(e['minus_control'], 2)}" for e in rows
    )
    words = {e["label"]: word(e["minus_control"]) for e in rows}
    lines = {
        28: _claim(summary["verdicts"], "batch ratio, "),
        29: [line for line in summary["verdicts"] if "unfrozen" in line.lower()],
    }
    text = ". ".join(lines.get(number, [])) or _by_case(words)
    if number in {28, 29}:
        verdict = _sentence_verdict(lines[number])
    else:
        verdict = overall(list(words.values()))
    return Finding(ours, gains_printed(kind, number, summary), verdict, text)


def _sentence_verdict(lines: Sequence[str]) -> str:
    words = [
        word
        for line in lines
        for word in ("holds", "fails", "undecided")
        if f" {word}" in line or line.startswith(word)
    ]
    return overall(words) if words else "undecided"


def _three(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    audio = {("Figure", 6), ("Figure", 36), ("Table", 25)}
    roles = {"audio": ("audio", "outline"), "image": ("image", "picture", "glyph")}[
        "audio" if (kind, number) in audio else "image"
    ]
    target = next(t for t in summary["targets"] if t in roles)
    parts, words = [], {}
    for k in summary["shots"]:
        mine = [
            e
            for e in summary["accuracy"]
            if (e["target"], e["arm"], e["shots"]) == (target, "uml_init", k) and not e["shuffled"]
        ]
        parts.append(
            f"{k} {'shot' if k == '1' else 'shots'}: "
            + "; ".join(f"with {' + '.join(e['auxiliaries'])} {points(e['minus_control'])}" for e in mine)
        )
        for e in mine:
            words[f"{' + '.join(e['auxiliaries'])} at {k}"] = word(e["minus_control"])
    (line,) = [line for line in summary["verdicts"] if line.startswith(f"{target}:")]
    return Finding(
        f"{target}, UML (init) minus alone: {' | '.join(parts)}",
        three_modalities_printed(kind, number),
        overall(list(words.values())),
        line,
    )


def _self_supervised(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    contrasts = summary["contrasts"]
    ours = "; ".join(
        f"{summary['arms'][c['arm']]} minus {summary['arms'][c['control']]} {points(c['difference'], 2)}"
        for c in contrasts.values()
    )
    words = [word(contrasts[key]["difference"]) for key in ("paper", "rows") if key in contrasts]
    return Finding(ours, gains_printed(kind, number, summary), overall(words), summary["verdict"])


def _transfer(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del kind, number
    ours = "; ".join(
        f"{d['arm'].replace('_', ', layers ')} minus {d['control'].replace('_', ', layers ')} {points(d['end'])}"
        for d in summary["differences"]
    )
    words = [
        word(d["end"])
        for d in summary["differences"]
        if d["control"] == "scratch" or d["control"].startswith("shuffled")
    ]
    return Finding(ours, "curves, " + NOT_PRINTED, overall(words), ". ".join(summary["verdicts"]))


_READERS: dict[str, Callable[[Mapping[str, Any], str, int], Finding]] = {
    "schematics.py": _drawn,
    "data_sheets.py": _drawn,
    "gaussian_recon.py": _gaussian,
    "image_text_fewshot.py": _few_shot,
    "robustness.py": _robustness,
    "classifier_analysis.py": _classifier,
    "exchange_rate.py": _exchange,
    "text_ablations.py": _texts,
    "full_data.py": _whole,
    "three_modalities.py": _three,
    "self_supervised.py": _self_supervised,
    "language_to_vision.py": _transfer,
}
