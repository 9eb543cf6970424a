"""One attempt in several processes of this machine, which train its network together (`ranks`).

    worker ── process 1 (makes the attempt, and says how it ended) ── pipe ── worker
           ├─ process 2 (trains along)                              ── pipe ──
           └─ …

The worker trains nothing itself and so cannot hang: it waits for what each of the processes has to say. When one dies,
or says that something went wrong, the others cannot go on: they are ended, and what is told is what happened first. A
process whose worker dies ends by itself (`process.watched`).
"""

import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.attempt.messages import LOG_FILE, AttemptRequest, AttemptResult
from harness.base.errors import DiedError

if TYPE_CHECKING:
    Link = connection.Connection[Any, Any]

MEETING_FILE = ".meeting.tmp"
"""In the attempt's folder: where the processes find one another."""

_GRACE_S = 2.0  # after the first bad word, for others that tell more: a death is noticed by its neighbours at once
_PATIENCE_S = 10.0  # with a process whose end has been seen


@dataclass(frozen=True)
class Place:
    """One of the processes of an attempt: its rank, from 0, how many there are, and where they meet."""

    rank: int
    count: int
    meeting: str


Attempt = Callable[[AttemptRequest, Place], AttemptResult]


@dataclass(frozen=True)
class _Member:
    """A process as the worker sees it."""

    process: BaseProcess
    link: "Link"


def in_processes(request: AttemptRequest, attempt: Attempt) -> AttemptResult:
    """Let as many processes as the request asks for make its attempt; return the first one's result.

    If something goes wrong, it is the result of the one if it did. Raises DiedError, with a line that says how, if
    one of them dies.
    """
    folder, count = Path(request.folder), request.execution.processes
    meeting = folder / MEETING_FILE
    meeting.unlink(missing_ok=True)
    members: list[_Member] = []
    try:
        members.extend(_started(request, attempt, Place(rank, count, str(meeting))) for rank in range(count))
        return _told(members, folder)
    finally:
        for member in members:
            member.process.kill()
        for member in members:
            member.process.join(_PATIENCE_S)
            member.link.close()
        meeting.unlink(missing_ok=True)


def _started(request: AttemptRequest, attempt: Attempt, place: Place) -> _Member:
    """Fork a process, which leaves interruptions to the driver as this one does, from its first moment on."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    name = f"{multiprocessing.current_process().name}, process {place.rank + 1}"
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
    try:
        process = context.Process(target=_work, args=(request, attempt, place, theirs, handlers, mask), name=name)
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    theirs.close()
    return _Member(process, ours)


def _work(
    request: AttemptRequest, attempt: Attempt, place: Place, link: "Link", handlers: Mapping[int, Any], mask: set[int]
) -> None:
    """Make the attempt in this process and say how it ended."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    link.send(attempt(request, place))


def _told(members: Sequence[_Member], folder: Path) -> AttemptResult:
    """Wait until all have told their results, or until one cannot, or tells of an error, and a moment longer."""
    told: dict[int, AttemptResult] = {}  # by rank, in the order in which they came
    dead: list[int] = []
    deadline: float | None = None
    while waiting := {m.link: rank for rank, m in enumerate(members) if rank not in {*told, *dead}}:
        ready = connection.wait(list(waiting), None if deadline is None else max(0.0, deadline - time.monotonic()))
        if not ready:
            break
        for link in ready:
            rank = waiting[cast("Link", link)]
            try:
                told[rank] = members[rank].link.recv()
            except (EOFError, OSError):
                dead.append(rank)
        if deadline is None and (dead or any(result.error is not None for result in told.values())):
            deadline = time.monotonic() + _GRACE_S
    if dead:
        (folder / LOG_FILE).unlink(missing_ok=True)  # of one that could not go on without it
        raise DiedError(f"process {dead[0] + 1} of {len(members)} {_end_of(members[dead[0]].process)}")
    return next((result for result in told.values() if result.error is not None), told[0])


def _end_of(process: BaseProcess) -> str:
    """Return how a process ended that has told nothing."""
    process.join(_PATIENCE_S)
    code = process.exitcode
    if code is None or code >= 0:
        return f"ended itself with exit code {code}"
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL, possibly because memory was used up"
    return f"was killed by {signal.Signals(-code).name}"
