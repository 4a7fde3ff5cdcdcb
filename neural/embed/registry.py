"""Encoders by name: functions of the user's own, published checkpoints, folders, models on the hub."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike

from fisherkit.checks import UnknownNameError, as_whole
from neural.embed.catalogue import CATALOGUE, Listing, listing
from neural.embed.encoder import Encoder, FunctionEncoder, PretrainedEncoder
from neural.embed.families import Family, family_of
from neural.embed.images import ImageTransform, native_transform
from neural.embed.readers import AudioReader, ImageReader, Reader, TextReader
from neural.embed.weights import Checkpoint, Config

__all__ = ["encoder", "register"]

_FUNCTIONS: dict[str, FunctionEncoder] = {}
_SENTENCES = "sentence-transformers/"
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def register(
    name: str, *, modality: str, version: str
) -> Callable[[Callable[[list[Any]], ArrayLike]], FunctionEncoder]:
    """Make a function an encoder, known by name to everything that takes one.

    Args:
        name: short name; may not be one of a checkpoint's.
        modality: "text" (the function gets strings), "image" or "audio" (it gets paths).
        version: part of the cache's key; change it when the function's results change.

    Returns:
        Decorator; what it returns is the encoder.

    Raises:
        ValueError: a name that is taken, an unknown modality.

    Example:
        >>> @register("letters", modality="text", version="1")
        ... def letters(sentences):
        ...     return [[sentence.count(letter) for letter in "abc"] for sentence in sentences]
        >>> from neural.embed import encode
        >>> encode(encoder("letters"), ["a cab", "bb"])
        array([[2., 1., 1.],
               [0., 2., 0.]], dtype=float32)
    """
    if name in CATALOGUE:
        raise ValueError(f"{name}: this short name is taken by {CATALOGUE[name].hub}; choose another one")
    if modality not in {"text", "image", "audio"}:
        raise ValueError(f"{name}: modality must be 'text', 'image' or 'audio', got {modality!r}")

    def decorate(function: Callable[[list[Any]], ArrayLike]) -> FunctionEncoder:
        made = FunctionEncoder(name, modality, version, function)
        _FUNCTIONS[name] = made
        return made

    return decorate


def encoder(
    name: str | Path,
    *,
    modality: str | None = None,
    folder: Path | str | None = None,
    revision: str | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    preprocessing: str | ImageTransform = "clip",
    max_length: int | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    batch_size: int = 32,
    workers: int | None = None,
    local_files_only: bool = False,
) -> Encoder:
    """An encoder, ready to use; weights are loaded when the first input comes.

    Args:
        name: short name (`neural.embed.table` lists them), folder that ``save_pretrained`` wrote, hub name
            ``owner/model``, or the name of a registered function; NAME=FOLDER is a short name with `folder`.
        modality: which tower, for networks with two (CLIP, CLAP); else checked if given.
        folder: where the files of a short name lie on this machine; nothing is asked of the hub then.
        revision: commit, tag or branch on the hub; None takes the catalogue's. The commit is recorded.
        pooling: "cls", "mean" or "eot"; None takes the encoder's default.
        normalize: unit length; None takes the encoder's default, which is False but for sentence encoders.
        preprocessing: of images: "clip" (shorter side 224, central crop, CLIP's statistics, as the released code does
            for every network), "imagenet" or "half" (the same with other statistics), "native" (the checkpoint's own
            ``preprocessor_config.json``), or an `ImageTransform`.
        max_length: tokens per sentence at most; None takes what the network allows.
        dtype: "float32", "float16" or "bfloat16".
        device: torch's name of it.
        batch_size: inputs at a time.
        workers: threads that decode images.
        local_files_only: use the local hub cache and no network.

    Returns:
        Encoder.

    Raises:
        UnknownNameError: a name, pooling, preprocessing or dtype that does not exist.
        ValueError: an encoder of another modality, options that do not go together.

    Example:
        >>> encoder("openlama-3b")
        Traceback (most recent call last):
        ...
        fisherkit.checks.UnknownNameError: unknown encoder 'openlama-3b'; did you mean 'openllama-3b' ...
    """
    if isinstance(name, str) and folder is None:
        short, sign, place = name.partition("=")
        if sign and short in CATALOGUE:
            name, folder = short, place
    if name in _FUNCTIONS:
        made = _FUNCTIONS[str(name)]
        if modality not in {None, made.modality}:
            raise ValueError(f"{name}: encodes {made.modality}, not {modality!r}; choose another encoder")
        return made
    if dtype not in _DTYPES:
        raise UnknownNameError(dtype, _DTYPES, "dtype")
    checkpoint, entry = _locate(name, folder, revision, local_files_only)
    if entry is not None:  # known without a look at the files
        family_of(entry.family, modality, str(name))
    family = family_of(checkpoint.config.model_type, modality, str(name))
    if entry is not None:
        _check_listing(checkpoint, entry, family)
    how = pooling or (entry and entry.pooling) or _default_pooling(checkpoint, family)
    if how not in family.poolings:
        raise UnknownNameError(how, family.poolings, f"pooling of {name} ({family.modality})")
    if normalize is None:
        normalize = entry is not None and entry.normalize
    return PretrainedEncoder(
        str(name),
        checkpoint,
        family,
        _reader(checkpoint, family, preprocessing, max_length, workers),
        how,
        normalize,
        _DTYPES[dtype],
        device,
        as_whole(batch_size, f"{name}: batch_size", least=1),
    )


def _locate(
    name: str | Path, folder: Path | str | None, revision: str | None, local: bool
) -> tuple[Checkpoint, Listing | None]:
    text = str(name)
    if isinstance(name, str) and (name in CATALOGUE or ("/" not in name and not Path(name).is_dir())):
        try:
            entry = listing(name)
        except UnknownNameError:
            raise UnknownNameError(name, [*CATALOGUE, *_FUNCTIONS], "encoder") from None
        if folder is not None:
            return Checkpoint(text, Path(folder)), entry
        return Checkpoint(text, entry.hub, revision or entry.revision, local), entry
    if folder is not None:
        raise ValueError(f"{name}: folder= goes with a short name; give the folder itself instead")
    if isinstance(name, Path) or text.startswith((".", "/", "~")) or Path(text).is_dir():
        if revision is not None:
            raise ValueError(f"{name}: a folder has no revision; leave revision= out")
        return Checkpoint(text, Path(text).expanduser()), None
    return Checkpoint(text, text, revision or "main", local), None


def _check_listing(checkpoint: Checkpoint, entry: Listing, family: Family) -> None:
    config = checkpoint.config
    if config.model_type != entry.family:
        raise ValueError(
            f"{checkpoint.name}: {checkpoint.location} holds a network of type {config.model_type!r}, not {entry.family!r}; "
            "give the right folder, or the folder alone instead of the short name"
        )
    width = config.projection_dim if len(entry.modalities) > 1 else config.hidden_size
    if width != entry.dim:
        raise ValueError(
            f"{checkpoint.name}: {checkpoint.location} gives {width} features, {checkpoint.name} has {entry.dim}; "
            "give the right folder, or the folder alone instead of the short name"
        )


def _default_pooling(checkpoint: Checkpoint, family: Family) -> str:
    # a sentence encoder says so by this file or its owner; its first token was never trained to sum up a sentence
    folder = checkpoint.folder
    sentences = (
        (folder / "modules.json").is_file() if folder else str(checkpoint.location).startswith(_SENTENCES)
    )
    return "mean" if sentences and "mean" in family.poolings else family.poolings[0]


def _reader(
    checkpoint: Checkpoint,
    family: Family,
    preprocessing: str | ImageTransform,
    max_length: int | None,
    workers: int | None,
) -> Reader:
    if family.modality == "text":
        return TextReader(checkpoint, max_length)
    if family.modality == "audio":
        return AudioReader(checkpoint)
    if preprocessing == "native":
        transform = native_transform(checkpoint.image_settings(), checkpoint.name)
    elif isinstance(preprocessing, ImageTransform):
        transform = preprocessing
    else:
        transform = ImageTransform.named(preprocessing)
    config: Config = getattr(checkpoint.config, "vision_config", checkpoint.config)
    patch = config.patch_size
    size = transform.size
    if size is None or any(side % patch for side in size):
        raise ValueError(
            f"{checkpoint.name}: images of size {size or 'their own'} cannot be cut into patches of {patch} "
            "pixels; choose a crop whose sides are multiples of it"
        )
    return ImageReader(transform, workers)
