"""Lists of files: checked where they are made; folders, lists and splits of one's own; broken images found."""

import json
import os
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from neural.datasets import DatasetError, ImageDataset, Items, MissingError, open_dataset, open_texts
from neural.datasets.coop import write_split
from neural.datasets.file_lists import read_list
from neural.datasets.folders import list_files, list_folders
from neural.datasets.image_folder import read_folder
from neural.datasets.items import draw_per_class, missing_labels
from neural.datasets.reading import listed, read_bytes, read_json, read_lines, shown
from neural.datasets.splitting import split_by_class
from neural.datasets.verification import verify_images
from tests.dataset_builders import json_values, load_or_explain, write_image
from tests.strategies import seeds

BAD_NAME = b"caf\xe9"  # Latin-1, not UTF-8


def tiny(train=(0, 0, 1), val=(0, 1), test=(1,), root=Path("data")):
    """A data set whose files need not exist."""
    parts = [
        Items(root, tuple(f"{part}/{i}.jpg" for i in range(len(labels))), labels)
        for part, labels in (("a", train), ("b", val), ("c", test))
    ]
    return ImageDataset("tiny", ("cat", "dog"), *parts, root)


def class_folders(folder, classes=("ant", "bee"), count=10):
    for label, name in enumerate(classes):
        for number in range(count):
            write_image(folder / name / f"{number}.png", label, number)
    return folder


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"a": 1', "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' appears twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'["' + b"x" * 10 + b'",\n"caf\xe9"]', "not UTF-8: byte 0xe9 in line 2"),
        (b"9" * 5000, "not valid JSON"),
    ],
)
def test_json_that_is_none(tmp_path, content, problem):
    path = tmp_path / "split.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=problem) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert caught.value.path == path


def test_a_byte_order_mark_is_dropped(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}')
    assert read_json(path) == {"a": "é"}


def test_what_is_no_file_is_not_read(tmp_path):
    with pytest.raises(MissingError, match="file not found"):
        read_json(tmp_path / "nothing.json")
    with pytest.raises(DatasetError, match="expected a file, but this is a folder"):
        read_json(tmp_path)
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    with pytest.raises(
        DatasetError, match=r"loop\.json: cannot be read \(Too many levels of symbolic links\)"
    ):
        read_json(loop)
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer for ever
    with pytest.raises(DatasetError, match="not a regular file"):
        read_json(tmp_path / "pipe")
    (tmp_path / "big").write_bytes(b"x" * 11)
    with pytest.raises(DatasetError, match="11 bytes, more than the 10"):
        read_bytes(tmp_path / "big", max_bytes=10)


@given(st.binary(max_size=200))
def test_any_bytes_are_lines_or_an_error_with_the_path(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    lines = load_or_explain(read_lines, path, content)
    assert all(line == line.strip() != "" for line in lines or [])


def test_errors_travel_between_processes_and_terminals():
    error = pickle.loads(pickle.dumps(MissingError("a/b\n\udce9", "gone")))
    assert type(error) is MissingError
    assert error.problem == "gone"
    assert str(error) == "a/b\\n\\udce9: gone"
    assert shown("\x1b[31mred").isprintable()
    assert listed("abcdefghijklm") == "a, b, c, d, e, f, g, h, i, j and 3 more"


# ---------------------------------------------------------------- items


@pytest.mark.parametrize(
    ("paths", "labels", "problem"),
    [
        (("a.jpg",), [0, 1], "1 paths need as many whole-number labels"),
        (("a.jpg",), [0.0], "whole-number labels"),
        (("a.jpg", "b.jpg"), [0, -1], r"label -1 of b\.jpg"),
        (("a.jpg", "a.jpg"), [0, 0], r"1 files are listed twice: a\.jpg"),
        (("../a.jpg",), [0], r"do not lie below this folder.*\.\./a\.jpg"),
        (("/etc/passwd",), [0], "do not lie below this folder"),
        (("a/../../b.jpg",), [0], "do not lie below this folder"),
        (("a//b.jpg",), [0], "normal form"),
        (("a\\b.jpg",), [0], "normal form"),
        (("a\0.jpg",), [0], "normal form"),
        (("",), [0], "normal form"),
    ],
)
def test_lists_that_cannot_be(paths, labels, problem):
    with pytest.raises(DatasetError, match=problem) as caught:
        Items(Path("data"), paths, labels)
    assert str(caught.value).startswith("data: ")


def test_items_are_immutable():
    items = Items(Path("data"), ["a", "b"], [0, 1])
    with pytest.raises(ValueError, match="read-only"):
        items.labels[0] = 5
    with pytest.raises(AttributeError):
        items.root = Path("other")
    assert items.take([True, False]).paths == ("a",)
    assert items.files == [Path("data/a"), Path("data/b")]
    assert Items(Path("data"), (), ()).labels.dtype == np.int64


def test_missing_files_links_to_nowhere_and_in_circles(tmp_path):
    write_image(tmp_path / "a" / "1.png", 0, 0)
    (tmp_path / "a" / "loop.png").symlink_to(tmp_path / "a" / "loop.png")
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "a" / "folder.png").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    paths = ("a/1.png", "a/loop.png", "a/gone.png", "a/folder.png", "b/1.png", "c/1.png")
    assert Items(tmp_path, paths, [0] * 6).missing() == [
        "a/loop.png",
        "a/gone.png",
        "a/folder.png",
        "c/1.png",
    ]


