"""Digests of code: what changes when a program does something else, and does not when only its words change.

A module's digest is taken from its syntax tree, without comments, docstrings and places. What differs between versions
of Python is left out or written alike: empty fields, empty pieces of f-strings, and characters that one version prints
and an older one escapes. A set of modules is digested with everything that they import from where they are: ours from
`harness` (but for the packages of `_IN_THE_KEY`, whose effect is in the configuration), a plug-in from its own
package or folder, and never ours. A plug-in's imports also run the `__init__` of each package that they lead through.

Our own modules may move: an import of ours counts as the names that it brings and the contents of the module that they
come from, in no order, and the digests of modules are joined without their names. A plug-in's digest, which is part of
trial keys, keeps the names.
"""

import ast
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unicodedata import ucd_3_2_0

PACKAGE = Path(__file__).resolve().parent.parent
DIGITS = 16
DOT = "%2E"
"""A dot in the name of a file, if it is a module's name."""
INSTALLED = frozenset({"site-packages", "dist-packages"})
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

Finder = Callable[[str], Path | None]


def code_digest(modules: Iterable[str], without: Collection[str] = ()) -> str:
    """Return the digest of modules of ours with what they import of ours, but `without` some: 16 hexadecimal digits.

    It depends on what the modules hold, not on what they are called or where they lie.
    """

    def find(name: str) -> Path | None:
        return None if name in without else _find_ours(name)

    contents = {_content(source, find) for source in _follow_ours(modules, find).values() if source != _EMPTY}
    return hashlib.sha256("\n".join(sorted(contents)).encode()).hexdigest()[:DIGITS]


def plugin_digest(module: str, root: Path) -> str:
    """Return the digest of a plug-in's module with what it imports from `root`, the folder that it is imported from.

    A module of a package is followed within that package (whose `__init__` files count too), a single file within its
    folder, but not among installed packages.
    """
    return _hash(plugin_modules(module, root))


def chosen_digest(module: str, find: Finder) -> str:
    """Return the digest of a module with what it imports, as far as `find` knows the files of these names."""
    return _hash(_follow([module], find))


def plugin_modules(module: str, root: Path) -> dict[str, str]:
    """Return the modules of which `plugin_digest` is made: the digest of each by its name."""
    return _follow(_with_parents(module), _within(module, root), packages=_packages)


def plugin_imports(module: str, root: Path) -> frozenset[str]:
    """Return every name that a plug-in's modules import, or may: "torch", "torch.nn", "numpy.random.default_rng"."""
    find = _within(module, root)
    files = {name: find(name) for name in plugin_modules(module, root)}
    return frozenset(name for part, file in files.items() if file for name in _read_file(file, part)[1])


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _within(module: str, root: Path) -> Finder:
    """Return how to find what belongs to a plug-in: nothing of ours, and nothing that is merely installed beside it."""
    top = module.partition(".")[0]
    alone = "." in module or not _file(top, root).is_file() or root.name in INSTALLED

    def find(name: str) -> Path | None:
        own = name.partition(".")[0]
        if own == PACKAGE.name or (alone and own != top):
            return None
        return find_module(name, root)

    return find


