"""All results in one HTML file that any browser opens without a network.

    python studies/html_report.py                                  paper_figures/report.html
    python studies/html_report.py --folder paper_figures/quick     what a quick run left behind
    python studies/html_report.py --out FILE.html

For every figure and table of the paper: the picture, our numbers with their intervals, the published ones apart from them,
whether the claim holds under the matched control, the command, its time and hardware, and what differs. Pictures, reports,
rows and summaries are inside the file. What is not there yet is listed with the command that makes it.

The page is filled by `string.Template` and `html.escape`: a dozen placeholders do not need a template language.
"""

import argparse
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from studies.gallery import Exhibit, exhibits
from studies.gallery_titles import TITLES
from studies.harness import FIGURES, write_atomic
from studies.html_pages import inline, size_text
from studies.html_sections import MARKS, anchor, numbers, section, slug
from studies.jobs import JOBS, Job, load_jobs
from studies.lab.finding import VERDICTS

__all__ = ["main", "missing", "page"]

TITLE = "Better Together, repeated: every figure and table"
TEMPLATE = Path(__file__).with_name("report_template.html")
_ABSENT = "not there yet"

Item = tuple[str, int]  # ("Figure" or "Table", number)


def missing(found: Sequence[Exhibit], jobs: Sequence[Job] = JOBS) -> dict[Job, list[Item]]:
    """Figures and tables of the paper for which there is no row, by the job that makes them.

    Args:
        found: what is there.
        jobs: what there should be.

    Returns:
        {job: its missing items}; jobs beyond the paper have none, and are in it where nothing of them is there.
    """
    there = {(row.kind, row.number) for exhibit in found for row in exhibit.rows}
    ran = {exhibit.job.name for exhibit in found}
    lacking = {job: [item for item in _items(job) if item not in there] for job in jobs}
    return {job: items for job, items in lacking.items() if items or job.name not in ran}


def _items(job: Job) -> list[Item]:
    return [("Figure", n) for n in job.figures] + [("Table", n) for n in job.tables]


def page(folder: Path, found: Sequence[Exhibit], jobs: Sequence[Job] = JOBS) -> str:
    """The whole page.

    Args:
        folder: where the files of the exhibits lie.
        found: what there is to show.
        jobs: what there should be.

    Returns:
        HTML; the same files give the same page.

    Raises:
        OSError: a file that an exhibit names is not there.
        ValueError: a picture that is not one.
    """
    template = TEMPLATE.read_text(encoding="utf-8")
    lacking = missing(found, jobs)
    ordered = sorted(found, key=lambda exhibit: not exhibit.rows)  # what goes beyond the paper comes last
    sections = [section(folder, exhibit) for exhibit in ordered]
    if lacking:
        sections.append(_missing_section(folder, lacking))
    return Template(template).substitute(
        title=TITLE,
        style_hash=_hash(template, "style"),
        script_hash=_hash(template, "script"),
        tally=_tally(found, lacking),
        contents=_contents(ordered, lacking),
        verdicts="".join(f"<option>{verdict}</option>" for verdict in VERDICTS),
        sections="\n".join(sections),
    )


def _hash(template: str, element: str) -> str:
    """Of the page's own style and script: the browser then runs no other, whatever a result contains."""
    _, _, rest = template.partition(f"<{element}>")
    content, _, _ = rest.partition(f"</{element}>")
    return f"sha256-{b64encode(sha256(content.encode()).digest()).decode()}"


# ---------------------------------------------------------------- tally and contents


def _tally(found: Sequence[Exhibit], lacking: dict[Job, list[Item]]) -> str:
    counts = Counter(row.finding.verdict for exhibit in found for row in exhibit.rows)
    entries = [
        f'<li class="{slug(verdict)}"><span class="mark" aria-hidden="true">{MARKS[verdict]}</span> {verdict}: '
        f"<strong>{counts[verdict]}</strong></li>"
        for verdict in VERDICTS
    ]
    if lacking:
        absent = sum(map(len, lacking.values()))
        entries.append(f'<li><a href="#missing">{_ABSENT}: <strong>{absent}</strong></a></li>')
    label = f"Verdicts on {counts.total()} figures and tables"
    return f'<ul class="tally" aria-label="{label}">{"".join(entries)}</ul>'


def _contents(found: Sequence[Exhibit], lacking: dict[Job, list[Item]]) -> str:
    verdicts: dict[Item, str | None] = {item: None for items in lacking.values() for item in items}
    verdicts |= {(row.kind, row.number): row.finding.verdict for exhibit in found for row in exhibit.rows}
    parts = []
    for kind in ("Figure", "Table"):
        entries = [_entry(item, verdicts[item]) for item in sorted(verdicts) if item[0] == kind]
        if entries:
            parts.append(f'<h2>{kind}s</h2><ol aria-label="{kind}s">{"".join(entries)}</ol>')
    beyond = [exhibit.job.name for exhibit in found if not exhibit.rows]
    if beyond:
        names = "".join(f'<li><a href="#{escape(name)}">{escape(name)}</a></li>' for name in beyond)
        parts.append(f'<h2>Beyond the paper</h2><ol class="named">{names}</ol>')
    if lacking:
        parts.append(f'<p><a href="#missing">{_ABSENT.capitalize()}</a></p>')
    return "\n".join(parts)


def _entry(item: Item, verdict: str | None) -> str:
    title, word = TITLES[item], verdict or _ABSENT
    return (
        f'<li><a href="#{anchor(*item)}" title="{escape(title)} ({word})" class="to-{slug(word)}">'
        f'<span class="number">{item[1]}</span> '
        f'<span class="mark {slug(word)}" aria-hidden="true">{MARKS.get(word, "…")}</span> '
        f'<span class="title">{inline(title)}</span><span class="unseen"> ({word})</span></a></li>'
    )


# ---------------------------------------------------------------- what is not there


def _missing_section(folder: Path, lacking: dict[Job, list[Item]]) -> str:
    entries = []
    for job, items in lacking.items():
        lines = "".join(
            f'<li id="{anchor(*item)}">{item[0]} {item[1]}: {inline(TITLES[item])}</li>' for item in items
        )
        listed = f"<ul>{lines}</ul>" if items else f"<p>{inline(numbers(job, ()))}</p>"
        entries.append(f"<li><code>{escape(_command(job, folder))}</code>{listed}</li>")
    return (
        f'<section id="missing" aria-labelledby="missing-heading"><h2 id="missing-heading">{_ABSENT.capitalize()}</h2>'
        "<p>These figures and tables have no results in this folder. Each command makes what is listed under it.</p>"
        f"<ul>{''.join(entries)}</ul></section>"
    )


def _command(job: Job, folder: Path) -> str:
    """What writes a job's results into a folder."""
    if folder.resolve() == FIGURES / "quick":
        return " ".join(["python", f"studies/{job.script}", *job.arguments(quick=True)])
    return job.command if folder.resolve() == FIGURES else f"{job.command} --out {folder}"


def _results(folder: Path, jobs: Sequence[Job]) -> list[Exhibit]:
    found = exhibits(folder, jobs)
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
    rows, absent = sum(len(exhibit.rows) for exhibit in found), sum(map(len, lacking.values()))
    for job in lacking:
        print(f"{_ABSENT}: {job.name} ({job.contents}); {_command(job, options.folder)}")
    print(
        f"report {path}: {size_text(len(content))}, {rows} of {rows + absent} figures and tables, {len(found)} runs, "
        f"{sum(len(exhibit.pictures) for exhibit in found)} pictures"
    )
    return path


if __name__ == "__main__":
    main()
