"""The door for single values: real numbers, whole numbers, probabilities and seeds."""

import numbers

import numpy as np

from fisherkit.arrays import as_array

__all__ = ["as_flag", "as_fraction", "as_number", "as_seed", "as_whole", "kind_of", "shown"]


def as_number(value: object, name: str, *, finite: bool = True) -> float:
    """One real number.

    Args:
        value: a number, or an array of no dimensions.
        name: how the message calls it.
        finite: whether infinities and NaN are refused.

    Returns:
        The float.

    Raises:
        TypeError: not a real number.
        ValueError: an array of several, a NaN, or an infinity.

    Example:
        >>> as_number("1", "level")
        Traceback (most recent call last):
        ...
        TypeError: level: expected a real number, got '1'
    """
    if isinstance(value, (bool, np.bool_, str, bytes)):
        raise TypeError(f"{name}: expected a real number, got {shown(value)}")
    return float(as_array(value, name, ndim=0, finite=finite))  # type: ignore[arg-type]


def as_fraction(value: object, name: str) -> float:
    """One number strictly between 0 and 1, such as a probability.

    Args:
        value: what was given.
        name: how the message calls it.

    Returns:
        The float.

    Raises:
        ValueError: outside (0, 1).
    """
    number = as_number(value, name, finite=False)
    if not 0 < number < 1:
        raise ValueError(f"{name}: must lie in (0, 1), got {value}")
    return number


def as_whole(value: object, name: str, *, least: int, most: int | None = None) -> int:
    """Whole number that fits 64 bits.

    Args:
        value: int, or anything real and whole, such as 3.0 or ``numpy.int64(3)``.
        name: how the message calls it.
        least: smallest allowed value.
        most: largest allowed value; None for what fits 64 bits.

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
        # NumPy counts durations among the integers
        real = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.timedelta64))
        whole = int(value) if real else None  # type: ignore[call-overload]
    except (ValueError, OverflowError):  # NaN, infinity
        whole = None
    if most is not None and (whole is None or whole != value or not least <= whole <= most):
        raise ValueError(f"{name}: must lie between {least} and {most}, got {shown(value)}")
    if whole is None or whole != value or whole < least:
        raise ValueError(f"{name} must be a whole number >= {least}, got {shown(value)}")
    if whole >= 2**63:
        raise ValueError(
            f"{name} must be below 2**63, got {str(value)[:30]}; information is proportional to counts"
        )
    return whole


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
    whole = isinstance(seed, (int, np.integer)) and not isinstance(seed, (bool, np.timedelta64))
    if not whole and not isinstance(seed, np.random.SeedSequence):
        raise TypeError(
            f"seed must be a whole number, SeedSequence or numpy Generator, got {type(seed).__name__}; "
            "results must be reproducible, so there is no default"
        )
    if not isinstance(seed, np.random.SeedSequence) and seed < 0:
        raise ValueError(f"seed must be a whole number >= 0, got {seed}")
    return np.random.default_rng(seed)


def as_flag(value: object, name: str) -> bool:
    """True or False, and nothing that merely counts as one of them.

    Args:
        value: what was given.
        name: how the message calls it.

    Returns:
        The bool.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def kind_of(value: object) -> str:
    """What a value is, in a message.

    Args:
        value: anything.

    Returns:
        Name of its class.
    """
    return "None" if value is None else type(value).__name__


def shown(value: object) -> str:
    """A value in a message, cut short.

    Args:
        value: anything.

    Returns:
        At most 80 characters.
    """
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
