"""Streams that a terminal obeys in nothing: what is stored comes from anyone, and names may hold escape sequences.

They are put in front of stdout and stderr once, around every command, so that nothing that prints has to think of it;
what goes into a pipe may end on a terminal, too. JSON has its own spelling of control characters, `printable_json`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, Any

import click

from harness.base.errors import printable


class Guarded:
    """A text stream that shows control characters instead of sending them; in all else the stream behind it."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text; \\x1b and its like come as these four characters."""
        self.stream.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return what the stream behind has."""
        return getattr(self.stream, name)


class Unfailing(Guarded):
    """A guarded stream of what is said beside the output: what it does not take (a full disk) goes nowhere."""

    def write(self, text: str) -> int:
        """Write a text, or not."""
        with suppress(OSError, ValueError):  # ValueError: of a stream that was closed
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write what was held back, or not."""
        with suppress(OSError, ValueError):
            self.stream.flush()


@contextmanager
def guarded() -> Iterator[None]:
    """Guard stdout and stderr during the block. What stderr does not take is not an error; what stdout does not, is."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Guarded(sys.stdout), Unfailing(sys.stderr)
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


def echo_as_it_is(text: str) -> None:
    """Print what another program is to read byte by byte, a patch or a page; on a terminal as everything else."""
    with nullcontext() if sys.stdout.isatty() else unguarded():
        click.echo(text, nl=False, color=True)
