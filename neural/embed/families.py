"""Networks by family: how each is run, what its tokens are, which poolings mean something for it.

Poolings follow the released code where it has one: class token after the final norm for DINO and DINOv2, projected
class token and projected end-of-text token for CLIP, first token for BERT and RoBERTa, mean over tokens (the first one
included) for GPT-2 and LLaMA.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from neural.embed.pooling import Hidden, pool

__all__ = ["FAMILIES", "Family", "family_of"]

Batch = Mapping[str, Tensor]
Network = Any  # of transformers; what it has depends on the family


@dataclass(frozen=True)
class Family:
    """How networks of one type encode one modality.

    The first of the poolings is the default; `options` are further arguments of ``from_pretrained``.
    """

    modality: str
    poolings: tuple[str, ...]
    forward: Callable[[Network, Batch], Hidden]
    options: Mapping[str, Any] = field(default_factory=dict)


def _visual(tokens: Tensor, prefix: int, own: Mapping[str, Tensor] | None = None) -> Hidden:
    everything = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    return Hidden(tokens, everything, prefix, own or {})


def _vit(network: Network, batch: Batch) -> Hidden:
    return _visual(network(**batch, interpolate_pos_encoding=True).last_hidden_state, prefix=1)


def _dinov2(network: Network, batch: Batch) -> Hidden:
    registers = getattr(network.config, "num_register_tokens", 0)
    return _visual(network(**batch).last_hidden_state, prefix=1 + registers)


def _clip_image(network: Network, batch: Batch) -> Hidden:
    # asked for only where it is needed: the argument came after version 4.45
    resampled = batch["pixel_values"].shape[-1] != network.config.vision_config.image_size
    out = network.vision_model(**batch, **({"interpolate_pos_encoding": True} if resampled else {}))
    return _visual(out.last_hidden_state, 1, {"cls": network.visual_projection(out.pooler_output)})


def _clip_text(network: Network, batch: Batch) -> Hidden:
    tokens = network.text_model(**batch).last_hidden_state
    hidden = Hidden(tokens, batch["attention_mask"].bool())
    # by position, not by token number: what the network itself takes for the end depends on its configuration's age
    end = network.text_projection(pool(hidden, "eot").to(tokens.dtype))
    return Hidden(tokens, hidden.mask, own={"eot": end})


def _clap_audio(network: Network, batch: Batch) -> Hidden:
    out = network.audio_model(**batch)
    grid = out.last_hidden_state  # (b, d, frequency, time)
    return _visual(grid.flatten(2).transpose(1, 2), 0, {"mean": network.audio_projection(out.pooler_output)})


def _clap_text(network: Network, batch: Batch) -> Hidden:
    out = network.text_model(**batch)
    own = {"cls": network.text_projection(out.pooler_output)}
    return Hidden(out.last_hidden_state, batch["attention_mask"].bool(), own=own)


def _ast(network: Network, batch: Batch) -> Hidden:
    out = network(**batch)  # two class tokens, as in DeiT; the network's own summary is their mean
    return _visual(out.last_hidden_state, 2, {"cls": out.pooler_output})


def _reader(network: Network, batch: Batch) -> Hidden:
    return Hidden(network(**batch).last_hidden_state, batch["attention_mask"].bool())


def _causal(network: Network, batch: Batch) -> Hidden:
    return Hidden(network(**batch, use_cache=False).last_hidden_state, batch["attention_mask"].bool())


_HEADLESS = {"add_pooling_layer": False}  # a pooling layer that the checkpoint lacks would be random
_VIT = Family("image", ("cls", "mean"), _vit, _HEADLESS)
_DINOV2 = Family("image", ("cls", "mean"), _dinov2)
_BERT = Family("text", ("cls", "mean"), _reader, _HEADLESS)
_GPT = Family("text", ("mean", "eot"), _causal)

FAMILIES: dict[str, tuple[Family, ...]] = {
    "vit": (_VIT,),
    "dinov2": (_DINOV2,),
    "dinov2_with_registers": (_DINOV2,),
    "clip": (
        Family("image", ("cls", "mean"), _clip_image),
        Family("text", ("eot", "mean"), _clip_text),
    ),
    "bert": (_BERT,),
    "roberta": (_BERT,),
    "xlm-roberta": (_BERT,),
    "mpnet": (_BERT,),
    "distilbert": (Family("text", ("cls", "mean"), _reader),),
    "gpt2": (_GPT,),
    "llama": (_GPT,),
    "mistral": (_GPT,),
    "clap": (
        Family("audio", ("mean",), _clap_audio),
        Family("text", ("cls", "mean"), _clap_text),
    ),
    "audio-spectrogram-transformer": (Family("audio", ("cls", "mean"), _ast),),
}


def family_of(model_type: str, modality: str | None, name: str) -> Family:
    """How to run a network of a type that its configuration names; no modality is needed where it encodes one."""
    if model_type not in FAMILIES:
        raise ValueError(
            f"{name}: networks of type {model_type!r} are not supported (supported: {', '.join(sorted(FAMILIES))}); "
            "wrap it in a function of your own with neural.embed.register"
        )
    towers = {family.modality: family for family in FAMILIES[model_type]}
    if modality is None and len(towers) > 1:
        raise ValueError(f"{name}: encodes {' and '.join(towers)}; say which with modality=")
    if modality is None:
        return next(iter(towers.values()))
    if modality not in towers:
        raise ValueError(f"{name}: encodes {' and '.join(towers)}, not {modality!r}; choose another encoder")
    return towers[modality]
