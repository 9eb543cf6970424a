"""A YAML file as plain data that remembers on which line each thing is.

ruamel.yaml in its safe, pure form: `1e-4` is a number and `no` is a word (YAML 1.2). Tags are refused, so that a file
can never build a Python object, and so are keys that occur twice. Aliases (`*x`) stand for what they name; merge keys
(`<<`) are refused, because what they bring has no line of its own.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node
from ruamel.yaml.scanner import Scanner

from harness.base.errors import SpecError

YamlPath = tuple[str | int, ...]

_PLAIN = "tag:yaml.org,2002:"
LARGEST = 100_000
"""Keys and items of a file, each alias counted as what it names: aliases of aliases could otherwise fill the memory."""
_DEEPEST = 50  # brackets within each other
_MOST_BYTES = 500_000  # the reader takes about 20 s for so many
_MOST_CHARACTERS = 1_000_000  # of all values, each alias counted again
_OPEN_PIPES = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
_SHOWN = 20  # characters of a value that cannot be read
_KINDS = {"int": "whole number", "float": "number", "bool": "true or false"}
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
    """Read a YAML file. Raises SpecError, with file and line, for what is not a plain YAML mapping."""
    return parse_source(read_text(path, pipes=str(path).startswith(_OPEN_PIPES)), str(path))


def read_text(path: Path | str, *, pipes: bool = False) -> str:
    """Return the text of a file, and with `pipes` that of a pipe. Raises SpecError, which names it, if it cannot.

    A named pipe could keep us waiting, a device has no end, and a file may be larger than the memory.
    """
    file = str(path)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | (0 if pipes else os.O_NONBLOCK)), "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if not stat.S_ISREG(mode) and not (pipes and stat.S_ISFIFO(mode)):
                raise SpecError("is not a file but a folder, a pipe or a device", file=file)
            read = opened.read(_MOST_BYTES + 1)
        if len(read) > _MOST_BYTES:
            raise SpecError(f"is larger than {_MOST_BYTES:,} bytes, which no file of this kind needs", file=file)
        return read.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise SpecError("there is no such file", file=file) from None
    except UnicodeDecodeError:
        raise SpecError("is not text in UTF-8", file=file) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", file=file) from None
    except ValueError as error:  # of a name that no file can have
        raise SpecError(f"cannot be read: {error}", file=file) from None


def parse_source(text: str, file: str) -> Source:
    """Parse YAML text that came from `file`."""
    lines: dict[YamlPath, int] = {}
    try:
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _Scanner
        node = yaml.compose(text)
        data = None if node is None else _Reader(file, YAML(typ="safe", pure=True)).plain(node, (), lines)
    except RecursionError:
        raise SpecError("things stand too deep within each other, or within themselves", file=file) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SpecError(
            f"not valid YAML: {error.problem or error.context}",
            file=file,
            line=mark.line + 1 if mark else None,
        ) from None
    except YAMLError as error:
        raise SpecError(f"not valid YAML: {str(error).splitlines()[0]}", file=file) from None
    if not isinstance(data, dict):
        raise SpecError("the file must hold a mapping (key: value lines)", file=file, line=1)
    return Source(file=file, data=data, text=text, lines=lines)


class _Scanner(Scanner):
    """ruamel's, which looks at each open bracket again and again: hundreds of them take it ten seconds."""

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 - as it is called there
        """Begin a list or mapping in brackets. Raises RecursionError for one that is too deep within others."""
        if self.flow_level >= _DEEPEST:
            raise RecursionError
        super().fetch_flow_collection_start(TokenClass, to_push)


def parse_value(text: str, what: str) -> Any:
    """Parse one YAML value, as given on a command line; `what` names it in errors."""
    try:
        data = parse_source(f"value: {text}", what).data
    except SpecError as error:
        raise SpecError(error.message, file=what) from None  # the one line that there is needs no number
    if len(data) > 1:
        raise SpecError("one value is wanted, on one line", file=what)
    return data["value"]


@dataclass
class _Reader:
    """Turns the nodes of one file into plain values; `yaml` reads the scalars, and is made once: that takes time."""

    file: str
    yaml: YAML
    characters: int = 0  # of the scalars so far

    def plain(self, node: Node, path: YamlPath, lines: dict[YamlPath, int]) -> Any:
        """Turn a node into dicts, lists and scalars, noting the line of each path."""
        line = node.start_mark.line + 1
        lines.setdefault(path, line)
        if len(lines) > LARGEST:
            raise SpecError(f"the file holds more than {LARGEST:,} things, counting aliases", file=self.file)
        if isinstance(node, MappingNode):
            if node.tag != f"{_PLAIN}map":
                raise _tag_refused(node, self.file, line)
            return self._mapping(node, path, lines)
        if isinstance(node, SequenceNode):
            if node.tag != f"{_PLAIN}seq":
                raise _tag_refused(node, self.file, line)
            return [self.plain(item, (*path, i), lines) for i, item in enumerate(node.value)]
        if not isinstance(node, ScalarNode) or node.tag not in _SCALARS:
            raise _tag_refused(node, self.file, line)
        return self._scalar(node, line)

    def _mapping(self, node: MappingNode, path: YamlPath, lines: dict[YamlPath, int]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self.plain(key_node, (*path, "<key>"), {})
            if not isinstance(key, str):
                raise SpecError(f"the key {key!r} must be a word", file=self.file, line=line)
            if key in result:
                raise SpecError(f"the key '{key}' occurs twice", file=self.file, line=line)
            lines[(*path, key)] = line
            result[key] = self.plain(value_node, (*path, key), lines)
        return result

    def _scalar(self, node: ScalarNode, line: int) -> Any:
        self.characters += len(node.value)
        if self.characters > _MOST_CHARACTERS:
            raise SpecError(
                f"the file holds more than {_MOST_CHARACTERS:,} characters, counting aliases", file=self.file
            )
        try:
            return self.yaml.constructor.construct_object(node)
        except (ValueError, KeyError):  # of a word under a tag of numbers, or of more digits than Python reads
            said = node.value if len(node.value) <= _SHOWN else f"{node.value[:_SHOWN]}…"
            kind = _KINDS.get(str(node.tag).removeprefix(_PLAIN), "value")
            raise SpecError(f"'{said}' is no {kind} that can be read", file=self.file, line=line) from None


def _tag_refused(node: Node, file: str, line: int) -> SpecError:
    tag = str(node.tag).replace(_PLAIN, "!!")
    if tag == "!!merge":
        return SpecError("merge keys ('<<') are not allowed here: write the keys out", file=file, line=line)
    if tag == "!!timestamp":
        return SpecError(f"'{node.value}' is a date in YAML: put it into quotes", file=file, line=line)
    return SpecError(f"the tag '{tag}' is not allowed here: write plain values", file=file, line=line)
