"""Reading a store: all at once as a `Snapshot`, and what is large (curves, samples, artifacts) by attempt.

A snapshot is a handful of queries over whole tables, joined in Python by ids, within one transaction; JSON
that many rows share is parsed once. So a plan over thousands of runs takes a fraction of a second.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations
from typing import Any

from harness.attempt.messages import ENDED_WELL, Artifact, Point, Sample, State, unflagged
from harness.attempt.metrics import Metric
from harness.base.collection import collection_put_off
from harness.base.errors import HarnessError
from harness.store.claims import read_claims
from harness.store.connection import Store
from harness.store.records import (
    AcceptanceRecord,
    AttemptRecord,
    DatasetRecord,
    EvaluationRecord,
    Snapshot,
    StudyTrialRecord,
    TrialRecord,
    told_apart,
)
from harness.store.trusted import config_fault

_ATTEMPTS = """
SELECT a.id, a.env_id, a.exclusive, a.execution_json,
    a.uid, a.kind, a.state, t.key, r.seed, a.device, a.threads,
    a.code_digest, a.started, a.ended, a.weights_from, a.resumed_from, a.supersedes, a.error_kind, a.error, a.ordered
FROM attempt a JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id WHERE true
ORDER BY coalesce(a.ordered, a.started), a.uid
"""


def snapshot(store: Store, newest: int | None = None) -> Snapshot:
    """Return all that is stored but curves, samples and artifacts, as of one moment.

    With `newest`, only so many runs, those that were tried last, and their trials; all of them where results count for
    other trials by a person's word. Records share the mappings that they have in common; treat them as read-only.
    """
    with store.reading() as conn, collection_put_off():
        runs = None if newest is None else _newest_runs(conn, newest)
        places = _study_trials(conn, runs)
        return Snapshot(
            datasets=_datasets(conn),
            trials=_trials(conn, runs),
            study_trials=places,
            evaluations=_evaluations(conn, {place.trial_key: f"{place.study}: {place.name}" for place in places}),
            attempts=_attempts(conn, runs),
            acceptances=_acceptances(conn),
            claims=read_claims(conn),
        )


def run_count(store: Store) -> int:
    """Return how many runs have been tried."""
    return int(store.db.conn.execute("SELECT count(DISTINCT run_id) FROM attempt").fetchone()[0])


def _newest_runs(conn: sqlite3.Connection, count: int) -> str | None:
    """Return the ids of the runs that were tried last, as JSON; None for all."""
    if conn.execute("SELECT 1 FROM acceptance LIMIT 1").fetchone() is not None:
        return None
    rows = conn.execute(
        "SELECT run_id FROM attempt GROUP BY run_id ORDER BY max(coalesce(ordered, started)) DESC, run_id DESC LIMIT ?",
        (count,),
    )
    return json.dumps([run for (run,) in rows])


_OF_RUNS = "a.run_id IN (SELECT value FROM json_each(:runs))"
_OF_TRIALS = "t.id IN (SELECT trial_id FROM run WHERE id IN (SELECT value FROM json_each(:runs)))"


def _only(query: str, condition: str, runs: str | None) -> tuple[str, dict[str, str]]:
    """Return a query and its parameters: of some runs if `runs` names them. It has WHERE true where that goes."""
    return (query, {}) if runs is None else (query.replace("WHERE true", f"WHERE {condition}"), {"runs": runs})


def accepted(attempts: Iterable[AttemptRecord]) -> frozenset[str]:
    """Return the uids of the accepted attempts, at most one per run.

    Accepted is the `train` attempt of a run that ended done or nan and that no other such attempt of the run
    supersedes; where several are left (two machines did one run, a link between them was never published), the one
    that comes last in their order: by the time of their start, or, where a clock was set back, by what the store knew;
    of one time the one with the greater uid. So a merge never brings back what `--retry stale` has
    replaced, in whatever order it is made.
    """
    ended = [a for a in attempts if a.kind == "train" and a.state in ENDED_WELL]
    superseded = {(a.trial_key, a.seed, a.supersedes) for a in ended if a.supersedes is not None}
    newest: dict[tuple[str, int], tuple[str, str]] = {}
    for a in ended:
        run, at = (a.trial_key, a.seed), a.order
        if (*run, a.uid) not in superseded:
            newest[run] = max(newest.get(run, at), at)
    return frozenset(uid for _, uid in newest.values())


def named_runs(store: Store) -> list[tuple[str, str, int]]:
    """Return study, trial and seed of each run that was tried and that a study names, in the order of the studies."""
    query = """SELECT study.name, study_trial.name, run.seed FROM study JOIN study_trial ON study_id = study.id
        JOIN run USING (trial_id) ORDER BY study.name, position, seed"""
    return list(store.db.execute(query))


def in_state(store: Store, *states: State) -> tuple[AttemptRecord, ...]:
    """Return the attempts that are in one of some states, in order of their start."""
    marks = ", ".join("?" * len(states))
    if store.db.conn.execute(f"SELECT 1 FROM attempt WHERE state IN ({marks}) LIMIT 1", states).fetchone() is None:  # noqa: S608
        return ()
    return tuple(a for a in snapshot(store).attempts if a.state in states)


def attempts_since(store: Store, key: str, seed: int, last: int) -> list[tuple[str, str, str | None]]:
    """Return the attempts at a run that came into the store after the attempt with the id `last`, and what still runs.

    Of each its uid, its state and, while it runs, the driver that has it on lease.
    """
    rows = store.db.conn.execute(
        """SELECT a.uid, a.state, iif(a.state = 'running', json_extract(a.execution_json, '$.driver'), NULL)
        FROM attempt a JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id
        WHERE t.key = ? AND r.seed = ? AND (a.id > ? OR a.state = 'running') ORDER BY a.id""",
        (key, seed, last),
    )
    return [(uid, state, driver) for uid, state, driver in rows]


def last_attempt(store: Store) -> int:
    """Return the id of the attempt that came into the store last; 0 if there is none."""
    return int(store.db.conn.execute("SELECT coalesce(max(id), 0) FROM attempt").fetchone()[0])


def resumed_attempts(store: Store, uid: str) -> list[str]:
    """Return the attempts of the same run that an attempt resumed from, the nearest first."""
    rows = store.db.conn.execute(
        """WITH RECURSIVE earlier (uid, resumed_from, run_id) AS (
            SELECT uid, resumed_from, run_id FROM attempt WHERE uid = ?
            UNION SELECT a.uid, a.resumed_from, a.run_id
            FROM attempt a JOIN earlier e ON a.uid = e.resumed_from AND a.run_id = e.run_id
        ) SELECT uid FROM earlier""",
        (uid,),
    )
    return [found for (found,) in rows if found != uid]


def curve(store: Store, uid: str) -> tuple[Point, ...]:
    """Return an attempt's curve, ordered by split, name and step; empty if there is none."""
    return tuple(Point(*row) for row in curve_rows(store, uid))


