"""Taking what an attempt left in its folder into the store: by the driver when it ends, by the next one after a crash,
or once more if the database is no longer here.

A result may be anything: it comes from a worker that may have died, and from a person's own function. One that the
tables do not accept is that attempt's failure; one that is not what was written (a damaged file, or a curve without all
of its points) is lost, so that the run is made again. Neither stops anything else.
"""

import logging
import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from harness.attempt.items import ITEMS_FILE
from harness.attempt.messages import (
    CHECKPOINT_FILE,
    CHECKPOINT_FOLDER,
    ENDED_WELL,
    FOR_PEOPLE,
    LOCK_FILE,
    MARK_FILE,
    REQUEST_FILE,
    RESULT_FILE,
    AttemptRequest,
    AttemptResult,
    State,
    read_result,
)
from harness.base.clock import now
from harness.base.errors import DamagedError, in_a_line
from harness.base.files import is_there, read_regular
from harness.base.keys import trial_key
from harness.base.locks import is_held
from harness.execution.options import Options
from harness.execution.plan import Plan
from harness.store.connection import Store
from harness.store.errors import REFUSED
from harness.store.queries import in_state, resumed_attempts
from harness.store.records import AttemptRecord, Snapshot
from harness.store.writer import LEASE, UNSEEN_END, end_attempt, finish_attempt, start_attempt

_log = logging.getLogger(__name__)
UNREADABLE: tuple[type[Exception], ...] = (*REFUSED, RecursionError)
"""What else a file may bring about that holds brackets within brackets, or numbers without an end."""


@dataclass(frozen=True)
class Taken:
    """What the store says of an attempt now; `result` is None if none was stored."""

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
    that no failure brought about. Of an attempt that ended well, what only helped it on is removed. A result that
    cannot be stored ends the attempt as failed; a damaged one, or one that cannot be read now, leaves it lost. What
    lies in the store's way (a full disk, a lock) is raised.
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
            remove_leftovers(store, uid, folder.parent)
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


def remove_leftovers(store: Store, uid: str, artifacts: Path) -> None:
    """Remove the checkpoints and temporary files of an attempt that ended well, and of those from which it resumed.

    The folder of one that still runs stays as it is. A file that cannot be removed stays, and harms nothing.
    """
    earlier = [artifacts / other for other in resumed_attempts(store, uid)]
    for folder in [artifacts / uid, *(folder for folder in earlier if not is_held(folder / LOCK_FILE))]:
        for file in [*(folder / name for name in (CHECKPOINT_FILE, ITEMS_FILE, MARK_FILE)), *folder.glob(".*.tmp")]:
            try:
                file.unlink(missing_ok=True)
            except OSError:
                _log.debug("%s cannot be removed", file, exc_info=True)
        shutil.rmtree(folder / CHECKPOINT_FOLDER, ignore_errors=True)


_NOT_READ: tuple[type[Exception], ...] = (OSError, MemoryError, *UNREADABLE)
_DIED = "its driver or worker died"
_PATIENCE_S = 30.0  # a worker ends within a second of its driver; a checkpoint under way may take longer


def recover(store: Store, artifacts: Path, lives: Callable[[str], bool] = lambda _: False) -> int:
    """Take in every finished result and mark as lost what has none. Return how many attempts were found.

    Those stay as they are that a driver has on lease that `lives`. A worker that is still ending is waited for: it may
    hold a result in its hands. One that took even longer leaves it behind an attempt that is lost by then.
    """
    found = [
        a
        for a in in_state(store, *UNSEEN_END)
        if (a.state == "running" and not lives(str(a.execution.get(LEASE)))) or _has_unseen_result(a, artifacts)
    ]
    for attempt in found:
        folder = artifacts / attempt.uid
        deadline = time.monotonic() + _PATIENCE_S
        while is_held(folder / LOCK_FILE) and time.monotonic() < deadline:
            time.sleep(0.1)
        taken = take_in(store, attempt.uid, folder, without=("lost", _DIED))
        if taken.result is not None:
            _log.info("took in %s, which ended %s after its driver", attempt.uid, taken.state)
            for note in taken.result.notes:
                _log.warning("attempt %s, which ended after its driver: %s", attempt.uid, note)
        elif taken.error != _DIED and attempt.state == "running":
            instead = "its run is made again" if taken.state == "lost" else f"--retry {taken.state} makes its run again"
            words = "attempt %s, which ended after its driver: %s (in %s); %s"
            _log.warning(words, attempt.uid, taken.error, folder, instead)
    return len(found)


