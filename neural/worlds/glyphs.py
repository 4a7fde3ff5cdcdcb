"""Characters as classes: their pictures are the target, their Unicode names the other modality; no download.

Pictures are drawn from the fonts that matplotlib ships, texts come from Python's Unicode tables. Both encoders are
frozen and saw one modality each: the ConvNet was trained on pictures of other characters, without names; the word
encoder on names, without pictures. Nothing pairs a picture with a text but the class label.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from torch import Tensor

from fisherkit.checks import UnknownNameError, as_whole
from fisherkit.streams import streams
from neural.embed.picture_encoder import PictureEncoder, encode, pretrain
from neural.embed.word_encoder import WordEncoder
from neural.store.array_cache import ArrayCache
from neural.tasks.task import Embeddings, Labels, Task
from neural.worlds.glyph_classes import GlyphClasses, choose_classes
from neural.worlds.glyph_names import TEXTS, coarse_text, corpus_characters, fine_texts, labelled_texts
from neural.worlds.glyph_pictures import (
    BOLD,
    PLAIN,
    SIDE,
    STIX,
    Jitter,
    Pictures,
    blurred,
    draw_masters,
    drawing_versions,
    jittered,
)

__all__ = [
    "POOLS",
    "GlyphSettings",
    "GlyphTask",
    "LabelledPictures",
    "draw_pool",
    "glyph_encoder",
    "glyph_pools",
    "glyphs",
]

POOLS = {
    "train": PLAIN,
    "val": PLAIN,
    "test": PLAIN,
    "stix": STIX,
    "bold": BOLD,
    "noise": PLAIN,
    "blur": PLAIN,
}
EXTRA_NOISE = 0.2  # standard deviation added in the pool "noise"; ink is 1
BLUR = 0.8  # pixels, standard deviation in the pool "blur"
_VERSION = 1  # raise when the same settings would give other features


@dataclass(frozen=True)
class GlyphSettings:
    """Sizes of the data and of the pretraining; the defaults are the benchmark, smaller ones are for tests."""

    n_classes: int = 300  # novel, >= 2
    n_base: int | None = None  # classes for pretraining; None takes all that are left
    steps: int = 1500  # of the pretraining
    batch: int = 128  # pictures per step
    train: int = 64  # pictures per class, as the next two
    val: int = 8
    test: int = 10  # in each test set
    corpus: int | None = None  # about how many names the word encoder reads; None takes all
    text_features: int = 256
    jitter: Jitter = field(default_factory=Jitter)

    def per_class(self, pool: str) -> int:
        """Pictures per class in a pool."""
        return {"train": self.train, "val": self.val}.get(pool, self.test)


DEFAULT = GlyphSettings()


@dataclass(frozen=True, eq=False, kw_only=True)
class GlyphTask(Task):
    """A task of `glyphs`, which knows how its rows were made; see there."""

    characters: tuple[str, ...]
    texts: str
    settings: GlyphSettings
    seed: int

    def sentences(self) -> tuple[list[str], list[int]]:
        """The texts behind the auxiliary rows and their labels, in the order of the rows."""
        return labelled_texts(self.characters, self.texts, self.seed)


@dataclass(frozen=True, eq=False)
class LabelledPictures:
    """Pictures as a network reads them, (n, 32, 32) uint8, ink 255, and (n,) int64 labels, sorted."""

    pictures: Pictures
    labels: Labels


def draw_pool(
    characters: Sequence[str], pool: str, per_class: int, *, jitter: Jitter = DEFAULT.jitter, seed: int
) -> LabelledPictures:
    """Pictures of each character, in faces drawn at random among the pool's.

    Picture i of a character depends on pool, seed, jitter, character and i alone: other characters, their order and
    the number of pictures do not matter.

    Args:
        characters: the classes.
        pool: one of `POOLS`.
        per_class: pictures of each.
        jitter: law of the random changes.
        seed: whole number.

    Returns:
        Labelled pictures, sorted by class.

    Raises:
        UnknownNameError: another pool.

    Example:
        >>> few, many = (draw_pool("ab", "test", n, seed=0) for n in (1, 3))
        >>> many.pictures.shape, bool((few.pictures[1] == many.pictures[3]).all())
        ((6, 32, 32), True)
    """
    if pool not in POOLS:
        raise UnknownNameError(pool, POOLS, "pool")
    per_class = as_whole(per_class, f"{pool}: pictures per class", least=1)
    faces = POOLS[pool]
    masters = np.stack([draw_masters(characters, face) for face in faces], axis=1)
    pictures = np.empty((len(characters), per_class, SIDE, SIDE), dtype=np.uint8)
    for i, character in enumerate(characters):
        rngs = streams(seed, [f"{pool} {character} {what}" for what in ("face", "move", "noise")])
        face, move, noise = rngs.values()
        strength = np.float32(np.hypot(jitter.noise, EXTRA_NOISE if pool == "noise" else 0))
        drawn = jittered(
            masters[i, face.integers(len(faces), size=per_class)],
            jitter.draw(move, per_class),
            strength * noise.standard_normal((per_class, SIDE, SIDE), dtype=np.float32),
        )
        if pool == "blur":
            drawn = blurred(drawn, BLUR)
        pictures[i] = (255 * drawn).round().to(torch.uint8).numpy()
    labels = np.repeat(np.arange(len(characters)), per_class)
    return LabelledPictures(pictures.reshape(-1, SIDE, SIDE), labels)


def glyph_pools(
    settings: GlyphSettings = DEFAULT, *, seed: int = 0, cache: Path | None = None
) -> dict[str, LabelledPictures]:
    """{pool: pictures} behind the features of `glyphs`, row by row, for training the encoder with the head."""
    novel = _classes(settings, seed, cache).novel
    return {
        pool: draw_pool(novel, pool, settings.per_class(pool), jitter=settings.jitter, seed=seed)
        for pool in POOLS
    }


def glyph_encoder(
    settings: GlyphSettings = DEFAULT,
    *,
    seed: int = 0,
    cache: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> PictureEncoder:
    """The picture encoder, pretrained on the base classes; its output on `glyph_pools` is the features of `glyphs`."""
    # Threads are the caller's choice (torch.set_num_threads). One thread needs about three minutes by default and
    # repeats exactly; two, on cores that others use as well, were many times slower than one.
    base = _classes(settings, seed, cache).base

    def train() -> dict[str, NDArray]:
        batches = _batches(base, settings, seed)
        trained = pretrain(
            lambda: next(batches), len(base), steps=settings.steps, seed=seed, progress=progress
        )
        return {name: tensor.numpy() for name, tensor in trained.state_dict().items()}

    weights = ArrayCache(cache).get("glyph-encoder", _encoder_key(base, settings, seed), train)
    encoder = PictureEncoder()
    encoder.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return encoder


def glyphs(
    texts: str = "fine",
    settings: GlyphSettings = DEFAULT,
    *,
    seed: int = 0,
    cache: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> GlyphTask:
    """Few-shot classification of characters by picture; texts about the classes may help.

    The mean squared norm of features is about d: for pictures on the base classes, by the encoder's last
    normalisation; for texts on the corpus, by one constant. The novel classes' pictures play no part in the picture
    encoder. Their names are among the ~30,000 that the word encoder reads, unlabelled and without pictures, as the
    words of a test set's classes are in a language model's corpus.

    Args:
        texts: "coarse", "fine" or "unrelated", see `neural.worlds.glyph_names.labelled_texts`.
        settings: sizes.
        seed: of classes, weights and pictures.
        cache: folder that keeps weights and features; without one the encoder is pretrained anew, which takes minutes.
        progress: called with 1 after each step of the pretraining.

    Returns:
        GlyphTask with the tests "test", "stix" (unseen family), "bold" (unseen weights), "noise" and "blur", and the
        auxiliary "text".

    Raises:
        UnknownNameError: another variant of texts.
    """
    if texts not in TEXTS:
        raise UnknownNameError(texts, TEXTS, "text variant")
    split = _classes(settings, seed, cache)
    counts = {pool: settings.per_class(pool) for pool in POOLS}
    what = _encoder_key(split.base, settings, seed) | {
        "novel": "".join(split.novel),
        "counts": counts,
        "pools": {pool: list(faces) for pool, faces in POOLS.items()},
        "shift": [EXTRA_NOISE, BLUR],
    }

    def extract() -> dict[str, NDArray]:
        encoder = glyph_encoder(settings, seed=seed, cache=cache, progress=progress)
        pools = glyph_pools(settings, seed=seed, cache=cache)
        return {pool: encode(encoder, drawn.pictures) for pool, drawn in pools.items()}

    features = ArrayCache(cache).get("glyph-features", what, extract)
    classes = np.arange(len(split.novel))
    rows = {
        pool: Embeddings(features[pool], np.repeat(classes, counts[pool]), f"image ({pool})")
        for pool in POOLS
    }
    sentences, labels = labelled_texts(split.novel, texts, seed)
    return GlyphTask(
        "glyphs",
        tuple(unicodedata.name(c) for c in split.novel),
        rows.pop("train"),
        rows.pop("val"),
        rows,
        {"text": _encode_texts(sentences, labels, texts, settings, cache)},
        words_per_text=float(np.mean([len(sentence.split()) for sentence in sentences])),
        about=_about(split, texts, settings, seed),
        characters=tuple(split.novel),
        texts=texts,
        settings=settings,
        seed=seed,
    )


def _classes(settings: GlyphSettings, seed: int, cache: Path | None) -> GlyphClasses:
    return choose_classes(settings.n_classes, settings.n_base, seed=seed, cache=cache)


def _encoder_key(base: Sequence[str], settings: GlyphSettings, seed: int) -> dict:
    """Everything that the weights depend on."""
    return {
        "version": _VERSION,
        **drawing_versions(),
        "unicode": unicodedata.unidata_version,
        "torch": torch.__version__,
        "base": "".join(base),
        "steps": settings.steps,
        "batch": settings.batch,
        "jitter": asdict(settings.jitter),
        "seed": seed,
    }


def _batches(base: Sequence[str], settings: GlyphSettings, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of base pictures in the plain faces; class and face of each picture are drawn at random."""
    masters = np.stack([draw_masters(base, face) for face in PLAIN], axis=1)
    rng = streams(seed, ["pretraining"])["pretraining"]
    size, jitter = settings.batch, settings.jitter
    while True:
        labels = rng.integers(len(base), size=size)
        noise = np.float32(jitter.noise) * rng.standard_normal((size, SIDE, SIDE), dtype=np.float32)
        drawn = masters[labels, rng.integers(len(PLAIN), size=size)]
        yield jittered(drawn, jitter.draw(rng, size), noise), torch.from_numpy(labels)


