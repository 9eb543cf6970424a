"""One attempt in a worker process: from the request in its folder to the result in its folder.

    request.json → curve.jsonl while it trains, checkpoint.pt → result.json at the end, whole

Nothing here knows the store, and nothing here wakes torch: a person's own function may do without. Whatever goes wrong
ends as a state in the result: this is the one place that catches broadly.
"""

import os
import shutil
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from harness.attempt.items import ITEMS_FILE
from harness.attempt.messages import (
    CHECKPOINT_FILE,
    CHECKPOINT_FOLDER,
    ENDED_WELL,
    LOCK_FILE,
    LOG_FILE,
    MARK_FILE,
    REQUEST_FILE,
    RESULT_FILE,
    STOP_FILE,
    AttemptRequest,
    AttemptResult,
    State,
)
from harness.base.errors import DamagedError, HarnessError, environment_failure, in_a_line, kind_of, message_of
from harness.base.files import atomic_write, read_regular
from harness.base.locks import hold
from harness.training.environment import environment
from harness.training.outcome import Outcome
from harness.training.several import Place, in_processes
from harness.trial.attempt_digest import attempt_digest
from harness.trial.inputs import check_inputs
from harness.trial.trial import is_of_function


def run_attempt(folder: Path) -> str:
    """Make the attempt whose request lies in `folder`, holding its lock, and return the state that it ended in."""
    with hold(folder / LOCK_FILE):
        request = _request(folder / REQUEST_FILE)
        alone = request.execution.processes == 1
        result = _attempt(request) if alone else in_processes(request, _attempt)
        atomic_write(folder / RESULT_FILE, result.to_json())
        if result.state in ENDED_WELL:  # not before: a crash between the two would lose the run
            for name in (CHECKPOINT_FILE, ITEMS_FILE, MARK_FILE):
                (folder / name).unlink(missing_ok=True)
            shutil.rmtree(folder / CHECKPOINT_FOLDER, ignore_errors=True)
        return result.state


def _request(path: Path) -> AttemptRequest:
    """Return the request in a file. Raises DamagedError, which names the file, if it is not what the driver wrote."""
    try:
        return AttemptRequest.from_json(read_regular(path).decode())
    except DamagedError as error:
        raise DamagedError(f"{path.name} is damaged: {error}") from error


def _attempt(request: AttemptRequest, place: Place | None = None) -> AttemptResult:
    """Make an attempt in this process: the whole of it, or, from its `place`, together with others."""
    started = _now()
    device = request.execution.device
    digest = attempt_digest(request.config, request.datasets, request.kind, device)  # of the code about to be loaded
    error: BaseException | None = None
    process = os.getpid()
    try:
        outcome = _made(request, place)
    except BaseException as caught:  # noqa: BLE001 - the border of an attempt
        error, outcome = caught, Outcome(state=_failure(caught, request))
        if place is None or not Path(request.folder, LOG_FILE).exists():  # another's, which brought this about
            _write_trace(request, caught)
    if os.getpid() != process:  # a function that forks, and whose child has come back: the attempt is its parent's
        os._exit(1)
    return AttemptResult(
        uid=request.uid,
        state=outcome.state,
        started=started,
        ended=_now(),
        execution=asdict(request.execution),
        environment=environment(device, request.repository),
        code_digest=digest,
        resumed_from=outcome.resumed_from,
        error_kind=None if error is None else kind_of(error),
        error=None if error is None else in_a_line(error),
        curve=outcome.curve,
        results=outcome.results,
        measures=outcome.measures,
        samples=outcome.samples,
        artifacts=outcome.artifacts,
        notes=outcome.notes,
    )


def _made(request: AttemptRequest, place: Place | None) -> Outcome:
    """Call the function, or train, evaluate or time the network."""
    check_inputs(request.config, request.files)
    if is_of_function(request.config):
        from harness.training import function

        return function.run(request)
    from harness.training import network

    return network.run(request, place)


def _failure(error: BaseException, request: AttemptRequest) -> State:
    """Tell a failure of the environment, which may end by itself, and running out of memory from every other.

    In the driver's own process an impatient Ctrl-C is an error, too; it follows one that asked for a stop.
    """
    kind = type(error)  # and not what an error says that it is
    pressed_again = issubclass(kind, KeyboardInterrupt) and Path(request.folder, STOP_FILE).exists()
    if environment_failure(error) or pressed_again:
        return "interrupted"
    of_torch = getattr(sys.modules.get("torch"), "OutOfMemoryError", MemoryError)
    out_of_memory = issubclass(kind, MemoryError | of_torch)
    if issubclass(kind, RuntimeError) and not issubclass(kind, HarnessError):
        out_of_memory = out_of_memory or "can't allocate memory" in message_of(error)
    return "oom" if out_of_memory else "failed"


def _write_trace(request: AttemptRequest, error: BaseException) -> None:
    """Write the trace of an error, whatever it makes of it; a full disk does not take the error's place."""
    try:
        trace = "".join(traceback.format_exception(error))
    except BaseException:  # noqa: BLE001 - a person's own class
        where = BaseException.__getattribute__(error, "__traceback__")
        trace = "".join(["Traceback (most recent call last):\n", *traceback.format_tb(where), in_a_line(error), "\n"])
    with suppress(OSError):
        atomic_write(Path(request.folder) / LOG_FILE, trace.encode(errors="backslashreplace"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
