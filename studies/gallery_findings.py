"""What each figure and table of the paper came to here: read from a study's summary, beside the printed numbers.

`gallery_heads` has the readers of studies on shared heads; the others are here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from studies.gallery_heads import classifier, few_shot, whole
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
        (kind, number): told.get((kind, number)) or _READERS.get(job.script, _untold)(summary, kind, number)
        for kind, numbers in (("Figure", job.figures), ("Table", job.tables))
        for number in numbers
    }


def _untold(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    """Of a file that an earlier version wrote, or a run that leaves this exhibit out."""
    del summary, kind, number
    return Finding("not told by this run", "see the paper", "no claim", "not told; run the study again")


def _schematic(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del summary, kind, number
    return Finding("drawn by code from the project's own data", "schematic", "no claim", "no claim to test")


def _data_sheet(summary: Mapping[str, Any], kind: str, number: int) -> Finding:
    del summary, kind
    where = "the .md and .csv" if number == 5 else "the picture and the .csv"
    return Finding(f"counted, see {where}", "beside ours there", "no claim", "no claim to test")


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
    "image_text_fewshot.py": few_shot,
    "classifier_analysis.py": classifier,
    "full_data.py": whole,
    "language_to_vision.py": _transfer,
}
