"""The self-supervised study: end to end on few characters, resumable, with its controls, and a verdict that follows."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fisherkit.checks import UnknownNameError
from neural.results.intervals import Interval
from neural.sequences.data import SequenceSet
from neural.sequences.files import sequences_from_files, write_sequences
from neural.sequences.glyphs import GlyphSequenceSettings, glyph_sequences
from neural.sequences.model import SharedTransformer
from neural.sequences.probe import Probe
from studies.lab.sequences import ARMS, CONTRASTS, PRESETS, Plan, arm_data, arm_names
from studies.self_supervised import main, verdict
from tests.dataset_builders import build_affect, build_mimic

TINY = [
    *("--quick", "--set", "characters=120", "per_character=1", "other_names=20"),
    *("--seeds", "2", "--steps", "6", "--batch", "8", "--learning-rates", "0.002", "0.001"),
]  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared") / "runs"
    (folder / "cache").mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    options = ["--out", str(tmp_path_factory.mktemp("study") / "out"), "--runs", str(cache)]
    return options, main([*TINY, *options])


@pytest.fixture(scope="module")
def task(cache):
    settings = GlyphSequenceSettings(characters=120, per_character=1, other_names=20)
    return glyph_sequences(settings, seed=0, cache=cache / "cache")


def test_study_writes_table_figure_rows_and_provenance(finished):
    options, summary = finished
    folder = Path(options[1])
    name = "self_supervised_glyphs"
    assert {p.name for p in folder.iterdir()} == {f"{name}{end}" for end in (".png", ".csv", ".md", ".json")}
    assert (folder / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    rows = list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))
    assert len(rows) == 2 * len(ARMS)
    stored = json.loads((folder / f"{name}.json").read_text())
    assert stored["provenance"]["cells_computed_now"] == len(rows)
    text = (folder / f"{name}.md").read_text()
    for arm in ARMS.values():
        assert f"| {arm.label} |" in text
    assert text.rstrip().endswith(summary["verdict"])
    for key, c in summary["contrasts"].items():
        accuracy = {
            arm: np.array([float(r["accuracy"]) for r in rows if r["arm"] == arm])
            for arm in (c["arm"], c["control"])
        }
        difference = 100 * (accuracy[c["arm"]] - accuracy[c["control"]]).mean()
        assert c["difference"].estimate == pytest.approx(difference, abs=1e-9), key
    left = list((Path(options[3]) / "self_supervised").glob("*.safetensors"))
    assert left == [], "checkpoints of finished cells are gone"


def test_second_run_computes_nothing_and_says_the_same(finished):
    options, summary = finished
    again = main([*TINY, *options])
    assert again["provenance"]["cells_computed_now"] == 0
    assert again["accuracy"] == summary["accuracy"]


def test_study_killed_in_the_middle_of_a_training_resumes_to_the_same_digits(
    finished, cache, tmp_path, monkeypatch
):
    _, summary = finished
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "cache").symlink_to(cache / "cache")
    options = ["--out", str(tmp_path / "out"), "--runs", str(runs)]
    real, steps = SharedTransformer.loss_sum, []

    def counting(model, *args, **kwargs):
        steps.append(1)
        if len(steps) > 60:
            raise KeyboardInterrupt
        return real(model, *args, **kwargs)

    monkeypatch.setattr(SharedTransformer, "loss_sum", counting)
    with pytest.raises(KeyboardInterrupt):
        main([*TINY, *options])
    monkeypatch.undo()
    again = main([*TINY, *options])
    assert again["accuracy"] == summary["accuracy"]
    assert 0 < again["provenance"]["cells_computed_now"] < 2 * len(ARMS)


def test_test_rows_are_looked_at_once_per_cell(cache, tmp_path, monkeypatch):
    looked = []
    real = Probe.accuracy
    monkeypatch.setattr(
        Probe,
        "accuracy",
        lambda probe, *rows: looked.append(len(rows[1])) or real(probe, *rows),
    )
    (tmp_path / "cache").symlink_to(cache / "cache")
    main([*TINY, "--arms", "unimodal", "--out", str(tmp_path / "out"), "--runs", str(tmp_path)])
    assert len(looked) == 2 * 2, "two candidates in each cell of two arms and two seeds, one of them tested"


# ---------------------------------------------------------------- arms and plans


def test_arms_see_what_they_say(task):
    data = {arm: arm_data(arm, task, seed=1) for arm in ARMS}
    text = task.auxiliaries["text"]
    assert list(data["unimodal"]) == list(data["unimodal_2b"]) == ["image"]
    assert data["uml"]["text"] is text
    assert data["uml"]["image"] is data["unimodal"]["image"] is task.train
    mixed = data["uml_scrambled"]["text"]
    assert np.array_equal(mixed.lengths, text.lengths)
    assert not np.array_equal(mixed.values, text.values)
    assert data["uml_unrelated"]["text"] is task.unrelated["text"]
    assert data["uml_disjoint"]["image"].fingerprint == data["unimodal_half"]["image"].fingerprint
    assert not set(data["uml_disjoint"]["image"].groups) & set(data["uml_disjoint"]["text"].groups)


def plan_of(task, arms=(), **changes):
    preset = PRESETS["quick"]
    return Plan([task] * 3, replace(preset, **changes), arms)


def test_every_arm_takes_equal_steps_from_one_grid(task):
    plan = plan_of(task, steps=11, batch=8, ratio=0.5, loss_weight=0.3)
    candidate = plan.preset.candidates[0]
    how = {arm: plan.train_settings(arm, candidate) for arm in plan.arms}
    assert {settings.steps for settings in how.values()} == {11}
    assert how["unimodal"].batch_sizes == {"image": 8}
    assert how["uml"].batch_sizes == {"image": 8, "text": 4}
    assert how["unimodal_2b"].batch_sizes == {"image": 12}
    assert how["uml"].loss_weights == {"text": 0.3}
    assert sum(how["unimodal_2b"].batch_sizes.values()) == sum(how["uml"].batch_sizes.values())


def test_controls_come_along(task):
    chosen = plan_of(task, ("uml_disjoint",)).arms
    assert chosen == ("unimodal_half", "uml_disjoint")
    assert set(plan_of(task, ("uml",)).arms) >= {"unimodal", "unimodal_2b", "uml_scrambled"}
    with pytest.raises(UnknownNameError, match="unknown arm 'umls'; did you mean 'uml'"):
        plan_of(task, ("umls",))
    with pytest.raises(ValueError, match="--seeds: intervals need at least 2"):
        plan_of(task, seeds=1)
    with pytest.raises(ValueError, match="--ratio: must be positive"):
        plan_of(task, ratio=0.0)


def test_paper_preset_is_section_b41():
    paper = PRESETS["paper"]
    assert (paper.epochs, paper.seeds, paper.learning_rates) == (100, 3, (1e-2, 1e-3, 1e-4))
    assert paper.widths == (10, 40, 150, 300)
    assert (paper.model.layers, paper.model.heads) == (5, 5)
    vision = PRESETS["vision_text"]
    assert (vision.model.layers, vision.model.heads, vision.widths) == (4, 4, (256,))


# ---------------------------------------------------------------- verdict


def around(middle):
    return Interval(middle, middle - 1, middle + 1, 3)


@pytest.mark.parametrize(
    ("main_gain", "controls", "words"),
    [
        (2.0, {"rows": 2.0, "scrambled": 0.5}, "the paper's claim holds and survives 1 of 2 controls"),
        (2.0, {}, "the paper's claim holds, without controls"),
        (0.5, {"disjoint": 3.0}, "the paper's claim is not decided"),
        (-2.0, {"rows": 0.0}, "the paper's claim fails"),
    ],
)
def test_verdict_follows_the_intervals(main_gain, controls, words):
    line = verdict({"paper": around(main_gain)} | {k: around(v) for k, v in controls.items()}, "glyphs")
    assert line.startswith(f"glyphs: {words} (UML against unimodal {main_gain:+.2f}")
    assert "\n" not in line
    assert ("disjoint halves gains +3.00" in line) == ("disjoint" in controls)
    assert "no verdict" in verdict({"rows": around(1)}, "glyphs")
    assert set(controls) <= set(CONTRASTS)


# ---------------------------------------------------------------- data on disk


def places(tmp_path):
    return ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]


def test_multibench_stands_beside_table_1(tmp_path):
    build_affect(tmp_path, "mosi")
    options = ["--multibench", "mosi", "--data", str(tmp_path), "--quick", "--seeds", "2", "--steps", "3"]
    curriculum = ["--first", "text", "--first-epochs", "1", "--auxiliaries", "text", "audio"]
    summary = main([*options, *curriculum, "--layers", "1", "--batch", "4", *places(tmp_path)])
    assert summary["published"] == {"unimodal": 56.17, "uml": 58.16}
    assert "uml_unrelated" not in summary["arms"]
    assert "uml_disjoint" in summary["arms"]
    text = (tmp_path / "out" / "self_supervised_mosi.md").read_text()
    assert "| 58.16 |" in text
    assert "Of the paper: 100 epochs" in text


def test_mimic_and_tokens_of_files(tmp_path):
    build_mimic(tmp_path, n=60)
    options = ["--quick", "--seeds", "2", "--steps", "2", "--layers", "1", *places(tmp_path)]
    summary = main(["--multibench", "mimic", "--data", str(tmp_path), "--arms", "uml", *options])
    assert summary["published"]["uml"] == 57.10
    rng = np.random.default_rng(0)
    split = np.repeat([0, 1, 2], 12)
    image = SequenceSet(rng.normal(size=(36, 4, 5)), rng.integers(1, 5, 36), labels=np.arange(36) % 3)
    text = SequenceSet(rng.integers(0, 9, (20, 6)), rng.integers(2, 7, 20), 9)
    write_sequences(tmp_path / "dtd.safetensors", image, split)
    write_sequences(tmp_path / "text.safetensors", text)
    files = [
        "--target-features",
        str(tmp_path / "dtd.safetensors"),
        "--aux-features",
        str(tmp_path / "text.safetensors"),
    ]
    summary = main([*files, *options])
    assert summary["published"] == {"unimodal": 78.13, "uml": 78.49}
    assert "uml_disjoint" not in summary["arms"], "counterparts are not known"
    task = sequences_from_files(tmp_path / "dtd.safetensors", {"text": tmp_path / "text.safetensors"})
    assert arm_names(task) == list(summary["arms"])


def test_diverged_trainings_are_not_eligible_and_named(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(36, 4, 5))
    values[3] = 1e25  # its square is beyond single precision
    image = SequenceSet(values, np.full(36, 4), labels=np.arange(36) % 3)
    write_sequences(tmp_path / "a.safetensors", image, np.repeat([0, 1, 2], 12))
    options = ["--target-features", str(tmp_path / "a.safetensors"), "--raw", "--quick", "--arms", "unimodal"]
    # Cells run side by side: random weights or a training may be the first to say so.
    last = r"(training embeddings are not finite|.* 'image' rows)"
    with pytest.raises(
        FloatingPointError, match=rf"(untrained|unimodal), seed \d: every training diverged; the last: {last}"
    ):
        main([*options, *places(tmp_path)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "lables=mark"], "unknown setting of 'glyphs': 'lables'; did you mean 'labels'"),
        (["--set", "per_character=many"], "--set per_character=many: expected a number (default 4)"),
        (["--multibench", "mosei", "--data", "nowhere"], "mosei_senti_data"),
        (["--multibench", "mossi"], "unknown MultiBench data set 'mossi'; did you mean 'mosi'"),
        ([*TINY, "--device", "nowhere"], "nowhere"),
        ([*TINY, "--widths", "33"], "33 features cannot be shared by 4 heads"),
        ([*TINY, "--first-epochs", "2"], "name who is first with --first"),
        ([*TINY, "--first", "txt", "--first-epochs", "2"], "unknown modality in curriculum 'txt'"),
        (
            ["--target-features", "missing.safetensors", "--aux-features", "b.safetensors"],
            "missing.safetensors",
        ),
        (["--target-features", "a", "--aux-features", "b", "c"], "2 files of auxiliaries need as many names"),
        ([*TINY, "--precision", "bfloat16"], "bfloat16 is for GPUs"),
    ],
)
def test_command_line_says_what_is_wrong(capsys, cache, tmp_path, arguments, message):
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path), "--runs", str(cache)])
    assert message in capsys.readouterr().err


def test_training_of_the_study_runs_on_the_chosen_device(cache, tmp_path, device):
    (tmp_path / "cache").symlink_to(cache / "cache")
    options = [*TINY, "--arms", "uml_disjoint", "--out", str(tmp_path / "out"), "--runs", str(tmp_path)]
    summary = main([*options, "--device", device])
    assert set(summary["arms"]) == {"unimodal_half", "uml_disjoint"}
    assert torch.device(device).type in summary["provenance"]["device"]
