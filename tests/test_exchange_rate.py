"""The exchange study: end to end on small worlds, numbers in tables are those of the rows, verdicts follow the data."""

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from neural.fewshot.presets import Grid, Preset, resized
from neural.heads.runs import Schedule
from neural.results.intervals import Interval
from neural.results.table import table
from neural.worlds.concepts import concepts
from studies import exchange_rate
from studies.exchange_rate import main
from studies.lab import exchange_report
from studies.lab.exchange_report import report_of
from studies.lab.task_sources import make_task
from studies.lab.text_surface import ARM, PERMUTED, Plan, Surface, aligned_against

TINY = ["--dataset", "concepts", "--set", "n_classes=6", "rank=3", "test_per_class=10", "dims=32", "--quick"]
SMALL = Preset(
    seeds=4,
    shots=(1, 2, 4),
    schedule=Schedule(iterations=20, warmup=2, eval_every=10, patience=None),
    grid=Grid((1e-2,), (0.0,), (4,), (False,), (1.0,)),
)


def read_rows(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def only(folder, end):
    """The one output with that ending."""
    (found,) = (
        p for p in folder.iterdir() if p.name.endswith(end) and "_table" not in p.name.removesuffix(end)
    )
    return found


@pytest.fixture(scope="module")
def task():
    return concepts(seed=0, n_classes=5, test_per_class=10)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    options = ["--out", str(folder / "out"), "--runs", str(folder / "runs"), "--seeds", "2", "--pair"]
    return folder / "out", options, main([*TINY, *options])


def test_pair_writes_table_figure_rows_and_provenance(finished):
    out, _, summary = finished
    assert {p.suffix for p in out.iterdir()} == {".png", ".csv", ".md", ".json"}
    assert all(p.name.startswith("exchange_rate_concepts") for p in out.iterdir())
    assert only(out, ".png").read_bytes()[:4] == b"\x89PNG"
    stored = json.loads(only(out, ".json").read_text())
    rows = read_rows(only(out, ".csv"))
    assert stored["provenance"]["cells_computed_now"] == len(rows) == 2 * 2 * (2 + 2 * 3 + 2)
    assert [s["encoders"] for s in summary["surfaces"]] == ["unaligned", "aligned"]
    assert [s["control"] for s in summary["surfaces"]] == ["matched", "unimodal"]
    text = only(out, ".md").read_text()
    assert "aligned encoders need fewer texts per image" in text
    assert "lack of fit" in text
    assert "Differs from the paper's protocol" in text
    for entry in summary["surfaces"][0]["fits"]:
        assert "texts_per_image" in entry
        assert "words_per_image" not in entry, "concepts have no words"


def test_table_and_plane_agree_with_the_rows(finished):
    out, _, summary = finished
    rows = read_rows(only(out, ".csv"))

    def accuracies(kind, arm, shots, texts):
        wanted = (kind, arm, shots, texts)
        chosen = [r for r in rows if (r["encoders"], r["arm"], r["shots"], r["text_rows"]) == wanted]
        ordered = sorted(chosen, key=lambda r: int(r["seed"]))
        return 100 * np.array([float(r["accuracy_test"]) for r in ordered])

    table = read_rows(only(out, "_table.csv"))
    assert len(table) == 2 * (2 + 6 + 2)
    for line in table:
        kind, control = line["encoders"], {"unaligned": "matched", "aligned": "unimodal"}[line["encoders"]]
        mine = accuracies(kind, line["arm"], line["shots"], line["text_rows"])
        assert float(line["accuracy"]) == pytest.approx(mine.mean(), abs=1e-3)
        if line["arm"] != control:
            gap = mine - accuracies(kind, control, line["shots"], "0")
            assert float(line["minus_control"]) == pytest.approx(gap.mean(), abs=1e-3)
    # the plane by plain least squares, from the file
    part = [r for r in rows if r["encoders"] == "unaligned" and r["arm"] == ARM]
    design = np.array([[1, int(r["shots"]), int(r["text_rows"])] for r in part], dtype=float)
    slopes = np.linalg.lstsq(design, np.array([float(r["accuracy_test"]) for r in part]), rcond=None)[0]
    rate = summary["surfaces"][0]["fits"][0]["images_per_text"]["estimate"]
    assert rate == pytest.approx(slopes[2] / slopes[1], rel=1e-6)


def test_second_run_computes_nothing_and_says_the_same(finished):
    _, options, summary = finished
    again = main([*TINY, *options])
    assert again["provenance"]["cells_computed_now"] == 0
    assert again["surfaces"][0]["fits"] == summary["surfaces"][0]["fits"]
    assert again["verdicts"] == summary["verdicts"]


def planted(plan, accuracy, gain=5.0, permuted=0.0):
    """Accuracies that are known: a plane, or one that saturates, with noise of a tenth of a point."""
    rows = []
    for arm, shots, texts in plan.points():
        noise = np.random.default_rng([shots, texts, len(arm)]).normal(0, 0.1, plan.preset.seeds)
        if arm == PERMUTED:
            values = accuracy(shots, 0) + permuted + noise
        else:
            values = accuracy(shots, texts) + gain * (texts > 0) + noise
        place = {"arm": arm, "shots": shots, "text_rows": texts}
        rows += [place | {"seed": seed, "accuracy_test": value / 100} for seed, value in enumerate(values)]
    return Surface(plan, table(rows), 50)


def flat(k, t):
    return 30 + 2 * k + 0.5 * t


def bent(k, t):
    return 90 - 60 * (k + 0.2 * t + 1) ** -0.7


def test_planted_plane_is_found_and_not_rejected(task):
    """The lack-of-fit test of a right plane rejects with probability 0.05; the noise is fixed by its seeds."""
    plan = Plan(task, SMALL, words=10.0)
    surface = planted(plan, flat)
    fit = surface.fits["plane", False]
    assert fit.rate.estimate == pytest.approx(0.25, rel=0.1)
    assert fit.rate.low < 0.25 < fit.rate.high
    assert not fit.test.rejected
    text = report_of([surface])
    (entry, *_) = text.summary["surfaces"][0]["fits"]
    assert entry["texts_per_image"]["estimate"] == pytest.approx(1 / fit.rate.estimate)
    words = entry["words_per_image"]
    assert words["estimate"] == pytest.approx(10 / fit.rate.estimate)
    assert words["low"] < words["estimate"] < words["high"]
    assert "A text has 10.00 words on average." in text.markdown
    assert "gains at 1, 2, 4 shots" in text.markdown


def test_saturating_accuracies_are_no_plane_but_a_power_law(task):
    surface = planted(Plan(task, resized(SMALL, seeds=6, shots=(1, 2, 4, 8, 16))), bent, gain=0.0)
    plane, law = surface.fits["plane", False], surface.fits["power law", True]
    assert plane.test.rejected
    assert law.rate.estimate == pytest.approx(0.2, rel=0.1)
    (verdict, *_) = report_of([surface]).summary["surfaces"][0]["verdicts"]
    assert "plane is a bad description" in verdict


def test_a_planes_price_depends_on_the_counts_where_accuracies_bend(task):
    plan = Plan(task, resized(SMALL, seeds=None, shots=(1, 2, 4, 8, 16)))
    surface = planted(plan, lambda k, t: 30 + 10 * np.log2(k) + 2 * t, gain=0.0)
    verdicts = report_of([surface]).summary["surfaces"][0]["verdicts"]
    line = next(v for v in verdicts if v.startswith("plane over part of the images"))
    few, many = (float(part.split()[-1]) for part in line.split(": ")[1].split("; "))
    # slopes of 10 log2(k) over 1, 2, 4 and over 4, 8, 16, divided by 2
    assert few == pytest.approx(np.polyfit([1, 2, 4], [0, 10, 20], 1)[0] / 2, rel=0.05)
    assert many == pytest.approx(np.polyfit([4, 8, 16], [20, 30, 40], 1)[0] / 2, rel=0.05)


@pytest.mark.parametrize(
    ("rates", "claim"), [((0.5, 0.1), "holds"), ((0.1, 0.5), "fails"), ((0.25, 0.25), "is undecided")]
)
def test_claim_about_aligned_encoders_follows_the_rates(task, rates, claim):
    plan = Plan(task, SMALL)
    one, other = (planted(plan, lambda k, t, r=r: 30 + 2 * (k + r * t)) for r in rates)
    found = aligned_against(one, other)
    assert found[0]["claim"] == claim
    assert found[0]["difference_of_rates"].estimate == pytest.approx(rates[0] - rates[1], abs=0.03)
    verdict = report_of([other, one]).summary["verdicts"][0]
    assert verdict.startswith(f"aligned encoders need fewer texts per image: {claim} (plane")


@pytest.mark.parametrize(
    ("gain", "permuted", "words"),
    [
        (5.0, 0.0, "gains at 1, 2, 4"),
        (-9.0, 0.0, "loses at 1, 2, 4"),
        (5.0, 5.0, "gains, but permuted labels gain, at 1, 2, 4"),
    ],
)
def test_verdict_against_the_control(task, gain, permuted, words):
    surface = planted(Plan(task, SMALL), flat, gain=gain, permuted=permuted)
    assert report_of([surface]).summary["surfaces"][0]["verdicts"][-1].endswith(f": {words} shots")


def test_texts_that_are_worth_nothing_have_no_price(task):
    surface = planted(Plan(task, SMALL), lambda k, t: 30 + 2 * k - t)
    (entry, *_) = report_of([surface]).summary["surfaces"][0]["fits"]
    assert entry["texts_per_image"]["estimate"] is None
    json.dumps(entry, allow_nan=False)
    assert "1 image = inf texts" in report_of([surface]).summary["surfaces"][0]["verdicts"][0]


def test_published_words_only_for_the_papers_data_and_encoders():
    def words(name, **encoders):
        return exchange_report._published(SimpleNamespace(name=name, encoders=encoders))

    assert words("oxford_pets", image="dinov2-s14", text="openllama-3b") == 1034
    assert words("oxford_pets", image="clip-rn50", text="clip-rn50") == 228
    assert words("oxford_pets", image="dinov2-b14", text="openllama-3b") is None
    assert words("concepts") is None


def fit(name, p, low, words=None):
    rate = (
        {"estimate": None, "low": None, "high": None}
        if words is None
        else {"estimate": words, "low": words / 2, "high": None}
    )
    return {
        "fit": name,
        "images_per_text": {"estimate": 0.1, "low": low, "high": 0.2},
        "texts_per_image": rate,
        "lack_of_fit": {"p": p, "verdict": "so"},
    }


def one_surface(encoders, **numbers):
    names = ("plane, without the control", "plane, with the control", "power law, without the control")
    return {
        "surfaces": [{"task": "mine", "encoders": encoders, "fits": [fit(name, **numbers) for name in names]}]
    }


@pytest.mark.parametrize(
    ("p", "low", "verdict"), [(0.5, 0.05, "holds"), (1e-9, 0.05, "in part"), (0.5, -0.05, "undecided")]
)
def test_verdicts_of_exchange_rates(p, low, verdict):
    summary = one_surface("unaligned", p=p, low=low, words=1234.5)
    found = exchange_rate._findings(summary)["Figure", 9]
    assert found.verdict == verdict
    assert "1 image = 1,234 texts [617, no limit]" in found.ours
    gap = {"fit": "plane", "difference_of_rates": Interval(0.1, 0.0, 0.2, 50)}
    pair = one_surface("aligned", p=p, low=low, words=1234.5)
    pair["aligned_against_unaligned"] = [gap | {"claim": "fails"}, gap | {"claim": "is undecided"}]
    finding = exchange_rate._findings(pair)["Figure", 8]
    assert finding.verdict == "fails in part"
    assert [one.verdict for one in finding.evidence] == ["fails", "undecided"]


def test_exchange_rates_that_are_not_there_are_said():
    found = exchange_rate._findings(one_surface("unaligned", p=0.5, low=-0.1))
    assert "text has no measurable worth" in found["Figure", 9].ours


def test_findings_are_about_the_figures_of_the_data_set_or_of_such_encoders():
    summary = one_surface("unaligned", p=0.5, low=0.1)
    assert {number for _, number in exchange_rate._findings(summary)} == {9, *range(14, 22)}
    summary["surfaces"][0]["encoders"] = "aligned"
    assert {number for _, number in exchange_rate._findings(summary)} == {8, *range(22, 30)}
    summary["surfaces"][0]["task"] = "oxford_pets"
    assert {number for _, number in exchange_rate._findings(summary)} == {8, 9}


def test_counts_are_means_where_classes_have_fewer_rows(task):
    plan = Plan(task, SMALL, (1, 2))
    assert (plan.images(4), plan.texts(2)) == (4.0, 2.0)
    uneven = task.auxiliaries["text"].take(np.r_[0, 32:160])  # one text of the first class
    fewer = Plan(replace(task, auxiliaries={"text": uneven}), SMALL, (1, 2))
    assert fewer.texts(2) == pytest.approx((1 + 4 * 2) / 5)
    control = plan.cell("matched", 1, 0, 0)
    assert control.auxiliary_rows is None
    assert plan.cell(ARM, 1, 2, 0).auxiliary_rows == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*TINY, "--shots", "1", "all"], "--shots all: an exchange rate counts rows per class"),
        ([*TINY, "--text-rows", "1", "40"], "--text-rows 40: no class has more than 32 text rows"),
        ([*TINY, "--text-rows", "2"], "--text-rows: a slope needs at least two different counts, got 1"),
        ([*TINY, "--text-rows", "1", "2"], "2 x 2 pairs of counts are too few"),
        ([*TINY, "--text-rows", "0", "2", "4"], "--text-rows must be a whole number >= 1, got 0"),
        ([*TINY, "--seeds", "1"], "--seeds: intervals need at least 2"),
        ([*TINY, "--words-per-text", "-1"], "--words-per-text: must be positive and finite, got -1"),
        ([*TINY, "--logit-scale", "0"], "--logit-scale: must be positive and finite, got 0"),
        (["--dataset", "digits", "--pair"], "--pair: concepts have an aligned counterpart"),
        (["--dataset", "glyhps"], "did you mean 'glyphs'"),
        ([*TINY, "auxiliaries=('text', 'sound')"], "text, sound, and an exchange rate is between two"),
    ],
)
def test_command_line_says_what_is_wrong(capsys, tmp_path, arguments, message):
    if arguments[-1].startswith("auxiliaries"):
        arguments = [*arguments[:-1], "--set", arguments[-1]]
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path), "--runs", str(tmp_path)])
    assert message in capsys.readouterr().err


def test_pair_differs_in_the_encoders_alone():
    plain, aligned = (
        make_task("concepts", {"n_classes": 4, "dims": 96, "aligned": value}, seed=0, cache=None)
        for value in (False, True)
    )
    assert plain.dims == aligned.dims == {"image": 96, "text": 96}
