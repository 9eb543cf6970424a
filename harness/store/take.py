"""One published line into the tables, in a transaction that the caller holds.

An attempt is known by its uid. One that the store has already must be the same in all that it found: a line that says
otherwise is refused, never left out without a word.
"""

import sqlite3
from collections.abc import Iterable
from itertools import zip_longest
from typing import NamedTuple

from harness.attempt.data import DatasetSplit
from harness.attempt.messages import Artifact, AttemptResult, EvaluationSpec, Measure, ResultValue, Sample
from harness.attempt.metrics import Metric
from harness.base.keys import canonical_json
from harness.store.claims import put_claim
from harness.store.published import CurvePoint, PublishedLine, StudyPart, TrialPart, parse_line
from harness.store.records import AcceptanceRecord, ClaimRecord, StudyTrialRow
from harness.store.rows import (
    put_acceptance,
    put_attempt,
    put_costs,
    put_curve,
    put_dataset,
    put_environment,
    put_evaluation,
    put_findings,
    put_run,
    put_study,
    put_study_trial,
    put_trial,
    renew_attempt,
)
from harness.store.writer import UNSEEN_END


class Taken(NamedTuple):
    """What a line held."""

    uid: str
    is_new: bool
    texts: frozenset[tuple[str, str, str]]  # of studies: created, name, SHA-256


def take_line(conn: sqlite3.Connection, text: str | bytes) -> Taken:
    """Write one line. Raises ValueError if it cannot be used, or the store has the attempt with other findings."""
    line = parse_line(text)
    trial = _take_trial(conn, line.trial, line.studies)
    for part in line.accepted_for:
        _take_trial(conn, part.trial, part.studies)
        put_acceptance(conn, AcceptanceRecord(part.trial.key, part.old_key, part.author, part.reason, part.accepted))
    data = {d.fingerprint: DatasetSplit(**d.model_dump()) for d in line.datasets}
    for split in data.values():
        put_dataset(conn, split)
    for e in line.evaluations:
        split = data[e.fingerprint]
        put_evaluation(
            conn,
            EvaluationSpec(e.key, split.name, split.split, split.fingerprint, split.images, split.bytes, e.condition),
        )
    placed = [*line.studies, *(study for part in line.accepted_for for study in part.studies)]
    texts = frozenset((study.created, study.name, study.spec_sha) for study in placed)
    return Taken(line.uid, _take_attempt(conn, line, put_run(conn, trial, line.seed)), texts)


def _take_trial(conn: sqlite3.Connection, trial: TrialPart, studies: Iterable[StudyPart]) -> int:
    """Write a trial with what it costs and its places in studies. Return its id."""
    metrics = [Metric(**metric.model_dump()) for metric in trial.metrics]
    number = put_trial(conn, trial.key, trial.key_scheme, trial.config, metrics)
    for study in studies:
        _take_study(conn, study, number, trial)
    _take_costs(conn, number, trial.costs)
    return number


def _take_attempt(conn: sqlite3.Connection, line: PublishedLine, run: int) -> bool:
    """Write the line's attempt unless the store has it as it is. Return whether it is new."""
    known = _known(conn, line, run)
    if known is None or not known.ended:
        _put(conn, line, run, None if known is None else known.number)
        return True
    if (what := _unlike(conn, known.number, line)) is not None:
        raise ValueError(f"attempt {line.uid} is known already, from the store or an earlier line, with another {what}")
    return False


def _put(conn: sqlite3.Connection, line: PublishedLine, run: int, number: int | None) -> None:
    """Write the line's attempt, which the store may have under a number, and all that it found."""
    row = {
        "run_id": run,
        "env_id": put_environment(conn, line.environment),
        "execution_json": canonical_json(line.execution),
        "exclusive": int(line.exclusive),
        **{name: getattr(line, name) for name in _COLUMNS},
    }
    if number is None:
        number = put_attempt(conn, row)
    else:
        renew_attempt(conn, number, row)
    put_findings(conn, number, _result(line))
    put_curve(conn, number, line.curve)


_COLUMNS = (
    "uid", "kind", "state", "weights_from", "resumed_from", "supersedes", "device", "threads", "code_digest",
    "error_kind", "error", "started", "ended", "ordered",
)  # fmt: skip
_COMPARED = tuple(name for name in _COLUMNS if name not in {"uid", "kind", "state", "error"})  # `error` loses its paths


class _Known(NamedTuple):
    """An attempt that the store has already."""

    number: int
    ended: bool  # as far as the store knows


def _known(conn: sqlite3.Connection, line: PublishedLine, run: int) -> _Known | None:
    """Return the line's attempt, if it is in the store. Raises ValueError if another has its uid."""
    row = conn.execute("SELECT id, run_id, kind, state FROM attempt WHERE uid = ?", (line.uid,)).fetchone()
    if row is None:
        return None
    number, *what, state = row
    if what != [run, line.kind] or state not in {line.state, *UNSEEN_END}:
        raise ValueError(f"attempt {line.uid} is in the store with another run, kind or state")
    return _Known(number, state not in UNSEEN_END)


