"""Rows of the store's tables: each function inserts one kind, within a transaction that the caller holds.

Known rows are found by their natural key, so that the same thing written twice is there once. Values are
plain Python numbers: NaN, infinities and numpy's scalars are turned here into what SQLite can hold.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from harness.attempt.data import DatasetSplit
from harness.attempt.messages import AttemptResult, EvaluationSpec, Flag, flagged
from harness.attempt.metrics import Metric
from harness.base.errors import HarnessError, shortened
from harness.base.keys import canonical_json, text_sha
from harness.store.acceptance import but_for_code
from harness.store.records import AcceptanceRecord, StudyTrialRow

_ENV_COLUMNS: dict[str, type] = {
    "git_sha": str,
    "dirty": bool,
    "host": str,
    "device": str,
    "driver": str,
    "python": str,
    "torch": str,
}


_LONGEST_ERROR = 2_000  # characters


def put_study(conn: sqlite3.Connection, name: str, spec_yaml: str, created: str) -> int:
    """Insert or renew a study. Return its id."""
    conn.execute(
        """INSERT INTO study (name, spec_yaml, spec_sha, created) VALUES (?, ?, ?, ?)
        ON CONFLICT (name) DO UPDATE
        SET spec_yaml = excluded.spec_yaml, spec_sha = excluded.spec_sha, created = excluded.created""",
        (name, spec_yaml, text_sha(spec_yaml), created),
    )
    return _id(conn, "SELECT id FROM study WHERE name = ?", name)


def after_earlier_texts(conn: sqlite3.Connection, name: str, created: str) -> str:
    """Return a time for a study's new text: `created`, or just after what the store has of it if that is later."""
    query = """SELECT max(last) FROM (
        SELECT created AS last FROM study WHERE name = :name
        UNION ALL SELECT st.added FROM study_trial st JOIN study s ON s.id = st.study_id WHERE s.name = :name)"""
    (last,) = conn.execute(query, {"name": name}).fetchone()
    return created if last is None or last <= created else _just_after(last)


def put_study_trial(conn: sqlite3.Connection, study: int, trial: int, row: StudyTrialRow, *, added: str) -> None:
    """Insert or renew a trial's place in a study. What was once the study's own is not made another by `--set`."""
    conn.execute(
        """INSERT INTO study_trial (
            study_id, trial_id, name, position, seeds_json, protocol_name, added, overrides, evaluations_json)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (study_id, trial_id) DO UPDATE
        SET name = excluded.name, position = excluded.position, seeds_json = excluded.seeds_json,
            protocol_name = excluded.protocol_name, added = excluded.added,
            evaluations_json = excluded.evaluations_json,
            overrides = CASE WHEN overrides IS NULL THEN NULL ELSE excluded.overrides END""",
        (
            study,
            trial,
            row.name,
            row.position,
            canonical_json(list(row.seeds)),
            row.protocol_name,
            added,
            row.overrides,
            None if row.evaluations is None else canonical_json(sorted(row.evaluations)),
        ),
    )


def keep_own_trials(conn: sqlite3.Connection, study: int, *, stood: str, added: str) -> None:
    """Let a study's own trials stand further that stood in it when it was last added, at `stood`."""
    conn.execute(
        "UPDATE study_trial SET added = ? WHERE study_id = ? AND added = ? AND overrides IS NULL", (added, study, stood)
    )


def put_trial(
    conn: sqlite3.Connection, key: str, key_scheme: int, config: Mapping[str, Any], metrics: Sequence[Metric] = ()
) -> int:
    """Insert a trial unless it is known, and what its metrics are unless these are known. Return its id.

    `put_metrics` replaces what is known of them.
    """
    declared = canonical_json([metric.to_dict() for metric in metrics]) if metrics else None
    conn.execute(
        """INSERT INTO trial (key, key_scheme, task, model, config_json, metrics_json) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT (key) DO UPDATE SET metrics_json = coalesce(metrics_json, excluded.metrics_json)""",
        (key, key_scheme, _kind(config.get("task")), _kind(config.get("model")), canonical_json(config), declared),
    )
    return _id(conn, "SELECT id FROM trial WHERE key = ?", key)


def put_metrics(conn: sqlite3.Connection, trial: int, metrics: Sequence[Metric]) -> None:
    """Write what a trial's metrics are, in place of what a study said before: a direction may have been corrected."""
    if metrics:
        declared = canonical_json([metric.to_dict() for metric in metrics])
        conn.execute("UPDATE trial SET metrics_json = ? WHERE id = ?", (declared, trial))


