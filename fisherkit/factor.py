"""The factor world of the paper's Gaussian experiment: unknown loadings, a fresh latent for every sample (E.14).

    x = A_c D theta_c + A_x theta_x + eps,   theta ~ N(0, I) anew for each sample,   eps ~ N(0, s^2 I)

In section 3.1 of the paper the designs are known and theta is the parameter; here theta is drawn afresh, the
loadings are the parameters, and all that a modality can tell is its covariance S = A_c D^2 A_c' + A_x A_x' + s^2 I.
Since y's covariance does not depend on x's loadings, y carries no Fisher information about them:
`loading_information` computes this, and what changes when the loadings are tied.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import (
    UnknownNameError,
    as_array,
    as_counts,
    as_frozen,
    as_instance,
    as_matrix,
    as_number,
    as_whole,
    require_memory,
)
from fisherkit.covariances import covariance_information_root, linear_code_error
from fisherkit.layout import check_modality_name
from fisherkit.projection import project_out
from fisherkit.psd import PSD
from fisherkit.streams import Seed, streams

__all__ = [
    "FactorModality",
    "FactorWorld",
    "covariance_information_root",
    "e14_world",
    "linear_code_error",
    "loading_information",
]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FactorModality:
    """One modality's loadings and noise, kept read-only: what happens to the arrays given later changes nothing.

    Attributes:
        shared: (m, d_c) loading of the shared latent.
        private: (m, d_k) loading of the private latent.
        attenuation: (d_c,) factor >= 0 on each shared latent while training; 1 everywhere un-attenuated.
        noise_std: noise standard deviation > 0, data units.

    Raises:
        ValueError: shapes that do not fit, entries that are not finite, noise that is not positive.
    """

    shared: Array
    private: Array
    attenuation: Array
    noise_std: float

    def __post_init__(self) -> None:
        shared = as_matrix(self.shared, "shared loading")
        private = as_matrix(self.private, "private loading", rows=len(shared))
        attenuation = as_array(self.attenuation, "attenuation", ndim=1)
        if attenuation.shape != shared.shape[1:] or (attenuation < 0).any():
            raise ValueError(
                f"attenuation: expected {shared.shape[1]} factors >= 0, one per shared latent, got "
                f"{np.array2string(attenuation, threshold=8)}"
            )
        object.__setattr__(self, "noise_std", as_number(self.noise_std, "noise_std", finite=False))
        if not 0 < self.noise_std < np.inf:
            raise ValueError(f"noise_std: must be positive and finite, got {self.noise_std}")
        for field, value in (("shared", shared), ("private", private), ("attenuation", attenuation)):
            object.__setattr__(self, field, as_frozen(value, field))

    def loading(self, *, attenuated: bool = True) -> Array:
        """[A_c D, A_k], or [A_c, A_k] where not attenuated.

        Args:
            attenuated: whether the shared latents are attenuated.

        Returns:
            (m, d_c + d_k).
        """
        return np.hstack([self.shared * self.attenuation if attenuated else self.shared, self.private])

    def covariance(self, *, attenuated: bool = True) -> Array:
        """Covariance of one sample.

        Args:
            attenuated: whether the shared latents are attenuated.

        Returns:
            (m, m), data units squared.
        """
        loading = self.loading(attenuated=attenuated)
        return loading @ loading.T + self.noise_std**2 * np.eye(len(loading))


@dataclass(frozen=True, eq=False)
class FactorWorld:
    """Any number of modalities that load on one shared latent; samples of different modalities are independent.

    Attributes:
        modalities: {name: FactorModality}, all with the same d_c.

    Raises:
        ValueError: no modality, or shared loadings of different widths.
    """

    modalities: Mapping[str, FactorModality]

    def __post_init__(self) -> None:
        if not as_instance(self.modalities, Mapping, "modalities"):
            raise ValueError("modalities: a world needs at least one")
        for name, modality in self.modalities.items():
            check_modality_name(name)
            as_instance(modality, FactorModality, f"modalities: {name}")
        widths = {name: modality.shared.shape[1] for name, modality in self.modalities.items()}
        if len(set(widths.values())) > 1:
            raise ValueError(f"shared loadings differ in width: {widths}; all load on the same theta_c")
        object.__setattr__(self, "modalities", dict(self.modalities))

    def __getitem__(self, name: str) -> FactorModality:
        if not isinstance(name, str) or name not in self.modalities:
            raise UnknownNameError(name, self.modalities)
        return self.modalities[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names."""
        return tuple(self.modalities)

    @property
    def shared_dim(self) -> int:
        """Number d_c of shared latents."""
        return next(iter(self.modalities.values())).shared.shape[1]

    def sample(self, name: str, n: int, *, seed: Seed, attenuated: bool = True) -> Array:
        """Independent samples of one modality.

        Latents and noise have streams of their own: the same seed gives the same latents and noise attenuated and
        not, and the first rows of a larger sample are the smaller one. Modalities differ in their streams too, so
        nothing is paired.

        Args:
            name: modality.
            n: number of samples, >= 1.
            seed: whole number, SeedSequence or Generator.
            attenuated: True for training data, False for the paper's validation data (same loadings).

        Returns:
            (n, m), data units.

        Raises:
            ValueError: n below one.

        Example:
            >>> world = e14_world(0)
            >>> rows = world.sample("x", 2000, seed=1)
            >>> rows.shape, bool(np.allclose(np.cov(rows.T), world["x"].covariance(), atol=3.0))
            ((2000, 50), True)
        """
        modality = self[name]
        if as_counts({name: n}, [name])[name] < 1:
            raise ValueError(f"{name}: number of samples must be at least 1, got {n}")
        n = int(n)
        require_memory(8 * 3 * n * len(modality.shared), f"{name}: {n} samples, which")
        rng = streams(seed, [f"{name} latents", f"{name} noise"])
        loading = modality.loading(attenuated=attenuated)
        latents = rng[f"{name} latents"].standard_normal((n, loading.shape[1]))
        noise = rng[f"{name} noise"].standard_normal((n, len(loading)))
        return latents @ loading.T + modality.noise_std * noise


