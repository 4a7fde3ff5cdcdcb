"""The linear-Gaussian world: what each modality sees of the shared and of its private parameters.

Sample i of modality k is

    x_i = C_i theta_c + S_i theta_k + eps_i,    eps_i ~ N(0, Sigma_k),

with known design blocks C_i (shared) and S_i (private) (Gupta et al. 2025, eqs. 1-2, with any number of
modalities and any noise covariance). Samples of different modalities are independent: there is no pairing.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import (
    UnknownNameError,
    as_array,
    as_frozen,
    as_instance,
    as_mapping,
    as_names,
    as_symmetric,
    as_whole,
    freeze,
    require_memory,
)
from fisherkit.layout import Layout, check_modality_name
from fisherkit.psd import PSD

__all__ = ["LinearGaussian", "Modality"]

Array = NDArray[np.float64]

#: Noise variances whose squares and reciprocals stay inside float64.
_LEAST_VARIANCE, _LARGEST_VARIANCE = 1e-300, 1e300
_OUT_OF_RANGE = (
    "{:.3g} is out of range, since its square or the reciprocal leaves float64; measure in other units"
)


@dataclass(frozen=True, eq=False)
class Modality:
    """How one modality probes the parameters: design blocks and noise.

    A two-dimensional block is *repeated*: every sample shares it. A three-dimensional block is *per sample*.
    Mixing them broadcasts the repeated one.

    Designs and noise are copied and made read-only: what happens to the arrays given later changes nothing. An array
    that is read-only already (``numpy.load(..., mmap_mode="r")``, or after ``a.flags.writeable = False``) is kept as it
    is, so that designs larger than half of the memory, or than all of it, need no second place. Everything is float64,
    but for float32 per-sample blocks: they are stored as they are, and computed with in float64.

    Args:
        shared: (m, d_c) or (N, m, d_c) design block C of the shared parameters.
        private: (m, d_k) or (N, m, d_k) design block S of the private parameters; None if it has none.
        noise_std: standard deviation of each observed coordinate (the paper's sigma); (m,) if they differ, which is
            kept as `noise_var`.
        noise_var: (m,) variances of the coordinates.
        noise_cov: (m, m) positive definite covariance. At most one of the three; default noise_std=1.

    Raises:
        TypeError: not real numbers, see `fisherkit.arrays`.
        ValueError: wrong shapes, NaN or infinity, noise not positive (definite), or two noise arguments.

    Example:
        >>> image = Modality(np.eye(3)[:, :2], np.ones((3, 1)), noise_std=0.3)
        >>> image
        Modality(obs_dim=3, shared_dim=2, private_dim=1, repeated design, noise std 0.3)
    """

    shared: Array
    private: Array = None  # type: ignore[assignment]
    _: KW_ONLY
    noise_std: float | None = None
    noise_var: Array | None = None
    noise_cov: Array | None = None

    def __post_init__(self) -> None:
        shared = _as_block(self.shared, "shared design")
        if shared.shape[-2] == 0:
            raise ValueError("shared design: zero observed coordinates (m = 0)")
        if shared.ndim == 3 and len(shared) == 0:
            raise ValueError("shared design: zero samples; give at least one design block")
        if self.private is None:
            private = freeze(np.empty((shared.shape[-2], 0)))
        else:
            private = _as_block(self.private, "private design")
        if private.shape[-2] != shared.shape[-2]:
            raise ValueError(
                f"private design: {private.shape[-2]} observed coordinates (shape {private.shape}), "
                f"but the shared design has {shared.shape[-2]} (shape {shared.shape})"
            )
        if shared.ndim == private.ndim == 3 and len(shared) != len(private):
            raise ValueError(
                f"private design: {len(private)} samples, but the shared design has {len(shared)}"
            )
        object.__setattr__(self, "shared", shared)
        object.__setattr__(self, "private", private)
        self._check_noise(shared.shape[-2])

    def _check_noise(self, m: int) -> None:
        given = [n for n in ("noise_std", "noise_var", "noise_cov") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"noise: give one of noise_std, noise_var, noise_cov, not {' and '.join(given)}")
        if not given:
            object.__setattr__(self, "noise_std", 1.0)
            given = ["noise_std"]
        if given == ["noise_std"]:
            std = as_array(self.noise_std, "noise_std", ndim=(0, 1))  # type: ignore[arg-type]
            _check_positive("noise_std", std, m, np.sqrt(_LEAST_VARIANCE), np.sqrt(_LARGEST_VARIANCE))
            object.__setattr__(self, "noise_std", None if std.ndim else float(std))
            if std.ndim:
                object.__setattr__(self, "noise_var", freeze(std**2))
        elif given == ["noise_var"]:
            var = as_frozen(self.noise_var, "noise_var", ndim=1)  # type: ignore[arg-type]
            _check_positive("noise_var", var, m, _LEAST_VARIANCE, _LARGEST_VARIANCE)
            object.__setattr__(self, "noise_var", var)
        else:
            cov = as_symmetric(self.noise_cov, "noise_cov", dim=m)  # type: ignore[arg-type]
            if not _is_definite(cov):
                low, vectors = np.linalg.eigh(cov)
                raise ValueError(
                    f"noise_cov: not positive definite (smallest eigenvalue {low[0]:.3g} along "
                    f"{np.array2string(vectors[:, 0], precision=3, threshold=8)}); drop noiseless combinations of "
                    "coordinates or add measurement noise to them"
                )
            _check_positive("noise_cov", cov.diagonal(), m, _LEAST_VARIANCE, _LARGEST_VARIANCE)
            object.__setattr__(self, "noise_cov", freeze(cov))

    def __repr__(self) -> str:
        kind = "repeated design" if self.repeated else f"{self.n_designs} sample designs"
        if self.noise_std is not None:
            noise = f"noise std {self.noise_std:g}"
        else:
            noise = "noise variances" if self.noise_var is not None else "noise covariance"
        return (
            f"Modality(obs_dim={self.obs_dim}, shared_dim={self.shared_dim}, "
            f"private_dim={self.private_dim}, {kind}, {noise})"
        )

    @property
    def obs_dim(self) -> int:
        """Observed coordinates per sample, m."""
        return self.shared.shape[-2]

    @property
    def shared_dim(self) -> int:
        """Number of shared parameters, d_c."""
        return self.shared.shape[-1]

    @property
    def private_dim(self) -> int:
        """Number of private parameters, d_k."""
        return self.private.shape[-1]

    @property
    def repeated(self) -> bool:
        """Whether all samples share one design block."""
        return self.shared.ndim == self.private.ndim == 2

    @property
    def n_designs(self) -> int | None:
        """Number of per-sample designs N; None for a repeated design (any number of samples)."""
        return None if self.repeated else max(b.shape[0] for b in (self.shared, self.private) if b.ndim == 3)

    def check_count(self, count: int, name: str = "modality") -> None:
        """Raise if this many samples are more than there are designs.

        Args:
            count: number of samples; the first `count` designs are used.
            name: how the message calls the modality.

        Raises:
            ValueError: count exceeds the number of per-sample designs.
        """
        count = as_whole(count, f"{name}: sample count", least=0)
        if self.n_designs is not None and count > self.n_designs:
            raise ValueError(
                f"{name}: {count} samples asked for, but there are only {self.n_designs} per-sample designs; "
                "pass more designs, or one repeated design"
            )

    @cached_property
    def _noise_root(self) -> Array:
        """Lower Cholesky factor of the noise covariance, for the covariance case only."""
        return np.linalg.cholesky(self.noise_cov)  # type: ignore[arg-type]

    @property
    def noise_covariance(self) -> Array:
        """Noise covariance Sigma of one sample, (m, m), whichever way it was given."""
        if self.noise_cov is not None:
            return self.noise_cov
        var = self.noise_var if self.noise_var is not None else np.full(self.obs_dim, self.noise_std) ** 2
        return np.diag(var)

    @cached_property
    def noise_key(self) -> str:
        """Fingerprint of the noise as it was declared: equal keys, equal units of the statistics."""
        declared = self.noise_cov if self.noise_var is None else self.noise_var
        if declared is None:
            return repr(self.noise_std)
        return hashlib.sha256(np.ascontiguousarray(declared, dtype=np.float64).tobytes()).hexdigest()

    def whiten(self, rows: NDArray) -> Array:
        """Multiply by Sigma^(-1/2) (inverse Cholesky factor) along the observed axis, in float64.

        Args:
            rows: (..., m, p), e.g. a design block or an observation with a trailing axis of 1.

        Returns:
            (..., m, p); the noise of whitened observations has unit covariance.

        Raises:
            ValueError: an axis that is not m.
        """
        rows = as_array(rows, "rows", finite=False)  # float64: float32 is for storing only
        if rows.ndim < 2 or rows.shape[-2] != self.obs_dim:
            raise ValueError(f"rows: expected shape (..., {self.obs_dim}, p), got {rows.shape}")
        if self.noise_std is not None:
            return rows / self.noise_std
        if self.noise_var is not None:
            return rows / np.sqrt(self.noise_var)[:, None]
        return np.asarray(np.linalg.solve(self._noise_root, rows), dtype=np.float64)

    def color(self, white: Array) -> Array:
        """Multiply standard normal draws by Sigma^(1/2): noise of this modality.

        Args:
            white: (..., m).

        Returns:
            (..., m) draws with covariance Sigma.

        Raises:
            ValueError: an axis that is not m.
        """
        white = as_array(white, "white", finite=False)
        if not white.ndim or white.shape[-1] != self.obs_dim:
            raise ValueError(f"white: expected shape (..., {self.obs_dim}), got {white.shape}")
        if self.noise_std is not None:
            return white * self.noise_std
        if self.noise_var is not None:
            return white * np.sqrt(self.noise_var)
        return white @ self._noise_root.T

    def design(self, count: int | None = None) -> Array:
        """The joined block [C S].

        Args:
            count: for per-sample designs, how many (default all).

        Returns:
            (m, d_c + d_k) if repeated, else (count, m, d_c + d_k), a float64 copy.
        """
        if self.repeated:
            return np.concatenate([self.shared, self.private], axis=-1)
        n = self.n_designs or 0
        if count is not None:
            self.check_count(count)
            n = int(count)
        blocks = [
            b[:n] if b.ndim == 3 else np.broadcast_to(b, (n, *b.shape)) for b in (self.shared, self.private)
        ]
        return np.concatenate(blocks, axis=-1, dtype=np.float64)


def _as_block(value: Array, name: str) -> Array:
    """A design block to be kept: float64 where all samples share it, float32 or float64 where each has its own."""
    block = as_frozen(value, name, ndim=(2, 3), single=True)
    return block if block.ndim == 3 else as_frozen(block, name)


def _check_positive(name: str, sizes: Array, m: int, least: float, largest: float) -> None:
    """Raise unless there is one size, or one for each observed coordinate, positive and with room for squares."""
    if sizes.ndim and sizes.shape != (m,):
        raise ValueError(f"{name}: expected length {m} (observed coordinates), got {len(sizes)}")
    flat = np.atleast_1d(sizes)
    if (flat <= 0).any():
        which = f" entry {int(flat.argmin())} is {flat.min():.6g};" if sizes.ndim else ""
        raise ValueError(f"{name}:{which} must be positive" + ("" if which else f", got {flat.min():.6g}"))
    wrong = (flat < least) | (flat > largest)
    if wrong.any():
        raise ValueError(f"{name}: {_OUT_OF_RANGE.format(float(flat[wrong][0]))}")


def _is_definite(cov: Array) -> bool:
    """Whether no eigenvalue is negative or rounding; Cholesky factorisation accepts singular matrices by luck."""
    try:
        return PSD.of(cov).rank == len(cov)
    except ValueError:
        return False


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """Modalities by name that share theta_c and keep their private parameters apart.

    Args:
        modalities: {name: Modality}, any number of them, all with the same number of shared parameters.

    Raises:
        TypeError: a value is not a Modality, or a name is not a string.
        ValueError: no modality, the reserved name "shared", or shared blocks of different width.
        MemoryError: a (d, d) matrix does not fit this machine.

    Example:
        >>> model = LinearGaussian({"x": Modality(np.eye(2)), "y": Modality(np.eye(2)[:1], np.ones((1, 1)))})
        >>> model
        LinearGaussian(3 parameters: shared 2 + x 0 + y 1)
        >>> model.slices["y"]
        slice(2, 3, None)
    """

    modalities: Mapping[str, Modality]

    def __post_init__(self) -> None:
        for name, modality in as_mapping(self.modalities, "modalities", "{name: Modality}").items():
            check_modality_name(name)
            as_instance(modality, Modality, name)
        widths = {name: modality.shared_dim for name, modality in self.modalities.items()}
        if len(set(widths.values())) > 1:
            raise ValueError(
                f"shared designs must have the same number of columns (shared parameters), got {widths}; "
                "fill columns a modality does not see with zeros"
            )
        object.__setattr__(self, "modalities", dict(self.modalities))
        d = self.n_params
        require_memory(
            4 * 8 * d * d,
            f"information and covariance of {d} parameters ({d} x {d}); use fewer parameters, or fit blocks of "
            "modalities separately, which",
        )

    def __repr__(self) -> str:
        return f"LinearGaussian({self.n_params} parameters: {self.layout.describe()})"

    def __getitem__(self, name: str) -> Modality:
        if not isinstance(name, str) or name not in self.modalities:
            raise UnknownNameError(name, self.modalities)
        return self.modalities[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names in order."""
        return tuple(self.modalities)

    @cached_property
    def layout(self) -> Layout:
        """Where each parameter block lies in theta."""
        shared_dim = next(iter(self.modalities.values())).shared_dim
        return Layout(shared_dim, {name: m.private_dim for name, m in self.modalities.items()})

    @property
    def slices(self) -> dict[str, slice]:
        """{"shared" or modality: slice into theta}."""
        return self.layout.slices

    @property
    def shared_dim(self) -> int:
        """Number of shared parameters, d_c."""
        return self.layout.shared_dim

    @property
    def n_params(self) -> int:
        """Number of all parameters, d."""
        return self.layout.n_params

    def subset(self, names: Iterable[str]) -> "LinearGaussian":
        """The model with only these modalities (their order kept, the others' private blocks gone).

        Args:
            names: modality names.

        Returns:
            Smaller model; the Modality objects are shared with this one.
        """
        wanted = as_names(names, self.names)
        return LinearGaussian({name: m for name, m in self.modalities.items() if name in wanted})
