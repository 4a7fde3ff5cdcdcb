"""The runs that make the paper's figures and tables from the embedded data, and how long they take (jobs.csv)."""

import csv
import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fisherkit.checks import UnknownNameError
from fisherkit.files import write_atomic
from studies.paper.exhibits import EXHIBITS, check_numbers, contents

__all__ = ["JOBS", "PLAN", "Job", "jobs_for", "load_jobs", "save_jobs"]

PLAN = "plan.json"


@dataclass(frozen=True)
class Job:
    """One run of one study.

    Attributes:
        name: stem of the files that it writes.
        script: file in ``studies/``.
        options: of a quick run and of a full one.
        full: further options of a full run.
        quick: further options of a quick run, beside --quick.
        figures: of the paper, that it makes.
        tables: likewise.
        seconds: of a quick and of a full run on two cores, measured; the second counts on what jobs before it have trained.
        cells: file of finished cells that it shares with others of the same name; such jobs run one after another.
        reads: name of a run whose results it reads; it comes after that one, in the same process.
        differs: in words, what its data, encoders and protocol differ in from the paper's.
    """

    name: str
    script: str
    options: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    figures: tuple[int, ...] = ()
    tables: tuple[int, ...] = ()
    seconds: tuple[int, int] = (60, 600)
    cells: str | None = None
    reads: str | None = None
    differs: str = "On the data set and with the encoders that the command names."

    @property
    def command(self) -> str:
        """What a reader types."""
        return shlex.join(["python", f"studies/{self.script}", *self.options, *self.full])

    def arguments(self, *, quick: bool) -> list[str]:
        """Command line of the study, or of its small version."""
        return ["--quick", *self.options, *self.quick] if quick else [*self.options, *self.full]

    @property
    def repeats(self) -> bool:
        """Whether the study has repetitions and finished cells, and so takes --runs."""
        return self.cells is not None

    @property
    def contents(self) -> str:
        """Its figures and tables in words."""
        return contents(self.figures, self.tables) or "beyond the paper"


def save_jobs(path: Path, jobs: Iterable[Job]) -> None:
    """Keep a plan (JSON) beside its results, so that a report knows what belongs to it."""
    write_atomic(path, (json.dumps([asdict(job) for job in jobs], indent=1) + "\n").encode())


def load_jobs(folder: Path) -> tuple[Job, ...]:
    """The runs that a folder's ``PLAN`` lists, by default those on the embedded data; a ValueError if it is no plan."""
    path = folder / PLAN
    if not path.exists():
        return JOBS
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_from_json(entry) for entry in entries)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a plan of studies/reproduce.py ({error}); delete it") from None


def _from_json(entry: dict[str, Any]) -> Job:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return Job(**fields)


def _read(path: Path) -> tuple[Job, ...]:
    with path.open(newline="", encoding="utf-8") as file:
        return tuple(_job(**row) for row in csv.DictReader(file))


def _job(name: str, study: str, seconds_quick: str, seconds_full: str, **texts: str) -> Job:
    lines = {option: tuple(shlex.split(texts[option])) for option in ("options", "full", "quick")}
    figures, tables = (
        tuple(e.number for e in EXHIBITS.values() if (e.job, e.kind) == (name, kind))
        for kind in ("Figure", "Table")
    )
    return Job(
        name,
        f"{study}.py",
        **lines,
        figures=figures,
        tables=tables,
        seconds=(int(seconds_quick), int(seconds_full)),
        cells=texts["cells"] or None,
        reads=texts["reads"] or None,
        differs=texts["differs"],
    )


#: In the order in which they run: what trains cells comes before what only reads them.
JOBS = _read(Path(__file__).with_name("jobs.csv"))


def jobs_for(
    figures: Iterable[int] = (),
    tables: Iterable[int] = (),
    names: Iterable[str] = (),
    jobs: Iterable[Job] = JOBS,
) -> list[Job]:
    """The runs that make what is asked for, in the order in which they run.

    Args:
        figures: numbers in the paper.
        tables: likewise.
        names: of runs.
        jobs: all runs.

    Returns:
        Runs; all of them where nothing in particular is asked for.

    Raises:
        ValueError: a figure or table that the paper does not have.
        UnknownNameError: a run that there is not.

    Example:
        >>> [job.name for job in jobs_for(figures=[3], tables=[24])]
        ['gaussian_recon', 'text_ablations_glyphs']
    """
    jobs, figures, tables, names = list(jobs), set(figures), set(tables), set(names)
    check_numbers(figures, tables)
    for name in sorted(names - {job.name for job in jobs}):
        raise UnknownNameError(name, [job.name for job in jobs], "run")
    if not (figures or tables or names):
        return jobs
    return [
        job for job in jobs if figures & set(job.figures) or tables & set(job.tables) or job.name in names
    ]
