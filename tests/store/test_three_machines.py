"""A grid shared out among three machines and merged is the store of the one machine that ran it all."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from harness.base.keys import text_sha, trial_key
from harness.cli import main
from harness.store.claims import ClaimRow, freeze_claims
from harness.store.connection import open_store
from harness.store.queries import snapshot
from harness.store.records import AcceptanceRecord
from harness.store.writer import accept_edits, finish_attempt, set_costs

# Each table by what it says, in place of the numbers by which rows of one database know each other.
CONTENTS = {
    "study": "SELECT name, spec_yaml, spec_sha, created FROM study",
    "trial": "SELECT key, key_scheme, task, model, config_json FROM trial",
    "study_trial": """SELECT s.name, t.key, st.name, st.position, st.seeds_json, st.protocol_name, st.added
        FROM study_trial st JOIN study s ON s.id = st.study_id JOIN trial t ON t.id = st.trial_id""",
    "run": "SELECT t.key, r.seed FROM run r JOIN trial t ON t.id = r.trial_id",
    "dataset": "SELECT name, split, fingerprint, images, bytes FROM dataset",
    "evaluation": "SELECT e.key, d.fingerprint, condition_json FROM evaluation e JOIN dataset d ON d.id = dataset_id",
    "env": "SELECT sha, git_sha, dirty, host, device, driver, python, torch, packages_json FROM env",
    "installed": "SELECT sha, packages_json FROM installed",
    "source": "SELECT sha, text FROM source",
    "attempt": """SELECT a.uid, t.key, r.seed, a.kind, a.state, a.weights_from, a.resumed_from, a.supersedes, e.sha,
        a.device, a.threads, a.exclusive, a.execution_json, a.code_digest, a.error_kind, a.error, a.started, a.ended
        FROM attempt a JOIN run r ON r.id = a.run_id JOIN trial t ON t.id = r.trial_id JOIN env e ON e.id = a.env_id""",
    "metric": "SELECT uid, split, name, step, value, flag FROM metric JOIN attempt a ON a.id = attempt_id",
    "result": """SELECT a.uid, e.key, x.name, x.value, x.flag
        FROM result x JOIN attempt a ON a.id = x.attempt_id JOIN evaluation e ON e.id = x.evaluation_id""",
    "measure": "SELECT a.uid, m.name, m.value, m.flag FROM measure m JOIN attempt a ON a.id = m.attempt_id",
    "sample": """SELECT a.uid, e.key, s.name, s.count, s.encoding, s.packed
        FROM sample s JOIN attempt a ON a.id = s.attempt_id JOIN evaluation e ON e.id = s.evaluation_id""",
    "cost": "SELECT t.key, c.name, c.value FROM cost c JOIN trial t ON t.id = c.trial_id",
    "artifact": "SELECT a.uid, f.kind, f.path, f.sha256, f.bytes FROM artifact f JOIN attempt a ON a.id = f.attempt_id",
    "acceptance": "SELECT t.key, o.key, a.author, a.reason, a.accepted FROM acceptance a"
    " JOIN trial t ON t.id = a.trial_id JOIN trial o ON o.id = a.old_trial_id",
    "claim": """SELECT s.name, c.sha, c.name, c.content_json, c.entered, c.known_json, c.stands, c.changed
        FROM claim c JOIN study s ON s.id = c.study_id""",
    "v_run": "SELECT * FROM v_run",
    "v_time": "SELECT * FROM v_time",
}  # fmt: skip
PATCH = "diff --git a/net.py b/net.py\n"
STRIDES, SEEDS = (2, 4, 8), (0, 1)


def contents(path):
    with open_store(path) as store:
        names = {
            row[0] for row in store.db.conn.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        }
        assert names - {"_sqlite_migrations"} == set(CONTENTS), "a table is compared by what it says"
        return {name: sorted(store.db.conn.execute(sql).fetchall(), key=repr) for name, sql in CONTENTS.items()}


@pytest.fixture
def machine(lab, tmp_path):
    """Return a function that makes a store in which runs of the grid were made."""

    def make(name, runs):
        path = tmp_path / f"{name}.db"
        with open_store(path) as store:
            here = type(lab)(store)
            edited = _edited(here.row(2, "edited", position=len(STRIDES)))
            here.study(*(here.row(stride, position=n) for n, stride in enumerate(STRIDES)), edited)
            accept_edits(
                store, [AcceptanceRecord(edited.key, here.row(2).key, "A", "a typo", "2026-01-03T00:00:00.000+00:00")]
            )
            freeze_claims(store, "mnist", [_claim(here)], snapshot(store), "2026-01-01T00:00:00.000+00:00", {})
            for stride in STRIDES:
                set_costs(store, here.row(stride).key, {"parameters": 1000 / stride})
            for stride, seed in runs:
                uid = f"u{stride}{seed}"
                _finish(here, uid, stride=stride, seed=seed)
                _finish(here, f"e{uid}", kind="evaluate", weights_from=uid, stride=stride, seed=seed)
                if seed == 0:
                    _finish(here, f"t{uid}", kind="timing", stride=stride, seed=seed)
        return path

    return make


def _claim(lab):
    """Return a claim on two trials of the study."""
    pair = ["pool 2", lab.row(2).key, "pool 4", lab.row(4).key]
    said = {
        "a": "pool 2",
        "b": "pool 4",
        "title": "",
        "better": "higher",
        "by": 0.001,
        "evaluation": lab.evaluation,
        "family": "",
    }
    return ClaimRow(
        "helps",
        {
            **said,
            "evaluation": lab.evaluation,
            "metric": "accuracy",
            "pairs": [pair],
            "says": "better",
            "seeds": [0, 1],
        },
    )


def _edited(row):
    """Return a trial that differs by its inputs alone."""
    config = {**row.config, "inputs": {"notes.txt": "d" * 64}}
    return replace(row, key=trial_key(config), config=config)


def _finish(lab, uid, **how):
    """Make an attempt that says nothing of the machine's owner, which would not leave the store."""
    lab.start(uid, **how)
    result = lab.result(uid)
    environment = {k: v for k, v in result.environment.items() if k not in {"host", "cache"}}
    environment |= {"installed": {"numpy": "2.1", "pandas": "3.0"}}
    environment |= {"study": {"commit": "c0ffee", "dirty": True, "diff": text_sha(PATCH), "patch": PATCH}}
    execution = {k: v for k, v in result.execution.items() if k != "data_root"}
    assert finish_attempt(lab.store, replace(result, environment=environment, execution=execution))


