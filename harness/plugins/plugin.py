"""Plug-ins: named in a study as `module:object`, in a file beside the study or on sys.path, as `FILE.py:object`, whose
path begins beside the study, or by the name that an installed package gives one in its entry points.

The object is a class (a frozen dataclass, say) that takes the options as keyword arguments and answers the questions of
`harness.layers.compressor.Compressor`. Its code is part of the trial's key: edit the layer and its trials run again,
edit a comment and they do not. Whose code may be one: `harness.plugins.origin`.
"""

import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, cast

from harness.base.checks import FieldError
from harness.base.errors import HarnessError, did_you_mean
from harness.base.extras import missing_part, parts_named
from harness.base.keys import canonical_json
from harness.plugins.digests import DOT, find_module, module_name, plugin_digest, plugin_imports, plugin_modules
from harness.plugins.origin import check_module, check_target, check_wanted
from harness.plugins.timm_models import TIMM, load_timm
from harness.torchvision_compat import prepare_torchvision

_loaded: dict[str, tuple[Path, str]] = {}
"""What this process imported for plug-ins: folder and digest by module, and by "module:" of it with what it imports."""


def is_plugin(kind: object) -> bool:
    """Return whether a kind names a plug-in."""
    return isinstance(kind, str) and ":" in kind


def entry_point(group: str, name: str) -> str | None:
    """Return the `module:object` that another package gives `name` in an entry-point group, or None.

    The groups are harness.compressors, harness.models, harness.datasets and harness.tasks.
    """
    return entry_points(group).get(name)


@cache
def entry_points(group: str) -> Mapping[str, str]:
    """Return what installed packages give in an entry-point group: `module:object` by name, the first of each name."""
    found: dict[str, str] = {}
    for point in metadata.entry_points(group=group):
        found.setdefault(point.name, point.value)
    return found


def load_ours(reference: str) -> Any:
    """Return what `module:object` names among our own modules; `reference` is never what a study says."""
    module, _, name = reference.partition(":")
    with parts_named():
        return getattr(importlib.import_module(module), name)


def load_object(reference: str, folders: Sequence[str | Path] = (), *, digest: str | None = None) -> Any:
    """Return what a plug-in's `module:object` names.

    Raises HarnessError in one line if it is not there, or if its code has not the `digest` asked for.
    """
    target, found = load_plugin(reference, [str(folder) for folder in folders])
    if digest not in (None, found):
        raise HarnessError(f"the code of '{reference}' was edited since this was planned; run the study again")
    return target


def load_plugin(kind: str, folders: Sequence[str]) -> tuple[Any, str]:
    """Return a plug-in's object and its digest, from the first of `folders` or of sys.path that has its module.

    Also of a network of timm, `timm:NAME`. Raises FieldError in one line if there is none, if it cannot be imported, or
    if it is not a plug-in's own.
    """
    if kind.startswith(TIMM):
        return load_timm(kind)
    root, name, object_name = find_plugin(kind, folders)
    try:
        digest = plugin_digest(name, root)
        module = _import(name, root, digest)
    except (Exception, SystemExit) as error:  # a script that ends itself when it is imported must not end us
        raise _not_imported(name, error) from error
    if not hasattr(module, object_name):
        names = [known for known in vars(module) if not known.startswith("_")]
        raise FieldError(("kind",), f"'{_said(name)}' has no '{object_name}'{did_you_mean(object_name, names)}")
    target = getattr(module, object_name)
    if callable(target):
        with _of_the_kind():
            check_target(kind, target)
    return target, digest


def find_plugin(kind: str, folders: Sequence[str]) -> tuple[Path, str, str]:
    """Return a plug-in's folder (the first of `folders` or of sys.path that has its module), module and object.

    Nothing is imported. Raises FieldError if there is no such module, or none that may be a plug-in.
    """
    with _of_the_kind():
        check_wanted(kind)
    name, _, object_name = kind.rpartition(":")
    if not name or not object_name:
        raise FieldError(("kind",), f"'{kind}' is not of the form module:object")
    root: Path | None
    if name.endswith(".py"):
        root, name = _file(PurePosixPath(name), kind, folders), module_name(PurePosixPath(name).name)
    else:
        places = [Path(folder) for folder in [*folders, *sys.path] if folder]
        root = next((place for place in places if find_module(name, place)), None)
    with _of_the_kind():
        check_module(kind, _said(name), None if root is None else find_module(name, root))
    if root is None:
        looked = ", ".join([*folders, "sys.path"])
        raise FieldError(("kind",), f"cannot import '{name}' of '{kind}': there is no such module in {looked}")
    return root, name, object_name


@contextmanager
def _of_the_kind() -> Iterator[None]:
    """Give an error about whose code a plug-in is the place where that is named."""
    try:
        yield
    except HarnessError as error:
        raise FieldError(("kind",), str(error)) from None


def _said(name: str) -> str:
    """Return a module's name as a person writes it."""
    return name.replace(DOT, ".")


def _file(path: PurePosixPath, kind: str, folders: Sequence[str]) -> Path:
    """Return the folder of a file that lies in one of `folders`, by its path there."""
    for folder in folders:
        if (Path(folder) / path).is_file():
            return (Path(folder) / path).parent
    raise FieldError(("kind",), f"there is no file {path} for '{kind}' in {', '.join(folders) or 'any folder'}")


