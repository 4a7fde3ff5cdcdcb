"""Sentences about classes: CuPL's files with their gaps, aliases and doubles; templates; any JSON of sentences."""

import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fisherkit.checks import UnknownNameError
from neural.datasets import SPECS, DatasetError, MissingError, load, load_texts, open_texts
from neural.datasets.class_texts import ClassTexts, from_templates, template_set
from neural.datasets.descriptions import (
    ALIASES,
    KEY_RULES,
    load_descriptions,
    match_descriptions,
    read_descriptions,
)
from tests.dataset_builders import build, json_values, load_or_explain, write_descriptions

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
real = pytest.mark.skipif(
    not (REAL / "cupl").is_dir(), reason="the real CuPL files are not beside the repository"
)


def real_texts(key):
    return read_descriptions(REAL / "cupl" / f"descriptors_{key}.json")


def imagenet_names():
    """ImageNet's display names: the file's keys are in label order, two names stand for two labels each."""
    names = list(real_texts("imagenet"))
    names.insert(744, "missile")
    names.insert(837, "sunglasses")
    return tuple(names)


def sun397_name(key):
    """The class name that CoOp makes of a SUN397 folder such as a/apartment_building/outdoor."""
    parts = key.rstrip(")").split(" (")
    return " ".join(reversed([part.replace(" ", "_") for part in parts]))


def real_classes(key):
    if SPECS[key].split_file and (REAL / "splits" / SPECS[key].split_file).is_file():
        return load(key, REAL, require_files=False).classes
    if key == "imagenet":
        return imagenet_names()
    names = sorted(real_texts(key), key=str.lower)
    if key == "stanford_cars":
        return tuple(" ".join([*name.split()[-1:], *name.split()[:-1]]) for name in names)
    if key == "sun397":
        return tuple(map(sun397_name, names))
    return tuple(name.replace(" ", "_") for name in names) if key in ("food101", "ucf101") else tuple(names)


# ---------------------------------------------------------------- real files

PLAIN_GAPS = {
    "caltech101": [(0, "face")],
    "oxford_flowers": [(92, "ball moss")],
    "imagenet": [(657, "missile"), (836, "sunglasses")],
}
CUPL = ("caltech101", "dtd", "fgvc_aircraft", "food101", "imagenet", "oxford_flowers", "oxford_pets", "stanford_cars",
        "sun397", "ucf101")  # fmt: skip


@real
@pytest.mark.parametrize("key", CUPL)
def test_real_descriptions_cover_what_the_plain_rule_covers(key):
    classes = real_classes(key)
    assert len(classes) == SPECS[key].n_classes
    plain = match_descriptions(real_texts(key), classes, rule=KEY_RULES.get(key), share=False, fallback=())
    assert [(label, classes[label]) for label in plain.empty] == PLAIN_GAPS.get(key, [])
    assert set(plain.coverage) <= {0, 30}


@real
@pytest.mark.parametrize("key", CUPL)
def test_with_aliases_every_class_has_thirty_sentences(key):
    texts = load_descriptions(key, REAL, real_classes(key), fallback=None)
    assert set(texts.coverage) == {30}
    assert set(texts.unused) == ({"background", "centered face"} if key == "caltech101" else set())
    assert 14 <= texts.words_per_text <= 20
    sentences, labels = texts.flat()
    assert len(sentences) == 30 * SPECS[key].n_classes
    assert labels.tolist() == sorted(labels.tolist())


@real
def test_one_list_serves_both_labels_of_a_name():
    texts = load_descriptions("imagenet", REAL, imagenet_names(), fallback=None)
    for pair in ((657, 744), (836, 837)):
        assert texts.classes[pair[0]] == texts.classes[pair[1]] == texts.sources[pair[0]]
        assert texts.texts[pair[0]] == texts.texts[pair[1]]


@real
@pytest.mark.parametrize(("key", "doubles"), [("fgvc_aircraft", 279), ("dtd", 35)])
def test_double_sentences_can_be_dropped(key, doubles):
    all_, once = (load_descriptions(key, REAL, real_classes(key), unique=unique) for unique in (False, True))
    assert sum(all_.coverage) - sum(once.coverage) == doubles
    assert [set(texts) for texts in all_.texts] == [set(texts) for texts in once.texts]


# ---------------------------------------------------------------- matching


