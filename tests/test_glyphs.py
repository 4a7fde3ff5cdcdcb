"""The glyphs data: pictures, classes without look-alikes, texts, encoders that know nothing of each other, the cache."""

import shutil
import unicodedata
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.ft2font import FT2Font

from fisherkit.checks import UnknownNameError
from neural.embed.picture_encoder import encode
from neural.embed.word_encoder import WordEncoder
from neural.store.array_cache import CorruptCacheWarning
from neural.worlds import glyphs as source
from neural.worlds.glyph_classes import choose_classes, homoglyph_groups, look_alikes
from neural.worlds.glyph_names import TEXTS, coarse_text, corpus_characters, fine_texts, labelled_texts
from neural.worlds.glyph_outlines import outline
from neural.worlds.glyph_pictures import (
    BOLD,
    FACES,
    MASTER_SIDE,
    PLAIN,
    SIDE,
    STIX,
    Jitter,
    blurred,
    characters_in,
    draw_masters,
    face_path,
    jittered,
)
from neural.worlds.glyphs import POOLS, GlyphSettings, draw_pool, glyph_encoder, glyph_pools, glyphs
from tests.comparators import assert_allclose_report

SMALL = GlyphSettings(
    n_classes=6, n_base=8, steps=3, batch=16, train=3, val=2, test=2, corpus=900, text_features=16
)
LETTERS = "ABCEabcegßÅЖЯπΩ½9?"


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("glyphs")


@pytest.fixture(scope="session")
def made(cache):
    """The miniature, built once, and the progress that building it reported."""
    steps = []
    task = glyphs("coarse", SMALL, seed=1, cache=cache, progress=steps.append)
    return SimpleNamespace(task=task, steps=steps, classes=choose_classes(6, 8, seed=1, cache=cache))


def rows_of(task):
    return {"train": task.train, "val": task.val, **task.tests}


# ---------------------------------------------------------------- drawing


def test_the_faces_are_the_ones_that_matplotlib_ships():
    assert len(set(FACES)) == 16
    for face in FACES:
        assert face_path(face).name == f"{face}.ttf"
    shared = characters_in(PLAIN + BOLD)
    assert set(LETTERS) <= set(characters_in(FACES)) < set(shared)
    with pytest.raises(UnknownNameError, match="unknown face 'DejavuSans'; did you mean 'DejaVuSans'"):
        face_path("DejavuSans")


