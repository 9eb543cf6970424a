"""What the tables themselves refuse, whoever writes."""

import sqlite3
from contextlib import closing

import pytest
from sqlite_utils import Database

from harness.base.errors import HarnessError
from harness.store.connection import open_reader, open_store
from harness.store.schema import MIGRATIONS, known_migrations

ATTEMPT = """INSERT INTO attempt
    (uid, run_id, kind, state, device, threads, exclusive, execution_json, started, ended)"""


def test_every_table_is_strict(lab):
    tables = lab.store.db.conn.execute(
        """SELECT name, strict FROM pragma_table_list
        WHERE schema = 'main' AND type = 'table' AND name NOT LIKE '%sqlite%'"""
    ).fetchall()
    assert {name for name, strict in tables if not strict} == set()
    assert {name for name, _ in tables} >= {
        "study",
        "trial",
        "run",
        "attempt",
        "metric",
        "result",
        "sample",
        "cost",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO run (trial_id, seed) VALUES (99, 0)",  # no such trial
        "INSERT INTO run (trial_id, seed) VALUES (1, 'zero')",  # strict
        "INSERT INTO run (trial_id, seed) VALUES (1, 0)",  # twice
        f"{ATTEMPT} VALUES ('v', 1, 'training', 'running', 'cpu', 1, 0, '{{}}', 't', NULL)",
        f"{ATTEMPT} VALUES ('v', 1, 'train', 'finished', 'cpu', 1, 0, '{{}}', 't', 't')",
        f"{ATTEMPT} VALUES ('v', 1, 'train', 'running', 'cpu', 1, 0, '{{}}', 't', 't')",  # running, yet ended
        f"{ATTEMPT} VALUES ('v', 1, 'train', 'done', 'cpu', 1, 0, '{{}}', 't', NULL)",  # done, yet not ended
        f"{ATTEMPT} VALUES ('v', 1, 'train', 'done', 'cpu', 1, 2, '{{}}', 't', 't')",
        f"{ATTEMPT} VALUES ('v', 1, 'train', 'done', 'cpu', 1, 0, 'no json', 't', 't')",
        f"{ATTEMPT} VALUES ('u1', 1, 'train', 'done', 'cpu', 1, 0, '{{}}', 't', 't')",  # uid twice
        "INSERT INTO metric VALUES (1, 'test', 'loss', 7, NULL, 'ok')",
        "INSERT INTO metric VALUES (1, 'test', 'loss', 7, 1.0, 'nan')",
        "INSERT INTO metric VALUES (1, 'test', 'loss', 7, NULL, 'huge')",
        "INSERT INTO metric VALUES (99, 'test', 'loss', 7, 1.0, 'ok')",
        "DELETE FROM attempt",  # has a curve
    ],
)
def test_a_row_that_cannot_be_is_refused(lab, statement):
    lab.attempt("u1")
    with pytest.raises(sqlite3.IntegrityError):
        lab.store.db.conn.execute(statement)


def test_references_hold_and_the_file_is_sound(lab):
    lab.study()
    lab.attempt("u1")
    assert lab.store.db.conn.execute("PRAGMA foreign_key_check").fetchall() == []
    assert lab.store.db.conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_foreign_keys_have_indexes(lab):
    """A foreign key without an index makes every deletion, and many a join, read the whole table."""
    conn = lab.store.db.conn
    for table in lab.store.db.table_names():
        columns = {row[3] for row in conn.execute(f"PRAGMA foreign_key_list({table})")}
        primary = {r[1] for r in conn.execute(f"PRAGMA table_info({table})") if r[5] == 1}
        first = {
            conn.execute(f"PRAGMA index_info({r[1]})").fetchone()[2]
            for r in conn.execute(f"PRAGMA index_list({table})")
        }
        assert columns <= primary | first, table


def test_a_curve_is_read_in_its_order_without_sorting(lab):
    plan = lab.store.db.conn.execute(
        "EXPLAIN QUERY PLAN SELECT step, value FROM metric WHERE attempt_id = 1 ORDER BY split, name, step"
    ).fetchall()
    assert [row[3] for row in plan] == ["SEARCH metric USING PRIMARY KEY (attempt_id=?)"]


def test_the_migrations_are_known():
    assert known_migrations() == {
        "m001_first_tables",
        "m002_the_newest_counts",
        "m003_order_beyond_the_clock",
        "m004_what_attempts_ran_with",
        "m005_accepted_edits",
        "m006_trials_that_set_made",
        "m007_metrics_with_units",
        "m008_claims_of_studies",
        "m009_what_studies_evaluate",
    }


def test_a_store_of_the_first_version_gets_the_second_ones_view(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as conn:
        MIGRATIONS.apply(Database(conn), stop_before="m002_the_newest_counts")
        assert "min(a.uid)" in conn.execute("SELECT sql FROM sqlite_master WHERE name = 'v_run'").fetchone()[0]
        conn.execute("INSERT INTO trial (key, key_scheme, config_json) VALUES ('k', 1, '{}')")
        conn.commit()
    with pytest.raises(HarnessError, match="made by an older harness"):
        open_reader(path)
    before = path.read_bytes()
    with open_reader(path, updated=True) as store:
        assert store.db.conn.execute("SELECT key FROM trial").fetchall() == [("k",)]
    assert path.read_bytes() == before
    with open_store(path) as store:
        view = store.db.conn.execute("SELECT sql FROM sqlite_master WHERE name = 'v_run'").fetchone()[0]
        assert "min(a.uid)" not in view
        assert "min(a.uid)" not in view
        assert store.db.conn.execute("SELECT * FROM v_run").fetchall() == []
    assert path.with_name("harness.db.before-m002_the_newest_counts").is_file()


def test_a_store_from_before_environments_were_full_keeps_its_own(path):
    path.parent.mkdir()
    row = ("e" * 64, '{"packages":{"numpy":"2.1"}}')
    with closing(sqlite3.connect(path)) as conn:
        MIGRATIONS.apply(Database(conn), stop_before="m004_what_attempts_ran_with")
        conn.execute("INSERT INTO trial (key, key_scheme, config_json) VALUES ('k', 1, '{}')")
        conn.execute("INSERT INTO env (sha, packages_json) VALUES (?, ?)", row)
        conn.commit()
    with open_store(path) as store:
        assert store.db.conn.execute("SELECT sha, packages_json FROM env").fetchall() == [row]
        assert [store.db.conn.execute(f"SELECT count(*) FROM {t}").fetchone() for t in ("installed", "source")] == [  # noqa: S608
            (0,),
            (0,),
        ]
    assert path.with_name("harness.db.before-m004_what_attempts_ran_with").is_file()
