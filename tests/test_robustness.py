"""The robustness study: the few-shot study's own cells, gains under shift against both baselines, verdicts."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from neural.datasets.shifted_imagenet import SHIFTS
from neural.fewshot.cells import HeadCell
from neural.fewshot.plan import Plan
from neural.fewshot.presets import PRESETS, Grid, Preset
from neural.heads.runs import Schedule
from neural.heads.sweep import train_heads
from neural.results.table import table
from neural.worlds.concepts import concepts
from studies import image_text_fewshot, robustness
from studies.lab.task_options import label_of, task_of, task_parser
from studies.robustness import as_markdown, summarise
from tests.dataset_builders import WNIDS, build_imagenet, build_shifted
from tests.tiny_encoders import save_image, save_text

TINY = [
    "--dataset",
    "concepts",
    "--set",
    "n_classes=5",
    "rank=3",
    "test_per_class=10",
    "--quick",
    "--seeds",
    "2",
]
SMALL = Preset(
    seeds=4,
    shots=(1, 2),
    schedule=Schedule(iterations=20, warmup=2, eval_every=10, patience=None),
    grid=Grid((1e-2,), (0.0,), (4,), (False,), (1.0,)),
)


def read_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("robustness")
    options = [*TINY, "--out", str(folder / "out"), "--runs", str(folder / "runs")]
    return folder / "out", options, robustness.main(options)


def test_it_trains_nothing_that_the_few_shot_study_has(finished):
    _, options, summary = finished
    fewshot = image_text_fewshot.main([*options, "--arms", "uml_init", "uml", "init_permuted"])
    assert summary["provenance"]["cells_computed_now"] == 2 * 2 * len(robustness.ARMS)
    assert fewshot["provenance"]["cells_computed_now"] == 0
    assert robustness.main(options)["provenance"]["cells_computed_now"] == 0


def test_tables_agree_with_the_rows(finished):
    out, _, summary = finished
    assert summary["source"] == "test"
    assert summary["shifted"] == ["shifted"]
    stem = next(out.glob("robustness_*.png")).stem
    assert {p.suffix for p in out.glob(f"{stem}*")} == {".png", ".csv", ".md", ".json"}
    rows = read_rows(out / f"{stem}.csv")

    def accuracies(test, arm, shots):
        chosen = [r for r in rows if (r["arm"], r["shots"]) == (arm, shots)]
        return np.array([
            100 * float(r[f"accuracy_{test}"]) for r in sorted(chosen, key=lambda r: int(r["seed"]))
        ])

    lines = read_rows(out / f"{stem}_table.csv")
    assert len(lines) == 2 * 2 * len(robustness.ARMS)
    for line in lines:
        here = line["test"], line["arm"], line["shots"]
        gain = accuracies(*here) - accuracies(line["test"], "matched", line["shots"])
        assert float(line["accuracy"]) == pytest.approx(accuracies(*here).mean(), abs=1e-3)
        if line["arm"] == "matched":
            assert not line["minus_control"]
            continue
        assert float(line["minus_control"]) == pytest.approx(gain.mean(), abs=1e-3)
        if line["test"] == "shifted":
            home = accuracies("test", *here[1:]) - accuracies("test", "matched", line["shots"])
            extra = gain - home
            half = 12.706204736 * extra.std(ddof=1) / np.sqrt(2)
            assert float(line["extra"]) == pytest.approx(extra.mean(), abs=1e-3)
            assert float(line["extra_high"]) - float(line["extra"]) == pytest.approx(half, abs=1e-2)
        else:
            assert not line["extra"]


def planted(plan, levels):
    """Cells with accuracies that are known, to see what is said about them."""
    noise = {"uml_init": [0.1, -0.1, 0.2, -0.2], "init_permuted": [-0.1, 0.1, 0.1, -0.1]}
    return table(
        {"arm": cell.arm, "shots": str(cell.shots), "seed": cell.seed}
        | {
            f"accuracy_{test}": (levels.get((test, cell.arm), 30.0) + noise.get(cell.arm, [0] * 4)[cell.seed])
            / 100
            for test in plan.task.tests
        }
        for cell in plan.cells()
    )


@pytest.mark.parametrize(
    ("levels", "claim", "extra"),
    [
        ({("shifted", "uml_init"): 35.0}, "holds", "holds"),
        ({("shifted", "uml_init"): 35.0, ("test", "uml_init"): 35.0}, "holds", "is undecided"),
        ({("shifted", "uml_init"): 35.0, ("test", "uml_init"): 40.0}, "holds", "fails"),
        ({("shifted", "uml_init"): 35.0, ("shifted", "unimodal"): 36.0}, "fails", "holds"),
        ({("shifted", "uml_init"): 25.0}, "fails", "fails"),
        ({}, "is undecided", "is undecided"),
        (
            {("shifted", "uml_init"): 35.0, ("shifted", "init_permuted"): 35.0},
            "holds (permuted labels gain, too)",
            "holds",
        ),
    ],
)
def test_verdicts_follow_the_intervals(levels, claim, extra):
    task = concepts(seed=0, n_classes=5, test_per_class=10)
    plan = Plan(task, SMALL, robustness.ARMS)
    summary = summarise(plan, planted(plan, levels))
    assert summary["verdicts"] == [
        f"shifted: UML (init) more accurate than unimodal, matched and than unimodal: {claim} at 1, 2 shots",
        f"shifted: it gains more there than on the source law: {extra} at 1, 2 shots",
    ]
    assert "### shifted (shifted)" in as_markdown(summary)


def test_a_task_without_shift_is_refused(tmp_path, capsys):
    labels = np.arange(40) % 4
    for name in ("a", "b"):
        np.savez(
            tmp_path / f"{name}.npz", features=np.random.default_rng(0).normal(size=(40, 5)), labels=labels
        )
    files = ["--target-features", str(tmp_path / "a.npz"), "--aux-features", str(tmp_path / "b.npz")]
    with pytest.raises(SystemExit):
        robustness.main([*files, "--quick", "--out", str(tmp_path), "--runs", str(tmp_path)])
    assert "robustness needs a shifted one as well" in " ".join(capsys.readouterr().err.split())


# ---------------------------------------------------------------- ImageNet and its shifted test sets


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A tiny ImageNet and four shifted test sets in the real formats, tiny networks, and what the study says."""
    folder = tmp_path_factory.mktemp("imagenet")
    build_imagenet(folder)
    for key in SHIFTS:
        build_shifted(folder, key)
    rng = np.random.default_rng(0)
    for path in sorted(folder.rglob("*.[jJ]*")):  # colours of classes that heads confuse
        label = WNIDS.index(path.parent.name) if path.parent.name in WNIDS else int(path.parent.name)
        pixels = rng.integers(0, 200, (2, 2, 3)) + 50 * (np.arange(3) == label % 3)
        Image.fromarray(pixels.astype(np.uint8)).resize((16, 12)).save(path, "JPEG")
    save_image(folder / "vit", "vit")
    save_text(folder / "bert", "bert")
    options = ["--dataset", "imagenet", "--data", str(folder), "--texts", "vanilla"]
    options += ["--vision", str(folder / "vit"), "--text", str(folder / "bert"), "--quick", "--seeds", "2"]
    options += ["--shots", "1", "2", "--out", str(folder / "out"), "--runs", str(folder / "runs")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "quick", SMALL)
        return folder / "out", options, robustness.main(options)


