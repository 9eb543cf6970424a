"""A first study of a person's own script (`harness init`), from what its code says; nothing is imported or run.

A function whose first parameter is `context` becomes `task: function` with the defaults of its signature; a script with
argparse becomes `task: command` with the defaults of its options.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.base.errors import HarnessError

_WORSE_IF_HIGHER = ("loss", "error", "perplexity", "rmse", "mse", "mae")
_SEED = "seed"
_NO_METRIC = {"accuracy": "maximize"}
_HEAD = "# Written by harness init from {script}: say what is to be compared in 'grid'{fill}."
_UNKNOWN = "…"


@dataclass(frozen=True)
class _Call:
    """What a script is called with."""

    lines: tuple[str, ...]  # of the study, which say how
    arguments: Mapping[str, Any]
    metrics: tuple[str, ...]


def first_study(script: Path, function: str | None = None) -> str:
    """Return the text of a study of a script, whose file is beside it.

    Args:
        script: a Python file.
        function: which of its functions is to be called; the first with a parameter `context`, if None.

    Raises:
        HarnessError: it is no Python, it has no such function, or neither a function of a context nor argparse.
    """
    try:
        tree = ast.parse(script.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise HarnessError(f"{script.name} is no Python: {error}") from None
    call = _of_function(script, tree, function) or (None if function else _of_options(script, tree))
    if call is None:
        raise HarnessError(
            f"{script.name} has neither a function 'def run(context, *, …)' nor options of argparse: write "
            "'command: …' by hand (docs/own.md)"
        )
    return _text(script, call)


def _of_function(script: Path, tree: ast.Module, wanted: str | None) -> _Call | None:
    """Return how a function is called; None if there is none of a context and none was asked for."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    of_context = [f for f in functions if _parameters(f) and _parameters(f)[0].arg == "context"]
    found = [f for f in functions if f.name == wanted] if wanted else of_context
    if not found:
        if wanted:
            raise HarnessError(f"{script.name} has no function '{wanted}'")
        return None
    function = found[0]
    lines = ("task: function", f"target: {script.name}:{function.name}")
    return _Call(lines, dict(_arguments(function)), tuple(_keys(_returned(function))))


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args]


def _arguments(function: ast.FunctionDef) -> Iterator[tuple[str, Any]]:
    """Yield the parameters behind the context with their defaults: "…" if there is none or it is no plain value."""
    positional, after = _parameters(function), function.args.defaults
    defaults = [*[None] * (len(positional) - len(after)), *after, *function.args.kw_defaults]
    for parameter, default in zip([*positional, *function.args.kwonlyargs], defaults, strict=True):
        known, value = _literal(default)
        if parameter.arg != "context":
            yield parameter.arg, value if known else _UNKNOWN


def _of_options(script: Path, tree: ast.Module) -> _Call | None:
    """Return how a script with argparse is called; None if it adds no option."""
    added = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument"
    ]
    if not added:
        return None
    words, arguments = ["python", script.name], dict[str, Any]()
    for node in added:
        flags = [flag for known, flag in map(_literal, node.args) if known and isinstance(flag, str)]
        given = {keyword.arg: _literal(keyword.value)[1] for keyword in node.keywords}
        option = next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else "")
        name = option.lstrip("-").replace("-", "_")
        if not name or str(given.get("action", "")).startswith("store_"):  # a switch has no value
            continue
        named = f"{option} " if option.startswith("-") else ""
        if name == _SEED:
            words.append(f"{named}{{seed}}")
            continue
        default = given.get("default")
        words.append(f"{named}{{arguments.{name}}}")
        arguments[name] = default if isinstance(default, str | int | float) else _UNKNOWN
    printed = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    lines = ("task: command", f"command: {' '.join(words)}")
    return _Call(lines, arguments, tuple(_keys(printed, without={"step", "split"})))


def _returned(function: ast.FunctionDef) -> Iterator[ast.Dict]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict):
            yield node.value


def _keys(found: Iterable[ast.Dict], without: Iterable[str] = ()) -> Iterator[str]:
    """Yield the words that are keys of a dictionary, each once; none of one that has a key of `without`."""
    seen = set[str]()
    for node in found:
        keys = [value for known, value in map(_literal, node.keys) if known and isinstance(value, str)]
        for key in keys if not set(keys) & set(without) else ():
            if key not in seen:
                seen.add(key)
                yield key


def _literal(node: ast.expr | None) -> tuple[bool, Any]:
    """Return whether an expression is a plain value, and the value."""
    try:
        value = ast.literal_eval(node) if node is not None else ...
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None
    return value is not ..., value


def _text(script: Path, call: _Call) -> str:
    study = re.sub(r"[^\w.-]+", "-", script.stem) or "own"
    metrics = {name: _direction(name) for name in call.metrics} or _NO_METRIC
    guessed = "which way is better was guessed from the names" if call.metrics else "no name of a metric was found"
    fill = f", and values in place of {_UNKNOWN}" if _UNKNOWN in call.arguments.values() else ""
    lines = [
        _HEAD.format(script=script.name, fill=fill),
        f"study: {study}",
        *call.lines,
        f"metrics: {_flow(metrics)}  # {guessed}",
        "seeds: [0, 1, 2]",
        "trials:",
    ]
    names = list(call.arguments)
    if not names:
        return "\n".join([*lines, f"  - {{name: {study}}}", ""])
    lines.append(f'  - name: "{names[0]} {{arguments.{names[0]}}}"')
    if names[1:]:
        lines.append(f"    arguments: {_flow({name: call.arguments[name] for name in names[1:]})}")
    return "\n".join([*lines, f"    grid: {{arguments.{names[0]}: [{_word(call.arguments[names[0]])}]}}", ""])


def _direction(name: str) -> str:
    return "minimize" if any(part in _WORSE_IF_HIGHER for part in re.split(r"[^a-z]+", name.lower())) else "maximize"


def _flow(values: Mapping[str, Any]) -> str:
    """Return a mapping in a line of YAML."""
    return "{" + ", ".join(f"{_word(name)}: {_word(value)}" for name, value in values.items()) + "}"


def _word(value: Any) -> str:
    """Return a value as YAML; plain words without quotes."""
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w-]*", value) and value.lower() not in _YAML_WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)


_YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
