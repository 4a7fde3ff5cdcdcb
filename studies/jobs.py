"""Which study makes which figure and table of the paper on the embedded data, and how long it takes."""

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fisherkit.checks import UnknownNameError
from fisherkit.files import write_atomic

__all__ = [
    "FIGURES",
    "JOBS",
    "PLAN",
    "TABLES",
    "Job",
    "check_numbers",
    "contents",
    "jobs_for",
    "load_jobs",
    "save_jobs",
    "select",
]

PLAN = "plan.json"
FIGURES, TABLES = range(1, 45), range(1, 30)  # of the paper


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

    @property
    def command(self) -> str:
        """What a reader types."""
        return shlex.join(["python", f"studies/{self.script}", *self.options, *self.full])

    def arguments(self, *, quick: bool) -> list[str]:
        """Command line of the study.

        Args:
            quick: whether the small version is meant.

        Returns:
            Arguments.
        """
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
    """Keep a plan beside its results, so that a report knows what belongs to it.

    Args:
        path: JSON file.
        jobs: the runs.
    """
    write_atomic(path, (json.dumps([asdict(job) for job in jobs], indent=1) + "\n").encode())


def load_jobs(folder: Path) -> tuple[Job, ...]:
    """The plan of a folder of results.

    Args:
        folder: where ``PLAN`` may lie.

    Returns:
        Its runs; those on the embedded data where there is no such file.

    Raises:
        ValueError: the file holds something else.
    """
    path = folder / PLAN
    if not path.exists():
        return JOBS
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_job_of(entry) for entry in entries)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a plan of studies/reproduce.py ({error}); delete it") from None


def _job_of(entry: dict[str, Any]) -> Job:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return Job(**fields)


def contents(figures: Sequence[int], tables: Sequence[int]) -> str:
    """Figures and tables in words.

    Args:
        figures: numbers in the paper.
        tables: likewise.

    Returns:
        Text.

    Example:
        >>> contents([5, 10, 11, 12], [2])
        'Figures 5, 10-12; Table 2'
    """
    parts = [
        f"{kind}{'s' if len(numbers) > 1 else ''} {_ranges(numbers)}"
        for kind, numbers in (("Figure", figures), ("Table", tables))
        if numbers
    ]
    return "; ".join(parts)


