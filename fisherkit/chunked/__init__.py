"""Data beyond memory, on one machine: chunks in, from an iterable or from files, sufficient statistics out.

`accumulate_chunks` and `fit_chunks` take any iterable of chunks; `from_npy` and `from_parquet` make one from files
that are read a few megabytes at a time. Memory stays at one chunk plus O(d^2), whatever the number of samples. For
several processes or machines see `fisherkit.cluster`, which gives the same numbers from the same files.

    reading -> Shard (a few rows of one modality) -> statistics of the shard -> MergeTree -> Statistics -> Estimate
"""

from fisherkit.chunked.npy_files import from_npy as from_npy
from fisherkit.chunked.parquet_files import from_parquet as from_parquet
from fisherkit.chunked.shards import Shard as Shard
from fisherkit.chunked.sources import Chunks as Chunks
from fisherkit.chunked.streaming import accumulate_chunks as accumulate_chunks
from fisherkit.chunked.streaming import fit_chunks as fit_chunks
