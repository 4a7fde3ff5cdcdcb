"""The exact image of a model: every float is a dyadic rational, so designs, noise and information are rationals.

Nothing is rounded on the way: a standard deviation s means the variance s s, the product of the float with itself and
not the float nearest to it. docs/certified.md, section 6.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from fisherkit.certified.rational import Integers, Symmetric, product, seconds
from fisherkit.certified.reading import (
    integers_in,
    precision_of,
    read_exact,
    read_modality,
    repeated_like,
    units_of,
)
from fisherkit.certified.sizes import Counts, Sizes, dim_about, read_sizes
from fisherkit.layout import SHARED, Layout
from fisherkit.model import LinearGaussian

__all__ = [
    "ExactModality",
    "ExactModel",
    "Model",
    "World",
    "designs_of",
    "exact_image",
    "seconds_of_image",
]

Table = list[list[Fraction]]


@dataclass(frozen=True, eq=False, repr=False)
class ExactModality:
    """Designs as integers in units of the parameters, and the precision of the noise.

    Attributes:
        designs: one block [C S] of integers (m, d_c + d_k) if repeated, else one for each sample.
        repeated: whether all samples share the block.
        shared_dim: d_c.
        precision: inverse of the noise covariance: (m,) its diagonal or an (m, m) matrix, integers.
        scale: what the precision is to be multiplied by.
    """

    designs: Sequence[Integers]
    repeated: bool
    shared_dim: int
    precision: list[Any]
    scale: Fraction

    @property
    def private_dim(self) -> int:
        """d_k."""
        return len(self.designs[0][0]) - self.shared_dim

    @cached_property
    def bits(self) -> tuple[int, int]:
        """About how long the integers of the information are, and how much a step of an elimination adds.

        By the formula of Cauchy and Binet every reciprocal variance occurs once in a minor, if they differ.
        """
        full = isinstance(self.precision[0], list)
        flat = [w for row in self.precision for w in row] if full else self.precision
        noise = max(int(w.bit_length()) for w in flat) + self.scale.denominator.bit_length()
        size = max((int(x.bit_length()) for row in self.designs[0] for x in row), default=0)
        rest = 2 * size + (len(self.precision) * len(self.designs)).bit_length()
        return noise + rest, rest if full or len(set(map(int, flat))) > 1 else noise + rest

    def information(self, count: int) -> Symmetric:
        """Information of the first samples about (theta_c, theta_k), in units.

        Args:
            count: how many.

        Returns:
            (d_c + d_k, d_c + d_k).
        """
        if not count:
            return Symmetric.zero(self.shared_dim + self.private_dim)
        used = self.designs if self.repeated else self.designs[:count]
        if isinstance(self.precision[0], list):
            weighted = [row for design in used for row in product(self.precision, design)]
        else:
            weighted = [[w * x for x in row] for d in used for w, row in zip(self.precision, d, strict=True)]
        rows = [row for design in used for row in design]
        full = product(list(zip(*rows, strict=True)), weighted)
        lower = [row[: i + 1] for i, row in enumerate(full)]
        return Symmetric(lower, self.scale * (count if self.repeated else 1))

    def seconds(self, count: int) -> float:
        """Rough time that the information and its effective part take.

        Args:
            count: number of samples.

        Returns:
            Seconds.
        """
        p, m = self.shared_dim + self.private_dim, len(self.precision)
        rows = m * (1 if self.repeated else min(count, len(self.designs)))
        per_entry = p + (m if isinstance(self.precision[0], list) else 1)
        return rows * p * per_entry * (1e-6 + 1e-9 * self.bits[0]) + seconds(p, self.private_dim, *self.bits)


@dataclass(frozen=True, eq=False, repr=False)
class ExactModel:
    """A linear-Gaussian world over the rationals.

    Build it from a `LinearGaussian`, float by float, or from exact numbers: ints, Fractions, floats (as they are) and
    texts such as "1/3".

    Attributes:
        layout: where each parameter lies.
        parts: modalities, in units.
        units: (d,) what a parameter is measured in, so that designs are short integers: design = integers * units.

    Example:
        >>> tenth = ExactModel.of({"x": ([["1/10"]], None, 1), "y": ([[1]], [[1]], "1/4")})
        >>> tenth.effective_information({"x": 5, "y": 9})
        [[Fraction(1, 20)]]
    """

    layout: Layout
    parts: Mapping[str, ExactModality]
    units: tuple[Fraction, ...]

    @classmethod
    def of(cls, model: "Model", sizes: Sizes | None = None) -> "ExactModel":
        """The exact image.

        Args:
            model: LinearGaussian, or {modality: (C, S, variance)} with exact entries and repeated designs: C (m, d_c),
                S (m, d_k) or None, variance a number, (m,) or (m, m) (or left out: 1).
            sizes: of per-sample designs read only as many as are asked for here; None for all.

        Returns:
            The exact model; an ExactModel itself.

        Raises:
            TypeError: neither, or an entry that is no rational number.
            ValueError: shapes that do not fit, or a noise covariance that is not exactly symmetric and positive
                definite.
        """
        if isinstance(model, ExactModel):
            return model
        if isinstance(model, LinearGaussian):
            first = {name: None if sizes is None else max(1, sizes[name][0]) for name in model.names}
            read = {name: read_modality(model[name], name, first[name]) for name in model.names}
            repeated = {name: model[name].repeated for name in model.names}
        elif isinstance(model, Mapping) and model:
            read = {name: read_exact(name, value) for name, value in model.items()}
            repeated = dict.fromkeys(read, True)
        else:
            raise TypeError(
                "model: expected a LinearGaussian, or {modality: (C, S, variance)} of exact numbers, got "
                f"{type(model).__name__}"
            )
        widths = {name: len(shared[0][0]) for name, (shared, _, _) in read.items()}
        if len(set(widths.values())) > 1:
            raise ValueError(f"shared designs must have the same number of columns, got {widths}")
        layout = Layout(
            next(iter(widths.values())), {name: len(private[0][0]) for name, (_, private, _) in read.items()}
        )
        common = units_of([row for shared, _, _ in read.values() for block in shared for row in block])
        units, parts = list(common), {}
        for name, (shared, private, noise) in read.items():
            own = units_of([row for block in private for row in block])
            units += own
            designs = [
                integers_in([a + b for a, b in zip(c, s, strict=True)], [*common, *own])
                for c, s in zip(repeated_like(shared, private), repeated_like(private, shared), strict=True)
            ]
            precision, scale = precision_of(noise, name)
            parts[name] = ExactModality(designs, repeated[name], layout.shared_dim, precision, scale)
        return cls(layout, parts, tuple(units))

    def __repr__(self) -> str:
        return f"ExactModel({self.layout.n_params} parameters: {self.layout.describe()})"

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names in order."""
        return self.layout.names

    @property
    def shared_units(self) -> tuple[Fraction, ...]:
        """(d_c,) units of the shared parameters."""
        return self.units[: self.layout.shared_dim]

    @cached_property
    def _averages(self) -> dict[str, Symmetric]:
        return {}

    def average(self, name: str) -> Symmetric:
        """S_k, effective information of one sample about theta_c in units: of all designs over their number.

        Args:
            name: modality.

        Returns:
            (d_c, d_c).
        """
        if name not in self._averages:
            part = self.parts[name]
            whole = part.information(len(part.designs)).times(Fraction(1, len(part.designs)))
            self._averages[name] = whole.eliminated(part.private_dim).rest
        return self._averages[name]

    def contribution(self, name: str, count: int) -> Symmetric:
        """Effective information of a modality's first samples about theta_c, in units.

        Args:
            name: modality.
            count: number of samples.

        Returns:
            (d_c, d_c).
        """
        part = self.parts[name]
        if not count:
            return Symmetric.zero(part.shared_dim)
        if part.repeated:
            return self.average(name).times(count)
        return part.information(count).eliminated(part.private_dim).rest

    def total(self, sizes: Sizes) -> Symmetric:
        """Information about all parameters, in units.

        Args:
            sizes: from `read_sizes`; factors may be negative.

        Returns:
            (d, d), laid out by `layout`.
        """
        d = self.layout.n_params
        total = Symmetric.zero(d)
        for name, (n, factor) in sizes.items():
            if n and factor:
                place = [-1] * d
                for local, column in enumerate(self.layout.columns(name).tolist()):
                    place[column] = local
                total += self.parts[name].information(n).times(factor).part(place)
        return total

    def effective(self, sizes: Sizes, about: str | None = SHARED) -> Symmetric:
        """Effective information, in units.

        Args:
            sizes: from `read_sizes`.
            about: "shared", a modality for its private block, None for all parameters.

        Returns:
            Square matrix of the block's size.
        """
        dim_about(self.layout, about)
        if about is None:
            return self.total(sizes)
        shared = self.layout.shared_dim
        seen = Symmetric.zero(shared)
        for name, (n, factor) in sizes.items():
            if n and name != about:
                seen += self.contribution(name, n).times(factor)
        if about == SHARED:
            return seen
        part, (n, factor) = self.parts[about], sizes[about]
        private = part.private_dim
        own = part.information(n).times(factor)
        order = [*range(shared, shared + private), *range(shared)]
        whole = own.part(order) + seen.part([-1] * private + list(range(shared)))
        return whole.eliminated(shared).rest

    def effective_information(self, counts: Counts, about: str | None = SHARED) -> Table:
        """Information about some parameters when all others are unknown too, exactly.

        Args:
            counts: {modality: number of samples}, one number for all, or a modality for one average sample of it.
            about: "shared", a modality for its private block, None for all parameters.

        Returns:
            Nested lists of Fractions, 1 / parameter units squared.
        """
        rows = self.effective(read_sizes(designs_of(self), counts), about).fractions()
        units = self.units[slice(None) if about is None else self.layout.slices[about]]
        return [
            [x * u * v for x, v in zip(row, units, strict=True)] for row, u in zip(rows, units, strict=True)
        ]

    def seconds(self, sizes: Sizes, columns: int | None = None) -> float:
        """Rough time that the effective informations take, or an elimination of all parameters.

        Args:
            sizes: from `read_sizes`.
            columns: how many directions the information about all parameters is bordered by; None for the effective
                informations.

        Returns:
            Seconds.
        """
        used = {name: self.parts[name] for name, (n, _) in sizes.items() if n}
        total = sum((part.seconds(sizes[name][0]) for name, part in used.items()), 0.0)
        if columns is None or not used:
            return total
        d = self.layout.n_params
        bits = sum(part.bits[0] for part in used.values())
        growth = sum(part.bits[1] for part in used.values())
        return total + seconds(d + columns, d, bits, growth)


