"""Matrices of floats as integers times a power of two: sums and products without rounding.

Every float is m 2^e with integers m and e, so that products of float matrices are integer products. They cost about a
microsecond per multiplication, which small problems can afford where floating point cannot tell what a bound is.
"""

from dataclasses import dataclass
from math import ldexp
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Dyadic"]

Array = NDArray[np.float64]

_MANTISSA = 53
_LONG = 64  # bits that `floats` reads; what lies below is less than its rounding


@dataclass(frozen=True, eq=False)
class Dyadic:
    """integers * 2^exponent.

    Attributes:
        integers: array of Python integers.
        exponent: of two.

    Example:
        >>> half = Dyadic.of([[0.5, 3.0]])
        >>> (half @ half.T).floats(), (half + half).floats()
        (array([[9.25]]), array([[1., 6.]]))
    """

    integers: NDArray[Any]
    exponent: int

    @classmethod
    def of(cls, values: ArrayLike) -> "Dyadic":
        """The floats as they are.

        Args:
            values: finite floats, any shape.

        Returns:
            Exactly these.
        """
        fraction, power = np.frexp(np.asarray(values, dtype=np.float64))
        mantissas = np.ldexp(fraction, _MANTISSA).astype(np.int64)
        there = mantissas != 0
        lowest = int(power[there].min()) if there.any() else 0
        shifts = np.where(there, power - lowest, 0)
        return cls(mantissas.astype(object) << shifts.astype(object), lowest - _MANTISSA)

    @property
    def T(self) -> "Dyadic":
        """Transpose."""
        return Dyadic(self.integers.T, self.exponent)

    def reshape(self, *shape: int) -> "Dyadic":
        """The same entries in another shape.

        Args:
            shape: new shape.

        Returns:
            Reshaped.
        """
        return Dyadic(self.integers.reshape(*shape), self.exponent)

    def __matmul__(self, other: "Dyadic") -> "Dyadic":
        return Dyadic(self.integers @ other.integers, self.exponent + other.exponent)

    def __add__(self, other: "Dyadic") -> "Dyadic":
        lowest = min(self.exponent, other.exponent)
        return Dyadic(
            self.integers * (1 << (self.exponent - lowest))
            + other.integers * (1 << (other.exponent - lowest)),
            lowest,
        )

    def floats(self) -> Array:
        """Nearest floats, to a relative 2^-52.

        Returns:
            float64 array.
        """
        nearest = np.empty(self.integers.size)
        for i, n in enumerate(self.integers.ravel().tolist()):
            spare = max(0, n.bit_length() - _LONG)
            nearest[i] = ldexp(float(n >> spare), self.exponent + spare)
        return nearest.reshape(self.integers.shape)
