"""What a driver does first: take in what the last one left behind."""

import logging
import time
from pathlib import Path

from harness.execution.intake import take_in
from harness.spec.attempt import LOCK_FILE, RESULT_FILE
from harness.spec.filelock import is_held
from harness.store.connection import Store
from harness.store.queries import in_state
from harness.store.writer import UNSEEN_END

_log = logging.getLogger(__name__)
_DIED = "its driver or worker died"
_PATIENCE_S = 30.0  # a worker ends within a second of its driver; a checkpoint under way may take longer


def recover(store: Store, artifacts: Path) -> int:
    """Take in every finished result and mark as lost what has none. Return how many attempts were found.

    A worker that is still ending is waited for: it may hold a result in its hands. One that took even longer leaves it
    behind an attempt that is lost by then.
    """
    found = [a for a in in_state(store, *UNSEEN_END) if a.state == "running" or _has_result(artifacts / a.uid)]
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
            _log.warning("attempt %s, which ended after its driver: %s", attempt.uid, taken.error)
    return len(found)


def _has_result(folder: Path) -> bool:
    return (folder / RESULT_FILE).exists()