@pytest.mark.parametrize("order", ["abc", "cab", "bca"])
def test_three_partial_stores_merge_to_the_store_of_one_machine(machine, tmp_path, order):
    grid = [(stride, seed) for stride in STRIDES for seed in SEEDS]
    one = machine("one", grid)
    parts = {name: machine(name, grid[n::3]) for n, name in enumerate("abc")}
    merged = tmp_path / "merged.db"
    done = CliRunner().invoke(main, ["results", "merge", *(str(parts[name]) for name in order), "--db", str(merged)])
    assert done.exit_code == 0, done.output
    together, alone = contents(merged), contents(one)
    for name in CONTENTS:
        assert together[name] == alone[name], name
        assert alone[name], f"{name} holds nothing to compare"
    assert contents(parts["a"])["run"] != alone["run"]


def test_merged_through_published_lines_it_is_the_same(machine, tmp_path):
    grid = [(stride, seed) for stride in STRIDES for seed in SEEDS]
    one, merged = machine("one", grid), tmp_path / "merged.db"
    files = []
    for n, name in enumerate("abc"):
        part, file = machine(name, grid[n::3]), tmp_path / f"{name}.jsonl"
        export = ["results", "export", "--with-source", "--db", str(part), "--out", str(file)]
        assert CliRunner().invoke(main, export).exit_code == 0
        files.append(str(file))
    assert CliRunner().invoke(main, ["results", "merge", *files, "--db", str(merged)]).exit_code == 0
    assert contents(merged) == contents(one)
