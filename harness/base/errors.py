"""What a person sees if something that she wrote cannot be used: one line with what, where and what to do."""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache


class HarnessError(Exception):
    """Wrong input, or a state that a person must fix. Its message is one line; the command line exits with 2."""


class SpecError(HarnessError):
    """A study (or table) file that cannot be used, with the place in it."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        place = "" if file is None else f"{file}:{line}: " if line is not None else f"{file}: "
        super().__init__(f"{place}{message}")
        self.message = message


class DamagedError(HarnessError):
    """A file that is not what was written: bits flipped, cut off, overwritten."""


class DiedError(HarnessError):
    """A process of an attempt died by itself (a segfault, SIGKILL out of nowhere): the attempt is lost, and resumes."""


_OF_THE_ENVIRONMENT = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO})
_WORDS = tuple(os.strerror(number) for number in sorted(_OF_THE_ENVIRONMENT))
_HALF_WRITTEN = ("inline_container.cc", "unexpected pos"), ("PytorchStreamWriter", "failed writing")
"""What torch says, without a number, when it cannot write a file to its end."""


def environment_failure(error: BaseException) -> bool:
    """Return whether a full or read-only disk, a quota, a permission or a failing device is at fault, not the code.

    A library may replace the system's error by its own, or leave out its number. An error that cannot be looked at is
    of a class of the code's own.
    """
    try:
        return _is_of_the_environment(error)
    except BaseException:  # noqa: BLE001 - a person's own class, or causes without an end
        return False


def _is_of_the_environment(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _OF_THE_ENVIRONMENT
    if not isinstance(error, OSError | RuntimeError | HarnessError):
        return False
    said = "" if isinstance(error, HarnessError) else str(error)
    if any(all(part in said for part in parts) for parts in _HALF_WRITTEN) or any(word in said for word in _WORDS):
        return True
    return error.__cause__ is not None and _is_of_the_environment(error.__cause__)


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """Turn whatever a person's own code raises in the block into a HarnessError that begins with `what`."""
    try:
        yield
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:
        raise HarnessError(f"{what}: {' '.join([f'{type(error).__name__}:', *message_of(error).split()])}") from error


def kind_of(error: BaseException) -> str:
    """Return the name of an error's type in one line."""
    return _on_one_line(type(error).__name__)


def message_of(error: BaseException) -> str:
    """Return an error's message, whatever its class makes of being asked for it."""
    try:
        return "".join([str(error)])  # no subclass of str, which may be anything
    except BaseException:  # noqa: BLE001 - a person's own class
        return "(its message cannot be read)"


_LONGEST = 2000  # characters of an error that are kept in one line; its trace has them all


def in_a_line(error: BaseException) -> str:
    """Return an error's type and message in one line that can be printed and stored; of a HarnessError its message.

    Nothing that an error holds can get in the way: no message that raises, that is not text, or that has no end.
    """
    message, kind = message_of(error), kind_of(error)
    words = _on_one_line(message[:_LONGEST])
    if len(message) > _LONGEST:
        words += f" … ({len(message):,} characters in all)"
    if issubclass(type(error), HarnessError):
        return words or kind
    return f"{kind}: {words}" if words else kind


def _on_one_line(text: str) -> str:
    return " ".join(text.split()).encode(errors="backslashreplace").decode()


def wants_values(error: Exception) -> bool:
    """Return whether an error may come of tensors without values, which neither torch nor NumPy can read."""
    cause = error.__cause__ if isinstance(error, HarnessError) else error
    return isinstance(cause, RuntimeError | TypeError | ValueError)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known word, or the list of known words if none is near."""
    names = sorted(known)
    near = get_close_matches(str(word), names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


def shortened(text: str, most: int = 300) -> str:
    """Return a text of somebody else's for a message: of a long one the beginning, and how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


_OBEYED = "\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROL = re.compile(f"[{_OBEYED}]")
_CONTROL_OR_BREAK = re.compile(f"[{_OBEYED}\t\n\u2028\u2029]")
_SHORT = {"\t": "\\t", "\n": "\\n"}


def printable(text: str) -> str:
    """Return a text for people: what moves the cursor, sets colours or turns the direction is shown, as \\x1b.

    Its lines and tabs stay.
    """
    return _CONTROL.sub(_shown, text)


def printable_line(text: str) -> str:
    """Return a text for people in one line: of a name, or of what is in a cell."""
    return _CONTROL_OR_BREAK.sub(_shown, text)


def printable_json(text: str) -> str:
    """Return a text of JSON that says the same, in which control characters are written as \\u009b."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return _SHORT.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


@lru_cache(maxsize=1024)  # a file of results has few names, each thousands of times
def name_fault(name: str) -> str | None:
    """Return why something cannot have a name, or None: it is empty, or holds control characters or line breaks."""
    if not name.strip():
        return "it is empty"
    found = _CONTROL_OR_BREAK.search(name)
    return None if found is None else f"it holds the control character {_shown(found)}"
