"""Maximum likelihood in closed form: generalised least squares from any subset of unpaired modalities.

With Gaussian noise of known covariance the maximum-likelihood estimate of theta is weighted least squares, each
modality in units of its own noise. The paper's unweighted joint least squares (Gupta et al. 2025, C.2) is the
maximum-likelihood estimate only if all noises are equal; it is here to show when it hurts.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.accumulation import accumulate
from fisherkit.checks import UnknownNameError, as_array, as_choice, as_fraction, as_names
from fisherkit.layout import SHARED, Layout
from fisherkit.noise_scale import likelihood_variances
from fisherkit.psd import PSD
from fisherkit.samples import Samples
from fisherkit.statistics import GRAM_CONDITION, RootStatistics, Statistics
from fisherkit.weighted import ConditioningWarning, WeightedProblem

__all__ = ["ConditioningWarning", "Estimate", "fit"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimate of theta with its covariance and with what can be estimated at all.

    Attributes:
        theta: (..., d) estimate, the minimum-norm one where not everything is estimable; leading axes are
            replicates.
        layout: where each block lies in theta.
        counts: {modality: samples used}.
        precision: information of the samples used at the declared noise: rank, range and null space.
        noise_scale: {modality: (...) noise std in units of the declared one}; 1 where the noise is taken as known.
        condition: condition number of the unit-column design on its range.

    Example:
        >>> from fisherkit import LinearGaussian, Modality, Samples, fit
        >>> model = LinearGaussian({"x": Modality([[1.0, 0.0]]), "y": Modality([[0.0, 1.0]], noise_std=0.5)})
        >>> x_only = fit(Samples(model, {"x": [[2.0], [4.0]]}))
        >>> x_only.theta, x_only.std_error([1.0, 0.0]).round(3), x_only.std_error([1.0, 1.0])
        (array([3., 0.]), np.float64(0.707), np.float64(inf))
        >>> x_only.null_basis.round(3) + 0.0
        array([[0.],
               [1.]])
    """

    theta: Array
    layout: Layout
    counts: Mapping[str, int]
    precision: PSD
    noise_scale: Mapping[str, Array]
    condition: float
    _spread: Array  # (..., d, d): covariance on range(information), zero outside it

    def __getitem__(self, name: str) -> Array:
        if not isinstance(name, str) or name not in self.layout.slices:
            raise UnknownNameError(name, self.layout.slices, "parameter block")
        return self.theta[..., self.layout.slices[name]]

    def __repr__(self) -> str:
        used = " + ".join(f"{n} {name}" for name, n in self.counts.items() if n)
        missing = self.precision.dim - self.precision.rank
        return (
            f"Estimate({self.precision.dim} parameters ({self.layout.describe()}) from {used} samples; "
            f"{'all estimable' if not missing else f'{missing} directions not estimable'}, "
            f"condition {self.condition:.3g})"
        )

    @property
    def shared(self) -> Array:
        """Estimate of the shared parameters, (..., d_c)."""
        return self[SHARED]

    @property
    def null_basis(self) -> Array:
        """Orthonormal basis, (d, d - rank), of the directions about which the samples say nothing."""
        return self.precision.null_basis

    @cached_property
    def covariance(self) -> Array:
        """Covariance of theta, (..., d, d); a parameter that is not estimable has variance inf, covariances nan."""
        lost = ~self.estimable(np.eye(self.precision.dim))
        covariance = self._spread.copy()
        covariance[..., lost, :] = np.nan
        covariance[..., :, lost] = np.nan
        index = np.flatnonzero(lost)
        covariance[..., index, index] = np.inf
        return covariance

    def estimable(self, directions: ArrayLike) -> NDArray[np.bool_]:
        """Whether v'theta can be estimated from these samples: v in the range of the information.

        Args:
            directions: (d,) or (d, n) directions.

        Returns:
            Boolean scalar array or (n,).
        """
        return self.precision.contains(directions)

    def variance(self, directions: ArrayLike) -> Array:
        """Variance of the estimate of v'theta; +infinity where v'theta is not estimable.

        Args:
            directions: (d,) or (d, n) directions.

        Returns:
            (...) or (..., n), parameter units squared.
        """
        inside = self.estimable(directions)
        v = as_array(directions, "direction")
        spread = (
            np.einsum("i...,...ij,j...->...", v, self._spread, v)
            if v.ndim == 1
            else (np.einsum("in,...ij,jn->...n", v, self._spread, v))
        )
        return np.where(inside, spread, np.inf)

    def std_error(self, directions: ArrayLike) -> Array:
        """Square root of `variance`.

        Args:
            directions: (d,) or (d, n) directions.

        Returns:
            (...) or (..., n), parameter units.
        """
        return np.sqrt(self.variance(directions))

    def interval(self, directions: ArrayLike, level: float = 0.95) -> tuple[Array, Array]:
        """Normal confidence interval of v'theta; the whole line where it is not estimable.

        Exact for known noise; for estimated noise it is the large-sample interval.

        Args:
            directions: (d,) or (d, n) directions.
            level: coverage, in (0, 1).

        Returns:
            Lower and upper ends, each (...) or (..., n).

        Raises:
            ValueError: level outside (0, 1).
        """
        level = as_fraction(level, "level")
        half = NormalDist().inv_cdf((1 + level) / 2) * self.std_error(directions)
        centre = self.theta @ as_array(directions, "direction")
        return centre - half, centre + half


