"""Data beyond one machine: each partition is summarised where it lies, and O(d^2) numbers travel and are merged.

Dask runs the tasks: on a cluster given by its address or client, on worker processes started for the call, or on
threads of this process. Statistics are merged in a tree whose shape is fixed by the number of partitions
(`fisherkit.chunked.merging`), so the result does not depend on which task ends first, nor on how often one had to be
repeated because its worker was lost. Needs ``fisherkit[cluster]``, on the workers too.
"""

import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from fisherkit.accumulation import METHODS, single_threaded
from fisherkit.checks import as_choice
from fisherkit.chunked.merging import merge_all
from fisherkit.chunked.shards import LABELS, Declaration, as_shard, statistics_of
from fisherkit.chunked.sources import Chunks, Source
from fisherkit.chunked.streaming import summarise_chunk, summarise_partition
from fisherkit.estimation import Estimate, fit
from fisherkit.layout import Layout
from fisherkit.model import LinearGaussian
from fisherkit.samples import Samples
from fisherkit.statistics import ModalityStatistics, Statistics

__all__ = ["accumulate_dask", "fit_dask"]

_FAN_IN = 8  # a power of two, so that merging in groups is merging in the pairwise tree
_LOCAL = ("threads", "synchronous")


def accumulate_dask(
    model: LinearGaussian | Layout,
    data: Chunks | Mapping[str, Any],
    client: Any = None,  # noqa: ANN401
    *,
    noise_std: Mapping[str, float] | None = None,
    method: str = "auto",
) -> Statistics:
    """Sufficient statistics of partitioned data, computed where the partitions are.

    Every task holds one partition (of files: one chunk of it) plus O(d^2), with one BLAS thread. A worker that is lost
    is the scheduler's affair: it runs the tasks again elsewhere. The statistics of the same partitions, in whatever
    order and however often they are computed, are the same bits on machines of one kind, and the same up to rounding on
    any; those of `from_npy` or `from_parquet` files equal what `accumulate_chunks` returns, bit for bit.

    Args:
        model: model or layout, as in `fisherkit.chunked.accumulate_chunks`.
        data: files (`from_npy`, `from_parquet`) that all workers can see under the same path, or {modality: value}
            with value one of

            - a Dask array of observations, (N, m), chunked along samples;
            - a tuple (observations, shared designs, private designs) of Dask arrays, the designs per sample as in
              `fisherkit.chunked.Shard`, None where the model's repeated block applies;
            - a list with one entry per partition: Delayed objects, Futures, tuples of them, or functions without
              arguments, that give an array, such a tuple of arrays, or Samples.
        client: a ``distributed.Client`` or cluster object; the address of a scheduler, such as "tcp://10.0.0.5:8786";
            a number of worker processes to start on this machine for this call (in a script, below
            ``if __name__ == "__main__":``); "threads" or "synchronous" for this process; None for Dask's own choice:
            the current client, else its configuration, else threads.
        noise_std: {modality: std} for a layout.
        method: "auto", "gram" or "qr" as in `fisherkit.accumulate`, decided partition by partition.

    Returns:
        Statistics, equal to those of all samples at once up to rounding.

    Raises:
        ImportError: Dask is not installed.
        UnknownNameError: a modality that the model does not have.
        TypeError: data or a client of another type.
        ValueError: no data, shapes that do not fit, a NaN or infinity (with its partition or file, and row).
        ConnectionError: no scheduler answers, or it went away.
        RuntimeError: a partition whose workers died again and again.

    Example:
        >>> import dask.array as da
        >>> from fisherkit import Layout, fit
        >>> rng = np.random.default_rng(0)
        >>> design = rng.standard_normal((60, 2))
        >>> x, c = (da.from_array(a, chunks=20) for a in (design @ [1.0, -1.0], design))
        >>> statistics = accumulate_dask(Layout(2, {"x": 0}), {"x": (x, c.rechunk({1: -1}))}, "synchronous")
        >>> fit(statistics).theta.round(6), statistics.counts
        (array([ 1., -1.]), {'x': 60})
    """
    _dask("dask.array")
    declaration = Declaration.of(model, noise_std)
    as_choice(method, METHODS, "method")
    plan = _Plan(declaration, method, uuid.uuid4().hex)
    if isinstance(data, Chunks):
        data.check(declaration)
        roots = {name: plan.files(name, source) for name, source in data.sources.items()}
    else:
        if not isinstance(data, Mapping) or not data:
            raise TypeError(
                "data: expected chunks of files or a non-empty mapping {modality: Dask arrays or list of partitions}, "
                f"got {type(data).__name__}"
            )
        roots = {name: plan.partitions(name, value) for name, value in data.items()}
        client = _client_of_futures(data, client)
    with _scheduler(client) as compute:
        parts = dict(zip(roots, _run(compute, list(roots.values())), strict=True))
    for name, part in parts.items():
        if part is None:
            raise ValueError(f"{name}: zero samples in all partitions; leave the modality out instead")
    return statistics_of(declaration.layout, parts, {name: declaration.noise(name) for name in parts})


