"""The few-shot study: end to end on small worlds, resumable, with the controls in every table."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from fisherkit.checks import UnknownNameError
from neural.fewshot import cells as head_cells
from neural.fewshot.cells import compute
from neural.fewshot.plan import MEASURES, Plan, cell_rows
from neural.fewshot.presets import PRESETS, Grid, Preset, differences, resized
from neural.fewshot.report import as_markdown, summarise
from neural.heads.arms import ARMS
from neural.heads.runs import Schedule
from neural.results.cells import Cells, cell_key
from neural.results.intervals import Interval
from neural.results.table import table
from neural.worlds.concepts import concepts
from studies.image_text_fewshot import _findings, main
from studies.lab.options import FIGURES
from studies.lab.task_options import label_of, task_parser
from studies.lab.task_sources import make_task, parse_settings

TINY = ["--dataset", "concepts", "--set", "n_classes=6", "rank=3", "test_per_class=10", "--quick"]
NAME = "image_text_fewshot_concepts_n-classes-6_rank-3_test-per-class-10"
SMALL = Preset(
    seeds=2,
    shots=(1, 2),
    schedule=Schedule(iterations=20, warmup=2, eval_every=10, patience=None),
    grid=Grid((1e-2,), (0.0,), (4,), (False,), (1.0,)),
)


def read_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def task():
    return concepts(seed=0, n_classes=5, test_per_class=10)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    options = ["--out", str(folder / "out"), "--runs", str(folder / "runs"), "--seeds", "2"]
    return folder, options, main([*TINY, *options])


def test_study_writes_table_figure_rows_and_provenance(finished):
    folder, _, summary = finished
    out = folder / "out"
    name = NAME
    assert {p.name for p in out.iterdir()} == {
        f"{name}{end}" for end in (".png", ".csv", "_table.csv", ".md", ".json")
    }
    assert (out / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    rows = read_rows(out / f"{name}.csv")
    assert len(rows) == 2 * 2 * len(ARMS)
    stored = json.loads((out / f"{name}.json").read_text())
    assert stored["provenance"]["cells_computed_now"] == len(rows)
    assert stored["seeds"] == 2
    text = (out / f"{name}.md").read_text()
    for arm in ARMS.values():
        assert f"| {arm.label} |" in text
    assert "Differs from the paper's protocol" in text
    assert "UML (init) against unimodal, matched and unimodal" in summary["verdicts"][0]


def test_table_agrees_with_the_rows(finished):
    folder, _, _ = finished
    out = folder / "out"
    rows = read_rows(out / f"{NAME}.csv")

    def accuracies(arm, shots):
        chosen = [r for r in rows if r["arm"] == arm and r["shots"] == shots]
        return np.array([float(r["accuracy_test"]) for r in sorted(chosen, key=lambda r: int(r["seed"]))])

    for line in read_rows(out / f"{NAME}_table.csv"):
        if line["test"] != "test":
            continue
        mine, control = accuracies(line["arm"], line["shots"]), accuracies("matched", line["shots"])
        assert float(line["accuracy"]) == pytest.approx(100 * mine.mean(), abs=1e-3)
        if line["arm"] != "matched":
            assert float(line["minus_control"]) == pytest.approx(100 * (mine - control).mean(), abs=1e-3)
            half = 12.706204736 * (mine - control).std(ddof=1) / np.sqrt(2) * 100
            assert float(line["minus_control_high"]) - float(line["minus_control"]) == pytest.approx(
                half, abs=1e-2
            )


def test_second_run_computes_nothing_and_says_the_same(finished):
    _, options, summary = finished
    again = main([*TINY, *options])
    assert again["provenance"]["cells_computed_now"] == 0
    assert again["accuracy"] == summary["accuracy"]


def test_killed_run_resumes_to_the_same_digits(finished, tmp_path, monkeypatch):
    _, _, summary = finished
    options = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs"), "--seeds", "2"]
    add, added = Cells.add, []

    def killed(cells, done):
        done = list(done)
        added.append(len(done))
        if len(added) > 7:
            raise KeyboardInterrupt
        add(cells, done)

    monkeypatch.setattr(Cells, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        main([*TINY, *options])
    monkeypatch.undo()
    again = main([*TINY, *options])
    assert again["provenance"]["cells_computed_now"] == 2 * 2 * len(ARMS) - 7
    assert again["accuracy"] == summary["accuracy"]


def test_test_rows_are_looked_at_once_per_cell(task, tmp_path, monkeypatch):
    looked = []
    real = head_cells.HeadFit.accuracy
    monkeypatch.setattr(
        head_cells.HeadFit,
        "accuracy",
        lambda fit, rows, among: looked.append(fit.name) or real(fit, rows, among),
    )
    preset = resized(SMALL, seeds=None, shots=[1])
    plan = Plan(task, Preset(2, (1,), preset.schedule, Grid((1e-2, 1e-3), (0.0,), (4,), (False,), (1.0,))))
    cells = Cells(tmp_path / "cells.jsonl")
    compute(plan.cells(), cells, "cpu")
    assert len(looked) == len(plan.cells()) * len(task.tests)
    assert len(set(looked)) == len(plan.cells()), "one head per cell, however many were trained"


def test_fair_control_comes_along(task):
    assert Plan(task, SMALL, ("uml",)).arms == ("unimodal", "matched", "uml")
    assert Plan(task, SMALL, ("unimodal",)).arms == ("unimodal",)
    assert Plan(task, SMALL).arms == tuple(ARMS)
    aligned = make_task("concepts", {"aligned": True, "n_classes": 4}, seed=0, cache=None)
    plan = Plan(aligned, SMALL)
    assert plan.control == "unimodal"
    assert "matched" not in plan.arms
    with pytest.raises(UnknownNameError, match="unknown arm 'umls'; did you mean 'uml'"):
        Plan(task, SMALL, ("umls",))
    with pytest.raises(ValueError, match="--seeds: intervals need at least 2"):
        Plan(task, resized(SMALL, seeds=1, shots=None))
    with pytest.raises(ValueError, match="--shots must be a whole number >= 1, got 0"):
        Plan(task, resized(SMALL, seeds=None, shots=[0]))


def test_paper_preset_is_table_5():
    paper = PRESETS["paper"]
    assert (paper.grid.learning_rates, paper.grid.weight_decays) == ((1e-3, 1e-4), (0.0, 0.01, 0.001))
    assert (paper.grid.batch_sizes, paper.grid.learn_scales) == ((8, 32), (False, True))
    assert paper.schedule == Schedule(12_800, 50, 100, 10)
    assert paper.shots == (1, 2, 4, 8, 16)


def test_presets_say_what_differs_from_the_paper():
    assert "schedule: iterations 1500 (paper 12800)" in differences(PRESETS["default"])
    assert differences(PRESETS["paper"]) == []


def test_edges_of_the_grid_are_counted(task):
    plan = Plan(task, SMALL)
    edges = summarise(plan, planted(plan, {}))["edges"]
    assert "UML lowest learning rate 4, highest learning rate 4, last evaluation 4 of 4" in edges
    assert any(
        line.startswith("unimodal, matched lowest") and "(trainings that diverged) 8" in line
        for line in edges
    )


def planted(plan, gains):
    """Cells with accuracies that are known, to see what is said about them."""
    rows = []
    for cell in plan.cells():
        base = [30.0, 31.0, 29.0, 30.5][cell.seed]
        noise = 0 if cell.arm == plan.control else [0.1, -0.1, 0.2, -0.2][cell.seed]
        accuracy = (base + gains.get(cell.arm, 0.0) + noise) / 100
        rows.append(
            {"arm": cell.arm, "shots": str(cell.shots), "seed": cell.seed, "learning_rate": 1e-2}
            | {f"accuracy_{test}": accuracy for test in plan.task.tests}
            | dict.fromkeys(MEASURES, base)
            | {"best_step": 20 if cell.arm == "uml" else 10, "diverged": 2 * (cell.arm == "matched")}
        )
    return table(rows)


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ({"uml_init": 5.0}, "gains at 1, 2 shots"),
        ({"uml_init": 5.0, "unimodal": 9.0}, "loses at 1, 2 shots"),
        ({"uml_init": 5.0, "unimodal": 5.0}, "is undecided at 1, 2 shots"),
        ({"uml_init": 0.05}, "is undecided at 1, 2 shots"),
        ({"uml_init": -5.0}, "loses at 1, 2 shots"),
        ({"uml_init": 5.0, "init_permuted": 5.0}, "gains, and so do permuted labels, at 1, 2 shots"),
        ({"uml_init": 0.0, "init_permuted": 5.0}, "is undecided, but permuted labels gain, at 1, 2 shots"),
    ],
)
def test_verdict_follows_the_intervals(task, gains, words):
    plan = Plan(task, resized(SMALL, seeds=4, shots=None))
    summary = summarise(plan, planted(plan, gains))
    baselines = "unimodal, matched and unimodal"
    assert summary["verdicts"][0] == f"test: UML (init) against {baselines}: {words}"
    if gains["uml_init"] == 5.0:
        assert "| UML (init) | 35.1 (+5.0 [" in as_markdown(summary)
    added = next(line for line in summary["verdicts"] if "adds to the start" in line)
    assert f"1: {gains['uml_init'] - gains.get('init_only', 0):+.1f} [" in added


def test_users_own_files(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 4
    target, text = tmp_path / "a.npz", tmp_path / "b.npz"
    np.savez(target, features=rng.normal(size=(60, 7)) + labels[:, None], labels=labels)
    np.savez(text, features=rng.normal(size=(20, 5)), labels=np.arange(20) % 4)
    files = ["--target-features", str(target), "--aux-features", str(text)]
    options = ["--quick", "--seeds", "2", "--shots", "1", "all", "--arms", "uml_init"]
    places = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    summary = main([*files, *options, *places])
    assert summary["shots"] == ["1", "all"]
    assert list(summary["arms"]) == ["unimodal", "matched", "uml_init"]


def test_results_on_own_files_lie_apart_and_name_their_inputs(tmp_path, monkeypatch):
    """In the working folder, never among the project's figures; other files or settings never replace them."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 4
    np.savez("digits.npz", features=rng.normal(size=(60, 7)) + labels[:, None], labels=labels)
    for name in ("one", "two"):
        np.savez(f"{name}.npz", features=rng.normal(size=(20, 5)), labels=np.arange(20) % 4)
    shipped = {path: path.stat().st_mtime_ns for path in FIGURES.rglob("*")}
    usual = ["--quick", "--seeds", "2", "--shots", "1", "--arms", "uml_init", "--runs", "runs"]
    names = set()
    for more in (
        ["one.npz"],
        ["two.npz"],
        ["one.npz", "--data-seed", "3"],
        ["one.npz", "--logit-scale", "2"],
    ):
        summary = main(["--target-features", "digits.npz", "--aux-features", *more, *usual])
        (new,) = {path.stem for path in Path("results").glob("*.json")} - names
        names.add(new)
        assert set(summary["provenance"]["inputs"]) == {"digits.npz", more[0]}
        digest = hashlib.sha256(Path("digits.npz").read_bytes()).hexdigest()[:16]
        assert f"Read, by content: `digits.npz` ({digest})" in Path(f"results/{new}.md").read_text()
        assert all(Path(f"results/{new}.{ending}").exists() for ending in ("png", "csv", "md"))
    main(["--target-features", "digits.npz", "--aux-features", "one.npz", *usual])
    assert {path.stem for path in Path("results").glob("*.json")} == names, "the same run has the same place"
    assert {path: path.stat().st_mtime_ns for path in FIGURES.rglob("*")} == shipped


