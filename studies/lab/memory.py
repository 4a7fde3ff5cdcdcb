"""Memory that a computation needs at its peak, as the kernel counts it."""

import ctypes
import gc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["extra_peak"]


def extra_peak(function: Callable[[], Any]) -> float:
    """Resident memory that a call needs at its peak beyond what is there before it, BLAS and all.

    Run it in a fresh process, after a small call of the same function: its imports are not counted then.

    Args:
        function: what to run.

    Returns:
        Megabytes (1e6 bytes); nan where the kernel has no resettable high-water mark (not Linux).
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # freed memory back to the system, or it would be used unseen
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
    except OSError:
        return float("nan")
    result = function()
    peak = _status("VmHWM") - before
    del result
    return peak * 1024 / 1e6


def _status(field: str) -> int:
    """One line of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])
