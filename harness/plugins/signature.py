"""The signature of a function as it is written, without importing its module: that may take seconds, or do things."""

import ast
import inspect
from collections.abc import Collection
from typing import Any, cast

_KINDS = inspect.Parameter


class Unwritten:
    """A default that is not a literal, so that only a running program knows it; equal to nothing."""


def written_signature(tree: ast.Module, name: str) -> inspect.Signature | None:
    """Return the signature of the function `name` that a module defines, or None if it is not plainly written there.

    Plainly: by one `def` at the top level, without decorators, and nothing else binds the name there.
    """
    bound = [node for node in tree.body if _binds(node, name)]
    if len(bound) != 1 or not isinstance(bound[0], ast.FunctionDef) or bound[0].decorator_list:
        return None
    arguments = bound[0].args
    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    parameters = [
        _parameter(
            arg, default, _KINDS.POSITIONAL_ONLY if i < len(arguments.posonlyargs) else _KINDS.POSITIONAL_OR_KEYWORD
        )
        for i, (arg, default) in enumerate(zip(positional, [*missing, *arguments.defaults], strict=True))
    ]
    if arguments.vararg:
        parameters.append(_KINDS(arguments.vararg.arg, _KINDS.VAR_POSITIONAL))
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    parameters += [_parameter(arg, default, _KINDS.KEYWORD_ONLY) for arg, default in keywords]
    if arguments.kwarg:
        parameters.append(_KINDS(arguments.kwarg.arg, _KINDS.VAR_KEYWORD))
    return inspect.Signature(parameters)


def takes(target: object, name: str) -> bool:
    """Return whether something callable has a parameter `name` of its own."""
    try:
        return callable(target) and name in inspect.signature(target).parameters
    except (TypeError, ValueError):
        return False


def without(target: object, names: Collection[str]) -> object:
    """Return the signature of something callable without some parameters, or itself if it shows none."""
    try:
        signature = inspect.signature(cast("Any", target))
    except (TypeError, ValueError):
        return target
    return signature.replace(parameters=[p for p in signature.parameters.values() if p.name not in names])


def _binds(node: ast.stmt, name: str) -> bool:
    """Return whether a statement of a module may bind a name in it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any(alias.name == "*" or (alias.asname or alias.name.partition(".")[0]) == name for alias in node.names)
    stored = (part for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
    defined = (part for part in ast.walk(node) if isinstance(part, ast.FunctionDef | ast.ClassDef))
    return any(part.id == name for part in stored) or any(part.name == name for part in defined)


def _parameter(arg: ast.arg, default: ast.expr | None, kind: inspect._ParameterKind) -> inspect.Parameter:
    return _KINDS(arg.arg, kind, default=_KINDS.empty if default is None else _literal(default))


def _literal(expression: ast.expr) -> object:
    try:
        return ast.literal_eval(expression)
    except ValueError:
        return Unwritten()
