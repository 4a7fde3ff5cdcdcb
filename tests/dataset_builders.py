"""Tiny data sets in the real layouts and file formats, made below a folder: what loaders are tested on.

`build(root, key)` makes any of the eleven image data sets of the registry, `build_shifted`, `build_esc50`,
`build_affect`, `build_mimic` and `build_digits` the others; `write_indices` and `write_descriptions` what goes with them.
Every image of a data set differs from the others, and its class can be told from its colour.
"""

import csv
import json
import pickle
import wave

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from neural.datasets import SPECS, DatasetError
from neural.datasets.audio import IMAGENET_ESC
from neural.datasets.multibench import AFFECT
from neural.datasets.shifted_imagenet import SHIFTS

WNIDS = ("n01440764", "n01443537", "n03773504", "n04008634")
IMAGENET_NAMES = ("tench", "goldfish", "missile", "missile")
#: class name as in the real split -> path of an image of a part with a number, as in the real folder
LAYOUTS = {
    "oxford_pets": {
        "abyssinian": "Abyssinian_{n}.jpg", "american_bulldog": "american_bulldog_{n}.jpg", "birman": "Birman_{n}.jpg",
    },
    "stanford_cars": {
        "2012 Audi TTS Coupe": "cars_{tt}/{n:05d}.jpg", "2000 AM General Hummer SUV": "cars_{tt}/1{n:04d}.jpg",
        "2012 Ram C/V Cargo Van Minivan": "cars_{tt}/2{n:04d}.jpg",
    },
    "oxford_flowers": {
        "pink primrose": "image_{n:05d}.jpg", "ball moss": "image_1{n:04d}.jpg", "globe-flower": "image_2{n:04d}.jpg",
    },
    "food101": {"apple_pie": "apple_pie/{n}.jpg", "baby_back_ribs": "baby_back_ribs/{n}.jpg"},
    "sun397": {
        "abbey": "a/abbey/sun_{n}.jpg", "indoor apse": "a/apse/indoor/sun_{n}.jpg",
        "outdoor athletic_field": "a/athletic_field/outdoor/sun_{n}.jpg",
    },
    "dtd": {"banded": "banded/banded_{n:04d}.jpg", "polka-dotted": "polka-dotted/polka-dotted_{n:04d}.jpg"},
    "ucf101": {
        "Apply_Eye_Makeup": "Apply_Eye_Makeup/v_ApplyEyeMakeup_g{n:02d}_c01.jpg",
        "Handstand_Pushups": "Handstand_Pushups/v_HandstandPushups_g{n:02d}_c01.jpg",
    },
    "caltech101": {
        "face": "Faces/image_{n:04d}.jpg", "leopard": "Leopards/image_{n:04d}.jpg",
        "car_side": "car_side/image_{n:04d}.jpg",
    },
    "eurosat": {
        "Annual Crop Land": "AnnualCrop/AnnualCrop_{n}.jpg", "Forest": "Forest/Forest_{n}.jpg",
        "Sea or Lake": "SeaLake/SeaLake_{n}.jpg",
    },
}  # fmt: skip
SIZES = {"train": 5, "val": 4, "test": 3}  # per class


def write_image(path, label, number):
    """A tiny picture in the format of its name: the class is its hue, the number its pattern."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([label, number]).integers(0, 60, (12, 16, 3), dtype=np.uint8)
    pixels[..., label % 3] += np.uint8(120 + 20 * (label // 3 % 4))
    Image.fromarray(pixels).save(path, "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else None)


def build(root, key):
    """One of the registry's data sets below `root`; returns {part: [[path, label, class name], ...]} as a split does."""
    if key == "fgvc_aircraft":
        return build_aircraft(root)
    if key == "imagenet":
        return build_imagenet(root)
    spec = SPECS[key]
    images = root / spec.folder / spec.image_root
    split, number = {part: [] for part in SIZES}, 0
    for part, size in SIZES.items():
        for label, (name, pattern) in enumerate(LAYOUTS[key].items()):
            for _ in range(size):
                number += 1
                path = pattern.format(n=number, tt="test" if part == "test" else "train")
                write_image(images / path, label, number)
                split[part].append([path, label, name])
    write_json(root / spec.folder / spec.split_file, split)
    return split


