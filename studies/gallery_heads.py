"""Figures and tables that studies on shared heads stand for: what their summaries say about each."""

from collections.abc import Mapping, Sequence
from typing import Any

from studies.lab.finding import NOT_PRINTED, Finding, overall, pick, points, word
from studies.paper.printed import gains_printed
from studies.report_tables import by_word

__all__ = ["few_shot"]

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


def _batch_ratio(summary: Summary, ours: str, printed: str) -> Finding:
    """The verdict of the study's sentence by `report_tables.little_impact`."""
    start = "batch ratio: "
    (line,) = (v.removeprefix(start) for v in summary["verdicts"] if v.startswith(start))
    words = [w for w in ("holds", "fails", "undecided") if f") {w}" in line or f") is {w}" in line]
    return Finding(ours, printed, overall(words), line)
