"""All results in one HTML file that any browser opens without a network.

    python studies/html_report.py                                  paper_figures/report.html
    python studies/html_report.py --folder paper_figures/quick     what a quick run left behind
    python studies/html_report.py --out FILE.html

First one row for each claim of the paper: whether it replicates here, and whether that is due to the text. Then, for every
figure and table: the picture, our numbers with their intervals, the published ones apart from them, the verdict under the
matched control, the command, its time and hardware, what differs, and what the gallery says of it. Pictures, reports, rows
and summaries are inside the file. What is not there yet is listed with the command that makes it.

The page is made of the templates in `studies/paper/templates`.
"""

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fisherkit.files import write_atomic
from studies.lab.finding import VERDICTS
from studies.lab.options import FIGURES, ROOT, run_study
from studies.paper.exhibits import EXHIBITS, Item, contents
from studies.paper.gallery import Result, Row, explanations, results
from studies.paper.jobs import JOBS, Job, load_jobs
from studies.paper.pages import download, inline, picture, render, size_text

__all__ = ["main", "missing", "page"]

TITLE = "Better Together, repeated: every figure and table"
#: {verdict: sign}: colour alone would not reach everyone.
_MARKS = dict(zip(VERDICTS, "✓◐?◔✗–", strict=True))
_ABSENT = "not there yet"


def missing(found: Sequence[Result], jobs: Sequence[Job] = JOBS) -> dict[Job, list[Item]]:
    """{job: its figures and tables for which there is no row}; a job beyond the paper is in it where nothing of it is there."""
    there = {(row.exhibit.kind, row.exhibit.number) for result in found for row in result.rows}
    ran = {result.job.name for result in found}
    lacking = {job: [item for item in _items(job) if item not in there] for job in jobs}
    return {job: items for job, items in lacking.items() if items or job.name not in ran}


def _items(job: Job) -> list[Item]:
    return [("Figure", n) for n in job.figures] + [("Table", n) for n in job.tables]


def page(folder: Path, found: Sequence[Result], jobs: Sequence[Job] = JOBS) -> str:
    """The whole page.

    Args:
        folder: where the files of the results lie.
        found: what there is to show.
        jobs: what there should be.

    Returns:
        HTML; the same files give the same page.

    Raises:
        OSError: a file that a result names is not there.
        ValueError: a picture that is not one.
    """
    lacking = missing(found, jobs)
    ordered = sorted(found, key=lambda result: not result.rows)  # what goes beyond the paper comes last
    told = explanations(folder / "README.md")
    verdicts = {EXHIBITS[item]: _ABSENT for items in lacking.values() for item in items}
    verdicts |= {row.exhibit: row.finding.verdict for result in found for row in result.rows}
    return render(
        "report.html",
        title=TITLE,
        marks=_MARKS,
        tally=Counter(row.finding.verdict for result in found for row in result.rows),
        absent=sum(map(len, lacking.values())),
        contents=[{"exhibit": e, "verdict": verdicts[e]} for e in EXHIBITS.values() if e in verdicts],
        beyond=[result.job.name for result in ordered if not result.rows],
        claims=_claims(found),
        unclaimed=_numbers(row for result in found for row in result.rows if not row.exhibit.claim),
        runs=[_run(folder, result, told.get(result.job.name, "")) for result in ordered],
        lacking=[
            (_command(job, folder), [EXHIBITS[item] for item in items]) for job, items in lacking.items()
        ],
    )


def _numbers(rows: Iterable[Row]) -> str:
    """Figures and tables in words, e.g. "Figures 9, 14-21"; empty for none."""
    exhibits = [row.exhibit for row in rows]
    figures, tables = ([e.number for e in exhibits if e.kind == kind] for kind in ("Figure", "Table"))
    return contents(figures, tables)


# ---------------------------------------------------------------- claim by claim


def _claims(found: Sequence[Result]) -> list[dict[str, Any]]:
    """One entry per claim and what came of it, in the paper's order; entries of one claim side by side."""
    entries: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    order = list(EXHIBITS.values())
    claims = [exhibit.claim for exhibit in order]
    rows = [(row, result) for result in found for row in result.rows if row.exhibit.claim]
    rows.sort(key=lambda pair: (claims.index(pair[0].exhibit.claim), order.index(pair[0].exhibit)))
    for row, result in rows:
        key = (row.exhibit.claim, result.job.name, row.finding.verdict, row.finding.holds)
        entry = entries.setdefault(key, {"text": row.exhibit.claim, "finding": row.finding, "rows": []})
        entry["rows"].append(row)
        entry["picture"] = _first_picture(result, entry["rows"][0])
    return list(entries.values())


