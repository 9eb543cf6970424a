"""Streams that a terminal obeys in nothing: what is stored comes from anyone, and names may hold escape sequences.

They are put in front of stdout and stderr once, around every command, so that nothing that prints has to think of it.
What is written into files, as JSON or CSV stays as it is: stdout is only looked at if it is a terminal.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from harness.spec.errors import printable


class Guarded:
    """A text stream that shows control characters instead of sending them; in all else the stream behind it."""

    def __init__(self, stream: IO[str], *, always: bool) -> None:
        self.stream = stream
        self._always = always

    def write(self, text: str) -> int:
        """Write a text; \\x1b and its like come as these four characters."""
        self.stream.write(printable(text) if self._always or self.stream.isatty() else text)
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return what the stream behind has."""
        return getattr(self.stream, name)


@contextmanager
def guarded() -> Iterator[None]:
    """Guard stdout, if it is a terminal, and stderr during the block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Guarded(sys.stdout, always=False), Guarded(sys.stderr, always=True)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def unguarded() -> Iterator[None]:
    """Take the guard away during the block: for a server whose own log has colours."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = behind(sys.stdout), behind(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def behind(stream: Any) -> Any:
    """Return the stream behind a guarded one, for what moves the cursor itself and prints names as `printable` does."""
    return stream.stream if isinstance(stream, Guarded) else stream