def curve_rows(store: Store, uid: str) -> Iterator[tuple[Any, ...]]:
    """Yield the same as rows: split, name, step, value, flag."""
    yield from store.db.conn.execute(
        """SELECT m.split, m.name, m.step, m.value, m.flag FROM metric m JOIN attempt a ON a.id = m.attempt_id
        WHERE a.uid = ? ORDER BY m.split, m.name, m.step""",
        (uid,),
    )


def samples(store: Store, uid: str) -> tuple[Sample, ...]:
    """Return an attempt's values by image, packed as they were stored, ordered by evaluation key and name."""
    rows = store.db.conn.execute(
        """SELECT e.key, s.name, s.count, s.encoding, s.packed
        FROM sample s JOIN attempt a ON a.id = s.attempt_id JOIN evaluation e ON e.id = s.evaluation_id
        WHERE a.uid = ? ORDER BY e.key, s.name""",
        (uid,),
    )
    return tuple(Sample(*row) for row in rows)


def artifacts(store: Store, uid: str) -> tuple[Artifact, ...]:
    """Return the files that an attempt left, ordered by path."""
    rows = store.db.conn.execute(
        """SELECT f.kind, f.path, f.sha256, f.bytes FROM artifact f JOIN attempt a ON a.id = f.attempt_id
        WHERE a.uid = ? ORDER BY f.path""",
        (uid,),
    )
    return tuple(Artifact(*row) for row in rows)


def all_artifacts(store: Store) -> list[tuple[str, Artifact]]:
    """Return every file that any attempt left, with the attempt's uid, ordered by uid and path."""
    rows = store.db.conn.execute(
        """SELECT a.uid, f.kind, f.path, f.sha256, f.bytes FROM artifact f JOIN attempt a ON a.id = f.attempt_id
        ORDER BY a.uid, f.path"""
    )
    return [(uid, Artifact(*row)) for uid, *row in rows]


