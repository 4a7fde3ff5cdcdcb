"""Input checks: every complaint about a user's array, name, count or seed is worded here, once.

Each function returns the checked value in the form the library computes with (float64 arrays, ints, a
``numpy.random.Generator``) or raises an error that says what is wrong, where, and what to do.
"""

import difflib
import numbers
import os
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "UnknownNameError",
    "as_array",
    "as_counts",
    "as_indices",
    "as_matrix",
    "as_seed",
    "as_symmetric",
    "as_whole",
    "check_names",
    "require_memory",
]

Array = NDArray[np.float64]
_BLOCK = 1 << 20  # entries read at a time when a large array is searched


def as_array(value: ArrayLike, name: str, *, ndim: int | tuple[int, ...] | None = None) -> Array:
    """Finite float array with the wanted number of dimensions (float64; float32 stays as it is).

    Args:
        value: anything ``numpy.asarray`` accepts.
        name: how the message calls it, e.g. ``"image: shared design"``.
        ndim: allowed number(s) of dimensions; None allows any.

    Returns:
        The array itself where it already is floating point (no copy), else a float64 copy.

    Raises:
        TypeError: not numeric (strings, objects, complex numbers), or with masked entries.
        ValueError: wrong number of dimensions, or a NaN or infinity (with its index).

    Example:
        >>> as_array([1, 2], "counts", ndim=2)
        Traceback (most recent call last):
        ...
        ValueError: counts: expected 2 dimensions, got 1 (shape (2,))
    """
    if np.ma.is_masked(value):
        raise TypeError(
            f"{name}: {np.ma.count_masked(value)} entries are masked, and a plain array would show what is under the mask; "
            "remove these rows (or fill them) and pass .data"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: not a rectangular array ({error})") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected real numbers, got dtype {array.dtype}; convert it to float first")
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float64)
    if ndim is not None:
        allowed = (ndim,) if isinstance(ndim, int) else ndim
        if array.ndim not in allowed:
            wanted = " or ".join(str(n) for n in allowed)
            raise ValueError(f"{name}: expected {wanted} dimensions, got {array.ndim} (shape {array.shape})")
    require_finite(array, name)
    return array


def require_finite(array: NDArray, name: str) -> None:
    """Raise if the array holds a NaN or an infinity; reads it once, in blocks, at memory speed.

    Args:
        array: floating-point array of any shape.
        name: how the message calls it.

    Raises:
        ValueError: a NaN or infinity, with the index of the first one and their number.
    """
    # A sum is finite unless an entry is not (or the sum overflows): the cheap test for the common case.
    if array.size <= _BLOCK:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(array.sum(dtype=np.float64)):
                return
        parts: Iterable[tuple[int, NDArray]] = [(0, array)] if array.ndim else [(0, array[None])]
    else:
        step = max(1, _BLOCK // max(1, array[0].size))
        parts = ((start, array[start : start + step]) for start in range(0, len(array), step))
    bad, first = 0, None
    for start, part in parts:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(part.sum(dtype=np.float64)):
                continue
        wrong = ~np.isfinite(part)
        if wrong.any():
            bad += int(wrong.sum())
            if first is None:
                index = np.unravel_index(int(wrong.argmax()), wrong.shape)
                first = (start + int(index[0]), *map(int, index[1:]))
    if first is not None:
        where = first if array.ndim else ()
        kind = "NaN" if np.isnan(array[where]) else "infinite value"
        raise ValueError(
            f"{name}: {kind} at index {where} ({bad} non-finite of {array.size} entries); "
            "remove or impute these entries"
        )


def as_matrix(value: ArrayLike, name: str, *, rows: int | None = None, cols: int | None = None) -> Array:
    """Finite float64 matrix, with the wanted number of rows and columns where given.

    Args:
        value: anything ``numpy.asarray`` accepts.
        name: how the message calls it.
        rows: wanted number of rows, None for any.
        cols: wanted number of columns, None for any.

    Returns:
        float64 array of shape (rows, cols).

    Raises:
        ValueError: not two-dimensional, wrong shape, or not finite.
    """
    matrix = as_array(value, name, ndim=2).astype(np.float64, copy=False)
    want = tuple("any" if n is None else n for n in (rows, cols))
    if any(n is not None and n != got for n, got in zip((rows, cols), matrix.shape, strict=True)):
        raise ValueError(f"{name}: expected shape ({want[0]}, {want[1]}), got {matrix.shape}")
    return matrix


def as_symmetric(value: ArrayLike, name: str, *, dim: int | None = None) -> Array:
    """Finite symmetric float64 matrix; asymmetry up to rounding is averaged away.

    Args:
        value: square matrix.
        name: how the message calls it.
        dim: wanted dimension, None for any.

    Returns:
        float64 array of shape (dim, dim), exactly symmetric.

    Raises:
        ValueError: not square, wrong size, not finite, or not symmetric beyond rounding.
    """
    matrix = as_matrix(value, name, rows=dim, cols=dim)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name}: expected a square matrix, got shape {matrix.shape}")
    if matrix.size == 0:
        return matrix
    half = matrix / 2  # halves first: sums of two huge entries overflow
    gap = np.abs(half - half.T)
    if gap.max() > 1e-8 * np.abs(half).max():
        i, j = np.unravel_index(int(gap.argmax()), gap.shape)
        raise ValueError(
            f"{name}: not symmetric: entry ({i}, {j}) is {matrix[i, j]:.6g} but ({j}, {i}) is {matrix[j, i]:.6g}; "
            "pass (M + M.T) / 2 if that is what you mean"
        )
    return half + half.T


