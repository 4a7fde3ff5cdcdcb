"""The plan on real data sets: what the doctor finds ready is run, with the paper's encoders or those that take their place."""

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from neural.datasets import SPECS, load
from neural.embed import register
from neural.embed.catalogue import CATALOGUE
from neural.fewshot import presets as head_presets
from neural.heads.runs import Schedule
from studies import reproduce
from studies.lab import sequences as sequence_grid
from studies.lab import transfer as transfer_grid
from studies.paper.jobs_on_disk import jobs_on_disk, parse_encoders
from studies.published.numbers import published
from tests.dataset_builders import build, build_everything, write_descriptions
from tests.tiny_encoders import save_image, save_text

PAPER = sorted(set(published(8)["dataset"]) - {"average"})


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A data root with every data set in miniature, and descriptions of those that exchange rates are measured on."""
    root = build_everything(tmp_path_factory.mktemp("data"))
    for key in set(PAPER) - {"fgvc_aircraft"}:
        names = load(key, root).classes
        if key == "stanford_cars":  # its real file has the year last
            names = [f"{rest} {year}" for year, rest in (name.split(" ", 1) for name in names)]
        write_descriptions(root, key, {name: [f"a {name} seen {i}" for i in range(8)] for name in names})
    return root


def test_every_table_and_figure_with_a_data_set_has_its_runs(everything):
    jobs, lacking = jobs_on_disk(everything, ["clip-rn50=somewhere"])
    made = {("Table", n) for job in jobs for n in job.tables} | {
        ("Figure", n) for job in jobs for n in job.figures
    }
    left = {("Figure", n) for n in (1, 2, 3, 4, 6, 18, 26, 34, 35, 36, 37)} | {
        ("Table", n) for n in (4, 5, 25, 26)
    }
    assert made == ({("Figure", n) for n in range(1, 45)} | {("Table", n) for n in range(1, 30)}) - left
    assert len({job.name for job in jobs}) == len(jobs)
    no_texts = [line for line in lacking if "an exchange rate needs several sentences about a class" in line]
    assert [line.split(":")[0] for line in no_texts] == [
        "Figure 18, fgvc_aircraft",
        "Figure 26, fgvc_aircraft",
    ]
    assert any("three_modalities.py reads features of ImageNet-ESC from files" in line for line in lacking)
    of_table_17 = [job for job in jobs if 17 in job.tables]
    assert {job.options[1] for job in of_table_17} == {*PAPER, "imagenet"}
    assert all(job.options[5] == "dinov2-s14" for job in of_table_17)
    whole = next(job for job in jobs if job.name == "full_data_sun397_dinov2-s14_openllama-3b")
    assert whole.tables == (2, 8, 12, 28, 29)
    assert whole.options[-9:-5] == ("--parts", "linear", "finetune", "ratio")
    (only_12,) = [job for job in jobs_on_disk(everything, tables=[12])[0] if "sun397" in job.options]
    assert only_12.options[-2:] == ("--parts", "linear")
    pairs = next(job for job in jobs if 38 in job.figures)
    assert pairs.options[-3:] == ("--pairs", "russian_blue", "abyssinian")


def test_encoders_are_replaced_and_texts_found(everything):
    jobs, _ = jobs_on_disk(
        everything, ["dinov2-s14=models/small", "bert-large=models/bert"], figures=[30], tables=[17]
    )
    ablation = next(job for job in jobs if job.script == "text_ablations.py")
    line = " ".join(ablation.options)
    assert "--vision models/small --text openllama-3b" in line
    assert "--text-encoders models/bert roberta-large gpt2-large" in line
    assert line.endswith(f"--unrelated {everything}/descriptions/cupl/descriptors_stanford_cars.json")
    aircraft = next(job for job in jobs if "fgvc_aircraft" in job.options)
    assert aircraft.options[-2:] == ("--texts", "hand_crafted")


def test_what_is_missing_is_said(tmp_path):
    build(tmp_path, "dtd")
    jobs, lacking = jobs_on_disk(tmp_path, tables=[17, 22])
    assert [job.name for job in jobs] == ["image_text_fewshot_dtd_dinov2-s14_openllama-3b"]
    assert any(line.startswith("Table 17, sun397: missing below") for line in lacking)
    assert any(
        line.startswith("Table 22, dtd: clip-rn50: CLIP with a ResNet is not among") for line in lacking
    )
    with pytest.raises(
        ValueError, match=r"nothing of what is asked for can be run:\n  Figure 5, imagenet: missing below"
    ):
        jobs_on_disk(tmp_path, figures=[5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dinov2-s14", "expected NAME=WHAT"),
        ("dino-s14=x", "unknown encoder of the paper 'dino-s14'; did you mean"),
    ],
)
def test_wrong_encoders_are_refused(text, message):
    with pytest.raises((ValueError, KeyError), match=message):
        parse_encoders([text])


def test_a_folder_with_the_papers_encoder_keeps_its_name(tmp_path, monkeypatch):
    folder = save_image(tmp_path / "small", "dinov2")
    assert parse_encoders([f"dinov2-s14={folder}"]) == {"dinov2-s14": str(folder)}, "another width"
    config = json.loads((folder / "config.json").read_text())
    tiny = replace(CATALOGUE["dinov2-s14"], dim=config["hidden_size"])
    monkeypatch.setitem(CATALOGUE, "dinov2-s14", tiny)
    assert parse_encoders([f"dinov2-s14={folder}"]) == {"dinov2-s14": f"dinov2-s14={folder}"}


def test_list_names_the_runs(everything, capsys):
    assert reproduce.main(["--data", str(everything), "--list", "--table", "17"]) == 0
    printed = capsys.readouterr().out
    assert "--preset paper" in printed
    assert "10 runs, for as long as your encoders and device take" in printed
    assert "image_text_fewshot_oxford-pets_dinov2-s14_openllama-3b" in printed


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Tiny encoders in place of the paper's."""
    folder = tmp_path_factory.mktemp("models")

    @register("mean colours", modality="image", version="1")
    def colours(paths):
        from PIL import Image

        return [np.asarray(Image.open(path).convert("RGB").resize((4, 4))).ravel() / 255 for path in paths]

    @register("noisy colours", modality="image", version="1")
    def noisy(paths):
        names = ["/".join(Path(path).parts[-2:]) for path in paths]  # the same in every temporary folder
        noise = [np.random.default_rng(zlib.crc32(name.encode())).normal(size=48) for name in names]
        return np.array(colours.function(paths)) + np.array(noise)

    @register("letter counts", modality="text", version="1")
    def letters(sentences):
        return [[s.lower().count(letter) / len(s) for letter in "abcdeginorst"] for s in sentences]

    @register("vowel counts", modality="text", version="1")
    def vowels(sentences):
        return [[s.lower().count(letter) / len(s) for letter in "aeiou"] for s in sentences]

    bert = str(save_text(folder / "bert", "bert"))
    return {
        "fast": ["dinov2-s14=mean colours", "openllama-3b=letter counts"]
        + [f"{name}=vowel counts" for name in ("bert-large", "roberta-large", "gpt2-large")],
        "networks": [
            f"dinov2-s14={save_image(folder / 'dinov2', 'dinov2')}",
            f"openllama-3b={bert}",
            f"bert-large={bert}",
        ],
        "noisy": ["dinov2-s14=noisy colours", "openllama-3b=letter counts"],
    }


