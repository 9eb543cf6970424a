"""Imports flow one way, torch stays out of what must be light, and importing the library changes nothing."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from harness.store.connection import open_store

PACKAGE = Path(__file__).resolve().parent.parent / "harness"
BASE = {"base", "attempt"}
STUDY = {*BASE, "plugins", "trial", "study"}
OF_TRAINING = {"layers", "data", "models", "cost", "tasks", "training"}
MAY_IMPORT = {
    "base": set(),
    "attempt": {"base"},
    "plugins": BASE,
    "trial": {*BASE, "plugins", "classical"},
    "study": {*BASE, "plugins", "trial", "stats"},
    "stats": BASE,
    "store": BASE,
    "interchange": {*STUDY, "store"},
    "layers": STUDY,
    "classical": set(),
    "models": {*STUDY, "layers", "classical"},
    "data": STUDY,
    "cost": {*STUDY, "models", "layers"},
    "tasks": {*STUDY, "cost", "models", "data", "layers"},
    "denoiser": {*STUDY, "tasks", "models", "data", "layers", "classical", "store", "cost"},
    "training": {*STUDY, "tasks", "cost", "models", "data", "layers"},
    "papers": set(),
    "report": {*STUDY, "store", "stats", "papers"},
    "execution": {*STUDY, *OF_TRAINING, "store", "report"},
    "search": {*STUDY, "execution", "store", "stats"},
    "testing": {*STUDY, "execution"},
    "bench": {*STUDY, *OF_TRAINING, "execution", "report", "store", "denoiser", "classical"},
    "deploy": {*STUDY, *OF_TRAINING, "execution", "store", "stats", "report", "bench", "denoiser"},
    "cli": {
        *STUDY,
        "execution",
        "search",
        "report",
        "stats",
        "bench",
        "store",
        "data",
        "cost",
        "models",
        "denoiser",
        "deploy",
        "interchange",
    },
}
OF_API = {
    *STUDY,
    "execution",
    "report",
    "store",
    "data",
    "denoiser",
    "api",
    "plot",
}  # harness/api.py and harness/plot.py, and harness/__init__ that gives their names
FOR_EVERYBODY = {"torchvision_compat"}
WITHOUT_TORCH = (
    "base",
    "attempt",
    "plugins",
    "trial",
    "study",
    "store",
    "interchange",
    "stats",
    "report",
    "search",
    "cli",
    "",
)
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


@cache
def _nodes(path):
    """Return all nodes of a file's code: it is read by several tests and parsed once."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def _is_module(path):
    return path.is_file()


@cache
def _imports(path):
    """Return (name, line) of everything that a file imports, wherever in it."""
    return tuple(_each_import(path))


def _each_import(path):
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            yield node.module, node.lineno
            folder = PACKAGE.parent.joinpath(*node.module.split("."))
            modules = (f"{node.module}.{alias.name}" for alias in node.names if _is_module(folder / f"{alias.name}.py"))
            yield from ((module, node.lineno) for module in modules)


def test_every_folder_has_its_place_in_the_order():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_flow_one_way(path):
    folder = path.relative_to(PACKAGE).parts[0]
    if folder.endswith(".py"):
        folder = ""
    allowed = FOR_EVERYBODY | MAY_IMPORT.get(folder, OF_API) | {folder}
    if path.name == "__main__.py":
        allowed |= {"cli"}
    for name, line in _imports(path):
        top, *rest = name.split(".")
        if top == "harness" and rest:
            assert rest[0] in allowed, f"{path}:{line}: '{folder}' may not import '{rest[0]}'"
        if top in {"torch", "torchvision"}:
            assert folder not in WITHOUT_TORCH or path.name == "torchvision_compat.py", (
                f"{path}:{line}: no torch in '{folder}'"
            )
        if top in {"sqlite_utils", "sqlite3"}:
            assert folder == "store", f"{path}:{line}: all SQL is in 'store'"
        if top == "click":
            assert folder == "cli", f"{path}:{line}: all of click is in 'cli'"


