"""ImageNet-ESC from small synthetic files: folds, 25 repetitions, one row per class of what helps, errors with names."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from fisherkit.checks import UnknownNameError
from neural.datasets.audio import IMAGENET_ESC, imagenet_esc
from neural.datasets.esc_features import read_images, read_names, read_sounds
from neural.datasets.reading import DatasetError, MissingError
from neural.tasks.imagenet_esc import ImagenetEsc, open_imagenet_esc

CLIPS, TRAIN, TEST = 8, 6, 3


def sounds_content():
    """Feature 0 is the class number, 1 the fold, 2 the position in the fold; clips interleave classes, as ESC-50's do."""
    names = {pair.target: pair.category for pair in IMAGENET_ESC}
    content = {}
    for fold in range(5):
        order = [(target, take) for take in range(CLIPS) for target in range(50)]
        rows = [[target, fold + 1, i, 1.0] for i, (target, _) in enumerate(order)]
        content[fold] = {
            "features": torch.tensor(rows, dtype=torch.float32),
            "labels": torch.tensor([target for target, _ in order]),
            "labelnames": [names.get(target, f"other {target}") for target, _ in order],
            "paths": [f"/esc/audio/{fold + 1}-{target}-{take}.wav" for target, take in order],
        }
    return content


def images_content():
    """Feature 0 is ImageNet's class number, 1 whether the image tests; with one class that is not in the benchmark."""
    wnids = {pair.wnid: pair.imagenet for pair in IMAGENET_ESC} | {"n01440764": 0}
    paths = [f"train/{w}/{w}_{i}.JPEG" for w in wnids for i in range(TRAIN)]
    paths += [f"val/{w}/ILSVRC2012_val_{n}_{i}.JPEG" for n, w in enumerate(wnids) for i in range(TEST)]
    rows = [[wnids[p.split("/")[1]], float(p.startswith("val")), i] for i, p in enumerate(paths)]
    return np.array(rows, dtype=np.float32), paths


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("esc")
    torch.save(sounds_content(), folder / "sounds.pt")
    features, paths = images_content()
    np.savez(folder / "images.npz", features=features, paths=paths)
    save_file({"features": features}, folder / "images.safetensors", {"paths": json.dumps(paths)})
    vectors = np.stack([np.full(5, pair.imagenet, dtype=np.float32) for pair in IMAGENET_ESC[::-1]])
    np.savez(folder / "names.npz", features=vectors, classes=[pair.name for pair in IMAGENET_ESC[::-1]])
    return folder


@pytest.fixture(scope="module", params=[19, 27])
def source(files, request):
    return open_imagenet_esc(
        request.param,
        images=files / "images.npz",
        sounds=files / "sounds.pt",
        texts=files / "names.npz",
    )


def test_modalities_agree_about_classes(source):
    pairs = imagenet_esc(source.size)
    assert source.modalities == ("text", "image", "audio")
    assert source.targets == ("image", "audio")
    task = source.task("image", ["text", "audio"], 7)
    for rows, number in (
        (task.train, "imagenet"),
        (task.auxiliaries["text"], "imagenet"),
        (task.auxiliaries["audio"], "target"),
    ):
        wanted = [getattr(pairs[label], number) for label in rows.labels]
        assert rows.features[:, 0].tolist() == wanted


