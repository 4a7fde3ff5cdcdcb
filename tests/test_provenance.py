"""What made a summary: settings, versions, device, command, revision."""

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

from neural.results import provenance as origin
from neural.results.provenance import provenance

ROOT = Path(__file__).resolve().parent.parent


def test_command_in_provenance_has_no_folders(monkeypatch):
    monkeypatch.setattr(
        "sys.argv", ["a/study.py", "--quick", "--out", "x", "--seeds", "3", "--runs=y", "--device", "cpu"]
    )
    assert provenance(config={}, seconds=0.0)["command"] == "study.py --quick --seeds 3"


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
