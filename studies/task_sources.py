"""Where a study's task comes from: a source of the project with settings by name."""

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fisherkit.checks import UnknownNameError
from neural.data.concepts import ConceptWorld, concepts
from neural.data.digits import digits
from neural.data.glyphs import GlyphSettings, glyphs
from neural.data.task import Task
from studies.harness import progress_bar

__all__ = ["SOURCES", "make_task", "parse_settings"]


@dataclass(frozen=True)
class Source:
    """A function that makes tasks, and the dataclass that holds some of its settings.

    Attributes:
        function: makes the task.
        holder: dataclass of further settings, passed as the argument named `argument`.
        argument: its name.
        slow: whether the function takes a folder to keep things in, and reports progress.
    """

    function: Callable[..., Task]
    holder: type | None = None
    argument: str = ""
    slow: bool = False

    @property
    def held(self) -> list[str]:
        """Settings that go into the dataclass."""
        return [] if self.holder is None else [field.name for field in fields(self.holder)]

    @property
    def known(self) -> list[str]:
        """Every setting that a command line can give."""
        own = {"seed", "cache", "progress", self.argument}
        return [name for name in inspect.signature(self.function).parameters if name not in own] + self.held


SOURCES: Mapping[str, Source] = {
    "glyphs": Source(glyphs, GlyphSettings, "settings", slow=True),
    "concepts": Source(concepts, ConceptWorld, "world"),
    "digits": Source(digits),
}


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


def make_task(source: str, settings: Mapping[str, Any], *, seed: int, cache: Path | None) -> Task:
    """The task of a source.

    Args:
        source: key of `SOURCES`.
        settings: keyword arguments of the source, and fields of its dataclass (see their docstrings).
        seed: of the data.
        cache: folder for what takes long to compute.

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
    chosen = SOURCES[source]
    for name in settings:
        if name not in chosen.known:
            raise UnknownNameError(name, chosen.known, f"setting of {source!r}:")
    options = {name: value for name, value in settings.items() if name not in chosen.held}
    if chosen.holder is not None:
        held = {name: value for name, value in settings.items() if name in chosen.held}
        options[chosen.argument] = chosen.holder(**held)
    if not chosen.slow:
        return chosen.function(seed=seed, **options)
    with progress_bar(options[chosen.argument].steps, " pretraining steps") as bar:
        return chosen.function(seed=seed, cache=cache, progress=bar.update, **options)
