"""The gallery: for every figure and table of the paper our number, the published one, and what holds under the control.

Rows are made from the files that the studies wrote (NAME.json beside NAME.png and NAME.csv); nothing in them is typed by
hand but what `exhibits.csv` and `jobs.csv` say of the paper and of what the stand-ins differ in.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fisherkit.files import write_atomic
from neural.results.text import markdown_table
from studies.lab.finding import Finding, findings_of
from studies.paper.exhibits import EXHIBITS, Exhibit, contents
from studies.paper.jobs import JOBS, Job

__all__ = [
    "Result",
    "Row",
    "as_index",
    "as_markdown",
    "explanations",
    "findings",
    "heading",
    "refresh",
    "results",
    "write_gallery",
]

_BEGIN, _END = "<!-- gallery: {} -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """One figure or table of the paper, and what came of it.

    Attributes:
        exhibit: the figure or table.
        finding: what came out here, and what the paper prints.
    """

    exhibit: Exhibit
    finding: Finding


@dataclass(frozen=True)
class Result:
    """What one study's run left behind.

    Attributes:
        job: the run.
        summary: its JSON file.
        rows: figures and tables of the paper that it stands for; none where it goes beyond the paper.
        pictures: file names.
        tables: file names of its CSV files, rows first.
    """

    job: Job
    summary: dict[str, Any]
    rows: tuple[Row, ...]
    pictures: tuple[str, ...]
    tables: tuple[str, ...]

    @property
    def command(self) -> str:
        """What made it, as recorded."""
        return f"python studies/{self.summary['provenance']['command']}"

    @property
    def hardware(self) -> str:
        """Device, as recorded."""
        return str(self.summary["provenance"]["device"])

    @property
    def minutes(self) -> str:
        """How long it took, in words; what it read from finished cells is counted where it was computed."""
        about = self.summary["provenance"]
        seconds = float(about["wall_seconds"])
        text = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
        now, total, trained = (
            about.get(name) for name in ("cells_computed_now", "cells_in_all", "training_seconds_in_all")
        )
        if now is not None and (now == 0 or (total and now < total)):
            text += (
                f" with {total - now} of {total} cells finished before" if total else " from finished cells"
            )
            text += f", all training {trained / 60:.0f} min on one core" if trained else ""
        return text


def results(folder: Path, jobs: Sequence[Job] = JOBS) -> list[Result]:
    """One result per run whose files lie in a folder, in order; a ValueError for a summary that cannot be read."""
    return [_result(folder, job) for job in jobs if (folder / f"{job.name}.json").exists()]


def _result(folder: Path, job: Job) -> Result:
    path = folder / f"{job.name}.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(Row(EXHIBITS[item], found) for item, found in findings(job, summary).items())
        result = Result(job, summary, rows, _files(folder, job, ".png"), _files(folder, job, ".csv"))
        _ = result.command, result.hardware, result.minutes  # what every page says of it
    except (ValueError, KeyError, StopIteration, IndexError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: not the summary of {job.script} that the gallery expects ({type(error).__name__}: {error}); run "
            f"`{job.command}` again"
        ) from error
    return result


def _files(folder: Path, job: Job, ending: str) -> tuple[str, ...]:
    """NAME.png or several of it, NAME.csv and NAME_table.csv; schematics have one picture for each figure."""
    names = [
        job.name,
        f"{job.name}_table",
        *(f"schematic_figure_{n}" for n in job.figures if job.name == "schematics"),
    ]
    return tuple(f"{name}{ending}" for name in names if (folder / f"{name}{ending}").exists())


def as_markdown(result: Result) -> str:
    """The picture of a run, command, time, and a table with one row for each figure and table of the paper."""
    files = ", ".join(f"[{name}]({name})" for name in result.tables)
    lines = [f"![{result.job.contents}]({name})" for name in result.pictures]
    lines += [
        "",
        f"`{result.command}`: {result.minutes} on {result.hardware}. Rows: {files}. {result.job.differs}",
    ]
    if result.rows:
        header = ["paper", "ours", "published", "under the matched control"]
        lines += ["", markdown_table(header, _cells(result.rows))]
    return "\n".join(lines) + "\n"


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    """One line per row; what a stand-in has said of an earlier figure or table is not said again."""
    said: dict[tuple[str, str], str] = {}
    lines = []
    for row in rows:
        name, found = row.exhibit.name, row.finding
        first = said.setdefault((found.ours, found.holds), name)
        ours, holds = (found.ours, found.holds) if first == name else (f"as {first}", f"as {first}")
        lines.append([f"**{name}** {row.exhibit.title}", ours, found.published, holds])
    return lines


def as_index(shown: Sequence[Result]) -> str:
    """One line for each run: what it makes, by which command, in which time, and what came out."""
    rows = [
        [
            f"[{e.job.name}](#{_anchor(e.job)})",
            e.job.contents,
            f"`{e.command}`",
            e.minutes,
            _verdicts(e.rows),
        ]
        for e in shown
    ]
    return (
        markdown_table(["run", "makes", "command", "time", "the claim, under the matched control"], rows)
        + "\n"
    )


def _verdicts(rows: Sequence[Row]) -> str:
    """Which figures and tables came to what."""
    numbers: dict[str, dict[str, list[int]]] = {}
    for row in rows:
        if row.finding.verdict != "no claim":
            numbers.setdefault(row.finding.verdict, {"Figure": [], "Table": []})[row.exhibit.kind].append(
                row.exhibit.number
            )
    return "; ".join(
        f"{verdict}: {contents(found['Figure'], found['Table'])}" for verdict, found in numbers.items()
    )


def heading(job: Job) -> str:
    """Heading of a run's section, without the marks."""
    return f"{job.name}: {job.contents}"


