"""One figure or table of the paper as it came out here, and the words that go with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from neural.results.intervals import Interval
from neural.results.text import direction, equivalence, gain_text, little_impact_record

__all__ = [
    "NOT_PRINTED",
    "ONE_RATIO",
    "VERDICTS",
    "Evidence",
    "Finding",
    "evidence_of",
    "findings_of",
    "interval_of",
    "little_impact_finding",
    "overall",
    "pick",
    "points",
    "records",
    "word",
]

#: What a row can come to, under the control that has as many parameters as UML.
VERDICTS = ("holds", "in part", "undecided", "fails in part", "fails", "no claim")
NOT_PRINTED = "no number printed"
ONE_RATIO = "only r = 1 was measured"


@dataclass(frozen=True)
class Evidence:
    """One comparison behind a verdict.

    Attributes:
        contrast: what is compared with what, and where ("UML (init) minus unimodal, matched, 4 shots").
        estimate: of the difference, in `unit`.
        low: lower end of its 95% interval.
        high: upper end.
        verdict: "holds", "fails" or "undecided", see `word`.
        unit: e.g. "points".
    """

    contrast: str
    estimate: float
    low: float
    high: float
    verdict: str
    unit: str = "points"


@dataclass(frozen=True)
class Finding:
    """One figure or table.

    Attributes:
        ours: numbers with 95% intervals.
        published: what the paper prints, or that it prints none.
        verdict: one of `VERDICTS`.
        holds: the same in a sentence, under the matched control.
        evidence: the comparisons that the verdict follows from.
    """

    ours: str
    published: str
    verdict: str
    holds: str
    evidence: tuple[Evidence, ...] = ()


def records(found: Mapping[tuple[str, int], Finding]) -> list[dict[str, Any]]:
    """Findings as a study's summary keeps them, under "findings".

    Args:
        found: by exhibit, ("Figure" or "Table", number).

    Returns:
        One plain dictionary per exhibit.

    Example:
        >>> made = records({("Figure", 5): Finding("+1.2 [0.1, 2.3]", NOT_PRINTED, "holds", "at all shots")})
        >>> made[0]["exhibit"], made[0]["verdict"]
        ('Figure 5', 'holds')
        >>> findings_of(made)[("Figure", 5)].holds
        'at all shots'
    """
    return [
        {"exhibit": f"{kind} {number}"} | asdict(finding) | {"evidence": [*map(asdict, finding.evidence)]}
        for (kind, number), finding in found.items()
    ]


def findings_of(kept: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], Finding]:
    """Findings by exhibit, from what `records` made of them."""
    found = {}
    for record in kept:
        kind, number = record["exhibit"].split()
        fields = {name: value for name, value in record.items() if name != "exhibit"}
        fields["evidence"] = tuple(Evidence(**entry) for entry in fields.get("evidence", ()))
        found[kind, int(number)] = Finding(**fields)
    return found


def evidence_of(contrast: str, difference: Interval, unit: str = "points") -> Evidence:
    """A paired difference as evidence that it is positive.

    Args:
        contrast: what is compared with what, and where.
        difference: with its 95% interval.
        unit: of the difference.

    Returns:
        Evidence, with the verdict that `word` gives.

    Example:
        >>> evidence_of("UML minus unimodal", Interval(1.0, 0.5, 2.0, 5)).verdict
        'holds'
    """
    verdict = word(vars(difference))
    return Evidence(contrast, difference.estimate, difference.low, difference.high, verdict, unit)


def interval_of(entry: Mapping[str, Any], sign: int = 1) -> Interval:
    """An interval as JSON holds it.

    Args:
        entry: with "estimate", "low", "high" and perhaps "n".
        sign: -1 turns it around, where less is better.

    Returns:
        Interval.

    Example:
        >>> print(interval_of({"estimate": 1.0, "low": 0.5, "high": 2.0}, sign=-1))
        -1 [-2, -0.5]
    """
    low, high = sorted((sign * entry["low"], sign * entry["high"]))
    return Interval(sign * entry["estimate"], low, high, int(entry.get("n", 0)))


def points(gain: Mapping[str, Any], digits: int = 1) -> str:
    """A paired difference, as JSON holds it, as text."""
    return gain_text(interval_of(gain), digits)


def word(gain: Mapping[str, Any], sign: int = 1) -> str:
    """By the 95% interval of a difference, as JSON holds it: holds, fails or undecided; sign -1 where less is better."""
    return direction(interval_of(gain, sign), up="holds", down="fails", unclear="undecided")


def little_impact_finding(ours: str, printed: str, gaps: Mapping[str, Interval], contrast: str) -> Finding:
    """Holds where no batch ratio moves the accuracy by more than a point; `contrast` words a gap by its name in {}."""
    if not gaps:
        return Finding(ours, printed, "no claim", ONE_RATIO)
    impact = little_impact_record(gaps)
    evidence = tuple(
        Evidence(contrast.format(name), gap.estimate, gap.low, gap.high, equivalence(gap))
        for name, gap in gaps.items()
    )
    return Finding(ours, printed, impact.verdict, impact.sentence, evidence)


def overall(words: Sequence[str]) -> str:
    """One verdict for several comparisons.

    Args:
        words: "holds", "fails" or "undecided" each.

    Returns:
        One of `VERDICTS`: "in part" where some hold, "fails in part" where none does and some fail.

    Example:
        >>> overall(["holds", "fails"]), overall(["fails", "undecided"]), overall(["holds", "holds"]), overall([])
        ('in part', 'fails in part', 'holds', 'no claim')
    """
    if len(set(words)) < 2:
        return words[0] if words else "no claim"
    return "in part" if "holds" in words else "fails in part"


def pick(entries: Sequence[Mapping[str, Any]], **wanted: object) -> Mapping[str, Any]:
    """The first entry with these values; a KeyError if there is none."""
    found = [e for e in entries if all(e.get(name) == value for name, value in wanted.items())]
    if not found:
        raise KeyError(f"no entry with {wanted}")
    return found[0]
