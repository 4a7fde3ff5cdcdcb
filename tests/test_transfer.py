"""Layers of language models behind patches: patches, attention, initialisations, training that resumes, the small BERT."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn import functional as F

from fisherkit.checks import UnknownNameError
from neural.datasets import DatasetError, open_dataset
from neural.store.checkpoints import DivergedError
from neural.transfer.initialisations import INITIALISATIONS, initialise
from neural.transfer.masked_language import BertSettings, Masking, small_bert, word_pieces
from neural.transfer.model import PatchSettings, PatchTransformer, cut_patches
from neural.transfer.pictures import file_task, glyph_task
from neural.transfer.stack import LanguageStack, find_language, load_stack
from neural.transfer.training import Schedule, train
from neural.worlds.glyphs import GlyphSettings
from tests.tiny_encoders import quiet, save_image, save_text

SMALL = PatchSettings(channels=1, side=8, patch=4, dropout=0.1)
READERS = ("bert", "roberta", "gpt2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    quiet()
    root = tmp_path_factory.mktemp("language")
    return {kind: save_text(root / kind, kind) for kind in READERS}


@pytest.fixture(scope="module")
def stacks(folders):
    return {kind: load_stack(find_language(folder)) for kind, folder in folders.items()}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# ---------------------------------------------------------------- patches


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_patches_agree_with_slicing(b, c, rows, columns, p):
    pictures = torch.arange(b * c * rows * p * columns * p, dtype=torch.float32)
    pictures = pictures.view(b, c, rows * p, columns * p)
    cut = cut_patches(pictures, p)
    assert cut.shape == (b, rows * columns, c * p * p)
    for i, (row, column) in itertools.product(range(b), itertools.product(range(rows), range(columns))):
        square = pictures[i, :, row * p : (row + 1) * p, column * p : (column + 1) * p]
        assert cut[i, row * columns + column].tolist() == [
            square[channel, y, x].item() for channel in range(c) for y in range(p) for x in range(p)
        ]


def test_projected_patches_are_a_strided_convolution():
    layer = nn.Conv2d(3, 7, 4, stride=4)
    pictures = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    by_patches = F.linear(cut_patches(pictures, 4), layer.weight.flatten(1), layer.bias)
    assert torch.allclose(by_patches, layer(pictures).flatten(2).transpose(1, 2), atol=1e-5)


# ---------------------------------------------------------------- layers


@pytest.mark.parametrize("kind", READERS)
def test_every_position_sees_every_other(stacks, kind):
    stack = stacks[kind]
    sequence = torch.randn(1, 6, stack.width, generator=torch.Generator().manual_seed(1)).requires_grad_()
    for position in range(6):
        (gradient,) = torch.autograd.grad(stack(sequence)[0, position].square().sum(), sequence)
        assert (gradient[0].abs().sum(dim=1) > 1e-6).all(), f"position {position} is blind to some"


def test_gpt2_of_transformers_itself_is_causal(folders):
    network = transformers.GPT2Model.from_pretrained(folders["gpt2"])
    sequence = torch.randn(1, 4, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
    out = network(inputs_embeds=sequence).last_hidden_state
    (gradient,) = torch.autograd.grad(out[0, 0].square().sum(), sequence)
    assert gradient[0, 1:].abs().sum() == 0, "else the test above would show nothing"


def test_layers_that_stay_causal_are_refused():
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, is_decoder=True
    )
    network = transformers.BertModel(config)
    for module in network.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = True
    with pytest.raises(ValueError, match=r"tiny: position 0 does not see position 1, .* still causal"):
        LanguageStack(network, "tiny")


def test_bert_layers_are_berts_own(folders, stacks):
    """With BERT's own embeddings in front, the layers give BERT's own hidden states."""
    network = transformers.BertModel.from_pretrained(folders["bert"], add_pooling_layer=False).eval()
    tokens = torch.randint(4, 20, (3, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(
            stacks["bert"](network.embeddings(tokens)), network(tokens).last_hidden_state, atol=1e-5
        )


def test_last_gpt2_position_is_gpt2s_own_with_one_layer():
    """A causal last position sees everything, as ours does; in one layer nothing else matters."""
    config = transformers.GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=2)
    network = transformers.GPT2Model(config).eval()
    embedded = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = network(inputs_embeds=embedded).last_hidden_state
        ours = LanguageStack(network, "tiny")(embedded + network.wpe.weight[:5])
    assert torch.allclose(ours[:, -1], theirs[:, -1], atol=1e-5)
    assert not torch.allclose(ours[:, 0], theirs[:, 0], atol=1e-3)


def test_errors_of_loading(tmp_path, folders):
    save_image(tmp_path / "vit", "vit")
    with pytest.raises(ValueError, match=r"vit: layers of type 'vit' cannot be used here \(supported: bert"):
        load_stack(find_language(tmp_path / "vit"))
    with pytest.raises(FileNotFoundError, match=r"folder .*nowhere does not exist; give the folder"):
        load_stack(find_language(tmp_path / "nowhere"))
    with pytest.raises(UnknownNameError, match="unknown encoder 'bert-lage'; did you mean 'bert-large'"):
        find_language("bert-lage")
    with pytest.raises(ValueError, match="a folder has no revision"):
        find_language(folders["bert"], revision="main")
    (tmp_path / "empty").mkdir()
    config = folders["bert"] / "config.json"
    (tmp_path / "empty" / "config.json").write_bytes(config.read_bytes())
    with pytest.raises(OSError, match="empty gives no weights"):
        load_stack(find_language(tmp_path / "empty"))


# ---------------------------------------------------------------- initialisations


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("how", list(INITIALISATIONS))
def test_initialisations_keep_what_they_should(stacks, kind, how):
    before = {name: p.clone() for name, p in stacks[kind].named_parameters()}
    made = initialise(stacks[kind], how, seed=3)
    again = initialise(stacks[kind], how, seed=3)
    other = initialise(stacks[kind], how, seed=4)
    for name, values in made.named_parameters():
        assert torch.equal(before[name], dict(stacks[kind].named_parameters())[name]), "the original stays"
        assert torch.equal(values, dict(again.named_parameters())[name])
        constant = how == "pretrained" or (how == "scratch" and values.ndim == 1)
        if not constant and before[name].unique().numel() > 1:
            assert not torch.equal(values, dict(other.named_parameters())[name])
            assert not torch.equal(values, before[name])
        if how == "pretrained":
            assert torch.equal(values, before[name])
        if how == "shuffled":
            parts = 3 if "c_attn" in name else 1
            for old, new in zip(before[name].chunk(parts, -1), values.chunk(parts, -1), strict=True):
                assert torch.equal(old.flatten().sort().values, new.flatten().sort().values), name
        if how == "gaussian" and values.numel() > 1000 and "c_attn" not in name:
            # standard errors of mean and deviation: s / sqrt(n), s / sqrt(2 n); five of them: below 1e-6 each
            spread = before[name].std(correction=0)
            assert abs(values.mean() - before[name].mean()) < 5 * spread / values.numel() ** 0.5
            assert abs(values.std() - spread) < 5 * spread / (2 * values.numel()) ** 0.5


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_scratch_is_the_types_own_start(stacks, kind):
    made = initialise(stacks[kind], "scratch", seed=0)
    depth = stacks[kind].depth
    for module_name, module in made.named_modules():
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
        elif getattr(module, "weight", None) is not None:
            residual = kind == "gpt2" and module_name.endswith("c_proj")
            wanted = 0.02 / (2 * depth) ** 0.5 if residual else 0.02
            n = module.weight.numel()
            assert abs(module.weight.std() - wanted) < 5 * wanted / (2 * n) ** 0.5, module_name
            assert (module.bias == 0).all()


def test_unknown_initialisation(stacks):
    with pytest.raises(UnknownNameError, match="unknown initialisation 'shufled'; did you mean 'shuffled'"):
        initialise(stacks["bert"], "shufled", 0)


# ---------------------------------------------------------------- the model


def test_arms_share_everything_but_the_layers(stacks):
    models = [
        PatchTransformer(initialise(stacks["bert"], how, 0), 5, SMALL, seed=7) for how in INITIALISATIONS
    ]
    new = [{n: p for n, p in m.named_parameters() if not n.startswith("stack")} for m in models]
    assert sorted(new[0]) == sorted([
        "cls",
        "positions",
        *(f"{n}.{w}" for n in ("embed", "hidden", "classify") for w in ("weight", "bias")),
    ])
    for other in new[1:]:
        assert all(torch.equal(new[0][name], other[name]) for name in new[0])
    elsewhere = PatchTransformer(stacks["bert"], 5, SMALL, seed=8)
    assert not torch.equal(elsewhere.embed.weight, models[0].embed.weight)


def test_dropout_only_with_a_source_and_of_the_right_strength(stacks):
    strong = PatchTransformer(stacks["bert"], 5, replace(SMALL, dropout=0.5), seed=0)
    seen = []
    strong.stack = Spy(strong.stack, seen)
    pictures = torch.ones(400, 1, 8, 8)
    state = torch.get_rng_state()
    strong(pictures)
    strong(pictures, dropout=torch.Generator().manual_seed(0))
    strong(pictures, dropout=torch.Generator().manual_seed(0))
    assert torch.equal(state, torch.get_rng_state()), "the global source is not touched"
    plain, dropped, again = seen
    assert torch.equal(dropped, again)
    kept = dropped != 0
    assert torch.allclose(dropped[kept], 2 * plain[kept])
    n = kept.numel()
    assert abs(kept.double().mean() - 0.5) < 5 * 0.5 / n**0.5  # five standard errors: below 1e-6


class Spy(nn.Module):
    def __init__(self, stack, seen):
        super().__init__()
        self.inner, self.seen = stack, seen

    def forward(self, sequence):
        self.seen.append(sequence.detach())
        return self.inner(sequence)


def test_the_class_token_is_what_is_classified(stacks):
    model = PatchTransformer(stacks["gpt2"], 5, SMALL, seed=0)
    pictures = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    base = model(pictures)
    changed = pictures.clone()
    changed[:, :, 4:, 4:] += 1  # the last patch, after the class token in the sequence
    assert not torch.allclose(base, model(changed))
    with torch.no_grad():
        model.cls.copy_(torch.randn(32, generator=torch.Generator().manual_seed(1)))
    assert not torch.allclose(base, model(pictures))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 3}, "patch: 3 pixels do not divide a picture of 8"),
        ({"dropout": 1.0}, "dropout: must be at least 0 and below 1, got 1.0"),
        ({"channels": 0}, "channels must be a whole number >= 1, got 0"),
    ],
)
def test_sizes_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_wrong_pictures(stacks):
    model = PatchTransformer(stacks["bert"], 5, SMALL, seed=0)
    with pytest.raises(ValueError, match=r"pictures: expected shape \(b, 1, 8, 8\), got \(2, 3, 8, 8\)"):
        model(torch.zeros(2, 3, 8, 8))


# ---------------------------------------------------------------- training


class Problem:
    """A tiny transfer with its loss, made anew for every training."""

    def __init__(self, stack, *, dropout=0.1, bad_row=None):
        self.model = PatchTransformer(
            initialise(stack, "pretrained", 0), 3, replace(SMALL, dropout=dropout), seed=0
        )
        generator = torch.Generator().manual_seed(5)
        self.pictures = torch.randn(20, 1, 8, 8, generator=generator)
        self.labels = torch.arange(20) % 3
        if bad_row is not None:
            self.pictures[bad_row] = math.nan

    def loss(self, rows, noise):
        return F.cross_entropy(self.model(self.pictures[rows], noise), self.labels[rows])

    def look(self):
        return {"loss": float(F.cross_entropy(self.model(self.pictures), self.labels))}

    def train(self, schedule, **options):
        return train(
            self.model, self.loss, 20, schedule, seed=1, frozen=self.model.stack, look=self.look, **options
        )

    def weights(self):
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}


SHORT = Schedule(steps=12, batch=8, warmup=2, unfreeze_at=5, look_every=4, save_every=3)


@pytest.mark.parametrize(("unfreeze_at", "moves_from"), [(None, None), (0, 0), (5, 5)])
def test_frozen_layers_stay_until_they_are_unfrozen(stacks, unfreeze_at, moves_from):
    problem = Problem(stacks["bert"])
    previous, moved = problem.weights(), []

    def watch(_):
        nonlocal previous
        now = problem.weights()
        changed = [name for name in now if not torch.equal(now[name], previous[name])]
        moved.append(any(name.startswith("stack") for name in changed))
        assert "embed.weight" in changed
        previous = now

    problem.train(replace(SHORT, unfreeze_at=unfreeze_at), progress=watch)
    assert moved == [moves_from is not None and step >= moves_from for step in range(12)]


def test_first_step_is_adamw_by_hand(stacks):
    """Gradient cut to the norm, then the first step of AdamW in closed form."""
    schedule = Schedule(
        steps=1, batch=20, learning_rate=0.01, warmup=1, weight_decay=0.1, clip=0.05, unfreeze_at=0
    )
    problem = Problem(stacks["bert"], dropout=0.0)
    before = problem.weights()
    problem.loss(torch.arange(20), None).backward()
    gradients = {name: p.grad.clone() for name, p in problem.model.named_parameters()}
    problem.model.zero_grad()
    norm = sum(g.square().sum() for g in gradients.values()) ** 0.5
    assert norm > 0.05, "else nothing is cut"
    problem.train(schedule)
    for name, after in problem.weights().items():
        g = gradients[name] * 0.05 / norm
        decayed = before[name] * (1 - 0.01 * 0.1) if before[name].ndim > 1 else before[name]
        wanted = decayed - 0.01 * g / (g.abs() + 1e-8)
        clear = g.abs() > 1e-6  # elsewhere the sign hangs on rounding (order of rows)
        assert torch.allclose(after[clear], wanted[clear], atol=2e-5), name


@pytest.mark.parametrize("killed_after", [3, 4, 6, 11])
def test_killed_training_resumes_to_the_same_digits(stacks, tmp_path, killed_after):
    whole = Problem(stacks["bert"])
    log = whole.train(SHORT)
    path, done = tmp_path / "state", 0

    def kill(steps):
        nonlocal done
        done += steps
        if done == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Problem(stacks["bert"]).train(SHORT, checkpoint=path, progress=kill)
    reported = []
    resumed = Problem(stacks["bert"])
    again = resumed.train(SHORT, checkpoint=path, progress=reported.append)
    assert reported[0] == killed_after - killed_after % 3, "from the last checkpoint, not from the start"
    assert sum(reported) == 12
    assert vars(again) == vars(log)
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name
    finished = Problem(stacks["bert"])
    assert vars(finished.train(SHORT, checkpoint=path)) == vars(log), "a finished one trains no more"


def test_checkpoint_of_another_training_is_refused(stacks, tmp_path):
    path = tmp_path / "state"
    Problem(stacks["bert"]).train(SHORT, checkpoint=path)
    with pytest.raises(ValueError, match=r"state: .* of another training \(different: schedule.steps\)"):
        Problem(stacks["bert"]).train(replace(SHORT, steps=13), checkpoint=path)
    with pytest.raises(ValueError, match=r"\(different: arm\)"):
        Problem(stacks["bert"]).train(SHORT, checkpoint=path, what={"arm": "other"})


def test_bad_loss_stops_with_step_batch_and_checkpoint(stacks, tmp_path):
    schedule = replace(SHORT, batch=2)
    with pytest.raises(DivergedError, match=r"the loss is nan; last good checkpoint: none") as first:
        Problem(stacks["bert"], bad_row=7).train(schedule)
    assert 7 in first.value.rows["data"]
    step = first.value.step
    assert step >= 1, "so that there is something to save"
    path = tmp_path / "state"
    with pytest.raises(
        DivergedError, match=rf"step {step}: .*; last good checkpoint: {path} .*batch of rows: 'data' rows "
    ) as caught:
        Problem(stacks["bert"], bad_row=7).train(replace(schedule, save_every=1), checkpoint=path)
    assert (caught.value.step, caught.value.checkpoint) == (step, path)
    mended = Problem(stacks["bert"])
    mended.train(replace(schedule, save_every=1), checkpoint=path)
    assert all(torch.isfinite(p).all() for p in mended.model.parameters())


@settings(max_examples=6)
@given(st.sampled_from([2, 4, 8]))
def test_accumulated_gradients_are_those_of_the_whole_batch(parts):
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    stack = LanguageStack(transformers.BertModel(config, add_pooling_layer=False), "tiny")
    whole, cut = Problem(stack, dropout=0.0), Problem(stack, dropout=0.0)
    log = whole.train(SHORT)
    again = cut.train(replace(SHORT, accumulate=parts))
    assert again.losses == pytest.approx(log.losses, abs=1e-4)


def test_mixed_precision_trains_in_single_precision_weights(stacks, device):
    problem = Problem(stacks["bert"])
    problem.model.to(device)
    problem.pictures, problem.labels = problem.pictures.to(device), problem.labels.to(device)
    log = problem.train(replace(SHORT, precision="bfloat16"), device=device)
    plain = Problem(stacks["bert"]).train(SHORT)
    assert all(p.dtype is torch.float32 for p in problem.model.parameters())
    assert log.losses != plain.losses
    if device == "cpu":  # elsewhere the dropout is another one
        assert log.losses == pytest.approx(plain.losses, abs=0.1)
        with pytest.raises(ValueError, match="precision 'float16' needs a GPU; take 'bfloat16'"):
            problem.train(replace(SHORT, precision="float16"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"accumulate": 3}, ValueError, "accumulate: 3 does not divide a batch of 8"),
        ({"precision": "float8"}, UnknownNameError, "unknown precision 'float8'; did you mean"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate: must be positive and finite, got nan"),
        ({"weight_decay": -1.0}, ValueError, "weight_decay: must be at least 0 and finite, got -1.0"),
        ({"steps": 0}, ValueError, "steps must be a whole number >= 1, got 0"),
        ({"unfreeze_at": -1}, ValueError, "unfreeze_at must be a whole number >= 0, got -1"),
    ],
)
def test_schedules_that_make_no_sense(change, error, message):
    with pytest.raises(error, match=message):
        replace(SHORT, **change)


# ---------------------------------------------------------------- masked language modelling


def test_masking_follows_berts_shares():
    tokens = torch.randint(5, 1000, (200, 100), generator=torch.Generator().manual_seed(0))
    tokens[:, 0], tokens[:, -1] = 2, 0
    read, asked = Masking(1000)(tokens, torch.Generator().manual_seed(1))
    assert torch.equal(read[~asked], tokens[~asked])
    assert not asked[:, 0].any()
    assert not asked[:, -1].any()
    n, told = 200 * 98, int(asked.sum())
    # five standard errors of a binomial share: false alarm below 1e-6 each
    assert abs(told / n - 0.15) < 5 * (0.15 * 0.85 / n) ** 0.5
    hidden = float((read[asked] == 4).double().mean())
    assert abs(hidden - 0.8) < 5 * (0.16 / told) ** 0.5
    # one word in ten stays, and of the random ones one in 995 is the word itself
    same = float((read[asked] == tokens[asked]).double().mean())
    assert abs(same - 0.1 - 0.1 / 995) < 5 * (0.09 / told) ** 0.5


def test_word_pieces_keep_common_words_and_spell_the_others():
    sentences = ["small letter", "capital letter", "small capital"] * 3 + ["a rare zebra"]
    made = word_pieces(sentences, 5 + 2 * 12 + 3)
    assert [made.token_to_id(t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3, 4]
    assert made.encode("small capital letter").tokens == ["[CLS]", "small", "capital", "letter", "[SEP]"]
    assert made.encode("zebra").tokens == ["[CLS]", "z", "##e", "##b", "##r", "##a", "[SEP]"]
    assert made.get_vocab() == word_pieces(sentences, 5 + 2 * 12 + 3).get_vocab()
    with pytest.raises(ValueError, match="vocabulary: 29 tokens leave no word beside 29 letters and special"):
        word_pieces(sentences, 29)


TINY_BERT = BertSettings(
    width=32,
    layers=1,
    heads=2,
    vocabulary=300,
    characters=300,
    held_out=0.2,
    steps=200,
    batch=32,
    learning_rate=5e-3,
)


def test_small_bert_learns_and_is_kept(tmp_path):
    steps = []
    stack, about = small_bert(TINY_BERT, cache=tmp_path, progress=steps.append)
    assert sum(steps) == 200
    assert (stack.kind, stack.depth, stack.width) == ("bert", 1, 32)
    assert about["accuracy"][-1] > 1.8 * about["guess"], (
        "it tells hidden words on characters it has not read of"
    )
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"], "no checkpoint is left behind"
    again, same = small_bert(TINY_BERT, cache=tmp_path, progress=lambda _: pytest.fail("trained twice"))
    assert same == about
    for name, weight in stack.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])


def test_killed_pretraining_goes_on(tmp_path):
    short = replace(TINY_BERT, steps=20)
    whole, about = small_bert(short)

    def kill(_):
        if any(tmp_path.glob("*.unfinished")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_bert(short, cache=tmp_path, progress=kill)
    steps = []
    resumed, same = small_bert(short, cache=tmp_path, progress=steps.append)
    assert steps[0] == 2
    assert same == about
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name])


# ---------------------------------------------------------------- pictures


def test_glyph_task_is_standardised_and_known_by_its_content(tmp_path):
    small = GlyphSettings(n_classes=3, train=4, val=2, test=2)
    task = glyph_task(small, patch=4, cache=tmp_path)
    pixels = task.train.take(torch.arange(12))
    assert (task.n_classes, task.settings.count, pixels.shape) == (3, 64, (12, 1, 32, 32))
    assert abs(float(pixels.mean())) < 1e-4
    assert float(pixels.std(correction=0)) == pytest.approx(1, abs=1e-4)
    assert (
        len(
            {glyph_task(small, patch=4, seed=s, cache=tmp_path).fingerprint for s in (0, 1)}
            | {task.fingerprint}
        )
        == 2
    )
    assert glyph_task(small, patch=8, cache=tmp_path).fingerprint != task.fingerprint


def test_file_task_reads_class_folders(tmp_path):
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("val", 2), ("test", 4)):
        for name in "ab":
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(count):
                noise = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
                Image.fromarray(noise).save(tmp_path / part / name / f"{i}.png")
    task = file_task(open_dataset(tmp_path), side=32, patch=16, look_at=1)
    assert (task.n_classes, len(task.train), len(task.val), len(task.test)) == (2, 6, 2, 2)
    assert task.settings == PatchSettings(3, 32, 16)
    pixels = task.train.take(torch.tensor([5, 0, 5]))
    assert pixels.shape == (3, 3, 32, 32)
    assert torch.equal(pixels[0], pixels[2])
    assert not torch.equal(pixels[0], pixels[1])
    (tmp_path / "train" / "a" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"0.png: this image cannot be opened"):
        task.train.take(torch.tensor([0]))


def test_file_task_needs_all_parts(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "0.png")
    with pytest.raises(DatasetError, match="no files; training, selection and test need some each"):
        file_task(open_dataset(tmp_path), side=32)
