"""The Loewner order A <= B (B - A positive semidefinite) and inclusion of ranges, with witnesses.

Both are decided in rescaled coordinates, each coordinate i in units of sqrt(s_i) with s_i = |A_ii| + |B_ii|, so that
no verdict changes when a parameter is measured in other units (the tolerance policy of `fisherkit.psd`). A `PSD` object, such
as `fisherkit.shared_information` returns, brings the larger scale that its entries were computed at.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_matrix, as_number, as_symmetric
from fisherkit.projection import own_rounding
from fisherkit.psd import PSD
from fisherkit.tolerances import RANGE_TOLERANCE, tolerance

__all__ = ["Comparison", "RangeInclusion", "Relation", "compare", "range_inclusion", "relative_gap", "units"]

Array = NDArray[np.float64]


class Relation(StrEnum):
    """Where A stands relative to B in the Loewner order; plain "below" and "above" are semidefinite, not strict."""

    STRICTLY_BELOW = "strictly below"
    BELOW = "below"
    EQUAL = "equal"
    ABOVE = "above"
    STRICTLY_ABOVE = "strictly above"
    INCOMPARABLE = "incomparable"

    @property
    def symbol(self) -> str:
        """The relation between A and B as mathematics writes it."""
        return dict(zip(Relation, "≺⪯=⪰≻∥", strict=True))[self]

    @classmethod
    def of_inertia(cls, positive: int, negative: int, zero: int) -> "Relation":
        """Relation from the signs of the eigenvalues of B - A.

        Args:
            positive: number of positive eigenvalues.
            negative: number of negative ones.
            zero: number of zeros.

        Returns:
            The relation of A to B.

        Example:
            >>> Relation.of_inertia(2, 0, 1)
            <Relation.BELOW: 'below'>
        """
        if positive and negative:
            return cls.INCOMPARABLE
        if positive:
            return cls.BELOW if zero else cls.STRICTLY_BELOW
        if negative:
            return cls.ABOVE if zero else cls.STRICTLY_ABOVE
        return cls.EQUAL


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """How A compares with B, and the directions that prove it.

    Attributes:
        relation: where A stands relative to B.
        min_eigenvalue: smallest eigenvalue of B - A (on the subspace), in the units given; exactly 0 where the
            verdict counts it as zero.
        max_eigenvalue: largest one.
        scaled_min: smallest eigenvalue of the rescaled gap (relative to A + B for two `PSD` objects), the number that was
            compared with the tolerance.
        scaled_max: largest one.
        tolerance: rescaled eigenvalues of at most this size count as zero.
        positive: (d,) unit vector v with v'(B - A)v > 0, None if there is none.
        negative: (d,) unit vector v with v'(B - A)v < 0, None if there is none.
        dim: dimension d.
        subspace_dim: dimension of the subspace compared on, d for the whole space.
    """

    relation: Relation
    min_eigenvalue: float
    max_eigenvalue: float
    scaled_min: float
    scaled_max: float
    tolerance: float
    positive: Array | None
    negative: Array | None
    dim: int
    subspace_dim: int

    @property
    def is_below(self) -> bool:
        """A <= B: B - A is positive semidefinite."""
        return self.relation in (Relation.STRICTLY_BELOW, Relation.BELOW, Relation.EQUAL)

    @property
    def is_strictly_below(self) -> bool:
        """A < B: B - A is positive definite."""
        return self.relation is Relation.STRICTLY_BELOW

    def __repr__(self) -> str:
        where = "" if self.subspace_dim == self.dim else f" on {self.subspace_dim} of {self.dim} dimensions"
        text = f"A {self.relation.symbol} B{where}: v'(B - A)v in [{self.min_eigenvalue:.4g}, {self.max_eigenvalue:.4g}]"
        if self.relation is Relation.INCOMPARABLE:
            text += f", + at v = {_short(self.positive)}, - at v = {_short(self.negative)}"
        return text


def compare(
    a: ArrayLike, b: ArrayLike, *, subspace: ArrayLike | None = None, rounding: float | None = None
) -> Comparison:
    """Compare two symmetric matrices in the Loewner order, on the whole space or on a subspace.

    Args:
        a: (d, d) symmetric, not necessarily semidefinite, or a `PSD`.
        b: (d, d) symmetric, in the same units, or a `PSD`.
        subspace: (d, k) basis of a subspace, columns linearly independent; compares v'Av with v'Bv for v in it only.
        rounding: relative rounding of the entries if it exceeds ``tolerance(d)``, e.g. of a computed inverse.

    Returns:
        Relation, extreme eigenvalues of B - A and witnesses.

    Raises:
        ValueError: not square, of different size, not symmetric, not finite, a dependent basis, or a rounding that
            is not positive.

    Example:
        >>> compare(np.eye(2), np.diag([3.0, 1.0]))
        A ⪯ B: v'(B - A)v in [0, 2]
        >>> compare(np.diag([1.0, 2.0]), np.diag([2.0, 1.0]))
        A ∥ B: v'(B - A)v in [-1, 1], + at v = [1. 0.], - at v = [0. 1.]
        >>> compare(np.diag([1.0, 2.0]), np.diag([2.0, 1.0]), subspace=[[1.0], [0.0]])
        A ≺ B on 1 of 2 dimensions: v'(B - A)v in [1, 1]
    """
    decided = (a, b) if isinstance(a, PSD) and isinstance(b, PSD) and subspace is None else None
    known = [m.lengths for m in (a, b) if isinstance(m, PSD)]
    a = as_symmetric(a, "A")
    d = len(a)
    b = as_symmetric(b, "B", dim=d)
    if rounding is not None and not as_number(rounding, "rounding") > 0:
        raise ValueError(f"rounding: must be positive, got {rounding}")
    floor = max(tolerance(d), rounding or 0.0)
    # sums of entries near the largest float would overflow: work at a quarter of the size there
    quarter = 0.25 if max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0)) > 1e300 else 1.0
    a, b = quarter * a, quarter * b
    basis = np.eye(d)
    if decided is None:
        unit = np.maximum(units(a, b), np.sqrt(quarter) * np.linalg.norm([np.zeros(d), *known], axis=0))
        scaled_basis = np.eye(d)
        if subspace is not None:
            basis, scaled_basis = _bases(subspace, unit, d)
        back = (scaled_basis.T / unit).T  # columns span the subspace in the original coordinates
        difference = (b / unit - a / unit) / unit[:, None]
        values, vectors = np.linalg.eigh(scaled_basis.T @ difference @ scaled_basis)
        frame = back @ vectors
    else:
        values, frame, resolution = relative_gap(*decided)
        floor = max(floor, resolution)
    positive, negative = values > floor, values < -floor
    relation = Relation.of_inertia(
        int(positive.sum()), int(negative.sum()), int((~positive & ~negative).sum())
    )
    up = _unit(frame[:, -1]) if positive.any() else None
    down = _unit(frame[:, 0]) if negative.any() else None
    low, high = _extremes(values, basis.T @ frame, basis.T @ (b - a) @ basis, positive, negative)
    return Comparison(
        relation,
        low / quarter,
        high / quarter,
        float(values.min(initial=np.inf if len(values) else 0.0)),
        float(values.max(initial=-np.inf if len(values) else 0.0)),
        floor,
        up,
        down,
        d,
        basis.shape[1],
    )


@dataclass(frozen=True, eq=False, repr=False)
class RangeInclusion:
    """Whether range(A) lies inside range(B), and what sticks out if it does not.

    Attributes:
        included: whether range(A) is a subset of range(B).
        outside: sine of the largest principal angle between range(A) and range(B), in rescaled coordinates.
        tolerance: an `outside` of at most this size counts as inside.
        witness: (d,) unit vector w in range(A) that is not in range(B), None if included.
        blind_spot: (d,) unit vector v with v'Bv = 0 < v'Av, the projection of w on the orthogonal complement of
            range(B) (in rescaled coordinates); None if included.
        rank_a: rank of A.
        rank_b: rank of B.
    """

    included: bool
    outside: float
    tolerance: float
    witness: Array | None
    blind_spot: Array | None
    rank_a: int
    rank_b: int

    def __repr__(self) -> str:
        if self.included:
            return f"range(A) ⊆ range(B): ranks {self.rank_a} ≤ {self.rank_b}"
        return (
            f"range(A) ⊄ range(B): w = {_short(self.witness)} is in range(A) only; "
            f"v'Bv = 0 < v'Av at v = {_short(self.blind_spot)}"
        )


def range_inclusion(a: ArrayLike, b: ArrayLike) -> RangeInclusion:
    """Whether range(A) is a subset of range(B), for positive semidefinite A and B.

    Every v'theta that is estimable under information A is then estimable under B.

    Args:
        a: (d, d) symmetric positive semidefinite, array or `PSD`.
        b: (d, d) symmetric positive semidefinite, array or `PSD`.

    Returns:
        Verdict with a witness of range(A) outside range(B) and a direction that B is blind to but A sees.

    Raises:
        ValueError: different sizes, or not symmetric positive semidefinite.

    Example:
        >>> range_inclusion(np.diag([0.0, 1.0]), np.eye(2))
        range(A) ⊆ range(B): ranks 1 ≤ 2
        >>> range_inclusion(np.ones((2, 2)), np.diag([1.0, 0.0]))
        range(A) ⊄ range(B): w = [0.707 0.707] is in range(A) only; v'Bv = 0 < v'Av at v = [0. 1.]
    """
    first, second = PSD.of(a, name="A"), PSD.of(b, name="B")
    if first.dim != second.dim:
        raise ValueError(f"B: expected shape ({first.dim}, {first.dim}), got ({second.dim}, {second.dim})")
    # range vectors are covectors: divide by the unit
    unit = np.where(second.root.any(axis=0), second.own_units, first.own_units)
    inner, outer = (np.linalg.qr((m.root / unit).T)[0] for m in (first, second))
    left_over = inner - outer @ (outer.T @ inner)
    left_over -= outer @ (outer.T @ left_over)
    floor = max(RANGE_TOLERANCE, own_rounding(first) + own_rounding(second))
    _, sines, vt = np.linalg.svd(left_over, full_matrices=False)
    sine = float(sines.max(initial=0.0))
    if sine <= floor:
        return RangeInclusion(True, sine, floor, None, None, first.rank, second.rank)
    witness, blind = _unit(inner @ vt[0] * unit), _unit(left_over @ vt[0] / unit)
    return RangeInclusion(False, sine, floor, witness, blind, first.rank, second.rank)


def units(a: Array, b: Array) -> Array:
    """Coordinate units u in which A and B are compared, |A_ij| + |B_ij| <= u_i u_j.

    Args:
        a: (d, d) symmetric.
        b: (d, d) symmetric.

    Returns:
        (d,), square roots of |A_ii| + |B_ii| if both are semidefinite, else equilibrated.
    """
    size = np.abs(a) + np.abs(b)
    unit = np.sqrt(np.where(size.diagonal() > 0, size.diagonal(), 1.0))
    for _ in range(
        64
    ):  # Ruiz: converges linearly with rate 1/2; the diagonal already is a fixed point for PSD
        largest = (size / np.outer(unit, unit)).max(axis=1, initial=0.0)
        if (largest <= 1 + 1e-8).all():
            break
        unit = unit * np.sqrt(np.maximum(largest, 1.0))
    return unit


def relative_gap(a: PSD, b: PSD) -> tuple[Array, Array, float]:
    """Eigenvalues of B - A relative to A + B, what `compare` judges two decided matrices by.

    Args:
        a: A.
        b: B, of the same dimension.

    Returns:
        (d,) eigenvalues in [-1, 1], ascending; the (d, d) frame that diagonalises the gap; the eigenvalues' rounding.
    """
    # From the roots, so that information is compared with information in every direction: not with the length that a
    # column had before private parameters were projected out of it.
    both = a.plus(b)
    halves = [m.root @ both.half_inverse for m in (b, a)]
    values, vectors = np.linalg.eigh(halves[0].T @ halves[0] - halves[1].T @ halves[1])
    values = np.concatenate([values, np.zeros(both.dim - both.rank)])
    frame = np.concatenate([both.half_inverse @ vectors, both.null_directions], axis=1)
    order = np.argsort(values, kind="stable")
    return values[order], frame[:, order], both.resolution


def _bases(subspace: ArrayLike, unit: Array, d: int) -> tuple[Array, Array]:
    """Orthonormal bases of the subspace in the given and in the rescaled coordinates, rank checked."""
    given = as_matrix(subspace, "subspace", rows=d)
    length = np.linalg.norm(given, axis=0)
    columns = given / np.where(length > 0, length, 1.0)
    singular = np.linalg.svd(columns, compute_uv=False)
    rank = int((singular > tolerance(d) * max(1.0, singular.max(initial=0.0))).sum())
    if rank < given.shape[1]:
        raise ValueError(
            f"subspace: the {given.shape[1]} columns have rank {rank}; pass linearly independent columns"
        )
    scaled = columns * unit[:, None]
    return np.linalg.qr(columns)[0], np.linalg.qr(scaled / np.linalg.norm(scaled, axis=0))[0]


def _extremes(
    values: Array, frame: Array, restricted: Array, positive: NDArray[np.bool_], negative: NDArray[np.bool_]
) -> tuple[float, float]:
    """Extreme eigenvalues of the gap in the given units; `frame` diagonalises it by congruence."""
    # Of a definite gap the eigenvalue nearest to zero comes from the inverse, which keeps its relative accuracy (and
    # its sign) however unequal the units are.
    if not (positive.any() or negative.any()):
        return 0.0, 0.0
    raw = np.linalg.eigvalsh(restricted)
    nearest = (
        1 / np.linalg.norm(frame / np.sqrt(np.abs(values)), 2) ** 2 if (positive | negative).all() else 0.0
    )
    lengths = np.square(frame).sum(axis=0)
    if not negative.any():
        return float(nearest), float(max(raw[-1], values[-1] / lengths[-1]))
    if not positive.any():
        return float(min(raw[0], values[0] / lengths[0])), float(0.0 - nearest)
    return float(min(raw[0], values[0] / lengths[0])), float(max(raw[-1], values[-1] / lengths[-1]))


def _unit(vector: Array) -> Array:
    """Unit vector whose largest entry is positive."""
    vector = vector / np.abs(vector).max()
    vector = vector / np.linalg.norm(vector)
    return vector * np.sign(vector[np.abs(vector).argmax()]) + 0.0


def _short(vector: Array | None) -> str:
    return np.array2string(np.asarray(vector), precision=3, threshold=8, suppress_small=True)