def test_missing_fonts_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("matplotlib.get_data_path", lambda: str(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"DejaVuSerif\.ttf: this font is part of matplotlib but is not there"
    ):
        face_path("DejaVuSerif")


@given(st.lists(st.sampled_from(characters_in(FACES)), min_size=1, max_size=5), st.sampled_from(FACES))
def test_masters_are_centred_and_never_touch_the_edge(characters, face):
    masters = draw_masters(characters, face)
    assert masters.shape == (len(characters), MASTER_SIDE, MASTER_SIDE)
    assert masters.dtype == np.uint8
    for character, master in zip(characters, masters, strict=True):
        assert np.array_equal(master, draw_masters([character], face)[0])  # alone as among others
        rows, columns = np.nonzero(master)
        if character.isspace() or unicodedata.category(character) == "Cf":
            continue
        assert rows.size, (character, face)
        assert rows.min() >= 7
        assert rows.max() <= MASTER_SIDE - 8
        assert abs((columns.min() + columns.max()) / 2 - (MASTER_SIDE - 1) / 2) <= 0.5


def test_size_and_height_on_the_line_survive():
    masters = draw_masters("oO,'", "DejaVuSans")
    heights = [np.ptp(np.nonzero(master)[0]) for master in masters]
    assert heights[1] > 1.2 * heights[0]
    comma, apostrophe = (np.nonzero(master)[0].mean() for master in masters[2:])
    assert comma > apostrophe + 15


@pytest.mark.parametrize(
    ("characters", "message"),
    [(["A", "中"], r"DejaVuSans has no glyph for '中' \(U\+4E2D\)"), (["AB"], "shows one character, got 2")],
)
def test_characters_that_cannot_be_drawn_are_named(characters, message):
    with pytest.raises(ValueError, match=message):
        draw_masters(characters, "DejaVuSans")


def test_no_jitter_is_the_master_at_half_the_size():
    masters = draw_masters(LETTERS, "DejaVuSerif")
    still = np.tile(np.float32([1, 0, 0, 0]), (len(LETTERS), 1))
    silent = np.zeros((len(LETTERS), SIDE, SIDE), dtype=np.float32)
    half = masters.reshape(-1, SIDE, 2, SIDE, 2).mean(axis=(2, 4)) / 255
    assert_allclose_report(jittered(masters, still, silent), half, atol=1e-5)


def test_moves_move_the_way_they_say():
    masters = draw_masters("O", "DejaVuSans")
    silent = np.zeros((1, SIDE, SIDE), dtype=np.float32)
    grid = np.arange(SIDE) - (SIDE - 1) / 2

    def moments(*move):
        picture = jittered(masters, np.float32([move]), silent)[0].numpy()
        ink = picture.sum()
        y, x = (picture.sum(axis=axis) @ grid / ink for axis in (1, 0))
        return ink, x, y

    ink, x, y = moments(1, 0, 0, 0)
    assert moments(1, 2, -3, 0)[1:] == pytest.approx((x + 2, y - 3), abs=0.02)
    assert moments(0.7, 0, 0, 0)[0] / ink == pytest.approx(0.49, rel=0.03)
    turned = moments(1, 0, 0, 90)[1:]
    assert turned == pytest.approx((y, -x), abs=0.05) or turned == pytest.approx((-y, x), abs=0.05)


def test_blur_keeps_ink_and_spreads_it_by_its_variance():
    dot = torch.zeros(1, 31, 31)
    dot[0, 15, 15] = 1
    out = blurred(dot, 1.5)[0]
    grid = torch.arange(31) - 15.0
    assert out.sum() == pytest.approx(1, abs=1e-5)
    assert out.sum(0) @ grid**2 == pytest.approx(1.5**2, rel=0.04)  # cut at three standard deviations


@pytest.mark.parametrize("pool", POOLS)
def test_pictures_have_ink_in_range_and_are_a_function_of_their_own_name(pool):
    drawn = draw_pool(LETTERS, pool, 3, seed=4)
    assert drawn.pictures.shape == (3 * len(LETTERS), SIDE, SIDE)
    assert drawn.pictures.dtype == np.uint8
    assert drawn.labels.tolist() == [i for i in range(len(LETTERS)) for _ in range(3)]
    assert (drawn.pictures.reshape(len(drawn.labels), -1).max(axis=1) > 40).all()
    backwards = draw_pool(LETTERS[::-1], pool, 2, seed=4).pictures.reshape(-1, 2, SIDE, SIDE)[::-1]
    assert np.array_equal(drawn.pictures.reshape(-1, 3, SIDE, SIDE)[:, :2], backwards)
    assert not np.array_equal(drawn.pictures, draw_pool(LETTERS, pool, 3, seed=5).pictures)
    flat = drawn.pictures.reshape(len(drawn.labels), -1)
    assert len(np.unique(flat, axis=0)) == len(flat)


def test_pools_share_no_picture_and_noise_is_what_it_says():
    jitter = Jitter(0.55, 0.6, shift=0.0, rotation=0.0, noise=0.0)  # leaves the upper rows free
    pools = {pool: draw_pool(LETTERS, pool, 2, jitter=jitter, seed=0).pictures for pool in POOLS}
    every = np.concatenate([pictures.reshape(len(pictures), -1) for pictures in pools.values()])
    assert len(np.unique(every, axis=0)) == len(every)
    corner = {pool: pictures[:, :2].astype(float) / 255 for pool, pictures in pools.items()}
    assert corner["test"].max() == 0
    # half of a centred normal law is cut away at 0: mean square is half the variance; 2,304 draws, six standard errors
    assert (corner["noise"] ** 2).mean() == pytest.approx(source.EXTRA_NOISE**2 / 2, rel=0.3)
    with pytest.raises(UnknownNameError, match="unknown pool 'tset'; did you mean 'test'"):
        draw_pool("ab", "tset", 1, seed=0)
    with pytest.raises(ValueError, match="test: pictures per class must be a whole number >= 1, got 0"):
        draw_pool("ab", "test", 0, seed=0)


# ---------------------------------------------------------------- classes


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 400))
def test_novel_and_base_never_meet(cache, seed, n):
    split = choose_classes(n, seed=seed, cache=cache)
    novel, base = set(split.novel), set(split.base)
    assert len(novel) == n
    assert not novel & base
    assert not (novel | base) & set(split.homoglyphs)
    assert novel <= set(characters_in(FACES))
    assert base <= set(characters_in(PLAIN + BOLD))
    assert set(split.homoglyphs.values()) <= novel | base
    assert list(split.novel) == sorted(novel)


