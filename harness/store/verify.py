"""Whether a store is intact: SQLite's own checks, recomputed keys and digests, references, artifacts and checkpoints.

A fault is one line. What lies elsewhere is none: an artifact of another machine's attempt, weights that were cleared
away, an attempt that is named but was never published.
"""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.attempt.checkpoints import UncheckedError, check_checkpoint, has_checkpoint
from harness.attempt.messages import LOCK_FILE, read_result
from harness.base.errors import DamagedError, HarnessError, in_a_line, name_fault, printable_line, shortened
from harness.base.keys import KEY_SCHEME, evaluation_key, text_sha, trial_key
from harness.base.locks import is_held
from harness.base.sealed import sha256_of
from harness.store.acceptance import LONGEST, but_for_code, said_fault
from harness.store.artifacts import places
from harness.store.claims import claim_fault, claim_sha, read_claims
from harness.store.connection import Store, open_memory, open_reader
from harness.store.made_twice import MadeTwice, made_twice
from harness.store.merge import files_of, merge_jsonl, open_results
from harness.store.queries import all_artifacts, snapshot
from harness.store.records import Snapshot
from harness.store.trusted import (
    LARGEST_SEED,
    config_fault,
    end_fault,
    is_study_name,
    is_time,
    link_faults,
    stays_in_its_folder,
)

_SHA_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass
class Verified:
    """What was looked at, and what is wrong."""

    faults: list[str] = field(default_factory=list)
    trials: int = 0
    attempts: int = 0
    files: int = 0  # artifacts that are here
    elsewhere: int = 0  # artifacts that are not
    twice: list[MadeTwice] = field(default_factory=list)  # runs that several machines have made
    snapshot: Snapshot | None = None  # of all files together, if each can be read


def verify(sources: Sequence[Path]) -> Verified:
    """Look at databases, published files and folders of these. Raises HarnessError if there is nothing."""
    found = Verified()
    files = files_of(sources)
    for path in files:
        _verify_file(path, found, alone=len(files) == 1)
    if not found.faults:
        _look_at_all(files, found)
    for folder in dict.fromkeys(path.resolve().parent / "artifacts" for path in files):
        found.faults += _misnamed(folder)
    return found


def _verify_file(path: Path, found: Verified, *, alone: bool) -> None:
    """Look at one file. A published one is taken into memory first, which makes its keys again."""
    store: Store | None = None
    try:
        if path.suffix == ".jsonl":
            store = open_memory()
            merge_jsonl(store, path)
        else:
            store = open_reader(path)
        _verify_store(store, path, found)
        if alone and not found.faults:  # several files are looked at together
            found.twice, found.snapshot = made_twice(store), snapshot(store)
    except (HarnessError, *_UNREADABLE) as error:
        words = str(error)
        found.faults.append(words if words.startswith(str(path)) else f"{path}: {words}")
    finally:
        if store is not None:
            store.close()


def _look_at_all(files: Sequence[Path], found: Verified) -> None:
    """Look whether files agree: on the attempts that several of them have, and on runs that were made several times."""
    try:
        if len(files) > 1:
            with open_results(files) as store:
                found.twice, found.snapshot = made_twice(store), snapshot(store)
    except (HarnessError, *_UNREADABLE) as error:
        found.faults.append(str(error))
    found.faults += [each.words for each in found.twice if each.unexplained]


def _verify_store(store: Store, path: Path, found: Verified) -> None:
    conn = store.db.conn
    for what, check in _CHECKS.items():
        try:
            found.faults += [f"{path}: {fault}" for fault in check(conn)]
        except _UNREADABLE as error:
            found.faults.append(f"{path}: {what} cannot be read ({shortened(' '.join(str(error).split()))})")
    found.trials += _count(conn, "SELECT count(*) FROM trial")
    found.attempts += _count(conn, "SELECT count(*) FROM attempt")
    _verify_artifacts(store, path, found)
    if path.suffix != ".jsonl":
        _verify_checkpoints(conn, path, found)
        _verify_results(conn, path, found)