def build_everything(root):
    """Every data set in miniature, with few-shot index files where the real ones have them."""
    for key in SPECS:
        split = build(root, key)
        if key not in ("imagenet", "fgvc_aircraft"):
            write_indices(root, key, split, shots=1, seed=1)
    for key in SHIFTS:
        build_shifted(root, key)
    for key in AFFECT:
        build_affect(root, key)
    build_mimic(root)
    build_esc50(root)
    build_digits(root)
    return root


def build_aircraft(root):
    """FGVC Aircraft with its text lists; variant names hold spaces and slashes, and are not in sorted order."""
    folder, variants = root / "fgvc_aircraft", ("707-320", "F-16A/B", "Boeing 717")
    split, number = {part: [] for part in SIZES}, 1000
    for part, size in SIZES.items():
        lines = []
        for label, variant in enumerate(variants):
            for _ in range(size):
                number += 1
                write_image(folder / "images" / f"{number:07d}.jpg", label, number)
                split[part].append([f"{number:07d}.jpg", label, variant])
                lines.append(f"{number:07d} {variant}\n")
        (folder / f"images_variant_{part}.txt").write_text("".join(lines))
    (folder / "variants.txt").write_text("\n".join(variants) + "\n")
    return split


def build_imagenet(root):
    """ImageNet without a split file: 10 training images per class, 3 of val50k; two classes called missile."""
    folder, number = root / "imagenet", 0
    split = {"train": [], "val": [], "test": []}
    for label, (wnid, name) in enumerate(zip(WNIDS, IMAGENET_NAMES, strict=True)):
        for part, where, size in (("train", "train", 10), ("test", "val", 3)):
            for _ in range(size):
                number += 1
                stem = f"{wnid}_{number}" if part == "train" else f"ILSVRC2012_val_{number:08d}"
                path = f"{where}/{wnid}/{stem}.JPEG"
                write_image(folder / "images" / path, label, number)
                split[part].append([path, label, name])
    write_classnames(folder)
    return split


def write_classnames(folder):
    """classnames.txt of the tiny ImageNet."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{wnid} {name}\n" for wnid, name in zip(WNIDS, IMAGENET_NAMES, strict=True)]
    (folder / "classnames.txt").write_text("".join(lines))


def build_shifted(root, key):
    """A shifted ImageNet set of 2 images per class; A and R have classes 1 and 3 only."""
    shift = SHIFTS[key]
    labels = (1, 3) if shift.n_classes == 200 else range(len(WNIDS))
    write_classnames(root / shift.folder)
    images = root / shift.folder / shift.images
    for label in labels:
        for number in range(2):
            write_image(
                images / (str(label) if shift.numbered else WNIDS[label]) / f"{number}.jpg",
                label,
                100 + number,
            )
    if shift.n_classes == 200:
        (images / "README.txt").write_text("not a class folder")
    return list(labels)


def write_indices(root, key, split, shots, seed, prefix="./data"):
    """A few-shot index file in the real format: the last items of each class, paths under another machine's prefix."""
    spec = SPECS[key]
    base = "/".join(part for part in (prefix, spec.folder, spec.image_root) if part)
    content = {}
    for part, count in (("train", shots), ("val", min(shots, 4))):
        labels = sorted({label for _, label, _ in split[part]})
        rows = [i for want in labels for i in [i for i, e in enumerate(split[part]) if e[1] == want][-count:]]
        data = [
            {
                "impath": f"{base}/{split[part][i][0]}",
                "label": split[part][i][1],
                "classname": split[part][i][2],
            }
            for i in rows
        ]
        content[part] = {"data": data, "indices": rows}
    path = root / "indices" / key / f"shot_{shots}-seed_{seed}.json"
    write_json(path, content)
    return path


def write_descriptions(root, key, texts):
    """A CuPL-like file: {key: sentences}."""
    path = root / "descriptions" / "cupl" / f"descriptors_{key}.json"
    write_json(path, texts)
    return path


