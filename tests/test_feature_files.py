"""Cached embeddings from files: what is stored comes back, and what is wrong is named with its file."""

import json
import pickle
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from neural.tasks.files import from_files, stratified_split

NAMES = ["cat", "dog", "owl"]


def rows(n_classes=3, per_class=4, dim=5, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(n_classes), per_class))
    return {"features": rng.standard_normal((len(labels), dim)).astype(np.float32), "labels": labels}


def split_rows(**parts):
    return {f"{part}_{key}": value for part, content in parts.items() for key, value in content.items()}


def tensors(content):
    return {
        key: tensors(value)
        if isinstance(value, dict)
        else torch.from_numpy(value)
        if isinstance(value, np.ndarray)
        else value
        for key, value in content.items()
    }


def save(path, content, classes=None):
    """Write one of the formats; class names go where each format keeps them."""
    if path.suffix == ".npz":
        np.savez(path, **content, **({} if classes is None else {"classes": np.array(classes)}))
    elif path.suffix == ".safetensors":
        note = None if classes is None else {"classes": json.dumps(classes)}
        save_file({key: np.ascontiguousarray(value) for key, value in content.items()}, path, metadata=note)
    else:
        names = {} if classes is None else {"lab2cname": dict(enumerate(classes))}
        torch.save({**tensors(content), **names}, path)
    return path


@pytest.fixture
def text(tmp_path):
    return {"text": save(tmp_path / "text.npz", rows(dim=2, seed=9))}


def refused(tmp_path, text, content, *, suffix=".npz", **options):
    """The message with which a target file is refused, without the folder's name."""
    path = save(tmp_path / f"image{suffix}", content)
    with pytest.raises((ValueError, TypeError)) as caught:
        from_files(path, text, **options)
    assert not isinstance(caught.value, KeyError)
    return str(caught.value).replace(f"{tmp_path}/", "")


@st.composite
def labelled(draw, dim, n_classes):
    extra = draw(st.lists(st.integers(0, n_classes - 1), max_size=4))
    labels = np.array([*range(n_classes), *extra])
    values = st.floats(-1e6, 1e6, width=32)
    features = draw(hnp.arrays(np.float32, (len(labels), dim), elements=values))
    order = np.array(draw(st.permutations(range(len(labels)))))
    return {"features": features, "labels": labels[order].astype(draw(st.sampled_from(["i8", "i4", "u1"])))}


def assert_same(got, stored):
    np.testing.assert_array_equal(got.features, stored["features"])
    np.testing.assert_array_equal(got.labels, stored["labels"])


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth", ".pt"])
@given(data=st.data(), dim=st.integers(1, 4), n_classes=st.integers(2, 4), named=st.booleans())
@settings(max_examples=25, deadline=None)
def test_what_is_stored_comes_back(suffix, data, dim, n_classes, named):
    parts = {part: data.draw(labelled(dim, n_classes), part) for part in ("train", "val", "test")}
    auxiliary = data.draw(labelled(3, n_classes), "text")
    classes = [f"name {c}" for c in range(n_classes)] if named else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = {"text": save(folder / f"text{suffix}", auxiliary, classes)}
        if suffix in (".npz", ".safetensors"):
            target = save(folder / f"image{suffix}", split_rows(**parts), classes)
            task = from_files(target, text)
        else:
            shots = {part: {**parts[part], "paths": ["a.jpg"]} for part in ("train", "val")}
            target = save(folder / f"shot_1-seed_1{suffix}", shots, classes)
            task = from_files(target, text, test=save(folder / f"test{suffix}", parts["test"]))
    assert_same(task.train, parts["train"])
    assert_same(task.val, parts["val"])
    assert_same(task.tests["test"], parts["test"])
    assert_same(task.auxiliaries["text"], auxiliary)
    assert list(task.classes) == (classes or [f"class {c}" for c in range(n_classes)])
    assert task.about["split"] == "in the file"
    assert not task.aligned