def _run_time_imports(path):
    """Yield the modules of ours that a file imports when it runs, wherever in it."""
    hidden = {
        id(inner)
        for node in _nodes(path)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in _nodes(path):
        if isinstance(node, ast.ImportFrom) and id(node) not in hidden:
            folder = PACKAGE.parent.joinpath(*node.module.split("."))
            for alias in node.names:
                inside = _is_module(folder / f"{alias.name}.py") or _is_module(folder / alias.name / "__init__.py")
                yield f"{node.module}.{alias.name}" if inside else node.module


def test_no_imports_go_round():
    graph = {}
    for path in MODULES:
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        graph[name] = {imported for imported in _run_time_imports(path) if imported.partition(".")[0] == PACKAGE.name}
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError


def _public(folder):
    """Return the modules that a folder's `__init__` says are there for others."""
    file = PACKAGE / folder / "__init__.py"
    tree = ast.parse(file.read_text(encoding="utf-8") if file.is_file() else "")
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["PUBLIC"]:
            return set(ast.literal_eval(node.value))
    return set()


def test_a_folder_says_which_of_its_modules_others_may_import():
    used = {folder: set() for folder in MAY_IMPORT}
    for path in MODULES:
        own = path.relative_to(PACKAGE).parts[0]
        for name, _ in _imports(path):
            top, folder, *module = [*name.split("."), "", ""][:3]
            if top == PACKAGE.name and folder in used and folder != own and module[0]:
                used[folder].add(module[0])
    assert {folder: modules - _public(folder) for folder, modules in used.items() if modules - _public(folder)} == {}
    assert {folder: _public(folder) - used[folder] for folder in used if _public(folder) - used[folder]} == {}


def test_a_file_holds_one_concept():
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in long.items() if lines > 500} == {}


SMALL = {
    "cli/streams.py": "what the terminal needs before any command is known",
    "data/mnist.py": "one dataset per file",
    "layers/maxout.py": "one compressor per file",
    "layers/width.py": "one compressor per file",
    "store/quick.py": "must run before anything imports sqlite-utils",
    "training/network.py": "imports torch, which its importer must not",
}
"""Files of under 40 lines that at most one other imports, and why they are no part of that one."""


def test_a_small_file_that_one_other_imports_is_a_part_of_it():
    importers = {_name(path): set() for path in MODULES}
    for path in MODULES:
        for name in {name for name, _ in _imports(path)} & importers.keys():
            importers[name].add(path)
    small = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if path.name[:2] != "__"
        and len(path.read_text(encoding="utf-8").splitlines()) < 40
        and len(importers[_name(path)]) <= 1
    }
    assert small == SMALL.keys()
    assert len(SMALL) <= 12


def _name(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def _modules_after(code):
    """Run code in a fresh process and return the names of the modules that it has imported."""
    listing = f"{code}\nimport sys; print('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize("module", ["harness", "harness.layers", "harness.classical", "harness.cli"])
def test_importing_does_not_wake_torch(module):
    assert not {"torch", "torchvision", "numpy", "pandas"} & _modules_after(f"import {module}")


def _command(*arguments):
    return f"from harness.cli import main\ntry:\n    main({list(arguments)!r})\nexcept SystemExit:\n    pass"


@pytest.mark.parametrize("words", ["", "run grid", "report tables", "results list", "model list", "doctor", "denoise"])
def test_help_does_not_import_torch(words):
    assert "torch" not in _modules_after(_command(*words.split(), "--help"))


def test_listing_results_imports_nothing_heavy(tmp_path):
    db = tmp_path / "h.db"
    open_store(db).close()
    heavy = {"torch", "numpy", "pandas", "pyarrow", "pydantic", "rich"}
    assert not heavy & _modules_after(_command("results", "list", "--db", str(db)))


def test_a_user_of_the_library_gets_sqlite_utils_as_it_is():
    assert "numpy" in _modules_after("import harness.store.connection")


def test_no_two_files_of_tests_have_one_name():
    """Their folders are no packages, so that pytest imports each by its name alone."""
    names = [path.name for path in (PACKAGE.parent / "tests").rglob("test_*.py")]
    assert {name for name in names if names.count(name) > 1} == set()
