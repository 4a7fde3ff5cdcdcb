"""The text ablations: end to end on small worlds, shared controls, batch ratios, verdicts that follow the data."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from neural.fewshot.cells import HeadCell
from neural.fewshot.presets import PRESETS, Grid, Preset
from neural.heads.runs import Schedule
from neural.results.cells import cell_key
from neural.results.table import table
from neural.worlds.concepts import concepts
from studies import text_ablations
from studies.lab.finding import findings_of
from studies.lab.text_sweep import lighter
from studies.lab.text_variants import (
    KIND,
    NUMBER,
    RATIO,
    AblationCell,
    Plan,
    Variant,
    deal_sentences,
    hashed_words,
)
from studies.text_ablations import main, report_of

TINY = ["--dataset", "concepts", "--set", "n_classes=6", "rank=3", "test_per_class=10", "--quick"]
SMALL = Preset(
    seeds=4,
    shots=(1, 2),
    schedule=Schedule(iterations=20, warmup=2, eval_every=10, patience=None),
    grid=Grid((1e-2,), (0.0,), (4,), (False,), (1.0,)),
)


def read_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def output(folder, end):
    (found,) = (
        p for p in folder.iterdir() if p.name.endswith(end) and "_table" not in p.name.removesuffix(end)
    )
    return found


@pytest.fixture(scope="module")
def task():
    return concepts(seed=0, n_classes=5, test_per_class=10)


@pytest.fixture(scope="module")
def plan(task):
    other = concepts(seed=1, n_classes=5, test_per_class=10)
    return Plan(
        {
            KIND: (Variant("related", task), Variant("unrelated", other)),
            NUMBER: (Variant("1 per class", task, 1), Variant("all", task)),
            RATIO: (Variant("r = 1", task), Variant("r = 2", task, None, 2.0)),
        },
        SMALL,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    options = ["--out", str(folder / "out"), "--runs", str(folder / "runs"), "--seeds", "2", "--shots", "1"]
    return folder / "out", options, main([*TINY, *options])


def test_study_writes_table_figure_rows_and_provenance(finished):
    out, _, summary = finished
    assert output(out, ".png").read_bytes()[:4] == b"\x89PNG"
    stored = json.loads(output(out, ".json").read_text())
    assert list(stored["axes"]) == ["kind of text", "texts per class", "text encoder", "batch ratio"]
    assert stored["axes"]["texts per class"] == ["1 per class", "8 per class", "32 per class (all)"]
    rows = read_rows(output(out, ".csv"))
    assert 0 < stored["provenance"]["cells_computed_now"] < len(rows), (
        "the reference is on every axis, trained once"
    )
    text = output(out, ".md").read_text()
    for part in ("### kind of text", "| unrelated | UML (init) |", "| r = 0.25 | UML |", "In one line each"):
        assert part in text
    assert any(line.startswith("batch ratio: little impact") for line in summary["verdicts"])


def test_table_agrees_with_the_rows(finished):
    out, _, _ = finished
    rows = read_rows(output(out, ".csv"))

    def accuracies(axis, variant, arm):
        chosen = [r for r in rows if (r["axis"], r["variant"], r["arm"]) == (axis, variant, arm)]
        return 100 * np.array([
            float(r["accuracy_test"]) for r in sorted(chosen, key=lambda r: int(r["seed"]))
        ])

    for line in read_rows(output(out, "_table.csv")):
        mine = accuracies(line["axis"], line["variant"], line["arm"])
        assert float(line["accuracy"]) == pytest.approx(mine.mean(), abs=1e-3)
        if line["arm"] not in {"matched", "unimodal"}:
            gap = mine - accuracies(line["axis"], line["variant"], "matched")
            assert float(line["minus_control"]) == pytest.approx(gap.mean(), abs=1e-3)
            half = 12.706204736 * gap.std(ddof=1) / np.sqrt(2)
            found = float(line["minus_control_high"]) - float(line["minus_control"])
            assert found == pytest.approx(half, abs=1e-2)


def test_second_run_computes_nothing_and_says_the_same(finished):
    _, options, summary = finished
    again = main([*TINY, *options])
    assert again["provenance"]["cells_computed_now"] == 0
    assert again["verdicts"] == summary["verdicts"]


# ---------------------------------------------------------------- cells


@pytest.mark.parametrize(("ratio", "rows"), [(0.25, 1), (0.01, 1), (1.0, 4), (2.0, 8), (2.6, 10)])
def test_ratio_changes_the_auxiliary_batch_alone(task, ratio, rows):
    plain, cell = HeadCell(task, "uml", 1, 0, SMALL), AblationCell(task, "uml", 1, 0, SMALL, ratio=ratio)
    for before, after in zip(plain.runs(), cell.runs(), strict=True):
        assert before.batch_sizes == {"image": 4, "text": 4}
        assert after.batch_sizes == {"image": 4, "text": rows}
        assert after.seed == before.seed
        assert after.loss_weights == before.loss_weights
        assert (after.initial_model().head == before.initial_model().head).all()
    assert (cell.key == plain.key) == (ratio == 1), "a plain cell's key at r = 1"


def test_variants_of_one_dimension_share_the_control(plan, task):
    narrow = concepts_with_dim(32)
    wide = Plan({KIND: (*plan.axes[KIND], Variant("narrow", narrow))}, SMALL)
    related, unrelated, small = wide.axes[KIND]

    def key(variant, arm):
        return cell_key(wide.cell(variant, arm, 1, 0).key)

    assert key(related, "matched") == key(unrelated, "matched")
    assert key(related, "matched") != key(small, "matched")
    assert key(related, "unimodal") == key(small, "unimodal")
    assert key(related, "uml") != key(unrelated, "uml")


def concepts_with_dim(dim):
    from neural.worlds.concepts import ConceptWorld

    return concepts(ConceptWorld(dims={"text": dim}), seed=0, n_classes=5, test_per_class=10)


def test_target_is_the_same_whatever_the_text():
    """What lets variants share a control: the target's rows do not depend on the text's law."""
    from neural.worlds.concepts import ConceptWorld

    one = concepts(ConceptWorld(), seed=0, n_classes=5, test_per_class=10)
    for world in (
        ConceptWorld(alignment=0.0),
        ConceptWorld(informativeness=1.0),
        ConceptWorld(dims={"text": 32}),
    ):
        other = concepts(world, seed=0, n_classes=5, test_per_class=10)
        np.testing.assert_array_equal(one.train.features, other.train.features)
        np.testing.assert_array_equal(one.tests["test"].features, other.tests["test"].features)


def test_permuted_labels_only_where_kinds_are_compared(plan):
    arms = {(axis, arm) for axis, _, arm in plan.points()}
    assert (KIND, "init_permuted") in arms
    assert (NUMBER, "init_permuted") not in arms


# ---------------------------------------------------------------- verdicts


def planted(plan, gains, shaken=(0.0, 0.0, 0.0, 0.0)):
    """Report of accuracies that are known, to see what is said about them; `shaken` is added at r = 2."""
    rows = []
    for axis, variant, arm in plan.points():
        base = np.array([30.0, 31.0, 29.0, 30.5])
        if arm not in {"matched", "unimodal"}:
            wiggle = np.array([0.1, -0.1, 0.2, -0.2]) * (1 + len(arm) / 20)
            base = base + gains.get((variant.name, arm), gains.get(variant.name, 0.0)) + wiggle
        if variant.ratio == 2:
            base = base + shaken
        for shots in plan.preset.shots:
            place = {"axis": axis, "variant": variant.name, "arm": arm, "shots": str(shots)}
            rows += [place | {"seed": seed, "accuracy_test": value / 100} for seed, value in enumerate(base)]
    return report_of(plan, table(rows))


def verdicts(plan, **gains):
    named = {name.replace("_", " "): gain for name, gain in gains.items()}
    return planted(plan, named).summary["verdicts"]


def test_related_text_gains_and_unrelated_does_not(plan):
    lines = verdicts(plan, related=5.0, unrelated=-3.0)
    assert (
        "kind of text: related text, UML (init) against unimodal, matched: gains, but permuted labels gain, at"
        in (" ".join(lines))
    ), "the planted permuted arms gain as much"
    assert "kind of text: unrelated text, UML against unimodal, matched: loses at 1, 2 shots" in lines
    assert any("unrelated minus related, UML (init), gains: -8.0 [" in line for line in lines)


def test_permuted_labels_that_do_not_gain_are_not_held_against_it(plan):
    gains = {("related", "uml"): 5.0, ("related", "uml_init"): 5.0}
    lines = planted(plan, gains).summary["verdicts"]
    assert "kind of text: related text, UML against unimodal, matched: gains at 1, 2 shots" in lines


@pytest.mark.parametrize(("gap", "word"), [(0.0, "holds"), (5.0, "fails"), (1.0, "is undecided")])
def test_stability_under_the_batch_ratio_is_an_equivalence(plan, gap, word):
    gains = {("r = 2", "uml"): gap, ("r = 2", "uml_init"): gap}
    summary = planted(plan, gains, shaken=(0.3, -0.3, 0.2, -0.2)).summary
    line = summary["verdicts"][-1]
    assert line.startswith(f"batch ratio: little impact (within 1 point of r = 1) {word}:")
    finding = findings_of(summary["findings"])["Table", 27]
    assert finding.verdict == word.removeprefix("is ")
    assert {one.verdict for one in finding.evidence} == {finding.verdict}


def test_number_of_texts_is_said_step_by_step(plan):
    lines = verdicts(plan, all=3.0)
    step = next(line for line in lines if line.startswith("texts per class: UML,"))
    assert "from 1 per class to all +3.0 [" in step


@pytest.mark.parametrize(
    ("kind", "judged"),
    [
        ("as given", {("Figure", 31), ("Figure", 32), ("Figure", 33)}),
        ("unrelated", {("Figure", 33), ("Table", 24)}),
    ],
)
def test_what_a_run_left_out_is_not_judged(task, kind, judged):
    plan = Plan(
        {axis: (Variant(name, task),) for axis, name in ((KIND, kind), (NUMBER, "all"), (RATIO, "r = 1"))},
        SMALL,
    )
    found = findings_of(planted(plan, {}).summary["findings"])
    assert {exhibit for exhibit, finding in found.items() if finding.verdict != "no claim"} == judged
    assert found["Table", 27].holds == "only r = 1 was measured"


# ---------------------------------------------------------------- the paper's numbers, variants, options


def test_published_tables_stand_beside_ours_where_data_and_encoders_are_the_papers(plan, task, monkeypatch):
    assert text_ablations._published(task) == []
    encoders = {"image": "dinov2-s14", "text": "openllama-3b"}
    found = text_ablations._published(SimpleNamespace(name="sun397", encoders=encoders))
    cells = {(e["table"], e["label"], e["shots"]): e["accuracy"] for e in found}
    assert cells[24, "UML (Image + Unrelated Text)", "1"] == 35.27
    assert cells[27, "UML (init), r = 0.25", "1"] == 42.60
    assert len(found) == 15 + 45
    monkeypatch.setattr(text_ablations, "_published", lambda task: found)
    text = planted(plan, {}).markdown
    assert "| *paper* | *UML (Image + Unrelated Text)* | 35.27 | 47.12 |" in text
    assert "| *paper* | *UML, r = 4* |  | 49.97 |" in text


def test_hashed_words_know_nothing_but_words():
    sentences = ["a small e", "e small a", "another thing"]
    rows = hashed_words(sentences, 64)
    np.testing.assert_array_equal(rows[0], rows[1])
    assert np.square(rows).sum(axis=1).mean() == pytest.approx(64, rel=1e-5)
    assert not (rows[0] == rows[2]).all()


def test_sentences_of_other_classes_are_dealt_out(tmp_path):
    source = tmp_path / "cars.json"
    source.write_text(json.dumps({"vw": ["a car", "it has wheels"], "bus": ["long"]}))
    path = deal_sentences(source, ["a", "b", "c"], tmp_path)
    assert json.loads(path.read_text()) == {
        "a": ["a car", "it has wheels"],
        "b": ["long"],
        "c": ["a car", "it has wheels"],
    }
    source.write_text(json.dumps({"vw": "a car"}))
    with pytest.raises(ValueError, match=r"cars.json: expected JSON \{class: \[sentences\]\}"):
        deal_sentences(source, ["a"], tmp_path)


def test_lighter_size_is_for_the_default_alone():
    given = SimpleNamespace(quick=False, preset=None, seeds=None, shots=None)
    small = lighter(PRESETS["default"], given, seeds=5, shots=(1, 4))
    assert (small.seeds, small.shots, small.trainings) == (5, (1, 4), 4)
    given.seeds, given.shots = 2, ["1"]
    asked = lighter(PRESETS["default"], given, seeds=5, shots=(1, 4))
    assert (asked.seeds, asked.shots) == (PRESETS["default"].seeds, PRESETS["default"].shots), (
        "options were applied"
    )
    given.preset = "paper"
    assert lighter(PRESETS["paper"], given, seeds=5) is PRESETS["paper"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*TINY, "--text-rows", "33"], "--text-rows: classes have 1 to 32 texts, got 33"),
        ([*TINY, "--ratios", "0"], "--ratios: must be positive and finite, got 0"),
        ([*TINY, "--seeds", "1"], "--seeds: intervals need at least 2"),
        ([*TINY, "--shots", "0"], "shots must be a whole number >= 1, got 0"),
        ([*TINY, "--logit-scale", "nan"], "--logit-scale: must be positive and finite, got nan"),
        ([*TINY, "--set", "auxiliaries=('text', 'sound')"], "name the one to vary"),
        ([*TINY, "--device", "nowhere"], "--device nowhere"),
    ],
)
def test_command_line_says_what_is_wrong(capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path), "--runs", str(tmp_path)])
    assert message in capsys.readouterr().err
