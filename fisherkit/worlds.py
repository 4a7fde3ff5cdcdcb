"""Ready-made models: random ones with chosen ranks and conditioning, the paper's E.14, and blind spots."""

import math
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import as_mapping, as_number, as_whole, check_names, freeze, require_memory
from fisherkit.layout import check_modality_name
from fisherkit.model import LinearGaussian, Modality
from fisherkit.streams import Seed, streams

__all__ = ["blind_spot_model", "e14_model", "random_model"]

Array = NDArray[np.float64]
Number = TypeVar("Number", int, float)


def random_model(
    shared_dim: int,
    private_dims: Mapping[str, int],
    *,
    seed: Seed,
    obs_dim: int | Mapping[str, int] | None = None,
    shared_rank: int | Mapping[str, int] | None = None,
    private_rank: int | Mapping[str, int] | None = None,
    condition: float = 10.0,
    noise_std: float | Mapping[str, float] = 1.0,
    n_designs: int | None = None,
) -> LinearGaussian:
    """Random designs U diag(s) V' with Haar-random U, V and singular values spread evenly in logarithm.

    Each modality draws from its own stream: adding one leaves the others as they were.

    Args:
        shared_dim: d_c.
        private_dims: {modality: d_k}; also names the modalities.
        seed: whole number, SeedSequence or Generator.
        obs_dim: observed coordinates m, per modality or for all; default d_c + d_k.
        shared_rank: rank of the shared block, per modality or for all; default full.
        private_rank: rank of the private block; default full.
        condition: ratio of largest (sqrt(m)) to smallest nonzero singular value of each block, >= 1.
        noise_std: per modality or for all.
        n_designs: None for one repeated design, else the number of per-sample designs (each of the asked rank; all
            blocks of a modality share their row space, so that the total information has that rank too).

    Returns:
        The model.

    Raises:
        UnknownNameError: an option names a modality that is not in `private_dims`.
        ValueError: a rank above the block's size, a condition below 1 or infinite, or n_designs below 1.

    Example:
        >>> model = random_model(3, {"x": 2, "y": 1}, seed=0, shared_rank={"x": 1, "y": 3})
        >>> int(np.linalg.matrix_rank(model["x"].shared)), model
        (1, LinearGaussian(6 parameters: shared 3 + x 2 + y 1))
    """
    condition = as_number(condition, "condition", finite=False)
    if not 1 <= condition < np.inf:
        raise ValueError(
            f"condition: must be at least 1 and finite, got {condition}; for lower rank use shared_rank"
        )
    shared_dim = as_whole(shared_dim, "shared_dim", least=0)
    widths = as_mapping(private_dims, "private_dims", "{modality: d_k}")
    for name in widths:
        check_modality_name(name)
    private_dims = {n: as_whole(d, f"private_dims: {n}", least=0) for n, d in widths.items()}
    if n_designs is not None:
        n_designs = as_whole(n_designs, "n_designs (None for one repeated design)", least=1)
    options = {
        "obs_dim": obs_dim,
        "shared_rank": shared_rank,
        "private_rank": private_rank,
        "noise_std": noise_std,
    }
    for what, option in options.items():
        check_names(option, private_dims, what)
    modalities = {}
    for name, rng in streams(seed, private_dims).items():
        d_k = private_dims[name]
        m = as_whole(_of(obs_dim, name, shared_dim + d_k), f"{name}: obs_dim", least=1)
        shape = (n_designs, m) if n_designs is not None else (m,)
        blocks = []
        for width, rank, what in (
            (shared_dim, shared_rank, "shared_rank"),
            (d_k, private_rank, "private_rank"),
        ):
            r = as_whole(_of(rank, name, min(m, width)), f"{name}: {what}", least=0)
            if r > min(m, width):
                raise ValueError(f"{name}: {what} must lie between 0 and {min(m, width)}, got {r}")
            right = _orthonormal(rng, width)[:, :r]
            left = _orthonormal(rng, m, shape[:-1])[..., :r]
            singular = np.sqrt(m) * np.geomspace(1.0, 1 / condition, r) if r else np.zeros(0)
            blocks.append(freeze(left * singular @ right.T))  # so that no copy is made of it
        modalities[name] = Modality(blocks[0], blocks[1], noise_std=_of(noise_std, name, 1.0))
    return LinearGaussian(modalities)