def build_esc50(root, renamed=False):
    """ESC-50 with its 50 classes, 5 folds and 2 clips per class and fold; categories not in ImageNet-ESC are numbered."""
    folder = root / "esc-50" / "ESC-50-master"
    names = {pair.target: pair.category for pair in IMAGENET_ESC}
    rows = []
    for fold in range(1, 6):
        for take in "AB":
            for target in range(50):
                source = 1000 * fold + target
                name = f"clip{len(rows)}.wav" if renamed else f"{fold}-{source}-{take}-{target}.wav"
                rows.append([name, fold, target, names.get(target, f"other_{target}"), "False", source, take])
                write_wav(folder / "audio" / name, target)
    path = folder / "meta" / "esc50.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([
            ["filename", "fold", "target", "category", "esc10", "src_file", "take"],
            *rows,
        ])
    return folder


def build_digits(root, digits=range(10), speakers=("george", "theo"), takes=(0, 7)):
    """Free Spoken Digit recordings."""
    for digit in digits:
        for speaker in speakers:
            for take in takes:
                write_wav(root / "fsdd" / "recordings" / f"{digit}_{speaker}_{take}.wav", digit)
    return root / "fsdd" / "recordings"


def write_wav(path, pitch, samples=80):
    """A short 8 kHz sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave_ = (8000 * np.sin(np.arange(samples) * (0.05 + 0.01 * pitch))).astype("<i2")
    with wave.open(str(path), "wb") as handle:
        handle.setnchannels(1)
        handle.setsampwidth(2)
        handle.setframerate(8000)
        handle.writeframes(wave_.tobytes())


def affect_arrays(key, rng, sizes=(("train", 7), ("valid", 4), ("test", 3)), steps=50):
    """Arrays of an affect file: padded with zeros at the front, one clip of train without text, -inf in its audio."""
    vision, audio, text = AFFECT[key].dims
    tree = {}
    for part, n in sizes:
        lengths = rng.integers(3, steps + 1, n)
        padded = np.arange(steps) < (steps - lengths)[:, None]
        arrays = {
            name: np.where(padded[:, :, None], 0, rng.standard_normal((n, steps, d))).astype(np.float32)
            for name, d in (("vision", vision), ("audio", audio), ("text", text))
        }
        if part == "train":
            arrays["text"][2] = 0
            arrays["audio"][1, -1, 0] = -np.inf
        labels = rng.uniform(-3, 3, (n, 1, 1)) if key in ("mosi", "mosei") else rng.integers(0, 2, (n, 1))
        ids = np.array([f"{part}_{i}" for i in range(n)], dtype=object)
        tree[part] = {**arrays, "labels": labels.astype(np.float32), "id": ids}
        if part == "train":
            tree[part]["labels"].flat[0] = 0  # a neutral clip
    return tree


def build_affect(root, key, seed=0, protocol=4):
    """A MultiBench affect pickle; returns what it holds."""
    tree = affect_arrays(key, np.random.default_rng(seed))
    path = root / "multibench" / AFFECT[key].file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(tree, protocol=protocol))
    return tree


def build_mimic(root, seed=0, n=30):
    """MultiBench's im.pk."""
    rng = np.random.default_rng(seed)
    tree = {
        "ep_tdata": rng.normal(50, 10, (n, 24, 12)),
        "adm_features_all": rng.normal(3, 2, (n, 5)),
        "adm_labels_all": rng.integers(0, 2, (n, 7)),
        "y_icd9": rng.integers(0, 2, (n, 20)),
    }
    tree["ep_tdata"][0, 0, 0] = np.nan
    path = root / "multibench" / "im.pk"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(tree))
    return tree


def write_json(path, content):
    """JSON, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


# ---------------------------------------------------------------- for fuzz tests

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def load_or_explain(read, path, content):
    """What `read` makes of a file with this content, or None where it raised its own error, naming the file."""
    path.write_bytes(content)
    try:
        return read(path)
    except DatasetError as error:
        message = str(error)
    assert str(path) in message
    return None
