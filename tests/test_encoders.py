"""Encoders against plain computations with the same networks: pooling, padding, companions, images, sound, errors."""

import json
import shutil
import socket
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy.io import wavfile
from transformers import AutoModel, AutoTokenizer

from fisherkit.checks import UnknownNameError
from neural.embed import (
    CATALOGUE,
    EncoderUnavailableError,
    ImageTransform,
    Listing,
    TruncatedTextWarning,
    encode,
    encode_tokens,
    encoder,
    register,
    register_checkpoint,
    table,
)
from neural.embed.families import FAMILIES
from neural.embed.images import native_transform, read_image
from neural.embed.pooling import Hidden, pool
from neural.embed.waveforms import read_wave
from tests import tiny_encoders as tiny
from tests.comparators import assert_allclose_report
from tests.strategies import seeds

SENTENCES = tiny.sentences(12)
TWO_TOWERS = {"clip": ("image", "text"), "clap": ("audio", "text")}
TOWERS = [
    *((family, "text") for family in tiny.TEXT_FAMILIES),
    *((family, "image") for family in tiny.IMAGE_FAMILIES),
    *((family, modality) for family, pair in TWO_TOWERS.items() for modality in pair),
    ("ast", "audio"),
]
# rounding of networks of two layers in single precision, with entries of order 1
ROUNDING = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Any attempt to look up a host fails the test."""

    def refuse(*arguments, **_):
        raise AssertionError(f"a test asked for the network: {arguments[:2]}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Networks this small only lose by sharing out their work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder of a family's encoder, written when first asked for."""
    tiny.quiet()
    root = tmp_path_factory.mktemp("models")

    @cache
    def folder(family, padding_side="right"):
        where = root / f"{family}-{padding_side}"
        if family in tiny.TEXT_FAMILIES:
            return tiny.save_text(where, family, padding_side)
        if family in tiny.IMAGE_FAMILIES:
            return tiny.save_image(where, family)
        savers = {
            "clip": lambda: tiny.save_clip(where, padding_side),
            "clap": lambda: tiny.save_clap(where, padding_side),
            "ast": lambda: tiny.save_ast(where),
        }
        return savers[family]()

    return folder


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    """Inputs of every modality."""
    root = tmp_path_factory.mktemp("inputs")
    return {
        "text": SENTENCES,
        "image": tiny.save_images(root / "images", 6),
        "audio": tiny.save_sounds(root / "sounds", 6),
    }


# ---------------------------------------------------------------- against plain computations, one input at a time


def plain_text(folder, sentence):
    """Last hidden state of one sentence, (T, d), computed without padding or batch."""
    network = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    network = getattr(network, "text_model", network)
    ids = AutoTokenizer.from_pretrained(folder, local_files_only=True)(sentence, return_tensors="pt")[
        "input_ids"
    ]
    with torch.no_grad():
        return network(input_ids=ids).last_hidden_state[0].numpy()


@pytest.mark.parametrize("family", tiny.TEXT_FAMILIES)
def test_text_poolings_equal_a_plain_computation(models, family):
    folder = models(family)
    hidden = [plain_text(folder, sentence) for sentence in SENTENCES[:4]]
    plain = {"cls": lambda h: h[0], "mean": lambda h: h.mean(axis=0), "eot": lambda h: h[-1]}
    for how in FAMILIES[family][0].poolings:
        got = encode(encoder(folder, pooling=how), SENTENCES[:4])
        assert_allclose_report(got, np.stack([plain[how](h) for h in hidden]), **ROUNDING)


@pytest.mark.parametrize(
    ("family", "default"),
    [("bert", "cls"), ("roberta", "cls"), ("gpt2", "mean"), ("llama", "mean"), ("clip", "eot")],
)
def test_default_pooling_of_text_is_the_released_codes(models, family, default):
    made = encoder(models(family), modality="text")
    assert made.identity["pooling"] == default


def joint(network, what, **batch):
    """CLIP's or CLAP's embedding as transformers computes it; version 5 wraps it."""
    with torch.no_grad():
        out = getattr(network, f"get_{what}_features")(**batch)
    return getattr(out, "pooler_output", out)[0].numpy()


