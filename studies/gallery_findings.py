"""What each figure and table of the paper came to here: read from a study's summary, beside the printed numbers.

`gallery_heads` has the readers of studies on shared heads; the others are here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from studies.gallery_heads import classifier, exchange, few_shot, robustness, texts, three, whole
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
    "image_text_fewshot.py": few_shot,
    "robustness.py": robustness,
    "classifier_analysis.py": classifier,
    "exchange_rate.py": exchange,
    "text_ablations.py": texts,
    "full_data.py": whole,
    "three_modalities.py": three,
    "self_supervised.py": _self_supervised,
    "language_to_vision.py": _transfer,
}
