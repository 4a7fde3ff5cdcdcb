"""Samples in by the chunk, sufficient statistics out: one pass at memory speed, a stable one where digits need it."""

import functools
import operator
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from fisherkit.checks import as_choice, as_instance, require_finite
from fisherkit.model import LinearGaussian, Modality
from fisherkit.samples import Samples
from fisherkit.statistics import GramStatistics, ModalityStatistics, RootStatistics, Statistics
from fisherkit.tolerances import tolerance

__all__ = ["accumulate", "declared", "design_root", "summarise"]

Array = NDArray[np.float64]
Form = TypeVar("Form", bound=ModalityStatistics)

METHODS = ("auto", "gram", "qr")
#: Rows of the stacked design handled at a time: a block of 20 columns stays inside a core's cache.
CHUNK_ROWS = 16384
#: Sizes of design columns, in units of the noise, whose squares and reciprocal squares leave room for conditioning.
_SMALLEST, _LARGEST = 1e-140, 1e140
_FOLD = 16
_BLAS = ThreadpoolController()


def single_threaded() -> AbstractContextManager:
    """Context manager: one BLAS thread inside chunk loops, where more only wait for each other.

    Returns:
        A context manager that restores the previous setting.
    """
    return _BLAS.limit(limits=1, user_api="blas")


def accumulate(samples: Samples, *, method: str = "auto") -> Statistics:
    """Sufficient statistics of samples with O(d^2) extra memory, whatever their number.

    Data larger than memory: accumulate chunk by chunk and add the results, or pass ``numpy.memmap`` arrays.

    Args:
        samples: observations, possibly of some modalities only.
        method: "gram" (one pass at memory speed; squares the condition number), "qr" (TSQR, several times slower,
            does not), or "auto": the first, and the second too for modalities where a condition above
            `statistics.GRAM_CONDITION` would be squared, the rank is in doubt, or the residual sum of squares cancelled.

    Returns:
        Statistics that add to those of other samples of the same model.

    Raises:
        TypeError: not Samples.
        ValueError: unknown method, a NaN or infinity in the data, or numbers whose squares leave float64.

    Example:
        >>> from fisherkit import LinearGaussian, Modality, fit
        >>> def chunks():  # e.g. read from disk; here each chunk has 50 sample designs of its own
        ...     for seed in range(20):
        ...         rng = np.random.default_rng(seed)
        ...         modality = Modality(rng.standard_normal((50, 4, 2)), noise_std=0.1)
        ...         x = modality.shared @ [1.0, -1.0] + 0.1 * rng.standard_normal((50, 4))
        ...         yield Samples(LinearGaussian({"x": modality}), {"x": x})
        >>> estimate = fit(sum(accumulate(chunk) for chunk in chunks()))
        >>> estimate.theta.round(2), estimate.counts
        (array([ 1., -1.]), {'x': 1000})
    """
    as_instance(samples, Samples, "samples")
    parts = {
        name: summarise(samples.model[name], x, method=method, name=name) for name, x in samples.data.items()
    }
    return declared(samples.model, parts)


def declared(model: LinearGaussian, parts: Mapping[str, ModalityStatistics]) -> Statistics:
    """Statistics by modality, together with the noise of the model that they are in units of.

    Args:
        model: the world.
        parts: {modality: statistics}.

    Returns:
        The statistics of all.
    """
    noise = {name: model[name].noise_std for name in parts}
    return Statistics(model.layout, parts, noise, {name: model[name].noise_key for name in parts})


def summarise(
    modality: Modality, x: NDArray, *, method: str = "auto", name: str = "modality"
) -> ModalityStatistics:
    """Sufficient statistics of one modality's samples.

    Args:
        modality: designs and noise; with per-sample designs the first n belong to the n samples.
        x: (..., n, m) observations; leading axes are replicates under the same designs.
        method: "auto", "gram" or "qr", see `accumulate`.
        name: how error messages call the modality.

    Returns:
        Gram form for per-sample designs whose Gram matrix is well conditioned, else root form.

    Raises:
        ValueError: unknown method, a NaN or infinity in the data, or numbers whose squares leave float64.
    """
    as_choice(method, METHODS, "method")
    modality.check_count(x.shape[-2], name)
    one_pass = _repeated if modality.repeated else _per_sample_gram
    stable = _repeated_centred if modality.repeated else _per_sample_qr
    with single_threaded(), np.errstate(over="ignore", invalid="ignore"):  # reported below, with a place
        if method == "qr":
            return _in_range(stable(modality, x), x, name)
        statistics = _in_range(one_pass(modality, x, name), x, name)
        if method == "auto" and not statistics.root().certified:
            return _in_range(stable(modality, x), x, name)
        return statistics


