"""Pictures of characters as sequences of patches, their Unicode names as sequences of letters; no download.

The probe asks for something that a picture shows and a name says: the group of the character (its script and case, or
what kind of sign it is) or its mark (the diacritic). Characters of validation and test are drawn in no training picture,
and their names are not read: what is measured is whether unseen characters are understood.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError, as_whole
from fisherkit.streams import streams
from neural.sequences.data import SequenceSet, standardised
from neural.sequences.task import SequenceTask
from neural.store.array_cache import ArrayCache
from neural.worlds.glyph_classes import choose_classes
from neural.worlds.glyph_names import corpus_characters, unrelated_names
from neural.worlds.glyph_pictures import PLAIN, SIDE, Jitter, drawing_versions
from neural.worlds.glyphs import draw_pool

__all__ = [
    "LABELS",
    "GlyphSequenceSettings",
    "character_group",
    "character_mark",
    "glyph_sequences",
    "name_tokens",
    "patches",
]

TOKENS = "\n -()0123456789abcdefghijklmnopqrstuvwxyz"  # the first starts and ends a name
_TOKEN = {letter: number for number, letter in enumerate(TOKENS)}
_VERSION = 1  # raise when the same settings would give other pictures


def character_group(character: str) -> str | None:
    """Script and case of a letter, or the kind of a sign; None for characters of small groups."""
    words, category = unicodedata.name(character).lower().split(), unicodedata.category(character)
    if category in ("Lu", "Lt", "Ll") and words[0] in ("latin", "greek", "cyrillic", "armenian"):
        return f"{words[0]} {'small' if category == 'Ll' else 'capital'}"
    if category == "Ll" and words[0] == "georgian":
        return "georgian"
    if words[0] == "modifier" and category in ("Lm", "Sk"):
        return "modifier"
    if "arrow" in words or "arrows" in words:
        return "arrow"
    if words[:2] == ["box", "drawings"]:
        return "box drawing"
    return "mathematical sign" if category == "Sm" else None


def character_mark(character: str) -> str | None:
    """First mark that a letter's name tells, "none" for a letter without, None for other characters and rarer marks."""
    if unicodedata.category(character) not in ("Lu", "Lt", "Ll"):
        return None
    mark = unicodedata.name(character).lower().partition(" with ")[2].split(" and ")[0]
    if not mark:
        return "none"
    return mark if mark in _MARKS else None


_MARKS = (
    "acute", "caron", "cedilla", "circumflex", "dasia", "diaeresis", "dot above", "dot below", "hook", "horn", "macron",
    "psili", "stroke", "tilde",
)  # fmt: skip

LABELS: Mapping[str, Callable[[str], str | None]] = MappingProxyType({
    "group": character_group,
    "mark": character_mark,
})


@dataclass(frozen=True)
class GlyphSequenceSettings:
    """Sizes of the data."""

    labels: str = "group"  # "group" or "mark", what the probe asks
    patch: int = 8  # side of a patch in pixels, a divisor of 32; (32 / patch)^2 steps of patch^2 features
    per_character: int = 4  # pictures of each character
    # at most so many characters, drawn at random; None takes all (about 1,650 have a group). A class of fewer
    # than three is left out, for it cannot be in every part
    characters: int | None = None
    # names of further characters of the same scripts, which have no picture here; 0 for none
    other_names: int = 1000
    longest: int = 40  # names of more letters are left out
    train: float = 0.5  # share of the characters to learn from
    val: float = 0.2  # share for validation; the rest is for the test
    # how much pictures of a character differ
    jitter: Jitter = field(default_factory=lambda: Jitter(0.8, 1.0, 1.5, 5.0, 0.05))

    def __post_init__(self) -> None:
        if self.labels not in LABELS:
            raise UnknownNameError(self.labels, LABELS, "labels")
        for name, least in (("patch", 1), ("per_character", 1), ("other_names", 0), ("longest", 1)):
            as_whole(getattr(self, name), name, least=least)
        if SIDE % self.patch or self.patch == SIDE:
            raise ValueError(f"patch: a proper divisor of {SIDE} pixels, got {self.patch}")
        if not (self.train > 0 and self.val > 0 and self.train + self.val < 1):
            raise ValueError(
                f"train, val: shares must be positive and leave some for the test, got {self.train:g} and {self.val:g}"
            )


DEFAULT = GlyphSequenceSettings()