@pytest.mark.parametrize("shots", [1, 2, 4])
@pytest.mark.parametrize("repetition", [0, 8, 24])
def test_sounds_follow_the_folds(source, shots, repetition):
    task = source.task("audio", ["image"], repetition)
    split, draw = divmod(repetition, 5)
    few = task.few_shot(shots, repetition)
    n = source.size
    for part, first in ((few.train, 0), (few.val, shots)):
        assert part.counts(n).tolist() == [shots] * n
        assert (part.features[:, 1] == split + 1).all()
        takes = sorted(set((part.features[:, 2] // 50).tolist()))
        assert takes == list(range(first, first + shots)), "first k clips train, the next k validate"
    test = task.tests["test"]
    assert len(test) == 4 * CLIPS * n
    assert split + 1 not in test.features[:, 1]
    assert task.auxiliaries["image"].counts(n).tolist() == [1] * n
    assert not task.auxiliaries["image"].features[:, 1].any(), "from ImageNet's training part"
    same_draw = source.task("audio", ["image"], (repetition + 5) % 25)
    assert np.array_equal(same_draw.auxiliaries["image"].features, task.auxiliaries["image"].features), (
        "auxiliary rows depend on the draw alone"
    )
    other = source.task("audio", ["image"], 5 * split + (draw + 1) % 5)
    assert not np.array_equal(other.auxiliaries["image"].features, task.auxiliaries["image"].features)
    assert np.array_equal(
        other.few_shot(shots, 5 * split + (draw + 1) % 5).train.features, few.train.features
    )


def test_images_are_drawn_from_the_training_part(source):
    n = source.size
    task = source.task("image", ["audio"], 13)
    few = task.few_shot(4, 13)
    assert few.train.counts(n).tolist() == [4] * n
    assert few.val.counts(n).tolist() == [TRAIN - 4] * n
    taken = np.concatenate([few.train.features[:, 2], few.val.features[:, 2]])
    assert len(set(taken.tolist())) == len(taken), "no image both trains and validates"
    assert len(task.tests["test"]) == TEST * n
    assert task.tests["test"].features[:, 1].all()
    helping = task.auxiliaries["audio"]
    assert helping.counts(n).tolist() == [1] * n
    assert set(helping.features[:, 1].tolist()) == {13 % 5 + 1}


def test_published_subsets_are_taken_as_listed(files, tmp_path):
    _, paths = images_content()
    for seed in range(1, 6):
        for k in (1, 2):
            entries = {
                part: [
                    {"impath": p, "label": 0, "classname": "x"}
                    for p in paths
                    if p.startswith("train") and int(p[:-5].rsplit("_")[-1]) in chosen
                ]
                for part, chosen in (("train", range(k)), ("val", range(k, 2 * k)))
            }
            content = {
                part: {"data": data, "indices": list(range(len(data)))} for part, data in entries.items()
            }
            (tmp_path / f"shot_{k}-seed_{seed}.json").write_text(json.dumps(content))
    source = open_imagenet_esc(
        27, images=files / "images.npz", texts=files / "names.npz", indices=tmp_path, shots=[1, 2]
    )
    few = source.task("image", ["text"], 6).few_shot(2, 6)
    assert {p % TRAIN for p in few.train.features[:, 2].tolist()} == {0, 1}
    assert {p % TRAIN for p in few.val.features[:, 2].tolist()} == {2, 3}
    (tmp_path / "shot_1-seed_1.json").write_text('{"train": {"data": [{"impath": "n01514668/none.JPEG"}]}}')
    with pytest.raises(DatasetError, match=r"shot_1-seed_1\.json: train: no features of none\.JPEG"):
        source.task("image", ["text"], 0)
    (tmp_path / "shot_1-seed_1.json").write_text("[]")
    with pytest.raises(DatasetError, match="train: expected a list 'data' of objects with 'impath'"):
        source.task("image", ["text"], 0)


def test_both_file_formats_hold_the_same(files):
    pairs = imagenet_esc(27)
    first, second = (read_images(files / f"images.{end}", pairs) for end in ("npz", "safetensors"))
    assert np.array_equal(first.features, second.features)
    assert first.names == second.names


def test_rows_of_length_one(files):
    source = open_imagenet_esc(19, images=files / "images.npz", texts=files / "names.npz", normalised=True)
    task = source.task("image", ["text"])
    for rows in (task.train, task.tests["test"], task.auxiliaries["text"]):
        assert np.linalg.norm(rows.features, axis=1) == pytest.approx(1, abs=1e-5)


def test_source_says_what_is_wrong(source, files):
    with pytest.raises(UnknownNameError, match="unknown target 'text'"):
        source.task("text")
    with pytest.raises(UnknownNameError, match="unknown modality 'sound'"):
        source.task("image", ["sound"])
    with pytest.raises(ValueError, match="repetition 25: there are 25, counted from 0"):
        source.task("image", ["text"], 25)
    with pytest.raises(ValueError, match="imagenet_esc_27: features of text given; at least two"):
        open_imagenet_esc(27, texts=files / "names.npz")
    with pytest.raises(ValueError, match="ImageNet-ESC has 19 or 27 classes, not 20"):
        ImagenetEsc(20)
    many = open_imagenet_esc(19, images=files / "images.npz", texts=files / "names.npz", shots=[TRAIN])
    with pytest.raises(
        ValueError, match=r"n01514668: 6 training images with features; 6 shots need at least 7"
    ):
        many.task("image", ["text"])


def without(key):
    content = sounds_content()
    del content[2][key]
    return content


def wrong_name():
    content = sounds_content()
    content[3]["labelnames"][0] = "whale"
    return content


def wrong_number():
    content = sounds_content()
    content[0]["features"] = content[0]["features"][:-1]
    return content


def wrong_width():
    content = sounds_content()
    content[4]["features"] = content[4]["features"][:, :2]
    return content


def renamed():
    content = sounds_content()
    for part in content.values():
        part["labelnames"] = ["puppy" if name == "dog" else name for name in part["labelnames"]]
    return content


def repeated():
    content = sounds_content()
    content[1]["paths"] = content[0]["paths"]
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: {0: {}}, "expected the keys 0 to 4, one per fold; found 0"),
        (lambda: without("paths"), "fold 3: no paths"),
        (wrong_name, "fold 4: label 0 is 'whale' here, 'dog' before"),
        (wrong_number, r"fold 1: expected \(n, d\) features .* got features \(399, 4\), 400 labels"),
        (wrong_width, r"folds differ in width: \[4, 4, 4, 4, 2\] features"),
        (renamed, "classes that are not ESC-50's: 0 dog"),
        (repeated, "1-0-0.wav"),
        (lambda: [1, 2], "expected a dictionary, found list"),
        (lambda: {0: np.float64}, "not a file of tensors and plain containers"),
    ],
)
def test_sound_files_that_cannot_be_used_are_named(tmp_path, content, message):
    torch.save(content(), tmp_path / "s.pt")
    with pytest.raises(DatasetError, match=rf"s\.pt: .*{message}"):
        read_sounds(tmp_path / "s.pt", imagenet_esc(19))