def test_clip_equals_the_embeddings_of_transformers(models, inputs):
    folder = models("clip")
    network = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    text = [
        joint(network, "text", input_ids=tokenizer(s, return_tensors="pt")["input_ids"])
        for s in SENTENCES[:4]
    ]
    assert_allclose_report(
        encode(encoder(folder, modality="text"), SENTENCES[:4]), np.stack(text), **ROUNDING
    )
    pixels = [torch.from_numpy(ImageTransform()(Image.open(path)))[None] for path in inputs["image"]]
    image = [joint(network, "image", pixel_values=p) for p in pixels]
    assert_allclose_report(
        encode(encoder(folder, modality="image"), inputs["image"]), np.stack(image), **ROUNDING
    )


@pytest.mark.parametrize("family", tiny.IMAGE_FAMILIES)
def test_image_poolings_equal_a_plain_computation(models, inputs, family):
    folder = models(family)
    network = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    pixels = [torch.from_numpy(ImageTransform()(Image.open(path)))[None] for path in inputs["image"]]
    with torch.no_grad():
        hidden = [network(pixel_values=p).last_hidden_state[0].numpy() for p in pixels]
    assert len(hidden[0]) - 16 == (4 if "registers" in family else 1)
    cls = encode(encoder(folder), inputs["image"])
    assert_allclose_report(cls, np.stack([h[0] for h in hidden]), **ROUNDING)
    mean = encode(encoder(folder, pooling="mean"), inputs["image"])
    assert_allclose_report(mean, np.stack([h[-16:].mean(axis=0) for h in hidden]), **ROUNDING)


