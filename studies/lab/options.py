"""The command line that all studies share, and where they write.

A study is a list of *cells*: plain dictionaries that say everything about one run. `Cells` keeps each finished
cell's result under the hash of that dictionary, so a study that is killed and started again computes only what is
missing, and a changed setting is a different cell.

Outputs of a study called NAME: ``OUT/NAME.png``, ``OUT/NAME.csv`` (one row per cell), ``OUT/NAME.json`` (summary and
provenance), OUT being ``paper_figures/``, or ``paper_figures/quick/`` for a small version, unless ``--out`` says
otherwise; working state in ``runs/NAME.jsonl``. What is measured on a user's own files goes to ``results/`` in the
working folder, and NAME ends in a hash of these files and of all settings, so that no run replaces another one's results.
"""

import argparse
import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from fisherkit.checks import UnknownNameError
from fisherkit.files import content_key

__all__ = [
    "FIGURES",
    "ROOT",
    "check_device",
    "check_folder",
    "check_repetitions",
    "command_line",
    "command_parser",
    "own_inputs",
    "own_suffix",
    "parsed",
    "run_study",
    "usage_errors",
]

ROOT = Path(__file__).resolve().parent.parent.parent
FIGURES = ROOT / "paper_figures"
RESULTS = Path("results")  # in the working folder: what is measured on a user's own data
_OWN_FILES = ("target_features", "target_test", "aux_features", "descriptions")


def command_parser(
    doc: str | None, *, seeds: int | None = None, device: bool = False
) -> argparse.ArgumentParser:
    """Command line shared by all studies: --quick, --out; with a default of paired repetitions --seeds, --runs; --device."""
    made = _Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
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


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage would be a page."""

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        self.exit(2, f"{self.prog}: error: {message} ({self.prog} --help lists the options)\n")


class _Quick(argparse.Action):
    """Also moves the outputs, so that a first look never replaces the figures of a full run."""

    def __call__(self, parser: object, namespace: argparse.Namespace, *_: object) -> None:
        namespace.quick = True
        if namespace.out == FIGURES:
            namespace.out = FIGURES / "quick"


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options of a command line, and as `began` when the study did (`time.perf_counter`)."""
    began = time.perf_counter()
    options = argparse.Namespace(**vars(parser.parse_args(arguments)), began=began)
    if _own(options) and options.out in {FIGURES, FIGURES / "quick"}:
        options.out = RESULTS
    return options


def _own(options: argparse.Namespace) -> list[Path]:
    """The user's own files and folders among the options."""
    given = [getattr(options, name, None) or [] for name in _OWN_FILES]
    found = [path for one in given for path in (one if isinstance(one, list) else [one])]
    dataset = getattr(options, "dataset", None)
    known = getattr(options, "known_data", [dataset])
    return found if dataset is None or dataset in known else [Path(dataset), *found]


def own_inputs(options: argparse.Namespace) -> dict[str, str]:
    """What a run read of a user's own: {file or folder by name: hash}, of a folder that of the names and sizes in it."""
    hashes: dict[str, str] = {}
    for path in _own(options):
        name = path.name if path.name not in hashes else f"{path.name} ({len(hashes) + 1})"
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            content = {str(file.relative_to(path)): file.stat().st_size for file in files}
            hashes[name] = content_key(content)
        else:
            with path.open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return hashes


def own_suffix(options: argparse.Namespace) -> str:
    """Ending of file names that keeps results on a user's own data apart: of these data and all settings; else empty."""
    if not _own(options):
        return ""
    places = {"out", "runs", "device", "began", "dataset", "known_data", "data", *_OWN_FILES}
    settings = {name: str(value) for name, value in vars(options).items() if name not in places}
    return f"_{content_key({'inputs': own_inputs(options), 'settings': settings})[:8]}"


@contextmanager
def command_line(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> Iterator[argparse.Namespace]:
    """`parsed` options, the device and folders being looked at; what is raised in the block is one of `usage_errors`."""
    options = parsed(parser, arguments)
    with usage_errors(parser):
        check_device(options.device)
        for name in ("out", "runs"):
            check_folder(getattr(options, name), f"--{name}")
        yield options


def check_folder(folder: Path, option: str) -> None:
    """Refuse, by a ValueError, a folder that cannot be written or made, before anything is computed for it."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise ValueError(f"{option} {folder}: {there} is a file, and a folder is meant")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {folder}: no right to write into {there}; choose another folder")


def run_study(main: Callable[[], object]) -> NoReturn:
    """Run `main` and end the process: a stop by the user or a full disk is one line, not a traceback.

    Args:
        main: returns the exit status where it is a whole number; anything else is success.

    Raises:
        SystemExit: with that status; 130 where the user stopped it (Ctrl-C), 1 where a file could not be written.
        OSError: any other.
    """
    resume = "finished cells are kept, and the same command goes on from them"
    try:
        status = main()
    except KeyboardInterrupt:
        sys.exit(_said(f"stopped; {resume}", 130))
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}:
            raise
        sys.exit(_said(f"{error}; {resume}, once there is room and the right to write", 1))
    sys.exit(status if isinstance(status, int) else 0)


def _said(line: str, status: int) -> int:
    print(f"\n{Path(sys.argv[0]).name}: {line}", file=sys.stderr)
    return status


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
