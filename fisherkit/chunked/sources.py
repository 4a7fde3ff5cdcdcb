"""Files as chunks: what a source of shards is, and the sources of all modalities together."""

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fisherkit.chunked.shards import Declaration, Shape, Shard

__all__ = ["CHUNKS_PER_PARTITION", "CHUNK_BYTES", "Chunks", "Source", "require_file"]

#: Bytes read at a time: a few milliseconds of work, and small beside any machine's memory.
CHUNK_BYTES = 8 << 20
#: Chunks summarised by one task of a cluster: long enough to outweigh the scheduling of a task.
CHUNKS_PER_PARTITION = 8


class Source(Protocol):
    """Rows of one modality on disk, cut into partitions, and these into shards of a few megabytes.

    Sources are small and picklable: they hold names and sizes, and open the files where the rows are needed.
    """

    @property
    def shapes(self) -> tuple[Shape | None, ...]:
        """Shapes of all observations, shared and private designs; None where absent."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What messages call the three."""

    def __len__(self) -> int:
        """Number of partitions."""

    def partition(self, index: int) -> Iterator[Shard]:
        """The shards of one partition, read one at a time.

        Args:
            index: 0 to len - 1.

        Returns:
            Iterator over shards.
        """


@dataclass(frozen=True)
class Chunks:
    """Files of several modalities as chunks; can be iterated more than once, and sent to the workers of a cluster.

    Attributes:
        sources: {modality: source}.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from fisherkit.chunked import from_npy
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/x.npy", np.ones((5, 2)))
        ...     chunks = from_npy({"x": f"{folder}/x.npy"}, chunk_bytes=32)  # two rows of two float64
        ...     print(chunks, [len(chunk["x"].observations) for chunk in chunks])
        Chunks(x: 5 samples in 1 partitions) [2, 2, 1]
    """

    sources: Mapping[str, Source]

    def __repr__(self) -> str:
        parts = (f"{n}: {s.shapes[0][0]} samples in {len(s)} partitions" for n, s in self.sources.items())  # type: ignore[index]
        return f"Chunks({', '.join(parts)})"

    def __iter__(self) -> Iterator[dict[str, Shard]]:
        for name, source in self.sources.items():
            for index in range(len(source)):
                for shard in source.partition(index):
                    yield {name: shard}

    @property
    def counts(self) -> dict[str, int]:
        """Samples per modality."""
        return {name: int(source.shapes[0][0]) for name, source in self.sources.items()}  # type: ignore[index]

    def check(self, declaration: Declaration) -> None:
        """Compare all shapes with the model, before anything is read.

        Args:
            declaration: of the model or layout.
        """
        for name, source in self.sources.items():
            declaration.check(name, source.shapes, source.labels)


def require_file(path: str | os.PathLike, name: str) -> Path:
    """The path, if there is something at it.

    Args:
        path: file or folder.
        name: how the message calls what should be there.

    Returns:
        The path.

    Raises:
        TypeError: no path.
        FileNotFoundError: nothing is there; with the close matches in its folder.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{name}: expected the path of a file, got {type(path).__name__}")
    wanted = Path(path)
    if wanted.exists():
        return wanted
    folder = wanted.parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{name}: no folder {str(folder)!r} to find {wanted.name!r} in")
    close = difflib.get_close_matches(wanted.name, sorted(p.name for p in folder.iterdir()), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "nothing there has a similar name"
    raise FileNotFoundError(f"{name}: no file {wanted.name!r} in {str(folder)!r}; {hint}")


def require_mapping(files: object, what: str) -> Mapping:
    """The mapping, if it is one and not empty.

    Args:
        files: what was given.
        what: its form, for the message.

    Returns:
        The mapping.

    Raises:
        ValueError: not a mapping, or empty.
    """
    if not isinstance(files, Mapping) or not files:
        raise ValueError(f"files: expected a non-empty mapping {what}, got {type(files).__name__}")
    return files
