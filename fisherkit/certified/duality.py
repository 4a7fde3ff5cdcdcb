"""Weak duality in rational arithmetic: lower bounds on a criterion, or on a cost, that any matrix proves.

The inequalities are those of `fisherkit.allocation.certificate`. Here every number in them is exact, and the matrix C
may be any rational matrix, so that it does not matter where it comes from. docs/certified.md, section 7.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fisherkit.certified.image import ExactModel
from fisherkit.certified.rational import Symmetric, integer_type, product
from fisherkit.certified.rounding import root_below

__all__ = ["Bound", "Shop", "determinant"]

Table = list[list[Fraction]]


@dataclass(frozen=True, eq=False)
class Shop:
    """What can be bought.

    Attributes:
        costs: {modality: budget units per sample}, >= 0.
        low: {modality: fewest samples}.
        high: {modality: most samples, None for no limit}; free ones have a limit.
        collected: {modality: samples that are there already}.
    """

    costs: Mapping[str, Fraction]
    low: Mapping[str, Fraction]
    high: Mapping[str, Fraction | None]
    collected: Mapping[str, int]

    def cost(self, counts: Mapping[str, Fraction]) -> Fraction:
        """What counts cost.

        Args:
            counts: {modality: samples to buy}.

        Returns:
            Budget units.
        """
        return sum((self.costs[name] * n for name, n in counts.items()), Fraction(0))

    def most(self, scores: Mapping[str, Fraction], budget: Fraction) -> Fraction:
        """Largest worth that the budget buys: a fractional knapsack, filled in the order of worth per cost.

        Args:
            scores: {modality: worth per sample}, >= 0.
            budget: at least what the lower limits cost.

        Returns:
            max sum n_k g_k over all counts within limits and budget.
        """
        worth, room = self._floor(scores), budget - self.cost(self.low)
        for name in self._by_rate(scores):
            limit, price = self.high[name], self.costs[name]
            more = room / price if limit is None else min(limit - self.low[name], room / price)
            worth += more * scores[name]
            room -= more * price
        return worth

    def least(self, scores: Mapping[str, Fraction], wanted: Fraction) -> Fraction | None:
        """Least cost of counts that are worth as much as wanted.

        Args:
            scores: {modality: worth per sample}, >= 0.
            wanted: worth.

        Returns:
            Budget units, None if no counts within the limits are worth that much.
        """
        cost, short = self.cost(self.low), wanted - self._floor(scores)
        for name in self._by_rate(scores):
            if short <= 0:
                break
            limit = self.high[name]
            more = short / scores[name]
            if limit is not None:
                more = min(limit - self.low[name], more)
            cost += more * self.costs[name]
            short -= more * scores[name]
        return cost if short <= 0 else None

    def _floor(self, scores: Mapping[str, Fraction]) -> Fraction:
        """Worth of what must be bought or is free."""
        total = Fraction(0)
        for name, score in scores.items():
            limit = self.high[name]
            total += score * (limit if self.costs[name] == 0 and limit is not None else self.low[name])
        return total

    def _by_rate(self, scores: Mapping[str, Fraction]) -> list[str]:
        useful = [name for name in scores if self.costs[name] > 0 and scores[name] > 0]
        return sorted(useful, key=lambda name: scores[name] / self.costs[name], reverse=True)


@dataclass(frozen=True, eq=False)
class Bound:
    """What one matrix C proves.

    Attributes:
        criterion: "c", "A", "D" or "E".
        dim: number of shared parameters d.
        scores: {modality: g_k = trace(C' S_k C)}.
        base: the same of what is collected.
        strength: (sum V * C)^2 for c and A, |C|^2 for E, det CC' for D.
    """

    criterion: str
    dim: int
    scores: Mapping[str, Fraction]
    base: Fraction
    strength: Fraction

    @classmethod
    def of(cls, image: ExactModel, criterion: str, wanted: Table, matrix: Table, shop: Shop) -> "Bound":
        """Evaluate the scores.

        Args:
            image: the model.
            criterion: its name.
            wanted: (d, q) directions V, for c and A.
            matrix: (d, m), C, in parameter units.
            shop: what can be bought.

        Returns:
            The bound.
        """
        units = image.shared_units
        scaled = [[x * u for x in row] for row, u in zip(matrix, units, strict=True)]
        scores = {name: _form(image.average(name), scaled) for name in image.names}
        base = sum((shop.collected[name] * g for name, g in scores.items()), Fraction(0))
        if criterion == "D":
            strength = determinant(
                Symmetric.of([
                    [sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0)) for b in matrix[: i + 1]]
                    for i, a in enumerate(matrix)
                ])
            )
        elif criterion == "E":
            strength = sum((x * x for row in matrix for x in row), Fraction(0))
        else:
            pairs = zip(matrix, wanted, strict=True)
            strength = sum((x * y for a, b in pairs for x, y in zip(a, b, strict=True)), Fraction(0)) ** 2
        return cls(criterion, len(units), scores, base, strength)

    def least(self, shop: Shop, budget: Fraction) -> Fraction | None:
        """Lower bound on the criterion of all affordable counts.

        Args:
            shop: what can be bought.
            budget: at least what the lower limits cost.

        Returns:
            The bound, of exp(phi) for D; None if the criterion is infinite for all of them.
        """
        cap = self.base + shop.most(self.scores, budget)
        if not self.strength:
            return Fraction(0)
        if not cap:
            return None
        return self.strength * (self.dim / cap) ** self.dim if self.criterion == "D" else self.strength / cap

    def least_cost(self, shop: Shop, target: Fraction) -> Fraction | None:
        """Lower bound on the cost of all counts that reach a target.

        Args:
            shop: what can be bought.
            target: value of the criterion, positive for c, A and E.

        Returns:
            Budget units; None if no counts reach it.
        """
        if not self.strength:
            return shop.cost(shop.low)
        if self.criterion == "D":
            cap = self.dim * root_below(self.strength, target, self.dim)
        else:
            cap = self.strength / target
        return shop.least(self.scores, cap - self.base)


def determinant(matrix: Symmetric) -> Fraction:
    """Determinant of a positive semidefinite matrix.

    Args:
        matrix: (d, d).

    Returns:
        >= 0.
    """
    pivots = matrix.eliminated(matrix.dim).pivots
    if len(pivots) < matrix.dim:
        return Fraction(0)
    total = Fraction(1)
    for _, pivot in pivots:
        total *= pivot
    return total


def _form(matrix: Symmetric, columns: Sequence[Sequence[Fraction]]) -> Fraction:
    """trace(B' S B)."""
    common = math.lcm(*(x.denominator for row in columns for x in row))
    make = integer_type()
    b = [[make(x.numerator * (common // x.denominator)) for x in row] for row in columns]
    d = matrix.dim
    full = [[matrix.lower[max(i, j)][min(i, j)] for j in range(d)] for i in range(d)]
    image = product(full, b)
    total = sum((int(x * y) for p, q in zip(image, b, strict=True) for x, y in zip(p, q, strict=True)), 0)
    return matrix.scale * total / common**2
