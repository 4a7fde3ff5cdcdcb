"""One linear head for all modalities, each led to it by a projection of its own or by none.

The paper's supervised model (section 3.2, Algorithm 2; Figure 4b): logits of modality k are ``s_k H P_k z_k`` with the
head H shared, P_k the identity or a learned projection, s_k a scale. Where the encoders are independent (DINOv2 and
a language model, say), the head lives in the space of an auxiliary modality and the target is projected into it, as
in the released code; where they are aligned (CLIP), nothing is projected.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from fisherkit.checks import UnknownNameError, as_matrix, as_whole
from neural.minibatches import torch_generator
from neural.tasks.task import Embeddings

__all__ = ["HeadLayout", "SharedHead", "class_mean_head", "supervised_objective", "weight_of"]


@dataclass(frozen=True)
class HeadLayout:
    """Sizes of a shared head."""

    dims: tuple[tuple[str, int], ...]  # ((modality, features), ...), the target first
    n_classes: int  # C
    head_dim: int  # h, dimension of the space that the head lives in
    # modalities with a projection of their own, features to h; the others have h features
    projected: tuple[str, ...] = ()
    learn_scales: bool = False  # whether each modality's logits have a learned factor (one at the start)
    logit_scale: float = 1.0  # fixed factor of all logits

    def __post_init__(self) -> None:
        as_whole(self.n_classes, "n_classes", least=2)
        as_whole(self.head_dim, "head_dim", least=1)
        if not (np.isfinite(self.logit_scale) and self.logit_scale > 0):
            raise ValueError(f"logit_scale must be positive and finite, got {self.logit_scale}")
        for name in self.projected:
            if name not in dict(self.dims):
                raise UnknownNameError(name, dict(self.dims), "projected modality")
        for name, dim in self.dims:
            if not name or "." in name:
                raise ValueError(f"modality {name!r}: give it a name without a dot")
            if name not in self.projected and dim != self.head_dim:
                raise ValueError(
                    f"{name}: {dim} features, but the head takes {self.head_dim}; name {name!r} in `projected`, or "
                    f"choose head_dim={dim}"
                )

    @property
    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """{weight: shape}, in the order in which the batched engine lays them out."""
        dims = dict(self.dims)
        shapes: dict[str, tuple[int, ...]] = {"head": (self.n_classes, self.head_dim)}
        shapes |= {weight_of(name): (self.head_dim, dims[name]) for name in self.projected}
        if self.learn_scales:
            shapes["scales"] = (len(self.dims),)
        return shapes


class SharedHead(nn.Module):
    """The head with its projections and scales; no biases, as in the released code.

    Every weight draws from a stream of its own: a run with text has the head and the projection of a run without.

    Example:
        >>> layout = HeadLayout((("image", 4), ("text", 3)), n_classes=5, head_dim=3, projected=("image",))
        >>> logits = SharedHead(layout, seed=0)({"image": torch.zeros(2, 4), "text": torch.zeros(7, 3)})
        >>> {name: tuple(part.shape) for name, part in logits.items()}
        {'image': (2, 5), 'text': (7, 5)}
    """

    def __init__(self, layout: HeadLayout, *, seed: int, initial_head: ArrayLike | None = None) -> None:
        super().__init__()
        self.layout = layout
        for what, (rows, columns) in list(layout.weight_shapes.items())[: 1 + len(layout.projected)]:
            bound = columns**-0.5  # that of torch.nn.Linear
            generator = torch_generator(seed, what)
            drawn = torch.empty(rows, columns).uniform_(-bound, bound, generator=generator)
            if what == "head":
                self.head = nn.Parameter(drawn)
                self.projections = nn.ParameterDict()
            else:
                self.projections[what.removeprefix("projections.")] = nn.Parameter(drawn)  # "from_NAME"
        if initial_head is not None:
            rows, columns = layout.weight_shapes["head"]
            start = as_matrix(initial_head, "initial_head", rows=rows, cols=columns)
            self.head = nn.Parameter(torch.as_tensor(start, dtype=torch.float32))
        self.scales = nn.Parameter(torch.ones(len(layout.dims))) if layout.learn_scales else None

    def embed(self, name: str, features: Tensor) -> Tensor:
        """Features (n, d) of a modality in the space of the head, (n, h)."""
        if name not in self.layout.projected:
            return features
        return features @ self.projection(name).T

    def projection(self, name: str) -> Tensor:
        """Weights (h, d) from a projected modality's features to the head's space."""
        return self.projections[weight_of(name).removeprefix("projections.")]

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits {modality: (n, C)} of features {modality: (n, d)} of any of the modalities."""
        names = [name for name, _ in self.layout.dims]
        logits = {}
        for name, features in batch.items():
            if name not in names:
                raise UnknownNameError(name, names)
            factor = self.layout.logit_scale
            scale = factor if self.scales is None else factor * self.scales[names.index(name)]
            logits[name] = scale * (self.embed(name, features) @ self.head.T)
        return logits


def weight_of(name: str) -> str:
    """Name of a modality's projection among the weights; no attribute of a module is called like it."""
    return f"projections.from_{name}"


def supervised_objective(
    logits: Mapping[str, Tensor], labels: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Tensor:
    """Weighted sum over modalities of mean cross-entropy, nats; weight one where left out (the paper's Algorithm 2)."""
    parts = [
        weights.get(name, 1.0) * nn.functional.cross_entropy(part, labels[name])
        for name, part in logits.items()
    ]
    return torch.stack(parts).sum()


def class_mean_head(embeddings: Embeddings, n_classes: int) -> NDArray[np.float32]:
    """(C, d) class means of an auxiliary modality, normalised: the start of the paper's "Ours (init)"."""
    means = embeddings.class_means(n_classes)
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    if not lengths.all():
        empty = int(np.argmin(lengths))
        raise ValueError(
            f"{embeddings.name}: the mean of class {empty} is zero, so it gives the head no direction; give every class "
            "samples (their mean is then hardly zero)"
        )
    return np.asarray(means / lengths, dtype=np.float32)