def _unlike(conn: sqlite3.Connection, number: int, line: PublishedLine) -> str | None:
    """Return what of an attempt, which the store has under a number, is not as the line has it; None: nothing."""
    row = conn.execute(f"SELECT {', '.join(_COMPARED)} FROM attempt WHERE id = ?", (number,)).fetchone()  # noqa: S608
    for name, stored in zip(_COMPARED, row, strict=True):
        if stored != getattr(line, name):
            return name
    given: dict[str, Iterable[tuple[object, ...]]] = {
        "result": line.results,
        "measure": line.measures,
        "value of an image": ((s.evaluation, s.name, s.count, s.encoding, s.packed) for s in line.samples),
        "artifact": ((a.kind, a.path, a.sha256, a.bytes) for a in line.artifacts),
    }
    for what, rows in given.items():
        if set(conn.execute(_FINDINGS[what], (number,))) != set(rows):
            return what
    return None if _has_curve(conn, number, line.curve) else "curve"


_FINDINGS = {
    "result": """SELECT e.key, x.name, x.value, x.flag
        FROM result x JOIN evaluation e ON e.id = x.evaluation_id WHERE x.attempt_id = ?""",
    "measure": "SELECT name, value, flag FROM measure WHERE attempt_id = ?",
    "value of an image": """SELECT e.key, s.name, s.count, s.encoding, s.packed
        FROM sample s JOIN evaluation e ON e.id = s.evaluation_id WHERE s.attempt_id = ?""",
    "artifact": "SELECT kind, path, sha256, bytes FROM artifact WHERE attempt_id = ?",
}


def _has_curve(conn: sqlite3.Connection, number: int, points: list[CurvePoint]) -> bool:
    """Return whether an attempt's curve is made of these points.

    As exported they are in the store's order, and nothing is copied.
    """
    query = "SELECT split, name, step, value, flag FROM metric WHERE attempt_id = ? ORDER BY split, name, step"
    if all(one == other for one, other in zip_longest(conn.execute(query, (number,)), points)):
        return True
    return set(conn.execute(query, (number,))) == set(points)


def _take_study(conn: sqlite3.Connection, study: StudyPart, number_of_trial: int, trial: TrialPart) -> None:
    """Write a study and the trial's place in it if they are newer than what is there."""
    row = conn.execute("SELECT id, created, spec_sha FROM study WHERE name = ?", (study.name,)).fetchone()
    if row is None or (study.created, study.spec_sha) > row[1:]:
        number = put_study(conn, study.name, study.spec_yaml, study.created)
    else:
        number = row[0]
    for claim in study.claims:
        lists = {name: tuple(getattr(claim, name)) for name in ("known", "changed_known")}
        put_claim(conn, number, ClaimRecord(study.name, **{**dict(claim), **lists}))
    place = StudyTrialRow(
        study.trial_name,
        study.position,
        trial.key,
        trial.key_scheme,
        trial.config,
        tuple(study.seeds),
        study.protocol_name,
        overrides=study.overrides,
        evaluations=None if study.evaluations is None else tuple(study.evaluations),
    )
    row = conn.execute(
        """SELECT added, overrides IS NULL, name, position, seeds_json, protocol_name, coalesce(overrides, ''),
            coalesce(evaluations_json, '')
        FROM study_trial WHERE study_id = ? AND trial_id = ?""",
        (number, number_of_trial),
    ).fetchone()
    new = (
        study.added,
        place.overrides is None,
        place.name,
        place.position,
        canonical_json(study.seeds),
        place.protocol_name,
        place.overrides or "",
        "" if study.evaluations is None else canonical_json(sorted(study.evaluations)),
    )
    if row is None or new > row:
        put_study_trial(conn, number, number_of_trial, place, added=study.added)


def _take_costs(conn: sqlite3.Connection, trial: int, costs: dict[str, float]) -> None:
    """Write those costs of a trial that are not known yet: what was counted here stays."""
    known = {name for (name,) in conn.execute("SELECT name FROM cost WHERE trial_id = ?", (trial,))}
    put_costs(conn, trial, {name: value for name, value in costs.items() if name not in known})


def _result(line: PublishedLine) -> AttemptResult:
    """Return what the line's attempt found but its curve, in the form in which attempts report it."""
    return AttemptResult(
        uid=line.uid,
        state=line.state,
        started=line.started,
        ended=line.ended,
        execution=line.execution,
        environment=line.environment,
        code_digest=line.code_digest,
        results=tuple(ResultValue(*r) for r in line.results),
        measures=tuple(Measure(*m) for m in line.measures),
        samples=tuple(Sample(**s.model_dump()) for s in line.samples),
        artifacts=tuple(Artifact(**a.model_dump()) for a in line.artifacts),
    )
