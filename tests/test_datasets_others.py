"""Shifted ImageNet sets and their label maps, ESC-50 and ImageNet-ESC, spoken digits, exports from the hub."""

import csv
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fisherkit.checks import UnknownNameError
from neural.datasets import DatasetError, Items, MissingError
from neural.datasets.audio import IMAGENET_ESC, Esc50, imagenet_esc, read_digits, read_esc50
from neural.datasets.hub import export_images, from_hub
from neural.datasets.image_folder import read_folder
from neural.datasets.shifted_imagenet import SHIFTS, load_shifted
from tests.dataset_builders import (
    IMAGENET_NAMES,
    WNIDS,
    build_digits,
    build_esc50,
    build_imagenet,
    build_shifted,
    load_or_explain,
    write_wav,
)

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "data"

# ---------------------------------------------------------------- shifted ImageNet


@pytest.mark.parametrize("key", list(SHIFTS))
def test_labels_of_shifted_sets_are_imagenet_s(tmp_path, key):
    there = build_shifted(tmp_path, key)
    test = load_shifted(key, tmp_path)
    assert test.label_map.tolist() == there
    assert test.classes == tuple(IMAGENET_NAMES[label] for label in there)
    assert test.items.counts(len(there)).tolist() == [2] * len(there)
    assert test.items.missing() == []
    for path, label in zip(test.items.paths, test.imagenet_labels, strict=True):
        folder = path.split("/")[0]
        assert label == (int(folder) if key == "imagenetv2" else WNIDS.index(folder))
    # the class list may also be ImageNet's own
    (tmp_path / SHIFTS[key].folder / "classnames.txt").unlink()
    with pytest.raises(MissingError, match=r"imagenet/classnames\.txt: file not found"):
        load_shifted(key, tmp_path)
    build_imagenet(tmp_path)
    assert load_shifted(key, tmp_path).classes == test.classes


def test_predictions_are_restricted_to_the_set_s_classes(tmp_path):
    build_shifted(tmp_path, "imagenet_a")
    test = load_shifted("imagenet_a", tmp_path)  # classes 1 and 3 of 4
    scores = np.array([[9.0, 1, 8, 0], [9.0, 0, 8, 1]])
    assert test.restrict(scores).tolist() == [[1, 0], [0, 1]]
    assert test.restrict(scores).argmax(axis=1).tolist() == [0, 1]  # comparable with items.labels
    with pytest.raises(ValueError, match=r"imagenet_a: scores of shape \(2, 3\) lack ImageNet class 3"):
        test.restrict(scores[:, :3])


def test_shifted_sets_with_mistakes(tmp_path):
    with pytest.raises(
        UnknownNameError, match="unknown shifted test set 'imagenet-r'; did you mean 'imagenet_r'"
    ):
        load_shifted("imagenet-r", tmp_path)
    build_shifted(tmp_path, "imagenetv2")
    images = tmp_path / "imagenetv2" / SHIFTS["imagenetv2"].images
    (images / "4").mkdir()
    with pytest.raises(DatasetError, match="1 folders are not classes of ImageNet: 4"):
        load_shifted("imagenetv2", tmp_path)
    (images / "4").rmdir()
    for file in (images / "2").iterdir():
        file.unlink()
    with pytest.raises(DatasetError, match=r"1 of 4 class folders hold no image .*: 2"):
        load_shifted("imagenetv2", tmp_path)
    (images / "2").rmdir()
    with pytest.raises(MissingError, match="1 of 4 class folders are missing: 2"):
        load_shifted("imagenetv2", tmp_path)


# ---------------------------------------------------------------- ESC-50


@pytest.fixture(scope="module")
def esc(tmp_path_factory):
    root = tmp_path_factory.mktemp("esc")
    build_esc50(root)
    return root


def test_esc50_is_read_from_its_table(esc, tmp_path):
    sounds = read_esc50(esc)
    assert len(sounds.clips) == 500
    assert len(sounds.classes) == 50
    assert (sounds.classes[0], sounds.classes[49]) == ("dog", "other_49")
    for path, label, fold, source in zip(
        sounds.clips.paths, sounds.clips.labels, sounds.folds, sounds.recordings, strict=True
    ):
        assert [int(fold), source, int(label)] == [
            int(path.split("-")[0]),
            path.split("-")[1],
            int(path[:-4].split("-")[3]),
        ]
    assert read_esc50(esc / "esc-50" / "ESC-50-master").clips.paths == sounds.clips.paths
    renamed = read_esc50(build_esc50(tmp_path, renamed=True))
    assert renamed.clips.paths[0] == "clip0.wav"
    assert renamed.clips.labels.tolist() == sounds.clips.labels.tolist()