def config_text(store: Store, uid: str) -> str:
    """Return the configuration of an attempt's trial, as JSON."""
    rows = store.db.conn.execute(
        """SELECT t.config_json FROM attempt a JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id
        WHERE a.uid = ?""",
        (uid,),
    )
    return str(rows.fetchone()[0])


def installed(store: Store, sha: object) -> dict[str, str]:
    """Return the distributions of the list that an environment names; none if it was not published, or never kept."""
    row = store.db.conn.execute("SELECT packages_json FROM installed WHERE sha = ?", (str(sha),)).fetchone()
    return {} if row is None else dict(json.loads(row[0]))


def source(store: Store, sha: object) -> str | None:
    """Return the difference of a repository that an environment names; None if it was not published."""
    row = store.db.conn.execute("SELECT text FROM source WHERE sha = ?", (str(sha),)).fetchone()
    return None if row is None else str(row[0])


def _parsed(text: str, what: str) -> dict[str, Any]:
    """Return the mapping that a column holds as JSON. Raises HarnessError if it holds something else."""
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise HarnessError(f"{what} is not a mapping in JSON: the store was edited; {_VERIFY}")
    return value


_VERIFY = "'harness results verify' says what else is wrong, a backup or a published file may have it whole"


def _config(text: str, key: str) -> dict[str, Any]:
    """Return a trial's configuration. Raises HarnessError if it has not the form of one."""
    config = _parsed(text, f"trial {key}: its configuration")
    if (fault := config_fault(config)) is not None:
        raise HarnessError(f"trial {key}: its configuration {fault}: the store was edited; {_VERIFY}")
    return config


def _seeds(text: str, study: str, trial: str) -> tuple[int, ...]:
    """Return the seeds that a study asks of a trial. Raises HarnessError if these are not whole numbers."""
    try:
        seeds = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        seeds = None
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        raise HarnessError(f"study '{study}': the seeds of '{trial}' are not a list of whole numbers: {_VERIFY}")
    return tuple(seeds)


def _asked(text: str | None, study: str, trial: str) -> tuple[str, ...] | None:
    """Return the keys of the evaluations that a study asks for. Raises HarnessError if they are not a list of words."""
    if text is None:
        return None
    try:
        keys = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise HarnessError(f"study '{study}': the evaluations of '{trial}' are not a list of keys: {_VERIFY}")
    return tuple(keys)


def _datasets(conn: sqlite3.Connection) -> dict[str, DatasetRecord]:
    rows = conn.execute("SELECT name, split, fingerprint, images, bytes FROM dataset ORDER BY fingerprint")
    return {row[2]: DatasetRecord(*row) for row in rows}


def _trials(conn: sqlite3.Connection, runs: str | None) -> dict[str, TrialRecord]:
    costs: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for trial, name, value in conn.execute("SELECT trial_id, name, value FROM cost ORDER BY trial_id, name"):
        costs[trial][name] = value
    query = "SELECT t.id, t.key, key_scheme, config_json, metrics_json FROM trial t WHERE true ORDER BY t.id"
    rows = conn.execute(*_only(query, _OF_TRIALS, runs))
    return {
        key: TrialRecord(key, scheme, _config(config, key), costs.get(number, {}), _metrics(metrics))
        for number, key, scheme, config, metrics in rows
    }


def _metrics(text: str | None) -> tuple[Metric, ...]:
    return () if text is None else tuple(map(Metric.from_dict, json.loads(text)))


def _study_trials(conn: sqlite3.Connection, runs: str | None) -> tuple[StudyTrialRecord, ...]:
    """Return the trials of each study: those added last come last, otherwise in their file's order.

    What `--set` made of a study's trials comes before all of its own: of one name it is the last that counts.
    """
    query = """SELECT s.name, st.name, st.position, t.key, st.seeds_json, st.evaluations_json,
            st.protocol_name, s.spec_yaml, s.spec_sha, s.created, st.added, st.overrides
        FROM study_trial st JOIN study s ON s.id = st.study_id JOIN trial t ON t.id = st.trial_id WHERE true
        ORDER BY s.created, s.name, st.overrides IS NULL, st.added, st.position, t.key"""
    rows = conn.execute(*_only(query, _OF_TRIALS, runs))
    places = [
        StudyTrialRecord(
            study, name, position, key, _seeds(seeds, study, name), protocol, text, sha, created, added, overrides,
            _asked(asked, study, name),
        )
        for study, name, position, key, seeds, asked, protocol, text, sha, created, added, overrides in rows
    ]  # fmt: skip
    return tuple(places)


