"""Class descriptions: a JSON object {class: [sentences]}, such as CuPL's (Pratt et al. 2023), matched to labels.

The keys of such files are written by hand and differ from the classes' names; a class whose key is not found would
silently get no text. So keys are matched by a stated rule and an alias table, and what stays empty is an error or is
filled from templates, and counted.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from neural.datasets.class_texts import VANILLA, ClassTexts, from_templates
from neural.datasets.reading import DatasetError, MissingError, listed, plain_text, read_json

__all__ = ["ALIASES", "find_descriptions", "load_descriptions", "match_descriptions", "read_descriptions"]

ALIASES: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "caltech101": {
        # the class "face" has the photographs of folder Faces; Faces_easy, the centered ones, is left out
        "off-center face": "face",
        "side of a car": "car_side",
        "head of a crocodile": "crocodile_head",
        "face of a cougar cat": "cougar_face",
        "body of a cougar cat": "cougar_body",
        "head of a flamingo": "flamingo_head",
        "snoopy (cartoon beagle)": "snoopy",
        "yin and yang symbol": "yin_yang",
    },
    "oxford_flowers": {
        "air plant": "ball moss",
        "globe flower": "globe-flower",
        "pink and yellow dahlia": "pink-yellow dahlia",
    },
    "stanford_cars": {"Ram CV Cargo Van Minivan 2012": "2012 Ram C/V Cargo Van Minivan"},
    "ucf101": {"Hand Stand Pushups": "Handstand_Pushups"},
})  # fmt: skip


def year_first(key: str) -> str:
    """Stanford Cars: the last word, the year, comes first in the class's name.

    Args:
        key: of the file.

    Returns:
        Class name.

    Example:
        >>> year_first("Audi TTS Coupe 2012")
        '2012 Audi TTS Coupe'
    """
    head, _, last = key.rpartition(" ")
    return f"{last} {head}" if head else key


def qualifier_first(key: str) -> str:
    """SUN397: what stands in brackets comes first in the class's name.

    Args:
        key: of the file.

    Returns:
        Class name.

    Example:
        >>> qualifier_first("apartment building (outdoor)")
        'outdoor apartment building'
    """
    found = re.fullmatch(r"(.*\S)\s*\(([^()]*)\)", key)
    return f"{found[2]} {found[1]}" if found else key


KEY_RULES: Mapping[str, Callable[[str], str]] = MappingProxyType({
    "stanford_cars": year_first,
    "sun397": qualifier_first,
})


def read_descriptions(path: Path) -> dict[str, tuple[str, ...]]:
    """Read {class: [sentences]}, in the file's order; one sentence may stand for a list of one."""
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise DatasetError(path, f"expected an object {{class: [sentences]}}, got a {type(content).__name__}")
    texts: dict[str, tuple[str, ...]] = {}
    for key, value in content.items():
        plain_text(key, path, "a class name")
        sentences = [value] if isinstance(value, str) else value
        if not isinstance(sentences, list):
            raise DatasetError(path, f"{key!r}: expected a list of sentences, got {type(value).__name__}")
        texts[key] = tuple(plain_text(text, path, f"{key!r}[{i}]") for i, text in enumerate(sentences))
    return texts


def find_descriptions(key: str, root: Path) -> Path:
    """``descriptors_KEY.json`` below the root, in ``descriptions/cupl``, ``descriptions`` or ``cupl``."""
    places = [
        Path(root) / folder / f"descriptors_{key}.json"
        for folder in ("descriptions/cupl", "descriptions", "cupl")
    ]
    for place in places:
        if place.is_file():
            return place
    raise MissingError(
        places[0],
        f"description file not found (also looked for {listed(map(str, places[1:]))}); write one, "
        "{class: [sentences]}, or use a template set",
    )