def test_the_correspondence_table():
    assert [len(imagenet_esc(size)) for size in (27, 19)] == [27, 19]
    assert [pair.imagenet for pair in IMAGENET_ESC] == sorted(pair.imagenet for pair in IMAGENET_ESC)
    assert [pair.wnid for pair in IMAGENET_ESC] == sorted({pair.wnid for pair in IMAGENET_ESC})  # ranks agree
    assert len({pair.target for pair in IMAGENET_ESC}) == 27
    loose = {pair.category for pair in IMAGENET_ESC if not pair.close}
    assert loose == {"can_opening", "church_bells", "crackling_fire", "toilet_flush", "water_drops", "drinking_sipping",
                     "pouring_water", "sea_waves"}  # fmt: skip
    with pytest.raises(ValueError, match="has 19 or 27 classes, not 20"):
        imagenet_esc(20)


@pytest.mark.parametrize("size", [19, 27])
def test_joint_labels(esc, size):
    whole, pairs = read_esc50(esc), imagenet_esc(size)
    chosen = whole.select(pairs)
    assert len(chosen.clips) == 10 * size
    assert chosen.classes == tuple(pair.category for pair in pairs)
    for path, label in zip(chosen.clips.paths, chosen.clips.labels, strict=True):
        assert pairs[label].target == int(path[:-4].split("-")[3])
    with pytest.raises(DatasetError, match="classes that are not ESC-50's: "):
        Esc50(whole.clips, tuple(reversed(whole.classes)), whole.folds, whole.recordings).select(pairs)


def test_folds_follow_the_order_of_the_table(esc):
    sounds = read_esc50(esc).select(imagenet_esc(19))
    train, val, test = sounds.fold(2, 1)
    assert (len(train), len(val), len(test)) == (19, 19, 152)
    assert {path[:2] for path in (*train.paths, *val.paths)} == {"2-"}
    assert {path[0] for path in test.paths} == set("1345")
    assert all("-A-" in path for path in train.paths)  # the first take of the table
    assert all("-B-" in path for path in val.paths)
    assert train.labels.tolist() == list(range(19))
    with pytest.raises(ValueError, match="2 clips of 'rooster'; 2 shots need 4"):
        sounds.fold(2, 2)
    with pytest.raises(ValueError, match=r"fold 6: expected one of \[1, 2, 3, 4, 5\]"):
        sounds.fold(6, 1)


@given(st.data())
def test_the_first_k_clips_train_and_the_next_k_validate(data):
    labels = data.draw(st.permutations([0] * 5 + [1] * 4 + [2] * 6))
    shots = data.draw(st.integers(1, 2))
    clips = Items(Path("x"), tuple(map(str, range(15))), labels)
    train, val, test = Esc50(clips, ("a", "b", "c"), np.ones(15, dtype=int), ("",) * 15).fold(1, shots)
    for label in range(3):
        order = [str(i) for i, at in enumerate(labels) if at == label]
        assert [p for p, at in zip(train.paths, train.labels, strict=True) if at == label] == order[:shots]
        assert [p for p, at in zip(val.paths, val.labels, strict=True) if at == label] == order[
            shots : 2 * shots
        ]
    assert len(test) == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rows: [r[:3] for r in rows], "no column category, src_file"),
        (
            lambda rows: [rows[0], ["x.wav", "one", "0", "dog", "", "", ""]],
            "line 2: expected a file name, fold and target",
        ),
        (
            lambda rows: [*rows, ["x.wav", "1", "0", "cat", "", "", ""]],
            "line 502: target 0 is 'cat' here, 'dog' before",
        ),
        (lambda rows: [r for r in rows if r[2] != "7"], "targets have gaps: 7 are not used"),
        (lambda rows: rows[:1], "no clips listed"),
        (lambda rows: [*rows, rows[1]], "1 files are listed twice"),
        (lambda rows: [*rows, ["../x.wav", *rows[1][1:]]], "do not lie below this folder"),
        (lambda rows: [*rows, ["gone.wav", *rows[1][1:]]], r"1 of 501 clips are missing: gone\.wav"),
    ],
)
def test_tables_with_mistakes(esc, tmp_path, change, problem):
    folder = tmp_path / "esc-50" / "meta"
    folder.mkdir(parents=True)
    (tmp_path / "esc-50" / "audio").symlink_to(esc / "esc-50" / "ESC-50-master" / "audio")
    with (esc / "esc-50" / "ESC-50-master" / "meta" / "esc50.csv").open(newline="") as handle:
        rows = list(csv.reader(handle))
    with (folder / "esc50.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows(change(rows))
    with pytest.raises(DatasetError, match=problem):
        read_esc50(tmp_path)


HEAD = "filename,fold,target,category,esc10,src_file,take\n"


@given(
    st.binary(max_size=80)
    | st.builds(lambda t: (HEAD + t).encode("utf-8", "replace"), st.text('a,1\n"0', max_size=60))
)
def test_any_table_loads_or_says_what_is_wrong(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "fuzz-esc"
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    load_or_explain(lambda _: read_esc50(folder, require_files=False), folder / "meta" / "esc50.csv", content)


# ---------------------------------------------------------------- spoken digits


def test_spoken_digits(tmp_path):
    folder = build_digits(tmp_path)
    for place in (tmp_path, folder, tmp_path / "fsdd"):
        digits = read_digits(place)
        assert len(digits.clips) == 40
        assert digits.clips.root == folder
        assert digits.clips.paths[0] == "0_george_0.wav"
        assert Counter(digits.speakers) == {"george": 20, "theo": 20}
        assert set(digits.takes.tolist()) == {0, 7}
        assert [int(path[0]) for path in digits.clips.paths] == digits.clips.labels.tolist()
    write_wav(folder / "ten_george_0.wav", 1)
    with pytest.raises(DatasetError, match=r"1 names are not digit_speaker_take\.wav: ten_george_0\.wav"):
        read_digits(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"no \.wav files"):
        read_digits(tmp_path / "empty")


@pytest.mark.skipif(not (REAL / "fsdd").is_dir(), reason="the real recordings are not beside the repository")
def test_real_recordings():
    digits = read_digits(REAL)
    assert digits.clips.counts(10).tolist() == [300] * 10
    assert Counter(digits.speakers) == dict.fromkeys(
        ("george", "jackson", "lucas", "nicolas", "theo", "yweweler"), 500
    )
    assert (digits.takes < 5).sum() == 300  # the data set's own test part


# ---------------------------------------------------------------- the hub


def picture(seed, mode="RGB"):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (6, 5, 3), dtype=np.uint8)).convert(
        mode
    )