def _ranges(numbers: Iterable[int]) -> str:
    """Successive numbers from three on as a range."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


_ALIGNED = ("--dataset", "concepts", "--set", "aligned=True")
_FEW = "image_text_fewshot"
_SHOTS = ("--shots", "1", "2", "4", "8", "16")

#: In the order in which they run: what trains cells comes before what only reads them.
JOBS = (
    Job("data_sheets", "data_sheets.py", tables=(3, 4, 5), seconds=(2, 2)),
    Job("information_gain", "information_gain.py", seconds=(13, 13)),
    Job("exchange_isolines", "exchange_isolines.py", seconds=(20, 30)),
    Job("streaming_memory", "streaming_memory.py", seconds=(30, 40)),
    Job("gaussian_recon", "gaussian_recon.py", figures=(3, 37), seconds=(90, 550), cells="gaussian_recon"),
    Job(
        f"{_FEW}_glyphs",
        f"{_FEW}.py",
        quick=_SHOTS,
        tables=(2, *range(15, 20)),
        seconds=(330, 1000),
        cells=_FEW,
    ),
    Job("schematics", "schematics.py", figures=(1, 2, 4), seconds=(4, 4), reads=f"{_FEW}_glyphs"),
    Job(f"{_FEW}_concepts", f"{_FEW}.py", ("--dataset", "concepts"), seconds=(12, 240), cells=_FEW),
    Job(f"{_FEW}_digits", f"{_FEW}.py", ("--dataset", "digits"), seconds=(10, 120), cells=_FEW),
    Job(
        f"{_FEW}_concepts_aligned-True",
        f"{_FEW}.py",
        _ALIGNED,
        quick=_SHOTS,
        tables=(22, 23),
        seconds=(25, 470),
        cells=_FEW,
    ),
    Job(
        "robustness_glyphs",
        "robustness.py",
        quick=_SHOTS,
        figures=(5, *range(10, 14)),
        seconds=(3, 3),
        cells=_FEW,
    ),
    Job(
        "classifier_analysis_glyphs",
        "classifier_analysis.py",
        quick=_SHOTS,
        figures=tuple(range(38, 45)),
        seconds=(4, 6),
        cells=_FEW,
    ),
    Job(
        "exchange_rate_glyphs",
        "exchange_rate.py",
        full=("--seeds", "5"),
        figures=(9, *range(14, 22)),
        seconds=(20, 700),
        cells="exchange_rate",
    ),
    Job(
        "exchange_rate_concepts_pair",
        "exchange_rate.py",
        ("--dataset", "concepts", "--pair"),
        figures=(8, *range(22, 30)),
        seconds=(20, 300),
        cells="exchange_rate",
    ),
    Job(
        "text_ablations_glyphs",
        "text_ablations.py",
        figures=tuple(range(30, 34)),
        tables=(24, 27),
        seconds=(120, 1000),
        cells="text_ablations",
    ),
    Job(
        "full_data_glyphs",
        "full_data.py",
        tables=(*range(6, 15), 20, 28, 29),
        seconds=(110, 960),
        cells="full_data",
    ),
    Job(
        "full_data_concepts_aligned-True",
        "full_data.py",
        _ALIGNED,
        tables=(21,),
        seconds=(4, 34),
        cells="full_data",
    ),
    Job(
        "three_modalities_glyphs",
        "three_modalities.py",
        figures=(6, 34, 35, 36),
        tables=(25, 26),
        seconds=(145, 610),
        cells="three_modalities",
    ),
    Job(
        "self_supervised_glyphs",
        "self_supervised.py",
        tables=(1,),
        seconds=(90, 1700),
        cells="self_supervised",
    ),
    Job(
        "language_to_vision_glyphs",
        "language_to_vision.py",
        figures=(7,),
        seconds=(150, 1900),
        cells="language_to_vision",
    ),
)


def jobs_for(figures: Iterable[int] = (), tables: Iterable[int] = (), names: Iterable[str] = ()) -> list[Job]:
    """The jobs that make what is asked for, in the order in which they run.

    Args:
        figures: numbers in the paper.
        tables: likewise.
        names: jobs by name.

    Returns:
        Jobs; all of them where nothing in particular is asked for.

    Raises:
        ValueError: a figure or table that the paper does not have.
        UnknownNameError: a job that there is not.

    Example:
        >>> [job.name for job in jobs_for(figures=[3], tables=[24])]
        ['gaussian_recon', 'text_ablations_glyphs']
    """
    return select(JOBS, figures, tables, names)


def select(
    jobs: Iterable[Job], figures: Iterable[int], tables: Iterable[int], names: Iterable[str]
) -> list[Job]:
    """Those of some runs that are asked for by number or by name; all of them where nothing is asked for.

    Args:
        jobs: runs.
        figures: numbers in the paper.
        tables: likewise.
        names: of runs.

    Returns:
        Runs, in their order.

    Raises:
        ValueError: a figure or table that the paper does not have.
        UnknownNameError: a run that there is not.
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


def check_numbers(figures: Iterable[int], tables: Iterable[int]) -> tuple[set[int], set[int]]:
    """Numbers of figures and tables as sets.

    Args:
        figures: in the paper.
        tables: likewise.

    Returns:
        (figures, tables); all of both where neither is given.

    Raises:
        ValueError: a figure or table that the paper does not have.

    Example:
        >>> check_numbers([8], [])
        ({8}, set())
    """
    wanted = set(figures), set(tables)
    for option, numbers, there in zip(("--figure", "--table"), wanted, (FIGURES, TABLES), strict=True):
        for number in sorted(numbers - set(there)):
            raise ValueError(f"{option} {number}: the paper has {there[0]} to {there[-1]}")
    return wanted if wanted[0] or wanted[1] else (set(FIGURES), set(TABLES))
