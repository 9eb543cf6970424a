"""The fields of a dataclass of ours as the form of what a person writes, without importing its module, and so torch.

The form follows from what the module's text says: `stride: int`, `largest: bool = True`, `reduce: Reduction = "max"`
where `Reduction = Literal["max", "min"]`, `draw: Annotated[int, range(2**32)] = 0`. A number or a truth value must be
written as one.
"""

import ast
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, Field, create_model

_Form = TypeVar("_Form", bound=BaseModel)

_WORDS: Mapping[str, Any] = {
    "Annotated": Annotated,
    "Literal": Literal,
    "range": range,
    "bool": Annotated[bool, Field(strict=True)],
    "float": Annotated[float, Field(strict=True, allow_inf_nan=False)],
    "int": Annotated[int, Field(strict=True)],
    "str": Annotated[str, Field(strict=True)],
}
"""What a field's annotation may be made of, apart from names that its module gives to such annotations."""


def form_of(code: str, base: type[_Form]) -> type[_Form]:
    """Return `base` with those fields of the dataclass `module:Class` of ours that it does not have itself.

    Raises TypeError for a class that is not there, and for a field that is made of other words: a mistake of ours.
    """
    module, _, name = code.partition(":")
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise TypeError(f"there is no module '{module}'")
    tree = ast.parse(Path(spec.origin).read_bytes())
    found = next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name), None)
    if found is None:
        raise TypeError(f"'{module}' defines no class '{name}'")
    aliases = dict(alias for node in tree.body for alias in _alias(node))
    fields = {field: each for field, each in _fields(found, aliases) if field not in base.model_fields}
    return create_model(f"{name}Options", __base__=base, **fields)


def _alias(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def _fields(cls: ast.ClassDef, aliases: Mapping[str, ast.expr]) -> Iterator[tuple[str, Any]]:
    """Yield each field's name with its type and default, as pydantic takes them; those of the class are none."""
    for node in cls.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        annotation = node.annotation
        if isinstance(annotation, ast.Name) and annotation.id in aliases:
            annotation = aliases[annotation.id]
        if ast.unparse(annotation).startswith("ClassVar"):
            continue
        default = ... if node.value is None else _value(node.value)
        yield node.target.id, (_bounded(_value(annotation)), default)


def _value(expression: ast.expr) -> Any:
    """Return what an expression of ours is, made of a few words: nothing that a person wrote comes here."""
    try:
        return eval(compile(ast.Expression(expression), "", "eval"), {"__builtins__": {}, **_WORDS})  # noqa: S307
    except NameError as error:
        raise TypeError(f"'{ast.unparse(expression)}' in a field: {error}") from error


def _bounded(annotation: Any) -> Any:
    """Return an annotation with `range(a, b)` in it in pydantic's words."""
    if get_origin(annotation) is not Annotated:
        return annotation
    kind, *notes = get_args(annotation)
    return Annotated[(kind, *(Field(ge=n.start, lt=n.stop) if isinstance(n, range) else n for n in notes))]