class Rows(list):
    """Rows with a description of their columns, as a `datasets.Dataset` has."""

    features = {"image": None, "label": SimpleNamespace(names=["cat", "dog"])}  # noqa: RUF012


def test_exports_come_back_pixel_for_pixel(tmp_path):
    parts = {
        "train": Rows({"image": picture(i, ("RGB", "L", "P")[i % 3]), "label": i % 2} for i in range(6)),
        "validation": Rows([{"image": picture(9), "label": 1}]),
        "test": Rows([{"image": picture(10), "label": 0}]),
    }
    export_images(parts, tmp_path / "pets")
    dataset = read_folder(tmp_path / "pets")
    assert dataset.counts == {"train": 6, "val": 1, "test": 1}
    assert dataset.classes == ("cat", "dog")
    with Image.open(dataset.val.files[0]) as stored:
        assert (np.asarray(stored) == np.asarray(picture(9))).all()
    for path, label in zip(dataset.train.paths, dataset.train.labels, strict=True):
        assert int(path.split("/")[1][:-4]) % 2 == label
    with pytest.raises(DatasetError, match="exists already"):
        export_images(parts, tmp_path / "pets")


@pytest.mark.parametrize(
    ("parts", "options", "problem"),
    [
        (
            {"train": Rows([{"image": picture(0), "label": 1}, {"image": picture(0), "label": 2}])},
            {},
            "row 1 of train: no image in 'image', or no class number",
        ),
        ({"train": Rows([{"image": b"x", "label": 0}])}, {}, "row 0 of train"),
        ({"train": Rows(), "dev": Rows()}, {}, "parts are train, dev; expected train and perhaps"),
        ({"test": Rows()}, {}, "parts are test; expected train"),
        (
            {"train": Rows()},
            {"classes": ["a", "../b"]},
            r"class names that make no folders of their own: \.\./b",
        ),
        ({"train": Rows()}, {"classes": ["a", "a"]}, "class names that make no folders"),
    ],
)
def test_exports_that_cannot_be_leave_nothing(tmp_path, parts, options, problem):
    with pytest.raises(DatasetError, match=problem):
        export_images(parts, tmp_path / "pets", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_label_column_without_names(tmp_path):
    with pytest.raises(
        UnknownNameError, match="unknown column with class names 'lable'; did you mean 'label'"
    ):
        export_images({"train": Rows()}, tmp_path / "pets", label="lable")


def test_without_the_package_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"needs the package datasets \(pip install datasets\)"):
        from_hub("someone/pets", tmp_path / "pets")


def test_with_the_package_the_export_is_made_once(tmp_path, monkeypatch):
    asked = []

    def load_dataset(name, revision):
        asked.append((name, revision))
        return {"train": Rows({"image": picture(i), "label": i % 2} for i in range(20))}

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    for _ in range(2):
        dataset = from_hub("someone/pets", tmp_path / "pets", revision="abc")
        assert dataset.counts == {"train": 10, "val": 4, "test": 6}
    assert asked == [("someone/pets", "abc")]
