"""MultiBench pickles: nothing in them is run, sizes are not believed, schemas are told apart, nothing leaks."""

import io
import os
import pickle
import random
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fisherkit.checks import UnknownNameError
from neural.datasets import DatasetError, MissingError
from neural.datasets.array_trees import convert, read_tree
from neural.datasets.mimic import load_mimic, mimic_data
from neural.datasets.multibench import AFFECT, affect_data, binary_labels, load_affect, standardised
from neural.datasets.restricted_pickle import load_pickle
from tests.dataset_builders import affect_arrays, build_affect, build_mimic, load_or_explain
from tests.strategies import seeds


class Payload:
    """Runs a call when it is unpickled."""

    def __init__(self, function, *arguments):
        self._call = (function, arguments)

    def __reduce__(self):
        return self._call


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return path


def same(a, b):
    """Equal content and types, arrays included."""
    if isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
        )
    if isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in b)
    if isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


# ---------------------------------------------------------------- what is read

CONTENT = {
    "f4": np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 3, 2),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "moved": np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
    "big endian": np.arange(3, dtype=">i4"),
    "bool": np.array([True, False]),
    "text": np.array(["x", "yé"]),
    "bytes": np.array([b"x", b"yy"]),
    "objects": np.array([["a", 1], [b"c", 2.5]], dtype=object),
    "empty": np.zeros((0, 5)),
    "nothing": np.array([], dtype="U3"),
    "zero-dimensional": 3,
    "list": [1, "a", (2.0, None, True), []],
    "nested": {"a": {"b": np.ones(2)}},
}


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_come_back(tmp_path, protocol):
    path = write(tmp_path / "a.pkl", pickle.dumps(CONTENT, protocol))
    assert same(load_pickle(path), CONTENT)
    scalars = {"a": np.float32(3), "b": np.int64(4), "c": OrderedDict(x=1), "d": bytearray(b"xy"), "e": b""}
    if protocol < 5:
        del scalars["d"]
    path = write(tmp_path / "b.pkl", pickle.dumps(scalars, protocol))
    held = load_pickle(path)
    assert held == {**scalars, **({"d": b"xy"} if protocol == 5 else {})}
    assert type(held["a"]) is float


def test_pickles_of_python_2_are_read(tmp_path):
    raw = np.array([1.5, -2.0]).tobytes()
    content = (
        b"\x80\x02}q\x00U\x06visioncnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x03U\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U" + bytes([len(raw)]) + raw + b"tbs."
    )
    assert same(load_pickle(write(tmp_path / "im.pk", content)), {"vision": np.array([1.5, -2.0])})


def test_shared_parts_stay_shared_and_arrays_are_read_only(tmp_path):
    for array in (np.ones(3), np.array(["a", 1], dtype=object)):
        held = load_pickle(write(tmp_path / "a.pkl", pickle.dumps([array, array], 5)))
        assert held[0] is held[1]
        with pytest.raises(ValueError, match="read-only"):
            held[0][0] = 2


def test_truth_values_are_true_or_false_whatever_the_bytes(tmp_path):
    held = load_pickle(write(tmp_path / "a.pkl", array_code([3], b"U\x03\x05\x00\xff", b"b1")))
    assert held.view(np.uint8).tolist() == [1, 0, 1]


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.builds(lambda s, n: np.random.default_rng(s).standard_normal(n), seeds, st.lists(st.integers(0, 3), max_size=3).map(tuple)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.tuples(inner),
    max_leaves=8,
), st.integers(0, 5))  # fmt: skip
def test_any_plain_content_comes_back(tmp_path_factory, content, protocol):
    if isinstance(content, np.ndarray) and content.ndim == 0:
        content = float(content)
    path = tmp_path_factory.getbasetemp() / "plain.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    held = load_pickle(path)
    flattened = pickle.loads(pickle.dumps(content, protocol))
    assert same(held, _without_zero_dimensions(flattened))