def test_split_is_a_function_of_its_seed(cache):
    first, again, other = (choose_classes(50, 20, seed=s, cache=cache) for s in (0, 0, 1))
    assert first == again
    assert first.novel != other.novel
    assert len(first.base) == 20


def outline_of(font, character):
    """Contours in font units, moved to the origin: an independent notion of looking alike."""
    font.load_char(ord(character))
    points, codes = font.get_path()
    return (points - points.min(axis=0)).tobytes() + codes.tobytes() if len(points) else None


@pytest.mark.parametrize("face", FACES)
def test_no_two_classes_share_an_outline(cache, face):
    split = choose_classes(300, seed=0, cache=cache)
    font = FT2Font(str(face_path(face)))
    font.set_size(200, 72)
    known = set(characters_in([face]))
    outlines = {}
    for character in split.novel + split.base:
        if character in known:
            outlines.setdefault(outline_of(font, character), []).append(character)
    assert None not in outlines
    shared = [group for group in outlines.values() if len(group) > 1]
    assert not shared


def test_look_alikes_of_three_scripts_are_one_group():
    assert homoglyph_groups("AΑАBΒВo", PLAIN).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert len(look_alikes(np.zeros((3, 8, 8), dtype=np.uint8))) == 0
    silent = homoglyph_groups("A中B", ["DejaVuSans"])  # a face says nothing of what it lacks
    assert silent.tolist() == [0, 1, 2]


def test_more_classes_than_there_are(cache):
    with pytest.raises(
        ValueError, match=r"n_classes: 5000 asked for, but only [0-9]+ characters are in all 16 faces"
    ):
        choose_classes(5000, seed=0, cache=cache)
    with pytest.raises(
        ValueError, match=r"n_base: 5000 asked for, but 300 novel classes leave [0-9]+ characters"
    ):
        choose_classes(300, 5000, seed=0, cache=cache)


# ---------------------------------------------------------------- texts


def test_coarse_text_is_the_name():
    sentences, labels = labelled_texts("éЖ", "coarse", seed=0)
    assert labels == [0, 1]
    assert sentences == [
        "a picture of latin small letter e with acute",
        "a picture of cyrillic capital letter zhe",
    ]
    with pytest.raises(ValueError, match=r"'\\n' \(U\+000A\) has no name in Unicode"):
        coarse_text("\n")


@given(st.sampled_from(characters_in(PLAIN)).filter(lambda c: unicodedata.name(c, "")))
def test_fine_texts_are_eight_facts(character):
    sentences = fine_texts(character)
    assert len(set(sentences)) == 8
    assert sum(unicodedata.name(character).lower() in sentence for sentence in sentences) >= 2
    assert all(sentence == " ".join(sentence.split()) and sentence.isascii() for sentence in sentences)


def test_fine_texts_tell_case_and_parts():
    text = " | ".join(fine_texts("é"))
    assert "the other case is latin capital letter e with acute" in text
    assert "composed of latin small letter e and combining acute accent" in text
    assert "the other case is none" in " | ".join(fine_texts("½"))


def test_unrelated_texts_are_other_words_one_to_one(cache):
    novel = choose_classes(300, seed=0, cache=cache).novel
    sentences, labels = labelled_texts(novel, "unrelated", seed=0)
    assert labels == list(range(300))
    assert len(set(sentences)) == 300
    true = {unicodedata.name(character).lower() for character in novel}
    assert not {sentence.removeprefix("a picture of ") for sentence in sentences} & true
    assert not any("letter" in sentence for sentence in sentences)
    assert sentences != labelled_texts(novel, "unrelated", seed=1)[0]
    with pytest.raises(UnknownNameError, match="unknown text variant 'corse'; did you mean 'coarse'"):
        labelled_texts(novel, "corse", seed=0)
    with pytest.raises(ValueError, match="5000 unrelated names asked for"):
        labelled_texts(["a"] * 5000, "unrelated", seed=0)