def _anchor(job: Job) -> str:
    """What a heading is linked by, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading(job).lower()).replace(" ", "-")


def refresh(page: Path) -> list[str]:
    """Put fresh rows between the markers of a page: lines ``<!-- gallery: NAME -->`` and ``<!-- end -->``.

    NAME is that of a run, or "index" for the list of all; a run without results keeps what stands between its markers.

    Args:
        page: Markdown beside the results; text outside the markers stays.

    Returns:
        Names whose text was put in.

    Raises:
        ValueError: a marker without its end; the page is left as it is.
    """
    there = {result.job.name: result for result in results(page.parent)}
    fresh = {name: as_markdown(result) for name, result in there.items()}
    fresh["index"] = as_index(list(there.values()))
    lines: list[str] = []
    done: list[str] = []
    inside = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        name = _marked(line)
        if inside and name:
            raise ValueError(f"{page}: {_BEGIN.format(inside)} has no {_END} before {line.strip()}")
        if line.strip() == _END:
            inside = ""
        if inside not in fresh:
            lines.append(line)
        if name:
            inside = name
            lines += fresh.get(name, "").splitlines()
            done += [name] if name in fresh else []
    if inside:
        raise ValueError(f"{page}: {_BEGIN.format(inside)} has no {_END}")
    write_atomic(page, ("\n".join(lines) + "\n").encode())
    return done


def _marked(line: str) -> str:
    """The name in a marker; empty for any other line."""
    head, tail = _BEGIN.split("{}")
    line = line.strip()
    return line.removeprefix(head).removesuffix(tail) if line.startswith(head) and line.endswith(tail) else ""


def explanations(page: Path) -> dict[str, str]:
    """{run: what a page says of it in its own words}: Markdown of its section that is not between markers."""
    if not page.exists():
        return {}
    found: dict[str, list[str]] = {}
    name, inside = "", False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            name = ""
        elif marked := _marked(line):
            name, inside = marked, True
        elif line.strip() == _END:
            inside = False
        elif name and not inside:
            found.setdefault(name, []).append(line)
    texts = {name: "\n".join(lines).strip() for name, lines in found.items() if name != "index"}
    return {name: text for name, text in texts.items() if text}


def write_gallery(folder: Path, jobs: Sequence[Job]) -> Path:
    """Bring the page of a folder of results up to date: its README.md where that has markers, else gallery.md."""
    page = folder / "README.md"
    if page.exists() and any(map(_marked, page.read_text(encoding="utf-8").splitlines())):
        refresh(page)
        return page
    shown = results(folder, jobs)
    parts = [f"## {heading(result.job)}\n\n{as_markdown(result)}" for result in shown]
    page = folder / "gallery.md"
    write_atomic(page, (f"# Gallery\n\n{as_index(shown)}\n" + "\n".join(parts)).encode())
    return page


def findings(job: Job, summary: Mapping[str, Any]) -> dict[tuple[str, int], Finding]:
    """The figures and tables that a run stands for, in the paper's order, as its summary tells them."""
    told = findings_of(summary.get("findings", ()))
    untold = Finding("not told by this run", "see the paper", "no claim", "not told; run the study again")
    wanted = [
        (kind, n) for kind, numbers in (("Figure", job.figures), ("Table", job.tables)) for n in numbers
    ]
    return {item: told.get(item, untold) for item in wanted}
