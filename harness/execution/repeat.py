"""An attempt made once more, outside any store, and what differs between two: for `doctor` and `verify --rerun`."""

from collections.abc import Sequence
from pathlib import Path

from harness.attempt.messages import REQUEST_FILE, AttemptRequest, AttemptResult, read_result
from harness.base.errors import DamagedError, in_a_line
from harness.base.files import atomic_write
from harness.execution.executors import make_executor
from harness.execution.libraries import libraries_of


def make(request: AttemptRequest, timeout_s: float | None = None) -> AttemptResult | str:
    """Make an attempt, in a worker of this machine. Return what it brought, or in words why it brought nothing."""
    folder = Path(request.folder)
    atomic_write(folder / REQUEST_FILE, request.to_json())
    libraries = libraries_of([(request.config, request.plugin_paths)])
    with make_executor("local", 1, request.execution.threads, libraries) as executor:
        executor.start(folder, timeout_s)
        while not (ended := executor.wait(1.0)):
            pass
    try:
        return read_result(folder) or ended[0].error or "it left no result"
    except (DamagedError, OSError) as error:
        return in_a_line(error)


def differences(one: AttemptResult, other: AttemptResult) -> Sequence[str]:
    """Return in what two results differ, bit by bit."""
    compared = {
        "curve": (one.curve, other.curve),
        "metrics": (one.results, other.results),
        "images": (one.samples, other.samples),
        "files": tuple([(a.kind, a.sha256) for a in result.artifacts] for result in (one, other)),
    }
    return [name for name, (first, second) in compared.items() if first != second]