def design_root(modality: Modality, n: int, *, name: str = "modality") -> RootStatistics:
    """Square root of the information that n samples of a modality carry, before any data are seen.

    Args:
        modality: designs and noise.
        n: number of samples; with per-sample designs, the first n.
        name: how error messages call the modality.

    Returns:
        Root statistics of observations that are all zero: only `matrix` and `rounding` mean something.
    """
    nothing = np.broadcast_to(0.0, (1 if modality.repeated else n, modality.obs_dim))
    if not modality.repeated:
        return summarise(modality, nothing, name=name).root()
    with np.errstate(over="ignore", invalid="ignore"):
        r = np.sqrt(float(n)) * np.linalg.qr(modality.whiten(modality.design()), mode="r")
    zero = np.zeros(())
    root = RootStatistics(n, n * modality.obs_dim, r, np.zeros(len(r)), zero, zero, tolerance(r.shape[1]))
    return _in_range(root, nothing, name)


def _in_range(statistics: Form, x: NDArray, name: str) -> Form:
    """The statistics themselves, if squares of the design neither overflow nor underflow."""
    if isinstance(statistics, GramStatistics):
        size = np.sqrt(statistics.gram.diagonal())
    else:
        size = np.abs(statistics.matrix).max(axis=0, initial=0.0)
    if not np.isfinite(size).all():
        _raise_overflow(x, name)
    wrong = ((size > 0) & (size < _SMALLEST)) | (size > _LARGEST)
    if wrong.any():
        _raise_out_of_range(int(wrong.argmax()), f"{size[wrong][0]:.2g}", name)
    return statistics


def _raise_out_of_range(column: int, size: str, name: str) -> None:
    raise ValueError(
        f"{name}: design column {column} (shared columns first) is of size {size} in units of the noise, and squares or "
        "variances of such numbers leave float64; measure parameters or observations in other units"
    )


