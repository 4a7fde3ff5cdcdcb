"""Figures and tables that studies on shared heads stand for: what their summaries say about each."""

from collections.abc import Mapping, Sequence
from typing import Any

from studies.gallery_published import gains_printed
from studies.lab.finding import NOT_PRINTED, Finding, overall, pick, points, word
from studies.report_tables import by_word

__all__ = ["classifier", "few_shot", "whole"]

Summary = Mapping[str, Any]
_BARS = f"bars, {NOT_PRINTED}"
_NOT_ALIGNED = "; the stand-in's encoders are not aligned, as CLIP's are"


def _shots(shots: Sequence[str]) -> str:
    return f"{', '.join(shots)} {'shot' if list(shots) == ['1'] else 'shots'}"


def _on(words: Mapping[str, str]) -> str:
    return by_word(words).replace(" at ", " on ")


def _count(words: Sequence[str], what: str) -> str:
    return f"{what} in {sum(w == what for w in words)} of {len(words)}"


def _not_measured(what: str, printed: str) -> Finding:
    return Finding(f"{what}: not measured in this run", printed, "no claim", "not measured")


def few_shot(summary: Summary, kind: str, number: int) -> Finding:
    """UML (init) against the matched control; the difference to the plain baseline is the paper's contrast."""
    test = summary["tests"][0]
    shots = [k for k in summary["shots"] if number != 2 or k in {"1", "2", "4"}]
    entries = {k: pick(summary["accuracy"], test=test, arm="uml_init", shots=k) for k in shots}
    gains = {k: e["minus_control"] for k, e in entries.items()}
    against = summary["arms"][summary["control"]]
    ours = f"UML (init) minus {against}, {_shots(shots)}: {'; '.join(map(points, gains.values()))}"
    if summary["control"] != "unimodal":
        base = [pick(summary["accuracy"], test=test, arm="unimodal", shots=k)["accuracy"] for k in shots]
        plain = [
            e["accuracy"]["estimate"] - b["estimate"] for e, b in zip(entries.values(), base, strict=True)
        ]
        ours += f". Minus the plain baseline, as in the paper, without intervals: {', '.join(f'{p:+.1f}' for p in plain)}"
    words = {k: word(gain) for k, gain in gains.items()}
    verdict, text = overall(list(words.values())), f"{by_word(words)} shots"
    if number == 2:  # its other half is full fine-tuning
        verdict = "in part" if verdict == "holds" else verdict
        text = f"few-shot half: {text}; full fine-tuning: see Table 8"
    return Finding(ours, gains_printed(kind, number, summary), verdict, text)


_MEASURES = {41: ("margin", 1), 42: ("silhouette", 1), 43: ("davies_bouldin", -1)}


def classifier(summary: Summary, kind: str, number: int) -> Finding:
    """Margins and separation against the matched control; planes and the heat-map of one repetition."""
    del kind
    if number in _MEASURES:
        measure, sign = _MEASURES[number]
        entries = [e for e in summary["measures"] if (e["measure"], e["arm"]) == (measure, "uml_init")]
        words = {e["shots"]: word(e["minus_control"], sign) for e in entries}
        plain = [word(e["minus_unimodal"], sign) for e in entries if "minus_unimodal" in e]
        ours = f"UML (init) minus {summary['arms'][summary['control']]}: " + "; ".join(
            f"{points(e['minus_control'], 3)} at {e['shots']}" for e in entries
        )
        text = f"{'higher' if sign > 0 else 'lower'} is better: {by_word(words)} shots"
        text += f"; against the plain baseline {_count(plain, 'holds')}" if plain else ""
        return Finding(ours, _BARS, overall(list(words.values())), text)
    if number == 44:
        return _heat_map(summary)
    planes = summary["planes"]
    shown = [
        f"{' / '.join(before['classes'])}: {before['accuracy']:.0f}% of {len(before['first'])} test rows on their side before "
        f"text, {after['accuracy']:.0f}% after"
        for before, after in zip(planes[::2], planes[1::2], strict=True)
    ]
    text = "one repetition of a few rows: an illustration, not a test"
    text += _NOT_ALIGNED if summary["control"] != "unimodal" else ""
    return Finding("; ".join(shown), f"picture, {NOT_PRINTED}", "no claim", text)


def _heat_map(summary: Summary) -> Finding:
    """The diagonal must stand out, and more than that of heads which were given other classes' texts."""
    right = next(e for e in summary["prototypes"] if e["arm"] == "uml_init")
    permuted = [e for e in summary["prototypes"] if e["texts"] == "the texts it was given"]
    ours = (
        f"diagonal minus rest {right['difference']:+.3f} (by chance {right['null_low']:+.3f} to "
        f"{right['null_high']:+.3f}, p = {right['p_value']:.4f})"
    )
    stands_out = right["p_value"] < 0.001
    text, verdict = (
        "the diagonal stands out" if stands_out else "no diagonal",
        "holds" if stands_out else "undecided",
    )
    if permuted and permuted[0]["p_value"] < 0.001:
        text += f"; so does that of heads with permuted texts and the texts they were given ({permuted[0]['difference']:+.3f})"
        verdict = "in part" if stands_out else verdict
    return Finding(ours, f"heat-map, {NOT_PRINTED}", verdict, text)


def _batch_ratio(summary: Summary, ours: str, printed: str) -> Finding:
    """The verdict of the study's sentence by `report_tables.little_impact`."""
    start = "batch ratio: "
    (line,) = (v.removeprefix(start) for v in summary["verdicts"] if v.startswith(start))
    words = [w for w in ("holds", "fails", "undecided") if f") {w}" in line or f") is {w}" in line]
    return Finding(ours, printed, overall(words), line)


def whole(summary: Summary, kind: str, number: int) -> Finding:
    """All labelled rows: linear probes, fine-tuning, batch ratio, text encoder unfrozen."""
    part = "ratio" if number == 28 else "linear" if number in {*range(10, 15), 21} else "finetune"
    rows = [e for e in summary["rows"] if e["part"] == part and e["arm"] in {"uml", "uml_init"}]
    rows = [e for e in rows if (e["arm"] == "uml" if number == 29 else not e["unfrozen"])]
    printed = gains_printed(kind, number, summary, few_shot=False)
    if not rows:
        return _not_measured(
            {"finetune": "fine-tuning", "linear": "linear probes", "ratio": "batch ratio"}[part], printed
        )
    if number == 20 and summary["control"] != "unimodal":
        return _not_measured("fine-tuning of aligned encoders", printed)
    ours = f"minus {summary['control']}: " + "; ".join(
        f"{e['label']} {points(e['minus_control'], 2)}" for e in rows
    )
    if number == 28:
        return _batch_ratio(summary, ours, printed)
    words = {e["label"]: word(e["minus_control"]) for e in rows}
    text = f"above the control: {_on(words)}"
    if number == 29:
        text += ". " + ". ".join(v for v in summary["verdicts"] if "frozen text encoder above unfrozen" in v)
    return Finding(ours, printed, overall(list(words.values())), text)