def test_keys_of_the_unedited_files_are_reached_by_aliases():
    for key, table in ALIASES.items():
        classes = tuple(dict.fromkeys(table.values()))
        texts = match_descriptions(
            {alias: [alias] for alias in table},
            classes,
            rule=KEY_RULES.get(key),
            aliases=table,
            fallback=None,
        )
        assert texts.unused == ()
        assert [[table[alias] for alias in said] for said in texts.texts] == [
            [name] * len(t) for name, t in zip(classes, texts.texts, strict=True)
        ]


def test_an_alias_is_not_used_where_a_key_names_the_class():
    texts = match_descriptions(
        {"ball moss": ["A plant."], "air plant": ["Another."]},
        ["ball_moss"],
        aliases={"air plant": "ball moss"},
    )
    assert texts.texts == (("A plant.",),)
    assert texts.unused == ("air plant",)


def test_classes_without_text_are_an_error_or_filled_and_counted():
    given_ = {"cat": ["A cat."], "Dogs": ["Dogs."]}
    with pytest.raises(
        DatasetError, match=r"x\.json: 1 of 2 classes have no sentence: 1 'dog'; unused keys: 'Dogs'"
    ):
        match_descriptions(given_, ["cat", "dog"], fallback=None, source=Path("x.json"))
    empty = match_descriptions(given_, ["cat", "dog"], fallback=())
    assert (empty.empty, empty.coverage, empty.sources) == ((1,), (1, 0), ("cat", ""))
    filled = match_descriptions(given_, ["cat", "dog"], fallback=["a {}.", "the {}."])
    assert filled.texts == (("A cat.",), ("a dog.", "the dog."))
    assert filled.sources == ("cat", "template")
    nothing = match_descriptions({"cat": []}, ["cat"], fallback=())
    assert nothing.empty == (0,)


names = st.text("abc_ ", min_size=1, max_size=4).filter(lambda name: name.strip("_ "))


@given(
    st.dictionaries(names, st.lists(st.sampled_from("xyz"), max_size=3), max_size=5),
    st.lists(names, min_size=1, max_size=5),
)
def test_every_key_is_used_or_said_to_be_unused(descriptions, classes):
    texts = match_descriptions(descriptions, classes, fallback=())
    fold = {name: " ".join(name.replace("_", " ").split()) for name in [*descriptions, *classes]}
    used = set()
    for name, said in zip(classes, texts.texts, strict=True):
        keys = [name] if name in descriptions else [key for key in descriptions if fold[key] == fold[name]]
        assert Counter(said) == Counter(text for key in keys for text in descriptions[key])
        used.update(keys)
    assert set(texts.unused) == set(descriptions) - used
    assert [len(set(said)) for said in texts.texts] == list(texts.unique().coverage)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("golden-retriever", "golden_retriever"),
        ("Golden Retriever", "golden-retriever"),
        (unicodedata.normalize("NFD", "Café crème"), unicodedata.normalize("NFC", "café_crème")),
        (unicodedata.normalize("NFC", "Žlutý"), unicodedata.normalize("NFD", "žlutý")),
    ],
)
def test_hyphens_and_the_encoding_of_accents_do_not_matter(key, name):
    texts = match_descriptions({key: ["Said."], "x": ["No."]}, [name, "rose"])
    assert texts.texts[0] == ("Said.",)
    assert texts.unused == ("x",)


def test_classes_that_differ_in_case_have_the_sentences_of_their_own_keys():
    texts = match_descriptions(
        {"Turkey": ["A country."], "turkey": ["A bird."]}, ["turkey", "Turkey", "TURKEY"]
    )
    assert texts.texts == (("A bird.",), ("A country.",), ("A country.", "A bird."))
    assert texts.unused == ()


@pytest.mark.parametrize("content", ['{"0": ["A cat."], "1": ["A dog."]}', '{"Katze": ["A cat."]}', "{}"])
def test_a_file_none_of_whose_keys_names_a_class_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(
        DatasetError, match=r"x\.json: none of its \d keys names a class; keys: .*; classes: 'cat', 'dog'"
    ):
        open_texts(tmp_path / "x.json", ["cat", "dog"])


