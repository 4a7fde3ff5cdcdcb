"""Arms and controls of the few-shot comparison: what each one trains on, and how one training is chosen."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fisherkit.checks import UnknownNameError
from neural.heads.arms import ARMS, Setting, arm_names, arm_runs, permuted_classes, select, settings_grid
from neural.heads.model import class_mean_head
from neural.heads.runs import HeadFit, Schedule
from neural.heads.sweep import train_heads
from neural.tasks.task import Embeddings, FewShot, Numbered, Task
from neural.worlds.concepts import concepts

AXES = {
    "learning_rates": (0.01, 0.001),
    "weight_decays": (0.0, 0.1),
    "batch_sizes": (4,),
    "learn_scales": (False, True),
    "loss_weights": (0.5, 1.0, 2.0),
}
ONE = [Setting(0.01, 0.0, 4, False)]


def task(seed=0, *, classes=5, dim=6, aligned=False, auxiliaries=("text",)):
    rng = np.random.default_rng(seed)

    def rows(per_class, width, name):
        labels = np.repeat(np.arange(classes), per_class)
        return Embeddings(rng.normal(size=(len(labels), width)) + labels[:, None], labels, name)

    width = dim if aligned else 4
    return Task(
        "tiny",
        [f"c{i}" for i in range(classes)],
        rows(8, dim, "image"),
        rows(5, dim, "image"),
        {"test": rows(3, dim, "image")},
        {name: rows(3, width + (0 if aligned else i), name) for i, name in enumerate(auxiliaries)},
        aligned=aligned,
    )


def run_of(arm, made, seed=0, settings=ONE):
    return arm_runs(arm, made, made.few_shot(2, seed), settings, seed=seed)


def test_every_arm_chooses_among_equally_many_trainings():
    sizes = {arm: len(settings_grid(arm, **AXES)) for arm in ARMS}
    assert set(sizes.values()) == {2 * 2 * 2 * 3}
    assert all(len(set(settings_grid(arm, **AXES))) == 24 for arm in ARMS), "no candidate twice"
    made = task()
    draws = {run.seed for run in run_of("matched", made, settings=settings_grid("matched", **AXES))}
    assert len(draws) == 3, "draws of an arm without a loss weight differ in weights and order"
    assert len({run.seed for run in run_of("uml", made, settings=settings_grid("uml", **AXES))}) == 1


def test_what_each_arm_trains():
    made = task()
    runs = {arm: run_of(arm, made)[0] for arm in ARMS}
    text = made.auxiliaries["text"]
    assert runs["unimodal"].layout.weight_shapes == {"head": (5, 6)}
    for arm in set(ARMS) - {"unimodal"}:
        assert runs[arm].layout.weight_shapes == {"head": (5, 4), "projections.from_image": (4, 6)}, arm
    assert {arm: sorted(run.train) for arm, run in runs.items() if len(run.train) > 1} == {
        arm: ["image", "text"] for arm in ("uml", "uml_init", "uml_permuted", "init_permuted")
    }
    assert {arm for arm, run in runs.items() if run.initial_head is not None} == {
        "uml_init",
        "init_only",
        "init_permuted",
    }
    np.testing.assert_array_equal(runs["init_only"].initial_head, class_mean_head(text, 5))
    assert runs["matched_2b"].batch_sizes == {"image": 8}
    assert runs["uml"].batch_sizes == {"image": 4, "text": 4}
    assert len({run.seed for run in runs.values()}) == 1
    assert all(run.train["image"] is not None and run.val is not None for run in runs.values())


def test_the_baseline_never_starts_from_text():
    """A baseline that did was in a peer's code for two years."""
    for arm in ("unimodal", "matched", "matched_2b"):
        assert run_of(arm, task())[0].initial_head is None


@given(st.integers(2, 40), st.integers(0, 1000))
def test_permuted_classes_is_a_cycle(n, seed):
    assigned = permuted_classes(n, seed)
    assert sorted(assigned) == list(range(n))
    steps, c = 0, 0
    while True:
        c, steps = assigned[c], steps + 1
        if c == 0:
            break
    assert steps == n


