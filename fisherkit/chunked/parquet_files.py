"""Parquet files as chunks: row groups are decoded a batch at a time."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError, as_instance, as_whole
from fisherkit.chunked.shards import FIELDS, Shape, Shard
from fisherkit.chunked.sources import (
    CHUNKS_PER_PARTITION,
    Chunks,
    require_file,
    require_mapping,
)

__all__ = ["BATCH_BYTES", "ParquetSource", "from_parquet"]

_PAGE_BUFFER = 1 << 16  # bytes of a column read ahead; without it pyarrow reads a row group's whole column
#: Bytes of a batch as float64; decoding one takes about nine times as much.
BATCH_BYTES = 1 << 20

Columns = Mapping[str, str | Sequence[str]]


def from_parquet(
    files: Mapping[str, str | os.PathLike[str]],
    *,
    columns: Mapping[str, Columns] | None = None,
    chunk_bytes: int = BATCH_BYTES,
    chunks_per_partition: int = CHUNKS_PER_PARTITION,
) -> Chunks:
    """Observations, and per-sample designs where there are any, from Parquet files, one row per sample.

    Columns. Each of "observations", "shared" (the design block C) and "private" (the block S) is either

    - one list column of that name (fixed-size, or variable-size with equal lengths), or
    - one number column per entry, named ``observations_0``, ``observations_1``, ... and so on.

    Design blocks are stored row by row: entry ``i * d + j`` is row i (observed coordinate), column j (parameter).
    Designs that are not in the file are the model's repeated ones. Other columns are ignored. Columns of other names
    are listed in `columns`.

    Args:
        files: {modality: file, or folder whose ``*.parquet`` files are read in the order of their names}.
        columns: {modality: {"observations", "shared" or "private": a list column, or the number columns in order}};
            what is left out is looked for under its own name.
        chunk_bytes: size of a batch as float64. Decoding holds several batches and, per column, one page (the
            whole column of a row group if that is smaller): list columns need less memory than many number columns.
        chunks_per_partition: row groups are joined up to about that many chunks in one task of a cluster; a larger
            row group is one task.

    Returns:
        Chunks for `accumulate_chunks`, `fit_chunks` or `fisherkit.cluster`.

    Raises:
        ImportError: pyarrow is not installed.
        UnknownNameError: a column that is not there, or an unknown key in `columns`.
        ValueError: no files or rows, or sizes that are not positive.

    Example:
        >>> import tempfile
        >>> import pyarrow as pa, pyarrow.parquet as pq
        >>> from fisherkit import LinearGaussian, Modality
        >>> from fisherkit.chunked import fit_chunks
        >>> model = LinearGaussian({"text": Modality(np.eye(2))})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = pa.table({"id": [7, 8], "observations_0": [1.0, 3.0], "observations_1": [4.0, 6.0]})
        ...     pq.write_table(table, f"{folder}/text.parquet")
        ...     fit_chunks(model, from_parquet({"text": f"{folder}/text.parquet"})).theta
        array([2., 5.])
    """
    chunk_bytes = as_whole(chunk_bytes, "chunk_bytes", least=1)
    chunks_per_partition = as_whole(chunks_per_partition, "chunks_per_partition", least=1)
    checked = require_mapping(files, "{modality: file or folder}")
    columns = as_instance({} if columns is None else columns, Mapping, "columns")
    for name, chosen in columns.items():
        if name not in checked:
            raise UnknownNameError(name, checked)
        for key in as_instance(chosen, Mapping, f"columns[{name!r}]"):
            if key not in FIELDS:
                raise UnknownNameError(key, FIELDS, f"key in columns[{name!r}]")
    sources = {
        name: ParquetSource.of(path, name, columns.get(name, {}), chunk_bytes, chunks_per_partition)
        for name, path in checked.items()
    }
    return Chunks(sources)


@dataclass(frozen=True)
class ParquetSource:
    """Rows of one modality in one or more Parquet files.

    Attributes:
        name: modality.
        columns: column names of observations, shared and private designs; empty where absent.
        widths: numbers per row of the three.
        groups: per partition, the path, its row groups, and the rows of the file before them.
        n_rows: samples in all files.
        chunk_rows: rows of a batch.
    """

    name: str
    columns: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]
    groups: tuple[tuple[str, tuple[int, ...], int], ...]
    n_rows: int
    chunk_rows: int

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str],
        name: str,
        chosen: Columns,
        chunk_bytes: int,
        chunks_per_partition: int,
    ) -> "ParquetSource":
        """Read schema and sizes.

        Args:
            path: file or folder.
            name: modality.
            chosen: {field: column names} that were given.
            chunk_bytes: size of a batch.
            chunks_per_partition: batches of a partition.

        Returns:
            Source.

        Raises:
            ValueError: an empty folder, or no rows.
        """
        paths = _listed(require_file(path, name), name)
        columns, widths = _resolve(paths[0], name, chosen)
        chunk_rows = max(1, chunk_bytes // (8 * max(1, sum(widths))))
        groups: list[tuple[str, tuple[int, ...], int]] = []
        n_rows = 0
        for file in paths:
            with _open(file, name) as opened:
                _check_columns(opened.schema_arrow, columns, file, name)
                sizes = [opened.metadata.row_group(i).num_rows for i in range(opened.metadata.num_row_groups)]
            groups += _joined(str(file), sizes, chunk_rows * chunks_per_partition)
            n_rows += sum(sizes)
        if not n_rows:
            raise ValueError(f"{name}: {path}: no rows; leave the modality out instead")
        return cls(name, columns, widths, tuple(groups), n_rows, chunk_rows)

    @property
    def shapes(self) -> tuple[Shape | None, ...]:
        """Shapes of the three."""
        return tuple(
            (self.n_rows, width) if names else None
            for names, width in zip(self.columns, self.widths, strict=True)
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """File and columns of the three."""
        return self._labels(self.groups[0][0])

    def _labels(self, path: str) -> tuple[str, ...]:
        shown = (
            f"{names[0]} ... {names[-1]}" if len(names) > 1 else "".join(names) for names in self.columns
        )
        return tuple(f"{path}, {text}" for text in shown)

    def __len__(self) -> int:
        return len(self.groups)

    def partition(self, index: int) -> Iterator[Shard]:
        """The batches of one partition.

        Args:
            index: 0 to len - 1.

        Yields:
            Shards; row numbers are those of the file.
        """
        path, groups, row = self.groups[index]
        wanted = [column for names in self.columns for column in names]
        labels = self._labels(path)
        with _open(require_file(path, self.name), self.name) as file:
            batches = file.iter_batches(self.chunk_rows, list(groups), wanted, use_threads=False)
            while True:
                batch = _next(batches, self.name, path)
                if batch is None:
                    return
                blocks = [
                    _numbers(batch, names, width, f"{self.name}: {label}", row) if names else None
                    for names, width, label in zip(self.columns, self.widths, labels, strict=True)
                ]
                yield Shard(blocks[0], blocks[1], blocks[2], labels, row)  # type: ignore[arg-type]
                row += batch.num_rows


def _pyarrow() -> Any:  # noqa: ANN401
    try:
        for module in ("compute", "parquet"):
            import_module(f"pyarrow.{module}")
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow: install fisherkit[cluster]") from error
    return import_module("pyarrow")


def _open(path: Path, name: str) -> Any:  # noqa: ANN401
    pa = _pyarrow()
    try:
        return pa.parquet.ParquetFile(path, buffer_size=_PAGE_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(name, str(path), error) from None


def _next(batches: Iterator[Any], name: str, path: str) -> Any:  # noqa: ANN401
    try:
        return next(batches, None)
    except (_pyarrow().ArrowException, OSError) as error:  # a page that cannot be decoded
        raise _unreadable(name, path, error) from None


def _unreadable(name: str, path: str, error: Exception) -> ValueError:
    return ValueError(f"{name}: {path}: not a complete Parquet file, truncated or corrupt ({error})")


def _listed(path: Path, name: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    paths = sorted(path.glob("*.parquet"))
    if not paths:
        raise ValueError(f"{name}: folder {str(path)!r} holds no *.parquet file")
    return paths


def _joined(path: str, sizes: Sequence[int], rows: int) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Consecutive row groups together, up to about `rows` rows; a larger one by itself."""
    group: list[int] = []
    start = seen = 0
    for index, size in enumerate(sizes):
        if group and seen + size - start > rows:
            yield path, tuple(group), start
            group, start = [], seen
        if size:
            group.append(index)
        seen += size
    if group:
        yield path, tuple(group), start