def fit_dask(
    model: LinearGaussian | Layout,
    data: Chunks | Mapping[str, Any],
    client: Any = None,  # noqa: ANN401
    *,
    noise_std: Mapping[str, float] | None = None,
    method: str = "auto",
    modalities: Iterable[str] | None = None,
    noise: str = "known",
    weighting: str = "gls",
) -> Estimate:
    """Joint maximum likelihood from partitioned data: `accumulate_dask`, then `fisherkit.fit` in this process.

    Args:
        model: model or layout.
        data: see `accumulate_dask`.
        client: see `accumulate_dask`.
        noise_std: {modality: std} for a layout.
        method: how partitions are summarised.
        modalities: which to use, default all that are there.
        noise: "known", "ml" or "dof", see `fisherkit.fit`.
        weighting: "gls" or "unweighted", see `fisherkit.fit`.

    Returns:
        Estimate.

    Example:
        >>> from fisherkit import Modality
        >>> model = LinearGaussian({"x": Modality(np.eye(2))})
        >>> partitions = [lambda: np.array([[1.0, 2.0]]), lambda: np.array([[3.0, 4.0], [5.0, 6.0]])]
        >>> fit_dask(model, {"x": partitions}, "synchronous").theta
        array([3., 4.])
    """
    statistics = accumulate_dask(model, data, client, noise_std=noise_std, method=method)
    return fit(statistics, modalities=modalities, noise=noise, weighting=weighting)


@dataclass(frozen=True)
class _Job:
    """What the tasks of one modality have in common; sent to each worker once."""

    declaration: Declaration
    name: str
    method: str
    source: Source | None = None

    def summarise_files(self, index: int) -> ModalityStatistics:
        with single_threaded():
            return summarise_partition(self.declaration, self.name, self.source, index, self.method)  # type: ignore[arg-type]

    def summarise(self, value: Any, index: int, first_row: int | None) -> ModalityStatistics | None:  # noqa: ANN401
        """Statistics of a partition, or of what a function gives; None if it is empty."""
        place = f"partition {index}"
        with single_threaded():
            if callable(value):
                value = value()
            if isinstance(value, Samples):
                value = value.subset([self.name])
            else:
                shard = as_shard(value, self.name, place)
                if len(np.shape(shard.observations)) and not len(shard.observations):  # type: ignore[arg-type]
                    return None
                if first_row is not None:
                    shard = shard._replace(sources=LABELS, first_row=first_row)
                value = {self.name: shard}
            ((_, noise, part),) = summarise_chunk(self.declaration, value, self.method, place)
        expected = self.declaration.noise(self.name)
        if noise != expected:
            raise ValueError(
                f"{self.name}: {place} declares other noise ({noise}) than was declared for all ({expected}); pass it "
                "as noise_std, or a model"
            )
        return part


