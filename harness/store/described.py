"""What the tables and their columns mean, and queries that people ask: what datasette shows, and docs/results.md; and
the file that datasette can open.

A column that means the same in every table is described once.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.store import DEFAULT_DB
from harness.store.connection import Store, open_reader, open_store
from harness.store.merge import files_of, merge_file

TABLES: Mapping[str, str] = {
    "study": "A study file, as it was last run",
    "study_trial": "A trial's place in a study",
    "trial": "What is trained: a resolved configuration, known by its key",
    "run": "A trial with a seed",
    "attempt": "One try at a run; a run counts by its accepted attempt (v_run)",
    "evaluation": "A split of a dataset under a condition, on which runs are tested",
    "dataset": "A split of a dataset, known by its contents",
    "env": "On what attempts ran: device, versions, the state of the code",
    "installed": "All distributions that were installed where attempts ran, each list once",
    "source": "In what studies' repositories differed from their commits; published by --with-source alone",
    "metric": "Points of curves",
    "result": "Final metrics",
    "measure": "What attempts cost: seconds, bytes",
    "sample": "One value per image, packed",
    "cost": "What a trial's network costs: parameters, variables, weights, macs, paper_flops",
    "artifact": "Files that attempts left, below artifacts/UID beside the database",
    "acceptance": "By whose word results of a trial count for the trial that an edit made of it",
    "claim": "What studies claim, as it was first stored; an edit makes another one",
    "v_run": "Runs with their accepted attempt and its results, a row a result",
    "v_time": "Times that were measured alone on an idle machine (harness run timing)",
}

_EVERYWHERE: Mapping[str, str] = {
    "id": "Number within this database; another database has others",
    "study_id": "The study",
    "trial_id": "The trial",
    "run_id": "The run",
    "dataset_id": "The split",
    "evaluation_id": "The evaluation",
    "attempt_id": "The attempt",
    "old_trial_id": "The trial whose results count for it",
    "content_json": "What is claimed: trials, metric, evaluation, direction, smallest effect, seeds, as JSON",
    "why": "Why the effect is that large",
    "entered": "When the claim was first stored, ISO 8601, UTC",
    "known_json": "The seeds whose results were stored then",
    "stands": "1 if the study has it now, 0 if it was withdrawn",
    "changed": "When it was entered, withdrawn or entered again",
    "changed_known_json": "The seeds whose results were stored at that time",
    "author": "Who says that the edit changes nothing",
    "reason": "Why it changes nothing",
    "accepted": "When it was said, ISO 8601, UTC",
    "env_id": "On what it ran",
    "overrides": "What --set gave to make this trial, e.g. protocol.epochs=1; NULL for the study's own",
    "value": "The number; NULL if flag says what it was",
    "flag": "ok, nan, inf or -inf: SQLite has no such numbers",
    "seed": "The seed of all of the run's generators",
    "name": "What it is called",
    "kind": "train, evaluate, timing or check; of an artifact: weights, maps, …",
    "state": "running, done, nan, failed, oom, timeout, pruned, interrupted or lost",
    "device": "cpu or cuda:N; of an environment, the model of the device",
    "threads": "Threads of the worker",
    "exclusive": "1 if it ran alone on the device",
    "started": "ISO 8601, UTC",
    "ordered": "By this time its run's attempts are ordered, if the clock was behind when it began; else by started",
    "ended": "ISO 8601, UTC",
    "task": "classification or function",
    "model": "The network's name",
    "split": "train, validation or test; test[:2000] is its first 2,000 images",
    "key": "Hash of the configuration (of a trial) or of data and condition (of an evaluation)",
    "key_scheme": "Version of what a key is made of",
    "trial_key": "The trial's key",
    "created": "When the study was last run with this text",
    "spec_yaml": "The study file's text, with the files that it includes",
    "spec_sha": "SHA-256 of the text",
    "position": "Place in the study file, from 0",
    "seeds_json": "The seeds that the study asks for",
    "evaluations_json": "Keys of the evaluations that the study asks for; NULL if an earlier version stored it",
    "protocol_name": "The protocol that the study names",
    "added": "When the trial last stood in the study",
    "config_json": "The resolved configuration, canonical JSON",
    "metrics_json": "Its final metrics, the primary first: unit, better direction, name of the values by item",
    "fingerprint": "Hash of the split's contents",
    "images": "How many images",
    "bytes": "Bytes of the pixels, or of the file",
    "condition_json": "Under what it is tested, as JSON",
    "sha": "SHA-256 of the environment, list or text, or of what a claim says",
    "git_sha": "Commit of the harness's own code; of a claim, of the study's repository",
    "dirty": "1 if the code differed from the commit",
    "host": "Name of the machine; never published",
    "driver": "Version of the GPU's driver",
    "python": "Version of Python",
    "torch": "Version of torch",
    "packages_json": "Other versions, as JSON; in env all facts without a column of their own",
    "text": "The text, as git apply takes it",
    "uid": "The attempt's name everywhere",
    "weights_from": "uid of the attempt whose weights are evaluated",
    "resumed_from": "uid of the attempt whose checkpoint was resumed",
    "supersedes": "uid of the attempt that no longer counts",
    "execution_json": "How it was carried out, as JSON",
    "code_digest": "Digest of the code that it ran",
    "error_kind": "Class of the error",
    "error": "The error in a line",
    "step": "Training steps so far",
    "count": "How many values",
    "encoding": "bits (numpy.packbits) or float32",
    "packed": "The values",
    "path": "Path within the attempt's folder",
    "sha256": "SHA-256 of the file",
    "attempt": "uid of the attempt",
    "result_from": "uid of the attempt that the result is of: the accepted one or a later evaluation of its weights",
    "dataset": "The dataset's name",
    "evaluation_key": "The evaluation's key",
    "condition": "Under what it is tested, as JSON",
    "device_model": "Model of the device",
    "execution": "How it was carried out, as JSON",
}

_FACETS: Mapping[str, list[str]] = {
    "attempt": ["kind", "state", "device"],
    "trial": ["task", "model"],
    "v_run": ["model", "dataset", "split", "name", "state"],
    "v_time": ["model", "device_model", "name"],
    "metric": ["split", "name"],
    "artifact": ["kind"],
}

QUERIES: Mapping[str, tuple[str, str]] = {
    "results_by_trial": (
        "Each trial of the studies with the mean, least and greatest of its results over the seeds",
        """SELECT s.name AS study, st.name AS trial, v.dataset, v.split, v.condition, v.name AS metric,
    count(*) AS runs, avg(v.value) AS mean, min(v.value) AS least, max(v.value) AS greatest