def _resolve(path: Path, name: str, chosen: Columns) -> tuple[tuple[tuple[str, ...], ...], tuple[int, ...]]:
    """Columns and widths of observations, shared and private designs."""
    with _open(path, name) as file:
        schema = file.schema_arrow
        columns = []
        for field in FIELDS:
            given = chosen.get(field)
            if given is not None:
                columns.append((given,) if isinstance(given, str) else tuple(given))
            else:
                columns.append(_conventional(schema.names, field))
        if not columns[0]:
            raise UnknownNameError("observations", schema.names, f"column of {path}")
        _check_columns(schema, columns, path, name)
        widths = tuple(_width(file, names) for names in columns)
    return tuple(columns), widths


def _conventional(names: Sequence[str], field: str) -> tuple[str, ...]:
    """The column of that name, or field_0, field_1, ... without a gap."""
    if field in names:
        return (field,)
    count = sum(1 for other in names if other.startswith(f"{field}_") and other[len(field) + 1 :].isdigit())
    return tuple(f"{field}_{i}" for i in range(count))


def _is_list(kind: Any) -> bool:  # noqa: ANN401
    types = _pyarrow().types
    return types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind)


def _check_columns(schema: Any, columns: Sequence[Sequence[str]], path: Path, name: str) -> None:  # noqa: ANN401
    types = _pyarrow().types
    for names in columns:
        for column in names:
            if schema.names.count(column) != 1:
                raise UnknownNameError(column, schema.names, f"column of {path}")
            kind = schema.field(column).type
            if _is_list(kind) and len(names) > 1:
                raise ValueError(
                    f"{name}: {path}: column {column!r} is a list column and must stand alone, but "
                    f"{len(names)} columns were given"
                )
            entry = kind.value_type if _is_list(kind) else kind
            if not (types.is_floating(entry) or types.is_integer(entry) or types.is_boolean(entry)):
                raise TypeError(f"{name}: {path}: column {column!r}: expected real numbers, got type {kind}")


