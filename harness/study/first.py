"""A first study of a person's own script (`harness init`), from what its code says; nothing is imported or run.

A function whose first parameter is `context` becomes `task: function` with the defaults of its signature; a script with
argparse becomes `task: command` with the defaults of its options.
"""

import ast
import json
import re
import shlex
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
_YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_PLAIN = re.compile(r"[A-Za-z]([\w.:-]*\w)?", flags=re.ASCII)


@dataclass(frozen=True)
class _Call:
    """What a script is called with."""

    lines: tuple[str, ...]  # of the study, which say how
    arguments: Mapping[str, Any]
    metrics: tuple[str, ...]
    seeded: bool = True  # whether it takes the seed


def first_study(script: Path, function: str | None = None) -> str:
    """Return the text of a study of a script, whose file is beside it.

    Args:
        script: a Python file.
        function: which of its functions is to be called; the first with a parameter `context`, if None.

    Raises:
        HarnessError: it is not Python, it has no such function, or neither a function of a context nor argparse.
    """
    try:
        tree = ast.parse(script.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise HarnessError(f"{script.name} is not Python: {error}") from None
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
    lines = ("task: function", f"target: {_word(f'{script.name}:{function.name}')}")
    return _Call(lines, dict(_arguments(function)), tuple(_keys(_returned(function))))


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args]


def _arguments(function: ast.FunctionDef) -> Iterator[tuple[str, Any]]:
    """Yield the parameters behind the context with their defaults: "…" if there is none or it is not a plain value."""
    positional, after = _parameters(function), function.args.defaults
    defaults = [*[None] * (len(positional) - len(after)), *after, *function.args.kw_defaults]
    for parameter, default in list(zip([*positional, *function.args.kwonlyargs], defaults, strict=True))[1:]:
        known, value = _literal(default)
        yield parameter.arg, value if known else _UNKNOWN


def _of_options(script: Path, tree: ast.Module) -> _Call | None:
    """Return how a script with argparse is called; None if it adds no option."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    added = [call for call in calls if _called(call) == "add_argument"]
    if not added:
        return None
    if any(_called(call) == "add_subparsers" for call in calls):
        raise HarnessError(f"{script.name} has subcommands: write 'command: …' by hand (docs/own.md)")
    words, arguments = ["python", shlex.quote(script.name)], dict[str, Any]()
    for node in added:
        flags = [flag for known, flag in map(_literal, node.args) if known and isinstance(flag, str)]
        given = {keyword.arg: _literal(keyword.value)[1] for keyword in node.keywords}
        option = next((flag for flag in flags if flag.startswith("--")), flags[0] if flags else "")
        name = option.lstrip("-").replace("-", "_")
        if not name.isidentifier() or ("action" in given and given["action"] != "store"):  # a switch has no value
            continue
        named = f"{option} " if option.startswith("-") else ""
        if name == _SEED:
            words.append(f"{named}{{seed}}")
            continue
        default = given.get("default")
        words.append(f"{named}{{arguments.{name}}}")
        plain = isinstance(default, str | int | float) and not isinstance(default, bool)
        arguments[name] = default if plain else _UNKNOWN
    command = " ".join(words)
    lines = ("task: command", f"command: {json.dumps(command) if '#' in command or ': ' in command else command}")
    return _Call(lines, arguments, tuple(_keys(_printed(tree), without={"step", "split"})), seeded="{seed}" in command)


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else str(getattr(function, "id", ""))


def _printed(tree: ast.Module) -> Iterator[ast.Dict]:
    """Yield the dictionaries that a script prints or writes as JSON."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _called(call) in {"print", "dumps", "dump", "write"}:
            yield from (argument for argument in call.args if isinstance(argument, ast.Dict))


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
    """Return whether an expression is a plain value, as YAML has them, and the value."""
    if node is None:
        return False, None
    try:
        value = ast.literal_eval(node)
        plain = bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None
    return plain, value if plain else None


def _text(script: Path, call: _Call) -> str:
    study = re.sub(r"[^a-z0-9]+", "-", script.stem.lower()).strip("-") or "own"
    metrics = {name: _direction(name) for name in call.metrics} or _NO_METRIC
    guessed = "which way is better was guessed from the names" if call.metrics else "no name of a metric was found"
    fill = f", and values in place of {_UNKNOWN}" if _UNKNOWN in call.arguments.values() else ""
    lines = [
        _HEAD.format(script=script.name, fill=fill),
        f"study: {_word(study)}",
        *call.lines,
        f"metrics: {_flow(metrics)}  # {guessed}",
        "seeds: [0, 1, 2]" if call.seeded else "seeds: [0]  # it has no option --seed; HARNESS_SEED tells it the seed",
        "trials:",
    ]
    names = list(call.arguments)
    if not names:
        return "\n".join([*lines, f"  - {{name: {_word(study)}}}", ""])
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
    plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)