def fit(
    data: Samples | Statistics,
    *,
    modalities: Iterable[str] | None = None,
    noise: str = "known",
    weighting: str = "gls",
) -> Estimate:
    """Joint estimate of the shared and all private parameters from unpaired samples.

    Args:
        data: samples, or their sufficient statistics (accumulated in chunks, or simulated).
        modalities: which to use, default all that are there.
        noise: "known" takes the declared noise; "ml" multiplies each modality's by a scale estimated by joint maximum
            likelihood (which may have several maxima where modalities contradict each other: the best of those reached
            from K + 1 starts, the fit of all K modalities and a fit that believes each of them); "dof" by one estimated from that modality alone, corrected for degrees of freedom (feasible
            generalised least squares: one pass, unbiased variances).
        weighting: "gls" weighs modalities by their precision (maximum likelihood); "unweighted" is the paper's joint
            least squares, with its true covariance.

    Returns:
        Estimate; a batch of them if the data are replicates.

    Raises:
        TypeError: data of another type.
        UnknownNameError: a modality that has no data.
        ValueError: unknown option; too few observations, or residuals without digits, to estimate a noise;
            "unweighted" for noise that was not declared as one std.

    Example:
        >>> from fisherkit import LinearGaussian, Modality, simulate
        >>> eye = np.eye(2)
        >>> model = LinearGaussian({"x": Modality(eye, noise_std=1.0), "y": Modality(eye, noise_std=3.0)})
        >>> data = simulate(model, 1, seed=0)
        >>> [float(fit(data, **how).variance([1.0, 0.0]).round(6)) for how in
        ...  ({"modalities": ["x"]}, {}, {"weighting": "unweighted"})]
        [1.0, 0.9, 2.5]
    """
    as_choice(noise, ("known", "ml", "dof"), "noise")
    as_choice(weighting, ("gls", "unweighted"), "weighting")
    if isinstance(data, Samples):
        data = accumulate(data if modalities is None else data.subset(modalities))
    if not isinstance(data, Statistics):
        raise TypeError(f"data: expected Samples or Statistics, got {type(data).__name__}")
    statistics = data
    names = list(statistics.modalities) if modalities is None else _chosen(modalities, statistics)
    if not names:
        raise ValueError("no modality to fit: give statistics of at least one")
    roots = {name: statistics.modalities[name].root() for name in names}
    for name, root in roots.items():
        _warn_if_digits_lost(name, root)
    problem = WeightedProblem.of(statistics.layout, roots)
    ones = np.ones(len(names))
    weights = ones
    if weighting == "unweighted":  # relative to the largest, so that squares stay in range
        std = np.array([_declared_std(statistics, name) for name in names])
        weights = (std / std.max()) ** 2
    # scale: noise variance of each modality in units of the declared one, (..., K)
    if noise == "known":
        scale = ones
    elif noise == "dof":
        scale = problem.own_variances()
    elif weighting == "gls":
        scale = likelihood_variances(problem)
    else:
        scale = problem.residual_variances(problem.solve(weights, ones))
    precision = problem.precision
    relative = scale
    if weighting == "gls" and noise != "known":
        problem, unit = problem.in_units_of(scale)
        relative = scale / unit
        weights = 1 / relative
    theta = problem.solve(weights, relative)
    return Estimate(
        theta,
        statistics.layout,
        {n: roots[n].n_samples if n in roots else 0 for n in statistics.layout.names},
        precision,
        {name: np.sqrt(scale[..., k]) for k, name in enumerate(names)},
        precision.condition,
        problem.covariance(weights, relative),
    )


def _chosen(modalities: Iterable[str], statistics: Statistics) -> list[str]:
    wanted = as_names(modalities, statistics.modalities, "modality with data")
    return [name for name in statistics.modalities if name in wanted]


def _declared_std(statistics: Statistics, name: str) -> float:
    std = statistics.noise_std[name]
    if std is None:
        raise ValueError(
            f"{name}: unweighted least squares needs the noise declared as noise_std; with variances or a covariance "
            "the coordinates would have to be weighted anyway"
        )
    return std


def _warn_if_digits_lost(name: str, root: RootStatistics) -> None:
    if root.digits_lost <= GRAM_CONDITION:
        return
    lost = "the rank was" if np.isinf(root.digits_lost) else f"condition {root.digits_lost:.2g} was"
    warnings.warn(
        f"{name}: {lost} decided from a Gram matrix, which squares the condition number: directions weaker than "
        "1e-6 of the strongest cannot be told from zero; accumulate with method='auto' or 'qr'",
        ConditioningWarning,
        stacklevel=3,
    )
