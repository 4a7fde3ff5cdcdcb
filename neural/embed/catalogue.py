"""Checkpoints by short name: where each is published, at which revision, its width and licence."""

from dataclasses import dataclass, replace

import pandas as pd

from fisherkit.checks import UnknownNameError

__all__ = ["CATALOGUE", "Listing", "listing", "register_checkpoint", "table"]

_APACHE, _MIT, _BSD = "Apache-2.0", "MIT", "BSD-3-Clause"


@dataclass(frozen=True)
class Listing:
    """A published checkpoint."""

    hub: str  # name on the Hugging Face hub, ``owner/model``
    family: (
        str  # ``model_type`` of its configuration; decides how it is run and pooled (`neural.embed.families`)
    )
    modalities: tuple[str, ...]  # two for a pair of towers
    dim: int  # number of features with the default pooling
    licence: str  # of the weights, as their model card or repository states it
    revision: str = "main"  # commit; "main" takes whatever is newest and records the commit it got
    pooling: str | None = None  # "cls", "mean" or "eot"; None takes the family's default
    normalize: bool = False  # whether features have unit length unless asked otherwise


def _dino(size: str, patch: int, dim: int, revision: str = "main") -> Listing:
    return Listing(f"facebook/dino-vit{size}{patch}", "vit", ("image",), dim, _APACHE, revision)


def _dinov2(size: str, dim: int, revision: str = "main") -> Listing:
    return Listing(f"facebook/dinov2-{size}", "dinov2", ("image",), dim, _APACHE, revision)


def _clip(variant: str, dim: int, revision: str) -> Listing:
    return Listing(f"openai/clip-vit-{variant}", "clip", ("image", "text"), dim, _MIT, revision)


def _text(hub: str, family: str, dim: int, licence: str, revision: str = "main") -> Listing:
    return Listing(hub, family, ("text",), dim, licence, revision)


def _sentences(hub: str, family: str, dim: int, licence: str, revision: str = "main") -> Listing:
    return replace(_text(hub, family, dim, licence, revision), pooling="mean", normalize=True)


CATALOGUE: dict[str, Listing] = {
    "dino-s8": _dino("s", 8, 384),
    "dino-s16": _dino("s", 16, 384),
    "dino-b8": _dino("b", 8, 768),
    "dino-b16": _dino("b", 16, 768, "f205d5d8e640a89a2b8ef0369670dfc37cc07fc2"),
    "dinov2-s14": _dinov2("small", 384, "ed25f3a31f01632728cabb09d1542f84ab7b0056"),
    "dinov2-b14": _dinov2("base", 768, "f9e44c814b77203eaa57a6bdbbd535f21ede1415"),
    "dinov2-l14": _dinov2("large", 1024, "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c"),
    "dinov2-g14": _dinov2("giant", 1536),
    "clip-vit-b32": _clip("base-patch32", 512, "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"),
    "clip-vit-b16": _clip("base-patch16", 512, "57c216476eefef5ab752ec549e440a49ae4ae5f3"),
    "clip-vit-l14": _clip("large-patch14", 768, "32bd64288804d66eefd0ccbe215aa642df71cc41"),
    "openllama-3b": _text(
        "openlm-research/open_llama_3b", "llama", 3200, _APACHE, "141067009124b9c0aea62c76b3eb952174864057"
    ),
    "openllama-7b": _text("openlm-research/open_llama_7b", "llama", 4096, _APACHE),
    "bert-large": _text(
        "google-bert/bert-large-uncased", "bert", 1024, _APACHE, "6da4b6a26a1877e173fca3225479512db81a5e5b"
    ),
    "roberta-large": _text(
        "FacebookAI/roberta-large", "roberta", 1024, _MIT, "722cf37b1afa9454edce342e7895e588b6ff1d59"
    ),
    "gpt2-large": _text(
        "openai-community/gpt2-large", "gpt2", 1280, _MIT, "32b71b12589c2f8d625668d2335a01cac3249519"
    ),
    "minilm": _sentences(
        "sentence-transformers/all-MiniLM-L6-v2",
        "bert",
        384,
        _APACHE,
        "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
    ),
    "mpnet": _sentences("sentence-transformers/all-mpnet-base-v2", "mpnet", 768, _APACHE),
    "clap": Listing(
        "laion/clap-htsat-unfused",
        "clap",
        ("audio", "text"),
        512,
        _APACHE,
        "8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
    ),
    "ast": Listing(
        "MIT/ast-finetuned-audioset-10-10-0.4593",
        "audio-spectrogram-transformer",
        ("audio",),
        768,
        _BSD,
        "f826b80d28226b62986cc218e5cec390b1096902",
    ),
}

# Networks that transformers does not hold; their features are read from files.
_FILES_ONLY = {
    "clip-rn50": "CLIP with a ResNet",
    "clip-rn101": "CLIP with a ResNet",
    "audioclip": "AudioCLIP",
}


def listing(name: str) -> Listing:
    """The checkpoint of a short name.

    Args:
        name: short name, e.g. "dinov2-s14".

    Returns:
        Its listing.

    Raises:
        UnknownNameError: no such name.
        ValueError: a network that can be used through feature files alone.

    Example:
        >>> listing("dinov2-s14").hub
        'facebook/dinov2-small'
        >>> listing("dino2-s14")
        Traceback (most recent call last):
        ...
        fisherkit.checks.UnknownNameError: unknown encoder 'dino2-s14'; did you mean 'dinov2-s14' ...
    """
    if name in _FILES_ONLY:
        raise ValueError(
            f"{name}: {_FILES_ONLY[name]} is not among the networks of transformers; extract its features with its "
            "own package and load them as feature files, or use 'clip-vit-b16' (image, text) or 'clap' (audio, text)"
        )
    if name not in CATALOGUE:
        raise UnknownNameError(name, CATALOGUE, "encoder")
    return CATALOGUE[name]


def register_checkpoint(name: str, entry: Listing) -> None:
    """Give a checkpoint of one's own a short name.

    Args:
        name: short name; may not be taken by another checkpoint.
        entry: its listing.

    Raises:
        ValueError: the name stands for something else.

    Example:
        >>> entry = Listing("me/my-vit", "vit", ("image",), 384, "MIT")
        >>> register_checkpoint("my-vit", entry)
        >>> CATALOGUE.pop("my-vit") == entry
        True
    """
    if CATALOGUE.get(name, entry) != entry or name in _FILES_ONLY:
        raise ValueError(f"{name}: this short name is taken; choose another one")
    CATALOGUE[name] = entry


def table() -> pd.DataFrame:
    """All short names with their width, licence and origin.

    Returns:
        One row per checkpoint, indexed by short name.

    Example:
        >>> table().loc[["dinov2-s14", "openllama-3b"], ["dim", "licence"]]
                       dim     licence
        name
        dinov2-s14     384  Apache-2.0
        openllama-3b  3200  Apache-2.0
    """
    rows = [
        {
            "name": name,
            "modality": ", ".join(entry.modalities),
            "dim": entry.dim,
            "licence": entry.licence,
            "hub": entry.hub,
            "revision": entry.revision,
        }
        for name, entry in CATALOGUE.items()
    ]
    return pd.DataFrame(rows).set_index("name")
