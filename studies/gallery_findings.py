"""What each figure and table of the paper came to here: read from a study's summary, beside the printed numbers.

`gallery_heads` has the readers of studies on shared heads; the others are here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from studies.gallery_heads import few_shot
from studies.lab.finding import Finding, findings_of
from studies.paper.jobs import Job

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


_READERS: dict[str, Reader] = {
    "schematics.py": _schematic,
    "image_text_fewshot.py": few_shot,
}