def test_first_ten_missing_paths_are_named(tmp_path):
    dataset = tiny(train=[0, 1] * 20, root=tmp_path)
    with pytest.raises(
        MissingError, match=r"43 of 43 files of tiny are missing: a/0\.jpg, .*, a/9\.jpg and 33 more$"
    ):
        dataset.require_files()


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"val": (0, 2)}, r"val: label 2 of b/1\.jpg, but there are 2 classes \(0 to 1\)"),
        ({"train": (1, 1)}, "train: 1 of 2 classes have no file: 0 'cat'"),
    ],
)
def test_data_sets_that_cannot_be(parts, problem):
    with pytest.raises(DatasetError, match=problem):
        tiny(**parts)


def test_a_file_in_two_parts_is_refused_even_below_different_roots():
    train = Items(Path("data/train"), ("cat/1.jpg", "dog/1.jpg"), [0, 1])
    test = Items(Path("data"), ("train/cat/1.jpg",), [0])
    with pytest.raises(DatasetError, match=r"1 files are in more than one part: .*data/train/cat/1\.jpg"):
        ImageDataset("twice", ("cat", "dog"), train, Items(Path("data"), (), ()), test, Path("data"))
    with pytest.raises(DatasetError, match="at least two classes"):
        ImageDataset("one", ("cat",), train.take([0]), train.take([]), train.take([]), Path("data"))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 6), seeds)
def test_draws_have_min_count_and_size_rows_of_each_class(labels, count, seed):
    rows = draw_per_class(labels, count, 4, seed)
    drawn = np.array(labels)[rows]
    assert len(set(rows.tolist())) == len(rows)
    assert (np.diff(drawn) >= 0).all()
    assert (
        np.bincount(drawn, minlength=4).tolist()
        == np.minimum(np.bincount(labels, minlength=4), count).tolist()
    )
    assert rows.tolist() == draw_per_class(labels, count, 4, seed).tolist()


def test_few_shot_follows_the_protocol():
    dataset = tiny(train=[0, 1] * 20, val=[0, 1] * 10)
    for shots in (1, 2, 4, 8, 16):
        drawn = dataset.few_shot(shots, 0)
        assert drawn.train.counts(2).tolist() == [shots] * 2
        assert drawn.val.counts(2).tolist() == [min(shots, 4)] * 2
        assert set(drawn.train.paths) <= set(dataset.train.paths)
        assert set(drawn.val.paths) <= set(dataset.val.paths)
        assert drawn.source is None
    assert dataset.few_shot(4, 1).train.paths == dataset.few_shot(4, 1).train.paths
    # with 40 files and 8 drawn, a repeat between seeds or nesting between shots has probability below 1e-5
    assert dataset.few_shot(4, 1).train.paths != dataset.few_shot(4, 2).train.paths
    assert not set(dataset.few_shot(4, 1).train.paths) <= set(dataset.few_shot(5, 1).train.paths)
    with pytest.raises(ValueError, match="shots must be a whole number >= 1"):
        dataset.few_shot(0, 0)
    with pytest.raises(ValueError, match="seed must be a whole number >= 0"):
        dataset.few_shot(1, -1)


