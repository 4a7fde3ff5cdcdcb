"""A text encoder from word statistics alone: TF-IDF of pieces of words, brought down by an SVD."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

__all__ = ["WordEncoder"]


class WordEncoder:
    """Latent semantic analysis (Deerwester et al. 1990), fitted on a corpus without labels.

    Terms are the pieces of two to four letters inside words. With whole words, 256 dimensions go to the words that
    many names share, and names that differ in a rare word ("zhe", "tse") fall together; pieces keep them apart. The
    features are scaled by one constant, such that the corpus has mean squared norm `dim`.

    The corpus needs more than `dim` texts; `explained` is the share of its variance that the features keep, in [0, 1].

    Example:
        >>> corpus = [f"{case} letter {letter}" for case in ("small", "capital", "raised") for letter in "abc"]
        >>> features = WordEncoder(corpus, dim=2)(["small letter a", "a sign never seen"])
        >>> features.shape, features.dtype
        ((2, 2), dtype('float32'))
    """

    def __init__(self, corpus: Sequence[str], dim: int = 256) -> None:
        self.dim = dim
        self._terms = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=3)
        weights = self._terms.fit_transform(corpus)
        if min(weights.shape) <= dim:
            texts, terms = weights.shape
            raise ValueError(
                f"corpus: {texts} texts with {terms} terms are too few for {dim} features; "
                "pass a larger corpus or a smaller dim"
            )
        self._svd = TruncatedSVD(dim, random_state=0)  # its randomised algorithm is exact to many digits
        reduced = self._svd.fit_transform(weights)
        self.explained = float(self._svd.explained_variance_ratio_.sum())
        self._scale = np.sqrt(dim / np.mean(np.sum(reduced**2, axis=1)))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, dim) float32 features of texts; pieces that the corpus lacks are passed over."""
        reduced = self._svd.transform(self._terms.transform(texts))
        return (self._scale * reduced).astype(np.float32)
