"""The full-data study on images on disk: fine-tuning of pretrained encoders, end to end on tiny networks and data sets."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from neural.datasets import load
from neural.embed import encoder
from neural.heads.arms import ARMS
from neural.heads.runs import Schedule
from neural.heads.training import train_head
from neural.results.cells import Cells
from neural.tasks.pixels import PixelEncoder
from studies import full_data
from studies.lab.fine_tuning import FineTuneCell, image_files, image_fine_tuning, tuning_differences
from studies.lab.task_sources import encoded_task
from tests import tiny_encoders as tiny
from tests.dataset_builders import build, write_descriptions, write_json

NAMES = ("apple", "pear", "plum")
TINY = ["--quick", "--seeds", "2", "--steps", "2", "--batch-size", "4", "--encoder-batch", "8"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    tiny.quiet()
    root = tmp_path_factory.mktemp("networks")
    made = {family: tiny.save_image(root / family, family) for family in ("vit", "dinov2")}
    made |= {family: tiny.save_text(root / family, family) for family in ("bert", "llama")}
    made = made | {"clip": tiny.save_clip(root / "clip")}
    return {name: str(folder) for name, folder in made.items()}


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Root of a tiny Oxford Pets with descriptions."""
    root = tmp_path_factory.mktemp("data")
    build(root, "oxford_pets")
    classes = load("oxford_pets", root).classes
    write_descriptions(root, "oxford_pets", {name: [f"a {name} dog", f"the {name} cat"] for name in classes})
    return root


@pytest.fixture(scope="module")
def fruit(tmp_path_factory):
    """A folder with one subfolder of images per class, and a file of sentences."""
    folder, rng = tmp_path_factory.mktemp("fruit"), np.random.default_rng(0)
    for label, name in enumerate(NAMES):
        (folder / name).mkdir()
        for i in range(8):
            pixels = rng.integers(0, 80, (12, 14, 3)) + np.array([40, 100, 170])[label]
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    sentences = tmp_path_factory.mktemp("sentences") / "sentences.json"
    write_json(sentences, {name: [f"one {name}", f"a red {name}"] for name in NAMES})
    return ["--dataset", str(folder), "--descriptions", str(sentences)]


def places(folder):
    return ["--out", str(folder / "out"), "--runs", str(folder / "runs")]


def table_of(folder):
    """Rows of the study's CSV file, without what depends on the clock."""
    (path,) = (path for path in (folder / "out").glob("*.csv") if "_table" not in path.name)
    rows = csv.DictReader(path.read_text().splitlines())
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def tuned(folders, pets, cache, vision="dinov2", text="llama", **options):
    """The tiny pets' task and fine-tuning."""
    root = {"root": pets, "seed": 0}
    task = encoded_task(
        "oxford_pets",
        vision=folders[vision],
        text=folders[text],
        shots=(None,),
        seeds=2,
        cache=cache / "features",
        **root,
    )
    tower = encoder(folders[vision], modality="image", batch_size=8)
    settings = {"schedule": Schedule(4, 1, 2, None), "learning_rates": (1e-3,), "batch_size": 6} | options
    images = image_files("oxford_pets", **root)
    return task, image_fine_tuning(task, images, tower, cache=cache / "pixels", **settings)


@pytest.mark.parametrize(("vision", "text"), [("dinov2", "llama"), ("vit", "bert"), ("clip", "clip")])
def test_step_0_is_the_frozen_encoder_on_the_very_rows(folders, pets, tmp_path, vision, text):
    task, tuning = tuned(folders, pets, tmp_path, vision, text)
    pairs = [
        (tuning.task.train, task.train),
        (tuning.task.val, task.val),
        (tuning.task.tests["test"], task.tests["test"]),
    ]
    for pictures, frozen in pairs:
        with torch.no_grad():
            ours = tuning.encoder(torch.as_tensor(pictures.features)).numpy()
        # single precision, entries of order 1, two layers
        np.testing.assert_allclose(ours, frozen.features, rtol=1e-5, atol=1e-5)
        assert np.array_equal(pictures.labels, frozen.labels)


def test_aligned_encoders_need_no_projection(folders, pets, tmp_path):
    task, tuning = tuned(folders, pets, tmp_path, "clip", "clip")
    assert task.aligned
    for arm in ("unimodal", "uml", "uml_init"):
        (run,) = FineTuneCell(tuning, arm, 0).runs()
        assert run.projected == ()
        assert run.layout.head_dim == task.dims["text"] == 24
    (run,) = FineTuneCell(replace(tuning, aligned=False), "uml", 0).runs()
    assert run.projected == ("image",)


def test_what_the_encoder_reads_is_part_of_the_key(folders, pets, tmp_path):
    _, tuning = tuned(folders, pets, tmp_path)
    assert isinstance(tuning.encoder, PixelEncoder)
    assert tuning.key["source"] == tuning.encoder.source
    _, again = tuned(folders, pets, tmp_path / "elsewhere")
    assert again.key == tuning.key
    (file,) = (path for path in pets.rglob("*.jpg") if path.name == "Abyssinian_1.jpg")
    content = file.read_bytes()
    try:
        Image.new("RGB", (16, 12), "white").save(file)
        _, other = tuned(folders, pets, tmp_path / "elsewhere")
    finally:
        file.write_bytes(content)
    differing = {name for name in tuning.key if other.key[name] != tuning.key[name]}
    assert "source" in differing


