"""What datasette shows: every table and column described, facets that exist, queries that answer."""

import json
from pathlib import Path

import pytest

from harness.store.described import QUERIES, TABLES, browsable, columns, metadata
from harness.store.export import published_lines, write_jsonl

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "results.md"


@pytest.fixture
def full(lab):
    lab.study()
    lab.attempt("a1")
    lab.attempt("t1", kind="timing")
    lab.attempt("f1", "failed", seed=1)
    return lab


def test_every_table_and_column_is_described(lab):
    found = columns(lab.store)
    rows = lab.store.db.conn.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    assert {row[0] for row in rows} - {"_sqlite_migrations"} == set(TABLES)
    described = metadata("harness", found)["databases"]["harness"]["tables"]
    for table, names in found.items():
        assert set(described[table]["columns"]) == set(names)
        assert set(described[table].get("facets", [])) <= set(names)


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_answers(full, name):
    _, sql = QUERIES[name]
    rows = full.store.db.conn.execute(sql, {"attempt": "a1"} if ":attempt" in sql else {}).fetchall()
    assert rows or name == "accuracy_and_costs", name
    if name == "did_not_end_well":
        assert [row[0] for row in rows] == ["f1"]
    if name == "curve":
        assert len(rows) == 4


def test_the_document_says_of_each_table_what_it_is():
    text = DOCUMENT.read_text()
    for table, words in TABLES.items():
        assert f"| `{table}` | {words} |" in text


def test_a_store_is_browsed_as_it_is_and_published_files_in_one_of_their_own(full, path, tmp_path):
    with browsable([path]) as (database, described):
        assert database == path
        assert list(json.loads(described.read_text())["databases"]) == ["harness"]
    assert not described.exists()
    file = tmp_path / "all.jsonl"
    write_jsonl(published_lines(full.store, studies=None), file)
    with browsable([file]) as (database, _):
        assert database.is_file()
        assert database.stem == "harness"
    assert not database.exists()
