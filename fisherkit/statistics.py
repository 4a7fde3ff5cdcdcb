"""Sufficient statistics that add up: samples in by the chunk, O(d^2) numbers out, merged in any order.

For one modality with whitened design A (rows of all samples) and whitened observations x, everything the
likelihood knows is the triple

    Gram form:  G = A'A,  b = A'x,  |x|^2            (added entry by entry)
    root form:  R,  q,  rss   with  R'R = G,  R'q = b,  |x - A theta|^2 = |q - R theta|^2 + rss for every theta
                                                     (merged by an orthogonal factorisation)

The Gram form costs one pass at memory speed but squares the condition number of A; the root form (TSQR:
Demmel et al. 2012) does not. `accumulate` starts with the first and takes the second where a certificate
says that digits were lost. Repeated designs always use the root form, since it costs nothing there.
"""

import functools
import operator
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from fisherkit.checks import require_finite
from fisherkit.model import Layout, Modality
from fisherkit.psd import PSD, tolerance
from fisherkit.samples import Samples

__all__ = ["GramStatistics", "RootStatistics", "Statistics", "accumulate", "summarise"]

Array = NDArray[np.float64]

#: Rows of the stacked design handled at a time: a block of 20 columns stays inside a core's cache.
CHUNK_ROWS = 16384
#: Largest condition number that may be squared: of 16 digits, 8 are left at 1e4.
GRAM_CONDITION = 1e4
#: Largest relative rounding error of a residual sum of squares.
RSS_DIGITS = 1e-6
_FOLD = 8
_BLAS = ThreadpoolController()


def single_threaded() -> AbstractContextManager:
    """Context manager: one BLAS thread inside chunk loops, where more only wait for each other.

    Returns:
        A context manager that restores the previous setting.
    """
    return _BLAS.limit(limits=1, user_api="blas")


@dataclass(frozen=True, eq=False)
class GramStatistics:
    """Gram form of one modality's statistics, in units of the declared noise.

    Attributes:
        n_samples: samples seen.
        n_obs: scalar observations seen (samples x observed coordinates).
        gram: (p, p), A'A with the shared columns first, then the private ones; p = d_c + d_k.
        cross: (..., p), A'x, one row per replicate.
        sumsq: (...), |x|^2.
    """

    n_samples: int
    n_obs: int
    gram: Array
    cross: Array
    sumsq: Array

    def __add__(self, other: "ModalityStatistics") -> "ModalityStatistics":
        if isinstance(other, RootStatistics):
            return self.root() + other
        if not isinstance(other, GramStatistics):
            return NotImplemented
        _check_mergeable(self.gram.shape[1], other.gram.shape[1])
        return GramStatistics(
            self.n_samples + other.n_samples,
            self.n_obs + other.n_obs,
            self.gram + other.gram,
            self.cross + other.cross,
            self.sumsq + other.sumsq,
        )

    def root(self) -> "RootStatistics":
        """The root form; carries the rounding of the Gram form in its `rounding` and `rss_error`.

        Returns:
            Equivalent statistics in root form.
        """
        psd = PSD.of(self.gram, name="Gram matrix of the design")
        target = self.cross @ psd.half_inverse
        rss = self.sumsq - np.square(target).sum(axis=-1)
        error = tolerance(len(self.gram)) * self.sumsq
        return RootStatistics(
            self.n_samples,
            self.n_obs,
            psd.root,
            target,
            np.maximum(rss, 0.0),
            rss_error=error,
            rounding=np.sqrt(tolerance(len(self.gram))),
            # zero columns are structure, not loss of rank
            digits_lost=psd.condition if psd.rank == np.count_nonzero(self.gram.diagonal()) else np.inf,
        )


