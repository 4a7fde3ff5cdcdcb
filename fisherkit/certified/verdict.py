"""What a certified comparison answers: a status, what proves it, and text that says so."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from fisherkit.loewner import Relation

__all__ = ["Certificate", "Status"]

Array = NDArray[np.float64]


class Status(StrEnum):
    """Kinds of answers; all but UNDECIDED are proofs."""

    CERTIFIED_STRICT = "certified strict"
    """A < B for every pair of symmetric matrices within the radii."""
    CERTIFIED_BY_FACTOR = "certified by factor"
    """A <= B because B - A = R'R for the R that was given; nothing is said about strictness."""
    REFUTED = "refuted"
    """Not A <= B: a vector with v'(B - A)v < 0 for every pair within the radii."""
    EXACT_STRICTLY_BELOW = "exact: strictly below"
    """A < B, by rational arithmetic on the floats as they are."""
    EXACT_BELOW = "exact: below"
    """A <= B with a singular gap that is not zero, by rational arithmetic."""
    EXACT_EQUAL = "exact: equal"
    """A = B, by rational arithmetic."""
    EXACT_ABOVE = "exact: above"
    """A >= B with a singular gap that is not zero, by rational arithmetic."""
    EXACT_STRICTLY_ABOVE = "exact: strictly above"
    """A > B, by rational arithmetic."""
    EXACT_INCOMPARABLE = "exact: incomparable"
    """Neither A <= B nor A >= B, by rational arithmetic."""
    UNDECIDED = "undecided"
    """Nothing is claimed: the gap is too close to singular for the rounding and the radii."""

    @property
    def is_exact(self) -> bool:
        """Whether rational arithmetic gave the answer."""
        return self.value.startswith("exact: ")

    @classmethod
    def of_relation(cls, relation: Relation) -> "Status":
        """The exact status of a relation.

        Args:
            relation: where A stands relative to B.

        Returns:
            The EXACT member.

        Example:
            >>> Status.of_relation(Relation.EQUAL)
            <Status.EXACT_EQUAL: 'exact: equal'>
        """
        return cls(f"exact: {relation.value}")


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """Answer of a certified comparison of A with B.

    Attributes:
        status: what is claimed.
        dim: dimension d.
        shift: what was subtracted from the diagonal of the rescaled gap (entries in [1/2, 2)) before its
            Cholesky factorisation, None if none was tried.
        bound: rounding, radii and underflow together, in the same units; the proof needs ``shift >= bound``.
        witness: (d,) v with v'(B - A)v < 0, of a refutation.
        value: upper bound of v'(B - A)v, negative, every rounding and radius included.
        inertia: numbers of positive, negative and zero eigenvalues of B - A, of an exact verdict.
        rows: number of rows of the factor R, of a certificate by factor.
        reason: why an answer is undecided, and what would decide it.
        names: how the text calls A and B.
    """

    status: Status
    dim: int
    shift: float | None = None
    bound: float | None = None
    witness: Array | None = None
    value: float | None = None
    inertia: tuple[int, int, int] | None = None
    rows: int | None = None
    reason: str = ""
    names: tuple[str, str] = ("A", "B")

    @property
    def relation(self) -> Relation | None:
        """Relation of A to B where it is known completely: strict or exact verdicts; else None."""
        if self.status is Status.CERTIFIED_STRICT:
            return Relation.STRICTLY_BELOW
        return Relation(self.status.value.removeprefix("exact: ")) if self.status.is_exact else None

    @property
    def is_strictly_below(self) -> bool:
        """A < B is proved."""
        return self.status in (Status.CERTIFIED_STRICT, Status.EXACT_STRICTLY_BELOW)

    @property
    def is_below(self) -> bool:
        """A <= B is proved."""
        weak = (Status.CERTIFIED_BY_FACTOR, Status.EXACT_BELOW, Status.EXACT_EQUAL)
        return self.is_strictly_below or self.status in weak

    @property
    def is_not_below(self) -> bool:
        """A <= B is disproved."""
        above = (Status.EXACT_ABOVE, Status.EXACT_STRICTLY_ABOVE, Status.EXACT_INCOMPARABLE)
        return self.status is Status.REFUTED or self.status in above

    def __repr__(self) -> str:
        a, b = self.names
        gap = b if a == "0" else f"({b} - {a})"
        if self.status is Status.CERTIFIED_STRICT:
            return (
                f"{a} ≺ {b}, proved: Cholesky completes after a shift of {self.shift:.3g} ≥ {self.bound:.3g}"
            )
        if self.status is Status.CERTIFIED_BY_FACTOR:
            return f"{a} ⪯ {b}, proved: {gap.strip('()')} = R'R with R of shape ({self.rows}, {self.dim})"
        if self.status is Status.REFUTED:
            v = np.array2string(np.asarray(self.witness), precision=3, threshold=8, suppress_small=True)
            return f"{a} ⪯ {b}, refuted: v'{gap}v ≤ {self.value:.4g} at v = {v}"
        if self.relation is not None and self.inertia is not None:
            signs = "{} positive, {} negative, {} zero".format(*self.inertia)
            return f"{a} {self.relation.symbol} {b}, exactly: eigenvalues of {gap.strip('()')}: {signs}"
        return f"{a} ⪯ {b} undecided: {self.reason}"
