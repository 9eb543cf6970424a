"""Whether a store is whole: SQLite's own checks, keys and digests made anew, references, and artifacts on disk.

A fault is one line. What lies elsewhere is none: an artifact of another machine's attempt, weights that were cleared
away, an attempt that is named but was never published.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.spec.errors import HarnessError
from harness.spec.keys import KEY_SCHEME, evaluation_key, trial_key
from harness.store.acceptance import but_for_code
from harness.store.artifact_files import places
from harness.store.connection import Store, open_memory, open_reader
from harness.store.merge import files_of, merge_jsonl
from harness.store.queries import all_artifacts
from harness.store.rows import text_sha

_SHA_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass
class Verified:
    """What was looked at, and what is wrong."""

    faults: list[str] = field(default_factory=list)
    trials: int = 0
    attempts: int = 0
    files: int = 0  # artifacts that are here
    elsewhere: int = 0  # artifacts that are not


def verify(sources: Sequence[Path]) -> Verified:
    """Look at databases, published files and folders of these. Raises HarnessError where there is nothing."""
    found = Verified()
    files = files_of(sources)
    for path in files:
        _verify_file(path, found)
    for folder in dict.fromkeys(path.resolve().parent / "artifacts" for path in files):
        found.faults += _misnamed(folder)
    return found


def _verify_file(path: Path, found: Verified) -> None:
    """Look at one file. A published one is taken into memory first, which makes its keys anew."""
    store: Store | None = None
    try:
        if path.suffix == ".jsonl":
            store = open_memory()
            merge_jsonl(store, path)
        else:
            store = open_reader(path)
        _verify_store(store, path, found)
    except (HarnessError, sqlite3.DatabaseError) as error:
        words = str(error)
        found.faults.append(words if words.startswith(str(path)) else f"{path}: {words}")
    finally:
        if store is not None:
            store.close()


def _verify_store(store: Store, path: Path, found: Verified) -> None:
    conn = store.db.conn
    for what, check in _CHECKS.items():
        try:
            found.faults += [f"{path}: {fault}" for fault in check(conn)]
        except sqlite3.DatabaseError as error:
            found.faults.append(f"{path}: {what} cannot be read ({error})")
    found.trials += _count(conn, "SELECT count(*) FROM trial")
    found.attempts += _count(conn, "SELECT count(*) FROM attempt")
    _verify_artifacts(store, path, found)


def _integrity(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at the file by SQLite's own check."""
    yield from (row[0].replace("\n", " ") for row in conn.execute("PRAGMA integrity_check") if row[0] != "ok")


