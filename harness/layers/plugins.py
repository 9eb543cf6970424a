"""How code that is named in a study, as `package.module:object`, is found."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.spec.errors import HarnessError


def is_plugin(kind: str) -> bool:
    """Return whether `kind` names code of the user's, as `module:object`, and not one of ours."""
    return ":" in kind


def load_object(reference: str, plugin_paths: Sequence[str | Path] = ()) -> Any:
    """Return the object that `module:object` names; the module may lie in one of the folders `plugin_paths`.

    Raises:
        HarnessError: the reference has another form, the module cannot be imported, or has no such object.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name:
        raise HarnessError(f"'{reference}' is not of the form module:object")
    with _searched(plugin_paths):
        try:
            module = importlib.import_module(module_name)
        except (ImportError, SyntaxError) as error:
            raise HarnessError(f"cannot import '{module_name}' of '{reference}': {_one_line(error)}") from error
    try:
        return getattr(module, name)
    except AttributeError:
        raise HarnessError(f"'{module_name}' ({module.__file__}) has no '{name}'") from None


@contextmanager
def _searched(folders: Sequence[str | Path]) -> Iterator[None]:
    """Search `folders` first for modules, while it lasts."""
    before = sys.path[:]
    sys.path[:0] = [str(folder) for folder in folders]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
