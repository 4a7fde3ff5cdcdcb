"""ImageNet-ESC as tasks: sounds, images and class names in the five folds and 25 runs of Lin et al. (2023)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import UnknownNameError, as_whole
from neural.datasets.audio import imagenet_esc
from neural.datasets.esc_features import FOLDS, Images, Sounds, read_images, read_names, read_sounds
from neural.tasks.task import Embeddings, Task

__all__ = ["ImagenetEsc", "open_imagenet_esc"]

DRAWS = 5  # of auxiliary rows, for each split of the target


@dataclass(frozen=True, eq=False)
class ImagenetEsc:
    """ImageNet-ESC as a source of tasks: 5 splits of the target, times 5 draws of auxiliary rows, are 25 repetitions.

    Repetition r has the target rows of split r // 5 and the auxiliary rows of draw r % 5. A split of the sounds is a
    fold: its first k clips per class train, the next k validate, the other four folds test. A split of the images is a
    few-shot subset of ImageNet's training part, tested on ImageNet's validation part. Sounds or images that help are
    the training rows of the one-shot split of their draw; text has its one vector per class.

    There are 27 or 19 classes (`size`) and at least two modalities; texts are (C, d). Tasks fix the subsets of the
    numbers of shots in `shots`; with `normalised` they have every row scaled to length one.
    """

    size: int
    images: Images | None = None
    sounds: Sounds | None = None
    texts: NDArray[np.float32] | None = None
    shots: tuple[int, ...] = (1, 2, 4)
    aligned: bool = False
    normalised: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    #: Repetitions that share their target rows and differ in the draw of auxiliary rows.
    runs_per_split = DRAWS

    def __post_init__(self) -> None:
        imagenet_esc(self.size)
        if len(self.modalities) < 2:
            raise ValueError(
                f"{self.name}: features of {', '.join(self.modalities) or 'no modality'} given; at least two of image, "
                "audio and text are needed"
            )

    @property
    def name(self) -> str:
        """As in the published tables."""
        return f"imagenet_esc_{self.size}"

    @property
    def classes(self) -> tuple[str, ...]:
        """ImageNet's names, in the order of joint labels."""
        return tuple(pair.name for pair in imagenet_esc(self.size))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those that there are features of; text first, since a shared head then lives in its space."""
        parts = {"text": self.texts, "image": self.images, "audio": self.sounds}
        return tuple(name for name, part in parts.items() if part is not None)

    @property
    def targets(self) -> tuple[str, ...]:
        """Modalities that can be classified; text, one vector per class, cannot."""
        return tuple(name for name in self.modalities if name != "text")

    def task(self, target: str, auxiliaries: Sequence[str] = (), repetition: int = 0) -> Task:
        """The task of a repetition (0 to 24) with subsets (k, repetition), disjoint rows of one pool for both parts."""
        split, draw = divmod(as_whole(repetition, "repetition", least=0), DRAWS)
        if split >= FOLDS:
            raise ValueError(f"repetition {repetition}: there are {FOLDS * DRAWS}, counted from 0")
        if target not in self.targets:
            raise UnknownNameError(target, self.targets, "target")
        part = self._part(target)
        inside = part.pool(split)
        rows = Embeddings(part.features[inside], part.labels[inside], target)
        task = Task(
            self.name,
            self.classes,
            rows,
            rows,
            {"test": Embeddings(part.features[~inside], part.labels[~inside], target)},
            {name: self._helping(name, draw) for name in auxiliaries},
            target=target,
            aligned=self.aligned,
            subsets={(k, repetition): part.subset(k, split) for k in self.shots},
            about=self.about,
        )
        return task.normalised() if self.normalised else task

    def _part(self, name: str) -> Images | Sounds:
        part = {"image": self.images, "audio": self.sounds}.get(name)
        if part is None:
            raise UnknownNameError(name, self.modalities)
        return part

    def _helping(self, name: str, draw: int) -> Embeddings:
        """Auxiliary rows: one per class."""
        if name == "text" and self.texts is not None:
            return Embeddings(self.texts, np.arange(len(self.texts)), name)
        part = self._part(name)
        rows = np.flatnonzero(part.pool(draw))[part.subset(1, draw)[0]]
        return Embeddings(part.features[rows], part.labels[rows], name)


def open_imagenet_esc(
    size: int,
    *,
    images: Path | None = None,
    sounds: Path | None = None,
    texts: Path | None = None,
    indices: Path | None = None,  # folder of ImageNet's few-shot files; None draws the images of each split
    shots: Sequence[int] = (1, 2, 4),
    aligned: bool = False,
    normalised: bool = False,
) -> ImagenetEsc:
    """ImageNet-ESC from files of features; layouts in `neural.datasets.esc_features`."""
    pairs = imagenet_esc(size)
    files = {"images": images, "sounds": sounds, "texts": texts, "few-shot indices": indices}
    return ImagenetEsc(
        size,
        None if images is None else read_images(images, pairs, indices),
        None if sounds is None else read_sounds(sounds, pairs),
        None if texts is None else read_names(texts, pairs),
        tuple(shots),
        aligned,
        normalised,
        {"files": {name: str(path) for name, path in files.items() if path is not None}},
    )