def test_corpus_is_thousands_of_names_without_counted_ones():
    corpus = corpus_characters()
    assert len(corpus) > 25_000
    assert not {"中", "가"} & set(corpus)
    assert set(LETTERS) <= set(corpus)
    assert 800 <= len(corpus_characters(900)) <= 950


def test_text_rows_are_encoded_one_by_one():
    sentences = [coarse_text(character) for character in LETTERS]
    encoder = WordEncoder([coarse_text(character) for character in corpus_characters(600)], dim=12)
    order = np.random.default_rng(0).permutation(len(sentences))
    assert np.array_equal(encoder([sentences[i] for i in order]), encoder(sentences)[order])
    assert 0 < encoder.explained < 1
    with pytest.raises(ValueError, match=r"corpus: 4 texts with [0-9]+ terms are too few for 12 features"):
        WordEncoder(["small letter"] * 4, dim=12)


# ---------------------------------------------------------------- outlines


@pytest.mark.parametrize("points", [16, 64])
def test_outline_runs_along_the_glyph(points):
    for character in "IOÖg½":
        path = outline(character, "DejaVuSerif", points)
        assert path.shape == (points, 3)
        assert set(path[:, 2]) == {0.0, 1.0}
        assert path[0, 2] == 0
        assert np.abs(path[:, :2]).max() < 1.5
    bars = outline("I", "DejaVuSans", points=16)
    assert np.ptp(bars[:, 1]) == pytest.approx(1493 / 2048, abs=0.06)  # cap height of the font, in ems
    ring = outline("O", "DejaVuSans", points=64)
    gaps = np.linalg.norm(np.diff(ring[:, :2], axis=0), axis=1)[ring[1:, 2] == 1]
    assert gaps.max() < 1.4 * gaps.min()


def test_outlines_that_do_not_exist():
    with pytest.raises(ValueError, match="' ' has no ink, so it has no outline"):
        outline(" ", "DejaVuSans")
    with pytest.raises(ValueError, match="DejaVuSans has no glyph for '中'"):
        outline("中", "DejaVuSans")
    with pytest.raises(ValueError, match=r"has [0-9]+ contours; ask for at least as many points, not 8"):
        outline("▒", "DejaVuSans", points=8)


# ---------------------------------------------------------------- the task


def test_task_has_the_pools_that_were_asked_for(made):
    task, classes = made.task, made.classes
    assert made.steps == [1] * SMALL.steps
    assert list(task.tests) == ["test", "stix", "bold", "noise", "blur"]
    assert task.classes == tuple(unicodedata.name(character) for character in classes.novel)
    for pool, rows in rows_of(task).items():
        assert rows.counts(6).tolist() == [SMALL.per_class(pool)] * 6
    assert task.dims == {"image": 192, "text": 16}
    assert len(task.few_shot(2, seed=0).train) == 12
    assert task.about["base classes"] == 8
    assert task.about["look-alikes left out"] == len(classes.homoglyphs) > 100
    assert task.about["pictures"]["stix"] == list(STIX)


def test_task_knows_how_it_was_made(made):
    for task in (made.task, made.task.normalised(), made.task.only([])):
        assert (task.texts, task.settings, task.seed) == ("coarse", SMALL, 1)
        assert task.characters == tuple(made.classes.novel)
        sentences, labels = task.sentences()
        assert sentences == [f"a picture of {name.lower()}" for name in task.classes]
        assert labels == made.task.auxiliaries["text"].labels.tolist()
        assert task.words_per_text == np.mean([3 + len(name.split()) for name in task.classes])


def test_encoder_and_pictures_give_the_features(made, cache):
    encoder = glyph_encoder(SMALL, seed=1, cache=cache)
    for pool, drawn in glyph_pools(SMALL, seed=1, cache=cache).items():
        rows = rows_of(made.task)[pool]
        assert np.array_equal(drawn.labels, rows.labels)
        assert np.array_equal(encode(encoder, drawn.pictures), rows.features), pool


