"""Every figure and table of the paper with one command, or some of them by number.

    python studies/reproduce.py --list                     the plan, with estimated times
    python studies/reproduce.py --quick                    all of it, small: under half an hour on two cores
    python studies/reproduce.py                            all of it, as in paper_figures/
    python studies/reproduce.py --figure 8 --table 24 27   what these are made from
    python studies/reproduce.py --only streaming_memory    a run by its name in --list
    python studies/reproduce.py --device cuda
    python studies/reproduce.py --data ROOT [--quick]      on the data sets that `python -m neural doctor` finds ready
    python studies/reproduce.py --data ROOT --encoders dinov2-s14=FOLDER openllama-3b=FOLDER
    torchrun --nproc-per-node 4 studies/reproduce.py --device cuda       the runs dealt to four GPUs
    python studies/reproduce.py --scheduler tcp://HOST:8786 --device cuda        or to the workers of a Dask cluster

Each run is one study with its options (--list shows the command line); what a study prints goes to
RUNS/reproduce/NAME.log. A run that fails does not stop the others; the exit status then is 1. A plan that is killed and
started again goes on where it was: studies keep every finished cell. In the end the gallery in OUT/README.md (or, where
there is none, OUT/gallery.md) gets the numbers of what is there. Several processes or workers share one file system, and
Dask workers one thread each (--nthreads 1).
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from neural.results.parallel import progress_bar
from neural.results.text import text_table
from studies.lab.options import FIGURES, ROOT, check_device, command_parser, run_study, usage_errors
from studies.paper.gallery import write_gallery
from studies.paper.jobs import JOBS, PLAN, Job, jobs_for, save_jobs
from studies.paper.jobs_on_disk import jobs_on_disk
from studies.paper.running import Outcome, all_ranks, deal, run_job, run_on_cluster

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__, device=True)
    add = parser.add_argument
    add("--figure", type=int, nargs="+", default=[], metavar="N", help="figures of the paper")
    add("--table", type=int, nargs="+", default=[], metavar="N", help="tables of the paper")
    add("--only", nargs="+", default=[], metavar="NAME", help="runs by name")
    add("--list", action="store_true", help="show the plan and stop")
    add("--runs", type=Path, default=ROOT / "runs", help="folder of finished cells, for resuming")
    add("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    disk = parser.add_argument_group("real data sets")
    disk.add_argument("--data", type=Path, metavar="ROOT", help="folder of data sets")
    disk.add_argument(
        "--encoders",
        nargs="+",
        default=[],
        metavar="NAME=WHAT",
        help="where an encoder of the paper lies, or what takes its place: a folder, short name or hub name",
    )
    return parser


def _jobs(options: argparse.Namespace) -> tuple[list[Job], list[str]]:
    """The runs, and what cannot be run and why."""
    wanted = options.figure, options.table, options.only
    if options.data is None:
        if options.encoders:
            raise ValueError("--encoders: the embedded data bring their own; give --data ROOT as well")
        return jobs_for(*wanted), []
    if options.out in {FIGURES, FIGURES / "quick"}:
        options.out /= "on_disk"  # real results never among those of the embedded data
    if options.scheduler:
        options.data = options.data.resolve()  # a worker may have another working folder
    return jobs_on_disk(options.data, options.encoders, *wanted)


def _arguments(job: Job, options: argparse.Namespace) -> list[str]:
    """Command line of a run."""
    places = ["--out", str(options.out.resolve())]
    if job.repeats:
        places += ["--runs", str(options.runs.resolve()), "--device", options.device]
    return [*job.arguments(quick=options.quick), *places]


def _plan(jobs: Sequence[Job], options: argparse.Namespace) -> str:
    """The plan as text."""
    rows = [
        [
            job.name,
            job.contents,
            _about([job], options),
            f"studies/{job.script} {' '.join(arguments)}".strip(),
        ]
        for job in jobs
        for arguments in [job.arguments(quick=options.quick)]
    ]
    table = text_table(["run", "makes", "about", "command"], rows)
    return f"{table}\n\n{len(jobs)} runs, {_about(jobs, options)}"


def _about(jobs: Sequence[Job], options: argparse.Namespace) -> str:
    """How long it takes."""
    if options.data is not None:
        return "?" if len(jobs) == 1 else "for as long as your encoders and device take"
    seconds = _minutes(_seconds(jobs, options))
    return seconds if len(jobs) == 1 else f"about {seconds} on two cores"


def _seconds(jobs: Sequence[Job], options: argparse.Namespace) -> int:
    return sum(job.seconds[0 if options.quick else 1] for job in jobs)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _outcomes(jobs: Sequence[Job], options: argparse.Namespace) -> Iterator[Outcome]:
    """Do the runs: here, this process's share of them, or on a cluster."""
    work = [(job, _arguments(job, options)) for job in jobs]
    logs = options.runs / "reproduce"
    if options.scheduler:
        yield from run_on_cluster(work, logs, options.scheduler)
    else:
        for job, arguments in work:
            yield run_job(job, arguments, logs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the plan; see the module's docstring.

    Args:
        arguments: command line, default the process's own.

    Returns:
        Exit status: 0 where all runs went well.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    with usage_errors(parser):
        jobs, lacking = _jobs(options)
        impossible = [f"not possible: {line}" for line in lacking]
        if options.list:
            print("\n".join([_plan(jobs, options), *impossible]))
            return 0
        ranks = int(os.environ.get("WORLD_SIZE", "1"))
        rank = int(os.environ["RANK"]) if ranks > 1 else 0
        if ranks > 1 and options.device == "cuda":
            options.device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        if not options.scheduler:
            check_device(options.device)
    mine = deal(jobs, ranks, quick=options.quick)[rank]
    began, failed = time.perf_counter(), []
    print("\n".join([f"{len(mine)} runs, {_about(mine, options)}", *impossible]))
    try:
        with progress_bar(_seconds(mine, options), " s of the plan") as bar:
            for done, outcome in enumerate(_outcomes(mine, options), start=1):
                bar.update(_seconds([outcome.job], options))
                name = f"{outcome.job.name} ({outcome.job.contents})"
                bar.write(f"[{done}/{len(mine)}] {name}: {outcome.text}", file=sys.stdout)
                sys.stdout.flush()
                failed += [] if outcome.error is None else [outcome.job.name]
    except (ImportError, ValueError, OSError) as error:  # of the cluster
        parser.exit(2, f"reproduce.py: {error}\n")
    print(f"wall time {_minutes(time.perf_counter() - began)}", flush=True)
    with all_ranks(ranks) as join:
        failed = join(failed)
        if rank == 0:
            failed += _gallery(options)
        if failed:
            print(f"failed: {', '.join(failed)}", file=sys.stderr, flush=True)
        return int(bool(join(failed)))


def _gallery(options: argparse.Namespace) -> list[str]:
    """Write the page; what failed of it."""
    try:
        everything = jobs_on_disk(options.data, options.encoders)[0] if options.data else JOBS
        if options.data:  # a report of this folder shall know what belongs to it
            save_jobs(options.out / PLAN, everything)
        print(f"gallery {write_gallery(options.out, everything)}")
    except (ValueError, OSError) as error:
        print(f"the gallery could not be written: {error}", file=sys.stderr)
        return ["gallery"]
    return []


if __name__ == "__main__":
    run_study(main)
