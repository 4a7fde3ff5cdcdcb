"""Random streams by name, keyed by a seed: what one name draws does not depend on which other names there are.

Keys are cryptographic digests: no two names share a stream by accident.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

from fisherkit.checks import as_names, as_seed

__all__ = ["Seed", "keyed_streams", "streams"]

Seed = int | np.random.Generator | np.random.SeedSequence


def streams(seed: Seed, names: Iterable[str]) -> dict[str, np.random.Generator]:
    """Independent generators by name; the stream of a name does not depend on which other names there are.

    Args:
        seed: whole number, SeedSequence or Generator (a Generator is advanced by one draw).
        names: what the streams are for.

    Returns:
        {name: Generator}.

    Example:
        >>> alone = streams(7, ["x"])["x"].standard_normal()
        >>> alone == streams(7, ["y", "x"])["x"].standard_normal()
        True
    """
    return keyed_streams(seed, as_names(names, what="stream"), b"stream")


def keyed_streams(seed: Seed, names: Iterable[str], kind: bytes) -> dict[str, np.random.Generator]:
    """Generators by name; names of different kinds never share one.

    Args:
        seed: as of `streams`.
        names: what the streams are for.
        kind: what sort of thing the names are of.

    Returns:
        {name: Generator}.
    """
    entropy = as_seed(seed).integers(0, 2**63, size=2).tolist()
    digests = {
        name: hashlib.sha256(kind + b"\0" + name.encode("utf-8", "surrogatepass")).digest() for name in names
    }
    return {
        name: np.random.default_rng(
            np.random.SeedSequence(entropy, spawn_key=np.frombuffer(digest, dtype="<u4").tolist())
        )
        for name, digest in digests.items()
    }
