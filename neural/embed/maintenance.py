"""What a cache holds, whether it is sound, and how to get rid of parts of it: ``python -m neural features``."""

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fisherkit.checks import UnknownNameError
from neural.embed.claims import Claim
from neural.embed.shards import MANIFEST, read_shard, shard_paths
from neural.store.safe_file import DAMAGE

__all__ = ["Entry", "add_command", "entries", "remove", "verify"]


@dataclass(frozen=True)
class Entry:
    """One encoder's features in a cache: where they lie, number of shards, bytes on disk.

    The name is the encoder's when they were first made, "?" where the manifest is damaged; the origin is hub name and
    revision, hash of the files, or function and version.
    """

    folder: Path
    name: str
    modality: str
    tokens: bool
    origin: str
    shards: int
    size: int


def entries(cache: Path | str) -> list[Entry]:
    """What a cache holds, sorted by name."""
    cache = Path(cache)
    if not cache.is_dir():
        raise FileNotFoundError(f"{cache}: there is no feature cache here; check --cache")
    found = []
    for folder in sorted(cache.iterdir()):
        shards = shard_paths(folder)
        if not shards and not (folder / MANIFEST).is_file():
            continue
        note = _manifest(folder)
        identity = note.get("identity", {})
        found.append(
            Entry(
                folder,
                str(note.get("name", "?")),
                str(note.get("modality", folder.name.split("-")[0])),
                bool(identity.get("tokens", False)),
                _origin(identity.get("encoder", {})),
                len(shards),
                sum(path.stat().st_size for path in folder.iterdir() if path.is_file()),
            )
        )
    return sorted(found, key=lambda entry: (entry.name, entry.folder.name))


def verify(cache: Path | str) -> dict[Path, str]:
    """{file: what is wrong with it}, remains of killed writes too (they do no harm); reads all, changes nothing."""
    problems: dict[Path, str] = {}
    for entry in entries(cache):
        note = _manifest(entry.folder)
        key = entry.folder.name.split("-")[-1]
        if note.get("key") != key:
            problems[entry.folder / MANIFEST] = (
                "missing, damaged or of another folder; written again on the next use"
            )
        for path in shard_paths(entry.folder):
            try:
                read_shard(path.read_bytes(), key)
            except DAMAGE as error:
                problems[path] = f"damaged ({error}); moved aside and encoded again on the next use"
        for path in sorted(entry.folder.glob(".*.part")):
            problems[path] = "left by a killed run"
        for path in sorted(entry.folder.glob("*.claim")):
            if Claim(path).abandoned():
                problems[path] = "left by a killed run"
        for path in sorted(entry.folder.glob("*.corrupt-*")):
            problems[path] = "moved aside before because it was damaged"
    return problems


def remove(cache: Path | str, names: Sequence[str]) -> list[Entry]:
    """Delete the features of encoders, by name or folder, unless a process is adding to them; what is gone."""
    known = entries(cache)
    chosen: dict[Path, Entry] = {}
    for name in names:
        matches = [entry for entry in known if name in {entry.name, entry.folder.name}]
        if not matches:
            raise UnknownNameError(
                name,
                {text: None for entry in known for text in (entry.name, entry.folder.name)},
                "entry of the cache",
            )
        chosen |= {entry.folder: entry for entry in matches}
    for entry in chosen.values():
        for path in entry.folder.glob("*.claim"):
            claim = Claim(path)
            if not claim.abandoned():
                holder = claim.holder()
                raise OSError(
                    f"{entry.folder}: process {holder[1] if holder else '?'} on {holder[0] if holder else '?'} is adding to it; "
                    f"end it first (or delete {path.name} if it is gone)"
                )
    for entry in chosen.values():
        shutil.rmtree(entry.folder)
    return list(chosen.values())


def add_command(subparsers: Any) -> None:  # noqa: ANN401 -- argparse keeps this type private
    """Add ``features list | verify | remove``; each sets ``run``: parsed arguments to exit status."""
    parser = subparsers.add_parser("features", help="look after the cache of encoded features")
    actions = parser.add_subparsers(required=True, metavar="list|verify|remove")
    for action, help_text, run in (
        ("list", "which encoders' features there are, and how large", _list),
        ("verify", "compare everything with its checksums", _verify),
        ("remove", "delete the features of encoders", _remove),
    ):
        sub = actions.add_parser(action, help=help_text, description=help_text)
        sub.add_argument("--cache", type=Path, required=True, help="folder of the cache")
        if action == "remove":
            sub.add_argument("names", nargs="+", help="encoders or folders, as listed")
        sub.set_defaults(run=run)


def _list(arguments: argparse.Namespace) -> int:
    found = entries(arguments.cache)
    for entry in found:
        kind = f"{entry.modality} tokens" if entry.tokens else entry.modality
        print(
            f"{entry.folder.name:24} {entry.name:20} {kind:12} {entry.shards:6} shards {_size(entry.size):>10}  {entry.origin}"
        )
    print(f"{len(found)} encoders, {_size(sum(entry.size for entry in found))}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    problems = verify(arguments.cache)
    for path, what in problems.items():
        print(f"{path}: {what}")
    print(f"{len(problems)} problems" if problems else "sound")
    return 1 if problems else 0


def _remove(arguments: argparse.Namespace) -> int:
    for entry in remove(arguments.cache, arguments.names):
        print(f"removed {entry.folder.name} ({entry.name}, {_size(entry.size)})")
    return 0


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        note = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) and isinstance(note.get("identity", {}), dict) else {}


def _origin(identity: Mapping[str, Any]) -> str:
    if "function" in identity:
        return f"function, version {identity.get('version')}"
    files = identity.get("files", {})
    if "hub" in files:
        return f"{files['hub']}@{str(files['revision'])[:12]}"
    return f"files {files.get('files', '?')[:12]}"


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
