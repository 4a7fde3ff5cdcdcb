"""Features from the cache, and those that are not there yet from the encoder."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed
from numpy.typing import NDArray
from tqdm import tqdm

from fisherkit.checks import as_whole
from neural.embed import Encoder, Tokens, encode, encode_tokens
from neural.embed.claims import Claim
from neural.embed.digests import digests_of
from neural.embed.encoder import padded
from neural.embed.store import FeatureStore, wait

__all__ = ["features", "token_features"]

_ROUNDS = 3  # a disk that damages what was just written is not worth a fourth


def features(
    encoder: Encoder,
    inputs: Sequence[Any],
    *,
    cache: Path | str | None,
    shard_size: int = 1024,
    progress: bool | None = None,
) -> NDArray[np.float32]:
    """One vector per input, from the cache where it holds them, else from the encoder.

    Results are kept under the content of each input (bytes of the file, characters of the sentence) and everything about
    the encoder that they depend on, so other lists, orders and folders of the same files find them again. A killed run
    loses at most the shard that it was working on. Any number of processes may call this with the same cache: each
    encodes shards that no other is working on, then waits for the rest. Under ``torchrun`` or ``accelerate launch`` call
    it in every process with the same inputs; process r of W begins with shards r, r + W, ...; the cache's folder must be
    visible to all.

    Args:
        encoder: from `neural.embed.encoder`.
        inputs: paths (image, audio) or sentences (text), at least one; repeated ones are encoded once.
        cache: folder; None keeps nothing and encodes everything.
        shard_size: inputs per file, >= 1.
        progress: whether to show a bar; None shows one in a terminal.

    Returns:
        (n, d), in the order of the inputs.

    Raises:
        TypeError: inputs of another modality.
        ValueError: no inputs, an input that cannot be read, features that are not finite.
        OSError: a disk that does not give back what was written.
        MemoryError: more than this machine can hold.

    Example:
        >>> import tempfile
        >>> from neural.embed import register
        >>> @register("lengths", modality="text", version="1")
        ... def lengths(sentences):
        ...     print("encoding", sentences)
        ...     return [[len(sentence)] for sentence in sentences]
        >>> cache = tempfile.mkdtemp()
        >>> features(lengths, ["a cat", "a", "a cat"], cache=cache).tolist()
        encoding ['a cat', 'a']
        [[5.0], [1.0], [5.0]]
        >>> features(lengths, ["a", "bird"], cache=cache).tolist()
        encoding ['bird']
        [[1.0], [4.0]]
    """
    digests = _checked(encoder, inputs, cache)
    if cache is None:
        return encode(encoder, inputs)
    found = _obtain(encoder, inputs, digests, Path(cache), False, shard_size, progress)
    dims = {row.shape for row in found.values()}
    if len(dims) > 1:
        raise ValueError(
            f"{encoder.name}: the cache holds features of different lengths {sorted(d[0] for d in dims)}; "
            "the encoder changed without a new version: give it one"
        )
    return np.stack([found[digest] for digest in digests])


def token_features(
    encoder: Encoder,
    inputs: Sequence[Any],
    *,
    cache: Path | str | None,
    shard_size: int = 256,
    progress: bool | None = None,
) -> Tokens:
    """Token-level features, kept like those of `features`, without the padding.

    Args:
        encoder: a pretrained encoder.
        inputs: paths or sentences, at least one.
        cache: folder; None keeps nothing.
        shard_size: inputs per file, >= 1.
        progress: whether to show a bar; None shows one in a terminal.

    Returns:
        Tokens, in the order of the inputs, padded at the end to the longest; see
        `neural.embed.families` for what the tokens of each network are.

    Raises:
        TypeError: inputs of another modality.
        ValueError: no inputs, an input that cannot be read.
        OSError: a disk that does not give back what was written.
        MemoryError: more than this machine can hold; ask for fewer inputs at a time.
    """
    digests = _checked(encoder, inputs, cache)
    if cache is None:
        return encode_tokens(encoder, inputs)
    found = _obtain(encoder, inputs, digests, Path(cache), True, shard_size, progress)
    return padded([found[digest] for digest in digests])


def _checked(encoder: Encoder, inputs: Sequence[Any], cache: Path | str | None) -> list[bytes]:
    memo = None if cache is None else Path(cache) / "digests"
    rows = digests_of(inputs, encoder.modality, encoder.name, memo=memo)
    if not len(rows):
        raise ValueError(f"{encoder.name}: nothing to encode; give at least one input")
    return list(map(bytes, rows))


def _obtain(
    encoder: Encoder,
    inputs: Sequence[Any],
    digests: Sequence[bytes],
    cache: Path,
    tokens: bool,
    shard_size: int,
    progress: bool | None,
) -> dict[bytes, NDArray[np.float32]]:
    size = as_whole(shard_size, "shard_size", least=1)
    store = FeatureStore(cache, encoder, tokens=tokens)
    first: dict[bytes, int] = {}
    for i, digest in enumerate(digests):
        first.setdefault(digest, i)
    unique = list(first)
    groups = [unique[start : start + size] for start in range(0, len(unique), size)]
    for _ in range(_ROUNDS):
        _fill(store, encoder, groups, {digest: inputs[i] for digest, i in first.items()}, progress)
        found = store.rows(unique)
        if len(found) == len(unique):
            return found
    raise _lost(store)


def _lost(store: FeatureStore) -> OSError:
    return OSError(
        f"{store.folder}: features are damaged as soon as they are written; check the disk, or use another cache folder"
    )


def _fill(
    store: FeatureStore,
    encoder: Encoder,
    groups: list[list[bytes]],
    source: dict[bytes, Any],
    progress: bool | None,
) -> None:
    """Make every group's missing features, unless other processes do."""
    rank, world = _place()
    store.refresh()
    count = len(store.missing(list(source)))
    if not count:
        return
    made: Counter[Path] = Counter()
    quiet = None if progress is None else not progress
    with tqdm(total=count, desc=encoder.name, unit="input", disable=quiet) as bar:
        while groups := [group for group in groups if store.missing(group)]:
            idle = True
            # own groups first; those of processes that are slower, or gone, after them
            for i in sorted(range(len(groups)), key=lambda i: (i % world != rank, i)):
                path = store.shard_path(groups[i])
                with store.claimed(path) as claim:
                    if claim is None:
                        continue
                    store.refresh([path])
                    todo = [groups[i][j] for j in store.missing(groups[i])]
                    if todo:
                        made[path] += 1
                        if made[path] > _ROUNDS:
                            raise _lost(store)
                        rows = _encoded(encoder, [source[d] for d in todo], store.tokens, claim, bar)
                        store.add(path, todo, rows)
                    idle = False
            if idle:
                wait()
            store.refresh()
            bar.n = count - len(store.missing(list(source)))
            bar.refresh()


def _encoded(
    encoder: Encoder, inputs: list[Any], tokens: bool, claim: Claim, bar: tqdm
) -> list[NDArray[np.float32]]:
    out: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(inputs)
    for rows, parts in encoder.batches(inputs, tokens=tokens):
        for row, part in zip(rows.tolist(), parts, strict=True):
            out[row] = part
        claim.refresh()
        bar.update(len(rows))
    return out


def _place() -> tuple[int, int]:
    """Rank and number of processes; (0, 1) outside of torchrun and accelerate."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