def _without_zero_dimensions(held):
    if isinstance(held, np.ndarray) and held.ndim == 0:
        return held.item()
    if isinstance(held, dict):
        return {key: _without_zero_dimensions(value) for key, value in held.items()}
    if isinstance(held, (list, tuple)):
        return type(held)(map(_without_zero_dimensions, held))
    return held


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("nested", [False, True])
def test_code_in_a_pickle_is_not_run(tmp_path, protocol, nested):
    mark = tmp_path / "ran"
    payloads = [
        Payload(os.mkdir, str(mark)),
        Payload(exec, f"open({str(mark)!r}, 'w')"),
        Payload(eval, f"open({str(mark)!r}, 'w')"),
        Payload(Path.touch, mark),
        Payload(np.save, str(mark), 0),
        Payload(np.ndarray, (2**40,)),
        Payload(getattr, "x", "y"),
        Payload(bytearray, 2**50),
    ]
    for payload in payloads:
        content = {"train": [np.array([payload, 1], dtype=object)]} if nested else payload
        path = write(tmp_path / "evil.pkl", pickle.dumps(content, protocol))
        with pytest.raises(
            DatasetError, match=r"evil\.pkl: .*(refused: it would use|is not needed|not a usable|refused)"
        ):
            load_pickle(path)
    assert not mark.exists()
    if protocol > 1:  # the payload does what it says where it is let
        pickle.loads(pickle.dumps(payloads[0], protocol))
        assert mark.exists()


def test_the_refused_name_is_said(tmp_path):
    path = write(tmp_path / "evil.pkl", Payload(os.system, "true"))
    with pytest.raises(DatasetError, match=r"it would use posix\.system, .* nothing of it was run"):
        load_pickle(path)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (b"(S'true'\nios\nsystem\n.", "opcode INST"),
        (b"\x80\x02(cos\nsystem\nS'true'\no.", "opcode OBJ"),
        (b"\x80\x02cos\nsystem\n)\x81.", "opcode NEWOBJ"),
        (b"Pid\n.", "opcode PERSID"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"it would use os\.system"),
        # the state of the stand-ins cannot be set
        (b"\x80\x02cnumpy\ndtype\n}U\x01aK\x01sb.", "a function's state is set"),
        (b"\x80\x02cnumpy\ndtype\nN}U\x0c__setstate__K\x01s\x86b.", "a function's state is set"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "numpy.ndarray is called"),
        (b"\x80\x02cnumpy\nndarray\n.", "holds a bare Named"),
        (b"\x80\x02cnumpy\ndtype\nU\x02f4\x85R.", "holds a bare DType"),
        (b"\x80\x02cnumpy\ndtype\nU\x05f4,f4\x85R.", "is not a plain number, text or object type"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xU\x06base64\x86R.", "encoding 'base64'"),
        (b"\x80\x02]q\x00h\x00a.", "contains itself"),
        (b"\x80\x02}q\x00U\x01ah\x00s.", "contains itself"),
        (b"\x80\x02}K\x01\x85K\x02s.", "a dictionary has a key of type tuple"),
        (b"\x80\x04" + b"\x85" * 200 + b".", "not a usable pickle"),
        (b"\x80\x04N" + b"\x85" * 200 + b".", "nested deeper than 50 levels"),
        (b"", "not a usable pickle"),
        (b"<html>", "not a usable pickle"),
    ],
)
def test_opcodes_and_structures_that_arrays_do_not_need(tmp_path, code, problem):
    path = write(tmp_path / "x.pkl", code)
    with pytest.raises(DatasetError, match=problem) as caught:
        load_pickle(path)
    assert str(path) in str(caught.value)


