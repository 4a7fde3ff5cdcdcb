"""The exact image of a model: every float is a dyadic rational, so designs, noise and information are rationals.

Nothing is rounded on the way: a standard deviation s means the variance s s, the product of the float with itself and
not the float nearest to it. docs/certified.md, section 6.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from fisherkit.certified.rational import (
    Integers,
    Symmetric,
    as_fraction,
    as_fractions,
    integer_type,
    product,
    seconds,
)
from fisherkit.checks import UnknownNameError, as_counts
from fisherkit.layout import SHARED, Layout
from fisherkit.model import LinearGaussian, Modality

__all__ = ["Counts", "ExactModality", "ExactModel", "Model", "Sizes"]

#: {modality: number of samples}, one number for all, or the name of a modality of which one average sample is meant.
Counts = Mapping[str, int] | int | str
#: {modality: (first n samples, factor)}.
Sizes = dict[str, tuple[int, Fraction]]
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
            weighted = [
                [w * x for x in row] for d in used for w, row in zip(self.precision, d, strict=True)
            ]
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
        flat = self.precision[0] if isinstance(self.precision[0], list) else self.precision
        noise = max(int(w.bit_length()) for w in flat)
        size = max((int(x.bit_length()) for row in self.designs[0] for x in row), default=0)
        used = 1 if self.repeated else min(count, len(self.designs))
        each = 1e-6 + 1e-9 * (noise + 2 * size)
        multiply = used * m * p * each * (p + (m if isinstance(self.precision[0], list) else 1))
        return multiply + seconds(p, self.private_dim, noise + 2 * size + int(m * used).bit_length())


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
    def of(cls, model: "Model") -> "ExactModel":
        """The exact image.

        Args:
            model: LinearGaussian, or {modality: (C, S, variance)} with exact entries and repeated designs: C (m, d_c),
                S (m, d_k) or None, variance a number, (m,) or (m, m) (or left out: 1).

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
            read = {name: _read_modality(model[name], name) for name in model.names}
            repeated = {name: model[name].repeated for name in model.names}
        elif isinstance(model, Mapping) and model:
            read = {name: _read_exact(name, value) for name, value in model.items()}
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
        common = _units([row for shared, _, _ in read.values() for block in shared for row in block])
        units, parts = list(common), {}
        for name, (shared, private, noise) in read.items():
            own = _units([row for block in private for row in block])
            units += own
            designs = [
                _integers([a + b for a, b in zip(c, s, strict=True)], [*common, *own])
                for c, s in zip(_repeat(shared, private), _repeat(private, shared), strict=True)
            ]
            precision, scale = _precision(noise, name)
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
    def averages(self) -> dict[str, Symmetric]:
        """{modality: S_k}, effective information of one sample in units: of all designs over their number."""
        whole = {name: 1 if part.repeated else len(part.designs) for name, part in self.parts.items()}
        return {name: self.contribution(name, n).times(Fraction(1, n)) for name, n in whole.items()}

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
        if part.repeated and count != 1:
            return self.averages[name].times(count)
        return part.information(count).eliminated(part.private_dim).rest

    def sizes(self, counts: Counts, what: str = "counts") -> Sizes:
        """Counts in the form that the arithmetic uses.

        Args:
            counts: see `Counts`.
            what: how messages call them.

        Returns:
            {modality: (n, factor)} in the model's order.

        Raises:
            UnknownNameError: a name that the model does not have.
            TypeError: no counts.
            ValueError: a negative or fractional count, or more samples than there are per-sample designs.
        """
        if isinstance(counts, str):
            if counts not in self.parts:
                raise UnknownNameError(counts, self.names)
            n = 1 if self.parts[counts].repeated else len(self.parts[counts].designs)
            return {name: (n, Fraction(1, n)) if name == counts else (0, Fraction(1)) for name in self.names}
        if not isinstance(counts, Mapping | int | float | np.number):
            raise TypeError(
                f"{what}: expected {{modality: number of samples}}, one number for all, or the name of a modality, got "
                f"{type(counts).__name__}"
            )
        checked = as_counts(counts, self.names)  # type: ignore[arg-type]
        for name, n in checked.items():
            part = self.parts[name]
            if not part.repeated and n > len(part.designs):
                raise ValueError(
                    f"{name}: {n} samples asked for, but there are only {len(part.designs)} per-sample designs; pass "
                    "more designs, or one repeated design"
                )
        return {name: (n, Fraction(1)) for name, n in checked.items()}

    def total(self, sizes: Sizes) -> Symmetric:
        """Information about all parameters, in units.

        Args:
            sizes: from `sizes`; factors may be negative.

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
            sizes: from `sizes`.
            about: "shared", a modality for its private block, None for all parameters.

        Returns:
            Square matrix of the block's size.

        Raises:
            UnknownNameError: `about` names no block.
        """
        if about is None:
            return self.total(sizes)
        if about not in self.layout.slices:
            raise UnknownNameError(about, self.layout.slices, "parameter block")
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

        Raises:
            UnknownNameError: a name that is no modality, or no parameter block.
        """
        rows = self.effective(self.sizes(counts), about).fractions()
        units = self.units[slice(None) if about is None else self.layout.slices[about]]
        return [[x * u * v for x, v in zip(row, units, strict=True)] for row, u in zip(rows, units, strict=True)]

    def seconds(self, sizes: Sizes) -> float:
        """Rough time that the effective information takes.

        Args:
            sizes: from `sizes`.

        Returns:
            Seconds.
        """
        return sum((self.parts[name].seconds(n) for name, (n, _) in sizes.items() if n), 0.0)


Model = LinearGaussian | ExactModel | Mapping[str, Sequence[Any]]


def _read_modality(modality: Modality, name: str) -> tuple[list[Table], list[Table], list[Any]]:
    def blocks(design: Any) -> list[Table]:  # noqa: ANN401, an array
        tables = design.astype(np.float64)[None] if design.ndim == 2 else design.astype(np.float64)
        return [[[Fraction(x) for x in row] for row in table] for table in tables.tolist()]

    if modality.noise_std is not None:
        noise: list[Any] = [Fraction(modality.noise_std) ** 2] * modality.obs_dim
    elif modality.noise_var is not None:
        noise = as_fractions(modality.noise_var, f"{name}: noise_var", 1)
    else:
        noise = as_fractions(modality.noise_cov, f"{name}: noise_cov", 2)
    return blocks(modality.shared), blocks(modality.private), noise


def _read_exact(name: object, value: object) -> tuple[list[Table], list[Table], list[Any]]:
    if not isinstance(name, str) or name == SHARED:
        raise TypeError(f'modality names must be strings other than "shared", got {name!r}')
    if isinstance(value, Modality):
        raise TypeError(f"{name}: a Modality; pass LinearGaussian({{...}}) for a model of floats")
    if not isinstance(value, tuple | list) or not 1 <= len(value) <= 3:
        raise TypeError(f"{name}: expected (C, S, variance), S and variance optional, got {value!r:.60}")
    shared, private, variance = [*value, *(None, 1)[len(value) - 1 :]]
    c = as_fractions(shared, f"{name}: shared design", 2)
    if not c:
        raise ValueError(f"{name}: zero observed coordinates (m = 0)")
    s = [[] for _ in c] if private is None else as_fractions(private, f"{name}: private design", 2)
    m = len(c)
    if len(s) != m:
        raise ValueError(f"{name}: private design has {len(s)} rows, but the shared design has {m}")
    given = variance.tolist() if hasattr(variance, "tolist") else variance
    if isinstance(given, str) or not isinstance(given, Sequence):
        noise: list[Any] = [as_fraction(given, f"{name}: variance")] * m
    elif given and isinstance(given[0], Sequence) and not isinstance(given[0], str):
        noise = as_fractions(given, f"{name}: variance", 2)
    else:
        noise = as_fractions(given, f"{name}: variance", 1)
    if len(noise) != m or (isinstance(noise[0], list) and len(noise[0]) != m):
        raise ValueError(f"{name}: variance: expected a number, ({m},) or ({m}, {m})")
    return [c], [s], noise


def _repeat(blocks: list[Table], others: list[Table]) -> list[Table]:
    """A repeated block beside per-sample ones."""
    return blocks * len(others) if len(blocks) == 1 else blocks


def _units(rows: Iterable[Sequence[Fraction]]) -> list[Fraction]:
    """For each column, the largest number that all entries are whole multiples of."""
    units = []
    for column in zip(*rows, strict=True):
        below = math.lcm(*(x.denominator for x in column))
        above = math.gcd(*(x.numerator * (below // x.denominator) for x in column))
        units.append(Fraction(above or 1, below))
    return units


def _integers(rows: Table, units: Sequence[Fraction]) -> Integers:
    make = integer_type()
    return [[make((x / u).numerator) for x, u in zip(row, units, strict=True)] for row in rows]


def _precision(noise: list[Any], name: str) -> tuple[list[Any], Fraction]:
    """Inverse covariance as integers and what to multiply them by."""
    make = integer_type()
    if not isinstance(noise[0], list):
        if min(noise) <= 0:
            raise ValueError(f"{name}: noise variances must be positive, got {float(min(noise)):.6g}")
        common = math.lcm(*(v.numerator for v in noise))
        weights = [common // v.numerator * v.denominator for v in noise]
        shared = math.gcd(*weights)
        return [make(w // shared) for w in weights], Fraction(shared, common)
    m = len(noise)
    if any(noise[i][j] != noise[j][i] for i in range(m) for j in range(i)):
        raise ValueError(f"{name}: noise covariance is not exactly symmetric")
    try:
        done = Symmetric.of(noise).bordered([[Fraction(i == j) for j in range(m)] for i in range(m)]).eliminated(m)
    except ArithmeticError:
        done = None
    if done is None or len(done.pivots) < m:
        raise ValueError(
            f"{name}: noise covariance is not positive definite in exact arithmetic; add measurement noise to it"
        )
    rest = done.rest  # minus the inverse
    full = [[-rest.lower[max(i, j)][min(i, j)] for j in range(m)] for i in range(m)]
    return full, rest.scale
