"""What every study needs: provenance, options, progress, devices, usage errors."""

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest

from fisherkit.checks import UnknownNameError
from neural.results import provenance as origin
from neural.results.parallel import progress_bar
from neural.results.provenance import provenance
from studies.lab.options import check_device, command_parser, usage_errors

ROOT = Path(__file__).resolve().parent.parent


def test_command_in_provenance_has_no_folders(monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["a/study.py", "--quick", "--out", "x", "--seeds", "3", "--runs=y", "--device", "cpu"]
    )
    assert provenance(config={}, seconds=0.0)["command"] == "study.py --quick --seeds 3"


# ---------------------------------------------------------------- provenance, options, progress


@pytest.fixture
def plain_git(tmp_path, monkeypatch):
    """Git as on a fresh machine, blind to repositories around the temporary folder."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.resolve().parent))
    monkeypatch.setattr(origin, "ROOT", tmp_path)

    def git(*arguments):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return git


def test_provenance_names_settings_versions_device_and_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/study.py", "--quick", "--seeds", "3"])
    got = provenance(config={"steps": 100}, seconds=12.34)
    assert got["command"] == "study.py --quick --seeds 3"
    assert got["config"] == {"steps": 100}
    assert got["wall_seconds"] == 12.3
    assert got["versions"]["numpy"] == np.__version__
    assert got["versions"]["matplotlib"] == mpl.__version__
    assert {"fisherkit", "scipy"} <= set(got["versions"])
    assert got["python"] == ".".join(map(str, sys.version_info[:3]))
    assert re.fullmatch(r"cpu \(\w+, \d+ cores\)", got["device"])
    assert json.loads(json.dumps(got)) == got, "plain enough for the summary file"


def test_provenance_leaves_out_packages_that_are_not_installed(monkeypatch):
    real = origin.metadata.version

    def version(package):
        if package == "torch":
            raise origin.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(origin.metadata, "version", version)
    versions = provenance(config={}, seconds=0.0)["versions"]
    assert "torch" not in versions
    assert {"numpy", "matplotlib"} <= set(versions)


def test_provenance_names_the_graphics_card(monkeypatch):
    cuda = SimpleNamespace(get_device_name=lambda device: f"Card behind {device}")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert provenance(config={}, seconds=0.0, device="cuda:1")["device"] == "cuda:1 (Card behind cuda:1)"


def test_revision_is_none_outside_a_repository(plain_git):
    assert provenance(config={}, seconds=0.0)["revision"] is None


def test_revision_is_none_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance(config={}, seconds=0.0)["revision"] is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_revision_is_the_commit_and_a_plus_says_that_files_differ(plain_git, tmp_path):
    plain_git("init", "--quiet")
    (tmp_path / "a.py").write_text("1\n")
    plain_git("add", "a.py")
    plain_git("commit", "--quiet", "--message", "one")
    head = plain_git("rev-parse", "HEAD")
    assert provenance(config={}, seconds=0.0)["revision"] == head
    (tmp_path / "a.py").write_text("2\n")
    assert provenance(config={}, seconds=0.0)["revision"] == head + "+"
    plain_git("add", "a.py")
    assert provenance(config={}, seconds=0.0)["revision"] == head + "+", "staged is changed too"


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


def test_progress_bar_counts_and_says_little_where_nobody_watches(capsys):
    with progress_bar(5000, " run-steps") as bar:
        for _ in range(2500):
            bar.update(2)
        assert bar.n == bar.total == 5000
        assert bar.mininterval >= 10, "seconds between lines of a log file"
    printed = capsys.readouterr()
    assert printed.out == ""
    assert " run-steps" in printed.err
    assert "100%" in printed.err
    assert len(re.split(r"[\r\n]+", printed.err.strip())) <= 4, "begin, end, hardly anything between"


def test_progress_bar_is_redrawn_soon_where_somebody_watches(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(10, " cells") as bar:
        bar.update(10)
        assert bar.mininterval <= 1
    assert "10.0/10.0" in terminal.getvalue()


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
