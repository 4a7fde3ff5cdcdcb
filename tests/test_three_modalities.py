"""The three-modality study: every subset and its controls, splits before intervals, verdicts on planted values."""

import csv
import json

import numpy as np
import pytest
import torch

from fisherkit.checks import UnknownNameError
from neural.fewshot.presets import PRESETS, Grid, Preset, resized
from neural.heads.arms import permuted_classes
from neural.heads.runs import Schedule
from neural.results.table import table
from neural.tasks.modalities import of_task
from neural.worlds.concepts import ConceptWorld, concepts
from studies import three_modalities
from studies.lab.finding import findings_of
from studies.lab.modality_grid import Plan, Training, by_split
from studies.lab.three_modalities_report import as_markdown
from studies.published.numbers import published
from studies.three_modalities import gains_of, main, summarise
from tests.test_imagenet_esc import images_content, sounds_content

TINY = Preset(
    seeds=3,
    shots=(1,),
    schedule=Schedule(iterations=20, warmup=2, eval_every=10, patience=None),
    grid=Grid((1e-2,), (0.0,), (4,), (False,), (1.0,)),
)
SMALL = ["--quick", "--dataset", "concepts", "--set", "n_classes=4", "rank=3", "test_per_class=10"]
SUBSETS = [("text",), ("audio",), ("text", "audio")]


def read_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module", autouse=True)
def tiny_preset():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "quick", TINY)
        yield


