"""The registry's eleven data sets in their real layouts; CoOp splits and few-shot index files, real and malformed."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fisherkit.checks import UnknownNameError
from neural.datasets import (
    SPECS,
    DatasetError,
    DatasetSpec,
    MissingError,
    load,
    load_few_shot,
    register,
)
from neural.datasets.coop import read_coop, read_few_shot, read_split, reroot, write_split
from neural.datasets.image_folder import read_folder
from neural.datasets.imagenet import read_classnames
from neural.datasets.verification import verify_images
from tests.dataset_builders import (
    IMAGENET_NAMES,
    LAYOUTS,
    WNIDS,
    build,
    json_values,
    load_or_explain,
    write_image,
    write_indices,
    write_json,
)

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
real = pytest.mark.skipif(
    not (REAL / "splits").is_dir(), reason="the real split files are not beside the repository"
)
ELEVEN = (
    "oxford_pets", "stanford_cars", "oxford_flowers", "food101", "fgvc_aircraft", "sun397", "dtd", "ucf101",
    "caltech101", "eurosat", "imagenet",
)  # fmt: skip
GOOD = {
    "train": [["a/1.jpg", 0, "cat"], ["a/2.jpg", 1, "dog"], ["a/3.jpg", 0, "cat"]],
    "val": [["b/1.jpg", 0, "cat"]],
    "test": [["c/1.jpg", 1, "dog"]],
}


def entries(items, classes):
    return [[path, int(label), classes[label]] for path, label in zip(items.paths, items.labels, strict=True)]


# ---------------------------------------------------------------- real files


@real
@pytest.mark.parametrize("key", ["oxford_pets", "oxford_flowers", "dtd", "caltech101"])
def test_real_splits_load_completely_with_the_published_sizes(key):
    dataset, spec = load(key, REAL, require_files=False), SPECS[key]
    assert tuple(dataset.counts.values()) == spec.published
    assert len(dataset.classes) == spec.n_classes == len(set(dataset.classes))
    assert dataset.train.root == REAL / spec.folder / spec.image_root
    raw = json.loads((REAL / "splits" / spec.split_file).read_text())
    for part, items in dataset.parts.items():
        assert entries(items, dataset.classes) == raw[part]
    if dataset.train.root.is_dir():
        assert load(key, REAL).counts == dataset.counts
        return
    with pytest.raises(
        MissingError, match=f"{sum(spec.published):,} of {sum(spec.published):,} files of {key} are missing"
    ):
        load(key, REAL)


@real
@pytest.mark.parametrize("key", ["oxford_pets", "dtd", "caltech101"])
def test_real_index_files_agree_with_the_real_split(key):
    dataset = load(key, REAL, require_files=False)
    total = 0
    for shots in (1, 2, 4, 8, 16):
        for seed in (1, 2, 3):
            chosen = load_few_shot(key, REAL, shots, seed, dataset=dataset)
            assert chosen.source == REAL / "indices" / key / f"shot_{shots}-seed_{seed}.json"
            assert set(chosen.train.counts(len(dataset.classes)).tolist()) == {shots}
            assert set(chosen.val.counts(len(dataset.classes)).tolist()) == {min(shots, 4)}
            raw = json.loads(chosen.source.read_text())["train"]["data"]
            assert [e["label"] for e in raw] == chosen.train.labels.tolist()
            assert all(e["impath"].endswith(f"/{p}") for e, p in zip(raw, chosen.train.paths, strict=True))
            total += len(chosen.train) + len(chosen.val)
    assert total == 3 * (1 + 2 + 4 + 8 + 16 + 1 + 2 + 4 + 4 + 4) * len(dataset.classes)


@real
def test_an_index_file_of_another_data_set_is_refused():
    pets = load("oxford_pets", REAL, require_files=False)
    with pytest.raises(
        DatasetError, match=r"shot_1-seed_1\.json: train: data\[0\] .* made for another split"
    ):
        read_few_shot(REAL / "indices" / "dtd" / "shot_1-seed_1.json", pets)


# ---------------------------------------------------------------- the eleven data sets


@pytest.mark.parametrize("key", ELEVEN)
def test_every_data_set_loads_from_its_layout(tmp_path, key):
    split = build(tmp_path, key)
    dataset = load(key, tmp_path)
    assert dataset.name == key
    assert entries(dataset.test, dataset.classes) == split["test"]
    if key == "imagenet":  # a fifth of each class of train is the validation part
        train = sorted([*entries(dataset.train, dataset.classes), *entries(dataset.val, dataset.classes)])
        assert train == sorted(split["train"])
        assert dataset.val.counts(4).tolist() == [2] * 4
        assert dataset.classes == IMAGENET_NAMES
    else:
        assert entries(dataset.train, dataset.classes) == split["train"]
        assert entries(dataset.val, dataset.classes) == split["val"]
    assert verify_images(dataset.test.files) == []


def test_the_registry_has_the_paper_s_table_3():
    published = {
        "caltech101": (100, 4128, 1649, 2465), "oxford_pets": (37, 2944, 736, 3669),
        "stanford_cars": (196, 6509, 1635, 8041), "oxford_flowers": (102, 4093, 1633, 2463),
        "food101": (101, 50500, 20200, 30300), "fgvc_aircraft": (100, 3334, 3333, 3333),
        "sun397": (397, 15880, 3970, 19850), "dtd": (47, 2820, 1128, 1692), "ucf101": (101, 7639, 1898, 3783),
        "imagenet": (1000, None, None, 50000),
    }  # fmt: skip
    assert {key: (SPECS[key].n_classes, *SPECS[key].published) for key in published} == published
    assert set(ELEVEN) <= set(SPECS)


def test_folders_go_by_several_names(tmp_path):
    build(tmp_path, "caltech101")
    (tmp_path / "caltech-101").rename(tmp_path / "caltech101")
    assert load("caltech101", tmp_path).train.root == tmp_path / "caltech101" / "101_ObjectCategories"
    (tmp_path / "splits").mkdir()
    name = SPECS["caltech101"].split_file
    (tmp_path / "caltech101" / name).rename(tmp_path / "splits" / name)
    assert load("caltech101", tmp_path).source == tmp_path / "splits" / name


def test_unknown_and_absent_data_sets(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown data set 'oxford_pet'; did you mean 'oxford_pets'"):
        load("oxford_pet", tmp_path)
    with pytest.raises(
        MissingError, match=r"dtd/split_zhou_DescribableTextures\.json: split file not found .* doctor"
    ):
        load("dtd", tmp_path)


def test_missing_images_are_counted_and_named(tmp_path):
    split = build(tmp_path, "eurosat")
    gone = [path for path, _, _ in split["train"]][:12]
    for path in gone:
        (tmp_path / "eurosat" / "2750" / path).unlink()
    with pytest.raises(
        MissingError, match=f"12 of 36 files of eurosat are missing: {', '.join(gone[:10])} and 2 more"
    ):
        load("eurosat", tmp_path)
    assert load("eurosat", tmp_path, require_files=False).missing() == gone


def test_a_data_set_of_one_s_own_joins_in_a_few_lines(tmp_path):
    write_json(tmp_path / "birds" / "split.json", GOOD)
    spec = DatasetSpec("birds", "Birds", "birds", "images", read_coop, split_file="split.json")
    folders = DatasetSpec("fish", "Fish", "fish", "", lambda spec, root: read_folder(spec.image_folder(root)))
    for name in ("carp", "eel"):
        for number in range(6):
            write_image(tmp_path / "fish" / name / f"{number}.png", 0, number)
    try:
        assert register(spec) is register(spec)
        register(folders)
        assert load("birds", tmp_path, require_files=False).classes == ("cat", "dog")
        assert load("fish", tmp_path).classes == ("carp", "eel")
        with pytest.raises(ValueError, match="'birds' is registered already"):
            register(DatasetSpec("birds", "Other", "x", "", read_coop))
    finally:
        SPECS.pop("birds", None), SPECS.pop("fish", None)


def test_without_a_split_file_the_class_folders_make_another_split(tmp_path):
    build(tmp_path, "caltech101")
    write_image(tmp_path / "caltech-101" / "101_ObjectCategories" / "Faces_easy" / "1.jpg", 0, 1)
    spec = SPECS["caltech101"]
    dataset = read_folder(
        spec.image_folder(tmp_path), display_names=spec.display_names, skip=spec.skip_folders, seed=1
    )
    assert dataset.classes == ("face", "leopard", "car_side")
    write_split(dataset, tmp_path / "caltech-101" / spec.split_file)
    again = load("caltech101", tmp_path)
    assert again.classes == dataset.classes
    for part, items in dataset.parts.items():
        assert entries(again.parts[part], again.classes) == entries(items, dataset.classes)


# ---------------------------------------------------------------- ImageNet and Aircraft


def test_imagenet_with_its_split_file(tmp_path):
    split = build(tmp_path, "imagenet")
    split["val"] = [split["train"].pop() for _ in range(2)]
    write_json(tmp_path / "imagenet" / "split_ImageNet.json", split)
    dataset = load("imagenet", tmp_path)
    for part, items in dataset.parts.items():
        assert entries(items, dataset.classes) == split[part]
    path = write_indices(tmp_path, "imagenet", split, 1, 5)
    chosen = load_few_shot("imagenet", tmp_path, 1, 5)
    assert chosen.source == path
    assert chosen.train.labels.tolist() == [0, 1, 2, 3]  # the two of one name are two classes
    (tmp_path / "imagenet" / "split_ImageNet.json").unlink()  # the carved split is another one
    with pytest.raises(DatasetError, match="made for another split; use the one it belongs to"):
        load_few_shot("imagenet", tmp_path, 1, 5)


def test_imagenet_folders_must_match_the_class_list(tmp_path):
    build(tmp_path, "imagenet")
    images = tmp_path / "imagenet" / "images"
    (images / "val" / WNIDS[1]).rename(images / "val" / "n99999999")
    with pytest.raises(DatasetError, match=f"val: 1 of 4 class folders are missing .*: {WNIDS[1]}"):
        load("imagenet", tmp_path)
    (images / "val" / "n99999999").rename(images / "val" / WNIDS[1])
    (images / "train" / "n99999999").mkdir()
    with pytest.raises(DatasetError, match=r"train: 1 folders are not in classnames\.txt: n99999999"):
        load("imagenet", tmp_path)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["n01440764 tench", "goldfish"], "expected a WordNet number, a space and a name"),
        (["n01440764 tench", "n01440764 goldfish"], "line 2: n01440764 after n01440764"),
        (["n01443537 goldfish", "n01440764 tench"], "numbers must ascend"),
        (["n01443537 goldfish"], "only 1 classes"),
    ],
)
def test_class_lists_with_mistakes(tmp_path, lines, problem):
    path = tmp_path / "classnames.txt"
    path.write_text("\n".join(lines))
    with pytest.raises(DatasetError, match=problem):
        read_classnames(path)


def test_aircraft_lists_with_mistakes(tmp_path):
    build(tmp_path, "fgvc_aircraft")
    folder = tmp_path / "fgvc_aircraft"
    train = folder / "images_variant_train.txt"
    text = train.read_text()
    train.write_text(text + "0009999 Concorde\n")
    with pytest.raises(
        DatasetError, match=r"images_variant_train\.txt: '0009999 Concorde': expected an image id"
    ):
        load("fgvc_aircraft", tmp_path)
    train.write_text(text + text)
    with pytest.raises(DatasetError, match="15 files are listed twice"):
        load("fgvc_aircraft", tmp_path)
    train.write_text(text)
    (folder / "variants.txt").write_text("707-320\nBoeing 717\nF-16A/B\nBoeing 717\n")
    with pytest.raises(DatasetError, match="variants are listed twice: Boeing 717"):
        load("fgvc_aircraft", tmp_path)
    (folder / "variants.txt").unlink()
    with pytest.raises(MissingError, match=r"variants\.txt: file not found"):
        load("fgvc_aircraft", tmp_path)


# ---------------------------------------------------------------- splits with mistakes


def changed(**parts):
    return {**copy.deepcopy(GOOD), **parts}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "a split is an object with lists train, val and test, but this holds a list"),
        ({"train": [], "test": []}, "this holds an object with train, test"),
        (changed(val=[["b/1.jpg", 0]]), r"val\[0\]: expected \[path, label, class name\]"),
        (
            changed(val=[["b/1.jpg", "0", "cat"]]),
            r'val\[0\]: a label is a whole number from 0 upwards, got "0"',
        ),
        (changed(val=[["b/1.jpg", True, "cat"]]), r"val\[0\]: a label is a whole number"),
        (changed(val=[["b/1.jpg", -1, "cat"]]), r"val\[0\]: a label is a whole number"),
        (changed(val=[["b/1.jpg", 10**30, "cat"]]), r"val\[0\]: a label is a whole number"),
        (changed(val=[["b/1.jpg", 3, "cow"]]), "labels have gaps: 2 of 0 to 3 are not used"),
        (
            changed(val=[["b/1.jpg", 2**31 - 1, "cow"]]),
            r"labels have gaps: 2, 3, .* and 2,147,483,635 more of 0 to",
        ),
        (changed(val=[["b/1.jpg", 0, "dog"]]), r"val\[0\]: label 0 is called 'dog' here and 'cat' before"),
        (changed(val=[["b/1.jpg", 2, "cow"]]), "train: 1 of 3 classes have no file: 2 'cow'"),
        (changed(val=[["a/1.jpg", 0, "cat"]]), r"1 files are in more than one part: .*a/1\.jpg"),
        (changed(val=[["./a/1.jpg", 0, "cat"]]), "more than one part"),
        (
            changed(val=[["b/1.jpg", 0, "cat"], ["b/1.jpg", 0, "cat"]]),
            r"val: 1 files are listed twice: b/1\.jpg",
        ),
        (changed(val=[["../../etc/passwd", 0, "cat"]]), "val: 1 paths do not lie below this folder"),
        (changed(val=[["/etc/passwd", 0, "cat"]]), "do not lie below this folder"),
        (changed(val=[["", 0, "cat"]]), r"val\[0\]: path: empty text"),
        (changed(val=[["b\0.jpg", 0, "cat"]]), "characters that are not text"),
        (changed(val=[["b\ud800.jpg", 0, "cat"]]), r"b\\ud800\.jpg holds characters that are not text"),
        (changed(val=[["b/1.jpg", 0, None]]), r"val\[0\]: class name: expected text, got NoneType"),
        ({"train": [["a.jpg", 0, "cat"]], "val": [], "test": []}, "at least two classes, got 1"),
        ({"train": [], "val": [], "test": []}, "at least two classes, got 0"),
    ],
)
def test_splits_with_mistakes(tmp_path, content, problem):
    path = tmp_path / "split.json"
    write_json(path, content)
    with pytest.raises(DatasetError, match=problem) as caught:
        read_split(path, tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "prefix", ["", "./data/oxford_pets/images/", "/home/x/oxford_pets/images/", "images/"]
)
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_prefixes_of_other_machines_are_stripped(tmp_path, prefix, slash):
    split = build(tmp_path, "oxford_pets")
    moved = {
        part: [[(prefix + path).replace("/", slash), label, name] for path, label, name in rows]
        for part, rows in split.items()
    }
    write_json(tmp_path / "oxford_pets" / SPECS["oxford_pets"].split_file, moved)
    assert entries(load("oxford_pets", tmp_path).train, list(LAYOUTS["oxford_pets"])) == split["train"]


@given(
    st.lists(st.sampled_from(["a", "images", "b c", "é"]), min_size=1, max_size=5),
    st.sampled_from(["/", "\\"]),
)
def test_a_path_below_the_data_set_s_folder_is_its_rest(parts, slash):
    rest = "/".join(["x", *parts])
    for prefix in (
        "./data/pets/images/",
        "/home/pets/images/",
        "C:/pets/images/",
        "pets/images/",
        "images/",
        "",
    ):
        assert reroot((prefix + rest).replace("/", slash), ["other", "pets"], "images") == rest
    assert (
        reroot(f"/home/dogs/{rest}", ["pets"], "images") == f"/home/dogs/{rest}"
    )  # left for Items to refuse


split_entries = st.tuples(st.sampled_from(["a", "b/c", "../d"]) | json_values, st.integers(-1, 3) | json_values,
                          st.sampled_from(["cat", "dog"]) | json_values).map(list)  # fmt: skip
splits = st.fixed_dictionaries({
    p: st.lists(split_entries | json_values, max_size=4) for p in ("train", "val", "test")
})


def perturbed(good, draw, value):
    """A good file with one place replaced."""
    content = copy.deepcopy(good)
    at = content
    while isinstance(at, (dict, list)) and at:
        keys = list(at) if isinstance(at, dict) else range(len(at))
        key = draw(st.sampled_from(list(keys)))
        if not isinstance(at[key], (dict, list)) or not at[key] or draw(st.booleans()):
            at[key] = value
            break
        at = at[key]
    return content


@given(st.data())
def test_any_split_loads_or_says_what_is_wrong(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz-split.json"
    kind = data.draw(st.sampled_from(["bytes", "json", "split", "perturbed"]))
    if kind == "bytes":
        content = data.draw(st.binary(max_size=200))
    else:
        value = data.draw(splits if kind == "split" else json_values)
        value = perturbed(GOOD, data.draw, value) if kind == "perturbed" else value
        content = json.dumps(value).encode()
    dataset = load_or_explain(lambda p: read_split(p, p.parent), path, content)
    assert dataset is None or dataset.train.counts(len(dataset.classes)).min() > 0


# ---------------------------------------------------------------- few-shot index files


@pytest.fixture
def pets(tmp_path):
    split = build(tmp_path, "oxford_pets")
    return tmp_path, split, load("oxford_pets", tmp_path)


@pytest.mark.parametrize("key", ELEVEN[:-1])
def test_index_files_are_used_where_they_are(tmp_path, key):
    split = build(tmp_path, key)
    path = write_indices(tmp_path, key, split, shots=2, seed=1)
    chosen = load_few_shot(key, tmp_path, 2, 1)
    raw = json.loads(path.read_text())
    assert chosen.source == path
    assert [
        f"./data/{SPECS[key].folder}/{SPECS[key].image_root}/{p}".replace("//", "/")
        for p in chosen.train.paths
    ] == [e["impath"] for e in raw["train"]["data"]]
    assert chosen.val.labels.tolist() == [e["label"] for e in raw["val"]["data"]]
    drawn = load_few_shot(key, tmp_path, 2, 2)
    assert drawn.source is None
    assert set(drawn.train.counts(len(LAYOUTS.get(key, "abc"))).tolist()) == {2}


def first(content, part="train"):
    return content[part]["data"][0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c.pop("val"), "val: expected an object with the lists data and indices"),
        (lambda c: c["train"]["indices"].pop(), "train: 3 entries in data, but 2 indices"),
        (lambda c: c["train"].update(indices=[0.0, 1, 2]), r"train: indices\[0\] is 0.0"),
        (
            lambda c: c["train"].update(indices=[99, 1, 2]),
            r"train: indices\[0\] is 99, but the split's train has 15",
        ),
        (lambda c: c["train"].update(indices=[-1, 1, 2]), r"indices\[0\] is -1"),
        (lambda c: first(c).update(label=1), r"train: data\[0\] is .* made for another split"),
        (lambda c: first(c).update(classname="cat"), "made for another split"),
        (lambda c: first(c).update(impath="./data/oxford_pets/images/x.jpg"), "made for another split"),
        (lambda c: first(c).pop("impath"), r"data\[0\]: impath: expected text, got NoneType"),
        (lambda c: c["train"].update(data=[0, 0, 0]), r"data\[0\]: expected an object"),
        (
            lambda c: c["train"].update(data=[first(c)] * 2, indices=[c["train"]["indices"][0]] * 2),
            "chosen twice",
        ),
    ],
)
def test_index_files_with_mistakes(pets, change, problem):
    root, split, dataset = pets
    path = write_indices(root, "oxford_pets", split, 1, 1)
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)
    with pytest.raises(DatasetError, match=problem) as caught:
        load_few_shot("oxford_pets", root, 1, 1, dataset=dataset)
    assert str(caught.value).startswith(f"{path}: ")


@given(st.data())
def test_any_index_file_loads_or_says_what_is_wrong(tmp_path_factory, data):
    base = tmp_path_factory.getbasetemp()
    write_json(base / "fuzz-good.json", GOOD)
    dataset = read_split(base / "fuzz-good.json", base)
    good = {
        part: {
            "data": [{"impath": f"./data/x/{p}", "label": n, "classname": c} for p, n, c in GOOD[part]],
            "indices": list(range(len(GOOD[part]))),
        }
        for part in ("train", "val")
    }

    def read(path):
        return read_few_shot(path, dataset, folders=["x"])

    path = base / "fuzz-index.json"
    assert load_or_explain(read, path, json.dumps(good).encode()).train.paths == dataset.train.paths
    value = data.draw(json_values)
    changed_ = data.draw(st.booleans())
    content = json.dumps(perturbed(good, data.draw, value) if changed_ else value).encode()
    chosen = load_or_explain(
        read, path, data.draw(st.sampled_from([content, content[:-1], b"\xff" + content]))
    )
    assert chosen is None or set(chosen.train.paths) <= set(dataset.train.paths)


def test_labels_of_a_split_are_numbers_of_numpy(pets):
    assert pets[2].train.labels.dtype == np.int64
    assert re.match(r"Abyssinian_\d+\.jpg", pets[2].train.paths[0])
