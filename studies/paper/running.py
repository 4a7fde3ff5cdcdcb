"""Runs of studies: in this process, dealt to several, or on a Dask cluster."""

import importlib
import io
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO

from studies.paper.exhibits import contents
from studies.paper.jobs import Job

__all__ = ["Outcome", "all_ranks", "deal", "run_job", "run_on_cluster"]

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        job: the run.
        seconds: wall time.
        log: what it printed.
        error: last line of what went wrong; None where all is well.
    """

    job: Job
    seconds: float
    log: Path
    error: str | None = None

    @property
    def text(self) -> str:
        """In words."""
        if self.error is None:
            return f"{self.seconds:.0f} s"
        return f"FAILED after {self.seconds:.0f} s: {self.error} (log {self.log})"


def run_job(job: Job, arguments: Sequence[str], logs: Path) -> Outcome:
    """Run a study in this process; its output goes to a file in `logs`, an error becomes part of the outcome."""
    if str(ROOT) not in sys.path:  # on a worker
        sys.path.insert(0, str(ROOT))
    logs.mkdir(parents=True, exist_ok=True)
    path, began, error = logs / f"{job.name}.log", time.perf_counter(), None
    before, sys.argv = sys.argv, [job.script, *arguments]  # provenance records the command line
    told = _LastLine(sys.stderr)
    try:
        with path.open("w", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(told):
            try:
                importlib.import_module(f"studies.{job.script.removesuffix('.py')}").main(list(arguments))
            except (Exception, SystemExit) as found:  # noqa: BLE001 - one study must not stop the others
                traceback.print_exc(file=log)
                stopped = isinstance(found, SystemExit)  # the study has said why
                error = told.line if stopped else f"{type(found).__name__}: {found}"
                log.write(f"{error}\n")
    finally:
        sys.argv = before
    return Outcome(job, time.perf_counter() - began, path, error)


class _LastLine(io.TextIOBase):
    """Passes all on to the terminal, and remembers the last line: why a study refused its options."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal, self.line = terminal, ""

    def write(self, text: str) -> int:
        """Print, and remember."""
        lines = [line for line in text.splitlines() if line.strip()]
        self.line = lines[-1] if lines else self.line
        return self._terminal.write(text)

    def flush(self) -> None:
        """Of the terminal."""
        self._terminal.flush()

    def isatty(self) -> bool:
        """Whether progress bars may redraw themselves."""
        return self._terminal.isatty()


def deal(jobs: Sequence[Job], ranks: int, *, quick: bool) -> list[list[Job]]:
    """Deal runs to processes, the longest first to whoever has least; runs that share cells stay together, in order.

    Args:
        jobs: all runs.
        ranks: number of processes, >= 1.
        quick: which of the estimated times counts.

    Returns:
        One list per process, each in the order of `jobs`.

    Example:
        >>> from studies.paper.jobs import jobs_for
        >>> shares = deal(jobs_for(figures=[5, 8, 41]), 2, quick=True)
        >>> [[job.name for job in share] for share in shares]
        [['exchange_rate_concepts_pair'], ['robustness_glyphs', 'classifier_analysis_glyphs']]
    """
    shares: list[list[Job]] = [[] for _ in range(ranks)]
    loads = [0.0] * ranks
    for group in sorted(_groups(jobs), key=lambda group: -_seconds(group, quick)):
        least = loads.index(min(loads))
        shares[least] += group
        loads[least] += _seconds(group, quick)
    order = {job.name: i for i, job in enumerate(jobs)}
    return [sorted(share, key=lambda job: order[job.name]) for share in shares]


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Runs that must not be taken apart."""
    cells = {job.name: job.cells for job in jobs}
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.cells or cells.get(job.reads or "") or job.name, []).append(job)
    return list(groups.values())


def _seconds(jobs: Sequence[Job], quick: bool) -> float:
    return sum(job.seconds[0 if quick else 1] for job in jobs)


@contextmanager
def all_ranks(ranks: int) -> Iterator[Callable[[Sequence[str]], list[str]]]:
    """Let processes of torchrun meet: the first one that ends badly ends the others, so none may leave before all are done.

    Yields:
        A function that joins lists of names from all processes; each waits there for the others.
    """
    if ranks == 1:
        yield list
        return
    import torch.distributed as dist

    def join(names: Sequence[str]) -> list[str]:
        everywhere: list[list[str]] = [[] for _ in range(ranks)]
        dist.all_gather_object(everywhere, list(names))
        return list(dict.fromkeys(name for part in everywhere for name in part))

    dist.init_process_group("gloo", timeout=timedelta(days=30))
    try:
        yield join
    finally:
        dist.destroy_process_group()


def run_on_cluster(work: Sequence[tuple[Job, Sequence[str]]], logs: Path, address: str) -> Iterator[Outcome]:
    """Run studies on the workers of a Dask cluster that see the same files; one study at a time on each worker.

    Args:
        work: (run, command line of its study) pairs.
        logs: folder of what they print, as the workers see it.
        address: of the scheduler.

    Yields:
        Outcomes, as groups of runs that share cells are finished; those of a worker that died have an error.

    Raises:
        ImportError: Dask is not installed.
        OSError: no scheduler answers there.
        ValueError: a worker with several threads.
    """
    try:
        import cloudpickle
        from distributed import Client, as_completed
    except ImportError as error:
        raise ImportError("--scheduler needs Dask: pip install 'fisherkit[cluster]'") from error
    arguments = {job.name: list(line) for job, line in work}
    for module in (__name__, Job.__module__, contents.__module__):  # workers need not start in this folder
        cloudpickle.register_pickle_by_value(sys.modules[module])
    with Client(address) as client:
        crowded = [worker for worker, threads in client.nthreads().items() if threads > 1]
        if crowded:
            raise ValueError(f"{crowded[0]}: studies need a process each; start workers with --nthreads 1")
        began = time.perf_counter()
        groups = {
            client.submit(_run_group, group, arguments, str(logs), pure=False): group
            for group in _groups([job for job, _ in work])
        }
        for future in as_completed(list(groups)):
            trouble = future.exception()
            if trouble is None:
                yield from future.result()
            else:
                seconds = time.perf_counter() - began
                for job in groups[future]:
                    log = logs / f"{job.name}.log"
                    yield Outcome(
                        job, seconds, log, f"the worker failed ({type(trouble).__name__}: {trouble})"
                    )


def _run_group(group: Sequence[Job], arguments: dict[str, list[str]], logs: str) -> list[Any]:
    return [run_job(job, arguments[job.name], Path(logs)) for job in group]
