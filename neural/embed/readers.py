"""From files and sentences to batches that a network takes; one reader per modality."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers.utils import is_speech_available

from neural.embed.images import ImageTransform, read_image
from neural.embed.waveforms import read_wave
from neural.embed.weights import Checkpoint, Config, FeatureExtractor, Tokenizer

__all__ = ["AudioReader", "ImageReader", "Reader", "TextReader", "TruncatedTextWarning"]

Batches = Iterator[tuple[NDArray[np.intp], dict[str, Tensor]]]


class TruncatedTextWarning(UserWarning):
    """Sentences longer than the network takes; what is beyond has no part in their features."""


class Reader(Protocol):
    """Prepares inputs of one modality."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything about the preparation that features depend on."""

    def batches(self, inputs: Sequence[Any], size: int) -> Batches:
        """(positions, tensors for the network), every position once."""


@dataclass(frozen=True)
class TextReader:
    """Sentences, tokenised, shortest first, padded on the right whatever the tokenizer's own side is.

    Padding on the right leaves positions as they are for a sentence alone, and a causal network never looks at it.
    `max_length` None takes what tokenizer and network allow.
    """

    checkpoint: Checkpoint
    max_length: int | None = None

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return self.checkpoint.tokenizer()

    @cached_property
    def _config(self) -> Config:
        return getattr(self.checkpoint.config, "text_config", self.checkpoint.config)

    @cached_property
    def _limit(self) -> int:
        positions = getattr(self._config, "max_position_embeddings", None) or 1 << 30
        if self._config.model_type in {"roberta", "xlm-roberta", "mpnet", "clap_text_model"}:
            first = (self._config.pad_token_id or 0) + 1  # positions begin beyond the padding's number
            positions -= first
        limit = min(positions, self._tokenizer.model_max_length)
        if self.max_length is not None and not 1 <= self.max_length <= limit:
            raise ValueError(
                f"{self.checkpoint.name}: max_length must be between 1 and {limit}, got {self.max_length}"
            )
        return int(self.max_length or limit)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Longest sentence, and which of two kinds of tokenizer there was."""
        return {"fast_tokenizer": bool(self._tokenizer.is_fast), "max_length": self._limit}

    def batches(self, inputs: Sequence[str], size: int) -> Batches:
        """(positions, {"input_ids", "attention_mask"}) of sentences."""
        name = self.checkpoint.name
        options = {"truncation": True, "max_length": self._limit}
        tokens = self._tokenizer(list(inputs), **options)["input_ids"] if inputs else []
        lengths = [len(row) for row in tokens]
        if 0 in lengths:
            raise ValueError(
                f"{name}: sentence {lengths.index(0)} ({inputs[lengths.index(0)]!r}) has no token; leave it out"
            )
        vocabulary = self._config.vocab_size
        top = max((max(row) for row in tokens), default=0)
        if top >= vocabulary:
            raise ValueError(
                f"{name}: the tokenizer says {top}, the network knows 0 to {vocabulary - 1}; they belong to different models"
            )
        self._warn_of_truncation(inputs, lengths)
        candidates = (self._config.pad_token_id, self._tokenizer.pad_token_id)
        padding = next((p for p in candidates if p is not None and 0 <= p < vocabulary), 0)
        order = np.argsort(lengths, kind="stable")
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            longest = lengths[int(rows[-1])]
            ids = torch.full((len(rows), longest), padding)
            mask = torch.zeros((len(rows), longest), dtype=torch.int64)
            for i, row in enumerate(rows.tolist()):
                ids[i, : lengths[row]] = torch.tensor(tokens[row])
                mask[i, : lengths[row]] = 1
            yield rows, {"input_ids": ids, "attention_mask": mask}

    def _warn_of_truncation(self, inputs: Sequence[str], lengths: Sequence[int]) -> None:
        full = [i for i, length in enumerate(lengths) if length == self._limit]
        cut = [i for i in full if len(self._tokenizer(inputs[i], verbose=False)["input_ids"]) > self._limit]
        if cut:
            warnings.warn(
                f"{self.checkpoint.name}: {len(cut)} of {len(inputs)} sentences were cut to {self._limit} tokens, "
                f"the first one being {inputs[cut[0]][:60]!r}",
                TruncatedTextWarning,
                stacklevel=2,
            )


@dataclass(frozen=True)
class ImageReader:
    """Images, decoded by threads (as many as cores, eight at most) while the network works on the batch before."""

    transform: ImageTransform
    workers: int | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The transform, and how files become RGB: features that earlier rules made are not taken for today's."""
        return asdict(self.transform) | {"to_rgb": 2}

    def batches(self, inputs: Sequence[Any], size: int) -> Batches:
        """(positions, {"pixel_values"}) of files or Pillow images."""
        starts = range(0, len(inputs), size)
        with ThreadPoolExecutor(self.workers or min(8, os.cpu_count() or 1)) as pool:
            coming = pool.map(self._pixels, inputs[:size])
            for start in starts:
                now, coming = coming, pool.map(self._pixels, inputs[start + size : start + 2 * size])
                pixels = torch.from_numpy(np.stack(list(now)))
                yield np.arange(start, start + len(pixels)), {"pixel_values": pixels}

    def _pixels(self, source: Path | Image.Image) -> NDArray[np.float32]:
        return self.transform(read_image(source))


@dataclass(frozen=True)
class AudioReader:
    """Sound files, each cut to its central part where it is too long, so that nothing is drawn at random."""

    checkpoint: Checkpoint

    @cached_property
    def _extractor(self) -> FeatureExtractor:
        extractor = self.checkpoint.feature_extractor()
        if getattr(extractor, "truncation", None) == "fusion":
            raise ValueError(
                f"{self.checkpoint.name}: its feature extractor fuses random parts of every sound, so features would change "
                "from run to run; use a checkpoint without fusion, such as 'clap'"
            )
        return extractor

    @cached_property
    def _longest(self) -> int:
        extractor = self._extractor
        if hasattr(extractor, "nb_max_samples"):
            return int(extractor.nb_max_samples)
        # frames of 25 ms every 10 ms, as Kaldi's and AST's are
        return int(extractor.sampling_rate * (0.025 + 0.01 * (extractor.max_length - 1)))

    @property
    def settings(self) -> Mapping[str, Any]:
        """Sampling rate, longest sound, and which library computes the spectrogram where there are two."""
        return {
            "extractor": type(self._extractor).__name__,
            "sampling_rate": int(self._extractor.sampling_rate),
            "longest": self._longest,
            "spectrogram": "torchaudio" if is_speech_available() else "numpy",
        }

    def batches(self, inputs: Sequence[Path], size: int) -> Batches:
        """(positions, tensors of the feature extractor) of WAV files."""
        rate = int(self._extractor.sampling_rate)
        for start in range(0, len(inputs), size):
            waves = [self._wave(path, rate) for path in inputs[start : start + size]]
            batch = self._extractor(waves, sampling_rate=rate, return_tensors="pt")
            yield np.arange(start, start + len(waves)), dict(batch)

    def _wave(self, path: Path, rate: int) -> NDArray[np.float32]:
        wave = read_wave(path, rate)
        if len(wave) < rate // 40:
            raise ValueError(
                f"{path}: this sound is {len(wave) / rate * 1000:.1f} ms long, a spectrogram needs 25 ms; leave it out"
            )
        start = max(0, (len(wave) - self._longest) // 2)
        return wave[start : start + self._longest]
