"""Sounds: ESC-50 with its folds, ImageNet-ESC's pairs of classes, and spoken digits; lists of files, no waveforms."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fisherkit.checks import as_whole
from neural.datasets.folders import list_files
from neural.datasets.items import Items, missing_labels, named_by
from neural.datasets.reading import DatasetError, MissingError, listed, read_text

__all__ = [
    "ESC_FETCH",
    "IMAGENET_ESC",
    "Esc50",
    "EscPair",
    "SpokenDigits",
    "imagenet_esc",
    "read_digits",
    "read_esc50",
]

ESC_FETCH = (
    "https://github.com/karolpiczak/ESC-50/archive/master.zip, unpacked in esc-50/ (or ESC-50-master/)"
)
ESC_FOLDERS = ("esc-50/ESC-50-master", "ESC-50-master", "esc-50", "ESC-50")
ESC_COLUMNS = ("filename", "fold", "target", "category", "src_file")


@dataclass(frozen=True)
class EscPair:
    """An ESC-50 class (number `target`) and the ImageNet class that makes its sound; ESC-19 has the close pairs."""

    category: str
    target: int
    imagenet: int
    wnid: str
    name: str
    close: bool


IMAGENET_ESC = (
    EscPair("rooster", 1, 7, "n01514668", "rooster", True),
    EscPair("hen", 6, 8, "n01514859", "hen", True),
    EscPair("chirping_birds", 14, 19, "n01592084", "chickadee", True),
    EscPair("frog", 4, 31, "n01644373", "tree frog", True),
    EscPair("dog", 0, 175, "n02091635", "Otterhound", True),
    EscPair("cat", 5, 285, "n02124075", "Egyptian Mau", True),
    EscPair("insects", 7, 308, "n02190166", "fly", True),
    EscPair("crickets", 13, 312, "n02229544", "cricket insect", True),
    EscPair("pig", 2, 341, "n02395406", "pig", True),
    EscPair("sheep", 8, 349, "n02415577", "bighorn sheep", True),
    EscPair("airplane", 47, 404, "n02690373", "airliner", True),
    EscPair("train", 45, 466, "n02917067", "high-speed train", True),
    EscPair("can_opening", 34, 473, "n02951585", "can opener", False),
    EscPair("chainsaw", 41, 491, "n03000684", "chainsaw", True),
    EscPair("church_bells", 46, 497, "n03028079", "church", False),
    EscPair("keyboard_typing", 32, 508, "n03085013", "computer keyboard", True),
    EscPair("clock_alarm", 37, 530, "n03196217", "digital clock", True),
    EscPair("crackling_fire", 12, 556, "n03347037", "fire screen", False),
    EscPair("mouse_click", 31, 673, "n03793489", "computer mouse", True),
    EscPair("toilet_flush", 18, 861, "n04447861", "toilet seat", False),
    EscPair("vacuum_cleaner", 36, 882, "n04517823", "vacuum cleaner", True),
    EscPair("clock_tick", 38, 892, "n04548280", "wall clock", True),
    EscPair("water_drops", 15, 896, "n04553703", "sink", False),
    EscPair("washing_machine", 35, 897, "n04554684", "washing machine", True),
    EscPair("drinking_sipping", 29, 898, "n04557648", "water bottle", False),
    EscPair("pouring_water", 17, 899, "n04560804", "water jug", False),
    EscPair("sea_waves", 11, 977, "n09421951", "sandbar", False),
)


def imagenet_esc(size: int) -> tuple[EscPair, ...]:
    """The 27 or 19 pairs of ImageNet-ESC, by ImageNet's class number; a pair's position is the joint label."""
    if size not in (19, 27):
        raise ValueError(f"ImageNet-ESC has 19 or 27 classes, not {size!r}")
    return tuple(pair for pair in IMAGENET_ESC if pair.close or size == 27)


@dataclass(frozen=True, eq=False)
class Esc50:
    """ESC-50's clips, in the order of its table.

    Attributes:
        clips: files; labels are positions in `classes`.
        classes: names.
        folds: (n,) fold of each clip, 1 to 5.
        recordings: n numbers of the recordings that clips were cut from; clips of one recording are all in one fold.
    """

    clips: Items
    classes: tuple[str, ...]
    folds: NDArray[np.int64]
    recordings: tuple[str, ...]

    def select(self, pairs: tuple[EscPair, ...]) -> "Esc50":
        """The classes that ImageNet-ESC pairs with images, under their joint labels, in the same order of clips."""
        joint = {pair.target: label for label, pair in enumerate(pairs)}
        wrong = [
            f"{pair.target} {pair.category}"
            for pair in pairs
            if pair.target >= len(self.classes) or self.classes[pair.target] != pair.category
        ]
        if wrong:
            raise DatasetError(self.clips.root, f"classes that are not ESC-50's: {listed(wrong)}")
        rows = np.flatnonzero(np.isin(self.clips.labels, list(joint)))
        labels = np.array([joint[int(label)] for label in self.clips.labels[rows]], dtype=np.int64)
        return Esc50(
            Items(self.clips.root, tuple(self.clips.paths[i] for i in rows), labels),
            tuple(pair.category for pair in pairs),
            self.folds[rows],
            tuple(self.recordings[i] for i in rows),
        )

    def fold(self, fold: int, shots: int) -> tuple[Items, Items, Items]:
        """Training, validation and test clips: the protocol of Lin et al. (2023), in a fold of 1 to 5."""
        shots = as_whole(shots, "shots", least=1)
        inside = np.flatnonzero(self.folds == fold)
        if not len(inside):
            raise ValueError(f"fold {fold!r}: expected one of {sorted(set(self.folds.tolist()))}")
        labels = self.clips.labels[inside]
        order = inside[np.argsort(labels, kind="stable")]
        counts = np.bincount(labels, minlength=len(self.classes))
        if counts.min() < 2 * shots:
            scarce = int(counts.argmin())
            raise ValueError(
                f"fold {fold}: {counts[scarce]} clips of {self.classes[scarce]!r}; {shots} shots need {2 * shots}"
            )
        # the first k clips of a class in the fold train, the next k validate, and the other folds test; within a fold
        # these often come from one recording, so validation is optimistic
        rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        return (
            self.clips.take(order[rank < shots]),
            self.clips.take(order[(rank >= shots) & (rank < 2 * shots)]),
            self.clips.take(np.flatnonzero(self.folds != fold)),
        )


def read_esc50(root: Path, *, require_files: bool = True) -> Esc50:
    """Read ``meta/esc50.csv`` below a data root, or in ESC-50's own folder; files are found by its names."""
    folders = [Path(root) / folder for folder in (*ESC_FOLDERS, "")]
    folder = next((f for f in folders if (f / "meta" / "esc50.csv").is_file()), folders[0])
    path = folder / "meta" / "esc50.csv"
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    names: dict[int, str] = {}
    files, labels, folds, recordings = [], [], [], []
    try:
        lacking = [column for column in ESC_COLUMNS if column not in (reader.fieldnames or [])]
        if lacking:
            raise DatasetError(path, f"no column {listed(lacking)}")
        for at, row in enumerate(reader, start=2):
            file, fold, target, category, recording = [str(row[column] or "") for column in ESC_COLUMNS]
            if not file or not re.fullmatch(r"\d{1,2}", fold) or not re.fullmatch(r"\d{1,4}", target):
                got = [file, fold, target]
                raise DatasetError(path, f"line {at}: expected a file name, fold and target, got {got}")
            label = int(target)
            if names.setdefault(label, category) != category:
                raise DatasetError(
                    path, f"line {at}: target {target} is {category!r} here, {names[label]!r} before"
                )
            files.append(file)
            folds.append(int(fold))
            labels.append(label)
            recordings.append(recording)
    except csv.Error as error:
        raise DatasetError(path, f"not valid CSV (line {reader.line_num}): {error}") from None
    count, first = missing_labels(names)
    if count or not names:
        raise DatasetError(
            path, f"targets have gaps: {listed(first, count)} are not used" if count else "no clips listed"
        )
    with named_by(path):
        clips = Items(folder / "audio", tuple(files), np.array(labels, dtype=np.int64))
    missing = clips.missing() if require_files else []
    if missing:
        raise MissingError(
            clips.root, f"{len(missing):,} of {len(clips):,} clips are missing: {listed(missing)}"
        )
    classes = tuple(names[label] for label in range(len(names)))
    return Esc50(clips, classes, np.array(folds, dtype=np.int64), tuple(recordings))


