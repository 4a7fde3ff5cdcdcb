"""Tasks of sequences: glyphs without a download, MultiBench's files, token-level features, disjoint halves."""

import unicodedata

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fisherkit.checks import UnknownNameError
from neural.datasets.multibench import load_affect
from neural.sequences.clips import multibench_sequences
from neural.sequences.data import SequenceSet
from neural.sequences.files import read_sequences, sequences_from_files, write_sequences
from neural.sequences.glyphs import (
    GlyphSequenceSettings,
    character_group,
    character_mark,
    glyph_sequences,
    name_tokens,
    patches,
)
from neural.sequences.task import SequenceTask, disjoint_halves
from tests.dataset_builders import build_affect, build_mimic

SMALL = GlyphSequenceSettings(characters=150, per_character=2, other_names=30)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def glyphs(cache):
    return glyph_sequences(SMALL, seed=0, cache=cache)


# ---------------------------------------------------------------- glyphs


def test_glyphs_of_validation_and_test_are_new_characters_whose_names_are_not_read(glyphs):
    seen = {part: set(data.groups) for part, data in glyphs.parts.items()}
    assert not seen["train"] & seen["val"]
    assert not seen["train"] & seen["test"]
    assert not seen["val"] & seen["test"]
    names = set(glyphs.auxiliaries["text"].groups)
    assert not names & (seen["val"] | seen["test"])
    assert len(names) == len(glyphs.auxiliaries["text"])
    short = {name for name in seen["train"] if len(name) <= SMALL.longest}
    assert short < names, "counterparts of the training pictures are there"
    assert len(names - short) == SMALL.other_names
    assert not names & set(glyphs.unrelated["text"].groups)


def test_glyph_labels_are_those_of_the_names(glyphs):
    for data in glyphs.parts.values():
        for label, name in zip(data.labels, data.groups, strict=True):
            assert character_group(unicodedata.lookup(name.upper())) == glyphs.classes[label]
        assert set(data.labels) == set(range(len(glyphs.classes))), "every class is in every part"
    steps = glyphs.train.values.reshape(-1, 64)
    assert steps.mean(axis=0) == pytest.approx(np.zeros(64), abs=1e-4)
    assert glyphs.train.values.shape[1:] == (16, 64)


def test_glyphs_repeat_by_seed(glyphs, cache):
    assert glyph_sequences(SMALL, seed=0, cache=cache).fingerprint == glyphs.fingerprint
    other = glyph_sequences(SMALL, seed=1, cache=cache)
    assert other.fingerprint != glyphs.fingerprint
    assert set(other.train.groups) != set(glyphs.train.groups)


def test_marks_and_groups_of_known_characters():
    marks = {
        "é": "acute",
        "ñ": "tilde",
        "ạ": "dot below",
        "ø": "stroke",
        "x": "none",
        "ἀ": "psili",
        "→": None,
    }
    assert {c: character_mark(c) for c in marks} == marks
    groups = {
        "Ω": "greek capital",
        "ж": "cyrillic small",
        "═": "box drawing",
        "∑": "mathematical sign",
        "ա": "armenian small",
    }
    assert {c: character_group(c) for c in groups} == groups


def test_patches_are_cut_row_by_row():
    picture = np.arange(32 * 32, dtype=np.int64).reshape(1, 32, 32) % 251
    cut = patches(picture.astype(np.uint8), 8)
    for step in range(16):
        y, x = divmod(step, 4)
        piece = picture[0, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8]
        np.testing.assert_allclose(cut[0, step], piece.ravel() / 255, rtol=1e-6)


def test_names_are_letters_between_two_ends():
    data = name_tokens(["ab", "a-b c"])
    assert data.lengths.tolist() == [4, 7]
    assert data.values[0, 0] == data.values[0, 3] == 0
    assert data.values[0, 1] == data.values[1, 1]
    with pytest.raises(ValueError, match="'é' is not a letter of a name"):
        name_tokens(["é"])
    with pytest.raises(ValueError, match="is not a letter"):
        name_tokens(["a\nb"])


def test_glyph_settings_are_checked(cache):
    with pytest.raises(UnknownNameError, match="unknown labels 'groups'; did you mean 'group'"):
        GlyphSequenceSettings(labels="groups")
    for patch in (5, 32):
        with pytest.raises(ValueError, match="patch: a proper divisor of 32"):
            GlyphSequenceSettings(patch=patch)
    with pytest.raises(ValueError, match="shares must be positive and leave some for the test"):
        GlyphSequenceSettings(train=0.8, val=0.2)
    with pytest.raises(ValueError, match="other_names: 1000000 asked for"):
        glyph_sequences(
            GlyphSequenceSettings(characters=150, per_character=2, other_names=10**6), seed=0, cache=cache
        )


