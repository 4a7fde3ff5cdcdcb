"""The classifier analysis: planes against their definition, permutation test of a diagonal, the study end to end."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fisherkit.checks import UnknownNameError
from neural.fewshot.cells import compute
from neural.fewshot.plan import Plan, chosen_heads
from neural.fewshot.presets import PRESETS, resized
from neural.heads.analysis import functional_margins
from neural.heads.model import HeadLayout, SharedHead
from neural.results.cells import Cells
from neural.results.intervals import Interval, paired_difference
from neural.tasks.task import Embeddings
from neural.worlds.concepts import concepts
from studies import classifier_analysis
from studies.lab.classifier_planes import (
    confused_pairs,
    decision_plane,
    diagonal_dominance,
    named_pairs,
    prototype_text_cosines,
)

TINY = [
    "--dataset",
    "concepts",
    "--set",
    "n_classes=6",
    "rank=3",
    "test_per_class=10",
    "--quick",
    "--seeds",
    "2",
]
seeds = st.integers(0, 2**32 - 1)


def head_and_rows(seed, n_classes=3, projected=True):
    rng = np.random.default_rng(seed)
    layout = (
        HeadLayout((("image", 5), ("text", 4)), n_classes, 4, projected=("image",))
        if projected
        else HeadLayout((("image", 4),), n_classes, 4)
    )
    model = SharedHead(layout, seed=seed)
    labels = np.repeat(np.arange(n_classes), 6)
    return model, Embeddings(rng.normal(size=(len(labels), layout.dims[0][1])), labels, "image")


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_first_coordinate_is_the_signed_distance_to_the_boundary(seed):
    model, rows = head_and_rows(seed)
    plane = decision_plane(model, rows, 2, 0)
    logits = model({"image": torch.as_tensor(rows.features)})["image"].detach().double().numpy()
    head = model.head.detach().double().numpy()
    chosen = np.isin(rows.labels, [0, 2])
    distance = (logits[chosen, 2] - logits[chosen, 0]) / np.linalg.norm(head[2] - head[0])
    np.testing.assert_allclose(plane.points[:, 0], distance, atol=1e-5)
    assert plane.accuracy == ((logits[chosen, 2] > logits[chosen, 0]) == (rows.labels[chosen] == 2)).mean()
    np.testing.assert_array_equal(plane.first, rows.labels[chosen] == 2)


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_second_coordinate_separates_the_means_and_is_orthogonal(seed):
    model, rows = head_and_rows(seed)
    plane = decision_plane(model, rows, 0, 1)
    z = model.embed("image", torch.as_tensor(rows.features)).detach().double().numpy()
    pair = z[rows.labels < 2]
    apart = z[rows.labels == 0].mean(axis=0) - z[rows.labels == 1].mean(axis=0)
    across = plane.points[plane.first, 0].mean() - plane.points[~plane.first, 0].mean()
    along = plane.points[plane.first, 1].mean() - plane.points[~plane.first, 1].mean()
    # the two axes are orthonormal and hold the whole difference of the means
    assert along >= 0
    assert across**2 + along**2 == pytest.approx(apart @ apart, rel=1e-5)
    assert (np.linalg.norm(plane.points, axis=1) <= np.linalg.norm(pair, axis=1) * (1 + 1e-6)).all()


def test_two_classes_distance_is_the_papers_margin():
    model, rows = head_and_rows(3, n_classes=2)
    plane = decision_plane(model, rows, 0, 1)
    np.testing.assert_allclose(
        np.where(plane.first, 1, -1) * plane.points[:, 0], functional_margins(model, rows), atol=1e-5
    )


def test_planes_refuse_what_has_no_boundary():
    model, rows = head_and_rows(0)
    with pytest.raises(ValueError, match="a plane needs two classes, got 1 twice"):
        decision_plane(model, rows, 1, 1)
    with pytest.raises(ValueError, match="class 2 has no rows"):
        decision_plane(model, rows.take(rows.labels < 2), 0, 2)
    same = SharedHead(model.layout, seed=0, initial_head=np.ones((3, 4)))
    with pytest.raises(ValueError, match="classes 0 and 1 have the same row"):
        decision_plane(same, rows, 0, 1)


def test_confused_pairs_share_no_class():
    # class 0 is always taken for 1, class 2 for 0, class 3 for 4 half of the time
    labels = np.array([0] * 4 + [2] * 3 + [3] * 4 + [1, 4])
    said = np.array([1] * 4 + [0] * 3 + [4, 4, 3, 3] + [1, 4])
    logits = torch.nn.functional.one_hot(torch.as_tensor(said), 5).float()
    fit = SimpleNamespace(
        model=SimpleNamespace(layout=SimpleNamespace(n_classes=5)), logits=lambda rows: logits
    )
    rows = Embeddings(np.zeros((len(labels), 1)), labels, "image")
    assert confused_pairs(fit, rows, 2) == [(0, 1), (3, 4)]
    assert confused_pairs(fit, rows, 9) == [(0, 1), (3, 4)], "no more pairs without a class in common"


@given(seeds, st.integers(2, 12))
@settings(max_examples=25, deadline=None)
def test_dominance_is_what_its_name_says(seed, c):
    matrix = np.random.default_rng(seed).normal(size=(c, c))
    found = diagonal_dominance(matrix, seed=seed, permutations=50)
    off = matrix[~np.eye(c, dtype=bool)]
    assert found.difference == pytest.approx(np.diag(matrix).mean() - off.mean())
    assert found.top == (matrix.argmax(axis=1) == np.arange(c)).mean()
    assert 1 / 51 <= found.p_value <= 1
    assert found.null_low <= found.null_high


def test_permutation_test_holds_its_level():
    """Under exchangeable entries p <= 0.05 has probability <= 0.05; 40 or more of 400 has probability below 1e-4."""
    rng = np.random.default_rng(0)
    p = [diagonal_dominance(rng.normal(size=(12, 12)), seed=s, permutations=99).p_value for s in range(400)]
    assert sum(value <= 0.05 for value in p) < 40
    strong = rng.normal(size=(12, 12)) + 3 * np.eye(12)
    assert diagonal_dominance(strong, permutations=999).p_value < 0.01
    with pytest.raises(ValueError, match=r"expected \(C, C\)"):
        diagonal_dominance(np.zeros((2, 3)))


def test_cosines_are_of_class_means():
    model, _ = head_and_rows(0)
    texts = Embeddings(np.random.default_rng(1).normal(size=(9, 4)), np.arange(9) % 3, "text")
    head, means = model.head.detach().double().numpy(), texts.class_means(3).astype(float)
    want = [[h @ m / np.linalg.norm(h) / np.linalg.norm(m) for m in means] for h in head]
    np.testing.assert_allclose(prototype_text_cosines(model, texts), want, atol=1e-6)
    with pytest.raises(ValueError, match="they do not share a space"):
        prototype_text_cosines(model, Embeddings(np.eye(3), np.arange(3), "text"))


def test_heads_trained_again_are_those_of_the_cells(tmp_path):
    task = concepts(seed=0, n_classes=5, test_per_class=10)
    plan = Plan(task, resized(PRESETS["quick"], seeds=2, shots=[2]), ("matched", "uml_init"))
    cells = Cells(tmp_path / "cells.jsonl")
    compute(plan.cells(), cells, "cpu")
    for arm, fit in chosen_heads(plan, cells, 2, 1, "cpu").items():
        stored = cells.get(plan.cell(arm, 2, 1).key)
        assert fit.best_step == stored["best_step"]
        assert functional_margins(fit.model, task.tests["test"]).mean() == pytest.approx(
            stored["margin"], rel=1e-6
        )


def test_pairs_by_name():
    task = concepts(seed=0, n_classes=5, test_per_class=2)
    names = list(task.classes)
    assert named_pairs(task, []) == []
    assert named_pairs(task, [names[3], names[1]]) == [(3, 1)]
    with pytest.raises(ValueError, match="two or four names of classes, got 3"):
        named_pairs(task, names[:3])
    with pytest.raises(ValueError, match="cannot be told from itself"):
        named_pairs(task, [names[0]] * 2)
    with pytest.raises(UnknownNameError, match="unknown class 'concept 11'"):
        named_pairs(task, ["concept 11", names[0]])


def test_study_end_to_end(tmp_path):
    places = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    summary = classifier_analysis.main([*TINY, *places, "--pairs", "concept 0", "concept 1"])
    stem = next((tmp_path / "out").glob("*.png")).stem
    table = list(csv.DictReader((tmp_path / "out" / f"{stem}_table.csv").read_text().splitlines()))
    rows = list(csv.DictReader((tmp_path / "out" / f"{stem}.csv").read_text().splitlines()))
    assert summary["pairs chosen by"] == "name"
    assert [plane["classes"] for plane in summary["planes"]] == [["concept 0", "concept 1"]] * 2
    assert sum(row["what"] == "plane" for row in rows) == 2 * 20
    for line in table:
        if line["measure"] == "diagonal":
            continue
        here = {"what": line["measure"], "arm": line["arm"], "shots": line["shots"]}
        values = [float(r["value"]) for r in rows if here.items() <= r.items()]
        assert len(values) == 2
        assert float(line["value"]) == pytest.approx(np.mean(values), abs=1e-4)
        control = [float(r["value"]) for r in rows if (here | {"arm": "matched"}).items() <= r.items()]
        if line["minus_control"]:
            assert float(line["minus_control"]) == pytest.approx(np.mean(values) - np.mean(control), abs=2e-4)
    diagonals = {(line["arm"], line["texts"]): line for line in table if line["measure"] == "diagonal"}
    assert set(diagonals) == {
        ("matched", "the right texts"),
        ("uml", "the right texts"),
        ("uml_init", "the right texts"),
        ("init_permuted", "the right texts"),
        ("init_permuted", "the texts it was given"),
    }
    # heads start from the texts they are given: their diagonal is there whether the texts are right or wrong
    assert float(diagonals["uml_init", "the right texts"]["top"]) > 0.8
    assert float(diagonals["init_permuted", "the texts it was given"]["top"]) > 0.8
    assert float(diagonals["init_permuted", "the right texts"]["top"]) < 0.5
    again = classifier_analysis.main([*TINY, *places])
    assert again["provenance"]["cells_computed_now"] == 0
    assert len(again["planes"]) == 4


@pytest.mark.parametrize(
    ("gain", "silhouette", "index"),
    [(1.0, "holds", "fails"), (-1.0, "fails", "holds"), (0.0, "is undecided", "is undecided")],
)
def test_verdicts_know_which_way_is_better(gain, silhouette, index):
    noise = np.array([0.1, -0.1, 0.2, -0.2])
    entries = [
        {
            "measure": what,
            "shots": "1",
            "arm": arm,
            "minus_control": paired_difference(gain + noise, 0 * noise),
        }
        for what in ("silhouette", "davies_bouldin")
        for arm in ("uml", "uml_init")
    ]
    lines = classifier_analysis._verdicts({
        "arms": {"matched": "unimodal, matched", "uml": "UML", "uml_init": "UML (init)"},
        "control": "matched",
        "measures": entries,
        "planes": [],
        "prototypes": [],
    })
    assert [line.rpartition(": ")[2] for line in lines] == [f"{silhouette} at 1 shots"] * 2 + [
        f"{index} at 1 shots"
    ] * 2


def test_findings_know_which_way_is_better():
    """The Davies-Bouldin index falls where margins rise; a diagonal that wrong texts give, too, counts in part."""
    measures = [
        {"measure": measure, "arm": "uml_init", "shots": "1", "minus_control": Interval(-0.2, -0.3, -0.1, 5)}
        for measure in ("margin", "silhouette", "davies_bouldin")
    ]
    diagonal = {"difference": 0.5, "null_low": -0.1, "null_high": 0.1}
    prototypes = [
        diagonal | {"arm": "uml_init", "texts": "the right texts", "p_value": 0.0005},
        diagonal | {"arm": "init_permuted", "texts": "the texts it was given", "p_value": 0.5},
    ]
    summary = {
        "measures": measures,
        "arms": {"matched": "matched"},
        "control": "matched",
        "planes": [],
        "prototypes": prototypes,
    }
    found = classifier_analysis._findings(summary)
    assert [found["Figure", n].verdict for n in (41, 42, 43, 44)] == ["fails", "fails", "holds", "holds"]
    assert [comparison.verdict for comparison in found["Figure", 43].evidence] == ["holds"]
    prototypes[1]["p_value"] = 0.0005
    assert classifier_analysis._findings(summary)["Figure", 44].verdict == "in part"
