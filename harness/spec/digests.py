"""Digests of code: what changes when a program does something else, and does not when only its words change.

A module's digest is taken from its syntax tree, without comments, docstrings and places; empty fields of the tree are
left out, so that it is the same on every version of Python. A set of modules is digested with everything that they
import from where they are: ours from `harness` (but for `harness.spec`, whose effect is in the configuration, and so in
the key), a plug-in from its own package or folder.
"""

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
DIGITS = 16
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

Finder = Callable[[str], Path | None]


def code_digest(modules: Iterable[str]) -> str:
    """Return the digest of modules of ours with what they import of ours: 16 hexadecimal digits."""
    return _digest_all(modules, _find_ours)


def plugin_digest(module: str, root: Path) -> str:
    """Return the digest of a plug-in's module with what it imports from `root`, the folder that it is imported from.

    A module of a package is followed within that package, a single file within its folder.
    """

    def find(name: str) -> Path | None:
        return find_module(name, root)

    return _digest_all([module], find)


def find_module(name: str, root: Path) -> Path | None:
    """Return the file of module `name` below the folder `root`, without importing anything."""
    base = root.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


_WITHOUT_EFFECT = frozenset(
    {
        "harness.data.acquire",
        "harness.data.locations",
        "harness.torchvision_compat",
        "harness.training.environment",
        "harness.training.tell",
    }
)
"""Modules that a training imports and that cannot change a number: where files lie, what is told and recorded."""


def _find_ours(name: str) -> Path | None:
    if not name.startswith("harness.") or name in _WITHOUT_EFFECT or f"{name}.".startswith("harness.spec."):
        return None
    return find_module(name, _PACKAGE.parent)


def _digest_all(modules: Iterable[str], find: Finder) -> str:
    """Follow imports from `modules` as far as `find` knows the names, and hash all trees in order of name."""
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        path = find(name)
        if name in found or path is None:
            continue
        stat = path.stat()
        digest, imports = _read(path, name, stat.st_mtime_ns, stat.st_size)
        found[name] = digest
        todo.extend(imports)
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(found.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


@lru_cache(maxsize=512)
def _read(path: Path, name: str, _mtime_ns: int, _size: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    is_package = path.name == "__init__.py"
    imports = tuple(_imports(tree, name if is_package else name.rpartition(".")[0]))
    return hashlib.sha256("".join(_dump(tree)).encode()).hexdigest(), imports


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield every name that may be a module that the tree imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".") if package else []
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            if origin:
                yield origin
            yield from (f"{origin}.{alias.name}" if origin else alias.name for alias in node.names)


def _dump(node: object) -> Iterator[str]:
    """Yield a tree as text, without docstrings, places, and fields that are empty or absent in some version."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in sorted(ast.iter_fields(node)):
            if name in {"type_comment", "ctx", "kind"}:
                continue
            if name == "body" and isinstance(node, _WITH_DOCSTRING):
                value = _without_docstring(value)  # noqa: PLW2901
            if value is None and not isinstance(node, ast.Constant):
                continue
            if isinstance(value, list) and not value:
                continue
            yield f" {name}="
            yield from _dump(value)
        yield ")"
    elif isinstance(node, list):
        for item in node:
            yield from _dump(item)
            yield ","
    else:
        yield repr(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body