# ---------------------------------------------------------------- tasks


def test_disjoint_halves_share_no_group(glyphs):
    for seed in range(5):
        target, helping = disjoint_halves(glyphs, seed)
        shown, read = set(target.groups), set(helping["text"].groups)
        assert not shown & read
        assert len(shown) == (len(set(glyphs.train.groups)) + 1) // 2
        assert read | shown >= set(glyphs.auxiliaries["text"].groups)


def labelled(n=4, dim=3, labels=None, groups=None):
    values = np.arange(n * 2 * dim, dtype=float).reshape(n, 2, dim)
    return SequenceSet(
        values, np.full(n, 2), labels=np.arange(n) % 2 if labels is None else labels, groups=groups
    )


def test_tasks_complain():
    rows = labelled()
    parts = ("a", "b"), rows, rows, rows
    with pytest.raises(ValueError, match="cannot be its own auxiliary"):
        SequenceTask("t", "image", *parts, {"image": rows})
    with pytest.raises(ValueError, match="train: the probe needs labels"):
        SequenceTask("t", "image", ("a", "b"), SequenceSet(rows.values, rows.lengths), rows, rows)
    with pytest.raises(ValueError, match="label 1, but there are 1 classes"):
        SequenceTask("t", "image", ("a",), rows, rows, rows)
    with pytest.raises(ValueError, match=r"test: Modality.* but train has"):
        SequenceTask("t", "image", ("a", "b"), rows, rows, labelled(dim=2))
    with pytest.raises(ValueError, match="at least two classes"):
        SequenceTask("t", "image", ("a", "b"), labelled(labels=np.zeros(4, dtype=int)), rows, rows)
    with pytest.raises(UnknownNameError, match="unknown modality 'txt'"):
        SequenceTask("t", "image", *parts, {"text": rows}, {"txt": rows})
    with pytest.raises(ValueError, match="unrelated text"):
        SequenceTask("t", "image", *parts, {"text": rows}, {"text": labelled(dim=2)})
    with pytest.raises(ValueError, match="which sequences are counterparts is not known"):
        disjoint_halves(SequenceTask("t", "image", *parts, {"text": rows}), 0)
    same = labelled(groups=list("aabb"))
    one = labelled(groups=list("aaaa"))
    with pytest.raises(ValueError, match="text: every sequence belongs to the target's half"):
        disjoint_halves(SequenceTask("t", "image", ("a", "b"), one, same, same, {"text": one}), 0)


# ---------------------------------------------------------------- MultiBench


@pytest.mark.parametrize("key", ["mosi", "mustard"])
def test_affect_clips_keep_steps_labels_and_counterparts(tmp_path, key):
    build_affect(tmp_path, key)
    task = multibench_sequences(key, tmp_path, scale=False)
    data = load_affect(key, tmp_path)
    assert task.target == "vision"
    assert list(task.auxiliaries) == ["text"]
    train = data.parts["train"]
    np.testing.assert_array_equal(task.train.lengths, train.lengths)
    np.testing.assert_array_equal(task.train.values[task.train.mask], train.arrays["vision"][train.mask])
    assert list(task.train.groups) == list(task.auxiliaries["text"].groups)
    scaled = multibench_sequences(key, tmp_path, auxiliaries=["audio", "text"])
    assert list(scaled.auxiliaries) == ["audio", "text"]
    assert scaled.train.values[scaled.train.mask].mean(axis=0) == pytest.approx(0, abs=1e-4)


def test_label_rules_switch_classes_and_leave_out_neutral_clips(tmp_path):
    build_affect(tmp_path, "mosi", seed=3)
    raw = load_affect("mosi", tmp_path).parts["train"].labels
    rules = {
        rule: multibench_sequences("mosi", tmp_path, label_rule=rule).train
        for rule in ("nonnegative", "nonzero")
    }
    np.testing.assert_array_equal(rules["nonnegative"].labels, raw >= 0)
    np.testing.assert_array_equal(rules["nonzero"].labels, raw[raw != 0] > 0)
    with pytest.raises(UnknownNameError, match="unknown label rule"):
        multibench_sequences("mosi", tmp_path, label_rule="sign")
    with pytest.raises(UnknownNameError, match="unknown modality 'visoin'; did you mean 'vision'"):
        multibench_sequences("mosi", tmp_path, target="visoin")
    with pytest.raises(UnknownNameError, match="unknown MultiBench data set 'mosie'"):
        multibench_sequences("mosie", tmp_path)