@given(st.sets(st.integers(0, 50), max_size=30))
def test_gaps(labels):
    count, first = missing_labels(labels)
    gaps = sorted(set(range(max(labels, default=-1) + 1)) - labels)
    assert (count, first) == (len(gaps), gaps[:10])


# ---------------------------------------------------------------- splits by seed


@given(seeds, st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_a_split_deals_every_file_once_whatever_the_order(seed, sizes):
    files = [(f"{c}/{i}", c) for c, size in enumerate(sizes) for i in range(size)]
    names = [f"class {c}" for c in range(len(sizes))]

    def parts(files):
        dealt = split_by_class([f for f, _ in files], [c for _, c in files], names, seed)
        return [{files[i] for i in rows} for rows in dealt]

    train, val, test = parts(files)
    assert train | val | test == set(files)
    assert len(train) + len(val) + len(test) == len(files)
    for c, size in enumerate(sizes):
        counts = [sum(label == c for _, label in part) for part in (train, val, test)]
        assert counts[0] >= 1
        assert abs(counts[1] - 0.2 * size) <= 1
        assert abs(counts[2] - 0.3 * size) <= 1
    shuffled = random.Random(seed).sample(files, len(files))
    assert parts(shuffled) == [train, val, test]
    # a further class changes nothing for the others
    more = split_by_class(
        [f for f, _ in files] + ["x"], [c for _, c in files] + [len(sizes)], [*names, "new"], seed
    )
    assert [{files[i] for i in rows if i < len(files)} for rows in more] == [train, val, test]


def test_classes_are_dealt_independently():
    names = [str(i) for i in range(40)]
    rows, labels = [*names, *names], [0] * 40 + [1] * 40
    train, _, _ = split_by_class(rows, labels, ["ant", "bee"], 0)
    assert {i for i in train if i < 40} != {i - 40 for i in train if i >= 40}  # equal by chance: below 1e-10


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (0, 0.5, 0.5), (1.2, -0.1, -0.1), (1.0,)])
def test_fractions_are_shares(fractions):
    with pytest.raises(ValueError, match="fractions: expected shares"):
        split_by_class(["a"], [0], ["x"], 0, fractions)


# ---------------------------------------------------------------- folders


def test_a_folder_of_classes(tmp_path):
    class_folders(tmp_path / "insects", ("bee", "ant", "Wasp"))
    (tmp_path / "insects" / "ant" / "notes.txt").write_text("no image")
    (tmp_path / "insects" / ".cache").mkdir()
    write_image(tmp_path / "insects" / "ant" / "deep" / "er" / "x.JPEG", 0, 99)
    dataset = read_folder(tmp_path / "insects")
    assert dataset.classes == ("Wasp", "ant", "bee")  # code point order
    assert sum(dataset.counts.values()) == 31
    assert "ant/deep/er/x.JPEG" in {path for items in dataset.parts.values() for path in items.paths}
    assert all(
        dataset.classes[label] == path.split("/")[0]
        for items in dataset.parts.values()
        for path, label in zip(items.paths, items.labels, strict=True)
    )
    assert dataset.require_files() is dataset
    same = read_folder(tmp_path / "insects", seed=0)
    other = read_folder(tmp_path / "insects", seed=1)
    assert same.train.paths == dataset.train.paths != other.train.paths
    assert dataset.about["seed"] == 0


def test_a_folder_that_is_split_already(tmp_path):
    for part, count in (("train", 10), ("valid", 2), ("test", 3)):
        class_folders(tmp_path / part, count=count)
    dataset = read_folder(tmp_path)
    assert dataset.counts == {"train": 20, "val": 4, "test": 6}
    assert dataset.val.root == tmp_path / "valid"
    assert dataset.about["dealt"] == []
    class_folders(tmp_path / "test", ("cicada",), count=1)
    with pytest.raises(DatasetError, match=r"test: 1 folders are not among the classes of train: cicada"):
        read_folder(tmp_path)


