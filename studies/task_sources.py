"""Where a study's task comes from: a source with settings by name, or the user's own files."""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from fisherkit.checks import UnknownNameError
from neural.data.task import Task

__all__ = ["SOURCES", "make_task", "parse_settings"]


def _glyphs(*, seed: int, cache: Path | None, device: str, **settings: Any) -> Task:  # noqa: ANN401
    from neural.data.glyphs import glyphs

    return glyphs(seed=seed, cache=cache, **settings)


def _concepts(*, seed: int, cache: Path | None, device: str, **settings: Any) -> Task:  # noqa: ANN401
    from neural.data.concepts import ConceptWorld, concepts

    law = {name: settings.pop(name) for name in _world_settings() if name in settings}
    return concepts(ConceptWorld(**law), seed=seed, **settings)


def _digits(*, seed: int, cache: Path | None, device: str, **settings: Any) -> Task:  # noqa: ANN401
    from neural.data.digits import digits

    return digits(seed=seed, **settings)


SOURCES: Mapping[str, Callable[..., Task]] = {"glyphs": _glyphs, "concepts": _concepts, "digits": _digits}


def _world_settings() -> list[str]:
    from neural.data.concepts import ConceptWorld

    return [field.name for field in fields(ConceptWorld)]


def _known_settings(source: str) -> list[str]:
    from neural.data.concepts import concepts
    from neural.data.digits import digits
    from neural.data.glyphs import glyphs

    function: Callable[..., Task] = {"glyphs": glyphs, "concepts": concepts, "digits": digits}[source]
    names = [
        name for name in inspect.signature(function).parameters if name not in {"seed", "cache", "world"}
    ]
    return names + (_world_settings() if source == "concepts" else [])


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Settings of a source as given on a command line.

    Args:
        texts: NAME=VALUE each; values are Python literals, or text.

    Returns:
        {name: value}.

    Raises:
        ValueError: no "=".

    Example:
        >>> parse_settings(["rank=4", "texts=coarse", "alignment={'text': 0.5}"])
        {'rank': 4, 'texts': 'coarse', 'alignment': {'text': 0.5}}
    """
    settings = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise ValueError(f"--set {text}: expected NAME=VALUE, as in --set rank=4")
        try:
            settings[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            settings[name] = value
    return settings


def make_task(
    source: str, settings: Mapping[str, Any], *, seed: int, cache: Path | None, device: str = "cpu"
) -> Task:
    """The task of a source.

    Args:
        source: key of `SOURCES`.
        settings: keyword arguments of the source (see its docstring).
        seed: of the data.
        cache: folder for what takes long to compute.
        device: where encoders run.

    Returns:
        Task.

    Raises:
        UnknownNameError: no such source, or the source has no such setting.

    Example:
        >>> make_task("concepts", {"n_classes": 5, "rank": 2}, seed=0, cache=None).dims
        {'image': 96, 'text': 64}
    """
    if source not in SOURCES:
        raise UnknownNameError(source, SOURCES, "data set")
    known = _known_settings(source)
    for name in settings:
        if name not in known:
            raise UnknownNameError(name, known, f"setting of {source!r}")
    return SOURCES[source](seed=seed, cache=cache, device=device, **settings)