@pytest.fixture
def quicker(monkeypatch):
    """The quick sizes, smaller still: what is tried here is that everything runs."""
    schedule = Schedule(iterations=20, warmup=2, eval_every=10, patience=4)
    tiny = replace(head_presets.PRESETS["quick"], seeds=2, schedule=schedule)
    monkeypatch.setitem(head_presets.PRESETS, "quick", tiny)
    sequences = replace(sequence_grid.PRESETS["quick"], seeds=2, steps=4)
    monkeypatch.setitem(sequence_grid.PRESETS, "quick", sequences)
    transfer = transfer_grid.PRESETS["quick"]
    schedule = replace(transfer.schedule, steps=4, unfreeze_at=2, look_every=2, batch=4)
    monkeypatch.setitem(transfer_grid.PRESETS, "quick", replace(transfer, seeds=2, schedule=schedule))


def reproduced(root, tmp_path, encoders, *wanted):
    """Run a part of the plan in its quick version."""
    out = tmp_path / "out"
    options = ["--data", str(root), "--quick", "--out", str(out), "--runs", str(tmp_path / "runs")]
    status = reproduce.main([*options, *wanted, "--encoders", *encoders])
    logs = {path.stem: path.read_text() for path in (tmp_path / "runs" / "reproduce").glob("*.log")}
    assert status == 0, {name: log[-1500:] for name, log in logs.items() if "Traceback" in log}
    return out


@pytest.mark.slow
def test_few_shot_probes_of_every_data_set(everything, stand_ins, quicker, tmp_path):
    out = reproduced(everything, tmp_path, stand_ins["fast"], "--table", "17", "3")
    for key in (*PAPER, "imagenet"):
        summary = json.loads(
            (out / f"image_text_fewshot_{key.replace('_', '-')}_mean-colours_letter-counts.json").read_text()
        )
        assert summary["task"] == key
        assert summary["classes"] == len(load(key, everything).classes)
    page = (out / "gallery.md").read_text()
    assert page.count("**Table 17**") == 10
    assert (out / "data_sheets.csv").exists()


@pytest.mark.slow
def test_the_other_studies_on_their_data_sets(everything, stand_ins, quicker, tmp_path):
    wanted = ["--figure", "5", "30", "41", "--table", "1"]
    out = reproduced(everything, tmp_path, stand_ins["fast"], *wanted)
    page = (out / "gallery.md").read_text()
    for row in ("Figure 5", "Figure 30", "Figure 41", "Table 1"):
        assert f"**{row}**" in page, row
    shifts = json.loads((out / "robustness_imagenet_mean-colours_letter-counts.json").read_text())["shifted"]
    assert set(shifts) == {"imagenetv2", "imagenet_sketch", "imagenet_a", "imagenet_r"}


@pytest.mark.slow
def test_exchange_rates(everything, stand_ins, tmp_path):
    """At the quick size: three classes of plain colours would be told apart by one picture."""
    out = reproduced(everything, tmp_path, stand_ins["noisy"], "--figure", "9")
    (surface,) = json.loads((out / "exchange_rate_oxford-pets_noisy-colours_letter-counts.json").read_text())[
        "surfaces"
    ]
    assert surface["published_words_per_image"] is None, "the encoders are not the paper's"
    assert "**Figure 9**" in (out / "gallery.md").read_text()


@pytest.mark.slow
def test_studies_that_need_a_network(everything, stand_ins, quicker, tmp_path):
    encoders = stand_ins["networks"]
    starts = ["full_data_oxford-pets", "language_to_vision_train"]
    jobs, _ = jobs_on_disk(everything, encoders, figures=[7], tables=[8])
    chosen = [job.name for job in jobs if any(job.name.startswith(start) for start in starts)]
    assert len(chosen) == 2
    out = reproduced(everything, tmp_path, encoders, "--only", *chosen)
    page = (out / "gallery.md").read_text()
    for row in ("Figure 7", "Table 8"):
        assert f"**{row}**" in page, row


def test_specs_are_the_papers():
    assert {*PAPER, "imagenet"} < set(SPECS)