@dataclass(frozen=True)
class Unknown:
    """A finished attempt in the folder of artifacts of which the store knows nothing.

    If its request is damaged, this is what that says all the same: enough to name the attempt.
    """

    request: AttemptRequest
    folder: Path
    fault: str | None = None  # why it cannot be taken in, as far as the files tell


def unknown_results(artifacts: Path, known: Collection[str]) -> list[Unknown]:
    """Return the attempts whose result lies in `artifacts` and whose uid is none of the known ones.

    So it is after the database was lost, or replaced by an older copy. A folder that is not an attempt's is skipped;
    what is damaged, the request or the result, has a fault.
    """
    folders = sorted(path for path in artifacts.glob("*") if path.name not in known and _has_result(path))
    found = []
    for folder in folders:
        try:
            text = read_regular(folder / REQUEST_FILE).decode()
            request = AttemptRequest.from_json(text, checked=False)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, DamagedError):
            _log.debug("%s holds no request", folder, exc_info=True)
            continue
        if request.uid == folder.name:
            found.append(Unknown(request, folder, _fault(text, request, folder)))
    return found


def _fault(text: str, request: AttemptRequest, folder: Path) -> str | None:
    """Return why an attempt cannot be taken in, as far as its files tell: `text`, of the request, and the result."""
    try:
        AttemptRequest.from_json(text)
    except DamagedError as error:
        return f"its request is damaged: {error}"
    read = _read(request, folder)
    return read if isinstance(read, str) else None


def _read(request: AttemptRequest, folder: Path) -> AttemptResult | str:
    """Return the result in an attempt's folder, or in words why it cannot be taken in."""
    try:
        result = read_result(folder)
        if result is None or result.uid != request.uid:
            return "its result is that of another attempt"
        if trial_key(request.config) != request.trial_key:
            return "its key is not that of its configuration"
    except DamagedError as error:
        return f"its result is damaged: {in_a_line(error)}"
    except _NOT_READ as error:
        return f"its result cannot be read: {in_a_line(error)}"
    return result


def offer_recovery(planned: Plan, found: Snapshot, options: Options) -> None:
    """Say if results of runs that are to be made lie in the artifacts already, and the store does not know them.

    Those that could not be taken in are named: their runs are made again.
    """
    left = {(run.trial.key, run.seed) for run in planned.of("left")}
    unknown = unknown_results(options.artifacts, {a.uid for a in found.attempts})
    wanted = [each for each in unknown if (each.request.trial_key, each.request.seed) in left]
    for each in wanted:
        if each.fault is not None:
            words = "%s: %s, and %s does not know it (in %s): the run is made again"
            _log.warning(words, each.request.label, each.fault, options.db, each.folder)
    count = sum(each.fault is None for each in wanted)
    if count:
        words = "%s holds %d results of these runs that %s does not know (was it replaced?); "
        words += "`harness results recover --db %s` takes them in, so that they are not made again"
        _log.warning(words, options.artifacts, count, options.db, options.db)


def recover_unknown(store: Store, unknown: Unknown) -> str | None:
    """Put an attempt of which the store knows nothing into it, ordered by its own time. Return why not, or None.

    The trial's key is made again from its configuration, as when published lines are merged. What it superseded is in
    no file of the attempt: of the attempts at a run the newest counts.
    """
    request = unknown.request
    result: AttemptResult | str = unknown.fault or _read(request, unknown.folder)
    if isinstance(result, str):
        return result
    try:
        weights = request.options.get("weights_folder") if request.kind == "evaluate" else None
        with store.writing():
            start_attempt(
                store,
                request,
                exclusive=request.kind == "timing",
                started=result.started,
                weights_from=None if weights is None else Path(weights).name,
                placed_last=False,
            )
            finish_attempt(store, result)
    except REFUSED as error:
        return in_a_line(error)
    return None


def _has_unseen_result(attempt: AttemptRecord, artifacts: Path) -> bool:
    return attempt.state == "lost" and _has_result(artifacts / attempt.uid)


def _has_result(folder: Path) -> bool:
    return is_there(folder / RESULT_FILE)