def _encode_texts(
    sentences: Sequence[str], labels: Sequence[int], texts: str, settings: GlyphSettings, cache: Path | None
) -> Embeddings:
    """Text features; the word encoder reads sentences of the same kind about the whole corpus."""
    what = {
        "version": _VERSION,
        "unicode": unicodedata.unidata_version,
        "sklearn": sklearn.__version__,
        "sentences": sentences,
        "texts": texts,
        "corpus": settings.corpus,
        "dim": settings.text_features,
    }

    def extract() -> dict[str, NDArray]:
        characters = corpus_characters(settings.corpus)
        if texts == "fine":  # one sentence of each character, all kinds alike often
            corpus = [(kinds := fine_texts(c))[i % len(kinds)] for i, c in enumerate(characters)]
        else:
            corpus = [coarse_text(c) for c in characters]
        return {"text": WordEncoder(corpus, settings.text_features)(sentences)}

    return Embeddings(ArrayCache(cache).get("glyph-texts", what, extract)["text"], np.array(labels), "text")


def _about(split: GlyphClasses, texts: str, settings: GlyphSettings, seed: int) -> dict:
    """Where the data come from, for the record of a study."""
    return {
        "pictures": {pool: list(faces) for pool, faces in POOLS.items()},
        "texts": texts,
        "seed": seed,
        "settings": asdict(settings),
        "novel": "".join(split.novel),
        "candidates for novel classes": split.candidates,
        "base classes": len(split.base),
        "look-alikes left out": len(split.homoglyphs),
        "left out": "".join(split.homoglyphs),
        "versions": {
            **drawing_versions(),
            "unicode": unicodedata.unidata_version,
            "torch": torch.__version__,
        },
    }
