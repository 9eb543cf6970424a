"""A store and published lines that older code made (made_before/): they open, migrate, merge and keep what they say."""

import json
import shutil
import sqlite3
from contextlib import chdir, closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.store.connection import open_memory, open_store
from harness.store.export import published_lines
from harness.store.merge import MergeReport, merge_jsonl
from harness.store.queries import artifacts, curve, snapshot
from harness.store.verify import verify
from harness.study.study import load_study
from harness.trial.attempt_digest import attempt_digest

MADE = Path(__file__).parent / "made_before"


@pytest.fixture
def old(tmp_path):
    """A copy of the folder, in which commands are run."""
    folder = shutil.copytree(MADE, tmp_path / "made")
    (folder / "results").mkdir()
    (folder / "harness.db").rename(folder / "results" / "harness.db")
    with chdir(folder):
        yield folder


def call(*arguments):
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def rows(path):
    """Return what the old store says, by SQL that needs no code of ours."""
    queries = (
        "SELECT key, key_scheme, config_json FROM trial ORDER BY key",
        "SELECT uid, kind, state, started, ended, code_digest FROM attempt ORDER BY uid",
        "SELECT attempt, name, value, flag FROM v_run WHERE name IS NOT NULL ORDER BY attempt, name",
        "SELECT attempt_id, split, name, step, value, flag FROM metric ORDER BY 1, 2, 3, 4",
        "SELECT attempt_id, kind, path, sha256, bytes FROM artifact ORDER BY 1, 3",
    )
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as conn:
        return [conn.execute(query).fetchall() for query in queries]


def test_it_opens_migrates_and_keeps_keys_results_and_what_is_accepted(old):
    db = old / "results" / "harness.db"
    before = rows(db)
    refused = call("results", "list")
    assert (refused.exit_code, "made by an older harness" in refused.stderr) == (2, True)
    with open_store(db) as store:
        found = snapshot(store)
    assert rows(db) == before
    assert {a.uid for a in found.attempts if a.accepted} == {uid for uid, *_ in before[1]}
    assert rows(db.with_name("harness.db.before-m003_order_beyond_the_clock")) == before


def test_it_is_listed_shown_and_verified(old):
    open_store(old / "results" / "harness.db").close()
    listed = call("results", "list")
    assert (listed.exit_code, listed.stdout.count("score nan")) == (0, 2)
    shown = call("results", "show", "own:rate 0.1:0", "--format", "json")
    assert sorted(json.loads(shown.stdout)["results"].values())[1] == pytest.approx(0.9**5)
    assert call("results", "verify").exit_code == 0


def test_the_studies_have_their_keys_and_what_is_stale_is_said(old):
    """Whatever is done to the code that trains: either the old runs are done, or they are held as stale."""
    db = old / "results" / "harness.db"
    with open_store(db) as store:
        attempts = {(a.trial_key, a.seed): a for a in snapshot(store).attempts}
    study = load_study(old / "own.yml")
    runs = [(item.trial, seed) for item in study.trials for seed in item.seeds]
    assert {(trial.key, seed) for trial, seed in runs} <= attempts.keys()
    fresh = [attempts[t.key, s].is_of(attempt_digest(t.config, t.data, device="cpu")) for t, s in runs]
    planned = call("run", "grid", "own.yml", "--dry-run").stdout
    expected = f"{sum(fresh)} done, 0 left, {fresh.count(False)} held"
    assert expected in planned, planned
    with closing(sqlite3.connect(db)) as conn:
        conn.execute("UPDATE attempt SET code_digest = 'older'")
        conn.commit()
    assert "0 done, 0 left, 4 held (4 stale)" in call("run", "grid", "own.yml", "--dry-run").stdout


def test_its_published_lines_merge_and_come_out_as_they_were(old):
    lines = (old / "published.jsonl").read_text().splitlines()
    with open_memory() as store:
        assert merge_jsonl(store, old / "published.jsonl") == MergeReport(added=5, known=0)
        assert list(published_lines(store, studies=None)) == lines
        found = snapshot(store)
        assert sum(a.accepted for a in found.attempts) == 5
        assert all(curve(store, a.uid) and artifacts(store, a.uid) for a in found.attempts)
    with open_store(old / "results" / "harness.db") as store:
        assert merge_jsonl(store, old / "published.jsonl") == MergeReport(added=0, known=5)
        assert list(published_lines(store, studies=None)) == lines
    assert verify([old / "published.jsonl"]).faults == []
