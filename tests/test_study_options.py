"""The command line that studies share, devices, and what is a usage error."""

import argparse
from pathlib import Path

import pytest

from fisherkit.checks import UnknownNameError
from studies.lab.options import check_device, command_parser, usage_errors

ROOT = Path(__file__).resolve().parent.parent


def test_parser_defaults_are_a_full_run_into_the_project_folders():
    options = command_parser("A study.", seeds=8).parse_args([])
    assert vars(options) == {
        "quick": False,
        "seeds": None,
        "out": ROOT / "paper_figures",
        "runs": ROOT / "runs",
    }
    assert command_parser(None, seeds=8, device=True).parse_args([]).device == "cpu"


def test_options_that_a_study_does_not_read_are_refused(capsys):
    made = command_parser("A study without repetitions.")
    assert set(vars(made.parse_args([]))) == {"quick", "out"}
    for words in (["--seeds", "3"], ["--seed", "3"], ["--runs", "r"], ["--device", "cuda"]):
        with pytest.raises(SystemExit, match="2"):
            made.parse_args(words)
        assert "unrecognized arguments" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):  # no guessing from abbreviations
        command_parser("A study.", seeds=8).parse_args(["--seed", "3"])
    assert "unrecognized arguments: --seed" in capsys.readouterr().err


def test_a_quick_run_never_replaces_the_figures_of_a_full_one():
    made = command_parser("A study.", seeds=8)
    assert made.parse_args(["--quick"]).out == ROOT / "paper_figures" / "quick"
    for words in (["--quick", "--out", "here"], ["--out", "here", "--quick"]):
        assert made.parse_args(words).out == Path("here")
    assert made.parse_args([]).out == ROOT / "paper_figures"


def test_parser_reads_every_option_and_shows_the_docstring_as_it_is(capsys):
    made = command_parser("First line.\n\n    x   100% of it", seeds=8, device=True)
    words = ["--quick", "--seeds", "3", "--out", "o", "--runs", "r/s", "--device", "cuda:1"]
    assert vars(made.parse_args(words)) == {
        "quick": True,
        "seeds": 3,
        "out": Path("o"),
        "runs": Path("r/s"),
        "device": "cuda:1",
    }
    text = made.format_help()
    assert "First line.\n\n    x   100% of it" in text
    assert "(default 8)" in text
    with pytest.raises(SystemExit):
        command_parser(None, seeds=8).parse_args(["--device", "cuda"])
    assert "unrecognized arguments: --device" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        made.parse_args(["--seeds", "many"])
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_device_that_is_not_there_is_refused():
    for name in ("nowhere", "meta"):
        with pytest.raises(ValueError, match=f"--device {name}: "):
            check_device(name)


@pytest.mark.parametrize("error", [ValueError("--set: no"), FileNotFoundError(2, "gone", "a.npz")])
def test_what_a_check_says_is_a_usage_error(error, capsys):
    with pytest.raises(SystemExit) as status, usage_errors(argparse.ArgumentParser("study")):
        raise error
    assert status.value.code == 2
    assert capsys.readouterr().err.endswith(f"study: error: {error}\n")


def test_unknown_names_are_usage_errors_with_the_close_matches(capsys):
    with pytest.raises(SystemExit), usage_errors(argparse.ArgumentParser("study")):
        raise UnknownNameError("glyhps", ["glyphs"], "data set")
    assert "unknown data set 'glyhps'; did you mean 'glyphs'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [KeyError("seeds"), TypeError("float"), RuntimeError("shape"), AssertionError()]
)
def test_faults_of_the_program_are_no_usage_errors(error):
    with pytest.raises(type(error)), usage_errors(argparse.ArgumentParser("study")):
        raise error
