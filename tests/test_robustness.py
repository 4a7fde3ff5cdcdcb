"""The robustness study: the few-shot study's own cells, gains under shift against both baselines, verdicts."""

import csv

import numpy as np
import pytest

from neural.data.concepts import concepts
from neural.heads.runs import Schedule
from studies import image_text_fewshot, robustness
from studies.head_presets import Grid, Preset
from studies.image_text_fewshot_plan import Plan
from studies.image_text_fewshot_report import Results
from studies.robustness_report import as_markdown, summarise

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


class Planted(Results):
    """Accuracies that are known, to see what is said about them."""

    def __init__(self, plan, levels):
        self.plan, self.levels = plan, levels

    def values(self, what, arm, shots):
        noise = {"uml_init": [0.1, -0.1, 0.2, -0.2], "init_permuted": [-0.1, 0.1, 0.1, -0.1]}
        return self.levels.get((what, arm), 30.0) + np.array(noise.get(arm, np.zeros(4)))


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
    summary = summarise(Planted(Plan(task, SMALL, robustness.ARMS), levels))
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