@dataclass(frozen=True, eq=False)
class RootStatistics:
    """Root form of one modality's statistics, in units of the declared noise.

    Attributes:
        n_samples: samples seen.
        n_obs: scalar observations seen.
        matrix: (r, p), R with R'R = A'A; shared columns first; r <= p.
        target: (..., r), q with R'q = A'x.
        rss: (...), the part of the squared residuals that no theta changes.
        rss_error: (...), bound on the rounding error of rss.
        rounding: relative size of singular values of R that are rounding.
        digits_lost: condition number that was squared on the way (1 if none was; infinite if the rank was decided
            from a Gram matrix).
    """

    n_samples: int
    n_obs: int
    matrix: Array
    target: Array
    rss: Array
    rss_error: Array
    rounding: float
    digits_lost: float = 1.0

    def __add__(self, other: "ModalityStatistics") -> "RootStatistics":
        if isinstance(other, GramStatistics):
            other = other.root()
        if not isinstance(other, RootStatistics):
            return NotImplemented
        p = self.matrix.shape[1]
        _check_mergeable(p, other.matrix.shape[1])
        q, r = np.linalg.qr(np.concatenate([self.matrix, other.matrix]), mode="complete")
        target = np.concatenate([self.target, other.target], axis=-1) @ q
        kept = min(p, len(r))
        return RootStatistics(
            self.n_samples + other.n_samples,
            self.n_obs + other.n_obs,
            r[:kept],
            target[..., :kept],
            self.rss + other.rss + np.square(target[..., kept:]).sum(axis=-1),
            rss_error=self.rss_error + other.rss_error,
            rounding=max(self.rounding, other.rounding),
            digits_lost=max(self.digits_lost, other.digits_lost),
        )

    def own_fit(self) -> tuple[int, Array]:
        """Rank of this modality's design, and its residual sum of squares when it is fitted alone.

        Returns:
            Rank, and (...) residual sum of squares in units of the declared noise variance.
        """
        psd = PSD.from_root(self.matrix, noise=self.rounding)
        theta = self.target @ self.matrix @ psd.half_inverse @ psd.half_inverse.T
        return psd.rank, self.rss + np.square(self.target - theta @ self.matrix.T).sum(axis=-1)

    def root(self) -> "RootStatistics":
        """Itself.

        Returns:
            This object.
        """
        return self


ModalityStatistics = GramStatistics | RootStatistics


def _check_mergeable(p: int, q: int) -> None:
    if p != q:
        raise ValueError(
            f"statistics of {p} and of {q} parameters cannot be merged: the designs differ in width"
        )


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sufficient statistics of unpaired samples, by modality name; ``+`` merges them.

    Attributes:
        layout: the parameters they are about.
        modalities: {name: GramStatistics or RootStatistics}; absent modalities have seen nothing.
        noise_std: {name: declared noise std, None where a vector or matrix was declared}; the statistics are in
            units of the declared noise.

    Example:
        >>> from fisherkit import LinearGaussian, Modality, Samples, accumulate, fit
        >>> model = LinearGaussian({"x": Modality(np.eye(2)), "y": Modality(np.eye(2), np.ones((2, 1)))})
        >>> parts = [accumulate(Samples(model, {"x": [[1.0, 2.0]]})), accumulate(Samples(model, {"y": [[3.0, 1.0]]}))]
        >>> fit(parts[0] + parts[1]).counts
        {'x': 1, 'y': 1}
    """

    layout: Layout
    modalities: Mapping[str, ModalityStatistics]
    noise_std: Mapping[str, float | None]

    def __add__(self, other: "Statistics") -> "Statistics":
        if not isinstance(other, Statistics):
            return NotImplemented
        if self.layout != other.layout:
            raise ValueError(
                f"statistics of different models cannot be merged: parameters {self.layout.describe()} "
                f"against {other.layout.describe()}"
            )
        merged, noise = dict(self.modalities), {**other.noise_std, **self.noise_std}
        for name, part in other.modalities.items():
            if noise[name] != other.noise_std[name]:
                raise ValueError(
                    f"{name}: statistics in units of noise std {noise[name]} and {other.noise_std[name]} cannot be "
                    "merged; declare the same noise for both"
                )
            merged[name] = merged[name] + part if name in merged else part
        return Statistics(self.layout, {n: merged[n] for n in self.layout.names if n in merged}, noise)

    @property
    def counts(self) -> dict[str, int]:
        """Samples seen per modality, 0 where none."""
        seen = self.modalities
        return {n: seen[n].n_samples if n in seen else 0 for n in self.layout.names}


def accumulate(samples: Samples, *, method: str = "auto") -> Statistics:
    """Sufficient statistics of samples with O(d^2) extra memory, whatever their number.

    Data larger than memory: accumulate chunk by chunk and add the results, or pass ``numpy.memmap`` arrays.

    Args:
        samples: observations, possibly of some modalities only.
        method: "gram" (one pass at memory speed; squares the condition number), "qr" (TSQR, several times slower,
            does not), or "auto": the first, and the second too for modalities where more than `GRAM_CONDITION`
            would be squared, the rank is in doubt, or the residual sum of squares cancelled.

    Returns:
        Statistics that add to those of other samples of the same model.
    """
    parts = {
        name: summarise(samples.model[name], x, method=method, name=name) for name, x in samples.data.items()
    }
    return Statistics(samples.model.layout, parts, {name: samples.model[name].noise_std for name in parts})


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
        ValueError: unknown method, or a NaN or infinity in the data.
    """
    if method not in ("auto", "gram", "qr"):
        raise ValueError(f"method must be 'auto', 'gram' or 'qr', got {method!r}")
    modality.check_count(x.shape[-2], name)
    one_pass = _repeated if modality.repeated else _per_sample_gram
    stable = _repeated_centred if modality.repeated else _per_sample_qr
    with single_threaded(), np.errstate(over="ignore", invalid="ignore"):  # reported below, with a place
        if method == "qr":
            return stable(modality, x)
        statistics = one_pass(modality, x, name)
        return stable(modality, x) if method == "auto" and not _certified(statistics.root()) else statistics


