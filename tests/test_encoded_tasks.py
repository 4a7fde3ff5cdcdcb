"""The whole chain: files on disk, checked, encoded once, a study on them, the published number beside it."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from fisherkit.checks import UnknownNameError
from neural.datasets import SPECS, DatasetError, MissingError, load, load_few_shot, load_texts
from neural.datasets.shifted_imagenet import SHIFTS, load_shifted
from neural.embed import encode, encoder, register
from neural.embed.registry import _FUNCTIONS
from neural.fewshot.report import as_markdown, draw
from neural.results.table import read_table
from neural.tasks.encoded import encode_task
from studies.image_text_fewshot import _published, main
from studies.lab.task_sources import encoded_task
from tests.dataset_builders import (
    IMAGENET_NAMES,
    LAYOUTS,
    WNIDS,
    build,
    build_shifted,
    write_descriptions,
    write_indices,
    write_json,
)
from tests.tiny_encoders import save_clip, save_image, save_text

SEEN = []


@pytest.fixture(scope="module", autouse=True)
def plain_encoders():
    """An image encoder and a text encoder that say what they were asked to encode."""

    @register("colours", modality="image", version="1")
    def colours(paths):
        SEEN.extend(paths)
        rows = []
        for path in paths:
            with Image.open(path) as image:
                rows.append(np.asarray(image.convert("RGB").resize((4, 4)), dtype=float).ravel() / 255)
        return rows

    @register("letters", modality="text", version="1")
    def letters(sentences):
        return [[sentence.count(c) for c in "aeinorst"] for sentence in sentences]

    yield
    for name in ("colours", "letters"):
        del _FUNCTIONS[name]


def built(root, key):
    build(root, key)
    classes = load(key, root).classes
    write_descriptions(root, key, {name: [f"a {name} seen {i}" for i in range(3)] for name in classes})
    return classes


@pytest.mark.parametrize("key", [key for key in SPECS if key in {*LAYOUTS, "fgvc_aircraft", "imagenet"}])
def test_every_data_set_becomes_a_task(tmp_path, key):
    built(tmp_path, key)
    dataset = load(key, tmp_path)
    texts = load_texts(key, tmp_path, dataset.classes)
    task = encode_task(
        dataset, texts, vision=encoder("colours"), text=encoder("letters"), cache=tmp_path / "c"
    )
    assert task.dims == {"image": 48, "text": 8}
    assert task.name == key
    assert [len(task.train), len(task.val), len(task.tests["test"])] == [
        len(part) for part in dataset.parts.values()
    ]
    wanted = encode(encoder("colours"), dataset.test.files)
    np.testing.assert_array_equal(task.tests["test"].features, wanted)


def test_published_subsets_are_used_and_nothing_else_is_encoded(tmp_path):
    built(tmp_path, "oxford_pets")
    dataset = load("oxford_pets", tmp_path)
    split = json.loads((tmp_path / "oxford_pets" / "split_zhou_OxfordPets.json").read_text())
    for seed in (1, 2):
        write_indices(tmp_path, "oxford_pets", split, 1, seed)
    SEEN.clear()
    task = encoded_task(
        "oxford_pets",
        root=tmp_path,
        vision="colours",
        text="letters",
        shots=(1,),
        seeds=2,
        seed=0,
        cache=tmp_path / "cache",
    )
    needed = set()
    for s in range(2):
        items = load_few_shot("oxford_pets", tmp_path, 1, s + 1, dataset=dataset)
        assert items.source is not None
        drawn = task.few_shot(1, s)
        for part, files in ((drawn.train, items.train), (drawn.val, items.val)):
            np.testing.assert_array_equal(part.features, encode(encoder("colours"), files.files))
            np.testing.assert_array_equal(part.labels, files.labels)
            needed |= set(files.files)
    assert len(task.about["published subsets"]) == 2
    assert task.encoders == task.about["encoders"] == {"image": "colours", "text": "letters"}
    assert task.words_per_text == task.about["words per sentence"] > 1
    first_pass = SEEN[: len(needed) + len(dataset.test)]
    assert set(map(str, first_pass)) == set(map(str, needed | set(dataset.test.files)))
    whole = encoded_task(
        "oxford_pets",
        root=tmp_path,
        vision="colours",
        text="letters",
        shots=(1, None),
        seeds=2,
        seed=0,
        cache=tmp_path / "cache",
    )
    assert len(whole.train) == len(dataset.train)
    assert whole.few_shot(1, 0).fingerprint == task.few_shot(1, 0).fingerprint, "the same published subset"
    assert len(whole.few_shot(None, 0).train) == len(dataset.train)


def imagenet_task(root, shifted=None):
    where = {"root": root, "cache": root / "cache", "vision": "colours", "text": "letters"}
    return encoded_task("imagenet", **where, shots=(1,), seeds=2, seed=0, shifted=shifted)


def test_imagenet_gets_the_shifted_test_sets_that_are_there(tmp_path, capsys):
    built(tmp_path, "imagenet")
    plain = imagenet_task(tmp_path)
    assert f"shifted test sets below {tmp_path}: none\n" in capsys.readouterr().out
    for key in SHIFTS:
        build_shifted(tmp_path, key)
        (tmp_path / SHIFTS[key].folder / "classnames.txt").unlink()  # the training folders tell the labels
    assert imagenet_task(tmp_path, shifted=[]).fingerprint == plain.fingerprint
    task = imagenet_task(tmp_path)
    assert f": {', '.join(SHIFTS)}\n" in capsys.readouterr().out
    assert list(task.tests) == ["test", *SHIFTS]
    assert task.among == {"imagenet_a": (1, 3), "imagenet_r": (1, 3)}
    for key, shift in SHIFTS.items():
        files = sorted((tmp_path / shift.folder / shift.images).glob("*/*.jpg"))
        labels = [int(f.parent.name) if shift.numbered else WNIDS.index(f.parent.name) for f in files]
        np.testing.assert_array_equal(task.tests[key].features, encode(encoder("colours"), files))
        assert task.tests[key].labels.tolist() == labels
    assert task.about["counts"]["imagenet_a"] == 4
    some = imagenet_task(tmp_path, shifted=["imagenet_r", "imagenetv2"])
    assert list(some.tests) == ["test", "imagenet_r", "imagenetv2"]
    shutil.rmtree(tmp_path / "imagenet-sketch")
    assert list(imagenet_task(tmp_path).tests) == ["test", "imagenetv2", "imagenet_a", "imagenet_r"]
    assert "imagenetv2, imagenet_a, imagenet_r (not imagenet_sketch)\n" in capsys.readouterr().out


def test_shifted_test_sets_with_mistakes(tmp_path):
    built(tmp_path, "imagenet")
    with pytest.raises(
        MissingError, match=r"imagenet-r: .*; or name the shifted test sets to take: --shifted"
    ):
        imagenet_task(tmp_path, shifted=["imagenet_r"])
    with pytest.raises(UnknownNameError, match="unknown shifted test set 'imagenet-r'"):
        imagenet_task(tmp_path, shifted=["imagenet-r"])
    build_shifted(tmp_path, "imagenetv2")
    shutil.rmtree(tmp_path / "imagenetv2" / SHIFTS["imagenetv2"].images / "2")
    with pytest.raises(MissingError, match=r"1 of 4 class folders are missing: '?2'?.*: --shifted"):
        imagenet_task(tmp_path)
    build_shifted(tmp_path, "imagenet_a")
    dataset = load("imagenet", tmp_path)
    texts = load_texts("imagenet", tmp_path, dataset.classes)
    taken = {"val": load_shifted("imagenet_a", tmp_path)}
    with pytest.raises(
        ValueError, match="imagenet: tests: 'val' is one of its own parts; choose another name"
    ):
        encode_task(
            dataset, texts, vision=encoder("colours"), text=encoder("letters"), cache=None, tests=taken
        )


def test_shifted_test_sets_need_labels_that_are_ranks(tmp_path):
    split = build(tmp_path, "imagenet")
    build_shifted(tmp_path, "imagenetv2")
    write_descriptions(tmp_path, "imagenet", {name: [name] for name in IMAGENET_NAMES})
    split["val"] = [split["train"].pop(i) for i in (30, 20, 10, 0)]
    turned = {
        part: [[path, 3 - label, IMAGENET_NAMES[3 - label]] for path, label, _ in items]
        for part, items in split.items()
    }
    for content, ranks in ((split, True), (turned, False)):
        write_json(tmp_path / "imagenet" / "split_ImageNet.json", content)
        if ranks:
            assert imagenet_task(tmp_path).tests["imagenetv2"].labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
        else:
            with pytest.raises(DatasetError, match="labels are not the ranks of WordNet numbers"):
                imagenet_task(tmp_path)
            assert list(imagenet_task(tmp_path, shifted=[]).tests) == ["test"]


def test_classes_without_a_sentence_are_named(tmp_path):
    build(tmp_path, "dtd")
    dataset = load("dtd", tmp_path)
    texts = load_texts("dtd", tmp_path, dataset.classes, "vanilla")
    hole = replace(texts, texts=((), *texts.texts[1:]))
    with pytest.raises(
        ValueError, match=r"dtd: 1 classes have no sentence \('banded'\); add them to the file"
    ):
        encode_task(dataset, hole, vision=encoder("colours"), text=encoder("letters"), cache=None)


QUICK = ["--quick", "--seeds", "2", "--shots", "1", "2", "--arms", "uml_init"]


def places(tmp_path):
    return ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]


def test_study_on_a_folder_of_images_and_a_file_of_sentences(tmp_path):
    folder = tmp_path / "mine"
    rng = np.random.default_rng(0)
    for label, name in enumerate(("apple", "pear", "plum")):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 80, (12, 12, 3)) + np.array([60, 120, 170])[label]
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    sentences = tmp_path / "sentences.json"
    write_json(sentences, {name: [f"one {name}", f"a ripe {name}"] for name in ("apple", "pear", "plum")})
    where = ["--dataset", str(folder), "--descriptions", str(sentences)]
    summary = main([*where, "--vision", "colours", "--text", "letters", *QUICK, *places(tmp_path)])
    assert summary["classes"] == 3
    assert summary["about"]["encoders"] == {"image": "colours", "text": "letters"}
    assert summary["published"] == []
    templates = ["--dataset", str(folder), "--texts", "vanilla", "--vision", "colours", "--text", "letters"]
    assert main([*templates, *QUICK, *places(tmp_path)])["about"]["words per sentence"] == 5.0


def test_study_with_networks_of_transformers(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    built(tmp_path, "food101")
    save_image(tmp_path / "vit", "vit")
    save_text(tmp_path / "bert", "bert")
    save_clip(tmp_path / "clip")
    own = ["--dataset", "food101", "--data", str(tmp_path), *QUICK, *places(tmp_path)]
    summary = main([*own, "--vision", str(tmp_path / "vit"), "--text", str(tmp_path / "bert")])
    assert summary["control"] == "matched"
    pair = main([*own, "--vision", str(tmp_path / "clip"), "--text", str(tmp_path / "clip")])
    assert pair["control"] == "unimodal", "two towers of one CLIP share a space: nothing is projected"


def test_published_numbers_stand_beside_ours(tmp_path):
    built(tmp_path, "oxford_pets")
    where = ["--dataset", "oxford_pets", "--data", str(tmp_path), "--vision", "colours", "--text", "letters"]
    summary = main([*where, *QUICK, *places(tmp_path)])
    assert summary["published"] == [], "the paper has no such encoders"
    encoders = {"image": "dinov2-s14", "text": "openllama-3b"}
    plan = SimpleNamespace(
        task=SimpleNamespace(name="oxford_pets", encoders=encoders),
        preset=SimpleNamespace(shots=(1, 2, None)),
    )
    found = _published(plan)
    assert {"shots": "1", "arm": "uml_init", "accuracy": 73.59} in found
    assert {entry["shots"] for entry in found} == {"1", "2", "all"}
    shown = summary | {"published": found}
    assert "| *paper: UML (init)* | 73.59 | 81.41 |" in as_markdown(shown)
    (path,) = (path for path in (tmp_path / "out").glob("*.csv") if not path.stem.endswith("_table"))
    draw(shown | {"published": found[:6]}, read_table(path), tmp_path / "with_marks.png")
    assert (tmp_path / "with_marks.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "oxford_pet"], "unknown data set (and no such path): 'oxford_pet'"),
        (
            ["--dataset", "oxford_pet", "--vision", "colours", "--text", "letters"],
            "unknown data set (and no such path): 'oxford_pet'; did you mean 'oxford_pets'",
        ),
        (
            ["--dataset", "oxford_pets", "--data", "nowhere", "--vision", "colours", "--text", "letters"],
            "nowhere",
        ),
        (
            ["--dataset", "oxford_pets", "--data", "nowhere", "--vision", "colors", "--text", "letters"],
            "nowhere",
        ),
        (["--shifted", "imagenet_a"], "--shifted: test sets of --dataset imagenet"),
        (["--dataset", "dtd", "--shifted"], "--shifted: test sets of --dataset imagenet"),
    ],
)
def test_command_line_says_what_is_wrong(capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit):
        main([*arguments, *QUICK, *places(tmp_path)])
    assert message in capsys.readouterr().err


def test_an_encoder_must_be_named(capsys, tmp_path):
    built(tmp_path, "dtd")
    with pytest.raises(SystemExit):
        main(["--dataset", "dtd", "--data", str(tmp_path), "--vision", "colours", *QUICK, *places(tmp_path)])
    assert "--text: name an encoder for 'dtd'" in capsys.readouterr().err


def test_folder_without_sentences_says_what_to_do(capsys, tmp_path):
    (tmp_path / "mine").mkdir()
    for name in "ab":
        (tmp_path / "mine" / name).mkdir()
        for i in range(6):
            Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(tmp_path / "mine" / name / f"{i}.png")
    arguments = ["--dataset", str(tmp_path / "mine"), "--vision", "colours", "--text", "letters"]
    with pytest.raises(SystemExit):
        main([*arguments, *QUICK, *places(tmp_path)])
    assert "give sentences about its classes with --descriptions FILE.json" in capsys.readouterr().err
