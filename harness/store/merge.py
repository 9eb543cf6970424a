"""Taking in published lines and other stores, each file in one transaction: all of it or nothing.

Merging twice is the same as once: an attempt is known by its uid, a study's text and a trial's place in it are the
newest that any file has, and the trials of files that have one text of a study stand in it together; costs and names
of data that the store has already stay as they are. Where the store saw an attempt begin and not end, it takes in how
it ended.

The format of lines (pydantic) is imported where lines are read: who opens a store as it is does not wait for it.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.spec.attempt import (
    Artifact,
    AttemptResult,
    EvaluationSpec,
    Measure,
    Point,
    ResultValue,
    Sample,
)
from harness.spec.datasets import DatasetSplit
from harness.spec.errors import HarnessError
from harness.spec.keys import canonical_json
from harness.store.connection import Store, open_memory, open_reader
from harness.store.records import AcceptanceRecord, StudyTrialRow
from harness.store.rows import (
    put_acceptance,
    put_attempt,
    put_costs,
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

if TYPE_CHECKING:
    from harness.store.published import PublishedLine, StudyPart, TrialPart


@dataclass(frozen=True)
class MergeReport:
    """How many attempts were new, and how many the store had already."""

    added: int
    known: int


def merge_jsonl(store: Store, path: Path) -> MergeReport:
    """Take in a file of published lines.

    Raises HarnessError with file and line, and changes nothing, where a line is cut off, of an unknown
    format, or where its keys are not those of its contents.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"{path}: cannot be read ({error})") from error
    lines = text.split("\n")
    if lines[-1].strip() and not _is_json(lines[-1]):
        raise HarnessError(f"{path}:{len(lines)}: the last line is cut off; the file is not whole")
    return _merge(store, lines, str(path))


def merge_store(store: Store, other_path: Path) -> MergeReport:
    """Take in the attempts that count of another store, as if it had been exported first."""
    from harness.store.export import published_lines

    with open_reader(other_path) as other:
        return _merge(store, published_lines(other, studies=None), str(other_path))


def merge_file(store: Store, path: Path) -> MergeReport:
    """Take in a file, published lines (*.jsonl) or another store. Raises HarnessError where it is neither."""
    return merge_jsonl(store, path) if path.suffix == ".jsonl" else merge_store(store, path)


def files_of(sources: Sequence[Path]) -> list[Path]:
    """Return the files among `sources`, and the published ones in the folders among them.

    Raises HarnessError for a source that is not there, or a folder without published files.
    """
    files: list[Path] = []
    for source in sources:
        inside = sorted(source.glob("*.jsonl")) if source.is_dir() else [source] if source.exists() else []
        if not inside:
            said = "holds no published results (*.jsonl)" if source.is_dir() else "there is no such store"
            raise HarnessError(f"{source}: {said}")
        files += inside
    if not files:
        raise HarnessError("no results to read were named")
    return files


def open_results(path: Path | Sequence[Path]) -> Store:
    """Open results to read them: a store as it is; published files, or folders of them, in memory.

    Raises HarnessError where there is nothing to read.
    """
    paths = [path] if isinstance(path, Path) else list(path)
    if len(paths) == 1 and paths[0].suffix != ".jsonl" and not paths[0].is_dir():
        return open_reader(paths[0])
    files = files_of(paths)
    store = open_memory()
    try:
        for file in files:
            merge_file(store, file)
    except BaseException:
        store.close()
        raise
    return store


