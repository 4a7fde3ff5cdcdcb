"""How every benchmark here measures: one thread, methods interleaved round by round, medians, answers compared first.

Methods of one table run in the same process and take turns, so that whatever else the machine does meets all of
them alike; only ratios inside one table are meant.
"""

import argparse
import gc
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = 5
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_PEERS = (
    "numpy",
    "scipy",
    "statsmodels",
    "scikit-learn",
    "scikit-learn-intelex",
    "torch",
    "cvxpy",
    "clarabel",
)


@dataclass(frozen=True)
class Timing:
    """Seconds of one method: median, least and most of n rounds."""

    median: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{seconds(self.median)} [{seconds(self.low)}, {seconds(self.high)}]"


@dataclass(frozen=True)
class Goal:
    """A stated goal and the number measured against it.

    Attributes:
        text: what was promised.
        measured: the number, in the goal's units.
        wanted: the bound.
        at_most: whether smaller is better.
        unit: printed after both numbers.
    """

    text: str
    measured: float
    wanted: float
    at_most: bool = False
    unit: str = "x"

    @property
    def reached(self) -> bool:
        """Whether the measured number meets the bound."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def __str__(self) -> str:
        sign = "<=" if self.at_most else ">="
        return (
            f"  {'reached' if self.reached else 'MISSED '}  {self.text}: {self.measured:.4g}{self.unit} "
            f"(goal {sign} {self.wanted:g}{self.unit})"
        )


def pin_threads() -> None:
    """One thread in every numerical library of this process and of those it starts."""
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = "1"
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    with suppress(ImportError):  # scikit-learn-intelex brings a thread pool of its own
        import daal4py

        daal4py.daalinit(nthreads=1)


def interleave(
    methods: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS, *, warm: bool = True
) -> dict[str, Timing]:
    """Time the methods in turns.

    Args:
        methods: {name: function without arguments}.
        rounds: how often each one runs.
        warm: run each once before, untimed (not needed after a comparison of their answers).

    Returns:
        {name: Timing}.
    """
    if warm:
        for method in methods.values():
            method()
    taken: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(rounds):
        for name, method in methods.items():
            gc.collect()
            start = time.perf_counter()
            result = method()
            taken[name].append(time.perf_counter() - start)
            del result
    return {name: Timing(median(t), min(t), max(t), len(t)) for name, t in taken.items()}


def available_memory() -> float:
    """Bytes that can be had without swapping; infinity where unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return 1024 * float(next(line for line in lines if line.startswith("MemAvailable")).split()[1])


def require_equal(answers: Mapping[str, Any], limit: float, what: str) -> float:
    """Compare answers with the first one before anybody is timed.

    Args:
        answers: {method: array}.
        limit: largest relative difference that counts as equal.
        what: what is compared, for the message.

    Returns:
        Largest relative difference.

    Raises:
        AssertionError: two methods disagree, so that their times must not be compared.
    """
    import numpy as np

    name, first = next(iter(answers.items()))
    worst = 0.0
    for other, answer in answers.items():
        gap = float(np.abs(answer - first).max() / np.abs(first).max())
        worst = max(worst, gap)
        if not gap <= limit:
            raise AssertionError(f"{what}: {name} and {other} differ by {gap:.2g} (allowed {limit:g})")
    print(f"answers compared: {what}, largest relative difference {worst:.1e}")
    return worst


def report(title: str, timings: Mapping[str, Timing], *, notes: Mapping[str, str] | None = None) -> None:
    """Print a table of times and of ratios to the first method.

    Args:
        title: heading.
        timings: {method: Timing}; the first one is the reference.
        notes: {method: last column}.
    """
    first = next(iter(timings.values())).median
    width = max(map(len, timings))
    print(f"\n{title}\n  {'method':{width}}  {'median [least, most]':31}  {'ratio':>8}   n  notes")
    for name, timing in timings.items():
        note = (notes or {}).get(name, "")
        print(
            f"  {name:{width}}  {timing!s:31}  {timing.median / first:8.3g}  {timing.n:2}  {note}".rstrip(),
            flush=True,
        )


def seconds(value: float) -> str:
    """A time in the unit that suits it.

    Args:
        value: seconds.

    Returns:
        Text such as ``12.3 ms``.
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if value * factor >= 1 or unit == "us":
            break
    return f"{value * factor:.3g} {unit}"


def machine(extra: Iterable[str] = ()) -> str:
    """Processor, cores, load and versions, in one line each.

    Args:
        extra: distributions to list besides the usual ones.

    Returns:
        Two lines of text.
    """
    model = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line for line in lines if line.startswith("model name")).split(":")[1].strip()
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    versions = []
    for name in (*_PEERS, *extra):
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    return (
        f"machine: {model}, {os.cpu_count()} cores (one thread used){load}\n"
        f"versions: Python {platform.python_version()}, {', '.join(versions)}"
    )


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark script has.

    Args:
        description: the script's docstring.

    Returns:
        Parser with ``--quick``.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: a check, not a claim")
    return parser
