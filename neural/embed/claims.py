"""Who is working on what: a small file per piece of work, so that processes share it instead of doing it twice.

Nothing rests on claims but time: what a piece of work writes is written whole or not at all, so two processes that do
the same piece leave one correct file.
"""

import json
import os
import socket
import time
from pathlib import Path

__all__ = ["Claim"]

_SILENCE = (
    600.0  # seconds without a sign of life after which a claim of another machine counts as left behind
)
_UNWRITTEN = (
    10.0  # seconds after which an empty claim does: its process died between two lines of `Claim.take`
)


class Claim:
    """A file that says which process works on something; made by `Claim.take`.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def take(cls, path: Path) -> "Claim | None":
        """Claim a piece of work, also from a process that died.

        Args:
            path: the claim's file; its folder must exist.

        Returns:
            The claim, or None where another process holds it and is alive.
        """
        for _ in range(2):
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if not cls(path).abandoned():
                    return None
                path.unlink(missing_ok=True)
                continue
            with os.fdopen(handle, "w") as file:
                json.dump({"host": socket.gethostname(), "pid": os.getpid()}, file)
            return cls(path)
        return None  # another process took it over in the same moment

    def holder(self) -> tuple[str, int] | None:
        """The process that holds it.

        Returns:
            (host, process number); None where the file is gone or says nothing.
        """
        try:
            content = json.loads(self.path.read_text())
            return str(content["host"]), int(content["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def abandoned(self) -> bool:
        """Whether its process is gone, or gave no sign of life for ten minutes.

        Returns:
            True for a claim that may be taken over.
        """
        try:
            silent = time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return True
        holder = self.holder()
        if holder is None:
            return silent > _UNWRITTEN
        host, pid = holder
        # process numbers say nothing about another machine, and asking about them is not harmless on Windows
        if host == socket.gethostname() and os.name == "posix" and not _alive(pid):
            return True
        return silent > _SILENCE

    def refresh(self) -> None:
        """Give a sign of life."""
        try:
            os.utime(self.path)
        except FileNotFoundError:
            pass  # taken over by a process that thought us dead; both write the same

    def release(self) -> None:
        """Let others have it, unless it was taken over."""
        if self.holder() == (socket.gethostname(), os.getpid()):
            self.path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # alive, of another user
        return True
    return True
