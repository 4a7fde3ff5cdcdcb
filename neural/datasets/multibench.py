"""MultiBench's affect data (Liang et al. 2021): MOSI, MOSEI, UR-FUNNY, MUStARD as sequences of words, sound and faces.

Each file is ``{"train", "valid", "test": {"vision", "audio", "text", "labels", "id"}}`` with arrays of one row per clip;
modalities are (n, 50, d), aligned to the words of the text and padded with zeros at the front.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fisherkit.checks import UnknownNameError
from neural.datasets.array_trees import Tree, read_tree
from neural.datasets.reading import DatasetError, MissingError, listed

__all__ = [
    "AFFECT",
    "AffectData",
    "AffectSource",
    "Sequences",
    "binary_labels",
    "find_file",
    "load_affect",
    "standardised",
]

PARTS = ("train", "valid", "test")
MODALITIES = ("vision", "audio", "text")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class AffectSource:
    """One of the affect data sets: `dims` of vision, audio and text; `labels`, a rule of `binary_labels`."""

    key: str
    title: str
    file: str
    dims: tuple[int, int, int]
    labels: str
    fetch: str


_README = "https://github.com/pliang279/MultiBench (section on affective computing), into multibench/"
AFFECT: Mapping[str, AffectSource] = MappingProxyType({
    source.key: source
    for source in (
        AffectSource("mosi", "MOSI", "mosi_data.pkl", (20, 5, 300), "nonnegative", f"mosi_data.pkl: link in {_README}"),
        AffectSource(
            "mosei", "MOSEI", "mosei_senti_data.pkl", (35, 74, 300), "nonnegative",
            f"mosei_senti_data.pkl: link in {_README}",
        ),
        AffectSource("ur_funny", "UR-FUNNY", "humor.pkl", (371, 81, 300), "one", f"humor.pkl: link in {_README}"),
        AffectSource("mustard", "MUStARD", "sarcasm.pkl", (371, 81, 300), "one", f"sarcasm.pkl: link in {_README}"),
    )
})  # fmt: skip
FOLDERS = ("multibench", "data_files", "")


@dataclass(frozen=True, eq=False)
class Sequences:
    """Clips of one part; steps start at 0, and zeros follow the last.

    Attributes:
        arrays: {"vision", "audio", "text": (n, T, d) float32}.
        lengths: (n,) number of steps of each clip, the same in all modalities.
        labels: (n,) float64, as in the file.
        ids: n names of clips.
    """

    arrays: Mapping[str, Floats]
    lengths: NDArray[np.int64]
    labels: NDArray[np.float64]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(n, T) true at steps, false at padding."""
        steps = next(iter(self.arrays.values())).shape[1]
        return np.arange(steps) < self.lengths[:, None]


@dataclass(frozen=True, eq=False)
class AffectData:
    """An affect data set; `about` says how many clips were dropped and values replaced."""

    name: str
    parts: Mapping[str, Sequences]
    about: Mapping[str, Any] = field(default_factory=dict)


def find_file(name: str, root: Path) -> Path:
    """A MultiBench file in ``multibench/``, ``data_files/`` or the root, an npz conversion before the pickle."""
    places = [
        Path(root) / folder / candidate
        for folder in FOLDERS
        for candidate in (Path(name).with_suffix(".npz"), name)
    ]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise MissingError(places[1], f"file not found (also looked for {listed(map(str, places[2:]))})")
    return found


def load_affect(key: str, root: Path) -> AffectData:
    """Read "mosi", "mosei", "ur_funny" or "mustard" from the data root."""
    if key not in AFFECT:
        raise UnknownNameError(key, AFFECT, "affect data set")
    path = find_file(AFFECT[key].file, Path(root))
    return affect_data(read_tree(path), path, name=key, dims=AFFECT[key].dims)


def affect_data(tree: Tree, path: Path, *, name: str, dims: tuple[int, int, int] | None = None) -> AffectData:
    """Check the schema; drop clips without text, replace what is not finite, start each clip at its first word."""
    held = {part: value for part in PARTS if isinstance(value := tree.get(part), dict)}
    lacking = [part for part in PARTS if part not in held]
    if lacking:
        raise DatasetError(path, f"no part {listed(lacking)}; {_schema(tree)}")
    about: dict[str, Any] = {"file": path.name, "dropped": {}, "not_finite": {}}
    parts = {}
    for part in PARTS:
        clips, dropped, replaced = _sequences(held[part], path, part, dims)
        parts[part], about["dropped"][part], about["not_finite"][part] = clips, dropped, replaced
    found = {part: tuple(a.shape[2] for a in clips.arrays.values()) for part, clips in parts.items()}
    if len(set(found.values())) > 1:
        raise DatasetError(path, f"parts have different numbers of features (vision, audio, text): {found}")
    return AffectData(name, parts, about)


