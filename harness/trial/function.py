"""`task: function`: a person's own function as a trial, `def run(context, *, width, epochs)`, returning its metrics.

    task: function
    target: train.py:run            # a file beside the study, or my_package.train:run
    metrics: {accuracy: maximize, psnr: {direction: maximize, unit: dB}}
    trials:
      - name: "width {arguments.width}"
        arguments: {epochs: 3}
        grid: {arguments.width: [4, 8]}

Its key is made of its arguments (without those at the default of its signature), its precision, and the digest of its
code. What it returns is one evaluation, the same of all functions: the harness does not know its data.
"""

import inspect
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, get_args

from harness.attempt.messages import EvaluationSpec
from harness.attempt.metrics import Direction, Metric
from harness.base.checks import FieldError
from harness.base.errors import HarnessError, did_you_mean, name_fault, printable_line
from harness.base.keys import canonical_json, evaluation_key
from harness.plugins.plugin import code_of, load_plugin, plugin_options
from harness.plugins.signature import written_signature
from harness.trial.trial import FUNCTION, Trial

Precision = Literal["fp32", "tf32", "bf16"]
_LONGEST_UNIT = 20
_RETURNED = {"kind": "returned"}
RETURNED = EvaluationSpec(
    key=evaluation_key("function", _RETURNED),
    dataset="function",
    split="returned",
    fingerprint="function",
    images=0,
    bytes=0,
    condition=_RETURNED,
)
"""The evaluation that a function's metrics belong to."""


def resolve_function(
    *, task: Mapping[str, Any], target: Any, arguments: Any, metrics: Any, folders: Sequence[str]
) -> Trial:
    """Resolve a trial of a function.

    Raises FieldError with the path of what is wrong: a target that is not there, an argument that it does not take.
    """
    reference = _reference(target)
    digest, signature = _read_target(reference, folders)
    if metrics is None and task["kind"] != FUNCTION:  # a package's task may say them itself
        metrics = getattr(load_target(reference, folders)[0], "metrics", None)
    config_task: dict[str, Any] = {"kind": FUNCTION, "target": reference, "code": digest, **task_options(task)}
    return Trial(
        config={"task": config_task, "arguments": _arguments(reference, signature, arguments)},
        data=(),
        protocol=None,
        evaluations=(RETURNED,),
        metrics=declared_metrics(metrics),
    )


def load_target(reference: str, folders: Sequence[str]) -> tuple[Callable[..., Any], str]:
    """Return the function that `file.py:name` or `package.module:name` names, and the digest of its code.

    Raises FieldError if there is none.
    """
    try:
        found, digest = load_plugin(reference, folders)
    except FieldError as error:
        raise FieldError(("target",), error.message) from error.__cause__
    if not callable(found):
        raise FieldError(("target",), f"'{reference}' is not a function, but {type(found).__name__}")
    return found, digest


def _read_target(reference: str, folders: Sequence[str]) -> tuple[str, inspect.Signature]:
    """Return the digest of a target's code and its signature, without importing it if `def` says it all.

    Raises FieldError if there is none, or if it is not a function of a context.
    """
    try:
        digest, tree = code_of(reference, folders)
    except FieldError as error:
        raise FieldError(("target",), error.message) from error.__cause__
    name = reference.rpartition(":")[2]
    signature = written_signature(tree, name) or inspect.signature(load_target(reference, folders)[0])
    leading = next(iter(signature.parameters.values()), None)
    if leading is None or leading.kind not in {leading.POSITIONAL_ONLY, leading.POSITIONAL_OR_KEYWORD}:
        raise FieldError(("target",), f"'{reference}' takes no context: write def {name}(context, *, width, …)")
    return digest, signature


def target_signature(reference: str, folders: Sequence[str]) -> inspect.Signature:
    """Return a function's signature, its context among the parameters. Raises FieldError if there is none."""
    return _read_target(reference, folders)[1]


def _reference(target: Any) -> str:
    if not isinstance(target, str) or not all(target.rpartition(":")[::2]):
        said = "'target' is missing" if target is None else f"'target' must not be {target!r}"
        raise FieldError(("target",), f"{said}: write FILE.py:FUNCTION or package.module:function")
    return target