@dataclass(frozen=True, eq=False)
class SpokenDigits:
    """The Free Spoken Digit Dataset: labels are the digits; its own test part is takes 0 to 4."""

    clips: Items
    speakers: tuple[str, ...]
    takes: NDArray[np.int64]


def read_digits(folder: Path) -> SpokenDigits:
    """Read ``{digit}_{speaker}_{take}.wav`` of this folder, or of the ``recordings/`` or ``fsdd/recordings/`` in it."""
    folder = Path(folder)
    inner = ("recordings", "fsdd/recordings", "free-spoken-digit-dataset/recordings")
    folder = next((folder / name for name in inner if (folder / name).is_dir()), folder)
    files = list_files(folder, {".wav"})
    parsed = [re.fullmatch(r"(\d)_(.+)_(\d{1,6})\.wav", file) for file in files]
    wrong = [file for file, found in zip(files, parsed, strict=True) if found is None]
    if wrong or not files:
        strange = f"{len(wrong)} names are not digit_speaker_take.wav: {listed(wrong)}"
        raise DatasetError(folder, strange if wrong else "no .wav files")
    found = [match for match in parsed if match is not None]
    clips = Items(folder, tuple(files), np.array([int(m[1]) for m in found], dtype=np.int64))
    return SpokenDigits(
        clips, tuple(m[2] for m in found), np.array([int(m[3]) for m in found], dtype=np.int64)
    )