def array_code(shape, raw, dtype=b"f8", itemorder=b"<"):
    """A protocol-2 pickle of an array with any shape, dtype and bytes."""
    dims = b"".join(b"\x8a\x09" + n.to_bytes(9, "little", signed=True) for n in shape)
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01("
        + dims
        + b"tcnumpy\n"
        b"dtype\nU"
        + bytes([len(dtype)])
        + dtype
        + b"K\x00K\x01\x87R(K\x03U\x01"
        + itemorder
        + b"NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89" + raw + b"tb."
    )


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (array_code([2**39], b"U\x08" + bytes(8)), "needs 4,398,046,511,104 bytes, got 8"),
        (array_code([2**39, 2**39, 2**39], b"U\x00"), "bytes, got 0"),
        (array_code([2**62], b"U\x00"), "refused"),
        (array_code([-1], b"U\x00"), "refused"),
        (array_code([10**6], b"]", b"O"), "an array of 1,000,000 objects does not hold as many"),
        (array_code([1], b"U\x08" + bytes(8), b"O"), "does not hold as many"),  # raw bytes as pointers
        (array_code([1], b"](cnumpy\ndtype\ne", b"O"), "an array of objects holds a _Named"),
        (array_code([1], b"U\x04\xff\xff\xff\xff", b"U1"), "an array of text holds what is not text"),
        (array_code([1], b"U\x08" + bytes(8), b"V8"), "is not a plain number"),
        (array_code([1], b"U\x08" + bytes(8), b"S99999999"), "is not a plain number"),
        (
            b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
            "4,611,686,018,427,387,904 bytes are announced, but 2 are",
        ),
        (b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.", "bytes are announced"),
        (b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.", "not a usable pickle"),
        (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.", "bytes are announced"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", r"memo slot 2147483647 at byte 3 after 2 opcodes"),
        (b"Np99999999999\n.", "memo slot 99999999999"),
        (b"Np-5\n.", "memo slot -5"),
    ],
)
def test_huge_sizes_are_not_believed(tmp_path, code, problem):
    path = write(tmp_path / "huge.pkl", code)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=problem):
            load_pickle(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_larger_file_than_allowed_is_not_read(tmp_path):
    path = write(tmp_path / "a.pkl", np.zeros(1000))
    with pytest.raises(DatasetError, match="more than the 1,000 allowed; pass max_bytes"):
        load_pickle(path, max_bytes=1000)
    with pytest.raises(MissingError, match="file not found"):
        load_pickle(tmp_path / "nothing.pkl")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_pickle(tmp_path)


def test_references_of_references_are_not_unfolded(tmp_path):
    bomb = [np.ones(2)]
    for _ in range(40):  # unfolded, 2**40 arrays
        bomb = [bomb, bomb]
    held = load_pickle(write(tmp_path / "bomb.pkl", bomb))
    assert held[0] is held[1]


GOOD = pickle.dumps({"train": {"vision": np.ones((2, 3)), "id": np.array(["a", "b"], dtype=object)}}, 4)


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.builds(
    lambda at, byte, cut: (GOOD[: at % len(GOOD)] + bytes([byte]) + GOOD[at % len(GOOD) + 1 :])[: len(GOOD) - cut],
    st.integers(0, len(GOOD) - 1), st.integers(0, 255), st.integers(0, 3),
))  # fmt: skip
def test_any_bytes_are_plain_data_or_refused(tmp_path_factory, content):
    load_or_explain(load_pickle, tmp_path_factory.getbasetemp() / "fuzz.pkl", content)


# ---------------------------------------------------------------- npz


def test_conversion_keeps_everything(tmp_path):
    tree = {**build_affect(tmp_path, "mosi"), "file": np.arange(3)}
    source = write(tmp_path / "x.pkl", tree)
    target = convert(source)
    assert target == tmp_path / "x.npz"
    read = read_tree(target)
    for part in ("train", "valid", "test"):
        for name, array in tree[part].items():
            got = read[part][name]
            assert got.tolist() == array.tolist() if array.dtype == object else same(got, array)
    assert same(read["file"], np.arange(3))
    assert not list(tmp_path.glob(".*part"))
    with np.load(target, allow_pickle=False) as plain:  # an ordinary npz file
        assert plain["train/labels"].shape == tree["train"]["labels"].shape


def test_what_has_no_place_in_an_npz_is_said(tmp_path):
    with pytest.raises(DatasetError, match=r"a/b: cannot be kept in an npz file \(it holds NoneType\)"):
        convert(write(tmp_path / "a.pkl", {"a": {"b": np.array([None])}}))
    long = np.array(["x" * 100_000, *["y"] * 1000], dtype=object)  # as fixed width: 400 MB
    with pytest.raises(DatasetError, match="id: text too long"):
        convert(write(tmp_path / "a.pkl", {"id": long}))
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        convert(tmp_path / "a.pkl", tmp_path / "a.h5")
    assert [p.name for p in tmp_path.iterdir()] == ["a.pkl"]