def task_options(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task's options that are part of the key."""
    for name in task:
        if name not in {"kind", "precision"}:
            raise FieldError(("task", name), f"unknown key '{name}'{did_you_mean(name, ['precision'])}")
    precision = task.get("precision", "fp32")
    if precision not in get_args(Precision):
        raise FieldError(("task", "precision"), f"'precision' must be fp32, tf32 or bf16, not {precision!r}")
    return {} if precision == "fp32" else {"precision": precision}


def _arguments(reference: str, signature: inspect.Signature, arguments: Any) -> dict[str, Any]:
    """Return the arguments without those at their default."""
    given = {} if arguments is None else arguments
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise FieldError(("arguments",), f"'arguments' must be a mapping from name to value, not {arguments!r}")
    try:
        kept = plugin_options(signature, given, leading=1, what="argument")
    except FieldError as error:
        place = ("arguments", *error.path) if error.path[0] in given else ("arguments",)
        raise FieldError(place, f"{error.message} (of {reference})") from None
    for name, value in kept.items():
        try:
            canonical_json(value)
        except (TypeError, ValueError):
            raise FieldError(
                ("arguments", name), f"'{name}' must be made of finite numbers, words, lists: {value!r}"
            ) from None
    return kept


def declared_metrics(metrics: Any) -> tuple[Metric, ...]:
    """Return the metrics that a function returns, each with its better direction and its unit."""
    if metrics is None:
        raise FieldError(("metrics",), "'metrics' is missing: what the function returns, as {accuracy: maximize}")
    if not isinstance(metrics, Mapping) or not metrics:
        raise FieldError(("metrics",), f"'metrics' is written {{NAME: maximize or minimize}}, not {metrics!r}")
    for name in metrics:
        if not isinstance(name, str) or not name.isprintable() or name_fault(name) or name != name.strip():
            raise FieldError(("metrics",), f"a metric has a name in one line without spaces around it, not {name!r}")
    return tuple(_metric(name, written) for name, written in metrics.items())


def _metric(name: str, written: Any) -> Metric:
    """Return a metric written `maximize`, `minimize` or `{direction: minimize, unit: dB}`."""
    parts = written if isinstance(written, Mapping) else {"direction": written}
    for key in parts:
        if key not in {"direction", "unit"}:
            known = did_you_mean(str(key), ["direction", "unit"])
            raise FieldError(("metrics", name), f"unknown key '{key}' of metric '{name}'{known}")
    direction, unit = parts.get("direction"), parts.get("unit", "")
    if direction not in get_args(Direction):
        near = did_you_mean(str(direction), get_args(Direction))
        raise FieldError(("metrics", name), f"'{name}' is to maximize or to minimize, not {direction!r}{near}")
    if not isinstance(unit, str) or not unit.isprintable() or len(unit) > _LONGEST_UNIT:
        raise FieldError(("metrics", name), f"the unit of '{name}' must be a short word such as dB, not {unit!r}")
    return Metric(name, unit, "higher" if direction == "maximize" else "lower")


def returned_metrics(returned: Any, metrics: Collection[str]) -> tuple[dict[str, float], list[str]]:
    """Return what a function returned as numbers, and what is to be said of those that are none.

    None is NaN. What is neither a number nor a declared metric is left out: a run is not lost for it. Raises
    HarnessError if a declared metric is missing or is not a number.
    """
    if not isinstance(returned, Mapping):
        raise HarnessError(f"the function returned {_kind(returned)}, not its metrics: return {{'accuracy': 0.93}}")
    if missing := [name for name in metrics if name not in returned]:
        near = did_you_mean(missing[0], [str(name) for name in returned])
        raise HarnessError(f"the function did not return the metric '{missing[0]}'{near}")
    numbers: dict[str, float] = {}
    notes: list[str] = []
    for name, value in returned.items():
        try:
            numbers[str(name)] = as_number(str(name), value, "the function returned")
        except HarnessError as error:
            if name in metrics:
                raise
            notes.append(f"{error}; it is left out")
            continue
        if value is None:
            notes.append(f"the function returned nothing for '{name}': it is stored as NaN")
    return numbers, notes


def as_number(name: str, value: Any, said: str) -> float:
    """Return what a function gave for a metric as a number, None as NaN.

    Raises HarnessError, which begins with `said`, for anything else, and for a name that no metric can have.
    """
    if (fault := name_fault(name)) is not None:
        raise HarnessError(f"{said} a metric '{printable_line(name)}', which cannot be its name: {fault}")
    if value is None:
        return math.nan
    try:
        if isinstance(value, str | bytes):  # which float() would read
            raise TypeError
        return float(value)
    except OverflowError:
        raise HarnessError(f"{said} {_kind(value)} for '{name}' that is too large: {_LARGEST}") from None
    except (TypeError, ValueError, RuntimeError):  # the last: torch's, of a tensor with several values
        raise HarnessError(f"{said} {_kind(value)} for '{name}': a number is wanted") from None


_LARGEST = f"a metric is a number of up to {sys.float_info.max:.1e}"


def _kind(value: object) -> str:
    kind = type(value).__name__
    return "nothing" if value is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
