"""Any modality as a target: pools that never mix, outlines under the same labels, an encoder that knows no novel one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fisherkit.checks import UnknownNameError
from neural.tasks.modalities import POOLS, Modalities, deal, of_task
from neural.tasks.task import Embeddings
from neural.worlds import glyph_outline_rows
from neural.worlds.concepts import ConceptWorld, concepts
from neural.worlds.digits import digits
from neural.worlds.glyph_classes import choose_classes
from neural.worlds.glyph_outline_rows import OutlineJitter, draw_outlines, glyph_modalities, outline_pools
from neural.worlds.glyph_outlines import outline
from neural.worlds.glyph_pictures import PLAIN
from neural.worlds.glyphs import GlyphSettings
from tests.comparators import assert_allclose_report

SMALL = GlyphSettings(
    n_classes=6, n_base=8, steps=3, batch=16, train=5, val=3, test=4, corpus=900, text_features=16
)


def rows(n_classes=3, per_class=8, dim=4, name="rows", seed=0):
    labels = np.repeat(np.arange(n_classes), per_class)
    return Embeddings(np.random.default_rng(seed).normal(size=(len(labels), dim)), labels, name)


@pytest.fixture(scope="module")
def world():
    return of_task(
        concepts(ConceptWorld(auxiliaries=("text", "audio")), seed=0, n_classes=5, test_per_class=10),
        seed=0,
        order=("text", "image"),
    )


# ---------------------------------------------------------------- pools


def test_every_modality_can_be_the_target(world):
    assert world.modalities == world.targets == ("text", "image", "audio")
    for target in world.targets:
        others = [name for name in world.modalities if name != target]
        task = world.task(target, others)
        assert task.target == target
        assert list(task.auxiliaries) == others
        assert task.train is world.pools[target]["train"]
        for name in others:
            assert task.auxiliaries[name] is world.pools[name]["train"], "only training rows ever help"
        assert task.classes == world.classes


def test_of_task_keeps_the_targets_own_pools(world):
    task = concepts(ConceptWorld(auxiliaries=("text", "audio")), seed=0, n_classes=5, test_per_class=10)
    assert np.array_equal(world.pools["image"]["train"].features, task.train.features)
    assert np.array_equal(world.pools["image"]["test"].features, task.tests["test"].features)


@given(st.integers(3, 12), st.integers(1, 4), st.integers(0, 5))
def test_dealt_pools_are_a_partition(per_class, n_classes, seed):
    whole = rows(n_classes, per_class)
    pools = deal(whole, seed)
    assert list(pools) == list(POOLS)
    together = np.concatenate([part.features for part in pools.values()])
    assert sorted(map(tuple, together)) == sorted(map(tuple, whole.features))
    for part in pools.values():
        assert (part.counts(n_classes) >= 1).all()
    assert np.array_equal(deal(whole, seed)["test"].features, pools["test"].features)


def test_too_few_rows_to_deal_are_named():
    with pytest.raises(
        ValueError, match=r"text: class 0 has 2 row\(s\), and a split into train, val and test"
    ):
        deal(rows(per_class=2, name="text"), 0)


def test_modalities_say_what_is_wrong(world):
    whole = dict.fromkeys(POOLS, rows())
    only = {"train": rows()}
    with pytest.raises(ValueError, match="tiny: at least two modalities are needed, got 1"):
        Modalities("tiny", "abc", {"image": whole})
    with pytest.raises(UnknownNameError, match="unknown pool of 'image': 'tset'; did you mean 'test'"):
        Modalities("tiny", "abc", {"image": {"train": rows(), "tset": rows()}, "text": only})
    with pytest.raises(ValueError, match="tiny: image: no pool 'train'"):
        Modalities("tiny", "abc", {"image": {"test": rows()}, "text": only})
    two = Modalities("tiny", "abc", {"text": only, "image": whole})
    assert two.targets == ("image",)
    with pytest.raises(UnknownNameError, match="unknown target 'text'"):
        two.task("text", ["image"])
    with pytest.raises(UnknownNameError, match="unknown modality 'adio'; did you mean 'audio'"):
        world.task("image", ["adio"])


def test_digits_have_their_sentences_dealt():
    two = of_task(digits(seed=0), seed=0, order=("text",))
    assert two.modalities == ("text", "image")
    assert {pool: len(part) for pool, part in two.pools["text"].items()} == {
        "train": 60,
        "val": 20,
        "test": 20,
    }


# ---------------------------------------------------------------- outlines


def test_deformation_is_the_affine_map_it_says():
    path = outline("B", "DejaVuSans")[None]
    still = OutlineJitter(1.0, 1.0, 0.0, 0.0, 0.0)
    assert_allclose_report(still.apply(path, np.random.default_rng(0)), path, atol=1e-6)
    many = np.repeat(path, 200, axis=0)
    law = OutlineJitter(0.5, 0.8, 20.0, 0.1, 0.0)
    moved = law.apply(many, np.random.default_rng(0))
    assert np.array_equal(moved[..., 2], many[..., 2]), "pen states stay"
    steps, before = np.diff(moved[..., :2], axis=1), np.diff(path[0, :, :2], axis=0)
    lengths = np.linalg.norm(steps, axis=2) / np.linalg.norm(before, axis=1)
    assert_allclose_report(lengths, np.broadcast_to(lengths[:, :1], lengths.shape), rtol=1e-3)
    assert 0.5 <= lengths.min() < 0.52
    assert 0.78 < lengths.max() <= 0.8 + 1e-3
    cross = steps[..., 0] * before[:, 1] - steps[..., 1] * before[:, 0]
    turned = np.rad2deg(np.arctan2(cross.sum(1), (steps * before).sum((1, 2))))
    assert 18 < np.abs(turned).max() <= 20.01
    assert turned.min() < 0 < turned.max()
    size, angle = lengths[:, 0], np.deg2rad(-turned)
    rotated = np.stack([np.cos(angle), np.sin(angle)], 1) * size[:, None]
    start = path[0, 0, :2]
    expected = np.stack(
        [
            rotated[:, 0] * start[0] - rotated[:, 1] * start[1],
            rotated[:, 1] * start[0] + rotated[:, 0] * start[1],
        ],
        1,
    )
    shift = moved[:, 0, :2] - expected
    assert np.abs(shift).max() <= 0.1 + 1e-3
    assert np.abs(shift).max() > 0.095


def test_drawn_outlines_come_from_their_own_character():
    masters = np.stack([[outline(c, face, 16) for face in PLAIN[:3]] for c in "ab"])
    drawn = draw_outlines(masters, 40, np.random.default_rng(0), OutlineJitter(1.0, 1.0, 0.0, 0.0, 0.0))
    for i, path in enumerate(drawn):
        distances = np.abs(masters[i // 40] - path).max(axis=(1, 2))
        assert distances.min() < 1e-6
    first = [int(np.abs(masters[0] - path).max(axis=(1, 2)).argmin()) for path in drawn[:40]]
    assert set(first) == {0, 1, 2}, "all faces (missed with probability below 3e-7)"
    with pytest.raises(ValueError, match="rows per class must be a whole number >= 1, got 0"):
        draw_outlines(masters, 0, np.random.default_rng(0))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("outlines")


@pytest.fixture(scope="module")
def glyph_world(cache):
    return glyph_modalities(SMALL, seed=1, cache=cache)


def test_glyphs_in_three_modalities_share_their_classes(glyph_world):
    assert glyph_world.targets == ("text", "image", "outline")
    sizes = {
        name: [len(pools[pool]) // SMALL.n_classes for pool in POOLS]
        for name, pools in glyph_world.pools.items()
    }
    assert sizes == {"text": [4, 2, 2], "image": [5, 3, 4], "outline": [5, 3, 4]}
    for target in glyph_world.targets:
        task = glyph_world.task(target, [n for n in glyph_world.modalities if n != target])
        assert len(task.classes) == SMALL.n_classes
        assert set(task.train.labels.tolist()) == set(range(SMALL.n_classes))


def test_rows_are_outlines_of_the_character_their_label_says(cache, monkeypatch):
    """Without deformation, and with an encoder that changes nothing, rows are the fonts' own outlines."""
    split = choose_classes(SMALL.n_classes, SMALL.n_base, seed=1, cache=cache)
    assert not set(split.base) & set(split.novel)
    fitted_on = []

    def nothing(paths, labels):
        fitted_on.append((paths, labels))
        return lambda rows: rows.reshape(len(rows), -1)

    monkeypatch.setattr(glyph_outline_rows, "_fitted", nothing)
    pools = outline_pools(SMALL, OutlineJitter(1.0, 1.0, 0.0, 0.0, 0.0), seed=1, cache=cache)

    def same(characters, label, row):
        if characters[label] not in masters:
            masters[characters[label]] = np.stack([
                outline(characters[label], face).ravel() for face in PLAIN
            ])
        return np.abs(masters[characters[label]] - row.ravel()).max(axis=1).min() < 1e-6

    masters = {}
    paths, labels = fitted_on[0]
    assert len(paths) > SMALL.n_base
    assert all(same(split.base, label, path) for path, label in zip(paths, labels, strict=True))
    for pool in pools.values():
        assert all(
            same(split.novel, label, row) for row, label in zip(pool.features, pool.labels, strict=True)
        )