def test_pictures_know_nothing_of_texts(made, cache):
    for texts in TEXTS:
        task = glyphs(texts, SMALL, seed=1, cache=cache)
        for pool, rows in rows_of(task).items():
            assert np.array_equal(rows.features, rows_of(made.task)[pool].features)
        assert len(task.auxiliaries["text"]) == (48 if texts == "fine" else 6)


def test_encoders_are_trained_without_the_other_modality(monkeypatch, made, cache, tmp_path):
    """Built anew, with every door to the other modality shut."""

    def shut(*args, **kwargs):
        raise AssertionError("an encoder looked at the other modality")

    for path in cache.glob("glyph-groups-*"):  # the search for look-alikes, alone
        shutil.copy(path, tmp_path)
    with monkeypatch.context() as patch:
        for name in ("labelled_texts", "coarse_text", "fine_texts", "corpus_characters", "WordEncoder"):
            patch.setattr(source, name, shut)
        encoder = glyph_encoder(SMALL, seed=1, cache=tmp_path)
        pictures = glyph_pools(SMALL, seed=1, cache=tmp_path)["test"].pictures
        features = made.task.tests["test"].features
        assert_allclose_report(encode(encoder, pictures), features, rtol=1e-3, atol=1e-3)
        assert list(tmp_path.glob("glyph-encoder-*"))
    for name in ("draw_masters", "jittered", "encode", "pretrain"):
        monkeypatch.setattr(source, name, shut)
    sentences, labels = labelled_texts(made.classes.novel, "coarse", 1)
    text = source._encode_texts(sentences, labels, "coarse", SMALL, None)
    assert np.array_equal(text.features, made.task.auxiliaries["text"].features)


def test_second_call_reads_what_the_first_wrote(monkeypatch, made, cache):
    monkeypatch.setattr(source, "pretrain", None)  # calling it would fail
    monkeypatch.setattr(source, "draw_pool", None)
    again = glyphs("coarse", SMALL, seed=1, cache=cache, progress=made.steps.append)
    assert len(made.steps) == SMALL.steps
    for pool, rows in rows_of(again).items():
        assert np.array_equal(rows.features, rows_of(made.task)[pool].features)
    assert np.array_equal(again.auxiliaries["text"].features, made.task.auxiliaries["text"].features)
    assert again.about == made.task.about


@pytest.mark.parametrize("kind", ["glyph-features", "glyph-texts"])
def test_a_damaged_file_is_named_and_made_again(made, cache, kind):
    wanted = glyphs("coarse", SMALL, seed=1, cache=cache)
    (path,) = (
        p for p in cache.glob(f"{kind}-*.safetensors") if ".corrupt" not in p.name and _holds(p, wanted, kind)
    )
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.warns(CorruptCacheWarning, match=f"{path.name}: this cached file is damaged"):
        task = glyphs("coarse", SMALL, seed=1, cache=cache)
    for pool, rows in rows_of(task).items():
        assert np.array_equal(rows.features, rows_of(wanted)[pool].features)
    assert glyphs("coarse", SMALL, seed=1, cache=cache).dims == wanted.dims  # no warning: whole again


def _holds(path, task, kind):
    """Whether the file is the one behind this task: others of its kind lie beside it."""
    rows = task.train if kind == "glyph-features" else task.auxiliaries["text"]
    return rows.features.tobytes() in path.read_bytes()


@pytest.mark.parametrize(
    "change", [{"steps": 4}, {"batch": 17}, {"n_base": 9}, {"jitter": Jitter(noise=0.1)}]
)
def test_what_the_weights_depend_on_is_in_the_key(made, change):
    base = made.classes.base + (("x",) if "n_base" in change else ())
    key = source._encoder_key(made.classes.base, SMALL, 1)
    assert source._encoder_key(base, replace(SMALL, **change), 1) != key
    assert source._encoder_key(made.classes.base, SMALL, 2) != key


def test_unknown_texts_are_refused_before_any_work():
    with pytest.raises(UnknownNameError, match="unknown text variant 'names'"):
        glyphs("names", SMALL)