def e14_model(
    *,
    seed: Seed,
    obs_dim: int = 50,
    attenuation: float = 0.05,
    noise_std: float | Mapping[str, float] = 0.3,
) -> LinearGaussian:
    """The paper's E.14 world with *known* loadings: x sees 1 of 10 shared dimensions in full, y sees all.

    Shared, x-private and y-private parameters have 10, 5 and 5 dimensions; loadings are standard normal; x's other
    nine shared columns are multiplied by `attenuation`; noise has variance 0.09. Here theta is fixed and the loadings
    are known, as in section 3.1; `fisherkit.factor` has the experiment's own reading (unknown loadings, a fresh
    theta per sample), in which y carries no information about x.

    Args:
        seed: whole number, SeedSequence or Generator.
        obs_dim: observed coordinates per modality.
        attenuation: factor on x's last nine shared columns; 1 for the un-attenuated validation world.
        noise_std: noise standard deviation, per modality ("x", "y") or for both.

    Returns:
        Model with modalities "x" and "y", repeated designs.
    """
    check_names(noise_std, ("x", "y"), "noise_std")
    obs_dim, attenuation = as_whole(obs_dim, "obs_dim", least=1), as_number(attenuation, "attenuation")
    require_memory(8 * 30 * obs_dim, f"obs_dim: a model of {obs_dim} observed coordinates, which")
    rng = streams(seed, ["x", "y"])
    loading = {
        name: (r.standard_normal((obs_dim, 10)), r.standard_normal((obs_dim, 5))) for name, r in rng.items()
    }
    strength = np.where(np.arange(10) < 1, 1.0, attenuation)
    return LinearGaussian({
        "x": Modality(loading["x"][0] * strength, loading["x"][1], noise_std=_of(noise_std, "x", 0.3)),
        "y": Modality(*loading["y"], noise_std=_of(noise_std, "y", 0.3)),
    })


def blind_spot_model(
    *,
    angle: float,
    seed: Seed,
    shared_dim: int = 4,
    seen: int = 2,
    noise_std: float | Mapping[str, float] = 1.0,
) -> LinearGaussian:
    """Modality x sees a `seen`-dimensional subspace of theta_c; y one at the given principal angle to it (Theorem 3).

    At angle 0 the two are aligned and y can only repeat what x says; at any other angle y looks into x's blind
    spot, and at pi/2 at nothing else.

    Args:
        angle: principal angle between the two subspaces, radians in [0, pi/2], the same in every plane.
        seed: whole number, SeedSequence or Generator for the orientation.
        shared_dim: d_c >= 2 seen.
        seen: dimension of what each modality sees.
        noise_std: per modality ("x", "y") or for both.

    Returns:
        Model with modalities "x" and "y" and no private parameters.

    Raises:
        UnknownNameError: noise_std names a modality other than "x" and "y".
        ValueError: angle outside [0, pi/2], or a subspace that does not fit twice.

    Example:
        >>> from fisherkit import cramer_rao
        >>> model = blind_spot_model(angle=np.pi / 2, seed=0)
        >>> blind = np.linalg.svd(model["x"].shared)[2][-1]
        >>> float(cramer_rao(model, {"x": 10}, blind)), bool(cramer_rao(model, {"x": 10, "y": 1}, blind) < np.inf)
        (inf, True)
    """
    shared_dim, seen = as_whole(shared_dim, "shared_dim", least=0), as_whole(seen, "seen", least=0)
    angle = as_number(angle, "angle", finite=False)
    if not 0 <= angle <= np.pi / 2:
        raise ValueError(f"angle: must lie in [0, pi/2] radians, got {angle}")
    if not 1 <= seen <= shared_dim // 2:
        raise ValueError(f"seen: must lie between 1 and shared_dim // 2 = {shared_dim // 2}, got {seen}")
    check_names(noise_std, ("x", "y"), "noise_std")
    basis = _orthonormal(streams(seed, ["orientation"])["orientation"], shared_dim)
    x, spot = basis[:, :seen], basis[:, seen : 2 * seen]
    y = np.cos(angle) * x + np.sin(angle) * spot
    return LinearGaussian({
        "x": Modality(x.T, noise_std=_of(noise_std, "x", 1.0)),
        "y": Modality(y.T, noise_std=_of(noise_std, "y", 1.0)),
    })


def _of(value: Number | Mapping[str, Number] | None, name: str, default: Number) -> Number:
    """An option given for all modalities, by name, or not at all."""
    chosen = value.get(name) if isinstance(value, Mapping) else value
    return default if chosen is None else chosen


def _orthonormal(rng: np.random.Generator, dim: int, lead: tuple[int, ...] = ()) -> Array:
    """Haar-random orthogonal matrices, (..., dim, dim)."""
    require_memory(3 * 8 * math.prod(lead) * dim**2, f"a random model of dim {dim}, which")
    q, r = np.linalg.qr(rng.standard_normal((*lead, dim, dim)))
    return q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