def test_outlines_are_read_from_the_cache(cache, glyph_world, monkeypatch):
    monkeypatch.setattr(glyph_outline_rows, "_masters", lambda characters: pytest.fail("traced again"))
    again = outline_pools(SMALL, seed=1, cache=cache)
    assert np.array_equal(again["test"].features, glyph_world.pools["outline"]["test"].features)


def test_outlines_tell_characters_apart(cache):
    """Nearest class mean among 12 novel characters, five rows each, against 1 in 12 by chance.

    A binomial count of 48 rows at chance exceeds 14 with probability 1e-5.
    """
    settings = GlyphSettings(n_classes=12, n_base=60, train=5, val=1, test=4)
    pools = outline_pools(settings, seed=0, cache=cache)
    means = pools["train"].class_means(12)
    distances = np.linalg.norm(pools["test"].features[:, None] - means, axis=2)
    assert (distances.argmin(axis=1) == pools["test"].labels).sum() > 14


def test_embedded_base_outlines_are_centred_and_of_mean_squared_norm_d():
    base = np.stack([[outline(c, face) for face in PLAIN[:2]] for c in "abcdefgh"])
    paths, labels = draw_outlines(base, 10, np.random.default_rng(0)), np.repeat(np.arange(8), 10)
    rows = glyph_outline_rows._fitted(paths, labels)(paths).astype(np.float64)
    assert rows.shape == (80, 7)
    assert np.abs(rows.mean(axis=0)).max() < 1e-3
    assert np.mean(np.sum(rows**2, axis=1)) == pytest.approx(7, rel=1e-4)