def e14_world(
    seed: Seed,
    *,
    obs_dim: int = 50,
    shared_dim: int = 10,
    private_dim: int = 5,
    attenuation: float = 0.05,
    full_fraction: float = 0.1,
    noise_std: float = 0.3,
    unit_rows: bool = False,
) -> FactorWorld:
    """The paper's two modalities (Gupta et al. 2025, E.14): x sees 10% of the shared latents in full, y all of them.

    The noise has *variance* 0.09. Loadings are standard normal; the paper does not state their scale.

    Args:
        seed: whole number, SeedSequence or Generator of the loadings.
        obs_dim: m, observed coordinates of each modality.
        shared_dim: d_c.
        private_dim: d_x = d_y.
        attenuation: factor on the shared latents that x sees weakly.
        full_fraction: fraction of shared latents that x sees in full, rounded to whole latents (half to even).
        noise_std: standard deviation of the noise of both.
        unit_rows: divide each loading block by the square root of its width, so that each block contributes
            variance one per coordinate.

    Returns:
        World with modalities "x" and "y".

    Example:
        >>> world = e14_world(0)
        >>> world.names, world["x"].attenuation[:3].tolist(), round(world["y"].noise_std ** 2, 2)
        (('x', 'y'), [1.0, 0.05, 0.05], 0.09)
    """
    widths = [as_whole(d, n, least=0) for d, n in ((shared_dim, "shared_dim"), (private_dim, "private_dim"))]
    obs_dim, shared_dim = as_whole(obs_dim, "obs_dim", least=1), widths[0]
    require_memory(
        8 * 4 * obs_dim * sum(widths), f"obs_dim {obs_dim} and widths {widths} of the loadings, which"
    )
    attenuation, fraction = as_number(attenuation, "attenuation"), as_number(full_fraction, "full_fraction")
    full = np.arange(shared_dim) < round(np.clip(fraction, 0, 1) * shared_dim)
    factors = {"x": np.where(full, 1.0, attenuation), "y": np.ones(shared_dim)}
    modalities = {}
    for name, rng in streams(seed, factors).items():
        blocks = [rng.standard_normal((obs_dim, width)) for width in widths]
        if unit_rows:
            blocks = [block / np.sqrt(max(1, block.shape[1])) for block in blocks]
        modalities[name] = FactorModality(blocks[0], blocks[1], factors[name], noise_std)
    return FactorWorld(modalities)


