"""How sure an exchange rate is when noise variances are estimated: intervals for `fisherkit.exchange.exchange_rate`.

Designs are known, noise is not. With s_k^2 the residual variance of modality k on nu_k degrees of freedom,
nu_k s_k^2 / sigma_k^2 is chi-squared, independently for each modality. A rate does not change when all noise variances are
multiplied by one number, so with two modalities it is a function of sigma_y^2 / sigma_x^2 alone, whose confidence
interval from the F distribution is exact; the interval of the rate is the image of that one. With more modalities the
image of a box of chi-squared intervals is taken, each at level^(1/K) (Sidak 1967): at least the level.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.accumulation import accumulate
from fisherkit.checks import as_array
from fisherkit.criteria import Criterion, as_criterion
from fisherkit.exchange import exchange_rate
from fisherkit.levels import Amounts, CountCriterion, as_amounts
from fisherkit.model import LinearGaussian
from fisherkit.samples import Samples
from fisherkit.statistics import Statistics

__all__ = ["RateInterval", "exchange_rate_interval"]

Array = NDArray[np.float64]

#: Noise ratios at which the rate is looked at, between the ends of their interval.
_STEPS = 33
#: Points inside the box of more than two noise variances, beside its corners and its middle, in each coordinate.
_INNER = 5
#: More points than that are drawn at random instead.
_MOST = 4096


@dataclass(frozen=True)
class RateInterval:
    """An exchange rate with its confidence interval, noise variances estimated.

    Attributes:
        rate: at the estimated noise, samples of `in_` per sample of `of`.
        low: lower end.
        high: upper end.
        level: coverage, exact for two modalities where the rate is monotone in their noise ratio, at least that otherwise.
        degrees_of_freedom: {modality: of its residual variance}.
        noise_scale: {modality: estimated noise std in units of the declared one}.
    """

    rate: float
    low: float
    high: float
    level: float
    degrees_of_freedom: Mapping[str, int]
    noise_scale: Mapping[str, float]

    def __repr__(self) -> str:
        return f"RateInterval({self.rate:.4g} [{self.low:.4g}, {self.high:.4g}], {100 * self.level:g}%)"


def exchange_rate_interval(
    model: LinearGaussian,
    data: Samples | Statistics,
    counts: Amounts,
    *,
    of: str,
    in_: str,
    criterion: str | Criterion = "A",
    level: float = 0.95,
) -> RateInterval:
    """Exchange rate at these counts with noise variances estimated from data, and its confidence interval.

    Args:
        model: the world; of its noise only the shape is believed, each modality has a scale of its own.
        data: samples of each modality that carries information, or their statistics; a single data set.
        counts: {modality: number of samples} at which the rate is asked, real and >= 0, or one number for all.
        of: modality whose sample is exchanged.
        in_: modality in whose samples it is priced.
        criterion: "A", "D", "E", or ``c_criterion(v)``.
        level: coverage, in (0, 1).

    Returns:
        Rate and interval.

    Raises:
        UnknownNameError: no such modality or criterion.
        TypeError: data of another type.
        ValueError: replicates; a modality at these counts without data or without degrees of freedom; level outside
            (0, 1); or an undefined rate (`fisherkit.exchange.exchange_rate`).

    Example:
        >>> from fisherkit import LinearGaussian, Modality, simulate
        >>> model = LinearGaussian({"image": Modality([[1.0]]), "text": Modality([[1.0]], noise_std=3.0)})
        >>> data = simulate(model, 50, seed=0)
        >>> exchange_rate_interval(model, data, 50, of="text", in_="image")  # known noise: 1/9
        RateInterval(0.1841 [0.1044, 0.3243], 95%)
    """
    level = float(as_array(level, "level", ndim=0))
    if not 0 < level < 1:
        raise ValueError(f"level: must lie in (0, 1), got {level}")
    if isinstance(data, Samples):
        data = accumulate(data)
    if not isinstance(data, Statistics):
        raise TypeError(f"data: expected Samples or Statistics, got {type(data).__name__}")
    phi = as_criterion(criterion)
    amounts = as_amounts(counts, model.names)
    exchange_rate(model, amounts, of=of, in_=in_, criterion=phi)  # refuses what has no rate, with the reason
    names = [name for name in model.names if amounts[name] or name in (of, in_)]
    variance, freedom = _noise(data, names)
    world = CountCriterion(model, phi)

    def rate(noise: Array) -> float:
        # n samples at s^2 times the declared noise tell as much as n / s^2 at the declared one
        scale = dict(zip(names, noise.tolist(), strict=True))
        values = world.marginal_values({name: amounts[name] / scale[name] for name in names})
        gain, price = values[of] / scale[of], values[in_] / scale[in_]
        return gain / price if price else np.inf

    estimate = rate(variance)
    found = [rate(noise) for noise in _noises(variance, freedom, level)] if len(names) > 1 else []
    return RateInterval(
        estimate,
        min([estimate, *found]),
        max([estimate, *found]),
        level,
        dict(zip(names, freedom.tolist(), strict=True)),
        dict(zip(names, np.sqrt(variance).tolist(), strict=True)),
    )


def _noise(data: Statistics, names: list[str]) -> tuple[Array, NDArray[np.intp]]:
    """Residual variance of each modality in units of the declared one, and its degrees of freedom."""
    variances, freedoms = [], []
    for name in names:
        if name not in data.modalities:
            raise ValueError(f"{name}: no data to estimate its noise from; give samples of it")
        root = data.modalities[name].root()
        if root.lead:
            raise ValueError(
                f"data: {' x '.join(map(str, root.lead))} replicates; give one data set at a time"
            )
        rank, rss = root.own_fit()
        if root.n_obs <= rank:
            raise ValueError(
                f"{name}: {root.n_obs} observations cannot estimate a noise variance beside {rank} parameters; collect "
                "more samples"
            )
        if not rss > 0:
            raise ValueError(
                f"{name}: the samples fit exactly, so that their noise cannot be estimated; a rate at known noise is "
                "exchange_rate's"
            )
        variances.append(float(rss) / (root.n_obs - rank))
        freedoms.append(root.n_obs - rank)
    return np.array(variances), np.array(freedoms)


def _noises(variance: Array, freedom: NDArray[np.intp], level: float) -> Array:
    """Noise variances (n, K) at which the rate is looked at: a confidence set, up to a common factor."""
    from scipy.stats import chi2, f, qmc

    tail = (1 - level) / 2
    if len(variance) == 2:
        low, high = f.ppf([tail, 1 - tail], freedom[1], freedom[0])
        ratios = variance[1] / variance[0] / np.geomspace(high, low, _STEPS)
        return np.stack([np.ones(_STEPS), ratios], axis=1)
    tail = (1 - level ** (1 / len(variance))) / 2
    ends = np.log(variance * freedom / np.stack([chi2.ppf(1 - tail, freedom), chi2.ppf(tail, freedom)]))
    if (_INNER + 2) ** len(variance) <= _MOST:
        shares = np.array(list(itertools.product(np.linspace(0, 1, _INNER + 2), repeat=len(variance))))
    else:
        corners = np.array(list(itertools.product((0.0, 1.0), repeat=min(len(variance), 10))))
        corners = np.pad(corners, ((0, 0), (0, len(variance) - corners.shape[1])), constant_values=0.5)
        shares = np.concatenate([corners, qmc.Sobol(len(variance), scramble=False).random(_MOST)])
    return np.asarray(np.exp(ends[0] + shares * (ends[1] - ends[0])), dtype=np.float64)