World = LinearGaussian | ExactModel
Model = World | Mapping[str, Sequence[Any]]


def designs_of(world: World) -> dict[str, int | None]:
    """Numbers of per-sample designs.

    Args:
        world: the model.

    Returns:
        {modality: number, None for a repeated design}.
    """
    if isinstance(world, LinearGaussian):
        return {name: world[name].n_designs for name in world.names}
    return {name: None if part.repeated else len(part.designs) for name, part in world.parts.items()}


def exact_image(
    model: World, sizes: Sizes, most: float = math.inf, columns: int | None = None
) -> tuple[ExactModel | None, float]:
    """The exact image with as many per-sample designs as are asked for, unless that or what follows takes too long.

    Args:
        model: the world.
        sizes: from `read_sizes`.
        most: seconds that image and what follows may take.
        columns: what follows, see `ExactModel.seconds`.

    Returns:
        The image, None if it would take longer, and the estimated seconds.
    """
    needed = 0.0
    if isinstance(model, LinearGaussian):
        needed = seconds_of_image(model, sizes)
        if needed > most:
            return None, needed
        model = ExactModel.of(model, sizes)
    needed += model.seconds(sizes, columns)
    return (model, needed) if needed <= most else (None, needed)


def seconds_of_image(model: LinearGaussian, sizes: Sizes) -> float:
    """Rough time that the exact image takes.

    Args:
        model: the world.
        sizes: from `read_sizes`.

    Returns:
        Seconds.
    """
    total = 0.0
    for name, (n, _) in sizes.items():
        part = model[name]
        blocks = 1 if part.repeated else max(1, n)
        total += 5e-6 * blocks * part.obs_dim * (part.shared_dim + part.private_dim)
        if part.noise_cov is not None:
            total += seconds(2 * part.obs_dim, part.obs_dim, 60)
    return total
