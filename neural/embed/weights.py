"""Where an encoder's configuration, weights and tokenizer come from, and which exact ones they are."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoTokenizer
from transformers.image_processing_utils import BaseImageProcessor

__all__ = ["Checkpoint", "Config", "EncoderUnavailableError", "FeatureExtractor", "Tokenizer"]

# of transformers; what each has depends on the network
Config = Any
Tokenizer = Any
FeatureExtractor = Any

# renamed in transformers 4.56
_DTYPE = "dtype" if tuple(map(int, transformers.__version__.split(".")[:2])) >= (4, 56) else "torch_dtype"
_HASHED = {".json", ".safetensors", ".bin", ".model", ".txt"}


class EncoderUnavailableError(OSError):
    """An encoder's files are not here and cannot be fetched; the message says how to bring them."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder written by ``save_pretrained``, or a model on the hub at one revision.

    Nothing is read before it is needed; code that a checkpoint brings along is never run.
    """

    name: str  # how messages call the encoder
    location: str | Path  # hub name ``owner/model``, or a folder
    revision: str = "main"  # commit, tag or branch on the hub; not for folders
    local_files_only: bool = False  # use what is in the local cache and ask no network

    @property
    def folder(self) -> Path | None:
        """The folder; None for a model on the hub."""
        return self.location if isinstance(self.location, Path) else None

    @cached_property
    def config(self) -> Config:
        """Its configuration; a folder without one raises FileNotFoundError."""
        if self.folder is not None and not (self.folder / "config.json").is_file():
            what = "holds no config.json" if self.folder.is_dir() else "does not exist"
            raise FileNotFoundError(
                f"{self.name}: folder {self.folder} {what}; give the folder that save_pretrained (or hf download "
                "--local-dir) wrote: config.json, weights, and tokenizer or preprocessor files"
            )
        with self._asking("configuration"):
            return AutoConfig.from_pretrained(self.location, **self._where)

    @cached_property
    def fingerprint(self) -> Mapping[str, str]:
        """Which files these are: the hub's commit, or a hash of the folder's configuration, weights and vocabulary."""
        if self.folder is None:
            commit = getattr(self.config, "_commit_hash", None) or self.revision
            return {"hub": str(self.location), "revision": commit}
        _ = self.config  # a folder that is none is told here
        digest = hashlib.sha256()
        for path in sorted(self.folder.iterdir()):
            if path.suffix in _HASHED and path.is_file():
                with path.open("rb") as handle:
                    digest.update(
                        f"{path.name} {hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode()
                    )
        return {"files": digest.hexdigest()[:32]}

    def network(self, dtype: torch.dtype, options: Mapping[str, Any]) -> nn.Module:
        """The network with its weights, on the CPU, in evaluation mode; none of it may be left at random."""
        with self._asking("weights"), _quiet():
            network, report = AutoModel.from_pretrained(
                self.location,
                config=self.config,
                output_loading_info=True,
                **{_DTYPE: dtype},
                **options,
                **self._where,
            )
        missing = sorted(map(str, report["missing_keys"]))
        if missing:
            raise ValueError(
                f"{self.name}: the weights of {self.location} lack {len(missing)} tensors of the network "
                f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}), which would stay random; "
                "fetch the checkpoint again"
            )
        return network.eval()

    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        # what OpenLLaMA's authors recommend, since automatic conversions were wrong; transformers 5 has one kind only
        slow = {"use_fast": False} if "open_llama" in str(self.location) else {}
        with self._asking("tokenizer"), _quiet():
            return AutoTokenizer.from_pretrained(self.location, **slow, **self._where)

    def image_settings(self) -> Mapping[str, Any]:
        """Content of its ``preprocessor_config.json`` for images."""
        with self._asking("preprocessor_config.json (preprocessing='clip' needs none)"), _quiet():
            settings, _ = BaseImageProcessor.get_image_processor_dict(self.location, **self._where)
        return settings

    def feature_extractor(self) -> FeatureExtractor:
        """What turns waveforms into the network's input."""
        with self._asking("preprocessor_config.json"), _quiet():
            return AutoFeatureExtractor.from_pretrained(self.location, **self._where)

    @property
    def _where(self) -> dict[str, Any]:
        if self.folder is not None:
            return {"local_files_only": True}
        return {"revision": self.revision, "local_files_only": self.local_files_only}

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            if isinstance(error, EncoderUnavailableError):
                raise
            if self.folder is not None:
                raise EncoderUnavailableError(
                    f"{self.name}: folder {self.folder} gives no {what} ({_first_line(error)}); "
                    "copy the missing files there, or save the model again with save_pretrained"
                ) from error
            raise EncoderUnavailableError(
                f"{self.name}: no {what} of {self.location!r} at revision {self.revision!r} ({_first_line(error)}); where "
                f"there is a network, `hf download {self.location} --revision {self.revision} --local-dir FOLDER` "
                "fetches it (huggingface-cli on older installations); then pass the folder (there is none of that name here)"
            ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Loading reports that are checked here (tensors missing) or mean nothing (tensors without use)."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
