"""What the server of workers imports of ours, once for all of them; importing this does it.

An attempt runs the code that its digest names: that of the files when it begins. So what is loaded here counts only as
long as no file of this package has changed since; a worker that finds one changed forgets all of it, and imports again.
"""

import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from harness.base.processor import processor_facts
from harness.plugins.digests import PACKAGE
from harness.trial.attempt_digest import attempt_digest
from harness.trial.trial import FUNCTION

_WANTED = ("harness.execution.executors.guard", "harness.training.attempt", "harness.training.function")
"""What each attempt at a function needs. Networks need torch as well, whose operators can be registered only once."""
_GRAINS_NS = 2_000_000_000  # a file that was edited so shortly before may be edited again at what seems the same time

_Stamp = tuple[int, int, int] | None


def _stamp(path: Path) -> _Stamp:
    """Return by what a file is known to be the same later; None of one that is not."""
    try:
        found = path.stat()
    except OSError:
        return None
    is_settled = found.st_mtime_ns < time.time_ns() - _GRAINS_NS
    return (found.st_mtime_ns, found.st_size, found.st_ino) if is_settled else None


_loaded = {path: _stamp(path) for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
with suppress(Exception):  # of code that is being edited: each worker says so itself
    for _module in _WANTED:
        import_module(_module)
    attempt_digest({"task": {"kind": FUNCTION}}, ())  # which reads and parses all that a function's attempt runs
    processor_facts()


def forget_if_edited() -> None:
    """Let this process import all modules of ours again if a file of them has changed since they were loaded."""
    if any(stamp is None or stamp != _stamp(path) for path, stamp in _loaded.items()):
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE.name]:
            del sys.modules[name]
