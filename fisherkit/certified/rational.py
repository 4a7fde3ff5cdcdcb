"""Symmetric matrices over the rationals: integers with one denominator, and elimination without fractions.

Entries are python-flint's integers where the extra `exact` is installed and Python's where it is not: the same
operations in the same order, so the same answers. docs/certified.md, section 6.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from typing import Any, TypeAlias

__all__ = [
    "Elimination",
    "Integers",
    "Symmetric",
    "integer_type",
    "product",
    "seconds",
]

#: An int, or an fmpz of python-flint.
Integer: TypeAlias = Any
Integers: TypeAlias = list[list[Integer]]


@dataclass(frozen=True, eq=False, repr=False)
class Symmetric:
    """A symmetric matrix of rational numbers: integers times one positive fraction.

    Attributes:
        lower: lower triangle of integers; row i has i + 1.
        scale: what they are to be multiplied by.

    Example:
        >>> m = Symmetric([[2], [1, 3]], Fraction(1, 4))
        >>> (m + m.times(Fraction(1, 2))).fractions()[0]
        [Fraction(3, 4), Fraction(3, 8)]
    """

    lower: Integers
    scale: Fraction = Fraction(1)

    @classmethod
    def of(cls, rows: Sequence[Sequence[Fraction]]) -> "Symmetric":
        """From a symmetric matrix of fractions, of which the lower triangle is read.

        Args:
            rows: (d, d), or its lower triangle.

        Returns:
            The matrix.
        """
        triangle = [list(row[: i + 1]) for i, row in enumerate(rows)]
        common = math.lcm(*(x.denominator for row in triangle for x in row))
        make = integer_type()
        return cls(
            [[make(x.numerator * (common // x.denominator)) for x in row] for row in triangle],
            Fraction(1, common),
        )

    @classmethod
    def zero(cls, dim: int) -> "Symmetric":
        """The zero matrix.

        Args:
            dim: number of rows.

        Returns:
            The matrix.
        """
        return cls([[integer_type()(0)] * (i + 1) for i in range(dim)])

    @property
    def dim(self) -> int:
        """Number of rows."""
        return len(self.lower)

    @property
    def bits(self) -> int:
        """Length of the longest integer."""
        return max((int(x.bit_length()) for row in self.lower for x in row), default=0)

    def entry(self, i: int, j: int) -> Fraction:
        """One entry.

        Args:
            i: row.
            j: column.

        Returns:
            Its value.
        """
        return self.scale * int(self._integer(i, j))

    def fractions(self) -> list[list[Fraction]]:
        """All entries.

        Returns:
            (d, d) nested lists.
        """
        part = [[self.scale * int(x) for x in row] for row in self.lower]
        return [[part[max(i, j)][min(i, j)] for j in range(self.dim)] for i in range(self.dim)]

    def times(self, factor: Fraction | int) -> "Symmetric":
        """A multiple.

        Args:
            factor: any rational number.

        Returns:
            factor * self.
        """
        if factor > 0:
            return Symmetric(self.lower, self.scale * factor)
        if factor == 0:
            return Symmetric.zero(self.dim)
        return Symmetric([[-x for x in row] for row in self.lower], self.scale * -factor)

    def __add__(self, other: "Symmetric") -> "Symmetric":
        p, q = self.scale, other.scale
        common = Fraction(
            math.gcd(p.numerator * q.denominator, q.numerator * p.denominator), p.denominator * q.denominator
        )
        one, two = (integer_type()((x / common).numerator) for x in (p, q))
        return Symmetric(
            [
                [one * x + two * y for x, y in zip(first, second, strict=True)]
                for first, second in zip(self.lower, other.lower, strict=True)
            ],
            common,
        )

    def part(self, order: Sequence[int]) -> "Symmetric":
        """Rows and columns in another order, or some of them.

        Args:
            order: indices; -1 stands for a row and column of zeros.

        Returns:
            The principal submatrix.
        """
        nothing = integer_type()(0)
        return Symmetric(
            [
                [nothing if min(i, j) < 0 else self._integer(i, j) for j in order[: n + 1]]
                for n, i in enumerate(order)
            ],
            self.scale,
        )

    def bordered(self, border: Sequence[Sequence[Fraction]]) -> "Symmetric":
        """[[0, V'], [V, M]], of which M's elimination leaves -V' M^- V.

        Args:
            border: (d, q), V.

        Returns:
            (q + d, q + d).
        """
        make = integer_type()
        common = math.lcm(self.scale.denominator, *(x.denominator for row in border for x in row))
        factor = make(int(self.scale * common))
        columns = len(border[0]) if border else 0
        lower = [[make(0)] * (j + 1) for j in range(columns)]
        for row, v in zip(self.lower, border, strict=True):
            lower.append(
                [make(x.numerator * (common // x.denominator)) for x in v] + [factor * x for x in row]
            )
        return Symmetric(lower, Fraction(1, common))

    def eliminated(self, count: int) -> "Elimination":
        """Schur complement of the last rows and columns, whose block is positive semidefinite.

        Pivots come from the diagonal; after each step the integers' greatest common divisor goes into the scale, so
        that they stay as short as minors are. A zero on the diagonal of a semidefinite block has a row of zeros in
        it: such coordinates are left out, which is what any generalised inverse does.

        Args:
            count: how many of the last coordinates to eliminate, the last ones first.

        Returns:
            The complement, the pivots, and what could not be eliminated.

        Raises:
            ArithmeticError: the block is not positive semidefinite.

        Example:
            >>> Symmetric([[2], [1, 1]]).eliminated(1).rest.fractions()
            [[Fraction(1, 1)]]
        """
        kept = self.dim - count
        labels = list(range(self.dim))
        work = self._reduced()
        pivots: list[tuple[int, Fraction]] = []
        while work.dim > kept:
            lower = work.lower
            pivot = next((i for i in range(work.dim - 1, kept - 1, -1) if lower[i][i]), None)
            if pivot is None:
                break
            if pivot != work.dim - 1:
                order = [i for i in range(work.dim) if i != pivot] + [pivot]
                lower, labels = work.part(order).lower, [labels[i] for i in order]
            *rows, last = lower
            p = last[-1]
            if p < 0:
                raise ArithmeticError("not positive semidefinite")
            pivots.append((labels.pop(), work.scale * int(p)))
            rest = [
                [p * x - last[i] * y for x, y in zip(row, last, strict=False)]
                if last[i]
                else [p * x for x in row]
                for i, row in enumerate(rows)
            ]
            work = Symmetric(rest, work.scale / int(p))._reduced()
        if any(x for row in work.lower[kept:] for x in row[kept:]):
            raise ArithmeticError("not positive semidefinite")
        unseen = [bool(any(row[j] for row in work.lower[kept:])) for j in range(kept)]
        return Elimination(Symmetric(work.lower[:kept], work.scale), pivots, unseen)

    def _integer(self, i: int, j: int) -> Integer:
        return self.lower[i][j] if j <= i else self.lower[j][i]

    def _reduced(self) -> "Symmetric":
        """The same matrix in integers without a common divisor."""
        common = integer_type()(0)
        for row in self.lower:
            for x in row:
                common = _gcd(common, x)
                if common == 1:
                    return self
        if not common:
            return Symmetric(self.lower)
        return Symmetric([[x // common for x in row] for row in self.lower], self.scale * int(common))


@dataclass(frozen=True, eq=False, repr=False)
class Elimination:
    """What an elimination leaves.

    Attributes:
        rest: the Schur complement.
        pivots: (coordinate, pivot > 0) in the order of elimination; their number is the rank of the block.
        outside: for each kept coordinate, whether its column leaves the range of the block; what `rest` says of it
            means nothing then.
    """

    rest: Symmetric
    pivots: list[tuple[int, Fraction]]
    outside: list[bool]


def integer_type() -> Callable[[int], Integer]:
    """The integers to compute with.

    Returns:
        fmpz of python-flint (the extra `exact`) where it is installed, else int.
    """
    try:
        make: Callable[[int], Integer] = import_module("flint").fmpz
    except ImportError:
        return int
    return make


def product(a: Sequence[Sequence[Integer]], b: Sequence[Sequence[Integer]]) -> Integers:
    """Product of two integer matrices.

    Args:
        a: (n, r), r >= 1.
        b: (r, c).

    Returns:
        (n, c).
    """
    if not len(a) or not len(b[0]):
        return [[] for _ in a]
    if integer_type() is not int:
        matrix = import_module("flint").fmpz_mat
        result: Integers = (matrix(a) * matrix(b)).tolist()
        return result
    columns = list(zip(*b, strict=True))
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in columns] for row in a]


def seconds(dim: int, steps: int, bits: int, growth: int | None = None) -> float:
    """Rough time that an elimination takes on an ordinary processor.

    Args:
        dim: rows before it.
        steps: rows that are eliminated.
        bits: length of the integers before it.
        growth: how much longer a step makes them, default as long as they were.

    Returns:
        Seconds, right within a factor of about 4.
    """
    flint = integer_type() is not int
    total = 0.0
    for k in range(1, steps + 1):
        words = (bits + k * (bits if growth is None else growth)) / 64
        each = 1e-6 + 2.5e-8 * words**1.35 if flint else 2e-6 + 2e-8 * words**1.7
        total += (dim - k + 1) ** 2 / 2 * each
    return total


def _gcd(a: Integer, b: Integer) -> Integer:
    return math.gcd(a, b) if isinstance(a, int) else a.gcd(b)
