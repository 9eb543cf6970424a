"""A person's own SQL reads, and nothing else: in a file, and in what was taken into memory."""

import hashlib

import pytest

from harness.base.errors import HarnessError
from harness.store.connection import open_memory, open_reader
from harness.store.queries import ask


@pytest.fixture
def full(lab):
    lab.study()
    lab.attempt("a1")
    return lab


def test_a_query_gives_columns_and_rows(full, path):
    with open_reader(path) as store:
        answer = ask(store, "SELECT uid, state AS how FROM attempt")
        assert (answer.columns, answer.rows) == (("uid", "how"), [("a1", "done")])
        assert ask(
            store, "WITH RECURSIVE n(x) AS (SELECT 1 UNION SELECT x + 1 FROM n WHERE x < 3) SELECT * FROM n"
        ).rows
        assert ("uid",) in [row[1:2] for row in ask(store, "PRAGMA table_info(attempt)").rows]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM metric",
        "UPDATE attempt SET state = 'failed'",
        "INSERT INTO run (trial_id, seed) VALUES (1, 99)",
        "DROP VIEW v_run",
        "CREATE TABLE x (y)",
        "CREATE TEMP TABLE x (y)",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA user_version = 7",
        "PRAGMA journal_mode = DELETE",
        "WITH x AS (SELECT 1) DELETE FROM metric",
        "BEGIN IMMEDIATE",
    ],
)
def test_what_would_change_anything_is_refused_in_one_line(full, path, sql, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = hashlib.sha256(path.read_bytes()).digest()
    with open_reader(path) as store, pytest.raises(HarnessError, match="a query may only read") as caught:
        ask(store, sql)
    assert "\n" not in str(caught.value)
    with open_memory() as store:
        with pytest.raises(HarnessError, match="a query may only read"):
            ask(store, sql)
        assert ask(store, "SELECT count(*) FROM sqlite_master WHERE name = 'v_run'").rows == [(1,)]
    assert hashlib.sha256(path.read_bytes()).digest() == before
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


@pytest.mark.parametrize("sql", ["SELECT", "SELECT * FROM nothing", "SELECT 1; SELECT 2", ""])
def test_what_is_no_query_is_said_in_one_line(full, path, sql):
    with open_reader(path) as store, pytest.raises(HarnessError) as caught:
        ask(store, sql)
    assert "\n" not in str(caught.value)


def test_the_store_can_be_written_to_after_a_question(full):
    ask(full.store, "SELECT 1")
    full.attempt("a2", seed=1)
    assert full.count("attempt") == 2
