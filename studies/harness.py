"""What every study needs: options, finished cells that survive a kill, intervals, tables, figures, provenance.

A study is a list of *cells*: plain dictionaries that say everything about one run. `Cells` keeps each finished
cell's result under the hash of that dictionary, so a study that is killed and started again computes only what is
missing, and a changed setting is a different cell.

Outputs of a study called NAME: ``OUT/NAME.png``, ``OUT/NAME.csv`` (one row per cell), ``OUT/NAME.json`` (summary and
provenance), OUT being ``paper_figures/``, or ``paper_figures/quick/`` for a small version, unless ``--out`` says
otherwise; working state in ``runs/NAME.jsonl``.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import warnings
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fisherkit.files import set_aside, write_atomic
from studies.files import write_csv, write_json
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


# ---------------------------------------------------------------- finished cells


def cell_key(cell: Mapping[str, Any]) -> str:
    """Hash of everything that a cell's dictionary says; the order of its entries does not matter.

    Args:
        cell: strings, numbers, booleans, None, lists and dictionaries of these.

    Returns:
        16 hexadecimal digits.

    Raises:
        TypeError: an entry that JSON cannot hold.
        ValueError: a NaN or infinity.

    Example:
        >>> cell_key({"arm": "x", "steps": 100}) == cell_key({"steps": 100, "arm": "x"})
        True
    """
    return _checksum(_canonical(cell))


class CorruptCellsWarning(UserWarning):
    """A file of finished cells could not be read in full; it was moved aside, not deleted."""


class Cells:
    """Finished cells of a study in one JSON-lines file, complete or absent, never half a line.

    Every line carries the cell, its result and a checksum of both. If a line does not check, the whole file is moved
    to ``NAME.corrupt-1.jsonl`` (or the next free number), a `CorruptCellsWarning` names both files and the lines,
    and the lines that do check are kept.

    Args:
        path: the file; its folder is made when the first cell is added.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "study.jsonl"
        >>> Cells(path).add([({"seed": 1}, {"mse": 0.5})])
        >>> Cells(path).get({"seed": 1})
        {'mse': 0.5}
        >>> Cells(path).missing([{"seed": 1}, {"seed": 2}])
        [{'seed': 2}]
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lines: dict[str, str] = {}
        self._results: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            self._load()

    def __len__(self) -> int:
        return len(self._lines)

    def get(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """Result of a finished cell.

        Args:
            cell: its dictionary.

        Returns:
            The result as it was added (tuples come back as lists).

        Raises:
            KeyError: the cell is not finished.
        """
        key = cell_key(cell)
        if key not in self._results:
            raise KeyError(f"cell not finished: {dict(cell)}; compute what `missing` returns first")
        return self._results[key]

    def missing(self, cells: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those cells that have no result yet, each once.

        Args:
            cells: dictionaries of all cells.

        Returns:
            Unfinished ones, in order.
        """
        todo = {cell_key(cell): cell for cell in cells}
        return [cell for key, cell in todo.items() if key not in self._results]

    def add(self, finished: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        """Store results; when this returns they are on disk. If it fails or is killed, all is as it was before.

        Args:
            finished: (cell, result) pairs; results are made of what JSON can hold.

        Raises:
            ValueError: a result holds a NaN or infinity; says which cell's.
        """
        lines, results = dict(self._lines), dict(self._results)
        for cell, result in finished:
            try:
                body = _canonical({"cell": dict(cell), "result": dict(result)})
            except ValueError as error:
                raise ValueError(
                    f"result of cell {dict(cell)} cannot be stored: {error}; nothing was added. Keep values finite, or "
                    "store None"
                ) from None
            key = cell_key(cell)
            lines[key] = f'{{"check":"{_checksum(body)}","body":{body}}}'
            results[key] = json.loads(body)["result"]
        write_atomic(self.path, "".join(f"{line}\n" for line in lines.values()).encode())
        self._lines, self._results = lines, results

    def _load(self) -> None:
        bad, content = [], self.path.read_bytes()
        for number, raw in enumerate(content.splitlines(), start=1):
            try:
                line = raw.decode()
                entry = json.loads(line)
                body = _canonical(entry["body"])
                if _checksum(body) != entry["check"]:
                    raise ValueError("checksum")
                key = cell_key(entry["body"]["cell"])
                self._lines[key], self._results[key] = line, entry["body"]["result"]
            except (ValueError, KeyError, TypeError):
                bad.append(number)
        if bad:
            aside = set_aside(self.path, content)  # first: it may hold what cannot be had again
            self.add([])
            warnings.warn(
                f"{self.path}: line(s) {', '.join(map(str, bad[:5]))} of the finished cells are damaged; the file was "
                f"moved to {aside}, {len(self._lines)} intact cells are kept and the others will be computed again",
                CorruptCellsWarning,
                stacklevel=3,
            )


def _canonical(value: object) -> str:
    """One text per value, the same before and after a round trip through JSON (which turns all keys into strings)."""
    plain = json.loads(json.dumps(value, allow_nan=False))
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def _checksum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


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
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "config": dict(config),
        "device": _device_name(device),
        "python": platform.python_version(),
        "versions": versions,
        "revision": _revision(),
        "wall_seconds": round(seconds, 1),
    }


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