def patches(pictures: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Square pictures (n, s, s) cut into patches (n, (s / side)^2, side^2), row by row from the top left; ink is 1."""
    n, s, _ = pictures.shape
    k = s // side
    cut = pictures.reshape(n, k, side, k, side).swapaxes(2, 3)
    return cut.reshape(n, k * k, side * side).astype(np.float32) / np.float32(255)


def name_tokens(names: Sequence[str]) -> SequenceSet:
    """Lower-case names as tokens letter by letter, between a start and an end; the names are the groups."""
    for name in names:
        if unknown := set(name) - _TOKEN.keys() or set(name) & {TOKENS[0]}:
            raise ValueError(f"{name!r}: {', '.join(map(repr, sorted(unknown)))} is not a letter of a name")
    lengths = np.array([len(name) + 2 for name in names], dtype=np.int64)
    values = np.zeros((len(names), lengths.max(initial=2)), dtype=np.int64)
    for row, name in zip(values, names, strict=True):
        row[1 : len(name) + 1] = [_TOKEN[letter] for letter in name]
    return SequenceSet(values, lengths, len(TOKENS), groups=list(names), name="text")


def glyph_sequences(
    settings: GlyphSequenceSettings = DEFAULT, *, seed: int, cache: Path | None = None
) -> SequenceTask:
    """Pictures of characters as the target, their names as the auxiliary; groups are names of characters."""
    label_of = LABELS[settings.labels]
    # Pictures are the same for all seeds; a seed decides the parts and the choice of other names.
    chosen = choose_classes(2, seed=0, cache=cache)  # one of each set of look-alikes
    labelled = {c: label for c in sorted({*chosen.base, *chosen.novel}) if (label := label_of(c)) is not None}
    rng = streams(seed, ["characters", "split", "other names"])
    characters = np.array(list(labelled))
    if settings.characters is not None and settings.characters < len(characters):
        characters = np.sort(rng["characters"].choice(characters, settings.characters, replace=False))
    found = Counter(labelled[c] for c in characters)
    counts = {label: count for label, count in found.items() if count >= 3}
    characters = np.array([c for c in characters if labelled[c] in counts])
    classes = sorted(counts)
    where = _split(characters, labelled, settings, rng["split"])
    pictures = _pictures(list(labelled), settings, cache)
    number = {c: i for i, c in enumerate(labelled)}
    parts = {}
    for part, members in where.items():
        rows = np.array([number[c] for c in members])[:, None] * settings.per_character
        rows = (rows + np.arange(settings.per_character)).ravel()
        values = patches(pictures[rows], settings.patch)
        parts[part] = SequenceSet(
            values,
            np.full(len(rows), values.shape[1]),
            labels=np.repeat([classes.index(labelled[c]) for c in members], settings.per_character),
            groups=[_name(c) for c in members for _ in range(settings.per_character)],
            name=f"image ({part})",
        )
    train, val, test = standardised(parts["train"], parts["val"], parts["test"])
    # Names of training characters, shuffled and without any link to pictures, and of further characters whose names
    # begin with the same words. Unrelated names are of pictographs.
    own = [name for c in where["train"] if len(name := _name(c)) <= settings.longest]
    apart = [name for name in unrelated_names(1000, seed) if _is_plain(name, settings.longest)]
    taken = {*apart, *map(_name, labelled)}
    names = own + _other_names(taken, own, settings, rng["other names"])
    return SequenceTask(
        "glyphs",
        "image",
        classes,
        train,
        val,
        test,
        {"text": name_tokens(names)},
        {"text": name_tokens(apart)},
        about={
            "settings": asdict(settings),
            "seed": seed,
            "characters": {part: len(members) for part, members in where.items()},
            "characters per class": counts,
            "names": {"of training characters": len(own), "in all": len(names), "unrelated": len(apart)},
            "versions": {**drawing_versions(PLAIN), "unicode": unicodedata.unidata_version},
        },
    )


def _name(character: str) -> str:
    return unicodedata.name(character).lower()


def _is_plain(name: str, longest: int) -> bool:
    return len(name) <= longest and set(name) <= _TOKEN.keys()


def _split(
    characters: NDArray[np.str_],
    labelled: Mapping[str, str],
    settings: GlyphSequenceSettings,
    rng: np.random.Generator,
) -> dict[str, list[str]]:
    """Characters of each part, class by class so that every class is in every part."""
    where: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    shuffled = rng.permutation(characters)
    for label in sorted({labelled[c] for c in characters}):
        members = [c for c in shuffled if labelled[c] == label]
        val = max(1, round(settings.val * len(members)))
        train = min(max(1, round(settings.train * len(members))), len(members) - val - 1)
        where["train"] += members[:train]
        where["val"] += members[train : train + val]
        where["test"] += members[train + val :]
    return {part: [str(c) for c in members] for part, members in where.items()}


def _pictures(
    characters: Sequence[str], settings: GlyphSequenceSettings, cache: Path | None
) -> NDArray[np.uint8]:
    """(characters * per_character, 32, 32), sorted by character."""
    what = {
        "version": _VERSION,
        **drawing_versions(PLAIN),
        "characters": "".join(characters),
        "per_character": settings.per_character,
        "jitter": asdict(settings.jitter),
    }

    def draw() -> dict[str, NDArray]:
        drawn = draw_pool(characters, "train", settings.per_character, jitter=settings.jitter, seed=0)
        return {"pictures": drawn.pictures}

    return ArrayCache(cache).get("glyph-sequences", what, draw)["pictures"]


def _other_names(
    taken: set[str], own: Sequence[str], settings: GlyphSequenceSettings, rng: np.random.Generator
) -> list[str]:
    """Names that begin as the training characters' do, of characters without a picture in any part and not unrelated."""
    first = {name.split()[0] for name in own}
    names = [_name(c) for c in corpus_characters()]
    fitting = [
        n for n in names if n.split()[0] in first and n not in taken and _is_plain(n, settings.longest)
    ]
    if settings.other_names > len(fitting):
        raise ValueError(f"other_names: {settings.other_names} asked for, but there are {len(fitting)}")
    return rng.permutation(np.array(fitting))[: settings.other_names].tolist()