# ---------------------------------------------------------------- one run


def _run(folder: Path, result: Result, explanation: str) -> dict[str, Any]:
    """What the template of a run shows."""
    job, report = result.job, folder / f"{result.job.name}.md"
    purpose = _purpose(job)
    groups = [list(rows) for _, rows in groupby(result.rows, partial(_shown, result))]
    return {
        "name": job.name,
        "heading": _numbers(result.rows) or purpose.rstrip("."),
        "purpose": purpose,
        "rows": result.rows,
        "pictures": [_picture(folder, result, name) for name in result.pictures],
        "facts": _facts(result),
        "groups": [
            {"name": _numbers(rows), "rows": rows, "picture": _first_picture(result, rows[0])}
            for rows in groups
        ],
        "explanation": explanation,
        "report": report.read_text(encoding="utf-8") if report.exists() else "",
        "files": [download(folder / name) for name in (*result.tables, f"{job.name}.json")],
    }


def _shown(result: Result, row: Row) -> tuple[str, str, str, list[str]]:
    """What neighbouring rows must agree in to be shown as one, each with its own published numbers."""
    return row.finding.ours, row.finding.verdict, row.finding.holds, _own_pictures(result, row)


def _purpose(job: Job) -> str:
    """First line of the study's docstring."""
    script = (ROOT / "studies" / job.script).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(script)) or job.script).splitlines()[0]


def _picture(folder: Path, result: Result, name: str) -> dict[str, Any]:
    own = [row.exhibit for row in result.rows if name in _own_pictures(result, row)]
    exhibits = own or [row.exhibit for row in result.rows]
    shows = "; ".join(f"{exhibit.name}, {exhibit.title}" for exhibit in exhibits) or _purpose(result.job)
    return picture(folder / name) | {"stem": Path(name).stem, "shows": shows}


def _own_pictures(result: Result, row: Row) -> list[str]:
    """Pictures of this row alone, such as those of schematics."""
    own = f"figure_{row.exhibit.number}.png"
    return [name for name in result.pictures if row.exhibit.kind == "Figure" and name.endswith(own)]


def _first_picture(result: Result, row: Row) -> str:
    """What to link to, without its ending; empty where there is none."""
    pictures = _own_pictures(result, row) or result.pictures
    return Path(pictures[0]).stem if pictures else ""


def _facts(result: Result) -> list[tuple[str, str]]:
    """Where a run comes from."""
    about = result.summary["provenance"]
    made = [f"{what} {version}" for what, version in about.get("versions", {}).items()]
    if revision := about.get("revision"):
        made.append(f"revision {revision[:10]}{'+' if revision.endswith('+') else ''}")
    return [
        ("Command", inline(f"`{result.command}`")),
        ("Time", f"{result.minutes} on {result.hardware}"),
        ("Differs", inline(result.job.differs)),
        ("Made with", ", ".join(made)),
    ]


# ---------------------------------------------------------------- the command


def _command(job: Job, folder: Path) -> str:
    """What writes a job's results into a folder."""
    if folder.resolve() == FIGURES / "quick":
        return " ".join(["python", f"studies/{job.script}", *job.arguments(quick=True)])
    return job.command if folder.resolve() == FIGURES else f"{job.command} --out {folder}"


def _results(folder: Path, jobs: Sequence[Job]) -> list[Result]:
    found = results(folder, jobs)
    if not found:
        raise ValueError(f"--folder {folder}: holds no study's results; `make figures` fills paper_figures/")
    return found


def main(arguments: Sequence[str] | None = None) -> Path:
    """Write the report and say what is in it, and what is not.

    Args:
        arguments: command line, default the process's own.

    Returns:
        The file.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--folder", type=Path, default=FIGURES, help="of results")
    parser.add_argument("--out", type=Path, help="file to write (default: report.html in the folder)")
    options = parser.parse_args(arguments)
    path: Path = options.out or options.folder / "report.html"
    try:
        jobs = load_jobs(options.folder)
        found = _results(options.folder, jobs)
        content = page(options.folder, found, jobs).encode()
        write_atomic(path, content)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    lacking = missing(found, jobs)
    rows, absent = sum(len(result.rows) for result in found), sum(map(len, lacking.values()))
    for job in lacking:
        print(f"{_ABSENT}: {job.name} ({job.contents}); {_command(job, options.folder)}")
    print(
        f"report {path}: {size_text(len(content))}, {rows} of {rows + absent} figures and tables, {len(found)} runs, "
        f"{sum(len(result.pictures) for result in found)} pictures"
    )
    return path


if __name__ == "__main__":
    run_study(main)
