"""The full-data study: cells of fine-tuning, parts, published numbers, verdicts, the study end to end on tiny glyphs."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from neural.fewshot.cells import compute
from neural.fewshot.presets import Grid, Preset
from neural.heads.arms import ARMS
from neural.heads.runs import Schedule
from neural.results.cells import Cells, cell_key
from neural.worlds.concepts import concepts
from studies import full_data
from studies.full_data import gains_of
from studies.lab import fine_tuning
from studies.lab.fine_tuning import FineTuneCell, FineTuning, fine_tune, glyph_fine_tuning, identity_layer
from studies.lab.full_data_grid import PARTS, TABLES, FullDataPlan, Row, measured, rows_of
from studies.lab.full_data_report import as_markdown
from studies.paper.exhibits import contents
from studies.published.numbers import reference

GLYPHS = ["n_classes=4", "n_base=6", "steps=2", "batch=8", "train=2", "val=1", "test=2", "corpus=600"]
SMALL = Preset(
    seeds=2,
    shots=(None,),
    schedule=Schedule(iterations=10, warmup=2, eval_every=5, patience=None),
    grid=Grid((1e-2,), (0.0,), (4,), (False,), (1.0,)),
)


def read_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def task():
    return concepts(seed=0, n_classes=4, test_per_class=5)


@pytest.fixture(scope="module")
def tuning(task):
    encoder = nn.utils.skip_init(nn.Linear, task.train.dim, 12, bias=False)
    nn.init.normal_(encoder.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    return FineTuning(task, encoder, Schedule(8, 1, 4, None), (1e-2, 1e-3), 6)


@pytest.mark.parametrize("arm", ["unimodal", "matched", "uml", "uml_init", "init_permuted"])
def test_head_reads_what_the_encoder_writes(tuning, arm):
    cell = FineTuneCell(tuning, arm, 0)
    runs = cell.runs()
    assert [run.learning_rate for run in runs] == [1e-2, 1e-3]
    layout = runs[0].layout
    assert dict(layout.dims)["image"] == 12
    assert layout.head_dim == (tuning.task.dims["text"] if ARMS[arm].projected else 12)
    assert cell.steps == 2 * 8
    # all of the pool, and one initial projection for all arms that have one
    assert len(runs[0].train["image"]) == len(tuning.task.train)
    if ARMS[arm].projected:
        ours, control = (FineTuneCell(tuning, a, 0).runs()[0].initial_model() for a in (arm, "matched"))
        assert torch.equal(
            ours.state_dict()["projections.from_image"], control.state_dict()["projections.from_image"]
        )


def test_ratio_and_unfrozen_encoder_reach_the_training(tuning):
    batches = [FineTuneCell(tuning, "uml", 0, ratio).runs()[0].batch_sizes for ratio in (0.5, 1.0, 4.0)]
    assert [(b["image"], b["text"]) for b in batches] == [(6, 3), (6, 6), (6, 24)]
    assert set(FineTuneCell(tuning, "uml", 0).runs()[0].encoders) == {"image"}
    assert set(FineTuneCell(tuning, "uml", 0, unfrozen=True).runs()[0].encoders) == {"image", "text"}
    with pytest.raises(ValueError, match="'matched' is not trained on auxiliary rows"):
        FineTuneCell(tuning, "matched", 0, ratio=2.0)
    with pytest.raises(ValueError, match=r"0\.01 of 6 target rows leaves no auxiliary row"):
        FineTuneCell(tuning, "uml", 0, ratio=0.01)


def test_both_encoders_are_trained_where_they_shall_be(tuning):
    for unfrozen in (False, True):
        run = FineTuneCell(tuning, "uml", 0, unfrozen=unfrozen).runs()[0]
        fit = fine_tuning.train_head(run, replace(tuning.schedule, keep="last"))
        assert not torch.equal(fit.encoders["image"].weight, tuning.encoder.weight)
        assert ("text" in fit.encoders) == unfrozen
        if unfrozen:
            assert not torch.equal(fit.encoders["text"].weight, identity_layer(64).weight)
    before = FineTuneCell(tuning, "uml", 0, unfrozen=True).runs()[0].encoders["text"]
    rows = torch.as_tensor(tuning.task.auxiliaries["text"].features)
    assert torch.equal(before(rows), rows)


def test_every_difference_is_a_cell_of_its_own(tuning):
    with torch.no_grad():
        other = nn.Linear(tuning.task.train.dim, 12, bias=False)
        other.weight.copy_(tuning.encoder.weight).mul_(2)
    cells = [
        FineTuneCell(tuning, "uml", 0),
        FineTuneCell(tuning, "uml", 1),
        FineTuneCell(tuning, "uml_init", 0),
        FineTuneCell(tuning, "uml", 0, 2.0),
        FineTuneCell(tuning, "uml", 0, unfrozen=True),
        FineTuneCell(replace(tuning, encoder=other), "uml", 0),
        FineTuneCell(replace(tuning, batch_size=7), "uml", 0),
        FineTuneCell(replace(tuning, learning_rates=(1e-2,)), "uml", 0),
        FineTuneCell(replace(tuning, schedule=Schedule(9, 1, 4, None)), "uml", 0),
    ]
    assert len({cell_key(cell.key) for cell in cells}) == len(cells)
    assert cell_key(cells[0].key) == cell_key(FineTuneCell(tuning, "uml", 0).key)


def test_killed_fine_tuning_resumes_to_the_same_digits(tuning, tmp_path, monkeypatch):
    cells = [FineTuneCell(tuning, arm, s) for arm in ("matched", "uml") for s in (0, 1)]
    whole = Cells(tmp_path / "whole.jsonl")
    assert fine_tune(cells + cells[:1], whole, "cpu") == 4
    assert fine_tune(cells, whole, "cpu") == 0
    store, add, added = Cells(tmp_path / "killed.jsonl"), Cells.add, []

    def killed(self, done):
        added.append(1)
        if len(added) > 2:
            raise KeyboardInterrupt
        add(self, done)

    monkeypatch.setattr(Cells, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(cells, store, "cpu")
    monkeypatch.undo()
    store = Cells(tmp_path / "killed.jsonl")
    assert fine_tune(cells, store, "cpu") == 2
    for cell in cells:
        ours, theirs = (dict(s.get(cell.key)) for s in (store, whole))
        assert ours.pop("seconds") >= 0
        assert theirs.pop("seconds") >= 0
        assert ours == theirs


def test_best_learning_rate_is_chosen_by_validation(tuning, tmp_path):
    cell, store = FineTuneCell(tuning, "matched", 0), Cells(tmp_path / "cells.jsonl")
    fine_tune([cell], store, "cpu")
    result = store.get(cell.key)
    assert result["val_accuracy"] == pytest.approx(max(result["candidates"]), abs=1e-6)
    assert set(result["accuracy"]) == set(tuning.task.tests)


@pytest.fixture(scope="module")
def planned(task, tuning, tmp_path_factory):
    plan = FullDataPlan(task, SMALL, PARTS, tuning, (0.5, 2.0))
    cells = Cells(tmp_path_factory.mktemp("plan") / "cells.jsonl")
    compute(plan.head_cells(), cells, "cpu")
    fine_tune(plan.tuned_cells(), cells, "cpu")
    return plan, cells


def test_parts_share_what_is_equal(planned):
    plan, _ = planned
    assert len(plan.head_cells()) == 2 * 5
    # five arms and one unfrozen; two more ratios of two arms; the rest is shared
    assert len(plan.tuned_cells()) == 2 * (6 + 4)
    ratios = [(row.arm, row.ratio) for row in plan.rows() if row.part == "ratio"]
    assert ratios == [("matched", 1.0), *((arm, r) for arm in ("uml", "uml_init") for r in (0.5, 1.0, 2.0))]


def summarise(plan, values):
    return full_data.summarise(plan, values, gains_of(values, ARMS[plan.control].label))


def test_tables_agree_with_the_rows(planned):
    plan, cells = planned
    table = rows_of(plan, cells)
    summary = summarise(plan, measured(table, "test"))
    rows = table.to_dict("records")
    assert len(rows) == 2 * len(plan.rows())
    text = as_markdown(summary, {part: contents((), TABLES[part]) for part in PARTS})
    for entry in summary["rows"]:
        which = {name: entry[name] for name in ("part", "arm", "ratio", "unfrozen")}
        mine = [100 * r["accuracy_test"] for r in rows if which.items() <= r.items()]
        control = [
            100 * r["accuracy_test"] for r in rows if (r["part"], r["arm"]) == (entry["part"], "matched")
        ]
        assert entry["accuracy"].estimate == pytest.approx(np.mean(mine))
        if entry["arm"] != "matched":
            assert entry["minus_control"].estimate == pytest.approx(np.mean(np.subtract(mine, control)))
        assert f"| {entry['label']} | {entry['accuracy'].estimate:.2f} [" in text
    assert "| paper |" not in text, "simulated concepts are not in the paper"


def summary_under_other_names(planned, dataset, vision, text):
    """As if the cells were of another data set and other encoders: name and record are all that published numbers go by."""
    plan, cells = planned
    named = replace(plan.task, name=dataset, encoders={"image": vision, "text": text})
    named.__dict__["fingerprint"] = plan.task.fingerprint
    other = replace(plan, task=named)
    return summarise(other, measured(rows_of(other, cells), "test"))


def published_in(summary):
    return {(p["part"], p["arm"], p["ratio"], p["unfrozen"]): p["accuracy"] for p in summary["published"]}


def test_published_numbers_stand_beside_the_papers_data_only(planned):
    summary = summary_under_other_names(planned, "sun397", "dinov2-s14", "openllama-3b")
    found = published_in(summary)
    assert found["linear", "uml_init", 1.0, False] == 72.24  # Table 12
    assert found["finetune", "uml", 1.0, False] == 66.72  # Tables 8 and 29
    assert found["finetune", "uml", 1.0, True] == 65.80  # Table 29
    assert found["ratio", "uml_init", 0.5, False] == 65.41  # Table 28
    text = as_markdown(summary, {part: contents((), TABLES[part]) for part in PARTS})
    assert "| paper |" in text
    assert "| 72.24 |" in text


@pytest.mark.parametrize(
    ("vision", "text"),
    [
        *((vision, "openllama-3b") for vision in ("dino-b16", "dino-b8", "dinov2-s14", "dinov2-b14")),
        ("clip-rn50", "clip-rn50"),
    ],
)
def test_published_fine_tunings_are_those_of_both_encoders(planned, vision, text):
    found = published_in(summary_under_other_names(planned, "oxford_pets", vision, text))
    for arm in ("unimodal", "uml", "uml_init"):
        wanted = reference("oxford_pets", None, arm, vision=vision, text=text, protocol="full_finetuning")
        assert found["finetune", arm, 1.0, False] == wanted is not None
    other = published_in(summary_under_other_names(planned, "oxford_pets", vision, "bert-large"))
    assert {arm for part, arm, *_ in other if part == "finetune"} == {"unimodal"}, (
        "without text it has no part"
    )


@pytest.mark.parametrize(("gain", "word"), [(3.0, "holds"), (-3.0, "fails"), (0.0, "is undecided")])
def test_verdicts_follow_the_intervals(planned, gain, word):
    plan, cells = planned
    rows = rows_of(plan, cells)
    noise = np.where(rows["seed"] == 0, 0.05, -0.05)
    values = measured(rows.assign(accuracy_test=0.5 + (rows["arm"] == "uml") * (gain + noise) / 100), "test")
    lines = summarise(plan, values)["verdicts"]
    assert any(line.startswith(f"linear probe: UML above unimodal, matched: {word} (") for line in lines)
    assert any(line.startswith(f"fine-tuning: UML above unimodal: {word} (") for line in lines)
    (ratio,) = (line for line in lines if line.startswith("batch ratio: "))
    assert "little impact (within 1 point of r = 1) holds: 4 of 4 intervals lie within" in ratio


@pytest.mark.parametrize(("moved", "verdict"), [(0.0, "holds"), (0.9, "undecided"), (3.0, "fails")])
def test_findings_rest_on_the_rows_and_the_ratios(planned, moved, verdict):
    plan, cells = planned
    rows = rows_of(plan, cells)
    noise = np.where(rows["seed"] == 0, 0.05, -0.05)
    helped = (rows["arm"] == "uml_init") * 2.0 + (rows["ratio"] == 2) * (moved + noise)
    values = measured(rows.assign(accuracy_test=0.5 + helped / 100), "test")
    found = full_data._findings(summarise(plan, values), values)
    assert found["Table", 8].verdict == found["Table", 12].verdict == "in part"
    assert [e.verdict for e in found["Table", 12].evidence] == ["undecided", "holds"]
    assert found["Table", 28].verdict == verdict
    assert [e.verdict for e in found["Table", 28].evidence] == ["holds", verdict, "holds", verdict]
    for number in (20, 21):  # of aligned encoders
        assert found["Table", number].verdict == "no claim"


def test_what_a_run_left_out_is_not_judged(planned):
    plan, cells = planned
    probes = replace(plan, parts=("linear",), tuning=None)
    rows = rows_of(probes, cells)
    helped = rows["arm"].isin(["uml", "uml_init"])
    values = measured(rows.assign(accuracy_test=0.5 + 0.1 * helped), "test")
    found = full_data._findings(summarise(probes, values), values)
    assert found["Table", 12].verdict == "holds"
    assert {found["Table", n].verdict for n in (8, 20, 28, 29)} == {"no claim"}


def test_plan_says_what_is_wrong(task, tuning):
    with pytest.raises(ValueError, match="intervals need at least 2 paired repetitions, got 1"):
        FullDataPlan(task, replace(SMALL, seeds=1), ("linear",), None, ())
    with pytest.raises(ValueError, match="leaves no auxiliary row"):
        FullDataPlan(task, SMALL, ("ratio",), tuning, (0.001,))
    with pytest.raises(ValueError, match="part 'finetune' needs a fine-tuning"):
        FullDataPlan(task, SMALL, ("linear",), None, ()).cell(Row("finetune", "uml"), 0)
    with pytest.raises(ValueError, match="'concepts' gives features alone"):
        glyph_fine_tuning(task, Schedule(2), [1e-3], 4, cache=None)


def test_study_end_to_end(tmp_path):
    options = [
        "--quick",
        "--seeds",
        "2",
        "--set",
        *GLYPHS,
        "text_features=8",
        "--steps",
        "2",
        "--batch-size",
        "4",
    ]
    places = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    summary = full_data.main([*options, *places])
    assert summary["parts"] == list(PARTS)
    stem = next((tmp_path / "out").glob("*.png")).stem
    table = read_rows(tmp_path / "out" / f"{stem}_table.csv")
    assert len(table) == 5 + 6 + 5
    assert len(read_rows(tmp_path / "out" / f"{stem}.csv")) == 2 * len(table)
    assert full_data.main([*options, *places])["provenance"]["cells_computed_now"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--dataset", "concepts", "--parts", "finetune"],
            "choose --dataset glyphs or images on disk, or --parts",
        ),
        (["--dataset", "concepts", "--shots", "4"], "--shots: this study trains on the whole pool"),
        (
            ["--dataset", "concepts", "--normalise", "--parts", "ratio"],
            "--normalise: has no meaning for pictures",
        ),
    ],
)
def test_command_line_says_what_is_wrong(capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit):
        full_data.main([*arguments, "--out", str(tmp_path), "--runs", str(tmp_path)])
    assert message in " ".join(capsys.readouterr().err.split())
