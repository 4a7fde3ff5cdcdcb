"""What one sample is worth by Fisher information: marginal values, exchange rates, and isolines.

The effective information about theta_c (private parameters unknown) is M(n) = sum_k n_k S_k, and a criterion
phi of it (`fisherkit.criteria`) is what samples are bought for. One more sample of k is worth -d phi / d n_k;
the exchange rate is the ratio of two such values, the marginal rate of substitution of Gupta et al. 2025,
section 4.4; an isoline is a level set of phi over two counts. Counts are real numbers >= 0. A modality with
per-sample designs enters with its average one, S_k = (information of all its designs) / N.

`ExchangeSurface` asks the same questions with the methods that `fisherkit.exchange_fit` offers for measured
accuracy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_instance, as_number, as_pair, as_whole
from fisherkit.criteria import Criterion, as_criterion
from fisherkit.levels import Amounts, CountCriterion, as_amounts
from fisherkit.model import LinearGaussian
from fisherkit.psd import tolerance

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
    return _ratio(values[of], values[in_])


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
    if all(name == in_ or not n for name, n in left.items()):
        alone = world.reach({}, {in_: 1.0}, level)
        more = alone - left[in_]
        return more if more > tolerance(model.shared_dim) * left[in_] else 0.0
    return world.reach(left, {in_: 1.0}, level)


@dataclass(frozen=True, eq=False, repr=False)
class Isoline:
    """A level set phi(n_x, n_y) = level, from the x axis to the y axis.

    Attributes:
        axes: (x, y) modality names.
        level: value of the criterion.
        n_x: (n,) counts of x, falling.
        n_y: (n,) counts of y, rising; where the modality alone reaches the level, the intercept is among the
            points.
        rate: (n,) exchange rate at the points, samples of x per sample of y: -d n_x / d n_y; nan where it is
            undefined.
        smooth: (n,) whether the criterion is smooth there (E has kinks where its worst direction changes).
        x_intercept: samples of x that reach the level without y; +infinity where x alone never does.
        y_intercept: the same for y without x.
        minimum: {modality: samples that are needed however many there are of the other}: 0 where the other
            alone will do (or comes as near as one likes), else the isoline's asymptote.

    Example:
        >>> from fisherkit import LinearGaussian, Modality, blind_spot_model
        >>> isoline(blind_spot_model(angle=np.pi / 2, seed=0), "A", level=0.5, axes=("x", "y"))
        Isoline(A = 0.5 over x, y: x alone inf, y alone inf; needs x >= 4, y >= 4; rate 0.0001 to 1e+04 x per
        y)
    """

    axes: tuple[str, str]
    criterion: Criterion
    level: float
    n_x: Array
    n_y: Array
    rate: Array
    smooth: NDArray[np.bool_]
    x_intercept: float
    y_intercept: float
    minimum: Mapping[str, float]

    def __repr__(self) -> str:
        x, y = self.axes
        rates = self.rate[~np.isnan(self.rate)]
        span = f"{rates.min():.4g} to {rates.max():.4g}" if rates.size else "undefined"
        return (
            f"Isoline({self.criterion.name} = {self.level:.4g} over {x}, {y}: "
            f"{x} alone {self.x_intercept:.4g}, {y} alone {self.y_intercept:.4g}; "
            f"needs {x} >= {self.minimum[x]:.4g}, {y} >= {self.minimum[y]:.4g}; rate {span} {x} per {y})"
        )


def isoline(
    model: LinearGaussian,
    criterion: str | Criterion = "A",
    *,
    axes: tuple[str, str] = ("image", "text"),
    level: float | None = None,
    through: Mapping[str, float] | None = None,
    collected: Mapping[str, float] | None = None,
    n_points: int = 65,
    span: float = 100.0,
) -> Isoline:
    """All pairs of counts with the same value of the criterion, solved ray by ray (no contour interpolation).

    Along a ray of counts, phi scales as 1 / r (c, A, E) or as -d log r (D), so the point on it is closed
    form; with samples already collected it is the root of a monotone function.

    Args:
        model: the world.
        criterion: "A", "D", "E", or ``c_criterion(v)``.
        axes: (x, y) modalities.
        level: value of the criterion; give this or `through`.
        through: counts of x and y (one left out is 0) that the isoline passes through.
        collected: samples that are there in any case, of any modality; the axes count further ones.
        n_points: number of rays between the axes.
        span: the rays run from 1 / span to span times the ratio of counts in the middle of the isoline.

    Returns:
        The isoline with its intercepts, asymptotes and rates.

    Raises:
        UnknownNameError: no such modality or criterion.
        ValueError: axes not two modalities, not one of level and through, a level that is infinite, already
            reached or out of reach.

    Example:
        >>> from fisherkit import LinearGaussian, Modality
        >>> model = LinearGaussian({"image": Modality([[1.0]]), "text": Modality([[1.0]], noise_std=3.0)})
        >>> isoline(model, through={"image": 4})
        Isoline(A = 0.25 over image, text: image alone 4, text alone 36; needs image >= 0, text >= 0;
        rate 0.1111 to 0.1111 image per text)
    """
    _check_axes(model, axes)
    if (level is None) == (through is None):
        raise ValueError("isoline: give one of level (a value of the criterion) and through (counts)")
    n_points, span = as_whole(n_points, "n_points", least=0), as_number(span, "span", finite=False)
    level = None if level is None else as_number(level, "level")
    if n_points < 2 or not 1 < span < np.inf:
        raise ValueError(f"n_points must be at least 2 and span above 1, got {n_points} and {span}")
    world = CountCriterion(model, as_criterion(criterion))
    x, y = axes
    base = as_amounts({} if collected is None else collected, model.names)
    if through is not None:
        point = as_amounts(through, axes)
        level = world.finite_value({name: base[name] + point.get(name, 0.0) for name in base})
    assert level is not None
    if world.reach(base, {}, level) == 0:
        raise ValueError(f"level {level:.6g}: reached without any sample of {x} or {y}; ask for a lower one")
    intercept = [world.reach(base, {name: 1.0}, level) for name in axes]
    size = np.array([np.square(world.roots[name]).sum() for name in axes])
    ray = 1 / np.where(size > 0, size, size.max() or 1.0)
    middle = world.reach(base, dict(zip(axes, ray, strict=True)), level) * ray
    if np.isinf(middle).any():
        raise ValueError(
            f"level {level:.6g}: out of reach with any number of samples of {x} and {y}; add samples of "
            "another modality (collected), or ask about directions that these two see"
        )
    unit = [n if np.isfinite(n) else float(m) for n, m in zip(intercept, middle, strict=True)]
    rays = [(unit[0], unit[1] * ratio) for ratio in np.geomspace(1 / span, span, n_points)]
    points = [(r * a, r * b) for a, b in rays for r in [world.reach(base, {x: a, y: b}, level)]]
    points = [(intercept[0], 0.0)] * bool(np.isfinite(intercept[0])) + points
    points += [(0.0, intercept[1])] * bool(np.isfinite(intercept[1]))
    there = [{**base, x: base[x] + a, y: base[y] + b} for a, b in points]
    values = [world.marginal_values(amounts) for amounts in there]
    minimum = {x: world.needed(base, x, y, level), y: world.needed(base, y, x, level)}
    return Isoline(
        (x, y),
        world.criterion,
        level,
        n_x=np.array([a for a, _ in points]),
        n_y=np.array([b for _, b in points]),
        rate=np.array([_ratio(v[y], v[x]) for v in values]),
        smooth=np.array([world.criterion.smooth_at(world.total(amounts)) for amounts in there]),
        x_intercept=intercept[0],
        y_intercept=intercept[1],
        minimum=minimum,
    )


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
        _check_axes(self.model, self.axes)
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
            return _ratio(values[self.axes[1]], values[self.axes[0]])

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


def _check_axes(model: LinearGaussian, axes: tuple[str, str]) -> None:
    as_instance(model, LinearGaussian, "model")
    pair = isinstance(axes, (tuple, list)) and len(axes) == 2 and all(isinstance(name, str) for name in axes)
    if not pair or axes[0] == axes[1]:
        raise ValueError(f"axes: expected two different modality names, got {axes!r}")
    for name in axes:
        model[name]


def _ratio(value: float, price: float) -> float:
    """Value / price with 0 / 0 and infinity / infinity nan, and x / 0 infinite."""
    if not (value or price) or (np.isinf(value) and np.isinf(price)):
        return float("nan")
    return value / price if price else float("inf")


def _each(function: Callable[[float, float], float], n_x: ArrayLike, n_y: ArrayLike) -> Array:
    """The function at each pair of the broadcast counts."""
    x, y = as_pair(n_x, n_y)
    values = [function(float(a), float(b)) for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    return np.array(values).reshape(x.shape)[()]