def _width(file: Any, names: Sequence[str]) -> int:  # noqa: ANN401
    """Numbers per row; variable-size lists are measured in the first row."""
    if not names:
        return 0
    kind = file.schema_arrow.field(names[0]).type
    if not _is_list(kind):
        return len(names)
    if _pyarrow().types.is_fixed_size_list(kind):
        return kind.list_size
    first = next(file.iter_batches(1, columns=list(names), use_threads=False), None)
    return 0 if first is None else len(first.column(0)[0].as_py() or ())


def _numbers(batch: Any, names: Sequence[str], width: int, label: str, first_row: int) -> NDArray:  # noqa: ANN401
    """(rows, width) numbers of some columns of a batch."""
    pc = _pyarrow().compute
    out = None
    for index, column in enumerate(names):
        values = batch.column(column)
        _refuse_nulls(values, label, first_row)
        if _is_list(values.type):
            lengths = pc.list_value_length(values).to_numpy(zero_copy_only=False)
            if (lengths != width).any():
                row = int((lengths != width).argmax())
                raise ValueError(
                    f"{label}: a list of {lengths[row]} numbers in row {first_row + row} (counted from 0), but "
                    f"{width} elsewhere"
                )
            flat = values.flatten()
            _refuse_nulls(flat, label, first_row, width)
            return flat.to_numpy(zero_copy_only=False).reshape(-1, width)
        numbers = values.to_numpy(zero_copy_only=False)
        if out is None:
            out = np.empty((len(numbers), width))
        out[:, index] = numbers
    return out if out is not None else np.empty((batch.num_rows, 0))


def _refuse_nulls(values: Any, label: str, first_row: int, width: int = 1) -> None:  # noqa: ANN401
    if values.null_count:
        missing = values.is_null().to_numpy(zero_copy_only=False)
        row = first_row + int(missing.argmax()) // max(1, width)
        raise ValueError(
            f"{label}: missing value (null) in row {row} (counted from 0), {values.null_count} in this batch; "
            "remove or impute these entries"
        )
