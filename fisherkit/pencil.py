"""Two information matrices diagonalised at once: x A + y B for all x, y >= 0 at the price of one decomposition.

With A + B = W^{-T} W^{-1} on its range, the eigenvectors of W'AW and of W'BW = I - W'AW are the same: in the frame
T = W V both are diagonal (the generalised singular value decomposition of the two roots; Golub and Van Loan 2013,
section 8.7.4). Level sets of a criterion over two counts are then sums over d numbers.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fisherkit.psd import PSD, total
from fisherkit.tolerances import tolerance

__all__ = ["Pencil"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pencil:
    """A and B in the frame that diagonalises both.

    Attributes:
        a: A.
        b: B.
        weight: w > 0 that makes w B about as large as A.
        both: A + w B.
        frame: (d, r), T with T'AT = diag(first), T'BT = diag(second); r is the rank of A + B.
        dual: (r, d), T^+ with A = dual' diag(first) dual and likewise for B.
        first: (r,) >= 0, exactly 0 where A sees nothing.
        second: (r,) >= 0, exactly 0 where B sees nothing.

    Example:
        >>> pencil = Pencil.of(PSD.of(np.diag([4.0, 0.0])), PSD.of(np.diag([1.0, 9.0])))
        >>> pencil.at(1.0, 2.0).matrix.round(9)
        array([[ 6.,  0.],
               [ 0., 18.]])
    """

    a: PSD
    b: PSD
    weight: float
    both: PSD
    frame: Array
    dual: Array
    first: Array
    second: Array

    @classmethod
    def of(cls, a: PSD, b: PSD) -> "Pencil":
        """Diagonalise.

        Args:
            a: A, (d, d).
            b: B, (d, d).

        Returns:
            The pencil.
        """
        weight = _balance(a, b)
        both = total(a.dim, [(1.0, a), (weight, b)])
        half = both.half_inverse
        root_a, root_b = a.root @ half, np.sqrt(weight) * (b.root @ half)
        vectors = np.linalg.svd(root_b)[2].T
        strong = int((np.square(root_b @ vectors).sum(axis=0) > 0.5).sum())
        # where B is nearly everything its singular values are all alike, and A tells the directions apart
        vectors[:, :strong] = vectors[:, :strong] @ np.linalg.svd(root_a @ vectors[:, :strong])[2].T
        seen = [np.linalg.norm(root @ vectors, axis=0) for root in (root_a, root_b)]
        floor = tolerance(a.dim) * both.condition
        first, second = (np.square(np.where(size > floor, size, 0.0)) for size in seen)
        return cls(a, b, weight, both, half @ vectors, vectors.T @ both.root, first, second / weight)

    def at(self, x: float, y: float) -> PSD:
        """The information x A + y B.

        Args:
            x: >= 0.
            y: >= 0.

        Returns:
            The decided matrix.
        """
        if not (x and y):
            return self.a.times(x) if x else self.b.times(y)
        size = np.sqrt(x * self.first + y * self.second)
        scale = np.hypot(np.sqrt(x) * self.a.lengths, np.sqrt(y) * self.b.lengths)
        spread = float(size.max() / size.min()) if size.size else 1.0
        return PSD(
            size[:, None] * self.dual,
            self.frame / size,
            np.where(scale > 0, scale, 1.0),
            self.both.condition * spread,
            max(self.a.rounding, self.b.rounding),
            self.both.sure,
        )


def _balance(a: PSD, b: PSD) -> float:
    """Weight of B that makes it as large as A where both see something."""
    common = (a.lengths > 0) & (b.lengths > 0)
    if common.any():
        ratio = a.lengths[common] / b.lengths[common]
        return float(np.exp(2 * np.log(ratio).mean()))
    return 1.0
