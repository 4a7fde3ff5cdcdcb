"""What every executable statement returns, and when floating point can decide it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import as_array, as_choice
from fisherkit.tolerances import tolerance

__all__ = [
    "CLEAR",
    "RESOLVED",
    "Reading",
    "Verdict",
    "as_direction",
    "check_reading",
    "clear",
    "drowned",
    "evenness",
    "relative_drop",
]

Array = NDArray[np.float64]
Reading = Literal["as_stated", "as_holds"]

#: Name of the hypothesis that every quantity in question is either rounding or well above it.
RESOLVED = "resolved in floating point"

#: "Well above": this many times the rounding.
CLEAR = 8.0

#: Relative rounding above which nothing is decided (condition numbers near 1e10).
_HOPELESS = 1e-3


@dataclass(frozen=True, eq=False, repr=False)
class Verdict:
    """One statement, checked on one instance.

    Attributes:
        statement: which one, with its citation.
        claim: the conclusion in symbols.
        reading: "as_stated", the paper's words, or "as_holds", with the hypothesis that makes them true.
        hypotheses: {hypothesis in words: whether this instance meets it}. One of them may be `RESOLVED`.
        holds: whether the conclusion is true of this instance, asked for even where a hypothesis fails.
        left: left-hand side of the conclusion, number or matrix.
        right: right-hand side.
        margin: signed relative slack of the conclusion, positive where it holds with room.
        tolerance: slack that counts as zero.
        witness: direction that proves the verdict, where one exists.
        note: what a reader should know about this instance.
    """

    statement: str
    claim: str
    reading: Reading
    hypotheses: Mapping[str, bool]
    holds: bool
    left: float | Array
    right: float | Array
    margin: float
    tolerance: float
    witness: Array | None = field(default=None)
    note: str = ""

    @property
    def applies(self) -> bool:
        """Whether the instance meets all hypotheses."""
        return all(self.hypotheses.values())

    @property
    def refuted(self) -> bool:
        """Whether this instance is a counterexample: all hypotheses met, conclusion false."""
        return self.applies and not self.holds

    def __repr__(self) -> str:
        failing = [name for name, met in self.hypotheses.items() if not met]
        status = "hypotheses met" if not failing else f"not met: {', '.join(failing)}"
        sides = f"{_short(self.left)} vs {_short(self.right)}"
        end = f"; {self.note}" if self.note else ""
        outcome = "holds" if self.holds else "REFUTED" if self.refuted else "fails"
        return f"{self.statement}, {self.reading.replace('_', ' ')}: {self.claim} {outcome} ({sides}; {status}){end}"


def check_reading(reading: str) -> None:
    """Raise unless the reading is one of the two.

    Args:
        reading: as given by the caller.

    Raises:
        ValueError: anything but "as_stated" and "as_holds".
    """
    as_choice(reading, ("as_stated", "as_holds"), "reading")


def as_direction(v: ArrayLike, dim: int) -> Array:
    """Checked nonzero direction.

    Args:
        v: (d,) vector.
        dim: wanted length d.

    Returns:
        float64 vector.

    Raises:
        ValueError: wrong length, zero, or not finite.
    """
    vector = as_array(v, "v", ndim=1).astype(np.float64, copy=False)
    if vector.shape != (dim,):
        raise ValueError(f"v: expected length {dim}, got {len(vector)}")
    if not vector.any():
        raise ValueError("v: the zero vector is no direction; every statement is about v != 0")
    return vector


def clear(noise: float, *values: ArrayLike, nothing: float | None = None) -> bool:
    """Whether each value is either rounding or well above it, so that "is it zero?" has one answer.

    Args:
        noise: relative rounding of the values.
        *values: numbers or arrays of order one.
        nothing: values of at most this size are zero, default the noise; less where a smaller one can be true.

    Returns:
        False if the noise is hopeless or any |value| lies between `nothing` and `CLEAR` times noise.
    """
    size = np.abs(np.concatenate([np.ravel(value) for value in values])) if values else np.zeros(0)
    least = noise if nothing is None else min(nothing, noise)
    return noise < _HOPELESS and not bool(((size > least) & (size < CLEAR * noise)).any())


def drowned(a: Array, b: Array) -> bool:
    """Whether a diagonal entry of one matrix loses all its digits in the sum with the other.

    Ranks and ranges of the sum may survive that; its inverse no longer knows the smaller matrix there.

    Args:
        a: (d, d) positive semidefinite.
        b: (d, d) the same.

    Returns:
        Whether 0 < a_ii < tolerance b_ii or the other way round, for some i.
    """
    small, large = np.minimum(a.diagonal(), b.diagonal()), np.maximum(a.diagonal(), b.diagonal())
    return bool(((small > 0) & (small < tolerance(len(a)) * large)).any())


def evenness(sizes: Array) -> float:
    """How the smallest nonzero size compares with the largest.

    Args:
        sizes: (d,) numbers >= 0.

    Returns:
        Ratio in (0, 1]; 1 if none is nonzero. What it is below the rounding, the smallest cannot be seen in a sum.
    """
    there = sizes[sizes > 0]
    return float(there.min() / there.max()) if there.size else 1.0


def relative_drop(variance: float, joint: float) -> float:
    """Fraction of a variance that the joint fit removes.

    Args:
        variance: before, may be +infinity.
        joint: after, may be +infinity.

    Returns:
        1 - joint / variance; 1 from infinite to finite, 0 from infinite to infinite, -infinity from finite to infinite.
    """
    if np.isinf(variance):
        return 0.0 if np.isinf(joint) else 1.0
    return 1.0 - joint / variance if np.isfinite(joint) else -np.inf


def _short(side: float | Array) -> str:
    if np.ndim(side) == 0:
        return f"{float(side):.6g}"
    return np.array2string(np.asarray(side), precision=4, suppress_small=True, threshold=16).replace("\n", "")