def npz(path, **members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array, shape=None):
    """An .npy file whose header announces another shape than it holds."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        out, {"descr": array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
    )
    return out.getvalue() + array.tobytes()


def test_damaged_npz_files_are_refused(tmp_path):
    assert same(read_tree(npz(tmp_path / "a.npz", a=npy(np.arange(3)))), {"a": np.arange(3)})
    for content, problem in (
        (npy(np.arange(3), (2**40,)), "does not fit its"),
        (npy(np.array([None], dtype=object)[:0].astype("O")), "only unpickling could read"),
        (b"no header", "not a usable npz file"),
    ):
        with pytest.raises(DatasetError, match=problem):
            read_tree(npz(tmp_path / "a.npz", a=content))
    with pytest.raises(DatasetError, match="unpacks to"):
        read_tree(npz(tmp_path / "a.npz", a=npy(np.zeros(1000))), max_bytes=1000)
    with pytest.raises(DatasetError, match="not a usable npz file"):
        read_tree(write(tmp_path / "a.npz", b"PK\x03\x04 but no more"))
    with pytest.raises(MissingError, match="file not found"):
        read_tree(tmp_path / "nothing.npz")


# ---------------------------------------------------------------- affect data


@pytest.mark.parametrize("key", list(AFFECT))
def test_clips_start_at_their_first_word(tmp_path, key):
    tree = build_affect(tmp_path, key)
    data = load_affect(key, tmp_path)
    assert {part: len(clips) for part, clips in data.parts.items()} == {"train": 6, "valid": 4, "test": 3}
    assert data.about["dropped"] == {"train": 1, "valid": 0, "test": 0}
    assert data.about["not_finite"]["train"] == 1
    for part, clips in data.parts.items():
        kept = [i for i in range(len(tree[part]["text"])) if tree[part]["text"][i].any()]
        for row, i in enumerate(kept):
            start = next(t for t in range(50) if tree[part]["text"][i, t].any())
            assert clips.lengths[row] == 50 - start
            assert clips.mask[row].sum() == 50 - start
            for modality, array in clips.arrays.items():
                wanted = np.nan_to_num(tree[part][modality][i, start:], neginf=0.0)
                assert (array[row, : 50 - start] == wanted).all()
                assert not array[row, 50 - start :].any()
            assert clips.ids[row] == tree[part]["id"][i]
            assert clips.labels[row] == tree[part]["labels"][i].flat[0]


def test_the_npz_conversion_is_preferred_and_the_same(tmp_path):
    build_affect(tmp_path, "mosi")
    before = load_affect("mosi", tmp_path)
    convert(tmp_path / "multibench" / "mosi_data.pkl")
    after = load_affect("mosi", tmp_path)
    assert after.about["file"] == "mosi_data.npz"
    for part, clips in before.parts.items():
        assert same(dict(after.parts[part].arrays), dict(clips.arrays))
        assert after.parts[part].ids == clips.ids


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t: t.pop("valid"), "no part valid; it holds 'test', 'train'"),
        (lambda t: t["train"].pop("text"), "train: no text; it holds 'audio', 'id', 'labels', 'vision'"),
        (lambda t: [t[p].update(facet=t[p].pop("vision")) for p in t], "schema of the CMU SDK"),
        (
            lambda t: [t[p].update(acoustic=t[p].pop("audio")) for p in t],
            "word-level multimodal transformers",
        ),
        (lambda t: [t.update(ep_tdata=0, y_icd9=0), t.pop("train")], "this is MIMIC"),
        (
            lambda t: t["test"].update(vision=np.zeros((3, 50, 35))),
            r"vision has 35 features, expected 20 .*mosi_raw\.pkl",
        ),
        (lambda t: t["test"].update(vision=np.zeros((3, 50))), r"vision must be \(clips, steps, features\)"),
        (lambda t: t["test"].update(audio=np.zeros((3, 49, 5))), "clips and steps do not match"),
        (lambda t: t["test"].update(labels=np.zeros(4)), "clips and steps do not match"),
        (lambda t: t["test"].update(labels=np.full(3, np.nan)), "labels must be finite"),
        (lambda t: t["test"].update(id=np.arange(4)), "3 clips need as many ids"),
    ],
)
def test_other_schemas_are_named(change, problem):
    tree = affect_arrays("mosi", np.random.default_rng(0))
    change(tree)
    with pytest.raises(DatasetError, match=problem):
        affect_data(tree, Path("mosi_data.pkl"), name="mosi", dims=AFFECT["mosi"].dims)


def test_absent_files(tmp_path):
    with pytest.raises(MissingError, match=r"multibench/humor\.pkl: file not found \(also looked for"):
        load_affect("ur_funny", tmp_path)
    with pytest.raises(UnknownNameError, match="unknown affect data set 'humor'"):
        load_affect("humor", tmp_path)


@pytest.mark.parametrize(
    ("rule", "classes", "counted"),
    [
        ("nonnegative", [0, 0, 1, 1, 1, 1], [1] * 6),
        ("positive", [0, 0, 0, 1, 1, 1], [1] * 6),
        ("nonzero", [0, 0, 0, 1, 1, 1], [1, 1, 0, 1, 1, 1]),
        ("one", [0, 0, 0, 0, 1, 1], [1] * 6),
    ],
)
def test_label_rules(rule, classes, counted):
    got, used = binary_labels([-3, -0.1, 0, 0.2, 1, 3], rule)
    assert got.tolist() == classes
    assert used.tolist() == [bool(c) for c in counted]
    with pytest.raises(UnknownNameError, match="unknown label rule 'sign'"):
        binary_labels([0.0], "sign")


def test_scaling_uses_the_training_part_alone(tmp_path):
    tree = build_affect(tmp_path, "mosi")
    for part in tree:
        tree[part]["vision"][..., 3] = np.where(tree[part]["text"].any(axis=2), 5.0, 0.0)  # constant
    data = affect_data(tree, Path("x"), name="mosi")
    scaled = standardised(data, "vision")
    train = scaled.parts["train"]
    frames = train.arrays["vision"][train.mask]
    varying = np.arange(20) != 3
    assert np.allclose(frames.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(frames.std(axis=0)[varying], 1, atol=1e-4)
    assert not frames[:, 3].any()
    assert not train.arrays["vision"][~train.mask].any()
    assert scaled.parts["train"].arrays["text"] is data.parts["train"].arrays["text"]
    for part in ("valid", "test"):
        tree[part]["vision"] = tree[part]["vision"] * 100
    moved = standardised(affect_data(tree, Path("x"), name="mosi"), "vision")
    assert same(moved.parts["train"].arrays["vision"], train.arrays["vision"])
    assert scaled.about["standardised"] == ["vision"]
    with pytest.raises(UnknownNameError, match="unknown modality 'image'"):
        standardised(data, "image")


# ---------------------------------------------------------------- MIMIC


def test_mimic_is_split_as_multibench_does(tmp_path):
    tree = build_mimic(tmp_path)
    data = load_mimic(tmp_path)
    order = list(range(30))
    random.Random(10).shuffle(order)
    rows = {"valid": order[:3], "test": order[3:6], "train": order[6:]}
    for part, at in rows.items():
        assert data.parts[part].labels.tolist() == tree["y_icd9"][at, 7].tolist()
        assert data.parts[part].series.shape == (len(at), 24, 12)
    series = np.nan_to_num(tree["ep_tdata"])
    mean, std = series[rows["train"]].mean(axis=(0, 1)), series[rows["train"]].std(axis=(0, 1))
    assert np.allclose(data.parts["test"].series, (series[rows["test"]] - mean) / std, atol=1e-5)
    static = tree["adm_features_all"]
    wanted = (static[rows["valid"]] - static[rows["train"]].mean(axis=0)) / static[rows["train"]].std(axis=0)
    assert np.allclose(data.parts["valid"].static, wanted, atol=1e-5)


def test_mortality_has_six_classes_by_the_first_flag():
    tree = {
        "ep_tdata": np.zeros((10, 24, 12)), "adm_features_all": np.zeros((10, 5)), "y_icd9": np.zeros((10, 20)),
        "adm_labels_all": np.zeros((10, 6)),
    }  # fmt: skip
    for row in range(6):
        tree["adm_labels_all"][row, [5, row]] = 1  # column 0 is no class
    data = mimic_data(tree, Path("im.pk"), task=-1)
    order = list(range(10))
    random.Random(10).shuffle(order)
    labels = np.concatenate([data.parts[part].labels for part in ("valid", "test", "train")])
    assert labels[np.argsort(order)].tolist() == [5, 1, 2, 3, 4, 5, 0, 0, 0, 0]
    assert not data.parts["train"].series.any()  # constant features become 0
    assert data.n_classes == 6


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"y_icd9": None}, "no array y_icd9; it holds 'ep_tdata'"),
        ({"y_icd9": np.zeros((9, 20))}, "arrays do not fit"),
        ({"ep_tdata": np.zeros((30, 24))}, "arrays do not fit"),
        ({"adm_labels_all": np.zeros((30, 5))}, "arrays do not fit"),
    ],
)
def test_mimic_with_mistakes(tmp_path, change, problem):
    tree = {**build_mimic(tmp_path), **change}
    with pytest.raises(DatasetError, match=problem):
        mimic_data(tree, Path("im.pk"))


def test_mimic_tasks(tmp_path):
    build_mimic(tmp_path)
    with pytest.raises(ValueError, match=r"task 20: expected -1 \(mortality\) or 0 to 19"):
        load_mimic(tmp_path, task=20)