@pytest.fixture(scope="module")
def source():
    world = ConceptWorld(auxiliaries=("text", "audio"))
    return of_task(concepts(world, seed=0, n_classes=5, test_per_class=5), seed=0, order=("text", "image"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    options = [*SMALL, "--targets", "image", "--shots", "1", "2", "--seeds", "2"]
    options += ["--out", str(folder / "out"), "--runs", str(folder / "runs")]
    return folder / "out", options, main(options)


# ---------------------------------------------------------------- what is trained


def test_every_subset_has_its_controls(source):
    plan = Plan(source, TINY)
    assert plan.targets == ("text", "image", "audio")
    assert plan.subsets("image") == SUBSETS
    assert plan.trainings("image") == [
        Training((), "unimodal"),
        Training(("text",), "matched"),
        Training(("audio",), "matched"),
        *(Training(("text",), arm) for arm in ("uml", "uml_init", "init_permuted")),
        *(Training(("audio",), arm) for arm in ("uml", "uml_init", "init_permuted")),
        *(Training(("text", "audio"), arm) for arm in ("uml", "uml_init", "init_permuted")),
        Training(("text", "audio"), "uml_init", shuffled=True),
    ]
    assert len(plan.cells()) == 3 * 3 * 13


def test_control_has_as_many_parameters_and_the_same_target_rows(source):
    plan = Plan(source, TINY)
    for subset in SUBSETS:
        control, helped = (
            plan.cell("image", training, 1, 2).runs()[0]
            for training in (plan.control_of(subset), Training(subset, "uml_init"))
        )
        for run in (control, helped):
            assert run.layout.weight_shapes["head"] == (5, source.pools[subset[0]]["train"].dim)
        # an auxiliary beyond the first brings a projection of its own, which the target never goes through
        assert len(control.layout.weight_shapes) == 2
        assert control.layout.weight_shapes.items() <= helped.layout.weight_shapes.items()
        assert np.array_equal(control.train["image"].features, helped.train["image"].features)
        assert list(control.train) == ["image"]
        assert list(helped.train) == ["image", *subset]


def test_last_auxiliary_alone_is_permuted(source):
    plan = Plan(source, TINY)
    right, wrong = (
        plan.cell("image", Training(("text", "audio"), "uml_init", shuffled), 1, 2).task
        for shuffled in (False, True)
    )
    assert np.array_equal(right.auxiliaries["text"].labels, wrong.auxiliaries["text"].labels)
    assigned = permuted_classes(5, 2)
    assert np.array_equal(assigned[right.auxiliaries["audio"].labels], wrong.auxiliaries["audio"].labels)
    assert np.array_equal(right.auxiliaries["audio"].features, wrong.auxiliaries["audio"].features)


def test_aligned_modalities_need_no_projection():
    world = ConceptWorld(auxiliaries=("text", "audio"), aligned=True)
    plan = Plan(of_task(concepts(world, seed=0, n_classes=4, test_per_class=5), seed=0), TINY, ("image",))
    assert {plan.control_of(subset) for subset in plan.subsets("image")} == {Training((), "unimodal")}
    assert [t.arm for t in plan.trainings("image")].count("unimodal") == 1


def test_auxiliary_rows_are_few_where_asked(source):
    plan = Plan(source, TINY, auxiliary_rows=1)
    run = plan.cell("image", Training(("text", "audio"), "uml"), 1, 0).runs()[0]
    assert [run.train[name].counts(5).tolist() for name in ("text", "audio")] == [[1] * 5] * 2


def test_plan_says_what_is_wrong(source):
    with pytest.raises(UnknownNameError, match="unknown target 'txt'; did you mean 'text'"):
        Plan(source, TINY, ("txt",))
    with pytest.raises(ValueError, match="--seeds: intervals need at least 2 splits, got 1"):
        Plan(source, resized(TINY, seeds=1, shots=None))
    with pytest.raises(ValueError, match="--shots 40: text: a class has only 16 rows to train on"):
        Plan(source, resized(TINY, seeds=None, shots=[40]))
    with pytest.raises(ValueError, match="--auxiliary-rows must be a whole number >= 1, got 0"):
        Plan(source, TINY, auxiliary_rows=0)
    with pytest.raises(ValueError, match="--logit-scale: must be positive and finite, got -1"):
        Plan(source, TINY, logit_scale=-1.0)


# ---------------------------------------------------------------- end to end


def test_study_writes_table_figure_rows_and_provenance(finished):
    out, _, summary = finished
    name = "three_modalities_concepts"
    ends = (".png", ".csv", "_table.csv", ".md", ".json")
    assert {p.name for p in out.iterdir()} == {f"{name}{end}" for end in ends}
    assert (out / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    rows = read_rows(out / f"{name}.csv")
    assert len(rows) == 13 * 2 * 2
    stored = json.loads((out / f"{name}.json").read_text())
    assert stored["provenance"]["cells_computed_now"] == len(rows)
    assert stored["verdicts"] == summary["verdicts"]
    assert findings_of(stored["findings"]) == three_modalities._findings(summary)
    text = (out / f"{name}.md").read_text()
    for training in {entry["training"] for entry in summary["accuracy"]}:
        assert f"| {training} |" in text
    assert "Differs from the paper's protocol" in text


def test_tables_agree_with_the_rows(finished):
    out, _, summary = finished
    rows = read_rows(out / "three_modalities_concepts.csv")

    def accuracies(auxiliaries, arm, shots, shuffled="False"):
        chosen = [
            r
            for r in rows
            if (r["auxiliaries"], r["arm"], r["shots"], r["shuffled"]) == (auxiliaries, arm, shots, shuffled)
        ]
        return 100 * np.array([float(r["accuracy"]) for r in sorted(chosen, key=lambda r: int(r["split"]))])

    table = {(r["what"], r["shots"]): r for r in read_rows(out / "three_modalities_concepts_table.csv")}
    for shots in ("1", "2"):
        both = accuracies("text+audio", "uml_init", shots)
        assert len(both) == 2
        wanted = {
            "text + audio: UML (init)": both - accuracies("text", "matched", shots),
            "audio: UML (init), permuted": accuracies("audio", "init_permuted", shots)
            - accuracies("audio", "matched", shots),
            "text + audio: UML (init), audio permuted": accuracies("text+audio", "uml_init", shots, "True")
            - accuracies("text", "matched", shots),
            "UML (init): text + audio against audio": both - accuracies("audio", "uml_init", shots),
            "UML: text against alone": accuracies("text", "uml", shots)
            - accuracies("text", "matched", shots),
        }
        for what, difference in wanted.items():
            line = table[what, shots]
            assert float(line["gain"]) == pytest.approx(difference.mean(), abs=1e-3)
            half = 12.706204736 * difference.std(ddof=1) / np.sqrt(2)
            assert float(line["gain_high"]) - float(line["gain"]) == pytest.approx(half, abs=2e-2)
        entry = next(
            e
            for e in summary["accuracy"]
            if e["training"] == "text + audio: UML (init)" and e["shots"] == shots
        )
        assert entry["accuracy"].estimate == pytest.approx(both.mean())


def test_second_run_computes_nothing_and_says_the_same(finished):
    _, options, summary = finished
    again = main(options)
    assert again["provenance"]["cells_computed_now"] == 0
    assert again["accuracy"] == summary["accuracy"]


def test_imagenet_esc_from_files_beside_published_numbers(tmp_path):
    torch.save(sounds_content(), tmp_path / "sounds.pt")
    features, paths = images_content()
    np.savez(tmp_path / "images.npz", features=features, paths=paths)
    options = ["--quick", "--dataset", "imagenet_esc_19", "--targets", "audio", "--seeds", "2", "--normalise"]
    options += [
        "--audio-features",
        str(tmp_path / "sounds.pt"),
        "--image-features",
        str(tmp_path / "images.npz"),
    ]
    summary = main([
        *options,
        "--shots",
        "2",
        "--out",
        str(tmp_path / "out"),
        "--runs",
        str(tmp_path / "runs"),
    ])
    rows = read_rows(tmp_path / "out" / "three_modalities_imagenet_esc_19.csv")
    assert len(rows) == 2 * 5 * 5  # splits, draws, trainings
    assert {(r["split"], r["auxiliary_draw"]) for r in rows} == {
        (str(s), str(d)) for s in range(2) for d in range(5)
    }
    helped = [r for r in rows if r["arm"] == "uml"]
    means = [100 * np.mean([float(r["accuracy"]) for r in helped if r["split"] == s]) for s in "01"]
    entry = next(e for e in summary["accuracy"] if e["arm"] == "uml")
    assert entry["accuracy"].n == 2, "intervals over splits, not over runs that share their target rows"
    assert entry["accuracy"].estimate == pytest.approx(np.mean(means))
    wanted = published(
        25, dataset="imagenet_esc_19", shots=2, metric="accuracy", method=["audio", "audio+image"]
    )
    assert [e["accuracy"] for e in summary["published"]] == wanted["value"].tolist() == [39.85, 44.13]
    assert "| *paper: image* | 44.13 |" in as_markdown(summary)


# ---------------------------------------------------------------- verdicts


def planted(plan, gains):
    """The summary of accuracies that are known, to see what is said about them."""
    rows = []
    for training in plan.trainings("image"):
        noise = 0.1 * np.array([1, -1, 0.5]) * (1 + len(training.label) % 7)
        percent = np.array([30.0, 31.0, 29.0]) + gains.get(training.label, 0.0) + noise
        place = {"auxiliaries": "+".join(training.auxiliaries), "arm": training.arm}
        place |= {"target": "image", "shuffled": training.shuffled, "shots": "1"}
        rows += [place | {"split": s, "accuracy": value / 100} for s, value in enumerate(percent)]
    splits = by_split(table(rows))
    return summarise(plan, splits, gains_of(plan, splits))


RISING = {
    "text: UML (init)": 10.0,
    "audio: UML (init)": 12.0,
    "text + audio: UML (init)": 20.0,
    "text + audio: UML (init), audio permuted": 9.0,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {},
            (
                "image: that more modalities help more (UML init) holds at 1 (4 of 4 steps gain) shots. "
                "Beside the others, audio's labels matter at 1. Permuted labels gain nowhere"
            ),
        ),
        (
            {"text + audio: UML (init)": 12.0},
            "is undecided at 1 (3 of 4 steps gain) shots",
        ),
        (
            {"text + audio: UML (init)": 2.0},
            "fails at 1 (2 of 4 steps gain; text + audio below audio; text + audio below text) shots",
        ),
        ({"audio: UML (init)": -9.0}, "audio below alone) shots"),
        ({"text + audio: UML (init), audio permuted": 30.0}, "audio's labels hurt at 1"),
        ({"text + audio: UML (init), audio permuted": 20.0}, "audio's labels are undecided at 1"),
        ({"audio: UML (init), permuted": 5.0}, "Permuted labels gain audio at 1"),
    ],
)
def test_verdict_follows_the_intervals(source, change, words):
    plan = Plan(source, TINY, ("image",))
    (verdict,) = planted(plan, RISING | change)["verdicts"]
    assert words in verdict


@pytest.mark.parametrize(("both", "verdict"), [(20.0, "holds"), (12.0, "undecided"), (2.0, "fails")])
def test_findings_rest_on_every_step(source, both, verdict):
    plan = Plan(source, TINY, ("image",))
    summary = planted(plan, RISING | {"text + audio: UML (init)": both})
    found = three_modalities._findings(summary)
    assert set(found) == {("Figure", 34), ("Figure", 35), ("Table", 26)}, "others classify sounds"
    assert {finding.verdict for finding in found.values()} == {verdict}
    evidence = {e.contrast: e for e in found["Table", 26].evidence}
    assert len(evidence) == 4
    last = evidence["image, UML (init): text + audio against text, 1 shot"]
    assert last.estimate == pytest.approx(both - 10, abs=1)


# ---------------------------------------------------------------- command line


def test_presets_of_imagenet_esc():
    paper, esc = (
        three_modalities._preset(three_modalities._parser().parse_args(["--preset", name]))
        for name in ("paper", "esc")
    )
    assert paper.grid == PRESETS["paper"].grid
    assert {preset.shots for preset in (paper, esc)} == {(1, 2, 4)}
    assert {preset.seeds for preset in (paper, esc)} == {5}
    assert esc.trainings == 4 * 3
    assert set(paper.grid.learning_rates) < set(esc.grid.learning_rates)
    assert (esc.schedule.iterations, esc.schedule.patience) == (12_800, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "glyhps"], "unknown data set 'glyhps'; did you mean 'glyphs'"),
        (["--set", "clases=3"], "unknown setting of 'glyphs': 'clases'"),
        (
            ["--dataset", "concepts", "--set", "rnak=3"],
            "unknown setting of 'concepts': 'rnak'; did you mean 'rank'",
        ),
        ([*SMALL, "--targets", "sound"], "unknown target 'sound'"),
        ([*SMALL, "--shots", "0"], "--shots must be a whole number >= 1, got 0"),
        ([*SMALL, "--device", "nowhere"], "--device nowhere"),
        (["--dataset", "digits", "--speech", "nowhere"], "nowhere: no such folder"),
        (["--dataset", "imagenet_esc_27"], "imagenet_esc_27: features of no modality given"),
        (["--dataset", "imagenet_esc_19", "--audio-features", "a.pt"], "a.pt: file not found"),
    ],
)
def test_command_line_says_what_is_wrong(capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path), "--runs", str(tmp_path)])
    assert message in capsys.readouterr().err