def test_what_is_filled_and_what_is_unused_is_told_or_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"cat": ["A cat.", "Purrs."], "dgo": ["A dog."], "hen": []}')
    texts = open_texts(tmp_path / "x.json", ["cat", "dog", "hen"])
    assert texts.coverage_text == (
        "1 to 2 sentences per class; 2 classes have template sentences: 'dog', 'hen'; 1 keys name no class: 'dgo'"
    )
    with pytest.raises(DatasetError, match="2 of 3 classes have no sentence: 1 'dog', 2 'hen'"):
        open_texts(tmp_path / "x.json", ["cat", "dog", "hen"], strict=True)
    (tmp_path / "x.json").write_text('{"cat": ["A cat."], "cta": ["A dog."]}')
    with pytest.raises(DatasetError, match="1 keys name no class: 'cta'; correct or remove them"):
        open_texts(tmp_path / "x.json", ["cat"], strict=True)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[]", "expected an object {class: .*}, got a list"),
        (b'{"cat": 1}', "'cat': expected a list of sentences, got int"),
        (b'{"cat": ["A cat.", ""]}', r"'cat'\[1\]: empty text"),
        (b'{"cat": [["A cat."]]}', r"'cat'\[0\]: expected text, got list"),
        (b'{"cat": ["A cat."], "cat": ["B."]}', "key 'cat' appears twice"),
        (b'{" ": ["A cat."]}', "a class name: empty text"),
        (b'{"caf\xe9": []}', "not UTF-8: byte 0xe9"),
    ],
)
def test_files_with_mistakes(tmp_path, content, problem):
    path = tmp_path / "texts.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=problem):
        read_descriptions(path)


sentences = st.dictionaries(
    st.text(max_size=5), st.lists(st.text(max_size=8) | json_values, max_size=3) | json_values, max_size=4
)


@given(st.binary(max_size=150) | st.builds(lambda value: json.dumps(value).encode(), json_values | sentences))
def test_any_description_file_loads_or_says_what_is_wrong(tmp_path_factory, content):
    texts = load_or_explain(read_descriptions, tmp_path_factory.getbasetemp() / "fuzz-texts.json", content)
    assert all(said.strip() for key in texts or {} for said in texts[key])


def test_a_data_set_s_texts(tmp_path):
    build(tmp_path, "oxford_flowers")
    classes = load("oxford_flowers", tmp_path).classes
    with pytest.raises(MissingError, match=r"descriptors_oxford_flowers\.json: description file not found"):
        load_texts("oxford_flowers", tmp_path, classes)
    write_descriptions(
        tmp_path, "oxford_flowers", {"Pink Primrose": "A flower.", "air plant": ["Grey.", "Grey."]}
    )
    texts = load_texts("oxford_flowers", tmp_path, classes)
    assert texts.texts == (
        ("A flower.",),
        ("Grey.", "Grey."),
        ("a photo of a globe-flower, a type of flower.",),
    )
    assert texts.sources == ("Pink Primrose", "air plant", "template")
    vanilla = load_texts("oxford_flowers", tmp_path, classes, "vanilla")
    assert vanilla.texts[1] == ("a photo of a ball moss.",)


# ---------------------------------------------------------------- templates


def test_template_sets():
    assert from_templates(["car_side"], template_set("classname")).texts == (("car side",),)
    assert template_set("vanilla") == ("a photo of a {}.",)
    assert {key: SPECS[key].templates for key in ("dtd", "eurosat", "food101")} == {
        "dtd": ("{} texture.",),
        "eurosat": ("a centered satellite photo of {}.",),
        "food101": ("a photo of {}, a type of food.",),
    }
    assert len(SPECS["imagenet"].templates) == 7
    with pytest.raises(UnknownNameError, match="unknown template set 'vanila'; did you mean 'vanilla'"):
        template_set("vanila")


def test_templates_with_mistakes():
    with pytest.raises(ValueError, match=r"template 'a photo\.' must hold \{\} exactly once"):
        from_templates(["cat"], ["a photo."])
    with pytest.raises(ValueError, match="no template given"):
        from_templates(["cat"], [])
    with pytest.raises(ValueError, match="2 classes need as many lists"):
        ClassTexts(("a", "b"), (("x",),), ("file",))


def test_names_with_braces_are_put_in_as_they_are():
    assert from_templates(["{0.__class__}"], ["a {}."]).texts == (("a {0.  class  }.",),)