FROM study_trial st JOIN study s ON s.id = st.study_id JOIN trial t ON t.id = st.trial_id
JOIN v_run v ON v.trial_key = t.key
WHERE v.name IS NOT NULL
GROUP BY s.name, st.position, st.name, v.evaluation_key, v.name
ORDER BY s.name, st.position, v.name""",
    ),
    "accuracy_and_costs": (
        "Accuracy beside parameters and multiply-accumulates: what a Pareto front is made of",
        """SELECT st.name AS trial, v.model, avg(v.value) AS accuracy, count(DISTINCT v.seed) AS runs,
    p.value AS parameters, m.value AS macs
FROM v_run v JOIN trial t ON t.key = v.trial_key
JOIN study_trial st ON st.trial_id = t.id
LEFT JOIN cost p ON p.trial_id = t.id AND p.name = 'parameters'
LEFT JOIN cost m ON m.trial_id = t.id AND m.name = 'macs'
WHERE v.name = 'accuracy' AND v.split = 'test'
GROUP BY st.study_id, t.id ORDER BY accuracy DESC""",
    ),
    "curve": (
        "The points of one attempt's curves; :attempt is its uid or how that begins",
        """SELECT m.split, m.name, m.step, m.value, m.flag
FROM metric m JOIN attempt a ON a.id = m.attempt_id
WHERE length(:attempt) > 0 AND a.uid LIKE :attempt || '%'
ORDER BY m.split, m.name, m.step""",
    ),
    "did_not_end_well": (
        "Attempts that failed, ran out of memory or time, or were lost, the newest first",
        """SELECT a.uid, st.name AS trial, r.seed, a.kind, a.state, a.error_kind, a.error, a.started
FROM attempt a JOIN run r ON r.id = a.run_id
LEFT JOIN study_trial st ON st.trial_id = r.trial_id
WHERE a.state IN ('failed', 'oom', 'timeout', 'lost') ORDER BY a.started DESC""",
    ),
    "times": (
        "Seconds per epoch by trial, device and threads",
        """SELECT st.name AS trial, v.device_model, v.threads, v.name AS measure, avg(v.value) AS seconds,
    count(*) AS timings
FROM v_time v JOIN trial t ON t.key = v.trial_key JOIN study_trial st ON st.trial_id = t.id
WHERE v.name IN ('train_s_per_epoch', 'test_s', 'test_s_per_image')
GROUP BY st.study_id, t.id, v.device_model, v.threads, v.name ORDER BY st.study_id, st.position""",
    ),
}
"""Title and text of the canned queries by name."""


def metadata(database: str, columns: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return datasette's metadata for a store that it calls `database`; `columns` are those of each of its tables."""
    tables: dict[str, dict[str, Any]] = {
        table: {
            "description": text,
            "columns": {name: _EVERYWHERE[name] for name in columns[table]},
            **({"facets": _FACETS[table]} if table in _FACETS else {}),
        }
        for table, text in TABLES.items()
    }
    tables["_sqlite_migrations"] = {"hidden": True}
    return {
        "title": "Results of harness",
        "description": "Start at v_run, or at a query.",
        "databases": {
            database: {
                "tables": tables,
                "queries": {name: {"title": title, "sql": sql} for name, (title, sql) in QUERIES.items()},
            }
        },
    }


@contextmanager
def browsable(sources: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """Give a database and a file of metadata: a single store as it is, all else merged into one that is thrown away.

    Raises HarnessError if there is nothing to browse.
    """
    with TemporaryDirectory(prefix="harness-browse-") as name:
        folder = Path(name)
        files = files_of(sources)
        database = files[0] if len(files) == 1 and files[0].suffix != ".jsonl" else _merged(files, folder)
        with open_reader(database) as store:
            described = metadata(database.stem, columns(store))
        path = folder / "metadata.json"
        path.write_text(json.dumps(described), encoding="utf-8")
        yield database, path


def columns(store: Store) -> dict[str, list[str]]:
    """Return the columns of each table and view."""
    return {
        table: [row[0] for row in store.db.conn.execute("SELECT name FROM pragma_table_info(?)", (table,))]
        for table in TABLES
    }


def _merged(files: Sequence[Path], folder: Path) -> Path:
    path = folder / DEFAULT_DB.name
    with open_store(path) as store:
        for file in files:
            merge_file(store, file)
    return path