def test_audio_equals_a_plain_computation(models, inputs):
    clap = AutoModel.from_pretrained(models("clap"), local_files_only=True).eval()
    extractor = transformers.ClapFeatureExtractor.from_pretrained(models("clap"))
    expected = []
    for path in inputs["audio"]:
        wave = wavfile.read(path)[1] / 32768
        wave = wave[max(0, (len(wave) - 8000) // 2) :][:8000]
        batch = extractor([wave.astype(np.float32)], sampling_rate=8000, return_tensors="pt")
        with torch.no_grad():
            pooled = clap.audio_model(input_features=batch["input_features"].float()).pooler_output
            expected.append(clap.audio_projection(pooled)[0].numpy())
    got = encode(encoder(models("clap"), modality="audio"), inputs["audio"])
    assert_allclose_report(got, np.stack(expected), **ROUNDING)


def test_ast_sums_up_by_its_two_class_tokens(models, inputs):
    made = encoder(models("ast"))
    tokens = encode_tokens(made, inputs["audio"]).features
    assert_allclose_report(encode(made, inputs["audio"]), tokens[:, :2].mean(axis=1), **ROUNDING)
    mean = encode(encoder(models("ast"), pooling="mean"), inputs["audio"])
    assert_allclose_report(mean, tokens[:, 2:].mean(axis=1), **ROUNDING)


# ---------------------------------------------------------------- padding and companions


@pytest.mark.parametrize(
    ("family", "modality", "padding_side"),
    [
        (*tower, side)
        for tower in TOWERS
        for side in (("right", "left") if tower[1] == "text" else ("right",))
    ],
)
def test_features_do_not_depend_on_companions(models, inputs, family, modality, padding_side):
    items = inputs[modality]
    folder = models(family, padding_side)
    kind = encoder(folder, modality=modality).identity["family"]
    for pooling in next(tower for tower in FAMILIES[kind] if tower.modality == modality).poolings:
        made = encoder(folder, modality=modality, pooling=pooling, batch_size=5)
        alone = np.concatenate([encode(made, [item]) for item in items])
        assert alone.std(axis=0).mean() > 0.02  # different inputs differ by far more than rounding
        together = encode(made, items)
        assert_allclose_report(together, alone, **ROUNDING)
        order = np.random.default_rng(1).permutation(len(items))
        assert_allclose_report(encode(made, [items[i] for i in order]), alone[order], **ROUNDING)


@pytest.mark.parametrize("family", [*tiny.TEXT_FAMILIES, "clip", "clap"])
def test_the_tokenizers_padding_side_does_not_matter(models, family):
    both = [encode(encoder(models(family, side), modality="text"), SENTENCES) for side in ("left", "right")]
    np.testing.assert_array_equal(*both)


@given(seeds, st.integers(1, 5), st.integers(1, 7), st.integers(0, 1))
def test_pooling_equals_a_loop_whatever_stands_in_the_padding(seed, batch, longest, prefix):
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((batch, longest + 1, 3)).astype(np.float32)
    mask = np.zeros((batch, longest + 1), bool)
    for row in mask:  # a run of tokens anywhere, as left or right padding leave it
        start = rng.integers(0, longest) if prefix == 0 else 0
        row[start : rng.integers(start + 1, longest + 1) + 1] = True
    dirty = np.where(mask[..., None], tokens, rng.choice([np.nan, np.inf, -np.inf, 1e30]))
    hidden = Hidden(torch.from_numpy(dirty), torch.from_numpy(mask), prefix)
    rows = [t[m] for t, m in zip(tokens, mask, strict=True)]
    assert_allclose_report(pool(hidden, "cls").numpy(), np.stack([r[0] for r in rows]))
    assert_allclose_report(pool(hidden, "eot").numpy(), np.stack([r[-1] for r in rows]))
    mean = np.stack([r[prefix:].mean(axis=0) for r in rows])
    assert_allclose_report(pool(hidden, "mean").numpy(), mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "gpt2", "clip"])
def test_tokens_are_padded_at_the_end_and_pool_to_the_same(models, family):
    folder = models(family, "left")
    tokens = encode_tokens(encoder(folder, modality="text", batch_size=3), SENTENCES)
    assert not tokens.features[~tokens.mask].any()
    for row, sentence in enumerate(SENTENCES):
        length = tokens.mask[row].sum()
        assert tokens.mask[row, :length].all()
        assert_allclose_report(tokens.features[row, :length], plain_text(folder, sentence), **ROUNDING)
    mean = encode(encoder(folder, modality="text", pooling="mean"), SENTENCES)
    by_hand = tokens.features.sum(axis=1) / tokens.mask.sum(axis=1, keepdims=True)
    assert_allclose_report(by_hand, mean, **ROUNDING)


def test_a_sentence_encoder_folder_is_pooled_by_the_mean_and_can_be_normalised(models, tmp_path):
    folder = shutil.copytree(models("bert"), tmp_path / "sentences")
    (folder / "modules.json").write_text("[]")
    made = encoder(folder, normalize=True)
    assert made.identity["pooling"] == "mean"
    raw = encode(encoder(models("bert"), pooling="mean"), SENTENCES)
    assert_allclose_report(
        encode(made, SENTENCES), raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=1e-5, atol=1e-6
    )


# ---------------------------------------------------------------- precision, state


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize(("family", "modality"), [("bert", "text"), ("llama", "text"), ("vit", "image")])
def test_half_precision_is_close_to_single(models, inputs, family, modality, dtype):
    full = encode(encoder(models(family)), inputs[modality])
    made = encoder(models(family), dtype=dtype)
    half = encode(made, inputs[modality])
    assert half.dtype == np.float32
    assert {str(weight.dtype) for weight in made.network.parameters()} == {f"torch.{dtype}"}
    cosine = (half * full).sum(1) / np.linalg.norm(half, axis=1) / np.linalg.norm(full, axis=1)
    assert cosine.min() > 0.98
    assert np.abs(half - full).max() > 0  # it did run in another precision


def test_training_mode_is_refused_and_nothing_has_gradients(models):
    made = encoder(models("bert"))
    assert not any(weight.requires_grad for weight in made.network.parameters())
    made.network.encoder.layer[0].attention.train()
    with pytest.raises(RuntimeError, match=r"the network is in training mode; call network\.eval"):
        encode(made, SENTENCES)


def test_overflow_is_told_with_the_input(models, tmp_path):
    folder = shutil.copytree(models("bert"), tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.LayerNorm.weight"].fill_(1e30)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"features of 'a cat' are not finite; float16 may be too narrow"):
        encode(encoder(folder, dtype="float16"), ["a cat"])


def test_encoding_leaves_the_global_generators_alone(models, inputs):
    np.random.seed(3)  # noqa: NPY002 -- the generator under test
    torch.manual_seed(3)
    expected = np.random.random(), torch.rand(1).item()  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    encode(encoder(models("clap"), modality="audio"), inputs["audio"])
    encode(encoder(models("vit")), inputs["image"])
    assert (np.random.random(), torch.rand(1).item()) == expected  # noqa: NPY002


# ---------------------------------------------------------------- images


@given(seeds, st.integers(1, 60), st.integers(1, 60), st.integers(1, 30))
def test_resizing_keeps_the_aspect_and_the_crop_is_central(seed, width, height, size):
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    got = ImageTransform(size, (size, size), mean, std)(image)
    short = min(width, height)
    full = np.asarray(
        image.resize((int(size * width / short), int(size * height / short)), Image.Resampling.BICUBIC)
    )
    top, left = round((full.shape[0] - size) / 2), round((full.shape[1] - size) / 2)
    expected = (full[top : top + size, left : left + size] / 255 - mean) / std
    assert_allclose_report(got, expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-5)
    flipped = ImageTransform(size, (size, size), mean, std, flip=True)(image)
    np.testing.assert_array_equal(flipped, got[:, :, ::-1])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_images_of_every_mode_become_three_channels(mode):
    image = Image.new("RGB", (30, 20), (200, 100, 50)).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    pixels = ImageTransform.named("imagenet", 14)(image)
    assert pixels.shape == (3, 14, 14)
    assert pixels.dtype == np.float32
    assert np.ptp(pixels, axis=(1, 2)).max() < 4.5  # dithering of one-bit images aside, one colour


def test_native_preprocessing_equals_transformers(models, inputs):
    try:
        from transformers import BitImageProcessorPil as Processor
    except ImportError:  # version 4
        from transformers import BitImageProcessor as Processor
    settings_ = json.loads((models("vit") / "preprocessor_config.json").read_text())
    processor = Processor(**{k: v for k, v in settings_.items() if k != "image_processor_type"})
    for path in inputs["image"]:
        got = native_transform(settings_, "vit")(read_image(path))
        expected = np.asarray(processor(Image.open(path), return_tensors="np")["pixel_values"][0])
        assert got.shape == (3, 168, 224)
        assert_allclose_report(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("given_", "resize", "crop"),
    [
        ({"size": 224}, (224, 224), None),  # DINO
        ({"size": 224, "crop_size": 224, "do_center_crop": True}, 224, (224, 224)),  # CLIP
        (
            {
                "size": {"shortest_edge": 256},
                "crop_size": {"height": 224, "width": 224},
                "do_center_crop": True,
            },
            256,
            (224, 224),
        ),  # DINOv2
        ({"size": {"height": 384, "width": 384}}, (384, 384), None),
    ],
)
def test_preprocessor_files_of_all_ages_are_understood(given_, resize, crop):
    transform = native_transform(given_, "vit")
    assert (transform.resize, transform.crop) == (resize, crop)
    assert transform.size == (crop or resize)


def test_preprocessing_is_part_of_the_identity(models):
    choices = ["clip", "imagenet", "half", "native", ImageTransform.named("clip", 448)]
    found = [json.dumps(encoder(models("vit"), preprocessing=p).identity) for p in choices]
    assert len(set(found)) == len(choices)


def test_positions_are_resampled_for_other_sizes(models, inputs):
    for family in ("vit", "dinov2", "clip"):
        large = encoder(models(family), modality="image", preprocessing=ImageTransform.named("clip", 336))
        assert encode_tokens(large, inputs["image"][:2]).features.shape == (2, 37, 32)


def test_the_files_of_a_damaged_data_set_are_named(models, tmp_path, inputs):
    made = encoder(models("vit"), workers=2)
    whole = inputs["image"][0].read_bytes()
    cases = {
        "truncated.png": whole[: len(whole) // 2],
        "empty.png": b"",
        "text.jpg": b"<html>404</html>",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}: this image cannot be opened \(.+\); fetch it again"):
            encode(made, [inputs["image"][0], tmp_path / name])
    with pytest.raises(ValueError, match=r"gone\.png: this image cannot be opened"):
        encode(made, [tmp_path / "gone.png"])


# ---------------------------------------------------------------- sound


@given(seeds, st.sampled_from(["u1", "i2", "i4", "f4"]), st.integers(1, 2))
def test_waves_of_every_format_are_read_to_full_scale_one(tmp_path_factory, seed, kind, channels):
    rng = np.random.default_rng(seed)
    wave = rng.uniform(-1, 1, (200, channels))
    stored = {
        "u1": lambda: np.round(wave * 127 + 128).astype(np.uint8),
        "i2": lambda: np.round(wave * 32767).astype(np.int16),
        "i4": lambda: np.round(wave * (2**31 - 1)).astype(np.int32),
        "f4": lambda: wave.astype(np.float32),
    }[kind]()
    path = tmp_path_factory.getbasetemp() / "wave.wav"
    wavfile.write(path, 8000, stored if channels == 2 else stored[:, 0])
    assert_allclose_report(read_wave(path, 8000), wave.mean(axis=1), atol=0.02 if kind == "u1" else 1e-4)


def test_a_tone_keeps_its_pitch_when_resampled(tmp_path):
    time = np.arange(44100) / 44100
    wavfile.write(tmp_path / "tone.wav", 44100, np.sin(2 * np.pi * 440 * time).astype(np.float32))
    wave = read_wave(tmp_path / "tone.wav", 16000)
    assert len(wave) == 16000
    assert np.abs(np.fft.rfft(wave)).argmax() == 440


def test_sounds_that_cannot_be_used_are_named(models, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF....WAVEjunk")
    wavfile.write(tmp_path / "none.wav", 8000, np.empty(0, np.int16))
    wavfile.write(tmp_path / "click.wav", 8000, np.ones(150, np.int16))
    made = encoder(models("clap"), modality="audio")
    with pytest.raises(ValueError, match=r"bad\.wav: this sound cannot be read .*ffmpeg"):
        encode(made, [tmp_path / "bad.wav"])
    with pytest.raises(ValueError, match=r"none\.wav: this sound (holds no sample|cannot be read)"):
        encode(made, [tmp_path / "none.wav"])
    with pytest.raises(ValueError, match=r"click\.wav: this sound is 18\.8 ms long"):
        encode(made, [tmp_path / "click.wav"])


def test_fusing_sound_encoders_are_refused(tmp_path):
    folder = tiny.save_clap(tmp_path / "fused", truncation="fusion")
    with pytest.raises(ValueError, match="fuses random parts"):
        encode(encoder(folder, modality="audio"), [tmp_path / "any.wav"])


# ---------------------------------------------------------------- sentences


def test_long_sentences_are_cut_with_a_warning(models):
    long = " ".join(["cat"] * 100)
    with pytest.warns(
        TruncatedTextWarning, match=r"1 of 2 sentences were cut to 64 tokens, the first one being 'cat cat"
    ):
        cut = encode(encoder(models("bert")), ["a dog", long])
    assert np.isfinite(cut).all()
    exact = " ".join(["cat"] * 62)  # with its two special tokens just fits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_allclose_report(encode(encoder(models("bert")), [exact])[0], cut[1], **ROUNDING)


def test_clip_cuts_before_the_end_of_text_token(models):
    with pytest.warns(TruncatedTextWarning):
        cut = encode(encoder(models("clip"), modality="text", max_length=6), ["cat " * 20])
    assert_allclose_report(cut, encode(encoder(models("clip"), modality="text"), ["cat " * 4]), **ROUNDING)


@pytest.mark.parametrize("family", ["roberta", "mpnet"])
def test_the_longest_sentence_fits_the_positions(models, family, tmp_path):
    folder = shutil.copytree(models(family), tmp_path / family)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["model_max_length"] = 10**30  # as tokenizers without a limit have
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    made = encoder(folder)
    assert made.identity["input"]["max_length"] == 64
    with pytest.warns(TruncatedTextWarning):
        assert np.isfinite(encode(made, ["cat " * 100, "a"])).all()


def test_sentences_without_tokens_are_refused(models):
    with pytest.raises(ValueError, match=r"sentence 1 \(''\) has no token; leave it out"):
        encode(encoder(models("gpt2")), ["a cat", "", "a dog"])


def test_a_tokenizer_of_another_network_is_noticed(models, tmp_path):
    folder = shutil.copytree(models("bert"), tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][:6].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 6}))
    with pytest.raises(ValueError, match=r"network knows 0 to 5; they belong to different models"):
        encode(encoder(folder), SENTENCES)


# ---------------------------------------------------------------- names, folders, errors


def test_the_catalogue_is_consistent():
    for name, entry in CATALOGUE.items():
        towers = {family.modality: family for family in FAMILIES[entry.family]}
        assert set(entry.modalities) == set(towers), name
        assert entry.pooling is None or all(entry.pooling in family.poolings for family in towers.values())
        assert entry.revision == "main" or (len(entry.revision) == 40 and int(entry.revision, 16))
    assert set(table().columns) == {"modality", "dim", "licence", "hub", "revision"}
    widths = table()["dim"]
    for name, width in {"dinov2-s14": 384, "dino-b8": 768, "bert-large": 1024, "gpt2-large": 1280}.items():
        assert widths[name] == width


def test_unknown_names_get_close_matches():
    with pytest.raises(UnknownNameError, match=r"unknown encoder 'dinov2-s16'; did you mean 'dinov2-s14'"):
        encoder("dinov2-s16")
    for name in ("clip-rn50", "audioclip"):
        with pytest.raises(ValueError, match=rf"{name}: .* load them as feature files"):
            encoder(name)


def test_a_wrong_modality_is_told_before_anything_is_read():
    with pytest.raises(ValueError, match="openllama-3b: encodes text, not 'image'; choose another encoder"):
        encoder("openllama-3b", modality="image")
    with pytest.raises(ValueError, match="clip-vit-b16: encodes image and text; say which with modality="):
        encoder("clip-vit-b16")


def test_options_that_do_not_exist_are_told(models):
    with pytest.raises(
        UnknownNameError,
        match=r"unknown pooling of .*bert.* \(text\) 'max'; did you mean 'mean'\? known: 'cls', 'mean'",
    ):
        encoder(models("bert"), pooling="max")
    with pytest.raises(UnknownNameError, match=r"unknown dtype 'float17'; did you mean 'float16'"):
        encoder(models("bert"), dtype="float17")
    with pytest.raises(UnknownNameError, match=r"unknown preprocessing 'clop'; did you mean 'clip'"):
        encoder(models("vit"), preprocessing="clop")
    with pytest.raises(ValueError, match=r"batch_size must be a whole number >= 1, got 0"):
        encoder(models("bert"), batch_size=0)
    with pytest.raises(ValueError, match=r"size \(100, 100\) cannot be cut into patches of 56 pixels"):
        encoder(models("vit"), preprocessing=ImageTransform.named("clip", 100))
    with pytest.raises(ValueError, match=r"max_length must be between 1 and 64, got 65"):
        encode(encoder(models("bert"), max_length=65), ["a cat"])
    with pytest.raises(ValueError, match=r"folder= goes with a short name"):
        encoder(models("bert"), folder=models("bert"))
    with pytest.raises(ValueError, match=r"a folder has no revision"):
        encoder(models("bert"), revision="main")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"device 'cuda': PyTorch sees no CUDA device here"):
            encode(encoder(models("bert"), device="cuda"), ["a cat"])
    with pytest.raises(ValueError, match="nothing to encode; give at least one input"):
        encode(encoder(models("bert")), [])