def test_permuted_arms_have_the_same_rows_under_wrong_classes():
    made = task()
    straight, permuted = (run_of(arm, made)[0].train["text"] for arm in ("uml", "uml_permuted"))
    np.testing.assert_array_equal(straight.features, permuted.features)
    assert not (straight.labels == permuted.labels).any()
    head = run_of("init_permuted", made)[0].initial_head
    order = permuted_classes(5, 0)
    np.testing.assert_allclose(head[order], class_mean_head(made.auxiliaries["text"], 5), rtol=1e-6)


def test_aligned_tasks_have_no_projection_and_no_second_baseline():
    made = task(aligned=True)
    assert "matched" not in arm_names(made)
    assert all(run_of(arm, made)[0].projected == () for arm in arm_names(made))


def test_several_auxiliaries_share_the_first_ones_space():
    made = task(auxiliaries=("text", "sound"))
    (run,) = run_of("uml_init", made)
    assert run.layout.weight_shapes == {
        "head": (5, 4),
        "projections.from_image": (4, 6),
        "projections.from_sound": (4, 5),
    }
    assert run_of("matched", made)[0].projected == ("image",)
    (fit,) = train_heads([run], Schedule(iterations=5, eval_every=5))
    assert np.isfinite(fit.val_loss).all()


def test_repetitions_are_paired_across_arms_and_differ_from_each_other():
    made = task()
    first = {arm: run_of(arm, made, seed=0)[0] for arm in ("matched", "uml", "uml_init")}
    weights = [run.initial_model().projection("image") for run in first.values()]
    assert all((w == weights[0]).all() for w in weights)
    assert run_of("uml", made, seed=1)[0].seed != first["uml"].seed
    a, b = made.few_shot(2, 0), made.few_shot(2, 1)
    assert not np.array_equal(a.train.features, b.train.features)


def test_arms_say_what_is_wrong():
    with pytest.raises(UnknownNameError, match="unknown arm 'uml_int'; did you mean 'uml_init'"):
        run_of("uml_int", task())
    with pytest.raises(ValueError, match="arm 'uml' needs an auxiliary modality, and task 'tiny' has none"):
        run_of("uml", task(auxiliaries=()))
    assert run_of("matched", task(auxiliaries=()))[0].projected == ()


def fit(accuracy, loss):
    return HeadFit("f", np.array([0]), np.array([accuracy]), np.array([loss]), 0, None)


def test_selection_looks_at_validation_only_with_a_fixed_tie_rule():
    assert select([fit(0.5, 1.0), fit(0.6, 9.0), fit(0.6, 2.0)]) == 2
    assert select([fit(0.6, 2.0), fit(0.6, 2.0)]) == 0
    assert select([fit(0.1, 0.1)]) == 0


# ---------------------------------------------------------------- few-shot subsets


@given(st.integers(1, 8), st.integers(0, 100))
def test_few_shot_subsets(shots, seed):
    made = task()
    drawn = made.few_shot(shots, seed)
    assert set(drawn.train.counts(5)) == {min(shots, 8)}
    assert set(drawn.val.counts(5)) == {min(shots, 4)}
    for part, pool in ((drawn.train, made.train), (drawn.val, made.val)):
        known = {row.tobytes() for row in pool.features}
        rows = [row.tobytes() for row in part.features]
        assert set(rows) <= known
        assert len(set(rows)) == len(rows), "without replacement"
    again = task().few_shot(shots, seed)
    np.testing.assert_array_equal(drawn.train.features, again.train.features)


def test_whole_pools_and_errors():
    made = task()
    assert made.few_shot(None, 0).train is made.train
    with pytest.raises(ValueError, match="shots must be a whole number >= 1, got 0"):
        made.few_shot(0, 0)
    with pytest.raises(ValueError, match="9 shots, but no class has more than 8 image rows to draw from"):
        made.few_shot(9, 0)
    assert made.few_shot(3, 1) is made.few_shot(3, 1), "runs that share a subset share its memory"


