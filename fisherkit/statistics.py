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

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fisherkit.layout import Layout
from fisherkit.psd import PSD
from fisherkit.tolerances import tolerance

__all__ = ["GRAM_CONDITION", "RSS_DIGITS", "GramStatistics", "RootStatistics", "Statistics"]

Array = NDArray[np.float64]

#: Largest condition number that may be squared: of 16 digits, 8 are left at 1e4.
GRAM_CONDITION = 1e4
#: Largest relative rounding error of a residual sum of squares.
RSS_DIGITS = 1e-6


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
        _check_mergeable(self.gram, self.cross, other.gram, other.cross)
        return GramStatistics(
            self.n_samples + other.n_samples,
            self.n_obs + other.n_obs,
            self.gram + other.gram,
            self.cross + other.cross,
            self.sumsq + other.sumsq,
        )

    @property
    def lead(self) -> tuple[int, ...]:
        """Shape of the replicates, () for a single data set."""
        return self.cross.shape[:-1]

    def root(self) -> "RootStatistics":
        """The root form; carries the rounding of the Gram form in its `rounding` and `rss_error`.

        Returns:
            Equivalent statistics in root form.
        """
        psd = PSD.of(self.gram, name="Gram matrix of the design")
        # zero columns are structure, not loss of rank
        lost = psd.condition if psd.rank == np.count_nonzero(self.gram.diagonal()) else np.inf
        # Of a well-conditioned Gram matrix no direction is in doubt: a root merged with it keeps its own floor.
        floor = tolerance(len(self.gram)) if lost <= GRAM_CONDITION else np.sqrt(tolerance(len(self.gram)))
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
            rounding=floor,
            digits_lost=lost,
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
        _check_mergeable(self.matrix, self.target, other.matrix, other.target)
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

    @property
    def lead(self) -> tuple[int, ...]:
        """Shape of the replicates, () for a single data set."""
        return self.target.shape[:-1]

    def own_fit(self) -> tuple[int, Array]:
        """Rank of this modality's design, and its residual sum of squares when it is fitted alone.

        Returns:
            Rank, and (...) residual sum of squares in units of the declared noise variance.
        """
        psd = PSD.from_root(self.matrix, noise=self.rounding)
        column_space = np.linalg.qr(self.matrix @ psd.half_inverse)[0]
        rest = self.target - (self.target @ column_space) @ column_space.T
        return psd.rank, self.rss + np.square(rest).sum(axis=-1)

    def root(self) -> "RootStatistics":
        """Itself.

        Returns:
            This object.
        """
        return self

    @property
    def certified(self) -> bool:
        """Whether enough digits survived: the condition squared on the way, and the residual sum of squares."""
        return self.digits_lost <= GRAM_CONDITION and bool((self.rss_error <= RSS_DIGITS * self.rss).all())


ModalityStatistics = GramStatistics | RootStatistics


def _check_mergeable(one: Array, replicates: Array, other: Array, more: Array) -> None:
    if one.shape[1] != other.shape[1]:
        raise ValueError(
            f"statistics of {one.shape[1]} and of {other.shape[1]} parameters cannot be merged: the designs differ in width"
        )
    _check_replicates(replicates.shape[:-1], more.shape[:-1])


def _check_replicates(one: tuple[int, ...], other: tuple[int, ...], where: str = "") -> None:
    if one != other:
        named = [
            f"{' x '.join(map(str, lead))} replicates" if lead else "a single data set"
            for lead in (one, other)
        ]
        raise ValueError(
            f"{where}statistics of {named[0]} and of {named[1]} cannot be merged: every chunk must hold the same replicates"
        )


@dataclass(frozen=True, eq=False)
class Statistics:
    """Sufficient statistics of unpaired samples, by modality name; ``+`` merges them.

    Attributes:
        layout: the parameters they are about.
        modalities: {name: GramStatistics or RootStatistics}; absent modalities have seen nothing.
        noise_std: {name: declared noise std, None where a vector or matrix was declared}; the statistics are in
            units of the declared noise.
        noise_key: {name: fingerprint of the declared noise}, so that statistics in other units are not merged; names
            left out are not compared.

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
    noise_key: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        leads = {name: part.lead for name, part in self.modalities.items()}
        for name, lead in leads.items():
            _check_replicates(next(iter(leads.values())), lead, f"{name}: ")

    def __add__(self, other: "Statistics") -> "Statistics":
        if not isinstance(other, Statistics):
            return NotImplemented
        if self.layout != other.layout:
            raise ValueError(
                f"statistics of different models cannot be merged: parameters {self.layout.describe()} "
                f"against {other.layout.describe()}"
            )
        merged, noise = dict(self.modalities), {**other.noise_std, **self.noise_std}
        keys = {**other.noise_key, **self.noise_key}
        for name, part in other.modalities.items():
            if noise[name] != other.noise_std[name]:
                raise ValueError(
                    f"{name}: statistics in units of noise std {noise[name]} and {other.noise_std[name]} cannot be "
                    "merged; declare the same noise for both"
                )
            if keys.get(name) != other.noise_key.get(name, keys.get(name)):
                raise ValueError(
                    f"{name}: statistics in units of different noise variances or covariances cannot be merged; declare "
                    "the same noise for both"
                )
            merged[name] = merged[name] + part if name in merged else part
        return Statistics(self.layout, {n: merged[n] for n in self.layout.names if n in merged}, noise, keys)

    def __radd__(self, other: object) -> "Statistics":
        """Allow `sum` over chunks, which starts from 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    @property
    def counts(self) -> dict[str, int]:
        """Samples seen per modality, 0 where none."""
        seen = self.modalities
        return {n: seen[n].n_samples if n in seen else 0 for n in self.layout.names}
