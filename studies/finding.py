"""One figure or table of the paper as it came out here, and the words that go with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studies.harness import Interval
from studies.report_tables import direction, gain_text

__all__ = ["NOT_PRINTED", "VERDICTS", "Finding", "interval_of", "overall", "pick", "points", "word"]

#: What a row can come to, under the control that has as many parameters as UML.
VERDICTS = ("holds", "in part", "undecided", "fails in part", "fails", "no claim")
NOT_PRINTED = "no number printed"


@dataclass(frozen=True)
class Finding:
    """One figure or table.

    Attributes:
        ours: numbers with 95% intervals.
        published: what the paper prints, or that it prints none.
        verdict: one of `VERDICTS`.
        holds: the same in a sentence, under the matched control.
    """

    ours: str
    published: str
    verdict: str
    holds: str


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
    """A paired difference as text.

    Args:
        gain: as JSON holds it.
        digits: decimals.

    Returns:
        Text.
    """
    return gain_text(interval_of(gain), digits)


def word(gain: Mapping[str, Any], sign: int = 1) -> str:
    """What a paired difference says, by its 95% interval.

    Args:
        gain: as JSON holds it.
        sign: -1 where less is better.

    Returns:
        "holds", "fails" or "undecided".
    """
    return direction(interval_of(gain, sign), up="holds", down="fails", unclear="undecided")


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
    """The first entry with these values.

    Args:
        entries: of a summary.
        **wanted: values by name.

    Returns:
        The entry.

    Raises:
        KeyError: there is none.
    """
    found = [e for e in entries if all(e.get(name) == value for name, value in wanted.items())]
    if not found:
        raise KeyError(f"no entry with {wanted}")
    return found[0]
