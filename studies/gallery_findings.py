"""What each figure and table of the paper came to here: read from a study's summary, beside the printed numbers.

`gallery_heads` has the readers of studies on shared heads; the others are here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from studies.gallery_heads import exchange, texts, three, whole
from studies.gallery_published import gains_printed
from studies.jobs import Job
from studies.lab.finding import NOT_PRINTED, Finding, findings_of, overall, points, word

__all__ = ["findings"]

Reader = Callable[[Mapping[str, Any], str, int], Finding]


def findings(job: Job, summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """The figures and tables that a run stands for.

    Args:
        job: the run.
        summary: what it wrote as JSON.

    Returns:
        {("Figure" or "Table", number): finding}, in the paper's order.
    """
    told = findings_of(summary.get("findings", ()))
    return {
        (kind, number): told.get((kind, number)) or _READERS[job.script](summary, kind, number)
        for kind, numbers in (("Figure", job.figures), ("Table", job.tables))
        for number in numbers
    }


def _schematic(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del summary, kind, number
    return Finding("drawn by code from the project's own data", "schematic", "no claim", "no claim to test")


def _data_sheet(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del summary, kind
    where = "the .md and .csv" if number == 5 else "the picture and the .csv"
    return Finding(f"counted, see {where}", "beside ours there", "no claim", "no claim to test")


def _gaussian(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    """Figure 3 claims that a sample of y is worth more than one of x, Figure 37 that half and half beat all x."""
    del kind
    if number == 3:
        last = max(e["steps"] for e in summary["exchange_rates"])
        rates = {e["budget"]: e["rate"] for e in summary["exchange_rates"] if e["steps"] == last}
        shown = ", ".join(
            f"{'not defined' if r is None else f'{r:.2f}'} (N = {n:,})" for n, r in rates.items()
        )
        words = ["undecided" if r is None else "holds" if r > 1 else "fails" for r in rates.values()]
        more = sum(w == "holds" for w in words)
        return Finding(
            f"x samples that one y sample replaces, after {last:,} steps: {shown}; no intervals",
            NOT_PRINTED,
            overall(words),
            f"a y sample is worth more than an x sample at {more} of {len(rates)} budgets; not defined where UML's error is "
            "below all that x alone reaches",
        )
    marks, ratios = summary["marks"], summary["ratios"]
    shown_ratios = []
    for name, label in (("uml / x", "UML / x"), ("uml 2b / x 2b", "both with twice the rows")):
        best = min(range(len(marks)), key=lambda i: ratios[name][i]["estimate"])
        for i in dict.fromkeys((best, len(marks) - 1)):
            r = ratios[name][i]
            text = f"{label}, {marks[i]:,} steps: {r['estimate']:.2f} [{r['low']:.2f}, {r['high']:.2f}]"
            shown_ratios.append(text)
    words = [
        "holds" if r["high"] < 1 else "fails" if r["low"] > 1 else "undecided" for r in ratios["uml / x"]
    ]
    ours = f"ratio of errors: {'; '.join(shown_ratios)}"
    return Finding(ours, NOT_PRINTED, overall(words), summary["verdicts"]["uml / x"])


def _self_supervised(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    """The verdict is that of equal rows per step; the paper's own comparison stands beside it."""
    contrasts = summary["contrasts"]
    ours = "; ".join(
        f"{summary['arms'][c['arm']]} minus {summary['arms'][c['control']]} {points(c['difference'], 2)}"
        for c in contrasts.values()
    )
    words = [word(contrasts["rows"]["difference"])] if "rows" in contrasts else []
    return Finding(ours, gains_printed(kind, number, summary), overall(words), summary["verdict"])


def _transfer(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    """Holds where pretrained layers beat all others: random ones, shuffled ones, Gaussian ones of their scale."""
    del kind, number
    ours = "; ".join(
        f"{_arm(d['arm'])} minus {_arm(d['control'])} {points(d['end'])}" for d in summary["differences"]
    )
    words = [word(d["end"]) for d in summary["differences"]]
    return Finding(ours, "curves, " + NOT_PRINTED, overall(words), ". ".join(summary["verdicts"]))


def _arm(name: str) -> str:
    how, _, mode = name.partition("_")
    return f"{how} ({mode})" if mode else how


_READERS: dict[str, Reader] = {
    "schematics.py": _schematic,
    "data_sheets.py": _data_sheet,
    "gaussian_recon.py": _gaussian,
    "exchange_rate.py": exchange,
    "text_ablations.py": texts,
    "full_data.py": whole,
    "three_modalities.py": three,
    "self_supervised.py": _self_supervised,
    "language_to_vision.py": _transfer,
}