@given(
    counts=st.lists(st.integers(3, 30), min_size=1, max_size=5),
    seed=st.integers(0, 2**31),
    order=st.randoms(),
)
@settings(max_examples=60, deadline=None)
def test_a_random_split_puts_every_row_once_and_every_class_everywhere(counts, seed, order):
    labels = np.repeat(np.arange(len(counts)), counts)
    order.shuffle(labels)
    parts = stratified_split(labels, seed, "rows")
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
    for c, n in enumerate(counts):
        inside = {part: int((labels[chosen] == c).sum()) for part, chosen in parts.items()}
        assert min(inside.values()) >= 1
        assert abs(inside["val"] - 0.2 * n) <= 0.5 or inside["val"] == 1
        assert inside["test"] == inside["val"]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_files_without_a_split_are_split_by_the_seed(tmp_path, text, suffix):
    stored = rows(per_class=10)
    path = save(tmp_path / f"image{suffix}", stored)
    task, again, other = (from_files(path, text, seed=s) for s in (0, 0, 1))
    assert task.about["split"] == "60/20/20 per class, seed 0"
    assert [len(task.train), len(task.val), len(task.tests["test"])] == [18, 6, 6]
    np.testing.assert_array_equal(task.train.features, again.train.features)
    assert not np.array_equal(task.train.features, other.train.features)
    pools = np.concatenate([task.train.features, task.val.features, task.tests["test"].features])
    np.testing.assert_array_equal(np.sort(pools, axis=0), np.sort(stored["features"], axis=0))


@pytest.mark.parametrize("as_numbers", [True, False])
def test_a_stored_split_is_kept(tmp_path, text, as_numbers):
    stored = rows(per_class=3)
    split = np.empty(9, dtype=int)
    for c in range(3):
        split[stored["labels"] == c] = [0, 1, 2]
    kept = split if as_numbers else np.array(["train", "val", "test"])[split]
    task = from_files(save(tmp_path / "image.npz", stored | {"split": kept}), text)
    for number, pool in enumerate((task.train, task.val, task.tests["test"])):
        np.testing.assert_array_equal(pool.features, stored["features"][split == number])


def test_further_test_sets_come_from_the_file_and_from_others(tmp_path, text):
    parts = split_rows(train=rows(), val=rows(seed=1), sketch=rows(seed=2), test=rows(seed=3))
    path = save(tmp_path / "image.npz", parts)
    blurred = save(tmp_path / "blurred.pth", rows(seed=4))
    task = from_files(path, text, test={"blurred": blurred}, target_name="photo", aligned=False)
    assert list(task.tests) == ["test", "sketch", "blurred"]
    assert task.target == "photo"
    assert_same(task.tests["blurred"], rows(seed=4))
    assert set(task.about["files"]) == {"photo", "text"}
    assert len(task.about["test files"]["blurred"]["sha256"]) == 64


def test_draws_do_not_depend_on_where_the_files_lie(tmp_path, text):
    content = split_rows(train=rows(per_class=20), val=rows(), test=rows())
    one, two = (save(tmp_path / name, content) for name in ("a.npz", "b.safetensors"))
    shots = [from_files(path, text).few_shot(2, seed=0).train.features for path in (one, two)]
    np.testing.assert_array_equal(*shots)


def test_half_precision_tensors_and_auxiliaries_with_other_keys(tmp_path):
    half = tensors(rows())
    half["features"] = half["features"].bfloat16()
    torch.save(half, tmp_path / "image.pth")
    note = {"eot_indices": torch.zeros(12), "prompts": {0: ["a cat"]}, "cname2lab": {"cat": 0}}
    torch.save({**tensors(rows(dim=2)), **note}, tmp_path / "text.pth")
    np.savez(tmp_path / "sound.npz", **rows(dim=3), paths=np.array(["a", None], dtype=object))
    task = from_files(
        tmp_path / "image.pth", {"text": tmp_path / "text.pth", "sound": str(tmp_path / "sound.npz")}
    )
    assert task.dims == {"image": 5, "text": 2, "sound": 3}


def test_aligned_only_where_the_caller_says_so(tmp_path, text):
    path = save(tmp_path / "image.npz", rows())
    same = {"text": save(tmp_path / "same.npz", rows(seed=1))}
    assert not from_files(path, same).aligned
    assert from_files(path, same, aligned=True).aligned
    with pytest.raises(ValueError, match=r"text: 2 features, but image \(train\) has 5"):
        from_files(path, text, aligned=True)


def test_class_names_may_be_in_one_of_the_files(tmp_path):
    path = save(tmp_path / "image.npz", rows())
    named = {"text": save(tmp_path / "text.safetensors", rows(), NAMES)}
    assert from_files(path, named).classes == tuple(NAMES)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (
            ["cat", "fox", "emu"],
            r"2 of 3 class names differ .*: class 1 is 'fox', there 'dog'; class 2 is 'emu'",
        ),
        (["dog", "cat", "owl"], r"\(the same names in another order\): class 0 is 'dog', there 'cat'"),
        (["cat", "dog"], r"names 2 classes, but .*image\.npz names 3"),
    ],
)
def test_class_names_that_differ_are_refused(tmp_path, other, says):
    path = save(tmp_path / "image.npz", rows(), NAMES)
    with pytest.raises(ValueError, match=says):
        from_files(path, {"text": save(tmp_path / "text.pth", rows(), other)})


