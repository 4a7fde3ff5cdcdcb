"""Shipped tables and intervals are what `contrast` says of the shipped rows; nothing is trained here."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neural.results.contrasts import by_key, contrast, means, paired
from neural.results.table import by_test, read_table

FIGURES = Path(__file__).resolve().parent.parent / "paper_figures"
FEWSHOT = ["glyphs", "concepts", "concepts_aligned-True", "digits"]
ENDS = (("", "estimate"), ("_low", "low"), ("_high", "high"))


def control_of(name):
    """Aligned encoders have no projection, so the plain head is the fair control."""
    return "unimodal" if "aligned-True" in name else "matched"


def shipped(name):
    """What is shipped of a study: rows per test set, lines of the table, summary."""
    lines = list(csv.DictReader((FIGURES / f"{name}_table.csv").read_text().splitlines()))
    return (
        by_test(read_table(FIGURES / f"{name}.csv")),
        lines,
        json.loads((FIGURES / f"{name}.json").read_text()),
    )


def differences(rows, control, by, **how):
    """{(arm, place): interval} of all arms against one."""
    return {
        (arm, place): gain
        for arm in set(rows["arm"]) - {control}
        for place, gain in by_key(contrast(rows, arm, control, by, **how), *by).items()
    }


def agree(line, name, interval):
    """A line of a shipped table has these ends, or none where there is nothing to compare; returns whether it has."""
    if not line[name]:
        assert interval is None, (line, name)
        return False
    for end, of in ENDS:
        assert float(line[name + end]) == pytest.approx(getattr(interval, of), abs=0.51e-4), line
    return True


def in_full(stored, interval):
    """An interval of a summary, with all its digits."""
    np.testing.assert_allclose(
        [stored[of] for _, of in ENDS], [getattr(interval, of) for _, of in ENDS], rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("task", FEWSHOT)
def test_few_shots(task):
    rows, lines, summary = shipped(f"image_text_fewshot_{task}")
    mean = by_key(means(rows, ["arm", "shots", "test"]), "arm", "shots", "test")
    gains = differences(rows, control_of(task), ["shots", "test"])
    assert len(lines) == len(mean)
    for line in lines:
        arm, place = line["arm"], (line["shots"], line["test"])
        agree(line, "accuracy", mean[arm, *place])
        agree(line, "minus_control", gains.get((arm, place)))
    for entry in summary["accuracy"]:
        in_full(entry["accuracy"], mean[entry["arm"], entry["shots"], entry["test"]])
        if "minus_control" in entry:
            in_full(entry["minus_control"], gains[entry["arm"], (entry["shots"], entry["test"])])
    cells = read_table(FIGURES / f"image_text_fewshot_{task}.csv")
    for entry in summary["looks"]:
        of_arm = cells[cells["arm"].eq(entry["arm"]) & cells["shots"].eq(entry["shots"])]
        in_full(entry["value"], by_key(means(of_arm, ["arm"], value=entry["what"]), "arm")[entry["arm"]])


def test_robustness():
    rows, lines, summary = shipped("robustness_glyphs")
    mean = by_key(means(rows, ["arm", "shots", "test"]), "arm", "shots", "test")
    to_control, to_plain = (differences(rows, arm, ["shots", "test"]) for arm in ("matched", "unimodal"))
    extra = {}
    for arm in set(rows["arm"]) - {"matched"}:
        gained = paired(rows, arm, "matched", by=["test", "shots"])
        for test in set(rows["test"]) - {"test"}:
            found = by_key(contrast(gained, test, "test", ["shots"], column="test"), "shots")
            extra |= {(arm, (shots, test)): interval for shots, interval in found.items()}
    counts = 0
    for line in lines:
        arm, place = line["arm"], (line["shots"], line["test"])
        agree(line, "accuracy", mean[arm, *place])
        agree(line, "minus_control", to_control.get((arm, place)))
        if arm != "matched":
            agree(line, "minus_unimodal", to_plain.get((arm, place)))
        counts += agree(line, "extra", extra.get((arm, place)))
    assert counts == 4 * 4 * len({line["shots"] for line in lines})
    for entry in summary["accuracy"]:
        if "extra" in entry:
            in_full(entry["extra"], extra[entry["arm"], (entry["shots"], entry["test"])])


def test_classifier_analysis():
    lines = list(csv.DictReader((FIGURES / "classifier_analysis_glyphs_table.csv").read_text().splitlines()))
    rows = read_table(FIGURES / "classifier_analysis_glyphs.csv")
    rows = rows[rows["what"].ne("plane")]
    mean = by_key(means(rows, ["arm", "what", "shots"], value="value"), "arm", "what", "shots")
    to_control, to_plain = (
        differences(rows, arm, ["what", "shots"], value="value") for arm in ("matched", "unimodal")
    )
    compared = 0
    for line in lines:
        if line["measure"] != "diagonal":
            arm, place = line["arm"], (line["measure"], line["shots"])
            agree(line, "value", mean[arm, *place])
            compared += agree(line, "minus_control", to_control.get((arm, place)))
            if arm != "matched":
                agree(line, "minus_unimodal", to_plain.get((arm, place)))
    assert compared == 4 * len(mean) // 5


def test_text_ablations():
    rows, lines, _ = shipped("text_ablations_glyphs")
    rows = rows[rows["test"].eq("test")]
    by = ["axis", "variant", "shots"]
    mean = by_key(means(rows, ["arm", *by]), "arm", *by)
    with_text = rows[rows["axis"].ne("baseline")]
    for line in lines:
        place = tuple(line[name] for name in by)
        agree(line, "accuracy", mean[line["arm"], *place])
        if line["arm"] in {"unimodal", "matched"}:
            assert not line["minus_control"]
            continue
        mine = with_text[with_text["arm"].isin([line["arm"], "matched"])]
        mine = mine[mine["axis"].eq(line["axis"]) & mine["variant"].eq(line["variant"])]
        agree(line, "minus_control", by_key(contrast(mine, line["arm"], "matched", by), *by)[place])


@pytest.mark.parametrize("task", ["glyphs", "concepts_aligned-True"])
def test_full_data(task):
    rows, lines, summary = shipped(f"full_data_{task}")
    rows = rows[rows["test"].eq("test")].assign(
        way=lambda r: r["arm"] + " " + r["ratio"].astype(str) + " " + r["unfrozen"].astype(str)
    )
    control = f"{control_of(task)} 1.0 False"
    mean = by_key(means(rows, ["part", "way"]), "part", "way")
    for line, entry in zip(lines, summary["rows"], strict=True):
        way = f"{line['arm']} {line['ratio']} {line['unfrozen']}"
        agree(line, "accuracy", mean[line["part"], way])
        gain = None
        if way != control:
            gain = by_key(
                contrast(rows[rows["part"].eq(line["part"])], way, control, column="way", by=["part"]), "part"
            )
            gain = gain[line["part"]]
            in_full(entry["minus_control"], gain)
        agree(line, "minus_control", gain)


@pytest.mark.parametrize("name", ["exchange_rate_glyphs", "exchange_rate_concepts_pair"])
def test_exchange_rate(name):
    rows, lines, _ = shipped(name)
    rows = rows[rows["test"].eq("test")]
    by = ["task", "encoders", "shots", "text_rows"]
    mean = by_key(means(rows, ["arm", *by]), "arm", *by)
    compared = 0
    for line in lines:
        place = line["task"], line["encoders"], line["shots"], int(line["text_rows"])
        agree(line, "accuracy", mean[line["arm"], *place])
        if not line["minus_control"]:
            continue
        # the control has no texts: it stands at zero of them
        here = rows[rows["task"].eq(place[0]) & rows["encoders"].eq(place[1]) & rows["shots"].eq(place[2])]
        plain = here[here["text_rows"].eq(0)]
        mine = here[here["arm"].eq(line["arm"]) & here["text_rows"].eq(place[3])]
        gain = contrast(pd.concat([mine, plain]), line["arm"], plain["arm"].iloc[0])
        compared += agree(line, "minus_control", by_key(gain.assign(of=0), "of")[0])
    assert compared
