"""What the studies that sweep over text share: a size that affords many conditions, and the files they write."""

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neural.heads.runs import Schedule
from studies import harness
from studies.head_cells import HeadCell
from studies.head_presets import Grid, Preset, resized

__all__ = ["Report", "lighter", "write_report"]

#: Four trainings per cell, where the few-shot study has more: a surface or an ablation has many more cells.
SCHEDULE = Schedule(iterations=1000, warmup=50, eval_every=100, patience=5)
GRID = Grid((3e-3, 1e-3), (0.0,), (16,), (False,), (0.5, 2.0))


def lighter(
    preset: Preset, options: Namespace, *, seeds: int, shots: Sequence[int | None] | None = None
) -> Preset:
    """The size of a sweep: the default preset with fewer and shorter trainings; others stay as they are.

    Args:
        preset: that the command line asks for.
        options: with `quick`, `preset`, `seeds` and `shots`.
        seeds: of the sweep, unless the command line says.
        shots: likewise.

    Returns:
        Preset.
    """
    if options.quick or options.preset not in {None, "default"}:
        return preset
    preset = replace(preset, schedule=SCHEDULE, grid=GRID)
    return resized(
        preset,
        seeds=seeds if options.seeds is None else None,
        shots=shots if options.shots is None else None,
    )


@dataclass(frozen=True)
class Report:
    """What a study has to say.

    Attributes:
        summary: for the JSON file.
        markdown: tables and verdicts.
        table: rows of the table, long.
        rows: one per finished cell.
    """

    summary: dict[str, Any]
    markdown: str
    table: Sequence[Mapping[str, object]]
    rows: Sequence[Mapping[str, object]]


def write_report(
    report: Report,
    options: Namespace,
    name: str,
    cells: Sequence[HeadCell],
    store: harness.Cells,
    *,
    began: float,
    computed: int,
) -> dict[str, Any]:
    """Print and write: NAME.csv, NAME_table.csv, NAME.md, NAME.json with provenance.

    Args:
        report: to write.
        options: with `out` and `device`.
        name: of the files.
        cells: all cells of the study.
        store: finished cells.
        began: when the study began, by `time.perf_counter`.
        computed: number of cells computed now.

    Returns:
        The summary that was written.
    """
    print(report.markdown)
    harness.write_csv(options.out / f"{name}.csv", report.rows)
    harness.write_csv(options.out / f"{name}_table.csv", report.table)
    harness.write_atomic(options.out / f"{name}.md", report.markdown.encode())
    seconds = time.perf_counter() - began
    different = {harness.cell_key(cell.key): cell for cell in cells}.values()
    config = {"preset": cells[0].preset, "logit_scale": cells[0].logit_scale}
    report.summary["provenance"] = harness.provenance(
        config=config, seconds=seconds, device=options.device
    ) | {
        "task_fingerprints": sorted({cell.task.fingerprint for cell in different}),
        "cells_computed_now": computed,
        "training_seconds_in_all": round(sum(store.get(cell.key)["seconds"] for cell in different), 1),
    }
    harness.write_json(options.out / f"{name}.json", report.summary)
    print(f"wall time {seconds:.0f} s: {computed} cells computed, {len(different) - computed} were finished")
    print(f"figure {options.out / f'{name}.png'}")
    return report.summary
