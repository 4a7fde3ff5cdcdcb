"""The door for arrays: whatever a user hands over as numbers becomes a finite float64 array, or a worded error.

What is let in: real NumPy arrays of any dtype, memory order and byte order, nested lists, pandas objects, tensors of
torch and its like (recognised by their methods, never imported), and anything else that NumPy can read. One rule for
all of it: **no number is changed on the way in unless its own type is wider than float64 (longdouble)**. So integers
and entries of object arrays (Python ints, Fractions, Decimals) are let in where float64 holds them exactly and refused
where it does not; complex numbers, masked entries, sparse matrices and tensors that carry gradients are refused.

Everything is computed in float64. Only large per-sample arrays may stay *stored* in float32 (`single`); whoever computes
with them casts the chunk at hand first.
"""

import numbers
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "as_array",
    "as_frozen",
    "as_matrix",
    "as_pair",
    "as_symmetric",
    "freeze",
    "plain_array",
    "require_finite",
]

Array = NDArray[np.float64]
_BLOCK = 1 << 20  # entries read at a time when a large array is searched
_EXACT = 2**53  # up to here every integer is a double
_NUMBERS = (float, int, bool, np.float64)


def as_array(
    value: ArrayLike,
    name: str,
    *,
    ndim: int | tuple[int, ...] | None = None,
    single: bool = False,
    finite: bool = True,
) -> Array:
    """Finite float64 array with the wanted number of dimensions.

    Args:
        value: anything that the door lets in, see this module.
        name: how the message calls it, e.g. ``"image: shared design"``.
        ndim: allowed number(s) of dimensions; None allows any.
        single: whether float32 may stay float32, for large arrays that are only stored.
        finite: whether NaN and infinities are refused.

    Returns:
        The array itself where it already is float64 (no copy), else a float64 copy.

    Raises:
        TypeError: not real numbers (strings, objects, complex numbers), masked entries, a sparse matrix, a tensor
            that requires grad, or a Fraction or Decimal that float64 cannot hold.
        ValueError: wrong number of dimensions, an integer that float64 cannot hold, or a NaN or infinity (with its index).

    Example:
        >>> as_array([1, 2], "counts", ndim=2)
        Traceback (most recent call last):
        ...
        ValueError: counts: expected 2 dimensions, got 1 (shape (2,))
        >>> from fractions import Fraction
        >>> as_array([Fraction(1, 4), 3, True], "weights")
        array([0.25, 3.  , 1.  ])
    """
    return _checked(value, name, ndim, single, finite)[0]


def as_frozen(
    value: ArrayLike, name: str, *, ndim: int | tuple[int, ...] | None = None, single: bool = False
) -> Array:
    """The same to be kept: nothing that the caller does to the original later can change it.

    An array that is read-only already, such as ``numpy.memmap`` of mode "r", is kept as it is and costs no memory;
    anything that could be written to is copied. (A read-only *view* of an array that its owner goes on writing to is
    the one way round this.)

    Args:
        value: as in `as_array`.
        name: as in `as_array`.
        ndim: as in `as_array`.
        single: as in `as_array`.

    Returns:
        Read-only array.
    """
    array, fresh = _checked(value, name, ndim, single)
    return freeze(array if fresh or not array.flags.writeable else array.copy())


def freeze(array: Array) -> Array:
    """Make an array read-only, in place.

    Args:
        array: of this library's own.

    Returns:
        The array itself.
    """
    array.flags.writeable = False
    return array


def as_matrix(value: ArrayLike, name: str, *, rows: int | None = None, cols: int | None = None) -> Array:
    """Finite float64 matrix, with the wanted number of rows and columns where given.

    Args:
        value: anything that the door lets in, see this module.
        name: how the message calls it.
        rows: wanted number of rows, None for any.
        cols: wanted number of columns, None for any.

    Returns:
        float64 array of shape (rows, cols).

    Raises:
        ValueError: not two-dimensional, wrong shape, or not finite.
    """
    matrix = as_array(value, name, ndim=2)
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


def as_pair(n_x: ArrayLike, n_y: ArrayLike) -> tuple[Array, Array]:
    """Counts of x and y, broadcast against each other.

    Args:
        n_x: counts of x.
        n_y: counts of y.

    Returns:
        Two arrays of one shape.

    Raises:
        ValueError: shapes that do not broadcast, a NaN or an infinity.
    """
    x, y = as_array(n_x, "n_x"), as_array(n_y, "n_y")
    try:
        shape = np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        raise ValueError(f"n_x and n_y: shapes {x.shape} and {y.shape} do not broadcast") from None
    return np.broadcast_to(x, shape), np.broadcast_to(y, shape)


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


def plain_array(value: Any, name: str) -> tuple[NDArray, bool]:  # noqa: ANN401
    """A plain array of float64 or float32, whatever it was; shape and finiteness are not looked at.

    Args:
        value: anything.
        name: how the message calls it.

    Returns:
        The array, and whether it is a fresh copy that nobody else holds.

    Raises:
        TypeError: no real numbers, see `as_array`.
        ValueError: ragged lists, or integers that float64 cannot hold.
    """
    array, fresh = (value, False) if type(value) is np.ndarray else _read(value, name)
    dtype = array.dtype
    if dtype.kind == "f":
        if dtype.itemsize in (4, 8) and dtype.isnative:
            return array, fresh
        with np.errstate(
            over="ignore"
        ):  # a longdouble beyond float64 becomes infinite, and is refused as that
            return array.astype(np.float64), True
    if dtype.kind in "iub":
        if dtype.itemsize == 8:
            _require_exact(array, name)
        return array.astype(np.float64), True
    if dtype.kind == "O":
        return _from_objects(array, name), True
    if dtype.kind == "c":
        raise TypeError(
            f"{name}: expected real numbers, got dtype {dtype}; if both parts of a complex number were observed, stack "
            "real and imaginary parts as two coordinates"
        )
    raise TypeError(f"{name}: expected real numbers, got dtype {dtype}")