def test_missing_files_are_named_with_those_that_come_close(tmp_path, text):
    save(tmp_path / "images.npz", rows())
    with pytest.raises(FileNotFoundError, match=r"image\.npz: no such file; did you mean 'images\.npz'"):
        from_files(tmp_path / "image.npz", text)
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        from_files(tmp_path / "nowhere" / "image.npz", text)
    with pytest.raises(FileNotFoundError, match=r"zzz\.pth: no such file$"):
        from_files(tmp_path / "images.npz", {"text": tmp_path / "zzz.pth"})


def test_unknown_extensions_are_named(tmp_path, text):
    with pytest.raises(
        ValueError, match=r"a\.csv: unknown extension '\.csv'; readable are \.npz, \.safetensors, \.pth"
    ):
        from_files(tmp_path / "a.csv", text)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"x": np.ones(3)}, "image.npz: neither 'train_features' nor 'features' is there"),
        ({"x": np.ones(3)}, "keys found: 'x'"),
        ({"features": np.ones((3, 2))}, "image.npz: no 'labels'; keys found: 'features'"),
        (split_rows(train=rows()), "no 'val_features'; keys found: 'train_features', 'train_labels'"),
        (split_rows(train=rows(), val=rows()), "there is no test set in this file; pass test="),
        (
            split_rows(train=rows(), val=rows(), test=rows()) | rows(),
            "has both 'features' and 'train_features'",
        ),
        (
            split_rows(train=rows(), val=rows(), test=rows()) | {"odd_features": np.ones((3, 5))},
            "image.npz: no 'odd_labels'",
        ),
        (rows() | {"split": np.zeros(3, int)}, "'split' has shape (3,), but there are 12 rows"),
        (
            rows() | {"split": np.array(["train", "dev"] * 6)},
            "'split' holds 'dev'; allowed are 'train', 'val', 'test'",
        ),
        (rows() | {"split": np.arange(12)}, "'split' holds 10; allowed are"),
        (rows() | {"split": np.array([0, 1] * 6)}, "'split' marks no row as test"),
        (rows(per_class=2), "image.npz: class 0 has 2 row(s), and a split into train, val and test needs 3"),
    ],
)
def test_layouts_that_do_not_fit_are_named(tmp_path, text, content, says):
    assert says in refused(tmp_path, text, content)


def spoilt(**changes):
    content = split_rows(train=rows(), val=rows(seed=1), test=rows(seed=2))
    return {key: changes.get(key, value) for key, value in content.items()}


def with_value(value, at=(3, 2)):
    features = rows()["features"].copy()
    features[at] = value
    return features


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"val_features": with_value(np.nan)},
            ": val: features: NaN at index (3, 2) (1 non-finite of 60 entries)",
        ),
        ({"test_features": with_value(np.inf)}, ": test: features: infinite value at index (3, 2)"),
        (
            {"train_features": np.ones((11, 5))},
            ": train: 11 rows of features need as many labels, got shape (12,)",
        ),
        ({"train_features": np.ones((12, 5, 2))}, ": train: features: expected 2 dimensions, got 3"),
        ({"train_features": np.ones((0, 5)), "train_labels": np.zeros(0, int)}, ": train: no features"),
        ({"val_features": np.ones((12, 4))}, "image (validation): 4 features, but image (train) has 5"),
        ({"test_features": np.ones((12, 4))}, "image (test): 4 features, but image (train) has 5"),
        ({"train_labels": np.arange(12) - 1}, ": train: label -1 at row 0; labels start at 0"),
        ({"train_labels": np.arange(12) % 3 * 2}, ": train: labels go up to 4, but no row has label 1"),
        (
            {"train_labels": np.arange(12) % 3 + 10**12},
            "labels go up to 1000000000002, but no row has label 0",
        ),
        (
            {"test_labels": np.arange(12)},
            "image (test): label 11 at row 11, but there are 3 classes (0 to 2)",
        ),
        (
            {"train_labels": rows()["labels"].astype(float)},
            ": train: labels are stored as float64; store class numbers",
        ),
        ({"val_labels": rows()["labels"] > 1}, ": val: labels must be whole numbers, got dtype bool"),
    ],
)
def test_rows_that_cannot_be_used_are_named(tmp_path, text, suffix, changes, says):
    assert says in refused(tmp_path, text, spoilt(**changes), suffix=suffix)


def test_labels_of_an_auxiliary_must_be_among_the_classes(tmp_path):
    path = save(tmp_path / "image.npz", rows())
    for n_classes, says in [
        (4, "text: label 3 at row"),
        (2, r"text: 1 of 3 classes have no sample \('class 2'\)"),
    ]:
        with pytest.raises(ValueError, match=says):
            from_files(path, {"text": save(tmp_path / "text.npz", rows(n_classes))})


