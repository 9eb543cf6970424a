"""What an evaluation has found item by item so far, kept in the attempt's folder so that another attempt resumes there.

    items.jsonl: a line with what must be equal to resume, then a line per part, each with its checksum

A part is one item (image, signal) or a few that are evaluated at once. Lines are appended one by one, so a killed
attempt loses the part that it was at.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from harness.base.errors import DamagedError
from harness.base.files import read_regular

ITEMS_FILE = "items.jsonl"


@dataclass(frozen=True)
class Part:
    """The values of some items of an evaluation: by name NumPy's type and the bytes as hexadecimal digits."""

    evaluation: str  # its key
    count: int
    values: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class KeptItems:
    """What a file of items holds. `compatible` is what must be equal for an attempt to resume from it."""

    compatible: Mapping[str, Any]
    parts: tuple[Part, ...]

    @property
    def done(self) -> int:
        """How many items have been evaluated."""
        return sum(part.count for part in self.parts)


def head_line(compatible: Mapping[str, Any]) -> str:
    """Return the first line of a file of items."""
    return _line({"compatible": dict(compatible)})


def part_line(part: Part) -> str:
    """Return the line of a part."""
    return _line(asdict(part))


def read_items(path: Path) -> KeptItems | None:
    """Read a file of items; None if there is none. A last line that was cut off by a crash is left out.

    Raises DamagedError if another line is not what was written.
    """
    if not path.exists():
        return None
    *lines, rest = read_regular(path).split(b"\n")
    if _WHOLE.search(rest):
        raise DamagedError(f"line {path.name}:{len(lines) + 1} is not what was written: its end differs")
    rows = [_fields(line, f"{path.name}:{number}") for number, line in enumerate(lines, 1)]
    try:
        parts = tuple(
            Part(row["evaluation"], row["count"], {name: (kind, data) for name, (kind, data) in row["values"].items()})
            for row in rows[1:]
        )
        return KeptItems(rows[0]["compatible"], parts) if rows else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{path.name} does not hold items") from error


_WHOLE = re.compile(rb'"crc32": \d+\}.')  # with something else where the line ends


def _line(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, allow_nan=False)
    return f'{text[:-1]}, "crc32": {crc32(text.encode())}}}\n'


def _fields(line: bytes, where: str) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(line)
        checksum = fields.pop("crc32")
        right = crc32(json.dumps(fields, allow_nan=False).encode())
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise DamagedError(f"line {where} is not a line of items") from error
    if checksum != right:
        raise DamagedError(f"line {where} is not what was written: its checksum differs")
    return fields
