"""`task: command`: a script as it is, as a trial (docs/own.md): its output says what it finds.

    task: command
    command: python train.py --rate {arguments.rate} --seed {seed}
    metrics: {accuracy: maximize}
    trials:
      - {name: "rate {arguments.rate}", grid: {arguments.rate: [0.1, 0.01]}}

Its key is made of the command, its arguments, the digest of the Python script in it (with what that imports from its
folder), and the contents of the other files that the command names. For all else it is a function (`task: function`).
"""

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.plugins.origin import check_wanted
from harness.plugins.plugin import code_of, find_plugin
from harness.trial.function import RETURNED, declared_metrics, task_options
from harness.trial.trial import COMMAND, FUNCTION, Trial

FIELDS = ("seed", "device", "threads", "checkpoints")
"""What a command may name in braces beside its arguments, `{arguments.NAME}`."""

_FIELD = re.compile(r"(?<!\$)\{([A-Za-z_][\w.-]*)\}")  # and not JSON, or a shell's ${NAME}
_ARGUMENTS = "arguments."


def resolve_command(
    *, task: Mapping[str, Any], command: Any, arguments: Any, metrics: Any, folders: Sequence[str]
) -> Trial:
    """Resolve a trial of a command.

    Raises FieldError with the path of what is wrong: a script that is not there, a field that means nothing.
    """
    words = _words(command)
    check_wanted(command)
    given = _arguments(arguments)
    _check_fields(words, given)
    config_task: dict[str, Any] = {"kind": FUNCTION, "command": command, **task_options(task)}
    script = _script(words)
    if script is not None:
        config_task["script"] = f"{script}:{COMMAND}"
        config_task["code"] = script_digest(config_task["script"], folders)
    return Trial(
        config={"task": config_task, "arguments": given},
        data=(),
        protocol=None,
        evaluations=(RETURNED,),
        metrics=declared_metrics(metrics),
    )


def files_of(command: str, folders: Sequence[str]) -> list[str]:
    """Return the files beside a study that a command names, other than its script, as they are written."""
    words = _words(command)
    others = [word for word in words if word != _script(words) and not _FIELD.search(word)]
    return [word for word in others if any(_is_file(folder, word) for folder in folders)]


def script_digest(reference: str, folders: Sequence[str]) -> str:
    """Return the digest of a command's script. Raises FieldError if it is not there or cannot be read."""
    try:
        return code_of(reference, folders)[0]
    except FieldError as error:
        raise FieldError(("command",), error.message) from error.__cause__


def filled(
    command: str, arguments: Mapping[str, Any], fields: Mapping[str, Any], places: Mapping[str, str]
) -> list[str]:
    """Return the words of a command with its fields filled in.

    `places` says where the files lie that words name. A word of which nothing is left is left out: an argument that is
    null, or "".
    """
    values = {**{f"{_ARGUMENTS}{name}": value for name, value in arguments.items()}, **fields}
    made = []
    for word in _words(command):
        text = _FIELD.sub(lambda found: _text(values[found[1]]), word)
        if text or not _FIELD.search(word):
            made.append(places.get(word, text))
    return made


def script_place(reference: str, folders: Sequence[str]) -> str:
    """Return where a command's script lies."""
    root, _, _ = find_plugin(reference, folders)
    return str(root / Path(reference.rpartition(":")[0]).name)


def script_of(command: str) -> str | None:
    """Return the word of a command that names its Python script; None if it has none."""
    return _script(_words(command))


def _words(command: Any) -> list[str]:
    if not isinstance(command, str) or not command.strip():
        said = "'command' is missing" if command is None else f"'command' must not be {command!r}"
        raise FieldError(("command",), f"{said}: write it as in a shell, e.g. python train.py --seed {{seed}}")
    try:
        return shlex.split(command)
    except ValueError as error:
        raise FieldError(("command",), f"'command' cannot be read: {str(error).lower()}") from None


def _script(words: Sequence[str]) -> str | None:
    scripts = (word for word in words if word.endswith(".py") and not _FIELD.search(word))
    return next(scripts, None)


def _is_file(folder: str, word: str) -> bool:
    try:
        return Path(folder, word).is_file()
    except (OSError, ValueError):
        return False


def _arguments(written: Any) -> dict[str, Any]:
    given = {} if written is None else written
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise FieldError(("arguments",), f"'arguments' must be a mapping from name to value, not {written!r}")
    for name, value in given.items():
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
            raise FieldError(("arguments", name), f"'{name}' must be a number, a word or null, not {value!r}")
    return dict(given)


def _check_fields(words: Sequence[str], arguments: Mapping[str, Any]) -> None:
    known = [*(f"{_ARGUMENTS}{name}" for name in arguments), *FIELDS]
    named = list(_named(words))
    for field in named:
        if field not in known:
            listed = ", ".join(f"{{{name}}}" for name in known)
            raise FieldError(
                ("command",), f"'{{{field}}}' means nothing{did_you_mean(field, known)}; there is {listed}"
            )
    for name in arguments:
        if f"{_ARGUMENTS}{name}" not in named:
            raise FieldError(("arguments", name), f"'{name}' is not in 'command': write {{{_ARGUMENTS}{name}}} there")


def _named(words: Sequence[str]) -> Iterator[str]:
    return (field for word in words for field in _FIELD.findall(word))


def _text(value: Any) -> str:
    return "" if value is None else str(value)
