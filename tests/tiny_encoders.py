"""Tiny networks of every family with random weights, written to disk by save_pretrained and read like any other.

Widths are small, weights are large (standard deviation 0.3), so that every token moves the result visibly.
"""

from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from scipy.io import wavfile
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTModel,
    BertConfig,
    BertModel,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DistilBertConfig,
    DistilBertModel,
    GPT2Config,
    GPT2Model,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

_TEXT_OF_WORDS = """a the photo of cat dog small large red blue bird flying over water with long tail which is often seen
in gardens and fields it has two short ears"""
WORDS = _TEXT_OF_WORDS.split()
SIZE = 32  # hidden units
_SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": SIZE, "intermediate_size": 48}
_TEXT = {**_SHAPE, "vocab_size": len(WORDS) + 8, "max_position_embeddings": 64}
_IMAGE = {**_SHAPE, "image_size": 224, "patch_size": 56}
# special tokens by position in the vocabulary: (start, padding, end, unknown); None where the family has none
_BERT = ("[CLS]", "[PAD]", "[SEP]", "[UNK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>")
_LLAMA = ("<s>", None, None, "<unk>")
_GPT2 = (None, None, None, "<|endoftext|>")
_CLIP = ("<|startoftext|>", None, "<|endoftext|>", "<unk>")

TEXT_FAMILIES = ("bert", "roberta", "xlm-roberta", "mpnet", "distilbert", "gpt2", "llama", "mistral")
IMAGE_FAMILIES = ("vit", "dinov2", "dinov2_with_registers")


def save_tokenizer(folder, specials, padding_side="right", longest=64):
    """A word-level tokenizer with the family's special tokens."""
    start, pad, end, unknown = specials
    # start 0, padding 1, as in RoBERTa; the end is not 2, which CLIP in transformers takes for "look for the largest"
    vocabulary = {token or f"<unused{i}>": i for i, token in enumerate((start, pad, unknown, end))}
    vocabulary |= {word: i + 4 for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    frame = [(token, vocabulary[token]) for token in (start, end) if token]
    if frame:
        single = " ".join([start] * bool(start) + ["$A"] + [end] * bool(end))
        tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=frame)
    names = {"bos_token": start, "pad_token": pad, "eos_token": end, "unk_token": unknown}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side=padding_side,
        model_max_length=longest,
        **{name: token for name, token in names.items() if token},
    ).save_pretrained(folder)


def save_network(network, folder, seed=0):
    """The network with weights redrawn from the seed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1 or "bias" in name:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    network.save_pretrained(folder)


def text_network(family):
    """Random network and special tokens of a text family."""
    roberta = {**_TEXT, "pad_token_id": 1, "max_position_embeddings": 66}
    causal = {**_TEXT, "num_key_value_heads": 2, "pad_token_id": None}
    makers = {
        "bert": lambda: (BertModel(BertConfig(**_TEXT, pad_token_id=1)), _BERT),
        "roberta": lambda: (RobertaModel(RobertaConfig(**roberta)), _ROBERTA),
        "xlm-roberta": lambda: (XLMRobertaModel(XLMRobertaConfig(**roberta)), _ROBERTA),
        "mpnet": lambda: (MPNetModel(MPNetConfig(**roberta)), _ROBERTA),
        "distilbert": lambda: (
            DistilBertModel(
                DistilBertConfig(vocab_size=len(WORDS) + 8, dim=SIZE, n_layers=2, n_heads=2, hidden_dim=48)
            ),
            _BERT,
        ),
        "gpt2": lambda: (
            GPT2Model(
                GPT2Config(
                    vocab_size=len(WORDS) + 8,
                    n_embd=SIZE,
                    n_layer=2,
                    n_head=2,
                    n_positions=64,
                    bos_token_id=2,
                    eos_token_id=2,
                )
            ),
            _GPT2,
        ),
        "llama": lambda: (LlamaModel(LlamaConfig(**causal)), _LLAMA),
        "mistral": lambda: (MistralModel(MistralConfig(**causal)), _LLAMA),
    }
    return makers[family]()


def save_text(folder, family, padding_side="right", seed=0):
    """A text encoder of a family."""
    network, specials = text_network(family)
    save_network(network, folder, seed)
    save_tokenizer(folder, specials, padding_side)
    return folder


def save_image(folder, family, seed=0):
    """An image encoder of a family, with a preprocessor_config.json of its own."""
    makers = {
        "vit": lambda: ViTModel(ViTConfig(**_IMAGE)),
        "dinov2": lambda: Dinov2Model(Dinov2Config(**_IMAGE)),
        "dinov2_with_registers": lambda: Dinov2WithRegistersModel(
            Dinov2WithRegistersConfig(**_IMAGE, num_register_tokens=3)
        ),
    }
    save_network(makers[family](), folder, seed)
    (Path(folder) / "preprocessor_config.json").write_text(
        '{"do_center_crop": true, "crop_size": {"height": 168, "width": 224}, "size": {"shortest_edge": 256}, '
        '"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4], "resample": 2, "image_processor_type": "BitImageProcessor"}'
    )
    return folder


def save_clip(folder, padding_side="right", seed=0):
    """Both towers of CLIP, 24 joint features."""
    text = {**_TEXT, "bos_token_id": 0, "eos_token_id": 3, "pad_token_id": 3}
    config = CLIPConfig(text_config=text, vision_config=dict(_IMAGE), projection_dim=24)
    save_network(CLIPModel(config), folder, seed)
    save_tokenizer(folder, _CLIP, padding_side)
    return folder


def save_clap(folder, padding_side="right", truncation="rand_trunc", seed=0):
    """Both towers of CLAP, 24 joint features, for sounds of one second at 8 kHz."""
    audio = {
        "hidden_size": 16,
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "num_hidden_layers": 2,
        "spec_size": 64,
        "num_mel_bins": 16,
        "window_size": 4,
        "patch_size": 4,
        "patch_stride": [4, 4],
    }
    text = {**_TEXT, "pad_token_id": 1, "max_position_embeddings": 66}
    save_network(ClapModel(ClapConfig(text_config=text, audio_config=audio, projection_dim=24)), folder, seed)
    ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=80,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=4000,
        truncation=truncation,
    ).save_pretrained(folder)
    save_tokenizer(folder, _ROBERTA, padding_side)
    return folder


def save_ast(folder, seed=0):
    """An audio spectrogram transformer for sounds of 0.655 seconds at 16 kHz."""
    save_network(ASTModel(ASTConfig(**_SHAPE, max_length=64, num_mel_bins=32)), folder, seed)
    ASTFeatureExtractor(num_mel_bins=32, max_length=64).save_pretrained(folder)
    return folder


def save_images(folder, count, seed=0, size=(40, 30)):
    """PNG files of coloured noise."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03}.png" for i in range(count)]
    for path in paths:
        blocks = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(path)
    return paths


def save_sounds(folder, count, rate=8000, seed=0):
    """WAV files (16 bits, mono) of noisy tones, 0.1 to 1.5 seconds long."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:03}.wav" for i in range(count)]
    for path in paths:
        time = np.arange(int(rate * rng.uniform(0.1, 1.5))) / rate
        wave = np.sin(2 * np.pi * rng.uniform(100, 2000) * time) + 0.1 * rng.standard_normal(len(time))
        wavfile.write(path, rate, (wave * 8000).astype(np.int16))
    return paths


def sentences(count, seed=0, longest=20):
    """Different sentences of 1 to `longest` words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest + 1))) for _ in range(count)]


def quiet():
    """No progress bars of transformers in the test's output."""
    transformers.logging.disable_progress_bar()