def load_descriptions(
    key: str,
    root: Path,
    classes: Sequence[str],
    *,
    fallback: Sequence[str] | None = (VANILLA,),
    unique: bool = False,
) -> ClassTexts:
    """`match_descriptions` with the file, key rules and aliases of a data set of the registry."""
    path = find_descriptions(key, root)
    return match_descriptions(
        read_descriptions(path),
        classes,
        rule=KEY_RULES.get(key),
        aliases=ALIASES.get(key, {}),
        fallback=fallback,
        unique=unique,
        source=path,
    )


def match_descriptions(
    descriptions: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    *,
    rule: Callable[[str], str] | None = None,
    aliases: Mapping[str, str] | None = None,
    share: bool = True,
    fallback: Sequence[str] | None = (VANILLA,),
    unique: bool = False,
    source: Path | None = None,
) -> ClassTexts:
    """Give each class the sentences whose key names it.

    A key that is the class's very name, itself or after `rule`, is taken alone; else all that equal it in lower case, with spaces for
    underscores and hyphens and however accents are encoded (Unicode NFC). An alias is used only for a class that no key
    names itself.

    Args:
        descriptions: {key: sentences}.
        classes: class names in label order.
        rule: turns a key into a class name.
        aliases: {key: class name} for keys that no rule reaches.
        share: whether all classes of one name get its sentences; otherwise only the last does, as in the released
            code, where two ImageNet classes stay without text.
        fallback: templates for classes without sentences; None makes such a class an error; () leaves it empty.
        unique: whether to drop sentences that a class has twice.
        source: the file, for messages.

    Returns:
        ClassTexts.

    Raises:
        DatasetError: classes without sentences, where `fallback` is None; no key names any class, where templates would
            take the place of all sentences.

    Example:
        >>> texts = match_descriptions({"Air Plant": ["A plant."], "x": ["No."]}, ["air_plant", "rose"])
        >>> texts.texts, texts.sources, texts.unused
        ((('A plant.',), ('a photo of a rose.',)), ('Air Plant', 'template'), ('x',))
    """
    wanted = {_folded(name) for name in classes}
    keys: dict[str, list[str]] = {}
    exact: dict[str, list[str]] = {}
    for key in descriptions:
        name = rule(key) if rule and _folded(key) not in wanted else key
        keys.setdefault(_folded(name), []).append(key)
        exact.setdefault(name, []).append(key)
    named = {name: found for name, found in keys.items() if name in wanted}
    for key, name in (aliases or {}).items():
        if key in descriptions and _folded(name) in wanted - keys.keys():
            named.setdefault(_folded(name), []).append(key)
    last = {_folded(name): label for label, name in enumerate(classes)}
    texts: list[tuple[str, ...]] = []
    sources: list[str] = []
    used: set[str] = set()
    for label, name in enumerate(classes):
        found = exact.get(name) or named.get(_folded(name), [])
        found = found if share or last[_folded(name)] == label else []
        texts.append(tuple(text for key in found for text in descriptions[key]))
        sources.append(", ".join(found))
        used.update(found)
    made = ClassTexts(
        tuple(classes), tuple(texts), tuple(sources), tuple(k for k in descriptions if k not in used)
    )
    if fallback and not used:
        raise DatasetError(
            source or Path("descriptions"),
            f"none of its {len(descriptions)} keys names a class; keys: {listed(map(repr, descriptions)) or 'none'}; "
            f"classes: {listed(map(repr, classes))}",
        )
    if made.empty and fallback is None:
        names = [f"{label} {classes[label]!r}" for label in made.empty]
        raise DatasetError(
            source or Path("descriptions"),
            f"{len(names)} of {len(classes)} classes have no sentence: {listed(names)}; unused keys: "
            f"{listed(map(repr, made.unused), len(made.unused)) or 'none'}; add an alias or pass a fallback template",
        )
    if made.empty and fallback:
        filled = from_templates([classes[label] for label in made.empty], fallback)
        for label, sentences in zip(made.empty, filled.texts, strict=True):
            texts[label], sources[label] = sentences, "template"
        made = ClassTexts(made.classes, tuple(texts), tuple(sources), made.unused)
    return made.unique() if unique else made


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).lower().replace("_", " ").replace("-", " ").split())
