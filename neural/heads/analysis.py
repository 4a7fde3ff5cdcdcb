"""What a trained head looks like: margins, separation of classes, and how the modalities pull on the shared weights."""

import copy
import itertools
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neural.heads.model import SharedHead
from neural.tasks.task import Embeddings

__all__ = ["class_separation", "functional_margins", "gradient_alignment"]


@torch.no_grad()
def functional_margins(model: SharedHead, rows: Embeddings, name: str | None = None) -> NDArray[np.float64]:
    """(n,) signed distances of rows to the boundary with their strongest wrong class (the paper's equation 8)."""
    name = model.layout.dims[0][0] if name is None else name
    z = model.embed(name, torch.as_tensor(rows.features)).double()
    head = model.head.double()
    logits = z @ head.T
    n, labels = torch.arange(len(rows)), torch.as_tensor(rows.labels)
    own = logits[n, labels]
    logits[n, labels] = -torch.inf
    rival = logits.argmax(dim=1)
    apart = (head[labels] - head[rival]).norm(dim=1)
    margins: NDArray[np.float64] = ((own - logits[n, rival]) / apart.clamp_min(1e-300)).numpy()
    return margins


def class_separation(
    points: NDArray[np.floating], labels: NDArray[np.int64], *, seed: int = 0, at_most: int = 2000
) -> dict[str, float]:
    """Silhouette score (higher is better) and Davies-Bouldin index (lower is): the paper's Figures 42 and 43."""
    # The paper does not say of which vectors; rows of a frozen encoder would be the same for every arm. The studies
    # pass logits scaled to length one, since these are what a head changes. The silhouette's cost is quadratic.
    from sklearn.metrics import davies_bouldin_score, silhouette_score

    chosen = np.sort(np.random.default_rng(seed).permutation(len(labels))[:at_most])
    return {
        "silhouette": float(silhouette_score(points[chosen], labels[chosen])),
        "davies_bouldin": float(davies_bouldin_score(points, labels)),
    }


def gradient_alignment(model: SharedHead, rows: Mapping[str, Embeddings]) -> dict[str, float]:
    """{"image, text": cosine of their loss gradients on the head, ...} for every pair; 0 where one vanishes."""
    if len(rows) < 2:
        raise ValueError(
            f"gradient alignment is between modalities; got {', '.join(rows) or 'none'}, give two or more"
        )
    exact = copy.deepcopy(model).double()  # gradients of a head that fits its rows are tiny
    gradients = {}
    for name, part in rows.items():
        logits = exact({name: torch.as_tensor(part.features).double()})[name]
        loss = nn.functional.cross_entropy(logits, torch.as_tensor(part.labels))
        (gradient,) = torch.autograd.grad(loss, [exact.head])
        length = gradient.norm()
        gradients[name] = gradient.flatten() / (length if length > 0 else 1)
    return {f"{a}, {b}": float(gradients[a] @ gradients[b]) for a, b in itertools.combinations(gradients, 2)}
