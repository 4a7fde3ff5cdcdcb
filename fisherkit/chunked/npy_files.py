"""`.npy` files as chunks: each chunk maps the rows it needs and unmaps them when it is done with.

Pages of a mapped file count as memory of the process for as long as the mapping lives, so one mapping of the whole
file would seem to grow up to its size. A mapping per chunk costs some 30 microseconds and keeps that at one chunk.
A file that shrinks between chunks is noticed; one that shrinks under a mapping ends the process, as ever.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import as_list, as_whole
from fisherkit.chunked.shards import Shape, Shard
from fisherkit.chunked.sources import (
    CHUNK_BYTES,
    CHUNKS_PER_PARTITION,
    Chunks,
    require_file,
    require_mapping,
)

__all__ = ["NpySource", "from_npy"]

Path = str | os.PathLike[str]


def from_npy(
    files: Mapping[str, Path | Sequence[Path | None]],
    *,
    chunk_bytes: int = CHUNK_BYTES,
    chunks_per_partition: int = CHUNKS_PER_PARTITION,
) -> Chunks:
    """Observations, and per-sample designs where there are any, from `.npy` files that are never read whole.

    Any real dtype (float16 embeddings, uint8 pixels) in either memory order; rows are converted chunk by chunk.
    Designs that all samples share stay in the model.

    Args:
        files: {modality: path of the observations, or (observations, shared designs, private designs)} with None for
            a design that the model holds. Shapes (N, m), (N, m, d_c) and (N, m, d_k); designs may also be
            (N, m d), each block row by row, and observations (N,) where a sample is one number.
        chunk_bytes: bytes mapped at a time, as they lie on disk; at least one row is.
        chunks_per_partition: chunks that one task of a cluster summarises.

    Returns:
        Chunks for `accumulate_chunks`, `fit_chunks` or `fisherkit.cluster`.

    Raises:
        ValueError: no files, sizes that are not positive, more than three files, a file that is not `.npy`, is
            truncated, or holds no rows.

    Example:
        >>> import tempfile
        >>> from fisherkit import Layout
        >>> from fisherkit.chunked import fit_chunks
        >>> rng = np.random.default_rng(0)
        >>> design = rng.standard_normal((400, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/x.npy", design @ [1.0, 2.0, 3.0] + 0.01 * rng.standard_normal(400))
        ...     np.save(f"{folder}/design.npy", design)
        ...     files = from_npy({"x": (f"{folder}/x.npy", f"{folder}/design.npy")})
        ...     estimate = fit_chunks(Layout(3, {"x": 0}), files, noise_std={"x": 0.01})
        >>> estimate.theta.round(2), estimate.counts
        (array([1., 2., 3.]), {'x': 400})
    """
    chunk_bytes = as_whole(chunk_bytes, "chunk_bytes", least=1)
    chunks_per_partition = as_whole(chunks_per_partition, "chunks_per_partition", least=1)
    sources = {}
    for name, paths in require_mapping(files, "{modality: path or paths}").items():
        single = isinstance(paths, (str, os.PathLike))
        listed = [paths] if single else as_list(paths, f"files: {name}", "paths")
        if not 1 <= len(listed) <= 3 or listed[0] is None:
            raise ValueError(
                f"{name}: expected (observations, shared designs, private designs), the designs optional; "
                f"got {len(listed)} paths"
            )
        opened = [None if path is None else _NpyFile.of(path, name) for path in listed]
        opened += [None] * (3 - len(opened))
        per_row = sum(file.row_bytes for file in opened if file is not None)
        rows = max(1, chunk_bytes // max(1, per_row))
        sources[name] = NpySource(name, tuple(opened), rows, rows * chunks_per_partition)
    return Chunks(sources)


@dataclass(frozen=True)
class _NpyFile:
    """Where the numbers of a `.npy` file lie."""

    path: str
    dtype: np.dtype
    shape: tuple[int, ...]
    offset: int
    fortran: bool

    @classmethod
    def of(cls, path: Path, name: str) -> "_NpyFile":
        """Read the header; complain about anything that is not a complete array of numbers."""
        path = str(require_file(path, name))
        try:
            mapped = np.lib.format.open_memmap(path, mode="r")
        except (ValueError, EOFError, SyntaxError) as error:
            raise _unreadable(name, path, error) from None
        if mapped.dtype.kind not in "fiub":
            raise TypeError(f"{name}: {path}: expected real numbers, got dtype {mapped.dtype}")
        if mapped.ndim == 0 or mapped.size == 0:
            raise ValueError(
                f"{name}: {path}: expected samples along the first axis, got shape {mapped.shape}"
            )
        order = mapped.flags.f_contiguous and not mapped.flags.c_contiguous
        return cls(path, mapped.dtype, mapped.shape, mapped.offset, order)

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample."""
        return self.dtype.itemsize * math.prod(self.shape[1:])

    def rows(self, start: int, stop: int, name: str) -> NDArray:
        """A mapping of these rows and no more, gone with the last view of them."""
        try:
            if self.fortran:  # columns lie one after the other: their rows are touched here and there
                whole = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, "F")
                return np.asarray(whole[start:stop])
            shape = (stop - start, *self.shape[1:])
            mapped = np.memmap(self.path, self.dtype, "r", self.offset + start * self.row_bytes, shape)
            return np.asarray(mapped)
        except FileNotFoundError:
            require_file(self.path, name)
            raise
        except ValueError as error:
            raise _unreadable(name, self.path, error) from None


@dataclass(frozen=True)
class NpySource:
    """Rows of one modality in up to three `.npy` files.

    Attributes:
        name: modality.
        files: observations, shared and private designs.
        chunk_rows: rows of a shard.
        partition_rows: rows of a partition.
    """

    name: str
    files: tuple[_NpyFile | None, ...]
    chunk_rows: int
    partition_rows: int

    @property
    def shapes(self) -> tuple[Shape | None, ...]:
        """Shapes of the three files."""
        return tuple(None if file is None else file.shape for file in self.files)

    @property
    def labels(self) -> tuple[str, ...]:
        """Paths of the three files."""
        return tuple("" if file is None else file.path for file in self.files)

    @property
    def n_rows(self) -> int:
        """Samples in the file of observations."""
        return self.files[0].shape[0]  # type: ignore[union-attr]

    def __len__(self) -> int:
        return math.ceil(self.n_rows / self.partition_rows)

    def partition(self, index: int) -> Iterator[Shard]:
        """The shards of one partition.

        Args:
            index: 0 to len - 1.

        Yields:
            Shards whose arrays are views of the files.
        """
        end = min((index + 1) * self.partition_rows, self.n_rows)
        for start in range(index * self.partition_rows, end, self.chunk_rows):
            stop = min(start + self.chunk_rows, end)
            blocks = [None if file is None else file.rows(start, stop, self.name) for file in self.files]
            yield Shard(blocks[0], blocks[1], blocks[2], self.labels, start)  # type: ignore[arg-type]


def _unreadable(name: str, path: str, error: Exception) -> ValueError:
    return ValueError(f"{name}: {path}: not a complete .npy file, truncated or corrupt ({error})")
