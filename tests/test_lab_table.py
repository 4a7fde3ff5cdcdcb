"""The table of results against an oracle of plain loops and scipy's paired t test."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fisherkit.checks import UnknownNameError
from neural.results.contrasts import by_key, contrast, entries, means, paired
from neural.results.files import write_csv
from neural.results.table import by_test, read_table, table, write_table

ARMS = ("matched", "uml", "uml_init")


def results(seed, shots=("1", "16", "all"), tests=("test", "blur"), seeds=4):
    """Every arm, number of shots, test set and repetition, in a random order."""
    rng = np.random.default_rng(seed)
    rows = [
        {"arm": arm, "shots": k, "test": test, "seed": s, "accuracy": rng.normal(50, 10)}
        for arm in ARMS
        for k in shots
        for test in tests
        for s in range(seeds)
    ]
    return pd.DataFrame([rows[i] for i in rng.permutation(len(rows))])


def by_hand(rows, treated, control, shots, test):
    """One comparison by loops over all rows."""
    found = {}
    for row in rows.to_dict("records"):
        if (row["shots"], row["test"]) == (shots, test):
            found[row["arm"], row["seed"]] = row["accuracy"]
    seeds = sorted(seed for arm, seed in found if arm == treated)
    return [found[treated, s] for s in seeds], [found[control, s] for s in seeds]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 7))
def test_contrast_is_scipys_paired_t_test(seed, seeds):
    rows = results(seed, seeds=seeds)
    found = contrast(rows, "uml", "matched", by=["shots", "test"])
    assert len(found) == 6
    for line in found.to_dict("records"):
        a, b = by_hand(rows, "uml", "matched", line["shots"], line["test"])
        want = stats.ttest_rel(a, b)
        low, high = want.confidence_interval(0.95)
        assert line["n"] == seeds
        np.testing.assert_allclose(
            [line["estimate"], line["low"], line["high"], line["p"]],
            [np.mean(a) - np.mean(b), low, high, want.pvalue],
            rtol=1e-9,
            atol=1e-9,
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 7))
def test_ratios_are_differences_of_logarithms(seed, seeds):
    rows = results(seed, seeds=seeds).assign(accuracy=lambda t: np.exp(t["accuracy"] / 10))
    found = contrast(rows, "uml", "matched", by=["shots", "test"], ratio=True)
    for line in found.to_dict("records"):
        a, b = by_hand(rows, "uml", "matched", line["shots"], line["test"])
        want = stats.ttest_rel(np.log(a), np.log(b))
        ends = want.confidence_interval(0.95)
        np.testing.assert_allclose(
            [line["estimate"], line["low"], line["high"]],
            np.exp([np.mean(np.log(a)) - np.mean(np.log(b)), *ends]),
            rtol=1e-9,
        )
        np.testing.assert_allclose(line["p"], want.pvalue, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(seed, random):
    rows = results(seed)
    order = list(range(len(rows)))
    random.shuffle(order)
    mixed = rows.iloc[order]
    one, other = (
        by_key(contrast(some, "uml", "matched", by=["shots", "test"]), "shots", "test")
        for some in (rows, mixed)
    )
    assert one == other
    one, other = (
        by_key(means(some, ["arm", "shots", "test"]), "arm", "shots", "test") for some in (rows, mixed)
    )
    assert one == other
    by = {"shots": ["1", "16"], "arm": ARMS, "test": ["test"]}
    against = {"minus_control": "matched"}
    assert entries(mixed, by, against) == entries(rows, by, against)


def test_a_difference_of_differences_is_a_contrast_of_paired_rows():
    rows = results(3)
    gains = paired(rows, "uml", "matched", by=["test", "shots"])
    found = by_key(contrast(gains, "blur", "test", by=["shots"], column="test"), "shots")
    for shots, extra in found.items():
        (a, b), (c, d) = (np.array(by_hand(rows, "uml", "matched", shots, test)) for test in ("blur", "test"))
        want = stats.ttest_1samp((a - b) - (c - d), 0).confidence_interval(0.95)
        assert (extra.low, extra.high) == pytest.approx(tuple(want))


def test_entries_compare_with_baselines_in_their_order():
    found = entries(
        results(0),
        {"shots": ["all", "1", "4"], "arm": ["uml_init", "uml", "matched"], "test": ["blur"]},
        {"minus_control": "matched", "minus_uml": "uml", "minus_none": "unimodal"},
    )
    assert [(e["shots"], e["arm"]) for e in found] == [
        (k, arm) for k in ("all", "1") for arm in ("uml_init", "uml", "matched")
    ]
    assert [[name for name in e if name.startswith("minus")] for e in found[:3]] == [
        ["minus_control", "minus_uml"],
        ["minus_control"],
        [],
    ]


def test_missing_pair_names_the_cell():
    rows = results(0)
    hole = rows[
        rows["arm"].eq("matched") & rows["shots"].eq("16") & rows["test"].eq("blur") & rows["seed"].eq(2)
    ]
    message = r"shots 16, test blur, seed 2: arm 'uml' is there, but 'matched' is not.*compute that cell"
    with pytest.raises(ValueError, match=message):
        contrast(rows.drop(hole.index), "uml", "matched", by=["shots", "test"])
    with pytest.raises(ValueError, match=message):
        contrast(rows.drop(hole.index), "matched", "uml", by=["shots", "test"])


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
def test_what_is_not_finite_is_refused(value):
    rows = results(0)
    rows["accuracy"] = rows["accuracy"].astype(object)
    rows.loc[rows["arm"].eq("uml") & rows["shots"].eq("1") & rows["seed"].eq(3), "accuracy"] = value
    message = r"arm 'uml', shots 1, test (test|blur), seed 3: accuracy is (nan|inf), not finite; leave out"
    with pytest.raises(ValueError, match=message):
        contrast(rows, "uml", "matched", by=["shots", "test"])
    with pytest.raises(ValueError, match="not finite"):
        means(rows, ["arm", "shots", "test"])
    assert len(contrast(rows, "uml_init", "matched", by=["shots", "test"])) == 6, (
        "rows that are not asked about"
    )


def test_two_rows_for_one_place_are_refused():
    rows = results(0)
    with pytest.raises(ValueError, match=r"arm 'uml', shots .*, seed .: two rows for one place"):
        contrast(rows, "uml", "matched", by=["shots"])
    with pytest.raises(ValueError, match="two rows for one place"):
        means(pd.concat([rows, rows]), ["arm", "shots", "test"])


def test_unknown_names_come_with_close_ones():
    rows = results(0)
    with pytest.raises(UnknownNameError, match="unknown arm 'umll'; did you mean 'uml'"):
        contrast(rows, "umll", "matched", by=["shots", "test"])
    with pytest.raises(UnknownNameError, match="unknown column 'shot'; did you mean 'shots'"):
        contrast(rows, "uml", "matched", by=["shot", "test"])
    with pytest.raises(UnknownNameError, match="unknown column 'acuracy'; did you mean 'accuracy'"):
        means(rows, ["arm"], value="acuracy")


def test_one_repetition_has_no_interval():
    rows = results(0, seeds=1)
    with pytest.raises(
        ValueError, match=r"shots .*, test .*: accuracy: an interval needs at least two repetitions"
    ):
        contrast(rows, "uml", "matched", by=["shots", "test"])


def test_equal_differences_have_a_p_value():
    rows = pd.DataFrame({"arm": ["a", "a", "b", "b"], "seed": [0, 1, 0, 1], "accuracy": [1.0, 2.0, 1.0, 2.0]})
    assert contrast(rows, "a", "b")["p"].tolist() == [1.0]
    rows.loc[:1, "accuracy"] += 1
    assert contrast(rows, "a", "b")["p"].tolist() == [0.0]


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["plain", "a, b", 'said "so"', "", "größer", "two\nlines"]),
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_table_is_written_with_the_bytes_of_the_csv_module(tmp_path_factory, data):
    n = data.draw(st.integers(1, 5))
    rows = [{"seed": s} for s in range(n)]
    for column in range(data.draw(st.integers(0, 4))):
        kind = data.draw(st.sampled_from([bool, int, float, str]))
        strategy = CELLS.filter(lambda value, kind=kind: value is None or type(value) is kind)
        for row in rows:
            row[f"column {column}"] = data.draw(strategy)
    folder = tmp_path_factory.mktemp("tables")
    write_csv(folder / "rows.csv", rows)
    write_table(folder / "table.csv", table(rows))
    assert (folder / "table.csv").read_bytes() == (folder / "rows.csv").read_bytes()


def test_test_sets_become_rows_and_shots_stay_text(tmp_path):
    cells = table([
        {
            "arm": "uml",
            "shots": k,
            "seed": 0,
            "accuracy_test": 0.1,
            "accuracy_blur": None,
            "val_accuracy": 0.3,
        }
        for k in ("1", "16")
    ])
    write_table(tmp_path / "rows.csv", cells)
    read = by_test(read_table(tmp_path / "rows.csv"))
    assert read["shots"].tolist() == ["1", "16"] * 2
    assert read["val_accuracy"].tolist() == [0.3] * 4
    assert read[read["test"].eq("test")]["accuracy"].tolist() == [100 * 0.1] * 2
    assert read[read["test"].eq("blur")]["accuracy"].isna().all(), (
        "missing, not dropped: asking for it is refused"
    )
    assert len(list(csv.reader((tmp_path / "rows.csv").read_text().splitlines()))) == 3
    with pytest.raises(ValueError, match="no column accuracy_TEST among arm, seed"):
        by_test(cells[["arm", "seed"]])
