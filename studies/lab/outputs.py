"""What a study leaves behind: NAME.csv, NAME_table.csv, NAME.md and NAME.json beside its figure NAME.png, and what it prints."""

import time
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from fisherkit.files import write_atomic
from neural.results.cells import Cells, cell_key
from neural.results.files import write_csv, write_json
from neural.results.provenance import provenance
from neural.results.table import write_table
from neural.tasks.task import Task

__all__ = ["Report", "write_head_report", "write_report"]


class _HeadCell(Protocol):
    @property
    def key(self) -> dict[str, Any]:
        """Everything that decides its result."""

    @property
    def task(self) -> Task:
        """What is classified."""


@dataclass(frozen=True)
class Report:
    """What a study has to say.

    Attributes:
        summary: for the JSON file.
        markdown: tables and verdicts.
        rows: one per finished cell, as a table.
        table: the tables in long form; none where the rows are few.
    """

    summary: dict[str, Any]
    markdown: str
    rows: pd.DataFrame | Sequence[Mapping[str, object]]
    table: pd.DataFrame | Sequence[Mapping[str, object]] = ()


def write_report(
    report: Report,
    options: Namespace,
    name: str,
    *,
    config: Mapping[str, Any],
    began: float,
    keys: Iterable[Mapping[str, Any]],
    store: Cells,
    computed: int,
    **about: object,
) -> dict[str, Any]:
    """Print and write a report; its figure is drawn already.

    Args:
        report: to write.
        options: of the command line, with the folder `out` and the torch device `device`.
        name: of the files.
        config: the study's settings.
        began: when the study began, by `time.perf_counter`.
        keys: of all cells of the study; equal ones count once.
        store: finished cells, whose results have "seconds".
        computed: number of cells computed now.
        **about: further entries of the provenance.

    Returns:
        The summary that was written, with its provenance.
    """
    folder: Path = options.out
    print(report.markdown)
    _write_rows(folder / f"{name}.csv", report.rows)
    if len(report.table):
        _write_rows(folder / f"{name}_table.csv", report.table)
    write_atomic(folder / f"{name}.md", report.markdown.encode())
    seconds = time.perf_counter() - began
    different = {cell_key(key): key for key in keys}.values()
    origin = provenance(config=config, seconds=seconds, device=options.device) | {
        "cells_computed_now": computed,
        "cells_in_all": len(different),
        "training_seconds_in_all": round(sum(store.get(key)["seconds"] for key in different), 1),
    }
    summary = report.summary | {"provenance": origin | about}
    write_json(folder / f"{name}.json", summary)
    print(f"wall time {seconds:.0f} s: {computed} cells computed, {len(different) - computed} were finished")
    print(f"figure {folder / f'{name}.png'}")
    return summary


def write_head_report(
    report: Report,
    options: Namespace,
    name: str,
    cells: Sequence[_HeadCell],
    store: Cells,
    *,
    config: Mapping[str, Any],
    began: float,
    computed: int,
) -> dict[str, Any]:
    """Print and write the report of a study on shared heads.

    Args:
        report: to write.
        options: of the command line, with `out` and `device`.
        name: of the files.
        cells: of the study.
        store: finished cells.
        config: the study's settings.
        began: when the study began, by `time.perf_counter`.
        computed: number of cells computed now.

    Returns:
        The summary that was written, with its provenance.
    """
    return write_report(
        report,
        options,
        name,
        config=config,
        began=began,
        keys=[cell.key for cell in cells],
        store=store,
        computed=computed,
        task_fingerprints=sorted({cell.task.fingerprint for cell in cells}),
    )


def _write_rows(path: Path, rows: pd.DataFrame | Sequence[Mapping[str, object]]) -> None:
    write = write_table if isinstance(rows, pd.DataFrame) else write_csv
    write(path, rows)