def _foreign_keys(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at every reference between rows."""
    for table, row, parent, _ in conn.execute("PRAGMA foreign_key_check"):
        yield f"a row of {table}{'' if row is None else f' ({row})'} names a {parent} that is not there"


def _trial_keys(conn: sqlite3.Connection) -> Iterator[str]:
    """Make the trials' keys anew."""
    for key, scheme, config in conn.execute("SELECT key, key_scheme, config_json FROM trial ORDER BY key"):
        if scheme != KEY_SCHEME:
            yield f"trial {key} has key scheme {scheme}; this harness has {KEY_SCHEME}"
        elif (right := trial_key(json.loads(config))) != key:
            yield f"trial {key}: its configuration's key is {right}"


def _evaluation_keys(conn: sqlite3.Connection) -> Iterator[str]:
    """Make the evaluations' keys anew."""
    rows = conn.execute(
        "SELECT e.key, d.fingerprint, e.condition_json FROM evaluation e JOIN dataset d ON d.id = dataset_id"
    )
    for key, fingerprint, condition in rows:
        if (right := evaluation_key(fingerprint, json.loads(condition))) != key:
            yield f"evaluation {key}: the key of its data and condition is {right}"


def _studies(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at the studies' texts and seeds."""
    for name, text, sha in conn.execute("SELECT name, spec_yaml, spec_sha FROM study ORDER BY name"):
        if text_sha(text) != sha:
            yield f"study '{name}': its text is not the one that spec_sha names"
    for name, trial, seeds in conn.execute(
        "SELECT s.name, st.name, st.seeds_json FROM study_trial st JOIN study s ON s.id = st.study_id ORDER BY 1, 2"
    ):
        parsed = json.loads(seeds)
        if not isinstance(parsed, list) or not parsed or not all(type(seed) is int for seed in parsed):
            yield f"study '{name}': the seeds of '{trial}' are no list of whole numbers"


def _links(conn: sqlite3.Connection) -> Iterator[str]:
    """Look at what attempts say of each other."""
    for column in ("weights_from", "resumed_from", "supersedes"):
        rows = conn.execute(
            f"""SELECT a.uid, o.uid, o.run_id = a.run_id FROM attempt a JOIN attempt o ON o.uid = a.{column}
            WHERE o.run_id <> a.run_id OR o.uid = a.uid ORDER BY a.uid"""  # noqa: S608 - a name of ours
        )
        for uid, other, same_run in rows:
            yield f"attempt {uid}: {column} names {'itself' if same_run else f'{other}, which is of another run'}"


def _numbers(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether each number goes with its flag, which SQLite does not check in tables without row ids."""
    for table in ("metric", "result", "measure"):
        rows = conn.execute(
            f"""SELECT a.uid, x.name, x.value, x.flag FROM {table} x JOIN attempt a ON a.id = x.attempt_id
            WHERE (x.flag = 'ok') <> (x.value IS NOT NULL) ORDER BY a.uid, x.name"""  # noqa: S608 - a name of ours
        )
        for uid, name, value, flag in rows:
            yield f"attempt {uid}: {table} '{name}': the value {value} does not go with the flag {flag}"


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


def _acceptances(conn: sqlite3.Connection) -> Iterator[str]:
    """Look whether trials for which others' results count differ from these by code and inputs alone."""
    rows = conn.execute(
        """SELECT t.key, t.config_json, o.key, o.config_json
        FROM acceptance a JOIN trial t ON t.id = a.trial_id JOIN trial o ON o.id = a.old_trial_id"""
    )
    for key, config, old_key, old_config in rows:
        if but_for_code(json.loads(config)) != but_for_code(json.loads(old_config)):
            yield f"trial {old_key} cannot count for {key}: more than code and inputs differs"


_CHECKS: Mapping[str, Callable[[sqlite3.Connection], Iterator[str]]] = {
    "the file": _integrity,
    "the references": _foreign_keys,
    "the trials": _trial_keys,
    "the evaluations": _evaluation_keys,
    "the studies": _studies,
    "the attempts": _links,
    "the numbers": _numbers,
    "the values of images": _samples,
    "the accepted edits": _acceptances,
}


def _verify_artifacts(store: Store, path: Path, found: Verified) -> None:
    """Compare the artifacts that are here with what their attempts said of them."""
    folder = path.resolve().parent / "artifacts"
    for uid, artifact in all_artifacts(store):
        here = [place for place in places(folder, uid, artifact) if place.is_file()]
        found.files += bool(here)
        found.elsewhere += not here
        for place in here:
            if place.stat().st_size != artifact.bytes or _sha(place) != artifact.sha256:
                found.faults.append(f"{place}: is not what attempt {uid} left: its SHA-256 differs")


def _misnamed(folder: Path) -> Iterator[str]:
    """Yield a line for each published artifact that is not what its name says."""
    for path in sorted(folder.glob("*")):
        if path.is_file() and _SHA_NAME.fullmatch(path.stem) and _sha(path) != path.stem:
            yield f"{path}: its SHA-256 is not its name"


def _sha(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _count(conn: sqlite3.Connection, query: str) -> int:
    return int(conn.execute(query).fetchone()[0])