def test_mimic_is_one_step_beside_a_day(tmp_path):
    build_mimic(tmp_path, n=60)
    task = multibench_sequences("mimic", tmp_path)
    assert task.train.modality.single
    assert task.train.modality.dim == 5
    assert task.auxiliaries["series"].values.shape[1:] == (24, 12)
    swapped = multibench_sequences("mimic", tmp_path, target="series")
    assert list(swapped.auxiliaries) == ["static"]


# ---------------------------------------------------------------- files


def test_files_come_back_whatever_the_padding(tmp_path):
    rng = np.random.default_rng(0)
    lengths = np.array([3, 1, 4, 2, 4, 4])
    data = SequenceSet(
        rng.normal(size=(6, 4, 2)), lengths, labels=np.arange(6) % 2, groups=[str(i) for i in range(6)]
    )
    split = np.array([0, 0, 0, 1, 1, 2])
    write_sequences(tmp_path / "a.safetensors", data, split)
    back, its_split = read_sequences(tmp_path / "a.safetensors", "image")
    assert back.fingerprint == data.fingerprint
    np.testing.assert_array_equal(its_split, split)
    front, mask = torch.full((6, 4, 2), float("nan")), torch.zeros(6, 4, dtype=torch.bool)
    for row, length in enumerate(lengths):
        front[row, 4 - length :] = torch.from_numpy(data.values[row, :length])
        mask[row, 4 - length :] = True
    save_file(
        {"features": front, "mask": mask, "labels": torch.arange(6) % 2, "groups": torch.arange(6)},
        tmp_path / "front.safetensors",
    )
    assert read_sequences(tmp_path / "front.safetensors", "image")[0].fingerprint == data.fingerprint
    tokens = SequenceSet(
        rng.integers(0, 9, (5, 3)), np.array([3, 3, 2, 1, 3]), 30, groups=["0", "1", "2", "70", "71"]
    )
    write_sequences(tmp_path / "b.safetensors", tokens)
    assert read_sequences(tmp_path / "b.safetensors", "text")[0].vocabulary == 30
    files = {"text": tmp_path / "b.safetensors"}
    task = sequences_from_files(tmp_path / "a.safetensors", files, scale=False)
    assert [len(part) for part in task.parts.values()] == [3, 2, 1]
    assert task.has_groups
    _, helping = disjoint_halves(task, 0)
    assert {"70", "71"} <= set(helping["text"].groups)
    scaled = sequences_from_files(tmp_path / "a.safetensors", files)
    assert scaled.train.values[scaled.train.mask].mean(axis=0) == pytest.approx([0, 0], abs=1e-5)


def test_files_complain(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(FileNotFoundError, match=r"x.safetensors: file not found"):
        read_sequences(path, "image")
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a safetensors file"):
        read_sequences(path, "image")
    features = torch.zeros(3, 2, 4)
    for arrays, text in [
        ({"feats": features}, "no 'features'; it holds 'feats'"),
        ({"features": features[0]}, r"features must be \(n, T, d\)"),
        ({"features": features, "labels": torch.zeros(3)}, "labels must be 3 whole numbers"),
        (
            {"features": features, "lengths": torch.ones(2, dtype=torch.int64)},
            "lengths must be 3 whole numbers",
        ),
        (
            {"features": features, "lengths": torch.ones(3, dtype=torch.int64), "mask": torch.ones(3, 2)},
            "holds a mask and lengths",
        ),
        ({"features": features, "mask": torch.zeros(3, 2)}, "x.safetensors: mask: every sequence needs"),
    ]:
        save_file({name: tensor.contiguous() for name, tensor in arrays.items()}, path)
        with pytest.raises(ValueError, match=text):
            read_sequences(path, "image")
    save_file({"features": features}, path)
    with pytest.raises(ValueError, match="needs 'labels' and 'split'"):
        sequences_from_files(path, {})
    whole = torch.zeros(3, dtype=torch.int64)
    save_file({"features": features, "labels": whole, "split": whole.clone()}, path)
    with pytest.raises(ValueError, match="no row of the validation part"):
        sequences_from_files(path, {})
    with pytest.raises(ValueError, match="groups must be whole numbers in a file"):
        write_sequences(path, labelled(groups=list("abcd")))
