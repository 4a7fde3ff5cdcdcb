"""Sections of the HTML report: one run of a study, with the figures and tables of the paper that it stands for."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from html import escape
from itertools import groupby
from pathlib import Path

from studies.gallery import Exhibit, Row
from studies.harness import ROOT
from studies.html_pages import download, from_markdown, inline, picture, scrolling
from studies.jobs import Job
from studies.lab.finding import VERDICTS

__all__ = ["MARKS", "anchor", "numbers", "section", "slug"]

#: {verdict: sign}: colour alone would not reach everyone.
MARKS = dict(zip(VERDICTS, "✓◐?◔✗–", strict=True))
_NO_PICTURE = '<p class="soft">There is no picture of this run in the folder.</p>'


def anchor(kind: str, number: int) -> str:
    """Where in the page a figure or table is.

    Args:
        kind: "Figure" or "Table".
        number: in the paper.

    Returns:
        Identifier.

    Example:
        >>> anchor("Figure", 8)
        'figure-8'
    """
    return f"{kind.lower()}-{number}"


def slug(words: str) -> str:
    """Words as the name of a style.

    Args:
        words: e.g. a verdict.

    Returns:
        The same with hyphens.
    """
    return words.replace(" ", "-")


def numbers(job: Job, rows: Sequence[Row]) -> str:
    """Figures and tables in words.

    Args:
        job: that makes them.
        rows: figures and tables.

    Returns:
        Text, e.g. "Figures 9, 14-21"; "beyond the paper" for none.
    """
    found = {kind: tuple(row.number for row in rows if row.kind == kind) for kind in ("Figure", "Table")}
    return replace(job, figures=found["Figure"], tables=found["Table"]).contents


def section(folder: Path, exhibit: Exhibit) -> str:
    """Pictures of a run, where they come from, what they say beside the published numbers, and its files.

    Args:
        folder: where its files lie.
        exhibit: of the run.

    Returns:
        HTML.

    Raises:
        OSError: a file that the exhibit names is not there.
        ValueError: a picture that is not one.
    """
    job = exhibit.job
    files = [folder / file for file in (*exhibit.tables, f"{job.name}.json")]
    name, purpose = escape(job.name), _purpose(job)
    heading = numbers(job, exhibit.rows) if exhibit.rows else purpose.rstrip(".")
    blocks = [
        f'<section class="exhibit" id="{name}" aria-labelledby="{name}-heading">',
        f'<header><h2 id="{name}-heading">{inline(heading)}</h2>',
        f"<p>{inline(purpose)}</p>" if exhibit.rows else "",
        f'<p class="soft"><code>{name}</code> <a class="up" href="#contents">back to the contents</a></p></header>',
        *(_picture(folder, exhibit, file) for file in exhibit.pictures),
        _NO_PICTURE if job.figures and not exhibit.pictures else "",
        _facts(exhibit),
        *(_finding(exhibit, list(rows)) for _, rows in groupby(exhibit.rows, partial(_shown, exhibit))),
        _report(folder / f"{job.name}.md"),
        f'<p class="downloads">To download: {", ".join(map(download, files))}</p>',
        "</section>",
    ]
    return "\n".join(block for block in blocks if block)


def _shown(exhibit: Exhibit, row: Row) -> tuple[str, str, str, list[str]]:
    """What neighbouring rows must agree in to be shown as one, each with its own published numbers."""
    return row.finding.ours, row.finding.verdict, row.finding.holds, _own_pictures(exhibit, row)


def _purpose(job: Job) -> str:
    """First line of the study's docstring."""
    script = (ROOT / "studies" / job.script).read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(script)) or job.script).splitlines()[0]


def _picture_id(name: str) -> str:
    return f"picture-{escape(Path(name).stem)}"


def _picture(folder: Path, exhibit: Exhibit, name: str) -> str:
    own = [row for row in exhibit.rows if name in _own_pictures(exhibit, row)] or exhibit.rows
    what = "; ".join(f"{row.kind} {row.number}, {row.title}" for row in own) or _purpose(exhibit.job)
    image = picture(
        folder / name, f"Our version of {what}. Its numbers are in the text below and in the CSV files."
    )
    return (
        f'<figure id="{_picture_id(name)}">{scrolling(image, f"picture {name}")}'
        f'<figcaption class="soft">{escape(name)}</figcaption></figure>'
    )


def _own_pictures(exhibit: Exhibit, row: Row) -> list[str]:
    """Pictures of this row alone, such as those of schematics."""
    own = f"figure_{row.number}.png"
    return [name for name in exhibit.pictures if row.kind == "Figure" and name.endswith(own)]


def _facts(exhibit: Exhibit) -> str:
    about = exhibit.summary["provenance"]
    made = [f"{what} {version}" for what, version in about.get("versions", {}).items()]
    if about.get("revision"):
        made.append(f"revision {about['revision'][:10]}{'+' if about['revision'].endswith('+') else ''}")
    facts = {
        "Command": f"<code>{escape(exhibit.command)}</code>",
        "Time": f"{escape(exhibit.minutes)} on {escape(exhibit.hardware)}",
        "Differs": inline(exhibit.differs),
        "Made with": escape(", ".join(made)),
    }
    terms = "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in facts.items() if text)
    return f'<dl class="facts">{terms}</dl>'


def _finding(exhibit: Exhibit, rows: Sequence[Row]) -> str:
    first, *others = rows
    finding = first.finding
    if others:
        heading, style = f"<h3><span>{escape(numbers(exhibit.job, rows))}</span>", "finding many"
        items = "".join(
            f'<li{_mark_of(row)}><span class="of">{row.kind} {row.number}: {inline(row.title)}</span> '
            f"{inline(row.finding.published)}</li>"
            for row in rows
        )
        published = f"<ul>{items}</ul>"
    else:
        title = inline(f"{first.kind} {first.number}: {first.title}")
        heading, style = f"<h3{_mark_of(first)}><span>{title}</span>", "finding"
        published = f"<p>{inline(finding.published)}</p>"
    pictures = _own_pictures(exhibit, first) or exhibit.pictures
    link = f'<a href="#{_picture_id(pictures[0])}">to the picture</a>' if pictures else ""
    return (
        f'<article class="{style}" data-verdict="{escape(finding.verdict)}">{heading} {link}</h3>'
        f'<div class="ours"><h4>Ours</h4><p>{inline(finding.ours)}</p></div>'
        f'<div class="published"><h4>Published</h4>{published}</div>'
        f'<div class="control"><h4>Under the matched control</h4><p><span class="verdict {slug(finding.verdict)}">'
        f"{MARKS[finding.verdict]} {escape(finding.verdict)}</span>{inline(finding.holds)}</p></div></article>"
    )


def _mark_of(row: Row) -> str:
    return f' id="{anchor(row.kind, row.number)}" data-row'


def _report(path: Path) -> str:
    if not path.exists():
        return ""
    content = from_markdown(path.read_text(encoding="utf-8"))
    summary = f"<summary>All numbers of this run ({escape(path.name)})</summary>"
    return f'<details>{summary}<div class="report">{content}</div></details>'
