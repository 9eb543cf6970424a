"""The claims of studies as the store keeps them: each with the time at which it was first there, the commit of its
study's repository, and the seeds whose results were known then.

A claim is known by what it says (`claim_sha`), not by its name: an edit makes another one, and the earlier stays, as
withdrawn, with the time and what was known by then. Nothing is ever deleted.
"""

import hashlib
import json
import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.base.keys import canonical_json
from harness.store.connection import Store
from harness.store.find import values
from harness.store.records import AttemptRecord, ClaimRecord, Snapshot

_NOT_SAID = frozenset({"a", "b", "title"})  # how it is written


@dataclass(frozen=True)
class ClaimRow:
    """A claim as a study has it, on its way into the store."""

    name: str
    content: Mapping[str, Any]  # as `study.claims` writes it
    why: str = ""


def claim_sha(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a claim says: its trials by their keys, whatever they are called."""
    said = {name: value for name, value in content.items() if name not in _NOT_SAID}
    said["pairs"] = [[a_key, b_key] for _, a_key, _, b_key in content["pairs"]]
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()


SAYS = ("better", "not_worse", "equal", "worse")
_FORMS: Mapping[str, Callable[[Any], bool]] = {
    "a": lambda value: isinstance(value, str),
    "b": lambda value: isinstance(value, str),
    "better": lambda value: value in {"higher", "lower"},
    "by": lambda value: isinstance(value, int | float) and 0 < value < math.inf,
    "evaluation": lambda value: isinstance(value, str),
    "family": lambda value: isinstance(value, str),
    "metric": lambda value: isinstance(value, str),
    "pairs": lambda value: bool(value) and all(_is_texts(pair) and len(pair) == 4 for pair in value),
    "says": lambda value: value in SAYS,
    "seeds": lambda value: bool(value) and all(type(seed) is int for seed in value),
    "title": lambda value: isinstance(value, str),
}
_MAY_SAY: Mapping[str, Callable[[Any], bool]] = {
    "constant": lambda value: bool(value) and _is_texts(value),
    "looks": lambda value: isinstance(value, dict) and _are_looks(value),
}


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _are_looks(value: Mapping[str, Any]) -> bool:
    """Return whether this says after how many seeds a claim is looked at (`stats.sequential.Looks`)."""
    at = value.get("at")
    return (
        value.keys() == {"alpha", "at", "spending"}
        and (value["alpha"], value["spending"]) == (0.05, "obrien-fleming")  # there are no others yet
        and isinstance(at, list)
        and bool(at)
        and all(type(n) is int and 0 < n <= 20 for n in at)  # 2^20 choices of signs are counted
        and sorted(set(at)) == at
    )


def claim_fault(content: Mapping[str, Any]) -> str | None:
    """Return what is wrong with what a claim says, None if nothing is: a line or a store may come from anyone."""
    if content.keys() - _MAY_SAY.keys() != _FORMS.keys():
        return f"does not say {', '.join(_FORMS)}, and nothing else"
    forms = {name: is_right for name, is_right in {**_FORMS, **_MAY_SAY}.items() if name in content}
    wrong = next((name for name, is_right in forms.items() if not is_right(content[name])), None)
    return None if wrong is None else f"has no '{wrong}' that can be used"


def values_by_seed(found: Snapshot, content: Mapping[str, Any]) -> dict[int, list[tuple[float, float]]]:
    """Return, for each seed of a claim that all its trials have run, a's and b's value of each pair."""
    pairs = len(content["pairs"])
    return {seed: known for seed, known in _known_pairs(found, content).items() if len(known) == pairs}


def known_seeds(found: Snapshot, content: Mapping[str, Any]) -> list[int]:
    """Return at which of its seeds a result of a claim is stored: the gap of any of its pairs."""
    return [seed for seed, known in _known_pairs(found, content).items() if known]


def runs_of_claim(found: Snapshot, content: Mapping[str, Any]) -> dict[str, Mapping[int, AttemptRecord]]:
    """Return the runs of each trial of a claim, by its key and by seed.

    A trial that draws no random numbers ("constant") has one run, which counts at each seed of the claim.
    """
    runs = {key: found.runs(key) for _, a, _, b in content["pairs"] for key in (a, b)}
    constant = content.get("constant", ())
    return {
        key: dict.fromkeys(content["seeds"], of[min(of)]) if key in constant and of else of for key, of in runs.items()
    }


def seeds_stored(found: Snapshot, content: Mapping[str, Any]) -> list[int]:
    """Return the seeds that all trials of a claim have run, those that it is not tested at among them."""
    drawing = {key for _, a, _, b in content["pairs"] for key in (a, b)} - {*content.get("constant", ())}
    return sorted(set.intersection(*(set(found.runs(key)) for key in drawing)))


def _known_pairs(found: Snapshot, content: Mapping[str, Any]) -> dict[int, list[tuple[float, float]]]:
    """Return, for each seed of a claim, the values of the pairs of which both trials have run."""
    place = content["evaluation"], content["metric"]
    by_trial = {
        key: {seed: values(found, run).get(place) for seed, run in of.items()}
        for key, of in runs_of_claim(found, content).items()
    }
    sides = {
        seed: [(by_trial[a].get(seed), by_trial[b].get(seed)) for _, a, _, b in content["pairs"]]
        for seed in content["seeds"]
    }
    return {
        seed: [(one, other) for one, other in of if one is not None and other is not None] for seed, of in sides.items()
    }


def freeze_claims(
    store: Store, study: str, rows: Sequence[ClaimRow], found: Snapshot, at: str, repository: Mapping[str, Any]
) -> None:
    """Write the claims that a study has now: new ones as entered, those that it no longer has as withdrawn at a time.

    `found` is what is stored; `repository` has the commit and whether files differ from it, if there is one.
    """
    there = {record.sha: record for record in found.claims if record.study == study}
    shas = [claim_sha(row.content) for row in rows]
    with store.writing() as conn:
        (number,) = conn.execute("SELECT id FROM study WHERE name = ?", (study,)).fetchone()
        for position, (sha, row) in enumerate(zip(shas, rows, strict=True)):
            known, record = tuple(known_seeds(found, row.content)), there.get(sha)
            fresh = ClaimRecord(
                study, row.name, sha, row.content, row.why, position, at, repository.get("commit"),
                repository.get("dirty"), known, stands=True, changed=at, changed_known=known,
            )  # fmt: skip
            put_claim(conn, number, fresh if record is None or not record.stands else _renamed(record, fresh))
        for record in there.values():
            if record.stands and record.sha not in shas:
                known = tuple(known_seeds(found, record.content))
                put_claim(conn, number, replace(record, stands=False, changed=at, changed_known=known))


def _renamed(record: ClaimRecord, fresh: ClaimRecord) -> ClaimRecord:
    """Return a claim that stays, under the name, reason and position that it has now."""
    return replace(fresh, changed=record.changed, changed_known=record.changed_known)


def put_claim(conn: sqlite3.Connection, study: int, record: ClaimRecord) -> None:
    """Insert a claim; of one that is there the earlier entry stays, and what was said of it last."""
    conn.execute(
        """INSERT INTO claim (study_id, sha, name, content_json, why, position, entered, git_sha, dirty, known_json,
            stands, changed, changed_known_json)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (study_id, sha) DO UPDATE SET
            entered = min(entered, excluded.entered),
            git_sha = CASE WHEN excluded.entered < entered THEN excluded.git_sha ELSE git_sha END,
            dirty = CASE WHEN excluded.entered < entered THEN excluded.dirty ELSE dirty END,
            known_json = CASE WHEN excluded.entered < entered THEN excluded.known_json ELSE known_json END,
            name = CASE WHEN excluded.changed >= changed THEN excluded.name ELSE name END,
            content_json = CASE WHEN excluded.changed >= changed THEN excluded.content_json ELSE content_json END,
            why = CASE WHEN excluded.changed >= changed THEN excluded.why ELSE why END,
            position = CASE WHEN excluded.changed >= changed THEN excluded.position ELSE position END,
            stands = CASE WHEN excluded.changed > changed THEN excluded.stands ELSE stands END,
            changed_known_json = CASE WHEN excluded.changed > changed THEN excluded.changed_known_json
                ELSE changed_known_json END,
            changed = max(changed, excluded.changed)""",
        (
            study, record.sha, record.name, canonical_json(record.content), record.why, record.position, record.entered,
            record.commit, None if record.dirty is None else int(record.dirty), canonical_json(list(record.known)),
            int(record.stands), record.changed, canonical_json(list(record.changed_known)),
        ),
    )  # fmt: skip


def read_claims(conn: sqlite3.Connection) -> tuple[ClaimRecord, ...]:
    """Return all claims: by study, those that stand in the order of its file, then the withdrawn, the latest first."""
    rows: Iterable[Any] = conn.execute(
        """SELECT s.name, c.name, c.sha, c.content_json, c.why, c.position, c.entered, c.git_sha, c.dirty, c.known_json,
            c.stands, c.changed, c.changed_known_json
        FROM claim c JOIN study s ON s.id = c.study_id
        ORDER BY s.name, NOT c.stands, CASE WHEN c.stands THEN c.position END, c.changed DESC, c.position, c.sha"""
    )
    return tuple(
        ClaimRecord(
            study, name, sha, json.loads(content), why, position, entered, commit,
            None if dirty is None else bool(dirty), tuple(json.loads(known)), bool(stands), changed,
            tuple(json.loads(changed_known)),
        )
        for study, name, sha, content, why, position, entered, commit, dirty, known, stands, changed, changed_known
        in rows
    )  # fmt: skip
