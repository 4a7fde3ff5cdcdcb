"""Padded sequences and the shared transformer: padding plays no part, later steps do not act on earlier ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fisherkit.checks import UnknownNameError
from neural.sequences.data import Batch, Modality, SequenceSet, pack, scrambled, standardised
from neural.sequences.model import (
    VISION_TEXT,
    SharedTransformer,
    TransformerSettings,
    embeddings,
    predicted_steps,
)

KINDS = {"image": Modality(3), "text": Modality(7, discrete=True), "row": Modality(4, single=True)}
SHAPES = [
    TransformerSettings(width=8, layers=2, heads=2, feedforward=16, dropout=0.0, positions=positions, norm_first=first)
    for positions, first in (("none", False), ("sinusoid", True), ("learned", False))
]  # fmt: skip


def small(shape=0, seed=0, **changes):
    model = SharedTransformer(KINDS, SHAPES[shape], seed=seed)
    return model


def steps_of(name, rng, n, steps):
    if name == "text":
        return torch.from_numpy(rng.integers(0, 7, (n, steps)))
    return torch.from_numpy(rng.normal(size=(n, steps, 3)).astype(np.float32))


# ---------------------------------------------------------------- data


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=4))
def test_packing_is_picking_the_steps_one_by_one(rows):
    mask = torch.tensor(rows)
    mask[:, 2] |= ~mask.any(dim=1)
    values = torch.arange(mask.numel() * 2).view(*mask.shape, 2).float()
    values[~mask] = float("nan")  # whatever the padding holds
    packed = pack(values, mask)
    assert packed.lengths.tolist() == mask.sum(dim=1).tolist()
    for row, (kept, length) in enumerate(zip(mask, packed.lengths, strict=True)):
        assert torch.equal(packed.values[row, :length], values[row][kept])
        assert not packed.values[row, length:].any()
    assert packed.mask.sum() == mask.sum()


def test_sets_complain_about_what_is_wrong():
    good = np.zeros((2, 3, 4))
    cases = [
        ((good[0], [3, 3]), {}, ValueError, r"expected \(n, T, d\) features, at least one, got shape \(3, 4\)"),
        ((np.zeros((2, 3)), [3, 3]), {"vocabulary": 5}, TypeError, "expected whole numbers"),
        ((good, [3]), {}, ValueError, "2 sequences need as many whole lengths"),
        ((good, [3, 4]), {}, ValueError, "length 4 at row 1; lengths go from 1 to 3"),
        ((np.full((2, 3), 5), [3, 1]), {"vocabulary": 5}, ValueError, "step 0 of row 0 is not a token from 0 to 4"),
        ((good, [3, 3]), {"labels": [0.5, 1.0]}, TypeError, "labels must be whole numbers"),
        ((good, [3, 3]), {"labels": [0]}, ValueError, "need as many labels >= 0"),
        ((good, [3, 3]), {"groups": ["a"]}, ValueError, "need as many groups, got 1"),
    ]  # fmt: skip
    for (values, lengths), extra, error, text in cases:
        with pytest.raises(error, match=text):
            SequenceSet(values, np.array(lengths), **extra)
    bad = good.copy()
    bad[1, 1, 2] = np.nan
    with pytest.raises(ValueError, match="step 1 of row 1 is not finite"):
        SequenceSet(bad, np.array([3, 3]))
    assert not SequenceSet(bad, np.array([3, 1])).values.any(), "padding may hold anything"
    with pytest.raises(ValueError, match="every sequence needs at least one step"):
        pack(torch.zeros(2, 3, 1), torch.tensor([[True, True, True], [False] * 3]))
    with pytest.raises(ValueError, match="expected booleans of shape"):
        pack(torch.zeros(2, 3, 1), torch.ones(2, 3))


@given(st.integers(0, 10**6))
def test_scaling_comes_from_training_steps_alone(seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, 9)
    train = SequenceSet(rng.normal(3, 2, (9, 5, 2)), lengths)
    other = SequenceSet(rng.normal(size=(4, 5, 2)), np.full(4, 5))
    scaled, moved = standardised(train, other)
    steps = scaled.values[scaled.mask]
    if len(steps) > 1:
        assert steps.mean(axis=0) == pytest.approx([0, 0], abs=1e-5)
        assert steps.std(axis=0) == pytest.approx([1, 1], abs=1e-4)
    assert not scaled.values[~scaled.mask].any()
    slope = np.diff(moved.values[0, :2, 0]) / np.diff(other.values[0, :2, 0])
    raw = train.values[train.mask][:, 0].astype(float)
    if len(raw) > 1:
        assert slope == pytest.approx([1 / raw.std()], rel=1e-3)
    assert standardised(other.take([0]))[0].values.shape == (1, 5, 2)


@given(st.integers(0, 10**6))
def test_scrambling_keeps_frequencies_and_lengths_only(seed):
    rng = np.random.default_rng(seed)
    data = SequenceSet(
        rng.integers(0, 50, (8, 6)), rng.integers(1, 7, 8), 50, rng.integers(0, 2, 8), list("abcdefgh")
    )
    mixed = scrambled(data, seed)
    assert np.array_equal(mixed.lengths, data.lengths)
    assert sorted(mixed.values[mixed.mask]) == sorted(data.values[data.mask])
    assert mixed.labels is None
    assert mixed.groups is None
    assert scrambled(data, seed).fingerprint == mixed.fingerprint


def test_fingerprint_sees_every_part():
    values, lengths = np.arange(6).reshape(2, 3), np.array([3, 2])
    sets = [
        SequenceSet(values, lengths, 6),
        SequenceSet(values, lengths, 7),
        SequenceSet(values, np.array([3, 3]), 6),
        SequenceSet(values, lengths, 6, np.array([0, 1])),
        SequenceSet(values, lengths, 6, groups=["a", "b"]),
    ]
    assert len({data.fingerprint for data in sets}) == len(sets)


# ---------------------------------------------------------------- padding, causality


@given(st.integers(0, 10**6), st.sampled_from(range(3)), st.sampled_from(["image", "text"]))
def test_embedding_does_not_depend_on_the_batch_it_is_padded_in(seed, shape, name):
    rng = np.random.default_rng(seed)
    model = small(shape)
    length, steps = sorted(rng.integers(1, 12, 2))
    alone = steps_of(name, rng, 1, length)
    wanted = model.embed(name, alone, torch.ones(1, length, dtype=torch.bool))
    for front in (False, True):
        company = steps_of(name, rng, 3, steps)  # what the padding holds is rubbish
        mask = torch.ones(3, steps, dtype=torch.bool)
        where = slice(steps - length, steps) if front else slice(0, length)
        company[0, where] = alone[0]
        mask[0] = False
        mask[0, where] = True
        if name == "image":
            company[0][~mask[0]] = float("nan")
        torch.testing.assert_close(model.embed(name, company, mask)[:1], wanted, atol=2e-6, rtol=1e-5)


@given(st.integers(0, 10**6), st.sampled_from(range(3)), st.sampled_from(["image", "text"]))
def test_later_steps_do_not_change_earlier_outputs(seed, shape, name):
    rng = np.random.default_rng(seed)
    model = small(shape)
    values = steps_of(name, rng, 2, 6)
    at = int(rng.integers(1, 6))
    changed = values.clone()
    changed[:, at] = (changed[:, at] + 1) % 7
    lengths = torch.tensor([6, 6])
    before, after = (model.outputs(name, Batch(v, lengths)) for v in (values, changed))
    torch.testing.assert_close(before[:, :at], after[:, :at], atol=1e-6, rtol=1e-5)
    assert not torch.allclose(before[:, at], after[:, at], atol=1e-4)


def test_other_sequences_of_a_batch_do_not_matter():
    """The trap of (T, B, d) layouts: attention over the batch."""
    rng = np.random.default_rng(0)
    model = small()
    values = steps_of("image", rng, 4, 5)
    swapped = values.clone()
    swapped[1:] = steps_of("image", rng, 3, 5)
    every = torch.ones(4, 5, dtype=torch.bool)
    torch.testing.assert_close(
        model.embed("image", values, every)[0], model.embed("image", swapped, every)[0]
    )


def test_embeddings_do_not_depend_on_how_many_at_a_time():
    rng = np.random.default_rng(0)
    data = SequenceSet(rng.normal(size=(7, 9, 3)), rng.integers(1, 10, 7))
    few, many = (embeddings(small(), "image", data, batch_size=size) for size in (2, 100))
    np.testing.assert_allclose(few, many, atol=2e-6)


# ---------------------------------------------------------------- oracles


@pytest.mark.parametrize("norm_first", [False, True])
def test_layers_agree_with_pytorchs_own_under_explicit_masks(norm_first):
    shape = TransformerSettings(
        width=12, layers=3, heads=3, feedforward=20, dropout=0.0, norm_first=norm_first
    )
    model = SharedTransformer(KINDS, shape, seed=1)
    rng = np.random.default_rng(0)
    values, lengths = steps_of("image", rng, 4, 7), torch.tensor([7, 3, 5, 1])
    batch = Batch(values, lengths)
    x = model.encoders["from_image"](values)
    later = torch.triu(torch.ones(7, 7, dtype=torch.bool), diagonal=1)
    for mine in model.layers:
        layer = nn.TransformerEncoderLayer(12, 3, 20, 0.0, batch_first=True, norm_first=norm_first)
        own = {
            "self_attn.in_proj_weight": mine.queries_keys_values.weight,
            "self_attn.in_proj_bias": mine.queries_keys_values.bias,
            "self_attn.out_proj.weight": mine.attended.weight,
            "self_attn.out_proj.bias": mine.attended.bias,
            "linear1.weight": mine.widen.weight,
            "linear1.bias": mine.widen.bias,
            "linear2.weight": mine.narrow.weight,
            "linear2.bias": mine.narrow.bias,
            **{
                f"norm{i}.{p}": getattr(getattr(mine, f"norm{i}"), p)
                for i in (1, 2)
                for p in ("weight", "bias")
            },
        }
        layer.load_state_dict(own)
        x = layer(x, src_mask=later, src_key_padding_mask=~batch.mask)
    x = model.norm(x)
    torch.testing.assert_close(model.outputs("image", batch)[batch.mask], x[batch.mask], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["image", "text"])
def test_loss_is_that_of_a_loop_over_steps(name):
    rng = np.random.default_rng(3)
    model = small(1)
    values, lengths = steps_of(name, rng, 3, 6), torch.tensor([6, 2, 1])
    total = 0.0
    for row, length in zip(values, lengths.tolist(), strict=True):
        out = model.decoders[f"to_{name}"](
            model.outputs(name, Batch(row[None, :length], torch.tensor([length])))
        )[0]
        for t in range(length - 1):
            if name == "text":
                total -= torch.log_softmax(out[t], 0)[row[t + 1]].item()
            else:
                total += ((out[t] - row[t + 1]) ** 2).mean().item()
    padded = Batch(values, lengths)
    assert model.loss_sum(name, padded).item() == pytest.approx(total, rel=1e-4)
    assert predicted_steps(KINDS[name], lengths) == 6


def test_single_steps_are_reconstructed():
    model = small()
    values = torch.randn(5, 1, 4, generator=torch.Generator().manual_seed(0))
    batch = Batch(values, torch.ones(5, dtype=torch.int64))
    guess = model.decoders["to_row"](model.outputs("row", batch))
    assert model.loss_sum("row", batch).item() == pytest.approx(
        (guess - values).square().mean(2).sum().item(), rel=1e-5
    )
    assert predicted_steps(KINDS["row"], batch.lengths) == 5


# ---------------------------------------------------------------- initial weights, dropout, errors


def test_target_and_trunk_start_alike_whatever_else_there_is():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    alone = SharedTransformer({"image": KINDS["image"]}, SHAPES[2], seed=4).state_dict()
    beside = small(2, seed=4).state_dict()
    assert torch.equal(torch.get_rng_state(), state), "the global random state is left alone"
    for name, tensor in alone.items():
        assert torch.equal(tensor, beside[name]), name
    other = small(2, seed=5).state_dict()
    assert not torch.equal(other["layers.0.widen.weight"], alone["layers.0.widen.weight"])


def test_dropout_happens_only_with_a_generator_and_repeats():
    shape = TransformerSettings(width=8, layers=2, heads=2, feedforward=16, dropout=0.5)
    model = SharedTransformer(KINDS, shape, seed=0)
    batch = Batch(steps_of("image", np.random.default_rng(0), 2, 4), torch.tensor([4, 4]))
    plain = [model.outputs("image", batch) for _ in range(2)]
    assert torch.equal(*plain)
    dropped = [model.outputs("image", batch, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(dropped[0], dropped[1])
    assert not torch.allclose(dropped[0], dropped[2])
    assert not torch.allclose(dropped[0], plain[0])


def test_paper_shapes_and_their_sizes():
    assert (TransformerSettings().layers, TransformerSettings().heads, TransformerSettings().feedforward) == (
        5,
        5,
        2048,
    )
    assert (VISION_TEXT.layers, VISION_TEXT.heads, VISION_TEXT.width) == (4, 4, 256)
    trunk = SharedTransformer({"image": Modality(20)}, TransformerSettings(width=40), seed=0).layers
    assert sum(p.numel() for p in trunk.parameters()) == 5 * (
        4 * 40 * 40 + 4 * 40 + 2 * 40 * 2048 + 2048 + 40 + 4 * 40
    )


def test_settings_and_inputs_are_checked():
    for changes, text in [
        ({"width": 12}, "12 features cannot be shared by 5 heads"),
        ({"layers": 0}, "layers must be a whole number >= 1"),
        ({"dropout": 1.0}, r"dropout: must be in \[0, 1\)"),
        ({"width": 15, "heads": 5, "positions": "sinusoid"}, "15 features must be even"),
    ]:
        with pytest.raises(ValueError, match=text):
            TransformerSettings(**changes)
    with pytest.raises(UnknownNameError, match="unknown kind of positions 'learnt'; did you mean 'learned'"):
        TransformerSettings(positions="learnt")
    with pytest.raises(ValueError, match="at least one is needed"):
        SharedTransformer({}, SHAPES[0], seed=0)
    with pytest.raises(ValueError, match="must not be empty or contain a dot"):
        SharedTransformer({"a.b": Modality(2)}, SHAPES[0], seed=0)
    model, every = small(), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(UnknownNameError, match="did you mean 'image'"):
        model.embed("imgae", torch.zeros(1, 2, 3), every)
    with pytest.raises(ValueError, match=r"image: expected \(B, T, 3\) features"):
        model.embed("image", torch.zeros(1, 2, 4), every)
    with pytest.raises(ValueError, match=r"text: expected \(B, T\) tokens"):
        model.embed("text", torch.zeros(1, 2), every)
    short = SharedTransformer(
        KINDS, TransformerSettings(width=8, layers=1, heads=2, positions="learned", max_steps=3), seed=0
    )
    with pytest.raises(ValueError, match="4 steps, but positions are learned for 3; raise max_steps"):
        short.embed("image", torch.zeros(1, 4, 3), torch.ones(1, 4, dtype=torch.bool))
