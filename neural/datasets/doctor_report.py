"""The doctor's report as text, and its place on the command line."""

import argparse
import json
from pathlib import Path

from neural.datasets.doctor import STATES, Checkup, Report, examine, known_keys
from neural.datasets.paper_results import Result
from neural.datasets.reading import shown

__all__ = ["add_command", "render"]


def render(report: Report) -> str:
    """The report as text: a line per data set, problems, what to fetch, which results the data suffice for."""
    width = max(len(checkup.key) for checkup in report.checkups)
    lines = [f"data root {shown(str(report.root))}", ""]
    for checkup in report.checkups:
        lines.append(f"  {checkup.key:<{width}}  {checkup.state:<10}  {_sizes(checkup)}".rstrip())
        lines.extend(f"  {'':<{width}}  {'':<10}  {note}" for note in checkup.notes)
    counts = {state: sum(checkup.state == state for checkup in report.checkups) for state in STATES}
    lines += ["", "  " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)]
    troubled = [checkup for checkup in report.checkups if checkup.problems and checkup.state != "missing"]
    if troubled:
        lines += ["", "problems"]
        lines += [f"  {checkup.key}: {problem}" for checkup in troubled for problem in checkup.problems]
    wanted = [checkup for checkup in report.checkups if checkup.fetch]
    if wanted:
        lines += ["", f"to fetch (into {report.root})"]
        lines += [f"  {checkup.key}: {what}" for checkup in wanted for what in checkup.fetch]
    results = report.results
    lines += ["", "tables and figures of the paper (data only; encoders and descriptions come on top)"]
    lines += _results("can be computed", results["whole"], report.ready)
    lines += _results("in part", results["partly"], report.ready)
    lines += _results("lack data", results["not"], report.ready)
    return "\n".join(lines) + "\n"


def _sizes(checkup: Checkup) -> str:
    """Found sizes; where another one is published, both."""
    parts = []
    for name, size in checkup.sizes.items():
        wanted = checkup.published.get(name)
        differs = f" (published {wanted:,})" if wanted is not None and wanted != size else ""
        parts.append(f"{name} {size:,}{differs}")
    return ", ".join(parts)


def _results(head: str, results: tuple[Result, ...], ready: tuple[str, ...]) -> list[str]:
    lines = [f"  {head}: none"] if not results else [f"  {head}:"]
    for result in results:
        lacking = [key for key in result.needs if key not in ready]
        lines.append(
            f"    {result.label}: {result.about}" + (f" (without {', '.join(lacking)})" if lacking else "")
        )
    return lines


def add_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``doctor`` to the command line."""
    parser = subparsers.add_parser(
        "doctor", help="what is there below a data root, what is missing or malformed", allow_abbrev=False
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="ROOT", help="folder of the data sets' folders"
    )
    parser.add_argument("--only", nargs="+", metavar="KEY", help=f"some of {', '.join(known_keys())}")
    parser.add_argument("--verify", action="store_true", help="open every image and every MultiBench file")
    parser.add_argument("--workers", type=int, default=1, help="processes that open images (default 1)")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Print the report; 1 where something is malformed or incomplete, or missing though asked for."""
    report = examine(options.data, only=options.only, verify=options.verify, workers=options.workers)
    print(json.dumps(report.as_dict(), indent=1) if options.json else render(report), end="")
    bad = {"malformed", "incomplete"} | ({"missing"} if options.only else set())
    return int(any(checkup.state in bad for checkup in report.checkups))