def find_module(name: str, root: Path) -> Path | None:
    """Return the file of module `name` below the folder `root`, without importing anything."""
    file = _file(name, root)
    for candidate in (file, file.with_suffix("") / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def module_name(file: str) -> str:
    """Return what the module of a file `NAME.py` is called; a dot in the name (train.v2.py) leads into no package."""
    return file.removesuffix(".py").replace(".", DOT)


def _file(name: str, root: Path) -> Path:
    *packages, last = (part.replace(DOT, ".") for part in name.split("."))
    return root.joinpath(*packages, f"{last}.py")


_WITHOUT_EFFECT = frozenset(
    {
        "harness.data.acquire",
        "harness.data.locations",
        "harness.torchvision_compat",
        "harness.training.environment",
        "harness.training.progress_file",
    }
)
"""Modules that a training imports and that cannot change a number: where files lie, what is told and recorded."""


_IN_THE_KEY = frozenset({"base", "attempt", "plugins", "trial", "study"})
"""Packages whose effect on a result is in the configuration, and so in the key."""


def _find_ours(name: str) -> Path | None:
    top, _, rest = name.partition(".")
    if top != PACKAGE.name or not rest or name in _WITHOUT_EFFECT or rest.partition(".")[0] in _IN_THE_KEY:
        return None
    return find_module(name, PACKAGE.parent)


@dataclass(frozen=True)
class _Source:
    """A module of ours as its digest sees it.

    `text` is its tree without its imports of ours, with a marker in place of each name of a module of ours.
    `brought` are its imports of ours: module, name in it ("" for the module itself), name here.
    """

    text: str
    brought: tuple[tuple[str, str, str], ...]

    def digest(self, identity: Callable[[str], str]) -> str:
        """Return the module's digest, given what stands for each module that it imports from."""
        text = _MARKER.sub(lambda marker: identity(marker[1]), self.text)
        names = sorted(f"{identity(module)} {name} {here if name else ''}" for module, name, here in self.brought)
        return hashlib.sha256("\n".join([text, *names]).encode()).hexdigest()


_MARKER = re.compile(r"<module ([\w.]+)>")


def _follow_ours(modules: Iterable[str], find: Finder) -> dict[str, _Source]:
    """Return modules of ours with all that they import of ours, as far as `find` knows the names."""
    found: dict[str, _Source] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        path = find(name)
        if name not in found and path is not None:
            found[name] = _source(path, name)
            todo.extend(module for module, _, _ in found[name].brought)
    return found


def _content(source: _Source, find: Finder) -> str:
    """Return the digest of a module of ours, in which each name of ours counts by the module that it comes from.

    That module counts by its own text alone: imports may go round.
    """

    def identity(module: str) -> str:
        path = find(module)
        return "" if path is None else _source(path, module).digest(lambda _: "")

    return source.digest(identity)


def _source(path: Path, name: str) -> _Source:
    stat = path.stat()
    return _read_source(path, name, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=512)
def _read_source(path: Path, name: str, _mtime_ns: int, _size: int) -> _Source:
    tree = ast.parse(path.read_bytes(), filename=path.name)
    imports = _OurImports(name if path.name == "__init__.py" else name.rpartition(".")[0])
    tree = imports.visit(tree)
    modules = {here: module for module, name_there, here in imports.brought if not name_there}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in modules:
            node.id = f"<module {modules[node.id]}>"
    return _Source(_dump(tree), tuple(imports.brought))


class _OurImports(ast.NodeTransformer):
    """Takes the imports of ours out of a tree and keeps what they bring; relative ones start from `package`."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.brought: list[tuple[str, str, str]] = []

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        """Keep what `import harness.a as b` brings; other modules imported by the same line stay."""
        ours = [alias for alias in node.names if _is_ours(alias.name)]
        self.brought += [(alias.name, "", alias.asname or PACKAGE.name) for alias in ours]
        node.names = [alias for alias in node.names if not _is_ours(alias.name)]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        """Keep what `from harness.a import b` brings, which may be a module itself."""
        origin = _origin(node, self.package)
        if not _is_ours(origin):
            return node
        for alias in node.names:
            module, here = f"{origin}.{alias.name}", alias.asname or alias.name
            is_module = find_module(module, PACKAGE.parent) is not None
            self.brought.append((module, "", here) if is_module else (origin, alias.name, here))
        return None


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == PACKAGE.name


def _hash(modules: Mapping[str, str]) -> str:
    """Return one digest of the digests of modules, in order of name."""
    text = "\n".join(f"{name} {digest}" for name, digest in sorted(modules.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _follow(
    modules: Iterable[str], find: Finder, packages: Callable[[str, Finder], Iterable[str]] = lambda *_: ()
) -> dict[str, str]:
    """Follow imports from `modules` as far as `find` knows the names, and return the digest of each module found.

    `packages` says what else is run if a name is imported.
    """
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        path = find(name)
        if name in found or path is None:
            continue
        digest, imports = _read_file(path, name)
        found[name] = digest
        todo.extend(imports)
        todo.extend(package for imported in imports for package in packages(imported, find))
    return found


def _packages(name: str, find: Finder) -> Iterator[str]:
    """Yield the packages around a name whose `__init__` does something: that of `a.b` is run by `from a.b import c`.

    An empty one counts if it is imported by its own name alone, as it always has: no key changes for its sake.
    """
    for package in _with_parents(name)[:-1]:
        path = find(package)
        if path is not None and _read_file(path, package)[0] != _NOTHING:
            yield package


def _read_file(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the digest of a module and what it imports."""
    stat = path.stat()
    return _read(path, name, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=512)
def _read(path: Path, name: str, _mtime_ns: int, _size: int) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(path.read_bytes(), filename=path.name)  # bytes: the file's own encoding line counts
    is_package = path.name == "__init__.py"
    imports = tuple(_imports(tree, name if is_package else name.rpartition(".")[0]))
    return hashlib.sha256(_dump(tree).encode()).hexdigest(), imports


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield every name that may be a module that the tree imports, wherever the import is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, package)
            if origin:
                yield origin
            yield from (f"{origin}.{alias.name}" if origin else alias.name for alias in node.names)


def _origin(node: ast.ImportFrom, package: str) -> str:
    """Return what `from ORIGIN import …` names, seen from `package`; "" for a relative import outside of packages."""
    parents = package.split(".") if package else []
    base = parents[: len(parents) - node.level + 1] if node.level else []
    return ".".join([*base, *([node.module] if node.module else [])])


def _dump(node: object) -> str:
    """Return a tree as text, without docstrings, places, and fields that are empty or absent in some version."""
    pieces: list[str] = []
    _write(node, pieces.append)
    return "".join(pieces)


def _write(node: object, write: Callable[[str], None]) -> None:
    if isinstance(node, ast.AST):
        write(f"({type(node).__name__}")
        for name in sorted(node._fields):
            if name in {"type_comment", "ctx", "kind"}:
                continue
            value: Any = getattr(node, name, None)
            if name == "body" and isinstance(node, _WITH_DOCSTRING):
                value = _without_docstring(value)
            if name == "values" and isinstance(node, ast.JoinedStr):
                value = [v for v in value if not (isinstance(v, ast.Constant) and v.value == "")]
            if (value is None and not isinstance(node, ast.Constant)) or value == []:
                continue
            write(f" {name}=")
            _write(value, write)
        write(")")
    elif isinstance(node, list):
        for item in node:
            _write(item, write)
            write(",")
    else:
        write(_literal(node))


def _literal(value: object) -> str:
    """Return `repr(value)` with every character escaped that some version of Python does not know yet."""
    text = repr(value)
    if text.isascii():
        return text
    return "".join(c if ucd_3_2_0.category(c) != "Cn" else c.encode("unicode_escape").decode() for c in text)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


_NOTHING = hashlib.sha256(_dump(ast.parse("")).encode()).hexdigest()
"""The digest of an empty module."""
_EMPTY = _Source(_dump(ast.parse("")), ())
