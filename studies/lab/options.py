"""The command line that all studies share, and where they write.

A study is a list of *cells*: plain dictionaries that say everything about one run. `Cells` keeps each finished
cell's result under the hash of that dictionary, so a study that is killed and started again computes only what is
missing, and a changed setting is a different cell.

Outputs of a study called NAME: ``OUT/NAME.png``, ``OUT/NAME.csv`` (one row per cell), ``OUT/NAME.json`` (summary and
provenance), OUT being ``paper_figures/``, or ``paper_figures/quick/`` for a small version, unless ``--out`` says
otherwise; working state in ``runs/NAME.jsonl``.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fisherkit.checks import UnknownNameError

__all__ = [
    "FIGURES",
    "ROOT",
    "check_device",
    "check_repetitions",
    "command_line",
    "command_parser",
    "parsed",
    "usage_errors",
]

ROOT = Path(__file__).resolve().parent.parent.parent
FIGURES = ROOT / "paper_figures"


def command_parser(
    doc: str | None, *, seeds: int | None = None, device: bool = False
) -> argparse.ArgumentParser:
    """Command line shared by all studies: --quick, --out; with a default of paired repetitions --seeds, --runs; --device."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument(
        "--quick",
        action=_Quick,
        nargs=0,
        default=False,
        help="small version, for a first look; writes to a folder apart",
    )
    made.add_argument("--out", type=Path, default=FIGURES, help="folder of figure, rows, summary")
    if seeds is not None:
        made.add_argument("--seeds", type=int, default=None, help=f"paired repetitions (default {seeds})")
        made.add_argument(
            "--runs", type=Path, default=ROOT / "runs", help="folder of finished cells, for resuming"
        )
    if device:
        made.add_argument("--device", default="cpu", help="torch device, e.g. cuda")
    return made


class _Quick(argparse.Action):
    """Also moves the outputs, so that a first look never replaces the figures of a full run."""

    def __call__(self, parser: object, namespace: argparse.Namespace, *_: object) -> None:
        namespace.quick = True
        if namespace.out == FIGURES:
            namespace.out = FIGURES / "quick"


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options of a command line, and as `began` when the study did (`time.perf_counter`)."""
    began = time.perf_counter()
    return argparse.Namespace(**vars(parser.parse_args(arguments)), began=began)


@contextmanager
def command_line(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> Iterator[argparse.Namespace]:
    """`parsed` options with a device that computes; what is raised in the block is a usage error, see `usage_errors`."""
    options = parsed(parser, arguments)
    with usage_errors(parser):
        check_device(options.device)
        yield options


def check_repetitions(seeds: int) -> None:
    """Refuse, by a ValueError, to make intervals from one repetition."""
    if seeds < 2:
        raise ValueError(f"--seeds: intervals need at least 2 paired repetitions, got {seeds}")


def check_device(name: str) -> None:
    """Refuse, by a ValueError, a device that cannot compute, before anything is loaded for it."""
    import torch

    try:
        (torch.zeros(1, device=name) + 1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        raise ValueError(f"--device {name}: {str(error).splitlines()[0]}") from None


@contextmanager
def usage_errors(parser: argparse.ArgumentParser) -> Iterator[None]:
    """Report what is wrong with options and files as a usage error: one line, exit status 2.

    What this project's own checks raise is such an error: `ValueError`, `UnknownNameError`, `OSError`. Anything else is
    a fault of the program and keeps its traceback, so no minutes of work end in a line that says `'seeds'`.
    """
    try:
        yield
    except (ValueError, UnknownNameError, OSError) as error:
        parser.error(str(error))
