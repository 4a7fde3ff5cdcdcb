"""The transfer study: end to end in miniature, resumable, with verdicts that follow the intervals."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fisherkit.checks import UnknownNameError
from neural.results.cells import Cells
from neural.results.intervals import Interval
from studies.lab import transfer
from studies.lab.transfer import ARMS, PRESETS, Plan
from studies.language_to_vision import main, verdict
from tests.tiny_encoders import quiet, save_text

STEPS, LOOKS = 8, 2


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A tiny language model and three classes of pictures (dark, middle, light), as folders."""
    quiet()
    root = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 3), ("test", 4)):
        for label in range(3):
            folder = root / "shades" / part / f"shade {label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(80 * label, 80 * label + 60, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    save_text(root / "gpt2", "gpt2")
    options = [
        "--language",
        str(root / "gpt2"),
        "--images",
        str(root / "shades"),
        "--side",
        "16",
        "--patch",
        "8",
    ]
    training = [
        "--steps",
        str(STEPS),
        "--batch",
        "4",
        "--unfreeze-at",
        "3",
        "--seeds",
        "2",
        "--learning-rates",
        "1e-3",
    ]
    return [*options, *training, "--look-every", str(STEPS // LOOKS), "--save-every", "2"]


def places(folder):
    return ["--out", str(folder / "out"), "--runs", str(folder / "runs")]


@pytest.fixture(scope="module")
def finished(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return folder, main([*inputs, *places(folder)])


def test_study_writes_figure_rows_and_summary(finished):
    folder, summary = finished
    out = folder / "out"
    name = "language_to_vision_shades"
    assert {p.name for p in out.iterdir()} == {f"{name}{end}" for end in (".png", ".csv", ".md", ".json")}
    assert (out / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    rows = list(csv.DictReader((out / f"{name}.csv").read_text().splitlines()))
    assert len(rows) == len(ARMS) * 2 * LOOKS
    stored = json.loads((out / f"{name}.json").read_text())
    assert stored["provenance"]["cells_computed_now"] == len(ARMS) * 2
    assert stored["provenance"]["config"]["language"]["files"]
    assert len(stored["verdicts"]) == 2
    assert stored["verdicts"] == summary["verdicts"]
    assert not list((folder / "runs" / "language_to_vision").glob("*")), "no checkpoint is left behind"


def test_intervals_are_those_of_the_rows(finished):
    folder, summary = finished
    rows = list(csv.DictReader((folder / "out" / "language_to_vision_shades.csv").read_text().splitlines()))

    def at_the_end(arm):
        chosen = [r for r in rows if r["arm"] == arm and int(r["step"]) == STEPS]
        return np.array([
            100 * float(r["test_accuracy"]) for r in sorted(chosen, key=lambda r: int(r["seed"]))
        ])

    for entry in summary["differences"]:
        gap = at_the_end(entry["arm"]) - at_the_end(entry["control"])
        assert entry["end"].estimate == pytest.approx(gap.mean())
        half = 12.706204736 * gap.std(ddof=1) / 2**0.5  # Student's t, one degree of freedom
        assert entry["end"].high - entry["end"].estimate == pytest.approx(half)
    compared = {(d["arm"], d["control"]) for d in summary["differences"]}
    for mode in ("frozen", "unfrozen"):
        controls = ("scratch", *(f"{how}_{mode}" for how in ("scratch", "shuffled", "gaussian")))
        assert {(f"pretrained_{mode}", control) for control in controls} <= compared


def test_second_run_computes_nothing(inputs, finished, monkeypatch):
    folder, summary = finished
    monkeypatch.setattr(transfer, "run_cell", lambda *_, **__: pytest.fail("trained again"))
    again = main([*inputs, *places(folder)])
    assert again["curves"] == summary["curves"]


def test_killed_study_resumes_within_a_training(inputs, finished, tmp_path, monkeypatch):
    _, summary = finished
    real, steps = transfer.train, []

    def killed(*arguments, progress, **options):
        def count(done):
            steps.append(done)
            if len(steps) > 3 * STEPS + 5:
                raise KeyboardInterrupt
            progress(done)

        return real(*arguments, progress=count, **options)

    monkeypatch.setattr(transfer, "train", killed)
    monkeypatch.setattr(transfer, "usable_cores", lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        main([*inputs, *places(tmp_path)])
    monkeypatch.setattr(transfer, "train", real)
    assert len(Cells(tmp_path / "runs" / "language_to_vision.jsonl")) == 3
    assert len(list((tmp_path / "runs" / "language_to_vision").iterdir())) == 1
    again = main([*inputs, *places(tmp_path)])
    assert again["provenance"]["cells_computed_now"] == 2 * len(ARMS) - 3
    assert again["curves"] == summary["curves"], "to the same digits"


def test_learning_rate_is_chosen_by_validation(inputs, tmp_path):
    rates = ["--learning-rates", "1e-9", "1e-2", "--arms", "scratch"]
    summary = main([*inputs, *places(tmp_path), *rates])
    rows = list(csv.DictReader((tmp_path / "out" / "language_to_vision_shades.csv").read_text().splitlines()))
    assert list(summary["arms"]) == ["pretrained_unfrozen", "scratch"]
    assert len(summary["verdicts"]) == 1
    assert "the claim" in summary["verdicts"][0]
    for seed, chosen in enumerate(summary["learning_rates"]["scratch"]):
        ends = {
            float(r["learning_rate"]): float(r["val_accuracy"])
            for r in rows
            if (r["arm"], int(r["seed"]), int(r["step"])) == ("scratch", seed, STEPS)
        }
        assert ends[chosen] == max(ends.values())


def test_a_bad_loss_ends_the_study_with_the_reason(inputs, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([*inputs, *places(tmp_path), "--learning-rates", "1e30"])
    message = capsys.readouterr().err
    assert "not finite" in message or "the loss is nan" in message
    assert "batch of rows" in message
    assert "checkpoint" in message


def test_claim_never_comes_without_its_controls():
    plan = Plan({}, lambda seed: None, PRESETS["quick"], ("shuffled_frozen",))
    assert plan.arms == ("pretrained_frozen", "shuffled_frozen", "scratch")
    assert Plan({}, lambda seed: None, PRESETS["quick"]).arms == tuple(ARMS)
    with pytest.raises(
        UnknownNameError, match="unknown arm 'shuffeld_frozen'; did you mean 'shuffled_frozen'"
    ):
        Plan({}, lambda seed: None, PRESETS["quick"], ("shuffeld_frozen",))


def test_arms_differ_in_what_they_should():
    plan = Plan({}, lambda seed: None, PRESETS["paper"])
    unfreeze = {arm: plan.schedule(arm, 1e-4).unfreeze_at for arm in ARMS}
    assert {arm: when for arm, when in unfreeze.items() if when == 2000} == {
        f"{how}_unfrozen": 2000 for how in ("pretrained", "scratch", "shuffled", "gaussian")
    }
    assert unfreeze["scratch"] == 0
    assert all(unfreeze[arm] is None for arm in ARMS if arm.endswith("_frozen"))


UP, NONE, DOWN = Interval(5, 4, 6, 8), Interval(0.5, -1, 2, 8), Interval(-5, -6, -4, 8)


@pytest.mark.parametrize(
    ("scratch", "shuffled", "gaussian", "end"),
    [
        (UP, UP, UP, "the claim holds, and by more than the scale of the weights"),
        (
            UP,
            NONE,
            UP,
            "the claim holds, but these controls do not show that it is more than the scale of the weights",
        ),
        (
            UP,
            DOWN,
            NONE,
            "the claim holds, but these controls do not show that it is more than the scale of the weights",
        ),
        (NONE, UP, UP, "the claim is undecided here"),
        (DOWN, DOWN, DOWN, "the claim does not hold here"),
    ],
)
def test_verdict_follows_the_intervals(scratch, shuffled, gaussian, end):
    line = verdict("frozen", {"scratch": scratch, "shuffled_frozen": shuffled, "gaussian_frozen": gaussian})
    assert line.endswith(f": {end}")
    word = {UP: "beats", NONE: "shows no detectable difference from", DOWN: "loses to"}
    for gain, name in ((scratch, "training from scratch"), (shuffled, "shuffled"), (gaussian, "gaussian")):
        assert f"{word[gain]} {name} ({gain.estimate:+.1f}" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "nowhere"], "nowhere: no such file or folder"),
        (["--patch", "5"], "patch: 5 pixels do not divide a picture of 16"),
        (["--arms", "shuffled"], "unknown arm 'shuffled'; did you mean 'shuffled_frozen'"),
        (["--language", "bert-lage"], "unknown encoder 'bert-lage'; did you mean 'bert-large'"),
        (["--seeds", "1"], "--seeds: intervals need at least 2 paired repetitions, got 1"),
        (["--accumulate", "3"], "accumulate: 3 does not divide a batch of 4"),
        (["--device", "nowhere"], "nowhere"),
    ],
)
def test_command_line_says_what_is_wrong(inputs, capsys, tmp_path, arguments, message):
    with pytest.raises(SystemExit):
        main([*inputs, *places(tmp_path), *arguments])
    assert message in " ".join(capsys.readouterr().err.split())
