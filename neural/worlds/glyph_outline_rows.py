"""Outlines of characters as a modality: pen paths in several faces, slightly deformed, behind a frozen encoder.

The encoder is a linear discriminant analysis (Fisher 1936; Rao 1948) of the outlines of base characters, which are
never classes of a task. It sees coordinates of pen paths: no picture, no name, no novel character.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fisherkit.checks import as_whole
from fisherkit.streams import streams
from neural.store.array_cache import ArrayCache
from neural.tasks.modalities import POOLS, Modalities, of_task
from neural.tasks.task import Embeddings
from neural.worlds.glyph_classes import choose_classes
from neural.worlds.glyph_outlines import outline
from neural.worlds.glyph_pictures import PLAIN, drawing_versions
from neural.worlds.glyphs import DEFAULT, GlyphSettings, glyphs

__all__ = ["OutlineJitter", "draw_outlines", "glyph_modalities", "outline_pools"]

Paths = NDArray[np.float32]
_POINTS = 64
_FEATURES = 128
_BASE_ROWS = 20  # deformed outlines of each base character that the encoder is fitted on
_SHRINKAGE = 1e-3  # the first pen state is always 0, so the scatter alone is singular
_VERSION = 2  # raise when the same settings would give other rows


@dataclass(frozen=True)
class OutlineJitter:
    """Law of the deformation of an outline; uniform but the noise.

    With the defaults the nearest class mean of one row per class finds about two in five of 300 novel characters, of
    four rows three in five. Size is a factor, rotation in degrees to either side, shift (in each direction) and the
    standard deviation of Gaussian noise on each coordinate in ems.
    """

    smallest: float = 0.7
    largest: float = 1.0
    rotation: float = 15.0
    shift: float = 0.1
    noise: float = 0.02

    def apply(self, paths: Paths, rng: np.random.Generator) -> Paths:
        """Deform outlines (n, points, 3), each by a draw of its own; pen states stay."""
        n = len(paths)
        size = rng.uniform(self.smallest, self.largest, n)
        angle = np.deg2rad(rng.uniform(-self.rotation, self.rotation, n))
        shift = rng.uniform(-self.shift, self.shift, (n, 1, 2))
        cos, sin = size * np.cos(angle), size * np.sin(angle)
        turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1)  # rows times this
        moved = paths[..., :2] @ turn + shift + self.noise * rng.standard_normal(paths[..., :2].shape)
        return np.concatenate([moved, paths[..., 2:]], axis=-1).astype(np.float32)


def draw_outlines(
    masters: Paths, per_class: int, rng: np.random.Generator, jitter: OutlineJitter = OutlineJitter()
) -> Paths:
    """(c * per_class, points, 3), by character: deformed, in faces drawn from masters (c, faces, points, 3)."""
    per_class = as_whole(per_class, "rows per class", least=1)
    which = np.repeat(np.arange(len(masters)), per_class)
    return jitter.apply(masters[which, rng.integers(masters.shape[1], size=len(which))], rng)


def outline_pools(
    settings: GlyphSettings = DEFAULT,
    jitter: OutlineJitter = OutlineJitter(),
    *,
    seed: int = 0,
    cache: Path | None = None,
) -> dict[str, Embeddings]:
    """Embedded outlines of the novel characters of `neural.worlds.glyphs.glyphs`, under the same labels, by pool."""
    split = choose_classes(settings.n_classes, settings.n_base, seed=seed, cache=cache)
    counts = {pool: settings.per_class(pool) for pool in POOLS}
    what = {
        "version": _VERSION,
        **drawing_versions(PLAIN),
        "sklearn": sklearn.__version__,
        "novel": "".join(split.novel),
        "base": "".join(split.base),
        "counts": counts,
        "jitter": asdict(jitter),
        "encoder": [_POINTS, _FEATURES, _BASE_ROWS, _SHRINKAGE],
        "seed": seed,
    }

    def extract() -> dict[str, NDArray]:
        rngs = streams(seed, ["base outlines", *(f"outlines ({pool})" for pool in POOLS)])
        base = draw_outlines(_masters(split.base), _BASE_ROWS, rngs.pop("base outlines"), jitter)
        embed = _fitted(base, np.repeat(np.arange(len(split.base)), _BASE_ROWS))
        novel = _masters(split.novel)
        return {
            pool: embed(draw_outlines(novel, counts[pool], rng, jitter))
            for pool, rng in zip(POOLS, rngs.values(), strict=True)
        }

    features = ArrayCache(cache).get("glyph-outlines", what, extract)
    labels = np.arange(len(split.novel))
    return {
        pool: Embeddings(features[pool], np.repeat(labels, counts[pool]), f"outline ({pool})")
        for pool in POOLS
    }


def glyph_modalities(
    settings: GlyphSettings = DEFAULT,
    *,
    seed: int = 0,
    cache: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> Modalities:
    """Characters in three modalities: sentences about them, pictures, outlines; paired by nothing but the class.

    Each of the three encoders saw its own modality alone. Of a character's eight sentences (the fine texts of
    `neural.worlds.glyph_names.fine_texts`) four are dealt to the training pool, two to validation, two to the test.

    Args:
        settings: sizes.
        seed: of classes, weights, rows.
        cache: folder for what takes minutes.
        progress: called with 1 after each step of the picture encoder's pretraining.

    Returns:
        Modalities "text", "image", "outline".
    """
    task = glyphs("fine", settings, seed=seed, cache=cache, progress=progress)
    two = of_task(task, seed, order=("text", "image"))
    outlines = outline_pools(settings, seed=seed, cache=cache)
    about = dict(task.about) | {
        "outlines": asdict(OutlineJitter()),
        "texts dealt": "4 / 2 / 2 of 8 per class",
    }
    return Modalities("glyphs", two.classes, {**two.pools, "outline": outlines}, about=about)


def _masters(characters: Sequence[str]) -> Paths:
    return np.stack([[outline(c, face, _POINTS) for face in PLAIN] for c in characters])


def _fitted(paths: Paths, labels: NDArray[np.int64]) -> Callable[[Paths], Paths]:
    """The encoder: at most 128 discriminants of the 192 coordinates, centred; base rows get mean squared norm d."""
    flat = paths.reshape(len(paths), -1)
    keep = min(_FEATURES, flat.shape[1], len(np.unique(labels)) - 1)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=_SHRINKAGE, n_components=keep)
    found = analysis.fit_transform(flat, labels)
    centre = found.mean(axis=0)  # this solver of scikit-learn's leaves the mean in, far larger than the rest
    scale = np.sqrt(keep / np.mean(np.sum((found - centre) ** 2, axis=1)))

    def embed(rows: Paths) -> Paths:
        return (scale * (analysis.transform(rows.reshape(len(rows), -1)) - centre)).astype(np.float32)

    return embed