def accuracy_by_hand(fit, rows, among):
    """One row, one class at a time."""
    right = 0
    for logits, label in zip(fit.logits(rows).tolist(), rows.labels.tolist(), strict=True):
        right += max(among, key=lambda number: logits[number]) == label
    return right / len(rows)


def test_accuracies_under_the_shifts_of_imagenet(imagenet):
    out, options, summary = imagenet
    assert summary["shifted"] == list(SHIFTS)
    assert summary["among"] == {"imagenet_a": 2, "imagenet_r": 2}
    parser = task_parser(None, seeds=2)
    task = task_of(parser.parse_args(options), SMALL)
    for more, end in ((["imagenet_r", "imagenet_a"], "imagenet-r_imagenet-a"), ([], "no-shift")):
        assert label_of(parser.parse_args([*options, "--shifted", *more]), task).endswith(f"bert_{end}")
    source, some = task.tests["test"], (1, 3)
    few = source.take([row for row, label in enumerate(source.labels) if label in some])
    (path,) = (path for path in out.glob("*.csv") if not path.stem.endswith("_table"))
    restriction_matters = False
    for row in read_rows(path):
        cell = HeadCell(task, row["arm"], int(row["shots"]), int(row["seed"]), SMALL)
        (fit,) = train_heads(cell.runs(), SMALL.schedule)
        wanted = {"test_of_imagenet_a": accuracy_by_hand(fit, few, some)}
        for test, rows in task.tests.items():
            restricted = test in {"imagenet_a", "imagenet_r"}
            wanted[test] = accuracy_by_hand(fit, rows, some if restricted else range(4))
            restriction_matters |= wanted[test] != accuracy_by_hand(fit, rows, range(4))
        for test, accuracy in wanted.items():
            assert float(row[f"accuracy_{test}"]) == pytest.approx(accuracy)
    assert restriction_matters, "else this test would not see a restriction that is forgotten"


