"""Figures and tables that studies on shared heads stand for: what their summaries say about each."""

from collections.abc import Mapping, Sequence
from typing import Any

from studies.gallery_published import gains_printed, three_modalities_printed, words_printed
from studies.lab.finding import NOT_PRINTED, Finding, overall, pick, points, word
from studies.report_tables import by_word

__all__ = ["exchange", "texts", "three", "whole"]

Summary = Mapping[str, Any]
_CURVES = f"curves, {NOT_PRINTED}"
_NOT_ALIGNED = "; the stand-in's encoders are not aligned, as CLIP's are"


def _shots(shots: Sequence[str]) -> str:
    return f"{', '.join(shots)} {'shot' if list(shots) == ['1'] else 'shots'}"


def _on(words: Mapping[str, str]) -> str:
    return by_word(words).replace(" at ", " on ")


def _count(words: Sequence[str], what: str) -> str:
    return f"{what} in {sum(w == what for w in words)} of {len(words)}"


def _not_measured(what: str, printed: str) -> Finding:
    return Finding(f"{what}: not measured in this run", printed, "no claim", "not measured")


def exchange(summary: Summary, kind: str, number: int) -> Finding:
    """Aligned encoders: do they need fewer texts per image? Others: is a rate there, and does a plane describe it?"""
    del kind
    surface = summary["surfaces"][-1]  # of a pair, the aligned one
    fits = {fit["fit"]: fit for fit in surface["fits"]}
    plane, power = (fits[f"{name}, without the control"] for name in ("plane", "power law"))
    ours = "; ".join(f"{name}: {_rate_text(fit)}" for name, fit in (("plane", plane), ("power law", power)))
    ours += f"; with the control's rows, plane: {_rate_text(fits['plane, with the control'])}"
    described = plane["lack_of_fit"]["verdict"]
    claims = [claim["claim"].removeprefix("is ") for claim in summary.get("aligned_against_unaligned", ())]
    if claims:
        text = f"aligned encoders need fewer texts per image: {_count(claims, 'holds')} fits. {described}"
        return Finding(ours, words_printed(number), overall(claims), text)
    worth = [_is_positive(fit) for fit in (plane, power)]
    verdict = "undecided" if not all(worth) else "in part" if plane["lack_of_fit"]["p"] < 0.01 else "holds"
    text = f"text is worth something: {_count(['holds' if w else 'undecided' for w in worth], 'holds')} fits. {described}"
    return Finding(ours, words_printed(number), verdict, text)


def _is_positive(fit: Mapping[str, Any]) -> bool:
    """Whether one more text is worth a positive number of images for sure."""
    return bool(fit["images_per_text"]["low"] > 0)


def _rate_text(fit: Mapping[str, Any]) -> str:
    unit = "words" if "words_per_image" in fit else "texts"
    rate = fit[f"{unit}_per_image"]
    if rate["estimate"] is None:
        return "text has no measurable worth"
    low, high = (_number(rate[end]) for end in ("low", "high"))
    return f"1 image = {_number(rate['estimate'])} {unit} [{low}, {high}]"


def _number(value: float | None) -> str:
    """Three digits, and no exponent; None is an open end."""
    return "no limit" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


_AXES = {
    ("Figure", 30): ("text encoder", "uml"),
    ("Figure", 31): ("kind of text", "uml"),
    ("Figure", 32): ("kind of text", "uml_init"),
    ("Figure", 33): ("texts per class", "uml_init"),
    ("Table", 24): ("kind of text", "uml_init"),
    ("Table", 27): ("batch ratio", "uml"),
}


def texts(summary: Summary, kind: str, number: int) -> Finding:
    """One axis of the ablations: gains of its variants over the matched control, at the fewest and the most shots."""
    axis, arm = _AXES[kind, number]
    printed = gains_printed(kind, number, summary) if kind == "Table" else _CURVES
    if axis not in summary["axes"]:
        return _not_measured(axis, printed)
    variants = list(summary["axes"][axis])
    if kind == "Figure":  # unrelated text is Table 24's
        variants = [v for v in variants if v != "unrelated"]
    elif number == 24:
        if "unrelated" not in variants:
            return _not_measured("unrelated text", printed)
        variants = [variants[0], "unrelated"]
    gains = {
        v: {
            k: pick(summary["accuracy"], axis=axis, variant=v, arm=arm, shots=k)["minus_control"]
            for k in summary["shots"]
        }
        for v in variants
    }
    label, ends = (
        "UML" if arm == "uml" else "UML (init)",
        list(dict.fromkeys(summary["shots"][:1] + summary["shots"][-1:])),
    )
    shown = "; ".join(f"{v}: {', '.join(points(gains[v][k]) for k in ends)}" for v in variants)
    ours = f"{label} minus the matched control at {' and '.join(ends)} shots: {shown}"
    words = {v: {k: word(gain) for k, gain in gains[v].items()} for v in variants}
    if axis == "batch ratio":
        return _batch_ratio(summary, ours, printed)
    if number == 24:
        related, unrelated = (list(words[v].values()) for v in variants)
        verdict = "fails" if "holds" in unrelated else overall(related)
        text = f"related text gains: {by_word(words[variants[0]])} shots; unrelated text gains: {by_word(words['unrelated'])} shots"
        return Finding(ours, printed, verdict, text)
    lines = [v.removeprefix(f"{axis}: ") for v in summary["verdicts"] if v.startswith(f"{axis}: ")]
    between = [line for line in lines if " minus " in line or "from " in line]
    own = [line for line in between if f", {label}, " in line or line.startswith(f"{label}, ")]
    flat = [w for by_shots in words.values() for w in by_shots.values()]
    text = "; ".join(f"gain with {v}: {by_word(by_shots)} shots" for v, by_shots in words.items())
    return Finding(ours, printed, overall(flat), ". ".join([text, *own]))


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


_SOUND = {("Figure", 6), ("Figure", 36), ("Table", 25)}
_TARGETS = {True: ("audio", "outline"), False: ("image", "picture")}


def three(summary: Summary, kind: str, number: int) -> Finding:
    """Does each further modality help? That fails where one step of UML (init) loses against what came before it."""
    names = _TARGETS[(kind, number) in _SOUND]
    target = next(t for t in summary["targets"] if t in names)
    shown, words = [], []
    for k in summary["shots"]:
        mine = [
            e
            for e in summary["accuracy"]
            if (e["target"], e["arm"], e["shots"]) == (target, "uml_init", k) and not e["shuffled"]
        ]
        gains = "; ".join(f"with {' + '.join(e['auxiliaries'])} {points(e['minus_control'])}" for e in mine)
        shown.append(f"{_shots([k])}: {gains}")
        steps = [
            s for s in summary["steps"] if (s["target"], s["arm"], s["shots"]) == (target, "uml_init", k)
        ]
        found = {word(s["difference"]) for s in steps}
        words.append("fails" if "fails" in found else "holds" if found == {"holds"} else "undecided")
    (line,) = (v for v in summary["verdicts"] if v.startswith(f"{target}:"))
    if number in {35, 36}:
        line += _NOT_ALIGNED if summary["control"] != "unimodal" else ""
    ours = f"{target}, UML (init) minus alone. {'. '.join(shown)}"
    return Finding(ours, three_modalities_printed(kind, number), overall(words), line)