def test_parts_that_have_no_folder_are_dealt_from_train(tmp_path):
    for part in ("train", "test"):
        class_folders(tmp_path / part, count=14)
    dataset = read_folder(tmp_path)
    assert dataset.counts == {"train": 20, "val": 8, "test": 28}  # 0.2 / (0.5 + 0.2) of 14 is 4
    assert dataset.about["dealt"] == ["train", "val"]


@pytest.mark.parametrize("classes", [("bus", "car", "train"), ("train", "tram"), ("Test", "ant", "val")])
def test_a_class_may_be_called_like_a_part(tmp_path, classes):
    class_folders(tmp_path, classes)
    dataset = read_folder(tmp_path).require_files()
    assert dataset.classes == tuple(sorted(classes))
    assert sum(dataset.counts.values()) == 10 * len(classes)


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("training", "testing"), ("TRAIN", "Validation", "TEST"), ("train", "Val")]
)
def test_parts_are_known_in_any_case_and_by_their_usual_names(tmp_path, names):
    for name in names:
        class_folders(tmp_path / name)
    dataset = read_folder(tmp_path).require_files()
    assert dataset.classes == ("ant", "bee")
    assert sum(dataset.counts.values()) == 20 * len(names)
    folders = {part: items.root.name for part, items in dataset.parts.items()}
    for name in names:
        assert name in folders.values()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (["val/a", "test/a"], "test, val are there, but no train to learn from"),
        (["train/a", "Train/a"], "two folders are the same part: Train, train; merge them"),
        (["val/a", "validation/a", "train/a"], "two folders are the same part: train, val, validation"),
        (
            ["train/a", "test/a", "boats"],
            "train look like parts with class folders in them, but boats beside them",
        ),
        (
            ["train", "test"],
            "test, train are called like parts, but hold no class folders; expected e.g. test/CLASS",
        ),
    ],
)
def test_folders_of_two_meanings_are_refused(tmp_path, made, message):
    for sub in made:
        write_image(tmp_path / sub / "0.png", 0, 0)
    with pytest.raises(DatasetError, match=message):
        read_folder(tmp_path)


def test_pictures_of_other_kinds_are_named_and_jfif_is_read(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "ant" / "0.png").rename(tmp_path / "ant" / "0.JFIF")
    for name in ("a.heic", "b.HEIC", "c.avif"):
        (tmp_path / "bee" / name).write_bytes(b"?")
    with pytest.warns(
        UserWarning, match=r"3 pictures are left out, as .avif, .heic files are not read here: bee/a.heic"
    ):
        dataset = read_folder(tmp_path)
    assert sum(dataset.counts.values()) == 20
    assert dataset.about["left out"] == ["bee/a.heic", "bee/b.HEIC", "bee/c.avif"]


