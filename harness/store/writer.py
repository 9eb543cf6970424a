"""All that is ever put into a store, each call one transaction.

Curves, samples and the rest of an attempt come with its end and in one piece, so that a killed driver leaves
either a running attempt or a whole one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from harness.attempt.messages import AttemptRequest, AttemptResult, State
from harness.base.errors import HarnessError
from harness.base.keys import KEY_SCHEME, canonical_json
from harness.store.connection import Store
from harness.store.records import AcceptanceRecord, StudyTrialRow
from harness.store.rows import (
    after_earlier_attempts,
    after_earlier_texts,
    keep_own_trials,
    put_acceptance,
    put_attempt,
    put_costs,
    put_dataset,
    put_environment,
    put_evaluation,
    put_findings,
    put_metrics,
    put_run,
    put_source,
    put_study,
    put_study_trial,
    put_trial,
    renew_attempt,
)

LEASE = "driver"  # in a running attempt's execution: the driver that has it on lease
UNSEEN_END: frozenset[State] = frozenset({"running", "lost"})  # states that a result may still follow


def add_study(store: Store, *, name: str, spec_yaml: str, created: str, trials: Sequence[StudyTrialRow]) -> None:
    """Write a study with its trials and their data. `created`: ISO 8601, UTC.

    Done again it replaces the study's text and time and the places of the trials that it has now; trials that
    it no longer has keep theirs, with the time at which they were last added. Its own trials stand further beside those
    that `--set` made of them. The time is moved behind that of what it
    replaces if the clock was set back since: of trials of one name the newest counts.
    """
    with store.writing() as conn:
        created = after_earlier_texts(conn, name, created)
        before = conn.execute("SELECT created, spec_yaml FROM study WHERE name = ?", (name,)).fetchone()
        study = put_study(conn, name, spec_yaml, created)
        if before is not None and before[1] == spec_yaml and any(trial.overrides for trial in trials):
            keep_own_trials(conn, study, stood=before[0], added=created)
        for trial in trials:
            for data in trial.datasets:
                put_dataset(conn, data)
            number = put_trial(conn, trial.key, trial.key_scheme, trial.config)
            put_metrics(conn, number, trial.metrics)
            put_study_trial(conn, study, number, trial, added=created)


def accept_edits(store: Store, words: Sequence[AcceptanceRecord]) -> None:
    """Write by whose word results of trials count for trials that an edit has made of them."""
    with store.writing() as conn:
        for word in words:
            put_acceptance(conn, word)


def start_attempt(  # noqa: PLR0913 - what a row has beside its request
    store: Store,
    request: AttemptRequest,
    *,
    exclusive: bool,
    started: str,
    supersedes: str | None = None,
    weights_from: str | None = None,
    source: str | None = None,
    placed_last: bool = True,
    driver: str | None = None,
) -> None:
    """Write an attempt that begins, as running, with its run and its evaluations. `started`: ISO 8601, UTC.

    `source` is in what the study's repository differs from its commit, which the attempt will name by its SHA-256.
    `driver` has the attempt on lease: while that lives, no other driver makes one at this run (`leased`).
    The attempt comes after all others at its run, unless `placed_last` is false: of one that began before some of them.
    Raises HarnessError if the uid is in the store already.
    """
    execution = {**asdict(request.execution), **({} if driver is None else {LEASE: driver})}
    row = {
        "uid": request.uid,
        "kind": request.kind,
        "state": "running",
        "weights_from": weights_from,
        "resumed_from": request.resume_from,
        "supersedes": supersedes,
        "device": request.execution.device,
        "threads": request.execution.threads,
        "exclusive": int(exclusive),
        "execution_json": canonical_json(execution),
        "started": started,
    }
    with store.writing() as conn:
        trial = put_trial(conn, request.trial_key, KEY_SCHEME, request.config)
        for evaluation in request.evaluations:
            put_evaluation(conn, evaluation)
        if source:
            put_source(conn, source)
        run = put_run(conn, trial, request.seed)
        ordered = after_earlier_attempts(conn, run, started) if placed_last else None
        put_attempt(conn, {**row, "run_id": run, "ordered": ordered})


_BEGUN = "SELECT id, state, device, threads, started, ordered, resumed_from FROM attempt WHERE uid = ?"


def finish_attempt(store: Store, result: AttemptResult) -> bool:
    """Take in how an attempt ended and all that it found. Return False if that was done before.

    A result may follow a `lost`: its worker lived on after its driver. Of points with the same split, name
    and step the last counts. Raises HarnessError if the attempt, or an evaluation that it reports, is not
    in the store.
    """
    with store.writing() as conn:
        found = conn.execute(_BEGUN, (result.uid,)).fetchone()
        if found is None:
            raise HarnessError(f"attempt {result.uid} is not in the store; was another --db used to start it?")
        number, state, device, threads, started, ordered, asked = found
        if state not in UNSEEN_END:
            return False
        row = {
            "state": result.state,
            "resumed_from": asked if result.error else result.resumed_from,  # one that failed has not said
            "env_id": put_environment(conn, result.environment),
            "device": result.execution.get("device", device),
            "threads": int(result.execution.get("threads", threads)),
            "execution_json": canonical_json(result.execution),
            "code_digest": result.code_digest,
            "error_kind": result.error_kind,
            "error": result.error,
            "started": result.started,
            "ended": max(result.started, result.ended),  # the clock may have been set back in between
            "ordered": ordered or (started if str(result.started) < started else None),
        }
        renew_attempt(conn, number, row)
        put_findings(conn, number, result)
        return True


def end_attempt(store: Store, uid: str, state: str, error_kind: str | None, error: str | None, ended: str) -> bool:
    """End a running attempt that left no result (lost, failed, …). Return False if it had ended before."""
    with store.writing() as conn:
        row = conn.execute("SELECT id, started FROM attempt WHERE uid = ? AND state = 'running'", (uid,)).fetchone()
        if row is None:
            return False
        number, started = row
        ended = max(started, ended)  # the clock may have been set back in between
        renew_attempt(conn, number, {"state": state, "error_kind": error_kind, "error": error, "ended": ended})
        return True


def set_costs(store: Store, key: str, costs: Mapping[str, float]) -> None:
    """Write what a trial costs (parameters, macs …) by name, in place of what stood there under these names.

    Raises HarnessError if no trial has this key.
    """
    with store.writing() as conn:
        row = conn.execute("SELECT id FROM trial WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise HarnessError(f"no trial with key {key} is in the store")
        put_costs(conn, row[0], costs)