def _merge(parts: Sequence[ModalityStatistics | None]) -> ModalityStatistics | None:
    kept = [part for part in parts if part is not None]
    with single_threaded():
        return merge_all(kept) if kept else None


@dataclass(frozen=True)
class _Plan:
    """Builds the graph: one task per partition, then the tree of merges."""

    declaration: Declaration
    method: str
    token: str

    def files(self, name: str, source: Source) -> Any:  # noqa: ANN401
        job = self._job(name, source)
        return self._tree(
            name, [self._task(_Job.summarise_files, name, i, job, i) for i in range(len(source))]
        )

    def partitions(self, name: str, value: Any) -> Any:  # noqa: ANN401
        self.declaration.check_name(name)
        array = _dask("dask.array").Array
        if isinstance(value, array) or (
            isinstance(value, tuple) and value and all(v is None or isinstance(v, array) for v in value)
        ):
            parts, rows = self._blocks(name, as_shard(value, name, "arrays"))
        elif isinstance(value, list) and value:
            parts, rows = value, [None] * len(value)
            for index, part in enumerate(parts):
                _check_entry(name, index, part)
        else:
            raise TypeError(
                f"{name}: expected a Dask array, a tuple of Dask arrays (observations, shared designs, private "
                "designs), or a non-empty list with one Delayed, Future or function per partition, got "
                f"{type(value).__name__}; dask.array.from_array makes a Dask array of an array in memory"
            )
        job = self._job(name)
        leaves = [
            self._task(_Job.summarise, name, i, job, part, i, row)
            for i, (part, row) in enumerate(zip(parts, rows, strict=True))
        ]
        return self._tree(name, leaves)

    def _blocks(self, name: str, arrays: Any) -> tuple[list[tuple], list[int | None]]:  # noqa: ANN401
        """Blocks of the three arrays side by side, and the row at which each starts (None if unknown)."""
        given = arrays[:3]
        for array, label in zip(given, LABELS, strict=True):
            if array is not None and array.dtype.kind not in "fiub":
                raise TypeError(f"{name}: {label}: expected real numbers, got dtype {array.dtype}")
        self.declaration.check(name, [None if a is None else a.shape for a in given], LABELS)
        rows = given[0].chunks[0]
        known = not np.isnan(rows).any()
        columns = []
        for array, label in zip(given, LABELS, strict=True):
            if array is None:
                columns.append([None] * len(rows))
                continue
            whole = dict.fromkeys(range(1, array.ndim), -1)
            array = array.rechunk({0: rows, **whole} if known else whole)
            if array.numblocks[0] != len(rows):
                raise ValueError(
                    f"{name}: {label} has {array.numblocks[0]} partitions, but observations have {len(rows)}, and "
                    "unknown sizes cannot be rechunked; call compute_chunk_sizes() on both"
                )
            columns.append(list(array.to_delayed().reshape(-1)))
        starts = np.concatenate([[0], np.cumsum(rows)[:-1]]) if known else [None] * len(rows)
        return list(zip(*columns, strict=True)), [None if s is None else int(s) for s in starts]

    def _job(self, name: str, source: Source | None = None) -> Any:  # noqa: ANN401
        job = _Job(self.declaration.only(name), name, self.method, source)
        return _dask("dask").delayed(job, traverse=False, name=f"declare-{name}-{self.token}")

    def _task(self, function: Callable, name: str, index: int, *args: Any) -> Any:  # noqa: ANN401
        key = f"summarise-{name}-{index}-{self.token}"  # one group of tasks to the scheduler: it spreads them evenly
        return _dask("dask").delayed(function, pure=False)(*args, dask_key_name=key)

    def _tree(self, name: str, nodes: list) -> Any:  # noqa: ANN401
        level = 0
        merge = _dask("dask").delayed(_merge, pure=False)
        while len(nodes) > 1 or not level:
            groups = [nodes[i : i + _FAN_IN] for i in range(0, len(nodes), _FAN_IN)]
            key = f"merge-{name}-{level}"
            nodes = [merge(g, dask_key_name=f"{key}-{i}-{self.token}") for i, g in enumerate(groups)]
            level += 1
        return nodes[0]


