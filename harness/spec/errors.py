"""What a person is told when something that she wrote cannot be used: one line with what, where and what to do."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class HarnessError(Exception):
    """Wrong input, or a state that a person must mend. Its message is one line; the command line exits with 2."""


class SpecError(HarnessError):
    """A study (or table) file that cannot be used, with the place in it."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        place = "" if file is None else f"{file}:{line}: " if line is not None else f"{file}: "
        super().__init__(f"{place}{message}")
        self.message = message


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """Turn whatever a person's own code raises in the block into a HarnessError that begins with `what`."""
    try:
        yield
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        raise HarnessError(f"{what}: {' '.join([f'{type(error).__name__}:', *str(error).split()])}") from error


def wants_values(error: Exception) -> bool:
    """Return whether an error may come of tensors without values, which neither torch nor NumPy can read."""
    cause = error.__cause__ if isinstance(error, HarnessError) else error
    return isinstance(cause, RuntimeError | TypeError | ValueError)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known word, or the list of known words where none is near."""
    names = sorted(known)
    near = get_close_matches(str(word), names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


def shortened(text: str, most: int = 300) -> str:
    """Return a text of somebody else's for a message: of a long one the beginning, and how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return a text for a terminal: what moves the cursor, sets colours or turns the direction is shown, as \\x1b."""
    return _CONTROL.sub(lambda found: _escaped(ord(found[0])), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
