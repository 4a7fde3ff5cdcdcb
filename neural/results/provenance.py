"""Where numbers come from: settings, versions, device, revision, wall time."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["provenance"]

ROOT = Path(__file__).resolve().parent.parent.parent


def provenance(*, config: Mapping[str, Any], seconds: float, device: str = "cpu") -> dict[str, Any]:
    """Where numbers come from: settings, versions, device, revision, wall time; for `write_json`."""
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
