"""Pieces of reports that studies share: Markdown tables, intervals as text and columns, words for a comparison."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from neural.results.intervals import Interval

__all__ = [
    "STABLE",
    "LittleImpact",
    "by_word",
    "direction",
    "equivalence",
    "gain_text",
    "interval_columns",
    "little_impact_record",
    "markdown_table",
    "text_table",
]

#: Points within which a batch ratio counts as of no importance; the paper's Table 27 moves by 0.8 at most.
STABLE = 1.0


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as Markdown has it.

    Args:
        header: column titles.
        rows: cells; anything printable, bars are escaped.

    Returns:
        Lines joined by newlines.

    Example:
        >>> print(markdown_table(["arm", "k = 1"], [["UML", 0.5]]))
        | arm | k = 1 |
        | --- | --- |
        | UML | 0.5 |
    """
    lines = [
        list(header),
        ["---"] * len(header),
        *([str(cell).replace("|", "\\|") for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def gain_text(gain: Interval, digits: int = 1) -> str:
    """A difference with its sign and its interval.

    Args:
        gain: the difference.
        digits: decimals.

    Returns:
        Text.

    Example:
        >>> gain_text(Interval(1.24, -0.5, 3.0, 4))
        '+1.2 [-0.5, +3.0]'
    """
    return f"{gain.estimate:+.{digits}f} [{gain.low:+.{digits}f}, {gain.high:+.{digits}f}]"


def interval_columns(name: str, interval: Interval, digits: int = 4) -> dict[str, float]:
    """An interval as three columns of a CSV file.

    Args:
        name: of the estimate's column.
        interval: what goes into them.
        digits: decimals kept.

    Returns:
        Columns NAME, NAME_low and NAME_high.

    Example:
        >>> interval_columns("gain", Interval(1.0, 0.5, 1.5, 3))
        {'gain': 1.0, 'gain_low': 0.5, 'gain_high': 1.5}
    """
    ends = {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {column: round(value, digits) for column, value in ends.items()}


def direction(difference: Interval, *, up: str, down: str, unclear: str = "is undecided") -> str:
    """What a paired difference says, by its 95% interval.

    Args:
        difference: treated minus control.
        up: word where the interval lies above zero.
        down: word where it lies below.
        unclear: word where it contains zero.

    Returns:
        One of the words.

    Example:
        >>> direction(Interval(1.0, 0.5, 1.5, 3), up="gains", down="loses")
        'gains'
    """
    if difference.low > 0:
        return up
    return down if difference.high < 0 else unclear


def by_word(words: Mapping[str, str]) -> str:
    """Cases that got the same word, together.

    Args:
        words: {case: word}, in order.

    Returns:
        Text.

    Example:
        >>> by_word({"1": "gains", "2": "gains", "4": "is undecided"})
        'gains at 1, 2; is undecided at 4'
    """
    cases: dict[str, list[str]] = {}
    for case, word in words.items():
        cases.setdefault(word, []).append(case)
    return "; ".join(f"{word} at {', '.join(together)}" for word, together in cases.items())


def equivalence(gap: Interval) -> str:
    """Whether a difference is of no importance.

    Args:
        gap: in points.

    Returns:
        "holds" where its interval lies within `STABLE` points of zero, "fails" where beyond, else "undecided".

    Example:
        >>> equivalence(Interval(0.2, -0.1, 0.5, 5)), equivalence(Interval(0.9, 0.5, 1.3, 5))
        ('holds', 'undecided')
    """
    if -STABLE < gap.low and gap.high < STABLE:
        return "holds"
    return "fails" if gap.low > STABLE or gap.high < -STABLE else "undecided"


@dataclass(frozen=True)
class LittleImpact:
    """Whether batch ratios are of no importance, as equivalence within `STABLE` points.

    Attributes:
        verdict: "holds" where all do, "fails" where one does, else "undecided"; see `equivalence`.
        total: number of differences to r = 1.
        inside: those whose intervals lie within.
        outside: those whose intervals lie beyond.
        clear: those whose intervals exclude zero.
        largest: what has the largest difference.
        gap: that difference.
    """

    verdict: str
    total: int
    inside: int
    outside: int
    clear: int
    largest: str
    gap: Interval

    @property
    def sentence(self) -> str:
        """All of it in words."""
        verdict = "is undecided" if self.verdict == "undecided" else self.verdict
        return (
            f"little impact (within {STABLE:g} point of r = 1) {verdict}: {self.inside} of {self.total} intervals lie "
            f"within, {self.outside} beyond; {self.clear} exclude zero ({0.05 * self.total:.1f} expected by chance); "
            f"largest: {self.largest}: {gain_text(self.gap)}"
        )


def little_impact_record(gaps: Mapping[str, Interval]) -> LittleImpact:
    """Whether batch ratios are of no importance.

    Args:
        gaps: {what: difference to r = 1}, at least one.

    Returns:
        Verdict, counts and the largest difference.

    Example:
        >>> little_impact_record({"r = 4": Interval(0.2, -0.1, 0.5, 5)}).verdict
        'holds'
    """
    words = [equivalence(gap) for gap in gaps.values()]
    clear = sum(gap.excludes(0) for gap in gaps.values())
    inside, outside = words.count("holds"), words.count("fails")
    verdict = "fails" if outside else "undecided"
    if inside == len(gaps):
        verdict = "holds"
    largest, gap = max(gaps.items(), key=lambda item: abs(item[1].estimate))
    return LittleImpact(verdict, len(gaps), inside, outside, clear, largest, gap)


def text_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Text table with aligned columns.

    Args:
        header: column titles.
        rows: cells; anything printable.

    Returns:
        Lines joined by newlines.

    Example:
        >>> print(text_table(["arm", "mse"], [["x", 0.5], ["x + y", 0.25]]))
        arm    mse
        -----  ----
        x      0.5
        x + y  0.25
    """
    lines = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