def _check_entry(name: str, index: int, part: Any) -> None:  # noqa: ANN401
    is_collection = _dask("dask").is_dask_collection
    for entry in part if isinstance(part, tuple) else (part,):
        if entry is None or callable(entry) or is_collection(entry) or _is_future(entry):
            continue
        raise TypeError(
            f"{name}: partition {index}: expected a Delayed, a Future, a tuple of them, or a function without "
            f"arguments, got {type(entry).__name__}"
        )


def _client_of_futures(data: Mapping[str, Any], client: Any) -> Any:  # noqa: ANN401
    """The client that holds the Futures among the data, where none was given."""
    for name, value in data.items():
        for part in value if isinstance(value, list) else ():
            future = next((e for e in (part if isinstance(part, tuple) else (part,)) if _is_future(e)), None)
            if future is not None and client is None:
                return future.client
            if future is not None and isinstance(client, str) and client in _LOCAL:
                raise TypeError(
                    f"{name}: Futures live on a cluster and cannot be computed by {client!r}; pass their client, or None"
                )
    return client


def _is_future(value: Any) -> bool:  # noqa: ANN401
    return type(value).__module__.startswith("distributed.") and type(value).__name__ == "Future"


def _run(compute: Callable[[list], Sequence], roots: list) -> Sequence:
    """Compute, and say in the project's words what the scheduler can no longer mend."""
    try:
        return compute(roots)
    except Exception as error:
        kind = type(error).__name__
        if kind == "KilledWorker":
            what = str(error.args[0]).rsplit("-", 1)[0]
            raise RuntimeError(
                f"{error.args[2] + 1} workers died with the task {what!r} in their hands, and it was given up; a "
                "partition, of this task or of one beside it, may be too large for the memory of a worker: use smaller "
                "partitions or larger workers, and see the workers' logs"
            ) from error
        if kind in ("FutureCancelledError", "CancelledError", "CommClosedError"):
            raise ConnectionError(
                f"the Dask scheduler went away before the result was there: {error}"
            ) from error
        raise


@contextmanager
def _scheduler(client: Any) -> Iterator[Callable[[list], Sequence]]:  # noqa: ANN401
    """How to compute a list of Delayed objects; what was started for it is closed at the end."""
    dask = _dask("dask")
    if client is None:
        client = _current_client()
    if client is None or (isinstance(client, str) and client in _LOCAL):
        with single_threaded():
            yield lambda roots: dask.compute(*roots, scheduler=client)
        return
    distributed = _dask("distributed")
    with ExitStack() as stack:
        if isinstance(client, int) and not isinstance(client, bool) and client > 0:
            client = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=client, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
                )
            )
        if isinstance(client, (str, distributed.deploy.Cluster)):
            client = stack.enter_context(_connect(distributed, client))
        if not isinstance(client, distributed.Client):
            raise TypeError(
                "client: expected a distributed.Client or cluster, the address of a scheduler, a number of worker "
                f"processes >= 1, 'threads', 'synchronous' or None, got {client!r}"
            )
        if client.asynchronous:
            raise TypeError("client: an asynchronous client cannot wait for a result; pass a synchronous one")

        def compute(roots: list) -> Sequence:
            futures = client.compute(roots)
            try:
                return client.gather(futures)
            except BaseException:
                client.cancel(futures)  # leave nothing behind on a cluster that others use
                raise

        yield compute


def _connect(distributed: Any, where: Any) -> AbstractContextManager:  # noqa: ANN401
    try:
        return distributed.Client(where, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(f"no Dask scheduler answers at {where!r}: {error}") from error


def _current_client() -> Any:  # noqa: ANN401
    distributed = sys.modules.get("distributed")
    try:
        return distributed.Client.current() if distributed else None
    except ValueError:  # none is open
        return None


def _dask(module: str) -> Any:  # noqa: ANN401
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not there: install fisherkit[cluster]") from error
