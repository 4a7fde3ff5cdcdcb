"""Input checks: every complaint about a user's array, number, name or count is worded here, in `arrays` or `scalars`.

Each function returns the checked value in the form the library computes with (float64 arrays, floats, ints, a
``numpy.random.Generator``) or raises an error that says what is wrong, where, and what to do.
"""

import difflib
import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.arrays import as_array, as_frozen, as_matrix, as_pair, as_symmetric, freeze, require_finite
from fisherkit.scalars import as_flag, as_fraction, as_number, as_seed, as_whole, kind_of, shown

__all__ = [
    "UnknownNameError",
    "as_array",
    "as_choice",
    "as_counts",
    "as_flag",
    "as_fraction",
    "as_frozen",
    "as_indices",
    "as_instance",
    "as_list",
    "as_mapping",
    "as_matrix",
    "as_names",
    "as_number",
    "as_pair",
    "as_seed",
    "as_symmetric",
    "as_whole",
    "check_function",
    "check_names",
    "freeze",
    "require_finite",
    "require_memory",
]

T = TypeVar("T")


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
        self.message = f"unknown {what} {shown(name)}{hint} known: {', '.join(map(repr, names))}"
        super().__init__(self.message)

    def __reduce__(self) -> tuple[type["UnknownNameError"], tuple[object, list[str], str]]:
        return type(self), self._arguments  # comes back whole from another process

    def __str__(self) -> str:  # KeyError would print the repr
        return self.message


def as_instance(value: object, kind: type[T] | tuple[type[T], ...], name: str) -> T:
    """The value, if it is an object of this library's own that was asked for.

    Args:
        value: what was given.
        kind: the class, or several.
        name: how the message calls it.

    Returns:
        The value itself.

    Raises:
        TypeError: an object of another class.

    Example:
        >>> as_instance(3, dict, "model")
        Traceback (most recent call last):
        ...
        TypeError: model: expected a dict, got int
    """
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        wanted = " or ".join(_article(k.__name__) for k in kinds)
        raise TypeError(f"{name}: expected {wanted}, got {kind_of(value)}")
    return value


def check_function(value: object, name: str) -> None:
    """Raise unless the value can be called.

    Args:
        value: what was given.
        name: how the message calls it.

    Raises:
        TypeError: it cannot.
    """
    if not callable(value):
        raise TypeError(f"{name}: expected a function, got {kind_of(value)}")


def as_mapping(value: object, name: str, what: str) -> Mapping[Any, Any]:
    """The value, if it is a mapping that is not empty.

    Args:
        value: what was given.
        name: how the message calls it.
        what: its form, such as ``"{modality: (d, d) matrix}"``.

    Returns:
        The value itself.

    Raises:
        TypeError: no mapping.
        ValueError: an empty one.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a mapping {what}, got {kind_of(value)}")
    if not value:
        raise ValueError(f"{name}: expected a non-empty mapping {what}")
    return value


def as_list(value: object, name: str, what: str) -> list[Any]:
    """A list of anything iterable but text.

    Args:
        value: what was given.
        name: how the message calls it.
        what: what its entries are.

    Returns:
        The list.

    Raises:
        TypeError: not iterable, or text.
    """
    try:
        if not isinstance(value, (str, bytes, Mapping)):
            return list(value)  # type: ignore[call-overload]
    except Exception as error:
        raise TypeError(f"{name}: expected a list of {what}, got {kind_of(value)} ({error})") from error
    raise TypeError(f"{name}: expected a list of {what}, got {kind_of(value)}")


def as_choice(value: object, choices: Iterable[str], name: str) -> str:
    """One of a few words.

    Args:
        value: what was given.
        choices: the words.
        name: how the message calls it.

    Returns:
        The word.

    Raises:
        ValueError: anything else.

    Example:
        >>> as_choice("QR", ("auto", "qr"), "method")
        Traceback (most recent call last):
        ...
        ValueError: method must be 'auto' or 'qr', got 'QR'
    """
    words = list(choices)
    if not isinstance(value, str) or value not in words:
        listed = ", ".join(map(repr, words[:-1])) + f" or {words[-1]!r}"
        raise ValueError(f"{name} must be {listed}, got {shown(value)}")
    return value


def as_names(names: object, known: Iterable[str] | None = None, what: str = "modality") -> list[str]:
    """Names, from one or several.

    Args:
        names: one name, or an iterable of names.
        known: the names that exist; None where any will do.
        what: what is being named.

    Returns:
        The names as a list.

    Raises:
        TypeError: neither a name nor an iterable.
        UnknownNameError: a name that is not there.
    """
    known = None if known is None else list(known)
    try:
        wanted = [names] if isinstance(names, str) else list(names)  # type: ignore[call-overload]
    except Exception as error:
        raise TypeError(f"{what} names: expected a name or several, got {kind_of(names)}") from error
    for name in wanted:
        if not isinstance(name, str):
            raise TypeError(f"{what} names must be strings, got {shown(name)}")
        if known is not None and name not in known:
            raise UnknownNameError(name, known, what)
    return wanted


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
    try:
        index = np.arange(dim)[keep] if isinstance(keep, slice) else np.atleast_1d(np.asarray(keep))
    except Exception as error:
        raise TypeError(f"{name}: expected whole-number indices, got {shown(keep)}") from error
    if isinstance(keep, slice):
        return index
    if index.size == 0:
        raise ValueError(f"{name}: no index given; ask about at least one of {dim} parameters")
    if index.dtype.kind not in "iub" or index.ndim != 1:
        raise TypeError(f"{name}: expected whole-number indices, got {shown(keep)}")
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


def _article(noun: str) -> str:
    return noun if noun.endswith("s") else f"an {noun}" if noun[0] in "AEIOU" else f"a {noun}"
