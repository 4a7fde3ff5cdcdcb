"""What a study leaves behind: NAME.csv, NAME_table.csv, NAME.md and NAME.json beside its figure NAME.png, and what it prints."""

import time
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fisherkit.files import write_atomic
from neural.fewshot.cells import HeadCell, compute
from neural.results.cells import Cells, cell_key
from neural.results.files import write_csv, write_json
from neural.results.provenance import provenance
from neural.results.table import write_table
from studies.lab.options import own_inputs

__all__ = ["HeadRun", "Report", "finished", "write_report", "write_summary"]


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


def write_summary(
    summary: Mapping[str, Any],
    options: Namespace,
    name: str,
    config: Mapping[str, Any],
    *,
    keys: Iterable[Mapping[str, Any]] | None = None,
    store: Cells | None = None,
    computed: int = 0,
    verb: str = "computed",
    figures: str = "",
    **about: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Write a summary with its provenance, and say how long it took and where the figure is.

    Args:
        summary: for the JSON file.
        options: of the command line, with the folder `out`, the torch device and when the study `began`.
        name: of the files.
        config: the study's settings.
        keys: of all cells of the study; equal ones count once. None where it has no cells.
        store: finished cells, whose results have "seconds".
        computed: number of cells computed now.
        verb: what was done to these.
        figures: what to say of the figures, where there are several.
        **about: further entries of the provenance.

    Returns:
        The summary that was written.
    """
    seconds = time.perf_counter() - options.began
    origin = provenance(config=config, seconds=seconds, device=getattr(options, "device", "cpu"))
    wall_time = f"wall time {seconds:.1f} s"
    if keys is not None and store is not None:
        different = {cell_key(key): key for key in keys}.values()
        origin |= {
            "cells_computed_now": computed,
            "cells_in_all": len(different),
            "training_seconds_in_all": round(sum(store.get(key)["seconds"] for key in different), 1),
        }
        wall_time = (
            f"wall time {seconds:.0f} s: {computed} cells {verb}, {len(different) - computed} were finished"
        )
    written = {**summary, "provenance": origin | about}
    write_json(options.out / f"{name}.json", written)
    print(wall_time)
    print(figures or f"figure {options.out / f'{name}.png'}")
    return written


def write_report(
    report: Report,
    options: Namespace,
    name: str,
    *,
    config: Mapping[str, Any],
    keys: Iterable[Mapping[str, Any]],
    store: Cells,
    computed: int,
    **about: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Print and write a report, its figure being drawn already; arguments and result are those of `write_summary`."""
    folder: Path = options.out
    markdown, inputs = report.markdown, own_inputs(options)
    if inputs:
        read = "; ".join(f"`{file}` ({hashed})" for file, hashed in inputs.items())
        markdown += f"\nRead, by content: {read}.\n"
        about["inputs"] = inputs
    print(markdown)
    _write_rows(folder / f"{name}.csv", report.rows)
    if len(report.table):
        _write_rows(folder / f"{name}_table.csv", report.table)
    write_atomic(folder / f"{name}.md", markdown.encode())
    return write_summary(
        report.summary, options, name, config, keys=keys, store=store, computed=computed, **about
    )


@dataclass(frozen=True)
class HeadRun:
    """All cells of a study on shared heads, finished; `computed` of them now."""

    options: Namespace
    cells: Sequence[HeadCell]
    store: Cells
    computed: int

    def write(self, report: Report, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """`write_report` with these cells."""
        return write_report(
            report,
            self.options,
            name,
            config=config,
            keys=[cell.key for cell in self.cells],
            store=self.store,
            computed=self.computed,
            task_fingerprints=sorted({cell.task.fingerprint for cell in self.cells}),
        )


def finished(cells: Sequence[HeadCell], options: Namespace, file: str) -> HeadRun:
    """Compute what a file in the folder `runs` does not have yet."""
    store = Cells(options.runs / file)
    return HeadRun(options, cells, store, compute(cells, store, options.device))


def _write_rows(path: Path, rows: pd.DataFrame | Sequence[Mapping[str, object]]) -> None:
    write = write_table if isinstance(rows, pd.DataFrame) else write_csv
    write(path, rows)