def _certified(root: RootStatistics) -> bool:
    """Whether enough digits survived: the condition squared on the way, and the residual sum of squares."""
    return root.digits_lost <= GRAM_CONDITION and bool((root.rss_error <= RSS_DIGITS * root.rss).all())


def design_root(modality: Modality, n: int) -> RootStatistics:
    """Square root of the information that n samples of a modality carry, before any data are seen.

    Args:
        modality: designs and noise.
        n: number of samples; with per-sample designs, the first n.

    Returns:
        Root statistics of observations that are all zero: only `matrix` and `rounding` mean something.
    """
    nothing = np.broadcast_to(0.0, (n, modality.obs_dim))
    if not modality.repeated:
        return summarise(modality, nothing).root()
    r = np.sqrt(n) * np.linalg.qr(modality.whiten(modality.design()), mode="r")
    zero = np.zeros(())
    return RootStatistics(n, n * modality.obs_dim, r, np.zeros(len(r)), zero, zero, tolerance(r.shape[1]))


def _repeated_blocks(modality: Modality, x: NDArray) -> Iterator[Array]:
    """Observations by the chunk, (..., rows, m) float64, whitened unless the noise is one std."""
    step = _FOLD * max(1, CHUNK_ROWS // modality.obs_dim)
    for start in range(0, x.shape[-2], step):
        chunk = np.ascontiguousarray(x[..., start : start + step, :], dtype=np.float64)
        if modality.noise_std is None:
            chunk = modality.whiten(chunk[..., None])[..., 0]
        yield chunk


def _column_sums(chunk: Array) -> Array:
    """Sum over rows, (..., rows, m) -> (..., m); eight rows are laid side by side since BLAS likes long ones."""
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


def _chunks(modality: Modality, n: int) -> Iterator[tuple[slice, Array]]:
    """Whitened design rows of the first n samples, (rows, p), written over one scratch buffer."""
    m, split, p = modality.obs_dim, modality.shared_dim, modality.shared_dim + modality.private_dim
    per_chunk = max(1, CHUNK_ROWS // m)
    scratch = np.empty((min(per_chunk, n), m, p))
    for start in range(0, n, per_chunk):
        part = slice(start, min(start + per_chunk, n))
        block = scratch[: part.stop - part.start]
        block[..., :split] = modality.shared[part] if modality.shared.ndim == 3 else modality.shared
        block[..., split:] = modality.private[part] if modality.private.ndim == 3 else modality.private
        if modality.noise_std is None:
            block = modality.whiten(block)
        yield part, block.reshape(-1, p)


def _observed(modality: Modality, x: NDArray, part: slice) -> Array:
    """Observations of these samples as (..., rows), whitened unless the noise is one std."""
    chunk = x[..., part, :]
    if modality.noise_std is None:
        chunk = modality.whiten(chunk[..., None])[..., 0]
    return np.asarray(chunk, dtype=np.float64).reshape(*x.shape[:-2], -1)


def _per_sample_gram(modality: Modality, x: NDArray, name: str) -> GramStatistics:
    p = modality.shared_dim + modality.private_dim
    n, m = x.shape[-2:]
    gram, cross, sumsq = np.zeros((p, p)), np.zeros((*x.shape[:-2], p)), np.zeros(x.shape[:-2])
    for part, a in _chunks(modality, n):
        y = _observed(modality, x, part)
        gram += a.T @ a
        cross += y @ a
        sumsq += y @ y if y.ndim == 1 else np.einsum("...i,...i->...", y, y)
    if not (np.isfinite(gram).all() and np.isfinite(sumsq).all()):
        _raise_overflow(x, name)
    scale = 1.0 if modality.noise_std is None else modality.noise_std**-2
    return GramStatistics(n, n * m, scale * gram, scale * cross, scale * sumsq)


def _per_sample_qr(modality: Modality, x: NDArray) -> RootStatistics:
    n, m = x.shape[-2:]
    scale = modality.noise_std or 1.0
    pieces = []
    for part, a in _chunks(modality, n):
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
