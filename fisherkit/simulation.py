"""Draw unpaired samples, or their sufficient statistics directly, from a linear-Gaussian model.

Each modality draws from a stream of its own, keyed by the seed and its name: what x sees does not change when y
is added, renamed or drawn in another number. Keys are cryptographic digests: no two names share a stream by accident.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.accumulation import declared, design_root
from fisherkit.checks import as_counts, as_instance, as_whole, require_memory
from fisherkit.model import LinearGaussian
from fisherkit.samples import Samples
from fisherkit.statistics import RootStatistics, Statistics
from fisherkit.streams import Seed, keyed_streams, streams

__all__ = ["draw_theta", "simulate", "simulate_statistics"]

Array = NDArray[np.float64]
Theta = ArrayLike | Mapping[str, ArrayLike]


def draw_theta(model: LinearGaussian, seed: Seed) -> Array:
    """Standard normal parameters, each block from its own stream.

    Args:
        model: the world.
        seed: whole number, SeedSequence or Generator.

    Returns:
        (d,) vector.
    """
    as_instance(model, LinearGaussian, "model")
    rngs = keyed_streams(seed, model.slices, b"theta")
    blocks = {name: rngs[name].standard_normal(part.stop - part.start) for name, part in model.slices.items()}
    return model.layout.pack(blocks)


def simulate(
    model: LinearGaussian,
    counts: Mapping[str, int] | int,
    *,
    seed: Seed,
    theta: Theta | None = None,
    replicates: int | None = None,
) -> Samples:
    """Unpaired samples of each modality at one planted parameter.

    Args:
        model: the world.
        counts: {modality: number of samples}, or one number for all; at least one positive.
        seed: whole number, SeedSequence or Generator.
        theta: (d,) planted parameters, or their blocks {"shared" or modality: values}, or None to draw them standard
            normal.
        replicates: None for one data set, else the number of independent data sets with the same designs and theta.

    Returns:
        Samples with arrays (n_k, m_k), or (replicates, n_k, m_k), and the planted theta.

    Raises:
        UnknownNameError: a block of theta that the model does not have.
        ValueError: counts or replicates not positive, theta or a block of the wrong length, or a block missing.
        MemoryError: the samples do not fit; draw `simulate_statistics` instead.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"x": Modality(np.eye(2)), "y": Modality(np.ones((3, 2)))})
        >>> simulate(model, {"x": 4, "y": 5}, seed=0, replicates=7)
        Samples(x: 7 x 4 x 2, y: 7 x 5 x 3)
        >>> simulate(model, {"x": 4}, seed=0, theta={"shared": [1.0, 2.0]}).theta
        array([1., 2.])
    """
    lead = _replicates(replicates)
    sizes, theta = _prepare(model, counts, theta, seed)
    need = sum(8 * math.prod(lead) * n * model[name].obs_dim for name, n in sizes.items())
    require_memory(need, "these samples; draw their sufficient statistics with simulate_statistics, which")
    data = {}
    for name, rng in streams(seed, sizes).items():
        modality, n = model[name], sizes[name]
        modality.check_count(n, name)
        seen = theta[model.layout.columns(name)]
        # theta is float64, and so is a product of a float32 block with it
        mean = _first(modality.shared, n) @ seen[: model.shared_dim]
        mean = mean + _first(modality.private, n) @ seen[model.shared_dim :]
        data[name] = mean + modality.color(rng.standard_normal((*lead, n, modality.obs_dim)))
    return Samples(model, data, theta)


def simulate_statistics(
    model: LinearGaussian,
    counts: Mapping[str, int] | int,
    *,
    seed: Seed,
    theta: Theta | None = None,
    replicates: int | None = None,
) -> Statistics:
    """Sufficient statistics of samples that are never drawn, exact in distribution.

    With A = QR the whitened stacked design of a modality, Q'x ~ N(R theta, I) and the residual sum of squares is an
    independent chi-squared variable with n m - rows(R) degrees of freedom, so a Monte-Carlo replicate costs O(d)
    normal draws whatever the number of samples.

    Args:
        model: the world.
        counts: {modality: number of samples}, or one number for all; at least one positive.
        seed: whole number, SeedSequence or Generator.
        theta: (d,) planted parameters or their blocks, or None to draw them standard normal (as `simulate` does with
            this seed).
        replicates: None for one draw, else the number of independent draws.

    Returns:
        Statistics in root form, ready for `fisherkit.fit`.

    Example:
        >>> from fisherkit import LinearGaussian, Modality, fit
        >>> model = LinearGaussian({"x": Modality(np.eye(2)), "y": Modality(np.ones((3, 2)))})
        >>> draws = simulate_statistics(model, {"x": 10**9, "y": 10**9}, seed=0, replicates=1000)
        >>> fit(draws).theta.shape
        (1000, 2)
    """
    lead = _replicates(replicates)
    sizes, theta = _prepare(model, counts, theta, seed)
    parts = {}
    for name, rng in streams(seed, sizes).items():
        n = sizes[name]
        model[name].check_count(n, name)
        root = design_root(model[name], n, name=name)
        mean = root.matrix @ theta[model.layout.columns(name)]
        target = rng.standard_normal((*lead, len(mean)))
        target += mean
        spare = root.n_obs - len(mean)
        rss = rng.chisquare(float(spare), lead) if spare else np.zeros(lead)
        parts[name] = RootStatistics(
            n, root.n_obs, root.matrix, target, np.asarray(rss), np.zeros(lead), root.rounding
        )
    return declared(model, parts)


def _first(block: NDArray, n: int) -> NDArray:
    """The first n per-sample blocks, or the repeated one."""
    return block[:n] if block.ndim == 3 else block


def _replicates(replicates: int | None) -> tuple[int, ...]:
    """Leading axes of the draws."""
    if replicates is None:
        return ()
    try:
        return (as_whole(replicates, "replicates", least=1),)
    except ValueError:
        raise ValueError(
            f"replicates: must be at least 1 and whole, or None for a single data set; got {replicates!r}"
        ) from None


def _prepare(
    model: LinearGaussian,
    counts: Mapping[str, int] | int,
    theta: Theta | None,
    seed: Seed,
) -> tuple[dict[str, int], Array]:
    as_instance(model, LinearGaussian, "model")
    sizes = {name: n for name, n in as_counts(counts, model.names, positive=True).items() if n}
    return sizes, draw_theta(model, seed) if theta is None else model.layout.vector(theta)
