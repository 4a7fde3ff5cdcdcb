"""Several portions of PyTorch work at a time, one thread each.

PyTorch's own threads split every small product in two and wait for each other after it: on a busy machine that was
seen to take thirty times as long. Here each portion computes on one thread, portions beside each other. What a portion
computes then does not depend on the number of cores either.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["in_parallel", "one_torch_thread", "progress_bar", "usable_cores"]

Portion = TypeVar("Portion")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Number of cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_parallel(
    work: Callable[[Portion, Callable[[int], object]], Result],
    portions: Sequence[Portion],
    workers: int,
    bar: "tqdm[Any]",
) -> Iterator[tuple[Portion, Result]]:
    """Work on several portions at a time; yield each with its result as soon as it is done.

    An exception in one portion, or in the loop that takes the results (an interrupt from the keyboard, say), stops
    the others at their next report of progress.

    Args:
        work: called with a portion and a function to report progress to, from a thread of its own.
        portions: what to work on, started in this order.
        workers: how many at a time, >= 1.
        bar: advanced by what is reported.

    Yields:
        (portion, result), in the order in which they finish.

    Example:
        >>> from tqdm import tqdm
        >>> with tqdm(total=3, disable=True) as bar:
        ...     sorted(in_parallel(lambda n, report: n * n, [1, 2, 3], 2, bar))
        [(1, 1), (2, 4), (3, 9)]
    """
    stop, lock = threading.Event(), threading.Lock()

    def report(count: int) -> None:
        if stop.is_set():
            raise _StoppedError
        with lock:
            bar.update(count)

    with one_torch_thread(), ThreadPoolExecutor(max(1, workers)) as pool:
        running = {pool.submit(work, portion, report): portion for portion in portions}
        try:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


class _StoppedError(Exception):
    """Raised in a thread whose result nobody waits for any more."""


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """PyTorch computes on one thread inside a ``with`` block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def progress_bar(total: int, unit: str) -> "tqdm[Any]":
    """A tqdm bar of `total` units of work; rarely redrawn where the output is not a terminal."""
    from tqdm import tqdm

    quiet = not sys.stderr.isatty()
    return tqdm(total=total, unit=unit, unit_scale=True, mininterval=30 if quiet else 0.5, smoothing=0.05)