def test_a_list_without_validation_has_it_dealt_from_train(tmp_path):
    rows = [f"{c}/{i}.png,{c},{'Test' if i < 3 else 'training'}" for c in "ab" for i in range(17)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split", *rows]))
    dataset = read_list(tmp_path / "list.csv")
    assert dataset.counts == {"train": 20, "val": 8, "test": 6}
    assert dataset.about["dealt"] == ["train", "val"]
    assert all(int(path[2:].split(".")[0]) < 3 for path in dataset.test.paths)
    (tmp_path / "list.csv").write_text("path,label,split\na.png,x,test\nb.png,y,val")
    with pytest.raises(DatasetError, match="no row is of train; its parts are test, val"):
        read_list(tmp_path / "list.csv")


def test_display_names_and_skipped_folders(tmp_path):
    class_folders(tmp_path, ("Faces", "Faces_easy", "ant"), count=4)
    dataset = read_folder(tmp_path, display_names={"Faces": "face"}, skip=("Faces_easy",))
    assert dataset.classes == ("face", "ant")
    with pytest.raises(DatasetError, match="one display name: x"):
        read_folder(tmp_path, display_names={"Faces": "x", "Faces_easy": "x"})


def test_folders_that_are_no_data_set(tmp_path):
    with pytest.raises(MissingError, match="folder not found"):
        read_folder(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="no class folders"):
        read_folder(tmp_path)
    class_folders(tmp_path)
    (tmp_path / "cicada").mkdir()
    with pytest.raises(DatasetError, match=r"1 of 3 class folders hold no image .*: cicada"):
        read_folder(tmp_path)
    with pytest.raises(DatasetError, match="expected a folder, but this is a file"):
        list_folders(tmp_path / "ant" / "0.png")


def test_links_in_circles_and_to_nowhere_are_reported(tmp_path):
    class_folders(tmp_path)
    (tmp_path / "ant" / "again").symlink_to(tmp_path / "bee")
    assert len(list_files(tmp_path / "ant")) == 20  # a link elsewhere is followed
    (tmp_path / "ant" / "again").unlink()
    (tmp_path / "bee" / "back").symlink_to(tmp_path / "bee")
    with pytest.raises(DatasetError, match=r"back: symbolic link loop: it leads back to a folder it lies in"):
        read_folder(tmp_path)
    (tmp_path / "bee" / "back").unlink()
    (tmp_path / "bee" / "self").symlink_to(tmp_path / "bee" / "self")
    with pytest.raises(DatasetError, match="self: symbolic link loop or unreadable"):
        read_folder(tmp_path)
    (tmp_path / "bee" / "self").unlink()
    (tmp_path / "bee" / "gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(DatasetError, match="gone: symbolic link that leads nowhere"):
        read_folder(tmp_path)


def test_names_that_are_not_utf8_are_reported(tmp_path):
    class_folders(tmp_path)
    write_image(tmp_path / "ant" / "x.png", 0, 0)
    os.rename(tmp_path / "ant" / "x.png", os.path.join(os.fsencode(tmp_path), b"ant", BAD_NAME + b".png"))
    with pytest.raises(DatasetError, match=r"ant: the name caf\\udce9\.png is not UTF-8"):
        read_folder(tmp_path)


# ---------------------------------------------------------------- lists


def test_a_list_with_names_and_parts(tmp_path):
    lines = [
        "path,label,split",
        "b/1.jpg,dog,train",
        "a/1.jpg,cat,train",
        r"a\2.jpg,cat,validation",
        "a/3.jpg,cat,test",
    ]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    dataset = read_list(tmp_path / "list.csv")
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.paths == ("b/1.jpg", "a/1.jpg")
    assert dataset.train.labels.tolist() == [1, 0]
    assert dataset.val.paths == ("a/2.jpg",)
    assert dataset.train.root == tmp_path


def test_a_list_with_numbers_is_dealt_by_seed(tmp_path):
    rows = [{"path": f"{i}.jpg", "label": i % 2, "classname": ("cat", "dog")[i % 2]} for i in range(20)]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    dataset = read_list(tmp_path / "list.json", tmp_path / "images", seed=3)
    assert dataset.classes == ("cat", "dog")
    assert dataset.counts == {"train": 10, "val": 4, "test": 6}
    assert dataset.train.root == tmp_path / "images"
    (tmp_path / "list.json").write_text(json.dumps(rows[::-1]))
    assert set(read_list(tmp_path / "list.json", seed=3).test.paths) == set(dataset.test.paths)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,label\na.jpg,0\n", "no column path"),
        ("", "no column path and label"),
        ("path,label\n", "no files are listed"),
        ("path,label\na.jpg,\n", "row 1: no label"),
        ("path,label\na.jpg,0\nb.jpg,2\n", "labels have gaps: 1 of 0 to 2"),
        (
            "path,label,split\na.jpg,0,train\nb.jpg,1,dev\n",
            "row 2: unknown split 'dev'; known: train, training, val",
        ),
        ("path,label,split\na.jpg,0,train\nb.jpg,1,\n", "row 2 has no split, but others have"),
        ("path,label,classname\na.jpg,0,x\nb.jpg,0,y\n", "row 2: label 0 is called 'y' here and 'x' before"),
        ("path,label,split\na.jpg,0,train\nb.jpg,1,train\na.jpg,0,test\n", r"more than one part: .*a\.jpg"),
        ("path,label,split\n../a.jpg,0,train\nb.jpg,1,train\n", "do not lie below"),
        ('path,label\n"a.jpg,0\n', "not valid CSV"),
    ],
)
def test_lists_with_mistakes(tmp_path, text, problem):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=problem) as caught:
        read_list(path)
    assert str(path) in str(caught.value)


rows = st.fixed_dictionaries(
    {}, optional={"path": json_values | st.sampled_from(["a", "b/c"]), "label": json_values | st.integers(0, 2),
                  "split": st.sampled_from(["train", "test", "x"]) | json_values, "classname": json_values}
)  # fmt: skip


