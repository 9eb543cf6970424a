"""What an attempt builds on, a checkpoint or weights: checked before it begins, and said if it is not used."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.attempt.checkpoints import UncheckedError, check_checkpoint
from harness.attempt.messages import WEIGHTS_FILE, AttemptRequest, AttemptResult
from harness.base.errors import DamagedError
from harness.store.connection import Store
from harness.store.queries import artifacts

_log = logging.getLogger(__name__)


def resumable(request: AttemptRequest, or_from: Sequence[str]) -> AttemptRequest:
    """Return the request so that it resumes from a checkpoint that is as it was written, or from none.

    `or_from` are attempts with older checkpoints. What is damaged is said, and what is done instead.
    """
    if request.resume_from is None or request.resume_folder is None:
        return request
    folder = Path(request.resume_folder)
    try:
        check_checkpoint(folder)
    except DamagedError as error:
        wrong = f"cannot be trusted ({error})" if isinstance(error, UncheckedError) else f"is damaged ({error})"
    else:
        return request
    other = next(iter(or_from), None)
    instead = "starts afresh" if other is None else f"resumes from that of attempt {other[:8]}"
    _log.warning("%s: the checkpoint of attempt %s %s: it %s", request.label, request.resume_from[:8], wrong, instead)
    where = None if other is None else str(folder.with_name(other))
    return resumable(replace(request, resume_from=other, resume_folder=where), or_from[1:])


def with_digest_of_weights(request: AttemptRequest, store: Store, weights_from: str | None) -> AttemptRequest:
    """Return the request with the SHA-256 of the weights that it evaluates, if it does."""
    if weights_from is None:
        return request
    known = {file.path: file.sha256 for file in artifacts(store, weights_from)}
    return replace(request, options={**request.options, "weights_sha256": known.get(WEIGHTS_FILE)})


def say_what_was_otherwise(request: AttemptRequest, result: AttemptResult) -> None:
    """Say what an attempt has noted, and that it started afresh where it was to resume."""
    for note in result.notes:
        _log.warning("%s: %s", request.label, note)
    if request.resume_from and result.resumed_from is None and not (result.error or result.notes):
        other = "other code, other library versions, other threads or another device"
        _log.warning("%s: the checkpoint is of %s: it started afresh", request.label, other)
