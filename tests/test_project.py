"""The project as a newcomer meets it: imports, README, Makefile, pins, licence, citation, module sizes."""

import ast
import doctest
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fisherkit as fk

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PUBLIC = sorted(n for n in vars(fk) if not n.startswith("_") and not isinstance(getattr(fk, n), type(fk)))
HEAVY = (
    "torch",
    "matplotlib",
    "cvxpy",
    "sympy",
    "sklearn",
    "pandas",
    "seaborn",
    "transformers",
    "statsmodels",
)


def read(name):
    return (ROOT / name).read_text()


def sources(*folders):
    return [p for folder in folders for p in sorted((ROOT / folder).rglob("*.py"))]


def test_import_stays_light():
    code = f"import sys, fisherkit; print([m for m in {HEAVY!r} if m in sys.modules])"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert finished.stdout.strip() == "[]"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_documented(name):
    thing = getattr(fk, name)
    assert thing.__doc__
    if not isinstance(thing, type):
        assert ">>>" in thing.__doc__ or "Args:" in thing.__doc__, "say what it takes, or show it"


def test_public_names_are_explicit_re_exports():
    imports = [
        node for node in ast.parse(read("fisherkit/__init__.py")).body if isinstance(node, ast.ImportFrom)
    ]
    aliases = [alias for node in imports for alias in node.names]
    assert all(alias.name == alias.asname for alias in aliases)
    assert {alias.name for alias in aliases} == set(PUBLIC)


@pytest.mark.parametrize(
    "path", sources("fisherkit", "neural", "studies", "benchmarks"), ids=lambda p: p.stem
)
def test_module_is_of_natural_size(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 400
    assert not lines or ast.get_docstring(ast.parse(path.read_text()))
    assert path.name not in {"utils.py", "helpers.py", "misc.py"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_folders_import_in_one_direction_only():
    allowed = {"fisherkit": {"fisherkit"}, "neural": {"fisherkit", "neural"}}
    for folder, reachable in allowed.items():
        for path in sources(folder):
            tops = {name.split(".")[0] for name in imported(path)}
            assert not tops & ({"fisherkit", "neural", "studies", "tests", "benchmarks"} - reachable), path


def test_readme_is_short_and_its_example_is_checked():
    text = read("README.md")
    assert len(text.splitlines()) < 110
    examples = doctest.DocTestParser().get_examples(text)
    assert any(example.want for example in examples)
    assert sum(len(example.source.splitlines()) for example in examples) <= 15
    pytest_options = tomllib.loads(read("pyproject.toml"))["tool"]["pytest"]["ini_options"]
    assert "README.md" in pytest_options["testpaths"]
    assert "--doctest-glob=README.md" in pytest_options["addopts"]
    assert "make demo" in text
    assert "make test" in text


def local_links(text):
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            yield target.split("#")[0]


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "paper_figures/README.md"])
def test_links_lead_somewhere(page):
    if not (ROOT / page).exists():
        pytest.skip(f"{page} is not there")
    for target in local_links(read(page)):
        assert ((ROOT / page).parent / target).exists(), target


def test_figure_list_names_existing_files():
    page = ROOT / "paper_figures" / "README.md"
    if not page.exists():
        pytest.skip("no figure list yet")
    named = re.findall(r"[\w./-]+\.(?:py|png|csv|json|pdf|svg)\b", page.read_text())
    for name in set(named):
        assert (ROOT / name).exists() or (page.parent / name).exists(), name


def makefile_targets():
    phony = re.search(r"^\.PHONY:(.*)$", read("Makefile"), re.MULTILINE)
    return phony[1].split()


def test_makefile_has_the_promised_targets():
    assert {"demo", "test", "lint", "bench", "figures", "help"} <= set(makefile_targets())


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("goal", [[], ["help"]], ids=["default", "help"])
def test_make_lists_every_target(goal):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    finished = subprocess.run(
        ["make", *goal], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    listed = re.findall(r"^  make (\w+) +\S", finished.stdout, re.MULTILINE)
    assert listed == makefile_targets()


def test_ci_runs_the_documented_commands():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert "set -euo pipefail" in text
    assert "\nmake test" in text
    assert "\nmake lint" in text
    if shutil.which("bash"):
        subprocess.run(["bash", "-n", str(script)], check=True)


def pins():
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in lines), (
        "name==version, no local versions"
    )
    return dict(line.split("==") for line in lines)


def test_constraints_pin_what_the_project_asks_for():
    pinned = pins()
    asked = [
        *PROJECT["dependencies"],
        *(r for extra in PROJECT["optional-dependencies"].values() for r in extra),
    ]
    for line in asked:
        requirement = Requirement(line)
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{line} against the pin {version}"
    assert not [name for name in pinned if re.match(r"nvidia|triton|cuda", name)], "valid on every platform"


@pytest.mark.parametrize("name", ["Makefile", ".ci/run", "constraints.txt", "pyproject.toml", "README.md"])
def test_no_machine_is_assumed(name):
    assert not re.search(
        r"(?<![\w.])/(tmp|work|home|opt|usr/local)\b|index-url|find-links|https?://[^ ]*simple", read(name)
    )


def test_licence_and_citation_agree_with_the_package():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert citation["preferred-citation"]["year"] == 2025
    assert read("LICENSE").startswith("MIT License\n\nCopyright (c) ")


def test_changelog_starts_with_this_version():
    versions = re.findall(r"^## \[([^\]]+)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] in {PROJECT["version"], "Unreleased"}
    assert PROJECT["version"] in versions