def test_fixed_subsets():
    made = task()
    rows, val = np.array([0, 8, 16, 24, 32]), np.array([0, 5, 10, 15, 20])
    fixed = replace(made, subsets={(1, 0): (rows, val)})
    np.testing.assert_array_equal(fixed.few_shot(1, 0).train.features, made.train.features[rows])
    np.testing.assert_array_equal(fixed.few_shot(1, 0).val.labels, made.val.labels[val])
    assert fixed.few_shot(1, 1).fingerprint == made.few_shot(1, 1).fingerprint
    with pytest.raises(
        ValueError, match=r"tiny: subset \(1, 0\) \(shots, seed\): row numbers must lie in 0 to 39"
    ):
        replace(made, subsets={(1, 0): (np.array([40]), val)})


def test_every_row_is_as_likely_as_another():
    """Chi-square over 400 draws of 1 in 8, five classes; false-alarm probability 1e-4."""
    from scipy import stats

    made = task()
    place = {row.tobytes(): i for i, row in enumerate(made.train.features)}
    counts = np.zeros(40)
    for seed in range(400):
        for row in made.few_shot(1, seed).train.features:
            counts[place[row.tobytes()]] += 1
    statistic = ((counts - 50) ** 2 / 50).sum()
    assert statistic < stats.chi2.ppf(1 - 1e-4, 35)


def test_task_and_embeddings_say_what_is_wrong():
    rows = Embeddings(np.eye(4), [0, 1, 0, 1], "image")
    good = {"name": "t", "classes": ("a", "b"), "train": rows, "val": rows, "tests": {"test": rows}}
    cases = [
        ({"classes": ("a",)}, "at least two classes, got 1"),
        ({"tests": {}}, "no test set given"),
        ({"auxiliaries": {"image": rows}}, "'image' is the target and cannot be its own auxiliary"),
        (
            {"auxiliaries": {"text": Embeddings(np.eye(3), [0, 1, 2])}},
            "text: label 2 at row 2, but there are 2",
        ),
        ({"classes": ("a", "b", "c")}, r"image \(train\): 1 of 3 classes have no sample \('c'\)"),
        (
            {"tests": {"test": Embeddings(np.eye(3), [0, 1, 1])}},
            r"image \(test\): 3 features, but image \(train\) has 4",
        ),
        (
            {"auxiliaries": {"text": Embeddings(np.eye(2), [0, 1])}, "aligned": True},
            "text: 2 features, but image",
        ),
        ({"among": {"test": [0.5, 1]}}, "t: among: test: class must be a whole number >= 0, got 0.5"),
        ({"among": {"test": [-1, 1]}}, "t: among: test: class must be a whole number >= 0, got -1"),
        ({"among": {"test": [0, 2]}}, r"t: among: test: class 2, but there are 2 classes \(0 to 1\)"),
        ({"among": {"test": [0, 1, 1]}}, "t: among: test: a class is named twice"),
        ({"among": {"test": [1]}}, "t: among: test: at least two classes are needed, got 1"),
        (
            {
                "classes": ("a", "b", "c"),
                "train": Embeddings(np.eye(4), [0, 1, 2, 0]),
                "among": {"test": [1, 2]},
            },
            "t: among: test: label 0 at row 0 is not among these 2 classes; add it, or leave the row out",
        ),
    ]
    for change, message in cases:
        with pytest.raises(ValueError, match=message):
            Task(**(good | change))
    with pytest.raises(UnknownNameError, match="unknown modality 'text'"):
        Task(**good).only(["text"])
    with pytest.raises(
        UnknownNameError, match="unknown test set in among of 't': 'tset'; did you mean 'test'"
    ):
        Task(**good, among={"tset": [0, 1]})
    for features, labels, error, message in [
        ([[np.nan]], [0], ValueError, r"text: features: NaN at index \(0, 0\)"),
        ([[1.0]], [0, 1], ValueError, "1 rows of features need as many labels"),
        ([[1.0]], [0.5], TypeError, "labels must be whole numbers, got dtype float64"),
        ([[1.0]], [-1], ValueError, "label -1 at row 0; labels start at 0"),
        (np.zeros((0, 3)), np.zeros(0, int), ValueError, r"no features \(shape \(0, 3\)\)"),
        ([[1e300]], [0], ValueError, "too large for single precision"),
    ]:
        with pytest.raises(error, match=message):
            Embeddings(features, labels, "text")