def test_extra_gain_of_a_set_of_some_classes_is_over_the_same_classes(imagenet):
    out, _, summary = imagenet
    (path,) = (path for path in out.glob("*.csv") if not path.stem.endswith("_table"))
    rows = read_rows(path)
    differs = False
    for entry in summary["accuracy"]:
        if entry["test"] not in summary["among"] or "extra" not in entry:
            continue

        def gain(test, arm=entry["arm"], shots=entry["shots"]):
            mine, control = (
                np.array([
                    float(r[f"accuracy_{test}"]) for r in rows if (r["arm"], r["shots"]) == (name, shots)
                ])
                for name in (arm, "matched")
            )
            return 100 * (mine - control).mean()

        same = gain(entry["test"]) - gain(f"test_of_{entry['test']}")
        assert entry["extra"].estimate == pytest.approx(same)
        differs |= not np.isclose(gain("test"), gain(f"test_of_{entry['test']}"))
    assert differs, "else all classes would do as well"
    text = next(out.glob("*.md")).read_text()
    assert "### imagenet_a (shifted; among its 2 classes)" in text
    assert "### imagenet_sketch (shifted)" in text
    assert "Of imagenet_a, imagenet_r both gains are on rows of the same classes" in text


def test_imagenet_without_shifted_sets_is_refused_before_anything_is_read(tmp_path, capsys):
    for dataset, more in (("imagenet", []), ("imagenet", ["--shifted"]), ("oxford_pets", [])):
        options = ["--dataset", dataset, "--data", str(tmp_path), *more, "--quick", "--out", str(tmp_path)]
        with pytest.raises(SystemExit):
            robustness.main([*options, "--runs", str(tmp_path)])
        said = " ".join(capsys.readouterr().err.split())
        assert f"{dataset}: it has one test set (test), of the training law" in said
        assert "imagenet where V2, Sketch, A or R lie below the data root" in said


def test_shifted_classes_without_a_source_row_are_refused():
    task = concepts(seed=0, n_classes=5, test_per_class=4)
    few = {"test": task.tests["test"].take(range(8)), "shifted": task.tests["shifted"].take(range(12, 20))}
    bare = replace(task, tests=few, among={"shifted": (3, 4)})
    with pytest.raises(
        ValueError, match="concepts: test has no row of the classes of shifted to compare with"
    ):
        robustness._plan(bare, SMALL)