def _evaluations(conn: sqlite3.Connection, trial_names: Mapping[str, str]) -> dict[str, EvaluationRecord]:
    rows = conn.execute(
        """SELECT e.key, d.name, d.split, d.fingerprint, e.condition_json
        FROM evaluation e JOIN dataset d ON d.id = e.dataset_id ORDER BY e.key"""
    )
    found = {
        key: EvaluationRecord(
            key, dataset, split, fingerprint, _parsed(condition, f"evaluation {key}: its condition"), trial_names
        )
        for key, dataset, split, fingerprint, condition in rows
    }
    return told_apart(found)


def _acceptances(conn: sqlite3.Connection) -> tuple[AcceptanceRecord, ...]:
    rows = conn.execute(
        """SELECT t.key, o.key, a.author, a.reason, a.accepted
        FROM acceptance a JOIN trial t ON t.id = a.trial_id JOIN trial o ON o.id = a.old_trial_id
        ORDER BY a.accepted, t.key, o.key"""
    )
    return tuple(AcceptanceRecord(*row) for row in rows)


def _attempts(conn: sqlite3.Connection, runs: str | None) -> tuple[AttemptRecord, ...]:
    parsed = cache(partial(_parsed, what="how an attempt was carried out (execution_json)"))
    environments = _environments(conn)
    results: defaultdict[int, dict[tuple[str, str], float]] = defaultdict(dict)
    query = """SELECT x.attempt_id, e.key, x.name, x.value, x.flag
        FROM result x JOIN evaluation e ON e.id = x.evaluation_id WHERE true ORDER BY x.attempt_id, e.key, x.name"""
    of_attempts = f"attempt_id IN (SELECT a.id FROM attempt a WHERE {_OF_RUNS})"  # noqa: S608 - words of ours
    places: dict[tuple[str, str], tuple[str, str]] = {}  # each once, as most attempts have the same
    for attempt, key, name, value, flag in conn.execute(*_only(query, of_attempts, runs)):
        place = key, name
        results[attempt][places.setdefault(place, place)] = unflagged(value, flag)
    measures: defaultdict[int, dict[str, float]] = defaultdict(dict)
    query = "SELECT attempt_id, name, value, flag FROM measure WHERE true ORDER BY attempt_id, name"
    names: dict[str, str] = {}
    for attempt, name, value, flag in conn.execute(*_only(query, of_attempts, runs)):
        measures[attempt][names.setdefault(name, name)] = unflagged(value, flag)
    nothing: frozenset[str] = frozenset()
    records = [
        AttemptRecord(  # type: ignore[call-arg]  # by position, as its fields stand: names take twice the time
            *row[:7], bool(exclusive), parsed(execution), environments.get(env, {}), *row[7:15],
            False, nothing, results.get(number, {}), measures.get(number, {}), row[15],
        )
        for number, env, exclusive, execution, *row in conn.execute(*_only(_ATTEMPTS, _OF_RUNS, runs))
    ]  # fmt: skip
    untrained = _untrained(conn)
    chosen, same = accepted(records), same_code(records, _weights(conn), untrained)
    for record in records:  # which nobody else has yet: a copy of each takes as long as all the rest
        if record.uid in chosen:
            object.__setattr__(record, "accepted", True)
        if (code := _code_of(record, untrained)) in same:
            object.__setattr__(record, "same_code", frozenset(digest for digest, _ in same[code]))
    return tuple(records)


def _untrained(conn: sqlite3.Connection) -> dict[str, str]:
    """Return the kind of model of each trial that is evaluated without a training, by key."""
    rows = conn.execute(
        """SELECT key, json_extract(config_json, '$.model.kind') FROM trial
        WHERE json_type(config_json, '$.model') = 'object' AND json_type(config_json, '$.protocol') IS NULL"""
    )
    return {key: str(kind) for key, kind in rows}


def _weights(conn: sqlite3.Connection) -> dict[str, str]:
    """Return the SHA-256 of the weights of each attempt that left some, by uid."""
    rows = conn.execute(
        "SELECT a.uid, f.sha256 FROM artifact f JOIN attempt a ON a.id = f.attempt_id WHERE f.kind = 'weights'"
    )
    return dict(rows.fetchall())