def test_other_settings_of_a_simulated_world_have_another_name():
    parser = task_parser(None, seeds=2)
    parser.add_argument("--logit-scale", type=float, default=1.0)
    made = concepts(seed=0, n_classes=4, test_per_class=1)
    labels = {
        label_of(parser.parse_args(["--dataset", "concepts", *more]), made)
        for more in ([], ["--data-seed", "1"], ["--data-seed", "2"], ["--logit-scale", "10"])
    }
    assert labels == {"concepts", "concepts_data-seed-1", "concepts_data-seed-2", "concepts_logit-scale-10"}


def refused(capsys, arguments, tmp_path):
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path), "--runs", str(tmp_path)])
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "glyhps"], "unknown data set (and no such path): 'glyhps'; did you mean 'glyphs'"),
        (
            ["--dataset", "concepts", "--set", "rnak=3"],
            "unknown setting of 'concepts': 'rnak'; did you mean 'rank'",
        ),
        (["--dataset", "concepts", "--set", "rank"], "--set rank: expected NAME=VALUE"),
        ([*TINY, "--auxiliaries", "sound"], "unknown modality 'sound'"),
        ([*TINY, "--device", "nowhere"], "nowhere"),
        ([*TINY, "--shots", "x"], "--shots x: give whole numbers, or 'all'"),
        ([*TINY, "--shots", "64"], "64 shots, but no class has more than 32 image rows"),
        ([*TINY, "--preset", "paper"], "--quick is a size of its own; leave out --preset paper"),
        ([*TINY, "--aligned"], "--aligned: concepts says itself whether it is aligned"),
        ([*TINY, "--vision", "dinov2-s14"], "--vision, --text, --descriptions: need a data set on disk"),
        ([*TINY, "--aux-features", "a.npz"], "--aux-features, --target-test: need --target-features"),
        (
            ["--target-features", "a.npz", "--set", "rank=3"],
            "--set: settings are of glyphs, concepts and digits",
        ),
        (
            ["--target-features", "a.npz", "--aux-features", "b.npz", "c.npz"],
            "2 files need as many different names",
        ),
        (
            ["--target-features", "a.npz", "--aux-features", "b.npz", "c.npz", "--auxiliaries", "t", "t"],
            "2 files need as many different names, got --auxiliaries t t",
        ),
        (["--dataset", "glyphs", "--set", "steps=abc"], "--set steps=abc: expected a number (default 1500)"),
        (
            ["--dataset", "glyphs", "--set", "jitter=x"],
            "--set jitter=...: this one can be set in Python only",
        ),
        (["--target-features", "missing.npz", "--aux-features", "b.npz"], "missing.npz"),
        ([*TINY, "--logit-scale", "0"], "--logit-scale: must be positive and finite, got 0"),
    ],
)
def test_command_line_says_what_is_wrong(capsys, tmp_path, arguments, message):
    assert message in refused(capsys, arguments, tmp_path)


