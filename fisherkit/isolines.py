"""Isolines: the pairs of counts at which a criterion has one value, solved ray by ray."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import as_instance, as_number, as_whole
from fisherkit.criteria import Criterion, as_criterion
from fisherkit.levels import CountCriterion, as_amounts
from fisherkit.model import LinearGaussian
from fisherkit.pencil import Pencil
from fisherkit.psd import PSD
from fisherkit.reaching import reach_along

__all__ = ["Isoline", "check_axes", "isoline", "ratio"]

Array = NDArray[np.float64]


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
        average_designs: modalities with per-sample designs, whose average one stands for their samples.

    Example:
        >>> from fisherkit import LinearGaussian, Modality, blind_spot_model
        >>> isoline(blind_spot_model(angle=np.pi / 2, seed=0), "A", level=0.5, axes=("x", "y"))
        Isoline(A = 0.5 over x, y: x alone inf, y alone inf; needs x >= 4, y >= 4; rate ... x per y)
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
    average_designs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        x, y = self.axes
        rates = self.rate[~np.isnan(self.rate)]
        span = f"{rates.min():.4g} to {rates.max():.4g}" if rates.size else "undefined"
        average = f"; average designs of {', '.join(self.average_designs)}" if self.average_designs else ""
        return (
            f"Isoline({self.criterion.name} = {self.level:.4g} over {x}, {y}: "
            f"{x} alone {self.x_intercept:.4g}, {y} alone {self.y_intercept:.4g}; "
            f"needs {x} >= {self.minimum[x]:.4g}, {y} >= {self.minimum[y]:.4g}; rate {span} {x} per {y}{average})"
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

    The information of x and of y is diagonalised once (`fisherkit.pencil`); phi along a ray of counts is then a monotone
    function of few numbers. With collected samples of further modalities that is done for each ray.

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
    check_axes(model, axes)
    if (level is None) == (through is None):
        raise ValueError("isoline: give one of level (a value of the criterion) and through (counts)")
    n_points = as_whole(n_points, "n_points", least=2)
    span = as_number(span, "span", finite=False)
    if not 1 < span < np.inf:
        raise ValueError(f"span must be above 1, got {span}")
    world = CountCriterion(model, as_criterion(criterion))
    x, y = axes
    base = as_amounts({} if collected is None else collected, model.names)
    if through is not None:
        point = as_amounts(through, axes)
        level = world.finite_value({name: base[name] + point.get(name, 0.0) for name in base})
    assert level is not None
    level = as_number(level, "level")
    if world.reach(base, {}, level) == 0:
        raise ValueError(f"level {level:.6g}: reached without any sample of {x} or {y}; ask for a lower one")
    intercept = [world.reach(base, {name: 1.0}, level) for name in axes]
    pencil = Pencil.of(world.parts[x], world.parts[y])
    ray = np.array([1.0, pencil.weight])
    middle = world.reach(base, dict(zip(axes, ray.tolist(), strict=True)), level) * ray
    if np.isinf(middle).any():
        raise ValueError(
            f"level {level:.6g}: out of reach with any number of samples of {x} and {y}; add samples of "
            "another modality (collected), or ask about directions that these two see"
        )
    unit = [n if np.isfinite(n) else float(m) for n, m in zip(intercept, middle, strict=True)]
    rays = [(unit[0], unit[1] * ratio) for ratio in np.geomspace(1 / span, span, n_points)]
    points = _Rays.of(world, base, axes, level, pencil).points(rays)
    if np.isfinite(intercept[0]):
        points.insert(0, _edge(world, base, axes, (intercept[0], 0.0)))
    if np.isfinite(intercept[1]):
        points.append(_edge(world, base, axes, (0.0, intercept[1])))
    return Isoline(
        (x, y),
        world.criterion,
        level,
        n_x=np.array([point.counts[0] for point in points]),
        n_y=np.array([point.counts[1] for point in points]),
        rate=np.array([ratio(point.values[1], point.values[0]) for point in points]),
        smooth=np.array([point.smooth for point in points]),
        x_intercept=intercept[0],
        y_intercept=intercept[1],
        minimum={x: world.needed(base, x, y, level), y: world.needed(base, y, x, level)},
        average_designs=world.average_designs,
    )


@dataclass(frozen=True)
class _Point:
    """One point of an isoline: counts of x and y, their marginal values, and whether phi is smooth there."""

    counts: tuple[float, float]
    values: tuple[float, float]
    smooth: bool


@dataclass(frozen=True, eq=False)
class _Rays:
    """Rays from what is collected into the quadrant of further counts of x and y.

    Attributes:
        world: phi and the information per sample.
        base: counts that are there in any case.
        axes: (x, y).
        level: value of phi.
        others: information of what is collected, where that is not of x and y alone.
        pencil: information of one x and of one y.
    """

    world: CountCriterion
    base: Mapping[str, float]
    axes: tuple[str, str]
    level: float
    others: PSD | None
    pencil: Pencil

    @classmethod
    def of(
        cls,
        world: CountCriterion,
        base: Mapping[str, float],
        axes: tuple[str, str],
        level: float,
        pencil: Pencil,
    ) -> "_Rays":
        beside = any(n and world.parts[name].rank for name, n in base.items() if name not in axes)
        return cls(world, base, axes, level, world.total(base) if beside else None, pencil)

    def points(self, rays: Sequence[tuple[float, float]]) -> list[_Point]:
        """Where each ray meets the level."""
        return [self._point(a, b) for a, b in rays]

    def _point(self, a: float, b: float) -> _Point:
        x, y = self.axes
        pencil, inner, outer = self.pencil, (self.base[x], self.base[y]), (a, b)
        if self.others is not None:
            pencil, inner, outer = Pencil.of(self.others, pencil.at(a, b)), (1.0, 0.0), (0.0, 1.0)
        r = reach_along(self.world.criterion, pencil, inner, outer, self.level)
        r = self.world.determining(self.base, {x: a, y: b}, r)
        m = pencil.at(*(i + r * o for i, o in zip(inner, outer, strict=True)))
        criterion = self.world.criterion
        values = tuple(criterion.marginal_value(m, self.world.parts[name]) for name in self.axes)
        return _Point((r * a, r * b), (values[0], values[1]), criterion.smooth_at(m))


def _edge(
    world: CountCriterion, base: Mapping[str, float], axes: tuple[str, str], counts: tuple[float, float]
) -> _Point:
    """A point on an axis, where the information may be singular."""
    there = dict(base)
    for name, n in zip(axes, counts, strict=True):
        there[name] += n
    values = world.marginal_values(there)
    smooth = world.criterion.smooth_at(world.total(there))
    return _Point(counts, (values[axes[0]], values[axes[1]]), smooth)


def check_axes(model: LinearGaussian, axes: tuple[str, str]) -> None:
    """Raise unless the axes are two modalities of the model.

    Args:
        model: the world.
        axes: as given.

    Raises:
        ValueError: not two different names.
    """
    as_instance(model, LinearGaussian, "model")
    pair = isinstance(axes, (tuple, list)) and len(axes) == 2 and all(isinstance(name, str) for name in axes)
    if not pair or axes[0] == axes[1]:
        raise ValueError(f"axes: expected two different modality names, got {axes!r}")
    for name in axes:
        model[name]


def ratio(value: float, price: float) -> float:
    """Value / price with 0 / 0 and infinity / infinity nan, and x / 0 infinite.

    Args:
        value: >= 0.
        price: >= 0.

    Returns:
        The ratio.
    """
    if not (value or price) or (np.isinf(value) and np.isinf(price)):
        return float("nan")
    return value / price if price else float("inf")
