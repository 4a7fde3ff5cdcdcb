"""Who may import whom: studies -> neural -> fisherkit, no circle, nothing on benchmarks, `lab` on no command."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("fisherkit", "neural", "studies", "benchmarks")
#: What modules of a package may import of this project.
ALLOWED = {
    "fisherkit": {"fisherkit"},
    "neural": {"neural", "fisherkit"},
    "studies": {"studies", "neural", "fisherkit"},
    "benchmarks": {"benchmarks", "studies", "neural", "fisherkit"},
}


def module_of(path, root=ROOT):
    """Dotted name of a file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root=ROOT):
    """{module: file} of all packages."""
    found = (path for package in PACKAGES for path in (root / package).rglob("*.py"))
    return {module_of(path, root): path for path in found}


def imports(path, known, *, at_import_time=False):
    """Modules of the project that a file imports: anywhere, or only those that run when it is imported."""
    skipped = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

    def nodes(parent):
        for node in ast.iter_child_nodes(parent):
            if at_import_time and (isinstance(node, skipped) or for_types(node)):
                continue
            yield node
            yield from nodes(node)

    found = set()
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in whole}
    return found & known


def for_types(node):
    """Whether a statement is an ``if TYPE_CHECKING`` block."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def arrows(root=ROOT, **options):
    """{module: modules that it imports}."""
    known = modules(root)
    return {name: imports(path, set(known), **options) - {name} for name, path in known.items()}


def wrong_arrows(graph):
    """Imports that go where they may not, in words."""
    wrong = []
    for name, targets in graph.items():
        package = name.split(".")[0]
        for target in sorted(targets):
            if target.split(".")[0] not in ALLOWED[package]:
                wrong.append(f"{name} imports {target}")
            if name.startswith("studies.lab.") and is_command(target):
                wrong.append(f"{name} imports {target}, a command")
            if is_command(name) and is_command(target):
                wrong.append(f"{name} imports {target}, another command")
    return wrong


def is_command(module):
    """Whether a module of studies is run by itself."""
    return module.startswith("studies.") and module.split(".")[1] not in {"lab", "paper", "published"}


def circle(graph):
    """The modules of a circle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_imports_go_one_way():
    assert wrong_arrows(arrows()) == []


def test_no_module_waits_for_itself():
    assert circle(arrows(at_import_time=True)) == []


@pytest.mark.parametrize("package", ["neural", "studies"])
def test_rooms_form_no_circle(package):
    """A room is a folder; a package's own files at the top count one by one."""
    rooms = {}
    for name, targets in arrows(at_import_time=True).items():
        if name.startswith(f"{package}."):
            rooms.setdefault(room(name), set()).update(
                room(t) for t in targets if t.startswith(f"{package}.") and room(t) != room(name)
            )
    assert circle(rooms) == []


def room(module):
    """The first two parts of a module's name."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize(
    ("file", "text", "fault"),
    [
        ("fisherkit/a.py", "import neural.b", "fisherkit.a imports neural.b"),
        ("neural/b.py", "def f():\n    from studies import c", "neural.b imports studies.c"),
        ("studies/c.py", "import benchmarks.d", "studies.c imports benchmarks.d"),
        ("studies/lab/e.py", "from studies.c import main", "studies.lab.e imports studies.c, a command"),
        ("studies/f.py", "from studies.c import main", "studies.f imports studies.c, another command"),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path, file, text, fault):
    for name in ("fisherkit/a.py", "neural/b.py", "studies/c.py", "benchmarks/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert wrong_arrows(arrows(tmp_path)) == [fault]


def test_a_circle_is_found(tmp_path):
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    (tmp_path / "neural/a.py").write_text("import neural.b")
    (tmp_path / "neural/b.py").write_text("from neural import a")
    assert set(circle(arrows(tmp_path, at_import_time=True))) == {"neural.a", "neural.b"}
    (tmp_path / "neural/b.py").write_text("def f():\n    import neural.a")
    assert circle(arrows(tmp_path, at_import_time=True)) == []