def test_fine_tuning_learns(folders, pets, tmp_path):
    """The tiny network is random; a few steps at a high rate halve the loss on the training rows."""
    _, tuning = tuned(
        folders, pets, tmp_path, schedule=Schedule(20, 2, 10, None, "last"), learning_rates=(1e-3,)
    )
    (run,) = FineTuneCell(tuning, "unimodal", 0).runs()
    fit = train_head(run, tuning.schedule)
    rows = tuning.task.train

    def loss(logits):
        return torch.nn.functional.cross_entropy(logits, torch.as_tensor(rows.labels)).item()

    with torch.no_grad():
        before = run.initial_model()({"image": tuning.encoder(torch.as_tensor(rows.features))})["image"]
    assert loss(fit.logits(rows)) < 0.5 * loss(before)


def command_of(folders, pets, vision, text):
    where = ["--dataset", "oxford_pets", "--data", str(pets), "--learning-rates", "1e-3"]
    return [*TINY, *where, "--vision", folders[vision], "--text", folders[text]]


def test_killed_study_resumes_to_the_same_digits(folders, pets, tmp_path, monkeypatch):
    command = [*command_of(folders, pets, "dinov2", "llama"), "--parts", "finetune", "ratio"]
    whole = full_data.main([*command, *places(tmp_path / "whole")])
    assert whole["control"] == ARMS["matched"].label
    # five arms and one unfrozen; another ratio of two arms
    assert whole["provenance"]["cells_computed_now"] == 2 * (5 + 1 + 2)
    add, added = Cells.add, []

    def killed(self, done):
        added.append(1)
        if len(added) > 3:
            raise KeyboardInterrupt
        add(self, done)

    monkeypatch.setattr(Cells, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        full_data.main([*command, *places(tmp_path / "killed")])
    monkeypatch.undo()
    resumed = full_data.main([*command, *places(tmp_path / "killed")])
    assert resumed["provenance"]["cells_computed_now"] == 2 * (5 + 1 + 2) - 3
    assert table_of(tmp_path / "killed") == table_of(tmp_path / "whole")


def test_study_of_two_towers_has_the_plain_baseline_as_control(folders, pets, tmp_path):
    command = [*command_of(folders, pets, "clip", "clip"), "--parts", "finetune"]
    summary = full_data.main([*command, *places(tmp_path)])
    assert summary["control"] == ARMS["unimodal"].label
    assert [row["arm"] for row in summary["rows"]] == ["unimodal", "uml", "uml_init", "init_permuted", "uml"]


def test_study_on_a_folder_of_images(folders, fruit, tmp_path, capsys):
    command = [*TINY, "--parts", "finetune", *fruit, "--vision", folders["vit"], "--text", folders["bert"]]
    summary = full_data.main([*command, *places(tmp_path)])
    assert summary["published"] == []
    assert {float(row["learning_rate"]) for row in table_of(tmp_path)} <= {1e-5, 5e-5}
    assert "Fine-tuning differs from the paper's protocol: seeds 2 (paper 3)" in capsys.readouterr().out
    assert full_data.main([*command, *places(tmp_path)])["provenance"]["cells_computed_now"] == 0


class PlannedError(Exception):
    """Raised where training would begin."""


def test_sizes_follow_the_paper_where_asked(folders, fruit, tmp_path, monkeypatch):
    planned = []

    def fine_tune(cells, store, device):
        planned.append(cells[0].shared)
        raise PlannedError

    monkeypatch.setattr(full_data, "fine_tune", fine_tune)
    encoders = ["--vision", folders["vit"], "--text", folders["bert"]]
    for extra in ([], ["--preset", "paper"], ["--preset", "paper", "--steps", "40"]):
        with pytest.raises(PlannedError):
            full_data.main([*fruit, *encoders, "--parts", "finetune", *extra, *places(tmp_path)])
    usual, paper, short = planned
    assert (usual.schedule, usual.learning_rates) == (Schedule(2000, 50, 100, 10), (1e-5, 5e-5))
    assert (paper.schedule, paper.learning_rates) == (Schedule(12_800, 50, 100, 10), (5e-5,))
    assert paper.batch_size == 64
    assert short.schedule == Schedule(40, 4, 13, 10)
    assert len(tuning_differences(paper, 3)) == 1, "the stand-in for an unfrozen text encoder alone"
    assert "schedule: iterations 2000 (paper 12800)" in tuning_differences(usual, 3)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--normalise"], "--normalise: has no meaning for pictures"),
        (
            ["--vision", "clip-rn50"],
            "clip-rn50: CLIP with a ResNet is not among the networks of transformers",
        ),
        (["--ratios", "0.01"], "ratio: 0.01 of 4 target rows leaves no auxiliary row"),
        (["--learning-rates", "-1"], "learning rates: each must be positive and finite, got -1.0"),
        (["--batch-size", "-4"], "batch size must be a whole number >= 1, got -4"),
    ],
)
def test_command_line_says_what_is_wrong(folders, fruit, capsys, tmp_path, extra, message):
    command = [*TINY, *fruit, "--vision", folders["vit"], "--text", folders["bert"], "--parts", "ratio"]
    with pytest.raises(SystemExit):
        full_data.main([*command, *extra, *places(tmp_path)])
    assert message in " ".join(capsys.readouterr().err.split())