class UnknownNameError(KeyError):
    """A name that is not there, with the close matches among those that are.

    Args:
        name: the name that was asked for.
        known: the names that exist.
        what: what is being named.

    Example:
        >>> raise UnknownNameError("imgae", ["image", "text"])
        Traceback (most recent call last):
        ...
        fisherkit.checks.UnknownNameError: unknown modality 'imgae'; did you mean 'image'? known: 'image', 'text'
    """

    def __init__(self, name: object, known: Iterable[str], what: str = "modality") -> None:
        names = list(known)
        self._arguments = (name, names, what)
        close = difflib.get_close_matches(str(name), names, n=2, cutoff=0.5)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ";"
        self.message = f"unknown {what} {name!r}{hint} known: {', '.join(map(repr, names))}"
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type["UnknownNameError"], tuple[object, list[str], str]]:
        return type(self), self._arguments  # comes back whole from another process

    def __str__(self) -> str:  # KeyError would print the repr
        return self.message


def as_counts(
    counts: Mapping[str, int] | int, names: Iterable[str], *, positive: bool = False
) -> dict[str, int]:
    """Sample counts by modality name, in the model's order; names left out count zero.

    Args:
        counts: ``{modality: count}``, or one count for all.
        names: the model's modality names.
        positive: whether at least one count must be positive.

    Returns:
        ``{modality: int}`` with every name present.

    Raises:
        UnknownNameError: a name that the model does not have.
        ValueError: a count that is negative, fractional or beyond 64 bits, or all zero where ``positive``.

    Example:
        >>> as_counts({"text": 3}, ["image", "text"])
        {'image': 0, 'text': 3}
    """
    names = list(names)
    if not isinstance(counts, Mapping):
        counts = dict.fromkeys(names, counts)
    for name in counts:
        if name not in names:
            raise UnknownNameError(name, names)
    checked: dict[str, int] = {}
    for name in names:
        count = counts.get(name, 0)
        checked[name] = as_whole(count, f"{name}: sample count", least=0)
    if positive and not any(checked.values()):
        raise ValueError(f"all sample counts are zero ({checked}); give at least one modality a sample")
    return checked


