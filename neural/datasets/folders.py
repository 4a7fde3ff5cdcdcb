"""Listing folders: sorted, hidden files left out, symbolic links followed but never in circles."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from neural.datasets.reading import DatasetError, MissingError, shown

__all__ = ["IMAGE_SUFFIXES", "UNREAD_SUFFIXES", "list_files", "list_folders"]

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
})  # fmt: skip
#: Pictures, too, but not for Pillow alone: left out of a data set, and said so.
UNREAD_SUFFIXES = frozenset({
    ".heic", ".heif", ".avif", ".jxl", ".svg", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw",
})  # fmt: skip


def list_folders(folder: Path) -> list[str]:
    """Names of the subfolders, sorted by code point; hidden ones left out."""
    return sorted(entry.name for entry in _entries(Path(folder)) if _is_folder(entry))


def list_files(folder: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[str]:
    """Files at any depth below a folder, as relative paths sorted by code point; hidden ones left out."""
    folder = Path(folder)
    found: list[str] = []

    def walk(here: Path, prefix: PurePosixPath, above: frozenset[tuple[int, int]]) -> None:
        about = _stat(here)
        key = (about.st_dev, about.st_ino)
        if key in above:
            raise DatasetError(
                here, "symbolic link loop: it leads back to a folder it lies in; remove the link"
            )
        for entry in _entries(here):
            if _is_folder(entry):
                walk(here / entry.name, prefix / entry.name, above | {key})
            elif os.path.splitext(entry.name)[1].lower() in suffixes:
                found.append(str(prefix / entry.name))

    try:
        walk(folder, PurePosixPath(), frozenset())
    except RecursionError:
        raise DatasetError(folder, "folders nested too deeply to be a data set") from None
    return sorted(found)


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except FileNotFoundError:
        raise MissingError(folder, "folder not found") from None
    except NotADirectoryError:
        raise DatasetError(folder, "expected a folder, but this is a file") from None
    except OSError as error:
        raise DatasetError(folder, f"folder cannot be read ({error.strerror})") from error
    for entry in visible:
        if any("\ud800" <= c <= "\udfff" for c in entry.name):
            raise DatasetError(
                folder,
                f"the name {shown(entry.name)} is not UTF-8; rename it, e.g. with convmv -f latin1 -t utf8",
            )
        yield entry


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    if entry.is_symlink():
        _stat(Path(entry.path))
    return entry.is_dir()


def _stat(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except FileNotFoundError:
        if path.is_symlink():
            problem = "symbolic link that leads nowhere; remove it or restore what it points to"
            raise DatasetError(path, problem) from None
        raise MissingError(path, "folder not found") from None
    except OSError as error:
        raise DatasetError(path, f"symbolic link loop or unreadable ({error.strerror})") from error