def _is_json(text: str) -> bool:
    """Return whether a text is whole JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def _merge(store: Store, lines: Iterable[str], source: str) -> MergeReport:
    """Take in lines in one transaction; empty ones are skipped."""
    from harness.store.published import parse_line

    added = known = 0
    with store.writing() as conn:
        texts = set(conn.execute("SELECT created, name, spec_sha FROM study"))
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            try:
                line = parse_line(text)
                new = _take(conn, line)
            except (ValueError, OverflowError, HarnessError, sqlite3.IntegrityError) as error:
                raise HarnessError(f"{source}:{number}: {error}") from error
            added, known = added + new, known + (not new)
            placed = [*line.studies, *(study for part in line.accepted_for for study in part.studies)]
            texts |= {(study.created, study.name, study.spec_sha) for study in placed}
        _stand_together(conn, texts)
    return MergeReport(added, known)


def _take(conn: sqlite3.Connection, line: "PublishedLine") -> bool:
    """Write one line. Return whether its attempt is new."""
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
    run = put_run(conn, trial, line.seed)
    known = _known(conn, line, run)
    if known is not None and known.ended:
        return False
    _put(conn, line, run, None if known is None else known.number)
    return True


def _take_trial(conn: sqlite3.Connection, trial: "TrialPart", studies: Iterable["StudyPart"]) -> int:
    """Write a trial with what it costs and its places in studies. Return its id."""
    number = put_trial(conn, trial.key, trial.key_scheme, trial.config)
    for study in studies:
        _take_study(conn, study, number, trial)
    _take_costs(conn, number, trial.costs)
    return number


def _put(conn: sqlite3.Connection, line: "PublishedLine", run: int, number: int | None) -> None:
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


_COLUMNS = (
    "uid", "kind", "state", "weights_from", "resumed_from", "supersedes", "device", "threads", "code_digest",
    "error_kind", "error", "started", "ended",
)  # fmt: skip


class _Known(NamedTuple):
    """An attempt that the store has already."""

    number: int
    ended: bool  # as far as the store knows


def _known(conn: sqlite3.Connection, line: "PublishedLine", run: int) -> _Known | None:
    """Return the line's attempt, if it is in the store. Raises ValueError where another has its uid."""
    row = conn.execute("SELECT id, run_id, kind, state FROM attempt WHERE uid = ?", (line.uid,)).fetchone()
    if row is None:
        return None
    number, *what, state = row
    if what != [run, line.kind] or state not in {line.state, *UNSEEN_END}:
        raise ValueError(f"attempt {line.uid} is in the store with another run, kind or state")
    return _Known(number, state not in UNSEEN_END)


def _take_study(conn: sqlite3.Connection, study: "StudyPart", number_of_trial: int, trial: "TrialPart") -> None:
    """Write a study and the trial's place in it where they are newer than what is there."""
    row = conn.execute("SELECT id, created, spec_sha FROM study WHERE name = ?", (study.name,)).fetchone()
    if row is None or (study.created, study.spec_sha) > row[1:]:
        number = put_study(conn, study.name, study.spec_yaml, study.created)
    else:
        number = row[0]
    place = StudyTrialRow(
        study.trial_name,
        study.position,
        trial.key,
        trial.key_scheme,
        trial.config,
        tuple(study.seeds),
        study.protocol_name,
    )
    row = conn.execute(
        """SELECT added, name, position, seeds_json, protocol_name
        FROM study_trial WHERE study_id = ? AND trial_id = ?""",
        (number, number_of_trial),
    ).fetchone()
    new = (study.added, place.name, place.position, canonical_json(study.seeds), place.protocol_name)
    if row is None or new > row:
        put_study_trial(conn, number, number_of_trial, place, added=study.added)


def _stand_together(conn: sqlite3.Connection, texts: Iterable[tuple[str, str, str]]) -> None:
    """Let trials stand in a study that was put into several stores, each at its time, with one text.

    Of two trials at one position of it, as after an edit of a plug-in, the one that was added last stands there.
    """
    for created, name, sha in sorted(texts, reverse=True):
        conn.execute(
            """UPDATE study_trial AS t SET added = s.created FROM study s
            WHERE s.id = t.study_id AND s.name = ? AND s.spec_sha = ? AND t.added = ? AND NOT EXISTS (
                SELECT 1 FROM study_trial o
                WHERE o.study_id = s.id AND o.added = s.created AND o.position = t.position
            )""",
            (name, sha, created),
        )


def _take_costs(conn: sqlite3.Connection, trial: int, costs: dict[str, float]) -> None:
    """Write those costs of a trial that are not known yet: what was counted here stays."""
    known = {name for (name,) in conn.execute("SELECT name FROM cost WHERE trial_id = ?", (trial,))}
    put_costs(conn, trial, {name: value for name, value in costs.items() if name not in known})


def _result(line: "PublishedLine") -> AttemptResult:
    """Return what the line's attempt found, in the form in which attempts report it."""
    return AttemptResult(
        uid=line.uid,
        state=line.state,
        started=line.started,
        ended=line.ended,
        execution=line.execution,
        environment=line.environment,
        code_digest=line.code_digest,
        curve=tuple(Point(*p) for p in line.curve),
        results=tuple(ResultValue(*r) for r in line.results),
        measures=tuple(Measure(*m) for m in line.measures),
        samples=tuple(Sample(**s.model_dump()) for s in line.samples),
        artifacts=tuple(Artifact(**a.model_dump()) for a in line.artifacts),
    )