def as_whole(value: object, name: str, *, least: int) -> int:
    """Whole number that fits 64 bits.

    Args:
        value: int, or anything real and whole, such as 3.0 or ``numpy.int64(3)``.
        name: how the message calls it.
        least: smallest allowed value.

    Returns:
        The int.

    Raises:
        ValueError: anything else.

    Example:
        >>> as_whole(1.5, "replicates", least=1)
        Traceback (most recent call last):
        ...
        ValueError: replicates must be a whole number >= 1, got 1.5
    """
    try:
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        whole = int(value) if real else None  # type: ignore[call-overload]
    except (ValueError, OverflowError):  # NaN, infinity
        whole = None
    if whole is None or whole != value or whole < least:
        raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")
    if whole >= 2**63:
        raise ValueError(
            f"{name} must be below 2**63, got {str(value)[:30]}; information is proportional to counts"
        )
    return whole


def as_indices(keep: slice | ArrayLike, dim: int, name: str) -> NDArray[np.intp]:
    """Indices into an axis of length `dim`, each at most once.

    Args:
        keep: slice, one index, several, or a boolean mask; negative indices count from the end.
        dim: length of the axis.
        name: how the message calls them.

    Returns:
        Indices in [0, dim), in the order given.

    Raises:
        TypeError: not whole numbers.
        ValueError: none, one out of range, or one twice.

    Example:
        >>> as_indices([-1, 0], 3, "keep")
        array([2, 0])
    """
    if isinstance(keep, slice):
        return np.arange(dim)[keep]
    index = np.atleast_1d(np.asarray(keep))
    if index.size == 0:
        raise ValueError(f"{name}: no index given; ask about at least one of {dim} parameters")
    if index.dtype.kind not in "iub" or index.ndim != 1:
        raise TypeError(f"{name}: expected whole-number indices, got {keep!r}")
    if index.dtype.kind == "b":
        if len(index) != dim:
            raise ValueError(f"{name}: a mask must have length {dim}, got {len(index)}")
        return np.flatnonzero(index)
    wrong = (index < -dim) | (index >= dim)
    if wrong.any():
        raise ValueError(
            f"{name}: index {index[wrong][0]} is out of range for {dim} parameters (0 to {dim - 1})"
        )
    index = np.where(index < 0, index + dim, index).astype(np.intp)
    if len(set(index.tolist())) < len(index):
        raise ValueError(f"{name}: an index appears twice in {index.tolist()}")
    return index


def check_names(options: object, names: Iterable[str], what: str) -> None:
    """Raise if an option given by modality name names one that does not exist.

    Args:
        options: mapping by name; anything else is for all modalities and passes.
        names: the modality names.
        what: the option's name, for the message.

    Raises:
        UnknownNameError: a name that is not among them.
    """
    known = list(names)
    for name in options if isinstance(options, Mapping) else ():
        if name not in known:
            raise UnknownNameError(name, known, f"modality in {what}")


def as_seed(seed: int | np.random.Generator | np.random.SeedSequence) -> np.random.Generator:
    """The generator for a seed; a generator is passed through and advanced by its use.

    Args:
        seed: whole number >= 0, SeedSequence, or Generator.

    Returns:
        numpy Generator (PCG64 for seeds).

    Raises:
        TypeError: None or anything else; there is no silent default seed.
        ValueError: a negative number.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer, np.random.SeedSequence)):
        raise TypeError(
            f"seed must be a whole number, SeedSequence or numpy Generator, got {type(seed).__name__}; "
            "results must be reproducible, so there is no default"
        )
    if not isinstance(seed, np.random.SeedSequence) and seed < 0:
        raise ValueError(f"seed must be a whole number >= 0, got {seed}")
    return np.random.default_rng(seed)


def require_memory(needed: int, what: str) -> None:
    """Raise before an allocation that this machine cannot hold, instead of being killed by it.

    Args:
        needed: bytes.
        what: what needs them and what to do instead.

    Raises:
        MemoryError: more than the physical memory of this machine.
    """
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not a POSIX system: let NumPy find out
        return
    if needed > total:
        raise MemoryError(f"{what} needs {needed / 2**30:.1f} GiB, this machine has {total / 2**30:.1f} GiB")
