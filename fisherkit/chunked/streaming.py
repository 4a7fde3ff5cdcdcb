"""Statistics and fits of chunked data on one machine: one chunk in memory at a time."""

from collections.abc import Iterable, Iterator, Mapping

from numpy.typing import ArrayLike

from fisherkit.accumulation import accumulate
from fisherkit.chunked.merging import MergeTree, merge_all
from fisherkit.chunked.shards import Declaration, Noise, as_shard, statistics_of
from fisherkit.chunked.sources import Chunks, Source
from fisherkit.estimation import Estimate, fit
from fisherkit.layout import Layout
from fisherkit.model import LinearGaussian
from fisherkit.samples import Samples
from fisherkit.statistics import ModalityStatistics, Statistics

__all__ = ["accumulate_chunks", "fit_chunks", "summarise_chunk", "summarise_partition"]

Chunk = Samples | Mapping[str, ArrayLike | tuple]


def accumulate_chunks(
    model: LinearGaussian | Layout,
    chunks: Chunks | Iterable[Chunk],
    *,
    noise_std: Mapping[str, float] | None = None,
    method: str = "auto",
) -> Statistics:
    """Sufficient statistics of data that arrive in pieces, in the memory of one piece plus O(d^2).

    Each chunk is checked, summarised by `fisherkit.accumulate` and dropped. What one modality's chunks give is merged
    pairwise in a tree whose shape depends on their number only; what another modality brings does not change it.

    Args:
        model: the world. A modality whose designs come with the chunks is declared with one of its blocks, as
            ``Modality(design[:1], noise_cov=...)``: a chunk that forgets its designs is refused then. Or a
            `Layout`, where every design comes with the chunks.
        chunks: `from_npy(...)`, `from_parquet(...)`, or any iterable of Samples of models with this layout or of
            {modality: observations or (observations, shared designs, private designs)}, see `Shard`. Designs are
            per sample; None where the model's repeated block applies.
        noise_std: {modality: std} for a layout, 1 where left out; other noise is declared in a model.
        method: "auto", "gram" or "qr" as in `fisherkit.accumulate`, decided chunk by chunk. A chunk with fewer rows
            than parameters always takes the slower "qr".

    Returns:
        Statistics, equal to those of all samples at once up to rounding.

    Raises:
        UnknownNameError: a modality that the model does not have.
        TypeError: a chunk that is neither Samples nor a mapping.
        ValueError: no chunks, shapes that do not fit, a NaN or infinity (with chunk or file, and row), a truncated
            file, or Samples of another model.

    Example:
        >>> import numpy as np
        >>> from fisherkit import LinearGaussian, Modality, fit
        >>> model = LinearGaussian({"x": Modality(np.eye(2)), "y": Modality([[1.0, 1.0]])})
        >>> def chunks():  # e.g. from a queue
        ...     yield {"x": [[1.0, 2.0], [3.0, 2.0]]}
        ...     yield {"x": [[2.0, 2.0]], "y": [[4.0]]}
        >>> fit(accumulate_chunks(model, chunks())).theta
        array([2., 2.])
    """
    declaration = Declaration.of(model, noise_std)
    trees: dict[str, MergeTree] = {}
    noise: dict[str, Noise] = {}
    if isinstance(chunks, Chunks):
        chunks.check(declaration)
        for name, source in chunks.sources.items():
            trees[name], noise[name] = MergeTree(), declaration.noise(name)
            for index in range(len(source)):
                trees[name].push(summarise_partition(declaration, name, source, index, method))
    else:
        for number, chunk in enumerate(_pieces(chunks)):
            for name, own, part in summarise_chunk(declaration, chunk, method, f"chunk {number}"):
                if noise.setdefault(name, own) != own:
                    raise ValueError(
                        f"{name}: chunk {number} declares other noise ({own}) than earlier ones ({noise[name]}); "
                        "statistics are in units of the noise, so declare the same for all"
                    )
                trees.setdefault(name, MergeTree()).push(part)
    if not trees:
        raise ValueError("no chunks: the iterable is empty (a generator can be read only once)")
    return statistics_of(declaration.layout, {name: tree.total() for name, tree in trees.items()}, noise)


