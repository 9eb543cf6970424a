"""pydantic's complaints as one line in the words of this project: which key, what is wrong, the nearest right word."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from harness.base.errors import HarnessError, did_you_mean
from harness.base.source import YamlPath

_Model = TypeVar("_Model", bound=BaseModel)


class FieldError(HarnessError):
    """Something is wrong at a path within a mapping; whoever knows the file adds file and line."""

    def __init__(self, path: YamlPath, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


class MisfitError(FieldError):
    """A trial whose parts are all right by themselves: its compressors cannot be at their sites in its network.

    Of a grid over networks, sites and compressors some points may be such; `--skip-invalid` skips them.
    """


def validate(model: type[_Model], value: Any, path: YamlPath = ()) -> _Model:
    """Return `value` as a `model`. Raises FieldError for the first thing that is wrong."""
    if not isinstance(value, dict):
        raise FieldError(path, f"{_quoted(path)} must be a mapping, not {value!r}")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        errors = error.errors()
        unknown = [e for e in errors if e["type"] == "extra_forbidden"]  # a misspelt key also leaves one missing
        inside = [e for e in errors if e["type"] not in _OF_SCALARS or not isinstance(e["input"], dict)]  # of a union
        first = (unknown or inside or errors)[0]
        place = _place(value, first)
        types = {e["type"] for e in errors if _place(value, e) == place}
        raise FieldError((*path, *place), _words(model, first, place, types)) from None


_OF_SCALARS = {"literal_error", "float_type", "int_type", "string_type", "bool_type"}


def _place(value: Any, error: Any) -> YamlPath:
    """Return where an error is within `value`: pydantic's path without the tags of unions that it puts in."""
    loc: YamlPath = tuple(error["loc"])
    place: list[str | int] = []
    for i, key in enumerate(loc):
        inside = key in value if isinstance(value, dict) else isinstance(value, list) and type(key) is int
        if inside:
            place.append(key)
            value = value[key]
        elif i == len(loc) - 1 and error["type"] == "missing":
            place.append(key)
    return tuple(place)


_ALONE = {
    "missing": "is missing",
    "union_tag_not_found": "needs a 'kind'",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_WORDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be a word or a text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_UNIONS = {
    frozenset({"string_type", "dict_type"}): "must be a name or a mapping {kind: NAME, option: value}",
    frozenset({"string_type", "list_type"}): "must be a word or a list of words",
}


def _words(model: type[BaseModel], error: Any, place: YamlPath, types: set[str]) -> str:
    """Return what is wrong at `place`; `types` are pydantic's names of all that it finds wrong there."""
    kind, given = error["type"], error["input"]
    name = _quoted(place)
    if kind == "extra_forbidden":
        return f"unknown key '{place[-1]}'{did_you_mean(place[-1], _fields_at(model, tuple(error['loc'])[:-1]))}"
    if kind == "union_tag_invalid":
        tag = error["ctx"]["tag"]
        known = [word.strip("'") for word in error["ctx"]["expected_tags"].split(", ")]
        return f"unknown kind '{tag}' of {name}{did_you_mean(tag, known)}"
    if kind in _ALONE:
        return f"{name} {_ALONE[kind]}"
    words = _UNIONS.get(frozenset(types)) or _WORDS.get(kind)
    if kind == "string_pattern_mismatch":
        words = f"must match {error['ctx']['pattern']}"
    elif words is None:
        words = f"must be {str(error['msg']).removeprefix('Value error, ').removeprefix('Input should be ')}"
    return f"{name} {words}, not {given!r}"


def _fields_at(model: type[BaseModel], path: YamlPath) -> list[str]:
    """Return the field names of the model that is at `path` within `model`."""
    current: Any = model
    for key in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and key in current.model_fields:
            current = _model_in(current.model_fields[str(key)].annotation, path)
        elif isinstance(key, str):
            continue  # the tag of a union, which pydantic puts into the path
    if not isinstance(current, type) or not issubclass(current, BaseModel):
        return []
    return [field.alias or name for name, field in current.model_fields.items()]


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


def _quoted(path: YamlPath) -> str:
    """Return the name of a path for people: what follows its last number, as the line says which item is meant."""
    end = max((i + 1 for i, part in enumerate(path) if isinstance(part, int)), default=0)
    if path and end == len(path):
        return f"an item of {_quoted(path[:-1])}"
    return f"'{'.'.join(str(part) for part in path[end:])}'" if path else "this"
