"""Modules that have moved: their old names still import, with a warning, until the next release."""

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

__all__ = ["MOVED", "install"]

MOVED = {
    "neural.array_cache": "neural.store.array_cache",
    "neural.batched_autoencoder": "neural.autoencoder.batched",
    "neural.checkpoints": "neural.store.checkpoints",
    "neural.encoders": "neural.embed",
    "neural.features": "neural.embed",
    "neural.picture_encoder": "neural.embed.picture_encoder",
    "neural.runs": "neural.autoencoder.runs",
    "neural.training": "neural.autoencoder.training",
    "neural.word_encoder": "neural.embed.word_encoder",
}
_SPLIT = ("neural.data",)  # a room whose modules went to several
_WORLDS = (
    "concepts",
    "digits",
    "glyph_classes",
    "glyph_names",
    "glyph_outline_rows",
    "glyph_outlines",
    "glyph_pictures",
    "glyphs",
)
_TASKS = ("encoded", "files", "imagenet_esc", "modalities", "pixels", "task")
_ENCODERS = ("catalogue", "encoder", "families", "images", "pooling", "readers", "registry")
_FEATURES = ("cache", "claims", "digests", "maintenance", "shards", "store")
MOVED |= {f"neural.data.{name}": f"neural.worlds.{name}" for name in _WORLDS}
MOVED |= {f"neural.data.{name}": f"neural.tasks.{name}" for name in _TASKS}
MOVED |= {f"neural.encoders.{name}": f"neural.embed.{name}" for name in _ENCODERS}
MOVED |= {f"neural.features.{name}": f"neural.embed.{name}" for name in _FEATURES}
MOVED |= {
    "neural.encoders.audio": "neural.embed.waveforms",
    "neural.encoders.checkpoint": "neural.embed.weights",
}


class _Forwarder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the module of the new name, and lets the old name stand for it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module that has moved; None for any other."""
        del path, target
        if fullname in MOVED or fullname in _SPLIT:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=fullname in _SPLIT)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and put the module of the new name in the place of this one."""
        old = module.__name__
        if old in _SPLIT:
            return  # its modules warn
        new = MOVED[old]
        warnings.warn(f"{old} has moved to {new}", DeprecationWarning, stacklevel=2)
        sys.modules[old] = importlib.import_module(new)


def install() -> None:
    """Look for moved modules before any others, once."""
    if not any(isinstance(finder, _Forwarder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Forwarder())
