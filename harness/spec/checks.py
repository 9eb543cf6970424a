"""pydantic's complaints as one line in the words of this project: which key, what is wrong, the nearest right word."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.spec.errors import HarnessError, did_you_mean
from harness.spec.source import YamlPath

_Model = TypeVar("_Model", bound=BaseModel)


class FieldError(HarnessError):
    """Something is wrong at a path within a mapping; whoever knows the file adds file and line."""

    def __init__(self, path: YamlPath, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def validate(model: type[_Model], value: Any, path: YamlPath = ()) -> _Model:
    """Return `value` as a `model`. Raises FieldError for the first thing that is wrong."""
    if not isinstance(value, dict):
        raise FieldError(path, f"{_dotted(path)} must be a mapping, not {value!r}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors()
        unknown = [e for e in errors if e["type"] == "extra_forbidden"]  # a misspelt key also leaves one missing
        first = (unknown or errors)[0]
        loc = tuple(first["loc"])
        raise FieldError((*path, *loc), _words(model, first, loc)) from None


def _words(model: type[BaseModel], error: Any, loc: YamlPath) -> str:
    name = _dotted(loc)
    if error["type"] == "extra_forbidden":
        return f"unknown key '{loc[-1]}'{did_you_mean(loc[-1], _fields_at(model, loc[:-1]))}"
    if error["type"] == "missing":
        return f"'{name}' is missing"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return f"'{name}' must be {message}, not {error['input']!r}"


def _fields_at(model: type[BaseModel], path: YamlPath) -> list[str]:
    """Return the field names of the model that stands at `path` within `model`."""
    current: Any = model
    for key in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and key in current.model_fields:
            current = _model_in(current.model_fields[str(key)].annotation, path)
        elif isinstance(key, str):
            continue  # the tag of a union, which pydantic puts into the path
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _model_in(annotation: Any, path: YamlPath) -> Any:
    """Return the pydantic model within an annotation such as list[Model] or A | B (by the tag in the path)."""
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    nested = [c for a in candidates for c in (a, *getattr(a, "__args__", ()))]
    models = [c for c in nested if isinstance(c, type) and issubclass(c, BaseModel)]
    tagged = [m for m in models if "kind" in m.model_fields and any(_tag(m) == key for key in path)]
    return next(iter(tagged or models), None)


def _tag(model: type[BaseModel]) -> Any:
    args = getattr(model.model_fields["kind"].annotation, "__args__", ())
    return args[0] if args else None


def _dotted(path: YamlPath) -> str:
    return ".".join(str(part) for part in path) or "this"