def _repeated_blocks(modality: Modality, x: NDArray) -> Iterator[Array]:
    """Observations by the chunk, (..., rows, m) float64, whitened unless the noise is one std."""
    step = _FOLD * max(1, CHUNK_ROWS // modality.obs_dim)
    for start in range(0, x.shape[-2], step):
        yield _white_observations(modality, x[..., start : start + step, :])


def _column_sums(chunk: Array) -> Array:
    """Sum over rows, (..., rows, m) -> (..., m); rows are laid side by side since BLAS likes long ones."""
    rows, m = chunk.shape[-2:]
    even = rows - rows % _FOLD
    wide = chunk[..., :even, :].reshape(*chunk.shape[:-2], even // _FOLD, _FOLD * m)
    folded = (np.ones(even // _FOLD) @ wide).reshape(*chunk.shape[:-2], _FOLD, m)
    return folded.sum(axis=-2) + chunk[..., even:, :].sum(axis=-2)


def _repeated(modality: Modality, x: NDArray, name: str) -> RootStatistics:
    """All samples share A: only their number, sum and squared length matter."""
    q, r = np.linalg.qr(modality.whiten(modality.design()))  # (m, k), (k, p)
    n, m = x.shape[-2:]
    total, sumsq = np.zeros((*x.shape[:-2], m)), np.zeros(x.shape[:-2])
    for chunk in _repeated_blocks(modality, x):
        flat = chunk.reshape(*chunk.shape[:-2], -1)  # squared length first: it streams from memory fastest
        sumsq += flat @ flat if flat.ndim == 1 else np.einsum("...i,...i->...", flat, flat)
        total += _column_sums(chunk)
    if not np.isfinite(sumsq).all():
        _raise_overflow(x, name)
    scale = modality.noise_std or 1.0
    target = total @ q / (np.sqrt(n) * scale)
    sumsq = sumsq / scale**2
    rss = np.maximum(sumsq - np.square(target).sum(axis=-1), 0.0)
    return RootStatistics(
        n, n * m, np.sqrt(n) * r, target, rss, tolerance(m) * sumsq, rounding=tolerance(r.shape[1])
    )


def _repeated_centred(modality: Modality, x: NDArray) -> RootStatistics:
    """The same with every chunk centred at its mean: no cancellation in the residual sum of squares."""
    q, r = np.linalg.qr(modality.whiten(modality.design()))
    m = modality.obs_dim
    pieces = []
    for chunk in _repeated_blocks(modality, x):
        n = chunk.shape[-2]
        white = chunk / (modality.noise_std or 1.0)
        mean = white.mean(axis=-2)
        coordinates = mean @ q
        scatter = np.square(white - mean[..., None, :]).sum(axis=(-1, -2))
        rss = scatter + n * np.square(mean - coordinates @ q.T).sum(axis=-1)
        pieces.append(
            RootStatistics(
                n,
                n * m,
                np.sqrt(n) * r,
                np.sqrt(n) * coordinates,
                rss,
                tolerance(m) * rss,
                tolerance(r.shape[1]),
            )
        )
    return functools.reduce(operator.add, pieces)


def _parts(n: int, m: int) -> Iterator[slice]:
    """Consecutive parts of n samples with about `CHUNK_ROWS` observed coordinates each."""
    step = max(1, CHUNK_ROWS // m)
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def _design_rows(modality: Modality, block: NDArray, part: slice) -> Array:
    """Rows of a design block for these samples, (rows, columns), whitened unless the noise is one std."""
    chunk = block[part] if block.ndim == 3 else np.broadcast_to(block, (part.stop - part.start, *block.shape))
    return _white(modality, chunk).reshape(chunk.shape[0] * chunk.shape[1], block.shape[-1])


def _observed(modality: Modality, x: NDArray, part: slice) -> Array:
    """Observations of these samples as (..., rows), whitened unless the noise is one std."""
    return _white_observations(modality, x[..., part, :]).reshape(*x.shape[:-2], -1)


def _white_observations(modality: Modality, chunk: NDArray) -> Array:
    """(..., rows, m) observations, contiguous."""
    return np.ascontiguousarray(_white(modality, chunk[..., None])[..., 0])


def _white(modality: Modality, chunk: NDArray) -> Array:
    """(..., m, p) in float64, whitened unless the noise is one std, which is divided out of the sums instead."""
    # The one place where stored float32 meets arithmetic: the chunk is cast before anything is done to it.
    chunk = np.asarray(chunk, dtype=np.float64)
    return chunk if modality.noise_std is not None else modality.whiten(chunk)


def _per_sample_gram(modality: Modality, x: NDArray, name: str) -> GramStatistics:
    split, p = modality.shared_dim, modality.shared_dim + modality.private_dim
    n, m = x.shape[-2:]
    own = slice(split, None)
    gram, cross, sumsq = np.zeros((p, p)), np.zeros((*x.shape[:-2], p)), np.zeros(x.shape[:-2])
    for part in _parts(n, m):
        # block by block: joining shared and private columns first would take as long as the products
        c, s = (_design_rows(modality, block, part) for block in (modality.shared, modality.private))
        y = _observed(modality, x, part)
        gram[:split, :split] += c.T @ c
        gram[:split, own] += c.T @ s
        gram[own, own] += s.T @ s
        unseen = gram.diagonal() == 0
        if unseen.any() and (unseen & np.concatenate([c.any(axis=0), s.any(axis=0)])).any():
            _raise_out_of_range(int(unseen.argmax()), "below 1e-160", name)
        cross[..., :split] += y @ c
        cross[..., own] += y @ s
        sumsq += y @ y if y.ndim == 1 else np.einsum("...i,...i->...", y, y)
    gram[own, :split] = gram[:split, own].T
    if not (np.isfinite(gram).all() and np.isfinite(sumsq).all()):
        _raise_overflow(x, name)
    scale = 1.0 if modality.noise_std is None else modality.noise_std**-2.0
    return GramStatistics(n, n * m, scale * gram, scale * cross, scale * sumsq)


def _per_sample_qr(modality: Modality, x: NDArray) -> RootStatistics:
    n, m = x.shape[-2:]
    scale = modality.noise_std or 1.0
    pieces = []
    for part in _parts(n, m):
        a = np.hstack([_design_rows(modality, block, part) for block in (modality.shared, modality.private)])
        y = _observed(modality, x, part)
        q, r = np.linalg.qr(a)
        target = y @ q
        rss = np.square(y - target @ q.T).sum(axis=-1)
        pieces.append(
            RootStatistics(
                part.stop - part.start, len(a), r, target, rss, tolerance(m) * rss, tolerance(a.shape[1])
            )
        )
        if len(pieces) > 64:  # keep memory bounded
            pieces = [functools.reduce(operator.add, pieces)]
    total = functools.reduce(operator.add, pieces)
    return replace(
        total,
        matrix=total.matrix / scale,
        target=total.target / scale,
        rss=total.rss / scale**2,
        rss_error=total.rss_error / scale**2,
    )


def _raise_overflow(x: NDArray, name: str) -> None:
    require_finite(x, f"{name}: samples")
    raise ValueError(f"{name}: squares of the data or of the designs overflow float64; rescale their units")
