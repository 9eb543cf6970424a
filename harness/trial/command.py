"""`task: command`: a script as it is, as a trial (docs/own.md): its output says what it finds.

    task: command
    command: python train.py --rate {arguments.rate} --seed {seed}
    metrics: {accuracy: maximize}
    trials:
      - {name: "rate {arguments.rate}", grid: {arguments.rate: [0.1, 0.01]}}

Its key is made of the command, its arguments, the digest of the Python script in it (with what that imports from its
folder), and the contents of `inputs`. For all else it is a function (`task: function`).
"""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from harness.base.checks import FieldError
from harness.base.errors import did_you_mean
from harness.plugins.origin import check_wanted
from harness.plugins.plugin import code_of, find_plugin
from harness.trial.function import RETURNED, declared_metrics, task_options
from harness.trial.trial import COMMAND, FUNCTION, Trial

FIELDS = ("seed", "device", "threads", "checkpoints")
"""What a command may name in braces beside its arguments, `{arguments.NAME}`."""
FOLDER_OPTION = "folder"
"""The option of an attempt's request that says in which folder the command runs."""
ARGUMENTS = "arguments."
FIELD = re.compile(r"(?<!\$)\{([A-Za-z_][\w.-]*)\}")  # and not JSON, or a shell's ${NAME}


def resolve_command(
    *, task: Mapping[str, Any], command: Any, arguments: Any, metrics: Any, folders: Sequence[str]
) -> Trial:
    """Resolve a trial of a command.

    Raises FieldError with the path of what is wrong: a script that is not there, a field that means nothing.
    """
    words = words_of(command)
    check_wanted(command)
    given = _arguments(arguments)
    _check_fields(words, given)
    config_task: dict[str, Any] = {"kind": FUNCTION, "command": command, **task_options(task)}
    if (script := script_of(words)) is not None:
        if PurePosixPath(script).is_absolute() or ".." in PurePosixPath(script).parts:
            raise FieldError(("command",), f"the script '{script}' must be beside the study, or in a folder there")
        config_task["script"] = f"{script}:{COMMAND}"
        config_task["code"] = script_digest(config_task["script"], folders)
    return Trial(
        config={"task": config_task, "arguments": given},
        data=(),
        protocol=None,
        evaluations=(RETURNED,),
        metrics=declared_metrics(metrics),
    )


def words_of(command: Any) -> list[str]:
    """Return the words of a command, as a shell takes it apart. Raises FieldError for what is none."""
    if not isinstance(command, str) or not command.strip():
        said = "'command' is missing" if command is None else f"'command' must not be {command!r}"
        raise FieldError(("command",), f"{said}: write it as in a shell, e.g. python train.py --seed {{seed}}")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise FieldError(("command",), f"'command' cannot be read: {str(error).lower()}") from None
    if not words or not words[0] or FIELD.search(words[0]):
        raise FieldError(("command",), "'command' must begin with the name of a program")
    return words


def script_of(words: Sequence[str]) -> str | None:
    """Return the word that names a command's Python script; None if it has none."""
    plain = (word for word in words if word[:1] != "-" and not re.search(r"\s", word) and not FIELD.search(word))
    return next((word for word in plain if word.endswith(".py")), None)


def script_digest(reference: str, folders: Sequence[str]) -> str:
    """Return the digest of a command's script. Raises FieldError if it is not there or cannot be read."""
    try:
        return code_of(reference, folders)[0]
    except FieldError as error:
        raise FieldError(("command",), error.message) from error.__cause__


def script_place(reference: str, folders: Sequence[str]) -> str:
    """Return where a command's script lies."""
    root, _, _ = find_plugin(reference, folders)
    return str(root / Path(reference.rpartition(":")[0]).name)


def _arguments(written: Any) -> dict[str, Any]:
    given = {} if written is None else written
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise FieldError(("arguments",), f"'arguments' must be a mapping from name to value, not {written!r}")
    for name, value in given.items():
        if isinstance(value, bool):
            raise FieldError(("arguments", name), f"'{name}' is {value}: write a switch as '--{name}', or null")
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
            raise FieldError(("arguments", name), f"'{name}' must be a number, a word or null, not {value!r}")
    return dict(given)


def _check_fields(words: Sequence[str], arguments: Mapping[str, Any]) -> None:
    """Refuse a field that means nothing, and an argument that the command does not take; other braces stay."""
    known = [*(f"{ARGUMENTS}{name}" for name in arguments), *FIELDS]
    named = [field for word in words for field in FIELD.findall(word)]
    for field in named:
        near = f"; did you mean '{ARGUMENTS}{field}'?" if field in arguments else did_you_mean(field, known)
        if field not in known and (near or field.startswith(ARGUMENTS)):
            listed = ", ".join(f"{{{name}}}" for name in known)
            raise FieldError(("command",), f"'{{{field}}}' means nothing{near}; there is {listed}")
    for name in arguments:
        if f"{ARGUMENTS}{name}" not in named:
            raise FieldError(("arguments", name), f"'{name}' is not in 'command': write {{{ARGUMENTS}{name}}} there")
