"""A YAML file as plain data that remembers on which line each thing stands.

ruamel.yaml in its safe, pure form: `1e-4` is a number and `no` is a word (YAML 1.2). Tags are refused, so that a file
can never build a Python object, and so are keys that occur twice.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node

from harness.spec.errors import SpecError

YamlPath = tuple[str | int, ...]

_PLAIN = "tag:yaml.org,2002:"
_SCALARS = {f"{_PLAIN}{name}" for name in ("str", "int", "float", "bool", "null")}


@dataclass(frozen=True)
class Source:
    """A file's contents with the line of every key and item (1 is the first line)."""

    file: str
    data: Any
    text: str
    lines: dict[YamlPath, int] = field(repr=False)

    def line(self, path: YamlPath) -> int | None:
        """Return the line of a path, or that of the nearest thing around it that the file holds."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None

    def has(self, path: YamlPath) -> bool:
        """Return whether the file itself holds this path."""
        return path in self.lines

    def error(self, path: YamlPath, message: str) -> SpecError:
        """Return an error that names this file and the line of `path`."""
        return SpecError(message, file=self.file, line=self.line(path))


def read_source(path: Path | str) -> Source:
    """Read a YAML file. Raises SpecError, with file and line, for what is no plain YAML mapping."""
    file = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError("there is no such file", file=file) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read: {error}", file=file) from None
    return parse_source(text, file)


def parse_source(text: str, file: str) -> Source:
    """Parse YAML text that came from `file`."""
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SpecError(
            f"not valid YAML: {error.problem or error.context}",
            file=file,
            line=mark.line + 1 if mark else None,
        ) from None
    except YAMLError as error:
        raise SpecError(f"not valid YAML: {str(error).splitlines()[0]}", file=file) from None
    lines: dict[YamlPath, int] = {}
    data = None if node is None else _plain(node, (), lines, file)
    if not isinstance(data, dict):
        raise SpecError("the file must hold a mapping (key: value lines)", file=file, line=1)
    return Source(file=file, data=data, text=text, lines=lines)


def parse_value(text: str, what: str) -> Any:
    """Parse one YAML value, as given on a command line; `what` names it in errors."""
    return parse_source(f"value: {text}", what).data["value"]


def _plain(node: Node, path: YamlPath, lines: dict[YamlPath, int], file: str) -> Any:
    """Turn a node into dicts, lists and scalars, noting the line of each path."""
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if isinstance(node, MappingNode):
        if node.tag != f"{_PLAIN}map":
            raise _tag_refused(node, file, line)
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            key = _plain(key_node, (*path, "<key>"), {}, file)
            if not isinstance(key, str):
                raise SpecError(f"the key {key!r} must be a word", file=file, line=key_line)
            if key in result:
                raise SpecError(f"the key '{key}' occurs twice", file=file, line=key_line)
            lines[(*path, key)] = key_line
            result[key] = _plain(value_node, (*path, key), lines, file)
        return result
    if isinstance(node, SequenceNode):
        if node.tag != f"{_PLAIN}seq":
            raise _tag_refused(node, file, line)
        return [_plain(item, (*path, i), lines, file) for i, item in enumerate(node.value)]
    if not isinstance(node, ScalarNode) or node.tag not in _SCALARS:
        raise _tag_refused(node, file, line)
    return YAML(typ="safe", pure=True).constructor.construct_object(node)


def _tag_refused(node: Node, file: str, line: int) -> SpecError:
    return SpecError(f"the tag '{node.tag}' is not allowed here: write plain values", file=file, line=line)