def test_row_numbers_stay_whole_and_have_the_fingerprint_that_they_had_as_floats():
    numbers, labels = np.array([3, 2**24 - 1, 0]), [0, 1, 1]
    rows = Numbered(numbers, labels, "picture")
    assert (rows.dim, rows.features.dtype, rows.take([True, False, True]).features.tolist()) == (
        1,
        np.int64,
        [[3], [0]],
    )
    assert isinstance(rows.per_class(1, 2, 0), Numbered)
    floats = Embeddings(numbers[:, None].astype(np.float32), labels, "picture")
    assert FewShot(rows, rows).fingerprint == FewShot(floats, floats).fingerprint
    large = [Numbered([2**24 + more], [0]) for more in (0, 1)]  # equal as floats
    assert len({FewShot(rows, rows).fingerprint for rows in large}) == 2
    with pytest.raises(TypeError, match=r"picture: .* cannot be normalised"):
        rows.normalised()
    for wrong, error, message in [
        ([1.0], TypeError, "row numbers must be whole numbers, got dtype float64"),
        ([-1], ValueError, "row numbers must be >= 0"),
        ([[1, 2]], ValueError, r"shape \(n,\) or \(n, 1\), got \(1, 2\)"),
        (7, ValueError, r"got \(\)"),
        ([2**63], ValueError, "fit 64 bits"),
        (np.zeros(0, int), ValueError, "no features"),
    ]:
        with pytest.raises(error, match=message):
            Numbered(wrong, np.zeros(np.size(wrong), int))


def test_fingerprint_of_a_task_without_restriction_is_that_of_stored_results():
    """Written out anew: results of long studies are found again by it."""
    made = concepts(seed=0, n_classes=5, test_per_class=4)
    named = [made.name, list(made.classes), made.target, made.aligned]
    digest = hashlib.sha256(json.dumps(named).encode())
    for name, rows in [*made.tests.items(), ("auxiliary text", made.auxiliaries["text"])]:
        digest.update(f"{name} {rows.features.shape}".encode() + rows.features.tobytes())
        digest.update(rows.labels.tobytes())
    assert made.fingerprint == digest.hexdigest()[:16]
    assert replace(made, among={}).fingerprint == made.fingerprint


def test_restriction_is_part_of_the_task():
    made = concepts(seed=0, n_classes=5, test_per_class=4)
    few = made.tests["test"].take(np.isin(made.tests["test"].labels, [1, 3]))
    made = replace(made, tests={"test": made.tests["test"], "shifted": few, "more": few})
    some = [
        replace(made, among=among)
        for among in ({"shifted": [1, 3]}, {"shifted": [1, 2, 3]}, {"more": [1, 3]})
    ]
    assert len({task.fingerprint for task in (made, *some)}) == 4
    both = {"more": np.array([3, 1]), "shifted": (3, 1)}
    for written in (both, dict(reversed(both.items())), {name: [1, 3] for name in both}):
        assert replace(made, among=written).among == {"shifted": (1, 3), "more": (1, 3)}
        assert replace(made, among=written).fingerprint == replace(made, among=both).fingerprint
    assert some[0].normalised().only([]).among == {"shifted": (1, 3)}


def test_fingerprint_and_normalised():
    assert task().fingerprint == task().fingerprint
    assert task().fingerprint != task(1).fingerprint
    assert task().few_shot(1, 0).fingerprint != task().few_shot(1, 1).fingerprint
    scaled = task().normalised()
    np.testing.assert_allclose(np.linalg.norm(scaled.train.features, axis=1), 1, rtol=1e-6)
    assert (Embeddings(np.zeros((1, 2)), [0]).normalised().features == 0).all()
