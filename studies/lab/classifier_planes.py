"""A trained head from inside: the plane of two classes, and how its rows lie to the classes' mean texts; and pictures of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError
from neural.heads.arms import ARMS, permuted_classes
from neural.heads.model import SharedHead, class_mean_head
from neural.heads.runs import HeadFit
from neural.results.figures import arm_style, place_style, zero_line
from neural.tasks.task import Embeddings, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "Dominance",
    "Plane",
    "confused_pairs",
    "decision_plane",
    "diagonal_dominance",
    "draw_diagonals",
    "draw_plane",
    "named_pairs",
    "prototype_text_cosines",
    "prototypes",
]

Floats = NDArray[np.float64]
_DRAWN = 40  # classes in a drawn heat-map; numbers are of all


@dataclass(frozen=True, eq=False)
class Plane:
    """Rows of two classes in the plane of the paper's appendix F.1.

    Attributes:
        points: (n, 2). The first coordinate is the signed distance to the boundary between the two classes, positive on
            the first one's side; the second one lies along the difference of the class means, as far as that is orthogonal.
        first: (n,) whether a row belongs to the first class.
        prototypes: (2, 2) where the head's rows of the two classes lie.
    """

    points: Floats
    first: NDArray[np.bool_]
    prototypes: Floats

    @property
    def accuracy(self) -> float:
        """Share of rows on their own class's side."""
        return float(((self.points[:, 0] > 0) == self.first).mean())


@torch.no_grad()
def decision_plane(model: SharedHead, rows: Embeddings, a: int, b: int) -> Plane:
    """Project the rows of two classes, as the head receives them, to the plane of its decision between them.

    Args:
        model: the head.
        rows: of the target; those of other classes are left out.
        a: first class.
        b: second class.

    Returns:
        Plane.

    Raises:
        ValueError: a class without rows, two classes with the same head row, or a single class.
    """
    if a == b:
        raise ValueError(f"a plane needs two classes, got {a} twice")
    for label in (a, b):
        if not (rows.labels == label).any():
            raise ValueError(f"{rows.name}: class {label} has no rows to draw")
    chosen = rows.take((rows.labels == a) | (rows.labels == b))
    z = model.embed(model.layout.dims[0][0], torch.as_tensor(chosen.features)).double().numpy()
    head = model.head.double().numpy()[[a, b]]
    across = head[0] - head[1]
    if not across.any():
        raise ValueError(
            f"classes {a} and {b} have the same row in the head; there is no boundary between them"
        )
    across /= np.linalg.norm(across)
    first = chosen.labels == a
    along = z[first].mean(axis=0) - z[~first].mean(axis=0)
    along -= (along @ across) * across
    length = np.linalg.norm(along)
    if length > 0:  # else the means differ across the boundary alone, and all second coordinates are zero
        along /= length
    axes = np.stack([across, along], axis=1)
    return Plane(z @ axes, first, head @ axes)


def confused_pairs(fit: HeadFit, rows: Embeddings, count: int) -> list[tuple[int, int]]:
    """Pairs of classes that a classifier confuses most often, without a class in common.

    Choosing pairs by the errors of one classifier favours any other one on the same rows; choose on rows that nothing is
    reported of.

    Args:
        fit: classifier.
        rows: of the target.
        count: pairs wanted.

    Returns:
        Pairs (a < b), the most confused first; equal ones in the order of the classes.
    """
    n = fit.model.layout.n_classes
    confusion = np.zeros((n, n), dtype=np.int64)
    np.add.at(confusion, (rows.labels, fit.logits(rows).argmax(dim=1).numpy()), 1)
    both = np.triu(confusion + confusion.T, k=1)
    pairs: list[tuple[int, int]] = []
    upper = [(a, b) for a in range(n) for b in range(a + 1, n)]
    for a, b in sorted(upper, key=lambda pair: -both[pair]):
        if len(pairs) < count and not {a, b} & {c for pair in pairs for c in pair}:
            pairs.append((a, b))
    return pairs