def test_settings_are_literals_or_text():
    assert parse_settings(["a=1", "b=x y", "c=(1, 2)"]) == {"a": 1, "b": "x y", "c": (1, 2)}


def test_settings_may_be_given_in_several_places(tmp_path):
    split = ["--dataset", "concepts", "--set", "n_classes=6", "--set", "rank=3", "--set", "test_per_class=10"]
    options = ["--quick", "--seeds", "2", "--shots", "1", "1", "--arms", "uml_init"]
    summary = main([*split, *options, "--out", str(tmp_path), "--runs", str(tmp_path)])
    assert (summary["classes"], summary["shots"]) == (6, ["1"])
    assert {path.suffix for path in tmp_path.glob("image_text_fewshot_concepts_*some-arms*")} >= {
        ".png",
        ".md",
    }


def test_own_file_without_help_is_refused_before_training(capsys, tmp_path):
    target = tmp_path / "a.npz"
    np.savez(target, features=np.random.default_rng(0).normal(size=(40, 3)), labels=np.arange(40) % 4)
    assert "no auxiliary modality, so there is nothing to compare" in refused(
        capsys, ["--target-features", str(target)], tmp_path
    )


def test_test_rows_too_few_for_a_silhouette_lose_no_cell(tmp_path):
    made = concepts(seed=0, n_classes=4, test_per_class=1)
    plan = Plan(made, SMALL, ("uml_init",))
    store = Cells(tmp_path / "cells.jsonl")
    compute(plan.cells(), store, "cpu")
    assert store.get(plan.cells()[0].key)["silhouette"] is None
    assert "UML (init)" in as_markdown(summarise(plan, cell_rows(plan, store)))