def put_acceptance(conn: sqlite3.Connection, word: AcceptanceRecord) -> None:
    """Insert a person's word on an edit; of two on one edit the earlier stays.

    Raises ValueError if the two trials differ in more than code and inputs, or one of them is not there.
    """
    sql = "SELECT id, config_json FROM trial WHERE key = ?"
    new, old = (conn.execute(sql, (key,)).fetchone() for key in (word.key, word.old_key))
    if new is None or old is None or but_for_code(json.loads(new[1])) != but_for_code(json.loads(old[1])):
        raise ValueError(f"trial {word.old_key} cannot count for {word.key}: more than code and inputs differs")
    conn.execute(
        """INSERT INTO acceptance (trial_id, old_trial_id, author, reason, accepted) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (trial_id, old_trial_id) DO UPDATE
        SET author = excluded.author, reason = excluded.reason, accepted = excluded.accepted
        WHERE (excluded.accepted, excluded.author, excluded.reason) < (accepted, author, reason)""",
        (new[0], old[0], word.author, word.reason, word.accepted),
    )


def put_run(conn: sqlite3.Connection, trial: int, seed: int) -> int:
    """Insert a run unless it is known. Return its id."""
    conn.execute("INSERT INTO run (trial_id, seed) VALUES (?, ?) ON CONFLICT DO NOTHING", (trial, seed))
    return _id(conn, "SELECT id FROM run WHERE trial_id = ? AND seed = ?", trial, seed)


def put_dataset(conn: sqlite3.Connection, data: DatasetSplit) -> int:
    """Insert a split of a dataset unless its contents are known. Return its id."""
    conn.execute(
        """INSERT INTO dataset (name, split, fingerprint, images, bytes) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (fingerprint) DO NOTHING""",
        (data.name, data.split, data.fingerprint, data.images, data.bytes),
    )
    return _id(conn, "SELECT id FROM dataset WHERE fingerprint = ?", data.fingerprint)


def put_evaluation(conn: sqlite3.Connection, spec: EvaluationSpec) -> int:
    """Insert an evaluation, with its split, unless it is known. Return its id."""
    data = DatasetSplit(spec.dataset, spec.split, spec.fingerprint, spec.images, spec.bytes)
    conn.execute(
        "INSERT INTO evaluation (key, dataset_id, condition_json) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (spec.key, put_dataset(conn, data), canonical_json(spec.condition)),
    )
    return _id(conn, "SELECT id FROM evaluation WHERE key = ?", spec.key)


def after_earlier_attempts(conn: sqlite3.Connection, run: int, started: str) -> str | None:
    """Return the time by which an attempt that begins now is ordered if `started` would not place it last, else None.

    The attempts at a run are ordered by time, and clocks are set back. What begins now comes after all that the store
    knows of the run, whatever the clock says: a millisecond after the last of it. So machines agree on the order of
    attempts of which one knew the other; of two that knew nothing of each other the clocks decide.
    """
    query = "SELECT max(coalesce(ordered, started)) FROM attempt WHERE run_id = ?"
    (last,) = conn.execute(query, (run,)).fetchone()
    return None if last is None or last < started else _just_after(last)


def _just_after(time: str) -> str:
    """Return the millisecond after a time, in the store's form."""
    try:
        return (datetime.fromisoformat(time) + timedelta(milliseconds=1)).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError):  # no time, which `results verify` finds, or the last there is
        return time


def put_attempt(conn: sqlite3.Connection, row: Mapping[str, Any]) -> int:
    """Insert an attempt; `row` maps columns to values.

    Return its id. Raises HarnessError if its uid is known.
    """
    if conn.execute("SELECT 1 FROM attempt WHERE uid = ?", (row["uid"],)).fetchone():
        raise HarnessError(f"attempt {row['uid']} is in the store already")
    row = _with_short_error(row)
    columns, marks = ", ".join(row), ", ".join("?" * len(row))
    cursor = conn.execute(f"INSERT INTO attempt ({columns}) VALUES ({marks})", tuple(row.values()))  # noqa: S608
    return int(cursor.lastrowid or 0)


def renew_attempt(conn: sqlite3.Connection, attempt: int, row: Mapping[str, Any]) -> None:
    """Replace an attempt's columns; `row` maps them to values."""
    row = _with_short_error(row)
    columns = ", ".join(f"{name} = ?" for name in row)
    conn.execute(f"UPDATE attempt SET {columns} WHERE id = ?", (*row.values(), attempt))  # noqa: S608