def test_names_of_modalities_and_test_sets_are_used_once(tmp_path, text):
    path = save(tmp_path / "image.npz", spoilt())
    with pytest.raises(ValueError, match="'text' is the target and cannot be its own auxiliary"):
        from_files(path, text, target_name="text")
    with pytest.raises(ValueError, match=r"already has rows called 'test'; pass test=\{'another name'"):
        from_files(path, text, test=save(tmp_path / "test.npz", rows()))


def test_shot_files_need_validation_and_test_rows(tmp_path, text):
    assert "'train' is a dictionary but 'val' is not there; keys found: 'train'" in refused(
        tmp_path, text, {"train": rows()}, suffix=".pth"
    )
    shots = {"train": rows(), "val": rows()}
    assert "there is no test set in this file; pass test=" in refused(tmp_path, text, shots, suffix=".pth")
    del shots["val"]["labels"]
    assert "no 'labels' in 'val'; keys found: 'features'" in refused(tmp_path, text, shots, suffix=".pth")


def test_class_names_in_a_form_that_does_not_fit(tmp_path, text):
    np.savez(tmp_path / "image.npz", **rows(), classes=np.arange(3))
    with pytest.raises(ValueError, match="'classes' must be a list of strings"):
        from_files(tmp_path / "image.npz", text)
    torch.save(tensors(rows()) | {"lab2cname": {0: "cat", 2: "dog", 3: "owl"}}, tmp_path / "image.pth")
    with pytest.raises(ValueError, match=r"'lab2cname' must have the keys 0 to 2.*got \[0, 2, 3\]"):
        from_files(tmp_path / "image.pth", text)
    save_file(rows(), tmp_path / "image.safetensors", metadata={"classes": "cat, dog"})
    with pytest.raises(ValueError, match="'classes' in the metadata is not JSON"):
        from_files(tmp_path / "image.safetensors", text)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_files_cut_short_anywhere_are_called_damaged(tmp_path, text, suffix):
    path = save(tmp_path / f"image{suffix}", rows())
    whole = path.read_bytes()
    for length in {0, 1, 7, 8, 9, *np.linspace(10, len(whole) - 1, 40, dtype=int).tolist()}:
        path.write_bytes(whole[:length])
        with pytest.raises(
            ValueError, match=rf"image\{suffix}: cannot be read \(.+\); the file is damaged or cut short"
        ):
            from_files(path, text)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth", ".pt"])
@given(content=st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_files_of_arbitrary_bytes_are_called_damaged(suffix, content):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / f"image{suffix}"
        path.write_bytes(content)
        with pytest.raises(
            (ValueError, TypeError), match=rf"image\{suffix}: (cannot be read|expected a dict|holds objects)"
        ):
            from_files(path, {})


def test_an_npz_whose_content_was_changed_is_called_damaged(tmp_path, text):
    path = save(tmp_path / "image.npz", rows())
    content = bytearray(path.read_bytes())
    content[content.index(b"NUMPY") + 200] ^= 255  # inside the numbers of the first array
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be read \(Bad CRC-32 .*damaged"):
        from_files(path, text)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("features.npy", b"\x93NUMPY\x01\x00nonsense")
    with pytest.raises(ValueError, match=r"cannot be read .*damaged"):
        from_files(path, text)


class Payload:
    """Unpickling it creates a file: stands for any code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_the_payload_would_work(tmp_path):
    pickle.loads(pickle.dumps(Payload(str(tmp_path / "trace"))))
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("kind", ["pth", "pt", "legacy pth", "npz", "pickle called npz"])
def test_pickled_objects_are_refused_and_not_executed(tmp_path, text, kind):
    trace = tmp_path / "trace"
    content = {**tensors(rows()), "labels": Payload(str(trace))}
    path = tmp_path / f"image.{kind.split()[-1]}"
    if kind == "npz":
        np.savez(path, features=np.ones((3, 2)), labels=np.array([Payload(str(trace))], dtype=object))
    elif kind == "pickle called npz":
        path.write_bytes(pickle.dumps(Payload(str(trace))))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=not kind.startswith("legacy"))
    says = (
        "cannot be read"
        if kind == "pickle called npz"
        else "only unpickling could read, and a pickle can run any code"
    )
    with pytest.raises(ValueError, match=says):
        from_files(path, text)
    assert not trace.exists()


def test_a_pth_file_must_hold_a_dictionary(tmp_path, text):
    torch.save(torch.ones(3), tmp_path / "image.pth")
    with pytest.raises(TypeError, match=r"image\.pth: expected a dictionary, got Tensor"):
        from_files(tmp_path / "image.pth", text)
