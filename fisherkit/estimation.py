"""Maximum likelihood in closed form: generalised least squares from any subset of unpaired modalities.

With Gaussian noise of known covariance the maximum-likelihood estimate of theta is weighted least squares, each
modality in units of its own noise. The paper's unweighted joint least squares (Gupta et al. 2025, C.2) is the
maximum-likelihood estimate only if all noises are equal; it is here to show when it hurts.

Everything that is estimable is answered in coordinates that do not know the units of theta (`fisherkit.weighted`); theta
itself, and its covariance, are assembled from them at the end.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.accumulation import accumulate
from fisherkit.checks import UnknownNameError, as_choice, as_fraction, as_names
from fisherkit.directions import as_directions
from fisherkit.intervals import half_width, satterthwaite, student_quantile
from fisherkit.layout import SHARED, Layout
from fisherkit.noise_scale import likelihood_variances
from fisherkit.psd import PSD
from fisherkit.regions import Region, ellipsoid
from fisherkit.samples import Samples
from fisherkit.spread import Spread
from fisherkit.statistics import GRAM_CONDITION, RootStatistics, Statistics
from fisherkit.weighted import ConditioningWarning, WeightedProblem

__all__ = ["ConditioningWarning", "Estimate", "fit"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimate of theta with its covariance and with what can be estimated at all.

    Directions v, of which v'theta is asked, are (d,) or (d, n) over all parameters, or (d_c,) or (d_c, n) over the
    shared ones.

    Attributes:
        theta: (..., d) estimate, the minimum-norm one where not everything is estimable (`value` is exact for what is);
            leading axes are replicates.
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
        >>> np.abs(x_only.null_basis.round(3))
        array([[0.],
               [1.]])
    """

    theta: Array
    layout: Layout
    counts: Mapping[str, int]
    precision: PSD
    noise_scale: Mapping[str, Array]
    condition: float
    _phi: Array  # (..., r), theta in the coordinates of the problem
    _lifted: Array  # (..., d), basis phi: theta before it is moved along the null space
    _spread: Spread  # weights, and the noise that `variance` and `covariance` speak of
    _adaptive: bool  # whether the weights were estimated
    _known: bool  # whether the noise is known

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
        """Covariance of theta, (..., d, d); a parameter that is not estimable has variance inf, covariances nan.

        Noise variances that were estimated (`noise_scale`) are taken for the true ones, as in `variance`.
        """
        lost = ~self.estimable(np.eye(self.precision.dim))
        covariance = self._spread.covariance(self._spread.problem.basis.T)
        covariance[..., lost, :] = np.nan
        covariance[..., :, lost] = np.nan
        index = np.flatnonzero(lost)
        covariance[..., index, index] = np.inf
        return covariance

    def estimable(self, directions: ArrayLike) -> NDArray[np.bool_]:
        """Whether v'theta can be estimated from these samples: v in the range of the information.

        Args:
            directions: (d,) or (d, n), or shared only.

        Returns:
            Boolean scalar array or (n,).
        """
        return self.precision.contains(as_directions(directions, self.layout))

    def value(self, directions: ArrayLike) -> Array:
        """Estimate of v'theta, right also where parameters differ in size so much that theta @ v would cancel.

        Args:
            directions: (d,) or (d, n), or shared only.

        Returns:
            (...) or (..., n), parameter units; nan where v'theta is not estimable.
        """
        u, inside, shape = self._ask(directions)
        return _shaped(np.where(inside, self._value(directions, u), np.nan), shape)

    def variance(self, directions: ArrayLike) -> Array:
        """Variance of the estimate of v'theta; +infinity where v'theta is not estimable.

        Noise variances that were estimated (`noise_scale`) are taken for the true ones: what estimating them costs is
        in `interval` and `region`, not here.

        Args:
            directions: (d,) or (d, n), or shared only.

        Returns:
            (...) or (..., n), parameter units squared.
        """
        u, inside, shape = self._ask(directions)
        spread = self._spread.parts(u).sum(axis=-2)
        return _shaped(np.where(inside, spread, np.inf), shape)

    def std_error(self, directions: ArrayLike) -> Array:
        """Square root of `variance`.

        Args:
            directions: (d,) or (d, n), or shared only.

        Returns:
            (...) or (..., n), parameter units.
        """
        return np.sqrt(self.variance(directions))

    def degrees_of_freedom(self, directions: ArrayLike) -> Array:
        """Degrees of freedom behind the estimated variance of v'theta (Satterthwaite 1946).

        Args:
            directions: (d,) or (d, n), or shared only.

        Returns:
            (...) or (..., n); infinite for known noise, n_obs - rank for one modality.

        Raises:
            ValueError: a modality has no more observations than parameters.
        """
        u, _, shape = self._ask(directions)
        if self._known:
            return np.full(shape, np.inf)
        own = self._own
        return _shaped(satterthwaite(own.parts(u), own.problem.degrees), shape)

    def interval(self, directions: ArrayLike, level: float = 0.95) -> tuple[Array, Array]:
        """Confidence interval of v'theta; the whole line where it is not estimable.

        Exact for known noise (normal) and for one modality with estimated noise (Student's t); for several with
        estimated noise see `fisherkit.intervals`. Its noise variances are those of noise="dof" always: maximum-likelihood
        ones are too small by the degrees of freedom that theta takes. So the half-width is not a multiple of
        `std_error`.

        Args:
            directions: (d,) or (d, n), or shared only.
            level: coverage, in (0, 1).

        Returns:
            Lower and upper ends, each (...) or (..., n).

        Raises:
            ValueError: level outside (0, 1), or a modality without degrees of freedom for its noise.
        """
        level = as_fraction(level, "level")
        u, inside, shape = self._ask(directions)
        half = np.where(inside, self._half_width(u, level), np.inf)
        centre = np.where(inside, self._value(directions, u), 0.0)
        return _shaped(centre - half, shape), _shaped(centre + half, shape)

    def region(self, directions: ArrayLike, level: float = 0.95) -> Region:
        """Joint confidence region of several v'theta: an ellipsoid.

        Exact for known noise (chi-square) and one modality with estimated noise (F); for several modalities the
        axes are as long as `interval` says for each, with F at the harmonic mean of their degrees of freedom.

        Args:
            directions: (d,) or (d, n), or shared only; they may depend on each other.
            level: coverage, in (0, 1).

        Returns:
            The region.

        Raises:
            ValueError: level outside (0, 1), a direction that is not estimable, or a modality without degrees of freedom.
        """
        level = as_fraction(level, "level")
        u, inside, _ = self._ask(directions)
        if not inside.all():
            raise ValueError(
                f"directions: number {int((~inside).argmax())} is not estimable, so that the region has no end there; "
                "ask about estimable ones"
            )
        spread = self._spread if self._known else self._own
        return ellipsoid(
            self._value(directions, u),
            spread,
            u,
            level,
            estimated=None if self._known else lambda axes: self._half_width(axes, level),
            resolution=self.precision.resolution,
        )

    def _ask(self, directions: ArrayLike) -> tuple[Array, NDArray[np.bool_], tuple[int, ...]]:
        """Directions as u = W'v, (r, n), whether each is estimable, (n,), and the last axes of the answer."""
        v = as_directions(directions, self.layout)
        columns = v.reshape(len(v), -1)
        basis = self._spread.problem.basis
        u, rounding = basis.T @ columns, 4 * np.finfo(np.float64).eps * (np.abs(basis).T @ np.abs(columns))
        return np.where(np.abs(u) > rounding, u, 0.0), self.precision.contains(columns), v.shape[1:]

    def _value(self, directions: ArrayLike, u: Array) -> Array:
        """(..., n), by the parameters or by their coordinates, whichever rounding can move less."""
        v = as_directions(directions, self.layout).reshape(self.precision.dim, -1)
        sizes = np.abs(self._lifted) @ np.abs(v)
        moved = np.linalg.norm(self._phi, axis=-1)[..., None] * np.linalg.norm(u, axis=0)
        return np.where(
            sizes <= self._spread.problem.precision.condition * moved, self._lifted @ v, self._phi @ u
        )

    @cached_property
    def _own(self) -> Spread:
        """The same weights, or those of noise="dof", with noise variances from each modality alone."""
        problem = self._spread.problem
        scale = problem.own_variances()
        return Spread(problem, 1 / scale if self._adaptive else self._spread.weights, scale)

    def _half_width(self, u: Array, level: float) -> Array:
        if self._known:
            return student_quantile(np.asarray(np.inf), level) * np.sqrt(self._spread.parts(u).sum(axis=-2))
        return half_width(self._own, self._own.problem.degrees, u, level, adaptive=self._adaptive)


def _shaped(answers: Array, shape: tuple[int, ...]) -> Array:
    """Answers to n directions, (..., n), with the last axes that the directions had."""
    return np.asarray(answers.reshape((*answers.shape[:-1], *shape)))


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
        scale = problem.residual_variances(problem.solve(weights, ones)[0])
    precision = problem.precision
    relative = scale
    adaptive = weighting == "gls" and noise != "known"
    if adaptive:
        problem, unit = problem.in_units_of(scale)
        relative = scale / unit
        weights = 1 / relative
    theta, phi = problem.solve(weights, relative)
    lifted = theta
    if precision.rank < precision.dim:  # what is estimable by itself has no part in the null space
        alone = precision.contains(np.eye(precision.dim))
        theta = np.where(alone, theta, precision.minimum_norm(theta))
    return Estimate(
        theta,
        statistics.layout,
        {n: roots[n].n_samples if n in roots else 0 for n in statistics.layout.names},
        precision,
        {name: np.sqrt(scale[..., k]) for k, name in enumerate(names)},
        precision.condition,
        phi,
        lifted,
        Spread(problem, weights, relative),
        adaptive,
        noise == "known",
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