def code_of(kind: str, folders: Sequence[str]) -> tuple[str, ast.Module]:
    """Return the digest of a plug-in's code and its module as a syntax tree, without importing it.

    Raises FieldError if there is no such module, or if it cannot be read.
    """
    root, name, _ = find_plugin(kind, folders)
    try:
        file = cast("Path", find_module(name, root))
        return plugin_digest(name, root), ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise _not_imported(name, error) from error


def imports_of(kind: str, folders: Sequence[str]) -> frozenset[str]:
    """Return every name that a plug-in's code imports, or may, without importing it."""
    root, name, _ = find_plugin(kind, folders)
    return plugin_imports(name, root)


def outside_of(kind: str, folders: Sequence[str]) -> frozenset[str]:
    """Return what a plug-in's code imports, or may, that is none of its own modules, and so not in its digest."""
    root, name, _ = find_plugin(kind, folders)
    own = {module.partition(".")[0] for module in plugin_modules(name, root)}
    return frozenset(n for n in plugin_imports(name, root) if n.partition(".")[0] not in own)


def _not_imported(name: str, error: BaseException) -> FieldError:
    reason = " ".join(str(error).split()) or "no reason given"
    missing = missing_part(error)
    why = f"{type(error).__name__}: {reason}" if missing is None else str(missing)
    return FieldError(("kind",), f"cannot import '{_said(name)}': {why}")


def plugin_options(
    target: Any, options: Mapping[str, Any], *, leading: int = 0, what: str = "option"
) -> dict[str, Any]:
    """Return the options without those at the default of the plug-in's own signature, or of a signature itself.

    The first `leading` parameters are none of them. Raises FieldError for an option that it does not take, or one that
    it needs and does not get.
    """
    try:
        signature = target if isinstance(target, inspect.Signature) else inspect.signature(target)
    except (TypeError, ValueError):
        return dict(options)
    known = dict(list(signature.parameters.items())[leading:])
    takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    for name in options:
        if name not in known and not takes_all:
            raise FieldError((name,), f"unknown {what} '{name}'{did_you_mean(name, known)}")
    missing = [n for n, p in known.items() if p.default is p.empty and n not in options and p.kind not in _VARIADIC]
    if missing:
        raise FieldError((missing[0],), f"the {what} '{missing[0]}' is missing")
    return {
        name: value for name, value in options.items() if name not in known or not _same(known[name].default, value)
    }


def check_options(kind: str, options: Mapping[str, Any]) -> None:
    """Raise FieldError unless the options of the plug-in that a study calls `kind` can be part of a key."""
    try:
        canonical_json(options)
    except (TypeError, ValueError):
        raise FieldError(
            ("kind",), f"the options of '{kind}' must be finite numbers, words, lists: {options}"
        ) from None


_VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def _same(default: Any, value: Any) -> bool:
    """Return whether a value is the default, of the same types throughout: `[true]`, `[1]` and `[1.0]` are three."""
    if default is inspect.Parameter.empty or type(default) is not type(value):
        return False
    if isinstance(value, list):
        return len(default) == len(value) and all(map(_same, default, value))
    if isinstance(value, dict):
        return default.keys() == value.keys() and all(_same(default[key], value[key]) for key in value)
    return bool(default == value)


def _import(name: str, root: Path, digest: str) -> ModuleType:
    """Import a module from `root`, again if another file or an older state of it was imported under this name.

    Raises ImportError where the name belongs to a module that is not a plug-in, which others may use.
    """
    found = plugin_modules(name, root)
    packages = {part[:end] for part in found for end in range(len(part)) if part[end] == "."}  # empty ones too
    own = {**dict.fromkeys(packages, ""), **found}
    state = {part: (root, code) for part, code in {**own, f"{name}:": digest}.items()}
    if any(_loaded.get(part, now) != now for part, now in state.items()):
        for loaded in [key for key in sys.modules if key in own or key.startswith(f"{name}.")]:
            del sys.modules[loaded]
    for part in own:
        if "." in part:
            continue  # its package is checked; within it modules may put what they like in their own place
        known, file = sys.modules.get(part), find_module(part, root)
        if known is not None and file is not None and not _is_from(known, file):
            raise ImportError(f"'{part}' is the name of another module; give the file another name")
    importlib.invalidate_caches()
    prepare_torchvision()
    with _on_path(root):
        module = importlib.import_module(name) if DOT not in name else _import_file(name, find_module(name, root))
    _loaded.update(state)
    return module


def _import_file(name: str, file: Path | None) -> ModuleType:
    """Import a file whose name has a dot, which Python would take for that of a package."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a file of Python")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_from(module: ModuleType, file: Path) -> bool:
    origin = getattr(module, "__file__", None)
    return origin is not None and Path(origin).resolve() == file.resolve()


@contextmanager
def _on_path(root: Path) -> Iterator[None]:
    """Import from `root`, without bytecode: a file that is edited twice in a second would meet its older self."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        sys.dont_write_bytecode = before
