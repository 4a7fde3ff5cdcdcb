"""A linear probe: logistic regression on frozen embeddings, its regularisation chosen on validation rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["STRENGTHS", "Probe", "fit_probe"]

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Probe:
    """A fitted probe."""

    pipeline: Pipeline  # scaling by the training rows, then logistic regression
    strength: float  # chosen C, the inverse of the regularisation
    val_accuracy: float  # of the chosen one, in [0, 1]
    val_loss: float  # its mean negative log-likelihood of validation rows, in nats

    def accuracy(self, embeddings: Floats, labels: NDArray[np.int64]) -> float:
        """Share of embeddings (n, d) that are classified correctly."""
        return float((self.pipeline.predict(embeddings) == labels).mean())


def fit_probe(
    train: Floats,
    train_labels: NDArray[np.int64],
    val: Floats,
    val_labels: NDArray[np.int64],
    *,
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """The probe whose C validates best (accuracy, then loss, then order), fitted on training rows alone."""
    if not strengths:
        raise ValueError("strengths: give at least one value of C")
    for part, rows in (("training", train), ("validation", val)):
        if not np.isfinite(rows).all():
            raise ValueError(f"{part} embeddings are not finite; the training has diverged")
    best: Probe | None = None
    for strength in strengths:
        # lbfgs needs a few hundred iterations at most where features are scaled
        regression = LogisticRegression(C=strength, max_iter=10_000)
        pipeline = make_pipeline(StandardScaler(), regression).fit(
            np.asarray(train, dtype=np.float64), train_labels
        )
        accuracy = float((pipeline.predict(val) == val_labels).mean())
        known = np.isin(val_labels, regression.classes_)
        loss = float("inf")
        if known.any():
            probabilities = pipeline.predict_proba(val[known])
            loss = float(log_loss(val_labels[known], probabilities, labels=regression.classes_))
        if best is None or (accuracy, -loss) > (best.val_accuracy, -best.val_loss):
            best = Probe(pipeline, strength, accuracy, loss)
    assert best is not None
    return best
