"""What Unicode says of a character, as text: its name, sentences about it, names that have nothing to do with it."""

import sys
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from fisherkit.checks import UnknownNameError
from fisherkit.streams import Seed, streams

__all__ = ["TEXTS", "coarse_text", "corpus_characters", "fine_texts", "labelled_texts", "unrelated_names"]

TEXTS = ("coarse", "fine", "unrelated")

# Names made by counting or spelling, ten thousands of them, hold no words about the look of a character.
_ALGORITHMIC = (
    "CJK UNIFIED IDEOGRAPH-",
    "CJK COMPATIBILITY IDEOGRAPH-",
    "HANGUL SYLLABLE ",
    "TANGUT IDEOGRAPH-",
    "TANGUT COMPONENT-",
    "KHITAN SMALL SCRIPT CHARACTER-",
    "NUSHU CHARACTER-",
)
# Pictographs: ordinary words ("umbrella with rain drops"); those that speak of letters are left out.
_UNRELATED = (*range(0x1F300, 0x1F650), *range(0x1F680, 0x1F6F0), *range(0x1F900, 0x1FA00))

_CATEGORIES = {
    "Lu": "capital letter",
    "Ll": "small letter",
    "Lt": "title case letter",
    "Lm": "modifier letter",
    "Lo": "letter without case",
    "Mn": "combining mark",
    "Mc": "spacing mark",
    "Me": "enclosing mark",
    "Nd": "decimal digit",
    "Nl": "letter that is a number",
    "No": "number",
    "Pc": "connecting punctuation mark",
    "Pd": "dash",
    "Ps": "opening punctuation mark",
    "Pe": "closing punctuation mark",
    "Pi": "opening quotation mark",
    "Pf": "closing quotation mark",
    "Po": "punctuation mark",
    "Sm": "mathematical sign",
    "Sc": "currency sign",
    "Sk": "spacing accent",
    "So": "symbol",
    "Zs": "space",
    "Cf": "invisible mark",
}
_RELATIONS = {
    "super": "raised",
    "sub": "lowered",
    "font": "restyled",
    "circle": "circled",
    "square": "squared",
    "fraction": "fraction",
    "compat": "compatible",
    "wide": "wide",
    "narrow": "narrow",
}


def _name(character: str) -> str:
    name = unicodedata.name(character, "")
    if not name:
        raise ValueError(f"{character!r} (U+{ord(character):04X}) has no name in Unicode; leave it out")
    return name.lower()


def coarse_text(character: str) -> str:
    """One sentence, a template around the name: "a picture of latin small letter e with acute"."""
    return f"a picture of {_name(character)}"


def fine_texts(character: str) -> list[str]:
    """Eight sentences from the name, its parts, category, case and decomposition; facts of Unicode, in varied words.

    Args:
        character: a named one.

    Returns:
        Sentences, distinct, in a fixed order.

    Example:
        >>> for sentence in fine_texts("é")[:4]: print(sentence)
        the character latin small letter e with acute
        a small letter of the latin script
        e carrying acute
        this sign is composed of latin small letter e and combining acute accent
    """
    name = _name(character)
    category = _CATEGORIES.get(unicodedata.category(character), "character")
    main, _, extra = name.partition(" with ")
    kind, _, core = main.rpartition("letter ")  # "latin small ", "e"; nothing and all of it for a sign
    script = kind.split()[0] if kind else ""
    of_script = f"of the {script} script" if script and script != "modifier" else f"called {core}"
    return [
        f"the character {name}",
        f"a {category} {of_script}",
        f"{core} carrying {extra}" if extra else f"plain {core} carrying nothing",
        f"this sign is composed of {_parts(character)}",
        f"the other case is {_counterpart(character)}",
        f"a printed {category} showing {core}, {extra or 'no mark'}",
        f"you would read it as {main}",
        f"typeset in some face: {name}, which is a {category}",
    ]


def _parts(character: str) -> str:
    """Names of what the character decomposes into, or that it does not."""
    parts = unicodedata.decomposition(character).split()
    if not parts:
        return "one piece, " + _name(character).split(" with ")[0]
    relation = _RELATIONS.get(parts.pop(0).strip("<>"), "special") + " " if parts[0].startswith("<") else ""
    return relation + " and ".join(
        unicodedata.name(chr(int(code, 16)), "an unnamed part").lower() for code in parts
    )


def _counterpart(character: str) -> str:
    """Name of the same letter in the other case, or that there is none."""
    other = character.upper() if character.islower() else character.lower()
    return _name(other) if len(other) == 1 and other != character else "none"


def corpus_characters(limit: int | None = None) -> list[str]:
    """Characters with names of words, about `limit` of ~30,000, evenly spread; no ideographs, no counted names."""
    characters = list(_named_by_words())
    step = 1 if limit is None else max(1, len(characters) // limit)
    return characters[::step]


def _named_by_words() -> Iterator[str]:
    for code in range(sys.maxunicode + 1):
        name = unicodedata.name(chr(code), "")
        if name and not name.startswith(_ALGORITHMIC):
            yield chr(code)


def unrelated_names(count: int, seed: Seed) -> list[str]:
    """Different names of pictographs in random order: real words that say nothing of a letter's look."""
    named = (unicodedata.name(chr(code), "") for code in _UNRELATED)
    names = [name.lower() for name in named if name and "LETTER" not in name]
    if count > len(names):
        raise ValueError(f"{count} unrelated names asked for, but Unicode has {len(names)} pictographs here")
    return streams(seed, ["unrelated names"])["unrelated names"].permutation(np.array(names))[:count].tolist()


def labelled_texts(characters: Sequence[str], texts: str, seed: Seed) -> tuple[list[str], list[int]]:
    """Sentences and labels by class: "coarse" (one, the name), "fine" (eight), "unrelated" (one, a name of its own)."""
    if texts not in TEXTS:
        raise UnknownNameError(texts, TEXTS, "text variant")
    if texts == "fine":
        groups = [fine_texts(character) for character in characters]
    elif texts == "coarse":
        groups = [[coarse_text(character)] for character in characters]
    else:
        groups = [[f"a picture of {name}"] for name in unrelated_names(len(characters), seed)]
    return [s for group in groups for s in group], [i for i, group in enumerate(groups) for _ in group]
