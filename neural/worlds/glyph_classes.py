"""Which characters are classes: novel ones to classify, base ones to pretrain on, none that look alike."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fisherkit.checks import as_whole
from fisherkit.streams import streams
from neural.store.array_cache import ArrayCache
from neural.worlds.glyph_pictures import (
    BOLD,
    FACES,
    PLAIN,
    STIX,
    Pictures,
    characters_in,
    draw_masters,
    drawing_versions,
)

__all__ = ["GlyphClasses", "choose_classes", "homoglyph_groups", "look_alikes"]

_TOLERANCE = 0.01  # squared difference of two masters, relative to the ink of the fainter one
_BLOCK = 128  # masters compared at a time
_VERSION = 1


@dataclass(frozen=True)
class GlyphClasses:
    """A split of the characters that the faces share; no base character is, or looks like, a novel one."""

    novel: tuple[str, ...]  # the classes of the task, in the order of their code points
    base: tuple[str, ...]  # for pretraining
    candidates: int  # from how many characters the novel ones were drawn
    homoglyphs: Mapping[str, str]  # {character that was left out: the one that stands for it}


def look_alikes(masters: Pictures, tolerance: float = _TOLERANCE) -> NDArray[np.int64]:
    """(pairs, 2) indices i < j of masters (n, s, s), s even, that coincide wherever their ink is, if any."""
    n, side, _ = masters.shape
    centred = np.zeros((n, side, side), dtype=np.float32)
    for i, master in enumerate(masters):
        rows, columns = (np.flatnonzero(master.any(axis=axis)) for axis in (1, 0))
        if len(rows):
            ink = master[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / np.float32(255)
            top, left = (side - ink.shape[0]) // 2, (side - ink.shape[1]) // 2
            centred[i, top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    small = centred.reshape(n, side // 2, 2, side // 2, 2).mean(axis=(2, 4)).reshape(n, -1)
    energy = np.einsum("ij,ij->i", small, small)
    order = np.flatnonzero(energy)[np.argsort(energy[energy > 0], kind="stable")]
    small, energy = small[order], energy[order]
    # two that coincide have norms within a factor 1 + sqrt(tolerance): only neighbours in order are compared
    farthest = np.searchsorted(energy, energy * (1 + tolerance**0.5) ** 2 * (1 + 1e-6), side="right")
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(order), _BLOCK):
        block = slice(start, start + _BLOCK)
        others = slice(start, farthest[block].max())
        difference = energy[block, None] + energy[others] - 2 * small[block] @ small[others].T
        first, second = np.nonzero(np.triu(difference <= tolerance * energy[block, None], 1))
        pairs.append(np.sort(order[np.stack([start + first, start + second], axis=1)], axis=1))
    found = np.concatenate(pairs)
    return found[np.lexsort((found[:, 1], found[:, 0]))]


def homoglyph_groups(characters: Sequence[str], faces: Sequence[str] = FACES) -> NDArray[np.int64]:
    """(n,) group numbers; characters that look alike in any of the faces that have them share a group."""
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for face in faces:
        covered = set(characters_in([face]))
        here = np.array([i for i, c in enumerate(characters) if c in covered], dtype=np.int64)
        masters = draw_masters([characters[i] for i in here], face)
        pairs.append(here[look_alikes(masters)])
    first, second = np.concatenate(pairs).T
    shape = (len(characters), len(characters))
    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=shape)
    return connected_components(graph, directed=False)[1].astype(np.int64)


def choose_classes(
    n_classes: int, n_base: int | None = None, *, seed: int, cache: Path | None = None
) -> GlyphClasses:
    """Split the characters that the DejaVu faces share into novel and base classes.

    Novel ones are drawn among those that are named in Unicode and in the STIX faces as well. Of characters that look
    alike in any face (Latin A, Greek Alpha and Cyrillic A share one outline) one is kept, a candidate if there is one,
    then the lowest code point; the others are neither novel nor base.

    Args:
        n_classes: number of novel classes, >= 2.
        n_base: number of base classes, drawn at random; None takes all.
        seed: of the draws, a whole number.
        cache: folder that keeps the search for look-alikes, which takes seconds.

    Returns:
        GlyphClasses.

    Raises:
        ValueError: more classes asked for than there are.
    """
    n_classes = as_whole(n_classes, "n_classes", least=2)
    shared = [c for c in characters_in(PLAIN + BOLD) if unicodedata.name(c, "")]
    what = {"version": _VERSION, "tolerance": _TOLERANCE, "characters": "".join(shared), **drawing_versions()}
    found = ArrayCache(cache).get("glyph-groups", what, lambda: _groups_with_ink(shared))
    stix = set(characters_in(STIX))
    rank = sorted(range(len(shared)), key=lambda i: (shared[i] not in stix, i))
    stands: dict[int, str] = {}
    for i in rank:
        if found["ink"][i]:
            stands.setdefault(int(found["group"][i]), shared[i])
    kept = set(stands.values())
    left_out = {
        c: stands[int(g)]
        for c, g, ink in zip(shared, found["group"], found["ink"], strict=True)
        if ink and c not in kept
    }
    candidates = [c for c in shared if c in kept and c in stix]
    if n_classes > len(candidates):
        raise ValueError(
            f"n_classes: {n_classes} asked for, but only {len(candidates)} characters are in all {len(FACES)} faces, "
            "named and distinct; ask for fewer"
        )
    rngs = streams(seed, ["novel classes", "base classes"])
    novel = set(rngs["novel classes"].permutation(np.array(candidates))[:n_classes].tolist())
    base = [c for c in shared if c in kept and c not in novel]
    if n_base is not None:
        n_base = as_whole(n_base, "n_base", least=2)
        if n_base > len(base):
            raise ValueError(
                f"n_base: {n_base} asked for, but {n_classes} novel classes leave {len(base)} characters"
            )
        chosen = set(rngs["base classes"].permutation(np.array(base))[:n_base].tolist())
        base = [c for c in base if c in chosen]
    return GlyphClasses(tuple(sorted(novel)), tuple(base), len(candidates), left_out)


def _groups_with_ink(characters: Sequence[str]) -> dict[str, NDArray]:
    """Groups of look-alikes, and which characters have ink in every face that has them."""
    ink = np.ones(len(characters), dtype=bool)
    for face in FACES:
        covered = set(characters_in([face]))
        here = [i for i, c in enumerate(characters) if c in covered]
        ink[here] &= draw_masters([characters[i] for i in here], face).any(axis=(1, 2))
    return {"group": homoglyph_groups(characters), "ink": ink}
