"""What one sample is worth by Fisher information: marginal values, exchange rates, and isolines.

The effective information about theta_c (private parameters unknown) is M(n) = sum_k n_k S_k, and a criterion
phi of it (`fisherkit.criteria`) is what samples are bought for. One more sample of k is worth -d phi / d n_k;
the exchange rate is the ratio of two such values, the marginal rate of substitution of Gupta et al. 2025,
section 4.4; an isoline is a level set of phi over two counts. Counts are real numbers >= 0. A modality with
per-sample designs enters with its average one, S_k = (information of all its designs) / N, as
`fisherkit.levels.CountCriterion` says: answers are about average samples, but never finite where the first ones,
which would be taken, leave what is asked undetermined.

`ExchangeSurface` asks the same questions with the methods that `fisherkit.exchange_fit` offers for measured
accuracy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_number, as_pair
from fisherkit.criteria import Criterion, as_criterion
from fisherkit.isolines import Isoline, check_axes, isoline, ratio
from fisherkit.levels import Amounts, CountCriterion, as_amounts
from fisherkit.model import LinearGaussian
from fisherkit.reaching import reached

__all__ = ["ExchangeSurface", "Isoline", "equivalent_count", "exchange_rate", "isoline", "marginal_value"]

Array = NDArray[np.float64]


def marginal_value(
    model: LinearGaussian, counts: Amounts, criterion: str | Criterion = "A"
) -> dict[str, float]:
    """What one more sample of each modality is worth: -d phi / d n_k at these counts.

    One-sided derivatives (more samples, not fewer), exact also at counts of zero, where the information is
    singular and where the criterion is not smooth (`Criterion.marginal_value`).

    Args:
        model: the world.
        counts: {modality: number of samples}, real and >= 0; names left out count zero; or one number for
            all.
        criterion: "A", "D", "E", or ``c_criterion(v)`` with v of length d_c.

    Returns:
        {modality: value >= 0}, units of phi per sample; exactly 0 for a modality that adds nothing to what is
        asked. Where phi is infinite at these counts: +infinity for a modality that makes it finite alone, 0
        for others.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"image": Modality([[1.0]]), "text": Modality([[1.0]], noise_std=3.0)})
        >>> {name: round(value, 6) for name, value in marginal_value(model, {"image": 4, "text": 9}).items()}
        {'image': 0.04, 'text': 0.004444}
    """
    return CountCriterion(model, as_criterion(criterion)).marginal_values(as_amounts(counts, model.names))


def exchange_rate(
    model: LinearGaussian, counts: Amounts, *, of: str, in_: str, criterion: str | Criterion = "A"
) -> float:
    """How many samples of `in_` one sample of `of` replaces at the margin.

    The ratio of their marginal values. Below one, a sample of `in_` is worth more. The slope of the isoline
    through `counts` is minus this number.

    Args:
        model: the world.
        counts: {modality: number of samples}, real and >= 0, or one number for all.
        of: modality whose sample is exchanged, e.g. "text".
        in_: modality in whose samples it is priced, e.g. "image".
        criterion: "A", "D", "E", or ``c_criterion(v)``.

    Returns:
        Samples of `in_` per sample of `of`: 0 where `of` is worth nothing, +infinity where only `of` is worth
        something.

    Raises:
        UnknownNameError: no such modality or criterion.
        ValueError: 0 / 0 or infinity / infinity, with the reason.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"image": Modality([[1.0]]), "text": Modality([[1.0]], noise_std=3.0)})
        >>> round(exchange_rate(model, 5, of="text", in_="image"), 6)  # nine sentences make an image
        0.111111
    """
    phi = as_criterion(criterion)
    world = CountCriterion(model, phi)
    model[of], model[in_]
    amounts = as_amounts(counts, model.names)
    values = world.marginal_values(amounts)
    if not values[of] and not values[in_]:
        why = "neither adds anything to what is asked"
        if not np.isfinite(world.value(amounts)):
            why = "what is asked is not estimable, nor with more samples of either alone; add others first"
        elif phi.name == "E" and not phi.smooth_at(world.total(amounts)):
            why = "the worst direction is not unique and neither alone improves all of them; try 'A'"
        raise ValueError(f"exchange rate of {of!r} in {in_!r}: undefined (0 / 0) at these counts: {why}")
    if np.isinf(values[of]) and np.isinf(values[in_]):
        raise ValueError(
            f"exchange rate of {of!r} in {in_!r}: undefined at these counts: what is asked is not estimable "
            "yet, and a first sample of either changes that; ask at counts where it is"
        )
    return ratio(values[of], values[in_])


def equivalent_count(
    model: LinearGaussian,
    counts: Amounts,
    *,
    of: str,
    in_: str,
    criterion: str | Criterion = "A",
    replaced: float | None = None,
) -> float:
    """How many more samples of `in_` make up for samples of `of` that are taken away: the finite exchange.

    Solves phi(counts - replaced of + r in_) = phi(counts) for r, in closed form where only `in_` is left.

    Args:
        model: the world.
        counts: {modality: number of samples} with the samples of `of`, real and >= 0, or one number for all.
        of: modality that is taken away, e.g. "text".
        in_: modality that replaces it, e.g. "image".
        criterion: "A", "D", "E", or ``c_criterion(v)``.
        replaced: how many samples of `of` go; default all of them.

    Returns:
        r >= 0 samples of `in_`; +infinity where no number of them will do.

    Raises:
        UnknownNameError: no such modality or criterion.
        ValueError: `of` is `in_`, more replaced than there are, or phi is infinite at these counts.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"image": Modality([[1.0]]), "text": Modality([[1.0]], noise_std=3.0)})
        >>> round(equivalent_count(model, {"image": 10, "text": 90}, of="text", in_="image"), 9)
        10.0
    """
    world = CountCriterion(model, as_criterion(criterion))
    model[of], model[in_]
    if of == in_:
        raise ValueError(f"of and in_ are both {of!r}; name two modalities")
    amounts = as_amounts(counts, model.names)
    gone = amounts[of] if replaced is None else float(as_array(replaced, "replaced", ndim=0))
    if not 0 <= gone <= amounts[of]:
        raise ValueError(
            f"replaced: must lie between 0 and the {amounts[of]:g} samples of {of}, got {gone:g}"
        )
    level = world.finite_value(amounts)
    left = {**amounts, of: amounts[of] - gone}
    if world.determined(left) and reached(world.criterion, world.total(left), level):
        return 0.0  # what is taken away was worth nothing
    if all(name == in_ or not n for name, n in left.items()):
        return max(0.0, world.reach({}, {in_: 1.0}, level) - left[in_])
    return world.reach(left, {in_: 1.0}, level)


@dataclass(frozen=True, eq=False)
class ExchangeSurface:
    """phi over the counts of two modalities, with the methods of the surfaces fitted to measured accuracy.

    Args:
        model: the world.
        criterion: "A", "D", "E", or ``c_criterion(v)``.
        axes: (x, y) modalities.
        collected: samples that are there in any case; n_x and n_y count further ones.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"image": Modality([[1.0]]), "text": Modality([[1.0]], noise_std=3.0)})
        >>> surface = ExchangeSurface(model)
        >>> surface.predict([1, 0], 9).round(6), surface.rate(1, 9).round(6)
        (array([0.5, 1. ]), np.float64(0.111111))
        >>> surface.isoline(0.25, [0, 9]).round(6)
        array([4., 3.])
    """

    model: LinearGaussian
    criterion: str | Criterion = "A"
    axes: tuple[str, str] = ("image", "text")
    collected: Mapping[str, float] | None = None

    @cached_property
    def _world(self) -> CountCriterion:
        check_axes(self.model, self.axes)
        return CountCriterion(self.model, as_criterion(self.criterion))

    def _at(self, n_x: float, n_y: float) -> dict[str, float]:
        collected = {} if self.collected is None else self.collected
        amounts = as_amounts(collected, self.model.names)
        for name, n in as_amounts(dict(zip(self.axes, (n_x, n_y), strict=True)), self.axes).items():
            amounts[name] += n
        return amounts

    def predict(self, n_x: ArrayLike, n_y: ArrayLike) -> Array:
        """The criterion at these counts.

        Args:
            n_x: counts of x.
            n_y: counts of y; the two broadcast.

        Returns:
            phi, +infinity where something asked for is not estimable.
        """
        return _each(lambda x, y: self._world.value(self._at(x, y)), n_x, n_y)

    def rate(self, n_x: ArrayLike, n_y: ArrayLike) -> Array:
        """Exchange rate at these counts, samples of x per sample of y.

        Args:
            n_x: counts of x.
            n_y: counts of y; the two broadcast.

        Returns:
            Rates >= 0; +infinity where only y is worth something, nan where the rate is undefined.
        """

        def one(x: float, y: float) -> float:
            values = self._world.marginal_values(self._at(x, y))
            return ratio(values[self.axes[1]], values[self.axes[0]])

        return _each(one, n_x, n_y)

    def isoline(self, level: float, n_y: ArrayLike) -> Array:
        """Counts of x that reach the level beside n_y samples of y.

        Args:
            level: value of the criterion.
            n_y: counts of y.

        Returns:
            Counts of x, shape of n_y: 0 where y reaches the level alone, +infinity where no number of x does.
        """
        level, x = as_number(level, "level"), self.axes[0]
        return _each(
            lambda y, _: self._world.reach(self._at(0.0, y), {x: 1.0}, level), as_array(n_y, "n_y"), 0.0
        )


def _each(function: Callable[[float, float], float], n_x: ArrayLike, n_y: ArrayLike) -> Array:
    """The function at each pair of the broadcast counts."""
    x, y = as_pair(n_x, n_y)
    values = [function(float(a), float(b)) for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    return np.array(values).reshape(x.shape)[()]