def named_pairs(task: Task, names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of labels by two or four names of classes; none leaves the choice to the study."""
    classes = [str(name) for name in task.classes]
    if len(names) not in {0, 2, 4}:
        raise ValueError(f"--pairs: give two or four names of classes, got {len(names)}")
    for name in names:
        if name not in classes:
            raise UnknownNameError(name, classes, "class")
    labels = [classes.index(name) for name in names]
    pairs = list(zip(labels[::2], labels[1::2], strict=True))
    for a, b in pairs:
        if a == b:
            raise ValueError(f"--pairs: {classes[a]!r} cannot be told from itself; name two classes")
    return pairs


def prototype_text_cosines(model: SharedHead, texts: Embeddings) -> Floats:
    """(C, C) cosines, rows of the head by class mean texts; unlike Figure 44's products, lengths do not matter."""
    layout = model.layout
    if layout.head_dim != texts.dim:
        raise ValueError(
            f"the head takes {layout.head_dim} features and {texts.name} has {texts.dim}: they do not share a space"
        )
    head = model.head.detach().double().numpy()
    means = class_mean_head(texts, layout.n_classes).astype(np.float64)
    return head @ means.T / np.maximum(np.linalg.norm(head, axis=1, keepdims=True), 1e-300)


@dataclass(frozen=True)
class Dominance:
    """How far a square matrix's diagonal stands out.

    Attributes:
        difference: mean of the diagonal minus mean off it.
        null_low: 2.5% quantile of the same for a random assignment of texts to classes.
        null_high: its 97.5% quantile.
        p_value: of the permutation test, one-sided; at least 1 / (permutations + 1).
        top: share of rows whose largest entry is on the diagonal; 1 / C by chance.
    """

    difference: float
    null_low: float
    null_high: float
    p_value: float
    top: float


def diagonal_dominance(matrix: Floats, *, seed: int = 0, permutations: int = 2000) -> Dominance:
    """Permutation test of the diagonal: do classes' own texts lie closer to their prototypes than other classes' do?

    Args:
        matrix: (C, C), prototypes by texts.
        seed: of the permutations.
        permutations: random assignments of texts to classes, >= 1.

    Returns:
        Dominance.

    Raises:
        ValueError: not square.

    Example:
        >>> dominance = diagonal_dominance(np.eye(20))
        >>> dominance.difference, dominance.top, dominance.p_value < 0.001
        (1.0, 1.0, True)
    """
    c = len(matrix)
    if matrix.shape != (c, c) or c < 2:
        raise ValueError(f"matrix: expected (C, C) with C >= 2, got shape {matrix.shape}")
    rng = np.random.default_rng(seed)
    assigned = rng.permuted(np.tile(np.arange(c), (permutations, 1)), axis=1)
    means = np.concatenate([[matrix.trace() / c], matrix[np.arange(c), assigned].mean(axis=1)])
    total = matrix.sum()
    differences = means - (total - c * means) / (c * (c - 1))
    own, null = differences[0], differences[1:]
    low, high = np.quantile(null, [0.025, 0.975])
    return Dominance(
        difference=float(own),
        null_low=float(low),
        null_high=float(high),
        p_value=float((1 + (null >= own).sum()) / (1 + permutations)),
        top=float((matrix.argmax(axis=1) == np.arange(c)).mean()),
    )


def prototypes(task: Task, heads: Mapping[str, HeadFit], seed: int) -> list[dict[str, Any]]:
    """By arm: `Dominance` and cosines with class mean texts, for a summary; a seed has its own permuted texts."""
    name, texts = next(iter(task.auxiliaries.items()))
    assigned = permuted_classes(len(task.classes), seed)
    found = []
    for arm, fit in heads.items():
        if not (task.aligned or ARMS[arm].projected):
            continue
        given = [("the right texts", texts)]
        if ARMS[arm].permuted:
            seen = Embeddings(texts.features, assigned[texts.labels], name)
            given.append(("the texts it was given", seen))
        for which, rows in given:
            cosines = prototype_text_cosines(fit.model, rows)
            some = np.unique(np.linspace(0, len(cosines) - 1, _DRAWN).round().astype(int))
            found.append({
                "arm": arm,
                "texts": which,
                **vars(diagonal_dominance(cosines)),
                "drawn": cosines[np.ix_(some, some)].round(4).tolist(),
            })
    return found


def draw_plane(axes: "Axes", plane: Mapping[str, Any], when: str) -> None:
    """Rows of two classes; the boundary is the vertical line, and the half-planes are shaded by class."""
    points, first = np.array(plane["points"]), np.array(plane["first"])
    for mine, name, place in zip((first, ~first), plane["classes"], (4, 9), strict=True):  # no arm's colours
        style = place_style(place) | {"linestyle": "none"}
        axes.plot(*points[mine].T, label=name.capitalize()[:38], alpha=0.85, **style)
    reach = 1.15 * np.abs(points[:, 0]).max()
    axes.axvspan(0, reach, color="0.88", zorder=0, lw=0)
    axes.axvline(0, color="k", lw=1)
    axes.set_xlim(-reach, reach)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.35 * (high - low))  # room for the legend
    axes.set(xlabel="signed distance to the boundary", ylabel="along the class means")
    axes.set_title(f"{when}: {ARMS[plane['arm']].label}\n{plane['accuracy']:.0f}% on their own side")
    axes.legend(
        loc="upper center", fontsize=6.5, handletextpad=0.2, frameon=True, framealpha=1, edgecolor="none"
    )


def draw_diagonals(axes: "Axes", diagonals: Sequence[Mapping[str, Any]]) -> None:
    """Each diagonal as a point, beside the bar that holds 95% of those by chance."""
    labels = []
    for i, entry in enumerate(diagonals):
        chance = [entry["null_low"], entry["null_high"]]
        axes.plot(
            chance, [i, i], color="0.5", marker="|", markersize=9, lw=3, label=None if i else "by chance, 95%"
        )
        axes.plot(entry["difference"], i, **arm_style(entry["arm"]) | {"linestyle": "none"}, markersize=7)
        given = f",\n{entry['texts']}" if ARMS[entry["arm"]].permuted else ""
        labels.append(f"{ARMS[entry['arm']].label}{given}")
    axes.set_yticks(np.arange(len(labels)), labels)
    axes.invert_yaxis()
    zero_line(axes, upright=True)
    axes.set(xlabel="mean cosine, diagonal minus rest")
    axes.set_title("Diagonal and chance")
    axes.margins(x=0.12, y=0.12)
    axes.legend(loc="upper right")
