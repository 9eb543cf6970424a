"""What a driver does first: take in what the last one left behind."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path

from harness.spec.attempt import LOCK_FILE, read_result
from harness.spec.filelock import is_held
from harness.store.connection import Store
from harness.store.queries import running
from harness.store.writer import end_attempt, finish_attempt

_log = logging.getLogger(__name__)
_PATIENCE_S = 30.0  # a worker ends within a second of its driver; a checkpoint under way may take longer


def recover(store: Store, artifacts: Path) -> int:
    """Take in every finished result and mark as lost what has none. Return how many attempts were found.

    A worker that is still ending is waited for: it may hold a result in its hands.
    """
    found = running(store)
    for attempt in found:
        folder = artifacts / attempt.uid
        deadline = time.monotonic() + _PATIENCE_S
        while is_held(folder / LOCK_FILE) and time.monotonic() < deadline:
            time.sleep(0.1)
        result = read_result(folder)
        if result is not None:
            finish_attempt(store, result)
            _log.info("took in %s, which ended %s after its driver", attempt.uid, result.state)
        else:
            end_attempt(store, attempt.uid, "lost", "lost", "its driver or worker died", now())
    return len(found)


def now() -> str:
    """Return the time as stored: ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