def loading_information(
    world: FactorWorld,
    counts: Mapping[str, int] | int,
    *,
    about: str,
    ties: Mapping[str, ArrayLike] | None = None,
) -> dict[str, PSD]:
    """What each modality's samples tell about one modality's loadings, all other loadings unknown.

    The parameters are the loadings of all modalities, one vector; every modality's root is computed on the whole
    vector by differentiating its covariance, then the other modalities' loadings are eliminated (Schur complement
    by projection). Noise variances and attenuation are known. Other modalities have disjoint nuisance parameters,
    so what they tell adds up. A loading is identified up to a rotation at best: the information is singular, and
    two of them can be compared on the range of their sum only.

    Args:
        world: the loadings at which to compute.
        counts: {modality: number of samples}, or one number for all.
        about: whose loadings, [A_c, A_k] flattened row by row.
        ties: {other modality: known (d_c, d_c) matrix T}; that modality's shared loading is not a parameter of its
            own but B_c = A_c T (and is evaluated there). Without ties all loadings are separate parameters.

    Returns:
        {modality: information about the loadings of `about`, as a PSD of dimension m (d_c + d_k)}.

    Raises:
        UnknownNameError: `about` or a tied modality is not in the world.
        ValueError: a tie of a modality to itself, or between modalities of different dimension.

    Example:
        >>> world = e14_world(0, obs_dim=4, shared_dim=1, private_dim=1, full_fraction=1.0)
        >>> separate = loading_information(world, 100, about="x")
        >>> separate["x"].rank, separate["y"].rank               # 8 loadings less 1 rotation; nothing at all
        (7, 0)
        >>> loading_information(world, 100, about="x", ties={"y": [[1.0]]})["y"].rank > 0
        True
    """
    own = as_instance(world, FactorWorld, "world")[about]
    sizes = as_counts(counts, world.names)
    tie = {}
    for name, matrix in as_instance({} if ties is None else ties, Mapping, "ties").items():
        if name == about:
            raise ValueError(f"ties: {about!r} cannot be tied to itself; tie the other modalities")
        if len(world[name].shared) != len(own.shared):
            raise ValueError(
                f"ties: {name!r} observes {len(world[name].shared)} coordinates and {about!r} {len(own.shared)}; "
                "B_c = A_c T needs equally many"
            )
        d = world.shared_dim
        tie[name] = as_matrix(matrix, f"ties[{name!r}]", rows=d, cols=d)

    informations = {}
    kept = own.shared.size + own.private.size
    for name, modality in world.modalities.items():
        parts = [own.shared, own.private]
        if name != about:
            parts += [modality.private] if name in tie else [modality.shared, modality.private]
        covariance = _covariance_map(modality, [part.shape for part in parts], tie.get(name), name == about)
        flat = np.concatenate([part.ravel() for part in parts])
        # as large as the loadings: no cancellation
        step = float(np.abs(flat).max(initial=0.0)) or modality.noise_std
        root = np.sqrt(sizes[name]) * covariance_information_root(covariance, flat, step=step)
        informations[name] = project_out(root[:, :kept], root[:, kept:])
    return informations


def _covariance_map(
    modality: FactorModality, shapes: list[tuple[int, ...]], tie: Array | None, own: bool
) -> Callable[[Array], Array]:
    """Covariance of a modality as a function of (about's loadings, its own free loadings), flattened."""
    cuts = np.cumsum([rows * columns for rows, columns in shapes])[:-1]
    noise = modality.noise_std**2 * np.eye(len(modality.shared))

    def covariance(flat: Array) -> Array:
        parts = [part.reshape(shape) for part, shape in zip(np.split(flat, cuts), shapes, strict=True)]
        if own:
            shared, private = parts
        elif tie is not None:
            shared, private = parts[0] @ tie, parts[2]
        else:
            shared, private = parts[2], parts[3]
        scaled = shared * modality.attenuation
        return scaled @ scaled.T + private @ private.T + noise

    return covariance