def _sequences(
    held: Mapping[str, object], path: Path, part: str, dims: tuple[int, int, int] | None
) -> tuple[Sequences, int, int]:
    """One part, with how many clips were dropped and values replaced."""
    lacking = [field for field in (*MODALITIES, "labels") if field not in held]
    if lacking:
        raise DatasetError(path, f"{part}: no {listed(lacking)}; {_schema(held)}")
    arrays = {}
    for at, modality in enumerate(MODALITIES):
        array = np.asarray(held[modality])
        if array.ndim != 3 or array.dtype.kind not in "fiu":
            raise DatasetError(
                path,
                f"{part}: {modality} must be (clips, steps, features), got {array.dtype} of shape {array.shape}",
            )
        if dims is not None and array.shape[2] != dims[at]:
            raise DatasetError(
                path,
                f"{part}: {modality} has {array.shape[2]} features, expected {dims[at]} (vision, audio, text: {dims}); "
                "MultiBench has several files of similar names (mosi_raw.pkl is not mosi_data.pkl)",
            )
        with np.errstate(over="ignore"):
            arrays[modality] = array.astype(np.float32)
    labels = np.asarray(held["labels"])
    shapes = {modality: array.shape[:2] for modality, array in arrays.items()}
    if len(set(shapes.values())) > 1 or labels.shape[:1] != arrays["text"].shape[:1] or not labels.size:
        raise DatasetError(path, f"{part}: clips and steps do not match: {shapes}, labels {labels.shape}")
    if labels.dtype.kind not in "fiu" or not np.isfinite(labels).all():
        raise DatasetError(path, f"{part}: labels must be finite numbers, got {labels.dtype}")
    bad = 0
    for array in arrays.values():  # audio has -inf
        wrong = ~np.isfinite(array)
        bad += int(wrong.sum())
        array[wrong] = 0
    spoken = (arrays["text"] != 0).any(axis=2)
    keep = spoken.any(axis=1)
    n, steps = spoken.shape
    first = spoken.argmax(axis=1)
    source = first[:, None] + np.arange(steps)
    inside = source < steps
    for modality, array in arrays.items():
        moved = np.take_along_axis(array, np.minimum(source, steps - 1)[:, :, None], axis=1)
        arrays[modality] = np.where(inside[:, :, None], moved, np.float32(0))[keep]
    ids = _ids(held.get("id"), n, path, part)
    clips = Sequences(
        arrays,
        (steps - first)[keep].astype(np.int64),
        labels.reshape(n, -1)[:, 0].astype(np.float64)[keep],
        tuple(name for name, kept in zip(ids, keep, strict=True) if kept),
    )
    return clips, int(n - keep.sum()), bad


def _ids(held: object, n: int, path: Path, part: str) -> list[str]:
    if held is None:
        return [f"{part}/{row}" for row in range(n)]
    array = np.asarray(held, dtype=object)
    if array.shape[:1] != (n,):
        raise DatasetError(path, f"{part}: {n} clips need as many ids, got shape {array.shape}")
    flat = array.reshape(n, -1)
    texts = [[e.decode("latin1") if isinstance(e, bytes) else str(e) for e in row] for row in flat.tolist()]
    return [" ".join(text) for text in texts]


def _schema(held: Mapping[str, object]) -> str:
    """What a file holds instead, with the name of a schema that is known to be mistaken for this one."""
    names = set(map(str, held))
    if names & {"facet", "covarep", "glove"}:
        known = "; this is the schema of the CMU SDK (facet, covarep, glove), not MultiBench's"
    elif {"words", "visual", "acoustic"} & names:
        known = "; this is the schema of word-level multimodal transformers (words, visual, acoustic), not MultiBench's"
    elif {"ep_tdata", "y_icd9"} & names:
        known = "; this is MIMIC, read by neural.datasets.mimic"
    else:
        known = ""
    return f"it holds {listed(map(repr, sorted(names)), len(names)) or 'nothing'}{known}"


def binary_labels(labels: ArrayLike, rule: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Two classes from sentiment or humour labels.

    Args:
        labels: (n,) numbers.
        rule: "nonnegative" (class 1 from 0 upwards, as in Gupta et al. 2025), "positive" (class 1 above 0, as
            MultiBench's own task), "nonzero" (the same, neutral clips left out), or "one" (class 1 from 1 upwards).

    Returns:
        (n,) classes, and (n,) which clips count.

    Raises:
        UnknownNameError: another rule.

    Example:
        >>> classes, counted = binary_labels([-1.0, 0.0, 2.0], "nonzero")
        >>> classes.tolist(), counted.tolist()
        ([0, 0, 1], [True, False, True])
    """
    values = np.asarray(labels, dtype=np.float64)
    rules = {"nonnegative": values >= 0, "positive": values > 0, "nonzero": values > 0, "one": values >= 1}
    if rule not in rules:
        raise UnknownNameError(rule, rules, "label rule")
    counted = values != 0 if rule == "nonzero" else np.ones(len(values), dtype=bool)
    return rules[rule].astype(np.int64), counted


def standardised(data: AffectData, modality: str) -> AffectData:
    """Scale a modality by its mean and variance over the steps of training; padding neither counts nor changes."""
    if modality not in MODALITIES:
        raise UnknownNameError(modality, MODALITIES)
    train = data.parts["train"]
    frames = train.arrays[modality][train.mask].astype(np.float64)
    mean, scale = frames.mean(axis=0), frames.std(axis=0)
    # a feature that is constant in training becomes 0 there
    scale[scale <= 1e-12 * np.maximum(np.abs(mean), 1)] = 1
    parts = {}
    for part, clips in data.parts.items():
        scaled = ((clips.arrays[modality] - mean) / scale).astype(np.float32)
        parts[part] = replace(
            clips, arrays={**clips.arrays, modality: np.where(clips.mask[:, :, None], scaled, np.float32(0))}
        )
    return replace(
        data,
        parts=parts,
        about={**data.about, "standardised": [*data.about.get("standardised", []), modality]},
    )