def test_image_and_name_files_that_cannot_be_used_are_named(files, tmp_path):
    pairs = imagenet_esc(19)
    features, paths = images_content()
    path = tmp_path / "f.npz"

    def refused(read, message, **arrays):
        np.savez(path, **arrays)
        with pytest.raises(DatasetError, match=message):
            read(path, pairs)

    refused(read_images, r"expected 'features' and 'paths'; one of them is not there", features=features)
    refused(read_images, "paths.0.: 'x.JPEG' has no folder", features=features[:1], paths=["x.JPEG"])
    refused(read_images, "19 classes have no image below val/", features=features[:150], paths=paths[:150])
    twice, again = np.concatenate([features, features]), [*paths, *paths]
    refused(read_images, "images that appear twice: ", features=twice, paths=again)
    refused(read_images, r"got features \(168,\)", features=features[:168, 0], paths=paths[:168])
    refused(
        read_names,
        r"no vector of 'rooster' \(n01514668\); classes there: hen",
        features=features[:1],
        classes=["hen"],
    )
    for wrong, message in (
        ("x.csv", "are read from .npz or .safetensors"),
        ("x.safetensors", "cannot be read"),
    ):
        (tmp_path / wrong).write_text("?")
        with pytest.raises(DatasetError, match=message):
            read_images(tmp_path / wrong, pairs)
    save_file({"other": features}, tmp_path / "o.safetensors", {"paths": "[]"})
    with pytest.raises(DatasetError, match="one of them is not there"):
        read_images(tmp_path / "o.safetensors", pairs)
    for read in (read_images, read_names, read_sounds):
        with pytest.raises(MissingError, match=r"nowhere\.npz: file not found"):
            read(tmp_path / "nowhere.npz", pairs)
