"""The command line that studies share, devices, and what is a usage error."""

import argparse
import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fisherkit.checks import UnknownNameError
from studies.lab.options import check_device, command_line, command_parser, run_study, usage_errors

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


def test_an_error_is_one_line(capsys):
    with pytest.raises(SystemExit) as status:
        command_parser("A study.", seeds=8, device=True).parse_args(["--nonsense"])
    assert status.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(
        r".+: error: unrecognized arguments: --nonsense \(.+ --help lists the options\)", line
    )


@pytest.mark.parametrize("option", ["--out", "--runs"])
def test_folders_that_cannot_be_written_are_refused_at_once(option, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("mine")
    parser = command_parser("A study.", seeds=8, device=True)
    for place in ("file", "file/below"):
        with pytest.raises(SystemExit), command_line(parser, [option, str(tmp_path / place)]):
            pytest.fail("the study has begun")
        assert (
            f"{option} {tmp_path / place}: {tmp_path / 'file'} is a file, and a folder is meant"
            in capsys.readouterr().err
        )
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(SystemExit), command_line(parser, [option, str(tmp_path / "a" / "b")]):
        pytest.fail("the study has begun")
    assert f"no right to write into {tmp_path}; choose another folder" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"], "nothing is made by looking"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (
            KeyboardInterrupt(),
            130,
            r".+: stopped; finished cells are kept, and the same command goes on from them",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.csv"),
            1,
            r".+: \[Errno 28\] No space left .*a\.csv'; finished",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "a.csv"),
            1,
            r".+Permission denied.+a\.csv'; finished",
        ),
    ],
)
def test_a_stop_and_a_full_disk_are_one_line(error, status, line, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        run_study(main)
    assert ended.value.code == status
    (said,) = capsys.readouterr().err.split("\n")[1:-1]
    assert re.match(line, said)


def test_ends_are_passed_on_and_faults_keep_their_traceback():
    for returned, status in (({"a": 1}, 0), (0, 0), (3, 3)):
        with pytest.raises(SystemExit) as ended:
            run_study(lambda returned=returned: returned)
        assert ended.value.code == status

    def fails():
        raise FileNotFoundError(errno.ENOENT, "gone", "x")

    with pytest.raises(FileNotFoundError):
        run_study(fails)


@pytest.mark.slow
def test_a_study_that_is_stopped_says_how_to_go_on(tmp_path):
    places = ["--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
    command = [
        sys.executable,
        str(ROOT / "studies" / "gaussian_recon.py"),
        "--quick",
        "--seeds",
        "2",
        *places,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cells = tmp_path / "runs" / "gaussian_recon.jsonl"
    until = time.monotonic() + 120
    while time.monotonic() < until and not (cells.exists() and cells.stat().st_size):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert told.rstrip().endswith("stopped; finished cells are kept, and the same command goes on from them")