def test_cells_know_what_they_depend_on(task):
    plan = Plan(task, SMALL)
    key = cell_key(plan.cell("uml", 1, 0).key)
    other = concepts(seed=1, n_classes=5, test_per_class=10)
    assert cell_key(Plan(other, SMALL).cell("uml", 1, 0).key) != key
    more = resized(SMALL, seeds=5, shots=[1, 2, 8])
    assert cell_key(Plan(task, more).cell("uml", 1, 0).key) == key, "asking for more recomputes nothing"


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ([(2, 1, 3), (2, 1, 3), (2, 1, 3)], "holds"),
        ([(2, 1, 3), (0, -1, 1), (0, -1, 1)], "in part"),
        ([(0, -1, 1), (0, -1, 1), (0, -1, 1)], "undecided"),
        ([(-2, -3, -1), (0, -1, 1), (0, -1, 1)], "fails in part"),
        ([(-2, -3, -1), (-2, -3, -1), (-2, -3, -1)], "fails"),
    ],
)
def test_verdicts_of_several_comparisons(gains, verdict):
    entries = []
    for k, gain in zip(("1", "2", "4"), gains, strict=True):
        accuracy = {"accuracy": Interval(50, 49, 51, 5), "test": "test", "shots": k}
        entries += [
            accuracy | {"arm": "uml_init", "minus_control": Interval(*gain, 5)},
            accuracy | {"arm": "unimodal"},
        ]
    summary = {
        "task": "glyphs",
        "tests": ["test"],
        "shots": ["1", "2", "4"],
        "control": "matched",
        "arms": {"matched": "matched", "uml_init": "UML (init)"},
        "accuracy": entries,
    }
    found = _findings(summary)
    assert found["Table", 15].verdict == verdict
    assert "mean of 10 data sets" in found["Table", 15].published
    assert found["Table", 2].verdict == {"holds": "in part"}.get(verdict, verdict), (
        "half of Table 2 is fine-tuning"
    )
    assert "mean of 9 data sets" in found["Table", 2].published