def test_folders_that_hold_no_encoder_are_told(models, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder .*gone does not exist; give the folder"):
        encoder(tmp_path / "gone")
    with pytest.raises(
        FileNotFoundError, match=r"holds no config\.json; give the folder that save_pretrained"
    ):
        encoder(str(tmp_path))
    for missing, what, pattern in (
        ("model.safetensors", "bert", "gives no weights"),
        ("tokenizer.json", "bert", "gives no tokenizer"),
        (
            "preprocessor_config.json",
            "vit",
            r"gives no preprocessor_config\.json \(preprocessing='clip' needs none\)",
        ),
    ):
        folder = shutil.copytree(models(what), tmp_path / f"no-{missing}")
        (folder / missing).unlink()
        with pytest.raises(EncoderUnavailableError, match=pattern):
            encode(encoder(folder, preprocessing="native"), SENTENCES)
    folder = shutil.copytree(models("bert"), tmp_path / "strange")
    (folder / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(
        ValueError, match=r"networks of type 't5' are not supported .* neural\.embed\.register"
    ):
        encoder(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(EncoderUnavailableError, match="gives no configuration"):
        encoder(folder)


def test_weights_that_leave_the_network_at_random_are_refused(models, tmp_path):
    folder = shutil.copytree(models("bert"), tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"lack 1 tensors of the network \(encoder\.layer\.0\.attention.*would stay random"
    ):
        encode(encoder(folder), SENTENCES)


def test_a_hub_that_cannot_be_asked_is_told_with_the_way_out():
    entry = Listing("nobody-there/no-such-model", "bert", ("text",), 32, "MIT", revision="0" * 40)
    register_checkpoint("no-such-model", entry)
    try:
        with pytest.raises(
            EncoderUnavailableError,
            match=r"no configuration of 'nobody-there/no-such-model' at revision '0{40}' .*"
            r"hf download nobody-there/no-such-model --revision 0{40} --local-dir FOLDER",
        ):
            encoder("no-such-model", local_files_only=True)
        with pytest.raises(ValueError, match="this short name is taken"):
            register_checkpoint("no-such-model", Listing("other/model", "bert", ("text",), 32, "MIT"))
    finally:
        del CATALOGUE["no-such-model"]


def test_a_short_name_takes_a_local_folder_and_checks_that_it_fits(models):
    register_checkpoint(
        "tiny-bert", Listing("nobody-there/tiny", "bert", ("text",), 32, "MIT", pooling="mean")
    )
    register_checkpoint("wide-bert", Listing("nobody-there/wide", "bert", ("text",), 64, "MIT"))
    try:
        made = encoder("tiny-bert", folder=models("bert"))
        assert encoder(f"tiny-bert={models('bert')}").name == made.name == "tiny-bert"
        assert made.name == "tiny-bert"
        assert_allclose_report(
            encode(made, SENTENCES), encode(encoder(models("bert"), pooling="mean"), SENTENCES)
        )
        with pytest.raises(ValueError, match=r"holds a network of type 'gpt2', not 'bert'"):
            encoder("tiny-bert", folder=models("gpt2"))
        with pytest.raises(ValueError, match=r"gives 32 features, wide-bert has 64; give the right folder"):
            encoder("wide-bert", folder=models("bert"))
    finally:
        del CATALOGUE["tiny-bert"], CATALOGUE["wide-bert"]


def test_the_fingerprint_follows_the_files_not_their_place(models, tmp_path):
    copy = shutil.copytree(models("bert"), tmp_path / "copy")
    (copy / "README.md").write_text("about")
    original = encoder(models("bert")).identity
    assert encoder(copy).identity == original
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        other = shutil.copytree(models("bert"), tmp_path / f"other-{name}")
        (other / name).write_bytes((other / name).read_bytes() + b" ")
        assert encoder(other).checkpoint.fingerprint != original["files"]


def test_functions_become_encoders_and_are_checked():
    @register("words", modality="text", version="1")
    def words(sentences):
        return [[len(sentence.split())] for sentence in sentences]

    assert encode(encoder("words"), ["a cat", "a"]).tolist() == [[2.0], [1.0]]
    with pytest.raises(ValueError, match="words: encodes text, not 'image'"):
        encoder("words", modality="image")
    with pytest.raises(ValueError, match="a function has no token-level features"):
        encode_tokens(words, ["a"])
    with pytest.raises(ValueError, match="this short name is taken by facebook/dinov2-small"):
        register("dinov2-s14", modality="image", version="1")
    with pytest.raises(ValueError, match="modality must be 'text', 'image' or 'audio', got 'smell'"):
        register("nose", modality="smell", version="1")
    flat = register("flat", modality="text", version="1")(lambda sentences: [0.0] * len(sentences))
    with pytest.raises(
        ValueError, match=r"flat: the function must return shape \(2, d\) for 2 inputs, got \(2,\)"
    ):
        encode(flat, ["a", "b"])


@settings(max_examples=5)
@given(seeds)
def test_repeated_sentences_get_equal_features(models, seed):
    rng = np.random.default_rng(seed)
    chosen = [SENTENCES[i] for i in rng.integers(0, len(SENTENCES), 20)]
    features = encode(encoder(models("gpt2"), batch_size=int(rng.integers(1, 9))), chosen)
    for i, sentence in enumerate(chosen):
        assert_allclose_report(features[i], features[chosen.index(sentence)], **ROUNDING)


def test_paths_can_be_strings(models, inputs):
    made = encoder(models("vit"))
    np.testing.assert_array_equal(
        encode(made, [str(path) for path in inputs["image"]]),
        encode(made, [Path(p) for p in inputs["image"]]),
    )