def _environments(conn: sqlite3.Connection) -> dict[int, dict[str, Any]]:
    """Return each environment as it was given, by id."""
    found = {}
    for number, git_sha, dirty, host, device, driver, python, torch, rest in conn.execute(
        "SELECT id, git_sha, dirty, host, device, driver, python, torch, packages_json FROM env"
    ):
        columns = {
            "git_sha": git_sha,
            "dirty": None if dirty is None else bool(dirty),
            "host": host,
            "device": device,
            "driver": driver,
            "python": python,
            "torch": torch,
        }
        found[number] = {name: v for name, v in columns.items() if v is not None} | _parsed(
            rest, f"environment {number}: packages_json"
        )
    return found


_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_PRAGMAS = frozenset({"table_info", "table_list", "index_list", "foreign_key_list"})


@dataclass(frozen=True)
class Answer:
    """The rows that a query found."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def ask(store: Store, sql: str) -> Answer:
    """Return what a person's own query finds. Raises HarnessError for one that is wrong or would do more than read.

    The file is opened read-only, and an authorizer denies every action but reading: no ATTACH, which would make files,
    no temporary tables, no PRAGMA that sets something.
    """
    conn = store.db.conn
    conn.set_authorizer(_authorize)
    try:
        cursor = conn.execute(sql)
        if cursor.description is None:
            raise HarnessError(
                "that is no query: write SELECT … (`SELECT name, sql FROM sqlite_master` lists the tables)"
            )
        return Answer(tuple(column[0] for column in cursor.description), cursor.fetchall())
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY}:
            raise HarnessError(f"a query may only read ({error}): results change by run and merge alone") from error
        raise HarnessError(f"the query cannot be answered: {' '.join(str(error).split())}") from error
    finally:
        conn.set_authorizer(None)


def _authorize(action: int, name: str | None, _argument: str | None, _database: str | None, _by: str | None) -> int:
    if action in _ALLOWED or (action == sqlite3.SQLITE_PRAGMA and name in _PRAGMAS):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


Code = tuple[str, str]
"""A digest of code, and the kind of model of what is not trained: one digest is of all classical methods."""

_Pair = frozenset[Code]


def same_code(
    attempts: Iterable[AttemptRecord], weights: Mapping[str, str], untrained: Mapping[str, str] | None = None
) -> dict[Code, frozenset[Code]]:
    """Return each code for which another is shown to give the same bits, with all of these and itself.

    A digest changes with every change of a program, also one that computes the same. If a run is made again by the
    changed code (`--retry stale`) and ends with the same weights and results, bit by bit, the two digests count as one,
    and the other runs of the older are as good as today's. A single run that differs shows that they are two, whatever
    others say. Only runs on one model of device are held against each other: elsewhere sums are taken in another order.

    `weights` has the SHA-256 of the weights that an attempt left, by uid. What is not trained leaves none: its results
    alone tell. `untrained` has the kind of model of such trials, by key; each kind is shown for itself. Of a person's
    function nothing is ever shown: what it returns may be the same by chance.
    """
    untrained = untrained or {}
    made: defaultdict[tuple[str, int, object], list[AttemptRecord]] = defaultdict(list)
    for a in attempts:
        tells = a.uid in weights or a.trial_key in untrained
        if a.kind == "train" and a.state in ENDED_WELL and a.code_digest is not None and tells:
            made[a.trial_key, a.seed, a.environment.get("device", a.device)].append(a)
    equal: set[_Pair] = set()
    unequal: set[_Pair] = set()
    for group in made.values():
        for one, other in combinations(group, 2):
            if one.code_digest != other.code_digest:
                alike = weights.get(one.uid) == weights.get(other.uid) and _agree(one, other)
                (equal if alike else unequal).add(frozenset((_code_of(one, untrained), _code_of(other, untrained))))
    return _classes(equal, unequal)


def _code_of(attempt: AttemptRecord, untrained: Mapping[str, str]) -> Code:
    return str(attempt.code_digest), untrained.get(attempt.trial_key, "")


def _agree(one: AttemptRecord, other: AttemptRecord) -> bool:
    """Return whether two attempts have results in common, all of them equal; nan equals nan."""
    shared = one.results.keys() & other.results.keys()
    return bool(shared) and all(repr(one.results[name]) == repr(other.results[name]) for name in shared)


def _classes(equal: set[_Pair], unequal: set[_Pair]) -> dict[Code, frozenset[Code]]:
    """Return what equal pairs hang together, each code with its class; none where two in it are shown to differ."""
    classes: dict[Code, frozenset[Code]] = {}
    for pair in equal:
        joined = frozenset().union(pair, *(classes.get(digest, frozenset()) for digest in pair))
        classes.update(dict.fromkeys(joined, joined))
    return {code: found for code, found in classes.items() if not any(pair <= found for pair in unequal)}