_UNREADABLE = (sqlite3.DatabaseError, ValueError, TypeError, AttributeError, RecursionError)
"""What reading raises if a file is damaged, its tables were altered, or JSON in it was edited by hand."""


def _integrity(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at the file by SQLite's own check."""
    yield from (row[0].replace("\n", " ") for row in conn.execute("PRAGMA integrity_check") if row[0] != "ok")


def _foreign_keys(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at every reference between rows."""
    for table, row, parent, _ in conn.execute("PRAGMA foreign_key_check"):
        yield f"a row of {table}{'' if row is None else f' ({row})'} names a {parent} that is not there"


def _trial_keys(conn: sqlite3.Connection) -> Iterator[str]:
    """Make the trials' keys again."""
    for key, scheme, config in conn.execute("SELECT key, key_scheme, config_json FROM trial ORDER BY key"):
        if scheme != KEY_SCHEME:
            yield f"trial {key} has key scheme {scheme}; this harness has {KEY_SCHEME}"
            continue
        try:
            parsed = json.loads(config)
            right = trial_key(parsed)
        except _UNREADABLE as error:
            yield f"trial {key}: its configuration cannot be read ({error})"
            continue
        if (fault := config_fault(parsed)) is not None:
            yield f"trial {key}: its configuration {fault}"
        if right != key:
            yield f"trial {key}: its configuration's key is {right}"


def _evaluation_keys(conn: sqlite3.Connection) -> Iterator[str]:
    """Make the evaluations' keys again."""
    rows = conn.execute(
        "SELECT e.key, d.fingerprint, e.condition_json FROM evaluation e JOIN dataset d ON d.id = dataset_id"
    )
    for key, fingerprint, condition in rows:
        if (right := evaluation_key(fingerprint, json.loads(condition))) != key:
            yield f"evaluation {key}: the key of its data and condition is {right}"


def _studies(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at the studies' names, texts and seeds."""
    for name, text, sha in conn.execute("SELECT name, spec_yaml, spec_sha FROM study ORDER BY name"):
        if not is_study_name(name):
            yield f"study '{printable_line(shortened(name))}': no study can have this name"
        if text_sha(text) != sha:
            yield f"study '{name}': its text is not the one that spec_sha names"
    for name, trial, seeds, asked in conn.execute(
        """SELECT s.name, st.name, st.seeds_json, coalesce(st.evaluations_json, '[]')
        FROM study_trial st JOIN study s ON s.id = st.study_id ORDER BY 1, 2"""
    ):
        parsed, shown = json.loads(seeds), printable_line(shortened(trial))
        if (fault := name_fault(trial)) is not None:
            yield f"study '{name}': trial '{shown}' cannot have this name: {fault}"
        if not isinstance(parsed, list) or not parsed or not all(type(seed) is int for seed in parsed):
            yield f"study '{name}': the seeds of '{shown}' are not a list of whole numbers"
        keys = json.loads(asked)
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            yield f"study '{name}': the evaluations of '{shown}' are not a list of keys"


def _links(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at what attempts say of each other."""
    for uid, words in link_faults(conn):
        yield f"attempt {uid}: {words}"


def _times(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at the times by which attempts, studies and their trials are ordered."""
    for column in ("started", "ended", "ordered"):
        for uid, text in conn.execute(f"SELECT uid, {column} FROM attempt ORDER BY uid"):  # noqa: S608 - a name of ours
            if text is not None and not is_time(text):
                yield f"attempt {uid}: {column} is not a time: '{shortened(text)}'"
    for name, text in conn.execute("SELECT name, created FROM study ORDER BY name"):
        if not is_time(text):
            yield f"study '{shortened(name)}': created is not a time: '{shortened(text)}'"
    for name, text in conn.execute("SELECT name, added FROM study_trial ORDER BY name"):
        if not is_time(text):
            yield f"trial '{printable_line(shortened(name))}' of a study: added is not a time: '{shortened(text)}'"
    for author, text in conn.execute("SELECT author, accepted FROM acceptance ORDER BY author"):
        if not is_time(text):
            yield f"what '{shortened(author)}' accepted: accepted is not a time: '{shortened(text)}'"


def _ends(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether attempts ended as they can."""
    rows = conn.execute(
        """SELECT a.uid, a.kind, a.state, a.started, a.ended,
            NOT EXISTS (SELECT 1 FROM result x WHERE x.attempt_id = a.id) FROM attempt a
        WHERE a.ended IS NOT NULL ORDER BY a.uid"""
    )
    for uid, kind, state, started, ended, found_none in rows:
        fault = end_fault(kind, state, started, ended, found_none=found_none)
        if fault is not None and is_time(started) and is_time(ended):  # else `_times` has named it
            yield f"attempt {uid}: {fault}"


def _metrics(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether each metric of a trial is declared once."""
    for key, text in conn.execute("SELECT key, metrics_json FROM trial WHERE metrics_json IS NOT NULL ORDER BY key"):
        names = [metric["name"] for metric in json.loads(text)]
        if twice := [name for name in names if names.count(name) > 1]:
            yield f"trial {key}: the metric '{printable_line(shortened(str(twice[0])))}' occurs twice"


def _paths(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether artifacts lie in their attempts' folders."""
    rows = conn.execute("SELECT a.uid, f.path FROM artifact f JOIN attempt a ON a.id = f.attempt_id ORDER BY 1, 2")
    for uid, path in rows:
        if not stays_in_its_folder(path):
            yield f"attempt {uid}: the artifact '{shortened(path)}' does not lie in its attempt's folder"


def _json(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether JSON is JSON, and an object."""
    for table, column, key in (("attempt", "execution_json", "uid"), ("env", "packages_json", "sha")):
        for name, text in conn.execute(f"SELECT {key}, {column} FROM {table} ORDER BY 1"):  # noqa: S608 - names of ours
            try:
                fault = None if isinstance(json.loads(text), dict) else "is not a mapping"
            except _UNREADABLE as error:
                fault = f"cannot be read ({error})"
            if fault is not None:
                yield f"{table} {name}: {column} {fault}"


def _schema(conn: sqlite3.Connection) -> Iterator[str]:
    """Compare tables, views and indexes with those that the migrations make; a person's own tables and views may be."""
    with open_memory() as fresh:
        right = _objects(fresh.db.conn)
    here = _objects(conn)
    for name, (kind, sql) in right.items():
        if name not in here:
            yield f"the {kind} '{name}' is missing"
        elif here[name][0] != kind:
            yield f"the {kind} '{name}' was replaced by a {here[name][0]}"
        elif here[name][1] != sql:
            yield f"the {kind} '{name}' is not the one that the harness makes"
    for name, (kind, _) in here.items():
        if name not in right and kind in {"trigger", "index"}:
            yield f"the {kind} '{name}' is not of the harness, and may change what is stored"


def _objects(conn: sqlite3.Connection) -> dict[str, tuple[str, str]]:
    """Return what a database holds by name: its kind, and how it was made, without white space and quotes."""
    rows = conn.execute(
        "SELECT name, type, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '%sqlite\\_%' ESCAPE '\\'"
    )
    return {name: (kind, _INSIGNIFICANT.sub("", sql)) for name, kind, sql in rows}


_INSIGNIFICANT = re.compile(r"[\s\"]+")


def _numbers(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether seeds and steps can be, and each number goes with its flag, which the tables do not check."""
    for seed, key in conn.execute(
        "SELECT r.seed, t.key FROM run r JOIN trial t ON t.id = r.trial_id WHERE r.seed NOT BETWEEN 0 AND ?",
        (LARGEST_SEED,),
    ):
        yield f"trial {key}: no run can have the seed {seed}"
    rows = conn.execute(
        """SELECT a.uid, m.split, m.name, min(m.step) FROM metric m JOIN attempt a ON a.id = m.attempt_id
        WHERE m.step < 0 GROUP BY 1, 2, 3"""
    )
    for uid, split, name, step in rows:
        yield f"attempt {uid}: its curve has '{printable_line(name)}' on '{printable_line(split)}' at step {step}"
    for table in ("metric", "result", "measure"):
        rows = conn.execute(
            f"""SELECT a.uid, x.name, x.value, x.flag FROM {table} x JOIN attempt a ON a.id = x.attempt_id
            WHERE (x.flag = 'ok') <> (x.value IS NOT NULL) ORDER BY a.uid, x.name"""  # noqa: S608 - a name of ours
        )
        for uid, name, value, flag in rows:
            yield f"attempt {uid}: {table} '{name}': the value {value} does not go with the flag {flag}"


def _names(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether metrics, splits and kinds of artifacts have names that they can have."""
    for table, column in (
        ("metric", "split"),
        ("artifact", "kind"),
        *((table, "name") for table in ("metric", "result", "measure", "sample")),
    ):
        for (name,) in conn.execute(f"SELECT DISTINCT {column} FROM {table} ORDER BY 1"):  # noqa: S608 - names of ours
            if (fault := name_fault(name)) is not None:
                yield f"{table} '{printable_line(shortened(name))}': it cannot have this name: {fault}"


def _samples(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at the lengths of the values of images."""
    rows = conn.execute(
        """SELECT a.uid, s.name, s.count, s.encoding, length(s.packed), d.images
        FROM sample s JOIN attempt a ON a.id = s.attempt_id
        JOIN evaluation e ON e.id = s.evaluation_id JOIN dataset d ON d.id = e.dataset_id ORDER BY a.uid"""
    )
    for uid, name, count, encoding, length, images in rows:
        right = {"bits": (count + 7) // 8, "float32": 4 * count}.get(encoding, length)
        if length != right:
            yield f"attempt {uid}: {count} values '{name}' as {encoding} are {right} bytes, not {length}"
        if count > images:
            yield f"attempt {uid}: {count} values '{name}' of {images} images"


def _shared_texts(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether what environments name by a SHA-256 has it."""
    for table, column in (("installed", "packages_json"), ("source", "text")):
        rows = conn.execute(f"SELECT sha, {column} FROM {table} ORDER BY sha")  # noqa: S608 - names of ours
        yield from (f"{table} {sha}: its SHA-256 differs" for sha, text in rows if text_sha(text) != sha)


def _acceptances(conn: sqlite3.Connection) -> Iterator[str]:
    """Look by whose word others' results count for trials, which differ from these by code and inputs alone."""
    for key, *said in conn.execute(
        "SELECT t.key, a.author, a.reason FROM acceptance a JOIN trial t ON t.id = a.trial_id ORDER BY 1"
    ):
        for name, text in zip(LONGEST, said, strict=True):
            if (fault := said_fault(name, text)) is not None:
                yield f"what was accepted for trial {key}: its {name} {fault}"
    rows = conn.execute(
        """SELECT t.key, t.config_json, o.key, o.config_json
        FROM acceptance a JOIN trial t ON t.id = a.trial_id JOIN trial o ON o.id = a.old_trial_id"""
    )
    for key, config, old_key, old_config in rows:
        if but_for_code(json.loads(config)) != but_for_code(json.loads(old_config)):
            yield f"trial {old_key} cannot count for {key}: more than code and inputs differs"


def _claims(conn: sqlite3.Connection) -> Iterator[str]:
    """Recompute the digest by which each claim of a study is identified, and compare."""
    for record in read_claims(conn):
        fault = claim_fault(record.content)
        if fault is None and claim_sha(record.content) != record.sha:
            fault = "is not the one that its SHA-256 names: it was edited after it was entered"
        if fault is not None:
            yield f"study '{record.study}': the claim '{printable_line(record.name)}' {fault}"


_CHECKS: Mapping[str, Callable[[sqlite3.Connection], Iterator[str]]] = {
    "the file": _integrity,
    "the tables": _schema,
    "the references": _foreign_keys,
    "the trials": _trial_keys,
    "the evaluations": _evaluation_keys,
    "the studies": _studies,
    "the attempts": _links,
    "the times": _times,
    "the ends": _ends,
    "the metrics": _metrics,
    "the artifacts": _paths,
    "the JSON": _json,
    "the numbers": _numbers,
    "the names": _names,
    "the values of images": _samples,
    "what attempts ran with": _shared_texts,
    "the accepted edits": _acceptances,
    "the claims": _claims,
}


def _verify_artifacts(store: Store, path: Path, found: Verified) -> None:
    """Compare the artifacts that are here with what their attempts said of them."""
    folder = path.resolve().parent / "artifacts"
    for uid, artifact in all_artifacts(store):
        if not stays_in_its_folder(artifact.path):
            continue  # `_paths` has named it; what lies elsewhere is not looked at
        here = [place for place in places(folder, uid, artifact) if _is_taken(place)]
        found.files += bool(here)
        found.elsewhere += not here
        for place in here:
            try:
                size = place.stat().st_size
                as_left = sha256_of(place) == artifact.sha256 and size == artifact.bytes
            except (OSError, DamagedError) as error:
                found.faults.append(f"{place}: cannot be read ({_why(error)})")
                continue
            if not as_left:
                found.faults.append(f"{place}: is not what attempt {uid} left: its SHA-256 differs")


_NOT_MADE_SINCE = """NOT EXISTS (SELECT * FROM attempt b WHERE b.run_id = a.run_id AND b.id >= a.id
    AND b.kind = a.kind AND b.weights_from IS a.weights_from AND b.state IN ('done', 'nan'))"""


def _is_taken(path: Path) -> bool:
    """Return whether anything is there; what this user may not even look at is, and cannot be read."""
    try:
        return path.exists()
    except OSError:
        return True


def _why(error: OSError | DamagedError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _verify_checkpoints(conn: sqlite3.Connection, path: Path, found: Verified) -> None:
    """Read what attempts left to resume from; what an earlier version wrote has nothing to be compared with.

    Nobody resumes from an attempt at a run that it, or a later attempt, has made.
    """
    for (uid,) in conn.execute(f"SELECT uid FROM attempt a WHERE {_NOT_MADE_SINCE} ORDER BY uid"):  # noqa: S608
        folder = path.resolve().parent / "artifacts" / uid
        try:
            if has_checkpoint(folder) and not is_held(folder / LOCK_FILE):
                check_checkpoint(folder)
        except UncheckedError:
            continue
        except DamagedError as error:
            found.faults.append(f"{folder}: what attempt {uid} left to resume from is damaged: {error}")


def _verify_results(conn: sqlite3.Connection, path: Path, found: Verified) -> None:
    """Read the results that the next driver takes in: of attempts that ended after their driver."""
    query = f"SELECT uid FROM attempt a WHERE state IN ('running', 'lost') AND {_NOT_MADE_SINCE} ORDER BY uid"  # noqa: S608
    for (uid,) in conn.execute(query):
        folder = path.resolve().parent / "artifacts" / uid
        if is_held(folder / LOCK_FILE):
            continue
        try:
            result = read_result(folder)
            if result is not None and result.uid != uid:
                raise DamagedError(f"it is that of attempt {result.uid}")
        except OSError as error:
            found.faults.append(f"{folder}: the result of attempt {uid} cannot be read ({error.strerror or error})")
        except (DamagedError, RecursionError, MemoryError) as error:
            words = f"the result of attempt {uid} is damaged, and not taken in: {in_a_line(error)}"
            found.faults.append(f"{folder}: {words}; `harness run grid FILE` makes its run again")


def _misnamed(folder: Path) -> Iterator[str]:
    """Yield a line for each published artifact that is not what its name says."""
    for path in sorted(folder.glob("*")):
        if not (_SHA_NAME.fullmatch(path.stem) and _is_taken(path)):
            continue
        try:
            if sha256_of(path) != path.stem:
                yield f"{path}: its SHA-256 is not its name"
        except (OSError, DamagedError) as error:
            yield f"{path}: cannot be read ({_why(error)})"


def _count(conn: sqlite3.Connection, query: str) -> int:
    return int(conn.execute(query).fetchone()[0])