def _checked(
    value: ArrayLike, name: str, ndim: int | tuple[int, ...] | None, single: bool, finite: bool = True
) -> tuple[Array, bool]:
    array, fresh = plain_array(value, name)
    if ndim is not None:
        allowed = (ndim,) if isinstance(ndim, int) else ndim
        if array.ndim not in allowed:
            wanted = " or ".join(str(n) for n in allowed)
            raise ValueError(f"{name}: expected {wanted} dimensions, got {array.ndim} (shape {array.shape})")
    if array.dtype != np.float64 and not single:
        array, fresh = array.astype(np.float64), True
    if finite:
        require_finite(array, name)
    return array, fresh


def _read(value: Any, name: str) -> tuple[NDArray, bool]:  # noqa: ANN401
    """As NumPy reads it, and whether nobody else holds the result; what NumPy misreads is refused."""
    if type(value) in _NUMBERS:
        return np.asarray(value), True
    if isinstance(value, (list, tuple, np.ma.MaskedArray)):
        masked = _masked(value)
        if masked:
            raise TypeError(
                f"{name}: {masked} entries are masked, and a plain array would show what is under the mask; remove "
                "these rows (or fill them) and pass .data"
            )
    elif hasattr(value, "detach") and hasattr(value, "numpy"):
        return _from_tensor(value, name)
    elif hasattr(value, "toarray") or hasattr(value, "todense"):
        raise TypeError(
            f"{name}: a sparse matrix ({type(value).__name__}); everything here is dense, pass .toarray()"
        )
    try:
        return np.asarray(value), isinstance(value, (list, tuple))
    except ValueError as error:
        raise ValueError(f"{name}: not a rectangular array ({error})") from None
    except Exception as error:
        raise TypeError(
            f"{name}: {type(value).__name__} cannot be read as an array of numbers ({error})"
        ) from error


def _masked(value: Any) -> int:  # noqa: ANN401
    """Number of masked entries in an array or in nested lists of arrays."""
    if isinstance(value, np.ma.MaskedArray):
        return int(np.ma.count_masked(value))
    return sum(_masked(v) for v in value if isinstance(v, (list, tuple, np.ma.MaskedArray)))


def _from_tensor(value: Any, name: str) -> tuple[NDArray, bool]:  # noqa: ANN401
    """A tensor of torch or its like; types that NumPy lacks, such as bfloat16, widen to float64 exactly."""
    if getattr(value, "requires_grad", False):
        raise TypeError(
            f"{name}: a tensor that requires grad, and gradients do not pass through here; pass .detach()"
        )
    try:
        if value.is_complex():
            return np.empty(
                0, dtype=np.complex128
            ), True  # refused with the reason that holds for all of them
        value = value.cpu()
        try:
            return value.numpy(), False
        except TypeError:
            return value.double().numpy(), True
    except Exception as error:
        raise TypeError(
            f"{name}: {type(value).__name__} cannot be read as an array of numbers ({error})"
        ) from error


def _require_exact(array: NDArray, name: str) -> None:
    """Raise unless float64 holds each 64-bit integer."""
    if not array.size or max(int(array.max()), -int(array.min())) <= _EXACT:
        return
    beyond = array > _EXACT
    if array.dtype.kind == "i":
        beyond |= array < -_EXACT
    for index in np.argwhere(beyond).tolist():
        _exact_integer(int(array[tuple(index)]), name, tuple(index), str(array.dtype))


def _exact_integer(whole: int, name: str, index: tuple[int, ...], dtype: str) -> float:
    try:
        number = float(whole)
    except OverflowError:
        number = float("inf")
    if number != whole:
        shown = str(whole) if abs(whole) < 10**30 else f"{str(whole)[:30]}..."
        raise ValueError(
            f"{name}: entries of dtype {dtype} that double precision cannot hold, such as {shown}{_at(index)}; subtract "
            "an offset, measure in larger units, or round them yourself"
        )
    return number


def _from_objects(array: NDArray, name: str) -> Array:
    """Python ints, Fractions, Decimals and the like, where float64 holds them exactly."""
    numbers_ = np.empty(array.shape)
    for index, entry in np.ndenumerate(array):
        if isinstance(entry, numbers.Integral):
            numbers_[index] = _exact_integer(int(entry), name, index, "int")
            continue
        if not isinstance(entry, (numbers.Real, Decimal, np.bool_)):
            kind = "None" if entry is None else type(entry).__name__
            raise TypeError(f"{name}: expected real numbers, got {kind}{_at(index)}")
        try:
            number = float(entry)
            exact = number == entry or np.isnan(number)
        except (ArithmeticError, ValueError):  # beyond float64, or a signalling NaN
            exact = False
        if not exact:
            raise TypeError(
                f"{name}: {type(entry).__name__} {str(entry)[:40]}{_at(index)} is not a float64; round it with float(), or "
                "compute with exact rationals in fisherkit.symbolic"
            )
        numbers_[index] = number
    return numbers_


def _at(index: tuple[int, ...]) -> str:
    return f" at index {index}" if index else ""
