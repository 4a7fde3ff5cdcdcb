"""What every study needs: options, finished cells that survive a kill, intervals, tables, figures, provenance.

A study is a list of *cells*: plain dictionaries that say everything about one run. `Cells` keeps each finished
cell's result under the hash of that dictionary, so a study that is killed and started again computes only what is
missing, and a changed setting is a different cell.

Outputs of a study called NAME: ``OUT/NAME.png``, ``OUT/NAME.csv`` (one row per cell), ``OUT/NAME.json`` (summary and
provenance), OUT being ``paper_figures/``, or ``paper_figures/quick/`` for a small version, unless ``--out`` says
otherwise; working state in ``runs/NAME.jsonl``.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fisherkit.checks import UnknownNameError
from fisherkit.files import write_atomic
from studies.files import write_csv, write_json
from studies.finished_cells import Cells, CorruptCellsWarning, cell_key
from studies.parallel import in_parallel, one_torch_thread, usable_cores
from studies.reporting import (
    Interval,
    error_bars,
    figure_style,
    geometric_interval,
    line_style,
    mean_interval,
    paired_difference,
    paired_ratio,
    plausible_coverage,
    save_figure,
    table,
)

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = [
    "Cells",
    "CorruptCellsWarning",
    "Interval",
    "cell_key",
    "check_device",
    "error_bars",
    "figure_style",
    "geometric_interval",
    "in_parallel",
    "line_style",
    "mean_interval",
    "one_torch_thread",
    "paired_difference",
    "paired_ratio",
    "parser",
    "plausible_coverage",
    "progress_bar",
    "provenance",
    "save_figure",
    "seed_of",
    "table",
    "usable_cores",
    "usage_errors",
    "write_atomic",
    "write_csv",
    "write_json",
]

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "paper_figures"


# ---------------------------------------------------------------- options


def parser(doc: str | None, *, seeds: int | None = None, device: bool = False) -> argparse.ArgumentParser:
    """Command line shared by all studies: --quick, --out and, where it repeats and trains, --seeds, --runs, --device.

    Args:
        doc: the study's docstring, shown by --help.
        seeds: default number of seeds of a full run; None if the study has no paired repetitions and keeps no cells.
        device: whether the study can compute on a GPU.

    Returns:
        Parser, to which a study may add options of its own.
    """
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


def check_device(name: str) -> None:
    """Refuse a device that cannot compute, before anything is loaded for it.

    Args:
        name: torch device.

    Raises:
        ValueError: says why.

    Example:
        >>> check_device("cpu")
    """
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

    Args:
        parser: of the command line.

    Yields:
        Nothing.
    """
    try:
        yield
    except (ValueError, UnknownNameError, OSError) as error:
        parser.error(str(error))


# ---------------------------------------------------------------- seeds


def seed_of(*key: float) -> np.random.SeedSequence:
    """A seed for one point of a study that does not depend on which other points are computed.

    Args:
        *key: numbers >= 0 that say which point, told apart to a thousandth.

    Returns:
        The seed.

    Example:
        >>> seed_of(1, 0.25).entropy
        [1000, 250]
    """
    return np.random.SeedSequence([round(1000 * k) for k in key])


# ---------------------------------------------------------------- provenance and progress


def provenance(*, config: Mapping[str, Any], seconds: float, device: str = "cpu") -> dict[str, Any]:
    """Where numbers come from: settings, versions, device, revision, wall time.

    Args:
        config: the study's settings.
        seconds: wall time of the computation.
        device: torch device, or "cpu".

    Returns:
        Dictionary for `write_json`.
    """
    versions = {}
    for package in ("fisherkit", "numpy", "scipy", "torch", "matplotlib"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *_without_places(sys.argv[1:])]),
        "config": dict(config),
        "device": _device_name(device),
        "python": platform.python_version(),
        "versions": versions,
        "revision": _revision(),
        "wall_seconds": round(seconds, 1),
    }


def _without_places(arguments: Sequence[str]) -> list[str]:
    """A command line without folders of results and cells, which decide nothing, and device, which is recorded apart."""
    kept: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in {"--out", "--runs", "--device"}:
            next(rest, None)
        elif not argument.startswith(("--out=", "--runs=", "--device=")):
            kept.append(argument)
    return kept


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({platform.machine()}, {os.cpu_count()} cores)"


def _revision() -> str | None:
    """Git revision of the working tree, with "+" if files differ from it; None outside a repository."""
    git = ["git", "--no-optional-locks", "-C", str(ROOT)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], check=False, capture_output=True, text=True, timeout=10
        )
        if head.returncode:
            return None
        changed = subprocess.run(
            [*git, "diff", "--quiet", "HEAD"], check=False, capture_output=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() + ("+" if changed.returncode else "")


def progress_bar(total: int, unit: str) -> "tqdm[Any]":
    """A tqdm bar; `update(n)` advances it. Rarely redrawn where the output is not a terminal.

    Args:
        total: units of work.
        unit: what a unit is, e.g. " run-steps".

    Returns:
        The bar, a context manager.
    """
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    return tqdm(total=total, unit=unit, unit_scale=True, mininterval=30 if quiet else 0.5, smoothing=0.05)