def _with_short_error(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an attempt's columns with no more of its error than a person reads: its trace has all of it."""
    error = row.get("error")
    return row if error is None else {**row, "error": shortened(error, _LONGEST_ERROR)}


def put_environment(conn: sqlite3.Connection, environment: Mapping[str, Any]) -> int | None:
    """Insert an environment unless the same is known. Return its id, or None for an empty one.

    What has no column of its own, or is not of its column's type, goes into `packages_json`: nothing is lost. What
    many environments share is kept once, and named by its SHA-256: all that is installed, and the difference of the
    study's repository from its commit (`study.patch`, if it comes along).
    """
    if not environment:
        return None
    environment = _with_shared_parts_kept(conn, environment)
    text = canonical_json(environment)
    columns = {
        name: environment[name] for name, kind in _ENV_COLUMNS.items() if isinstance(environment.get(name), kind)
    }
    rest = {name: value for name, value in environment.items() if name not in columns}
    conn.execute(
        """INSERT INTO env (sha, git_sha, dirty, host, device, driver, python, torch, packages_json)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sha) DO NOTHING""",
        (
            text_sha(text),
            *(columns.get(name) for name in _ENV_COLUMNS),
            canonical_json(rest),
        ),
    )
    return _id(conn, "SELECT id FROM env WHERE sha = ?", text_sha(text))


def _with_shared_parts_kept(conn: sqlite3.Connection, environment: Mapping[str, Any]) -> Mapping[str, Any]:
    installed, study = environment.get("installed"), environment.get("study")
    if isinstance(installed, Mapping):
        text = canonical_json(installed)
        conn.execute(
            "INSERT INTO installed (sha, packages_json) VALUES (?, ?) ON CONFLICT DO NOTHING", (text_sha(text), text)
        )
        environment = {**environment, "installed": text_sha(text)}
    if isinstance(study, Mapping) and isinstance(study.get("patch"), str):
        put_source(conn, study["patch"])
        environment = {**environment, "study": {name: fact for name, fact in study.items() if name != "patch"}}
    return environment


def put_source(conn: sqlite3.Connection, text: str) -> None:
    """Insert a difference of a study's repository from its commit unless it is known."""
    conn.execute("INSERT INTO source (sha, text) VALUES (?, ?) ON CONFLICT DO NOTHING", (text_sha(text), text))


def put_findings(conn: sqlite3.Connection, attempt: int, result: AttemptResult) -> None:
    """Insert an attempt's curve, results, measures, samples and artifacts."""
    keys = {r.evaluation for r in result.results} | {s.evaluation for s in result.samples}
    evaluations = _evaluation_ids(conn, keys, result.uid)
    put_curve(conn, attempt, ((p.split, p.name, p.step, p.value, p.flag) for p in result.curve))
    conn.executemany(
        "INSERT INTO result (attempt_id, evaluation_id, name, value, flag) VALUES (?, ?, ?, ?, ?)",
        ((attempt, evaluations[r.evaluation], r.name, *_storable(r.value, r.flag)) for r in result.results),
    )
    conn.executemany(
        "INSERT INTO measure (attempt_id, name, value, flag) VALUES (?, ?, ?, ?)",
        ((attempt, m.name, *_storable(m.value, m.flag)) for m in result.measures),
    )
    conn.executemany(
        """INSERT INTO sample (attempt_id, evaluation_id, name, count, encoding, packed)
        VALUES (?, ?, ?, ?, ?, ?)""",
        ((attempt, evaluations[s.evaluation], s.name, s.count, s.encoding, s.packed) for s in result.samples),
    )
    conn.executemany(
        "INSERT INTO artifact (attempt_id, kind, path, sha256, bytes) VALUES (?, ?, ?, ?, ?)",
        ((attempt, a.kind, a.path, a.sha256, a.bytes) for a in result.artifacts),
    )


def put_curve(
    conn: sqlite3.Connection, attempt: int, points: Iterable[tuple[str, str, int, float | None, Flag]]
) -> None:
    """Insert points of an attempt's curve; of those with one split, name and step the last counts."""
    conn.executemany(
        """INSERT INTO metric (attempt_id, split, name, step, value, flag) VALUES (?, ?, ?, ?, ?, ?)
        ON CONFLICT DO UPDATE SET value = excluded.value, flag = excluded.flag""",
        ((attempt, split, name, int(step), *_storable(value, flag)) for split, name, step, value, flag in points),
    )


def put_costs(conn: sqlite3.Connection, trial: int, costs: Mapping[str, float]) -> None:
    """Insert or replace costs of a trial."""
    conn.executemany(
        """INSERT INTO cost (trial_id, name, value) VALUES (?, ?, ?)
        ON CONFLICT (trial_id, name) DO UPDATE SET value = excluded.value""",
        ((trial, name, float(value)) for name, value in costs.items()),
    )


def _storable(value: float | None, flag: Flag) -> tuple[float | None, Flag]:
    """Return value and flag as the tables want them, also for a number that nobody has flagged."""
    return (None, flag) if value is None else flagged(float(value))


def _evaluation_ids(conn: sqlite3.Connection, keys: Iterable[str], uid: str) -> dict[str, int]:
    """Return the ids of evaluations by key. Raises HarnessError for one that is not known."""
    ids = {}
    for key in keys:
        row = conn.execute("SELECT id FROM evaluation WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise HarnessError(f"attempt {uid} reports an evaluation that nobody asked for: {key}")
        ids[key] = int(row[0])
    return ids


def _id(conn: sqlite3.Connection, query: str, *parameters: object) -> int:
    """Return the one id that a query finds."""
    return int(conn.execute(query, parameters).fetchone()[0])


def _kind(part: object) -> str | None:
    """Return what a part of a configuration is called, if it is called anything."""
    kind = part.get("kind") if isinstance(part, Mapping) else None
    return kind if isinstance(kind, str) else None