@given(
    st.binary(max_size=100)
    | st.builds(lambda v: json.dumps(v).encode(), json_values | st.lists(rows, max_size=5))
)
def test_any_json_list_loads_or_says_what_is_wrong(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz-list.json"
    dataset = load_or_explain(read_list, path, content)
    assert dataset is None or len(dataset.train)


@given(
    st.binary(max_size=100)
    | st.builds(lambda t: f"path,label,split\n{t}".encode("utf-8", "replace"), st.text())
)
def test_any_csv_list_loads_or_says_what_is_wrong(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "fuzz-list.csv"
    dataset = load_or_explain(read_list, path, content)
    assert dataset is None or len(dataset.train)


# ---------------------------------------------------------------- any of these by its path


def test_data_of_one_s_own_by_path(tmp_path):
    images = class_folders(tmp_path / "insects")
    by_folder = open_dataset(images, seed=2)
    rows = [
        {"path": path, "label": by_folder.classes[label], "split": part}
        for part, items in by_folder.parts.items()
        for path, label in zip(items.paths, items.labels, strict=True)
    ]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    lines = ["path,label,split", *(f"{row['path']},{row['label']},{row['split']}" for row in rows)]
    (images / "list.csv").write_text("\n".join(lines))
    write_split(by_folder, tmp_path / "split.json")
    for dataset in (
        open_dataset(tmp_path / "list.json", root=images),
        open_dataset(images / "list.csv"),
        open_dataset(tmp_path / "split.json", root=images),
    ):
        assert dataset.classes == by_folder.classes
        for part, items in by_folder.parts.items():
            assert dataset.parts[part].paths == items.paths
            assert dataset.parts[part].labels.tolist() == items.labels.tolist()
            assert dataset.parts[part].files == items.files
    with pytest.raises(MissingError, match="20 of 20 files of list are missing"):
        open_dataset(tmp_path / "list.json")
    with pytest.raises(MissingError, match="no such file or folder"):
        open_dataset(tmp_path / "nothing")
    (tmp_path / "list.txt").touch()
    with pytest.raises(DatasetError, match=r"expected a folder of class folders, a \.csv list"):
        open_dataset(tmp_path / "list.txt")
    (tmp_path / "texts.json").write_text('{"Ant": ["Small.", "Red."], "bees": "Striped."}')
    texts = open_texts(tmp_path / "texts.json", by_folder.classes, aliases={"bees": "bee"}, fallback=None)
    assert texts.texts == (("Small.", "Red."), ("Striped.",))
    with pytest.raises(DatasetError, match=r"texts\.json: 1 of 2 classes have no sentence: 1 'bee'"):
        open_texts(tmp_path / "texts.json", by_folder.classes, fallback=None)


# ---------------------------------------------------------------- broken images


def test_broken_images_are_found_with_their_paths(tmp_path):
    good = tmp_path / "good.jpg"
    write_image(good, 0, 0)
    truncated = tmp_path / "truncated.jpg"
    truncated.write_bytes(good.read_bytes()[:-20])  # the header is whole
    text = tmp_path / "text.jpg"
    text.write_text("<html>404 not found</html>")
    empty = tmp_path / "empty.png"
    empty.touch()
    broken = verify_images([good, truncated, text, empty, tmp_path / "gone.jpg"])
    assert [image.path for image in broken] == [truncated, text, empty, tmp_path / "gone.jpg"]
    assert "truncated" in str(broken[0])
    assert "cannot identify" in broken[1].problem
    assert broken[3].problem == "file not found"


def test_a_decompression_bomb_is_reported_not_unpacked(tmp_path, monkeypatch):
    write_image(tmp_path / "bomb.png", 0, 0)
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 100
    )  # the picture has 192: over the limit, not over twice the limit
    (found,) = verify_images([tmp_path / "bomb.png"])
    assert "exceeds limit of 100 pixels" in found.problem


@pytest.mark.slow
def test_several_processes_find_the_same(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(20)]
    for number, file in enumerate(files):
        write_image(file, 0, number)
    files[7].write_bytes(files[7].read_bytes()[:40])
    assert verify_images(files, workers=2) == verify_images(files)
