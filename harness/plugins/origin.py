"""Whose code may be a plug-in: a person's own, in a file beside the study or in a package that she installed.

A study file is data that strangers pass on, and it calls what it names. So it cannot name what every machine has anyway
and can be made to do anything: Python's standard library (`os:system`), the harness itself, and what that needs
(`torch.hub:load`, `pip`). Nor can it reach these through a plug-in's own imports (`net:Popen` of a `net.py` that
imports Popen). This bounds what a study does by itself; a plug-in remains code, and does what it likes.
"""

import functools
import re
import sys
import sysconfig
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import metadata
from pathlib import Path
from typing import Any

from harness.base.errors import HarnessError
from harness.base.extras import DISTRIBUTION, EXTRAS
from harness.plugins.digests import INSTALLED, PACKAGE

_refusing: ContextVar[bool] = ContextVar("refusing", default=False)
_STANDARD = "Python's standard library"
_ROOTS = (DISTRIBUTION, "harness", "torch", "torchvision", "numpy", "pip", "setuptools", "wheel")


@contextmanager
def without_plugins() -> Iterator[None]:
    """Within this, every plug-in is refused before it is looked for."""
    token = _refusing.set(True)
    try:
        yield
    finally:
        _refusing.reset(token)


def check_wanted(kind: str) -> None:
    """Raise HarnessError if plug-ins are refused."""
    if _refusing.get():
        raise HarnessError(f"'{kind}' is a plug-in, and --no-plugins refuses these: a study that names one runs code")


def check_module(kind: str, module: str, file: Path | None) -> None:
    """Raise HarnessError if the module that a kind names, found in `file` or nowhere, may be no plug-in."""
    owner = (_STANDARD if _is_standard(module) else None) if file is None else _owner(file)
    if owner is not None:
        raise _no_plugin(kind, f"'{module}' belongs to {owner}")


def check_target(kind: str, target: Any) -> None:
    """Raise HarnessError if something callable, found in a plug-in, was made by what may be no plug-in."""
    while isinstance(target, functools.partial):
        target = target.func
    home = getattr(target, "__module__", None)
    if home is None:  # a function in C that does not say where it is from
        raise _no_plugin(kind, "nobody can tell where it is defined")
    module = sys.modules.get(home)
    file = getattr(module, "__file__", None)
    owner = (_STANDARD if _is_standard(home) else None) if file is None else _owner(Path(file))
    if owner is not None:
        raise _no_plugin(kind, f"it is imported from '{home}', which belongs to {owner}")


def _no_plugin(kind: str, why: str) -> HarnessError:
    cure = "name a class or function of your own, beside the study"
    if kind.startswith("torchvision."):
        cure = f"its networks are written torchvision:{kind.rpartition(':')[2]}"
    if kind.startswith("timm."):
        cure = f"its networks are written timm:{kind.rpartition(':')[2]}"
    return HarnessError(f"'{kind}' is not a plug-in: {why}; {cure}")


def _is_standard(module: str) -> bool:
    """Return whether a module without a file, such as `sys`, is Python's own."""
    return module.partition(".")[0] in {*sys.stdlib_module_names, *sys.builtin_module_names}


def _owner(file: Path) -> str | None:
    """Return to what a file belongs that may be no plug-in, None if it may be one."""
    path = file.resolve()
    if path.is_relative_to(PACKAGE):
        return "the harness itself"
    installed = max((i for i, part in enumerate(path.parts) if part in INSTALLED), default=None)
    if installed is not None:
        top = path.parts[installed + 1].partition(".")[0]
        return f"{top}, which the harness itself needs" if top in _needed() else None
    return _STANDARD if any(path.is_relative_to(place) for place in _standard_folders()) else None


@functools.cache
def _standard_folders() -> frozenset[Path]:
    return frozenset(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


@functools.cache
def _needed() -> frozenset[str]:
    """Return the top-level modules of what the harness needs, directly or not, and of what installs packages."""
    known: set[str] = set()
    todo = list(_ROOTS)
    while todo:
        name = _normal(todo.pop())
        if name in known:
            continue
        known.add(name)
        try:
            wanted = metadata.requires(name) or ()
        except metadata.PackageNotFoundError:
            continue
        extras = EXTRAS if name == DISTRIBUTION else ()
        todo += [_NAME.match(line)[0] for line in wanted if _is_wanted(line, extras)]  # type: ignore[index]
    return frozenset(
        top for top, owners in metadata.packages_distributions().items() if any(_normal(one) in known for one in owners)
    )


_NAME = re.compile(r"[A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra == ['\"]([^'\"]+)")


def _is_wanted(requirement: str, extras: Collection[str]) -> bool:
    """Return whether a line of a distribution's requirements holds always, or for one of these extras."""
    extra = _EXTRA.search(requirement)
    return extra is None or extra[1] in extras


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
