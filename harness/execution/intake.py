"""Taking what an attempt left in its folder into the store: by the driver when it ends, by the next one after a crash.

A result may be anything: it comes from a worker that may have died, and from a person's own function. One that the
tables do not accept is that attempt's failure; one that is not what was written (a damaged file, or a curve without all
of its points) is lost, so that the run is made again. Neither stops anything else.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from harness.attempt.messages import ENDED_WELL, FOR_PEOPLE, AttemptResult, State, read_result
from harness.base.clock import now
from harness.base.errors import DamagedError, in_a_line
from harness.base.files import is_there
from harness.execution.tidy import tidy
from harness.store.connection import Store
from harness.store.errors import REFUSED
from harness.store.writer import end_attempt, finish_attempt

_log = logging.getLogger(__name__)
UNREADABLE: tuple[type[Exception], ...] = (*REFUSED, RecursionError)
"""What else a file may bring about that holds brackets within brackets, or numbers without an end."""


@dataclass(frozen=True)
class Taken:
    """How an attempt stands in the store now; `result` is None where none was stored."""

    state: State
    error: str | None
    result: AttemptResult | None = None


def take_in(
    store: Store,
    uid: str,
    folder: Path,
    *,
    without: tuple[State, str],
    kind: str | None = None,
    interrupted: State = "interrupted",
) -> Taken:
    """Store the result in an attempt's folder, or how the attempt ended `without` one: its state and what is said.

    `kind` is that of an error without a result, by default its state, and `interrupted` what an interruption is called
    that no failure brought about. Of an attempt that ended well, what only helped it on is removed (`tidy`). A result
    that cannot be stored ends the attempt as failed; a damaged one, or one that cannot be read now, leaves it lost.
    What lies in the store's way (a full disk, a lock) is raised.
    """
    try:
        result = read_result(folder)
    except (OSError, MemoryError) as error:
        words = f"its result cannot be read: {in_a_line(error)}"
        end_attempt(store, uid, "lost", type(error).__name__, words, now())
        return Taken("lost", words)
    except DamagedError as error:
        words = f"its result is damaged: {error}"
        end_attempt(store, uid, "lost", "lost", words, now())
        return Taken("lost", words)
    except UNREADABLE as error:
        return _refused(store, uid, error)
    try:
        if result is not None:
            if result.uid != uid:
                raise ValueError(f"it is that of attempt {result.uid}")
            if result.state == "interrupted" and result.error is None:
                result = replace(result, state=interrupted)
            finish_attempt(store, result)
    except REFUSED as error:
        return _refused(store, uid, error)
    if result is not None:
        if result.state in ENDED_WELL:
            tidy(store, uid, folder.parent)
        return Taken(result.state, result.error, result)
    state, said = without
    end_attempt(store, uid, state, kind or state, said, now())
    return Taken(state, said)


def _refused(store: Store, uid: str, error: BaseException) -> Taken:
    """End an attempt whose result is at fault."""
    _log.debug("attempt %s: its result cannot be stored", uid, exc_info=error)
    words = f"its result cannot be stored: {in_a_line(error)}"
    end_attempt(store, uid, "failed", type(error).__name__, words, now())
    return Taken("failed", words)


def with_trace(error: str | None, folder: Path) -> str | None:
    """Return what went wrong, and where its trace lies, or else what it printed."""
    there = (f"; {name}: {folder / file}" for name, file in FOR_PEOPLE.items() if is_there(folder / file))
    return None if error is None else error + next(there, "")