def fit_chunks(
    model: LinearGaussian | Layout,
    chunks: Chunks | Iterable[Chunk],
    *,
    noise_std: Mapping[str, float] | None = None,
    method: str = "auto",
    modalities: Iterable[str] | None = None,
    noise: str = "known",
    weighting: str = "gls",
) -> Estimate:
    """Joint maximum likelihood from data that arrive in pieces: `accumulate_chunks`, then `fisherkit.fit`.

    Args:
        model: model or layout, see `accumulate_chunks`.
        chunks: see `accumulate_chunks`.
        noise_std: {modality: std} for a layout.
        method: how chunks are summarised.
        modalities: which to use, default all that are there; all chunks are read in any case.
        noise: "known", "ml" or "dof", see `fisherkit.fit`.
        weighting: "gls" or "unweighted", see `fisherkit.fit`.

    Returns:
        Estimate.

    Example:
        >>> import fisherkit as fk
        >>> model = fk.random_model(2, {"x": 1}, seed=0)
        >>> pieces = [fk.simulate(model, 50, seed=seed, theta=[1.0, 2.0, 3.0]) for seed in range(4)]
        >>> fit_chunks(model, pieces).counts
        {'x': 200}
    """
    statistics = accumulate_chunks(model, chunks, noise_std=noise_std, method=method)
    return fit(statistics, modalities=modalities, noise=noise, weighting=weighting)


def _pieces(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    try:
        if not isinstance(chunks, (str, bytes, Mapping)):
            return iter(chunks)
    except TypeError:  # also what claims to be iterable and is not, such as an array without dimensions
        pass
    raise TypeError(f"chunks: expected files or an iterable of chunks, got {type(chunks).__name__}")


def summarise_partition(
    declaration: Declaration, name: str, source: Source, index: int, method: str
) -> ModalityStatistics:
    """Statistics of one partition of a source, shard by shard.

    Args:
        declaration: of the model.
        name: modality.
        source: where its rows are.
        index: which partition.
        method: see `accumulate_chunks`.

    Returns:
        Merged statistics.
    """
    return merge_all(declaration.summarise(name, shard, method=method) for shard in source.partition(index))


def summarise_chunk(
    declaration: Declaration, chunk: Chunk, method: str, place: str
) -> Iterator[tuple[str, Noise, ModalityStatistics]]:
    """What one chunk tells.

    Args:
        declaration: of the model.
        chunk: Samples or {modality: arrays}.
        method: see `accumulate_chunks`.
        place: how messages call the chunk.

    Yields:
        Modality, its noise and its statistics.

    Raises:
        TypeError: neither Samples nor a mapping.
        ValueError: Samples of another model or noise.
    """
    if isinstance(chunk, Samples):
        model = chunk.model
        if model.layout != declaration.layout:
            raise ValueError(
                f"{place}: samples of a model with parameters {model.layout.describe()}, expected "
                f"{declaration.layout.describe()}"
            )
        for name, part in accumulate(chunk, method=method).modalities.items():
            noise = Noise.of(model[name])
            if declaration.modalities and noise != declaration.noise(name):
                raise ValueError(
                    f"{name}: {place} declares other noise ({noise}) than the model ({declaration.noise(name)}); "
                    "statistics are in units of the noise, so declare the same for all"
                )
            yield name, noise, part
        return
    if not isinstance(chunk, Mapping):
        raise TypeError(
            f"{place}: expected Samples or a mapping {{modality: observations or (observations, shared designs, "
            f"private designs)}}, got {type(chunk).__name__}"
        )
    for name, value in chunk.items():
        declaration.check_name(name)
        shard = as_shard(value, name, place)
        yield name, declaration.noise(name), declaration.summarise(name, shard, method=method)
