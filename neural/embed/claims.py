"""Who is working on what: a small file per piece of work, so that processes share it instead of doing it twice.

Nothing rests on claims but time: what a piece of work writes is written whole or not at all, so two processes that do
the same piece leave one correct file.
"""

import contextlib
import json
import os
import socket
import time
from pathlib import Path

__all__ = ["Claim"]

# seconds after which a silent claim of another machine, or an empty one (its process died in `Claim.take`), is stale
_SILENCE = 600.0
_UNWRITTEN = 10.0


class Claim:
    """A file that says which process works on something; made by `Claim.take`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def take(cls, path: Path) -> "Claim | None":
        """Claim work (the folder exists), also that of a process that died; None where a living one holds it."""
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
        """(host, process number) of the process that holds it; None where the file is gone or says nothing."""
        try:
            content = json.loads(self.path.read_text())
            return str(content["host"]), int(content["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def abandoned(self) -> bool:
        """Whether its process is gone or gave no sign of life for ten minutes, so that it may be taken over."""
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
        # gone if taken over by a process that thought us dead; both write the same
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path)

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
